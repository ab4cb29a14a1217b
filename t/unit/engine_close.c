/* Clients that an operator wants to be gone, and topics that are forgotten
 * while a route of theirs still waits.  See engine_cases.h. */

#include <unistd.h>

#include "engine_cases.h"


#define WORKERS  2


/* Finds a client by its role as kmq_clients() tells it. */
static kmq_client_info_t
client_info(kmq_t *kmq, uint32_t role)
{
    uint64_t           cursor;
    kmq_client_info_t  info;

    cursor = 0;
    memset(&info, 0, sizeof(info));
    is_int(kmq_clients(kmq, role, &cursor, &info, 1), 1, "a client");

    return info;
}


/* A client of worker 1 is closed by worker 1, whoever asks for it. */
static void
test_disconnect(uint32_t role, unsigned asks)
{
    int                 why;
    uint64_t            mask[KMQ_WORKERS / 64];
    kmq_t              *worker[WORKERS];
    kmq_ref_t           c;
    ec_queue_t          q;
    kmq_client_info_t   info;

    ec_open(&q, KMQ_PUSH_ONE);
    kmq_leave(q.kmq, q.p, 0);
    worker[0] = q.kmq;
    worker[1] = eu_attach(q.block, EC_SIZE, 1);
    (void) kmq_wakes(worker[0], mask);
    (void) kmq_wakes(worker[1], mask);

    c = role == KMQ_PRODUCER ? eu_join(worker[1], role, "t", 0, "a")
                             : eu_consumer(worker[1], "t", 10, "a");
    info = client_info(worker[0], role);
    is_int(info.ref, c, "its reference");

    is_int(kmq_disconnect(worker[asks], info.ref, info.number), KMQ_OK,
           "it is asked to go");
    is_int(kmq_disconnect(worker[asks], info.ref, info.number), KMQ_OK,
           "twice is once");

    if (asks == 0) {
        is_int(kmq_wakes(worker[0], mask), 1, "its worker is told");
        is_int((long long) mask[0], 2, "and no other");
    }

    ok(asks == 0 || kmq_has_work(worker[1]), "or knows that it has work");

    ok(kmq_to_close(worker[0], &why) == NULL, "another one has none to close");
    (void) ec_take(worker[1]);
    why = 0;
    is_bytes(kmq_to_close(worker[1], &why), 1, "a", 1, "it is named");
    is_int(why, KMQ_DISCONNECTED, "with the reason");
    ok(kmq_to_close(worker[1], &why) == NULL, "once");
    (void) kmq_tick(worker[1]);
    ok(kmq_to_close(worker[1], &why) == NULL, "for ever");

    kmq_leave(worker[1], c, 0);
    is_int(kmq_disconnect(worker[0], info.ref, info.number), KMQ_GONE,
           "who has left is gone");

    kmq_detach(worker[1]);
    ec_close(&q, "disconnect");
}


/* What names no client, whatever it is. */
static void
test_nobody(void)
{
    uint32_t           i;
    unsigned           wrong;
    ec_queue_t         q;
    kmq_client_info_t  info;

    ec_open(&q, KMQ_PUSH_ONE);
    info = client_info(q.kmq, KMQ_PRODUCER);

    is_int(kmq_disconnect(q.kmq, info.ref, info.number + 1), KMQ_GONE,
           "another's number");
    is_int(kmq_disconnect(q.kmq, UINT32_MAX, info.number), KMQ_GONE,
           "beyond the block");

    for (i = 0, wrong = 0; i < EC_SIZE / 8; i++) {
        wrong += i != info.ref
                 && kmq_disconnect(q.kmq, i, info.number) != KMQ_GONE;
    }

    is_int(wrong, 0, "any other place");
    is_int((long long) eu_count(q.kmq).producers, 1, "it is still there");

    ec_close(&q, "nobody");
}


/* One is looked at by its reference, with the user that it has joined with. */
static void
test_look(void)
{
    uint32_t           i;
    unsigned           wrong;
    kmq_ref_t          c;
    ec_queue_t         q;
    kmq_client_info_t  info, found;

    ec_open(&q, KMQ_PUSH_ONE);

    memset(&info, 0, sizeof(info));
    info.role = KMQ_CONSUMER;
    info.prefetch = 1;
    info.topic_len = 1;
    info.topic[0] = 't';
    info.id_len = 1;
    info.id[0] = 'c';
    info.user_len = KMQ_USER_MAX;
    memset(info.user, 'u', KMQ_USER_MAX);

    c = kmq_join(q.kmq, &info, &q);
    ok(c != 0, "it joins");

    memset(&found, 0, sizeof(found));
    is_int(kmq_client(q.kmq, c, 0, &found), KMQ_OK, "it is there");
    is_bytes(found.topic, found.topic_len, "t", 1, "its topic");
    is_bytes(found.id, found.id_len, "c", 1, "its id");
    is_bytes(found.user, found.user_len, info.user, KMQ_USER_MAX, "its user");
    is_int(kmq_client(q.kmq, c, found.number, &found), KMQ_OK,
           "by its number, too");
    is_int(kmq_client(q.kmq, c, found.number + 1, &found), KMQ_GONE,
           "by no other");
    is_int(kmq_client(q.kmq, UINT32_MAX, 0, &found), KMQ_GONE,
           "beyond the block");

    for (i = 0, wrong = 0; i < EC_SIZE / 8; i++) {
        wrong += i != c && kmq_client(q.kmq, i, found.number, &found)
                           != KMQ_GONE;
    }

    is_int(wrong, 0, "any other place");

    kmq_leave(q.kmq, c, 0);
    is_int(kmq_client(q.kmq, c, found.number, &found), KMQ_GONE, "it has left");

    info.user_len++;
    is_int(kmq_join(q.kmq, &info, &q), 0, "a user that is too long");

    ec_close(&q, "look");
}


