/*
 * Damaged files: each bit turned over, cut at each byte, garbage, files that
 * are empty, swapped or there twice.  Recovery never crashes, tells where the
 * damage is, keeps the file, and has all that lies outside of it.
 */

#include "disk_util.h"


#define CODE      (KMQ_CODE_LEN + 1)
#define MESSAGES  6
#define RECORDS   32
#define FILES     4

/* A record as a file has it. */
typedef struct {
    size_t         at;
    size_t         end;
    kmq_record_t   r;
} place_t;

/* A file as it was before the damage. */
typedef struct {
    char            path[KMQ_PATH_SIZE];
    unsigned        kind;
    unsigned char  *data;
    size_t          n;
    place_t         place[RECORDS];
    unsigned        nplaces;
} file_t;

static du_queue_t  q;
static file_t      file[FILES];
static file_t      older;        /* a journal that the checkpoint shows */
static unsigned    nfiles;
static char        code[MESSAGES][CODE];

static const int   status[MESSAGES] = {
    KMQ_STATUS_CONSUMED, KMQ_STATUS_WAITING, KMQ_STATUS_DELAYED,
    KMQ_STATUS_WAITING, KMQ_STATUS_CONSUMED, KMQ_STATUS_WAITING
};


/* ------------------------------------------------------- the queue's files */

static void
file_load(file_t *f, unsigned kind, uint64_t generation, unsigned worker)
{
    long     rc;
    size_t   at;

    kmq_file_path(f->path, q.dir, kind, generation, worker, 0);
    f->kind = kind;
    f->data = du_read(f->path, &f->n);
    f->nplaces = 0;

    if (f->data == NULL) {
        printf("Bail out! no file %s\n", f->path);
        exit(2);
    }

    for (at = KMQ_FILE_HEAD; at < f->n; at += (size_t) rc) {
        f->place[f->nplaces].at = at;
        rc = kmq_record_read(f->data + at, f->n - at,
                             &f->place[f->nplaces].r, NULL);

        if (rc <= 0 || f->nplaces + 1 == RECORDS) {
            printf("Bail out! no record in %s at %zu\n", f->path, at);
            exit(2);
        }

        f->place[f->nplaces++].end = at + (size_t) rc;
    }
}


static void
publish(unsigned i, unsigned worker, uint64_t delay)
{
    char  body[2];

    sprintf(body, "%u", i);

    if (du_publish(&q, worker, i % 2 ? "odd" : "even", body, delay, code[i])
        != KMQ_OK)
    {
        printf("Bail out! no room\n");
        exit(2);
    }
}


/* Worker 1 pushes what is odd, and gets two of three back. */
static void
fail(void)
{
    kmq_t      *kmq = q.worker[1].kmq;
    kmq_ref_t   client;

    client = eu_consumer(kmq, "odd", 10, NULL);
    ok(eu_take(kmq) != NULL, "some are pushed");
    is_int(kmq_return_codes(kmq, client, code[5], 1, 60000), 1, "one fails");
    is_int(kmq_return_codes(kmq, client, code[3], 1, 0), 1, "one does not");
    kmq_leave(kmq, client, 1);
}


/*
 * Three files: a checkpoint with messages 0 to 3, of which 0 is consumed, a
 * journal with 4 and that it was consumed, and another one with 5 and with
 * failures of 5 and 1.
 */
static void
queue_make(const char *name)
{
    du_init(&q, name);
    q.size = kmq_block_min();
    q.settings.keep_consumed = 1;
    du_start(&q, 2);

    publish(0, 0, 0);
    (void) du_drain(&q, 0, "even");
    publish(1, 0, 0);
    publish(2, 0, 3600000);
    publish(3, 1, 0);
    du_flush_all(&q);
    file_load(&older, KMQ_FILE_JOURNAL, 0, 0);
    ok(du_checkpoint(&q, 1) == 0, "%s: a checkpoint", name);

    publish(4, 0, 0);
    (void) du_drain(&q, 0, "even");
    publish(5, 1, 0);
    fail();
    du_flush_all(&q);
    du_kill(&q);

    nfiles = 3;
    file_load(&file[0], KMQ_FILE_CHECKPOINT, 1, 0);
    file_load(&file[1], KMQ_FILE_JOURNAL, 1, 0);
    file_load(&file[2], KMQ_FILE_JOURNAL, 1, 1);
}


