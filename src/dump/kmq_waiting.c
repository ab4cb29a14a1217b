/*
 * The state of a directory's queue.  It is recovered into memory of this
 * process, as nginx does at a start, and searched as the console does.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE                /* twalk_r(), tdestroy() */
#endif

#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "../disk/kmq_file.h"
#include "kmq_line.h"
#include "kmq_waiting.h"


/* A directory in use may be overtaken by a checkpoint so often. */
#define TRIES         20

#define SLICE         256

typedef enum {
    READY,
    RETRYING,                    /* until its next try */
    DELAYED,
    DEAD,
    CONSUMED,
    STATUSES
} status_t;

/* Of one topic, or of all. */
typedef struct {
    uint64_t      n[STATUSES];
    uint64_t      bytes;
    uint32_t      oldest;        /* s: the first that was created */
    uint32_t      newest;
    unsigned      name_len;
    char          name[KMQ_NAME_MAX];
} counts_t;

typedef struct {
    const char           *dir;
    const kmq_waiting_t  *w;
    void                 *block;
    size_t                size;
    uint64_t              now;   /* s */
    kmq_t                *kmq;

    char                 *data;  /* a message's */
    size_t                room;

    counts_t              all;
    void                 *topics;    /* counts_t, a tree by their names */
    uint64_t              ntopics;
} state_t;


static const char  *status_name[STATUSES] = {
    "ready", "retrying", "delayed", "dead", "consumed"
};


unsigned
kmq_waiting_status(const char *name, size_t len)
{
    unsigned  i;

    for (i = 0; i < STATUSES; i++) {
        if (strlen(status_name[i]) == len
            && memcmp(status_name[i], name, len) == 0)
        {
            return 1u << i;
        }
    }

    if (len == 7 && memcmp(name, "waiting", 7) == 0) {
        return KMQ_WAITING_DEFAULT;
    }

    if (len == 3 && memcmp(name, "all", 3) == 0) {
        return (1u << STATUSES) - 1;
    }

    return 0;
}


/* ------------------------------------------------------------- recovering */

/* The largest block that can be had: what is not used of it costs nothing. */
static int
block_map(state_t *st)
{
    void  *block;

    for (st->size = kmq_block_max();
         st->size >= kmq_block_min();
         st->size /= 2)
    {
        block = mmap(NULL, st->size, PROT_READ|PROT_WRITE,
                     MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE, -1, 0);

        if (block != MAP_FAILED) {
            st->block = block;
            return 0;
        }
    }

    return -1;
}


static void
block_unmap(state_t *st)
{
    if (st->block) {
        (void) munmap(st->block, st->size);
        st->block = NULL;
    }
}


static void
recovery_log(void *arg, int level, const char *text)
{
    FILE  *log = arg;

    if (level != KMQ_LOG_INFO) {
        (void) fprintf(log, "kapokmq-dump: %s\n", text);
    }
}


/* One try: 0, or -1. */
static int
recover_once(state_t *st, kmq_recovery_t *rc, FILE *log)
{
    struct timespec  mono;

    /* MessageCodes have the key that the files tell */

    static const unsigned char  seed[KMQ_SEED_LEN];

    block_unmap(st);

    if (block_map(st) != 0
        || kmq_block_init(st->block, st->size, seed) != KMQ_OK)
    {
        (void) fprintf(log, "kapokmq-dump: no memory\n");
        return -1;
    }

    (void) clock_gettime(CLOCK_MONOTONIC, &mono);

    memset(rc, 0, sizeof(kmq_recovery_t));
    rc->dir = st->dir;
    rc->block = st->block;
    rc->size = st->size;
    rc->mono = (uint64_t) mono.tv_sec * 1000
               + (uint64_t) mono.tv_nsec / 1000000;
    rc->wall = kmq_file_now();
    rc->log = recovery_log;
    rc->arg = log;
    rc->look = 1;

    return kmq_recover(rc);
}


