# What a location serves is what nginx has matched: an access rule that denies
# something denies each spelling of it, and what is allowed is served.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use KapokMQ::Raw;
use KapokMQ::Suite;
use KapokMQ::Test;

my %upgrade = (
    Upgrade => 'websocket', Connection => 'Upgrade',
    'Sec-WebSocket-Version' => 13,
    'Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub25jZQ==',
);

# By what an answer shows which function gave it.
my %shows = (
    Ping => qr/^\{"code":0\}$/, CountMessage => qr/"unconsumed"/,
    GetConfig => qr/"pushType"/, PurgeTopic => qr/"code":(?:0|-1)/,
    sent => qr/^\{"code":0,"msg":"[0-9a-f]{40}"\}$/, metrics => qr/^# HELP/,
);

my $mq;

# One of the servers, each of which has a name; slashes: one that keeps them.
my ($port, $slashes) = map { KapokMQ::Suite::free_port() } 1, 2;

sub servers {
    my (@groups) = @_;

    return join '', map {
        my $listen = $_->{merge_slashes} ? $slashes : $port;
        my $off = $_->{merge_slashes} ? 'merge_slashes off;' : '';
        "server { listen 127.0.0.1:$listen; server_name $_->{name}; $off
                  $_->{conf} }\n"
    } @groups;
}

