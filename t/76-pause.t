# A topic's delivery is paused, and resumed, by an operator: for consumers of
# all kinds, over reloads and restarts, on disk or not.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use KapokMQ::Test;

my $mq = KapokMQ::Test->start(
    yaml => { isPersistent => 1, persistentTime => 0.1,
              keys => '{ reader: { key: reader, consume: ["*"], '
                  . 'console: read } }' },
    topics => "    all: { pushType: 2 }\n");

sub pause  { return ($mq->post('/Console/PauseTopic', { @_ }))[0, 1] }
sub resume { return ($mq->post('/Console/ResumeTopic', { @_ }))[0, 1] }

sub topic {
    return scalar(($mq->post('/Console/GetTopic', { topic => $_[0] }))[1])
        ->{data};
}

sub is_paused { return topic($_[0])->{Paused} ? 1 : 0 }

# Nothing is pushed for a while, in which another topic's messages are.
sub gets_nothing {
    my ($client, $name) = @_;
    my $n = @{$client->messages};
    my $other = $mq->{other} //= $mq->consumer('other', 'o1');

    for (1 .. 3) {
        my $code = $mq->publish('other', 'x');
        wait_for { $other->got($code) } 'another topic goes on';
    }
    is(scalar @{$client->messages}, $n, $name);
}

for my $topic (qw(one all)) {
    my @consumers = map { $mq->consumer($topic, "c$_") } 1, 2;
    my $first = $mq->publish($topic, 'before');
    wait_for {
        ($topic eq 'all' ? 2 : 1) == grep { $_->got($first) } @consumers
    } "$topic: one is pushed";

    is_deeply([pause(topic => $topic)], [200, { code => 0 }], 'paused');
    is(is_paused($topic), 1, 'which is told');
    my @codes = map { $mq->publish($topic, $_) } 1 .. 10;
    gets_nothing($consumers[0], 'nothing is pushed');
    gets_nothing($mq->consumer($topic, 'late'), 'nor to who comes later');
    is(topic($topic)->{Waiting}, 10, 'all wait');

    is_deeply([pause(topic => $topic)], [200, { code => 0 }], 'once more');
    is_deeply([resume(topic => $topic)], [200, { code => 0 }], 'resumed');
    $mq->counts_become({ unconsumed => 0 }, 'all are pushed and consumed');
    is(is_paused($topic), 0, 'not paused');
    $_->finish for @consumers;
}


# --- pulls, and streams of events

is((pause(topic => 'one'))[0], 200, 'paused');
my $code = $mq->publish('one', 'x');
my ($status, $json) = $mq->post('/Consumers/Pull/one/p1', { wait => 0.5 });
is_deeply([$status, $json], [200, { code => 0, data => [] }],
          'a pull gets nothing');
resume(topic => 'one');
wait_for {
    my ($list) = $mq->codes(topic => 'one', status => 1);
    $list && $list eq $code;
} 'who waits gets it';


# --- over a reload, and a restart

pause(topic => 'one');
$code = $mq->publish('one', 'y');
$mq->renew;
delete $mq->{other};
is(is_paused('one'), 1, 'a reload changes nothing');
my $consumer = $mq->consumer('one', 'c3');
gets_nothing($consumer, 'nothing is pushed by new workers');
delete($mq->{other})->finish;
$consumer->finish;
$mq->stop;
$mq->launch;
is(is_paused('one'), 1, 'nor does a restart');
$consumer = $mq->consumer('one', 'c4');
gets_nothing($consumer, 'nothing is pushed after it');
resume(topic => 'one');
wait_for { $consumer->got($code) } 'until it is resumed';


# --- what is no topic, and who may

is((pause(topic => 'nobody'))[0], 404, 'no such topic');
is((pause())[0], 400, 'no topic');
is((pause(topic => 'one', until => 5))[0], 400, 'what it does not know');
is(($mq->post('/Console/PauseTopic', { topic => 'one' },
              { secretKey => 'reader' }))[0], 403, 'only who may write');
is(is_paused('one'), 0, 'it is as it was');
for my $word (qw(paused resumed)) {
    like($mq->log, qr/\[notice\].*from 127\.0\.0\.1: delivery $word of topic "one"/,
         "$word: noted");
}

$mq->finish;
done_testing;
