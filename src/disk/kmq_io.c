/* The operating system's files. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE                /* sync_file_range() */
#endif

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "kmq_io.h"


/* Bytes of an append from which on the disk is set to work at once.  Left to a
 * flush, seconds later, it would have so much to do then that more gathers
 * meanwhile than a journal takes. */
#define BEGIN_SIZE  (256 * 1024)

#ifdef KMQ_FAULTS

volatile uint32_t  *kmq_io_fault;

#define FAULT(call)                                                          \
    do {                                                                     \
        uint32_t  fault_;                                                    \
                                                                             \
        while ((fault_ = kmq_io_fault ? *kmq_io_fault : 0) >> (call) & 1) {  \
                                                                             \
            if ((fault_ & 0xffff) != KMQ_IO_STALL) {                         \
                return -(int) (fault_ & 0xffff);                             \
            }                                                                \
                                                                             \
            (void) usleep(1000);                                             \
        }                                                                    \
    } while (0)

#else

#define FAULT(call)

#endif


static int
io_create(kmq_io_t *io, const char *path)
{
    int  fd;

    (void) io;
    FAULT(KMQ_IO_CREATE);

    fd = open(path, O_WRONLY|O_CREAT|O_EXCL|O_APPEND|O_CLOEXEC, 0600);

    return fd == -1 ? -errno : fd;
}


/* It goes on by itself; what is wrong will be told by the flush. */
static void
disk_begin(int fd)
{
#ifdef SYNC_FILE_RANGE_WRITE
    (void) sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
#else
    (void) fd;
#endif
}


static int
io_append(kmq_io_t *io, int fd, const void *bytes, size_t n)
{
    size_t                left;
    ssize_t               rc;
    const unsigned char  *p = bytes;

    (void) io;
    FAULT(KMQ_IO_APPEND);

    for (left = n; left; left -= rc) {
        rc = write(fd, p, left);

        if (rc == -1 && errno == EINTR) {
            rc = 0;
            continue;
        }

        if (rc <= 0) {
            return rc == 0 ? -EIO : -errno;
        }

        p += rc;
    }

    if (n >= BEGIN_SIZE) {
        disk_begin(fd);
    }

    return 0;
}


static int
io_truncate(kmq_io_t *io, int fd, uint64_t n)
{
    (void) io;

    return ftruncate(fd, (off_t) n) == -1 ? -errno : 0;
}


static int
io_room(kmq_io_t *io, const char *dir, uint64_t *all, uint64_t *left)
{
    struct statvfs  st;

    (void) io;

    if (statvfs(dir, &st) == -1) {
        return -errno;
    }

    *all = (uint64_t) st.f_blocks * st.f_frsize;
    *left = (uint64_t) st.f_bavail * st.f_frsize;

    return 0;
}


static int
io_sync(kmq_io_t *io, int fd)
{
    (void) io;
    FAULT(KMQ_IO_SYNC);

    return fdatasync(fd) == -1 ? -errno : 0;
}


static int
io_close(kmq_io_t *io, int fd)
{
    (void) io;

    return close(fd) == -1 ? -errno : 0;
}


static int
io_rename(kmq_io_t *io, const char *from, const char *to)
{
    (void) io;
    FAULT(KMQ_IO_RENAME);

    return rename(from, to) == -1 ? -errno : 0;
}


static int
io_remove(kmq_io_t *io, const char *path)
{
    (void) io;
    FAULT(KMQ_IO_REMOVE);

    return unlink(path) == -1 ? -errno : 0;
}


static int
io_sync_dir(kmq_io_t *io, const char *dir)
{
    int  fd, rc;

    (void) io;
    FAULT(KMQ_IO_SYNC_DIR);

    fd = open(dir, O_RDONLY|O_DIRECTORY|O_CLOEXEC);
    if (fd == -1) {
        return -errno;
    }

    rc = fsync(fd) == -1 ? -errno : 0;

    (void) close(fd);

    return rc;
}


static int
io_same(kmq_io_t *io, int fd, const char *path)
{
    struct stat  open_file, named;

    (void) io;

    if (fstat(fd, &open_file) == -1 || stat(path, &named) == -1) {
        return -errno;
    }

    return open_file.st_ino == named.st_ino
           && open_file.st_dev == named.st_dev ? 0 : -ENOENT;
}


static int
io_list(kmq_io_t *io, const char *dir,
    void (*entry)(void *arg, const char *name), void *arg)
{
    int             rc;
    DIR            *d;
    struct dirent  *e;

    (void) io;

    d = opendir(dir);
    if (d == NULL) {
        return -errno;
    }

    errno = 0;

    while ((e = readdir(d))) {
        entry(arg, e->d_name);
        errno = 0;
    }

    rc = -errno;
    (void) closedir(d);

    return rc;
}


kmq_io_t  kmq_io_system = {
    io_create,
    io_append,
    io_truncate,
    io_room,
    io_sync,
    io_close,
    io_rename,
    io_remove,
    io_sync_dir,
    io_same,
    io_list
};
