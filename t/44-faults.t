# A worker is killed at each point that the engine names inside its critical
# sections: the next one that comes there repairs the queue, the others go on,
# and nothing is lost. For a module of its own:
#
#     make FAULTS=1 BUILD=build/faults
#
# Beside what passes the point, clients publish and consume all the time, and
# connect again when their worker has died (see also KapokMQ::Probe).
#
#     KMQ_SEED=n     repeats a run's order and random numbers
#     KMQ_ROUNDS=n   how often each point has its turn
#     KMQ_POINTS=... these alone, with commas in between

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use IO::Socket::INET;
use List::Util qw(max shuffle);
use Mojo::JSON qw(encode_json);
use Test::More;
use Time::HiRes qw(time);
use KapokMQ::Probe;
use KapokMQ::Stream;
use KapokMQ::Test;

# Seconds without a message, at most, and what is hoped for; on a busy machine
# this is longer by so many times its lag, see KapokMQ::Probe.
use constant { SILENCE => 1, GOAL => 0.1, LAGS => 10 };
use constant { PATIENCE => KapokMQ::Test::PATIENCE, KEY => 'sesame' };

my $root = $KapokMQ::Suite::Root;
my $module = ($ENV{KMQ_BUILD} || "$root/build")
             . '/faults/ngx_kapokmq_module.so';
plan skip_all => 'is run with four workers' if ($ENV{KMQ_WORKERS} // 4) < 4;
plan skip_all => "no $module: make FAULTS=1 BUILD=build/faults"
    unless -e $module;

my $seed = $ENV{KMQ_SEED} // time % 1_000_000;
srand $seed;
diag("KMQ_SEED=$seed");

# Each point with what passes it, whether it is the rest of them or what is
# said here, how often at most before the death, and, where it is passed after
# a death alone, which point that is. unlocked: nothing has to be repaired then.
my %points = (
    'apart'            => { by => \&lease },
    'batch-decide'     => { by => \&publish_batch, n => 2,
                            unlocked => 1 },
    'batch-decided'    => { by => \&publish_batch, n => 2,
                            unlocked => 1 },
    'batch-end'        => { by => \&publish_batch, n => 2,
                            unlocked => 1 },
    'batch-reap'       => { by => \&publish_batch, after => 'batch-decided',
                            n => 10 },
    'batch-reserve'    => { by => \&publish_batch, n => 20 },
    'chain-extend'     => { by => \&large, n => 3 },
    'client-free'      => { by => \&visit, n => 3 },
    'commit'           => { n => 20 },
    'commit-delayed'   => { n => 5 },
    'confirm'          => { n => 20 },
    'confirm-entry'    => { n => 20 },
    'delete-in-flight' => { by => \&delete_in_flight },
    'deliver-one'      => { n => 20 },
    'deliver-position' => { n => 20 },
    'deliver-run'      => { n => 5 },
    'join'             => { by => \&visit, n => 3 },
    'journal-stamp'    => { n => 20 },
    'keeper'           => { after => 'schedule-due' },
    'leave'            => { by => \&visit, n => 3 },
    'leave-backlog'    => { by => \&lag, n => 2 },
    'lease-charge'     => { by => \&lease },
    'lease-look'       => { by => \&lease },
    'leave-charge'     => { by => \&hold },
    'leave-ring'       => { by => \&hold, n => 3 },
    'log-extend'       => { n => 5 },
    'log-skip'         => { by => \&lag, n => 2 },
    'lots'             => { n => 20 },
    'message-charge'   => { by => \&give_back, n => 2 },
    'message-consumed' => { n => 20 },
    'message-dead'     => { by => \&die_and_requeue },
    'message-free'     => { by => \&publish_and_delete, n => 2 },
    'message-release'  => { by => \&hold, n => 3 },
    'overdue-entry'    => { by => \&retry, n => 2 },
    'page-give'        => { by => \&publish_and_delete, n => 2 },
    'page-take'        => { by => \&publish_and_delete, n => 2 },
    'page-release'     => { by => \&larger, n => 3 },
    'pages-claim'      => { by => \&larger, n => 3 },
    'repair-memory'    => { after => 'commit', n => 10 },
    'repair-relink'    => { after => 'deliver-one', n => 10 },
    'repair-reset'     => { after => 'confirm-entry', n => 10 },
    'repair-settle'    => { after => 'deliver-run', n => 5 },
    'repair-wake'      => { after => 'reserve', n => 10 },
    'requeue'          => { by => \&die_and_requeue },
    'reserve'          => { n => 20 },
    'resume'           => { by => \&resume },
    'retry-later'      => { by => \&retry, n => 2 },
    'return-entry'     => { by => \&give_back, n => 2 },
    'ring-append'      => { n => 20 },
    'ring-grow'        => { by => \&many },
    'ring-join'        => { by => \&sparse },
    'ring-trim'        => { by => \&many },
    'room-add'         => { by => \&many_return },
    'room-give'        => { by => \&many },
    'room-take'        => { by => \&many, n => 2 },
    'route-create'     => { by => \&visit, n => 3 },
    'route-release'    => { by => \&visit, n => 3 },
    'schedule-due'     => { n => 5 },
    'slot-place'       => { by => \&publish_and_delete, n => 3 },
    'suspect-add'      => { by => \&suspect },
    'topic-create'     => { by => \&visit, n => 3 },
    'topic-forget'     => { by => \&forget, n => 5 },
    'topic-part'       => { by => \&visit_long, n => 3 },
    'type-settle'      => { by => \&change_type, then => \&new_type },
);

# What a topic has of minutes and hours is over after an hour at the earliest:
# t/unit/engine_processes.c sets the clock ahead for it.
my @elsewhere = ('topic-part-drop');

my %named;
for my $path (glob "$root/src/engine/{*,*/*}.c") {
    open my $in, '<', $path or die "$path: $!";
    while (<$in>) {
        $named{$1} = 1 if /KMQ_POINT\("([^"]+)"\)/;
    }
}
is_deeply([sort keys %points, @elsewhere], [sort keys %named],
          'all points that the sources name are known');


