# Three nginx and three nats-servers: while the stream's servers have no quorum,
# messages are refused as soon as the primary knows, and it heals by itself; an
# election of the stream's leader ends no connection.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use KapokMQ::Cluster;
use KapokMQ::Disk;
use KapokMQ::Test;

plan skip_all => 'no nats-server' unless KapokMQ::Nats::version();

my $stalls = qr/cluster: |stream|a checkpoint|worker process \d+ exited/;
my $silent = 'not stored: the stream does not acknowledge';

my $cluster = KapokMQ::Cluster->start(
    workers => 1, timeout => '2s', allow => $stalls,
    yaml => { isPersistent => 2, pushRetryTime => 300 });
my ($mq, $number, $epoch) = $cluster->primary;

# What came of a message by HTTP: status and text.
sub send_one {
    my ($topic, $data) = @_;
    my ($status, $json) = $mq->post('/Producer/Send',
                                    { topic => $topic, messageData => $data });

    return "$status $json->{msg}";
}

# One that is answered with its code, by whoever is primary.
sub heals {
    my ($topic, $data, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    wait_for {
        ($mq, $number, $epoch) = $cluster->primary($epoch);
        return (eval { send_one($topic, $data) } // '') =~ /^200 [0-9a-f]{40}$/;
    } $name;
}


# ---------------------------------------------------------------- no quorum

my $unsure = $mq->producer('t', 'unsure');
my $consumer = $mq->consumer('t', 'c', ack => 1);
my $early = $mq->producer('t', 'early');
$early->send('taken');
wait_for { "@{$early->texts}" eq 'ok' } 'a message is taken';
@{$early->texts} = ();
$cluster->nats->kill($_) for 0, 1;
$unsure->send('unsure');
wait_for { $mq->log =~ /messages are refused until it does/ }
         'without a quorum the primary knows that nothing is acknowledged';

is(send_one('t', 'refused'), "503 $silent", 'a message is refused');
my $batch = $mq->{ua}->post(
    'http://127.0.0.1:' . $mq->port . '/Producer/Send',
    { secretKey => 'sesame' },
    json => [ map +{ topic => 't', messageData => "refused $_" }, 1, 2 ])
    ->result;
is($batch->code . ' ' . $batch->json->{msg}, "503 $silent", 'and a batch');
$early->send($_) for 'refused 3', 'refused 4';
wait_for { @{$early->texts} == 2 } 'a producer is answered';
is_deeply($early->texts, [ ("error: $silent") x 2 ], 'and knows why');

$unsure->send('refused 5');
wait_for { @{$unsure->texts} == 2 } 'who waited has answers at last';
like($unsure->texts->[0], qr/^error: not confirmed as stored: /,
     'what was sent may be there');
is($unsure->texts->[1], "error: $silent", 'and then what was not');
ok(!$_->closed, 'clients stay') for $unsure, $early, $consumer;

$cluster->nats->launch($_, 0) for 0, 1;
$cluster->nats->wait_ready($_) for 0, 1;
heals('t', 'healed', 'it heals by itself');

# Without a quorum for long, another node may become primary then.
my %got;
wait_for {
    if ($consumer->closed) {
        ($mq, $number, $epoch) = $cluster->primary($epoch);
        $consumer = eval { $mq->consumer('t', 'c2', ack => 1) } // $consumer;
    }
    $got{$_} = 1 for $consumer->data;
    return $got{healed};
} 'and goes on';
is(scalar(grep { /^refused/ } keys %got), 0, 'what was refused is nowhere');
$cluster->tell if !Test::More->builder->is_passing;
$cluster->finish;


# -------------------------------------------------------- the stream's leader

$cluster = KapokMQ::Cluster->start(
    workers => 1, timeout => '8s', allow => $stalls,
    yaml => { isPersistent => 2, pushRetryTime => 300 });
($mq, $number, $epoch) = $cluster->primary;
my $producer = $mq->producer('e', 'p');
$consumer = $mq->consumer('e', 'c', ack => 1);
$producer->send('before');
wait_for { "@{$producer->texts}" eq 'ok' } 'a message before the election';
my $leader = $cluster->leader;
$cluster->nats->kill($leader);
$producer->send('while it lasts');
wait_for { @{$producer->texts} == 2 } 'one that is sent meanwhile is answered';
heals('e', 'after', 'the stream has another leader');
is(($cluster->who)[1], $epoch, 'the primary stays');
ok(!$_->closed, 'and so do its clients') for $producer, $consumer;
wait_for { grep { $_ eq 'after' } $consumer->data } 'which go on';
$cluster->nats->launch($leader);
$cluster->tell if !Test::More->builder->is_passing;

$cluster->finish;
done_testing;
