# A lean WebSocket client, for suites with thousands of messages a second and
# connections that break all the time.  What happens is told to its owner, an
# object with these methods, which all get the link first:
#
#     link_open           logged in
#     link_text           (link, bytes, time when they were read)
#     link_oks            (link, n): so many texts "ok", one after the other;
#                         for those that can do it, link_text otherwise
#     link_ping           (link, payload): the owner answers it, or not
#     link_pong           (link, payload)
#     link_close          (link, code): the server's Close, which is answered
#                         when the owner has had its say
#     link_end            the connection has ended, whoever ended it
#
# What was received is all told before the end is, also after a reset.

package KapokMQ::Link;

use strict;
use warnings;

use Errno qw(EAGAIN EALREADY EINPROGRESS EINTR ENOTCONN);
use Mojo::IOLoop;
use Socket qw(IPPROTO_TCP PF_INET SOCK_STREAM SOL_SOCKET SO_LINGER SO_RCVBUF
              TCP_NODELAY inet_aton pack_sockaddr_in);
use Time::HiRes qw(CLOCK_MONOTONIC clock_gettime);

use constant {
    TEXT => 1, CLOSE => 8, PING => 9, PONG => 10,

    # room for what comes while a client is not looking: a reset takes with it
    # what has not got as far as here
    ROOM  => 8 * 1024 * 1024,
    READ  => 256 * 1024,
};

my $RIGHT_KEY = 'Secret key matching succeeded';

sub now { return clock_gettime(CLOCK_MONOTONIC) }

# Options: port, path, key, owner.
sub new {
    my ($class, %option) = @_;
    my $self = bless {
        in => '', out => '', begun => now(), status => 0, %option,
    }, $class;

    socket my $socket, PF_INET, SOCK_STREAM, 0 or die "socket: $!";
    setsockopt $socket, SOL_SOCKET, SO_RCVBUF, ROOM;
    setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1;
    $socket->blocking(0);
    # an error shows at the first write
    connect $socket, pack_sockaddr_in($self->{port}, inet_aton('127.0.0.1'));
    $self->{socket} = $socket;

    Mojo::IOLoop->singleton->reactor
        ->io($socket => sub { $self->_event($_[1]) })
        ->watch($socket, 1, 1);

    $self->{out} = join "\r\n", "GET $self->{path} HTTP/1.1",
        "Host: 127.0.0.1:$self->{port}", 'Upgrade: websocket',
        'Connection: Upgrade', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
        'Sec-WebSocket-Version: 13', "secretKey: $self->{key}", '', '';

    return $self;
}

sub begun  { $_[0]{begun} }         # before it was connected
sub worker { $_[0]{worker} }        # pid
sub status { $_[0]{status} }        # of the upgrade
sub ready  { $_[0]{open} && !$_[0]{ended} }


# ------------------------------------------------------------------- output

# Appends a frame to what flush() sends.  The mask is of zeros, so that
# nothing needs to be masked.
sub frame {
    my ($self, $opcode, $payload) = @_;
    my $size = length $payload;

    $self->{out} .= ($size < 126   ? pack('CC', 0x80 | $opcode, 0x80 | $size)
                     : $size < 65536
                     ? pack('CCn', 0x80 | $opcode, 0x80 | 126, $size)
                     : pack('CCQ>', 0x80 | $opcode, 0x80 | 127, $size))
                    . "\0\0\0\0" . $payload;
}

sub flush {
    my ($self) = @_;

    while (length $self->{out} && !$self->{deaf}) {
        my $n = syswrite $self->{socket}, $self->{out};
        if (defined $n) {
            substr $self->{out}, 0, $n, '';
        } elsif ($! == EAGAIN || $! == ENOTCONN || $! == EALREADY
                 || $! == EINPROGRESS) {
            last;
        } elsif ($! != EINTR) {
            # there may still be something to read
            $self->{deaf} = 1;
        }
    }
    $self->{out} = '' if $self->{deaf};
    $self->_watch unless $self->{ended};
}

sub written { return !length $_[0]{out} && !$_[0]{deaf} }

