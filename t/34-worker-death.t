# A worker that is killed: others go on, its clients come again, what was in
# flight is redelivered, no accepted message is lost.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use KapokMQ::Test;

my $mq = KapokMQ::Test->start(allow => qr/exited on signal 9/);

my $holder = $mq->consumer('topic', 'holder', confirm => 'ack');
my $producer = $mq->producer('topic', 'p1');
$producer->send(map { "m$_" } 1 .. 100);
wait_for { @{$holder->messages} == 100 } 'a hundred in flight';

my %old = map { $_ => 1 } $mq->worker_pids;
kill 'KILL', $holder->worker;
wait_for { $holder->closed } 'its worker dies';
wait_for { $mq->worker_pids == $mq->{workers}
           && !grep { $_ == $holder->worker } $mq->worker_pids }
         'another takes its place';

my $next = $mq->consumer('topic', 'next');
wait_for { @{$next->messages} == 100 } 'the messages go to the next consumer';
is_deeply([$next->data], [map { "m$_" } 1 .. 100], 'in order');
is_deeply([$next->codes], [$holder->codes], 'under their codes');
wait_for { $mq->counts->{unconsumed} == 0 } 'and are consumed';
wait_for {
    my $clients = $mq->clients;
    !grep { $_->{ConsumerId} eq 'holder' } @{$clients->{consumers}}
} 'the dead one is no longer registered';

# all workers at once, again and again, while messages wait
$next->drop;
wait_for { !@{$mq->clients->{consumers}} } 'nobody there';
my @codes = map { $mq->publish('topic', "n$_") } 1 .. 50;
for my $round (1 .. 3) {
    my @pids = $mq->worker_pids;
    kill 'KILL', @pids;
    wait_for {
        my %now = map { $_ => 1 } $mq->worker_pids;
        keys %now == $mq->{workers} && !grep { $now{$_} } @pids
    } "all workers killed, round $round";
}
$next = $mq->consumer('topic', 'last');
wait_for { @{$next->messages} == 50 } 'the messages are all there';
is_deeply([$next->codes], \@codes, 'in order');
wait_for { $mq->counts->{unconsumed} == 0 } 'and are consumed';
$next->finish;

$mq->finish;
done_testing;
