/*
 * Consumers that are set apart, leased or parked, and settling by anybody.
 * See engine_cases.h for how these tests read.
 */

#include <sys/wait.h>
#include <unistd.h>

#include "../../src/engine/client/kmq_client.h"
#include "engine_cases.h"
#include "engine_inside.h"


#define DELAY      100
#define DELAY_MAX  5000
#define DAY        UINT64_C(86400000)


/* ------------------------------------------------------------- in one line */

/* A consumer of an id, as info says besides. */
static kmq_ref_t
join(kmq_t *kmq, const char *topic, uint32_t prefetch, const char *id,
    int pull, int settles)
{
    kmq_ref_t           client;
    kmq_client_info_t   info;

    memset(&info, 0, sizeof(info));
    info.role = KMQ_CONSUMER;
    info.prefetch = prefetch;
    info.by_code = 1;
    info.pull = pull;
    info.settles = settles;
    info.topic_len = (uint16_t) strlen(topic);
    memcpy(info.topic, topic, info.topic_len);
    info.id_len = (uint16_t) strlen(id);
    memcpy(info.id, id, info.id_len);

    client = kmq_join(kmq, &info, (void *) (uintptr_t) id);

    if (client) {
        kmq_set_ready(kmq, client, 1);
    }

    return client;
}


static kmq_ref_t
pull(kmq_t *kmq, uint32_t max, const char *id)
{
    return join(kmq, "t", max, id, 1, 0);
}


static kmq_ref_t
stream(kmq_t *kmq, uint32_t prefetch, const char *id)
{
    return join(kmq, "t", prefetch, id, 0, 1);
}


/* Comes back; last: a message's number, or -1. */
static kmq_ref_t
resume(kmq_t *kmq, uint32_t prefetch, const char *id, int last)
{
    kmq_ref_t           client;
    kmq_client_info_t   info;

    memset(&info, 0, sizeof(info));
    info.role = KMQ_CONSUMER;
    info.prefetch = prefetch;
    info.by_code = 1;
    info.settles = 1;
    info.topic_len = 1;
    info.topic[0] = 't';
    info.id_len = (uint16_t) strlen(id);
    memcpy(info.id, id, info.id_len);
    info.addr_len = 7;
    memcpy(info.addr, "1.2.3.4", 7);

    client = kmq_resume(kmq, &info, (void *) (uintptr_t) id,
                        last < 0 ? NULL : ec_code[last]);

    if (client) {
        kmq_set_ready(kmq, client, 1);
    }

    return client;
}


static int
allow_all_but(void *arg, const char *topic, size_t len)
{
    return len != strlen(arg) || memcmp(topic, arg, len) != 0;
}


/* Settles, and compares the results: "+" done, "-" not, "!" denied. */
static void
settles(kmq_t *kmq, const char *how, const char *id, const char *numbers,
    const char *want, const char *what)
{
    char           codes[sizeof(ec_code)], text[EC_NUMBERS + 1];
    uint8_t        result[EC_NUMBERS];
    unsigned       i, n, done;
    kmq_settle_t   settle;

    memset(&settle, 0, sizeof(settle));
    memset(result, 77, sizeof(result));
    settle.codes = codes;
    settle.n = ec_codes(numbers, codes);
    settle.id = id;
    settle.id_len = id ? strlen(id) : 0;
    settle.allow = allow_all_but;
    settle.arg = "secret";
    settle.result = result;

    if (strcmp(how, "confirm") == 0) {
        n = kmq_settle_confirm(kmq, &settle);
    } else if (strcmp(how, "extend") == 0) {
        n = kmq_settle_extend(kmq, &settle);
    } else if (strcmp(how, "return") == 0) {
        n = kmq_settle_return(kmq, &settle, KMQ_BACK_OFF);
    } else {
        n = kmq_settle_return(kmq, &settle, atoi(how));
    }

    for (i = 0, done = 0; i < settle.n; i++) {
        text[i] = result[i] == KMQ_SETTLE_DONE ? '+'
                  : result[i] == KMQ_SETTLE_DENIED ? '!'
                  : result[i] == KMQ_SETTLE_NOT ? '-' : '?';
        done += result[i] == KMQ_SETTLE_DONE;
    }

    text[i] = '\0';

    ec_text(text, want, what);
    ok(n == done, "as many as were done: %u", done);
    ok(eu_verify(kmq, what), "%s: sound", what);
}


/* What is known of consumers: "2 consumers, 1 leased, 1 parked". */
static void
clients(kmq_t *kmq, const char *want, const char *what)
{
    char          text[80];
    kmq_counts_t  n;

    n = eu_count(kmq);
    sprintf(text, "%llu, %llu leased, %llu parked",
            (unsigned long long) n.consumers, (unsigned long long) n.leases,
            (unsigned long long) n.parked);

    ec_text(text, want, what);
}


/* The first consumer in the list of that id; its role is 0 when there is
 * none. */
static kmq_client_info_t
listed(kmq_t *kmq, const char *id)
{
    uint64_t            cursor;
    kmq_client_info_t   info;

    cursor = 0;

    while (kmq_clients(kmq, KMQ_CONSUMER, &cursor, &info, 1)) {
        if (info.id_len == strlen(id) && memcmp(info.id, id, info.id_len) == 0)
        {
            return info;
        }
    }

    memset(&info, 0, sizeof(info));

    return info;
}


/* A message of number's that has not failed. */
static void
unharmed(kmq_t *kmq, unsigned first, unsigned n, const char *what)
{
    unsigned  i;

    for (i = 0; i < n; i++) {
        ec_failure(kmq, first + i, "", what);
    }
}


/* --------------------------------------------------------------- the lease */

/* It ends after its time: the oldest is charged, the others go back. */
static void
test_lease(void)
{
    uint64_t            number;
    kmq_ref_t           a;
    ec_queue_t          q;
    kmq_client_info_t   info;

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, DELAY_MAX);
    ec_publish(q.kmq, q.p, 1, 4);
    a = pull(q.kmq, 3, "a");
    clients(q.kmq, "1, 0 leased, 0 parked", "a pull that waits is a consumer");
    ec_takes(q.kmq, "a1 a2 a3", "it gets as many as it wants");

    number = kmq_lease(q.kmq, a, 5000);
    ok(number != 0, "leased");
    clients(q.kmq, "0, 1 leased, 0 parked", "it is none any more");
    ec_takes(q.kmq, "", "and gets nothing more");
    ec_counts(q.kmq, "1 ready, 3 in flight", "what it has is in flight");

    info = listed(q.kmq, "a");
    ok(info.role == KMQ_CONSUMER && info.leased && !info.parked
       && info.number == number && info.in_flight == 3 && info.pull,
       "it is listed");
    is_int((long long) info.left, 5000, "with its time");

    ec_clock(q.kmq, 5999);
    ec_takes(q.kmq, "", "nothing is overdue, not even after retry_time");
    is_int((long long) listed(q.kmq, "a").left, 1, "a millisecond is left");
    ec_counts(q.kmq, "1 ready, 3 in flight", "nor does it end early");
    ec_clock(q.kmq, 6000);
    ec_takes(q.kmq, "", "then it does");
    clients(q.kmq, "0, 0 leased, 0 parked", "it is gone");
    ec_failure(q.kmq, 1, "1 overdue", "the oldest is charged");
    unharmed(q.kmq, 2, 3, "no other");
    ec_counts(q.kmq, "3 ready, 1 retrying", "and waits");
    is_int((long long) eu_count(q.kmq).failures[KMQ_FAILED_OVERDUE], 1,
           "that is counted");

    (void) pull(q.kmq, 10, "b");
    ec_takes(q.kmq, "b2 b3 b4", "the others are in their order");
    ec_clock(q.kmq, 6099);
    ec_takes(q.kmq, "", "for its back-off");
    ec_clock(q.kmq, 6100);
    ec_attempt(q.kmq, "b1.2", "then it comes again");

    ec_close(&q, "lease");
}