# ------------------------------------------------------------------ server

my $type = 1;

sub topics {
    return <<"YAML";
    late:   { pushRetryTime: 0.1, retryDelay: 0.02, retryDelayMax: 0.1 }
    held:   { retryDelay: 0, retryDelayMax: 0.1 }
    ill:    { retryDelay: 0, retryDelayMax: 0.2 }
    mortal: { maxDeliveries: 1 }
    news:   { pushType: 2 }
    lag:    { pushType: 2, prefetch: 2 }
    typed:  { pushType: $type }
YAML
}

my $mq = KapokMQ::Test->start(
    module => $module, workers => 4, allow => qr/exited on signal 9/,
    main => 'worker_rlimit_core 0;', http => 'keepalive_requests 1000000;',
    yaml => { confirm => 'ack', pushRetryTime => 300, isPersistent => 1,
              messageChanBuffer => 5000 },   # shards have little room at once
    topics => topics());

open my $log, '<', $mq->dir . '/error.log' or die "error.log: $!";
my $line = '';
my $repairs = 0;
my %ended;         # workers, by pid
my %dead;          # of these, those that were killed

# Takes notice of what has come to the error log.
sub read_log {
    seek $log, 0, 1;
    while (defined(my $more = readline $log)) {
        $line .= $more;
        next unless $line =~ /\n\z/;
        $ended{$1} = 1 if $line =~ /process (\d+) exited/;
        $dead{$1} = 1 if $line =~ /process (\d+) exited on signal 9/;
        $repairs++ if $line =~ /has been repaired/;
        $line = '';
    }
}

sub deaths {
    read_log();
    return scalar keys %dead;
}


# ---------------------------------------------------- what became of messages

my $count = 0;
my %accepted;      # data => when, until it comes
my %code_of;       # data => its code
my %pushes;        # code => clients that it was pushed to
my %again;         # codes of those that were pushed again in this round
my %deleted;       # codes
my @doubtful;      # codes that may have been deleted or not
my $stored_twice = 0;

sub new_data { return join ' ', @_, 'm' . ++$count }

sub accepted {
    my ($data) = @_;

    $accepted{$data} = time unless $code_of{$data};
}

