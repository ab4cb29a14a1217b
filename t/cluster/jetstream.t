# Our client of NATS and JetStream against real servers, three in a cluster:
# a primary's appends while the leader is killed, while the server that we are connected to
# stops, while all of them are gone; who wins a race; logging in, TLS.
#
#     make cluster
#
# KMQ_NATS_APPENDS: how many appends while the leader is killed, 100000.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use File::Temp ();
use Test::More;
use Time::HiRes qw(sleep time);
use KapokMQ::Nats;
use KapokMQ::NatsKeys;

my $tool = ($ENV{KMQ_BUILD} || "$KapokMQ::Suite::Root/build") . '/nats-tool';

plan skip_all => 'the same with any number of workers'
    if ($ENV{KMQ_WORKERS} || 1) != 1;
plan skip_all => "no $tool: make build/nats-tool" unless -x $tool;
plan skip_all => 'no nats-server' unless KapokMQ::Nats::version();

diag('nats-server ' . KapokMQ::Nats::version());

# What the tool says: its last line.
sub tool {
    my ($nats, @arguments) = @_;
    my $text = `$tool @{[$nats->ports]} @arguments 2>&1`;

    return (split /\n/, $text)[-1] // '';
}

sub leader {
    my ($nats) = @_;

    return tool($nats, 'info', 'S') =~ /leader=(\S+)/ ? $nats->place($1) : -1;
}

# Appends so many of 200 bytes to an epoch, does something when half of them are
# there, and reads them all.
sub append_while {
    my ($nats, $epoch, $count, $name, $disturb) = @_;
    my ($last, $disturbed) = ('', 0);

    open my $in, '-|', $tool, $nats->ports, 'append', 'S', $epoch, $count, 200,
         16 or die "$tool: $!";
    while (<$in>) {
        $last = $_;
        next if $disturbed || !/^acked=(\d+)/ || $1 < $count / 2;
        $disturbed = 1;
        $disturb->();
    }
    close $in;
    chomp $last;
    diag("$name: $last");

    ok($disturbed, "$name: something happened in the middle");
    like($last, qr/^stored=$count open=0 /, "$name: all appends are acked");
    like(tool($nats, 'read', 'S', $epoch, $count),
         qr/^read=$count missing=0 twice=0 /, "$name: all are there, once");
}

# All replicas have the same messages again, by what each says of itself: what
# the leader says of another one is that it is current as soon as it is there.
sub is_whole {
    my ($nats, $name) = @_;

    wait_until(sub { same_state($nats) }, $name);
}

