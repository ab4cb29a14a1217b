# Thousands of connections that come and go, in every state: nothing is left
# of them in the registry, in memory, or in the workers' descriptors.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use KapokMQ::Test;

my $total = $ENV{KMQ_CHURN} || 5000;
my $mq = KapokMQ::Test->start;

sub frame { return KapokMQ::Raw::frame(@_) }

# What a client does before it goes; most of them in the middle of something.
my @lives = (
    sub { },
    sub { $_[0]->text('wrong') },
    sub { $_[0]->write(substr frame(1, 'sesame'), 0, 7) },
    sub { $_[0]->text('sesame') },
    sub { $_[0]->text('sesame'); $_[0]->next_text; $_[0]->next_text },
    sub { $_[0]->text('sesame'); $_[0]->text('a message') },
    sub { $_[0]->text('sesame');
          $_[0]->write(substr frame(1, 'x' x 100_000), 0, 30_000) },
    sub { $_[0]->text('sesame'); $_[0]->send(1, 'part', fin => 0) },
    sub { $_[0]->text('sesame'); $_[0]->send(8, pack 'n', 1000) },
    sub { $_[0]->text('sesame'); $_[0]->send(3, 'bad') },
    sub { $_[0]->send(8, '') },
    sub { $_[0]->text('sesame'); $_[0]->text("m$_") for 1 .. 20 },
);

sub live {
    my ($n) = @_;
    my $role = $n % 2 ? 'Producers' : 'Consumers';

    # a connection that never becomes a WebSocket
    if ($n % 17 == 0) {
        my $raw = $mq->raw('/', upgrade => 0);
        $raw->write("GET /$role/Conn/churn/c$n HTTP/1.1\r\nHost: x\r\nUpg");
        return $raw->close;
    }

    my $client = $mq->raw("/$role/Conn/churn/c$n");
    $lives[$n % @lives]->($client);
    return $n % 3 ? $client->close : $client->reset;
}

sub rss {
    my ($pid) = @_;

    open my $in, '<', "/proc/$pid/smaps_rollup" or return 0;
    my ($kb) = join('', <$in>) =~ /^Private_Dirty:\s+(\d+)/m;
    return $kb;
}

sub settled {
    my ($name) = @_;

    wait_for {
        my $clients = $mq->clients;
        !@{$clients->{producers}} && !@{$clients->{consumers}}
    } "$name: the registry is empty";
}

live($_) for 1 .. 600;
settled('warm');
my $consumer = $mq->consumer('churn', 'drain');
wait_for { $mq->counts->{unconsumed} == 0 } 'what they published is consumed';
$consumer->drop;
settled('drained');
my %fds = map { $_ => $mq->fds($_) } $mq->worker_pids;
my %rss = map { $_ => rss($_) } keys %fds;

live($_) for 1 .. $total;
settled("$total connections");
is(keys %fds, $mq->{workers}, 'all the workers');
$consumer = $mq->consumer('churn', 'drain');
wait_for { $mq->counts->{unconsumed} == 0 } 'what they published is consumed';
$consumer->drop;
settled('drained');

my $now;
wait_for {
    $now = join ' ', map { $mq->fds($_) - $fds{$_} } sort keys %fds;
    # fewer there may be: one was about to be closed before
    $now !~ /(?<![-\d])[1-9]/
} 'no descriptor is left' or diag($now);
# a sanitizer keeps freed memory on purpose
for my $pid ($ENV{KMQ_PRELOAD} ? () : sort keys %fds) {
    my $grown = rss($pid) - $rss{$pid};
    # per connection this would be nothing at all
    cmp_ok($grown, '<', 2048, "worker $pid has grown by $grown KiB only");
}

$mq->finish;
done_testing;
