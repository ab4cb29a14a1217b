# Three nginx and three nats-servers with isPersistent 1: while the stream does
# not acknowledge for a moment, messages wait for it, and then not any more; they
# are pushed in the order in which a producer has sent them.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use IO::Select;
use Test::More;
use KapokMQ::Cluster;
use KapokMQ::Raw;
use KapokMQ::Test;

plan skip_all => 'no nats-server' unless KapokMQ::Nats::version();

my $cluster = KapokMQ::Cluster->start(
    workers => 1, timeout => '2s',
    yaml => { isPersistent => 1, pushRetryTime => 300 },
    allow => qr/cluster: |stream|worker process \d+ exited/);
my ($mq, $number, $epoch) = $cluster->primary;
my $consumer = $mq->consumer('t', 'c', ack => 1);
my $raw = $mq->raw('/Producers/Conn/t/p', key => 'sesame');
my ($sent, $answers, $bad, $size, $window) = (0, 0, 0, 0, 200);

$raw->next_text;
$raw->{socket}->blocking(0);
my $out = '';

# Sends so many messages ahead, and reads what is answered.
sub turn {
    while ($sent - $answers < $window) {
        $out .= KapokMQ::Raw::frame(1, 'm' . ++$sent . 'x' x $size);
    }
    my $n = syswrite $raw->{socket}, $out;
    substr $out, 0, $n, '' if $n;
    while (IO::Select->new($raw->{socket})->can_read(0)) {
        sysread $raw->{socket}, $raw->{in}, 65536, length $raw->{in} or last;
    }
    while ($raw->{in} =~ s/\A\x81(.)//s) {
        my $text = substr $raw->{in}, 0, ord $1, '';
        $answers++;
        $bad++ if $text ne 'ok';
    }
}

my $goal = 500;
for my $round (1 .. 4) {
    wait_for { turn(); $answers >= $goal } 'messages are taken';
    my $before = () = $mq->log =~ /the stream acknowledges again/g;
    $cluster->nats->kill($_, 'STOP') for 0 .. 2;
    wait_for { turn();
               (() = $mq->log =~ /the stream does not acknowledge/g) > $before }
             "round $round: the primary pauses";
    # many bytes wait, for longer than it takes until there is leave again
    ($size, $window) = (30_000, 400);
    wait_for { turn(); $out eq '' } "round $round: messages wait";
    ($size, $window) = (0, 1500);
    $cluster->nats->kill($_, 'CONT') for 0 .. 2;
    wait_for { turn();
               (() = $mq->log =~ /the stream acknowledges again/g) > $before }
             "round $round: and goes on";
    $goal = $answers + 500;
    wait_for { turn(); $sent - $answers < 1500 } "round $round: answers come";
    $window = 200;
}
wait_for { turn(); $answers >= $goal } 'messages are taken again';
my $last = $sent;
wait_for { turn(); @{$consumer->messages} >= $last } 'all have come';
is($bad, 0, 'all got ok') if ($cluster->who)[1] == $epoch;
my $disorder = 0;
my $seen = 0;
for my $data ($consumer->data) {
    my ($n) = $data =~ /^m(\d+)x*$/;
    $disorder++ if $n != $seen + 1;
    $seen = $n;
}
is($disorder, 0, 'in their order');
$cluster->tell if !Test::More->builder->is_passing;

$cluster->finish;
done_testing;
