# The examples of docs/http-api.md under "Consumers without WebSocket", of the
# README and of docs/quick-start.md, run as they are printed, in their order; and
# the workers of docs/retry.md and docs/rabbitmq.md.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Mojo::JSON qw(decode_json);
use Test::More;
use Time::HiRes qw(sleep time);
use KapokMQ::Test;

my $mq = KapokMQ::Test->start(yaml => { secretKey => 'test', retryDelay => 0 });

sub page {
    my ($name) = @_;

    open my $in, '<', "$KapokMQ::Suite::Root/$name" or die $!;
    local $/;
    return scalar <$in>;
}

my $page = page('docs/http-api.md');
my ($function) = $page =~ /^(kapokmq\(\) \{.*\})$/m;

ok($function, 'the function that all use');

# The examples under one heading: a block each.
sub blocks {
    my ($name, $heading) = @_;
    my ($level, $rest) = page($name) =~ /^(##+) \Q$heading\E\n(.*)/ms or return;
    my $deepest = length $level;

    $rest =~ s/^#{2,$deepest} .*//ms;
    return $rest =~ /^```sh\n(.*?)^```$/msg;
}

# What is another one each time.
sub same {
    my ($text) = @_;

    $text =~ s/[0-9a-f]{40}/CODE/g;
    $text =~ s/"CreateTime":\d+/"CreateTime":N/g;
    $text =~ s/\n+\z//;
    return $text;
}

# One shell for all of them; behind each command it says that it is done. What
# goes on for ever is ended when as many lines have come as are printed.
my ($dir, $port, $shell);
my $done = 0;

sub open_shell {
    $dir = $mq->dir;
    $port = $mq->port;
    open $shell, '|-', "cd $dir && exec bash > $dir/out 2>&1" or die $!;
    $shell->autoflush;
}

sub out {
    open my $in, '<', "$dir/out" or return '';
    local $/;
    return scalar(<$in>) // '';
}

sub run {
    my ($command, $expected) = @_;
    my $before = length out();
    my $endless = $command =~ /curl -sN/;
    my $mark = 'done-' . ++$done;
    my $got;
    my $deadline = time + KapokMQ::Test::PATIENCE;

    $command =~ s/127\.0\.0\.1:8011/127.0.0.1:$port/g;
    print $shell $endless ? "$command &\n" : "$command\necho\necho $mark\n";
    if ($endless) {
        my $lines = () = $expected =~ /^/mg;
        sleep 0.01 until time > $deadline
            || $lines <= (() = substr(out(), $before) =~ /\n/g);
        print $shell "kill \$!; wait\necho $mark\n";
    }
    do {
        sleep 0.01;
        $got = substr out(), $before;
    } until $got =~ s/^$mark\n//m || time > $deadline;
    is(same($got), same($expected), $command);
}

sub run_blocks {
    my ($name, $heading, $least) = @_;
    my @lines = map { split /\n/ } my @blocks = blocks($name, $heading);

    cmp_ok(scalar @blocks, '>=', $least, "$name: examples under $heading");
    while (@lines) {
        my $command = shift @lines;
        my @answer;

        $command .= "\n" . shift @lines while $command =~ /\\$/;
        push @answer, shift @lines
            while @lines && $lines[0] !~ /^(?:kapokmq |curl |cat |code=)/;
        run($command, join "\n", @answer);
    }
}

open_shell();
run($function, '');
run_blocks('docs/http-api.md', 'Consumers without WebSocket', 3);
run_blocks('README.md', 'A first message', 2);
run_blocks('docs/quick-start.md', 'A worker that needs only curl', 1);
run_blocks('docs/quick-start.md', 'Delayed, and to all', 1);
close $shell;
$mq->finish;

# --- a worker, which fails twice with one of its messages
{
    my ($worker) = page('docs/retry.md') =~ /^```python\n(.*?)^```$/ms;
    my $bad;

    $mq = KapokMQ::Test->start(yaml => { retryDelay => 0 });
    $dir = $mq->dir;
    $port = $mq->port;
    $worker =~ s/127\.0\.0\.1:8011/127.0.0.1:$port/;
    $worker =~ s/'test'/'sesame'/;
    $worker =~ s/^/    /mg;
    open my $out, '>', "$dir/worker.py" or die $!;
    print $out <<"PYTHON";
import asyncio, json, websockets
failures = 0
async def work(data):
    global failures
    if data == 'bad' and failures < 2:
        failures += 1
        raise ValueError
async def main():
$worker
asyncio.run(main())
PYTHON
    close $out;

    my $pid = fork // die "fork: $!";
    exec '/usr/bin/python3', "$dir/worker.py" if $pid == 0;
    wait_for { @{$mq->clients->{consumers}} } 'it is there';
    $bad = ($mq->publish('orders', 'good'), $mq->publish('orders', 'bad'))[1];
    $mq->publish('orders', 'too');
    $mq->counts_become({ unconsumed => 0 }, 'all is done');
    is($mq->find($bad)->{Attempts}, 3, 'one in the third attempt');
    kill 'KILL', $pid;
    waitpid $pid, 0;
    wait_for { !@{$mq->clients->{consumers}} } 'it has gone';
    $mq->finish;
}

# --- the hour of docs/rabbitmq.md
{
    my $name = 'docs/rabbitmq.md';
    my $page = page($name);
    my ($topics) = $page =~ /^  topics:\n(.*?)^```$/ms;
    my ($worker) = $page =~ /^```python\n(.*?)^```$/ms;
    my ($send, $list, $requeue)
        = blocks($name, 'Acknowledge, retry, dead letters');

    $mq = KapokMQ::Test->start(
        yaml => { keys => '{ page: { key: test, produce: ["*"], consume: ["*"],'
                          . ' console: write } }' },
        topics => $topics);
    open_shell();
    $worker =~ s/127\.0\.0\.1:8011/127.0.0.1:$port/;
    open my $out, '>', "$dir/worker.py" or die $!;
    print $out $worker;
    close $out;
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        open STDOUT, '>', "$dir/worker.out";
        open STDERR, '>', "$dir/worker.log";
        exec 'env', "PYTHONPATH=$KapokMQ::Suite::Root/clients/python",
             'PYTHONDONTWRITEBYTECODE=1', '/usr/bin/python3', "$dir/worker.py";
    }
    wait_for { @{$mq->clients->{consumers}} } 'its worker is there';

    my ($function, @lines) = split /\n/, $send;
    run($function, '');
    while (my ($command, $answer) = splice @lines, 0, 2) {
        run($command, $answer);
    }
    $mq->counts_become({ unconsumed => 0, consumed => 1, dead => 1 },
                       'one is done, and one is dead');
    print $shell $list =~ s/^kapokmq .*/$& > $dir\/list/r;
    wait_for { -s "$dir/list" } 'the dead are listed';
    open my $in, '<', "$dir/list" or die $!;
    my $found = decode_json(<$in>)->{data};
    is_deeply([map { @$_{qw(Attempts LastError Preview)} } @$found],
              [3, 'given back', 'bad'], 'as they are said to be');
    run(split /\n/, $requeue, 2);
    $mq->counts_become({ unconsumed => 0, dead => 1 }, 'it fails once more');
    is($mq->post('/Console/GetOverview')->{data}{Requeued}, 1, 'as if it were new');
    close $shell;
    kill 'KILL', $pid;
    waitpid $pid, 0;
    wait_for { !@{$mq->clients->{consumers}} } 'it has gone';
    $mq->finish;
}
done_testing();
