/* What a node is made of, without a server: entries as messages, chains as
 * bytes, what processes share, files that a follower keeps. */

#include "../../src/replica/kmq_files.h"
#include "../../src/replica/kmq_shared.h"
#include "disk_util.h"
#include "tap.h"

#include <pthread.h>


#define NODE  1


/* ---------------------------------------------------------------- entries */

static kmq_body_t
body_of(const kmq_body_t *body, const char *subject)
{
    kmq_body_t      read;
    unsigned char   bytes[KMQ_BODY_HEAD + 64];
    kmq_nats_text_t text, payload;

    kmq_body_write(bytes, body);
    memcpy(bytes + KMQ_BODY_HEAD, body->data, body->size);

    text = KMQ_NATS_TEXT(subject);
    payload.bytes = bytes;
    payload.len = KMQ_BODY_HEAD + body->size;

    kmq_body_read(&read, "q", 77, &text, &payload);

    return read;
}


static void
test_entries(void)
{
    char        subject[KMQ_PLACE_MAX];
    kmq_body_t  body, read;

    memset(&body, 0, sizeof(body));

    body.entry.kind = KMQ_ENTRY_APPEND;
    body.entry.epoch = 3;
    body.entry.writer = 5;
    body.entry.slot = 12345678901;
    body.part = KMQ_PART_BATCH;
    body.first = 1;
    body.fragment = 4096;
    body.known = 99;
    body.info.generation = 7;
    body.info.key[1] = 8;
    body.info.worker = 9;
    body.data = (const unsigned char *) "data";
    body.size = 4;

    kmq_place_subject(subject, "q", &body.entry);
    ok(strcmp(subject, "kapokmq.q.3.5.12345678901") == 0, "a slot's subject");
    read = body_of(&body, subject);

    ok(read.entry.kind == KMQ_ENTRY_APPEND && read.entry.epoch == 3
       && read.entry.writer == 5 && read.entry.slot == 12345678901
       && read.entry.seq == 77, "its entry");
    ok(read.part == KMQ_PART_BATCH && read.first && !read.last
       && read.fragment == 4096 && read.known == 99, "its part");
    ok(read.info.generation == 7 && read.info.key[1] == 8
       && read.info.worker == 9, "what its records are of");
    is_int(read.size, 4, "its data");

    read = body_of(&body, "kapokmq.q.3.5.12345678902");
    ok(read.entry.kind > KMQ_ENTRY_CLOSE && read.entry.seq == 77,
       "in another place it is nothing");

    body.entry.kind = KMQ_ENTRY_CLAIM;
    kmq_place_subject(subject, "q", &body.entry);
    ok(strcmp(subject, "kapokmq.q.claim.3") == 0, "a claim's subject");
    is_int(body_of(&body, subject).entry.kind, KMQ_ENTRY_CLAIM, "a claim");
}


static void
test_chains(void)
{
    size_t         n;
    kmq_chain_t    chain, read;
    unsigned char  bytes[KMQ_CHAIN_BYTES];

    kmq_chain_init(&chain);
    chain.seq = 100;
    chain.claimed = 4;
    chain.begun = 3;
    chain.writers = KMQ_CHAIN_WRITERS;
    chain.primary.node = 2;
    chain.writer[63].last = 50;
    chain.writer[63].held = UINT64_MAX;
    chain.writer[63].closed = 1;

    n = kmq_chain_write(bytes, &chain);
    is_int(n, KMQ_CHAIN_BYTES, "a chain's bytes");
    is_int(kmq_chain_load(&read, bytes, n), 0, "are read");
    ok(memcmp(&read, &chain, sizeof(chain)) == 0, "and are the same");
    is_int(kmq_chain_load(&read, bytes, n - 1), -1, "not with one less");
    is_int(kmq_chain_load(&read, bytes, 39), -1, "nor with a piece");
}


/* ----------------------------------------------------------- what is shared */

static int
attach(void *arg)
{
    ++*(int *) arg;

    return 1;
}


