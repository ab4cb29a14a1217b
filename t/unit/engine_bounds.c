/*
 * What happens under one lock has a bound, however many messages, clients and
 * topics there are: the engine counts its steps.  Slices are made small here,
 * so that what they are parts of need not be large; and it comes to the same,
 * in the same order, also when a worker dies in between.
 */

#include <sys/wait.h>
#include <unistd.h>

#include "../../src/engine/kmq_block.h"
#include "../../src/engine/delivery/kmq_delivery.h"
#include "engine_inside.h"


#define SIZE    (64 * EU_MB)
#define SLICE   16
#define BOUND   (8 * SLICE)        /* steps under one lock */
#define MANY    500


static unsigned  deaths;           /* the next one at this point, or 0 */
static const char  *deadly;


static void
fault(const char *point)
{
    if (strcmp(point, deadly) == 0 && --deaths == 0) {
        _exit(0);
    }
}


/* From here on this process dies at the n-th such point. */
static void
die_at(const char *point, unsigned n)
{
    deadly = point;
    deaths = n;
    kmq_fault = fault;
}


static void
begin(void)
{
    kmq_slice = SLICE;
    kmq_steps_max = 0;
}


static void
bounded(const char *what)
{
    ok(kmq_steps_max <= BOUND, "%s: bounded", what);

    if (kmq_steps_max > BOUND) {
        diag("%llu steps", (unsigned long long) kmq_steps_max);
    }
}


/* Whatever goes on by itself; nobody is pushed anything. */
static unsigned
finish(kmq_t *kmq)
{
    unsigned  n;

    n = 0;

    do {
        if (eu_take(kmq) != NULL) {
            ok(0, "nobody is there to be pushed something");
        }
    } while (kmq_has_work(kmq) && ++n < 100000);

    return n;
}


static void
end(kmq_t *kmq, void *block, const char *what)
{
    bounded(what);
    kmq_slice = 512;
    eu_close(kmq, block, SIZE, what);
}


/* The numbers that a consumer is pushed are these, in their order. */
static void
in_order(kmq_t *kmq, unsigned first, unsigned n, const char *what)
{
    unsigned      i, next, wrong;
    kmq_batch_t  *batch;

    next = first;
    wrong = 0;

    while ((batch = eu_take(kmq)) != NULL) {
        for (i = 0; i < batch->nmessages; i++) {
            wrong += eu_number(kmq, &batch->messages[i]) != next++;
        }

        (void) eu_confirm(kmq, batch);
    }

    is_int(next, first + n, "%s: all are pushed", what);
    is_int(wrong, 0, "%s: in their order", what);
}


static unsigned
take_all(kmq_t *kmq)
{
    unsigned      n;
    kmq_batch_t  *batch;

    for (n = 0; (batch = eu_take(kmq)) != NULL; n += batch->nmessages) {
        /* void */
    }

    return n;
}


/* The same, and each consumer confirms the last message that it got by its
 * code: the clocks of all others begin.  A consumer's user is the place for
 * that message. */
static unsigned
take_overtaken(kmq_t *kmq, const kmq_ref_t *c, const kmq_message_t *last,
    unsigned nconsumers)
{
    char          code[KMQ_CODE_LEN];
    unsigned      i, n;
    kmq_run_t    *run;
    kmq_batch_t  *batch;

    while ((batch = eu_take(kmq)) != NULL) {
        for (i = 0; i < batch->nruns; i++) {
            run = &batch->runs[i];
            *(kmq_message_t *) run->user
                = batch->messages[run->first + run->count - 1];
        }
    }

    for (i = 0, n = 0; i < nconsumers; i++) {
        kmq_code(kmq, &last[i], code);
        n += kmq_confirm_codes(kmq, c[i], code, 1);
    }

    return n;
}


/* ------------------------------------------------------------------ leave */

