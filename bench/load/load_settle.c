/* How messages are confirmed that came by HTTP: some at a time, in the order
 * in which they came. */

#include <stdlib.h>
#include <string.h>

#include "load.h"


#define SETTLE_FIELD  "confirm="


int
load_settle_keep(client_t *c, const unsigned char *message)
{
    unsigned char  *p;
    load_http_t    *h;

    h = c->http;
    p = net_room(&h->codes, sizeof(SETTLE_FIELD) + WIRE_CODE_LEN);

    if (p == NULL) {
        return -1;
    }

    if (h->ncodes == 0) {
        memcpy(p, SETTLE_FIELD, sizeof(SETTLE_FIELD) - 1);
        p += sizeof(SETTLE_FIELD) - 1;

    } else {
        *p++ = ',';
    }

    memcpy(p, message + sizeof(WIRE_HEAD) - 1, WIRE_CODE_LEN);
    h->codes.to = (size_t) (p + WIRE_CODE_LEN - h->codes.data);
    h->ncodes++;

    return 0;
}


int
load_settle(load_t *l, client_t *on, client_t *c)
{
    load_http_t  *h;

    h = c->http;

    if (load_post(l, on, "/Consumers/Settle", "x-www-form-urlencoded",
                  h->codes.data, h->codes.to)
        == -1)
    {
        return -1;
    }

    h->settling = h->ncodes;
    h->ncodes = 0;
    h->codes.to = 0;

    return 0;
}


size_t
load_settled(load_read_t *r, client_t *c, const unsigned char *data,
    size_t size, int whole)
{
    static const char  begin[] = "{\"code\":0,\"data\":{\"confirmed\":";

    if (!whole) {
        return 0;
    }

    if (size <= sizeof(begin) || memcmp(data, begin, sizeof(begin) - 1) != 0
        || strtoul((const char *) data + sizeof(begin) - 1, NULL, 10)
           != c->http->settling)
    {
        load_fail(r->load, "of %u messages not all were confirmed: %.*s",
                  c->http->settling, size > 150 ? 150 : (int) size, data);
        return NET_CLOSE;
    }

    c->http->settling = 0;

    return size;
}
