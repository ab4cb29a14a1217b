# What a random client does: the bytes that it sends, in which pieces, and how
# it ends. All of it follows from its seed; only the codes of messages, which it
# confirms, it learns meanwhile.

package KapokMQ::Storm::Script;

use strict;
use warnings;

use KapokMQ::Raw;
use KapokMQ::Storm::Random;

use constant KEY => 'sesame';

our @Topics = qw(one two socket ack all all-ack again later);

# name => { kind, pieces => [[seconds to wait before, bytes], ...], tls, read,
# pong, ack, end, after }
sub new {
    my ($class, $seed) = @_;
    my $rnd = KapokMQ::Storm::Random->new($seed);
    my $kind = $rnd->weighed(producer => 30, consumer => 30, http => 32,
                             noise => 8);
    my $self = bless {
        seed => $seed, kind => $kind, rnd => $rnd,
        tls  => $rnd->chance(10),
        read => $rnd->weighed(all => 80, some => 12, none => 8),
        pong => $rnd->weighed(right => 85, wrong => 5, none => 10),
        ack  => $rnd->weighed(all => 50, some => 30, none => 20),
        end  => $rnd->weighed(close => 40, half => 20, reset => 25,
                              wait => 15),
        after => $rnd->part ** 3 * 1.5,
    }, $class;
    my @parts = $self->$kind;

    @parts = map { $rnd->chance(50) ? $rnd->mutate($_) : $_ } @parts
        if $rnd->chance(20);
    $self->{pieces} = [$self->pieces(@parts)];

    return $self;
}

# Cuts what is sent into writes, some with a pause before.
sub pieces {
    my ($self, @parts) = @_;
    my $rnd = $self->{rnd};
    my $way = $rnd->weighed(parts => 50, together => 25, cut => 20, bytes => 5);

    @parts = join '', @parts if $way ne 'parts';
    if ($way eq 'cut') {
        @parts = map { _cut($rnd, $_) } @parts;
    } elsif ($way eq 'bytes') {
        my $all = $parts[0];
        my $n = length $all < 400 ? length $all : 400;
        @parts = ((map { substr $all, $_, 1 } 0 .. $n - 1), substr $all, $n);
    }

    my $pause = $rnd->chance(60) ? 0 : 0.02;
    return map { [$pause * $rnd->part, $_] } grep { length } @parts;
}

sub _cut {
    my ($rnd, $bytes) = @_;
    my @pieces;

    while (length $bytes) {
        my $n = $rnd->chance(50) ? $rnd->within(1, 20)
                                 : $rnd->within(1, length $bytes);
        push @pieces, substr $bytes, 0, $n, '';
        if (@pieces == 200) {
            push @pieces, $bytes;
            last;
        }
    }

    return @pieces;
}


# ---------------------------------------------------------------- WebSocket

sub topic {
    my ($self) = @_;
    my $rnd = $self->{rnd};

    return $rnd->pick(@Topics) if !$rnd->chance(4);
    return $rnd->pick('%e6%9c%a8', 'a%20b', '%ff', '%00', '..', '%2e%2e%2fx',
                      '', 'x' x 255, 'x' x 256, '%', '%4', 'a/b');
}

sub upgrade {
    my ($self, $path) = @_;
    my $rnd = $self->{rnd};
    my @headers = (
        'Host: localhost', 'Upgrade: websocket',
        $rnd->pick('Connection: Upgrade', 'Connection: keep-alive, upgrade'),
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
        'Sec-WebSocket-Version: 13',
    );

    splice @headers, $rnd->below(scalar @headers), 1 if $rnd->chance(4);
    push @headers, $rnd->pick('Sec-WebSocket-Version: 8',
        'Sec-WebSocket-Key: x', 'Origin: http://example.com',
        'Sec-WebSocket-Protocol: a, kapokmq', 'Content-Length: 5',
        'Transfer-Encoding: chunked', 'Sec-WebSocket-Extensions: '
        . 'permessage-deflate', 'X: ' . 'x' x $rnd->below(3000))
        if $rnd->chance(12);
    $self->{login} = $rnd->weighed(header => 65, text => 25, wrong => 6,
                                   none => 4);
    push @headers, 'secretKey: ' . KEY if $self->{login} eq 'header';
    push @headers, 'secretKey: wrong' if $self->{login} eq 'wrong';

    return "GET $path HTTP/1.1\r\n" . join("\r\n", @headers) . "\r\n\r\n";
}

