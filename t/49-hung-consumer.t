# A consumer that hangs, since it never reads or has been stopped, beside one
# that works: a message or two are charged with it, none dies, and all are
# consumed by the other one, which gets what comes later, too.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use KapokMQ::Blocking;
use KapokMQ::Test;

use constant { N => 1000, MORE => 100 };

# longer where the machine is busy: the one that works confirms in time
my $mq = KapokMQ::Test->start(
    yaml => { pushRetryTime => 2 * slower(), maxDeliveries => 3 },
    topics => "    back_ack:  { retryDelayMax: 2 }\n");
my $consumed = 0;

sub consumed {
    my ($n, $name) = @_;

    $consumed += $n;
    return $mq->counts_become(
        { unconsumed => 0, consumed => $consumed, dead => 0 }, $name);
}

sub distinct {
    my ($consumer) = @_;
    my %data = map { $_ => 1 } $consumer->data;

    return scalar keys %data;
}

sub nobody_in {
    my ($topic) = @_;

    wait_for {
        !grep { $_->{Topic} eq $topic } @{$mq->clients->{consumers}}
    } 'they leave';
}

# The clients run meanwhile, which have to confirm.
sub publish {
    my ($topic, $tail, @n) = @_;
    my $producer = $mq->producer($topic, 'p1');

    $producer->send(map { "$_.$tail" } @n);
    wait_for { @{$producer->texts} == @n } "$topic: " . @n . ' messages';
    is((grep { $_ ne 'ok' } @{$producer->texts}), 0, 'are accepted');
    $producer->finish;
}

# All go to the one that works; some of them had been with the other one.
sub saved {
    my ($topic, $healthy) = @_;

    consumed(N, "$topic: all are consumed, none is dead");
    wait_for { distinct($healthy) == N } 'by the one that works';

    my @again = grep { $_->{Attempts} } @{$healthy->messages};
    my @charged = grep { $_->{Attempts} > 1 } @again;
    cmp_ok(@again, '>', 2, 'of which the other one had some');
    cmp_ok(@charged, '>', 0, 'some are charged with that');
    # two, unless something keeps the test itself waiting
    cmp_ok(@charged, '<=', 20, 'but not those behind them');
    is((grep { $_->{Attempts} > 3 } @charged), 0, 'and none to its end');
}

# --- one that never reads: in the kernel's buffers there is room for all, or
# not
for my $case (['pong', '', 0], ['ack', '', 0],
              ['pong', 'x' x 20_000, 4096], ['ack', 'x' x 20_000, 4096])
{
    my ($mode, $tail, $rcvbuf) = @$case;
    my $topic = "deaf_${mode}_$rcvbuf";
    my $deaf = $mq->raw("/Consumers/Conn/$topic/deaf?confirm=$mode",
                        key => 'sesame', rcvbuf => $rcvbuf);

    $deaf->next_text;
    my $healthy = $mq->consumer($topic, 'healthy', confirm => $mode,
                                ack => $mode eq 'ack');
    publish($topic, $tail, 1 .. N);
    saved($topic, $healthy);

    my $before = @{$healthy->messages};
    publish($topic, $tail, N + 1 .. N + MORE);
    consumed(MORE, 'and what comes later');
    wait_for { distinct($healthy) == N + MORE } 'goes there at once';
    is((grep { $_->{Attempts} }
        @{$healthy->messages}[$before .. $#{$healthy->messages}]), 0,
       'and not to the one that hangs');

    $deaf->reset;
    $healthy->finish;
    nobody_in($topic);
}

# --- one that is stopped; when it goes on it is a consumer like others
for my $mode (qw(pong ack)) {
    my $topic = "back_$mode";
    my $stopped = KapokMQ::Blocking->start($mq,
        "/Consumers/Conn/$topic/stopped?confirm=$mode", ack => $mode eq 'ack');

    $mq->publish($topic, 'before');
    consumed(1, "$topic: it works");
    $stopped->signal('STOP');
    wait_for { is_stopped($stopped->pid) } 'and is stopped';
    my $healthy = $mq->consumer($topic, 'healthy', confirm => $mode,
                                ack => $mode eq 'ack');
    publish($topic, '', 1 .. N);
    saved($topic, $healthy);

    $stopped->signal('CONT');
    my $more = 0;
    my $sent = N;
    # some are what it was pushed before
    wait_for {
        $mq->publish_many($topic, map { "$_." } $sent + 1 .. $sent + 20);
        $sent += 20;
        $more += 20;
        run_for(0.1);
        grep { /\A(\d+)\./ && $1 > N } map { $_->[1] } $stopped->messages
    } 'it goes on, and gets new ones';
    consumed($more, 'all are consumed');
    $stopped->finish;
    $healthy->finish;
    nobody_in($topic);
}

is($mq->counts->{dead}, 0, 'nothing is dead');
$mq->finish;
done_testing;
