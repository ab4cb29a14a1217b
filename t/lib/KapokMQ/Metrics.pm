# Reads what kapokmq_metrics answers, strictly: read_openmetrics() dies where
# the text is not OpenMetrics 1.0, read_text() where it is not Prometheus' text
# format 0.0.4 as we write it.  Both return
#
#     { samples => { 'name{label="value"}' => number, ... },
#       names   => { 'name of a sample' => type, ... },
#       labels  => { 'name{label="value"}' => { label => 'value' }, ... } }
#
# with label values unescaped, as bytes.

package KapokMQ::Metrics;

use strict;
use warnings;

use Encode qw(decode FB_CROAK);
use Exporter qw(import);

our @EXPORT_OK = qw(read_openmetrics read_text);

my $Name = qr/[a-zA-Z_:][a-zA-Z0-9_:]*/;
my $Label = qr/[a-zA-Z_][a-zA-Z0-9_]*/;
my $Number = qr/-?(?:\d+(?:\.\d+)?)(?:e[-+]?\d+)?/;

# Which samples a family of a type has, by the ends of their names.
my %Suffixes = (
    counter => ['_total'], gauge => [''], info => ['_info'],
    histogram => ['_bucket', '_sum', '_count'],
);

sub read_openmetrics {
    my ($text) = @_;

    $text =~ s/# EOF\n\z// or die "no # EOF at the end\n";
    return _read($text, \%Suffixes, qr/HELP|TYPE|UNIT/);
}

sub read_text {
    my ($text) = @_;

    return _read($text, { %Suffixes, counter => [''] }, qr/HELP|TYPE/);
}

sub _read {
    my ($text, $suffixes, $keywords) = @_;
    my $all = { samples => {}, names => {}, labels => {} };
    my (%seen, $family);

    decode('UTF-8', my $copy = $text, FB_CROAK);
    $text =~ s/\n\z// or die "no line feed at the end\n";
    for my $line (split /\n/, $text, -1) {
        if ($line =~ /^# ($keywords) ($Name) (.+)\z/s) {
            my ($keyword, $name, $value) = ($1, $2, $3);
            if (!$family || $family->{name} ne $name) {
                _end($family);
                die "$name comes twice\n" if $seen{$name}++;
                $family = { name => $name };
            }
            die "$keyword of $name comes twice\n"
                if exists $family->{$keyword};
            die "$keyword of $name behind samples\n" if $family->{samples};
            $family->{$keyword} = $value;
            next;
        }
        _sample($all, $family, $line, $suffixes);
    }
    _end($family);

    return $all;
}

sub _sample {
    my ($all, $family, $line, $suffixes) = @_;

    $line =~ /^($Name)(\{.*\})? ($Number)\z/s or die "no sample: $line\n";
    my ($name, $labels, $value) = ($1, $2 // '', $3);
    die "$name before its TYPE\n" unless $family && $family->{TYPE};
    my $type = $family->{TYPE};
    my ($suffix) = grep { $name eq "$family->{name}$_" }
                   @{$suffixes->{$type} // die "type $type\n"};
    die "$name in the family $family->{name}\n" unless defined $suffix;

    my $pairs = _labels($labels);
    my $key = "$name$labels";
    die "$key comes twice\n" if exists $all->{samples}{$key};
    die "$key is negative\n" if $type eq 'counter' && $value < 0;
    $family->{samples}++;
    push @{$family->{buckets}}, [$pairs->{le}, $value]
        if $suffix eq '_bucket';
    $family->{count} = $value if $suffix eq '_count';
    die "$key is not 1\n" if $type eq 'info' && $value != 1;
    $all->{samples}{$key} = $value;
    $all->{names}{$name} = $type;
    $all->{labels}{$key} = $pairs;
}

sub _labels {
    my ($text) = @_;
    my %labels;

    return {} if $text eq '';
    $text =~ s/^\{// && $text =~ s/\}\z// or die "labels: $text\n";
    while ($text =~ /\G($Label)="((?:[^\\"\n]|\\["\\n])*)"(,|\z)/gcs) {
        my ($name, $value, $more) = ($1, $2, $3);
        die "label $name comes twice\n" if exists $labels{$name};
        $value =~ s/\\(.)/$1 eq 'n' ? "\n" : $1/ge;
        $labels{$name} = $value;
        last if $more eq '';
    }
    die "labels: $text\n" unless (pos($text) // 0) == length $text;

    return \%labels;
}

# What holds for a family as a whole.
sub _end {
    my ($family) = @_;
    my ($le, $n) = (0, 0);

    return unless $family;
    my $name = $family->{name};
    die "$name has no HELP\n" unless $family->{HELP};
    die "$name has no TYPE\n" unless $family->{TYPE};
    die "$name does not end with its unit\n"
        if defined $family->{UNIT} && $name !~ /_\Q$family->{UNIT}\E\z/;
    return if $family->{TYPE} ne 'histogram';

    my @buckets = @{$family->{buckets}};
    my $last = pop @buckets;
    for my $bucket (@buckets) {
        die "$name: le $bucket->[0]\n" unless $bucket->[0] =~ /^\d+\.\d+\z/;
        die "$name: order of le\n" unless $bucket->[0] > $le;
        die "$name: buckets do not grow\n" if $bucket->[1] < $n;
        ($le, $n) = @$bucket;
    }
    die "$name: no +Inf\n" unless $last->[0] eq '+Inf' && $last->[1] >= $n;
    die "$name: count\n" unless $last->[1] == $family->{count};
}

1;
