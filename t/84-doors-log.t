# What the access log and the metrics tell of streams of events, pulls and
# settling.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Mojo::JSON qw(decode_json);
use Test::More;
use KapokMQ::Puller;
use KapokMQ::Stream;
use KapokMQ::Test;

my @names = qw(role transport topic id messages confirm confirmed);
my $format = join ',', map { "\"$_\":\"\$kapokmq_$_\"" } @names;
my $mq = KapokMQ::Test->new;
my $log = $mq->dir . '/door.log';
$mq->launch(
    http => "log_format door escape=json '{$format,\"status\":\"\$status\"}';",
    conf => "location = /metrics { kapokmq_metrics; }",
    consumer => "access_log $log door;");
my $post = KapokMQ::Puller->new($mq);

sub lines {
    open my $in, '<', $log or return;
    return map { decode_json($_) } <$in>;
}

# The next line has these values, in the order of names.
my $seen = 0;
sub next_is {
    my ($want, $name) = @_;

    wait_for { (() = lines()) > $seen } "$name: a line";
    my $line = (lines())[$seen++];
    is(join(' ', map { length $line->{$_} ? $line->{$_} : '-' }
                 @names, 'status'), $want, $name);
}

sub metric {
    my ($name) = @_;
    my $raw = $mq->raw('/', upgrade => 0);

    $raw->write("GET /metrics HTTP/1.1\r\nHost: localhost\r\n"
                . "Connection: close\r\n\r\n");
    return $raw->rest =~ /^kapokmq_$name (\d+)$/m ? $1 : -1;
}

sub metric_is {
    my ($name, $n, $what) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return wait_for { metric($name) == $n } $what;
}

for my $confirm (qw(socket ack)) {
    my $stream = KapokMQ::Stream->new($mq, 'news', 'c1',
                                      query => { confirm => $confirm });
    wait_for { $stream->open } 'a stream';
    metric_is('consumers_events', 1, 'the metrics count it');
    $mq->publish('news', "n$_") for 1 .. 3;
    wait_for { @{$stream->messages} == 3 } 'with three messages';
    $stream->stop;
    next_is("consumer events news c1 3 $confirm "
            . ($confirm eq 'socket' ? 3 : '-') . ' 200', $confirm);
}
metric_is('consumers_parked', 1, 'the second one is parked');
metric_is('consumers_events', 0, 'and not there');

$mq->publish('jobs', "j$_") for 1 .. 3;
my ($status, $json) = $post->now('/Consumers/Pull/jobs/p1', { max => 2 });
next_is('consumer pull jobs p1 2 ack - 200', 'a pull');
metric_is('leases', 1, 'the metrics count the lease');
metric_is('consumers_pull', 0, 'which waits no more');
$post->now('/Consumers/Pull/jobs/p1', { max => 'x' });
next_is('consumer pull jobs p1 0 - - 400', 'one that is refused');

$mq->finish;
done_testing();
