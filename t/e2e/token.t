# A page in Chromium with a token for one topic: it listens, and can do nothing
# else; its connection ends with its token, unless it has renewed that.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use IPC::Open2 qw(open2);
use Mojo::JSON qw(decode_json encode_json);
use Test::More;
use Time::HiRes ();
use KapokMQ::Test;
use KapokMQ::Token;

my $SECRET = 'a secret of thirty-two bytes, 012';
my $mq = KapokMQ::Test->start(
    yaml => { tokens => qq({ algorithms: [HS256], secret: "$SECRET" }) },
    conf => 'location = /metrics { kapokmq_metrics key; }');
KapokMQ::Test::_spew($mq->dir . '/html/page.html', '<!DOCTYPE html>'
                     . '<title>A page</title><link rel="icon" href="data:,">');
# the browser's own files go where the server's are
$ENV{HOME} = $ENV{TMPDIR} = $mq->dir;

sub token_until {
    my ($exp) = @_;

    return token($SECRET, exp => $exp, sub => 'anna',
                 kapokmq => { consume => ['inbox.{sub}'], id => '{sub}' });
}

my $pid = open2(my $out, my $in, 'node', 't/e2e/token.js', $mq->port,
                $mq->dir . '/chromium');
is(scalar(<$out>), "ready\n", 'a browser');
# so many seconds a token has to be good for here: longer, until a page has
# listened with one
my $TIME = 4;

# A page listens.
sub page {
    my ($name, %page) = @_;

    print {$in} encode_json(\%page), "\n";
    $in->flush;
    is(scalar(<$out>), "listens\n", "$name: a page");
}

# What the last one has seen.
sub seen { return eval { decode_json(scalar <$out>) } // {} }

# --- one that expires
my $other = $mq->publish('inbox.bob', 'for bob');
my $tries = 0;
my ($exp, $seen);
do {
    $TIME *= 2 if $tries++;
    $mq->post('/Console/PurgeTopic', { topic => 'inbox.anna' });
    $mq->publish('inbox.anna', 'first');
    $exp = time + $TIME;
    page('expires', token => token_until($exp),
         like => token_until($exp + 600), code => $other);
    $mq->publish('inbox.anna', 'second');
    $seen = seen();
} while (@{$seen->{texts} // []} < 3 && $TIME < 100);
# what the clocks of the kernel differ by
cmp_ok($seen->{time} + 0.01, '>=', $exp, 'not before its time');
cmp_ok($seen->{time}, '<', $exp + 2 * slower(), 'nor long after it');
is_deeply($seen->{closed}, [1008, 'token expired'], 'it is told why');
is($seen->{protocol}, 'kapokmq', 'the subprotocol');
is_deeply($seen->{texts}, ['Secret key matching succeeded', 'first', 'second'],
          'what came until then');

my $tried = $seen->{tried};
is(delete $tried->{settled}, 0, 'what others have it cannot settle');
for my $door (sort keys %$tried) {
    # a browser's 1006: no connection, the answer was 403
    is($tried->{$door}, $door =~ /by a frame/ ? 1008
                        : $door =~ /Conn/ ? 1006 : 403, $door);
}
is(keys %$tried, 6 + 5 + 13, 'all were tried');
is($mq->post('/Console/GetTopic', { topic => 'inbox.bob' })->{data}{Waiting},
   1, 'and nothing has come of it');
is($mq->post('/Console/GetTopic', { topic => 'inbox.anna' })->{data}{Published},
   2 * $tries, 'nowhere');

# --- one that is renewed
$tries = 0;
do {
    $TIME *= 2 if $tries++;
    $mq->post('/Console/PurgeTopic', { topic => 'inbox.anna' });
    $exp = time + $TIME;
    page('renewed', token => token_until($exp),
         later => token_until($exp + 600));
    wait_for { Time::HiRes::time() > $exp + 1 } 'the first token is over';
    $mq->publish('inbox.anna', 'stop');
    $seen = seen();
} while (!@{$seen->{texts} // []} && $TIME < 100);
is_deeply($seen->{texts}, ['Secret key matching succeeded', 'stop'],
          'and it listens still');

# --- one that comes too late
page('late', token => token_until(time - 1));
is_deeply(seen()->{closed}, [1006, ''], 'one that has expired does not begin');

close $in;
waitpid $pid, 0;
is($?, 0, 'the browser ends');
$mq->finish;
done_testing;
