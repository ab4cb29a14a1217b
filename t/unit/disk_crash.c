/*
 * The loss of power at any moment.
 *
 * Random operations run on the engine, its journals and its checkpoints over a
 * file system that remembers (disk_crash/fs.h).  Then, for many moments, what
 * may be left is written to a directory and recovered, and each message must
 * be in a state that was promised: that of the last change that had been
 * flushed by then, or of one that was made after it.
 *
 * Some of what was recovered goes on, with a journal and a checkpoint, and is
 * recovered once more: it must be the same.
 *
 *     KMQ_SEED=N    begin with that seed
 *     KMQ_RUNS=24   runs, KMQ_CUTS=150 moments of each
 */

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk_crash/fs.h"
#include "engine_util.h"


#define SIZE       (3 * EU_MB)
#define HANDLES    3
#define STEPS      500
#define MESSAGES   6000
#define EVENTS     60000
#define CONSUMERS  2               /* of each handle, one for each topic */
#define FLIGHT     32
#define BODY       700
#define CLEAN      2               /* s, messages of "old" get so old */
#define WALL       UINT64_C(1640975470000)
#define NEVER      UINT32_MAX

/* what a failure has besides its number and reason */
#define SUSPECT    (1u << 20)
#define OVER       (1u << 21)

/* what a message is to whoever looks */
typedef enum { ABSENT, WAITING, CONSUMED, DEAD } state_t;

/* A change of a message. */
typedef struct {
    uint32_t    message;
    state_t     state;
    uint32_t    failure;           /* 0: the state, else only this */
    uint32_t    due;               /* s: the next try, or 0 */
    uint32_t    issued;            /* in calls of the file system */
    uint32_t    flushed;           /* NEVER */
    uint32_t    next;              /* of the message, 0: none */
    uint8_t     handle;
    uint8_t     taken;             /* by a write */
} event_t;

typedef struct {
    char        code[KMQ_CODE_LEN];
    uint8_t     topic;
    uint8_t     requeued;
    uint8_t     there;             /* committed; 0 again: deleted for its age */
    uint8_t     dead;
    uint32_t    delay;             /* s */
    uint32_t    failure;           /* see failure_of() */
    uint32_t    first;             /* events */
    uint32_t    last;
} message_t;

typedef struct {
    kmq_ref_t   ref;
    unsigned    n;
    uint32_t    flight[FLIGHT];
} consumer_t;

typedef struct {
    kmq_t           *kmq;          /* NULL: not attached */
    unsigned         first;        /* events before it have been dealt with */
    int              mode;         /* isPersistent, 1 or 2 */
    kmq_segment_t    segment;
    kmq_buffer_t     spare;
    kmq_message_t    held[64];     /* accepted, mode 2 */
    uint32_t         held_id[64];
    unsigned         nheld;
    consumer_t       consumer[CONSUMERS];
} handle_t;

static const char *const  topics[] = { "one", "all", "old" };

static uint64_t              r;
static void                 *block;
static handle_t              handle[HANDLES];
static message_t             message[MESSAGES];
static uint32_t              nmessages;
static event_t               event[EVENTS];
static uint32_t              nevents;
static uint64_t              mono;
static char                  dir[256];

/* the checkpoint that is made */
static int                    cp_running;
static int                    cp_more;
static unsigned               cp_handle;
static unsigned               cp_failed;   /* 1 + whose last one did */
static uint32_t               cp_events;
static kmq_checkpoint_t       cp;
static kmq_checkpoint_file_t  cp_file;
static kmq_buffer_t           cp_buffer;

/* what the last recovery has found */
static uint8_t                found[MESSAGES];
static unsigned               found_new;

static unsigned               nexpired;
static unsigned               nfailures;
static unsigned               wrong;


static uint32_t
below(uint32_t n)
{
    return eu_below(&r, n);
}


__attribute__((format(printf, 1, 2)))
static void
complain(const char *format, ...)
{
    char     text[512];
    va_list  args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);

    if (wrong++ < 20) {
        diag("%s", text);
    }
}


/* ----------------------------------------------------------------- events */

