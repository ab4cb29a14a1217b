# topics: what a topic has of its own, and that a reload changes it, pushType
# too, without losing a message.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use Time::HiRes qw(time);
use KapokMQ::Test;

# longer where the machine is busy: who confirms does it in time
my $slower = slower();
my ($retry, $clean) = (0.2 * $slower, 3 * $slower);
my $mq = KapokMQ::Test->start(
    yaml => { confirm => 'ack', pushRetryTime => 300, cleanTime => 3600,
              checkSpeed => 0.1, prefetch => 100 },
    topics => <<"YAML");
    type:     { pushType: 2 }
    retry:    { pushRetryTime: $retry }
    dead:     { maxDeliveries: 2 }
    age:      { cleanTime: 1 }
    confirm:  { confirm: pong }
    prefetch: { prefetch: 2 }
    every:
      pushType: 2
      pushRetryTime: $retry
      maxDeliveries: 3
      retryDelay: 0
      cleanTime: $clean
      confirm: ack
      prefetch: 1
YAML

sub leave {
    my $others = @{$mq->clients->{consumers}} - @_;

    $_->finish for @_;
    wait_for { @{$mq->clients->{consumers}} == $others } 'they leave';
}

sub status { return ($mq->find($_[0]) // {})->{Status} // 'gone' }
sub gone   { return status($_[0]) eq 'gone' }
sub dead   { return status($_[0]) eq '2' }

sub consumed {
    my @codes = @_;

    return wait_for { !grep { status($_) ne '1' } @codes } 'consumed';
}


# --- what the configuration says

is_deeply($mq->post('/Console/GetConfig')->{data}{topics},
          { type => { pushType => 2 }, retry => { pushRetryTime => $retry },
            dead => { maxDeliveries => 2 }, age => { cleanTime => 1 },
            confirm => { confirm => 'pong' }, prefetch => { prefetch => 2 },
            every => { pushType => 2, pushRetryTime => $retry,
                       maxDeliveries => 3, retryDelay => 0,
                       cleanTime => $clean, confirm => 'ack',
                       prefetch => 1 } },
          'GetConfig tells it');

# --- and what holds; "plain" is a topic that has nothing of its own

my @age = map { $mq->publish($_, 'm') } qw(age plain_age);

my @pair = map { $mq->consumer('type', "c$_") } 1, 2;
my @plain = map { $mq->consumer('plain', "c$_") } 1, 2;
my @type = map { $mq->publish($_, 'm') } qw(type plain);
wait_for { $pair[0]->got($type[0]) && $pair[1]->got($type[0]) }
         'pushType: to both';
wait_for { $plain[0]->got($type[1]) + $plain[1]->got($type[1]) }
         'a plain one';
$_->send($type[0]) for @pair;
$_->send($type[1]) for @plain;
consumed(@type);
is($plain[0]->got($type[1]) + $plain[1]->got($type[1]), 1, 'to one');
leave(@pair, @plain);

@plain = map { $mq->consumer($_, 'c') } qw(retry plain);
my @retry = map { $mq->publish($_, 'm') } qw(retry plain);
wait_for { $plain[0]->got($retry[0]) >= 3 && $plain[1]->got($retry[1]) }
         'pushRetryTime';
is($plain[1]->got($retry[1]), 1, 'not of the plain one');
$_->{ack} = 1 for @plain;
$plain[1]->send($retry[1]);
consumed(@retry);
leave(@plain);

@plain = map { $mq->consumer($_, 'c') } qw(dead plain);
$_->{on_message} = sub { $_[0]->send("-$_[1]{MessageCode}") } for @plain;
my @dead = map { $mq->publish($_, 'm') } qw(dead plain);
wait_for { dead($dead[0]) && $plain[1]->got($dead[1]) > 5 } 'maxDeliveries';
is($plain[0]->got($dead[0]), 2, 'two pushes');
is($mq->counts->{dead}, 1, 'the plain one lives');
delete $_->{on_message} for @plain;
$_->{ack} = 1 for @plain;
$plain[1]->send($dead[1]);
consumed($dead[1]);
ok($mq->remove($dead[0]), 'deleted');
leave(@plain);

@plain = map { $mq->consumer($_, 'c') } qw(confirm plain);
my @confirm = map { $mq->publish($_, 'm') } qw(confirm plain);
consumed($confirm[0]);
wait_for { $plain[1]->got($confirm[1]) } 'which the plain one';
is(status($confirm[1]), -1, 'does not count');
$plain[1]->send($confirm[1]);
leave(@plain);

@plain = map { $mq->consumer($_, 'c') } qw(prefetch plain);
for my $topic (qw(prefetch plain)) {
    $mq->publish($topic, $_) for 1 .. 6;
}
wait_for { @{$plain[1]->messages} == 6 } 'a plain prefetch';
wait_for { @{$plain[0]->messages} == 2 } 'and its own';
$_->{ack} = 1 for @plain;
$_->send($_->codes) for @plain;
wait_for { @{$plain[0]->messages} == 6 } 'all come';
leave(@plain);

@pair = map { $mq->consumer('every', "c$_") } 1, 2;
my @every = map { $mq->publish('every', "m$_") } 1, 2;
wait_for { $_->got($every[0]) } 'all of them in one: to both' for @pair;
is($_->got($every[1]), 0, 'one at a time') for @pair;
wait_for { dead($every[0]) } 'dead in the end';
wait_for { $_->got($every[0]) == 3 } 'after three pushes' for @pair;
wait_for { dead($every[1]) } 'and the second one';
wait_for { gone($every[0]) && gone($every[1]) } 'gone after all';
leave(@pair);

wait_for { gone($age[0]) } 'cleanTime';
ok(!gone($age[1]), 'of that topic alone');


# --- changed by a reload: every setting to another value, or to none

my @kept = map { $mq->publish($_, 'kept') }
           qw(type retry dead confirm prefetch plain);
my $holder = $mq->consumer('prefetch', 'holder');
my @held = map { $mq->publish('prefetch', "held $_") } 1 .. 5;
wait_for { @{$holder->messages} == 2 } 'two in flight';
is(@{$holder->messages}, 2, 'and no more');

$mq->renew(topics => <<"YAML");
    retry:     { pushRetryTime: 300 }
    dead:      { maxDeliveries: 0 }
    plain_age: { cleanTime: 1 }
    plain:     { pushType: 2, pushRetryTime: $retry, maxDeliveries: 4 }
    prefetch:  { prefetch: 4, confirm: pong }
YAML
wait_for { gone($age[1]) } 'cleanTime holds for what was there';
for my $topic (qw(type retry dead confirm)) {
    my ($code) = grep { $mq->find($_)->{Topic} eq $topic } @kept;
    my @two = map { $mq->consumer($topic, "c$_") } 1, 2;
    wait_for { $two[0]->got($code) + $two[1]->got($code) == 1 }
             "$topic: what was there comes, to one";
    if ($topic eq 'dead') {
        my ($one) = grep { $_->got($code) } @two;
        for my $round (2 .. 5) {
            my @before = map { $_->got($code) } @two;
            # who has it alone: a word of the other one may come so late that
            # it counts
            $one->send("-$code");
            wait_for { $two[0]->got($code) + $two[1]->got($code) == $round }
                     'no limit of deliveries';
            ($one) = map { $two[$_] }
                     grep { $two[$_]->got($code) > $before[$_] } 0, 1;
        }
    } else {
        run_for(0.4);
        is($two[0]->got($code) + $two[1]->got($code), 1, 'once');
        is(status($code), -1, 'which no pong confirms');
    }
    $_->send($code) for @two;
    consumed($code);
    leave(@two);
}

# in the order in which they were: what was in flight is in front
@pair = $mq->consumer('prefetch', 'c');
wait_for { @{$pair[0]->messages} == 6 } 'all of a topic come';
is_deeply([$pair[0]->codes], [$kept[4], @held], 'in their order');
consumed($kept[4], @held);
my $mute = $mq->consumer('prefetch', 'mute', pong => 0);
leave(@pair);
$mq->publish('prefetch', $_) for 1 .. 6;
wait_for { @{$mute->messages} == 4 } 'four at a time';
run_for(0.1);
is(@{$mute->messages}, 4, 'and no more');
leave($mute);
$mute = $mq->consumer('prefetch', 'last');
$mq->counts_become({ unconsumed => 1 }, 'all but the plain one consumed');
is(@{$mute->messages}, 6, 'when somebody answers');
leave($mute);

@pair = map { $mq->consumer('plain', "c$_") } 1, 2;
wait_for { dead($kept[5]) } 'pushType, pushRetryTime, maxDeliveries';
# who came second may have been too late for what waited
my $code = $mq->publish('plain', 'm');
wait_for { dead($code) } 'for new messages, too';
wait_for { $_->got($code) == 4 } 'four pushes to each' for @pair;
$_->{ack} = 1 for @pair;
is($mq->requeue(topic => 'plain'), 2, 'queued again');
$mq->counts_become({ unconsumed => 0, dead => 0 }, 'all is consumed');
wait_for { $_->got($code) > 4 } 'by both' for @pair;
leave(@pair);


# --- pushType, while messages flow and consumers come again at once

my (%consumers, %got, %pushes, $producer);
my $sent = 0;

sub consume {
    my ($name) = @_;

    $consumers{$name} = $mq->connect("/Consumers/Conn/flow/$name",
        headers => { secretKey => 'sesame' }, ack => 1,
        on_message => sub {
            $got{$_[1]{MessageData}}{$name} = 1;
            $pushes{$_[1]{MessageData}}++;
        });
}

my $again = Mojo::IOLoop->recurring(0.002 => sub {
    for my $name (keys %consumers) {
        my $client = $consumers{$name};
        consume($name) if $client->closed || $client->failed;
    }
});
consume("c$_") for 1 .. 6;
wait_for { @{$mq->clients->{consumers}} == 6 } 'six consumers';

sub flow {
    my ($name) = @_;
    my $from = $sent + 1;

    $producer = $mq->producer('flow', 'p1');
    $producer->send($from .. $from + 199);
    $sent += 200;
    return wait_for { @{$producer->texts} == 200 } "$name: accepted";
}

for my $round (1 .. 4) {
    my $type = 1 + $round % 2;
    my $silent;
    flow("before pushType $type");
    if ($round > 2) {
        # answers nothing, and so is the last to leave; the others wait
        $silent = $mq->raw('/Consumers/Conn/flow/silent', key => 'sesame');
        is($silent->next_text, 'Secret key matching succeeded', 'login');
    }
    $mq->renew(topics => "    flow: { pushType: $type }\n");
    $silent->close if $silent;
    wait_for { @{$mq->clients->{consumers}} == 6 } 'all consumers come again';
    my $want = $type == 2 ? 6 : 1;
    wait_for {
        $mq->publish('flow', ++$sent);
        wait_for { $mq->counts->{unconsumed} == 0 } 'consumed';
        keys %{$got{$sent} // {}} == $want
    } "a message comes to $want";
    my $mark = $sent;
    flow("after pushType $type");
    wait_for { !grep { keys %{$got{$_} // {}} < $want } $mark + 1 .. $sent }
             'all that follow arrive';
    $mq->counts_become({ unconsumed => 0 }, 'all are consumed');
    is((grep { $pushes{$_} != $want } $mark + 1 .. $sent), 0,
       "each $want times");
    is((grep { !$got{$_} } 1 .. $sent), 0, 'no message is lost');
}
Mojo::IOLoop->remove($again);
$_->finish for values %consumers;
$mq->finish;
done_testing;