# What is said before the session begins.
sub login {
    my ($self) = @_;
    my $rnd = $self->{rnd};
    my @frames;

    return if $self->{login} ne 'text';
    push @frames, KapokMQ::Raw::frame($rnd->pick(1, 2), $rnd->pick('',
        'wrong', 'x' x $rnd->size, KEY . ' ')) for 1 .. $rnd->below(3);
    return @frames, $rnd->chance(25)
        ? (KapokMQ::Raw::frame(1, 'ses', fin => 0),
           KapokMQ::Raw::frame(9, 'ping'), KapokMQ::Raw::frame(0, 'ame'))
        : KapokMQ::Raw::frame($rnd->pick(1, 2), KEY);
}

sub producer {
    my ($self) = @_;
    my $path = '/Producers/Conn/' . $self->topic . '/p' . $self->{rnd}->below(9);

    $self->{pushed} = 0;
    return $self->upgrade($path), $self->login,
           map { $self->frames($self->data) } 1 .. $self->{rnd}->below(25);
}

sub consumer {
    my ($self) = @_;
    my $rnd = $self->{rnd};
    my $path = '/Consumers/Conn/' . $self->topic . '/c' . $rnd->below(9);

    $path .= '?confirm=' . $rnd->pick(qw(socket pong ack ack nothing))
             . $rnd->pick('', '', '&prefetch=3', '&confirm=ack')
        if $rnd->chance(60);
    $self->{after} += 0.3;
    $self->{pushed} = 1;

    return $self->upgrade($path), $self->login,
           map { $self->frames($self->answer) }
           1 .. ($rnd->chance(50) ? 0 : $rnd->below(12));
}

# A message, or what is nearly one.
sub data {
    my ($self) = @_;
    my $rnd = $self->{rnd};
    my $what = $rnd->weighed(text => 40, json => 40, bytes => 10, nested => 5,
                             empty => 5);

    return '' if $what eq 'empty';
    return $rnd->bytes($rnd->size) if $what eq 'bytes';
    return ('{"a":[' x $rnd->below(3000)) . '1' if $what eq 'nested';
    return $self->text if $what eq 'text';

    my $delay = $rnd->pick('', '', '"DelayTime":0,', '"DelayTime":0.2,',
        '"delaytime" : 1 ,', '"DelayTime":-1,', '"DelayTime":null,',
        '"DelayTime":"1",', '"DelayTime":1e300,', '"DelayTime":1e-300,');
    return '{' . $delay . '"MessageData":' . $rnd->pick('"' . $self->text . '"',
        '"' . $self->text . '"', '"\ud83d\ude00 \ud83d \u0000 \n"', 'null',
        '{}', '1', '"\x"', '"') . $rnd->pick('}', '}', "}\n", ',"x":[1]}', '');
}

sub text {
    my ($self) = @_;

    my $some = $self->{rnd}->pick('a', "\xe6\x9c\xa8", 'text ', 'x', '\\\\');
    return $some x ($self->{rnd}->size / length $some);
}

# What a consumer says, besides the codes of what it gets.
sub answer {
    my ($self) = @_;
    my $rnd = $self->{rnd};
    my $code = join '', map { sprintf '%02x', $rnd->below(256) } 1 .. 20;

    return $rnd->pick($code, "+$code", "-$code", "-$code 1.5", "\"$code\"",
                      '', '+', '-', 'x' x $rnd->size, substr($code, 0, 39),
                      "$code ", uc $code, $rnd->bytes(40));
}

