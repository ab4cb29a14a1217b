/* Records of journals and checkpoints, to and from bytes. */

#include <stdlib.h>
#include <string.h>

#include "kmq_crc32c.h"
#include "kmq_record.h"


#define BUFFER_MIN  65536


/* ---------------------------------------------------------------- numbers */

unsigned char *
kmq_varint(unsigned char *p, uint64_t value)
{
    while (value >= 0x80) {
        *p++ = (unsigned char) (value | 0x80);
        value >>= 7;
    }

    *p++ = (unsigned char) value;

    return p;
}


/* NULL: the number does not end before end, or is too long. */
static const unsigned char *
varint_read(const unsigned char *p, const unsigned char *end, uint64_t *value)
{
    unsigned  shift;

    *value = 0;

    for (shift = 0; p < end && shift < 64; shift += 7) {
        *value |= (uint64_t) (*p & 0x7f) << shift;

        if (!(*p++ & 0x80)) {
            return p;
        }
    }

    return NULL;
}


/* Small distances in either direction are small numbers. */
uint64_t
kmq_zigzag(uint64_t value, uint64_t before)
{
    uint64_t  distance;

    distance = value - before;

    return distance << 1 ^ (distance >> 63 ? UINT64_MAX : 0);
}


static uint64_t
zigzag_undo(uint64_t number, uint64_t before)
{
    return before + (number >> 1 ^ (number & 1 ? UINT64_MAX : 0));
}


/* ------------------------------------------------------------------ write */

unsigned char *
kmq_buffer_grow(kmq_buffer_t *buffer, size_t n)
{
    size_t          size;
    unsigned char  *data;

    size = buffer->size < BUFFER_MIN ? BUFFER_MIN : buffer->size * 2;

    while (size < buffer->len + n) {
        size *= 2;
    }

    data = realloc(buffer->data, size);
    if (data == NULL) {
        return NULL;
    }

    buffer->data = data;
    buffer->size = size;

    return data + buffer->len;
}


void
kmq_buffer_free(kmq_buffer_t *buffer)
{
    free(buffer->data);
    memset(buffer, 0, sizeof(kmq_buffer_t));
}


void
kmq_record_begin(unsigned char *p, uint32_t size, uint64_t lsn, unsigned type,
    unsigned kind, size_t name_len, uint32_t time)
{
    kmq_put32(p, 0);
    kmq_put32(p + 4, size);
    kmq_put64(p + 8, lsn);
    p[16] = (unsigned char) type;
    p[17] = (unsigned char) kind;
    p[18] = (unsigned char) name_len;
    p[19] = 0;
    kmq_put32(p + 20, time);
}


void
kmq_record_head(unsigned char *p, uint32_t size, uint64_t lsn, unsigned type,
    unsigned kind, size_t name_len, uint32_t time)
{
    kmq_record_begin(p, size, lsn, type, kind, name_len, time);

    memset(p + size, 0, KMQ_RECORD_SPAN(size) - size);
}


/* The head's own numbers are the caller's. */
void
kmq_record_message(unsigned char *p, const kmq_record_t *r)
{
    p += KMQ_RECORD_HEAD;

    kmq_put64(p, r->sequence);
    kmq_put64(p + 8, r->due);
    kmq_put32(p + 16, r->delay);
    kmq_put32(p + 20, r->state_time);
    kmq_put32(p + 24, r->attempts);
    memcpy(p + 28, r->name, r->name_len);
}


int
kmq_record_numbers(kmq_buffer_t *buffer, uint64_t lsn, unsigned type,
    unsigned kind, uint32_t time, const char *name, size_t name_len,
    const uint64_t *number, unsigned n)
{
    size_t          size;
    unsigned        i;
    unsigned char  *p;

    size = KMQ_RECORD_HEAD + name_len + 8 * n;

    p = kmq_buffer_room(buffer, KMQ_RECORD_SPAN(size));
    if (p == NULL) {
        return -1;
    }

    kmq_record_head(p, size, lsn, type, kind, name_len, time);
    buffer->len += KMQ_RECORD_SPAN(size);

    p += KMQ_RECORD_HEAD;

    if (name_len) {
        memcpy(p, name, name_len);
        p += name_len;
    }

    for (i = 0; i < n; i++) {
        kmq_put64(p + 8 * i, number[i]);
    }

    return 0;
}


void
kmq_records_seal(unsigned char *data, size_t len)
{
    uint32_t        size;
    unsigned char  *p, *end;

    /* no records, perhaps no buffer */

    if (len == 0) {
        return;
    }

    end = data + len;

    for (p = data; p < end; p += KMQ_RECORD_SPAN(size)) {
        size = kmq_get32(p + 4);
        kmq_put32(p, kmq_crc32c(0, p + 4, size - 4));
    }
}


/* ------------------------------------------------------------------- read */

int
kmq_record_unpack(const kmq_record_t *r, const unsigned char **p,
    kmq_record_t *m)
{
    uint64_t              sequence, size;
    const unsigned char  *q;

    if (*p == r->data) {
        *m = *r;
        m->type = KMQ_RECORD_MESSAGE;
        m->lsn = r->lsn - 1;
    }

    if (*p == r->end) {
        return 0;
    }

    q = varint_read(*p, r->end, &sequence);
    q = q ? varint_read(q, r->end, &size) : NULL;

    if (q == NULL || size > (uint64_t) (r->end - q)) {
        return -1;
    }

    m->lsn++;
    m->sequence = zigzag_undo(sequence, m->sequence);
    m->body = q;
    m->body_size = (uint32_t) size;

    if (m->sequence == 0 || m->sequence > KMQ_NUMBER_MAX) {
        return -1;
    }

    *p = q + size;

    return 1;
}


