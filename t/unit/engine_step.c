/*
 * A process changes a block, one instruction at a time.  After each of them
 * that changed it under a lock, the block is copied as if the process had
 * died there, and the copy is repaired: it must be sound, and each message must
 * be where it was before the call, or where it is after it.
 *
 *     KMQ_SEED=n   repeats a run       KMQ_STATES=n   how many to repair
 *     KMQ_SHARDS=n   1, 2 or 4, of which the block consists
 *
 * The process is traced.  It stops before each call, and when it has a lock;
 * from there on it goes by single steps until it has none.  Now and then
 * it is killed, the block becomes one of the states that were seen, and the
 * next process repairs that, by single steps, too.
 */

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <elf.h>
#include <unistd.h>

#include "engine_inside.h"


#define STATES      3000
#define WALL        UINT64_C(1640975470000)
#define OBSERVER    5              /* worker that looks at copies */
#define WORKERS     2              /* of which the process is one */
#define MUTEXES     (WORKERS + 1 + KMQ_SHARDS)
#define CHUNK       1024           /* bytes that are compared at once */
#define FULL        32             /* steps between looks at all chunks */
#define OFTEN       12             /* the same instruction in one call, before
                                      only some of its states are looked at */
#define SOME        24
#define PLACES      65536
#define MESSAGES    4096
#define CONSUMERS   4
#define FLIGHT      64
#define BODY_MAX    9500
#define LIFE        40             /* calls of a process, on average */
#define MOOD        100            /* calls */
#define CHAIN       36             /* messages */
#define EXTRA       (8 * 8192)     /* bytes more than the smallest block has */
#define HANGS       1800           /* s */

/* why the process has stopped */
typedef enum {
    CALL = 1,                      /* before a call of the engine */
    LOCKED
} event_t;

/* Shared by both processes. */
typedef struct {
    volatile event_t     event;
    volatile int         held;     /* so many locks the process has, */
    volatile int         tries[MUTEXES]; /* and these mutexes, perhaps */
    const char          *call;     /* at the same address in both */
    uint64_t             calls;
    uint64_t             chance;
    uint64_t             mono;
    uint32_t             id;       /* of the last message */

    /* for whoever asks after a crash of the observer */
    uint64_t             states;
    int                  done;
} shared_t;

/* A message as a repaired block has it. */
typedef struct {
    uint64_t             sequence;
    int                  status;
} status_t;

typedef struct {
    unsigned             n;
    status_t             message[MESSAGES];     /* newest first */
} statuses_t;

/* A state in which a message was not where it was before the call. */
typedef struct {
    uint64_t             state;
    uint64_t             sequence;
    int                  status;
    uintptr_t            place;
} change_t;

typedef struct {
    kmq_ref_t            ref;
    unsigned             n;
    uint32_t             position[FLIGHT];
    char                 code[FLIGHT][KMQ_CODE_LEN];
} consumer_t;

static shared_t      *S;
static unsigned char *block;       /* what the process works on */
static unsigned char *before;      /* the block at the last look */
static unsigned char *copy;        /* what is repaired */
static unsigned char *chosen;      /* a state to go on from */
static size_t         size;

static int            traced;      /* this is the process */
static size_t         mutexes[MUTEXES];  /* offsets: of the workers', and then
                                            of the locks */
static unsigned       nmutexes;
static pthread_mutex_t  deceased;  /* one whose owner has died */

static char           topics[3][EI_NAME_LEN];    /* the second one is for all */


/* ------------------------------------------------------------------ locks */

static void
stop(event_t event)
{
    S->event = event;
    (void) raise(SIGTRAP);
}


/* Which mutex of the engine that is; MUTEXES: none, or nobody is traced. */
static unsigned
mutex_number(const pthread_mutex_t *mutex)
{
    unsigned  i;

    for (i = 0; traced && i < nmutexes; i++) {
        if ((const unsigned char *) mutex == block + mutexes[i]) {
            return i;
        }
    }

    return MUTEXES;
}


