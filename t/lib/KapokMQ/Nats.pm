# Real nats-servers with JetStream on loopback ports, for the suites of the
# cluster.
#
#     my $nats = KapokMQ::Nats->start;              # three of them, one cluster
#     my $ports = $nats->ports;                     # "PORT,PORT,PORT"
#     $nats->kill($nats->place('n2'));              # kill -9
#     $nats->launch(1);                             # the same again
#     $nats->finish;
#
# start() returns when the cluster has a leader and all servers serve it.  Each
# has a directory of its own, which stays over kill() and launch().

package KapokMQ::Nats;

use strict;
use warnings;

use File::Path qw(make_path remove_tree);
use File::Temp ();
use IO::Socket::INET;
use Mojo::JSON qw(decode_json);
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(sleep time);

use KapokMQ::Suite;

use constant PATIENCE => $ENV{KMQ_PATIENCE} || 120;

my %all;           # by their directories

sub binary { $ENV{KMQ_NATS} || 'nats-server' }

# Is there a nats-server?  Its version, or undef.
sub version {
    my $text = `@{[binary()]} -v 2>&1` // '';

    return $text =~ /v([\d.]+)/ ? $1 : undef;
}

# Does a server that led a stream give up, when it comes back, what it alone has?
# Before 2.9.15 it does not: its replica differs from the others then.
sub forgets {
    return sprintf('%03d' x 3, split /\./, version()) ge '002009015';
}

# Options: servers (3); text for each configuration; network, on whose machines
# they are.
sub start {
    my ($class, %option) = @_;
    my $build = $ENV{KMQ_BUILD} || "$KapokMQ::Suite::Root/build";
    my $self = bless { servers => 3, text => '', %option }, $class;

    make_path("$build/t");
    $self->{dir} = File::Temp::tempdir('nats-XXXXXX', DIR => "$build/t");
    $all{$self->{dir}} = $self;
    $self->{server} = [ map {
        { name => "n$_", map { $_ => KapokMQ::Suite::free_port() }
                             qw(port route http) }
    } 1 .. $self->{servers} ];

    my @places = 0 .. $self->{servers} - 1;
    my $deadline = time + PATIENCE;

    $self->configure($_) for @places;
    for (my $patience = 5; !$self->_all_serve($patience); $patience *= 2) {
        die "no cluster of nats-servers:\n", $self->log(0) if time > $deadline;
        $self->kill($_) for @places;
        remove_tree(map { "$self->{dir}/$_->{name}" } @{$self->{server}});
    }

    return $self;
}

# Starts them.  2.10 may make a cluster of two of them, which never becomes one of
# three; one after the other it does so seldom.
sub _all_serve {
    my ($self, $patience) = @_;
    my @places = 0 .. $self->{servers} - 1;

    for my $place (@places) {
        $self->launch($place, 0);
        sleep 0.02 until $self->get($place, '/varz') || $self->_ended($place);
    }
    my $deadline = time + $patience;
    while (grep { !$self->is_ready($_) } @places) {
        die "a nats-server ended:\n", map { $self->log($_) } @places
            if grep { $self->_ended($_) } @places;
        return 0 if time > $deadline;
        sleep 0.05;
    }
    return 1;
}

sub ports { join ',', map { $_->{port} } @{$_[0]{server}} }

sub _host {
    my ($self, $place) = @_;

    return $self->{network} ? $self->{network}->address($place + 1)
                            : '127.0.0.1';
}

# HOST:PORT of each.
sub addresses {
    my ($self) = @_;

    return map { $self->_host($_) . ":$self->{server}[$_]{port}" }
           0 .. $self->{servers} - 1;
}

# What is opened or begun by it is where that server is.
sub _there {
    my ($self, $place, $code) = @_;

    return $self->{network} ? $self->{network}->within($place + 1, $code)
                            : $code->();
}

# Which of them has that name.
sub place {
    my ($self, $name) = @_;
    my ($place) = grep { $self->{server}[$_]{name} eq $name }
                  0 .. $self->{servers} - 1;

    return $place;
}

sub configure {
    my ($self, $place) = @_;
    my $server = $self->{server}[$place];
    my $dir = $self->{dir};
    # not to itself: 2.10 might count itself out of the cluster's size then
    my $host = $self->_host($place);
    my $routes = join ', ', map { 'nats://' . $self->_host($_)
                                  . ":$self->{server}[$_]{route}" }
                            grep { $_ != $place } 0 .. $self->{servers} - 1;
    my $cluster = $self->{servers} > 1 ? <<"CONF" : '';
cluster { name: kmq, listen: $host:$server->{route}, routes: [ $routes ] }
CONF

    open my $out, '>', "$dir/$server->{name}.conf" or die "$dir: $!";
    print {$out} <<"CONF";
server_name: $server->{name}
listen: $host:$server->{port}
http: 127.0.0.1:$server->{http}
jetstream { store_dir: "$dir/$server->{name}", max_file: 8G }
$cluster$self->{text}
CONF
    close $out or die "$dir: $!";
}

