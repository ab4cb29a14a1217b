# Many clients on a server whose workers are killed and reloaded: they send,
# get, confirm, break and come again at once, and a ledger (KapokMQ::Ledger)
# holds what they saw against what may be.
#
#     my $chaos = KapokMQ::Chaos->new($mq, news => { ... });
#     $chaos->connect;
#     $chaos->produce(1);
#     $chaos->rage;        # until
#     $chaos->rest;
#     $chaos->close;       # the ledger has the verdicts

package KapokMQ::Chaos;

use strict;
use warnings;

use List::Util qw(shuffle);
use Mojo::IOLoop;
use Time::HiRes qw(usleep);

use KapokMQ::Chaos::Clients;
use KapokMQ::Chaos::Doors;
use KapokMQ::Chaos::Flood;
use KapokMQ::Ledger;
use KapokMQ::Link;
use KapokMQ::Suite;

# topics: name => { all, confirm, retry, max, delay, producers, consumers, http
# (one producer more), doors (so many senders of batches, streams of events and
# clients that pull, too), rate (messages a second of each producer) }
#
# Besides there are clients of the topic "flood", which keep the server busy
# when a worker is killed, and one that asks the console.
sub new {
    my ($class, $mq, %topic) = @_;
    my $self = bless {
        mq => $mq, topic => \%topic, ledger => KapokMQ::Ledger->new(%topic),
        killed => {}, closes => [], breaks => [], points => [], count => {},
        producers => [], consumers => [],
    }, $class;

    # what dies inside a handler is a failure, and not a line somewhere
    Mojo::IOLoop->singleton->reactor->unsubscribe('error')->on(error => sub {
        $self->{ledger}->fault('exception', $_[1]);
    });

    for my $name (sort keys %topic) {
        my $spec = $topic{$name};
        push @{$self->{producers}}, map {
            KapokMQ::Chaos::Producer->new($self, $name, "p$_")
        } 1 .. $spec->{producers};
        push @{$self->{producers}}, KapokMQ::Chaos::Sender->new($self, $name)
            if $spec->{http};
        push @{$self->{consumers}}, map {
            KapokMQ::Chaos::Consumer->new($self, $name, "c$_", $_)
        } 1 .. $spec->{consumers};
        for (1 .. $spec->{doors} // 0) {
            push @{$self->{producers}},
                KapokMQ::Chaos::BatchSender->new($self, $name, "b$_");
            push @{$self->{consumers}},
                KapokMQ::Chaos::EventStream->new($self, $name, "e$_"),
                KapokMQ::Chaos::Puller->new($self, $name, "l$_");
        }
    }
    $self->{flood} = KapokMQ::Chaos::Flood->new($self);
    push @{$self->{producers}}, $self->{flood}->producers;
    push @{$self->{consumers}}, $self->{flood}->consumers;
    $self->{watcher} = KapokMQ::Chaos::Watcher->new($self);
    $self->_find_points;

    return $self;
}

# A build for tests can be told where a worker is to die (see t/44-faults.t).
sub _find_points {
    my ($self) = @_;
    my ($status) = $self->{mq}->post('/Console/Fault');
    my %point;

    return if $status != 200;
    for my $path (glob "$KapokMQ::Suite::Root/src/engine/{*,*/*}.c") {
        open my $in, '<', $path or die "$path: $!";
        $point{$_} = 1 for map { /KMQ_POINT\("([^"]+)"\)/ } <$in>;
    }
    $self->{points} = [sort keys %point];
}

sub mq        { $_[0]{mq} }
sub ledger    { $_[0]{ledger} }
sub spec      { $_[0]{topic}{$_[1]} }
sub producers { @{$_[0]{producers}} }
sub consumers { @{$_[0]{consumers}} }
sub clients   { return ($_[0]->producers, $_[0]->consumers) }

