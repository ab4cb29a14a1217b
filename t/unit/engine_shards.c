/*
 * A block of several shards: what holds over all of them, and what stays within
 * one.  Order and counts, the bound of messages that wait, memory, the pace,
 * searches, turns, and deaths.
 */

#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine_unlock.h"
#include "../../src/engine/worker/kmq_worker.h"


#define SIZE      (16 * EU_MB)
#define SHARDS    16
#define TOPICS    64
#define WALL      UINT64_C(1640975470000)
#define WORKERS   2
#define ROUNDS    10000           /* more of them, and something hangs */

typedef struct {
    char          topic[EI_NAME_LEN];
    kmq_ref_t     producer;
    kmq_ref_t     consumer;
    unsigned      worker;         /* whose consumer it is */
    unsigned      got;            /* messages of the current window */
    unsigned      sum;            /* of all windows */
} place_t;

typedef struct {
    void         *block;
    kmq_t        *kmq[WORKERS];
    int           told[WORKERS];
    unsigned      n;
    uint64_t      mono;
    place_t       place[TOPICS];
} queue_t;


/* A block with two workers. */
static void
queue_open(queue_t *q, const kmq_settings_t *s)
{
    unsigned  i;

    memset(q, 0, sizeof(*q));

    q->block = eu_block(SIZE);
    q->mono = 1000;

    for (i = 0; i < WORKERS; i++) {
        q->kmq[i] = eu_attach(q->block, SIZE, i);
    }

    kmq_configure(q->kmq[0], s);

    is_int(q->kmq[0]->block->nshards, SHARDS, "a block of so many shards");
}


static void
queue_close(queue_t *q, const char *what)
{
    kmq_detach(q->kmq[1]);
    eu_close(q->kmq[0], q->block, SIZE, what);
}


/* Topic number i, the nth one of a shard, with a producer. */
static void
place_open(queue_t *q, unsigned shard, unsigned nth)
{
    place_t  *p = &q->place[q->n++];

    (void) ei_name(q->kmq[0], shard, nth, p->topic);
    p->producer = eu_producer(q->kmq[0], p->topic);
}


static void
place_consumer(queue_t *q, unsigned i, unsigned worker, unsigned prefetch)
{
    place_t  *p = &q->place[i];

    p->worker = worker;
    p->consumer = eu_consumer(q->kmq[worker], p->topic, prefetch, p);
}


static void
clock_add(queue_t *q, uint64_t ms)
{
    unsigned  i;

    q->mono += ms;

    for (i = 0; i < WORKERS; i++) {
        kmq_clock(q->kmq[i], q->mono, WALL + q->mono);
    }
}


/* Whom the workers name, they wake. */
static void
wakes(queue_t *q)
{
    unsigned  i, k;
    uint64_t  mask[KMQ_WORKERS / 64];

    for (i = 0; i < WORKERS; i++) {

        if (!kmq_wakes(q->kmq[i], mask)) {
            continue;
        }

        for (k = 0; k < WORKERS; k++) {
            q->told[k] |= mask[0] >> k & 1;
        }
    }
}


/* Takes and confirms one batch; counts for each topic. */
static unsigned
turn(queue_t *q, unsigned worker)
{
    unsigned      i, n;
    place_t      *p;
    kmq_batch_t  *b;

    q->told[worker] = 0;
    b = eu_take(q->kmq[worker]);
    n = 0;

    for (i = 0; b && i < b->nruns; i++) {
        p = b->runs[i].user;
        p->got += b->runs[i].count;
        n += b->runs[i].count;
    }

    if (b) {
        (void) eu_confirm(q->kmq[worker], b);
        q->told[worker] = 1;
    }

    return n;
}


/* Workers that have been told so, or know it themselves, take until there is
 * nothing more.  Returns how many messages that were. */
static unsigned
turns(queue_t *q)
{
    int       any;
    unsigned  i, n, rounds;

    n = 0;
    rounds = 0;

    do {
        any = 0;
        wakes(q);

        for (i = 0; i < WORKERS; i++) {
            if (q->told[i] || kmq_has_work(q->kmq[i])) {
                any = 1;
                n += turn(q, i);
            }
        }
    } while (any && ++rounds < ROUNDS);

    ok(rounds < ROUNDS, "it ends");

    return n;
}


/* The next window of the pace: who waits for it is called. */
static unsigned
window(queue_t *q)
{
    unsigned  i, n;

    for (i = 0; i < q->n; i++) {
        q->place[i].got = 0;
    }

    clock_add(q, 1000);

    for (i = 0; i < WORKERS; i++) {
        q->told[i] |= kmq_next_batch(q->kmq[i]) != 0;
    }

    n = turns(q);

    for (i = 0; i < q->n; i++) {
        q->place[i].sum += q->place[i].got;
    }

    return n;
}


static unsigned
publish(queue_t *q, unsigned i, unsigned first, unsigned n)
{
    return eu_publish_numbers(q->kmq[0], q->place[i].producer, first, n);
}


/* ------------------------------------------------------- order and counts */

#define EACH  300

static unsigned  next_number[TOPICS];
static unsigned  wrong;


/* Messages of any topics in one commit. */
static void
publish_any(queue_t *q, uint64_t *r, unsigned *left)
{
    int             len;
    char            text[16];
    unsigned        i, n;
    place_t        *p;
    kmq_message_t   m[16];

    memset(m, 0, sizeof(m));

    for (n = 0; n < 16 && *left; n++) {

        do {
            i = eu_below(r, TOPICS);
            p = &q->place[i];
        } while (p->sum == EACH);

        len = sprintf(text, "%u", p->sum++);
        m[n].size = (uint32_t) len;
        --*left;

        wrong += kmq_reserve_to(q->kmq[0], p->topic, strlen(p->topic), &m[n])
                 != KMQ_OK;
        kmq_write(q->kmq[0], &m[n], text, (size_t) len);
    }

    kmq_commit(q->kmq[0], m, n);
}


/* One batch: each topic's messages in their order. */
static unsigned
take_in_order(queue_t *q, unsigned worker)
{
    unsigned      i, k, n, place;
    kmq_run_t    *run;
    kmq_batch_t  *b;

    b = eu_take(q->kmq[worker]);
    n = 0;

    for (i = 0; b && i < b->nruns; i++) {
        run = &b->runs[i];
        place = (unsigned) ((place_t *) run->user - q->place);
        n += run->count;

        wrong += b->topic_len != strlen(q->place[place].topic)
                 || memcmp(b->topic, q->place[place].topic, b->topic_len) != 0;

        for (k = 0; k < run->count; k++) {
            wrong += eu_number(q->kmq[worker], &b->messages[run->first + k])
                     != next_number[place]++;
        }
    }

    if (b) {
        (void) eu_confirm(q->kmq[worker], b);
    }

    return n;
}


/* Counts of the queue are those of its topics, and those of its shards. */
static void
counts_are_sums(queue_t *q, const char *when)
{
    unsigned           i, n, topics;
    uint64_t           cursor, ready, waiting, published, used;
    kmq_counts_t       c;
    kmq_topic_info_t   info[5];

    ready = 0;
    published = 0;
    topics = 0;
    cursor = 0;

    while ((n = kmq_topics(q->kmq[0], &cursor, info, 5)) != 0) {
        for (i = 0; i < n; i++) {
            ready += info[i].ready;
            published += info[i].totals.published;
            topics++;
        }
    }

    waiting = 0;
    used = 0;

    for (i = 0; i < SHARDS; i++) {
        waiting += ei_shard(q->kmq[0], i)->waiting;
        used += ei_shard(q->kmq[0], i)->waiting != 0;
    }

    c = eu_count(q->kmq[0]);

    is_int((long long) c.topics, topics, "%s: topics", when);
    is_int((long long) c.ready, (long long) ready, "of ready messages");
    is_int((long long) c.ready, (long long) waiting, "which shards have");
    is_int((long long) c.totals.published, (long long) published,
           "of published ones");
    is_int((long long) c.shards, SHARDS, "of shards");
    ok(used == (ready ? SHARDS : 0), "in all of which are some, or none");
}