/* 0, or -1; what recovery has to tell of the last try goes to stderr. */
static int
recover(state_t *st, kmq_recovery_t *rc)
{
    int       failed;
    char     *text;
    FILE     *log;
    size_t    len;
    unsigned  i;

    for (i = 0; i < TRIES; i++) {
        text = NULL;
        log = open_memstream(&text, &len);

        if (log == NULL) {
            return -1;
        }

        failed = recover_once(st, rc, log);
        (void) fclose(log);

        if (!failed || !rc->overtaken || i == TRIES - 1) {
            (void) fputs(text, stderr);
            free(text);
            return failed;
        }

        free(text);
    }

    return -1;
}


/* ----------------------------------------------------------------- counts */

static int
counts_compare(const void *one, const void *two)
{
    int              rc;
    unsigned         n;
    const counts_t  *a = one, *b = two;

    n = a->name_len < b->name_len ? a->name_len : b->name_len;
    rc = memcmp(a->name, b->name, n);

    return rc ? rc : (int) a->name_len - (int) b->name_len;
}


static void
counts_add(counts_t *c, const kmq_message_info_t *m, status_t status)
{
    c->n[status]++;
    c->bytes += m->size;

    if (c->oldest == 0 || m->create_time < c->oldest) {
        c->oldest = m->create_time;
    }

    if (m->create_time > c->newest) {
        c->newest = m->create_time;
    }
}


/* 0, or -1: no memory. */
static int
count(state_t *st, const kmq_message_info_t *m, status_t status)
{
    void      **node;
    counts_t   *c;

    c = calloc(1, sizeof(counts_t));
    if (c == NULL) {
        return -1;
    }

    c->name_len = m->topic_len;
    memcpy(c->name, m->topic, m->topic_len);

    node = tsearch(c, &st->topics, counts_compare);

    if (node == NULL || *node != c) {
        free(c);

        if (node == NULL) {
            return -1;
        }

    } else {
        st->ntopics++;
    }

    counts_add(*node, m, status);
    counts_add(&st->all, m, status);

    return 0;
}


static void
counts_print(const state_t *st, const counts_t *c)
{
    unsigned  i;

    if (c == &st->all) {
        kmq_line_begin("all");
        kmq_line_number("topics", st->ntopics);

    } else {
        kmq_line_begin("topic");
        kmq_line_text("topic", c->name, c->name_len);
    }

    for (i = 0; i < STATUSES; i++) {
        if (st->w->statuses & 1u << i) {
            kmq_line_number(status_name[i], c->n[i]);
        }
    }

    kmq_line_number("bytes", c->bytes);

    if (c->oldest) {
        kmq_line_number("oldest", c->oldest);
        kmq_line_number("newest", c->newest);
    }

    kmq_line_end();
}


static void
topic_print(const void *node, VISIT visit, void *arg)
{
    counts_t *const  *c = node;

    if (visit == postorder || visit == leaf) {
        counts_print(arg, *c);
    }
}


/* --------------------------------------------------------------- messages */

/* Has all of a message's data in st->data; 0, or -1: no memory. */
static int
data_copy(state_t *st, const kmq_message_info_t *m)
{
    int        n;
    char      *data;
    size_t     done;
    uint32_t   left;
    kmq_ref_t  piece;

    if (st->room < m->size + KMQ_COPY_MIN) {
        data = realloc(st->data, m->size + KMQ_COPY_MIN);
        if (data == NULL) {
            return -1;
        }

        st->data = data;
        st->room = m->size + KMQ_COPY_MIN;
    }

    piece = m->body;
    left = m->size;

    for (done = 0; done < m->size; done += (size_t) n) {
        n = kmq_copy(st->kmq, m, &piece, &left, st->data + done,
                     st->room - done);
        if (n <= 0) {
            return -1;
        }
    }

    return 0;
}


