/*
 * The parts that the disk's files are made of, each for itself: sums, records,
 * the writing thread, and what is done to files when a call fails.
 */

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../../src/disk/kmq_file.h"
#include "../../src/disk/kmq_thread.h"
#include "../../src/engine/journal/kmq_crc32c.h"
#include "engine_util.h"


/* ------------------------------------------------------------------- sums */

/* RFC 3720, appendix B.4, and the check value of catalogues of CRCs. */
static void
test_crc32c(void)
{
    char           bytes[200], large[3000];
    size_t         i, n;
    unsigned       wrong;
    uint32_t       sum;

    memset(bytes, 0, 32);
    is_int(kmq_crc32c(0, bytes, 32), 0x8a9136aa, "crc32c: zeros");

    memset(bytes, 0xff, 32);
    is_int(kmq_crc32c(0, bytes, 32), 0x62a8ab43, "crc32c: ones");

    for (i = 0; i < 32; i++) {
        bytes[i] = (char) i;
    }

    is_int(kmq_crc32c(0, bytes, 32), 0x46dd794e, "crc32c: up");
    is_int(kmq_crc32c_plain(0, bytes, 32), 0x46dd794e, "crc32c: up, plain");

    for (i = 0; i < 32; i++) {
        bytes[i] = (char) (31 - i);
    }

    is_int(kmq_crc32c(0, bytes, 32), 0x113fdb5c, "crc32c: down");
    is_int(kmq_crc32c(0, "123456789", 9), 0xe3069283, "crc32c: check");
    is_int(kmq_crc32c(0, bytes, 0), 0, "crc32c: of nothing");

    eu_fill(bytes, sizeof(bytes), 1);

    for (i = 0, wrong = 0; i < sizeof(bytes); i++) {
        for (n = 0; i + n <= sizeof(bytes); n++) {
            sum = kmq_crc32c(0, bytes, n);
            wrong += sum != kmq_crc32c_plain(0, bytes, n);
            wrong += kmq_crc32c(sum, bytes + n, i)
                     != kmq_crc32c_plain(0, bytes, n + i);
        }
    }

    is_int(wrong, 0, "crc32c: both ways, from anywhere on, in two parts");

    eu_fill(large, sizeof(large), 2);

    for (n = 700, wrong = 0; n <= sizeof(large); n++) {
        i = n % 900 < n ? n % 900 : 0;
        sum = kmq_crc32c(0, large, i);
        wrong += kmq_crc32c(sum, large + i, n - i)
                 != kmq_crc32c_plain(0, large, n);
        wrong += kmq_crc32c(0, large, n) != kmq_crc32c_plain(0, large, n);
    }

    is_int(wrong, 0, "crc32c: in lanes, and what is left of them");
}


/* ---------------------------------------------------------------- records */

/* Reads a copy with no byte more, so that the sanitizer sees any beyond. */
static long
record_read(const unsigned char *p, size_t n, kmq_record_t *r)
{
    long            rc;
    unsigned char  *copy;

    copy = malloc(n ? n : 1);
    memcpy(copy, p, n);
    rc = kmq_record_read(copy, n, r, NULL);
    free(copy);

    return rc;
}


static size_t
record_message(unsigned char *p)
{
    size_t        size;
    kmq_record_t  r;

    memset(&r, 0, sizeof(r));
    r.sequence = 0x0102030405;
    r.due = UINT64_C(1640975470000);
    r.delay = 7;
    r.state_time = 8;
    r.attempts = 9;
    r.name = "topic";
    r.name_len = 5;

    size = KMQ_RECORD_MESSAGE_HEAD + 5 + 11;
    kmq_record_head(p, (uint32_t) size, 77, KMQ_RECORD_MESSAGE,
                    KMQ_KIND_DELAYED, 5, 1234);
    kmq_record_message(p, &r);
    memcpy(p + KMQ_RECORD_MESSAGE_HEAD + 5, "hello world", 11);
    kmq_records_seal(p, KMQ_RECORD_SPAN(size));

    return size;
}


