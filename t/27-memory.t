# A zone that is full: producers wait, HTTP gets 503, consumers go on, nothing
# is lost; history makes room.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use KapokMQ::Test;

my $mq = KapokMQ::Test->start(zone => '8m');

# history alone never fills it
my $data = 'x' x 20_000;
my $consumer = $mq->consumer('topic', 'c1');
my $producer = $mq->producer('topic', 'p1');
my $n = 1500;
for my $part (1 .. 10) {
    $producer->send(map { "$_ $data" } 1 .. $n / 10);
    wait_for { @{$consumer->messages} == $part * $n / 10 }
             "$part of 10 parts of 30 MB through 8 MB";
}
wait_for { $mq->counts->{unconsumed} == 0 } 'all consumed';
is((grep { $_ ne 'ok' } @{$producer->texts}), 0, 'all ok');
cmp_ok($mq->counts->{consumed}, '<', $n, 'old history has made room');
$consumer->finish;
wait_for { !@{$mq->clients->{consumers}} } 'the consumer leaves';

# what waits does
@{$producer->texts} = ();
$producer->send(map { "$_ $data" } 1 .. $n);
my $held = -1;
wait_for {
    my $before = $held;
    # who is told when the zone is full, and stays so
    my ($status, $json) = $mq->post('/Producer/Send',
        { topic => 'other', messageData => $data });
    $mq->remove($json->{msg}) if $status == 200;
    $held = $mq->counts->{unconsumed};
    my $full = $status == 503 && @{$producer->texts} == $held
               && $held == $before;
    run_for(0.2) unless $full;
    $full;
} 'the zone fills up, with an ok for what is in';
cmp_ok($held, '<', $n, 'before all are in');
my ($status, $json, $result) = $mq->post('/Producer/Send',
    { topic => 'topic', messageData => $data });
is($status, 503, 'HTTP: 503');
like($result->headers->header('Retry-After') // '', qr/^\d+$/,
     'with Retry-After');
is($mq->post('/Console/Ping')->{code}, 0, 'the console answers');

$consumer = $mq->consumer('topic', 'c2');
wait_for { @{$consumer->messages} == $n } 'a consumer comes: all goes on';
is_deeply([map { /^(\d+) / } $consumer->data], [1 .. $n], 'in order, once');
is((grep { length != length("$n $data") && !/^\d{1,3} / } $consumer->data), 0,
   'whole');
wait_for { @{$producer->texts} == $n } 'every message has its answer';
wait_for { $mq->counts->{unconsumed} == 0 } 'all consumed';
($status) = $mq->post('/Producer/Send',
    { topic => 'topic', messageData => $data });
is($status, 200, 'HTTP is accepted again');

# a message that could never be stored does not wait for ever
my $huge = $mq->producer('topic', 'huge');
$huge->send('y' x 1_000_000);
wait_for { @{$huge->texts} == 1 } 'the largest message that is allowed';
is($huge->texts->[0], 'ok', 'fits');

$_->finish for $producer, $consumer, $huge;
$mq->finish;

$mq = KapokMQ::Test->start(zone => '8m',
    yaml => { maxMessageSize => '64 MiB' },
    allow => qr/too large|does not fit|maxMessageSize/);
$huge = $mq->producer('topic', 'huge');
$huge->send('y' x 20_000_000);
wait_for { @{$huge->texts} == 1 || $huge->closed }
         'a message larger than the zone gets an answer';
like($huge->texts->[0] // 'error: ' . $huge->closed->[0],
     qr/^error: /, 'an error');
($status, $json) = $mq->post('/Producer/Send',
    { topic => 'topic', messageData => 'y' x 20_000_000 });
like($status, qr/^(?:413|503)$/, 'and so over HTTP');
is($json->{code}, -1, 'with code -1');
$mq->finish;
done_testing;
