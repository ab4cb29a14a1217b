/*
 * The block and the handle: all that lies in shared memory, and all that a
 * process has of its own.  Nothing outside src/engine includes this.
 *
 * kmq_block_t.lock guards everything in the block, except where said.  There
 * is one other kind of lock, kmq_worker_t.alive, which a worker holds for its
 * whole life; it is only ever tried, never waited for, and may be tried with
 * or without the block's lock.
 *
 * The truth, from which kmq_repair() rebuilds all the rest, is: each page's
 * class; each slot's state and what stands in the slot; each client's and
 * topic's state, name and push type, and which parts a topic has; the delivery
 * rings of the consumers.  A change of the truth is made by one store,
 * KMQ_SET, that is ordered against the others.  Lists, counts, grants, timers,
 * the index and free lists are derived.
 */

#ifndef KMQ_BLOCK_H
#define KMQ_BLOCK_H

#include "kmq_base.h"
#include "memory/kmq_memory.h"
#include "worker/kmq_worker.h"
#include "time/kmq_time.h"
#include "journal/kmq_journal.h"


#define KMQ_MAGIC     UINT64_C(0x314b514d6b6f7061)
#define KMQ_VERSION   7

#define KMQ_TOPIC_BUCKETS  4096

struct kmq_block_s {

    /* constant from kmq_block_init() on: read without the lock */
    uint64_t         magic;
    uint32_t         version;
    uint32_t         npages;     /* numbered from 1 */
    uint64_t         size;
    uint64_t         page_zero;  /* offset of page number 0, which is not
                                    there: page 1 follows the page table */
    uint64_t         key[2];     /* of the MessageCodes; restoring sets them */
    uint16_t         class_size[KMQ_CLASSES];    /* bytes of an object, from
                                        KMQ_CLASS_RING on */

    pthread_mutex_t  lock;
    uint32_t         holder;     /* worker that took it last */
    kmq_settings_t   settings;   /* without topic_own and topic_arg */
    uint64_t         configured; /* times they were set */
    uint64_t         repairs;
    uint64_t         mono;       /* ms, as somebody told it lately */
    uint64_t         wall;
    uint64_t         start_time; /* s: the first that somebody told */
    uint64_t         changes;    /* repairs, and else when somebody changed
                                    the readiness of others' consumers */

    uint32_t         fresh_page; /* pages from here on were never used */
    uint32_t         free_page;  /* list of those given back */
    uint32_t         free_pages; /* both together */
    uint32_t         spare_pages;    /* not for messages, so that consumers
                                        can always join and take */
    uint32_t         ring_page;  /* pages of rings with room */
    kmq_table_t      table[KMQ_TABLES];  /* by class, from KMQ_CLASS_TOPIC
                                    on */

    kmq_heap_t       heap[KMQ_HEAPS];
    kmq_ref_t        trash;      /* chains of pieces that are to be freed */

    uint64_t         sequence;   /* the last one given out */
    uint64_t         clients;    /* numbers given out */
    kmq_list_t       leaving;    /* clients that are nobody's any more and give
                                    back what they had, by client->peers */
    uint64_t         waiting;    /* ready and reserved */
    uint64_t         reserved;
    uint64_t         delayed;
    uint64_t         in_flight;
    uint64_t         doomed;     /* of these, KMQ_DELETED */
    uint64_t         dead;
    kmq_list_t       history;    /* consumed, oldest first */
    uint64_t         history_size;   /* bytes of their bodies */
    kmq_ref_t        recent[KMQ_AHEAD];  /* its last ones, in turns */
    uint64_t         nrecent;    /* appended since one was not dropped in its
                                    turn */
    uint64_t         nomem_time; /* mono: when memory was short last */

    kmq_ref_t        index;      /* root */
    uint32_t         index_levels;
    kmq_ref_t        index_node[2];  /* where the last message came and where
                                        the last one went: mostly the next
                                        one does, too */
    uint64_t         index_first[2]; /* their first sequence numbers */

