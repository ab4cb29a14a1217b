/*
 * Any bytes as the files of a queue: recovery ends, and says so when it takes
 * nothing; else the queue is sound, goes on, and is the same after another
 * recovery.
 *
 *     0   1   what is done to the files, and how many there are; see below
 *     1   4   of each: its kind and generation, what its checkpoint shows, its
 *             length (2)
 *     ..      their bytes; the last one has what is left
 *
 * With KMQ_SEEDS=DIR in the environment the seeds in t/fuzz/corpus/recover are
 * made anew, in DIR, but for those of version 1 of the format.
 */

#include "../../src/engine/journal/kmq_crc32c.h"
#include "../unit/disk_util.h"


#define SEAL      1                /* the sums are made right */
#define NUMBER    2                /* so are the numbers, in journals */
#define HEAD      4                /* the files' heads are in the input */
#define FILES     8                /* times 0 to 2: more than one file; 3: one,
                                      and too little memory */
#define LATER    32                /* an hour has gone by */
#define ALL      64                /* publish/subscribe */
#define FORGET  128                /* no history */

#define HOUR      UINT64_C(3600000)

/* in a file's first byte; the rest is its generation */
#define JOURNAL    0x80
#define UNFINISHED 0x40            /* a checkpoint is; a journal is of version
                                      1 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);


static du_queue_t  q;


static void
check(int right, const char *what)
{
    if (!right) {
        fprintf(stderr, "%s\n%s\n", what, q.log);
        abort();
    }
}


/* ------------------------------------------------------------- the files */

/*
 * Numbers and sums of records as they should be; where there is none, it is
 * looked for at the next place, as the reader does.
 */
static void
records_mend(unsigned char *p, size_t n, unsigned flags, int journal)
{
    size_t    span;
    uint32_t  size;
    uint64_t  lsn = 0;

    for ( /* void */ ; n >= KMQ_RECORD_HEAD; p += span, n -= span) {
        size = kmq_get32(p + 4);
        span = KMQ_RECORD_SPAN(size);

        if (size < KMQ_RECORD_HEAD || span > n) {
            span = KMQ_RECORD_ALIGN;
            continue;
        }

        if (journal && (flags & NUMBER)) {
            lsn += 1 + p[8];
            kmq_put64(p + 8, lsn);

            if (size >= KMQ_RECORD_MESSAGES_HEAD) {
                lsn += (uint8_t) (kmq_record_numbered(p) - 1);
            }
        }

        if (flags & SEAL) {
            kmq_put32(p, kmq_crc32c(0, p + 4, size - 4));
        }
    }
}


/* A file whose head is as its name. */
static void
file_write(unsigned i, const uint8_t *how, const uint8_t *data, size_t n,
    unsigned flags)
{
    char              path[KMQ_PATH_SIZE];
    size_t            head;
    unsigned          kind;
    unsigned char    *p;
    kmq_file_head_t   h;

    memset(&h, 0, sizeof(h));
    h.kind = how[0] & JOURNAL ? KMQ_FILE_JOURNAL : KMQ_FILE_CHECKPOINT;
    h.created = DU_WALL;
    h.info.generation = how[0] & 0x3f;
    h.info.start = how[1];
    h.info.key[0] = h.info.key[1] = 1;
    h.info.worker = i;

    kind = how[0] & UNFINISHED && h.kind == KMQ_FILE_CHECKPOINT
           ? KMQ_FILE_NEW : h.kind;

    head = flags & HEAD ? 0 : KMQ_FILE_HEAD;
    p = malloc(head + n + 1);
    memcpy(p + head, data, n);

    if (head) {
        kmq_file_head_write(p, &h);

        if (h.kind == KMQ_FILE_JOURNAL && how[0] & UNFINISHED) {
            kmq_put32(p + 8, KMQ_FORMAT_OLDEST);
            kmq_put32(p + 60, kmq_crc32c(0, p, 60));
        }

    } else if (n >= KMQ_FILE_HEAD && flags & SEAL) {
        kmq_put32(p + 60, kmq_crc32c(0, p, 60));
    }

    if (head + n > KMQ_FILE_HEAD) {
        records_mend(p + KMQ_FILE_HEAD, head + n - KMQ_FILE_HEAD, flags,
                     h.kind == KMQ_FILE_JOURNAL);
    }

    kmq_file_path(path, q.dir, kind, h.info.generation, i, 0);
    du_write(path, p, head + n);
    free(p);
}


static void
files_write(const uint8_t *data, size_t size, unsigned flags)
{
    size_t          len;
    unsigned        i, n;
    const uint8_t  *how;

    n = 1 + flags / FILES % 4 % 3;
    how = data;

    if (size < 4 * n) {
        return;
    }

    data += 4 * n;
    size -= 4 * n;

    for (i = 0; i < n; i++, how += 4) {
        len = how[2] + ((size_t) how[3] << 8);
        len = len > size || i == n - 1 ? size : len;

        file_write(i, how, data, len, flags);
        data += len;
        size -= len;
    }
}


