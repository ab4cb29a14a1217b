# isPersistent: what is there after the end of nginx, however that came, in its
# three modes; and what producers are told with mode 2.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use List::Util qw(max sum0);
use Mojo::IOLoop;
use Test::More;
use Time::HiRes qw(time);
use KapokMQ::Disk;
use KapokMQ::Load;
use KapokMQ::Test;

use constant { MODE_1 => 0.1, HOUR => 3600 };

my $topics = <<'YAML';
    mortal: { maxDeliveries: 3 }
    once:   { maxDeliveries: 1 }
    news:   { pushType: 2 }
YAML

sub server {
    my ($mode, %option) = @_;
    my $yaml = delete $option{yaml} // {};

    return KapokMQ::Test->start(
        allow => qr/exited on signal 9/, topics => $topics,
        yaml => { isPersistent => $mode, persistentTime => MODE_1,
                  confirm => 'ack', pushRetryTime => 300, %$yaml },
        %option);
}

# Consumers that leave, and what they have not confirmed waits again.
sub leave {
    my ($mq, @clients) = @_;
    my $others = @{$mq->clients->{consumers}} - @clients;

    $_->finish for @clients;
    wait_for { @{$mq->clients->{consumers}} == $others } 'they leave';
}

# Like finish() of a load, where there is more than its own.
sub finish {
    my ($mq, $load) = @_;

    $load->{stop} = 1;
    wait_for {
        !grep { defined $_->{sent} && !$_->{client}->closed }
        values %{$load->{producing}}
    } 'all are answered';
    wait_for { !$mq->codes(topic => $load->{topic}, status => -1) }
             'all are consumed';
    is(scalar(grep { !$load->{got}{$_} } keys %{$load->{accepted}}), 0,
       'no accepted message is lost');
    Mojo::IOLoop->remove($load->{loop});
}

# Data that is not as simple as others: quotes, controls, UTF-8, long, longer
# than a page.
my @DATA = ('m', "say \"\xc3\xa9\" \\\n\t\x01", 'x' x 300, 'long ' x 10_000,
            map { "m$_" } 1 .. 30);


# ---------------------------------------------------------- all that there is

# Messages in all the states that there are. Returns the codes of those that
# are looked at again.
sub fill {
    my ($mq) = @_;
    my %code;

    ok($mq->publish_many('ready', @DATA), 'messages that wait');
    $code{ready} = [reverse $mq->codes(topic => 'ready')];
    $code{delayed} = $mq->publish('ready', 'later', HOUR);
    $code{deleted} = $mq->publish('ready', 'unwanted');
    ok($mq->remove($code{deleted}), 'one is deleted');

    ok($mq->publish_many('done', map { "done $_" } 1 .. 20), 'some more');
    my $done = $mq->consumer('done', 'done', ack => 1);
    $mq->counts_become({ consumed => 20 }, 'are consumed');
    leave($mq, $done);

    # dead at their first return; one of them is queued again
    $code{$_} = $mq->publish('once', $_) for qw(dead requeued);
    my $once = $mq->consumer('once', 'once');
    wait_for { @{$once->messages} == 2 } 'pushed';
    $once->send(map { "-$_" } $once->codes);
    $mq->counts_become({ dead => 2 }, 'and dead');
    leave($mq, $once);
    is($mq->requeue(messageCode => $code{requeued}), 1, 'one is requeued');

    # in flight for the second time
    $code{mortal} = $mq->publish('mortal', 'twice');
    my $mortal = $mq->consumer('mortal', 'mortal');
    wait_for { $mortal->got($code{mortal}) == 1 } 'pushed';
    $mortal->send("-$code{mortal}");
    wait_for { $mortal->got($code{mortal}) == 2 } 'and pushed again';

    # publish/subscribe: confirmed by nobody, by one, by all
    my @news = map { $mq->consumer('news', "news$_") } 1, 2;
    my @codes = map { $mq->publish('news', "news $_") } 0, 1, 2;
    $code{news} = \@codes;
    wait_for { @{$news[0]->messages} == 3 && @{$news[1]->messages} == 3 }
             'each subscriber gets all';
    $news[0]->send(@codes[1, 2]);
    $news[1]->send($codes[2]);
    $mq->counts_become({ consumed => 21 }, 'one was confirmed by all');
    # the other one is still in flight: known when what was sent behind it is
    my $last = $mq->publish('news', 'last');
    wait_for { $news[0]->got($last) } 'the last one';
    $news[0]->send($last);
    $news[1]->send($last);
    $mq->counts_become({ consumed => 22 }, 'is confirmed by all, too');

    return \%code;
}

