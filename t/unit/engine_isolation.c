/*
 * Suspects: a message that was charged with a consumer's end is pushed alone.
 * See engine_cases.h for how these tests read.
 */

#include <sys/wait.h>
#include <unistd.h>

#include "engine_cases.h"


#define DELAY      100
#define DELAY_MAX  5000


/* Makes messages number to number + n - 1 suspects: each is the oldest one of a
 * consumer that ends. */
static void
suspects(ec_queue_t *q, unsigned number, unsigned n)
{
    unsigned   i;
    kmq_ref_t  x[10];

    for (i = 0; i < n; i++) {
        x[i] = eu_consumer(q->kmq, "t", 1, "x");
        ec_publish(q->kmq, q->p, number + i, 1);
        (void) ec_take(q->kmq);
    }

    for (i = 0; i < n; i++) {
        kmq_leave(q->kmq, x[i], 1);
        ec_failure(q->kmq, number + i, "1 end suspect", "a suspect");
    }
}


/* One poison message and ten good ones behind it. */
static void
test_poison(uint32_t push_type, unsigned prefetch, unsigned consumers)
{
    uint64_t    now;
    unsigned    i, k, n, dead[2], deaths;
    ec_push_t   pushes[EC_NUMBERS];
    kmq_ref_t   c[2];
    char        text[8];
    ec_queue_t  q;

    static char  *names[] = { "a", "b" };

    diag("poison: push type %u, prefetch %u, %u consumers", push_type,
         prefetch, consumers);
    ec_open_delay(&q, push_type, 3, DELAY, DELAY_MAX);
    ec_publish(q.kmq, q.p, 1, 11);
    now = 1000;
    deaths = 0;

    for (i = 0; i < consumers; i++) {
        c[i] = ec_by_code(q.kmq, "t", prefetch, names[i]);
    }

    for (k = 0; k < 1000 && eu_count(q.kmq).consumed + eu_count(q.kmq).dead
                            < 11; k++)
    {
        n = ec_pushes(q.kmq, pushes, EC_NUMBERS);
        memset(dead, 0, sizeof(dead));

        /* who gets the poison dies of it before it gets to the others */

        for (i = 0; i < n; i++) {
            dead[pushes[i].name[0] - 'a'] |= pushes[i].number == 1;
        }

        for (i = 0; i < n; i++) {
            if (!dead[pushes[i].name[0] - 'a']) {
                sprintf(text, "%u", pushes[i].number);
                (void) ec_confirm(q.kmq, c[pushes[i].name[0] - 'a'], text);
            }
        }

        for (i = 0; i < consumers; i++) {
            if (dead[i]) {
                kmq_leave(q.kmq, c[i], 1);
                c[i] = ec_by_code(q.kmq, "t", prefetch, names[i]);
                deaths++;
            }
        }

        now += 10;
        ec_clock(q.kmq, now);
    }

    ec_counts(q.kmq, "10 consumed, 1 dead", "ten are processed, one is dead");
    is_int(ec_status(q.kmq, 1), KMQ_STATUS_DEAD, "the poison");
    is_int(deaths, push_type == KMQ_PUSH_ONE ? 3 : 3 * consumers,
           "after as many deaths as it may have");
    ec_failure(q.kmq, 1, "3 end", "which it knows");

    ec_close(&q, "poison");
}


/* An empty consumer gets it at once, alone, and nothing behind it. */
static void
test_alone(void)
{
    kmq_ref_t   a;
    ec_queue_t  q;

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, DELAY_MAX);
    suspects(&q, 1, 1);
    ec_publish(q.kmq, q.p, 2, 3);
    a = eu_consumer(q.kmq, "t", 10, "a");
    ec_attempt(q.kmq, "a1.2", "alone");
    ec_clock(q.kmq, 1900);
    ec_takes(q.kmq, "", "nothing behind it");
    is_int(ec_confirm(q.kmq, a, "1"), 1, "until it is confirmed");
    ec_takes(q.kmq, "a2 a3 a4", "then the others");

    ec_close(&q, "alone");
}


