# nginx's own authentication, keys in variables, and pages of other origins,
# with which browsers send credentials by themselves.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use IO::Socket::INET;
use MIME::Base64 qw(encode_base64);
use Mojo::JSON qw(decode_json);
use Test::More;
use KapokMQ::Test;

my $mq = KapokMQ::Test->start(
    yaml => { keys => '{ page: { key: page-key, consume: [t], produce: [t],
                                 console: read, metrics: true } }' },
    http => 'log_format user "$status $uri [$kapokmq_user]";',
    conf => join "\n", 'access_log user.log user;', map({
        my ($name, $auth) = @$_;
        "location /$name/Producers/ { kapokmq_producer; $auth }
         location /$name/Consumers/ { kapokmq_consumer; $auth }
         location /$name/Events/ { kapokmq_events; $auth }
         location /$name/Pull/ { kapokmq_pull; $auth }
         location /$name/Settle { kapokmq_settle; $auth }
         location /$name/Send { kapokmq_send; $auth }
         location /$name/Console/ { kapokmq_console; $auth }
         location /$name/metrics { kapokmq_metrics key; $auth }"
        } ['off', 'kapokmq_auth off; kapokmq_user $http_x_user;'],
          ['cookie', 'kapokmq_auth key $cookie_kapokmq;'],
          ['listed', 'kapokmq_auth off;
                      kapokmq_cors_origin http://friend.example;'],
          ['basic', 'kapokmq_auth off; kapokmq_user $remote_user;
                     auth_basic x; auth_basic_user_file users;'],
          ['any', 'kapokmq_auth off; satisfy any; deny all;
                   auth_basic x; auth_basic_user_file users;'],
          ['near', 'kapokmq_auth off; satisfy any; allow 127.0.0.1; deny all;
                    auth_basic x; auth_basic_user_file users;'],
          ['asked', 'kapokmq_auth off; auth_request /ask;']),
        'location /few/ { kapokmq_consumer;
                          kapokmq_cors_origin http://friend.example; }
         location = /ask { if ($http_x_user = "") { return 403; }
                           return 204; }');

{
    open my $out, '>', "$mq->{dir}/users" or die;
    print {$out} "anna:{PLAIN}word\n";
}

my $OWN = '127.0.0.1:' . $mq->port;

sub ask {
    my ($method, $path, %headers) = @_;
    my $socket = IO::Socket::INET->new(
        PeerAddr => $OWN, Timeout => KapokMQ::Test::PATIENCE) or die $@;
    %headers = (Host => $OWN, Connection => 'close', %headers);
    $headers{'Content-Length'} = 0 if $method eq 'POST';

    print {$socket} "$method $path HTTP/1.1\r\n",
        (map { "$_: $headers{$_}\r\n" } sort keys %headers), "\r\n";
    my ($status) = (<$socket> // '') =~ m{^HTTP/1\.1 (\d+)};
    return $status // 0;
}

my %socket = (Upgrade => 'websocket', Connection => 'Upgrade',
              'Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub25jZQ==',
              'Sec-WebSocket-Version' => 13);

# All doors of a kind of location, and what is answered where one is let in.
my @doors = (
    ['GET', 'Producers/t/p', 101, %socket],
    ['GET', 'Consumers/t/c', 101, %socket],
    ['GET', 'Events/t/e', 200],
    ['POST', 'Pull/t/p', 200],
    ['POST', 'Settle', 400],
    ['POST', 'Send', 400],
    ['POST', 'Console/Ping', 200],
    ['GET', 'metrics', 200],
);

sub doors {
    my ($name, $where, $status, %headers) = @_;

    for my $door (@doors) {
        my ($method, $path, $good, %own) = @$door;
        is(ask($method, "/$where/$path", %own, %headers), $status // $good,
           "$name: $path");
    }
}

my %cookie = (Cookie => 'a=b; kapokmq=page-key');
my %basic = (Authorization => 'Basic ' . encode_base64('anna:word', ''));

# --- who is let in
doors('off', 'off', undef);
doors('off, own page', 'off', undef, Origin => "http://$OWN");
doors('off, a key that is none', 'off', undef, secretKey => 'wrong');
doors('cookie', 'cookie', undef, %cookie);
doors('cookie, own page', 'cookie', undef, %cookie, Origin => "http://$OWN");
doors('basic', 'basic', undef, %basic);
doors('basic, nobody', 'basic', 401);
doors('any, by a password', 'any', undef, %basic);
doors('any, nobody', 'any', 401);
doors('any, by an address', 'near', undef);
doors('asked', 'asked', undef, 'X-User' => 'anna');
doors('asked, nobody', 'asked', 403);
is(ask('POST', '/cookie/Console/Ping'), 401, 'no cookie');
is(ask('POST', '/cookie/Console/Ping', Cookie => 'kapokmq=x'), 401,
   'a wrong cookie');
is(ask('POST', '/cookie/Console/GetOverview', %cookie), 403,
   'a cookie has its key\'s rights');

# --- other pages
for my $origin ('http://evil.example', "https://$OWN", 'http://127.0.0.1',
                "http://$OWN.evil.example", 'null', "http://evil.$OWN", '') {
    doors("off, $origin", 'off', 403, Origin => $origin);
    doors("cookie, $origin", 'cookie', 403, Origin => $origin, %cookie);
    doors("basic, $origin", 'basic', 403, Origin => $origin, %basic);
}
for my $site (qw(cross-site same-site)) {
    doors("off, $site", 'off', 403, 'Sec-Fetch-Site' => $site);
    doors("cookie, $site", 'cookie', 403, %cookie, 'Sec-Fetch-Site' => $site);
}
doors('off, the user', 'off', undef, 'Sec-Fetch-Site' => 'none');
doors('off, own', 'off', undef, 'Sec-Fetch-Site' => 'same-origin');
is(ask('OPTIONS', '/off/Send', Origin => 'http://evil.example'), 403,
   'nor are they asked beforehand');

# --- those that are named
doors('a friend', 'listed', undef, Origin => 'http://friend.example');
doors('no friend', 'listed', 403, Origin => 'http://evil.example');
is(ask('GET', '/few/t/c', %socket, secretKey => 'sesame',
       Origin => 'http://friend.example'), 101, 'an upgrade of a friend');
is(ask('GET', '/few/t/c', %socket, secretKey => 'sesame',
       Origin => 'http://evil.example'), 403, 'and of nobody else');
is(ask('GET', '/few/t/c', %socket, secretKey => 'sesame'), 101,
   'or of no page');
is(ask('GET', '/Consumers/Conn/t/c', %socket, secretKey => 'sesame',
       Origin => 'http://evil.example'), 101, 'any, where nothing is said');

# --- without a key
{
    my $producer = $mq->raw('/off/Producers/t/p',
                            headers => { 'X-User' => 'anna' });
    is($producer->next_text, 'Secret key matching succeeded', 'at once');
    $producer->text('a message');
    is($producer->next_text, 'ok', 'the first frame is a message');
    my ($client) = grep { $_->{Id} eq 'p' && $_->{User} }
                   @{$mq->post('/Console/GetClientList')->{data}};
    is($client->{User}, 'anna', 'the user is listed');
    $producer->close;

    my $reload = $mq->raw('/off/Consumers/t/reload');
    $reload->next_text;
    $mq->reload(yaml => { drainTime => 0 });
    is($reload->close_code, 1001, 'no key of it can be removed');
}
{
    open my $in, '<', "$mq->{dir}/user.log" or die;
    my @lines = <$in>;
    ok((grep { $_ eq "200 /basic/Console/Ping [anna]\n" } @lines),
       'the user of auth_basic');
    ok((grep { $_ eq "200 /cookie/Console/Ping [page]\n" } @lines),
       'the name of a cookie\'s key');
    ok((grep { $_ eq "200 /off/Console/Ping [-]\n" } @lines), 'nobody');
}

$mq->finish;
done_testing;
