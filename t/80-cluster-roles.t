# Three nginx and three nats-servers: what ends a primary, and what does not.
# Worker deaths and reloads do not; without a quorum it waits, and its clients
# stay; one that stood still finds that another is primary, lets its clients go
# and becomes a standby; one that stops steps down first.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use Time::HiRes qw(time);
use KapokMQ::Cluster;
use KapokMQ::Test;

plan skip_all => 'no nats-server' unless KapokMQ::Nats::version();

my $cluster = KapokMQ::Cluster->start(
    workers => 2, timeout => '2s', yaml => { isPersistent => 2, pushRetryTime => 300 },
    allow => qr/cluster: |stream|checkpoint|signal 9|worker process \d+ exited/);
my ($mq, $number, $epoch) = $cluster->primary;

my @sent;

# what was not answered may be there, or not
my $unsure = 0;
my $serial = 0;

# Publishes so many, which are answered, by whoever is primary then.
sub publish {
    my ($count, $name) = @_;
    my $deadline = time + KapokMQ::Test::PATIENCE;
    my $goal = @sent + $count;

    while (@sent < $goal && time < $deadline) {
        my $data = 'm' . ++$serial;
        if (defined eval { $mq->publish('t', $data) }) {
            push @sent, $data;
        } else {
            $unsure++;
            ($mq, $number, $epoch) = $cluster->primary($epoch);
        }
    }
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is(scalar @sent, $goal, "$name: messages are taken");
}

# All that were answered are there.
sub all_there {
    my ($name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    wait_for {
        my $n = $mq->counts->{unconsumed};
        $n >= @sent && $n <= @sent + $unsure;
    } "$name: all are there";
}

sub same_epoch {
    my ($name) = @_;
    my (undef, $now) = $cluster->who;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is($now, $epoch, "$name: the same epoch");
}


# ------------------------------------------------- deaths, a reload: no change

publish(20, 'at first');

for my $worker ($mq->worker_pids) {
    kill 'KILL', $worker;
    wait_for { !is_running($worker) && $mq->worker_pids == 2
               && $cluster->serves($number) }
             'a worker was killed, and another one serves';
}
publish(20, 'after deaths');
$mq->reload;
publish(20, 'after a reload');
all_there('after a reload');
run_for(2);
same_epoch('after a while');
is(scalar(() = $mq->log =~ /goes on as the node's/g) > 0, 1,
   'a worker went on in the place of a dead one');


# ------------------------------------------------------- no quorum of servers

my $client = $mq->producer('t', 'p1');
$cluster->nats->kill($_) for 0, 1;
$client->send('unsure');
wait_for { @{$client->texts} } 'without a quorum there is an answer at last';
like($client->texts->[0] // '', qr/^error: not (?:confirmed as )?stored: /,
     'which says so');
ok(!$client->closed, 'the client stays');
$cluster->nats->launch($_, 0) for 0, 1;
$cluster->nats->wait_ready($_) for 0, 1;
# another node may become primary then
wait_for {
    ($mq, $number, $epoch) = $cluster->primary($epoch);
    my ($status) = $mq->post('/Producer/Send',
                             { topic => 'x', messageData => 'y' });
    $status == 200
} 'it heals by itself';
($mq, $number, $epoch) = $cluster->primary;
publish(10, 'after that');


# -------------------------------------------------------- one that stood still

my $old;
wait_for {
    ($mq, $number, $epoch) = $cluster->primary($epoch);
    $client = eval { $mq->consumer('none', 'c1') };
} 'a consumer';
$old = $mq;
my @pids = ($old->{pid}, $old->worker_pids);
kill 'STOP', @pids;
my $before = $number;
($mq, $number, $epoch) = $cluster->primary($epoch + 1);
isnt($number, $before, 'another one is primary');
publish(10, 'while the old one stands still');
kill 'CONT', @pids;
wait_for { $client->closed } "the old one's client is told";
is($client->closed->[0], 1001, 'with 1001');
wait_for { $old->log =~ /this node is a standby/ } 'and it is a standby';
publish(10, 'and then');


# ------------------------------------------------------------ one that stops

my $time = time;
$old = $mq;
$mq->signal('QUIT');
($mq, $number, $epoch) = $cluster->primary($epoch + 1);
cmp_ok(time - $time, '<', 5 * slower(), 'one that stops has stepped down');
like($old->log, qr/this node stops, and has stepped down/, 'and says so');
wait_for { $old->_ended($old->{pid}) } 'it has ended';
delete $old->{group};
diag(sprintf 'stepped down in %.2f s', time - $time);

# Another primary may come meanwhile, on a machine that is busy.
my %got;
my $consumer;
wait_for {
    if (!$consumer || $consumer->closed) {
        ($mq, $number, $epoch) = $cluster->primary;
        $consumer = eval { $mq->consumer('t', 'last', ack => 1) };
    }
    %got = (%got, map { $_ => 1 } $consumer->data) if $consumer;
    !grep { !$got{$_} } @sent
} 'all that was answered has come';
diag('missing: ', join ' ', grep { !$got{$_} } @sent)
    if grep { !$got{$_} } @sent;

$old->launch;
wait_for { $old->log =~ /epoch $epoch: node \d+ is primary.*
                         epoch\ $epoch:\ node\ \d+\ is\ primary/xs
           || $old->log =~ /epoch $epoch: node \d+ is primary/ }
         'it comes back as a standby';
$cluster->tell if !Test::More->builder->is_passing;

$cluster->finish;
done_testing;