/* failed: one message is charged with that, in whichever slice. */
static void
test_leave(uint32_t type, int failed)
{
    void       *block;
    kmq_t      *kmq;
    kmq_ref_t   p, c;

    kmq = eu_open(&block, SIZE, type);
    p = eu_producer(kmq, "t");
    c = eu_consumer(kmq, "t", MANY / 2, "a");
    is_int(eu_publish_numbers(kmq, p, 0, MANY), MANY, "published");
    is_int(take_all(kmq), MANY / 2, "pushed");

    begin();
    kmq_leave(kmq, c, failed);
    ok(eu_verify(kmq, "leave"), "leave: sound in the middle");
    (void) finish(kmq);
    bounded("leave");
    is_int((long long) eu_count(kmq).failures[KMQ_FAILED_END], failed,
           "leave: charged");
    is_int((long long) eu_count(kmq).ready, MANY, "leave: all wait");

    (void) eu_consumer(kmq, "t", MANY, "b");
    in_order(kmq, 0, MANY, "leave");

    end(kmq, block, "leave");
}


/* The worker dies while its consumer leaves, whose end is a failure: it has
 * been charged to one message, or to none. */
static void
test_leave_death(const char *point, unsigned n, unsigned charged)
{
    pid_t       pid;
    void       *block;
    kmq_t      *kmq;
    kmq_ref_t   c;

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ONE);
    (void) eu_publish_numbers(kmq, eu_producer(kmq, "t"), 0, MANY);

    begin();
    pid = fork();

    if (pid == 0) {
        kmq = eu_attach(block, SIZE, 1);
        c = eu_consumer(kmq, "t", MANY, "a");
        (void) take_all(kmq);
        die_at(point, n);
        kmq_leave(kmq, c, 1);
        (void) finish(kmq);
        _exit(1);
    }

    is_int(waitpid(pid, NULL, 0), pid, "a worker dies at %s", point);
    (void) kmq_tick(kmq);
    kmq_steps_max = 0;
    (void) finish(kmq);
    bounded("leave");
    is_int((long long) eu_count(kmq).ready, MANY, "all wait");
    is_int((long long) eu_count(kmq).failures[KMQ_FAILED_END], charged,
           "and so many are charged");

    (void) eu_consumer(kmq, "t", MANY, "b");
    is_int(eu_drain(kmq), MANY, "and all are pushed");

    end(kmq, block, "a death");
}


/* In publish/subscribe, one that has not been pushed anything. */
static void
test_leave_behind(void)
{
    void       *block;
    kmq_t      *kmq;
    kmq_ref_t   p, slow;

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ALL);
    p = eu_producer(kmq, "t");
    (void) eu_consumer(kmq, "t", MANY, "a");
    slow = eu_join(kmq, KMQ_CONSUMER, "t", 10, "b");
    (void) eu_publish_numbers(kmq, p, 0, MANY);
    is_int(eu_drain(kmq), MANY, "one has all");

    begin();
    kmq_leave(kmq, slow, 0);
    ok(eu_count(kmq).in_flight != 0, "it leaves in slices");
    (void) finish(kmq);
    is_int((long long) eu_count(kmq).in_flight, 0, "nothing is in flight");

    end(kmq, block, "leave behind");
}


/* ------------------------------------------------------------------- reap */

/* A worker with clients, messages in flight and reserved ones, which dies. */
static void
worker_die(void *block, unsigned clients)
{
    pid_t           pid;
    kmq_t          *kmq;
    unsigned        i;
    kmq_ref_t       p;
    kmq_message_t   m[100];

    pid = fork();

    if (pid == 0) {
        kmq_slice = 512;
        kmq = eu_attach(block, SIZE, 1);
        p = eu_producer(kmq, "t");

        for (i = 0; i < clients; i++) {
            (void) eu_consumer(kmq, "t", 10, "x");
        }

        while (eu_take(kmq)) { /* void */ }

        memset(m, 0, sizeof(m));
        _exit(kmq_reserve(kmq, p, m, 100, NULL) == 100 ? 0 : 1);
    }

    is_int(waitpid(pid, NULL, 0), pid, "a worker dies");
}


/* One that begins to work off what another one has left, and dies at it. */
static void
helper_die(void *block, const char *point, unsigned n)
{
    pid_t   pid;
    kmq_t  *kmq;

    pid = fork();

    if (pid == 0) {
        kmq = eu_attach(block, SIZE, 2);
        die_at(point, n);

        for ( ;; ) {
            (void) kmq_tick(kmq);
            (void) eu_take(kmq);
        }
    }

    is_int(waitpid(pid, NULL, 0), pid, "a worker dies at %s", point);
}