static void
queue_free(void)
{
    while (nfiles) {
        free(file[--nfiles].data);
    }

    free(older.data);
}


static void
kept_remove(const file_t *f)
{
    char  path[KMQ_PATH_SIZE + 16];

    (void) sprintf(path, "%s.damaged", f->path);
    (void) unlink(path);
}


static int
kept_there(const file_t *f)
{
    char  path[KMQ_PATH_SIZE + 16];

    (void) sprintf(path, "%s.damaged", f->path);

    return access(path, F_OK) == 0;
}


static void
queue_restore(void)
{
    unsigned  i;

    for (i = 0; i < nfiles; i++) {
        kept_remove(&file[i]);
        du_write(file[i].path, file[i].data, file[i].n);
    }
}


/* ------------------------------------------------------------ expectations */

/* Is the record hurt by damage from byte first up to, not with, end? */
static int
hurt(const place_t *place, size_t first, size_t end)
{
    /* what is filled in behind its end does not count */

    return first < end && first < place->at + place->r.size
           && place->at < end;
}


/* Is the message in the record? */
static int
has_message(const kmq_record_t *r, uint64_t sequence)
{
    kmq_record_t          m;
    const unsigned char  *p;

    if (r->type != KMQ_RECORD_MESSAGES) {
        return r->type == KMQ_RECORD_MESSAGE && r->sequence == sequence;
    }

    p = r->data;

    while (kmq_record_unpack(r, &p, &m) == 1) {
        if (m.sequence == sequence) {
            return 1;
        }
    }

    return 0;
}


/* Is the message in the list? */
static int
lists(const kmq_record_t *r, uint64_t sequence)
{
    kmq_record_entry_t    entry;
    const unsigned char  *p;

    p = r->data;
    memset(&entry, 0, sizeof(entry));

    while (kmq_record_sequence(r, &p, &entry) == 1) {
        if (entry.sequence == sequence) {
            return 1;
        }
    }

    return 0;
}


/* The status of message i after damage of f there, and how often it has failed;
 * f NULL: none. */
static int
expected(unsigned i, const file_t *f, size_t first, size_t end,
    unsigned *failures)
{
    int              there, consumed, sound;
    size_t           n;
    uint64_t         sequence;
    const place_t   *place;
    const file_t    *g;

    sequence = strtoull(memcpy((char [17]) { 0 }, code[i], 16), NULL, 16);
    there = consumed = 0;
    *failures = 0;

    for (g = file; g < file + nfiles; g++) {
        for (n = 0; n < g->nplaces; n++) {
            place = &g->place[n];
            sound = g != f || !hurt(place, first, end);

            if (has_message(&place->r, sequence)) {
                there = sound;
                consumed |= sound && place->r.kind == KMQ_KIND_CONSUMED;
            }

            if (place->r.type == KMQ_RECORD_CONSUMED && sound) {
                consumed |= lists(&place->r, sequence);
            }

            if (place->r.type == KMQ_RECORD_FAILED && sound) {
                *failures += (unsigned) lists(&place->r, sequence);
            }
        }
    }

    if (!there) {
        return KMQ_STATUS_ANY;
    }

    return consumed ? KMQ_STATUS_CONSUMED
                    : status[i] == KMQ_STATUS_DELAYED ? KMQ_STATUS_DELAYED
                                                      : KMQ_STATUS_WAITING;
}


/* What is wrong after that damage, NULL: nothing. */
static const char *
wrong(const file_t *f, size_t first, size_t end)
{
    int                  there;
    unsigned             i, failures;
    static char          text[256];
    kmq_message_info_t   info;

    for (i = 0; i < MESSAGES; i++) {
        there = expected(i, f, first, end, &failures);

        if (du_status(&q, code[i], &info) != there) {
            sprintf(text, "message %u has status %d, not %d", i,
                    du_status(&q, code[i], NULL), there);
            return text;
        }

        if (there == KMQ_STATUS_WAITING
            && (info.attempts != failures
                || (info.failure == KMQ_FAILED_NOT) != (failures == 0)
                || info.suspect != (failures && i == 1)
                || (info.due != 0) != (failures != 0)))
        {
            sprintf(text, "message %u has %u failures, not %u", i,
                    info.attempts, failures);
            return text;
        }
    }

    return eu_verify(q.worker[0].kmq, "damage") ? NULL : "the block";
}