/* ------------------------------------------------------------- the queue */

static void
verify(const char *when)
{
    char  text[512];

    text[0] = '\0';

    if (kmq_verify(q.worker[0].kmq, text, sizeof(text)) != KMQ_OK) {
        fprintf(stderr, "%s: %s\n", when, text);
        check(0, "the block is not sound");
    }
}


/* Where no file has the key of the MessageCodes any more, a new block's is
 * taken: let that be the same. */
static int
recover(void)
{
    q.starts = 0;

    return du_recover(&q);
}


static void
check_same(const char *before, const char *after, const char *what)
{
    if (strcmp(before, after) != 0) {
        fprintf(stderr, "before:\n%s\nafter:\n%s\n", before, after);
        check(0, what);
    }
}


static char *
recovered(void)
{
    du_attach(&q, 1);
    verify("recovered");

    return du_picture(&q);
}


/* Walks what was found, and has consumers get it. */
static void
use(void)
{
    char                  body[KMQ_COPY_MIN];
    kmq_t                *kmq = q.worker[0].kmq;
    unsigned              i, n;
    uint32_t              left;
    uint64_t              cursor = 0;
    kmq_ref_t             piece, client;
    kmq_query_t           query;
    kmq_batch_t          *b;
    kmq_message_info_t    info[8];

    memset(&query, 0, sizeof(query));
    query.status = KMQ_STATUS_ANY;
    query.to = UINT32_MAX;

    do {
        n = kmq_search(kmq, &query, &cursor, info, 8);

        for (i = 0; i < n; i++) {
            piece = info[i].body;
            left = info[i].size;

            while (kmq_copy(kmq, &info[i], &piece, &left, body, sizeof(body))
                   > 0)
            {
                /* void */
            }

            check(left == 0, "a body ends before its end");
        }

        if (n == 0) {
            continue;
        }

        if (info[0].status == KMQ_STATUS_DEAD) {
            (void) kmq_requeue(kmq, info[0].code);
        }

        if (n > 1) {
            (void) kmq_delete(kmq, info[1].code);
        }

        info[0].topic[info[0].topic_len < KMQ_NAME_MAX
                      ? info[0].topic_len : KMQ_NAME_MAX - 1] = '\0';
        client = eu_consumer(kmq, info[0].topic, 3, NULL);

        if (client && (b = eu_take(kmq)) != NULL && n % 2) {
            (void) eu_confirm(kmq, b);
        }

        if (client) {
            kmq_leave(kmq, client, 0);
        }
    } while (cursor);

    verify("consumed");
}


/* It is a queue that goes on. */
static void
go_on(void)
{
    char  code[KMQ_CODE_LEN + 1];

    use();

    if (du_publish(&q, 0, "new", "hello", 0, code) == KMQ_OK) {
        check(du_status(&q, code, NULL) == KMQ_STATUS_WAITING,
              "a new message is not there");
    }

    q.settings.topic.clean_time = 1;
    kmq_configure(q.worker[0].kmq, &q.settings);
    du_clock(&q, HOUR);
    (void) kmq_tick(q.worker[0].kmq);
    (void) eu_take(q.worker[0].kmq);
    verify("an hour later");
    q.settings.topic.clean_time = 0;
}


static void
settings(unsigned flags)
{
    q.size = 4 * EU_MB;
    q.mono = 1000;
    q.wall = DU_WALL + (flags & LATER ? HOUR : 0);
    q.settings = eu_settings(flags & ALL ? KMQ_PUSH_ALL : KMQ_PUSH_ONE);
    q.settings.keep_consumed = !(flags & FORGET);
    q.settings.topic.max_deliveries = 3;
    q.settings.topic.retry_delay = 1000;
    q.settings.topic.retry_delay_max = HOUR / 2;

    if (flags / FILES % 4 == 3) {
        q.size = kmq_block_min() + 4 * 8192;
    }
}


/* What is in the block comes back from a checkpoint of it. */
static void
check_checkpoint(const char *before)
{
    char  *after;

    check(du_checkpoint(&q, 1) == 0, "no checkpoint");
    du_kill(&q);

    check(recover() == 0, "not recovered from a checkpoint");
    check(q.rc.damaged == 0, "a new checkpoint is damaged");

    after = recovered();
    check_same(before, after, "not the same from a checkpoint");
    free(after);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char      *before, *after;
    unsigned   flags;

    if (size < 5) {
        return 0;
    }

    flags = data[0];
    settings(flags);
    du_remove(q.dir);
    (void) mkdir(q.dir, 0700);
    files_write(data + 1, size - 1, flags);

    if (recover() != 0) {
        check(strncmp(q.log, "E ", 2) == 0 || strstr(q.log, "\nE "),
              "no recovery, and no word why");
        du_kill(&q);
        return 0;
    }

    check(q.rc.damaged == 0 || q.log_len, "damage, and no word of it");
    before = recovered();
    du_kill(&q);

    check(recover() == 0, "recovered once, and not again");
    after = recovered();
    check_same(before, after, "not the same again");
    free(after);

    if (flags / FILES % 4 != 3) {
        check_checkpoint(before);
    }

    free(before);
    go_on();
    du_kill(&q);

    return 0;
}


