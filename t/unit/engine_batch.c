/*
 * Batches: messages of several topics that come in all or none: refusals, and
 * the death of their worker before, at and behind the decision.
 */

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine_cases.h"


#define SIZE  (16 * EU_MB)
#define N     600                  /* messages of the largest batch */

static kmq_message_t     m[N];
static kmq_topic_name_t  topics[N];
static uint64_t          batch;


/* Message i of a batch goes to topic a, b or c, in runs of their own. */
static void
batch_make(unsigned n, uint32_t size, uint64_t delay)
{
    unsigned  i;

    static const char  *const name[] = { "a", "a", "b", "c", "a", "c" };

    memset(m, 0, sizeof(m));

    for (i = 0; i < n; i++) {
        topics[i].bytes = name[i % 6];
        topics[i].len = 1;
        m[i].size = size;
        m[i].delay_time = i % 5 == 4 ? delay : 0;
    }
}


static int
reserve(kmq_t *kmq, unsigned n, uint32_t size, uint64_t delay)
{
    batch_make(n, size, delay);

    return kmq_reserve_batch(kmq, topics, m, n, &batch);
}


static void
write_all(kmq_t *kmq, unsigned n)
{
    unsigned     i;
    static char  body[EU_MB];

    memset(body, 'x', sizeof(body));

    for (i = 0; i < n; i++) {
        kmq_write(kmq, &m[i], body, m[i].size);
    }
}


/* The next message of a topic, from i on, that is not delayed; N: none. */
static unsigned
next_ready(unsigned i, char topic)
{
    while (i < N && (topics[i].bytes[0] != topic || m[i].delay_time)) {
        i++;
    }

    return i;
}


static void
test_order(void)
{
    void          *block;
    kmq_t         *kmq;
    unsigned       i, k, wrong;
    uint64_t       first;
    kmq_batch_t   *b;
    kmq_counts_t   c;

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ONE);
    (void) eu_consumer(kmq, "a", 1000, NULL);

    is_int(reserve(kmq, N, 10, 1000), KMQ_OK, "a batch is reserved");
    first = batch;
    write_all(kmq, N);
    ok(eu_take(kmq) == NULL, "nobody sees it before it is committed");
    ok(eu_verify(kmq, "reserved"), "the block is sound meanwhile");

    kmq_batch_decide(kmq, batch);
    kmq_commit(kmq, m, 100);
    kmq_commit(kmq, m + 100, N - 100);
    kmq_batch_end(kmq);

    c = eu_count(kmq);
    is_int((long long) c.ready, N * 4 / 5, "it is there");
    is_int((long long) c.delayed, N / 5, "with what is delayed");
    is_int((long long) c.totals.published, N, "and counted");

    for (i = 0, wrong = 0; (b = eu_take(kmq)) != NULL; /* void */) {

        for (k = 0; k < b->nmessages; k++, i++) {
            i = next_ready(i, 'a');
            wrong += i == N || b->messages[k].sequence != m[i].sequence;
        }

        (void) eu_confirm(kmq, b);
    }

    is_int(wrong, 0, "a topic's come in their order");
    is_int(next_ready(i, 'a'), N, "all of them");

    is_int(reserve(kmq, 2, 10, 0), KMQ_OK, "another one");
    ok(batch > first, "has a later number");
    kmq_discard(kmq, m, 2);
    eu_close(kmq, block, SIZE, "order");
}


static void
test_refusals(void)
{
    void            *block;
    kmq_t           *kmq;
    uint64_t         bytes;
    kmq_counts_t     c;
    kmq_settings_t   s;

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ONE);
    s = eu_settings(KMQ_PUSH_ONE);
    s.waiting_max = 100;
    kmq_configure(kmq, &s);
    bytes = eu_count(kmq).bytes_free;

    is_int(reserve(kmq, 101, 10, 0), KMQ_ERROR, "more than may ever wait");
    is_int(reserve(kmq, 100, 100000, 0), KMQ_ERROR, "more than the block");
    is_int(reserve(kmq, 1, 10, 0), KMQ_OK, "one waits");
    write_all(kmq, 1);
    kmq_commit(kmq, m, 1);

    is_int(reserve(kmq, 100, 10, 0), KMQ_FULL, "and a hundred may not");
    c = eu_count(kmq);
    is_int((long long) c.ready, 1, "nothing has come in");
    is_int(reserve(kmq, 99, 10, 0), KMQ_OK, "but the others may");
    ok(eu_verify(kmq, "full"), "sound when full");
    kmq_discard(kmq, m, 99);

    s.waiting_max = 100000;
    kmq_configure(kmq, &s);

    while (reserve(kmq, 7, 200000, 0) == KMQ_OK) {
        write_all(kmq, 7);
        kmq_commit(kmq, m, 7);
    }

    bytes -= eu_count(kmq).bytes_free;
    is_int(reserve(kmq, 7, 200000, 0), KMQ_NOMEM, "no memory");
    ok(bytes > 7 * 200000, "once %llu bytes are used",
       (unsigned long long) bytes);
    c = eu_count(kmq);
    is_int((long long) c.ready % 7, 1, "whole batches are there");
    eu_close(kmq, block, SIZE, "refusals");
}