/* Those of KMQ_RECORD_MESSAGES. */
static int
messages_read(const unsigned char *p, const unsigned char *end,
    kmq_record_t *r)
{
    int                   rc;
    uint32_t              n;
    kmq_record_t          m;
    const unsigned char  *next;

    if (end - p < 4 + r->name_len || r->name_len == 0
        || r->kind != KMQ_KIND_READY)
    {
        return -1;
    }

    r->count = kmq_get32(p);
    r->name = (const char *) p + 4;
    r->data = p + 4 + r->name_len;
    r->end = end;

    next = r->data;

    for (n = 0; (rc = kmq_record_unpack(r, &next, &m)) == 1; n++) {
        /* void */
    }

    return rc == 0 && n != 0 && n == r->count
           && r->lsn <= KMQ_NUMBER_MAX - n ? 0 : -1;
}


/* The parts of a type, behind the head; 0, or -1: they do not fit. */
static int
parts_read(const unsigned char *p, kmq_record_t *r)
{
    const unsigned char  *end;

    end = p + r->size;
    p += KMQ_RECORD_HEAD;

    switch (r->type) {

    case KMQ_RECORD_MESSAGE:

        if (end - p < 28 + r->name_len || r->name_len == 0
            || r->kind < KMQ_KIND_READY || r->kind > KMQ_KIND_DEAD)
        {
            return -1;
        }

        r->sequence = kmq_get64(p);

        if (r->sequence == 0 || r->sequence > KMQ_NUMBER_MAX) {
            return -1;
        }

        r->due = kmq_get64(p + 8);
        r->delay = kmq_get32(p + 16);
        r->state_time = kmq_get32(p + 20);
        r->attempts = kmq_get32(p + 24);
        r->name = (const char *) p + 28;
        r->body = p + 28 + r->name_len;
        r->body_size = (uint32_t) (end - r->body);
        break;

    case KMQ_RECORD_MESSAGES:
        return messages_read(p, end, r);

    case KMQ_RECORD_COUNTS:

        if (end - p != 8 + r->name_len || r->name_len == 0) {
            return -1;
        }

        r->delivered = kmq_get32(p);
        r->confirmed = kmq_get32(p + 4);
        r->name = (const char *) p + 8;
        break;

    case KMQ_RECORD_TOPIC:
    case KMQ_RECORD_QUEUE:
    case KMQ_RECORD_END:
    case KMQ_RECORD_PLACE:

        if (end - p < r->name_len
            || (r->type == KMQ_RECORD_TOPIC) != (r->name_len != 0))
        {
            return -1;
        }

        r->name = (const char *) p;
        r->data = p + r->name_len;
        break;

    default:

        if (end - p < 4) {
            return -1;
        }

        r->count = kmq_get32(p);
        r->data = p + 4;
        break;
    }

    r->end = end;

    return 0;
}


long
kmq_record_read(const unsigned char *p, size_t n, kmq_record_t *r,
    size_t *need)
{
    size_t  more;

    if (need == NULL) {
        need = &more;
    }

    *need = KMQ_RECORD_HEAD;

    if (n < KMQ_RECORD_HEAD) {
        return 0;
    }

    memset(r, 0, sizeof(kmq_record_t));

    r->size = kmq_get32(p + 4);
    r->lsn = kmq_get64(p + 8);
    r->type = p[16];
    r->kind = p[17];
    r->name_len = p[18];
    r->time = kmq_get32(p + 20);

    if (r->size < KMQ_RECORD_HEAD || p[19] != 0 || r->lsn > KMQ_NUMBER_MAX
        || r->type < KMQ_RECORD_MESSAGE || r->type > KMQ_RECORD_PLACE)
    {
        return -1;
    }

    *need = KMQ_RECORD_SPAN(r->size);

    if (n < *need) {
        return 0;
    }

    if (kmq_crc32c(0, p + 4, r->size - 4) != kmq_get32(p)
        || parts_read(p, r) != 0)
    {
        return -1;
    }

    return (long) *need;
}


int
kmq_record_sequence(const kmq_record_t *r, const unsigned char **p,
    kmq_record_entry_t *entry)
{
    unsigned  i, n;
    uint64_t  number[3];

    if (*p == r->end) {
        return 0;
    }

    n = r->type == KMQ_RECORD_FAILED ? 3
        : r->type == KMQ_RECORD_DELIVERED ? 2 : 1;

    for (i = 0; i < n; i++) {
        *p = varint_read(*p, r->end, &number[i]);

        if (*p == NULL) {
            return -1;
        }
    }

    entry->sequence = zigzag_undo(number[0], entry->sequence);
    entry->attempts = n > 1 ? (uint32_t) number[1] : 0;
    entry->due = n > 2 ? number[2] : 0;

    return entry->sequence > KMQ_NUMBER_MAX ? -1 : 1;
}


uint64_t
kmq_record_number(const kmq_record_t *r, unsigned i)
{
    if (r->data == NULL || 8 * ((size_t) i + 1) > (size_t) (r->end - r->data))
    {
        return 0;
    }

    return kmq_get64(r->data + 8 * i);
}
