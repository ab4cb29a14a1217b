# clients/js in a page in Chromium, while workers are killed and reloaded.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use File::Copy qw(copy);
use Test::More;
use KapokMQ::Clients;
use KapokMQ::Test;

my $mq = KapokMQ::Test->start(
    allow => qr/exited on signal 9/,
    conf => 'types { text/html html; text/javascript js mjs; }');
KapokMQ::Test::_spew($mq->dir . '/html/client.html', '<!DOCTYPE html>'
                     . '<title>A page</title><link rel="icon" href="data:,">');
for my $file (qw(clients/js/kapokmq.js t/e2e/clients/work.mjs)) {
    copy($file, $mq->dir . '/html/') or die "$file: $!";
}
# the browser's own files go where the server's are
$ENV{HOME} = $ENV{TMPDIR} = $mq->dir;
clients_in_chaos($mq, 'node', 't/e2e/clients/browser.js',
                 $mq->dir . '/chromium');
$mq->finish;
done_testing;
