# Producer frames: what is a message, what is an error, and the answers.

use strict;
use warnings;
use utf8;

BEGIN { push @INC, 't/lib' }

use Encode qw(encode);
use Test::More;
use KapokMQ::Test;

my $mq = KapokMQ::Test->start(yaml => { maxMessageSize => 65536 });
my $consumer = $mq->consumer('topic', 'c1');
my $client = $mq->raw('/Producers/Conn/topic/p1', key => 'sesame');
is($client->next_text, 'Secret key matching succeeded', 'login');

# name, frame, the message data that comes out; binary ones too
my @good = (
    ['a JSON frame', '{"MessageData":"hello","DelayTime":0}', 'hello'],
    ['without a delay', '{"MessageData":"hello"}', 'hello'],
    ['names in lower case', '{"delayTime":0,"messageData":"hi"}', 'hi'],
    ['names in any case', '{"DELAYTIME":0,"mEsSaGeDaTa":"hi"}', 'hi'],
    ['a newline behind', qq({"MessageData":"go","DelayTime":0}\n), 'go'],
    ['white space all around',
     qq( \r\n\t{ "MessageData" : "ws" , "DelayTime" : 0 } \t), 'ws'],
    ['other members', '{"a":[1,{"b":null}],"MessageData":"x","Topic":"t"}',
     'x'],
    ['null data', '{"MessageData":null}', ''],
    ['null delay', '{"MessageData":"n","DelayTime":null}', 'n'],
    ['a negative delay', '{"MessageData":"n","DelayTime":-5}', 'n'],
    ['a delay of 0.0', '{"MessageData":"n","DelayTime":0.0}', 'n'],
    ['plain text', 'hello, world', 'hello, world'],
    ['an empty frame', '', ''],
    ['a JSON string', '"quoted"', '"quoted"'],
    ['a JSON number', '42', '42'],
    ['a JSON array', '[1,2]', '[1,2]'],
    ['an object without MessageData', '{"a":1}', '{"a":1}'],
    ['broken JSON', '{"MessageData":"x"', '{"MessageData":"x"'],
    ['JSON with something behind', '{"MessageData":"x"} y',
     '{"MessageData":"x"} y'],
    ['quotes and backslashes', 'say "a\\b"', 'say "a\\b"'],
    ['control characters', "a\x01b\tc\nd\x7f", "a\x01b\tc\nd\x7f"],
    ['a zero byte', "a\0b", "a\0b"],
    ['other alphabets', encode('UTF-8', 'größe 木棉 🌳'), 'größe 木棉 🌳'],
    ['JSON escapes', '{"MessageData":"a\\n\\"\\u00fc\\ud83c\\udf33\\/"}',
     "a\n\"ü🌳/"],
    ['half a surrogate pair', '{"MessageData":"a\\ud83c"}', "a\x{fffd}"],
    ['the other half', '{"MessageData":"\\uDF33\\ud83c\\n\\ud83c\\ud83c\\udf33"}',
     "\x{fffd}\x{fffd}\n\x{fffd}🌳"],
    ['JSON with raw UTF-8', encode('UTF-8', '{"MessageData":"木棉"}'),
     '木棉'],
);

for my $binary (0, 1) {
    my $opcode = $binary ? 2 : 1;
    my $kind = $binary ? 'binary' : 'text';

    for my $case (@good) {
        my ($name, $frame, $data) = @$case;
        $client->send($opcode, $frame);
        is($client->next_text, 'ok', "$name ($kind): ok");
        wait_for { @{$consumer->messages} } 'is delivered';
        my $message = shift @{$consumer->messages};
        is($message->{MessageData}, $data, 'with its data');
    }
}

# name, opcode, frame, what the answer has to name
my @bad = (
    ['data that is a number', 1, '{"MessageData":5}', qr/MessageData/],
    ['data that is a boolean', 1, '{"MessageData":true}', qr/MessageData/],
    ['data that is an object', 1, '{"MessageData":{}}', qr/MessageData/],
    ['data that is an array', 1, '{"MessageData":["a"]}', qr/MessageData/],
    ['a delay that is a string', 1,
     '{"MessageData":"a","DelayTime":"5"}', qr/DelayTime/],
    ['a delay that is an object', 1,
     '{"MessageData":"a","DelayTime":{}}', qr/DelayTime/],
    ['a delay beyond all bounds', 1,
     '{"MessageData":"a","DelayTime":1e300}', qr/DelayTime/],
    ['invalid UTF-8', 2, "a\xff", qr/UTF-8/],
    ['a cut character', 2, "a\xe6\x9c", qr/UTF-8/],
    ['a surrogate in UTF-8', 2, "\xed\xa0\x80", qr/UTF-8/],
    ['an overlong form', 2, "\xc0\xaf", qr/UTF-8/],
    ['invalid UTF-8 inside JSON', 2, "{\"MessageData\":\"\xff\"}", qr/UTF-8/],
);

