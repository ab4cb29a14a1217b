/*
 * Processes on one block die at random points inside critical sections, or
 * anywhere; the others go on.  Afterwards every message that was accepted is
 * there or was consumed, none was consumed twice, and no memory is lost.
 *
 *     KMQ_SEED=n   repeats the plan    KMQ_ROUNDS=n   how many rounds
 *
 * Each process keeps a log in shared memory: before a call what it is about
 * to do, after the call what it did.  What lies between may have happened or
 * not; all else must agree with what the block holds.
 */

#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../src/engine/kmq_block.h"
#include "../../src/engine/upkeep/kmq_upkeep_inside.h"
#include "../../src/engine/worker/kmq_worker.h"
#include "engine_util.h"


#define SIZE       (6 * EU_MB)
#define CHILDREN   4
#define TOPICS     3
#define MESSAGES   65536           /* in one round */
#define CONSUMERS  4               /* of one child */
#define FLIGHT     200
#define POINTS     96
#define POINT_LEN  32
#define HANGS      30              /* s in one round */

#define INTENT     1               /* bits of the log: about to be committed */
#define COMMITTED  2
#define CONFIRMING 4
#define CONFIRMED  8
#define DELETING   16
#define DELETED    32

#define BATCH      12              /* messages of a batch, at most */
#define RECENT     16              /* messages that a child may delete */
#define CODES      64              /* of messages that anybody may settle */

typedef struct {
    char         name[POINT_LEN];
    atomic_uint  hits;
    atomic_uint  kills;
    unsigned     plans;
} point_t;

/* Shared by the parent and all children. */
typedef struct {
    atomic_uint   nmessages;
    atomic_uint   errors;
    atomic_uint   npoints;
    atomic_int    naming;
    point_t       point[POINTS];
    atomic_uchar  state[MESSAGES];
    atomic_uchar  confirms[MESSAGES];
    atomic_uint   owner[MESSAGES]; /* life that has it, point to point */
    atomic_uchar  batch[MESSAGES]; /* it begins a batch of so many */
    atomic_uchar  dead[1 << 20];   /* by life */
    atomic_uint   ncodes;
    char          code[CODES][KMQ_CODE_LEN];
} shared_t;

typedef struct {
    kmq_ref_t       ref;
    unsigned        topic;
    unsigned        n;
    uint32_t        id[FLIGHT];
    uint32_t        position[FLIGHT];
    char            code[FLIGHT][KMQ_CODE_LEN];
    unsigned char  *had;           /* confirmed, by message */
} consumer_t;

/* A message that this process has published. */
typedef struct {
    uint32_t        id;
    char            code[KMQ_CODE_LEN];
} recent_t;

static shared_t    *S;
static void        *block;
static kmq_settings_t  settings;
static uint32_t     push_type;
static int          relaxed;       /* messages may be taken from a consumer:
                                      they are overdue, or given up */
static int          charged;       /* consumers end by themselves */
static recent_t     recent[RECENT];
static unsigned     nrecent;
static unsigned     life;          /* this process, unique for the run */
static uint64_t     chance;        /* its random numbers */
static const char  *plan_name;     /* the point where it dies, NULL: none */
static unsigned     plan_left;
static unsigned     nbatches;      /* that came in; */
static unsigned     ncut;          /* and whose worker died before */
static kmq_t       *kmq;
static kmq_ref_t    producer[TOPICS];
static consumer_t   consumer[CONSUMERS];

static const char  *const topic_name[TOPICS] = { "a", "b", "c" };

/* a topic without consumers, for what is purged */
#define WASTE  "waste"

/* a topic for those that pull, or are parked; and this process's consumer of
 * it, which is one of these */
#define APART  "apart"

static kmq_ref_t    apart;
static int          apart_pulls;


/* A second is a minute of the wall clock, so that topics have many minutes. */
static void
clock_tell(void)
{
    uint64_t  mono = eu_ms();

    kmq_clock(kmq, mono, 1640975470000 + 60 * mono);
}


__attribute__((format(printf, 1, 2))) static void
complain(const char *fmt, ...)
{
    va_list  args;

    atomic_fetch_add(&S->errors, 1);

    va_start(args, fmt);
    printf("# life %u: ", life);
    vprintf(fmt, args);
    printf("\n");
    va_end(args);
    fflush(stdout);
}


/* ----------------------------------------------------------- fault points */

#ifdef KMQ_FAULTS

static point_t *
point_find(const char *name)
{
    unsigned  i;

    for (i = 0; i < atomic_load(&S->npoints); i++) {
        if (strcmp(S->point[i].name, name) == 0) {
            return &S->point[i];
        }
    }

    return NULL;
}


static point_t *
point_named(const char *name)
{
    unsigned  n;
    point_t  *point;

    point = point_find(name);

    if (point == NULL) {
        while (atomic_exchange(&S->naming, 1)) { /* void */ }

        point = point_find(name);
        n = atomic_load(&S->npoints);

        if (point == NULL && n < POINTS) {
            point = &S->point[n];
            snprintf(point->name, POINT_LEN, "%s", name);
            atomic_store(&S->npoints, n + 1);
        }

        atomic_store(&S->naming, 0);
    }

    return point;
}


static void
die(void)
{
    atomic_store(&S->dead[life], 1);
    (void) kill(getpid(), SIGKILL);

    for ( ;; ) {
        (void) pause();
    }
}