    uint64_t         batch_end;  /* mono: when the next batch may start; read
                                    without the lock by kmq_next_batch() */
    uint32_t         batch_left; /* for whoever asks first */
    uint32_t         window;     /* the number of that batch, and what of it is
                                    still to be given to topics, in rounds: */
    uint32_t         window_left;
    uint32_t         round_rest; /* to so many of them, */
    uint32_t         round_part; /* so much each; */
    uint32_t         round_wanting;      /* who would take more */
    uint32_t         nactive;
    kmq_ref_t        active;     /* topics with ready messages: a circle */
    kmq_list_t       idle;

    kmq_totals_t     totals;
    kmq_totals_t     before;     /* the same, as restored */
    uint64_t         topics;
    uint64_t         producers;
    uint64_t         consumers;
    kmq_period_t     minute[KMQ_MINUTES];
    kmq_period_t     hour[KMQ_HOURS];
    kmq_latency_t    latency;

    kmq_journals_t   journals;

    uint32_t         keeper;     /* worker that turns the wheel, plus 1; 0:
                                    none; read without the lock, too, as is
                                    whatever kmq_next_due() looks at */
    kmq_wheel_t      wheel;
    uint64_t         look_time;  /* mono: of the next look at all clients */
    kmq_walk_t       look_walk;  /* where the current one is; page 0: none */
    uint64_t         check_time; /* mono: of the next look for old messages */
    kmq_walk_t       check_walk; /* where the current look is; page 0: none */
    kmq_ref_t        bucket[KMQ_TOPIC_BUCKETS];
    uint32_t         nstill;     /* workers that stand still */
    uint32_t         nworkers;   /* numbers from here on were never used */
    kmq_worker_t     worker[KMQ_WORKERS];
    kmq_page_t       page[];     /* npages + 1, then as many kmq_cells_t */
};


/* ----------------------------------------------------------------- handle */

/* The handle's own tables, kmq_queue.h. */
typedef struct kmq_own_client_s  kmq_own_client_t;
typedef struct kmq_own_route_s   kmq_own_route_t;

/* One thread uses it: no lock guards it. */
struct kmq_s {
    kmq_block_t         *block;
    unsigned             worker;
    uint64_t             mono;
    uint64_t             wall;
    uint64_t             random;
    kmq_settings_t       settings;    /* as this worker knows them */
    uint64_t             configured;  /* which ones of the block that is */
    uint64_t             changes;     /* seen: local tables fit it */
    int                  repaired;    /* by this handle, and not told yet */
    kmq_waits_pt         waits;
    void                *waits_arg;
    uint64_t             wakes[KMQ_WORKERS / 64];
    int                  has_wakes;
    int                  has_work;
    uint64_t             heard;       /* mono: nothing is overdue before */
    int                  paced;       /* something waits for the next batch */
    int                  blameless;   /* who leaves now is not to blame */

    kmq_own_client_t  *client;
    uint32_t             nclients;    /* allocated */
    uint32_t             free_client;
    kmq_own_route_t   *route;
    uint32_t             nroutes;
    uint32_t             free_route;
    uint32_t             run_stamp;
    kmq_journal_t        journal;
    int                  leaving;     /* it works off the clients that leave */
    int                  reaping;     /* and a dead worker's */
    int                  looking;     /* and looks at all clients */
    int                  pacing;      /* and gives a batch to topics */
    int                  closing;     /* own clients have to go */
    unsigned             reaped;      /* dead workers, not told yet */

    /* what lower rooms ask of higher ones */
    void               (*repair)(kmq_t *kmq);     /* the holder died */
    void               (*resync)(kmq_t *kmq);     /* see changes */
    int                (*drop)(kmq_t *kmq, unsigned max);  /* of the history:
                                         at most max; 0: nothing is left */
};

#endif /* KMQ_BLOCK_H */
