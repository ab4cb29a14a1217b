# Handing on: what comes to a node that is no primary is served by the one that
# is, through any door, for whoever the first node lets in; and what is not handed
# on by a node is not let in. Two nginx whose roles are told to them; that of a
# cluster is in other suites.

use strict;
use warnings;

BEGIN {
    push @INC, 't/lib';
    $ENV{KMQ_BUILD} ||= 'build/faults';
}

use Cwd qw(abs_path);
use Digest::SHA qw(hmac_sha256);
use IO::Socket::INET;
use MIME::Base64 qw(encode_base64url decode_base64url);
use Mojo::JSON qw(decode_json encode_json);
use Test::More;
use KapokMQ::Stream;
use KapokMQ::Test;
use KapokMQ::Token;

use constant {
    SECRET => 'a-secret-of-both-nodes-0123456', TOKENS => 'x' x 40,
};

$ENV{KMQ_BUILD} = abs_path($ENV{KMQ_BUILD});

my $include = abs_path('conf/cluster/kapokmq_primary.conf');
my ($ports, $hops) = ([map { KapokMQ::Suite::free_port() } 1, 2],
                      [map { KapokMQ::Suite::free_port() } 1, 2]);

my $keys = <<'YAML' =~ s/\s+/ /gr;
{ shop: { key: shop-key, produce: [orders.*] },
  mailer: { key: mailer-key, consume: [orders.new] },
  both: { key: both-key, produce: [orders.*], consume: [orders.*], console: write },
  viewer: { key: viewer-key, consume: ["*"], console: read } }
YAML

sub role {
    my ($number, $epoch, $primary) = @_;

    return "kapokmq_node number=$number epoch=$epoch secret=" . SECRET
           . (defined $primary ? " primary=127.0.0.1:$primary" : '') . ';';
}

# A node; own: locations of its own.
sub node {
    my ($i, %option) = @_;

    return KapokMQ::Test->start(
        port => $ports->[$i],
        allow => qr{Connection\ refused|Exactly\ two\ names|by\ rule
                    |prematurely\ closed .*PurgeTopic}x,
        yaml => { keys => $keys, retryDelay => 0,
                  tokens => '{ algorithms: [HS256], secret: "' . TOKENS . '" }' },
        http => role($i, @{$option{role}}) . <<"CONF",
    server {
        listen 127.0.0.1:$hops->[$i];
        large_client_header_buffers 4 64k;
        client_max_body_size 0;
        add_header X-Node $i always;
        location / { kapokmq_hop; }
    }
    log_format user "\$status \$uri [\$kapokmq_user] \$kapokmq_topic";
CONF
        conf => <<"CONF");
    kapokmq_primary \@primary;
    include $include;
    add_header X-Came $i always;
    access_log user.log user;
    kapokmq_cors_origin http://page.example;
    $option{own}
CONF
}

my $primary = node(0, role => [7], own => 'location /closed/ { deny all; }');
my $standby = node(1, role => [7, $hops->[0]], own => <<'CONF');
    location /off/Consumers/ { kapokmq_consumer; kapokmq_auth off; kapokmq_user $arg_who; }
    location /off/Producer/Send { kapokmq_send; kapokmq_auth off; kapokmq_user anna; }
    location /denied/ { kapokmq_consumer; kapokmq_auth off; deny all; }
    location /named/ { kapokmq_pull topic=$arg_t id=$arg_max; }
    location ~ ^/odd/(?<t>[^/]+)/(?<i>[^/]+)$ { kapokmq_consumer topic=$t id=$i; }
    location /asked/ { kapokmq_consumer; kapokmq_auth off; auth_request /who;
                       auth_request_set $who $sent_http_x_who; kapokmq_user $who; }
    location = /who { internal; add_header X-Who bob always;
                      if ($http_x_let != in) { return 403; } return 204; }
    location /few/ { kapokmq_auth_limit 3; kapokmq_producer; }
    location /fewer/ { kapokmq_auth_limit 3; kapokmq_console; }
CONF

my $ua = Mojo::UserAgent->new(max_connections => 0,
                              inactivity_timeout => KapokMQ::Test::PATIENCE);

