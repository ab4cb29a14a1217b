/* What of the stream counts: kmq_chain.h. */

#include <string.h>

#include "kmq_chain.h"


#ifdef KMQ_FAULTS

uint32_t  kmq_rules_broken;

#endif


void
kmq_chain_init(kmq_chain_t *chain)
{
    memset(chain, 0, sizeof(kmq_chain_t));
}


static kmq_chain_e
chain_claim(kmq_chain_t *chain, const kmq_entry_t *entry)
{
    if (entry->epoch <= chain->claimed) {
        return KMQ_CHAIN_VOID;
    }

    chain->claimed = entry->epoch;
    chain->claimer = entry->who;

    return KMQ_CHAIN_CLAIMED;
}


static kmq_chain_e
chain_begin(kmq_chain_t *chain, const kmq_entry_t *entry)
{
    kmq_entry_t  open;

    if (entry->epoch <= chain->begun
        || entry->epoch > chain->claimed
        || entry->writers > KMQ_CHAIN_WRITERS
        || (kmq_chain_open(chain, 0, &open)
            && KMQ_RULE(CLOSE) && KMQ_RULE(READ)))
    {
        return KMQ_CHAIN_VOID;
    }

    memset(chain->writer, 0, sizeof(chain->writer));

    chain->begun = entry->epoch;
    chain->writers = entry->writers;
    chain->primary = entry->who;

    return KMQ_CHAIN_BEGUN;
}


/* The slot counts, and with it those that were held for its sake. */
static void
chain_next(kmq_chain_writer_t *writer)
{
    int  more;

    do {
        more = writer->held & 1;
        writer->held >>= 1;
        writer->last++;

    } while (more);
}


static kmq_chain_e
chain_append(kmq_chain_t *chain, const kmq_entry_t *entry)
{
    uint64_t             early;
    kmq_chain_writer_t  *writer;

    if (entry->epoch != chain->begun || entry->writer >= chain->writers) {
        return KMQ_CHAIN_VOID;
    }

    writer = &chain->writer[entry->writer];

    if (entry->slot <= writer->last) {
        return KMQ_CHAIN_KNOWN;
    }

    if (writer->closed && KMQ_RULE(VOID)) {
        return KMQ_CHAIN_VOID;
    }

    if (entry->slot == writer->last + 1) {
        chain_next(writer);
        return KMQ_CHAIN_COUNTS;
    }

    early = entry->slot - writer->last - 2;

    if (early >= KMQ_CHAIN_HELD) {
        return KMQ_CHAIN_VOID;
    }

    writer->held |= UINT64_C(1) << early;

    return KMQ_CHAIN_HELD_BACK;
}


static kmq_chain_e
chain_close(kmq_chain_t *chain, const kmq_entry_t *entry)
{
    kmq_chain_writer_t  *writer;

    if (entry->epoch != chain->begun
        || (entry->by <= chain->begun && KMQ_RULE(NEXT))
        || entry->writer >= chain->writers)
    {
        return KMQ_CHAIN_VOID;
    }

    writer = &chain->writer[entry->writer];

    if (writer->closed || (entry->slot != writer->last + 1 && KMQ_RULE(NEXT))) {
        return KMQ_CHAIN_VOID;
    }

    writer->closed = 1;

    if (KMQ_RULE(VOID)) {
        writer->held = 0;

    } else {
        chain_next(writer);
    }

    return KMQ_CHAIN_CLOSED;
}


kmq_chain_e
kmq_chain_read(kmq_chain_t *chain, const kmq_entry_t *entry)
{
    if (entry->seq <= chain->seq) {
        return KMQ_CHAIN_KNOWN;
    }

    if (entry->seq != chain->seq + 1) {
        return KMQ_CHAIN_GAP;
    }

    chain->seq = entry->seq;

    switch ((kmq_entry_kind_e) entry->kind) {

    case KMQ_ENTRY_CLAIM:
        return chain_claim(chain, entry);

    case KMQ_ENTRY_BEGIN:
        return chain_begin(chain, entry);

    case KMQ_ENTRY_APPEND:
        return chain_append(chain, entry);

    case KMQ_ENTRY_CLOSE:
        return chain_close(chain, entry);
    }

    /* of a later version, which has to do without us */
    return KMQ_CHAIN_VOID;
}


int
kmq_chain_open(const kmq_chain_t *chain, unsigned n, kmq_entry_t *entry)
{
    unsigned                   i;
    const kmq_chain_writer_t  *writer;

    for (i = 0; i < chain->writers; i++) {
        writer = &chain->writer[i];

        if (writer->closed || (writer->last == 0 && !KMQ_RULE(UNUSED))) {
            continue;
        }

        if (n-- == 0) {
            *entry = (kmq_entry_t) {
                .kind = KMQ_ENTRY_CLOSE,
                .epoch = chain->begun,
                .writer = i,
                .slot = writer->last + 1
            };

            return 1;
        }
    }

    return 0;
}


int
kmq_chain_counts(const kmq_chain_t *chain, unsigned writer, uint64_t slot)
{
    return writer < chain->writers && slot <= chain->writer[writer].last;
}