/* One that has failed as often as it may is dead. */
static void
test_lease_dead(void)
{
    kmq_ref_t   a;
    ec_queue_t  q;

    ec_open_delay(&q, KMQ_PUSH_ONE, 1, DELAY, DELAY_MAX);
    ec_publish(q.kmq, q.p, 1, 2);
    a = pull(q.kmq, 2, "a");
    ec_takes(q.kmq, "a1 a2", "pulled");
    (void) kmq_lease(q.kmq, a, 100);
    kmq_retire(q.kmq);
    ec_clock(q.kmq, 1100);
    ec_takes(q.kmq, "", "the end");
    ec_counts(q.kmq, "1 ready, 1 dead", "also when who looks is about to end");

    ec_close(&q, "lease dead");
}


/* Those that are extended stay; each look charges one. */
static void
test_extend(void)
{
    kmq_ref_t   a;
    ec_queue_t  q;

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, DELAY_MAX);
    ec_publish(q.kmq, q.p, 1, 5);
    a = pull(q.kmq, 5, "a");
    ec_takes(q.kmq, "a1 a2 a3 a4 a5", "pulled");
    (void) kmq_lease(q.kmq, a, 1000);

    ec_clock(q.kmq, 1500);
    settles(q.kmq, "extend", "a", "1 3", "++", "two are extended");
    settles(q.kmq, "extend", NULL, "1", "-", "not without the id");
    settles(q.kmq, "extend", "b", "1", "-", "nor with another");
    ec_clock(q.kmq, 1700);
    settles(q.kmq, "extend", "a", "3", "+", "one of them again");

    ec_clock(q.kmq, 1999);
    ec_takes(q.kmq, "", "nothing yet");
    ec_counts(q.kmq, "5 in flight", "all are leased");
    ec_clock(q.kmq, 2000);
    ec_takes(q.kmq, "", "three have ended");
    ec_failure(q.kmq, 2, "1 overdue", "the oldest of these is charged");
    ec_failure(q.kmq, 4, "", "not the next");
    ec_counts(q.kmq, "2 ready, 2 in flight, 1 retrying", "two stay");
    is_int((long long) listed(q.kmq, "a").left, 500, "as the next one knows");

    ec_clock(q.kmq, 2499);
    ec_takes(q.kmq, "", "not early");
    ec_counts(q.kmq, "3 ready, 2 in flight", "the charged one is back");
    ec_clock(q.kmq, 2500);
    ec_takes(q.kmq, "", "the first of these");
    ec_failure(q.kmq, 1, "1 overdue", "is charged: another look");
    ec_clock(q.kmq, 2699);
    ec_takes(q.kmq, "", "not early");
    clients(q.kmq, "0, 1 leased, 0 parked", "one is left");
    ec_clock(q.kmq, 2700);
    ec_takes(q.kmq, "", "the last");
    ec_failure(q.kmq, 3, "1 overdue", "is charged");
    clients(q.kmq, "0, 0 leased, 0 parked", "it has gone");

    ec_close(&q, "extend");
}


/* It may be as long as a month, wherever the clock's 32 bits wrap, and another
 * worker's clock may be behind. */
static void
test_long(uint64_t start)
{
    uint64_t    end;
    kmq_t      *other;
    kmq_ref_t   a;
    ec_queue_t  q;

    diag("from %llu on", (unsigned long long) start);
    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, DELAY_MAX);
    ec_clock(q.kmq, start);
    (void) kmq_tick(q.kmq);
    ec_publish(q.kmq, q.p, 1, 3);
    other = eu_attach(q.block, EC_SIZE, 1);
    ec_clock(other, start - 50);
    a = pull(q.kmq, 3, "a");
    ec_takes(q.kmq, "a1 a2 a3", "pulled");
    ok(kmq_lease(q.kmq, a, KMQ_LEASE_MAX + 5) != 0, "no longer than a month");
    is_int((long long) listed(other, "a").left, (long long) KMQ_LEASE_MAX + 50,
           "another one's clock is behind");

    end = start + 29 * DAY;
    ec_clock(q.kmq, end);
    settles(q.kmq, "extend", "a", "2", "+", "extended after 29 days");
    end = start + 30 * DAY;
    ec_clock(q.kmq, end - 1);
    ec_takes(q.kmq, "", "nothing a millisecond early");
    ec_counts(q.kmq, "3 in flight", "all are leased");
    ec_clock(q.kmq, end);
    ec_takes(q.kmq, "", "30 days");
    ec_counts(q.kmq, "1 ready, 1 in flight, 1 retrying", "one stays");
    end = start + 59 * DAY;
    ec_clock(q.kmq, end - 1);
    ec_takes(q.kmq, "", "nothing early");
    ec_counts(q.kmq, "2 ready, 1 in flight", "one stays");
    ec_clock(q.kmq, end + 10 * DAY);
    ec_takes(q.kmq, "", "a look that is ten days late");
    clients(q.kmq, "0, 0 leased, 0 parked", "it has gone");
    ec_failure(q.kmq, 2, "1 overdue", "and was charged");
    kmq_detach(other);

    ec_close(&q, "long");
}


/* A suspect waits, and one that is apart has nothing any more: its route is
 * gone. */
static void
test_suspect_waits(void)
{
    kmq_ref_t   a, b;
    ec_queue_t  q;

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, DELAY_MAX);
    ec_publish(q.kmq, q.p, 1, 1);
    a = stream(q.kmq, 1, "a");
    ec_takes(q.kmq, "a1", "a stream has one");
    ec_publish(q.kmq, q.p, 2, 1);
    b = pull(q.kmq, 1, "b");
    ec_takes(q.kmq, "b2", "another is pulled");
    ok(kmq_lease(q.kmq, b, 1000) != 0, "and leased");
    kmq_leave(q.kmq, a, 1);
    ec_takes(q.kmq, "", "the first is a suspect, and nobody is there");
    settles(q.kmq, "confirm", NULL, "2", "+", "the other is confirmed");
    ec_takes(q.kmq, "", "which is no turn of anybody's");
    (void) stream(q.kmq, 1, "c");
    ec_takes(q.kmq, "c1", "who comes gets the suspect");

    ec_close(&q, "a suspect waits");
}


/* An answer that could not be written whole gives all back. */
static void
test_cancel(void)
{
    uint64_t    number, again;
    kmq_t      *other;
    kmq_ref_t   a, b;
    ec_queue_t  q;

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, DELAY_MAX);
    ec_publish(q.kmq, q.p, 1, 4);
    a = pull(q.kmq, 3, "a");
    ec_takes(q.kmq, "a1 a2 a3", "pulled");
    number = kmq_lease(q.kmq, a, 1000);
    settles(q.kmq, "confirm", NULL, "2", "+", "one is confirmed");
    kmq_lease_cancel(q.kmq, a, number + 1);
    clients(q.kmq, "0, 1 leased, 0 parked", "another one's number");
    other = eu_attach(q.block, EC_SIZE, 1);
    kmq_lease_cancel(other, a, number);
    clients(q.kmq, "0, 0 leased, 0 parked", "given up, by another worker");
    unharmed(q.kmq, 1, 1, "nothing is charged");
    unharmed(q.kmq, 3, 1, "nothing is charged");

    b = pull(q.kmq, 10, "b");
    ec_takes(q.kmq, "b1 b3 b4", "all are back, in front and in order");
    again = kmq_lease(q.kmq, b, 1000);
    kmq_lease_cancel(q.kmq, a, number);
    kmq_lease_cancel(q.kmq, b, number);
    kmq_lease_cancel(q.kmq, 12345, number);
    kmq_lease_cancel(q.kmq, 0, number);
    ec_counts(q.kmq, "3 in flight, 1 consumed", "nothing happens again");
    kmq_lease_cancel(q.kmq, b, again);
    ec_counts(q.kmq, "3 ready, 1 consumed", "but to the other");
    kmq_detach(other);

    ec_close(&q, "cancel");
}


