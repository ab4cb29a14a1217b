/* What a node is made of, without a server: entries as messages, chains as
 * bytes, what processes share, files that a follower keeps. */

#include "../../src/replica/kmq_files.h"
#include "../../src/replica/kmq_pack.h"
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


/* Entries of a size, of data that is alike, or not at all: packed and read; and
 * then with each byte of what was packed changed. */
static void
test_pack(size_t size, int alike, kmq_part_e part, int packs)
{
    int                 rc, same;
    char                subject[KMQ_PLACE_MAX];
    size_t              i, n;
    uint32_t            random = 1;
    kmq_body_t          body, read;
    kmq_buffer_t        buffer;
    unsigned char      *data, *bytes;
    kmq_nats_text_t     text, payload;

    data = malloc(size + 1);
    bytes = malloc(KMQ_BODY_HEAD + size);

    for (i = 0; i < size; i++) {
        random = random * 1103515245 + 12345;
        data[i] = (unsigned char) (alike ? i % 61 : random >> 16);
    }

    memset(&buffer, 0, sizeof(buffer));
    memset(&body, 0, sizeof(body));
    body.entry.kind = KMQ_ENTRY_APPEND;
    body.entry.slot = 1;
    body.part = part;
    body.data = data;
    body.size = size;

    kmq_place_subject(subject, "q", &body.entry);
    n = kmq_pack(bytes, &body);
    ok(packs ? n < KMQ_BODY_HEAD + size / 2 : n == KMQ_BODY_HEAD + size,
       "%zu bytes in an entry of %zu", size, n);

    text = KMQ_NATS_TEXT(subject);
    payload.bytes = bytes;
    payload.len = n;
    kmq_body_read(&read, "q", 1, &text, &payload);

    is_int(read.packed, packs ? (long) size : 0, "which says so");
    is_int(kmq_unpack(&read, &buffer), 0, "unpacked");
    ok(read.size == size && memcmp(read.data, data, size) == 0,
       "it is what it was");
    is_int(kmq_unpack(&read, &buffer), 0, "and stays so");

    for (i = KMQ_BODY_HEAD; packs && i < n; i++) {
        bytes[i] ^= 0xff;
        kmq_body_read(&read, "q", 1, &text, &payload);
        rc = kmq_unpack(&read, &buffer);
        same = rc == 0 && read.size == size;
        bytes[i] ^= 0xff;

        if (rc != -1 && !same) {
            break;
        }
    }

    ok(!packs || i == n, "a damaged one is of that size, or none");

    bytes[84] ^= 1;
    kmq_body_read(&read, "q", 1, &text, &payload);
    is_int(kmq_unpack(&read, &buffer), packs ? -1 : 0,
           "the size that it has unpacked counts");
    bytes[87] = 0xff;
    kmq_body_read(&read, "q", 1, &text, &payload);
    is_int(kmq_unpack(&read, &buffer), packs ? -1 : 0, "and has a bound");

    kmq_buffer_free(&buffer);
    free(bytes);
    free(data);
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


/* Records from that number on, of counts, which the file's reader finds
 * again. */
static void
records_of(kmq_buffer_t *out, uint64_t lsn, unsigned n)
{
    unsigned  i;
    uint64_t  number[2] = { 1, 2 };

    out->len = 0;

    for (i = 0; i < n; i++) {
        (void) kmq_record_numbers(out, lsn + i, KMQ_RECORD_END, 0, 1, NULL, 0,
                                  number, 2);
    }

    kmq_records_seal(out->data, out->len);
}


/* A batch of records as it comes from the stream. */
static void
append(uint64_t slot, uint64_t lsn, unsigned n, kmq_chain_e want,
    const char *name)
{
    char                 subject[KMQ_PLACE_MAX];
    kmq_body_t           body;
    kmq_nats_text_t      text, payload;
    static kmq_buffer_t  records;
    static unsigned char bytes[8192];

    records_of(&records, lsn, n);
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

    kmq_place_subject(subject, "q", &body.entry);
    text = KMQ_NATS_TEXT(subject);
    payload.bytes = bytes;
    payload.len = kmq_pack(bytes, &body);
    kmq_body_read(&body, "q", 0, &text, &payload);
    is_int(body.packed, n > 1 ? (long) records.len : 0, "%s: packed", name);

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
    append(1, 10, 1, KMQ_CHAIN_COUNTS, "a batch");
    append(3, 30, 40, KMQ_CHAIN_HELD_BACK, "one before its turn");
    is_int(files.half, 1, "it is held");
    is_int(kmq_files_flush(&files, 5), 0, "flushed");
    is_int(files.state.chain.seq, 3, "up to what nothing is held before");
    append(2, 20, 1, KMQ_CHAIN_COUNTS, "the one that was missing");
    append(5, 70, 40, KMQ_CHAIN_HELD_BACK, "one that never has its turn");
    other(KMQ_ENTRY_CLOSE, 4, 2);
    is_int(files.half, 0, "nothing is held behind a closing");
    is_int(kmq_files_flush(&files, 50), 0, "flushed again");

    found = look(dir);
    is_int(found.places, 3, "three batches with their places");
    is_int((int) found.sum, 10 + 20 + 40 * (30 + 69) / 2, "are what counts");
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
    test_pack(0, 1, KMQ_PART_NONE, 0);
    test_pack(300, 1, KMQ_PART_BATCH, 0);
    test_pack(20000, 1, KMQ_PART_BATCH, 1);
    test_pack(20000, 0, KMQ_PART_BATCH, 0);
    test_pack(1 << 20, 1, KMQ_PART_CHECKPOINT, 1);
    test_pack(2000, 1, KMQ_PART_MARK, 0);
    test_chains();
    test_shared();
    test_files();

    return done_testing();
}
