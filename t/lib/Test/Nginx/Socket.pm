# A runner for test files in the format of Test::Nginx: the part of it that
# the suites of this project use, as its public documentation describes it.
# When the real Test::Nginx is installed it is the one that runs them: this
# directory comes last in @INC.

package Test::Nginx::Socket;

use strict;
use warnings;

use Test::Base -base;
use Test::LongString ();

use File::Path qw(make_path remove_tree);
use IO::Select;
use IO::Socket::INET;
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(sleep time);

our @EXPORT = qw(
    add_block_preprocessor add_cleanup_handler check_accum_error_log
    log_level master_on no_long_string no_root_location no_shuffle
    no_shutdown_error_log repeat_each run_tests server_root
    worker_connections workers
);

our $ServerPort;
our $ServRoot;

my $repeat        = 1;
my $workers       = 1;
my $connections   = 64;
my $master        = $ENV{TEST_NGINX_MASTER_PROCESS} || 'off';
my $log_level     = $ENV{TEST_NGINX_LOG_LEVEL} || 'debug';
my $timeout       = $ENV{TEST_NGINX_TIMEOUT} || 3;
my $shuffle       = !$ENV{TEST_NGINX_NO_SHUFFLE};
my $long_string   = 1;
my $root_location = 1;
my (@preprocessors, @cleanups);

my $nginx;          # pid of the running server

# Sections that are known; any other is a mistake in a test file.
my %known = map { $_ => 1 } qw(
    abort config error_code error_code_like error_log http_config
    ignore_response init log_level main_config more_headers must_die
    no_error_log pipelined_requests post_main_config raw_request
    raw_response_headers_like raw_response_headers_unlike request
    response_body response_body_like response_body_unlike response_headers
    response_headers_like server_name skip_eval skip_nginx timeout user_files
    wait
);


# ------------------------------------------------------------- boilerplate

sub repeat_each      { $repeat = shift if @_; return $repeat }
sub workers          { $workers = shift if @_; return $workers }
sub worker_connections { $connections = shift if @_; return $connections }
sub log_level        { $log_level = shift if @_; return $log_level }
sub master_on        { $master = 'on'; return }
sub no_shuffle       { $shuffle = 0; return }
sub no_long_string   { $long_string = 0; return }
sub no_root_location { $root_location = 0; return }
sub no_shutdown_error_log { return }
sub check_accum_error_log { return }
sub server_root      { return $ServRoot }

sub add_block_preprocessor { push @preprocessors, shift; return }
sub add_cleanup_handler    { push @cleanups, shift; return }


# ------------------------------------------------------------------ server

sub _set_up {
    my ($port) = grep { defined } @ENV{qw(TEST_NGINX_SERVER_PORT
                                          TEST_NGINX_PORT)};

    $ServerPort = $port // 1984;
    $ServRoot = $ENV{TEST_NGINX_SERVROOT} || "$ENV{PWD}/t/servroot";
    $ENV{TEST_NGINX_SERVER_ROOT} = $ServRoot;
    $ENV{TEST_NGINX_HTML_DIR} ||= "$ServRoot/html";
    $ENV{TEST_NGINX_SERVER_PORT} = $ServerPort;
}

# $TEST_NGINX_NAME, ${TEST_NGINX_NAME}: from the environment.
sub _expand {
    my ($block, $text) = @_;

    $text =~ s{\$(\{)?(TEST_NGINX_\w+)(?(1)\})}{
        $ENV{$2} // _stop($block->name . ": \$$2 is not set")
    }ge;

    return $text;
}

sub _section {
    my ($block, $name) = @_;
    my ($value) = $block->$name;

    return $value;
}

