#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../engine_util.h"
#include "fs.h"


#define FS_FILES   512
#define FS_OPS     20000
#define FS_NAME    64
#define FS_SECTOR  512

typedef enum {
    FS_CREATE, FS_APPEND, FS_TRUNCATE, FS_SYNC, FS_SYNC_FAILED, FS_RENAME,
    FS_REMOVE, FS_SYNC_DIR
} fs_call_t;

typedef struct {
    fs_call_t       call;
    unsigned        file;
    size_t          n;             /* appended, or left */
    unsigned char  *data;          /* appended */
    char            name[FS_NAME];
    char            to[FS_NAME];
} fs_op_t;

typedef struct {
    size_t          len;
    char            name[FS_NAME];     /* now; "": it has none */
} fs_file_t;

/* Bytes of a file: all, as far as it goes, what was flushed, and what a failed
 * flush gave up; behind len, up to stale, what was cut off since. */
typedef struct {
    unsigned char  *data;
    size_t          len;
    size_t          stale;
    size_t          safe;
    size_t          bad;
    size_t          bad_end;
} fs_extent_t;

/* What of a file, or under which name, is there after a cut. */
typedef struct {
    char            name[FS_NAME];
    unsigned        file;
} fs_entry_t;

static fs_file_t   fs_file[FS_FILES];
static unsigned    fs_nfiles;
static fs_op_t     fs_op[FS_OPS];
static uint64_t    fs_random;

unsigned  fs_nops;
unsigned  fs_failures;


static const char *
fs_base(const char *path)
{
    const char  *slash;

    slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}


static int
fs_fails(void)
{
    return fs_failures && eu_below(&fs_random, 100) < fs_failures;
}


static fs_op_t *
fs_record(fs_call_t call, unsigned file, const char *name)
{
    fs_op_t  *op;

    if (fs_nops == FS_OPS) {
        printf("Bail out! too many calls for FS_OPS\n");
        exit(2);
    }

    op = &fs_op[fs_nops++];
    memset(op, 0, sizeof(fs_op_t));
    op->call = call;
    op->file = file;
    snprintf(op->name, FS_NAME, "%s", name);

    return op;
}


static fs_file_t *
fs_find(const char *name)
{
    unsigned  i;

    for (i = 0; i < fs_nfiles; i++) {
        if (strcmp(fs_file[i].name, name) == 0) {
            return &fs_file[i];
        }
    }

    return NULL;
}


/* -------------------------------------------------------------- kmq_io_t */

static int
fs_create(kmq_io_t *io, const char *path)
{
    (void) io;

    if (fs_fails()) {
        return -ENOSPC;
    }

    if (fs_find(fs_base(path))) {
        return -EEXIST;
    }

    if (fs_nfiles == FS_FILES) {
        printf("Bail out! too many files for FS_FILES\n");
        exit(2);
    }

    snprintf(fs_file[fs_nfiles].name, FS_NAME, "%s", fs_base(path));
    (void) fs_record(FS_CREATE, fs_nfiles, fs_base(path));

    return (int) fs_nfiles++;
}


static int
fs_append(kmq_io_t *io, int fd, const void *bytes, size_t n)
{
    int         fails;
    fs_op_t    *op;
    fs_file_t  *file = &fs_file[fd];

    (void) io;

    /* a failure may have written a part */

    fails = fs_fails();
    n = fails ? eu_below(&fs_random, (uint32_t) n + 1) : n;

    op = fs_record(FS_APPEND, fd, "");
    op->n = n;
    op->data = malloc(n + 1);

    if (op->data == NULL) {
        exit(2);
    }

    memcpy(op->data, bytes, n);
    file->len += n;

    return fails ? -EIO : 0;
}


static int
fs_truncate(kmq_io_t *io, int fd, uint64_t n)
{
    (void) io;

    if (fs_fails()) {
        return -EIO;
    }

    fs_file[fd].len = (size_t) n;
    fs_record(FS_TRUNCATE, fd, "")->n = (size_t) n;

    return 0;
}


static int
fs_room(kmq_io_t *io, const char *path, uint64_t *all, uint64_t *left)
{
    (void) io;
    (void) path;

    *all = 0;
    *left = UINT64_MAX;

    return 0;
}


