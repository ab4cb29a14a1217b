/* The headers of the WebSocket opening handshake, RFC 6455 section 4.2. */

#include <string.h>

#include "kmq_ascii.h"
#include "kmq_websocket.h"


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
