# Three nginx with three nats-servers, which are one queue.
#
#     my $cluster = KapokMQ::Cluster->start(yaml => { isPersistent => 2 });
#     my $mq = $cluster->primary;          # a KapokMQ::Test, once there is one
#     $mq->kill_all;
#     $mq = $cluster->primary($epoch + 1);
#     $cluster->finish;
#
# Options are those of KapokMQ::Test->new, and: nodes (3), servers (3), timeout
# ('1s'; longer on a busy machine, where a standby would take over without
# need), cluster, more parameters of kapokmq_cluster; text, for the configuration
# of each nats-server; network, a KapokMQ::Network, on whose machines they are
# then.

package KapokMQ::Cluster;

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(sleep time);

use KapokMQ::Disk;
use KapokMQ::Nats;
use KapokMQ::Test;

use constant PATIENCE => $ENV{KMQ_PATIENCE} || 120;

sub start {
    my ($class, %option) = @_;
    my $self = $class->new(%option);

    $_->launch for @{$self->{node}};
    return $self;
}

# The same, no nginx started yet.
sub new {
    my ($class, %option) = @_;
    my %own = (nodes => 3, servers => 3, timeout => '1s', cluster => '',
               network => undef, text => '');
    for my $name (keys %own) {
        $own{$name} = delete $option{$name} if exists $option{$name};
    }
    my $self = bless { %own }, $class;

    $self->{timeout} =~ s/^(\d+)(?=s$)/$1 * slower()/e;
    $self->{nats} = KapokMQ::Nats->start(
        map { $_ => $self->{$_} } qw(servers text network));
    $self->{node} = [ map { $self->_node($_, %option) } 1 .. $self->{nodes} ];

    return $self;
}

