# A consumer that stops reading slows nobody else; what it did not read goes
# to others when it leaves.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use KapokMQ::Test;

my $mq = KapokMQ::Test->start(zone => '128m', yaml => { prefetch => 1000 });

# It takes its prefetch and what fits into the sockets, and not a byte more.
my $deaf = $mq->raw('/Consumers/Conn/topic/deaf', key => 'sesame',
                    rcvbuf => 4096);
wait_for { @{$mq->clients->{consumers}} == 1 } 'one consumer';
my $quick = $mq->consumer('topic', 'quick');
my $other = $mq->consumer('other', 'c1');
my $producer = $mq->producer('topic', 'p1');
my $second = $mq->producer('other', 'p2');
my $data = 'x' x 2000;
my $n = 3000;

$producer->send(map { "$_ $data" } 1 .. $n);
$second->send(map { "$_" } 1 .. $n);
wait_for { @{$other->messages} == $n } 'another topic gets all its messages';
wait_for { @{$producer->texts} == $n && @{$second->texts} == $n }
         'the producers get all their answers';
my $stuck;
wait_for {
    $stuck = $mq->counts->{unconsumed};
    $stuck <= 1000 && @{$quick->messages} + $stuck == $n
} 'the other consumer gets all but what the deaf one may have unconfirmed';
cmp_ok($stuck, '>', 0, 'which is something');

my @more = map { $mq->publish('topic', "more $_") } 1 .. 50;
wait_for {
    my %have = map { $_ => 1 } $quick->data;
    (grep { $have{"more $_"} } 1 .. 50) + $mq->counts->{unconsumed} - $stuck
        == 50
} 'it goes on';

$deaf->reset;
wait_for { @{$quick->messages} == $n + 50 } 'the deaf one leaves: all come';
my %seen;
$seen{$_}++ for $quick->data;
is((grep { $_ > 1 } values %seen), 0, 'once each');
is(keys %seen, $n + 50, 'none is lost');
wait_for { $mq->counts->{unconsumed} == 0 } 'all consumed';

# In publish/subscribe others are not slowed either.
$mq->finish;
$mq = KapokMQ::Test->start(zone => '128m',
                           yaml => { pushType => 2, prefetch => 100 });
$deaf = $mq->raw('/Consumers/Conn/topic/deaf', key => 'sesame',
                 rcvbuf => 4096);
wait_for { @{$mq->clients->{consumers}} == 1 } 'one consumer';
my @others = map { $mq->consumer('topic', "c$_") } 1 .. 3;
$producer = $mq->producer('topic', 'p1');
$n = 3000;
$producer->send(map { "$_ $data" } 1 .. $n);
wait_for { !grep { @{$_->messages} < $n } @others }
         'publish/subscribe: the others get all';
$deaf->reset;
wait_for { $mq->counts->{unconsumed} == 0 } 'it leaves: all are consumed';
$_->finish for @others, $producer;

# Large messages of many sizes come as they were, more of them at once than the
# sockets hold.
$mq->finish;
$mq = KapokMQ::Test->start(zone => '128m', yaml => {
    prefetch => 100, maxMessageSize => '8 MiB' });
$producer = $mq->producer('sizes', 'p1');
my @sent = map { "$_ " . chr(97 + $_ % 26) x ($_ * 7919 % 80_000) } 1 .. 300;
$producer->send(@sent);
wait_for { @{$producer->texts} == @sent } 'messages of many sizes';
@others = map { $mq->consumer('sizes', "c$_") } 1 .. 2;
wait_for { @sent == map { $_->data } @others } 'all come';
is_deeply([sort map { $_->data } @others], [sort @sent], 'as they were');
wait_for { $mq->counts->{unconsumed} == 0 } 'and are consumed';
$_->finish for @others, $producer;

# One that is in more pieces than a system call takes, between small ones.
my $huge = 'huge ' . 'x' x 6_000_000;
ok($mq->publish_many('huge', 'before', $huge, 'behind'), 'a huge one');
my $raw = $mq->raw('/Consumers/Conn/huge/c1', key => 'sesame');
$raw->next_text;
is_deeply([map { $raw->next_text =~ /"MessageData":"([^"]*)"/ } 1 .. 3],
          ['before', $huge, 'behind'], 'comes as it was');
$raw->close;

$mq->finish;
done_testing;
