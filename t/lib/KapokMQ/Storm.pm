# Random clients, many at a time, each as its seed says (KapokMQ::Storm::Script),
# on a server that is reloaded, and whose workers are killed and stopped.
#
#     my $storm = KapokMQ::Storm->new($mq, seed => 1, tls => $port);
#     $storm->run(20);                      # seconds
#     $storm->run(0, 500);                  # or so many clients
#     $storm->faults;                       # what was wrong

package KapokMQ::Storm;

use strict;
use warnings;

use IO::Socket::INET;
use IO::Socket::SSL;
use Socket qw(SOL_SOCKET SO_LINGER SO_RCVBUF);
use Time::HiRes qw(time);

use KapokMQ::Raw;
use KapokMQ::Storm::Random;
use KapokMQ::Storm::Script;

use constant {
    AT_ONCE => 80,
    LIFE    => 3,           # seconds that a client may take
    BOUND   => 20,          # and in which some worker answers, at any load
    KEEP    => 1 << 20,     # bytes read that are kept
};

# Options: seed; tls, a port; disturb, 1 to reload and kill; change, called
# before a reload, with a random number, to change the settings.
sub new {
    my ($class, $mq, %option) = @_;

    my @kinds = qw(HUP KILL TERM USR1 STOP);

    push @kinds, splice @kinds, 0, $option{seed} % @kinds;
    my $self = bless {
        mq => $mq, %option, first => \@kinds, killed => {},
        next => $option{seed} * 1_000_000,
        count => {}, faults => [], clients => {},
        rnd => KapokMQ::Storm::Random->new($option{seed}),
    }, $class;

    ($self->{reloads}) = $self->_told;
    return $self;
}

sub faults { @{$_[0]{faults}} }
sub killed { $_[0]{killed}{$_[1]} }
sub counts {
    my ($self) = @_;

    return join ', ', map { sprintf '%s %d', $_, $self->{count}{$_} }
                      sort keys %{$self->{count}};
}


