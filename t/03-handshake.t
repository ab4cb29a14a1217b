# The opening of a WebSocket: what is upgraded, and how the rest is refused.

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

# close: a refusal ends the connection
our $Upgrade = <<'HEADERS';
Upgrade: websocket
Connection: Upgrade, close
Sec-WebSocket-Version: 13
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
HEADERS

# refusals: status, two headers, body; answers: status and headers
plan tests => 146;
run_tests();

__DATA__

=== TEST 1: the example of RFC 6455
--- request
GET /Producers/Conn/topic/p1
--- more_headers eval: $::Upgrade
--- error_code: 101
--- response_headers
Upgrade: websocket
Connection: upgrade
Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=
! Sec-WebSocket-Extensions
! Sec-WebSocket-Protocol
! Content-Length
! Transfer-Encoding
--- abort

=== TEST 2: consumers, headers in other letter cases and as lists
--- request
GET /Consumers/Conn/topic/c1
--- more_headers
upgrade: h2c, WebSocket
CONNECTION: keep-alive, UPGRADE
sec-websocket-version: 13
sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==
--- error_code: 101
--- response_headers
Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=
--- abort

=== TEST 3: extensions and subprotocols are not taken up
--- request
GET /Consumers/Conn/topic/c1
--- more_headers eval
$::Upgrade . "Sec-WebSocket-Extensions: permessage-deflate\n"
. "Sec-WebSocket-Protocol: mqtt, stomp\n"
--- error_code: 101
--- response_headers
! Sec-WebSocket-Extensions
! Sec-WebSocket-Protocol
--- abort

