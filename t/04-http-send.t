# POST /Producer/Send: the forms of a body, the answers, the refusals.

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

our $Key  = "secretKey: sesame\n";
our $Form = $Key . "Content-Type: application/x-www-form-urlencoded\n";
our $Json = $Key . "Content-Type: application/json\n";
our $Code = qr/^\{"code":0,"msg":"[0-9a-f]{40}"\}$/;
our $Multipart = $Key . "Content-Type: multipart/form-data; boundary=XX\n";

our $Settings = <<'YAML';
>>> application.yaml
mq:
  secretKey: sesame
  isPersistent: 0
  maxMessageSize: 1000
  messageChanBuffer: 3
YAML

# The body of a multipart form.
sub multipart {
    my (%field) = @_;

    return join('', map {
        "--XX\r\nContent-Disposition: form-data; name=\"$_\"\r\n\r\n"
        . "$field{$_}\r\n"
    } sort keys %field) . "--XX--\r\n";
}

plan tests => 205;
run_tests();

__DATA__

=== TEST 1: a form
--- request eval
"POST /Producer/Send\ntopic=t&messageData=hello"
--- more_headers eval: $::Form
--- response_body_like eval: $::Code
--- response_headers
Content-Type: application/json; charset=utf-8
Access-Control-Allow-Origin: *
--- no_error_log
[error]

=== TEST 2: no content type: a form, or JSON
--- request eval
["POST /Producer/Send\ntopic=t&messageData=hello",
qq(POST /Producer/Send\n{"topic":"t","messageData":"hello"})]
--- more_headers eval
[$::Key, $::Key]
--- response_body_like eval
[$::Code, $::Code]

=== TEST 3: JSON
--- request eval
[qq(POST /Producer/Send\n{"topic":"t","messageData":"hello"}),
qq(POST /Producer/Send\n {"MessageData":"\\u6728","x":[],"Topic":"t"} )]
--- more_headers eval
[$::Json, $::Key . "Content-Type: application/json; charset=UTF-8\n"]
--- response_body_like eval
[$::Code, $::Code]

=== TEST 4: multipart
--- request eval
"POST /Producer/Send\n" . main::multipart(topic => 't', messageData => 'x')
--- more_headers eval: $::Multipart
--- response_body_like eval: $::Code

=== TEST 5: names of fields in any letter case
--- request eval
"POST /Producer/Send\nTOPIC=t&MessageData=hello&delaytime=0"
--- more_headers eval: $::Form
--- response_body_like eval: $::Code

=== TEST 6: a delay of nothing
--- request eval
[map { "POST /Producer/Send\ntopic=t&messageData=hello&delayTime=$_" }
('', '0', '0.0', '-1')]
--- more_headers eval
[($::Form) x 4]
--- response_body_like eval
[($::Code) x 4]

=== TEST 7: a delay that is none
--- request eval
[map { "POST /Producer/Send\ntopic=t&messageData=hello&delayTime=$_" }
qw(soon 1e999 5x 99999999999999999999)]
--- more_headers eval
[($::Form) x 4]
--- error_code eval
[(400) x 4]
--- response_body_like eval
[('^\{"code":-1,"msg":".*delayTime') x 4]

=== TEST 8: required data
--- request eval
[map { "POST /Producer/Send\n$_" } ('topic=t', 'messageData=x',
'topic=&messageData=x', 'topic=t&messageData=', 'x=y')]
--- more_headers eval
[($::Form) x 5]
--- error_code eval
[(400) x 5]
--- response_body eval
[('{"code":-1,"msg":"Required data cannot be empty"}') x 5]

=== TEST 9: required data in other forms
--- request eval
["POST /Producer/Send\n{}", "POST /Producer/Send",
"POST /Producer/Send\n" . main::multipart(topic => 't'),
qq(POST /Producer/Send\n{"topic":"t","messageData":null})]
--- more_headers eval
[$::Json, $::Key, $::Multipart, $::Json]
--- error_code eval
[(400) x 4]
--- response_body eval
[('{"code":-1,"msg":"Required data cannot be empty"}') x 4]

=== TEST 10: a wrong key
--- request eval
["POST /Producer/Send\ntopic=t&messageData=x",
"POST /Producer/Send\ntopic=t&messageData=x",
"POST /Producer/Send\ntopic=t&messageData=x"]
--- more_headers eval
["secretKey: qqq", "X: y", "secretKey:"]
--- error_code eval
[401, 401, 401]
--- response_body eval
[('{"code":-1,"msg":"Secret key matching error"}') x 3]

=== TEST 11: the key as a parameter is none
--- request eval
"POST /Producer/Send?secretKey=sesame\nsecretKey=sesame&topic=t&messageData=x"
--- error_code: 401

