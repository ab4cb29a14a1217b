/*
 * The files of engine_model.c: each worker's journal, and a checkpoint that is
 * made in slices.  Nothing waits for the disk: what is there after a loss of
 * power is another test's.
 */

#include <unistd.h>

#include "disk.h"
#include "shard.h"


model_disk_t  D;


/* -------------------------------------------------------------- directory */

static int
no_sync(kmq_io_t *io, int fd)
{
    (void) io;
    (void) fd;

    return 0;
}


static int
no_sync_dir(kmq_io_t *io, const char *dir)
{
    (void) io;
    (void) dir;

    return 0;
}


void
disk_open(void)
{
    const char  *tmp;

    tmp = getenv("TMPDIR");
    (void) snprintf(D.dir, sizeof(D.dir), "%s/kmq-model-XXXXXX",
                    tmp && strlen(tmp) < 40 ? tmp : "/tmp");
    CHECK(mkdtemp(D.dir), "mkdtemp");

    M.forgettable = 1024;
    M.forgotten = malloc(M.forgettable * sizeof(uint64_t));

    D.io = kmq_io_system;
    D.io.sync = no_sync;
    D.io.sync_dir = no_sync_dir;
}


static void
file_remove(void *arg, const char *name)
{
    char  path[400];

    (void) arg;
    (void) snprintf(path, sizeof(path), "%s/%s", D.dir, name);
    (void) unlink(path);
}


void
disk_close(void)
{
    (void) D.io.list(&D.io, D.dir, file_remove, NULL);
    CHECK(rmdir(D.dir) == 0, "rmdir");
    kmq_buffer_free(&D.slice);
}


void
checkpoint_abandon(void)
{
    if (!D.active) {
        return;
    }

    /* a crash leaves the file as it is */

    if (one_in(2)) {
        kmq_checkpoint_file_abort(&D.file);
    } else {
        (void) D.io.close(&D.io, D.file.fd);
    }

    D.active = 0;
    D.abandoned++;
}


/* --------------------------------------------------------------- journals */

void
journal_open(unsigned h)
{
    handle_t  *handle = &M.handle[h];

    kmq_segment_init(&handle->segment, &D.io, D.dir, 0);

    if (M.options & JOURNALED) {
        kmq_journal(handle->kmq, 1);
    }
}


/* Writes what a handle has taken.  Its file may be gone, because of a
 * checkpoint that has all this. */
void
pending_write(unsigned h)
{
    int           rc;
    const char   *what;
    handle_t     *handle = &M.handle[h];

    if (handle->pending.len == 0) {
        return;
    }

    kmq_records_seal(handle->pending.data, handle->pending.len);
    rc = kmq_segment_write(&handle->segment, &handle->info,
                           handle->pending.data, handle->pending.len,
                           one_in(2), &what);

    CHECK(rc == 0 || kmq_journal_covered(handle->kmq,
                                         handle->info.generation),
          "%s: %d", what, rc);

    kmq_journal_written(handle->kmq, handle->pending.len);
    handle->pending.len = 0;
}


void
journal_take(unsigned h)
{
    handle_t  *handle = &M.handle[h];

    pending_write(h);
    handle->pending.len = kmq_journal_take(handle->kmq, &handle->pending,
                                           &handle->info);
}


void
journal_flush(unsigned h)
{
    journal_take(h);
    pending_write(h);
}


/* What has not been written, of what has gathered, or, where a worker dies, at
 * all, will never be. */
void
journal_close(unsigned h, int dies)
{
    handle_t  *handle = &M.handle[h];

    if (D.active && D.handle == h) {
        checkpoint_abandon();
    }

    if (!dies) {
        pending_write(h);
    }

    if (M.options & JOURNALED
        && (handle->pending.len || kmq_journal_len(handle->kmq)))
    {
        D.lost++;
    }

    kmq_segment_close(&handle->segment);
    kmq_buffer_free(&handle->pending);
}


/* ------------------------------------------------------------ checkpoints */

static void
checkpoint_write(void)
{
    CHECK(kmq_checkpoint_file_write(&D.file, D.slice.data, D.slice.len) == 0,
          "writing a checkpoint");
    D.slice.len = 0;
}


void
checkpoint_begin(unsigned h)
{
    D.active = 1;
    D.handle = h;
    D.lost_before = D.lost;
    D.dropped_before = M.nforgotten;
    D.refused_before = M.refused;
    D.slice.len = 0;
    M.peak_next = M.bytes;
    numbers_anew_all();

    CHECK(kmq_checkpoint_begin(M.handle[h].kmq, &D.cp, &D.slice) == KMQ_OK,
          "checkpoint_begin");
    CHECK(kmq_checkpoint_file_open(&D.file, &D.io, D.dir, &D.cp.info,
                                   D.cp.complete) == 0,
          "a checkpoint's file");
    checkpoint_write();
}


/* Older files go; and what was lost, or dropped, before it began, is what it
 * shows. */
static void
checkpoint_end(void)
{
    CHECK(kmq_checkpoint_file_finish(&D.file) == 0, "finishing a checkpoint");
    kmq_checkpoint_end(M.handle[D.handle].kmq, &D.cp, D.file.size);

    if (!one_in(8)) {
        CHECK(kmq_checkpoint_file_clean(&D.file) == 0, "removing old files");
    }

    D.active = 0;
    M.peak = M.peak_next;
    D.lost -= D.lost_before;
    D.refused = D.refused_before;
    D.checkpoints++;

    M.nforgotten -= D.dropped_before;
    memmove(M.forgotten, M.forgotten + D.dropped_before,
            M.nforgotten * sizeof(uint64_t));
}


void
checkpoint_slice(void)
{
    int  rc;

    rc = kmq_checkpoint_next(M.handle[D.handle].kmq, &D.cp, &D.slice);
    CHECK(rc == 0 || rc == 1, "checkpoint_next: %d", rc);
    checkpoint_write();

    if (rc == 0) {
        checkpoint_end();
    }
}
