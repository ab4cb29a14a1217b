# Who is still there: pings on connections that are idle, machines that have
# vanished, consumers that say nothing; and who is not to be cut.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use List::Util qw(max);
use Test::More;
use Time::HiRes qw(time);
use KapokMQ::Blocking;
use KapokMQ::Machine;
use KapokMQ::Test;

use constant { BEAT => 1, SILENCE => 3 };

my $slower = slower();
my $machine = KapokMQ::Machine->new;
my $port = KapokMQ::Suite::free_port();
my $remote = $machine ? $machine->server . ":$port" : undef;
my $mq = KapokMQ::Test->start(
    port => $port,
    yaml => { heartbeat => BEAT, isRePush => 1, prefetch => 100 },
    topics => <<"YAML", conf => ($remote ? "listen $remote;" : '') . <<"CONF");
    silent_pong:   { pushRetryTime: ${\SILENCE} }
    silent_ack:    { pushRetryTime: ${\SILENCE} }
    silent_socket: { pushRetryTime: ${\SILENCE} }
    quiet:         { heartbeat: 0 }
YAML
        location /kept/ {
            kapokmq_consumer;
            kapokmq_access_log end;
        }
CONF
my @modes = qw(pong ack socket);

# A client as it is listed.
sub entry {
    my ($id) = @_;

    return (grep { $_->{Id} eq $id }
            @{$mq->post('/Console/GetClientList')->{data}})[0];
}

# Until one that does nothing else has been pinged so often from now on.
my $idle = $mq->consumer('idle', 'clock');
sub beats {
    my ($n, $name) = @_;
    my $before = $idle->pings;

    return wait_for { $idle->pings >= $before + $n } $name;
}

# --- pings: in both roles and all modes; not where there is no heartbeat, and
# not while something passes
{
    my $start = time;
    my %idle = (
        producer => $mq->login('/Producers/Conn/idle/producer'),
        kept => $mq->login('/kept/idle/kept'),
        map { $_ => $mq->login("/Consumers/Conn/idle/$_?confirm=$_") } @modes,
    );
    my $query = $mq->login('/Consumers/Conn/idle/query?heartbeat=0');
    my $topic = $mq->login('/Producers/Conn/quiet/topic');
    my $busy = $mq->producer('talk', 'busy');
    my $ears = $mq->consumer('talk', 'ears');
    my ($said, $gaps, $words) = (time, 0, 0);
    my $talk = Mojo::IOLoop->recurring(BEAT / 10, sub {
        $gaps++ if time - $said > 0.8 * BEAT;
        $said = time;
        $words++;
        $busy->send('x');
    });
    my $seen = entry('producer')->{LastSeen};

    for my $who (sort keys %idle) {
        wait_for { $idle{$who}->pings >= 5 } "$who: an idle one is pinged";
    }
    Mojo::IOLoop->remove($talk);
    is($_->pings, 0, 'none without a heartbeat') for $query, $topic;
    cmp_ok($busy->pings, '<=', 1 + $gaps, 'none while something passes');
    cmp_ok(entry('producer')->{LastSeen}, '>=', $seen + 3,
           'an answer is a sign of life');
    wait_for { !grep { entry($_)->{Silent} } 'producer', @modes }
             'who answers is not silent';
    cmp_ok($idle{kept}->pings, '<=', (time - $start) / BEAT + 2,
           'one ping for each heartbeat');
    ok(!(grep { $_->closed } values %idle, $query, $topic, $busy),
       'and nobody is cut');
    wait_for { $words == grep { $_ eq "ok" } @{$busy->texts} } 'all was said';
    $mq->counts_become({ unconsumed => 0 }, 'and is heard');
    $_->finish for values %idle, $query, $topic, $busy, $ears;
}

# --- one that reads, and says nothing, not even pongs
{
    my %silent = map {
        $_ => $mq->raw("/Consumers/Conn/silent_$_/mute?confirm=$_",
                       key => 'sesame')
    } @modes;

    my %start;
    for my $mode (@modes) {
        $silent{$mode}->next_text;
        $start{$mode} = time;
        ok($mq->publish_many("silent_$mode", map { "m$_" } 1 .. 50),
           "$mode: fifty messages");
    }

    my $cut = wait_for { 2 == (() = $mq->log =~ /has said nothing for/g) }
                       'they are disconnected, in pong and ack';
    cmp_ok(time - $start{ack}, '>', 0.8 * SILENCE, 'not before pushRetryTime');
    for my $mode (qw(pong ack)) {
        my $frame = $cut;
        $frame = $silent{$mode}->next_frame while $frame;
        ok($!{ECONNRESET}, "$mode: and reset");
        my $healthy = $mq->consumer("silent_$mode", 'healthy',
                                    confirm => $mode, ack => $mode eq 'ack');
        wait_for { 50 == keys %{{ map { $_ => 1 } $healthy->data }} }
                 'its messages go to another one';
        wait_for { 50 == $mq->codes(topic => "silent_$mode", status => 1) }
                 'which confirms them';
        $healthy->finish;
    }
    is((grep { $_->{Topic} eq 'silent_socket' }
        @{$mq->clients->{consumers}}), 1, 'in socket it may be silent');
    wait_for { entry('mute')->{Silent} } 'and is listed so';
    $silent{socket}->send(10, '');
    wait_for { !entry('mute')->{Silent} } 'until it says something';
    $silent{socket}->close;
}

