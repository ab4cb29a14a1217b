/*
 * How much fits beside survivors: messages pass through a block, a few of them
 * stay, and then it is filled.  Shared by the unit test and by the bench.
 *
 * What is measured is a ratio.  Above it: the messages that fit after all that.
 * Below it: those that fit into a fresh block that was given the same survivors
 * first, one behind the other, in the same states.
 */

#ifndef KMQ_ENGINE_CAPACITY_H
#define KMQ_ENGINE_CAPACITY_H

#include <dlfcn.h>
#include <pthread.h>

#include "engine_util.h"


#define EC_REQUIRED   0.85
#define EC_MIXED      0          /* bodies of many sizes */
#define EC_STREAM     0          /* waves: everything is consumed as it comes */
#define EC_BATCH      256
#define EC_HOUR       3600000    /* ms */
#define EC_PAGE       8192
#define EC_PREFETCH   65535

/* what becomes of the survivors */
typedef enum {
    EC_WAITING,                  /* in a topic that nobody consumes */
    EC_DELAYED,
    EC_DEAD,
    EC_IN_FLIGHT,                /* with whoever confirms the others */
    EC_ELSEWHERE,                /* in flight with consumers of their own */
    EC_STATES
} ec_state_t;

EU_UNUSED static const char *const  ec_states[EC_STATES] = {
    "waiting", "delayed", "dead", "in flight", "elsewhere"
};

typedef struct {
    ec_state_t   state;
    unsigned     one_in;         /* so many messages stays one; 0: at random,
                                    one in 2 to 1000 */
    unsigned     keep;           /* keep_consumed */
    unsigned     waves;          /* the block is filled and drained so often, or
                                    EC_STREAM */
    unsigned     body;           /* bytes, or EC_MIXED */
    unsigned     next;           /* the same in every other wave */
    unsigned     fill;           /* the same of the messages that are counted */
} ec_pattern_t;

typedef struct {
    uint64_t     passed;
    uint64_t     survivors;
    uint64_t     expected;       /* messages */
    uint64_t     fitted;
    double       ratio;
    int          refused;        /* a message of a stream was */
    char         wrong[256];     /* what is wrong with the block, or "" */
} ec_result_t;

/* One run. */
typedef struct {
    const ec_pattern_t  *pattern;
    void                *block;
    size_t               size;
    kmq_t               *kmq;
    kmq_ref_t            passing;     /* producers */
    kmq_ref_t            staying;
    kmq_ref_t            filling;
    unsigned             body;        /* of the messages that pass now */
    uint64_t             published;
    uint64_t             taken;
    uint64_t             due;         /* number of the next survivor */
    uint64_t             seed;
    uint32_t            *survivor;    /* their sizes */
    uint64_t             survivors;
    uint64_t             max;         /* allocated */
} ec_t;


/* ----------------------------------------------------------------- blocks */

EU_UNUSED static void
ec_open(ec_t *ec, const ec_pattern_t *pattern, size_t size, uint64_t max)
{
    unsigned         i;
    kmq_settings_t   s;

    memset(ec, 0, sizeof(*ec));
    ec->pattern = pattern;
    ec->size = size;
    ec->max = max;
    ec->survivor = calloc(max + 1, sizeof(uint32_t));
    ec->seed = pattern->one_in + 1;
    ec->kmq = eu_open(&ec->block, size, KMQ_PUSH_ONE);

    s = eu_settings(KMQ_PUSH_ONE);
    s.keep_consumed = pattern->keep;
    s.topic.max_deliveries = pattern->state == EC_DEAD;
    kmq_configure(ec->kmq, &s);

    ec->passing = eu_producer(ec->kmq, "passing");
    ec->staying = eu_producer(ec->kmq, "staying");
    ec->filling = eu_producer(ec->kmq, "filling");

    /* enough of them for all survivors, and one more that never has any */

    for (i = 0; i <= max / EC_PREFETCH + 1; i++) {
        (void) eu_consumer(ec->kmq, "passing", EC_PREFETCH, NULL);

        if (pattern->state == EC_ELSEWHERE) {
            (void) eu_consumer(ec->kmq, "staying", EC_PREFETCH, NULL);
        }
    }
}