# A message as frames: whole or fragmented, controls between, a few wrong.
sub frames {
    my ($self, $data) = @_;
    my $rnd = $self->{rnd};
    my $opcode = $rnd->pick(1, 1, 2);
    my @frames;

    return $self->control if $rnd->chance(8);
    return $self->broken($data) if $rnd->chance(3);
    return KapokMQ::Raw::frame($opcode, $data, mask => $rnd->bytes(4))
        if !$rnd->chance(20);

    while (length $data && @frames < 20) {
        my $n = $rnd->within(0, length $data);
        push @frames, KapokMQ::Raw::frame($opcode, substr($data, 0, $n, ''),
                                          fin => 0, mask => $rnd->bytes(4));
        push @frames, $self->control if $rnd->chance(20);
        $opcode = 0;
    }

    return join '', @frames, KapokMQ::Raw::frame($opcode, $data,
                                                 mask => $rnd->bytes(4));
}

sub control {
    my ($self) = @_;
    my $rnd = $self->{rnd};
    my $what = $rnd->weighed(ping => 50, pong => 40, close => 10);

    return KapokMQ::Raw::frame($what eq 'ping' ? 9 : 10,
                               $rnd->bytes($rnd->pick(0, 1, 8, 125)))
        if $what ne 'close';
    return KapokMQ::Raw::frame(8, $rnd->pick('', "\x03", pack('n', 1000),
        pack('n', 1001) . 'bye', pack('n', 1005), pack('n', 999),
        pack('n', 4000) . "\xff", pack('n', 1000) . 'x' x 123));
}

sub broken {
    my ($self, $data) = @_;
    my $rnd = $self->{rnd};
    my $opcode = $rnd->below(16);

    return KapokMQ::Raw::frame($opcode, $data,
        $rnd->pick([mask => ''], [rsv => $rnd->within(1, 7)], [fin => 0],
                   [size => $rnd->pick(0, 125, 65_536, 1 << 31, 1 << 62)],
                   [long => 64], [])->@*);
}


# --------------------------------------------------------------------- HTTP

my @console = qw(Ping GetProducers GetConsumers GetClients GetConfig
                 CountMessage GetMessageList GetMessage DelMessage
                 RequeueMessage GetOverview GetGrowth GetTopics GetTopic
                 PurgeTopic GetClientList Disconnect GetSettings Nowhere);

sub http {
    my ($self) = @_;

    return map { $self->request } 1 .. ($self->{rnd}->chance(60) ? 1
                                        : $self->{rnd}->within(2, 6));
}

sub request {
    my ($self) = @_;
    my $rnd = $self->{rnd};

    return "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" if $rnd->chance(5);

    my $send = $rnd->chance(50);
    my $path = $send ? '/Producer/Send' : '/Console/' . $rnd->pick(@console);
    my $form = $send ? $self->message : $self->query;
    my $kind = $rnd->weighed(form => 45, json => 30, multipart => 20, none => 5);
    my ($type, $body) = $self->$kind($form);
    my @headers = ('Host: localhost');

    push @headers, 'secretKey: ' . $rnd->pick((KEY) x 12, 'wrong');
    push @headers, "Content-Type: $type" if length $type;
    push @headers, $rnd->pick('Connection: close', 'Expect: 100-continue',
        'Origin: http://x', 'Content-Encoding: gzip', 'Transfer-Encoding: x',
        'Content-Length: 7') if $rnd->chance(12);

    return $rnd->pick(('POST') x 20, qw(GET HEAD OPTIONS PUT)) . " $path HTTP/"
           . $rnd->pick(('1.1') x 9, '1.0') . "\r\n"
           . $self->body($body, @headers);
}