/* One with nothing goes at once, and so does one that has all settled. */
static void
test_empty(void)
{
    kmq_ref_t   a;
    ec_queue_t  q;

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, DELAY_MAX);
    a = pull(q.kmq, 3, "a");
    ok(kmq_lease(q.kmq, a, 1000) != 0, "a lease of nothing");
    clients(q.kmq, "0, 0 leased, 0 parked", "is none");

    ec_publish(q.kmq, q.p, 1, 3);
    a = pull(q.kmq, 3, "a");
    ec_takes(q.kmq, "a1 a2 a3", "pulled");
    (void) kmq_lease(q.kmq, a, 1000);
    settles(q.kmq, "confirm", "a", "3 1", "++", "two are confirmed");
    clients(q.kmq, "0, 1 leased, 0 parked", "one is left");
    settles(q.kmq, "0", "a", "2", "+", "which is given back");
    ok(kmq_has_work(q.kmq), "somebody sees that it goes");
    ec_takes(q.kmq, "", "nobody gets anything");
    clients(q.kmq, "0, 0 leased, 0 parked", "it is gone");
    ec_counts(q.kmq, "1 ready, 2 consumed", "the message waits");

    ec_close(&q, "empty");
}


/* Its worker ends, or dies: that harms no lease. */
static void
test_worker(int dies)
{
    pid_t       pid;
    kmq_t      *kmq;
    kmq_ref_t   a;
    ec_queue_t  q;

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, DELAY_MAX);
    ec_publish(q.kmq, q.p, 1, 4);
    pid = fork();

    if (pid == 0) {
        kmq = eu_attach(q.block, EC_SIZE, 1);
        a = pull(kmq, 2, "a");
        (void) ec_take(kmq);
        (void) kmq_lease(kmq, a, 1000);
        (void) stream(kmq, 1, "s");
        (void) ec_take(kmq);

        if (!dies) {
            kmq_retire(kmq);
            kmq_detach(kmq);
        }

        _exit(0);
    }

    is_int(waitpid(pid, NULL, 0), pid, dies ? "it dies" : "it ends");
    (void) kmq_tick(q.kmq);
    (void) ec_take(q.kmq);
    clients(q.kmq, "0, 1 leased, 0 parked", "the lease is there");
    ec_counts(q.kmq, "2 ready, 2 in flight", "and what it has");
    settles(q.kmq, "confirm", NULL, "1", "+", "another one confirms");
    ec_clock(q.kmq, 2000);
    ec_takes(q.kmq, "", "another one ends it");
    clients(q.kmq, "0, 0 leased, 0 parked", "it has gone");
    ec_failure(q.kmq, 2, "1 overdue", "and is charged");
    ec_counts(q.kmq, "2 ready, 1 retrying, 1 consumed", "the others wait");

    ec_close(&q, "worker");
}


/* Each waiting pull is a consumer like others; a suspect is alone. */
static void
test_suspect(void)
{
    kmq_ref_t   x, a, b;
    ec_queue_t  q;

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, DELAY_MAX);
    x = eu_consumer(q.kmq, "t", 1, "x");
    ec_publish(q.kmq, q.p, 1, 4);
    ec_takes(q.kmq, "x1", "pushed");
    kmq_leave(q.kmq, x, 1);
    ec_failure(q.kmq, 1, "1 end suspect", "a suspect");

    a = pull(q.kmq, 10, "a");
    ec_attempt(q.kmq, "a1.2", "it is pulled alone");
    (void) kmq_lease(q.kmq, a, 1000);
    b = pull(q.kmq, 10, "b");
    ec_takes(q.kmq, "b2 b3 b4", "others go on, whatever it does");
    (void) kmq_lease(q.kmq, b, 3000);
    ec_clock(q.kmq, 2000);
    ec_takes(q.kmq, "", "it ends");
    ec_failure(q.kmq, 1, "2 overdue suspect", "and is one still");
    settles(q.kmq, "confirm", NULL, "1 2 3 4", "++++", "late, and in time");
    ec_takes(q.kmq, "", "nothing is left");
    clients(q.kmq, "0, 0 leased, 0 parked", "of anything");
    ec_counts(q.kmq, "4 consumed", "all are consumed");

    ec_close(&q, "suspect");
}


/* Nothing of it is for the disk. */
static void
test_journal(void)
{
    size_t      len;
    kmq_ref_t   a;
    ec_queue_t  q;

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, DELAY_MAX);
    kmq_journal(q.kmq, 1);
    ec_publish(q.kmq, q.p, 1, 3);
    a = pull(q.kmq, 2, "a");
    ec_takes(q.kmq, "a1 a2", "pulled");
    len = kmq_journal_len(q.kmq);
    (void) kmq_lease(q.kmq, a, 1000);
    settles(q.kmq, "extend", "a", "1", "+", "extended");
    is_int((long long) kmq_journal_len(q.kmq), (long long) len,
           "no record of it");
    settles(q.kmq, "confirm", "a", "1", "+", "confirmed");
    ok(kmq_journal_len(q.kmq) > len, "which is told");
    kmq_journal(q.kmq, 0);

    ec_close(&q, "journal");
}


/* A topic of the other type: its consumers wait for those that pull, not for
 * leases. */
static void
test_push_type(void)
{
    kmq_ref_t   a, b, c;
    ec_queue_t  q;

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, 0, 0);
    ec_publish(q.kmq, q.p, 1, 4);
    a = pull(q.kmq, 2, "a");
    ec_takes(q.kmq, "a1 a2", "pulled");
    q.s.topic.push_type = KMQ_PUSH_ALL;
    kmq_configure(q.kmq, &q.s);
    b = stream(q.kmq, 10, "b");
    c = pull(q.kmq, 10, "c");
    ec_takes(q.kmq, "", "they wait");
    (void) kmq_lease(q.kmq, a, 1000);
    ok(eu_verify(q.kmq, "type"), "sound");
    ec_takes(q.kmq, "b3 b4 c3 c4", "then it is publish/subscribe");
    is_int((long long) kmq_lease(q.kmq, c, 1000), 0, "which is not leased");
    clients(q.kmq, "2, 1 leased, 0 parked", "nothing has changed");
    settles(q.kmq, "confirm", NULL, "1", "+", "what is leased is");
    is_int(ec_confirm(q.kmq, b, "3 4"), 2, "the others");
    kmq_leave(q.kmq, c, 0);
    ec_clock(q.kmq, 2000);
    ec_takes(q.kmq, "b2", "the lease ends, and it goes to all there are");
    ec_failure(q.kmq, 2, "1 overdue", "charged");

    ec_close(&q, "push type");
}


/* Deleted ones end with the lease, or when somebody confirms them. */
static void
test_delete(void)
{
    uint64_t            cursor, deleted;
    kmq_ref_t           a;
    ec_queue_t          q;
    kmq_query_t         query;

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, DELAY_MAX);
    ec_publish(q.kmq, q.p, 1, 3);
    a = pull(q.kmq, 3, "a");
    ec_takes(q.kmq, "a1 a2 a3", "pulled");
    (void) kmq_lease(q.kmq, a, 1000);
    memset(&query, 0, sizeof(query));
    query.status = KMQ_STATUS_ANY;
    query.to = UINT32_MAX;
    cursor = deleted = 0;

    do {
        kmq_purge(q.kmq, &query, &cursor, &deleted);
    } while (cursor);

    is_int((long long) deleted, 3, "all are purged");
    ec_counts(q.kmq, "", "nothing is there");
    ok(eu_verify(q.kmq, "delete"), "sound");
    settles(q.kmq, "confirm", NULL, "2", "+", "it may not know");
    ec_clock(q.kmq, 2000);
    ec_takes(q.kmq, "", "its end");
    clients(q.kmq, "0, 0 leased, 0 parked", "it is gone");
    ec_counts(q.kmq, "", "and nothing comes back");

    ec_close(&q, "delete");
}