/* What is not known to POST /Producer/Send is passed over there. */
static int
message_print(state_t *st, const kmq_message_info_t *m, status_t status)
{
    static const char  *reason[KMQ_REASONS] = {
        NULL, "end", "return", "overdue"
    };

    if (data_copy(st, m) != 0) {
        return -1;
    }

    kmq_line_begin("message");
    kmq_line_text("topic", m->topic, m->topic_len);
    kmq_line_escaped("messageData", st->data, m->size);

    if (m->due > st->now) {
        kmq_line_number("delayTime", m->due - st->now);
        kmq_line_number("dueTime", m->due);
    }

    kmq_line_word("status", status_name[status]);
    kmq_line_text("code", m->code, KMQ_CODE_LEN);
    kmq_line_number("createTime", m->create_time);

    if (m->failure && m->failure < KMQ_REASONS) {
        kmq_line_number("failures", m->attempts);
        kmq_line_word("reason", reason[m->failure]);
    }

    kmq_line_end();

    return 0;
}


static status_t
status_of(const state_t *st, const kmq_message_info_t *m)
{
    switch (m->status) {

    case KMQ_STATUS_CONSUMED:
        return CONSUMED;

    case KMQ_STATUS_DEAD:
        return DEAD;

    default:
        /* what has become due is ready as soon as nginx has started */

        if (m->due <= st->now) {
            return READY;
        }

        return m->status == KMQ_STATUS_DELAYED ? DELAYED : RETRYING;
    }
}


static int
found(state_t *st, const kmq_message_info_t *m)
{
    status_t  status;

    status = status_of(st, m);

    if (!(st->w->statuses & 1u << status)) {
        return 0;
    }

    return st->w->count ? count(st, m, status) : message_print(st, m, status);
}


/* 0, or -1: no memory. */
static int
search(state_t *st)
{
    unsigned             i, n;
    uint64_t             cursor;
    kmq_query_t          query;
    kmq_message_info_t  *m;

    m = malloc(SLICE * sizeof(kmq_message_info_t));
    if (m == NULL) {
        return -1;
    }

    memset(&query, 0, sizeof(query));
    query.status = KMQ_STATUS_ANY;
    query.topic = st->w->topic;
    query.topic_len = st->w->topic ? strlen(st->w->topic) : 0;
    query.from = st->w->from;
    query.to = st->w->to;
    query.oldest = 1;
    cursor = 0;

    do {
        n = kmq_search(st->kmq, &query, &cursor, m, SLICE);

        for (i = 0; i < n; i++) {
            if (found(st, &m[i]) != 0) {
                free(m);
                return -1;
            }
        }

    } while (cursor);

    free(m);

    return 0;
}


/* -------------------------------------------------------------------- all */

/* 0, or -1: no memory. */
static int
print(state_t *st, const kmq_recovery_t *rc)
{
    int  failed;

    st->kmq = kmq_attach_any(st->block, st->size);
    if (st->kmq == NULL) {
        return -1;
    }

    kmq_clock(st->kmq, rc->mono, rc->wall);
    st->now = rc->wall / 1000;

    failed = search(st);

    if (!failed && st->w->count) {
        twalk_r(st->topics, topic_print, st);
        counts_print(st, &st->all);
    }

    tdestroy(st->topics, free);
    kmq_detach(st->kmq);
    free(st->data);

    return failed;
}


int64_t
kmq_waiting_print(const char *dir, const kmq_waiting_t *w)
{
    int             failed;
    state_t         st;
    kmq_recovery_t  rc;

    memset(&st, 0, sizeof(st));
    st.dir = dir;
    st.w = w;

    failed = recover(&st, &rc);

    if (!failed && rc.files == 0) {
        (void) fprintf(stderr, "kapokmq-dump: \"%s\" has no files of a "
                       "queue\n", dir);
    }

    if (!failed) {
        failed = print(&st, &rc);

        if (failed) {
            (void) fputs("kapokmq-dump: no memory\n", stderr);
        }
    }

    block_unmap(&st);

    return failed ? -1 : (int64_t) rc.damaged;
}
