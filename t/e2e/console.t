# The console page in Chromium, with real traffic: what people do with it, in
# both languages, light and dark, on a screen and on a telephone.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Encode qw(encode);
use Test::More;
use KapokMQ::Console;
use KapokMQ::Test;

my $SECRET = 'a secret of thirty-two bytes, 012';

# Beside the secret key; what the one may do to the console that has a few
# topics.
sub some_keys {
    my ($console) = @_;

    return '{ everything: { key: "everything-value", console: write,'
         . ' produce: ["*"], consume: ["*"], metrics: true },'
         . ' viewer: { key: "viewer-value", console: read,'
         . ' consume: ["*"] },'
         . ' clerk: { key: ["clerk-value", "clerk-next"],'
         . ' produce: [en-a.*, zh-a.*], consume: [en-a.*, zh-a.*],'
         . " console: $console },"
         . ' worker: { key: "worker-value", produce: [work] } }';
}

# The whole server once more below /mq/, as another proxy would have it.
sub below_a_path {
    return <<'CONF';
location /mq/ {
    rewrite ^/mq(/.*)$ $1 break;
    proxy_pass http://127.0.0.1:$server_port;
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection upgrade;
}
CONF
}

my $mq = KapokMQ::Test->start(
    conf   => page_location() . below_a_path(),
    yaml   => { checkSpeed => 0.1, keys => some_keys('write'),
                tokens => qq({ algorithms: [HS256], secret: "$SECRET" }) },
    topics => <<'YAML');
    sick: {maxDeliveries: 1, confirm: ack}
    en-dead: {maxDeliveries: 1, confirm: ack}
    zh-dead: {maxDeliveries: 1, confirm: ack}
    en-looks: {maxDeliveries: 1, confirm: ack}
    zh-looks: {maxDeliveries: 1, confirm: ack}
    en-given-up: {maxDeliveries: 1, confirm: ack}
    zh-given-up: {maxDeliveries: 1, confirm: ack}
    en-overdue: {pushRetryTime: 0.3, retryDelay: 3600, retryDelayMax: 3600}
    zh-overdue: {pushRetryTime: 0.3, retryDelay: 3600, retryDelayMax: 3600}
    en-late: {pushRetryTime: 0.3, maxDeliveries: 1}
    zh-late: {pushRetryTime: 0.3, maxDeliveries: 1}
YAML

sub change_key {
    my ($key) = @_;

    $mq->reload(yaml => { %{$mq->{yaml}}, secretKey => encode('UTF-8', $key) });
}

sub fewer_rights {
    $mq->reload(yaml => { %{$mq->{yaml}}, keys => some_keys('read') });
}

my @frozen;

run_browser($mq, 'main.js', stop => sub { $mq->stop },
            launch => sub { $mq->launch }, renew => sub { $mq->renew },
            limits => sub { $mq->renew(yaml => { %{$mq->{yaml}},
                messageChanBuffer => 20, pushMessagesSpeed => 60,
                sendCount => 1 }) },
            no_limits => sub { delete @{$mq->{yaml}}{qw(messageChanBuffer
                pushMessagesSpeed sendCount)}; $mq->renew(yaml => $mq->{yaml}) },
            freeze => sub { kill STOP => @frozen = $mq->worker_pids },
            thaw => sub { kill CONT => splice @frozen },
            key => \&change_key, fewer => \&fewer_rights);

# Who has changed something on the page is in the log.
if (!$ENV{KMQ_ONLY}) {
    for my $who (qw(en zh)) {
        like($mq->log, qr/key "secretKey" from 127\.0\.0\.1: \Q$_\E(?!\d)/,
             "the log has: $_")
            for qq(messages purged of topic "$who-t-gamma": 3),
                qq(messages requeued of topic "$who-dead": 2),
                qq(delivery paused of topic "$who-t-paused": 1),
                qq(consumer disconnected "$who-c-full": 1);
    }
}
$mq->finish;
done_testing;
