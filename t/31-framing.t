# RFC 6455: what a client must not do, and how it is told; fragments, control
# frames between them, sizes, bytes that come one by one.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use KapokMQ::Test;

my $mq = KapokMQ::Test->start(yaml => { maxMessageSize => 70_000 });

sub frame { return KapokMQ::Raw::frame(@_) }

sub client {
    my ($path) = @_;
    my $client = $mq->raw($path, key => 'sesame');

    is($client->next_text, 'Secret key matching succeeded', 'login');
    return $client;
}

# escapes and an envelope may make so much of a message of 70,000 bytes
my $big = 6 * 70_000 + 4096 + 1;

# name, code, bytes
my @bad = (
    ['an unmasked frame', 1002, frame(1, 'hello', mask => '')],
    ['an unmasked ping', 1002, frame(9, '', mask => '')],
    ['rsv1', 1002, frame(1, 'hello', rsv => 4)],
    ['rsv2', 1002, frame(1, 'hello', rsv => 2)],
    ['rsv3', 1002, frame(1, 'hello', rsv => 1)],
    ['rsv on a control frame', 1002, frame(9, '', rsv => 4)],
    (map { ["opcode $_", 1002, frame($_, 'x')] } 3 .. 7, 11 .. 15),
    ['a fragmented ping', 1002, frame(9, 'x', fin => 0)],
    ['a ping of 126 bytes', 1002, frame(9, 'x' x 126)],
    ['a close of 126 bytes', 1002, frame(8, pack('n', 1000) . 'x' x 124)],
    ['a continuation of nothing', 1002, frame(0, 'x')],
    ['a text inside a fragmented message', 1002,
     frame(1, 'a', fin => 0) . frame(1, 'b')],
    ['a binary inside a fragmented message', 1002,
     frame(1, 'a', fin => 0) . frame(2, 'b')],
    ['16 bits of length for 5 bytes', 1002, frame(1, 'hello', long => 16)],
    ['64 bits of length for 5 bytes', 1002, frame(1, 'hello', long => 64)],
    ['a length with its top bit set', 1002,
     pack('CCQ>N', 0x81, 0xff, 1 << 63, 0)],
    ['a close of one byte', 1002, frame(8, 'x')],
    (map { ["close code $_", 1002, frame(8, pack 'n', $_)] }
     0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535),
    ['a close with a bad reason', 1007, frame(8, pack('n', 1000) . "\xff")],
    ['invalid UTF-8 in a text', 1007, frame(1, "a\xff")],
    ['a cut character at the end of a text', 1007, frame(1, "a\xe6\x9c")],
    ['a surrogate in a text', 1007, frame(1, "\xed\xa0\x80")],
    ['an overlong form in a text', 1007, frame(1, "\xc0\x80")],
    ['beyond Unicode in a text', 1007, frame(1, "\xf4\x90\x80\x80")],
    ['invalid UTF-8 in the second fragment', 1007,
     frame(1, 'a', fin => 0) . frame(0, "\xff")],
    ['a character cut by the last fragment', 1007,
     frame(1, "a\xe6", fin => 0) . frame(0, "\x9c")],
    ['a message that is too long for any data', 1009, frame(1, 'x' x $big)],
    ['a header that says so', 1009,
     substr frame(1, 'x', size => $big), 0, 14],
    ['a header that says far more', 1009,
     substr frame(1, 'x', size => 1 << 40), 0, 14],
    ['fragments that are', 1009,
     frame(1, 'x' x 300_000, fin => 0) . frame(0, 'x' x 200_000)],
);