static void
fault(const char *name)
{
    point_t  *point;

    point = point_named(name);

    if (point == NULL) {
        return;
    }

    atomic_fetch_add(&point->hits, 1);

    if (plan_name && strcmp(plan_name, name) == 0 && --plan_left == 0) {
        atomic_fetch_add(&point->kills, 1);
        die();
    }
}


/* Enters the points that one source file names. */
static unsigned
points_of_file(const char *path)
{
    char      line[256], name[POINT_LEN], *p;
    FILE     *file;
    unsigned  n;

    file = fopen(path, "r");
    n = 0;

    while (file && fgets(line, sizeof(line), file)) {
        p = strstr(line, "KMQ_POINT(\"");

        if (p && sscanf(p, "KMQ_POINT(\"%31[^\"]", name) == 1) {
            (void) point_named(name);
            n++;
        }
    }

    if (file) {
        fclose(file);
    }

    return n;
}


static unsigned  named;            /* points that the sources name */


static int
points_entry(const char *path, const struct stat *st, int type,
    struct FTW *ftw)
{
    (void) st;
    (void) ftw;

    if (type == FTW_F) {
        named += points_of_file(path);
    }

    return 0;
}


/* Which points there are, from the sources in all rooms of the engine. */
static void
points_read(void)
{
    char  path[1024], *slash;

    snprintf(path, sizeof(path), "%s", __FILE__);
    slash = strrchr(path, '/');
    slash = slash ? slash + 1 : path;
    strcpy(slash, "../../src/engine");

    (void) nftw(path, points_entry, 8, FTW_PHYS);

    ok(named, "the engine's sources name fault points");
}

#endif


/* ---------------------------------------------------------------- a child */

static uint32_t
below(uint32_t n)
{
    return eu_below(&chance, n);
}


static size_t
body_make(char *body, uint32_t id)
{
    size_t    size;
    uint64_t  r;

    r = id;
    size = 8 + eu_below(&r, 100);

    if (eu_below(&r, 30) == 0) {
        size += eu_below(&r, 20000);
    }

    memcpy(body, &id, sizeof(id));
    eu_fill(body + sizeof(id), size - sizeof(id), id);

    return size;
}


/* Which message this is; MESSAGES when it is damaged. */
static uint32_t
body_check(const kmq_message_t *m)
{
    size_t       len;
    uint32_t     id;
    static char  got[32768], want[32768];

    len = eu_body(kmq, m, got, sizeof(got));
    memcpy(&id, got, sizeof(id));

    if (len < sizeof(id) || len > sizeof(got) || id >= MESSAGES
        || body_make(want, id) != len || memcmp(got, want, len) != 0)
    {
        complain("a body of %zu bytes is damaged", len);
        return MESSAGES;
    }

    return id;
}


/* Messages have been committed: some may be deleted. */
static void
committed(const kmq_message_t *m, uint32_t id, unsigned n)
{
    unsigned  i;

    for (i = 0; i < n; i++) {
        atomic_fetch_or(&S->state[id + i], COMMITTED);
        recent[nrecent % RECENT].id = id + i;
        kmq_code(kmq, &m[i], recent[nrecent++ % RECENT].code);
    }
}


static void
do_publish(void)
{
    unsigned        i, n, topic;
    uint32_t        id[8];
    static char     body[32768];
    kmq_message_t   m[8];

    topic = below(TOPICS);
    n = 1 + below(8);
    memset(m, 0, sizeof(m));

    for (i = 0; i < n; i++) {
        id[i] = atomic_fetch_add(&S->nmessages, 1);

        if (id[i] >= MESSAGES) {
            return;
        }

        m[i].size = (uint32_t) body_make(body, id[i]);
        m[i].delay_time = below(4) ? 0 : 1 + below(5);
    }

    if (producer[topic]) {
        n = kmq_reserve(kmq, producer[topic], m, n, NULL);

    } else if (kmq_reserve_to(kmq, topic_name[topic], 1, m) == KMQ_OK) {
        n = 1;

    } else {
        n = 0;
    }

    for (i = 0; i < n; i++) {
        kmq_write(kmq, &m[i], body, body_make(body, id[i]));
    }

    /* as where nobody may see them before they are on disk */

    if (n && below(2) && kmq_accept(kmq, m, n) != KMQ_OK) {
        complain("no memory for the journal");
    }

    if (n && below(10) == 0) {
        kmq_discard(kmq, &m[--n], 1);
    }

    for (i = 0; i < n; i++) {
        atomic_store(&S->state[id[i]], INTENT);
    }

    kmq_commit(kmq, m, n);

    for (i = 0; i < n; i++) {
        committed(&m[i], id[i], 1);
    }
}