static int
fs_sync(kmq_io_t *io, int fd)
{
    (void) io;

    if (fs_fails()) {
        (void) fs_record(FS_SYNC_FAILED, fd, "");
        return -EIO;
    }

    (void) fs_record(FS_SYNC, fd, "");

    return 0;
}


static int
fs_close(kmq_io_t *io, int fd)
{
    (void) io;
    (void) fd;

    return 0;
}


static int
fs_rename(kmq_io_t *io, const char *from, const char *to)
{
    fs_op_t    *op;
    fs_file_t  *file, *old;

    (void) io;

    if (fs_fails()) {
        return -EIO;
    }

    file = fs_find(fs_base(from));
    if (file == NULL) {
        return -ENOENT;
    }

    op = fs_record(FS_RENAME, (unsigned) (file - fs_file), fs_base(from));
    snprintf(op->to, FS_NAME, "%s", fs_base(to));

    old = fs_find(fs_base(to));

    if (old) {
        old->name[0] = '\0';
    }

    snprintf(file->name, FS_NAME, "%s", fs_base(to));

    return 0;
}


static int
fs_remove(kmq_io_t *io, const char *path)
{
    fs_file_t  *file;

    (void) io;

    file = fs_find(fs_base(path));

    if (file == NULL || fs_fails()) {
        return -ENOENT;
    }

    (void) fs_record(FS_REMOVE, (unsigned) (file - fs_file), fs_base(path));
    file->name[0] = '\0';

    return 0;
}


static int
fs_sync_dir(kmq_io_t *io, const char *dir)
{
    (void) io;
    (void) dir;

    if (fs_fails()) {
        return -EIO;
    }

    (void) fs_record(FS_SYNC_DIR, 0, "");

    return 0;
}


static int
fs_same(kmq_io_t *io, int fd, const char *path)
{
    (void) io;

    return strcmp(fs_file[fd].name, fs_base(path)) == 0 ? 0 : -ENOENT;
}


static int
fs_list(kmq_io_t *io, const char *dir,
    void (*entry)(void *arg, const char *name), void *arg)
{
    char      name[FS_NAME];
    unsigned  i;

    (void) io;
    (void) dir;

    for (i = 0; i < fs_nfiles; i++) {
        if (fs_file[i].name[0]) {
            memcpy(name, fs_file[i].name, FS_NAME);
            entry(arg, name);
        }
    }

    return 0;
}


kmq_io_t  fs_io = {
    fs_create, fs_append, fs_truncate, fs_room, fs_sync, fs_close, fs_rename,
    fs_remove, fs_sync_dir, fs_same, fs_list
};


void
fs_reset(uint64_t seed)
{
    unsigned  i;

    for (i = 0; i < fs_nops; i++) {
        free(fs_op[i].data);
    }

    memset(fs_file, 0, sizeof(fs_file));
    fs_nfiles = 0;
    fs_nops = 0;
    fs_random = seed;
    fs_failures = 0;
}


/* ------------------------------------------------------ the loss of power */

static unsigned
fs_entry_find(const fs_entry_t *e, unsigned n, const char *name)
{
    unsigned  i;

    for (i = 0; i < n && strcmp(e[i].name, name) != 0; i++) { /* void */ }

    return i;
}


/* One change of names happens, if it can without those that did not. */
static void
fs_entry_apply(fs_entry_t *e, unsigned *n, const fs_op_t *op)
{
    unsigned  i, to;

    i = fs_entry_find(e, *n, op->name);

    switch (op->call) {

    case FS_CREATE:

        if (i == *n) {
            memcpy(e[*n].name, op->name, FS_NAME);
            e[(*n)++].file = op->file;
        }

        break;

    case FS_RENAME:

        if (i < *n) {
            to = fs_entry_find(e, *n, op->to);
            memcpy(e[i].name, op->to, FS_NAME);

            if (to < *n) {
                e[to] = e[--(*n)];
            }
        }

        break;

    case FS_REMOVE:

        if (i < *n) {
            e[i] = e[--(*n)];
        }

        break;

    default:
        break;
    }
}


