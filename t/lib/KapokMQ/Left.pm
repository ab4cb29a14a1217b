# What a storm must not leave: messages, clients, connections, memory of the
# zone or of a worker.

package KapokMQ::Left;

use strict;
use warnings;

use Exporter qw(import);
use Test::More;

use KapokMQ::Test;

our @EXPORT = qw(capacity connections is_empty nobody_there own_memory);

sub is_empty {
    my ($mq) = @_;
    my $counts = $mq->counts or return 0;

    return !grep { $_ } @$counts{qw(unconsumed delay consumed)};
}

sub nobody_there {
    my ($mq) = @_;
    my $clients = $mq->clients or return 0;

    return !@{$clients->{producers}} && !@{$clients->{consumers}};
}

# How many messages of one size the zone takes until it refuses one.
sub capacity {
    my ($mq, $name) = @_;
    my $data = 'x' x 1000;
    my $producer = $mq->producer('fill', 'p1');
    my $sent = 0;

    wait_for {
        my $missing = $sent - @{$producer->texts};
        if ($missing < 500) {
            $producer->send(($data) x 500);
            $sent += 500;
        }
        my ($status) = $mq->post('/Producer/Send',
            { topic => 'fill', messageData => $data });
        $status == 503;
    } "$name: the zone is full";
    my $capacity = $mq->counts->{unconsumed};

    $producer->drop;
    my $consumer = $mq->consumer('fill', 'c1', confirm => 'socket');
    wait_for { @{$mq->clients->{producers}} == 0 && is_empty($mq) }
             "$name: and empty again";
    # and some of those that had found no room
    wait_for { @{$consumer->messages} >= $capacity } "$name: all of them come";
    $consumer->finish;
    wait_for { nobody_there($mq) } "$name: nobody there";

    return $capacity;
}

# Sockets of a worker that are a client's, whose end it may not have seen yet:
# all that do not listen, and are not nginx's own channels.
sub connections {
    my ($pid) = @_;
    my %other;

    for my $kind (qw(tcp unix)) {
        open my $in, '<', "/proc/net/$kind" or die "/proc/net/$kind: $!";
        while (my $line = <$in>) {
            my @field = split ' ', $line;
            $other{$field[6]} = 1 if $kind eq 'unix';
            $other{$field[9]} = 1 if $kind eq 'tcp' && $field[3] eq '0A';
        }
    }

    return scalar grep { /^socket:\[(\d+)\]/ && !$other{$1} }
                  map { readlink($_) // '' } glob "/proc/$pid/fd/*";
}

# KiB that are a worker's own.
sub own_memory {
    my ($pid) = @_;

    open my $in, '<', "/proc/$pid/status" or return 0;
    my ($kb) = join('', <$in>) =~ /^RssAnon:\s+(\d+)/m;
    return $kb;
}

1;
