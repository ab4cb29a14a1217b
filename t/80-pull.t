# Pulls: what they may ask for, what they get and when, leases and their ends.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use Time::HiRes qw(time);
use KapokMQ::Puller;
use KapokMQ::Test;

my $mq = KapokMQ::Test->start(
    yaml => { pushMessagesSpeed => 1, sendCount => 1, retryDelay => 0,
              drainTime => 0, maxMessageSize => '16 MiB' },
    topics => "    news: { pushType: 2 }\n    few: { prefetch: 3 }\n");
my $puller = KapokMQ::Puller->new($mq);

sub pull {
    my ($topic, $parameters, $id) = @_;
    my ($status, $json) = $puller->now("/Consumers/Pull/$topic/" . ($id // 'c1'),
                                       $parameters);

    return $status == 200 ? $json->{data} : [$status, $json->{msg}];
}

sub settle {
    my (%parameters) = @_;
    my ($status, $json) = $puller->now('/Consumers/Settle', \%parameters);

    return $status == 200 ? $json->{data} : [$status, $json->{msg}];
}

sub data { return join ' ', map { $_->{MessageData} } @{$_[0]} }
sub codes { return [map { $_->{MessageCode} } @{$_[0]}] }
sub pulls { return grep { $_->{Topic} eq $_[0] }
                   @{$mq->post('/Console/GetClientList')->{data}} }

# --- parameters
for my $case (
    ['max=0', qr/^max must be a number from 1 to 1000, not "0"$/],
    ['max=1001', qr/^max must be/],
    ['max=x', qr/^max must be/],
    ['wait=61', qr/^wait must be a number of seconds from 0 to 60, not "61"$/],
    ['wait=-1', qr/^wait must be/],
    ['lease=0.05', qr/^lease must be a number of seconds from 0.1 to 2592000/],
    ['lease=2592001', qr/^lease must be/],
    ['lease=-5', qr/^lease must be/],
    ['leas=1', qr/^unknown parameter "leas", did you mean "lease"\?$/],
    ['confirm=ack', qr/^unknown parameter "confirm"$/],
    ['max=1&max=2', qr/^max is given more than once$/],
) {
    my $answer = pull('params', $case->[0]);
    is($answer->[0], 400, "$case->[0]: 400");
    like($answer->[1], $case->[1], 'and why');
    $answer = ($puller->now("/Consumers/Pull/params/c1?$case->[0]", ''))[1];
    like($answer->{msg}, $case->[1], 'the same in the query');
}
is_deeply(pull('news', ''), [400,
    'A topic in publish/subscribe mode cannot be pulled'], 'not of all');
is(($puller->now('/Consumers/Pull/params', ''))[0], 404, 'a name is missing');
is(($puller->now('/Consumers/Pull/params/c1?max=2', 'max=3'))[0], 400,
   'in the query, and in the body');
is(scalar pulls('params'), 0, 'none of them is there');
is((KapokMQ::Puller->new($mq, key => 'x')->now('/Consumers/Pull/a/b', ''))[0],
   401, 'a wrong key');

# --- messages, which are not paced
is(data(pull('t', '')), '', 'there is none');
$mq->publish('t', "m$_") for 1 .. 5;
my $first = pull('t', '');
is(data($first), 'm1', 'one');
is_deeply([sort keys %{$first->[0]}], [sort qw(MessageCode MessageData Topic
    CreateTime ConsumedTime DelayTime Status)], 'as it is pushed');
my $rest = pull('t', { max => 10, lease => 60 });
is(data($rest), 'm2 m3 m4 m5', 'all the others, in order');
is(data(pull('t', 'max=10')), '', 'they are not there twice');
my ($one) = grep { $_->{InFlight} == 4 } pulls('t');
is($one->{Transport}, 'pull', 'the list tells its transport,');
cmp_ok($one->{Lease}, '<=', 60, 'its lease,');
cmp_ok($one->{Lease}, '>', 30, 'and how long that is');

# --- settled
my @codes = @{codes($rest)};
is_deeply(settle(confirm => [@codes[0, 1], '0' x 40]),
          { confirmed => 2, returned => 0, extended => 0,
            notInFlight => ['0' x 40] }, 'two are confirmed');
is_deeply(settle(return => [$codes[2]], id => 'nobody'),
          { confirmed => 0, returned => 0, extended => 0,
            notInFlight => [$codes[2]] }, 'not with that id');
my $returned = time;
is_deeply(settle(return => [$codes[2]], id => 'c1', delay => 0.2),
          { confirmed => 0, returned => 1, extended => 0, notInFlight => [] },
          'one is given back,');
my $again = pull('t', 'max=10');
ok(!@$again || time >= $returned + 0.2, 'and waits');
$again = pull('t', 'wait=10') if !@$again;
is(data($again), 'm4', 'until its time');
is($again->[0]{Attempts}, 2, 'for another attempt');
is_deeply(settle(confirm => codes($again), return => [$codes[3]], id => 'c1',
                 extend => codes($first)),
          { confirmed => 1, returned => 1, extended => 1, notInFlight => [] },
          'all at once');

# --- waiting
{
    my $start = time;
    is(data(pull('empty', { wait => 0.3 })), '', 'none comes');
    cmp_ok(time - $start, '>=', 0.29, 'in its time');

    my @waiting = map { KapokMQ::Puller->new($mq) } 1 .. 3;
    my @got;
    $_->pull('soon', 'c', { wait => 60, max => 1 }, sub { push @got, $_[1] })
        for @waiting;
    wait_for { pulls('soon') == 3 } 'three wait';
    $mq->publish('soon', "s$_") for 1 .. 3;
    wait_for { @got == 3 } 'each gets something';
    is(join(' ', sort map { data($_->{data}) } @got), 's1 s2 s3', 'of its own');

    # One that goes takes nothing.
    my $gone = KapokMQ::Puller->new($mq);
    $gone->pull('gone', 'c', { wait => 60 }, sub { });
    wait_for { pulls('gone') == 1 } 'one waits';
    $gone->drop;
    wait_for { pulls('gone') == 0 } 'and goes';
    $mq->publish('gone', 'g1');
    my $message = pull('gone', 'wait=5');
    is(data($message), 'g1', 'another one gets the message');
    ok(!exists $message->[0]{Attempts}, 'for the first time');
}

# --- prefetch
$mq->publish('few', "f$_") for 1 .. 5;
is(data(pull('few', 'max=100')), 'f1 f2 f3', 'no more than prefetch');
is(data(pull('few', 'max=100')), 'f4 f5', 'an answer is a consumer of its own');

# --- leases end: one message is charged
$mq->publish('lease', "l$_") for 1 .. 3;
is(data(pull('lease', 'max=10&lease=0.3')), 'l1 l2 l3', 'leased');
my $back = [];
wait_for {
    push @$back, @{pull('lease', 'max=10&wait=0.1')};
    @$back == 3
} 'and back';
is(join(' ', sort map { $_->{MessageData} } @$back), 'l1 l2 l3', 'all of them');
is(join(' ', map { $_->{MessageData} } grep { ($_->{Attempts} // 0) == 2 }
             @$back), 'l1', 'the oldest is charged');

# --- an answer that cannot be written whole gives back all
{
    # more than the kernel takes
    ok($mq->publish('whole', 'x' x 6_000_000), 'a large message');
    my $raw = $mq->raw('/', upgrade => 0, rcvbuf => 4096);
    $raw->write("POST /Consumers/Pull/whole/c1?lease=600 HTTP/1.1\r\n"
                . "Host: localhost\r\nsecretKey: sesame\r\n"
                . "Content-Length: 0\r\n\r\n");
    wait_for { grep { $_->{Lease} } pulls('whole') } 'an answer is on its way';
    $raw->reset;
    my $back = pull('whole', 'wait=20');
    is(scalar @$back, 1, 'nobody reads it, and it is there');
    is($back->[0]{Attempts}, 1, 'it has not failed');
}

# --- they outlive workers and reloads
$mq->publish('keep', "k$_") for 1 .. 2;
my $kept = pull('keep', 'max=10&lease=600');
is(data($kept), 'k1 k2', 'leased again');
$puller->drop;
$mq->renew;
is(data(pull('keep', 'max=10')), '', 'still leased');
my @killed = $mq->worker_pids;
kill 'KILL', @killed;
wait_for { !(grep { is_running($_) } @killed) && $mq->_workers_ready }
         'new workers';
$puller->drop;
is(data(pull('keep', 'max=10')), '', 'and still');
is(settle(confirm => codes($kept))->{confirmed}, 2, 'confirmed at last');

# --- those that wait when the worker goes
{
    my $waiting = KapokMQ::Puller->new($mq);
    my @answer;
    $waiting->pull('drain', 'c', { wait => 60 }, sub { @answer = @_ });
    wait_for { pulls('drain') == 1 } 'one waits';
    $mq->renew;
    wait_for { @answer } 'it is answered';
    is($answer[0], 200, 'with 200,');
    is_deeply($answer[1]{data}, [], 'and nothing');
}

$mq->{allow} = qr/exited on signal 9|Exactly two names/;
$mq->finish;
done_testing();
