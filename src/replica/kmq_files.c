/* The files of a node: kmq_files.h. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../engine/journal/kmq_crc32c.h"
#include "kmq_files.h"
#include "kmq_pack.h"


/* An entry that came before its turn. */
typedef struct files_held_s  files_held_t;

struct files_held_s {
    files_held_t   *next;
    kmq_body_t      body;
    unsigned char   data[];
};

struct kmq_files_writer_s {
    kmq_segment_t        segment;
    kmq_buffer_t         part;         /* of a batch */
    kmq_journal_info_t   info;
    uint64_t             slot;         /* its first */
    unsigned             begun:1;
    files_held_t        *held;
};


/* ------------------------------------------------------------- "stream" */

/*
 * Two places, of which the one that was written later counts:
 *
 *      0  "KMQS"    4       32  known     8
 *      4  CRC-32C   4       40  differs   4
 *      8  counter   8       44  past's    4
 *     16  time      8
 *     24  created   8       48  chain's bytes, 4; seeder, 4; the chain; past:
 *                               epoch 4, before 8
 */
#define STATE_SIZE   4096
#define STATE_HEAD   56


static void
state_path(const kmq_files_t *files, char path[KMQ_PATH_SIZE])
{
    (void) snprintf(path, KMQ_PATH_SIZE, "%s/stream", files->dir);
}


static void
state_write(unsigned char p[STATE_SIZE], const kmq_files_state_t *state,
    uint64_t counter)
{
    size_t    n;
    unsigned  i;

    memset(p, 0, STATE_SIZE);
    memcpy(p, "KMQS", 4);

    kmq_put64(p + 8, counter);
    kmq_put64(p + 16, state->time);
    kmq_put64(p + 24, state->created);
    kmq_put64(p + 32, state->known);
    kmq_put32(p + 40, state->differs);
    kmq_put32(p + 44, state->npast);

    n = kmq_chain_write(p + STATE_HEAD, &state->chain);
    kmq_put32(p + 48, (uint32_t) n);
    kmq_put32(p + 52, state->seeder);
    n += STATE_HEAD;

    for (i = 0; i < state->npast; i++) {
        kmq_put32(p + n, state->past[i].epoch);
        kmq_put64(p + n + 4, state->past[i].before);
        n += 12;
    }

    kmq_put32(p + 4, kmq_crc32c(0, p + 8, STATE_SIZE - 8));
}


/* The counter; 0: it is none. */
static uint64_t
state_read(kmq_files_state_t *state, const unsigned char p[STATE_SIZE])
{
    size_t    n;
    unsigned  i;

    if (memcmp(p, "KMQS", 4) != 0
        || kmq_get32(p + 4) != kmq_crc32c(0, p + 8, STATE_SIZE - 8))
    {
        return 0;
    }

    memset(state, 0, sizeof(kmq_files_state_t));

    state->time = kmq_get64(p + 16);
    state->created = kmq_get64(p + 24);
    state->known = kmq_get64(p + 32);
    state->differs = kmq_get32(p + 40);
    state->npast = kmq_get32(p + 44);
    state->seeder = kmq_get32(p + 52);
    n = kmq_get32(p + 48);

    if (n > KMQ_CHAIN_BYTES || state->npast > KMQ_FILES_PAST
        || kmq_chain_load(&state->chain, p + STATE_HEAD, n) != 0)
    {
        return 0;
    }

    n += STATE_HEAD;

    for (i = 0; i < state->npast; i++) {
        state->past[i].epoch = kmq_get32(p + n);
        state->past[i].before = kmq_get64(p + n + 4);
        n += 12;
    }

    return kmq_get64(p + 8);
}


static int
files_cannot(kmq_files_t *files, const char *what, int error)
{
    if (!files->failed) {
        kmq_log(files->log, files->arg, KMQ_LOG_ERROR, "%s in \"%s\" failed: "
                "%s", what, files->dir, strerror(error));
    }

    files->failed = 1;

    return -1;
}


