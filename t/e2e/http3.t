# Over HTTP/3: producers, pulls, streams of events, the console.  make http3
# builds the client and names the nginx.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Mojo::JSON qw(encode_json);
use Test::More;
use KapokMQ::Http3;
use KapokMQ::Suite;
use KapokMQ::Test;

plan skip_all => 'this nginx has no HTTP/3'
    if !KapokMQ::Suite::nginx_has('--with-http_v3_module');
plan skip_all => 'make http3 builds the client of HTTP/3'
    if !-x KapokMQ::Http3::program();

use constant { STREAMS => 100, MESSAGES => 5_000 };

my ($port, $brief) = map { KapokMQ::Suite::free_port() } 1 .. 2;
my $mq = KapokMQ::Test->new(yaml => { retryDelay => 0, drainTime => 0.2 });
my $pem = $mq->dir . '/server.pem';
my $tls = "ssl_certificate $pem; ssl_certificate_key $pem;";

is(system("openssl req -x509 -nodes -newkey ec -days 30"
          . " -pkeyopt ec_paramgen_curve:P-256 -subj /CN=localhost"
          . " -keyout $pem -out $pem.crt 2> /dev/null"
          . " && cat $pem.crt >> $pem && chmod 644 $pem"), 0, 'a certificate');
# a client that is gone without a word is missed after keepalive_timeout; one that
# stands still while a hundred streams get messages one by one is given up by an
# nginx with fewer than so many streams
$mq->launch(http => <<"HTTP", conf => <<"CONF");
    server {
        listen 127.0.0.1:$brief quic reuseport;
        $tls
        keepalive_timeout 5s;
        location /Consumers/Events/ { kapokmq_events; }
        location /Consumers/Pull/ { kapokmq_pull; }
    }
HTTP
        listen 127.0.0.1:$port quic reuseport;
        $tls
        http3_max_concurrent_streams 1280;
        # so long an old worker waits for packets that came to a new one
        keepalive_timeout 20s;
        add_header Alt-Svc 'h3=":$port"' always;
        location = /metrics { kapokmq_metrics; }
        location /Consumers/Events/secret/ { deny all; }
        location /open/ {
            kapokmq_console;
            kapokmq_auth off;
        }
CONF

