# What an operator does to messages through the console: several of them are
# deleted, requeued or released at once, and one that waits for a time is
# released before that.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Mojo::JSON qw(decode_json encode_json);
use Test::More;
use Time::HiRes qw(time);
use KapokMQ::Test;

my $mq = KapokMQ::Test->start(
    yaml => { confirm => 'ack', retryDelay => 3600, retryDelayMax => 86400,
              isPersistent => 1, persistentTime => 0.1,
              keys => '{ few: { key: narrow, consume: [dead], '
                  . 'console: write } }' },
    topics => "    dead: { maxDeliveries: 1 }\n");

my $none = '0' x 40;

sub answer {
    my ($name, %what) = @_;

    return scalar $mq->post("/Console/$name", \%what);
}

# The same with its status.
sub answers {
    my ($name, %what) = @_;

    return ($mq->post("/Console/$name", \%what))[0, 1];
}

sub narrow {
    return ($mq->post('/Console/DelMessage', { @_ },
                      { secretKey => 'narrow' }))[0, 1];
}

sub several { return join ',', @_ }

# Dead ones.
sub dead {
    my ($n) = @_;
    my $consumer = $mq->consumer('dead', 'killer');
    my $before = $mq->counts->{dead};
    my @codes = map { $mq->publish('dead', $_) } 1 .. $n;

    wait_for { $consumer->got($codes[-1]) } 'pushed';
    $consumer->send("-$_") for @codes;
    $mq->counts_become({ dead => $before + $n }, "$n are dead");
    $consumer->finish;
    wait_for { @{$mq->clients->{consumers}} == 0 } 'who got them has gone';
    return @codes;
}


# --- several at once

my @ready = map { $mq->publish('ready', $_) } 1 .. 5;
is_deeply(answer('DelMessage', messageCodes => several(@ready[0 .. 2], $none)),
          { code => 0, data => 3 }, 'three of four are deleted');
is_deeply([$mq->codes], [reverse @ready[3, 4]], 'the others are there');
wait_for { $mq->log =~ /\[notice\].*messages deleted "4 by codes": 3/ }
    'which is noted';

my @dead = dead(3);
is_deeply(answer('RequeueMessage', messageCodes => encode_json([@dead[0, 1],
                                                               $ready[3]])),
          { code => 0, data => 2 }, 'two of three are requeued');
is_deeply([map { $mq->find($_)->{Status} } @dead], [-1, -1, 2],
          'those that were dead, and meant');

my @many = map { $mq->publish('many', 'x') } 1 .. 1000;
is_deeply(answer('DelMessage', messageCodes => several(@many)),
          { code => 0, data => 1000 }, 'a thousand');
{
    my ($status, $json) = answers('DelMessage',
                                 messageCodes => several(@many, $none));
    is($status, 413, 'more are too many');
    like($json->{msg}, qr/1000/, 'which says how many may be');

    for my $codes ('x', "$none,", "$none x", encode_json([1])) {
        ($status, $json) = answers('RequeueMessage', messageCodes => $codes);
        is($status, $codes eq "$none," ? 200 : 400, "\"$codes\": $status");
    }
}


# --- one is released

my $consumer = $mq->consumer('late', 'c1');
my $delayed = $mq->publish('late', 'delayed', 3600);
is($mq->find($delayed)->{Status}, 0, 'it is delayed');
is_deeply(answer('ReleaseMessage', messageCode => $delayed),
          { code => 0, data => 1 }, 'it is released');
wait_for { $consumer->got($delayed) } 'and pushed';
is($mq->find($delayed)->{Status}, -1, 'it waits no more');
$mq->counts_become({ delay => 0 }, 'nothing is delayed');
{
    my ($status, $json) = answers('ReleaseMessage', messageCode => $delayed);
    is($status, 400, 'in flight there is nothing to release');
    like($json->{msg}, qr/not delayed/, 'which it says');
    is((answers('ReleaseMessage', messageCode => $none))[0], 404, 'no message');
    is((answers('ReleaseMessage', messageCode => 'x'))[0], 400, 'no code');
    is((answers('ReleaseMessage'))[0], 400, 'nothing');
    is((answers('ReleaseMessage', messageCode => $none, topic => 'x'))[0], 400,
       'what it does not know');
}

# the first time without a wait, then with one
$consumer->send("-$delayed");
wait_for { @{[$consumer->got($delayed)]} && $mq->find($delayed)->{Attempts} == 2 }
    'pushed again';
$consumer->send("-$delayed");
wait_for { $mq->find($delayed)->{NextTry} } 'it waits for its next try';
is(answer('ReleaseMessage', messageCode => $delayed)->{data}, 1,
   'which is now');
wait_for { $mq->find($delayed)->{Attempts} == 3 } 'pushed once more';

my @late = map { $mq->publish('later', $_, 3600) } 1 .. 3;
is_deeply(answer('ReleaseMessage', messageCodes => several(@late, $delayed)),
          { code => 0, data => 3 }, 'several are released');
my ($topic) = @{(answer('GetTopics', search => 'later'))->{data}};
is($topic->{Waiting}, 3, 'they are ready');
cmp_ok($topic->{OldestWaiting}, '<=', time, 'since now, not since then');
cmp_ok(answer('GetOverview')->{data}{OldestWaiting}, '<=', time,
       'in the whole queue, too');


# --- who may

is((narrow(messageCode => $ready[3]))[0], 403, 'no right to its topic');
is_deeply([narrow(messageCodes => several($ready[3], $dead[2]))],
          [200, { code => 0, data => 1 }],
          'of several those it has a right to');


# --- over a restart

my $late = $mq->publish('kept', 'x', 3600);
is(answer('ReleaseMessage', messageCode => $late)->{data}, 1, 'released');
$consumer->finish;
$mq->stop;
$mq->launch;
is($mq->find($late)->{Status}, -1, 'it waits for nothing but a consumer');

$mq->finish;
done_testing;