EU_UNUSED static void
ec_close(ec_t *ec)
{
    kmq_detach(ec->kmq);
    munmap(ec->block, ec->size);
    free(ec->survivor);
}


/* --------------------------------------------------------------- messages */

/* Bytes of message number i. */
EU_UNUSED static uint32_t
ec_bytes(unsigned body, uint64_t i)
{
    static const uint32_t  below[] = {
        40, 40, 200, 200, 200, 200, 1500, 1500, 1500, 4500, 4500, 20000
    };

    if (body != EC_MIXED) {
        return body;
    }

    i = eu_rand(&i);

    return (uint32_t) ((i >> 32) % below[i % 12]);
}


/* Publishes up to n messages; returns how many. */
EU_UNUSED static unsigned
ec_put(ec_t *ec, kmq_ref_t producer, kmq_message_t *m, unsigned n)
{
    n = kmq_reserve(ec->kmq, producer, m, n, NULL);

    if (n) {
        kmq_commit(ec->kmq, m, n);
    }

    return n;
}


/* Is message number i one that stays? */
EU_UNUSED static int
ec_stays(ec_t *ec, uint64_t i)
{
    if (i < ec->due || ec->survivors == ec->max) {
        return 0;
    }

    ec->due = i + (ec->pattern->one_in ? ec->pattern->one_in
                                       : 2 + eu_below(&ec->seed, 999));

    return 1;
}


EU_UNUSED static void
ec_keep(ec_t *ec, uint32_t size)
{
    ec->survivor[ec->survivors++] = size;
}


/*
 * Publishes up to n messages of those that pass, and where their way parts
 * them here, those that stay.  Returns how many; fewer: there is no memory.
 */
EU_UNUSED static unsigned
ec_publish(ec_t *ec, unsigned n)
{
    int             stays;
    unsigned        i, batch;
    ec_state_t      state = ec->pattern->state;
    kmq_ref_t       producer;
    kmq_message_t   m[EC_BATCH];

    for (i = 0; i < n; i += batch) {
        stays = 0;
        batch = 0;
        producer = ec->passing;

        while (batch < n - i && batch < EC_BATCH && !stays) {
            stays = (state == EC_WAITING || state == EC_DELAYED
                     || state == EC_ELSEWHERE)
                    && ec_stays(ec, ec->published);

            if (stays && batch && state != EC_DELAYED) {
                ec->due = ec->published;       /* it goes alone */
                break;
            }

            memset(&m[batch], 0, sizeof(m[0]));
            m[batch].size = ec_bytes(ec->body, ec->published++);

            if (stays && state == EC_DELAYED) {
                m[batch].delay_time = EC_HOUR + ec->published;
            } else if (stays) {
                producer = ec->staying;
            }

            batch++;
        }

        stays = stays && (state == EC_DELAYED || producer == ec->staying);

        if (ec_put(ec, producer, m, batch) != batch) {
            return i;
        }

        if (stays) {
            ec_keep(ec, m[batch - 1].size);
        }
    }

    return n;
}


/* Confirms what a run has, but those that stay. */
EU_UNUSED static void
ec_confirm(ec_t *ec, const kmq_batch_t *batch, const kmq_run_t *run)
{
    char                  *code;
    unsigned               i, nconfirmed, nkept;
    const kmq_message_t   *m;
    static char            confirmed[KMQ_BATCH_MESSAGES * KMQ_CODE_LEN];
    static char            kept[KMQ_BATCH_MESSAGES * KMQ_CODE_LEN];

    nconfirmed = 0;
    nkept = 0;

    for (i = 0; i < run->count; i++) {
        m = &batch->messages[run->first + i];

        if (ec_stays(ec, ec->taken++)) {
            code = kept + KMQ_CODE_LEN * nkept++;
            ec_keep(ec, m->size);
        } else {
            code = confirmed + KMQ_CODE_LEN * nconfirmed++;
        }

        kmq_code(ec->kmq, m, code);
    }

    (void) kmq_confirm_codes(ec->kmq, run->client, confirmed, nconfirmed);

    if (ec->pattern->state == EC_DEAD) {
        (void) kmq_return_codes(ec->kmq, run->client, kept, nkept);
    }
}


