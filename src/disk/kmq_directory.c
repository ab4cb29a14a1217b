/*
 * The directory: made and locked by the master, and used with the rights of
 * the workers' user alone (see kmq_user.c).
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE                /* O_PATH, strverscmp() */
#endif

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "kmq_file.h"


/* How often a lock is tried.  Processes that were killed may not have gone yet,
 * since a thread still waits for the disk: so one that lives waits less. */
#define LOCK_TRIES  100
#define LOCK_LIVES   20
#define LOCK_PAUSE  50000        /* us */

/* Directories "aside-..." that are kept. */
#define ASIDE_KEPT  3

/* What is being done, for functions that are called with the user's rights. */
typedef struct {
    const char        *dir;
    const kmq_user_t  *user;
    kmq_log_t          log;
    void              *arg;
} work_t;


static int
enter(const work_t *w)
{
    return kmq_user_enter(w->user, w->log, w->arg);
}


static int
leave(const work_t *w)
{
    return kmq_user_leave(w->log, w->arg);
}


/* Returns -1. */
static int
cannot(const work_t *w, const char *what, int error)
{
    kmq_log(w->log, w->arg, KMQ_LOG_ERROR, "%s \"%s\" failed: %s", what,
            w->dir, strerror(error));

    return -1;
}


/* ------------------------------------------------------------ what is there */

typedef struct {
    const work_t  *work;
    int            fd;
    unsigned       ours;
    unsigned       others;
    unsigned       failed;
    char           other[KMQ_NAME_SIZE];
} contents_t;


static int
ends_with(const char *name, const char *end)
{
    size_t  n, len;

    n = strlen(name);
    len = strlen(end);

    return n > len && strcmp(name + n - len, end) == 0;
}


static int
is_aside(const char *name)
{
    return strncmp(name, "aside-", 6) == 0;
}


/* A lock file, which others have, too, says nothing, nor does what a node of a
 * cluster has beside the files. */
static void
contents_add(void *arg, const char *name)
{
    contents_t  *c = arg;

    uint64_t  generation;

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0
        || strcmp(name, "lock") == 0 || strcmp(name, "lost+found") == 0
        || strcmp(name, "stream") == 0 || strcmp(name, "seed") == 0)
    {
        return;
    }

    if (kmq_file_kind(name, &generation) != KMQ_FILE_NONE || is_aside(name)
        || ends_with(name, ".damaged"))
    {
        c->ours++;
        return;
    }

    c->others++;
    (void) snprintf(c->other, sizeof(c->other), "%s", name);
}


static int
each(const work_t *w, void (*entry)(void *arg, const char *name), void *arg)
{
    int  rc;

    rc = kmq_io_system.list(&kmq_io_system, w->dir, entry, arg);

    return rc < 0 ? cannot(w, "reading the directory", -rc) : 0;
}


/* Somebody else's is not to be filled with files. */
static int
contents_fit(const work_t *w)
{
    contents_t  c;

    memset(&c, 0, sizeof(c));

    if (each(w, contents_add, &c) != 0) {
        return -1;
    }

    if (c.others == 0 || c.ours) {
        return 0;
    }

    kmq_log(w->log, w->arg, KMQ_LOG_ERROR, "the directory \"%s\" has \"%s\" "
            "in it, and no files of a queue: it is not taken for one", w->dir,
            c.other);

    return -1;
}


/* --------------------------------------------------------------- its rights */

static int
unusable(const work_t *w, int error)
{
    struct stat     st;
    struct passwd  *pw;

    if (error == ENOTDIR) {
        kmq_log(w->log, w->arg, KMQ_LOG_ERROR, "\"%s\" is not a directory",
                w->dir);
        return -1;
    }

    if (w->user->name == NULL) {
        return cannot(w, "using the directory", error);
    }

    if (stat(w->dir, &st) == -1) {
        kmq_log(w->log, w->arg, KMQ_LOG_ERROR, "user \"%s\" cannot use the "
                "directory \"%s\": %s", w->user->name, w->dir,
                strerror(error));
        return -1;
    }

    pw = getpwuid(st.st_uid);

    kmq_log(w->log, w->arg, KMQ_LOG_ERROR, "user \"%s\" cannot use the "
            "directory \"%s\", which belongs to user \"%s\" (%d): %s",
            w->user->name, w->dir, pw ? pw->pw_name : "", (int) st.st_uid,
            strerror(error));

    return -1;
}


