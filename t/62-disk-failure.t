# A disk that fails: with isPersistent 2 producers are told, and nothing is "ok"
# that is not safe; with 1, it is said once. It heals by itself, and nothing
# that was accepted is forgotten. For a module of its own, where the disk fails on
# demand:
#
#     make FAULTS=1 BUILD=build/faults

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Errno qw(EIO ENOSPC);
use File::Path qw(remove_tree);
use List::Util qw(max);
use Test::More;
use Time::HiRes qw(time);
use KapokMQ::Disk;
use KapokMQ::Disk::Surge;
use KapokMQ::Test;

use constant MODE_1 => 0.1;

my $module = ($ENV{KMQ_BUILD} || "$KapokMQ::Suite::Root/build")
             . '/faults/ngx_kapokmq_module.so';
plan skip_all => "no $module: make FAULTS=1 BUILD=build/faults"
    unless -e $module;

my $REFUSING = qr/messages are refused until it works again/;
my $MEMORY = qr/messages are kept in memory only until it works again/;
my $AGAIN = qr/\[notice\].*the journal is written again/;
my $CHECKPOINT = qr/\[error\].*writing a checkpoint in .* failed/;

my $mounted;
END {
    my $status = $?;
    system('umount', '-l', $mounted) if $mounted;
    $? = $status;
}

