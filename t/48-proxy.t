# A proxy in front, nginx's own, that cuts what has been idle for five seconds:
# with a heartbeat of two nothing is cut in half a minute, without one all is.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use KapokMQ::Stream;
use KapokMQ::Test;

use constant { BEAT => 2, CUT => 5, IDLE => 30 };

my $port = KapokMQ::Suite::free_port();
my $mq = KapokMQ::Test->start(
    port => $port, yaml => { heartbeat => BEAT },
    allow => qr/upstream timed out .* while \w+ (?:upstream|upgraded)/,
    topics => <<'YAML', conf => <<"CONF", http => <<'HTTP');
    quiet: { heartbeat: 0 }
YAML
        location /proxied/ {
            proxy_pass http://127.0.0.1:$port/;
            proxy_http_version 1.1;
            proxy_set_header Upgrade \$http_upgrade;
            proxy_set_header Connection \$upgrade;
            proxy_buffering off;
            proxy_read_timeout ${\CUT}s;
        }
CONF
        map $http_upgrade $upgrade { default upgrade; '' ''; }
HTTP
my @modes = qw(pong ack socket);

# A producer, consumers and streams of that topic, through the proxy.
sub clients {
    my ($topic) = @_;

    return (
        producer => $mq->login("/proxied/Producers/Conn/$topic/p"),
        (map {
            $_ => $mq->login("/proxied/Consumers/Conn/$topic/$_?confirm=$_",
                             ack => $_ eq 'ack')
        } @modes),
        map {
            ("events_$_" => KapokMQ::Stream->new($mq, $topic, "events_$_",
                path => "/proxied/Consumers/Events/$topic/events_$_",
                query => { confirm => $_ }))
        } qw(socket ack),
    );
}

# Whether its connection is there.
sub is_there {
    my ($client) = @_;

    return $client->isa('KapokMQ::Stream') ? $client->open : !$client->closed;
}

# pings, or their like
sub beats {
    my ($client) = @_;

    return $client->isa('KapokMQ::Stream') ? $client->comments
                                           : $client->pings;
}

my %kept = clients('all');
my %control = clients('quiet');
my @kept = sort keys %kept;
wait_for { !grep { !is_there($_) } values %kept, values %control }
         'all are connected';

# who is pinged knows how long that was
my $clock = $mq->consumer('other', 'clock');
wait_for { $clock->pings >= IDLE / BEAT } 'half a minute';

ok(!is_there($control{$_}), "$_: cut without a heartbeat") for sort keys %control;
for my $who (@kept) {
    ok(is_there($kept{$who}), "$who: not with one");
    cmp_ok(beats($kept{$who}), '>=', IDLE / BEAT - 3, 'which is why');
}
is((() = $mq->log =~ /upstream timed out/g), keys %control,
   'the proxy tells of no others');

# and each still does what it is there for
my @consumers = grep { $_ ne 'producer' } @kept;
$kept{producer}->send(map { "m$_" } 1 .. 200);
wait_for { @{$kept{producer}->texts} == 200 } 'messages are accepted';
wait_for {
    200 == map { @{$kept{$_}->messages} } @consumers
} 'and come';
ok(@{$kept{$_}->messages} > 0, "$_: some to each") for @consumers;

$_->isa('KapokMQ::Stream') ? $_->stop : $_->finish for values %kept, $clock;
$mq->finish;
done_testing;
