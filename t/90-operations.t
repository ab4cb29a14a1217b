# docs/operations.md, as it is printed: what stands there as shell or
# configuration is run here, or by packaging/deb.t, or is marked.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Mojo::JSON qw(decode_json);
use POSIX qw(WNOHANG);
use Test::More;
use KapokMQ::Disk;
use KapokMQ::Test;

# copies, at most, until files were renewed so often meanwhile
use constant { KEPT => 2000, RENEWALS => 2 };

my $root = $KapokMQ::Suite::Root;
my $page = slurp("$root/docs/operations.md");


# ---------------------------------------------------------------- the pieces

# Each piece of the page: its language, its text, who runs it.
my @pieces;
while ($page =~ /(.*?)^( *)```(\w+)\n(.*?)^ *```$/msg) {
    my ($before, $indent, $language, $text) = ($1, $2, $3, $4);
    my $by = $before =~ /<!-- run by: (\S+) -->\s*\z/ ? $1
             : $before =~ /\*\(not tested[^*]*\)\*\s*\z/ ? 'nobody' : '';

    $text =~ s/^\Q$indent\E//mg;
    push @pieces, { language => $language, text => $text, by => $by };
}

cmp_ok(scalar @pieces, '>=', 10, 'pieces of shell and configuration');
is(join('', map { $_->{text} } grep { !$_->{by} } @pieces), '',
   'each says by whom it is run, or that it is not');
is_deeply([grep { !-e "$root/$_" && $_ ne 'nobody' } map { $_->{by} } @pieces],
          [], 'which exist');

