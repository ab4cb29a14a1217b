# Starts and stops with files: the lock, signals in the middle of a checkpoint,
# the directory's owner and modes, files that are damaged or do not fit.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use POSIX qw(:sys_wait_h);
use Test::More;
use Time::HiRes qw(sleep time);
use KapokMQ::Disk;
use KapokMQ::Disk::Surge;
use KapokMQ::Test;

use constant { MANY => 300_000, AT_ONCE => 5000 };

# Workers whose master is gone.
my @orphans;
END {
    my $status = $?;
    kill 'KILL', @orphans if @orphans;
    $? = $status;
}

sub server {
    my ($mode, %option) = @_;
    my $yaml = delete $option{yaml} // {};
    my $way = delete $option{new} ? 'new' : 'start';

    return KapokMQ::Test->$way(
        allow => qr/exited on signal 9/,
        yaml => { isPersistent => $mode, persistentTime => 0.1,
                  confirm => 'ack', pushRetryTime => 300, %$yaml },
        %option);
}

# All there is of files but the lock's: name => [mode, owner, size, mtime,
# content of small ones].
sub disk {
    my ($mq) = @_;

    return {
        map {
            my @stat = stat;
            $_ => [@stat[2, 4, 7, 9], $stat[7] < 10_000_000 ? slurp($_) : ''];
        } files($mq, qr/^(?!lock$|\.)/)
    };
}

