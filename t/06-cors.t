# Pages of other origins: any as in the original, or those that are named.

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
our $Narrow = <<'CONF';
kapokmq_zone 8m;
kapokmq_config $TEST_NGINX_HTML_DIR/application.yaml;
kapokmq_cors_origin https://one.example http://two.example:8080;
CONF

plan tests => 39;
run_tests();

__DATA__

=== TEST 1: OPTIONS, as a browser asks
--- request eval
["OPTIONS /Producer/Send", "OPTIONS /Console/GetClients"]
--- more_headers eval
[("Origin: http://page.example\nAccess-Control-Request-Method: POST\n"
. "Access-Control-Request-Headers: secretkey") x 2]
--- error_code eval
[204, 204]
--- response_headers_like eval
[("Access-Control-Allow-Origin: \\*\n"
. "Access-Control-Allow-Methods: .*POST.*\n"
. "Access-Control-Allow-Headers: .*secretKey.*") x 2]

=== TEST 2: an answer
--- request
POST /Console/Ping
--- more_headers eval: $::Key . "Origin: http://page.example"
--- response_headers
Access-Control-Allow-Origin: *
--- response_body: {"code":0}

=== TEST 3: refusals can be read, too
--- request eval
["POST /Console/Ping", "POST /Producer/Send", "POST /Console/Nowhere"]
--- more_headers eval
["Origin: http://page.example", $::Key, $::Key]
--- error_code eval
[401, 400, 404]
--- response_headers eval
[("Access-Control-Allow-Origin: *") x 3]

=== TEST 4: named origins
--- http_config eval: $::Narrow
--- request eval
[("POST /Console/Ping") x 5]
--- more_headers eval
["${main::Key}Origin: https://one.example",
"${main::Key}Origin: http://two.example:8080",
"${main::Key}Origin: http://one.example",
"${main::Key}Origin: https://one.example.evil",
$::Key]
--- response_headers eval
["Access-Control-Allow-Origin: https://one.example\nVary: Origin",
"Access-Control-Allow-Origin: http://two.example:8080\nVary: Origin",
"! Access-Control-Allow-Origin\nVary: Origin",
"! Access-Control-Allow-Origin\nVary: Origin",
"! Access-Control-Allow-Origin\nVary: Origin"]
--- error_code eval
[200, 200, 200, 200, 200]

=== TEST 5: OPTIONS of a page that is not named
--- http_config eval: $::Narrow
--- request
OPTIONS /Producer/Send
--- more_headers
Origin: http://page.example
Access-Control-Request-Method: POST
--- error_code: 204
--- response_headers
! Access-Control-Allow-Origin
! Access-Control-Allow-Headers

=== TEST 6: a location of its own
--- config
location = /Producer/Send { kapokmq_send; kapokmq_cors_origin http://a.example; }
location /Console/ { kapokmq_console; }
--- request eval
["OPTIONS /Producer/Send", "OPTIONS /Console/Ping"]
--- more_headers eval
["Origin: http://b.example", "Origin: http://b.example"]
--- error_code eval
[204, 204]
--- response_headers eval
["! Access-Control-Allow-Origin", "Access-Control-Allow-Origin: *"]
