# cleanTime: messages that are older than that are deleted, those that wait as
# well as consumed and dead ones; never early, and never one that is delayed
# or in flight.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use Time::HiRes qw(time);
use KapokMQ::Test;

# Longer where the machine is busy: the dead are queued again before it.
my $slower;
BEGIN { $slower = slower() }
use constant AGE => 1 + 2 * $slower;

my $mq = KapokMQ::Test->start(
    yaml => { confirm => 'ack', cleanTime => AGE, checkSpeed => 0.1 },
    topics => <<'YAML');
    long:  { cleanTime: 3600 }
    short: { cleanTime: 1 }
    dead:  { maxDeliveries: 1 }
    all:   { pushType: 2 }
YAML

# Ages are counted in whole seconds, from the one in which it all began.
sub created { return hex substr $_[0], -8 }

# Waits until a message is gone; it must not be before $from + $age.
sub expires {
    my ($code, $from, $name, $age) = @_;

    wait_for { !$mq->find($code) } "$name: goes";
    return cmp_ok(time, '>=', $from + ($age // AGE), "$name: not early");
}

sub status { return ($mq->find($_[0]) // {})->{Status} // 'gone' }


# --- all kinds, whose ages run at the same time

my %consumer = map { $_ => $mq->consumer($_, 'c1') } qw(held dead all);
my $second = $mq->consumer('all', 'c2');
my $acker = $mq->consumer('acker', 'c1', ack => 1);
my $long = $mq->consumer('long', 'c1', ack => 1);
my $late = $mq->consumer('late', 'c1');

my $delayed = $mq->publish('late', 'm', 2 * AGE);
my $held = $mq->publish('held', 'm');
my @dying = map { $mq->publish('dead', $_) } qw(stays again);
my $both = $mq->publish('all', 'm');
my @waiting = map { $mq->publish($_, 'm') } qw(wait wait wait elsewhere);
my $nobody = $mq->publish('nobody', 'm', 1);
my $short = $mq->publish('short', 'm');
# consumed ones, in the history between two that stay
my $kept = $mq->publish('long', 'm');
wait_for { status($kept) eq '1' } 'consumed';
my @consumed = map { $mq->publish('acker', 'm') } 1, 2;
wait_for { @{$acker->messages} == 2 } 'consumed';
my $still = $mq->publish('long', 'm');
wait_for { status($still) eq '1' } 'consumed';
wait_for { $consumer{dead}->got($dying[1]) && $consumer{held}->got($held)
           && $consumer{all}->got($both) && $second->got($both) }
         'in flight';
$consumer{all}->send($both);
ok($mq->publish_many('crowd', 1 .. 20_000), 'and very many');

expires($short, created($short), 'a topic with a shorter time', 1);
expires($_, created($_), 'a message that waits') for @waiting;
# the others are gone by now
expires($nobody, created($nobody) + 1, 'a delayed one, since it was due');
expires($_, created($_), 'a consumed one') for @consumed;
ok(status($_) eq '1', 'a topic with a longer one') for $kept, $still;
wait_for { !@{($mq->page(topic => 'crowd', limit => 1))[0]} } 'so do all';

# --- in flight they stay, however old
wait_for { time >= created($both) + AGE + 1 && time - int time < 0.5 }
         'after cleanTime';
is(status($_), -1, 'in flight: stays') for $held, $both, @dying;
is($mq->counts->{consumed}, 2, 'and what has a longer time');

$consumer{held}->send($held);
$second->send($both);
wait_for { status($_) eq 'gone' } 'confirmed, they go' for $held, $both;

# --- the dead: since they died; queued again: since then
my $died = int time;
$consumer{dead}->send(map { "-$_" } @dying);
wait_for { !grep { status($_) eq '-1' } @dying } 'two die';
$consumer{dead}->finish;
wait_for { !grep { $_->{Topic} eq 'dead' } @{$mq->clients->{consumers}} }
         'nobody is there';
wait_for { time >= $died + 1 } 'the next second';
my $again = int time;
is($mq->requeue(messageCode => $dying[1]), 1, 'one is queued again');
run_for(0.3);
ok(status($_) ne 'gone' || time >= $died + AGE, 'they do not go at once')
    for @dying;
expires($dying[0], $died, 'the dead one');
is($mq->counts->{dead}, 0, 'and so says the count');
expires($dying[1], $again, 'the one that waits again');

# --- delayed for longer than cleanTime
wait_for { $late->got($delayed) } 'a delayed message comes';
cmp_ok($late->at->[0], '>=', created($delayed) + 2 * AGE - 0.002,
       'in its time');
$late->send($delayed);

# --- gone is gone
my $late_comer = $mq->consumer('wait', 'c1');
my $fresh = $mq->publish('wait', 'fresh');
wait_for { $late_comer->got($fresh) } 'a new message comes';
is_deeply([$late_comer->codes], [$fresh], 'and none of those that are gone');
$late_comer->send($fresh);
$mq->counts_become({ all => 2, unconsumed => 0, delay => 0, dead => 0,
                     consumed => 2 }, 'of all but two nothing is left');


# --- isCleanConsumed 1, isClean 0, checkSpeed

my %yaml = (confirm => 'ack', cleanTime => 1);
$mq->renew(yaml => { %yaml, checkSpeed => 3600, isCleanConsumed => 1 });
my $code = $mq->publish('check', 'm');
$acker = $mq->consumer('drop', 'acker', ack => 1);
my $dropped = $mq->publish('drop', 'm');
wait_for { $acker->got($dropped) } 'isCleanConsumed 1';
wait_for { status($dropped) eq 'gone' } 'consumed is gone';
wait_for { time >= created($code) + 2 } 'two seconds pass';
is(status($code), -1, 'checkSpeed 3600: nobody looks');

$mq->renew(yaml => { %yaml, checkSpeed => 0.1, isClean => 0 });
run_for(0.5);
is(status($code), -1, 'isClean 0: it stays');

$mq->renew(yaml => { %yaml, checkSpeed => 0.1 });
wait_for { status($code) eq 'gone' } 'isClean 1: it goes';

$mq->finish;
done_testing;