static void
test_reap(const char *point)
{
    void      *block;
    kmq_t     *kmq, *next;
    unsigned   i, n;

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ONE);
    (void) eu_publish_numbers(kmq, eu_producer(kmq, "t"), 0, 10 * MANY);
    worker_die(block, MANY);
    is_int((long long) eu_count(kmq).in_flight, 10 * MANY, "in flight");

    begin();

    if (point) {
        helper_die(block, point, 40);
        (void) eu_count(kmq);                  /* repairs, if it has to */
        ok(eu_verify(kmq, "reap"), "reap: sound after another death");
        kmq_steps_max = 0;
    }

    for (i = 0, n = 0; i < 3; i++) {
        n += kmq_tick(kmq);
        (void) finish(kmq);
    }

    ok(n == 1 || (n == 2 && point), "the dead are found");
    bounded("reap");
    is_int((long long) eu_count(kmq).in_flight, 0, "nothing is in flight");
    is_int((long long) eu_count(kmq).consumers, 0, "no consumer is left");
    is_int((long long) eu_count(kmq).ready, 10 * MANY, "all wait");
    ok(eu_verify(kmq, "reap"), "reap: sound");

    next = eu_attach(block, SIZE, 1);
    ok(eu_take(next) == NULL, "the next one has nothing to do");
    kmq_detach(next);
    end(kmq, block, "reap");
}


/* Whoever takes the number gives all back itself, and lets go of the lock. */
static void
test_reap_attach(void)
{
    void   *block;
    kmq_t  *kmq, *next;

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ONE);
    (void) eu_publish_numbers(kmq, eu_producer(kmq, "t"), 0, 10 * MANY);
    worker_die(block, MANY);

    begin();
    next = eu_attach(block, SIZE, 1);
    is_int((long long) eu_count(kmq).consumers, 0, "no consumer is left");
    (void) finish(next);
    is_int((long long) eu_count(kmq).ready, 10 * MANY, "all wait");

    /* and so does one that ends */

    (void) eu_consumer(next, "t", 10 * MANY, "a");
    is_int(take_all(next), 10 * MANY, "all are in flight");
    kmq_leave_all(next);
    is_int((long long) eu_count(kmq).ready, 10 * MANY, "all wait again");
    kmq_detach(next);

    end(kmq, block, "attach");
}


/* ----------------------------------------------------------------- repair */

static void
test_repair(void)
{
    void       *block;
    pid_t       pid;
    kmq_t      *kmq;
    unsigned    i;
    kmq_ref_t   p, c[40];

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ALL);
    p = eu_producer(kmq, "t");
    (void) eu_consumer(kmq, "t", MANY, "quick");

    for (i = 0; i < 40; i++) {
        c[i] = eu_join(kmq, KMQ_CONSUMER, "t", MANY, "x");
        (void) eu_publish_numbers(kmq, p, i * (MANY / 40), MANY / 40);
        (void) eu_drain(kmq);
    }

    begin();
    kmq_leave(kmq, c[3], 0);
    kmq_leave(kmq, c[7], 0);
    ok(eu_verify(kmq, "repair"), "repair: sound before");

    pid = fork();

    if (pid == 0) {
        kmq = eu_attach(block, SIZE, 1);
        die_at("reserve", 1);
        (void) eu_publish_numbers(kmq, eu_producer(kmq, "t"), 0, 1);
        _exit(1);
    }

    is_int(waitpid(pid, NULL, 0), pid, "a worker dies under the lock");

    kmq_steps_max = 0;
    is_int((long long) eu_count(kmq).repairs, 1, "repaired");
    ok(kmq_steps_max <= 2 * MANY, "the log is walked once");

    if (kmq_steps_max > 2 * MANY) {
        diag("%llu steps", (unsigned long long) kmq_steps_max);
    }

    ok(eu_verify(kmq, "repair"), "repair: sound");

    kmq_steps_max = 0;
    (void) kmq_tick(kmq);

    for (i = 0; i < 1000 && kmq_has_work(kmq); i++) {
        (void) eu_take(kmq);
    }

    kmq_set_ready(kmq, c[0], 1);
    in_order(kmq, 0, MANY / 40 * 40, "repair");

    for (i = 1; i < 40; i++) {
        if (i != 3 && i != 7) {
            kmq_set_ready(kmq, c[i], 1);
        }
    }

    (void) eu_drain(kmq);
    is_int((long long) eu_count(kmq).in_flight, 0, "everybody has all");

    end(kmq, block, "repair");
}


