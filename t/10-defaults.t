# A zone alone: the settings are the default ones, which is said, and the files
# are where docs/configuration.md says.  Not in Test::Nginx's format, which wants no such
# directory in its server root.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use KapokMQ::Test;

my $mq = KapokMQ::Test->start(defaults => 1);
my %key = (secretKey => 'test');

is(($mq->post('/Console/Ping', {}))[0], 401, 'not the key of the other tests');
is(($mq->post('/Console/Ping', {}, \%key))[0], 200, 'the published one');
like($mq->log, qr/\[warn\].*secretKey/, 'which is warned of');

my $config = $mq->post('/Console/GetConfig', {}, \%key)->{data};
my %default = (
    pushType => 1, messageChanBuffer => 1_000_000, pushMessagesSpeed => 1,
    sendCount => 100, confirm => 'pong', prefetch => 1000,
    maxMessageSize => 1 << 20, isRePush => 1, pushRetryTime => 300,
    maxDeliveries => 0, retryDelay => 1, retryDelayMax => 60, heartbeat => 30,
    loginTime => 60, drainTime => 2, sendRetryCount => 3, isClean => 1,
    cleanTime => 259_200, checkSpeed => 5, isCleanConsumed => 0,
    isPersistent => 1, persistentFile => 'MQDATA', persistentTime => 5,
    recoveryStrategy => 1);
is($config->{$_}, $default{$_}, "$_: $default{$_}") for sort keys %default;

is(($mq->post('/Producer/Send', { topic => 't', messageData => 'm' },
              \%key))[0], 200, 'a message is taken');
wait_for { glob $mq->dir . '/MQDATA/journal-*' } 'and written there';

$mq->finish;
done_testing;
