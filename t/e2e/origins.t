# Pages of other origins, in a browser that has a cookie, a password and a
# certificate for the queue, and sends them whoever asks: no door lets them in.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use File::Path qw(make_path);
use Mojo::JSON qw(decode_json);
use Test::More;
use KapokMQ::Suite;
use KapokMQ::Test;

plan skip_all => 'this nginx has no TLS'
    if `nginx -V 2>&1` !~ /--with-http_ssl_module/;

my ($own, $other) = map { KapokMQ::Suite::free_port() } 1 .. 2;
my $mq = KapokMQ::Test->new(yaml => {
    keys => '{ page: { key: page-key, produce: ["*"], consume: ["*"],
                       console: write, metrics: true } }',
});
my $dir = $mq->dir;

# --- certificates: of the server, and of somebody, who has it in his browser
sub run {
    my ($command) = @_;

    return is(system("cd $dir && ($command) > certificates.log 2>&1"), 0,
              $command =~ s/ -.*//sr);
}

# the browser's own files go where the server's are
$ENV{HOME} = $ENV{TMPDIR} = $dir;
make_path("$dir/.pki/nssdb");
run('openssl req -x509 -nodes -newkey rsa:2048 -days 30 -subj /CN=own.test'
    . ' -keyout server.key -out server.crt && chmod 644 server.key');
run('openssl req -x509 -nodes -newkey rsa:2048 -days 30 -subj /CN=anna'
    . ' -keyout anna.key -out anna.crt');
run('openssl pkcs12 -export -in anna.crt -inkey anna.key -name anna'
    . ' -passout pass: -out anna.p12');
run('certutil -d sql:.pki/nssdb -N --empty-password'
    . ' && pk12util -d sql:.pki/nssdb -i anna.p12 -W ""');
KapokMQ::Test::_spew("$dir/users", "anna:{PLAIN}word\n");

# --- the queue, and pages
sub doors {
    my ($kind, $auth) = @_;

    return map { "location /$kind/$_->[0] { kapokmq_$_->[1]; $auth }\n" }
               ['Producers/', 'producer'], ['Consumers/', 'consumer'],
               ['Events/', 'events'], ['Pull/', 'pull'], ['Settle', 'settle'],
               ['Send', 'send'], ['Console/', 'console'],
               ['metrics', 'metrics key'];
}

my $tls = "ssl_certificate $dir/server.crt;
           ssl_certificate_key $dir/server.key;
           root $dir/html;";
my $doors = join '',
    doors(cookie => 'kapokmq_auth key $cookie_kapokmq;'),
    doors(basic => 'kapokmq_auth off; kapokmq_user $remote_user;
                    auth_basic queue; auth_basic_user_file users;'),
    doors(certificate => 'kapokmq_auth off; kapokmq_user $ssl_client_s_dn;
                          if ($ssl_client_verify != SUCCESS) { return 401; }');
$mq->configure(http => <<"CONF");
log_format doors escape=json '{"status":\$status,"uri":"\$uri",'
    '"method":"\$request_method","origin":"\$http_origin",'
    '"site":"\$http_sec_fetch_site","mode":"\$http_sec_fetch_mode",'
    '"cookie":"\$cookie_kapokmq","basic":"\$remote_user",'
    '"certificate":"\$ssl_client_s_dn"}';
server {
    listen 127.0.0.1:$own ssl;
    server_name own.test;
    $tls
    ssl_client_certificate $dir/anna.crt;
    ssl_verify_client optional;
    access_log $dir/doors.log doors;
    $doors
}
server { listen 127.0.0.1:$own ssl; server_name evil.test; $tls }
server { listen 127.0.0.1:$other ssl; server_name own.test; $tls }
CONF
$mq->launch;
KapokMQ::Test::_spew("$dir/html/page.html", '<!DOCTYPE html><title>A page'
                     . '</title><link rel="icon" href="data:,"><body>');

$mq->publish('t', "m$_") for 1 .. 100;
$mq->publish("$_-kept", 'to be kept') for qw(evil near own);
open my $out, '-|', 'node', 't/e2e/origins.js', $own, $other,
              "$dir/chromium", 'page-key', 'anna:word'
    or die "node: $!";
my $text = do { local $/; <$out> };
close $out;
is($?, 0, 'the browser runs');
my $seen = eval { decode_json($text // '') } // {};

# --- what the pages saw
my %page = (evil => "https://evil.test:$own",
            near => "https://own.test:$other",
            own  => "https://own.test:$own");
my @asked = map { my $door = $_; map { "$door $_" } 'cors', 'no-cors' }
            'read events', qw(send text json pull settle topics keys purge
                              delete metrics);
my %good = (producer => 'Secret key matching succeeded',
            consumer => 'Secret key matching succeeded',
            events => 'open', image => 'tried', map { $_ => 200 } @asked);
my %bad = (producer => 'closed', consumer => 'closed', events => 'closed',
           image => 'tried',
           map { $_ => /no-cors/ ? 0 : 'error' } @asked);

for my $page (sort keys %page) {
    for my $kind (qw(cookie basic certificate)) {
        my $doors = $seen->{$page}{$kind};
        my $form = delete $doors->{form};

        is_deeply($doors, $page eq 'own' ? \%good : \%bad,
                  "what $page gets with its $kind");
        like($form, $page eq 'own' ? qr/"code":0/ : qr/not allowed here/,
             'and by a form');
    }
}

# --- what nginx got, and answered
my @log = do {
    open my $in, '<', "$dir/doors.log" or die $!;
    map { decode_json($_) } <$in>;
};

# A browser tells the origin, or where it is from, or both.
sub page_of {
    my ($line) = @_;

    for my $page (keys %page) {
        return $page if $line->{origin} eq $page{$page};
    }
    return { 'cross-site' => 'evil', 'same-site' => 'near',
             'same-origin' => 'own' }->{$line->{site}} // '';
}

# All doors, and how often each is tried.  Before JSON a browser asks by OPTIONS,
# without credentials.
my %doors = ('GET Producers/t/p' => 1, 'GET Consumers/t/c' => 1,
             'GET Events/t/e' => 3, 'POST Pull/t/l' => 2, 'POST Settle' => 2,
             'POST Send' => 6, 'GET metrics' => 4,
             map { ("POST Console/$_" => 2) }
             qw(GetTopics GetKeys PurgeTopic DelMessage));

for my $page (sort keys %page) {
    for my $kind (qw(cookie basic certificate)) {
        my @lines = grep { page_of($_) eq $page
                           && $_->{uri} =~ m{^/$kind/} } @log;
        my ($asks) = grep { $_->{method} eq 'OPTIONS' } @lines;
        # a browser learns by 401 that it has to send a password
        @lines = grep { $_->{method} ne 'OPTIONS'
                        && !($_->{status} == 401 && $_->{basic} eq ''
                             && $kind eq 'basic') } @lines;
        my %found;
        $found{"$_->{method} " . $_->{uri} =~ s{^/$kind/}{}r}++ for @lines;

        is_deeply(\%found,
                  { %doors, $page eq 'own' ? ('POST Send' => 7) : () },
                  "$page tries all doors with its $kind");
        is(join(' ', map { $_->{uri} } grep { $_->{$kind} eq '' } @lines), '',
           'which the browser sends each time');
        my %status;
        $status{$_->{status}}++ for @lines;
        is_deeply([sort keys %status], $page eq 'own' ? [101, 200] : [403],
                  'and the answers');
        next if $page eq 'own';
        like($asks->{status}, qr/^40[13]$/, 'nor may it send JSON');
    }
}

# --- nothing has come of it
# of each kind send, text, json, twice, and a form
is($mq->post('/Console/GetTopic', { topic => 't' })->{data}{Published},
   100 + 3 * 7, 'messages of its own page alone');
is($mq->post('/Console/GetTopic', { topic => "$_-kept" })->{data}{Waiting},
   $_ eq 'own' ? 0 : 1, "what $_ has purged") for sort keys %page;

$mq->{allow} = qr{\[error\].*(?:/favicon\.ico|no user/password)};
$mq->finish;
done_testing;
