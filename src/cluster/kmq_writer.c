/* The appends of one writer: kmq_writer.h. */

#include <string.h>

#include "kmq_writer.h"


static kmq_writer_slot_t *
writer_slot(kmq_writer_t *writer, uint64_t slot)
{
    return &writer->slot[slot % KMQ_WRITER_WINDOW];
}


static int
writer_waits(kmq_writer_t *writer, uint64_t slot)
{
    return !writer->closed
           && slot > writer->done
           && slot < writer->next
           && writer_slot(writer, slot)->seq == 0;
}


void
kmq_writer_init(kmq_writer_t *writer, uint32_t epoch, unsigned number)
{
    memset(writer, 0, sizeof(kmq_writer_t));

    writer->next = 1;
    writer->epoch = epoch;
    writer->writer = number;
}


uint64_t
kmq_writer_append(kmq_writer_t *writer, uint64_t now)
{
    kmq_writer_slot_t  *slot;

    if (writer->closed || writer->next - writer->done > KMQ_WRITER_WINDOW) {
        return 0;
    }

    slot = writer_slot(writer, writer->next);
    slot->sent = now;
    slot->seq = 0;

    return writer->next++;
}


static void
writer_done(kmq_writer_t *writer, uint64_t number)
{
    kmq_writer_slot_t  *slot;

    slot = writer_slot(writer, number);
    writer->done = number;

    if (slot->seq > writer->seq) {
        writer->seq = slot->seq;
    }

    if (slot->sent > writer->sent) {
        writer->sent = slot->sent;
    }
}


static void
writer_stored(kmq_writer_t *writer, uint64_t slot, uint64_t seq)
{
    writer_slot(writer, slot)->seq = seq;

    if (!KMQ_RULE(ORDER)) {
        writer_done(writer, slot);
    }

    while (writer->done + 1 < writer->next
           && writer_slot(writer, writer->done + 1)->seq)
    {
        writer_done(writer, writer->done + 1);
    }
}


kmq_writer_next_e
kmq_writer_answer(kmq_writer_t *writer, uint64_t slot,
    kmq_writer_answer_e answer, uint64_t seq)
{
    if (!writer_waits(writer, slot)) {
        return KMQ_WRITER_NOTHING;
    }

    switch (answer) {

    case KMQ_WRITER_STORED:
        writer_stored(writer, slot, seq);
        break;

    case KMQ_WRITER_TAKEN:

        if (KMQ_RULE(LOOK)) {
            return KMQ_WRITER_ASK;
        }

        writer_stored(writer, slot, seq);
        break;

    case KMQ_WRITER_SILENT:

        if (KMQ_RULE(REPEAT)) {
            return KMQ_WRITER_SEND;
        }

        writer->closed = 1;
        break;
    }

    return KMQ_WRITER_NOTHING;
}


void
kmq_writer_found(kmq_writer_t *writer, uint64_t slot, int ours, uint64_t seq)
{
    if (!writer_waits(writer, slot)) {
        return;
    }

    if (ours) {
        writer_stored(writer, slot, seq);

    } else {
        writer->closed = 1;
    }
}


void
kmq_writer_again(kmq_writer_t *writer)
{
    uint64_t  slot;

    for (slot = writer->done + 1; slot < writer->next; slot++) {
        writer_slot(writer, slot)->seq = 0;
    }
}
