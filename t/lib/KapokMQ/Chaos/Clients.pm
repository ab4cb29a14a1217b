# The clients of KapokMQ::Chaos that keep a ledger.

# ------------------------------------------------------------------ a client

package KapokMQ::Chaos::Client;

use strict;
use warnings;

use Mojo::IOLoop;

use KapokMQ::Ledger;
use KapokMQ::Link;

use constant {
    KEY  => 'sesame',
    TICK => 0.02,         # seconds between two calls of tick()
};

sub new {
    my ($class, $chaos, $topic, $id) = @_;

    return bless {
        chaos => $chaos, ledger => $chaos->ledger, topic => $topic,
        spec => $chaos->spec($topic) // {}, id => $id,
    }, $class;
}

sub connect {
    my ($self) = @_;

    $self->{closed} = 0;
    $self->{link} = KapokMQ::Link->new(
        port => $self->{chaos}->mq->port, key => KEY, path => $self->path,
        owner => $self);
}

sub id    { $_[0]{id} }
sub topic { $_[0]{topic} }
sub link  { $_[0]{link} }
# of its connection, while there is one that stays
sub worker { return $_[0]{link} ? $_[0]{link}->worker : undef }

# Is there a connection that is neither closed nor being closed?
sub ready {
    my ($self) = @_;

    return $self->{link} && $self->{link}->ready && !$self->{closed};
}

# For good; the end comes later.
sub disconnect {
    my ($self) = @_;

    $self->{leaving} = 1;
    $self->{link}->finish(1000) if $self->{link};
}

sub gone { return !$_[0]{link} }

# At once, but in an event of its own.
sub reconnect {
    my ($self) = @_;

    undef $self->{link};
    return if $self->{leaving};
    $self->{chaos}->add('connections');
    Mojo::IOLoop->timer(0.001, sub {
        $self->connect if !$self->{leaving};
    });
}

# Once in so many seconds while there is chaos.
sub once {
    my ($self, $seconds) = @_;

    return $self->{chaos}->raging && rand($seconds) < TICK;
}

sub tick { }

sub link_open { }
sub link_ping { $_[1]->frame(KapokMQ::Link::PONG, $_[2]) }
sub link_pong { }
sub link_end  { $_[0]->reconnect }

# What a server may close with: it goes, or the client does.
sub link_close {
    my ($self, $link, $code) = @_;

    $self->{closed} = $code;
    $self->{chaos}->add("close $code");
    $self->{ledger}->fault('close', "$self->{topic} $self->{id}: $code")
        if !grep { $code == $_ } 1001, $link->{closing} ? 1000 : (),
                                 $self->codes;
}

sub codes { return () }


# ---------------------------------------------------------------- a producer

package KapokMQ::Chaos::Producer;

use List::Util qw(min);

our @ISA = ('KapokMQ::Chaos::Client');

use constant WINDOW => 64;    # messages without an answer

sub new {
    my ($class, $chaos, $topic, $id) = @_;
    my $self = KapokMQ::Chaos::Client::new($class, $chaos, $topic, $id);

    $self->{stream} = $chaos->ledger->stream($topic);
    $self->{rate} = 0;
    $self->{due} = 0;
    $self->{pending} = [];

    return $self;
}

sub path { return "/Producers/Conn/$_[0]{topic}/$_[0]{id}" }

sub produce {
    my ($self, $factor) = @_;

    $self->{rate} = $self->{spec}{rate} * $factor;
}

sub unanswered { return scalar @{$_[0]{pending}} }

sub tick {
    my ($self, $now) = @_;

    $self->{due} = min(WINDOW, $self->{due} + $self->{rate}
                               * KapokMQ::Chaos::Client::TICK);
    return if !$self->ready;
    # goes for a moment, but not in the middle of something: of what has no
    # answer nobody could say when it came
    $self->{parting} ||= $self->once(20);
    if ($self->{parting}) {
        return if @{$self->{pending}};
        $self->{parting} = 0;
        $self->{link}->finish(1000);
        return;
    }
    $self->_send($now, min(int $self->{due}, WINDOW - @{$self->{pending}}));
}

sub _send {
    my ($self, $now, $n) = @_;

    return if $n < 1;
    $self->{due} -= $n;
    $self->{link}->frame(KapokMQ::Link::TEXT, $self->_one($now)) for 1 .. $n;
    $self->{link}->flush;
}