static void
test_message(void)
{
    size_t         size, span;
    kmq_record_t   r;
    unsigned char  p[128];

    size = record_message(p);
    span = KMQ_RECORD_SPAN(size);

    is_int(kmq_record_read(p, sizeof(p), &r, NULL), (long long) span,
           "a message's record");
    ok(r.lsn == 77 && r.type == KMQ_RECORD_MESSAGE
       && r.kind == KMQ_KIND_DELAYED && r.time == 1234
       && r.sequence == 0x0102030405 && r.due == UINT64_C(1640975470000)
       && r.delay == 7 && r.state_time == 8 && r.attempts == 9,
       "its numbers");
    is_bytes(r.name, r.name_len, "topic", 5, "its topic");
    is_bytes(r.body, r.body_size, "hello world", 11, "its body");
}


/* Several messages, "", "a", "bb" and so on, with growing distances. */
static size_t
record_messages(unsigned char *p, uint64_t lsn, unsigned n)
{
    unsigned        i;
    uint64_t        sequence, before;
    unsigned char  *end;

    end = p + KMQ_RECORD_MESSAGES_HEAD + 5;

    for (i = 0, before = 0; i < n; i++) {
        sequence = UINT64_C(1000000) + i * i;
        end = kmq_varint(end, kmq_zigzag(sequence, before));
        end = kmq_varint(end, i);
        memset(end, 'a' + (int) i - 1, i);
        end += i;
        before = sequence;
    }

    kmq_record_head(p, (uint32_t) (end - p), lsn, KMQ_RECORD_MESSAGES,
                    KMQ_KIND_READY, 5, 1234);
    kmq_put32(p + KMQ_RECORD_HEAD, n);
    memcpy(p + KMQ_RECORD_MESSAGES_HEAD, "topic", 5);
    kmq_records_seal(p, KMQ_RECORD_SPAN(end - p));

    return end - p;
}


static void
test_messages(void)
{
    size_t                size;
    unsigned              n;
    kmq_record_t          r, m;
    unsigned char         p[128];
    const unsigned char  *next;

    static const char  *body[] = { "", "a", "bb", "ccc", "dddd" };

    size = record_messages(p, 77, 5);

    is_int(kmq_record_read(p, sizeof(p), &r, NULL),
           (long long) KMQ_RECORD_SPAN(size), "a record of messages");
    ok(r.lsn == 77 && r.count == 5 && kmq_record_numbered(p) == 5,
       "it has a number for each");

    next = r.data;

    for (n = 0; kmq_record_unpack(&r, &next, &m) == 1; n++) {
        ok(m.type == KMQ_RECORD_MESSAGE && m.kind == KMQ_KIND_READY
           && m.lsn == 77 + n && m.sequence == 1000000 + n * n
           && m.time == 1234 && m.attempts == 0 && m.due == 0,
           "message %u: its numbers", n);
        is_bytes(m.name, m.name_len, "topic", 5, "its topic");
        is_bytes(m.body, m.body_size, body[n], n, "its body");
    }

    is_int(n, 5, "all of them");
}


/* None of what a right sum is of is taken when it makes no sense. */
static void
test_messages_senseless(void)
{
    unsigned       i, n, taken;
    size_t         size;
    kmq_record_t   r;
    unsigned char  p[128];

    static const struct {
        unsigned  at, byte;
        uint64_t  lsn;
    } t[] = {
        { KMQ_RECORD_HEAD, 4, 77 },                 /* more than are told */
        { KMQ_RECORD_HEAD, 6, 77 },                 /* less */
        { KMQ_RECORD_HEAD, 0, 77 },
        { 17, KMQ_KIND_DELAYED, 77 },
        { 18, 0, 77 },                              /* no topic */
        { 18, 200, 77 },                            /* beyond the end */
        { 36, 5, 77 },                              /* bodies do not fit */
        { 36, 0x80, 77 },
        { 33, 0, 77 },                              /* number 0 */
        { 20, 0, KMQ_NUMBER_MAX - 3 }               /* too high, the last */
    };

    for (i = 0, taken = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        size = record_messages(p, t[i].lsn, 5);
        p[t[i].at] = (unsigned char) t[i].byte;
        kmq_records_seal(p, KMQ_RECORD_SPAN(size));

        if (record_read(p, KMQ_RECORD_SPAN(size), &r) > 0) {
            diag("%u is taken", i);
            taken++;
        }
    }

    is_int(taken, 0, "messages: right sums, but no sense");

    for (n = 0; n < 2; n++) {
        size = record_messages(p, 77, n);
        is_int(record_read(p, KMQ_RECORD_SPAN(size), &r) > 0, n,
               "a record of %u messages", n);
    }

    size = record_messages(p, KMQ_NUMBER_MAX - 5, 5);
    ok(record_read(p, KMQ_RECORD_SPAN(size), &r) > 0, "the highest numbers");
}


