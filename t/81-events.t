# Streams of events: what they may ask for, the form of what they get, what is
# confirmed and when, slow readers, parked streams, and their ends.

use strict;
use warnings;
use utf8;

BEGIN { push @INC, 't/lib' }

use Encode qw(encode);
use Test::More;
use Time::HiRes qw(time);
use KapokMQ::Puller;
use KapokMQ::Stream;
use KapokMQ::Test;

my $mq = KapokMQ::Test->start(
    yaml => { retryDelay => 0, drainTime => 0, confirm => 'pong' },
    topics => "    news: { pushType: 2 }\n",
    http => 'gzip on; gzip_min_length 1; gzip_types *;',
    conf => <<'CONF');
limit_rate 100k;
location ~ ^/feed/(\w+)$ { kapokmq_events topic=feed id=$1; }
location ~ ^/take/(\w+)$ { kapokmq_pull topic=$1 id=taker; }
location = /asked { kapokmq_events topic=$arg_topic id=c-${arg_Confirmed}; }
location = /pulled { kapokmq_pull topic=$arg_t id=$arg_max; }
location = /heard { kapokmq_consumer topic=$arg_heartbea id=$arg_prefetch; }
CONF
my $post = KapokMQ::Puller->new($mq);

sub stream { return KapokMQ::Stream->new($mq, @_) }

sub opened {
    my $stream = stream(@_);

    wait_for { $stream->open } 'a stream opens';
    return $stream;
}

sub settle {
    my (%parameters) = @_;

    return ($post->now('/Consumers/Settle', \%parameters))[1]{data};
}

sub listed { return grep { $_->{Topic} eq $_[0] && $_->{Role} eq 'consumer' }
                    @{$mq->post('/Console/GetClientList')->{data}} }

sub in_flight { my $n = 0; $n += $_->{InFlight} for listed($_[0]); return $n }