static void
test_order(uint32_t type)
{
    queue_t          q;
    unsigned         i, n, left;
    uint64_t         r;
    kmq_settings_t   s;

    s = eu_settings(type);
    queue_open(&q, &s);
    r = 7;
    wrong = 0;
    left = TOPICS * EACH;
    memset(next_number, 0, sizeof(next_number));

    for (i = 0; i < TOPICS; i++) {
        place_open(&q, i % SHARDS, i / SHARDS);
        place_consumer(&q, i, i / SHARDS % WORKERS, 10);
    }

    /* the first half at once, and the other while it is consumed */

    while (left > TOPICS * EACH / 2) {
        publish_any(&q, &r, &left);
    }

    counts_are_sums(&q, "half of them are published");
    n = 0;

    for (i = 0; i < ROUNDS && (left || n < TOPICS * EACH); i++) {

        if (left) {
            publish_any(&q, &r, &left);
        }

        n += take_in_order(&q, i % WORKERS);
    }

    is_int(n, TOPICS * EACH, "all arrive");
    is_int(wrong, 0, "in their order, of each topic");
    counts_are_sums(&q, "all is consumed");
    is_int((long long) eu_count(q.kmq[0]).totals.confirmed, TOPICS * EACH,
           "and confirmed");
    is_int((long long) eu_count(q.kmq[0]).consumers, TOPICS, "consumers");
    is_int((long long) eu_count(q.kmq[0]).producers, TOPICS, "producers");

    queue_close(&q, "order");
}


/* ------------------------------------------------------------ waiting_max */

/* Publishes to all topics in turns, from one on, until all are full. */
static unsigned
publish_until_full(queue_t *q, unsigned first)
{
    int       rc;
    unsigned  i, n, full;

    n = 0;
    full = 0;

    for (i = first; full < q->n; i++) {
        rc = eu_publish(q->kmq[i % WORKERS],
                        q->place[i % q->n].producer, "x", 1);
        wrong += rc != KMQ_OK && rc != KMQ_FULL;
        n += rc == KMQ_OK;
        full = rc == KMQ_OK ? 0 : full + 1;
    }

    return n;
}


/* All at one topic: it may have all the room. */
static unsigned
publish_one_until_full(queue_t *q, unsigned i)
{
    unsigned  n;

    for (n = 0;
         eu_publish(q->kmq[0], q->place[i].producer, "x", 1) == KMQ_OK;
         n++)
    {
        /* void */
    }

    return n;
}


/* A topic with messages that wait. */
static unsigned
some(queue_t *q)
{
    unsigned  i;

    for (i = 0; i < q->n; i++) {
        if (ei_shard_of(q->kmq[0], q->place[i].topic)->waiting) {
            return i;
        }
    }

    return 0;
}


/* One message of a topic, for a consumer that comes for it. */
static kmq_batch_t *
take_one(queue_t *q, unsigned i)
{
    unsigned      k;
    kmq_batch_t  *b;

    k = 0;
    place_consumer(q, i, 0, 1);

    do {
        b = eu_take(q->kmq[0]);
    } while (b == NULL && kmq_has_work(q->kmq[0]) && ++k < ROUNDS);

    if (b == NULL) {
        kmq_leave(q->kmq[0], q->place[i].consumer, 0);
    }

    return b;
}


static void
test_waiting_max(unsigned max)
{
    queue_t          q;
    unsigned         i, k, other, n;
    kmq_batch_t     *b;
    kmq_settings_t   s;

    s = eu_settings(KMQ_PUSH_ONE);
    s.waiting_max = max;
    queue_open(&q, &s);
    wrong = 0;

    for (i = 0; i < SHARDS; i++) {
        place_open(&q, i, 0);
    }

    is_int(publish_until_full(&q, 3), max, "%u may wait, in all shards", max);
    is_int((long long) eu_count(q.kmq[0]).ready, max, "they are there");

    /* one is taken, and one more comes, elsewhere */

    n = 0;
    other = 0;

    for (i = 0; i < SHARDS; i++) {
        b = take_one(&q, i);

        if (b == NULL) {
            continue;         /* they are few, and none is in this shard */
        }

        other += publish_one_until_full(&q, (i + 1 + n % (SHARDS - 1))
                                            % SHARDS);
        wrong += publish_until_full(&q, i) != 0;
        (void) eu_confirm(q.kmq[0], b);
        wrong += publish_until_full(&q, i) != 0;
        kmq_leave(q.kmq[0], q.place[i].consumer, 0);
        wrong += eu_count(q.kmq[0]).ready != max;
        n++;
    }

    ok(n >= SHARDS / 2, "%u times one is taken", n);
    is_int(other, n, "exactly one comes then, in another shard");
    is_int(wrong, 0, "and never one more");

    /* what was taken waits again: that is one too many */

    i = some(&q);
    ok(take_one(&q, i) != NULL, "one is taken");
    is_int(publish_one_until_full(&q, (i + 1) % SHARDS), 1, "one comes");
    kmq_leave(q.kmq[0], q.place[i].consumer, 0);
    is_int((long long) eu_count(q.kmq[0]).ready, max + 1, "one too many waits");

    for (k = 0; k < 2; k++) {
        i = some(&q);
        is_int(eu_confirm(q.kmq[0], take_one(&q, i)), 1, "one goes");
        kmq_leave(q.kmq[0], q.place[i].consumer, 0);
        is_int(publish_until_full(&q, i + 1), k, "%s", k ? "one comes"
               : "none comes, since as many wait as may");
    }

    for (i = 0; i < SHARDS; i++) {
        place_consumer(&q, i, 0, KMQ_PREFETCH_MAX);
    }

    k = eu_drain(q.kmq[0]);
    is_int(k, max, "all are consumed");

    for (i = 0; i < SHARDS; i++) {
        kmq_leave(q.kmq[0], q.place[i].consumer, 0);
    }

    is_int(publish_one_until_full(&q, 5), max, "all may wait in one shard");
    is_int(publish_until_full(&q, 0), 0, "and none in the others");

    /* what is counted on the way is right, as if it were counted anew */

    (void) kmq_tick(q.kmq[0]);
    (void) kmq_tick(q.kmq[1]);
    is_int(publish_until_full(&q, 0), 0, "nor after it was counted again");

    s.waiting_max = max + 7;
    kmq_configure(q.kmq[1], &s);
    is_int(publish_until_full(&q, 2), 7, "seven more may wait");

    s.waiting_max = max - 3;
    kmq_configure(q.kmq[1], &s);
    is_int(publish_until_full(&q, 2), 0, "fewer may, than do");

    place_consumer(&q, 5, 1, 12);
    b = eu_take(q.kmq[1]);
    n = b ? b->nmessages : 0;
    ok(n > 10, "%u are taken, more than were too many", n);
    is_int(publish_until_full(&q, 2), n - 10, "so many more may wait");

    queue_close(&q, "waiting_max");
}


/* ----------------------------------------------------------------- memory */

#define BODY    1000
#define SECOND  1024              /* messages */

static char  body[BODY];


/* Messages that are consumed at once; returns how many were refused. */
static unsigned
pass_through(queue_t *q, unsigned i, unsigned n)
{
    unsigned  refused;

    refused = 0;

    while (n--) {
        refused += eu_publish(q->kmq[0], q->place[i].producer, body, BODY)
                   != KMQ_OK;

        if (n % 8 == 0) {
            (void) eu_drain(q->kmq[0]);
        }

        /* what is older is told by the second */

        if (n % SECOND == 0) {
            clock_add(q, 1000);
        }
    }

    return refused;
}


static uint64_t
history_of(queue_t *q, unsigned i)
{
    kmq_topic_detail_t  detail;

    if (kmq_topic(q->kmq[0], q->place[i].topic, strlen(q->place[i].topic),
                  &detail)
        != KMQ_OK)
    {
        return 0;
    }

    return detail.info.consumed;
}