/* Messages of several topics, all of them or none; committed in parts. */
static void
do_publish_batch(void)
{
    unsigned            i, n, part;
    uint32_t            id;
    uint64_t            batch;
    static char         body[32768];
    kmq_message_t       m[BATCH];
    kmq_topic_name_t    topics[BATCH];

    n = 2 + below(BATCH - 1);
    id = atomic_fetch_add(&S->nmessages, n);

    if (id + n > MESSAGES) {
        return;
    }

    memset(m, 0, sizeof(m));

    for (i = 0; i < n; i++) {
        topics[i].bytes = topic_name[below(3) ? 0 : below(TOPICS)];
        topics[i].len = 1;
        m[i].size = (uint32_t) body_make(body, id + i);
        m[i].delay_time = below(4) ? 0 : 1 + below(5);
    }

    if (kmq_reserve_batch(kmq, topics, m, n, &batch) != KMQ_OK) {
        return;
    }

    for (i = 0; i < n; i++) {
        kmq_write(kmq, &m[i], body, body_make(body, id + i));
    }

    if (below(2) && kmq_accept(kmq, m, n) != KMQ_OK) {
        complain("no memory for the journal");
    }

    if (below(10) == 0) {
        kmq_discard(kmq, m, n);
        return;
    }

    for (i = 0; i < n; i++) {
        atomic_store(&S->state[id + i], INTENT);
    }

    atomic_store(&S->batch[id], (unsigned char) n);

    kmq_batch_decide(kmq, batch);

    for (i = 0; i < n; i += part) {
        part = 1 + below(n - i);
        kmq_commit(kmq, m + i, part);
    }

    kmq_batch_end(kmq);
    committed(m, id, n);
}


/* A message was pushed to a consumer of this process: may it have been? */
static void
got(consumer_t *c, const kmq_message_t *m)
{
    unsigned  owner;
    uint32_t  id, i;

    id = body_check(m);

    if (id == MESSAGES || c->n == FLIGHT) {
        return;
    }

    if (push_type == KMQ_PUSH_ONE) {
        if (atomic_load(&S->state[id]) & CONFIRMED) {
            complain("message %u was consumed and comes again", id);
        }

        owner = atomic_exchange(&S->owner[id], life);

        if (owner && !relaxed && !atomic_load(&S->dead[owner])) {
            complain("message %u is still with life %u", id, owner);
        }
    }

    for (i = 0; i < c->n; i++) {
        if (c->id[i] == id) {

            if (!relaxed) {
                complain("message %u is in flight with this consumer", id);
            }

            return;
        }
    }

    if (c->had[id]) {
        complain("message %u was confirmed by this consumer", id);
    }

    c->id[c->n] = id;
    kmq_code(kmq, m, c->code[c->n]);
    c->position[c->n++] = m->position;
}


/* Some of what the one that pulls got, anybody may settle.  Who reads a code
 * that is just being written has one of nobody. */
static void
apart_got(const kmq_batch_t *b, const kmq_run_t *run)
{
    unsigned  i, n;

    for (i = 0; i < run->count; i++) {
        n = atomic_fetch_add(&S->ncodes, 1) % CODES;
        kmq_code(kmq, &b->messages[run->first + i], S->code[n]);
    }
}


static void
do_take(void)
{
    unsigned      i, k;
    kmq_run_t    *run;
    consumer_t   *c;
    kmq_batch_t  *b;

    b = eu_take(kmq);

    for (i = 0; b && i < b->nruns; i++) {
        run = &b->runs[i];
        c = run->user;

        if (run->user == &apart) {
            apart_got(b, run);
            continue;
        }

        if (c < consumer || c >= consumer + CONSUMERS
            || c->ref != run->client)
        {
            complain("a run of nobody");
            continue;
        }

        for (k = 0; k < run->count; k++) {
            got(c, &b->messages[run->first + k]);
        }
    }
}


/* The first n of a consumer's messages are done with. */
static void
forget(consumer_t *c, unsigned n)
{
    c->n -= n;
    memmove(c->id, c->id + n, c->n * sizeof(c->id[0]));
    memmove(c->position, c->position + n, c->n * sizeof(c->position[0]));
    memmove(c->code, c->code + n, c->n * sizeof(c->code[0]));
}


static void
confirmed(consumer_t *c, unsigned i)
{
    atomic_fetch_or(&S->state[c->id[i]], CONFIRMED);
    atomic_fetch_add(&S->confirms[c->id[i]], 1);
    c->had[c->id[i]] = 1;
}


/* The first of a consumer's messages, which it may have no more. */
static void
do_confirm_code(consumer_t *c)
{
    atomic_fetch_or(&S->state[c->id[0]], CONFIRMING);

    if (kmq_confirm_codes(kmq, c->ref, c->code[0], 1) == 1) {
        atomic_store(&S->owner[c->id[0]], 0);
        confirmed(c, 0);
    }

    forget(c, 1);
}


/* Gives the first of its messages back, or needs more time. */
static void
do_return(void)
{
    int64_t      delay;
    consumer_t  *c;

    c = &consumer[below(CONSUMERS)];
    delay = below(2) ? KMQ_BACK_OFF : (int64_t) below(3);

    if (c->ref == 0 || c->n == 0) {
        return;
    }

    if (below(2)) {
        (void) kmq_extend_codes(kmq, c->ref, c->code[0], 1);
        return;
    }

    if (push_type == KMQ_PUSH_ONE) {
        atomic_store(&S->owner[c->id[0]], 0);

        if (kmq_return_codes(kmq, c->ref, c->code[0], 1, delay) != 1
            && !relaxed)
        {
            complain("what is in flight cannot be given back");
        }

        forget(c, 1);

    } else if (relaxed) {
        (void) kmq_return_codes(kmq, c->ref, c->code[0], 1, delay);
    }
}


static void
do_delete(void)
{
    recent_t  *m;

    if (nrecent == 0) {
        return;
    }

    m = &recent[below(nrecent < RECENT ? nrecent : RECENT)];
    atomic_fetch_or(&S->state[m->id], DELETING);

    if (kmq_delete(kmq, m->code) == KMQ_OK) {
        atomic_fetch_or(&S->state[m->id], DELETED);
    }
}


