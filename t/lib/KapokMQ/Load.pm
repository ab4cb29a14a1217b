# Clients as a careful application has them: consumers connect again when they
# are closed, producers too, and send again what got no answer. For suites
# that end connections under them.
#
#     my $load = KapokMQ::Load->start($mq, 'topic');
#     ...
#     $load->finish;
#
# finish() tests that no accepted message is lost.

package KapokMQ::Load;

use strict;
use warnings;

use Mojo::IOLoop;
use Test::More;

use KapokMQ::Test;

# Options: producers, consumers, how many (4).
sub start {
    my ($class, $mq, $topic, %option) = @_;
    my $self = bless {
        mq => $mq, topic => $topic, producers => 4, consumers => 4, %option,
        accepted => {}, got => {}, closes => {}, producing => {},
        consuming => {}, count => 0,
    }, $class;

    $self->_produce("p$_") for 1 .. $self->{producers};
    $self->_consume("c$_") for 1 .. $self->{consumers};
    $self->{loop} = Mojo::IOLoop->recurring(0.002 => sub { $self->_turn });

    return $self;
}

sub accepted { return scalar keys %{$_[0]{accepted}} }

# How often clients were closed with this code.
sub closes { return $_[0]{closes}{$_[1]} // 0 }

sub _connect {
    my ($self, $role, $name, %option) = @_;

    return $self->{mq}->connect("/$role/Conn/$self->{topic}/$name",
                                headers => { secretKey => 'sesame' }, %option);
}

sub _consume {
    my ($self, $name) = @_;

    $self->{consuming}{$name} = $self->_connect('Consumers', $name,
        on_message => sub { $self->{got}{$_[1]{MessageData}}++ });
}

sub _produce {
    my ($self, $name) = @_;

    $self->{producing}{$name} =
        { client => $self->_connect('Producers', $name) };
}

# Whether a client has to come again.
sub _is_gone {
    my ($self, $client) = @_;

    $self->{closes}{$client->closed->[0]}++ if $client->closed;
    return $client->closed || $client->failed;
}

sub _turn {
    my ($self) = @_;

    for my $name (keys %{$self->{consuming}}) {
        $self->_consume($name) if $self->_is_gone($self->{consuming}{$name});
    }
    for my $name (keys %{$self->{producing}}) {
        my $p = $self->{producing}{$name};
        if ($self->_is_gone($p->{client})) {
            $self->_produce($name);
        } elsif (@{$p->{client}->texts}) {
            $self->_answered($p, shift @{$p->{client}->texts});
        }
    }
}

# One message at a time, so that what was accepted is known. The first answer
# is that to the login.
sub _answered {
    my ($self, $p, $answer) = @_;

    $self->{accepted}{$p->{sent}} = 1 if defined $p->{sent} && $answer eq 'ok';
    undef $p->{sent};
    return if $self->{stop};
    $p->{sent} = 'm' . ++$self->{count};
    $p->{client}->send($p->{sent});
}

# Waits for so many more accepted messages.
sub more {
    my ($self, $n) = @_;
    my $goal = $self->accepted + $n;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return wait_for { $self->accepted >= $goal } "$n more are accepted";
}

sub finish {
    my ($self) = @_;

    $self->{stop} = 1;
    wait_for { !grep { defined $_->{sent} && !$_->{client}->closed }
               values %{$self->{producing}} } 'all are answered';
    wait_for { $self->{mq}->counts->{unconsumed} == 0 } 'all are consumed';
    wait_for { !grep { !$self->{got}{$_} } keys %{$self->{accepted}} }
             'no accepted message is lost';
    Mojo::IOLoop->remove($self->{loop});
    for my $client (values %{$self->{consuming}},
                    map { $_->{client} } values %{$self->{producing}})
    {
        $client->finish if $client->{tx} && !$client->closed;
    }
    wait_for {
        my $clients = $self->{mq}->clients;
        !grep { $_->{Topic} eq $self->{topic} }
         @{$clients->{producers}}, @{$clients->{consumers}}
    } 'and its clients leave';
}

1;
