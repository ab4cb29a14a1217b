# Mistakes in application.yaml: nginx does not start, and says which file,
# line and column, which key, and which value.

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

# a place in the file
sub at {
    my ($line, $column) = @_;
    return qr/application\.yaml\D+$line\D+$column\D/;
}

$ENV{KMQ_TEST_KEY} = 'opened';

plan tests => 159;
run_tests();

__DATA__

=== TEST 1: an unknown key
--- user_files
>>> application.yaml
mq:
  secretKey: sesame
  prefetsch: 5
--- must_die
--- error_log eval
["[emerg]", "prefetsch", main::at(3, 3)]

=== TEST 2: a known key in another letter case
--- user_files
>>> application.yaml
mq:
  secretkey: sesame
--- must_die
--- error_log eval
["[emerg]", "secretkey", "secretKey", main::at(2, 3)]

=== TEST 3: a number that is none
--- user_files
>>> application.yaml
mq:
  secretKey: sesame
  prefetch: many
--- must_die
--- error_log eval
["prefetch", "many", main::at(3, 13)]

=== TEST 4: a number out of range
--- user_files
>>> application.yaml
mq:
  prefetch: 0
--- must_die
--- error_log eval
["prefetch", qr/"?0"?/, main::at(2, 13)]

=== TEST 5: a number far out of range
--- user_files
>>> application.yaml
mq:
  messageChanBuffer: 99999999999999999999999
--- must_die
--- error_log eval
["messageChanBuffer", "99999999999999999999999", main::at(2, 22)]

=== TEST 6: a fraction where there is none
--- user_files
>>> application.yaml
mq:
  sendCount: 1.5
--- must_die
--- error_log eval
["sendCount", "1.5", main::at(2, 14)]

=== TEST 7: pushType
--- user_files
>>> application.yaml
mq:
  pushType: 3
--- must_die
--- error_log eval
["pushType", "3", main::at(2, 13)]

=== TEST 8: confirm
--- user_files
>>> application.yaml
mq:
  confirm: maybe
--- must_die
--- error_log eval
["confirm", "maybe", "pong", main::at(2, 12)]

=== TEST 9: a list where a number belongs
--- user_files
>>> application.yaml
mq:
  isClean: [1]
--- must_die
--- error_log eval
["isClean", "list", main::at(2, 12)]

=== TEST 10: a mapping where a text belongs
--- user_files
>>> application.yaml
mq:
  secretKey: {a: b}
--- must_die
--- error_log eval
["secretKey", "mapping", main::at(2, 14)]

=== TEST 11: a negative pace
--- user_files
>>> application.yaml
mq:
  pushMessagesSpeed: -1
--- must_die
--- error_log eval
["pushMessagesSpeed", "-1", main::at(2, 22)]

=== TEST 12: an empty key
--- user_files
>>> application.yaml
mq:
  secretKey: ""
--- must_die
--- error_log eval
["secretKey", main::at(2, 14)]

=== TEST 13: a key twice
--- user_files
>>> application.yaml
mq:
  prefetch: 5
  prefetch: 6
--- must_die
--- error_log eval
["prefetch", main::at(3, 3)]

=== TEST 14: a key under both its names
--- user_files
>>> application.yaml
mq:
  sendCount: 5
  pushCount: 6
--- must_die
--- error_log eval
["pushCount", "sendCount", main::at(3, 3)]

=== TEST 15: a variable that is not set
--- user_files
>>> application.yaml
mq:
  secretKey: ${KMQ_NO_SUCH_VARIABLE}
--- must_die
--- error_log eval
["secretKey", "KMQ_NO_SUCH_VARIABLE", main::at(2, 14)]

=== TEST 16: broken YAML
--- user_files
>>> application.yaml
mq:
  prefetch: 5
 sendCount: 6
--- must_die
--- error_log eval
["[emerg]", main::at(3, '\d+')]

