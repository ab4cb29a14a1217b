# A client that does nothing but POST, one request at a time on a connection of
# its own: pulls, and whatever else.
#
#     my $puller = KapokMQ::Puller->new($mq);
#     $puller->pull('topic', 'c1', { max => 10, wait => 5 }, sub {
#         my ($status, $json) = @_;
#         ...
#     });
#     my ($status, $json) = $puller->now('/Consumers/Settle', { confirm => ... });

package KapokMQ::Puller;

use strict;
use warnings;

use Mojo::IOLoop;
use Mojo::JSON qw(decode_json encode_json);
use Time::HiRes qw(time);

use constant PATIENCE => $ENV{KMQ_PATIENCE} || 120;

sub new {
    my ($class, $mq, %option) = @_;

    return bless { port => $mq->port, key => 'sesame', %option }, $class;
}

# Parameters go as JSON; a text as it is, as a form.  done is called with the
# status (0: the connection broke) and the answer; with the option text => 1,
# for those who have a million, that is the text that came.
sub post {
    my ($self, $path, $parameters, $done) = @_;
    my $json = ref $parameters;
    my $body = $json ? encode_json($parameters) : $parameters // '';

    $self->{in} = '';
    delete $self->{head};
    $self->{done} = $done;
    $self->{request} = "POST $path HTTP/1.1\r\nHost: localhost\r\n"
        . "secretKey: $self->{key}\r\nContent-Type: "
        . ($json ? 'application/json' : 'application/x-www-form-urlencoded')
        . "\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
    return $self->{stream}->write($self->{request}) if $self->{stream};

    Mojo::IOLoop->client({ address => '127.0.0.1', port => $self->{port} },
        sub {
            my ($loop, $error, $stream) = @_;
            return $self->_done(0) if $error;
            $self->{stream} = $stream;
            $stream->timeout(0);
            $stream->on(read => sub { $self->_read($_[1]) });
            $stream->on(close => sub {
                delete $self->{stream};
                $self->_done(0);
            });
            $stream->on(error => sub { });
            $stream->write($self->{request});
        });
}

sub pull {
    my ($self, $topic, $id, $parameters, $done) = @_;

    $self->post("/Consumers/Pull/$topic/$id", $parameters, $done);
}

# The same, and waits for the answer, which it returns.
sub now {
    my ($self, $path, $parameters) = @_;
    my @answer;
    my $deadline = time + PATIENCE;
    my $wake = Mojo::IOLoop->recurring(0.01 => sub { });

    $self->post($path, $parameters, sub { @answer = @_ });
    Mojo::IOLoop->one_tick until @answer || time > $deadline;
    Mojo::IOLoop->remove($wake);

    return @answer;
}

sub _read {
    my ($self, $bytes) = @_;

    $self->{in} .= $bytes;
    if (!defined $self->{head}) {
        my $end = index $self->{in}, "\r\n\r\n";
        return if $end < 0;
        $self->{head} = substr $self->{in}, 0, $end + 4;
    }
    my $head = $self->{head};
    my ($length) = $head =~ /^Content-Length: (\d+)/mi or return;
    return if length($self->{in}) < length($head) + $length;
    my $body = substr $self->{in}, length($head), $length;
    my ($status) = $head =~ m{^HTTP/1\.1 (\d+)};
    if ($head =~ /^Connection: close/mi) {
        my $stream = delete $self->{stream};
        $stream->unsubscribe('close');
        $stream->close;
    }
    $self->_done($status,
                 $self->{text} ? $body : eval { decode_json($body) });
}

sub _done {
    my ($self, @answer) = @_;
    my $done = delete $self->{done} or return;

    $done->(@answer);
}

sub head { $_[0]{head} // '' }

# Breaks the connection, with whatever is asked on it.
sub drop {
    my ($self) = @_;
    my $stream = delete $self->{stream} or return;

    delete $self->{done};
    $stream->unsubscribe('close');
    $stream->close;
}

1;
