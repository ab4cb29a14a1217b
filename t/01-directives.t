# The directives: what works, and each refusal.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use KapokMQ::Suite;
use Test::Nginx::Socket;

master_on();
no_shuffle();
no_long_string();
add_block_preprocessor(\&KapokMQ::Suite::queue);
add_block_preprocessor(\&KapokMQ::Suite::ping);

plan tests => 135;
run_tests();

__DATA__

=== TEST 1: a whole queue
--- response_body: {"code":0}
--- no_error_log
[warn]
[error]

=== TEST 2: sizes in k, m and g
--- http_config
kapokmq_zone 8192k;
kapokmq_config $TEST_NGINX_HTML_DIR/application.yaml;
--- response_body: {"code":0}

=== TEST 3: a gigabyte, which is used as far as it is needed
--- http_config
kapokmq_zone 1g;
kapokmq_config $TEST_NGINX_HTML_DIR/application.yaml;
--- response_body: {"code":0}

=== TEST 4: the order of directives has no meaning
--- http_config
kapokmq_config $TEST_NGINX_HTML_DIR/application.yaml;
kapokmq_zone 8m;
--- response_body: {"code":0}

=== TEST 5: locations of other kinds
--- config
location = /ping/Ping { kapokmq_console; }
location ~ ^/c/(.+) { kapokmq_consumer topic=$1 id=c1; }
location ^~ /p/ { kapokmq_producer; }
--- request eval
["POST /ping/Ping", "GET /c/topic/c1", "GET /p/topic/p1"]
--- more_headers eval
[("secretKey: sesame") x 3]
--- error_code eval
[200, 400, 400]

=== TEST 6: no queue, and no location that needs one
--- http_config
--- config
location /x { return 200 "hello"; }
--- request
GET /x
--- response_body: hello

=== TEST 7: no zone
--- http_config
kapokmq_config $TEST_NGINX_HTML_DIR/application.yaml;
--- must_die
--- error_log eval
["[emerg]", "kapokmq_zone"]

=== TEST 8: two zones
--- http_config
kapokmq_zone 8m;
kapokmq_zone 8m;
--- must_die
--- error_log eval
[qr/\[emerg\].*"kapokmq_zone" directive is duplicate/]

=== TEST 9: a zone without a size
--- http_config
kapokmq_zone;
--- must_die
--- error_log eval
[qr/\[emerg\] .*invalid number of arguments in "kapokmq_zone"/]

=== TEST 10: a zone with a name as well
--- http_config
kapokmq_zone queue 8m;
--- must_die
--- error_log eval
[qr/\[emerg\] .*invalid number of arguments in "kapokmq_zone"/]

=== TEST 11: a size that is none
--- http_config
kapokmq_zone 8x;
--- must_die
--- error_log eval
[qr/\[emerg\].*"8x".*kapokmq_zone/]

=== TEST 12: a negative size
--- http_config
kapokmq_zone -8m;
--- must_die
--- error_log eval
[qr/\[emerg\].*"-8m".*kapokmq_zone/]

=== TEST 13: a size that is too small
--- http_config
kapokmq_zone 64k;
--- must_die
--- error_log eval
[qr/\[emerg\].*"64k".*too small/]

=== TEST 14: a size that is too large
--- http_config
kapokmq_zone 900000g;
--- must_die
--- error_log eval
[qr/\[emerg\].*"900000g"/]

=== TEST 15: a size beyond all numbers
--- http_config
kapokmq_zone 99999999999999999999g;
--- must_die
--- error_log eval
[qr/\[emerg\].*"99999999999999999999g"/]

=== TEST 16: a zone in a server
--- config
kapokmq_zone 8m;
--- must_die
--- error_log eval
[qr/"kapokmq_zone" directive is not allowed here/]

=== TEST 17: a file of settings in a server
--- config
kapokmq_config $TEST_NGINX_HTML_DIR/application.yaml;
--- must_die
--- error_log eval
[qr/"kapokmq_config" directive is not allowed here/]

=== TEST 18: a file that is not there
--- http_config
kapokmq_zone 8m;
kapokmq_config $TEST_NGINX_HTML_DIR/nowhere.yaml;
--- must_die
--- error_log eval
[qr/\[emerg\].*nowhere\.yaml.*No such file/]

