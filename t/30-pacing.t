# pushMessagesSpeed and sendCount: so many messages a batch over all topics,
# which take turns, and so much time between two batches.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use Time::HiRes qw(time);
use KapokMQ::Test;

my $count = 20;
my $interval = 0.5;
my $mq = KapokMQ::Test->start(
    yaml => { pushMessagesSpeed => $interval, sendCount => $count });

# A busy machine may deliver late, never early: what came until a moment is
# held against the number of batches that can have begun by then.
my ($start, $came, $early, @first);
my $arrived = sub {
    $came++;
    my $batches = 1 + int((time - $start) / $interval) + 1;
    $early = "$came after $batches batches" if $came > $batches * $count;
};

my @consumers = map { $mq->consumer($_, 'c1') } qw(big small);
$_->{on_message} = $arrived for @consumers;
my $big = $mq->producer('big', 'p1');
my $small = $mq->producer('small', 'p2');

$start = time;
$big->send(map { "b$_" } 1 .. 100);
$small->send(map { "s$_" } 1 .. 10);
wait_for { ($came // 0) == 110 } 'all come';
is($early, undef, 'none before its batch');
cmp_ok(time - $start, '>=', $interval * (int(110 / $count) - 1),
       'which took as long as it has to');

# fair turns: the small topic does not wait until the big one is through
my @order;
@{$_->messages} = () for @consumers;
$_->{on_message} = sub { push @order, $_[1]{MessageData} } for @consumers;
$big->send(map { "b$_" } 1 .. 100);
wait_for { @{$big->texts} == 200 } 'a hundred in one topic';
$small->send(map { "s$_" } 1 .. 10);
wait_for { @order == 110 } 'ten in another';
my ($last) = grep { $order[$_] eq 's10' } 0 .. $#order;
cmp_ok($last, '<', 100, 'come through before the hundred');

# the budget is one for all workers
wait_for { $mq->counts->{unconsumed} == 0 } 'all consumed';
$_->finish for @consumers;
wait_for { !@{$mq->clients->{consumers}} } 'they leave';
my @many = $mq->consumers_everywhere('many');
$_->{on_message} = $arrived for @many;
my $producer = $mq->producer('many', 'p3');
($start, $came, $early) = (time, 0, undef);
$producer->send(1 .. 100);
wait_for { $came == 100 } 'a hundred over all workers';
is($early, undef, 'none before its batch');

$_->finish for @many, $big, $small, $producer;
$mq->finish;
done_testing;