/* It can be read, and files be made and removed. */
static int
usable(const work_t *w, int fd)
{
    if (faccessat(fd, ".", R_OK|W_OK|X_OK, AT_EACCESS) == -1) {
        return unusable(w, errno);
    }

    return contents_fit(w);
}


/* ------------------------------------------------------------------- making */

/* Where the directory is to be, and its name there. */
static void
parent_of(const char *dir, char parent[KMQ_PATH_SIZE], const char **base)
{
    const char  *slash;

    slash = strrchr(dir, '/');
    *base = slash ? slash + 1 : dir;

    (void) snprintf(parent, KMQ_PATH_SIZE, "%.*s",
                    slash == NULL ? 1 : slash == dir ? 1 : (int) (slash - dir),
                    slash ? dir : ".");
}


/* Gives away what has just been made, if it is still that. */
static int
directory_give(int fd, const kmq_user_t *user)
{
    struct stat  st;

    if (fstat(fd, &st) == -1) {
        return -1;
    }

    if (st.st_uid != geteuid() || (st.st_mode & 077)) {
        errno = EPERM;
        return -1;
    }

    return fchown(fd, user->uid, user->gid);
}


/* May the user have put something else in the place of what is in there? */
static int
user_rules(const char *dir, const kmq_user_t *user)
{
    struct stat  st;

    if (stat(dir, &st) == -1
        || ((int) st.st_uid == user->uid && user->uid != 0))
    {
        return 1;
    }

    return !(st.st_mode & S_ISVTX)
           && (st.st_mode & S_IWOTH
               || (st.st_mode & S_IWGRP && (int) st.st_gid == user->gid));
}


/* The same of the way to a directory, with that itself. */
static int
user_rules_way(const char *dir, const kmq_user_t *user)
{
    size_t  len;
    char    path[KMQ_PATH_SIZE];

    for (len = strlen(dir); len; len--) {

        if (dir[len] == '/' || dir[len] == '\0') {
            (void) snprintf(path, sizeof(path), "%.*s", (int) len, dir);

            if (user_rules(path, user)) {
                return 1;
            }
        }
    }

    return 0;
}


/* Whoever runs this does not follow the user to other places: neither by links
 * nor by what may become one.  0, or -1 and errno. */
static int
way_check(const char *dir, const kmq_user_t *user)
{
    char  real[PATH_MAX];

    if (realpath(dir, real) == NULL) {
        return -1;
    }

    if (user_rules_way(dir, user) || user_rules_way(real, user)) {
        errno = EACCES;
        return -1;
    }

    return 0;
}


/* The user may not make one there, whoever runs this may. */
static int
directory_make_for(const work_t *w)
{
    int          fd, parent, error;
    char         path[KMQ_PATH_SIZE];
    const char  *base;

    parent_of(w->dir, path, &base);

    if (way_check(path, w->user) == -1) {
        return -1;
    }

    parent = open(path, O_PATH|O_DIRECTORY|O_CLOEXEC);
    if (parent == -1) {
        return -1;
    }

    fd = -1;

    if (mkdirat(parent, base, 0700) == 0) {
        fd = openat(parent, base, O_RDONLY|O_DIRECTORY|O_NOFOLLOW|O_CLOEXEC);

        if (fd != -1 && directory_give(fd, w->user) == -1) {
            error = errno;
            (void) close(fd);
            fd = -1;
            errno = error;
        }
    }

    error = errno;
    (void) close(parent);
    errno = error;

    return fd;
}