static void
do_requeue(void)
{
    (void) kmq_requeue_topic(kmq, topic_name[below(TOPICS)], 1, 3);
}


static void
apart_info(kmq_client_info_t *info)
{
    memset(info, 0, sizeof(kmq_client_info_t));
    info->role = KMQ_CONSUMER;
    info->prefetch = 1 + below(40);
    info->by_code = 1;
    info->pull = below(2);
    info->settles = !info->pull;
    info->topic_len = strlen(APART);
    memcpy(info->topic, APART, info->topic_len);
    info->id_len = 1;
    info->id[0] = (char) ('a' + below(3));
}


static void
apart_publish(void)
{
    unsigned       i;
    kmq_message_t  m;

    for (i = below(8); i; i--) {
        memset(&m, 0, sizeof(m));
        m.size = 1 + below(100);

        if (kmq_reserve_to(kmq, APART, strlen(APART), &m) == KMQ_OK) {
            kmq_commit(kmq, &m, 1);
        }
    }
}


static void
apart_begin(void)
{
    uint64_t  number;

    if (!apart_pulls) {
        kmq_park(kmq, apart, below(6), charged && below(2));

    } else {
        number = kmq_lease(kmq, apart, 1 + below(6));

        if (number == 0) {
            kmq_leave(kmq, apart, 0);

        } else if (below(4) == 0) {
            kmq_lease_cancel(kmq, apart, number);
        }
    }

    apart = 0;
}


static void
apart_settle(void)
{
    char           codes[8][KMQ_CODE_LEN], id;
    uint8_t        result[8];
    unsigned       i, n, x;
    kmq_settle_t   settle;

    memset(&settle, 0, sizeof(settle));
    id = (char) ('a' + below(3));

    for (i = 0; i < 8; i++) {
        memcpy(codes[i], S->code[below(CODES)], KMQ_CODE_LEN);
    }

    settle.codes = codes[0];
    settle.n = 1 + below(8);
    settle.id = &id;
    settle.id_len = below(2);
    settle.result = result;
    x = below(4);

    n = x < 2 ? kmq_settle_confirm(kmq, &settle)
        : x == 2 ? kmq_settle_extend(kmq, &settle)
        : kmq_settle_return(kmq, &settle, (int) below(4) - 1);

    for (i = 0; i < settle.n; i++) {
        n -= result[i] == KMQ_SETTLE_DONE;
    }

    if (n != 0) {
        complain("the results of settling are others than their number");
    }
}


/* Consumers that are leased or parked, and what is settled of theirs. */
static void
do_apart(void)
{
    unsigned            x;
    kmq_client_info_t   info;

    x = below(10);

    if (x < 2) {
        apart_publish();

    } else if (x < 5) {
        apart_settle();

    } else if (apart == 0) {
        apart_info(&info);
        apart_pulls = info.pull;

        if (info.settles) {
            apart = kmq_resume(kmq, &info, &apart,
                               below(3) ? S->code[below(CODES)] : NULL);
        }

        if (apart == 0) {
            apart = kmq_join(kmq, &info, &apart);
        }

        if (apart) {
            kmq_set_ready(kmq, apart, 1);
        }

    } else if (x < 9) {
        apart_begin();

    } else {
        kmq_leave(kmq, apart, charged && below(2));
        apart = 0;
    }
}


/* What a topic of its own is for the next consumer. */
static void
typed(void *arg, const char *name, size_t len,
    kmq_topic_settings_t *own)
{
    (void) arg;

    if (len == 5 && memcmp(name, "typed", 5) == 0) {
        own->push_type = 1 + below(2);
    }
}


/* Consumers come and go while the topic's type changes. */
static void
do_types(void)
{
    unsigned   i;
    kmq_ref_t  c[4];

    for (i = 0; i < 4; i++) {
        settings.topic_own = typed;
        kmq_configure(kmq, &settings);
        c[i] = eu_consumer(kmq, "typed", 5, NULL);
    }

    for (i = 0; i < 4; i++) {
        if (c[i]) {
            kmq_leave(kmq, c[i], 0);
        }
    }
}


/* All of a consumer's messages but some, which stay for longer. */
static void
do_confirm_most(consumer_t *c)
{
    unsigned  i, n, keep;

    n = 0;
    keep = 2 + below(10);

    for (i = 0; i < c->n; i++) {

        if (i % keep) {
            atomic_fetch_or(&S->state[c->id[i]], CONFIRMING);
            atomic_store(&S->owner[c->id[i]], 0);

            if (kmq_confirm_codes(kmq, c->ref, c->code[i], 1) != 1) {
                complain("a message in flight cannot be confirmed");
            }

            confirmed(c, i);
            continue;
        }

        c->id[n] = c->id[i];
        c->position[n] = c->position[i];
        memmove(c->code[n], c->code[i], KMQ_CODE_LEN);
        n++;
    }

    c->n = n;
}


