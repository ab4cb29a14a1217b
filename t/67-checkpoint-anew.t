# A checkpoint that is given up, which is no error: a worker dies while another
# one writes it, and a large message is half in it; or who writes it stands still,
# and another one begins a later one, which has its file removed. For a module of
# its own, as t/62-disk-failure.t.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use KapokMQ::Disk;
use KapokMQ::Test;

use constant { MESSAGES => 8, SIZE => 12_000_000, TRIES => 40,
               STALL => 0xffff };

my $module = ($ENV{KMQ_BUILD} || "$KapokMQ::Suite::Root/build")
             . '/faults/ngx_kapokmq_module.so';
plan skip_all => "$module: make FAULTS=1 BUILD=build/faults" unless -e $module;

my $mq = KapokMQ::Test->start(
    module => $module, workers => 3, zone => '256m', allow => qr/exited on signal 9/,
    http => 'client_max_body_size 16m;',
    yaml => { isPersistent => 1, persistentTime => 0.1,
              maxMessageSize => '16 MiB' });

ok(defined $mq->publish('large', $_ x SIZE), 'a large message')
    for 1 .. MESSAGES;

# Who writes a checkpoint now, if anybody does.
sub writer {
    for my $pid ($mq->worker_pids) {
        for my $fd (glob "/proc/$pid/fd/*") {
            return $pid if (readlink($fd) // '') =~ m{/checkpoint-[0-9a-f]+\.new$};
        }
    }
    return;
}

sub fault {
    my (%plan) = @_;

    wait_for { ($mq->post('/Console/Fault', { %plan }))[0] == 200 }
             join(' ', %plan);
}

sub given_up { return $mq->log =~ /a checkpoint is given up: a worker died/ }
sub overtaken { return $mq->log =~ /given up: another worker has begun a later/ }
sub finished { return scalar(() = $mq->log =~ /\[notice\].*checkpoint \d+: /g) }
sub repairs  { return scalar(() = $mq->log =~ /exited on signal 9/g) }

for (1 .. TRIES) {
    my $done = finished();

    # a death makes one necessary, which the disk then holds up
    KapokMQ::Disk::kill_worker($mq);
    wait_for { writer() || finished() > $done } 'one is written';
    fault(io => 'append', errno => STALL);
    if (writer()) {
        my $deaths = repairs();
        fault(point => 'commit');
        eval { $mq->publish('large', 'm') };
        wait_for { repairs() > $deaths && 3 == $mq->worker_pids }
                 'a worker dies in a call, and is replaced';
        $mq->counts;
    }
    fault(io => '');
    wait_for { given_up() || finished() > $done } 'given up, or finished';
    last if given_up();
}
ok(given_up(), 'it was given up');

my $done = finished();
wait_for { finished() > $done } 'it begins anew, and is finished';
my $all = $mq->counts->{unconsumed};
cmp_ok($all, '>=', MESSAGES, 'all messages are there');
$mq->kill_all;
$mq->launch;
is($mq->counts->{unconsumed}, $all, 'and come back from it');

# who writes one is stopped, when much of it is still to come
for (1 .. TRIES) {
    my $done = finished();

    KapokMQ::Disk::kill_worker($mq);
    wait_for { writer() || finished() > $done } 'one is written';
    fault(io => 'append', errno => STALL);
    my $writer = writer();
    fault(io => '');
    kill 'STOP', $writer if $writer;
    my $stopped = $writer && (writer() // 0) == $writer;
    wait_for { finished() > $done } 'another worker finishes a later one'
        if $stopped;
    kill 'CONT', $writer if $writer;
    next if !$stopped;
    wait_for { overtaken() } 'the one before is given up';
    last;
}
ok(overtaken(), 'it was overtaken');
is($mq->counts->{unconsumed}, $all, 'all messages are there');
is(files($mq, qr/new$/), 0, 'nothing is left of it');

$mq->finish;
done_testing;