/* A descriptor of a new one. */
static int
directory_make(const work_t *w)
{
    int  fd, error;

    if (mkdir(w->dir, 0700) == 0) {
        fd = open(w->dir, O_RDONLY|O_DIRECTORY|O_NOFOLLOW|O_CLOEXEC);

    } else if (errno != EACCES || w->user->name == NULL) {
        fd = -1;

    } else {

        if (leave(w) != 0) {
            return -1;
        }

        fd = directory_make_for(w);
        error = errno;

        if (enter(w) != 0) {
            (void) close(fd);
            return -1;
        }

        errno = error;
    }

    return fd == -1 ? cannot(w, "making the directory", errno) : fd;
}


/* One that is there, or a new one, which the user can use. */
static int
directory_get(const work_t *w)
{
    int  fd;

    fd = open(w->dir, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (fd == -1) {
        return errno == ENOENT ? directory_make(w) : unusable(w, errno);
    }

    if (usable(w, fd) != 0) {
        (void) close(fd);
        return -1;
    }

    return fd;
}


/* ------------------------------------------------------------------ locking */

/* 0, or -1 and errno, and with EWOULDBLOCK who has it. */
static int
lock_take(int fd, long *pid)
{
    unsigned  n;

    *pid = 0;

    for (n = 0; n < LOCK_TRIES; n++) {

        if (flock(fd, LOCK_EX|LOCK_NB) == 0) {
            return 0;
        }

        if (errno != EWOULDBLOCK) {
            return -1;
        }

        if (n == LOCK_LIVES) {
            *pid = kmq_holder(fd);

            if (*pid) {
                break;
            }
        }

        (void) usleep(LOCK_PAUSE);
    }

    errno = EWOULDBLOCK;

    return -1;
}


static int
lock(const work_t *w, int fd)
{
    long  pid;

    if (lock_take(fd, &pid) == 0) {
        return 0;
    }

    if (errno != EWOULDBLOCK) {
        return cannot(w, "locking the directory", errno);
    }

    if (pid) {
        kmq_log(w->log, w->arg, KMQ_LOG_ERROR, "the queue in \"%s\" is in "
                "use by process %ld", w->dir, pid);
    } else {
        kmq_log(w->log, w->arg, KMQ_LOG_ERROR, "the queue in \"%s\" is in "
                "use by a process that cannot be seen from here", w->dir);
    }

    return -1;
}


/* Returns -1. */
static int
lock_wrong(const work_t *w)
{
    kmq_log(w->log, w->arg, KMQ_LOG_ERROR, "\"%s/lock\" is not a regular "
            "file", w->dir);

    return -1;
}


/* Earlier versions lock that alone, and file systems of a network nothing
 * else. */
static int
lock_open(const work_t *w, int dir)
{
    int          fd;
    struct stat  st;

    fd = openat(dir, "lock", O_RDWR|O_CREAT|O_NOFOLLOW|O_NONBLOCK|O_CLOEXEC,
                0600);

    if (fd == -1) {
        return errno == ELOOP || errno == EISDIR
               ? lock_wrong(w) : cannot(w, "opening the lock in", errno);
    }

    if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)) {
        (void) close(fd);
        return lock_wrong(w);
    }

    return fd;
}


/* With the user's rights. */
static int
directory_open(const work_t *w, kmq_directory_t *d)
{
    struct stat  st;

    d->lock = -1;
    d->fd = directory_get(w);

    if (d->fd == -1) {
        return -1;
    }

    if (fstat(d->fd, &st) == 0 && (st.st_mode & 022)) {
        kmq_log(w->log, w->arg, KMQ_LOG_WARN, "the directory \"%s\" can be "
                "changed by others than its owner: its mode is %04o", w->dir,
                (unsigned) st.st_mode & 07777);
    }

    d->lock = lock_open(w, d->fd);

    return d->lock == -1 ? -1 : 0;
}


