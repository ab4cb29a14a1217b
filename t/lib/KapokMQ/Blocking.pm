# A consumer in a process of its own, that handles each message in the thread
# that reads, as many a client does: while it works it reads nothing, and
# answers no ping.
#
#     my $client = KapokMQ::Blocking->start($mq, '/Consumers/Conn/topic/c1',
#                                           work => 0.01, ack => 1);
#     wait_for { $client->messages == 10 } 'ten are handled';
#     $client->signal('STOP');
#     $client->finish;
#
# A message is listed when it has been handled, and, with ack, confirmed:
# [code, data, attempts or nothing, time].

package KapokMQ::Blocking;

use strict;
use warnings;

use IO::Handle;
use Time::HiRes qw(sleep time);

use KapokMQ::Raw;

# what the Go client's library reads at once
use constant READ => 4096;

# Options: work, seconds that a message takes; ack, 1: it sends its code back;
# rcvbuf, of its socket.
sub start {
    my ($class, $mq, $path, %option) = @_;
    my $self = bless { messages => [], text => '', owner => $$ }, $class;
    my @arguments = ($mq->port, $path, $option{work} // 0, $option{ack} // 0,
                     $option{rcvbuf} // 0);

    $self->{pid} = open($self->{out}, '-|', $^X, '-It/lib',
        '-MKapokMQ::Blocking', '-e', 'KapokMQ::Blocking::run(@ARGV)',
        @arguments) or die "perl: $!";
    readline $self->{out};
    $self->{out}->blocking(0);

    return $self;
}

sub pid    { $_[0]{pid} }
sub signal { kill $_[1], $_[0]{pid} }

# Those that it has handled so far.
sub messages {
    my ($self) = @_;

    while (sysread $self->{out}, my $bytes, 65536) {
        $self->{text} .= $bytes;
    }
    while ($self->{text} =~ s/\A([^\n]*)\n//) {
        my ($code, $data, $attempts, $time) = split /\t/, $1;
        push @{$self->{messages}},
             [$code, $data, length $attempts ? $attempts : undef, $time];
    }

    return @{$self->{messages}};
}

# It is killed, if it runs still.
sub finish {
    my ($self) = @_;

    return if !$self->{out};
    kill $_, $self->{pid} for qw(KILL CONT);
    close delete $self->{out};
}

sub DESTROY {
    my ($self) = @_;

    local ($?, $!);
    $self->finish if $self->{owner} == $$;
}


# --------------------------------------------------------- the other process

sub run {
    my ($port, $path, $work, $ack, $rcvbuf) = @_;
    my $raw = KapokMQ::Raw->new(port => $port, path => $path, read => READ,
                                key => 'sesame', rcvbuf => $rcvbuf);

    $raw->next_text;
    STDOUT->autoflush;
    print "ready\n";
    while (my $frame = $raw->next_frame) {
        if ($frame->{opcode} == 9) {
            $raw->send(10, $frame->{payload});
        } elsif ($frame->{opcode} == 8) {
            $raw->send(8, $frame->{payload});
        } elsif ($frame->{payload} =~ /\A\{"MessageCode"/) {
            _handle($raw, $frame->{payload}, $work, $ack);
        }
    }
}

sub _handle {
    my ($raw, $push, $work, $ack) = @_;
    my ($code, $data) = $push =~ /"MessageCode":"(\w+)","MessageData":"([^"]*)/;
    my ($attempts) = $push =~ /,"Attempts":(\d+)\}\z/;

    sleep $work if $work > 0;
    $raw->text($code) if $ack;
    print join("\t", $code, $data, $attempts // '', time), "\n";
}

1;