# A new message as a frame's payload.
sub _one {
    my ($self, $now) = @_;
    my $delay = $self->_delay;
    my ($n, $plain, $escaped) = $self->{ledger}->send($self->{stream}, $now,
                                                      $delay);

    push @{$self->{pending}}, $n;
    return $plain if !$delay && $n % 2;
    return "{\"MessageData\":\"$escaped\",\"DelayTime\":$delay}";
}

# Seconds, for the next message.
sub _delay {
    my ($self) = @_;

    return $self->{spec}{delay} ? sprintf '%.3f', rand $self->{spec}{delay}
                                : 0;
}

sub link_oks {
    my ($self, $link, $n) = @_;
    my @ok = splice @{$self->{pending}}, 0, $n;

    $self->{ledger}->fault('answer', "$self->{topic}: more than messages")
        if @ok < $n;
    $self->{ledger}->answered($self->{stream}, $_, KapokMQ::Ledger::ACCEPTED)
        for @ok;
}

sub link_text {
    my ($self, $link, $bytes) = @_;

    $self->{ledger}->fault('answer', "$self->{topic}: $bytes");
}

sub link_end {
    my ($self) = @_;

    $self->{ledger}->answered($self->{stream}, $_, KapokMQ::Ledger::MAYBE)
        for splice @{$self->{pending}};
    $self->reconnect;
}


# ------------------------------------------------------- a producer over HTTP

package KapokMQ::Chaos::Sender;

use Mojo::JSON qw(decode_json);
use Mojo::UserAgent;

our @ISA = ('KapokMQ::Chaos::Producer');

