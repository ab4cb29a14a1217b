# What the console asks for: GetOverview, GetTopics, GetTopic, GetGrowth,
# PurgeTopic, GetClientList, Disconnect, GetSettings, and what GetMessage tells
# of one message; the original's answers stay what they are.

use strict;
use warnings;
use utf8;

BEGIN { push @INC, 't/lib' }

use Encode qw(encode);
use List::Util qw(max sum0);
use Mojo::JSON qw(decode_json encode_json);
use Mojo::Util qw(url_escape);
use Test::More;
use Time::HiRes qw(time);
use KapokMQ::Test;

my $mq = KapokMQ::Test->start(
    zone => '256m',
    main => 'worker_rlimit_nofile 10000;',
    # names with slashes: twice the same
    conf => 'location ~ "(?s)^/odd/(.+)/\1$" {
        kapokmq_consumer topic=$1 id=$1;
    }',
    yaml => { prefetch => 7, checkSpeed => 0.1, messageChanBuffer => 500_000 },
    topics => <<'YAML');
    own:  { pushRetryTime: 60.5, clearTime: 7777, confirm: ack, prefetch: 3,
            retryDelay: 0.25, retryDelayMax: 7.5, heartbeat: 12.5 }
    dead: { maxDeliveries: 1, confirm: ack }
    old:  { cleanTime: 1 }
    all:  { pushType: 2, confirm: ack }
YAML

# The data of an answer; it must be one.
sub ask {
    my ($path, %form) = @_;
    my ($status, $json, $result) = $mq->post("/Console/$path", \%form);

    $status == 200 && $json->{code} == 0
        or die "$path: $status " . $result->body;
    return wantarray ? ($json->{data}, $json) : $json->{data};
}

sub body {
    my ($path, %form) = @_;

    return ($mq->post("/Console/$path", \%form))[2]->body;
}

