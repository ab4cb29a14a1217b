# A consumer has at most prefetch unconfirmed messages; and while it confirms
# nothing it holds up nobody else.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use KapokMQ::Test;

my $mq = KapokMQ::Test->start(
    yaml => { prefetch => 7, confirm => 'ack' }, topics => <<'YAML');
    single: { prefetch: 1 }
YAML

my $slow = $mq->consumer('topic', 'slow');
my @codes = map { $mq->publish('topic', "m$_") } 1 .. 20;
wait_for { @{$slow->messages} == 7 } 'seven come';
run_for(0.3);
is(@{$slow->messages}, 7, 'and no more');
$slow->send($codes[3]);
wait_for { @{$slow->messages} == 8 } 'one confirmed, one more';
$slow->send(@codes[0 .. 2]);
wait_for { @{$slow->messages} == 11 } 'three confirmed, three more';
run_for(0.2);
is(@{$slow->messages}, 11, 'and no more');

# further ones go to others
my $quick = $mq->consumer('topic', 'quick', ack => 1);
wait_for { @{$quick->messages} == 9 } 'the rest goes to the next';
is_deeply([$quick->data], [map { "m$_" } 12 .. 20], 'in order');
my @more = map { $mq->publish('topic', "n$_") } 1 .. 100;
wait_for { @{$quick->messages} == 109 } 'and so do all that follow';
is(@{$slow->messages}, 11, 'none to who is full');
wait_for { $mq->counts->{unconsumed} == 7 } 'seven are in flight';
$slow->drop;
wait_for { @{$quick->messages} == 116 } 'when it leaves its seven go on';
wait_for { $mq->counts->{unconsumed} == 0 } 'all are consumed';
$quick->finish;

# one at a time
my $single = $mq->consumer('single', 'c1');
$mq->publish('single', "s$_") for 1 .. 5;
for my $n (1 .. 5) {
    wait_for { @{$single->messages} == $n } "message $n";
    run_for(0.05);
    is(@{$single->messages}, $n, 'alone');
    $single->send($single->messages->[-1]{MessageCode});
}
wait_for { $mq->counts->{unconsumed} == 0 } 'all are consumed';
$single->finish;

# a consumer may want fewer, not more
for my $case ([2, 2], [7, 7], [8, 7], [65_535, 7]) {
    my ($wanted, $given) = @$case;
    my $topic = "asks$wanted";
    my $asks = $mq->login("/Consumers/Conn/$topic/c1?prefetch=$wanted");
    $mq->publish($topic, "a$_") for 1 .. 10;
    wait_for { @{$asks->messages} == $given } "prefetch=$wanted: $given come";
    run_for(0.1);
    is(@{$asks->messages}, $given, 'and no more');
    $asks->send($_) for $asks->codes;
    wait_for { @{$asks->messages} == 10 || @{$asks->messages} == 2 * $given }
             'more when these are confirmed';
    $asks->finish;
}

# two that want one at a time: neither ever has two, and both work
my (@pair, %holds);
my $most = 0;
for my $id (qw(one two)) {
    push @pair, $mq->login("/Consumers/Conn/pair/$id?prefetch=1",
        on_message => sub {
            my ($client, $message) = @_;
            $holds{$id}++;
            $most = $holds{$id} if $holds{$id} > $most;
            Mojo::IOLoop->timer(0.005, sub {
                $holds{$id}--;
                $client->send($message->{MessageCode});
            });
        });
}
# a hundred for two; and more where a busy machine let one of them do most
my $published = 0;
wait_for {
    return 0 if @{$pair[0]->messages} + @{$pair[1]->messages} < $published
                || grep { $_ } values %holds;
    return 1 if !grep { @{$_->messages} <= 20 } @pair;
    $published += 100 if $mq->publish_many('pair', 1 .. 100);
    return 0;
} 'many are handled by both';
is($most, 1, 'one at a time');
is(@{$pair[0]->messages} + @{$pair[1]->messages}, $published, 'each once');
$_->finish for @pair;

$mq->finish;
done_testing;
