# Consumers that die at random, and a server that ends connections at random,
# with a model of which message is charged with what.
#
#     my $forgive = KapokMQ::Forgive->new($mq, deaths => 0.01, ours => 1,
#                                         topics => { news => { all => 1 } });
#     $forgive->start;
#     ...
#     $forgive->calm;       # no death any more, and no new message
#     $forgive->finish;
#
# Clients send and handle a little in each tick, as many messages as a machine
# has time for that does other things, too. With messages => N they do it as
# fast as they can, until so many are accepted, the same number in each topic;
# sent() tells when.
#
# The model: the end of a consumer charges one message that it has in flight,
# the oldest of those that were charged before, or else the oldest; and one that
# was charged comes alone, and nothing behind it. What a consumer has confirmed
# is known before it dies, since it asks by a ping. A message that comes for the
# n-th time has n - 1 charges; of these the model knows the least and the most:
# a death that we may have forestalled charges perhaps. So it is in
# publish/subscribe, where others may have the message, too.

package KapokMQ::Forgive;

use strict;
use warnings;

use List::Util qw(shuffle);
use Mojo::IOLoop;
use Mojo::UserAgent;
use POSIX qw(ceil);

use constant {
    KEY       => 'sesame',
    CONSUMERS => 6,
    TICK      => 0.01,
    # messages that a producer sends, and a consumer handles, in a tick
    SEND => 8, HANDLE => 4,
    # without an answer
    WINDOW => 400,
    # and with messages => N at once, and before a consumer has come to them
    BURST => 50, AHEAD => 500,
};

sub new {
    my ($class, $mq, %option) = @_;
    my $self = bless {
        mq => $mq, deaths => 0, ours => 0, messages => 0, charges => {},
        faults => [],
        count => { map { $_ => 0 } qw(messages deaths attempts ours) },
        ua => Mojo::UserAgent->new(max_connections => 0), %option,
    }, $class;

    my @topics = sort keys %{$self->{topics}};
    for my $topic (@topics) {
        my @common = ($self, $topic, $self->{topics}{$topic});
        %{$self->{topics}{$topic}} = (
            %{$self->{topics}{$topic}}, come => 0,
            left => ceil($self->{messages} / @topics));
        push @{$self->{clients}},
            KapokMQ::Forgive::Producer->new(@common, 'p1'),
            map { KapokMQ::Forgive::Consumer->new(@common, "c$_") }
            1 .. CONSUMERS;
    }

    return $self;
}

sub start {
    my ($self) = @_;

    $self->{raging} = 1;
    $_->connect for @{$self->{clients}};
    $self->{loop} = Mojo::IOLoop->recurring(TICK, sub {
        $_->tick for @{$self->{clients}};
    });
    return if !$self->{ours};
    $self->_again(0.3, 0.9, \&_kill);
    $self->_again(1, 2, sub { $_[0]{mq}->signal('HUP') });
    $self->_again(0.05, 0.2, \&_disconnect);
}

sub calm { $_[0]{raging} = 0 }

sub finish {
    my ($self) = @_;

    $_->leave for @{$self->{clients}};
}

sub gone {
    my ($self) = @_;
    my $gone = !grep { $_->{link} } @{$self->{clients}};

    Mojo::IOLoop->remove(delete $self->{loop}) if $gone && $self->{loop};
    return $gone;
}

# messages => N: whether as many are accepted.
sub sent {
    return !grep { $_->{left} > 0 } values %{$_[0]{topics}};
}

sub answered { return !grep { $_->{pending} } @{$_[0]{clients}} }
sub counts   { %{$_[0]{count}} }
sub faults   { @{$_[0]{faults}} }

