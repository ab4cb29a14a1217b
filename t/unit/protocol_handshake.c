/* The opening handshake, and the SHA-1 under it. */

#include "../../src/protocol/kmq_sha1.h"
#include "protocol_util.h"
#include "tap.h"


static void
digest_is(const char *text, unsigned repeat, const char *hex)
{
    char           got[2 * KMQ_SHA1_LEN + 1];
    unsigned       i;
    kmq_sha1_t     sha1;
    unsigned char  digest[KMQ_SHA1_LEN];

    kmq_sha1_init(&sha1);

    for (i = 0; i < repeat; i++) {
        kmq_sha1_add(&sha1, text, strlen(text));
    }

    kmq_sha1_end(&sha1, digest);

    for (i = 0; i < KMQ_SHA1_LEN; i++) {
        snprintf(got + 2 * i, 3, "%02x", digest[i]);
    }

    is_bytes(got, strlen(got), hex, strlen(hex), "SHA-1 of %u times \"%.20s\"",
             repeat, text);
}


/* The examples of FIPS 180, and each length of padding. */
static void
test_sha1(void)
{
    unsigned       i, wrong;
    kmq_sha1_t     whole, parts;
    unsigned char  text[200], a[KMQ_SHA1_LEN], b[KMQ_SHA1_LEN];

    digest_is("", 1, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    digest_is("abc", 1, "a9993e364706816aba3e25717850c26c9cd0d89d");
    digest_is("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
              "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    digest_is("a", 1000000, "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
    digest_is("01234567", 80, "dea356a2cddd90c7a7ecedc5ebb563934f460452");

    memset(text, 'x', sizeof(text));

    for (i = 0, wrong = 0; i <= sizeof(text); i++) {
        kmq_sha1_init(&whole);
        kmq_sha1_add(&whole, text, i);
        kmq_sha1_end(&whole, a);

        kmq_sha1_init(&parts);
        kmq_sha1_add(&parts, text, i / 3);
        kmq_sha1_add(&parts, text, i - i / 3);
        kmq_sha1_end(&parts, b);

        wrong += (memcmp(a, b, sizeof(a)) != 0);
    }

    is_int(wrong, 0, "SHA-1 in pieces is SHA-1 of the whole");
}


static void
accept_is(const char *key, const char *want)
{
    char  accept[KMQ_WS_ACCEPT_LEN];

    kmq_ws_accept(key, strlen(key), accept);
    is_bytes(accept, sizeof(accept), want, strlen(want), "accept for %s", key);
}


static void
test_accept(void)
{
    /* RFC 6455, section 1.3 */
    accept_is("dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");

    /* Wikipedia's example */
    accept_is("x3JJHMbDL1EzLkh9GBhXDw==", "HSmrc0sMlYUkAGmm5OPpG2HaGWk=");
}


static void
test_key(void)
{
    unsigned  i;

    static const struct {
        const char  *key;
        int          valid;
    } keys[] = {
        { "dGhlIHNhbXBsZSBub25jZQ==", 1 },
        { "AAAAAAAAAAAAAAAAAAAAAA==", 1 },
        { "+/+/+/+/+/+/+/+/+/+/+w==", 1 },
        { "", 0 },
        { "==", 0 },
        { "dGhlIHNhbXBsZSBub25jZQ=", 0 },
        { "dGhlIHNhbXBsZSBub25jZQ===", 0 },
        { "dGhlIHNhbXBsZSBub25jZQAA", 0 },
        { "dGhlIHNhbXBsZSBub25jZA=A", 0 },
        { "dGhlIHNhbXBsZSBub25j=Q==", 0 },
        { "dGhlIHNhbXBsZSBub25 ZQ==", 0 },
        { "dGhlIHNhbXBsZSBub25-ZQ==", 0 },
        { "dGhlIHNhbXBsZSBub25jZQ==dGhlIHNhbXBsZSBub25jZQ==", 0 }
    };

    for (i = 0; i < elements(keys); i++) {
        is_int(kmq_ws_key_valid(keys[i].key, strlen(keys[i].key)),
               keys[i].valid, "key \"%s\"", keys[i].key);
    }

    is_int(kmq_ws_key_valid("AAAAAAAAAAAAAAAAAAAAA\0==", 24), 0,
           "key with a zero byte");
}


static void
test_token(void)
{
    unsigned  i;

    static const struct {
        const char  *value;
        int          found;
    } values[] = {
        { "Upgrade", 1 },
        { "upgrade", 1 },
        { "UPGRADE", 1 },
        { "keep-alive, Upgrade", 1 },
        { "keep-alive,Upgrade", 1 },
        { "Upgrade, keep-alive", 1 },
        { " \tUpgrade\t ,x", 1 },
        { ",,Upgrade,", 1 },
        { "", 0 },
        { ",", 0 },
        { " ", 0 },
        { "Upgrad", 0 },
        { "Upgraded", 0 },
        { "Up grade", 0 },
        { "keep-alive; Upgrade", 0 },
        { "xUpgrade", 0 }
    };

    for (i = 0; i < elements(values); i++) {
        is_int(kmq_ws_has_token(values[i].value, strlen(values[i].value),
                                "upgrade"),
               values[i].found, "token in \"%s\"", values[i].value);
    }

    is_int(kmq_ws_has_token("Upgrade", 6, "upgrade"), 0,
           "token beyond the value's length");
}


int
main(void)
{
    test_sha1();
    test_accept();
    test_key();
    test_token();

    return done_testing();
}
