# Workers that die, again and again, by SIGKILL and SIGSEGV, one and several at
# once, the one that looks after the times among them: the others hardly
# notice. See also t/34-worker-death.t.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use IO::Handle;
use List::Util qw(max shuffle sum);
use Test::More;
use Time::HiRes qw(sleep time);
use KapokMQ::Load;
use KapokMQ::Test;

# Seconds that a survivor's message, and a delayed one, may take: far more
# than they do, and far less than forever.
use constant { ROUNDS => 20, HELD => 10, DELAYED => 6, ANSWER => 1,
               LATE => 3, LAGS => 10 };

my $workers = max($ENV{KMQ_WORKERS} || 1, 2);
my $mq = KapokMQ::Test->start(
    workers => $workers, main => 'worker_rlimit_core 0;',
    allow => qr/exited on signal (?:9|11)/,
    yaml => { confirm => 'ack', pushRetryTime => 300 },
    topics => "    all: { pushType: 2 }\n");
my $slower = slower();
my (%slowest, $consumed);

# [how many die, by what signal]; a sanitizer makes a report of a SEGV
my $segv = $ENV{KMQ_PRELOAD} ? 'KILL' : 'SEGV';
my @kinds = ([1, 'KILL'], [1, $segv], [$workers - 1, 'KILL'],
             ($workers > 3 ? [2, 'KILL'] : [$workers - 1, $segv]));

