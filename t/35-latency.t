# How long a message takes through an idle queue to a consumer on another
# worker, which has to be woken: well under a millisecond. A busy machine may
# take longer, up to LIMIT times eight; a lost wake-up shows as the fallback
# timer's second.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use List::Util qw(max);
use Test::More;
use Time::HiRes qw(time);
use KapokMQ::Test;

# LIMIT: seconds, of the median; PATIENCE: of all samples; LARGE: bytes, as many
# as a worker pushes in a turn
use constant { SAMPLES => 1000, LIMIT => 0.1, PATIENCE => 60,
               LARGE => 1024 * 1024, BEHIND => 40 };

my $slower = slower();
my $mq = KapokMQ::Test->start(
    yaml => { maxMessageSize => 2 * LARGE },
    workers => $ENV{KMQ_WORKERS} && $ENV{KMQ_WORKERS} > 2
               ? $ENV{KMQ_WORKERS} : 2);

sub worker { return $_[0]->head =~ /^X-Worker: (\d+)/m ? $1 : 0 }

sub login {
    my ($path) = @_;
    my $client = $mq->raw($path, key => 'sesame');

    $client->next_text eq 'Secret key matching succeeded' or die "no login";
    return $client;
}

# what came another way than expected, and the times in seconds; before: what
# comes first, each time
sub measure {
    my ($consumer, $producer, $samples, $before) = @_;
    my $deadline = time + PATIENCE;
    my ($wrong, @times);

    for my $n (1 .. $samples // SAMPLES) {
        if ($before) {
            $producer->text($before);
            $producer->next_text;
            $consumer->next_text;
        }
        my $start = time;
        $producer->text("m$n");
        my $answer = $producer->next_text // 'no answer';
        my $text = $consumer->next_text // 'nothing';
        push @times, time - $start;
        if ($answer ne 'ok' || $text !~ /"MessageData":"m$n",/) {
            $wrong = "message $n: $answer, $text";
            last;
        }
        last if time > $deadline;
    }

    return $wrong, sort { $a <=> $b } @times;
}

sub report {
    my ($name, $wrong, @times) = @_;
    my $median = $times[@times / 2];

    $slower = max($slower, slower());
    is($wrong, undef, "$name: each message arrives");
    cmp_ok($median, '<', LIMIT * $slower, "$name: at once");
    diag(sprintf '%s: median %.3f ms, 99 %% %.3f ms, max %.3f ms', $name,
         map { 1000 * $_ } $median, $times[@times * 0.99], $times[-1]);
}

my $consumer = login('/Consumers/Conn/topic/c1?confirm=socket');
my %producer;
for (1 .. 400) {
    my $client = login('/Producers/Conn/topic/p1');
    my $where = worker($client) == worker($consumer) ? 'same' : 'other';
    $producer{$where} //= $client;
    last if keys %producer == 2;
}
is(keys %producer, 2, 'producers on its worker and on another');

for my $where (qw(same other)) {
    report("$where worker", measure($consumer, $producer{$where}));
}

# a worker that has just pushed all that it may in a turn is woken as well
report('behind a large one',
       measure($consumer, $producer{other}, BEHIND, 'x' x LARGE));

# a worker that has been idle for long sleeps; it is woken all the same
run_for(1.5);
$producer{other}->text('late');
like($consumer->next_text, qr/"MessageData":"late",/, 'after a while, too');

$_->close for $consumer, values %producer;
$mq->finish;
done_testing;