static void
test_disconnect(void)
{
    int                 why;
    kmq_ref_t           a;
    ec_queue_t          q;
    kmq_client_info_t   info;

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, DELAY_MAX);
    ec_publish(q.kmq, q.p, 1, 3);
    a = pull(q.kmq, 2, "a");
    ec_takes(q.kmq, "a1 a2", "pulled");
    (void) kmq_lease(q.kmq, a, 1000);
    a = stream(q.kmq, 2, "s");
    ec_takes(q.kmq, "s3", "pushed");
    kmq_park(q.kmq, a, 1000, 1);
    info = listed(q.kmq, "a");
    is_int(kmq_disconnect(q.kmq, info.ref, info.number), KMQ_OK, "a lease");
    info = listed(q.kmq, "s");
    ok(info.parked && info.left == 1000 && info.settles, "it is listed");
    is_int(kmq_disconnect(q.kmq, info.ref, info.number), KMQ_OK,
           "one that is parked");
    is_int(kmq_disconnect(q.kmq, info.ref, info.number), KMQ_OK, "twice");
    ok(kmq_to_close(q.kmq, &why) == NULL, "nobody has to close it");
    ec_takes(q.kmq, "", "nobody is there");
    is_int(kmq_disconnect(q.kmq, info.ref, info.number), KMQ_GONE, "gone");
    clients(q.kmq, "0, 0 leased, 0 parked", "they have gone");
    ec_counts(q.kmq, "3 ready", "all are back");
    unharmed(q.kmq, 1, 3, "and nothing is charged");

    ec_close(&q, "disconnect");
}


/* Pulls are not paced, whether they wait or come. */
static void
test_paced(void)
{
    kmq_ref_t   a, b, c;
    ec_queue_t  q;

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, DELAY_MAX);
    q.s.topic.retry_time = 0;
    q.s.batch_interval = 1000;
    q.s.batch_count = 2;
    kmq_configure(q.kmq, &q.s);
    a = pull(q.kmq, 3, "a");
    ec_publish(q.kmq, q.p, 1, 5);
    ec_takes(q.kmq, "a1 a2 a3", "one that waits gets as many as it wants");
    (void) kmq_lease(q.kmq, a, 100000);
    c = eu_consumer(q.kmq, "t", 10, "c");
    ec_takes(q.kmq, "c4 c5", "another one a batch");
    ec_publish(q.kmq, q.p, 6, 5);
    ec_takes(q.kmq, "", "which is all for now");
    b = pull(q.kmq, 3, "b");
    ec_takes(q.kmq, "b6 b7 b8", "one that comes gets what is there");
    kmq_leave(q.kmq, b, 0);
    ok(eu_verify(q.kmq, "paced"), "sound");
    ec_takes(q.kmq, "", "what it gives back is no part of a batch");
    ec_clock(q.kmq, 1999);
    ec_takes(q.kmq, "", "not yet");
    ec_clock(q.kmq, 2000);
    ec_takes(q.kmq, "c6 c7", "the next batch");
    b = pull(q.kmq, 10, "b");
    ec_takes(q.kmq, "b8 b9 b10", "while nobody waits for that");
    ec_publish(q.kmq, q.p, 11, 4);
    ec_takes(q.kmq, "b11 b12 b13 b14", "nor for what comes");
    (void) kmq_lease(q.kmq, b, 100000);
    kmq_leave(q.kmq, c, 0);
    ec_clock(q.kmq, 3000);
    c = eu_consumer(q.kmq, "t", 10, "c");
    ec_takes(q.kmq, "c4 c5", "and so on");

    ec_close(&q, "paced");
}


/* All that wait are ready consumers: each is drawn. */
static void
test_fair(unsigned interval)
{
    char        name[40];
    unsigned    i, k, n, few;
    kmq_ref_t   c[20];
    ec_queue_t  q;

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, 0, 0);
    q.s.batch_interval = interval;
    kmq_configure(q.kmq, &q.s);
    few = 0;

    for (i = 0; i < 20; i++) {
        sprintf(name, "%u", i);
        c[i] = join(q.kmq, "t", 1000, i < 10 ? "a" : "b", 1, 0);
    }

    for (i = 0; i < 400; i++) {
        ec_publish(q.kmq, q.p, 1, 10);

        for (k = 0; k < 10; k++) {
            (void) eu_take(q.kmq);
        }
    }

    for (i = 0, n = 0; i < 20; i++) {
        few += kmq_in_flight(q.kmq, c[i]) < 100;
        n += kmq_in_flight(q.kmq, c[i]);
    }

    is_int(n, 4000, "all are pulled");
    is_int(few, 0, "by all");

    ec_close(&q, "fair");
}


/* ------------------------------------------------------------------ parked */

/* Its time passes: it leaves. */
static void
test_park(int failed)
{
    kmq_ref_t   a;
    ec_queue_t  q;

    diag("parked, failed %d", failed);
    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, DELAY_MAX);
    ec_publish(q.kmq, q.p, 1, 4);
    a = stream(q.kmq, 3, "a");
    ec_takes(q.kmq, "a1 a2 a3", "pushed");
    kmq_park(q.kmq, a, 3000, failed);
    clients(q.kmq, "0, 0 leased, 1 parked", "it is parked");
    ec_takes(q.kmq, "", "and gets nothing");
    ec_clock(q.kmq, 3999);
    ec_takes(q.kmq, "", "nothing is overdue");
    settles(q.kmq, "extend", "a", "1", "+", "that makes it no longer");
    settles(q.kmq, "confirm", "a", "1", "+", "one is confirmed");
    settles(q.kmq, "return", "a", "3", "+", "one is given back");
    ec_counts(q.kmq, "2 ready, 1 in flight, 1 consumed", "one is left");
    ec_clock(q.kmq, 4000);
    ec_takes(q.kmq, "", "its end");
    clients(q.kmq, "0, 0 leased, 0 parked", "it has left");
    ec_failure(q.kmq, 2, failed ? "1 end suspect" : "",
               failed ? "its oldest is charged" : "nothing is charged");
    is_int(resume(q.kmq, 3, "a", 2), 0, "too late");

    ec_close(&q, "park");
}


/* It comes back, to another worker. */
static void
test_resume(int last, const char *pushed, const char *kept)
{
    kmq_t              *other;
    uint64_t            number;
    kmq_ref_t           a;
    ec_queue_t          q;
    kmq_client_info_t   info;

    diag("resumed behind %d", last);
    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, DELAY_MAX);
    other = eu_attach(q.block, EC_SIZE, 1);
    kmq_configure(other, &q.s);
    ec_publish(q.kmq, q.p, 1, 6);
    a = stream(q.kmq, 5, "a");
    ec_takes(q.kmq, "a1 a2 a3 a4 a5", "pushed");
    is_int(ec_confirm(q.kmq, a, "1 3"), 2, "two are confirmed");
    ec_clock(q.kmq, 1500);
    ec_clock(other, 1500);
    number = listed(q.kmq, "a").number;
    kmq_set_ready(q.kmq, a, 0);
    kmq_park(q.kmq, a, 3000, 1);
    is_int(resume(other, 5, "b", last), 0, "another id");
    a = resume(other, 5, "a", last);
    ok(a != 0, "it is back");
    clients(q.kmq, "1, 0 leased, 0 parked", "as a consumer");
    info = listed(q.kmq, "a");
    ok(info.worker == 1 && !info.parked && info.number != number
       && info.addr_len == 7, "of the other worker");
    ok(eu_verify(q.kmq, "resume"), "sound");
    ec_takes(q.kmq, "", "not of the first");
    ec_takes(other, pushed, "what it had not received comes first");
    ec_clock(other, 2499);
    ec_takes(other, "", "its clocks began anew");
    is_int(ec_confirm(other, a, kept), (long long) (strlen(kept) + 1) / 2,
           "the rest is its");
    ec_clock(other, 9000);
    ec_clock(q.kmq, 9000);
    is_int((long long) eu_count(q.kmq).failures[KMQ_FAILED_OVERDUE], 0,
           "nothing was overdue");
    kmq_detach(other);

    ec_close(&q, "resume");
}


