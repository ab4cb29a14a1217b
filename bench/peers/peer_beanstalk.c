/* beanstalkd: put; reserve and delete, a window of them at once. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer.h"


static int
beanstalk_open(peer_conn_t *p)
{
    return peer_printf(p, "use default\r\n");
}


static int
beanstalk_frame(peer_conn_t *p)
{
    int   n;
    char  head[64];

    n = snprintf(head, sizeof(head), "put 0 0 600 %u\r\n", p->load->o.size);

    return peer_frame(p, head, (size_t) n, "\r\n", 2);
}


/* "RESERVED id size", then the data: bytes, 0, or NET_CLOSE. */
static size_t
beanstalk_reserved(peer_conn_t *p, unsigned char *line, size_t len,
    size_t size)
{
    char                *end;
    size_t               n;
    unsigned long long   id;

    id = strtoull((char *) line + 9, &end, 10);
    n = strtoul(end, NULL, 10);

    if (size - len < n + 2) {
        return 0;
    }

    peer_message(p, line + len, n);

    return peer_printf(p, "delete %llu\r\nreserve\r\n", id) == -1
           ? NET_CLOSE : len + n + 2;
}


/* A line without data behind it. */
static int
beanstalk_line(peer_conn_t *p, const unsigned char *line, size_t len)
{
    int       rc;
    unsigned  i;

    if (len > 9 && memcmp(line, "INSERTED ", 9) == 0) {
        peer_answered(p, 1);
        return 0;
    }

    if (len == 9 && memcmp(line, "DELETED\r\n", 9) == 0) {
        return 0;
    }

    if (len < 7 || memcmp(line, "USING ", 6) != 0) {
        return peer_unexpected(p, line, len);
    }

    peer_ready(p);
    rc = 0;

    for (i = 0; !peer_is_producer(p) && i < p->load->o.window; i++) {
        rc |= peer_printf(p, "reserve\r\n");
    }

    return rc;
}


static size_t
beanstalk_parse(peer_conn_t *p, unsigned char *data, size_t size)
{
    size_t          used, n, len;
    unsigned char  *line, *end;

    for (used = 0; used < size; used += n) {
        line = data + used;
        end = memchr(line, '\n', size - used);

        if (end == NULL) {
            break;
        }

        len = (size_t) (end + 1 - line);
        n = len;

        if (len > 9 && memcmp(line, "RESERVED ", 9) == 0) {
            n = beanstalk_reserved(p, line, len, size - used);

        } else if (beanstalk_line(p, line, len) == -1) {
            n = NET_CLOSE;
        }

        if (n == 0) {
            break;
        }

        if (n == NET_CLOSE) {
            return NET_CLOSE;
        }
    }

    return used;
}


const peer_t  peer_beanstalk = {
    .name = "beanstalk",
    .help = "beanstalkd: put, reserve, delete",
    .open = beanstalk_open, .frame = beanstalk_frame,
    .parse = beanstalk_parse
};
