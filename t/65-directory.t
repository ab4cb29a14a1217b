# The directory of the files belongs to the workers' user, who is not to be
# trusted: what the master, which is root, does there, and what nginx -t finds.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use File::Path qw(remove_tree);
use POSIX qw(mkfifo);
use Test::More;
use KapokMQ::Disk;
use KapokMQ::Test;

plan skip_all => 'another user needs root' if $> != 0;

my ($UID, $GID) = (getpwnam 'nobody')[2, 3];
my $NOBODY = 'nobody ' . getgrgid $GID;

my $mounted;
END {
    my $status = $?;
    system('umount', '-l', $mounted) if $mounted;
    $? = $status;
}

# What is refused, and what workers say of a directory that is not there.
my $SAID = join '|', 'exited on signal 9', 'cannot use', 'not a regular file',
           'opening the lock', 'no files of a queue', 'until it works again',
           'writing a checkpoint';

sub server {
    my ($way, %option) = @_;

    return KapokMQ::Test->$way(
        user => $NOBODY, allow => qr/$SAID/,
        yaml => { isPersistent => 2, confirm => 'ack',
                  %{delete $option{yaml} // {}} }, %option);
}

# Owner, mode and content.
sub look {
    my ($path) = @_;
    my @stat = lstat $path or return 'nothing';

    return join ' ', @stat[2, 4, 5], -f _ ? slurp($path) : '';
}

sub data {
    my ($mq) = @_;

    return sort map { $mq->find($_)->{MessageData} } $mq->codes;
}

# The start fails, nginx -t says so before, for the same reason, and all is as
# it was.
sub refuses {
    my ($mq, $why, $name, @paths) = @_;
    my $before = join "\n", map { look($_) } @paths;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($exit, $text) = $mq->test_config;
    isnt($exit, 0, "$name: nginx -t fails");
    like($text, $why, 'and says why');
    is(join("\n", map { look($_) } @paths), $before, 'it changes nothing');
    $mq->is_refused($why, $name);
    is(join("\n", map { look($_) } @paths), $before, 'all is as it was');
}


# ---------------------------------------------------- what stands in the way

{
    my $mq = server('start');
    my $lock = directory($mq) . '/lock';
    my $victim = $mq->dir . '/roots';

    SKIP: {
        if (!defined $mq->publish('topic', 'm1')) {
            $mq->{allow} = qr/Permission denied/;
            skip "user nobody cannot get at $mq->{dir}", 1;
        }
        is((stat directory($mq))[4], $UID, 'the directory is the workers\'');
        $mq->stop;
        spew($victim, "root's own\n");

        for my $what (['a link', sub { symlink $victim, $lock }],
                      ['a second name', sub { link $victim, $lock }],
                      ['a pipe', sub { mkfifo $lock, 0666 }],
                      ['a directory', sub { mkdir $lock }])
        {
            my ($name, $make) = @$what;
            unlink $lock or rmdir $lock;
            $make->();
            refuses($mq, qr/lock" is not a regular file|Permission denied/,
                    "$name in the place of the lock", $victim, $lock);
        }
        rmdir $lock;

        # as nobody can put it there
        my ($journal) = journals($mq);
        (my $pipe = $journal) =~ s/-(\d+)$/'-' . ($1 + 100)/e;
        mkfifo $pipe, 0600;
        chown $UID, $GID, $pipe;
        (my $link = $journal) =~ s/-(\d+)$/'-' . ($1 + 101)/e;
        symlink $victim, $link;
        chmod 0644, $victim;
        my $before = look($victim);
        $mq->launch;
        is_deeply([data($mq)], ['m1'], 'a pipe among the files: all is there');
        like($mq->log, qr/"\Q$_\E" is not a regular file, it is passed over/,
             'which is said') for $pipe, $link;
        is(look($victim), $before, 'what a link leads to is as it was');
    }
    $mq->finish;
}


# ------------------------------------------------------ somebody else's things

{
    my $mq = server('new', yaml => { persistentFile => 'others' });
    my $dir = directory($mq);

    mkdir $dir;
    chmod 0755, $dir;
    refuses($mq, qr/user "nobody" cannot use .* belongs to user "root"/,
            'an empty directory of root', $dir);
    spew("$dir/thesis.txt", 'of years');
    chown $UID, $GID, $dir;
    refuses($mq, qr/has "thesis.txt" in it, and no files of a queue/,
            'a directory with other things', $dir, "$dir/thesis.txt");
    unlink "$dir/thesis.txt";
    mkdir "$dir/lost+found";
    $mq->launch;
    is((stat $dir)[2] & 07777, 0755, 'an empty one is used, with its mode');
    ok($mq->publish('topic', 'm1'), 'it works');
    $mq->kill_all;
    spew("$dir/notes.txt", 'beside it');
    $mq->launch;
    is_deeply([data($mq)], ['m1'], 'and so does one with a queue and more');
    $mq->finish;
}


# ------------------------------------------------------------------ the lock

{
    my $mq = server('start');
    my $pid = $mq->{pid};

    ok($mq->publish('topic', 'm1'), 'published');
    unlink directory($mq) . '/lock';
    my $other = server('new', yaml => { persistentFile => directory($mq) });
    $other->is_refused(qr/in use by process $pid\b/,
                       'a second nginx, after the lock was removed');
    $other->discard;
    ok($mq->publish('topic', 'm2'), 'the first one goes on');
    $mq->kill_all;
    $mq->launch;
    is_deeply([data($mq)], ['m1', 'm2'], 'and has all');
    $mq->finish;
}


# --------------------------------------------------------------- at a reload

{
    my $mq = server('start');
    my $dir = directory($mq);
    my $before = look($dir);
    my %old = map { $_ => 1 } $mq->worker_pids;

    ok($mq->publish('topic', 'm1'), 'published');
    $mq->configure(user => 'daemon daemon');
    my ($exit, $text) = $mq->test_config;
    isnt($exit, 0, 'another user: nginx -t fails');
    like($text, qr/user "daemon" cannot use .* belongs to user "nobody"/,
         'and says why');
    my $length = length $mq->log;
    $mq->signal('HUP');
    wait_for { log_since($mq, $length) =~ /cannot use persistentFile/ }
             'so does a reload';
    is(look($dir), $before, 'it gives nothing away');
    is(scalar(grep { !$old{$_} } $mq->worker_pids), 0, 'old workers go on');
    ok($mq->publish('topic', 'm2'), 'and take messages');

    # as the message says
    $mq->stop;
    system('chown', '-R', 'daemon:daemon', $dir);
    $mq->launch;
    is_deeply([data($mq)], ['m1', 'm2'], 'given to that user: all is there');
    ok($mq->publish('topic', 'm3'), 'and it works');
    $mq->finish;
}

{
    my $mq = server('start');
    my $dir = directory($mq);

    ok($mq->publish('topic', "m$_"), 'published') for 1 .. 3;
    remove_tree($dir);
    $mq->renew;
    is((stat $dir)[4], $UID, 'the directory was removed: a reload makes it');
    is((stat $dir)[2] & 07777, 0700, 'for that user alone');
    is_checkpointed($mq, 0, 'and all is written');
    ok($mq->publish('topic', 'm4'), 'published');
    my $other = server('new', yaml => { persistentFile => $dir });
    my $pid = $mq->{pid};
    $other->is_refused(qr/in use by process $pid\b/, 'it is locked, too');
    $other->discard;
    $mq->kill_all;
    $mq->launch;
    is_deeply([data($mq)], ['m1' .. 'm4'], 'all is there');
    $mq->finish;
}


# -------------------------------------------------- where root does not follow

{
    my $mq = server('new', yaml => { persistentFile => 'theirs/x/MQDATA' });
    my ($theirs, $roots) = map { $mq->dir . "/$_" } qw(theirs roots);

    mkdir $_ for $theirs, $roots;
    chown $UID, $GID, $theirs;
    symlink $roots, "$theirs/x";
    refuses($mq, qr/making the directory .*Permission denied/,
            'a link of the user on the way', "$roots/MQDATA", $roots);
    unlink "$theirs/x";
    mkdir "$theirs/x";
    refuses($mq, qr/making the directory .*Permission denied/,
            'what the user could make one', "$theirs/x/MQDATA");
    $mq->discard;
}


# -------------------------------------------------------- what nginx -t finds

SKIP: {
    my $mq = server('new', yaml => { persistentFile => 'disk/MQDATA' });
    my $disk = $mq->dir . '/disk';

    mkdir $disk;
    if (system("mount -t tmpfs -o size=1m,mode=755 none $disk 2> /dev/null")) {
        $mq->discard;
        skip 'mount is not permitted', 5;
    }
    $mounted = $disk;
    system("mount -o remount,ro $disk");
    refuses($mq, qr/Read-only file system/, 'a place that is read-only');
    system("mount -o remount,rw $disk");
    $mq->launch;
    ok($mq->publish('topic', 'm1'), 'it is not: it works');
    my ($exit, $text) = $mq->test_config;
    is($exit, 0, 'nginx -t beside one that runs') or diag($text);
    $mq->stop;
    system("mount -o remount,ro $disk");
    refuses($mq, qr/Read-only file system/, 'a directory that is read-only');
    system("mount -o remount,rw $disk");
    my ($journal) = journals($mq);
    chown 0, 0, $journal;
    refuses($mq, qr/reading "\Q$journal\E" failed: Permission denied/,
            'a file of somebody else', $journal);
    system('umount', '-l', $disk);
    $mounted = undef;
    $mq->discard;
}

done_testing;