/* A change of the state, or, with failure not 0, of that alone. */
static void
happened(handle_t *h, uint32_t id, state_t state, uint32_t failure,
    uint32_t due)
{
    event_t    *e;
    message_t  *m = &message[id];

    if (nevents == EVENTS) {
        printf("Bail out! too many events for EVENTS\n");
        exit(2);
    }

    e = &event[nevents];
    e->message = id;
    e->state = state;
    e->failure = failure;
    e->due = due;
    e->issued = fs_nops;
    e->flushed = NEVER;
    e->next = 0;
    e->handle = (uint8_t) (h - handle);
    e->taken = 0;

    if (m->first) {
        event[m->last].next = nevents;
    } else {
        m->first = nevents;
    }

    m->last = nevents++;
}


/* What a handle has made before is on disk, or, with lost, nowhere. */
static void
events_settle(handle_t *h, int flushed, int lost)
{
    uint32_t  i;

    for (i = h->first; i < nevents; i++) {

        if (event[i].handle != h - handle || !event[i].taken) {
            continue;
        }

        if (flushed && event[i].flushed == NEVER && event[i].taken == 1) {
            event[i].flushed = fs_nops;
        }

        if (lost) {
            event[i].taken = 2;
        }
    }
}


static void
events_take(const handle_t *h)
{
    uint32_t  i;

    for (i = h->first; i < nevents; i++) {
        if (event[i].handle == h - handle && event[i].taken == 0) {
            event[i].taken = 1;
        }
    }
}


/* ---------------------------------------------------------------- publish */

/* A message names itself. */
static unsigned
body_make(char *body, uint32_t id)
{
    unsigned  n;

    n = (unsigned) sprintf(body, "message %u ", id);

    while (n < 16 + id * 37 % (BODY - 16)) {
        body[n] = (char) ('a' + (id + n) % 26);
        n++;
    }

    return n;
}


/* They are reserved, and may be there from now on. */
static void
published(handle_t *h, const kmq_message_t *m, unsigned n, unsigned topic)
{
    unsigned  i;

    for (i = 0; i < n; i++) {
        memset(&message[nmessages], 0, sizeof(message_t));
        kmq_code(h->kmq, &m[i], message[nmessages].code);
        message[nmessages].topic = (uint8_t) topic;
        message[nmessages].delay = m[i].delay;
        message[nmessages].there = h->mode == 1;

        happened(h, nmessages, WAITING, 0, 0);

        if (h->mode == 2) {
            h->held_id[h->nheld + i] = nmessages;
        }

        nmessages++;
    }
}


static void
publish(handle_t *h)
{
    char            body[BODY + 32];
    unsigned        i, n, topic;
    kmq_message_t   m[8];

    topic = below(7) ? below(2) : 2;
    n = 1 + below(8);

    if (nmessages + n > MESSAGES || h->nheld + n > 64) {
        return;
    }

    memset(m, 0, sizeof(m));

    for (i = 0; i < n; i++) {
        m[i].size = body_make(body, nmessages + i);
        m[i].delay_time = below(5) ? 0 : below(2) ? 20 : 3600000;

        if (kmq_reserve_to(h->kmq, topics[topic], 3, &m[i]) != KMQ_OK) {
            break;
        }

        kmq_write(h->kmq, &m[i], body, m[i].size);
    }

    n = i;

    published(h, m, n, topic);

    if (n == 0) {
        return;
    }

    if (h->mode == 1) {
        kmq_commit(h->kmq, m, n);
        return;
    }

    if (kmq_accept(h->kmq, m, n) != KMQ_OK) {
        printf("Bail out! no memory\n");
        exit(2);
    }

    memcpy(h->held + h->nheld, m, n * sizeof(kmq_message_t));
    h->nheld += n;
}


/* ------------------------------------------------------------------ flush */