static void *
other_worker(void *arg)
{
    static int  attached;

    kmq_shared_t  *shared = arg;

    /* dies with its place */
    (void) kmq_shared_attach(shared, kmq_shared_enter(shared), attach,
                             &attached);

    return NULL;
}


static void
test_shared(void)
{
    int            place, attached, i;
    pthread_t      thread;
    kmq_chain_t    chain;
    kmq_lease_t   *lease;
    kmq_shared_t  *shared;

    shared = calloc(1, sizeof(kmq_shared_t));
    lease = calloc(1, sizeof(kmq_lease_t));
    attached = 0;

    is_int(kmq_shared_init(shared), 0, "shared memory");
    place = kmq_shared_enter(shared);
    is_int(kmq_shared_attach(shared, place, attach, &attached), 0,
           "nothing to attach to");

    kmq_shared_serve(shared, 5);
    is_int(kmq_shared_attach(shared, place, attach, &attached), 5,
           "attached to an epoch");
    is_int(attached, 1, "once");

    ok(!kmq_shared_leave(shared, 5, 10), "no leave yet");
    shared->until = 11;
    ok(kmq_shared_leave(shared, 5, 10), "leave");
    ok(!kmq_shared_leave(shared, 5, 11), "until then");
    ok(!kmq_shared_leave(shared, 4, 10), "for that epoch");

    (void) pthread_create(&thread, NULL, other_worker, shared);
    (void) pthread_join(thread, NULL);
    is_int(kmq_shared_barrier(shared), 1, "a barrier");
    is_int(kmq_shared_passed(shared, 1), 0, "is not passed");
    kmq_shared_pass(shared, place, 1);
    is_int(kmq_shared_passed(shared, 1), 1,
           "it is, by all that live");

    for (i = 0; i < KMQ_CHAIN_WRITERS; i++) {
        if (kmq_shared_writer(shared, 5, 0) != i) {
            break;
        }
    }

    is_int(i, KMQ_CHAIN_WRITERS, "each writer once");
    is_int(kmq_shared_writer(shared, 5, 0), -1, "and no more");
    is_int(kmq_shared_writer(shared, 6, 0), -1, "none of another epoch");
    kmq_shared_stop(shared);
    ok(!kmq_shared_leave(shared, 5, 10), "no leave when it is over");

    is_int(kmq_shared_chain(shared, &chain), -1, "no chain");
    lease->chain.seq = 9;
    kmq_shared_keep(shared, lease);
    is_int(kmq_shared_chain(shared, &chain), 0, "a chain");
    is_int(chain.seq, 9, "as it was kept");

    free(lease);
    free(shared);
}


/* ------------------------------------------------------------------ files */

static kmq_chain_t  files_chain;
static kmq_files_t  files;


static void
nothing(void *arg, int level, const char *text)
{
    (void) arg;
    (void) level;
    (void) text;
}


static kmq_chain_e
shows(kmq_body_t *body)
{
    kmq_chain_e  what;

    body->entry.seq = files_chain.seq + 1;
    what = kmq_chain_read(&files_chain, &body->entry);
    kmq_files_entry(&files, &files_chain, what, body,
                    body->entry.seq * 1000, 1);

    return what;
}


/* A record of that number, of counts, which the file's reader finds again. */
static void
record(kmq_buffer_t *out, uint64_t lsn)
{
    uint64_t  number[2] = { 1, 2 };

    out->len = 0;
    (void) kmq_record_numbers(out, lsn, KMQ_RECORD_END, 0, 1, NULL, 0, number,
                              2);
    kmq_records_seal(out->data, out->len);
}


static void
append(uint64_t slot, uint64_t lsn, kmq_chain_e want, const char *name)
{
    kmq_body_t           body;
    static kmq_buffer_t  records;

    record(&records, lsn);
    memset(&body, 0, sizeof(body));

    body.entry.kind = KMQ_ENTRY_APPEND;
    body.entry.epoch = 1;
    body.entry.slot = slot;
    body.part = KMQ_PART_BATCH;
    body.first = 1;
    body.last = 1;
    body.fragment = 1000;
    body.info.generation = 1;
    body.data = records.data;
    body.size = records.len;

    is_int(shows(&body), want, "%s", name);
}


