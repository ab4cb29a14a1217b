# What is not confirmed in time is pushed again; a consumer may ask for more
# time ("+CODE") or give a message back at once ("-CODE").

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use List::Util qw(max sum);
use Test::More;
use Time::HiRes qw(time);
use KapokMQ::Test;

# The wall clock of the test and the queue's own differ by parts of a
# millisecond.
use constant { CLOCKS => 0.002, TRIES => 30 };

# Longer where the machine is busy.
my ($slower, %time);
BEGIN {
    $slower = slower();
    %time = (RETRY => 0.2 * $slower, KEEP => 0.3 * $slower,
             DEAF => 0.1 * $slower);
}
use constant \%time;

my ($longer, $deaf_time) = (KEEP, DEAF);
my $mq = KapokMQ::Test->start(
    yaml => { confirm => 'ack', pushRetryTime => RETRY, retryDelay => 0 },
    topics => <<"YAML");
    order:     { prefetch: 3 }
    many:      { prefetch: 5000 }
    pong:      { confirm: pong }
    slow:      { pushRetryTime: 300 }
    single:    { pushRetryTime: 300, prefetch: 1 }
    all:       { pushType: 2 }
    keep:      { pushRetryTime: $longer }
    all_keep:  { pushType: 2, pushRetryTime: $longer }
    all_pong:  { pushType: 2, confirm: pong }
    all_slow:  { pushType: 2, pushRetryTime: 300 }
    all_deaf:  { pushType: 2, pushRetryTime: $deaf_time }
YAML

my $consumed = 0;

# All that was published so far is consumed, $n more than the last time.
sub consumed {
    my ($n, $name) = @_;

    $consumed += $n;
    return $mq->counts_become(
        { unconsumed => 0, consumed => $consumed, dead => 0 }, $name);
}

sub got {
    my ($code, @consumers) = @_;

    return sum(map { $_->got($code) } @consumers);
}

sub leave {
    my $others = @{$mq->clients->{consumers}} - @_;

    $_->finish for @_;
    wait_for { @{$mq->clients->{consumers}} == $others } 'they leave';
}


# --- point to point: the oldest one is overdue, and when the next one is, too,
# all go back to the front; from then on the consumer gets one at a time, for it
# has confirmed nothing

my $alone = $mq->consumer('order', 'alone');
my $start = time;
ok($mq->publish_many('order', map { "m$_" } 1 .. 5), 'five messages');
wait_for { @{$alone->messages} >= 6 } 'three are pushed, and again';
is_deeply([($alone->data)[0 .. 5]], [qw(m1 m2 m3), (qw(m2)) x 3],
          'before those that wait');
my @codes = ($alone->codes)[0 .. 5];
is_deeply([@codes[3 .. 5]], [($codes[1]) x 3], 'with their codes');
for my $n (3 .. 5) {
    cmp_ok($alone->at->[$n], '>=', $start + ($n - 1) * RETRY - CLOCKS,
           "push $n + 1 is not early");
}
is_deeply([map { $_->{Attempts} } @{$alone->messages}[0 .. 5]],
          [(undef) x 3, 2, 3, 4], 'each says which attempt it is');
$alone->{ack} = 1;
$alone->send($alone->codes);
consumed(5, 'once confirmed it is over');
leave($alone);


# --- point to point: to another consumer; who is late does not count

# What depends on a consumer that keeps a message (below) can be seen only
# while the test itself is not kept from running: it notes its longest pause.
sub keep {
    my ($consumer, $what) = @_;
    my $keep = { last => time, pause => 0 };

    $keep->{id} = Mojo::IOLoop->recurring(0.02 => sub {
        my $now = time;
        $keep->{pause} = max($keep->{pause}, $now - $keep->{last});
        $keep->{last} = $now;
        $what->($consumer);
    });

    return $keep;
}

sub keep_end {
    my ($keep) = @_;

    Mojo::IOLoop->remove($keep->{id});
    return max($keep->{pause}, time - $keep->{last});
}

