# kill -9 of the master and all workers under load, again and again, with
# isPersistent 1 and 2: nothing is lost beyond the promise, and only what was in
# flight comes again.
#
#     KMQ_KILLS=n   how often, 5 unless given

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use Time::HiRes qw(time);
use KapokMQ::Disk;
use KapokMQ::Disk::Surge;
use KapokMQ::Test;

use constant TIME => 0.5;

# Messages in a round, and in a second. With mode 1 so few that their size alone
# is no reason to write them.
my %messages = (2 => 3000, 1 => 1000);
my %rate = (2 => 20_000, 1 => 1000);

my $kills = $ENV{KMQ_KILLS} || 5;
alarm(60 * $kills) if $kills > 5;

for my $mode (2, 1) {
    my $mq = KapokMQ::Test->start(
        yaml => { isPersistent => $mode, persistentTime => TIME,
                  pushRetryTime => 300, prefetch => 50 },
        topics => "    news: { pushType: 2 }\n", zone => '128m');
    my $surge = KapokMQ::Disk::Surge->new($mq, mode => $mode, time => TIME,
                                           rate => $rate{$mode});
    my $recovered = 0;

    for my $round (1 .. $kills) {
        $surge->connect;
        my $goal = $surge->accepted + $messages{$mode};
        # long enough that with mode 1 most of it is on disk
        my $start = time;
        ok($surge->run(sub {
            return $surge->accepted >= $goal
                   && ($mode == 2 || time > $start + 3 * TIME);
        }), "isPersistent $mode, round $round: messages come and go");
        my $before = length $mq->log;
        my $time = time;
        $mq->kill_all;
        $surge->killed($time);
        $mq->launch;
        $recovered++ if log_since($mq, $before) =~ /recovered from/;
    }
    $surge->connect;
    $surge->drain;
    is($surge->faults, '', "isPersistent $mode: what must be there is, "
                           . 'what must not is not');
    is($recovered, $kills, 'each start was a recovery');
    cmp_ok($surge->settled, '>', $kills * $messages{$mode} / 20,
           'many confirmations were known to be on disk');
    cmp_ok($surge->kept, '>', 10 * $kills, 'many messages were to come');
    cmp_ok($surge->again, '>', 0, 'some came again');
    diag(sprintf 'isPersistent %d: %d kills, accepted %d, pushed %d, '
         . 'settled %d, to come %d, came again %d', $mode, $kills,
         map { $surge->$_ } qw(accepted got settled kept again));
    is(scalar(files($mq, qr/damaged/)), 0, 'no file is damaged');
    $mq->finish;
}

done_testing;
