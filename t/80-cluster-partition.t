# Three machines, each with an nginx and a nats-server: the primary's is cut off
# from the others, then joined again. Never do two nodes say "ok", and what
# either said "ok" to is there.
#
# With a nats-server before 2.9.15 this can be done once: its replicas may differ
# after it (docs/cluster.md), and another loss is not survived then.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use KapokMQ::Cluster;
use KapokMQ::Network;
use KapokMQ::Rivals;
use KapokMQ::Test;

plan skip_all => 'no nats-server' unless KapokMQ::Nats::version();
my $network = KapokMQ::Network->new(3)
    or plan skip_all => 'no network namespaces';

my $rounds = KapokMQ::Nats::forgets() ? $ENV{KMQ_ROUNDS} || 2 : 1;
my $cluster = KapokMQ::Cluster->start(
    workers => 2, timeout => '1s', network => $network,
    yaml => { isPersistent => 2, pushRetryTime => 300 },
    allow => qr/cluster: |stream|worker process \d+ exited/);
my $rivals = KapokMQ::Rivals->new($cluster);
my ($mq) = $cluster->primary;
is($mq->log !~ /may lose what it has acknowledged/, KapokMQ::Nats::forgets(),
   'the log tells of an old nats-server');

for my $round (1 .. $rounds) {
    my $machine;
    my $changed = $rivals->round("round $round", sub {
        $machine = $_[1];
        ok($network->cut($machine), 'the primary is cut off');
    }, sub {
        ok($network->join($machine), 'and joined again');
    }, sub { $_[0] });
    ok($changed, 'another node took over');
}

$rivals->drain;
is($rivals->faults, '', 'never do two say "ok"');
diag(sprintf '%d accepted', $rivals->accepted);
$cluster->tell if !Test::More->builder->is_passing;

$cluster->finish;
$network->finish;
done_testing;
