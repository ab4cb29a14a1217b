# clients/python, while workers are killed and reloaded; Debian's package of
# websockets belongs to Debian's Python.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use KapokMQ::Clients;
use KapokMQ::Test;

my $mq = KapokMQ::Test->start(allow => qr/exited on signal 9/);
clients_in_chaos($mq, '/usr/bin/python3', 't/e2e/clients/client.py');
$mq->finish;
done_testing;
