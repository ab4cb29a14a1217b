# A client of HTTP/3: one connection, made by the program of t/http3.
#
#     my $h3 = KapokMQ::Http3->new($port);
#     my $answer = $h3->post('/Console/Ping');
#     wait_for { $answer->{whole} } 'an answer';
#     $h3->close;
#
# An answer is a hash: status, headers, text, whole (it has come to its end),
# gone (the code with which its stream was closed).

package KapokMQ::Http3;

use strict;
use warnings;

use Mojo::IOLoop;
use Mojo::IOLoop::Stream;
use Mojo::JSON qw(decode_json encode_json);
use Mojo::Parameters;
use POSIX ();
use Socket qw(AF_UNIX PF_UNSPEC SOCK_STREAM);

my $number = 0;

# The program, which make http3 builds.
sub program {
    my $build = $ENV{KMQ_BUILD} || "$KapokMQ::Suite::Root/build";

    return "$build/http3-client";
}

# Options: window, bytes of a stream that may be on their way.
sub new {
    my ($class, $port, %option) = @_;
    my $self = bless { port => $port, answers => {}, in => '' }, $class;

    socketpair my $ours, my $its, AF_UNIX, SOCK_STREAM, PF_UNSPEC
        or die "socketpair: $!";
    $self->{pid} = fork // die "fork: $!";
    if ($self->{pid} == 0) {
        CORE::open(STDIN, '<&', $its) and CORE::open(STDOUT, '>&', $its)
            and exec program(), $port, $option{window} // ();
        POSIX::_exit(127);
    }
    CORE::close($its);
    $self->{stream} = Mojo::IOLoop::Stream->new($ours)->timeout(0);
    $self->{stream}->on(read => sub { $self->_read($_[1]) });
    $self->{stream}->on(close => sub { $self->_over });
    $self->{stream}->on(error => sub { });
    Mojo::IOLoop->stream($self->{stream});

    return $self;
}