# Sends a request as it stands; returns the connection, status and body.
sub ask {
    my ($group, $method, $path, %headers) = @_;
    my $raw = KapokMQ::Raw->new(upgrade => 0,
        port => $group->{merge_slashes} ? $slashes : $port);
    my $body = $method eq 'POST' ? 'topic=sent&messageData=x' : '';

    %headers = (Host => $group->{name}, secretKey => 'sesame',
                'Content-Length' => length $body, %headers);
    $raw->write(join "\r\n", "$method $path HTTP/1.1",
                (map { "$_: $headers{$_}" } sort keys %headers), '', $body);
    $raw->_fill until $raw->{in} =~ /\r\n\r\n/ || $raw->{eof};
    $raw->{in} =~ s{^HTTP/1\.1 (\d+)(.*?\r\n\r\n)}{}s;
    my ($status, $head) = ($1 // 0, $2 // '');
    return ($raw, $status, '') if $status == 101;

    my ($length) = $head =~ /^Content-Length: (\d+)/m;
    $raw->_fill until $raw->{eof}
        || defined $length && length $raw->{in} >= $length;
    return ($raw, $status, $raw->{in});
}

# The clients that the queue has.
sub clients {
    my $json = $mq->clients;

    return map { "$_->{Topic}|" . ($_->{ConsumerId} // $_->{ProducerId}) }
           @{$json->{consumers}}, @{$json->{producers}};
}

# A WebSocket is one by these names, or is refused with that status.
sub socket_is {
    my ($group, $path, $want, $name) = @_;
    my ($raw, $status, $body) = ask($group, 'GET', $path, %upgrade);

    if ($want =~ /^\d+$/) {
        is($status, $want, $name);
        # nginx's own answer, where the location is another one
        like($body, qr/^\{"code":-1,"msg":"[^"]+"\}$/, "$name: says why")
            if $want != 403;

    } else {
        is($status, 101, $name);
        my @clients;
        wait_for { @clients = clients(); $status != 101 || @clients }
                 "$name: it joins";
        is_deeply(\@clients, [$want], "$name: its names");
    }

    $raw->close;
    wait_for { !clients() } "$name: it leaves" if $status == 101;
}

sub answer_is {
    my ($group, $method, $path, $want, $name) = @_;
    my ($raw, $status, $body) = ask($group, $method, $path,
        $method eq 'POST'
        ? ('Content-Type' => 'application/x-www-form-urlencoded') : (),
        Connection => 'close');

    $raw->close;
    return is($status, $want, $name) if $want =~ /^\d+$/;
    is($status, 200, $name);
    like($body, $shows{$want}, "$name: the answer of $want");
}

sub run_group {
    my ($group) = @_;

    for my $case (@{$group->{cases}}) {
        my ($path, $want, $method) = @$case;
        my $name = "$group->{name}: $path, $want";

        $method //= $path =~ m{^/(?:Cons[a-z]+/Conn|Prod[a-z]+/Conn)}
                    || $group->{sockets} ? 'WS' : 'POST';
        $method eq 'WS' ? socket_is($group, $path, $want, $name)
                        : answer_is($group, $method, $path, $want, $name);
    }
}

my $all = 'location /Producers/Conn/ { kapokmq_producer; }
    location /Consumers/Conn/ { kapokmq_consumer; }
    location /Producer/Send { kapokmq_send; }
    location /Console/ { kapokmq_console; }
    location /metrics { kapokmq_metrics; }';

# --- names in the URI

my @groups = ({
    name => 'plain', conf => $all, cases => [
        ['/Consumers/Conn/open/c' => 'open|c'],
        ['/Producers/Conn/open/p' => 'open|p'],
        ['/Consumers/Conn/open/c/' => 'open|c'],
        ['/Consumers/Conn/open/c?x=/secret/d' => 'open|c'],
        ['/Consumers/Conn/%6fpen/%63' => 'open|c'],
        ['/Consumers//Conn///open//c//' => 'open|c', 'WS'],
        ['/Consumers/./Conn/x/../open/y/%2e%2e/c' => 'open|c', 'WS'],
        ['/x/../Consumers/Conn/open/c' => 'open|c', 'WS'],
        ['/Consumers/Conn/a%23b/c%3Fd' => 'a#b|c?d'],
        ['/Consumers/Conn/a%20b/c+d' => 'a b|c+d'],
        ['/Consumers/Conn/%252F/%25' => '%2F|%'],
        ['/Consumers/Conn/.../..c' => '...|..c'],
        ['/Consumers/Conn/open%2Fc' => 'open|c'],
        # more, or fewer: no id is ever a topic
        ['/Consumers/Conn/x/open/c' => 404],
        ['/Consumers/Conn/open' => 404],
        ['/Consumers/Conn/open/' => 404],
        ['/Consumers/Conn/' => 404],
        ['/Consumers/Conn/open/c/x' => 404],
        ['/Consumers/Conn/a%2Fb/c' => 404],
        ['/Consumers/Conn/a/b%2Fc' => 404],
        ['/Consumers/Conn/x#/open/c' => 404],
        ['/Consumers/Conn/x?/open/c' => 404],
        ['/Producers/Conn/x/open/p' => 404],
        # no names
        ['/Consumers/Conn/%ff/c' => 400],
        ['/Consumers/Conn/open/%ed%a0%80' => 400],
        ['/Consumers/Conn/' . 'x' x 256 . '/c' => 400],
        ['/Consumers/Conn/open/' . '%41' x 256 => 400],
        # functions
        ['/Console/Ping' => 'Ping'], ['/Console/Ping/' => 'Ping'],
        ['/Console/%50ing?x=/GetConfig' => 'Ping'],
        ['/Console//Ping' => 'Ping'], ['/Console/x/../Ping' => 'Ping'],
        ['/Console/x/Ping' => 404], ['/Console/Ping/x' => 404],
        ['/Console/x%2FPing' => 404], ['/Console/' => 404],
        ['/Console/x#/Ping' => 404], ['/Console/x?/Ping' => 404],
        ['/Console/ping' => 404], ['/Console/Ping%3F' => 404],
        ['/Producer/Send' => 'sent'], ['/Producer/Send/' => 'sent'],
        ['/Producer/Send/Send' => 'sent'], ['/Producer/Sends' => 404],
        ['/Producer/Send/x' => 404], ['/Producer/Send/x/Send' => 404],
        ['/Producer/Send%2FSend/' => 'sent'],
        ['/metrics', 'metrics', 'GET'], ['/metrics/', 'metrics', 'GET'],
        ['/metrics/x', 404, 'GET'], ['/metricsx', 404, 'GET'],
    ],
}, {
    name => 'slashes', merge_slashes => 1,
    conf => "$all location = /Console/GetConfig { deny all; }", cases => [
        ['/Consumers/Conn/open/c/' => 'open|c'],
        ['/Consumers/Conn//open/c' => 404],
        ['/Consumers/Conn/open//c' => 404],
        ['/Consumers/Conn/open/c//' => 404],
        ['/Consumers/Conn//c' => 400],
        ['/Consumers/Conn//' => 400],
        ['/Consumers//Conn/open/c' => 404, 'POST'],
        ['/Console//Ping' => 404], ['/Console/Ping//' => 404],
        ['/Console/GetConfig/' => 403], ['/Console/GetConfig//' => 404],
        ['/Producer/Send//' => 404], ['/Producer/Send//Send' => 404],
    ],
}, {
    name => 'no_slash', conf => '
        location /Consumers/Conn { kapokmq_consumer; }
        location /Producers/Conn { kapokmq_producer; }
        location /Admin { kapokmq_console; }
        location /Console/Ping { kapokmq_console; }',
    cases => [
        ['/Consumers/Conn/open/c' => 'open|c'],
        ['/Producers/Conn/open/p/' => 'open|p'],
        ['/Consumers/Connx/open/c' => 404],
        ['/Consumers/Connopen/c' => 404],
        ['/Consumers/Conn' => 404],
        ['/Consumers/Conn/open' => 404],
        ['/Admin/Ping' => 'Ping'], ['/Admin/Ping/' => 'Ping'],
        ['/AdminPing' => 404], ['/Admin' => 404], ['/Admin/' => 404],
        ['/Admin/x/Ping' => 404], ['/Adminx/Ping' => 404],
        ['/Console/Ping' => 404], ['/Console/Ping/Ping' => 'Ping'],
    ],
}, {
    name => 'prefix', conf => "$all
        location /Consumers/Conn/secret/ { deny all; }
        location ^~ /Producers/Conn/secret/ { deny all; }
        location /Console/Get { deny all; }", cases => [
        ['/Consumers/Conn/open/c' => 'open|c'],
        ['/Consumers/Conn/secret/c' => 403],
        ['/Consumers/Conn/secret/c/' => 403],
        ['/Consumers/Conn/secret/' => 403],
        ['/Consumers/Conn/%73ecret/c' => 403],
        ['/Consumers/Conn/secret%2Fc' => 403],
        ['/Consumers/Conn//secret//c' => 403],
        ['/Consumers/Conn/./secret/c' => 403],
        ['/Consumers/Conn/x/../secret/c' => 403],
        ['/Consumers/Conn/x/..%2Fsecret/c' => 403],
        ['/Consumers/Conn/x/%2e%2e/secret/c' => 403],
        ['/Consumers/Conn/x/secret/c' => 404],
        ['/Consumers/Conn/x%2Fsecret/c' => 404],
        ['/Consumers/Conn/x#/secret/c' => 404],
        ['/Consumers/Conn/x?/secret/c' => 404],
        ['/Consumers/Conn/secret' => 404],
        ['/Producers/Conn/secret/p' => 403],
        ['/Producers/Conn/x/secret/p' => 404],
        ['/Console/Ping' => 'Ping'], ['/Console/GetConfig' => 403],
        ['/Console/%47etConfig' => 403], ['/Console/x/GetConfig' => 404],
        ['/Console/GetConfig/x/../' => 403],
    ],
}, {
    name => 'exact', conf => "$all
        location = /Console/PurgeTopic { deny all; }
        location = /Console/GetConfig { internal; kapokmq_console; }
        location = /Consumers/Conn/shared/c { deny all; }
        location = /metrics { deny all; }
        location = /Producer/Send { deny all; }
        location = /one/CountMessage { kapokmq_console; }
        location = /two/Ping/ { kapokmq_console; }", cases => [
        ['/Console/Ping' => 'Ping'],
        ['/Console/PurgeTopic' => 403], ['/Console/PurgeTopic/' => 403],
        ['/Console/x/PurgeTopic' => 404], ['/Console/%50urgeTopic' => 403],
        ['/Console//PurgeTopic//' => 403], ['/Console/./PurgeTopic/.' => 403],
        ['/Console/x%2FPurgeTopic' => 404], ['/Console/PurgeTopic%2F' => 403],
        ['/Console/PurgeTopic?x' => 403], ['/Console/PurgeTopic/?x' => 403],
        ['/Console/PurgeTopic#' => 403], ['/Console/x#/PurgeTopic' => 404],
        ['/Console/GetConfig' => 404], ['/Console/GetConfig/' => 404],
        ['/Consumers/Conn/shared/c' => 403],
        ['/Consumers/Conn/shared/c/' => 403],
        ['/Consumers/Conn/x/shared/c' => 404],
        ['/Consumers/Conn/shared/d' => 'shared|d'],
        ['/metrics/', 403, 'GET'], ['/Producer/Send/' => 403],
        ['/one/CountMessage' => 'CountMessage'],
        ['/one/CountMessage/' => 404], ['/one/Ping' => 404],
        ['/two/Ping/' => 'Ping'], ['/two/Ping' => 404],
    ],
}, {
    name => 'regex', conf => "$all
        location ~* /conn/secret { deny all; }
        location ~ ^/Console/(?!Ping) { deny all; }
        location ~ ^/send/ { kapokmq_send; }", cases => [
        ['/Consumers/Conn/open/c' => 'open|c'],
        ['/Consumers/Conn/secret/c' => 403],
        ['/Consumers/Conn/%73%65cret/c' => 403],
        ['/Consumers/Conn/SECRET/c' => 403],
        ['/Consumers/Conn/x/secret/c' => 404],
        ['/Console/Ping' => 'Ping'], ['/Console/GetConfig' => 403],
        ['/Console/x/GetConfig' => 403], ['/Console/Ping/GetConfig' => 404],
        ['/Console/Ping#/GetConfig' => 'Ping'],
        ['/send/any/thing' => 'sent'],
    ],
}, {
    name => 'nested', conf => '
        location /Consumers/ {
            deny all;
            location /Consumers/Conn/ {
                allow all;
                kapokmq_consumer;
                location /Consumers/Conn/secret/ { deny all; }
                location ~ /hidden/ { deny all; }
                location = /Consumers/Conn/open/me { deny all; }
            }
        }
        location /Console/ {
            kapokmq_console;
            location = /Console/PurgeTopic { deny all; }
            location /Console/in/ { kapokmq_console; }
        }', cases => [
        ['/Consumers/Conn/open/c' => 'open|c'],
        ['/Consumers/Conn/secret/c' => 403],
        ['/Consumers/Conn/x/secret/c' => 404],
        ['/Consumers/Conn/hidden/c' => 403],
        ['/Consumers/Conn/x/hidden/c' => 403],
        ['/Consumers/Conn/open/me' => 403],
        ['/Consumers/Conn/open/me/' => 403],
        ['/Consumers/x/Conn/open/c' => 403, 'POST'],
        ['/Console/PurgeTopic' => 403], ['/Console/PurgeTopic/' => 403],
        ['/Console/x/PurgeTopic' => 404],
        ['/Console/in/Ping' => 'Ping'], ['/Console/in/x/Ping' => 404],
    ],
}, {
    name => 'if', conf => '
        if ($uri = /Console/PurgeTopic) { return 403; }
        location /Consumers/Conn/ {
            kapokmq_consumer;
            if ($arg_a) { set $b 1; }
            if ($uri ~ secret) { return 403; }
        }
        location /Producers/Conn {
            kapokmq_producer;
            if ($arg_a) { set $b 1; }
        }
        location /Console/ {
            kapokmq_console;
            if ($arg_a) { set $b 1; }
            if ($uri = /Console/GetConfig) { return 403; }
        }
        location = /one/Ping {
            kapokmq_console;
            if ($arg_a) { set $b 1; }
        }
        location /send {
            kapokmq_send;
            if ($arg_a) { set $b 1; }
        }', cases => [
        (map { my $a = $_;
            ["/Consumers/Conn/open/c$a" => 'open|c'],
            ["/Consumers/Conn/x/open/c$a" => 404],
            ["/Consumers/Conn/open/$a" => 404],
            ["/Consumers/Conn/secret/c$a" => 403],
            ["/Producers/Conn/open/p$a" => 'open|p'],
            ["/Producers/Connx/open/p$a" => 404],
            ["/Console/Ping$a" => 'Ping'], ["/Console/x/Ping$a" => 404],
            ["/Console/Ping/$a" => 'Ping'],
            ["/Console/GetConfig$a" => 403], ["/Console/GetConfig/$a" => 403],
            ["/Console/PurgeTopic$a" => 403],
            ["/Console/PurgeTopic/$a" => 403],
            ["/one/Ping$a" => 'Ping'], ["/one/Ping/$a" => 404],
            ["/send$a" => 'sent'], ["/send/Send$a" => 'sent'],
            ["/send/x$a" => 404],
        } '', '?a=1'),
    ],
}, {
    name => 'limit_except', conf => '
        location /Consumers/Conn/ {
            kapokmq_consumer;
            limit_except POST { deny 10.0.0.0/8; }
        }
        location /Producers/Conn/ {
            kapokmq_producer;
            limit_except POST { deny all; }
        }
        location /Console/ {
            kapokmq_console;
            limit_except GET { deny 10.0.0.0/8; }
        }
        location = /one/Ping {
            kapokmq_console;
            limit_except GET { deny 10.0.0.0/8; }
        }
        location /send {
            kapokmq_send;
            limit_except GET { deny 10.0.0.0/8; }
        }', cases => [
        ['/Consumers/Conn/open/c' => 'open|c'],
        ['/Consumers/Conn/open/c/' => 'open|c'],
        ['/Consumers/Conn/x/open/c' => 404],
        ['/Consumers/Conn/open' => 404],
        ['/Producers/Conn/open/p' => 403],
        ['/Producers/Conn/open/p/' => 403],
        ['/Console/Ping' => 'Ping'], ['/Console/x/Ping' => 404],
        ['/one/Ping' => 'Ping'], ['/one/Ping/' => 404],
        ['/send' => 'sent'], ['/send/x' => 404],
    ],
}, {
    name => 'rewrite', conf => "$all" . '
        location /Consumers/Conn/secret/ { deny all; }
        location = /Console/PurgeTopic { deny all; }
        location /mine/ { rewrite ^/mine/(.*)$ /Consumers/Conn/open/$1 last; }
        location /any/ { rewrite ^/any/(.*)$ /Consumers/Conn/$1 last; }
        location /admin/ { rewrite ^/admin/(.*)$ /Console/$1 last; }
        location /Consumers/Conn/broken/ {
            rewrite ^ /Consumers/Conn/secret/c break;
            kapokmq_consumer;
        }
        location /Consumers/Conn/changed/ {
            rewrite ^ /Consumers/Conn/changed/open/c break;
            kapokmq_consumer;
        }
        location /Consumers/Conn/again/ {
            rewrite ^(.*/again)/(.*)$ $1/open/$2 break;
            kapokmq_consumer;
        }
        location = /Console/Ping {
            rewrite ^ /Console/GetConfig break;
            kapokmq_console;
        }
        rewrite ^/loop/(.*[^/])$ /Console/$1/ last;
        rewrite ^(/Console/x[^/]*)$ $1/ last;', cases => [
        ['/mine/c' => 'open|c', 'WS'],
        ['/mine/secret/c' => 404, 'WS'],
        ['/any/open/c' => 'open|c', 'WS'],
        ['/any/open/c/' => 'open|c', 'WS'],
        ['/any/secret/c' => 403, 'WS'], ['/any/secret/c/' => 403, 'WS'],
        ['/any/x/secret/c' => 404, 'WS'],
        ['/Consumers/Conn/broken/x' => 404],
        ['/Consumers/Conn/changed/x' => 'open|c'],
        ['/Consumers/Conn/again/c' => 'open|c'],
        ['/Consumers/Conn/again/c/' => 'open|c'],
        ['/Consumers/Conn/again/' => 404],
        ['/admin/CountMessage' => 'CountMessage'],
        ['/admin/PurgeTopic' => 403], ['/admin/PurgeTopic/' => 403],
        ['/Console/Ping' => 404],
        ['/loop/CountMessage' => 'CountMessage'],
        ['/loop/PurgeTopic' => 403],
        ['/Console/x' => 500],
    ],
}, {
    name => 'try_files', conf => "$all" . '
        location /Consumers/Conn/secret/ { deny all; }
        location /in/ { try_files /nothing /Consumers/Conn/open/c; }
        location /ask/ { try_files /nothing /Consumers/Conn$arg_path; }
        location /Consumers/Conn/there/ {
            kapokmq_consumer;
            try_files $uri =404;
        }
        location /named/ { try_files /nothing @send; }
        location @send { kapokmq_send; }
        location = /error/ { error_page 403 /Console/Ping; deny all; }',
    cases => [
        ['/in/x' => 'open|c', 'WS'],
        ['/ask/?path=/open/c' => 'open|c', 'WS'],
        ['/ask/?path=/secret/c' => 403, 'WS'],
        ['/ask/?path=/x/secret/c' => 404, 'WS'],
        ['/ask/?path=/open/c/' => 'open|c', 'WS'],
        ['/Consumers/Conn/there/c' => 404],
        ['/named/x' => 'sent'],
    ],
});

