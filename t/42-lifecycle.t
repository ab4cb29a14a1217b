# The life of the server beside its clients: reloads that fail, reloads that
# change the number of workers, again and again, nginx -t, the end, an
# exchange of the binary. See also t/32-reload.t.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time);
use KapokMQ::Load;
use KapokMQ::Test;

sub spew {
    my ($path, $text) = @_;

    open my $out, '>', $path or die "$path: $!";
    print {$out} $text;
    close $out or die "$path: $!";
}


# --- reloads that fail: everything stays as it is

my $mq = KapokMQ::Test->start(
    allow => qr/\[emerg\]/, yaml => { confirm => 'ack' });
my $consumer = $mq->consumer('topic', 'c1', ack => 1);
my $holder = $mq->consumer('held', 'holder');
my $producer = $mq->producer('topic', 'p1');
my $held = $mq->publish('held', 'held');
wait_for { $holder->got($held) } 'one in flight';
$mq->publish('waits', "m$_") for 1 .. 3;
$mq->publish('waits', 'delayed', 3600);
my %pids = map { $_ => 1 } $mq->worker_pids;
my $n = 0;

# The clients are connected still, and messages go their ways.
sub unharmed {
    my ($name) = @_;

    is((grep { $_->closed } $consumer, $holder, $producer), 0,
       "$name: all clients stay connected");
    is_deeply({ map { $_ => 1 } $mq->worker_pids }, \%pids,
              'to the same workers');
    $producer->send('m' . ++$n);
    $mq->counts_become({ unconsumed => 4, delay => 1, consumed => $n },
                       'messages go on');
    is($consumer->messages->[-1]{MessageData}, "m$n", 'to the consumer');
}

# The port is ours: nginx tries for some seconds.
my $taken = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')
    or die "no port: $@";
my $elsewhere = 'server { listen 127.0.0.1:' . $taken->sockport . '; }';

my @broken = (
    ['application.yaml that is no YAML', qr/application\.yaml/,
     sub { spew($mq->dir . '/application.yaml', "mq: [\n") }],
    ['a key that does not exist', qr/speed/,
     sub { $mq->configure(yaml => { speed => 1 }) }],
    ['a value that is none', qr/pushRetryTime/,
     sub { $mq->configure(yaml => { pushRetryTime => 'x' }) }],
    ['no application.yaml', qr/application\.yaml/,
     sub { unlink $mq->dir . '/application.yaml' }],
    ['nginx.conf that is none', qr/nginx\.conf/,
     sub { spew($mq->dir . '/nginx.conf', 'http {') }],
    ['an unknown directive', qr/nonsense/,
     sub { $mq->configure(http => 'nonsense;') }],
    ['a second queue', qr/kapokmq_zone/,
     sub { $mq->configure(http => 'kapokmq_zone 64m;') }],
    ['a larger zone', qr/size of the zone/,
     sub { $mq->configure(zone => '128m') }],
    ['a smaller zone', qr/size of the zone/,
     sub { $mq->configure(zone => '32m') }],
    ['a port that is taken', qr/still could not bind/,
     sub { $mq->configure(http => $elsewhere) }],
);
for my $case (@broken) {
    my ($name, $says, $break) = @$case;
    my $before = length $mq->log;

    $break->();
    if ($name !~ /zone|port/) {
        my ($status, $text) = $mq->test_config;
        isnt($status, 0, "$name: nginx -t fails");
        like($text, $says, 'and says so');
    }
    $mq->signal('HUP');
    wait_for { substr($mq->log, $before) =~ /\[emerg\][^\n]*$says/ }
             "$name: refused";
    unharmed($name);
    $mq->configure(zone => '64m', http => '', yaml => { confirm => 'ack' });
}
$taken->close;

# --- nginx -t

my $pid = $mq->master;
is(($mq->test_config)[0], 0, 'nginx -t') for 1 .. 3;
is($mq->master, $pid, 'leaves the pid file alone');
unharmed('nginx -t');

# --- and then one that is right
$mq->renew;
wait_for { $consumer->closed && $holder->closed && $producer->closed }
         'a right configuration: all have to come again';
is($_->closed->[0], 1001, 'with 1001') for $consumer, $holder, $producer;
$mq->counts_become({ unconsumed => 4, delay => 1, consumed => $n },
                   'and find all messages');


# --- who comes again at once finds what it had

my ($comes_again, @comers);
my $confirms = 0;
$comes_again = sub {
    push @comers, $mq->connect('/Consumers/Conn/again/c1',
        headers => { secretKey => 'sesame' }, on_close => $comes_again);
    $comers[-1]{ack} = $confirms;
};
$comes_again->();
my @codes = map { $mq->publish('again', "m$_") } 1 .. 50;
for my $round (1 .. 4) {
    wait_for { @{$comers[-1]->messages} == 50 } 'all in flight';
    is_deeply([$comers[-1]->codes], \@codes, 'in order');
    $mq->reload;
    # to a worker of the last generation, perhaps, which closes it again
    wait_for { @comers > $round } 'closed';
}
wait_for { $comers[-1]->got($codes[-1]) } 'all in flight';
is((grep { $_->closed && $_->closed->[0] != 1001 } @comers), 0, 'with 1001');
# those to come as well: a worker of the last generation may close this one
$confirms = $comers[-1]{ack} = 1;
$comers[-1]->send(@codes);
$mq->counts_become({ unconsumed => 4 }, 'all are confirmed');
delete $comers[-1]{on_close};
$comers[-1]->finish;
$mq->finish;