=== TEST 17: a tab
--- user_files eval
">>> application.yaml\nmq:\n\tprefetch: 5\n"
--- must_die
--- error_log eval
["[emerg]", main::at(2, '\d+')]

=== TEST 18: an empty file
--- user_files
>>> application.yaml
# nothing
--- must_die
--- error_log eval
["[emerg]", "application.yaml", "empty"]

=== TEST 19: a list instead of a mapping
--- user_files
>>> application.yaml
- mq
--- must_die
--- error_log eval
["[emerg]", "list", main::at(1, 1)]

=== TEST 20: an unknown section
--- user_files
>>> application.yaml
server:
  port: 8011
mqq:
  prefetch: 5
--- must_die
--- error_log eval
["mqq", main::at(3, 1)]

=== TEST 21: a port
--- user_files
>>> application.yaml
server:
  port: 70000
--- must_die
--- error_log eval
["port", "70000", main::at(2, 9)]

=== TEST 22: a setting that a topic does not have
--- user_files
>>> application.yaml
mq:
  topics:
    orders: { messageChanBuffer: 5 }
--- must_die
--- error_log eval
["messageChanBuffer", "orders", main::at(3, 15)]

=== TEST 23: a bad value for a topic
--- user_files
>>> application.yaml
mq:
  topics:
    orders:
      confirm: never
--- must_die
--- error_log eval
["orders", "confirm", "never", main::at(4, 16)]

=== TEST 24: a topic twice
--- user_files
>>> application.yaml
mq:
  topics:
    orders: { prefetch: 5 }
    orders: { prefetch: 6 }
--- must_die
--- error_log eval
["orders", main::at(4, 5)]

=== TEST 25: a topic's name that is too long
--- user_files eval
">>> application.yaml\nmq:\n  topics:\n    " . "x" x 256 . ": {prefetch: 5}\n"
--- must_die
--- error_log eval
["255", main::at(3, 5)]

=== TEST 26: a second document
--- user_files eval
">>> application.yaml\nmq:\n  prefetch: 5\n---\nmq: { prefetch: 6 }\n"
--- must_die
--- error_log eval
["[emerg]", main::at(3, 1)]

=== TEST 27: an anchor
--- user_files
>>> application.yaml
mq: &mq
  prefetch: 5
--- must_die
--- error_log eval
["[emerg]", main::at(1, '\d+')]

=== TEST 28: a size that is none
--- user_files
>>> application.yaml
mq:
  maxMessageSize: 5 apples
--- must_die
--- error_log eval
["maxMessageSize", "5 apples", main::at(2, 19)]

=== TEST 29: several mistakes are told at once
--- user_files
>>> application.yaml
mq:
  prefetch: x
  confirm: y
--- must_die
--- error_log eval
["prefetch", "confirm", main::at(2, 13), main::at(3, 12)]

=== TEST 30: what is not a character
--- user_files eval
">>> application.yaml\nmq:\n  prefetch: \xff\n"
--- must_die
--- error_log eval
["[emerg]", main::at(2, '\d+')]

=== TEST 31: every key of the original, and of its earlier versions
--- user_files
>>> application.yaml
server:
  port: $TEST_NGINX_SERVER_PORT
mq:
  secretKey: sesame
  pushType: 1
  messageChanBuffer: 1000000
  pushMessagesSpeed: 1
  sendCount: 100
  sendRetryCount: 3
  persistentFile: MQDATA_cache
  isPersistent: 1
  recoveryStrategy: 0
  persistentTime: 5
  isRePush: 1
  isClean: 1
  checkSpeed: 5
  cleanTime: 259200
--- response_body: {"code":0}
--- no_error_log
[emerg]
[error]

