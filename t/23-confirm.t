# When a message counts as consumed: socket, pong, ack; and what happens to
# those that do not.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use KapokMQ::Test;

my $mq = KapokMQ::Test->start(yaml => { retryDelayMax => 1 }, topics => <<'YAML');
    s: { confirm: socket }
    a: { confirm: ack }
YAML

sub in_flight { return $mq->counts->{unconsumed} }

sub consumed {
    my ($n, $name) = @_;

    return wait_for { in_flight() == 0 && $mq->counts->{consumed} == $n }
                    $name;
}

is($mq->post('/Console/GetConfig')->{data}{confirm}, 'pong',
   'pong is the default');

# --- socket: written is consumed
my $client = $mq->raw('/Consumers/Conn/one/c1?confirm=socket',
                      key => 'sesame');
$client->next_text;
$mq->publish('one', "m$_") for 1 .. 10;
consumed(10, 'socket: consumed without a word from the client');
my @got = map { $client->next_text =~ /"MessageData":"(\w+)"/ } 1 .. 10;
is_deeply(\@got, [map { "m$_" } 1 .. 10], 'which gets them');
$client->close;

# --- pong: any client's stack confirms
$client = $mq->raw('/Consumers/Conn/two/c1', key => 'sesame');
$client->next_text;
$mq->publish('two', "m$_") for 1 .. 3;
my (@frames, @pings);
while (@frames < 3 || !@pings) {
    my $frame = $client->next_frame or last;
    push @{$frame->{opcode} == 9 ? \@pings : \@frames}, $frame;
}
is(@frames, 3, 'pong: three messages come');
is(@pings > 0, 1, 'and a ping behind them');
is(in_flight(), 3, 'nothing is consumed yet');
$client->send(10, 'no answer to anything');
is(in_flight(), 3, 'an unasked pong confirms nothing');
my $answered = @pings;
$client->send(10, $_->{payload}) for @pings;
# each message may have had its own ping
wait_for {
    my $frame = $client->next_frame(0.01);
    $client->send(10, $frame->{payload}) if $frame && $frame->{opcode} == 9;
    in_flight() == 0;
} 'all pings are answered';
consumed(13, 'the pong confirms');
$client->close;

# --- pong: who does not answer has not got it
my $mute = $mq->consumer('three', 'mute', pong => 0);
$mq->publish('three', "m$_") for 1 .. 5;
wait_for { @{$mute->messages} == 5 && $mute->pings } 'pushed, and pinged';
is(in_flight(), 5, 'not consumed');
my $next = $mq->consumer('three', 'next');
run_for(0.3);
is(@{$next->messages}, 0, 'and pushed to nobody else while it is there');
$mute->drop;
wait_for { @{$next->messages} == 5 } 'when it is gone they go to the next';
is_deeply([$next->data], [map { "m$_" } 1 .. 5], 'in their order');
is_deeply([$next->codes], [$mute->codes], 'with the codes they had');
consumed(18, 'which confirms them');

# --- an explicit code counts in every mode
$mute = $mq->consumer('four', 'mute', pong => 0, ack => 1);
$mq->publish('four', "m$_") for 1 .. 5;
consumed(23, 'pong mode: a code confirms too');
$_->finish for $mute, $next;

# --- ack: nothing but the code
my $acker = $mq->consumer('five', 'c1', confirm => 'ack');
my @codes = map { $mq->publish('five', "m$_") } 1 .. 6;
wait_for { @{$acker->messages} == 6 } 'ack: pushed';
is_deeply([$acker->codes], \@codes, 'the codes that the producer was told');
run_for(0.2);
is(in_flight(), 6, 'not consumed by pongs');
$acker->send($codes[2]);
wait_for { in_flight() == 5 } 'a bare code';
$acker->send_binary($codes[0]);
wait_for { in_flight() == 4 } 'a binary code';
$acker->send("\"$codes[1]\"");
wait_for { in_flight() == 3 } 'a code in quotes';
$acker->send($codes[2], $codes[0], 'x' x 40, '0' x 40, 'hello', '', '""',
             uc $codes[3] . 'a', substr($codes[3], 1), '{"a":1}');
$acker->send($codes[3]);
wait_for { in_flight() == 2 } 'repeated and wrong ones do no harm';
is($acker->closed, undef, 'nor end the connection');
my $thief = $mq->consumer('five', 'c2', confirm => 'ack');
$thief->send(@codes[4, 5]);
run_for(0.2);
is(in_flight(), 2, "one consumer cannot confirm another's");
$acker->finish;
wait_for { @{$thief->messages} == 2 } 'after a close the rest goes on';
is_deeply([$thief->codes], [@codes[4, 5]], 'in order');
$thief->send(@codes[5, 4]);
consumed(29, 'confirmed in any order');
$thief->finish;

# --- the configuration says it for a topic, the URL over it
$acker = $mq->consumer('a', 'c1');
$mq->publish('a', 'x');
wait_for { @{$acker->messages} == 1 } 'topic with ack';
run_for(0.2);
is(in_flight(), 1, 'is not confirmed by a pong');
$acker->send($acker->codes);
consumed(30, 'but by the code');
$acker->finish;
$acker = $mq->consumer('a', 'c2', confirm => 'pong');
$mq->publish('a', 'y');
consumed(31, 'a URL with pong');
$acker->finish;

