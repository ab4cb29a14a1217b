# $kapokmq_...: what an access log tells of producers, consumers and messages
# sent by HTTP, however they end.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Mojo::JSON qw(decode_json);
use Test::More;
use KapokMQ::Test;

my @names = qw(role topic id messages confirm confirmed status message_code);

my $mq = KapokMQ::Test->start(
    yaml => { confirm => 'pong', isPersistent => $ENV{KMQ_PERSISTENT} // 2,
              maxMessageSize => 4096 },
    http => "log_format names escape=json '{" . join(',',
        '"uri":"$request_uri"', '"http":"$status"',
        map { qq("$_":"\$kapokmq_$_") } @names) . "}';\n"
        . "limit_conn_zone \$kapokmq_topic zone=topics:1m;\n"
        . q(log_format plain '$kapokmq_role|$kapokmq_topic|$kapokmq_id|'
            '$kapokmq_messages|$kapokmq_confirm|$kapokmq_confirmed|'
            '$kapokmq_status|$kapokmq_message_code';),
    consumer => 'add_header X-Early
                 "$kapokmq_topic $kapokmq_id $kapokmq_messages" always;
                 add_header X-Worker $pid always;
                 limit_conn topics 3;',
    allow => qr/limiting connections by zone/,
    conf => 'access_log names.log names; access_log plain.log plain;
             location = /none { return 204; }');

# Lines of a log, decoded.
sub lines {
    my ($name) = @_;

    open my $in, '<', "$mq->{dir}/$name.log" or return;
    return grep { /\n\z/ } <$in>;
}

# The lines of requests whose URI holds a text.
sub logged {
    my ($part) = @_;

    return grep { index($_->{uri}, $part) >= 0 }
           map { decode_json($_) } lines('names');
}

# A request's one line says that; what is not named is empty.
sub logs {
    my ($part, $name, %wanted) = @_;
    my @lines;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    wait_for { @lines = logged($part) } "$name: a line" or return;
    my %line = %{$lines[-1]};
    delete $line{uri};
    return is_deeply(\%line, { http => 101, (map { $_ => '' } @names),
                               %wanted }, $name);
}


# --- WebSockets

my %wrong = (role => 'producer', topic => 'wrong');
my $denied = $mq->connect('/Producers/Conn/wrong/key',
                          headers => { secretKey => 'x' });
wait_for { $denied->failed } 'a wrong key in the header';
logs('/wrong/key', 'no WebSocket', %wrong, id => 'key', http => 401);

my $guess = $mq->connect('/Producers/Conn/wrong/guess');
wait_for { @{$guess->texts} } 'the key is asked for';
$guess->send(('x') x 5);
wait_for { $guess->closed } 'five wrong keys';
logs('/wrong/guess', 'its end is ours', %wrong, id => 'guess', messages => 0,
     status => 1008);

$denied = $mq->connect('/Consumers/Conn/%ff/bad');
wait_for { $denied->failed } 'a topic that is none';
logs('/%ff/bad', 'no names', role => 'consumer', http => 400);

my $first = $mq->producer('t%20%221', 'p%0a');
$first->send(qw(a b c));
$first->send('{"MessageData":"x","DelayTime":"soon"}');
wait_for { @{$first->texts} == 4 } 'three messages, and one refused';
$first->finish(1000);
logs('/t%20%221/', 'a producer that leaves', role => 'producer',
     topic => 't "1', id => "p\n", messages => 3, status => 1000);

my $second = $mq->producer('t2', 'lost');
$second->send('a');
wait_for { @{$second->texts} == 1 } 'one message';
$second->drop;
logs('/t2/lost', 'a producer that is lost', role => 'producer', topic => 't2',
     id => 'lost', messages => 1, status => 1006);

$second = $mq->producer('t2', 'large');
$second->send('a' x 30_000);
wait_for { $second->closed } 'a frame that is too long for any data';
logs('/t2/large', 'a bad frame', role => 'producer', topic => 't2',
     id => 'large', messages => 0, status => 1009);

my $ack = $mq->consumer('t3', 'ack', confirm => 'ack');
like($ack->response->headers->header('X-Early'), qr/^t3 ack $/,
     'names are known at the beginning, numbers are not');
$mq->publish('t3', $_) for 1 .. 4;
wait_for { @{$ack->messages} == 4 } 'four are pushed';
my @codes = $ack->codes;
$ack->send(@codes[0, 1], "+$codes[2]", "-$codes[3]", 'nonsense');
wait_for { @{$ack->messages} == 5 } 'and one of them again';
$ack->finish(3001);
logs('/t3/ack', 'a consumer that confirms two', role => 'consumer',
     topic => 't3', id => 'ack', messages => 5, confirm => 'ack',
     confirmed => 2, status => 3001);

my $pong = $mq->consumer('t3', 'pong');
wait_for { @{$pong->messages} == 2 && $mq->counts->{unconsumed} == 4 }
         'the others go to a consumer that answers pings';
$pong->finish;
logs('/t3/pong', 'it confirms all', role => 'consumer', topic => 't3',
     id => 'pong', messages => 2, confirm => 'pong', confirmed => 2,
     status => 1005);

my $socket = $mq->consumer('t2', 'socket', confirm => 'socket');
wait_for { @{$socket->messages} == 1 } 'a consumer that need not confirm';
my ($connection) = map { $_->{Connection} }
                   grep { $_->{Id} eq 'socket' }
                   @{$mq->post('/Console/GetClientList')->{data}};
$mq->post('/Console/Disconnect', { connection => $connection });
wait_for { $socket->closed } 'is disconnected by an operator';
logs('/t2/socket', 'and logged', role => 'consumer', topic => 't2',
     id => 'socket', messages => 1, confirm => 'socket', confirmed => 1,
     status => 1008);


# --- messages by HTTP

sub send_is {
    my ($name, $form, %wanted) = @_;
    my $before = grep { /Producer.Send/ } lines('names');
    my (undef, $json) = $mq->post('/Producer/Send', $form);

    wait_for { $before < grep { /Producer.Send/ } lines('names') }
             "$name: a line";
    $wanted{message_code} = $json->{msg} if $wanted{messages};
    logs('/Producer/Send', $name, role => 'send', %wanted);
}

send_is('a message by HTTP', { topic => "t4\x{e9}\n", messageData => 'x' },
        http => 200, topic => "t4\x{e9}\n", messages => 1);
send_is('without data', { topic => 't4' }, http => 400, topic => 't4',
        messages => 0);
send_is('without a topic', { messageData => 'x' }, http => 400,
        messages => 0);
is(scalar(() = $mq->post('/Producer/Send', {}, { secretKey => 'x' })), 3,
   'with a wrong key');
wait_for { grep { $_->{http} == 401 } logged('/Producer/Send') } 'a line';
logs('/Producer/Send', 'nothing is known of it', role => 'send', http => 401);


# --- anything else

my $ua = Mojo::UserAgent->new;
$ua->get("http://127.0.0.1:$mq->{port}/none");
logs('/none', 'another location', http => 204);
$mq->counts;
logs('/Console/CountMessage', 'the console', http => 200);

my @plain = grep { /^producer\|t / } lines('plain');
is($plain[0], "producer|t \\x221|p\\x0A|3|-|-|1000|-\n",
   'without escape=json names are escaped, and what is not there is a dash');
is((grep { !/^(?:[^|]*\|){7}[^|]*\n\z/ } lines('plain')), 0,
   'no name makes a line of its own');

# A topic's connections are counted from the beginning to the end.
my @many = map { $mq->consumer('limited', "c$_") } 1 .. 3;
my $fourth = $mq->connect('/Consumers/Conn/limited/c4');
wait_for { defined $fourth->status && $fourth->status == 503 }
         'limit_conn by topic';
(shift @many)->finish;
wait_for { (logged('/limited/c1'))[0] } 'one of them leaves';
my $fifth;
wait_for {
    $fifth = $mq->connect('/Consumers/Conn/limited/c5',
                          headers => { secretKey => 'sesame' })
        if !$fifth || $fifth->failed;
    @{$fifth->texts}
} 'and another has its place';
push @many, $fifth;

# The worker goes.
$mq->renew;
wait_for { !grep { !$_->closed } @many } 'a reload closes them';
logs('/limited/c5', 'and that is logged', role => 'consumer',
     topic => 'limited', id => 'c5', messages => 0, confirm => 'pong',
     confirmed => 0, status => 1001);

$mq->finish;
done_testing;
