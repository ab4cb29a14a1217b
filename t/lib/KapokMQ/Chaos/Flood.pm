# Very many small messages in one topic, for KapokMQ::Chaos: they keep the
# server busy at the moment of a kill, and fill its memory when their consumers
# stay away.  There is no ledger of them but which have been accepted, and
# which have come.

package KapokMQ::Chaos::Flood;

use strict;
use warnings;

use Mojo::IOLoop;

use KapokMQ::Chaos::Clients;

use constant {
    TOPIC  => 'flood',
    BLOCK  => 4000,     # messages of one burst
    DIGITS => 8,        # of a message; the first one says whose it is
    TAIL   => '.' x 112,
};

sub new {
    my ($class, $chaos) = @_;
    my $self = bless {
        chaos => $chaos, ledger => $chaos->ledger, came => '', droughts => 0,
    }, $class;

    $self->{producers} = [map {
        KapokMQ::Chaos::Flood::Producer->new($self, $_)
    } 0 .. 2];
    $self->{consumers} = [map {
        KapokMQ::Chaos::Flood::Consumer->new($self, $_)
    } 1 .. 3];

    return $self;
}

sub producers { @{$_[0]{producers}} }
sub consumers { @{$_[0]{consumers}} }

sub burst {
    my ($self) = @_;

    $_->burst for $self->producers;
}

# The consumers go for so many seconds.
sub dry {
    my ($self, $seconds) = @_;

    $self->{droughts}++;
    $self->{chaos}->add('droughts');
    $_->stay_away($seconds) for $self->consumers;
}

sub came {
    my ($self, $n) = @_;

    vec($self->{came}, $n, 1) = 1;
    $self->{chaos}->add('flood deliveries');
}

# All that was accepted has come.
sub close {
    my ($self) = @_;

    for my $range (map { @{$_->{accepted}} } $self->producers) {
        my ($from, $to) = @$range;
        $self->{chaos}->add('flood accepted', $to - $from + 1);
        for my $n (grep { !vec $self->{came}, $_, 1 } $from .. $to) {
            $self->{ledger}->fault('lost', "flood $n");
        }
    }
}


package KapokMQ::Chaos::Flood::Producer;

our @ISA = ('KapokMQ::Chaos::Client');

use constant {
    BLOCK  => KapokMQ::Chaos::Flood::BLOCK,
    DIGITS => KapokMQ::Chaos::Flood::DIGITS,
};

sub new {
    my ($class, $flood, $n) = @_;
    my $self = KapokMQ::Chaos::Client::new($class, $flood->{chaos},
        KapokMQ::Chaos::Flood::TOPIC, "p$n");

    $self->{next} = $n * 10 ** (DIGITS - 1);
    $self->{accepted} = [];     # numbers from, to
    $self->{pending} = 0;

    return $self;
}

sub path { return "/Producers/Conn/$_[0]{topic}/$_[0]{id}" }

sub produce    { }
sub unanswered { $_[0]{pending} }

# The frames are made beforehand, when there is time.
sub tick {
    my ($self) = @_;
    my $tail = KapokMQ::Chaos::Flood::TAIL;
    my $head = "\x81" . chr(0x80 | DIGITS + length $tail) . "\0\0\0\0";

    return if $self->{block} || $self->{pending};
    $self->{block} = join '', map { sprintf "$head%0*d$tail", DIGITS, $_ }
                     $self->{next} .. $self->{next} + BLOCK - 1;
    $self->{next} += BLOCK;
}

sub burst {
    my ($self) = @_;

    return if !$self->ready || !$self->{block};
    $self->{pending} = BLOCK;
    $self->{link}{out} .= delete $self->{block};
    $self->{link}->flush;
}

sub link_oks {
    my ($self, $link, $n) = @_;
    my $from = $self->{next} - $self->{pending};

    push @{$self->{accepted}}, [$from, $from + $n - 1];
    $self->{pending} -= $n;
    $self->{ledger}->fault('answer', 'flood: more than messages')
        if $self->{pending} < 0;
}

sub link_text {
    my ($self, $link, $bytes) = @_;

    $self->{ledger}->fault('answer', "flood: $bytes");
}

sub link_end {
    my ($self) = @_;

    $self->{pending} = 0;
    $self->reconnect;
}


package KapokMQ::Chaos::Flood::Consumer;

our @ISA = ('KapokMQ::Chaos::Client');

sub new {
    my ($class, $flood, $n) = @_;
    my $self = KapokMQ::Chaos::Client::new($class, $flood->{chaos},
        KapokMQ::Chaos::Flood::TOPIC, "c$n");

    $self->{flood} = $flood;

    return $self;
}

sub path    { return "/Consumers/Conn/$_[0]{topic}/$_[0]{id}" }
sub unknown { 0 }
sub conn    { }

sub stay_away {
    my ($self, $seconds) = @_;

    $self->{away} = 1;
    $self->{link}->finish(1000) if $self->{link};
    Mojo::IOLoop->timer($seconds => sub {
        $self->{away} = 0;
        $self->connect if !$self->{link} && !$self->{leaving};
    });
}

sub connect {
    my ($self) = @_;

    $self->KapokMQ::Chaos::Client::connect if !$self->{away};
}

my $PUSH = qr/"MessageData":"(\d{8})\.+","Topic":"flood"/;

sub link_text {
    my ($self) = @_;

    if ($_[2] =~ $PUSH) {
        $self->{flood}->came($1);
    } else {
        $self->{ledger}->fault('data', substr $_[2], 0, 200);
    }
}

1;
