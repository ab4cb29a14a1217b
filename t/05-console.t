# The console's endpoints: Ping, GetProducers, GetConsumers, GetClients,
# GetConfig, CountMessage; and what is refused.

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

our $Key = "secretKey: sesame\n";
our @All = qw(Ping GetProducers GetConsumers GetClients GetConfig
              CountMessage);

plan tests => 85;
run_tests();

__DATA__

=== TEST 1: Ping
--- request
POST /Console/Ping
--- more_headers eval: $::Key
--- response_body: {"code":0}
--- response_headers
Content-Type: application/json; charset=utf-8
--- no_error_log
[error]

=== TEST 2: empty lists
--- request eval
["POST /Console/GetProducers", "POST /Console/GetConsumers",
"POST /Console/GetClients"]
--- more_headers eval
[$::Key, $::Key, $::Key]
--- response_body eval
['{"code":0,"data":[]}', '{"code":0,"data":[]}',
'{"code":0,"producers":[],"consumers":[]}']

=== TEST 3: nothing to count
--- request
POST /Console/CountMessage
--- more_headers eval: $::Key
--- response_body eval
'{"code":0,"data":{"all":0,"consumed":0,"delay":0,"unconsumed":0,"dead":0,"notConsumed":0,"stateless":0}}'

=== TEST 4: three to count, and a slash at the end of an endpoint
--- request eval
[("POST /Producer/Send\ntopic=t&messageData=x") x 3,
"POST /Console/CountMessage/"]
--- more_headers eval
[($::Key) x 4]
--- response_body_like eval
['"code":0', '"code":0', '"code":0', '"all":3,"consumed":0,"delay":0,"unconsumed":3,"dead":0,"notConsumed":0,"stateless":3']

=== TEST 5: every setting but the key
--- request
POST /Console/GetConfig
--- more_headers eval: $::Key
--- response_body_like eval
CORE::join '.*', '^(?!.*(?:secret|sesame))\{"code":0,"data":\{', qw("pushType":1
    "messageChanBuffer":1000000 "pushMessagesSpeed":0 "sendCount":100
    "sendRetryCount":3 "persistentFile":"MQDATA" "isPersistent":0
    "recoveryStrategy":1 "persistentTime":5 "isRePush":1 "pushRetryTime":300
    "maxDeliveries":0 "retryDelay":1 "retryDelayMax":60 "isClean":1 "cleanTime":259200 "isCleanConsumed":0
    "checkSpeed":5 "confirm":"pong" "prefetch":1000 "maxMessageSize":1048576
    "heartbeat":30 "loginTime":60 "drainTime":2)

=== TEST 6: settings that differ
--- user_files
>>> application.yaml
mq:
  secretKey: "sesame"
  isPersistent: 0
  pushMessagesSpeed: 0.25
  pushCount: 7
  pushType: 2
  confirm: ack
  maxMessageSize: 64 KiB
  topics:
    "a\"b": { prefetch: 5 }
    calm: { heartbeat: 0, retryDelay: 0.5, retryDelayMax: 3600 }
--- request
POST /Console/GetConfig
--- more_headers eval: $::Key
--- response_body_like eval
CORE::join '.*', qw("pushType":2 "pushMessagesSpeed":0.25 "sendCount":7
    "confirm":"ack" "maxMessageSize":65536 "a\\\\"b":\{"prefetch":5\}
    "calm":\{"retryDelay":0.5 "retryDelayMax":3600 "heartbeat":0\})

=== TEST 7: forms that existing pages send
--- request eval
["POST /Console/Ping\n{}", "POST /Console/GetConfig\n{}",
"POST /Console/Ping\n", "POST /Console/CountMessage\n--X--\r\n"]
--- more_headers eval
["${main::Key}Content-Type: multipart/form-data\n",
"${main::Key}Content-Type: multipart/form-data\n",
"${main::Key}Content-Type: application/json\nContent-Length: 0\n",
"${main::Key}Content-Type: multipart/form-data; boundary=X\n"]
--- error_code eval
[200, 200, 200, 200]
--- response_body_like eval
[('^\{"code":0') x 4]

=== TEST 8: a wrong key opens nothing
--- request eval
[map { "POST /Console/$_" } @::All, 'Nowhere']
--- more_headers eval
[("secretKey: sesam\n") x 7]
--- error_code eval
[(401) x 7]
--- response_body eval
[('{"code":-1,"msg":"Secret key matching error"}') x 7]

=== TEST 9: nor does none
--- request
POST /Console/GetConfig
--- error_code: 401

=== TEST 10: GET
--- request eval
[map { "GET /Console/$_" } @::All]
--- more_headers eval
[($::Key) x 6]
--- error_code eval
[(405) x 6]

=== TEST 11: what there is not
--- request eval
["POST /Console/Nowhere", "POST /Console/", "POST /Console/ping",
"POST /Console/PingPing"]
--- more_headers eval
[($::Key) x 4]
--- error_code eval
[(404) x 4]
--- response_body_like eval
[('^\{"code":-1,"msg":"[^"]+"\}$') x 4]

=== TEST 12: HEAD has no body, an argument no meaning
--- request eval
["POST /Console/Ping?x=1", "POST /Console/Ping?secretKey=x"]
--- more_headers eval
[$::Key, $::Key]
--- response_body eval
['{"code":0}', '{"code":0}']

=== TEST 13: Health, without a key, and by GET
--- request eval
["GET /Console/Health", "POST /Console/Health", "POST /Console/Health\nx=1",
"GET /Console/Health/", "PUT /Console/Health", "OPTIONS /Console/Health"]
--- error_code eval
[200, 200, 200, 200, 405, 204]
--- response_body eval
['{"code":0}', '{"code":0}', '{"code":0}', '{"code":0}',
'{"code":-1,"msg":"The method must be GET or POST"}', '']
--- response_headers eval
['Content-Type: application/json; charset=utf-8', '', '', '',
'Allow: GET, HEAD, POST, OPTIONS',
'Access-Control-Allow-Methods: GET, HEAD, POST, OPTIONS']

=== TEST 14: nothing else is like it
--- request eval
["GET /Console/health", "GET /Console/HealthHealth", "GET /Console/Health/x"]
--- error_code eval
[405, 405, 405]

=== TEST 15: nodes, of which there are none
--- request
POST /Console/GetNodes
--- more_headers eval: $::Key
--- response_body: {"code":0,"data":[]}
