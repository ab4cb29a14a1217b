/*
 * Who has a lock.  The system tells who took it, which may have died, while
 * processes that inherited it go on: so these are looked for, among all whose
 * descriptors can be seen.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE                /* statx() */
#endif

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "kmq_file.h"


#define PATH_SIZE  64
#define INFO_SIZE  4096


/* Reads the beginning of a file as text; 0: there is none. */
static int
text_read(const char *path, char *text, size_t size)
{
    int      fd;
    ssize_t  n;

    fd = open(path, O_RDONLY|O_CLOEXEC);
    if (fd == -1) {
        return 0;
    }

    n = read(fd, text, size - 1);
    (void) close(fd);

    text[n > 0 ? n : 0] = '\0';

    return n > 0;
}


/* Is this descriptor one of the file, and does it have a lock?  It is asked for
 * what is known of it, since its file system may be out of reach. */
static int
is_locked(long pid, int fds, const char *fd, const struct stat *file)
{
    char          path[PATH_SIZE], info[INFO_SIZE];
    struct statx  st;

    if (statx(fds, fd, AT_STATX_DONT_SYNC, STATX_INO, &st) == -1
        || st.stx_ino != file->st_ino
        || makedev(st.stx_dev_major, st.stx_dev_minor) != file->st_dev)
    {
        return 0;
    }

    (void) snprintf(path, sizeof(path), "/proc/%ld/fdinfo/%.16s", pid, fd);

    return text_read(path, info, sizeof(info)) && strstr(info, "FLOCK");
}


static int
is_holder(long pid, const struct stat *file)
{
    int             found;
    DIR            *d;
    char            path[PATH_SIZE];
    struct dirent  *e;

    (void) snprintf(path, sizeof(path), "/proc/%ld/fd", pid);

    d = opendir(path);
    if (d == NULL) {
        return 0;
    }

    found = 0;

    while (!found && (e = readdir(d))) {
        found = e->d_name[0] != '.' && is_locked(pid, dirfd(d), e->d_name,
                                                 file);
    }

    (void) closedir(d);

    return found;
}


/* 0: there is none any more. */
static long
parent_of(long pid)
{
    char         path[PATH_SIZE], text[INFO_SIZE];
    long         parent;
    const char  *p;

    (void) snprintf(path, sizeof(path), "/proc/%ld/stat", pid);

    /* its name, in brackets, may be anything */

    if (!text_read(path, text, sizeof(text))
        || (p = strrchr(text, ')')) == NULL
        || sscanf(p, ") %*c %ld", &parent) != 1)
    {
        return 0;
    }

    return parent;
}


long
kmq_holder(int fd)
{
    DIR            *d;
    long            pid, found;
    struct stat     file;
    struct dirent  *e;

    if (fstat(fd, &file) == -1 || (d = opendir("/proc")) == NULL) {
        return 0;
    }

    found = 0;

    while (!found && (e = readdir(d))) {
        pid = strtol(e->d_name, NULL, 10);

        if (pid > 0 && pid != (long) getpid() && is_holder(pid, &file)) {
            found = pid;
        }
    }

    (void) closedir(d);

    /* a master, rather than a worker */

    for (pid = found; pid > 0 && is_holder(pid, &file); pid = parent_of(pid)) {
        found = pid;
    }

    return found;
}
