# A worker that is to go: its clients are told one after the other, over
# drainTime, and are served until then. A message that was in flight with them
# is not charged with that.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use List::Util qw(max min);
use Test::More;
use Time::HiRes qw(time);
use KapokMQ::Test;

use constant { N => 40, DRAIN => 4 };

my $slower = slower();
my $mq = KapokMQ::Test->start(
    yaml => { drainTime => DRAIN, confirm => 'ack', retryDelay => 0 });
my $start;

# So many clients, half of them consumers, whose ends are noted.
sub clients {
    my ($topic, $n) = @_;

    return map {
        my $path = $_ % 2 ? "/Consumers/Conn/$topic/c$_"
                          : "/Producers/Conn/$topic/p$_";
        $mq->login($path, ack => 1,
                   on_close => sub { $_[0]{ended} = time - $start });
    } 1 .. $n;
}

# Reloads; returns when all of the old workers' clients are closed: how late
# that may have been seen, since the machine had others to run.
sub drained {
    my ($name, $clients, %change) = @_;
    my @old = $mq->worker_pids;
    my ($pause, $last) = (0, time);
    my $clock = Mojo::IOLoop->recurring(0.01, sub {
        my $now = time;
        $pause = max($pause, $now - $last);
        $last = $now;
    });

    $mq->configure(%change) if %change;
    $start = time;
    $mq->signal('HUP');
    wait_for { !grep { !$_->closed } @$clients } "$name: all are closed";
    Mojo::IOLoop->remove($clock);
    wait_for { !grep { is_running($_) } @old } 'and the old workers gone';

    return 2 * $pause;
}

sub codes_are {
    my ($code, @clients) = @_;

    is(join(' ', grep { $_ != $code } map { $_->closed->[0] } @clients), '',
       "all with $code");
}

