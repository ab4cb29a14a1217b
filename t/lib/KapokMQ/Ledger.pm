# What was sent, accepted, delivered and confirmed, seen from outside, and what
# of it must not be.
#
# Nobody outside can know when exactly a server gets or does something, so
# each rule rests on bounds that hold whatever the timing:
#
#   opened    a connection was begun after this time
#   whole     the connection's server end was there, and serving, at this
#             time or later: a ping of the client that was sent then has been
#             answered
#   pushed    a delivery was pushed after this time: it came behind the answer
#             to a ping that was sent then
#   read      and before this time
#   known     the server has processed the delivery's confirmation: it has
#             answered a ping, or a Close, that was sent behind it; or it has
#             itself closed the connection in good order
#
# A delivery is held until it is given back: its connection breaks (after
# "whole"), it is returned, something of its consumer's is overdue, which may
# take it along (no sooner than the topic's retry time after that has come; t/51
# knows better); and for ever when its confirmation is known.  From that:
#
#   point to point  a message is never held twice at a time.  Of any two
#                   deliveries one was given back before the other was read.
#   publish/        a message that is held by somebody does not go to those
#   subscribe       who come later.  Who was there before it was sent gets
#                   all of its producer's messages from then on, in order,
#                   without a gap, once.

package KapokMQ::Ledger;

use strict;
use warnings;

use List::Util qw(max min);

