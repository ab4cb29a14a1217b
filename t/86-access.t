# Who may come in where: each door, with each kind of key; where a key may be
# given; what people change is in the error log; how wrong keys are bounded.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use IO::Socket::INET;
use MIME::Base64 qw(encode_base64url);
use Mojo::JSON qw(decode_json encode_json);
use Test::More;
use KapokMQ::Test;
use KapokMQ::Token;

my $SECRET = 'a secret of thirty-two bytes, 012';
my %mq = (
    keys => encode_yaml(
        shop   => [key => 'shop-key', produce => '[orders.*]'],
        mailer => [key => 'mailer-key', consume => '[orders.new, mails]'],
        both   => [key => '[both-key, both-new]', produce => '[orders.*]',
                   consume => '[orders.*]', console => 'write'],
        reader => [key => 'reader-key', consume => '[orders.*]',
                   console => 'read'],
        viewer => [key => 'viewer-key', consume => '["*"]', console => 'read',
                   metrics => 'true'],
        other  => [key => 'other-key', produce => '[else]',
                   consume => '[else]', console => 'write'],
        idle   => [key => 'idle-key']),
    tokens => qq({ algorithms: [HS256], secret: "$SECRET" }),
);

sub encode_yaml {
    my @keys;

    while (my ($name, $of) = splice @_, 0, 2) {
        my @members;
        while (my ($key, $value) = splice @$of, 0, 2) {
            push @members, "$key: $value";
        }
        push @keys, "$name: { " . join(', ', @members) . ' }';
    }
    return '{ ' . join(', ', @keys) . ' }';
}

