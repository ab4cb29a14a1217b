/*
 * Writes files of version 1 of the format, as programs up to 0.5.0 did, or 2,
 * up to 0.6.0: each byte by itself, so that they stay what they were.
 */

#ifndef KMQ_DISK_OLD_H
#define KMQ_DISK_OLD_H

#include "../../src/disk/kmq_file.h"
#include "../../src/engine/journal/kmq_crc32c.h"
#include "engine_util.h"


#define DO_HEAD    64
#define DO_RECORD  24

typedef struct {
    unsigned char  data[16384];
    size_t         len;
    unsigned       records;
    uint64_t       lsn;            /* of the last record; in a checkpoint: of
                                      all */
    unsigned       kind;           /* 1 journal, 2 checkpoint */
    uint32_t       time;           /* s: of the records */
} do_file_t;


/* Its numbers begin behind start. */
EU_UNUSED static void
do_begin(do_file_t *f, unsigned kind, uint64_t generation, uint64_t start,
    uint32_t time)
{
    memset(f, 0, sizeof(do_file_t));
    memcpy(f->data, "KapokMQ\n", 8);

    kmq_put32(f->data + 8, 1);
    kmq_put32(f->data + 12, kind);
    kmq_put64(f->data + 16, generation);
    kmq_put64(f->data + 24, start);
    kmq_put64(f->data + 32, (uint64_t) time * 1000);
    kmq_put64(f->data + 40, 7);
    kmq_put64(f->data + 48, 9);
    kmq_put32(f->data + 60, kmq_crc32c(0, f->data, 60));

    f->len = DO_HEAD;
    f->lsn = start;
    f->kind = kind;
    f->time = time;
}


/* Begins a record; returns where the rest of it belongs. */
EU_UNUSED static unsigned char *
do_record(do_file_t *f, unsigned type, unsigned kind, size_t name_len)
{
    unsigned char  *p = f->data + f->len;

    f->lsn += f->kind == 1;
    kmq_put64(p + 8, f->lsn);
    p[16] = (unsigned char) type;
    p[17] = (unsigned char) kind;
    p[18] = (unsigned char) name_len;
    kmq_put32(p + 20, f->time);

    return p + DO_RECORD;
}


EU_UNUSED static void
do_record_end(do_file_t *f, unsigned char *end)
{
    size_t          size;
    unsigned char  *p = f->data + f->len;

    size = (size_t) (end - p);
    kmq_put32(p + 4, (uint32_t) size);
    kmq_put32(p, kmq_crc32c(0, p + 4, size - 4));
    f->len += (size + 7) / 8 * 8;
    f->records++;
}


/* A message of one topic, "t". */
EU_UNUSED static void
do_message(do_file_t *f, unsigned kind, uint64_t sequence, uint64_t due,
    uint32_t attempts, const char *body)
{
    unsigned char  *p;

    p = do_record(f, 1, kind, 1);
    kmq_put64(p, sequence);
    kmq_put64(p + 8, due);
    kmq_put32(p + 16, due ? 3600 : 0);
    kmq_put32(p + 20, kind >= 3 ? f->time : 0);
    kmq_put32(p + 24, attempts);
    p[28] = 't';
    memcpy(p + 29, body, strlen(body));
    do_record_end(f, p + 29 + strlen(body));
}


/* What has become of a message; attempts: it was pushed for that time, else
 * 0. */
EU_UNUSED static void
do_change(do_file_t *f, unsigned type, uint64_t sequence, uint32_t attempts)
{
    unsigned char  *p;

    p = do_record(f, type, 0, 0);
    kmq_put32(p, 1);
    p = kmq_varint(p + 4, sequence * 2);
    p = attempts ? kmq_varint(p, attempts) : p;
    do_record_end(f, p);
}


/* Makes it a file of another version. */
EU_UNUSED static void
do_version(do_file_t *f, uint32_t version)
{
    kmq_put32(f->data + 8, version);
    kmq_put32(f->data + 60, kmq_crc32c(0, f->data, 60));
}


/* A delivery that failed, which version 1 does not have. */
EU_UNUSED static void
do_failed(do_file_t *f, uint64_t sequence, uint64_t attempts, uint64_t due)
{
    unsigned char  *p;

    p = do_record(f, 12, 0, 0);
    kmq_put32(p, 1);
    p = kmq_varint(p + 4, sequence * 2);
    p = kmq_varint(p, attempts);
    do_record_end(f, kmq_varint(p, due));
}


/* What is counted of topic "t" in n days of UTC, that before the next one: the
 * number of each, and a minute. */
EU_UNUSED static void
do_topic(do_file_t *f, const uint64_t *day, unsigned n, uint64_t minute)
{
    unsigned        i, j;
    unsigned char  *p;

    p = do_record(f, 8, 0, 1);
    *p++ = 't';
    memset(p, 0, 56);
    kmq_put64(p, 9);
    kmq_put64(p + 56, n);
    p += 64;

    for (i = 0; i <= n; i++) {
        kmq_put64(p, i < n ? day[i] : minute);

        for (j = 1; j < 4; j++) {
            kmq_put64(p + 8 * j, 10 * i + j);
        }

        kmq_put64(p + 32, UINT64_MAX);
        p += 40;
    }

    do_record_end(f, p);
}


/* Counters of the queue, and the end, of a checkpoint with n messages. */
EU_UNUSED static void
do_end(do_file_t *f, unsigned n, uint64_t sequence)
{
    unsigned char  *p;

    p = do_record(f, 9, 0, 0);
    memset(p, 0, 96);
    kmq_put64(p, n);
    kmq_put64(p + 80, sequence);
    do_record_end(f, p + 96);

    p = do_record(f, 10, 0, 0);
    kmq_put64(p, f->records);
    kmq_put64(p + 8, n);
    do_record_end(f, p + 16);
}

#endif /* KMQ_DISK_OLD_H */