int
kmq_files_save(kmq_files_t *files)
{
    int            rc;
    char           path[KMQ_PATH_SIZE];
    unsigned char  p[STATE_SIZE];

    if (files->fd == -1) {
        state_path(files, path);
        files->fd = open(path, O_RDWR|O_CREAT|O_NOFOLLOW|O_CLOEXEC, 0600);

        if (files->fd == -1) {
            return files_cannot(files, "creating \"stream\"", errno);
        }

        rc = files->io->sync_dir(files->io, files->dir);
        if (rc < 0) {
            return files_cannot(files, "writing the name of \"stream\"", -rc);
        }
    }

    state_write(p, &files->state, ++files->counter);

    if (pwrite(files->fd, p, STATE_SIZE,
               (off_t) (files->counter % 2) * STATE_SIZE)
        != STATE_SIZE)
    {
        return files_cannot(files, "writing \"stream\"", errno);
    }

    if (fdatasync(files->fd) == -1) {
        return files_cannot(files, "flushing \"stream\"", errno);
    }

    return 0;
}


/* 1: there is one; 0: there is none; -1. */
static int
state_load(kmq_files_t *files)
{
    int                 i;
    char                path[KMQ_PATH_SIZE];
    uint64_t            counter;
    unsigned char       p[STATE_SIZE];
    kmq_files_state_t   state;

    state_path(files, path);
    files->fd = open(path, O_RDWR|O_NOFOLLOW|O_CLOEXEC);

    if (files->fd == -1) {
        return errno == ENOENT ? 0
               : files_cannot(files, "opening \"stream\"", errno);
    }

    for (i = 0; i < 2; i++) {

        if (pread(files->fd, p, STATE_SIZE, (off_t) i * STATE_SIZE)
            != STATE_SIZE)
        {
            continue;
        }

        counter = state_read(&state, p);

        if (counter > files->counter) {
            files->counter = counter;
            files->state = state;
        }
    }

    return files->counter != 0;
}


/* --------------------------------------------------------- what is there */

typedef struct {
    kmq_files_t  *files;
    unsigned      found;
    int           rc;
} files_scan_t;


static void
files_place(kmq_files_t *files, const kmq_record_t *r)
{
    unsigned   writer;
    uint32_t   epoch;
    uint64_t   known, last;

    known = kmq_record_number(r, KMQ_PLACE_KNOWN);

    if (known > files->reach) {
        files->reach = known;
    }

    if (kmq_record_number(r, KMQ_PLACE_WHO) >> 32 != files->node) {
        return;
    }

    epoch = (uint32_t) (kmq_record_number(r, KMQ_PLACE_WRITER) >> 32);
    writer = (unsigned) (kmq_record_number(r, KMQ_PLACE_WRITER) & UINT32_MAX);

    last = kmq_record_number(r, KMQ_PLACE_SLOT)
           + (kmq_record_number(r, KMQ_PLACE_SLOTS) >> 32) - 1;

    if (epoch < files->own_epoch || writer >= KMQ_CHAIN_WRITERS) {
        return;
    }

    if (epoch > files->own_epoch) {
        files->own_epoch = epoch;
        memset(files->own_last, 0, sizeof(files->own_last));
    }

    if (last > files->own_last[writer]) {
        files->own_last[writer] = last;
    }
}


static void
files_scan_one(void *arg, const char *name)
{
    files_scan_t  *scan = arg;

    int             rc;
    char            path[KMQ_PATH_SIZE];
    unsigned        kind;
    uint64_t        generation;
    kmq_files_t    *files;
    kmq_record_t    r;
    kmq_reader_t    reader;

    files = scan->files;
    kind = kmq_file_kind(name, &generation);

    if (kind == KMQ_FILE_CHECKPOINT && generation > files->complete) {
        files->complete = generation;
    }

    if (kind != KMQ_FILE_NONE && kind != KMQ_FILE_NEW) {
        scan->found++;
    }

    if (kind != KMQ_FILE_JOURNAL
        || snprintf(path, sizeof(path), "%s/%s", files->dir, name)
           >= (int) sizeof(path))
    {
        return;
    }

    rc = kmq_reader_open(&reader, path, kind, generation, NULL, NULL);

    if (rc < 0) {
        scan->rc = files_cannot(files, "reading a journal", -rc);
        return;
    }

    while ((rc = kmq_reader_next(&reader, &r)) == 1) {
        if (r.type == KMQ_RECORD_PLACE) {
            files_place(files, &r);
        }
    }

    kmq_reader_close(&reader);

    if (rc < 0) {
        scan->rc = files_cannot(files, "reading a journal", -rc);
    }
}