/* The engine calls these two. */
int
pthread_mutex_trylock(pthread_mutex_t *mutex)
{
    int           rc;
    unsigned      i;
    static int  (*trylock)(pthread_mutex_t *mutex);

    if (trylock == NULL) {
        *(void **) &trylock = dlsym(RTLD_NEXT, "pthread_mutex_trylock");
    }

    i = mutex_number(mutex);

    if (i == MUTEXES) {
        return trylock(mutex);
    }

    S->tries[i] = 1;
    rc = trylock(mutex);

    if (i >= WORKERS && rc != EBUSY && S->held++ == 0) {
        stop(LOCKED);
    }

    return rc;
}


int
pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    int           rc;
    unsigned      i;
    static int  (*unlock)(pthread_mutex_t *mutex);

    if (unlock == NULL) {
        *(void **) &unlock = dlsym(RTLD_NEXT, "pthread_mutex_unlock");
    }

    i = mutex_number(mutex);

    if (i == MUTEXES) {
        return unlock(mutex);
    }

    if (i >= WORKERS) {
        S->held--;
    }

    rc = unlock(mutex);
    S->tries[i] = 0;

    return rc;
}


static void
mutex_add(const pthread_mutex_t *mutex)
{
    mutexes[nmutexes++] = (size_t) ((const unsigned char *) mutex - block);
}


/* Which mutexes the engine locks, and what one looks like whose owner has
 * died. */
static void
mutexes_learn(void)
{
    pid_t                 pid;
    unsigned              i;
    kmq_block_t          *b;
    pthread_mutex_t      *mutex;
    pthread_mutexattr_t   attr;

    b = (kmq_block_t *) block;

    for (i = 0; i < WORKERS; i++) {
        mutex_add(&b->worker[i].alive);
    }

    mutex_add(&b->lock);

    for (i = 0; i < b->nshards; i++) {
        mutex_add(&KMQ_SHARD(b, i)->lock);
    }

    mutex = eu_map(sizeof(pthread_mutex_t));
    (void) pthread_mutexattr_init(&attr);
    (void) pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    (void) pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    (void) pthread_mutex_init(mutex, &attr);

    pid = fork();

    if (pid == 0) {
        (void) pthread_mutex_lock(mutex);
        _exit(0);
    }

    (void) waitpid(pid, NULL, 0);
    memcpy(&deceased, mutex, sizeof(deceased));
    munmap(mutex, sizeof(pthread_mutex_t));
}


/* ------------------------------------------------------------ the process */

static kmq_t           *kmq;
static kmq_settings_t   settings;
static kmq_ref_t        producer[3];
static consumer_t       consumer[CONSUMERS];


static uint32_t
below(uint32_t n)
{
    return eu_below(&S->chance, n);
}


/* Before each call of the engine. */
static void
call(const char *name)
{
    S->call = name;
    S->calls++;
    stop(CALL);
    kmq_clock(kmq, S->mono, WALL + S->mono);
}


static void
topic_own(void *arg, const char *name, size_t len, kmq_topic_settings_t *s)
{
    (void) arg;

    if (len == strlen(topics[1]) && memcmp(name, topics[1], len) == 0) {
        s->push_type = KMQ_PUSH_ALL;
    }
}


static void
do_configure(void)
{
    settings.keep_consumed = below(4) != 0;
    settings.topic.max_deliveries = below(3);
    settings.topic.clean_time = below(3) ? 0 : 30;

    call("configure");
    kmq_configure(kmq, &settings);
}


/* A body tells its number and consists of what follows from that. */
static uint32_t
body_make(char *body, uint32_t id)
{
    uint32_t  n;
    uint64_t  r;

    r = id;

    /* of few classes, each of which takes a page at least */

    n = eu_below(&r, 2) ? 40 : 100;
    n = eu_below(&r, 20) ? n : 16 + eu_below(&r, BODY_MAX - 16);

    eu_fill(body, n, id);
    sprintf(body, "%015u", id);
    body[15] = ':';

    return n;
}


