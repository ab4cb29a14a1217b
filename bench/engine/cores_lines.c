/*
 * Two workers, in one process and one thread, take turns: each operation is
 * done by one of them, then by the other.  Around each the whole block is
 * compared with what it was, and the lines that differ were written.
 *
 * What is written with the value that was there is not seen.  A lock is such,
 * but it has its holder's number beside it, which differs each time where both
 * workers take that lock.
 */

#include <stdio.h>
#include <string.h>

#include "cores.h"


#define LINES_BLOCK    ((size_t) 16 * 1024 * 1024)
#define LINES_LINE     64
#define LINES_PAGE     4096
#define LINES_NUMBER   (LINES_BLOCK / LINES_LINE)
#define LINES_WORKERS  2
#define LINES_WARM     1000        /* rounds until all memory is history */
#define LINES_ROUNDS   200


typedef enum {
    LINES_PUBLISH = 0,             /* reserve and commit */
    LINES_BODIES,                  /* the kmq_write() between them */
    LINES_TAKE,
    LINES_CONFIRM,
    LINES_OPERATIONS
} lines_operation_t;

/* How often a line was written. */
typedef struct {
    unsigned  by[LINES_OPERATIONS];    /* rounds of each worker */
    unsigned  any;                     /* the same, by one of these or more */
    unsigned  both;                    /* rounds */
} lines_count_t;

typedef struct {
    unsigned char   *block;
    unsigned char   *before;
    unsigned char    wrote[LINES_NUMBER][LINES_WORKERS];   /* in this round:
                                                    1 << operation */
    lines_count_t    count[LINES_NUMBER];
    cores_client_t   worker[LINES_WORKERS];
    uint64_t         published;
    uint64_t         confirmed;
    unsigned         rounds;
} lines_t;


/* Finds what the operation has written, and forgets it. */
static void
lines_compare(lines_t *l, unsigned worker, lines_operation_t operation)
{
    size_t  page, at;

    for (page = 0; page < LINES_BLOCK; page += LINES_PAGE) {

        if (memcmp(l->block + page, l->before + page, LINES_PAGE) == 0) {
            continue;
        }

        for (at = page; at < page + LINES_PAGE; at += LINES_LINE) {
            if (memcmp(l->block + at, l->before + at, LINES_LINE) != 0) {
                l->wrote[at / LINES_LINE][worker] |=
                    (unsigned char) (1 << operation);
            }
        }

        memcpy(l->before + page, l->block + page, LINES_PAGE);
    }
}


static void
lines_count(lines_t *l)
{
    size_t          n;
    unsigned        i, operation;
    lines_count_t  *count;

    for (n = 0; n < LINES_NUMBER; n++) {
        count = &l->count[n];
        count->both += l->wrote[n][0] && l->wrote[n][1];

        for (i = 0; i < LINES_WORKERS; i++) {
            count->any += l->wrote[n][i] != 0;

            for (operation = 0; operation < LINES_OPERATIONS; operation++) {
                count->by[operation] += (l->wrote[n][i] >> operation) & 1;
            }
        }
    }

    memset(l->wrote, 0, sizeof(l->wrote));
    l->rounds++;
}


/* ------------------------------------------------------------- operations */

static void
lines_publish(lines_t *l, unsigned worker, unsigned batch, int compare)
{
    static char      body[CORES_SIZE];
    cores_client_t  *c;

    c = &l->worker[worker];
    cores_reserve(c, batch);

    if (c->n != batch) {
        cores_die("the block is full");
    }

    if (compare) {
        lines_compare(l, worker, LINES_PUBLISH);
    }

    /* not the bytes that the memory's last message had */
    memset(body, body[0] + 1, CORES_SIZE);
    cores_write(c, body);

    if (compare) {
        lines_compare(l, worker, LINES_BODIES);
    }

    kmq_commit(c->kmq, c->messages, batch);
    l->published += batch;

    if (compare) {
        lines_compare(l, worker, LINES_PUBLISH);
    }
}


/* One after the other they publish, take, and confirm. */
static void
lines_round(lines_t *l, unsigned batch, int compare)
{
    unsigned         i, runs[LINES_WORKERS];
    uint64_t         mask[KMQ_WORKERS / 64];
    cores_client_t  *c;

    for (i = 0; i < LINES_WORKERS; i++) {
        lines_publish(l, i, batch, compare);
    }

    for (i = 0; i < LINES_WORKERS; i++) {
        c = &l->worker[i];
        runs[i] = kmq_take(c->kmq, &c->batch);

        if (compare) {
            lines_compare(l, i, LINES_TAKE);
        }
    }

    for (i = 0; i < LINES_WORKERS; i++) {
        c = &l->worker[i];

        if (runs[i]) {
            l->confirmed += cores_confirm(c);
        }

        if (compare) {
            lines_compare(l, i, LINES_CONFIRM);
        }

        (void) kmq_wakes(c->kmq, mask);
    }
}