sub note_slowest {
    my ($name, $seconds) = @_;

    $slowest{$name} = max($slowest{$name} // 0, $seconds);
}

sub raw_on {
    my ($pid, $path) = @_;

    for (1 .. 400) {
        my $client = $mq->raw($path, key => 'sesame');
        $client->next_text;
        return $client if $client->head =~ /^X-Worker: $pid\r/m;
        $client->close;
    }
    die "no connection to worker $pid";
}

# A process that does nothing but send a message from one worker to another,
# and the next when it has come and a millisecond has passed, until it is told
# to stop. It tells how many that were, and the longest time that one took, less
# what the machine itself is late then: see the probe of t/44-faults.t.
sub probe {
    my ($from, $to, $topic) = @_;
    my $producer = raw_on($from, "/Producers/Conn/$topic/probe");
    my $consumer = raw_on($to, "/Consumers/Conn/$topic/probe?confirm=socket");

    pipe my $stopped, my $stop;
    my $pid = open(my $result, '-|') // die "fork: $!";
    return { stop => $stop, result => $result } if $pid;

    close $stop;
    $stopped->blocking(0);
    my ($n, $longest, $failed, $lag) = (0, 0, 0, 0);
    while (!$failed && !defined sysread $stopped, my $none, 1) {
        my $start = time;
        $producer->text('m' . ++$n);
        my $text = $consumer->next_text // '';
        my $answer = $producer->next_text // '';
        $failed = 1 if $text !~ /"MessageData":"m$n"/ || $answer ne 'ok';
        my $end = time;
        $longest = max($longest, $end - $start);
        sleep 0.001;
        $lag = max($lag, time - $end - 0.001);
    }
    $longest = max(0, $longest - LAGS * $lag);
    syswrite STDOUT, "$n $longest $failed";
    POSIX::_exit(0);
}

sub probe_end {
    my ($probe) = @_;

    close $probe->{stop};
    my ($n, $longest, $failed) = split ' ', readline $probe->{result};
    close $probe->{result};
    is($failed, 0, 'what was sent beside it came, in order');
    cmp_ok($n, '>', 0, 'which is something');
    note_slowest('answer', $longest);
    $consumed += $n;
}

# Messages that are due while the workers die; their data is the time.
sub delayed {
    for my $delay (map { $_ / 20 } 1 .. DELAYED) {
        $mq->publish('late', time + $delay, $delay);
    }
}

sub note_lateness {
    my ($consumer) = @_;

    $consumer->{on_message} = sub {
        my $late = time - $_[1]{MessageData};
        $consumer->{early}++ if $late < -0.002;
        note_slowest('delayed message', $late);
    };
}

for my $round (1 .. ROUNDS) {
    my ($count, $signal) = @{$kinds[$round % @kinds]};
    my @pids = shuffle $mq->worker_pids;
    my @victims = @pids[0 .. $count - 1];
    my @others = @pids[$count .. $#pids];
    my $probe = probe($others[0], $others[-1], "probe$round");

    # in flight with those that die: point to point, and with all
    my $topic = "held$round";
    my @holders = map {
        my $pid = $_;
        map { my $path = $_; $mq->on_worker($pid, sub {
                  $mq->consumer($path, "victim$pid") }) } $topic, 'all';
    } @victims;
    my $listener = $mq->on_worker($others[0], sub {
        $mq->consumer('all', 'listener', ack => 1);
    });
    wait_for { @{$mq->clients->{consumers}} == 2 + @holders } 'consumers';
    my @codes = map { $mq->publish($topic, "m$_") } 1 .. HELD * $count;
    my $to_all = $mq->publish('all', 'm');
    wait_for { $listener->got($to_all)
               && sum(map { scalar @{$_->messages} } @holders)
                  == @codes + $count } 'in flight with victims';
    my $rescuer = $mq->on_worker($others[-1], sub {
        $mq->consumer($topic, 'rescuer', ack => 1);
    });
    my $late = $mq->on_worker($others[0], sub {
        $mq->consumer('late', 'late', ack => 1);
    });
    note_lateness($late);
    delayed();

    my $start = time;
    kill $signal, @victims;
    wait_for { @{$rescuer->messages} == @codes }
             "$round: $count die of SIG$signal, their messages go to others";
    note_slowest('redelivery', $rescuer->at->[-1] - $start);
    is_deeply([sort $rescuer->codes], [sort @codes], 'once each');
    wait_for { !(grep { is_running($_) } @victims)
               && $mq->worker_pids == $workers } 'others take their place';
    wait_for { !grep { $_->{ConsumerId} =~ /victim/ }
               @{$mq->clients->{consumers}} } 'their clients are forgotten';
    note_slowest('forgetting', time - $start);
    wait_for { !grep { !$_->closed } @holders } 'which know it';
    wait_for { @{$late->messages} == DELAYED } 'delayed messages come';
    is($late->{early}, undef, 'none early');

    probe_end($probe);
    $consumed += @codes + 1 + DELAYED;
    $mq->counts_become({ unconsumed => 0, delay => 0, dead => 0,
                         consumed => $consumed, all => $consumed },
                       'all is consumed, and counted');
    $_->finish for $listener, $rescuer, $late;
    wait_for {
        my $clients = $mq->clients;
        !@{$clients->{consumers}} && !@{$clients->{producers}}
    } 'and nobody is left';
}

# Nothing is stuck: a message for each worker, a delayed one for each.
my @everywhere = $mq->consumers_everywhere('everywhere', ack => 1);
for my $pid ($mq->worker_pids) {
    my $producer = $mq->on_worker($pid, sub {
        $mq->producer('everywhere', 'p');
    });
    $producer->send('{"MessageData":"later","DelayTime":0.1}', 'now');
    wait_for { @{$producer->texts} == 2 } 'each worker takes messages';
    $producer->finish;
}
wait_for { sum(map { scalar @{$_->messages} } @everywhere) == 2 * $workers }
         'and delivers them';
$_->finish for @everywhere;
$mq->finish;


# --- workers that shut down, in whose place nobody comes

$mq = KapokMQ::Test->start(
    workers => $workers, main => 'worker_rlimit_core 0;',
    allow => qr/exited on signal 9/, yaml => { confirm => 'ack' });
my ($round, $there) = (0, 0);
while ($there < 4 && $round++ < 20) {
    # what does not answer keeps its worker for some time
    my @silent = map { raw_on($_, '/Consumers/Conn/held/silent') }
                 $mq->worker_pids;
    my @codes = map { $mq->publish('held', $_) } 1 .. HELD;
    wait_for { @{$mq->clients->{consumers}} == $workers } 'silent consumers';
    my @old = $mq->worker_pids;
    $mq->reload;
    is($_->close_code, 1001, 'told to leave') for @silent;
    my $rescuer = $mq->consumer('held', 'rescuer', ack => 1);
    my $late = $mq->consumer('late', 'late', ack => 1);
    note_lateness($late);
    # on a busy machine they may have gone by themselves
    my @left = grep { is_running($_) } @old;
    $there++ if @left == $workers;
    kill 'KILL', @left;
    delayed() for 1 .. 3;
    wait_for { @{$rescuer->messages} == @codes }
             "$round: killed while they shut down, their messages go on";
    is_deeply([sort $rescuer->codes], [sort @codes], 'once each');
    wait_for { @{$late->messages} == 3 * DELAYED } 'delayed messages come';
    is($late->{early}, undef, 'none early');
    wait_for { !grep { $_->{ConsumerId} eq 'silent' }
               @{$mq->clients->{consumers}} } 'their clients are forgotten';
    $mq->counts_become({ unconsumed => 0, delay => 0,
                         consumed => $round * (HELD + 3 * DELAYED) },
                       'all is consumed, and counted');
    $_->close for @silent;
    $_->finish for $rescuer, $late;
    wait_for { !@{$mq->clients->{consumers}} } 'and nobody is left';
}
is($there, 4, 'four times all were there still');
$mq->finish;


# --- under load, whoever it is

$mq = KapokMQ::Test->start(
    main => 'worker_rlimit_core 0;', allow => qr/exited on signal (?:9|11)/);
my $load = KapokMQ::Load->start($mq, 'topic');
for my $round (1 .. ROUNDS) {
    my ($victim) = shuffle $mq->worker_pids;

    $load->more(50);
    kill $round % 2 ? 'KILL' : $segv, $victim;
    wait_for { !is_running($victim) && $mq->worker_pids == $mq->{workers} }
             'killed under load';
}
$load->more(100);
$load->finish;
$mq->finish;

diag(sprintf '%s: at most %.1f ms', $_, 1000 * $slowest{$_})
    for sort keys %slowest;
cmp_ok($slowest{answer}, '<', ANSWER, 'survivors were served all the time');
cmp_ok($slowest{'delayed message'}, '<', LATE * max($slower, slower()),
       'delayed messages in time');
done_testing;
