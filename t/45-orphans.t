# The master is killed alone: its workers notice, and stop as at a reload, so
# that an nginx that is started anew has the clients to itself.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use KapokMQ::Disk;
use KapokMQ::Test;

# Workers whose master is gone.
my @orphans;

END {
    my $status = $?;
    kill 'KILL', @orphans if @orphans;
    $? = $status;
}

for my $mode (0, 1, 2) {
    my $mq = KapokMQ::Test->start(yaml => { isPersistent => $mode });
    my $pid = $mq->{pid};
    my $consumer = $mq->consumer('topic', 'c1', ack => 1);
    my $kept = $mq->publish('kept', 'kept');

    @orphans = $mq->worker_pids;
    kill 'KILL', $pid;
    wait_for { $mq->_ended($pid) } "isPersistent $mode: the master is dead";
    wait_for { !grep { is_running($_) } @orphans } 'its workers stop';
    @orphans = ();
    wait_for { $consumer->closed } 'their clients are told';
    is($consumer->closed->[0], 1001, 'to come again');
    like($mq->log, qr/\[warn\].*master process $pid is gone/, 'and why');

    $mq->launch;
    is($mq->find($kept) ? 1 : 0, $mode ? 1 : 0,
       $mode ? 'what was stored is there' : 'with an empty queue');
    $consumer = $mq->consumer('topic', 'c1', ack => 1);
    ok($mq->publish('topic', "m$_"), 'there is one queue') for 1 .. 8;
    wait_for { @{$consumer->messages} == 8 } 'wherever clients come';
    $mq->finish;
}

done_testing;
