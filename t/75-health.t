# GetHealth: what is wrong with any topic or client, however many there are.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use KapokMQ::Test;

# s: one with a message is stuck after half of it
use constant RETRY => 6;

my $mq = KapokMQ::Test->start(
    yaml   => { checkSpeed => 0.1, heartbeat => 0 },
    topics => <<"YAML");
    bad:    {maxDeliveries: 1, confirm: ack}
    worse:  {maxDeliveries: 1, confirm: ack}
    stuck:  {pushRetryTime: @{[RETRY]}, retryDelay: 60, retryDelayMax: 60,
             confirm: ack}
    silent: {heartbeat: 0.3}
YAML

sub health {
    return $mq->post('/Console/GetHealth')->{data};
}

sub worst {
    my ($kind, $member) = @_;

    return join ' ', map { $_->{$member} } @{health()->{$kind}{Worst}};
}

my $start = health();
is_deeply([sort keys %$start], [sort qw(Time Paced NoConsumers Slow Dead Paused
    Stuck Resting Silent Alone)], 'the members');
is_deeply($start->{Alone}, [], 'nothing counts on other machines');
is_deeply($start->{$_}, { Count => 0, Messages => 0, Worst => [] },
          "nothing is wrong: $_")
    for qw(NoConsumers Slow Dead Paused Stuck Resting Silent);
is($start->{Paced}, undef, 'and nothing is paced');
cmp_ok(abs($start->{Time} - time), '<', 600, 'the time');


# One that is slow: this takes until the end.
my $slow = $mq->login('/Consumers/Conn/slow/one?confirm=ack&prefetch=1');
$mq->publish('slow', $_) for 1 .. 3;
wait_for { @{$slow->messages} == 1 } 'it has one';
is(health()->{Slow}{Count}, 0, 'the others have not waited for long');


# --- topics that nobody listens to: the five that have waited for longest

$mq->publish('alone-1', 'm');
wait_for { health()->{NoConsumers}{Count} == 1 } 'one topic is alone';
$mq->publish("alone-$_", 'm') for 2 .. 7;
is(health()->{NoConsumers}{Count}, 1, 'others are not yet');
wait_for { health()->{NoConsumers}{Count} == 7 } 'then seven are';
my $alone = health()->{NoConsumers};
is($alone->{Messages}, 7, 'with so many messages');
is(@{$alone->{Worst}}, 5, 'five are named');
is($alone->{Worst}[0]{Topic}, 'alone-1', 'the oldest one first');
my ($oldest, @younger) = map { $_->{OldestWaiting} } @{$alone->{Worst}};
is_deeply([grep { $_ < $oldest } @younger], [], 'then the younger ones');
is($alone->{Worst}[0]{Consumers}, 0, 'without consumers');
is($alone->{Worst}[0]{Messages}, 1, 'and how many wait');
$mq->post('/Console/PurgeTopic', { topic => "alone-$_" }) for 2 .. 7;
my $listens = $mq->consumer('alone-1', 'c1', ack => 1);
wait_for { health()->{NoConsumers}{Count} == 0 } 'none is alone any more';


# --- topics that are paused: named as that, and as nothing else

sub pause {
    my ($topic, $how) = @_;

    $mq->post("/Console/${how}Topic", { topic => $topic });
}

$mq->publish('held-1', 'm');
wait_for { worst('NoConsumers', 'Topic') eq 'held-1' } 'one is alone';
pause('held-1', 'Pause');
is(health()->{NoConsumers}{Count}, 0, 'it is paused, and not that any more');
is_deeply(health()->{Paused}{Worst}, [{ Topic => 'held-1', Messages => 1,
    Consumers => 0, OldestWaiting => health()->{Paused}{Worst}[0]
    {OldestWaiting} }], 'but paused');
pause('alone-1', 'Pause');
is(health()->{Paused}{Count}, 1, 'one without a backlog is not named');
$mq->publish('alone-1', $_) for 1 .. 2;
is(health()->{Paused}{Count}, 2, 'until something waits');
is(health()->{Paused}{Messages}, 3, 'three in all');
is(worst('Paused', 'Topic'), 'held-1 alone-1', 'by their age');
pause($_, 'Resume') for qw(held-1 alone-1);
is(health()->{Paused}{Count}, 0, 'resumed');
$mq->post('/Console/PurgeTopic', { topic => 'held-1' });


