/* Keys in headers: kmq_key_header.h. */

#include <string.h>
#include <strings.h>

#include "kmq_key_header.h"


#define KEY_SCHEME    "Bearer "
#define KEY_PROTOCOL  "kapokmq.key."


static int
key_blank(char c)
{
    return c == ' ' || c == '\t';
}


int
kmq_key_bearer(const char *value, size_t len, kmq_key_header_t *key)
{
    size_t  at;

    at = strlen(KEY_SCHEME);

    if (len < at || strncasecmp(value, KEY_SCHEME, at) != 0) {
        return 0;
    }

    while (at < len && value[at] == ' ') {
        at++;
    }

    key->data = value + at;
    key->len = len - at;

    return 1;
}


int
kmq_key_protocol(const char *value, size_t len, kmq_key_header_t *text)
{
    size_t  at, end;

    for (at = 0; at < len; at = end + 1) {

        while (at < len && (key_blank(value[at]) || value[at] == ',')) {
            at++;
        }

        end = at;

        while (end < len && value[end] != ',' && !key_blank(value[end])) {
            end++;
        }

        if (end - at >= strlen(KEY_PROTOCOL)
            && memcmp(value + at, KEY_PROTOCOL, strlen(KEY_PROTOCOL)) == 0)
        {
            text->data = value + at + strlen(KEY_PROTOCOL);
            text->len = end - at - strlen(KEY_PROTOCOL);
            return 1;
        }
    }

    return 0;
}