# A request to that port: its status, its answer, what there is of headers.
sub ask {
    my ($port, $method, $path, $headers, $body) = @_;
    my $tx = $ua->build_tx($method => "http://127.0.0.1:$port$path",
                           $headers // {}, $body // ());
    my $result = $ua->start($tx)->res;

    return ($result->code // 0, $result->body, $result);
}

sub key { return { secretKey => $_[0] } }


# --- every door

is((ask($ports->[$_], 'GET', '/Console/Health'))[0], 200, "node $_ is healthy")
    for 0, 1;

my $code = $standby->publish('orders.new', 'by POST');
like($code // '', qr/^[0-9a-f]{40}$/, 'POST at the standby');
is($primary->counts->{unconsumed}, 1, 'is at the primary');
is($standby->counts->{unconsumed}, 1, 'and seen from both');
is($primary->find($code)->{MessageData}, 'by POST', 'as it was');

my $consumer = $standby->consumer('orders.new', 'c1', confirm => 'ack',
                                  ack => 1);
wait_for { @{$consumer->messages} == 1 } 'a WebSocket through the standby';
is($consumer->messages->[0]{MessageCode}, $code, 'gets it');
$primary->counts_become({ consumed => 1 }, 'and confirms it');

my $producer = $standby->producer('orders.new', 'p1');
$producer->send(map { "m$_" } 1 .. 500);
wait_for { @{$producer->texts} == 500 } 'a producer is answered';
wait_for { @{$consumer->messages} == 501 } 'and its messages come';
is_deeply([map { $_->{MessageData} } @{$consumer->messages}[1 .. 500]],
          [map { "m$_" } 1 .. 500], 'in their order');

my $clients = $primary->clients;
is_deeply([sort map { "$_->{ConsumerId} $_->{ConsumerIp}" }
           @{$clients->{consumers}}], ['c1 127.0.0.1'], 'a consumer there');
is(@{$clients->{producers}}, 1, 'and a producer');
$_->finish for $consumer, $producer;
wait_for { !@{$primary->clients->{consumers}} } 'gone here is gone there';

my $big = 'b' x 900_000;
like($standby->publish('orders.big', $big), qr/^[0-9a-f]{40}$/,
     'a large body');
my $many = encode_json([map +{ topic => 'orders.many', messageData => "n$_" },
                        1 .. 1000]);
my ($status, $text) = ask($ports->[1], 'POST', '/Producer/Send',
    { %{key('shop-key')}, 'Content-Type' => 'application/json' }, $many);
is($status, 200, 'a batch');

($status, $text) = ask($ports->[1], 'POST',
    '/Consumers/Pull/orders.many/p?lease=60', key('both-key'), 'max=3&wait=5');
my $pulled = decode_json($text)->{data};
is_deeply([map { $_->{MessageData} } @$pulled], [qw(n1 n2 n3)], 'a pull');
($status, $text) = ask($ports->[1], 'POST', '/Consumers/Settle',
    key('both-key'), 'confirm=' . join ',', map { $_->{MessageCode} } @$pulled);
is(decode_json($text)->{data}{confirmed}, 3, 'is settled');

my $begun = time;
($status, $text) = ask($ports->[1], 'POST', '/Consumers/Pull/orders.none/p',
    key('both-key'), 'wait=1');
is($text, '{"code":0,"data":[]}', 'one that waits for nothing');

my $stream = KapokMQ::Stream->new($standby, 'orders.new', 'e1');
wait_for { $stream->open } 'events';
$primary->publish('orders.new', 'an event');
wait_for { @{$stream->messages} == 1 } 'come through the standby';
is($stream->messages->[0]{MessageData}, 'an event', 'as they are');
$stream->stop;

($status, $text) = ask($ports->[1], 'POST', '/Console/GetTopic', key('both-key'),
                       'topic=orders.many');
is(decode_json($text)->{data}{Consumed}, 3, 'the console');
($status, $text) = ask($ports->[1], 'POST', '/Console/GetNodes',
                       key('viewer-key'));
is($text, '{"code":0,"data":[]}', 'what each node answers for itself');


# --- access is decided where it came to

my @mine = ('POST', '/Producer/Send', key('shop-key'),
            'topic=orders.new&messageData=x');
for my $case (
    ['no key', 401, 'POST', '/Console/Ping'],
    ['a wrong one', 401, 'POST', '/Console/Ping', key('no')],
    ['no right to the console', 403, 'POST', '/Console/Ping', key('shop-key')],
    ['a right to read', 200, 'POST', '/Console/Ping', key('viewer-key')],
    ['but not to write', 403, 'POST', '/Console/PurgeTopic', key('viewer-key'),
     'topic=orders.new'],
    ['a right to produce', 200, @mine],
    ['but not to that', 403, @mine[0 .. 2], 'topic=bills&messageData=x'],
    ['nor to consume', 403, 'POST', '/Consumers/Pull/orders.new/x',
     key('shop-key')],
    ['events without a key', 401, 'GET', '/Consumers/Events/orders.new/x'],
    ['a method', 405, 'GET', '/Console/Ping', key('viewer-key')],
    ['a function', 404, 'POST', '/Console/Nothing', key('viewer-key')],
    ['names', 404, 'GET', '/Consumers/Events/orders.new', key('viewer-key')],
    ['a query', 400, 'GET', '/Consumers/Events/orders.new/x?confirm=pong',
     key('viewer-key')],
    ['a form', 400, 'POST', '/Console/GetTopic', key('viewer-key')],
) {
    my ($name, $wanted, @request) = @$case;
    my @own = ask($ports->[0], @request);
    my @far = ask($ports->[1], @request);

    is($far[0], $wanted, $name);
    is($far[1], $own[1], 'and the answer of both') unless $name =~ /produce/;
    is($far[2]->headers->content_type, $own[2]->headers->content_type,
       'its type');
}

sub upgrade {
    my ($port, $path, %option) = @_;

    return KapokMQ::Raw->new(port => $port, path => $path, %option)->status;
}

is(upgrade($ports->[1], '/Consumers/Conn/orders.new/c', key => 'shop-key'), 403,
   'a WebSocket without the right');
is(upgrade($ports->[1], '/Consumers/Conn/orders.new/c', key => 'wrong'), 401,
   'or the key');
is(upgrade($ports->[1], '/denied/orders.new/c'), 403, 'deny');
is(upgrade($ports->[1], '/asked/orders.new/c'), 403, 'auth_request');
is(upgrade($ports->[1], '/asked/orders.new/asked',
           headers => { 'X-Let' => 'in' }), 101, 'lets in');

# a login by a frame is the primary's to ask, and right or wrong there
for my $case (['both-key', 'Secret key matching succeeded'],
              ['none', 'Secret key matching error']) {
    my $raw = $standby->raw('/Consumers/Conn/orders.new/login');
    is($raw->next_text, 'Please enter the secret key', 'is asked for its key');
    $raw->text($case->[0]);
    is($raw->next_text, $case->[1], "$case->[0]: $case->[1]");
    $raw->close;
}

# who it is
my $off = $standby->connect('/off/Consumers/orders.off/x?who=carl');
wait_for { @{$off->texts} == 1 } 'kapokmq_auth off at the standby';
is($off->texts->[0], 'Secret key matching succeeded', 'lets in');
my ($who) = grep { $_->{Id} eq 'x' }
            @{$primary->post('/Console/GetClientList')->{data}};
is($who->{User}, 'carl', 'with the user that it has there');
$off->finish;

($status, $text) = ask($ports->[1], 'POST', '/off/Producer/Send', {},
                       'topic=anything&messageData=x');
is($status, 200, 'a message, too');

my $token = token(TOKENS, sub => 'dora', kapokmq => { console => 'write',
                  consume => ['orders.{sub}'], produce => ['orders.{sub}'] });
($status, $text) = ask($ports->[1], 'POST', '/Producer/Send',
    { Authorization => "Bearer $token" }, 'topic=orders.dora&messageData=x');
is($status, 200, 'a token');
($status, $text) = ask($ports->[1], 'POST', '/Console/PurgeTopic',
    { Authorization => "Bearer $token" }, 'topic=orders.dora');
is($status, 200, 'changes what is its');
like($primary->log, qr/token "dora" from 127\.0\.0\.1: messages purged of topic "orders\.dora": 1/,
     'which is in the log of the primary');

my $short = token(TOKENS, sub => 'eve', exp => time + 3 * slower(),
                  kapokmq => { consume => ['orders.eve'] });
my $eve = $standby->connect('/Consumers/Conn/orders.eve/eve',
                            headers => { secretKey => $short });
wait_for { @{$eve->texts} } 'a token that is short';
wait_for { $eve->closed } 'is over';
is($eve->closed->[0], 1008, 'with 1008') if $eve->closed;

# names that the standby's location makes
($status, $text) = ask($ports->[1], 'POST', '/named/?t=orders.many&max=2',
                       key('both-key'));
is(@{decode_json($text)->{data}}, 2, 'an argument that is a name and a number');
($status, $text) = ask($ports->[1], 'POST', '/named/?t=orders.many&max=1&x=1',
                       key('both-key'));
is($status, 400, 'and one that is neither');
my $odd = $standby->login('/odd/orders.odd/id7');
ok((grep { $_->{ConsumerId} eq 'id7' && $_->{Topic} eq 'orders.odd' }
    @{$primary->clients->{consumers}}), 'names of a pattern');
$odd->finish;

# a subprotocol with the key in it
my $protocol = KapokMQ::Raw->new(port => $ports->[1],
    path => '/Consumers/Conn/orders.new/sub',
    headers => { 'Sec-WebSocket-Protocol' =>
                 'kapokmq, kapokmq.key.' . encode_base64url('both-key') });
is($protocol->status, 101, 'a key in a subprotocol');
like($protocol->head, qr/^Sec-WebSocket-Protocol: kapokmq\r?$/mi,
     'and ours is answered');
$protocol->close;

# pages of other origins
($status, $text, my $result) = ask($ports->[1], 'POST', '/Console/Ping',
    { %{key('viewer-key')}, Origin => 'http://page.example' });
is($result->headers->header('Access-Control-Allow-Origin'),
   'http://page.example', 'an origin that the standby knows');
is(() = $result->headers->to_string =~ /Access-Control-Allow-Origin/gi, 1,
   'is told once');
is(upgrade($ports->[1], '/Consumers/Conn/orders.new/o', key => 'both-key',
           headers => { Origin => 'http://other.example' }), 403,
   'and one that it does not');

# tries are counted where it came to
ask($ports->[1], 'POST', '/fewer/Ping', key("guess$_")) for 1 .. 3;
is((ask($ports->[1], 'POST', '/fewer/Ping', key('guess4')))[0], 429,
   'who guesses too much is told so');
is((ask($ports->[0], 'POST', '/Console/Ping', key('guess4')))[0], 401,
   'but not where it was not');
is((ask($ports->[1], 'POST', '/fewer/Ping', key('viewer-key')))[0], 200,
   'the right key is served');

like(do { open my $in, '<', $standby->dir . '/user.log' or die; local $/; <$in> },
     qr{^101 /Consumers/Conn/orders.new/c1 \[secretKey\] orders.new$}m,
     'the access log knows who that was');


# --- what is not handed on is not let in

sub payload {
    my (%change) = @_;
    my $hop = { epoch => 7, node => 2, start => 99, number => 1, kind => 7,
                method => 'POST', uri => '/Console/Ping', %change };
    my $bytes = pack('NNQ>Q>Q>NCCC', @$hop{qw(epoch node start number)}, 0, 20,
                     $hop->{kind}, 0, 1);

    return $bytes . join '', map { pack 'N/a*', $_ }
        $hop->{method}, $hop->{uri}, '', '/Console/', '', '', '',
        "\x7f\0\0\1", '127.0.0.1', 'forger', '', $hop->{rights} // '';
}

sub signed {
    my ($payload, $secret) = @_;
    my $mac = hmac_sha256($payload, hmac_sha256('kapokmq hop 1', $secret));

    return encode_base64url($mac . $payload) =~ s/=//gr;
}

sub forge {
    my ($port, $hop, $path, $method) = @_;

    return (ask($port, $method // 'POST', $path // '/Console/Ping',
                { 'Kapokmq-Hop' => $hop }))[0];
}

my $good = signed(payload(), SECRET);
is(forge($hops->[0], $_->[1]), 403, $_->[0]) for
    ['nothing', ''], ['what is no base64', '!!!'],
    ['another secret', signed(payload(), 'x' x 32)],
    ['none', signed(payload(), '')],
    ['a part of it', substr($good, 0, 80)],
    ['no hop at all', signed('hello', SECRET)],
    ['a kind that there is not', signed(payload(kind => 99), SECRET)],
    ['metrics', signed(payload(kind => 8), SECRET)],
    ['a hop itself', signed(payload(kind => 9), SECRET)];
is((ask($hops->[0], 'POST', '/Console/Ping', key('sesame')))[0], 403,
   'a key is no hop');
is(forge($hops->[0], $good, '/Console/Ping', 'GET'), 403, 'another method');
is(forge($hops->[0], signed(payload(number => 5), SECRET)), 403,
   'one without rights');
is(forge($ports->[0], $good), 401, 'nowhere else does it count');
is(forge($ports->[1], $good), 401, 'at the standby neither');
is(forge($hops->[0], signed(payload(epoch => $_), SECRET)), 503,
   "epoch $_: no primary of that") for 6, 8;
is(forge($hops->[1], signed(payload(number => 6), SECRET)), 503,
   'a standby hands nothing on that was handed on');
is(upgrade($hops->[0], '/Consumers/Conn/orders.new/c', key => 'sesame'), 403,
   'a WebSocket');

# what was seen on its way counts once
my $tap = IO::Socket::INET->new(Listen => 8, LocalAddr => '127.0.0.1') or die;
$standby->renew(http => $standby->{http}
                 =~ s/primary=127\.0\.0\.1:\d+/"primary=127.0.0.1:" . $tap->sockport/er);
my $client = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$ports->[1]")
    or die;
print {$client} "POST /Console/PurgeTopic HTTP/1.1\r\nHost: 127.0.0.1\r\n",
    "secretKey: both-key\r\nContent-Length: 16\r\n\r\ntopic=orders.new";
my $seen = $tap->accept;
my $request = '';
1 while $request !~ /orders\.new\z/ && sysread $seen, $request, 65536,
                                               length $request;
close $_ for $seen, $client;
unlike($request, qr/both-key|secretKey/, 'the key stays at the standby');

sub replay {
    my ($text) = @_;
    my $to = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$hops->[0]") or die;
    print {$to} $text =~ s/Connection: .*\r\n//r;
    my ($status) = (<$to> // '') =~ m{^HTTP/1\.1 (\d+)};
    return $status // 0;
}

is(replay($request), 200, 'what was caught, and has not come, counts');
is(replay($request), 403, 'but once') for 1 .. 3;
is(replay($request =~ s/^POST/PUT/r), 403, 'whatever is changed');
like($primary->log, qr/no request of another node: it was handed on before/,
     'which is in the log');


# --- without a primary, and two that believe in each other

$standby->renew(http => $standby->{http}
                 =~ s/primary=127\.0\.0\.1:\d+/primary=127.0.0.1:1/r);
($status, $text) = ask($ports->[1], 'POST', '/Console/Ping', key('viewer-key'));
is($status, 502, 'a primary that is not there');
is($text, '{"code":-1,"msg":"The primary cannot be reached"}', 'is told');
($status, $text, $result) = ask($ports->[1], 'GET',
    '/Consumers/Events/orders.new/e', key('viewer-key'));
is("$status $text", "200 retry: 1000\n\n", 'events come again');
like($result->headers->content_type, qr{^text/event-stream}, 'as they do');

$standby->renew(http => $standby->{http}
                 =~ s/epoch=7/epoch=0/r =~ s/ primary=127\.0\.0\.1:\d+//r);
($status, $text, $result) = ask($ports->[1], 'POST', '/Console/Ping',
                                key('viewer-key'));
is("$status $text", '503 {"code":-1,"msg":"There is no primary at the moment"}',
   'none that is known');
is($result->headers->header('Retry-After'), 1, 'come again');
is((ask($ports->[1], 'POST', '/Console/Ping', key('no')))[0], 401,
   'a wrong key is wrong');
($status, $text) = ask($ports->[1], 'GET', '/Consumers/Events/orders.new/e',
                       key('viewer-key'));
is("$status $text", "200 retry: 1000\n\n", 'events');
is(upgrade($ports->[1], '/Consumers/Conn/orders.new/c', key => 'both-key'), 503,
   'a WebSocket');
is((ask($ports->[1], 'GET', '/Console/Health'))[0], 503,
   'the node is not healthy');
is((ask($ports->[1], 'POST', '/Console/GetNodes', key('viewer-key')))[0], 200,
   'but tells of its nodes');

$standby->renew(http => $standby->{http}
                 =~ s/epoch=0/epoch=7 primary=127.0.0.1:$hops->[0]/r);
$primary->renew(http => $primary->{http}
                 =~ s/epoch=7/epoch=7 primary=127.0.0.1:$hops->[1]/r);
for my $i (0, 1) {
    is((ask($ports->[$i], 'POST', '/Console/Ping', key('viewer-key')))[0], 503,
       "two that believe in each other: $i");
    is((ask($ports->[$i], 'GET', '/Consumers/Events/orders.new/e',
            key('viewer-key')))[1], "retry: 1000\n\n", 'events');
}

$_->finish for $standby, $primary;
done_testing;
