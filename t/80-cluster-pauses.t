# Three nginx and three nats-servers: all processes of the primary, each of its
# workers, and a journal's thread alone stand still for a while, then go on. Never
# do two nodes say "ok", and what either said "ok" to is there. The long form:
# make cluster-pauses.

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

my $cluster = KapokMQ::Cluster->start(
    workers => 2, timeout => '1s',
    yaml => { isPersistent => 2, pushRetryTime => 300 },
    allow => qr/cluster: |stream|worker process \d+ exited/);
my $rivals = KapokMQ::Rivals->new($cluster);
my @pids;

my $continue = sub { kill 'CONT', @pids };
my $since;

sub stop {
    @pids = @_;
    kill 'STOP', @pids;
    wait_for { !grep { !is_stopped($_) } @pids } 'they stand still';
    $since = time;
}

my $changed = $rivals->round('all processes',
    sub { stop($_[0]{pid}, $_[0]->worker_pids) }, $continue, sub { $_[0] });
ok($changed, 'another node took over');

# Its workers, the one that has the node's thread last: that one has more threads
# than others, since it has taken over as well.
sub by_threads {
    my %threads = map { $_ => scalar(() = glob "/proc/$_/task/*") } @_;

    return sort { $threads{$a} <=> $threads{$b} } @_;
}

# That none takes over can only be seen by waiting.
$rivals->round('a worker', sub { stop((by_threads($_[0]->worker_pids))[0]) },
               $continue, sub { $_[0] || time - $since > 3 });

# What producers of that worker have sent waits, and the node goes on. The
# thread is the first that a worker begins which has not the node's.
SKIP: {
    my $thread;

    $rivals->round("a journal's thread", sub {
        my ($worker) = by_threads($_[0]->worker_pids);
        $thread = KapokMQ::Thread->stop((KapokMQ::Thread::others($worker))[0]);
        $since = time;
    }, sub { $thread->continue if $thread }, sub { $_[0] || time - $since > 3 });
    skip 'threads cannot be stopped', 1 unless $thread;
    ok($thread, 'it stood still');
}

# The other one goes on appending, but nobody decides for it.
$changed = $rivals->round("the one with the node's thread",
    sub { stop((by_threads($_[0]->worker_pids))[-1]) }, $continue,
    sub { $_[0] });
ok($changed, 'another node took over');

$rivals->drain;
is($rivals->faults, '', 'never do two say "ok"');
diag(sprintf '%d accepted', $rivals->accepted);
$cluster->tell if !Test::More->builder->is_passing;

$cluster->finish;
done_testing;
