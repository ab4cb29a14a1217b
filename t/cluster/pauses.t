# The primary stands still under load, for 1 to 20 s, then goes on: all of its
# processes, one of its workers, one of them and the stream's leader, a thread of
# a worker alone: its journal's, the node's, or another one. With isPersistent 2
# two nodes never both say "ok", and what either said "ok" to is there at the end.
#
#     make cluster-pauses PAUSES=n      30 unless given

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use Time::HiRes qw(time);
use KapokMQ::Cluster;
use KapokMQ::Rivals;
use KapokMQ::Test;
use KapokMQ::Thread;

plan skip_all => 'no nats-server' unless KapokMQ::Nats::version();

my $pauses = $ENV{KMQ_PAUSES} || 30;
my $seed = $ENV{KMQ_SEED} // time;
alarm(120 * $pauses + 300);
srand($seed);

my $cluster = KapokMQ::Cluster->start(
    workers => 2, timeout => $ENV{KMQ_TIMEOUT} // '1s', zone => '128m',
    yaml => { isPersistent => 2, pushRetryTime => 300 },
    allow => qr/cluster: |stream|worker process \d+ exited/);
my $rivals = KapokMQ::Rivals->new($cluster);
my (%count, %changed);

for my $round (1 .. $pauses) {
    my $victim = (qw(all worker both thread))[int rand 4];
    my $seconds = 1 + int rand 20;
    my (@pids, @threads, $since);

    my $changed = $rivals->round("round $round: $victim for $seconds s", sub {
        my ($mq) = @_;
        my @workers = $mq->worker_pids;
        my $worker = $workers[int rand @workers];
        if ($victim eq 'thread') {
            my @others = KapokMQ::Thread::others($worker);
            @threads = KapokMQ::Thread->stop($others[int rand @others])
                or BAIL_OUT('threads cannot be stopped');
        } else {
            @pids = $victim eq 'all' ? ($mq->{pid}, @workers) : $worker;
        }
        push @pids, $cluster->nats->{server}[$cluster->leader]{pid}
            if $victim eq 'both';
        kill 'STOP', @pids;
        $since = time;
    }, sub {
        kill 'CONT', @pids;
        $_->continue for @threads;
    }, sub { time - $since >= $seconds });
    $count{$victim}++;
    $changed{$victim} += $changed;
    last if $rivals->faults ne '';
}

$rivals->drain;
is($rivals->faults, '', 'never do two say "ok"');
diag(sprintf '%d accepted; another primary after %s; seed %s',
     $rivals->accepted, join(', ', map { "$changed{$_} of $count{$_} $_" }
                                   sort keys %count), $seed);
$cluster->tell if !Test::More->builder->is_passing;

$cluster->finish;
done_testing;
