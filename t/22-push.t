# What a consumer gets: the exact form, the order, one of many.

use strict;
use warnings;
use utf8;

BEGIN { push @INC, 't/lib' }

use Encode qw(encode);
use Test::More;
use Time::HiRes qw(time);
use KapokMQ::Test;

my $mq = KapokMQ::Test->start(yaml => { maxMessageSize => '4 MiB' });
my $consumer = $mq->consumer('test_topic', 'c1', keep_raw => 1);
my $producer = $mq->producer('test_topic', 'p1');

# Perl's own time() may be a tick behind the clock that nginx goes by
my $before = int time;
$producer->send('hello');
wait_for { @{$consumer->raw} } 'a message';
my $after = time;
my $raw = shift @{$consumer->raw};
like($raw, qr/\A\{"MessageCode":"[0-9a-f]{40}","MessageData":"hello",
              "Topic":"test_topic","CreateTime":\d+,"ConsumedTime":0,
              "DelayTime":0,"Status":-1\}\z/x, 'in the form of the contract');
my $message = $consumer->messages->[0];
cmp_ok($message->{CreateTime}, '>=', $before, 'made after it was sent');
cmp_ok($message->{CreateTime}, '<=', $after, 'and before it came');
is(hex substr($message->{MessageCode}, -8), $message->{CreateTime},
   'its code ends with that time');

# The frame itself.
my $client = $mq->raw('/Consumers/Conn/frames/c1', key => 'sesame');
is($client->next_text, 'Secret key matching succeeded', 'login');
for my $size (1, 20, 70_000, 2_000_000) {
    my $data = 'x' x $size;
    ok($mq->publish('frames', $data), "$size bytes");
    my $frame;
    do { $frame = $client->next_frame } while $frame && $frame->{opcode} > 7;
    is_deeply({ %$frame, payload => 0 },
              { fin => 1, rsv => 0, opcode => 1, masked => 0, payload => 0 },
              'one unmasked text frame');
    like($frame->{payload}, qr/"MessageData":"x{0,10}/, 'with data');
    is(length($frame->{payload}) - $size,
       length('{"MessageCode":"","MessageData":"","Topic":"frames",'
              . '"CreateTime":,"ConsumedTime":0,"DelayTime":0,"Status":-1}')
       + 40 + 10, 'of the right length');
    $client->send(10, '');
    $client->text(substr $frame->{payload}, 16, 40);
}
$client->close;

# Names and data that need escaping.
my $odd = "\"\\\x01\x1f\x7f木🌳\t";
my $escaped = join '', map { sprintf '%%%02X', ord } split //,
              encode('UTF-8', $odd);
my $other = $mq->consumer($escaped, 'c1');
$mq->producer($escaped, 'p1')->send(encode('UTF-8', $odd x 100));
wait_for { @{$other->messages} } 'a message of odd characters';
is($other->messages->[0]{Topic}, $odd, 'its topic');
is($other->messages->[0]{MessageData}, $odd x 100, 'its data');

# Order: one topic, one producer, one consumer.
@{$consumer->messages} = ();
my $n = 5000;
$producer->send(map { "m$_" } 1 .. $n);
wait_for { @{$consumer->messages} == $n } "$n messages";
is_deeply([$consumer->data], [map { "m$_" } 1 .. $n], 'in order');
my %codes = map { $_ => 1 } $consumer->codes;
is(keys %codes, $n, 'each with a code of its own');
my %stems = map { substr($_, 0, 16) => 1 } keys %codes;
cmp_ok(keys %stems, '>', $n * 0.99, 'which does not show the one before');

# Topics are separate.
my $second = $mq->consumer('other_topic', 'c1');
@{$consumer->messages} = ();
$producer->send('for one');
$mq->publish('other_topic', 'for the other');
wait_for { @{$consumer->messages} && @{$second->messages} } 'two topics';
is_deeply([$consumer->data], ['for one'], 'each its own');
is_deeply([$second->data], ['for the other'], 'each its own');

# Messages wait for a consumer to come.
$mq->publish('later', "early $_") for 1 .. 3;
is($mq->counts->{unconsumed} >= 3, 1, 'three wait');
my $late = $mq->consumer('later', 'c1');
wait_for { @{$late->messages} == 3 } 'and are pushed to who comes';
is_deeply([$late->data], ['early 1', 'early 2', 'early 3'], 'in order');

$_->finish for $consumer, $second, $late, $other, $producer;
$mq->finish;
done_testing;