static void
do_confirm(void)
{
    unsigned     i, n, done;
    consumer_t  *c;

    c = &consumer[below(CONSUMERS)];

    if (c->ref == 0 || c->n == 0) {
        return;
    }

    if (relaxed) {
        do_confirm_code(c);
        return;
    }

    if (c->n > FLIGHT / 2 || below(8) == 0) {
        do_confirm_most(c);
        return;
    }

    n = 1 + below(c->n);

    for (i = 0; i < n; i++) {
        atomic_fetch_or(&S->state[c->id[i]], CONFIRMING);
        atomic_store(&S->owner[c->id[i]], 0);
    }

    done = kmq_confirm_upto(kmq, c->ref, c->position[n - 1]);

    if (done != n) {
        complain("%u confirmed, not %u", done, n);
    }

    for (i = 0; i < n; i++) {
        confirmed(c, i);
    }

    forget(c, n);
}


static void
do_join(void)
{
    unsigned     topic;
    consumer_t  *c;

    topic = below(TOPICS);

    if (below(3) == 0) {
        if (producer[topic]) {
            kmq_leave(kmq, producer[topic], 0);
            producer[topic] = 0;
        } else {
            producer[topic] = eu_producer(kmq, topic_name[topic]);
        }

        return;
    }

    c = &consumer[below(CONSUMERS)];

    if (c->ref == 0) {
        c->n = 0;
        c->topic = topic;
        c->had = realloc(c->had, MESSAGES);
        memset(c->had, 0, MESSAGES);
        c->ref = eu_consumer(kmq, topic_name[topic], 1 + below(FLIGHT), c);
        return;
    }

    if (below(3) == 0) {
        kmq_set_ready(kmq, c->ref, (int) below(2));
    }
}


static void
consumer_leave(consumer_t *c)
{
    unsigned   i;
    kmq_ref_t  ref;

    for (i = 0; i < c->n; i++) {
        atomic_store(&S->owner[c->id[i]], 0);
    }

    ref = c->ref;
    c->ref = 0;
    c->n = 0;
    kmq_leave(kmq, ref, charged && below(2));
}


static void
do_leave(void)
{
    consumer_t  *c;

    c = &consumer[below(CONSUMERS)];

    if (c->ref) {
        consumer_leave(c);
    }
}


/* Whom another worker has disconnected. */
static void
do_close(void)
{
    int          why;
    consumer_t  *c;

    while ((c = kmq_to_close(kmq, &why)) != NULL) {

        if ((void *) c == &apart && apart) {
            kmq_leave(kmq, apart, 0);
            apart = 0;
            continue;
        }

        if (c->ref == 0 || (why != KMQ_DISCONNECTED && why != KMQ_TOO_SLOW)) {
            complain("a consumer is to be closed, why %d", why);
            return;
        }

        consumer_leave(c);
    }
}


/* A consumer of any worker, among the first ones, shall go. */
static void
do_disconnect(void)
{
    unsigned            n;
    uint64_t            cursor;
    kmq_client_info_t   info[4];

    cursor = 0;
    n = kmq_clients(kmq, KMQ_CONSUMER, &cursor, info, 4);

    if (n) {
        n = below(n);
        (void) kmq_disconnect(kmq, info[n].ref, info[n].number);
    }
}


/* Looks at all there is, as a monitoring would, and says that it lives. */
static void
do_watch(void)
{
    unsigned           i, n;
    uint64_t           cursor;
    kmq_latency_t      latency;
    kmq_period_t       period[60];
    kmq_topic_info_t   info[16];

    cursor = 0;

    while ((n = kmq_topics(kmq, &cursor, info, 16)) != 0) {
        for (i = 0; i < n; i++) {
            if (info[i].name_len == 0
                || (info[i].push_type != KMQ_PUSH_ONE
                    && info[i].push_type != KMQ_PUSH_ALL)
                || info[i].in_flight > MESSAGES)
            {
                complain("a topic is told that is none");
            }
        }
    }

    kmq_growth(kmq, KMQ_UNIT_MINUTE, period, 60);
    kmq_latency(kmq, &latency);

    for (i = 0; i < CONSUMERS; i++) {
        if (consumer[i].ref) {
            kmq_seen(kmq, consumer[i].ref, 0);
        }
    }

    for (i = 0; i < TOPICS; i++) {
        if (producer[i]) {
            kmq_seen(kmq, producer[i], 1);
        }
    }
}


/* Deletes what a query finds. */
static void
purge(int status, const char *topic)
{
    uint64_t     cursor, deleted;
    kmq_query_t  q;

    memset(&q, 0, sizeof(q));
    q.status = status;
    q.topic = topic;
    q.topic_len = strlen(topic);
    q.to = UINT32_MAX;
    cursor = 0;
    deleted = 0;

    do {
        kmq_purge(kmq, &q, &cursor, &deleted);
    } while (cursor);
}


/* What nobody asks for, or what has been consumed. */
static void
do_purge(void)
{
    unsigned       i;
    kmq_message_t  m[3];

    if (below(2)) {
        purge(KMQ_STATUS_CONSUMED, topic_name[below(TOPICS)]);
        return;
    }

    memset(m, 0, sizeof(m));

    for (i = 0; i < 3; i++) {
        m[i].size = 1 + below(5000);
        m[i].delay_time = below(3);

        if (kmq_reserve_to(kmq, WASTE, strlen(WASTE), &m[i]) != KMQ_OK) {
            break;
        }

        kmq_commit(kmq, &m[i], 1);
    }

    if (below(2)) {
        purge(KMQ_STATUS_ANY, WASTE);
    }
}


