# How long clients wait for a message while 100,000 others wait in the queue: when
# the primary is killed and the stream's leader is elsewhere, when that one is
# killed with it, and when the primary steps down.
#
#     make cluster-times

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use List::Util qw(max);
use Test::More;
use Time::HiRes qw(sleep time);
use KapokMQ::Cluster;
use KapokMQ::Test;

use constant MESSAGES => 100_000;

plan skip_all => 'no nats-server' unless KapokMQ::Nats::version();

my $load = "$KapokMQ::Suite::Root/build/bench/kmq-load";
plan skip_all => "no $load: make -C bench" unless -x $load;

alarm(1800);

my $rounds = $ENV{KMQ_ROUNDS} || 3;
my $cluster = KapokMQ::Cluster->start(
    workers => 1, timeout => '1s', zone => '128m',
    yaml => { isPersistent => 2, pushRetryTime => 300 },
    allow => qr/cluster: |stream|worker process \d+ exited/);
my ($timeout) = $cluster->{timeout} =~ /(\d+)/;
my $nats = $cluster->nats;
my ($mq, $number, $epoch) = $cluster->primary;
my %took;

my ($port, $key) = ($mq->port, KapokMQ::Test::KEY);
system("$load --port $port --key $key --ingest-only --producers 4 --window 100"
       . " --topic many --messages @{[MESSAGES]} >/dev/null 2>&1");
is($?, 0, 'messages wait');
is($mq->counts->{unconsumed}, MESSAGES, 'so many');

# Seconds from then on until a message has come to a client of the next primary.
sub until_message {
    my ($name, $time) = @_;

    ($mq, $number, $epoch) = $cluster->primary($epoch + 1);
    my $client;
    wait_for {
        $client //= eval { $mq->consumer('many', 'c', prefetch => 1) };
        $client && @{$client->messages}
    } "$name: a message comes";
    push @{$took{$name}}, time - $time;
    $client->drop if $client;
}

for my $round (1 .. $rounds) {
    for my $name ('primary', 'primary and leader') {
        wait_for { $cluster->whole } 'all that can be lost is there';
        my ($lost, $leader, $time) = ($mq, $cluster->leader, time);
        $nats->kill($leader) if $name =~ /leader/;
        $lost->kill_all;
        until_message($name, $time);
        $lost->launch;
        $nats->launch($leader) if $name =~ /leader/;
    }
    wait_for { $cluster->whole } 'all that can be lost is there';
    my $time = time;
    my ($status) = $mq->post('/Console/StepDown');
    is($status, 200, 'the primary steps down');
    until_message('step down', $time);
}

my %bound = (primary => $timeout + 1.5, 'primary and leader' => 10 + $timeout,
             'step down' => 1);
diag("timeout=$cluster->{timeout}; ", join '; ', map {
    "$_: " . join ' ', map { sprintf '%.2f', $_ } @{$took{$_}}
} sort keys %took);
cmp_ok(max(@{$took{$_}}), '<', $bound{$_} * slower(), "$_: soon enough")
    for sort keys %took;
$cluster->tell if !Test::More->builder->is_passing;

$cluster->finish;
done_testing;