# --- another number of workers, under load

$mq = KapokMQ::Test->start(workers => 2);
my $load = KapokMQ::Load->start($mq, 'topic');
my $delayed = $mq->publish('late', 'delayed', 2);
for my $workers (4, 1, 3) {
    $load->more(200);
    $mq->renew(workers => $workers);
    is($mq->worker_pids, $workers, "$workers workers");
}
$load->more(200);
$consumer = $mq->consumer('late', 'c1');
wait_for { $consumer->got($delayed) } 'a delayed message comes';

# --- again and again, without waiting for the one before
for my $round (1 .. 10) {
    $load->more(20);
    $mq->signal('HUP');
}
my %old = map { $_ => 1 } $mq->worker_pids;
$mq->reload;
wait_for {
    my @now = $mq->worker_pids;
    @now == 3 && !grep { $old{$_} } @now
} 'the workers of all reloads are gone';
$load->more(200);
cmp_ok($load->closes(1001), '>', 8, 'clients were told 1001');
is(keys %{$load->{closes}}, 1, 'and nothing else');
$load->finish;
$mq->finish;


# --- the end, with clients of all kinds

for my $timeout ('', '20s', '1s') {
    my $name = $timeout ? "timeout $timeout" : 'no timeout';

    $mq = KapokMQ::Test->start(shutdown => $timeout,
                               yaml => { confirm => 'ack' });
    my @clients = map { ($mq->producer('topic', "p$_"),
                         $mq->consumer('topic', "c$_", ack => $_ % 2)) }
                  1 .. 5;
    $clients[0]->send(map { "m$_" } 1 .. 100);
    wait_for { @{$clients[0]->texts} == 100 } "$name: messages";
    # who reads nothing, and answers nothing
    my $deaf = $mq->raw('/Consumers/Conn/deaf/c1', key => 'sesame',
                        rcvbuf => 4096);
    my $quiet = $mq->raw('/Consumers/Conn/quiet/c1', key => 'sesame');
    my $silent = $mq->raw('/Producers/Conn/topic/silent');
    my $half = $mq->raw('/Producers/Conn/topic/half', key => 'sesame');
    $half->write(substr KapokMQ::Raw::frame(1, 'x' x 10_000), 0, 5000);
    my $feeder = $mq->producer('deaf', 'p1');
    $feeder->send(('x' x 100_000) x 60);
    wait_for { @{$feeder->texts} == 60 } 'and more';
    my $start = time;
    $mq->signal('QUIT');
    wait_for { !grep { !$_->closed } @clients } 'QUIT: all are closed';
    is((grep { $_->closed->[0] != 1001 } @clients), 0, 'with 1001');
    is($quiet->close_code, 1001, 'one that does not answer, too')
        if $timeout ne '1s';
    wait_for { !is_running($mq->{pid}) } 'the server ends';
    cmp_ok(time - $start, '<', 10, 'for nobody it waits for long');
    diag(sprintf '%s: the end took %.1f s', $name, time - $start);
    $_->close for $deaf, $quiet, $silent, $half;
    $mq->finish;
}


# --- USR2: another server, with a queue of its own

# a sanitizer is preloaded into that one, too
$mq = KapokMQ::Test->start(
    orphan => 1, main => 'env LD_PRELOAD; env ASAN_OPTIONS;',
    allow => qr/\[emerg\]|exited with/);
$consumer = $mq->consumer('topic', 'c1');
$producer = $mq->producer('topic', 'p1');
$mq->publish('waits', "m$_") for 1 .. 3;
my $old = $mq->{pid};

# one that does not start
spew($mq->dir . '/nginx.conf', 'http {');
$mq->signal('USR2');
wait_for { $mq->log =~ /\[emerg\][^\n]*nginx\.conf/ }
         'a new server that does not start';
wait_for { $mq->master == $old } 'the old one is still the one';
$producer->send('before');
wait_for { @{$consumer->messages} == 1 } 'and works';
$mq->configure;

# one that does
$mq->signal('USR2');
wait_for { $mq->master && $mq->master != $old
           && $mq->worker_pids($mq->master) == $mq->{workers} }
         'a new server';
my $new = $mq->master;
$producer->send('beside');
wait_for { @{$consumer->messages} == 2 } 'the clients of the old one stay';
is_deeply([$consumer->data], [qw(before beside)], 'and get their messages');
is($consumer->closed // $producer->closed, undef, 'connected');

# The old one is told to go: it keeps what was with it.
kill 'QUIT', $old;
wait_for { $consumer->closed && $producer->closed } 'the old one goes';
is($_->closed->[0], 1001, 'its clients are told 1001')
    for $consumer, $producer;
wait_for { !is_running($old) } 'and it is gone';
$mq->{pid} = $new;
is($mq->counts->{all}, 0, 'the queue of the new one is empty');
$consumer = $mq->consumer('topic', 'c1');
$producer = $mq->producer('topic', 'p1');
ok((grep { $_ == $consumer->worker } $mq->worker_pids),
   'clients come again to the new one');
$producer->send('after');
wait_for { @{$consumer->messages} == 1 } 'which works';
$mq->renew;
$consumer = $mq->consumer('topic', 'c1');
$mq->publish('topic', 'again');
wait_for { @{$consumer->messages} == 1 } 'after a reload, too';
$mq->finish;
done_testing;