/* As weeks later, when nothing has to be kept of what is counted by time. */
static void
do_age(void)
{
    unsigned  i;

    kmq_clock(kmq, kmq->mono, kmq->wall + 30 * UINT64_C(86400000));

    for (i = 0; i < kmq->block->nshards; i++) {
        kmq_lock(kmq, KMQ_SHARD(kmq->block, i));
        kmq->check |= KMQ_BIT(kmq->shard);
        while (kmq_expire_run(kmq)) { /* void */ }
        kmq_unlock(kmq);
    }

    clock_tell();
}


/* Topics of many names, some of them long, come and go, so that some must be
 * forgotten. */
static void
do_visit(void)
{
    char       name[KMQ_NAME_MAX];
    unsigned   i;
    kmq_ref_t  p;

    for (i = 0; i < 40; i++) {
        sprintf(name, "visited %*u", below(2) ? 200 : 1, below(1000000));
        p = eu_producer(kmq, name);

        if (p) {
            kmq_leave(kmq, p, 0);
        }
    }
}


/* What the journal has gathered is taken; now and then all is gone through. */
static void
do_journal(void)
{
    int                  more;
    kmq_buffer_t         buffer;
    kmq_checkpoint_t     cp;
    kmq_journal_info_t   info;

    memset(&buffer, 0, sizeof(buffer));

    if (kmq_journal_take(kmq, &buffer, &info) == 0) {
        return;
    }

    kmq_journal_written(kmq, buffer.len);

    if (below(20) == 0
        && kmq_checkpoint_begin(kmq, &cp, &buffer) == KMQ_OK)
    {
        do {
            buffer.len = 0;
            more = kmq_checkpoint_next(kmq, &cp, &buffer);
        } while (more == 1);

        if (more == 0) {
            kmq_checkpoint_end(kmq, &cp, 1);
        }
    }

    kmq_buffer_free(&buffer);
}


static void
do_something(void)
{
    unsigned  x;

    x = below(1115);

    if (x < 310) {
        do_publish();

    } else if (x < 350) {
        do_publish_batch();

    } else if (x < 650) {
        do_take();

    } else if (x < 820) {
        do_confirm();

    } else if (x < 850) {
        do_return();

    } else if (x < 870) {
        do_delete();

    } else if (x < 880) {
        do_requeue();

    } else if (x < 960) {
        do_join();

    } else if (x < 980) {
        do_leave();

    } else if (x < 995) {

        if (below(6) == 0) {
            do_age();
        }

        (void) kmq_tick(kmq);
        do_close();
        do_journal();

    } else if (x < 997) {
        do_types();

    } else if (x < 1000) {
        do_visit();

    } else if (x < 1004) {
        do_disconnect();

    } else if (x < 1009) {
        do_watch();

    } else if (x < 1109) {
        do_apart();

    } else {
        do_purge();
    }
}


__attribute__((noreturn)) static void
child_main(unsigned worker, unsigned steps)
{
    unsigned  i;
    uint64_t  mask[KMQ_WORKERS / 64];

    /* ends a child that hangs; the parent complains of its status */

    (void) alarm(HANGS);

#ifdef KMQ_FAULTS
    kmq_fault = fault;
#endif

    kmq = kmq_attach(block, SIZE, worker);

    if (kmq == NULL) {
        complain("worker %u cannot attach", worker);
        _exit(1);
    }

    clock_tell();
    kmq_journal(kmq, 1);

    for (i = 0; i < steps; i++) {
        clock_tell();
        do_something();
        (void) kmq_wakes(kmq, mask);
    }

    /* half of them leave in peace, the others let the handle do it */

    while (below(2) && i < steps + 100) {
        do_leave();
        i++;
    }

    for (i = 0; i < CONSUMERS; i++) {
        while (consumer[i].n) {
            atomic_store(&S->owner[consumer[i].id[--consumer[i].n]], 0);
        }
    }

    kmq_detach(kmq);
    _exit(0);
}


/* --------------------------------------------------------------- a round */

/* Is there a point at which nobody has died yet? */
static int
points_left(void)
{
    unsigned  i;

    for (i = 0; i < atomic_load(&S->npoints); i++) {
        if (S->point[i].kills == 0) {
            return 1;
        }
    }

    return 0;
}


/* The point that has been tried least, among some drawn at random. */
static point_t *
point_choose(uint64_t *r)
{
    unsigned  i, n;
    point_t  *point, *best;

    best = NULL;
    n = atomic_load(&S->npoints);

    for (i = 0; n && i < 4; i++) {
        point = &S->point[eu_below(r, n)];

        if (best == NULL
            || point->plans + 3 * point->kills < best->plans + 3 * best->kills)
        {
            best = point;
        }
    }

    return best;
}


/* Where another one has to die so that somebody comes to that point; NULL:
 * anywhere. */
static point_t *
point_before(const point_t *point)
{
    unsigned  i;

    if (point == NULL || strcmp(point->name, "batch-reap") != 0) {
        return NULL;
    }

    for (i = 0; i < atomic_load(&S->npoints); i++) {
        if (strcmp(S->point[i].name, "batch-decided") == 0) {
            return &S->point[i];
        }
    }

    return NULL;
}


static pid_t
child_start(unsigned worker, point_t *point, unsigned nth, uint64_t *r)
{
    pid_t            pid;
    uint64_t         seed;
    static unsigned  lives;

    seed = eu_rand(r);
    lives++;
    fflush(stdout);
    pid = fork();

    if (pid == 0) {
        life = lives;
        chance = seed;
        plan_name = point ? point->name : NULL;
        plan_left = nth;
        child_main(worker, 150 + below(300));
    }

    if (pid < 0) {
        perror("fork");
        exit(2);
    }

    return pid;
}