for my $case (@bad) {
    my ($name, $opcode, $frame, $names) = @$case;
    $client->send($opcode, $frame);
    like($client->next_text, qr/^error: .*$names/, "$name: error");
}

# maxMessageSize counts the data alone: no frame, no envelope, no escapes.
my $max = 65536;
my $object = sub { qq({"MessageData":"$_[0]","DelayTime":0}) };

for my $case (
    ['as much as there may be', 'x' x $max, $max],
    ['a byte more', 'x' x ($max + 1)],
    ['the same in JSON', $object->('x' x $max), $max],
    ['a byte more in JSON', $object->('x' x ($max + 1))],
    ['escapes', $object->('\\n' x $max), $max],
    ['an escape more', $object->('\\n' x ($max + 1))],
    ['escapes of six bytes', $object->('\\u0041' x $max), $max],
    ['one more of them', $object->('\\u0041' x ($max + 1))],
    ['a surrogate pair is four bytes',
     $object->('\\ud83c\\udf33' x ($max / 4)), $max / 4],
    ['and a half is three', $object->('\\ud83c' x ($max / 3)), int $max / 3],
    ['a half more', $object->('\\ud83c' x ($max / 3 + 1))],
    ['plain data that has to be escaped', "\1" x $max, $max],
    ['a byte more of that', "\1" x ($max + 1)],
    ['white space around little', (' ' x (2 * $max)) . $object->('x'), 1],
    ['other members', '{"x":"' . 'x' x (5 * $max) . '","MessageData":"x"}', 1],
    ['the longest frame', 'x' x (6 * $max + 4096)],
) {
    my ($name, $frame, $length) = @$case;

    $client->text($frame);
    if (!defined $length) {
        like($client->next_text, qr/^error: .*maxMessageSize/,
             "$name: too large");
        next;
    }
    is($client->next_text, 'ok', "$name: ok");
    wait_for { @{$consumer->messages} } 'is delivered';
    is(length shift(@{$consumer->messages})->{MessageData}, $length,
       'in its length');
}

# A delayed message does not come early (t/36-delay.t has more).
$client->text('{"MessageData":"later","DelayTime":3600}');
is($client->next_text, 'ok', 'a delay is accepted');

$client->text('still here');
is($client->next_text, 'ok', 'the connection stayed open');
wait_for { @{$consumer->messages} } 'the next message is delivered';
is_deeply([$consumer->data], ['still here'], 'and none of the bad ones');

# Answers come in the order of the messages.
shift @{$consumer->messages};
$client->write(join '', map { KapokMQ::Raw::frame(@$_) }
    [1, 'one'], [1, '{"MessageData":1}'], [1, 'two'], [2, "\xff"],
    [1, 'three'], [1, '{"MessageData":[]}']);
my @answers = map { $client->next_text } 1 .. 6;
is_deeply([map { s/:.*//r } @answers], [qw(ok error ok error ok error)],
          'answers in order');
wait_for { @{$consumer->messages} == 3 } 'three messages';
is_deeply([$consumer->data], [qw(one two three)], 'in order');

# Names in the path.
for my $case (['%E6%9C%A8%E6%A3%89', '木棉'], ['a%20b', 'a b'],
              ['a+b', 'a+b'], ['%252F', '%2F'], ['%22', '"'],
              ['x' x 255, 'x' x 255])
{
    my ($escaped, $topic) = @$case;
    my $other = $mq->consumer($escaped, 'c2');
    my $producer = $mq->producer($escaped, 'p2');
    $producer->send('hello');
    wait_for { @{$other->messages} } 'a message in topic '
                                     . substr $escaped, 0, 20;
    is($other->messages->[0]{Topic}, $topic, 'names it');
    $_->finish for $other, $producer;
}

# A producer that never reads: its answers are a number, and its messages are
# taken all the same.
my $deaf = $mq->raw('/Producers/Conn/topic/deaf', key => 'sesame',
                    rcvbuf => 4096);
@{$consumer->messages} = ();
my $frames = join '', map { KapokMQ::Raw::frame(1, "deaf $_") } 1 .. 100;
my $sent = 0;
while ($sent < 20_000) {
    $deaf->write($frames) or last;
    $sent += 100;
    Mojo::IOLoop->one_tick;
}
is($sent, 20_000, 'it can send on and on');
wait_for { @{$consumer->messages} == $sent } 'all its messages come';
is($deaf->next_text, 'Secret key matching succeeded', 'it wakes up');
my $oks = 0;
while ($oks < $sent) {
    last if ($deaf->next_text // '') ne 'ok';
    $oks++;
}
is($oks, $sent, 'and finds an ok for each');
$deaf->close;

$mq->finish;
done_testing;