int
kmq_directory_open(kmq_directory_t *d, const char *dir,
    const kmq_user_t *user, kmq_log_t log, void *arg)
{
    int     rc;
    work_t  w = { dir, user, log, arg };

    d->fd = -1;
    d->lock = -1;

    if (strlen(dir) >= KMQ_PATH_SIZE - KMQ_NAME_SIZE) {
        return cannot(&w, "opening the directory", ENAMETOOLONG);
    }

    if (enter(&w) != 0) {
        return -1;
    }

    rc = directory_open(&w, d);

    if (leave(&w) != 0 || rc != 0 || lock(&w, d->fd) != 0
        || lock(&w, d->lock) != 0)
    {
        kmq_directory_close(d);
        return -1;
    }

    return 0;
}


void
kmq_directory_close(kmq_directory_t *d)
{
    if (d->lock != -1) {
        (void) close(d->lock);
    }

    if (d->fd != -1) {
        (void) close(d->fd);
    }

    d->lock = -1;
    d->fd = -1;
}


int
kmq_directory_same(const kmq_directory_t *d, const char *dir)
{
    return kmq_io_system.same(&kmq_io_system, d->fd, dir) == 0;
}


/* ----------------------------------------------------------------- checking */

/* Could it be made?  As the user, or as whoever runs this. */
static int
make_check(const work_t *w)
{
    int          rc;
    char         path[KMQ_PATH_SIZE];
    const char  *base;

    parent_of(w->dir, path, &base);

    rc = faccessat(AT_FDCWD, path, W_OK|X_OK, AT_EACCESS) == -1 ? errno : 0;

    if (rc == EACCES && w->user->name) {

        if (leave(w) != 0) {
            return -1;
        }

        rc = faccessat(AT_FDCWD, path, W_OK|X_OK, AT_EACCESS) == -1
             || way_check(path, w->user) == -1 ? errno : 0;

        if (enter(w) != 0) {
            return -1;
        }
    }

    return rc ? cannot(w, "making the directory", rc) : 0;
}


/* Recovery reads all of them.  Some may go meanwhile. */
static void
file_check(void *arg, const char *name)
{
    contents_t  *c = arg;

    unsigned  kind;
    uint64_t  generation;

    kind = kmq_file_kind(name, &generation);

    if (c->failed
        || (kind != KMQ_FILE_JOURNAL && kind != KMQ_FILE_CHECKPOINT)
        || faccessat(c->fd, name, R_OK, AT_EACCESS|AT_SYMLINK_NOFOLLOW) == 0
        || errno == ENOENT)
    {
        return;
    }

    c->failed = 1;
    kmq_log(c->work->log, c->work->arg, KMQ_LOG_ERROR, "reading \"%s/%s\" "
            "failed: %s", c->work->dir, name, strerror(errno));
}


static int
lock_check(const work_t *w, int dir)
{
    struct stat  st;

    if (fstatat(dir, "lock", &st, AT_SYMLINK_NOFOLLOW) == -1) {
        return 0;
    }

    if (!S_ISREG(st.st_mode)) {
        return lock_wrong(w);
    }

    return faccessat(dir, "lock", R_OK|W_OK, AT_EACCESS) == -1
           ? cannot(w, "opening the lock in", errno) : 0;
}