/* A batch that only fits when the history goes. */
static void
test_history(void)
{
    void            *block;
    kmq_t           *kmq;
    unsigned         i;
    kmq_settings_t   s;

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ONE);
    s = eu_settings(KMQ_PUSH_ONE);
    s.keep_consumed = 1;
    kmq_configure(kmq, &s);
    (void) eu_consumer(kmq, "a", 1000, NULL);
    (void) eu_consumer(kmq, "b", 1000, NULL);
    (void) eu_consumer(kmq, "c", 1000, NULL);

    for (i = 0; i < 60 && reserve(kmq, N, 1000, 0) == KMQ_OK; i++) {
        write_all(kmq, N);
        kmq_batch_decide(kmq, batch);
        kmq_commit(kmq, m, N);
        kmq_batch_end(kmq);
        (void) eu_drain(kmq);
    }

    is_int(i, 60, "history makes room for batches");
    eu_close(kmq, block, SIZE, "history");
}


/* --------------------------------------------------------------- deaths */

#ifdef KMQ_FAULTS

static const char  *death;
static unsigned     death_left;


static void
die_at(const char *point)
{
    if (strcmp(point, death) == 0 && --death_left == 0) {
        (void) kill(getpid(), SIGKILL);
    }
}


/* A worker publishes two batches, of which it decides both at once, and dies
 * at the nth time that it comes to a point. */
static void
worker_dies(void *block, int journal, const char *point, unsigned nth)
{
    int     status;
    pid_t   pid;
    kmq_t  *kmq;

    pid = fork();

    if (pid == 0) {
        kmq = kmq_attach(block, SIZE, 1);
        kmq_clock(kmq, 1000, EC_WALL);
        kmq_journal(kmq, journal);
        death = point;
        death_left = nth;
        kmq_fault = die_at;

        if (reserve(kmq, N, 20, 5) == KMQ_OK) {
            write_all(kmq, N);

            if (journal == 2) {
                (void) kmq_accept(kmq, m, N);
            }

            kmq_batch_decide(kmq, batch);
            kmq_commit(kmq, m, 200);
            kmq_commit(kmq, m + 200, N - 200);
            kmq_batch_end(kmq);
        }

        _exit(0);
    }

    (void) waitpid(pid, &status, 0);
    ok(WIFSIGNALED(status), "a worker dies at %s, %u", point, nth);
}


/* How many messages a checkpoint has. */
static long long
checkpoint(kmq_t *kmq)
{
    int               more;
    kmq_buffer_t      out;
    kmq_checkpoint_t  cp;

    memset(&out, 0, sizeof(out));

    if (kmq_checkpoint_begin(kmq, &cp, &out) != KMQ_OK) {
        return -1;
    }

    do {
        out.len = 0;
        more = kmq_checkpoint_next(kmq, &cp, &out);
    } while (more == 1);

    kmq_checkpoint_end(kmq, &cp, 1);
    kmq_buffer_free(&out);

    return more == 0 ? (long long) cp.messages : -1;
}


static void
test_death(int journal, const char *point, unsigned nth, unsigned left)
{
    int           i;
    void         *block;
    kmq_t        *kmq;
    kmq_counts_t  c;

    kmq_shard_pages = 64;
    kmq = eu_open(&block, SIZE, KMQ_PUSH_ONE);
    kmq_journal(kmq, 1);
    (void) checkpoint(kmq);
    is_int(kmq_checkpoint_due(kmq, EU_MB), 0, "no checkpoint is due");

    worker_dies(block, journal, point, nth);

    for (i = 0; i < 10; i++) {
        (void) kmq_tick(kmq);
        (void) eu_take(kmq);
    }

    c = eu_count(kmq);
    is_int((long long) (c.ready + c.delayed), left, "of its batch %u are there",
           left);
    ok(kmq_checkpoint_due(kmq, EU_MB), "a checkpoint is due");
    is_int(checkpoint(kmq), left, "and has them");
    ok(left ? c.totals.published >= left / 2 : c.totals.published == 0,
       "%llu are counted", (unsigned long long) c.totals.published);

    eu_close(kmq, block, SIZE, "death");
    kmq_shard_pages = 384;
}


static void
test_deaths(void)
{
    int       journal;
    unsigned  i;

    for (journal = 0; journal < 3; journal++) {
        test_death(journal, "reserve", 100, 0);
        test_death(journal, "batch-reserve", N, 0);
        test_death(journal, "batch-decide", 1, 0);
        test_death(journal, "batch-decided", 1, N);
        test_death(journal, "batch-end", 1, N);

        for (i = 1; i <= 400; i += 133) {
            test_death(journal, "commit", i, N);
        }

        test_death(journal, "commit-delayed", 60, N);
    }
}

#endif


int
main(void)
{
    test_order();
    test_refusals();
    test_history();
#ifdef KMQ_FAULTS
    test_deaths();
#endif

    return done_testing();
}
