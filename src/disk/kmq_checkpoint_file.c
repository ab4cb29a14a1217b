/*
 * A checkpoint's file.  It is written under a name that recovery does not
 * look at, flushed, and only then named: so whatever is found under a
 * checkpoint's name was complete.  Older files go after that, when their
 * writers can know why.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "kmq_file.h"


/* It is flushed now and then, so that the disk is not busy with all of it at
 * once, while journals wait. */
#define SYNC_BYTES  (4 * 1024 * 1024)


/* A file that a checkpoint has made superfluous goes.  When it does not,
 * recovery passes it over, and the next checkpoint tries again. */
static void
older_remove(void *arg, const char *name)
{
    kmq_checkpoint_file_t  *file = arg;

    char      path[KMQ_PATH_SIZE];
    int       older;
    unsigned  kind;
    uint64_t  generation;

    kind = kmq_file_kind(name, &generation);
    older = kind == KMQ_FILE_NEW ? generation < file->info.generation
                                 : generation < file->older;

    if (kind == KMQ_FILE_NONE || !older) {
        return;
    }

    if (snprintf(path, sizeof(path), "%s/%s", file->dir, name)
        < (int) sizeof(path))
    {
        (void) file->io->remove(file->io, path);
    }
}


int
kmq_checkpoint_file_open(kmq_checkpoint_file_t *file, kmq_io_t *io,
    const char *dir, const kmq_journal_info_t *info, uint64_t complete)
{
    int              rc;
    unsigned char    bytes[KMQ_FILE_HEAD];
    kmq_file_head_t  head;

    memset(file, 0, sizeof(kmq_checkpoint_file_t));

    file->io = io;
    file->dir = dir;
    file->info = *info;
    file->fd = -1;

    file->older = complete;

    /* whoever made the last one may have died before this was done; there may
     * be no room beside what that left */

    (void) io->list(io, dir, older_remove, file);

    kmq_file_path(file->path, dir, KMQ_FILE_NEW, info->generation, 0, 0);

    rc = io->create(io, file->path);

    if (rc == -EEXIST) {

        /* of an attempt before, which failed and could not be removed */

        (void) io->remove(io, file->path);
        rc = io->create(io, file->path);
    }

    if (rc < 0) {
        return rc;
    }

    file->fd = rc;

    head.kind = KMQ_FILE_CHECKPOINT;
    head.created = kmq_file_now();
    head.info = *info;
    kmq_file_head_write(bytes, &head);

    return kmq_checkpoint_file_write(file, bytes, sizeof(bytes));
}


int
kmq_checkpoint_file_write(kmq_checkpoint_file_t *file,
    const unsigned char *data, size_t len)
{
    int  rc;

    rc = file->io->append(file->io, file->fd, data, len);
    if (rc < 0) {
        return rc;
    }

    file->size += len;
    file->unsynced += len;

    if (file->unsynced < SYNC_BYTES) {
        return 0;
    }

    file->unsynced = 0;

    return file->io->sync(file->io, file->fd);
}


int
kmq_checkpoint_file_finish(kmq_checkpoint_file_t *file)
{
    int   rc;
    char  path[KMQ_PATH_SIZE];

    rc = file->io->sync(file->io, file->fd);
    if (rc < 0) {
        return rc;
    }

    rc = file->io->close(file->io, file->fd);
    file->fd = -1;

    if (rc < 0) {
        return rc;
    }

    kmq_file_path(path, file->dir, KMQ_FILE_CHECKPOINT,
                  file->info.generation, 0, 0);

    rc = file->io->rename(file->io, file->path, path);
    if (rc < 0) {
        return rc;
    }

    /* until that name is safe, it is one more file that may have to go */

    memcpy(file->path, path, sizeof(path));

    rc = file->io->sync_dir(file->io, file->dir);

    if (rc == 0) {
        file->path[0] = '\0';
    }

    return rc;
}


int
kmq_checkpoint_file_clean(kmq_checkpoint_file_t *file)
{
    file->older = file->info.generation;

    return file->io->list(file->io, file->dir, older_remove, file);
}


void
kmq_checkpoint_file_abort(kmq_checkpoint_file_t *file)
{
    if (file->fd != -1) {
        (void) file->io->close(file->io, file->fd);
        file->fd = -1;
    }

    if (file->path[0]) {
        (void) file->io->remove(file->io, file->path);
        file->path[0] = '\0';
    }
}
