# A queue at messageChanBuffer: producers wait, HTTP gets 503, consumers go
# on, and everything continues by itself; nothing is dropped.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use KapokMQ::Test;

my $limit = 100;
my $mq = KapokMQ::Test->start(
    yaml => { messageChanBuffer => $limit, prefetch => 50 });

my $n = 3000;
my @producers = map { $mq->producer('topic', "p$_") } 1 .. 3;
for my $p (@producers) {
    $p->send(map { "$p->{tx} $_" } 1 .. $n);
}
sub answers { my $sum = 0; $sum += @{$_->texts} for @producers; $sum }

wait_for { $mq->counts->{unconsumed} == $limit } 'the queue fills up';
wait_for { answers() == $limit } 'with an ok for each that is in';
run_for(0.3);
is($mq->counts->{unconsumed}, $limit, 'to its bound');
is(answers(), $limit, 'and the producers wait');

my ($status, $json, $result) = $mq->post('/Producer/Send',
    { topic => 'topic', messageData => 'one more' });
is($status, 503, 'HTTP: 503');
is($json->{code}, -1, 'code -1');
like($result->headers->header('Retry-After') // '', qr/^\d+$/,
     'with Retry-After');
($status) = $mq->post('/Producer/Send',
    { topic => 'other', messageData => 'one more' });
is($status, 503, 'the bound is that of the whole queue');
is($mq->post('/Console/Ping')->{code}, 0, 'the console answers');

# a producer that leaves while it waits
my $impatient = $mq->producer('topic', 'impatient');
$impatient->send('never');
run_for(0.1);
$impatient->drop;
wait_for { @{$mq->clients->{producers}} == 3 } 'one that waits may leave';

my $consumer = $mq->consumer('topic', 'c1');
wait_for { answers() == 3 * $n } 'a consumer comes: everything is accepted';
is((grep { $_ ne 'ok' } map { @{$_->texts} } @producers), 0, 'with ok');
wait_for { 3 * $n <= grep { $_ ne 'never' } $consumer->data } 'and delivered';
run_for(0.2);
is((grep { $_ ne 'never' } $consumer->data), 3 * $n, 'once each');
my $ordered = 1;
for my $p (@producers) {
    my @own = grep { /^\Q$p->{tx}\E / } $consumer->data;
    $ordered = 0
        if join(',', @own) ne join ',', map { "$p->{tx} $_" } 1 .. $n;
}
ok($ordered, 'in the order of each producer');
wait_for { $mq->counts->{unconsumed} == 0 } 'all consumed';
($status) = $mq->post('/Producer/Send',
    { topic => 'topic', messageData => 'one more' });
is($status, 200, 'HTTP is accepted again');

# what is in flight does not wait, but it is no way around the bound either
wait_for { $mq->counts->{unconsumed} == 0 } 'that one is consumed';
$consumer->finish;
wait_for { !@{$mq->clients->{consumers}} } 'nobody there';
my $holder = $mq->consumer('topic', 'holder', confirm => 'ack');
@{$_->texts} = () for @producers;
$producers[0]->send(map { "x$_" } 1 .. 2 * $limit);
wait_for { @{$producers[0]->texts} == $limit + 50
           && @{$holder->messages} >= 50 } 'fifty more are in';
run_for(0.3);
is(@{$holder->messages}, 50, 'which have been pushed');
is($mq->counts->{unconsumed}, $limit + 50, 'and no more');
$holder->{ack} = 1;
$holder->send($holder->codes);
wait_for { @{$producers[0]->texts} == 2 * $limit } 'confirmed: all goes on';
wait_for { $mq->counts->{unconsumed} == 0 } 'and is consumed';

$_->finish for @producers, $holder;
$mq->finish;
done_testing;
