# What attackers try, and what must not be told: forged tokens, keys in places
# that are none, guesses by ways that are not counted, changes that nobody is to
# read of, and secrets in whatever can be read.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Digest::SHA qw(hmac_sha256);
use IO::Socket::INET;
use MIME::Base64 qw(encode_base64url);
use Mojo::JSON qw(decode_json encode_json);
use Test::More;
use Time::HiRes qw(sleep);
use KapokMQ::Test;
use KapokMQ::Token;

my $SECRET = 'a secret of thirty-two bytes, 012';
my $KEY = 'the-key-of-the-shop';

my $mq = KapokMQ::Test->start(
    zone => '256m',
    yaml => {
        keys => qq({ shop: { key: [$KEY], produce: [t.*], consume: [t.*],
                             console: write },
                     auditor: { key: auditor-key, consume: ["*"],
                                console: read, metrics: true } }),
        tokens => qq({ algorithms: [HS256], secret: ["$SECRET"],
                       audience: kapokmq, issuer: shop, leeway: 5 }),
    },
    http => 'kapokmq_auth_limit 0;
             log_format all escape=json "$request $status $kapokmq_user "
                 "$kapokmq_topic $kapokmq_id $http_origin";',
    conf => 'access_log all.log all;
             location = /metrics { kapokmq_metrics key; }
             location /bound/ { kapokmq_auth_limit 3; kapokmq_consumer; }
             location /off/ { kapokmq_consumer; kapokmq_auth off;
                              kapokmq_user $http_x_user; }
             location /real/ { kapokmq_auth_limit 3; kapokmq_console;
                               set_real_ip_from 127.0.0.1;
                               real_ip_header X-Forwarded-For; }
             location /real-socket/ { kapokmq_auth_limit 3; kapokmq_producer;
                                      set_real_ip_from 127.0.0.1;
                                      real_ip_header X-Forwarded-For; }
             location /cookie/ { kapokmq_console;
                                 kapokmq_auth key $cookie_k; }');

sub ask {
    my ($request, $body, @headers) = @_;
    my $socket = IO::Socket::INET->new(
        PeerAddr => '127.0.0.1:' . $mq->port,
        Timeout => KapokMQ::Test::PATIENCE) or die $@;

    print {$socket} join "\r\n", "$request HTTP/1.1", 'Host: x',
        'Connection: close', @headers, 'Content-Length: ' . length($body // ''),
        '', $body // '';
    local $/;
    my ($head, $answer) = split /\r\n\r\n/, scalar(<$socket>) // '', 2;
    my ($status) = ($head // '') =~ m{^HTTP/1\.1 (\d+)};

    return wantarray ? ($status // 0, $answer) : $status // 0;
}

# --- forged tokens
my $exp = time + 600;
my %claims = (exp => $exp, aud => 'kapokmq', iss => 'shop', sub => 'anna',
              kapokmq => { console => 'read', consume => ['t.{sub}'] });

# Header and claims as they are, well signed unless there is a signature.
sub forge {
    my ($header, $claims, $signature) = @_;
    my $text = join '.', map { encode_base64url($_) } $header, $claims;

    return "$text." . ($signature
                       // encode_base64url(hmac_sha256($text, $SECRET)));
}

sub with {
    my ($change) = @_;

    return encode_json({ %claims, %$change });
}

# The same, of a member in JSON's own words.
sub raw_with {
    my ($name, $text) = @_;
    my %rest = %claims;

    delete $rest{$name};
    return encode_json(\%rest) =~ s/^\{/{"$name":$text,/r;
}

sub ping { return ask('POST /Console/Ping', '', "secretKey: $_[0]") }

my $HEADER = '{"alg":"HS256"}';
my $good = forge($HEADER, encode_json(\%claims));

is(ping($good), 200, 'a good one');
for my $header ('{"alg":"none"}', '{"alg":"None"}', '{"alg":"NONE"}',
                '{"alg":"nOnE"}', '{"alg":""}', '{"alg":null}', '{"alg":0}',
                '{"alg":["HS256"]}', '{"alg":"hs256"}', '{"alg":"HS256 "}',
                '{"alg":"HS384"}', '{"alg":"RS256"}', '{"alg":"ES256"}', '{}',
                '[]', '"x"', '', '{"alg":"HS256","alg":"none"}',
                '{"alg":"none","alg":"HS256"}', '{"alg":"HS256","crit":[]}',
                '{"alg":"HS256","b64":false}', '{"alg":"HS256","zip":"DEF"}',
                '{"alg":"HS256","typ":5}', '{"alg":"HS256","typ":"JWE"}',
                '{"alg":"HS256"} x', '{"alg":"HS256\u0000"}',
                "\xef\xbb\xbf$HEADER") {
    is(ping(forge($header, encode_json(\%claims))), 401, "$header, signed");
    is(ping(forge($header, encode_json(\%claims), '')), 401,
       "$header, without a signature");
}
is(ping(forge($_, encode_json(\%claims))), 200, $_) for
    '{"alg":"HS256","kid":"../../dev/null","jku":"http://evil.example",'
    . '"x5u":"http://evil.example","x5c":["x"],"jwk":{"kty":"oct","k":""}}',
    '{"typ":"jwt","alg":"HS256"}';

for my $case (['exp', '"' . $exp . '"'], ['exp', 'null'], ['exp', 'true'],
              ['exp', "-$exp"], ['exp', '1e999'], ['exp', '-0.5'],
              ['exp', "1,\"exp\":$exp"], ['exp', '99999999999999999999'],
              ['exp', time - 6], ['exp', "[$exp]"],
              ['nbf', $exp], ['nbf', '"1"'], ['nbf', '1e308'], ['iat', '"1"'],
              ['aud', '"x"'], ['aud', '["x"]'], ['aud', '["kapokmq",5]'],
              ['aud', '"kapokmq "'], ['aud', '{"kapokmq":1}'],
              ['aud', '[]'], ['iss', '"other"'], ['iss', '["shop"]'],
              ['sub', '5'], ['sub', '"a\u0000b"'],
              ['sub', '"' . 'x' x 256 . '"'], ['kapokmq', '["console"]'],
              ['kapokmq', '{"console":2}'], ['kapokmq', '{"console":"all"}'],
              ['kapokmq', '{"console":"read","Consume":[]}'],
              ['kapokmq', '{"console":"none","console":"read"}'],
              ['kapokmq', '{"console":"read","metrics":1}'],
              ['kapokmq', '{"console":"read","consume":"t"}'],
              ['kapokmq', '{"console":"read","consume":[1]}'],
              ['kapokmq', '{"console":"read","id":null}']) {
    is(ping(forge($HEADER, raw_with(@$case))), 401,
       "$case->[0]: " . substr $case->[1], 0, 40);
}
is(ping(forge($HEADER, raw_with(@$_))), 200, "$_->[0]: $_->[1]") for
    # within five seconds
    ['exp', time - 1], ['nbf', time + 3],
    ['exp', "$exp.9"], ['exp', '1e300'], ['exp', '9223372036854775807'],
    ['aud', '["x","kapokmq"]'];
is(ping(forge($HEADER, $_)), 401, 'claims: ' . substr $_, 0, 20) for
    '', '5', '[' x 3000, encode_json(\%claims) . 'x', "\xff";
{
    my ($header, $claims, $signature) = split /\./, $good;
    my $set = join '', 'A' .. 'Z', 'a' .. 'z', 0 .. 9, '-_';
    my $other = substr $set, index($set, substr $signature, -1) ^ 1, 1;
    my %text = (
        'padding'          => "$good=",
        'a part too much'  => "$good.x",
        'a dot behind'     => "$good.",
        'a letter less'    => substr($good, 0, -1),
        'unused bits'      => substr($good, 0, -1) . $other,
        'no signature'     => "$header.$claims.",
        'two parts'        => "$header.$claims",
        'no header'        => ".$claims.$signature",
        'an empty one'     => '..',
        'other base64'     => "$header.$claims+.$signature",
        'a blank in it'    => "$header .$claims.$signature",
    );
    is(ping($text{$_}), 401, $_) for sort keys %text;
}

# --- subjects are put in as they are, and shown so
for my $sub ('*', 'a.b', '', ' ', '{id}', '{sub}', 'x' x 255, "\x01\n\"\\",
             "\x{1f600}", '../x', 'a/b') {
    my $token = forge($HEADER, with({ sub => $sub, kapokmq => {
        console => 'read', id => '{sub}',
        consume => ['{sub}', 'in.{sub}', '{id}', '{sub}*'] } }));
    my ($status, $json) = ask('POST /Console/GetAccess', '',
                              "secretKey: $token");
    my $access = eval { decode_json($json)->{data} };
    my $all = ask('POST /Console/GetOverview', '', "secretKey: $token");

    is($status, 200, 'a subject of ' . length($sub) . ' letters');
    is($access->{Name}, $sub, 'as it is');
    is($all, 403, 'which is not everybody');
    is(scalar @{$access->{Consume}}, $sub eq '' ? 0 : length $sub > 252 ? 3 : 4,
       'and its topics');
}
# one from nginx may be no text at all
for my $user ("\xff\xfe", "a\"b\\c\td", "\xc3\xa4", 'x' x 63 . "\xc3\xa4",
              'x' x 600) {
    my $raw = $mq->raw('/off/t.o/c', headers => { 'X-User' => $user });
    $raw->next_text;
    my ($status, $json) = ask('POST /Console/GetClientList', '',
                              'secretKey: sesame');
    ok(eval { decode_json($json) }, 'the list of clients is JSON');
    $raw->close;
}

# --- a key in places that are none, or in several
is(ask('POST /Console/Ping', '', @$_[1 .. $#$_]), $_->[0], join ', ',
   @$_[1 .. $#$_])
    for [200, 'secretKey: sesame', 'secretKey: x'],
        [401, 'secretKey: x', 'secretKey: sesame'],
        [401, 'secretKey:', 'Authorization: Bearer sesame'],
        [401, 'secretKey: x', 'Authorization: Bearer sesame'],
        [400, 'Authorization: Bearer x', 'Authorization: Bearer sesame'],
        [200, 'Authorization: bearer   sesame'],
        [401, 'Authorization: Bearersesame'],
        [401, 'Authorization: Basic sesame'],
        [401, 'secret-key: sesame'],
        [401, 'Cookie: k=sesame; secretKey=sesame'],
        [401, 'Sec-WebSocket-Protocol: kapokmq, kapokmq.key.'
              . encode_base64url('sesame')],
        [401, 'X-Original-secretKey: sesame'];
is(ask('POST /Console/Ping', 'secretKey=sesame',
       'Content-Type: application/x-www-form-urlencoded'), 401, 'in the body');
is(ask('POST /Console/Ping?secretKey=sesame&k=sesame', ''), 401,
   'in the query');
is(ask('POST /cookie/Ping', '', 'Cookie: k=sesame', 'secretKey: x'), 401,
   'a header goes before a cookie');
is(ask('POST /cookie/Ping', '', 'Cookie: k=sesame; k=x'), 200,
   'the first of two cookies');

# --- renewal takes tokens alone: it tells nobody which keys there are
{
    my $client = $mq->connect('/Consumers/Conn/t.anna/c',
                              headers => { secretKey => $good });
    my @tried = ('wrong', 'sesame', $KEY, "$KEY ");
    wait_for { grep { /succeeded/ } @{$client->texts} } 'it is in';
    $client->send("Bearer $_") for @tried;
    wait_for { (grep { /^error/ } @{$client->texts}) == @tried } 'answers';
    my %said = map { $_ => 1 } grep { /^error/ } @{$client->texts};
    is_deeply([keys %said], ['error: the token is wrong'], 'which all say one');

    my $guesser = $mq->connect('/bound/t.anna/c',
                               headers => { secretKey => $good });
    wait_for { grep { /succeeded/ } @{$guesser->texts} } 'another';
    $guesser->send("Bearer guess$_") for 1 .. 4;
    wait_for { (grep { /^error/ } @{$guesser->texts}) == 4 } 'guesses';
    is($mq->raw('/bound/t.anna/c', key => 'another')->status, 429,
       'which are counted');
    $_->finish for $client, $guesser;
}

# --- whose guesses they are
{
    my $n = 0;
    my $guess = sub {
        my ($path, $address) = @_;
        return ask("POST $path/Ping", '', 'secretKey: guess ' . ++$n,
                   "X-Forwarded-For: $address");
    };
    is($guess->('/real', '192.0.2.1'), 401, "$_ of an address") for 1 .. 3;
    is($guess->('/real', '192.0.2.1'), 429, 'one too many');
    is($guess->('/real', '::ffff:192.0.2.1'), 429,
       'the same address as IPv6 writes it');
    is($guess->('/real', '192.0.2.2'), 401, 'another address');
    is($guess->('/real', "2001:db8:1:1::$_"), 401, "$_ of a network")
        for 1 .. 3;
    is($guess->('/real', '2001:db8:1:1:5:6:7:8'), 429, 'one too many');
    is($guess->('/real', '2001:db8:1:2::1'), 401, 'another network');
    is(ask('POST /real/Ping', '', 'secretKey: sesame',
           'X-Forwarded-For: 192.0.2.1'), 200, 'a right one');

    my $raw = $mq->raw('/real-socket/t/p',
                       headers => { 'X-Forwarded-For' => '192.0.2.1' });
    $raw->next_text;
    $raw->text('guess by a frame');
    is($raw->next_text, 'Secret key matching error', 'by a frame');
    is($raw->close_code, 1008, 'it is the same address');
    $raw = $mq->raw('/real-socket/t/p',
                    headers => { 'X-Forwarded-For' => '192.0.2.3' });
    $raw->next_text;
    $raw->text('guess by a frame');
    $raw->next_text;
    is($raw->next_text, 'Please enter the secret key', 'another one');
    $raw->close;
}

# --- a change is in the error log when nobody waits for its answer
{
    my $batch = encode_json([map +{ topic => 't.purge', messageData => 'x' },
                             1 .. 1000]);
    my $waiting = sub {
        my ($status, $json) = ask('POST /Console/GetTopic', 'topic=t.purge',
                                  'secretKey: sesame');
        return decode_json($json)->{data}{Waiting};
    };
    my $n = 200_000;

    ask('POST /Producer/Send', $batch, 'secretKey: sesame',
        'Content-Type: application/json') for 1 .. $n / 1000;

    my $socket = IO::Socket::INET->new(
        PeerAddr => '127.0.0.1:' . $mq->port) or die $@;
    my $body = 'topic=t.purge';
    print {$socket} join "\r\n", 'POST /Console/PurgeTopic HTTP/1.1',
        'Host: x', "secretKey: $KEY", 'Content-Length: ' . length $body,
        'Content-Type: application/x-www-form-urlencoded', '', $body;
    wait_for { $waiting->() < $n } 'a purge begins';
    close $socket;
    my $line = qr/"shop" from 127\.0\.0\.1: messages purged of topic "t\.purge": (\d+)/;
    wait_for { $mq->log =~ $line } 'nobody waits for it';
    my ($purged) = $mq->log =~ $line;
    is($purged, $n - $waiting->(), 'as many as are gone');
}

$mq->finish;
done_testing;
