/*
 * Parts of the disk, each by itself: checksums, records, heads and names of
 * files, the thread, and what is done to files, also when that fails.
 */

#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

#include "../../src/disk/kmq_thread.h"
#include "../../src/engine/kmq_crc32c.h"
#include "disk_util.h"


/* -------------------------------------------------------------- checksums */

/* RFC 3720, appendix B.4, and the check value of the polynomial. */
static void
test_crc_known(void)
{
    unsigned               i;
    unsigned char          bytes[32];

    static const unsigned char  read10[48] = {
        0x01, 0xc0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00,
        0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x18, 0x28, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00
    };

    is_int(kmq_crc32c(0, "", 0), 0, "nothing");
    is_int(kmq_crc32c(0, "123456789", 9), 0xe3069283, "123456789");

    memset(bytes, 0, 32);
    is_int(kmq_crc32c(0, bytes, 32), 0x8a9136aa, "zeros");
    memset(bytes, 0xff, 32);
    is_int(kmq_crc32c(0, bytes, 32), 0x62a8ab43, "ones");

    for (i = 0; i < 32; i++) {
        bytes[i] = (unsigned char) i;
    }

    is_int(kmq_crc32c(0, bytes, 32), 0x46dd794e, "growing");

    for (i = 0; i < 32; i++) {
        bytes[i] = (unsigned char) (31 - i);
    }

    is_int(kmq_crc32c(0, bytes, 32), 0x113fdb5c, "falling");
    is_int(kmq_crc32c(0, read10, 48), 0xd9963a56, "a command of iSCSI");
    is_int(kmq_crc32c_plain(0, read10, 48), 0xd9963a56, "the plain one, too");
}


static void
test_crc_same(void)
{
    size_t          at, n, k, failed;
    uint32_t        whole;
    static char     bytes[600];

    eu_fill(bytes, sizeof(bytes), 3);
    failed = 0;

    for (at = 0; at < 16; at++) {
        for (n = 0; n < 300; n++) {
            whole = kmq_crc32c(0, bytes + at, n);
            k = n / 3;
            failed += whole != kmq_crc32c_plain(0, bytes + at, n);
            failed += whole != kmq_crc32c(kmq_crc32c(0, bytes + at, k),
                                          bytes + at + k, n - k);
            failed += whole != kmq_crc32c_plain(
                                   kmq_crc32c_plain(0, bytes + at, k),
                                   bytes + at + k, n - k);
        }
    }

    is_int((long long) failed, 0,
           "the same sum by hardware, by tables, and in parts");
}


/* ---------------------------------------------------------------- numbers */

static void
test_numbers(void)
{
    size_t          i;
    unsigned        bits;
    uint64_t        v;
    unsigned char   p[KMQ_VARINT_MAX];

    static const uint64_t  pair[][2] = {
        { 0, 0 }, { 1, 0 }, { 0, 1 }, { UINT64_MAX, 0 }, { 0, UINT64_MAX },
        { UINT64_C(1) << 63, 0 }, { 5, UINT64_MAX - 5 }
    };

    for (i = 0, v = 0; v < 4; v++) {
        i += kmq_zigzag(v, 0) != 2 * v;
        i += v && kmq_zigzag(0, v) != 2 * v - 1;
    }

    is_int((long long) i, 0, "small distances are small numbers");

    for (bits = 0; bits <= 64; bits++) {
        v = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
        i += (size_t) (kmq_varint(p, v) - p) != (bits ? (bits + 6) / 7 : 1);
    }

    is_int((long long) i, 0, "seven bits in a byte");

    for (i = 0; i < sizeof(pair) / sizeof(pair[0]); i++) {
        kmq_record_t          r;
        uint64_t              got;
        const unsigned char  *at;

        memset(&r, 0, sizeof(r));
        r.type = KMQ_RECORD_CONSUMED;
        r.data = p;
        r.end = kmq_varint(p, kmq_zigzag(pair[i][0], pair[i][1]));

        at = p;
        got = pair[i][1];
        ok(kmq_record_sequence(&r, &at, &got, NULL) == 1 && got == pair[i][0]
           && kmq_record_sequence(&r, &at, &got, NULL) == 0,
           "from %llx to %llx", (unsigned long long) pair[i][1],
           (unsigned long long) pair[i][0]);
    }

    kmq_put64(p, UINT64_C(0x0123456789abcdef));
    ok(memcmp(p, "\xef\xcd\xab\x89\x67\x45\x23\x01", 8) == 0
       && kmq_get64(p) == UINT64_C(0x0123456789abcdef)
       && kmq_get32(p) == 0x89abcdef, "the least byte first");
}