use constant {
    # a message, while there is something to know about it; one that is
    # settled is the text "TIME CODE" of its first known confirmation
    STATE => 0, SENT => 1, DUE => 2, CODE => 3, SETTLED => 4,
    DELIVERIES => 5,

    # a delivery
    CONN => 0, READ => 1, PUSHED => 2, KNOWN => 3, RETURNED => 4,
    STREAM => 5, NUMBER => 6, SAID => 7,

    # what became of a message on its way in
    UNANSWERED => 0, MAYBE => 1, ACCEPTED => 2, REFUSED => 3,

    NEVER => 9 ** 9 ** 9,

    # the two clocks of a delay are read at different moments
    EARLY => 0.002,
    # a worker's clock stands still while it is about something
    TURN => 0.2,

    # deliveries of one message, which comes to all consumers that come again as
    # long as nobody confirms it; more are a fault, and not looked at
    MOST => max(200, 7 * ($ENV{KMQ_CHAOS_SECONDS} // 0)),
};

# topics: name => { all, delay, retry (s, 0: never), max }
sub new {
    my ($class, %topic) = @_;

    return bless {
        topic => \%topic, stream => [], faults => {}, count => {},
    }, $class;
}

sub count { $_[0]{count}{$_[1]} // 0 }

sub _count { $_[0]{count}{$_[1]} += $_[2] // 1 }

# Its confirmation, by whatever way, was answered before that time.
sub settled {
    my ($self, $delivery, $time) = @_;

    $self->{settled}{"$delivery->[STREAM]{number}:$delivery->[NUMBER]"} //=
        $time;
    $self->_count('settled');
}

# Something that must not be; the first of a kind are kept for the report.
sub fault {
    my ($self, $kind, $text) = @_;
    my $list = $self->{faults}{$kind} //= [];

    $self->{count}{"fault $kind"}++;
    push @$list, $text if @$list < 5;
}

sub faults { return @{$_[0]{faults}{$_[1]} // []} }

sub fault_kinds { return sort keys %{$_[0]{faults}} }


# ---------------------------------------------------------------- producers

# The messages of one producer, over all of its connections.
sub stream {
    my ($self, $topic) = @_;
    my $stream = {
        number => scalar @{$self->{stream}}, topic => $topic, message => [],
    };

    push @{$self->{stream}}, $stream;
    push @{$self->{topic}{$topic}{streams}}, $stream;

    return $stream;
}

# One that is never confirmed by anybody, in topics where that is its end.
sub poison {
    my ($self, $stream, $n) = @_;

    return $self->{topic}{$stream->{topic}}{max} && $n % 8 == 7
           && !$self->_is_calm($stream, $n);
}

# The data of a message, and what it looks like in JSON; of many sizes, one in
# a while of several pages.
my ($PLAIN, $ESCAPED) = ("say \"\xc3\xa9\" \\\n", 'say \"' . "\xc3\xa9"
                         . '\" ' . '\\\\\n');

sub _data {
    my ($self, $stream, $n) = @_;
    my $repeat = $n % 400 == 399 ? 2000
                 : (($n * 7919 + $stream->{number}) % 97) ** 2 / 100;
    my $head = "$stream->{topic}:$stream->{number}:$n:";

    return ($head . $PLAIN x $repeat, $head . $ESCAPED x $repeat);
}

# A new message of the stream; returns its number, its data, and its data in
# JSON.
sub send {
    my ($self, $stream, $now, $delay) = @_;
    my $n = @{$stream->{message}};

    push @{$stream->{message}}, [UNANSWERED, $now, $now + ($delay // 0)];
    $self->_count('sent');

    return ($n, $self->_data($stream, $n));
}

sub answered {
    my ($self, $stream, $n, $state, $code) = @_;
    my $message = $stream->{message}[$n];

    $self->_count($state == ACCEPTED ? 'accepted'
                  : $state == MAYBE  ? 'maybe' : 'refused');
    if (!ref $message) {
        # settled before it was answered: cannot be
        $self->fault('answer', "$stream->{topic}:$n is answered twice");
        return;
    }
    $message->[STATE] = $state;
    $self->_code($stream, $n, $message, $code) if defined $code;
    $self->_settle($stream, $n);
}

sub _code {
    my ($self, $stream, $n, $message, $code) = @_;

    $message->[CODE] //= $code;
    $self->fault('two codes', "$stream->{topic}:$n: $message->[CODE] $code")
        if $message->[CODE] ne $code;
}


# It has been deleted, or perhaps (no time).
sub deleted {
    my ($self, $stream, $n, $time) = @_;

    $self->{deleted}{"$stream->{number}:$n"} = $time // NEVER;
    $self->_count($time ? 'deleted' : 'perhaps deleted');
}


# -------------------------------------------------------------- connections

# A consumer's connection, logged in.
sub joined {
    my ($self, $topic, $opened, $name) = @_;
    my %start;

    for my $stream (@{$self->{topic}{$topic}{streams} // []}) {
        $start{$stream->{number}} = @{$stream->{message}};
    }

    return {
        topic => $topic, name => $name, opened => $opened, whole => $opened,
        # publish/subscribe: messages from here on are for it; the next one
        # of them; and those that it got, which come in no order
        start => \%start, next => { %start }, got => {},
    };
}

# It was seen to be over at that time; own: the client has ended it.
sub ended {
    my ($self, $conn, $time, $own) = @_;

    $conn->{ended} = $time;
    $conn->{own} = $own;
    push @{$self->{ended}}, $conn if $conn->{gaps};
}


# --------------------------------------------------------------- deliveries

my $PUSH = qr/\A\{"MessageCode":"([0-9a-f]{40})","MessageData":"(.*)",
              "Topic":"([^"]*)","CreateTime":(\d+),"ConsumedTime":0,
              "DelayTime":(\d+),"Status":-1(?:,"Attempts":(\d+))?\}\z/xs;

# A message has come; returns its delivery and code, or nothing.
sub delivered {
    my ($self, $conn, $bytes, $time) = @_;
    my ($code, $data, $topic, $created, undef, $attempt) = $bytes =~ $PUSH;

    if (!defined $code) {
        $self->fault('form', substr $bytes, 0, 200);
        return;
    }
    $self->_count('deliveries');
    my ($name, $number, $n) = $data =~ /\A([^:]*):(\d+):(\d+):/;
    my $stream = defined $n ? $self->{stream}[$number] : undef;
    my $message = $stream ? $stream->{message}[$n] : undef;
    if (!$message || ($self->_data($stream, $n))[1] ne $data) {
        $self->fault('data', substr $data, 0, 100);
        return;
    }
    $self->fault('topic', "$conn->{topic} got $name, said to be $topic")
        if $name ne $conn->{topic} || $topic ne $name;
    $self->fault('form', "$code, made $created")
        if hex substr($code, 32) != $created;

    $message = $self->_unsettle($stream, $n) if !ref $message;
    $self->_code($stream, $n, $message, $code);
    $self->fault('refused', "$name:$number:$n was refused and came")
        if $message->[STATE] == REFUSED;
    $self->_early($message, $time, "$name:$number:$n");
    $self->fault('deleted', "$name:$number:$n was deleted and came")
        if ($self->{deleted}{"$number:$n"} // NEVER) < $conn->{whole};
    $self->fault('settled', "$name:$number:$n was confirmed and came to "
                            . $conn->{name})
        if ($self->{settled}{"$number:$n"} // NEVER) < $conn->{whole};
    my $max = $self->{topic}{$name}{max};
    $self->fault('pushed too often', "$name:$number:$n: attempt $attempt")
        if $max && !$self->{topic}{$name}{all} && ($attempt // 0) > $max;
    $self->_in_order($conn, $stream, $n, $message)
        if $self->{topic}{$name}{all};
    $self->_calmly($conn, $stream, $n, $message);

    if (@{$message->[DELIVERIES] //= []} == MOST) {
        $self->fault('duplicate', "$name:$number:$n comes and comes");
        return;
    }
    my $delivery = [$conn, $time, $conn->{whole}, undef, undef, $stream, $n];
    push @{$message->[DELIVERIES]}, $delivery;

    return ($delivery, $code);
}

sub _early {
    my ($self, $message, $time, $name) = @_;
    my $early = ($message->[DUE] // 0) - $time;

    $self->fault('early', sprintf '%s: %.1f ms', $name, $early * 1000)
        if $early > EARLY;
}

# Publish/subscribe: what was sent after the consumer had come.
sub _in_order {
    my ($self, $conn, $stream, $n, $message) = @_;
    my $number = $stream->{number};
    my $topic = $self->{topic}{$conn->{topic}};
    my $ordered = $n >= $conn->{start}{$number} && !$topic->{delay};

    if ($ordered ? $n < $conn->{next}{$number}
                 : $conn->{got}{"$number:$n"}++)
    {
        # the same consumer a second time
        return if $topic->{retry} && grep { $_->[CONN] == $conn }
                                     @{$message->[DELIVERIES] // []};
        $self->fault('order', "$conn->{topic}:$number:$n to $conn->{name}, "
                     . "which is at $conn->{next}{$number}");
        return;
    }
    return if !$ordered;

    push @{$conn->{gaps}}, [$stream, $conn->{next}{$number}, $n - 1]
        if $n > $conn->{next}{$number};
    $conn->{next}{$number} = $n + 1;
}

# From now on no connection breaks: what is sent comes once and in order, point
# to point too.
sub calm {
    my ($self) = @_;

    $self->{calm} = { map { $_->{number} => scalar @{$_->{message}} }
                      @{$self->{stream}} };
}

# Was it sent since then?
sub _is_calm {
    my ($self, $stream, $n) = @_;

    return $self->{calm} && $n >= $self->{calm}{$stream->{number}};
}

sub _calmly {
    my ($self, $conn, $stream, $n, $message) = @_;
    my $number = $stream->{number};
    my $topic = $self->{topic}{$conn->{topic}};

    return if !$self->_is_calm($stream, $n) || $topic->{all}
              || $topic->{retry} || $topic->{delay} || $topic->{doors};
    $self->_count('calm');
    $self->fault('calm', "$conn->{topic}:$number:$n to $conn->{name}")
        if $message->[DELIVERIES] || $message->[SETTLED]
           || $n <= ($conn->{last}{$number} // -1);
    $conn->{last}{$number} = $n;
}

# A confirmation is on its way.
sub said { $_[1][SAID] = 1 }

# It is known to have been processed.
sub known {
    my ($self, $delivery, $time) = @_;

    # said too late, perhaps: that delivery was over
    return if $time >= $self->_taken($delivery);
    $delivery->[KNOWN] = $time;
    $self->_count('confirmed');
    $self->_settle(@$delivery[STREAM, NUMBER]);
}

# The consumer has given it back at that time.
sub returned {
    my ($self, $delivery, $time) = @_;

    $delivery->[RETURNED] = $time;
    $self->_count('returned');
}

# The consumer is known to have got more time at $time, asked for at $asked.
sub extended {
    my ($self, $delivery, $asked, $time) = @_;

    return if $time >= $self->_taken($delivery);
    $delivery->[PUSHED] = $asked;
    $self->_count('extended');
}

# May the delivery have been over at that time, since nobody had said anything
# of it for so long?
sub late {
    my ($self, $delivery, $time) = @_;

    return 0 if $time < $self->_taken($delivery);
    $self->_count('too late');
    return 1;
}

# A message about which all is known, and nothing is wrong, becomes a text.
sub _settle {
    my ($self, $stream, $n) = @_;
    my $message = $stream->{message}[$n];

    return if !ref $message || $message->[STATE] == UNANSWERED
              || !$message->[DELIVERIES]
              || grep { !defined $_->[KNOWN] } @{$message->[DELIVERIES]};
    $self->_judge($stream, $n);
    $stream->{message}[$n] = sprintf '%.9f %s',
        min($message->[SETTLED] // NEVER,
            map { $_->[READ] } @{$message->[DELIVERIES]}), $message->[CODE];
}

sub _unsettle {
    my ($self, $stream, $n) = @_;
    my ($time, $code) = split ' ', $stream->{message}[$n];

    return $stream->{message}[$n] = [ACCEPTED, undef, undef, $code, $time];
}


# ------------------------------------------------------------------ verdicts

# When a consumer may have had taken from it what was not confirmed.
sub _taken {
    my ($self, $delivery) = @_;
    my $conn = $delivery->[CONN];
    # of a pull, its lease
    my $retry = $conn->{retry} // $self->{topic}{$conn->{topic}}{retry};

    return $retry ? $conn->{opened} + $retry - TURN : NEVER;
}

# When a delivery was given back at the earliest, as far as can be told.
sub _held_until {
    my ($self, $delivery) = @_;
    my ($conn, undef, undef, $known, $returned) = @$delivery;

    return NEVER if defined $known;
    return min($conn->{ended} ? $conn->{whole} : NEVER,
               $self->_taken($delivery), $returned // NEVER);
}

# The same for another delivery on the same connection, which has not broken.
sub _held_there {
    my ($self, $delivery) = @_;
    my (undef, undef, undef, $known, $returned) = @$delivery;

    return NEVER if defined $known;
    return min($self->_taken($delivery), $returned // NEVER);
}

# Looks at each pair of a message's deliveries.
sub _judge {
    my ($self, $stream, $n) = @_;
    my $message = $stream->{message}[$n];
    my @delivery = sort { $a->[READ] <=> $b->[READ] }
                   @{$message->[DELIVERIES] // []};
    my $all = $self->{topic}{$stream->{topic}}{all};

    if (defined $message->[SETTLED]) {
        for my $delivery (@delivery) {
            my $fine = $all ? $delivery->[CONN]{opened} <= $message->[SETTLED]
                       : $self->_held_until($delivery) < $message->[SETTLED];
            $self->_duplicate($stream, $n, $message) if !$fine;
        }
    }
    for my $j (1 .. $#delivery) {
        for my $i (0 .. $j - 1) {
            my $fine = $all ? $self->_pair_all(@delivery[$i, $j])
                            : $self->_pair_one(@delivery[$i, $j]);
            $self->_duplicate($stream, $n, $message) if !$fine;
        }
    }
}

# Is it possible that at no time both were held?
sub _pair_one {
    my ($self, $one, $two) = @_;

    return $self->_held_there($one) < $two->[READ]
        if $one->[CONN] == $two->[CONN];

    return $self->_held_until($one) < $two->[READ]
           || $self->_held_until($two) < $one->[READ];
}

# Is it possible that nobody held it when somebody who came later got it?
sub _pair_all {
    my ($self, $one, $two) = @_;

    return $self->_held_there($one) < $two->[READ]
        if $one->[CONN] == $two->[CONN];

    return ($two->[CONN]{opened} <= $one->[READ]
            || $self->_held_until($one) < $two->[READ])
           && ($one->[CONN]{opened} <= $two->[READ]
               || $self->_held_until($two) < $one->[READ]);
}

sub _duplicate {
    my ($self, $stream, $n, $message) = @_;
    my $text = join '; ', map {
        my ($conn, $read, $pushed, $known, $returned) = @$_;
        sprintf '%s opened %.3f whole %.3f%s: pushed after %.3f, read %.3f%s',
            @$conn{qw(name opened whole)}, $conn->{ended} ? ' ended' : '',
            $pushed, $read, defined $known ? sprintf(', known %.3f', $known)
                            : defined $returned ? ', returned' : '';
    } @{$message->[DELIVERIES]};

    $text .= sprintf '; settled, read %.3f', $message->[SETTLED]
        if defined $message->[SETTLED];
    $self->fault('duplicate', "$stream->{topic}:$stream->{number}:$n $text");
}

# At the end, with the connections that are still open and the codes of the
# dead messages: everything is answered, delivered, and its confirmations are
# known.
sub close {
    my ($self, $open, @dead) = @_;
    my @open = @$open;

    $self->{is_dead} = { map { $_ => 1 } @dead };
    for my $stream (@{$self->{stream}}) {
        $self->_close_message($stream, $_) for 0 .. $#{$stream->{message}};
    }
    $self->fault('dead', "$_ is unknown, or has been confirmed")
        for keys %{$self->{is_dead}};
    for my $conn (@open, @{$self->{ended} // []}) {
        $self->_close_gaps($conn);
    }
    $self->_close_rest($_) for @open;
}

# Of messages that were sent as a batch all are in, or none: whatever its
# producer knows.
sub batch {
    my ($self, $stream, @n) = @_;
    my @in = grep { _accepted($stream, $_) } @n;

    $self->fault('part', sprintf '%s:%d:%d: %d of %d are in',
                 $stream->{topic}, $stream->{number}, $n[0], scalar @in,
                 scalar @n)
        if @in && @in < @n;
}

sub _close_message {
    my ($self, $stream, $n) = @_;
    my $message = $stream->{message}[$n];
    my $topic = $self->{topic}{$stream->{topic}};
    my $name = "$stream->{topic}:$stream->{number}:$n";

    return if !ref $message;
    my @delivery = @{$message->[DELIVERIES] // []};
    $self->fault('answer', "$name has none")
        if $message->[STATE] == UNANSWERED;
    my $deleted = $self->{deleted}{"$stream->{number}:$n"};
    if (!@delivery) {
        $self->fault('lost', $name)
            if $message->[STATE] == ACCEPTED && !$deleted;
        return;
    }
    $self->_judge($stream, $n);
    $self->_count('delivered more than once')
        if @delivery > 1 && !$topic->{all};

    return if $deleted;
    my $unknown = !defined $message->[SETTLED]
                  && !grep { defined $_->[KNOWN] } @delivery;

    if (delete $self->{is_dead}{$message->[CODE]}) {
        $self->fault('dead', "$name has been confirmed") if !$unknown;
        $self->fault('dead', "$name: nobody's fault")
            if !$topic->{all} && $self->_blameless(@delivery);
    } elsif ($self->poison($stream, $n)) {
        $self->fault('not dead', $name);
    } elsif ($unknown && !grep { $_->[SAID] } @delivery) {
        $self->fault('unconfirmed', $name);
    }
}

# Was it the server that ended the last delivery, before it was overdue?
sub _blameless {
    my ($self, @delivery) = @_;
    my ($last, @others) = sort { $b->[READ] <=> $a->[READ] } @delivery;
    my ($conn, undef, undef, undef, $returned) = @$last;

    return $conn->{ended} && !$conn->{own} && !$returned
           && $conn->{ended} < $self->_taken($last)
           # none that was read before may have been pushed after it
           && !grep { $_->[READ] > $conn->{whole} } @others;
}

# Was the message accepted, whether its producer knows or not?
sub _accepted {
    my ($stream, $n) = @_;
    my $message = $stream->{message}[$n];

    return !ref $message || $message->[STATE] == ACCEPTED
           || $message->[DELIVERIES];
}

sub _close_gaps {
    my ($self, $conn) = @_;

    for my $gap (@{$conn->{gaps} // []}) {
        my ($stream, $from, $to) = @$gap;
        for my $n (grep { _accepted($stream, $_) } $from .. $to) {
            $self->fault('gap', "$conn->{topic}:$stream->{number}:$n has not "
                         . "come to $conn->{name}, others behind it have");
        }
    }
}

# Who is still there has got the last ones, too.
sub _close_rest {
    my ($self, $conn) = @_;

    return if !$self->{topic}{$conn->{topic}}{all};
    for my $stream (@{$self->{topic}{$conn->{topic}}{streams} // []}) {
        my $next = $conn->{next}{$stream->{number}};
        for my $n (grep { _accepted($stream, $_)
                          && !$conn->{got}{"$stream->{number}:$_"} }
                   $next .. $#{$stream->{message}})
        {
            $self->fault('gap', "$conn->{topic}:$stream->{number}:$n has not "
                         . "come to $conn->{name}");
        }
    }
}

1;