/* As src/server/disk/ngx_kapokmq_journal.c does it. */
static void
flush(handle_t *h, int sync)
{
    int                  rc;
    size_t               len;
    unsigned             i;
    const char          *what;
    kmq_journal_info_t   info;

    sync = sync || h->mode == 2;
    events_take(h);

    len = kmq_journal_take(h->kmq, &h->spare, &info);
    kmq_records_seal(h->spare.data, len);

    rc = kmq_segment_write(&h->segment, &info, h->spare.data, len, sync,
                           &what);

    if (rc < 0 && kmq_journal_covered(h->kmq, info.generation)) {
        rc = 0;
        sync = 0;
    }

    if (rc == 0) {
        kmq_journal_written(h->kmq, len);
        events_settle(h, sync, 0);

        if (h->nheld) {
            kmq_commit(h->kmq, h->held, h->nheld);
        }

        for (i = 0; i < h->nheld; i++) {
            message[h->held_id[i]].there = 1;
        }

    } else {
        kmq_journal_lost(h->kmq);
        events_settle(h, 0, 1);

        if (h->nheld) {
            kmq_discard(h->kmq, h->held, h->nheld);
        }

        for (i = 0; i < h->nheld; i++) {
            happened(h, h->held_id[i], ABSENT, 0, 0);
        }
    }

    h->nheld = 0;
}


/* ---------------------------------------------------------------- consume */

static uint32_t
id_of(kmq_t *kmq, const kmq_message_t *m)
{
    char         body[BODY + 32];
    unsigned     id, len;
    uint32_t     left, n;
    kmq_ref_t    piece;
    const char  *p;

    len = 0;
    piece = m->body;
    left = m->size;

    while ((p = kmq_read(kmq, &piece, &left, &n)) && len + n < sizeof(body)) {
        memcpy(body + len, p, n);
        len += n;
    }

    body[len] = '\0';

    if (sscanf(body, "message %u ", &id) != 1 || id >= nmessages) {
        complain("a body that nobody has published: %.40s", body);
        return 0;
    }

    return id;
}


/* The keeper has looked: what was too old is gone. */
static void
expired(handle_t *h)
{
    uint32_t             id;
    kmq_message_info_t   info;

    for (id = 0; id < nmessages; id++) {

        if (message[id].topic == 2 && message[id].there
            && kmq_find(h->kmq, message[id].code, &info) == KMQ_GONE)
        {
            message[id].there = 0;
            nexpired++;
            happened(h, id, ABSENT, 0, 0);
        }
    }
}


/* A consumer has got a message, perhaps once more.  When it had one taken away
 * there may be more than fit: the oldest is forgotten. */
static void
got(consumer_t *c, uint32_t id)
{
    unsigned  i;

    for (i = 0; i < c->n; i++) {
        if (c->flight[i] == id) {
            return;
        }
    }

    if (c->n == FLIGHT) {
        memmove(c->flight, c->flight + 1, --c->n * sizeof(uint32_t));
    }

    c->flight[c->n++] = id;
}


static void
take(handle_t *h)
{
    unsigned             i, k;
    consumer_t          *c;
    static kmq_batch_t   batch;

    batch.bytes_max = 65536;

    (void) kmq_take(h->kmq, &batch);
    expired(h);

    for (i = 0; i < batch.nruns; i++) {
        c = batch.runs[i].user;

        for (k = 0; k < batch.runs[i].count; k++) {
            got(c, id_of(h->kmq, &batch.messages[batch.runs[i].first + k]));
        }
    }
}


/* Is it consumed, given up or gone already? */
static int
is_over(uint32_t id)
{
    uint32_t  i;

    for (i = message[id].first; i; i = event[i].next) {
        if (event[i].failure == 0
            && (event[i].state == CONSUMED || event[i].state == ABSENT))
        {
            return 1;
        }
    }

    return 0;
}


static void
confirm(handle_t *h)
{
    unsigned     i;
    uint32_t     id;
    consumer_t  *c;

    c = &h->consumer[below(CONSUMERS)];

    if (c->ref == 0 || c->n == 0) {
        return;
    }

    i = below(c->n);
    id = c->flight[i];
    c->flight[i] = c->flight[--c->n];

    if (kmq_confirm_codes(h->kmq, c->ref, message[id].code, 1) == 1
        && !is_over(id))
    {
        happened(h, id, CONSUMED, 0, 0);
    }
}


/* Failures, the reason of the last one, and whether it is a suspect, which is
 * not told of what is over; 0: none. */
static uint32_t
failure_of(const kmq_message_info_t *info)
{
    uint32_t  failures;

    failures = info->attempts - (info->in_flight
                                 || info->status == KMQ_STATUS_CONSUMED);

    if (failures == 0) {
        return 0;
    }

    return failures | info->failure << 16 | (info->suspect ? SUSPECT : 0)
           | (info->status == KMQ_STATUS_WAITING ? 0 : OVER);
}


