# A node of a cluster logs in to nats-servers with a user, a token, an NKey, or
# credentials; with others than the servers know it does not, and says why.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use File::Temp ();
use Test::More;
use KapokMQ::Cluster;
use KapokMQ::Disk;
use KapokMQ::NatsKeys;
use KapokMQ::Test;

plan skip_all => 'no nats-server' unless KapokMQ::Nats::version();

my $dir = File::Temp::tempdir(CLEANUP => 1);

sub file {
    my ($name, $text) = @_;

    spew("$dir/$name", $text);
    return "$dir/$name";
}

# One node, with that in the servers' configuration: with the right parameters
# of kapokmq_cluster it is primary, with the wrong ones it is not.
sub logs_in {
    my ($name, $text, $right, $wrong, $login) = @_;
    my $cluster = KapokMQ::Cluster->new(
        nodes => 1, servers => 1, workers => 1, text => $text,
        cluster => $wrong, allow => qr/cluster: /);
    my $node = $cluster->node(1);
    my $http = $node->{http};

    # a user is in the servers' addresses
    my $with = sub {
        my ($user) = @_;
        return $user ? $http =~ s{nats://}{nats://$user@}gr : $http;
    };
    $node->configure(http => $with->($login && $login->[1]));
    $node->launch;
    wait_for {
        my $nodes = $node->post('/Console/GetNodes') // {};
        ($nodes->{cluster}{Reason} // '') =~ /Authorization Violation/
    } "$name: another one is refused, and it says so";
    $http =~ s/\Q$wrong\E;/$right;/ or die 'no parameter';
    $node->reload(http => $with->($login && $login->[0]));
    my $mq = $cluster->primary;
    ok($mq->publish('t', 'm'), "$name: the right one is let in");
    $cluster->tell if !Test::More->builder->is_passing;
    $cluster->finish;
}

logs_in('a user', 'authorization { user: u, password: p }',
        '', '', [ 'u:p', 'u:q' ]);

# both from the documentation of NATS
my $seed = 'SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY';
my $user = 'UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4';
my $keys = KapokMQ::NatsKeys->new($dir);
my $others = KapokMQ::NatsKeys->new(File::Temp::tempdir(CLEANUP => 1));
my $good = file('good', $keys->credentials);
my $bad = file('bad', $others->credentials);

logs_in('an NKey', "authorization { users: [ { nkey: $user } ] }",
        'creds=' . file('seed', "$seed\n"), "creds=$bad");
logs_in('credentials', $keys->config, "creds=$good", "creds=$bad");
done_testing;
