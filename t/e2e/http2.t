# A hundred streams of events on one connection of HTTP/2.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use IPC::Open2;
use Mojo::JSON qw(decode_json);
use Test::More;
use KapokMQ::Suite;
use KapokMQ::Test;

plan skip_all => 'this nginx has no HTTP/2'
    if !KapokMQ::Suite::nginx_has('--with-http_v2_module');

use constant { STREAMS => 100, MESSAGES => 5_000 };

my $port = KapokMQ::Suite::free_port();
my $mq = KapokMQ::Test->start(http => <<"CONF");
server {
    listen 127.0.0.1:$port http2;
    location /Consumers/Events/ { kapokmq_events; }
}
CONF
my $pid = open2(my $out, my $in, 'node', 't/e2e/http2.js', $port, STREAMS,
                MESSAGES);
is(scalar(<$out>), "open\n", 'all streams are open');
ok($mq->publish_many('h2', map { "m$_-" . 'x' x ($_ % 3000) } 1 .. MESSAGES),
   'messages');
my $seen = eval { decode_json(scalar(<$out>)) } // {};
$mq->counts_become({ unconsumed => 0 }, 'all is consumed');
close $in;
waitpid $pid, 0;
is($?, 0, 'the client ends');
is_deeply($seen->{errors}, [], 'no stream had an error');
is(join(' ', grep { $_ != 200 } @{$seen->{statuses}}), '', 'each is served');
my %got;
$got{$_}++ for @{$seen->{data}};
is(scalar keys %got, MESSAGES, 'all messages come');
is(scalar @{$seen->{data}}, MESSAGES, 'once');
cmp_ok($seen->{comments}, '>', STREAMS, 'and heartbeats');
wait_for { @{$mq->clients->{consumers}} == 0 } 'then nobody is left';
$mq->counts_become({ unconsumed => 0 }, 'and nothing came back');
$mq->finish;
done_testing();
