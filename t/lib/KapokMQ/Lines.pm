# A program that is told and tells something line by line, while the test's
# event loop runs.
#
#     my $program = KapokMQ::Lines->start('cat');
#     $program->tell('hello');
#     wait_for { $program->count(qr/^hello$/) } 'it answers';
#     $program->ends;

package KapokMQ::Lines;

use strict;
use warnings;

use IPC::Open2 qw(open2);
use Mojo::IOLoop;
use POSIX qw(WNOHANG);
use Test::More;
use KapokMQ::Test ();

my %running;        # programs by their pids

sub start {
    my ($class, @command) = @_;
    my $self = bless { lines => [], rest => '' }, $class;

    $self->{pid} = open2(my $out, $self->{in}, @command);
    $running{$self->{pid}} = $self;
    $self->{in}->autoflush(1);
    my $stream = $self->{stream} = Mojo::IOLoop::Stream->new($out);
    $stream->timeout(0);
    $stream->on(read => sub { $self->_read($_[1]) });
    $stream->on(close => sub { $self->{over} = 1 });
    $stream->start;

    return $self;
}

sub _read {
    my ($self, $bytes) = @_;
    my @lines = split /\n/, $self->{rest} . $bytes, -1;

    $self->{rest} = pop @lines;
    push @{$self->{lines}}, @lines;
}

sub lines { @{$_[0]{lines}} }

# How many lines are like that.
sub count {
    my ($self, $pattern) = @_;

    return scalar grep { /$pattern/ } @{$self->{lines}};
}

# The lines since the last time.
sub take { splice @{$_[0]{lines}} }

sub tell {
    my ($self, @lines) = @_;

    print {$self->{in}} map { "$_\n" } @lines;
}

# It has nothing more to read, and ends.
sub ends {
    my ($self, $name) = @_;

    close $self->{in};
    KapokMQ::Test::wait_for { $self->{over} && $self->_ended } "$name: ends";
    is($self->{status}, 0, "$name: with exit code 0");
}

# A signal, and it ends.
sub stop {
    my ($self, $signal) = @_;

    kill $signal, $self->{pid};
    KapokMQ::Test::wait_for { $self->_ended } 'a program ends';
}

sub _ended {
    my ($self) = @_;

    return 1 if defined $self->{status};
    return 0 if waitpid($self->{pid}, WNOHANG) != $self->{pid};
    $self->{status} = $?;
    delete $running{$self->{pid}};
    return 1;
}

END {
    my $status = $?;

    for my $pid (keys %running) {
        kill 'KILL', $pid;
        waitpid $pid, 0;
    }
    $? = $status;
}

1;