/* All its clocks begin anew, by the worker that it comes to: also those in a
 * part of its ring of which the part knows when they began. */
static void
test_resume_clocks(void)
{
    kmq_t       *other;
    kmq_ref_t    a;
    ec_queue_t   q;

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, DELAY_MAX);
    other = eu_attach(q.block, EC_SIZE, 1);
    kmq_configure(other, &q.s);
    a = stream(q.kmq, 90, "a");
    ec_publish(q.kmq, q.p, 1, 90);
    (void) ec_take(q.kmq);
    ec_clock(q.kmq, 1500);
    is_int(ec_confirm(q.kmq, a, "90"), 1, "all others were passed");
    kmq_park(q.kmq, a, 3000, 1);

    /* that one's clock is behind */

    ec_clock(other, 1400);
    ok(resume(other, 90, "a", 89) != 0, "it is back, and has all");
    ec_clock(q.kmq, 2400);
    ec_takes(q.kmq, "", "its worker is told");
    ec_clock(other, 2399);
    ec_takes(other, "", "for retry_time");
    ec_counts(other, "89 in flight, 1 consumed", "nothing is overdue");
    ec_clock(other, 2400);
    ec_takes(other, "", "then");
    ec_counts(other, "89 retrying, 1 consumed", "all are");
    kmq_detach(other);

    ec_close(&q, "resume clocks");
}


/* Of several with the same id the one that was parked first is back first. */
static void
test_resume_several(void)
{
    kmq_ref_t   a, b, c;
    ec_queue_t  q;

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, DELAY_MAX);
    ec_publish(q.kmq, q.p, 1, 3);
    a = stream(q.kmq, 1, "s");
    ec_takes(q.kmq, "s1", "one");
    b = stream(q.kmq, 1, "s");
    ec_takes(q.kmq, "s2", "another");
    c = stream(q.kmq, 1, "s");
    ec_takes(q.kmq, "s3", "a third");
    kmq_park(q.kmq, b, 5000, 1);
    ec_clock(q.kmq, 1001);
    kmq_park(q.kmq, a, 5000, 1);
    is_int(resume(q.kmq, 1, "s", 2), b, "the first that was parked");
    is_int(resume(q.kmq, 1, "s", 1), a, "then the other");
    is_int(resume(q.kmq, 1, "s", 1), 0, "no third one");
    is_int(ec_confirm(q.kmq, b, "2") + ec_confirm(q.kmq, a, "1")
           + ec_confirm(q.kmq, c, "3"), 3, "each has its own");

    ec_close(&q, "several");
}


/* In publish/subscribe it keeps its place. */
static void
test_park_shared(void)
{
    kmq_ref_t   a, b;
    ec_queue_t  q;

    ec_open_delay(&q, KMQ_PUSH_ALL, 0, DELAY, DELAY_MAX);
    q.s.topic.retry_time = 0;
    kmq_configure(q.kmq, &q.s);
    a = stream(q.kmq, 5, "a");
    b = eu_consumer(q.kmq, "t", 100, "b");
    ec_publish(q.kmq, q.p, 1, 4);
    ec_takes(q.kmq, "a1 a2 a3 a4 b1 b2 b3 b4", "pushed to both");
    settles(q.kmq, "confirm", NULL, "1", "-", "no one is named");
    settles(q.kmq, "confirm", "a", "1", "+", "one settles for a");
    settles(q.kmq, "confirm", "a", "1", "-", "once");
    kmq_park(q.kmq, a, 3000, 1);
    ec_publish(q.kmq, q.p, 5, 3);
    ec_takes(q.kmq, "b5 b6 b7", "the other goes on");
    ok(eu_verify(q.kmq, "shared"), "sound");
    is_int(kmq_confirm_upto(q.kmq, b, EC_ALL), 7, "and confirms");
    settles(q.kmq, "confirm", "a", "3", "+", "while it is parked");
    settles(q.kmq, "return", "a", "4", "+", "given back, too");
    ec_counts(q.kmq, "5 in flight, 2 consumed", "what it owes");
    a = resume(q.kmq, 5, "a", 2);
    ok(a != 0, "it is back");
    ec_takes(q.kmq, "a!4 a5 a6 a7", "what it has not, and what is new");
    is_int(ec_confirm(q.kmq, a, "2 4 5 6 7"), 5, "all are its");
    ec_counts(q.kmq, "7 consumed", "nothing is left");

    /* its time passes */

    ec_publish(q.kmq, q.p, 8, 2);
    ec_takes(q.kmq, "a8 a9 b8 b9", "pushed to both");
    kmq_park(q.kmq, a, 1000, 1);
    is_int(kmq_confirm_upto(q.kmq, b, EC_ALL), 2, "one confirms");
    settles(q.kmq, "confirm", "a", "8 9", "++", "all of it");
    ec_takes(q.kmq, "", "nothing happens");
    clients(q.kmq, "1, 0 leased, 1 parked", "it keeps its place");
    ec_publish(q.kmq, q.p, 10, 2);
    ec_takes(q.kmq, "b10 b11", "pushed to one");
    is_int(kmq_confirm_upto(q.kmq, b, EC_ALL), 2, "which confirms");
    ec_counts(q.kmq, "2 in flight, 9 consumed", "they wait for it");
    ec_clock(q.kmq, 2000);
    ec_takes(q.kmq, "", "its time is over");
    clients(q.kmq, "1, 0 leased, 0 parked", "it has left");
    ec_counts(q.kmq, "11 consumed", "nothing waits for it");

    ec_close(&q, "park shared");
}


/* A topic without messages stays for one that leaves, or keeps a place. */
static void
test_park_type(void)
{
    kmq_ref_t   a;
    ec_queue_t  q;

    ec_open_delay(&q, KMQ_PUSH_ALL, 0, DELAY, DELAY_MAX);
    a = stream(q.kmq, 5, "a");
    kmq_park(q.kmq, a, 1000, 1);
    clients(q.kmq, "0, 0 leased, 1 parked", "it has nothing but its place");
    q.s.topic.push_type = KMQ_PUSH_ONE;
    kmq_configure(q.kmq, &q.s);
    (void) eu_consumer(q.kmq, "t", 5, "b");
    ec_publish(q.kmq, q.p, 1, 1);
    ec_takes(q.kmq, "", "the other type waits for it");
    a = resume(q.kmq, 5, "a", -1);
    ok(a != 0, "it comes back");
    ec_takes(q.kmq, "a1", "and gets what is there");
    kmq_park(q.kmq, a, 1000, 0);
    ec_clock(q.kmq, 2000);
    ec_takes(q.kmq, "b1", "its time is over: the other type");

    ec_close(&q, "park type");
}


/* A topic without anything else is not forgotten as long as one leaves, or is
 * parked. */
static void
test_topic_stays(void)
{
    char          name[16];
    void         *block;
    kmq_t        *kmq;
    size_t        size;
    unsigned      i;
    kmq_ref_t     a, b, c;

    size = 2 * EU_MB;
    kmq = eu_open(&block, size, KMQ_PUSH_ALL);
    a = join(kmq, "one", 5, "a", 0, 0);
    b = join(kmq, "two", 5, "b", 0, 1);
    c = join(kmq, "three", 5, "c", 0, 0);

    kmq_lock_at(kmq, a);
    kmq_leave_begin(kmq, ei_client(kmq, a), 0);
    kmq_unlock(kmq);
    kmq_park(kmq, b, 1000, 0);
    kmq_leave(kmq, c, 0);

    for (i = 0; i < 500; i++) {
        sprintf(name, "new %u", i);
        c = eu_producer(kmq, name);
        kmq_leave(kmq, c, 0);
    }

    ok(eu_verify(kmq, "topics"), "sound");
    ok(kmq_topic(kmq, "two", 3, &(kmq_topic_detail_t) { .info = { 0 } })
       == KMQ_OK, "the one with a place");
    ok(kmq_topic(kmq, "three", 5, &(kmq_topic_detail_t) { .info = { 0 } })
       == KMQ_GONE, "another one is forgotten");
    ec_clock(kmq, 2000);
    ec_takes(kmq, "", "both go");
    clients(kmq, "0, 0 leased, 0 parked", "all have gone");
    ok(eu_verify(kmq, "topics"), "sound");

    eu_close(kmq, block, size, "topic stays");
}


