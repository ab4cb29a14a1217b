# Three nginx and three nats-servers, all of which lose their power: what only a
# node's files have goes to the stream again; a stream that ends before what
# nodes know of is told aloud, and nothing happens by itself: no files are set
# aside, nobody is primary, until an operator has a new stream made.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use File::Path qw(remove_tree);
use Test::More;
use Time::HiRes qw(time);
use KapokMQ::Cluster;
use KapokMQ::Disk;
use KapokMQ::Test;

plan skip_all => 'no nats-server' unless KapokMQ::Nats::version();

my $cluster = KapokMQ::Cluster->start(
    workers => 1, timeout => '1s', zone => '64m',
    yaml => { isPersistent => 2, pushRetryTime => 300 },
    allow => qr/cluster: |stream|worker process \d+ exited/);
my ($mq, $number, $epoch) = $cluster->primary;
my $dir = $cluster->nats->{dir};
my @sent;

sub publish {
    my ($count, $name) = @_;
    my $deadline = time + KapokMQ::Test::PATIENCE;
    my $goal = @sent + $count;

    while (@sent < $goal && time < $deadline) {
        my $code = eval { $mq->publish('t', "$name " . @sent) };
        if ($code) {
            push @sent, $code;
        } else {
            ($mq, $number, $epoch) = $cluster->primary($epoch);
        }
    }
    is(scalar @sent, $goal, "$name: messages are taken");
}

sub all_there {
    my ($name, $more) = @_;
    my %there;

    wait_for {
        ($mq, $number, $epoch) = $cluster->primary($epoch);
        %there = map { $_ => 1 } eval { $mq->codes(topic => 't', status => -1,
                                                   limit => 1000) };
        keys %there == @sent + $more
    } "$name: as many as were taken";
    is(scalar(grep { !$there{$_} } @sent), 0, "$name: with their codes");
}

sub power_off {
    $cluster->nats->kill_all;
    $_->kill_all for grep { $_->{group} } $cluster->nodes;
}

sub power_on {
    $cluster->nats->launch_all;
    $_->launch for $cluster->nodes;
}

sub asides { return scalar map { files($_, qr/^aside-/) } $cluster->nodes }

# Whose files reach furthest, as that part of a node's log says last.
sub named {
    my ($log) = @_;
    my @found = $log =~ /\[error\].*\ cluster:\ .*\ lacks\ what\ nodes\ had\ of
                         \ it;\ the\ files\ of\ node\ (\d+)\ \(n\1\)
                         .*"touch\ .*\/seed"/xg;

    return $found[-1] // 0;
}

# The node that all of them name, since their logs were so long; 0: there is none.
sub agreed {
    my @since = @_ ? @_ : (0) x 3;
    my @named = map { named(log_since($cluster->node($_), $since[$_ - 1])) }
                    1 .. 3;

    return grep({ $_ != $named[0] } @named) ? 0 : $named[0];
}


# ------------------------------------------------------ what only a file has

publish(20, 'at first');
$cluster->nats->kill($_, 'STOP') for 0 .. 2;
my $producer = $mq->producer('t', 'p');
$producer->send('only in a file');
wait_for { is_in_files($mq, 'only in a file') } 'a message is in a file';
my $owner = $mq;
power_off();
power_on();
# nats-server 2.9.10 may lose what it acknowledged last when all are killed at
# once: then an operator has to help here already
my $appended;
wait_for {
    $appended = $owner->log =~ /that only this node's files have were appended/;
    $appended || agreed()
} 'it is appended to the stream';
if (!$appended) {
    diag('the servers have lost what they had acknowledged');
    $cluster->seed($cluster->node(agreed()));
}
all_there('after that', 1);
wait_for { $cluster->checkpointed($cluster->nodes) }
         'the others follow the new stream' if !$appended;
my $asides = asides();
is($asides, 0, 'no files were set aside') if $appended;


# ------------------------------------------------- a stream that has lost more

$cluster->nats->kill_all;
system('cp', '-a', "$dir/n$_", "$dir/old-n$_") == 0 or die for 1 .. 3;
$cluster->nats->launch_all;
publish(20, 'what is lost');
power_off();
# another may have become primary meanwhile, on a machine that is busy
$epoch = ($cluster->who)[1];
$cluster->forget;
for (1 .. 3) {
    remove_tree("$dir/n$_");
    rename "$dir/old-n$_", "$dir/n$_" or die "rename: $!";
}
my @before = map { files($_) } $cluster->nodes;
my @logs = map { length $_->log } $cluster->nodes;
power_on();
# Whose they are is known to their files alone: a node that was about to become
# primary as the power went may have said so, and not have written it yet.
my $furthest;
wait_for { $furthest = agreed(@logs) }
         'all nodes say what is wrong, whose files to take, and how';
run_for(3);
my $told = ($cluster->who)[1];
cmp_ok($told, '<=', $epoch, 'nobody becomes primary by himself');
is(scalar(grep { !-e } @before) + asides(), $asides,
   'nothing is removed, or set aside');
my ($status, $json) = $cluster->node($furthest)->post('/Console/GetNodes');
is($status, 200, 'the console answers');
$cluster->seed($cluster->node($furthest));
($mq, $number, $epoch) = $cluster->primary($told + 1);
is($number, $furthest, 'by that the node is primary');
all_there('of a new stream', 1);
publish(10, 'and then');
wait_for { $cluster->checkpointed($cluster->nodes) }
         'the others have its checkpoint';
$mq->kill_all;
($mq, $number, $epoch) = $cluster->primary($epoch + 1);
all_there('of the next primary', 1);
$cluster->tell if !Test::More->builder->is_passing;

$cluster->finish;
done_testing;
