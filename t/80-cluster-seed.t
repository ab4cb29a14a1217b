# Three nginx and three nats-servers: a queue that was alone becomes that of a
# cluster, and a stream that is lost is made anew, from the files of a node that
# an operator names, and of no other.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use File::Path qw(remove_tree);
use Test::More;
use Time::HiRes qw(sleep time);
use KapokMQ::Cluster;
use KapokMQ::Disk;
use KapokMQ::Test;

plan skip_all => 'no nats-server' unless KapokMQ::Nats::version();

my $cluster = KapokMQ::Cluster->new(
    workers => 1, timeout => '1s', zone => '64m',
    yaml => { isPersistent => 2, pushRetryTime => 300 },
    allow => qr/cluster: |stream|worker process \d+ exited/);
my ($first, @others) = $cluster->nodes;


# --------------------------------------------------- a queue that was alone

my $http = $first->{http};
$first->launch(http => '');
my @codes = map { $first->publish('t', "old $_") } 1 .. 30;
is(scalar(grep { defined } @codes), 30, 'a queue without a cluster');
$first->stop;

$first->launch(http => $http);
$_->launch for @others;
wait_for { $first->log =~ /are of a queue without a cluster: make a file/ }
         'its node says that it wants to be told';
# longer than the last node would wait until it makes a stream
run_for(5 * slower());
is(($cluster->who)[1], 0, 'nobody is primary until then');
$cluster->seed($first);
my ($mq, $number, $epoch) = $cluster->primary;
is($number, 1, 'then it is');
is(scalar(() = $mq->codes(topic => 't', status => -1, limit => 1000)), 30,
   'with what it had');
wait_for { $mq->log =~ /checkpoint \d+: / } 'a checkpoint goes to the stream';
push @codes, map { $mq->publish('t', "new $_") } 1 .. 10;

wait_for { $cluster->checkpointed(@others) } 'and to the others';
$first->kill_all;
($mq, $number, $epoch) = $cluster->primary($epoch + 1);
$mq->counts_become({ unconsumed => 40 }, 'the next primary has all of it');
$first->launch;
push @codes, map { $mq->publish('t', "newer $_") } 1 .. 10;
ok(!-e directory($first) . '/seed', 'what was asked is done once');


# -------------------------------------------------------- the stream is lost

sleep 0.5;
$cluster->nats->kill_all;
remove_tree("$cluster->{nats}{dir}/n$_") for 1 .. 3;
$cluster->nats->launch_all;
my ($behind) = grep { $_ != $mq } $cluster->nodes;
$cluster->seed($behind);
wait_for { $behind->log =~ /those of node \d reach further/ }
         'no stream is made from files that another node has more than';
unlink directory($behind) . '/seed';
$cluster->seed($mq);
my $before = $mq;
($mq, $number, $epoch) = $cluster->primary($epoch + 1);
is($mq, $before, 'but from those of the last primary');
$mq->counts_become({ unconsumed => 50 }, 'and nothing is missing');
push @codes, map { $mq->publish('t', "newest $_") } 1 .. 10;
wait_for { !grep { $_->log !~ /was made anew from the files of node $number/ }
           grep { $_ != $mq } $cluster->nodes } 'the others follow it';
wait_for { $cluster->checkpointed($cluster->nodes) } 'with its checkpoint';
$mq->kill_all;
($mq, $number, $epoch) = $cluster->primary($epoch + 1);
$mq->counts_become({ unconsumed => 60 }, 'the next primary has all of it');
my %there = map { $_ => 1 } $mq->codes(topic => 't', status => -1,
                                       limit => 1000);
is(scalar(grep { !defined || !$there{$_} } @codes), 0, 'with their codes');
$cluster->tell if !Test::More->builder->is_passing;

$cluster->finish;
done_testing;
