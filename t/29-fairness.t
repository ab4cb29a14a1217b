# Point to point: every ready consumer has the same chance, whatever worker it
# is on.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use List::Util qw(sum);
use Test::More;
use KapokMQ::Test;

my $n = 10_000;

# four consumers, as spread as they can be, and single messages: each is
# published when the one before has come
my $mq = KapokMQ::Test->start;
my @consumers = $mq->consumers_everywhere('topic');
push @consumers, $mq->consumer('topic', 'more' . @consumers)
    while @consumers < 4;
my $producer = $mq->producer('topic', 'p1');

my ($sent, $came) = (0, 0);
my $window = 4;
my $send_on = sub {
    $came++;
    $producer->send(++$sent) if $sent < $n;
};
$_->{on_message} = $send_on for @consumers;
$producer->send(++$sent) while $sent < $window;
wait_for { $came == $n } "$n messages to " . @consumers . ' consumers', 600;

my @share = map { scalar @{$_->messages} } @consumers;
is(sum(@share), $n, 'each came once');
for my $i (0 .. $#share) {
    cmp_ok($share[$i], '>=', 0.22 * $n, "consumer $i: $share[$i] are enough");
    cmp_ok($share[$i], '<=', 0.28 * $n, 'and not too many');
}
my %seen = map { $_ => 1 } map { $_->data } @consumers;
is(keys %seen, $n, 'none is lost');

# a burst is spread, too
my $burst = 2_000;
@{$_->messages} = () for @consumers;
delete $_->{on_message} for @consumers;
$producer->send(1 .. $burst);
wait_for { sum(map { scalar @{$_->messages} } @consumers) == $burst } "a burst";
cmp_ok(scalar @{$_->messages}, '>', 0, 'reaches every one') for @consumers;
wait_for { $mq->counts->{unconsumed} == 0 } 'all consumed';

$_->finish for @consumers, $producer;
$mq->finish;
done_testing;
