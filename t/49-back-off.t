# A message that fails again and again comes later and later, and says which
# attempt each push is; what is given back as not begun has not failed.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use List::Util qw(max sum);
use Test::More;
use Time::HiRes qw(time);
use KapokMQ::Test;

# seconds
use constant {
    DELAY => 0.1, MOST => 0.4, RETRY => 0.2, LATER => 0.3, PAUSE => 2,
    # the test's clock and the queue's own
    CLOCKS => 0.002,
    # far more than a push takes, on a machine that is not busy
    LATE => 2,
};
use constant { MAX => 6, MESSAGES => 10 };

my %all = (DELAY => DELAY, MOST => MOST, RETRY => RETRY, PAUSE => PAUSE);
my $topics = <<'YAML' =~ s/\b([A-Z]+)\b/$all{$1} \/\/ $1/ger;
    given:       { }
    given_all:   { pushType: 2 }
    later:       { }
    later_all:   { pushType: 2 }
    overdue:     { pushRetryTime: RETRY }
    overdue_all: { pushType: 2, pushRetryTime: RETRY }
    pong:        { pushRetryTime: RETRY, confirm: pong }
    ends:        { prefetch: 1 }
    ends_all:    { pushType: 2, prefetch: 1 }
    at_once:     { retryDelay: 0 }
    own:         { retryDelay: RETRY, retryDelayMax: RETRY }
    pauses:      { retryDelay: PAUSE }
    pauses_all:  { pushType: 2, retryDelay: PAUSE }
YAML
my $slower = slower();
my $mq = KapokMQ::Test->start(
    yaml => { confirm => 'ack', pushRetryTime => 300, maxDeliveries => MAX,
              retryDelay => DELAY, retryDelayMax => MOST },
    topics => $topics);
my $dead = 0;

# What a consumer does with a message.
my %deed = (
    return => sub { $_[0]->send("-$_[1]{MessageCode}") },
    later  => sub { $_[0]->send("-$_[1]{MessageCode} " . LATER) },
    keep   => sub { },
    drop   => sub { $_[0]->drop },
);

# Notes when each message failed, and comes again when the connection is gone.
sub fails {
    my ($case) = @_;
    my ($topic, $deed) = @$case{qw(topic deed)};

    $case->{client} = $mq->connect("/Consumers/Conn/$topic/c1",
        headers => { secretKey => 'sesame' }, pong => 0,
        on_message => sub {
            my ($client, $message) = @_;
            push @{$case->{came}{$message->{MessageCode}}},
                 [time, $message->{Attempts}];
            $deed{$deed}->($client, $message);
        },
        on_close => sub { fails($case) if !$case->{over} });
}

# What follows the f-th failure: overdue, or another one.
sub waits {
    my ($f, $overdue) = @_;
    my $doubled = $overdue ? $f - 1 : $f - 2;

    return $doubled < 0 ? 0 : DELAY * 2 ** $doubled < MOST
                              ? DELAY * 2 ** $doubled : MOST;
}

