/* The directory: made, owned and locked by the master. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "kmq_file.h"


/* How often a lock is tried that is held for a process that has gone. */
#define LOCK_TRIES  100
#define LOCK_PAUSE  50000        /* us */


__attribute__((format(printf, 3, 4)))
static void
log_error(kmq_log_t log, void *arg, const char *format, ...)
{
    char     text[KMQ_PATH_SIZE + 512];
    va_list  args;

    va_start(args, format);
    (void) vsnprintf(text, sizeof(text), format, args);
    va_end(args);

    log(arg, KMQ_LOG_ERROR, text);
}


/* As nginx does with its own paths: see ngx_create_paths(). */
static int
directory_make(const char *dir, int uid, int gid, kmq_log_t log, void *arg)
{
    struct stat  st;

    if (mkdir(dir, 0700) == -1 && errno != EEXIST) {
        log_error(log, arg, "making the directory \"%s\" failed: %s", dir,
                  strerror(errno));
        return -1;
    }

    if (stat(dir, &st) == -1 || !S_ISDIR(st.st_mode)) {
        log_error(log, arg, "\"%s\" is not a directory", dir);
        return -1;
    }

    if (uid != -1 && (st.st_uid != (uid_t) uid || st.st_gid != (gid_t) gid)
        && chown(dir, uid, gid) == -1)
    {
        log_error(log, arg, "giving the directory \"%s\" to user %d failed: "
                  "%s", dir, uid, strerror(errno));
        return -1;
    }

    if ((st.st_mode & 0777) != 0700 && chmod(dir, 0700) == -1) {
        log_error(log, arg, "setting the mode of the directory \"%s\" "
                  "failed: %s", dir, strerror(errno));
        return -1;
    }

    return 0;
}


/* Who says to have the lock. */
static long
lock_holder(int fd)
{
    char     text[32];
    ssize_t  n;

    n = pread(fd, text, sizeof(text) - 1, 0);
    if (n <= 0) {
        return 0;
    }

    text[n] = '\0';

    return strtol(text, NULL, 10);
}


/*
 * Takes the lock; 0, or -1 and errno.  Processes that were killed may not have
 * gone yet, since one of their threads still waits for the disk.
 */
static int
lock_take(int fd)
{
    long      pid;
    unsigned  n;

    for (n = 0; n < LOCK_TRIES; n++) {

        if (flock(fd, LOCK_EX|LOCK_NB) == 0) {
            return 0;
        }

        if (errno != EWOULDBLOCK) {
            return -1;
        }

        pid = lock_holder(fd);

        if (pid <= 0 || kill((pid_t) pid, 0) == 0 || errno != ESRCH) {
            break;
        }

        (void) usleep(LOCK_PAUSE);
    }

    errno = EWOULDBLOCK;

    return -1;
}


/* It is the process's that has it, and of those that it forks: so nobody may
 * have it while workers without a master go on. */
static int
directory_lock(const char *dir, int uid, int gid, kmq_log_t log, void *arg)
{
    int   fd;
    char  path[KMQ_PATH_SIZE];

    if (snprintf(path, sizeof(path), "%s/lock", dir) >= (int) sizeof(path)) {
        log_error(log, arg, "the path \"%s\" is too long", dir);
        return -1;
    }

    fd = open(path, O_RDWR|O_CREAT|O_CLOEXEC, 0600);

    if (fd == -1) {
        log_error(log, arg, "opening \"%s\" failed: %s", path,
                  strerror(errno));
        return -1;
    }

    if (lock_take(fd) == -1) {

        if (errno == EWOULDBLOCK) {
            log_error(log, arg, "the queue in \"%s\" is in use by process "
                      "%ld, or by its workers", dir, lock_holder(fd));
        } else {
            log_error(log, arg, "locking \"%s\" failed: %s", path,
                      strerror(errno));
        }

        (void) close(fd);
        return -1;
    }

    if (uid != -1 && fchown(fd, uid, gid) == -1) {
        log_error(log, arg, "giving \"%s\" to user %d failed: %s", path, uid,
                  strerror(errno));
        (void) close(fd);
        return -1;
    }

    kmq_directory_holder(fd, (long) getpid());

    return fd;
}