static void
test_bad_numbers(void)
{
    unsigned               n;
    uint32_t               attempts;
    uint64_t               sequence;
    kmq_record_t           r;
    unsigned char          p[12];
    const unsigned char   *at;

    memset(&r, 0, sizeof(r));
    memset(p, 0xff, sizeof(p));
    r.type = KMQ_RECORD_CONSUMED;
    r.data = p;

    for (n = 1; n <= 12; n++) {
        at = p;
        sequence = 0;
        r.end = p + n;
        is_int(kmq_record_sequence(&r, &at, &sequence, &attempts), -1,
               "%u bytes without an end", n);
    }

    p[0] = 2;
    r.end = p + 1;
    r.type = KMQ_RECORD_DELIVERED;
    at = p;
    sequence = 0;
    is_int(kmq_record_sequence(&r, &at, &sequence, &attempts), -1,
           "attempts are missing");
}


/* ---------------------------------------------------------------- records */

#define WHEN  1640975470

/* A record of each type that there is, by turns. */
static void
record_make(kmq_buffer_t *b, unsigned type, uint64_t lsn)
{
    uint64_t        number[3] = { 7, UINT64_MAX, 0 };
    kmq_record_t    r;
    unsigned char  *p, *end;

    switch (type) {

    case KMQ_RECORD_MESSAGE:
        memset(&r, 0, sizeof(r));
        r.name = "topic";
        r.name_len = 5;
        r.sequence = UINT64_MAX - 1;
        r.due = 12345678901234;
        r.delay = 3600;
        r.state_time = 77;
        r.attempts = 65535;
        p = kmq_buffer_room(b, KMQ_RECORD_SPAN(KMQ_RECORD_MESSAGE_HEAD + 9));
        kmq_record_head(p, KMQ_RECORD_MESSAGE_HEAD + 9, lsn, type,
                        KMQ_KIND_DELAYED, 5, WHEN);
        kmq_record_message(p, &r);
        memcpy(p + KMQ_RECORD_MESSAGE_HEAD + 5, "body", 4);
        b->len += KMQ_RECORD_SPAN(KMQ_RECORD_MESSAGE_HEAD + 9);
        break;

    case KMQ_RECORD_COUNTS:
        p = kmq_buffer_room(b, KMQ_RECORD_SPAN(KMQ_RECORD_COUNTS_HEAD + 5));
        kmq_record_head(p, KMQ_RECORD_COUNTS_HEAD + 5, lsn, type, 0, 5, WHEN);
        kmq_put32(p + KMQ_RECORD_HEAD, UINT32_MAX);
        kmq_put32(p + KMQ_RECORD_HEAD + 4, 9);
        memcpy(p + KMQ_RECORD_COUNTS_HEAD, "topic", 5);
        b->len += KMQ_RECORD_SPAN(KMQ_RECORD_COUNTS_HEAD + 5);
        break;

    case KMQ_RECORD_TOPIC:
        (void) kmq_record_numbers(b, lsn, type, WHEN, "topic", 5, number, 3);
        break;

    case KMQ_RECORD_QUEUE:
    case KMQ_RECORD_END:
        (void) kmq_record_numbers(b, lsn, type, WHEN, NULL, 0, number, 3);
        break;

    default:
        p = kmq_buffer_room(b, 64);
        end = kmq_varint(p + KMQ_RECORD_LIST_HEAD, kmq_zigzag(1000, 0));
        end = type == KMQ_RECORD_DELIVERED ? kmq_varint(end, 300) : end;
        end = kmq_varint(end, kmq_zigzag(5, 1000));
        end = type == KMQ_RECORD_DELIVERED ? kmq_varint(end, 1) : end;
        kmq_record_head(p, (uint32_t) (end - p), lsn, type, 2, 0, WHEN);
        kmq_put32(p + KMQ_RECORD_HEAD, 2);
        b->len += KMQ_RECORD_SPAN(end - p);
        break;
    }
}


static void
list_check(const kmq_record_t *r)
{
    uint32_t              attempts[2] = { 0, 0 };
    uint64_t              sequence[2];
    const unsigned char  *p;

    p = r->data;
    sequence[0] = 0;
    is_int(kmq_record_sequence(r, &p, &sequence[0], &attempts[0]), 1, "one");
    sequence[1] = sequence[0];
    is_int(kmq_record_sequence(r, &p, &sequence[1], &attempts[1]), 1, "two");
    is_int(kmq_record_sequence(r, &p, &sequence[1], &attempts[1]), 0, "end");

    ok(r->count == 2 && sequence[0] == 1000 && sequence[1] == 5,
       "these sequence numbers");

    if (r->type == KMQ_RECORD_DELIVERED) {
        ok(attempts[0] == 300 && attempts[1] == 1, "these attempts");
    }
}