static void
other(kmq_entry_kind_e kind, uint64_t slot, uint32_t by)
{
    kmq_body_t  body;

    memset(&body, 0, sizeof(body));
    body.entry.kind = (uint8_t) kind;
    body.entry.epoch = 1;
    body.entry.writers = 2;
    body.entry.slot = slot;
    body.entry.by = by;
    (void) shows(&body);
}


typedef struct {
    const char  *dir;
    unsigned     places;
    uint64_t     sum;
} found_t;


static void
file_found(void *arg, const char *name)
{
    found_t        *found = arg;
    char            path[KMQ_PATH_SIZE];
    uint64_t        generation;
    kmq_record_t    r;
    kmq_reader_t    reader;

    if (kmq_file_kind(name, &generation) != KMQ_FILE_JOURNAL) {
        return;
    }

    (void) snprintf(path, sizeof(path), "%s/%s", found->dir, name);
    (void) kmq_reader_open(&reader, path, KMQ_FILE_JOURNAL, generation, NULL,
                           NULL);

    while (kmq_reader_next(&reader, &r) == 1) {
        found->places += r.type == KMQ_RECORD_PLACE;
        found->sum += r.type == KMQ_RECORD_PLACE ? 0 : r.lsn;
    }

    kmq_reader_close(&reader);
}


static found_t
look(const char *dir)
{
    found_t  found = { dir, 0, 0 };

    (void) kmq_io_system.list(&kmq_io_system, dir, file_found, &found);

    return found;
}


static void
test_files(void)
{
    char     dir[KMQ_PATH_SIZE];
    found_t  found;

    du_directory(dir, "replica");

    is_int(kmq_files_open(&files, dir, 0, NODE, 1, nothing, NULL), 0,
           "a directory without files");
    ok(!files.foreign, "which is nobody's");
    kmq_chain_init(&files_chain);

    other(KMQ_ENTRY_CLAIM, 0, 0);
    other(KMQ_ENTRY_BEGIN, 0, 0);
    append(1, 10, KMQ_CHAIN_COUNTS, "a batch");
    append(3, 30, KMQ_CHAIN_HELD_BACK, "one before its turn");
    is_int(files.half, 1, "it is held");
    is_int(kmq_files_flush(&files, 5), 0, "flushed");
    is_int(files.state.chain.seq, 3, "up to what nothing is held before");
    append(2, 20, KMQ_CHAIN_COUNTS, "the one that was missing");
    append(5, 50, KMQ_CHAIN_HELD_BACK, "one that never has its turn");
    other(KMQ_ENTRY_CLOSE, 4, 2);
    is_int(files.half, 0, "nothing is held behind a closing");
    is_int(kmq_files_flush(&files, 50), 0, "flushed again");

    found = look(dir);
    is_int(found.places, 3, "three batches with their places");
    is_int((int) found.sum, 60, "are what counts");
    kmq_files_close(&files);

    is_int(kmq_files_open(&files, dir, 0, NODE, 1, nothing, NULL), 0,
           "read again");
    ok(!files.foreign, "they are a node's");
    ok(memcmp(&files.state.chain, &files_chain, sizeof(kmq_chain_t)) == 0,
       "up to where they were");
    is_int((int) files.reach, 50, "and what was known");
    is_int(files.state.npast, 1, "an epoch has a closing");

    is_int(kmq_files_aside(&files), 0, "set aside");
    is_int((int) look(dir).places, 0, "nothing is left");
    is_int((int) files.state.chain.seq, 0, "and it begins again");
    kmq_files_close(&files);
}


int
main(void)
{
    du_begin();

    test_entries();
    test_chains();
    test_shared();
    test_files();

    return done_testing();
}
