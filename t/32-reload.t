# Reloads under load: nothing is lost; consumers of old workers are told to
# come again (1001) and do. And the end of the server: 1001 for everybody.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use KapokMQ::Test;

my $mq = KapokMQ::Test->start;

# Clients as a careful application has them: a producer sends what got no
# answer again on its next connection, a consumer reconnects.
my (%got, @going_away, $stop);
my $expected = 4000;
my %stamp;

sub consume {
    my ($name) = @_;
    my $client = $mq->connect("/Consumers/Conn/topic/$name",
        headers => { secretKey => 'sesame' },
        on_message => sub { $got{$_[1]{MessageData}}++ });
    $stamp{$name} = $client;
}

# one message at a time, so that what was accepted is known
my (@pending, %accepted);
my %producing;

sub produce {
    my ($name) = @_;
    $producing{$name} = {
        client => $mq->connect("/Producers/Conn/topic/$name",
            headers => { secretKey => 'sesame' }),
        sent => undef, known => 0,
    };
}

sub turn {
    for my $name (keys %producing) {
        my $p = $producing{$name};
        my $client = $p->{client};
        if ($client->closed || $client->failed) {
            push @going_away, $client->closed->[0] if $client->closed;
            # not known whether it is in: sent again under another name
            push @pending, "$p->{sent}'" if defined $p->{sent};
            produce($name);
            next;
        }
        next unless @{$client->texts};
        if (!$p->{known}) {
            shift @{$client->texts};
            $p->{known} = 1;
        } elsif (defined $p->{sent}) {
            $accepted{$p->{sent}} = 1 if shift @{$client->texts} eq 'ok';
            undef $p->{sent};
        }
        if (!defined $p->{sent} && @pending) {
            $p->{sent} = shift @pending;
            $client->send($p->{sent});
        }
    }
    for my $name (keys %stamp) {
        my $client = $stamp{$name};
        if ($client->closed || $client->failed) {
            push @going_away, $client->closed->[0] if $client->closed;
            consume($name);
        }
    }
}

consume("c$_") for 1 .. 6;
@pending = map { "m$_" } 1 .. $expected;
produce("p$_") for 1 .. 6;

my $recurring = Mojo::IOLoop->recurring(0.001 => \&turn);
for my $round (1 .. 3) {
    my $goal = $expected * $round / 5;
    wait_for { keys %accepted >= $goal } "$goal are accepted";
    my %old = map { $_ => 1 } $mq->worker_pids;
    $mq->signal('HUP');
    wait_for {
        my @now = $mq->worker_pids;
        @now == $mq->{workers} && !grep { $old{$_} } @now
    } "reload $round: the old workers are gone";
}
wait_for { !@pending && !grep { defined $_->{sent} } values %producing }
         'everything is sent';
wait_for { $mq->counts->{unconsumed} == 0 } 'and consumed';
Mojo::IOLoop->remove($recurring);

cmp_ok(scalar(keys %accepted), '>=', $expected - 18, 'nearly all were ok');
is((grep { !$got{$_} } keys %accepted), 0, 'no accepted message is lost');
cmp_ok(scalar(grep { $_ == 1001 } @going_away), '>=', 12,
       'clients of old workers were told 1001');
is((grep { $_ != 1001 } @going_away), 0, 'and nothing else');

# A reload that fails leaves all as it is.
my %before = map { $_ => 1 } $mq->worker_pids;
my $right = $mq->{yaml};
$mq->configure(yaml => { pushType => 7 });
$mq->signal('HUP');
wait_for { $mq->log =~ /\[emerg\][^\n]*pushType/ } 'a bad setting is refused';
is((grep { !$before{$_} } $mq->worker_pids), 0, 'the workers stay');
is($mq->post('/Console/GetConfig')->{data}{pushType}, 1,
   'and so do the settings');

# A zone of another size takes a restart.
$mq->configure(yaml => $right, zone => '32m');
$mq->publish('kept', 'still there');
$mq->signal('HUP');
wait_for { $mq->log =~ /kapokmq_zone|zone[^\n]*size|size[^\n]*zone/ }
         'another size is refused, or said';
my $kept = $mq->consumer('kept', 'c1');
wait_for { @{$kept->messages} == 1 } 'and no message is lost by it';
$kept->finish;

# New settings hold after a reload.
$mq->renew(zone => '64m', yaml => { %{$right // {}}, prefetch => 3 });
wait_for { $mq->post('/Console/GetConfig')->{data}{prefetch} == 3 }
         'new settings hold';

# The end: in flight is confirmed or put back, 1001.
my $consumer = $mq->consumer('end', 'c1', confirm => 'ack');
my $producer = $mq->producer('end', 'p1');
$producer->send('unconfirmed');
wait_for { @{$consumer->messages} == 1 } 'one message in flight';
$mq->signal('QUIT');
wait_for { $consumer->closed && $producer->closed } 'QUIT: all are closed';
is($consumer->closed->[0], 1001, 'the consumer with 1001');
is($producer->closed->[0], 1001, 'the producer with 1001');
$mq->{allow} = qr/pushType|application\.yaml|zone/;
$mq->finish('QUIT');
done_testing;