static int
files_scan(kmq_files_t *files, int state)
{
    files_scan_t  scan;

    scan.files = files;
    scan.found = 0;
    scan.rc = files->io->list(files->io, files->dir, files_scan_one, &scan);

    if (scan.rc < 0) {
        return files_cannot(files, "reading files", -scan.rc);
    }

    files->foreign = !state && scan.found;

    return 0;
}


int
kmq_files_open(kmq_files_t *files, const char *dir, uint64_t reserve,
    uint32_t node, int scan, kmq_log_t log, void *arg)
{
    int       rc;
    unsigned  i;

    memset(files, 0, sizeof(kmq_files_t));

    files->io = &kmq_io_system;
    files->dir = dir;
    files->reserve = reserve;
    files->node = node;
    files->log = log;
    files->arg = arg;
    files->fd = -1;

    files->writer = calloc(KMQ_CHAIN_WRITERS, sizeof(kmq_files_writer_t));

    if (files->writer == NULL) {
        return files_cannot(files, "memory for what is", ENOMEM);
    }

    for (i = 0; i < KMQ_CHAIN_WRITERS; i++) {
        kmq_segment_init(&files->writer[i].segment, files->io, dir, reserve);
    }

    rc = state_load(files);

    if (rc < 0 || (scan && files_scan(files, rc) != 0)) {
        return -1;
    }

    files->clean = files->state;

    if (files->state.known > files->reach) {
        files->reach = files->state.known;
    }

    return 0;
}


/* ------------------------------------------------------------ what is open */

static void
files_held_free(kmq_files_t *files, kmq_files_writer_t *writer)
{
    files_held_t  *held;

    while (writer->held) {
        held = writer->held;
        writer->held = held->next;
        free(held);
        files->half--;
    }
}


/* Of a batch, some has come. */
static void
files_part_end(kmq_files_t *files, kmq_files_writer_t *writer)
{
    files->half -= writer->begun;
    writer->begun = 0;
    kmq_buffer_free(&writer->part);
}


static void
files_checkpoint_end(kmq_files_t *files)
{
    if (files->checkpointing) {
        kmq_checkpoint_file_abort(&files->checkpoint);
        files->checkpointing = 0;
        files->half--;
    }
}


/* Whatever its writers have begun will not go on. */
static void
files_epoch_end(kmq_files_t *files)
{
    unsigned             i;
    kmq_files_writer_t  *writer;

    for (i = 0; i < KMQ_CHAIN_WRITERS; i++) {
        writer = &files->writer[i];

        files_held_free(files, writer);
        files_part_end(files, writer);
    }

    files_checkpoint_end(files);
}


void
kmq_files_drop(kmq_files_t *files)
{
    unsigned  i;

    files_epoch_end(files);

    for (i = 0; i < KMQ_CHAIN_WRITERS; i++) {
        kmq_segment_close(&files->writer[i].segment);
    }

    files->clean = files->state;
    files->dirty = 0;
    files->failed = 0;
    files->jumped = 0;
}


void
kmq_files_close(kmq_files_t *files)
{
    if (files->writer) {
        kmq_files_drop(files);
        free(files->writer);
    }

    if (files->fd != -1) {
        (void) close(files->fd);
    }

    kmq_buffer_free(&files->plain);

    files->writer = NULL;
    files->fd = -1;
}


/* -------------------------------------------------------------- writing */