/* Nor until retry_delay_max has passed, or it is given back, or overdue. */
static void
test_alone_end(const char *how)
{
    kmq_ref_t   a;
    ec_queue_t  q;

    diag("alone until %s", how);
    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, DELAY_MAX);
    q.s.topic.retry_time = strcmp(how, "overdue") == 0 ? 1000 : 60000;
    kmq_configure(q.kmq, &q.s);
    suspects(&q, 1, 1);
    ec_publish(q.kmq, q.p, 2, 3);
    a = eu_consumer(q.kmq, "t", 10, "a");
    ec_takes(q.kmq, "a1", "alone");

    if (strcmp(how, "time") == 0) {
        ec_clock(q.kmq, 5999);
        ec_takes(q.kmq, "", "nothing behind it");
        ec_clock(q.kmq, 6000);
        ec_takes(q.kmq, "a2 a3 a4", "others, though it is not confirmed");
        kmq_leave(q.kmq, a, 1);
        ec_failure(q.kmq, 1, "2 end suspect", "it is still the suspect");
        ec_failure(q.kmq, 2, "", "others are not");

    } else if (strcmp(how, "overdue") == 0) {
        ec_clock(q.kmq, 1999);
        ec_takes(q.kmq, "", "nothing behind it");
        ec_clock(q.kmq, 2000);
        ec_takes(q.kmq, "a2", "another, when it is taken away: it rests");
        ec_failure(q.kmq, 1, "2 overdue suspect", "it stays a suspect");

    } else if (strcmp(how, "return") == 0) {
        is_int(ec_return_in(q.kmq, a, "1", 3000), 1, "given back");
        ec_takes(q.kmq, "a2 a3 a4", "others");
        ec_failure(q.kmq, 1, "2 return suspect", "it stays a suspect");
        ec_clock(q.kmq, 4000);
        ec_takes(q.kmq, "", "it waits until a runs empty");
        is_int(ec_confirm(q.kmq, a, "2 3 4"), 3, "which it does");
        ec_takes(q.kmq, "a1", "and gets it");

    } else {
        is_int(kmq_delete(q.kmq, ec_code[1]), KMQ_OK, "deleted");
        ec_clock(q.kmq, 6000);
        ec_takes(q.kmq, "a2 a3 a4", "others, sooner or later");
    }

    ec_close(&q, how);
}


/* A busy one runs empty for it, others go on. */
static void
test_empty(void)
{
    unsigned    i;
    kmq_ref_t   a, b, chosen;
    ec_queue_t  q;
    const char  *got;

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, DELAY_MAX);
    q.s.topic.retry_time = 60000;
    kmq_configure(q.kmq, &q.s);
    suspects(&q, 1, 1);
    is_int(ec_status(q.kmq, 1), KMQ_STATUS_WAITING, "it waits");

    a = eu_consumer(q.kmq, "t", 2, "a");
    ec_takes(q.kmq, "a1", "an empty one gets it");
    kmq_leave(q.kmq, a, 1);
    ec_failure(q.kmq, 1, "2 end suspect", "it waits for its next try");
    ec_publish(q.kmq, q.p, 2, 4);
    a = eu_consumer(q.kmq, "t", 2, "a");
    b = eu_consumer(q.kmq, "t", 2, "b");
    (void) ec_take(q.kmq);
    is_int(kmq_in_flight(q.kmq, a) + kmq_in_flight(q.kmq, b), 4, "both are "
           "busy");
    ec_publish(q.kmq, q.p, 6, 20);
    ec_clock(q.kmq, 1100);
    ec_takes(q.kmq, "", "it is due, and waits for one of them");
    chosen = 0;

    for (i = 0; i < 8 && chosen == 0; i++) {
        is_int(kmq_confirm_upto(q.kmq, a, EC_ALL), 2, "a confirms");
        got = ec_take(q.kmq);

        if (strcmp(got, "a1") == 0) {
            chosen = a;
            break;
        }

        is_int(kmq_confirm_upto(q.kmq, b, EC_ALL), 2, "b confirms");
        got = ec_take(q.kmq);

        if (strcmp(got, "b1") == 0) {
            chosen = b;
        }
    }

    ok(chosen, "who runs empty gets it, within one round or two");
    ok(i < 2, "soon");
    is_int(kmq_in_flight(q.kmq, chosen == a ? b : a), 2, "the other goes on");

    ec_close(&q, "empty");
}


/* When nobody runs empty in time it goes like any other, and is charged before
 * what is older. */
