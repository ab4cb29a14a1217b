# How far a client in mode pong has come: there is a ping behind each 64th
# message at least, and behind each while its pongs take longer than a second.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use List::Util qw(max);
use Test::More;
use Time::HiRes qw(time);
use KapokMQ::Test;

# SLOW: seconds; what depends on an answer that does not take so long can be
# seen only while the test itself is not kept waiting
use constant { STEP => 64, SLOW => 1, TRIES => 30 };

my $mq = KapokMQ::Test->start(topics => "    all: { pushType: 2 }\n");
my $number = 0;

# So many further messages.
sub publish {
    my ($topic, $n) = @_;

    ok($mq->publish_many($topic, map { 'm' . ++$number } 1 .. $n),
       "$n messages");
}

# Reads so many messages and a ping behind them. Returns the pings: each with
# the number of messages since the one before.
sub pings {
    my ($raw, $n) = @_;
    my ($messages, $since, @pings) = (0, 0);

    while ($messages < $n || $since) {
        my $frame = $raw->next_frame or last;
        if ($frame->{opcode} == 9) {
            push @pings, { %$frame, since => $since };
            $since = 0;
        } elsif ($frame->{payload} =~ /"MessageData":"m(\d+)"/) {
            $messages++;
            $since++;
        }
    }

    return @pings;
}

sub answer {
    my ($raw, @pings) = @_;

    $raw->send(10, $_->{payload}) for grep { $_->{opcode} == 9 } @pings;
}

sub all_answered {
    my ($raw) = @_;

    wait_for {
        my $frame = $raw->next_frame(0.01);
        answer($raw, $frame) if $frame;
        $mq->counts->{unconsumed} == 0;
    } 'all pings are answered';
}

sub unconsumed {
    my ($n, $name) = @_;

    return $mq->counts_become({ unconsumed => $n }, $name);
}

# There is a ping behind each until one is answered at once.
sub calm {
    my ($raw) = @_;

    for my $try (1 .. TRIES) {
        my $start = time;
        publish('one', 1);
        all_answered($raw);
        return if time - $start < 0.9 * SLOW;
    }
}

# What is done comes to its end in time at one of several tries; in between all
# is answered.  Returns what it returned then.
sub in_time {
    my ($raw, $what) = @_;

    for my $try (1 .. TRIES) {
        my $start = time;
        my @pings = $what->();
        return @pings if time - $start < 0.9 * SLOW;
        answer($raw, @pings);
        all_answered($raw);
        calm($raw);
    }

    return;
}

# --- one consumer
{
    my $raw = $mq->raw('/Consumers/Conn/one/c1', key => 'sesame');
    $raw->next_text;

    # nothing waits for a pong: one behind the run; then each 64th has one
    my ($ping, @more) = in_time($raw, sub {
        publish('one', 1);
        my @pings = pings($raw, 1);
        publish('one', 3 * STEP);
        return @pings, pings($raw, 3 * STEP);
    });
    is_deeply([map { $_->{since} } $ping, @more], [1, (STEP) x 3],
              'a ping, then there is one behind each 64th');
    unconsumed(1 + 3 * STEP, 'none is answered');
    answer($raw, $ping, $more[0]);
    unconsumed(2 * STEP, 'an answer confirms what was before that ping');

    run_for(1.2 * SLOW);
    publish('one', 10);
    push @more, pings($raw, 10);
    is_deeply([map { $_->{since} } @more[3 .. $#more]], [(1) x 10],
              'behind each, while an answer takes long');
    run_for(1.2 * SLOW);
    answer($raw, @more);
    unconsumed(0, 'all are answered');

    publish('one', 10);
    @more = pings($raw, 10);
    is_deeply([map { $_->{since} } @more], [(1) x 10],
              'and when it took long');
    answer($raw, @more);
    unconsumed(0, 'now it does not');
    calm($raw);
    my ($first, @frames) = in_time($raw, sub {
        publish('one', 1);
        my @pings = pings($raw, 1);
        publish('one', STEP - 1);
        while (STEP - 1 > grep { $_->{opcode} == 1 } @pings) {
            push @pings, $raw->next_frame // last;
        }
        return @pings;
    });
    is((grep { $_->{opcode} != 1 } @frames), 0, 'one ping is enough');
    answer($raw, $first);
    my $turn = $raw->next_frame;
    is($turn->{opcode}, 9, 'but when that is answered');
    answer($raw, $turn);
    unconsumed(0, 'so that all are confirmed');
    $raw->close;
}

# --- two that share what they get: only the one that is slow is asked so often
{
    my $slow = $mq->raw('/Consumers/Conn/all/slow', key => 'sesame');
    $slow->next_text;
    my $quick = $mq->consumer('all', 'quick');
    $number = 0;

    # the quick one is quick while the test is not kept waiting
    my $try = 0;
    my $sure;
    do {
        my $start = time;
        publish('all', 1);
        my @pings = pings($slow, 1);
        wait_for { @{$quick->messages} == $number } 'the other one gets it';
        $sure = time - $start < 0.9 * SLOW;
        run_for(1.2 * SLOW);

        my $before = $quick->pings;
        $start = time;
        publish('all', 2 * STEP);
        push @pings, pings($slow, 2 * STEP);
        is_deeply([map { $_->{since} } @pings], [(1) x (1 + 2 * STEP)],
                  'the slow one is asked behind each');
        wait_for { @{$quick->messages} == $number } 'the other one gets all';
        $sure &&= time - $start < 0.9 * SLOW;
        cmp_ok($quick->pings - $before, '<', STEP, 'and is not asked so often')
            if $sure;
        answer($slow, @pings);
        unconsumed(0, 'all are confirmed');
    } until $sure || ++$try == TRIES;
    ok($sure, 'seen without a pause');
    is_deeply([$quick->data], [map { "m$_" } 1 .. $number], 'all, in order');
    $slow->close;
    $quick->finish;
}

$mq->finish;
done_testing;
