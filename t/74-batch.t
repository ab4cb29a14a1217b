# Batches over HTTP: a JSON array, or an object a line; all messages or none,
# whatever is wrong, and whoever dies.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use File::Temp ();
use IO::Select;
use IO::Socket::INET;
use Mojo::JSON qw(decode_json encode_json);
use Test::More;
use Time::HiRes qw(sleep);
use KapokMQ::Test;

use constant { CODE => qr/^[0-9a-f]{40}$/, JSON => 'application/json',
               LINES => 'application/x-ndjson' };

my $mq = KapokMQ::Test->start(
    yaml => { maxMessageSize => 1000, messageChanBuffer => 1500 },
    allow => qr/client intended to send too large/,
    conf => 'location = /small { kapokmq_send; client_max_body_size 10k; }'
            . ' location = /mirrored { kapokmq_send; mirror /copy;'
            . ' client_body_buffer_size 1k; }'
            . ' location = /copy { internal; return 204; }');
my $body = File::Temp->new;

# curl's answer: status, JSON, and the headers as they came.
sub curl {
    my ($type, $text, %option) = @_;

    truncate $body, 0;
    seek $body, 0, 0;
    print {$body} $text;
    $body->flush;
    my @command = ('curl', '-sS', '-i', '--max-time', KapokMQ::Test::PATIENCE,
                   '-H', 'secretKey: ' . ($option{key} // 'sesame'),
                   '-H', 'Expect:',
                   (defined $type ? ('-H', "Content-Type: $type") : ()),
                   @{$option{with} // []}, '--data-binary', "\@$body",
                   'http://127.0.0.1:' . $mq->port
                   . ($option{path} // '/Producer/Send'));
    open my $out, '-|', @command or die "curl: $!";
    my $answer = do { local $/; <$out> } // '';
    close $out;
    my ($head, $json) = $answer =~ /^(HTTP.*?)\r\n\r\n(.*)/s;

    return ($head // '') =~ /^HTTP\S+ (\d+)/ ? $1 : 0,
           eval { decode_json($json) } // {}, $head // '';
}

sub message {
    my ($topic, $data, %more) = @_;

    return { topic => $topic, messageData => $data, %more };
}

sub array { return encode_json([@_]) }
sub lines { return join '', map { encode_json($_) . "\n" } @_ }

# All that was not consumed.
sub waiting {
    my $counts = $mq->counts;

    return $counts->{unconsumed} + $counts->{delay};
}

# Nothing came in, and that is why.
sub refused {
    my ($type, $text, $status, $why, $name, %option) = @_;
    my $before = waiting();
    my ($got, $json, $head) = curl($type, $text, %option);

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is($got, $status, "$name: status");
    like($json->{msg} // '', $why, "$name: why");
    is($json->{code}, -1, "$name: code");
    is(waiting(), $before, "$name: nothing came in");
    return $head;
}

sub accepted {
    my ($type, $text, $n, $name, %option) = @_;
    my ($status, $json) = curl($type, $text, %option);

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is($status, 200, "$name: status");
    is($json->{code}, 0, "$name: code");
    my @codes = @{$json->{data} // []};
    is(scalar(grep { $_ =~ CODE } @codes), $n, "$name: codes");
    return @codes;
}


# ------------------------------------------------------------ what comes in

my %consumer = map { $_ => $mq->consumer($_, 'c') } qw(a b);
my %want;

for ([array => JSON, \&array], [lines => LINES, \&lines],
     ['no type' => undef, \&array])
{
    my ($name, $type, $make) = @$_;

    # curl itself would say urlencoded
    my @with = defined $type ? () : (with => ['-H', 'Content-Type;']);
    my @topics = map { (qw(a a b))[$_ % 3] } 1 .. 100;
    my @codes = accepted($type, $make->(map { message($topics[$_ - 1],
                                        qq($name "$_" \x{6728})) } 1 .. 100),
                         100, $name, @with);
    push @{$want{$topics[$_]}}, $codes[$_] for 0 .. $#codes;
}
for my $topic (qw(a b)) {
    my $c = $consumer{$topic};
    wait_for { @{$c->messages} >= @{$want{$topic}} } "all of topic $topic";
    is_deeply([$c->codes], $want{$topic}, 'in their order, by their codes');
    ok(!grep({ !/^(?:array|lines|no type) "\d+" \x{6728}$/ } $c->data),
       'as they were sent');
}

my ($late) = accepted(JSON, array(message('a', 'now'),
                                  message('a', 'late', delayTime => 0.2),
                                  message('a', 'text', DelayTime => '0')),
                      3, 'delays');
my $count = @{$want{a}};
wait_for { @{$consumer{a}->messages} == $count + 3 } 'all three come';
is(($consumer{a}->data)[-1], 'late', 'the delayed one last');

accepted(JSON, '[{"topic":"\u0061","messageData":7,"other":[{}]}]', 1,
         'a number is its text, a name may be escaped');
wait_for { ($consumer{a}->data)[-1] eq '7' } 'and comes';
accepted(JSON, " \n[\n{\"topic\":\"a\",\"messageData\":\"x\"}\n]\n ", 1,
         'white space');
accepted(JSON, "\xef\xbb\xbf" . array(message('a', 'x')), 1,
         'a byte order mark');
accepted(LINES, "\n" . lines(message('a', 'x')) . "\r\n"
                . encode_json(message('b', 'y')), 2,
         'empty lines, and a last one without an end');
accepted(JSON, array(message('a', 'x' x 1000)), 1, 'as large as may be');
accepted(JSON, '[{"topic":"a","messageData":"' . '\u0041' x 1000 . '"}]', 1,
         'however it is written');
accepted(JSON, array(map { message('b', 'm' x 500) } 1 .. 1000), 1000,
         'a thousand');
accepted(JSON, array(map { message('b', 'm' x 500) } 1 .. 300), 300,
         'in chunks', with => ['-H', 'Transfer-Encoding: chunked']);
accepted(JSON, array(map { message('b', 'm' x 50) } 1 .. 300), 300,
         'what others read, too', path => '/mirrored');
my ($status, $json) = curl(JSON, encode_json(message('a', 'single')));
like($json->{msg}, CODE, 'an object is a single message');
$mq->counts_become({ unconsumed => 0 }, 'all are consumed');
$_->finish for values %consumer;
wait_for { !@{$mq->clients->{consumers}} } 'nobody consumes any more';


# ----------------------------------------------------------- what is refused

my @good = map { message('a', "m$_") } 1 .. 20;

sub with {
    my ($bad) = @_;

    return array(@good[0 .. 16], $bad, @good[17 .. 19]);
}

refused(JSON, with(message('', 'x')), 400,
        qr/^message 17: Required data cannot be empty/, 'no topic');
refused(JSON, with({ messageData => 'x' }), 400, qr/^message 17: Required/,
        'topic missing');
refused(JSON, with(message('a', undef)), 400, qr/^message 17: Required/,
        'no data');
refused(JSON, with(message('t' x 256, 'x')), 400, qr/^message 17: .*255/,
        'a long topic');
refused(JSON, with(message('a', 'x' x 1001)), 413,
        qr/^message 17: .*maxMessageSize/, 'too large');
refused(JSON, with(message('a', 'x' x 200_000)), 413,
        qr/^message 17: .*maxMessageSize/, 'far too large');
refused(JSON, with(message('a', 'x', delayTime => 'soon')), 400,
        qr/^message 17: delayTime/, 'a delay that is none');
refused(JSON, with(message('a', 'x', delay => 1)), 400,
        qr/^message 17: .*did you mean "delayTime"/, 'a slip');
refused(JSON, with(message('a', {})), 400, qr/^message 17: /, 'an object');
refused(JSON, with(5), 400, qr/^message 17: .*object/, 'a number');
refused(JSON, with([]), 400, qr/^message 17: .*object/, 'an array');
refused(JSON, '[{"topic":"a","messageData":"' . "\xff" . '"}]', 400,
        qr/^message 0: /, 'not UTF-8');
refused(LINES, lines(@good) . "{\n" . lines(@good), 400, qr/^message 20: /,
        'a line that is cut');
refused(LINES, array(@good), 400, qr/^message 0: /, 'an array as a line');
refused(JSON, array(@good) . ' x', 400, qr/not valid JSON/, 'more behind');
refused(JSON, substr(array(@good), 0, -1), 400, qr/not valid JSON/, 'cut');
refused(JSON, '[]', 400, qr/at least one/, 'no messages');
refused(LINES, "\n", 400, qr/at least one/, 'no lines');
refused(JSON, array(@good), 400, qr/delayTime must be in the body/,
        'a delay in the query', path => '/Producer/Send?delayTime=3');
refused(JSON, array(map { message('a', 'x') } 1 .. 1001), 413, qr/1000/,
        'more than a thousand');
refused(JSON, array(map { message('a', 'x' x 500) } 1 .. 30), 413, qr/large/,
        'client_max_body_size', path => '/small');
refused(JSON, array(map { message('a', 'x' x 500) } 1 .. 30), 413, qr/large/,
        'the same in chunks', path => '/small',
        with => ['-H', 'Transfer-Encoding: chunked']);
refused(JSON, encode_json(message('a', 'x' x 100_000)), 413, qr/large/,
        'a single one that is too large');
refused(JSON, array(@good), 401, qr/key/, 'a wrong key', key => 'x');

# a batch that does not fit now, and ones that never will
accepted(JSON, array(map { message('full', 'x') } 1 .. 900), 900, 'most of it');
like(refused(JSON, array(map { message('full', 'x') } 1 .. 601), 503,
             qr/full/, 'a full queue'), qr/^Retry-After: 1\r?$/m,
     'and when to come again');
accepted(JSON, array(map { message('full', 'x') } 1 .. 600), 600, 'the rest');
refused(JSON, array(message('full', 'x')), 503, qr/full/, 'not one more');
$mq->post('/Console/PurgeTopic', { topic => 'full' });
is(waiting(), 0, 'the queue is empty again');
$mq->renew(yaml => { messageChanBuffer => 50, maxMessageSize => 1_000_000 });
refused(JSON, array(map { message('a', 'x') } 1 .. 51), 413, qr/too large/,
        'more than may ever wait');
refused(JSON, array(map { message('a', 'x' x 900_000) } 1 .. 40), 413,
        qr/too large/, 'more than half the zone');


# --------------------------------------------------------- while it comes in

my $key = "Host: x\r\nsecretKey: sesame\r\nContent-Type: " . JSON . "\r\n";

sub begin {
    my ($text, $length) = @_;
    my $raw = $mq->raw('/Producer/Send', upgrade => 0);

    $raw->write("POST /Producer/Send HTTP/1.1\r\n${key}Content-Length: "
                . "$length\r\n\r\n$text");
    return $raw;
}

sub free_memory { return $mq->post('/Console/GetOverview')->{data}{Zone}{Free} }

my $all = array(map { message('a', 'x' x 100_000) } 1 .. 20);
my $free = free_memory();
my $raw = begin(substr($all, 0, 1_500_000), length $all);
wait_for { $mq->post('/Console/GetOverview')->{code} == 0 } 'others go on';
is(free_memory(), $free, 'half of a batch takes nothing of the zone');
$raw->write(substr $all, 1_500_000);
wait_for { waiting() == 20 } 'the other half brings all of it';
$raw->close;
$raw = begin(substr($all, 0, 1_500_000), length $all);
$raw->close;
is($mq->post('/Console/Ping')->{code}, 0, 'a client goes in the middle');
is(waiting(), 20, 'and nothing came in');
$raw = begin('[{"topic":"a"},', 1_000_000);
like($raw->rest, qr/^HTTP\S+ 400 .*Connection: close.*message 0: /s,
     'what is wrong is told before the rest has come');
$raw->close;
$mq->post('/Console/PurgeTopic', { topic => 'a' });


# ---------------------------------------------------------------- one byte

my $text = array(message('bytes', "a\\\"\x{e9}"), message('bytes', '}]'));
$raw = begin('', length $text);
for (split //, $text) {
    $raw->write($_);
    sleep 0.0002;
}
wait_for { waiting() == 2 } 'a batch that comes by the byte';
$raw->close;
$mq->finish;


# ------------------------------------------------------------------- deaths

# Batches of 20 in four topics go to workers that are killed.  Each message
# carries its batch's number; in the end all of a batch are there, or none.
sub deaths {
    my ($persistent, $rounds) = @_;
    srand($ENV{KMQ_SEED} // 4);
    my $queue = KapokMQ::Test->start(
        yaml => { isPersistent => $persistent }, http => 'keepalive_requests '
        . '100000;', allow => qr/exited on signal 9/);
    my (%answered, $batch);

    for my $round (1 .. $rounds) {
        my %batch_of;
        my @pids = $queue->worker_pids;
        my $last = int rand 32;
        for (1 .. 4) {
            my $socket = IO::Socket::INET->new(
                PeerAddr => '127.0.0.1:' . $queue->port) or next;
            for my $left (reverse 0 .. 7) {
                my $n = ++$batch;
                my $close = $left ? '' : "Connection: close\r\n";
                my $text = array(map { message("t" . $_ % 4, "$n") } 1 .. 20);
                print {$socket} "POST /Producer/Send HTTP/1.1\r\n$key$close"
                    . 'Content-Length: ' . length($text) . "\r\n\r\n$text";
                push @{$batch_of{$socket}}, $n;
                next if $last-- != 0;
                sleep 0.00002 * int rand 30;
                kill 'KILL', @pids;
            }
            $batch_of{$socket} = [$socket, @{$batch_of{$socket}}];
        }
        kill 'KILL', @pids;
        for (values %batch_of) {
            my ($socket, @batches) = @$_;
            my $answers = do { local $/; readline $socket } // '';
            $answered{shift @batches}++
                while $answers =~ /"code":0,"data":\[(?:"\w{40}",?){20}\]\}/g;
            close $socket;
        }
        wait_for {
            my %now = map { $_ => 1 } $queue->worker_pids;
            keys %now == $queue->{workers} && !grep { $now{$_} } @pids
        } "workers come back after round $round" or return;
    }

    my %came;
    my @consumers = map {
        $queue->consumer("t$_", 'c', on_message => sub {
            $came{$_[1]{MessageData}}{$_[1]{MessageCode}} = 1;
        })
    } 0 .. 3;
    $queue->counts_become({ unconsumed => 0 },
                          "isPersistent $persistent: all come");
    my @parts = grep { keys %{$came{$_}} != 20 } keys %came;
    is("@parts", '', "$rounds deaths: all of a batch, or none");
    my @lost = grep { !$came{$_} } keys %answered;
    is("@lost", '', 'what was answered is there');
    my $there = keys %came;
    cmp_ok($there, '>', 0, "$there of $batch batches came in, "
                           . keys(%answered) . ' were answered');
    cmp_ok($there, '<', $batch, 'others did not');
    $_->finish for @consumers;
    $queue->finish;
}

deaths($_, 12) for 1, 2;

done_testing;