/* How deep into its life a child dies at the point. */
static unsigned
point_depth(point_t *point, unsigned lives, uint64_t *r)
{
    unsigned  usual;

    usual = atomic_load(&point->hits) / (lives ? lives : 1);

    return 1 + (eu_below(r, 3) ? eu_below(r, usual + 1) : 0);
}


/* Lets children work and die; returns how many were killed. */
static unsigned
round_run(uint64_t *r, unsigned round)
{
    int               status;
    pid_t             pid[CHILDREN + 1];
    point_t          *point, *first;
    unsigned          i, k, killed;
    static unsigned   lives;

    first = NULL;

    for (i = 0; i < CHILDREN; i++) {
        point = NULL;

        if (round % 4 && i < 2) {
            point = i ? point_before(first) : NULL;
            point = point ? point : point_choose(r);
            first = i ? first : point;
        }

        if (point) {
            point->plans++;
        }

        lives++;
        pid[i] = child_start(i + 1, point,
                             point ? point_depth(point, lives, r) : 0, r);
    }

    if (round % 4 == 0) {
        usleep(eu_below(r, 12000));
        (void) kill(pid[eu_below(r, CHILDREN)], SIGKILL);
    }

    for (i = 0, killed = 0, k = CHILDREN; i < k; i++) {
        while (waitpid(pid[i], &status, 0) < 0 && errno == EINTR) {
            /* void */
        }

        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
            killed++;

            /* sometimes another one takes the dead one's place */

            if (k == CHILDREN && eu_below(r, 2)) {
                lives++;
                pid[k++] = child_start(i + 1, NULL, 0, r);
            }

        } else if (status != 0) {
            complain("a child ended with status %x", (unsigned) status);
        }
    }

    return killed;
}


/* Takes what is left in the block; counts it in left[]. */
static void
round_drain(unsigned char *left)
{
    unsigned       i, idle;
    uint32_t       id;
    kmq_ref_t      c[TOPICS];
    kmq_batch_t   *b;
    kmq_counts_t   n;

    purge(KMQ_STATUS_ANY, WASTE);

    /* those that are apart have but a few milliseconds */

    for (n = eu_count(kmq); n.leases || n.parked; n = eu_count(kmq)) {
        clock_tell();
        (void) kmq_tick(kmq);

        if (eu_take(kmq) != NULL) {
            complain("nobody is there to be pushed something");
        }
    }

    purge(KMQ_STATUS_ANY, APART);

    for (i = 0; i < TOPICS; i++) {
        c[i] = eu_consumer(kmq, topic_name[i], 1000, NULL);
    }

    for (idle = 0, n = eu_count(kmq); idle < 3 || n.delayed || n.retrying;
         idle++, n = eu_count(kmq))
    {
        clock_tell();

        for (i = 0; i < TOPICS; i++) {
            while (kmq_requeue_topic(kmq, topic_name[i], 1, 10) == 10) {
                /* void */
            }
        }

        while ((b = eu_take(kmq)) != NULL) {

            for (i = 0; i < b->nmessages; i++) {
                id = body_check(&b->messages[i]);

                if (id < MESSAGES) {
                    left[id]++;
                }
            }

            (void) eu_confirm(kmq, b);
            idle = 0;
        }

        (void) kmq_tick(kmq);
    }

    for (i = 0; i < TOPICS; i++) {
        kmq_leave(kmq, c[i], 0);
    }
}


/* Nothing of this round stays in the block. */
static void
round_purge(void)
{
    unsigned     n;
    uint64_t     cursor, deleted;
    kmq_query_t  all;

    memset(&all, 0, sizeof(all));
    all.status = KMQ_STATUS_ANY;
    all.to = UINT32_MAX;
    cursor = 0;
    deleted = 0;

    do {
        kmq_purge(kmq, &all, &cursor, &deleted);
    } while (cursor);

    /* large bodies are freed in parts */

    for (n = 0; n < 100; n++) {
        (void) kmq_tick(kmq);
    }
}


/* All of a batch came in, or none. */
static void
batch_check(const unsigned char *left, unsigned first, unsigned n)
{
    unsigned  i, came;

    for (i = 0, came = 0; i < n; i++) {
        came += left[first + i]
                || atomic_load(&S->state[first + i]) & (CONFIRMING|DELETING);
    }

    if (came && came < n) {
        complain("%u of a batch of %u came, from %u on", came, n, first);
    }

    nbatches += came == n;
    ncut += came != n;
}


/* Compares the log with what was left. */
static void
round_check(const unsigned char *left, unsigned n)
{
    unsigned  id, state;

    for (id = 0; id < n; id++) {
        state = atomic_load(&S->state[id]);

        if (atomic_load(&S->batch[id])) {
            batch_check(left, id, atomic_load(&S->batch[id]));
        }

        if (left[id] > 1) {
            complain("message %u was left %u times", id, left[id]);
        }

        if (left[id] && !(state & INTENT)) {
            complain("message %u was never committed, and comes", id);
        }

        if (left[id] && (state & CONFIRMED)) {
            complain("message %u was consumed, and comes", id);
        }

        if (left[id] && (state & DELETED)) {
            complain("message %u was deleted, and comes", id);
        }

        if (!left[id] && (state & COMMITTED)
            && !(state & (CONFIRMING|DELETING)))
        {
            complain("message %u was accepted, and is lost", id);
        }

        if (push_type == KMQ_PUSH_ONE
            && atomic_load(&S->confirms[id]) > 1)
        {
            complain("message %u was confirmed %u times", id,
                     atomic_load(&S->confirms[id]));
        }
    }
}


