# The clock: what was delayed comes at its time by the wall clock, however long
# nginx was off; with Debian's package "faketime".

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use Time::HiRes qw(time);
use KapokMQ::Disk;
use KapokMQ::Test;

use constant { HOUR => 3600, SHORT => 2 };

# What faketime(1) would preload.
sub library {
    for my $path (glob '/usr/lib{,64}/{*/,}faketime/libfaketime.so.1') {
        return $path if -e $path;
    }
    return;
}

my $library = library();
plan skip_all => 'no libfaketime: apt-get install faketime' unless $library;
plan skip_all => 'not with a preloaded sanitizer' if $ENV{KMQ_PRELOAD};

# An environment in which it is so many seconds later than it is. The clock that
# does not jump begins anew with each boot, so it does not matter here.
sub later {
    my ($seconds) = @_;

    return {
        LD_PRELOAD => $library, FAKETIME => "+${seconds}s",
        FAKETIME_DONT_FAKE_MONOTONIC => 1,
    };
}

# What workers keep of it, which lose their environment else.
my $keep = join ' ', map { "env $_;" }
           qw(LD_PRELOAD FAKETIME FAKETIME_DONT_FAKE_MONOTONIC);

for my $mode (2, 1) {
    my $mq = KapokMQ::Test->start(
        main => $keep,
        yaml => { isPersistent => $mode, persistentTime => 0.1 });
    my %code = (
        hour => $mq->publish('topic', 'in an hour', HOUR),
        day  => $mq->publish('topic', 'in a day', 24 * HOUR),
    );

    # off for longer than the delay
    written($mq);
    $mq->kill_all;
    $mq->launch(env => later(HOUR + 5));
    my $consumer = $mq->consumer('topic', 'c1', ack => 1);
    wait_for { $consumer->got($code{hour}) }
             "isPersistent $mode: what was due while nginx was off comes";
    is($mq->find($code{day})->{Status}, 0, 'what is not due waits');
    my $created = hex substr $code{hour}, 32;
    cmp_ok($consumer->messages->[0]{CreateTime}, '==', $created,
           'its CreateTime is that of its making');
    wait_for { $mq->find($code{hour})->{Status} == 1 } 'it is consumed';
    cmp_ok($mq->find($code{hour})->{ConsumedTime} - $created, '>=', HOUR,
           'an hour later');

    # the same from a checkpoint, and a clean stop
    my $generation = generation($mq);
    $mq->{allow} = qr/exited on signal 9/;
    kill_worker($mq);
    is_checkpointed($mq, $generation);
    $mq->stop('QUIT');
    $mq->launch(env => later(24 * HOUR + 5));
    $consumer = $mq->consumer('topic', 'c1', ack => 1);
    wait_for { $consumer->got($code{day}) } 'the other one a day later';
    is_deeply([$consumer->codes], [$code{day}], 'alone');
    $mq->finish;
}

# Off for less than the delay: what is left of it is waited for. With a clock
# that stands still nothing tells what is early, so this is in real time.
for my $end (qw(KILL QUIT)) {
    my $mq = KapokMQ::Test->start(yaml => { isPersistent => 2 });
    my $sent = time;
    my $code = $mq->publish('topic', 'soon', SHORT);

    $end eq 'KILL' ? $mq->kill_all : $mq->stop($end);
    $mq->launch;
    my $consumer = $mq->consumer('topic', 'c1', ack => 1);
    ok(time < $sent + SHORT && !$consumer->got($code)
       && $mq->find($code)->{Status} == 0
       || time > $sent + SHORT, "$end: it waits still");
    wait_for { $consumer->got($code) } 'it comes';
    cmp_ok($consumer->at->[0] - $sent, '>=', SHORT - 0.002, 'not early');
    $mq->finish;
}

# A clock that was set back: no message is lost, and none is early.
{
    my $mq = KapokMQ::Test->new(
        main => $keep, yaml => { isPersistent => 2 }, env => later(HOUR));
    $mq->launch;
    my $ready = $mq->publish('topic', 'ready');
    my $delayed = $mq->publish('topic', 'delayed', 1);
    $mq->kill_all;
    $mq->launch(env => {});
    is($mq->find($ready)->{Status}, -1, 'made in the future: it is there');
    is($mq->find($delayed)->{Status}, 0, 'what is not due waits');
    my $consumer = $mq->consumer('topic', 'c1', ack => 1);
    wait_for { $consumer->got($ready) } 'and comes';
    my $new = $mq->publish('topic', 'new');
    wait_for { $consumer->got($new) } 'as does a new one';
    is($mq->find($delayed)->{Status}, 0, 'what is not due waits still');
    $mq->finish;
}

# A clock that does not jump, but counts from the epoch, as under faketime and
# in some virtual machines.
for my $mode (0, 2) {
    my $mq = KapokMQ::Test->start(
        main => 'env LD_PRELOAD; env FAKETIME;',
        env => { LD_PRELOAD => $library, FAKETIME => '+0s' },
        yaml => { isPersistent => $mode, pushRetryTime => 1 },
        allow => qr/exited on signal 9/);
    my $consumer = $mq->consumer('topic', 'c1', confirm => 'ack');
    my $code = $mq->publish('topic', 'soon', 0.2);
    my $later = $mq->publish('topic', 'later', SHORT);
    ok($code && $later, "isPersistent $mode: messages are taken");
    wait_for { $consumer->got($code) && $consumer->got($later) } 'they come';
    wait_for { @{$consumer->messages} >= 4 } 'and again, unconfirmed';
    kill_worker($mq);
    $consumer = $mq->consumer('topic', 'c2', ack => 1);
    wait_for { $mq->counts->{unconsumed} == 0 } 'a successor delivers';
    is(scalar(() = $mq->log =~ /exited on signal/g), 1, 'no other one died');
    $mq->finish;
}

done_testing;
