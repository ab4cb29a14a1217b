/*
 * A worker's journal files.  Each is of one generation and is begun by its
 * first records.  When writing fails, the file goes back to what was good in
 * it, or goes, if there is nothing: so a disk that fails for long does not fill
 * with beginnings.  After a flush that failed, nothing more is appended to the
 * file, since nobody knows what of it is there.
 */

#include <errno.h>
#include <string.h>

#include "kmq_file.h"


/* Names that may be taken: of predecessors in the worker's place. */
#define NAMES_MAX  100000

/* Of a small disk, checkpoints have so much. */
#define RESERVE(all)  ((all) / 16)


void
kmq_segment_init(kmq_segment_t *segment, kmq_io_t *io, const char *dir,
    uint64_t reserve)
{
    memset(segment, 0, sizeof(kmq_segment_t));

    segment->io = io;
    segment->dir = dir;
    segment->reserve = reserve;
    segment->fd = -1;
}


/* Where nothing good is in the file, it goes. */
void
kmq_segment_close(kmq_segment_t *segment)
{
    if (segment->fd == -1) {
        return;
    }

    (void) segment->io->close(segment->io, segment->fd);

    if (segment->size == 0) {
        (void) segment->io->remove(segment->io, segment->path);
    }

    segment->fd = -1;
    segment->unsynced = 0;
    segment->size = 0;
}


void
kmq_segment_drop(kmq_segment_t *segment)
{
    segment->size = 0;
    kmq_segment_close(segment);
}


static int
segment_create(kmq_segment_t *segment, const kmq_journal_info_t *info)
{
    int       fd;
    unsigned  n;

    fd = -EEXIST;

    for (n = 0; fd == -EEXIST && n < NAMES_MAX; n++) {
        kmq_file_path(segment->path, segment->dir, KMQ_FILE_JOURNAL,
                      info->generation, info->worker, n);

        fd = segment->io->create(segment->io, segment->path);
    }

    return fd;
}


/* A file for those records; what is good in one that is there stays. */
static int
segment_open(kmq_segment_t *segment, const kmq_journal_info_t *info,
    const char **what)
{
    int  rc;

    if (segment->fd != -1) {
        return 0;
    }

    *what = "creating a journal";

    rc = segment_create(segment, info);
    if (rc < 0) {
        return rc;
    }

    segment->fd = rc;
    segment->unsynced = 1;
    segment->generation = info->generation;

    return 0;
}


/* With that the file's name will be there after a loss of power. */
static int
segment_head(kmq_segment_t *segment, const kmq_journal_info_t *info,
    const char **what)
{
    int              rc;
    unsigned char    bytes[KMQ_FILE_HEAD];
    kmq_file_head_t  head;

    head.kind = KMQ_FILE_JOURNAL;
    head.created = kmq_file_now();
    head.info = *info;
    kmq_file_head_write(bytes, &head);

    *what = "writing a journal's head";

    rc = segment->io->append(segment->io, segment->fd, bytes, sizeof(bytes));
    if (rc < 0) {
        return rc;
    }

    segment->size = sizeof(bytes);

    *what = "writing a journal's name";

    return segment->io->sync_dir(segment->io, segment->dir);
}


/*
 * A queue that has filled the disk with journals needs room for a checkpoint
 * before anything can go: so journals leave some.
 */
static int
segment_room(kmq_segment_t *segment, size_t len, const char **what)
{
    uint64_t  all, left, reserve;

    *what = "leaving room for a checkpoint";

    if (segment->io->room(segment->io, segment->dir, &all, &left) < 0) {
        return 0;
    }

    reserve = segment->reserve < RESERVE(all) ? segment->reserve
                                              : RESERVE(all);

    return left < reserve + len ? -ENOSPC : 0;
}


static int
segment_sync(kmq_segment_t *segment, const char **what)
{
    int  rc;

    if (segment->size == 0 || !segment->unsynced) {
        return 0;
    }

    *what = "flushing a journal";

    rc = segment->io->sync(segment->io, segment->fd);

    if (rc == 0) {
        segment->unsynced = 0;
    }

    return rc;
}


static int
segment_append(kmq_segment_t *segment, const kmq_journal_info_t *info,
    const unsigned char *data, size_t len, const char **what)
{
    int  rc;

    rc = segment_room(segment, len, what);

    if (rc == 0) {
        rc = segment_open(segment, info, what);
    }

    if (rc == 0 && segment->size == 0) {
        rc = segment_head(segment, info, what);
    }

    if (rc < 0) {
        return rc;
    }

    *what = "writing a journal";
    segment->unsynced = 1;

    rc = segment->io->append(segment->io, segment->fd, data, len);

    if (rc == 0) {
        segment->size += len;
    }

    return rc;
}


/*
 * Something failed: the file goes back to the size that was good before.  More
 * is appended to it only when no flush has failed, and when it really has that
 * size.
 */
static void
segment_undo(kmq_segment_t *segment, uint64_t size, int more)
{
    int  rc;

    if (segment->fd == -1) {
        return;
    }

    rc = segment->io->truncate(segment->io, segment->fd, size);
    segment->size = size;

    if (rc < 0 || !more) {
        kmq_segment_close(segment);
    }
}


/* What is in a file that nobody finds is not safe. */
static int
segment_look(kmq_segment_t *segment, const char **what)
{
    int  rc;

    if (segment->size == 0) {
        return 0;
    }

    *what = "looking for a journal";

    rc = segment->io->same(segment->io, segment->fd, segment->path);

    if (rc < 0) {
        kmq_segment_close(segment);
    }

    return rc;
}


/* Records of a newer generation need another file.  The checkpoint between may
 * still take long, or fail; or be there, and then this one has gone. */
static int
segment_change(kmq_segment_t *segment, const char **what)
{
    int  rc;

    rc = segment_sync(segment, what);
    kmq_segment_close(segment);

    return rc;
}


int
kmq_segment_write(kmq_segment_t *segment, const kmq_journal_info_t *info,
    const unsigned char *data, size_t len, int sync, const char **what)
{
    int       rc, flushing;
    uint64_t  size;

    rc = 0;
    flushing = 0;

    if (segment->fd != -1 && segment->generation < info->generation) {
        rc = segment_change(segment, what);
    }

    size = segment->size;

    if (rc == 0 && len) {
        rc = segment_append(segment, info, data, len, what);
    }

    if (rc == 0 && sync) {
        flushing = 1;
        rc = segment_sync(segment, what);
    }

    if (rc == 0 && sync) {
        rc = segment_look(segment, what);
    }

    if (rc < 0) {
        segment_undo(segment, size, !flushing);
    }

    return rc;
}
