# Numbers that follow from a seed alone, whatever else asks for some: so each
# client does the same again when its seed is the same.

package KapokMQ::Storm::Random;

use strict;
use warnings;

sub new {
    my ($class, $seed) = @_;
    my $self = bless \$seed, $class;

    $self->below(1) for 1 .. 8;         # seeds that are close, too
    return $self;
}

# 0 to $n - 1.
sub below {
    my ($self, $n) = @_;

    use integer;
    $$self = $$self * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407;
    return (($$self >> 33) & 0x7fff_ffff) % $n;
}

sub within { my ($self, $from, $to) = @_; $from + $self->below($to - $from + 1) }
sub chance { my ($self, $percent) = @_; $self->below(100) < $percent }
sub part   { $_[0]->below(1 << 24) / (1 << 24) }        # 0 to 1

# One of them.
sub pick { my $self = shift; $_[$self->below(scalar @_)] }

# A name, by weights: name => weight, ...
sub weighed {
    my ($self, @list) = @_;
    my $sum = 0;

    $sum += $list[2 * $_ + 1] for 0 .. $#list / 2;
    my $n = $self->below($sum);
    while (1) {
        my ($name, $weight) = splice @list, 0, 2;
        return $name if $n < $weight;
        $n -= $weight;
    }
}

# Many are some that repeat, with a period that divides nothing.
sub bytes {
    my ($self, $n) = @_;
    my $some = pack 'C*', map { $self->below(256) } 1 .. ($n < 61 ? $n : 61);

    return $n <= 61 ? $some : substr $some x ($n / 61 + 1), 0, $n;
}

# A size: mostly small, at times at one of the limits.
sub size {
    my ($self) = @_;

    return $self->below(20) if $self->chance(60);
    return $self->below(600) if $self->chance(70);
    return $self->below(9000) if $self->chance(50);
    return $self->pick((125, 126, 127, 4095, 4096, 16_384) x 2, 65_535,
                       65_536, 65_537, 400_000) + $self->within(-1, 1);
}

# The same bytes with a fault or a few.
sub mutate {
    my ($self, $bytes) = @_;

    for (1 .. $self->within(1, 3)) {
        my $at = $self->below(length($bytes) + 1);
        my $few = $self->within(1, 8);
        my $how = $self->weighed(change => 5, cut => 2, insert => 2,
                                 double => 2, end => 1);
        $few = length($bytes) - $at if $at + $few > length $bytes;
        if ($how eq 'change' && $at < length $bytes) {
            substr $bytes, $at, 1, chr $self->below(256);
        } elsif ($how eq 'cut') {
            substr $bytes, $at, $few, '';
        } elsif ($how eq 'insert') {
            substr $bytes, $at, 0, $self->bytes($few);
        } elsif ($how eq 'double') {
            substr $bytes, $at, 0, substr $bytes, $at, $few;
        } elsif ($how eq 'end') {
            $bytes = substr $bytes, 0, $at;
        }
    }

    return $bytes;
}

1;
