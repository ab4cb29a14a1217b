# kill -9 under load, at random moments: of whoever is primary, of the stream's
# leader, of both, of a standby; what was killed comes back.  With isPersistent
# 2 nothing that was answered "ok" is missing at the end.
#
#     make cluster-kills KILLS=n      100 unless given

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use Time::HiRes qw(time);
use KapokMQ::Cluster;
use KapokMQ::Disk;
use KapokMQ::Disk::Surge;
use KapokMQ::Test;

plan skip_all => 'no nats-server' unless KapokMQ::Nats::version();

my $kills = $ENV{KMQ_KILLS} || 100;
alarm(90 * $kills + 300);
srand($ENV{KMQ_SEED} // time);

my $cluster = KapokMQ::Cluster->start(
    timeout => $ENV{KMQ_TIMEOUT} // '1s',
    yaml => { isPersistent => 2, pushRetryTime => 300, prefetch => 50 },
    topics => "    news: { pushType: 2 }\n", zone => '128m',
    allow => qr/cluster: |stream|worker process \d+ exited/);
my ($mq, $number, $epoch) = $cluster->primary;
my $surge = KapokMQ::Disk::Surge->new($mq, mode => 2, rate => 3000);
my (%count, %took);

# Clients come to whoever is primary now, and the first message comes to one of
# them.
sub connect_again {
    my ($time, $victim) = @_;
    my $got = $surge->got;

    $surge->moves($mq);
    $surge->connect;
    ok($surge->run(sub { $surge->got > $got }), 'a message comes');
    push @{$took{$victim}}, time - $time;
}

# Until so many more are answered, or clients are thrown off: 1 then.
sub run_more {
    my ($more) = @_;
    my $goal = $surge->accepted + $more;
    my $off = 0;

    $surge->run(sub {
        $off = grep { $_->{eof} } @{$surge->{conns}};
        return $off || $surge->accepted >= $goal;
    }) or fail('messages come and go');
    return $off;
}

$surge->connect;
for my $round (1 .. $kills) {
    my $victim = (qw(primary leader both standby))[int rand 4];
    my $off = run_more(100 + rand 1500);
    my $time = time;
    my $leader = $cluster->leader;
    my ($standby) = grep { $_ != $mq } $cluster->nodes;
    my $killed = $victim =~ /primary|both/ ? $mq
                 : $victim eq 'standby' ? $standby : undef;

    $count{$victim}++;
    $cluster->nats->kill($leader) if $victim =~ /leader|both/;
    if ($killed) {
        $killed->signal('STOP');
        my @pids = ($killed->{pid}, KapokMQ::Test::_children($killed->{pid}));
        kill 'KILL', @pids;
        wait_for { $killed->_ended($killed->{pid})
                   || !is_running($killed->{pid}) } "round $round: $victim";
        delete $killed->{group};
    }

    if ($off || ($killed // 0) == $mq) {
        $surge->killed($time);
        my $next = $epoch + (($killed // 0) == $mq);
        ($mq, $number, $epoch) = $cluster->primary($next);
        connect_again($time, $off ? 'thrown off before' : $victim);
    } elsif (run_more(200)) {
        $surge->killed($time);
        ($mq, $number, $epoch) = $cluster->primary($epoch);
        connect_again($time, "$victim, others");
    }

    $cluster->nats->launch($leader) if $victim =~ /leader|both/;
    if ($killed) {
        $killed->launch;
        wait_for { $cluster->heard($killed) } 'it is back';
    }
    my $wrong = $surge->faults;
    is($wrong, '', "round $round: $victim");
    last if $wrong ne '';
}

if (grep { $_->{eof} } @{$surge->{conns}}) {
    $surge->killed(time);
    ($mq) = $cluster->primary($epoch);
    $surge->moves($mq);
    $surge->connect;
}
$surge->drain;
is($surge->faults, '', 'what must be there is, what must not is not');
diag(sprintf '%s; accepted %d, refused or unsure %d, settled %d, to come %d, '
     . 'came again %d', join(', ', map { "$count{$_} $_" } sort keys %count),
     map { $surge->$_ } qw(accepted refused settled kept again));
diag("timeout=$cluster->{timeout}; ", join '; ', map {
    my @sorted = sort { $a <=> $b } @{$took{$_}};
    sprintf '%s: %.1f to %.1f s until a message came, %.1f at the median', $_,
            $sorted[0], $sorted[-1], $sorted[@sorted / 2]
} sort keys %took);
$cluster->tell if !Test::More->builder->is_passing;

$cluster->finish;
done_testing;
