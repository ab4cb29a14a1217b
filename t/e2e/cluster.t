# The page Cluster in Chromium, of three nginx with a nats-server: who is
# primary, whose settings are others, a step down; in both languages, on a screen
# and on a telephone.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Cwd qw(abs_path);
use Test::More;
use KapokMQ::Cluster;
use KapokMQ::Console;
use KapokMQ::Test;

plan skip_all => 'no nats-server' unless KapokMQ::Nats::version();

my $include = abs_path('conf/cluster/kapokmq_primary.conf');
my $cluster = KapokMQ::Cluster->new(
    servers => 1, workers => 1, timeout => '1s',
    allow => qr/cluster:\ |prematurely\ closed|Connection\ refused
              |reset\ by\ peer|appending\ to\ the\ stream\ failed/x,
    conf => "kapokmq_primary \@primary; include $include; " . page_location());
my $third = $cluster->node(3);
my %yaml = %{$third->{yaml}};

for my $node ($cluster->nodes) {
    $cluster->takes_hops($node);
    $node->launch($node == $third ? (yaml => { %yaml, prefetch => 7 }) : ());
}
$cluster->primary;

run_browser($cluster->node(1), 'cluster.js',
            same => sub { $third->reload(yaml => \%yaml) },
            is_primary => sub { $cluster->primary($_[0]) });
$cluster->tell if !Test::More->builder->is_passing;
$cluster->finish;
done_testing;