/* ------------------------------------------------------------- the seeds */

/* A little of everything; shared is for publish/subscribe. */
static void
seed_work(unsigned worker, const char *topic)
{
    char          code[6][KMQ_CODE_LEN + 1];
    kmq_t        *kmq = q.worker[worker].kmq;
    unsigned      i;
    kmq_ref_t     client;

    for (i = 0; i < 6; i++) {
        (void) du_publish(&q, worker, topic, "body", i == 3 ? HOUR / 2 : 0,
                          code[i]);
    }

    client = eu_consumer(kmq, topic, 10, NULL);
    (void) eu_take(kmq);
    (void) kmq_confirm_codes(kmq, client, code[0], 1);

    /* one is dead; two wait, one of them alone */

    for (i = 0; i < 3; i++) {
        (void) kmq_return_codes(kmq, client, code[1], 1, KMQ_BACK_OFF);
        du_clock(&q, 10000);
        (void) eu_take(kmq);
    }

    (void) kmq_return_codes(kmq, client, code[4], 1, HOUR);
    kmq_leave(kmq, client, 1);

    if (worker) {
        (void) kmq_requeue(kmq, code[1]);
    }

    (void) kmq_delete(kmq, code[2]);
    check(du_flush(&q, worker) == 0, "a journal");
}


/* Appends a file of the queue to an input, if it is there. */
static void
seed_add(kmq_buffer_t *input, unsigned i, unsigned kind, unsigned generation)
{
    char             path[KMQ_PATH_SIZE];
    size_t           n;
    unsigned char   *data, *how;

    kmq_file_path(path, q.dir, kind, generation, i, 0);
    data = du_read(path, &n);
    check(data && n >= KMQ_FILE_HEAD, path);

    how = input->data + 1 + 4 * (input->data[0] >> 6);
    n -= KMQ_FILE_HEAD;
    how[0] = (unsigned char) ((kind == KMQ_FILE_JOURNAL ? JOURNAL : 0)
                              + generation);
    how[1] = data[24];
    how[2] = (unsigned char) n;
    how[3] = (unsigned char) (n >> 8);

    memcpy(kmq_buffer_room(input, n), data + KMQ_FILE_HEAD, n);
    input->len += n;
    input->data[0] += 1 << 6;
    free(data);
}


/* Of generation 1, what its checkpoint shows belongs to it. */
static void
seed_write(const char *dir, const char *name, unsigned flags,
    unsigned generation)
{
    char          path[KMQ_PATH_SIZE];
    unsigned      n;
    kmq_buffer_t  input;

    memset(&input, 0, sizeof(input));
    n = 2 + generation;
    memset(kmq_buffer_room(&input, 1 + 4 * n), 0, 1 + 4 * n);
    input.len = 1 + 4 * n;

    if (generation) {
        seed_add(&input, 0, KMQ_FILE_CHECKPOINT, generation);
    }

    seed_add(&input, 0, KMQ_FILE_JOURNAL, generation);
    seed_add(&input, 1, KMQ_FILE_JOURNAL, generation);

    input.data[0] = (unsigned char) (flags + (n - 1) * FILES);
    (void) snprintf(path, sizeof(path), "%s/%s", dir, name);
    du_write(path, input.data, input.len);
    kmq_buffer_free(&input);
}


static void
seeds_make(const char *dir)
{
    settings(0);
    du_start(&q, 2);
    seed_work(0, "a");
    seed_work(1, "b");
    seed_write(dir, "journals", 0, 0);
    seed_write(dir, "journals-sealed", SEAL, 0);
    seed_write(dir, "journals-numbered", SEAL + NUMBER + LATER, 0);

    check(du_checkpoint(&q, 1) == 0, "a checkpoint");
    seed_work(0, "a");
    seed_work(1, "c");
    seed_write(dir, "checkpoint", LATER, 1);
    seed_write(dir, "checkpoint-sealed", SEAL, 1);
    seed_write(dir, "checkpoint-shared", SEAL + ALL, 1);
    du_kill(&q);
}


/* du_begin()'s are the unit tests'. */
static void
directory_make(void)
{
    const char  *tmp;

    tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : getenv("TMPDIR");
    (void) snprintf(du_top, sizeof(du_top), "%s/kmq-fuzz-XXXXXX",
                    tmp ? tmp : "/tmp");
    check(mkdtemp(du_top) != NULL, "no directory");
    (void) atexit(du_end);
}


int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char  *dir;

    (void) argc;
    (void) argv;

    directory_make();
    du_init(&q, "queue");
    dir = getenv("KMQ_SEEDS");

    if (dir) {
        seeds_make(dir);
        exit(0);
    }

    return 0;
}
