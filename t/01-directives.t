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

plan tests => 81;
run_tests();

__DATA__

=== TEST 1: a whole queue
--- response_body: {"code":0}
--- no_error_log
[warn]
[error]

=== TEST 2: a zone alone has the default settings, and says so
--- http_config
kapokmq_zone 8m;
--- more_headers
secretKey: test
--- response_body: {"code":0}
--- error_log eval
[qr/\[warn\].*secretKey/]

=== TEST 3: sizes in k, m and g
--- http_config
kapokmq_zone 8192k;
kapokmq_config $TEST_NGINX_HTML_DIR/application.yaml;
--- response_body: {"code":0}

=== TEST 4: a gigabyte, which is used as far as it is needed
--- http_config
kapokmq_zone 1g;
kapokmq_config $TEST_NGINX_HTML_DIR/application.yaml;
--- response_body: {"code":0}

=== TEST 5: the order of directives has no meaning
--- http_config
kapokmq_config $TEST_NGINX_HTML_DIR/application.yaml;
kapokmq_zone 8m;
--- response_body: {"code":0}

=== TEST 6: locations of other kinds
--- config
location = /ping/Ping { kapokmq_console; }
location ~ ^/c/ { kapokmq_consumer; }
location ^~ /p/ { kapokmq_producer; }
--- request eval
["POST /ping/Ping", "GET /c/topic/c1", "GET /p/topic/p1"]
--- more_headers eval
[("secretKey: sesame") x 3]
--- error_code eval
[200, 400, 400]

=== TEST 7: no queue, and no location that needs one
--- http_config
--- config
location /x { return 200 "hello"; }
--- request
GET /x
--- response_body: hello

=== TEST 8: no zone
--- http_config
kapokmq_config $TEST_NGINX_HTML_DIR/application.yaml;
--- must_die
--- error_log eval
["[emerg]", "kapokmq_zone"]

=== TEST 9: two zones
--- http_config
kapokmq_zone 8m;
kapokmq_zone 8m;
--- must_die
--- error_log eval
[qr/\[emerg\].*"kapokmq_zone" directive is duplicate/]

=== TEST 10: a zone without a size
--- http_config
kapokmq_zone;
--- must_die
--- error_log eval
[qr/\[emerg\] .*invalid number of arguments in "kapokmq_zone"/]

=== TEST 11: a zone with a name as well
--- http_config
kapokmq_zone queue 8m;
--- must_die
--- error_log eval
[qr/\[emerg\] .*invalid number of arguments in "kapokmq_zone"/]

=== TEST 12: a size that is none
--- http_config
kapokmq_zone 8x;
--- must_die
--- error_log eval
[qr/\[emerg\].*"8x".*kapokmq_zone/]

=== TEST 13: a negative size
--- http_config
kapokmq_zone -8m;
--- must_die
--- error_log eval
[qr/\[emerg\].*"-8m".*kapokmq_zone/]

=== TEST 14: a size that is too small
--- http_config
kapokmq_zone 64k;
--- must_die
--- error_log eval
[qr/\[emerg\].*"64k".*too small/]

=== TEST 15: a size that is too large
--- http_config
kapokmq_zone 900000g;
--- must_die
--- error_log eval
[qr/\[emerg\].*"900000g"/]

=== TEST 16: a size beyond all numbers
--- http_config
kapokmq_zone 99999999999999999999g;
--- must_die
--- error_log eval
[qr/\[emerg\].*"99999999999999999999g"/]

=== TEST 17: a zone in a server
--- config
kapokmq_zone 8m;
--- must_die
--- error_log eval
[qr/"kapokmq_zone" directive is not allowed here/]

=== TEST 18: a file of settings in a server
--- config
kapokmq_config $TEST_NGINX_HTML_DIR/application.yaml;
--- must_die
--- error_log eval
[qr/"kapokmq_config" directive is not allowed here/]

=== TEST 19: a file that is not there
--- http_config
kapokmq_zone 8m;
kapokmq_config $TEST_NGINX_HTML_DIR/nowhere.yaml;
--- must_die
--- error_log eval
[qr/\[emerg\].*nowhere\.yaml.*No such file/]