/* A batch is whole: it goes to its writer's journal, behind a record of its
 * place. */
static void
files_batch(kmq_files_t *files, unsigned number, const kmq_body_t *body,
    const unsigned char *data, size_t size, uint64_t slot)
{
    int                  rc;
    uint64_t             n[KMQ_PLACE_NUMBERS];
    const char          *what;
    kmq_buffer_t         place;
    kmq_files_writer_t  *writer;

    writer = &files->writer[number];

    if (size < KMQ_RECORD_HEAD || body->info.generation < files->complete) {
        return;
    }

    n[KMQ_PLACE_WRITER] = (uint64_t) body->entry.epoch << 32 | number;
    n[KMQ_PLACE_SLOT] = slot;
    n[KMQ_PLACE_SLOTS] = (body->entry.slot - slot + 1) << 32 | body->fragment;
    n[KMQ_PLACE_BYTES] = size;
    n[KMQ_PLACE_KNOWN] = body->entry.seq;
    n[KMQ_PLACE_WHO] = (uint64_t) UINT32_MAX << 32;

    memset(&place, 0, sizeof(place));
    what = "memory for what is";
    rc = -ENOMEM;

    if (kmq_record_numbers(&place, kmq_get64(data + 8), KMQ_RECORD_PLACE, 0,
                           kmq_get32(data + 20), NULL, 0, n,
                           KMQ_PLACE_NUMBERS)
        == 0)
    {
        kmq_records_seal(place.data, place.len);

        rc = kmq_segment_write(&writer->segment, &body->info, place.data,
                               place.len, 0, &what);
    }

    if (rc == 0) {
        rc = kmq_segment_write(&writer->segment, &body->info, data, size, 0,
                               &what);
    }

    kmq_buffer_free(&place);

    if (rc < 0) {
        (void) files_cannot(files, what, -rc);
    }

    files->dirty = 1;
}


/* A piece of one that does not fit into an entry. */
static void
files_piece(kmq_files_t *files, const kmq_body_t *body)
{
    unsigned char       *p;
    kmq_files_writer_t  *writer;

    writer = &files->writer[body->entry.writer];

    if (body->first) {
        files_part_end(files, writer);

        if (body->last) {
            files_batch(files, body->entry.writer, body, body->data,
                        body->size, body->entry.slot);
            return;
        }

        writer->begun = 1;
        writer->slot = body->entry.slot;
        files->half++;

    } else if (!writer->begun) {
        /* its beginning was given up */
        return;
    }

    p = kmq_buffer_room(&writer->part, body->size);

    if (p == NULL) {
        (void) files_cannot(files, "memory for what is", ENOMEM);
        return;
    }

    memcpy(p, body->data, body->size);
    writer->part.len += body->size;

    if (body->last) {
        files_batch(files, body->entry.writer, body, writer->part.data,
                    writer->part.len, writer->slot);
        files_part_end(files, writer);
    }
}


int
kmq_files_mark(kmq_chain_t *chain, uint64_t *bytes, const kmq_body_t *body)
{
    if (body->size < 8
        || kmq_chain_load(chain, body->data + 8, body->size - 8) != 0)
    {
        return -1;
    }

    *bytes = kmq_get64(body->data);

    return 0;
}


