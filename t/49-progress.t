# What waits inside a busy client is not overdue: a thousand messages in flight
# that take several times as long as pushRetryTime are pushed once, to a client
# that confirms one after the other, and to one that answers pings only between
# two messages.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use List::Util qw(max min);
use Test::More;
use Time::HiRes qw(time);
use KapokMQ::Blocking;
use KapokMQ::Test;

use constant {
    N => 1158, TRIES => 4,
    # a ping stands behind so many messages at least
    RUN => 64,
};

my $retry = min(2, slower());
my @data = map { "m$_" } 1 .. N;
my $mq;

# Confirms the oldest message that it has whenever so much time has passed.
sub at_work {
    my ($topic, $work) = @_;
    my $client = $mq->consumer($topic, 'c1', confirm => 'ack');
    my $done = 0;

    $client->{at_done} = [];
    $client->{loop} = Mojo::IOLoop->recurring($work, sub {
        my $message = $client->messages->[$done] or return;
        $done++;
        $client->send($message->{MessageCode});
        push @{$client->{at_done}}, time;
    });

    return $client;
}

# The longest time in which it handled so many messages one after the other.
sub longest {
    my ($n, @times) = @_;

    return max(map { $times[$_] - $times[max(0, $_ - $n)] } 0 .. $#times);
}

# In each of three ways, side by side, on a server of their own, which $mq is
# then. 0: a client was kept waiting for so long that it says nothing.
sub all_at_work {
    my $work = max(0.01, $retry / 400);

    $mq = KapokMQ::Test->start(yaml => {
        prefetch => 1000, pushRetryTime => $retry, maxDeliveries => 3 });
    my $ack = at_work('ack', $work);
    my %busy = map {
        $_ => KapokMQ::Blocking->start($mq,
            "/Consumers/Conn/busy_$_/c1?confirm=$_", work => $work,
            ack => $_ eq 'ack')
    } qw(ack pong);

    ok($mq->publish_many($_, @data), "$_: " . N . ' messages')
        for 'ack', map { "busy_$_" } keys %busy;
    wait_for {
        my $counts = $mq->counts;
        $_->messages for values %busy;
        $counts->{unconsumed} == 0
    } 'all are done';

    my %got = (ack => [$ack->data],
               map { ("busy_$_" => [map { $_->[1] } $busy{$_}->messages]) }
               keys %busy);
    my $longest = max(
        longest(1, @{$ack->{at_done}}),
        longest(1, map { $_->[3] } $busy{ack}->messages),
        longest(RUN, map { $_->[3] } $busy{pong}->messages));
    my $overview = $mq->post('/Console/GetOverview')->{data};
    Mojo::IOLoop->remove($ack->{loop});
    $ack->finish;
    $_->finish for values %busy;
    diag(sprintf 'pushRetryTime %g, longest time without a confirmation %.2f',
         $retry, $longest);
    if ($longest > 0.9 * $retry) {
        $mq->finish;
        return 0;
    }

    is_deeply($got{$_}, \@data, "$_: each message once, in order")
        for sort keys %got;
    is($overview->{Redelivered}, 0, 'none is pushed twice');
    is($mq->counts->{dead}, 0, 'none is dead');

    return 1;
}

# Other suites may begin after slower() has looked, so each try has more time.
my ($tries, $seen) = (1);
$retry *= 2 until ($seen = all_at_work()) || $tries++ == TRIES;
if (!ok($seen, 'seen without a pause')) {
    done_testing;
    exit;
}

# One that is at a single message for longer than that is not cut, but the
# message is pushed again; the others behind it are not.
{
    my $busy = KapokMQ::Blocking->start($mq,
        '/Consumers/Conn/long/c1?confirm=ack', work => 1.5 * $retry, ack => 1);

    ok($mq->publish_many('long', map { "m$_" } 1 .. 3), 'three long ones');
    wait_for { $busy->messages >= 3 } 'are handled';
    wait_for { $mq->counts->{unconsumed} == 0 } 'and consumed';
    is($mq->counts->{dead}, 0, 'none is dead');
    is(@{$mq->clients->{consumers}}, 1, 'and it is there still');
    $busy->finish;
}
$mq->finish;
done_testing;
