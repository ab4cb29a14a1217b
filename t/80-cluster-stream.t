# Three nginx and three nats-servers: the stream stays bounded, since what a
# checkpoint covers is purged; a node that was away, or has nothing, goes on
# with the checkpoint in the stream; all of them may stop, or be killed, and
# begin again.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use File::Path qw(remove_tree);
use Test::More;
use Time::HiRes qw(time);
use KapokMQ::Cluster;
use KapokMQ::Disk;
use KapokMQ::Test;

plan skip_all => 'no nats-server' unless KapokMQ::Nats::version();

my $cluster = KapokMQ::Cluster->start(
    workers => 2, timeout => '2s', zone => '64m',
    yaml => { isPersistent => 2, pushRetryTime => 300 },
    allow => qr/cluster: |stream|signal 9|worker process \d+ exited/);
my ($mq, $number, $epoch) = $cluster->primary;

my (%code, $serial);

sub publish {
    my ($count, $name) = @_;
    my $taken = 0;

    for (1 .. $count) {
        my $data = 'm' . ++$serial . ('x' x 200);
        my $code = $mq->publish('t', $data) // next;
        $code{$code} = $data;
        $taken++;
    }
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is($taken, $count, "$name: messages are taken");
}

sub all_there {
    my ($name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $mq->counts_become({ unconsumed => scalar keys %code },
                       "$name: as many as were taken");
    wait_for {
        my %there = map { $_ => 1 } $mq->codes(topic => 't', status => -1,
                                               limit => 1000);
        !grep { !$there{$_} } keys %code
    } "$name: with their codes";
}

# Messages in the stream, as any of its servers has them.
sub messages {
    for my $place (0 .. 2) {
        my $state = $cluster->nats->stream_state($place, 'orders') // next;
        return $1 if $state =~ /messages=(\d+)/;
    }
    return -1;
}

# A worker that dies makes a checkpoint necessary.
sub checkpoint {
    my ($name) = @_;
    my $before = length $mq->log;
    my ($worker) = $mq->worker_pids;

    kill 'KILL', $worker;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    wait_for { log_since($mq, $before) =~ /checkpoint \d+: / }
             "$name: a checkpoint is made";
}

sub stop_node {
    my ($node) = @_;

    $node->kill_all;
}


# ----------------------------------------------------------- checkpoints, purge

my ($away, $empty) = grep { $_ != $mq } $cluster->nodes;

publish(150, 'at first');
stop_node($away);
stop_node($empty);
remove_tree(directory($empty));
checkpoint('while two nodes are away');
wait_for { my $n = messages(); $n >= 0 && $n < 120 }
         'what it covers is purged from the stream';
publish(50, 'behind the checkpoint');

for my $node ($away, $empty) {
    my $before = length $node->log;
    $node->launch;
    wait_for { log_since($node, $before) =~ /reading goes on behind entry/ }
             'a node that comes back goes on with the checkpoint';
    wait_for { files($node, qr/^checkpoint-[0-9a-f]+$/) == 1 }
             'and has its file';
}
publish(20, 'with all nodes');

wait_for { $cluster->heard($_) } 'it has heard the primary' for $away, $empty;


# ------------------------------------------------------------ the new ones take

my $first = $mq;
$mq->kill_all;
($mq, $number, $epoch) = $cluster->primary($epoch + 1);
all_there('one that came back is primary');
my $second = $mq;
my ($third) = grep { $_ != $first && $_ != $second } $cluster->nodes;
publish(20, 'with two nodes');
$mq->kill_all;
($mq, $number, $epoch) = $cluster->primary($epoch + 1);
is($mq, $third, 'the last node is primary, alone');
all_there('alone');
publish(20, 'alone');


# ------------------------------------------------------------------ all of them

$first->launch;
$second->launch;
publish(20, 'and all again');
checkpoint('with all nodes');
publish(20, 'behind another checkpoint');
stop_node($_) for $cluster->nodes;
$_->launch for $cluster->nodes;
($mq, $number, $epoch) = $cluster->primary($epoch + 1);
all_there('after all were killed');
publish(10, 'after that');
$_->stop for $cluster->nodes;
$_->launch for $cluster->nodes;
($mq, $number, $epoch) = $cluster->primary($epoch + 1);
all_there('after all were stopped');

my $text = `$KapokMQ::Suite::Root/build/kapokmq-dump -q @{[directory($mq)]} 2>&1`;
is($?, 0, 'kapokmq-dump finds nothing wrong in its files')
    or diag($text);
$cluster->tell if !Test::More->builder->is_passing;

$cluster->finish;
done_testing;