static size_t
record_three(unsigned char *p)
{
    return record_messages(p, 77, 3);
}


/* No part of a record is one, and none with a wrong bit. */
static void
test_wrong(size_t (*make)(unsigned char *p))
{
    size_t         i, size, span;
    unsigned       parts, bits, need_wrong;
    size_t         need;
    kmq_record_t   r;
    unsigned char  p[128];

    size = make(p);
    span = KMQ_RECORD_SPAN(size);

    for (i = 0, parts = 0, need_wrong = 0; i < span; i++) {
        parts += record_read(p, i, &r) != 0;

        (void) kmq_record_read(p, i, &r, &need);
        need_wrong += need <= i || need > span;
    }

    is_int(parts, 0, "a part of a record is none");
    is_int(need_wrong, 0, "how much is needed");

    for (i = 0, bits = 0; i < 8 * size; i++) {
        p[i / 8] ^= (unsigned char) (1 << i % 8);
        bits += record_read(p, span, &r) > 0;
        p[i / 8] ^= (unsigned char) (1 << i % 8);
    }

    is_int(bits, 0, "none with a wrong bit is a record");
}


/* What has a right sum must make sense nevertheless. */
static void
test_senseless(void)
{
    unsigned       i, taken;
    kmq_record_t   r;
    unsigned char  p[128];

    static const struct { unsigned type, kind, name; uint32_t size; } t[] = {
        { 0, 0, 0, 32 }, { KMQ_RECORD_PLACE + 1, 0, 0, 32 },
        { 255, 0, 0, 32 },
        { KMQ_RECORD_MESSAGE, KMQ_KIND_READY, 0, 60 },
        { KMQ_RECORD_MESSAGE, KMQ_KIND_READY, 9, 60 },
        { KMQ_RECORD_MESSAGE, KMQ_KIND_READY, 1, 52 },
        { KMQ_RECORD_MESSAGE, 0, 1, 60 },
        { KMQ_RECORD_MESSAGE, KMQ_KIND_DEAD + 1, 1, 60 },
        { KMQ_RECORD_CONSUMED, 0, 0, 24 }, { KMQ_RECORD_CONSUMED, 0, 0, 27 },
        { KMQ_RECORD_FAILED, 0, 0, 24 }, { KMQ_RECORD_FAILED, 0, 0, 27 },
        { KMQ_RECORD_COUNTS, 0, 0, 32 }, { KMQ_RECORD_COUNTS, 0, 3, 34 },
        { KMQ_RECORD_COUNTS, 0, 3, 36 }, { KMQ_RECORD_TOPIC, 0, 0, 40 },
        { KMQ_RECORD_TOPIC, 0, 9, 32 }, { KMQ_RECORD_QUEUE, 0, 1, 40 },
        { KMQ_RECORD_END, 0, 1, 40 }
    };

    for (i = 0, taken = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        memset(p, 1, sizeof(p));
        kmq_record_head(p, t[i].size, 5, t[i].type, t[i].kind, t[i].name, 1);
        kmq_records_seal(p, KMQ_RECORD_SPAN(t[i].size));

        if (record_read(p, KMQ_RECORD_SPAN(t[i].size), &r) > 0) {
            diag("%u: type %u, size %u is taken", i, t[i].type, t[i].size);
            taken++;
        }
    }

    is_int(taken, 0, "right sums, but no sense");

    memset(p, 0, sizeof(p));
    is_int(record_read(p, sizeof(p), &r), -1, "zeros are no record");
}


/* Numbers behind which there would be no room. */
static void
test_bounds(void)
{
    size_t         span;
    unsigned       i;
    kmq_record_t   r;
    unsigned char  p[128];

    static const struct { unsigned at; uint64_t number; int fits; } t[] = {
        { 8, KMQ_NUMBER_MAX, 1 }, { 8, KMQ_NUMBER_MAX + 1, 0 },
        { 8, UINT64_MAX, 0 }, { 24, KMQ_NUMBER_MAX, 1 },
        { 24, KMQ_NUMBER_MAX + 1, 0 }, { 24, UINT64_MAX, 0 }, { 24, 0, 0 }
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        span = KMQ_RECORD_SPAN(record_message(p));
        kmq_put64(p + t[i].at, t[i].number);
        kmq_records_seal(p, span);

        is_int(record_read(p, span, &r) > 0, t[i].fits, "%llu at %u",
               (unsigned long long) t[i].number, t[i].at);
    }
}


