# Over TLS: messages of all sizes come as they were sent.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use IPC::Open2;
use Mojo::JSON qw(decode_json);
use Test::More;
use KapokMQ::Suite;
use KapokMQ::Test;

plan skip_all => 'this nginx has no TLS'
    if !KapokMQ::Suite::nginx_has('--with-http_ssl_module');

my $port = KapokMQ::Suite::free_port();
my $mq = KapokMQ::Test->new;
my $pem = $mq->dir . '/server.pem';

is(system("openssl req -x509 -nodes -newkey rsa:2048 -days 30"
          . " -subj /CN=localhost -keyout $pem -out $pem.crt 2> /dev/null"
          . " && cat $pem.crt >> $pem && chmod 644 $pem"), 0, 'a certificate');
$mq->launch(conf => <<"CONF");
        listen 127.0.0.1:$port ssl;
        ssl_certificate $pem;
        ssl_certificate_key $pem;
CONF

my $pid = open2(my $out, my $in, '/usr/bin/python3', 't/e2e/tls.py', $port,
                'sesame');
my $seen = eval { decode_json(scalar readline $out) } // {};
is($seen->{oks}, 200, 'each message has its ok');
ok($seen->{got}, 'all come, in their order, as they were');
wait_for { $mq->counts->{unconsumed} == 0 } 'and are consumed';
close $in;
waitpid $pid, 0;
is($?, 0, 'it has left');

$mq->finish;
done_testing;