sub count { $_[0]{count}{$_[1]} // 0 }
sub add { $_[0]{count}{$_[1]} += $_[2] // 1 }

# For so many seconds, or until so many clients have come; returns when the last
# one has gone.
sub run {
    my ($self, $seconds, $many) = @_;
    my $end = time + ($seconds || 3600);
    my $left = $many // 1e9;

    $self->{answered} = time;
    $self->{trouble} = time + 0.5;
    while (1) {
        my $now = time;
        my $over = $now > $end || $left <= 0;
        last if $over && !keys %{$self->{clients}};
        while (!$over && keys %{$self->{clients}} < AT_ONCE && $left > 0) {
            $left--;
            # it may have waited for one that stands still
            $self->_begin($now) or last;
        }
        $self->_disturb($now) if $self->{disturb} && !$over;
        $self->_probe($now);
        $self->_turn($now);
        last if $self->_stuck($now);
    }
    $self->_continue;
    delete $self->{probe};
}

sub _stuck {
    my ($self, $now) = @_;

    return if $now - $self->{answered} < BOUND;
    push @{$self->{faults}}, 'no worker has answered for ' . BOUND . ' s';
    %{$self->{clients}} = ();
    return 1;
}


# ------------------------------------------------------------------ clients

sub _begin {
    my ($self, $now) = @_;
    my $script = KapokMQ::Storm::Script->new($self->{next}++);
    my $client = $self->_connect($script, $now) or return 0;

    $self->{clients}{fileno $client->{socket}} = $client;
    $self->add($script->{kind});
    $self->add('TLS') if $script->{tls};
    return 1;
}

sub _connect {
    my ($self, $script, $now) = @_;
    my $slow = $script->{read} ne 'all';
    my $socket = IO::Socket::INET->new(
        PeerAddr => '127.0.0.1', Timeout => 5,
        PeerPort => $script->{tls} ? $self->{tls} : $self->{mq}->port,
        $slow ? (Sockopts => [[SOL_SOCKET, SO_RCVBUF, 4096]]) : ());

    if (!$socket) {
        $self->add('not connected');
        return;
    }
    if ($script->{tls} && $script->{kind} ne 'noise'
        && !IO::Socket::SSL->start_SSL($socket, Timeout => 5,
            SSL_verify_mode => SSL_VERIFY_NONE))
    {
        $self->add('no TLS');
        return;
    }
    $socket->blocking(0);

    return { socket => $socket, script => $script, in => '', out => '',
             pieces => [@{$script->{pieces}}], life => $now + LIFE,
             at => $now + ($script->{pieces}[0] // [0])->[0] };
}

# One look at all of them.
sub _turn {
    my ($self, $now) = @_;
    my ($read, $write) = ('', '');

    for my $client (values %{$self->{clients}}) {
        $self->_next($client, $now);
        my $fd = fileno $client->{socket};
        vec($read, $fd, 1) = 1 if $self->_reads($client);
        vec($write, $fd, 1) = 1 if length $client->{out};
    }
    if ($self->{probe}) {
        vec($read, fileno $self->{probe}{socket}, 1) = 1;
    }

    select $read, $write, undef, 0.005;

    for my $fd (keys %{$self->{clients}}) {
        my $client = $self->{clients}{$fd};
        $self->_read($client) if vec $read, $fd, 1;
        $self->_write($client) if vec $write, $fd, 1;
        $self->_end($fd, $now) if $self->_over($client, $now);
    }
}

# What it wants to write next, when it is time.
sub _next {
    my ($self, $client, $now) = @_;
    my $pieces = $client->{pieces};

    while (@$pieces && $now >= $client->{at} && length $client->{out} < 65_536) {
        $client->{out} .= shift(@$pieces)->[1];
        $client->{at} += $pieces->[0][0] if @$pieces;
        last if $client->{at} > $now || $client->{script}{tls};
    }
    if (!@$pieces && !length $client->{out}) {
        $client->{done} //= $now + $client->{script}{after};
    }
}

sub _reads {
    my ($self, $client) = @_;
    my $how = $client->{script}{read};

    return $how eq 'all' || $how eq 'some' && $client->{got}++ % 50 == 0;
}

sub _read {
    my ($self, $client) = @_;
    my $n = sysread $client->{socket}, my $bytes,
            $client->{script}{read} eq 'all' ? 65_536 : 100;

    if (!defined $n) {
        $client->{gone} = 1 if !$!{EAGAIN} && !$!{EWOULDBLOCK};
        return;
    }
    $client->{gone} = 1 if $n == 0;
    $self->add('KiB read', $n / 1024);
    return if !defined $client->{script}{pushed};

    $client->{in} .= $bytes;
    if (!$client->{upgraded}) {
        return if $client->{in} !~ s/^HTTP.*?\r\n\r\n//s;
        $client->{upgraded} = 1;
    }
    $self->_frames($client);
    $client->{in} = '' if length $client->{in} > KEEP;
}

# What it gets as WebSocket: it answers pings, and confirms messages.
sub _frames {
    my ($self, $client) = @_;

    while (length $client->{in} >= 2) {
        my ($first, $size) = unpack 'CC', $client->{in};
        my $at = 2;
        if ($size == 126) {
            last if length $client->{in} < 4;
            ($size, $at) = (unpack('n', substr $client->{in}, 2), 4);
        } elsif ($size == 127) {
            last if length $client->{in} < 10;
            ($size, $at) = (unpack('Q>', substr $client->{in}, 2), 10);
        }
        last if length $client->{in} < $at + $size;
        my $data = substr $client->{in}, $at, $size;
        substr $client->{in}, 0, $at + $size, '';
        $self->_answer($client, $first & 15, $data);
    }
}

sub _answer {
    my ($self, $client, $opcode, $data) = @_;
    my $script = $client->{script};
    my $rnd = $script->{rnd};

    if ($opcode == 9) {
        $client->{out} .= KapokMQ::Raw::frame(10,
            $script->{pong} eq 'wrong' ? $rnd->bytes(4) : $data)
            if $script->{pong} ne 'none';

    } elsif ($opcode == 1 && $data =~ /^\{"MessageCode":"([0-9a-f]{40})"/) {
        $self->add('messages');
        my $code = $1;
        return if $script->{ack} eq 'none'
                  || $script->{ack} eq 'some' && $rnd->chance(50);
        $code = $rnd->pick('+', '-', '', '', '') . $code
            . $rnd->pick(('') x 8, ' 0', ' 1');
        $client->{out} .= KapokMQ::Raw::frame($rnd->pick(1, 2), $code);

    } elsif ($opcode == 1 && $data eq 'ok') {
        $self->add('accepted');
    }
}

sub _write {
    my ($self, $client) = @_;
    my $n = syswrite $client->{socket}, $client->{out}, 65_536;

    if (defined $n) {
        substr $client->{out}, 0, $n, '';
        $self->add('KiB sent', $n / 1024);
    } elsif (!$!{EAGAIN} && !$!{EWOULDBLOCK}) {
        $client->{gone} = 1;
    }
}

sub _over {
    my ($self, $client, $now) = @_;

    return $client->{gone} || $now > $client->{life}
           || $client->{script}{end} ne 'wait' && $client->{done}
              && $now > $client->{done};
}

sub _end {
    my ($self, $fd, $now) = @_;
    my $client = $self->{clients}{$fd};
    my $end = $client->{script}{end};

    if ($end eq 'half' && !$client->{half} && !$client->{gone}) {
        $client->{half} = 1;
        $client->{life} = $now + 0.5;
        $client->{done} = $now + 1;
        shutdown $client->{socket}, 1;
        return;
    }
    setsockopt $client->{socket}, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0
        if $end eq 'reset';
    delete $self->{clients}{$fd};
    if ($client->{script}{tls} && $client->{socket}->isa('IO::Socket::SSL')) {
        $client->{socket}->close(SSL_no_shutdown => $end eq 'reset',
                                 SSL_fast_shutdown => 1);
    } else {
        close $client->{socket};
    }
}


# ------------------------------------------------------- whether it answers

sub _probe {
    my ($self, $now) = @_;
    my $probe = $self->{probe};

    if (!$probe) {
        return if $now < ($self->{again} // 0);
        my $socket = IO::Socket::INET->new(Timeout => 5,
            PeerAddr => '127.0.0.1:' . $self->{mq}->port) or return;
        $socket->blocking(0);
        syswrite $socket, "POST /Console/Ping HTTP/1.0\r\nsecretKey: "
                          . KapokMQ::Storm::Script::KEY . "\r\n\r\n";
        $self->{probe} = { socket => $socket, in => '', since => $now };
        return;
    }

    my $n = sysread $probe->{socket}, $probe->{in}, 4096, length $probe->{in};
    if ($probe->{in} =~ /\{"code":0\}$/) {
        $self->{answered} = $now;
        $self->add('probes');
    } elsif (!defined $n && $!{EAGAIN} && $now - $probe->{since} < BOUND / 4) {
        return;
    }
    $self->{again} = $now + 0.3;
    delete $self->{probe};
}


# ------------------------------------------------------------------ trouble

sub _disturb {
    my ($self, $now) = @_;
    my $rnd = $self->{rnd};

    $self->_continue if $self->{stopped} && $now > $self->{stopped}[1];
    return if $now < $self->{trouble};

    $self->{trouble} = $now + 0.2 + $rnd->part;
    # each kind once, before it is left to chance
    my $what = $self->{first}[0]
               // $rnd->weighed(KILL => 40, HUP => 25, USR1 => 15, STOP => 10,
                                TERM => 10);
    my @workers = $self->_workers($what);
    my $pid = @workers ? $rnd->pick(@workers) : return;

    return if $what eq 'STOP' && $self->{stopped};
    shift @{$self->{first}};
    $self->add($what);
    if ($what eq 'HUP') {
        $self->{change}->($rnd->below(1000)) if $self->{change};
        $self->{mq}->signal('HUP');
        $self->{reloads}++;
    } elsif ($what eq 'USR1') {
        $self->{mq}->signal('USR1');
    } else {
        $self->{killed}{$pid} = 1 if $what eq 'KILL';
        $self->{stopped} = [$pid, $now + $rnd->part] if $what eq 'STOP';
        kill $what, $pid;
    }
}

# Workers that this may be done to.  One reload after the other: the signals of
# two may be one.  nginx before 1.25 complains of open sockets when a worker that
# is about to end anyhow is told to do so at once.
sub _workers {
    my ($self, $what) = @_;
    my @all = sort { $a <=> $b } $self->{mq}->worker_pids;

    return @all if $what ne 'HUP' && $what ne 'TERM';
    my ($received, $stay) = $self->_told;
    return if $received < $self->{reloads};
    return $what eq 'HUP' ? @all : grep { $stay->{$_} } @all;
}

# What the master has told of reloads: how many signals it has received, and the
# workers that the last one does not end.  Until that has begun nobody knows: a
# worker that has no name yet may be one of those.
sub _told {
    my ($self) = @_;
    my ($received, %stay) = (0);

    for my $line (split /^/, $self->{mq}->log) {
        if ($line =~ /\(SIGHUP\) received/) {
            $received++;
            %stay = (waits => 1);
        } elsif ($line =~ /: reconfiguring$/) {
            %stay = ();
        } elsif ($line =~ /: start worker process (\d+)$/) {
            $stay{$1} = 1;
        }
    }

    return $received, $stay{waits} ? {} : \%stay;
}

sub _continue {
    my ($self) = @_;
    my $stopped = delete $self->{stopped} or return;

    kill 'CONT', $stopped->[0];
}

1;