static int
has_attempts(unsigned type)
{
    return type == KMQ_RECORD_DELIVERED || type == KMQ_RECORD_FAILED;
}


/* How many entries a list has whose data is cut to n bytes; UINT_MAX: it goes
 * on behind them. */
static unsigned
list_walk(const unsigned char *p, size_t n, unsigned type)
{
    unsigned              count;
    kmq_record_t          record;
    kmq_record_entry_t    entry;
    const unsigned char  *at;

    memset(&record, 0, sizeof(record));
    memset(&entry, 0, sizeof(entry));

    record.type = (uint8_t) type;
    record.data = at = p + KMQ_RECORD_LIST_HEAD;
    record.end = at + n;

    for (count = 0; kmq_record_sequence(&record, &at, &entry) == 1; count++) {
        if (at > record.end || count > n) {
            return UINT_MAX;
        }
    }

    return count;
}


/* Lists of sequence numbers, near and far apart. */
static void
test_lists(void)
{
    size_t                size;
    unsigned              i, k, n, wrong;
    uint64_t              before, r;
    kmq_record_t          record;
    unsigned char         p[1024], *end;
    kmq_record_entry_t    entry;
    const unsigned char  *at;

    static const uint64_t  number[] = {
        1, 2, 3, 2, 1, 128, 1, 16384, 5, UINT64_C(1) << 26, 6,
        UINT64_C(1) << 40, 7, (UINT64_C(1) << 60) - 1, 0, 1
    };

    static const uint8_t  type[] = {
        KMQ_RECORD_DELIVERED, KMQ_RECORD_CONSUMED, KMQ_RECORD_DEAD,
        KMQ_RECORD_REQUEUED, KMQ_RECORD_GONE, KMQ_RECORD_FAILED
    };

    r = 1;
    n = sizeof(number) / sizeof(number[0]);

    for (k = 0; k < sizeof(type); k++) {
        end = p + KMQ_RECORD_LIST_HEAD;

        for (i = 0, before = 0; i < n; i++) {
            end = kmq_varint(end, kmq_zigzag(number[i], before));
            before = number[i];

            if (has_attempts(type[k])) {
                end = kmq_varint(end, i * UINT64_C(0x10001000));
            }

            if (type[k] == KMQ_RECORD_FAILED) {
                end = kmq_varint(end, number[i] * 16);
            }
        }

        size = (size_t) (end - p);
        kmq_record_head(p, (uint32_t) size, 5, type[k], 1, 0, 1);
        kmq_put32(p + KMQ_RECORD_HEAD, n);
        kmq_records_seal(p, KMQ_RECORD_SPAN(size));

        wrong = kmq_record_read(p, sizeof(p), &record, NULL) <= 0
                || record.count != n;
        at = record.data;
        memset(&entry, 0, sizeof(entry));

        for (i = 0; i < n && !wrong; i++) {
            wrong += kmq_record_sequence(&record, &at, &entry) != 1
                     || entry.sequence != number[i];
            wrong += has_attempts(type[k])
                     && entry.attempts != i * 0x10001000u;
            wrong += type[k] == KMQ_RECORD_FAILED
                     && entry.due != number[i] * 16;
        }

        wrong += kmq_record_sequence(&record, &at, &entry) != 0;
        is_int(wrong, 0, "a list of type %u", type[k]);

        /* cut anywhere, it ends or is bad */

        for (i = 0; i < size - KMQ_RECORD_LIST_HEAD; i++) {
            wrong += list_walk(p, i, type[k]) > n;
        }

        is_int(wrong, 0, "cut anywhere");
    }

    /* any bytes: it ends */

    for (i = 0, wrong = 0; i < 2000; i++) {
        for (k = 0; k < 40; k++) {
            p[KMQ_RECORD_LIST_HEAD + k] = (unsigned char)
                                          (eu_rand(&r) | (i % 2 ? 0x80 : 0));
        }

        wrong += list_walk(p, eu_below(&r, 41), type[i % sizeof(type)]) > 40;
    }

    is_int(wrong, 0, "lists of any bytes end");
}


