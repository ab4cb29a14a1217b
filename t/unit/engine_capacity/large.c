/*
 * A large message comes where small ones are: how long is the lock held, and
 * what is dropped for it?
 */

#include <dlfcn.h>
#include <pthread.h>

#include "capacity.h"


static uint64_t   ec_steps;      /* since the lock was given back last */
static uint64_t   ec_steps_max;
static uint64_t   ec_cpu;        /* ns, then */
static uint64_t   ec_cpu_max;


static uint64_t
ec_cpu_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + (uint64_t) ts.tv_nsec;
}


static void
ec_step(const char *point)
{
    (void) point;
    ec_steps++;
}


static void
ec_steps_begin(void)
{
    ec_steps = 0;
    ec_steps_max = 0;
    ec_cpu_max = 0;
    ec_cpu = ec_cpu_now();
    kmq_fault = ec_step;
}


/* The engine calls this one: the end of what is done under the lock. */
int
pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    uint64_t      now;
    static int  (*unlock)(pthread_mutex_t *mutex);

    if (unlock == NULL) {
        *(void **) &unlock = dlsym(RTLD_NEXT, "pthread_mutex_unlock");
    }

    if (kmq_fault == ec_step) {
        now = ec_cpu_now();
        ec_steps_max = ec_steps > ec_steps_max ? ec_steps : ec_steps_max;
        ec_cpu_max = now - ec_cpu > ec_cpu_max ? now - ec_cpu : ec_cpu_max;
        ec_steps = 0;
        ec_cpu = ec_cpu_now();
    }

    return unlock(mutex);
}


/* A block of which so many eighths wait; the others are history, or would be
 * if that much fitted. */
static void
ec_history(ec_t *ec, const ec_pattern_t *p, size_t size, unsigned waiting)
{
    uint64_t  n, fresh;

    fresh = ec_fresh(size, p->body);
    ec_open(ec, p, size, fresh * waiting / 8);
    ec->body = p->body;

    for (n = 0; n < 3 * fresh; n += EC_BATCH) {
        (void) ec_publish(ec, EC_BATCH);
        ec_drain(ec);
    }
}


/* A body of large bytes comes into a block of small ones, waiting of each eight
 * of which wait and the others are history. */
void
ec_large(size_t size, unsigned small, unsigned waiting, size_t bytes,
    ec_large_t *r)
{
    ec_t            ec;
    double          price;
    unsigned        i;
    kmq_counts_t    c;
    ec_pattern_t    p;
    kmq_message_t   m;

    memset(r, 0, sizeof(*r));
    memset(&p, 0, sizeof(p));
    p.one_in = 2;
    p.keep = 1;
    p.body = small;
    p.next = small;
    p.fill = small;

    ec_history(&ec, &p, size, waiting);
    c = eu_count(ec.kmq);
    r->history = c.consumed;

    /* what a message takes, by what there is of them */

    price = (double) (c.bytes_total - c.bytes_free)
            / (double) (c.consumed + c.ready + 1);
    r->needed = (uint64_t) ((double) bytes / price);

    /* of a refusal, which changes nothing, the shortest of some */

    r->ms = 1e9;

    for (i = 0; i < 3 && !r->fits; i++) {
        memset(&m, 0, sizeof(m));
        m.size = (uint32_t) bytes;

        ec_steps_begin();
        r->fits = kmq_reserve(ec.kmq, ec.filling, &m, 1, NULL) == 1;
        kmq_fault = NULL;

        r->steps = ec_steps_max > r->steps ? ec_steps_max : r->steps;
        r->ms = (double) ec_cpu_max / 1e6 < r->ms ? (double) ec_cpu_max / 1e6
                                                  : r->ms;
    }

    r->dropped = eu_count(ec.kmq).totals.dropped - c.totals.dropped;

    if (r->fits) {
        kmq_discard(ec.kmq, &m, 1);
    }

    if (kmq_verify(ec.kmq, r->wrong, sizeof(r->wrong)) == KMQ_OK) {
        r->wrong[0] = '\0';
    }

    ec_close(&ec);
}
