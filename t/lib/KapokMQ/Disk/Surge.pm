# Producers and consumers that keep a server busy while it is killed, or while
# its disk fails, and know afterwards what must be there.
#
#     my $surge = KapokMQ::Disk::Surge->new($mq, mode => 2);
#     $surge->connect;
#     $surge->run(sub { $surge->accepted > 1000 });
#     $mq->kill_all;
#     $surge->killed;
#     $mq->launch;
#     ...
#     $surge->drain;
#     is($surge->faults, '', 'nothing is wrong');
#
# Nothing is known outside of when something was written to disk, so this goes
# by what follows from the order of things:
#
#   isPersistent 2   A message that got "ok" is on disk. So is a confirmation
#                    when a message that was sent to the same worker after
#                    the confirmation was known has got "ok": it is behind
#                    it in that worker's journal. A confirmation is known when
#                    a ping that was sent behind it is answered.
#   isPersistent 1   The same, of what was so long ago: persistentTime, and how
#                    long the machine may take to do what is due.

package KapokMQ::Disk::Surge;

use strict;
use warnings;

use IO::Handle;
use IO::Select;
use IO::Socket::INET;
use List::Util qw(max min);
use Time::HiRes qw(time);

use KapokMQ::Raw;

# Seconds: for a connection, and for what is awaited.
use constant PATIENCE => $ENV{KMQ_PATIENCE} || 120;

use constant {
    # how much later than persistentTime something may be written; on a busy
    # machine longer by so many times its lag
    LATE => 0.3, LAGS => 3,

    # seconds between two looks at how long the disk takes, with
    # isPersistent 1
    PROBE => 0.1,

    # a message
    TOPIC => 0, SENT => 1, OK => 2, STATE => 3, PUSHES => 4,

    # what is to become of it
    OPEN => 0,       # not answered, or not known whether it is on disk
    MUST => 1,       # it has to come
    REFUSED => 2,    # it must not

    # a push
    CONN => 0, SAID => 1, KNOWN => 2,
};

# Options: mode, of isPersistent; time, persistentTime; topics, name => how
# they are (all => 1: publish/subscribe); producers and consumers of each topic;
# window, messages sent ahead; rate, messages sent in a second, at most; hold,
# which share of messages a consumer does not confirm.
sub new {
    my ($class, $mq, %option) = @_;

    return bless {
        mq => $mq, mode => 2, time => 0.5, producers => 3, consumers => 2,
        window => 20, rate => 20_000, hold => 10,
        topics => { work => {}, news => { all => 1 } },
        %option,
        epoch => 0, count => 0, message => {}, done => {}, conns => [],
        fault => {}, faults => 0, accepted => 0, refused => 0, settled => 0,
        got => 0, lag => 0, last_ok => {}, budget => 0, earned => time,
    }, $class;
}

# Its clients are another server's from the next connect() on.
sub moves { $_[0]{mq} = $_[1] }

