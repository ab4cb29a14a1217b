# More workers than a small machine has, and old ones that linger after several
# reloads: all of them have the queue, and wake each other.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time);
use KapokMQ::Test;

use constant { WORKERS => 70, RELOADS => 2, REQUESTS => 300, SAMPLES => 40 };

plan skip_all => 'not with a preloaded sanitizer' if $ENV{KMQ_PRELOAD};

my $mq = KapokMQ::Test->start(workers => WORKERS, connections => 256,
                              shutdown => '');

# A request whose end does not come keeps its worker there.
sub linger {
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                       PeerPort => $mq->port)
        or die "no connection: $!";

    print {$socket} "POST /Producer/Send HTTP/1.1\r\nHost: t\r\n"
                    . "secretKey: sesame\r\nContent-Length: 10\r\n\r\n{";
    return $socket;
}

# Requests until a worker is unlikely to have had none; those that have
# answered.
sub workers_answer {
    my ($name) = @_;
    my (%worker, %status);

    for my $n (1 .. REQUESTS) {
        my ($status, $json, $result)
            = $mq->post('/Producer/Send', { topic => 'many',
                                            messageData => $n });
        $status{$status}++;
        $worker{$result->headers->header('X-Worker')}++;
    }
    is_deeply([keys %status], [200], "$name: all requests are answered")
        or diag(join ', ', map { "$status{$_} times $_" } keys %status);
    cmp_ok(keys %worker, '>', WORKERS / 2, 'by many workers');

    return sort keys %worker;
}

my @held;
workers_answer('first');
my $old = $mq->consumer('topic', 'old', confirm => 'socket');
for my $reload (1 .. RELOADS) {
    push @held, map { linger() } 1 .. 2 * WORKERS;
    $mq->reload;
    workers_answer("reload $reload");
}
cmp_ok(scalar(() = KapokMQ::Test::_children($mq->{pid})), '>', 2 * WORKERS, 'old ones are left');

# One that came late is woken by any other; one that is not looks twice a
# second.
wait_for { $old->closed } 'clients of the old ones go';
my $consumer = $mq->consumer('topic', 'new', confirm => 'socket');
my @times;
for my $n (1 .. SAMPLES) {
    my $start = time;
    $mq->publish('topic', $n);
    wait_for { @{$consumer->messages} == $n } 'it comes';
    push @times, $consumer->at->[-1] - $start;
}
@times = sort { $a <=> $b } @times;
diag(sprintf 'median %.1f ms', 1000 * $times[@times / 2]);
cmp_ok($times[@times / 2], '<', 0.15, 'at once');

close $_ for @held;
$mq->finish;
done_testing;