static void
do_publish(void)
{
    char            body[BODY_MAX];
    unsigned        i, n, got, topic;
    kmq_message_t   m[4];

    n = 1 + below(4);
    topic = below(3);
    memset(m, 0, sizeof(m));

    for (i = 0; i < n; i++) {
        m[i].size = body_make(body, S->id + 1 + i);
        m[i].delay_time = below(6) ? 0 : 1 + below(3000);
    }

    call("reserve");

    if (producer[topic]) {
        got = kmq_reserve(kmq, producer[topic], m, n, NULL);
    } else {
        got = kmq_reserve_to(kmq, topics[topic], strlen(topics[topic]), m)
              == KMQ_OK;
    }

    for (i = 0; i < got; i++) {
        (void) body_make(body, S->id + 1 + i);
        kmq_write(kmq, &m[i], body, m[i].size);
    }

    S->id += got;

    if (got && below(10) == 0) {
        call("discard");
        kmq_discard(kmq, m, got);

    } else if (got) {
        call("commit");
        kmq_commit(kmq, m, got);
    }
}


static consumer_t *
consumer_of(kmq_ref_t ref)
{
    unsigned  i;

    for (i = 0; i < CONSUMERS && consumer[i].ref != ref; i++) { /* void */ }

    return i < CONSUMERS ? &consumer[i] : NULL;
}


static void
do_take(void)
{
    unsigned              i, k;
    consumer_t           *c;
    kmq_message_t        *m;
    static kmq_batch_t    batch;

    batch.bytes_max = below(4) ? 100000 : 1000;

    call("take");
    (void) kmq_take(kmq, &batch);

    for (i = 0; i < batch.nruns; i++) {
        c = consumer_of(batch.runs[i].client);

        for (k = 0; c && k < batch.runs[i].count && c->n < FLIGHT; k++) {
            m = &batch.messages[batch.runs[i].first + k];
            kmq_code(kmq, m, c->code[c->n]);
            c->position[c->n++] = m->position;
        }
    }
}


/* One that may have something in flight, or NULL. */
static consumer_t *
some_consumer(void)
{
    unsigned  i, k;

    k = below(CONSUMERS);

    for (i = 0; i < CONSUMERS; i++, k = (k + 1) % CONSUMERS) {
        if (consumer[k].ref && consumer[k].n) {
            return &consumer[k];
        }
    }

    return NULL;
}


/* Forgets the i-th message of a consumer. */
static void
forget(consumer_t *c, unsigned i)
{
    c->n--;
    memmove(c->code[i], c->code[i + 1], (c->n - i) * KMQ_CODE_LEN);
    memmove(&c->position[i], &c->position[i + 1],
            (c->n - i) * sizeof(uint32_t));
}


static void
do_confirm(void)
{
    unsigned     i;
    consumer_t  *c;

    c = some_consumer();

    if (c == NULL) {
        return;
    }

    i = below(c->n);

    if (below(2)) {
        call("confirm by code");
        (void) kmq_confirm_codes(kmq, c->ref, c->code[i], 1);
        forget(c, i);
        return;
    }

    call("confirm");
    (void) kmq_confirm_upto(kmq, c->ref, c->position[i]);

    do {
        forget(c, i);
    } while (i--);
}


static void
do_return(void)
{
    unsigned     i, n;
    consumer_t  *c;

    c = some_consumer();

    if (c == NULL) {
        return;
    }

    i = below(c->n);
    n = 1 + below(c->n - i);

    if (below(4) == 0) {
        call("extend");
        (void) kmq_extend_codes(kmq, c->ref, c->code[i], n);
        return;
    }

    call("return");
    (void) kmq_return_codes(kmq, c->ref, c->code[i], n, KMQ_BACK_OFF);

    while (n--) {
        forget(c, i);
    }
}


static void
do_delete(void)
{
    unsigned                    n;
    uint64_t                    cursor;
    kmq_query_t                 query;
    static kmq_message_info_t   info[64];

    memset(&query, 0, sizeof(query));
    query.status = below(3) ? KMQ_STATUS_ANY : KMQ_STATUS_DEAD;
    query.to = UINT32_MAX;
    cursor = 0;

    call("search");
    n = kmq_search(kmq, &query, &cursor, info, 64);

    if (n == 0) {
        return;
    }

    n = below(n);

    if (info[n].status == KMQ_STATUS_DEAD && below(2)) {
        call("requeue");
        (void) kmq_requeue(kmq, info[n].code);
        return;
    }

    call("delete");
    (void) kmq_delete(kmq, info[n].code);
}


