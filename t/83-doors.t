# Nothing is lost, and nothing comes twice, over events and pulls: while nginx is
# reloaded, and while its workers die. KMQ_DOORS_MESSAGES: how many of each.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use List::Util qw(sum0);
use Mojo::IOLoop;
use Test::More;
use Time::HiRes qw(time);
use KapokMQ::Puller;
use KapokMQ::Stream;
use KapokMQ::Test;

use constant { N => $ENV{KMQ_DOORS_MESSAGES} || 8_000, CLIENTS => 4,
               MANY => 500 };

my $mq = KapokMQ::Test->start(
    zone => N > 100_000 ? '512m' : '64m',
    yaml => { retryDelay => 0, drainTime => 0.2, pushRetryTime => 20,
              isCleanConsumed => 1 });

# What came, and of what its confirmation was answered.
my (%came, %confirmed, %twice);

# no tick of the loop waits for long
Mojo::IOLoop->recurring(0.005 => sub { });

sub came {
    my ($topic, $message) = @_;
    my $data = $message->{MessageData};

    $twice{$topic}{$data}++ if $confirmed{$topic}{$data};
    return $came{$topic}{$data}++;
}

# Settles what is there to be settled, one request after the other, until it is
# answered.
sub settler {
    my ($topic) = @_;
    my $self = { puller => KapokMQ::Puller->new($mq), todo => [], busy => 0 };

    $self->{add} = sub {
        push @{$self->{todo}}, @_;
        $self->{next}->() unless $self->{busy};
    };
    $self->{next} = sub {
        my @now = splice @{$self->{todo}}, 0, 1000 or return;
        $self->{busy} = 1;
        $self->{puller}->post('/Consumers/Settle',
            { confirm => [map { $_->{MessageCode} } @now] }, sub {
                my ($status, $json) = @_;
                $self->{busy} = 0;
                if ($status == 200) {
                    my %not = map { $_ => 1 } @{$json->{data}{notInFlight}};
                    $confirmed{$topic}{$_->{MessageData}} = 1
                        for grep { !$not{$_->{MessageCode}} } @now;
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

    return KapokMQ::Stream->new($mq, $topic, $id, again => 1, query => \%query,
        on_message => sub {
            my ($stream, $message) = @_;
            came($topic, $message);
            $settler->{add}->($message) if $settler;
            @{$stream->messages} = ();
            splice @{$stream->{ids}}, 0, -1;
        });
}

sub puller {
    my ($topic, $id, $stop) = @_;
    my $puller = KapokMQ::Puller->new($mq);
    my $settler = settler($topic);
    my $pull;

    $pull = sub {
        return if $$stop;
        $puller->pull($topic, $id, { max => 100, wait => 2, lease => 5 }, sub {
            my ($status, $json) = @_;
            if ($status == 200) {
                came($topic, $_) for @{$json->{data}};
                $settler->{add}->(@{$json->{data}});
            }
            Mojo::IOLoop->timer($status == 200 ? 0 : 0.05, sub { $pull->() });
        });
    };
    $pull->();
}

# A WebSocket that comes again when it is closed.
sub websocket {
    my ($topic, $id, $stop) = @_;
    my $connect;

    $connect = sub {
        return if $$stop;
        $mq->connect("/Consumers/Conn/$topic/$id?confirm=ack", ack => 1,
            headers => { secretKey => 'sesame' },
            on_message => sub { came($topic, $_[1]) },
            on_close => sub { Mojo::IOLoop->timer(0.05, $connect) });
    };
    $connect->();
}

# Publishes N messages, a few at a time, while things happen: an action when the
# n-th part of them is there. What is not known to be in is not counted.
sub publish {
    my ($topics, @actions) = @_;
    my (%in, $n, $done);

    for my $part (0 .. N / MANY - 1) {
        for my $topic (@$topics) {
            my @data = map { "$topic-$_" } $part * MANY + 1 .. ($part + 1) * MANY;
            my $known = eval { $mq->publish_many($topic, @data) };
            @{$in{$topic}}{@data} = () if $known;
        }
        Mojo::IOLoop->one_tick for 1 .. 20;
        my $due = int(($part + 1) * MANY / N * (@actions + 1));
        while (($done //= 0) < $due && $done < @actions) {
            $actions[$done++]->();
        }
    }

    return \%in;
}

sub all_came {
    my ($in, $topic, $name) = @_;
    my $n = keys %{$in->{$topic}};

    wait_for {
        sum0(map { exists $in->{$topic}{$_} } keys %{$came{$topic}}) == $n
    } "$name: all $n of $topic come", 60;
}

my @doors = qw(socket ack pull);
my $stop = 0;

# --- reloads: each once
{
    my @topics = map { "reload-$_" } @doors;
    my @clients = map {
        stream($topics[0], "s$_"), stream($topics[1], "a$_", confirm => 'ack')
    } 1 .. CLIENTS;
    puller($topics[2], "p$_", \$stop) for 1 .. CLIENTS;
    wait_for { !grep { !$_->open } @clients } 'streams are open';

    my $in = publish(\@topics, (sub { $mq->reload }) x 4);
    for my $topic (@topics) {
        is(scalar keys %{$in->{$topic}}, N, 'all are accepted');
        all_came($in, $topic, 'reloads');
        is(scalar(grep { $came{$topic}{$_} > 1 } keys %{$came{$topic}}), 0,
           'none comes twice');
    }
    $mq->counts_become({ unconsumed => 0 }, 'and all is consumed');
    $_->stop for @clients;
    $stop = 1;
    wait_for { @{$mq->clients->{consumers}} == 0 } 'nobody is left';
}

my $kill = sub {
    my @workers = $mq->worker_pids;
    kill 'KILL', $workers[rand @workers];
    wait_for { $mq->_workers_ready } 'a worker dies, another comes';
};

# --- deaths: what is confirmed does not come again
{
    my @topics = map { "death-$_" } qw(ack pull);
    $stop = 0;
    my @clients = map { stream($topics[0], "a$_", confirm => 'ack') }
                  1 .. CLIENTS;
    puller($topics[1], "p$_", \$stop) for 1 .. CLIENTS;
    wait_for { !grep { !$_->open } @clients } 'streams are open';

    my $in = publish(\@topics, ($kill) x 4);
    for my $topic (@topics) {
        all_came($in, $topic, 'deaths');
        is(scalar keys %{$twice{$topic}}, 0,
           'what was confirmed does not come again');
    }
    $mq->counts_become({ unconsumed => 0 }, 'and all is consumed');
    $_->stop for @clients;
    $stop = 1;
    run_for(0.1);
}

# --- all transports mixed, one topic, deaths and reloads
{
    my $topic = 'mixed';
    $stop = 0;
    my @clients = map { stream($topic, "a$_", confirm => 'ack') } 1 .. CLIENTS;
    for my $n (1 .. CLIENTS) {
        puller($topic, "p$n", \$stop);
        websocket($topic, "w$n", \$stop);
    }
    wait_for { @{$mq->clients->{consumers}} >= 3 * CLIENTS } 'all are there';

    my $in = publish([$topic], map { ($kill, sub { $mq->reload }) } 1 .. 3);
    all_came($in, $topic, 'mixed');
    is(scalar keys %{$twice{$topic}}, 0,
       'what was confirmed does not come again');
    $mq->counts_become({ unconsumed => 0 }, 'and all is consumed');
    $stop = 1;
    $_->stop for @clients;
    run_for(0.1);
}

$mq->{allow} = qr/exited on signal 9|died/;
$mq->finish;
done_testing();