=== TEST 20: a file that is a directory
--- http_config
kapokmq_zone 8m;
kapokmq_config $TEST_NGINX_HTML_DIR;
--- must_die
--- error_log eval
[qr/\[emerg\].*html".*not a file/]

=== TEST 21: two files
--- http_config
kapokmq_zone 8m;
kapokmq_config $TEST_NGINX_HTML_DIR/application.yaml;
kapokmq_config $TEST_NGINX_HTML_DIR/application.yaml;
--- must_die
--- error_log eval
[qr/\[emerg\].*"kapokmq_config" directive is duplicate/]

=== TEST 22: no file named
--- http_config
kapokmq_zone 8m;
kapokmq_config;
--- must_die
--- error_log eval
[qr/invalid number of arguments in "kapokmq_config"/]

=== TEST 23: a producer with an argument
--- config
location /p/ { kapokmq_producer on; }
--- must_die
--- error_log eval
[qr/invalid number of arguments in "kapokmq_producer"/]

=== TEST 24: a consumer with an argument
--- config
location /c/ { kapokmq_consumer on; }
--- must_die
--- error_log eval
[qr/invalid number of arguments in "kapokmq_consumer"/]

=== TEST 25: send with an argument
--- config
location /s { kapokmq_send on; }
--- must_die
--- error_log eval
[qr/invalid number of arguments in "kapokmq_send"/]

=== TEST 26: a console with an argument
--- config
location /c/ { kapokmq_console on; }
--- must_die
--- error_log eval
[qr/invalid number of arguments in "kapokmq_console"/]

=== TEST 27: a producer outside of a location
--- config
kapokmq_producer;
--- must_die
--- error_log eval
[qr/"kapokmq_producer" directive is not allowed here/]

=== TEST 28: a consumer outside of a location
--- http_config
kapokmq_zone 8m;
kapokmq_consumer;
--- must_die
--- error_log eval
[qr/"kapokmq_consumer" directive is not allowed here/]

=== TEST 29: send outside of a location
--- config
kapokmq_send;
--- must_die
--- error_log eval
[qr/"kapokmq_send" directive is not allowed here/]

=== TEST 30: a console outside of a location
--- config
kapokmq_console;
--- must_die
--- error_log eval
[qr/"kapokmq_console" directive is not allowed here/]

=== TEST 31: the same handler twice
--- config
location /p/ { kapokmq_producer; kapokmq_producer; }
--- must_die
--- error_log eval
[qr/"kapokmq_producer" directive is duplicate/]

=== TEST 32: two handlers in one location
--- config
location /p/ { kapokmq_producer; kapokmq_consumer; }
--- must_die
--- error_log eval
[qr/\[emerg\].*"kapokmq_consumer".*location/]

=== TEST 33: another module's handler before
--- config
location /p/ { proxy_pass http://127.0.0.1:1; kapokmq_send; }
--- must_die
--- error_log eval
[qr/\[emerg\].*"kapokmq_send".*handler/]

=== TEST 34: another module's handler behind
--- config
location /p/ { kapokmq_send; proxy_pass http://127.0.0.1:1; }
--- must_die
--- error_log eval
[qr/\[emerg\].*"\/p\/".*handler/]

=== TEST 35: an origin that is none
--- config
kapokmq_cors_origin example.com;
--- must_die
--- error_log eval
[qr/\[emerg\].*"example\.com".*kapokmq_cors_origin/]

=== TEST 36: an origin with a path
--- config
kapokmq_cors_origin http://example.com/;
--- must_die
--- error_log eval
[qr/\[emerg\].*"http:\/\/example\.com\/".*kapokmq_cors_origin/]

=== TEST 37: no origin
--- config
kapokmq_cors_origin;
--- must_die
--- error_log eval
[qr/invalid number of arguments in "kapokmq_cors_origin"/]

=== TEST 38: origins twice
--- config
kapokmq_cors_origin *;
kapokmq_cors_origin *;
--- must_die
--- error_log eval
[qr/"kapokmq_cors_origin" directive is duplicate/]
