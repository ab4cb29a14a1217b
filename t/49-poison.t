# A message that kills whoever gets it, among good ones: it is dead after
# maxDeliveries of these deaths, and the good ones are processed, none of them
# charged with a death.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use List::Util qw(max sum);
use Mojo::WebSocket qw(WS_PING WS_PONG);
use Test::More;
use KapokMQ::Disk qw(written);
use KapokMQ::Test;

# seconds: of back-off, and that a message takes
use constant { DELAY => 0.2, WORK => 0.002, CLOCKS => 0.002, MAX => 3 };

my ($mq, $dead);


# ------------------------------------------------------------ a worker's end

# An application that is started again whenever it dies, unless it is to live
# once. Messages wait inside for their turn, and are confirmed when they have
# been processed.
sub application {
    my ($topic, $id, %option) = @_;
    my $app = {
        path => "/Consumers/Conn/$topic/$id?confirm=ack", deaths => [],
        processed => {}, faults => [], attempts => {}, %option,
    };

    $app->{path} .= "&prefetch=$option{prefetch}" if $option{prefetch};
    start($app);
    $app->{loop} = Mojo::IOLoop->recurring(WORK, sub { work($app) });

    return $app;
}

sub start {
    my ($app) = @_;
    my $life = { queue => [] };

    $app->{life} = $life;
    $life->{client} = $mq->connect($app->{path},
        headers => { secretKey => 'sesame' },
        on_message => sub { received($app, $life, $_[1]) },
        on_close => sub {
            start($app) if $app->{life} == $life && !$app->{once};
        });
}