static int
failure_same(uint32_t one, uint32_t other)
{
    uint32_t  told;

    told = (one | other) & OVER ? ~(SUSPECT | OVER) : UINT32_MAX;

    return ((one ^ other) & told) == 0;
}


/* What a handle has just done may have been that deliveries failed. */
static void
failed(handle_t *h)
{
    uint32_t             id;
    message_t           *m;
    kmq_message_info_t   info;

    for (id = 0; id < nmessages; id++) {
        m = &message[id];

        if (!m->there || kmq_find(h->kmq, m->code, &info) != KMQ_OK) {
            continue;
        }

        if (!failure_same(failure_of(&info), m->failure)) {
            m->failure = failure_of(&info);
            nfailures++;
            happened(h, id, WAITING, m->failure,
                     info.status == KMQ_STATUS_WAITING ? info.due : 0);
        }

        if (info.status == KMQ_STATUS_DEAD && !m->dead) {
            m->dead = 1;
            happened(h, id, DEAD, 0, 0);
        }
    }
}


static void
give_back(handle_t *h)
{
    unsigned     i;
    uint32_t     id;
    consumer_t  *c = &h->consumer[0];

    if (c->ref == 0 || c->n == 0) {
        return;
    }

    i = below(c->n);
    id = c->flight[i];
    c->flight[i] = c->flight[--c->n];

    (void) kmq_return_codes(h->kmq, c->ref, message[id].code, 1,
                            below(2) ? KMQ_BACK_OFF : (int) below(3) * 700);
}


static void
leave(handle_t *h, consumer_t *c)
{
    kmq_ref_t  ref;

    ref = c->ref;
    c->ref = 0;

    if (ref == 0) {
        return;
    }

    kmq_leave(h->kmq, ref, (int) below(2));
    c->n = 0;
}


static void
join(handle_t *h)
{
    unsigned  i;

    i = below(CONSUMERS);

    if (h->consumer[i].ref) {
        if (below(3) == 0) {
            leave(h, &h->consumer[i]);
        }

        return;
    }

    h->consumer[i].ref = eu_join(h->kmq, KMQ_CONSUMER, topics[i], FLIGHT,
                                 &h->consumer[i]);

    if (h->consumer[i].ref) {
        kmq_set_ready(h->kmq, h->consumer[i].ref, 1);
    }
}


static void
manage(handle_t *h)
{
    uint32_t  id;

    if (nmessages == 0) {
        return;
    }

    id = below(nmessages);

    if (kmq_requeue(h->kmq, message[id].code) == KMQ_OK) {
        message[id].failure = 0;
        message[id].dead = 0;
        message[id].requeued = 1;
        happened(h, id, WAITING, 0, 0);

    } else if (below(2) == 0
               && kmq_delete(h->kmq, message[id].code) == KMQ_OK)
    {
        message[id].there = 0;
        happened(h, id, ABSENT, 0, 0);
    }
}


/* ------------------------------------------------------------- checkpoint */

static void
checkpoint_end(int finished)
{
    uint32_t  i;

    if (finished) {

        /* what it shows needs no journal any more */

        for (i = 1; i < cp_events; i++) {
            if (event[i].flushed == NEVER) {
                event[i].flushed = fs_nops;
            }
        }

        kmq_checkpoint_end(handle[cp_handle].kmq, &cp, cp_file.size);

        if (below(4)) {
            (void) kmq_checkpoint_file_clean(&cp_file);
        }

    } else {
        kmq_checkpoint_file_abort(&cp_file);
    }

    cp_running = 0;
    cp_failed = finished ? 0 : 1 + cp_handle;
    kmq_buffer_free(&cp_buffer);
}