=== TEST 19: a file that is a directory
--- http_config
kapokmq_zone 8m;
kapokmq_config $TEST_NGINX_HTML_DIR;
--- must_die
--- error_log eval
[qr/\[emerg\].*html".*not a file/]

=== TEST 20: two files
--- http_config
kapokmq_zone 8m;
kapokmq_config $TEST_NGINX_HTML_DIR/application.yaml;
kapokmq_config $TEST_NGINX_HTML_DIR/application.yaml;
--- must_die
--- error_log eval
[qr/\[emerg\].*"kapokmq_config" directive is duplicate/]

=== TEST 21: no file named
--- http_config
kapokmq_zone 8m;
kapokmq_config;
--- must_die
--- error_log eval
[qr/invalid number of arguments in "kapokmq_config"/]

=== TEST 22: a producer with an argument
--- config
location /p/ { kapokmq_producer on; }
--- must_die
--- error_log eval
[qr/\[emerg\].*invalid parameter "on", "topic=NAME" or "id=NAME"/]

=== TEST 23: a consumer with an argument
--- config
location /c/ { kapokmq_consumer on; }
--- must_die
--- error_log eval
[qr/\[emerg\].*invalid parameter "on", "topic=NAME" or "id=NAME"/]

=== TEST 24: send with an argument
--- config
location /s { kapokmq_send on; }
--- must_die
--- error_log eval
[qr/invalid number of arguments in "kapokmq_send"/]

=== TEST 25: a console with an argument
--- config
location /c/ { kapokmq_console on; }
--- must_die
--- error_log eval
[qr/invalid number of arguments in "kapokmq_console"/]

=== TEST 26: a producer outside of a location
--- config
kapokmq_producer;
--- must_die
--- error_log eval
[qr/"kapokmq_producer" directive is not allowed here/]

=== TEST 27: a consumer outside of a location
--- http_config
kapokmq_zone 8m;
kapokmq_consumer;
--- must_die
--- error_log eval
[qr/"kapokmq_consumer" directive is not allowed here/]

=== TEST 28: send outside of a location
--- config
kapokmq_send;
--- must_die
--- error_log eval
[qr/"kapokmq_send" directive is not allowed here/]

=== TEST 29: a console outside of a location
--- config
kapokmq_console;
--- must_die
--- error_log eval
[qr/"kapokmq_console" directive is not allowed here/]

=== TEST 30: the same handler twice
--- config
location /p/ { kapokmq_producer; kapokmq_producer; }
--- must_die
--- error_log eval
[qr/"kapokmq_producer" directive is duplicate/]

=== TEST 31: two handlers in one location
--- config
location /p/ { kapokmq_producer; kapokmq_consumer; }
--- must_die
--- error_log eval
[qr/\[emerg\].*"kapokmq_consumer".*location/]

=== TEST 32: another module's handler before
--- config
location /p/ { proxy_pass http://127.0.0.1:1; kapokmq_send; }
--- must_die
--- error_log eval
[qr/\[emerg\].*"kapokmq_send".*handler/]

=== TEST 33: another module's handler behind
--- config
location /p/ { kapokmq_send; proxy_pass http://127.0.0.1:1; }
--- must_die
--- error_log eval
[qr/\[emerg\].*"\/p\/".*handler/]

=== TEST 34: an origin that is none
--- config
kapokmq_cors_origin example.com;
--- must_die
--- error_log eval
[qr/\[emerg\].*"example\.com".*kapokmq_cors_origin/]

=== TEST 35: an origin with a path
--- config
kapokmq_cors_origin http://example.com/;
--- must_die
--- error_log eval
[qr/\[emerg\].*"http:\/\/example\.com\/".*kapokmq_cors_origin/]

=== TEST 36: no origin
--- config
kapokmq_cors_origin;
--- must_die
--- error_log eval
[qr/invalid number of arguments in "kapokmq_cors_origin"/]

=== TEST 37: origins twice
--- config
kapokmq_cors_origin *;
kapokmq_cors_origin *;
--- must_die
--- error_log eval
[qr/"kapokmq_cors_origin" directive is duplicate/]

=== TEST 38: a regular expression without names
--- config
location ~ ^/c/ { kapokmq_consumer; }
--- must_die
--- error_log eval
[qr/\[emerg\].*"kapokmq_consumer" directive needs "topic=" and "id="/]

=== TEST 39: the same in a prefix
--- config
location /c/ { location ~ /p { kapokmq_producer; } }
--- must_die
--- error_log eval
[qr/\[emerg\].*"kapokmq_producer" directive needs "topic=" and "id="/]

=== TEST 40: a named location without names
--- config
location @p { kapokmq_producer; }
--- must_die
--- error_log eval
[qr/\[emerg\].*"kapokmq_producer" directive needs "topic=" and "id="/]

=== TEST 41: a topic alone
--- config
location /p/ { kapokmq_producer topic=a; }
--- must_die
--- error_log eval
[qr/\[emerg\].*"kapokmq_producer" directive has "topic=", but no "id="/]

=== TEST 42: an id alone
--- config
location ~ ^/c/ { kapokmq_consumer id=a; }
--- must_die
--- error_log eval
[qr/\[emerg\].*"kapokmq_consumer" directive has "id=", but no "topic="/]

=== TEST 43: a topic twice
--- config
location /p/ { kapokmq_producer topic=a topic=b; }
--- must_die
--- error_log eval
[qr/\[emerg\].*"topic=b" is duplicate/]

=== TEST 44: an empty id
--- config
location /p/ { kapokmq_producer topic=a id=; }
--- must_die
--- error_log eval
[qr/\[emerg\].*"id=" is empty/]

=== TEST 45: three names
--- config
location /p/ { kapokmq_producer topic=a id=b id=c; }
--- must_die
--- error_log eval
[qr/\[emerg\].*invalid number of arguments in "kapokmq_producer"/]

=== TEST 46: a variable that is none
--- config
location /p/ { kapokmq_producer topic=$nothing id=b; }
--- must_die
--- error_log eval
[qr/\[emerg\].*unknown "nothing" variable/]

=== TEST 47: a console by a regular expression
--- config
location ~ ^/Console/ { kapokmq_console; }
--- must_die
--- error_log eval
[qr/\[emerg\].*"kapokmq_console" directive needs a location that is a prefix, or exact/]

=== TEST 48: a console that is named
--- config
location @console { kapokmq_console; }
--- must_die
--- error_log eval
[qr/\[emerg\].*"kapokmq_console" directive needs a location that is a prefix, or exact/]

=== TEST 49: an exact location without names, which serves nobody
--- config
location = /c { kapokmq_consumer; }
location /ping/ { kapokmq_console; }
--- request
POST /ping/Ping
--- response_body: {"code":0}
--- error_log eval
[qr/\[warn\].*"kapokmq_consumer" needs "topic=" and "id=" in an exact/]

=== TEST 50: off for a whole server
--- config
kapokmq_auth off;
--- must_die
--- error_log eval
[qr/\[emerg\].*"kapokmq_auth" directive can be "off" in a location only/]

=== TEST 51: authentication that is none
--- config
kapokmq_auth maybe;
--- must_die
--- error_log eval
[qr/\[emerg\].*"kapokmq_auth" directive must be "off", "key"/]

=== TEST 52: off with a variable
--- config
location /p/ { kapokmq_producer; kapokmq_auth off $arg_x; }
--- must_die
--- error_log eval
[qr/\[emerg\].*"kapokmq_auth" directive must be "off", "key"/]

=== TEST 53: authentication twice
--- config
kapokmq_auth key;
kapokmq_auth key;
--- must_die
--- error_log eval
[qr/\[emerg\].*"kapokmq_auth" directive is duplicate/]

=== TEST 54: a limit that is too high
--- config
kapokmq_auth_limit 33;
--- must_die
--- error_log eval
[qr/\[emerg\].*value must be between 0 and 32/]

=== TEST 55: a user without a variable
--- config
kapokmq_user $nothing_of_that_name;
--- must_die
--- error_log eval
[qr/\[emerg\].*unknown "nothing_of_that_name" variable/]

=== TEST 56: a cluster without files
--- http_config
kapokmq_zone 8m;
kapokmq_config $TEST_NGINX_HTML_DIR/application.yaml;
kapokmq_cluster nats://127.0.0.1:1 name=q node=n1 address=127.0.0.1:2 secret=0123456789abcdef;
--- must_die
--- error_log eval
[qr/\[emerg\].*"kapokmq_cluster" needs files: isPersistent is to be 1 or 2/]

=== TEST 57: a node without a number
--- http_config
kapokmq_zone 8m;
kapokmq_config $TEST_NGINX_HTML_DIR/application.yaml;
kapokmq_cluster nats://127.0.0.1:1 name=q node=one address=127.0.0.1:2 secret=0123456789abcdef;
--- must_die
--- error_log eval
[qr/\[emerg\].*"kapokmq_cluster" directive needs "node=" with a name that ends with its number/]

=== TEST 58: a node beyond the last
--- http_config
kapokmq_zone 8m;
kapokmq_config $TEST_NGINX_HTML_DIR/application.yaml;
kapokmq_cluster nats://127.0.0.1:1 name=q node=n4 address=127.0.0.1:2 secret=0123456789abcdef;
--- must_die
--- error_log eval
[qr/\[emerg\].*"kapokmq_cluster" directive needs "node="/]

=== TEST 59: a cluster with a short secret
--- http_config
kapokmq_zone 8m;
kapokmq_config $TEST_NGINX_HTML_DIR/application.yaml;
kapokmq_cluster nats://127.0.0.1:1 name=q node=n1 address=127.0.0.1:2 secret=short;
--- must_die
--- error_log eval
[qr/\[emerg\].*"kapokmq_cluster" directive needs "secret=" with at least 16/]

=== TEST 60: a cluster without a name
--- http_config
kapokmq_zone 8m;
kapokmq_config $TEST_NGINX_HTML_DIR/application.yaml;
kapokmq_cluster nats://127.0.0.1:1 node=n1 address=127.0.0.1:2 secret=0123456789abcdef;
--- must_die
--- error_log eval
[qr/\[emerg\].*"kapokmq_cluster" directive needs "name="/]

=== TEST 61: a cluster without an address
--- http_config
kapokmq_zone 8m;
kapokmq_config $TEST_NGINX_HTML_DIR/application.yaml;
kapokmq_cluster nats://127.0.0.1:1 name=q node=n1 address=here secret=0123456789abcdef;
--- must_die
--- error_log eval
[qr/\[emerg\].*"kapokmq_cluster" directive needs "address=HOST:PORT"/]

=== TEST 62: a timeout that is too short
--- http_config
kapokmq_zone 8m;
kapokmq_config $TEST_NGINX_HTML_DIR/application.yaml;
kapokmq_cluster nats://127.0.0.1:1 name=q node=n1 address=127.0.0.1:2 secret=0123456789abcdef timeout=10ms;
--- must_die
--- error_log eval
[qr/\[emerg\].*invalid parameter "timeout=10ms" of "kapokmq_cluster"/]

=== TEST 63: an even number of replicas
--- http_config
kapokmq_zone 8m;
kapokmq_config $TEST_NGINX_HTML_DIR/application.yaml;
kapokmq_cluster nats://127.0.0.1:1 name=q node=n1 address=127.0.0.1:2 secret=0123456789abcdef replicas=2;
--- must_die
--- error_log eval
[qr/\[emerg\].*"kapokmq_cluster" directive has "replicas=" other than 1, 3 or 5/]

=== TEST 64: a file of credentials that has none
--- http_config
kapokmq_zone 8m;
kapokmq_config $TEST_NGINX_HTML_DIR/application.yaml;
kapokmq_cluster nats://127.0.0.1:1 name=q node=n1 address=127.0.0.1:2 secret=0123456789abcdef creds=$TEST_NGINX_HTML_DIR/application.yaml;
--- must_die
--- error_log eval
[qr/\[emerg\].*no credentials, and no seed of a user, could be read from ".*application.yaml"/]

=== TEST 65: a file of credentials that is not there
--- http_config
kapokmq_zone 8m;
kapokmq_config $TEST_NGINX_HTML_DIR/application.yaml;
kapokmq_cluster nats://127.0.0.1:1 name=q node=n1 address=127.0.0.1:2 secret=0123456789abcdef creds=$TEST_NGINX_HTML_DIR/none;
--- must_die
--- error_log eval
[qr/\[emerg\].*open\(\) ".*none" failed/]