# The rest of it, in words.
my %section = $page =~ /^## (.*?)\n(.*?)(?=^## |\z)/msg;
is_deeply([grep { $section{$_} !~ /<!-- (?:run|tested) by: |\*\(not tested/ }
           sort keys %section], [], 'and so does each procedure');
is_deeply([grep { !-e "$root/$_" } $page =~ /<!-- tested by: (\S+) -->/g], [],
          'by what exists');

# One of ours, by something that is in it.  Each is asked for once.
sub piece {
    my ($has) = @_;
    my ($piece) = grep { $_->{by} eq 't/90-operations.t' && !$_->{used}
                         && $_->{text} =~ $has } @pieces;

    $piece or die "docs/operations.md has nothing with $has";
    $piece->{used} = 1;
    return $piece->{text};
}


# ------------------------------------------------- alerts, one by one

my @alerts = slurp("$root/conf/alerts.yml") =~ /^\s*- alert: (\w+)$/mg;
my @told = $page =~ /^\| `(\w+)` \|/mg;
is_deeply(\@told, \@alerts, 'each alert is told of, in the order of the rules');


# ---------------------------------------------------- TLS, proxies, probes

my $queue = KapokMQ::Suite::free_port();
my $proxy = KapokMQ::Suite::free_port();
my $secure = KapokMQ::Suite::free_port();
my @key = (secretKey => KapokMQ::Test::KEY());
my $tls = `nginx -V 2>&1` =~ /--with-http_ssl_module/;
my $realip = `nginx -V 2>&1` =~ /--with-http_realip_module/;
my $files = piece(qr/worker_rlimit_nofile/);
my ($limit) = $files =~ /^(worker_rlimit_nofile \d+;)$/m;
my ($connections) = $files =~ /worker_connections (\d+);/;

# in the place of the page's names and ports
sub placed {
    my ($text, $dir) = @_;

    $text =~ s/\b8443\b/$secure/g;
    $text =~ s/listen 8080/listen 127.0.0.1:$proxy/;
    $text =~ s/127\.0\.0\.1:8011/127.0.0.1:$queue/;
    $text =~ s{/etc/nginx/mq}{$dir/mq};
    return $text;
}

my $mq = KapokMQ::Test->new(port => $queue, connections => $connections,
                            yaml => { heartbeat => 1 },
                            # where the machine's own limit is lower
                            allow => qr/setrlimit\(RLIMIT_NOFILE, \d+\) failed/);
my $dir = $mq->dir;
my $http = placed(piece(qr/proxy_pass/));
my $server = piece(qr/ssl_certificate /);
my $address = piece(qr/set_real_ip_from/);

sub certificate {
    my ($name) = @_;

    is(system("openssl req -x509 -nodes -newkey rsa:2048 -days 30 -subj"
              . " /CN=$name -keyout $dir/mq.key -out $dir/mq.pem"
              . " > $dir/openssl.log 2>&1"), 0, "a certificate of $name");
}

if ($tls) {
    certificate('mq.example.com');
    $server =~ s{/etc/nginx/mq}{$dir/mq}g;
    $http .= placed($server, $dir);
}
$mq->configure(http => $http, main => $limit,
               conf => piece(qr/healthz/) . ($realip ? $address : ''));
$mq->launch;

my $ua = Mojo::UserAgent->new(insecure => 1, max_connections => 0);
is($ua->get("http://127.0.0.1:$queue/healthz")->result->code, 200, 'the probe');

my $consumer = KapokMQ::Client->new(
    "ws://127.0.0.1:$proxy/Consumers/Conn/orders/c1",
    headers => { @key });
wait_for { @{$consumer->texts} } 'a consumer behind the proxy';
my $answer = $ua->post("http://127.0.0.1:$proxy/Producer/Send",
    { @key },
    form => { topic => 'orders', messageData => 'through the proxy' })->result;
is($answer->code, 200, 'a message is sent through it');
wait_for { arrived('through the proxy') } 'and arrives';

sub arrived {
    my ($data) = @_;

    return grep { $_->{MessageData} eq $data } @{$consumer->messages};
}

my $far;
SKIP: {
    skip 'nginx is without realip', 2 unless $realip;

    # the same machine, by another of its addresses
    $far = Mojo::UserAgent->new(max_connections => 0);
    $far->socket_options->{LocalAddr} = '127.0.0.9';
    my $tx;
    $far->websocket("ws://127.0.0.1:$proxy/Consumers/Conn/far/c2",
        { @key }, sub { $tx = $_[1] });
    wait_for { $tx } 'a client from elsewhere';
    wait_for {
        grep { $_->{ConsumerId} eq 'c2' && $_->{ConsumerIp} eq '127.0.0.9' }
             @{$mq->clients->{consumers}}
    } 'is shown with its own address';
    $tx->finish if $tx;
}

SKIP: {
    skip 'nginx is without TLS', 4 unless $tls;

    my $sent = $ua->post("https://127.0.0.1:$secure/Producer/Send",
        { @key },
        form => { topic => 'orders', messageData => 'over TLS' })->result;
    is($sent->code, 200, 'a message is sent over TLS');
    wait_for { arrived('over TLS') } 'and arrives';

    certificate('new.example.com');
    $mq->reload;
    wait_for {
        `openssl s_client -connect 127.0.0.1:$secure < /dev/null 2> /dev/null` =~
            /subject=CN = new\.example\.com/
    } 'a new certificate takes a reload';
}


# --------------------------------------------------------------------- logs

{
    my $shell = piece(qr/USR1/);
    $shell =~ s{/var/log/nginx}{$dir}g;
    $shell =~ s{/run/nginx\.pid}{$dir/nginx.pid};
    $mq->reload(conf => "access_log $dir/kapokmq.log;", http => '', main => '');
    wait_for {
        $mq->publish('orders', 'logged') && -s "$dir/kapokmq.log"
    } 'an access log is written';
    is(system('sh', '-ec', $shell), 0, 'it is rotated');
    wait_for { -e "$dir/kapokmq.log" } 'there is a new one';
    wait_for {
        $mq->publish('orders', 'after') && -s "$dir/kapokmq.log"
    } 'which is written';
    like(slurp("$dir/kapokmq.log.1"), qr{/Producer/Send}, 'beside the old one');
}

$mq->finish;


# ------------------------------------------------------- backup and restore

# Files are renewed all the time while they are copied.
$mq = KapokMQ::Test->start(zone => '32m', yaml => { isPersistent => 2 });
my $from = directory($mq);
my $to = $mq->dir . '/backup';
my $owner = join ':', (stat $from)[4, 5];

sub at_home {
    my ($shell) = @_;

    $shell =~ s{/var/lib/kapokmq}{$from}g;
    $shell =~ s{/var/backups/kapokmq}{$to}g;
    $shell =~ s{www-data:www-data}{$owner}g;
    $shell =~ s{\bkapokmq-dump\b}{$root/build/kapokmq-dump}g;
    return $shell;
}

my $backup = at_home(piece(qr/cp -a "\$from"/));

my $writer = fork // die "fork: $!";
if ($writer == 0) {
    $SIG{TERM} = sub { POSIX::_exit(0) };
    delete $mq->{ua};
    while (1) {
        eval {
            $mq->publish_many('flow', ('x' x 4000) x 250);
            $mq->post('/Console/PurgeTopic', { topic => 'flow' });
        };
    }
}

my ($begun, $kept, $renewed, $copies) = (generation($mq), 0, 0, 0);
my @data;
while ($renewed < RENEWALS && $copies < KEPT) {
    $mq->publish('kept', "m$kept") or last;
    push @data, 'm' . $kept++;

    my $before = generation($mq);
    my $status = system('bash', '-c', "( $backup ) > $to.log 2>&1");
    $status == 0 or diag(slurp("$to.log")), last;
    $renewed++ if generation($mq) != $before;
    $copies++;
}
kill 'TERM', $writer;
waitpid $writer, 0;
is($copies, scalar @data, "$copies copies, each of them sound");
is($renewed, RENEWALS, 'of which some were made while files were replaced');
$mq->publish('kept', 'later');

{
    my ($stop, $between, $start) = at_home(piece(qr/kapokmq\.old/))
        =~ /\A(systemctl stop nginx\n)(.*)(systemctl start nginx\n)\z/s;
    ok($start, 'to restore it nginx is stopped, and started');
    $mq->stop('QUIT');
    is(system('sh', '-ec', $between), 0, 'the copy takes the place of the files');
    $mq->launch;
    my @found = map { $mq->find($_)->{MessageData} }
                reverse $mq->codes(topic => 'kept', status => -1);
    is_deeply(\@found, \@data, 'all is there that was before the copy');
    ok(-d "$from.old", 'and what was there otherwise');
}


# -------------------------------------------------- what is in the files

{
    $mq->publish('orders', "order $_") for 1 .. 3;
    written($mq);
    is(system('bash', '-c', "( $backup ) > $to.log 2>&1"), 0, 'a copy');

    my $count = at_home(piece(qr/kapokmq-dump -c/));
    like(`$count`, qr/^\{"type":"topic","topic":"orders","ready":3,/m,
         'how many messages wait');

    my $waiting = $mq->dir . '/waiting.ndjson';
    my $shell = at_home(piece(qr/kapokmq-dump -w/) . piece(qr/split -l/));
    $shell =~ s/\bwaiting\.ndjson\b/$waiting/g;
    $shell =~ s/127\.0\.0\.1:8011/'127.0.0.1:' . $mq->port/e;

    local $ENV{SECRET_KEY} = KapokMQ::Test::KEY();
    is(system('bash', '-c', "( set -e; $shell ) > $to.log 2>&1"), 0,
       'they are sent again') or diag(slurp("$to.log"));
    is_deeply([sort map { $mq->find($_)->{MessageData} }
               $mq->codes(topic => 'orders', status => -1)],
              [map { ("order $_") x 2 } 1 .. 3], 'and are there twice');
    $mq->post('/Console/PurgeTopic', { topic => 'orders' });
}


# ------------------------------------------- a message that does not arrive
{
    my $queue = KapokMQ::Test->start(yaml => { maxDeliveries => 1 });
    my $settings = $queue->dir . '/application.yaml';
    my $look = piece(qr/GetHealth/);
    my ($function) = $look =~ /^(SECRET_KEY=.*?\n.*?)\n$/ms;
    my %do = map { /(\w+) -d/ => $_ } split /\n/, piece(qr/GetClientList/);
    my $code;

    # the answers to the page's lines, of which each is one
    my $shell = sub {
        my ($lines, %variable) = @_;
        my $text = "$function\n$lines";

        $text =~ s/127\.0\.0\.1:8011/'127.0.0.1:' . $queue->port/ge;
        $text =~ s{/etc/nginx/kapokmq/application\.yaml}{$settings};
        local @ENV{keys %variable} = values %variable;
        open my $out, '-|', 'bash', '-c', $text or die $!;
        my @answers = map { decode_json($_) } <$out>;
        close $out;
        is(scalar(grep { $_->{code} != 0 } @answers), 0, 'the answers');
        return map { $_->{data} } @answers;
    };
    my $message = sub {
        my ($health, $topic, $list) = $shell->($look =~ s/\Q$function\E//r);

        is($topic->{Topic}, 'orders', 'the topic');
        is(scalar @$list, 1, 'the message is found');
        $code = $list->[0]{MessageCode};
        return { %$topic{qw(Consumers Paused Prefetch Resting)}, %{$list->[0]} };
    };

    $queue->publish('orders', 'order 4711', 3600);
    $queue->publish('orders', 'order 4712');
    my $seen = $message->();
    is($seen->{Status}, 0, 'it is delayed');
    ok($seen->{DueTime}, 'until then');
    is_deeply([$shell->($do{ReleaseMessage}, code => $code)], [1], 'released');
    $seen = $message->();
    is_deeply([@$seen{qw(Status InFlight NextTry Consumers)}],
              [-1, Mojo::JSON->false, undef, 0], 'it waits for a consumer');

    my $hangs = $queue->consumer('orders', 'w1', confirm => 'ack');
    wait_for { @{$hangs->messages} == 2 } 'one has come';
    $seen = $message->();
    is_deeply([@$seen{qw(Status InFlight Consumer)}],
              [-1, Mojo::JSON->true, 'w1'], 'and has it');
    my ($client) = map { @$_ } $shell->($do{GetClientList});
    is($client->{InFlight}, 2, 'with another one');
    $shell->($do{Disconnect}, connection => $client->{Connection});
    wait_for { $hangs->closed } 'it is disconnected';

    my $next = $queue->consumer('orders', 'w2', confirm => 'ack');
    wait_for { @{$next->messages} == 2 } 'the next one gets both';
    $next->send("-$code");
    wait_for { $queue->counts->{dead} == 1 } 'and fails with one';
    $seen = $message->();
    is_deeply([@$seen{qw(Status Attempts LastError)}], [2, 1, 'given back'],
              'which is dead');
    $queue->post('/Console/PauseTopic', { topic => 'orders' });
    is_deeply([$shell->($do{RequeueMessage}, code => $code)], [1], 'requeued');
    $seen = $message->();
    ok($seen->{Paused}, 'it waits, since the topic is paused');
    $shell->($do{ResumeTopic});
    wait_for { @{$next->messages} == 3 } 'and arrives';
    $queue->finish;
}


# ----------------------------------------------------------------- capacity

# "A message takes its data and not more than 90 bytes"
my ($more) = $page =~ /takes its data and not more than\s+(\d+)\s+bytes/
    or die 'docs/operations.md does not say what a message takes';
$mq->post('/Console/PurgeTopic', { topic => 'kept' });
for my $size (100, 500, 1000, 10_000) {
    my $n = int(8_000_000 / $size);
    my $free = sub { $mq->post('/Console/GetOverview')->{data}{Zone}{Free} };
    my $before = $free->();

    $mq->publish_many("size-$size", ('x' x $size) x $n);
    my $each = ($before - $free->()) / $n;
    cmp_ok($each, '<', $size + $more, sprintf '%d bytes take %.0f', $size, $each);
    $mq->post('/Console/PurgeTopic', { topic => "size-$size" });
}
$mq->finish;

is_deeply([map { $_->{text} } grep { $_->{by} eq 't/90-operations.t'
                                     && !$_->{used} } @pieces],
          [], 'nothing was left out');

done_testing;
