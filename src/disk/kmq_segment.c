/*
 * A worker's journal files.  Each is of one generation and is begun by its
 * first records; after a failure nothing more is appended to it, since nobody
 * knows what is in it.
 */

#include <errno.h>
#include <string.h>

#include "kmq_file.h"


/* Names that may be taken: of predecessors in the worker's place. */
#define NAMES_MAX  100000


void
kmq_segment_init(kmq_segment_t *segment, kmq_io_t *io, const char *dir)
{
    memset(segment, 0, sizeof(kmq_segment_t));

    segment->io = io;
    segment->dir = dir;
    segment->fd = -1;
}


void
kmq_segment_close(kmq_segment_t *segment)
{
    if (segment->fd != -1) {
        (void) segment->io->close(segment->io, segment->fd);
    }

    segment->fd = -1;
    segment->unsynced = 0;
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


/* A new file; with sync its name will be there after a loss of power. */
static int
segment_open(kmq_segment_t *segment, const kmq_journal_info_t *info,
    const char **what)
{
    int              rc;
    unsigned char    bytes[KMQ_FILE_HEAD];
    kmq_file_head_t  head;

    kmq_segment_close(segment);

    *what = "creating a journal";

    rc = segment_create(segment, info);
    if (rc < 0) {
        return rc;
    }

    segment->fd = rc;
    segment->unsynced = 1;
    segment->generation = info->generation;

    head.kind = KMQ_FILE_JOURNAL;
    head.created = kmq_file_now();
    head.info = *info;
    kmq_file_head_write(bytes, &head);

    *what = "writing a journal's head";

    rc = segment->io->append(segment->io, segment->fd, bytes, sizeof(bytes));
    if (rc < 0) {
        return rc;
    }

    *what = "writing a journal's name";

    return segment->io->sync_dir(segment->io, segment->dir);
}


static int
segment_sync(kmq_segment_t *segment, const char **what)
{
    int  rc;

    if (segment->fd == -1 || !segment->unsynced) {
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

    if (segment->fd == -1) {
        rc = segment_open(segment, info, what);
        if (rc < 0) {
            return rc;
        }
    }

    *what = "writing a journal";
    segment->unsynced = 1;

    return segment->io->append(segment->io, segment->fd, data, len);
}


int
kmq_segment_write(kmq_segment_t *segment, const kmq_journal_info_t *info,
    const unsigned char *data, size_t len, int sync, const char **what)
{
    int  rc;

    rc = 0;

    if (segment->fd != -1 && segment->generation < info->generation) {

        /* its checkpoint may still take long, or fail; or be there, and then
         * the file has gone */

        rc = segment_sync(segment, what);
        kmq_segment_close(segment);
    }

    if (rc == 0 && len) {
        rc = segment_append(segment, info, data, len, what);
    }

    if (rc == 0 && sync) {
        rc = segment_sync(segment, what);
    }

    /* what is in a file that nobody finds is not safe */

    if (rc == 0 && sync && segment->fd != -1) {
        *what = "looking for a journal";
        rc = segment->io->same(segment->io, segment->fd, segment->path);
    }

    if (rc < 0) {
        kmq_segment_close(segment);
    }

    return rc;
}
