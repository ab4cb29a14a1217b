# An EventSource in Chromium, over five reloads: each message once. It cannot send
# the key, so nginx does that for it.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Mojo::JSON qw(decode_json);
use Test::More;
use KapokMQ::Test;

my $mq = KapokMQ::Test->new(yaml => { retryDelay => 0, drainTime => 0.2 });
my $port = $mq->port;
$mq->launch(conf => <<"CONF");
location /es/ {
    proxy_pass http://127.0.0.1:$port/Consumers/Events/;
    proxy_http_version 1.1;
    proxy_set_header secretKey sesame;
}
location = /settle {
    proxy_pass http://127.0.0.1:$port/Consumers/Settle;
    proxy_set_header secretKey sesame;
}
CONF
KapokMQ::Test::_spew($mq->dir . '/html/events.html',
                     "<!doctype html><title>events</title>\n");
$ENV{HOME} = $ENV{TMPDIR} = $mq->dir;
my $pid = open my $out, '-|', 'node', 't/e2e/events.js', $port,
               $mq->dir . '/chromium' or die "node: $!";

sub listening {
    return grep { $_->{Topic} eq 'browser' && !defined $_->{Parked} }
                @{$mq->post('/Console/GetClientList')->{data}};
}

wait_for { listening() } 'a page listens';
my @sent;
for my $n (1 .. 5) {
    push @sent, map { "$n.$_" } 1 .. 10;
    $mq->publish('browser', $_) for @sent[-10 .. -1];
    $mq->renew;
    wait_for { listening() } 'it listens again';
}
$mq->counts_become({ unconsumed => 0 }, 'all is confirmed');
$mq->publish('browser', 'stop');
my $text = do { local $/; <$out> };
close $out;
is($?, 0, 'the browser runs');
my $seen = eval { decode_json($text // '') } // {};
is(join(' ', sort @{$seen->{data} // []}), join(' ', sort @sent, 'stop'),
   'each message has come once');
is($seen->{ids}, @sent + 1, 'with its code as its id');
cmp_ok($seen->{opens}, '>=', 6, 'over six streams, or more');
is($seen->{state}, 1, 'the last of which was open');
$mq->counts_become({ unconsumed => 0 }, 'nothing is left');
$mq->{allow} = qr{\[error\].*(?:upstream|/favicon\.ico)};
$mq->finish;
done_testing();
