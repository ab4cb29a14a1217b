/*
 * Recovery: the newest complete checkpoint, then the journals of its
 * generation and of later ones, all at once, in the order of their records'
 * numbers.
 */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kmq_file.h"


#define PROGRESS_TIME   5000     /* ms between two lines in the log */
#define PROGRESS_CHECK  65536    /* records between two looks at the clock */
#define REPORTS_MAX     100      /* places of damage that get a line each */

/* More files, which each start adds to, are replaced by a checkpoint. */
#define FILES_MAX       64

typedef struct {
    char       name[300];
    unsigned   kind;
    uint64_t   generation;
    int        damaged;
} found_t;

typedef struct {
    kmq_reader_t  reader;
    kmq_record_t  record;        /* the next one; size 0: none */
} stream_t;

typedef struct {
    kmq_recovery_t  *rc;
    kmq_restore_t   *rs;

    found_t         *file;
    size_t           nfiles;
    int              failed;     /* an errno */
    uint64_t         generation; /* of the checkpoint, 0: none */
    uint64_t         highest;    /* of all files */
    uint64_t         start;
    uint64_t         lsn;        /* of the last journal record applied */
    uint64_t         key[2];
    int              key_file;   /* there was one that had it */
    uint64_t         key_generation;
    uint64_t         checkpoint; /* its bytes */
    uint64_t         told;       /* ms: the last progress */
} recovery_t;


__attribute__((format(printf, 3, 4)))
static void
tell(recovery_t *re, int level, const char *format, ...)
{
    char     text[KMQ_PATH_SIZE + 512];
    va_list  args;

    va_start(args, format);
    (void) vsnprintf(text, sizeof(text), format, args);
    va_end(args);

    re->rc->log(re->rc->arg, level, text);
}


static void
path_of(const recovery_t *re, const found_t *file, char path[KMQ_PATH_SIZE])
{
    (void) snprintf(path, KMQ_PATH_SIZE, "%s/%s", re->rc->dir, file->name);
}


/* ----------------------------------------------------------------- damage */

static found_t *
file_of(recovery_t *re, const char *path)
{
    char    name[KMQ_PATH_SIZE];
    size_t  i;

    for (i = 0; i + 1 < re->nfiles; i++) {
        path_of(re, &re->file[i], name);

        if (strcmp(name, path) == 0) {
            break;
        }
    }

    return &re->file[i];
}


static void
damage_report(void *arg, const char *path, uint64_t offset, uint64_t n,
    const char *what, int torn)
{
    recovery_t  *re = arg;

    if (torn) {

        /* that is how a journal ends when its writer was interrupted */

        tell(re, KMQ_LOG_WARN, "\"%s\" ends at %llu with %llu bytes of a "
             "write that was cut short", path, (unsigned long long) offset,
             (unsigned long long) n);
        return;
    }

    file_of(re, path)->damaged = 1;

    if (re->rc->damaged++ < REPORTS_MAX) {
        tell(re, KMQ_LOG_ERROR, "\"%s\" is damaged at %llu, %llu bytes: %s",
             path, (unsigned long long) offset, (unsigned long long) n, what);
    }
}


/* A damaged file stays, under a second name, for whoever can make more of it;
 * the next checkpoint removes the first one. */
static void
damaged_keep(recovery_t *re)
{
    char    path[KMQ_PATH_SIZE], kept[KMQ_PATH_SIZE + 16];
    size_t  i;

    for (i = 0; i < re->nfiles; i++) {

        if (!re->file[i].damaged) {
            continue;
        }

        path_of(re, &re->file[i], path);
        (void) snprintf(kept, sizeof(kept), "%s.damaged", path);

        if (link(path, kept) == 0) {
            tell(re, KMQ_LOG_WARN, "it is kept as \"%s\"", kept);

        } else if (errno != EEXIST) {
            tell(re, KMQ_LOG_ERROR, "keeping it as \"%s\" failed: %s", kept,
                 strerror(errno));
        }
    }
}


/* --------------------------------------------------------------- the files */

static void
file_found(void *arg, const char *name)
{
    recovery_t  *re = arg;

    found_t   *file;
    unsigned   kind;
    uint64_t   generation;

    kind = kmq_file_kind(name, &generation);

    if (kind == KMQ_FILE_NONE || re->failed) {
        return;
    }

    file = realloc(re->file, (re->nfiles + 1) * sizeof(found_t));
    if (file == NULL) {
        re->failed = ENOMEM;
        return;
    }

    re->file = file;
    file += re->nfiles++;

    (void) snprintf(file->name, sizeof(file->name), "%s", name);
    file->kind = kind;
    file->generation = generation;
    file->damaged = 0;

    if (generation > re->highest) {
        re->highest = generation;
    }
}


