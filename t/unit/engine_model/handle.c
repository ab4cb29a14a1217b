/*
 * Workers: what they do after each call, their clocks, and their threads.
 */

#include "apart.h"
#include "count.h"
#include "disk.h"
#include "handle.h"
#include "message.h"
#include "observe.h"


/* Whom this call found work for, and when the worker looks again: what a
 * worker does after each call. */
void
wakes(unsigned h)
{
    unsigned   i, w;
    uint64_t   ms, mask[KMQ_WORKERS / 64];
    handle_t  *handle = &M.handle[h];

    observe_leaving(h);
    ms = kmq_next_due(handle->kmq);

    if (ms && (handle->timer == 0 || handle->mono + ms < handle->timer)) {
        handle->timer = handle->mono + ms;
    }

    if (!kmq_wakes(handle->kmq, mask)) {
        return;
    }

    for (i = 0; i < HANDLES; i++) {
        w = M.handle[i].worker;

        if (mask[w / 64] >> w % 64 & 1) {
            CHECK(i != h, "a worker wakes itself");
            M.handle[i].woken = 1;
            mask[w / 64] &= ~(UINT64_C(1) << w % 64);
        }
    }

    CHECK(!mask[0] && !mask[1], "a worker is to be woken that is not there");
}


/* One that lives; there always is one. */
unsigned
some_handle(void)
{
    unsigned  h;

    do {
        h = below(HANDLES);
    } while (M.handle[h].dead);

    return h;
}


void
clock_set(unsigned h)
{
    handle_t  *handle = &M.handle[h];

    handle->mono = M.mono;
    handle->wall = WALL + M.mono + M.offset;
    kmq_clock(handle->kmq, handle->mono, handle->wall);
}


void
clock_all(void)
{
    unsigned  h;

    for (h = 0; h < HANDLES; h++) {
        if (!M.handle[h].dead) {
            clock_set(h);
        }
    }
}


static void *
handle_thread(void *arg)
{
    handle_t  *handle = arg;

    handle->kmq = kmq_attach(M.block, SIZE, handle->worker);
    sem_post(&handle->done);

    while (sem_wait(&handle->go) != 0) { /* void */ }

    if (handle->detaches) {
        kmq_detach(handle->kmq);
    }

    return NULL;
}


/* A thread that may end with its handle open, or the same without one. */
static void
handle_open(handle_t *handle)
{
    handle->threaded = M.options & KILLS && one_in(3);

    if (!handle->threaded) {
        handle->kmq = kmq_attach(M.block, SIZE, handle->worker);
        return;
    }

    sem_init(&handle->go, 0, 0);
    sem_init(&handle->done, 0, 0);

    if (pthread_create(&handle->thread, NULL, handle_thread, handle) != 0) {
        fail("pthread_create");
    }

    while (sem_wait(&handle->done) != 0) { /* void */ }
}


/* A handle that nobody can free any more. */
void
bury(kmq_t *kmq)
{
    static kmq_t    **grave;
    static unsigned   graves;

    grave = realloc(grave, (graves + 1) * sizeof(kmq_t *));
    grave[graves++] = kmq;
}


void
handle_close(handle_t *handle, int detaches)
{
    journal_close((unsigned) (handle - M.handle), !detaches);

    if (!handle->threaded) {
        kmq_detach(handle->kmq);
        handle->kmq = NULL;
        return;
    }

    if (!detaches) {
        bury(handle->kmq);
    }

    handle->detaches = detaches;
    sem_post(&handle->go);
    pthread_join(handle->thread, NULL);
    sem_destroy(&handle->go);
    sem_destroy(&handle->done);
    handle->kmq = NULL;
}


void
attach(unsigned h, unsigned w)
{
    unsigned   i;
    handle_t  *handle = &M.handle[h];

    for (i = 0; i < HANDLES; i++) {
        if (i != h && (M.handle[i].kmq || M.handle[i].dead)
            && M.handle[i].worker == w)
        {
            w = one_in(2) ? below(BROKEN) : below(8);
            i = NONE;
        }
    }

    memset(handle, 0, sizeof(*handle));
    handle->worker = w;
    handle_open(handle);
    CHECK(handle->kmq, "attach as worker %u", w);

    journal_open(h);
    clock_set(h);
    kmq_configure(handle->kmq, &M.settings);
    M.wall = handle->wall;
    M.lost_wakes = 1;
    wakes(h);
}


/* The clients of a handle go, in any order. */
static void
clients_left(unsigned h, unsigned by)
{
    unsigned  i;

    M.tie = ++M.ties;

    for (i = 0; i < CLIENTS; i++) {
        if (M.client[i].ref && M.client[i].handle == h) {
            left(&M.client[i], by, 0);
        }
    }

    M.tie = 0;
}


/* What a handle has reserved goes, by the clock of another one. */
static void
held_left(unsigned h, unsigned by)
{
    unsigned  i, k;

    for (i = 0; i < HELD; i++) {
        if (M.held[i].n && M.held[i].handle == h) {
            for (k = 0; k < M.held[i].n; k++) {
                message_gone(M.held[i].id[k]);
            }

            if (M.held[i].accepted) {
                count(&M.topic[M.held[i].topic], by, -(int) M.held[i].n, 0, 0);
            }

            M.reserved -= M.held[i].n;
            M.held[i].n = 0;
        }
    }
}


/* What follows from the end of a handle. */
void
handle_left(unsigned h, unsigned by)
{
    clients_left(h, by);
    held_left(h, by);
}


/*
 * The next one in a dead one's place.  What that had reserved goes by the clock
 * that the block keeps; what its clients had comes back in a tick.
 */
void
handle_follows(unsigned h)
{
    M.handle[h].wall = M.wall;
    held_left(h, h);
    attach(h, M.handle[h].worker);
    M.handle[h].follows = 1;
    tick(h);
}


unsigned
dead_handles(void)
{
    unsigned  i, n;

    for (i = 0, n = 0; i < HANDLES; i++) {
        n += M.handle[i].dead;
    }

    return n;
}


/* The dead one whose worker has the lowest number; HANDLES: there is none. */
static unsigned
dead_first(void)
{
    unsigned  i, first;

    for (i = 0, first = HANDLES; i < HANDLES; i++) {
        if (M.handle[i].dead
            && (first == HANDLES
                || M.handle[i].worker < M.handle[first].worker))
        {
            first = i;
        }
    }

    return first;
}


void
tick(unsigned h)
{
    unsigned  i, n, want, gone[HANDLES];

    n = 0;
    want = dead_handles() + M.broken;
    M.broken = 0;
    M.reserved -= M.broken_reserved;
    M.broken_reserved = 0;
    M.epoch++;
    M.wall = M.handle[h].wall;

    CHECK(kmq_tick(M.handle[h].kmq) == want, "%u are dead", want);

    if (M.handle[h].follows) {
        M.handle[h].follows = 0;
        clients_left(h, h);
    }

    wakes(h);

    /* all of them have gone, in the order of their numbers, before others
     * come */

    while ((i = dead_first()) != HANDLES) {
        handle_left(i, h);
        M.handle[i].dead = 0;
        gone[n++] = i;
    }

    while (n--) {
        attach(gone[n], below(BROKEN));
    }

    /* what was given back may be due at once, and old */

    observe_failed(h);
    count_backlog(h);
}
