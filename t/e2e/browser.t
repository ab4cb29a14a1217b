# A page in Chromium.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use File::Copy qw(copy);
use Test::More;
use KapokMQ::E2E;
use KapokMQ::Test;

my $mq = KapokMQ::Test->start;
for my $file (qw(page.html scenario.js)) {
    copy("t/e2e/$file", $mq->dir . "/html/$file") or die "$file: $!";
}
# the browser's own files go where the server's are
$ENV{HOME} = $ENV{TMPDIR} = $mq->dir;
my $seen = run_client('Chromium', 'node', 't/e2e/browser.js', $mq->port,
                      'sesame', $mq->dir . '/chromium');
is_deeply($seen->{errors}, [], 'the page has no errors');
is($seen->{cross}{code}, 0, 'a page of another origin may send');
like($seen->{cross}{msg} // '', qr/^[0-9a-f]{40}$/, 'and gets a code');
wait_for { $mq->counts->{unconsumed} == 1 } 'its message waits';
$mq->finish;
done_testing;
