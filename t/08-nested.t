# "if" and "limit_except" inside a location: what it is stays, as with nginx's
# own handlers.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use KapokMQ::Suite;
use Test::Nginx::Socket;

master_on();
workers($ENV{KMQ_WORKERS} || 1);
no_shuffle();
no_long_string();
add_block_preprocessor(\&KapokMQ::Suite::queue);

our $Key     = "secretKey: sesame\n";
our $Upgrade = <<'HEADERS';
Upgrade: websocket
Connection: Upgrade
Sec-WebSocket-Version: 13
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
HEADERS

plan tests => 49;
run_tests();

__DATA__

=== TEST 1: metrics that want a key, inside if
--- config
location = /metrics {
    kapokmq_metrics key;
    if ($arg_a) { set $b 1; }
}
--- request eval
["GET /metrics?a=1", "GET /metrics", "GET /metrics?a=1"]
--- more_headers eval
["X: y", "X: y", $::Key]
--- error_code eval
[401, 401, 200]

=== TEST 2: the same inside limit_except
--- config
location = /metrics {
    kapokmq_metrics key topics=5;
    limit_except POST { allow all; }
}
--- request eval
["GET /metrics", "GET /metrics", "POST /metrics"]
--- more_headers eval
["X: y", $::Key, $::Key]
--- error_code eval
[401, 200, 405]
--- response_body_like eval
['"code":-1', '^# (?:HELP|TYPE) ', '"code":-1']

=== TEST 3: topics= inside if
--- config
location = /metrics {
    kapokmq_metrics topics=0;
    if ($arg_a) { set $b 1; }
}
location = /Producer/Send { kapokmq_send; }
--- request eval
["POST /Producer/Send\ntopic=t&messageData=x", "GET /metrics?a=1"]
--- more_headers eval
[$::Key, $::Key]
--- response_body_unlike eval
['error', '\{topic="t"']

=== TEST 4: topics= where there is one
--- config
location = /metrics {
    kapokmq_metrics topics=1;
    if ($arg_a) { set $b 1; }
}
location = /Producer/Send { kapokmq_send; }
--- request eval
["POST /Producer/Send\ntopic=t&messageData=x", "GET /metrics?a=1"]
--- more_headers eval
[$::Key, $::Key]
--- response_body_like eval
['"code":0', '\{topic="t"']

=== TEST 5: sending and the console inside limit_except, and an if beside it
--- config
location = /Producer/Send {
    kapokmq_send;
    limit_except PUT { deny 10.0.0.0/8; }
}
location /Console/ {
    kapokmq_console;
    if ($arg_a) { set $b 1; }
    limit_except GET { deny 10.0.0.0/8; }
}
--- request eval
["POST /Producer/Send\ntopic=t&messageData=x", "POST /Console/Ping",
"POST /Console/Ping?a=1", "OPTIONS /Console/Ping"]
--- more_headers eval
[$::Key, $::Key, $::Key, "Origin: http://a.example"]
--- error_code eval
[200, 200, 200, 204]
--- response_headers eval
[('Access-Control-Allow-Origin: *') x 4]

=== TEST 6: what is denied inside limit_except is JSON
--- config
location /Console/ {
    kapokmq_console;
    limit_except GET { deny all; }
}
--- request
POST /Console/Ping
--- more_headers eval: $::Key
--- error_code: 403
--- response_body_like: ^\{"code":-1,"msg":".*"\}$
--- response_headers
Access-Control-Allow-Origin: *
Content-Type: application/json; charset=utf-8

=== TEST 7: origins inside if
--- config
location /Console/ {
    kapokmq_console;
    kapokmq_cors_origin http://a.example;
    if ($arg_a) { set $b 1; }
    limit_except GET { deny 10.0.0.0/8; }
}
--- request eval
["POST /Console/Ping?a=1", "POST /Console/Ping", "OPTIONS /Console/Ping?a=1"]
--- more_headers eval
["${main::Key}Origin: http://a.example",
"${main::Key}Origin: http://b.example", "Origin: http://a.example"]
--- response_headers eval
["Access-Control-Allow-Origin: http://a.example",
"! Access-Control-Allow-Origin",
"Access-Control-Allow-Origin: http://a.example"]
--- error_code eval
[200, 200, 204]

=== TEST 8: WebSockets
--- config
location /Producers/Conn/ {
    kapokmq_producer;
    if ($arg_a) { set $b 1; }
}
location /Consumers/Conn/ {
    kapokmq_consumer;
    limit_except POST { deny 10.0.0.0/8; }
}
--- request eval
["GET /Producers/Conn/t/p1?a=1", "GET /Consumers/Conn/t/c1"]
--- more_headers eval
[$::Upgrade, $::Upgrade]
--- error_code eval
[101, 101]
--- abort

=== TEST 9: another handler inside takes its place
--- config
location /Console/ {
    kapokmq_console;
    if ($arg_a) { proxy_pass http://127.0.0.1:1; }
    limit_except POST { proxy_pass http://127.0.0.1:1; }
}
--- request eval
["GET /Console/Ping", "POST /Console/Ping", "POST /Console/Ping?a=1"]
--- more_headers eval
[$::Key, $::Key, $::Key]
--- error_code eval
[502, 200, 502]
--- response_body_like eval
['<html>', '^\{"code":0\}$', '<html>']

=== TEST 10: other handlers around it leave it alone
--- config
location /a {
    proxy_pass http://127.0.0.1:1;
    if ($arg_a) { set $b 1; }
    limit_except POST { deny all; }
}
--- request
GET /a
--- error_code: 403
--- response_body_like: <html>
--- error_log
access forbidden by rule

=== TEST 11: a location inside one is its own
--- config
location /Console/ {
    kapokmq_console;
    location /Console/in/ { return 200 "in"; }
    location /Console/files/ { }
}
--- request eval
["GET /Console/in/", "POST /Console/files/Ping", "POST /Console/Ping"]
--- more_headers eval
[$::Key, $::Key, $::Key]
--- error_code eval
[200, 404, 200]