/* It is for a message alone, so a failure is none. */
void
kmq_directory_holder(int lock, long pid)
{
    int   n;
    char  text[32];

    n = snprintf(text, sizeof(text), "%-20ld\n", pid);

    if (pwrite(lock, text, n, 0) != n) {
        return;
    }
}


int
kmq_directory_open(const char *dir, int uid, int gid, kmq_log_t log,
    void *arg)
{
    if (directory_make(dir, uid, gid, log, arg) != 0) {
        return -1;
    }

    return directory_lock(dir, uid, gid, log, arg);
}


/* -------------------------------------------------------------- set aside */

typedef struct {
    const char  *dir;
    char         aside[KMQ_PATH_SIZE];
    int          uid;
    int          gid;
    unsigned     moved;
    kmq_log_t    log;
    void        *arg;
    int          failed;
} aside_t;


/* The directory for them, at the first one. */
static int
aside_make(aside_t *a)
{
    char        date[32];
    time_t      now;
    unsigned    n;
    struct tm   tm;

    now = time(NULL);
    (void) localtime_r(&now, &tm);
    (void) strftime(date, sizeof(date), "%Y%m%d-%H%M%S", &tm);

    for (n = 0; n < 1000; n++) {

        if (snprintf(a->aside, sizeof(a->aside), n ? "%s/aside-%s-%u"
                                                   : "%s/aside-%s",
                     a->dir, date, n)
            >= (int) sizeof(a->aside))
        {
            errno = ENAMETOOLONG;
            break;
        }

        if (mkdir(a->aside, 0700) == 0) {
            return a->uid == -1 ? 0 : chown(a->aside, a->uid, a->gid);
        }

        if (errno != EEXIST) {
            break;
        }
    }

    return -1;
}


static void
aside_move(void *arg, const char *name)
{
    aside_t  *a = arg;

    char      from[KMQ_PATH_SIZE + 256], to[KMQ_PATH_SIZE + 256];
    uint64_t  generation;

    if (a->failed || kmq_file_kind(name, &generation) == KMQ_FILE_NONE) {
        return;
    }

    if (a->moved++ == 0 && aside_make(a) != 0) {
        log_error(a->log, a->arg, "making the directory \"%s\" failed: %s",
                  a->aside, strerror(errno));
        a->failed = 1;
        return;
    }

    (void) snprintf(from, sizeof(from), "%s/%s", a->dir, name);
    (void) snprintf(to, sizeof(to), "%s/%s", a->aside, name);

    if (rename(from, to) == -1) {
        log_error(a->log, a->arg, "moving \"%s\" to \"%s\" failed: %s", from,
                  to, strerror(errno));
        a->failed = 1;
    }
}


int
kmq_directory_set_aside(const char *dir, int uid, int gid, kmq_log_t log,
    void *arg)
{
    int      rc;
    char     text[KMQ_PATH_SIZE + 128];
    aside_t  a;

    memset(&a, 0, sizeof(a));
    a.dir = dir;
    a.uid = uid;
    a.gid = gid;
    a.log = log;
    a.arg = arg;

    rc = kmq_io_system.list(&kmq_io_system, dir, aside_move, &a);

    if (rc < 0) {
        log_error(log, arg, "reading the directory \"%s\" failed: %s", dir,
                  strerror(-rc));
        return -1;
    }

    if (a.failed) {
        return -1;
    }

    if (a.moved) {
        (void) snprintf(text, sizeof(text), "%u file(s) of an older queue "
                        "were set aside in \"%s\"", a.moved, a.aside);
        log(arg, KMQ_LOG_WARN, text);
    }

    return 0;
}