sub got {
    my ($client, $message) = @_;
    my ($code, $data) = @$message{qw(MessageCode MessageData)};

    $stored_twice++ if ($code_of{$data} //= $code) ne $code;
    delete $accepted{$data};
    $again{$code} = $message->{Topic} if $pushes{$code};
    push @{$pushes{$code}}, $client;
}

# Has the client the message no more, for a reason other than that it was
# confirmed?
sub is_over {
    my ($client, $code) = @_;

    return $dead{$client->worker} || $client->{left}
           || $client->{returned}{$code}
           || $client->closed && $client->closed->[0] == 1001;
}

# Those that came again, though nobody's end is a reason.
sub without_reason {
    my @bad;

    for my $code (keys %again) {
        my @clients = @{$pushes{$code}};
        if ($again{$code} =~ /^(?:news|lag)$/) {
            my %had;
            push @bad, $code if grep { $had{$_}++ } @clients;
        } elsif ($again{$code} ne 'late') {
            push @bad, $code if 1 < grep { !is_over($_, $code) } @clients;
        }
    }
    %again = ();
    return @bad;
}


# ----------------------------------- clients that come again when they can

my %stations;

sub station {
    my ($name, $role, $topic, %option) = @_;

    $stations{$name} = { path => "/$role/Conn/$topic/$name",
                         role => $role, topic => $topic, option => \%option };
    come($stations{$name});
}

sub come {
    my ($station) = @_;
    my ($path, $option) = @$station{qw(path option)};

    delete $station->{sent};
    $path .= "?confirm=$option->{confirm}" if $option->{confirm};
    $station->{client} = $mq->connect($path, headers => { secretKey => KEY },
                                      on_message => \&got, %$option);
}

# Producers send one message at a time, so that what was accepted is known.
# The first answer is that to the login.
sub go_on {
    my ($station) = @_;
    my $client = $station->{client};

    return come($station) if $client->closed || $client->failed;
    return if $station->{role} ne 'Producers' || !@{$client->texts};
    my $answer = shift @{$client->texts};
    accepted(delete $station->{sent})
        if defined $station->{sent} && $answer eq 'ok';
    return if $station->{stopped};
    $station->{sent} = new_data($station->{topic});
    $client->send($count % 4 ? $station->{sent}
        : qq({"MessageData":"$station->{sent}","DelayTime":0.03}));
}

station('writer',  'Producers', 'work');
station('worker1', 'Consumers', 'work', ack => 1);
station('worker2', 'Consumers', 'work', confirm => 'pong');
station('editor',  'Producers', 'news');
station('reader1', 'Consumers', 'news', ack => 1);
station('reader2', 'Consumers', 'news', confirm => 'pong');
my $going = Mojo::IOLoop->recurring(0.01 => sub {
    go_on($_) for values %stations;
});
my $probe = KapokMQ::Probe->start($mq);


# -------------------------------------------------- what passes the points
#
# Each of these is repeated until a worker dies, and may end anywhere then.

my $before = 0;    # how many had died
my @stuck;
my @guests;

# Runs the clients until the condition holds; dies when a worker does.
sub await (&$) {
    my ($condition, $what) = @_;
    my $deadline = time + PATIENCE;
    my $wake = Mojo::IOLoop->recurring(0.002 => sub { });

    until ($condition->()) {
        Mojo::IOLoop->one_tick;
        next if deaths() == $before && time < $deadline;
        Mojo::IOLoop->remove($wake);
        push @stuck, $what if time >= $deadline;
        die "$what: not any more\n";
    }
    Mojo::IOLoop->remove($wake);
}

sub guest {
    my ($topic, %option) = @_;
    my $guest = $mq->consumer($topic, 'guest', on_message => \&got, %option);

    push @guests, $guest;
    return $guest;
}

sub leave {
    my ($guest) = @_;

    $guest->{left} = 1;
    $guest->finish;
    await { $guest->closed } 'a consumer leaves';
}

sub publish {
    my ($topic, %option) = @_;
    my $data = new_data($topic, 'x' x ($option{size} // 0));
    my $code = $mq->publish($topic, $data, $option{delay})
               // die "not accepted\n";

    accepted($data);
    return $code_of{$data} //= $code;
}

# Batches in two topics: all of each comes, or nothing.
my @batches;

sub publish_batch {
    my @data = map { new_data('batch') } 1 .. 20;
    my $body = encode_json([map {
        { topic => $_ % 3 ? 'held' : 'unread', messageData => $data[$_] }
    } 0 .. $#data]);

    push @batches, \@data;
    my ($answer) = pipeline(request('/Producer/Send', $body,
                                    'application/json'));
    my @codes = $answer =~ /"(\w{40})"/g;
    die "not accepted\n" unless @codes == @data;
    accepted($_) for @data;
}

# Pulled, and pulled again when the leases have ended.
sub lease {
    publish('held') for 1 .. 3;
    for (1, 2) {
        my ($answer) = pipeline(request('/Consumers/Pull/held/puller',
                                        'max=3&wait=5&lease=0.1'));
        die "nothing is pulled\n" unless $answer =~ /"\w{40}"/;
    }
}

# A stream that ends, and comes back to what it had.
sub resume {
    my $code = publish('held');
    my @like = ($mq, 'held', 'stream' . ++$count, query => { confirm => 'ack' });
    my $stream = KapokMQ::Stream->new(@like);

    await { @{$stream->messages} } 'a stream gets something';
    my ($last) = $stream->codes;
    $stream->stop;
    my $same = KapokMQ::Stream->new(@like,
                                    headers => { 'Last-Event-ID' => $last });
    await { $same->open } 'it comes back';
    $same->stop;
}

sub batches_in_part {
    return grep {
        my $came = grep { $code_of{$_} } @$_;
        $came && $came < @$_;
    } splice @batches;
}

sub remove {
    my ($code) = @_;

    push @doubtful, $code;
    return 0 unless $mq->remove($code);
    pop @doubtful;
    return $deleted{$code} = 1;
}

# A topic that is new, and consumers that come and go.
sub visit {
    my $topic = 'visited ' . ++$count;

    leave($_) for map { guest($topic) } 1, 2;
}

# A name that has a place of its own.
sub visit_long {
    my $topic = 'v' x 100 . ++$count;

    leave($_) for map { guest($topic) } 1, 2;
}

sub hold {
    my $guest = guest('held');

    publish('held', delay => $_ / 100) for 0 .. 2;
    await { @{$guest->messages} >= 3 } 'three are held';
    leave($guest);
}

sub give_back {
    my $guest = guest('held');
    my $code = publish('held');

    await { $guest->got($code) } 'pushed';
    $guest->{returned}{$code} = 1;
    $guest->send("-$code");
    await { $guest->got($code) == 2 } 'given back, and pushed again';
    leave($guest);
}

# Its consumer ends: the next one gets it alone.
sub suspect {
    my $guest = guest('ill');
    my $code = publish('ill');

    await { $guest->got($code) } 'pushed';
    leave($guest);
    $guest = guest('ill');
    await { $guest->got($code) } 'a suspect, pushed again';
    $guest->send($code);
    leave($guest);
}

# More than one part of a consumer's list holds, and than a shard has room for.
sub many {
    held(80, 1);
}

# Most of that is confirmed, and some of it stays for longer.
sub sparse {
    held(150, 10);
}

# Nothing of that is confirmed.
sub many_return {
    leave(in_flight(80));
}

# A consumer that has so many.
sub in_flight {
    my ($n) = @_;
    my $guest = guest('held');
    my @data = map { new_data('held') } 1 .. $n;
    my $producer = $mq->producer('held', 'producer');

    push @guests, $producer;
    $producer->send(@data);
    await { @{$producer->texts} == @data } 'many are accepted';
    accepted($_) for @data;
    await { @{$guest->messages} >= @data } 'many are in flight';
    $producer->finish;

    return $guest;
}

# Each so many-th of them is confirmed after the others.
sub held {
    my ($n, $each) = @_;
    my $guest = in_flight($n);
    my @codes = $guest->codes;
    my @late = grep { $_ % $each == 0 } 0 .. $#codes;
    $guest->send(@codes[grep { $_ % $each } 0 .. $#codes], @codes[@late]);
    $guest->{ack} = 1;
    my $last = publish('held');
    await { $guest->got($last) } 'all are confirmed';
    leave($guest);
}

sub retry {
    my $guest = guest('late');
    my $code = publish('late');

    await { $guest->got($code) } 'pushed';
    $guest->send("+$code");
    await { $guest->got($code) >= 3 } 'again and again';
    leave($guest);
}

sub die_and_requeue {
    my $guest = guest('mortal');
    my $code = publish('mortal');

    await { $guest->got($code) } 'pushed';
    $guest->{returned}{$code} = 1;
    $guest->send("-$code");
    await { ($mq->find($code) // {})->{Status} == 2 } 'dead';
    leave($guest);
    $mq->requeue(messageCode => $code);
}

sub delete_in_flight {
    my $guest = guest('held');
    my $code = publish('held');

    await { $guest->got($code) } 'in flight';
    remove($code);
    leave($guest);
}

# Each fills a page of memory.
sub publish_and_delete {
    my ($size) = @_;
    my @codes = map { publish('unread', size => $size // 8100) } 1 .. 2;

    remove($_) for @codes;
}

# In several pieces each.
sub large {
    publish_and_delete(20_000);
}

# In more pages than a shard takes, or keeps, at once.
sub larger {
    publish_and_delete(400_000);
}

# Publish/subscribe: one of two consumers stays behind, and does not get what
# is deleted before its turn comes.
sub lag {
    my ($first, $second) = (guest('lag', ack => 1), guest('lag'));
    my @codes = map { publish('lag') } 1 .. 6;

    await { $first->got($codes[-1]) && @{$second->messages} == 2 }
          'one is behind';
    remove($_) for @codes[2, 3];
    $second->send(@codes[0, 1]);
    await { $second->got($codes[5]) } 'deleted messages are passed over';
    @codes = map { publish('lag') } 1 .. 3;
    await { $first->got($codes[-1]) } 'behind again';
    leave($second);
    leave($first);
}

# Sends requests one behind the other; returns the bodies of the answers.
sub pipeline {
    my @requests = @_;
    my $text = '';
    my @bodies;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1:' . $mq->port)
                 or die "connect: $@";

    while (my @some = splice @requests, 0, 100) {
        syswrite $socket, join '', @some;
        my $goal = @bodies + @some;
        while (@bodies < $goal) {
            sysread $socket, $text, 65536, length $text or die "closed\n";
            push @bodies, $1 while $text =~ s/^HTTP.*?\r\n\r\n(\{.*?\})//s;
        }
    }

    return @bodies;
}

sub request {
    my ($path, $form, $type) = @_;

    $type //= 'application/x-www-form-urlencoded';
    return "POST $path HTTP/1.1\r\nHost: localhost\r\nsecretKey: " . KEY
           . "\r\nContent-Type: $type\r\n"
           . 'Content-Length: ' . length($form) . "\r\n\r\n$form";
}

# More topics that nobody uses any more than are kept.
sub forget {
    my @topics = map { 'forgotten' . ++$count } 1 .. 1200;
    my @answers = pipeline(
        map { request('/Producer/Send', "topic=$_&messageData=$_") } @topics);

    pipeline(map { request('/Console/DelMessage', "messageCode=$_") }
             map { /"msg":"(\w{40})"/ } @answers);
}

# A consumer of an old worker has not gone yet when the next one comes that
# wants the other type, and has to wait.
my ($waiter, $awaited);

sub change_type {
    my $old = $mq->raw('/Consumers/Conn/typed/old', key => KEY);
    my ($pid) = $old->head =~ /^X-Worker: (\d+)/m;
    my %old = map { $_ => 1 } $mq->worker_pids;

    $type = 3 - $type;
    $mq->configure(topics => topics());
    $mq->signal('HUP');
    await {
        my @now = $mq->worker_pids;
        read_log();
        (grep { !$old{$_} } @now) == 4 && (grep { !$ended{$_} } keys %old) == 1
    } 'the old worker and four new ones';
    do { $waiter = guest('typed') } while $old{$waiter->worker};
    $awaited = publish('typed');
    $old->close;
    await { $ended{$pid} } 'the old worker ends';
    leave($waiter);
}

sub new_type {
    wait_for { $waiter->got($awaited) } 'who waited has its turn';
}


# ------------------------------------------------------------------- rounds

my @names = $ENV{KMQ_POINTS} ? split(/,/, $ENV{KMQ_POINTS})
                             : sort keys %points;
my @silences;
my $planned = 0;   # deaths

# Until all have died that were to.
sub kill_at {
    my ($point, $by) = @_;
    my $deadline = time + 3 * PATIENCE;

    while (($before = deaths()) < $planned && time < $deadline) {
        eval { $by ? $by->() : await { 0 } $point };
    }

    return is($before, $planned, "$point: killed");
}

sub repaired {
    my ($goal) = @_;

    return wait_for { read_log(); $repairs >= $goal } 'repaired';
}

sub plan_deaths {
    my ($point, $plan) = @_;
    my $n = 1 + int rand($plan->{n} // 1);
    my %form = $plan->{after} ? (point => $plan->{after}, n => $n,
                                 point2 => $point)
                              : (point => $point, n => $n);

    # who answers may be killed before it does
    my ($status) = eval { $mq->post('/Console/Fault', \%form) };
    is($status // 200, 200, "$point, after $n");
}

# No message of those who were in the middle of something stays behind.
sub settle {
    my @waiting = keys %accepted;
    my %takers;

    for my $guest (splice @guests) {
        $guest->{left} = 1;
        $guest->drop unless $guest->closed;
    }
    for my $code (splice @doubtful) {
        $deleted{$code} = 1 unless $mq->find($code);
    }
    delete @accepted{grep { $deleted{$code_of{$_} // ''} } keys %accepted};

    wait_for {
        my ($list) = $mq->page(status => -1);
        my ($dead) = $mq->page(status => 2);
        my %topics = map { $_->{Topic} => 1 } @$list, @$dead;
        delete @topics{grep { /^(?:work|news|probe\d)$/ } keys %topics};
        $takers{$_} //= guest($_, ack => 1) for keys %topics;
        $mq->requeue(topic => $_) for map { $_->{Topic} } @$dead;
        !%topics && !grep { exists $accepted{$_} } @waiting
    } 'all that was accepted comes' or diag(join ', ', keys %accepted);
    for my $guest (@guests) {
        $guest->{left} = 1;
        $guest->finish;
    }
    wait_for { !grep { !$_->closed } @guests } 'and those leave who took it';
    @guests = ();
}

for my $point (map { shuffle @names } 1 .. $ENV{KMQ_ROUNDS} // 3) {
    my $plan = $points{$point};
    my $repaired = $repairs + 1;

    $planned += $plan->{after} ? 2 : 1;
    $probe->silence;
    plan_deaths($point, $plan);
    kill_at($point, $plan->{by}) or last;
    wait_for {
        my @now = $mq->worker_pids;
        @now == 4 && !grep { $dead{$_} } @now
    } 'others take their place';
    repaired($repaired) unless $plan->{unlocked};
    $plan->{then}->() if $plan->{then};
    settle();
    is(scalar(batches_in_part()), 0, 'all of a batch comes, or none');
    is_deeply([without_reason()], [], 'nothing comes twice without reason');
    my ($silence, $lag) = $probe->silence;
    push @silences, [$silence, $lag, $point];
    cmp_ok($silence, '<', SILENCE + LAGS * $lag, 'the others were served');
}
is_deeply(\@stuck, [], 'nothing was stuck');
is($stored_twice, 0, 'nothing was stored twice');


# ------------------------------------------------------------------ at last

$_->{stopped} = 1 for values %stations;
$probe->stop;
wait_for {
    !grep { defined $_->{sent} || $_->{client}->closed || !$_->{client}{tx} }
     values %stations
} 'all are there and answered';
$mq->counts_become({ unconsumed => 0, delay => 0, dead => 0 }, 'all consumed');
is_deeply([keys %accepted], [], 'no accepted message is lost');

sub clients {
    my $clients = $mq->clients;

    return [sort map { ($_->{ProducerId} // $_->{ConsumerId})
                       . " $_->{Topic}" }
            @{$clients->{producers}}, @{$clients->{consumers}}];
}

my @known = ('editor news', map({ "probe probe$_" } 1 .. 4), 'reader1 news',
             'reader2 news', 'worker1 work', 'worker2 work', 'writer work');
wait_for { @{clients()} == @known } 'so many clients are there';
is_deeply(clients(), \@known, 'those that are known');

my $probed = $probe->finish;
is($probed->{lost}, 0, 'nor has the probe lost any');
is($probed->{again}, 0, 'or got one twice without reason');
my $consumed = grep { !$deleted{$_} } keys %pushes;
$mq->counts_become({ consumed => $probed->{got} + $consumed,
                     all => $probed->{got} + $consumed },
                   'all that came is there');
my %listed;
my %query = (status => 1);
do {
    my ($list, $next) = $mq->page(%query);
    $_->{Topic} =~ /^probe/ or $listed{$_->{MessageCode}} = 1 for @$list;
    $query{cursor} = $next;
} while defined $query{cursor};
is((grep { !$deleted{$_} && !$listed{$_} } keys %pushes), 0, 'all are listed');
is((grep { !$pushes{$_} || $deleted{$_} } keys %listed), 0, 'and no others');

Mojo::IOLoop->remove($going);
$_->{client}->finish for values %stations;
wait_for { !@{clients()} } 'and when they go nobody is left';

my @slow = sort { $b->[0] <=> $a->[0] } grep { $_->[0] > GOAL } @silences;
diag(sprintf '%d deaths; longest silence %.0f ms, above %.0f ms: %d of %d',
     deaths(), 1000 * max(map { $_->[0] } @silences), 1000 * GOAL,
     scalar @slow, scalar @silences);
diag(sprintf '%.0f ms at %s (lag: %.0f ms)', 1000 * $_->[0], $_->[2],
     1000 * $_->[1]) for splice @slow, 0, 10;
is(deaths(), $planned, 'nobody died but for a plan');
$mq->finish;
done_testing;