/* A checkpoint's file: it begins, goes on, is complete. */
static void
files_checkpoint(kmq_files_t *files, const kmq_body_t *body)
{
    int          rc;
    uint64_t     bytes;
    kmq_chain_t  chain;

    if (body->part == KMQ_PART_BEGIN) {
        files_checkpoint_end(files);

        rc = kmq_checkpoint_file_open(&files->checkpoint, files->io,
                                      files->dir, &body->info,
                                      files->complete);
        if (rc < 0) {
            (void) files_cannot(files, "beginning a checkpoint", -rc);
            return;
        }

        files->checkpointing = 1;
        files->maker = body->entry.writer;
        files->half++;
        return;
    }

    if (!files->checkpointing || files->maker != body->entry.writer
        || files->checkpoint.info.generation != body->info.generation)
    {
        return;
    }

    if (body->part == KMQ_PART_CHECKPOINT) {
        rc = kmq_checkpoint_file_write(&files->checkpoint, body->data,
                                       body->size);
        if (rc < 0) {
            (void) files_cannot(files, "writing a checkpoint", -rc);
        }

        return;
    }

    if (kmq_files_mark(&chain, &bytes, body) != 0
        || bytes != files->checkpoint.size)
    {
        kmq_log(files->log, files->arg, KMQ_LOG_ERROR, "a checkpoint of the "
                "stream is not whole: it is passed over");
        files_checkpoint_end(files);
        return;
    }

    rc = kmq_checkpoint_file_finish(&files->checkpoint);

    if (rc < 0) {
        (void) files_cannot(files, "finishing a checkpoint", -rc);
        return;
    }

    files->complete = body->info.generation;
    (void) kmq_checkpoint_file_clean(&files->checkpoint);

    files->checkpointing = 0;
    files->half--;
    files->jumped = 0;
    files->dirty = 1;
}


/* It counts. */
static void
files_apply(kmq_files_t *files, kmq_body_t *body)
{
    int  rc;

    rc = kmq_unpack(body, &files->plain);

    if (rc != 0) {
        (void) files_cannot(files, "unpacking an entry of the stream for files",
                            rc == -1 ? EBADMSG : ENOMEM);
        return;
    }

    switch (body->part) {

    case KMQ_PART_BATCH:
        files_piece(files, body);
        break;

    case KMQ_PART_BEGIN:
    case KMQ_PART_CHECKPOINT:
    case KMQ_PART_MARK:
        files_checkpoint(files, body);
        break;

    default:
        break;
    }
}


/* It came before its turn. */
static void
files_hold(kmq_files_t *files, const kmq_body_t *body)
{
    files_held_t        *held, **last;
    kmq_files_writer_t  *writer;

    writer = &files->writer[body->entry.writer];
    held = malloc(sizeof(files_held_t) + body->size);

    if (held == NULL) {
        (void) files_cannot(files, "memory for what is", ENOMEM);
        return;
    }

    held->body = *body;
    held->body.data = held->data;

    if (body->size) {
        memcpy(held->data, body->data, body->size);
    }

    for (last = &writer->held; *last; last = &(*last)->next) {

        if ((*last)->body.entry.slot > body->entry.slot) {
            break;
        }
    }

    held->next = *last;
    *last = held;
    files->half++;
}


/* Those that were held have their turn. */
static void
files_held(kmq_files_t *files, const kmq_chain_t *chain, unsigned number)
{
    files_held_t        *held;
    kmq_files_writer_t  *writer;

    writer = &files->writer[number];

    while (writer->held
           && writer->held->body.entry.slot <= chain->writer[number].last)
    {
        held = writer->held;
        writer->held = held->next;

        files_apply(files, &held->body);
        free(held);
        files->half--;
    }
}


/* ------------------------------------------------------------------ entries */

/* The epoch's first closing: what lies before it may be purged later. */
static void
files_past(kmq_files_t *files, const kmq_entry_t *entry)
{
    unsigned            i;
    kmq_files_state_t  *state;

    state = &files->clean;

    for (i = 0; i < state->npast; i++) {
        if (state->past[i].epoch == entry->epoch) {
            return;
        }
    }

    if (state->npast == KMQ_FILES_PAST) {
        memmove(&state->past[0], &state->past[1],
                (KMQ_FILES_PAST - 1) * sizeof(kmq_files_past_t));
        state->npast--;
    }

    state->past[state->npast].epoch = entry->epoch;
    state->past[state->npast].before = entry->seq;
    state->npast++;
}