static void
test_numbers(void)
{
    unsigned       i, wrong;
    uint64_t       number[3] = { 1, UINT64_MAX, 3 };
    kmq_buffer_t   buffer;
    kmq_record_t   r;

    memset(&buffer, 0, sizeof(buffer));

    for (i = 0, wrong = 0; i < 3000; i++) {
        wrong += kmq_record_numbers(&buffer, i + 1, KMQ_RECORD_TOPIC, 0, 4,
                                    "name", 1 + i % 4, number, 3) != 0;
    }

    kmq_records_seal(buffer.data, buffer.len);
    is_int(wrong, 0, "a buffer grows");
    is_int((long long) buffer.len, 3000 * 56, "by what is in it");

    wrong = kmq_record_read(buffer.data, buffer.len, &r, NULL) != 56
            || r.type != KMQ_RECORD_TOPIC || r.name_len != 1
            || kmq_record_number(&r, 0) != 1
            || kmq_record_number(&r, 1) != UINT64_MAX
            || kmq_record_number(&r, 2) != 3
            || kmq_record_number(&r, 3) != 0
            || kmq_record_number(&r, UINT32_MAX) != 0;
    is_int(wrong, 0, "numbers, and 0 behind them");

    kmq_buffer_free(&buffer);
    ok(buffer.data == NULL && buffer.len == 0, "a buffer is freed");
}


/* ------------------------------------------------------------- the thread */

typedef struct {
    atomic_int   begun, go, done;
    sigset_t     mask;
} job_t;


/* Goes on when it is told to. */
static void
job_wait(void *arg)
{
    job_t  *job = arg;

    (void) pthread_sigmask(SIG_SETMASK, NULL, &job->mask);
    atomic_store(&job->begun, 1);

    while (!atomic_load(&job->go)) {
        sched_yield();
    }

    atomic_store(&job->done, 1);
}


static void
job_count(void *arg)
{
    ++*(unsigned *) arg;
}


static void
test_thread(void)
{
    int           fd;
    job_t         job;
    unsigned      i, count, busy;
    uint64_t      n;
    kmq_thread_t  t;

    memset(&job, 0, sizeof(job));
    fd = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);

    is_int(kmq_thread_start(&t, fd), 0, "a thread");
    ok(t.started && !kmq_thread_busy(&t), "it has nothing to do");
    ok(read(fd, &n, sizeof(n)) == -1, "and says nothing");

    kmq_thread_run(&t, job_wait, &job);
    while (!atomic_load(&job.begun)) { sched_yield(); }
    ok(kmq_thread_busy(&t), "it is busy while it works");
    ok(sigismember(&job.mask, SIGTERM) == 1
       && sigismember(&job.mask, SIGCHLD) == 1, "signals are not for it");

    atomic_store(&job.go, 1);
    kmq_thread_wait(&t);
    ok(atomic_load(&job.done) && !kmq_thread_busy(&t), "then it is not");

    for (i = 0, count = 0, busy = 0; i < 1000; i++) {
        kmq_thread_run(&t, job_count, &count);
        kmq_thread_wait(&t);
        busy += kmq_thread_busy(&t);
    }

    is_int(count, 1000, "a thousand jobs, each once");
    is_int(busy, 0, "never busy after the wait");

    /* its end comes after its last job */

    kmq_thread_run(&t, job_count, &count);
    kmq_thread_stop(&t);
    is_int(count, 1001, "what was to be done at the end is done");
    ok(read(fd, &n, sizeof(n)) == sizeof(n) && n == 1002,
       "each job was announced");
    ok(!t.started, "it has ended");

    kmq_thread_stop(&t);
    (void) close(fd);

    (void) kmq_thread_start(&t, -1);
    kmq_thread_run(&t, job_count, &count);
    kmq_thread_stop(&t);
    is_int(count, 1002, "without a descriptor, too");
}


/* --------------------------------------------- files, when calls fail */

/* Files are known by the order in which they were made; what was done is in
 * text. */
static struct {
    char      text[4096];
    unsigned  calls;
    unsigned  fail;                /* the n-th call; 0: none */
    const char *broken;            /* calls that begin so always fail */
    uint64_t  all;                 /* of the disk */
    uint64_t  left;
    int       there;               /* files made and not removed */
    unsigned  exist;               /* names that are taken */
    unsigned  files;
    unsigned  open;
} F;


__attribute__((format(printf, 2, 3)))
static int
f_call(int rc, const char *format, ...)
{
    size_t   len;
    va_list  args;

    len = strlen(F.text);
    va_start(args, format);
    vsnprintf(F.text + len, sizeof(F.text) - len, format, args);
    va_end(args);

    if (F.broken && strncmp(format, F.broken, strlen(F.broken)) == 0) {
        return -EIO;
    }

    return ++F.calls == F.fail ? -EIO : rc;
}


