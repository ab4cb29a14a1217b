# Keys change under load as docs/security.md says: the new one beside the old
# one, clients move, the old one goes.  Producers, consumers, streams, pulls and
# sends go on meanwhile; nobody who follows the steps is refused once, and all
# messages arrive.  The same with the secret of tokens.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use KapokMQ::Client;
use KapokMQ::Puller;
use KapokMQ::Stream;
use KapokMQ::Test;
use KapokMQ::Token;

my @SECRETS = map { "secret $_ of more than thirty-two bytes" } 0 .. 3;
my $mq = KapokMQ::Test->start(yaml => yaml(0));
my ($credential, $stopped, $sent_all) = ('k0', 0, 0);
my (%refused, %done, %published, %got);
my $turn = 0;

sub yaml {
    my $keys = join ', ', map { "k$_" } @_;
    my $secrets = join ', ', map { qq("$SECRETS[$_]") } @_;

    return { drainTime => 0.2, retryDelay => 0,
             keys => "{ shop: { key: [$keys], produce: [r.*], consume: [r.*] } }",
             tokens => "{ algorithms: [HS256], secret: [$secrets] }" };
}

sub a_token {
    my ($secret) = @_;

    return token($secret, sub => 'anna', exp => time + 3600,
                 kapokmq => { produce => ['r.*'], consume => ['r.*'] });
}

# 0: nginx has closed an idle connection; 503: it was a worker that ends.
sub answered {
    my ($who, $status) = @_;

    $refused{"$who: $status"}++ unless $status =~ /^(?:0|101|200|503)$/;
    $done{$who}++ if $status == 200;
}

# A WebSocket that comes again when it is closed, logged in by the header or by
# a frame; none of ours ends it but by moving.
sub client {
    my ($who, $path, $begin, %option) = @_;
    my $self = { who => $who };
    my $frame = delete $option{frame};
    my $connect;

    $connect = sub {
        $self->{client} = KapokMQ::Client->new($mq->ws_url($path),
            ($frame ? () : (headers => { secretKey => $credential })), %option,
            on_close => sub {
                my ($client) = @_;
                answered($who, $client->status // 0)
                    unless $client->closed;
                $refused{"$who: closed with $client->{closed}[0]"}++
                    if $client->closed && ($client->closed->[0] // 0) == 1008;
                delete $self->{in};
                $connect->() unless $stopped;
            });
    };
    # what the server has said since the last look
    $self->{tend} = sub {
        my $client = $self->{client};
        for my $text (splice @{$client->texts}) {
            $refused{"$who: $text"}++ if $text =~ /error/;
            $client->send($credential) if $text =~ /^Please/;
            $self->{in} = 1, $begin->($client) if $text =~ /succeeded/;
            $begin->($client), $done{$who}++ if $text eq 'ok';
        }
    };
    $connect->();
    return $self;
}

sub got {
    my ($who, $message) = @_;

    $got{$message->{MessageData}}++;
    $done{$who}++;
}

my @sockets = (
    (map { my $n = $_;
           client("producer $n", "/Producers/Conn/r.p/p$n",
                  sub { $_[0]->send('p' . ++$turn) unless $stopped },
                  frame => $n % 2) } 1 .. 2),
    (map { my $n = $_;
           client("consumer $n", "/Consumers/Conn/r.p/c$n", sub { },
                  ack => 1, frame => $n % 2,
                  on_message => sub { got("consumer $n", $_[1]) }) } 1 .. 2),
);

my @posts = map { KapokMQ::Puller->new($mq) } 1 .. 3;
my ($send, $pull);
$send = sub {
    my $data = 's' . ++$turn;
    $posts[0]{key} = $credential;
    $posts[0]->post('/Producer/Send', { topic => 'r.s', messageData => $data },
        sub {
            answered('send', $_[0]);
            $published{$data} = 1 if $_[0] == 200;
            $send->() unless $stopped || $sent_all;
        });
};
$pull = sub {
    $posts[1]{key} = $credential;
    $posts[1]->pull('r.s', 'puller', { max => 5, wait => 0.2, lease => 60 }, sub {
        my ($status, $json) = @_;
        my @codes = map { $_->{MessageCode} } @{$json->{data} // []};
        answered('pull', $status);
        got('pulled', $_) for @{$json->{data} // []};
        return $stopped || $pull->() unless @codes;
        $posts[2]{key} = $credential;
        $posts[2]->post('/Consumers/Settle', { confirm => \@codes }, sub {
            answered('settle', $_[0]);
            $pull->() unless $stopped;
        });
    });
};
$send->();
$pull->();

# It comes again by itself, with the key that it has then.
my $stream = KapokMQ::Stream->new($mq, 'r.p', 'stream', key => $credential,
    again => 1, on_message => sub { $done{stream}++ });

my $tend = Mojo::IOLoop->recurring(0.002 => sub {
    $_->{tend}->() for @sockets;
    $refused{"stream: " . $stream->status}++
        if $stream->status && $stream->status != 200;
    $stream->{key} = $credential;
});

sub goes_on {
    my ($name) = @_;
    my %before = %done;

    wait_for {
        !grep { ($done{$_} // 0) < ($before{$_} // 0) + 5 }
            'producer 1', 'producer 2', 'consumer 1', 'consumer 2', 'send',
            'pull', 'settle', 'stream'
    } $name;
}

# All clients have the new one now: they come again with it.
sub move {
    ($credential) = @_;
    $_->{client}->finish for @sockets;
    $stream->{stream}->close if $stream->{stream};
}

goes_on('all of them work');
for my $n (1 .. 3) {
    my $old = $n - 1;
    $mq->renew(yaml => yaml($old, $n));
    goes_on("key $n beside the old one");
    move("k$n");
    goes_on("with key $n");
    $mq->renew(yaml => yaml($n));
    goes_on('without the old one');
    last if $n == 2;
}
move(a_token($SECRETS[2]));
goes_on('with tokens');
$mq->renew(yaml => yaml(2, 3));
goes_on('another secret beside the old one');
move(a_token($SECRETS[3]));
goes_on('with tokens of that');
$mq->renew(yaml => yaml(3));
goes_on('without the old one');

is_deeply(\%refused, {}, 'nobody is refused');
diag(join ', ', map { "$_: $done{$_}" } sort keys %done);
$sent_all = 1;
wait_for { !grep { !$got{$_} } keys %published } 'all that was sent arrives';
$stopped = 1;
Mojo::IOLoop->remove($tend);
$stream->stop;
$_->{client}->finish for @sockets;

$mq->finish;
done_testing;
