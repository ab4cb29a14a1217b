# Tokens as an application's server makes them: HS256, with nothing but Perl.
#
#     my $token = token('secret', sub => 'anna', kapokmq => { ... });

package KapokMQ::Token;

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256);
use Exporter qw(import);
use MIME::Base64 qw(encode_base64url);
use Mojo::JSON qw(encode_json);

our @EXPORT = qw(token);

# Good for ten minutes, unless exp is given.
sub token {
    my ($secret, %claims) = @_;
    my $text = join '.', map { encode_base64url(encode_json($_)) }
               { alg => 'HS256', typ => 'JWT' },
               { exp => time + 600, %claims };

    return "$text." . encode_base64url(hmac_sha256($text, $secret));
}

1;
