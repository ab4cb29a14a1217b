# examples/browser.html in Chromium: what is typed is stored and comes, through
# a reload, and not before its time.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use File::Copy qw(copy);
use Test::More;
use Time::HiRes qw(time);
use KapokMQ::Lines;
use KapokMQ::Test;

my $mq = KapokMQ::Test->start(
    conf => 'types { text/html html; text/javascript js; }');
for my $file (qw(examples/browser.html clients/js/kapokmq.js)) {
    copy($file, $mq->dir . '/html/') or die "$file: $!";
}
# the browser's own files go where the server's are
$ENV{HOME} = $ENV{TMPDIR} = $mq->dir;
my $page = KapokMQ::Lines->start('node', 't/e2e/clients/page.js',
                                 'http://127.0.0.1:' . $mq->port, 'sesame',
                                 'a topic', $mq->dir . '/chromium');

wait_for { $page->count(qr/^state connected$/) } 'it connects';
$page->tell('0 hello');
wait_for { $page->count(qr/^message hello$/) } 'a message comes';
wait_for { $page->count(qr/^pending stored$/) } 'and is said to be stored';

my $due = time + 1;
$page->tell('1 later');
$page->tell("0 during $_") for 1 .. 3;
$mq->renew;
$page->tell("0 after $_") for 1 .. 3;
for my $data ('later', map { ("during $_", "after $_") } 1 .. 3) {
    wait_for { $page->count(qr/^message \Q$data\E$/) } "$data comes";
    cmp_ok(time, '>=', $due, 'and is not early') if $data eq 'later';
}
is($page->count(qr/^fault/), 0, 'the page has no errors');
$page->ends('the browser');
$mq->counts_become({ unconsumed => 0 }, 'all is consumed');
$mq->finish;
done_testing;
