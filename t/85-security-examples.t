# The examples of docs/security.md, as they are printed: each language that is
# here makes a token, and it is good for what the page says; nginx takes each
# piece of configuration.

use strict;
use warnings;

BEGIN { push @INC, 't/lib' }

use Test::More;
use KapokMQ::Test;

my $SECRET = 'a secret of thirty-two bytes, 012';
my $mq = KapokMQ::Test->start(
    yaml => { tokens => qq({ algorithms: [HS256], secret: "$SECRET",
                             audience: kapokmq }) });
my $page = do {
    open my $in, '<', "$KapokMQ::Suite::Root/docs/security.md" or die $!;
    local $/;
    <$in>;
};

# How a program of each is made of the function, and run.
my %language = (
    js     => ['node', 'node %s', '%s
console.log(token(process.argv[2], process.argv[3]))'],
    python => ['python3', 'python3 %s', "%s\nimport sys\n"
               . 'print(token(sys.argv[1], sys.argv[2]))'],
    go     => ['go', 'go run %s', 'package main
%s
func main() {
    text, err := token(os.Args[1], os.Args[2])
    if err != nil { panic(err) }
    fmt.Println(text)
}'],
    php    => ['php', 'php %s', '<?php
%s
echo token($argv[1], $argv[2]);'],
);

sub found {
    my ($program) = @_;

    return grep { -x "$_/$program" } split /:/, $ENV{PATH};
}

for my $name (sort keys %language) {
    my ($program, $command, $text) = @{$language{$name}};
    my ($function) = $page =~ /^```\Q$name\E\n((?:(?!^```).)*?\btoken\((?:(?!^```).)*)^```$/ms;

    ok($function, "$program: there is a function");
    SKIP: {
        skip "$program is not here", 4 unless found($program);

        $function =~ s/^import \(/import (\n\t"fmt"\n\t"os"/m;
        my $file = $mq->dir . "/token." . ($name eq 'python' ? 'py' : $name);
        open my $out, '>', $file or die $!;
        printf {$out} "$text\n", $function;
        close $out;

        my $run = sprintf $command, $file;
        chomp(my $token = `$run '$SECRET' anna`);
        like($token, qr/^[\w-]+\.[\w-]+\.[\w-]+$/, "$program: a token");
        is($mq->raw('/Consumers/Conn/inbox.anna/anna', key => $token)->status,
           101, "$program: anna's inbox");
        is($mq->raw('/Consumers/Conn/inbox.bob/anna', key => $token)->status,
           403, "$program: and nobody else's");
        is($mq->raw('/Consumers/Conn/news/bob', key => $token)->status, 403,
           "$program: nor by another id");
    }
}

$mq->finish;

SKIP: {
    skip 'nginx is without TLS', 1
        if `nginx -V 2>&1` !~ /--with-http_ssl_module/;

    my @blocks = $page =~ /^```nginx\n(.*?)^```$/msg;
    my $try = KapokMQ::Test->new(
        http => join("\n", grep { /^server/ } @blocks),
        conf => join("\n", grep { !/^server/ } @blocks));
    my $dir = $try->dir;

    is(system("cd $dir && touch users && openssl req -x509 -nodes -newkey"
              . ' rsa:2048 -days 30 -subj /CN=x -keyout server.key'
              . ' -out server.pem > openssl.log 2>&1'
              . ' && cp server.pem clients-ca.pem'), 0, 'a certificate');
    cmp_ok(scalar @blocks, '>=', 5, 'pieces of nginx.conf');
    my ($code, $text) = $try->test_config;
    is($code, 0, 'nginx takes them') or diag($text);
}

done_testing;
