# What the suites of persistence share: the files of a queue, what is in them,
# and whether two views of a queue are the same.
#
#     my $mq = KapokMQ::Test->start(yaml => { isPersistent => 2 });
#     ...
#     written($mq);
#     my $before = snapshot($mq);
#     $mq->kill_all;
#     $mq->launch;
#     is_deeply(snapshot($mq), $before, 'all is as it was');
#
# Nothing of the module's own code is used here: what is read of the files is
# read as docs/format.md describes them.

package KapokMQ::Disk;

use strict;
use warnings;

use Exporter qw(import);
use Test::More;

use KapokMQ::Test;

our @EXPORT = qw(count_records directory files generation is_checkpointed
                 is_in_files journals kill_worker log_since records slurp
                 snapshot spew written written_records);

# types of records
our %TYPE = (message => 1, delivered => 2, consumed => 3, dead => 4,
             requeued => 5, gone => 6, counts => 7, topic => 8, queue => 9,
             end => 10, messages => 11);

my $markers = 0;


# ---------------------------------------------------------------- the files

sub directory {
    my ($mq) = @_;
    my $name = ($mq->{yaml} // {})->{persistentFile} // 'MQDATA';

    return $name =~ m{^/} ? $name : $mq->dir . "/$name";
}

# Paths of the journals and checkpoints, or of those that a pattern names.
sub files {
    my ($mq, $pattern) = @_;

    $pattern //= qr/^(?:journal|checkpoint)-[0-9a-f-]+$/;
    opendir my $dir, directory($mq) or return;
    return map { directory($mq) . "/$_" } sort grep { /$pattern/ } readdir $dir;
}

sub journals { return files($_[0], qr/^journal-[0-9a-f-]+$/) }

sub slurp {
    my ($path) = @_;

    open my $in, '<:raw', $path or return '';
    local $/;
    return scalar(<$in>) // '';
}

# Writes a file as nginx makes them.
sub spew {
    my ($path, $bytes) = @_;

    my $before = umask 077;
    open my $out, '>:raw', $path or die "$path: $!";
    print {$out} $bytes;
    close $out or die "$path: $!";
    umask $before;
}

# The newest checkpoint's generation, 0: there is none.
sub generation {
    my ($mq) = @_;
    my @names = files($mq, qr/^checkpoint-[0-9a-f]+$/);

    return @names ? $names[-1] =~ /checkpoint-([0-9a-f]+)$/ && hex $1 : 0;
}

# Waits for a checkpoint newer than that generation, and until nothing older is
# left.
sub is_checkpointed {
    my ($mq, $generation, $name, $patience) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return wait_for {
        my $now = generation($mq);
        $now > $generation
            && !grep { /-([0-9a-f]+)(?:-|$)/ && hex $1 < $now } files($mq)
    } $name // 'a new checkpoint, and what is older has gone', $patience;
}

# A varint: its value, and the offset behind it.
sub varint {
    my ($bytes, $at) = @_;
    my ($value, $shift) = (0, 0);

    for (;;) {
        my $byte = ord substr $bytes, $at++, 1;
        $value |= ($byte & 0x7f) << $shift;
        return ($value, $at) if $byte < 0x80;
        $shift += 7;
    }
}

# The messages of a record of several, each as a record of its own.
sub messages {
    my ($bytes, $r, $name) = @_;
    my $at = $r->{at} + 28 + $name;
    my $topic = substr $bytes, $r->{at} + 28, $name;
    my @messages;

    for my $n (1 .. unpack 'L<', substr $bytes, $r->{at} + 24, 4) {
        my (undef, $body) = varint($bytes, $at);
        (my $size, $body) = varint($bytes, $body);
        push @messages, { %$r, type => $TYPE{message}, topic => $topic,
                          lsn => $r->{lsn} + $n - 1,
                          body => substr($bytes, $body, $size) };
        $at = $body + $size;
    }

    return @messages;
}

# The records of a file, up to the first that is not whole:
# { at, size, lsn, type, kind, topic, count, body }.  Several messages in one
# are several.
sub records {
    my ($path) = @_;
    my $bytes = slurp($path);
    my @records;

    for (my $at = 64; $at + 24 <= length $bytes; ) {
        my (undef, $size, $lsn, $type, $kind, $name) =
            unpack "\@$at L< L< Q< C C C", $bytes;
        last if $size < 24 || $at + $size > length $bytes;
        my %r = (at => $at, size => $size, lsn => $lsn, type => $type,
                 kind => $kind);
        if ($type == $TYPE{message}) {
            $r{topic} = substr $bytes, $at + 52, $name;
            $r{body} = substr $bytes, $at + 52 + $name, $size - 52 - $name;
        } elsif ($type >= $TYPE{delivered} && $type <= $TYPE{gone}) {
            $r{count} = unpack 'L<', substr $bytes, $at + 24, 4;
        }
        push @records, $type == $TYPE{messages} ? messages($bytes, \%r, $name)
                                                : \%r;
        $at += ($size + 7) & ~7;
    }

    return @records;
}

# How many messages the records of a type in all journals are about.
sub count_records {
    my ($mq, $type) = @_;
    my $n = 0;

    for my $record (map { records($_) } journals($mq)) {
        $n += $record->{count} // 1 if $record->{type} == $TYPE{$type};
    }

    return $n;
}

sub is_in_files {
    my ($mq, $text) = @_;

    return scalar grep { index(slurp($_), $text) >= 0 } files($mq);
}


# ------------------------------------------------------------------ waiting

# Waits until the journals tell of so many messages of a type.
sub written_records {
    my ($mq, $type, $n, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return wait_for { count_records($mq, $type) >= $n } $name;
}

# Waits until all that has happened is in the files: a worker writes what it has
# changed in the order in which that happened, so a message that it takes now
# comes behind.  Those messages stay, in the topic "marker".
sub written {
    my ($mq) = @_;
    my %left = map { $_ => 1 } $mq->worker_pids;
    my %marker;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    for (1 .. 1000) {
        last if !%left;
        my $text = sprintf 'marker %d.%d.', $$, ++$markers;
        my ($status, undef, $result) = $mq->post('/Producer/Send',
            { topic => 'marker', messageData => $text });
        my $pid = $result->headers->header('X-Worker');
        $marker{$text} = 1 if $status == 200 && delete $left{$pid};
    }
    ok(!%left, 'each worker takes a message');

    return wait_for {
        for my $text (keys %marker) {
            delete $marker{$text} if is_in_files($mq, $text);
        }
        !%marker
    } 'all is in the files';
}

# Kills a worker and waits for the one in its place.
sub kill_worker {
    my ($mq, $pid) = @_;

    $pid //= ($mq->worker_pids)[0];
    kill 'KILL', $pid;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    wait_for {
        my @pids = $mq->worker_pids;
        @pids == $mq->{workers} && !grep { $_ == $pid } @pids
    } 'another one takes the place of a killed worker';
}


# ------------------------------------------------------------------- views

# What there is, as far as the console knows: the counts, and all messages with
# their data by their codes. Who has them is another matter.
sub snapshot {
    my ($mq) = @_;
    my %messages = map { $_ => $mq->find($_) } $mq->codes;

    for (values %messages) {
        delete @$_{qw(InFlight Consumer)};

        # two clocks tell it, which may be at the end of a second
        next unless defined(my $due = $_->{DueTime});
        my $late = $due - $_->{CreateTime} - $_->{DelayTime};
        $_->{DueTime} = abs($late) <= 1 ? 'as it was sent' : $due;
    }

    return { counts => $mq->counts, messages => \%messages };
}

# What has come to the error log since it had that length.
sub log_since {
    my ($mq, $before) = @_;

    return substr $mq->log, $before;
}

1;