sub _config {
    my ($block) = @_;
    my %part;

    for my $name (qw(main_config http_config config post_main_config)) {
        $part{$name} = _expand($block, _section($block, $name) // '');
    }

    my $modules = join '', map { "load_module $_;\n" }
                  split ' ', $ENV{TEST_NGINX_LOAD_MODULES} || '';
    my $user = $ENV{TEST_NGINX_WORKER_USER} || ($> == 0 ? 'root root' : '');
    my $level = _section($block, 'log_level') || $log_level;
    my $server_name = _section($block, 'server_name') || 'localhost';
    my $root = $root_location
               ? "location / {\n root $ServRoot/html; index index.html;\n}"
               : '';

    return $modules
        . ($user && $master eq 'on' ? "user $user;\n" : '')
        . <<"CONF";
worker_processes $workers;
daemon off;
master_process $master;
error_log $ServRoot/logs/error.log $level;
pid $ServRoot/logs/nginx.pid;
$part{main_config}
http {
    access_log $ServRoot/logs/access.log;
    default_type text/plain;
    keepalive_timeout 68;
    client_body_temp_path $ServRoot/client_body_temp;
    proxy_temp_path $ServRoot/proxy_temp;
    fastcgi_temp_path $ServRoot/fastcgi_temp;
    uwsgi_temp_path $ServRoot/uwsgi_temp;
    scgi_temp_path $ServRoot/scgi_temp;
$part{http_config}
    server {
        listen $ServerPort;
        server_name $server_name;
        client_max_body_size 30M;
$part{config}
        $root
    }
}
$part{post_main_config}
events {
    accept_mutex off;
    worker_connections $connections;
}
CONF
}

sub _write_files {
    my ($block) = @_;
    my ($files) = _section($block, 'user_files');

    return unless defined $files;

    if (!ref $files) {
        my @parts = split /^>>>[ \t]*(\S+)(?:[ \t]+\S+)?[ \t]*\n/m, $files;
        shift @parts;
        my @list;
        push @list, [splice @parts, 0, 2] while @parts;
        $files = \@list;
    }

    for my $file (@$files) {
        my $path = "$ServRoot/html/$file->[0]";
        make_path($path =~ s{/[^/]*$}{}r);
        _spew($path, _expand($block, $file->[1] // ''));
    }
}

sub _spew {
    my ($path, $text) = @_;

    open my $out, '>:raw', $path or _stop("$path: $!");
    utf8::encode($text) if utf8::is_utf8($text);
    print {$out} $text;
    close $out or _stop("$path: $!");
}

sub _slurp {
    my ($path) = @_;

    open my $in, '<:raw', $path or return '';
    local $/;
    return scalar(<$in>) // '';
}

# Removes the server root as the real one does: what somebody keeps there under
# a name of its own is not its to remove, and it goes no further.
sub _clean {
    return 1 unless -d $ServRoot;

    remove_tree((map { "$ServRoot/$_" } qw(conf cache html logs)),
                glob("$ServRoot/*_cache"), glob("$ServRoot/*_temp"));
    return rmdir $ServRoot;
}

# Starts nginx on what the block says; returns its exit status when it ended
# by itself, nothing when it serves.
sub _start {
    my ($block) = @_;
    my $config = _config($block);
    my $binary = $ENV{TEST_NGINX_BINARY} || 'nginx';

    _stop_server();
    _clean() or _stop("Can't remove $ServRoot (not empty?): $!");
    make_path("$ServRoot/conf", "$ServRoot/logs", "$ServRoot/html");
    chmod 0755, $ServRoot;
    _spew("$ServRoot/html/index.html", "It works!\n");
    _write_files($block);
    _spew("$ServRoot/conf/nginx.conf", $config);

    $nginx = fork // _stop("fork: $!");
    if ($nginx == 0) {
        # what nginx says before its configuration names a log
        open STDERR, '>>', "$ServRoot/logs/error.log";
        open STDOUT, '>', '/dev/null';
        exec split(' ', $binary), '-p', "$ServRoot/", '-c',
            "$ServRoot/conf/nginx.conf" or POSIX::_exit(127);
    }

    my $deadline = time + 120;
    while (time < $deadline) {
        if (waitpid($nginx, WNOHANG) == $nginx) {
            undef $nginx;
            return $?;
        }
        if (-s "$ServRoot/logs/nginx.pid") {
            return;
        }
        sleep 0.01;
    }

    _stop('nginx did not start');
}

sub _stop_server {
    return unless $nginx;

    kill 'TERM', $nginx;
    my $deadline = time + $timeout;
    while (waitpid($nginx, WNOHANG) == 0) {
        kill 'KILL', $nginx if time > $deadline;
        sleep 0.01;
    }
    undef $nginx;
}

sub _stop {
    my ($why) = @_;

    _stop_server();
    die "$why\n";
}

END {
    my $status = $?;

    _stop_server();
    $_->() for @cleanups;
    if (defined $ServRoot && !$ENV{TEST_NGINX_NO_CLEAN} && !_clean()) {
        # which the next run would stumble over
        Test::More::diag("Can't remove $ServRoot (not empty?): $!");
        remove_tree($ServRoot);
        $status ||= 1;
    }
    $? = $status;
}


# ---------------------------------------------------------------- requests

# A list with an entry for each request: [packet, ...].
sub _requests {
    my ($block) = @_;

    if (defined(my $raw = _section($block, 'raw_request'))) {
        return [ref $raw ? @$raw : $raw];
    }

    my $pipelined = _section($block, 'pipelined_requests');
    my $request = $pipelined // _section($block, 'request');
    _stop($block->name . ': no request') unless defined $request;

    my @list = ref $request ? @$request : $request;
    my $headers = _section($block, 'more_headers') // '';
    my @built;

    for my $i (0 .. $#list) {
        my $more = ref $headers ? $headers->[$i] // '' : $headers;
        my $last = !defined $pipelined || $i == $#list;
        push @built, [_build($block, $list[$i], $more, $last)];
    }

    return defined $pipelined ? [join '', map { @$_ } @built] : @built;
}

sub _build {
    my ($block, $request, $more, $last) = @_;
    my ($line, $body) = split /\n/, $request =~ s/^(?:\s|#[^\n]*\n)+//r, 2;

    my ($method, $uri, $version) =
        $line =~ m{^(\S+)(?:\s+(\S+?))?(?:\s+(HTTP/\S+))?\s*$}
        or _stop($block->name . ": bad request line: $line");
    $uri //= '/';
    $version //= 'HTTP/1.1';

    my $text = "$method $uri $version\r\n";
    $text .= "Host: localhost\r\n" unless $more =~ /^Host:/mi;
    $text .= 'Connection: ' . ($last ? 'close' : 'keep-alive') . "\r\n"
        unless $more =~ /^Connection:/mi;
    $text .= "$_\r\n" for grep { /\S/ } split /\r?\n/, $more;

    # the newline that ends the section, not one that ends a chunk
    $body = ($body // '') =~ s/(?<!\r)\n\z//r;
    utf8::encode($body) if utf8::is_utf8($body);
    if (length $body && $more !~ /^(?:Content-Length|Transfer-Encoding):/mi) {
        $text .= 'Content-Length: ' . length($body) . "\r\n";
    }

    return "$text\r\n$body";
}

sub _timeout {
    my ($block) = @_;
    my $text = _section($block, 'timeout') // $timeout;

    return $text =~ /^\s*([\d.]+)\s*ms/ ? $1 / 1000 : $text =~ s/s\s*$//r;
}

# Sends the packets, returns what came until the server closed or all the
# expected responses were there.
sub _exchange {
    my ($block, $packets, $expected, $head) = @_;
    my $patience = _timeout($block);
    my $socket = IO::Socket::INET->new(
        PeerAddr => '127.0.0.1', Proto => 'tcp', Timeout => $timeout,
        PeerPort => $ENV{TEST_NGINX_CLIENT_PORT} // $ServerPort,
    ) or return ('', "cannot connect: $@");
    my $select = IO::Select->new($socket);
    my $got = '';

    local $SIG{PIPE} = 'IGNORE';
    for my $i (0 .. $#$packets) {
        sleep($ENV{TEST_NGINX_SLEEP} || 0.015) if $i;
        my $packet = $packets->[$i];
        while (length $packet) {
            my $n = syswrite $socket, $packet or last;
            substr $packet, 0, $n, '';
        }
    }

    while ($select->can_read($patience)) {
        my $n = sysread $socket, $got, 65536, length $got;
        return $got unless $n;
        return $got if _parse($got, $expected, $head) == $expected;
    }

    return ($got, 'client socket timed out');
}

# Parses at most $count responses; in scalar context says how many are whole.
sub _parse {
    my ($text, $count, $head) = @_;
    my @responses;

    while (@responses < $count
           && $text =~ s{^(HTTP/1\.[01] (\d+)[^\r\n]*\r\n(.*?))\r\n\r\n}{}s)
    {
        my %response = (code => $2, raw => "$1\r\n", headers => {});
        my $fields = $3;
        for my $field (split /\r\n/, $fields) {
            my ($name, $value) = $field =~ /^([^:]+):\s*(.*)$/ or next;
            push @{$response{headers}{lc $name}}, $value;
        }

        next if $response{code} eq '100';
        my $whole = _body(\%response, \$text, $head);
        last if !wantarray && !$whole;
        push @responses, \%response;
    }

    return wantarray ? @responses : scalar @responses;
}

# Cuts a response's body off the text; false when it may go on.
sub _body {
    my ($response, $text, $head) = @_;
    my $headers = $response->{headers};

    $response->{body} = '';
    return 1 if $head || $response->{code} =~ /^(?:1\d\d|204|304)$/;

    if (join(',', @{$headers->{'transfer-encoding'} // []}) =~ /chunked/i) {
        while ($$text =~ s/^([0-9a-f]+)[^\r\n]*\r\n//i) {
            my $size = hex $1;
            return 0 if length $$text < $size + 2;
            $response->{body} .= substr $$text, 0, $size, '';
            $$text =~ s/^\r\n//;
            return 1 if $size == 0;
        }
        return 0;
    }

    if (defined(my $size = $headers->{'content-length'}[0])) {
        $response->{body} = substr $$text, 0, $size, '';
        return length $response->{body} == $size;
    }

    $response->{body} = $$text;
    $$text = '';
    return 0;
}


# ------------------------------------------------------------------ checks

sub _each {
    my ($value, $i) = @_;

    return ref $value eq 'ARRAY' ? $value->[$i] : $value;
}

sub _check_code {
    my ($block, $response, $i, $name) = @_;
    my $like = _each(_section($block, 'error_code_like'), $i);

    if (defined $like) {
        Test::More::like($response->{code}, qr/$like/s,
                         "$name - status code ok");
        return;
    }

    my $code = _each(_section($block, 'error_code'), $i) // 200;
    Test::More::is($response->{code}, $code =~ s/\s+//gr,
                   "$name - status code ok")
        or Test::More::diag($response->{raw} . $response->{body});
}

sub _check_headers {
    my ($block, $response, $i, $name, $section) = @_;
    my $expected = _each(_section($block, $section), $i) // return;

    for my $line (grep { /\S/ } split /\r?\n/, _expand($block, $expected)) {
        if ($line =~ /^\s*!\s*(\S+)/) {
            Test::More::ok(!exists $response->{headers}{lc $1},
                           "$name - header $1 is absent");
            next;
        }

        my ($header, $value) = $line =~ /^\s*([^:\s]+)\s*:\s*(.*?)\s*$/
            or _stop("$name: bad header line: $line");
        my $got = join ', ', @{$response->{headers}{lc $header} // []};
        if ($section eq 'response_headers_like') {
            Test::More::like($got, qr/^$value$/, "$name - header $header ok");
        } else {
            Test::More::is($got, $value, "$name - header $header ok");
        }
    }
}

sub _check_patterns {
    my ($block, $text, $i, $name, $section, $wanted, $what) = @_;
    my $pattern = _each(_section($block, $section), $i) // return;

    $pattern =~ s/^\s+|\s+$//g unless ref $pattern;
    my $check = $wanted ? \&Test::More::like : \&Test::More::unlike;
    $check->($text, ref $pattern ? $pattern : qr/$pattern/sm,
             "$name - $what");
}

sub _check_body {
    my ($block, $response, $i, $name) = @_;
    my $expected = _each(_section($block, 'response_body'), $i);

    if (defined $expected && ref $expected eq 'Regexp') {
        Test::More::like($response->{body}, $expected,
                         "$name - response_body - response is expected");

    } elsif (defined $expected) {
        my $is = $long_string ? \&Test::LongString::is_string
                              : \&Test::More::is;
        $is->($response->{body}, _expand($block, $expected),
              "$name - response_body - response is expected");
    }

    _check_patterns($block, $response->{body}, $i, $name,
                    'response_body_like', 1, 'response_body_like');
    _check_patterns($block, $response->{body}, $i, $name,
                    'response_body_unlike', 0, 'response_body_unlike');
}

sub _check_response {
    my ($block, $response, $i, $name) = @_;

    _check_code($block, $response, $i, $name);
    _check_headers($block, $response, $i, $name, 'response_headers');
    _check_headers($block, $response, $i, $name, 'response_headers_like');
    _check_patterns($block, $response->{raw}, $i, $name,
                    'raw_response_headers_like', 1, 'raw headers');
    _check_patterns($block, $response->{raw}, $i, $name,
                    'raw_response_headers_unlike', 0, 'raw headers');
    _check_body($block, $response, $i, $name);
}

# All that nginx has written since it started for this block.
sub _log_lines {
    return split /^/, _slurp("$ServRoot/logs/error.log");
}

# What a log pattern finds: a string anywhere, or a regular expression.
sub _found {
    my ($pattern) = @_;

    return grep { ref $pattern ? /$pattern/ : index($_, $pattern) >= 0 }
           _log_lines();
}

sub _log_patterns {
    my ($block, $section) = @_;
    my $patterns = _section($block, $section) // return;

    return ref $patterns eq 'ARRAY' ? @$patterns : $patterns if ref $patterns;
    return grep { length } split /\n+/, _expand($block, $patterns);
}

sub _check_log {
    my ($block, $name) = @_;

    sleep _section($block, 'wait') if defined _section($block, 'wait');

    for my $pattern (_log_patterns($block, 'error_log')) {
        # a worker may write the line after it has answered
        my $deadline = time + $timeout;
        sleep 0.02 until _found($pattern) or time > $deadline;
        Test::More::ok(scalar _found($pattern),
            "$name - pattern \"$pattern\" matches a line in error.log")
            or Test::More::diag(grep { !/\[debug\]/ } _log_lines());
    }

    for my $pattern (_log_patterns($block, 'no_error_log')) {
        my @found = _found($pattern);
        Test::More::ok(!@found,
            "$name - pattern \"$pattern\" should not match in error.log")
            or Test::More::diag(@found);
    }
}


# --------------------------------------------------------------------- run

sub _run_must_die {
    my ($block, $name) = @_;
    my $expected = _section($block, 'must_die');

    my $status = _start($block);
    if (!defined $status) {
        Test::More::fail("$name - nginx was to refuse to start");
        _stop_server();

    } elsif ($status & 127) {
        Test::More::fail("$name - nginx ended by signal " . ($status & 127));

    } elsif (length $expected) {
        Test::More::is($status >> 8, $expected, "$name - exit code");

    } else {
        Test::More::isnt($status >> 8, 0, "$name - exit code");
    }
    _check_log($block, $name);
}

sub _run_requests {
    my ($block, $name) = @_;
    my $pipelined = _section($block, 'pipelined_requests');
    my $index = 0;

    for my $packets (_requests($block)) {
        my $count = defined $pipelined ? scalar @$pipelined : 1;
        my $head = join('', @$packets) =~ /^HEAD /;
        my ($text, $error) = _exchange($block, $packets, $count, $head);

        if (defined $error && !defined _section($block, 'abort')) {
            Test::More::fail("ERROR: $error - $name");
        }
        if (defined _section($block, 'ignore_response')) {
            _check_log($block, $name);
            next;
        }

        my @responses = _parse($text, $count, $head);
        for my $i (0 .. $count - 1) {
            _check_response($block, $responses[$i] // _nothing(),
                            $index + $i, $name);
        }
        $index += $count;
        _check_log($block, $name);
    }
}

sub _nothing {
    return { code => '', raw => '', body => '', headers => {} };
}

sub _check_sections {
    my ($block) = @_;

    for my $name (@{$block->_section_order}) {
        _stop($block->name . ": unknown section $name") unless $known{$name};
    }
}

sub _skipped {
    my ($block, $name) = @_;
    my $skip = _section($block, 'skip_eval') // return;
    my ($count, $code) = $skip =~ /^\s*(\d+)\s*:\s*(.*)$/s
        or _stop("$name: bad skip_eval");

    return unless eval $code;
    Test::More::ok(1, "$name # skip $code") for 1 .. $count;
    return 1;
}

sub _run_block {
    my ($block) = @_;
    my $name = $block->name;

    return if _skipped($block, $name);
    return _run_must_die($block, $name) if defined _section($block, 'must_die');

    if (defined(my $code = _section($block, 'init'))) {
        eval "package main; $code; 1" or _stop("$name - init: $@");
    }

    my $status = _start($block);
    if (defined $status) {
        Test::More::fail("$name - nginx did not start");
        Test::More::diag(grep { !/\[debug\]/ } _log_lines());
        return;
    }

    for my $n (1 .. $repeat) {
        _run_requests($block, $repeat > 1 ? "$name (run $n)" : $name);
    }
}

sub run_tests {
    _set_up();

    my @blocks = blocks();
    @blocks = sort { rand() <=> 0.5 } @blocks if $shuffle;
    for my $block (@blocks) {
        $_->($block) for @preprocessors;
        _check_sections($block);
        _run_block($block);
    }
    _stop_server();
}

1;
