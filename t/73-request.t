# What becomes of the HTTP request when it is a WebSocket: nginx gets it back at
# once, or keeps it until the session's end where something waits for that.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use IO::Socket::INET;
use Mojo::UserAgent;
use Test::More;
use KapokMQ::Raw;
use KapokMQ::Test;

my $plain = q(log_format plain '$request_uri $status $kapokmq_role'
              ' $kapokmq_confirm';);
my $mirror = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1')
             or die "listen: $!";
my $mirror_port = $mirror->sockport;

# what is read of memory that is not one's own is no valid pointer then
$ENV{MALLOC_PERTURB_} = 165;

my $mq = KapokMQ::Test->start(
    yaml => { maxMessageSize => 4096 },
    http => "$plain limit_conn_zone \$kapokmq_topic zone=topics:1m;",
    allow => qr/limiting connections by zone|upstream/,
    conf => "location = /mirror {
            internal;
            proxy_pass http://127.0.0.1:$mirror_port;
        }" . 'access_log plain.log plain;
        location ~ ^/Consumers/Conn/(mirrored)/([^/]+)$ {
            kapokmq_consumer topic=$1 id=$2;
            mirror /mirror;
        }
        location ~ ^/Consumers/Conn/(limited)/([^/]+)$ {
            kapokmq_consumer topic=$1 id=$2;
            limit_conn topics 2;
        }
        location ~ ^/Consumers/Conn/(told)/([^/]+)$ {
            kapokmq_consumer topic=$1 id=$2;
            kapokmq_access_log end;
        }
        location = /refused { internal; proxy_pass http://127.0.0.1:1; }
        location = /missing { internal; return 404; }
        location ~ ^/Consumers/Conn/(failing)/([^/]+)$ {
            kapokmq_consumer topic=$1 id=$2;
            mirror /missing; mirror /refused; mirror /mirror;
        }
        location ~ ^/Producers/Conn/(failing)/([^/]+)$ {
            kapokmq_producer topic=$1 id=$2;
            mirror /mirror;
        }
        location = /allow { access_log off; return 204; }
        location = /auth {
            internal;
            proxy_pass http://127.0.0.1:$server_port/allow;
        }
        location ~ ^/Consumers/Conn/(asked)/([^/]+)$ {
            kapokmq_consumer topic=$1 id=$2;
            auth_request /auth;
        }
        location = /status { stub_status; access_log off; }');

sub logged {
    my ($part) = @_;

    open my $in, '<', "$mq->{dir}/plain.log" or return;
    return grep { /\n\z/ && index($_, $part) >= 0 } <$in>;
}

# The numbers of stub_status.
sub status {
    my $text = Mojo::UserAgent->new->get("http://127.0.0.1:$mq->{port}/status")
                   ->res->body;
    my ($active) = $text =~ /Active connections: (\d+)/;
    my ($reading, $writing) = $text =~ /Reading: (\d+) Writing: (\d+)/;

    return { active => $active, reading => $reading, writing => $writing };
}


# --- kept while a subrequest runs; first, while all memory is still new

my $mirrored = $mq->consumer('mirrored', 'c');
my $peer = $mirror->accept;
sysread $peer, my $heard, 4096;
like($heard, qr{^GET /mirror }, 'a subrequest of its own is under way');
$mq->publish('mirrored', 'x');
wait_for { @{$mirrored->messages} == 1 } 'which delays nothing';
syswrite $peer, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
sysread $peer, $heard, 1;
is($heard, '', 'it ends');
$mq->publish('mirrored', 'y');
wait_for { @{$mirrored->messages} == 2 } 'and the session goes on';
$mq->counts_become({ unconsumed => 0, consumed => 2 }, 'and confirms');
$mirrored->finish;
wait_for { status()->{active} == 1 } 'it leaves';


# --- kept while subrequests fail, at once and later

for my $answer ('', "HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n", 'x') {
    my $name = $answer ? 'it says ' . substr $answer, 0, 12 : 'it breaks off';
    my $consumer = $mq->consumer('failing', 'c');
    my @served = scalar $mirror->accept;
    my $producer = $mq->producer('failing', 'p');
    push @served, scalar $mirror->accept;
    $producer->send('early');
    wait_for { @{$consumer->messages} == 1 } 'what fails delays nothing';

    for my $peer (@served) {
        sysread $peer, $heard, 4096;
        syswrite $peer, $answer if $answer;
        shutdown $peer, 1;
        1 while sysread $peer, $heard, 4096;
    }
    is($heard, '', "a mirror fails: $name");
    $producer->send('late');
    wait_for { @{$consumer->messages} == 2 } 'both sessions go on';
    wait_for { @{$producer->texts} == 2 } 'and are answered';
    $mq->counts_become({ unconsumed => 0 }, 'and confirm');
    $_->finish(1000) for $consumer, $producer;
    wait_for {
        my $clients = $mq->clients;
        !@{$clients->{consumers}} && !@{$clients->{producers}}
    } 'and leave';
    wait_for { status()->{active} == 1 } 'with their connections';
    $mq->post('/Console/PurgeTopic', { topic => 'failing', status => 3 });
}

{
    my $consumer = $mq->consumer('failing', 'c');
    my $peer = $mirror->accept;
    sysread $peer, $heard, 4096;
    close $peer;
    $mq->publish('failing', 'x');
    wait_for { @{$consumer->messages} == 1 } 'one of which a mirror fails';
    $mq->renew;
    wait_for { $consumer->closed } 'is closed by a reload';
    is($consumer->closed->[0], 1001, 'with 1001');
    $mq->post('/Console/PurgeTopic', { topic => 'failing', status => 3 });
    wait_for { status()->{active} == 1 } 'and gone';
}


# --- given back: logged at the beginning, works to the end

my $consumer = $mq->consumer('a', 'c');
my $producer = $mq->producer('a', 'p');
wait_for { logged('/a/c') && logged('/a/p') } 'both are logged at once';
is((logged('/a/c'))[0], "/Consumers/Conn/a/c 101 consumer pong\n",
   'a consumer');
is((logged('/a/p'))[0], "/Producers/Conn/a/p 101 producer -\n",
   'a producer');
my $status;
wait_for {
    $status = status();
    "@$status{qw(active reading writing)}" eq '3 0 1'
} 'two connections, and no request but this one' or diag(explain($status));

$producer->send($_) for 1 .. 500;
wait_for { @{$consumer->messages} == 500 } 'messages pass';
wait_for { @{$producer->texts} == 500 } 'and are accepted';
$mq->counts_become({ unconsumed => 0, consumed => 502 }, 'and confirmed');

$producer->send('{"MessageData":1}');
wait_for { @{$producer->texts} == 501 } 'one is refused';
my ($topic) = grep { $_->{Topic} eq 'a' }
              @{$mq->post('/Console/GetTopics')->{data}};
is($topic->{Refused}, 1, 'and counted for its topic');

$_->finish(1000) for $consumer, $producer;
wait_for { status()->{active} == 1 } 'both connections are closed';
is(scalar(logged('/a/')), 2, 'and not logged again');


my $asked = $mq->consumer('asked', 'c');
wait_for { logged('/asked/c') } 'as well behind an auth_request that is done';
$asked->finish;


# --- what came right behind the request, in buffers of whatever size

for my $padding (0, 20_000) {
    my $raw = KapokMQ::Raw->new(
        port => $mq->{port}, path => '/Producers/Conn/a/early',
        headers => { map { ("X-$_" => 'x' x ($padding / 4)) } 1 .. 4 },
        early => KapokMQ::Raw::frame(1, 'sesame')
                 . KapokMQ::Raw::frame(1, 'message'));
    is($raw->status, 101, "$padding bytes of headers: upgraded");
    is_deeply([map { $raw->next_text } 1 .. 3],
              ['Please enter the secret key', 'Secret key matching succeeded',
               'ok'], 'the key, and a message, came along');
    $raw->close;
}


# --- a bad frame: the client can read why, whatever else it has sent

my $raw = KapokMQ::Raw->new(port => $mq->{port}, key => 'sesame',
                            path => '/Producers/Conn/a/bad');
$raw->next_text;
$raw->write(KapokMQ::Raw::frame(1, 'x' x 30_000) . "\0" x 3_000_000);
is($raw->close_code, 1009, 'a message that is too large, and much behind it');
ok($raw->ended, 'then the end');
$raw->close;
wait_for { status()->{active} == 1 } 'no connection stays';


# --- kept where somebody waits for its end

my $told = $mq->consumer('told', 'c');
wait_for { status()->{writing} == 2 }
         'kapokmq_access_log end: the request is there';
is(scalar(logged('/told/')), 0, 'and not logged yet');
$told->finish(1000);
wait_for { logged('/told/') } 'but when it ends';
is((logged('/told/'))[0], "/Consumers/Conn/told/c 101 consumer pong\n",
   'as ever');

my @two = map { $mq->consumer('limited', "c$_") } 1 .. 2;
my $third = $mq->connect('/Consumers/Conn/limited/c3');
wait_for { ($third->status // 0) == 503 } 'limit_conn counts sessions';
$two[0]->finish;
wait_for { logged('/limited/c1') } 'one leaves';
wait_for {
    $third = $mq->connect('/Consumers/Conn/limited/c4',
                          headers => { secretKey => 'sesame' })
        if $third->failed;
    @{$third->texts}
} 'and another may come';
$_->finish for $two[1], $third;


# --- on a connection that has served others

my $socket = KapokMQ::Raw->new(port => $mq->{port}, upgrade => 0,
                               path => '/Consumers/Conn/a/later');
$socket->write("GET /status HTTP/1.1\r\nHost: x\r\n\r\n");
$socket->_fill until $socket->{in} =~ s/^.*Waiting: \d+ ?\n//s;
$socket->{key} = 'sesame';
$socket->handshake;
is($socket->next_text, 'Secret key matching succeeded', 'a second request');
$mq->publish('a', 'x');
like($socket->next_text, qr/"MessageData":"(?:message|x)"/, 'gets messages');
$socket->close;


# --- a reload, with requests of both kinds

my @all = ($mq->consumer('a', 'r1'), $mq->consumer('told', 'r2'),
           $mq->producer('a', 'r3'));
$mq->renew;
wait_for { !grep { !$_->closed } @all } 'a reload closes all sessions';
is($_->closed->[0], 1001, 'with 1001') for @all;
wait_for { status()->{active} == 1 } 'nothing is left';


# --- a directive that is wrong

$mq->configure(http => "$plain kapokmq_access_log sometimes;"
                       . 'limit_conn_zone $kapokmq_topic zone=topics:1m;');
my ($rc, $text) = $mq->test_config;
isnt($rc, 0, 'another value than upgrade or end');
like($text, qr/invalid value "sometimes"/, 'is named');

$mq->finish;
done_testing;
