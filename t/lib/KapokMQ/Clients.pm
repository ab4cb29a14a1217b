# The clients that come with the queue, held against a server whose workers are
# killed and reloaded meanwhile: t/e2e/clients has the programs.
#
# What was answered has been processed.  Something is processed twice only when
# it was in flight with a consumer whose connection broke, or was sent twice,
# since its producer's connection broke before the answer.

package KapokMQ::Clients;

use strict;
use warnings;

use Exporter qw(import);
use File::Path qw(make_path);
use Mojo::IOLoop;
use Test::More;
use KapokMQ::Disk qw(slurp);
use KapokMQ::Lines;
use KapokMQ::Suite;
use KapokMQ::Test;

our @EXPORT = qw(clients_in_chaos install_package);

use constant { KILLS => 30, RELOADS => 4, MESSAGES => 2000 };

# clients/js, as its README has npm install it; ws is there already, since npm's
# registry may not be.
sub install_package {
    my ($dir) = @_;
    my $root = $KapokMQ::Suite::Root;
    my ($command) = slurp("$root/clients/js/README.md")
                    =~ m{^(npm install .*?)\./clients/js\b}m;

    $command .= "$root/clients/js --offline --no-audit --no-fund --cache .npm";
    make_path("$dir/node_modules");
    open my $out, '>', "$dir/package.json" or die $!;
    print $out '{ "dependencies": { "ws": "8" } }';
    close $out;
    my $said = `cd $dir && cp -r $root/t/node_modules/ws node_modules/ &&
                $command 2>&1`;
    is($?, 0, 'clients/js is installed') or diag($said);
}

# The program is given the base of URLs, the key and a topic.
sub clients_in_chaos {
    my ($mq, @command) = @_;
    my $program = KapokMQ::Lines->start(
        @command[0 .. 1], 'ws://127.0.0.1:' . $mq->port, 'sesame', 'chaos',
        @command[2 .. $#command]);

    wait_for { $program->count(qr/^done/) >= 100 } 'messages go through';
    _rage($mq, $program);
    $program->tell('stop');
    wait_for { $program->count(qr/^stopped$/) } 'the producers have all answers';
    $mq->counts_become({ unconsumed => 0, delay => 0 }, 'all is consumed');
    is($mq->counts->{dead}, 0, 'nothing is dead');
    $program->tell('close');
    wait_for { $program->count(qr/^closed$/) } 'the consumers close';
    $program->ends('the program');
    wait_for { !@{$mq->clients->{producers}} && !@{$mq->clients->{consumers}} }
             'nobody is left';
    _judge($program->lines);
}

sub _rage {
    my ($mq, $program) = @_;
    my ($kills, $reloads) = (0, 0);
    my @timers = (
        Mojo::IOLoop->recurring(0.3 => sub {
            my @pids = $mq->worker_pids or return;
            $kills += kill 'KILL', $pids[rand @pids];
        }),
        Mojo::IOLoop->recurring(2 => sub { $reloads += $mq->signal('HUP') }));

    wait_for {
        $kills >= KILLS && $reloads >= RELOADS
            && $program->count(qr/^ok /) >= MESSAGES
    } 'workers are killed and reloaded', 600;
    Mojo::IOLoop->remove($_) for @timers;
    diag("$kills kills, $reloads reloads");
    wait_for { $mq->worker_pids == $mq->{workers} } 'then there are workers';
}

# What the lines say, in their order.
sub _judge {
    my (%sent, %ok, %codes, %data, %done, %began, %down, @fault);
    my $time = 0;
    my %count = map { $_ => 0 } qw(down fail again twice);

    for (@_) {
        my ($what, $id, @rest) = split / /;

        $time++;
        if ($what eq 'sent') {
            $sent{$rest[0]} = { time => $time, by => $id };
        } elsif ($what eq 'ok') {
            $ok{$rest[0]}++ and push @fault, "answered twice: $_";
            $sent{$rest[0]}{ok} = $time;
        } elsif ($what eq 'down') {
            push @{$down{$id}}, $time;
            $count{down}++;
        } elsif ($what eq 'begin') {
            my ($code, $data) = @rest;
            $sent{$data} or push @fault, "not sent: $_";
            ($data{$code} //= $data) eq $data or push @fault, "other data: $_";
            $codes{$data}{$code} = 1;
            # whoever had it before has lost it
            push @fault, "done before: $_" if $done{$code}{$id};
            $began{$code}{$id} = $time;
        } elsif ($what eq 'done') {
            $done{$rest[0]}{$id} = $time;
        } elsif ($what eq 'fail') {
            $count{fail}++;
        } elsif ($what !~ /^(?:up|stopped|closed)$/) {
            push @fault, $_;
        }
    }

    my $fell = sub {
        my ($id, $from, $to) = @_;
        return grep { $_ > $from && $_ < $to } @{$down{$id} // []};
    };
    for my $data (keys %sent) {
        my ($time, $by, $end) = @{$sent{$data}}{qw(time by ok)};
        my @codes = keys %{$codes{$data} // {}};
        push @fault, "no answer: $data" if !$end;
        push @fault, "lost: $data" if !grep { %{$done{$_} // {}} } @codes;
        next if @codes < 2;
        $count{again}++;
        push @fault, "sent twice: $data" if !$fell->($by, $time, $end // 9**9);
    }
    for my $code (keys %done) {
        my @by = keys %{$done{$code}};
        $count{twice}++ if @by > 1;
        # one that does not know yet that its connection is over may be later
        # than the one that has the message now
        push @fault, "done twice: $data{$code}"
            if 1 < grep { !$fell->($_, $began{$code}{$_}, 9**9) } @by;
    }

    is(join("\n", @fault > 20 ? @fault[0 .. 19] : @fault), '', 'no fault');
    diag(join ', ', scalar(keys %sent) . ' messages',
         map { "$_ $count{$_}" } sort keys %count);
    cmp_ok(scalar keys %ok, '>=', MESSAGES, 'messages were answered');
    cmp_ok($count{down}, '>=', 20, 'connections broke');
    cmp_ok($count{fail}, '>=', 1, 'handlers failed');
}

1;
