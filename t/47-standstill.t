# Workers that stand still: what was granted to them goes to others, and others
# turn the wheel; when all stand still, what consumers have confirmed meanwhile
# counts.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use Time::HiRes qw(sleep);
use KapokMQ::Test;

# seconds: what is in flight when the workers are stopped is overdue when they
# go on, and not before
use constant { STOP => 4, RETRY => 3 };

my @stopped;

END {
    my $status = $?;
    kill 'CONT', @stopped if @stopped;
    $? = $status;
}

sub stop_workers {
    @stopped = @_;
    kill 'STOP', @stopped;
}

sub go_on {
    kill 'CONT', splice @stopped;
}

# --- one of several

{
    my $workers = ($ENV{KMQ_WORKERS} || 1) > 3 ? $ENV{KMQ_WORKERS} : 3;
    my $mq = KapokMQ::Test->start(
        workers => $workers, yaml => { confirm => 'ack', prefetch => 1000,
                                       pushRetryTime => 300 });
    my @consumers = $mq->consumers_everywhere('topic', ack => 1);
    my %producer;
    for my $consumer (@consumers) {
        my $pid = $consumer->worker;
        $producer{$pid} = $mq->on_worker($pid,
            sub { $mq->producer('topic', "p$pid") });
    }

    # each of them, so the keeper, too
    my ($accepted, %count) = (0);
    for my $victim (sort keys %producer) {
        my ($producer) = map { $producer{$_} } grep { $_ != $victim }
                         sort keys %producer;
        my %before = map { $_->worker => scalar @{$_->messages} } @consumers;

        stop_workers($victim);
        $producer->send(map { "m$_" } 1 .. 60);
        $producer->send('{"MessageData":"d","DelayTime":0.3}') for 1 .. 5;
        wait_for {
            my $came = 0;
            for my $consumer (@consumers) {
                $came += @{$consumer->messages} - $before{$consumer->worker};
            }
            $came == 65
        } 'with a worker that stands still, others get all messages';
        my ($still) = grep { $_->worker == $victim } @consumers;
        is(@{$still->messages}, $before{$victim}, 'it alone gets none');
        go_on();
        $accepted += 65;

        # it is back
        wait_for {
            $producer->send('more');
            $accepted++;
            @{$still->messages} > $before{$victim}
        } 'when it goes on, it has its part again';
        wait_for {
            my $came = 0;
            $came += @{$_->messages} for @consumers;
            $came == $accepted
        } 'all come, once each';
    }
    $mq->counts_become({ unconsumed => 0 }, 'all are consumed');
    is($mq->post('/Console/GetOverview')->{data}{Redelivered}, 0,
       'none was pushed twice');
    $mq->finish;
}

# --- all of them: a machine that is suspended

for my $round (1 .. 3) {
    my $mq = KapokMQ::Test->start(
        yaml => { confirm => 'ack', prefetch => 1000, pushRetryTime => RETRY });
    my $consumer = $mq->consumer('topic', 'c1');

    ok($mq->publish_many('topic', 1 .. 20), 'messages');
    wait_for { @{$consumer->messages} >= 20 } 'all are in flight';
    my @workers = $mq->worker_pids;
    stop_workers(@workers);
    $consumer->send($consumer->codes);
    run_for(STOP);
    my $again = @{$consumer->messages} - 20;
    go_on();
    $mq->counts_become({ unconsumed => 0 }, 'what was confirmed is consumed');
    is($mq->post('/Console/GetOverview')->{data}{Redelivered}, $again,
       'and not pushed again');
    $mq->finish;
}

# --- the same while a client is asked to go

for my $round (1 .. 3) {
    my $mq = KapokMQ::Test->start(
        yaml => { confirm => 'ack', prefetch => 1000, pushRetryTime => 300 });
    my $consumer = $mq->raw('/Consumers/Conn/topic/c1', key => 'sesame');

    $consumer->next_text;
    my @codes = map { $mq->publish('topic', $_) } 1 .. 20;
    $consumer->next_text for @codes;
    my @old = $mq->worker_pids;
    $mq->reload;
    is($consumer->close_code, 1001, 'the server restarts');
    stop_workers(@old);
    $consumer->text($_) for @codes;
    run_for(STOP);
    go_on();
    $mq->counts_become({ consumed => 20 }, 'what it has confirmed is consumed');
    $consumer->close;
    $mq->finish;
}

done_testing;
