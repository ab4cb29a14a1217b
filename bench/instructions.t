#!/usr/bin/perl
# Instructions that a message takes, counted by callgrind: the same each time,
# whatever else the machine does.  More than a tenth above what is stored here
# is a failure; a tenth below is worth storing.
use strict;
use warnings;
use Test::More;
use File::Temp 'tempdir';

# parts of kmq-instructions, by what it is called with; per message
my %stored = (
    raw => { part_publish => 698, part_push => 548, part_confirm => 186 },
    json => { part_publish => 1127 },
    'fan-out' => { part_fan_out => 10_895 },
);

my $messages = 64_000;             # more than twice what is kept as history
my $bound = 1.1;
my $dir = tempdir(CLEANUP => 1);

chdir 'bench' if -d 'bench';

is(system('make', '-s', '-j2', '../build/bench/kmq-instructions'), 0, 'build')
    or die 'kmq-instructions is not built';

# what each function and those that it calls took
sub counted {
    my ($kind) = @_;
    my $file = "$dir/$kind";

    is(system('valgrind', '-q', '--tool=callgrind',
              "--callgrind-out-file=$file",
              '../build/bench/kmq-instructions', $messages, $kind), 0,
       "$kind: callgrind");

    my %count;
    for (qx(callgrind_annotate --inclusive=yes --threshold=100 $file)) {
        next unless /^\s*([\d,]+)\s.*:(part_\w+)/;
        (my $n = $1) =~ tr/,//d;
        $count{$2} //= $n / $messages;
    }

    return \%count;
}

for my $kind (sort keys %stored) {
    my $count = counted($kind);

    for my $part (sort keys %{ $stored{$kind} }) {
        my $most = $stored{$kind}{$part};
        my $n = $count->{$part} // 'nothing';

        diag(sprintf '%s, %s: %.0f instructions, stored are %d',
             $kind, $part, $n, $most) if $n ne 'nothing';
        cmp_ok($n eq 'nothing' ? 'inf' : $n, '<=', $most * $bound,
               "$kind, $part");
    }
}

done_testing;