/* Is there a line about f whose first number is offset? */
static int
told(const file_t *f, size_t offset)
{
    char         name[KMQ_PATH_SIZE + 32];
    char        *line;
    size_t       n;

    (void) sprintf(name, "\"%s\" ", f->path);
    n = strlen(name);

    for (line = strstr(q.log, name); line; line = strstr(line + 1, name)) {
        line += n;
        line += strcspn(line, "0123456789\n");

        if (*line != '\n' && strtoull(line, NULL, 10) == offset) {
            return 1;
        }
    }

    return 0;
}


/* ---------------------------------------------------------- each single bit */

/* The bit is turned over: what is wrong with that? */
static const char *
bit_check(const file_t *f, size_t at)
{
    int             filled, head, torn;
    size_t          i, from, end;
    const char     *text;

    head = at < KMQ_FILE_HEAD;
    filled = 1;
    torn = 0;
    from = at;
    end = at + 1;

    for (i = 0; i < f->nplaces; i++) {
        if (hurt(&f->place[i], at, at + 1)) {
            from = f->place[i].at;
            end = f->place[i].end;
            filled = 0;
            torn = f->kind == KMQ_FILE_JOURNAL && i + 1 == f->nplaces;
        }
    }

    if (head) {

        /* it is read all the same; its key may be that of others */

        from = 0;
        end = 0;
    }

    if (filled && !head) {
        from = end;
    }

    text = wrong(f, from, end);

    if (text) {
        return text;
    }

    if (filled && !head) {
        return q.log_len ? "there is something to say" : NULL;
    }

    if (!told(f, from)) {
        return "the log does not tell where";
    }

    return kept_there(f) == !torn ? NULL : torn ? "it was kept"
                                                : "it was not kept";
}


static void
test_bits(file_t *f)
{
    size_t       at, failed;
    unsigned     bit;
    const char  *text;

    failed = 0;

    for (at = 0; at < f->n; at++) {
        for (bit = 0; bit < 8 && failed < 5; bit++) {
            f->data[at] ^= 1u << bit;
            queue_restore();
            f->data[at] ^= 1u << bit;

            du_start(&q, 1);
            text = bit_check(f, at);
            du_kill(&q);

            if (text) {
                diag("%s, byte %zu, bit %u: %s; %s", f->path, at, bit, text,
                     q.log);
                failed++;
            }
        }
    }

    is_int((long long) failed, 0, "each bit of %zu bytes turned over", f->n);
    queue_restore();
}


/* -------------------------------------------------------- cut at each byte */

static const char *
cut_check(const file_t *f, size_t n)
{
    int          whole;
    size_t       i, from;
    const char  *text;

    whole = n == KMQ_FILE_HEAD;
    from = KMQ_FILE_HEAD;

    for (i = 0; i < f->nplaces; i++) {
        whole |= n == f->place[i].end;
        from = f->place[i].end <= n ? f->place[i].end : from;
    }

    /* a record counts when all of it is there, and what is behind its end */

    text = wrong(f, from, f->n);

    if (text) {
        return text;
    }

    if (f->kind == KMQ_FILE_CHECKPOINT && n < f->n && n >= KMQ_FILE_HEAD
        && !du_logged(&q, "has no end"))
    {
        return "it does not tell that the end is missing";
    }

    if (n < KMQ_FILE_HEAD) {
        return told(f, 0) ? NULL : "it does not tell of the head";
    }

    if (!whole && !told(f, from)) {
        return "the log does not tell where";
    }

    return kept_there(f) == (f->kind == KMQ_FILE_CHECKPOINT)
           ? NULL : "it is kept, or not";
}


static void
test_cuts(file_t *f)
{
    size_t       n, failed;
    const char  *text;

    for (n = 0, failed = 0; n < f->n && failed < 5; n++) {
        queue_restore();
        du_write(f->path, f->data, n);

        du_start(&q, 1);
        text = cut_check(f, n);
        du_kill(&q);

        if (text) {
            diag("%s, %zu bytes: %s; %s", f->path, n, text, q.log);
            failed++;
        }
    }

    is_int((long long) failed, 0, "cut at each of %zu bytes", f->n);
    queue_restore();
}


