# Three nginx with three nats-servers, as clients see them who come to any node:
# the console tells who is primary, a standby hands on, one that steps down, or
# whose machine stands still, is followed by another.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Cwd qw(abs_path);
use List::Util qw(first);
use Test::More;
use KapokMQ::Cluster;
use KapokMQ::Stream;
use KapokMQ::Test;

plan skip_all => 'no nats-server' unless KapokMQ::Nats::version();

my $include = abs_path('conf/cluster/kapokmq_primary.conf');
my $cluster = KapokMQ::Cluster->new(
    timeout => '2s', yaml => { isPersistent => 2 },
    allow => qr/cluster:\ |prematurely\ closed|Connection\ refused|timed\ out|reset\ by\ peer
              |appending\ to\ the\ stream\ failed/x,
    conf => "kapokmq_primary \@primary; include $include;
             location = /metrics { kapokmq_metrics; }");
for my $node ($cluster->nodes) {
    $cluster->takes_hops($node, 'client_max_body_size 0;');
    $node->launch;
}
my ($primary, $number, $epoch) = $cluster->primary;
my ($standby, $other) = grep { $_ != $primary } $cluster->nodes;

# What a node tells of the cluster.
sub status {
    my ($node) = @_;
    my ($status, $json) = $node->post('/Console/GetNodes');

    return $json;
}

sub everywhere {
    my ($is, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return wait_for {
        !grep {
            !$_->each_answers('/Console/GetNodes', sub { $is->($_[1]) })
        } $cluster->nodes
    } $name;
}


# --- all know who is primary

everywhere(sub { ($_[0]{cluster}{Primary} // '') eq "n$number"
                 && @{$_[0]{data}} == 3 && !grep { !$_->{There} && !$_->{Self} }
                                                 @{$_[0]{data}} },
           'three nodes, and who is primary');
is(status($primary)->{cluster}{Role}, 'primary', 'the primary is one');
is(status($standby)->{cluster}{Role}, 'standby', 'a standby is one');
for my $node ($cluster->nodes) {
    my $tx = $node->{ua}->get('http://127.0.0.1:' . $node->port
                              . '/Console/Health');
    is($tx->res->code, 200, 'each of them is healthy');
    my $metrics = $node->{ua}->get('http://127.0.0.1:' . $node->port
                                   . '/metrics')->res->body;
    my $is = $node == $primary ? 1 : 0;
    like($metrics, qr/^kapokmq_cluster_primary $is$/m, 'and tells of itself');
    is($metrics =~ /^kapokmq_messages_waiting /m ? 1 : 0, $is,
       'the primary of the queue, too');
}


# --- a standby serves

my $code = $standby->publish('t', 'through a standby');
like($code // '', qr/^[0-9a-f]{40}$/, 'a message is taken');
is($other->find($code)->{MessageData}, 'through a standby',
   'and seen through the other one');
my $consumer = $other->consumer('t', 'c1', confirm => 'ack', ack => 1);
wait_for { @{$consumer->messages} == 1 } 'a consumer of the other one gets it';
$primary->counts_become({ consumed => 1 }, 'and confirms it');


# --- step down

my ($status, $json) = $standby->post('/Console/StepDown');
is($status, 200, 'the primary steps down');
isnt($json->{data}{Node} // '', "n$number", 'for another node');
like($primary->log, qr/\[notice\].*key "secretKey" from 127\.0\.0\.1: stepped down, in favour of "$json->{data}{Node}": $epoch/,
     'which is in its log');
wait_for { $consumer->closed } 'its clients are told';
is($consumer->closed->[0], 1001, 'to come again');
($primary, $number, $epoch) = $cluster->primary($epoch + 1);
everywhere(sub { ($_[0]{cluster}{Primary} // '') eq "n$number" },
           'all know the next one');
wait_for {
    (status($primary)->{cluster}{LastTakeovers}[0]{Why} // '') =~ /stepped down/
} 'and that one why';
($standby, $other) = grep { $_ != $primary } $cluster->nodes;
# what was confirmed within the last 0.1 s may come again
ok($standby->find($code), 'nothing is lost');


# --- a machine that stands still says nothing, and closes nothing

$consumer = $standby->consumer('t', 'c2');
my @stopped = ($primary->{pid}, $primary->worker_pids);
kill 'STOP', @stopped;
wait_for { $consumer->closed } 'what was handed to it is closed';
my ($next, $next_number) = $cluster->primary($epoch + 1);
isnt($next_number, $number, 'another one is primary');
wait_for { defined $standby->publish('t', 'goes on') } 'and serves';
kill 'CONT', @stopped;
everywhere(sub { ($_[0]{cluster}{Primary} // '') eq "n$next_number" },
           'the old one learns of it');
wait_for { ($primary->post('/Console/Ping'))[0] == 200 }
         'and hands on itself';

$cluster->finish;
done_testing;
