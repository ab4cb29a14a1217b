/* A node does what its lease wants. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "../nats/kmq_jetstream.h"
#include "kmq_node_inside.h"


#define ACT_ANSWER  400        /* ms */


/* ----------------------------------------------------------------- writing */

/* Nobody waits for an answer: what was read counts. */
static void
act_publish(kmq_node_t *n, const kmq_body_t *body, const void *data,
    size_t size)
{
    char              subject[KMQ_PLACE_MAX];
    unsigned char    *bytes;
    kmq_js_expect_t   expect;

    bytes = malloc(KMQ_BODY_HEAD + size);

    if (bytes == NULL) {
        return;
    }

    kmq_body_write(bytes, body);

    if (size) {
        memcpy(bytes + KMQ_BODY_HEAD, data, size);
    }

    kmq_place_subject(subject, n->options.name, &body->entry);
    kmq_js_expect(&expect, 0);

    (void) kmq_nats_link_publish(n->link, subject, NULL, &expect.header, 1,
                                 bytes, KMQ_BODY_HEAD + size);
    free(bytes);
}


static void
act_write(kmq_node_t *n, const kmq_entry_t *entry)
{
    kmq_body_t  body;

    memset(&body, 0, sizeof(body));
    body.entry = *entry;
    body.known = n->lease.known;

    if (entry->kind == KMQ_ENTRY_CLAIM) {
        n->called = n->lease.called;
        n->silent = n->lease.heard;

        if (entry->epoch != n->claims) {
            n->claims = entry->epoch;
            kmq_node_log(n, KMQ_LOG_INFO, "this node claims epoch %u",
                         entry->epoch);
        }
    }

    act_publish(n, &body, NULL, 0);
}


static void
act_ask(kmq_node_t *n, uint64_t ask)
{
    uint64_t  end;

    if (n->times == 0 && !n->lagging) {
        return;
    }

    end = kmq_node_look(n, kmq_nats_now() + ACT_ANSWER);

    if (end != UINT64_MAX) {
        kmq_lease_end(&n->lease, ask, end);
    }
}


/* -------------------------------------------------------------- the files' */

typedef struct {
    kmq_node_t  *node;
    unsigned     sent;
} act_tail_t;


/* Appends records of a journal again, in the slots that they were for. */
static void
act_tail_batch(act_tail_t *tail, int fd, const kmq_reader_t *reader,
    const kmq_record_t *r)
{
    size_t          bytes, at, piece;
    uint64_t        number, slot, slots;
    kmq_body_t      body;
    kmq_node_t     *n;
    unsigned char  *data;

    n = tail->node;
    memset(&body, 0, sizeof(body));

    number = kmq_record_number(r, KMQ_PLACE_WRITER);
    body.entry.kind = KMQ_ENTRY_APPEND;
    body.entry.epoch = (uint32_t) (number >> 32);
    body.entry.writer = (uint16_t) number;

    number = kmq_record_number(r, KMQ_PLACE_SLOTS);
    slot = kmq_record_number(r, KMQ_PLACE_SLOT);
    slots = number >> 32;
    piece = (size_t) (number & UINT32_MAX);
    bytes = (size_t) kmq_record_number(r, KMQ_PLACE_BYTES);

    if (kmq_record_number(r, KMQ_PLACE_WHO) >> 32 != n->options.node
        || body.entry.epoch != n->lease.chain.begun
        || body.entry.writer >= n->lease.chain.writers
        || n->lease.chain.writer[body.entry.writer].closed
        || kmq_chain_counts(&n->lease.chain, body.entry.writer,
                            slot + slots - 1)
        || piece == 0 || bytes == 0 || slots != (bytes + piece - 1) / piece)
    {
        return;
    }

    data = malloc(bytes);

    if (data
        && pread(fd, data, bytes, (off_t) (reader->offset + reader->used))
           == (ssize_t) bytes)
    {
        body.part = KMQ_PART_BATCH;
        body.fragment = (uint32_t) piece;
        body.known = kmq_record_number(r, KMQ_PLACE_KNOWN);
        body.info = reader->head.info;

        for (at = 0; at < bytes; at += piece) {
            body.entry.slot = slot++;
            body.first = at == 0;
            body.last = bytes - at <= piece;

            act_publish(n, &body, data + at,
                        body.last ? bytes - at : piece);
            tail->sent++;
        }
    }

    free(data);
}


