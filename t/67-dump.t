# kapokmq-dump: what waits is read from the files of a queue, running or not,
# and sent again to another one, where it is the same.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Mojo::JSON qw(decode_json);
use Test::More;
use KapokMQ::Disk;
use KapokMQ::Test;

use constant { BATCH => 50, MANY => 120 };

my $TOOL = "$KapokMQ::Suite::Root/build/kapokmq-dump";
my $mq = KapokMQ::Test->start(
    yaml => { isPersistent => 2, confirm => 'ack' },
    topics => "    dead: {maxDeliveries: 1}\n",
    allow => qr/is damaged at|no record follows|it is kept as/);
my $errors = $mq->dir . '/dump.errors';

# The tool's lines, and its exit status.
sub dump_of {
    my ($dir, @option) = @_;

    open my $from, '-|', 'sh', '-c', 'exec "$0" "$@" 2> ' . $errors, $TOOL,
         @option, $dir or die "$TOOL: $!";
    my @line = <$from>;
    close $from;

    return ($? >> 8, @line);
}

sub objects { return map { decode_json($_) } @_ }

# What makes a message what it is, of whoever tells of it; without those of
# written().
sub content {
    my ($list, $topic, $data) = @_;

    return [sort map { "$_->{$topic}\0$_->{$data}" }
            grep { $_->{$topic} ne 'marker' } @$list];
}

# The same of a queue, of one status.
sub held {
    my ($server, $status) = @_;

    return content([map { $server->find($_) }
                    $server->codes(status => $status)],
                   'Topic', 'MessageData');
}

# Sends lines again, so many at a time; false when one was refused.
sub send_again {
    my ($server, @line) = @_;
    my $url = 'http://127.0.0.1:' . $server->port . '/Producer/Send';

    while (my @batch = splice @line, 0, BATCH) {
        spew($mq->dir . '/batch', join '', @batch);
        my $answer = `curl -sS -H 'secretKey: @{[KapokMQ::Test::KEY()]}' \\
            -H 'Content-Type: application/x-ndjson' \\
            --data-binary \@$mq->{dir}/batch $url`;
        my $json = eval { decode_json($answer) } // {};
        if (($json->{code} // -1) != 0 || @{$json->{data}} != @batch) {
            diag($answer);
            return 0;
        }
    }
    return 1;
}


# ------------------------------------------------------- all that may be told

my @DATA = ('plain', "line\nfeed\ttab \"quoted\" \\ back", "\x{0}\x{1f}\x{7f}",
            "\x{e9}\x{4e2d}\x{1f600}", '{"order":4711,"of":["a","b"]}',
            'x' x 200_000);

$mq->publish('kinds', $_) for @DATA;
$mq->publish("\x{8ba2}\x{5355} 1", 'a name of its own');
$mq->publish('later', 'in a while', 3600);
$mq->publish_many('many', map { "m$_" } 1 .. MANY);

# one is consumed, and one is given back, and so dead
for my $what (['done', ''], ['dead', '-']) {
    my ($topic, $sign) = @$what;
    my $consumer = $mq->consumer($topic, 'c1');

    $mq->publish($topic, $topic);
    wait_for { @{$consumer->messages} } "$topic: one is pushed";
    $consumer->send($sign . $consumer->messages->[0]{MessageCode});
    $mq->counts_become($sign ? { dead => 1 } : { consumed => 1 },
                       $sign ? 'it is dead' : 'it is consumed');
    $consumer->finish;
}
# one is in flight when the files are read
my $holder = $mq->consumer('held', 'c1');
my $held = $mq->publish('held', 'in flight');
wait_for { @{$holder->messages} } 'one is in flight';
written($mq);

my ($ready, $late) = (held($mq, -1), held($mq, 0));
my ($status, @lines) = dump_of(directory($mq), '-w');
is($status, 0, 'the files of a queue that runs are read');
is_deeply(content([objects(@lines)], 'topic', 'messageData'),
          [sort @$ready, @$late], 'all that waits is there');

my ($line) = grep { $_->{topic} eq 'later' } objects(@lines);
is($line->{status}, 'delayed', 'one of them is delayed');
cmp_ok($line->{delayTime}, '<=', 3600, 'for what is left of it');
is($mq->find($line->{code})->{DueTime}, $line->{dueTime}, 'until that time');

(undef, my @counts) = dump_of(directory($mq), '-c', '-s', 'all');
my %said = map { $_->{topic} => $_ } grep { $_->{type} eq 'topic' }
           objects(@counts);
is($said{many}{ready}, MANY, 'counts: those of a topic');
is($said{done}{consumed}, 1, 'the consumed one');
is($said{dead}{dead}, 1, 'the dead one');

(undef, my @dead) = dump_of(directory($mq), '-w', '-s', 'dead');
is_deeply([map { $_->{reason} } objects(@dead)], ['return'],
          'a dead one has its reason');


# ------------------------------------------------------------- the round trip

my $other = KapokMQ::Test->start(yaml => { isPersistent => 2 });
ok(send_again($other, @lines), 'they are sent to another queue');
is_deeply(held($other, -1), $ready, 'where the same wait');
is_deeply(held($other, 0), $late, 'and are delayed');
written($other);
(undef, my @copy) = dump_of(directory($other), '-w');
is_deeply([map { $_->{messageData} } grep { $_->{topic} eq 'many' }
           objects(@copy)],
          [map { "m$_" } 1 .. MANY], 'in their order');
is_deeply(content([objects(@copy)], 'topic', 'messageData'),
          content([objects(@lines)], 'topic', 'messageData'),
          'whose files say the same');
ok(send_again($other, @dead), 'a dead one is sent again, too');
is_deeply(held($other, 2), [], 'and is as good as new');
$other->finish;


# --------------------------------------------------- stopped, killed, damaged

$holder->finish;
wait_for { !$mq->find($held)->{InFlight} } 'all wait';
written($mq);
$mq->stop;
($status, my @stopped) = dump_of(directory($mq), '-w');
is($status, 0, 'the same of a queue that was stopped');
is_deeply(content([objects(@stopped)], 'topic', 'messageData'),
          content([objects(@lines)], 'topic', 'messageData'), 'is there');

# in the middle of the newest message
my ($file) = grep { index(slurp($_), 'm77') >= 0 } files($mq);
my $bytes = slurp($file);
substr($bytes, index($bytes, 'm77'), 3, 'm??');
spew($file, $bytes);
my $before = join ' ', map { "$_ " . length slurp($_) } glob directory($mq) . '/*';

($status, my @left) = dump_of(directory($mq), '-w');
is($status, 1, 'a file is damaged');
cmp_ok(scalar @left, '<', scalar @stopped, 'something is lost');
like(slurp($errors), qr/\Q$file\E" is damaged at \d+/, 'it is said where');
is((dump_of(directory($mq), '-q'))[0], 1, 'and by -q');
like(slurp($errors), qr/lost: /, 'what is lost');
is(join(' ', map { "$_ " . length slurp($_) } glob directory($mq) . '/*'),
   $before, 'the directory is as it was');

$mq->launch;
is_deeply(held($mq, -1),
          content([grep { $_->{status} ne 'delayed' } objects(@left)],
                  'topic', 'messageData'),
          'a start finds what the tool has told');
$mq->finish;

done_testing;
