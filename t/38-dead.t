# maxDeliveries: a message whose deliveries have failed so often is dead. It is
# kept to be looked at, deleted or queued again. A reload, the death of a
# worker, or an operator kills no message.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use Time::HiRes qw(time);
use KapokMQ::Test;

# Longer where the machine is busy: who confirms does it in time.
my $slower;
BEGIN { $slower = slower() }
use constant { RETRY => 0.2 * $slower, DELAY => 0.1, CLOCKS => 0.002 };
my $retry = RETRY;

my $mq = KapokMQ::Test->start(
    allow => qr/exited on signal 9/,
    yaml => { confirm => 'ack', pushRetryTime => 300, retryDelay => DELAY },
    topics => <<"YAML");
    timeout:      { maxDeliveries: 3, pushRetryTime: $retry }
    never:        { pushRetryTime: 0.1, retryDelay: 0 }
    returned:     { maxDeliveries: 2, prefetch: 1 }
    gone:         { maxDeliveries: 2 }
    once:         { maxDeliveries: 1 }
    pong:         { maxDeliveries: 2, pushRetryTime: $retry, confirm: pong }
    all_timeout:  { pushType: 2, maxDeliveries: 3, pushRetryTime: $retry }
    all_returned: { pushType: 2, maxDeliveries: 2 }
    all_once:     { pushType: 2, maxDeliveries: 1 }
YAML

sub dead { return $mq->codes(status => 2, topic => $_[0]) }

sub dies {
    my ($topic, $code, $name) = @_;

    return wait_for { grep { $_ eq $code } dead($topic) } $name;
}

sub leave {
    my $others = @{$mq->clients->{consumers}} - @_;

    $_->finish for @_;
    wait_for { @{$mq->clients->{consumers}} == $others } 'they leave';
}

sub requeue { return $mq->post('/Console/RequeueMessage', { @_ }) }


# --- no confirmation in time

my $mute = $mq->consumer('timeout', 'mute');
my $start = time;
my $code = $mq->publish('timeout', 'hello "dead"');
dies('timeout', $code, 'a message dies');
cmp_ok(time, '>=', $start + 3 * (RETRY + DELAY) - CLOCKS, 'not early');
wait_for { $mute->got($code) == 3 } 'after three pushes';

my ($list) = $mq->page(status => 2);
is(@$list, 1, 'the dead are listed');
my $message = $list->[0];
is($message->{MessageCode}, $code, 'with their codes');
is($message->{Status}, 2, 'status 2');
is($message->{Attempts}, 3, 'how often they failed');
is($message->{ConsumedTime}, 0, 'not consumed');
ok(!exists $message->{MessageData}, 'and no data');
is($mq->find($code)->{MessageData}, 'hello "dead"', 'which is still there');
is($mq->find($code)->{Attempts}, 3, 'with the attempts');
is_deeply($mq->counts,
          { all => 1, consumed => 0, delay => 0, unconsumed => 0, dead => 1,
            notConsumed => 0, stateless => 0 },
          'counted');
is_deeply([$mq->codes(status => -1)], [], 'it does not wait any more');

run_for(2 * RETRY);
is($mute->got($code), 3, 'nor is it pushed');
$mute->send($code);
run_for(0.1);
is($mq->counts->{dead}, 1, 'a confirmation comes too late');

# --- again from the start
is_deeply([(requeue(messageCode => $code))[0, 1]],
          [200, { code => 0, data => 1 }], 'it is queued again');
wait_for { $mute->got($code) == 6 } 'and pushed three times more';
dies('timeout', $code, 'before it is dead again');
is($mq->find($code)->{Attempts}, 3, 'after three attempts');
is($mute->messages->[-1]{CreateTime}, $message->{CreateTime},
   'its time is that of the first');

my @codes = ($code, map { $mq->publish('timeout', "m$_") } 1 .. 4);
$mq->counts_become({ dead => 5, unconsumed => 0 }, 'others die, too');
is_deeply([sort(dead('timeout'))], [sort @codes], 'all are listed');
$mute->{ack} = 1;
is_deeply([(requeue(topic => 'timeout'))[0, 1]],
          [200, { code => 0, data => 5 }], 'all of the topic again');
$mq->counts_become({ all => 5, dead => 0, unconsumed => 0, consumed => 5 },
                   'this time they are confirmed');