/* One shard's history gives way to another's. */
static void
test_memory_history(void)
{
    char            *large;
    queue_t          q;
    unsigned         i, n;
    uint64_t         full, first;
    kmq_settings_t   s;

    s = eu_settings(KMQ_PUSH_ONE);
    s.keep_consumed = 1;
    queue_open(&q, &s);

    for (i = 0; i < 3; i++) {
        place_open(&q, 3 * i, 0);
        place_consumer(&q, i, 0, 10);
    }

    n = 3 * SIZE / BODY;

    is_int(pass_through(&q, 0, n), 0, "a shard's history fills the block");
    full = history_of(&q, 0);
    ok(full > SIZE / (BODY + 200) * 3 / 4, "of which it has most: %llu",
       (unsigned long long) full);

    is_int(pass_through(&q, 1, n), 0, "as many of another shard pass through");
    first = history_of(&q, 0);
    ok(history_of(&q, 1) > full / 2, "%llu of them are the history now",
       (unsigned long long) history_of(&q, 1));
    ok(first < full / 2, "the first one's has given way: %llu are left",
       (unsigned long long) first);
    is_int((long long) eu_count(q.kmq[0]).totals.dropped,
           (long long) (2 * n - first - history_of(&q, 1)),
           "what is gone is counted");

    is_int(pass_through(&q, 2, n), 0, "a third shard's");
    ok(history_of(&q, 2) > full / 2, "%llu of them are the history then",
       (unsigned long long) history_of(&q, 2));
    ok(eu_verify(q.kmq[0], "history of three shards"), "sound");

    /* a large message, for which history of several shards has to go */

    is_int(pass_through(&q, 0, 2000), 0, "some more of the first");

    large = calloc(1, SIZE / 3);
    is_int(eu_publish(q.kmq[0], q.place[1].producer, large, SIZE / 3), KMQ_OK,
           "a large message has room");
    free(large);

    queue_close(&q, "memory of history");
}


static unsigned
fill(queue_t *q, unsigned i, int *why)
{
    unsigned  n;

    for (n = 0;
         (*why = eu_publish(q->kmq[0], q->place[i].producer, body, BODY))
         == KMQ_OK;
         n++)
    {
        /* void */
    }

    return n;
}


/* Messages that wait give way to nothing; when they are consumed, their memory
 * is there for another shard's. */
static void
test_memory_waiting(int history)
{
    int              why;
    queue_t          q;
    unsigned         i, n, k, all;
    kmq_settings_t   s;

    s = eu_settings(KMQ_PUSH_ONE);
    s.keep_consumed = history;
    queue_open(&q, &s);

    for (i = 0; i < 3; i++) {
        place_open(&q, 5 * i, 0);
    }

    n = fill(&q, 0, &why);
    all = n;
    is_int(why, KMQ_NOMEM, "messages that wait in a shard fill the block");
    ok(n > SIZE / (BODY + 200) * 3 / 4, "most of it, with %u", n);

    for (i = 1; i < 3; i++) {
        k = fill(&q, i, &why);
        all += k;
        is_int(why, KMQ_NOMEM, "it is full for another shard");
        ok(k < n / 20, "which has room for %u", k);
    }

    is_int((long long) eu_count(q.kmq[0]).ready, all, "all of them wait");

    for (i = 0; i < 3; i++) {
        place_consumer(&q, i, 0, 1000);
    }

    is_int(eu_drain(q.kmq[0]), all, "all are consumed");

    for (i = 0; i < 3; i++) {
        kmq_leave(q.kmq[0], q.place[i].consumer, 0);
    }

    k = fill(&q, 1, &why);
    is_int(why, KMQ_NOMEM, "another shard fills the block");
    ok(k >= n * 0.85, "with %u, where %u were before", k, n);
    is_int((long long) eu_count(q.kmq[0]).ready, k, "they wait");

    queue_close(&q, "memory of messages that wait");
}


/* A shard whose history fills the block. */
static void
history_open(queue_t *q)
{
    unsigned         i;
    kmq_settings_t   s;

    s = eu_settings(KMQ_PUSH_ONE);
    s.keep_consumed = 1;
    queue_open(q, &s);

    for (i = 0; i < 2; i++) {
        place_open(q, 8 * i, 0);
        place_consumer(q, i, 0, 10);
    }

    is_int(pass_through(q, 0, 3 * SIZE / BODY), 0,
           "a shard's history fills the block");
    kmq_leave(q->kmq[0], q->place[1].consumer, 0);
}


/* All of it gives way to messages of another shard that wait. */
static void
test_memory_both(void)
{
    int           why;
    queue_t       q;
    unsigned      n;
    uint64_t      history;

    history_open(&q);
    history = history_of(&q, 0);

    n = fill(&q, 1, &why);
    is_int(why, KMQ_NOMEM, "messages of another shard wait");
    ok(n >= history * 0.85, "%u of them, where %llu were before", n,
       (unsigned long long) history);
    is_int((long long) history_of(&q, 0), 0, "nothing is left of these");

    queue_close(&q, "memory of both");
}


static queue_t   *claim_queue;
static unsigned   claiming;


/* While one takes pages, another one does so, too, if it gets some. */
static void
claim_beside(const char *point)
{
    unsigned  i;
    uint32_t  pages;

    if (claiming || strcmp(point, "pages-claim") != 0) {
        return;
    }

    claiming = 1;
    pages = ei_shard(claim_queue->kmq[1], 8)->pages;

    for (i = 0; i < 1000 && ei_shard(claim_queue->kmq[1], 8)->pages == pages;
         i++)
    {
        if (eu_publish(claim_queue->kmq[1], claim_queue->place[1].producer,
                       body, BODY)
            != KMQ_OK)
        {
            break;
        }
    }

    claiming = 0;
}


/* Several take pages at the same moment: what is not for messages stays. */
static void
test_memory_spare(void)
{
    int              why;
    queue_t          q;
    unsigned         i, n;
    kmq_block_t     *b;
    kmq_settings_t   s;

    s = eu_settings(KMQ_PUSH_ONE);
    queue_open(&q, &s);
    b = q.kmq[0]->block;

    for (i = 0; i < 2; i++) {
        place_open(&q, 8 * i, 0);
    }

    claim_queue = &q;
    kmq_fault = claim_beside;
    n = fill(&q, 0, &why);
    kmq_fault = NULL;

    is_int(why, KMQ_NOMEM, "messages of two shards fill the block");
    ok(n > 1000 && ei_shard(q.kmq[0], 8)->waiting > 1000,
       "about as many of each");
    ok(b->free_pages >= b->spare_pages, "%u pages are free, of %u that stay so",
       b->free_pages, b->spare_pages);

    queue_close(&q, "memory that is spare");
}


static pid_t  holder;


static void
stand_still(const char *point)
{
    if (strcmp(point, "reserve") == 0) {
        (void) raise(SIGSTOP);
    }
}


static void
go_on(void *arg, unsigned ms, unsigned worker, int pid)
{
    (void) arg;
    (void) ms;
    (void) worker;

    (void) kill(pid, SIGCONT);
}


/* All history is in a shard that somebody is in: this takes longer, but is no
 * reason to refuse a message. */
static void
test_memory_held(void)
{
    int           rc, status;
    queue_t       q;
    unsigned      i;
    kmq_t        *kmq;

    history_open(&q);
    fflush(stdout);
    holder = fork();

    if (holder == 0) {
        (void) alarm(60);
        kmq = eu_attach(q.block, SIZE, 5);
        kmq_fault = stand_still;
        _exit(kmq_reserve_to(kmq, q.place[0].topic, strlen(q.place[0].topic),
                             &(kmq_message_t) { .size = 10 })
              != KMQ_OK);
    }

    ok(waitpid(holder, &status, WUNTRACED) == holder && WIFSTOPPED(status),
       "somebody stands still in that shard");

    kmq_on_wait(q.kmq[0], go_on, NULL);

    for (i = 0; i < 1000; i++) {
        rc = eu_publish(q.kmq[0], q.place[1].producer, body, BODY);

        if (rc != KMQ_OK) {
            break;
        }
    }

    is_int(i, 1000, "no message of another shard is refused");

    (void) kill(holder, SIGCONT);
    ok(waitpid(holder, &status, 0) == holder && status == 0, "it goes on");

    (void) kmq_tick(q.kmq[0]);
    queue_close(&q, "memory that is held");
}