/* Nobody waits for ever for one that is parked. */
static void
test_park_slow(void)
{
    unsigned    i;
    kmq_ref_t   a;
    ec_queue_t  q;

    ec_open_delay(&q, KMQ_PUSH_ALL, 0, 0, 0);
    q.s.waiting_max = 20;
    kmq_configure(q.kmq, &q.s);
    a = stream(q.kmq, 5, "a");
    (void) eu_consumer(q.kmq, "t", 100, "b");
    kmq_park(q.kmq, a, 1000000, 1);

    for (i = 0; i < 4; i++) {
        ec_publish(q.kmq, q.p, 1, 10);
        is_int(eu_drain(q.kmq), 10, "one goes on");
    }

    (void) kmq_tick(q.kmq);
    (void) eu_drain(q.kmq);
    clients(q.kmq, "1, 0 leased, 0 parked", "it has lost its place");

    ec_close(&q, "park slow");
}


/* ---------------------------------------------------------------- settling */

/* A consumer of another worker has its messages settled: that one's tables
 * follow. */
static void
test_other_worker(void)
{
    uint64_t    mask[KMQ_WORKERS / 64];
    kmq_t      *other;
    kmq_ref_t   a;
    ec_queue_t  q;

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, DELAY_MAX);
    q.s.topic.retry_time = 0;
    kmq_configure(q.kmq, &q.s);
    other = eu_attach(q.block, EC_SIZE, 1);
    a = ec_by_code(q.kmq, "t", 2, "a");
    ec_publish(q.kmq, q.p, 1, 6);
    ec_takes(q.kmq, "a1 a2", "full");

    (void) kmq_wakes(other, mask);
    settles(other, "confirm", NULL, "2", "+", "another worker settles");
    memset(mask, 0, sizeof(mask));
    ok(kmq_wakes(other, mask) && mask[0] == 1, "and tells the first");
    is_int(kmq_in_flight(q.kmq, a), 1, "it has one less");
    ec_takes(q.kmq, "a3", "which goes on");

    settles(other, "confirm", "by code", "1 3", "++", "by its id");
    settles(other, "confirm", NULL, "4", "-", "what was not pushed");
    ec_takes(q.kmq, "a4 a5", "two more");
    settles(other, "0", "by code", "5 4", "++", "not begun");
    ec_takes(q.kmq, "", "it gets nothing for a while");
    ok(eu_verify(q.kmq, "other"), "sound");
    ec_clock(q.kmq, 1100);
    ec_takes(q.kmq, "a5 a4", "then in the order in which they were named");
    settles(other, "200", "by code", "4", "+", "given back for 200 ms");
    ec_takes(q.kmq, "a6", "another one");
    ec_failure(q.kmq, 4, "1 return", "which is a failure");
    settles(other, "confirm", NULL, "4 4 5 6", "+-++", "late, and once");

    /* ready, not, and ready again, before it looks */

    ec_publish(q.kmq, q.p, 7, 4);
    ec_takes(q.kmq, "a7 a8", "full");
    settles(other, "confirm", NULL, "7", "+", "ready");
    settles(other, "0", "by code", "8", "+", "held");
    ec_clock(other, 1200);
    ec_clock(q.kmq, 1200);
    ec_takes(q.kmq, "a8 a9", "and ready again");
    settles(other, "confirm", NULL, "8 9", "++", "all");
    kmq_leave(q.kmq, a, 0);
    ok(eu_verify(q.kmq, "other"), "it leaves, its worker was told");
    ec_counts(q.kmq, "1 ready, 9 consumed", "one is left");
    kmq_detach(other);

    ec_close(&q, "other worker");
}


/* Publish/subscribe: of several with an id, one that has it; the next time, the
 * other. */
static void
test_shared_ids(void)
{
    kmq_t      *other;
    kmq_ref_t   a, b;
    ec_queue_t  q;

    ec_open_delay(&q, KMQ_PUSH_ALL, 0, DELAY, DELAY_MAX);
    other = eu_attach(q.block, EC_SIZE, 1);
    a = stream(q.kmq, 5, "s");
    b = stream(q.kmq, 5, "s");
    (void) ec_by_code(q.kmq, "t", 5, "w");
    ec_publish(q.kmq, q.p, 1, 2);
    is_int((long long) strlen(ec_take(q.kmq)), 17, "pushed to all");
    settles(other, "confirm", "s", "1", "+", "one of them");
    is_int(kmq_in_flight(q.kmq, a) + kmq_in_flight(q.kmq, b), 3, "of its own");
    settles(other, "confirm", "s", "1 2 2 2", "+++-", "the other, and both");
    settles(other, "confirm", "by code", "1", "-", "one that does not settle");
    settles(other, "extend", "s", "1", "-", "nothing is left");
    settles(other, "300", "s", "1", "-", "to be given back");
    ec_publish(q.kmq, q.p, 3, 1);
    is_int((long long) strlen(ec_take(q.kmq)), 8, "pushed to all");
    settles(other, "300", "s", "3", "+", "one has it back");
    ec_clock(q.kmq, 1300);
    ec_takes(q.kmq, "s!3", "and gets it again");
    kmq_detach(other);

    ec_close(&q, "shared ids");
}


/* Messages of several topics, in several shards; one of them is not for whoever
 * settles. */
static void
test_shards(void)
{
    char        text[400], want[EC_NUMBERS + 1];
    size_t      len;
    unsigned    i;
    kmq_ref_t   p, c[24];
    ec_queue_t  q;

    static char  names[24][8];

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, DELAY_MAX);
    ok(eu_count(q.kmq).shards > 1, "several shards");

    for (i = 0; i < 24; i++) {
        sprintf(names[i], i == 7 ? "secret" : "t%u", i);
        p = eu_producer(q.kmq, names[i]);
        ec_publish(q.kmq, p, i, 1);
        ec_publish(q.kmq, p, 24 + i, 1);
        c[i] = join(q.kmq, names[i], 5, "a", 1, 0);
    }

    (void) ec_take(q.kmq);
    ec_counts(q.kmq, "48 in flight", "all are pulled");

    for (i = 0; i < 24; i++) {
        (void) kmq_lease(q.kmq, c[i], 1000);
    }

    clients(q.kmq, "0, 24 leased, 0 parked", "by as many");

    for (i = 0, len = 0; i < 48; i++) {
        len += sprintf(text + len, i ? " %u" : "%u", 47 - i);
        want[i] = (47 - i) % 24 == 7 ? '!' : '+';
    }

    want[i] = '\0';
    settles(q.kmq, "extend", "a", text, want, "extended");
    settles(q.kmq, "confirm", NULL, text, want, "confirmed");

    memset(ec_code[50], 'f', KMQ_CODE_LEN);
    memset(ec_code[51], 'x', KMQ_CODE_LEN);
    memcpy(ec_code[52], ec_code[7], KMQ_CODE_LEN);
    ec_code[52][20] ^= 1;
    settles(q.kmq, "confirm", NULL, "50 1 51 7 52", "---!-", "codes of nobody");
    (void) ec_take(q.kmq);
    clients(q.kmq, "0, 1 leased, 0 parked", "one is left");
    settles(q.kmq, "confirm", NULL, "", "", "no codes at all");

    ec_close(&q, "shards");
}


