/* Entries of the stream as messages: kmq_place.h. */

#include <stdio.h>
#include <string.h>

#include "kmq_place.h"


#define BODY_MAGIC    "KMQE"
#define BODY_PLAIN    1            /* versions */
#define BODY_PACKED   2
#define BODY_FIRST    1
#define BODY_LAST     2

#define PLACE_VOID    255        /* a kind that counts nowhere */


/* --------------------------------------------------------------- subjects */

void
kmq_place_subject(char subject[KMQ_PLACE_MAX], const char *name,
    const kmq_entry_t *entry)
{
    switch (entry->kind) {

    case KMQ_ENTRY_CLAIM:
    case KMQ_ENTRY_BEGIN:
        (void) snprintf(subject, KMQ_PLACE_MAX, "kapokmq.%s.%s.%u", name,
                        entry->kind == KMQ_ENTRY_CLAIM ? "claim" : "begin",
                        entry->epoch);
        break;

    default:
        (void) snprintf(subject, KMQ_PLACE_MAX, "kapokmq.%s.%u.%u.%llu", name,
                        entry->epoch, entry->writer,
                        (unsigned long long) entry->slot);
    }
}


void
kmq_place_all(char subject[KMQ_PLACE_MAX], const char *name)
{
    (void) snprintf(subject, KMQ_PLACE_MAX, "kapokmq.%s.>", name);
}


void
kmq_place_epoch(char subject[KMQ_PLACE_MAX], const char *name,
    uint32_t epoch)
{
    (void) snprintf(subject, KMQ_PLACE_MAX, "kapokmq.%s.%u.*.*", name, epoch);
}


void
kmq_place_beat(char subject[KMQ_PLACE_MAX], const char *name)
{
    (void) snprintf(subject, KMQ_PLACE_MAX, "kapokmq-beat.%s", name);
}


/* ----------------------------------------------------------------- bodies */

static void
put16(unsigned char *p, unsigned value)
{
    p[0] = (unsigned char) value;
    p[1] = (unsigned char) (value >> 8);
}


static unsigned
get16(const unsigned char *p)
{
    return p[0] | (unsigned) p[1] << 8;
}


void
kmq_body_write(unsigned char head[KMQ_BODY_HEAD], const kmq_body_t *body)
{
    const kmq_entry_t  *entry;

    entry = &body->entry;

    memset(head, 0, KMQ_BODY_HEAD);
    memcpy(head, BODY_MAGIC, 4);

    head[4] = body->packed ? BODY_PACKED : BODY_PLAIN;
    head[5] = entry->kind;
    head[6] = (unsigned char) body->part;
    head[7] = (unsigned char) (body->first * BODY_FIRST
                               + body->last * BODY_LAST);

    kmq_put32(head + 8, entry->epoch);
    kmq_put32(head + 12, entry->by);
    kmq_put64(head + 16, entry->slot);
    put16(head + 24, entry->writer);
    put16(head + 26, entry->writers);
    kmq_put32(head + 28, entry->who.node);
    kmq_put32(head + 32, entry->who.start);
    kmq_put32(head + 36, body->fragment);
    kmq_put64(head + 40, body->known);
    kmq_put64(head + 48, body->info.generation);
    kmq_put64(head + 56, body->info.start);
    kmq_put64(head + 64, body->info.key[0]);
    kmq_put64(head + 72, body->info.key[1]);
    kmq_put32(head + 80, body->info.worker);
    kmq_put32(head + 84, body->packed);
}


