/* The WebSocket opening handshake, RFC 6455 section 4.2. */

#include <string.h>

#include "kmq_ascii.h"
#include "kmq_sha1.h"
#include "kmq_websocket.h"


#define KMQ_WS_KEY_LEN  24    /* base64 of 16 bytes: 22 characters and == */


static const char  kmq_base64[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";


int
kmq_ws_key_valid(const char *key, size_t len)
{
    size_t  i;

    if (len != KMQ_WS_KEY_LEN || memcmp(key + len - 2, "==", 2) != 0) {
        return 0;
    }

    for (i = 0; i < len - 2; i++) {
        if (memchr(kmq_base64, key[i], sizeof(kmq_base64) - 1) == NULL) {
            return 0;
        }
    }

    return 1;
}


void
kmq_ws_accept(const char *key, size_t len, char accept[KMQ_WS_ACCEPT_LEN])
{
    static const char  guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

    const unsigned char  *three;
    unsigned char         digest[KMQ_SHA1_LEN + 1];
    kmq_sha1_t            sha1;
    uint32_t              bits;
    unsigned              i;

    kmq_sha1_init(&sha1);
    kmq_sha1_add(&sha1, key, len);
    kmq_sha1_add(&sha1, guid, sizeof(guid) - 1);
    kmq_sha1_end(&sha1, digest);

    /* 20 bytes are 27 characters and one = of padding */
    digest[KMQ_SHA1_LEN] = 0;

    for (i = 0; i < KMQ_WS_ACCEPT_LEN; i++) {
        three = digest + i / 4 * 3;
        bits = (uint32_t) three[0] << 16 | (uint32_t) three[1] << 8 | three[2];
        accept[i] = kmq_base64[bits >> (18 - 6 * (i % 4)) & 0x3f];
    }

    accept[KMQ_WS_ACCEPT_LEN - 1] = '=';
}


static int
kmq_ws_is_space(char c)
{
    return c == ' ' || c == '\t';
}


int
kmq_ws_has_token(const char *value, size_t len, const char *token)
{
    const char  *p, *end, *comma, *last;

    end = value + len;

    for (p = value; p < end; p = comma + 1) {

        comma = memchr(p, ',', (size_t) (end - p));
        comma = comma ? comma : end;
        last = comma;

        while (p < last && kmq_ws_is_space(*p)) {
            p++;
        }

        while (p < last && kmq_ws_is_space(last[-1])) {
            last--;
        }

        if (p < last
            && kmq_same_name((const unsigned char *) p, (size_t) (last - p),
                             token))
        {
            return 1;
        }
    }

    return 0;
}
