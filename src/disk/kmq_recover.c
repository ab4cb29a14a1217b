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
#include <sys/stat.h>
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
    int        newer;            /* than its name says */
    int        damaged;
} found_t;

/* A journal, which is open only as long as its records have their turn. */
typedef struct {
    found_t       *file;
    uint64_t       first;        /* number of its first record that matters */
    kmq_reader_t  *reader;       /* NULL: not open */
    kmq_record_t   record;       /* the next one; size 0: none */
} stream_t;

typedef struct {
    kmq_recovery_t  *rc;
    kmq_restore_t   *rs;

    found_t         *file;
    size_t           nfiles;
    int              failed;     /* an errno */
    uint64_t         generation; /* of the checkpoint, 0: none */
    int              complete;   /* which is */
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

/* A pipe, a device, a link to somewhere else is none of ours. */
static int
file_is_regular(recovery_t *re, const char *name)
{
    char         path[KMQ_PATH_SIZE];
    struct stat  st;

    (void) snprintf(path, sizeof(path), "%s/%s", re->rc->dir, name);

    if (lstat(path, &st) == -1 || S_ISREG(st.st_mode)) {
        return 1;
    }

    tell(re, KMQ_LOG_ERROR, "\"%s\" is not a regular file, it is passed over",
         path);

    return 0;
}


static void
file_found(void *arg, const char *name)
{
    recovery_t  *re = arg;

    found_t   *file;
    unsigned   kind;
    uint64_t   generation;

    kind = kmq_file_kind(name, &generation);

    if (kind == KMQ_FILE_NONE || re->failed || !file_is_regular(re, name)) {
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
    file->newer = 0;
    file->damaged = 0;

    if (generation > re->highest) {
        re->highest = generation;
    }
}


/* Opening a file has failed with rc. */
static void
open_failed(recovery_t *re, kmq_reader_t *reader, const char *path, int rc)
{
    re->rc->overtaken |= rc == -ENOENT;

    tell(re, KMQ_LOG_ERROR, "reading \"%s\" failed: %s", path,
         kmq_reader_error(reader, rc));
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
        open_failed(re, reader, path, rc);
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
            open_failed(re, &reader, path, rc);
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
    re->complete = best_complete;

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

static void
stream_close(stream_t *stream)
{
    if (stream->reader) {
        kmq_reader_close(stream->reader);
        free(stream->reader);
    }

    stream->reader = NULL;
    stream->record.size = 0;
}


/* The next record that the checkpoint does not show; size 0: none. */
static int
stream_next(recovery_t *re, stream_t *stream)
{
    int  rc;

    do {
        rc = kmq_reader_next(stream->reader, &stream->record);
    } while (rc == 1 && (stream->record.lsn <= re->start
                         || stream->record.type == KMQ_RECORD_PLACE));

    if (rc < 0) {
        tell(re, KMQ_LOG_ERROR, "reading \"%s\" failed: %s",
             stream->reader->path, strerror(-rc));
        return -1;
    }

    if (rc == 0) {
        stream_close(stream);
    }

    return 0;
}


static kmq_reader_t *
reader_create(recovery_t *re)
{
    kmq_reader_t  *reader;

    reader = malloc(sizeof(kmq_reader_t));

    if (reader == NULL) {
        tell(re, KMQ_LOG_ERROR, "no memory to read a journal");
    }

    return reader;
}


/* Opens it at its first record, once more: what is wrong before that has been
 * told. */
static int
stream_open(recovery_t *re, stream_t *stream)
{
    int            rc;
    char           path[KMQ_PATH_SIZE];
    kmq_reader_t  *reader;

    reader = reader_create(re);
    if (reader == NULL) {
        return -1;
    }

    path_of(re, stream->file, path);

    rc = kmq_reader_open(reader, path, stream->file->kind,
                         stream->file->generation, NULL, NULL);
    if (rc < 0) {
        open_failed(re, reader, path, rc);
        free(reader);
        return -1;
    }

    stream->reader = reader;
    rc = stream_next(re, stream);

    if (stream->reader) {
        reader->damage = damage_report;
        reader->arg = re;
    }

    return rc;
}


/* Which of the n that are open has the lowest number, and in *until up to which
 * one that stays so; n: none has any. */
static size_t
stream_lowest(const stream_t *stream, size_t n, uint64_t *until)
{
    size_t  i, lowest;

    lowest = n;

    for (i = 0; i < n; i++) {

        if (lowest == n || stream[i].record.lsn < stream[lowest].record.lsn) {

            if (lowest != n && stream[lowest].record.lsn < *until) {
                *until = stream[lowest].record.lsn;
            }

            lowest = i;

        } else if (stream[i].record.lsn < *until) {
            *until = stream[i].record.lsn;
        }
    }

    return lowest;
}


/* Applies a stream's records up to that number. */
static int
stream_apply(recovery_t *re, stream_t *s, uint64_t until)
{
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

    return 0;
}


/* Streams are in the order of their first records: those before next have been
 * opened, and of these the first n are open. */
static int
journals_merge(recovery_t *re, stream_t *stream, size_t nstreams)
{
    size_t     i, n, next;
    uint64_t   until;

    n = 0;
    next = 0;

    for ( ;; ) {
        until = next < nstreams ? stream[next].first : UINT64_MAX;
        i = stream_lowest(stream, n, &until);

        if (next < nstreams
            && (i == n || stream[i].record.lsn >= stream[next].first))
        {
            stream[n] = stream[next++];

            if (stream_open(re, &stream[n]) != 0) {
                return -1;
            }

            n += stream[n].reader != NULL;
            continue;
        }

        if (i == n) {
            return 0;
        }

        if (stream_apply(re, &stream[i], until) != 0) {
            return -1;
        }

        if (stream[i].reader == NULL) {
            stream[i] = stream[--n];
            stream[n].reader = NULL;
        }
    }
}


/* A journal of an older generation is in the checkpoint, whichever name it
 * has. */
static int
journal_wanted(recovery_t *re, found_t *file)
{
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

    file->newer = reader.head.info.generation >= re->generation;

    kmq_reader_close(&reader);

    return file->newer;
}


/* Looks for the first record of a journal; 1: there is one that matters. */
static int
stream_first(recovery_t *re, stream_t *stream, found_t *file)
{
    stream->file = file;
    stream->reader = reader_create(re);

    if (stream->reader == NULL) {
        return -1;
    }

    if (file_open(re, file, stream->reader) != 1) {
        free(stream->reader);
        stream->reader = NULL;
        return -1;
    }

    if (stream_next(re, stream) != 0) {
        return -1;
    }

    if (stream->reader == NULL) {
        return 0;
    }

    stream->first = stream->record.lsn;
    stream_close(stream);

    return 1;
}


/* Those that matter; there may be more than files that can be open. */
static int
journals_find(recovery_t *re, stream_t *stream, size_t *n)
{
    int     rc;
    size_t  i;

    for (i = 0; i < re->nfiles; i++) {

        if (!journal_wanted(re, &re->file[i])) {
            continue;
        }

        rc = stream_first(re, &stream[*n], &re->file[i]);

        if (rc < 0) {
            stream_close(&stream[*n]);
            return -1;
        }

        *n += rc;
    }

    return 0;
}


static int
stream_compare(const void *one, const void *two)
{
    const stream_t  *a = one, *b = two;

    return a->first < b->first ? -1 : a->first > b->first;
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

    n = 0;
    re->lsn = re->start;

    rc = journals_find(re, stream, &n);

    if (rc == 0) {
        qsort(stream, n, sizeof(stream_t), stream_compare);
        rc = journals_merge(re, stream, n);
    }

    for (i = 0; i < n; i++) {
        stream_close(&stream[i]);
    }

    free(stream);

    return rc;
}


/* -------------------------------------------------------------------- all */

/* What an interrupted checkpoint has left, and what a complete one has made
 * superfluous. */
static void
leftovers_remove(recovery_t *re)
{
    int       older;
    char      path[KMQ_PATH_SIZE];
    size_t    i;
    found_t  *file;

    older = re->complete && re->rc->damaged == 0
            && kmq_io_system.sync_dir(&kmq_io_system, re->rc->dir) == 0;

    for (i = 0; i < re->nfiles; i++) {
        file = &re->file[i];

        if (file->kind == KMQ_FILE_NEW
            || (older && file->generation < re->generation && !file->newer))
        {
            path_of(re, file, path);
            (void) unlink(path);
        }
    }
}


/* Is there a checkpoint that was not there before? */
static void
file_again(void *arg, const char *name)
{
    recovery_t  *re = arg;

    size_t    i;
    uint64_t  generation;

    if (kmq_file_kind(name, &generation) != KMQ_FILE_CHECKPOINT) {
        return;
    }

    for (i = 0; i < re->nfiles; i++) {
        if (strcmp(re->file[i].name, name) == 0) {
            return;
        }
    }

    re->rc->overtaken = 1;
}


static int
files_list(recovery_t *re, void (*each)(void *arg, const char *name))
{
    int  rc;

    rc = kmq_io_system.list(&kmq_io_system, re->rc->dir, each, re);

    if (rc < 0 || re->failed) {
        tell(re, KMQ_LOG_ERROR, "reading the directory \"%s\" failed: %s",
             re->rc->dir, strerror(rc < 0 ? -rc : re->failed));
        return -1;
    }

    return 0;
}


/* What is in the directory.  Where it is in use, a checkpoint that comes
 * meanwhile has others removed that the list may lack. */
static int
files_find(recovery_t *re)
{
    if (files_list(re, file_found) != 0) {
        return -1;
    }

    if (!re->rc->look) {
        return 0;
    }

    return files_list(re, file_again) == 0 && !re->rc->overtaken ? 0 : -1;
}


static int
load(recovery_t *re)
{
    if (files_find(re) != 0 || checkpoint_load(re) != 0
        || journals_load(re) != 0)
    {
        return -1;
    }

    if (!re->rc->look) {
        leftovers_remove(re);
        damaged_keep(re);
    }

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
