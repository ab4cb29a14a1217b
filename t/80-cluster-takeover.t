# Three nginx and three nats-servers: whoever is primary is killed under load,
# with isPersistent 2, again and again; a standby takes over, and the one that
# was killed comes back as a standby.  Nothing that was answered "ok" is
# missing.
#
#     KMQ_KILLS=n   how often, 3 unless given

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

my $kills = $ENV{KMQ_KILLS} || 3;
alarm(60 * $kills + 300) if $kills > 5;

my $cluster = KapokMQ::Cluster->start(
    yaml => { isPersistent => 2, pushRetryTime => 300, prefetch => 50 },
    topics => "    news: { pushType: 2 }\n", zone => '128m');
my ($mq, $number, $epoch) = $cluster->primary;
ok($mq, 'there is a primary');

my $surge = KapokMQ::Disk::Surge->new($mq, mode => 2, rate => 5000);
my @took;

for my $round (1 .. $kills) {
    $surge->connect;
    my $goal = $surge->accepted + 2000;
    ok($surge->run(sub { $surge->accepted >= $goal }),
       "round $round: messages come and go");
    my $time = time;
    $mq->kill_all;
    $surge->killed($time);
    my $killed = $mq;
    ($mq, $number, $epoch) = $cluster->primary($epoch + 1);
    push @took, sprintf '%.1f', time - $time;
    isnt($mq, $killed, "round $round: another is primary");
    $surge->moves($mq);
    $killed->launch;
}

$surge->connect;
$surge->drain;
is($surge->faults, '', 'what must be there is, what must not is not');
cmp_ok($surge->kept, '>', 10 * $kills, 'many messages were to come');
diag(sprintf '%d kills, accepted %d, pushed %d, settled %d, to come %d, came '
     . 'again %d; took %s s', $kills,
     (map { $surge->$_ } qw(accepted got settled kept again)), "@took");
$cluster->tell if !Test::More->builder->is_passing;

$cluster->finish;
done_testing;