# --- dead messages, the most of them first

for ([bad => 2], [worse => 3]) {
    my ($topic, $n) = @$_;
    my $gives_up = $mq->consumer($topic, 'gives-up');

    $mq->publish($topic, "m$_") for 1 .. $n;
    wait_for { @{$gives_up->messages} == $n } "$topic: $n messages";
    $gives_up->send("-$_") for $gives_up->codes;
    wait_for { $mq->post('/Console/GetTopic', { topic => $topic })
               ->{data}{Dead} == $n } 'are dead';
    $gives_up->finish;
}
is(health()->{Dead}{Count}, 2, 'two topics have dead ones');
is(health()->{Dead}{Messages}, 5, 'five in all');
is(worst('Dead', 'Topic'), 'worse bad', 'the worst one first');
is(worst('Dead', 'Messages'), '3 2', 'with how many');


# --- consumers: stuck, then overdue, so that it rests; one that says nothing

my $stuck = $mq->consumer('stuck', 'hangs');
$mq->publish('stuck', 'm');
# it is for a few seconds
my $hangs;
wait_for { ($hangs) = @{health()->{Stuck}{Worst}} } 'one is stuck';
is($hangs->{Id}, 'hangs', 'it is named');
is($hangs->{Topic}, 'stuck', 'with its topic');
is($hangs->{Role}, 'consumer', 'and role');
is($hangs->{InFlight}, 1, 'and what it has');
cmp_ok($hangs->{OldestInFlight}, '>=', RETRY / 2, 'for half of the time');
my ($listed) = grep { $_->{Id} eq 'hangs' }
               @{$mq->post('/Console/GetClientList')->{data}};
is($hangs->{Connection}, $listed->{Connection}, 'and its connection');
wait_for { health()->{Resting}{Count} == 1 } 'it is overdue: it rests';
is(worst('Resting', 'Id'), 'hangs', 'and is named');
is(health()->{Stuck}{Count}, 0, 'and is stuck no more');
is(health()->{Resting}{Worst}[0]{OldestInFlight}, undef, 'it has nothing');

my $silent = $mq->consumer('silent', 'silent', pong => 0);
wait_for { health()->{Silent}{Count} == 1 } 'one is silent';
is(worst('Silent', 'Id'), 'silent', 'and is named');


# --- many topics and clients

my @many = map { $mq->consumer("crowd-$_", "c$_") } 1 .. 300;
is(health()->{NoConsumers}{Count}, 0, 'the first ones have consumers');
$_->drop for @many;
$mq->publish("crowd-$_", 'm') for 1 .. 300;
wait_for { health()->{NoConsumers}{Count} == 300 } '300 topics are looked at';
$mq->post('/Console/PurgeTopic', { topic => "crowd-$_" }) for 1 .. 300;


# --- a topic whose consumer does not keep up

wait_for { health()->{Slow}{Count} == 1 } 'one is slow';
my ($lags) = @{health()->{Slow}{Worst}};
is_deeply([@$lags{qw(Topic Messages Consumers)}], ['slow', 2, 1],
          'what waits, and for how many consumers');


# --- pacing is a setting that has a name

$mq->renew(yaml => { %{$mq->{yaml}}, pushMessagesSpeed => 0.5,
                     sendCount => 10 });
wait_for { health()->{Paced} } 'it is paced';
is_deeply(health()->{Paced}, { PushMessagesSpeed => 0.5, SendCount => 10 },
          'and how');


# --- settings that count on other machines

is(scalar(() = $mq->log =~ /this queue is on one machine/g), 0,
   'they were not named');
$mq->renew(topics => "    a: {}\ncluster: {isCluster: 1}\nsync: {isSync: 1}\n");
wait_for { @{health()->{Alone}} } 'they are';
is_deeply(health()->{Alone}, [qw(isCluster isSync)], 'both');
like($mq->log, qr/\[warn\].*isCluster\ is\ 1,\ isSync\ is\ 1\ in\ ".*application.yaml",
                  \ but\ this\ queue\ is\ on\ one\ machine:
                  \ "kapokmq_cluster"/x, 'and what helps, in the log');
$mq->finish;
done_testing;
