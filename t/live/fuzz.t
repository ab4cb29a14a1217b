# The whole module, alive, under random clients: WebSocket, HTTP and TLS, right
# and wrong, that come and go while workers are reloaded, killed and stopped,
# once for each isPersistent. The module has the sanitizers (make live-build);
# afterwards no client, no message, no connection and no memory may be left.
#
# KMQ_FUZZ_SECONDS: how long all of it storms, 60 otherwise; KMQ_FUZZ_SEED: the
# seed that a run has printed, to see its clients again.

use strict;
use warnings;

BEGIN {
    push @INC, 't/lib';
    $ENV{KMQ_BUILD} ||= "$ENV{PWD}/build/live";
    $ENV{KMQ_PRELOAD} = join ' ', map {
        my $path = qx(gcc -print-file-name=lib$_.so);
        chomp $path;
        $path;
    } qw(asan ubsan);
    $ENV{KMQ_PRELOAD} .= " $ENV{KMQ_BUILD}/heap.so";
}

use IO::Socket::INET;
use List::Util qw(min sum);
use Test::More;
use KapokMQ::Left;
use KapokMQ::Storm;
use KapokMQ::Test;

use constant { WORKERS => 2, ROUNDS => 8, STEADY => 60 };

my $seconds = $ENV{KMQ_FUZZ_SECONDS} || 60;
my $seed = $ENV{KMQ_FUZZ_SEED} || int rand 1_000_000;
my @all = qw(producer consumer http noise TLS KILL HUP TERM USR1 STOP accepted
             messages);
my %count;

alarm(1800 + 3 * $seconds);
diag("KMQ_FUZZ_SEED=$seed");

my $topics = <<'YAML';
    socket:  { confirm: socket }
    ack:     { confirm: ack, prefetch: 20 }
    all:     { pushType: 2 }
    all-ack: { pushType: 2, confirm: ack, pushRetryTime: 0.5 }
    again:   { confirm: ack, pushRetryTime: 0.3, maxDeliveries: 3 }
YAML

# Settings that a reload changes.
sub change {
    my ($mq, $n) = @_;
    my %yaml = (%{$mq->{yaml}}, prefetch => 1 + $n % 200,
                pushMessagesSpeed => $n % 3 ? 0 : 0.1,
                pushType => 1 + $n % 2, sendCount => 1 + $n % 500);

    $mq->configure(yaml => \%yaml);
}

sub certificate {
    my ($pem) = @_;

    is(system("openssl req -x509 -nodes -newkey rsa:2048 -days 30"
              . " -subj /CN=localhost -keyout $pem -out $pem.crt 2> /dev/null"
              . " && cat $pem.crt >> $pem && chmod 644 $pem"), 0,
       'a certificate');
}

sub start {
    my ($mode, $port) = @_;
    my $mq = KapokMQ::Test->new(
        workers => WORKERS, zone => '6m', shutdown => '2s',
        topics => $topics,
        main => 'worker_rlimit_core 0;',
        yaml => { isPersistent => $mode, isCleanConsumed => 1,
                  persistentTime => 0.2, pushRetryTime => 1, checkSpeed => 0.5,
                  messageChanBuffer => 100_000, maxMessageSize => '64 KiB' },
        allow => qr/\[error\]|exited on signal 9|SSL_do_handshake/);
    my $dir = $mq->dir;

    certificate("$dir/server.pem");
    $mq->launch(
        env => {
            ASAN_OPTIONS => "log_path=$dir/found:detect_leaks=1:exitcode=99"
                . ':quarantine_size_mb=1:allocator_release_to_os_interval_ms=50'
                . ':detect_stack_use_after_return=1',
            LSAN_OPTIONS => 'print_suppressions=0:suppressions='
                . "$KapokMQ::Suite::Root/t/live/suppressions",
            KMQ_HEAP => "$dir/heap",
            UBSAN_OPTIONS => "log_path=$dir/found:print_stacktrace=1",
        },
        conf => <<"CONF");
        listen 127.0.0.1:$port ssl reuseport;
        ssl_certificate $dir/server.pem;
        ssl_certificate_key $dir/server.pem;
        location = /metrics { kapokmq_metrics; }
        # so long nginx keeps a connection that was reset in a body it discards
        keepalive_timeout 5s;
CONF

    return $mq;
}