static void
record_check(const kmq_record_t *r, unsigned type, uint64_t lsn)
{
    ok(r->type == type && r->lsn == lsn && r->time == WHEN,
       "type %u: number and time", type);

    switch (type) {

    case KMQ_RECORD_MESSAGE:
        ok(r->kind == KMQ_KIND_DELAYED && r->sequence == UINT64_MAX - 1
           && r->due == 12345678901234 && r->delay == 3600
           && r->state_time == 77 && r->attempts == 65535, "all of it");
        is_bytes(r->name, r->name_len, "topic", 5, "its topic");
        is_bytes(r->body, r->body_size, "body", 4, "its body");
        break;

    case KMQ_RECORD_COUNTS:
        ok(r->delivered == UINT32_MAX && r->confirmed == 9, "both counts");
        is_bytes(r->name, r->name_len, "topic", 5, "its topic");
        break;

    case KMQ_RECORD_TOPIC:
        is_bytes(r->name, r->name_len, "topic", 5, "its topic");
        /* fall through */

    case KMQ_RECORD_QUEUE:
    case KMQ_RECORD_END:
        ok(kmq_record_number(r, 0) == 7
           && kmq_record_number(r, 1) == UINT64_MAX
           && kmq_record_number(r, 2) == 0, "its numbers");
        is_int((long long) kmq_record_number(r, 3), 0, "no more");
        is_int((long long) kmq_record_number(r, UINT_MAX), 0, "at all");
        break;

    default:
        is_int(r->kind, 2, "its kind");
        list_check(r);
        break;
    }
}


/* All types in one buffer, there and back. */
static void
test_records(void)
{
    long           rc;
    size_t         at;
    unsigned       type;
    kmq_buffer_t   b;
    kmq_record_t   r;

    memset(&b, 0, sizeof(b));

    for (type = KMQ_RECORD_MESSAGE; type <= KMQ_RECORD_END; type++) {
        record_make(&b, type, 100 + type);
        is_int((long long) (b.len % KMQ_RECORD_ALIGN), 0, "aligned");
    }

    kmq_records_seal(b.data, b.len);

    for (at = 0, type = KMQ_RECORD_MESSAGE; at < b.len; type++) {
        rc = kmq_record_read(b.data + at, b.len - at, &r, NULL);

        if (!ok(rc > 0, "type %u is read", type)) {
            break;
        }

        record_check(&r, type, 100 + type);
        at += (size_t) rc;
    }

    is_int(type, KMQ_RECORD_END + 1, "all of them");
    kmq_buffer_free(&b);
}


/* A record of which not all is there, in memory of just that size. */
static void
test_parts(unsigned type)
{
    long            rc;
    size_t          n, need, failed;
    kmq_buffer_t    b;
    kmq_record_t    r;
    unsigned char  *part;

    memset(&b, 0, sizeof(b));
    record_make(&b, type, 1);
    kmq_records_seal(b.data, b.len);

    for (n = 0, failed = 0; n < b.len; n++) {
        part = malloc(n ? n : 1);
        memcpy(part, b.data, n);
        rc = kmq_record_read(part, n, &r, &need);
        failed += rc != 0 || need != (n < KMQ_RECORD_HEAD ? KMQ_RECORD_HEAD
                                                          : b.len);
        free(part);
    }

    is_int((long long) failed, 0, "type %u: more is needed, and how much",
           type);
    kmq_buffer_free(&b);
}


/* Reads the first record of a buffer whose byte at is another, sealed. */
static long
changed(kmq_buffer_t *b, size_t at, unsigned char byte)
{
    long            rc;
    kmq_record_t    r;
    unsigned char  *copy;

    copy = malloc(b->len);
    memcpy(copy, b->data, b->len);
    copy[at] = byte;

    if (kmq_get32(copy + 4) >= 4 && kmq_get32(copy + 4) <= b->len) {
        kmq_put32(copy, kmq_crc32c(0, copy + 4, kmq_get32(copy + 4) - 4));
    }

    rc = kmq_record_read(copy, b->len, &r, NULL);
    free(copy);

    return rc;
}


/* Sums are right, but what is in it cannot be. */
static void
test_bounds(void)
{
    unsigned       type;
    kmq_buffer_t   b;

    memset(&b, 0, sizeof(b));
    record_make(&b, KMQ_RECORD_MESSAGE, 1);
    is_int(changed(&b, 16, KMQ_RECORD_MESSAGE), (long) b.len, "a message");
    is_int(changed(&b, 16, 0), -1, "no type");
    is_int(changed(&b, 16, KMQ_RECORD_END + 1), -1, "a type that is none");
    is_int(changed(&b, 17, 0), -1, "no kind");
    is_int(changed(&b, 17, KMQ_KIND_DEAD + 1), -1, "a kind that is none");
    is_int(changed(&b, 18, 0), -1, "no topic");
    is_int(changed(&b, 18, 9), (long) b.len, "no body");
    is_int(changed(&b, 18, 10), -1, "a topic longer than the record");
    is_int(changed(&b, 19, 1), -1, "a byte that must be zero");
    is_int(changed(&b, 4, KMQ_RECORD_HEAD - 1), -1, "shorter than its head");
    is_int(changed(&b, 4, KMQ_RECORD_MESSAGE_HEAD + 4), -1, "than its topic");
    is_int(changed(&b, 7, 0xff), 0, "longer than what is there");

    for (type = KMQ_RECORD_DELIVERED; type <= KMQ_RECORD_END; type++) {
        b.len = 0;
        record_make(&b, type, 1);

        if (type == KMQ_RECORD_COUNTS || type == KMQ_RECORD_TOPIC) {
            is_int(changed(&b, 18, 0), -1, "type %u: no topic", type);
            is_int(changed(&b, 18, 255), -1, "type %u: too long", type);

        } else if (type == KMQ_RECORD_QUEUE || type == KMQ_RECORD_END) {
            is_int(changed(&b, 18, 1), -1, "type %u: a topic", type);

        } else {
            is_int(changed(&b, 4, KMQ_RECORD_LIST_HEAD - 1), -1,
                   "type %u: no room for its count", type);
        }
    }

    kmq_buffer_free(&b);
}