sub members {
    my ($object, $members, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is_deeply([sort keys %$object], [sort split ' ', $members], $name);
}

# All pages of a list.
sub pages {
    my ($path, %form) = @_;
    my @all;

    for (1 .. 10_000) {
        my ($data, $json) = ask($path, %form);
        push @all, $data;
        $form{cursor} = $json->{next} // return @all;
    }
    die "$path has no end";
}

sub topic     { return ask('GetTopic', topic => $_[0]) }
sub client_of { return { map { $_->{Id} => $_ } @{ask('GetClientList', @_)} } }

# A number that is one of few, since a second may end meanwhile.
sub about_now {
    my ($time, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return ok($time && abs(time - $time) <= 600, $name)
           || diag($time // 'null');
}

my @new = qw(GetOverview GetHealth GetTopics GetTopic GetGrowth PurgeTopic
             GetClientList Disconnect GetSettings);


# --- who may ask

my $ua = Mojo::UserAgent->new(max_connections => 0);
for my $path (@new) {
    my $url = 'http://127.0.0.1:' . $mq->port . "/Console/$path";
    for my $key ({}, { secretKey => 'sesam' }, { secretKey => '' }) {
        my $result = $ua->post($url, $key)->result;
        is($result->code, 401, "$path without the key: 401");
        is($result->body, '{"code":-1,"msg":"Secret key matching error"}',
           'and nothing else');
    }
    is($ua->get($url, { secretKey => 'sesame' })->result->code, 405,
       "GET $path: 405");
}


# --- nothing is there

is(body('GetTopics'), '{"code":0,"data":[],"next":null}', 'no topics');
is(body('GetClientList'), '{"code":0,"data":[],"next":null}', 'no clients');
is(@{ask('GetGrowth')}, 168, 'growth: a week of hours');
is(@{ask('GetGrowth', unit => 'minute')}, 60, 'or an hour of minutes');

my $overview = ask('GetOverview');
members($overview, 'Time Version StartTime Waiting InFlight Retrying Delayed
    Consumed Dead Failures Published Delivered Redelivered Confirmed Died
    Expired Refused Deleted Requeued Dropped OldestWaiting OldestTopic Topics
    Producers Consumers Resting WaitingMax Zone Disk Workers Repairs PushType
    Paced',
    'the members of GetOverview');
members($overview->{Zone}, 'Size Free History', 'of its Zone');
members($overview->{Disk}, 'Mode Interval LastFlush LastCheckpoint
    JournalBytes CheckpointBytes Error ErrorCode', 'of its Disk');
is($overview->{$_}, 0, "$_: 0") for qw(Waiting InFlight Retrying Delayed
    Consumed Dead Published Delivered Redelivered Confirmed Died Expired Refused
    Deleted Requeued Dropped Topics Producers Consumers Resting Repairs);
is_deeply($overview->{Failures},
          { end => 0, return => 0, overdue => 0, uncharged => 0 }, 'Failures');
is($overview->{$_}, undef, "$_: null") for qw(OldestWaiting OldestTopic);
about_now($overview->{$_}, $_) for qw(Time StartTime);
like(body('GetOverview'), qr/"Time":\d{10}\.\d{3},/, 'Time to the ms');
like($overview->{Version}, qr/^\d+\.\d+\.\d+$/, 'Version');
is($overview->{WaitingMax}, 500_000, 'WaitingMax');
is($overview->{PushType}, 1, 'PushType');
is($overview->{Paced}, Mojo::JSON->false, 'not paced');
cmp_ok($overview->{Zone}{Size}, '>', 250_000_000, 'the zone');
cmp_ok($overview->{Zone}{Size}, '<=', 256 * 1024 * 1024, 'and no more');
cmp_ok($overview->{Zone}{Free}, '<=', $overview->{Zone}{Size}, 'is free');
cmp_ok($overview->{Zone}{Free}, '>', 0.95 * $overview->{Zone}{Size},
       'nearly all of it');

my $workers = $overview->{Workers};
is(@$workers, $ENV{KMQ_WORKERS} || 1, 'all workers are told');
members($workers->[0], 'Worker Keeper Retiring', 'the members of one');
wait_for { 1 == grep { $_->{Keeper} } @{ask('GetOverview')->{Workers}} }
         'one of them is the keeper';
is((grep { $_->{Retiring} } @$workers), 0, 'none is about to go');


# --- something of each kind

sub settle {
    my ($want, $name) = @_;
    my $got;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    wait_for {
        $got = ask('GetOverview');
        !grep { $got->{$_} != $want->{$_} } keys %$want
    } $name or diag(encode_json($got));
    return $got;
}

my $before = int time;
my $producer = $mq->producer('own', 'p1');
my $acker = $mq->consumer('own', 'acker', ack => 1);
$producer->send('m1', 'm2', '{"MessageData":5}', 'm3');
wait_for { @{$producer->texts} == 4 } 'four answers';
my $holder = $mq->consumer('hold', 'holder', confirm => 'ack');
my $in_flight = $mq->publish('hold', 'in flight');
my $delayed = $mq->publish('hold', 'delayed', 3600.5);
my $waiting = $mq->publish('wait', 'waits');
my $killer = $mq->consumer('dead', 'killer');
my $dead = $mq->publish('dead', 'dead');
wait_for { $killer->got($dead) } 'pushed';
$killer->send("-$dead");
my $old = $mq->publish('old', 'old');
my $now = settle({ Waiting => 1, InFlight => 1, Delayed => 1, Consumed => 3,
                   Dead => 1, Expired => 1 }, 'one of each kind');

my %want = (Published => 8, Delivered => 5, Redelivered => 0, Confirmed => 3,
            Died => 1, Refused => 1, Deleted => 0, Requeued => 0, Dropped => 0,
            Topics => 5, Producers => 1, Consumers => 3);
is($now->{$_}, $want{$_}, "$_: $want{$_}") for sort keys %want;
is($now->{OldestTopic}, 'wait', 'the topic whose message waits');
about_now($now->{OldestWaiting}, 'since when');
cmp_ok($now->{OldestWaiting}, '>=', $before, 'not earlier');
cmp_ok($now->{Zone}{History}, '>', 0, 'the history holds memory');

# topics

my $topic_members = 'Topic PushType Waiting InFlight Retrying Delayed Consumed
    Dead Producers Consumers Resting OldestWaiting Published Delivered
    Redelivered Confirmed Died Expired Refused Paused';
my %topic = map { $_->{Topic} => $_ } @{ask('GetTopics')};
is_deeply([sort keys %topic], [qw(dead hold old own wait)], 'all topics');
members($topic{$_}, $topic_members, "the members of $_") for sort keys %topic;

my %has = (
    own  => { Consumed => 3, Producers => 1, Consumers => 1, Published => 3,
              Delivered => 3, Confirmed => 3, Refused => 1 },
    hold => { InFlight => 1, Delayed => 1, Consumers => 1, Published => 2,
              Delivered => 1 },
    wait => { Waiting => 1, Published => 1 },
    dead => { Dead => 1, Died => 1, Consumers => 1, Published => 1,
              Delivered => 1 },
    old  => { Published => 1, Expired => 1 },
);
for my $name (sort keys %has) {
    my %all = (%{$topic{$name}}, map { $_ => 0 } grep { !/Topic|Oldest|Type/ }
               split ' ', $topic_members);
    is_deeply($topic{$name}, { %all, Paused => Mojo::JSON->false,
                               %{$has{$name}} }, "the topic $name");
    is_deeply({ map { $_ => topic($name)->{$_} } keys %{$topic{$name}} },
              $topic{$name}, 'alone the same');
}
is($topic{own}{OldestWaiting}, undef, 'nothing waits in a topic');
about_now($topic{wait}{OldestWaiting}, 'something does in another');

my $own = topic('own');
members($own, "$topic_members Minutes Hours PushRetryTime MaxDeliveries
        CleanTime Confirm Prefetch RetryDelay RetryDelayMax Heartbeat",
        'the members of GetTopic');
my @own = qw(PushRetryTime MaxDeliveries CleanTime Confirm Prefetch RetryDelay
             RetryDelayMax Heartbeat);
is_deeply([@$own{@own}], [60.5, 0, 7777, 'ack', 3, 0.25, 7.5, 12.5],
          'its settings');
is_deeply([@{topic('dead')}{@own}], [300, 1, 259_200, 'ack', 7, 1, 60, 30],
          'and those of another');
for my $period (['Minutes', 60], ['Hours', 3600]) {
    my ($member, $seconds) = @$period;
    my $list = $own->{$member};
    members($_, 'Time Published Delivered Confirmed'
            . ($member eq 'Minutes' ? ' Before' : ''), "of $member")
        for @$list;
    is((grep { $_->{Time} % $seconds } @$list), 0, 'begin where they begin');
    cmp_ok($list->[-1]{Time}, '>', time - 30 - 2 * $seconds, 'are recent');
    for my $count (qw(Published Delivered Confirmed)) {
        is(sum0(map { $_->{$count} } @$list), 3, "$count in $member: 3");
    }
}

# growth

for my $unit (['minute', 60, 1440], ['hour', 3600, 336]) {
    my ($name, $seconds, $max) = @$unit;
    for my $count (1, 2, $max) {
        my $list = ask('GetGrowth', unit => $name, count => $count);
        is(@$list, $count, "growth: $count ${name}s");
        members($_, 'Time Published Delivered Confirmed Backlog', 'of one')
            for @$list[0, -1];
        cmp_ok(abs(time - 30 - $list->[-1]{Time}), '<=', $seconds + 30,
               'the current one last');
        is((grep { $list->[$_]{Time} - $list->[$_ - 1]{Time} != $seconds }
            1 .. $#$list), 0, 'each behind the one before');
    }
    my $list = ask('GetGrowth', unit => $name, count => 5);
    is(sum0(map { $_->{Published} } @$list), 8, 'published');
    is(sum0(map { $_->{Delivered} } @$list), 5, 'delivered');
    is(sum0(map { $_->{Confirmed} } @$list), 3, 'confirmed');
    is($list->[0]{Published}, 0, 'nothing before');
    is($list->[0]{Backlog}, undef, 'nobody knows the backlog then');
}
wait_for { (ask('GetGrowth', unit => 'minute')->[-1]{Backlog} // 0) == 3 }
         'the backlog: what waits, is in flight or delayed';

# clients

my $client_members = 'Connection Role Id Topic Ip JoinTime LastSeen Worker
    Messages Silent Heartbeat Confirmed InFlight OldestInFlight Prefetch Confirm
    Resting Transport User Lease Parked';
my $client = client_of();
is_deeply([sort keys %$client], [qw(acker holder killer p1)], 'all clients');
members($client->{$_}, $client_members, "the members of $_")
    for sort keys %$client;
my %told = (
    p1     => { Role => 'producer', Topic => 'own', Messages => 3,
                Confirmed => undef, InFlight => undef, Prefetch => undef,
                Confirm => undef, OldestInFlight => undef, Resting => undef,
                Silent => Mojo::JSON->false, Heartbeat => 12.5 },
    acker  => { Role => 'consumer', Topic => 'own', Messages => 3,
                Confirmed => 3, InFlight => 0, Prefetch => 3,
                Confirm => 'ack', OldestInFlight => undef,
                Resting => Mojo::JSON->false, Silent => Mojo::JSON->false,
                Heartbeat => 12.5 },
    holder => { Role => 'consumer', Topic => 'hold', Messages => 1,
                Confirmed => 0, InFlight => 1, Prefetch => 7,
                Confirm => 'ack', Resting => Mojo::JSON->false,
                Heartbeat => 30 },
    killer => { Role => 'consumer', Topic => 'dead', Messages => 1,
                Confirmed => 0, InFlight => 0, Prefetch => 7,
                Confirm => 'ack' },
);
my %slot = map { $_->{Worker} => 1 } @$workers;
for my $id (sort keys %told) {
    is_deeply({ map { $_ => $client->{$id}{$_} } keys %{$told{$id}} },
              $told{$id}, "what is told of $id");
    is($client->{$id}{Ip}, '127.0.0.1', 'its address');
    about_now($client->{$id}{JoinTime}, 'when it came');
    about_now($client->{$id}{LastSeen}, 'when it spoke last');
    cmp_ok($client->{$id}{LastSeen}, '>=', $client->{$id}{JoinTime},
           'which was not before');
    ok($slot{$client->{$id}{Worker}}, 'its worker is one of those');
}
my $ponger = $mq->consumer('pong', 'ponger', confirm => 'pong');
my $deaf = $mq->consumer('deaf', 'deaf', confirm => 'socket');
is(client_of()->{$_->[0]}{Confirm}, $_->[1], "$_->[0]: $_->[1]")
    for ['ponger', 'pong'], ['deaf', 'socket'];

# who says something is seen, be it a ping or a pong
my %seen = map { $_ => client_of()->{$_}{LastSeen} } qw(p1 ponger deaf);
wait_for { time >= 1.2 + max(values %seen) } 'a later second';
$producer->send_frame(1, 0, 0, 0, 9, '');
$mq->publish($_, 'm') for qw(pong deaf);
wait_for { client_of()->{$_}{LastSeen} > $seen{$_} } "$_ is seen again"
    for qw(p1 ponger);
wait_for { topic('deaf')->{Consumed} == 1 } 'another one gets its message';
is(client_of()->{deaf}{LastSeen}, $seen{deaf}, 'and says nothing');
$_->finish for $ponger, $deaf;
wait_for { !@{ask('GetClientList', search => 'p', topic => 'pong')}
           && !@{ask('GetClientList', topic => 'deaf')} } 'they go';

my @lists = (
    [[], 'acker holder killer p1'], [[role => ''], 'acker holder killer p1'],
    [[role => 'producer'], 'p1'], [[role => 'consumer'],
     'acker holder killer'], [[topic => 'own'], 'acker p1'],
    [[topic => 'ow'], ''], [[search => 'OLD'], 'holder'],
    [[search => 'hold'], 'holder'], [[search => 'own'], 'acker p1'],
    [[search => '127.0.0'], 'acker holder killer p1'],
    [[search => 'nobody'], ''], [[search => 'own', role => 'consumer'],
     'acker'], [[search => 'p1', topic => 'own'], 'p1'],
    [[search => 'p1', topic => 'hold'], ''],
);
for my $list (@lists) {
    my ($query, $ids) = @$list;
    is(join(' ', sort keys %{client_of(@$query)}), $ids,
       "GetClientList @$query: $ids");
}

# messages

my %whereabouts = (
    $waiting   => [Mojo::JSON->false, undef, undef, undef],
    $in_flight => [Mojo::JSON->true, 'holder', undef, undef],
);
for my $code (sort keys %whereabouts) {
    is_deeply([@{$mq->find($code)}{qw(InFlight Consumer DueTime DeadTime)}],
              $whereabouts{$code}, 'where a message is');
}
my $found = $mq->find($delayed);
is_deeply([@$found{qw(InFlight Consumer DeadTime)}],
          [Mojo::JSON->false, undef, undef], 'a delayed one');
cmp_ok(abs($found->{DueTime} - $found->{CreateTime} - 3600.5), '<=', 1.5,
       'is told when it is due');
$found = $mq->find($dead);
is_deeply([@$found{qw(InFlight Consumer DueTime)}],
          [Mojo::JSON->false, undef, undef], 'a dead one');
about_now($found->{DeadTime}, 'and since when it is dead');
my @pair = map { $mq->consumer('all', "all$_") } 1, 2;
my $to_all = $mq->publish('all', 'for both');
wait_for { $pair[0]->got($to_all) && $pair[1]->got($to_all) } 'pushed to two';
is_deeply([@{$mq->find($to_all)}{qw(InFlight Consumer)}],
          [Mojo::JSON->true, undef], 'with several: in flight, with nobody');
$_->send($to_all) for @pair;
wait_for { $mq->find($to_all)->{Status} == 1 } 'confirmed';
$_->finish for @pair;

# further counters

my $redelivered = ask('GetOverview')->{Redelivered};
is($mq->requeue(messageCode => $dead), 1, 'requeued');
wait_for { $killer->got($dead) == 2 } 'pushed again';
ok($mq->remove($waiting), 'deleted');
$holder->send("-$in_flight");
wait_for { $holder->got($in_flight) == 2 } 'redelivered';
$now = settle({ Requeued => 1, Deleted => 1, Waiting => 0,
                Redelivered => $redelivered + 1 },
              'requeued, deleted, redelivered');
is(topic('hold')->{Redelivered}, 1, 'of a topic, too');
is($now->{OldestWaiting}, undef, 'nothing waits any more');

# what is refused for good
my $refused = $now->{Refused};
my @bad = (['own', { delayTime => 'x', messageData => 'm' }, 400],
           ['own', { messageData => '' }, 400],
           ['own', { messageData => 'x' x 1_048_577 }, 413],
           ['nobody', { delayTime => 'x', messageData => 'm' }, 400]);
for my $case (@bad) {
    my ($topic, $form, $status) = @$case;
    is(($mq->post('/Producer/Send', { topic => $topic, %$form }))[0], $status,
       "/Producer/Send: $status");
}
$mq->post('/Producer/Send', { messageData => 'm' });
$producer->send("{\"MessageData\":{}}", 'fine', '{"MessageData":[]}');
wait_for { @{$producer->texts} == 7 } 'answered';
settle({ Refused => $refused + 6 }, 'each refusal is counted');
is(topic('own')->{Refused}, 6, 'where its topic is one');
is(($mq->post('/Console/GetTopic', { topic => 'nobody' }))[0], 404,
   'which does not make it one');


# --- what the original has answered is as it was

is(body('Ping'), '{"code":0}', 'Ping');
is(body('DelMessage', messageCode => $in_flight), '{"code":0}', 'DelMessage');
like(body('GetConsumers') =~ s/"JoinTime":\d+/"JoinTime":1/gr,
     qr/^\{"code":0,"data":\[(\{.*\},)?\Q{"ConsumerId":"acker","Topic":"own",\E
        \Q"ConsumerIp":"127.0.0.1","JoinTime":1,"Silent":false,\E
        \Q"Resting":false}\E(,\{.*\})?\]\}$/x,
     'GetConsumers');
is(body('GetProducers') =~ s/"JoinTime":\d+/"JoinTime":1/gr,
   '{"code":0,"data":[{"ProducerId":"p1","Topic":"own",'
   . '"ProducerIp":"127.0.0.1","JoinTime":1,"Silent":false}]}',
   'GetProducers');
my $both = $mq->clients;
members($both, 'code producers consumers', 'GetClients');
members($_, 'ConsumerId Topic ConsumerIp JoinTime Silent Resting', 'a consumer')
    for @{$both->{consumers}};
members($_, 'ProducerId Topic ProducerIp JoinTime Silent', 'a producer')
    for @{$both->{producers}};
members(scalar ask('CountMessage'), 'all consumed delay unconsumed dead
        notConsumed stateless', 'CountMessage');
my ($list, $answer) = ask('GetMessageList');
members($answer, 'code data next', 'GetMessageList');
members($_, 'MessageCode Topic CreateTime ConsumedTime DelayTime Status Size
             Attempts LastError LastErrorCode Suspect NextTry',
        'a message of it') for @$list;
members($mq->find($delayed), 'MessageCode MessageData Topic CreateTime
        ConsumedTime DelayTime Status Size Attempts LastError LastErrorCode
        Suspect NextTry InFlight Consumer DueTime DeadTime DataSize',
    'GetMessage');
members(scalar ask('GetConfig'), 'pushType messageChanBuffer pushMessagesSpeed
        sendCount pushCount sendRetryCount persistentFile isPersistent
        recoveryStrategy persistentTime isRePush pushRetryTime maxDeliveries
        retryDelay retryDelayMax isClean cleanTime isCleanConsumed checkSpeed
        confirm prefetch maxMessageSize heartbeat loginTime drainTime topics',
        'GetConfig');


# --- parameters that are none

my @number = ('x', '-1', '0', '1x', '1.5', '99999999999999999999');
my @name = ('x' x 256, '木' x 86);
my @wrong = (
    [GetTopics => limit => [@number, 10_001]],
    [GetTopics => cursor => ['x', '-1', '1x', '9' x 30]],
    [GetTopic => topic => [undef, '', @name]],
    [GetGrowth => unit => ['day', 'Hour', 'x']],
    [GetGrowth => count => [@number, 337]],
    [GetGrowth => count => [1441], unit => 'minute'],
    [PurgeTopic => topic => [undef, '', @name]],
    [PurgeTopic => status => ['4', '-2', 'x', '9' x 30], topic => 'own'],
    [GetClientList => role => ['x', 'Producer', 'consumers']],
    [GetClientList => topic => [@name]],
    [GetClientList => limit => [@number, 10_001]],
    [GetClientList => cursor => ['x', '-1', '1x', '9' x 30]],
    [GetClientList => cursor => [2], role => 'consumer'],
    [GetClientList => cursor => [3], role => 'producer'],
    [Disconnect => connection => [undef, '', 'x', '1', '1-', '-1', '1-x',
                                  'x-1', '1-1-1', '1-4294967296',
                                  '99999999999999999999-1']],
);
for my $case (@wrong) {
    my ($path, $name, $values, %other) = @$case;
    for my $value (@$values) {
        my %form = (%other, defined $value ? ($name => $value) : ());
        my ($status, $json) = $mq->post("/Console/$path", \%form);
        my $shown = substr $value // 'nothing', 0, 20;
        is($status, 400, encode('UTF-8', "$path $name $shown: 400"));
        is($json->{code}, -1, 'code -1');
        like($json->{msg}, length($value // '')
                           ? qr/^$name must be .+, not "\Q$shown\E/
                           : qr/^$name is required$/, 'names it');
    }
}
my ($status, $json) = $mq->post('/Console/GetTopics', { limit => "a\"<b>\x01" });
is($json->{msg}, 'limit must be a number from 1 to 10000, not "a"<b>?"',
   'what came is shown as text');
my $raw_answer = $ua->post(
    'http://127.0.0.1:' . $mq->port . '/Console/GetTopics',
    { secretKey => 'sesame',
      'Content-Type' => 'application/x-www-form-urlencoded' },
    'limit=%ff%fe')->result;
is($raw_answer->code, 400, 'no UTF-8: 400');
like(decode_json($raw_answer->body)->{msg}, qr/^limit must be /,
     'the answer is UTF-8 all the same');
for my $case (['GetTopic', topic => 'nobody'], ['PurgeTopic', topic => 'ow'],
              ['Disconnect', connection => '1-1'],
              ['Disconnect', connection => '0-0'],
              ['Disconnect', connection => '999999-4294967295'],
              ['Disconnect', connection => '1-3'])
{
    my ($path, %form) = @$case;
    ($status, $json) = $mq->post("/Console/$path", \%form);
    is($status, 404, "$path @{[%form]}: 404");
    is($json->{code}, -1, 'code -1');
    like($json->{msg}, qr/^There is no such (?:topic|connection)$/, 'says so');
}
# cursors that nobody gave out lead nowhere
for my $cursor (1, 2, 3, 4711, 2**32 - 1, 2**32, '9223372036854775807') {
    for my $path (qw(GetTopics GetClientList)) {
        is(($mq->post("/Console/$path", { cursor => $cursor }))[0], 200,
           "$path from $cursor on");
    }
}


# --- names that are not plain

my @odd = ('"quoted\\"', "<script>alert('1')</script>&amp;", '木棉🌳',
           "\x01\x1f\t\x7f\r\n", '%41/?&=#+ ', "\x{2028}", '0', 'x' x 255);
for my $name (@odd) {
    my $bytes = encode('UTF-8', $name);
    my $path = url_escape $bytes;
    my $consumer = $mq->login("/odd/$path/$path?confirm=ack");
    my ($message) = $mq->publish($name, 'm');
    wait_for { $consumer->got($message) } length($bytes) . ' bytes of a name';
    is_deeply([grep { $_->{Topic} eq $name } @{ask('GetTopics')}],
              scalar ask('GetTopics', search => $name), 'its topic is found by it');
    is(topic($name)->{InFlight}, 1, 'and answered alone');
    my ($client) = @{ask('GetClientList', topic => $name)};
    is_deeply([@$client{qw(Id Topic)}], [$name, $name], 'its client, too');
    ok(client_of(search => $name)->{$name}, 'found by its name');
    is($mq->find($message)->{Consumer}, $name, 'as whoever has its message');
    my $answer = body('GetTopics', search => $name);
    unlike($answer, qr/[\x00-\x1f]/, 'no control character is in an answer');
    is(ask('PurgeTopic', topic => $name), 1, 'purged');
    ask('Disconnect', connection => $client->{Connection});
    wait_for { $consumer->closed } 'and disconnected';
}


# --- many topics, page by page

wait_for { time > 1.1 + $before } 'a later second';
ok($mq->publish('many-0', 'the oldest'), 'the first of many topics');
my $first = time;
wait_for { int(time) > int($first) } 'the next second';

my $n = 3000;
my @many = map { "many-$_" } 0 .. $n - 1;
for my $batch (0 .. 2) {
    my $raw = $mq->raw('/', upgrade => 0);
    my @bodies = map { "topic=$_&messageData=x" }
                 @many[1000 * $batch .. 1000 * $batch + 999];
    $raw->write(join '', map {
        "POST /Producer/Send HTTP/1.1\r\nHost: x\r\nsecretKey: sesame\r\n"
        . 'Content-Length: ' . length($_) . "\r\n\r\n$_"
    } @bodies);
    my $accepted = () = $raw->rest =~ /"code":0/g;
    is($accepted, 1000, 'a thousand topics');
    $raw->close;
}
is(@{ask('GetTopics')}, 1000, 'a page has a thousand of them');
for my $limit (1000, 10_000, 999, 77) {
    my @pages = pages('GetTopics', search => 'MANY-', limit => $limit);
    my %count;
    $count{$_->{Topic}}++ for map { @$_ } @pages;
    is_deeply([sort keys %count], [sort @many], "all, $limit a page");
    is((grep { $_ > 1 } values %count), 0, 'none twice');
    is((grep { @$_ != $limit } @pages[0 .. $#pages - 1]), 0, 'full pages');
    cmp_ok(scalar @{$pages[-1]}, '>', 0, 'and the last one is not empty');
}
my ($page, $next) = ask('GetTopics', search => 'many-2999', limit => 1);
is_deeply([map { $_->{Topic} } @$page], ['many-2999'], 'one of many');
is($next->{next}, undef, 'behind which there is none');
is(scalar pages('GetTopics', search => 'many-299', limit => 1), 11,
   'eleven pages of one');
is(ask('GetOverview')->{OldestTopic}, 'many-0', 'the oldest one of all');


# --- many clients, page by page

sub crowd {
    my ($role, $from, $to) = @_;

    pipe my $in, my $out;
    pipe my $hold, my $release;
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        close $release;
        my @clients = map {
            $mq->raw("/$role/Conn/crowd/c$_", key => 'sesame')
        } $from .. $to;
        $_->next_text for @clients;
        syswrite $out, 'x';
        sysread $hold, my $end, 1;
        POSIX::_exit(0);
    }
    close $out;
    sysread $in, my $ready, 1;

    return { pid => $pid, release => $release };
}

my @crowd = map { crowd(@$_) } ['Producers', 1, 500], ['Consumers', 501, 1000],
    ['Producers', 1001, 1500], ['Consumers', 1501, 2000];
for my $limit (1000, 10_000, 100, 33) {
    my @pages = pages('GetClientList', topic => 'crowd', limit => $limit);
    my %count;
    $count{$_->{Id}}++ for map { @$_ } @pages;
    is(keys %count, 2000, "2000 clients, $limit a page");
    is((grep { $_ > 1 } values %count), 0, 'none twice');
    is((grep { @$_ != $limit } @pages[0 .. $#pages - 1]), 0, 'full pages');
}
for my $role (qw(producer consumer)) {
    my @all = map { @$_ } pages('GetClientList', topic => 'crowd',
                                role => $role, limit => 300);
    is((grep { $_->{Role} eq $role } @all), 1000, "1000 are $role");
    is(@all, 1000, 'and no other');
}
is(scalar pages('GetClientList', search => 'C150', limit => 1), 11,
   'eleven pages of one');
my @all_workers = sort keys %{{ map { $_->{Worker} => 1 }
                                @{ask('GetClientList', limit => 10_000)} }};
is_deeply(\@all_workers, [sort keys %slot], 'on all workers');
$now = ask('GetOverview');
is($now->{Producers} + $now->{Consumers},
   @{ask('GetClientList', limit => 10_000)}, 'as many as are counted');
close $_->{release} for @crowd;
waitpid $_->{pid}, 0 for @crowd;
wait_for { !@{ask('GetClientList', topic => 'crowd')} } 'all go';


# --- purge

# Asks, and lets the clients run until the answer is there.
sub purge {
    my ($during, %form) = @_;
    my $deleted;

    $ua->post('http://127.0.0.1:' . $mq->port . '/Console/PurgeTopic',
              { secretKey => 'sesame' }, form => \%form,
              sub { $deleted = decode_json($_[1]->result->body)->{data} });
    wait_for { $during->(); defined $deleted } "a purge of $form{topic}";

    return $deleted;
}

is(ask('PurgeTopic', topic => 'many-7'), 1, 'one message');
is(ask('PurgeTopic', topic => 'many-7'), 0, 'none is left');
is(topic('many-8')->{Waiting}, 1, 'others are');

# by status
$mq->publish('own', 'delayed', 3600) for 1 .. 3;
is(ask('PurgeTopic', topic => 'own', status => -1), 0, 'none waits');
is(ask('PurgeTopic', topic => 'own', status => 2), 0, 'none is dead');
is(ask('PurgeTopic', topic => 'own', status => 0), 3, 'the delayed ones');
is(ask('PurgeTopic', topic => 'own', status => 1), 4, 'the consumed ones');
is(ask('PurgeTopic', topic => 'own', status => 3), 0, 'that was all');
$mq->publish('own', 'delayed', 3600);
my $one = $mq->publish('own', 'now');
wait_for { $mq->find($one)->{Status} == 1 } 'consumed';
is(ask('PurgeTopic', topic => 'own', status => 3), 2, 'of any status');

# many, while others go on, in the same topic, too
my ($full, $left, $passing) = (100_000, 0, 0);
ok($mq->publish_many('full', map { "m$_" } 1 .. $full), "$full messages");
my $others = $mq->consumer('others', 'consumer', ack => 1);
my $sender = $mq->producer('others', 'sender');
my $late = $mq->producer('full', 'late');
my $deleted = purge(sub {
    $sender->send('s' . $passing++);
    $late->send('late' . $left++) if $left < 1000;
}, topic => 'full');
$late->send('after');
wait_for { @{$late->texts} == $left + 1 } 'all are accepted';
cmp_ok($deleted, '>=', $full, 'all that were there are gone');
is(topic('full')->{Waiting}, $full + $left + 1 - $deleted, 'and no other');
is($mq->find(($mq->codes(topic => 'full', limit => 1))[0])->{MessageData},
   'after', 'what came later is there');
wait_for { @{$others->messages} >= $passing } 'other topics have lost nothing';
is_deeply([$others->data], [map { "s$_" } 0 .. $passing - 1],
          'and got nothing twice');
diag("$deleted deleted, $left and $passing came meanwhile");
cmp_ok(ask('PurgeTopic', topic => 'full', status => 3), '==',
       $full + $left + 1 - $deleted, 'the rest');

# what is in flight
my $slow = $mq->consumer('flight', 'slow', confirm => 'ack');
ok($mq->publish_many('flight', 1 .. 1000), 'a thousand');
wait_for { @{$slow->messages} == 7 } 'seven in flight';
is(ask('PurgeTopic', topic => 'flight'), 1000, 'all are deleted');
is_deeply([@{topic('flight')}{qw(Waiting InFlight)}], [0, 0],
          'none is there for who asks');
$slow->send(@{[$slow->codes]}[0 .. 5], '-' . ($slow->codes)[6]);
my $new = $mq->publish('flight', 'new');
wait_for { $slow->got($new) } 'a new one comes';
is(@{$slow->messages}, 8, 'none of the others');
is($mq->find($_), undef, 'which are gone') for ($slow->codes)[0, 6];
is(topic('flight')->{Consumed}, 0, 'not consumed');
$slow->send($new);
wait_for { topic('flight')->{Consumed} == 1 } 'as the new one is';

# while they are delivered
my @quick = map { $mq->consumer('stream', "quick$_", ack => 1) } 1 .. 3;
ok($mq->publish_many('stream', 1 .. 20_000), '20000 on their way');
wait_for { sum0(map { scalar @{$_->messages} } @quick) > 1000 }
         'the first thousand comes';
$deleted = purge(sub { }, topic => 'stream');
wait_for {
    my $topic = topic('stream');
    $topic->{Waiting} + $topic->{InFlight} == 0
} 'no more are';
my %got;
$got{$_}++ for map { $_->codes } @quick;
is(topic('stream')->{Consumed} + $deleted, 20_000,
   'each was consumed or deleted');
is((grep { $_ > 1 } values %got), 0, 'none came twice');
diag("$deleted of 20000 deleted");
$_->finish for @quick, $slow, $others, $sender, $late;


# --- disconnect

sub disconnect {
    my ($id) = @_;
    my $connection = client_of(search => $id)->{$id}{Connection};
    my ($status, $json, $result) = $mq->post('/Console/Disconnect',
        { connection => $connection });

    is($status, 200, "$id is disconnected");
    is_deeply($json, { code => 0 }, 'says the answer');
    ($status) = $mq->post('/Console/Disconnect',
                          { connection => $connection });
    like($status, qr/^(?:200|404)$/, 'twice is no harm');
    return $result->headers->header('X-Worker');
}

sub is_closed {
    my ($client, $name) = @_;

    wait_for { $client->closed } "$name is closed";
    is_deeply($client->closed, [1008, 'disconnected by an operator'],
              'with 1008 and the reason');
    is_deeply([grep { $_->{Id} eq $name } @{ask('GetClientList')}], [],
              'and gone from the list');
}

my $elsewhere = 0;
for my $round (1 .. 40) {
    my $holding = $mq->consumer('cut', "holding$round", confirm => 'ack');
    my @held = map { $mq->publish('cut', "$round.$_") } 1 .. 5;
    wait_for { @{$holding->messages} == 5 } 'a consumer has five';
    my $rescuer = $mq->consumer('cut', "rescuer$round", ack => 1);
    my $answered = disconnect("holding$round");
    $elsewhere++ if $answered != $holding->worker;
    is_closed($holding, "holding$round");
    wait_for { @{$rescuer->messages} == 5 } 'another one gets them';
    is_deeply([sort $rescuer->codes], [sort @held], 'the same');

    my $talker = $mq->producer('cut', "talker$round");
    $talker->send('one');
    wait_for { @{$talker->texts} == 1 } 'a producer';
    $answered = disconnect("talker$round");
    $elsewhere++ if $answered != $talker->worker;
    is_closed($talker, "talker$round");
    wait_for { @{$rescuer->messages} == 6 } 'what it sent stays';
    $rescuer->finish;
    wait_for { !@{ask('GetClientList', topic => 'cut')} } 'all are gone';
    last if @$workers == 1 && $round == 3 || $elsewhere >= 6;
}
cmp_ok($elsewhere, '>=', 6, 'most by another worker than their own')
    if @$workers > 1;
settle({ InFlight => 1 }, 'what is in flight is counted right');

# its place may be another's soon, who is not meant
my $gone = $mq->producer('cut', 'gone');
my $connection = client_of(search => 'gone')->{gone}{Connection};
$gone->finish;
wait_for { !@{ask('GetClientList', search => 'gone')} } 'one goes';
my @next = map { $mq->producer('cut', "next$_") } 1 .. 3;
is(($mq->post('/Console/Disconnect', { connection => $connection }))[0], 404,
   'it cannot be disconnected');
is(@{ask('GetClientList', search => 'next')}, 3, 'nor are those that follow');

# one that reads nothing, one that has not logged out of anything
my $stuck = $mq->raw('/Consumers/Conn/stuck/stuck?confirm=ack',
                     key => 'sesame', rcvbuf => 4096);
ok($mq->publish_many('stuck', map { 'x' x 100_000 } 1 .. 7), 'more than fits');
wait_for { topic('stuck')->{InFlight} == 7 } 'is on its way';
disconnect('stuck');
wait_for { topic('stuck')->{Waiting} == 7 } 'all of it waits again';
$stuck->close;
is($mq->post('/Console/Ping')->{code}, 0, 'the console answers');

$_->finish for $producer, $acker, $holder, $killer, @next;
$mq->finish;


# --- a disk that takes nothing, with isPersistent 2

$mq = KapokMQ::Test->start(
    yaml => { messageChanBuffer => 5, isPersistent => 2 },
    allow => qr/MQDATA|messages are refused until it works again/);
my $unsafe = $mq->producer('safe', 'unsafe');
my $data = $mq->dir . '/MQDATA';
rename $data, "$data.gone" or die $!;
$unsafe->send('m1', 'm2');
wait_for { @{$unsafe->texts} == 2 } 'two messages are answered';
is((grep { /^error: not stored: / } @{$unsafe->texts}), 2, 'not stored');
is(($mq->post('/Producer/Send', { topic => 'safe', messageData => 'm' }))[0],
   503, 'nor one by HTTP');
$now = ask('GetOverview');
is($now->{Refused}, 3, 'which is counted');
is($now->{Disk}{Error}, 'No such file or directory', 'and told with the cause');
is($now->{Disk}{ErrorCode}, 2, 'and its number');
is($now->{Disk}{LastFlush}, undef, 'nothing was written yet');
is(client_of()->{unsafe}{Messages}, 0, 'no message of it');
rename "$data.gone", $data or die $!;
wait_for { !defined ask('GetOverview')->{Disk}{Error} } 'it works again';
$unsafe->send('m3');
wait_for { @{$unsafe->texts} == 3 } 'a message is answered';
is($unsafe->texts->[2], 'ok', 'stored');
is(client_of()->{unsafe}{Messages}, 1, 'a message of it');
is(topic('safe')->{$_->[0]}, $_->[1], "the topic: $_->[1] $_->[0]")
    for ['Published', 1], ['Refused', 3], ['Waiting', 1];
is(ask('PurgeTopic', topic => 'safe'), 1, 'purged');
$unsafe->finish;


# --- a full queue: producers that wait can be disconnected

my @blocked = map { $mq->producer('full', "blocked$_") } 1 .. 3;
$_->send(map { "m$_" } 1 .. 20) for @blocked;
wait_for { ask('GetOverview')->{Waiting} == 5 } 'the queue is full';
$refused = ask('GetOverview')->{Refused};
is(($mq->post('/Producer/Send', { topic => 'full', messageData => 'm' }))[0],
   503, 'a message by HTTP is refused');
settle({ Refused => $refused + 1 }, 'which is counted, waiting is not');
disconnect('blocked2');
is_closed($blocked[1], 'blocked2');
is(ask('PurgeTopic', topic => 'full'), 5, 'five are purged');
wait_for { ask('GetOverview')->{Waiting} == 5 } 'which makes room for others';
$_->finish for @blocked[0, 2];
wait_for { ask('PurgeTopic', topic => 'full'); !$mq->clients->{producers}[0] }
         'they come to an end';
wait_for { ask('PurgeTopic', topic => 'full') == 0 } 'empty again';
$mq->finish;


# --- statistics over a reload and a restart

# Another server: what the failing disk has cost that one is made good by a
# checkpoint, sooner or later.
$mq = KapokMQ::Test->start(
    yaml => { messageChanBuffer => 5, isPersistent => 2 });
my $cons = $mq->consumer('kept', 'c1', ack => 1);
$mq->publish('kept', $_) for 1 .. 7;
wait_for { topic('kept')->{Confirmed} == 7 } 'seven are confirmed';
my $recent = ask('GetOverview');
about_now($recent->{Disk}{LastFlush}, 'when the disk was written');
is($recent->{Disk}{Mode}, 2, 'its mode');
is($recent->{Disk}{$_}, undef, 'no error') for qw(Error ErrorCode);
cmp_ok($recent->{Disk}{JournalBytes}, '>', 0, 'the journal has bytes');

wait_for {
    $mq->publish('flushed', 'm');
    ask('PurgeTopic', topic => 'flushed');
    ask('GetOverview')->{Disk}{LastFlush} > $recent->{Disk}{LastFlush}
} 'the disk is written again';
is(ask('GetOverview')->{Disk}{LastCheckpoint}, undef,
   'without a checkpoint: nothing was lost on its way to it');

sub growth {
    my %sum;

    for my $period (@{ask('GetGrowth', unit => $_[0])}) {
        $sum{$_} += $period->{$_} for qw(Published Delivered Confirmed);
    }
    return \%sum;
}

my %growth = map { $_ => growth($_) } qw(minute hour);
is_deeply($growth{minute}, $growth{hour}, 'minutes and hours agree');
cmp_ok($growth{hour}{Confirmed}, '==', 7, 'about seven');
$mq->publish('purged', $_) for 1 .. 3;
$mq->publish('purged', 'stays', 3600);
is(ask('PurgeTopic', topic => 'purged'), 3, 'three are purged');
%growth = map { $_ => growth($_) } qw(minute hour);
$cons->finish;
wait_for { ask('GetOverview')->{Consumers} == 0 } 'nothing happens any more';
my @counters = qw(Published Delivered Redelivered Confirmed Died Expired
                  Deleted Requeued);
my $kept = ask('GetOverview');
my %left = map { $_ => $kept->{$_} } @counters;
$mq->renew;
is_deeply(growth($_), $growth{$_}, "after a reload: the same ${_}s")
    for qw(minute hour);
is(topic('kept')->{Published}, 7, 'and counters');
$mq->stop;
$mq->launch;
is_deeply(growth($_), $growth{$_}, "after a restart: the same ${_}s")
    for qw(minute hour);
my $restarted = ask('GetOverview');
is_deeply({ map { $_ => $restarted->{$_} } @counters }, \%left,
          'the same counters');
cmp_ok($restarted->{StartTime}, '>=', $kept->{StartTime}, 'of a new start');
is(sum0(map { $_->{Published} } @{topic('kept')->{Hours}}), 7, 'of topics, too');
is_deeply([@{topic('purged')}{qw(Waiting Delayed)}], [0, 1],
          'what was purged does not come back');


# --- where settings come from

sub line_of {
    my ($pattern) = @_;

    open my $file, '<', $mq->dir . '/application.yaml' or die $!;
    while (<$file>) {
        return $. if /$pattern/;
    }
    return;
}

sub settings {
    my ($data, $answer) = ask('GetSettings');

    return ({ map { $_->{Key} => $_ } @$data }, $answer->{topics}, $data);
}

my ($settings, $topics, $in_order) = settings();
my $config = ask('GetConfig');
is_deeply([map { $_->{Key} } @$in_order],
          [qw(secretKey pushType messageChanBuffer pushMessagesSpeed sendCount
              sendRetryCount persistentFile isPersistent recoveryStrategy
              persistentTime isRePush pushRetryTime maxDeliveries retryDelay
              retryDelayMax isClean cleanTime isCleanConsumed checkSpeed confirm
              prefetch maxMessageSize heartbeat loginTime drainTime)],
          'all keys, in their order');
my $yaml = $mq->dir . '/application.yaml';
for my $key (map { $_->{Key} } @$in_order) {
    my $setting = $settings->{$key};
    my $line = line_of(qr/^  $key:/);
    members($setting, 'Key Value Default File Line'
            . ($key eq 'secretKey' ? ' Secret' : ''), "the members of $key");
    is_deeply([@$setting{qw(File Line)}], [$line && $yaml, $line],
              defined $line ? "it is set in line $line" : 'it is not set');
    next if $key eq 'secretKey';
    is($setting->{Value}, $config->{$key}, "its value: $config->{$key}");
    is($setting->{Default}, $config->{$key}, 'which is the default')
        unless defined $line;
}
is_deeply([@{$settings->{secretKey}}{qw(Value Default Secret)}],
          [undef, undef, 'set'], 'the key itself is not told');
unlike(body('GetSettings'), qr/sesame/, 'not anywhere');
is($settings->{messageChanBuffer}{Default}, 1_000_000, 'a default');
is($settings->{persistentFile}{Default}, 'MQDATA', 'another one');
is_deeply($topics, [], 'no topic has any of its own');

my $lots = join '', map {
    "    t$_: { pushType: 2, pushRetryTime: 2.25, maxDeliveries: $_,\n"
    . "           clearTime: 60, confirm: ack, prefetch: 1 }\n"
} 1000 .. 3999;
$mq->renew(
    yaml => { isPersistent => 2, checkSpeed => 0.25, persistentTime => 7,
              maxMessageSize => '64 KiB', pushCount => 50 },
    topics => encode('UTF-8',
                     qq(    "a\\"<b>木": { confirm: socket }\n$lots)));
($settings, $topics) = settings();
my %new = (isPersistent => 2, checkSpeed => 0.25, persistentTime => 7,
           maxMessageSize => 65_536);
for my $key (sort keys %new) {
    is($settings->{$key}{Value}, $new{$key}, "after a reload $key is new");
    is($settings->{$key}{Line}, line_of(qr/^  $key:/), 'as is its line');
}
is_deeply([@{$settings->{sendCount}}{qw(Value Line)}],
          [50, line_of(qr/^  pushCount:/)], 'set by another name');
is_deeply([@{$settings->{messageChanBuffer}}{qw(Value File Line)}],
          [1_000_000, undef, undef], 'what is no longer set is a default');
is(@$topics, 3001, 'all topics that have some of their own');
is_deeply($topics->[0],
          { Topic => 'a"<b>木',
            Settings => [{ Key => 'confirm', Value => 'socket',
                           File => $yaml, Line => line_of(qr/^    "a/) }] },
          'the first');
my $line = line_of(qr/^    t3999:/);
is_deeply($topics->[3000],
          { Topic => 't3999', Settings => [
              map { { Key => $_->[0], Value => $_->[1], File => $yaml,
                      Line => $line + ($_->[2] // 0) } }
              ['pushType', 2], ['pushRetryTime', 2.25],
              ['maxDeliveries', 3999], ['cleanTime', 60, 1],
              ['confirm', 'ack', 1], ['prefetch', 1, 1]] }, 'and the last');
is((grep { @{$_->{Settings}} != 6 } @$topics[1 .. 3000]), 0, 'all of all');

$mq->finish;
done_testing;
