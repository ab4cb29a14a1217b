/* A worker's part in the cluster: kmq_replica.h. */

#include <errno.h>
#include <string.h>

#include "../nats/kmq_nats_socket.h"
#include "kmq_replica.h"


/* How often a thread that waits looks whether its epoch is over. */
#define REPLICA_LOOK      50         /* ms */

void
kmq_replica_init(kmq_replica_t *r, const kmq_replica_options_t *options,
    uint32_t epoch, int plain)
{
    memset(r, 0, sizeof(kmq_replica_t));

    r->options = options;
    r->epoch = epoch;
    r->number = -1;
    r->plain = plain;
}


void
kmq_replica_close(kmq_replica_t *r)
{
    if (r->number != -1) {
        kmq_appends_close(&r->appends);
    }

    if (r->link) {
        kmq_nats_link_close(r->link);
    }

    r->link = NULL;
    r->number = -1;
    r->over = 1;
}


static kmq_shared_writer_t *
replica_writer(const kmq_replica_t *r)
{
    return &r->options->shared->writer[r->number];
}


/* Takes a writer of the epoch: 0, or -1: the epoch is over, or no writer or
 * memory is left. */
static int
replica_open(kmq_replica_t *r)
{
    if (r->over) {
        return -1;
    }

    if (r->number != -1) {
        return 0;
    }

    if (r->link == NULL) {
        r->link = kmq_nats_link_open(r->options->nats);
    }

    if (r->link == NULL) {
        return -1;
    }

    r->number = kmq_shared_writer(r->options->shared, r->epoch, r->plain);

    if (r->number == -1) {
        r->over = 1;
        return -1;
    }

    if (kmq_appends_open(&r->appends, r->link, r->options->name, r->epoch,
                         (unsigned) r->number)
        != 0)
    {
        r->over = 1;
        return -1;
    }

    return 0;
}


/* The node's thread learns of it. */
static void
replica_tell(kmq_replica_t *r)
{
    uint64_t              known;
    kmq_shared_t         *shared;
    const kmq_writer_t   *writer;
    kmq_shared_writer_t  *told;

    shared = r->options->shared;
    writer = &r->appends.writer;

    if (!kmq_shared_serves(shared, r->epoch)) {
        r->over = 1;
        return;
    }

    told = replica_writer(r);

    __atomic_store_n(&told->seq, writer->seq, __ATOMIC_RELAXED);
    __atomic_store_n(&told->sent, writer->sent, __ATOMIC_RELEASE);

    known = __atomic_load_n(&shared->known, __ATOMIC_RELAXED);

    while (writer->seq > known
           && !__atomic_compare_exchange_n(&shared->known, &known,
                                           writer->seq, 0, __ATOMIC_RELAXED,
                                           __ATOMIC_RELAXED))
    {
        /* void */
    }

    if (writer->closed) {
        r->over = 1;
        __atomic_store_n(&told->closed, 1, __ATOMIC_RELEASE);
    }
}


/* Appends as much as goes into the window. */
static int
replica_fill(kmq_replica_t *r)
{
    int  rc;

    while (r->left) {
        r->body.size = r->left < KMQ_APPENDS_DATA ? r->left
                                                  : KMQ_APPENDS_DATA;
        r->body.last = r->body.size == r->left;

        rc = kmq_appends_add(&r->appends, &r->body);

        if (rc != 1) {
            return rc;
        }

        r->body.first = 0;
        r->body.data += r->body.size;
        r->left -= r->body.size;
    }

    return 0;
}


void
kmq_replica_begin(kmq_replica_t *r, kmq_part_e part,
    const kmq_journal_info_t *info, const void *data, size_t size)
{
    memset(&r->body, 0, sizeof(kmq_body_t));

    r->body.part = part;
    r->body.first = 1;
    r->body.fragment = KMQ_APPENDS_DATA;
    r->body.known = __atomic_load_n(&r->options->shared->known,
                                    __ATOMIC_RELAXED);
    r->body.info = *info;
    r->body.data = data;
    r->left = size;

    if (replica_open(r) != 0) {
        return;
    }

    if (kmq_nats_link_connected(r->link)
        && kmq_appends_tend(&r->appends) == KMQ_NATS_DONE
        && replica_fill(r) == 0)
    {
        (void) kmq_nats_link_run(r->link, 0);
    }
}


int
kmq_replica_finish(kmq_replica_t *r, uint64_t deadline)
{
    int       rc;
    uint64_t  now, until, hurry;

    if (replica_open(r) != 0) {
        return -ESHUTDOWN;
    }

    for ( ;; ) {
        rc = replica_fill(r);

        if (rc < 0) {
            return -ENOMEM;
        }

        replica_tell(r);

        if (r->over) {
            return -ESHUTDOWN;
        }

        if (r->left == 0 && kmq_appends_pending(&r->appends) == 0) {
            return 0;
        }

        now = kmq_nats_now();
        hurry = __atomic_load_n(&r->hurry, __ATOMIC_ACQUIRE);

        if (now >= deadline || (hurry && now >= hurry)) {
            return -ETIMEDOUT;
        }

        until = now + REPLICA_LOOK < deadline ? now + REPLICA_LOOK : deadline;

        if (kmq_nats_link_connected(r->link)) {
            rc = kmq_appends_run(&r->appends, until);

        } else {
            /* connecting takes as long as it takes */
            rc = kmq_nats_link_connect(r->link, now + 10 * REPLICA_LOOK);
        }

        if (rc == KMQ_NATS_NOMEM) {
            return -ENOMEM;
        }
    }
}