/* Everything goes but those that stay. */
EU_UNUSED static void
ec_drain(ec_t *ec)
{
    unsigned             i;
    ec_state_t           state = ec->pattern->state;
    const kmq_run_t     *run;
    static kmq_batch_t   batch;

    batch.bytes_max = 64 * EU_MB;

    while (kmq_take(ec->kmq, &batch)) {
        for (i = 0; i < batch.nruns; i++) {
            run = &batch.runs[i];

            if (state == EC_DEAD || state == EC_IN_FLIGHT) {
                ec_confirm(ec, &batch, run);

            } else if (batch.topic[0] == 'p') {
                (void) kmq_confirm_upto(ec->kmq, run->client,
                       batch.messages[run->first + run->count - 1].position);
            }
        }
    }
}


/* Until there is no memory; returns how many. */
EU_UNUSED static uint64_t
ec_fill(ec_t *ec)
{
    uint64_t        n;
    unsigned        i, done;
    kmq_message_t   m[16];

    for (n = 0; /* void */ ; n += done) {
        memset(m, 0, sizeof(m));

        for (i = 0; i < 16; i++) {
            m[i].size = ec_bytes(ec->pattern->fill, n + i);
        }

        done = ec_put(ec, ec->filling, m, 16);

        if (done != 16) {
            return n + done;
        }
    }
}


/* --------------------------------------------------------------- patterns */

/* How many messages of a kind fit into a fresh block. */
EU_UNUSED static uint64_t
ec_fresh(size_t size, unsigned body)
{
    ec_t           ec;
    uint64_t       n;
    ec_pattern_t   p;

    memset(&p, 0, sizeof(p));
    p.fill = body;

    ec_open(&ec, &p, size, 0);
    n = ec_fill(&ec);
    ec_close(&ec);

    return n;
}


/* The survivors of another run come alone, into a fresh block: how many
 * messages fit beside them? */
EU_UNUSED static uint64_t
ec_reference(const ec_t *from)
{
    ec_t            ec;
    uint64_t        i, n;
    ec_state_t      state = from->pattern->state;
    kmq_message_t   m;

    ec_open(&ec, from->pattern, from->size, from->survivors);

    for (i = 0; i < from->survivors; i++) {
        memset(&m, 0, sizeof(m));
        m.size = from->survivor[i];
        m.delay_time = state == EC_DELAYED ? EC_HOUR + i : 0;

        if (ec_put(&ec, state == EC_DEAD || state == EC_IN_FLIGHT
                        ? ec.passing : ec.staying, &m, 1) != 1)
        {
            break;
        }

        ec.due = 0;            /* each one stays */

        if (state != EC_WAITING && state != EC_DELAYED) {
            ec_drain(&ec);
        }
    }

    n = i == from->survivors ? ec_fill(&ec) : 0;
    ec_close(&ec);

    return n;
}


EU_UNUSED static void
ec_waves(ec_t *ec)
{
    unsigned  i;

    for (i = 0; i < ec->pattern->waves; i++) {
        ec->body = i % 2 ? ec->pattern->next : ec->pattern->body;

        while (ec_publish(ec, EC_BATCH) == EC_BATCH) { /* void */ }

        ec_drain(ec);
    }
}


/* Until there are enough survivors, or so many messages have passed; batch of
 * them are there at a time.  1: one was refused. */
EU_UNUSED static int
ec_stream(ec_t *ec, uint64_t survivors, uint64_t limit, unsigned batch)
{
    unsigned  n;

    ec->body = ec->pattern->body;
    n = batch;

    while (ec->survivors < survivors && ec->published < limit && n == batch) {
        n = ec_publish(ec, batch);
        ec_drain(ec);
    }

    return n != batch;
}


/* Everything that must be there is. */
EU_UNUSED static void
ec_check(ec_t *ec, ec_result_t *r)
{
    uint64_t       is;
    kmq_counts_t   c;

    if (kmq_verify(ec->kmq, r->wrong, sizeof(r->wrong)) != KMQ_OK) {
        return;
    }

    r->wrong[0] = '\0';
    c = eu_count(ec->kmq);

    switch (ec->pattern->state) {

    case EC_WAITING:
        is = c.ready - r->fitted;
        break;

    case EC_DELAYED:
        is = c.delayed;
        break;

    case EC_DEAD:
        is = c.dead;
        break;

    default:
        is = c.in_flight;
        break;
    }

    if (is != r->survivors) {
        snprintf(r->wrong, sizeof(r->wrong), "%llu survivors of %llu",
                 (unsigned long long) is, (unsigned long long) r->survivors);
    }
}


