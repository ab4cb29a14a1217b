# How far a client in mode pong has come: there is a ping behind each 64th
# message at least, and behind each while its pongs take longer than a second.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use List::Util qw(max);
use Test::More;
use KapokMQ::Test;

use constant { STEP => 64, SLOW => 1 };

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
            push @pings, { since => $since, payload => $frame->{payload} };
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

    $raw->send(10, $_->{payload}) for @pings;
}

sub unconsumed {
    my ($n, $name) = @_;

    return $mq->counts_become({ unconsumed => $n }, $name);
}

# --- one consumer
{
    my $raw = $mq->raw('/Consumers/Conn/one/c1', key => 'sesame');
    $raw->next_text;

    # nothing waits for a pong: one behind the run; then each 64th has one
    publish('one', 1);
    my @pings = pings($raw, 1);
    is(@pings, 1, 'a ping');
    publish('one', 3 * STEP);
    my @more = pings($raw, 3 * STEP);
    is_deeply([map { $_->{since} } @more], [(STEP) x 3],
              'there is one behind each 64th');
    unconsumed(1 + 3 * STEP, 'none is answered');
    answer($raw, @pings, $more[0]);
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
    publish('one', 1);
    @more = pings($raw, 1);
    publish('one', STEP - 1);
    is((grep { $raw->next_frame->{opcode} != 1 } 1 .. STEP - 1), 0,
       'one ping is enough');
    answer($raw, @more);
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

    publish('all', 1);
    my @pings = pings($slow, 1);
    run_for(1.2 * SLOW);
    my $before = $quick->pings;
    publish('all', 2 * STEP);
    push @pings, pings($slow, 2 * STEP);
    is_deeply([map { $_->{since} } @pings], [(1) x (1 + 2 * STEP)],
              'the slow one is asked behind each');
    wait_for { @{$quick->messages} == 1 + 2 * STEP } 'the other one gets all';
    cmp_ok($quick->pings - $before, '<', STEP, 'and is not asked so often');
    is_deeply([$quick->data], [map { "m$_" } 1 .. $number], 'all, in order');
    answer($slow, @pings);
    unconsumed(0, 'all are confirmed');
    $slow->close;
    $quick->finish;
}

$mq->finish;
done_testing;