static void
checkpoint(handle_t *h)
{
    int  rc;

    if (!cp_running) {
        cp_running = 1;
        cp_more = 1;
        cp_handle = (unsigned) (h - handle);
        cp_events = nevents;

        /* after one that failed, its own generation, if it may */

        if (cp_failed == 1 + cp_handle) {
            (void) kmq_checkpoint_again(h->kmq, &cp, &cp_buffer, 1);
        } else {
            (void) kmq_checkpoint_begin(h->kmq, &cp, &cp_buffer);
        }

        rc = kmq_checkpoint_file_open(&cp_file, &fs_io, dir, &cp.info,
                                      cp.complete);

        if (rc < 0) {
            checkpoint_end(0);
        }

        return;
    }

    if (below(60) == 0) {
        checkpoint_end(0);
        return;
    }

    rc = kmq_checkpoint_file_write(&cp_file, cp_buffer.data, cp_buffer.len);
    cp_buffer.len = 0;

    if (rc == 0 && !cp_more) {
        checkpoint_end(kmq_checkpoint_file_finish(&cp_file) == 0);

    } else if (rc < 0) {
        checkpoint_end(0);

    } else {
        cp_more = kmq_checkpoint_next(handle[cp_handle].kmq, &cp,
                                      &cp_buffer);
    }
}


/* -------------------------------------------------------------------- run */

/* "all" is publish/subscribe, and what is in "old" gets too old. */
static void
topic_own(void *arg, const char *name, size_t len, kmq_topic_settings_t *s)
{
    (void) arg;

    if (len == 3 && memcmp(name, "all", 3) == 0) {
        s->push_type = KMQ_PUSH_ALL;
        s->max_deliveries = 0;
    }

    if (len == 3 && memcmp(name, "old", 3) == 0) {
        s->clean_time = CLEAN;
    }
}


static void
handle_open(handle_t *h)
{
    kmq_settings_t  s;

    memset(h, 0, sizeof(handle_t));

    h->mode = 1 + (int) below(2);
    h->first = nevents;
    h->kmq = eu_attach(block, SIZE, (unsigned) (h - handle));

    s = eu_settings(KMQ_PUSH_ONE);
    s.keep_consumed = 1;
    s.topic.max_deliveries = 2;
    s.topic.retry_time = 300;
    s.topic.retry_delay = 150;
    s.topic.retry_delay_max = 500;
    s.topic_own = topic_own;
    kmq_configure(h->kmq, &s);
    kmq_clock(h->kmq, mono, WALL + mono);
    kmq_journal(h->kmq, 1);

    kmq_segment_init(&h->segment, &fs_io, dir, 0);
}


static void
handle_close(handle_t *h)
{
    unsigned  i;

    if (cp_running && cp_handle == (unsigned) (h - handle)) {
        checkpoint_end(0);
    }

    if (cp_failed == 1 + (unsigned) (h - handle)) {
        cp_failed = 0;
    }

    flush(h, 1);

    for (i = 0; i < CONSUMERS; i++) {
        leave(h, &h->consumer[i]);
    }

    failed(h);
    flush(h, 1);
    kmq_detach(h->kmq);
    kmq_segment_close(&h->segment);
    kmq_buffer_free(&h->spare);
    h->kmq = NULL;
}


/* Mostly the same handle goes on, so that its records grow. */
static handle_t *
handle_choose(void)
{
    static unsigned  last;

    if (below(3) == 0) {
        last = below(HANDLES);
    }

    return &handle[last];
}


static void
step(void)
{
    unsigned   x;
    handle_t  *h;

    h = handle_choose();

    if (h->kmq == NULL) {
        handle_open(h);
        return;
    }

    mono += below(40) ? 1 : 400;
    kmq_clock(h->kmq, mono, WALL + mono);
    x = below(1000);

    if (x < 250) {
        publish(h);
    } else if (x < 400) {
        take(h);
    } else if (x < 600) {
        confirm(h);
    } else if (x < 630) {
        give_back(h);
    } else if (x < 690) {
        manage(h);
    } else if (x < 740) {
        join(h);
    } else if (x < 850) {
        flush(h, below(2) == 0);
    } else if (x < 990) {
        checkpoint(h);
    } else if (x < 995) {
        fs_failures = fs_failures ? 0 : below(2) ? 20 : 0;
    } else {
        handle_close(h);
        return;
    }

    failed(h);
}