/* ------------------------------------------------------- what is in flight */

static void
test_confirm(void)
{
    void           *block;
    char            code[128 * KMQ_CODE_LEN];
    kmq_t          *kmq;
    unsigned        i, n;
    kmq_ref_t       p, c;
    kmq_batch_t    *batch;
    static kmq_message_t  m[10 * MANY];

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ONE);
    p = eu_producer(kmq, "t");
    c = eu_consumer(kmq, "t", 10 * MANY, "a");
    (void) eu_publish_numbers(kmq, p, 0, 10 * MANY);

    for (n = 0; (batch = eu_take(kmq)) != NULL; n += batch->nmessages) {
        memcpy(&m[n], batch->messages, batch->nmessages * sizeof(m[0]));
    }

    is_int(n, 10 * MANY, "pushed");
    begin();

    /* the last ones first, and then all others at once */

    for (i = 0; i < 128; i++) {
        kmq_code(kmq, &m[n - 1 - i], &code[i * KMQ_CODE_LEN]);
    }

    is_int(kmq_confirm_codes(kmq, c, code, 128), 128, "by their codes");

    /* through the parts of the ring: to find one, and to start the clocks of
     * those in front of it */

    ok(kmq_steps_max <= 2 * (10 * MANY / KMQ_RING_COUNT) + BOUND, "bounded");
    kmq_steps_max = 0;
    is_int(kmq_confirm_upto(kmq, c, m[n - 1].position), n - 128, "the rest");
    is_int(kmq_in_flight(kmq, c), 0, "none is in flight");

    end(kmq, block, "confirm");
}


/* One delivery stays open while others come and go: the ring does not
 * grow. */
static void
test_open(void)
{
    void           *block;
    char            code[KMQ_CODE_LEN];
    kmq_t          *kmq;
    unsigned        i;
    uint64_t        before;
    kmq_ref_t       p, c;
    kmq_batch_t    *batch;

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ONE);
    p = eu_producer(kmq, "t");
    c = eu_consumer(kmq, "t", 10, "a");
    (void) eu_publish_numbers(kmq, p, 0, 1);
    (void) eu_take(kmq);
    before = eu_count(kmq).bytes_free;

    for (i = 1; i < 20000; i++) {
        (void) eu_publish_numbers(kmq, p, i, 1);
        batch = eu_take(kmq);
        kmq_code(kmq, &batch->messages[0], code);

        if (kmq_confirm_codes(kmq, c, code, 1) != 1) {
            break;
        }
    }

    is_int(i, 20000, "all others are confirmed");
    ok(eu_count(kmq).bytes_free + 2 * KMQ_PAGE_SIZE >= before,
       "the ring is as small as before");
    is_int(kmq_in_flight(kmq, c), 1, "one is open");

    begin();
    is_int(kmq_confirm_upto(kmq, c, ei_topic(kmq, c)->position), 1,
           "it is confirmed");
    end(kmq, block, "open");
}


static void
test_overdue(uint32_t type)
{
    void             *block;
    kmq_t            *kmq;
    unsigned          i, n, all;
    kmq_ref_t         p, c[20];
    kmq_message_t     last[20];
    kmq_settings_t    s;

    kmq = eu_open(&block, SIZE, type);
    s = eu_settings(type);
    s.topic.retry_time = 1000;
    s.topic.max_deliveries = 1;
    kmq_configure(kmq, &s);

    p = eu_producer(kmq, "t");
    n = type == KMQ_PUSH_ONE ? 20 : 1;
    all = MANY + n;

    for (i = 0; i < 20; i++) {
        c[i] = eu_consumer(kmq, "t", all / n, &last[i]);
    }

    (void) eu_publish_numbers(kmq, p, 0, all);
    is_int(take_overtaken(kmq, c, last, 20), 20, "the last ones are done");

    for (i = 0; i < 20; i++) {
        kmq_set_ready(kmq, c[i], 0);
    }

    begin();
    kmq_clock(kmq, 5000, 1640975475000);
    (void) finish(kmq);
    is_int((long long) eu_count(kmq).dead, MANY, "all are given up");
    is_int((long long) eu_count(kmq).in_flight, 0, "none is in flight");

    end(kmq, block, "overdue");
}


/* Point to point, in their order: those that are overdue; or, late: one was,
 * and all others go back with the next one. */
