# A process that sends messages from worker to worker all the time, while the
# suite ends some of them: each worker has a consumer, to which another one
# publishes over HTTP, the next message when one has come.
#
#     my $probe = KapokMQ::Probe->start($mq);
#     ...
#     my ($silence, $lag) = $probe->silence;
#     ...
#     my $total = $probe->finish;
#
# A busy machine makes everybody wait. How long, is seen from two things that
# have nothing to do with the server: an echo, which is a process that does
# nothing but send back what it gets; and how often this one has its turn.

package KapokMQ::Probe;

use strict;
use warnings;

use IO::Handle;
use IO::Select;
use IO::Socket::INET;
use List::Util qw(max min);
use Mojo::JSON qw(decode_json);
use POSIX ();
use Socket;
use Time::HiRes qw(time);

use KapokMQ::Raw;

# Seconds between two messages to one consumer, connections that are tried at
# a time, and how long an answer of the process may take.
use constant { PAUSE => 0.004, TRIES => 4,
               PATIENCE => $ENV{KMQ_PATIENCE} || 120 };

my $KEY = 'sesame';


# ------------------------------------------------------- the suite's side

sub start {
    my ($class, $mq) = @_;

    socketpair(my $ours, my $its, AF_UNIX, SOCK_STREAM, PF_UNSPEC)
        or die "socketpair: $!";
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        close $ours;
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP ALRM);
        my $self = bless {
            port => $mq->port, control => $its, connections => {},
            places => [map { { topic => "probe$_" } } 1 .. $mq->{workers}],
            count => 0, accepted => {}, got => {}, again => 0,
            longest => 0, lag => 0, heard => 0,
        }, $class;
        eval { $self->_run; 1 } or print STDERR "probe: $@";
        POSIX::_exit(0);
    }
    close $its;

    return bless { pid => $pid, control => $ours }, $class;
}

sub _ask {
    my ($self, $what) = @_;

    syswrite $self->{control}, "$what\n";
    die "no answer from the probe\n"
        unless IO::Select->new($self->{control})->can_read(PATIENCE);

    return readline($self->{control}) // die "the probe has ended\n";
}

# For how many seconds a consumer, of those whose workers live, has got nothing:
# the longest time that ended since the last call, or has not ended yet. And the
# longest time that the machine made somebody wait.
sub silence { return map { 0 + $_ } split ' ', $_[0]->_ask('silence') }

# Sends nothing more.
sub stop { $_[0]->_ask('stop') }

# Ends it. How many different messages have come; of those that were accepted
# the ones that have not; and of those that came again the ones for which
# their consumer's end is no reason.
sub finish {
    my ($self) = @_;
    my ($got, $lost, $again) = split ' ', $self->_ask('finish');

    waitpid $self->{pid}, 0;
    return { got => $got, lost => $lost, again => $again };
}


# ---------------------------------------------------------- the process

sub _run {
    my ($self) = @_;

    $self->_start_echo;
    $self->{turn} = time;
    until ($self->{done}) {
        $self->_connect;
        $self->_publish unless $self->{stopped};
        $self->_call;
        my %ready = map { fileno $_ => $_ } IO::Select->new(
            $self->{control}, $self->{echo},
            map { $_->{socket} } values %{$self->{connections}}
        )->can_read(PAUSE / 4);
        $self->_control if delete $ready{fileno $self->{control}};
        $self->_heard if delete $ready{fileno $self->{echo}};
        $self->_read($_) for grep { $_ } map { $self->{connections}{$_} }
                                         keys %ready;
    }
}

sub _start_echo {
    my ($self) = @_;

    socketpair($self->{echo}, my $its, AF_UNIX, SOCK_STREAM, PF_UNSPEC)
        or die "socketpair: $!";
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        close $self->{$_} for qw(echo control);
        syswrite $its, $_ while sysread $its, $_, 1;
        POSIX::_exit(0);
    }
    close $its;
}

