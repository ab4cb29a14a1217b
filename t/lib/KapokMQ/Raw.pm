# A WebSocket client that sends exactly the bytes it is told to, for what a
# well-behaved library cannot do.  It blocks, with a limit.

package KapokMQ::Raw;

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use Socket qw(SOL_SOCKET SO_LINGER SO_RCVBUF);
use Time::HiRes qw(time);

use constant PATIENCE => $ENV{KMQ_PATIENCE} || 120;

# Options: port, path, key (sent as header; none: no login), headers (a hash,
# over the usual ones), rcvbuf, read (bytes that are read at once, at most), and
# upgrade => 0 to only connect.
sub new {
    my ($class, %option) = @_;
    my $socket = IO::Socket::INET->new(
        PeerAddr => "127.0.0.1:$option{port}", Timeout => PATIENCE,
        ($option{rcvbuf}
         ? (Sockopts => [[SOL_SOCKET, SO_RCVBUF, $option{rcvbuf}]]) : ()),
    ) or die "connect: $@";
    my $self = bless { socket => $socket, in => '', %option }, $class;

    binmode $socket;
    $self->handshake if $option{upgrade} // 1;

    return $self;
}

sub handshake {
    my ($self) = @_;
    my %headers = (
        Host => "127.0.0.1:$self->{port}",
        Upgrade => 'websocket',
        Connection => 'Upgrade',
        'Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub25jZQ==',
        'Sec-WebSocket-Version' => 13,
        (defined $self->{key} ? (secretKey => $self->{key}) : ()),
        %{$self->{headers} // {}},
    );

    $self->write("GET $self->{path} HTTP/1.1\r\n"
        . join('', map { "$_: $headers{$_}\r\n" }
               grep { defined $headers{$_} } sort keys %headers)
        . "\r\n" . ($self->{early} // ''));
    $self->next_head;
}

# The head of the answer that comes next.
sub next_head {
    my ($self) = @_;

    $self->_fill until $self->{in} =~ s/^(.*?\r\n\r\n)//s || $self->{eof};
    $self->{head} = $1 // '';
    ($self->{status}) = $self->{head} =~ m{^HTTP/1\.1 (\d+)};

    return $self->{head};
}

sub status { $_[0]{status} // 0 }
sub head   { $_[0]{head} }

# What a frame looks like; $frame{...}: fin, rsv (0 to 7), mask (4 bytes, ''
# for none), size (a lie about the length).
sub frame {
    my ($opcode, $payload, %frame) = @_;
    $payload = "$payload";      # a number would be masked as one
    my $mask = $frame{mask} // pack 'N', int rand 2 ** 32;
    my $size = $frame{size} // length $payload;
    my $bytes = pack 'C', (($frame{fin} // 1) << 7)
                          | (($frame{rsv} // 0) << 4) | $opcode;
    my $bit = length $mask ? 0x80 : 0;

    if ($size < 126 && !$frame{long}) {
        $bytes .= pack 'C', $bit | $size;
    } elsif ($size < 65536 && ($frame{long} // 0) < 64) {
        $bytes .= pack 'Cn', $bit | 126, $size;
    } else {
        $bytes .= pack 'CQ>', $bit | 127, $size;
    }

    return $bytes . $payload unless length $mask;
    my $pad = substr $mask x (length($payload) / 4 + 1), 0, length $payload;
    return $bytes . $mask . ($payload ^ $pad);
}

# 1, or 0 when the server has closed.
sub write {
    my ($self, $bytes) = @_;

    local $SIG{PIPE} = 'IGNORE';
    while (length $bytes) {
        my $n = syswrite $self->{socket}, $bytes or return 0;
        substr $bytes, 0, $n, '';
    }

    return 1;
}

# Writes what goes without blocking; returns how many bytes that were.
sub write_some {
    my ($self, $bytes) = @_;
    my $socket = $self->{socket};

    $socket->blocking(0);
    my $n = syswrite($socket, $bytes) // 0;
    $socket->blocking(1);

    return $n;
}

sub send { return $_[0]->write(frame(@_[1 .. $#_])) }
sub text { return $_[0]->send(1, @_[1 .. $#_]) }

sub _fill {
    my ($self, $patience) = @_;
    my $select = IO::Select->new($self->{socket});

    if (!$select->can_read($patience // PATIENCE)) {
        $self->{timeout} = 1;
        $self->{eof} = 1 unless defined $patience;
        return 0;
    }
    my $n = sysread $self->{socket}, $self->{in}, $self->{read} // 65536,
                    length $self->{in};
    $self->{eof} = 1 unless $n;

    return $n;
}

# The next frame: { fin, rsv, opcode, payload, masked }; nothing at the end of
# the stream, or after $patience seconds.
sub next_frame {
    my ($self, $patience) = @_;

    while (1) {
        my $frame = $self->_cut;
        return $frame if $frame;
        return if $self->{eof};
        return unless $self->_fill($patience) || $self->{eof};
    }
}

sub _cut {
    my ($self) = @_;
    my $in = $self->{in};

    return if length $in < 2;
    my ($first, $second) = unpack 'CC', $in;
    my $size = $second & 0x7f;
    my $at = 2;
    if ($size == 126) {
        return if length $in < 4;
        $size = unpack 'n', substr $in, 2, 2;
        $at = 4;
    } elsif ($size == 127) {
        return if length $in < 10;
        $size = unpack 'Q>', substr $in, 2, 8;
        $at = 10;
    }
    return if length $in < $at + $size;
    $self->{in} = substr $in, $at + $size;

    return {
        fin => $first >> 7, rsv => $first >> 4 & 7, opcode => $first & 15,
        masked => $second >> 7, payload => substr($in, $at, $size),
    };
}

# The next text's payload; pings and pongs on the way are passed over.
sub next_text {
    my ($self, $patience) = @_;

    while (my $frame = $self->next_frame($patience)) {
        return $frame->{payload} if $frame->{opcode} == 1;
        return if $frame->{opcode} == 8;
    }

    return;
}

# How many of the next n texts are "ok".
sub oks {
    my ($self, $n) = @_;
    my $ok = 0;

    for (my $seen = 0; $seen < $n; $seen++) {
        # many at once are many
        if ($self->{in} =~ /\A((?:\x81\x02ok)+)/) {
            my $here = length($1) / 4;
            $here = $n - $seen if $here > $n - $seen;
            substr $self->{in}, 0, 4 * $here, '';
            $seen += $here - 1;
            $ok += $here;
        } else {
            my $text = $self->next_text // last;
            $ok++ if $text eq 'ok';
        }
    }

    return $ok;
}

# The close frame's code, when it comes, and whether the stream ended then.
sub close_code {
    my ($self) = @_;

    while (my $frame = $self->next_frame) {
        next if $frame->{opcode} != 8;
        return length $frame->{payload} < 2
               ? 1005 : unpack 'n', $frame->{payload};
    }

    return 'no close frame';
}

# All that comes until the server closes the connection.
sub rest {
    my ($self) = @_;

    $self->_fill until $self->{eof};
    return $self->{in};
}

# 1 when the server closes the connection.
sub ended {
    my ($self) = @_;

    $self->{in} = '';
    until ($self->{eof}) {
        $self->_fill;
        $self->{in} = '';
    }

    return !$self->{timeout};
}

sub close { CORE::close $_[0]{socket} }

# Closes with a reset.
sub reset {
    my ($self) = @_;

    setsockopt $self->{socket}, SOL_SOCKET, SO_LINGER, pack 'II', 1, 0;
    CORE::close $self->{socket};
}

1;