static const char *
f_base(const char *path)
{
    return strrchr(path, '/') + 1;
}


static int
f_create(kmq_io_t *io, const char *path)
{
    int  rc;

    (void) io;

    if (F.exist) {
        F.exist--;
        return f_call(-EEXIST, "taken %s\n", f_base(path));
    }

    rc = f_call((int) F.files + 1, "create %s\n", f_base(path));

    if (rc > 0) {
        F.files++;
        F.open++;
        F.there++;
    }

    return rc;
}


static int
f_append(kmq_io_t *io, int fd, const void *bytes, size_t n)
{
    (void) io;

    return n == KMQ_FILE_HEAD ? f_call(0, "head %d\n", fd)
                : f_call(0, "append %d %.*s\n", fd, (int) n,
                         (const char *) bytes);
}


static int
f_sync(kmq_io_t *io, int fd)
{
    (void) io;

    return f_call(0, "sync %d\n", fd);
}


static int
f_close(kmq_io_t *io, int fd)
{
    (void) io;
    F.open--;

    return f_call(0, "close %d\n", fd);
}


static int
f_rename(kmq_io_t *io, const char *from, const char *to)
{
    (void) io;

    return f_call(0, "rename %s %s\n", f_base(from), f_base(to));
}


static int
f_remove(kmq_io_t *io, const char *path)
{
    int  rc;

    (void) io;

    rc = f_call(0, "remove %s\n", f_base(path));
    F.there -= rc == 0;

    return rc;
}


static int
f_truncate(kmq_io_t *io, int fd, uint64_t n)
{
    (void) io;

    return f_call(0, "cut %d %llu\n", fd, (unsigned long long) n);
}


static int
f_room(kmq_io_t *io, const char *dir, uint64_t *all, uint64_t *left)
{
    (void) io;
    (void) dir;

    *all = F.all;
    *left = F.left;

    return 0;
}


static int
f_sync_dir(kmq_io_t *io, const char *dir)
{
    (void) io;

    return f_call(0, "names %s\n", dir);
}


static int
f_same(kmq_io_t *io, int fd, const char *path)
{
    (void) io;
    (void) path;

    return f_call(0, "same %d\n", fd);
}


static int
f_list(kmq_io_t *io, const char *dir,
    void (*entry)(void *arg, const char *name), void *arg)
{
    unsigned  i;

    static const char *const  name[] = {
        "lock", "checkpoint-0000000000000001", "journal-0000000000000001-000-0",
        "checkpoint-0000000000000001.new", "journal-0000000000000002-000-0",
        "checkpoint-0000000000000002", "journal-0000000000000003-001-0",
        "journal-0000000000000001-000-0.damaged", "aside-20220101-000000"
    };

    (void) io;
    (void) dir;

    for (i = 0; i < sizeof(name) / sizeof(name[0]); i++) {
        entry(arg, name[i]);
    }

    return 0;
}


static kmq_io_t  f_io = {
    f_create, f_append, f_truncate, f_room, f_sync, f_close, f_rename,
    f_remove, f_sync_dir, f_same, f_list
};


static void
f_reset(unsigned fail)
{
    memset(&F, 0, sizeof(F));
    F.fail = fail;
    F.all = 16000;
    F.left = 1000000;
}


/* What was done since the last look. */
static void
f_did(const char *want, const char *what)
{
    is_bytes(F.text, strlen(F.text), want, strlen(want), "%s", what);
    F.text[0] = '\0';
}


#define NAME  "journal-0000000000000001-003-"

static const kmq_journal_info_t  info = { 1, 0, { 1, 2 }, 3 };


static int
f_write(kmq_segment_t *segment, const kmq_journal_info_t *of,
    const char *text, int sync)
{
    const char  *what = NULL;

    return kmq_segment_write(segment, of, (const unsigned char *) text,
                             strlen(text), sync, &what);
}


