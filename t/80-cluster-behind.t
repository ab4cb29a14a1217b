# A node that comes back behind a purge, while messages pass all the time: there
# is something behind whatever it reads, as a relay between it and its
# nats-server says. It finds the checkpoint, and tells how far behind it is until
# then.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use KapokMQ::Cluster;
use KapokMQ::Disk;
use KapokMQ::NatsRelay;
use KapokMQ::Test;

plan skip_all => 'no nats-server' unless KapokMQ::Nats::version();

my $cluster = KapokMQ::Cluster->start(
    servers => 1, workers => 1, timeout => '2s',
    yaml => { isPersistent => 2, pushRetryTime => 300 },
    allow => qr/cluster: |stream|signal 9|worker process \d+ exited/);
my ($mq) = $cluster->primary;
my ($away) = grep { $_ != $mq } $cluster->nodes;
my $nats = $cluster->nats;

# How many messages are in the stream, and the last one's sequence.
sub bounds {
    my $state = $nats->stream_state(0, 'orders') // '';

    return $state =~ /messages=(\d+) .*last_seq=(\d+)/;
}

# How far behind it says that it is itself.
sub lag {
    my ($node) = @_;
    my ($self) = grep { $_->{Self} }
                 @{($node->post('/Console/GetNodes') // {})->{data} // []};

    return $self ? $self->{Lag} : 0;
}

is(scalar(grep { defined } map { $mq->publish('t', "m$_") } 1 .. 50), 50,
   'messages are taken');
wait_for { $cluster->heard($away) && files($away) } 'a standby has followed';
$away->kill_all;
is(scalar(grep { defined } map { $mq->publish('t', "m$_") } 51 .. 60), 10,
   'and more, without it');
my ($worker) = $mq->worker_pids;
kill 'KILL', $worker;                   # a checkpoint is due then
wait_for { my ($messages, $last) = bounds(); $messages <= $last - 55 }
         'a checkpoint covers them, and they are purged';
is(scalar(grep { defined } map { $mq->publish('t', "m$_") } 61 .. 260), 200,
   'and more, behind it');

my $relay = KapokMQ::NatsRelay->start(($nats->addresses)[0]);
my $before = length $away->log;
$away->launch(http => $away->{http} =~ s/nats:\S+/"nats:\/\/" . $relay->address/er);
wait_for { log_since($away, $before) =~ /a checkpoint in the stream is looked/ }
         'it comes back, and looks for a checkpoint';
wait_for { lag($away) >= 200 } 'and says how far behind it is';
unlike(log_since($away, $before), qr/reading goes on/, 'it has none yet');
$relay->be_fast;
wait_for { log_since($away, $before) =~ /reading goes on behind entry/ }
         'it finds one though more comes behind it';
wait_for { lag($away) == 0 } 'and has caught up';
$cluster->tell if !Test::More->builder->is_passing;

$cluster->finish;
$relay->finish;
done_testing;