/* Room for messages that wait is in a shard that somebody is in: that is no
 * reason to refuse a message either, of a producer or by its topic's name. */
static void
test_full_held(int named)
{
    int             rc, status;
    queue_t         q;
    unsigned        i, n;
    kmq_t          *kmq;
    place_t        *p;
    kmq_message_t   m;
    kmq_settings_t  s;

    s = eu_settings(KMQ_PUSH_ONE);
    s.waiting_max = 20000;
    queue_open(&q, &s);
    p = &q.place[0];
    n = 0;

    for (i = 0; i < SHARDS; i++) {
        place_open(&q, i, 0);
        n += publish(&q, i, 0, 2);
    }

    ok(ei_shard(q.kmq[0], 9)->room > 2, "each shard has room for more");
    fflush(stdout);
    holder = fork();

    if (holder == 0) {
        (void) alarm(60);
        kmq = eu_attach(q.block, SIZE, 5);
        kmq_lock(kmq, ei_shard(kmq, 9));
        (void) raise(SIGSTOP);
        kmq_unlock(kmq);
        _exit(0);
    }

    ok(waitpid(holder, &status, WUNTRACED) == holder && WIFSTOPPED(status),
       "somebody stands still in one of them");

    kmq_on_wait(q.kmq[0], go_on, NULL);

    do {
        memset(&m, 0, sizeof(m));
        m.size = 1;

        if (named) {
            rc = kmq_reserve_to(q.kmq[0], p->topic, strlen(p->topic), &m);
        } else {
            (void) kmq_reserve(q.kmq[0], p->producer, &m, 1, &rc);
        }

        if (rc == KMQ_OK) {
            kmq_write(q.kmq[0], &m, "x", 1);
            kmq_commit(q.kmq[0], &m, 1);
            n++;
        }
    } while (rc == KMQ_OK);

    is_int(rc, KMQ_FULL, "another shard is full at last");
    is_int(n, s.waiting_max, "when as many wait as may");

    (void) kill(holder, SIGCONT);
    ok(waitpid(holder, &status, 0) == holder && status == 0, "it goes on");

    queue_close(&q, "full while somebody is in a shard");
}


static kmq_t        *meanwhile;
static kmq_shard_t  *unlocked_shard;
static unsigned      made;


/* So many topics come and go that any idle one is forgotten. */
static void
topics_come(void)
{
    char            name[EI_NAME_LEN];
    unsigned        i;
    kmq_message_t   m;

    for (i = 0; made < 1024; i++) {
        (void) sprintf(name, "x%u", i);

        if (ei_shard_of(meanwhile, name) != unlocked_shard) {
            continue;
        }

        memset(&m, 0, sizeof(m));
        made++;

        if (kmq_reserve_to(meanwhile, name, strlen(name), &m) == KMQ_OK) {
            kmq_discard(meanwhile, &m, 1);
        }
    }
}


/* Room for a large message takes long, and others have the lock meanwhile: it
 * stays one of its topic's, which nobody else uses. */
static void
test_memory_large(void)
{
    int                   rc;
    char                 *large, code[KMQ_CODE_LEN], name[EI_NAME_LEN];
    queue_t               q;
    kmq_message_t         m;
    kmq_message_info_t    info;

    history_open(&q);
    memset(&m, 0, sizeof(m));
    m.size = SIZE / 3;
    large = calloc(1, m.size);

    made = 0;
    meanwhile = q.kmq[1];
    unlocked_shard = ei_shard(q.kmq[0], 0);
    eo_when_unlocked(&unlocked_shard->lock, topics_come);

    (void) ei_name(q.kmq[0], 0, 7, name);
    rc = kmq_reserve_to(q.kmq[0], name, strlen(name), &m);
    is_int(rc, KMQ_OK, "a large message has room");
    is_int(made, 1024, "while many topics have come and gone");

    if (rc == KMQ_OK) {
        kmq_write(q.kmq[0], &m, large, m.size);
        kmq_commit(q.kmq[0], &m, 1);
        kmq_code(q.kmq[0], &m, code);
        rc = kmq_find(q.kmq[0], code, &info);
    }

    free(large);
    is_int(rc, KMQ_OK, "it is there");
    is_bytes(info.topic, rc == KMQ_OK ? info.topic_len : 0, name, strlen(name),
             "in its topic");

    queue_close(&q, "memory of a large message");
}


/* --------------------------------------------------------------- the pace */

static const unsigned  apart[] = { 1, 5, 9, 13 };
static const unsigned  beside[] = { 1, 2, 3, 4 };
static const unsigned  together[] = { 6, 6, 6, 2 };


/* Four topics in these shards, with consumers of both workers, and a window
 * that is used up. */
static void
pace_open(queue_t *q, uint32_t type, uint32_t count, const unsigned *shard)
{
    unsigned         i;
    kmq_settings_t   s;

    s = eu_settings(type);
    s.batch_interval = 1000;
    s.batch_count = count;
    queue_open(q, &s);
    clock_add(q, 0);

    for (i = 0; i < 4; i++) {
        place_open(q, shard[i], i);
        place_consumer(q, i, i % WORKERS, 1000);
    }

    is_int(publish(q, 0, 0, count), count, "one topic uses up the window");
    is_int(turns(q), count, "all of it");
}


/* Equal parts, whoever has the shards; and what one does not want is the
 * others'. */
static void
test_pace(uint32_t type, const unsigned *shard)
{
    queue_t   q;
    unsigned  i, k, n, even;

    pace_open(&q, type, 100, shard);
    n = 0;

    for (i = 0; i < 4; i++) {
        n += publish(&q, i, 0, 100);
    }

    is_int(n, 400, "a hundred wait in each");
    is_int(turns(&q), 0, "none goes in this window");

    even = 0;

    for (k = 0; k < 4; k++) {
        n = window(&q);
        is_int(n, 100, "window %u lets a hundred go", k);

        for (i = 0; i < 4; i++) {
            even += q.place[i].got == 25;
        }
    }

    is_int(even, 16, "25 of each");

    /* one is not ready: the other three have it all */

    for (i = 0; i < 4; i++) {
        (void) publish(&q, i, 0, 300);
    }

    (void) window(&q);
    kmq_set_ready(q.kmq[q.place[2].worker], q.place[2].consumer, 0);
    even = 0;

    for (k = 0; k < 3; k++) {
        n = window(&q);
        is_int(n, 100, "three topics get a hundred");
        is_int(q.place[2].got, 0, "none of whose consumer is not ready");

        for (i = 0; i < 4; i++) {
            even += q.place[i].got == 33 || q.place[i].got == 34;
        }
    }

    is_int(even, 9, "in equal parts");

    queue_close(&q, "pace");
}


/* A window lets fewer messages go than there are topics. */
static void
test_pace_few(uint32_t type, uint32_t count, const unsigned *shard)
{
    queue_t   q;
    unsigned  i, k, n;

    pace_open(&q, type, count, shard);

    for (i = 0; i < 4; i++) {
        (void) publish(&q, i, 0, 200);
    }

    for (n = 0, k = 0; k < 64; k++) {
        n += window(&q);
    }

    is_int(n, 64 * count, "64 windows of %u", count);

    for (i = 0; i < 4; i++) {
        ok(q.place[i].sum >= 14 * count && q.place[i].sum <= 18 * count,
           "a topic has its share: %u", q.place[i].sum);
    }

    queue_close(&q, "pace of few");
}


/* A window ends before a shard has given its part to all of its topics: what is
 * left of it goes with it. */