# --- evenly, and served until then
{
    my @clients = clients('even', N);
    my $last = $clients[-1];
    my $sent = 0;
    my $say = Mojo::IOLoop->recurring(0.05, sub {
        return if !$start || $last->closed || $sent > @{$last->texts};
        $last->send('while it goes');
        $sent++;
    });

    my $late = drained('a reload', \@clients);
    Mojo::IOLoop->remove($say);
    $late += 0.3 * max($slower, slower());
    codes_are(1001, @clients);

    my @ended = sort { $a <=> $b } map { $_->{ended} } @clients;
    my $first = $ended[0];
    my @off = grep {
        abs($ended[$_] - $first - DRAIN * $_ / N) > $late
    } 0 .. $#ended;
    is("@off", '', 'as the time passes');
    diag(sprintf 'closed from %.2f to %.2f s after the reload, off by %.2f',
         $first, $ended[-1],
         max(map { abs($ended[$_] - $first - DRAIN * $_ / N) } 0 .. $#ended));
    cmp_ok($sent, '>', 10, 'who is told last has sent messages meanwhile');
    is((grep { $_ ne 'ok' } @{$last->texts}), 0, 'that were accepted');
    cmp_ok($last->{ended}, '>', DRAIN / 2, 'the last one was late');
    $mq->publish('even', 'end');
    my $rest = $mq->consumer('even', 'rest', ack => 1);
    $mq->counts_become({ unconsumed => 0 }, 'all is consumed');
    my @data = map { $_->data } @clients, $rest;
    cmp_ok(@data, '>=', $sent, 'nothing is lost');
    $rest->finish;
}

# --- one that an old worker has accepted, and that asks when that drains
{
    my @clients = clients('late', N);
    my $fds = sub {
        my $n = 0;
        $n += $mq->fds($_) for $mq->worker_pids;
        return $n;
    };
    my $before = $fds->();
    my $late = $mq->raw('/', upgrade => 0);
    my $head = join "\r\n", 'GET /Consumers/Conn/late/late HTTP/1.1',
        'Host: x', 'Upgrade: websocket', 'Connection: Upgrade',
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
        'Sec-WebSocket-Version: 13', 'secretKey: sesame', '', '';

    $late->write(substr $head, 0, 20);
    wait_for { $fds->() > $before } 'one more is accepted';
    $start = time;
    $mq->signal('HUP');
    wait_for { grep { $_->closed } @clients } 'the old workers drain';
    $late->write(substr $head, 20);
    like($late->next_head, qr{^HTTP/1\.1 101 }, 'it is served');
    is($late->next_text, 'Secret key matching succeeded', 'logged in');
    wait_for { !grep { !$_->closed } @clients } 'the others are sent away';
    codes_are(1001, @clients);
    my $frame;
    do {
        $frame = $late->next_frame;
    } while ($frame && $frame->{opcode} != 8);
    is($frame && unpack('n', $frame->{payload}), 1001, 'and so is it');
    $late->close;
}

# --- no failure is charged with it, but with an end of the client's own
{
    my $c1 = $mq->consumer('charged', 'c1');
    my $code = $mq->publish('charged', 'it');

    wait_for { @{$c1->messages} == 1 } 'a message is in flight';
    drained('a reload', [$c1]);
    my $c2 = $mq->consumer('charged', 'c2');
    wait_for { @{$c2->messages} == 1 } 'it comes again';
    is($c2->messages->[0]{Attempts}, 1, 'not charged');
    $c2->drop;
    my $c3 = $mq->consumer('charged', 'c3');
    wait_for { @{$c3->messages} == 1 } 'and again';
    is($c3->messages->[0]{Attempts}, 2, 'charged with a lost connection');

    my ($entry) = @{$mq->post('/Console/GetClientList')->{data}};
    $mq->post('/Console/Disconnect', { connection => $entry->{Connection} });
    wait_for { $c3->closed } 'an operator disconnects it';
    my $c4 = $mq->consumer('charged', 'c4');
    wait_for { @{$c4->messages} == 1 } 'and again';
    is($c4->messages->[0]{Attempts}, 2, 'not charged with that');
    $c4->finish;
    my $c5 = $mq->consumer('charged', 'c5', ack => 1);
    wait_for { @{$c5->messages} == 1 } 'and again';
    is($c5->messages->[0]{Attempts}, 3, 'charged with its Close');
    $mq->counts_become({ unconsumed => 0 }, 'consumed');
    $c5->finish;
}

# --- no time
{
    $mq->renew(yaml => { drainTime => 0 });
    my @clients = clients('once', N);
    my $late = drained('drainTime 0', \@clients)
               + 0.5 * max($slower, slower());
    codes_are(1001, @clients);
    my @ended = map { $_->{ended} } @clients;
    cmp_ok(max(@ended) - min(@ended), '<', $late, 'all at once');
}

# --- nginx does not wait so long: all are told before it cuts them
{
    $mq->renew(yaml => { drainTime => 60 }, shutdown => '2s');
    my @clients = clients('bound', N);
    drained('worker_shutdown_timeout 2s', \@clients);
    codes_are(1001, @clients);
    $mq->configure(shutdown => '20s');
}

# --- a key that is not valid any more has no time
{
    $mq->renew(yaml => { drainTime => 15 });
    my @clients = clients('key', N);
    drained('another key', \@clients,
            yaml => { drainTime => 15, secretKey => 'other' });
    codes_are(1008, @clients);
    cmp_ok(max(map { $_->{ended} } @clients), '<', 10, 'at once');
}

# --- nor has a stop, be it a gentle one
for my $signal (qw(QUIT TERM)) {
    $signal eq 'QUIT' ? $mq->renew(yaml => { drainTime => 15 }) : $mq->launch;
    my @clients = clients('stop', N);
    $start = time;
    $signal eq 'QUIT' ? $mq->stop($signal) : $mq->finish($signal);
    wait_for { !grep { !$_->closed } @clients } "$signal: a stop closes all";
    cmp_ok(max(map { $_->{ended} } @clients), '<', 10, 'at once');
}

done_testing;