# --- one that reads nothing while it works, for several heartbeats
{
    my $busy = KapokMQ::Blocking->start($mq,
        '/Consumers/Conn/busy/busy?confirm=ack', work => 4 * BEAT, ack => 1);

    ok($mq->publish_many('busy', 'one', 'two'), 'two long ones');
    wait_for { entry('busy')->{Silent} } 'it is silent';
    wait_for { $busy->messages == 2 } 'but not cut';
    $mq->counts_become({ unconsumed => 0 }, 'both are consumed');
    is_deeply([map { $_->[2] } $busy->messages], [undef, undef],
              'none was pushed twice');
    $busy->finish;
}

# --- those that read nothing at all, with full windows
{
    my $big = 'x' x 500_000;
    my $n = 20;
    my $consumer = $mq->raw('/Consumers/Conn/full/reader?confirm=ack',
                            key => 'sesame', rcvbuf => 4096);
    my $producer = $mq->raw('/Producers/Conn/other/writer',
                            key => 'sesame', rcvbuf => 4096);

    $_->next_text for $consumer, $producer;
    ok($mq->publish_many('full', ($big) x $n), 'large messages');
    my $oks = 100_000;
    my $bytes = KapokMQ::Raw::frame(1, '') x $oks;
    my $written = 0;
    # until it is not read from any more
    my $before = -1;
    while ($written < length $bytes && $written != $before) {
        $before = $written;
        $written += $producer->write_some(substr $bytes, $written, 1_000_000);
        run_for(0.2);
    }
    beats(7, 'for more than five heartbeats');
    ok(entry($_), "$_: not cut") for qw(reader writer);

    my $got = grep { length($consumer->next_text // '') > 500_000 } 1 .. $n;
    is($got, $n, 'the consumer goes on and gets all');
    is((grep { ($producer->next_text // '') eq 'ok' } 1 .. 1000), 1000,
       'the producer goes on, too');
    $_->close for $consumer, $producer;
}

# --- a machine that vanishes
SKIP: {
    skip 'no network namespaces here', 7 unless $machine;
    my $beat = 3;

    my %path = (
        consumer => '/Consumers/Conn/gone/consumer?confirm=ack',
        idle => '/Consumers/Conn/gone_idle/idle?',
        later => '/Consumers/Conn/gone_later/later?',
        producer => '/Producers/Conn/gone_idle/producer?',
        kept => '/kept/gone_idle/kept?',
    );
    $machine->connect($port, map { "$_&heartbeat=$beat" =~ s/\?&/?/r }
                             values %path);
    ok($mq->publish_many('gone', map { "m$_" } 1 .. 10), 'ten messages');
    wait_for { entry('consumer')->{InFlight} == 10 } 'are in flight there';
    my %healthy = map {
        $_ => $mq->consumer($_, "healthy_$_", confirm => 'ack', ack => 1)
    } qw(gone gone_later);

    ok($machine->vanish, 'the machine vanishes');
    my $start = time;
    ok($mq->publish_many('gone_later', map { "m$_" } 1 .. 10), 'ten more');
    # when it was last seen that some are there still
    my $took = 0;
    my $there = sub {
        my $now = time - $start;
        $took = $now if $_[0]->();
        return $took == $now;
    };
    wait_for { !$there->(sub { grep { entry($_) } keys %path }) }
             'all its clients are gone';
    wait_for {
        !$there->(sub {
            @{$healthy{gone}->messages} < 10
            || 10 > keys %{{ map { $_ => 1 } $healthy{gone_later}->data }}
        })
    } 'their messages are elsewhere';
    cmp_ok($took, '<=', 2 * $beat + 0.5 * max($slower, slower()),
           'within two heartbeats');
    diag(sprintf 'heartbeat %d, found after %.2f', $beat, $took);
    $_->finish for values %healthy;
    $machine->finish;
}

$idle->finish;
$mq->finish;
done_testing;