# Headers and body: with a length, that may be a lie, or in chunks.
sub body {
    my ($self, $body, @headers) = @_;
    my $rnd = $self->{rnd};

    if ($rnd->chance(75)) {
        my $size = length($body) + ($rnd->chance(5) ? $rnd->within(-3, 9) : 0);
        $size = 0 if $size < 0;
        $size = 99_999_999 if $rnd->chance(1);
        return join("\r\n", @headers, "Content-Length: $size")
               . "\r\n\r\n$body";
    }

    my $text = join("\r\n", @headers, 'Transfer-Encoding: chunked')
               . "\r\n\r\n";
    while (length $body) {
        my $chunk = substr $body, 0, $rnd->within(1, length $body), '';
        $text .= sprintf "%x\r\n%s\r\n", length $chunk, $chunk;
    }
    return $text . $rnd->pick(("0\r\n\r\n") x 9, "0\r\nX: y\r\n\r\n", "x\r\n",
                              "ffffffff\r\n", '');
}

sub message {
    my ($self) = @_;
    my $rnd = $self->{rnd};
    my @form = (topic => $rnd->pick(@Topics, ''), messageData => $self->data);

    push @form, delayTime => $rnd->pick(0, 0.5, 1, -1, 'x', '', '1e400')
        if $rnd->chance(30);
    push @form, $rnd->pick(['topic', 'two'], ['x', 'y'], ['messageDat', 1])->@*
        if $rnd->chance(8);

    return \@form;
}

sub query {
    my ($self) = @_;
    my $rnd = $self->{rnd};
    my @form;

    push @form, topic => $rnd->pick(@Topics, '') if $rnd->chance(60);
    push @form, $rnd->pick([status => $rnd->within(-2, 4)], [limit => 5],
        [limit => 'x'], [startTime => '2022-01-01 00:00:00'], [endTime => 1],
        [cursor => $self->answer], [messageCode => $self->answer],
        [connection => $rnd->below(9) . '-' . $rnd->below(99)],
        [search => $self->text], [unit => 'minute'], [count => 9])->@*
        if $rnd->chance(50);

    return \@form;
}

sub _pairs {
    my ($form, $pair) = @_;
    my @list = @$form;
    my @pairs;

    push @pairs, $pair->(splice @list, 0, 2) while @list;
    return @pairs;
}

sub form {
    my ($self, $form) = @_;
    my $plain = $self->{rnd}->chance(10);

    return 'application/x-www-form-urlencoded', join '&', _pairs($form, sub {
        my ($name, $value) = @_;
        $value =~ s/([^A-Za-z0-9.])/sprintf '%%%02X', ord $1/ge unless $plain;
        return "$name=$value";
    });
}

sub json {
    my ($self, $form) = @_;

    return 'application/json', '{' . join(',', _pairs($form, sub {
        my ($name, $value) = @_;
        $value =~ s/(["\\])/\\$1/g;
        return qq("$name":) . ($value =~ /^-?\d+$/ ? $value : qq("$value"));
    })) . '}';
}

sub multipart {
    my ($self, $form) = @_;
    my $boundary = $self->{rnd}->pick('X', 'b' x 70, '-', 'b' x 300);

    return "multipart/form-data; boundary=$boundary", join('', _pairs($form,
        sub {
            my ($name, $value) = @_;
            return "--$boundary\r\nContent-Disposition: form-data; "
                   . "name=\"$name\"\r\n\r\n$value\r\n";
        })) . "--$boundary--\r\n";
}

sub none { return ('', '') }


# ------------------------------------------------------------------- others

sub noise {
    my ($self) = @_;
    my $rnd = $self->{rnd};

    return $rnd->pick('', "\x16\x03\x01\x02\x00\x01", "PRI * HTTP/2.0\r\n\r\n",
                      "GET /\r\n", "\0" x 50, $rnd->bytes($rnd->below(300)),
                      'A' x 20_000);
}

1;
