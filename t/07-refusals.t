# Refusals over HTTP: none leaves a body in the way that the next request would
# be read from, and each is JSON that a page may read, whoever has made it.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use KapokMQ::Raw;
use KapokMQ::Test;

my $mq = KapokMQ::Test->start(
    yaml => { maxMessageSize => 1000 },
    http => 'limit_req_zone $request_method zone=one:1m rate=1r/m;',
    allow => qr/too large|limiting requests|forbidden by rule|invalid chunked/,
    conf => 'location = /small { kapokmq_send; client_max_body_size 50; }
        location = /any { kapokmq_send; client_max_body_size 0; }
        location = /denied { kapokmq_send; deny all; }
        location = /slow { kapokmq_send; limit_req zone=one; }
        location = /asked { kapokmq_send; if ($arg_no) { return 403; } }
        location = /narrow { kapokmq_send; client_max_body_size 50;
            kapokmq_cors_origin http://a.example; }
        location = /page { kapokmq_send; client_max_body_size 50;
            error_page 413 =200 /own; }
        location = /own { return 200 "own"; }
        location = /key { kapokmq_metrics key; }
        location = /elsewhere { client_max_body_size 50; }
        location = /mirrored { kapokmq_send; mirror /own; }');

# All that nginx answers to these bytes, until it closes.
sub answers {
    my ($bytes) = @_;
    my $raw = KapokMQ::Raw->new(port => $mq->{port}, upgrade => 0);

    $raw->write($bytes);
    my $all = $raw->rest;
    $raw->close;
    return $all;
}

sub head {
    my ($line, @headers) = @_;
    return join "\r\n", "$line HTTP/1.1", 'Host: x', @headers, '', '';
}

my @key = ('secretKey: sesame');
my @chunked = ('Transfer-Encoding: chunked');
my $cors = qr/^Access-Control-Allow-Origin: \*\r$/m;
my $json = qr/^Content-Type: application\/json; charset=utf-8\r$/m;

sub refused {
    my ($answer, $status, $name, $any) = @_;

    like($answer, qr{^HTTP/1\.1 $status }, "$name: $status");
    like($answer, $json, "$name: JSON");
    like($answer, $cors, "$name: a page may read it") unless $any;
    like($answer, qr/\r\n\r\n\{"code":-1,"msg":"[^"]+"\}(?:\z|HTTP)/,
         "$name: with a text");
}


# --- a body that is not read to its end: the connection ends with it

my $smuggled = head('POST /Console/Ping', @key, 'Content-Length: 0');

for my $case (
    ['a chunk that is too large', 413,
     head('POST /small', @key, @chunked) . "ffff\r\n$smuggled"],
    ['a chunk beyond all bounds', 413,
     head('POST /small', @key, @chunked) . "7fffffff\r\n$smuggled"],
    ['such a chunk with a mirror', 413,
     head('POST /mirrored', @key, @chunked)
     . "7fffffff\r\n$smuggled"],
    ['no chunk', 400, head('POST /small', @key, @chunked) . "zz\r\n$smuggled"],
    ['a wrong key and no chunk', 400,
     head('POST /small', @chunked) . "zz\r\n$smuggled"],
    ['a length that is too large', 413,
     head('POST /small', @key, 'Content-Length: 100000') . $smuggled],
    ['a length that the queue does not take', 413,
     head('POST /any', @key, 'Content-Length: 1000000') . $smuggled],
    ['a wrong key, and a length', 401,
     head('POST /any', 'Connection: close', 'Content-Length: 100000')
     . $smuggled],
) {
    my ($name, $status, $bytes) = @$case;
    my $raw = KapokMQ::Raw->new(port => $mq->{port}, upgrade => 0);

    $raw->write($bytes);
    shutdown $raw->{socket}, 1;
    my $all = $raw->rest;
    refused($all, $status, $name);
    is(() = $all =~ m{^HTTP/1\.1 }mg, 1, "$name: and nothing else");
    like($all, qr/^Connection: close\r$/m, "$name: the end");
}


# --- one that is: the next request is the next request

my $body = 'x' x 100;
my $length = 'Content-Length: 100';

for my $case (
    ['a wrong key', 401, head('POST /any', $length)],
    ['another method', 405, head('GET /any', @key, $length)],
    ['what is compressed', 415,
     head('POST /any', @key, $length, 'Content-Encoding: gzip')],
    ['no such function', 404, head('POST /Console/Nowhere', @key, $length)],
    ['a form without data', 400, head('POST /any', @key, $length)],
    ['a location that is closed', 403, head('POST /denied', @key, $length)],
    ['an if that returns', 403, head('POST /asked?no=1', @key, $length)],
    ['metrics by POST', 405, head('POST /key', @key, $length), 1],
    ['metrics without a key', 401, head('GET /key', $length), 1],
    ['a WebSocket that is none', 400,
     head('GET /Producers/Conn/a/b', $length), 1],
    ['a WebSocket by POST', 405,
     head('POST /Producers/Conn/a/b', $length), 1],
) {
    my ($name, $status, $head, $any) = @$case;
    my $all = answers($head . $body
                      . head('POST /Console/Ping', @key, 'Connection: close'));

    refused($all, $status, $name, $any);
    like($all, qr/HTTP.*HTTP.*\{"code":0\}\z/s, "$name: then the next");

    # in chunks, the last of which comes late
    my $raw = KapokMQ::Raw->new(port => $mq->{port}, upgrade => 0);
    (my $chunked = $head) =~ s/Content-Length: 100/$chunked[0]/;
    $raw->write("${chunked}64\r\n$body\r\n");
    $raw->_fill until $raw->{in} =~ /\}\z/ || $raw->{eof}
        || $name =~ /function|form/;        # told when the body is there
    $raw->write("0\r\n\r\n"
                . head('POST /Console/Ping', @key, 'Connection: close'));
    like($raw->rest, qr/^HTTP\S+ $status .*HTTP.*\{"code":0\}\z/s,
         "$name: in chunks, too");
    $raw->close;
}


# --- nginx's own refusals

refused(answers(head('POST /small', @key, $length, 'Connection: close')
                . $body), 413, 'client_max_body_size');
answers(head('POST /slow', @key, 'Connection: close'));
my $limited = answers(head('POST /slow', @key, 'Connection: close'));
refused($limited, 503, 'limit_req');
like($limited, qr/^Retry-After: \d/m, 'limit_req: Retry-After');

my $late = KapokMQ::Raw->new(port => $mq->{port}, upgrade => 0);
$late->write(head('POST /small', @key, @chunked) . "1\r\nx\r\n");
run_for(0.1);
$late->write("ffff\r\n$smuggled");
shutdown $late->{socket}, 1;
my $all = $late->rest;
refused($all, 413, 'a chunk too many, later');
is(() = $all =~ m{^HTTP/1\.1 }mg, 1, 'and nothing else');
is(() = $all =~ m{^Access-Control-Allow-Origin}mg, 1, 'each header once');

my $head = answers(head('HEAD /denied', 'Connection: close'));
like($head, qr/^HTTP\S+ 403 .*\r\n\r\n\z/s, 'HEAD has no body');
like($head, $json, 'but its type');

my $narrow = answers(head('POST /narrow', @key, $length,
                          'Origin: http://a.example', 'Connection: close')
                     . $body);
like($narrow, qr{^Access-Control-Allow-Origin: http://a\.example\r$}m,
     'origins that are named, also there');
$narrow = answers(head('POST /narrow', @key, $length,
                       'Origin: http://b.example', 'Connection: close')
                  . $body);
unlike($narrow, qr{Access-Control-Allow-Origin}, 'and no others');

like(answers(head('POST /page', @key, $length, 'Connection: close') . $body),
     qr{^HTTP\S+ 200 .*own\z}s, 'an error_page is what it is');
like(answers(head('POST /elsewhere', $length, 'Connection: close') . $body),
     qr{^HTTP\S+ 413 .*text/html.*<html>}s, 'other locations are others');


# --- nobody is asked for a body that is not wanted

unlike(answers(head('POST /any', 'Expect: 100-continue', 'Connection: close',
                    'Content-Length: 0')),
       qr/100 Continue/, 'a wrong key');
unlike(answers(head('POST /any', @key, 'Expect: 100-continue',
                    'Content-Length: 1000000')),
       qr/100 Continue/, 'a body that is too long');


# --- a coding that changes nothing

like(answers(head('POST /any', @key, 'Content-Encoding: identity',
                  'Content-Length: 23', 'Connection: close')
             . 'topic=t&messageData=abc'), qr/^HTTP\S+ 200 /, 'identity');

$mq->finish;
done_testing;
