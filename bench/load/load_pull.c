/* --pull: a consumer has one pull at a time, and confirms what that brings
 * before the next one, or with it in one go. */

#include <stdio.h>
#include <string.h>

#include "load.h"


static const char  pull_begin[] = "{\"code\":0,\"data\":[";


static int
pull_request(load_t *l, client_t *c)
{
    int   n;
    char  body[64], path[LOAD_TOPIC + 64], topic[LOAD_TOPIC];

    load_topic(l, c, topic);
    snprintf(path, sizeof(path), "/Consumers/Pull/%s/c%u", topic, c->number);
    n = snprintf(body, sizeof(body), "max=%u&wait=%.3f", l->o.pull,
                 l->o.wait);

    return load_post(l, c, path, "x-www-form-urlencoded", body, (size_t) n);
}


static size_t
pull_body(load_read_t *r, const unsigned char *data, size_t size, int whole)
{
    size_t        comma, length, used;
    load_http_t  *h;

    h = r->client->http;
    used = 0;

    if (h->settling != 0) {
        return load_settled(r, r->client, data, size, whole);
    }

    if (!h->begun) {
        used = sizeof(pull_begin) - 1;

        if (size < used || memcmp(data, pull_begin, used) != 0) {
            return size < used ? 0 : NET_CLOSE;
        }

        h->begun = 1;
    }

    for ( /* void */ ; used + 1 < size; used += comma + length) {

        if (data[used] == ']') {
            return used + 2;
        }

        comma = data[used] == ',';
        length = load_door_message(r->load, data + used + comma,
                                   size - used - comma);

        if (length == 0) {
            break;
        }

        load_message(r, data + used + comma, length);

        if (load_settle_keep(r->client, data + used + comma) == -1) {
            return NET_CLOSE;
        }
    }

    return used;
}


static int
pull_done(load_t *l, client_t *c)
{
    load_http_t  *h;

    h = c->http;

    /* begun: it is a pull that was answered */

    if (h->begun && h->ncodes != 0) {
        if (load_settle(l, c, c) == -1) {
            return -1;
        }

    } else if (!h->begun && !l->o.apart) {
        return 0;
    }

    if (h->begun && h->settling != 0 && l->o.apart) {
        h->begun = 0;
        return 0;
    }

    h->begun = 0;

    return pull_request(l, c);
}


const load_door_t  load_pull = {
    pull_request, pull_body, pull_done, NULL, 1
};