static void
test_buffer(void)
{
    kmq_buffer_t  b;

    memset(&b, 0, sizeof(b));
    ok(kmq_buffer_room(&b, 1) != NULL && b.len == 0, "room does not count");
    memset(kmq_buffer_room(&b, 100), 'a', 100);
    b.len = 100;
    memset(kmq_buffer_room(&b, 3 * EU_MB), 'b', 3 * EU_MB);
    b.len += 3 * EU_MB;
    ok(b.data[99] == 'a' && b.data[100] == 'b' && b.size >= b.len, "it grows");
    kmq_buffer_free(&b);
    ok(b.data == NULL && b.size == 0 && b.len == 0, "and is given back");
}


/* -------------------------------------------------------- heads and names */

static void
test_head(void)
{
    unsigned               i, failed;
    unsigned char          p[KMQ_FILE_HEAD];
    kmq_file_head_t        head, got;

    memset(&head, 0, sizeof(head));
    head.kind = KMQ_FILE_CHECKPOINT;
    head.created = 12345678901234;
    head.info.generation = UINT64_MAX;
    head.info.start = 1;
    head.info.key[0] = 2;
    head.info.key[1] = 3;
    head.info.worker = 127;
    kmq_file_head_write(p, &head);

    memset(&got, 0, sizeof(got));
    ok(kmq_file_head_read(p, &got) == NULL, "a head");
    ok(got.version == KMQ_FORMAT_VERSION && got.kind == head.kind
       && got.created == head.created
       && got.info.generation == UINT64_MAX && got.info.start == 1
       && got.info.key[0] == 2 && got.info.key[1] == 3
       && got.info.worker == 127, "all of it");

    for (i = 0, failed = 0; i < 8 * KMQ_FILE_HEAD; i++) {
        p[i / 8] ^= 1u << i % 8;
        failed += kmq_file_head_read(p, &got) == NULL;
        p[i / 8] ^= 1u << i % 8;
    }

    is_int(failed, 0, "no bit of it may be another");
}


static void
test_names(void)
{
    char      path[KMQ_PATH_SIZE];
    size_t    i;
    unsigned  kind;
    uint64_t  generation;

    static const struct {
        const char  *name;
        unsigned     kind;
        uint64_t     generation;
    } names[] = {
        { "journal-0000000000000001-000-0", KMQ_FILE_JOURNAL, 1 },
        { "journal-00000000000000ff-127-99999", KMQ_FILE_JOURNAL, 255 },
        { "checkpoint-0000000000000010", KMQ_FILE_CHECKPOINT, 16 },
        { "checkpoint-ffffffffffffffff", KMQ_FILE_CHECKPOINT, UINT64_MAX },
        { "checkpoint-0000000000000010.new", KMQ_FILE_NEW, 16 },
        { "checkpoint-0000000000000010.damaged", KMQ_FILE_NONE, 0 },
        { "journal-0000000000000001-000-0.damaged", KMQ_FILE_NONE, 0 },
        { "journal-0000000000000001-000", KMQ_FILE_NONE, 0 },
        { "journal-0000000000000001-000-", KMQ_FILE_NONE, 0 },
        { "checkpoint-", KMQ_FILE_NONE, 0 },
        { "checkpoint-.new", KMQ_FILE_NONE, 0 },
        { "lock", KMQ_FILE_NONE, 0 },
        { ".", KMQ_FILE_NONE, 0 },
        { "", KMQ_FILE_NONE, 0 }
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        kind = kmq_file_kind(names[i].name, &generation);
        ok(kind == names[i].kind
           && (kind == KMQ_FILE_NONE || generation == names[i].generation),
           "\"%s\"", names[i].name);
    }

    for (kind = KMQ_FILE_JOURNAL; kind <= KMQ_FILE_NEW; kind++) {
        kmq_file_path(path, "/dir", kind, UINT64_C(0xfedcba9876543210), 9, 8);
        ok(kmq_file_kind(path + 5, &generation) == kind
           && generation == UINT64_C(0xfedcba9876543210), "\"%s\"", path);
    }
}