static void
test_pace_over(uint32_t type)
{
    queue_t         q;
    unsigned        i, n, granted;
    kmq_settings_t  s;

    s = eu_settings(type);
    s.batch_interval = 1000;
    s.batch_count = 60;
    queue_open(&q, &s);
    clock_add(&q, 0);

    for (i = 0; i < 6; i++) {
        place_open(&q, 6, i);
        place_consumer(&q, i, 0, 1000);
    }

    is_int(publish(&q, 0, 0, 60), 60, "one topic uses up the window");
    is_int(turns(&q), 60, "all of it");

    for (i = 0; i < 6; i++) {
        (void) publish(&q, i, 0, 200);
    }

    is_int(turns(&q), 0, "none goes in this window");

    /* two topics have their part of the next one, and it is over */

    kmq_slice = 2;
    clock_add(&q, 1000);
    (void) turn(&q, 0);
    ok(ei_shard(q.kmq[0], 6)->window_left, "a part of a window is left");

    for (i = 0, granted = 0; i < 6; i++) {
        granted += ei_topic(q.kmq[0], q.place[i].producer)->granted;
    }

    n = window(&q);
    is_int(n, 60 + granted, "sixty go in the next one, and %u that were "
           "granted before", granted);
    is_int(window(&q), 60, "and sixty in that after it");

    kmq_slice = 512;
    queue_close(&q, "a window that is over");
}


/* ----------------------------------------------------------------- search */

#define FOUND    4096
#define SECONDS  8
#define AT_ONCE  50

static unsigned  seen_times[FOUND];

typedef struct {
    unsigned   n;
    unsigned   again;
    unsigned   order;             /* older before newer ones */
    unsigned   strange;
    uint32_t   last_time;
    uint64_t   last_sequence;
} walk_t;


static unsigned
number_of(kmq_t *kmq, const kmq_message_info_t *m)
{
    int         len;
    char        text[KMQ_COPY_MIN + 1];
    uint32_t    left;
    kmq_ref_t   piece;

    left = m->size;
    piece = m->body;
    len = kmq_copy(kmq, m, &piece, &left, text, KMQ_COPY_MIN);
    text[len > 0 ? len : 0] = '\0';

    return (unsigned) strtoul(text, NULL, 10);
}


static void
walk_note(queue_t *q, walk_t *w, const kmq_message_info_t *m)
{
    unsigned  number;

    number = number_of(q->kmq[0], m);

    if (number >= FOUND) {
        w->strange++;
        return;
    }

    w->n++;
    w->again += seen_times[number]++ != 0;
    w->order += (w->last_time && m->create_time > w->last_time)
                || (w->last_sequence && m->sequence >= w->last_sequence);
    w->last_time = m->create_time;
    w->last_sequence = m->sequence;
}


/* Messages of all topics, second by second; their numbers grow. */
static void
search_fill(queue_t *q)
{
    unsigned  i, k, number;

    number = 0;

    for (k = 0; k < SECONDS; k++) {
        clock_add(q, 1000);

        for (i = 0; i < AT_ONCE * 8; i++) {
            (void) publish(q, (i * 7 + k) % q->n, number++, 1);
        }
    }
}


static void
test_search(unsigned n)
{
    queue_t              q;
    walk_t               w;
    unsigned             i, got, slices, late;
    uint64_t             cursor, deleted;
    kmq_query_t          query;
    kmq_settings_t       s;
    kmq_message_info_t  *info;

    s = eu_settings(KMQ_PUSH_ONE);
    queue_open(&q, &s);
    info = calloc(n, sizeof(kmq_message_info_t));

    for (i = 0; i < 2 * SHARDS; i++) {
        place_open(&q, i % SHARDS, i / SHARDS);
    }

    search_fill(&q);

    memset(&query, 0, sizeof(query));
    query.status = KMQ_STATUS_ANY;
    query.to = UINT32_MAX;

    /* while more come, in the same second and later */

    memset(&w, 0, sizeof(w));
    memset(seen_times, 0, sizeof(seen_times));
    cursor = 0;
    slices = 0;
    late = 0;

    do {
        got = kmq_search(q.kmq[0], &query, &cursor, info, n);

        for (i = 0; i < got; i++) {
            walk_note(&q, &w, &info[i]);
        }

        late += publish(&q, (slices * 5) % q.n, 1000000 + slices, 1);
        clock_add(&q, slices % 8 == 7 ? 1000 : 0);

    } while (cursor && ++slices < 100000);

    is_int(w.n, SECONDS * AT_ONCE * 8, "%u at once: all are found", n);
    is_int(w.again, 0, "none twice");
    is_int(w.order, 0, "the newest first, over all shards");
    is_int(w.strange, 0, "none that came later");
    ok(late > 1, "%u of them", late);

    /* those of one second */

    query.from = query.to = (uint32_t) (WALL / 1000) + 1 + 3;
    cursor = 0;
    got = 0;

    do {
        got += kmq_search(q.kmq[0], &query, &cursor, info, n);
    } while (cursor);

    is_int(got, AT_ONCE * 8, "those of one second");

    /* of one topic: in one shard */

    query.from = 0;
    query.to = UINT32_MAX;
    query.topic = q.place[3].topic;
    query.topic_len = strlen(query.topic);
    cursor = 0;
    got = 0;

    do {
        got += kmq_search(q.kmq[0], &query, &cursor, info, n);
    } while (cursor);

    is_int(got, (long long) kmq_peek(&ei_topic(q.kmq[0],
                                       q.place[3].producer)->ready.count),
           "those of one topic");

    /* they go, but for those that come meanwhile */

    query.topic_len = 0;
    cursor = 0;
    deleted = 0;
    got = 0;
    late += SECONDS * AT_ONCE * 8;

    do {
        kmq_purge(q.kmq[0], &query, &cursor, &deleted);
        got += publish(&q, got % q.n, 2000000, 1);
    } while (cursor);

    ok(got > 1, "a purge in %u slices", got);
    is_int((long long) deleted, late, "all that were there are purged");
    is_int((long long) eu_count(q.kmq[0]).ready, got, "the others stay");

    free(info);
    queue_close(&q, "search");
}


/* ------------------------------------------------------------------ turns */

#define BATCH  10

/* The first n topics are in one shard, one is in another; each has a backlog:
 * they have equally many batches. */
static void
test_turns(unsigned n, uint32_t type)
{
    queue_t          q;
    unsigned         i, k, most, least, batches[5];
    kmq_settings_t   s;
    static kmq_batch_t  b;

    s = eu_settings(type);
    queue_open(&q, &s);
    memset(batches, 0, sizeof(batches));
    memset(body, 'x', sizeof(body));

    for (i = 0; i <= n; i++) {
        place_open(&q, i < n ? 2 : 9, i < n ? i : 0);
        place_consumer(&q, i, 0, KMQ_PREFETCH_MAX);
    }

    for (k = 0; k < 100 * BATCH; k++) {
        for (i = 0; i <= n; i++) {
            (void) eu_publish(q.kmq[0], q.place[i].producer, body, 100);
        }
    }

    for (k = 0; k < 60; k++) {
        b.bytes_max = 100 * BATCH;

        if (kmq_take(q.kmq[0], &b)) {
            batches[(place_t *) b.runs[0].user - q.place]++;
        }
    }

    least = UINT32_MAX;
    most = 0;

    for (i = 0; i <= n; i++) {
        diag("topic %u: %u batches", i, batches[i]);
        least = batches[i] < least ? batches[i] : least;
        most = batches[i] > most ? batches[i] : most;
    }

    ok(most <= least + 1, "%u topics in one shard and one in another take "
       "turns", n);

    queue_close(&q, "turns");
}


/* ----------------------------------------------------------------- deaths */

static const char  *deadly;


static void
fault(const char *point)
{
    if (strcmp(point, deadly) == 0) {
        _exit(0);
    }
}


static uint64_t
repairs_but(queue_t *q, unsigned shard)
{
    unsigned  i;
    uint64_t  n;

    n = 0;

    for (i = 0; i < SHARDS; i++) {
        n += i == shard ? 0 : ei_shard(q->kmq[0], i)->repairs;
    }

    return n;
}


/* A topic of each shard, with consumers and messages. */
static void
deaths_open(queue_t *q)
{
    unsigned         i;
    kmq_settings_t   s;

    s = eu_settings(KMQ_PUSH_ONE);
    queue_open(q, &s);

    for (i = 0; i < SHARDS; i++) {
        place_open(q, i, 0);
        place_consumer(q, i, 0, 100);
        (void) publish(q, i, 0, 3);
    }
}


/* Somebody dies with the lock of one shard: the others go on before it has been
 * repaired. */