sub late {
    my $late = $mq->consumer('topic', 'late');
    my $code = $mq->publish('topic', 'm');
    wait_for { $late->got($code) } 'a message in flight';
    my $holder = $mq->consumer('topic', 'holder');
    my $keep = keep($holder, sub { $_[0]->send("+$code") });
    wait_for { $holder->got($code) } 'goes to another consumer in the end';
    my $before = $late->got($code);
    $late->send($code);
    run_for(0.1);
    my $unconsumed = $mq->counts->{unconsumed};
    $late->drop;
    wait_for { @{$mq->clients->{consumers}} == 1 } 'the late one leaves';
    run_for(0.05);
    my $sure = keep_end($keep) < RETRY / 2;

    if ($sure) {
        is($unconsumed, 1, 'a confirmation that comes too late is ignored');
        is($late->got($code), $before, 'the message stays where it is');
        is($holder->got($code), 1, 'and the late one has nothing to leave');
    }
    $holder->{ack} = 1;
    $holder->send($code);
    consumed(1, 'who has it confirms it');
    leave($holder);

    return $sure;
}

my $tries = 1;
$tries++ until late() || $tries == TRIES;
cmp_ok($tries, '<', TRIES, 'seen without a pause');


# --- "+CODE": three ways to write it, beside a message that is not kept

sub keeps {
    my ($topic, @others) = @_;
    my $keeper = $mq->consumer($topic, 'keeper');
    my @kept;
    my $keep = keep($keeper, sub {
        return if @kept < 3;
        $keeper->send("+$kept[0]", "\"+$kept[1]\"");
        $keeper->send_binary("+$kept[2]");
    });
    @kept = map { $mq->publish($topic, $_) } qw(bare quoted binary);
    my $code = $mq->publish($topic, 'not kept');
    my $last = $mq->publish($topic, 'last');
    wait_for { @{$keeper->messages} >= 5 } "$topic: five in flight";
    # the others stand behind nothing any more
    $keeper->send($last);
    my @all = ($keeper, map { $mq->consumer($topic, $_) } @others);

    wait_for { got($code, @all) >= 5 } 'one is pushed again and again';
    my $moved = grep { got($_, @all) != 1 } @kept;
    my $unconsumed = $mq->counts->{unconsumed};
    my $sure = keep_end($keep) < KEEP / 3;
    if ($sure) {
        is($moved, 0, 'those that are kept are not');
        is($unconsumed, 4, 'nor are they confirmed by it');
        wait_for { grep { got($_, @all) > 1 } @kept }
                 'when nobody keeps them they go on, too';
    }

    $_->{ack} = 1 for @all;
    $_->send($code, @kept) for @all;
    consumed(5, 'confirmed');
    leave(@all);

    return $sure;
}

for my $case (['keep', 'other'], ['all_keep']) {
    $tries = 1;
    $tries++ until keeps(@$case) || $tries == TRIES;
    cmp_ok($tries, '<', TRIES, 'seen without a pause');
}


# --- what is no such thing is ignored

my $holder = $mq->consumer('slow', 'holder');
my ($mine, $also) = map { $mq->publish('slow', "m$_") } 1, 2;
wait_for { @{$holder->messages} == 2 } 'two in flight';
my $thief = $mq->consumer('slow', 'thief');
$thief->send("-$mine", "+$mine", "\"-$also\"");
for my $client ($holder, $thief) {
    $client->send('-', '+', '"-"', '-' . 'x' x 40, '+' . '0' x 40,
                  '-' . '0' x 40, "--$mine", "- $mine", "-${mine}a",
                  '-' . substr($mine, 1), "-\"$mine\"", "\"-$mine");
}
run_for(0.2);
is(@{$holder->messages} + @{$thief->messages}, 2,
   "another consumer's code and what is none give nothing back");
is($mq->counts->{unconsumed}, 2, 'and confirm nothing');
is($_->closed, undef, 'nor do they end the connection') for $holder, $thief;
$holder->send($mine, $also);
consumed(2, 'the right codes confirm');
$holder->send("-$mine", "+$also");
run_for(0.1);
is($mq->counts->{unconsumed}, 0, 'what is confirmed is not given back');
leave($thief, $holder);

$holder = $mq->consumer('topic', 'holder');
$thief = $mq->consumer('other', 'thief');
my $code = $mq->publish('topic', 'm');
my $keep = Mojo::IOLoop->recurring(0.02 => sub { $thief->send("+$code") });
wait_for { $holder->got($code) >= 3 } 'nobody keeps what another one has';
Mojo::IOLoop->remove($keep);
$holder->{ack} = 1;
consumed(1, 'confirmed');
leave($holder, $thief);