/* ------------------------------------------------------------- the thread */

typedef struct {
    atomic_int  begun;
    atomic_int  may_end;
    atomic_int  done;
    pthread_t   by;
    int         signals;         /* it could be sent some */
} job_t;


static void
job(void *arg)
{
    job_t     *j = arg;
    sigset_t   blocked;

    atomic_store(&j->begun, 1);

    while (!atomic_load(&j->may_end)) {
        sched_yield();
    }

    (void) pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    j->signals = !sigismember(&blocked, SIGTERM)
                 || !sigismember(&blocked, SIGCHLD);
    j->by = pthread_self();
    atomic_fetch_add(&j->done, 1);
}


static void
test_thread(void)
{
    int             i;
    job_t           j;
    uint64_t        n;
    sigset_t        before, after;
    kmq_thread_t    t;

    memset(&j, 0, sizeof(j));
    (void) pthread_sigmask(SIG_BLOCK, NULL, &before);
    is_int(kmq_thread_start(&t, eventfd(0, EFD_NONBLOCK)), 0, "a thread");
    (void) pthread_sigmask(SIG_BLOCK, NULL, &after);
    ok(!sigismember(&after, SIGTERM) == !sigismember(&before, SIGTERM),
       "signals come to this one as before");

    is_int(kmq_thread_busy(&t), 0, "it has nothing to do");
    kmq_thread_wait(&t);
    kmq_thread_run(&t, job, &j);
    is_int(kmq_thread_busy(&t), 1, "it has a job");

    while (!atomic_load(&j.begun)) {
        sched_yield();
    }

    is_int(kmq_thread_busy(&t), 1, "and is at it");
    ok(read(t.fd, &n, sizeof(n)) == -1, "which is not done");
    atomic_store(&j.may_end, 1);
    kmq_thread_wait(&t);
    is_int(kmq_thread_busy(&t), 0, "it is done");
    is_int(atomic_load(&j.done), 1, "once");
    ok(!pthread_equal(j.by, pthread_self()), "by another thread");
    is_int(j.signals, 0, "which gets no signals");

    for (i = 0; i < 1000; i++) {
        kmq_thread_run(&t, job, &j);
        kmq_thread_wait(&t);
    }

    is_int(atomic_load(&j.done), 1001, "a thousand more");

    /* a job that it was given is done, though it is to stop */

    kmq_thread_run(&t, job, &j);
    kmq_thread_stop(&t);
    is_int(atomic_load(&j.done), 1002, "the last one, too");
    ok(read(t.fd, &n, sizeof(n)) == sizeof(n) && n == 1002, "all were told");
    (void) close(t.fd);
    kmq_thread_stop(&t);

    is_int(kmq_thread_start(&t, -1), 0, "one that tells nobody");
    kmq_thread_run(&t, job, &j);
    kmq_thread_stop(&t);
    is_int(atomic_load(&j.done), 1003, "works, too");
}


/* --------------------------------------------------------- failing files */

/* A letter for each call; the one at fail_at fails. */
typedef struct {
    kmq_io_t    io;
    unsigned    fail_at;         /* 0: none */
    int         error;
    unsigned    n;
    char        calls[256];
} faulty_t;

static faulty_t  faulty;


/* Notes a call, and says whether it fails. */
static int
fails(char letter)
{
    if (faulty.n < sizeof(faulty.calls) - 1) {
        faulty.calls[faulty.n++] = letter;
        faulty.calls[faulty.n] = '\0';
    }

    return faulty.n == faulty.fail_at;
}


static int
f_create(kmq_io_t *io, const char *path)
{
    (void) io;

    return fails('c') ? -faulty.error
                      : kmq_io_system.create(&kmq_io_system, path);
}


/* A part of it is there. */
static int
f_append(kmq_io_t *io, int fd, const void *bytes, size_t n)
{
    (void) io;

    if (fails('a')) {
        (void) kmq_io_system.append(&kmq_io_system, fd, bytes, n / 2);
        return -faulty.error;
    }

    return kmq_io_system.append(&kmq_io_system, fd, bytes, n);
}


static int
f_sync(kmq_io_t *io, int fd)
{
    (void) io;

    return fails('s') ? -faulty.error : kmq_io_system.sync(&kmq_io_system, fd);
}


/* As with the system's, the descriptor is closed all the same. */
static int
f_close(kmq_io_t *io, int fd)
{
    int  rc;

    (void) io;
    rc = kmq_io_system.close(&kmq_io_system, fd);

    return fails('x') ? -faulty.error : rc;
}


static int
f_rename(kmq_io_t *io, const char *from, const char *to)
{
    (void) io;

    return fails('r') ? -faulty.error
                      : kmq_io_system.rename(&kmq_io_system, from, to);
}


static int
f_remove(kmq_io_t *io, const char *path)
{
    (void) io;

    return fails('u') ? -faulty.error
                      : kmq_io_system.remove(&kmq_io_system, path);
}