sub connected {
    my (%option) = @_;
    my $h3 = KapokMQ::Http3->new($option{port} // $port, %option);

    wait_for { $h3->connected } 'a connection';
    return $h3;
}

# The answer, when it is whole; its stream is closed in order.
sub answered {
    my ($answer, $status, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    wait_for { exists $answer->{gone} || $answer->{lost} } "$name: answered";
    is($answer->{status}, $status, "$name: $status");
    ok($answer->{whole}, "$name: whole");
    return KapokMQ::Http3->json($answer);
}

# The consumers that the console knows of a topic, those that are parked aside.
sub listed {
    my ($topic) = @_;

    return grep { $_->{Topic} eq $topic && !defined $_->{Parked} }
                @{$mq->post('/Console/GetClientList')->{data} // []};
}

sub events {
    my ($h3, $topic, $id, %option) = @_;

    return KapokMQ::Http3::Events->new($mq, $topic, $id, h3 => $h3,
                                       port => $port, %option);
}

subtest 'doors' => sub {
    my $h3 = connected();
    my $sent = answered($h3->post('/Producer/Send',
        { topic => 'doors', messageData => 'one' }), 200, 'a message');
    like($sent->{msg}, qr/^[0-9a-f]{40}$/, 'it has a code');
    my $batch = answered($h3->post('/Producer/Send', {}, json => [
        map { { topic => 'doors', messageData => $_ } } qw(two three) ]),
        200, 'a batch');
    is(@{$batch->{data} // []}, 2, 'of two');
    my $lines = answered($h3->open(POST => '/Producer/Send',
        headers => { 'content-type' => 'application/x-ndjson' },
        body => join '', map {
            encode_json({ topic => 'doors', messageData => $_ }) . "\n"
        } qw(four five)), 200, 'lines');
    is(@{$lines->{data} // []}, 2, 'two as well');
    my $pulled = answered($h3->post('/Consumers/Pull/doors/c1',
                                    { max => 10 }), 200, 'a pull');
    my @codes = map { $_->{MessageCode} } @{$pulled->{data} // []};
    is(join(' ', map { $_->{MessageData} } @{$pulled->{data} // []}),
       'one two three four five', 'has all, in their order');
    my $settled = answered($h3->post('/Consumers/Settle',
        { confirm => join ',', @codes }), 200, 'settling');
    is($settled->{data}{confirmed}, 5, 'confirms them');
    my $count = answered($h3->post('/Console/CountMessage'), 200, 'the console');
    is($count->{data}{consumed}, 5, 'counts them');
    my $metrics = $h3->open(GET => '/metrics');
    answered($metrics, 200, 'metrics');
    like($metrics->{text}, qr/^kapokmq_messages_published_total 5$/m,
         'count them, too');
    is(answered($h3->post('/Console/Ping', {}, headers =>
        { secretkey => 'wrong' }), 401, 'a wrong key')->{code}, -1, 'a reason');
    answered($h3->open(GET => '/Consumers/Events/secret/c1'), 403,
             'what is denied');
    answered($h3->post('/open/Ping', {}, headers => { secretkey => '' }), 200,
             'what is open');
    answered($h3->open(OPTIONS => '/Consumers/Pull/doors/c1'), 204, 'OPTIONS');
    $h3->close;
};

subtest 'no WebSockets' => sub {
    my $h3 = connected();

    for my $role (qw(Producers Consumers)) {
        my $refused = answered($h3->open(GET => "/$role/Conn/t/c1", headers => {
            'sec-websocket-version' => 13,
            'sec-websocket-key'     => 'dGhlIHNhbXBsZSBub25jZQ==',
        }), 400, $role);
        like($refused->{msg}, qr{HTTP/1\.1}, "$role: why");
    }
    $h3->close;
};

subtest 'Alt-Svc' => sub {
    for my $path (qw(/Console/Ping /Console/Nothing)) {
        my (undef, undef, $answer) = $mq->post($path);
        is($answer->headers->header('Alt-Svc'), qq(h3=":$port"), $path);
    }
};

subtest 'large bodies' => sub {
    my $h3 = connected();
    my @messages = map { { topic => 'large', messageData => "$_-" . 'x' x 4000 } }
                   1 .. 1000;
    my $body = encode_json(\@messages);
    my $batch = $h3->open(POST => '/Producer/Send', more => 1,
                          headers => { 'content-type' => 'application/json' });

    # in pieces, and nothing says how long it will be
    $h3->body($batch, $_, 1) for unpack '(a70001)*', $body;
    $h3->body($batch, '');
    my $codes = answered($batch, 200, 'four MB in pieces')->{data} // [];
    is(@$codes, 1000, 'of a thousand messages');
    is($mq->counts->{unconsumed}, 1000, 'are in the queue');
    my $pulled = answered($h3->post('/Consumers/Pull/large/c1',
                                    { max => 1000 }), 200, 'a large answer');
    cmp_ok(@{$pulled->{data}}, '>', 100, 'has some');
    is(join(' ', map { $_->{MessageData} } @{$pulled->{data}}),
       join(' ', map { $_->{messageData} } @messages[0 .. $#{$pulled->{data}}]),
       'as they were sent');
    answered($h3->post('/Console/PurgeTopic', { topic => 'large', status => 3 }),
             200, 'a purge');

    my $given_up = $h3->open(POST => '/Producer/Send', more => 1,
        headers => { 'content-type' => 'application/json' },
        body => substr $body, 0, 100_000);
    my $refused = $h3->post('/Producer/Send',
        { topic => 'large', messageData => 'y' x 2_000_000 });
    answered($refused, 413, 'a message that is too large');
    $h3->cancel($given_up);
    wait_for { exists $given_up->{gone} } 'a body that breaks off';
    my $after = answered($h3->post('/Producer/Send',
        { topic => 'large', messageData => 'z' x 900_000 }), 200,
        'one of 900 kB');
    is($mq->counts->{unconsumed}, 1, 'is all that there is');
    $mq->remove($after->{msg});
    $h3->close;
};

subtest 'a pull that waits' => sub {
    my $h3 = connected();
    my $pull = $h3->post('/Consumers/Pull/waits/c1', { wait => 60 });

    wait_for { listed('waits') == 1 } 'it waits';
    $mq->publish('waits', 'come');
    is(answered($pull, 200, 'it')->{data}[0]{MessageData}, 'come', 'gets it');
    answered($h3->post('/Consumers/Settle', { confirm =>
        KapokMQ::Http3->json($pull)->{data}[0]{MessageCode} }), 200, 'settled');
    is(@{answered($h3->post('/Consumers/Pull/waits/c1', { wait => 0.1 }), 200,
                  'with nothing')->{data}}, 0, 'comes empty');

    # whoever goes away takes nothing with them
    for my $how (qw(stop cancel close vanish)) {
        my $other = connected($how eq 'vanish' ? (port => $brief) : ());
        my $pull = $other->post('/Consumers/Pull/waits/c1', { wait => 60 });
        wait_for { listed('waits') == 1 } "$how: it waits";
        $how =~ /stop|cancel/ ? $other->$how($pull) : $other->$how;
        wait_for { listed('waits') == 0 } "$how: it is gone";
        $h3 = connected();
        $mq->publish('waits', $how);
        my $got = answered($h3->post('/Consumers/Pull/waits/c2'), 200,
                           "$how: another one")->{data}[0] // {};
        is($got->{MessageData}, $how, "$how: it gets the message");
        is($got->{Attempts}, undef, "$how: as if for the first time");
        answered($h3->post('/Consumers/Settle',
            { confirm => $got->{MessageCode} }), 200, "$how: settled");
        $other->close;
    }
    $h3->close;
};

subtest 'what has no answer yet ends with its client' => sub {
    my $h3 = connected();

    for my $how (qw(stop cancel)) {
        my $stream = events($h3, 'idle', 'c1', query => { heartbeat => 0 });
        wait_for { $stream->open } "$how: a stream without heartbeats";
        $h3->$how($stream->{answer});
        wait_for { listed('idle') == 0 } "$how: is gone";
    }
    my $stream = events($h3, 'idle', 'c1');
    wait_for { $stream->open } 'close: a stream';
    $h3->close;
    wait_for { listed('idle') == 0 } 'close: is gone';
    $stream = events(connected(port => $brief), 'idle', 'c1',
                     query => { heartbeat => 1 });
    wait_for { $stream->open } 'vanish: a stream';
    $stream->{h3}->vanish;
    wait_for { listed('idle') == 0 } 'vanish: is gone';
};

subtest 'events' => sub {
    my $h3 = connected();
    my $stream = events($h3, 'news', 'c1', query => { heartbeat => 0.2 });

    wait_for { $stream->open } 'a stream';
    is($stream->retry, 1000, 'says when to come back');
    is($stream->head->{'content-type'}, 'text/event-stream; charset=utf-8',
       'its type');
    is($stream->head->{'cache-control'}, 'no-store, no-transform',
       'nobody keeps it');
    wait_for { $stream->comments >= 3 } 'heartbeats';
    $mq->publish('news', $_) for qw(a b c);
    wait_for { $stream->data == 3 } 'messages come';
    is(join(' ', $stream->data), 'a b c', 'in their order');
    is($stream->wrong, 0, 'each with its code');
    $mq->counts_become({ unconsumed => 0 }, 'sent is consumed');
    $stream->stop;
    wait_for { listed('news') == 0 } 'it is gone';
    $h3->close;
};

subtest 'ack' => sub {
    my $h3 = connected();
    my $stream = events($h3, 'ack', 'c1', query => { confirm => 'ack' });

    wait_for { $stream->open } 'a stream';
    my @codes = map { $mq->publish('ack', $_) } qw(a b c);
    wait_for { $stream->data == 3 } 'it has three';
    is(answered($h3->post('/Consumers/Settle',
        { confirm => $codes[0] }), 200, 'one')->{data}{confirmed}, 1, 'confirmed');
    $h3->close;
    wait_for { $h3->closed } 'the connection ends';

    # it has seen the second one, and not the third
    $h3 = connected();
    $stream = events($h3, 'ack', 'c1', query => { confirm => 'ack' },
                     headers => { 'last-event-id' => $codes[1] });
    wait_for { $stream->data == 1 } 'it comes back';
    is(join(' ', $stream->data), 'c', 'and gets what it has not seen');
    answered($h3->post('/Consumers/Settle',
        { confirm => join ',', @codes[1, 2] }), 200, 'the others');
    $mq->counts_become({ unconsumed => 0 }, 'all is consumed');
    $h3->close;
};

# However it ended.
subtest "a stream's end is charged to what it worked on" => sub {
    my $h3;

    for my $how (qw(stop close)) {
        my $other = connected();
        my $stream = events($other, 'fault', 'c2', query => { confirm => 'ack' });
        wait_for { $stream->open } "$how: a stream";
        my $code = $mq->publish('fault', $how);
        wait_for { $stream->data == 1 } "$how: it works on a message";
        $how eq 'stop' ? $stream->drop : $other->close;
        $h3 = connected();
        my $got = answered($h3->post('/Consumers/Pull/fault/c3', { wait => 30 }),
                           200, "$how: another one")->{data}[0] // {};
        is($got->{MessageCode}, $code, "$how: gets it then");
        is($got->{Attempts}, 2, "$how: after a failure");
        answered($h3->post('/Consumers/Settle', { confirm => $code }), 200,
                 "$how: settled");
        $other->close;
    }
    $h3->close;
};

subtest 'slow readers' => sub {
    my $h3 = connected(window => 65536);
    my $stream = events($h3, 'slow', 'c1', slow => 1);

    wait_for { $stream->open } 'one that does not read';
    my ($pid) = $stream->worker;
    my $before = $mq->memory($pid);
    my @data = ((map { "$_-" . 's' x 10_000 } 1 .. 200),
                map { "$_-" . 'l' x 900_000 } 1 .. 10);
    $mq->publish('slow', $_) for @data;
    my $grown = $mq->memory($pid) - $before;
    cmp_ok($grown, '<', 16_384, "takes little of the worker's memory ($grown k)");
    cmp_ok($mq->counts->{unconsumed}, '>', 100, 'most waits');
    $stream->start_reading;
    wait_for { $stream->data == @data } 'then it reads all';
    ok(join(' ', $stream->data) eq join(' ', @data), 'as it was sent');
    $mq->counts_become({ unconsumed => 0 }, 'and that is consumed');
    $h3->close;
};

subtest 'a hundred streams' => sub {
    my $h3 = connected();
    my @streams = map { events($h3, 'many', "c$_", query => { heartbeat => 1 }) }
                  1 .. STREAMS;
    my %seen;

    wait_for { !grep { !$_->open } @streams } 'all are open';
    ok($mq->publish_many('many', map { "m$_-" . 'x' x ($_ % 3000) } 1 .. MESSAGES),
       'messages');
    wait_for {
        my $n = 0;
        $n += $_->data for @streams;
        $n >= MESSAGES
    } 'come';
    $seen{$_}++ for map { $_->data } @streams;
    is(scalar keys %seen, MESSAGES, 'all of them');
    is((grep { $_ > 1 } values %seen), 0, 'once');
    wait_for { !grep { !$_->comments } @streams } 'and heartbeats';
    $h3->close;
    wait_for { listed('many') == 0 } 'then nobody is left';
    $mq->counts_become({ unconsumed => 0 }, 'and all is consumed');
};

# Each has a connection of its own; what it gets it confirms over TCP.
sub back_again {
    my ($topic, $n) = @_;
    my %seen;

    my @streams = map {
        events(undef, $topic, "c$_", again => 1,
               query => { confirm => 'ack', heartbeat => 1 },
               on_message => sub {
                   my ($stream, $message) = @_;
                   $seen{$message->{MessageData}}++;
                   $mq->{ua}->post_p("http://127.0.0.1:" . $mq->port
                       . '/Consumers/Settle', { secretKey => 'sesame' },
                       form => { confirm => $message->{MessageCode} })
                      ->catch(sub { });
               });
    } 1 .. $n;
    wait_for { listed($topic) == $n } 'streams';
    return \%seen, @streams;
}

subtest 'reloads' => sub {
    my ($seen, @streams) = back_again('reload', 4);
    my @sent;

    for my $n (1 .. 3) {
        push @sent, map { "$n.$_" } 1 .. 20;
        $mq->publish('reload', $_) for @sent[-20 .. -1];
        $mq->renew;
        wait_for { listed('reload') == @streams } 'they have come back';
    }
    $mq->counts_become({ unconsumed => 0 }, 'all is confirmed');
    is(join(' ', sort keys %$seen), join(' ', sort @sent), 'all has come');
    is((grep { $_ > 1 } values %$seen), 0, 'each message once');
    $_->stop for @streams;
    wait_for { listed('reload') == 0 } 'they are gone';
};

subtest 'the end of a worker' => sub {
    my ($seen, @streams) = back_again('killed', 2);

    kill 'KILL', $mq->worker_pids;
    $mq->{allow} = qr/forbidden by rule|exited on signal 9/;
    wait_for { $mq->worker_pids == $mq->{workers} } 'new workers';
    wait_for { @streams == grep { $_->connects > 1 } @streams }
             'the streams come back';
    wait_for { listed('killed') == @streams } 'to the console, too';
    $mq->publish('killed', $_) for 1 .. 10;
    wait_for { keys %$seen == 10 } 'and get messages';
    $mq->counts_become({ unconsumed => 0 }, 'which are confirmed');
    $_->stop for @streams;
};

$mq->finish;
done_testing();