sub new {
    my ($class, $chaos, $topic, $id) = @_;
    my $self = KapokMQ::Chaos::Producer::new($class, $chaos, $topic,
                                             $id // 'http');

    $self->{ua} = Mojo::UserAgent->new(max_connections => 0,
        connect_timeout => 10, inactivity_timeout => 10);

    return $self;
}

sub connect    { }
sub disconnect { }
sub ready      { 1 }
sub gone       { return !@{$_[0]{pending}} }

# One request at a time.
sub tick {
    my ($self, $now) = @_;
    my $delay = $self->_delay;

    return if !$self->{rate} || @{$self->{pending}};
    my ($n, $plain) = $self->{ledger}->send($self->{stream}, $now, $delay);
    $self->{pending} = [$n];
    $self->_post('/Producer/Send', "topic=$self->{topic}&delayTime=$delay"
        . '&messageData=' . $plain =~ s/(\W)/sprintf '%%%02X', ord $1/ger,
        sub { $self->_sent($n, @_) });
}

# Calls back with status (0: none) and JSON.
sub _post {
    my ($self, $path, $form, $then, $type) = @_;

    $self->{ua}->post('http://127.0.0.1:' . $self->{chaos}->mq->port . $path,
        { secretKey => KapokMQ::Chaos::Client::KEY,
          'Content-Type' => $type // 'application/x-www-form-urlencoded' },
        $form, sub {
            my ($status, $body) = ($_[1]->res->code, $_[1]->res->body);
            # none is fine: it was a dead worker's
            $status = 0 if $_[1]->error && !$_[1]->error->{code};
            $then->($status, eval { decode_json($body) } // {});
        });
}

my %STATE = (200 => KapokMQ::Ledger::ACCEPTED, 503 => KapokMQ::Ledger::REFUSED,
             0 => KapokMQ::Ledger::MAYBE);

sub _sent {
    my ($self, $n, $status, $json) = @_;
    my $state = $STATE{$status};

    $self->{pending} = [];
    if (!defined $state) {
        $self->{ledger}->fault('answer', "Send: $status $json->{msg}");
        return;
    }
    $self->{ledger}->answered($self->{stream}, $n, $state,
                              $status == 200 ? $json->{msg} : undef);
    # some are deleted at once
    $self->_delete($n, $json->{msg}) if $status == 200 && rand() < 0.2;
}

sub _delete {
    my ($self, $n, $code) = @_;

    $self->{pending} = [$n];
    $self->_post('/Console/DelMessage', "messageCode=$code", sub {
        my ($status, $json) = @_;

        $self->{pending} = [];
        $self->{ledger}->deleted($self->{stream}, $n,
                                 $status ? KapokMQ::Link::now() : undef)
            if $status != 404;
        $self->{ledger}->fault('answer', "DelMessage: $status")
            if !grep { $status == $_ } 0, 200, 404;
    });
}


# ---------------------------------------------------- a producer of batches

package KapokMQ::Chaos::BatchSender;

our @ISA = ('KapokMQ::Chaos::Sender');

use constant MOST => 20;

# An array, and lines of objects, in turns, of some messages each.
sub tick {
    my ($self, $now) = @_;
    my (@n, @objects);

    return if !$self->{rate} || @{$self->{pending}};
    for (1 .. 2 + int rand MOST - 1) {
        my $delay = $self->_delay;
        my ($n, undef, $escaped) = $self->{ledger}->send($self->{stream}, $now,
                                                         $delay);
        push @n, $n;
        push @objects, "{\"topic\":\"$self->{topic}\",\"messageData\":"
                       . "\"$escaped\",\"delayTime\":$delay}";
    }
    $self->{pending} = [@n];
    push @{$self->{batches}}, [@n];
    $self->{lines} = !$self->{lines};
    $self->_post('/Producer/Send', $self->{lines} ? join("\n", @objects)
                                   : '[' . join(',', @objects) . ']',
        sub { $self->_sent_all(\@n, @_) },
        $self->{lines} ? 'application/x-ndjson' : 'application/json');
}

sub _sent_all {
    my ($self, $n, $status, $json) = @_;
    my $state = $STATE{$status};
    my $codes = $status == 200 ? $json->{data} : [];

    $self->{pending} = [];
    $self->{ledger}->fault('answer', "Send: $status " . ($json->{msg} // ''))
        if !defined $state || ($status == 200 && @$codes != @$n);
    return if !defined $state;
    for my $i (0 .. $#$n) {
        $self->{ledger}->answered($self->{stream}, $n->[$i], $state,
                                  $codes->[$i]);
    }
}

# All that was sent has come by now.
sub close {
    my ($self) = @_;

    $self->{ledger}->batch($self->{stream}, @$_) for @{$self->{batches}};
}


# ------------------------------------------------------- one at the console

package KapokMQ::Chaos::Watcher;

use Mojo::UserAgent;

my @QUESTIONS = qw(Ping GetClients CountMessage GetConfig GetProducers
                   GetConsumers GetMessageList);

sub new {
    my ($class, $chaos) = @_;

    return bless {
        chaos => $chaos, asking => 0, n => 0,
        ua => Mojo::UserAgent->new(max_connections => 0, connect_timeout => 10,
                                   inactivity_timeout => 10),
    }, $class;
}

sub gone { return !$_[0]{asking} }

sub tick {
    my ($self) = @_;

    return if $self->{asking} || ++$self->{n} % 4;
    my $question = $QUESTIONS[$self->{n} / 4 % @QUESTIONS];
    $self->{asking} = 1;
    $self->post("/Console/$question", '',
                sub { $self->_answer($question, $_[1]) });
}

sub post {
    my ($self, $path, $form, $then) = @_;

    $self->{ua}->post('http://127.0.0.1:' . $self->{chaos}->mq->port . $path,
        { secretKey => KapokMQ::Chaos::Client::KEY,
          'Content-Type' => 'application/x-www-form-urlencoded' }, $form,
        $then // sub { });
}

# None is fine, or half of one: if the worker has died.
sub _answer {
    my ($self, $question, $tx) = @_;
    my $response = $tx->res;
    my $worker = $response->headers->header('X-Worker');

    $self->{asking} = 0;
    $self->{chaos}->add('console');
    if ($tx->error && !$tx->error->{code}) {
        $self->{chaos}->broke_off($worker, $question) if $worker;
        return;
    }
    $self->{chaos}->ledger->fault('console', join ' ', $question,
        $response->code, substr $response->body, 0, 100)
        if $tx->error || $response->body !~ /\A\{"code":0[,}]/
           || $response->body !~ /\}\z/;
}


# ---------------------------------------------------------------- a consumer

package KapokMQ::Chaos::Consumer;

our @ISA = ('KapokMQ::Chaos::Client');

use constant {
    # seconds between two pings of the client
    ASK        => 0.05,
    # how long a server waits for the client's Close after its own
    CLOSE_TIME => 2,
    # what an answer is for
    CONFIRM => 1, EXTEND => 2, RETURN => 3,
};

# Every third consumer answers at once; the others some time later, so that
# there is something in flight when a worker is killed.
sub new {
    my ($class, $chaos, $topic, $id, $n) = @_;
    my $self = KapokMQ::Chaos::Client::new($class, $chaos, $topic, $id);

    $self->{hold} = $n % 3 ? 0.05 * $n : 0;
    $self->{confirm} = $self->{spec}{confirm};
    $self->_reset;

    return $self;
}

sub path { return "/Consumers/Conn/$_[0]{topic}/$_[0]{id}" }

# Too slow for the other consumers, which takes memory to be short.
sub codes {
    my ($self) = @_;

    return $self->{spec}{all} && $self->{chaos}->drought ? 1013 : ();
}

sub _reset {
    my ($self) = @_;

    $self->{unsaid} = [];     # pong: deliveries that no ping has followed yet
    $self->{answers} = [];    # to be said later, see _later()
    $self->{said} = [];       # deliveries, since the last question, and when
                              # more time was asked for them
    undef $self->{asked};     # time, payload, what was said before it
    $self->{named} = {};      # code => the delivery of which it said something
    undef $self->{conn};
}

sub conn { $_[0]{conn} }

# Is there an answer that the server may not have processed yet?
sub unknown {
    my ($self) = @_;

    return @{$self->{said}} || @{$self->{answers}} || @{$self->{unsaid}}
           || $self->{asked} && @{$self->{asked}{said}};
}

sub tick {
    my ($self, $now) = @_;

    $self->{link}->pause($self->{resume} = 0)
        if $self->{resume} && $now > $self->{resume} && $self->{link};
    return if !$self->ready || $self->{link}{closing};
    $self->_say($now);
    $self->_ask($now);
    $self->{link}->flush;
    $self->_whim if $self->{chaos}->raging;
}

# Breaks the connection, closes it, or does not read for a while.  What has not
# been read of a broken connection is not missed only where it is redelivered.
sub _whim {
    my ($self) = @_;

    if ($self->{confirm} ne 'socket' && !$self->{spec}{max}
        && $self->once(30))
    {
        $self->{link}->drop(rand() < 0.5);
    } elsif ($self->once(20)) {
        $self->{link}->finish(1000);
    } elsif ($self->once(10)) {
        $self->{resume} = KapokMQ::Link::now() + rand 0.6;
        $self->{link}->pause(1);
    }
}


# ------------------------------------------------------------------- answers

# Has an answer said at that time.
sub _later {
    my ($self, $time, $what, $payload, @delivery) = @_;

    push @{$self->{answers}}, [$time, $what, $payload, @delivery];
    @{$self->{answers}} = sort { $a->[0] <=> $b->[0] } @{$self->{answers}}
        if $self->{spec}{retry};
}

# Says what is due; all of it before the answer to Close, and nothing behind a
# Close.
sub _say {
    my ($self, $until) = @_;
    my $answers = $self->{answers};
    my $opcode = $self->{confirm} eq 'pong' ? KapokMQ::Link::PONG
                                            : KapokMQ::Link::TEXT;

    return if $self->{link}{closing};
    while (@$answers && (!defined $until || $answers->[0][0] <= $until)) {
        my (undef, $what, $payload, @delivery) = @{shift @$answers};
        $self->{link}->frame($opcode, $payload);
        $self->{named}{$payload =~ s/\A[+-]//r} = $delivery[0]
            if $self->{confirm} eq 'ack';
        $self->_said($what, @delivery);
    }
}

sub _said {
    my ($self, $what, @delivery) = @_;
    my $now = KapokMQ::Link::now();

    if ($what == RETURN) {
        $self->{ledger}->returned($_, $now) for @delivery;
        return;
    }
    if ($what == CONFIRM) {
        $self->{ledger}->said($_) for @delivery;
    }
    push @{$self->{said}},
        map { [$_, $what == EXTEND ? $now : undef] } @delivery;
}

# Asks, by a ping, whether the server has come as far as here.
sub _ask {
    my ($self, $now) = @_;

    return if $self->{asked} || $now < ($self->{ask_next} // 0);
    $self->{asked} = { time => $now, payload => sprintf('%.6f', $now),
                       said => [splice @{$self->{said}}] };
    $self->{link}->frame(KapokMQ::Link::PING, $self->{asked}{payload});
    $self->{ask_next} = $now + ASK;
}

sub link_pong {
    my ($self, $link, $payload) = @_;
    my $asked = $self->{asked};

    if (!$asked || $asked->{payload} ne $payload) {
        $self->{ledger}->fault('pong', $payload);
        return;
    }
    undef $self->{asked};
    $self->{conn}{whole} = $asked->{time};
    $self->known(KapokMQ::Link::now(), @{$asked->{said}});
}

# What was said is known to have been processed at that time.
sub known {
    my ($self, $now, @said) = @_;

    for my $said (@said) {
        my ($delivery, $extended) = @$said;
        if ($extended) {
            $self->{ledger}->extended($delivery, $extended, $now);
        } else {
            $self->{ledger}->known($delivery, $now);
        }
    }
}

# Takes all that was said and is not known.
sub _take_said {
    my ($self) = @_;
    my $asked = delete $self->{asked};

    return ($asked ? @{$asked->{said}} : (), splice @{$self->{said}});
}


# -------------------------------------------------------------------- events

sub link_open {
    my ($self, $link) = @_;

    $self->_reset;
    $self->{resume} = 0;
    $self->{conn} = $self->{ledger}->joined(
        $self->{topic}, $link->begun,
        sprintf '%s on worker %d, %s', $self->{id}, $link->worker,
        ++$self->{connections});
}

sub link_text {
    my ($self, $link, $bytes, $time) = @_;

    return if $bytes =~ /\Aerror: not in flight with this consumer: (\w+)\z/
              && $self->{named}{$1}
              && $self->{ledger}->late($self->{named}{$1}, $time);
    my ($delivery, $code) = $self->{ledger}->delivered($self->{conn}, $bytes,
                                                       $time);

    return if !$delivery;
    if ($self->{confirm} eq 'socket') {
        $self->_said(CONFIRM, $delivery);
    } elsif ($self->{confirm} eq 'pong') {
        push @{$self->{unsaid}}, $delivery;
    } else {
        $self->_acknowledge($delivery, $code, $time);
        $self->_say($time);
    }
}

# Where messages are pushed again, some are given back, and some take longer
# than that.
sub _acknowledge {
    my ($self, $delivery, $code, $time) = @_;
    my $retry = $self->{spec}{retry};
    my $luck = $retry ? rand : 1;
    my $poison = $self->{ledger}->poison(@$delivery[KapokMQ::Ledger::STREAM,
                                                    KapokMQ::Ledger::NUMBER]);

    if ($luck < 0.05) {
        $self->_later($time + $self->{hold}, RETURN, "-$code", $delivery);
    } elsif (!$poison && $luck < 0.2) {
        $self->_later($time + $retry * 0.5, EXTEND, "+$code", $delivery);
        $self->_later($time + $retry * 1.1, CONFIRM, $code, $delivery);
    } elsif (!$poison) {
        $self->_later($time + $self->{hold}, CONFIRM, $code, $delivery);
    }
}

sub link_ping {
    my ($self, $link, $payload) = @_;
    my $now = KapokMQ::Link::now();

    if ($self->{confirm} ne 'pong') {
        $link->frame(KapokMQ::Link::PONG, $payload);
        return;
    }
    $self->_later($now + $self->{hold}, CONFIRM, $payload,
                  splice @{$self->{unsaid}});
    $self->_say($now);
}

sub link_close {
    my ($self, $link, $code) = @_;

    $self->KapokMQ::Chaos::Client::link_close($link, $code);
    if ($link->{closing}) {
        # the answer to the client's own Close, which came behind what it said
        $self->known(KapokMQ::Link::now(), $self->_take_said)
            if $code == 1000;
        return;
    }
    $self->{ledger}->fault('no ping before Close',
        "$self->{topic} $self->{id}: " . @{$self->{unsaid}})
        if $code == 1001 && @{$self->{unsaid}};
    $self->_say;
}

sub link_end {
    my ($self, $link) = @_;
    my $now = KapokMQ::Link::now();

    if ($self->{conn}) {
        # the worker has read all that was said, up to the client's Close, or
        # it waited for that and died, or lost patience
        $self->{chaos}->closed_well($link->worker, $self, $now,
                                    $self->_take_said)
            if $self->{closed} == 1001 && $link->written
               && $now < $self->{conn}{whole} + CLOSE_TIME;
        $self->{ledger}->ended($self->{conn}, $now,
                               $link->{closing} && $self->{closed} != 1001);
    }
    $self->_reset;
    $self->reconnect;
}

1;
