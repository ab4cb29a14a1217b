# Consumers of KapokMQ::Chaos without a WebSocket: streams of events and pulls,
# which settle over HTTP.
#
# No ping tells how far the server has come.  So a stream is known to be whole
# when it was begun, an answer to a pull when it was asked for; and what was
# confirmed must not come on what was begun after that was answered.

package KapokMQ::Chaos::Door;

use strict;
use warnings;

use Mojo::IOLoop;
use Mojo::UserAgent;

use KapokMQ::Chaos::Clients;
use KapokMQ::Link;

our @ISA = ('KapokMQ::Chaos::Client');

sub new {
    my ($class, $chaos, $topic, $id) = @_;
    my $self = KapokMQ::Chaos::Client::new($class, $chaos, $topic, $id);

    $self->{ua} = Mojo::UserAgent->new(max_connections => 0,
        connect_timeout => 10, inactivity_timeout => 10);
    $self->{todo} = [];         # time, what is to be done, delivery, code
    $self->{asking} = 0;

    return $self;
}

sub conn    { }
sub link    { }
sub ready   { 1 }
sub unknown { return @{$_[0]{todo}} || $_[0]{asking} }
sub gone    { return !$_[0]{asking} }
sub worker  { }

sub disconnect {
    my ($self) = @_;

    $self->{leaving} = 1;
}

sub tick {
    my ($self, $now) = @_;

    $self->_settle($now) if !$self->{asking};
}

# Status (0: none), and what came.
sub _ask {
    my ($self, $path, $form, $then) = @_;

    $self->{ua}->post('http://127.0.0.1:' . $self->{chaos}->mq->port . $path,
        { secretKey => KapokMQ::Chaos::Client::KEY }, form => $form, sub {
            my ($status, $body) = ($_[1]->res->code, $_[1]->res->body);
            # none is fine: it was a dead worker's
            $status = 0 if $_[1]->error && !$_[1]->error->{code};
            $then->($status // 0, $body);
        });
}

# A message has come: mostly it is confirmed, soon; some are given back, and
# some get more time before.
sub _came {
    my ($self, $conn, $json) = @_;
    my $now = KapokMQ::Link::now();
    my ($delivery, $code) = $self->{ledger}->delivered($conn, $json, $now);
    my $luck = rand;

    return if !$delivery;
    push @{$self->{todo}}, [$now + 0.2, 'extend', $delivery, $code]
        if $luck < 0.1;
    push @{$self->{todo}},
        [$now + ($luck < 0.1 ? 0.4 : rand 0.2),
         $luck > 0.95 ? 'return' : 'confirm', $delivery, $code];
    $self->{chaos}->add("$self->{kind} deliveries");
}

# What is due of one kind, in one request.
sub _settle {
    my ($self, $now) = @_;
    my @due = grep { $_->[0] <= $now } @{$self->{todo}} or return;
    my $what = $due[0][1];

    @due = grep { $_->[1] eq $what } @due;
    @due = @due[0 .. 99] if @due > 100;
    my %due = map { $_ => 1 } @due;
    @{$self->{todo}} = grep { !$due{$_} } @{$self->{todo}};
    for my $delivery (map { $_->[2] } @due) {
        $self->{ledger}->said($delivery) if $what eq 'confirm';
        $self->{ledger}->returned($delivery, $now) if $what eq 'return';
    }

    $self->{asking} = 1;
    $self->_ask('/Consumers/Settle', {
        $what => join(',', map { $_->[3] } @due), id => $self->{id},
        $what eq 'return' ? (delay => 0.1) : (),
    }, sub {
        my ($status, $body) = @_;
        $self->{asking} = 0;
        $self->{ledger}->fault('answer', "Settle: $status $body")
            if !grep { $status == $_ } 0, 200, 503;
        if ($status != 200) {
            # it may have been done, or not
            push @{$self->{todo}}, @due;
        } elsif ($what eq 'confirm') {
            $self->_settled($body, @due);
        }
    });
}

sub _settled {
    my ($self, $body, @due) = @_;
    my ($list) = $body =~ /"notInFlight":\[(.*?)\]/;
    my %not = map { $_ => 1 } $list =~ /[0-9a-f]{40}/g;
    my $now = KapokMQ::Link::now();

    for (grep { !$not{$_->[3]} } @due) {
        $self->{ledger}->settled($_->[2], $now);
        $self->{chaos}->add("$self->{kind} settled");
    }
}


# ------------------------------------------------------------------- streams

package KapokMQ::Chaos::EventStream;

use KapokMQ::Stream;

our @ISA = ('KapokMQ::Chaos::Door');

sub connect {
    my ($self) = @_;

    $self->{kind} = 'events';
    $self->{conn} = undef;
    $self->{count} = 0;
    $self->{stream} = KapokMQ::Stream->new($self->{chaos}->mq, $self->{topic},
        $self->{id}, again => 1, key => KapokMQ::Chaos::Client::KEY,
        query => { confirm => 'ack', prefetch => 50 },
        on_connect => sub {
            $self->_over;
            $self->{conn} = $self->{ledger}->joined($self->{topic},
                KapokMQ::Link::now(),
                "$self->{id}, stream " . ++$self->{count});
        },
        on_end => sub { $self->_over },
        on_text => sub { $self->_came($self->{conn}, $_[2]) });
}

sub _over {
    my ($self) = @_;
    my $conn = delete $self->{conn} or return;

    $self->{ledger}->ended($conn, KapokMQ::Link::now(), $self->{dropped});
    $self->{dropped} = 0;
}

sub conn   { $_[0]{conn} }
sub ready  { return $_[0]{stream} && $_[0]{stream}->open }
sub worker { return $_[0]->ready ? $_[0]{stream}->worker : undef }

sub disconnect {
    my ($self) = @_;

    $self->{leaving} = 1;
    $self->{stream}->stop;
}

# It breaks, and comes again.
sub tick {
    my ($self, $now) = @_;

    $self->KapokMQ::Chaos::Door::tick($now);
    if ($self->once(10) && $self->ready) {
        $self->{dropped} = 1;
        $self->{stream}->drop;
    }
}


# --------------------------------------------------------------------- pulls

package KapokMQ::Chaos::Puller;

our @ISA = ('KapokMQ::Chaos::Door');

use constant LEASE => 3;

my $MESSAGE = qr/\{"MessageCode":"[0-9a-f]{40}",
                 "MessageData":"(?:[^"\\]|\\.)*+","Topic"[^{}]*\}/xs;