# How many charges a message may have, at most.
sub most { return ($_[0]{charges}{$_[1]} // [0, 0])->[1] }


# --------------------------------------------------------------- ends of ours

# From time to time.
sub _again {
    my ($self, $from, $to, $deed) = @_;

    Mojo::IOLoop->timer($from + rand($to - $from), sub {
        return if !$self->{raging};
        $self->{count}{ours}++;
        $self->$deed;
        $self->_again($from, $to, $deed);
    });
}

sub _kill {
    my ($self) = @_;
    my ($pid) = shuffle $self->{mq}->worker_pids;

    kill 'KILL', $pid if $pid;
}

sub _ask {
    my ($self, $function, $form, $then) = @_;

    $self->{ua}->post('http://127.0.0.1:' . $self->{mq}->port
        . "/Console/$function", { secretKey => KEY },
        form => $form, sub {
            my $json = eval { $_[1]->res->json };
            $then->($json) if $then && $json;
        });
}

# An operator does, some consumer.
sub _disconnect {
    my ($self) = @_;

    $self->_ask(GetClientList => { role => 'consumer' }, sub {
        my ($json) = @_;
        my ($client) = shuffle @{$json->{data} // []};
        $self->_ask(Disconnect => { connection => $client->{Connection} })
            if $client;
    });
}


# ------------------------------------------------------------------ the model

# A consumer has died that had these messages, the oldest one first.
sub died {
    my ($self, $topic, @messages) = @_;
    my ($charged) = grep { $_->{attempt} > 1 } @messages;
    my $code = ($charged // $messages[0] // return)->{code};
    my $charges = $self->{charges}{$code} //= [0, 0];

    $charges->[0]++ if !$self->{ours} && !$topic->{all};
    $charges->[1]++;
}

# A message comes; attempt: 0, the first push.
sub came {
    my ($self, $topic, $code, $attempt) = @_;
    my $charges = $self->{charges}{$code} // [0, 0];
    my $failures = $attempt ? $attempt - 1 : 0;

    $self->{count}{attempts}++ if $failures;
    push @{$self->{faults}}, "$code has failed $failures times, and not"
                             . " $charges->[0] to $charges->[1]"
        if $failures < $charges->[0] || $failures > $charges->[1];
    $self->{charges}{$code} = [$failures, $failures]
        if $failures && !$topic->{all};
}


# -------------------------------------------------------------------- clients

package KapokMQ::Forgive::Client;

use KapokMQ::Link;

sub new {
    my ($class, $forgive, $name, $topic, $id) = @_;

    return bless {
        forgive => $forgive, name => $name, topic => $topic, id => $id,
        n => 0,
    }, $class;
}

sub connect {
    my ($self) = @_;

    $self->reset;
    $self->{link} = KapokMQ::Link->new(
        port => $self->{forgive}{mq}->port, key => KapokMQ::Forgive::KEY,
        path => $self->path, owner => $self);
}

sub ready {
    my ($self) = @_;

    return $self->{link} && $self->{link}->ready && !$self->{closed};
}

# A tick of its own as soon as there is time.
sub hurry {
    my ($self) = @_;

    return if !$self->{forgive}{messages} || $self->{hurries};
    $self->{hurries} = 1;
    Mojo::IOLoop->next_tick(sub {
        $self->{hurries} = 0;
        $self->tick;
    });
}

sub leave {
    my ($self) = @_;

    $self->{leaving} = 1;
    $self->{link}->finish(1000) if $self->{link};
}

sub reset      { $_[0]{closed} = 0 }
sub link_open  { }
sub link_text  { }
sub link_pong  { }
sub link_ping  { $_[1]->frame(KapokMQ::Link::PONG, $_[2]) }
sub link_close { $_[0]{closed} = 1 }

sub link_end {
    my ($self) = @_;

    $self->reset;
    undef $self->{link};
    Mojo::IOLoop->timer(0.001, sub {
        $self->connect if !$self->{leaving};
    }) if !$self->{leaving};
}


package KapokMQ::Forgive::Producer;

use List::Util qw(min);

our @ISA = ('KapokMQ::Forgive::Client');

sub path { return "/Producers/Conn/$_[0]{name}/$_[0]{id}" }

sub reset {
    my ($self) = @_;

    $self->KapokMQ::Forgive::Client::reset;
    $self->{pending} = 0;
}

# How many it may send now.
sub room {
    my ($self) = @_;

    return 0 if $self->{pending} > KapokMQ::Forgive::WINDOW;
    return KapokMQ::Forgive::SEND if !$self->{forgive}{messages};
    return min(KapokMQ::Forgive::BURST,
               $self->{topic}{left} - $self->{pending},
               $self->{topic}{come} + KapokMQ::Forgive::AHEAD - $self->{n});
}

sub tick {
    my ($self) = @_;

    return if !$self->ready || !$self->{forgive}{raging};
    for (1 .. $self->room) {
        $self->{link}->frame(KapokMQ::Link::TEXT, 'm' . ++$self->{n});
        $self->{pending}++;
    }
    $self->{link}->flush;
}

sub link_oks {
    my ($self, $link, $n) = @_;

    $self->{pending} -= $n;
    $self->{topic}{left} -= $n;
    $self->{forgive}{count}{messages} += $n;
    $self->hurry;
}


package KapokMQ::Forgive::Consumer;

our @ISA = ('KapokMQ::Forgive::Client');

sub path { return "/Consumers/Conn/$_[0]{name}/$_[0]{id}" }

sub reset {
    my ($self) = @_;

    $self->KapokMQ::Forgive::Client::reset;
    $self->{queue} = [];
    $self->{dying} = 0;
}

my $PUSH = qr/\A\{"MessageCode":"(\w+)","MessageData":"m(\d+)"
              .*?(?:,"Attempts":(\d+))?\}\z/x;

sub link_text {
    my ($self, $link, $bytes) = @_;
    my ($code, $number, $attempt) = $bytes =~ $PUSH;

    if (!defined $code) {
        push @{$self->{forgive}{faults}}, $bytes;
        return;
    }
    $attempt //= 0;
    $self->{forgive}->came($self->{topic}, $code, $attempt);
    push @{$self->{forgive}{faults}}, "$code comes with others"
        if @{$self->{queue}}
           && grep { $_ > 1 } $attempt, $self->{queue}[0]{attempt};
    push @{$self->{queue}}, { code => $code, attempt => $attempt };
    $self->{topic}{come} = $number if $number > $self->{topic}{come};
    $self->hurry;
}

# Handles some, each of which may be its last.
sub tick {
    my ($self) = @_;
    my $forgive = $self->{forgive};

    return if !$self->ready || $self->{dying};
    for (1 .. KapokMQ::Forgive::HANDLE) {
        my $message = $self->{queue}[0] or last;
        if ($forgive->{raging} && rand() < $forgive->{deaths}) {
            $self->{dying} = 1;
            $self->{link}->frame(KapokMQ::Link::PING, 'heard?');
            last;
        }
        shift @{$self->{queue}};
        $self->{link}->frame(KapokMQ::Link::TEXT, $message->{code});
    }
    $self->{link}->flush;
    $self->hurry if @{$self->{queue}};
}

# All that it has said is known: it dies.
sub link_pong {
    my ($self, $link) = @_;

    return if !$self->{dying};
    $self->{forgive}{count}{deaths}++;
    $self->{forgive}->died($self->{topic}, @{$self->{queue}});
    $link->drop(rand() < 0.5);
}

1;