sub server {
    my ($mode, %option) = @_;

    return KapokMQ::Test->start(
        module => $module, topics => "    news: { pushType: 2 }\n",
        main => 'worker_rlimit_core 0;',
        allow => qr/exited on signal 9|$REFUSING|$MEMORY|$CHECKPOINT/,
        yaml => { isPersistent => $mode, persistentTime => MODE_1,
                  confirm => 'ack', pushRetryTime => 300,
                  %{delete $option{yaml} // {}} }, %option);
}

# From now on these calls fail; none: they work.
sub fault {
    my ($mq, $calls, $errno) = @_;
    my ($status) = $mq->post('/Console/Fault',
        { io => $calls, ($errno ? (errno => $errno) : ()) });

    is($status, 200, $calls ? "the disk fails: $calls" : 'the disk works');
}

# How often a line has come to the log since it had that length, from which
# processes.
sub lines {
    my ($mq, $before, $pattern) = @_;
    my %n;

    for (split /^/, log_since($mq, $before)) {
        $n{$1}++ if /$pattern/ && / (\d+)#/;
    }
    return \%n;
}

# A worker says so once.
sub said_once {
    my ($mq, $before, $pattern, $name) = @_;
    my $n;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    wait_for { %{$n = lines($mq, $before, $pattern)} } "$name: it is there";
    is_deeply([max(0, values %$n), keys %$n <= $mq->{workers}], [1, 1], $name)
        or diag(log_since($mq, $before));
}

# Waits for a checkpoint that began after all that failed: then nothing is left
# of what was refused. A worker's death leads to one.
sub healed {
    my ($mq) = @_;
    my ($highest) = sort { $b <=> $a }
                    map { /-([0-9a-f]{16})/ ? hex $1 : 0 }
                    files($mq, qr/^(?:journal|checkpoint)-/);

    kill_worker($mq);
    is_checkpointed($mq, $highest, 'all that failed is over');
}

# Publishes on a connection; returns the answer.
sub answer {
    my ($producer, $data) = @_;

    $producer->text($data);
    return $producer->next_text // 'nothing';
}

# Publishes until it is accepted; returns how often that was tried.
sub accepted {
    my ($producer, $data, $name) = @_;
    my $n = 0;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    wait_for { $n++; answer($producer, $data) eq 'ok' } $name;
    return $n;
}

sub producer {
    my ($mq, $name) = @_;
    my $producer = $mq->raw("/Producers/Conn/topic/$name", key => 'sesame');

    $producer->next_text;
    return $producer;
}

# What waits in the topic, as data.
sub data {
    my ($mq) = @_;

    return map { $mq->find($_)->{MessageData} }
           reverse $mq->codes(topic => 'topic');
}


# ------------------------------------------------- each call, isPersistent 2

my %what = (
    append   => [ENOSPC, 'writing a journal\'s head failed: '
                         . 'No space left on device'],
    sync     => [EIO, 'flushing a journal failed: Input/output error'],
    create   => [ENOSPC, 'creating a journal failed: '
                         . 'No space left on device'],
    sync_dir => [EIO, 'writing a journal\'s name failed: '
                      . 'Input/output error'],
);

for my $call (sort keys %what) {
    my ($errno, $why) = @{$what{$call}};
    my $mq = server(2);
    my $before = length $mq->log;
    my $consumer = $mq->consumer('topic', 'c1');
    my $producer = producer($mq, 'p1');

    fault($mq, $call, $errno);
    is(answer($producer, "refused $_"), "error: not stored: $why",
       "$call fails: a producer is told") for 1 .. 3;
    my ($status, $json, $result) = $mq->post('/Producer/Send',
        { topic => 'topic', messageData => 'refused' });
    is($status, 503, 'by HTTP it is 503');
    is($json->{msg}, "not stored: $why", 'with the reason');
    ok(defined $result->headers->header('Retry-After'), 'and Retry-After');
    is($mq->counts->{all}, 0, 'nothing is there');
    said_once($mq, $before, qr/\[error\].*$REFUSING/,
              'the error log has it once');
    like($mq->log, qr/\[error\].*\Q$mq->{dir}\E\/MQDATA/,
         'with the directory');

    my $generation = generation($mq);
    fault($mq, '');
    accepted($producer, 'm1', 'the same connection goes on');
    wait_for { $consumer->data && ($consumer->data)[0] eq 'm1' }
             'a consumer gets that';
    is(@{$consumer->messages}, 1, 'alone');
    is($consumer->closed, undef, 'and has noticed nothing');
    said_once($mq, $before, $AGAIN, 'the error log says that it works');
    is_checkpointed($mq, $generation, 'a checkpoint has all');
    healed($mq);
    $mq->kill_all;
    $mq->launch;
    is_deeply([data($mq)], ['m1'], 'what was refused does not come back');
    $mq->finish;
}


# ----------------------------------------------------- under load, and killed

{
    my $mq = server(2, yaml => { prefetch => 50, confirm => 'pong' });
    my $surge = KapokMQ::Disk::Surge->new($mq, mode => 2, rate => 8000);
    my @calls = ('append', 'sync', 'create', 'sync_dir', 'append,remove',
                 'append,rename,sync,sync_dir');
    my $refused = 0;

    for my $n (0 .. $#calls) {
        $surge->connect;
        my $goal = $surge->accepted + 300;
        ok($surge->run(sub { $surge->accepted > $goal }), 'all is well');
        # a journal that is open is given up before a new one is begun
        for my $call ('sync', $calls[$n]) {
            fault($mq, $call, $n % 2 ? EIO : ENOSPC);
            $refused = $surge->refused + 50;
            ok($surge->run(sub { $surge->refused > $refused }),
               "$call fails: producers are told");
        }
        if ($n % 2) {
            my $generation = generation($mq);
            fault($mq, '');
            $goal = $surge->accepted + 300;
            ok($surge->run(sub { $surge->accepted > $goal }), 'it heals');
            ok($surge->run(sub { generation($mq) > $generation }),
               'and a checkpoint is made');
        }
        my $time = time;
        $mq->kill_all;
        $surge->killed($time);
        $mq->launch;
    }
    $surge->connect;
    $surge->drain;
    is($surge->faults, '', 'what must be there is, what must not is not');
    cmp_ok($surge->settled, '>', 100, 'many confirmations were on disk');
    $mq->finish;
}


# ------------------------------------------------------------- isPersistent 1

{
    my $mq = server(1);
    my $before = length $mq->log;
    my $producer = producer($mq, 'p1');
    my @data = 'm0';

    is(answer($producer, 'm0'), 'ok', 'isPersistent 1: accepted');
    fault($mq, 'append,sync,create', ENOSPC);
    # long enough for some tries
    my $start = time;
    wait_for {
        push @data, 'm' . @data;
        answer($producer, $data[-1]) eq 'ok'
            && time > $start + 5 * MODE_1
            && %{lines($mq, $before, qr/\[error\].*$MEMORY/)}
            && %{lines($mq, $before, $CHECKPOINT)};
    } 'the error log has it, and that a checkpoint fails, too';
    said_once($mq, $before, qr/\[error\].*$MEMORY/, 'it is said once');
    is($mq->counts->{unconsumed}, @data, 'accepted in memory');
    my $generation = generation($mq);
    fault($mq, '');
    is_checkpointed($mq, $generation, 'a checkpoint heals it');
    said_once($mq, $before, $CHECKPOINT, 'which was said to fail once');
    written($mq);
    wait_for { %{lines($mq, $before, $AGAIN)} } 'it is said that it works';
    said_once($mq, $before, $AGAIN, 'once');
    $mq->kill_all;
    $mq->launch;
    is_deeply([data($mq)], \@data, 'all is there');
    $mq->finish;
}


# -------------------------------------------------------- checkpoints alone

for my $call ('rename', 'rename,remove') {
    my $mq = server(2);
    my $producer = producer($mq, 'p1');
    my $before = length $mq->log;

    is(answer($producer, 'm1'), 'ok', 'accepted');
    fault($mq, $call, EIO);
    my $generation = generation($mq);
    kill_worker($mq);
    wait_for { %{lines($mq, $before, $CHECKPOINT)} } 'a checkpoint fails';
    $producer = producer($mq, 'p2');
    is(answer($producer, 'm2'), 'ok', 'which is nothing to producers');
    is(generation($mq), $generation, 'there is none');
    # killed now: what is left of it is no obstacle
    $mq->kill_all;
    $mq->launch;
    is_deeply([data($mq)], ['m1', 'm2'], 'the journals have all');
    is(scalar(files($mq, qr/\.new$/)), 0, 'nothing is left of it');

    $before = length $mq->log;
    fault($mq, $call, EIO);
    kill_worker($mq);
    wait_for { %{lines($mq, $before, $CHECKPOINT)} } 'it fails again';
    fault($mq, '');
    is_checkpointed($mq, $generation, 'and is made when the disk works');
    said_once($mq, $before, $CHECKPOINT, 'it was said once');
    $mq->kill_all;
    $mq->launch;
    is_deeply([data($mq)], ['m1', 'm2'], 'and it has all');
    $mq->finish;
}

{
    my $mq = server(2);
    my $producer = producer($mq, 'p1');

    is(answer($producer, 'm1'), 'ok', 'accepted');
    my @old = files($mq);
    fault($mq, 'remove', EIO);
    kill_worker($mq);
    wait_for { generation($mq) } 'a checkpoint is made';
    $producer = producer($mq, 'p2');
    is(answer($producer, 'm2'), 'ok', 'accepted');
    is(scalar(grep { -e } @old), scalar @old, 'older files cannot be removed');
    $mq->kill_all;
    $mq->launch;
    is_deeply([data($mq)], ['m1', 'm2'], 'and do no harm');
    my $generation = generation($mq);
    kill_worker($mq);
    is_checkpointed($mq, $generation, 'the next checkpoint removes them');
    $mq->finish;
}


# ------------------------------------------------------ the directory vanishes

for my $how (qw(renamed removed)) {
    my $mq = server(2);
    my $producer = producer($mq, 'p1');
    my $before = length $mq->log;
    my $directory = directory($mq);
    my ($mode, $uid, $gid) = (stat $directory)[2, 4, 5];

    is(answer($producer, "m$_"), 'ok', 'accepted') for 1 .. 3;
    $how eq 'renamed' ? rename $directory, "$directory.away"
                      : remove_tree($directory);
    for my $n (1 .. 3) {
        like(answer($producer, 'refused'),
             qr/^error: not stored: .*No such file or directory/,
             "the directory is $how: refused");
    }
    said_once($mq, $before, qr/\[error\].*$REFUSING/,
              'the error log has it once');
    if ($how eq 'renamed') {
        rename "$directory.away", $directory;
    } else {
        mkdir $directory;
        chown $uid, $gid, $directory;
        chmod $mode & 07777, $directory;
    }
    accepted($producer, 'm4', 'it is back: accepted');
    is_checkpointed($mq, 0, 'a checkpoint has all');
    healed($mq);
    $mq->kill_all;
    $mq->launch;
    is_deeply([data($mq)], ['m1' .. 'm4'], 'also what came before');
    $mq->finish;
}

{
    my $mq = server(2);
    my $producer = producer($mq, 'p1');

    is(answer($producer, "m$_"), 'ok', 'accepted') for 1 .. 3;
    unlink journals($mq);
    like(answer($producer, 'refused'),
         qr/^error: not stored: looking for a journal failed/,
         'a journal is removed: what goes there is refused');
    accepted($producer, 'm4', 'the next one is accepted');
    is_checkpointed($mq, 0, 'a checkpoint has all');
    healed($mq);
    $mq->kill_all;
    $mq->launch;
    is_deeply([data($mq)], ['m1' .. 'm4'], 'also what was in it');
    $mq->finish;
}

SKIP: {
    # to root nothing is read-only
    my %user = $> == 0 ? (user => 'nobody ' . getgrgid((getpwnam 'nobody')[3]))
                       : ();
    my $mq = server(2, %user);
    my ($pid) = $mq->worker_pids;
    my ($status, $json) = $mq->post('/Producer/Send',
                                    { topic => 'topic', messageData => 'm1' });
    if ($status == 503 && $json->{msg} =~ /Permission denied/) {
        $mq->finish;
        skip "user nobody cannot get at $mq->{dir}", 5;
    }
    is($status, 200, 'accepted');
    chmod 0500, directory($mq);
    # new workers have no journals yet
    kill_worker($mq, $_) for $mq->worker_pids;
    my $producer = producer($mq, 'p1');
    is(answer($producer, 'refused'), 'error: not stored: creating a journal '
       . 'failed: Permission denied', 'the directory is read-only: refused');
    chmod 0700, directory($mq);
    accepted($producer, 'm2', 'it is not: accepted');
    is_checkpointed($mq, 0, 'a checkpoint has all');
    healed($mq);
    $mq->kill_all;
    $mq->launch;
    is_deeply([data($mq)], ['m1', 'm2'], 'all is there');
    $mq->finish;
}


# --------------------------------------------------------- a disk that is full

SKIP: {
    my $mq = KapokMQ::Test->new(
        module => $module, main => 'worker_rlimit_core 0;',
        allow => qr/$REFUSING|$CHECKPOINT/,
        yaml => { isPersistent => 2, persistentFile => 'disk/MQDATA',
                  confirm => 'ack' });
    my $disk = $mq->dir . '/disk';
    mkdir $disk;
    if (system("mount -t tmpfs -o size=4m,mode=755 none $disk 2> /dev/null")) {
        $mq->discard;
        skip 'mount is not permitted', 5;
    }
    $mounted = $disk;
    $mq->launch;
    spew("$disk/ballast", 'x' x 1_000_000);
    my $producer = producer($mq, 'p1');
    my @data;
    my $refused = 0;
    for my $n (1 .. 2000) {
        my $answer = answer($producer, "m$n " . 'x' x 5000);
        push @data, "m$n" if $answer eq 'ok';
        $refused++ if $answer =~ /^error: not stored: .*No space left/;
        last if $refused == 10;
    }
    is($refused, 10, 'the disk is full: refused');
    cmp_ok(@data, '>', 100, 'many were accepted before');
    # and is full still at a start
    $mq->kill_all;
    $mq->launch;
    my %there = map { /^(m\d+) / ? ($1 => 1) : () } data($mq);
    is(scalar(grep { !$there{$_} } @data), 0, 'those are there');
    $producer = producer($mq, 'p1');
    like(answer($producer, "x " . 'x' x 5000), qr/^error: not stored: /,
         'it is full still');
    unlink "$disk/ballast";
    push @data, 'last';
    accepted($producer, 'last ', 'there is room: accepted');
    $mq->kill_all;
    $mq->launch;
    %there = map { /^(\w+) / ? ($1 => 1) : () } data($mq);
    is(scalar(grep { !$there{$_} } @data), 0, 'all is there');
    $mq->stop;
    system('umount', $disk);
    $mounted = undef;
    $mq->launch(yaml => { isPersistent => 0 });
    $mq->finish;
}

done_testing;
