/*
 * The header by which requests are handed on.  What a stranger sends never
 * counts; what is signed, whatever it is, is read within its bounds, and what
 * is read is written as it was.
 */

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/cluster/kmq_hop.h"
#include "../../src/protocol/kmq_base64.h"


#define SECRET   "secret"
#define VERSION  "kapokmq hop 1"
#define MAC      32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
again(const kmq_hop_t *hop, const char *text, size_t len)
{
    char    *written;
    size_t   n;

    written = malloc(kmq_hop_room(hop));
    n = kmq_hop_write(written, hop, SECRET, strlen(SECRET));

    if (n != len || memcmp(written, text, len) != 0) {
        abort();
    }

    free(written);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char           *text;
    size_t          len;
    unsigned        n;
    kmq_hop_t       hop;
    unsigned char  *bytes, *room, key[EVP_MAX_MD_SIZE];

    room = malloc(2 * (size + MAC) + 1);

    if (kmq_hop_read(&hop, room, (const char *) data, size, SECRET,
                     strlen(SECRET)))
    {
        abort();
    }

    bytes = malloc(size + MAC);
    text = malloc(2 * (size + MAC));

    HMAC(EVP_sha256(), SECRET, (int) strlen(SECRET),
         (const unsigned char *) VERSION, strlen(VERSION), key, &n);
    HMAC(EVP_sha256(), key, (int) n, data, size, bytes, &n);

    if (size) {
        memcpy(bytes + MAC, data, size);
    }

    len = kmq_base64url_encode(text, bytes, size + MAC);

    if (kmq_hop_read(&hop, room, text, len, SECRET, strlen(SECRET))) {
        again(&hop, text, len);
    }

    free(text);
    free(bytes);
    free(room);

    return 0;
}
