# What a reload means for those whom the old workers still serve: a key that
# is not valid any more opens nothing, and closes what it had opened; with the
# key unchanged, what a producer sends until it has seen Close is stored.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use KapokMQ::Test;

my %yaml = (isPersistent => 0);
my $mq = KapokMQ::Test->start(yaml => \%yaml);

sub reloaded {
    my ($name, %change) = @_;
    my %old = map { $_ => 1 } $mq->worker_pids;

    $mq->configure(%change);
    $mq->signal('HUP');
    wait_for {
        (grep { !$old{$_} } $mq->worker_pids) == $mq->{workers}
    } "$name: new workers";
    # each of several learns of it at a time of its own
    wait_for {
        my %ending = map { $_ => 1 } $mq->ending_pids;
        !grep { $old{$_} && !$ending{$_} } $mq->worker_pids
    } "$name: the old ones know";
    return keys %old;
}

sub gone {
    my ($name, @pids) = @_;

    wait_for { !grep { is_running($_) } @pids } "$name: the old ones are gone";
}

# All frames up to Close: what they said, and its code.
sub frames {
    my ($raw) = @_;
    my @texts;

    while (my $frame = $raw->next_frame) {
        push @texts, $frame->{payload} if $frame->{opcode} == 1;
        return (\@texts, unpack 'n', $frame->{payload})
            if $frame->{opcode} == 8;
    }
    return (\@texts, 0);
}

sub frame { return KapokMQ::Raw::frame(@_) }


# --- producers that read no answers

for my $mode (0, 2) {
    my $name = "isPersistent $mode";
    $mq->stop;
    $mq->launch(yaml => { isPersistent => $mode });
    my $before = $mq->counts->{all};
    my $raw = $mq->raw('/Producers/Conn/drain/p', key => 'sesame');
    my $silent = $mq->raw('/Producers/Conn/drain/silent', key => 'sesame');
    is($silent->next_text, 'Secret key matching succeeded', $name);

    $raw->write(join '', map { frame(1, "early $_") } 1 .. 100);
    my @old = reloaded($name);
    is((frames($silent))[1], 1001, 'a reload closes with 1001');

    # both are told in one go
    $raw->write(join '', map { frame(1, "late $_") } 1 .. 1000);
    $raw->write(frame(1, '{"MessageData":5}') . frame(9, 'ping'));
    $raw->write(frame(1, 'last') . frame(8, pack 'n', 1001));
    my ($texts, $code) = frames($raw);
    is($code, 1001, 'the producer is closed');
    my $oks = grep { $_ eq 'ok' } @$texts;
    is_deeply([grep { !/^(?:ok|Secret key matching succeeded)\z/ } @$texts],
              [], 'after nothing but ok');
    ok($raw->ended && $raw->{in} eq '', 'and nothing behind it');
    $mq->counts_become({ all => $before + 1101 },
                       "all is stored that was sent, $oks answered");
    $_->close for $raw, $silent;
    gone($name, @old);

    # a client that is not there any more, and one that never closes
    my $ended = $mq->raw('/Producers/Conn/drain/ended', key => 'sesame');
    my $open = $mq->raw('/Producers/Conn/drain/open', key => 'sesame');
    $_->next_text for $ended, $open;
    @old = reloaded($name);
    is((frames($open))[1], 1001, 'the next reload');
    $ended->write(frame(1, 'x'));
    $ended->close;
    $open->write(frame(1, 'y'));
    $mq->counts_become({ all => $before + 1103 },
                       'the end of the input does as well as Close');
    gone($name, @old);
    ok($open->ended, 'no client keeps a worker');
    $open->close;
}


# --- another key

my %key = (isPersistent => 0, secretKey => 'another');
$mq->stop;
$mq->launch(yaml => \%yaml);

my $body = 'topic=t&messageData=x';
sub post_head {
    my ($key) = @_;
    return "POST /Producer/Send HTTP/1.1\r\nHost: x\r\nsecretKey: $key\r\n"
           . 'Content-Length: ' . length($body) . "\r\n\r\n";
}

# those that say nothing yet, at each point
my @plain = map { $mq->raw('/', upgrade => 0) } 1 .. 5;
$plain[1]->write(post_head('sesame'));
$plain[3]->write(post_head('sesame') . substr $body, 0, 5);
my $asked = $mq->raw('/Producers/Conn/t/asked');
is($asked->next_text, 'Please enter the secret key', 'one is asked for it');
my $producer = $mq->raw('/Producers/Conn/t/p', key => 'sesame');
my $consumer = $mq->raw('/Consumers/Conn/t/c', key => 'sesame');
$_->next_text for $producer, $consumer;

my @old = reloaded('another key', yaml => \%key);
is((frames($consumer))[1], 1008, 'a consumer is closed with 1008');

$asked->write(frame(1, 'sesame') . frame(1, 'x'));
$producer->write(frame(1, 'x') x 10);
is((frames($producer))[1], 1008, 'and a producer');
my ($texts, $code) = frames($asked);
is($code, 1001, 'who has not answered yet is told to come again');
is_deeply($texts, [], 'and not that the key is right');

$plain[0]->write(post_head('sesame') . $body);
$plain[1]->write($body);
$plain[2]->write("GET /Producers/Conn/t/late HTTP/1.1\r\nHost: x\r\n"
    . "Upgrade: websocket\r\nConnection: Upgrade\r\nsecretKey: sesame\r\n"
    . "Sec-WebSocket-Version: 13\r\n"
    . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    . frame(1, 'x'));
$plain[3]->write(substr $body, 5);
$plain[4]->write(post_head('another') . $body);
# the old workers know of the new key
my @wanted = (401, 401, '(?:401|503)', 401, 200);
for my $i (0 .. 4) {
    my $answer = $plain[$i]->rest;
    like($answer, qr/^HTTP\S+ $wanted[$i] /, "the old key does not do, $i");
    next if $i == 4;
    like($answer, qr/"code":-1/, 'it says so');
    like($answer, qr/^Connection: close\r$/m, 'nor does the connection stay');
}
$_->close for @plain, $asked, $producer, $consumer;
gone('another key', @old);

my $ua = Mojo::UserAgent->new;
my $url = "http://127.0.0.1:$mq->{port}/Console/CountMessage";
is($ua->post($url, { secretKey => 'another' })->result->json->{data}{all}, 1,
   'nothing has been stored by it, and one by the new one');
is($ua->post($url, { secretKey => 'sesame' })->result->code, 401,
   'and it is wrong');


# --- the same key again: who is connected may drain

$mq->stop;
$mq->launch(yaml => \%yaml);
my $late = $mq->raw('/', upgrade => 0);
# accepted it is when the worker has served another one since
is($mq->counts->{all}, 0, 'one connection says nothing');
@old = reloaded('the same key', yaml => \%yaml);
$late->write(post_head('sesame') . $body);
like($late->rest, qr/^HTTP\S+ 200 /, 'a request that comes late is served');
$late->close;
gone('the same key', @old);

$mq->finish;
done_testing;