sub _node {
    my ($self, $n, %option) = @_;
    my $network = $self->{network};
    my @servers = map { "nats://$_" } $self->{nats}->addresses;
    my $servers = join ',', @servers[map { ($_ + $n - 1) % @servers }
                                     0 .. $#servers];
    my $replicas = $self->{servers} > 1 ? 3 : 1;
    my $port = KapokMQ::Suite::free_port();
    # a checkpoint fails where there is no quorum
    my $allow = join '|', delete $option{allow} // qr/\[error\].*cluster: /,
                          'writing a checkpoint in .*\(110: ';
    my $address = $network ? $network->address($n) : '127.0.0.1';
    my $class = $network ? 'KapokMQ::Network::Node' : 'KapokMQ::Test';
    my $node = $class->new(
        machine => $n, network => $network,
        %option,
        allow => qr/$allow/,
        port => $port,
        yaml => { isPersistent => 2, %{$option{yaml} // {}} },
        http => <<"CONF" . ($option{http} // ''));
kapokmq_cluster $servers name=orders node=n$n address=$address:$port
                nodes=$self->{nodes} replicas=$replicas
                timeout=$self->{timeout} secret=0123456789abcdef
                $self->{cluster};
CONF

    return $node;
}

sub nats { $_[0]{nats} }
sub nodes { @{$_[0]{node}} }
sub node { $_[0]{node}[$_[1] - 1] }

# The node that is primary of that epoch or a later one, as soon as it serves;
# its number and the epoch.
sub primary {
    my ($self, $epoch, $patience) = @_;
    my $deadline = time + ($patience // PATIENCE);

    $epoch //= 1;
    for (;;) {
        my ($number, $begun) = $self->who;
        if ($begun >= $epoch && $self->serves($number)) {
            return wantarray ? ($self->node($number), $number, $begun)
                             : $self->node($number);
        }
        if (time > $deadline) {
            $self->tell;
            die "no primary of epoch $epoch";
        }
        sleep 0.02;
    }
}

# What logs have told of so far does not count any more: with another stream
# epochs may come again.
sub forget {
    my ($self) = @_;

    $_->{told} = length $_->log for $self->nodes;
}

# The last that any log tells of: number and epoch.
sub who {
    my ($self) = @_;
    my ($number, $epoch) = (0, 0);

    for my $node ($self->nodes) {
        my $log = substr $node->log, $node->{told} // 0;
        while ($log =~ /epoch (\d+): node (\d+) is primary/g) {
            ($number, $epoch) = ($2, $1) if $1 > $epoch;
        }
    }
    return ($number, $epoch);
}

# Does it answer as a primary? Each of its workers: one may know it before
# another.
sub serves {
    my ($self, $number) = @_;

    return eval {
        $self->node($number)->each_answers('/Console/Ping',
                                           sub { $_[0] == 200 });
    };
}

# Has a node heard the primary since it was started? One that has not waits for
# all nodes before it stands: it may be lost, and no other one with it.
sub heard {
    my ($self, $node) = @_;
    my $nodes = $node->post('/Console/GetNodes') // {};

    return grep { $_->{There} && $_->{Role} eq 'primary' } @{$nodes->{data}};
}

# A server, not started yet, on which a node takes what others hand on; more:
# text for it.
sub takes_hops {
    my ($self, $node, $more) = @_;
    my $port = KapokMQ::Suite::free_port();
    my $http = $node->{http} =~ s/address=127\.0\.0\.1:\d+/address=127.0.0.1:$port/r;

    $node->configure(http => "$http server {
        listen 127.0.0.1:$port;
        large_client_header_buffers 4 64k;
        @{[$more // '']}
        location / { kapokmq_hop; }
    }");
}

# Has each server the same of the stream?
sub replicated {
    my ($self) = @_;
    my %state = map { ($self->nats->stream_state($_, 'orders') // '') => 1 }
                    0 .. $self->{servers} - 1;

    return keys %state == 1 && !$state{''};
}

# Is all there that can be lost? One loss after another is survived, not one
# beside another.
sub whole {
    my ($self) = @_;

    return $self->replicated && !grep { !$self->heard($_) } $self->nodes;
}

# The place of the nats-server that leads the stream, as the servers say.
sub leader {
    my ($self) = @_;
    my $deadline = time + PATIENCE;

    while (time < $deadline) {
        for my $place (0 .. $self->{servers} - 1) {
            my $text = $self->nats->get($place, '/jsz?acc=$G&streams=1')
                       // next;
            return $self->nats->place($1)
                if $text =~ /"name":\s*"orders".*?"leader":\s*"(n\d)"/s;
        }
        sleep 0.05;
    }
    BAIL_OUT('the stream has no leader');
}

# An operator asks a node for a new stream from its files.
sub seed {
    my ($self, $node, $text) = @_;
    my $file = directory($node) . '/seed';

    spew($file, $text // '');
    chown +(stat directory($node))[4, 5], $file;
}

# Has each of these nodes the file of a checkpoint?
sub checkpointed {
    my ($self, @nodes) = @_;

    return !grep { !files($_, qr/^checkpoint-[0-9a-f]+$/) } @nodes;
}

# What there is to know when something is wrong.
sub tell {
    my ($self) = @_;

    for my $n (1 .. $self->{nodes}) {
        my @lines = grep { !/ closed keepalive connection/ }
                    split /\n/, $self->node($n)->log;
        @lines = @lines[-40 .. -1] if @lines > 40;
        diag("node $n:\n", join "\n", @lines);
    }
    for my $place (0 .. $self->{servers} - 1) {
        my @lines = split /\n/, $self->nats->log($place);
        @lines = @lines[-40 .. -1] if @lines > 40;
        diag("nats-server $place: ",
             $self->nats->get($place, '/jsz?acc=$G&streams=1&raft=1') // '-',
             "\n", join "\n", @lines);
    }
}

sub finish {
    my ($self) = @_;

    for my $node ($self->nodes) {
        if ($node->{group}) {
            $node->finish;
        } else {
            $node->discard;
        }
    }
    $self->{nats}->finish;
}

1;
