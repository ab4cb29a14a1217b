# Makes docs/console/*.png anew, from a week of made-up traffic:
#
#     make screenshots
#
# or, into a directory, all of each page in both languages, light and dark, in
# three widths:
#
#     KMQ_LOOKS=/tmp/looks make screenshots
#
# The week takes a minute: the server's clock is faketime's, which
# screenshots.js moves.  Look at the pictures before you commit them.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use File::Temp ();
use Test::More;
use KapokMQ::Console;
use KapokMQ::Test;

my $clock = File::Temp->new;
my ($library) = grep { -e } glob
    '/usr/lib{,64}/{*/,}faketime/libfaketime.so.1'
    or BAIL_OUT('no libfaketime: apt-get install faketime');
my %env = (
    LD_PRELOAD => $library, FAKETIME_TIMESTAMP_FILE => $clock->filename,
    FAKETIME_NO_CACHE => 1, FAKETIME_DONT_FAKE_MONOTONIC => 1,
);

# How many seconds ago it is.
sub ago {
    my ($seconds) = @_;

    open my $out, '+<', $clock->filename or die "clock: $!";
    printf {$out} "%-20s\n", sprintf "%+.1f", -$seconds;
    close $out or die "clock: $!";
}

chmod 0644, $clock->filename;
ago(7 * 86_400);
my $mq = KapokMQ::Test->start(
    workers => 2,
    zone    => '256m',
    env     => \%env,
    main    => join(' ', map { "env $_;" } sort keys %env),
    conf    => page_location(),
    yaml    => {
        isPersistent => 1, isClean => 0, persistentTime => 1,
        keys => <<'YAML' =~ s/\n\z//r,

    shop: {key: shop-key, produce: [orders, mail, prices], consume: [prices]}
    warehouse: {key: [warehouse-key, warehouse-next], consume: [orders]}
    accounting: {key: accounting-key, produce: [invoices],
                 consume: [invoices], console: read}
    mailer: {key: mailer-key, consume: [mail]}
    images: {key: images-key, produce: [thumbnails], consume: [thumbnails]}
    dashboard: {key: dashboard-key, consume: ["*"], console: read,
                metrics: true}
YAML
    },
    topics  => <<'YAML');
    orders: {confirm: ack, prefetch: 100}
    invoices: {confirm: ack, maxDeliveries: 3, pushRetryTime: 60}
    prices: {pushType: 2, confirm: socket}
    thumbnails: {confirm: ack, prefetch: 8, pushRetryTime: 3600}
YAML

run_browser($mq, 'screenshots.js', ago => \&ago);
$mq->finish;
done_testing;
