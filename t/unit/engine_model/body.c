/*
 * Bodies: each is the number of its message, then noise from a place that the
 * number tells.
 */

#include "body.h"


static char  noise[NOISE + BODY_MAX];

void
bodies_init(void)
{
    uint64_t  fill;

    fill = 1;
    eu_fill(noise, sizeof(noise), fill);
}


const char *
body_rest(uint32_t id)
{
    return noise + id * 127u % NOISE;
}


uint32_t
body_size(void)
{
    if (one_in(M.options & LARGE ? 8 : 100)) {
        return 4 + below(BODY_MAX - 4);
    }

    return 4 + (one_in(10) ? below(3000) : below(120));
}


/* Are the bytes from offset on those of the message? */
int
body_same(uint32_t id, uint32_t offset, const char *p, uint32_t n)
{
    uint32_t  head;

    for (head = 0; head < n && offset + head < sizeof(id); head++) {
        if (p[head] != ((char *) &id)[offset + head]) {
            return 0;
        }
    }

    return memcmp(p + head, body_rest(id) + offset + head - sizeof(id),
                  n - head) == 0;
}


/* The number with which a body begins, in one piece or several. */
static uint32_t
body_id(kmq_t *kmq, const kmq_message_t *m)
{
    uint32_t     left, n, got;
    kmq_ref_t    piece;
    const char  *p;
    char         id[sizeof(uint32_t)];

    piece = m->body;
    left = m->size;

    for (got = 0; got < sizeof(id); got += n) {
        p = kmq_read(kmq, &piece, &left, &n);
        CHECK(p, "body of %u bytes", m->size);

        n = n < sizeof(id) - got ? n : sizeof(id) - got;
        memcpy(id + got, p, n);
    }

    memcpy(&got, id, sizeof(got));

    return got;
}


/* Which message this is; now and then, all of its body must be its own. */
uint32_t
body_check(kmq_t *kmq, const kmq_message_t *m)
{
    char         code[KMQ_CODE_LEN];
    uint32_t     id, left, n, offset;
    message_t   *of;
    kmq_ref_t    piece;
    const char  *p;

    id = body_id(kmq, m);
    CHECK(id < MESSAGES, "body of no message");

    of = &M.message[id];
    CHECK(m->size == of->size && m->sequence == of->sequence
          && m->slot == of->slot && m->create_time == of->create_time
          && m->delay == of->delay, "%u is not as it was", id);

    if (!one_in(8)) {
        return id;
    }

    piece = m->body;
    left = m->size;

    for (offset = 0; (p = kmq_read(kmq, &piece, &left, &n)); offset += n) {
        CHECK(body_same(id, offset, p, n), "body of %u", id);
    }

    CHECK(offset == m->size, "body of %u ends at %u", id, offset);
    kmq_code(kmq, m, code);
    CHECK(memcmp(code, of->code, KMQ_CODE_LEN) == 0, "code of %u", id);

    return id;
}