# What was charged with a death comes alone; so it does not stand behind
# anything, nor anything behind it.
sub received {
    my ($app, $life, $message) = @_;
    my $queue = $life->{queue};
    my ($data, $attempts) = @$message{qw(MessageData Attempts)};

    return if $app->{life} != $life;
    $app->{attempts}{$data} = max($attempts // 0, $app->{attempts}{$data} // 0);
    push @{$app->{faults}}, "$data: " . ($attempts // 'none') . ' behind '
                            . join ', ', map { $_->{MessageData} } @$queue
        if @$queue && grep { ($_->{Attempts} // 0) > 1 } $message, @$queue;
    push @$queue, $message;
}

# The next one. It does not die before what it has confirmed is known: with a
# reset goes what nginx has not read.
sub work {
    my ($app) = @_;
    my ($life, $time) = ($app->{life}, Time::HiRes::time());
    my $message = $life->{queue}[0] or return;

    if ($message->{MessageData} !~ /poison/) {
        shift @{$life->{queue}};
        $app->{processed}{$message->{MessageData}}++;
        $life->{client}->send($message->{MessageCode});
        return;
    }
    return ask($life) if !$life->{heard};
    push @{$app->{deaths}}, $time;
    $app->{last} = $message->{Attempts};
    $app->{life} = { queue => [] };
    start($app) unless $app->{once};
    $life->{client}->drop;
}

sub ask {
    my ($life) = @_;

    return if $life->{asked};
    $life->{asked} = 1;
    $life->{client}{tx}->on(frame => sub {
        $life->{heard} = 1 if $_[1][4] == WS_PONG;
    });
    $life->{client}->send_frame(1, 0, 0, 0, WS_PING, 'heard?');
}

sub leave {
    for my $app (@_) {
        $app->{once} = 1;
        Mojo::IOLoop->remove($app->{loop});
    }
    # some may only be about to come again
    my @clients = map { $_->{life}{client} // () } @_;
    wait_for { !grep { !@{$_->texts} && !$_->closed } @clients }
             'all are logged in, or gone';
    $_->finish for grep { !$_->closed } @clients;
    wait_for { !@{$mq->clients->{consumers}} } 'they leave';
}

sub total { return sum(map { scalar @{$_->{deaths}} } @_) }

# How often each good message was processed, by all of them.
sub processed {
    my %times;

    for my $app (@_) {
        $times{$_} += $app->{processed}{$_} for keys %{$app->{processed}};
    }

    return \%times;
}

sub most {
    my ($data, @apps) = @_;

    return max(map { $_->{attempts}{$data} // 0 } @apps);
}


# ------------------------------------------------------------------ the cases

# a suspect waits for a consumer that is empty as long as the slowest machine
# takes for that
$mq = KapokMQ::Test->start(
    yaml => { confirm => 'ack', pushRetryTime => 300, maxDeliveries => MAX,
              retryDelay => DELAY, retryDelayMax => 3600 },
    topics => <<'YAML');
    all_1:     { pushType: 2 }
    all_2:     { pushType: 2 }
    all_one:   { pushType: 2 }
    tabs:      { pushType: 2, retryDelay: 6 }
    unlimited: { maxDeliveries: 0 }
YAML
$dead = 0;

# name, topic, consumers, prefetch (0: the configured one), good ones in front,
# and behind
for my $case (
    ['one consumer', 'one', 1, 0, 0, 10],
    ['prefetch 1', 'one_1', 1, 1, 0, 10],
    ['two consumers', 'two', 2, 0, 0, 10],
    ['two with prefetch 1', 'two_1', 2, 1, 0, 10],
    ['in the middle', 'middle', 1, 0, 5, 5],
    ['before a thousand', 'many', 3, 0, 0, 1000],
    ['publish/subscribe', 'all_1', 1, 0, 0, 10],
    ['publish/subscribe, two', 'all_2', 2, 0, 0, 10],
    ['publish/subscribe, prefetch 1', 'all_one', 2, 1, 0, 10],
) {
    my ($name, $topic, $n, $prefetch, $before, $behind) = @$case;
    my $all = $topic =~ /^all/;
    my @good = map { "good $_" } 1 .. $before + $behind;

    ok($mq->publish_many($topic, @good[0 .. $before - 1], 'poison',
                         @good[$before .. $#good]), "$name: messages");
    my @apps = map { application($topic, "c$_", prefetch => $prefetch) }
               1 .. $n;
    $mq->counts_become({ unconsumed => 0, dead => ++$dead },
                       "$name: nothing waits, one is dead");

    my ($code, @more) = $mq->codes(status => 2, topic => $topic);
    my $poison = $mq->find($code);
    is_deeply([$poison->{MessageData}, $poison->{Attempts}, @more],
              ['poison', MAX], 'the poison, after three attempts');
    my $processed = processed(@apps);
    is_deeply([sort keys %$processed], [sort @good],
              @good . ' have been processed');
    if (!$all) {
        is((grep { $_ > 1 } values %$processed), 0, 'once each');
        is(total(@apps), MAX, 'three deaths');
    }
    is_deeply([map { @{$_->{faults}} } @apps], [],
              'a message that is charged comes alone');
    is_deeply([grep { most($_, @apps) > 1 } @good], [],
              'which none of the good ones is') if !$before;

    my @times = sort { $a <=> $b } map { @{$_->{deaths}} } @apps;
    cmp_ok($times[-1] - $times[$all ? -1 - $n : -2], '>=', DELAY - CLOCKS,
           'the last death comes after a back-off');
    leave(@apps);
}

# --- a suspect with room for others: who is at work goes on working
{
    ok($mq->publish_many('busy', 'poison'), 'busy: a poison');
    my $victim = application('busy', 'victim');
    wait_for { @{$victim->{deaths}} } 'kills one';
    ok($mq->publish_many('busy', map { "good $_" } 1 .. 3000),
       'and many messages come');
    my $other = application('busy', 'other');
    $mq->counts_become({ unconsumed => 0, dead => ++$dead }, 'all are done');
    my $processed = processed($victim, $other);
    is(keys %$processed, 3000, 'all have been processed');
    is((grep { $_ > 1 } values %$processed), 0, 'once each');
    is_deeply([map { @{$_->{faults}} } $victim, $other], [],
              'and the poison came alone');
    leave($victim, $other);
}

# --- no limit: it does not die, but it takes its time, and takes nothing along
{
    ok($mq->publish_many('unlimited', 'poison', map { "good $_" } 1 .. 10),
       'no limit');
    my $app = application('unlimited', 'c');
    wait_for { keys %{$app->{processed}} == 10 } 'ten are processed';
    wait_for { total($app) >= 3 } 'the poison comes again';
    my $before = total($app);
    run_for(DELAY * 8);
    cmp_ok(total($app) - $before, '<=', 3, 'less and less often');
    is($app->{last}, total($app), 'and says how often it has');
    is($mq->counts->{dead}, $dead, 'it does not die');
    $mq->remove($_) for $mq->codes(status => -1, topic => 'unlimited');
    leave($app);
}

# --- publish/subscribe: closing tabs are one failure
{
    my @tabs = map { $mq->consumer('tabs', "t$_") } 1 .. 30;
    my $code = $mq->publish('tabs', 'news');

    wait_for { !grep { !$_->got($code) } @tabs } 'all tabs get it';
    for my $tab (@tabs) {
        $tab->drop;
    }
    wait_for { !@{$mq->clients->{consumers}} } 'and are closed';
    is($mq->find($code)->{Status}, -1, 'it lives');
    my $next = $mq->consumer('tabs', 'next');
    wait_for { $next->got($code) } 'and goes to the next';
    is($next->messages->[0]{Attempts}, 2, 'as a second attempt');
    $next->drop;
    wait_for { !@{$mq->clients->{consumers}} } 'that is closed, too';

    # one of several confirms; all come before the message is due again
    my ($quick, @slow) = map { $mq->consumer('tabs', "u$_") } 1 .. 4;
    wait_for { !grep { !$_->got($code) } $quick, @slow } 'all get it';
    is($quick->messages->[0]{Attempts}, 3, 'as a third');
    $quick->send($code);
    $_->drop for @slow;
    wait_for { @{$mq->clients->{consumers}} == 1 } 'one confirms, others go';
    $mq->counts_become({ unconsumed => 0, dead => $dead }, 'consumed');
    $quick->finish;
}
$mq->finish;


# ----------------------------------- with nginx killed, all of it, in between

for my $case (['point to point', 1, 1], ['two consumers', 1, 2],
              ['publish/subscribe', 2, 1])
{
    my ($name, $type, $n) = @$case;
    my @good = map { "good $_" } 1 .. 10;

    $mq = KapokMQ::Test->start(
        allow => qr/exited on signal 9/,
        yaml => { confirm => 'ack', pushRetryTime => 300, pushType => $type,
                  maxDeliveries => MAX, retryDelay => DELAY,
                  retryDelayMax => 3600,
                  isPersistent => 2, persistentTime => 1, prefetch => 1000 });
    ok($mq->publish_many('topic', 'poison', @good), "$name: messages");

    my ($deaths, $round, %times) = (0, 0);
    while ($deaths < MAX - 1 && $round++ < MAX) {
        my @apps = map { application('topic', "c$_", once => 1) } 1 .. $n;
        wait_for { total(@apps) == $n || $mq->counts->{unconsumed} == 0 }
                 "round $round: they die";
        $deaths += total(@apps);
        my $processed = processed(@apps);
        $times{$_} += $processed->{$_} for keys %$processed;
        leave(@apps);
        written($mq);
        $mq->kill_all;
        $mq->launch;
        $mq->remove($_) for $mq->codes(topic => 'marker');
    }
    my @apps = map { application('topic', "c$_") } 1 .. $n;
    $mq->counts_become({ unconsumed => 0, dead => 1 }, 'one is dead');
    my ($poison) = $mq->page(status => 2);
    is($mq->find($poison->[0]{MessageCode})->{MessageData}, 'poison',
       'the poison');
    my $processed = processed(@apps);
    $times{$_} += $processed->{$_} for keys %$processed;
    is_deeply([sort keys %times], [sort @good], 'ten have been processed');
    is($deaths + total(@apps), MAX, 'after three deaths');
    is_deeply([map { @{$_->{faults}} } @apps], [], 'it came alone');
    leave(@apps);

    written($mq);
    $mq->kill_all;
    $mq->launch;
    is($mq->counts->{dead}, 1, 'and dead it stays');
    $mq->finish;
}
done_testing;