static void
test_overdue_order(int late)
{
    void             *block;
    char              code[KMQ_CODE_LEN];
    kmq_t            *kmq;
    unsigned          n;
    kmq_ref_t         p, c;
    kmq_message_t     last;
    kmq_settings_t    s;

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ONE);
    s = eu_settings(KMQ_PUSH_ONE);
    s.topic.retry_time = 1000;
    kmq_configure(kmq, &s);

    n = MANY / 2;
    p = eu_producer(kmq, "t");
    c = eu_consumer(kmq, "t", n + 1, &last);

    if (late) {
        (void) eu_publish_numbers(kmq, p, n, 1);
        kmq_code(kmq, &eu_take(kmq)->messages[0], code);
        (void) eu_publish_numbers(kmq, p, 0, n);
        (void) take_all(kmq);

    } else {
        (void) eu_publish_numbers(kmq, p, 0, n + 1);
        is_int(take_overtaken(kmq, &c, &last, 1), 1, "the last one is done");
    }

    (void) eu_publish_numbers(kmq, p, n, MANY - n);
    kmq_set_ready(kmq, c, 0);

    begin();
    kmq_clock(kmq, 5000, 1640975475000);
    (void) finish(kmq);

    if (late) {
        is_int(kmq_in_flight(kmq, c), n, "one was overdue");
        is_int(kmq_delete(kmq, code), KMQ_OK, "and is deleted");
        kmq_clock(kmq, 6000, 1640975476000);
        (void) finish(kmq);
    }

    bounded("overdue");
    is_int(kmq_in_flight(kmq, c), 0, "all are taken away");
    kmq_set_ready(kmq, c, 1);
    in_order(kmq, 0, MANY, "overdue");

    end(kmq, block, "overdue, order");
}


/* ------------------------------------------------------- topics, clients */

static void
topic_publish(kmq_t *kmq, const char *name)
{
    kmq_message_t  m;

    memset(&m, 0, sizeof(m));
    m.size = 1;

    if (kmq_reserve_to(kmq, name, strlen(name), &m) == KMQ_OK) {
        kmq_write(kmq, &m, "x", 1);
        kmq_commit(kmq, &m, 1);
    }
}


/* A window for more topics than it has messages, and one for fewer. */
static void
test_window(unsigned count)
{
    char              name[16];
    void             *block;
    kmq_t            *kmq;
    unsigned          i, round, sent;
    kmq_batch_t      *batch;
    kmq_settings_t    s;

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ONE);

    begin();
    s = eu_settings(KMQ_PUSH_ONE);
    s.batch_interval = 1000;
    s.batch_count = count;
    kmq_configure(kmq, &s);

    for (i = 0; i < MANY; i++) {
        (void) sprintf(name, "%u", i);
        (void) eu_consumer(kmq, name, 100, "x");

        for (round = 0; round < 20; round++) {
            topic_publish(kmq, name);
        }
    }

    (void) take_all(kmq);
    bounded("window");

    for (round = 0; round < 3; round++) {
        kmq_clock(kmq, 10000 + round * 1500, 1640975475000);
        (void) kmq_tick(kmq);

        for (sent = 0, i = 0; i < 10000 && kmq_has_work(kmq); i++) {
            batch = eu_take(kmq);
            sent += batch ? batch->nmessages : 0;
        }

        is_int(sent, count, "a window of %u", count);
    }

    s.batch_interval = 0;
    s.topic.retry_time = 60000;
    kmq_configure(kmq, &s);
    end(kmq, block, "window");
}


static void
test_look(void)
{
    int               why;
    void             *block;
    kmq_t            *kmq;
    unsigned          i;
    kmq_ref_t         p;
    kmq_settings_t    s;

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ALL);
    s = eu_settings(KMQ_PUSH_ALL);
    s.waiting_max = 100;
    kmq_configure(kmq, &s);
    p = eu_producer(kmq, "t");

    for (i = 0; i < MANY; i++) {
        (void) eu_consumer(kmq, i % 2 ? "u" : "v", 10, "x");
    }

    (void) eu_consumer(kmq, "t", 1000, "quick");
    (void) eu_join(kmq, KMQ_CONSUMER, "t", 10, "slow");

    begin();
    (void) eu_publish_numbers(kmq, p, 0, 100);
    (void) eu_drain(kmq);
    kmq_clock(kmq, 2000, 1640975472000);
    (void) kmq_tick(kmq);
    (void) finish(kmq);
    bounded("look");

    is_bytes(kmq_to_close(kmq, &why), 4, "slow", 4, "who is slow is found");
    is_int(why, KMQ_TOO_SLOW, "for that");
    ok(kmq_to_close(kmq, &why) == NULL, "nobody else");

    end(kmq, block, "look");
}