sub accepted { $_[0]{accepted} }
sub refused  { $_[0]{refused} }
sub got      { $_[0]{got} }
# known to be confirmed for ever, when it was killed
sub settled  { $_[0]{settled} }
sub again    { $_[0]{again} // 0 }

sub _fault {
    my ($self, $kind, $text) = @_;

    push @{$self->{fault}{$kind}}, $text if @{$self->{fault}{$kind} // []} < 5;
    $self->{faults}++;
}

# What is wrong, '' if nothing.
sub faults {
    my ($self) = @_;

    return join '', map { "$_: " . join(', ', @{$self->{fault}{$_}}) . "\n" }
                    sort keys %{$self->{fault}};
}


# -------------------------------------------------------------- connections

sub connect {
    my ($self) = @_;

    $self->{epoch}++;
    $self->{last_ok} = {};
    for my $topic (sort keys %{$self->{topics}}) {
        $self->_connect('Consumers', $topic, $_) for 1 .. $self->{consumers};
        $self->_connect('Producers', $topic, $_) for 1 .. $self->{producers};
    }
}

sub _connect {
    my ($self, $role, $topic, $n) = @_;
    my $query = $role eq 'Consumers' ? '?confirm=ack' : '';
    my $raw = $self->{mq}->raw("/$role/Conn/$topic/$n$query", key => 'sesame');

    $raw->next_text;
    my ($worker) = $raw->head =~ /^X-Worker: (\d+)/m;
    $raw->{socket}->blocking(0);
    my $conn = {
        role => $role, topic => $topic, socket => $raw->{socket},
        in => $raw->{in}, out => '', worker => $worker // 0, sent => [],
        held => 0, pings => [], asked => [], epoch => $self->{epoch},
    };
    push @{$self->{conns}}, $conn;
    $self->_frames($conn);
}

# Runs the clients until the condition holds; 0 when it does not come.
sub run {
    my ($self, $until) = @_;
    my $deadline = time + PATIENCE;
    my $before = time;

    until ($until->()) {
        return 0 if time > $deadline;
        $self->_turn(0.005);
        my $now = time;
        $self->{lag} = max($self->{lag}, $now - $before);
        $before = $now;
    }
    return 1;
}

sub _turn {
    my ($self, $wait) = @_;

    $self->_probe if $self->{mode} == 1;
    if (!$self->{quiet}) {
        my $now = time;
        $self->{budget} = min($self->{rate} / 10, $self->{budget}
                              + ($now - $self->{earned}) * $self->{rate});
        $self->{earned} = $now;
        $self->_produce($_) for grep { $_->{role} eq 'Producers' }
                                @{$self->{conns}};
    }
    $self->_write($_) for grep { length $_->{out} } @{$self->{conns}};
    my %conn = map { fileno $_->{socket} => $_ }
               grep { !$_->{eof} } @{$self->{conns}};
    for my $socket (IO::Select->new(map { $_->{socket} } values %conn)
                    ->can_read($wait))
    {
        my $conn = $conn{fileno $socket};
        my $n = sysread $socket, $conn->{in}, 65536, length $conn->{in};
        $conn->{eof} = 1 if defined $n ? !$n : !$!{EAGAIN};
        $self->_frames($conn);
    }
}

# How long the disk takes for what mode 1 does.
sub _probe {
    my ($self) = @_;

    return if time < ($self->{probed} // 0) + PROBE;
    open my $out, '>>', $self->{mq}->dir . '/probe' or die "probe: $!";
    syswrite $out, '.';
    $out->sync;
    $self->{probed} = time;
}

sub _write {
    my ($self, $conn) = @_;

    my $n = syswrite $conn->{socket}, $conn->{out};
    if (defined $n) {
        substr $conn->{out}, 0, $n, '';
    } elsif (!$!{EAGAIN}) {
        $conn->{out} = '';
    }
}

sub _frames {
    my ($self, $conn) = @_;
    my $confirmed = 0;

    while (length $conn->{in} >= 2) {
        my ($first, $size, $long) = unpack 'CCn', $conn->{in};
        my $head = $size == 126 ? 4 : $size == 127 ? 10 : 2;
        last if length $conn->{in} < $head;
        $size = $long if $head == 4;
        $size = unpack 'x2 Q>', $conn->{in} if $head == 10;
        last if length $conn->{in} < $head + $size;
        my $payload = substr $conn->{in}, $head, $size;
        substr $conn->{in}, 0, $head + $size, '';
        my $opcode = $first & 15;
        if ($opcode == 10) {
            my $pushes = shift @{$conn->{asked}} // [];
            $_->[KNOWN] = time for @$pushes;
        } elsif ($opcode == 9) {
            $conn->{out} .= KapokMQ::Raw::frame(10, $payload);
        } elsif ($opcode == 8) {
            $conn->{eof} = 1;
        } elsif ($conn->{role} eq 'Producers') {
            $self->_answered($conn, $payload);
        } else {
            $confirmed += $self->_pushed($conn, $payload);
        }
    }
    if ($confirmed) {
        $conn->{out} .= KapokMQ::Raw::frame(9, 'known?');
        push @{$conn->{asked}}, $conn->{pings};
        $conn->{pings} = [];
    }
}


# ---------------------------------------------------------------- messages

# Of many sizes; one in a while is delayed.
sub _produce {
    my ($self, $conn) = @_;

    while (!$conn->{eof} && @{$conn->{sent}} < $self->{window}
           && $self->{budget} >= 1)
    {
        $self->{budget}--;
        my $n = ++$self->{count};
        my $id = "$conn->{topic}.$n.";
        my $data = $id . 'x' x (($n * 7919 % 97) ** 2 / 20);
        $data = qq({"MessageData":"$data","DelayTime":0.2}) if $n % 25 == 0;
        $self->{message}{$id} = [$conn->{topic}, time, undef, OPEN];
        push @{$conn->{sent}}, $id;
        $conn->{out} .= KapokMQ::Raw::frame(1, $data);
    }
}

sub _answered {
    my ($self, $conn, $answer) = @_;
    my $id = shift @{$conn->{sent}} // '';
    my $message = $self->{message}{$id};

    # it has come, was confirmed, and need not be looked at any more
    return $self->{accepted}++ if !$message && $self->{done}{$id};
    return $self->_fault(answer => $answer) if !$message;
    if ($answer eq 'ok') {
        $self->{accepted}++;
        @$message[OK, STATE] = (time, $message->[STATE] == REFUSED ? REFUSED
                                                                   : MUST);
        my $last = \$self->{last_ok}{$conn->{worker}};
        $$last = max($$last // 0, $message->[SENT]);
    } elsif ($answer =~ /^error: not confirmed as stored: /) {
        # it may be there
        $self->{refused}++;
    } elsif ($answer =~ /^error: not stored: /) {
        $self->{refused}++;
        $message->[STATE] = REFUSED;
        $self->_fault('refused, came', $id) if $message->[PUSHES];
    } else {
        $self->_fault(answer => $answer);
    }
}

# 1 when it is confirmed.
sub _pushed {
    my ($self, $conn, $bytes) = @_;
    my ($code, $id) = $bytes =~ /^\{"MessageCode":"([0-9a-f]{40})",
                                 "MessageData":"(\w+\.\d+\.)/x
        or return $self->_fault(form => substr $bytes, 0, 100) && 0;
    my $message = $self->{message}{$id};

    $self->{got}++;
    if (!$message) {
        $self->_fault($self->{done}{$id} ? 'confirmed, came again'
                                         : 'never sent', $id);
        $conn->{out} .= KapokMQ::Raw::frame(1, $code);
        return 0;
    }
    $self->_fault('refused, came', $id) if $message->[STATE] == REFUSED;
    my $all = $self->{topics}{$conn->{topic}}{all};
    for my $push (@{$message->[PUSHES] // []}) {
        my $had = $push->[CONN];
        # a worker that ends gives back what was not confirmed yet, which
        # another one may push that still works
        my $back = $self->{ending} && $had != $conn && !$push->[KNOWN];
        $self->_fault('twice', $id) if $had->{epoch} == $self->{epoch}
                                       && (!$all || $had == $conn) && !$back;
        $self->{again}++ if $had->{epoch} != $self->{epoch};
    }
    my $push = [$conn];
    push @{$message->[PUSHES] //= []}, $push;
    return 0 if !$self->{draining} && $self->{hold} && $conn->{held} < 20
                && $self->{count} % $self->{hold} == 0 && ++$conn->{held};
    $push->[SAID] = time;
    push @{$conn->{pings}}, $push;
    $conn->{out} .= KapokMQ::Raw::frame(1, $code);

    return 1;
}


# --------------------------------------------------------------- the deaths

# All has been killed, at that time or later, or, in good order, is about to
# end: what was sent before is read, and it is judged what has to be there.
sub killed {
    my ($self, $time, $in_order) = @_;
    my $limit = $in_order ? 9 ** 9 ** 9
                : $time - $self->{time} - LATE - LAGS * $self->{lag};
    my $deadline = time + PATIENCE;

    {
        local @$self{qw(quiet ending)} = (1, $in_order);
        $self->_turn(0.05) while time < $deadline
                                 && grep { !$_->{eof} } @{$self->{conns}};
    }
    close $_->{socket} for @{$self->{conns}};
    $self->{conns} = [];

    for my $id (keys %{$self->{message}}) {
        my $message = $self->{message}{$id};
        # the first of several confirmations is the one that counts
        my @said = grep { $_->[SAID] && $_->[CONN]{epoch} == $self->{epoch} }
                   @{$message->[PUSHES] // []};
        if (@said && !grep { !$self->_is_settled($_, $limit) } @said) {
            delete $self->{message}{$id};
            $self->{done}{$id} = 1;
            $self->{settled}++;
        } elsif ($message->[STATE] == REFUSED
                 || $self->{mode} == 1 && ($message->[OK] // $time) > $limit)
        {
            # it was refused while the disk failed, which may have it anyway;
            # or it was not to be written yet
            $message->[STATE] = OPEN;
        } elsif ($message->[STATE] == MUST) {
            $self->{kept}++;
        }
    }
    $self->{lag} = 0;
}

# How many had to survive a death.
sub kept { $_[0]{kept} // 0 }

# Whether a confirmation is on disk.
sub _is_settled {
    my ($self, $push, $limit) = @_;
    my ($conn, undef, $known) = @$push;

    return 0 if !$known;
    return 1 if $known < $limit && $limit > time;
    return $self->{mode} == 1 ? $known < $limit
           : $known < ($self->{last_ok}{$conn->{worker}} // 0);
}


# ------------------------------------------------------------------ the end

# Sends no more, and waits until all is answered, and until the consumers have
# got, and confirmed, what there is.
sub drain {
    my ($self) = @_;

    $self->{quiet} = 1;
    my $answered = $self->run(sub {
        !grep { @{$_->{sent}} && !$_->{eof} } @{$self->{conns}}
    });
    # what they hold goes to others
    for my $conn (grep { $_->{role} eq 'Consumers' } @{$self->{conns}}) {
        close $conn->{socket};
        $conn->{eof} = 1;
    }
    @{$self->{conns}} = grep { $_->{role} eq 'Producers' } @{$self->{conns}};
    $self->{epoch}++;
    $self->{draining} = 1;
    for my $topic (sort keys %{$self->{topics}}) {
        $self->_connect('Consumers', $topic, "last$_")
            for 1 .. $self->{consumers};
    }
    my ($checked, $counts) = (0);
    my $empty = $self->run(sub {
        return 0 if time < $checked + 0.05;
        $counts = $self->{mq}->counts;
        $checked = time;
        return $counts->{unconsumed} == 0 && $counts->{delay} == 0;
    });
    $self->_fault('not answered', 'some') if !$answered;
    $self->_fault('not empty', "$counts->{unconsumed} waiting") if !$empty;
    close $_->{socket} for @{$self->{conns}};
    $self->{conns} = [];
    for my $id (keys %{$self->{message}}) {
        my $message = $self->{message}{$id};
        next if $message->[STATE] != MUST;
        $self->_fault('lost', $id)
            if !grep { $_->[SAID] } @{$message->[PUSHES] // []};
    }
}

1;