/* ---------------------------------------------------------------- journals */

/* The record of the place of what is to be appended next. */
static int
replica_place(kmq_replica_t *r, const unsigned char *data, size_t size,
    kmq_buffer_t *out)
{
    uint64_t  number[KMQ_PLACE_NUMBERS], slots;

    slots = (size + KMQ_APPENDS_DATA - 1) / KMQ_APPENDS_DATA;

    number[KMQ_PLACE_WRITER] = (uint64_t) r->epoch << 32
                               | (uint32_t) r->number;
    number[KMQ_PLACE_SLOT] = r->appends.writer.next;
    number[KMQ_PLACE_SLOTS] = slots << 32 | KMQ_APPENDS_DATA;
    number[KMQ_PLACE_BYTES] = size;
    number[KMQ_PLACE_KNOWN] = __atomic_load_n(&r->options->shared->known,
                                              __ATOMIC_RELAXED);
    number[KMQ_PLACE_WHO] = (uint64_t) r->options->node << 32;

    if (kmq_record_numbers(out, kmq_get64(data + 8), KMQ_RECORD_PLACE, 0,
                           (uint32_t) (kmq_file_now() / 1000), NULL, 0,
                           number, KMQ_PLACE_NUMBERS)
        != 0)
    {
        return -ENOMEM;
    }

    kmq_records_seal(out->data, out->len);

    return 0;
}


static int
replica_file(kmq_replica_t *r, kmq_segment_t *segment,
    const kmq_journal_info_t *info, const kmq_buffer_t *place,
    const unsigned char *data, size_t size, int sync, const char **what)
{
    int  rc;

    rc = 0;

    if (size) {
        rc = kmq_segment_write(segment, info, place->data, place->len, 0,
                               what);
    }

    if (rc == 0) {
        rc = kmq_segment_write(segment, info, data, size, sync, what);
    }

    if (rc < 0) {
        __atomic_store_n(&r->options->shared->broken, 1, __ATOMIC_RELEASE);
    }

    return rc;
}


/* Slots of which this node's files have what there is. */
static void
replica_kept(kmq_replica_t *r, uint64_t slots, int sync)
{
    kmq_shared_writer_t  *writer;

    if (r->number == -1 || !kmq_shared_serves(r->options->shared, r->epoch)) {
        return;
    }

    writer = replica_writer(r);

    __atomic_store_n(&writer->written, slots, __ATOMIC_RELEASE);

    if (sync) {
        __atomic_store_n(&writer->flushed, slots, __ATOMIC_RELEASE);
    }
}


int
kmq_replica_write(kmq_replica_t *r, kmq_segment_t *segment,
    const kmq_journal_info_t *info, const unsigned char *data, size_t size,
    int sync, uint64_t deadline, const char **what)
{
    int           rc, filed;
    uint64_t      last;
    kmq_buffer_t  place;

    *what = "appending to the stream";
    memset(&place, 0, sizeof(place));

    if (size == 0) {
        rc = replica_file(r, segment, info, NULL, NULL, 0, sync, what);

        if (rc == 0 && sync && r->number != -1) {
            replica_kept(r, replica_writer(r)->written, 1);
        }

        return rc;
    }

    if (replica_open(r) != 0) {
        return -ESHUTDOWN;
    }

    if (r->left) {
        /* of a batch that was given up some is missing: it never counts */
        r->left = 0;
    }

    rc = replica_place(r, data, size, &place);

    if (rc < 0) {
        return rc;
    }

    last = kmq_get64(place.data + KMQ_RECORD_HEAD + 8 * KMQ_PLACE_SLOT)
           + (size + KMQ_APPENDS_DATA - 1) / KMQ_APPENDS_DATA - 1;

    kmq_replica_begin(r, KMQ_PART_BATCH, info, data, size);
    filed = replica_file(r, segment, info, &place, data, size, sync, what);

    kmq_buffer_free(&place);

    if (filed == 0) {
        replica_kept(r, last, sync);
        *what = "appending to the stream";
    }

    rc = kmq_replica_finish(r, deadline);

    return rc < 0 ? rc : filed;
}


void
kmq_replica_hurry(kmq_replica_t *r, uint64_t deadline)
{
    __atomic_store_n(&r->hurry, deadline, __ATOMIC_RELEASE);
}


const char *
kmq_replica_reason(const kmq_replica_t *r)
{
    if (r->over) {
        return "this node is not the primary any more";
    }

    if (r->link && !kmq_nats_link_connected(r->link)) {
        return kmq_nats_link_reason(r->link);
    }

    return r->number == -1 ? "" : r->appends.reason;
}
