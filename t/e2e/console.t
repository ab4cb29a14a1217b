# The console page in Chromium, with real traffic: what people do with it, in
# both languages, light and dark, on a screen and on a telephone.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Encode qw(encode);
use Test::More;
use KapokMQ::Console;
use KapokMQ::Test;

my $mq = KapokMQ::Test->start(
    conf   => page_location(),
    yaml   => { checkSpeed => 0.1 },
    topics => <<'YAML');
    sick: {maxDeliveries: 1, confirm: ack}
    en-dead: {maxDeliveries: 1, confirm: ack}
    zh-dead: {maxDeliveries: 1, confirm: ack}
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

run_browser($mq, 'main.js', stop => sub { $mq->stop },
            launch => sub { $mq->launch }, key => \&change_key);
$mq->finish;
done_testing;