static int
f_sync_dir(kmq_io_t *io, const char *dir)
{
    (void) io;

    return fails('d') ? -faulty.error
                      : kmq_io_system.sync_dir(&kmq_io_system, dir);
}


static int
f_same(kmq_io_t *io, int fd, const char *path)
{
    (void) io;

    return fails('?') ? -faulty.error
                      : kmq_io_system.same(&kmq_io_system, fd, path);
}


static int
f_list(kmq_io_t *io, const char *dir,
    void (*entry)(void *arg, const char *name), void *arg)
{
    (void) io;

    return fails('l') ? -faulty.error
                      : kmq_io_system.list(&kmq_io_system, dir, entry, arg);
}


static void
faulty_set(unsigned fail_at)
{
    static const kmq_io_t  io = {
        f_create, f_append, f_sync, f_close, f_rename, f_remove, f_sync_dir,
        f_same, f_list
    };

    memset(&faulty, 0, sizeof(faulty));
    faulty.io = io;
    faulty.fail_at = fail_at;
    faulty.error = EIO;
}


/* Calls since the last time. */
static int
called(const char *calls)
{
    int  same;

    same = strcmp(faulty.calls, calls) == 0;

    if (!same) {
        diag("called \"%s\", not \"%s\"", faulty.calls, calls);
    }

    faulty.n = 0;
    faulty.calls[0] = '\0';

    return same;
}


/* ----------------------------------------------------------- the journal */

static char                dir[128];
static kmq_segment_t       segment;
static kmq_journal_info_t  info;


/* A record of so many bytes, which is all the same to a segment. */
static int
put(const char *text, int sync)
{
    const char  *what;

    return kmq_segment_write(&segment, &info, (const unsigned char *) text,
                             strlen(text), sync, &what);
}


/* What a journal has behind its head. */
static void
journal_is(uint64_t generation, unsigned n, const char *text)
{
    char            path[KMQ_PATH_SIZE];
    size_t          size;
    unsigned char  *data;

    kmq_file_path(path, dir, KMQ_FILE_JOURNAL, generation, info.worker, n);
    data = du_read(path, &size);

    if (!ok(data && size >= KMQ_FILE_HEAD, "journal %u of generation %llu", n,
            (unsigned long long) generation))
    {
        free(data);
        return;
    }

    is_bytes(data + KMQ_FILE_HEAD, size - KMQ_FILE_HEAD, text, strlen(text),
             "what it has");
    free(data);
}


static void
segment_begin(const char *name)
{
    du_directory(dir, name);
    memset(&info, 0, sizeof(info));
    info.generation = 5;
    info.worker = 3;
    faulty_set(0);
    kmq_segment_init(&segment, &faulty.io, dir);
}


static void
test_segment(void)
{
    segment_begin("segment");

    is_int(put("", 1), 0, "nothing");
    ok(called(""), "is no work");
    is_int(put("one", 1), 0, "the first records");
    ok(called("cadas?"), "make a file whose name is safe");
    is_int(put("two", 0), 0, "more");
    ok(called("a"), "are only written");
    is_int(put("", 0), 0, "nothing more");
    ok(called(""), "is no work");
    is_int(put("", 1), 0, "flush");
    ok(called("s?"), "flushes");
    is_int(put("", 1), 0, "flush again");
    ok(called("?"), "has nothing to flush");
    journal_is(5, 0, "onetwo");

    is_int(put("three", 0), 0, "not flushed");
    info.generation = 6;
    is_int(put("four", 0), 0, "another generation");
    ok(called("asxcada"), "flushes and closes the file before");
    journal_is(5, 0, "onetwothree");
    journal_is(6, 0, "four");
    is_int(put("", 1), 0, "flush");
    info.generation = 7;
    called("");
    is_int(put("", 1), 0, "a generation without records");
    ok(called("x"), "makes no file");
    is_int(du_names(dir, "journal-", ""), 2, "there are two");

    kmq_segment_close(&segment);
    kmq_segment_close(&segment);
    is_int(segment.fd, -1, "closed twice");
}


static void
test_names_taken(void)
{
    segment_begin("taken");
    is_int(put("one", 1), 0, "a file");
    kmq_segment_close(&segment);
    is_int(put("two", 1), 0, "the next worker in its place");
    kmq_segment_close(&segment);
    called("");
    is_int(put("three", 1), 0, "and one more");
    ok(called("cccadas?"), "tries one name after the other");
    journal_is(5, 0, "one");
    journal_is(5, 1, "two");
    journal_is(5, 2, "three");
    kmq_segment_close(&segment);
}