static void
do_many(void)
{
    const char    *topic = topics[below(3)];
    uint64_t       cursor, deleted;
    kmq_query_t    query;

    if (below(3)) {
        call("requeue topic");
        (void) kmq_requeue_topic(kmq, topic, strlen(topic), 1 + below(8));
        return;
    }

    memset(&query, 0, sizeof(query));
    query.status = (int) below(4) - 1;
    query.topic = topic;
    query.topic_len = strlen(topic);
    query.to = UINT32_MAX;
    cursor = 0;
    deleted = 0;

    call("purge");

    do {
        kmq_purge(kmq, &query, &cursor, &deleted);
    } while (cursor);
}


static void
do_join(void)
{
    unsigned     i, topic;
    consumer_t  *c;

    topic = below(3);

    if (below(3) == 0) {

        if (producer[topic]) {
            call("producer leaves");
            kmq_leave(kmq, producer[topic], 0);
            producer[topic] = 0;

        } else {
            call("producer joins");
            producer[topic] = eu_producer(kmq, topics[topic]);
        }

        return;
    }

    i = below(CONSUMERS);
    c = &consumer[i];

    if (c->ref) {
        call("leave");
        kmq_leave(kmq, c->ref, 0);
        c->ref = 0;

    } else {
        call("join");
        memset(c, 0, sizeof(*c));
        c->ref = eu_join(kmq, KMQ_CONSUMER, topics[topic],
                         1 + below(below(3) ? FLIGHT : 8), c);
    }
}


static void
do_ready(void)
{
    unsigned  i;

    i = below(CONSUMERS);

    if (consumer[i].ref) {
        call("ready");
        kmq_set_ready(kmq, consumer[i].ref, below(5) != 0);
    }
}


/* What is delayed becomes ready, what is not confirmed overdue. */
static void
do_clock(void)
{
    S->mono += below(5) ? below(400) : below(40000);
    do_take();
}


static void
do_tick(void)
{
    call("tick");
    (void) kmq_tick(kmq);
}


/* More in flight with one consumer than one ring of its deliveries holds. */
static void
do_chain(void)
{
    char            body[BODY_MAX];
    unsigned        i, n;
    consumer_t     *c = &consumer[0];
    kmq_message_t   m[CHAIN];

    producer[0] = eu_producer(kmq, topics[0]);
    memset(m, 0, sizeof(m));

    for (i = 0; i < CHAIN; i++) {
        m[i].size = body_make(body, S->id + 1 + i);
    }

    call("reserve");
    n = kmq_reserve(kmq, producer[0], m, CHAIN, NULL);

    for (i = 0; i < n; i++) {
        (void) body_make(body, S->id + 1 + i);
        kmq_write(kmq, &m[i], body, m[i].size);
    }

    S->id += n;

    if (n) {
        call("commit");
        kmq_commit(kmq, m, n);
    }

    do_take();

    if (c->n > 1) {
        call("confirm");
        (void) kmq_confirm_upto(kmq, c->ref, c->position[c->n - 2]);

        while (c->n > 1) {
            forget(c, 0);
        }
    }
}


/* So many of each 100 calls. */
static const struct { void (*call)(void); unsigned weight; }  calls[] = {
    { do_publish, 26 }, { do_take, 18 }, { do_confirm, 18 }, { do_return, 6 },
    { do_delete, 6 }, { do_many, 3 }, { do_join, 8 }, { do_ready, 6 },
    { do_clock, 5 }, { do_tick, 2 }, { do_configure, 2 }
};