static void
test_close(void)
{
    int                 why;
    void               *block;
    kmq_t              *kmq;
    unsigned            i, n;
    uint64_t            cursor;
    kmq_client_info_t   info;

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ALL);

    for (i = 0; i < MANY; i++) {
        (void) eu_consumer(kmq, "t", 10, "x");
    }

    begin();

    for (cursor = 0, i = 0; kmq_clients(kmq, KMQ_CONSUMER, &cursor, &info, 1);
         i++)
    {
        if (i % 2) {
            (void) kmq_disconnect(kmq, info.ref, info.number);
        }
    }

    (void) eu_take(kmq);
    kmq_steps_max = 0;

    for (n = 0; kmq_to_close(kmq, &why) != NULL; n++) { /* void */ }

    is_int(n, MANY / 2, "each of them, once");
    ok(kmq_steps_max <= 1, "without a search");

    end(kmq, block, "close");
}


/* ------------------------------------------------------------- checkpoint */

#define LARGE  (3 * 1024 * 1024)

/* A large message is read in parts, and what becomes of it meanwhile does not
 * matter. */
static void
test_checkpoint(const char *fate)
{
    int                more;
    long               n;
    char               code[KMQ_CODE_LEN], *body;
    void              *block;
    kmq_t             *kmq;
    size_t             at, most;
    unsigned           slices, found;
    uint64_t           before;
    kmq_ref_t          p;
    kmq_buffer_t       out, all;
    kmq_record_t       r;
    kmq_message_t      m;
    kmq_checkpoint_t   cp;

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ONE);
    p = eu_producer(kmq, "t");
    before = eu_count(kmq).bytes_free;
    body = malloc(LARGE);
    eu_fill(body, LARGE, 1);

    memset(&m, 0, sizeof(m));
    m.size = LARGE;
    (void) kmq_reserve(kmq, p, &m, 1, NULL);
    kmq_write(kmq, &m, body, LARGE);
    kmq_commit(kmq, &m, 1);
    kmq_code(kmq, &m, code);
    (void) eu_publish_numbers(kmq, p, 7, 1);

    memset(&out, 0, sizeof(out));
    memset(&all, 0, sizeof(all));
    begin();
    kmq_slice = 512;
    more = kmq_checkpoint_begin(kmq, &cp, &out) == KMQ_OK;
    most = 0;

    for (slices = 0; more == 1 || out.len; slices++) {
        most = out.len > most ? out.len : most;
        memcpy(kmq_buffer_room(&all, out.len + 1), out.data, out.len);
        all.len += out.len;
        out.len = 0;

        if (slices == 5 && strcmp(fate, "goes") == 0) {
            is_int(kmq_delete(kmq, code), KMQ_OK, "it is deleted");
            ok(eu_verify(kmq, "checkpoint"), "sound while it is kept");
        }

        if (slices == 40 && strcmp(fate, "goes late") == 0) {
            is_int(kmq_delete(kmq, code), KMQ_OK, "it is deleted");
        }

        more = more == 1 ? kmq_checkpoint_next(kmq, &cp, &out) : more;
    }

    is_int(more, 0, "%s: a checkpoint", fate);
    ok(slices > 2 * LARGE / (160 * 1024), "in slices");
    ok(most <= 2 * 128 * 1024 + 8192, "none is larger than that");
    ok(kmq_steps_max <= 64, "none takes longer");

    for (at = 0, found = 0; at < all.len; at += (size_t) n) {
        n = kmq_record_read(all.data + at, all.len - at, &r, NULL);

        if (n <= 0) {
            break;
        }

        found += r.type == KMQ_RECORD_MESSAGE && r.body_size == LARGE
                 && memcmp(r.body, body, LARGE) == 0;
    }

    is_int((long long) at, (long long) all.len, "all of it can be read");
    is_int(found, 1, "the message is there");

    (void) kmq_delete(kmq, code);
    (void) eu_consumer(kmq, "t", 1, "a");
    (void) eu_drain(kmq);

    /* in parts */

    for (n = 0; n < 100; n++) {
        (void) kmq_tick(kmq);
    }

    ok(eu_count(kmq).bytes_free + 16 * KMQ_PAGE_SIZE >= before,
       "its memory is free");

    kmq_buffer_free(&out);
    kmq_buffer_free(&all);
    free(body);
    kmq_steps_max = 0;
    end(kmq, block, fate);
}


