# Large messages over events and pulls: they arrive whole, however slowly they
# are read, and what is not read takes little of a worker's memory.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use List::Util qw(max sum0);
use Test::More;
use Time::HiRes qw(sleep);
use KapokMQ::Left;
use KapokMQ::Puller;
use KapokMQ::Test;

# A worker makes 2 MiB of messages at a time, or one more than that is: those
# that are being written, and the next ones.
use constant { BOUND => 8 * 1024, READ => 32 * 1024 };

my $mq = KapokMQ::Test->start(zone => '256m', yaml => { pushRetryTime => 60 });
my $post = KapokMQ::Puller->new($mq);

# No two are alike, nor are two parts of one.
sub data {
    my ($topic, $n, $size) = @_;

    return substr join('', map { "$topic-$n-$_;" } 0 .. $size / 12), 0, $size;
}

sub memory { return max(map { own_memory($_) } $mq->worker_pids) }

my $before = memory();

# A request whose answer is read slowly, into a small buffer.
sub asked {
    my ($request, $body) = @_;
    my $raw = $mq->raw('/', upgrade => 0, rcvbuf => 4096, read => READ);

    $raw->write("$request HTTP/1.1\r\nHost: localhost\r\nsecretKey: sesame\r\n"
        . 'Content-Type: application/x-www-form-urlencoded' . "\r\n"
        . 'Content-Length: ' . length($body) . "\r\nConnection: close\r\n\r\n"
        . $body);
    return { raw => $raw, reads => 0, most => 0 };
}

# Some more bytes; 0 at the end.  It looks at the memory from time to time.
sub more {
    my ($answer) = @_;
    my $raw = $answer->{raw};

    return 1 if length $raw->{in};
    if (++$answer->{reads} % 20 == 0) {
        sleep 0.001;
        $answer->{most} = max($answer->{most}, memory() - $before);
    }
    return $raw->_fill;
}

# The next so many bytes, or up to "\n".
sub bytes {
    my ($answer, $n) = @_;
    my $raw = $answer->{raw};
    my $bytes = '';

    while (defined $n ? length $bytes < $n : $bytes !~ /\n\z/) {
        last if !more($answer);
        my $end = defined $n ? $n - length $bytes
                             : 1 + index $raw->{in}, "\n";
        $bytes .= substr $raw->{in}, 0,
                         $end > 0 ? $end : length $raw->{in}, '';
    }

    return $bytes;
}

sub head {
    my ($answer) = @_;

    for (my $line = ''; $line ne "\r\n"; $line = bytes($answer)) {
        $answer->{head} .= $line;
        last if $answer->{raw}{eof};
    }
}

# A line of a chunked body.
sub line {
    my ($answer) = @_;
    my $line = '';

    while ($line !~ /\n\z/) {
        if (!length($answer->{chunk} // '')) {
            my $size = hex(bytes($answer) =~ s/\r?\n\z//r) or last;
            $answer->{chunk} = bytes($answer, $size);
            bytes($answer, 2);
        }
        my $end = 1 + index $answer->{chunk}, "\n";
        $line .= substr $answer->{chunk}, 0,
                        $end || length $answer->{chunk}, '';
    }

    return $line;
}

# Notes whole messages, as JSON; returns their codes.
sub messages {
    my ($got, $size, $json) = @_;
    my @codes;

    while ($json =~ /"MessageCode":"(\w+)","MessageData":"([^"]*)"/g) {
        my ($code, $data) = ($1, $2);
        my ($topic, $n) = $data =~ /^(.*?)-(\d+)-0;/;
        $got->{$n}++;
        $got->{damaged}++ if $data ne data($topic, $n, $size);
        push @codes, $code;
    }

    return @codes;
}

sub all_came {
    my ($got, $n, $name, $most) = @_;

    is(delete $got->{damaged} // 0, 0, "$name: none is damaged");
    is(keys %$got, $n, 'all come');
    is(sum0(values %$got), $n, 'once');
    diag("$name: at most $most KiB more in a worker");
    # a sanitizer keeps freed memory on purpose
    cmp_ok($most, '<', BOUND, 'in little memory') if !$ENV{KMQ_PRELOAD};
}

sub events {
    my ($name, $size, $n, $confirm) = @_;
    my $topic = "$confirm-$size";
    my (%got, @codes);

    ok($mq->publish_many($topic, map { data($topic, $_, $size) } 1 .. $n),
       "$n messages of $name");
    my $answer = asked("GET /Consumers/Events/$topic/c1?confirm=$confirm", '');
    head($answer);
    while (sum0(map { $got{$_} } grep { $_ ne 'damaged' } keys %got) < $n) {
        my $line = line($answer);
        last if !length $line;
        push @codes, messages(\%got, $size, $line);
        next if $confirm ne 'ack' || @codes < 100 && keys %got < $n;
        $post->now('/Consumers/Settle', { confirm => [splice @codes] });
    }
    all_came(\%got, $n, "events, $confirm, $name", $answer->{most});
    $mq->counts_become({ unconsumed => 0 }, 'and are consumed');
    $answer->{raw}->close;
}

sub pulls {
    my ($name, $size, $n) = @_;
    my $topic = "pull-$size";
    my ($most, $largest, %got) = (0, 0);

    ok($mq->publish_many($topic, map { data($topic, $_, $size) } 1 .. $n),
       "$n messages of $name");
    for (my $empty = 0; !$empty; ) {
        my $answer = asked("POST /Consumers/Pull/$topic/c1", 'max=1000');
        head($answer);
        my ($length) = $answer->{head} =~ /^Content-Length: (\d+)/mi;
        my @codes = messages(\%got, $size, bytes($answer, $length));
        $empty = !@codes;
        $largest = max($largest, $length);
        $most = max($most, $answer->{most});
        $post->now('/Consumers/Settle', { confirm => \@codes });
        $answer->{raw}->close;
    }
    all_came(\%got, $n, "pull, $name", $most);
    cmp_ok($largest, '<', 4 << 20, 'no answer is larger than 4 MiB');
    $mq->counts_become({ unconsumed => 0 }, 'and are consumed');
}

for (['10 kB', 10_000, 1500], ['900 kB', 900_000, 12]) {
    my ($name, $size, $n) = @$_;

    events($name, $size, $n, $_) for qw(socket ack);
    pulls($name, $size, $n);
}

$mq->finish;
done_testing();