/* ------------------------------------------------------------------ tables */

static void
lines_add(lines_count_t *sum, const lines_count_t *count)
{
    unsigned  operation;

    for (operation = 0; operation < LINES_OPERATIONS; operation++) {
        sum->by[operation] += count->by[operation];
    }

    sum->any += count->any;
    sum->both += count->both;
}


static void
lines_row(const lines_t *l, const char *name, const lines_count_t *sum)
{
    double    times;
    unsigned  operation;

    times = (double) l->rounds * LINES_WORKERS;
    printf("%-21s", name);

    for (operation = 0; operation < LINES_OPERATIONS; operation++) {
        printf("%9.2f", sum->by[operation] / times);
    }

    printf("%9.2f%9.2f\n", sum->any / times, (double) sum->both / l->rounds);
}


/* What is written in nearly each round is not a message: 1 where it is one
 * worker's, 2 where both write it.  0: all the rest. */
static int
lines_kind(const lines_t *l, size_t n)
{
    const lines_count_t  *count;

    if (n == LINES_NUMBER) {
        return 0;
    }

    count = &l->count[n];

    if ((count->any - count->both) * 10 < l->rounds * 9) {
        return 0;
    }

    return count->both * 2 < l->rounds ? 1 : 2;
}


/* A region is adjacent lines of the same kind. */
static void
lines_table(const lines_t *l, unsigned batch, unsigned topics)
{
    char           name[64];
    size_t         n, first;
    lines_count_t  region, rest, all;

    printf("lines that a worker writes, batches of %u, %s; means of %u rounds"
           "\n\n%-21s  publish   bodies     take  confirm      any     both\n",
           batch, topics == 1 ? "one topic" : "a topic each", l->rounds,
           "offset");

    memset(&rest, 0, sizeof(rest));
    memset(&all, 0, sizeof(all));
    memset(&region, 0, sizeof(region));
    first = 0;

    for (n = 0; n < LINES_NUMBER; n++) {
        lines_add(&all, &l->count[n]);

        if (lines_kind(l, n) == 0) {
            lines_add(&rest, &l->count[n]);
            first = n + 1;
            continue;
        }

        lines_add(&region, &l->count[n]);

        if (lines_kind(l, n) != lines_kind(l, n + 1)) {
            sprintf(name, "0x%06zx - 0x%06zx", first * LINES_LINE,
                    (n + 1) * LINES_LINE - 1);
            lines_row(l, name, &region);
            memset(&region, 0, sizeof(region));
            first = n + 1;
        }
    }

    lines_row(l, "here and there", &rest);
    lines_row(l, "all", &all);
    printf("\n");
}


/* -------------------------------------------------------------------- main */

int
cores_lines(unsigned topics)
{
    size_t    b;
    lines_t  *l;
    unsigned  i, round;

    static const unsigned  batches[] = { 1, 64 };

    l = cores_map(sizeof(lines_t));
    l->before = cores_map(LINES_BLOCK);
    l->block = cores_block(LINES_BLOCK);

    for (i = 0; i < LINES_WORKERS; i++) {
        cores_open(&l->worker[i], l->block, LINES_BLOCK, i,
                   topics ? i % topics : i);
    }

    for (round = 0; round < LINES_WARM; round++) {
        lines_round(l, CORES_BATCH / 4, 0);
    }

    for (b = 0; b < sizeof(batches) / sizeof(batches[0]); b++) {
        memset(l->count, 0, sizeof(l->count));
        l->rounds = 0;
        memcpy(l->before, l->block, LINES_BLOCK);

        for (round = 0; round < LINES_ROUNDS; round++) {
            lines_round(l, batches[b], 1);
            lines_count(l);
        }

        lines_table(l, batches[b], topics);
    }

    lines_round(l, 1, 0);

    for (i = 0; i < LINES_WORKERS; i++) {
        while (kmq_take(l->worker[i].kmq, &l->worker[i].batch)) {
            l->confirmed += cores_confirm(&l->worker[i]);
        }

        kmq_detach(l->worker[i].kmq);
    }

    if (l->published != l->confirmed) {
        fprintf(stderr, "kmq-cores: %llu published, %llu confirmed\n",
                (unsigned long long) l->published,
                (unsigned long long) l->confirmed);
        return 1;
    }

    return 0;
}
