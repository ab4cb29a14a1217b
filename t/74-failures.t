# What an operator sees of deliveries that fail and of consumers that do not
# keep up: in the console's answers and in the metrics; and what the next
# consumer is told.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Mojo::JSON qw(true false);
use Test::More;
use Time::HiRes qw(time);
use KapokMQ::Blocking;
use KapokMQ::Metrics qw(read_text);
use KapokMQ::Test;

# So long do messages wait that are to be seen waiting.
use constant LONG => 600;

my $mq = KapokMQ::Test->start(
    yaml => { confirm => 'ack', pushRetryTime => 300, retryDelay => LONG,
              retryDelayMax => LONG },
    topics => <<'YAML', conf => <<'CONF');
    overdue: { pushRetryTime: 2 }
    twice: { retryDelay: 0 }
    dies: { maxDeliveries: 2, retryDelay: 0 }
YAML
location = /metrics { kapokmq_metrics; }
CONF

sub ask { return $mq->post("/Console/$_[0]", { @_[1 .. $#_] })->{data} }

sub metrics {
    my $ua = Mojo::UserAgent->new(max_connections => 0);

    return read_text($ua->get("http://127.0.0.1:$mq->{port}/metrics")
                     ->result->body)->{samples};
}

sub client {
    my ($id) = @_;

    return (grep { $_->{Id} eq $id } @{ask('GetClientList')})[0];
}

# What is told of a message's failures, in a list of messages, too.
sub failure_is {
    my ($code, $wanted, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $message = $mq->find($code);
    my ($listed) = grep { $_->{MessageCode} eq $code } @{ask('GetMessageList')};
    my @members = qw(Status Attempts LastError LastErrorCode Suspect);
    is_deeply([@$message{@members}], $wanted, $name)
        or diag(explain $message);
    is_deeply([@$listed{@members}], $wanted, 'the same in the list');
    is($listed->{NextTry}, $message->{NextTry}, 'as is its next try');

    return $message->{NextTry};
}

# Seconds from now on, which may be a whole one more or less.
sub about {
    my ($next, $seconds, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return ok(defined $next && abs($next - time - $seconds) < LONG / 4, $name)
           || diag($next // 'null');
}

sub retrying_is {
    my ($topic, $n) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    wait_for { ask('GetTopic', topic => $topic)->{Retrying} == $n }
             "$topic: $n between two tries";
}

my $all = 'kapokmq_redeliveries_total';
is(metrics()->{qq($all\{reason="$_"})}, 0, "no $_")
    for qw(end return overdue uncharged);


# --- given back

my $consumer = $mq->consumer('given', 'giver');
my $given = $mq->publish('given', 'x');
wait_for { $consumer->got($given) } 'pushed';
is($consumer->messages->[0]{Attempts}, undef, 'for the first time');
is($mq->find($given)->{NextTry}, undef, 'in flight: no next try');
$consumer->send("-$given 100");
retrying_is('given', 1);
about(failure_is($given, [-1, 1, 'given back', 'return', false],
                 'one that was given back'), 100, 'when it was asked for');
is($mq->find($given)->{DueTime}, undef, 'which is no delay');
is($mq->counts->{unconsumed}, 1, 'it counts as unconsumed');
is(ask('GetTopic', topic => 'given')->{Waiting}, 0, 'but does not wait');

# the first time there is no back-off
my $again = $mq->publish('given', 'y');
wait_for { $consumer->got($again) } 'another one';
$consumer->send("-$again");
wait_for { $consumer->got($again) == 2 } 'is pushed again at once';
is($consumer->messages->[-1]{Attempts}, 2, 'as the second attempt');
$consumer->send($again);
wait_for { $mq->find($again)->{Status} == 1 } 'and consumed';
failure_is($again, [1, 2, 'given back', 'return', false],
           'which leaves its failure to be seen');

# a late word
$consumer->send($given);
wait_for { $mq->find($given)->{Status} == 1 } 'a late code confirms it';
retrying_is('given', 0);
is_deeply($consumer->texts, [], 'without an error');
$consumer->finish;


# --- its consumer has gone

$consumer = $mq->consumer('gone', 'goes');
my $gone = $mq->publish('gone', 'x');
wait_for { $consumer->got($gone) } 'pushed';
my $behind = $mq->publish('gone', 'y');
wait_for { $consumer->got($behind) } 'and another one behind it';
$consumer->drop;
wait_for { $mq->find($gone)->{LastErrorCode} } 'its consumer goes';
failure_is($gone, [-1, 1, 'consumer gone', 'end', true],
           'one whose consumer has gone');
failure_is($behind, [-1, 0, undef, undef, false], 'not the one behind it');
$consumer = $mq->consumer('gone', 'next');
wait_for { $consumer->got($gone) } 'it goes to the next one';
is($consumer->messages->[-1]{Attempts}, 2, 'as the second attempt');
is(@{$consumer->messages}, 1, 'alone');
$consumer->send($gone);
wait_for { $consumer->got($behind) } 'then the other one';
is($consumer->messages->[-1]{Attempts}, 1,
   'as the first attempt, which is not its first push');
$consumer->send($behind);
wait_for { $mq->counts->{unconsumed} == 0 } 'all are consumed';
is($mq->find($gone)->{Suspect}, false, 'it is a suspect no more');
$consumer->finish;


# --- overdue, and who let it

my $hangs = $mq->consumer('overdue', 'hangs');
my $late = $mq->publish('overdue', 'x');
wait_for { $hangs->got($late) } 'pushed';
is(client('hangs')->{Resting}, false, 'its consumer does not rest');
# who is there before the other one rests, and is never late, whatever we do
my $other = KapokMQ::Blocking->start($mq,
    '/Consumers/Conn/overdue/other?confirm=ack', ack => 1);
retrying_is('overdue', 1);
about(failure_is($late, [-1, 1, 'overdue', 'overdue', false],
                 'one that is overdue'), LONG, 'after its back-off');
is(client('hangs')->{Resting}, true, 'its consumer rests');
is((grep { $_->{ConsumerId} eq 'hangs' && $_->{Resting} }
    @{ask('GetConsumers')}), 1, 'in the plain list, too');
is(ask('GetTopic', topic => 'overdue')->{Resting}, 1, 'one of its topic');
is_deeply([@{ask('GetOverview')}{qw(Retrying Resting Waiting)}], [1, 1, 0],
          'one of all');
my $metrics = metrics();
is($metrics->{$_}, 1, $_)
    for 'kapokmq_messages_retrying', 'kapokmq_consumers_resting',
        'kapokmq_topic_messages_retrying{topic="overdue"}',
        'kapokmq_topic_consumers_resting{topic="overdue"}';
is($metrics->{"kapokmq_topic_$_\{topic=\"given\"}"}, 0, "none elsewhere: $_")
    for qw(messages_retrying consumers_resting);

# another one gets what comes, and a purge what is between two tries
my @codes = map { $mq->publish('overdue', $_) } 1 .. 20;
wait_for { $other->messages == 20 } 'the other one gets what comes';
is(@{$hangs->messages}, 1, 'the one that rests nothing');
wait_for { ask('GetTopic', topic => 'overdue')->{Consumed} == 20 }
         'and consumes it';
is(ask('PurgeTopic', topic => 'overdue'), 1, 'purged between two tries');
retrying_is('overdue', 0);
$_->finish for $hangs, $other;
wait_for { ask('GetOverview')->{Resting} == 0 } 'nobody rests who has gone';


# --- in flight, and silent

my $quiet = $mq->login('/Consumers/Conn/quiet/quiet?confirm=ack&heartbeat=0.1',
                       pong => 0);
is(client('quiet')->{Heartbeat}, 0.1, 'a heartbeat of its own');
is(client('quiet')->{OldestInFlight}, undef, 'nothing in flight');
my $held = $mq->publish('quiet', 'x');
wait_for { client('quiet')->{Silent} } 'who answers no ping is silent';
is((grep { $_->{ConsumerId} eq 'quiet' && $_->{Silent} }
    @{ask('GetConsumers')}), 1, 'in the plain list, too');
wait_for { client('quiet')->{InFlight} == 1 } 'and stays';
wait_for { $quiet->pings } 'it was pinged';
wait_for { client('quiet')->{OldestInFlight} >= 1 } 'how long it has it';
wait_for { metrics()->{kapokmq_oldest_in_flight_age_seconds} >= 1 }
         'the longest of all';
$quiet->send($held);
wait_for { !client('quiet')->{Silent} } 'who speaks is not';
wait_for { !defined client('quiet')->{OldestInFlight} }
         'nothing is in flight any more';
wait_for { metrics()->{kapokmq_oldest_in_flight_age_seconds} == 0 }
         'with anybody';
my $producer = $mq->login('/Producers/Conn/quiet/sends?heartbeat=0.1',
                          pong => 0);
wait_for { client('sends')->{Silent} } 'a producer may be silent';
is((grep { $_->{Silent} } @{$mq->clients->{producers}}), 1,
   'which is seen, too');
$_->finish for $quiet, $producer;


# --- dead

$consumer = $mq->consumer('dies', 'kills');
my $victim = $mq->publish('dies', 'x');
for my $n (1, 2) {
    wait_for { $consumer->got($victim) == $n } "attempt $n";
    $consumer->send("-$victim");
}
wait_for { $mq->counts->{dead} == 1 } 'dead by the second failure';
is(failure_is($victim, [2, 2, 'given back', 'return', false], 'and why'),
   undef, 'it is not tried again');
is($mq->requeue(messageCode => $victim), 1, 'requeued');
wait_for { $consumer->got($victim) == 3 } 'it is pushed';
is($consumer->messages->[-1]{Attempts}, undef, 'as if new');
$consumer->send($victim);
wait_for { $mq->counts->{dead} == 0 && $mq->counts->{unconsumed} == 0 }
         'and consumed';
$consumer->finish;


# --- how many there were: given twice and killed twice; one end, and one that
# was taken back with it; one overdue

my %failures = (end => 1, return => 4, overdue => 1, uncharged => 1);
is_deeply(ask('GetOverview')->{Failures}, \%failures, 'all failures');
is(metrics()->{qq($all\{reason="$_"})}, $failures{$_}, "reason $_")
    for sort keys %failures;


# --- what we end is none

$consumer = $mq->consumer('twice', 'stays');
my $spared = $mq->publish('twice', 'x');
wait_for { $consumer->got($spared) } 'pushed';
ask('Disconnect', connection => client('stays')->{Connection});
wait_for { $consumer->closed } 'an operator ends it';
failure_is($spared, [-1, 0, undef, undef, false], 'that is no failure');
$consumer = $mq->consumer('twice', 'next');
wait_for { $consumer->got($spared) } 'it is pushed at once';
is($consumer->messages->[0]{Attempts}, 1, 'and said to have been');
$consumer->send("-$spared 0");
wait_for { $consumer->got($spared) == 2 } 'one that was not begun';
failure_is($spared, [-1, 1, undef, undef, false], 'is none, too');
is($consumer->messages->[-1]{Attempts}, 1, 'it is still the first');
$consumer->send("-$spared 5s");
wait_for { @{$consumer->texts} } 'seconds that are none';
like($consumer->texts->[0], qr/^error: a number of seconds/, 'are refused');
is($mq->find($spared)->{InFlight}, true, 'and the message stays');
$consumer->send($spared);
wait_for { $mq->counts->{unconsumed} == 0 } 'all are consumed';
$consumer->finish;


# --- large ones are sent another way, and say the same

my $large = join '', map { chr 97 + $_ % 26 } 0 .. 299_999;
$consumer = $mq->consumer('large', 'c1', keep_raw => 1);
my $big = $mq->publish('large', $large);
wait_for { $consumer->got($big) } 'a large one';
$consumer->send("-$big");
wait_for { $consumer->got($big) == 2 } 'again';
is($consumer->raw->[1], $consumer->raw->[0] =~ s/\}\z/,"Attempts":2}/r,
   'with one member more');
is($consumer->messages->[1]{MessageData}, $large, 'it is whole');
$consumer->send($big);
wait_for { $mq->counts->{unconsumed} == 0 } 'and consumed';
$consumer->finish;

$mq->finish;
done_testing;