$mq = KapokMQ::Test->start(
    http => servers(@groups),
    allow => qr/forbidden by rule|expected behind|redirection cycle|No such file/,
);
$mq->publish('secret', 'x');
$mq->publish('secret', 'y');

run_group($_) for @groups;

my ($secret) = grep { $_->{Topic} eq 'secret' }
               @{$mq->post('/Console/GetTopics')->{data}};
is($secret->{Delivered}, 0, 'nobody was pushed what is secret');

my $log = $mq->log;
like($log, qr{\[error\].*two[ ]names[ ]are[ ]expected.*the[ ]URI[ ]is
              [ ]"/Consumers/Conn/x/open/c",[ ]the[ ]location
              [ ]"/Consumers/Conn/"}x, 'the error log names what was wrong');
like($log, qr{\[info\].*topic is not valid UTF-8; the URI is "/Consumers/Conn/},
     'and a name that is none');
like($log, qr{One function is expected.*"/Console/x/Ping"}, 'a function');
like($log, qr{Nothing, or "Send", is expected.*"/Producer/Sends"}, 'Send');
$mq->finish;


# --- names in variables

@groups = ({
    name => 'regex', sockets => 1, conf => '
        location ~ ^/q/([^/]+)/([^/]+)$ {
            kapokmq_consumer topic=$1 id=$2;
        }
        location ~ ^/p/(?<topic>.+)/(?<id>[^/]+)$ {
            kapokmq_producer topic=$topic id=$id;
        }
        location ~ ^/if/([^/]+)/([^/]+)$ {
            kapokmq_consumer id=$2 topic=$1;
            if ($arg_a) { set $b 1; }
        }
        location ~ ^/except/([^/]+)/([^/]+)$ {
            kapokmq_consumer "topic=$1" "id=$2";
            limit_except POST { deny 10.0.0.0/8; }
        }
        location ~ ^/q/secret/ { deny all; }
        location ^~ /q/hidden/ { deny all; }', cases => [
        ['/q/open/c' => 'open|c'], ['/q/%6fpen/%63' => 'open|c'],
        ['/q/a%23b/c%3Fd' => 'a#b|c?d'],
        ['/q/hidden/c' => 403], ['/q/%68idden/c' => 403],
        ['/q/x/hidden/c' => 404, 'POST'], ['/q/open/c/' => 404, 'POST'],
        ['/p/a/b/p' => 'a/b|p'],
        ['/q/%ff/c' => 400], ['/q/' . 'x' x 256 . '/c' => 400],
        ['/if/open/c' => 'open|c'], ['/if/open/c?a=1' => 'open|c'],
        ['/except/open/c' => 'open|c'],
    ],
}, {
    name => 'variables', sockets => 1, conf => '
        location = /exact { kapokmq_consumer topic=$arg_topic id=$arg_id; }
        location /fixed { kapokmq_producer topic=open id=p; }
        location /Consumers/Conn/ {
            kapokmq_consumer;
            location ~ ^/Consumers/Conn/(limited)/([^/]+)$ {
                kapokmq_consumer topic=$1 id=$2-$remote_addr;
            }
        }
        location ~ ^/named/(?<topic>[^/]+)/(?<id>[^/]+)$ {
            try_files /nothing @consumer;
        }
        location /error/ { error_page 403 = @consumer; deny all; }
        location @consumer {
            kapokmq_consumer topic=$topic id=$id;
            if ($arg_a) { set $b 1; }
        }
        location ~ ^/circle/ {
            kapokmq_consumer topic=$kapokmq_topic$kapokmq_id
                             id=$kapokmq_id$kapokmq_topic;
        }', cases => [
        ['/exact?topic=open&id=c' => 'open|c'],
        ['/exact?topic=a/b&id=c' => 'a/b|c'],
        ['/exact?topic=open' => 400], ['/exact?id=c' => 400],
        ['/exact' => 400],
        ['/fixed' => 'open|p'], ['/fixed/' => 'open|p'],
        ['/fixed/secret/c' => 'open|p'],
        ['/Consumers/Conn/open/c' => 'open|c'],
        ['/Consumers/Conn/limited/c' => 'limited|c-127.0.0.1'],
        ['/Consumers/Conn/x/limited/c' => 404],
        ['/named/open/c' => 'open|c'], ['/named/open/c?a=1' => 'open|c'],
        ['/named/x/open/c' => 404, 'POST'],
        ['/error/' => 400],
        ['/circle/' => 400],
    ],
});

$mq = KapokMQ::Test->start(
    http => "log_format names '\$uri|\$kapokmq_topic|\$kapokmq_id|\$status';
             map \$arg_id \$other { ~^(.)(.)\$ \$2; default -; }"
            . servers(@groups, {
        name => 'logged', conf => 'access_log names.log names;
            location ~ ^/l/([^/]+)/([^/]+)$ {
                kapokmq_consumer topic=$1 id=$2;
                add_header X-Other $other;
            }' }),
    allow => qr/forbidden by rule|expected behind|No such file|no value/);
run_group($_) for @groups;

# what a regular expression has found may be found otherwise by another one,
# until the line is written
socket_is({ name => 'logged' }, '/l/open/c?id=xy', 'open|c', 'logged');
socket_is({ name => 'logged' }, '/l/%ff/c?id=xy', 400, 'logged');
my $lines = sub {
    open my $in, '<', "$mq->{dir}/names.log" or return '';
    return join '', <$in>;
};
wait_for { $lines->() =~ /400\n/ } 'a line for each';
like($lines->(), qr{^/l/open/c\|open\|c\|101$}m,
     'the names in the access log are those of the session');

$mq->finish;
done_testing;
