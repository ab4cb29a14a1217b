# Chaos: workers are killed several times a second, and reloaded every few
# seconds, while clients in all modes send, confirm, break and come again. What
# was accepted is delivered; what is delivered twice was in flight with a
# connection that broke; and afterwards nothing is left over: no message, no
# client, no memory, no descriptor.
#
# KMQ_CHAOS_SECONDS: how long, 30 otherwise. KMQ_CHAOS_WORKERS: how many workers,
# 4 otherwise. In a build with fault points (make FAULTS=1 BUILD=build/faults,
# KMQ_BUILD=$PWD/build/faults) workers die at these, too.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use List::Util qw(min);
use Test::More;
use Time::HiRes qw(time);

BEGIN {
    plan skip_all => 'needs several workers' if ($ENV{KMQ_WORKERS} // 4) == 1;
}

use KapokMQ::Chaos;
use KapokMQ::Left;
use KapokMQ::Test;

my $seconds = $ENV{KMQ_CHAOS_SECONDS} || 30;
my $workers = $ENV{KMQ_CHAOS_WORKERS} || 4;

alarm(1200 + 10 * $seconds);

# Where a worker dies nobody is charged, so much of what nobody confirms waits
# until the end; it must leave others a place among the thousand that a consumer
# may have.
my $share = min(1, 120 / $seconds);
my %topic = (
    'one-socket' => { confirm => 'socket', rate => 120, http => 1 },
    'one-pong'   => { confirm => 'pong', rate => 120 },
    'one-ack'    => { confirm => 'ack', rate => 120, prefetch => 30 },
    'all-socket' => { all => 1, confirm => 'socket', rate => 80 },
    'all-pong'   => { all => 1, confirm => 'pong', rate => 80 },
    'all-ack'    => { all => 1, confirm => 'ack', rate => 80,
                      prefetch => 100 },
    'doors'      => { confirm => 'ack', rate => 60, prefetch => 30,
                      doors => 2, consumers => 2 },
    'later'      => { confirm => 'pong', rate => 40, delay => 3, http => 1 },
    'later-all'  => { all => 1, confirm => 'ack', rate => 20, delay => 1 },
    'again'      => { confirm => 'ack', retry => 1, max => 3,
                      rate => 24 * $share },
    'again-all'  => { all => 1, confirm => 'ack', retry => 1, max => 3,
                      rate => 20 * $share },
);
$_ = { producers => 2, consumers => 3, %$_ } for values %topic;

sub yaml_of {
    my ($name) = @_;
    my $spec = $topic{$name};
    my @own = ("pushType: " . ($spec->{all} ? 2 : 1),
               "confirm: $spec->{confirm}");

    push @own, "prefetch: $spec->{prefetch}" if $spec->{prefetch};
    push @own, "pushRetryTime: $spec->{retry}" if $spec->{retry};
    push @own, "maxDeliveries: $spec->{max}" if $spec->{max};

    return "    $name: { " . join(', ', @own) . " }\n";
}

# Without history: what is over leaves nothing.
sub start {
    return KapokMQ::Test->start(
        workers => $workers, zone => '12m', yaml => { isCleanConsumed => 1 },
        topics => join('', map { yaml_of($_) } sort keys %topic),
        main => 'worker_rlimit_core 0;',
        allow => qr/exited on signal (?:9|11)\b/);
}

my $mq;

sub all_workers_are_new {
    my %old = map { $_ => 1 } @_;
    my @pids = $mq->worker_pids;

    return @pids == $workers && !grep { $old{$_} } @pids;
}


# ------------------------------------------------------- a server unharmed

# Nothing is older than that.
sub is_younger {
    my ($time) = @_;
    my ($list) = $mq->page(status => -1, order => 'oldest', limit => 1);

    return $list && (!@$list || $list->[0]{CreateTime} > $time);
}

# What is sent from now on comes as it should, and what has been sent is consumed
# or dead at last. A message that nobody confirms is overdue once one behind it
# is confirmed, so some good ones go on; and one that is suspect has its consumer
# to itself for a second each time.
sub settle {
    my ($chaos) = @_;
    my $now = time;
    my $waiting = $mq->counts->{unconsumed};

    $chaos->calm;
    wait_for { $chaos->ledger->count('calm') > 500 } 'all is as before';
    $chaos->produce(0.1);
    wait_for { is_younger($now) } 'what was there is over', 120 + 3 * $waiting;
    $chaos->produce(0);
    wait_for { $chaos->answered } 'everything is answered';
    wait_for { is_empty($mq) } 'and consumed';
    $chaos->quiet;
    wait_for { $chaos->confirmed } 'all confirmations are known';
}

sub leave {
    my ($chaos) = @_;

    $chaos->disconnect;
    wait_for { $chaos->gone && nobody_there($mq) } 'all clients are gone';
}

# All topics and clients have been there: the tables keep their pages.
sub usual_capacity {
    my $chaos = KapokMQ::Chaos->new($mq, %topic);

    $chaos->connect;
    wait_for { $chaos->connected } 'all clients are there';
    $chaos->produce(1);
    wait_for { $chaos->ledger->count('accepted') > 1000 } 'messages come';
    settle($chaos);
    leave($chaos);
    $mq->remove($_) for $mq->codes(status => 2);

    return capacity($mq, 'without chaos');
}

$mq = start();
my $capacity = usual_capacity();
$mq->finish;


# -------------------------------------------------------------------- chaos

$mq = start();
my $chaos = KapokMQ::Chaos->new($mq, %topic);
my $ledger = $chaos->ledger;

$chaos->connect;
wait_for { $chaos->connected } 'all clients are there';

# So much that there is something to be seen, which takes a busy machine longer.
sub has_happened {
    return $chaos->count('KILL') + $chaos->count('SEGV') >= $seconds
           && $chaos->count('HUP') >= $seconds / 10
           && $ledger->count('accepted') >= $seconds * 100;
}

my $start = time;
$chaos->produce(1);
$chaos->rage;
wait_for { time >= $start + $seconds && has_happened() }
         "$seconds seconds of chaos", 10 * $seconds;
$chaos->rest;

$mq->reload(workers => $workers) if $mq->{workers} != $workers;
wait_for { $mq->worker_pids == $workers } 'as many workers as there should be';
wait_for { $chaos->connected } 'all clients come again';
settle($chaos);


# ------------------------------------------------------------ what is there

# Those of a role that are connected, as the server and as the test know it.
sub listed {
    my ($role) = @_;
    my $id = ucfirst($role) . 'Id';

    return join "\n", sort map { "$_->{Topic} $_->{$id}" }
                           @{$mq->clients->{"${role}s"}};
}

sub known {
    return join "\n", sort map { $_->topic . ' ' . $_->id }
                           grep { $_->worker } @_;
}

# one that has just come again may be listed twice for a moment
wait_for { listed('producer') eq known($chaos->producers) }
         'the producers that are connected, no others'
    or diag(listed('producer'), "\n\n", known($chaos->producers));
wait_for { listed('consumer') eq known($chaos->consumers) }
         'the consumers, too'
    or diag(listed('consumer'), "\n\n", known($chaos->consumers));

my %connected;
$connected{$_}++ for grep { $_ } map { $_->worker } $chaos->clients;
for my $pid ($mq->worker_pids) {
    wait_for { connections($pid) == ($connected{$pid} // 0) }
             'a worker has as many connections as it has clients';
}


# ---------------------------------------------------------------- the ledger

my @dead = $mq->codes(status => 2);
$chaos->close(@dead);

my %kind = (
    answer      => 'each message is answered once, by ok',
    calm        => 'without chaos: once, in order',
    close       => 'closed for no other reasons than there are',
    console     => 'the console answers',
    crash       => 'no worker has died but those that were killed',
    dead        => 'dead is what was not confirmed, and only for its fault',
    data        => 'nothing comes that was not sent, nothing is damaged',
    deleted     => 'what was deleted does not come',
    duplicate   => 'what comes twice was not held any more',
    early       => 'delayed messages are not early',
    exception   => 'no handler of the test dies',
    form        => 'in the form that it should have',
    gap         => 'publish/subscribe: all of it to who was there before',
    lost        => 'what was accepted has been delivered',
    order       => 'publish/subscribe: in order, once to each',
    part        => 'of a batch all is accepted, or nothing',
    pong        => 'pings are answered in order',
    refused     => 'what was refused has not been delivered',
    settled     => 'what was confirmed over HTTP does not come again',
    topic       => 'each in its own topic',
    unconfirmed => 'no message goes that nobody has confirmed',
    'not dead'  => 'what nobody ever confirms is dead',
    'no ping before Close' => 'a worker that goes asks before Close',
    'pushed too often'     => 'a dead message is not pushed more than it may',
    'two codes'            => 'a message keeps its code',
);
is(join(', ', grep { !$kind{$_} } $ledger->fault_kinds), '',
   'no other fault');
for my $kind (sort keys %kind) {
    is($ledger->count("fault $kind"), 0, $kind{$kind})
        or diag(map { "    $_\n" } $ledger->faults($kind));
}

is($mq->counts->{dead}, scalar @dead, 'the dead are counted');
$mq->remove($_) for @dead;
is($mq->counts->{all}, 0, 'they can be removed');

diag(sprintf '%d s: %s', $seconds, join ', ',
     (map { "$_ " . $chaos->count($_) } qw(KILL SEGV faults HUP
      connections droughts console), 'flood accepted', 'flood deliveries',
      'close 1001', 'closed well', 'close 1013', 'events deliveries',
      'events settled', 'pull deliveries', 'pull settled'),
     (map { "$_ " . $ledger->count($_) } qw(sent accepted maybe refused
      deleted deliveries confirmed returned extended),
      'too late', 'delivered more than once'),
     'dead ' . @dead,
     'repairs seen ' . (() = $mq->log =~ /has been repaired/g));
cmp_ok($chaos->count('KILL') + $chaos->count('SEGV'), '>=', $seconds,
       'there were kills');
cmp_ok($chaos->count('HUP'), '>=', $seconds / 10, 'and reloads');
cmp_ok($ledger->count('accepted'), '>=', $seconds * 100, 'and messages');
cmp_ok($ledger->count('delivered more than once'), '>', 0,
       'of which some were in flight then');


# ------------------------------------------------------------ what is left

leave($chaos);
my $after = capacity($mq, 'afterwards');

# The tables keep their pages, 8 KiB each, in each shard. A topic has an object
# for its minutes, three to a page, when it has been there for some; and clients
# have come before others were known to have gone. A message takes 1,000 bytes
# and 80 of its own.
cmp_ok(abs($after - $capacity), '<=', 4 * (2 + 1) * 8192 / 1080,
       'the zone takes as much as without chaos');

my @old = $mq->worker_pids;
wait_for { !grep { connections($_) } @old } 'no connection is left';
my @fds = sort map { $mq->fds($_) } @old;
my @memory = sort { $a <=> $b } map { own_memory($_) } @old;
$mq->reload;
wait_for { all_workers_are_new(@old) } 'new workers';
my @new_memory = sort { $a <=> $b } map { own_memory($_) } $mq->worker_pids;
wait_for { "@fds" eq join ' ', sort map { $mq->fds($_) } $mq->worker_pids }
         'have as many descriptors';
# a sanitizer keeps freed memory on purpose
cmp_ok($memory[-1], '<', $new_memory[0] + 2048, 'and about as much memory')
    if !$ENV{KMQ_PRELOAD};
diag("messages of 1,000 bytes: $capacity, then $after; own memory in KiB:"
     . " @memory, new: @new_memory");

$mq->finish;
done_testing;
