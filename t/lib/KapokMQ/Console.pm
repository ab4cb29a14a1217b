# The console page in a browser: an nginx that serves it, and a program of
# t/e2e/console that uses it.  Each line that the program prints is a test's
# result as JSON, or asks for something that only we can do with nginx.

package KapokMQ::Console;

use strict;
use warnings;

use Encode qw(encode);
use Exporter qw(import);
use IPC::Open2 qw(open2);
use Mojo::JSON qw(decode_json);
use Test::More;
use KapokMQ::Suite;
use KapokMQ::Test;

our @EXPORT = qw(page_location run_browser);

my $PAGE = "$KapokMQ::Suite::Root/view/dist";

# The page as conf/nginx.conf serves it, headers and all.
sub page_location {
    -e "$PAGE/index.html" or die "there is no page: make page\n";
    open my $in, '<', "$KapokMQ::Suite::Root/conf/nginx.conf" or die $!;
    my $conf = do { local $/; <$in> };
    my ($location) = $conf =~ m{^(\ {8}location\ /\ \{.*?^\ {8}\})}msx
        or die "conf/nginx.conf has no page\n";

    $location =~ s/root view;/root $PAGE;/;
    return <<"CONF";
types {
    text/html html;
    text/css css;
    application/javascript js;
}
$location
CONF
}

# Runs a program until it ends; %act has what it may ask for.
sub run_browser {
    my ($mq, $program, %act) = @_;

    # the browser's own files go where the server's are
    local @ENV{qw(HOME TMPDIR)} = ($mq->dir) x 2;
    my $pid = open2(my $out, my $in, 'node', "t/e2e/console/$program",
                    $mq->port, KapokMQ::Test::KEY,
                    $mq->dir . '/application.yaml');

    while (my $text = <$out>) {
        my $line = eval { decode_json($text) };

        if (!$line) {
            diag($text);
        } elsif ($line->{act}) {
            $act{$line->{act}}->($line->{value});
            print {$in} "done\n";
            $in->flush;
        } else {
            _result($line);
        }
    }
    waitpid $pid, 0;

    return is($?, 0, 'the browser ends');
}

sub _result {
    my ($line) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 2;
    ok($line->{ok}, encode('UTF-8', $line->{name}))
        || diag(encode('UTF-8', $line->{detail} // ''));
}

1;