/* ------------------------------------------------------------------ garbage */

static void
test_garbage(file_t *f)
{
    size_t          i, n, failed;
    uint64_t        r;
    unsigned char  *data;

    data = malloc(f->n + 512);
    r = 1;

    for (n = 1, failed = 0; n <= 512; n += n < 32 ? 1 : 37) {
        memcpy(data, f->data, f->n);

        for (i = 0; i < n; i++) {
            data[f->n + i] = n % 3 ? (unsigned char) eu_rand(&r) : 0;
        }

        du_write(f->path, data, f->n + n);
        du_start(&q, 1);

        if (wrong(NULL, 0, 0) || !told(f, f->n)) {
            diag("%zu bytes behind the end: %s", n, q.log);
            failed++;
        }

        du_kill(&q);
        queue_restore();
    }

    is_int((long long) failed, 0, "garbage behind the end");
    free(data);
}


/* Bytes from at up to end are all the same; NULL, or what is wrong then. */
static const char *
hole(const file_t *f, size_t at, size_t end, int byte)
{
    const char     *text;
    unsigned char  *data;

    data = malloc(f->n);
    memcpy(data, f->data, f->n);
    memset(data + at, byte, end - at);
    du_write(f->path, data, f->n);

    /* what it changes begins and ends there: no record is of one byte alone */

    while (at < end && data[at] == f->data[at]) {
        at++;
    }

    while (end > at && data[end - 1] == f->data[end - 1]) {
        end--;
    }

    free(data);

    du_start(&q, 1);
    text = wrong(f, at, end);
    du_kill(&q);

    return text;
}


/* As blocks that were never written leave them. */
static void
test_holes(file_t *f)
{
    size_t       at, n, holes, failed;
    uint64_t     r;
    const char  *text;

    r = 7;
    holes = 0;
    failed = 0;

    for (at = KMQ_FILE_HEAD; at < f->n; at += 1 + eu_below(&r, 24)) {
        for (n = 1; at + n <= f->n && failed < 5; n += 1 + eu_below(&r, 60)) {
            text = hole(f, at, at + n, n % 2 ? 0 : 0xff);
            holes++;

            if (text) {
                diag("%s, %zu bytes at %zu: %s; %s", f->path, n, at, text,
                     q.log);
                failed++;
            }
        }
    }

    is_int((long long) failed, 0, "%zu holes of any length", holes);
    queue_restore();
}


/* ------------------------------------------------------------- whole files */

static void
test_empty_files(void)
{
    file_t  *f;

    for (f = file; f < file + nfiles; f++) {
        du_write(f->path, "", 0);
        du_start(&q, 1);
        ok(wrong(f, 0, f->n) == NULL, "an empty file: %s", q.log);
        ok(told(f, 0), "is told of");
        du_kill(&q);
        queue_restore();
    }

    for (f = file; f < file + nfiles; f++) {
        du_write(f->path, "", 0);
    }

    du_start(&q, 1);
    is_int((long long) q.rc.restored.messages, 0, "all are empty");
    ok(du_publish(&q, 0, "t", "new", 0, NULL) == KMQ_OK, "it goes on");
    is_int(du_flush(&q, 0), 0, "and is written");
    du_kill(&q);
    du_start(&q, 1);
    is_int((long long) q.rc.restored.ready, 1, "to be recovered");
    is_int(du_checkpoint(&q, 1), 0, "and a checkpoint cleans up");
    is_int(du_names(q.dir, "journal-", ""), du_names(q.dir, "journal-",
           ".damaged"), "but for what was damaged");
    du_kill(&q);
}


static void
swap(const char *one, const char *two)
{
    char  path[KMQ_PATH_SIZE + 8];

    (void) sprintf(path, "%s/swap", q.dir);

    if (rename(one, path) != 0 || rename(two, one) != 0
        || rename(path, two) != 0)
    {
        perror("rename");
        exit(2);
    }
}