__attribute__((noreturn)) static void
process_main(unsigned worker)
{
    unsigned  i, x;

    (void) alarm(HANGS);
    traced = 1;
    (void) ptrace(PTRACE_TRACEME, 0, NULL, NULL);

    memset(consumer, 0, sizeof(consumer));
    memset(producer, 0, sizeof(producer));
    settings = eu_settings(KMQ_PUSH_ONE);
    settings.topic.retry_time = 500;
    settings.topic_own = topic_own;

    S->call = "attach";
    S->calls++;
    stop(CALL);
    kmq = kmq_attach(block, size, worker);

    if (kmq == NULL) {
        _exit(1);
    }

    do_configure();

    for (i = 0; i < 2; i++) {
        call("join");
        consumer[i].ref = eu_join(kmq, KMQ_CONSUMER, topics[i], FLIGHT,
                                  &consumer[i]);
        call("ready");
        kmq_set_ready(kmq, consumer[i].ref, 1);
    }

    do_chain();

    for ( ;; ) {
        x = below(100);

        for (i = 0; x >= calls[i].weight; i++) {
            x -= calls[i].weight;
        }

        /* in turns, messages become more and fewer */

        if (calls[i].call == do_confirm && S->calls / MOOD % 2 == 0) {
            do_publish();
        } else {
            calls[i].call();
        }
    }
}


/* ----------------------------------------------------------- the observer */

static pid_t         process;
static unsigned      worker;       /* which one it is */
static uint64_t      states, steps, repairs, deaths;
static int           has_chosen;   /* a state of the last call */
static int           chosen_tries[MUTEXES];
static int           failed;

static statuses_t    now;          /* of the state that is looked at */
static statuses_t    then;         /* before the call */
static change_t     *changes;
static unsigned      nchanges, changes_max;

static unsigned     *hot;          /* chunks that were ever changed */
static unsigned      nhot;
static unsigned char *is_hot;

static struct { uintptr_t place; uint64_t call; unsigned n; }
                     places[PLACES];


__attribute__((format(printf, 2, 3))) static void
complain(uintptr_t place, const char *fmt, ...)
{
    va_list   args;
    char      text[512];
    Dl_info   info;

    failed = 1;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);

    diag("state %llu, call %llu (%s): %s", (unsigned long long) states,
         (unsigned long long) S->calls, S->call, text);

    /* both processes have the same memory map */

    if (place && dladdr((void *) place, &info)) {
        diag("after the instruction before 0x%lx of %s",
             (unsigned long) (place - (uintptr_t) info.dli_fbase),
             info.dli_fname);
    }
}


/* Where the process is; 0: not known on such a machine. */
static uintptr_t
process_place(void)
{
    struct iovec             io;
    struct user_regs_struct  regs;

    io.iov_base = &regs;
    io.iov_len = sizeof(regs);

    if (ptrace(PTRACE_GETREGSET, process, (void *) NT_PRSTATUS, &io) == -1) {
        return 0;
    }

#if defined(__x86_64__)
    return regs.rip;
#elif defined(__aarch64__)
    return regs.pc;
#else
    return 0;
#endif
}


/* A message in the copy must have the body that was written. */
static void
body_check(kmq_t *observer, const kmq_message_info_t *m, uintptr_t place)
{
    size_t        n, len;
    uint32_t      left;
    kmq_ref_t     piece;
    static char   got[BODY_MAX + KMQ_COPY_MIN], want[BODY_MAX];

    len = 0;
    left = m->size;
    piece = m->body;

    while (len <= BODY_MAX
           && (n = kmq_copy(observer, m, &piece, &left, got + len,
                            KMQ_COPY_MIN)) != 0
           && n <= KMQ_COPY_MIN)
    {
        len += n;
    }

    got[len < 15 ? len : 15] = '\0';
    n = body_make(want, (uint32_t) strtoul(got, NULL, 10));
    got[15] = ':';

    if (len != m->size || n != len || memcmp(got, want, len) != 0) {
        complain(place, "the body of message %llu is not what was written",
                 (unsigned long long) m->sequence);
    }
}


static int
newest_first(const void *a, const void *b)
{
    const status_t  *first = a, *second = b;

    return first->sequence < second->sequence ? 1
           : first->sequence > second->sequence ? -1 : 0;
}