# Starts one, and waits for it, unless the second argument is 0.
sub launch {
    my ($self, $place, $wait) = @_;
    my $server = $self->{server}[$place];
    my $log = "$self->{dir}/$server->{name}.log";

    $server->{pid} = $self->_there($place, sub {
        my $pid = fork // die "fork: $!";
        return $pid if $pid;
        open STDOUT, '>>', $log;
        open STDERR, '>&', \*STDOUT;
        exec binary(), '-c', "$self->{dir}/$server->{name}.conf"
            or POSIX::_exit(127);
    });
    $self->wait_ready($place) if $wait // 1;
}

# 2.10 may call itself "not current with the meta leader" for minutes when it came
# back, as long as no stream is made: after a while it is enough to know the leader.
sub wait_ready {
    my ($self, $place) = @_;
    my $deadline = time + PATIENCE;
    my $patience = time + 20;

    until ($self->is_ready($place,
                           time > $patience ? '?js-enabled-only=true' : '')) {
        die "nats-server $place does not serve:\n", $self->log($place)
            if time > $deadline || $self->_ended($place);
        sleep 0.05;
    }
}

sub _ended {
    my ($self, $place) = @_;

    return waitpid($self->{server}[$place]{pid}, WNOHANG) > 0;
}

# JetStream is there, and the cluster has a leader; how: to ask for its health.
sub is_ready {
    my ($self, $place, $how) = @_;

    return 0 unless ($self->get($place, '/healthz' . ($how // '')) // '')
                    =~ /"ok"/;
    return 1 if $self->{servers} == 1;
    my $state = eval { decode_json($self->get($place, '/jsz') // '') };
    return 0 unless $state && $state->{meta_cluster}
                    && $state->{meta_cluster}{leader};
    # once there are all of them: when all come back the count may be another
    $self->{whole} ||= $state->{meta_cluster}{cluster_size}
                       == $self->{servers};
    return $self->{whole};
}

# What a server itself has of a stream, as text to be compared; undef: nothing.
sub stream_state {
    my ($self, $place, $stream) = @_;
    my $state = eval {
        decode_json($self->get($place, '/jsz?acc=$G&streams=1') // '')
    } or return;
    my ($detail) = grep { $_->{name} eq $stream }
                   map { @{$_->{stream_detail} // []} }
                   @{$state->{account_details} // []};

    return $detail && join ' ', map { "$_=$detail->{state}{$_}" }
                                qw(messages bytes first_seq last_seq);
}

# The answer of a server's monitoring port, or undef.
sub get {
    my ($self, $place, $path) = @_;
    my $socket = $self->_there($place, sub {
        IO::Socket::INET->new(Timeout => 5,
            PeerAddr => "127.0.0.1:$self->{server}[$place]{http}")
    }) or return;

    print {$socket} "GET $path HTTP/1.0\r\n\r\n";
    my $text = do { local $/; <$socket> } // '';
    return $text =~ /\r\n\r\n(.*)/s ? $1 : undef;
}

sub log {
    my ($self, $place) = @_;

    open my $in, '<', "$self->{dir}/$self->{server}[$place]{name}.log"
        or return '';
    local $/;
    return <$in> // '';
}

# kill -9, or another signal.
sub kill {
    my ($self, $place, $signal) = @_;
    my $server = $self->{server}[$place];

    return unless $server->{pid};
    CORE::kill $signal // 'KILL', $server->{pid};
    return if ($signal // '') =~ /STOP|CONT/;
    waitpid delete $server->{pid}, 0;
}

sub kill_all {
    my ($self) = @_;

    $self->kill($_) for 0 .. $self->{servers} - 1;
}

# Starts all of them, and waits for each: alone none becomes ready.
sub launch_all {
    my ($self) = @_;
    my @places = 0 .. $self->{servers} - 1;

    $self->launch($_, 0) for @places;
    $self->wait_ready($_) for @places;
}

sub finish {
    my ($self) = @_;

    $self->kill_all;
    remove_tree($self->{dir});
    delete $all{$self->{dir}};
}

# What a suite that died left.
END {
    my $status = $?;
    $_->finish for values %all;
    $? = $status;
}

1;