static void
test_waited(void)
{
    kmq_ref_t   a;
    ec_queue_t  q;

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, DELAY_MAX);
    q.s.topic.retry_time = 0;
    kmq_configure(q.kmq, &q.s);
    a = eu_consumer(q.kmq, "t", 2, "a");
    ec_publish(q.kmq, q.p, 2, 1);
    ec_takes(q.kmq, "a2", "busy");
    kmq_set_ready(q.kmq, a, 0);
    suspects(&q, 1, 1);
    kmq_set_ready(q.kmq, a, 1);
    ec_publish(q.kmq, q.p, 3, 1);
    ec_takes(q.kmq, "", "a runs empty for the suspect");
    ec_clock(q.kmq, 5999);
    ec_takes(q.kmq, "", "for retry_delay_max");
    ec_clock(q.kmq, 6000);
    ec_takes(q.kmq, "a1", "then it is pushed like any other, in front");
    kmq_leave(q.kmq, a, 1);
    ec_failure(q.kmq, 1, "2 end suspect", "the suspect is charged");
    ec_failure(q.kmq, 2, "", "not the oldest");

    ec_close(&q, "waited");
}


/* Worker 1 takes message 1, and dies. */
static void
worker_die(ec_queue_t *q)
{
    int     status;
    pid_t   pid;
    kmq_t  *kmq;

    fflush(stdout);
    pid = fork();

    if (pid == 0) {
        kmq = eu_attach(q->block, EC_SIZE, 1);
        (void) eu_consumer(kmq, "t", 10, "x");
        _exit(strcmp(ec_take(kmq), "x1") != 0);
    }

    ok(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0,
       "a worker dies that has taken it");
}


/* Its time counts from when it is given back, however long ago somebody was
 * there who told the time. */
static void
test_successor(void)
{
    kmq_t       *next;
    ec_queue_t   q;

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, DELAY_MAX);
    suspects(&q, 1, 1);
    worker_die(&q);
    next = eu_attach(q.block, EC_SIZE, 1);
    ec_clock(next, 9000);
    ok(kmq_has_work(next), "its successor is to give it back");
    ec_takes(next, "", "nobody is there");
    ec_counts(next, "1 retrying", "it waits for an empty consumer");
    ec_clock(q.kmq, 13999);
    ec_takes(q.kmq, "", "nobody is there");
    ec_counts(q.kmq, "1 retrying", "for retry_delay_max");
    ec_clock(q.kmq, 14000);
    ec_takes(q.kmq, "", "nobody is there");
    ec_counts(q.kmq, "1 ready", "then it is like any other");
    kmq_detach(next);

    ec_close(&q, "successor");
}


/* At most half of the consumers are alone, and one at least. */
static void
test_half(unsigned consumers)
{
    unsigned    i, n, alone;
    kmq_ref_t   c[8];
    ec_queue_t  q;
    ec_push_t   pushes[EC_NUMBERS];

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, DELAY_MAX);
    suspects(&q, 1, 6);

    for (i = 0; i < consumers; i++) {
        c[i] = eu_join(q.kmq, KMQ_CONSUMER, "t", 10, "c");
    }

    for (i = 0; i < consumers; i++) {
        kmq_set_ready(q.kmq, c[i], 1);
    }

    n = ec_pushes(q.kmq, pushes, EC_NUMBERS);
    alone = consumers / 2 ? consumers / 2 : 1;
    is_int(n, alone, "%u of %u are alone", alone, consumers);
    ec_publish(q.kmq, q.p, 10, 1);
    n = ec_pushes(q.kmq, pushes, EC_NUMBERS);
    is_int(n, consumers > 1, "others go on");

    ec_close(&q, "half");
}


/* Once it is confirmed, dead or requeued it is no suspect. */
static void
test_cleared(void)
{
    kmq_ref_t   a;
    ec_queue_t  q;

    ec_open_delay(&q, KMQ_PUSH_ONE, 2, DELAY, DELAY_MAX);
    suspects(&q, 1, 1);
    a = eu_consumer(q.kmq, "t", 10, "a");
    ec_takes(q.kmq, "a1", "alone");
    is_int(ec_return(q.kmq, a, "1"), 1, "given back, for the last time");
    ec_failure(q.kmq, 1, "2 return", "dead, and no suspect");
    is_int(kmq_requeue(q.kmq, ec_code[1]), KMQ_OK, "requeued");
    ec_publish(q.kmq, q.p, 2, 2);
    ec_attempt(q.kmq, "a1 a2 a3", "not alone");
    kmq_leave(q.kmq, a, 1);
    ec_failure(q.kmq, 1, "1 end suspect", "charged as the oldest");

    ec_close(&q, "cleared");
}