/* The names that are there after the first cut calls. */
static unsigned
fs_names(unsigned cut, uint64_t *r, fs_entry_t *e)
{
    unsigned  i, n, safe, style;

    n = 0;
    safe = 0;
    style = eu_below(r, 4);

    for (i = 0; i < cut; i++) {
        if (fs_op[i].call == FS_SYNC_DIR) {
            safe = i;
        }
    }

    for (i = 0; i < cut; i++) {

        /* all of them, none, or any */

        if (i < safe || style == 0 || (style > 1 && eu_below(r, 2))) {
            fs_entry_apply(e, &n, &fs_op[i]);
        }
    }

    return n;
}


static void
fs_extent_append(fs_extent_t *e, const fs_op_t *op)
{
    size_t  room;

    room = e->stale > e->len + op->n ? e->stale : e->len + op->n;
    e->data = realloc(e->data, room + 1);

    if (e->data == NULL) {
        exit(2);
    }

    memcpy(e->data + e->len, op->data, op->n);
    e->len += op->n;
    e->stale = room;
}


/* What a file is, and how far it is safe, after the first cut calls; its data
 * is the caller's. */
static void
fs_extent(unsigned file, unsigned cut, fs_extent_t *e)
{
    unsigned  i;

    memset(e, 0, sizeof(fs_extent_t));

    for (i = 0; i < cut; i++) {

        if (fs_op[i].file != file) {
            continue;
        }

        switch (fs_op[i].call) {

        case FS_APPEND:
            fs_extent_append(e, &fs_op[i]);
            break;

        case FS_TRUNCATE:
            e->len = fs_op[i].n;
            e->safe = e->safe < e->len ? e->safe : e->len;
            e->bad = e->bad < e->len ? e->bad : e->len;
            break;

        case FS_SYNC:
            e->safe = e->len;
            e->stale = e->len;
            break;

        case FS_SYNC_FAILED:

            if (e->safe < e->len) {
                e->bad = e->bad_end ? e->bad : e->safe;
                e->bad_end = e->len;
            }

            break;

        default:
            break;
        }
    }
}


/* Of the bytes from from to to, some sectors, or parts of them, read as
 * zeros. */
static void
fs_tear(unsigned char *data, size_t from, size_t to, uint64_t *r)
{
    size_t  end;

    for ( /* void */ ; from < to; from = end) {
        end = (from / FS_SECTOR + 1) * FS_SECTOR;
        end = end < to ? end : to;

        if (eu_below(r, 3) == 0) {
            memset(data + from, 0, end - from);
        }
    }
}


static void
fs_file_make(const char *path, const unsigned char *data, size_t len)
{
    int  fd;

    fd = open(path, O_WRONLY|O_CREAT|O_TRUNC, 0600);

    if (fd == -1 || write(fd, data, len) != (ssize_t) len) {
        printf("Bail out! writing %s: %s\n", path, strerror(errno));
        exit(2);
    }

    close(fd);
}


/* Writes what is there of a file to path. */
static void
fs_write(const char *path, unsigned file, unsigned cut, uint64_t *r)
{
    size_t          len;
    unsigned        style;
    fs_extent_t     e;
    unsigned char  *data;

    fs_extent(file, cut, &e);

    style = eu_below(r, 6);
    len = style == 5 ? e.stale : e.len;

    if (style == 0) {
        len = e.safe;

    } else if (style == 1 || style == 2) {
        len = e.safe + eu_below(r, (uint32_t) (e.len - e.safe) + 1);
    }

    data = malloc(len + 1);
    if (data == NULL) {
        exit(2);
    }

    memcpy(data, e.data ? e.data : data, len);
    free(e.data);

    if (style == 2 || style == 3) {
        fs_tear(data, e.safe, len, r);
    }

    if (e.bad_end && style) {
        fs_tear(data, e.bad, e.bad_end < len ? e.bad_end : len, r);
    }

    fs_file_make(path, data, len);
    free(data);
}


/* Makes in dir what may be there. */
void
fs_cut(const char *dir, unsigned cut, uint64_t *r)
{
    char               path[512];
    unsigned           i, n;
    static fs_entry_t  entry[FS_FILES];

    n = fs_names(cut, r, entry);

    for (i = 0; i < n; i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, entry[i].name);
        fs_write(path, entry[i].file, cut, r);
    }
}