sub connected { $_[0]{connected} }
sub goaway    { $_[0]{goaway} }
# why the connection was closed; its program is gone, too
sub closed    { $_[0]{over} && ($_[0]{closed} // { code => -1, why => '' }) }

# Options: headers, body, more (the body has further parts), paused (nothing is
# read), on_text (called with the answer at each part), on_gone.
sub open {
    my ($self, $method, $path, %option) = @_;
    my $answer = { id => ++$number, text => '', status => 0, %option };
    my %headers = (secretkey => 'sesame', %{$option{headers} // {}});
    my %command = (id => "$number", method => $method, path => $path,
                   headers => { map { $_ => "$headers{$_}" } keys %headers });

    $command{$_} = $option{$_} for grep { defined $option{$_} } qw(body);
    $command{$_} = \1 for grep { $option{$_} } qw(more paused);
    $self->{answers}{$number} = $answer;
    $self->tell(open => %command);

    return $answer;
}

# A form, or with the option json an object or array.
sub post {
    my ($self, $path, $form, %option) = @_;
    my $type = $option{json} ? 'application/json'
                             : 'application/x-www-form-urlencoded';
    my $body = $option{json}
             ? encode_json($option{json})
             : Mojo::Parameters->new(%{$form // {}})->to_string;

    return $self->open(POST => $path, %option, body => $body,
        headers => { 'content-type' => $type,
                     'content-length' => length $body,
                     %{$option{headers} // {}} });
}

sub json { return eval { decode_json($_[1]{text}) } // {} }

# One more part of a body; the last one unless there are more.
sub body {
    my ($self, $answer, $body, $more) = @_;

    $self->tell('body', id => "$answer->{id}", body => $body,
                $more ? (more => \1) : ());
}

sub pause  { $_[0]->tell('pause', id => "$_[1]{id}") }
sub resume { $_[0]->tell('resume', id => "$_[1]{id}") }
# the answer is not wanted any more: by STOP_SENDING alone, and with
# RESET_STREAM
sub stop   { $_[0]->tell('stop', id => "$_[1]{id}") }
sub cancel { $_[0]->tell('cancel', id => "$_[1]{id}") }

sub tell {
    my ($self, $what, %command) = @_;

    $self->{stream}->write(encode_json({ do => $what, %command }) . "\n")
        unless $self->{over};
}

sub close { $_[0]->tell('close') }

# Is gone without a word.
sub vanish {
    my ($self) = @_;

    kill 'KILL', $self->{pid} unless $self->{over};
}

sub _read {
    my ($self, $bytes) = @_;

    $self->{in} .= $bytes;
    while ($self->{in} =~ s/\A(.*)\n//) {
        my $event = decode_json($1);
        my $answer = $self->{answers}{$event->{id} // ''};
        my $method = "_on_$event->{on}";
        $self->$method($event, $answer);
    }
}

sub _on_connected { $_[0]{connected} = 1 }
sub _on_goaway    { $_[0]{goaway} = 1 }
sub _on_closed    { $_[0]{closed} = $_[1] }
sub _on_head      { @{$_[2]}{qw(status headers)} = @{$_[1]}{qw(status headers)} }
sub _on_end       { $_[2]{whole} = 1 }

sub _on_data {
    my ($self, $event, $answer) = @_;

    $answer->{text} .= $event->{data};
    $answer->{on_text}->($answer) if $answer->{on_text};
}

sub _on_gone {
    my ($self, $event, $answer) = @_;

    $answer->{gone} = $event->{code};
    delete $self->{answers}{$answer->{id}};
    $answer->{on_gone}->($answer) if $answer->{on_gone};
}

sub _over {
    my ($self) = @_;

    $self->{over} = 1;
    waitpid $self->{pid}, 0;
    $self->{status} = $?;
    for my $answer (values %{$self->{answers}}) {
        $answer->{lost} = 1;
        $answer->{on_gone}->($answer) if $answer->{on_gone};
    }
    $self->{answers} = {};
}

sub DESTROY {
    my ($self) = @_;

    local $?;
    kill 'KILL', $self->{pid} unless $self->{over};
    waitpid $self->{pid}, 0 unless $self->{over};
}


# ---------------------------------------------------------------------------
# A stream of events on such a connection; else like KapokMQ::Stream, with the
# further options h3 and window.  One that connects again, and has lost its
# connection, or is told that it is to end, makes a new one.
package KapokMQ::Http3::Events;

use strict;
use warnings;

use parent -norequire, 'KapokMQ::Stream';

use KapokMQ::Stream;

sub _connect {
    my ($self) = @_;
    my $query = join '&', map { "$_=$self->{query}{$_}" }
                          sort keys %{$self->{query} // {}};
    my %headers = (
        accept => 'text/event-stream',
        (@{$self->{ids}} ? ('last-event-id' => $self->{ids}[-1]) : ()),
        %{$self->{headers} // {}},
    );

    delete @$self{qw(whole retry)};
    $self->{text} = '';
    $self->{h3} = KapokMQ::Http3->new($self->{port})
        if !$self->{h3} || $self->{h3}->closed || $self->{h3}->goaway;
    $self->{answer} = $self->{h3}->open(
        GET => $self->{path} . (length $query ? "?$query" : ''),
        headers => \%headers, paused => $self->{slow},
        on_text => sub {
            my ($answer) = @_;
            $self->{connects}++ if !$self->{retry};
            $self->{text} .= $answer->{text};
            $answer->{text} = '';
            $self->_events;
        },
        on_gone => sub { $self->_ended });
}

sub status { $_[0]{answer}{status} }
sub head   { $_[0]{answer}{headers} // {} }
sub worker { $_[0]->head->{'x-worker'} // 0 }
sub open   { $_[0]{retry} && !exists $_[0]{answer}{gone}
             && !$_[0]{answer}{lost} }
# how its last stream ended
sub gone   { $_[0]{answer}{gone} }
sub whole  { $_[0]{answer}{whole} }

sub start_reading { $_[0]{h3}->resume($_[0]{answer}) }

sub stop {
    my ($self) = @_;

    $self->{stopped} = 1;
    $self->drop;
}

sub drop { $_[0]{h3}->stop($_[0]{answer}) }

1;
