# No key, no secret of tokens and no token is told to anybody: not in an answer,
# not in a log, not in shared memory; and in a worker's own memory there is what
# docs/security.md says.

use strict;
use warnings;
no warnings qw(portable);         # addresses have 64 bits

BEGIN { push @INC, 't/lib' }

use IO::Socket::INET;
use MIME::Base64 qw(encode_base64url);
use Test::More;
use KapokMQ::Test;
use KapokMQ::Token;

# Nobody sends the quiet ones.
my %secret = (
    'the secret key'  => 'the-secret-key-itself-0001',
    'a key'           => 'a-key-that-is-sent-00000002',
    'its second'      => 'a-key-that-is-sent-00000003',
    'a quiet key'     => 'a-key-that-is-quiet-0000004',
    'a reader'        => 'a-key-that-may-read-0000005',
    'a token\'s'      => 'a-secret-of-tokens-000000000006',
    'an old one'      => 'a-secret-of-tokens-000000000007',
    'a wrong one'     => 'a-key-that-is-wrong-0000008',
);
my $token = token($secret{'a token\'s'}, sub => 'anna',
                  kapokmq => { consume => ['t'] });
$secret{'a token'} = $token;

my @variables = map { "\$kapokmq_$_" }
    do {
        open my $in, '<', "$KapokMQ::Suite::Root/docs/metrics.md" or die $!;
        my %seen;
        grep { !$seen{$_}++ } map { /\$kapokmq_([a-z_]+)/g } <$in>;
    };
cmp_ok(scalar @variables, '>', 5, 'variables that the access log may have');

my $mq = KapokMQ::Test->start(
    yaml => {
        secretKey => $secret{'the secret key'},
        keys => qq({ sent: { key: ["$secret{'a key'}", "$secret{'its second'}"],
                             produce: [t], consume: [t], console: write },
                     quiet: { key: "$secret{'a quiet key'}", consume: [t] },
                     reader: { key: "$secret{'a reader'}", consume: ["*"],
                               console: read, metrics: true } }),
        tokens => qq({ algorithms: [HS256], secret: ["$secret{"a token's"}",
                                                "$secret{'an old one'}"] }),
    },
    http => 'error_log debug.log debug;
             log_format all "$request $status ' . join(' ', @variables) . '";',
    conf => 'access_log all.log all;
             kapokmq_access_log end;
             location = /metrics { kapokmq_metrics key; }
             location /cookie/ { kapokmq_auth key $cookie_kapokmq;
                                 kapokmq_console; }');

sub ask {
    my ($method, $path, $headers, $body) = @_;
    my $socket = IO::Socket::INET->new(
        PeerAddr => '127.0.0.1:' . $mq->port,
        Timeout => KapokMQ::Test::PATIENCE) or die $@;

    print {$socket} join "\r\n", "$method $path HTTP/1.1", 'Host: x',
        'Connection: close', @$headers, 'Content-Length: ' . length($body // ''),
        '', $body // '';
    local $/;
    return scalar(<$socket>) // '';
}

# Which of them a text has in it.
sub tells {
    my ($text, @names) = @_;
    my @found;

    for my $name (@names ? @names : sort keys %secret) {
        push @found, $name
            if index($text, $secret{$name}) >= 0
               || index($text, encode_base64url($secret{$name})) >= 0;
    }

    return join ', ', @found;
}

sub file {
    my ($name) = @_;

    open my $in, '<', "$mq->{dir}/$name" or return '';
    local $/;
    return scalar(<$in>) // '';
}

# --- each of them is used in each way
my @answers;
for my $name (grep { !/quiet|old one|token's/ } sort keys %secret) {
    my $value = $secret{$name};

    push @answers, ask('POST', '/Console/Ping', ["secretKey: $value"]),
        ask('POST', '/Console/Ping', ["Authorization: Bearer $value"]),
        ask('POST', '/cookie/Ping', ["Cookie: kapokmq=$value"]),
        ask('POST', '/Producer/Send', ["secretKey: $value"],
            'topic=t&messageData=x');
    for my $option (
        [key => $value],
        [headers => { 'Sec-WebSocket-Protocol' =>
                      'kapokmq, kapokmq.key.' . encode_base64url($value) }]) {
        my $raw = $mq->raw('/Consumers/Conn/t/c', @$option);
        push @answers, $raw->head;
        if ($raw->status == 101) {
            $raw->next_text;
            $raw->text("Bearer $value");
            $raw->text('x');
        }
        $raw->close;
    }
    my $raw = $mq->raw('/Consumers/Conn/t/c');
    $raw->next_text;
    $raw->text($value);
    push @answers, $raw->next_text;
    $raw->close;
}
is(tells(join "\n", @answers), '', 'no answer tells one');

# --- whatever a reader reads
{
    my @key = ("secretKey: $secret{'a reader'}");
    my $client = $mq->raw('/Consumers/Conn/t/reads', key => $secret{'a key'});
    my @functions = do {
        open my $in, '<',
            "$KapokMQ::Suite::Root/src/server/console/ngx_kapokmq_console.c"
            or die $!;
        map { /NGX_KAPOKMQ_FUNCTION\("(\w+)"/ ? $1 : () } <$in>;
    };
    cmp_ok(scalar @functions, '>=', 20, 'functions of the console');
    for my $function (@functions) {
        my $answer = ask('POST', "/Console/$function", \@key, 'topic=t');
        is(tells($answer), '', "$function tells none");
    }
    like(ask('GET', '/metrics', \@key), qr/^kapokmq_/m, 'metrics');
    is(tells(ask('GET', '/metrics', \@key)), '', 'tell none');
    $client->close;
}

# --- logs: nginx's own lines of request headers and variables are its own
{
    my $all = file('all.log');
    like($all, qr{^POST /Console/Ping HTTP/1\.1 200 }m, 'the access log');
    is(tells($all), '', 'tells none');

    my @own = ('secretkey', 'authorization', 'cookie', 'sec-websocket-protocol');
    my $own = join '|', @own;
    my ($header, $rest) = ('', '');
    for my $line (split /^/, file('debug.log')) {
        if ($line =~ /(?:http|parse) header: "(?:$own)|http script var: /i) {
            $header .= $line;
        } else {
            $rest .= $line;
        }
    }
    SKIP: {
        skip 'nginx is without --with-debug', 1 unless $header;
        is(tells($rest), '', 'the error log at debug, but for these headers');
    }
    is(tells($mq->log), '', 'the error log');
}

# --- memory
{
    my (%own, %shared);
    for my $pid ($mq->worker_pids) {
        open my $maps, '<', "/proc/$pid/maps" or next;
        open my $memory, '<:raw', "/proc/$pid/mem" or next;
        while (<$maps>) {
            my ($from, $to, $how) = /^(\w+)-(\w+) rw(..) / or next;
            my $text = '';
            next unless sysseek $memory, hex $from, 0;
            my $left = hex($to) - hex $from;
            # a zone may be large, and keys are at its beginning
            $left = 1 << 25 if $left > 1 << 25;
            sysread $memory, $text, $left or next;
            for my $name (keys %secret) {
                my $in = $how =~ /s/ ? \%shared : \%own;
                $in->{$name}++ if index($text, $secret{$name}) >= 0;
            }
        }
    }
    SKIP: {
        skip 'memory of others cannot be read here', 3
            unless $own{'the secret key'};
        is(join(', ', sort keys %shared), '', 'no secret is in shared memory');
        ok(!$own{'a quiet key'}, 'a key that nobody sends is in no worker');
        ok($own{'an old one'}, 'a secret of tokens is, as the page says');
    }
}

$mq->finish;
done_testing;