# What that is after a restart: what one subscriber has confirmed is consumed.
sub expect {
    my ($view, $code, $after) = @_;
    my $half = $code->{news}[1];

    ok($after->{messages}{$half}{ConsumedTime},
       'what one subscriber has confirmed has been consumed');
    $view->{messages}{$half}{$_} = $after->{messages}{$half}{$_}
        for qw(Status ConsumedTime);
    is($view->{messages}{$half}{Status}, 1, 'and is listed as such');
    $view->{counts}{consumed}++;
    $view->{counts}{$_}-- for qw(unconsumed stateless);

    # what was in flight has not failed, and is not in flight any more
    $view->{messages}{$_}{Attempts}-- for $code->{mortal}, $code->{news}[0];
}

sub works_on {
    my ($mq, $code) = @_;

    is_deeply([reverse $mq->codes(topic => 'ready', status => -1)],
              $code->{ready}, 'those that wait, in their order');
    is($mq->find($code->{deleted}), undef, 'what was deleted is not there');
    is(scalar $mq->codes(topic => 'done', status => 1), 20,
       'what was consumed is found');

    my $new = $mq->publish('ready', 'new');
    my $ready = $mq->consumer('ready', 'ready', ack => 1);
    wait_for { @{$ready->messages} > @DATA } 'a consumer gets them';
    is_deeply([$ready->codes], [@{$code->{ready}}, $new],
              'under their codes, in order, before what is new');
    is($ready->messages->[1]{MessageData}, "say \"\x{e9}\" \\\n\t\x01",
       'as they were');

    my $mortal = $mq->consumer('mortal', 'mortal');
    wait_for { $mortal->got($code->{mortal}) } 'one comes again';
    is($mq->find($code->{mortal})->{Attempts}, 2, 'after one failure');
    $mortal->send("-$code->{mortal}");
    wait_for { $mortal->got($code->{mortal}) == 2 } 'and again';
    is($mq->find($code->{mortal})->{Attempts}, 3, 'after two');
    $mortal->send("-$code->{mortal}");
    wait_for { $mq->find($code->{mortal})->{Status} == 2 } 'the last one';

    my $news = $mq->consumer('news', 'news');
    wait_for { $news->got($code->{news}[0]) }
             'what no subscriber has confirmed comes again';
    is_deeply([$news->data], ['news 0'], 'alone');

    my $once = $mq->consumer('once', 'once', ack => 1);
    wait_for { $once->got($code->{requeued}) } 'what was requeued comes';
    is($mq->requeue(topic => 'once'), 1, 'what is dead can be requeued');
    wait_for { $once->got($code->{dead}) } 'and comes';
    is($mq->find($code->{delayed})->{Status}, 0, 'what is delayed waits');
    leave($mq, $ready, $mortal, $news, $once);
}

for my $mode (2, 1) {
    for my $end (qw(KILL QUIT TERM)) {
        note("isPersistent $mode, $end");
        my $mq = server($mode);
        my $code = fill($mq);
        written($mq) if $end eq 'KILL';
        my $view = snapshot($mq);

        $end eq 'KILL' ? $mq->kill_all : $mq->stop($end);
        $mq->launch;
        my $after = snapshot($mq);
        expect($view, $code, $after);
        is_deeply($after, $view, "isPersistent $mode, $end: all is there")
            or diag(explain([$after->{counts}, $view->{counts}]));
        works_on($mq, $code);

        # and once more, from a checkpoint, which a worker's death leads to
        my $generation = generation($mq);
        kill_worker($mq);
        is_checkpointed($mq, $generation, 'a checkpoint');
        written($mq);
        $view = snapshot($mq);
        $mq->kill_all;
        $mq->launch;
        is_deeply(snapshot($mq), $view,
                  "isPersistent $mode: from a checkpoint");
        $mq->finish;
    }
}