static void
test_swapped(void)
{
    swap(file[1].path, file[2].path);
    du_start(&q, 1);
    ok(wrong(NULL, 0, 0) == NULL, "two journals have changed places");
    du_kill(&q);
    swap(file[1].path, file[2].path);

    swap(file[0].path, file[1].path);
    du_start(&q, 1);
    ok(du_logged(&q, "has no end"), "a journal is no checkpoint");
    ok(kept_there(&file[0]) && kept_there(&file[1]), "both are kept");
    ok(eu_verify(q.worker[0].kmq, "swapped"), "the block is sound");
    du_kill(&q);
    swap(file[0].path, file[1].path);
    queue_restore();
}


static void
test_twice(void)
{
    char     *before, *after, path[KMQ_PATH_SIZE];
    unsigned  i;

    du_start(&q, 1);
    before = du_picture(&q);
    du_kill(&q);

    for (i = 1; i < 3; i++) {
        kmq_file_path(path, q.dir, KMQ_FILE_JOURNAL, 1 + i, 7, i);
        du_write(path, file[i].data, file[i].n);
    }

    /* and one that a later generation's name makes look new */

    kmq_file_path(path, q.dir, KMQ_FILE_JOURNAL, 4, 0, 0);
    du_write(path, older.data, older.n);

    du_start(&q, 1);
    after = du_picture(&q);
    ok(wrong(NULL, 0, 0) == NULL, "journals are there twice");
    (void) du_same(before, after, "nothing counts twice");
    du_kill(&q);
    (void) unlink(path);

    for (i = 1; i < 3; i++) {
        kmq_file_path(path, q.dir, KMQ_FILE_JOURNAL, 1 + i, 7, i);
        (void) unlink(path);
    }
}


/* The checkpoint before is still there; the newer one is not complete. */
static void
test_older(void)
{
    char      path[KMQ_PATH_SIZE];

    kmq_file_path(path, q.dir, KMQ_FILE_CHECKPOINT, 2, 0, 0);
    du_write(path, file[0].data, file[0].n - 8);
    du_start(&q, 1);
    ok(wrong(NULL, 0, 0) == NULL, "a complete checkpoint that is older");
    du_kill(&q);
    (void) unlink(path);

    kmq_file_path(path, q.dir, KMQ_FILE_NEW, 2, 0, 0);
    du_write(path, file[0].data, file[0].n - 8);
    du_start(&q, 1);
    ok(wrong(NULL, 0, 0) == NULL, "one that was begun");
    is_int(access(path, F_OK), -1, "is removed");
    is_int((long long) q.log_len, 0, "without a word");
    du_kill(&q);
}


/* Damage is told at each start, and a checkpoint makes an end of it. */
static void
test_then(void)
{
    char  *before, *after;

    file[0].data[file[0].place[1].at + 30] ^= 1;
    queue_restore();
    file[0].data[file[0].place[1].at + 30] ^= 1;

    du_start(&q, 2);
    before = du_picture(&q);
    is_int((long long) q.rc.damaged, 1, "one place is damaged");
    ok(du_logged(&q, "W it is kept as \""), "the file is kept");
    du_kill(&q);

    du_start(&q, 2);
    after = du_picture(&q);
    is_int((long long) q.rc.damaged, 1, "so it is at the next start");
    (void) du_same(before, after, "which finds the same");

    kmq_configure(q.worker[0].kmq, &q.settings);
    (void) kmq_tick(q.worker[0].kmq);
    ok(kmq_checkpoint_due(q.worker[0].kmq, UINT64_MAX)
       || kmq_checkpoint_due(q.worker[1].kmq, UINT64_MAX),
       "a checkpoint is wanted");
    before = du_picture(&q);
    is_int(du_checkpoint(&q, 1), 0, "and made");
    ok(!kmq_checkpoint_due(q.worker[0].kmq, UINT64_MAX), "once");
    du_kill(&q);

    du_start(&q, 2);
    is_int((long long) q.log_len, 0, "then there is nothing to tell");
    (void) du_same(before, du_picture(&q), "and all is there");
    ok(kept_there(&file[0]), "and the damaged file is, too");
    du_kill(&q);
}


int
main(void)
{
    unsigned  i;

    du_begin();
    queue_make("damage");

    for (i = 0; i < nfiles; i++) {
        test_bits(&file[i]);
        test_cuts(&file[i]);
        test_garbage(&file[i]);
        test_holes(&file[i]);
    }

    test_swapped();
    test_twice();
    test_older();
    test_then();
    queue_free();

    queue_make("empty");
    test_empty_files();
    queue_free();

    return done_testing();
}