static int
directory_check(const work_t *w)
{
    int         fd, rc;
    contents_t  c;

    fd = open(w->dir, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (fd == -1) {
        return errno == ENOENT ? make_check(w) : unusable(w, errno);
    }

    memset(&c, 0, sizeof(c));
    c.work = w;
    c.fd = fd;

    rc = usable(w, fd) || lock_check(w, fd) || each(w, file_check, &c);

    (void) close(fd);

    return rc || c.failed ? -1 : 0;
}


int
kmq_directory_check(const char *dir, const kmq_user_t *user, kmq_log_t log,
    void *arg)
{
    int     rc;
    work_t  w = { dir, user, log, arg };

    if (enter(&w) != 0) {
        return -1;
    }

    rc = directory_check(&w);

    return leave(&w) == 0 ? rc : -1;
}


/* -------------------------------------------------------------- set aside */

typedef struct {
    const work_t  *work;
    char           aside[KMQ_PATH_SIZE];
    unsigned       moved;
    unsigned       failed;
    char         **kept;         /* names of those there are */
    unsigned       nkept;
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
                     a->work->dir, date, n)
            >= (int) sizeof(a->aside))
        {
            errno = ENAMETOOLONG;
            break;
        }

        if (mkdir(a->aside, 0700) == 0) {
            return 0;
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
        kmq_log(a->work->log, a->work->arg, KMQ_LOG_ERROR, "making the "
                "directory \"%s\" failed: %s", a->aside, strerror(errno));
        a->failed = 1;
        return;
    }

    (void) snprintf(from, sizeof(from), "%s/%s", a->work->dir, name);
    (void) snprintf(to, sizeof(to), "%s/%s", a->aside, name);

    if (rename(from, to) == -1) {
        kmq_log(a->work->log, a->work->arg, KMQ_LOG_ERROR, "moving \"%s\" to "
                "\"%s\" failed: %s", from, to, strerror(errno));
        a->failed = 1;
    }
}


static void
aside_found(void *arg, const char *name)
{
    aside_t  *a = arg;

    char  **kept;

    /* that of this time is not one of them, whichever name it has */

    if (!is_aside(name) || ends_with(a->aside, name)) {
        return;
    }

    kept = realloc(a->kept, (a->nkept + 1) * sizeof(char *));

    if (kept) {
        a->kept = kept;
        kept[a->nkept] = strdup(name);
        a->nkept += kept[a->nkept] != NULL;
    }
}


/* Their names are their times. */
static int
aside_compare(const void *one, const void *two)
{
    return strverscmp(*(char *const *) one, *(char *const *) two);
}


/* Removes what of a directory is ours, and it, when there was nothing else. */
static void
aside_remove(const aside_t *a, const char *name)
{
    int             fd;
    DIR            *d;
    char            path[KMQ_PATH_SIZE];
    uint64_t        generation;
    struct dirent  *e;

    (void) snprintf(path, sizeof(path), "%s/%.255s", a->work->dir, name);

    fd = open(path, O_RDONLY|O_DIRECTORY|O_NOFOLLOW|O_CLOEXEC);
    d = fd == -1 ? NULL : fdopendir(fd);

    if (d == NULL) {
        return;
    }

    while ((e = readdir(d))) {
        if (kmq_file_kind(e->d_name, &generation) != KMQ_FILE_NONE) {
            (void) unlinkat(fd, e->d_name, 0);
        }
    }

    (void) closedir(d);

    if (rmdir(path) == 0) {
        kmq_log(a->work->log, a->work->arg, KMQ_LOG_INFO, "\"%s\" was "
                "removed: the newest %u of its kind are kept", path,
                ASIDE_KEPT);
    }
}


static int
aside_prune(aside_t *a)
{
    int       rc;
    unsigned  i, kept;

    rc = each(a->work, aside_found, a);
    kept = ASIDE_KEPT - (a->moved != 0);

    if (a->nkept) {
        qsort(a->kept, a->nkept, sizeof(char *), aside_compare);
    }

    for (i = 0; i < a->nkept; i++) {

        if (i + kept < a->nkept) {
            aside_remove(a, a->kept[i]);
        }

        free(a->kept[i]);
    }

    free(a->kept);

    return rc;
}


int
kmq_directory_set_aside(const char *dir, kmq_log_t log, void *arg)
{
    work_t   w = { dir, NULL, log, arg };
    aside_t  a;

    memset(&a, 0, sizeof(a));
    a.work = &w;

    if (each(&w, aside_move, &a) != 0 || a.failed) {
        return -1;
    }

    if (a.moved) {
        kmq_log(log, arg, KMQ_LOG_WARN, "%u file(s) of an older queue were "
                "set aside in \"%s\"", a.moved, a.aside);
    }

    return aside_prune(&a);
}
