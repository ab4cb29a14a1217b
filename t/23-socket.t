# confirm: socket. What the kernel has not taken to its end is not consumed,
# whatever others have got in the same batch.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use KapokMQ::Test;

use constant { TOPICS => 8, SIZE => 450_000, MESSAGES => 24 };
use constant ALL => TOPICS * MESSAGES;

my $mq = KapokMQ::Test->start(
    allow => qr/exited on signal 9/,
    zone  => '160m',
    yaml  => { confirm => 'socket', pushMessagesSpeed => 3,
               sendCount => ALL });
my %deaf;

for my $topic (1 .. TOPICS) {
    $deaf{$topic} = [map {
        $mq->raw("/Consumers/Conn/$topic/c$_", key => 'sesame',
                 rcvbuf => 4096)
    } 1, 2];
}

# Somebody uses the pace up, so that all of them have to wait for the next
# batch, and are several in one.
my $first = $mq->consumer('first', 'c1');
$mq->publish_many('first', 1 .. ALL);
wait_for { @{$first->messages} == ALL } 'the first batch';

for my $topic (1 .. TOPICS) {
    my $text = 'x' x SIZE;

    ok($mq->publish_many($topic, map { "$_ $text" } 1 .. MESSAGES),
       "topic $topic: many large messages");
}

my $before = 0;
wait_for {
    my $consumed = $mq->counts->{consumed};
    my $same = $consumed > ALL && $consumed == $before;
    $before = $consumed;
    $same;
} 'what fits into the sockets of those that do not read is sent';

# Their kernel sends what it has taken, and nothing else comes.
kill 'KILL', $mq->worker_pids;
my %whole;
for my $client (map { @$_ } values %deaf) {
    while (my $frame = $client->next_frame) {
        my ($code, $text) = $frame->{payload}
            =~ /^\{"MessageCode":"(\w+)","MessageData":"\d+ (x+)","Topic":/
            or next;
        $whole{$code} = 1 if length $text == SIZE;
    }
}
cmp_ok(scalar(keys %whole), '>', 0, 'some were sent');
wait_for { eval { $mq->counts; 1 } } 'a new worker';
my @lost = grep { !$whole{$_} } map { $mq->codes(topic => $_, status => 1) }
           1 .. TOPICS;
is("@lost", '', 'all that are consumed were');

$mq->finish;
done_testing;
