/*
 * Reads a file record by record.  Nothing in it is trusted: a record counts
 * when its checksum is right and its number fits; where one does not, the next
 * one that does is looked for.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kmq_file.h"


#define CHUNK     (256 * 1024)

/* The last record of a checkpoint: two numbers behind the head. */
#define END_SIZE  (KMQ_RECORD_HEAD + 16)


static void
damage(kmq_reader_t *reader, uint64_t offset, uint64_t n, const char *what,
    int torn)
{
    if (reader->damage) {
        reader->damage(reader->arg, reader->path, offset, n, what, torn);
    }
}


/* Up to n bytes from offset on: how many, or a negated errno. */
static ssize_t
read_at(int fd, unsigned char *to, size_t n, uint64_t offset)
{
    size_t   done;
    ssize_t  rc;

    for (done = 0; done < n; done += rc) {
        rc = pread(fd, to + done, n - done, offset + done);

        if (rc == -1 && errno == EINTR) {
            rc = 0;
            continue;
        }

        if (rc == -1) {
            return -errno;
        }

        if (rc == 0) {
            break;
        }
    }

    return done;
}


static int
head_read(kmq_reader_t *reader)
{
    ssize_t         n;
    const char     *wrong;
    unsigned char   p[KMQ_FILE_HEAD];

    n = read_at(reader->fd, p, sizeof(p), 0);
    if (n < 0) {
        return (int) n;
    }

    wrong = n < KMQ_FILE_HEAD ? "it is shorter than its head"
                              : kmq_file_head_read(p, &reader->head);
    if (wrong) {
        damage(reader, 0, KMQ_FILE_HEAD, wrong, n < KMQ_FILE_HEAD);
        return 0;
    }

    if (reader->head.version < KMQ_FORMAT_OLDEST
        || reader->head.version > KMQ_FORMAT_VERSION)
    {
        return -EPROTONOSUPPORT;
    }

    return 0;
}


const char *
kmq_reader_error(kmq_reader_t *reader, int rc)
{
    switch (-rc) {

    case EMEDIUMTYPE:
        return "it is not a regular file";

    case EPROTONOSUPPORT:
        (void) snprintf(reader->error, sizeof(reader->error),
                        "it has version %u of the format, and versions %u to "
                        "%u can be read", reader->head.version,
                        KMQ_FORMAT_OLDEST, KMQ_FORMAT_VERSION);
        return reader->error;

    default:
        return strerror(-rc);
    }
}


int
kmq_reader_open(kmq_reader_t *reader, const char *path, unsigned kind,
    uint64_t generation, kmq_damage_t report, void *arg)
{
    int          rc;
    struct stat  st;

    memset(reader, 0, sizeof(kmq_reader_t));

    (void) snprintf(reader->path, sizeof(reader->path), "%s", path);

    reader->kind = kind;
    reader->head.info.generation = generation;
    reader->damage = report;
    reader->arg = arg;
    reader->offset = KMQ_FILE_HEAD;

    /* a pipe or a device would keep us waiting */

    reader->fd = open(path, O_RDONLY|O_NOFOLLOW|O_NONBLOCK|O_CLOEXEC);

    if (reader->fd == -1) {
        return errno == ELOOP ? -EMEDIUMTYPE : -errno;
    }

    if (fstat(reader->fd, &st) == -1) {
        rc = -errno;

    } else if (!S_ISREG(st.st_mode)) {
        rc = -EMEDIUMTYPE;

    } else {
        reader->size = st.st_size;
        rc = head_read(reader);
    }

    if (rc < 0) {
        kmq_reader_close(reader);
    }

    return rc;
}


void
kmq_reader_close(kmq_reader_t *reader)
{
    if (reader->fd != -1) {
        (void) close(reader->fd);
    }

    free(reader->data);

    reader->fd = -1;
    reader->data = NULL;
    reader->used = 0;
    reader->len = 0;
    reader->room = 0;
}


