# python3-websockets; Debian's package belongs to Debian's Python.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use KapokMQ::E2E;
use KapokMQ::Test;

my $mq = KapokMQ::Test->start;
run_client('websockets', '/usr/bin/python3', 't/e2e/client.py', $mq->port,
           'sesame');
$mq->finish;
done_testing;