sub count  { $_[0]{count}{$_[1]} // 0 }
sub add    { $_[0]{count}{$_[1]} += $_[2] // 1 }
sub raging { $_[0]{raging} }
sub points { @{$_[0]{points}} }

# Was memory short at some time?
sub drought { $_[0]{flood}{droughts} }

sub connect {
    my ($self) = @_;

    $_->connect for $self->clients;
    $self->{ticking} = Mojo::IOLoop->recurring(KapokMQ::Chaos::Client::TICK,
        sub {
            my $now = KapokMQ::Link::now();
            $_->tick($now) for $self->clients, $self->{watcher};
        });
}

# All have a connection, and know it.
sub connected {
    my ($self) = @_;

    return !grep { !$_->ready } $self->clients;
}

# At a factor of the usual rate; 0: no more.
sub produce {
    my ($self, $factor) = @_;

    $_->produce($factor) for $self->producers;
}

# Everything that was sent is answered.
sub answered {
    my ($self) = @_;

    return !grep { $_->unanswered } $self->producers;
}

# Everything that was confirmed is known to be.
sub confirmed {
    my ($self) = @_;

    return !grep { $_->unknown } $self->consumers;
}

# Nobody pulls any more.
sub quiet {
    my ($self) = @_;

    $_->quiet for grep { $_->can('quiet') } $self->consumers;
}

# No connection breaks any more.
sub calm { $_[0]{ledger}->calm }

# What follows if the worker did not die, which only the log tells, later: it
# has read what the consumer said, up to its Close; the answer should not have
# broken off.
sub closed_well { push @{$_[0]{closes}}, [@_[1 .. $#_]] }
sub broke_off   { push @{$_[0]{breaks}}, [@_[1 .. $#_]] }

# At the end, while all are connected: the last verdicts.  Takes the codes of
# the messages that are dead.
sub close {
    my ($self, @dead) = @_;
    my %died;

    for (grep { /exited on signal/ } split /^/, $self->{mq}->log) {
        my ($pid, $signal) = /worker process (\d+) exited on signal (\d+)/;
        $died{$pid} = 1;
        $self->{ledger}->fault('crash', "worker $pid: signal $signal")
            if !$self->{killed}{$pid}{$signal}
               && !($self->points && $signal == 9);
    }
    for (grep { !$died{$_->[0]} } @{$self->{closes}}) {
        my (undef, $consumer, $time, @said) = @$_;
        $self->add('closed well');
        $consumer->known($time, @said);
    }
    $self->{ledger}->fault('console', "worker $_->[0]: $_->[1] breaks off")
        for grep { !$died{$_->[0]} } @{$self->{breaks}};

    $_->close for grep { $_->can('close') } $self->producers;
    $self->{ledger}->close([grep { $_ } map { $_->conn } $self->consumers],
                           @dead);
    $self->{flood}->close;
}

sub disconnect {
    my ($self) = @_;

    Mojo::IOLoop->remove(delete $self->{ticking}) if $self->{ticking};
    $_->disconnect for $self->clients;
}

sub gone {
    my ($self) = @_;

    return !grep { !$_->gone } $self->clients, $self->{watcher};
}


# --------------------------------------------------------------------- chaos

# Kills, reloads, and has clients misbehave, until rest().
sub rage {
    my ($self) = @_;

    $self->{raging} = 1;
    $self->_again(0.15, 0.5, \&_kill);
    $self->_again(2, 5, \&_reload);
    $self->_again(6, 12, sub { $_[0]{flood}->dry(2) });
}

sub rest {
    my ($self) = @_;

    $self->{raging} = 0;
    return if !$self->points;
    # nobody dies of a plan any more; who is asked may be dead
    for (1 .. 100) {
        my ($status) = eval { $self->{mq}->post('/Console/Fault') };
        last if ($status // 0) == 200;
    }
}

# From time to time.
sub _again {
    my ($self, $from, $to, $deed) = @_;

    Mojo::IOLoop->timer($from + rand($to - $from), sub {
        return if !$self->{raging};
        $self->$deed;
        $self->_again($from, $to, $deed);
    });
}

# Mostly one worker, sometimes two or all of them, at some moment while they
# have much to do: one of them may be inside the engine's lock.
sub _kill {
    my ($self) = @_;
    my @pids = $self->{mq}->worker_pids;
    my $luck = rand;
    my $n = $luck < 0.85 ? 1 : $luck < 0.95 ? 2 : @pids;
    # a sanitizer makes a report of a SEGV
    my $segv = $ENV{KMQ_PRELOAD} ? 0 : 0.15;

    $self->_fault if $self->points && rand() < 0.5;
    $self->{flood}->burst;
    usleep(rand 1500);
    for my $pid (grep { defined } (_busy_first(@pids))[0 .. $n - 1]) {
        my ($name, $signal) = rand() < $segv ? ('SEGV', 11) : ('KILL', 9);
        $self->{killed}{$pid}{$signal} = 1;
        $self->add($name) if kill $name, $pid;
    }
}

# Has workers die at two points of the engine, one after the other.
sub _fault {
    my ($self) = @_;
    my ($one, $two) = shuffle($self->points);
    my ($n, $m) = map { 1 + int rand 50 } 1, 2;

    $self->{watcher}->post('/Console/Fault',
                           "point=$one&n=$n&point2=$two&n2=$m");
    $self->add('faults');
}

# In a random order, but those that are running at the moment before others.
sub _busy_first {
    my %running = map { $_ => 0 } @_;

    for my $pid (@_) {
        open my $in, '<', "/proc/$pid/stat" or next;
        $running{$pid} = 1 if (<$in> // '') =~ /^\d+ \(.*\) R/;
    }

    return sort { $running{$b} <=> $running{$a} } shuffle(@_);
}

sub _reload {
    my ($self) = @_;

    $self->{mq}->configure(workers => 2 + int rand 5) if rand() < 0.5;
    $self->{mq}->signal('HUP');
    $self->add('HUP');
}

1;