/* What the consumer had goes to others. */
static void
test_in_flight(void)
{
    int                why;
    kmq_ref_t          a;
    ec_queue_t         q;
    kmq_client_info_t  info;

    ec_open(&q, KMQ_PUSH_ONE);
    a = eu_consumer(q.kmq, "t", 10, "a");
    ec_publish(q.kmq, q.p, 1, 3);
    (void) ec_text(ec_take(q.kmq), "a1 a2 a3", "pushed");

    info = client_info(q.kmq, KMQ_CONSUMER);
    is_int(info.in_flight, 3, "so many are in flight");
    (void) kmq_disconnect(q.kmq, info.ref, info.number);
    (void) ec_take(q.kmq);
    ok(kmq_to_close(q.kmq, &why) != NULL, "it has to go");
    kmq_leave(q.kmq, a, 0);

    (void) eu_consumer(q.kmq, "t", 10, "b");
    (void) ec_text(ec_take(q.kmq), "b1 b2 b3", "another one has them");

    ec_close(&q, "in flight");
}


/* A wake-up that did not get to its worker: after that worker's next tick, it
 * is told again. */
static void
test_lost_wake(void)
{
    uint64_t            mask[KMQ_WORKERS / 64];
    kmq_t              *other;
    ec_queue_t          q;
    kmq_client_info_t   info;

    ec_open(&q, KMQ_PUSH_ONE);
    other = eu_attach(q.block, EC_SIZE, 1);
    (void) eu_consumer(other, "t", 10, "a");
    info = client_info(q.kmq, KMQ_CONSUMER);
    (void) kmq_wakes(q.kmq, mask);

    (void) kmq_disconnect(q.kmq, info.ref, info.number);
    is_int(kmq_wakes(q.kmq, mask), 1, "a wake-up, which is lost");
    (void) kmq_tick(other);
    ok(!kmq_has_work(other), "a tick does what there was to do");

    (void) eu_consumer(other, "t", 10, "b");
    ec_publish(q.kmq, q.p, 1, 1);
    is_int(kmq_wakes(q.kmq, mask), 1, "a message for that worker");
    is_int((long long) mask[0], 2, "which is told");

    kmq_detach(other);
    ec_close(&q, "lost wake-up");
}


/*
 * A consumer's route waits in its worker's list when the consumer goes, and
 * the topic has nothing else: then it is not forgotten before the route is,
 * and that worker finds its way.
 */
static void
test_forgotten_route(void)
{
    char               name[32];
    kmq_t             *other;
    unsigned           i, len;
    kmq_ref_t          a;
    ec_queue_t         q;
    kmq_message_t      m;

    ec_open(&q, KMQ_PUSH_ONE);
    other = eu_attach(q.block, EC_SIZE, 1);
    a = eu_consumer(other, "t", 10, "a");
    ec_publish(q.kmq, q.p, 1, 1);
    is_int(kmq_delete(q.kmq, ec_code[1]), KMQ_OK, "deleted");
    kmq_leave(other, a, 0);
    kmq_leave(q.kmq, q.p, 0);

    /* so many topics that idle ones are forgotten, and their places used */

    for (i = 0; i < 2000; i++) {
        len = (unsigned) sprintf(name, "topic %u", i);
        memset(&m, 0, sizeof(m));

        if (kmq_reserve_to(q.kmq, name, len, &m) != KMQ_OK) {
            printf("Bail out! no room for a message\n");
            exit(2);
        }

        kmq_discard(q.kmq, &m, 1);
    }

    ok(eu_verify(q.kmq, "routes"), "all is sound");
    (void) alarm(20);
    ok(eu_take(other) == NULL, "nothing to do");
    (void) alarm(0);
    ok(eu_verify(q.kmq, "routes"), "and after that");

    kmq_detach(other);
    ec_close(&q, "routes");
}


int
main(void)
{
    test_disconnect(KMQ_CONSUMER, 0);
    test_disconnect(KMQ_CONSUMER, 1);
    test_disconnect(KMQ_PRODUCER, 0);
    test_disconnect(KMQ_PRODUCER, 1);
    test_nobody();
    test_look();
    test_in_flight();
    test_lost_wake();
    test_forgotten_route();

    return done_testing();
}
