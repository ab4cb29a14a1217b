# What the suites in Test::Nginx format have in common; loaded before
# Test::Nginx::Socket, the real one or ours.

package KapokMQ::Suite;

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use Socket qw(INADDR_ANY PF_INET SOCK_STREAM SOL_SOCKET SO_REUSEADDR
              pack_sockaddr_in);

our $Root = abs_path(dirname(__FILE__) . '/../../..');

# A port that nobody has, below those that outgoing connections get: one of
# them might take it before nginx does.  It is kept for this process, which has
# it bound; a server may still bind it, since it says SO_REUSEADDR, but no other
# suite that looks for a port, not even while that server is down.
{
    my %kept;

    sub free_port {
        for (1 .. 1000) {
            my $port = 10_000 + int rand 20_000;
            next if $port == 10_080;        # browsers and fetch() refuse it
            socket my $socket, PF_INET, SOCK_STREAM, 0 or die "socket: $!";
            bind $socket, pack_sockaddr_in($port, INADDR_ANY) or next;
            setsockopt $socket, SOL_SOCKET, SO_REUSEADDR, 1
                or die "SO_REUSEADDR: $!";
            $kept{$port} = $socket;
            return $port;
        }

        die "no free port: $!";
    }
}

# Whether nginx was configured so: nginx_has('--with-http_ssl_module').
sub nginx_has {
    my ($argument) = @_;
    my $nginx = $ENV{TEST_NGINX_BINARY} || 'nginx';

    return `$nginx -V 2>&1` =~ / \Q$argument\E(?=[ =]|$)/m;
}

my $build = $ENV{KMQ_BUILD} || "$Root/build";

$ENV{PATH} .= ':/usr/sbin:/usr/local/sbin';
$ENV{TEST_NGINX_LOAD_MODULES} ||= "$build/ngx_kapokmq_module.so";
$ENV{TEST_NGINX_SERVROOT}     ||= "$build/t/servroot.$$";
$ENV{TEST_NGINX_HTML_DIR}     ||= "$ENV{TEST_NGINX_SERVROOT}/html";
$ENV{TEST_NGINX_PORT}         ||= free_port();
# seconds that an answer may take, on the busiest machine
$ENV{TEST_NGINX_TIMEOUT}      ||= 60;

# A whole queue, for blocks that say nothing else: to be given to
# add_block_preprocessor().  Sections that a block has are left alone.
sub queue {
    my ($block) = @_;
    my %default = (
        http_config => <<'CONF',
kapokmq_zone 8m;
kapokmq_config $TEST_NGINX_HTML_DIR/application.yaml;
CONF
        config => <<'CONF',
location /Producers/Conn/ { kapokmq_producer; }
location /Consumers/Conn/ { kapokmq_consumer; }
location /Consumers/Events/ { kapokmq_events; }
location /Consumers/Pull/ { kapokmq_pull; }
location /Consumers/Settle { kapokmq_settle; }
location = /Producer/Send { kapokmq_send; }
location /Console/ { kapokmq_console; }
CONF
        user_files => <<'YAML',
>>> application.yaml
mq:
  secretKey: sesame
  isPersistent: 0
  pushMessagesSpeed: 0
YAML
    );

    defaults($block, %default);
}

# The same for blocks of a file that ask nothing else.
sub ping {
    my ($block) = @_;

    defaults($block, request => 'POST /Console/Ping',
             more_headers => 'secretKey: sesame');
}

sub defaults {
    my ($block, %default) = @_;

    for my $name (keys %default) {
        my ($value) = $block->$name;
        $block->set_value($name, $default{$name}) unless defined $value;
    }
}

1;
