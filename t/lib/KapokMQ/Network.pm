# A network of machines for a cluster: namespaces that are joined by a switch, a
# namespace of its own, so that nothing of it is seen outside.  Each machine has
# its own 127.0.0.1, too.  Only root can make them, and not everywhere.
#
#     my $network = KapokMQ::Network->new(3) or plan skip_all => ...;
#     my $cluster = KapokMQ::Cluster->start(network => $network, ...);
#     $network->cut(1);                  # from all others, without a word
#     $network->join(1);
#     $network->within(1, sub { ... });  # what is opened or begun there is there
#     $network->finish;

package KapokMQ::Network;

use strict;
use warnings;

use IPC::Open2 qw(open2);
use POSIX ();

use KapokMQ::Test;

use constant CLONE_NEWNET => 0x40000000;

my %SETNS = (x86_64 => 308, aarch64 => 268);

# Nothing where there cannot be one.
sub new {
    my ($class, $machines) = @_;
    my $self = bless { owner => $$, place => [] }, $class;

    $self->{setns} = $SETNS{(POSIX::uname())[4]} // return;
    return if $> != 0;
    open $self->{home}, '<', '/proc/self/ns/net' or return;

    my $switch = $self->_place or return;
    _run($switch, 'ip link add sw type bridge', 'ip link set sw up') or return;
    for my $n (1 .. $machines) {
        my $place = $self->_place or return;
        _run($switch,
            "ip link add p$n type veth peer name eth0 netns $place->{pid}",
            "ip link set p$n master sw", "ip link set p$n up") or return;
        _run($place, 'ip link set lo up', 'ip link set eth0 up',
            'ip addr add ' . $self->address($n) . '/24 dev eth0') or return;
    }
    return $self;
}

# A process that has a namespace, as long as it can read.
sub _place {
    my ($self) = @_;
    my $place = {};

    $place->{pid} = open2($place->{out}, $place->{in}, 'unshare', '-n', $^X,
                          '-e', '$| = 1; print "ready\n"; <STDIN>');
    push @{$self->{place}}, $place;
    readline $place->{out} or return;
    open $place->{ns}, '<', "/proc/$place->{pid}/ns/net" or return;

    return $place;
}

sub _run {
    my ($place, @commands) = @_;

    for my $command (@commands) {
        system("nsenter -t $place->{pid} -n $command 2>/dev/null") == 0
            or return 0;
    }
    return 1;
}

sub address { "10.99.0.$_[1]" }

# Calls it in that machine: sockets and processes that are made are there.
sub within {
    my ($self, $n, $code) = @_;
    my $before = $self->{now} // $self->{home};
    my $wantarray = wantarray;
    my @result;

    $self->_enter($self->{place}[$n]{ns});
    my $well = eval {
        @result = $wantarray ? $code->() : scalar $code->();
        1;
    };
    my $why = $@;
    $self->_enter($before);
    die $why if !$well;

    return $wantarray ? @result : $result[0];
}

sub _enter {
    my ($self, $ns) = @_;

    syscall($self->{setns}, fileno $ns, CLONE_NEWNET) == 0
        or die "setns: $!";
    $self->{now} = $ns;
}

# What the machine and others send each other is lost from now on.
sub cut {
    my ($self, $n) = @_;

    return _run($self->{place}[0], "ip link set p$n nomaster");
}

sub join {
    my ($self, $n) = @_;

    return _run($self->{place}[0], "ip link set p$n master sw");
}

sub finish {
    my ($self) = @_;

    for my $place (splice @{$self->{place}}) {
        close $place->{in};
        waitpid $place->{pid}, 0;
    }
}

sub DESTROY {
    my ($self) = @_;

    local ($?, $!);
    $self->finish if $self->{owner} == $$;
}


# -------------------------------------------------------- an nginx on one of them

package KapokMQ::Network::Node;

use parent -norequire, 'KapokMQ::Test';

BEGIN {
    no strict 'refs';
    for my $name (qw(_fork _serves post raw login)) {
        my $method = KapokMQ::Test->can($name);
        *$name = sub {
            my ($self, @args) = @_;
            return $self->{network}->within($self->{machine},
                                            sub { $self->$method(@args) });
        };
    }
}

1;
