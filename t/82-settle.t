# Deliveries are settled by HTTP: in which forms, whose they may be, and what is
# answered.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use KapokMQ::Puller;
use KapokMQ::Stream;
use KapokMQ::Test;

my $mq = KapokMQ::Test->start(
    yaml => { retryDelay => 0, confirm => 'ack' },
    topics => "    news: { pushType: 2 }\n");
my $post = KapokMQ::Puller->new($mq);
my $no = '0' x 40;

sub settle {
    my ($parameters) = @_;
    my ($status, $json) = $post->now('/Consumers/Settle', $parameters);

    return $status == 200 ? $json->{data} : [$status, $json->{msg}];
}

sub done {
    my ($confirmed, $returned, $extended, @not) = @_;

    return { confirmed => $confirmed, returned => $returned,
             extended => $extended, notInFlight => \@not };
}

# So many messages of a topic, leased; their codes.
sub pulled {
    my ($topic, $n, $id) = @_;

    $mq->publish_many($topic, map { "m$_" } 1 .. $n);
    my ($status, $json) = $post->now("/Consumers/Pull/$topic/" . ($id // 'c1'),
                                     { max => $n, wait => 10, lease => 600 });
    my @codes = map { $_->{MessageCode} } @{$json->{data}};
    is(scalar @codes, $n, "$n messages of $topic");
    return @codes;
}

# --- what is refused: nothing is done then
my @c = pulled('refused', 2);
for my $case (
    ['', qr/confirm, return or extend is required/],
    ['confirm=', qr/confirm, return or extend is required/],
    [{ confirm => [] }, qr/confirm, return or extend is required/],
    [{ id => 'c1' }, qr/confirm, return or extend is required/],
    ["confirm=$c[0]&return=$c[1]", qr/return and extend need the id/],
    ["confirm=$c[0]&extend=$c[1]", qr/return and extend need the id/],
    ["confirm=$c[0],x", qr/confirm must be MessageCodes .*, not "x"/],
    ["confirm=$c[0]&return=${no}0&id=c1", qr/return must be MessageCodes/],
    [{ confirm => [$c[0], "\"$no"] }, qr/confirm must be MessageCodes/],
    [{ confirm => [$c[0], 5] }, qr/confirm must be MessageCodes .* not "5"/],
    [{ confirm => { a => $c[0] } }, qr/an object or an array/],
    [{ confirm => [$c[0]], id => ['c1'] }, qr/an object or an array/],
    ["confirm=$c[0]&confirm=$c[1]", qr/confirm is given more than once/],
    ["confirm=$c[0]&delay=1", qr/delay is for what is returned/],
    ["return=$c[0]&id=c1&delay=-1", qr/delay must be a number of seconds/],
    ["return=$c[0]&id=c1&delay=2592001", qr/delay must be a number of seconds/],
    ["confirm=$c[0]&ids=c1", qr/unknown parameter "ids"/],
    ["confirm=$c[0]&conform=$c[1]", qr/unknown parameter "conform"/],
    ["confirm=$c[0]&id=" . 'x' x 256, qr/id must be of at most 255 bytes/],
) {
    my $answer = settle($case->[0]);
    is(ref $answer eq 'ARRAY' && $answer->[0], 400, 'refused');
    like($answer->[1], $case->[1], 'and why');
}
is(settle({ confirm => [($no) x 10_001] })->[0], 413, 'too many');
is(($post->now('/Consumers/Settle/x', "confirm=$c[0]"))[0], 404,
   'there is nothing behind it');
is_deeply(settle({ confirm => \@c }), done(2, 0, 0), 'they are still there');

# --- forms of lists
@c = pulled('forms', 8);
is_deeply(settle("confirm=$c[0],$c[1]"), done(2, 0, 0), 'with a comma');
is_deeply(settle("confirm=$c[2]+$c[3]%0A"), done(2, 0, 0), 'with white space');
is_deeply(settle("confirm=%5B%22$c[4]%22%5D"), done(1, 0, 0),
          'an array in a form');
is_deeply(settle({ confirm => $c[5] }), done(1, 0, 0), 'one alone');
is_deeply(settle({ confirm => [$c[6], $no, $no], return => undef }),
          done(1, 0, 0, $no, $no), 'what is not there is named');
is_deeply(($post->now("/Consumers/Settle?id=c1", "confirm=$c[7]"))[1]{data},
          done(1, 0, 0), 'the id in the query');
is_deeply(settle({ confirm => $c[7] }), done(0, 0, 0, $c[7]),
          'it is not in flight any more');
is_deeply(settle({ confirm => [($no) x 10_000] })->{notInFlight}[9_999], $no,
          'ten thousand');

# --- whose they are
@c = pulled('whose', 4);
is_deeply(settle({ confirm => $c[0], id => 'other' }), done(0, 0, 0, $c[0]),
          'not with that id');
is_deeply(settle({ return => $c[0], extend => $c[1], id => 'other' }),
          done(0, 0, 0, $c[0], $c[1]), 'nor these');
is_deeply(settle({ confirm => $c[0], return => $c[1], extend => $c[2],
                   id => 'c1' }), done(1, 1, 1), 'with its own all is done');

my @sockets = map { $mq->consumer('socket', "ws$_") } 1 .. 8;
$mq->publish_many('socket', map { "s$_" } 1 .. 40);
wait_for {
    my $n = 0;
    $n += @{$_->messages} for @sockets;
    $n == 40
} 'forty messages on WebSockets';
is_deeply(settle({ confirm => [map { $_->codes } @sockets] }),
          done(40, 0, 0), 'are confirmed by HTTP, whichever worker has them');
$mq->post('/Console/PurgeTopic', { topic => $_ }) for qw(forms whose refused);
$_->finish for @sockets;

# --- publish/subscribe: who has an id settles its own
{
    my @streams = map { KapokMQ::Stream->new($mq, 'news', "c$_",
                                             query => { confirm => 'ack' }) }
                  1, 2;
    wait_for { !grep { !$_->open } @streams } 'two streams';
    $mq->publish('news', 'n1');
    wait_for { !grep { !@{$_->messages} } @streams } 'both get it';
    my ($code) = $streams[0]->codes;
    is_deeply(settle({ confirm => $code }), done(0, 0, 0, $code),
              'whose it is has to be told');
    is_deeply(settle({ confirm => $code, id => 'c1' }), done(1, 0, 0), 'one');
    is_deeply(settle({ confirm => $code, id => 'c1' }), done(0, 0, 0, $code),
              'only once');
    is_deeply(settle({ return => $code, id => 'c2' }), done(0, 1, 0),
              'the other one returns it');
    wait_for { @{$streams[1]->messages} == 2 } 'and gets it again';
    is(scalar @{$streams[0]->messages}, 1, 'the first one does not');
    is_deeply(settle({ confirm => $code, id => 'c2' }), done(1, 0, 0), 'both');
    $mq->counts_become({ unconsumed => 0 }, 'then it is consumed');
    $_->stop for @streams;
}

# --- a message that waits again after it was pushed
{
    my ($code) = pulled('late', 1);
    is_deeply(settle({ return => $code, id => 'c1', delay => 600 }),
              done(0, 1, 0), 'it is given back');
    is_deeply(settle({ confirm => $code }), done(1, 0, 0),
              'and confirmed after all');
}

$mq->finish;
done_testing();
