# npm's ws.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use KapokMQ::E2E;
use KapokMQ::Test;

my $mq = KapokMQ::Test->start;
run_client('ws', 'node', 't/e2e/node.js', $mq->port, 'sesame');
$mq->finish;
done_testing;