# Each turn but the first takes a few milliseconds at most.
sub _call {
    my ($self) = @_;
    my $now = time;

    $self->{lag} = max($self->{lag}, $now - $self->{turn});
    $self->{turn} = $now;
    return if $self->{called} || $now < $self->{heard} + PAUSE;
    $self->{called} = $now;
    syswrite $self->{echo}, '.';
}

sub _heard {
    my ($self) = @_;

    sysread $self->{echo}, my $none, 1;
    $self->{heard} = time;
    $self->{lag} = max($self->{lag}, $self->{heard} - delete $self->{called});
}

sub _control {
    my ($self) = @_;
    my $question = readline $self->{control};

    # the suite has ended without a word
    POSIX::_exit(1) unless defined $question;

    if ($question eq "silence\n") {
        my $now = time;
        my $longest = max($self->{longest},
                          map { $now - $_->{since} } $self->_places);
        my $lag = max($self->{lag}, $now - ($self->{called} // $now));
        syswrite $self->{control}, "$longest $lag\n";
        @$self{qw(longest lag)} = (0, 0);
    } elsif ($question eq "stop\n") {
        $self->{stopped} = 1;
        syswrite $self->{control}, "\n";
    } else {
        $self->{done} = 1;
        my $lost = grep { !$self->{got}{$_} } keys %{$self->{accepted}};
        my $got = keys %{$self->{got}};
        syswrite $self->{control}, "$got $lost $self->{again}\n";
    }
}

# Those with a consumer.
sub _places {
    my ($self) = @_;

    return grep { $_->{since} } @{$self->{places}};
}

# Requests for connections that are missing. Whose they are is seen from the
# answer: it has the worker's pid.
sub _connect {
    my ($self) = @_;
    my $missing = grep { !$_->{sender} || !$_->{consumer} }
                  @{$self->{places}};
    my $tried = grep { !$_->{place} } values %{$self->{connections}};

    for ($tried + 1 .. ($missing ? TRIES : 0)) {
        my $socket = IO::Socket::INET->new(
            PeerAddr => "127.0.0.1:$self->{port}", Timeout => 10) or return;
        my $c = { socket => $socket, in => '', parse => \&_answer };
        $self->{connections}{fileno $socket} = $c;
        _post($c, '/Console/Ping', '');
    }
}

sub _write {
    my ($c, $bytes) = @_;

    # what cannot be written is known from the end of the connection
    syswrite $c->{socket}, $bytes;
}

sub _post {
    my ($c, $path, $form) = @_;

    _write($c, "POST $path HTTP/1.1\r\nHost: localhost\r\n"
        . "secretKey: $KEY\r\nContent-Length: " . length($form) . "\r\n"
        . "Content-Type: application/x-www-form-urlencoded\r\n\r\n$form");
}

# A message for each consumer that waits for none, by another worker.
sub _publish {
    my ($self) = @_;
    my $now = time;

    for my $place ($self->_places) {
        next if $place->{awaits} || $now < $place->{next};
        my ($by) = sort { $a->{count} <=> $b->{count} }
                   grep { $_ && !$_->{request} && $_->{place} != $place }
                   map { $_->{sender} } @{$self->{places}};
        next unless $by;
        $place->{awaits} = 'm' . ++$self->{count};
        $by->{count} = $self->{count};
        $by->{request} = { place => $place, id => $place->{awaits} };
        _post($by, '/Producer/Send',
              "topic=$place->{topic}&messageData=$place->{awaits}");
    }
}

sub _read {
    my ($self, $c) = @_;

    if (!sysread $c->{socket}, $c->{in}, 65536, length $c->{in}) {
        return $self->_end($c);
    }
    while ($c->{parse}->($self, $c)) { }
}

# The connection has ended, or is not needed.
sub _end {
    my ($self, $c) = @_;
    my $place = $c->{place};

    delete $self->{connections}{fileno $c->{socket}};
    close $c->{socket};
    if ($c->{request}) {
        my ($for, $id) = @{$c->{request}}{qw(place id)};
        # stored or not, nobody knows: another one is sent
        delete $for->{awaits} if ($for->{awaits} // '') eq $id;
    }
    return 0 unless $place;
    delete $place->{sender} if $c == ($place->{sender} // 0);
    delete @$place{qw(consumer since)} if $c == ($place->{consumer} // 0);
    delete $place->{pid} unless $place->{sender} || $place->{consumer};

    return 0;
}

# A whole answer of HTTP.
sub _answer {
    my ($self, $c) = @_;

    $c->{in} =~ /^HTTP\/1\.1 (\d+) .*?\r\n\r\n/s or return 0;
    my ($head, $status) = ($&, $1);
    my ($size) = $head =~ /^Content-Length: (\d+)/mi;
    $size //= 0;
    return 0 if length $c->{in} < length($head) + $size;
    my $body = substr $c->{in}, length $head, $size;
    $c->{in} = substr $c->{in}, length($head) + $size;

    return $self->_place($c, $head) unless $c->{place};
    if ($status == 101) {
        $c->{parse} = \&_frame;
        return 1;
    }
    return $self->_end($c) if $status != 200;
    $self->{accepted}{(delete $c->{request})->{id}} = 1;

    return $head =~ /^Connection: close/mi ? $self->_end($c) : 1;
}

# Uses a connection for what its worker has not.
sub _place {
    my ($self, $c, $head) = @_;
    my ($pid) = $head =~ /^X-Worker: (\d+)/m;
    my ($place) = grep { ($_->{pid} // 0) == $pid } @{$self->{places}};

    ($place) = grep { !$_->{pid} } @{$self->{places}} unless $place;
    return $self->_end($c)
        if !$place || $place->{sender} && $place->{consumer}
           || $head =~ /^Connection: close/mi;
    $c->{place} = $place;
    $place->{pid} = $pid;
    if (!$place->{sender}) {
        $c->{count} = 0;
        $place->{sender} = $c;
        return 1;
    }
    $place->{consumer} = $c;
    _write($c, "GET /Consumers/Conn/$place->{topic}/probe?confirm=ack"
        . " HTTP/1.1\r\nHost: localhost\r\nsecretKey: $KEY\r\n"
        . "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        . "Sec-WebSocket-Version: 13\r\n"
        . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");

    return 1;
}

# A whole frame, of less than 64 KiB.
sub _frame {
    my ($self, $c) = @_;
    my ($first, $size, $long) = unpack 'CCn', $c->{in};
    my $head = ($size // 0) == 126 ? 4 : 2;

    return 0 if length $c->{in} < $head;
    $size = $long if $head == 4;
    return 0 if length $c->{in} < $head + $size;
    my $payload = substr $c->{in}, $head, $size;
    $c->{in} = substr $c->{in}, $head + $size;

    if (($first & 15) == 8) {
        _write($c, KapokMQ::Raw::frame(8, $payload));
        return $self->_end($c);
    }
    $payload =~ /^\{/ ? $self->_message($c, decode_json($payload))
                      : _login($c);

    return 1;
}

sub _login {
    my ($c) = @_;

    $c->{place}{since} = time;
    $c->{place}{next} = 0;
}

sub _message {
    my ($self, $c, $message) = @_;
    my $place = $c->{place};
    my $id = $message->{MessageData};
    my $now = time;

    _write($c, KapokMQ::Raw::frame(1, $message->{MessageCode}));
    $self->{again}++ if ($self->{got}{$id} // 0) == $c;
    $self->{got}{$id} = $c;
    $self->{longest} = max($self->{longest}, $now - $place->{since});
    $place->{since} = $now;
    return if ($place->{awaits} // '') ne $id;
    delete $place->{awaits};
    $place->{next} = $now + PAUSE;
}

1;