/* limit: so many messages pass in a stream at most. */
EU_UNUSED static void
ec_run(const ec_pattern_t *pattern, size_t size, uint64_t limit,
    ec_result_t *r)
{
    ec_t       ec;
    uint64_t   fresh, some;

    memset(r, 0, sizeof(*r));

    /* a third of what fits, and in a stream no more than three in each page */

    fresh = ec_fresh(size, pattern->body);
    some = fresh / 3;

    if (pattern->waves == EC_STREAM && some > size / EC_PAGE * 3) {
        some = size / EC_PAGE * 3;
    }

    ec_open(&ec, pattern, size, some);

    if (pattern->waves == EC_STREAM) {
        r->refused = ec_stream(&ec, some, limit, fresh / 8 < EC_BATCH
                                                 ? fresh / 8 : EC_BATCH);
    } else {
        ec_waves(&ec);
    }

    r->passed = ec.published;
    r->survivors = ec.survivors;
    r->fitted = ec_fill(&ec);
    r->expected = ec_reference(&ec);
    r->ratio = (double) r->fitted / (double) (r->expected ? r->expected : 1);
    ec_check(&ec, r);
    ec_close(&ec);
}


EU_UNUSED static const char *
ec_size_name(unsigned body)
{
    unsigned          i;
    static char       text[4][16];
    static unsigned   turn;

    if (body == EC_MIXED) {
        return "mixed";
    }

    i = turn++ % 4;
    snprintf(text[i], sizeof(text[i]), "%u", body);

    return text[i];
}


EU_UNUSED static void
ec_name(const ec_pattern_t *p, size_t size, char *text, size_t max)
{
    char  density[16], way[24];

    snprintf(density, sizeof(density), p->one_in ? "1 in %u" : "random",
             p->one_in);
    snprintf(way, sizeof(way), p->waves ? "%u waves" : "stream", p->waves);

    snprintf(text, max, "%zu MiB, %s %s, %s, bodies %s/%s/%s, %s",
             size / EU_MB, density, ec_states[p->state], way,
             ec_size_name(p->body), ec_size_name(p->next),
             ec_size_name(p->fill), p->keep ? "history" : "freed");
}


/* ------------------------------------------------------- large and small */

typedef struct {
    uint64_t    history;         /* messages before */
    uint64_t    needed;          /* of these, as many as the large one has
                                    bytes */
    uint64_t    dropped;
    uint64_t    steps;           /* the most under one lock */
    double      ms;              /* and CPU time */
    int         fits;
    char        wrong[256];
} ec_large_t;

static uint64_t   ec_steps;      /* since the lock was given back last */
static uint64_t   ec_steps_max;
static uint64_t   ec_cpu;        /* ns, then */
static uint64_t   ec_cpu_max;


EU_UNUSED static uint64_t
ec_cpu_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + (uint64_t) ts.tv_nsec;
}


EU_UNUSED static void
ec_step(const char *point)
{
    (void) point;
    ec_steps++;
}


EU_UNUSED static void
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
EU_UNUSED static void
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
EU_UNUSED static void
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


/* ---------------------------------------------------------------- topics */

/* How many topics with a message each fit. */
EU_UNUSED static unsigned
ec_topics(size_t size, char *wrong, size_t max)
{
    char            name[32];
    void           *block;
    kmq_t          *kmq;
    size_t          len;
    unsigned        n;
    kmq_message_t   m;

    kmq = eu_open(&block, size, KMQ_PUSH_ONE);

    for (n = 0; /* void */ ; n++) {
        len = (size_t) sprintf(name, "%u", n);
        memset(&m, 0, sizeof(m));

        if (kmq_reserve_to(kmq, name, len, &m) != KMQ_OK) {
            break;
        }

        kmq_commit(kmq, &m, 1);
    }

    if (kmq_verify(kmq, wrong, max) == KMQ_OK) {
        wrong[0] = '\0';
    }

    kmq_detach(kmq);
    munmap(block, size);

    return n;
}

#endif /* KMQ_ENGINE_CAPACITY_H */
