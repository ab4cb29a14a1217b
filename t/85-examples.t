# The examples of docs/http-api.md under "Consumers without WebSocket", run as
# they are printed, in their order.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use Time::HiRes qw(sleep time);
use KapokMQ::Test;

my $mq = KapokMQ::Test->start(yaml => { secretKey => 'test', retryDelay => 0 });
my $page = do {
    open my $in, '<', "$KapokMQ::Suite::Root/docs/http-api.md" or die $!;
    local $/;
    <$in>;
};
my ($function) = $page =~ /^(kapokmq\(\) \{.*\})$/m;
my ($section) = $page =~ /^## Consumers without WebSocket\n(.*?)^## /ms;
my @blocks = $section =~ /^```sh\n(.*?)^```$/msg;

ok($function, 'the function that all use');
cmp_ok(scalar @blocks, '>=', 3, 'there are examples');

# What is another one each time.
sub same {
    my ($text) = @_;

    $text =~ s/[0-9a-f]{40}/CODE/g;
    $text =~ s/"CreateTime":\d+/"CreateTime":N/g;
    $text =~ s/\n+\z//;
    return $text;
}

# One shell for all of them; behind each command it says that it is done. What
# goes on for ever is ended when all has come that is printed.
my $dir = $mq->dir;
my $port = $mq->port;
my $done = 0;
open my $shell, '|-', "cd $dir && exec bash > $dir/out 2>&1" or die $!;
$shell->autoflush;

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
    my $deadline = time + 60;

    $command =~ s/127\.0\.0\.1:8011/127.0.0.1:$port/g;
    print $shell $endless ? "timeout 5 $command\necho $mark\n"
                          : "$command\necho\necho $mark\n";
    do {
        sleep 0.01;
        $got = substr out(), $before;
    } until $got =~ s/^$mark\n//m || time > $deadline;
    is(same($got), same($expected), $command);
}

run($function, '');
for my $block (@blocks) {
    my @lines = split /\n/, $block;
    while (@lines) {
        my $command = shift @lines;
        my @answer;
        push @answer, shift @lines
            while @lines && $lines[0] !~ /^(?:kapokmq|curl|cat|code=)\b/;
        run($command, join "\n", @answer);
    }
}
close $shell;

$mq->finish;
done_testing();