# --- "-CODE", point to point

$alone = $mq->consumer('single', 'alone');
my ($first, $second) = map { $mq->publish('single', $_) } qw(first second);
my $back = 0;
for my $form ("-$first", "\"-$first\"", undef) {
    wait_for { $alone->got($first) == $back + 1 } 'pushed';
    defined $form ? $alone->send($form) : $alone->send_binary("-$first");
    $back++;
}
wait_for { $alone->got($first) == 4 } 'given back: pushed again at once';
is($alone->got($second), 0, 'before what waits');
$alone->{on_message} = sub { $_[0]->send("-$_[1]{MessageCode}") };
my $taker = $mq->consumer('single', 'taker', ack => 1);
$alone->send("-$first");
wait_for { $taker->got($first) && $taker->got($second) }
         'given back: goes to another consumer';
consumed(2, 'which confirms it');
leave($alone, $taker);


# --- publish/subscribe: again to the one that did not confirm it, alone

my $mute = $mq->consumer('all', 'mute');
# confirmed by being written, whatever time that takes us
my @others = map { $mq->consumer('all', "other$_", confirm => 'socket') }
             1 .. 3;
$start = time;
$first = $mq->publish('all', 'm1');
wait_for { $mute->got($first) >= 4 } 'publish/subscribe: pushed again';
for my $round (1 .. 3) {
    cmp_ok($mute->at->[$round], '>=', $start + $round * RETRY - CLOCKS,
           "push $round + 1 is not early");
}
$second = $mq->publish('all', 'm2');
my $late_one = $mq->consumer('all', 'late', confirm => 'socket');
my $third = $mq->publish('all', 'm3');
wait_for { $mute->got($_) } 'and the next' for $second, $third;
my $was = $mute->got($first);
wait_for { $mute->got($first) > $was + 1 } 'the first one comes again';
is($mute->got($_), 1, 'what is behind it does not') for $second, $third;
wait_for { !grep { !$_->got($third) } @others, $late_one } 'others get it, too';
is_deeply([$_->data], [qw(m1 m2 m3)], 'and each message once') for @others;
is_deeply([$late_one->data], ['m3'], 'and one that came later only new ones');
is($mq->counts->{unconsumed}, 3, 'nothing is consumed yet');

$start = time;
$mute->send($third);
wait_for { $mute->got($second) >= 3 } 'the last is confirmed: the others come';
my @second = grep { $mute->messages->[$_]{MessageCode} eq $second }
             0 .. $#{$mute->messages};
cmp_ok($mute->at->[$second[1]], '>=', $start + RETRY - CLOCKS, 'not early');
$was = $mute->got($second);
my $rounds = $mute->got($first) + 3;
wait_for { $mute->got($first) >= $rounds } 'both of them';
cmp_ok($mute->got($second), '>', $was, 'again and again');
is($mute->got($third), 1, 'but for what is confirmed');
is($mq->counts->{unconsumed}, 2, 'two are not consumed');
$mute->{ack} = 1;
consumed(3, 'until they are confirmed, too');
leave($mute, $late_one, @others);

# --- publish/subscribe: "-CODE"
$mute = $mq->consumer('all_slow', 'mute');
my $other = $mq->consumer('all_slow', 'other', ack => 1);
($first, $second) = map { $mq->publish('all_slow', "m$_") } 1, 2;
for my $round (1 .. 4) {
    wait_for { $mute->got($first) == $round } "push $round";
    $mute->send($round % 2 ? "-$first" : "\"-$first\"") if $round < 4;
}
wait_for { $_->got($second) } 'both get the other message' for $mute, $other;
is($mute->got($second), 1, 'which is not given back');
is_deeply([$other->data], [qw(m1 m2)], 'and nobody else is pushed it again');
is($mq->counts->{unconsumed}, 2, 'not consumed');
$mute->send($first, $second);
consumed(2, 'confirmed in the end');
leave($mute, $other);

# --- publish/subscribe: a consumer whose connection takes nothing
my $deaf = $mq->raw('/Consumers/Conn/all_deaf/deaf', key => 'sesame',
                    rcvbuf => 4096);