/* Each call fails once: the next records go into another file. */
static void
test_segment_fails(void)
{
    char      name[32];
    unsigned  i;

    static const char *const  what[] = {
        "creating a journal", "writing a journal's head",
        "writing a journal's name", "writing a journal",
        "flushing a journal", "looking for a journal"
    };

    for (i = 0; i < 6; i++) {
        const char  *why;

        sprintf(name, "segment-fails-%u", i);
        segment_begin(name);
        faulty.fail_at = i + 1;
        faulty.error = ENOSPC;
        is_int(kmq_segment_write(&segment, &info,
                                 (const unsigned char *) "onetwo", 6, 1,
                                 &why), -ENOSPC, "call %u fails", i);
        ok(strcmp(why, what[i]) == 0, "%s", why);
        is_int(segment.fd, -1, "the file is closed");

        faulty_set(0);
        is_int(put("three", 1), 0, "then it works again");
        ok(called(i ? "ccadas?" : "cadas?"), "with a file of its own");
        journal_is(5, i != 0, "three");

        if (i > 2) {
            journal_is(5, 0, i == 3 ? "one" : "onetwo");
        }

        kmq_segment_close(&segment);
    }

    /* later, in a file that was good so far */

    for (i = 0; i < 3; i++) {
        sprintf(name, "segment-later-%u", i);
        segment_begin(name);
        is_int(put("one", 1), 0, "a file");
        called("");
        faulty.fail_at = i + 1;
        is_int(put("twotwo", 1), -EIO, "call %u of a later write fails", i);
        faulty_set(0);
        is_int(put("three", 1), 0, "then it works again");
        journal_is(5, 0, i ? "onetwotwo" : "onetwo");
        journal_is(5, 1, "three");
        kmq_segment_close(&segment);
    }
}


/* Flushing the file of the generation before fails. */
static void
test_generation_fails(void)
{
    segment_begin("generation-fails");
    is_int(put("one", 0), 0, "not flushed");
    called("");
    info.generation = 6;
    faulty.fail_at = 1;
    is_int(put("two", 1), -EIO, "the file before fails");
    ok(called("sx"), "nothing is written");
    faulty_set(0);
    is_int(put("two", 1), 0, "then it works again");
    journal_is(6, 0, "two");
    kmq_segment_close(&segment);
}


static void
test_vanished(void)
{
    char         path[KMQ_PATH_SIZE];
    const char  *what;

    segment_begin("vanished");
    is_int(put("one", 1), 0, "a file");
    kmq_file_path(path, dir, KMQ_FILE_JOURNAL, 5, 3, 0);
    (void) unlink(path);
    is_int(put("two", 0), 0, "it vanishes, which is not seen at once");
    is_int(kmq_segment_write(&segment, &info, (const unsigned char *) "x", 1,
                             1, &what), -ENOENT, "but at the flush");
    ok(strcmp(what, "looking for a journal") == 0, "%s", what);
    is_int(put("three", 1), 0, "then there is a new one");
    journal_is(5, 0, "three");

    (void) unlink(path);
    du_write(path, "another", 7);
    is_int(put("four", 1), -ENOENT, "another file of its name");
    kmq_segment_close(&segment);

    du_remove(dir);
    is_int(put("five", 1), -ENOENT, "the directory vanishes");
    (void) mkdir(dir, 0700);
    is_int(put("six", 1), 0, "and comes again");
    journal_is(5, 0, "six");
    kmq_segment_close(&segment);
}


/* --------------------------------------------------------- the checkpoint */

static kmq_checkpoint_file_t  checkpoint;


static int
checkpoint_write(void)
{
    int  rc;

    rc = kmq_checkpoint_file_open(&checkpoint, &faulty.io, dir, &info);

    if (rc == 0) {
        rc = kmq_checkpoint_file_write(&checkpoint,
                                       (const unsigned char *) "records", 7);
    }

    return rc ? rc : kmq_checkpoint_file_finish(&checkpoint);
}


static void
test_checkpoint(void)
{
    size_t                 n;
    static unsigned char   large[1024 * 1024];

    segment_begin("checkpoint");
    is_int(checkpoint_write(), 0, "a checkpoint");
    ok(called("caasxrd"), "is flushed, then named, then the name is flushed");
    is_int((long long) checkpoint.size, KMQ_FILE_HEAD + 7, "its size");
    is_int(du_names(dir, "checkpoint-0000000000000005", ""), 1, "one file");
    is_int(du_names(dir, "", ".new"), 0, "of its last name");

    info.generation = 6;
    is_int(kmq_checkpoint_file_open(&checkpoint, &faulty.io, dir, &info), 0,
           "a large one");

    for (n = 0; n < 9; n++) {
        is_int(kmq_checkpoint_file_write(&checkpoint, large, sizeof(large)),
               0, "a part");
    }

    ok(called("caaaaasaaaasa"), "is flushed now and then");
    is_int(du_names(dir, "", ".new"), 1, "it has another name");
    kmq_checkpoint_file_abort(&checkpoint);
    ok(called("xu"), "and is removed when it is given up");
    is_int(du_names(dir, "", ".new"), 0, "it has gone");
    kmq_checkpoint_file_abort(&checkpoint);
    ok(called(""), "once");
}