/* What several had is given back in the order in which it is named. */
static void
test_return_order(void)
{
    kmq_ref_t   a, b;
    ec_queue_t  q;

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, DELAY_MAX);
    ec_publish(q.kmq, q.p, 1, 5);
    a = pull(q.kmq, 2, "s");
    ec_takes(q.kmq, "s1 s2", "one");
    b = pull(q.kmq, 2, "s");
    ec_takes(q.kmq, "s3 s4", "another");
    (void) kmq_lease(q.kmq, a, 1000);
    (void) kmq_lease(q.kmq, b, 1000);
    settles(q.kmq, "0", "s", "4 1 3 2", "++++", "all are given back");
    (void) pull(q.kmq, 10, "c");
    ec_takes(q.kmq, "c4 c1 c3 c2 c5", "in that order");
    unharmed(q.kmq, 1, 5, "which is no failure");

    ec_close(&q, "order");
}


/* 1,000 in one answer: a slice at a time. */
static void
test_thousand(void)
{
    char           *codes;
    void           *block;
    kmq_t          *kmq;
    uint8_t         result[1000];
    unsigned        i, k, n, wrong;
    kmq_ref_t       a, p;
    kmq_batch_t    *batch;
    kmq_settle_t    settle;
    kmq_settings_t  s;

    kmq = eu_open(&block, EC_SIZE, KMQ_PUSH_ONE);
    s = eu_settings(KMQ_PUSH_ONE);
    s.topic.retry_delay = DELAY;
    s.topic.retry_delay_max = DELAY_MAX;
    kmq_configure(kmq, &s);
    p = eu_producer(kmq, "t");
    is_int(eu_publish_numbers(kmq, p, 0, 1200), 1200, "published");
    kmq_slice = 16;
    codes = malloc(1000 * KMQ_CODE_LEN);

    for (k = 0; k < 3; k++) {
        a = pull(kmq, 1000, "a");
        wrong = 0;

        for (n = 0; (batch = eu_take(kmq)); /* void */) {
            for (i = 0; i < batch->nmessages; i++, n++) {
                wrong += eu_number(kmq, &batch->messages[i])
                         != (k == 2 && n == 999 ? 1000 : n + (k == 2));
                kmq_code(kmq, &batch->messages[i], codes + n * KMQ_CODE_LEN);
            }
        }

        is_int(n, 1000, "a thousand");
        is_int(wrong, 0, "in their order");
        kmq_steps_max = 0;

        if (k == 0) {
            kmq_lease_cancel(kmq, a, kmq_lease(kmq, a, 1000));

        } else if (k == 1) {
            (void) kmq_lease(kmq, a, 1000);
            ec_clock(kmq, 2000);
        }

        for (i = 0; i < 1000 && k < 2 && (i == 0 || kmq_has_work(kmq)); i++) {
            (void) kmq_take(kmq, batch = &(kmq_batch_t) { .bytes_max = 1 });
            ok(batch->nruns == 0, "nobody is there");
        }

        if (k < 2) {
            is_int((long long) eu_count(kmq).ready, 1200 - k, "all are back");
        }

        ok(kmq_steps_max <= 8 * 16, "bounded");
        diag("%llu steps", (unsigned long long) kmq_steps_max);
    }

    (void) kmq_lease(kmq, a, 1000);
    memset(&settle, 0, sizeof(settle));
    settle.codes = codes;
    settle.n = 1000;
    settle.result = result;
    kmq_steps_max = 0;
    is_int(kmq_settle_confirm(kmq, &settle), 1000, "all are confirmed");
    ok(kmq_steps_max <= 8 * 16, "bounded");
    diag("%llu steps", (unsigned long long) kmq_steps_max);
    kmq_slice = 512;
    free(codes);

    eu_close(kmq, block, EC_SIZE, "thousand");
}


/* A look that takes long: leases end behind it that had not ended before. */
static void
test_look_long(void)
{
    char           *codes;
    void           *block;
    kmq_t          *kmq;
    uint8_t         result[60];
    unsigned        i, n;
    kmq_ref_t       a;
    kmq_batch_t    *batch, none;
    kmq_settle_t    settle;

    kmq = eu_open(&block, EC_SIZE, KMQ_PUSH_ONE);
    is_int(eu_publish_numbers(kmq, eu_producer(kmq, "t"), 0, 100), 100,
           "published");
    a = pull(kmq, 100, "a");
    codes = malloc(100 * KMQ_CODE_LEN);

    for (n = 0; (batch = eu_take(kmq)); /* void */) {
        for (i = 0; i < batch->nmessages; i++, n++) {
            kmq_code(kmq, &batch->messages[i], codes + n * KMQ_CODE_LEN);
        }
    }

    is_int(n, 100, "a hundred");
    (void) kmq_lease(kmq, a, 1000);

    ec_clock(kmq, 1001);
    memset(&settle, 0, sizeof(settle));
    settle.codes = codes;
    settle.n = 60;
    settle.id = "a";
    settle.id_len = 1;
    settle.result = result;
    is_int(kmq_settle_extend(kmq, &settle), 60, "the first end later");

    kmq_slice = 16;
    ec_clock(kmq, 2000);
    none.bytes_max = 1;
    is_int(kmq_take(kmq, &none), 0, "a first part is looked at");
    is_int((long long) eu_count(kmq).in_flight, 100, "in which none has ended");

    ec_clock(kmq, 2002);

    for (i = 0; i < 1000 && kmq_has_work(kmq); i++) {
        (void) kmq_take(kmq, &none);
    }

    is_int((long long) eu_count(kmq).leases, 0, "then all have");
    is_int((long long) eu_count(kmq).in_flight, 0, "nothing stays in flight");
    is_int((long long) eu_count(kmq).failures[KMQ_FAILED_OVERDUE], 1,
           "one is charged");
    kmq_slice = 512;
    free(codes);

    eu_close(kmq, block, EC_SIZE, "a long look");
}


/* Who looks may be behind the one who found that it is time: it does not look
 * again and again. */
static void
test_clock_behind(void)
{
    kmq_t         *other;
    kmq_ref_t      a;
    ec_queue_t     q;
    kmq_batch_t    none;

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, DELAY_MAX);
    other = kmq_attach(q.block, EC_SIZE, 1);
    ec_clock(other, 1000);
    ec_publish(q.kmq, q.p, 1, 2);
    a = pull(q.kmq, 2, "a");
    ec_takes(q.kmq, "a1 a2", "leased");
    (void) kmq_lease(q.kmq, a, 500);

    /* the wheel is turned beyond that by a third one */

    ec_clock(q.kmq, 1600);
    kmq_hear(q.kmq, 10);
    none.bytes_max = 1;
    (void) kmq_take(q.kmq, &none);
    ec_counts(q.kmq, "2 in flight", "which has not heard of all");

    ec_clock(other, 1499);
    (void) kmq_tick(other);
    kmq_steps_max = 0;
    (void) kmq_take(other, &none);
    ok(kmq_steps_max < 50, "%llu steps", (unsigned long long) kmq_steps_max);
    ec_counts(q.kmq, "2 in flight", "by its clock they have time");

    ec_clock(other, 1500);
    (void) kmq_take(other, &none);
    clients(q.kmq, "0, 0 leased, 0 parked", "now they have not");

    kmq_detach(other);
    ec_close(&q, "a clock behind");
}


/* One that resumes with many is worked off in slices, too. */
static void
test_resume_many(uint32_t type)
{
    void         *block;
    kmq_t        *kmq;
    unsigned      n;
    kmq_ref_t     a, p;
    kmq_batch_t  *batch;

    kmq = eu_open(&block, EC_SIZE, type);
    p = eu_producer(kmq, "t");
    a = stream(kmq, 1000, "a");
    is_int(eu_publish_numbers(kmq, p, 0, 1000), 1000, "published");

    for (n = 0; (batch = eu_take(kmq)); n += batch->nmessages) {
        if (n == 0) {
            kmq_code(kmq, &batch->messages[9], ec_code[9]);
        }
    }

    is_int(n, 1000, "all are pushed");
    kmq_slice = 16;
    kmq_park(kmq, a, 1000, 1);
    kmq_steps_max = 0;
    a = resume(kmq, 1000, "a", 9);
    ok(a != 0, "it is back");
    ok(kmq_steps_max <= 8 * 16, "bounded");
    diag("%llu steps", (unsigned long long) kmq_steps_max);
    kmq_slice = 512;

    for (n = 0; (batch = eu_take(kmq)) || kmq_has_work(kmq); /* void */) {
        n += batch ? batch->nmessages : 0;
    }

    is_int(n, 990, "what it has not received is pushed again");
    is_int(kmq_confirm_upto(kmq, a, EC_ALL), 1000, "it has all");

    eu_close(kmq, block, EC_SIZE, "resume many");
}


