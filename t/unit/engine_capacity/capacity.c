/* Messages pass through a block, and some of them stay. */

#include "capacity.h"


static const char *const  ec_states[EC_STATES] = {
    "waiting", "delayed", "dead", "in flight", "elsewhere"
};


/* ----------------------------------------------------------------- blocks */

void
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


void
ec_close(ec_t *ec)
{
    kmq_detach(ec->kmq);
    munmap(ec->block, ec->size);
    free(ec->survivor);
}


/* --------------------------------------------------------------- messages */

/* Bytes of message number i. */
static uint32_t
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
static unsigned
ec_put(ec_t *ec, kmq_ref_t producer, kmq_message_t *m, unsigned n)
{
    n = kmq_reserve(ec->kmq, producer, m, n, NULL);

    if (n) {
        kmq_commit(ec->kmq, m, n);
    }

    return n;
}


/* Is message number i one that stays? */
static int
ec_stays(ec_t *ec, uint64_t i)
{
    if (i < ec->due || ec->survivors == ec->max) {
        return 0;
    }

    ec->due = i + (ec->pattern->one_in ? ec->pattern->one_in
                                       : 2 + eu_below(&ec->seed, 999));

    return 1;
}


static void
ec_keep(ec_t *ec, uint32_t size)
{
    ec->survivor[ec->survivors++] = size;
}


/*
 * Publishes up to n messages of those that pass, and where their way parts
 * them here, those that stay.  Returns how many; fewer: there is no memory.
 */
unsigned
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
static void
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
        (void) kmq_return_codes(ec->kmq, run->client, kept, nkept,
                                KMQ_BACK_OFF);
    }
}


/* Everything goes but those that stay. */
void
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
static uint64_t
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
uint64_t
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
static uint64_t
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


static void
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
static int
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
static void
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
        /* where memory is full, rings do not grow: the rest waits */
        is = c.in_flight + c.ready - r->fitted;
        break;
    }

    if (is != r->survivors) {
        snprintf(r->wrong, sizeof(r->wrong), "%llu survivors of %llu",
                 (unsigned long long) is, (unsigned long long) r->survivors);
    }
}


/* limit: so many messages pass in a stream at most. */
void
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


static const char *
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


void
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


/* ---------------------------------------------------------------- topics */

/* How many topics with a message each fit. */
unsigned
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
