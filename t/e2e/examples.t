# The examples, all at once: a producer, a consumer and a producer of delayed
# messages in each language that is there, while nginx is reloaded and its workers
# are killed. What was stored comes; what is delayed does not come early.

use strict;
use warnings;
use utf8;

BEGIN { push @INC, 't/lib' }

use Encode qw(encode_utf8);
use File::Copy qw(copy);
use Mojo::IOLoop;
use Test::More;
use Time::HiRes qw(time);
use KapokMQ::Clients;
use KapokMQ::Lines;
use KapokMQ::Suite;
use KapokMQ::Test;

my $root = $KapokMQ::Suite::Root;
my $examples = "$root/examples";
my $gorilla = '/usr/share/gocode/src/github.com/gorilla/websocket';
my $mq = KapokMQ::Test->start(allow => qr/exited on signal 9/);
my $dir = $mq->dir;
my $log = "$dir/examples.log";

sub there {
    my ($name) = @_;

    return scalar grep { -x "$_/$name" } split /:/, $ENV{PATH};
}

# What has to be done first; its output only when it fails.
sub build {
    my ($name, $command) = @_;
    my $out = `($command) 2>&1`;

    is($?, 0, "$name: is built") or diag($out);
}

# How an example is run, or why it is not.
my %language = (
    Node => sub {
        install_package($dir);
        copy("$examples/node.mjs", $dir) or die $!;
        return 'node', "$dir/node.mjs";
    },
    Python => sub {
        return 'env', "PYTHONPATH=$root/clients/python",
               'PYTHONDONTWRITEBYTECODE=1', '/usr/bin/python3',
               "$examples/example.py";
    },
    Go => sub {
        there('go') or return \'no go: golang-go is half a gigabyte';
        -d $gorilla or return \'no golang-github-gorilla-websocket-dev';
        build('Go', "cd $examples && GO111MODULE=off GOPATH=/usr/share/gocode"
              . " GOFLAGS=-p=2 GOCACHE=$root/build/go-cache"
              . " go build -o $dir/example-go example.go");
        return "$dir/example-go";
    },
    Java => sub {
        there('javac') or return \'no javac: default-jdk-headless is large';
        my ($version) = `javac -version 2>&1` =~ /(\d+)/;
        $version >= 17 or return \"Java $version, it needs 17";
        build('Java', "javac -d $dir $examples/Example.java");
        return 'java', '-Xmx64m', '-XX:TieredStopAtLevel=1', '-cp', $dir,
               'Example';
    },
    PHP => sub {
        there('php') or return \'no php: php-cli';
        return 'php', "$examples/example.php";
    },
    'C#' => sub {
        # whose client of WebSockets ends otherwise each time
        $ENV{KMQ_EXAMPLES} or return \'Mono: make examples';
        there('mcs') && there('mono') or return \'no mcs, mono: mono-mcs';
        build('C#', "mcs -warn:4 -out:$dir/Example.exe $examples/Example.cs");
        return 'env', "HOME=$dir", 'mono', "$dir/Example.exe";
    },
);

# An example runs; what it says of its connections goes into a file.
sub example {
    my ($name, $what, $topic, @more) = @_;
    my $scheme = $name eq 'PHP' ? 'http' : 'ws';

    return KapokMQ::Lines->start(
        'sh', '-c', "exec \"\$\@\" 2>> $log", 'sh', @{$language{$name}},
        $what, "$scheme://127.0.0.1:" . $mq->port, 'sesame', $topic, @more);
}

my (%producer, %consumer, %later, %due, %stored, %got, @early);

# What the examples have printed since.
my $looking = Mojo::IOLoop->recurring(0.005 => sub {
    for my $name (keys %consumer) {
        for ($producer{$name}->take, $later{$name}->take) {
            s/^stored // and $stored{$name}{$_}++;
        }
        for ($consumer{$name}->take) {
            s/^got // or next;
            push @early, "$name: $_" if time + 0.01 < ($due{$_} // 0);
            $got{$name}{$_}++;
        }
    }
});

for my $name (sort keys %language) {
    my @command = $language{$name}->();

    if (ref $command[0]) {
        delete $language{$name};
        SKIP: { skip "$name: ${$command[0]}", 1 }
        next;
    }
    $language{$name} = \@command;
    (my $topic = "topic of $name") =~ s/ /%/g;      # encoded twice, if wrong
    $producer{$name} = example($name, 'produce', $topic);
    $later{$name} = example($name, 'produce', $topic, 1.5);
    $consumer{$name} = example($name, 'consume', $topic);
}
my @names = sort keys %producer;

my $n = 0;
my $sending = Mojo::IOLoop->recurring(0.05 => sub {
    $n++;
    $producer{$_}->tell(encode_utf8("$_ $n \"木\\棉\"")) for @names;
});

# All languages have had some that were sent from now on.
sub all_go_on {
    my ($why) = @_;
    my $from = $n + 1;

    wait_for {
        !grep {
            my $name = $_;
            5 > grep { ($got{$name}{encode_utf8("$name $_ \"木\\棉\"")} // 0) }
                $from .. $n;
        } @names
    } "$why: all go on";
}

all_go_on('at first');
for my $name (@names) {
    $due{"$name later"} = time + 1.5;
    $later{$name}->tell("$name later");
}
for my $time (1 .. 3) {
    $mq->renew;
    all_go_on("reload $time");
}
kill 'KILL', $mq->worker_pids;
all_go_on('workers were killed');
Mojo::IOLoop->remove($sending);

for my $name (@names) {
    $_->ends("$name, a producer") for $producer{$name}, $later{$name};
    wait_for { keys %{$stored{$name}} == $n + 1 } "$name: each is stored";
    wait_for { keys %{$got{$name}} == $n + 1 } "$name: and comes";
    my $twice = grep { $_ > 1 } values %{$got{$name}};
    diag("$name: $n messages, $twice came twice");
}
is(join("\n", @early), '', 'nothing is early');
$mq->counts_become({ unconsumed => 0, delay => 0 }, 'all is consumed');
$_->stop('TERM') for values %consumer;
if (!Test::More->builder->is_passing && open my $in, '<', $log) {
    my @said = <$in>;
    diag(@said > 40 ? @said[-40 .. -1] : @said);
}
$mq->finish;
done_testing;
