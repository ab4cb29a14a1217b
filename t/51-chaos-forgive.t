# Consumers die at random, one in a hundred messages, and no message is to blame
# for it: with maxDeliveries 5 none is given up, for each death charges one
# message, which comes alone then. A simple model tells which one, and so what
# each push says of its attempts. What the server ends itself, by reloads, the
# deaths of workers and operators, charges none.
#
# KMQ_CHAOS_SECONDS: how long, 12 otherwise. KMQ_CHAOS_MESSAGES: how many in each
# of the cases, as fast as it goes, however long that takes.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use KapokMQ::Forgive;
use KapokMQ::Test;

use constant MAX => 5;

my $seconds = $ENV{KMQ_CHAOS_SECONDS} || 12;
my $messages = $ENV{KMQ_CHAOS_MESSAGES} || 0;
# a slow machine manages a few hundred a second
my $patience = $messages ? 600 + $messages / 200 : 2 * $seconds + 120;
my $enough = $messages || 100 * $seconds;
alarm(1200 + 3 * $patience);

my $mq = KapokMQ::Test->start(
    allow => qr/exited on signal 9/, main => 'worker_rlimit_core 0;',
    yaml => { confirm => 'ack', pushRetryTime => 300, maxDeliveries => MAX,
              retryDelay => 0.1, retryDelayMax => 5, isCleanConsumed => 1,
              prefetch => 50 },
    topics => <<'YAML');
    many:   { }
    single: { prefetch: 1 }
    all:    { pushType: 2 }
YAML

# So much that there is something to be seen, which takes a busy machine longer.
sub has_happened {
    my ($option, %count) = @_;

    return $count{messages} >= $enough
           && (!$option->{deaths} || $count{attempts} > 0
               && $count{deaths} > $count{messages} / 300)
           && (!$option->{ours} || $count{ours} > 0);
}

# what happens, and what may be charged
for my $case (
    ['deaths of consumers', deaths => 0.01],
    ['ends that are ours', ours => 1],
    ['both', deaths => 0.01, ours => 1],
) {
    my ($name, %option) = @$case;
    my $forgive = KapokMQ::Forgive->new($mq, %option, messages => $messages,
        topics => { many => {}, single => {}, all => { all => 1 } });

    $forgive->start;
    my $end = Time::HiRes::time() + $seconds / 3;
    wait_for {
        $messages ? $forgive->sent : Time::HiRes::time() > $end
                                     && has_happened(\%option, $forgive->counts)
    } "$name: for a while", $patience;
    $forgive->calm;
    wait_for { $mq->worker_pids == $mq->{workers} } 'all workers are there';
    wait_for { $forgive->answered } 'all is accepted';
    $mq->counts_become({ unconsumed => 0 }, 'and consumed');

    my %count = $forgive->counts;
    my @dead = $mq->codes(status => 2);
    diag("$name: ", join ', ', map { "$_ $count{$_}" } sort keys %count);
    cmp_ok(@dead, '<=', $count{messages} / 1_000_000,
           'none dies, or less than one in a million');
    is((grep { $forgive->most($_) < MAX } @dead), 0,
       'or its deaths explain it');
    is_deeply([$forgive->faults], [], 'each push says what the model does');
    cmp_ok($count{messages}, '>=', $enough, 'there were messages');
    if ($option{deaths}) {
        cmp_ok($count{deaths}, '>', $count{messages} / 300, 'and deaths');
        cmp_ok($count{attempts}, '>', 0, 'which have charged some');
    } else {
        is($count{attempts}, 0, 'of which none is charged');
    }
    cmp_ok($count{ours}, '>', 0, 'some ends were ours') if $option{ours};
    $mq->remove($_) for @dead;

    $forgive->finish;
    wait_for { $forgive->gone && !@{$mq->clients->{consumers}} } 'all leave';
}
$mq->finish;
done_testing;
