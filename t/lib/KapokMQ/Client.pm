# A WebSocket client of the tests, on Mojo::UserAgent; all of them run in one
# event loop.  It notes what it gets, and answers as told:
#
#     ack  => 1   sends each message's code back
#     pong => 0   leaves pings unanswered
#     headers     of the upgrade request
#     on_message, on_close    called with the client; and the message

package KapokMQ::Client;

use strict;
use warnings;

use Mojo::IOLoop;
use Mojo::JSON qw(decode_json);
use Mojo::UserAgent;
use Mojo::WebSocket qw(WS_PING WS_TEXT);
use Time::HiRes qw(time);

use constant PATIENCE => $ENV{KMQ_PATIENCE} || 120;

my $ua = Mojo::UserAgent->new(
    inactivity_timeout => 0, connect_timeout => PATIENCE,
    request_timeout => 0, max_connections => 0);

sub new {
    my ($class, $url, %option) = @_;
    my $self = bless {
        texts => [], messages => [], at => [], binaries => 0, pings => 0,
        %option,
    }, $class;

    $ua->websocket($url, { %{$option{headers} // {}} }, sub {
        my (undef, $tx) = @_;
        $self->_connected($tx);
    });

    return $self;
}

sub _connected {
    my ($self, $tx) = @_;

    $self->{status} = $tx->res->code;
    $self->{response} = $tx->res;
    if (!$tx->is_websocket) {
        $self->{failed} = $tx->res->error
                          ? $tx->res->error->{message} : 'no WebSocket';
        $self->{on_close}->($self) if $self->{on_close};
        return;
    }

    $self->{tx} = $tx->max_websocket_size(64 * 1024 * 1024);
    $self->{worker} = $tx->res->headers->header('X-Worker');
    $tx->on(frame => sub { $self->_frame($_[1]) });
    $tx->on(text => sub { $self->_text($_[1]) });
    $tx->on(binary => sub { $self->{binaries}++ });
    $tx->on(finish => sub {
        $self->{closed} = [@_[1, 2]];
        $self->{on_close}->($self) if $self->{on_close};
    });
}

# Comes before Mojo looks at the frame itself.
sub _frame {
    my ($self, $frame) = @_;

    if ($frame->[4] == WS_PING) {
        $self->{pings}++;
        # an unsolicited pong: nobody answers it
        $frame->[4] = 0xa if exists $self->{pong} && !$self->{pong};
    }
}

# bytes as they came: the characters are UTF-8 still
sub _text {
    my ($self, $bytes) = @_;

    if ($bytes !~ /^\{"MessageCode"/) {
        push @{$self->{texts}}, $bytes;
        return;
    }

    my $message = decode_json($bytes);
    push @{$self->{messages}}, $message;
    push @{$self->{at}}, time;
    push @{$self->{raw}}, $bytes if $self->{keep_raw};
    $self->send($message->{MessageCode}) if $self->{ack};
    $self->{on_message}->($self, $message) if $self->{on_message};
}

sub texts    { $_[0]{texts} }       # what is no pushed message
sub messages { $_[0]{messages} }    # pushed messages, decoded
sub at       { $_[0]{at} }          # when each of them came
sub raw      { $_[0]{raw} // [] }
sub closed   { $_[0]{closed} }      # [code, reason] once it is
sub failed   { $_[0]{failed} }      # why it could not connect
sub status   { $_[0]{status} }
sub response { $_[0]{response} }
sub pings    { $_[0]{pings} }
sub worker   { $_[0]{worker} }      # pid of its worker
sub data     { return map { $_->{MessageData} } @{$_[0]{messages}} }
sub codes    { return map { $_->{MessageCode} } @{$_[0]{messages}} }

# How often it got the message with this code.
sub got {
    my ($self, $code) = @_;

    return scalar grep { $_ eq $code } $self->codes;
}

# Bytes, as a text frame.
sub send {
    my ($self, @bytes) = @_;

    $self->{tx}->send([1, 0, 0, 0, WS_TEXT, $_]) for @bytes;
    return $self;
}

sub send_binary {
    my ($self, $bytes) = @_;

    $self->{tx}->send({ binary => $bytes });
    return $self;
}

# [fin, rsv1, rsv2, rsv3, opcode, payload]
sub send_frame {
    my ($self, @frame) = @_;

    $self->{tx}->send([@frame]);
    return $self;
}

# The close handshake.
sub finish {
    my ($self, @code) = @_;

    $self->{tx}->finish(@code);
    return $self;
}

# Gone without a word.
sub drop {
    my ($self) = @_;
    my $stream = Mojo::IOLoop->stream($self->{tx}->connection);

    $stream->close if $stream;
    return $self;
}

# Stops and goes on reading.
sub stop_reading  { Mojo::IOLoop->stream($_[0]{tx}->connection)->stop }
sub start_reading { Mojo::IOLoop->stream($_[0]{tx}->connection)->start }

1;