is_deeply((requeue(topic => 'timeout'))[1], { code => 0, data => 0 },
          'nothing is left');
leave($mute);

# --- what cannot be queued again
my $waiting = $mq->publish('returned', 'waits');
my @no = (
    ['an unknown code', 404, messageCode => '0' x 40],
    ['a message that waits', qr/^4/, messageCode => $waiting],
    ['a consumed one', qr/^4/, messageCode => $code],
    ['what is no code', 400, messageCode => 'x'],
    ['nothing', 400],
    ['empty names', 400, messageCode => '', topic => ''],
);
for my $case (@no) {
    my ($name, $wanted, @what) = @$case;
    my ($status, $json) = requeue(@what);
    like($status, ref $wanted ? $wanted : qr/^$wanted$/, "$name: $wanted");
    is($json->{code}, -1, 'code -1');
    ok(length $json->{msg}, 'and a reason');
}
ok($mq->remove($waiting), 'deleted');

# --- no limit
$mute = $mq->consumer('never', 'mute');
$code = $mq->publish('never', 'm');
wait_for { $mute->got($code) >= 10 } 'maxDeliveries 0: on and on';
is($mq->counts->{dead}, 0, 'it does not die');
$mute->{ack} = 1;
$mq->counts_become({ unconsumed => 0 }, 'confirmed');
leave($mute);

# --- nobody answers the ping
$mute = $mq->consumer('pong', 'mute', pong => 0);
$code = $mq->publish('pong', 'm');
dies('pong', $code, 'no pong');
wait_for { $mute->got($code) == 2 } 'after two pushes';
leave($mute);


# --- given back; and the end of the topic

my $alone = $mq->consumer('returned', 'alone');
my ($first, $second, $third) = map { $mq->publish('returned', "m$_") } 1 .. 3;
for my $round (1, 2) {
    wait_for { $alone->got($first) == $round } "push $round";
    $alone->send("-$first");
}
dies('returned', $first, 'given back twice: dead');
wait_for { $alone->got($second) } 'the next has its turn';
is($mq->requeue(messageCode => $first), 1, 'queued again');
$alone->{ack} = 1;
$alone->send($second);
wait_for { @{$alone->messages} == 5 } 'all come';
is_deeply([($alone->data)[2 .. 4]], [qw(m2 m3 m1)],
          'it stands at the end of its topic');
$mq->counts_become({ unconsumed => 0, dead => 1 }, 'confirmed');
leave($alone);

# --- the consumer goes, with a close and without one
my @rounds = (sub { $_[0]->finish }, sub { $_[0]->drop });
$code = $mq->publish('gone', 'm');
for my $leave (@rounds) {
    my $consumer = $mq->consumer('gone', 'c');
    wait_for { $consumer->got($code) == 1 } 'pushed to a consumer';
    is($mq->find($code)->{Status}, -1, 'alive');
    $leave->($consumer);
    wait_for { !@{$mq->clients->{consumers}} } 'which goes';
}
dies('gone', $code, 'after two of them it is dead');
is($mq->find($code)->{Attempts}, 2, 'attempts');
my $last = $mq->consumer('gone', 'last', ack => 1);
my $next = $mq->publish('gone', 'next');
wait_for { $last->got($next) } 'the next consumer gets the next message';
is($last->got($code), 0, 'and not the dead one');
leave($last);

# --- deleted
ok($mq->remove($code), 'a dead message can be deleted');
is($mq->find($code), undef, 'and is gone');
is_deeply([dead('gone')], [], 'from the list');
is($mq->counts->{dead}, 1, 'and the count');
ok($mq->remove($_), 'deleted') for dead('pong');


# --- publish/subscribe

# confirmed by being written, whatever time that takes us
my $answers = $mq->consumer('all_timeout', 'answers', confirm => 'socket');
$mute = $mq->consumer('all_timeout', 'mute');
$code = $mq->publish('all_timeout', 'm1');
$mq->counts_become({ unconsumed => 0, dead => 0 },
                   'one consumer confirms: consumed when the other gave up');
wait_for { $mute->got($code) == 3 } 'which was pushed it three times';
wait_for { $answers->got($code) == 1 } 'and that one once';
is($mq->find($code)->{Status}, 1, 'status 1');
run_for(2 * RETRY);
is($mute->got($code), 3, 'never again');
$code = $mq->publish('all_timeout', 'm2');
wait_for { $mute->got($code) } 'further messages come all the same';
leave($answers);

