# What the clients of clients/ do with a wrong key, a token that expires, a silent
# server, a full queue, and at their end.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use File::Copy qw(copy);
use Test::More;
use KapokMQ::Clients;
use KapokMQ::Lines;
use KapokMQ::Test;
use KapokMQ::Token;

my $SECRET = 'a secret that has thirty-two bytes';

my $mq = KapokMQ::Test->start(yaml => {
    messageChanBuffer => 200, isPersistent => 2,
    tokens => qq({ algorithms: [HS256], secret: "$SECRET" }) });
my $base = 'ws://127.0.0.1:' . $mq->port;
my %command = (js => ['node', $mq->dir . '/states.mjs'],
               python => ['/usr/bin/python3', 't/e2e/clients/states.py']);
my @languages = sort keys %command;

install_package($mq->dir);
copy('t/e2e/clients/states.mjs', $mq->dir) or die $!;

sub in_state {
    my ($language, $what) = @_;

    return KapokMQ::Lines->start(@{$command{$language}}, $base, $what);
}

sub in_both {
    my ($what) = @_;

    return map { $_ => in_state($_, $what) } @languages;
}

# --- keys
{
    my %refused = in_both('refused');
    my %asked = in_both('asked');

    for (@languages) {
        $refused{$_}->ends("$_, a wrong key");
        is($refused{$_}->count(qr/^refused .*wrong secret key$/), 3,
           'all is refused');
        $asked{$_}->ends("$_, a key that changes");
        is($asked{$_}->count(qr/^up$/), 1, 'the second one is right');
        is($asked{$_}->count(qr/^refused error: /), 1,
           'a message that is too large is refused');
        is($asked{$_}->count(qr/^refused .*closed$/), 1,
           'and whatever comes after close()');
        is($asked{$_}->count(qr/^keys left: 0$/), 1, 'no key is left');
    }
    is($mq->counts->{unconsumed}, 2, 'one message of each is stored');
    $mq->post('/Console/PurgeTopic', { topic => 'asked' });
}

# --- a token that expires when it has been renewed; with a longer life if that was
# too short to get there
for (my $life = 6; ; $life *= 2) {
    my $until = time + $life;
    my $late = 0;
    my %renews = in_both('renews');
    # another one's ends a second later
    my $other = $mq->connect('/Consumers/Conn/renews-other/c', headers => {
        secretKey => until_then($until + 1) });

    for (@languages) {
        $renews{$_}->tell(until_then($until));
        wait_for {
            $late ||= time > $until - $life / 2;
            $late || $renews{$_}->count(qr/^up$/)
        } "$_: is there";
        $renews{$_}->tell(until_then($until + 600)) if !$late;
    }
    if ($late) {
        $_->stop('KILL') for values %renews;
        next;
    }
    wait_for { $other->closed } "another one's time is over";
    for (@languages) {
        $mq->publish("renews-$_", 'still there?');
        wait_for { $renews{$_}->count(qr/^got still there\?$/) } "$_: goes on";
        is($renews{$_}->count(qr/^down/), 0, 'on the same connection');
        $renews{$_}->ends($_);
    }
    last;
}

sub until_then {
    my ($until) = @_;

    return token($SECRET, exp => $until, sub => 'anna',
                 kapokmq => { consume => ['renews-*'] });
}

# --- a silent server, whose workers stand still: more than its sockets take
{
    my @lines = map { "$_ " . 'x' x 200_000 } 1 .. 60;
    my %sends = in_both('sends');

    for (@languages) {
        $sends{$_}->tell('first');
        wait_for { $sends{$_}->count(qr/^stored first$/) } "$_: one is stored";
    }
    my @workers = $mq->worker_pids;
    kill 'STOP', @workers;
    $sends{$_}->tell(@lines) for @languages;
    for (@languages) {
        wait_for { $sends{$_}->count(qr/^down/) } "$_: silence is noticed";
    }
    kill 'CONT', @workers;
    my %consumer = map { $_ => $mq->consumer("sends-$_", 'c') } @languages;
    for (@languages) {
        wait_for { $sends{$_}->count(qr/^stored/) == 61 } "$_: and over";
        $sends{$_}->ends($_);
    }
    wait_for { !@{$mq->clients->{producers}} } 'no producer is left';
    $mq->counts_become({ unconsumed => 0 }, 'all is consumed');
    for (@languages) {
        my %seen;
        my @order = grep { !$seen{$_}++ } map { $_->{MessageData} =~ s/ .*//r }
                    @{$consumer{$_}->messages};
        is("@order", join(' ', 'first', 1 .. 60), "$_: all comes in its order");
        $consumer{$_}->finish;
    }
}

# --- a full queue, which does not read, but pings
{
    my %sends = in_both('sends');

    for (@languages) {
        wait_for { $sends{$_}->count(qr/^up$/) } "$_: is there";
        $sends{$_}->tell(map { "line $_" } 1 .. 300);
    }
    $mq->counts_become({ unconsumed => 200 }, 'the queue is full');
    run_for(8);
    for (@languages) {
        is($sends{$_}->count(qr/^down/), 0, "$_: stays where it is");
    }
    my @consumers = map { $mq->consumer("sends-$_", 'c') } @languages;
    for (@languages) {
        wait_for { $sends{$_}->count(qr/^stored/) == 300 } "$_: all is stored";
        $sends{$_}->ends($_);
    }
    $mq->counts_become({ unconsumed => 0 }, 'and consumed');
    for my $n (0, 1) {
        is(scalar @{$consumers[$n]->messages}, 300, "$languages[$n]: once");
        $consumers[$n]->finish;
    }
}

# --- the end of a consumer
{
    my %holds = in_both('holds');

    for my $language (@languages) {
        my $holds = $holds{$language};

        wait_for { $holds->count(qr/^up$/) } "$language: is there";
        $mq->publish("holds-$language", $_) for 1 .. 8;
        wait_for { $holds->count(qr/^begin 1$/) } 'works on the first';
        wait_for {
            my $list = $mq->post('/Console/GetClientList',
                                 { topic => "holds-$language" })->{data};
            $list->[0]{InFlight} == 8
        } 'and has them all';
        kill 'TERM', $holds->{pid};
        my $other = $mq->consumer("holds-$language", 'other');
        wait_for { @{$other->messages} == 7 } 'others get what is not begun';
        is_deeply([map { $_->{Attempts} } @{$other->messages}], [(1) x 7],
                  'which has not failed: this is its first attempt');
        $holds->tell('go');
        wait_for { $holds->count(qr/^done 1$/) } 'it does the first';
        $holds->ends($language);
        $mq->counts_become({ unconsumed => 0 }, 'which is consumed');
        is($holds->count(qr/^begin/), 1, 'and nothing else was begun');
        $other->finish;
    }
}

# --- work that ends while there is no server
{
    my %holds = in_both('holds');

    for (@languages) {
        $mq->publish("holds-$_", 'hello');
        wait_for { $holds{$_}->count(qr/^begin/) } "$_: works";
    }
    $mq->kill_all;
    for (@languages) {
        wait_for { $holds{$_}->count(qr/^down/) } "$_: its connection breaks";
        $holds{$_}->tell('go');
        wait_for { $holds{$_}->count(qr/^done/) } 'it is done';
    }
    $mq->launch;
    $mq->counts_become({ unconsumed => 0 }, 'all is consumed then');
    for (@languages) {
        $holds{$_}->stop('TERM');
        is($holds{$_}->count(qr/^begin/), 1, "$_: it is not done again");
    }
}
$mq->finish;
done_testing;
