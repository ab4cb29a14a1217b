# Login of both roles: prompt, wrong keys, the key as text and binary, early
# keys, the header, and what a client is told when it gives up or is given up.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use KapokMQ::Test;

my $PROMPT = 'Please enter the secret key';
my $WRONG  = 'Secret key matching error';
my $RIGHT  = 'Secret key matching succeeded';

my $mq = KapokMQ::Test->start(yaml => { loginTime => 2 * slower() });

# These two never say anything: looked at in the end, when their time is over.
my %silent = map { $_ => $mq->raw("/$_/Conn/topic/silent") }
             qw(Producers Consumers);

for my $role (qw(Producers Consumers)) {
    my $path = "/$role/Conn/topic/id";

    my $client = $mq->raw($path);
    is($client->status, 101, "$role: upgraded");
    is($client->next_text, $PROMPT, 'prompt');
    $client->text('qqq');
    is($client->next_text, $WRONG, 'a wrong key');
    is($client->next_text, $PROMPT, 'is followed by the prompt');
    $client->text('sesam');
    is($client->next_text, $WRONG, 'the beginning of the key is wrong');
    is($client->next_text, $PROMPT, 'prompt');
    $client->text('sesame ');
    is($client->next_text, $WRONG, 'more than the key is wrong');
    is($client->next_text, $PROMPT, 'prompt');
    $client->text('sesame');
    is($client->next_text, $RIGHT, 'the right key');
    $client->send(8, pack 'n', 1000);
    is($client->close_code, 1000, 'closes when asked');
    ok($client->ended, 'and ends the connection');

    $client = $mq->raw($path);
    is($client->next_text, $PROMPT, 'prompt');
    $client->send(2, 'sesame');
    is($client->next_text, $RIGHT, 'the key as a binary frame');
    $client->close;

    $client = $mq->raw($path);
    $client->next_text;
    $client->send(1, 'ses', fin => 0);
    $client->send(9, 'ping between');
    $client->send(0, 'ame');
    is($client->next_text, $RIGHT, 'the key in fragments');
    $client->close;

    $client = $mq->raw($path,
        early => KapokMQ::Raw::frame(1, 'sesame'));
    my @texts = ($client->next_text, $client->next_text);
    is($texts[1], $RIGHT, 'the key together with the upgrade');
    is($texts[0], $PROMPT, 'comes after the prompt all the same');
    $client->close;

    $client = $mq->raw($path, key => 'sesame');
    is($client->status, 101, 'the key as a header');
    is($client->next_text, $RIGHT, 'no prompt then');
    $client->close;

    $client = $mq->raw($path, key => 'qqq');
    is($client->status, 401, 'a wrong header: 401');
    like($client->head, qr{^Content-Type: application/json}mi, 'in JSON');
    $client->close;

    $client = $mq->raw($path);
    for my $n (1 .. 5) {
        is($client->next_text, $PROMPT, "prompt $n");
        $client->text("wrong $n");
        is($client->next_text, $WRONG, "wrong key $n");
    }
    is($client->close_code, 1008, 'five wrong keys: closed with 1008');
    ok($client->ended, 'and the connection ends');

    $client = $mq->raw($path);
    $client->next_text;
    $client->text('');
    is($client->next_text, $WRONG, 'an empty key is wrong');
    $client->next_text;
    $client->text('x' x 100_000);
    my $text = $client->next_text;
    ok(!defined $text || $text eq $WRONG, 'a huge key is not the right one');
    $client->close;
}

wait_for {
    my $clients = $mq->clients;
    !@{$clients->{producers}} && !@{$clients->{consumers}}
} 'nobody who did not log in, or left, is registered';

for my $role (sort keys %silent) {
    is($silent{$role}->next_text, $PROMPT, "$role: who says nothing");
    is($silent{$role}->close_code, 1008, 'is closed with 1008');
    ok($silent{$role}->ended, 'and the connection ends');
}

# A consumer gets messages only once it is logged in.
my $waiting = $mq->raw('/Consumers/Conn/secret/c1');
$waiting->next_text;
my $code = $mq->publish('secret', 'for your eyes only');
like($code, qr/^[0-9a-f]{40}$/, 'a message is published');
is($waiting->next_text(0.5), undef, 'and not shown to who has no key');
$waiting->text('sesame');
is($waiting->next_text, $RIGHT, 'the key');
like($waiting->next_text, qr/"$code"/, 'opens');
$waiting->close;

$mq->finish;
done_testing;