/* 1, or 0: it cannot be read as a file of ours; -1: all must stop. */
static int
file_open(recovery_t *re, found_t *file, kmq_reader_t *reader)
{
    int   rc;
    char  path[KMQ_PATH_SIZE];

    path_of(re, file, path);

    rc = kmq_reader_open(reader, path, file->kind, file->generation,
                         damage_report, re);

    if (rc < 0) {
        tell(re, KMQ_LOG_ERROR, "reading \"%s\" failed: %s", path,
             strerror(-rc));
        return -1;
    }

    re->rc->files++;
    re->rc->bytes += reader->size;

    if (reader->head.version
        && (re->key_file == 0
            || reader->head.info.generation > re->key_generation))
    {
        re->key_file = 1;
        re->key_generation = reader->head.info.generation;
        re->key[0] = reader->head.info.key[0];
        re->key[1] = reader->head.info.key[1];
    }

    return 1;
}


/* ------------------------------------------------------------ one record */

static void
progress(recovery_t *re)
{
    uint64_t  now;

    if (++re->rc->records % PROGRESS_CHECK) {
        return;
    }

    now = kmq_file_now();

    if (now - re->told >= PROGRESS_TIME) {
        re->told = now;
        tell(re, KMQ_LOG_WARN, "recovering: %llu records so far",
             (unsigned long long) re->rc->records);
    }
}


/* 0, or -1: the block is full. */
static int
apply(recovery_t *re, const kmq_record_t *r)
{
    progress(re);

    if (kmq_restore_record(re->rs, r) != KMQ_NOMEM) {
        return 0;
    }

    tell(re, KMQ_LOG_ERROR, "\"%s\" has more messages than there is room for "
         "in the zone: make it larger", re->rc->dir);

    return -1;
}


/* --------------------------------------------------------- the checkpoint */

/* The newest one that is complete, or else the newest at all; NULL: there is
 * none.  -1: one cannot be read, and might be it. */
static int
checkpoint_choose(recovery_t *re, found_t **chosen)
{
    int           rc, complete;
    char          path[KMQ_PATH_SIZE];
    size_t        i;
    found_t      *best, *file;
    kmq_reader_t  reader;
    int           best_complete;

    best = NULL;
    best_complete = 0;

    for (i = 0; i < re->nfiles; i++) {
        file = &re->file[i];

        if (file->kind != KMQ_FILE_CHECKPOINT) {
            continue;
        }

        path_of(re, file, path);

        rc = kmq_reader_open(&reader, path, file->kind, file->generation,
                             NULL, NULL);
        if (rc < 0) {
            tell(re, KMQ_LOG_ERROR, "reading \"%s\" failed: %s", path,
                 strerror(-rc));
            return -1;
        }

        complete = kmq_reader_complete(&reader);
        kmq_reader_close(&reader);

        if (best == NULL || complete > best_complete
            || (complete == best_complete
                && file->generation > best->generation))
        {
            best = file;
            best_complete = complete;
        }
    }

    if (best && !best_complete) {
        path_of(re, best, path);
        tell(re, KMQ_LOG_ERROR, "\"%s\" has no end: what there is of it is "
             "taken", path);
        best->damaged = 1;
        re->rc->damaged++;
    }

    *chosen = best;

    return 0;
}


static int
checkpoint_load(recovery_t *re)
{
    int            rc;
    found_t       *file;
    kmq_record_t   r;
    kmq_reader_t   reader;

    rc = checkpoint_choose(re, &file);

    if (rc != 0 || file == NULL) {
        return rc;
    }

    re->generation = file->generation;

    if (file_open(re, file, &reader) != 1) {
        return -1;
    }

    re->checkpoint = reader.size;
    re->start = reader.head.info.start;

    while ((rc = kmq_reader_next(&reader, &r)) == 1) {

        if (re->start == 0 || r.lsn < re->start) {
            re->start = r.lsn;
        }

        if (apply(re, &r) != 0) {
            kmq_reader_close(&reader);
            return -1;
        }
    }

    if (rc < 0) {
        tell(re, KMQ_LOG_ERROR, "reading \"%s\" failed: %s", reader.path,
             strerror(-rc));
    }

    kmq_reader_close(&reader);

    return rc;
}


/* ------------------------------------------------------------ the journals */

static int
stream_next(recovery_t *re, stream_t *stream)
{
    int  rc;

    do {
        rc = kmq_reader_next(&stream->reader, &stream->record);
    } while (rc == 1 && stream->record.lsn <= re->start);

    if (rc < 0) {
        tell(re, KMQ_LOG_ERROR, "reading \"%s\" failed: %s",
             stream->reader.path, strerror(-rc));
        return -1;
    }

    if (rc == 0) {
        stream->record.size = 0;
        kmq_reader_close(&stream->reader);
    }

    return 0;
}


/* Which of the streams has the lowest number, and in *until up to which one
 * that stays so; n: none has any. */
