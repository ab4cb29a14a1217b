# A client of server-sent events, as an EventSource is one: it connects again
# when its stream ends, after the time it was told, with Last-Event-ID.
#
#     my $stream = KapokMQ::Stream->new($mq, 'topic', 'c1', confirm => 'ack');
#     wait_for { @{$stream->messages} } 'a message';
#     $stream->stop;

package KapokMQ::Stream;

use strict;
use warnings;

use Mojo::IOLoop;
use Mojo::JSON qw(decode_json);
use Time::HiRes qw(time);

# Options: query, a hash; key; again (1: connects again; how often, it counts);
# headers, a hash; on_message, called with the stream and a message; path;
# slow (1: it reads nothing until start_reading()).
sub new {
    my ($class, $mq, $topic, $id, %option) = @_;
    my $self = bless {
        key => 'sesame', again => 0, port => $mq->port,
        path => "/Consumers/Events/$topic/$id", %option,
        messages => [], comments => 0, connects => 0, ends => 0, ids => [],
    }, $class;

    $self->_connect;
    return $self;
}

sub messages { $_[0]{messages} }
sub data     { return map { $_->{MessageData} } @{$_[0]{messages}} }
sub codes    { return map { $_->{MessageCode} } @{$_[0]{messages}} }
sub comments { $_[0]{comments} }       # heartbeats
sub connects { $_[0]{connects} }       # answers that began with 200
sub ends     { $_[0]{ends} }           # of connections
sub retry    { $_[0]{retry} }          # ms
sub status   { $_[0]{status} // 0 }
sub head     { $_[0]{head} // '' }
sub worker   { return $_[0]->head =~ /^X-Worker: (\d+)/mi ? $1 : 0 }
# the last answer was whole
sub whole    { $_[0]{whole} }
# it is being served
sub open     { $_[0]{retry} && !$_[0]{whole} && $_[0]{stream} }

sub start_reading { $_[0]{stream}->start }
sub stop_reading  { $_[0]{stream}->stop }

sub _connect {
    my ($self) = @_;
    my $query = join '&', map { "$_=$self->{query}{$_}" }
                          sort keys %{$self->{query} // {}};
    my $path = $self->{path} . (length $query ? "?$query" : '');
    my %headers = (
        Host => 'localhost', Accept => 'text/event-stream',
        (defined $self->{key} ? (secretKey => $self->{key}) : ()),
        (@{$self->{ids}} ? ('Last-Event-ID' => $self->{ids}[-1]) : ()),
        %{$self->{headers} // {}},
    );

    $self->{on_connect}->($self) if $self->{on_connect};
    delete @$self{qw(head status whole stream retry)};
    $self->{in} = $self->{text} = '';
    $self->{tcp} = Mojo::IOLoop->client(
        { address => '127.0.0.1', port => $self->{port} }, sub {
            my ($loop, $error, $stream) = @_;
            return $self->_ended if $error;
            # while it was connected
            return $stream->close if $self->{stopped};
            $self->{stream} = $stream;
            $stream->timeout(0);
            $stream->on(read => sub { $self->_read($_[1]) });
            $stream->on(close => sub { $self->_ended });
            $stream->on(error => sub { });
            $stream->write("GET $path HTTP/1.1\r\n"
                . join('', map { "$_: $headers{$_}\r\n" } sort keys %headers)
                . "\r\n");
        });
}

sub _read {
    my ($self, $bytes) = @_;

    $self->{in} .= $bytes;
    if (!$self->{head}) {
        $self->{in} =~ s/^(.*?\r\n\r\n)//s or return;
        $self->{head} = $1;
        ($self->{status}) = $1 =~ m{^HTTP/1\.1 (\d+)};
        $self->{connects}++ if $self->{status} == 200;
        $self->{chunked} = $self->{head} =~ /^Transfer-Encoding: chunked/mi;
        ($self->{length}) = $self->{head} =~ /^Content-Length: (\d+)/mi;
    }
    if ($self->{chunked}) {
        while ($self->{in} =~ /^([0-9a-f]+)\r\n/i) {
            my ($head, $size) = (length $&, hex $1);
            last if length $self->{in} < $head + $size + 2;
            $self->{text} .= substr $self->{in}, $head, $size;
            substr $self->{in}, 0, $head + $size + 2, '';
            $self->{whole} = 1 if $size == 0;
        }
    } else {
        $self->{text} .= $self->{in};
        $self->{whole} = 1 if length $self->{text} >= ($self->{length} // 0);
        $self->{in} = '';
    }
    $self->_events;
    # it goes on as EventSource does, which has no use for the connection
    $self->{stream}->close if $self->{whole} && $self->{stream};
}

sub _events {
    my ($self) = @_;

    while ((my $end = index $self->{text}, "\n\n") >= 0) {
        my $event = substr $self->{text}, 0, $end + 2, '';
        substr $event, $end, 2, '';
        if ($self->{on_text} && $event =~ /\Aid: (\S+)\ndata: (.*)\z/) {
            $self->{ids} = [$1];
            $self->{on_text}->($self, $1, $2);
        } else {
            $self->_event($event);
        }
    }
}

sub _event {
    my ($self, $event) = @_;
    my %field;

    for my $line (split /\n/, $event, -1) {
        $line =~ /^([^:]*):? ?(.*)$/s;
        $field{$1} = $2;
        $self->{comments}++ if exists $field{''};
    }
    $self->{retry} = $field{retry} if defined $field{retry};
    return unless defined $field{data};
    my $message = decode_json($field{data});
    $self->{wrong}++ if $field{id} ne $message->{MessageCode};
    push @{$self->{ids}}, $field{id};
    push @{$self->{messages}}, $message;
    $self->{on_message}->($self, $message) if $self->{on_message};
}

# Whether an event's id was not its message's code.
sub wrong { $_[0]{wrong} // 0 }

sub _ended {
    my ($self) = @_;

    delete $self->{stream};
    $self->{ends}++;
    $self->{on_end}->($self) if $self->{on_end};
    return if $self->{stopped} || !$self->{again};
    Mojo::IOLoop->timer(($self->{retry} // 200) / 1000 =>
                        sub { $self->_connect unless $self->{stopped} });
}

# Ends it for good: no reconnect.
sub stop {
    my ($self) = @_;

    $self->{stopped} = 1;
    $self->{stream}->close if $self->{stream};
}

# Breaks the connection, after which it connects again if it does.
sub drop {
    my ($self) = @_;

    $self->{stream}->close if $self->{stream};
}

1;
