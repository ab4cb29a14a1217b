# A real nginx with real clients, for the suites that need several of them.
#
#     my $mq = KapokMQ::Test->start(yaml => { prefetch => 1 });
#     my $consumer = $mq->consumer('topic', 'c1');
#     my $producer = $mq->producer('topic', 'p1');
#     $producer->send('hello');
#     wait_for { @{$consumer->messages} == 1 } 'the message arrives';
#     $mq->finish;
#
# Each server has a directory and a port of its own; KMQ_WORKERS says how many
# workers.  Nothing waits for a time to pass: wait_for() waits for a condition
# and fails when it does not come.

package KapokMQ::Test;

use strict;
use warnings;

use Carp qw(croak);
use Exporter qw(import);
use File::Path qw(make_path remove_tree);
use File::Temp ();
use IO::Socket::INET;
use List::Util qw(max min);
use Mojo::IOLoop;
use Mojo::JSON qw(decode_json encode_json);
use Mojo::UserAgent;
use POSIX qw(:sys_wait_h);
use Test::More;
use Time::HiRes qw(sleep time);

use KapokMQ::Client;
use KapokMQ::Raw;
use KapokMQ::Suite;

our @EXPORT = qw(is_running is_stopped run_for slower wait_for);

use constant { KEY => 'sesame', PATIENCE => $ENV{KMQ_PATIENCE} || 120 };

# of every Mojo::UserAgent that says nothing else
$ENV{"MOJO_${_}_TIMEOUT"} //= PATIENCE for qw(CONNECT INACTIVITY);

my %servers;        # by their directories

# Mojo's event loop may be libev, which takes the exit status of every child:
# it must be there, and then not be told of children any more.
Mojo::IOLoop->singleton;
$SIG{CHLD} = 'DEFAULT';


# ------------------------------------------------------------------ waiting

