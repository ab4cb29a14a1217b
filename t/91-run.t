# ./run.sh, in a copy of the checkout: the queue does not wait for its page, and
# goes on when npm cannot get it.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use File::Temp qw(tempdir);
use POSIX qw(WNOHANG);
use Test::More;
use KapokMQ::Disk qw(slurp);
use KapokMQ::Test;

my $root = $KapokMQ::Suite::Root;
my $port = KapokMQ::Suite::free_port();
my $copy = tempdir('kmq-run-XXXXXX', DIR => "$root/build/t", CLEANUP => 1);
my $build = join ' ', grep { -e "$root/$_" } map { "build/$_" }
            qw(ngx_kapokmq_module.so kapokmq-dump configured-with nginx plain
               nginx-src);

is(system('sh', '-ec', <<"SH"), 0, 'a copy, on a port of its own');
    cd $root
    cp -a --parents \$(git ls-files -co --exclude-standard) $build $copy
    sed -i s/8011/$port/ $copy/conf/nginx.conf
SH

my $ua = Mojo::UserAgent->new(max_connections => 0);
my $pid;

# Starts it, with more in its environment.
sub run {
    my (%env) = @_;

    unlink "$copy/said";
    $pid = fork // die "fork: $!";
    return if $pid;

    %ENV = (%ENV, %env);
    open STDOUT, '>', "$copy/said";
    open STDERR, '>&', \*STDOUT;
    chdir $copy;
    setpgrp;
    exec './run.sh' or POSIX::_exit(127);
}

END {
    my $status = $?;
    if ($pid) {
        kill 'KILL', -$pid;
        kill 'KILL', slurp("$copy/run/logs/nginx.pid") || ();
    }
    $? = $status;
}

sub set {
    my ($name, $text) = @_;

    open my $out, '>', $name or die "$name: $!";
    print $out $text;
    close $out;
}

sub said { return slurp("$copy/said") }

sub page { return $ua->get("http://127.0.0.1:$port/")->result->body }

sub works {
    my ($key) = @_;
    my $result = $ua->post("http://127.0.0.1:$port/Producer/Send",
        { secretKey => $key // 'test' },
        form => { topic => 'news', messageData => 'hello' })->result;
    return $result->code == 200;
}

sub ends {
    my $status;

    kill 'INT', $pid;
    wait_for { waitpid($pid, WNOHANG) == $pid && do { $status = $?; 1 } }
             'Ctrl-C ends it';
    is($status, 0, 'with exit code 0');
    undef $pid;
}

# npm's registry is not there, and something is left to be built
unlink "$copy/build/ngx_kapokmq_module.so";
run(npm_config_registry => 'http://127.0.0.1:9', npm_config_fetch_retries => 0);
wait_for { said() =~ /^KapokMQ is running/m } 'the queue runs' or diag(said());
like(said(), qr/^  Linking, after \d+ s$/m, 'how far its build was is shown');
like(said(), qr/its page is built now/, 'and its page is to follow');
ok(works(), 'it takes a message');
like(page(), qr/not built yet/, 'and says so in the place of the page');
wait_for { said() =~ /could not be built/ } 'the page cannot be built';
like(said(), qr/"make page" where npm can fetch/, 'how to get it is said');
ok(works(), 'the queue goes on');
ends();

# nobody wants it
run(NPM => 'NO');
wait_for { said() =~ /^KapokMQ is running/m } 'without npm it runs as well';
like(said(), qr/without its page/, 'and says that there is no page');
ok(works(), 'it takes a message');

# what it prints for a change of the settings
{
    my ($reload) = said() =~ /^  settings .*  (kill -HUP \d+)$/m;
    my $settings = "$copy/conf/application.yaml";
    my $text = slurp($settings);

    set($settings, $text =~ s/^  secretKey: test$/  secretKey: another/mr);
    is(system($reload // 'false'), 0, 'a change of the settings');
    wait_for { works('another') } 'is there';
    set($settings, "$text  bogus: 1\n");
    system $reload // 'false';
    wait_for { said() =~ /bogus/ } 'a wrong one is named where it runs';
    ok(works('another'), 'which goes on as it was');
    set($settings, $text);
}
ends();

# the page is there
SKIP: {
    skip 'the page is not built here: make page', 4
        unless -e "$root/view/dist/index.html";

    is(system('sh', '-ec', "cp -a $root/view/dist $copy/view/;"
              . " mkdir -p $copy/view/node_modules;"
              . " cp -a $root/view/node_modules/.from $copy/view/node_modules/;"
              . " touch $copy/view/node_modules/.from $copy/view/dist/*"), 0,
       'a page that is built');
    run();
    wait_for { said() =~ /^KapokMQ is running/m } 'it runs';
    like(page(), qr/<script/, 'and has the page at once');
    ends();
}

done_testing;
