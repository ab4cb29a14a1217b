# Producers at the primary of a cluster, and at whoever comes after it while the
# first one stands still, or is cut off: never do two say "ok", and what either
# said "ok" to is there.
#
#     my $rivals = KapokMQ::Rivals->new($cluster);
#     $rivals->round('all of it', $stop, $continue, $over);
#     $rivals->drain;
#     is($rivals->faults, '', 'nothing is wrong');
#
# Which of two was first is known by the order in which this process did things:
# a message that was sent to the old primary after an "ok" of the new one had
# been read must not be answered "ok".

package KapokMQ::Rivals;

use strict;
use warnings;

use IO::Select;
use List::Util qw(max min);
use Test::More;
use Time::HiRes qw(time);

use KapokMQ::Raw;
use KapokMQ::Test;

use constant {
    PATIENCE => $ENV{KMQ_PATIENCE} || 120,
    WINDOW => 5,        # messages of a producer that are not answered
    APART => 0.02,      # seconds between two of its messages
    LOOK => 0.1,        # and between two looks at who is primary

    # a message
    SENT => 0, EPOCH => 1, STATE => 2,
    OPEN => 0, MUST => 1, NEVER => 2,
};

# Options: producers, of each primary.
sub new {
    my ($class, $cluster, %option) = @_;

    return bless {
        cluster => $cluster, producers => 6, %option,
        conns => [], message => {}, ok => {}, first => {}, count => 0,
        fault => [], looked => 0, entered => 0,
    }, $class;
}