# Runs the clients until the condition holds; a test with that name.  They have
# as much time as the condition takes, be it a question to a busy server.
sub wait_for (&$;$) {
    my ($condition, $name, $patience) = @_;
    my $before = time;
    my $deadline = $before + ($patience // PATIENCE);
    my $wake = Mojo::IOLoop->recurring(0.01 => sub { });
    my $holds;

    until ($holds = $condition->() or time > $deadline) {
        my $asked = time;
        my $until = $asked + min(0.25, $asked - $before);
        do { Mojo::IOLoop->one_tick } while time < $until;
        $before = time;
    }
    Mojo::IOLoop->remove($wake);
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok($holds, $name);

    return $holds;
}

# Runs the clients for so many seconds: only to see that something does NOT
# happen.
sub run_for {
    my ($seconds) = @_;

    Mojo::IOLoop->timer($seconds => sub { Mojo::IOLoop->stop });
    Mojo::IOLoop->start;
}

# How much more time is needed than on an idle machine, where a sleep ends when
# it should: some things can be seen only while the test is not kept waiting.
sub slower {
    my $worst = 0;

    for (1 .. 40) {
        my $start = time;
        sleep 0.005;
        $worst = max($worst, time - $start - 0.005);
    }

    return min(8, 1 + int($worst / 0.01));
}


# ------------------------------------------------------------------- server

# Options: workers; connections of each; zone ('64m'); yaml, a hash of mq keys over
# our defaults;
# topics, YAML text for mq.topics; main, http, conf, text for nginx.conf;
# consumer, text for the consumers' location; module, the path of another
# build's; shutdown, the time of worker_shutdown_timeout ('20s'), '' for none;
# orphan, a master whose parent is gone, as that of a daemon: it does not obey
# USR2 otherwise; allow, a pattern of lines above warn that may stand in the
# error log; env, a hash of environment variables for nginx; user, that of the
# workers, where the tests run as root; defaults, no file of settings at all.
sub start {
    my ($class, %option) = @_;
    my $self = $class->new(%option);

    $self->launch;
    return $self;
}

# The same, not started yet.
sub new {
    my ($class, %option) = @_;
    my $self = bless {
        workers  => $ENV{KMQ_WORKERS} || 1,
        zone     => '64m',
        shutdown => '20s',
        connections => 8192,
        port     => KapokMQ::Suite::free_port(),
        %option,
    }, $class;
    my $build = $ENV{KMQ_BUILD} || "$KapokMQ::Suite::Root/build";

    make_path("$build/t");
    $self->{dir} = File::Temp::tempdir('kmq-XXXXXX', DIR => "$build/t");
    chmod 0755, $self->{dir};
    $self->{module} //= "$build/ngx_kapokmq_module.so";
    $self->configure;
    $servers{$self->{dir}} = $self;

    return $self;
}

# Starts nginx; again, after stop(), kill_all() or is_refused(), in the same
# directory.
sub launch {
    my ($self, %change) = @_;

    $self->configure(%change) if %change;
    $self->_fork;
    if ($self->{orphan}) {
        waitpid $self->{group}, 0;
    } else {
        $self->{pid} = $self->{group};
    }

    my $deadline = time + PATIENCE;
    until ($self->_serves) {
        if (time > $deadline || $self->{pid} && $self->_ended($self->{pid})) {
            diag($self->log);
            die 'nginx did not start';
        }
        sleep 0.02;
    }
}

sub _fork {
    my ($self) = @_;

    delete @$self{qw(pid status)};
    $self->{group} = fork // die "fork: $!";
    return if $self->{group};
    # of its own session: when a master dies whose group has stopped processes,
    # the kernel lets them go on if it was of ours
    POSIX::setsid();
    $self->_orphan if $self->{orphan} && fork;
    $self->_exec;
}

# nginx does not start, and says why.
sub is_refused {
    my ($self, $why, $name) = @_;
    my $before = length $self->log;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $self->_fork;
    my $pid = $self->{group};
    wait_for { $self->_ended($pid) } "$name: nginx ends";
    delete $self->{group};
    isnt($self->{status}, 0, "$name: not with exit code 0");
    return like(substr($self->log, $before), qr/\[emerg\]/, "$name: emerg")
           && like(substr($self->log, $before), $why, "$name: and why");
}

# The parent of a master that is to be an orphan; who that is at its start
# is what nginx goes by.
sub _orphan {
    my ($self) = @_;
    my $deadline = time + PATIENCE;

    sleep 0.02 until $self->master || time > $deadline;
    POSIX::_exit(0);
}

sub _serves {
    my ($self) = @_;

    $self->{pid} ||= $self->master or return 0;
    return -s "$self->{dir}/nginx.pid" && $self->_workers_ready;
}

# The master according to its pid file.
sub master {
    my ($self) = @_;

    open my $in, '<', "$self->{dir}/nginx.pid" or return 0;
    my ($pid) = (<$in> // '') =~ /^(\d+)/;
    return $pid // 0;
}

# Whether a master has ended; its exit status is known of our own child alone.
sub _ended {
    my ($self, $pid) = @_;

    if ($pid == $self->{group}) {
        return 0 if waitpid($pid, WNOHANG) != $pid;
        $self->{status} = $?;
        return 1;
    }
    $self->{status} = 0;
    return !is_running($pid);
}

# A zombie does not run, but for a thread of it that still waits for the disk.
sub is_running {
    my ($pid) = @_;

    my @threads = glob "/proc/$pid/task/*";
    return _state($pid) !~ /^Z?$/ || @threads > 1;
}

sub is_stopped {
    my ($pid) = @_;

    return _state($pid) eq 'T';
}

# A process's state, '' when it is gone.
sub _state {
    my ($pid) = @_;

    open my $in, '<', "/proc/$pid/stat" or return '';
    return (<$in> // '') =~ /^\d+ \(.*\) (\S)/s ? $1 : '';
}

sub _exec {
    my ($self) = @_;

    open STDERR, '>>', "$self->{dir}/error.log";
    open STDOUT, '>&', \*STDERR;
    $self->_nginx;
}

# Becomes nginx, called with its whole path: by that it finds itself again at
# USR2.
sub _nginx {
    my ($self, @options) = @_;
    my ($nginx, @arguments) = split ' ', $ENV{TEST_NGINX_BINARY} || 'nginx';

    if ($nginx !~ m{/}) {
        ($nginx) = grep { -x } map { "$_/$nginx" } split /:/, $ENV{PATH};
    }
    $ENV{LD_PRELOAD} = $ENV{KMQ_PRELOAD} if $ENV{KMQ_PRELOAD};
    %ENV = (%ENV, %{$self->{env} // {}});
    exec $nginx, @arguments, '-p', "$self->{dir}/",
         '-c', "$self->{dir}/nginx.conf", @options
        or POSIX::_exit(127);
}

# nginx -t: its exit code, and what it says.
sub test_config {
    my ($self) = @_;
    my $pid = open(my $out, '-|') // die "fork: $!";

    if ($pid == 0) {
        open STDERR, '>&', \*STDOUT;
        $self->_nginx('-t');
    }
    my $text = do { local $/; <$out> };
    close $out;

    return $? >> 8, $text;
}

sub _workers_ready {
    my ($self) = @_;

    return $self->worker_pids == $self->{workers};
}

# Writes nginx.conf and application.yaml.
sub configure {
    my ($self, %change) = @_;
    my $dir = $self->{dir};

    %$self = (%$self, %change);

    my %mq = (secretKey => KEY, pushMessagesSpeed => 0,
              isPersistent => $ENV{KMQ_PERSISTENT} // 0,
              %{$self->{yaml} // {}});
    my $yaml = "server:\n  port: $self->{port}\nmq:\n";
    $yaml .= "  $_: $mq{$_}\n" for sort keys %mq;
    $yaml .= "  topics:\n$self->{topics}" if $self->{topics};
    _spew("$dir/application.yaml", $yaml);

    my $owner = getpwuid((stat "$dir")[4]) // 'root';
    my $user = $> == 0 ? 'user ' . ($self->{user} // $owner) . ';' : '';
    my %part = map { $_ => $self->{$_} // '' } qw(main http conf consumer);
    # a socket for each worker spreads the connections
    my $reuseport = $self->{workers} > 1 ? ' reuseport' : '';
    my $shutdown = $self->{shutdown}
                   ? "worker_shutdown_timeout $self->{shutdown};" : '';
    my $config = $self->{defaults} ? ''
                 : "kapokmq_config $dir/application.yaml;";
    my $temp = join "\n    ", map { "${_}_temp_path $dir/$_;" }
               qw(client_body proxy fastcgi uwsgi scgi);

    _spew("$dir/nginx.conf", <<"CONF");
load_module $self->{module};
daemon off;
$user
worker_processes $self->{workers};
$shutdown
pid $dir/nginx.pid;
error_log $dir/error.log info;
$part{main}
events {
    worker_connections $self->{connections};
}
http {
    access_log off;
    $temp
    kapokmq_zone $self->{zone};
    $config
    $part{http}
    server {
        listen 127.0.0.1:$self->{port}$reuseport;
        root $dir/html;
        client_max_body_size 80m;
        add_header X-Worker \$pid always;
        $part{conf}
        location /Producers/Conn/ { kapokmq_producer; }
        location /Consumers/Conn/ { kapokmq_consumer; $part{consumer} }
        location /Consumers/Events/ { kapokmq_events; $part{consumer} }
        location /Consumers/Pull/ { kapokmq_pull; $part{consumer} }
        location /Consumers/Settle { kapokmq_settle; }
        location = /Producer/Send { kapokmq_send; }
        location /Console/ { kapokmq_console; }
    }
}
CONF
    make_path("$dir/html", "$dir/logs");
}

sub _spew {
    my ($path, $text) = @_;

    open my $out, '>', $path or die "$path: $!";
    print {$out} $text;
    close $out or die "$path: $!";
}

sub dir  { $_[0]{dir} }
sub port { $_[0]{port} }

sub log {
    my ($self) = @_;

    open my $in, '<', "$self->{dir}/error.log" or return '';
    local $/;
    return scalar(<$in>) // '';
}

# Children of a process, those that run.
sub _children {
    my ($parent) = @_;
    my @pids;

    for my $stat (glob '/proc/[0-9]*/stat') {
        open my $in, '<', $stat or next;
        my ($pid, $state, $by) = (<$in> // '') =~ /^(\d+) \(.*\) (\S) (\d+) /s
            or next;
        push @pids, $pid if $by == $parent && $state ne 'Z';
    }

    return @pids;
}

sub _title {
    my ($pid) = @_;

    open my $in, '<', "/proc/$pid/cmdline" or return '';
    return <$in> // '';
}

# Children of the master that are workers.
sub worker_pids {
    my ($self, $master) = @_;

    return grep { _title($_) =~ /worker process/ }
           _children($master // $self->{pid});
}

# Of these, those that have been told to end.
sub ending_pids {
    my ($self) = @_;

    return grep { _title($_) =~ /shutting down/ } $self->worker_pids;
}

# How many descriptors a worker has.
sub fds {
    my ($self, $pid) = @_;
    my $directories = grep { -d } _open_files($self->{pid});
    my $deadline = time + PATIENCE;
    my @files;

    # the directory is opened for a moment, to write its names to the disk; what
    # the master has of it stays
    do {
        @files = _open_files($pid);
    } while ((grep { -d } @files) > $directories && time < $deadline);

    # a journal is opened when there is something to write
    return scalar grep { !m{/(?:journal|checkpoint)-} } @files;
}

sub _open_files {
    my ($pid) = @_;

    return map { readlink($_) // () } glob "/proc/$pid/fd/*";
}

# How many KiB a process has for itself alone.
sub memory {
    my ($self, $pid) = @_;

    open my $in, '<', "/proc/$pid/smaps_rollup" or return 0;
    my ($kib) = join('', <$in>) =~ /^Private_Dirty:\s+(\d+)/m;
    return $kib;
}

sub signal {
    my ($self, $name) = @_;

    kill $name, $self->{pid};
}

# Reloads, and waits until the new workers serve. One that has just been started
# has no name yet, and is an old one all the same.
sub reload {
    my ($self, %change) = @_;
    my %old = map { $_ => 1 } _children($self->{pid});

    $self->configure(%change) if %change;
    $self->signal('HUP');
    return wait_for {
        (grep { !$old{$_} } $self->worker_pids) == $self->{workers}
    } 'new workers have started';
}

# Reloads, and waits until the old workers are gone, too.
sub renew {
    my ($self, %change) = @_;
    my @old = _children($self->{pid});

    $self->reload(%change);
    return wait_for { !grep { is_running($_) } @old }
                    'and the old ones are gone';
}

# Ends the server; it can be started again.
sub stop {
    my ($self, $signal) = @_;
    my $pid = $self->{pid};

    # nginx itself calls it an alert when TERM cuts the clients of a worker that
    # is shutting down already
    $self->{cut} ||= grep { _title($_) =~ /shutting down/ } _children($pid);

    $self->signal($signal // 'TERM');
    wait_for { $self->_ended($pid) } 'nginx ends';
    delete $self->{group};
    is($self->{status}, 0, 'with exit code 0');
}

# Kills the master and all workers, at once: stopped, the master does not start
# new ones meanwhile. One that it has just started has no name yet.
sub kill_all {
    my ($self) = @_;

    $self->signal('STOP');
    wait_for { is_stopped($self->{pid}) } 'the master stands still';
    my @workers = _children($self->{pid});
    kill 'KILL', $self->{pid}, @workers;
    my $ended;
    wait_for {
        $ended ||= $self->_ended($self->{pid});
        $ended && !grep { is_running($_) } @workers
    } 'master and workers are dead';
    delete $self->{group};
}

# Ends the server and looks at what it left in its log.
sub finish {
    my ($self, $signal) = @_;
    my $allow = $self->{allow} // qr/(?!)/;

    my $cut = qr/open socket #\d+ left in connection|\baborting$/;

    $self->stop($signal);
    $allow = qr/$allow|$cut/ if $self->{cut};
    my @bad = grep { /\[(?:error|crit|alert|emerg)\]|Sanitizer|runtime error/
                     && !/$allow/ }
              split /^/, $self->log;
    is(join('', @bad[0 .. ($#bad > 20 ? 20 : $#bad)]), '',
       'nothing above warn in the error log');
    $self->discard;
}

# Removes what there is of a server that has ended.
sub discard {
    my ($self) = @_;

    delete $servers{$self->{dir}};
    remove_tree($self->{dir});
}

END {
    my $status = $?;

    for my $self (values %servers) {
        if ($self->{group}) {
            kill 'KILL', -$self->{group}, $self->{pid} || ();
            waitpid $self->{group}, 0;
        }
        if ($ENV{KMQ_KEEP}) {
            diag("left in $self->{dir}");
        } else {
            remove_tree($self->{dir});
        }
    }
    $? = $status;
}

$SIG{$_} = sub { exit 1 } for qw(INT TERM HUP);
$SIG{PIPE} = 'IGNORE';
# whatever hangs, hangs no longer than this
$SIG{ALRM} = sub { diag('the test took too long'); exit 1 };
alarm($ENV{KMQ_LIMIT} || 1200);


# ------------------------------------------------------------------ clients

sub ws_url {
    my ($self, $path) = @_;

    return "ws://127.0.0.1:$self->{port}$path";
}

# POST with the key; returns the status and the answer.  Each has a connection
# of its own: a worker that ends may close one between two requests.
sub post {
    my ($self, $path, $form, $headers) = @_;
    my $ua = $self->{ua} //= Mojo::UserAgent->new(
        inactivity_timeout => PATIENCE, connect_timeout => PATIENCE,
        max_connections => 0);
    my $result = $ua->post("http://127.0.0.1:$self->{port}$path",
        { secretKey => KEY, %{$headers // {}} }, form => $form // {})->result;
    my $json = eval { decode_json($result->body) };

    return wantarray ? ($result->code, $json, $result) : $json;
}

# Whether each worker that does not end answers so: called with status and
# answer.
sub each_answers {
    my ($self, $path, $is_right) = @_;
    my %left = map { $_ => 1 } $self->worker_pids;

    delete @left{$self->ending_pids};
    for (1 .. 400) {
        my ($status, $json, $result) = $self->post($path);

        return 0 if !$is_right->($status, $json);
        delete $left{$result->headers->header('X-Worker') // 0};
        return 1 if !%left;
    }

    return 0;
}

# Publishes over HTTP; returns the MessageCode.
sub publish {
    my ($self, $topic, $data, $delay) = @_;
    my ($status, $json) = $self->post('/Producer/Send',
        { topic => $topic, messageData => $data,
          (defined $delay ? (delayTime => $delay) : ()) });

    return $status == 200 ? $json->{msg} : undef;
}

# Publishes many messages in one go; true when all were accepted.
sub publish_many {
    my ($self, $topic, @data) = @_;
    my $raw = $self->raw("/Producers/Conn/$topic/many", key => KEY);

    $raw->next_text;
    $raw->write(join '', map { KapokMQ::Raw::frame(1, $_) } @data);
    my $accepted = $raw->oks(scalar @data);
    $raw->close;

    return $accepted == @data;
}

sub counts  { $_[0]->post('/Console/CountMessage')->{data} }
sub clients { $_[0]->post('/Console/GetClients') }

# Waits until the counts that are named are as they should be.
sub counts_become {
    my ($self, $want, $name) = @_;
    my $counts;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $right = wait_for {
        $counts = $self->counts;
        !grep { $counts->{$_} != $want->{$_} } keys %$want
    } $name;
    if (!$right) {
        diag(join ', ', map { "$_: $counts->{$_}" } sort keys %$counts);
        $self->_tell_waiting;
    }

    return $right;
}

# Some of those that are not consumed, with all that is known of them.
sub _tell_waiting {
    my ($self) = @_;
    my ($list) = $self->page(status => -1, limit => 5);

    diag(encode_json($_))
        for grep { $_ } map { $self->find($_->{MessageCode}) } @{$list // []};
}

# A message by its code; nothing when there is none.
sub find {
    my ($self, $code) = @_;
    my ($status, $json) = $self->post('/Console/GetMessage',
                                      { messageCode => $code });

    return $status == 200 ? $json->{data} : undef;
}

# One page of messages: their list and the cursor of the next one.
sub page {
    my ($self, %query) = @_;
    my ($status, $json) = $self->post('/Console/GetMessageList', \%query);

    return $status == 200 ? ($json->{data}, $json->{next}) : ();
}

# The codes of all messages that a query finds.
sub codes {
    my ($self, %query) = @_;
    my @codes;

    do {
        my ($list, $next) = $self->page(%query);
        push @codes, map { $_->{MessageCode} } @{$list // []};
        $query{cursor} = $next;
    } while defined $query{cursor};

    return @codes;
}

# Whether there was such a message.
sub remove {
    my ($self, $code) = @_;
    my $there = $self->find($code);
    my ($status) = $self->post('/Console/DelMessage',
                               { messageCode => $code });

    return defined $there && $status == 200;
}

# messageCode or topic; returns how many messages.
sub requeue {
    my ($self, %what) = @_;

    return $self->post('/Console/RequeueMessage', \%what)->{data};
}

# A WebSocket client on a path; options as in KapokMQ::Client.
sub connect {
    my ($self, $path, %option) = @_;

    return KapokMQ::Client->new($self->ws_url($path), %option);
}

# The same, logged in by the header.
sub login {
    my ($self, $path, %option) = @_;
    my $client = $self->connect($path, headers => { secretKey => KEY },
                                %option);
    my $deadline = time + PATIENCE;
    my $wake = Mojo::IOLoop->recurring(0.01 => sub { });

    Mojo::IOLoop->one_tick
        until @{$client->texts} || $client->closed || $client->failed
              || time > $deadline;
    Mojo::IOLoop->remove($wake);
    my $text = shift @{$client->texts} // '';
    $text eq 'Secret key matching succeeded'
        or croak "login at $path: " . ($client->failed // "got '$text'");

    return $client;
}

sub producer {
    my ($self, $topic, $id, %option) = @_;

    return $self->login("/Producers/Conn/$topic/$id", %option);
}

sub consumer {
    my ($self, $topic, $id, %option) = @_;
    my $query = $option{confirm} ? "?confirm=$option{confirm}" : '';

    return $self->login("/Consumers/Conn/$topic/$id$query", %option);
}

# Consumers on as many different workers as there are; further ones that were
# needed to find them are gone again.
sub consumers_everywhere {
    my ($self, $topic, %option) = @_;
    my (%on, @spare);

    for my $n (1 .. 400) {
        my $consumer = $self->consumer($topic, "c$n", %option);
        if ($on{$consumer->worker}) {
            push @spare, $consumer;
        } else {
            $on{$consumer->worker} = $consumer;
        }
        last if keys %on == $self->{workers};
    }
    $_->finish for @spare;
    my $count = keys %on;
    wait_for { @{$self->clients->{consumers}} == $count }
             "one consumer on each of $count workers";
    is($count, $self->{workers}, 'all workers have been found');

    return map { $on{$_} } sort keys %on;
}

# A client on a certain worker: connect() is called until it is, and those
# that came elsewhere are gone again.
sub on_worker {
    my ($self, $pid, $connect) = @_;

    for (1 .. 400) {
        my $client = $connect->();
        return $client if $client->worker == $pid;
        $client->finish;
    }
    croak "no connection to worker $pid";
}

# A client that is driven byte by byte, see KapokMQ::Raw.
sub raw {
    my ($self, $path, %option) = @_;

    return KapokMQ::Raw->new(port => $self->{port}, path => $path, %option);
}

1;