/* What the block says when everybody is gone; returns its free memory. */
static uint64_t
round_end(const char *when)
{
    unsigned              n;
    kmq_counts_t          c;
    static unsigned char  left[MESSAGES];

    (void) kmq_tick(kmq);

    if (!eu_verify(kmq, when)) {
        complain("%s: the block is not sound", when);
    }

    n = atomic_load(&S->nmessages);
    n = n < MESSAGES ? n : MESSAGES;
    memset(left, 0, sizeof(left));

    c = eu_count(kmq);

    if (c.consumers || c.producers) {
        complain("%llu consumers and %llu producers stay behind",
                 (unsigned long long) c.consumers,
                 (unsigned long long) c.producers);
    }

    round_drain(left);
    round_check(left, n);
    round_purge();

    if (!eu_verify(kmq, "drained")) {
        complain("%s: the drained block is not sound", when);
    }

    c = eu_count(kmq);

    if (c.ready || c.delayed || c.retrying || c.in_flight || c.consumed
        || c.dead)
    {
        complain("%s: %llu ready, %llu delayed, %llu retrying, %llu in flight, "
                 "%llu consumed, %llu dead stay", when,
                 (unsigned long long) c.ready,
                 (unsigned long long) c.delayed,
                 (unsigned long long) c.retrying,
                 (unsigned long long) c.in_flight,
                 (unsigned long long) c.consumed,
                 (unsigned long long) c.dead);
    }

    memset(S->state, 0, n);
    memset(S->confirms, 0, n);
    memset(S->owner, 0, n * sizeof(S->owner[0]));
    memset(S->batch, 0, n);
    atomic_store(&S->nmessages, 0);

    return c.bytes_free;
}


static void
report_points(void)
{
    unsigned  i, n, hit, killed;

    n = atomic_load(&S->npoints);

    for (i = 0, hit = 0, killed = 0; i < n; i++) {
        diag("%-20s %9u times, %4u deaths", S->point[i].name,
             S->point[i].hits, S->point[i].kills);
        hit += S->point[i].hits > 0;
        killed += S->point[i].kills > 0;
    }

    is_int(hit, n, "every fault point was reached");
    is_int(killed, n, "and somebody died at each");
}


int
main(void)
{
    char             when[64];
    uint64_t         seed, r, bytes, first, least;
    unsigned         i, rounds, killed;

#ifndef KMQ_FAULTS
    skip_all("built without -DKMQ_FAULTS");
#endif

    seed = eu_env("KMQ_SEED", (uint64_t) time(NULL));
    rounds = (unsigned) eu_env("KMQ_ROUNDS", 300);
    diag("KMQ_SEED=%llu KMQ_ROUNDS=%u", (unsigned long long) seed, rounds);

    /* one shard, or eight */

#ifdef KMQ_FAULTS
    kmq_shard_pages = seed % 4 ? 64 : 384;
#endif

    S = eu_map(sizeof(shared_t));
    block = eu_block(SIZE);
    kmq = eu_attach(block, SIZE, 0);
#ifdef KMQ_FAULTS
    points_read();
#endif
    r = seed;
    first = least = 0;

    for (i = 0, killed = 0;
         i < rounds || (points_left() && i < 20 * rounds);
         i++)
    {
        (void) alarm(3 * HANGS);
        push_type = i % 2 ? KMQ_PUSH_ONE : KMQ_PUSH_ALL;
        relaxed = i % 4 >= 2;
        settings = eu_settings(push_type);
        settings.waiting_max = i % 3 ? 100000 : 50;
        settings.keep_consumed = i % 5 < 2;
        settings.topic.retry_time = relaxed && i % 8 >= 6 ? 3 : 0;
        settings.topic.max_deliveries = relaxed ? 1 + i % 2 : 0;
        charged = i % 16 < 12;
        settings.topic.retry_delay = charged ? 2 : 0;
        settings.topic.retry_delay_max = charged ? 9 : 0;
        kmq_configure(kmq, &settings);

        /* the children among themselves choose a keeper */

        kmq_detach(kmq);
        killed += round_run(&r, i);
        kmq = eu_attach(block, SIZE, 0);

        sprintf(when, "round %u", i);
        bytes = round_end(when);
        first = i == rounds / 5 ? bytes : first;
        least = i == rounds / 5 || bytes < least ? bytes : least;

        if (S->errors) {
            break;
        }
    }

    is_int(S->errors, 0, "%u rounds, %u processes killed: nothing wrong", i,
           killed);
    ok(nbatches && ncut, "%u batches came in, all of them; %u not at all",
       nbatches, ncut);
    ok(killed >= rounds / 4, "many were killed");
    ok(eu_count(kmq).repairs >= rounds / 8, "the block was repaired %llu "
       "times", (unsigned long long) eu_count(kmq).repairs);
    ok(least + 8 * 8192 >= first, "no memory is lost: %llu free, were %llu",
       (unsigned long long) least, (unsigned long long) first);
    report_points();

    eu_close(kmq, block, SIZE, "processes");

    return done_testing();
}
