# A JSON body of megabytes is read in one pass: neither the time of the event
# loop nor memory goes up with the number of values in it.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use KapokMQ::Test;

my $mq = KapokMQ::Test->start(
    workers => 1,
    conf => 'client_body_buffer_size 8m;');
my ($pid) = $mq->worker_pids;

# The worker's own processor time so far, in seconds, and its memory at most,
# in MB: both are the same on a machine that is busy with other things.
sub spent {
    open my $in, '<', "/proc/$pid/stat" or die "stat: $!";
    my @stat = split ' ', <$in> =~ s/.*\) //r;
    return ($stat[11] + $stat[12]) / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

sub memory {
    open my $in, '<', "/proc/$pid/status" or die "status: $!";
    my ($kb) = join('', <$in>) =~ /^VmHWM:\s+(\d+)/m;
    return $kb / 1024;
}

sub send_body {
    my ($path, $body) = @_;
    my $raw = $mq->raw($path, upgrade => 0);

    $raw->write("POST $path HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                . "secretKey: sesame\r\nContent-Type: application/json\r\n"
                . 'Content-Length: ' . length($body) . "\r\n\r\n$body");
    my $answer = $raw->rest;
    $raw->close;
    return $answer =~ /^HTTP\S+ (\d+)/ ? $1 : 0;
}

my $size = 6_250_000;
my %bodies = (
    'small objects in an array'
        => '{"topic":"t","messageData":"x","list":['
           . join(',', ('{"a":1}') x ($size / 8)) . ']}',
    'small members'
        => '{"topic":"t",' . join(',', map { qq("k$_":[]) } 1 .. $size / 13)
           . ',"messageData":"x"}',
    'escapes' => '{"topic":"t","messageData":"x","text":"'
                 . '\\u4e2d' x ($size / 6) . '"}',
);

# a body of one text, for what nginx itself and the copies of it take
is(send_body('/Producer/Send', '{"topic":"t","messageData":"x","text":"'
                               . 'x' x $size . '"}'),
   200, 'one long text');
my ($before, $time) = (memory(), spent());

for my $name (sort keys %bodies) {
    is(send_body('/Producer/Send', $bodies{$name}), 200, "$name: sent");
    is(send_body('/Console/GetMessageList', $bodies{$name}), 200,
       'and asked');
    cmp_ok(memory(), '<', $before + 20, 'without a tree of it');
}
cmp_ok(spent() - $time, '<', 1.2, 'in no time');
diag(sprintf '%.3f s for 37 MB', spent() - $time);

$mq->finish;
done_testing;