{
    my $mq = server(0);
    ok($mq->publish_many('ready', @DATA), 'isPersistent 0: messages');
    $mq->stop('QUIT');
    ok(!-e directory($mq), 'no directory is made');
    $mq->launch;
    is($mq->counts->{all}, 0, 'nothing is there at the next start');
    $mq->finish;
}


# ------------------------------------------------- answers of mode 2, in order

{
    my $mq = server(2);
    my $raw = $mq->raw('/Producers/Conn/topic/p1', key => 'sesame');
    my ($frames, @want) = ('');

    $raw->next_text;
    # in turns, from one to many of a kind
    for my $n (1, 2, 3, 1, 1, 70, 1, 5, 200) {
        my $good = @want && $want[-1] eq 'ok' ? 0 : 1;
        $frames .= $good ? KapokMQ::Raw::frame(1, 'good ' . @want)
                         : KapokMQ::Raw::frame(2, "bad \xff") for 1 .. $n;
        push @want, ($good ? 'ok' : 'error: message is not valid UTF-8') x $n;
    }
    $raw->write($frames . KapokMQ::Raw::frame(8, pack 'n', 1000));
    my (@got, $close);
    while (my $frame = $raw->next_frame) {
        push @got, $frame->{payload} if $frame->{opcode} == 1;
        $close = $frame if $frame->{opcode} == 8;
        last if $close;
    }
    is_deeply(\@got, \@want, 'oks and errors in the order of their messages');
    is(unpack('n', $close->{payload} // "\0\0"), 1000,
       'Close is answered behind them');
    my $good = grep { $_ eq 'ok' } @want;
    is($mq->counts->{unconsumed}, $good, 'the good ones are there');

    # Close alone behind many, at once
    $raw = $mq->raw('/Producers/Conn/topic/p2', key => 'sesame');
    $raw->next_text;
    $raw->write(join('', map { KapokMQ::Raw::frame(1, "m$_") } 1 .. 500)
                . KapokMQ::Raw::frame(8, pack 'n', 1000));
    my $oks = 0;
    $oks++ while ($raw->next_text // '') eq 'ok';
    is($oks, 500, 'all are answered before Close');

    # one after the other on one connection, in one write
    my $form = 'topic=topic&messageData=http';
    my $request = "POST /Producer/Send HTTP/1.1\r\nHost: localhost\r\n"
        . "secretKey: sesame\r\nContent-Length: " . length($form) . "\r\n"
        . "Content-Type: application/x-www-form-urlencoded\r\n\r\n$form";
    my $http = $mq->raw('', upgrade => 0);
    (my $last = $request) =~ s/Host:/Connection: close\r\nHost:/;
    $http->write($request x 9 . $last);
    my @codes = $http->rest =~ /"msg":"([0-9a-f]{40})"/g;
    is(@codes, 10, 'ten requests by HTTP, ten MessageCodes');

    # clients that do not wait for their answers
    for my $n (1 .. 20) {
        $raw = $mq->raw("/Producers/Conn/topic/gone$n", key => 'sesame');
        $raw->next_text;
        $raw->write(join '', map { KapokMQ::Raw::frame(1, "gone") } 1 .. 50);
        $n % 2 ? $raw->reset : $raw->close;
        $http = $mq->raw('', upgrade => 0);
        $http->write($request);
        $n % 2 ? $http->close : $http->reset;
    }
    wait_for { !@{$mq->clients->{producers}} } 'hasty clients are gone';
    written($mq);
    my $view = snapshot($mq);
    is(scalar(grep { !$view->{messages}{$_} } @codes), 0,
       'those codes are known');
    $mq->kill_all;
    $mq->launch;
    is_deeply(snapshot($mq), $view, 'what is there of that is on disk');
    $mq->finish;
}


# A confirmation is written although nobody waits for that.
{
    my $mq = server(2);
    my $consumer = $mq->consumer('topic', 'c1', ack => 1);

    ok($mq->publish_many('topic', 1 .. 5), 'five messages');
    written_records($mq, 'consumed', 5, 'their confirmations are written');
    my $view = snapshot($mq);
    $mq->kill_all;
    $mq->launch;
    is_deeply(snapshot($mq), $view, 'and hold');
    is($view->{counts}{consumed}, 5, 'all five');
    $mq->finish;
}


# ------------------------------------------------- isPersistent and a reload

{
    my $mq = server(0, yaml => { confirm => 'pong' });
    my $load = KapokMQ::Load->start($mq, 'load', producers => 2,
                                    consumers => 2);
    my %kept;

    $load->more(100);
    for my $mode (0, 1, 2, 0, 2) {
        my $before = generation($mq);
        my $begun = !$mq->{yaml}{isPersistent} && $mode;
        $mq->renew(yaml => { %{$mq->{yaml}}, isPersistent => $mode });
        my $data = "mode $mode, " . keys %kept;
        my $code = $mq->publish('kept', $data);
        $kept{$code} = $data;
        # the next one begins from a state in which all is written
        is_checkpointed($mq, $before, "from 0 to $mode: a checkpoint")
            if $begun;
        $load->more(100);
    }
    like($mq->log, qr/\[warn\].*isPersistent is 0 from now on/,
         'it is said that files grow old');
    my @aside = files($mq, qr/^aside-/);
    is(@aside, 1, 'older files were set aside');
    like($mq->log, qr/were set aside in "\Q$aside[0]\E/, 'which is said, too');
    $mq->kill_all;
    $mq->launch;
    $load->more(100);
    finish($mq, $load);
    is(join(', ', map { ($mq->find($_) // {})->{MessageData} // "no $_" }
                  sort { $kept{$a} cmp $kept{$b} } keys %kept),
       join(', ', sort values %kept), 'whatever the mode was, it is kept');

    # another directory takes a restart
    my %old = map { $_ => 1 } $mq->worker_pids;
    my $yaml = $mq->{yaml};
    $mq->configure(yaml => { %$yaml, persistentFile => 'ELSEWHERE' });
    $mq->signal('HUP');
    wait_for { $mq->log =~ /\[emerg\].*persistentFile cannot change/ }
             'another persistentFile is refused';
    is(scalar(grep { !$old{$_} } $mq->worker_pids), 0, 'the workers stay');
    ok(!-e $mq->dir . '/ELSEWHERE', 'and nothing is made');
    $mq->configure(yaml => $yaml);
    my $code = $mq->publish('kept', 'still');
    $mq->kill_all;
    $mq->launch;
    ok($mq->find($code), 'and write where they did');
    $mq->{allow} = qr/exited on signal 9|persistentFile cannot change/;
    $mq->finish;
}


# ------------------------------------------------------ an old worker that stays

# It is still busy with an upload after a reload that begins to write files, and
# was keeper: the first checkpoint does not wait for it, and what it accepts
# then is in the next one.
{
    my $mq = KapokMQ::Test->start(workers => 1, yaml => { isPersistent => 0 });
    my $form = 'topic=topic&messageData=late';
    my @old = $mq->worker_pids;

    my $first = $mq->publish('topic', 'early');
    my $raw = $mq->raw('', upgrade => 0);
    $raw->write("POST /Producer/Send HTTP/1.1\r\nHost: localhost\r\n"
                . "secretKey: sesame\r\nConnection: close\r\n"
                . "Content-Type: application/x-www-form-urlencoded\r\n"
                . 'Content-Length: ' . length($form) . "\r\n\r\ntopic=");
    $mq->counts for 1 .. 3;
    $mq->reload(yaml => { isPersistent => 2 });
    is_checkpointed($mq, 0, 'a checkpoint beside an old worker');
    ok(is_running($old[0]), 'which is still there');
    my $generation = generation($mq);
    $raw->write(substr $form, 6);
    wait_for { !is_running($old[0]) } 'until its request is done';
    is_checkpointed($mq, $generation, 'its end makes another one');
    $mq->kill_all;
    $mq->launch;
    ok($mq->find($first), 'what was there before is kept');
    is($mq->counts->{unconsumed}, 2, 'and what came so late');
    $mq->{allow} = qr/exited on signal 9/;
    $mq->finish;
}


# ---------------------------------------------------------- recoveryStrategy

{
    my $mq = server(2);
    my @codes = map { $mq->publish('topic', "old $_") } 1 .. 5;
    my @old = map { [$_, slurp($_)] } files($mq);

    $mq->stop('QUIT');
    $mq->launch(yaml => { %{$mq->{yaml}}, recoveryStrategy => 0 });
    is($mq->counts->{all}, 0, 'recoveryStrategy 0: nothing is there');
    my ($aside) = files($mq, qr/^aside-/);
    like($mq->log, qr/\[warn\].*set aside in "\Q$aside\E"/, 'which is said');
    my @new = map { $mq->publish('topic', "new $_") } 1 .. 5;
    $mq->kill_all;

    # the files in there are a queue
    $mq->launch(yaml => { %{$mq->{yaml}}, persistentFile => $aside,
                          recoveryStrategy => 1 });
    is_deeply([reverse $mq->codes], \@codes, 'the old files are there');
    $mq->stop('QUIT');
    $mq->launch(yaml => { %{$mq->{yaml}}, persistentFile => 'MQDATA' });
    is_deeply([reverse $mq->codes], \@new, 'and so are the new ones');
    $mq->finish;
}


# ------------------------------------------------------ workers that are killed

# A death loses what its worker had not written yet: a checkpoint makes up for
# that.
for my $mode (2, 1) {
    my $mq = server($mode, yaml => { confirm => 'pong' });
    my $load = KapokMQ::Load->start($mq, 'load', producers => 6,
                                    consumers => 2);
    my $silent = KapokMQ::Load->start($mq, 'kept', producers => 4,
                                      consumers => 0);

    for my $round (1 .. 3) {
        my $before = generation($mq);
        $_->more(100) for $load, $silent;
        kill_worker($mq);
        is_checkpointed($mq, $before,
            "isPersistent $mode: a checkpoint after a worker's death");
    }
    my %accepted = %{$silent->{accepted}};
    written($mq) if $mode == 1;
    $mq->kill_all;
    Mojo::IOLoop->remove($silent->{loop});
    $mq->launch;
    $load->more(50) if $mode == 2;
    my $consumer = $mq->consumer('kept', 'c1', ack => 1, confirm => 'ack');
    wait_for {
        my %got = map { $_ => 1 } $consumer->data;
        !grep { !$got{$_} } keys %accepted
    } "isPersistent $mode: all that was accepted is there";
    my %times;
    $times{$_}++ for $consumer->data;
    is(scalar(grep { $_ > 1 } values %times), 0, 'once');
    if ($mode == 2) {
        finish($mq, $load);
    } else {
        Mojo::IOLoop->remove($load->{loop});
    }
    $mq->finish;
}


# ------------------------------------------------------- a journal that is long

{
    # twice the zone, and 64 MB, make a checkpoint
    my $mq = server(1, zone => '32m', yaml => { isCleanConsumed => 1 });
    my $consumer = $mq->consumer('topic', 'c1', ack => 1);
    my @size;

    ok($mq->publish_many('kept', 1 .. 20), 'some messages wait');
    for my $n (1 .. 70) {
        last if generation($mq);
        ok($mq->publish_many('topic', map { "$n." . 'x' x 99_000 } 1 .. 10),
           'a megabyte');
        $mq->counts_become({ unconsumed => 20 }, 'is consumed');
        push @size, sum0(map { -s || 0 } files($mq));
    }
    is_checkpointed($mq, 0, 'a checkpoint for the size of the journal');
    cmp_ok(max(@size), '>', 60_000_000, 'not before');
    written($mq);
    my $view = snapshot($mq);
    $mq->kill_all;
    $mq->launch;
    is_deeply(snapshot($mq), $view, 'all is recovered from it');
    $mq->finish;
}

done_testing;
