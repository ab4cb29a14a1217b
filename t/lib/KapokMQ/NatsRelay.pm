# Stands between a client and a nats-server, in a process of its own, and changes
# what JetStream pushes to the client: of each message it says that there is one
# more behind it, as where messages pass all the time; and until it is told to be
# fast, it lets one after the other through, ten in a second.
#
#     my $relay = KapokMQ::NatsRelay->start(($nats->addresses)[0]);
#     ... $relay->address ...
#     $relay->be_fast;
#     $relay->finish;

package KapokMQ::NatsRelay;

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Time::HiRes qw(time);

sub start {
    my ($class, $server) = @_;
    my $listen = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1')
        or die "listen: $!";
    my $self = bless {
        address => '127.0.0.1:' . $listen->sockport, owner => $$,
    }, $class;

    $self->{pid} = fork // die "fork: $!";
    return $self if $self->{pid};
    eval { _run($self, $listen, $server) };
    warn $@ if $@;
    POSIX::_exit(1);
}

sub address { $_[0]{address} }

sub be_fast { kill 'USR1', $_[0]{pid} }

sub finish {
    my ($self) = @_;

    return if !$self->{pid};
    kill 'KILL', $self->{pid};
    waitpid delete $self->{pid}, 0;
}

sub DESTROY {
    my ($self) = @_;

    local ($?, $!);
    $self->finish if $self->{owner} == $$;
}


# --------------------------------------------------------- the other process

use constant PACE => 0.1;

sub _run {
    my ($self, $listen, $server) = @_;
    my $select = IO::Select->new($listen);
    my ($fast, %from) = (0);

    $SIG{PIPE} = 'IGNORE';
    $SIG{USR1} = sub { $fast = 1 };
    # whoever started it may have died
    while (getppid == $self->{owner}) {
        for my $socket ($select->can_read(PACE)) {
            if ($socket == $listen) {
                my $client = $listen->accept or next;
                my $far = IO::Socket::INET->new(PeerAddr => $server) or next;
                $from{$client} = { socket => $client, to => $far };
                $from{$far} = { socket => $far, to => $client, in => '',
                                pushed => [], next => 0 };
                $select->add($client, $far);
            } elsif ($from{$socket} && !_pass($from{$socket})) {
                my $to = $from{$socket}{to};
                $select->remove($socket, $to);
                delete @from{$socket, $to};
                close $_ for $socket, $to;
            }
        }
        _push($_, $fast) for grep { $_->{pushed} } values %from;
    }
}

# What can be read goes on, but for what is pushed. 0: that was the end.
sub _pass {
    my ($from) = @_;

    sysread $from->{socket}, my $bytes, 65536 or return 0;
    $bytes = _sorted($from, $bytes) if $from->{pushed};
    return _write($from->{to}, $bytes);
}

# One that was pushed goes on, if it is time; or all.
sub _push {
    my ($from, $fast) = @_;

    while (@{$from->{pushed}} && ($fast || time >= $from->{next})) {
        $from->{next} = time + PACE;
        _write($from->{to}, shift @{$from->{pushed}});
    }
}

sub _write {
    my ($socket, $bytes) = @_;

    while (length $bytes) {
        my $n = syswrite $socket, $bytes or return 0;
        substr $bytes, 0, $n, '';
    }
    return 1;
}

# What a server says, in lines and messages, without what is pushed, which is
# kept; and heartbeats come behind it.
sub _sorted {
    my ($from, $bytes) = @_;
    my $out = '';

    $from->{in} .= $bytes;
    while ($from->{in} =~ /\A([^\r]*)\r\n/) {
        my $line = $1;
        my $size = $line =~ /\AH?MSG .* (\d+)\z/ ? $1 + 2 : 0;
        my $whole = length($line) + 2 + $size;

        last if length $from->{in} < $whole;
        my $rest = substr(substr($from->{in}, 0, $whole, ''), length $line);
        # other servers are not to be found by this one
        $line =~ s/"connect_urls"/"connect_none"/ if $line =~ /\AINFO /;
        # $JS.ACK.STREAM.CONSUMER.TIMES.SEQUENCE.NUMBER.TIME.BEHIND
        if ($line =~ s/( \$JS\.ACK(?:\.[^. ]+){6}\.)(\d+)/$1 . ($2 + 1)/e
            || $rest =~ /\A\r\nNATS\/1\.0 100 /)
        {
            push @{$from->{pushed}}, $line . $rest;
        } else {
            $out .= $line . $rest;
        }
    }

    return $out;
}

1;
