# Three nginx and three nats-servers at their first start: one server comes when
# all is at work, and the others go. It is the same stream for all. A setting
# that a node has otherwise is named.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use Time::HiRes qw(time);
use KapokMQ::Cluster;
use KapokMQ::Test;

plan skip_all => 'no nats-server' unless KapokMQ::Nats::version();

for my $round (1 .. $ENV{KMQ_ROUNDS} || 2) {
    my $cluster = KapokMQ::Cluster->new(
        workers => 1, timeout => '2s',
        yaml => { isPersistent => 2, pushRetryTime => 300 },
        allow => qr/cluster: |stream|worker process \d+ exited/);
    my $nats = $cluster->nats;
    my ($mq, $number, $epoch);

    $nats->kill(2);
    $_->launch for $cluster->nodes;
    ($mq, $number, $epoch) = $cluster->primary;
    ok(1, "round $round: there is a primary with two servers");
    my $count = 0;
    my $publish = sub {
        my ($name) = @_;
        wait_for {
            ($mq, $number, $epoch) = $cluster->primary($epoch);
            ($count += defined eval { $mq->publish('t', "m$count") }) >= 10
        } "$name: messages are taken";
        $count = 0;
    };
    $publish->('with two');
    # Who made it says so, if the answer came within the two seconds for which it
    # waits. In two of three rounds it did not: one of the servers has just been
    # killed, and it took the others seven seconds until the stream was there.
    # Then that node finds it, as the others do, and none says that it made it.
    # What matters is that no two do.
    cmp_ok(scalar(map { $_->log =~ /stream "orders" was made/g }
                  $cluster->nodes),
           '<=', 1, 'no two nodes made the stream');
    wait_for { 3 == grep { $_->log =~ /follows stream "orders"/ }
                         $cluster->nodes } 'all of them follow it';
    is(scalar(map { $_->log =~ /follows stream "orders"/g } $cluster->nodes),
       3, 'and did not begin twice');
    $nats->launch(2);
    wait_for { $cluster->replicated } 'the third server has it, too';
    for my $place (0, 1) {
        $nats->kill($place);
        $publish->("without server $place");
        $nats->launch($place);
        wait_for { $cluster->replicated } 'it is there again';
    }
    is(scalar(map { $_->log =~ /.*lacks what.*|.*is not the one.*/g }
              $cluster->nodes), 0, 'it is the same stream for all');
    $cluster->tell if !Test::More->builder->is_passing;
    $cluster->finish;
}


# ------------------------------------------------------------------- settings

my $cluster = KapokMQ::Cluster->new(
    servers => 1, workers => 1, timeout => '1s',
    yaml => { isPersistent => 2, pushRetryTime => 300 },
    allow => qr/cluster: |stream|worker process \d+ exited/);
my ($one, $other, $third) = $cluster->nodes;
my %yaml = %{$third->{yaml}};
$one->launch;
$other->launch;
$third->launch(yaml => { %yaml, prefetch => 7, retryDelay => 3 });
my ($mq) = $cluster->primary;

# What a node says of the others' settings, as GetNodes does.
sub differs {
    my ($node) = @_;

    return join ' ', map { "$_->{Node}: $_->{Differs}" }
                     grep { defined $_->{Differs} }
                     @{$node->post('/Console/GetNodes')->{data}};
}

for my $node ($one, $other) {
    wait_for { differs($node) eq 'n3: retryDelay, prefetch'
               || differs($node) eq 'n3: prefetch, retryDelay' }
             'a node names what another has otherwise';
    like($node->log, qr/\[warn\].* node 3 \(n3\) has other settings than this/,
         'and its log');
}
wait_for { differs($third) =~ /^n1: .*prefetch.* n2: .*prefetch/ }
         'that one does, too';
my $health = $mq->post('/Console/GetHealth')->{data}{Settings};
cmp_ok(scalar @$health, '>', 0, 'and so does the health of the primary');
like($health->[0]{Differs}, qr/prefetch/, 'which names it');
$third->reload(yaml => \%yaml);
wait_for { differs($one) eq '' } 'when it has the same settings all is well';
$cluster->tell if !Test::More->builder->is_passing;
$cluster->finish;
done_testing;