/* -------------------------------------------------------------- positions */

/* A delivery stays open while so many other messages of its topic go by. */
static void
test_outrun(uint32_t type, uint32_t n, int ends)
{
    void          *block;
    kmq_t         *kmq, *other;
    pid_t          pid;
    unsigned       i;
    kmq_ref_t      p, a, b;
    kmq_topic_t   *topic;

    kmq = eu_open(&block, SIZE, type);
    other = eu_attach(block, SIZE, 1);
    p = eu_producer(kmq, "t");
    a = eu_consumer(other, "t", 2, "a");
    topic = ei_topic(kmq, a);
    topic->position = UINT32_MAX - 3;
    ei_client(kmq, a)->next_position = UINT32_MAX - 2;

    (void) eu_publish_numbers(kmq, p, 0, 2);
    is_int(take_all(other), 2, "two are in flight");
    b = eu_consumer(kmq, "t", 10, "b");

    /* as if all these had been pushed to b */

    topic->position += n;
    ei_client(kmq, a)->next_position = topic->position + 1;
    ei_client(kmq, b)->next_position = topic->position + 1;

    for (i = 1; i < 5; i++) {
        kmq_clock(kmq, 1000 + i * 40000, 1640975472000);
        (void) kmq_tick(kmq);
    }

    is_int(kmq_in_flight(other, a), ends ? 0 : 2,
           ends ? "they have ended" : "they stay");

    pid = fork();

    if (pid == 0) {
        kmq = eu_attach(block, SIZE, 2);
        die_at("reserve", 1);
        (void) eu_publish_numbers(kmq, eu_producer(kmq, "t"), 0, 1);
        _exit(1);
    }

    is_int(waitpid(pid, NULL, 0), pid, "a worker dies under the lock");
    ok(eu_verify(kmq, "outrun"), "outrun: sound after the repair");

    (void) take_all(other);
    (void) eu_drain(kmq);
    is_int(kmq_confirm_upto(other, a, topic->position)
           + (unsigned) eu_count(kmq).totals.confirmed > 1, 1,
           "what was in flight can be confirmed");
    (void) eu_publish_numbers(kmq, p, 2, 5);
    (void) eu_drain(other);
    (void) eu_drain(kmq);
    ok(eu_verify(kmq, "outrun"), "outrun: sound");

    kmq_detach(other);
    (void) eu_drain(kmq);
    is_int((long long) eu_count(kmq).in_flight, 0, "nothing is in flight");
    begin();
    end(kmq, block, "outrun");
}


int
main(void)
{
    test_leave(KMQ_PUSH_ONE, 0);
    test_leave(KMQ_PUSH_ONE, 1);
    test_leave(KMQ_PUSH_ALL, 0);
    test_leave(KMQ_PUSH_ALL, 1);
    test_leave_death("leave-charge", 1, 0);
    test_leave_death("leave-ring", 1, 0);
    test_leave_death("leave-ring", 20, 1);
    test_leave_behind();
    test_reap(NULL);
    test_reap("leave");
    test_reap("leave-ring");
    test_reap_attach();
    test_repair();
    test_confirm();
    test_open();
    test_overdue(KMQ_PUSH_ONE);
    test_overdue(KMQ_PUSH_ALL);
    test_overdue_order(0);
    test_overdue_order(1);
    test_window(50);
    test_window(2000);
    test_look();
    test_close();
    test_checkpoint("stays");
    test_checkpoint("goes");
    test_checkpoint("goes late");
    test_outrun(KMQ_PUSH_ONE, 100, 0);
    test_outrun(KMQ_PUSH_ALL, 100, 0);
    test_outrun(KMQ_PUSH_ONE, UINT32_C(1) << 30, 1);
    test_outrun(KMQ_PUSH_ALL, UINT32_C(1) << 30, 1);

    return done_testing();
}