static void
test_checkpoint_fails(void)
{
    char      name[32];
    unsigned  i;

    for (i = 1; i <= 7; i++) {
        sprintf(name, "checkpoint-fails-%u", i);
        segment_begin(name);
        faulty.fail_at = i;
        is_int(checkpoint_write(), -EIO, "call %u fails", i);
        faulty_set(0);
        kmq_checkpoint_file_abort(&checkpoint);
        is_int(du_names(dir, "", ".new"), 0, "nothing unfinished stays");

        /* whoever tries again has another generation */

        info.generation = 6;
        is_int(checkpoint_write(), 0, "then it works again");
        is_int(du_names(dir, "checkpoint-", ""), 1 + (i == 7),
               "there is one, or one whose name may not be safe");
    }
}


static void
touch(const char *name)
{
    char  path[KMQ_PATH_SIZE];

    (void) snprintf(path, sizeof(path), "%s/%s", dir, name);
    du_write(path, "", 0);
}


static void
test_clean(void)
{
    size_t       i;

    static const char *const  old[] = {
        "journal-0000000000000004-000-0", "journal-0000000000000000-127-31",
        "checkpoint-0000000000000004", "checkpoint-0000000000000003.new"
    };

    static const char *const  other[] = {
        "journal-0000000000000005-000-0", "journal-0000000000000006-000-0",
        "checkpoint-0000000000000006.new", "lock", "mine.txt",
        "checkpoint-0000000000000004.damaged",
        "journal-0000000000000004-000-0.damaged"
    };

    segment_begin("clean");

    for (i = 0; i < 4; i++) {
        touch(old[i]);
    }

    for (i = 0; i < 7; i++) {
        touch(other[i]);
    }

    is_int(checkpoint_write(), 0, "a checkpoint");
    called("");
    faulty.fail_at = 1;
    is_int(kmq_checkpoint_file_clean(&checkpoint), -EIO, "no look around");
    faulty_set(2);
    is_int(kmq_checkpoint_file_clean(&checkpoint), 0, "one stays");
    ok(called("luuuu"), "all are tried");
    faulty_set(0);
    is_int(kmq_checkpoint_file_clean(&checkpoint), 0, "and again");
    ok(called("lu"), "the last one");

    for (i = 0; i < 4; i++) {
        is_int(du_names(dir, old[i], old[i]), 0, "%s has gone", old[i]);
    }

    for (i = 0; i < 7; i++) {
        is_int(du_names(dir, other[i], other[i]), 1, "%s stays", other[i]);
    }
}


/* ------------------------------------------------------- the system's files */

/* What builds for tests can have fail. */
static void
test_faults(void)
{
#ifdef KMQ_FAULTS
    int                 fd;
    char                path[KMQ_PATH_SIZE];
    kmq_io_t           *io;
    volatile uint32_t   fault;

    segment_begin("faults");
    io = &kmq_io_system;
    (void) snprintf(path, sizeof(path), "%s/file", dir);
    kmq_io_fault = &fault;

    fault = 1u << KMQ_IO_CREATE | EMFILE;
    is_int(io->create(io, path), -EMFILE, "create");
    fault = 0;
    fd = io->create(io, path);
    ok(fd != -1, "works again");
    fault = 1u << KMQ_IO_APPEND | ENOSPC;
    is_int(io->append(io, fd, "x", 1), -ENOSPC, "append");
    is_int(io->sync(io, fd), 0, "but not sync");
    fault = 1u << KMQ_IO_SYNC | EIO;
    is_int(io->append(io, fd, "x", 1), 0, "append");
    is_int(io->sync(io, fd), -EIO, "but not sync");
    fault = 1u << KMQ_IO_RENAME | 1u << KMQ_IO_REMOVE | EROFS;
    is_int(io->rename(io, path, path), -EROFS, "rename");
    is_int(io->remove(io, path), -EROFS, "remove");
    fault = 1u << KMQ_IO_SYNC_DIR | EACCES;
    is_int(io->sync_dir(io, dir), -EACCES, "sync_dir");
    fault = 0;
    is_int(io->sync_dir(io, dir), 0, "works again");
    is_int(io->close(io, fd), 0, "close");
    is_int(io->remove(io, path), 0, "remove");

    kmq_io_fault = NULL;
#endif
}


int
main(void)
{
    unsigned  type;

    du_begin();

    test_crc_known();
    test_crc_same();
    test_numbers();
    test_bad_numbers();
    test_records();

    for (type = KMQ_RECORD_MESSAGE; type <= KMQ_RECORD_END; type++) {
        test_parts(type);
    }

    test_bounds();
    test_buffer();
    test_head();
    test_names();
    test_thread();
    test_segment();
    test_names_taken();
    test_segment_fails();
    test_generation_fails();
    test_vanished();
    test_checkpoint();
    test_checkpoint_fails();
    test_clean();
    test_faults();

    return done_testing();
}