=== TEST 32: everything that there is
--- user_files
>>> application.yaml
server: { port: 8011 }
mq:
  secretKey: 'sesame'
  pushType: 2
  messageChanBuffer: 1
  pushMessagesSpeed: 0.001
  pushCount: 1
  sendRetryCount: 0
  persistentFile: /tmp/somewhere/else
  isPersistent: 0
  recoveryStrategy: 1
  persistentTime: 0.5
  isRePush: 0
  pushRetryTime: 0.5
  maxDeliveries: 5
  isClean: 0
  cleanTime: 1
  isCleanConsumed: 1
  checkSpeed: 0.1
  confirm: "socket"
  prefetch: 65535
  maxMessageSize: 64KiB
  topics:
    "with space and \"": { pushType: 1, pushRetryTime: 3, maxDeliveries: 1,
                           cleanTime: 60, confirm: ack, prefetch: 1 }
    木棉: {}
--- response_body: {"code":0}
--- no_error_log
[emerg]
[error]

=== TEST 33: another port than nginx listens on
--- user_files
>>> application.yaml
server: { port: 4711 }
mq: { secretKey: sesame, isPersistent: 0 }
--- response_body: {"code":0}
--- error_log eval
["[warn]", qr/\[warn\].*4711.*"listen" does, and may be left out/]

=== TEST 34: the published key
--- user_files
>>> application.yaml
mq: { secretKey: test, isPersistent: 0 }
--- more_headers
secretKey: test
--- response_body: {"code":0}
--- error_log eval
[qr/\[warn\].*secretKey/]

=== TEST 35: a key from the environment
--- main_config
env KMQ_TEST_KEY;
--- user_files
>>> application.yaml
mq: { secretKey: "${KMQ_TEST_KEY}-sesame", isPersistent: 0 }
--- more_headers
secretKey: opened-sesame
--- response_body: {"code":0}

=== TEST 36: a key without a meaning here
--- user_files
>>> application.yaml
mq: { secretKey: sesame, isPersistent: 0, rePushCount: 5 }
--- response_body: {"code":0}
--- error_log eval
[qr/rePushCount/]
--- no_error_log
[emerg]

=== TEST 37: no file at all
--- user_files
>>> nothing.txt
--- must_die
--- error_log eval
["[emerg]", "application.yaml", "No such file"]

=== TEST 38: a key without a value
--- user_files
>>> application.yaml
mq:
  secretKey: sesame
  keys:
    shop:
      produce: [orders.*]
--- must_die
--- error_log eval
["[emerg]", "mq.keys.shop", main::at(5, 7)]

=== TEST 39: a key of the same value as the secret key, which is not shown
--- user_files
>>> application.yaml
mq:
  secretKey: sesame
  keys:
    shop: { key: sesame }
--- must_die
--- error_log eval
["[emerg]", "mq.secretKey", main::at(4, 18)]
--- no_error_log
sesame

=== TEST 40: a public key's file that is not there
--- user_files
>>> application.yaml
mq:
  secretKey: sesame
  tokens: { algorithms: ES256, publicKeyFile: nowhere.pem }
--- must_die
--- error_log eval
["[emerg]", "nowhere.pem", "No such file"]

=== TEST 41: a file that has no public key
--- user_files
>>> application.yaml
mq:
  secretKey: sesame
  tokens: { algorithms: ES256, publicKeyFile: ../html/application.yaml }
--- must_die
--- error_log eval
["[emerg]", "no public key", main::at(3, 47)]

=== TEST 42: keys and tokens
--- user_files
>>> key.pem
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAERAXkvP7ofXa5HTZr+3x6wGaWIwY0
X+uKKAaSd8JSIkAE4s/RvfS6pShF102s86mH5VCwMmDda8o1mnOIwmhQ1Q==
-----END PUBLIC KEY-----
>>> application.yaml
mq:
  secretKey: sesame
  isPersistent: 0
  keys:
    shop: { key: [old-shop, new-shop], produce: [orders.*] }
  tokens: { algorithms: [ES256], publicKeyFile: ../html/key.pem }
--- more_headers
secretKey: sesame
--- response_body: {"code":0}
--- no_error_log
[warn]