static size_t
stream_lowest(const stream_t *stream, size_t n, uint64_t *until)
{
    size_t  i, lowest;

    lowest = n;
    *until = UINT64_MAX;

    for (i = 0; i < n; i++) {

        if (stream[i].record.size == 0) {
            continue;
        }

        if (lowest == n || stream[i].record.lsn < stream[lowest].record.lsn) {

            if (lowest != n) {
                *until = stream[lowest].record.lsn;
            }

            lowest = i;

        } else if (stream[i].record.lsn < *until) {
            *until = stream[i].record.lsn;
        }
    }

    return lowest;
}


static int
journals_merge(recovery_t *re, stream_t *stream, size_t n)
{
    size_t     i;
    uint64_t   until;
    stream_t  *s;

    for ( ;; ) {
        i = stream_lowest(stream, n, &until);

        if (i == n) {
            return 0;
        }

        s = &stream[i];

        do {
            /* the same number twice: a file was copied */

            if (s->record.lsn > re->lsn && apply(re, &s->record) != 0) {
                return -1;
            }

            re->lsn = s->record.lsn;

            if (stream_next(re, s) != 0) {
                return -1;
            }

        } while (s->record.size && s->record.lsn <= until);
    }
}


/* A journal of an older generation is in the checkpoint, whichever name it
 * has. */
static int
journal_wanted(recovery_t *re, const found_t *file)
{
    int           newer;
    char          path[KMQ_PATH_SIZE];
    kmq_reader_t  reader;

    if (file->kind != KMQ_FILE_JOURNAL
        || file->generation >= re->generation)
    {
        return file->kind == KMQ_FILE_JOURNAL;
    }

    path_of(re, file, path);

    if (kmq_reader_open(&reader, path, file->kind, file->generation, NULL,
                        NULL)
        < 0)
    {
        return 0;
    }

    newer = reader.head.info.generation >= re->generation;

    kmq_reader_close(&reader);

    return newer;
}


/* Opens those that matter, each at its first record. */
static int
journals_open(recovery_t *re, stream_t *stream, size_t *n)
{
    size_t    i;
    found_t  *file;

    for (i = 0; i < re->nfiles; i++) {
        file = &re->file[i];

        if (!journal_wanted(re, file)) {
            continue;
        }

        if (file_open(re, file, &stream[*n].reader) != 1) {
            return -1;
        }

        (*n)++;

        if (stream_next(re, &stream[*n - 1]) != 0) {
            return -1;
        }
    }

    return 0;
}


static int
journals_load(recovery_t *re)
{
    int        rc;
    size_t     i, n;
    stream_t  *stream;

    stream = calloc(re->nfiles + 1, sizeof(stream_t));
    if (stream == NULL) {
        tell(re, KMQ_LOG_ERROR, "no memory to read %zu files", re->nfiles);
        return -1;
    }

    for (i = 0; i < re->nfiles; i++) {
        stream[i].reader.fd = -1;
    }

    n = 0;
    re->lsn = re->start;

    rc = journals_open(re, stream, &n);

    if (rc == 0) {
        rc = journals_merge(re, stream, n);
    }

    for (i = 0; i < n; i++) {
        kmq_reader_close(&stream[i].reader);
    }

    free(stream);

    return rc;
}


/* -------------------------------------------------------------------- all */

/* What an interrupted checkpoint has left. */
static void
leftovers_remove(recovery_t *re)
{
    char    path[KMQ_PATH_SIZE];
    size_t  i;

    for (i = 0; i < re->nfiles; i++) {

        if (re->file[i].kind == KMQ_FILE_NEW) {
            path_of(re, &re->file[i], path);
            (void) unlink(path);
        }
    }
}


static int
load(recovery_t *re)
{
    int  rc;

    rc = kmq_io_system.list(&kmq_io_system, re->rc->dir, file_found, re);

    if (rc < 0 || re->failed) {
        tell(re, KMQ_LOG_ERROR, "reading the directory \"%s\" failed: %s",
             re->rc->dir, strerror(rc < 0 ? -rc : re->failed));
        return -1;
    }

    if (checkpoint_load(re) != 0 || journals_load(re) != 0) {
        return -1;
    }

    leftovers_remove(re);
    damaged_keep(re);

    return 0;
}


int
kmq_recover(kmq_recovery_t *rc)
{
    recovery_t           re;
    kmq_restore_files_t  files;

    memset(&re, 0, sizeof(re));
    re.rc = rc;
    re.told = kmq_file_now();
    re.rs = kmq_restore_begin(rc->block, rc->size, rc->mono, rc->wall);

    if (re.rs == NULL) {
        tell(&re, KMQ_LOG_ERROR, "no memory for the recovery of \"%s\"",
             rc->dir);
        return -1;
    }

    if (load(&re) != 0) {
        kmq_restore_free(re.rs);
        free(re.file);
        return -1;
    }

    files.generation = re.highest;
    files.key = re.key_file ? re.key : NULL;
    files.checkpoint = re.checkpoint;
    files.journals = rc->bytes - re.checkpoint;
    files.renew = rc->damaged || rc->files > FILES_MAX;

    kmq_restore_end(re.rs, &files, &rc->restored);
    free(re.file);

    return 0;
}
