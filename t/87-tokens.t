# What ends what a key or a token allows: its time, and a reload, for those who
# are connected, too; and renewal.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use Time::HiRes ();
use KapokMQ::Stream;
use KapokMQ::Test;
use KapokMQ::Token;

my $OLD = 'an old secret of thirty-two bytes';
my $NEW = 'a new secret of thirty-two bytes!';

sub yaml {
    my (%change) = @_;

    return {
        drainTime => 0,
        keys => '{ shop: { key: [one], produce: [t.*], consume: [t.*] },
                   sure: { key: sure, consume: [t.*] } }',
        tokens => qq({ algorithms: [HS256], secret: ["$OLD"] }),
        %change,
    };
}

my $mq = KapokMQ::Test->start(yaml => yaml());

sub claims {
    my ($secret, %claims) = @_;

    return token($secret, sub => 'anna', kapokmq => { consume => ['t.*'] },
                 %claims);
}

sub connected {
    my ($path, $key) = @_;
    my $client = $mq->connect($path, headers => { secretKey => $key });

    wait_for { grep { /succeeded/ } @{$client->texts} } "$path: it is in";
    return $client;
}

# --- time: enough to get there; with twice as much if that was too little
for (my $life = 3; ; $life *= 2) {
    my $until = time + $life;
    my $short = claims($OLD, exp => $until);
    my ($consumer, $renewed) = map {
        $mq->connect("/Consumers/Conn/t.time/$_",
                     headers => { secretKey => $short })
    } qw(ws renewed);
    my $stream = KapokMQ::Stream->new($mq, 't.time', 'stream', key => $short,
                                      again => 1);
    my $late = sub { Time::HiRes::time() > $until - 1 };

    wait_for {
        $late->() || $stream->open
                     && 2 == grep { grep { /succeeded/ } @{$_->texts} }
                             $consumer, $renewed
    } 'they are in';
    if (!$late->()) {
        $renewed->send('Bearer ' . claims($OLD, sub => 'bob'));
        $renewed->send('Bearer ' . claims($OLD,
                                          kapokmq => { consume => ['x'] }));
        $renewed->send('Bearer ' . claims($NEW));
        $renewed->send('Bearer x');
        wait_for {
            $late->() || 4 == grep { /^error: / } @{$renewed->texts}
        } 'what does not renew it';
    }
    if ($late->()) {
        wait_for { !grep { !$_->closed && !$_->failed } $consumer, $renewed }
                 'too late';
        $stream->stop;
        next;
    }
    like(join("\n", @{$renewed->texts}),
         qr/another subject\n.*no right to this topic\n.*is wrong\n.*is wrong/,
         'and why');
    $renewed->send('Bearer ' . claims($OLD));

    wait_for { $consumer->closed } 'its time is over';
    # time() is a tick behind the clock that nginx goes by
    cmp_ok(Time::HiRes::time() + 0.01, '>=', $until, 'not before');
    is_deeply($consumer->closed, [1008, 'token expired'], 'which is told');
    wait_for { $stream->status == 401 } 'the stream has to have another one';
    ok(!$renewed->closed, 'the one with a new one goes on');
    $mq->publish('t.time', 'still');
    wait_for { @{$renewed->messages} == 1 } 'and is pushed to';
    $renewed->finish;
    $stream->stop;
    last;
}

# --- a reload
{
    my @stay = (connected('/Consumers/Conn/t.stay/secret', 'sesame'),
                connected('/Consumers/Conn/t.stay/sure', 'sure'));
    my @go = (connected('/Producers/Conn/t.go/p', 'one'),
              connected('/Consumers/Conn/t.go/c', 'one'),
              connected('/Consumers/Conn/t.go/token', claims($OLD)));
    my $stream = KapokMQ::Stream->new($mq, 't.go', 'stream', key => 'one', again => 1);
    wait_for { $stream->open } 'a stream';

    $mq->reload(yaml => yaml(
        drainTime => 30,
        keys => '{ shop: { key: [two], produce: [t.*], consume: [t.*] },
                   sure: { key: sure, consume: [t.*] } }',
        tokens => qq({ algorithms: [HS256], secret: ["$NEW"] })));
    wait_for { !grep { !$_->closed } @go } 'those that are not covered go';
    is(join(' ', map { $_->closed->[0] } @go), '1008 1008 1008', 'with 1008');
    wait_for { $stream->status == 401 } 'a stream, too';
    $stream->stop;
    wait_for { !grep { !$_->closed } @stay } 'the others are drained';
    is(join(' ', map { $_->closed->[0] } @stay), '1001 1001', 'with 1001');
    is($mq->raw('/Consumers/Conn/t.go/c', key => 'one')->status, 401,
       'the old key');
    is($mq->raw('/Consumers/Conn/t.go/c', key => 'two')->status, 101,
       'the new one');
    is($mq->raw('/Consumers/Conn/t.go/c', key => claims($OLD))->status, 401,
       'a token of the old secret');
    is($mq->raw('/Consumers/Conn/t.go/c', key => claims($NEW))->status, 101,
       'and of the new one');
}

# --- a right that a reload takes
{
    my $consumer = connected('/Consumers/Conn/t.less/c', 'two');
    $mq->reload(yaml => yaml(keys =>
        '{ shop: { key: [two], produce: [t.*], consume: [t.more] } }'));
    wait_for { $consumer->closed } 'a right is taken';
    is($consumer->closed->[0], 1008, 'with 1008');
}

# --- more of them than are looked at in one turn, and no time to drain
{
    $mq->renew(yaml => yaml(keys => '{ many: { key: many, consume: [t.*] },
                                       sure: { key: sure, consume: [t.*] } }'));
    my @clients = map { $mq->raw("/Consumers/Conn/t.many/c$_",
                                 key => $_ % 2 ? 'many' : 'sure') } 1 .. 600;
    is(scalar(grep { $_->status == 101 } @clients), 600, '600 are in');
    $mq->renew(yaml => yaml(keys => '{ sure: { key: sure,
                                               consume: [t.*] } }'));
    my %code;
    $code{$_->close_code}++ for map { $clients[2 * $_] } 0 .. 299;
    is_deeply(\%code, { 1008 => 300 }, 'all that are not covered, 1008');
    %code = ();
    $code{$_->close_code}++ for map { $clients[2 * $_ + 1] } 0 .. 299;
    is_deeply(\%code, { 1001 => 300 }, 'the others, 1001');
    $_->close for @clients;
}

$mq->finish;
done_testing;