static void
test_death_in_shard(unsigned dead)
{
    int           status;
    pid_t         pid;
    queue_t       q;
    unsigned      i, n;
    kmq_t        *kmq;
    kmq_batch_t  *b;

    deaths_open(&q);
    n = eu_drain(q.kmq[0]);
    is_int(n, 3 * SHARDS, "all go through");

    fflush(stdout);
    pid = fork();

    if (pid == 0) {
        kmq = eu_attach(q.block, SIZE, 5);
        deadly = "reserve";
        kmq_fault = fault;
        (void) kmq_reserve_to(kmq, q.place[dead].topic,
                              strlen(q.place[dead].topic),
                              &(kmq_message_t) { .size = 10 });
        _exit(1);
    }

    ok(waitpid(pid, &status, 0) == pid && status == 0,
       "a worker dies with the lock of shard %u", dead);

    n = 0;

    for (i = 0; i < SHARDS; i++) {

        if (i == dead) {
            continue;
        }

        n += publish(&q, i, 3, 5);
        b = eu_take(q.kmq[0]);
        n -= b ? eu_confirm(q.kmq[0], b) : 0;

        kmq_leave(q.kmq[0], q.place[i].consumer, 0);
        place_consumer(&q, i, 1, 50);
        n += publish(&q, i, 8, 4);
        b = eu_take(q.kmq[1]);
        n -= b ? eu_confirm(q.kmq[1], b) : 0;
    }

    is_int(n, 0, "messages of all others come and go");
    is_int((long long) ei_shard(q.kmq[0], dead)->repairs, 0,
           "while that one has not been repaired");
    is_int((long long) repairs_but(&q, dead), 0, "nor any other");
    ok(!kmq_repaired(q.kmq[0]) && !kmq_repaired(q.kmq[1]),
       "nobody had to repair anything");

    is_int(publish(&q, dead, 3, 5), 5, "then somebody comes to it");
    is_int((long long) ei_shard(q.kmq[0], dead)->repairs, 1,
           "and repairs it");
    is_int((long long) repairs_but(&q, dead), 0, "and no other one");
    ok(kmq_repaired(q.kmq[0]), "which is told");
    is_int(eu_drain(q.kmq[0]), 5, "its messages come and go");
    is_int((long long) eu_count(q.kmq[0]).repairs, 1, "one repair");

    queue_close(&q, "death in a shard");
}


/* Somebody dies with the common lock, when it makes another one the keeper. */
static void
test_death_in_common(void)
{
    int            status;
    pid_t          pid;
    queue_t        q;
    unsigned       i, n;
    kmq_t         *kmq;
    volatile int  *go;

    go = eu_map(4096);
    memset(&q, 0, sizeof(q));
    q.block = eu_block(SIZE);

    fflush(stdout);
    pid = fork();

    if (pid == 0) {
        (void) alarm(60);
        kmq = eu_attach(q.block, SIZE, 5);
        *go = 1;

        while (*go != 2) {
            sched_yield();
        }

        deadly = "keeper";
        kmq_fault = fault;
        kmq_retire(kmq);
        _exit(1);
    }

    while (*go != 1 && waitpid(pid, &status, WNOHANG) == 0) {
        sched_yield();
    }

    for (i = 0; i < WORKERS; i++) {
        q.kmq[i] = eu_attach(q.block, SIZE, i);
    }

    for (i = 0; i < SHARDS; i++) {
        place_open(&q, i, 0);
        place_consumer(&q, i, i % WORKERS, 100);
        (void) publish(&q, i, 0, 3);
    }

    *go = 2;
    ok(waitpid(pid, &status, 0) == pid && status == 0,
       "the keeper dies with the common lock");

    n = 0;

    for (i = 0; i < SHARDS; i++) {
        n += publish(&q, i, 3, 5);
    }

    is_int(n, 5 * SHARDS, "messages of all shards are published");
    is_int(eu_drain(q.kmq[0]) + eu_drain(q.kmq[1]), 8 * SHARDS,
           "and consumed");

    n = kmq_tick(q.kmq[0]) + kmq_tick(q.kmq[1]);
    is_int(n, 1, "somebody gives back what it had");
    ok(eu_count(q.kmq[0]).keeper < WORKERS, "and there is a keeper");
    is_int((long long) repairs_but(&q, SHARDS), 0, "no shard was repaired");
    is_int((long long) eu_count(q.kmq[0]).repairs, 1, "but what is common");

    queue_close(&q, "death in common");
    munmap((void *) go, 4096);
}

/* Somebody dies with a message that it has reserved, and counted: exactly as
 * many may wait as before. */
static void
test_death_and_room(const char *point)
{
    int              status;
    pid_t            pid;
    queue_t          q;
    unsigned         i;
    kmq_t           *kmq;
    kmq_settings_t   s;

    s = eu_settings(KMQ_PUSH_ONE);
    s.waiting_max = 100;
    queue_open(&q, &s);
    wrong = 0;

    for (i = 0; i < SHARDS; i++) {
        place_open(&q, i, 0);
    }

    fflush(stdout);
    pid = fork();

    if (pid == 0) {
        kmq = eu_attach(q.block, SIZE, 5);
        (void) eu_publish(kmq, eu_producer(kmq, q.place[1].topic), "x", 1);
        deadly = point;
        kmq_fault = fault;
        (void) eu_publish(kmq, eu_producer(kmq, q.place[4].topic), "x", 1);
        _exit(1);
    }

    ok(waitpid(pid, &status, 0) == pid && status == 0,
       "a worker dies with a message: %s", point);

    i = publish_until_full(&q, 4);
    ok(i == 99 || i == 98, "others publish meanwhile");
    (void) kmq_tick(q.kmq[0]);
    (void) kmq_tick(q.kmq[1]);
    (void) publish_until_full(&q, 0);
    is_int((long long) eu_count(q.kmq[0]).ready, 100, "as many wait as may");
    is_int(wrong, 0, "nothing else is refused");

    queue_close(&q, "a death and the room");
}


/* What hands over to what is counted, in turns. */
static sem_t                 counted, taken;
static _Thread_local int     taking;
static const char           *take_point;
static queue_t              *take_queue;


static void
taken_here(const char *point)
{
    if (taking && strcmp(point, take_point) == 0) {
        taking = 0;
        (void) sem_post(&taken);
        while (sem_wait(&counted) != 0) { /* void */ }
    }
}


static void *
take_some(void *arg)
{
    unsigned  i;

    (void) arg;
    taking = 1;

    for (i = 0; taking && i < 1000; i++) {
        (void) eu_publish(take_queue->kmq[1], take_queue->place[0].producer,
                          body, BODY);
    }

    if (taking) {
        wrong++;
        (void) sem_post(&taken);
    }

    return NULL;
}


static pthread_t  taker;


/* The keeper has looked at all shards, and is about to count: another worker is
 * in one of them again, and takes something. */
static void
others_take(void)
{
    wrong += pthread_create(&taker, NULL, take_some, NULL) != 0;
    while (sem_wait(&taken) != 0) { /* void */ }
}


static void
keeper_waits(void *arg, unsigned ms, unsigned worker, int pid)
{
    (void) arg;
    (void) ms;
    (void) worker;
    (void) pid;

    (void) sem_post(&counted);
}


/* The one from whose topic it is dies with the lock of the shard. */
static void
die_in_shard(queue_t *q, unsigned i)
{
    int     status;
    pid_t   pid;
    kmq_t  *kmq;

    fflush(stdout);
    pid = fork();

    if (pid == 0) {
        kmq = eu_attach(q->block, SIZE, 5);
        deadly = "reserve";
        kmq_fault = fault;
        (void) kmq_reserve_to(kmq, q->place[i].topic,
                              strlen(q->place[i].topic),
                              &(kmq_message_t) { .size = 10 });
        _exit(1);
    }

    ok(waitpid(pid, &status, 0) == pid && status == 0,
       "a worker dies with the lock of shard %u", i);
}


/* Somebody has died, so the keeper counts free pages and room again: exactly,
 * while another worker takes some of them. */
