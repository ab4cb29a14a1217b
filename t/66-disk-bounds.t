# What a disk costs that fails, is full or stands still: files, memory, and how
# long it is said to fail. And when, with isPersistent 1, something is written.
# Partly for a module of its own, as t/62-disk-failure.t.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Errno qw(EIO ENOSPC);
use IO::Select;
use Test::More;
use Time::HiRes qw(time);
use KapokMQ::Disk;
use KapokMQ::Test;

use constant { STALL => 0xffff, FLOOD => 1_000_000, GROWTH => 40_000,
               HOUR => 3600 };

my $module = ($ENV{KMQ_BUILD} || "$KapokMQ::Suite::Root/build")
             . '/faults/ngx_kapokmq_module.so';

my $FAILS = qr/until it works again|writing a checkpoint in/;

my $mounted;
END {
    my $status = $?;
    system('umount', '-l', $mounted) if $mounted;
    $? = $status;
}

sub server {
    my ($mode, %option) = @_;

    return KapokMQ::Test->start(
        allow => qr/exited on signal 9|$FAILS/,
        yaml => { isPersistent => $mode, persistentTime => 0.1,
                  confirm => 'ack', %{delete $option{yaml} // {}} }, %option);
}

sub fault {
    my ($mq, $calls, $errno) = @_;
    my ($status) = $mq->post('/Console/Fault',
        { io => $calls, ($errno ? (errno => $errno) : ()) });

    is($status, 200, $calls ? "the disk: $calls" : 'the disk works');
}

sub producer {
    my ($mq, $name) = @_;
    my $producer = $mq->raw("/Producers/Conn/topic/$name", key => 'sesame');

    $producer->next_text;
    return $producer;
}

sub answer {
    my ($producer, $data) = @_;

    $producer->text($data);
    return $producer->next_text // 'nothing';
}

sub error {
    my ($mq) = @_;

    return $mq->post('/Console/GetOverview')->{data}{Disk}{Error};
}


# -------------------------------------------------------------- isPersistent 1

# What is written does not wait for what is flushed.
{
    my $mq = server(1, workers => 1, yaml => { persistentTime => HOUR });

    for my $n (1 .. 3) {
        ok($mq->publish('topic', "soon $n"), 'published');
        wait_for { is_in_files($mq, "soon $n") } 'and soon in a file';
    }
    $mq->kill_all;
    $mq->launch;
    is($mq->counts->{unconsumed}, 3, 'all are there, after a death of all');
    like($mq->log, qr/\[notice\].*recovered from ".*": 3 waiting/,
         'the log says what was found');
    $mq->finish;
}


# ------------------------------------------------------------- recoveryStrategy

{
    my $mq = server(2);

    for my $n (1 .. 5) {
        ok($mq->publish('topic', "start $n"), 'published');
        $mq->stop;
        $mq->launch(yaml => { %{$mq->{yaml}}, recoveryStrategy => 0 });
    }
    my @aside = files($mq, qr/^aside-/);
    is(@aside, 3, 'of what was set aside, the newest three are kept');
    is(scalar(grep { slurp($_) =~ /start 5/ } map { glob "$_/journal-*" }
              @aside), 1, 'the last one, too');
    $mq->finish;
}


# ------------------------------------------------------------------- it fails

SKIP: {
    skip "no $module: make FAULTS=1 BUILD=build/faults", 1 unless -e $module;

    for my $call (qw(append sync create sync_dir)) {
        my $mq = server(2, module => $module, workers => 1,
                        main => 'worker_rlimit_core 0;');
        my $producer = producer($mq, 'p1');

        is(answer($producer, 'm1'), 'ok', 'accepted');
        fault($mq, 'sync', EIO);
        like(answer($producer, 'refused'), qr/^error: /, 'the disk fails');
        fault($mq, $call, ENOSPC);
        like(answer($producer, 'refused'), qr/^error: /, "$call fails")
            for 1 .. 12;
        my @files = files($mq);
        cmp_ok(@files, '<=', 2, 'which makes no files') or diag("@files");
        fault($mq, '');
        is(answer($producer, 'm2'), 'ok', 'it works again');
        my $healed = is_checkpointed($mq, 0, 'a checkpoint has all');
        $mq->finish;
        last if !$healed;
    }

    # whoever it failed for has nothing more to write
    my $mq = server(2, module => $module, workers => 1,
                    main => 'worker_rlimit_core 0;');
    my $producer = producer($mq, 'p1');
    fault($mq, 'append', ENOSPC);
    like(answer($producer, 'refused'), qr/^error: /, 'the disk fails');
    ok(error($mq), 'which the console tells');
    fault($mq, '');
    is_checkpointed($mq, 0, 'it works, a checkpoint is made');
    wait_for { !error($mq) } 'the console tells nothing any more';
    $mq->finish;
}


# ----------------------------------------------------------- it stands still

SKIP: {
    skip "no $module: make FAULTS=1 BUILD=build/faults", 1 unless -e $module;

    my $mq = server(2, module => $module, workers => 1,
                    main => 'worker_rlimit_core 0;');
    my ($pid) = $mq->worker_pids;
    my $producer = producer($mq, 'p1');
    my $frame = KapokMQ::Raw::frame(2, "\xff");

    is(answer($producer, 'm1'), 'ok', 'accepted');
    fault($mq, 'sync', STALL);
    $producer->text('m2');
    my $before = $mq->memory($pid);

    # as many as it takes
    my $socket = $producer->{socket};
    my $writable = IO::Select->new($socket);
    my $sent = 0;
    $socket->blocking(0);
    while ($sent < FLOOD * length $frame && $writable->can_write(2)) {
        my $skip = $sent % length $frame;
        my $n = syswrite $socket, substr $frame x 10_000, $skip;
        $sent += $n // 0;
    }
    $socket->blocking(1);
    cmp_ok($sent, '<', FLOOD * length $frame,
           'a flood of bad frames: they are not read any more');
    cmp_ok($mq->memory($pid) - $before, '<', GROWTH, 'nor kept');
    is($mq->counts->{all}, 1, 'others are served');

    fault($mq, '');
    is($producer->next_text, 'ok', 'the disk goes on: first things first');
    my $errors = 0;
    my $whole = int($sent / length $frame);
    while ($errors < $whole) {
        last if ($producer->next_text // '') !~ /^error: .*UTF-8/;
        $errors++;
    }
    is($errors, $whole, 'each bad frame is answered');
    $mq->finish;
}


# ------------------------------------------------------------------ it is full

# The queue alone has filled it.
SKIP: {
    my $mq = KapokMQ::Test->new(
        allow => $FAILS, yaml => { isPersistent => 2, confirm => 'ack',
                                   persistentFile => 'disk/MQDATA' });
    my $disk = $mq->dir . '/disk';

    mkdir $disk;
    if (system("mount -t tmpfs -o size=4m,mode=755 none $disk 2> /dev/null")) {
        $mq->discard;
        skip 'mount is not permitted', 5;
    }
    $mounted = $disk;
    $mq->launch;
    my $producer = producer($mq, 'p1');
    my ($data, $refused) = ('x' x 5000, 0);
    for (1 .. 3000) {
        $refused++ if answer($producer, $data)
                      =~ /^error: not stored: .*No space left/;
        last if $refused == 5;
    }
    is($refused, 5, 'the disk is full: refused');
    my $consumer = $mq->consumer('topic', 'c1', ack => 1);
    $mq->counts_become({ unconsumed => 0 }, 'consumers take all');
    wait_for { answer($producer, $data) eq 'ok' } 'it heals by itself';
    is_checkpointed($mq, 0, 'by a checkpoint');
    my $n = 0;
    wait_for { $n += answer($producer, $data) eq 'ok'; $n == 200 }
             'it takes many more';
    $mq->stop;
    system('umount', '-l', $disk);
    $mounted = undef;
    $mq->launch(yaml => { isPersistent => 0 });
    $mq->finish;
}

done_testing;