my $given = sub { waits($_[0], 0) };
my $late = sub { RETRY + waits($_[0], 1) };
my @cases = map { { topic => $_->[0], deed => $_->[1], wait => $_->[2],
                    n => $_->[3] // MESSAGES } } (
    ['given',       'return', $given],
    ['given_all',   'return', $given],
    ['later',       'later',  sub { LATER }],
    ['later_all',   'later',  sub { LATER }],
    # what stands behind one that is overdue has its turn after that
    ['overdue',     'keep',   $late, 1],
    ['overdue_all', 'keep',   $late, 1],
    ['pong',        'keep',   $late, 1],
    ['ends',        'drop',   $given, 1],
    ['ends_all',    'drop',   $given, 1],
    ['at_once',     'return', sub { 0 }],
    ['own',         'return', sub { $_[0] < 2 ? 0 : RETRY }],
);

# Each of them in a topic of its own, all at the same time.
for my $case (@cases) {
    ok($mq->publish_many($case->{topic}, map { "m$_" } 1 .. $case->{n}),
       "$case->{topic}: $case->{n} messages");
    $dead += $case->{n};
}
my $start = time;
fails($_) for @cases;
$mq->counts_become({ unconsumed => 0, consumed => 0, dead => $dead },
                   'all have failed so often that they are dead');
for my $case (@cases) {
    wait_for { MAX * $case->{n} <= map { @$_ } values %{$case->{came}} }
             "$case->{topic}: all that was pushed has come";
}

for my $case (@cases) {
    my ($topic, $wait, $came) = @$case{qw(topic wait came)};
    my @late;
    my (%early, %attempts, %pushes);

    for my $code (keys %$came) {
        my @at = map { $_->[0] } @{$came->{$code}};
        my $due = $start;
        for my $n (1 .. $#at) {
            push @late, $at[$n] - $at[$n - 1] - $wait->($n);
            # that it was pushed may be seen later than it was
            $due = ($case->{deed} eq 'keep' ? $due : $at[$n - 1])
                   + $wait->($n);
            $early{$n} = $at[$n] - $due if $at[$n] < $due - CLOCKS;
        }
        $pushes{@at}++;
        $attempts{join ' ', map { $_->[1] // 'none' } @{$came->{$code}}}++;
        my $message = $mq->find($code);
        $attempts{"$message->{Status}, $message->{Attempts}"}++;
    }
    is_deeply(\%pushes, { MAX, $case->{n} }, "$topic: pushed " . MAX
              . ' times');
    is_deeply(\%attempts, { join(' ', 'none', 2 .. MAX) => $case->{n},
                            '2, ' . MAX, $case->{n} },
              'each push says which one it is, and the dead message how often');
    is_deeply(\%early, {}, 'never early');
    cmp_ok(max(@late), '<', LATE * $slower, 'nor never');
    diag(sprintf '%s: at most %.1f ms late, on average %.1f', $topic,
         1000 * max(@late), 1000 * sum(@late) / @late);
    $case->{over} = 1;
}
for my $client (map { $_->{client} } @cases) {
    wait_for { @{$client->texts} || $client->closed } 'logged in';
    $client->finish if !$client->closed;
}
wait_for { !@{$mq->clients->{consumers}} } 'they leave';


# --- given back as not begun: no failure; others get it, and what is new

{
    my $idle = $mq->consumer('pauses', 'idle');
    my $code = $mq->publish('pauses', 'm');
    wait_for { $idle->got($code) } 'a message';
    my $other = $mq->consumer('pauses', 'other', ack => 1);
    my $time = time;
    $idle->send("-$code 0");
    wait_for { $other->got($code) } 'given back as not begun';
    is($other->messages->[0]{Attempts}, 1, 'it comes as a first attempt');
    ok($mq->publish_many('pauses', 1 .. 20), 'others');
    wait_for { @{$other->messages} == 21 } 'go there, too';
    is(@{$idle->messages}, 1, 'and none to who gave one back')
        if time < $time + PAUSE;
    my $n = 21;
    wait_for {
        $mq->publish('pauses', 'more');
        $n++;
        run_for(0.05);
        @{$idle->messages} > 1
    } 'until a while has passed';
    cmp_ok($idle->at->[1], '>=', $time + PAUSE - CLOCKS, 'not earlier');
    is($mq->find($code)->{Attempts}, 1, 'the message was pushed once');
    $idle->{ack} = 1;
    $idle->send($_) for $idle->codes;
    $mq->counts_become({ unconsumed => 0, dead => $dead, consumed => $n },
                       'all are consumed');
    $_->finish for $idle, $other;
}
{
    my $idle = $mq->consumer('pauses_all', 'idle');
    my $other = $mq->consumer('pauses_all', 'other');
    my $code = $mq->publish('pauses_all', 'm');
    wait_for { $idle->got($code) && $other->got($code) }
             'publish/subscribe: a message';
    my $time = time;
    $idle->send("-$code 0");
    wait_for { $idle->got($code) == 2 } 'comes again';
    cmp_ok($idle->at->[1], '>=', $time + PAUSE - CLOCKS, 'after a while');
    is($idle->messages->[1]{Attempts}, 1, 'as a first attempt');
    is($other->got($code), 1, 'to that one');
    $_->send($code) for $idle, $other;
    $mq->counts_become({ unconsumed => 0, dead => $dead }, 'consumed');
    $_->finish for $idle, $other;
}
wait_for { !@{$mq->clients->{consumers}} } 'they leave';


# --- a confirmation that comes too late, while it waits for its next try
{
    my $consumer = $mq->consumer('later', 'c1');
    my $code = $mq->publish('later', 'm');
    wait_for { $consumer->got($code) } 'a message';
    $consumer->send("-$code 300", $code);
    $mq->counts_become({ unconsumed => 0, dead => $dead },
                       'confirmed although it waits again');
    is_deeply($consumer->texts, [], 'which is no error');

    # and how not to say it
    $code = $mq->publish('later', 'm');
    wait_for { $consumer->got($code) } 'a message';
    my @wrong = map { "-$code$_" } ' soon', ' -1', ' 1e3', ' 1 2', '1', ' 0x1';
    $consumer->send(@wrong);
    wait_for { @{$consumer->texts} == @wrong } 'what is no time';
    is((grep { !/\Aerror: / } @{$consumer->texts}), 0, 'is an error');
    is($mq->find($code)->{Attempts}, 1, 'and gives nothing back');
    $consumer->send($code);
    $mq->counts_become({ unconsumed => 0, dead => $dead }, 'confirmed');
    $consumer->finish;
}
$mq->finish;
done_testing;