# The data of the messages that wait in a topic, the oldest first.
sub data {
    my ($mq, $topic) = @_;

    return map { $mq->find($_)->{MessageData} }
           reverse $mq->codes(topic => $topic // 'topic', status => -1);
}


# ----------------------------------------------------------------- the lock

{
    my $mq = server(2);
    $mq->publish('topic', 'm1');
    my $disk = disk($mq);
    my $pid = $mq->{pid};
    my $other = server(2, new => 1,
                       yaml => { persistentFile => directory($mq) });

    $other->is_refused(qr/in use by process $pid\b/, 'a second nginx');
    is_deeply(disk($mq), $disk, 'which has changed nothing');

    # one that runs, and wants the files at a reload
    $other->launch(yaml => { isPersistent => 0 });
    my %old = map { $_ => 1 } $other->worker_pids;
    $other->configure(yaml => { isPersistent => 2,
                                persistentFile => directory($mq) });
    my $before = length $other->log;
    $other->signal('HUP');
    wait_for { log_since($other, $before) =~ /in use by process $pid\b/ }
             'the same at a reload';
    is_deeply(disk($mq), $disk, 'which has changed nothing');
    is(scalar(grep { !$old{$_} } $other->worker_pids), 0,
       'its workers go on');
    ok($other->publish('topic', 'elsewhere'), 'and work');
    $other->stop;
    $other->discard;

    my ($exit, $text) = $mq->test_config;
    is($exit, 0, 'nginx -t beside one that runs') or diag($text);
    is_deeply(disk($mq), $disk, 'changes nothing');
    ok($mq->publish('topic', 'm2'), 'the first one goes on');

    # the master alone is killed, and workers are left that cannot notice
    my $consumer = $mq->consumer('topic', 'c1', ack => 1);
    wait_for { @{$consumer->messages} == 2 } 'all is pushed but';
    ok($mq->publish('kept', 'm3'), 'the last message');
    my @workers = @orphans = $mq->worker_pids;
    kill 'STOP', @orphans;
    wait_for { !grep { !is_stopped($_) } @orphans } 'the workers stand still';
    kill 'KILL', $pid;
    wait_for { $mq->_ended($pid) } 'the master is dead';
    # the dead are not named
    $mq->is_refused(qr/in use by process (?:@{[join '|', @orphans]})\b/,
                    'a new one beside its workers');
    my $killed = shift @orphans;
    kill 'KILL', $killed;
    wait_for { !is_running($killed) } 'one of them dies';
    $mq->is_refused(qr/in use by process (?:@{[join '|', @orphans]})\b/,
                    'beside those that are left') if @orphans;
    kill 'CONT', @orphans;
    wait_for { !grep { is_running($_) } @workers } 'the workers go';
    @orphans = ();
    $mq->launch;
    is_deeply([data($mq, 'kept')], ['m3'], 'a new one has their messages');
    # a worker that stood still may find that another one has its checkpoint
    $mq->{allow} = qr/exited[ ]on[ ]signal[ ]9|in[ ]use[ ]by[ ]process|cannot[ ]use
                      |checkpoint.*No[ ]such[ ]file/x;
    $mq->finish;
}


# A binary upgrade: the new master cannot have the files, and the old one goes
# on.
{
    my $mq = server(2, orphan => 1,
                    allow => qr/in use by process|cannot use|new binary/);
    my $pid = $mq->{pid};

    ok($mq->publish('topic', 'm1'), 'published');
    $mq->signal('USR2');
    wait_for { $mq->log =~ /\[emerg\].*cannot use persistentFile/ }
             'USR2: a new master is refused';
    like($mq->log, qr/in use by process $pid\b/, 'which is told by whom');
    wait_for { $mq->log =~ /new binary process \d+ exited/
               || $mq->log =~ /process \d+ exited with code 1/ } 'it ends';
    ok($mq->publish('topic', 'm2'), 'the old one goes on');
    wait_for { $mq->master == $pid } 'and has its pid file again';
    $mq->finish;
}


# ------------------------------------------------------------ modes and owners

sub is_private {
    my ($mq, $uid, $name) = @_;
    my @all = (directory($mq), files($mq, qr/^[^.]/));
    my @wrong = grep {
        my ($mode, $owner) = (stat)[2, 4];
        ($mode & 07777) != (-d _ ? 0700 : 0600) || $owner != $uid;
    } @all;

    cmp_ok(@all, '>', 2, "$name: there are files");
    is("@wrong", '', 'of the workers\' user, and for nobody else');
}

for my $user ($> == 0 ? ('root', 'nobody') : (undef)) {
    my ($uid, $gid) = defined $user ? (getpwnam $user)[2, 3] : ($>, $();
    my $mq = server(2, defined $user ? (user => "$user " . getgrgid $gid)
                                     : ());
    my ($status, $json) = $mq->post('/Producer/Send',
        { topic => 'topic', messageData => 'm1' });
    if ($uid != $> && ($json->{msg} // '') =~ /Permission denied/) {
        diag("user $user cannot get at $mq->{dir}");
        $mq->{allow} = qr/Permission denied/;
        $mq->finish;
        next;
    }
    is($status, 200, 'user ' . ($user // $uid));
    is_private($mq, $uid, 'journals');
    my $generation = generation($mq);
    kill_worker($mq);
    is_checkpointed($mq, $generation);
    is_private($mq, $uid, 'a checkpoint');
    $mq->publish('topic', 'm2');
    $mq->renew;
    $mq->publish('topic', 'm3');
    $mq->kill_all;
    # as somebody might have it
    chmod 0755, directory($mq);
    $mq->launch;
    is_deeply([data($mq)], ['m1', 'm2', 'm3'], 'all is there');
    is((stat directory($mq))[2] & 07777, 0755, 'a mode that was set is kept');
    chmod 0700, directory($mq);
    is_private($mq, $uid, 'after a start');
    $mq->stop;
    $mq->launch(yaml => { %{$mq->{yaml}}, recoveryStrategy => 0 });
    ok($mq->publish('topic', 'm4'), 'after they were set aside');
    is_private($mq, $uid, 'set aside');
    $mq->finish;
}

for my $case (['missing/MQDATA', qr/making the directory .*No such file/],
              ['nginx.conf', qr/is not a directory/],
              ['/proc/MQDATA', qr/making the directory/])
{
    my ($path, $why) = @$case;
    my $mq = server(1, new => 1, yaml => { persistentFile => $path });

    $mq->is_refused($why, "persistentFile $path");
    $mq->discard;
}

{
    my $mq = server(1, new => 1);
    my ($exit) = $mq->test_config;
    is($exit, 0, 'nginx -t before the first start');
    ok(!-e directory($mq), 'makes no directory');
    $mq->discard;
}


# -------------------------------------------------------------- damaged files

{
    my $mq = server(2, workers => 1);
    my $n = 0;
    ok($mq->publish('topic', 'm' . ++$n), 'published') for 1 .. 10;
    $mq->kill_all;
    my ($path) = journals($mq);
    my $bytes = slurp($path);
    my @records = grep { ($_->{body} // '') =~ /^m\d/ } records($path);

    # one bit in the fourth message
    my $at = $records[3]{at} + $records[3]{size} - 1;
    substr $bytes, $at, 1, chr(1 ^ ord substr $bytes, $at, 1);
    # and the last one was not written to its end
    substr $bytes, -9, 9, '';
    spew($path, $bytes);
    my $disk = disk($mq);
    my ($exit) = $mq->test_config;
    is($exit, 0, 'nginx -t with damaged files');
    is_deeply(disk($mq), $disk, 'changes nothing');

    my $before = length $mq->log;
    $mq->launch;
    my $log = log_since($mq, $before);
    like($log, qr/\[error\].*"\Q$path\E" is damaged at $records[3]{at}, /,
         'the damage is named with file and offset');
    like($log, qr/\[warn\].*"\Q$path\E" ends at $records[9]{at} with /,
         'and so is what is torn off');
    my @kept = files($mq, qr/\.damaged$/);
    is_deeply(\@kept, ["$path.damaged"], 'the file is kept');
    is(slurp($kept[0]), $bytes, 'as it was');
    is_deeply([data($mq)], [map { "m$_" } 1 .. 3, 5 .. 9],
              'the other messages are there');
    is_checkpointed($mq, 0, 'a checkpoint replaces what is damaged');
    ok(-e $kept[0], 'it is kept still');

    # a checkpoint, too
    $mq->kill_all;
    ($path) = files($mq, qr/^checkpoint-[0-9a-f]+$/);
    ($at) = map { $_->{at} } grep { ($_->{body} // '') eq 'm5' }
            records($path);
    $bytes = slurp($path);
    substr $bytes, $at + 30, 1, "\xff";
    spew($path, $bytes);
    $before = length $mq->log;
    $mq->launch;
    like(log_since($mq, $before), qr/"\Q$path\E" is damaged at $at, /,
         'damage in a checkpoint');
    is_deeply([data($mq)], [map { "m$_" } 1 .. 3, 6 .. 9],
              'the other messages are there');
    ok($mq->publish('topic', 'm10'), 'and new ones');
    is_checkpointed($mq, 1, 'a new checkpoint');
    ok($mq->publish('topic', 'm11'), 'and a journal after it');

    # a file that is none at all, an empty one, and garbage behind a good one
    $mq->kill_all;
    ($path) = journals($mq);
    spew($path, slurp($path) . 'garbage' x 100);
    (my $other = $path) =~ s/-(\d+)$/'-' . ($1 + 100)/e;
    spew($other, 'no journal' x 1000);
    (my $empty = $path) =~ s/-(\d+)$/'-' . ($1 + 101)/e;
    spew($empty, '');
    $before = length $mq->log;
    $mq->launch;
    is_deeply([data($mq)], [map { "m$_" } 1 .. 3, 6 .. 11],
              'garbage is no message');
    like(log_since($mq, $before), qr/"\Q$other\E"/, 'and is reported');
    is_private($mq, (stat directory($mq))[4], 'all that is left');
    $mq->{allow} = qr/is damaged at|has no end/;
    $mq->finish;
}


# --------------------------------------------------------- again and again

{
    my $mq = server(2);
    my @data;

    for my $n (1 .. 20) {
        push @data, "m$n";
        ok($mq->publish('topic', "m$n"), 'published');
        $n % 3 ? $mq->stop($n % 3 == 1 ? 'QUIT' : 'TERM') : $mq->kill_all;
        $mq->launch;
    }
    is_deeply([data($mq)], \@data, 'started 20 times: all is there');
    cmp_ok(scalar(files($mq)), '<', 64 + 4 * $mq->{workers},
           'in a moderate number of files');
    $mq->finish;
}


# ------------------------------------------------ a clean stop, under load

for my $mode (2, 1) {
    my $mq = server($mode, yaml => { prefetch => 50 },
                    topics => "    news: { pushType: 2 }\n");
    my $surge = KapokMQ::Disk::Surge->new($mq, mode => $mode, rate => 8000);

    for my $signal (qw(QUIT TERM QUIT)) {
        $surge->connect;
        my $goal = $surge->accepted + 1000;
        ok($surge->run(sub { $surge->accepted > $goal }),
           "isPersistent $mode, $signal under load");
        my $pid = $mq->{pid};
        $mq->signal($signal);
        $surge->killed(time, 1);
        wait_for { $mq->_ended($pid) } 'nginx ends';
        is($mq->{status}, 0, 'with exit code 0');
        $mq->launch;
    }
    $surge->connect;
    $surge->drain;
    is($surge->faults, '', "isPersistent $mode: all that was said holds");
    cmp_ok($surge->settled, '>', 1000, 'of many messages');
    $mq->finish;
}


# ------------------------------------------- in the middle of a checkpoint

{
    my $mq = server(1, zone => '160m');
    my $text = 'x' x 190;

    for my $n (1 .. MANY / AT_ONCE) {
        $mq->publish_many('many', map { "$n $_ $text" } 1 .. AT_ONCE)
            or fail('all are accepted');
    }
    written($mq);
    my $counts = $mq->counts;
    cmp_ok($counts->{unconsumed}, '>=', MANY + $mq->{workers}, 'many messages');

    for my $signal (qw(QUIT TERM KILL HUP)) {
        my $interrupted;
        for my $try (1 .. 10) {
            my $generation = generation($mq);
            my ($killed) = $mq->worker_pids;
            kill 'KILL', $killed;
            my $deadline = time + 30;
            sleep 0.002 until files($mq, qr/\.new$/) || time > $deadline;
            if ($signal eq 'HUP') {
                $mq->reload;
                $interrupted = 1;
                is_checkpointed($mq, $generation, 'HUP: it is made anyway');
                last;
            }
            if ($signal eq 'KILL') {
                $mq->kill_all;
            } else {
                $mq->stop($signal);
            }
            $interrupted = generation($mq) == $generation;
            $mq->launch;
            is_deeply($mq->counts, $counts,
                      "$signal in a checkpoint: all is there");
            last if $interrupted;
        }
        ok($interrupted, "$signal came in the middle of it");
    }

    # a zone that is too small for all that
    $mq->stop('QUIT');
    my $disk = disk($mq);
    $mq->configure(zone => '16m');
    $mq->is_refused(qr/more messages than there is room for in the zone/,
                    'a zone that is too small');
    is_deeply(disk($mq), $disk, 'the files are as they were');
    $mq->launch(zone => '160m');
    is_deeply($mq->counts, $counts, 'and are good for a larger one');
    $mq->{allow} = qr/exited on signal 9|make it larger|cannot be recovered/;
    $mq->finish;
}

done_testing;