static void
test_death_and_count(const char *point)
{
    queue_t          q;
    unsigned         i;
    int64_t          room;
    uint32_t         pages;
    kmq_block_t     *b;
    kmq_settings_t   s;

    s = eu_settings(KMQ_PUSH_ONE);
    s.waiting_max = 1000;
    queue_open(&q, &s);
    b = q.kmq[0]->block;
    wrong = 0;

    for (i = 0; i < SHARDS; i++) {
        place_open(&q, i, 0);
    }

    die_in_shard(&q, 4);
    is_int(publish(&q, 4, 0, 1), 1, "the shard is repaired");
    is_int(kmq_tick(q.kmq[1]), 1, "and the dead one found");

    take_queue = &q;
    take_point = point;
    (void) sem_init(&counted, 0, 0);
    (void) sem_init(&taken, 0, 0);
    kmq_fault = taken_here;
    kmq_on_wait(q.kmq[0], keeper_waits, NULL);
    eo_when_unlocked(&ei_shard(q.kmq[0], SHARDS - 1)->lock, others_take);

    (void) kmq_tick(q.kmq[0]);
    (void) sem_post(&counted);
    wrong += pthread_join(taker, NULL) != 0;
    kmq_fault = NULL;
    is_int(wrong, 0, "the keeper counts while another one takes some: %s",
           point);

    room = b->room;
    pages = b->free_pages;

    for (i = 0; i < SHARDS; i++) {
        room += (int64_t) ei_shard(q.kmq[0], i)->room;
        pages += ei_shard(q.kmq[0], i)->pages;
    }

    is_int(room, s.waiting_max, "all room adds up");
    is_int(pages, b->npages, "and so do all pages");
    is_int(b->uncounted, 0, "as it is known to");

    (void) sem_destroy(&counted);
    (void) sem_destroy(&taken);
    queue_close(&q, "a death and what is counted");
}


static void
die_now(void)
{
    _exit(0);
}


/* Somebody dies right when a minute of a shard has been added to the queue's:
 * nothing is counted twice. */
static void
test_death_and_minute(void)
{
    int                  status;
    pid_t                pid;
    queue_t              q;
    unsigned             i;
    kmq_t               *kmq;
    uint64_t             sum;
    kmq_settings_t       s;
    static kmq_period_t  minute[KMQ_MINUTES];

    s = eu_settings(KMQ_PUSH_ONE);
    queue_open(&q, &s);
    clock_add(&q, 0);
    place_open(&q, 4, 0);
    is_int(publish(&q, 0, 0, 3), 3, "three in this minute");

    fflush(stdout);
    pid = fork();

    if (pid == 0) {
        kmq = eu_attach(q.block, SIZE, 5);
        kmq_clock(kmq, q.mono + 60000, WALL + q.mono + 60000);
        eo_when_unlocked(&kmq->block->lock, die_now);
        (void) kmq_reserve_to(kmq, q.place[0].topic, strlen(q.place[0].topic),
                              &(kmq_message_t) { .size = 10 });
        (void) eu_publish(kmq, q.place[0].producer, "x", 1);
        _exit(1);
    }

    ok(waitpid(pid, &status, 0) == pid && status == 0,
       "somebody dies when the next one begins");

    clock_add(&q, 60000);
    is_int(publish(&q, 0, 0, 2), 2, "two in that");
    kmq_periods_sum(q.kmq[0], minute, NULL);

    for (i = 0, sum = 0; i < KMQ_MINUTES; i++) {
        sum += minute[i].published;
    }

    is_int((long long) sum, 5, "are five in all");

    queue_close(&q, "a death and the minute");
}


/* Takes what there is for a consumer, and counts it. */
static unsigned
take_all(kmq_t *kmq)
{
    unsigned      i, n;
    kmq_batch_t  *b;

    n = 0;

    for (i = 0; i < ROUNDS && kmq_has_work(kmq); i++) {
        b = eu_take(kmq);
        n += b ? b->nmessages : 0;
    }

    return n;
}


/* How many records are in a journal, which are whole; -1: they are not. */
static int
records(kmq_t *kmq, unsigned *messages)
{
    int                  n;
    long                 size;
    size_t               at;
    kmq_buffer_t         buffer;
    kmq_record_t         r;
    kmq_journal_info_t   info;

    memset(&buffer, 0, sizeof(buffer));
    (void) kmq_journal_take(kmq, &buffer, &info);
    kmq_records_seal(buffer.data, buffer.len);
    *messages = 0;

    for (n = 0, at = 0; at < buffer.len; n++, at += (size_t) size) {
        size = kmq_record_read(buffer.data + at, buffer.len - at, &r, NULL);

        if (size <= 0) {
            n = -1;
            break;
        }

        *messages += r.type == KMQ_RECORD_MESSAGES ? r.count : 0;
    }

    kmq_buffer_free(&buffer);

    return n;
}


/* Who commits has written its messages into the journal when it finds that it
 * has to repair the shard: what that brings comes behind them. */
static void
test_death_and_journal(void)
{
    int              status;
    char             message[2000];
    pid_t            pid;
    queue_t          q;
    unsigned         i, n;
    kmq_t           *kmq;
    kmq_ref_t        other;
    kmq_batch_t     *b;
    kmq_message_t    m;
    kmq_settings_t   s;

    s = eu_settings(KMQ_PUSH_ALL);
    queue_open(&q, &s);
    clock_add(&q, 0);
    memset(message, 'x', sizeof(message));
    memset(&m, 0, sizeof(m));
    m.size = sizeof(message);

    /* a record that may grow, of messages that are gone */

    kmq_journal(q.kmq[0], 1);
    place_open(&q, 4, 0);
    place_open(&q, 4, 1);
    place_consumer(&q, 0, 0, 10);
    other = eu_consumer(q.kmq[0], q.place[0].topic, 10, NULL);
    (void) publish(&q, 1, 0, 3);
    (void) publish(&q, 0, 0, 3);
    n = 0;

    while (kmq_has_work(q.kmq[0]) && (b = eu_take(q.kmq[0])) != NULL) {

        for (i = 0; i < b->nruns; i++) {
            if (b->runs[i].client != other) {
                n += kmq_confirm_upto(q.kmq[0], b->runs[i].client,
                                      b->messages[2].position);
            }
        }
    }

    is_int(n, 3, "one of two consumers confirms three");
    is_int(kmq_reserve(q.kmq[0], q.place[1].producer, &m, 1, NULL), 1,
           "a message is reserved");
    kmq_write(q.kmq[0], &m, message, m.size);
    kmq_leave(q.kmq[0], other, 0);
    (void) take_all(q.kmq[0]);

    fflush(stdout);
    pid = fork();

    if (pid == 0) {
        kmq = eu_attach(q.block, SIZE, 5);
        other = eu_consumer(kmq, q.place[1].topic, 10, NULL);
        b = eu_take(kmq);
        deadly = "confirm-entry";
        kmq_fault = fault;
        (void) kmq_confirm_upto(kmq, other, b ? b->messages[0].position : 0);
        _exit(1);
    }

    ok(waitpid(pid, &status, 0) == pid && status == 0,
       "somebody dies who has confirmed another one");

    kmq_commit(q.kmq[0], &m, 1);
    ok(kmq_repaired(q.kmq[0]), "who commits repairs the shard");
    ok(records(q.kmq[0], &n) > 0, "all its records are whole");
    is_int(n, 7, "and have all messages");

    queue_close(&q, "a death and the journal");
}


/* A worker dies that had so much that it is given back in many slices: whoever
 * has begun goes on without being called for it. */
static void
test_dead_at_once(void)
{
    int              status;
    pid_t            pid;
    queue_t          q;
    unsigned         i;
    kmq_t           *kmq;
    kmq_settings_t   s;

    s = eu_settings(KMQ_PUSH_ONE);
    s.check_interval = 3600000;
    queue_open(&q, &s);
    place_open(&q, 4, 0);

    fflush(stdout);
    pid = fork();

    if (pid == 0) {
        kmq = eu_attach(q.block, SIZE, 5);

        for (i = 0; i < 100 && eu_producer(kmq, q.place[0].topic); i++) {
            /* void */
        }

        _exit(i < 100);
    }

    ok(waitpid(pid, &status, 0) == pid && status == 0,
       "a worker dies that has a hundred producers");

    kmq_slice = 4;
    (void) kmq_tick(q.kmq[0]);
    (void) take_all(q.kmq[0]);
    kmq_slice = 512;

    is_int((long long) eu_count(q.kmq[0]).producers, 1,
           "all of them are gone with one look");

    queue_close(&q, "dead at once");
}