my $mq = KapokMQ::Test->start(
    yaml => \%mq,
    http => 'log_format user "$status $uri [$kapokmq_user]";',
    conf => 'location = /metrics { kapokmq_metrics key; }
             access_log user.log user;
             location /few/ { kapokmq_auth_limit 3; kapokmq_console; }
             location /guess/ { kapokmq_auth_limit 3; kapokmq_producer; }
             location /free/ { kapokmq_auth_limit 0; kapokmq_console; }');

# A request's status, as soon as that is there, and its answer where the end of
# it is waited for.
sub ask {
    my ($method, $path, $headers, $body, $whole) = @_;
    my $socket = IO::Socket::INET->new(
        PeerAddr => '127.0.0.1:' . $mq->port,
        Timeout => KapokMQ::Test::PATIENCE) or die $@;
    my %headers = (Host => '127.0.0.1', Connection => 'close', %$headers,
                   defined $body ? ('Content-Length' => length $body) : ());

    print {$socket} "$method $path HTTP/1.1\r\n",
        (map { "$_: $headers{$_}\r\n" } sort keys %headers), "\r\n",
        $body // '';
    my ($status) = (<$socket> // '') =~ m{^HTTP/1\.1 (\d+)};
    return $status // 0 unless $whole;

    local $/;
    my ($head, $answer) = split /\r\n\r\n/, <$socket>, 2;
    return ($status, $head, $answer);
}

sub key_header {
    my ($key) = @_;

    return defined $key ? { secretKey => $key } : {};
}

sub post {
    my ($path, $key, $body) = @_;

    return ask('POST', $path, key_header($key), $body // '');
}

# What a login by a frame comes to: 200, 401, or the code of the Close.
sub login {
    my ($path, $key) = @_;
    my $raw = $mq->raw($path);

    return $raw->status unless $raw->status == 101;
    $raw->next_text;
    $raw->text($key // '');
    while (my $frame = $raw->next_frame) {
        return 200 if $frame->{payload} eq 'Secret key matching succeeded';
        return 401 if $frame->{payload} eq 'Secret key matching error';
        return unpack 'n', $frame->{payload} if $frame->{opcode} == 8;
    }
    return 0;
}

sub upgrade {
    my ($path, $key) = @_;

    return $mq->raw($path, key => $key)->status;
}

sub code { return $mq->publish('orders.new', 'x') }

# What settling a leased message does: how many are confirmed.
sub settle {
    my ($key) = @_;
    my ($status, $head, $json) =
        ask('POST', '/Consumers/Pull/orders.settled/s?lease=60', key_header('sesame'),
            'max=1&wait=10', 1);
    my $code = decode_json($json)->{data}[0]{MessageCode};
    ($status, $head, $json) = ask('POST', '/Consumers/Settle', key_header($key),
                                  "confirm=$code", 1);

    ask('POST', '/Consumers/Settle', key_header('sesame'), "confirm=$code");
    return $status if $status != 200;
    return decode_json($json)->{data}{confirmed} ? 200 : 'none';
}

my $batch = encode_json([map +{ topic => $_, messageData => 'x' },
                         qw(orders.new orders.old)]);

my %door = (
    'producer'        => sub { upgrade('/Producers/Conn/orders.new/p', $_[0]) },
    'producer, login' => sub { login('/Producers/Conn/orders.new/p', $_[0]) },
    'consumer'        => sub { upgrade('/Consumers/Conn/orders.new/c', $_[0]) },
    'consumer, login' => sub { login('/Consumers/Conn/orders.new/c', $_[0]) },
    'send'    => sub { post('/Producer/Send', $_[0],
                            'topic=orders.new&messageData=x') },
    'batch'   => sub { ask('POST', '/Producer/Send',
                           { %{key_header($_[0])},
                             'Content-Type' => 'application/json' }, $batch) },
    'events'  => sub { ask('GET', '/Consumers/Events/orders.new/e',
                           key_header($_[0])) },
    'pull'    => sub { post('/Consumers/Pull/orders.new/p', $_[0]) },
    'settle'  => \&settle,
    'ping'    => sub { post('/Console/Ping', $_[0]) },
    'topic'   => sub { post('/Console/GetTopic', $_[0], 'topic=orders.new') },
    'message' => sub { post('/Console/GetMessage', $_[0],
                            'messageCode=' . code()) },
    'all'     => sub { post('/Console/GetOverview', $_[0]) },
    'config'  => sub { post('/Console/GetConfig', $_[0]) },
    'keys'    => sub { post('/Console/GetKeys', $_[0]) },
    'clients' => sub { post('/Console/GetClients', $_[0]) },
    'delete'  => sub { post('/Console/DelMessage', $_[0],
                            'messageCode=' . code()) },
    'purge'   => sub { post('/Console/PurgeTopic', $_[0],
                            'topic=orders.new') },
    'requeue' => sub { post('/Console/RequeueMessage', $_[0],
                            'topic=orders.new') },
    'release' => sub {
        my $status = post('/Console/ReleaseMessage', $_[0],
                          'messageCode=' . code());
        return $status == 400 ? 200 : $status;      # it is not delayed
    },
    'pause' => sub { post('/Console/PauseTopic', $_[0],
                          'topic=orders.other') },
    'step'    => sub { post('/Console/StepDown', $_[0]) },
    'metrics' => sub { ask('GET', '/metrics', key_header($_[0])) },
);
my @doors = ('producer', 'producer, login', 'consumer', 'consumer, login',
             qw(send batch events pull settle ping topic message all config keys
                clients delete purge requeue release pause step metrics));

# Functions of the console that ask for the same as one of these.
my %alike = (
    ping  => [qw(GetAccess GetTopics GetMessageList GetClientList)],
    all   => [qw(GetGrowth GetHealth CountMessage GetSettings GetProducers
                 GetConsumers GetNodes)],
    purge => ['Disconnect'],
    pause => ['ResumeTopic'],
);
{
    open my $in, '<',
        "$KapokMQ::Suite::Root/src/server/console/ngx_kapokmq_console.c"
        or die $!;
    my %known = map { $_ => 1 } map { @$_ } values %alike;
    $known{$_} = 1 for qw(Ping GetTopic GetMessage GetOverview GetConfig
                          GetKeys GetClients DelMessage PurgeTopic
                          RequeueMessage ReleaseMessage PauseTopic StepDown
                          Fault);
    is(join(' ', grep { !$known{$_} }
                 map { /NGX_KAPOKMQ_FUNCTION\("(\w+)"/ ? $1 : () } <$in>), '',
       'no function of the console is left out');
}

sub function {
    my ($name, $key) = @_;

    return post('/Console/ResumeTopic', $key, 'topic=orders.other')
        if $name eq 'ResumeTopic';
    return post("/Console/$name", $key) unless $name eq 'Disconnect';

    my $client = $mq->raw('/Consumers/Conn/orders.new/goes', key => 'sesame');
    my ($status, $head, $json) = ask('POST', '/Console/GetClientList',
                                     key_header('sesame'), 'search=goes', 1);
    my ($its) = grep { $_->{Id} eq 'goes' } @{decode_json($json)->{data}};
    $status = post('/Console/Disconnect', $key,
                   "connection=$its->{Connection}");
    $client->close;
    return $status;
}

# What each is answered with that key, in that order: y, what it is when it is
# let in; 1, 401; 3, 403, or at login 1008, or nothing confirmed.
my %in = (producer => 101, consumer => 101, step => 409);   # no cluster
my %out = ('producer, login' => 1008, 'consumer, login' => 1008,
           settle => 'none');

sub table {
    my ($name, $key, $row) = @_;
    my @cells = split //, $row =~ s/ //gr;

    is(scalar @cells, scalar @doors, "$name: as many cells as doors");
    for my $door (@doors) {
        my $cell = shift @cells;
        my $wanted = $cell eq 'y' ? $in{$door} // 200
                   : $cell eq '3' ? $out{$door} // 403
                   : 401;
        is($door{$door}->($key), $wanted, "$name: $door");
        is(function($_, $key), $wanted, "$name: $_") for @{$alike{$door} // []};
    }
}

sub claims {
    return token($SECRET, sub => 'anna', @_);
}

$mq->publish('orders.settled', "s$_") for 1 .. 40;
$mq->publish('orders.other', 'x');
$mq->publish('else', 'x');

#                    ws   send ev s  console       m
my $nobody                      = '1111 11 111 1111111111111 1';
table('none', undef,              'y1y1 11 111 1111111111111 1');
table('wrong', 'wrong', $nobody);
table('the secret key', 'sesame', 'yyyy yy yyy yyyyyyyyyyyyy y');
table('produce', 'shop-key',      'yy33 yy 333 3333333333333 3');
table('consume', 'mailer-key',    '33yy 33 yy3 3333333333333 3');
table('both', 'both-key',         'yyyy yy yyy yyy3333yyyyy3 3');
table('its second value', 'both-new',
                                  'yyyy yy yyy yyy3333yyyyy3 3');
table('read', 'reader-key',       '33yy 33 yyy yyy3333333333 3');
table('read all', 'viewer-key',   '33yy 33 yyy yyyyyyy333333 y');
table('another topic', 'other-key',
                                  '3333 33 333 y333333333333 3');
table('a token', claims(kapokmq => { produce => ['orders.*'],
                                     consume => ['orders.*'],
                                     console => 'write' }),
                                  'yyyy yy yyy yyy3333yyyyy3 3');
table('a token of another id',
      claims(kapokmq => { produce => ['orders.*'], consume => ['orders.*'],
                          id => '{sub}' }),
                                  '3333 yy 33y 3333333333333 3');
table('a token with a template',
      token($SECRET, sub => 'orders',
            kapokmq => { produce => ['{sub}.*'], consume => ['{sub}.*'],
                         console => 'write' }),
                                  'yyyy yy yyy yyy3333yyyyy3 3');
table('a template of another subject',
      claims(kapokmq => { produce => ['{sub}.*'], consume => ['{sub}.*'],
                          console => 'write' }),
                                  '3333 33 333 y333333333333 3');
table('a template without a subject',
      token($SECRET, kapokmq => { produce => ['orders.{sub}*'],
                                  consume => ['orders.{sub}*', '{id}*'],
                                  console => 'write' }),
                                  '3333 33 333 y333333333333 3');
table('a token without rights', claims(),
                                  '3333 33 333 3333333333333 3');
table('an expired one', claims(exp => time - 60,
                               kapokmq => { produce => ['*'] }), $nobody);
table('one of another secret',
      token('another secret of thirty-two byte', sub => 'anna',
            kapokmq => { produce => ['*'] }), $nobody);

# --- templates: what the subject is, and nothing else
{
    my $token = claims(kapokmq => { consume => ['inbox.{sub}'],
                                    produce => ['in.{id}'], id => 'a.{sub}' });
    is(upgrade('/Consumers/Conn/inbox.anna/a.anna', $token), 101,
       'its own inbox');
    is(upgrade('/Consumers/Conn/inbox.anna/other', $token), 403,
       'by its id alone');
    is(upgrade('/Consumers/Conn/inbox.bob/a.anna', $token), 403,
       'and no other');
    is(upgrade('/Producers/Conn/in.a.anna/a.anna', $token), 101, '{id}');
    my $star = token($SECRET, sub => '*',
                     kapokmq => { consume => ['inbox.{sub}'] });
    is(upgrade('/Consumers/Conn/inbox.anna/x', $star), 403,
       'a star in the subject is a star');
}

# --- where a key may be
for my $path (qw(/Producers/Conn/orders.new/p /Consumers/Conn/orders.new/c)) {
    my $protocol = 'kapokmq, kapokmq.key.' . encode_base64url('both-key');
    my $raw = $mq->raw($path,
                       headers => { 'Sec-WebSocket-Protocol' => $protocol });
    is($raw->status, 101, 'as a subprotocol');
    like($raw->head, qr/^Sec-WebSocket-Protocol: kapokmq\r$/m,
         'of which the other is answered');
    is($raw->next_text, 'Secret key matching succeeded', 'and no prompt');
    is($mq->raw($path, headers => { Authorization => 'Bearer both-key' })
       ->status, 101, 'as a bearer');
    $raw = $mq->raw($path, headers => { 'Sec-WebSocket-Protocol' =>
                                        'kapokmq.key.' . encode_base64url('x') });
    is($raw->status, 401, 'a wrong one');
    $raw = $mq->raw($path, headers => { 'Sec-WebSocket-Protocol' => 'kapokmq' });
    is($raw->next_text, 'Please enter the secret key', 'without one a prompt');
}
is(ask('POST', '/Console/Ping', { Authorization => 'Bearer both-key' }, ''), 200,
   'a bearer of HTTP');
is(ask('POST', '/Console/Ping?secretKey=sesame', {}, ''), 401,
   'never in the URL');

# --- lists are of its topics
{
    my $whole = sub {
        my ($function, $body, $key) = @_;
        my ($status, $head, $json) = ask('POST', "/Console/$function",
            key_header($key // 'other-key'), $body // '', 1);
        return decode_json($json);
    };
    my $see = sub { $whole->(@_)->{data} };
    is_deeply([map { $_->{Topic} } @{$see->('GetTopics')}], ['else'],
              'its topics');
    is_deeply([map { $_->{Topic} } @{$see->('GetMessageList')}], ['else'],
              'their messages');
    my $consumer = $mq->login('/Consumers/Conn/else/mine', ack => 1);
    my $other = $mq->login('/Consumers/Conn/orders.new/hers', ack => 1);
    is_deeply([map { $_->{Id} } @{$see->('GetClientList', 'role=consumer')}],
              ['mine'], 'their clients');
    my ($hers) = grep { $_->{Id} eq 'hers' }
                 @{$see->('GetClientList', 'role=consumer', 'sesame')};
    is($hers->{User}, 'secretKey', 'whose key it has');
    is(post('/Console/Disconnect', 'other-key',
            "connection=$hers->{Connection}"), 403,
       'others are not disconnected');
    is(post('/Console/Disconnect', 'both-key',
            "connection=$hers->{Connection}"), 200, 'those of its topics are');
    wait_for { $other->closed } 'it goes';
    like($mq->log, qr/\[notice\].*key "both" from 127\.0\.0\.1: consumer disconnected "hers": 1/,
         'which is in the error log');
    is_deeply($see->('GetAccess', '', 'reader-key'),
              { Kind => 'key', Name => 'reader', Id => undef,
                Console => 'read',
                All => Mojo::JSON->false, Metrics => Mojo::JSON->false,
                Produce => [], Consume => ['orders.*'] }, 'what it may');
    is_deeply([map { "$_->{Name} $_->{Values}" }
               @{$see->('GetKeys', '', 'viewer-key')}],
              ['shop 1', 'mailer 1', 'both 2', 'reader 1', 'viewer 1',
               'other 1', 'idle 1'], 'all keys');
    my $keys = $whole->('GetKeys', '', 'viewer-key');
    my $recent = sub { ($_[0] // 0) > time - 600 && $_[0] <= time + 1 };
    ok($recent->($keys->{data}[$_]{LastUse}[0]), 'a key was used lately')
        for 0 .. 5;
    ok($recent->($keys->{data}[2]{LastUse}[1]), 'and its second value');
    is_deeply($keys->{data}[6]{LastUse}, [undef], 'one that never was');
    ok($recent->($keys->{secretKey}{LastUse}), 'the secret key');
    ok($recent->($keys->{tokens}{LastUse}), 'and tokens');
    is($see->('GetAccess', '', claims(kapokmq => {
           console => 'read', consume => ['inbox.{sub}'], id => '{sub}.1' }))
       ->{Id}, 'anna.1', 'the id of a token');
    $consumer->finish;

    # no secret in any answer
    my @secrets = ('sesame', $SECRET, qw(shop-key mailer-key both-key both-new
                                         reader-key viewer-key other-key
                                         idle-key));
    for my $function (qw(GetConfig GetSettings GetKeys GetAccess GetClients
                         GetClientList GetOverview GetTopics)) {
        my ($status, $head, $json) = ask('POST', "/Console/$function",
                                         key_header('viewer-key'), '', 1);
        is($status, 200, $function);
        is(join(' ', grep { index($json, $_) >= 0 } @secrets), '',
           'tells no secret');
    }
    is(join(' ', grep { index($mq->log, $_) >= 0 } @secrets), '',
       'nor does the error log');
}
like($mq->log, qr/\[notice\].*token "anna" from 127\.0\.0\.1: messages purged of topic "orders\.new": \d+/,
     'a purge is in the error log');
like($mq->log, qr/\[notice\].*key "both" from 127\.0\.0\.1: message deleted "[0-9a-f]{40}": 1/,
     'and a deletion');
{
    open my $in, '<', "$mq->{dir}/user.log" or die;
    my @lines = <$in>;
    ok((grep { $_ eq "200 /Console/Ping [both]\n" } @lines), '$kapokmq_user');
    ok((grep { $_ eq "200 /Console/Ping [anna]\n" } @lines), 'a subject');
    ok((grep { $_ eq "401 /Console/Ping [-]\n" } @lines), 'nobody');
}

# --- tries
is(post('/free/Ping', "free$_"), 401, "no limit, $_") for 1 .. 4;
{
    # what was tried above counts, too
    my ($status, $head, $json) = ask('POST', '/few/Ping', key_header('guess'),
                                     '', 1);
    is($status, 429, 'one too many');
    like($head, qr/^Retry-After: \d+\r?$/m, 'when another is allowed');
    like($json, qr/too many wrong keys/, 'and why');
    my $raw = $mq->raw('/guess/t/p');
    $raw->next_text;
    $raw->text('another guess');
    is($raw->next_text, 'Secret key matching error', 'by a frame');
    is($raw->close_code, 1008, 'is closed');
    is($mq->raw('/guess/t/p', key => 'a third')->status, 429, 'by a header');
    is($mq->raw('/guess/t/p', key => 'sesame')->status, 101, 'and the right one');

    is(post('/few/Ping', 'wrong'), 401, 'the same one again');
    is(post('/few/Ping', 'sesame'), 200, 'the right one');
    is(post('/few/Ping', claims(exp => time - 60)), 401, 'an expired one');
}

# --- a reload takes a key, and a right
{
    $mq->renew(yaml => { %mq, keys => encode_yaml(
        both => [key => 'both-new', produce => '[orders.*]',
                 consume => '[orders.*]', console => 'read']) });
    table('removed by a reload', 'both-key', $nobody);
    table('its second value, with less', 'both-new',
                                  'yyyy yy yyy yyy3333333333 3');
}

$mq->finish;
done_testing;