sub same_state {
    my ($nats) = @_;
    my ($first, @others) = map { $nats->stream_state($_, 'S') // '' } 0 .. 2;

    return $first ne '' && !grep { $_ ne $first } @others;
}

sub wait_until {
    my ($condition, $name) = @_;
    my $deadline = time + KapokMQ::Nats::PATIENCE;
    my $holds;

    sleep 0.1 until ($holds = $condition->()) || time > $deadline;
    local $Test::Builder::Level = $Test::Builder::Level + 2;
    ok($holds, $name);
}


# ----------------------------------------------------------------- a cluster

{
    my $nats = KapokMQ::Nats->start;
    my $many = $ENV{KMQ_NATS_APPENDS} || 100_000;
    my $killed;

    like(tool($nats, 'create', 'S', "'kapokmq.S.>'", 3, 0),
         qr/^messages=0 .* replicas=3 leader=n\d peers=n\d:\w+:\d+,n\d/,
         'a stream of three replicas');
    like(tool($nats, 'create', 'S', "'kapokmq.S.>'", 3, 0), qr/^messages=0 /,
         'the same again');
    like(tool($nats, 'create', 'S', "'t.>'", 3, 0), qr/err_code=10058 /,
         'not another one of its name');
    like(tool($nats, 'info', 'T'), qr/^error=404 err_code=10059 /,
         'no such stream');

    append_while($nats, 1, $many, 'leader', sub {
        $killed = leader($nats);
        $nats->kill($killed);
    });
    $nats->launch($killed);
    is_whole($nats, 'the killed one has caught up');

    append_while($nats, 2, 20_000, 'first', sub {
        $nats->kill(0);
    });
    $nats->launch(0);
    is_whole($nats, 'the first one, which we are connected to first, too');

    append_while($nats, 3, 20_000, 'stop', sub {
        $nats->kill(0, 'STOP');
    });
    $nats->kill(0, 'CONT');
    is_whole($nats, 'a server that stood still goes on');

    append_while($nats, 4, 20_000, 'all', sub {
        $nats->kill($_) for 0 .. 2;
        $nats->launch($_, 0) for 0 .. 2;
    });
    is_whole($nats, 'all of them were gone');

    like(tool($nats, 'race', 'S', 'kapokmq.S.race', 500, 'zero'),
         qr/^none=0 one=500 two=0$/,
         'who is first on a new subject wins alone');

    like(tool($nats, 'purge', 'S', 5000), qr/^purged=4999$/, 'purge');
    like(tool($nats, 'info', 'S'), qr/ first=5000 /, 'up to there');
    $nats->finish;
}


# ------------------------------------------------------------- a stream is full

{
    my $nats = KapokMQ::Nats->start(servers => 1);

    tool($nats, 'create', 'S', "'kapokmq.S.>'", 1, 100_000);
    {
        local $ENV{NATS_PATIENCE} = 1000;
        like(tool($nats, 'append', 'S', 1, 300, 1000, 4),
             qr/^stored=[1-9]\d open=2\d\d /, 'a full stream refuses');
    }
    tool($nats, 'purge', 'S', 50);
    like(tool($nats, 'append', 'S', 2, 10, 1000, 4), qr/^stored=10 open=0/,
         'until there is room');
    $nats->finish;
}


# ----------------------------------------------------------------- logging in

# One server with that text in its configuration takes us in with the right
# environment, and no other.
sub logs_in {
    my ($name, $text, $right, %wrong) = @_;
    my $nats = KapokMQ::Nats->start(servers => 1, text => $text);

    {
        local @ENV{keys %$right} = values %$right;
        like(tool($nats, 'create', 'S', "'s.>'", 1, 0), qr/^messages=0 /,
             "$name: let in");
    }
    local $ENV{NATS_PATIENCE} = 300;
    for my $why (sort keys %wrong) {
        local @ENV{keys %{$wrong{$why}[0]}} = values %{$wrong{$why}[0]};
        like(tool($nats, 'info', 'S'), $wrong{$why}[1], "$name: $why");
    }
    $nats->finish;
}

my $violation = qr/^no connection: Authorization Violation/;

logs_in('user and password', 'authorization { user: u, password: "p\"x" }',
    { NATS_USER => 'u', NATS_PASSWORD => 'p"x' },
    'a wrong one' => [ { NATS_USER => 'u', NATS_PASSWORD => 'p' }, $violation ],
    'none'        => [ {}, $violation ]);

logs_in('a token', 'authorization { token: sesame }', { NATS_TOKEN => 'sesame' },
    'a wrong one' => [ { NATS_TOKEN => 'same' }, $violation ]);

# both from the documentation of NATS
my $seed = 'SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY';
my $user = 'UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4';

logs_in('an NKey', "authorization { users: [ { nkey: $user } ] }",
    { NATS_SEED => $seed },
    'none'   => [ {}, $violation ],
    'a password' => [ { NATS_USER => $user, NATS_PASSWORD => 'x' },
                      $violation ]);

my $dir = File::Temp::tempdir(CLEANUP => 1);
my $keys = KapokMQ::NatsKeys->new($dir);
my $others = KapokMQ::NatsKeys->new(File::Temp::tempdir(CLEANUP => 1));

# A file of credentials.
sub credentials {
    my ($name, $keys) = @_;

    open my $out, '>', "$dir/$name" or die "$dir: $!";
    print {$out} $keys->credentials;
    close $out;
    return "$dir/$name";
}

logs_in('credentials', $keys->config,
    { NATS_CREDS => credentials('good', $keys) },
    "another operator's" => [ { NATS_CREDS => credentials('bad', $others) },
                              $violation ]);


# ------------------------------------------------------------------------ TLS

sub certificate {
    my ($name) = @_;

    system("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256"
           . " -nodes -keyout $dir/$name.key -out $dir/$name.pem -days 2"
           . " -subj /CN=$name -addext subjectAltName=DNS:$name,IP:127.0.0.1"
           . " 2>/dev/null") == 0 or die 'openssl';
}

certificate($_) for qw(n1.test other.test);

logs_in('TLS', "tls { cert_file: '$dir/n1.test.pem', key_file:"
               . " '$dir/n1.test.key' }\nauthorization { token: sesame }",
    { NATS_CA => "$dir/n1.test.pem", NATS_TOKEN => 'sesame' },
    'in the clear' => [ { NATS_TOKEN => 'sesame' },
                        qr/^no connection: the server asks for TLS/ ],
    'by its name, but a wrong token' =>
        [ { NATS_CA => "$dir/n1.test.pem", NATS_TLS_NAME => 'n1.test',
            NATS_TOKEN => 'same' }, $violation ],
    'for another name' =>
        [ { NATS_CA => "$dir/n1.test.pem", NATS_TLS_NAME => 'n2.test',
            NATS_TOKEN => 'sesame' },
          qr/^no connection: TLS: hostname mismatch/i ],
    'of another one' =>
        [ { NATS_CA => "$dir/other.test.pem", NATS_TOKEN => 'sesame' },
          qr/^no connection: TLS: self.signed certificate/i ]);

logs_in('no TLS', '', {},
    'where it is wanted' => [ { NATS_CA => "$dir/n1.test.pem" },
                              qr/^no connection: the server has no TLS/ ]);

done_testing;