for my $role (qw(Producers Consumers)) {
    my $path = "/$role/Conn/t/$role";

    for my $case (@bad) {
        my ($name, $code, $bytes) = @$case;
        my $client = client($path);
        $client->write($bytes);
        is($client->close_code, $code, "$role: $name: $code");
        ok($client->ended, 'and the connection ends');
        $client->close;
    }

    for my $code (1000, 1001, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013,
                  1014, 3000, 3999, 4000, 4999)
    {
        my $client = client($path);
        $client->send(8, pack 'n', $code);
        is($client->close_code, $code, "$role: close $code is answered");
        $client->close;
    }

    my $client = client($path);
    $client->send(8, '');
    like($client->close_code, qr/^(?:1005|1000)$/,
         "$role: so is one without a code");
    ok($client->ended, 'and the connection ends');

    # pings
    $client = client($path);
    for my $payload ('', 'hello', "\xff\0\xfe", 'x' x 125) {
        $client->send(9, $payload);
        my $frame = $client->next_frame;
        is($frame->{opcode}, 10, "$role: a ping is answered");
        is($frame->{payload}, $payload, 'with its payload');
    }
    $client->send(10, 'nobody asked');
    $client->send(9, 'still there');
    is($client->next_frame->{payload}, 'still there',
       'a pong that nobody asked for is passed over');
    $client->close;
}

# Fragments.
my $consumer = $mq->consumer('t', 'c1');
my $client = client('/Producers/Conn/t/p1');

sub comes {
    my ($name, $data, $bytes) = @_;

    $client->write($bytes) if length $bytes;
    is($client->next_text, 'ok', $name);
    wait_for { @{$consumer->messages} } 'is delivered';
    my $message = shift @{$consumer->messages};
    ok($message->{MessageData} eq $data, 'as it was sent');
}

my $tree = "\xf0\x9f\x8c\xb3";
comes('two fragments', 'hello world',
      frame(1, 'hello ', fin => 0) . frame(0, 'world'));
comes('many fragments, empty ones too', 'abc',
      frame(1, '', fin => 0) . frame(0, 'a', fin => 0)
      . frame(0, '', fin => 0) . frame(0, 'b', fin => 0)
      . frame(0, 'c', fin => 0) . frame(0, ''));
comes('a character in four fragments', "\x{1f333}",
      frame(1, substr($tree, 0, 1), fin => 0)
      . frame(0, substr($tree, 1, 1), fin => 0)
      . frame(0, substr($tree, 2, 1), fin => 0)
      . frame(0, substr($tree, 3, 1)));
comes('binary fragments', 'ab', frame(2, 'a', fin => 0) . frame(0, 'b'));
comes('a JSON frame in fragments', 'x',
      frame(1, '{"MessageD', fin => 0) . frame(0, 'ata":"x"}'));

$client->write(frame(1, 'be', fin => 0) . frame(9, 'ping!')
               . frame(0, 'twe', fin => 0) . frame(10, 'pong') . frame(9, '')
               . frame(0, 'en'));
is($client->next_frame->{payload}, 'ping!', 'a ping between fragments');
is($client->next_frame->{opcode}, 10, 'and another');
comes('are answered, and the message is whole', 'between', '');

# Sizes around those of the length's forms, and the largest.
for my $size (0, 1, 125, 126, 127, 65_535, 65_536, 70_000) {
    my $data = 'x' x $size;
    comes("$size bytes", $data, frame(1, $data));
    my $half = int($size / 2);
    comes("$size bytes in two", $data,
          frame(1, substr($data, 0, $half), fin => 0)
          . frame(0, substr $data, $half));
}

# Byte by byte, and many at once.
for my $byte (split //, frame(1, 'slowly') . frame(1, '{"MessageData":"2"}')) {
    $client->write($byte);
    run_for(0.001);
}
comes('byte by byte', 'slowly', '');
comes('and the next', '2', '');
my $n = 3000;
$client->write(join '', map { frame($_ % 2 + 1, "m$_") } 1 .. $n);
is(scalar(grep { ($client->next_text // '') eq 'ok' } 1 .. $n), $n,
   'many at once');
wait_for { @{$consumer->messages} == $n } 'all come';
is_deeply([$consumer->data], [map { "m$_" } 1 .. $n], 'in order');

# What came before a mistake counts.
@{$consumer->messages} = ();
$client->write(frame(1, 'good') . frame(3, 'bad') . frame(1, 'after'));
is($client->next_text, 'ok', 'before a mistake: ok');
is($client->close_code, 1002, 'the mistake: 1002');
wait_for { @{$consumer->messages} } 'the good one comes';
is_deeply([$consumer->data], ['good'], 'and nothing after');
$consumer->finish;

$mq->finish;
done_testing;