/* Has n bytes at used, or as many as there are to the file's end. */
static int
fill(kmq_reader_t *reader, size_t n)
{
    size_t          room;
    ssize_t         got;
    uint64_t        left;
    unsigned char  *data;

    if (reader->len - reader->used >= n) {
        return 0;
    }

    if (reader->used) {
        memmove(reader->data, reader->data + reader->used,
                reader->len - reader->used);
    }

    reader->offset += reader->used;
    reader->len -= reader->used;
    reader->used = 0;

    left = reader->size - reader->offset;
    room = left < CHUNK ? left : CHUNK;
    room = n > room ? n : room;

    if (room > reader->room) {
        data = realloc(reader->data, room);
        if (data == NULL) {
            return -ENOMEM;
        }

        reader->data = data;
        reader->room = room;
    }

    got = read_at(reader->fd, reader->data + reader->len,
                  reader->room - reader->len, reader->offset + reader->len);
    if (got < 0) {
        return (int) got;
    }

    reader->len += got;

    return 0;
}


/* A journal's numbers grow; a checkpoint's are that of its beginning, but for
 * its topics. */
static int
number_fits(const kmq_reader_t *reader, const kmq_record_t *r)
{
    if (reader->kind == KMQ_FILE_JOURNAL) {
        return r->lsn > reader->lsn;
    }

    return r->lsn != 0;
}


/* 1 and a record at used, 0: none there, -1: not all of it; or an errno. */
static int
record_here(kmq_reader_t *reader, kmq_record_t *r)
{
    int       rc;
    long      n;
    size_t    need;
    uint64_t  left;

    need = KMQ_RECORD_HEAD;

    for ( ;; ) {
        left = reader->size - reader->offset - reader->used;

        if (need > left) {
            return 0;
        }

        rc = fill(reader, need);
        if (rc < 0) {
            return rc;
        }

        if (reader->len - reader->used < need) {
            return 0;
        }

        n = kmq_record_read(reader->data + reader->used,
                            reader->len - reader->used, r, &need);

        if (n > 0) {
            return number_fits(reader, r);
        }

        if (n < 0) {
            return 0;
        }
    }
}


/* The bytes at used are no record: looks for the next one. */
static int
record_search(kmq_reader_t *reader, kmq_record_t *r)
{
    int       rc;
    uint64_t  start, end;

    start = reader->offset + reader->used;

    do {
        if (reader->size - (reader->offset + reader->used)
            < KMQ_RECORD_ALIGN)
        {
            end = reader->size;
            damage(reader, start, end - start,
                   "no record follows", reader->kind == KMQ_FILE_JOURNAL);
            reader->used = reader->len;
            reader->size = reader->offset + reader->used;
            return 0;
        }

        rc = fill(reader, KMQ_RECORD_ALIGN);
        if (rc < 0) {
            return rc;
        }

        reader->used += KMQ_RECORD_ALIGN;
        rc = record_here(reader, r);

    } while (rc == 0);

    if (rc == 1) {
        damage(reader, start, reader->offset + reader->used - start,
               "a damaged record", 0);
    }

    return rc;
}


/* The next one of several messages in a record: 1, or 0: there is none. */
static int
message_next(kmq_reader_t *reader, kmq_record_t *r)
{
    if (reader->messages.type == 0) {
        return 0;
    }

    if (kmq_record_unpack(&reader->messages, &reader->next, &reader->message)
        != 1)
    {
        reader->messages.type = 0;
        return 0;
    }

    *r = reader->message;
    reader->lsn = r->lsn;

    return 1;
}


int
kmq_reader_next(kmq_reader_t *reader, kmq_record_t *r)
{
    int  rc;

    if (message_next(reader, r)) {
        return 1;
    }

    if (reader->offset + reader->used >= reader->size) {
        return 0;
    }

    rc = record_here(reader, r);

    if (rc == 0) {
        rc = record_search(reader, r);
    }

    if (rc == 1) {
        reader->used += KMQ_RECORD_SPAN(r->size);

        if (r->type == KMQ_RECORD_PLACE) {
            return 1;
        }

        reader->lsn = r->lsn;

        if (r->type == KMQ_RECORD_MESSAGES) {
            reader->messages = *r;
            reader->next = r->data;
            return message_next(reader, r);
        }
    }

    return rc;
}


int
kmq_reader_complete(kmq_reader_t *reader)
{
    kmq_record_t   r;
    unsigned char  p[END_SIZE];

    if (reader->size < KMQ_FILE_HEAD + END_SIZE
        || read_at(reader->fd, p, END_SIZE, reader->size - END_SIZE)
           != END_SIZE)
    {
        return 0;
    }

    return kmq_record_read(p, END_SIZE, &r, NULL) == END_SIZE
           && r.type == KMQ_RECORD_END;
}