static void
statuses_read(kmq_t *observer, uintptr_t place)
{
    unsigned                    i, n;
    uint64_t                    cursor;
    kmq_query_t                 query;
    static kmq_message_info_t   info[256];

    memset(&query, 0, sizeof(query));
    query.status = KMQ_STATUS_ANY;
    query.to = UINT32_MAX;
    cursor = 0;
    now.n = 0;

    do {
        n = kmq_search(observer, &query, &cursor, info, 256);

        for (i = 0; i < n && now.n < MESSAGES; i++) {
            now.message[now.n].sequence = info[i].sequence;
            now.message[now.n++].status = info[i].status;
            body_check(observer, &info[i], place);
        }
    } while (cursor && !failed);

    qsort(now.message, now.n, sizeof(status_t), newest_first);
}


static int
verified(kmq_t *observer, uintptr_t place, const char *when)
{
    char  text[256];

    if (kmq_verify(observer, text, sizeof(text)) == KMQ_OK) {
        return 1;
    }

    complain(place, "%s: %s", when, text);

    return 0;
}


/* The process has died here: what do the others find? */
static void
recover(const unsigned char *image, uintptr_t place)
{
    kmq_t     *observer;
    unsigned   i;

    memcpy(copy, image, size);

    /* all that it has locked, or may have */

    for (i = 0; i < nmutexes; i++) {
        if (i == worker || S->tries[i]) {
            memcpy(copy + mutexes[i], &deceased, sizeof(deceased));
        }
    }

    observer = kmq_attach(copy, size, OBSERVER);

    if (observer == NULL) {
        complain(place, "nobody can attach");
        return;
    }

    kmq_clock(observer, S->mono, WALL + S->mono);

    if (verified(observer, place, "repaired")) {
        repairs += kmq_repaired(observer);
        (void) kmq_tick(observer);

        if (verified(observer, place, "what the dead one had is given back"))
        {
            statuses_read(observer, place);
        }
    }

    if (!failed) {
        kmq_detach(observer);
    }
}


/* Where a message is, KMQ_GONE: nowhere.  *hint: where to begin. */
static int
status_of(const statuses_t *s, uint64_t sequence)
{
    unsigned  low, high, middle;

    low = 0;
    high = s->n;

    while (low < high) {
        middle = (low + high) / 2;

        if (s->message[middle].sequence > sequence) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }

    return low < s->n && s->message[low].sequence == sequence
           ? s->message[low].status : KMQ_GONE;
}


static void
change_add(uint64_t sequence, int status, uintptr_t place)
{
    if (nchanges == changes_max) {
        changes_max = changes_max * 2 + 1024;
        changes = realloc(changes, changes_max * sizeof(change_t));
    }

    changes[nchanges].state = states;
    changes[nchanges].sequence = sequence;
    changes[nchanges].status = status;
    changes[nchanges++].place = place;
}


/* What is not as it was before the call: the end of the call will tell. */
static void
changes_note(uintptr_t place)
{
    int       status;
    unsigned  i;

    for (i = 0; i < now.n; i++) {
        status = status_of(&then, now.message[i].sequence);

        if (status != now.message[i].status) {
            change_add(now.message[i].sequence, now.message[i].status, place);
        }
    }

    for (i = 0; i < then.n; i++) {
        if (status_of(&now, then.message[i].sequence) == KMQ_GONE) {
            change_add(then.message[i].sequence, KMQ_GONE, place);
        }
    }
}


static const char *
status_name(int status)
{
    switch (status) {
    case KMQ_STATUS_WAITING: return "waiting";
    case KMQ_STATUS_DELAYED: return "delayed";
    case KMQ_STATUS_CONSUMED: return "consumed";
    case KMQ_STATUS_DEAD: return "dead";
    default: return "gone";
    }
}


/* The call has ended: its states must be between before and now. */
static void
changes_check(void)
{
    int        before_it, after_it;
    unsigned   i;
    change_t  *c;

    for (i = 0; i < nchanges && !failed; i++) {
        c = &changes[i];
        before_it = status_of(&then, c->sequence);
        after_it = status_of(&now, c->sequence);

        if (c->status != before_it && c->status != after_it) {
            complain(c->place, "after a repair message %llu was %s in state "
                     "%llu; it was %s before the call and is %s after it",
                     (unsigned long long) c->sequence,
                     status_name(c->status), (unsigned long long) c->state,
                     status_name(before_it), status_name(after_it));
        }
    }

    nchanges = 0;
}


/* ----------------------------------------------------------- single steps */

