# Nothing is lost, and nothing comes twice, over events and pulls: while nginx is
# reloaded, and while its workers die. KMQ_DOORS_MESSAGES: how many of each;
# KMQ_DOORS_PARTS: which of reloads, deaths and mixed, all of them otherwise.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use List::Util qw(max min);
use Mojo::IOLoop;
use Test::More;
use Time::HiRes qw(time);
use KapokMQ::Puller;
use KapokMQ::Stream;
use KapokMQ::Test;

use constant {
    N => $ENV{KMQ_DOORS_MESSAGES} || 8_000, CLIENTS => 4,
    # published at once, and that may be on their way
    MANY => 500, BEHIND => 20_000,
    # seconds in which what was pulled is confirmed
    LEASE => 5 * slower(),
    # things that happen in a part
    HAPPEN => max(4, int(($ENV{KMQ_DOORS_MESSAGES} || 0) / 25_000)),
};

my %part = map { $_ => 1 }
           split ' ', $ENV{KMQ_DOORS_PARTS} || 'reloads deaths mixed';

alarm(3600) if N > 100_000;

my $mq = KapokMQ::Test->start(
    zone => N > 100_000 ? '512m' : '64m',
    yaml => { retryDelay => 0, drainTime => 0.2, pushRetryTime => 20,
              isCleanConsumed => 1 });

# Of each topic: sets of numbers, which are bits of a text.  Those that are
# known to be in, that came, that came again, whose confirmation was answered,
# and that were pushed after that.  mark, 32 bits each: how far the topic was
# published when the confirmation was answered.
my %topic;

sub topic {
    my ($name) = @_;

    $topic{$name} = { map { $_ => '' } qw(in came again confirmed mark twice) };
    @{$topic{$name}}{qw(n came_n last)} = (0, 0, 0);

    return $name;
}

sub count { return unpack '%32b*', $_[0] }

# no tick of the loop waits for long
Mojo::IOLoop->recurring(0.005 => sub { });

# A message has come, and was pushed when number $since had been published.
# What lies in a socket when its other copy is confirmed may still be read.
sub came {
    my ($name, $n, $since) = @_;
    my $topic = $topic{$name};

    vec($topic->{twice}, $n, 1) = 1
        if vec($topic->{confirmed}, $n, 1)
           && vec($topic->{mark}, $n, 32) < $since;
    if (vec $topic->{came}, $n, 1) {
        vec($topic->{again}, $n, 1) = 1;
    } else {
        vec($topic->{came}, $n, 1) = 1;
        $topic->{came_n}++;
    }
}

# What is pushed, as far as it matters here: a code and a number.
my $MESSAGE = qr/"MessageCode":"([0-9a-f]{40})","MessageData":"[^"]*-(\d+)"/;

sub confirmed {
    my ($name, @n) = @_;
    my $topic = $topic{$name};

    for my $n (grep { !vec $topic->{confirmed}, $_, 1 } @n) {
        vec($topic->{confirmed}, $n, 1) = 1;
        vec($topic->{mark}, $n, 32) = $topic->{last};
    }
}