/* ------------------------------------------------- attach while one reaps */

static void      *reaped_block;
static int       *attaching;
static pid_t      attacher;


/* Whoever gives back what a dead worker had is in the middle of it: another one
 * comes to take that worker's place. */
static void
attach_meanwhile(const char *point)
{
    int       status;
    kmq_t    *kmq;
    unsigned  i;

    if (strcmp(point, "leave") != 0 || attacher) {
        return;
    }

    fflush(stdout);
    attacher = fork();

    if (attacher == 0) {
        (void) alarm(60);
        kmq_fault = NULL;
        __atomic_store_n(attaching, 1, __ATOMIC_SEQ_CST);
        kmq = kmq_attach(reaped_block, SIZE, 5);
        kmq_detach(kmq);
        _exit(kmq == NULL);
    }

    while (!__atomic_load_n(attaching, __ATOMIC_SEQ_CST)) {
        sched_yield();
    }

    /* it ends now, or waits */

    for (i = 0; i < ROUNDS; i++) {
        if (waitpid(attacher, &status, WNOHANG) == attacher) {
            attacher = status == 0 ? -1 : -2;
            return;
        }

        sched_yield();
    }
}


static void
test_attach_while_reaped(void)
{
    int              status;
    pid_t            pid;
    queue_t          q;
    unsigned         i;
    kmq_t           *kmq;
    kmq_settings_t   s;

    s = eu_settings(KMQ_PUSH_ONE);
    queue_open(&q, &s);

    for (i = 0; i < SHARDS; i++) {
        place_open(&q, i, 0);
    }

    fflush(stdout);
    pid = fork();

    if (pid == 0) {
        kmq = eu_attach(q.block, SIZE, 5);

        for (i = 0; i < SHARDS; i++) {
            (void) eu_consumer(kmq, q.place[i].topic, 20, NULL);
        }

        _exit(0);
    }

    ok(waitpid(pid, &status, 0) == pid && status == 0,
       "a worker dies that has consumers in all shards");

    reaped_block = q.block;
    attaching = eu_map(4096);
    attacher = 0;
    kmq_fault = attach_meanwhile;
    (void) kmq_tick(q.kmq[0]);
    kmq_fault = NULL;

    ok(attacher != 0, "another one comes while they leave");

    if (attacher > 0) {
        attacher = waitpid(attacher, &status, 0) == attacher && status == 0
                   ? -1 : -2;
    }

    is_int(attacher, -1, "it takes the place");
    is_int((long long) eu_count(q.kmq[0]).consumers, 0, "all have left");
    munmap(attaching, 4096);
    queue_close(&q, "attach while one reaps");
}


/* What all shards have of a worker that dies: attach, or its peers' ticks. */
static void
test_dead_worker(int attach, unsigned slice)
{
    int              status;
    pid_t            pid;
    queue_t          q;
    unsigned         i, n, ticks;
    kmq_t           *kmq;
    kmq_counts_t     c;
    kmq_settings_t   s;

    kmq_slice = slice;
    s = eu_settings(KMQ_PUSH_ONE);
    queue_open(&q, &s);
    n = 0;

    for (i = 0; i < SHARDS; i++) {
        place_open(&q, i, 0);
        n += publish(&q, i, 0, 50);
    }

    fflush(stdout);
    pid = fork();

    if (pid == 0) {
        kmq = eu_attach(q.block, SIZE, 5);

        for (i = 0; i < SHARDS; i++) {
            (void) eu_producer(kmq, q.place[i].topic);
            (void) eu_consumer(kmq, q.place[i].topic, 20, NULL);
            (void) eu_consumer(kmq, q.place[i].topic, 10, NULL);
            (void) kmq_reserve_to(kmq, q.place[i].topic,
                                  strlen(q.place[i].topic),
                                  &(kmq_message_t) { .size = 10 });
        }

        for (i = 0; i < ROUNDS && kmq_has_work(kmq); i++) {
            (void) eu_take(kmq);
        }

        _exit(eu_count(kmq).in_flight == 30 * SHARDS
              && eu_count(kmq).consumers == 2 * SHARDS ? 0 : 1);
    }

    ok(waitpid(pid, &status, 0) == pid && status == 0,
       "a worker dies that has something in all shards");

    kmq = NULL;

    if (attach) {
        kmq = eu_attach(q.block, SIZE, 5);
        ok(kmq != NULL, "another one takes its place");
    }

    for (i = 0, ticks = 0; i < ROUNDS; i++) {
        ticks += kmq_tick(kmq ? kmq : q.kmq[i % WORKERS]);

        if (!kmq_has_work(kmq ? kmq : q.kmq[i % WORKERS])
            && (attach || ticks)
            && eu_count(q.kmq[0]).ready == n)
        {
            break;
        }

        (void) eu_take(kmq ? kmq : q.kmq[i % WORKERS]);
    }

    c = eu_count(q.kmq[0]);
    is_int(ticks, !attach, "it is found dead %s", attach ? "by none" : "once");
    is_int((long long) c.in_flight, 0, "nothing is in flight");
    is_int((long long) c.ready, n, "all is ready again");
    is_int((long long) c.consumers, 0, "no consumer is left");
    is_int((long long) c.producers, SHARDS, "nor any of its producers");

    for (i = 0; i < SHARDS; i++) {
        place_consumer(&q, i, 1, 100);
    }

    is_int(eu_drain(q.kmq[1]), n, "others consume it");

    if (kmq) {
        for (i = 0; i < SHARDS; i++) {
            (void) publish(&q, i, 0, 2);
            (void) eu_consumer(kmq, q.place[i].topic, 1, NULL);
        }

        (void) eu_drain(kmq);
        (void) eu_drain(q.kmq[1]);
        is_int((long long) eu_count(kmq).totals.confirmed, n + 2 * SHARDS,
               "and so does the new one");
        kmq_detach(kmq);
    }

    kmq_slice = 512;
    queue_close(&q, attach ? "a dead worker replaced" : "a dead worker");
}


int
main(void)
{
    (void) alarm(600);
    kmq_shard_pages = 64;

    test_order(KMQ_PUSH_ONE);
    test_order(KMQ_PUSH_ALL);
    test_waiting_max(10);
    test_waiting_max(1000);
    test_memory_history();
    test_memory_waiting(0);
    test_memory_waiting(1);
    test_memory_both();
    test_memory_spare();
    test_memory_held();
    test_full_held(0);
    test_full_held(1);
    test_memory_large();
    test_pace(KMQ_PUSH_ONE, apart);
    test_pace(KMQ_PUSH_ALL, beside);
    test_pace(KMQ_PUSH_ONE, together);
    test_pace_few(KMQ_PUSH_ONE, 3, apart);
    test_pace_few(KMQ_PUSH_ONE, 3, beside);
    test_pace_few(KMQ_PUSH_ALL, 3, beside);
    test_pace_few(KMQ_PUSH_ONE, 1, beside);
    test_pace_few(KMQ_PUSH_ONE, 1, together);
    test_pace_over(KMQ_PUSH_ONE);
    test_pace_over(KMQ_PUSH_ALL);
    test_search(7);
    test_search(1000);
    test_turns(3, KMQ_PUSH_ONE);
    test_turns(3, KMQ_PUSH_ALL);
    test_turns(1, KMQ_PUSH_ONE);
    test_death_in_shard(0);
    test_death_in_shard(7);
    test_death_in_common();
    test_death_and_room("reserve");
    test_death_and_room("commit");
    test_death_and_room("slot-place");
    test_death_and_count("room-take");
    test_death_and_count("pages-claim");
    test_death_and_minute();
    test_death_and_journal();
    test_dead_at_once();
    test_attach_while_reaped();
    test_dead_worker(0, 512);
    test_dead_worker(0, 4);
    test_dead_worker(1, 512);
    test_dead_worker(1, 4);

    return done_testing();
}
