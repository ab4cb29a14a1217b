# Publish/subscribe: every consumer of the topic gets each message.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use KapokMQ::Test;

my $mq = KapokMQ::Test->start(yaml => { pushType => 2 }, topics => <<'YAML');
    one: { pushType: 1 }
YAML

my $n = 500;
my @consumers = map { $mq->consumer('news', "c$_") } 1 .. 12;
my $other = $mq->consumer('sports', 'c1');
my $producer = $mq->producer('news', 'p1');
$producer->send(map { "m$_" } 1 .. $n);
wait_for { !grep { @{$_->messages} < $n } @consumers } 'everybody gets all';
my @wanted = map { "m$_" } 1 .. $n;
is_deeply([$_->data], \@wanted, 'in order, once') for @consumers;
my @codes = $consumers[0]->codes;
is_deeply([$_->codes], \@codes, 'under the same codes') for @consumers;
is(@{$other->messages}, 0, 'another topic gets nothing');
wait_for {
    my $counts = $mq->counts;
    $counts->{unconsumed} == 0 && $counts->{consumed} == $n
} 'each message is consumed once';

# consumed when each consumer has confirmed it or gone, and one has confirmed
$_->finish for @consumers;
wait_for { @{$mq->clients->{consumers}} == 1 } 'they leave';
my ($quick, $slow) = map {
    $mq->consumer('news', $_, confirm => 'ack')
} qw(quick slow);
my $code = $mq->publish('news', 'both');
wait_for { @{$quick->messages} && @{$slow->messages} } 'two get it';
$quick->send($code);
run_for(0.2);
is($mq->counts->{unconsumed}, 1, 'one has confirmed: not consumed yet');
$slow->drop;
wait_for { $mq->counts->{unconsumed} == 0 } 'the other leaves: consumed';

$code = $mq->publish('news', 'nobody');
wait_for { @{$quick->messages} == 2 } 'one gets it';
$quick->drop;
wait_for { @{$mq->clients->{consumers}} == 1 } 'and leaves unconfirmed';
is($mq->counts->{unconsumed}, 1, 'nobody has confirmed: it waits');
$quick = $mq->consumer('news', 'again');
wait_for { @{$quick->messages} } 'for the next consumer';
is_deeply([$quick->codes], [$code], 'under its code');
wait_for { $mq->counts->{unconsumed} == 0 } 'consumed';
$quick->finish;

# a message without consumers waits for one
wait_for { @{$mq->clients->{consumers}} == 1 } 'nobody there';
$mq->publish('news', "early $_") for 1 .. 3;
my $late = $mq->consumer('news', 'late');
wait_for { @{$late->messages} == 3 } 'the first to come gets what waited';
is_deeply([$late->data], ['early 1', 'early 2', 'early 3'], 'in order');
wait_for { $mq->counts->{unconsumed} == 0 } 'consumed';

# a topic that differs
my @pair = map { $mq->consumer('one', "c$_") } 1 .. 2;
$mq->publish('one', "m$_") for 1 .. 20;
wait_for { @{$pair[0]->messages} + @{$pair[1]->messages} >= 20 }
         'point to point in one topic';
run_for(0.2);
is(@{$pair[0]->messages} + @{$pair[1]->messages}, 20, 'each message once');

$_->finish for $late, $other, @pair, $producer;
$mq->finish;
done_testing;
