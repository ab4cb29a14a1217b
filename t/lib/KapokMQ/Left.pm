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

# Sockets of a worker that are connected to a client, on one of the ports.
sub connections {
    my ($mq, $pid, @ports) = @_;
    my %inode = map { (readlink($_) // '') =~ /^socket:\[(\d+)\]/
                      ? ($1 => 1) : () } glob "/proc/$pid/fd/*";
    my $port = join '|', map { sprintf '%04X', $_ } $mq->port, @ports;

    open my $in, '<', '/proc/net/tcp' or die "/proc/net/tcp: $!";
    my @line = map { [split] } <$in>;
    # no listening ones
    return scalar grep { $_->[1] =~ /:(?:$port)$/ && $_->[3] ne '0A'
                         && $inode{$_->[9]} } @line;
}

# KiB that are a worker's own.
sub own_memory {
    my ($pid) = @_;

    open my $in, '<', "/proc/$pid/status" or return 0;
    my ($kb) = join('', <$in>) =~ /^RssAnon:\s+(\d+)/m;
    return $kb;
}

1;