wait_for { @{$mq->clients->{consumers}} == 1 } 'one does not read';
$other = $mq->consumer('all_deaf', 'other', confirm => 'socket');
my $producer = $mq->producer('all_deaf', 'p1');
my $data = 'x' x 20_000;
$producer->send(map { "$_ $data" } 1 .. 300);
wait_for { @{$other->messages} == 300 } 'the other one gets all';
my %before = map { $_ => $mq->memory($_) } $mq->worker_pids;
run_for(10 * DEAF);
is(@{$other->messages}, 300, 'once each');
# six megabytes have been overdue ten times; a sanitizer has its own memory
for my $pid ($ENV{KMQ_PRELOAD} ? () : sort keys %before) {
    cmp_ok($mq->memory($pid) - $before{$pid}, '<', 10 * 1024,
           'and nothing heaps up for the one that reads nothing');
}
wait_for { @{$producer->texts} == 300 } 'and the producer its answers';
$deaf->reset;
consumed(300, 'it leaves: all are consumed');
leave($other);
$producer->finish;


# --- pong mode: the pong has to come in time

for my $topic (qw(pong all_pong)) {
    my $raw = $mq->raw("/Consumers/Conn/$topic/c1", key => 'sesame');
    $raw->next_text;
    $start = time;
    $mq->publish($topic, $_) for qw(m1 m2);
    my ($came, $ping) = (0);
    while ($came < 2) {
        my $frame = $raw->next_frame or last;
        $ping = $frame->{payload} if $frame->{opcode} == 9;
        $came++ if $frame->{payload} =~ /,"Attempts":/;
    }
    is($came, 2, "$topic: what got no pong is pushed again");
    cmp_ok(time, '>=', $start + 2 * RETRY - CLOCKS, 'not early');
    is($mq->counts->{unconsumed}, 2, 'not consumed');
    $consumed += 2;
    wait_for {
        $raw->send(10, $ping) if defined $ping;
        my $frame = $raw->next_frame(0.1);
        $ping = $frame && $frame->{opcode} == 9 ? $frame->{payload} : undef;
        $mq->counts->{unconsumed} == 0
    } 'a pong in time confirms both';
    is($mq->counts->{consumed}, $consumed, 'once each');
    $raw->close;
    wait_for { !@{$mq->clients->{consumers}} } 'it leaves';
}


# --- many at once

$mute = $mq->consumer('many', 'mute');
my $n = 2000;
ok($mq->publish_many('many', 1 .. $n), "$n messages");
wait_for { @{$mute->messages} >= $n } "$n in flight";
my @takers = map { $mq->consumer('many', "taker$_", confirm => 'socket') }
             1, 2;
consumed($n, 'all go to those who confirm');
wait_for { sum(map { scalar @{$_->messages} } @takers) == $n } 'once each';
my %seen = map { $_ => 1 } map { $_->data } @takers;
is(keys %seen, $n, 'none is missing');
leave($mute, @takers);


# --- a topic's own time, beside the common one

$mute = $mq->consumer('topic', 'mute');
my $slow = $mq->consumer('slow', 'mute');
$first = $mq->publish('slow', 'm');
$second = $mq->publish('topic', 'm');
wait_for { $mute->got($second) >= 5 && $slow->got($first) }
         'a topic with the common time';
is($slow->got($first), 1, 'and one with a longer one of its own');
$_->{ack} = 1 for $mute, $slow;
$slow->send($first);
consumed(2, 'confirmed');
leave($mute, $slow);
$mq->finish;


# --- isRePush 0

$mq = KapokMQ::Test->start(
    yaml => { confirm => 'ack', isRePush => 0, pushRetryTime => 0.1 },
    topics => "    all: { pushType: 2 }\n");
for my $topic (qw(one all)) {
    $mute = $mq->consumer($topic, 'mute');
    $code = $mq->publish($topic, 'm');
    wait_for { $mute->got($code) } "isRePush 0: pushed in topic $topic";
    run_for(0.3);
    is($mute->got($code), 1, 'and not again');
    $mute->send("-$code");
    wait_for { $mute->got($code) == 2 } 'but when it is given back';
    $mute->send($code);
    $mq->counts_become({ unconsumed => 0 }, 'confirmed');
    $mute->finish;
}
$mq->finish;
done_testing;
