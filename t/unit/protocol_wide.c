/* Loops over long data against the same done byte by byte: all lengths, with
 * the one byte that matters in every place. */

#include <stdlib.h>

#include "../../src/protocol/kmq_json.h"
#include "../../src/protocol/kmq_websocket.h"
#include "../../src/protocol/kmq_wide.h"
#include "engine_util.h"


#define LONGEST  700


/* Copies without a byte more, so that the sanitizer sees any beyond. */
static unsigned char *
copy_of(const unsigned char *data, size_t n)
{
    unsigned char  *copy;

    copy = malloc(n);
    memcpy(copy, data, n);

    return copy;
}


static void
test_special(void)
{
    int             found;
    size_t          n, i, done, escaped;
    unsigned        wrong, wide;
    unsigned char  *text, plain[LONGEST];

    static const unsigned char  byte[] = { '"', '\\', 0, 31, 32, 127, 255 };

    memset(plain, 'x', sizeof(plain));

    for (n = KMQ_WIDE_MIN, wrong = 0, wide = 0; n < LONGEST; n += 13) {
        text = copy_of(plain, n);

        for (i = 0; i < n; i++) {
            text[i] = byte[i % sizeof(byte)];
            escaped = text[i] == '"' || text[i] == '\\' ? 1
                      : text[i] < 32 ? 5 : 0;

            found = 0;
            done = kmq_wide_special(text, n, &found);

            wrong += done % 64 != 0 || done > n
                     || found != (i < done && escaped != 0)
                     || kmq_json_escaped(text, n) != n + escaped;
            wide += done != 0;

            text[i] = 'x';
        }

        free(text);
    }

    is_int(wrong, 0, "a byte to escape is found wherever it is");
    diag("%u were looked at by wide steps", wide);
}


static void
test_xor(void)
{
    int             high;
    size_t          n, i, done, k;
    uint32_t        word;
    unsigned        wrong;
    unsigned char  *data, plain[LONGEST];

    static const unsigned char  mask[4] = { 0x12, 0x80, 0xff, 0x01 };

    memcpy(&word, mask, sizeof(word));

    for (n = KMQ_WIDE_MIN, wrong = 0; n < LONGEST; n += 13) {
        for (i = 0; i < n; i++) {

            /* ASCII under the mask, but for one byte */

            for (k = 0; k < n; k++) {
                plain[k] = (unsigned char) ((k * 7 % 128) ^ mask[k % 4]);
            }

            plain[i] ^= 0x80;

            data = copy_of(plain, n);
            high = 0;
            done = kmq_wide_xor(data, n, word, &high);
            wrong += done % 64 != 0 || done > n || high != (i < done);

            kmq_ws_unmask_plain(plain, done, mask, 0);
            wrong += memcmp(data, plain, n) != 0;

            kmq_ws_unmask(data, n, mask, 0);
            kmq_ws_unmask_plain(plain, n, mask, 0);
            wrong += memcmp(data, plain, n) != 0;

            free(data);
        }
    }

    is_int(wrong, 0, "unmasked as byte by byte, and what is not ASCII found");
}


int
main(void)
{
    test_special();
    test_xor();

    return done_testing();
}