static void
run(void)
{
    unsigned  i;

    nmessages = 0;
    nevents = 1;
    mono = 1000;
    cp_failed = 0;
    cp_running = 0;
    memset(handle, 0, sizeof(handle));

    block = eu_block(SIZE);

    for (i = 0; i < STEPS; i++) {
        step();
    }

    for (i = 0; i < HANDLES; i++) {
        if (handle[i].kmq) {
            handle_close(&handle[i]);
        }
    }

    munmap(block, SIZE);
}


/* ------------------------------------------------------------------ check */

static void
silent(void *arg, int level, const char *text)
{
    (void) arg;
    (void) level;
    (void) text;
}


static void
directory_empty(void)
{
    DIR            *d;
    char            path[600];
    struct dirent  *e;

    d = opendir(dir);

    while (d && (e = readdir(d))) {
        if (e->d_name[0] != '.') {
            snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
            unlink(path);
        }
    }

    if (d) {
        closedir(d);
    }
}


static const char *const  state_names[] = {
    "absent", "waiting", "consumed", "dead"
};


/* May a message be in that state when all after the first cut calls is
 * lost? */
static int
state_allowed(uint32_t id, state_t state, uint32_t cut)
{
    int       allowed, accepted;
    uint32_t  i;

    allowed = state == ABSENT;
    accepted = 0;

    for (i = message[id].first; i; i = event[i].next) {

        if (event[i].failure || event[i].issued > cut) {
            continue;
        }

        /* the first one brings it, and nothing is without it */

        if (event[i].flushed <= cut && (accepted || i == message[id].first)) {
            allowed = 0;
            accepted = 1;
        }

        allowed |= event[i].state == state;
    }

    return allowed;
}


/*
 * May those be a message's failures, and its next try?  Where the record of one
 * is lost, a later push still tells the number, and the reason is that of one
 * before.
 */
static int
failure_allowed(uint32_t id, const kmq_message_info_t *info, uint32_t cut)
{
    int       allowed, reason;
    uint32_t  i, due, found;

    /* publish/subscribe: with one consumer, it waits in flight; a suspect, for
     * the settings */

    due = message[id].topic == 0 && info->status == KMQ_STATUS_WAITING
          && !info->suspect ? info->due : 0;

    found = failure_of(info);
    allowed = found == 0 && due == 0;
    reason = info->failure == KMQ_FAILED_NOT;

    for (i = message[id].first; i; i = event[i].next) {

        if (event[i].issued > cut) {
            continue;
        }

        /* it is deleted, but that may be lost, and failures go on unseen */

        if (event[i].state == ABSENT) {
            return 1;
        }

        if (event[i].failure == 0) {
            continue;
        }

        if (event[i].flushed <= cut) {
            allowed = 0;
        }

        reason |= failure_same(event[i].failure | UINT16_MAX,
                               found | UINT16_MAX);

        allowed |= reason && ((event[i].failure ^ found) & UINT16_MAX) == 0
                   && (due == 0 || due == event[i].due);
    }

    return allowed;
}


static void
failure_check(const kmq_message_info_t *info, uint32_t id, uint32_t cut)
{
    if (!message[id].requeued && !failure_allowed(id, info, cut)) {
        complain("cut at %u: message %u may not have failures %x, due %llu",
                 cut, id, failure_of(info), (unsigned long long) info->due);
    }
}


static state_t
state_of(const kmq_message_info_t *info)
{
    switch (info->status) {

    case KMQ_STATUS_CONSUMED:
        return CONSUMED;

    case KMQ_STATUS_DEAD:
        return DEAD;

    default:
        return WAITING;
    }
}


/* What was delayed by an hour still is. */
static void
delay_check(const kmq_message_info_t *info, uint32_t id, uint32_t cut)
{
    if (state_of(info) != WAITING) {
        return;
    }

    if (info->delay >= 3600 ? info->status != KMQ_STATUS_DELAYED
                            : info->delay == 0
                              && info->status == KMQ_STATUS_DELAYED)
    {
        complain("cut at %u: message %u, delay %u, has status %d", cut, id,
                 info->delay, info->status);
    }
}