static void
files_closed(kmq_files_t *files, const kmq_chain_t *chain,
    const kmq_entry_t *entry)
{
    kmq_files_writer_t  *writer;

    writer = &files->writer[entry->writer];

    files_held_free(files, writer);
    files_part_end(files, writer);

    if (files->checkpointing && files->maker == entry->writer) {
        files_checkpoint_end(files);
    }

    if (files->own_epoch == chain->begun
        && files->own_last[entry->writer] > chain->writer[entry->writer].last)
    {
        files->own_void = 1;
    }

    files_past(files, entry);
}


void
kmq_files_entry(kmq_files_t *files, const kmq_chain_t *chain,
    kmq_chain_e what, kmq_body_t *body, uint64_t time, int write)
{
    switch (what) {

    case KMQ_CHAIN_COUNTS:

        if (write) {
            files_apply(files, body);
            files_held(files, chain, body->entry.writer);

        } else if (body->part == KMQ_PART_MARK) {
            files->complete = body->info.generation;
        }

        break;

    case KMQ_CHAIN_HELD_BACK:

        if (write) {
            files_hold(files, body);
        }

        break;

    case KMQ_CHAIN_CLOSED:
        files_closed(files, chain, &body->entry);
        break;

    case KMQ_CHAIN_BEGUN:
        files_epoch_end(files);
        break;

    default:
        break;
    }

    if (files->half || files->jumped || files->failed || !write) {
        return;
    }

    files->clean.chain = *chain;
    files->clean.time = time;
}


void
kmq_files_jump(kmq_files_t *files, const kmq_chain_t *chain)
{
    if (files->own_epoch && files->own_epoch < chain->begun
        && kmq_files_tail(files, &files->clean.chain))
    {
        files->own_void = 1;
    }

    files_epoch_end(files);
    files->jumped = 1;
}


/* ----------------------------------------------------------------- flushing */

int
kmq_files_flush(kmq_files_t *files, uint64_t known)
{
    int          rc;
    unsigned     i;
    const char  *what;

    static const kmq_journal_info_t  none;

    if (files->failed) {
        return -1;
    }

    for (i = 0; files->dirty && i < KMQ_CHAIN_WRITERS; i++) {
        kmq_segment_t       *segment = &files->writer[i].segment;
        kmq_journal_info_t   info = none;

        if (segment->fd == -1) {
            continue;
        }

        info.generation = segment->generation;
        rc = kmq_segment_write(segment, &info, NULL, 0, 1, &what);

        if (rc < 0 && segment->generation >= files->complete) {
            return files_cannot(files, what, -rc);
        }
    }

    files->dirty = 0;

    return kmq_files_have(files, &files->clean, known);
}


int
kmq_files_have(kmq_files_t *files, const kmq_files_state_t *state,
    uint64_t known)
{
    if (state->chain.seq == files->state.chain.seq
        && state->differs == files->state.differs
        && state->seeder == files->state.seeder
        && state->created == files->state.created)
    {
        return 0;
    }

    if (state != &files->state) {
        files->state = *state;
    }

    if (known > files->state.known) {
        files->state.known = known;
    }

    return kmq_files_save(files);
}


int
kmq_files_aside(kmq_files_t *files)
{
    uint64_t  created;

    created = files->state.created;

    kmq_files_drop(files);

    if (kmq_directory_set_aside(files->dir, files->log, files->arg) != 0) {
        return -1;
    }

    memset(&files->state, 0, sizeof(files->state));
    files->state.created = created;
    files->clean = files->state;
    files->complete = 0;
    files->own_epoch = 0;
    files->own_void = 0;
    memset(files->own_last, 0, sizeof(files->own_last));

    return kmq_files_save(files);
}


/* ------------------------------------------------------------- own appends */

int
kmq_files_tail(const kmq_files_t *files, const kmq_chain_t *chain)
{
    unsigned  i;

    if (files->own_epoch == 0 || files->own_epoch < chain->begun) {
        return 0;
    }

    if (files->own_epoch > chain->begun) {
        return 1;
    }

    for (i = 0; i < chain->writers; i++) {
        if (files->own_last[i] > chain->writer[i].last
            && !chain->writer[i].closed)
        {
            return 1;
        }
    }

    return 0;
}