=== TEST 4: a plain GET
--- request
GET /Producers/Conn/topic/p1
--- error_code: 400
--- response_headers
Content-Type: application/json; charset=utf-8
--- response_body_like: ^\{"code":-1,"msg":".*[uU]pgrade
--- no_error_log
[error]

=== TEST 5: without Connection
--- request
GET /Producers/Conn/topic/p1
--- more_headers
Upgrade: websocket
Connection: close
Sec-WebSocket-Version: 13
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
--- error_code: 400
--- response_headers
Content-Type: application/json; charset=utf-8
--- response_body_like: ^\{"code":-1,"msg":".*[uU]pgrade

=== TEST 6: an upgrade to something else
--- request
GET /Consumers/Conn/topic/c1
--- more_headers
Upgrade: h2c, websockets
Connection: Upgrade, close
Sec-WebSocket-Version: 13
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
--- error_code: 400
--- response_body_like: ^\{"code":-1,"msg":".*[uU]pgrade

=== TEST 7: without a key
--- request
GET /Consumers/Conn/topic/c1
--- more_headers
Upgrade: websocket
Connection: Upgrade, close
Sec-WebSocket-Version: 13
--- error_code: 400
--- response_body_like: ^\{"code":-1,"msg":".*Sec-WebSocket-Key

=== TEST 8: a key of the wrong length
--- request
GET /Consumers/Conn/topic/c1
--- more_headers
Upgrade: websocket
Connection: Upgrade, close
Sec-WebSocket-Version: 13
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ
--- error_code: 400
--- response_body_like: ^\{"code":-1,"msg":".*Sec-WebSocket-Key

=== TEST 9: a key that is not base64
--- request
GET /Consumers/Conn/topic/c1
--- more_headers
Upgrade: websocket
Connection: Upgrade, close
Sec-WebSocket-Version: 13
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub2*jZQ==
--- error_code: 400
--- response_body_like: ^\{"code":-1,"msg":".*Sec-WebSocket-Key

=== TEST 10: an older version
--- request
GET /Consumers/Conn/topic/c1
--- more_headers
Upgrade: websocket
Connection: Upgrade, close
Sec-WebSocket-Version: 8
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
--- error_code: 426
--- response_headers
Sec-WebSocket-Version: 13
Content-Type: application/json; charset=utf-8
--- response_body_like: ^\{"code":-1,"msg":".*13

=== TEST 11: no version
--- request
GET /Producers/Conn/topic/p1
--- more_headers
Upgrade: websocket
Connection: Upgrade, close
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
--- error_code_like: ^(?:400|426)$
--- response_body_like: ^\{"code":-1,"msg":".*Version

=== TEST 12: another method
--- request eval
["POST /Producers/Conn/topic/p1", "HEAD /Consumers/Conn/topic/c1",
"OPTIONS /Consumers/Conn/topic/c1"]
--- more_headers eval
[$::Upgrade, $::Upgrade, $::Upgrade]
--- error_code_like eval
["^40[05]\$", "^40[05]\$", "^(?:40[05]|204)\$"]

=== TEST 13: HTTP/1.0
--- request
GET /Producers/Conn/topic/p1 HTTP/1.0
--- more_headers eval: $::Upgrade
--- error_code: 400
--- response_body_like: ^\{"code":-1,"msg":"

=== TEST 14: names that are missing
--- request eval
["GET /Producers/Conn/", "GET /Producers/Conn/topic/",
"GET /Consumers/Conn//c1", "GET /Consumers/Conn/x/topic/c1"]
--- more_headers eval
[($::Upgrade) x 4]
--- error_code eval
[404, 404, 404, 404]
--- response_body_like eval
[('"code":-1,"msg":"[^"]+\{topic\}/\{id\}') x 4]

=== TEST 15: names that are too long
--- request eval
["GET /Producers/Conn/" . "x" x 256 . "/p1",
"GET /Consumers/Conn/topic/" . "%41" x 256]
--- more_headers eval
[$::Upgrade, $::Upgrade]
--- error_code eval
[400, 400]
--- response_body_like eval
['255', '255']

=== TEST 16: the longest names
--- request eval
"GET /Producers/Conn/" . "x" x 255 . "/" . "%41" x 255
--- more_headers eval: $::Upgrade
--- error_code: 101
--- abort

=== TEST 17: names that are not UTF-8
--- request eval
["GET /Producers/Conn/%ff/p1", "GET /Consumers/Conn/topic/%c0%af",
"GET /Consumers/Conn/%ed%a0%80/c1"]
--- more_headers eval
[$::Upgrade, $::Upgrade, $::Upgrade]
--- error_code eval
[400, 400, 400]
--- response_body_like eval
['UTF-8', 'UTF-8', 'UTF-8']

=== TEST 18: a zero byte, a bad escape
--- request eval
["GET /Producers/Conn/a%00b/p1", "GET /Producers/Conn/a%zz/p1"]
--- more_headers eval
[$::Upgrade, $::Upgrade]
--- error_code eval
[400, 400]

=== TEST 19: a wrong key in the header
--- request eval
["GET /Producers/Conn/topic/p1", "GET /Consumers/Conn/topic/c1",
"GET /Consumers/Conn/topic/c1"]
--- more_headers eval
["${main::Upgrade}secretKey: qqq\n", "${main::Upgrade}secretKey: sesam\n",
"${main::Upgrade}secretkey: sesamee\n"]
--- error_code eval
[401, 401, 401]
--- response_body eval
['{"code":-1,"msg":"Secret key matching error"}',
'{"code":-1,"msg":"Secret key matching error"}',
'{"code":-1,"msg":"Secret key matching error"}']
--- response_headers eval
["! Upgrade", "! Upgrade", "Content-Type: application/json; charset=utf-8"]

=== TEST 20: the right key in the header, in any letter case
--- request
GET /Consumers/Conn/topic/c1
--- more_headers eval: $::Upgrade . "SECRETKEY: sesame\n"
--- error_code: 101
--- abort

=== TEST 21: a confirm mode that does not exist
--- request eval
["GET /Consumers/Conn/topic/c1?confirm=maybe",
"GET /Consumers/Conn/topic/c1?x=1&confirm="]
--- more_headers eval
[$::Upgrade, $::Upgrade]
--- error_code eval
[400, 400]
--- response_body_like eval
['confirm', 'confirm']

=== TEST 22: each that exists
--- request eval
[map { "GET /Consumers/Conn/topic/c1?x=1&confirm=$_" } qw(socket pong ack)]
--- more_headers eval
[($::Upgrade) x 3]
--- error_code eval
[101, 101, 101]
--- abort

=== TEST 23: a request with a body
--- request eval
"GET /Producers/Conn/topic/p1\nhello"
--- more_headers eval: $::Upgrade
--- error_code: 400

=== TEST 24: a slash at the end, which no forgotten id becomes a name by
--- request eval
["GET /Producers/Conn/topic/p1/", "GET /Consumers/Conn/topic/c1/?confirm=ack",
"GET /Producers/Conn/a%2Fb/p1/", "GET /Producers/Conn/topic/",
"GET /Producers/Conn/a%2Fb/", "GET /Producers/Conn/topic/p1//"]
--- more_headers eval
[($::Upgrade) x 6]
--- error_code eval
[101, 101, 404, 404, 101, 101]
--- abort

=== TEST 25: the same where the prefix has none
--- config
location /p { kapokmq_producer; }
--- request eval
["GET /p/topic/p1/", "GET /p/topic/p1", "GET /p/topic/", "GET /p/topic/p1"]
--- more_headers eval
[($::Upgrade) x 4]
--- error_code eval
[101, 101, 404, 101]
--- abort

=== TEST 26: what a consumer may ask for, and what is for others
--- request eval
[map { "GET /Consumers/Conn/topic/c1?$_" } qw(prefetch=1 prefetch=70000
prefetch=99999999999999999999 heartbeat=0 heartbeat=0.1&PREFETCH=3&Confirm=ack heartbeat=3600
md5=x&expires=5&_=1&t=2&key=k&token=y&id=3 utm_source=a&%zz&%)]
--- more_headers eval
[($::Upgrade) x 8]
--- error_code eval
[(101) x 8]
--- abort

=== TEST 27: values that are none
--- request eval
[map { "GET /Consumers/Conn/topic/c1?$_" } qw(prefetch=0 prefetch=-1
prefetch=1.5 prefetch=all prefetch=
heartbeat=-1 heartbeat=0.01 heartbeat=3601 heartbeat=off heartbeat=
heartbeat=1.2345 prefetch=%zz)]
--- more_headers eval
[($::Upgrade) x 12]
--- error_code eval
[(400) x 12]
--- response_body_like eval
[('"prefetch must be a whole number from 1 on"') x 5,
('"heartbeat must be 0, or a number of seconds from 0.1 to 3600') x 6, '%']

=== TEST 28: names that are nearly right
--- request eval
[map { "GET /Consumers/Conn/topic/c1?$_" } qw(prefetc=5 perfetch=5
pre_fetch=5 x=1&prefetchCount=5 conform=ack confirms=ack heart_beat=5
heartbeats=5 %50refetc=5)]
--- more_headers eval
[($::Upgrade) x 9]
--- error_code eval
[(400) x 9]
--- response_body_like eval
[('unknown parameter \\\\"\w+\\\\", did you mean \\\\"prefetch\\\\"\?') x 4,
('did you mean \\\\"confirm\\\\"\?') x 2,
('did you mean \\\\"heartbeat\\\\"\?') x 2,
'unknown parameter \\\\"Prefetc\\\\", did you mean']

=== TEST 29: the right name is there, too
--- request
GET /Consumers/Conn/topic/c1?prefetc=5&prefetch=5
--- more_headers eval: $::Upgrade
--- error_code: 101
--- abort

=== TEST 30: a producer has a heartbeat alone
--- request eval
[map { "GET /Producers/Conn/topic/p1?$_" } qw(heartbeat=5 prefetch=x&confirm=x
prefetc=5)]
--- more_headers eval
[($::Upgrade) x 3]
--- error_code eval
[(101) x 3]
--- abort

=== TEST 31: and its own slips
--- request eval
[map { "GET /Producers/Conn/topic/p1?$_" } qw(heartbeat=x hartbeat=5)]
--- more_headers eval
[($::Upgrade) x 2]
--- error_code eval
[(400) x 2]
--- response_body_like eval
['heartbeat must be', 'did you mean \\\\"heartbeat\\\\"']