# The whole answer to a request that is refused.
sub refused {
    my ($path, %option) = @_;
    my $raw = $mq->raw($path, upgrade => 0);
    my $method = $option{method} // 'GET';
    my $key = $option{key} // 'sesame';

    $raw->write("$method $path HTTP/1.1\r\nHost: localhost\r\n"
                . "secretKey: $key\r\nConnection: close\r\n"
                . ($option{headers} // '') . "\r\n" . ($option{body} // ''));
    my $answer = $raw->rest;
    my ($status) = $answer =~ m{^HTTP/1.1 (\d+)};

    return $status, $answer;
}

# --- what is refused
for my $case (
    [400, '?confirm=pong', qr/confirm must be socket or ack/],
    [400, '?confirm=', qr/confirm must be/],
    [400, '?conform=ack', qr/did you mean \\"confirm\\"/],
    [400, '?x=1', qr/unknown parameter \\"x\\"/],
    [400, '?confirm=ack&confirm=ack', qr/confirm is given more than once/],
    [400, '?prefetch=0', qr/prefetch must be/],
    [400, '?heartbeat=0.01', qr/heartbeat must be/],
    [404, '/more', qr/Exactly two names/],
) {
    my ($status, $answer) = refused("/Consumers/Events/a/b$case->[1]");
    is($status, $case->[0], "$case->[1]: $case->[0]");
    like($answer, $case->[2], 'and why');
}
is((refused('/Consumers/Events/a/b', key => 'x'))[0], 401, 'a wrong key');
my ($status, $answer) = refused('/Consumers/Events/a/b', method => 'POST',
                                headers => "Content-Length: 0\r\n");
is($status, 405, 'only GET');
like($answer, qr/^Allow: GET, OPTIONS\r$/m, 'and it says so');
is((refused('/Consumers/Events/a/b', headers => "Content-Length: 1\r\n",
            body => 'x'))[0], 400, 'no body');
($status, $answer) = refused('/Consumers/Events/a/b', method => 'OPTIONS');
is($status, 204, 'OPTIONS');
like($answer, qr/^Access-Control-Allow-Methods: GET, OPTIONS\r$/m,
     'another origin may GET');
like($answer, qr/^Access-Control-Allow-Headers: .*Last-Event-ID/m,
     'and go on');
is(scalar listed('a'), 0, 'none of them is there');

# --- the form
{
    my $stream = opened('form', 'c1');
    like($stream->head, qr{^Content-Type: text/event-stream; charset=utf-8\r$}m,
         'its type');
    like($stream->head, qr/^Transfer-Encoding: chunked\r$/m, 'no length');
    like($stream->head, qr/^Cache-Control: no-store, no-transform\r$/m,
         'nobody is to keep it,');
    like($stream->head, qr/^X-Accel-Buffering: no\r$/m, 'or to gather it');
    like($stream->head, qr/^Access-Control-Allow-Origin: \*\r$/m,
         'others may read it');
    unlike($stream->head, qr/^Content-Encoding/m, 'and it is not compressed');
    is($stream->retry, 1000, 'retry: comes first');

    my $data = "line\nline\r\n\tand 木 \x{2028}\"\\";
    $mq->publish('form', $data);
    $mq->publish('form', 'x' x 300_000);
    wait_for { @{$stream->messages} == 2 } 'messages come at once';
    is($stream->messages->[0]{MessageData}, $data, 'whatever is in them');
    is(length $stream->messages->[1]{MessageData}, 300_000, 'or their size');
    is(join(' ', sort keys %{$stream->messages->[0]}),
       'ConsumedTime CreateTime DelayTime MessageCode MessageData Status Topic',
       'in the form of a push');
    is($stream->wrong, 0, 'their ids are their codes');
    wait_for { in_flight('form') == 0 } 'they are consumed';
    my ($listed) = listed('form');
    is($listed->{Transport}, 'events', 'the list tells the transport,');
    is($listed->{Confirm}, 'socket', 'the mode,');
    is($listed->{Confirmed}, 2, 'and what is confirmed');
    $stream->stop;
    wait_for { !listed('form') } 'it leaves when it goes';
}

# --- names from elsewhere
{
    my $stream = opened('', '', path => '/feed/me');
    is((listed('feed'))[0]{Id}, 'me', 'as topic= and id= say');
    $stream->stop;
    $mq->publish('work', 'w1');
    my ($status, $json) = $post->now('/take/work', 'wait=10');
    is($json->{data}[0]{MessageData}, 'w1', 'of a pull, too');
    is((listed('work'))[0]{Id}, 'taker', 'with that id');
    is(settle(confirm => $json->{data}[0]{MessageCode})->{confirmed}, 1,
       'and it is settled');

    # what they are made of is no parameter, and none that is misspelt
    $stream = opened('', '', path => '/asked',
                     query => { topic => 'a/b', confirmed => 'x',
                                confirm => 'ack' });
    my ($listed) = listed('a/b');
    is($listed->{Id}, 'c-x', 'arguments that topic= and id= name');
    is($listed->{Confirm}, 'ack', 'beside parameters');
    $stream->stop;
    $mq->publish('work', 'w2');
    ($status, $json) = $post->now('/pulled?t=work&max=2', 'wait=10');
    is($json->{data}[0]{MessageData}, 'w2', 'of a pull, too');
    is((listed('work'))[0]{Id}, '2', 'also where it is both');
    settle(confirm => $json->{data}[0]{MessageCode});
    is($mq->raw('/heard?heartbea=h&prefetch=3', key => 'sesame')->status, 101,
       'nor is it one of a WebSocket that is misspelt');

    for my $case (
        ['/asked?topic=a&confirmed=c&x=1', 'unknown parameter \"x\"'],
        ['/asked?topic=a&confirmed=c&topics=1', 'unknown parameter \"topics\"'],
        ['/asked?topic=a&confirmed=c&tOpic=b&conform=a', 'did you mean'],
        ['/asked?topic=a&confirmed=c&confirm=ack&confirm=ack', 'once'],
        ['/Consumers/Events/a/b?topic=a', 'unknown parameter \"topic\"'],
        ['/feed/me?topic=a', 'unknown parameter \"topic\"'],
    ) {
        my ($status, $answer) = refused($case->[0]);
        is($status, 400, "$case->[0]: 400");
        like($answer, qr/\Q$case->[1]/, 'and why');
    }
}

# --- order, and many
{
    my $n = 20_000;
    my $stream = opened('many', 'c1');
    ok($mq->publish_many('many', map { "m$_" } 1 .. $n), "$n messages");
    wait_for { @{$stream->messages} >= $n } 'all come';
    is_deeply([$stream->data], [map { "m$_" } 1 .. $n], 'once, and in order');
    $stream->stop;
}

# --- heartbeats
{
    my $stream = opened('beat', 'c1', query => { heartbeat => 0.1 });
    my $none = opened('beat', 'c2', query => { heartbeat => 0 });
    wait_for { $stream->comments > 5 } 'a comment at each heartbeat';
    is($none->comments, 0, 'and none where there is none');
    $_->stop for $stream, $none;
}

# --- publish/subscribe
{
    my @streams = map { opened('news', "c$_") } 1 .. 20;
    my $socket = $mq->consumer('news', 'ws');
    $mq->publish('news', "n$_") for 1 .. 50;
    wait_for { !grep { @{$_->messages} < 50 } @streams, $socket } 'all get all';
    is(join(' ', map { join ',', $_->data } @streams),
       join(' ', (join ',', map { "n$_" } 1 .. 50) x 20), 'once, in order');
    $mq->counts_become({ unconsumed => 0 }, 'and it is consumed');
    $_->stop for @streams;
    $socket->finish;
}

# --- ack: settled elsewhere
{
    my $stream = opened('ack', 'c1', query => { confirm => 'ack' });
    $mq->publish('ack', "a$_") for 1 .. 4;
    wait_for { @{$stream->messages} == 4 } 'four come';
    is(in_flight('ack'), 4, 'and are not confirmed by that');
    my @codes = $stream->codes;
    is(settle(confirm => [@codes[0, 1]])->{confirmed}, 2, 'two are,');
    is(settle(extend => [$codes[2]], id => 'c1')->{extended}, 1, 'one kept,');
    is(settle(return => [$codes[3]], id => 'c1')->{returned}, 1, 'one returned');
    wait_for { @{$stream->messages} == 5 } 'that comes again';
    is($stream->messages->[4]{Attempts}, 2, 'as a second attempt');
    is(in_flight('ack'), 2, 'two are in flight');
    $stream->stop;
}

# --- a stream that comes back: what it has received is not sent again
{
    my %ack = (query => { confirm => 'ack' });
    my $stream = opened('park', 'c1', %ack);
    $mq->publish('park', "p$_") for 1 .. 4;
    wait_for { @{$stream->messages} == 4 } 'four come';
    my @codes = $stream->codes;
    $stream->stop;
    wait_for { (listed('park'))[0]{Parked} } 'it is parked';
    is(in_flight('park'), 4, 'with what it has');
    my $other = opened('park', 'c2', %ack);
    my $same = opened('park', 'c1', %ack,
                      headers => { 'Last-Event-ID' => $codes[1] });
    wait_for { @{$same->messages} + @{$other->messages} == 2 }
             'what came after its last one is sent again';
    is(join(' ', sort $same->data, $other->data), 'p3 p4', 'and no more');
    is(settle(confirm => \@codes)->{confirmed}, 4, 'all can be settled');
    $_->stop for $same, $other;

    # without an id of the last one all is sent again
    $stream = opened('park2', 'c1', %ack);
    $mq->publish('park2', 'q1');
    wait_for { @{$stream->messages} } 'one comes';
    $stream->stop;
    wait_for { (listed('park2'))[0]{Parked} } 'it is parked';
    $same = opened('park2', 'c1', %ack);
    wait_for { @{$same->messages} } 'and sent again';
    $same->stop;

    # who does not come back has failed
    $stream = opened('park3', 'c1', %ack);
    $mq->publish('park3', 'r1');
    wait_for { @{$stream->messages} } 'one comes';
    my $start = time;
    $stream->stop;
    my $next = opened('park3', 'c2', %ack);
    wait_for { @{$next->messages} } 'another one gets it';
    cmp_ok(time - $start, '>', 3, 'after the time to come back');
    is($next->messages->[0]{Attempts}, 2, 'which is a failure');
    $next->stop;
}

# --- one that does not read
{
    my $slow = opened('slow', 'c1');
    $slow->stop_reading;
    my $n = 400;
    ok($mq->publish_many('slow', map { "s$_" . 'x' x 50_000 } 1 .. $n),
       '20 MB');
    my $quick = opened('slow', 'c2');
    wait_for { @{$quick->messages} > 0 } 'another one gets what is left';
    wait_for { (listed('slow'))[0]{Messages} + (listed('slow'))[1]{Messages}
               == $n } 'all is pushed';
    $slow->start_reading;
    wait_for { @{$quick->messages} + @{$slow->messages} == $n }
             'what was for it comes when it reads';
    my %got;
    $got{$_}++ for $slow->data, $quick->data;
    is(scalar keys %got, $n, 'all of it once');
    $_->stop for $slow, $quick;
}

# --- an operator ends it: that is nobody's fault
{
    my $stream = opened('end', 'c1', query => { confirm => 'ack' });
    $mq->publish('end', 'e1');
    wait_for { @{$stream->messages} } 'one comes';
    my ($listed) = listed('end');
    $mq->post('/Console/Disconnect', { connection => $listed->{Connection} });
    wait_for { $stream->whole } 'its stream ends in good order';
    my $next = opened('end', 'c2');
    wait_for { @{$next->messages} } 'another one gets it at once';
    is($next->messages->[0]{Attempts}, 1, 'and it has not failed');
    $next->stop;
}

# --- reloads
{
    my %got;
    my $stream = KapokMQ::Stream->new($mq, 'reload', 'c1', again => 1,
        query => { confirm => 'ack' }, on_message => sub {
            my ($stream, $message) = @_;
            $got{$message->{MessageData}}++;
        });
    wait_for { $stream->open } 'a stream opens';
    my $settled = 0;
    for my $n (1 .. 5) {
        $mq->publish('reload', "$n.$_") for 1 .. 3;
        wait_for { keys %got == 3 * $n } 'three come';
        my $ends = $stream->ends;
        $mq->renew;
        wait_for { $stream->ends > $ends && $stream->open } 'it comes back';
        my @codes = $stream->codes;
        is(settle(confirm => [@codes[3 * $n - 3 .. 3 * $n - 1]])->{confirmed},
           3, 'what it had is still its own');
    }
    is(join(' ', grep { $got{$_} != 1 } sort keys %got), '', 'nothing twice');
    $stream->stop;
}

$mq->{allow} = qr/Exactly two names/;
$mq->finish;

# --- the end of the server
{
    my $mq = KapokMQ::Test->start(shutdown => '20s',
                                  yaml => { drainTime => 0 });
    my @streams = map { KapokMQ::Stream->new($mq, 'stop', "c$_") } 1 .. 20;
    wait_for { !grep { !$_->open } @streams } 'twenty streams';
    $mq->signal('QUIT');
    wait_for { !grep { !$_->ends } @streams } 'all end';
    is(scalar(grep { !$_->whole } @streams), 0, 'in good order');
    wait_for { $mq->_ended($mq->{pid}) } 'and nginx with them';
    delete $mq->{group};
    unlike($mq->log, qr/\[(?:alert|crit|emerg|error)\]/, 'without an error');
    $mq->discard;
}

done_testing();