/* ------------------------------------------------------------------ deaths */

static const char  *deadly;
static unsigned     deaths;


static void
fault(const char *point)
{
    if (strcmp(point, deadly) == 0 && --deaths == 0) {
        _exit(7);
    }
}


/* What a worker does until it dies. */
static void
life(void *block, int how)
{
    kmq_t      *kmq;
    kmq_ref_t   a;

    kmq = eu_attach(block, EC_SIZE, 1);
    ec_clock(kmq, 1000);

    if (how == 0) {
        a = pull(kmq, 3, "a");
        (void) ec_take(kmq);
        (void) kmq_lease(kmq, a, 1000);
        ec_clock(kmq, 2000);
        (void) kmq_tick(kmq);
        (void) ec_take(kmq);

    } else {
        a = stream(kmq, 3, "a");
        (void) ec_take(kmq);
        kmq_park(kmq, a, 1000, 1);
        (void) resume(kmq, 3, "a", 1);
        (void) ec_take(kmq);
    }

    _exit(0);
}


/* Wherever it dies, all is there, and at most one message is charged. */
static void
test_death(const char *point, unsigned nth, int how, uint32_t type)
{
    int         status;
    pid_t       pid;
    unsigned    i;
    ec_queue_t  q;

    diag("death at %s %u", point, nth);
    ec_open_delay(&q, type, 0, 0, 0);
    q.s.topic.retry_time = 0;
    kmq_configure(q.kmq, &q.s);

    if (type == KMQ_PUSH_ALL) {
        (void) stream(q.kmq, 10, "other");
    }

    ec_publish(q.kmq, q.p, 1, 5);
    pid = fork();

    if (pid == 0) {
        deadly = point;
        deaths = nth;
        kmq_fault = fault;
        life(q.block, how);
    }

    is_int(waitpid(pid, &status, 0), pid, "a worker has lived");
    is_int(WEXITSTATUS(status), 7, "and died at the point");
    is_int((long long) eu_count(q.kmq).repairs, 1, "which is repaired");
    ok(eu_verify(q.kmq, point), "sound");
    ec_clock(q.kmq, 2500);

    for (i = 0; i < 3; i++) {
        (void) kmq_tick(q.kmq);
        (void) ec_take(q.kmq);
        ok(eu_verify(q.kmq, point), "sound");
    }

    clients(q.kmq, type == KMQ_PUSH_ALL ? "1, 0 leased, 0 parked"
                                        : "0, 0 leased, 0 parked",
            "it has gone in its time");
    ec_counts(q.kmq, type == KMQ_PUSH_ALL ? "5 in flight" : "5 ready",
              "all are there");
    ok(eu_count(q.kmq).failures[KMQ_FAILED_OVERDUE]
       + eu_count(q.kmq).failures[KMQ_FAILED_END] <= 1,
       "one at most is charged");

    if (type == KMQ_PUSH_ONE) {
        (void) pull(q.kmq, 10, "c");
        (void) ec_take(q.kmq);
        ec_counts(q.kmq, "5 in flight", "and are pulled");
    }

    ec_close(&q, point);
}


/* What is apart survives a death that has nothing to do with it. */
static void
test_death_elsewhere(void)
{
    pid_t       pid;
    kmq_t      *kmq;
    kmq_ref_t   a;
    ec_queue_t  q;

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, DELAY_MAX);
    ec_publish(q.kmq, q.p, 1, 6);
    a = pull(q.kmq, 3, "a");
    ec_takes(q.kmq, "a1 a2 a3", "pulled");
    (void) kmq_lease(q.kmq, a, 1000);
    a = stream(q.kmq, 2, "s");
    ec_takes(q.kmq, "s4 s5", "pushed");
    kmq_park(q.kmq, a, 2000, 1);
    pid = fork();

    if (pid == 0) {
        kmq = eu_attach(q.block, EC_SIZE, 1);
        deadly = "reserve";
        deaths = 1;
        kmq_fault = fault;
        (void) eu_publish_numbers(kmq, eu_producer(kmq, "t"), 50, 1);
        _exit(0);
    }

    is_int(waitpid(pid, NULL, 0), pid, "a worker dies");
    clients(q.kmq, "0, 1 leased, 1 parked", "they are there");
    is_int((long long) eu_count(q.kmq).repairs, 1, "after a repair");
    ok(eu_verify(q.kmq, "elsewhere"), "sound");
    ec_clock(q.kmq, 1999);
    (void) kmq_tick(q.kmq);
    ec_takes(q.kmq, "", "a look does no harm");
    ec_counts(q.kmq, "1 ready, 5 in flight", "all are in flight");
    ec_clock(q.kmq, 2000);
    ec_takes(q.kmq, "", "the lease ends in its time");
    ec_failure(q.kmq, 1, "1 overdue", "charged");
    unharmed(q.kmq, 2, 5, "no other");
    a = resume(q.kmq, 5, "s", 4);
    ok(a != 0, "the stream is back");
    ec_takes(q.kmq, "s5 s2 s3 s6", "with what it has not received");
    is_int(ec_confirm(q.kmq, a, "4"), 1, "and what it has");

    ec_close(&q, "elsewhere");
}


int
main(void)
{
    test_lease();
    test_lease_dead();
    test_extend();
    test_long(1000);
    test_long(UINT64_C(0x100000000) - 5000);
    test_long(UINT64_C(0x1ffffffff) - 29 * DAY);
    test_long(UINT64_C(0x180000000));
    test_cancel();
    test_suspect_waits();
    test_empty();
    test_worker(0);
    test_worker(1);
    test_suspect();
    test_journal();
    test_push_type();
    test_delete();
    test_disconnect();
    test_paced();
    test_fair(0);
    test_fair(1000);

    test_park(1);
    test_park(0);
    test_resume(2, "a4 a5 a6", "2");
    test_resume(4, "a5 a6", "2 4");
    test_resume(3, "a4 a5 a6", "2");
    test_resume(1, "a2 a4 a5 a6", "");
    test_resume(5, "a6", "2 4 5");
    test_resume(-1, "a2 a4 a5 a6", "");
    test_resume(6, "a6", "2 4 5");
    test_resume_clocks();
    test_resume_several();
    test_park_shared();
    test_park_type();
    test_topic_stays();
    test_park_slow();

    test_other_worker();
    test_shared_ids();
    test_shards();
    test_return_order();
    test_thousand();
    test_look_long();
    test_clock_behind();
    test_resume_many(KMQ_PUSH_ONE);
    test_resume_many(KMQ_PUSH_ALL);

    test_death("apart", 1, 0, KMQ_PUSH_ONE);
    test_death("lease-charge", 1, 0, KMQ_PUSH_ONE);
    test_death("overdue-entry", 1, 0, KMQ_PUSH_ONE);
    test_death("overdue-entry", 3, 0, KMQ_PUSH_ONE);
    test_death("lease-look", 1, 0, KMQ_PUSH_ONE);
    test_death("apart", 1, 1, KMQ_PUSH_ONE);
    test_death("overdue-entry", 1, 1, KMQ_PUSH_ONE);
    test_death("resume", 1, 1, KMQ_PUSH_ONE);
    test_death("apart", 1, 1, KMQ_PUSH_ALL);
    test_death("resume", 1, 1, KMQ_PUSH_ALL);
    test_death_elsewhere();

    return done_testing();
}