sub _watch {
    my ($self) = @_;
    my $read = !$self->{paused} || 0;
    my $write = length $self->{out} ? 1 : 0;
    my $both = "$read$write";

    return if $both eq ($self->{watched} // '');
    $self->{watched} = $both;
    Mojo::IOLoop->singleton->reactor->watch($self->{socket}, $read, $write);
}

# Stops and goes on reading.
sub pause {
    my ($self, $paused) = @_;

    return if $self->{ended};
    $self->{paused} = $paused;
    $self->_watch;
}

# Sends Close; the server's answer and the end follow.
sub finish {
    my ($self, $code) = @_;

    return if $self->{ended} || $self->{closing};
    $self->{closing} = 1;
    $self->frame(CLOSE, pack 'n', $code);
    $self->flush;
}

# Gone without a word; with a reset, or not.
sub drop {
    my ($self, $reset) = @_;

    setsockopt $self->{socket}, SOL_SOCKET, SO_LINGER, pack 'II', 1, 0
        if $reset;
    $self->_end;
}


# -------------------------------------------------------------------- input

sub _event {
    my ($self, $writable) = @_;

    return if $self->{ended};
    $writable ? $self->flush : $self->_read;
}

sub _read {
    my ($self) = @_;
    my $n = sysread $self->{socket}, $self->{in}, READ, length $self->{in};
    my $time = now();

    return if !defined $n && ($! == EAGAIN || $! == EINTR);
    $self->_parse($time) if $n;
    if ($n) {
        $self->flush unless $self->{ended};
    } else {
        $self->_end;
    }
}

sub _parse {
    my ($self, $time) = @_;

    $self->_upgraded if !$self->{status};
    return if $self->{status} != 101;

    my $at = 0;
    my $have = length $self->{in};
    my $oks = $self->{owner}->can('link_oks');
    while ($have - $at >= 2 && !$self->{ended}) {
        if ($oks && $self->{open} && (my $n = $self->_oks($at))) {
            $at += 4 * $n;
            $self->{owner}->$oks($self, $n);
            next;
        }
        my ($opcode, $size) = unpack 'CC', substr $self->{in}, $at, 2;
        my $head = 2;
        if ($size == 126) {
            last if $have - $at < 4;
            $size = unpack 'n', substr $self->{in}, $at + 2, 2;
            $head = 4;
        } elsif ($size == 127) {
            last if $have - $at < 10;
            $size = unpack 'Q>', substr $self->{in}, $at + 2, 8;
            $head = 10;
        }
        last if $have - $at < $head + $size;
        my $payload = substr $self->{in}, $at + $head, $size;
        $at += $head + $size;
        $self->_frame($opcode, $payload, $time);
    }
    substr $self->{in}, 0, $at, '' if $at;
}

# How many frames with "ok" begin there.
sub _oks {
    my ($self, $at) = @_;

    pos($self->{in}) = $at;
    return $self->{in} =~ /\G(?:\x81\x02ok)+/gc
           ? (pos($self->{in}) - $at) / 4 : 0;
}

sub _upgraded {
    my ($self) = @_;

    return unless $self->{in} =~ s/\A(.*?\r\n)\r\n//s;
    my $head = $1;
    ($self->{status}) = $head =~ m{\AHTTP/1\.1 (\d+)};
    $self->{status} ||= 1;
    ($self->{worker}) = $head =~ /^X-Worker: (\d+)/m;
}

sub _frame {
    my ($self, $opcode, $payload, $time) = @_;
    my $owner = $self->{owner};

    if ($opcode == (0x80 | TEXT)) {
        if (!$self->{open} && $payload eq $RIGHT_KEY) {
            $self->{open} = 1;
            $owner->link_open($self);
        } else {
            $owner->link_text($self, $payload, $time);
        }
    } elsif ($opcode == (0x80 | PING)) {
        $owner->link_ping($self, $payload);
    } elsif ($opcode == (0x80 | PONG)) {
        $owner->link_pong($self, $payload);
    } elsif ($opcode == (0x80 | CLOSE)) {
        my $code = length $payload < 2 ? 1005 : unpack 'n', $payload;
        $owner->link_close($self, $code);
        $self->finish($code == 1005 ? 1000 : $code);
    }
}

sub _end {
    my ($self) = @_;

    return if $self->{ended};
    $self->{ended} = 1;
    Mojo::IOLoop->singleton->reactor->remove($self->{socket});
    close $self->{socket};
    $self->{owner}->link_end($self);
    delete $self->{owner};
}

1;