=== TEST 12: another method
--- request eval
["GET /Producer/Send", "PUT /Producer/Send\nx", "DELETE /Producer/Send"]
--- more_headers eval
[$::Key, $::Key, $::Key]
--- error_code eval
[405, 405, 405]
--- response_headers_like eval
["Allow: .*POST.*", "Allow: .*POST.*", "Allow: .*POST.*"]
--- response_body_like eval
[('^\{"code":-1,"msg":"[^"]+"\}$') x 3]

=== TEST 13: bodies that are broken
--- request eval
[qq(POST /Producer/Send\n{"topic":"t","messageData"), qq(POST /Producer/Send\n[1]),
qq(POST /Producer/Send\n{"topic":"t","messageData":{"a":1}}),
"POST /Producer/Send\ntopic=t&messageData=%zz",
"POST /Producer/Send\n--XX\r\nContent-Dispo"]
--- more_headers eval
[$::Json, $::Json, $::Json, $::Form, $::Multipart]
--- error_code eval
[(400) x 5]
--- response_body_like eval
[('^\{"code":-1,"msg":"[^"]+') x 5]

=== TEST 14: what is not UTF-8
--- request eval
["POST /Producer/Send\ntopic=t&messageData=%ff",
"POST /Producer/Send\ntopic=%c0%80&messageData=x"]
--- more_headers eval
[$::Form, $::Form]
--- error_code eval
[400, 400]
--- response_body_like eval
['UTF-8', 'UTF-8']

=== TEST 15: a topic that is too long
--- request eval
["POST /Producer/Send\nmessageData=x&topic=" . "t" x 255,
"POST /Producer/Send\nmessageData=x&topic=" . "t" x 256]
--- more_headers eval
[$::Form, $::Form]
--- error_code eval
[200, 400]
--- response_body_like eval
[$::Code, '255']

=== TEST 16: a message that is too large
--- user_files eval: $::Settings
--- request eval
["POST /Producer/Send\ntopic=t&messageData=" . "x" x 1000,
"POST /Producer/Send\ntopic=t&messageData=" . "x" x 1001,
"POST /Producer/Send\ntopic=t&messageData=" . "%41" x 1000,
"POST /Producer/Send\ntopic=t&messageData=" . "x" x 200_000]
--- more_headers eval
[($::Form) x 4]
--- error_code eval
[200, 413, 200, 413]
--- response_body_like eval
[$::Code, '"code":-1', $::Code, '"code":-1']

=== TEST 17: a queue that is full
--- user_files eval: $::Settings
--- request eval
[("POST /Producer/Send\ntopic=t&messageData=x") x 4]
--- more_headers eval
[($::Form) x 4]
--- error_code eval
[200, 200, 200, 503]
--- response_headers_like eval
["", "", "", "Retry-After: \\d+"]
--- response_body_like eval
[$::Code, $::Code, $::Code, '^\{"code":-1,"msg":".*full']
--- no_error_log
[error]
[alert]

=== TEST 18: a body in a temporary file, and in chunks
--- http_config
kapokmq_zone 8m;
kapokmq_config $TEST_NGINX_HTML_DIR/application.yaml;
client_body_buffer_size 1k;
--- request eval
["POST /Producer/Send\ntopic=t&messageData=" . "x" x 300_000,
"POST /Producer/Send\n5\r\ntopic\r\n7\r\n=t&mess\r\n9\r\nageData=x\r\n0\r\n\r\n"]
--- more_headers eval
[$::Form, $::Form . "Transfer-Encoding: chunked\n"]
--- response_body_like eval
[$::Code, $::Code]
--- log_level: warn
--- no_error_log
[error]

=== TEST 19: two on one connection
--- pipelined_requests eval
["POST /Producer/Send\ntopic=t&messageData=1",
"POST /Producer/Send\ntopic=&messageData=2",
"POST /Producer/Send\ntopic=t&messageData=3"]
--- more_headers eval: $::Form
--- error_code eval
[200, 400, 200]
--- response_body_like eval
[$::Code, '"code":-1', $::Code]

=== TEST 20: a refusal does not leave the body in the way of the next
--- pipelined_requests eval
["POST /Producer/Send\ntopic=t&messageData=1", "POST /nowhere\nx",
"POST /Producer/Send\ntopic=t&messageData=3"]
--- more_headers eval
["secretKey: qqq\n", "X: y\n", $::Form]
--- error_code eval
[401, 404, 200]

=== TEST 21: a body that stops half way
--- raw_request eval
"POST /Producer/Send HTTP/1.1\r\nHost: x\r\nsecretKey: sesame\r\n"
. "Content-Length: 100\r\n\r\ntopic=t&messageD"
--- abort
--- timeout: 200ms
--- ignore_response
--- no_error_log
[alert]

=== TEST 22: of a field that is given twice, the first counts
--- request eval
["POST /Producer/Send\ntopic=t&topic=&messageData=x&messageData=",
"POST /Producer/Send\ntopic=&topic=t&messageData=x",
"POST /Producer/Send\n--XX\r\nContent-Disposition: form-data; name=topic\r\n"
. "\r\n\r\n" . main::multipart(topic => 't', messageData => 'x')]
--- more_headers eval
[$::Form, $::Form, $::Multipart]
--- error_code eval
[200, 400, 400]

=== TEST 23: a byte order mark
--- request eval
[qq(POST /Producer/Send\n\xef\xbb\xbf{"topic":"t","messageData":"hello"}),
qq(POST /Producer/Send\n\xef\xbb\xbf{"topic":"t","messageData":"hello"}),
"POST /Producer/Send\n\xef\xbb\xbftopic=t&messageData=hello"]
--- more_headers eval
[$::Json, $::Key, $::Form]
--- response_body_like eval
[($::Code) x 3]

=== TEST 24: a body that is compressed
--- request eval
[("POST /Producer/Send\ntopic=t&messageData=hello") x 4]
--- more_headers eval
[map { "${main::Form}Content-Encoding: $_\n" }
'gzip', 'br', 'identity, gzip', 'Identity']
--- error_code eval
[415, 415, 415, 200]
--- response_body_like eval
[('^\{"code":-1,"msg":".*Content-Encoding') x 3, $::Code]

=== TEST 25: half a surrogate pair
--- request eval
[qq(POST /Producer/Send\n{"topic":"t\\ud83d","messageData":"a\\ude00"})]
--- more_headers eval
[$::Json]
--- response_body_like eval
[$::Code]

=== TEST 26: what follows the location's prefix
--- config
location /Producer/Send { kapokmq_send; }
location /Queue/ { kapokmq_send; }
location ~ ^/reg/(.*)$ { kapokmq_send; }
location = /exact { kapokmq_send; }
--- request eval
[map { "POST $_\ntopic=t&messageData=hello" } "/Producer/Send",
"/Producer/Send/", "/Producer/Send/?x=/y", "/Producer/Sendx",
"/Producer/Send/x", "/Queue/", "/Queue/Send", "/Queue/Send/", "/Queue/send",
"/reg/any/thing", "/exact"]
--- more_headers eval
[($::Form) x 11]
--- error_code eval
[200, 200, 200, 404, 404, 200, 200, 200, 404, 200, 200]

=== TEST 27: a delay below nothing is none, whatever its size
--- request eval
[(map { "POST /Producer/Send\ntopic=t&messageData=hello&delayTime=$_" }
('-0.5', '-99999999999', '-1e999')),
qq(POST /Producer/Send\n{"topic":"t","messageData":"x","delayTime":-2.5}),
qq(POST /Producer/Send\n{"topic":"t","messageData":"x","delayTime":"-2.5"})]
--- more_headers eval
[($::Form) x 3, ($::Json) x 2]
--- error_code eval
[(200) x 5]

=== TEST 28: a delay under a name that is nearly right
--- request eval
[(map { "POST /Producer/Send\ntopic=t&messageData=hello&$_=5" }
qw(delay Delay delay_time delayTimes dealyTime delayMs d%65lay)),
qq(POST /Producer/Send\n{"topic":"t","messageData":"x","delay":5}),
"POST /Producer/Send\n" . main::multipart(topic => 't', messageData => 'x',
delay => 5)]
--- more_headers eval
[($::Form) x 7, $::Json, $::Multipart]
--- error_code eval
[(400) x 9]
--- response_body_like eval
[('unknown parameter \\\\"\w+\\\\", did you mean \\\\"delayTime\\\\"\?') x 9]

=== TEST 29: other fields under such names
--- request eval
["POST /Producer/Send\ntopic=t&message=hello",
"POST /Producer/Send\ntopics=t&messageData=hello",
qq(POST /Producer/Send\n{"topik":"t","messageData":"x"})]
--- more_headers eval
[$::Form, $::Form, $::Json]
--- error_code eval
[(400) x 3]
--- response_body_like eval
['did you mean \\\\"messageData\\\\"\?', ('did you mean \\\\"topic\\\\"\?') x 2]

=== TEST 30: names of others', and slips beside the right name
--- request eval
[(map { "POST /Producer/Send\ntopic=t&messageData=hello&$_" }
qw(md5=x&expires=5 _=1&t=2&key=k&token=y&id=3 x=%&y=1
delayTime=0&delay=5 delay=5&delayTime=)),
"POST /Producer/Send?md5=x&expires=5\ntopic=t&messageData=hello",
qq(POST /Producer/Send\n{"topic":"t","messageData":"x","meta":{"delay":5}})]
--- more_headers eval
[($::Form) x 6, $::Json]
--- error_code eval
[200, 200, 400, (200) x 4]
--- response_body_like eval
[$::Code, $::Code, '%', ($::Code) x 4]

=== TEST 31: a delay in the query, where none is looked for
--- request eval
[map { "POST /Producer/Send?$_\ntopic=t&messageData=hello" }
qw(delayTime=5 delay=5 a=b&DELAYTIME=0)]
--- more_headers eval
[($::Form) x 3]
--- error_code eval
[(400) x 3]
--- response_body_like eval
[('delayTime must be in the body') x 3]
