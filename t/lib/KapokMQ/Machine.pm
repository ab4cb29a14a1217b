# Another machine, with clients on it, that can vanish: a network namespace
# with one link.  Only root can make one, and not everywhere.
#
#     my $machine = KapokMQ::Machine->new or skip ...;
#     KapokMQ::Test->start(conf => 'listen ' . $machine->server . ':8000;');
#     $machine->connect(8000, '/Consumers/Conn/topic/c1', ...);
#     $machine->vanish;
#     $machine->finish;

package KapokMQ::Machine;

use strict;
use warnings;

use IO::Handle;
use IPC::Open2 qw(open2);
use Mojo::IOLoop;

use KapokMQ::Client;

# Nothing where there cannot be one.
sub new {
    my ($class) = @_;
    # of four addresses, another one in each process
    my $base = $$ % 0x7fff * 4;
    my ($server, $client) = map {
        join '.', 198, 18 + ($base >> 16), $base >> 8 & 255, ($base & 255) + $_
    } 1, 2;
    my $self = bless { server => $server, client => $client, owner => $$,
                       link => "kmq$$" }, $class;

    return if $> != 0;
    $self->{pid} = open2($self->{out}, $self->{in}, 'unshare', '-n', $^X,
        '-It/lib', '-MKapokMQ::Machine', '-e', 'KapokMQ::Machine::run()');
    readline $self->{out} or return;

    my $there = "nsenter -t $self->{pid} -n";
    for my $command (
        "ip link add $self->{link} type veth peer name eth0"
            . " netns $self->{pid}",
        "ip addr add $self->{server}/30 dev $self->{link}",
        "ip link set $self->{link} up",
        "$there ip addr add $self->{client}/30 dev eth0",
        "$there ip link set eth0 up",
    ) {
        system("$command 2>/dev/null") == 0 or return;
    }

    return $self;
}

# The server's address, as seen from there.
sub server { $_[0]{server} }

# Clients connect to these paths and log in; they answer pings and nothing else.
sub connect {
    my ($self, $port, @paths) = @_;

    print {$self->{in}} "ws://$self->{server}:$port$_\n" for @paths;
    $self->{in}->flush;
    readline $self->{out} for @paths;
}

# What is sent from here and there is lost from now on, without a word.
sub vanish {
    my ($self) = @_;

    return system("tc qdisc add dev $self->{link} root blackhole") == 0
           && system("nsenter -t $self->{pid} -n"
                     . ' tc qdisc add dev eth0 root blackhole') == 0;
}

# The link goes with the namespace, and that with its only process.
sub finish {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;

    kill 'KILL', $pid;
    waitpid $pid, 0;
}

sub DESTROY {
    my ($self) = @_;

    local ($?, $!);
    $self->finish if $self->{owner} == $$;
}


# ---------------------------------------------------------- on that machine

sub run {
    my $stdin = Mojo::IOLoop::Stream->new(\*STDIN)->timeout(0);
    my ($text, @clients) = ('');

    STDOUT->autoflush;
    $stdin->on(read => sub {
        $text .= $_[1];
        while ($text =~ s/\A(.*)\n//) {
            push @clients, KapokMQ::Client->new($1,
                headers => { secretKey => 'sesame' });
        }
    });
    $stdin->on(close => sub { Mojo::IOLoop->stop });
    $stdin->start;
    Mojo::IOLoop->recurring(0.01 => sub {
        for my $client (grep { @{$_->texts} } @clients) {
            @{$client->texts} = ();
            print "logged in\n";
        }
    });
    print "ready\n";
    Mojo::IOLoop->start;
}

1;