static void
act_tail_file(void *arg, const char *name)
{
    act_tail_t  *tail = arg;

    int            fd;
    char           path[KMQ_PATH_SIZE];
    uint64_t       generation;
    kmq_record_t   r;
    kmq_reader_t   reader;

    if (kmq_file_kind(name, &generation) != KMQ_FILE_JOURNAL
        || snprintf(path, sizeof(path), "%s/%s", tail->node->options.dir,
                    name)
           >= (int) sizeof(path)
        || kmq_reader_open(&reader, path, KMQ_FILE_JOURNAL, generation, NULL,
                           NULL)
           < 0)
    {
        return;
    }

    fd = open(path, O_RDONLY|O_NOFOLLOW|O_CLOEXEC);

    while (fd != -1 && kmq_reader_next(&reader, &r) == 1) {
        if (r.type == KMQ_RECORD_PLACE) {
            act_tail_batch(tail, fd, &reader, &r);
        }
    }

    if (fd != -1) {
        (void) close(fd);
    }

    kmq_reader_close(&reader);
}


/* What this node's files have, and the stream lacks. */
static void
act_tail(kmq_node_t *n)
{
    act_tail_t  tail;

    tail.node = n;
    tail.sent = 0;

    (void) kmq_io_system.list(&kmq_io_system, n->options.dir, act_tail_file,
                              &tail);

    kmq_node_log(n, KMQ_LOG_WARN, "%u entries that only this node's files have "
                 "were appended to the stream again", tail.sent);
}


/* ---------------------------------------------------------------- the block */

/* Nobody uses it. */
static int
act_empty(kmq_node_t *n)
{
    long            page;
    uintptr_t       begin, end, first, last;
    unsigned char   seed[KMQ_SEED_LEN];
    unsigned char  *block;

    if (n->shared->dirty) {
        block = n->options.block;
        page = sysconf(_SC_PAGESIZE);
        begin = (uintptr_t) block;
        end = begin + n->options.block_size;
        first = (begin + (uintptr_t) page - 1) / (uintptr_t) page
                * (uintptr_t) page;
        last = end / (uintptr_t) page * (uintptr_t) page;

        if (last <= first
            || madvise((void *) first, last - first, MADV_REMOVE) == -1)
        {
            memset(block, 0, n->options.block_size);

        } else {
            memset(block, 0, first - begin);
            memset((void *) last, 0, end - last);
        }
    }

    if (getrandom(seed, sizeof(seed), 0) != (ssize_t) sizeof(seed)
        || kmq_block_init(n->options.block, n->options.block_size, seed)
           != KMQ_OK)
    {
        return -1;
    }

    n->shared->dirty = 0;

    return 0;
}


/* In a thread: it may take long, and others are to hear of us. */
static void
act_recover_job(void *arg)
{
    kmq_node_t  *n = arg;

    kmq_recovery_t   rc;
    struct timespec  mono;

    memset(&rc, 0, sizeof(rc));
    (void) clock_gettime(CLOCK_MONOTONIC, &mono);

    rc.dir = n->options.dir;
    rc.block = n->options.block;
    rc.size = n->options.block_size;
    rc.mono = (uint64_t) mono.tv_sec * 1000 + (uint64_t) mono.tv_nsec / 1000000;
    rc.wall = kmq_file_now();
    rc.log = n->options.log;
    rc.arg = n->options.arg;

    if (act_empty(n) != 0) {
        n->recovered = -1;
        return;
    }

    n->shared->dirty = 1;
    n->recovered = kmq_recover(&rc) == 0 ? 1 : -1;

    if (n->recovered == 1) {
        kmq_node_log(n, KMQ_LOG_INFO, "recovered: %llu waiting, %llu delayed, "
                     "%llu dead, %llu consumed messages; %llu records of %u "
                     "file(s)", (unsigned long long) rc.restored.ready,
                     (unsigned long long) rc.restored.delayed,
                     (unsigned long long) rc.restored.dead,
                     (unsigned long long) rc.restored.consumed,
                     (unsigned long long) rc.records, rc.files);
    }
}


