# Mutual TLS: nginx asks for a client's certificate, and whose that is, is the
# user; a page of another origin has the certificate, too, and is not let in.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use File::Temp ();
use Mojo::JSON qw(decode_json);
use Test::More;
use KapokMQ::Test;

plan skip_all => 'nginx is without TLS'
    if `nginx -V 2>&1` !~ /--with-http_ssl_module/;

my $dir = File::Temp->newdir('kmq-XXXXXX', TMPDIR => 1);
my $port = KapokMQ::Suite::free_port();

# An authority, its server and its clients; one that another one has signed.
sub openssl {
    my ($command) = @_;

    system("cd $dir && openssl $command > openssl.log 2>&1") == 0
        or die "openssl $command";
}

sub certificate {
    my ($name, $subject, $by) = @_;

    openssl("req -newkey rsa:2048 -nodes -keyout $name.key -out $name.csr"
            . " -subj '$subject'");
    openssl("x509 -req -in $name.csr -CA $by.pem -CAkey $by.key -days 30"
            . " -CAcreateserial -out $name.pem");
}

openssl("req -x509 -newkey rsa:2048 -nodes -days 30 -keyout $_.key"
        . " -out $_.pem -subj /CN=$_") for qw(authority stranger);
certificate('server', '/CN=127.0.0.1', 'authority');
certificate('anna', '/O=Shop/CN=anna', 'authority');
certificate('eve', '/O=Shop/CN=anna', 'stranger');
chmod 0755, $dir;

my $mq = KapokMQ::Test->start(
    http => qq(
        log_format user "\$status \$uri [\$kapokmq_user]";
        server {
            listen 127.0.0.1:$port ssl;
            ssl_certificate $dir/server.pem;
            ssl_certificate_key $dir/server.key;
            ssl_client_certificate $dir/authority.pem;
            ssl_verify_client on;
            kapokmq_user \$ssl_client_s_dn;
            access_log user.log user;
            location /p/ { kapokmq_producer; kapokmq_auth off; }
            location /c/ { kapokmq_consumer; kapokmq_auth off; }
            location /e/ { kapokmq_events; kapokmq_auth off; }
            location /l/ { kapokmq_pull; kapokmq_auth off; }
            location /s { kapokmq_settle; kapokmq_auth off; }
            location /send { kapokmq_send; kapokmq_auth off; }
            location /Console/ { kapokmq_console; kapokmq_auth off; }
            location /metrics { kapokmq_metrics key; kapokmq_auth off; }
        }));

# Status and answer; of what has no end its head.
sub curl {
    my ($name, $path, @arguments) = @_;
    my @certificate = $name
        ? ('--cert', "$dir/$name.pem", '--key', "$dir/$name.key") : ();

    my $pid = open my $out, '-|', 'curl', '-sN', '-i', '--http1.1', '-m', 120,
        '--cacert', "$dir/authority.pem", '--noproxy', '*', @certificate,
        @arguments, "https://127.0.0.1:$port$path" or die $!;
    my $answer = '';
    while (sysread $out, $answer, 65_536, length $answer) {
        my ($head) = $answer =~ /\A(.*?\r\n)\r\n/s or next;
        last if $head =~ m{\AHTTP/1\.1 101 |^Content-Type: text/event-stream}m;
    }
    kill 'TERM', $pid;
    close $out;
    my ($head, $body) = split /\r\n\r\n/, $answer, 2;
    my ($status) = ($head // '') =~ m{^HTTP/1\.1 (\d+)};

    return wantarray ? ($status // 0, $body) : $status // 0;
}

my @socket = map { ('-H', $_) } 'Upgrade: websocket', 'Connection: Upgrade',
             'Sec-WebSocket-Version: 13',
             'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==';
my @doors = (
    ['/p/t/p', 101, @socket],
    ['/c/t/c', 101, @socket],
    ['/e/t/e', 200],
    ['/l/t/l', 200, '-d', ''],
    ['/s', 400, '-d', ''],
    ['/send', 400, '-d', ''],
    ['/Console/GetOverview', 200, '-d', ''],
    ['/metrics', 200],
);

sub doors {
    my ($name, $certificate, $status, @headers) = @_;

    for my $door (@doors) {
        my ($path, $good, @own) = @$door;
        is(scalar curl($certificate, $path, @own, map { ('-H', $_) } @headers),
           $status // $good, "$name: $path");
    }
}

doors('a client of the authority', 'anna', undef);
doors('its own page', 'anna', undef, "Origin: https://127.0.0.1:$port");
doors('a page of another origin', 'anna', 403, 'Origin: https://evil.example');
doors('the same host without TLS', 'anna', 403,
      "Origin: http://127.0.0.1:$port");
doors('another site', 'anna', 403, 'Sec-Fetch-Site: cross-site');
doors('nobody', undef, 400);
doors('a client of another authority', 'eve', 400);
doors('a key instead', undef, 400, 'secretKey: sesame');

{
    my $pid = open my $stream, '-|', 'curl', '-sN', '--noproxy', '*',
        '--cacert', "$dir/authority.pem", '--cert', "$dir/anna.pem", '--key',
        "$dir/anna.key", "https://127.0.0.1:$port/e/t/listed" or die $!;
    <$stream>;
    my ($status, $json) = curl('anna', '/Console/GetClientList', '-d', '');
    my ($client) = grep { $_->{Id} eq 'listed' } @{decode_json($json)->{data}};
    is($client->{User}, 'CN=anna,O=Shop', 'the list of clients says whose');
    kill 'TERM', $pid;
    close $stream;
}
{
    $mq->publish('t.purge', 'x');
    is(scalar curl('anna', '/Console/PurgeTopic', '-d', 'topic=t.purge'), 200,
       'a purge');
    like($mq->log, qr/user "CN=anna,O=Shop" from 127\.0\.0\.1: messages purged of topic "t\.purge": 1/,
         'is noted with the name of the certificate');
    open my $in, '<', "$mq->{dir}/user.log" or die;
    ok((grep { $_ eq "200 /Console/GetOverview [CN=anna,O=Shop]\n" } <$in>),
       'as is the access log');
}

$mq->finish;
done_testing;