/* Copies a chunk to before; 1: it was another one there. */
static int
chunk_changed(unsigned i)
{
    size_t  at = (size_t) i * CHUNK;
    size_t  n = size - at < CHUNK ? size - at : CHUNK;

    if (memcmp(before + at, block + at, n) == 0) {
        return 0;
    }

    memcpy(before + at, block + at, n);

    return 1;
}


/* Has the block changed since the last look?  Chunks that never did before
 * are looked at now and then. */
static int
block_changed(int full)
{
    int       changed;
    unsigned  i;

    changed = 0;

    for (i = 0; i < nhot; i++) {
        changed |= chunk_changed(hot[i]);
    }

    for (i = 0; full && i < (size + CHUNK - 1) / CHUNK; i++) {

        if (!is_hot[i] && chunk_changed(i)) {
            is_hot[i] = 1;
            hot[nhot++] = i;
            changed = 1;
        }
    }

    return changed;
}


/* An instruction that repeats itself is looked at a few times. */
static int
place_matters(uintptr_t place, uint64_t *r)
{
    unsigned  i;

    i = (unsigned) (place * UINT64_C(0x9e3779b97f4a7c15) >> 48) % PLACES;

    if (places[i].place != place || places[i].call != S->calls) {
        places[i].place = place;
        places[i].call = S->calls;
        places[i].n = 0;
    }

    return places[i].n++ < OFTEN || eu_below(r, SOME) == 0;
}


/* The process has a lock: goes on until it has none. */
static void
locked_steps(uint64_t *r, uint64_t max)
{
    int        status;
    unsigned   i;
    uintptr_t  place;

    while (S->held && !failed && states < max) {
        steps++;

        if (ptrace(PTRACE_SINGLESTEP, process, NULL, NULL) == -1
            || waitpid(process, &status, 0) != process
            || !WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP)
        {
            complain(0, "the process does not step (%x)", (unsigned) status);
            return;
        }

        if (!block_changed(steps % FULL == 0)) {
            continue;
        }

        place = process_place();

        if (!place_matters(place, r)) {
            continue;
        }

        S->states = ++states;
        recover(before, place);
        changes_note(place);

        /* one of a call's states, each with the same chance */

        if (eu_below(r, (uint32_t) (states % 64 + 1)) == 0) {
            memcpy(chosen, before, size);

            for (i = 0; i < nmutexes; i++) {
                chosen_tries[i] = S->tries[i];
            }

            has_chosen = 1;
        }
    }
}


/* -------------------------------------------------------------- processes */

static void
process_start(void)
{
    int  status;

    fflush(stdout);
    process = fork();

    if (process == 0) {
        process_main(worker);
    }

    if (waitpid(process, &status, 0) != process || !WIFSTOPPED(status)
        || ptrace(PTRACE_SETOPTIONS, process, NULL,
                  (void *) PTRACE_O_EXITKILL) == -1)
    {
        complain(0, "the process does not start (%x)", (unsigned) status);
    }
}


static void
process_kill(void)
{
    int  status;

    (void) kill(process, SIGKILL);

    while (waitpid(process, &status, 0) == process && !WIFEXITED(status)
           && !WIFSIGNALED(status))
    { /* void */ }
}


/* The next one finds the block as if the process had died in that state. */
static void
process_dies(uint64_t *r)
{
    unsigned  i;

    process_kill();

    memcpy(block, chosen, size);

    for (i = 0; i < nmutexes; i++) {
        if (i == worker || chosen_tries[i]) {
            memcpy(block + mutexes[i], &deceased, sizeof(deceased));
        }

        S->tries[i] = 0;
    }

    worker = eu_below(r, WORKERS);
    process_start();
}


/* Before a call: the one before it is over. */
static void
call_begins(uint64_t *r)
{
    (void) block_changed(1);
    recover(before, 0);

    if (failed) {
        return;
    }

    changes_check();

    if (has_chosen && eu_below(r, LIFE) == 0) {
        process_dies(r);
        deaths++;

        (void) block_changed(1);
        recover(before, 0);
    }

    has_chosen = 0;
    memcpy(&then, &now, sizeof(then));
}


