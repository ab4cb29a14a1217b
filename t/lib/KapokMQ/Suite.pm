# What the suites in Test::Nginx format have in common; loaded before
# Test::Nginx::Socket, the real one or ours.

package KapokMQ::Suite;

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use IO::Socket::INET;

our $Root = abs_path(dirname(__FILE__) . '/../../..');

# A port that nobody listens on, below those that outgoing connections get:
# one of them might take it before nginx does.
sub free_port {
    for (1 .. 100) {
        my $port = 10_000 + int rand 20_000;
        return $port if IO::Socket::INET->new(Listen => 1,
            LocalPort => $port, LocalAddr => '0.0.0.0', ReuseAddr => 1);
    }

    die "no free port: $@";
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
