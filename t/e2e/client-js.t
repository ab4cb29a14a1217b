# clients/js in Node, as the package that it is, while workers are killed and
# reloaded.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use File::Copy qw(copy);
use Test::More;
use KapokMQ::Clients;
use KapokMQ::Disk qw(slurp);
use KapokMQ::Suite;
use KapokMQ::Test;

my $js = "$KapokMQ::Suite::Root/clients/js";
my $esbuild = "$KapokMQ::Suite::Root/view/node_modules/.bin/esbuild";
my $mq = KapokMQ::Test->start(allow => qr/exited on signal 9/);

install_package($mq->dir);
like(slurp("$KapokMQ::Suite::Root/examples/README.md"),
     qr{`npm install --install-links \.\./clients/js`}, 'which examples/ says, too');
for my $file (qw(node.mjs work.mjs)) {
    copy("t/e2e/clients/$file", $mq->dir . "/$file") or die "$file: $!";
}
clients_in_chaos($mq, 'node', $mq->dir . '/node.mjs');

SKIP: {
    skip 'the console has not been built: no esbuild', 1 if !-x $esbuild;
    cmp_ok(length `$esbuild --minify $js/kapokmq.js`, '<', 5000,
           'minified it is small');
}
$mq->finish;
done_testing;