my $bad = $mq->raw('/Consumers/Conn/a/c3?confirm=maybe', key => 'sesame');
is($bad->status, 400, 'an unknown mode: 400');
like($bad->head . ($bad->{in} // ''), qr/confirm|maybe/, 'which says so');

# --- redelivery comes before what waits, and a message is lost by nobody
my $first = $mq->consumer('six', 'c1', confirm => 'ack');
my @all = map { $mq->publish('six', "m$_") } 1 .. 20;
wait_for { @{$first->messages} == 20 } 'twenty in flight';
$first->send(@all[0 .. 9]);
wait_for { in_flight() == 10 } 'ten confirmed';
$first->drop;
wait_for { !@{$mq->clients->{consumers}} } 'it is gone';
push @all, $mq->publish('six', 'm21');
my $second = $mq->consumer('six', 'c2', ack => 1, confirm => 'ack');
consumed(52, 'the next gets the rest');
is_deeply([$second->codes], [@all[10 .. 20]], 'in order');
$second->finish;

# --- a wrong acknowledgement is answered, where it can be meant as nothing else

sub open_raw {
    my ($path) = @_;
    my $raw = $mq->raw("/Consumers/Conn/$path", key => 'sesame');

    $raw->next_text;
    return $raw;
}

sub code_of {
    my ($raw) = @_;
    my ($code) = $raw->next_text =~ /"MessageCode":"(\w{40})"/;

    return $code;
}

my $strict = open_raw('wrong/c1?confirm=ack');
my @mine = map { $mq->publish('wrong', $_); code_of($strict) } 1 .. 4;
my $waits = $mq->publish('elsewhere', 'x');
my $delayed = $mq->publish('wrong', 'x', 3600);
(my $swapped = $mine[0]) =~ s/^(.*)(.)(.)$/$1$3$2/;
$swapped =~ tr/0-9a-f/1-9a-f0/ if $swapped eq $mine[0];

for my $case (
    ['a digit that is wrong', $swapped, qr/\Q$swapped\E/],
    ['a message that waits elsewhere', $waits, qr/\Q$waits\E/],
    ['one that is delayed', $delayed, qr/\Q$delayed\E/],
    ['bytes that are no text', "\xff" x 40, qr/\?{40}/, 2],
    ['a code cut short', substr($mine[0], 1), qr/MessageCode/],
    ['a code and a newline', "$mine[0]\n", qr/MessageCode/],
    ['a code in an object', qq({"MessageCode":"$mine[0]"}), qr/MessageCode/],
    ['nothing', '', qr/MessageCode/],
    ['a sign', '+', qr/MessageCode/],
    ['a sign and a wrong code', "-$swapped", qr/\Q$swapped\E/],
    ['the other sign', qq("+$swapped"), qr/\Q$swapped\E/],
) {
    my ($name, $frame, $says, $opcode) = @$case;
    $strict->send($opcode // 1, $frame);
    like($strict->next_text, qr/^error: .*$says/, "ack: $name");
}

$strict->text($mine[0]);
$strict->text($mine[0]);
$strict->text("+$mine[0]");
$strict->text("-$mine[0]");
$strict->text("+$mine[1]");
$strict->text("+$mine[1]");
$strict->text('x');
like($strict->next_text, qr/^error: a MessageCode/,
     'what is consumed, or in flight, is no error');
$strict->text("-$mine[2]");
is(code_of($strict), $mine[2], 'what is given back comes again');
$strict->text('y');
like($strict->next_text, qr/^error: a MessageCode/, 'and is no error, either');

my $other = open_raw('wrong/c2?confirm=ack');
$other->text($mine[1]);
like($other->next_text, qr/^error: .*\Q$mine[1]\E/,
     'what another consumer has, is one');
$other->text($mine[0]);
$other->text('z');
like($other->next_text, qr/^error: a MessageCode/,
     'what another one has consumed, is none');

for my $mode (qw(socket pong)) {
    my $loose = open_raw("wrong/c3?confirm=$mode");
    $loose->text($_) for $swapped, 'x', '', $waits, $mine[1];
    $loose->text("-$swapped");
    like($loose->next_text, qr/^error: .*\Q$swapped\E/,
         "$mode: behind a sign alone");
    $loose->text('-');
    like($loose->next_text, qr/^error: a MessageCode/, "$mode: or that alone");
    $loose->close;
}

# many, by a client that does not read
$strict->write(join '', map { KapokMQ::Raw::frame(1, "no $_") } 1 .. 20_000);
$strict->text($mine[1]);
my $errors = 0;
$errors++ while $errors < 20_000
                && ($strict->next_text // '') =~ /^error: a MessageCode/;
is($errors, 20_000, 'each is answered');
$strict->text($_) for @mine[2, 3];
wait_for { in_flight() == 1 } 'and the right ones count';
$_->close for $strict, $other;
$mq->remove($_) for $waits, $delayed;

# those that are gone, history and all
$mq->renew(yaml => { isCleanConsumed => 1 });
$strict = open_raw('gone/c1?confirm=ack');
$mq->publish('gone', 'x');
my $gone = code_of($strict);
$strict->text($gone) for 1 .. 2;
$strict->text('x');
like($strict->next_text, qr/^error: a MessageCode/,
     'what was consumed and is gone is no error');
$strict->close;

$mq->finish;
done_testing;