# What was pushed on one connection, in the order of pushes.
sub came_on {
    my ($name, $n, $seen, $connection) = @_;

    @$seen = ($connection, 0) if $connection ne ($seen->[0] // '');
    came($name, $n, $seen->[1]);
    $seen->[1] = max($seen->[1], $n);
}

# Settles what is there to be settled, one request after the other, until it is
# answered.
sub settler {
    my ($topic) = @_;
    my $self = { puller => KapokMQ::Puller->new($mq, text => 1), todo => [],
                 busy => 0 };

    $self->{add} = sub {
        push @{$self->{todo}}, @_;
        $self->{next}->() unless $self->{busy};
    };
    $self->{next} = sub {
        my @now = splice @{$self->{todo}}, 0, 1000 or return;
        $self->{busy} = 1;
        $self->{puller}->post('/Consumers/Settle',
            { confirm => [map { $_->[0] } @now] }, sub {
                my ($status, $text) = @_;
                $self->{busy} = 0;
                if ($status == 200) {
                    my ($list) = $text =~ /"notInFlight":\[(.*?)\]/;
                    my %not = map { $_ => 1 } $list =~ /[0-9a-f]{40}/g;
                    confirmed($topic, map { $_->[1] }
                                      grep { !$not{$_->[0]} } @now);
                } else {
                    unshift @{$self->{todo}}, @now;
                }
                Mojo::IOLoop->timer($status == 200 ? 0 : 0.05,
                                    sub { $self->{next}->() });
            });
    };

    return $self;
}

# A client of each kind, which goes on until it is told to stop.
sub stream {
    my ($topic, $id, %query) = @_;
    my $settler = $query{confirm} ? settler($topic) : undef;
    my @seen;

    return KapokMQ::Stream->new($mq, $topic, $id, again => 1, query => \%query,
        on_text => sub {
            my ($code, $n) = $_[2] =~ $MESSAGE;
            came_on($topic, $n, \@seen, $_[0]->connects);
            $settler->{add}->([$code, $n]) if $settler;
        });
}

sub puller {
    my ($topic, $id, $stop) = @_;
    my $puller = KapokMQ::Puller->new($mq, text => 1);
    my $settler = settler($topic);
    my $pull;

    $pull = sub {
        return if $$stop;
        my $last = $topic{$topic}{last};
        $puller->pull($topic, $id, { max => 100, wait => 2,
                                     lease => LEASE }, sub {
            my ($status, $text) = @_;
            if ($status == 200) {
                my @messages;
                push @messages, [$1, $2] while $text =~ /$MESSAGE/g;
                came($topic, $_->[1], $last) for @messages;
                $settler->{add}->(@messages);
            }
            Mojo::IOLoop->timer($status == 200 ? 0 : 0.05, sub { $pull->() });
        });
    };
    $pull->();
}

# A WebSocket that comes again when it is closed.
sub websocket {
    my ($topic, $id, $stop) = @_;
    my ($connect, @seen);

    $connect = sub {
        return if $$stop;
        $mq->connect("/Consumers/Conn/$topic/$id?confirm=ack", ack => 1,
            headers => { secretKey => 'sesame' },
            on_message => sub {
                my ($client, $message) = @_;
                came_on($topic, $message->{MessageData} =~ /(\d+)\z/, \@seen,
                        0 + $client);
            },
            on_close => sub { Mojo::IOLoop->timer(0.05, $connect) });
    };
    $connect->();
}

# Publishes until N messages are known to be in, some at a time, while things
# happen: an action when the n-th part of them is there.  What a worker that
# ends has not answered may be in, or not, and others are sent instead.
sub publish {
    my ($topics, @actions) = @_;
    my ($in, $next, $done) = (0, 1, 0);

    while ($in < N) {
        my @n = ($next .. $next + MANY - 1);
        $next += MANY;
        for my $topic (@$topics) {
            $topic{$topic}{last} = $n[-1];
            next if !eval {
                $mq->publish_many($topic, map { "$topic-$_" } @n);
            };
            vec($topic{$topic}{in}, $_, 1) = 1 for @n;
            $topic{$topic}{n} += @n;
        }
        $in = min(map { $topic{$_}{n} } @$topics);
        # while there is much on its way
        $actions[$done++]->()
            if $done < @actions && $in / N * (@actions + 1) >= $done + 1;
        my $wait = time + 120;
        Mojo::IOLoop->one_tick for 1 .. 20;
        Mojo::IOLoop->one_tick while time < $wait
            && grep { $topic{$_}{n} - $topic{$_}{came_n} > BEHIND } @$topics;
    }
    $actions[$done++]->() while $done < @actions;
}

my $began = time;

# All that is in comes; how many of them came again, nobody minds here.
sub all_came {
    my ($name, $why) = @_;
    my $topic = $topic{$name};
    my $n = count($topic->{in});

    wait_for { count($topic->{in} & $topic->{came}) == $n }
             "$why: all $n of $name come";
    diag(sprintf '%s, %d s: %d accepted, %d came, %d of them again, '
         . '%d confirmed, %d again after that', $name, time - $began,
         $n, map { count($topic->{$_}) } qw(came again confirmed twice));
}

my @doors = qw(socket ack pull);
my $stop = 0;

# --- reloads: each once
if ($part{reloads}) {
    my @topics = map { topic("reload-$_") } @doors;
    my @clients = map {
        stream($topics[0], "s$_"), stream($topics[1], "a$_", confirm => 'ack')
    } 1 .. CLIENTS;
    puller($topics[2], "p$_", \$stop) for 1 .. CLIENTS;
    wait_for { !grep { !$_->open } @clients } 'streams are open';

    publish(\@topics, (sub { $mq->reload }) x HAPPEN);
    for my $topic (@topics) {
        all_came($topic, 'reloads');
        is(count($topic{$topic}{again}), 0, 'none comes twice');
    }
    $mq->counts_become({ unconsumed => 0 }, 'and all is consumed');
    $_->stop for @clients;
    $stop = 1;
    wait_for { @{$mq->clients->{consumers}} == 0 } 'nobody is left';
}

my $kill = sub {
    my @workers = $mq->worker_pids;
    my $pid = $workers[rand @workers];
    kill 'KILL', $pid;
    wait_for { !is_running($pid) && $mq->_workers_ready }
             'a worker dies, another comes';
};

# --- deaths: what is confirmed does not come again
if ($part{deaths}) {
    my @topics = map { topic("death-$_") } qw(ack pull);
    $stop = 0;
    my @clients = map { stream($topics[0], "a$_", confirm => 'ack') }
                  1 .. CLIENTS;
    puller($topics[1], "p$_", \$stop) for 1 .. CLIENTS;
    wait_for { !grep { !$_->open } @clients } 'streams are open';

    publish(\@topics, ($kill) x HAPPEN);
    for my $topic (@topics) {
        all_came($topic, 'deaths');
        is(count($topic{$topic}{twice}), 0,
           'what was confirmed does not come again');
    }
    $mq->counts_become({ unconsumed => 0 }, 'and all is consumed');
    $_->stop for @clients;
    $stop = 1;
    run_for(0.1);
}

# --- all transports mixed, one topic, deaths and reloads
if ($part{mixed}) {
    my $topic = topic('mixed');
    $stop = 0;
    my @clients = map { stream($topic, "a$_", confirm => 'ack') } 1 .. CLIENTS;
    for my $n (1 .. CLIENTS) {
        puller($topic, "p$n", \$stop);
        websocket($topic, "w$n", \$stop);
    }
    wait_for { @{$mq->clients->{consumers}} >= 3 * CLIENTS } 'all are there';

    publish([$topic], map { ($kill, sub { $mq->reload }) }
                      1 .. HAPPEN - 1);
    all_came($topic, 'mixed');
    is(count($topic{$topic}{twice}), 0,
       'what was confirmed does not come again');
    $mq->counts_become({ unconsumed => 0 }, 'and all is consumed');
    $stop = 1;
    $_->stop for @clients;
    run_for(0.1);
}

$mq->{allow} = qr/exited on signal 9|died/;
$mq->finish;
done_testing();