/* Which message this is, with all that belongs to it; MESSAGES: none. */
static uint32_t
identify(kmq_t *kmq, const kmq_message_info_t *info)
{
    int          n;
    char         right[BODY + 32], body[KMQ_COPY_MIN];
    unsigned     id;
    uint32_t     left;
    kmq_ref_t    piece;

    piece = info->body;
    left = info->size;
    n = kmq_copy(kmq, info, &piece, &left, body, sizeof(body));
    body[n < 0 ? 0 : n] = '\0';

    if (n < 0 || sscanf(body, "message %u ", &id) != 1 || id >= nmessages
        || body_make(right, id) != (unsigned) n
        || memcmp(body, right, n) != 0
        || memcmp(info->code, message[id].code, KMQ_CODE_LEN) != 0
        || info->delay != message[id].delay
        || memcmp(info->topic, topics[message[id].topic], 3) != 0)
    {
        return MESSAGES;
    }

    return id;
}


static void
block_check(kmq_t *kmq, uint32_t cut)
{
    uint32_t                    id;
    unsigned                    i, n;
    uint64_t                    cursor;
    kmq_query_t                 query;
    static kmq_message_info_t   info[64];

    memset(found, ABSENT, sizeof(found));
    found_new = 0;
    memset(&query, 0, sizeof(query));
    query.status = KMQ_STATUS_ANY;
    query.to = UINT32_MAX;
    cursor = 0;

    do {
        n = kmq_search(kmq, &query, &cursor, info, 64);

        for (i = 0; i < n; i++) {

            if (memcmp(info[i].topic, "new", 3) == 0) {
                found_new += state_of(&info[i]) == CONSUMED;
                continue;
            }

            id = identify(kmq, &info[i]);

            if (id == MESSAGES || found[id] != ABSENT) {
                complain("cut at %u: a message that is none, or twice", cut);
                continue;
            }

            found[id] = (uint8_t) state_of(&info[i]);
            failure_check(&info[i], id, cut);
            delay_check(&info[i], id, cut);
        }
    } while (cursor);

    for (id = 0; id < nmessages; id++) {
        if (!state_allowed(id, found[id], cut)) {
            complain("cut at %u: message %u is %s", cut, id,
                     state_names[found[id]]);
        }
    }
}


/* What there is to be written is on disk. */
static void
life_flush(kmq_t *kmq, kmq_segment_t *segment)
{
    int                  rc;
    size_t               len;
    const char          *what;
    kmq_buffer_t         spare;
    kmq_journal_info_t   info;

    memset(&spare, 0, sizeof(spare));

    len = kmq_journal_take(kmq, &spare, &info);
    kmq_records_seal(spare.data, len);

    rc = kmq_segment_write(segment, &info, spare.data, len, 1, &what);
    if (rc != 0) {
        complain("afterwards, %s: %s", what, strerror(-rc));
    }

    kmq_journal_written(kmq, len);
    kmq_buffer_free(&spare);
}


static void
life_checkpoint(kmq_t *kmq)
{
    int                     rc, more;
    kmq_buffer_t            out;
    kmq_checkpoint_t        c;
    kmq_checkpoint_file_t   file;

    memset(&out, 0, sizeof(out));

    more = kmq_checkpoint_begin(kmq, &c, &out) == KMQ_OK;
    rc = kmq_checkpoint_file_open(&file, &kmq_io_system, dir, &c.info,
                                  c.complete);

    while (rc == 0 && out.len) {
        rc = kmq_checkpoint_file_write(&file, out.data, out.len);
        out.len = 0;

        if (more) {
            more = kmq_checkpoint_next(kmq, &c, &out);
        }
    }

    if (rc == 0) {
        rc = kmq_checkpoint_file_finish(&file);
    }

    if (rc != 0) {
        complain("afterwards, a checkpoint: %s", strerror(-rc));
        kmq_checkpoint_file_abort(&file);

    } else {
        kmq_checkpoint_end(kmq, &c, file.size);
        (void) kmq_checkpoint_file_clean(&file);
    }

    kmq_buffer_free(&out);
}