my $other = $mq->consumer('all_timeout', 'other');
$code = $mq->publish('all_timeout', 'm3');
dies('all_timeout', $code, 'nobody confirms: dead');
wait_for { $_->got($code) == 3 } 'after three pushes to each'
    for $mute, $other;
is($mq->find($code)->{Attempts}, 3, 'attempts');
$_->{ack} = 1 for $mute, $other;
is($mq->requeue(messageCode => $code), 1, 'queued again');
$mq->counts_become({ unconsumed => 0, dead => 0 }, 'all confirm');
wait_for { $_->got($code) > 3 } 'what was pushed again' for $mute, $other;
leave($mute, $other);

($answers, $mute) = map { $mq->consumer('all_returned', $_) } qw(a m);
$_->{on_message} = sub { $_[0]->send("-$_[1]{MessageCode}") }
    for $answers, $mute;
$code = $mq->publish('all_returned', 'm1');
dies('all_returned', $code, 'all give it back: dead');
is($_->got($code), 2, 'two pushes to each') for $answers, $mute;
$answers->{on_message} = sub { $_[0]->send($_[1]{MessageCode}) };
$next = $mq->publish('all_returned', 'm2');
$mq->counts_become({ unconsumed => 0, dead => 1 },
                   'one gives it back, one confirms: consumed');
is($mute->got($next), 2, 'two pushes to the one');
is($answers->got($next), 1, 'one to the other');
delete $answers->{on_message};
$answers->{ack} = 1;
delete $mute->{on_message};
$mute->{ack} = 1;
is($mq->requeue(topic => 'all_returned'), 1, 'queued again');
$mq->counts_become({ unconsumed => 0, dead => 0 }, 'all confirm');
leave($mute, $answers);

$mute = $mq->consumer('all_once', 'mute');
$code = $mq->publish('all_once', 'm');
wait_for { $mute->got($code) } 'pushed';
$mute->drop;
dies('all_once', $code, 'the only consumer goes: dead');
ok($mq->remove($code), 'deleted');


# --- what the server itself ends kills nothing

for my $topic (qw(once all_once)) {
    $code = $mq->publish($topic, 'm');
    my $consumer = $mq->consumer($topic, 'c');
    for my $round (1, 2) {
        wait_for { $consumer->got($code) } "$topic: in flight";
        $mq->renew;
        wait_for { $consumer->closed } 'a reload';
        is($mq->find($code)->{Status}, -1, 'does not kill it');
        $consumer = $mq->consumer($topic, 'c');
    }
    for my $round (1, 2) {
        wait_for { $consumer->got($code) } 'in flight';
        my $pid = $consumer->worker;
        kill 'KILL', $pid;
        wait_for { !is_running($pid) && $mq->worker_pids == $mq->{workers} }
                 'the death of its worker';
        wait_for { !@{$mq->clients->{consumers}} } 'is noticed';
        is($mq->find($code)->{Status}, -1, 'and does not either');
        $consumer = $mq->consumer($topic, 'c');
    }
    for my $round (1, 2) {
        wait_for { $consumer->got($code) } 'in flight';
        my ($client) = grep { $_->{Topic} eq $topic }
                       @{$mq->post('/Console/GetClientList')->{data}};
        is($mq->post('/Console/Disconnect',
                     { connection => $client->{Connection} })->{code}, 0,
           'an operator disconnects it');
        wait_for { $consumer->closed } 'which ends it';
        is($mq->find($code)->{Status}, -1, 'but not the message');
        $consumer = $mq->consumer($topic, 'c');
    }
    wait_for { $consumer->got($code) } 'in flight';
    is($mq->find($code)->{Attempts}, 1, 'none of which is a failure');
    wait_for { $consumer->got($code) } 'in flight';
    $consumer->drop;
    dies($topic, $code, 'but that its consumer goes');
}

# --- and dead they stay
@codes = dead();
is(@codes, 2, 'two are dead');
$mq->renew;
is_deeply([dead()], \@codes, 'after a reload, too');
is($mq->requeue(topic => 'once'), 1, 'one is queued again');
$last = $mq->consumer('once', 'last', ack => 1);
wait_for { $last->got($codes[1]) } 'and comes';
$mq->counts_become({ unconsumed => 0, dead => 1 }, 'confirmed');
$mq->finish;
done_testing;
