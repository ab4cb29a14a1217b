# Operators, accounts and users of NATS: what `nsc` makes, for the suites of the
# cluster.
#
#     my $keys = KapokMQ::NatsKeys->new($dir);
#     $keys->config;        # text for a server's configuration
#     $keys->credentials;   # the text of a user's file
#
# Signs with the program openssl; its files are in $dir.

package KapokMQ::NatsKeys;

use strict;
use warnings;

use Mojo::JSON qw(encode_json);
use Mojo::Util qw(b64_encode);

my %prefix = (operator => 14 << 3, account => 0, system => 0,
              user => 20 << 3);
my @base32 = ('A' .. 'Z', 2 .. 7);

sub new {
    my ($class, $dir) = @_;
    my $self = bless { dir => $dir }, $class;

    $self->key($_) for sort keys %prefix;
    return $self;
}

sub base32 {
    my ($bytes) = @_;
    my $bits = unpack 'B*', $bytes . _crc($bytes);

    $bits .= '0' while length($bits) % 5;
    return join '', map { $base32[oct "0b$_"] } $bits =~ /.{5}/g;
}

sub _crc {
    my ($bytes) = @_;
    my $crc = 0;

    for my $byte (unpack 'C*', $bytes) {
        $crc ^= $byte << 8;
        $crc = ($crc << 1 ^ ($crc & 0x8000 ? 0x1021 : 0)) & 0xffff for 1 .. 8;
    }
    return pack 'v', $crc;
}

sub base64url {
    my ($bytes) = @_;

    return b64_encode($bytes, '') =~ tr{+/=}{-_}dr;
}

# A new key of that kind: its public half, and its seed.
sub key {
    my ($self, $kind) = @_;
    my $file = "$self->{dir}/$kind.pem";

    system("openssl genpkey -algorithm ed25519 -out $file") == 0
        or die 'openssl';
    my $public = substr `openssl pkey -in $file -pubout -outform DER`, -32;
    my $seed = substr `openssl pkey -in $file -outform DER`, -32;
    my $prefix = $prefix{$kind};

    $self->{$kind} = base32(pack('C', $prefix) . $public);
    $self->{"$kind-seed"} = base32(
        pack('CC', 18 << 3 | $prefix >> 5, ($prefix & 31) << 3) . $seed);
}

# What one says of another, or of itself.
sub token {
    my ($self, $signer, $kind, %claims) = @_;
    my $text = join '.', map { base64url(encode_json($_)) }
        { typ => 'JWT', alg => 'ed25519-nkey' },
        { jti => $kind, iat => time, iss => $self->{$signer},
          sub => $self->{$kind}, name => $kind,
          nats => { type => $kind, version => 2, %claims } };
    my $file = "$self->{dir}/token";

    open my $out, '>', $file or die "$file: $!";
    print {$out} $text;
    close $out;
    my $signature = `openssl pkeyutl -sign -rawin -in $file -inkey $self->{dir}/$signer.pem`;
    return "$text." . base64url($signature);
}

my %no_limits = map { $_ => -1 } qw(subs data payload);

# JetStream wants an account of the system's beside the one that has streams.
sub config {
    my ($self) = @_;
    my %limits = (%no_limits, imports => -1, exports => -1, wildcards => \1,
                  conn => -1, leaf => -1);
    my %streams = map { $_ => -1 } qw(mem_storage disk_storage streams consumer);
    my $operator = $self->token('operator', 'operator');
    my $account = $self->token('operator', 'account', type => 'account',
                               limits => { %limits, %streams });
    my $system = $self->token('operator', 'system', type => 'account',
                              limits => \%limits);

    return "operator: $operator\nresolver: MEMORY\n"
           . "system_account: $self->{system}\n"
           . "resolver_preload: { $self->{account}: $account,"
           . " $self->{system}: $system }\n";
}

sub credentials {
    my ($self) = @_;
    my $user = $self->token('account', 'user', %no_limits);

    return "-----BEGIN NATS USER JWT-----\n$user\n"
           . "------END NATS USER JWT------\n\n"
           . "-----BEGIN USER NKEY SEED-----\n$self->{'user-seed'}\n"
           . "------END USER NKEY SEED------\n";
}

1;
