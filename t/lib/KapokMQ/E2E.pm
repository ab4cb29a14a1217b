# What clients in other languages are held against: each program prints what
# it saw as JSON.

package KapokMQ::E2E;

use strict;
use warnings;

use Exporter qw(import);
use Mojo::JSON qw(decode_json);
use Test::More;

our @EXPORT = qw(run_client);

my $PROMPT = 'Please enter the secret key';
my $WRONG  = 'Secret key matching error';
my $RIGHT  = 'Secret key matching succeeded';

# Runs the program and checks what every client has to see; returns the rest.
sub run_client {
    my ($name, @command) = @_;

    open my $out, '-|', @command or die "$command[0]: $!";
    my $text = do { local $/; <$out> };
    close $out;
    is($?, 0, "$name: runs");
    my $seen = eval { decode_json($text // '') } // {};

    is_deeply($seen->{consumerLogin}, [$PROMPT, $WRONG, $PROMPT, $RIGHT],
              'a consumer logs in at the second try');
    is_deeply($seen->{producerLogin}, [$PROMPT, $RIGHT],
              'a producer with a binary key');
    is($seen->{sent}, 403, 'messages go');
    is($seen->{ok}, $seen->{sent}, 'each has its ok');
    is($seen->{got}, $seen->{sent}, 'as many come');
    ok($seen->{same}, 'with the data and members that they should have');
    is($seen->{codes}, $seen->{sent}, 'each with a code of its own');
    is($seen->{producerClosed}, 1000, 'the producer closes');
    is($seen->{consumerClosed}, 1000, 'the consumer closes');
    is($seen->{counts}{unconsumed}, 0, 'its stack confirmed all messages');
    is($seen->{counts}{consumed}, $seen->{sent}, 'and the server knows');

    return $seen;
}

1;
