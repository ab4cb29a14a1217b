# What days of operation bring, by counters: millions of messages pass, and
# stream and files stay bounded, since checkpoints are made and what they cover is
# purged. A standby is away for half of them, and another one is new: its
# directory is empty.
#
#     make cluster-days MESSAGES=n      10,000,000 unless given

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use File::Path qw(remove_tree);
use List::Util qw(max sum0);
use Mojo::JSON qw(decode_json);
use Test::More;
use KapokMQ::Cluster;
use KapokMQ::Disk;
use KapokMQ::Test;

use constant {
    SLICES => 20,
    # MiB: of the zone, most of which is history; and of the stream, and of a
    # node's files, at most: a checkpoint, the 64 MiB of journals behind which
    # the next one is due, and what comes while that is made
    ZONE => 32, MOST => 256,
};

plan skip_all => 'no nats-server' unless KapokMQ::Nats::version();

my $load = "$KapokMQ::Suite::Root/build/bench/kmq-load";
plan skip_all => "no $load: make -C bench" unless -x $load;

my $messages = $ENV{KMQ_MESSAGES} || 10_000_000;
alarm($messages / 2000 + 600);

my $cluster = KapokMQ::Cluster->start(
    workers => 1, timeout => '3s', zone => ZONE . 'm',
    yaml => { isPersistent => 2 },
    allow => qr/cluster: |stream|worker process \d+ exited/);
my ($mq, $number, $epoch) = $cluster->primary;
my ($away, $new) = grep { $_ != $mq } $cluster->nodes;
my ($passed, %most) = (0);

# MiB
sub of_files { return sum0(map { -s } files($_[0])) / 1048576 }

sub of_stream {
    return max(map {
        ($cluster->nats->stream_state($_, 'orders') // '') =~ /bytes=(\d+)/
            ? $1 / 1048576 : 0
    } 0 .. 2);
}

# So many messages are sent, come, and are confirmed, each once, in order.
sub go_through {
    my ($name, $count) = @_;
    my ($port, $key, $dir) = ($mq->port, KapokMQ::Test::KEY, $mq->dir);
    my $text = `$load --port $port --key $key --producers 8 --consumers 8 \\
        --window 100 --messages $count --warmup 0 --timeout 3600 \\
        2>$dir/load.log`;
    my $result = eval { decode_json($text) } // {};

    $passed += $result->{delivered} // 0;
    is_deeply([map { $result->{$_} // '' } qw(accepted delivered lost duplicate
                                              disorder)],
              [$count, $count, 0, 0, 0], "$name: all come, once, in order")
        or diag($text, slurp("$dir/load.log"));
}

# The files of nodes that run, and the stream, as they are now.
sub look {
    my %now = (stream => of_stream());

    $now{'n' . ($_ + 1)} = of_files($cluster->node($_ + 1))
        for grep { $cluster->node($_ + 1)->{group} } 0 .. 2;
    $most{$_} = max($now{$_}, $most{$_} // 0) for keys %now;
}

# It has all that the primary had.
sub has_caught_up {
    my ($node, $name) = @_;

    wait_for {
        my ($self) = grep { $_->{Self} }
                     @{($node->post('/Console/GetNodes') // {})->{data} // []};
        my ($primary) = grep { $_->{Role} eq 'primary' && $_->{There} }
                        @{($node->post('/Console/GetNodes') // {})->{data} // []};
        $self && $primary && $self->{Lag} < 100
    } "$name has caught up";
}

for my $slice (1 .. SLICES) {
    if ($slice == SLICES / 4 + 1) {
        $away->kill_all;
    } elsif ($slice == 3 * SLICES / 4 + 1) {
        $away->launch;
        has_caught_up($away, 'the one that was away');
        $new->kill_all;
        remove_tree(directory($new));
        $new->launch;
        has_caught_up($new, 'the one that is new');
    }
    go_through("slice $slice", int $messages / SLICES);
    look();
}

is(($cluster->who)[1], $epoch, 'the same primary all the time');
cmp_ok(scalar(() = $mq->log =~ /checkpoint \d+: /g), '>=', 1,
       'checkpoints were made');
cmp_ok($most{$_}, '<', MOST, "$_ is bounded") for sort keys %most;
diag(sprintf '%d messages, %d checkpoints; MiB at most: %s', $passed,
     scalar(() = $mq->log =~ /checkpoint \d+: /g),
     join ', ', map { sprintf '%s %.1f', $_, $most{$_} } sort keys %most);

# What a node has counted, and what waits.
sub counted {
    my $now = $mq->post('/Console/GetOverview')->{data};

    return join ' ', map { "$_ $now->{$_}" }
                     qw(Published Confirmed Waiting InFlight);
}

# alone, the new one is primary next, and has it all
my $before = counted();
$away->kill_all;
$mq->kill_all;
($mq) = $cluster->primary($epoch + 1);
is($mq, $new, 'the new one is primary');
is(counted(), $before, 'and has counted the same');
$cluster->tell if !Test::More->builder->is_passing;

$cluster->finish;
done_testing;