sub connected {
    my ($mq) = @_;

    return IO::Socket::INET->new(PeerAddr => '127.0.0.1', Timeout => 5,
                                 PeerPort => $mq->port);
}

# Every worker answers, whichever the kernel gives us.
sub all_answer {
    my ($mq) = @_;
    my %missing = map { $_ => 1 } $mq->worker_pids;

    # who is idle may take all that come one after the other
    wait_for {
        my @sockets = map { connected($mq) // () } 1 .. 8;

        syswrite $_, "POST /Console/Ping HTTP/1.0\r\nsecretKey: "
                     . KapokMQ::Storm::Script::KEY . "\r\n\r\n" for @sockets;
        for my $socket (@sockets) {
            my $answer = do { local $/; <$socket> } // '';
            delete $missing{$1}
                if $answer =~ /^X-Worker: (\d+)\r\n.*\{"code":0\}$/ms;
        }
        !%missing;
    } 'each worker answers';
}

sub clear {
    my ($mq) = @_;

    wait_for { nobody_there($mq) } 'no client is left';
    wait_for {
        $mq->post('/Console/PurgeTopic', { topic => $_->{Topic} })
            for @{$mq->post('/Console/GetTopics', { limit => 1000 })->{data}};
        $mq->remove($_) for $mq->codes(status => 3, limit => 1000);
        my $counts = $mq->counts;
        $counts && $counts->{all} == 0;
    } 'all messages can be removed';
}

# What the sanitizers have written, each file once. UBSan reads its options when
# it first reports; nginx has put its title over them by then, so that this and
# what follows, of ASan, too, stands in the log.
sub is_clean {
    my ($mq, $name) = @_;
    my @reports = glob $mq->dir . '/found.*';
    my @lines = split /^/, $mq->log;
    my ($first) = grep { $lines[$_] =~ /: runtime error: |: ERROR: \w+Sanit/ }
                  0 .. $#lines;

    diag(grep { defined } @lines[$first .. $first + 60]) if defined $first;
    is($first, undef, "$name: nor told the log of it");

    for my $path (@reports) {
        open my $in, '<', $path or next;
        my @lines = <$in>;
        diag(@lines[0 .. ($#lines > 60 ? 60 : $#lines)]);
    }
    is(scalar @reports, 0, "$name: the sanitizers have found nothing");
    unlink @reports;
}

sub is_log_right {
    my ($mq, $storm) = @_;
    my @wrong = grep {
        /\[(?:alert|crit|emerg)\]/ && !/SSL_do_handshake/
            && !(/worker process (\d+) exited on signal 9/
                 && $storm->killed($1))
        || /exited with code [1-9]/
    } split /^/, $mq->log;

    # what the log says of these connections
    for my $number (map { /(\*\d+) open socket/ } @wrong) {
        diag(grep { index($_, "$number ") > 0 } split /^/, $mq->log);
    }
    is(join('', @wrong[0 .. ($#wrong > 20 ? 20 : $#wrong)]), '',
       'nothing of alert, crit or emerg, no worker died but those killed');
}

# Bytes that a worker has allocated.
sub heap {
    my ($mq, $pid) = @_;
    my $path = $mq->dir . "/heap.$pid";
    my $bytes;

    unlink $path;
    kill 'PWR', $pid;
    wait_for {
        open my $in, '<', $path or return 0;
        ($bytes) = (<$in> // '') =~ /^(\d+)\n/;
    } 'a worker tells of its memory';

    return $bytes;
}

# The same clients again and again to the same workers: what the first round has
# cost is there already, so that a further one costs nothing, but that a buffer
# grows now and then. A loss is one in each round.
sub costs_nothing {
    my ($mq, $port) = @_;
    my (@heap, @more);

    for my $round (0 .. ROUNDS) {
        my $storm = KapokMQ::Storm->new($mq, seed => $seed, tls => $port);
        $storm->run(0, STEADY);
        is(join(', ', $storm->faults), '', "steady round $round");
        clear($mq);
        for my $pid ($mq->worker_pids) {
            wait_for { connections($pid) == 0 }
                     'no connection is left';
        }
        push @heap, [map { heap($mq, $_) } sort $mq->worker_pids];
        push @more, sum(@{$heap[-1]}) - sum(@{$heap[-2]}) if @heap > 1;
        last if @more && $more[-1] < 4096;
    }
    diag('bytes allocated: ' . join ', ', map { "@$_" } @heap);

    cmp_ok(min(@more), '<', 4096, 'no memory of a worker is lost');
}

# What a process has open, by kind, for a look.
sub descriptors {
    my ($pid) = @_;
    my (%socket, %n);

    for my $kind (qw(tcp unix)) {
        open my $in, '<', "/proc/net/$kind" or next;
        while (my $line = <$in>) {
            my @field = split ' ', $line;
            my $inode = $field[$kind eq 'tcp' ? 9 : 6] // '';
            $socket{$inode} = $kind eq 'tcp' ? "tcp $field[3]" : 'unix';
        }
    }
    for my $path (map { readlink($_) // '?' } glob "/proc/$pid/fd/*") {
        my ($inode) = $path =~ /^socket:\[(\d+)\]$/;
        $n{$inode ? $socket{$inode} // 'socket' : $path =~ s/:\[\d+\]//r}++;
    }
    return join ', ', $pid, map { "$n{$_} $_" } sort keys %n;
}

sub descriptors_are_back {
    my ($mq, @old) = @_;

    for my $pid (@old) {
        wait_for { connections($pid) == 0 } 'nobody is connected';
    }
    my @fds = sort map { $mq->fds($_) } @old;
    my @before = map { descriptors($_) } @old;

    $mq->renew;
    wait_for { "@fds" eq join ' ', sort map { $mq->fds($_) } $mq->worker_pids }
             'new workers have as many descriptors'
        or diag(join "\n", @before, map { descriptors($_) } $mq->worker_pids);
}

for my $mode (0 .. 2) {
    my $port = KapokMQ::Suite::free_port();
    my $mq = start($mode, $port);
    my $capacity = capacity($mq, "isPersistent $mode, a new zone");
    my $storm = KapokMQ::Storm->new($mq, seed => $seed + $mode, tls => $port,
        disturb => 1, change => sub { change($mq, @_) });

    $storm->run($seconds / 3);
    diag("isPersistent $mode: " . $storm->counts);
    is(join(', ', $storm->faults), '', 'it has answered all the time');
    $count{$_} += $storm->count($_) for @all;
    is_clean($mq, 'storm');

    $mq->renew(yaml => { %{$mq->{yaml}}, pushMessagesSpeed => 0, pushType => 1,
                         prefetch => 1000 });
    all_answer($mq);
    clear($mq);
    is_clean($mq, 'reload');
    costs_nothing($mq, $port);
    my $number = @{$mq->post('/Console/GetTopics', { limit => 1000 })->{data}};
    my $after = capacity($mq, 'afterwards');
    diag("messages of 1,000 bytes: $capacity, then $after, $number topics");
    cmp_ok($after, '>=', 0.97 * $capacity - 5 * $number,
           'the zone takes as much as a new one');
    descriptors_are_back($mq, $mq->worker_pids);
    is_log_right($mq, $storm);
    $mq->stop('QUIT');
    is_clean($mq, 'end');
    delete @$mq{qw(group)};
    $mq->discard;
}
cmp_ok($count{$_}, '>', 0, "there were $_") for @all;

done_testing;