static void
test_segment(void)
{
    kmq_segment_t        s;
    kmq_journal_info_t   next = info;

    f_reset(0);
    F.exist = 2;
    kmq_segment_init(&s, &f_io, "/dir", 0);

    is_int(f_write(&s, &info, "", 1), 0, "nothing is written");
    f_did("", "nothing is done");

    (void) f_write(&s, &info, "one", 1);
    f_did("taken " NAME "0\ntaken " NAME "1\ncreate " NAME "2\nhead 1\n"
          "names /dir\nappend 1 one\nsync 1\nsame 1\n",
          "a new file, under a name that is free");

    (void) f_write(&s, &info, "two", 0);
    f_did("append 1 two\n", "later records are appended, not flushed");
    (void) f_write(&s, &info, "", 1);
    f_did("sync 1\nsame 1\n", "flushed without records");

    next.generation = 2;
    (void) f_write(&s, &info, "three", 0);
    (void) f_write(&s, &next, "four", 0);
    f_did("append 1 three\nsync 1\nclose 1\n"
          "create journal-0000000000000002-003-0\nhead 2\nnames /dir\n"
          "append 2 four\n", "a new generation, after the old one is flushed");

    (void) f_write(&s, &info, "late", 0);
    f_did("append 2 late\n", "records of an older one go into the newer file");

    kmq_segment_drop(&s);
    kmq_segment_drop(&s);
    f_did("close 2\nremove journal-0000000000000002-003-0\n",
          "removed once, when a checkpoint has all of it");

    (void) f_write(&s, &next, "five", 0);
    f_did("create journal-0000000000000002-003-0\nhead 3\nnames /dir\n"
          "append 3 five\n", "what comes then has a file again");

    kmq_segment_close(&s);
    kmq_segment_close(&s);
    f_did("close 3\n", "closed once");
    is_int(F.open, 0, "no file stays open");
}


#define BEGIN   "create " NAME "0\nhead 1\nnames /dir\nappend 1 one\n"
#define SAFE    "sync 1\nsame 1\n"
#define SAME    "append 1 three\n" SAFE
#define ANEW    "head 1\nnames /dir\n" SAME
#define SECOND  "create " NAME "0\nhead 2\nnames /dir\nappend 2 three\n" \
                "sync 2\nsame 2\n"

/* Whichever call fails: what a write did, and what the next one does. */
static void
test_segment_failures(void)
{
    int             rc;
    unsigned        i;
    kmq_segment_t   s;

    static const struct {
        const char  *done;
        const char  *next;
    } call[] = {
        { "create " NAME "0\n", "create " NAME "0\n" ANEW },
        { "create " NAME "0\nhead 1\ncut 1 0\n", ANEW },
        { "create " NAME "0\nhead 1\nnames /dir\ncut 1 0\n", ANEW },
        { BEGIN "cut 1 0\n", ANEW },
        { BEGIN "sync 1\ncut 1 0\nclose 1\nremove " NAME "0\n", SECOND },
        { BEGIN SAFE "close 1\n", SECOND },
        { BEGIN SAFE "append 1 two\ncut 1 67\n", SAME },
        { BEGIN SAFE "append 1 two\nsync 1\ncut 1 67\nclose 1\n", SECOND },
        { BEGIN SAFE "append 1 two\n" SAFE "close 1\n", SECOND }
    };

    for (i = 0; i < sizeof(call) / sizeof(call[0]); i++) {
        f_reset(i + 1);
        kmq_segment_init(&s, &f_io, "/dir", 0);

        rc = f_write(&s, &info, "one", 1);
        rc = rc < 0 ? rc : f_write(&s, &info, "two", 1);
        is_int(rc, -EIO, "call %u fails", i + 1);
        f_did(call[i].done, "back to what was good");

        is_int(f_write(&s, &info, "three", 1), 0, "the next one does not");
        f_did(call[i].next, "in a file of which all is known");

        kmq_segment_close(&s);
        is_int(F.open, 0, "no file stays open");
    }
}


/* A disk that fails for long does not fill with files. */
static void
test_segment_broken(void)
{
    unsigned        i, k, n;
    kmq_segment_t   s;

    static const char *const  broken[] = {
        "create", "head", "names", "append", "sync", "cut"
    };

    for (i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        f_reset(0);
        kmq_segment_init(&s, &f_io, "/dir", 0);
        n = 0;

        for (k = 0; k < 100; k++) {
            F.broken = k == 0 ? NULL : k % 10 ? broken[i] : "append";
            F.text[0] = '\0';
            n += f_write(&s, &info, "one", 1) == 0;
        }

        ok(F.there <= 2, "%s always fails: %d files", broken[i], F.there);
        kmq_segment_close(&s);
    }
}


/* Journals leave room for a checkpoint: as much as is said, or a part of a
 * small disk. */