# So many messages an epoch has said "ok" to.
sub oks { $_[0]{ok}{$_[1]} // 0 }

sub accepted { my $n = 0; $n += $_ for values %{$_[0]{ok}}; return $n }

sub faults { join "\n", @{$_[0]{fault}} }

sub _fault {
    my ($self, $text) = @_;

    push @{$self->{fault}}, $text if @{$self->{fault}} < 20;
}


# -------------------------------------------------------------- connections

# Producers come to a node that is primary of that epoch.
sub _enter {
    my ($self, $mq, $epoch) = @_;

    for my $n (1 .. $self->{producers}) {
        my $raw = eval { $mq->raw("/Producers/Conn/t/$n", key => 'sesame') }
                  or next;
        next if $raw->status != 101;
        $raw->next_text;
        $raw->{socket}->blocking(0);
        push @{$self->{conns}}, { socket => $raw->{socket}, epoch => $epoch,
                                  in => $raw->{in}, out => '', sent => [],
                                  next => 0 };
    }
    $self->{entered} = max($epoch, $self->{entered});
}

sub _of {
    my ($self, $epoch) = @_;

    return grep { $_->{epoch} == $epoch } @{$self->{conns}};
}

# Runs them until the condition holds; 0 when it does not come.
sub run {
    my ($self, $until) = @_;
    my $deadline = time + PATIENCE;

    until ($until->()) {
        return 0 if time > $deadline;
        $self->_turn(0.005);
    }
    return 1;
}

sub _turn {
    my ($self, $wait) = @_;

    for my $conn (@{$self->{conns}}) {
        $self->_produce($conn);
        next if $conn->{out} eq '';
        local $SIG{PIPE} = 'IGNORE';
        my $n = syswrite $conn->{socket}, $conn->{out};
        substr $conn->{out}, 0, $n, '' if defined $n;
    }
    my %conn = map { fileno $_->{socket} => $_ } @{$self->{conns}};
    for my $socket (IO::Select->new(map { $_->{socket} } values %conn)
                    ->can_read($wait))
    {
        my $conn = $conn{fileno $socket};
        my $n = sysread $socket, $conn->{in}, 65536, length $conn->{in};
        $conn->{eof} = 1 if defined $n ? !$n : !$!{EAGAIN};
        $self->_frames($conn);
    }
    @{$self->{conns}} = grep { !$_->{eof} } @{$self->{conns}};
}

sub _produce {
    my ($self, $conn) = @_;
    my $now = time;

    return if $conn->{eof} || @{$conn->{sent}} >= WINDOW
              || $now < $conn->{next};
    my $id = ++$self->{count};
    $self->{message}{$id} = [$now, $conn->{epoch}, OPEN];
    push @{$conn->{sent}}, $id;
    $conn->{out} .= KapokMQ::Raw::frame(1, $id);
    $conn->{next} = $now + APART;
}

# The server's frames are short here, and have no mask.
sub _frames {
    my ($self, $conn) = @_;

    while (length $conn->{in} >= 2) {
        my ($first, $size, $long) = unpack 'CCn', $conn->{in};
        my $head = $size == 126 ? 4 : 2;
        last if length $conn->{in} < $head;
        $size = $long if $head == 4;
        last if length $conn->{in} < $head + $size;
        my $payload = substr $conn->{in}, $head, $size;
        substr $conn->{in}, 0, $head + $size, '';
        my $opcode = $first & 15;
        if ($opcode == 9) {
            $conn->{out} .= KapokMQ::Raw::frame(10, $payload);
        } elsif ($opcode == 8) {
            $conn->{eof} = 1;
        } elsif ($opcode == 1) {
            $self->_answered($conn, $payload);
        }
    }
}

sub _answered {
    my ($self, $conn, $answer) = @_;
    my $id = shift @{$conn->{sent}} // return $self->_fault("also: $answer");
    my $message = $self->{message}{$id};
    my $epoch = $conn->{epoch};

    if ($answer eq 'ok') {
        $message->[STATE] = MUST;
        $self->{ok}{$epoch}++;
        $self->{first}{$epoch} //= time;
        for my $later (grep { $_ > $epoch } keys %{$self->{first}}) {
            $self->_fault("epoch $epoch said ok to a message that was sent "
                          . "after one of epoch $later had got ok")
                if $message->[SENT] > $self->{first}{$later};
        }
    } elsif ($answer =~ /^error: not stored: /) {
        $message->[STATE] = NEVER;
    } elsif ($answer !~ /^error: not confirmed as stored: /) {
        $self->_fault("answer: $answer");
    }
}


# ------------------------------------------------------------------- rounds

# Whether there is a later epoch, to which producers have come.
sub _later {
    my ($self, $epoch) = @_;

    if (time - $self->{looked} >= LOOK) {
        my ($number, $now) = $self->{cluster}->who;
        if ($now > $self->{entered} && $self->{cluster}->serves($number)) {
            $self->_enter($self->{cluster}->node($number), $now);
        }
        $self->{looked} = time;
    }
    return $self->{entered} > $epoch;
}

# Something happens to the primary, and is over when $over->($later) says so;
# later: another one has said "ok".  Then either the old one has let its clients
# go, or it goes on.
sub round {
    my ($self, $name, $begin, $end, $over) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    wait_for { $self->{cluster}->whole } "$name: all of it is there"
        or $self->{cluster}->tell;
    my ($mq, $number, $epoch) = $self->{cluster}->primary;
    $self->_enter($mq, $epoch) unless $self->_of($epoch);
    my $goal = $self->oks($epoch) + 50;
    ok($self->run(sub { $self->oks($epoch) >= $goal || $self->_later($epoch) }),
       "$name: messages are taken");
    $begin->($mq, $number);
    my $later = sub { $self->_later($epoch) && $self->oks($self->{entered}) };
    ok($self->run(sub { $over->($later->()) }), "$name: for a while");
    $end->();
    $goal = $self->oks($epoch) + 50;
    ok($self->run(sub {
        $later->() ? !$self->_of($epoch) : $self->oks($epoch) >= $goal
    }), "$name: the old primary lets its clients go, or goes on");
    $goal = $self->accepted + 50;
    ok($self->run(sub { $self->_later($epoch); $self->accepted >= $goal }),
       "$name: messages are taken again");
    is($self->faults, '', "$name: nothing is wrong");

    return $self->{entered} > $epoch;
}

# No more are sent; all that was to come has come to a consumer of whoever is
# primary then.
sub drain {
    my ($self) = @_;
    my (%got, $consumer, $mq);

    close $_->{socket} for @{$self->{conns}};
    $self->{conns} = [];
    my @must = grep { $self->{message}{$_}[STATE] == MUST }
               keys %{$self->{message}};
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    wait_for {
        if (!$consumer || $consumer->closed) {
            $mq = $self->{cluster}->primary;
            $consumer = eval { $mq->consumer('t', 'last', ack => 1) };
        }
        $got{$_} = 1 for $consumer ? $consumer->data : ();
        my $counts = eval { $mq->counts } // {};
        !grep { !$got{$_} } @must and ($counts->{unconsumed} // 1) == 0
    } 'all that got "ok" is there';
    diag('missing: ', join ' ', grep { !$got{$_} } @must)
        if grep { !$got{$_} } @must;
    is(scalar(grep { $got{$_} } grep { $self->{message}{$_}[STATE] == NEVER }
              keys %{$self->{message}}), 0, 'what was refused is not');
}

1;