static void
act_recover(kmq_node_t *n)
{
    if (n->recovering) {
        return;
    }

    if (!n->recovery.started && kmq_thread_start(&n->recovery, -1) != 0) {
        return;
    }

    /* files have all that was read, and nothing else */

    if (n->files.own_void || n->files.half || n->files.jumped
        || kmq_files_flush(&n->files, n->lease.known) != 0
        || kmq_shared_attached(n->shared, 1))
    {
        kmq_node_log(n, KMQ_LOG_WARN, "this node cannot become primary: its "
                     "files are not complete");
        kmq_node_begin(n);
        return;
    }

    n->recovering = n->lease.epoch;
    n->recovered = 0;
    kmq_thread_run(&n->recovery, act_recover_job, n);
}


static void
act_recovered(kmq_node_t *n)
{
    uint32_t  epoch;

    if (n->recovering == 0 || kmq_thread_busy(&n->recovery)) {
        return;
    }

    epoch = n->recovering;
    n->recovering = 0;

    if (n->recovered == 1) {
        kmq_lease_recovered(&n->lease, epoch);
        return;
    }

    if (n->lease.role == KMQ_LEASE_RECOVERING) {
        kmq_node_log(n, KMQ_LOG_ERROR, "this node cannot become primary");
        n->lease.rests = kmq_nats_now() + n->lease.config.rest;
        kmq_node_begin(n);
    }
}


/* ------------------------------------------------------------------ serving */

static void
act_serve(kmq_node_t *n, uint32_t epoch)
{
    if (epoch < n->lease.epoch || !kmq_node_serves(n)) {
        return;
    }

    memset(n->sent, 0, sizeof(n->sent));
    kmq_chain_init(&n->covered);
    n->having = 0;
    n->frozen = 0;
    n->purge = 0;

    /* others have nothing of it before there is a checkpoint */
    n->shared->renew = n->files.state.seeder == n->options.node + 1;

    kmq_shared_serve(n->shared, epoch);
}


/* The node's own writer, for empty batches. */
static int
act_keeper(kmq_node_t *n)
{
    if (n->keeps != -1 && n->keep.writer.epoch == n->lease.epoch) {
        return 0;
    }

    kmq_appends_close(&n->keep);
    n->keeps = kmq_shared_writer(n->shared, n->lease.epoch, 1);

    if (n->keeps == -1) {
        return -1;
    }

    return kmq_appends_open(&n->keep, n->link, n->options.name,
                            n->lease.epoch, (unsigned) n->keeps);
}


static void
act_keep(kmq_node_t *n)
{
    kmq_body_t  body;

    if (!kmq_node_serves(n) || act_keeper(n) != 0
        || kmq_appends_pending(&n->keep))
    {
        return;
    }

    memset(&body, 0, sizeof(body));
    body.first = 1;
    body.last = 1;
    body.known = n->lease.known;

    (void) kmq_appends_add(&n->keep, &body);
}


static void
act_kept(kmq_node_t *n)
{
    if (!kmq_node_serves(n) || n->keeps == -1
        || n->keep.writer.epoch != n->lease.epoch)
    {
        return;
    }

    (void) kmq_appends_tend(&n->keep);

    if (n->keep.writer.done) {
        kmq_lease_acked(&n->lease, n->keep.writer.epoch, n->keep.writer.sent,
                        n->keep.writer.seq);
    }

    if (n->keep.writer.closed) {
        kmq_lease_closed(&n->lease, n->keep.writer.epoch);
    }
}