static void
test_segment_room(void)
{
    kmq_segment_t   s;

    f_reset(0);
    kmq_segment_init(&s, &f_io, "/dir", 2000);

    F.left = 1000 + 5;
    is_int(f_write(&s, &info, "three", 0), 0, "a 16th of the disk is left");
    F.text[0] = '\0';
    is_int(f_write(&s, &info, "longer", 0), -ENOSPC, "less would be");
    f_did("cut 1 69\n", "nothing is written");

    F.all = 16000000;
    F.left = 2004;
    is_int(f_write(&s, &info, "three", 0), -ENOSPC, "of a large one, that");
    F.left = 2005;
    is_int(f_write(&s, &info, "three", 0), 0, "is left");
    kmq_segment_close(&s);
}


static int
f_checkpoint(kmq_checkpoint_file_t *file)
{
    int                  rc;
    kmq_journal_info_t   second = info;

    second.generation = 2;
    rc = kmq_checkpoint_file_open(file, &f_io, "/dir", &second, 1);
    rc = rc ? rc : kmq_checkpoint_file_write(file,
                                      (const unsigned char *) "all", 3);

    return rc ? rc : kmq_checkpoint_file_finish(file);
}


#define CHECKPOINT  "checkpoint-0000000000000002"

static void
test_checkpoint(void)
{
    unsigned               fail, wrong;
    kmq_checkpoint_file_t  file;

    f_reset(0);
    is_int(f_checkpoint(&file), 0, "a checkpoint");
    f_did("remove checkpoint-0000000000000001.new\n"
          "create " CHECKPOINT ".new\nhead 1\nappend 1 all\nsync 1\nclose 1\n"
          "rename " CHECKPOINT ".new " CHECKPOINT "\nnames /dir\n",
          "it is flushed, then named");
    is_int(kmq_checkpoint_file_clean(&file), 0, "then older files go");
    f_did("remove checkpoint-0000000000000001\n"
          "remove journal-0000000000000001-000-0\n"
          "remove checkpoint-0000000000000001.new\n", "and nothing else");
    kmq_checkpoint_file_abort(&file);
    f_did("", "there is nothing to give up after it");

    for (fail = 2, wrong = 0; fail <= 8; fail++) {
        f_reset(fail);
        wrong += f_checkpoint(&file) != -EIO;
        kmq_checkpoint_file_abort(&file);

        wrong += F.open != 0;

        /* its file goes, whichever name it has */

        wrong += strstr(F.text, fail < 8 ? "remove " CHECKPOINT ".new"
                                         : "remove " CHECKPOINT "\n")
                 == NULL;

        if (wrong) {
            diag("call %u: %s", fail, F.text);
            break;
        }
    }

    is_int(wrong, 0, "whichever call fails: it is told, and its file goes");
}


/* Whoever made the last one, or tried this one, has left something. */
static void
test_checkpoint_leftovers(void)
{
    kmq_checkpoint_file_t  file;

    kmq_journal_info_t  third = info;

    f_reset(0);
    third.generation = 3;

    is_int(kmq_checkpoint_file_open(&file, &f_io, "/dir", &third, 2), 0,
           "a checkpoint, after one that was finished");
    f_did("remove checkpoint-0000000000000001\n"
          "remove journal-0000000000000001-000-0\n"
          "remove checkpoint-0000000000000001.new\n"
          "create checkpoint-0000000000000003.new\nhead 1\n",
          "what that left goes, to make room");
    kmq_checkpoint_file_abort(&file);

    f_reset(0);
    F.exist = 1;
    third.generation = 1;

    is_int(kmq_checkpoint_file_open(&file, &f_io, "/dir", &third, 0), 0,
           "one whose attempt before could not be removed");
    f_did("taken checkpoint-0000000000000001.new\n"
          "remove checkpoint-0000000000000001.new\n"
          "create checkpoint-0000000000000001.new\nhead 1\n",
          "takes its place");
    kmq_checkpoint_file_abort(&file);
}


int
main(void)
{
    test_crc32c();
    test_message();
    test_messages();
    test_messages_senseless();
    test_wrong(record_message);
    test_wrong(record_three);
    test_senseless();
    test_bounds();
    test_lists();
    test_numbers();
    test_thread();
    test_segment();
    test_segment_failures();
    test_segment_broken();
    test_segment_room();
    test_checkpoint();
    test_checkpoint_leftovers();

    return done_testing();
}