/* A message is published and consumed. */
static void
life_message(kmq_t *kmq, kmq_segment_t *segment)
{
    kmq_ref_t      consumer;
    kmq_message_t  m;

    memset(&m, 0, sizeof(m));
    m.size = 5;

    if (kmq_reserve_to(kmq, "new", 3, &m) != KMQ_OK) {
        complain("afterwards: no room");
        return;
    }

    kmq_write(kmq, &m, "hello", 5);
    (void) kmq_accept(kmq, &m, 1);
    life_flush(kmq, segment);
    kmq_commit(kmq, &m, 1);

    consumer = eu_consumer(kmq, "new", FLIGHT, NULL);

    if (eu_confirm(kmq, eu_take(kmq)) != 1) {
        complain("afterwards: a message does not come");
    }

    kmq_leave(kmq, consumer, 0);
    life_flush(kmq, segment);
}


/* It is a queue that goes on. */
static void
life(kmq_t *kmq)
{
    kmq_settings_t  s;
    kmq_segment_t   segment;

    s = eu_settings(KMQ_PUSH_ONE);
    s.keep_consumed = 1;
    kmq_configure(kmq, &s);
    kmq_journal(kmq, 1);
    kmq_segment_init(&segment, &kmq_io_system, dir, 0);

    (void) kmq_tick(kmq);
    life_message(kmq, &segment);

    if (below(2)) {
        life_checkpoint(kmq);
        life_message(kmq, &segment);
    }

    life_message(kmq, &segment);
    kmq_segment_close(&segment);

    if (!eu_verify(kmq, "in use")) {
        wrong++;
    }
}


/* What is in dir is recovered and checked; it goes on where that is wanted.
 * 0, or -1. */
static int
recover_check(uint32_t cut, int lives)
{
    void            *fresh;
    kmq_t           *kmq;
    kmq_recovery_t   rc;

    fresh = eu_block(SIZE);
    memset(&rc, 0, sizeof(rc));
    rc.dir = dir;
    rc.block = fresh;
    rc.size = SIZE;
    rc.mono = 500;
    rc.wall = WALL + mono;
    rc.log = silent;

    if (kmq_recover(&rc) != 0) {
        complain("cut at %u: no recovery", cut);
        munmap(fresh, SIZE);
        return -1;
    }

    kmq = eu_attach(fresh, SIZE, 0);
    kmq_clock(kmq, 500, WALL + mono);

    if (!eu_verify(kmq, "recovered")) {
        wrong++;
    }

    block_check(kmq, cut);

    if (lives) {
        life(kmq);
    }

    kmq_detach(kmq);
    munmap(fresh, SIZE);

    return 0;
}


static void
cut_check(uint32_t cut)
{
    int             lives;
    static uint8_t  before[MESSAGES];

    directory_empty();
    fs_cut(dir, cut, &r);

    lives = below(3) == 0;

    if (recover_check(cut, lives) != 0 || !lives) {
        return;
    }

    memcpy(before, found, sizeof(found));

    if (recover_check(cut, 0) != 0) {
        return;
    }

    if (memcmp(before, found, sizeof(found)) != 0) {
        complain("cut at %u: it is not the same after a second start", cut);
    }

    if (found_new < 2) {
        complain("cut at %u: %u new messages are consumed", cut, found_new);
    }
}


int
main(void)
{
    unsigned    i, k, runs, cuts;
    uint64_t    seed;
    const char *tmp;

    seed = eu_env("KMQ_SEED", 1);
    runs = (unsigned) eu_env("KMQ_RUNS", 24);
    cuts = (unsigned) eu_env("KMQ_CUTS", 150);

    tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : getenv("TMPDIR");
    snprintf(dir, sizeof(dir), "%s/kmq-crash-XXXXXX", tmp ? tmp : "/tmp");

    if (mkdtemp(dir) == NULL) {
        printf("Bail out! no directory %s\n", dir);
        return 2;
    }

    for (i = 0; i < runs; i++) {
        r = seed + i;
        fs_reset(seed + i);
        wrong = 0;
        nexpired = 0;
        nfailures = 0;

        run();

        for (k = 0; k < cuts; k++) {
            cut_check(below(fs_nops + 1));
        }

        ok(wrong == 0, "KMQ_SEED=%llu: %u messages, %u expired, %u failures, "
           "%u calls, %u cuts", (unsigned long long) (seed + i), nmessages,
           nexpired, nfailures, fs_nops, cuts);
    }

    directory_empty();
    rmdir(dir);
    fs_reset(0);

    return done_testing();
}