/* Others of the topic, and other topics, go on while it waits. */
static void
test_others(void)
{
    kmq_ref_t   a, p;
    ec_queue_t  q;

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, DELAY_MAX);
    suspects(&q, 1, 1);
    p = eu_producer(q.kmq, "u");
    (void) eu_consumer(q.kmq, "u", 10, "b");
    ec_publish(q.kmq, p, 5, 2);
    ec_takes(q.kmq, "b5 b6", "another topic");
    a = eu_consumer(q.kmq, "t", 10, "a");
    (void) eu_consumer(q.kmq, "t", 10, "c");
    kmq_set_ready(q.kmq, a, 1);
    ec_publish(q.kmq, q.p, 2, 3);
    ok(strstr("a1 c2 c3 c4/a2 a3 a4 c1", ec_take(q.kmq)) != NULL,
       "one is alone, the other one goes on");

    ec_close(&q, "others");
}


/* Suspects that nobody is there for are expired, deleted and searched for. */
static void
test_manage(void)
{
    ec_queue_t           q;
    kmq_message_info_t   info;

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, DELAY_MAX);
    suspects(&q, 1, 3);
    is_int(kmq_find(q.kmq, ec_code[1], &info), KMQ_OK, "found");
    is_int(info.suspect, 1, "a suspect");
    is_int(info.status, KMQ_STATUS_WAITING, "that waits");
    is_int(kmq_delete(q.kmq, ec_code[2]), KMQ_OK, "one is deleted");
    is_int(ec_status(q.kmq, 2), KMQ_GONE, "and gone");
    q.s.topic.clean_time = 10;
    kmq_configure(q.kmq, &q.s);
    ec_clock(q.kmq, 20000);
    (void) kmq_tick(q.kmq);
    ec_takes(q.kmq, "", "a look for what is old");
    ec_clock(q.kmq, 22000);
    ec_takes(q.kmq, "", "and another");
    is_int(ec_status(q.kmq, 1), KMQ_GONE, "what is too old is gone");
    ec_counts(q.kmq, "", "nothing is left");

    ec_close(&q, "manage");
}


/* ---------------------------------------------------- publish/subscribe */

static void
test_all(void)
{
    kmq_ref_t   a, b;
    ec_queue_t  q;

    ec_open_delay(&q, KMQ_PUSH_ALL, 0, DELAY, DELAY_MAX);
    q.s.topic.retry_time = 60000;
    kmq_configure(q.kmq, &q.s);
    ec_publish(q.kmq, q.p, 1, 1);
    a = eu_consumer(q.kmq, "t", 10, "x");
    ec_takes(q.kmq, "x1", "pushed");
    kmq_leave(q.kmq, a, 1);
    ec_failure(q.kmq, 1, "1 end suspect", "a suspect");

    ec_publish(q.kmq, q.p, 2, 2);
    a = eu_consumer(q.kmq, "t", 10, "a");
    b = eu_consumer(q.kmq, "t", 10, "b");
    ec_attempt(q.kmq, "a1.2 b1.2", "alone");
    ec_clock(q.kmq, 3000);
    is_int(ec_confirm(q.kmq, a, "1"), 1, "one confirms");
    ec_takes(q.kmq, "a2 a3", "and goes on");
    ec_clock(q.kmq, 5999);
    ec_takes(q.kmq, "", "the other one does not yet");
    ec_clock(q.kmq, 6000);
    ec_takes(q.kmq, "b2 b3", "but after retry_delay_max");
    is_int(kmq_in_flight(q.kmq, b), 3, "with it");

    ec_close(&q, "all");
}


int
main(void)
{
    unsigned  i;

    for (i = 0; i < 4; i++) {
        test_poison(KMQ_PUSH_ONE, i % 2 ? 1000 : 1, 1 + i / 2);
        test_poison(KMQ_PUSH_ALL, i % 2 ? 1000 : 1, 1 + i / 2);
    }

    test_alone();
    test_alone_end("time");
    test_alone_end("overdue");
    test_alone_end("return");
    test_alone_end("delete");
    test_empty();
    test_waited();
    test_successor();
    test_half(1);
    test_half(2);
    test_half(5);
    test_half(8);
    test_cleared();
    test_others();
    test_manage();
    test_all();

    return done_testing();
}