sub connect {
    my ($self) = @_;

    $self->{kind} = 'pull';
    $self->{pulls} = 1;
}

# No more of them.
sub quiet   { $_[0]{pulls} = 0 }
sub unknown { return $_[0]{pulling} || $_[0]->KapokMQ::Chaos::Door::unknown }
sub gone    { return !$_[0]{pulling} && $_[0]->KapokMQ::Chaos::Door::gone }

sub disconnect {
    my ($self) = @_;

    $self->quiet;
    $self->{leaving} = 1;
}

sub tick {
    my ($self, $now) = @_;

    $self->KapokMQ::Chaos::Door::tick($now);
    $self->_pull($now) if $self->{pulls} && !$self->{pulling};
}

sub _pull {
    my ($self, $now) = @_;
    my $conn = $self->{ledger}->joined($self->{topic}, $now,
                                       "$self->{id}, pull " . ++$self->{count});

    $conn->{retry} = LEASE;
    $self->{pulling} = 1;
    $self->_ask("/Consumers/Pull/$self->{topic}/$self->{id}",
        { max => 1 + int(rand 50), wait => 1, lease => LEASE }, sub {
            my ($status, $body) = @_;
            $self->{pulling} = 0;
            if ($status == 200) {
                $self->_came($conn, $1) while $body =~ /($MESSAGE)/g;
            }
            $self->{ledger}->fault('answer', "Pull: $status $body")
                if !grep { $status == $_ } 0, 200, 503;
        });
}

1;