static void
body_head(kmq_body_t *body, const unsigned char *head)
{
    kmq_entry_t  *entry;

    entry = &body->entry;

    entry->kind = head[5];
    entry->epoch = kmq_get32(head + 8);
    entry->by = kmq_get32(head + 12);
    entry->slot = kmq_get64(head + 16);
    entry->writer = (uint16_t) get16(head + 24);
    entry->writers = (uint16_t) get16(head + 26);
    entry->who.node = kmq_get32(head + 28);
    entry->who.start = kmq_get32(head + 32);

    body->part = head[6];
    body->first = (head[7] & BODY_FIRST) != 0;
    body->last = (head[7] & BODY_LAST) != 0;
    body->fragment = kmq_get32(head + 36);
    body->known = kmq_get64(head + 40);
    body->info.generation = kmq_get64(head + 48);
    body->info.start = kmq_get64(head + 56);
    body->info.key[0] = kmq_get64(head + 64);
    body->info.key[1] = kmq_get64(head + 72);
    body->info.worker = kmq_get32(head + 80);
    body->packed = head[4] == BODY_PACKED ? kmq_get32(head + 84) : 0;
}


void
kmq_body_read(kmq_body_t *body, const char *name, uint64_t sequence,
    const kmq_nats_text_t *subject, const kmq_nats_text_t *payload)
{
    char  place[KMQ_PLACE_MAX];

    memset(body, 0, sizeof(kmq_body_t));

    if (payload->len >= KMQ_BODY_HEAD
        && memcmp(payload->bytes, BODY_MAGIC, 4) == 0
        && (payload->bytes[4] == BODY_PLAIN
            || payload->bytes[4] == BODY_PACKED))
    {
        body_head(body, payload->bytes);
        body->data = payload->bytes + KMQ_BODY_HEAD;
        body->size = payload->len - KMQ_BODY_HEAD;

        kmq_place_subject(place, name, &body->entry);

        if (strlen(place) != subject->len
            || memcmp(place, subject->bytes, subject->len) != 0)
        {
            body->entry.kind = PLACE_VOID;
        }

    } else {
        body->entry.kind = PLACE_VOID;
    }

    body->entry.seq = sequence;
}


/* ----------------------------------------------------------------- chains */

size_t
kmq_chain_write(unsigned char bytes[KMQ_CHAIN_BYTES],
    const kmq_chain_t *chain)
{
    unsigned        i;
    unsigned char  *p;

    kmq_put64(bytes, chain->seq);
    kmq_put32(bytes + 8, chain->claimed);
    kmq_put32(bytes + 12, chain->begun);
    kmq_put32(bytes + 16, chain->writers);
    kmq_put32(bytes + 20, chain->claimer.node);
    kmq_put32(bytes + 24, chain->claimer.start);
    kmq_put32(bytes + 28, chain->primary.node);
    kmq_put32(bytes + 32, chain->primary.start);
    kmq_put32(bytes + 36, 0);

    p = bytes + 40;

    for (i = 0; i < chain->writers; i++) {
        kmq_put64(p, chain->writer[i].last);
        kmq_put64(p + 8, chain->writer[i].held);
        p[16] = chain->writer[i].closed;
        p += 17;
    }

    return (size_t) (p - bytes);
}


int
kmq_chain_load(kmq_chain_t *chain, const unsigned char *bytes, size_t size)
{
    unsigned              i;
    const unsigned char  *p;

    kmq_chain_init(chain);

    if (size < 40 || kmq_get32(bytes + 16) > KMQ_CHAIN_WRITERS
        || size < 40 + 17 * kmq_get32(bytes + 16))
    {
        return -1;
    }

    chain->seq = kmq_get64(bytes);
    chain->claimed = kmq_get32(bytes + 8);
    chain->begun = kmq_get32(bytes + 12);
    chain->writers = (uint16_t) kmq_get32(bytes + 16);
    chain->claimer.node = kmq_get32(bytes + 20);
    chain->claimer.start = kmq_get32(bytes + 24);
    chain->primary.node = kmq_get32(bytes + 28);
    chain->primary.start = kmq_get32(bytes + 32);

    p = bytes + 40;

    for (i = 0; i < chain->writers; i++) {
        chain->writer[i].last = kmq_get64(p);
        chain->writer[i].held = kmq_get64(p + 8);
        chain->writer[i].closed = p[16] & 1;
        p += 17;
    }

    return 0;
}