/* --------------------------------------------------------------- letting go */

static void
act_depose(kmq_node_t *n, uint32_t epoch)
{
    kmq_node_log(n, KMQ_LOG_WARN, "this node is not primary any more (epoch "
                 "%u)", epoch);

    kmq_shared_stop(n->shared);
    kmq_appends_close(&n->keep);
    n->keeps = -1;
    n->letting = 1;
    n->let = kmq_nats_now();
}


/* Once no worker is attached any more the block is nobody's, and the node reads
 * on as a standby. */
static void
act_let_go(kmq_node_t *n)
{
    if (!n->letting || n->recovering || kmq_shared_attached(n->shared, 1)) {
        return;
    }

    n->letting = 0;

    (void) act_empty(n);
    kmq_lease_let_go(&n->lease);

    /* workers have written what may not count */

    kmq_files_close(&n->files);

    if (kmq_files_open(&n->files, n->options.dir, n->options.reserve,
                       n->options.node, 1, n->options.log, n->options.arg)
        != 0)
    {
        /* what is read cannot be written: it is tried again */
        n->letting = 1;
        return;
    }

    kmq_node_begin(n);
    kmq_node_log(n, KMQ_LOG_INFO, "this node is a standby, with entries up to "
                 "%llu", (unsigned long long) n->lease.chain.seq);
}


/* ------------------------------------------------------------------ actions */

static void
act_block(kmq_node_t *n, uint32_t node)
{
    int  own;

    if (node == KMQ_NOBODY) {
        kmq_node_log(n, KMQ_LOG_ERROR, "stream \"%s\" lacks what nodes had of "
                     "it; nobody becomes primary before all nodes were heard",
                     n->options.name);
        return;
    }

    own = node == n->options.node;

    kmq_node_log(n, KMQ_LOG_ERROR, "stream \"%s\" lacks what nodes had of it; "
                 "the files of node %u (%s) reach furthest: \"touch %s/seed\" "
                 "there, and a new stream is made from them",
                 n->options.name, node + 1,
                 own ? n->options.node_name : n->status.peer[node].name,
                 own ? n->options.dir : "PERSISTENTFILE");
}


static void
act_one(kmq_node_t *n, const kmq_lease_action_t *action)
{
    switch (action->kind) {

    case KMQ_LEASE_NEWS:
        kmq_node_beat(n, &action->news);
        break;

    case KMQ_LEASE_ASK:
        act_ask(n, action->ask);
        break;

    case KMQ_LEASE_WRITE:
        act_write(n, &action->entry);
        break;

    case KMQ_LEASE_TAIL:
        act_tail(n);
        break;

    case KMQ_LEASE_RECOVER:
        act_recover(n);
        break;

    case KMQ_LEASE_SERVE:
        act_serve(n, action->entry.epoch);
        break;

    case KMQ_LEASE_KEEP:
        act_keep(n);
        break;

    case KMQ_LEASE_PAUSE:
        kmq_node_log(n, KMQ_LOG_WARN, "the stream does not acknowledge: "
                     "nothing is pushed until it does");
        break;

    case KMQ_LEASE_RESUME:
        kmq_node_log(n, KMQ_LOG_INFO, "the stream acknowledges again");
        break;

    case KMQ_LEASE_DEPOSE:
        act_depose(n, action->entry.epoch);
        break;

    case KMQ_LEASE_BLOCK:
        act_block(n, action->node);
        break;
    }
}


void
kmq_node_act(kmq_node_t *n)
{
    kmq_lease_action_t  action;

    while (kmq_lease_next(&n->lease, &action)) {
        act_one(n, &action);
    }
}


void
kmq_node_go_on(kmq_node_t *n)
{
    act_recovered(n);
    act_let_go(n);
    act_kept(n);
    kmq_node_purge(n);
    kmq_node_act(n);
}