static void
observe(uint64_t seed, uint64_t max)
{
    int       status;
    uint64_t  r;

    r = seed;
    process_start();

    while (!failed && states < max) {

        if (S->event == CALL) {
            call_begins(&r);
        } else {
            locked_steps(&r, max);
        }

        if (failed || states >= max) {
            break;
        }

        S->event = 0;

        if (ptrace(PTRACE_CONT, process, NULL, NULL) == -1
            || waitpid(process, &status, 0) != process
            || !WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP)
        {
            complain(0, "the process has ended (%x)", (unsigned) status);
            return;
        }
    }

    process_kill();
}


/* The observer itself may be what does not survive a broken block. */
static void
observer_main(uint64_t seed, uint64_t max)
{
    (void) alarm(HANGS);

    before = malloc(size);
    copy = eu_map(size);
    chosen = malloc(size);
    is_hot = calloc(size / CHUNK + 1, 1);
    hot = calloc(size / CHUNK + 1, sizeof(unsigned));
    memcpy(before, block, size);

    observe(seed, max);

    diag("%llu states after %llu steps in %llu calls, %llu repairs, "
         "%llu deaths", (unsigned long long) states,
         (unsigned long long) steps, (unsigned long long) S->calls,
         (unsigned long long) repairs, (unsigned long long) deaths);

    S->done = !failed;
}


/* May a process be traced here?  In a container that can be forbidden. */
static int
can_trace(void)
{
    int    status, can;
    pid_t  pid;

    pid = fork();

    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == -1) {
            _exit(1);
        }

        (void) raise(SIGTRAP);
        _exit(0);
    }

    can = waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)
          && ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0
          && waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)
          && WSTOPSIG(status) == SIGTRAP;

    (void) kill(pid, SIGKILL);
    (void) waitpid(pid, &status, 0);

    return can;
}


/* Makes a block of so many shards, with topics in all of them, or three. */
static void
block_make(unsigned shards)
{
    kmq_t     *observer;
    unsigned   i;

    kmq_shard_pages = shards > 1 ? 64 / shards : 1024;
    size = (kmq_block_min() + EXTRA + 4095) / 4096 * 4096;
    block = eu_block(size);
    observer = eu_attach(block, size, OBSERVER);

    for (i = 0; i < 3; i++) {
        (void) ei_name(observer, i % observer->block->nshards, i, topics[i]);
    }

    kmq_detach(observer);
}


/* A seed repeats a run only where instructions have the same addresses. */
static void
same_addresses(char **argv)
{
    int  persona;

    persona = personality(0xffffffff);

    if (persona != -1 && !(persona & ADDR_NO_RANDOMIZE)
        && personality((unsigned long) persona | ADDR_NO_RANDOMIZE) != -1)
    {
        (void) execv("/proc/self/exe", argv);
    }
}


int
main(int argc, char **argv)
{
    int       status;
    pid_t     pid;
    unsigned  shards;
    uint64_t  seed, max;

    (void) argc;

    same_addresses(argv);

    seed = eu_env("KMQ_SEED", (uint64_t) time(NULL));
    max = eu_env("KMQ_STATES", STATES);
    shards = (unsigned) eu_env("KMQ_SHARDS", UINT64_C(1) << seed % 3);
    diag("KMQ_SEED=%llu KMQ_STATES=%llu KMQ_SHARDS=%u",
         (unsigned long long) seed, (unsigned long long) max, shards);

    if (!can_trace()) {
        skip_all("processes may not be traced here");
    }

    S = eu_map(sizeof(shared_t));
    S->chance = seed;
    S->mono = 1000;
    block_make(shards);
    is_int(((kmq_block_t *) block)->nshards, shards, "so many shards");
    mutexes_learn();

    fflush(stdout);
    pid = fork();

    if (pid == 0) {
        observer_main(seed, max);
        exit(0);
    }

    (void) waitpid(pid, &status, 0);

    if (!ok(status == 0 && S->done, "each state can be repaired")) {
        diag("state %llu, call %llu (%s), status %x",
             (unsigned long long) S->states, (unsigned long long) S->calls,
             S->call, (unsigned) status);
    }

    return done_testing();
}
