/*
 * Deaths inside the lock.
 */

#include "break.h"
#include "handle.h"
#include "message.h"
#include "observe.h"
#include "shard.h"


#ifdef KMQ_FAULTS

static __thread const char  *dies_at;
static int                   has_died;

/* The thread ends here, with its lock. */
static void
fault(const char *point)
{
    if (dies_at && strcmp(point, dies_at) == 0) {
        has_died = 1;
        M.broken_reserved = strcmp(point, "reserve") == 0;
        pthread_exit(NULL);
    }
}


/* A worker that reserves a message, and dies of it or later. */
static void *
broken_thread(void *arg)
{
    char            name[KMQ_NAME_MAX + 1];
    kmq_t          *kmq;
    kmq_message_t   m;

    kmq = kmq_attach(M.block, SIZE, BROKEN);
    CHECK(kmq, "attach");
    bury(kmq);
    kmq_clock(kmq, M.mono, WALL + M.mono + M.offset);

    memset(&m, 0, sizeof(m));
    m.size = 1;

    if (one_in(2)) {
        sprintf(name, "topic %*u", one_in(2) ? 100 : 1, ++M.serial);
    } else {
        strcpy(name, M.topic[below(TOPICS)].name);
    }

    M.broken_shard = shard_of(some_handle(), name);
    dies_at = arg;
    M.broken_reserved = kmq_reserve_to(kmq, name, strlen(name), &m) == KMQ_OK;

    return NULL;
}


/* The next one that takes the lock makes all lists and counters anew. */
void
op_break(void)
{
    char         *point;
    unsigned      h;
    pthread_t     thread;
    kmq_counts_t  now;

    /* who has this number now gives back what the last one left */

    M.reserved -= M.broken_reserved;
    M.broken_reserved = 0;
    M.broken = 1;

    point = one_in(2) ? "reserve" : "topic-create";
    has_died = 0;
    kmq_fault = fault;

    if (pthread_create(&thread, NULL, broken_thread, point) != 0) {
        fail("pthread_create");
    }

    pthread_join(thread, NULL);

    M.reserved += M.broken_reserved;
    h = some_handle();
    observe(h, &now);
    CHECK(kmq_repaired(M.handle[h].kmq) == has_died, "kmq_repaired");

    if (has_died) {
        M.repairs++;
        M.repaired++;
        lists_sort(M.broken_shard);
        waits_repaired(M.broken_shard, M.handle[h].mono);
        numbers_anew(M.broken_shard);

    } else {
        number_maybe(M.broken_shard, (WALL + M.mono + M.offset) / 1000);
    }

    compare(&now);
    wakes(h);
}

#else

void
op_break(void)
{
    /* void */
}

#endif
