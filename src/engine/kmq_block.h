/*
 * The block, its shards, and the handle: all that lies in shared memory, and
 * all that a process has of its own.  Nothing outside src/engine includes this.
 *
 * What is whose, and which lock guards it:
 *
 *   kmq_shard_t  Topics, by the hash of their names, with all that belongs to
 *                them: messages, clients, routes, memory, index, schedule.
 *                kmq_shard_t.lock guards it.  A handle holds the lock of one
 *                shard at a time, kmq_t.shard; or it tries another's while it
 *                holds one, and never waits for it; or it holds all of them,
 *                taken in the order of their numbers.
 *   kmq_block_t  What shards have in common: pages that are no shard's, room
 *                for messages that wait, the pace, settings, workers.
 *                kmq_block_t.lock, the common lock, guards it, and is taken
 *                last.  It is needed once for many messages.
 *   atomic       Members that say so are read and written without a lock.
 *   alive        kmq_worker_t.alive is held by a worker for its whole life; it
 *                is only ever tried.
 *
 * The truth, from which kmq_repair() rebuilds all the rest of a shard, is: each
 * page's shard and class; each slot's state and what stands in the slot; each
 * client's and topic's state, name and push type, and which parts a topic has;
 * the delivery rings of the consumers; which batches a worker commits.  A
 * change of the truth is made by one store, KMQ_SET, that is ordered against
 * the others.  Lists, counts, grants, timers, the index and free lists are
 * derived.
 */

#ifndef KMQ_BLOCK_H
#define KMQ_BLOCK_H

#include "kmq_base.h"
#include "memory/kmq_memory.h"
#include "worker/kmq_worker.h"
#include "time/kmq_time.h"
#include "journal/kmq_journal.h"


#define KMQ_MAGIC     UINT64_C(0x314b514d6b6f7061)
#define KMQ_VERSION   12

/* Shards at most: there is a bit for each in a word.  A block has one for so
 * many pages, and buckets for names, which its shards share. */
#define KMQ_SHARDS         64
#ifdef KMQ_FAULTS
#define KMQ_SHARD_PAGES    kmq_shard_pages
#else
#define KMQ_SHARD_PAGES    384
#endif
#define KMQ_TOPIC_BUCKETS  4096

/* Buckets of a shard for the ids of consumers. */
#define KMQ_ID_BUCKETS     1024

/* Pages change hands so many at once, or fewer. */
#define KMQ_CHUNK_MAX      16

/* What one writes and another reads is not in the same line. */
#define KMQ_ALIGNED  __attribute__((aligned(KMQ_LINE)))


/* ------------------------------------------------------------------- shard */

/* What a worker has to do in a shard. */
typedef struct {
    kmq_ref_t    dirty;          /* routes with work, in turns */
    kmq_ref_t    dirty_tail;
    uint32_t     ndirty;
    uint32_t     still;          /* the worker's, for which others get what was
                                    granted to it, */
    kmq_ref_t    still_last;     /* up to this dirty route; 0: they have it */
    kmq_list_t   clients;        /* by client->peers */
    kmq_list_t   to_close;       /* of these, by client->to_close */
    kmq_list_t   overdue;        /* consumers whose time has come */
    kmq_list_t   changed;        /* consumers that others have made ready, or
                                    not, by client->changed */
    kmq_list_t   reserved;       /* its slots between reserve and commit */
    kmq_ref_t    pinned;         /* a large message that its checkpoint reads
                                    in parts, or, when it is gone already, */
    kmq_ref_t    kept;           /* its body */
} kmq_duty_t;

struct kmq_shard_s {

    /* constant from kmq_block_init() on: read without the lock */
    uint32_t         number;
    kmq_ref_t        place;      /* of the shard, from the block on */
    uint32_t         npages;     /* of the block, numbered from 1 */
    uint32_t         nbuckets;   /* a power of two */
    uint64_t         page_zero;  /* offset of page number 0, which is not
                                    there, from the shard on; */
    uint64_t         page_table; /* and of what is known of pages: kmq_page_t */
    uint64_t         page_cells; /* of each, kmq_cells_t, */
    uint64_t         page_owner; /* and whose it is: a byte, 0 or the number of
                                    a shard plus 1.  Atomic.  Truth */

    KMQ_ALIGNED
    pthread_mutex_t  lock;
    uint32_t         holder;     /* worker that took it last; atomic */
    uint64_t         waits;      /* times somebody had to wait for it */
    uint64_t         repairs;
    uint64_t         changes;    /* when somebody changed the readiness of
                                    others' consumers: they are in duty, or, */
    uint64_t         upheavals;  /* after these, may be any */

    KMQ_ALIGNED
    uint64_t         sequence;   /* the last number given to a message; */
    uint64_t         sequence_end;   /* those up to here are this shard's, */
    uint64_t         sequence_time;  /* in that second, */
    uint32_t         sequence_epoch; /* and until somebody begins a new one */
    uint32_t         sequence_taken; /* how many it took in that second */
    uint64_t         lsn;        /* of the last record about this shard */
    uint64_t         waiting;    /* ready and reserved */
    uint64_t         room;       /* so many may wait; see kmq_room.c */
    uint64_t         reserved;
    uint64_t         delayed;
    uint64_t         retrying;   /* of these messages' topics, too */
    uint64_t         in_flight;
    uint64_t         doomed;     /* of these, KMQ_DELETED */
    uint64_t         dead;
    kmq_list_t       history;    /* consumed, oldest first */
    uint64_t         history_size;   /* bytes of their bodies */
    uint64_t         nrecent;    /* appended since one was not dropped in its
                                    turn */
    uint64_t         nomem_time; /* mono: when memory was short last */
    uint64_t         elder_time; /* s: when it was looked, */
    uint32_t         elder;      /* which shard has older history, plus 1 */

    uint32_t         pages;      /* its own; atomic: others may read it */
    uint32_t         free_page;  /* list of those that are free */
    uint32_t         free_pages;
    uint32_t         ring_page;  /* pages of rings with room */
    int              all_pages;  /* a repair: it may use all there are */
    int              marking;    /* a repair: cells in use are marked, and the
                                    index is made of whole pages meanwhile */
    int              strayed;    /* parts of bodies may lie in pages of the
                                    index.  Truth */
    kmq_ref_t        trash;      /* chains of pieces that are to be freed */

    kmq_ref_t        index;      /* root */
    uint32_t         index_levels;
    kmq_ref_t        index_node[2];  /* where the last message came and where
                                        the last one went: mostly the next
                                        one does, too */
    uint64_t         index_first[2]; /* their first sequence numbers */

    uint32_t         nactive;
    uint32_t         npushing;   /* of these, with ready consumers; others read
                                    it without the lock */
    kmq_ref_t        active;     /* topics with ready messages: a circle */
    uint32_t         window;     /* the last window of the pace in which it got
                                    its part; what is left of that is given to
                                    topics, in rounds: */
    uint32_t         window_left;
    uint32_t         round_rest; /* to so many of them, */
    uint32_t         round_part; /* so much each; */
    uint32_t         round_wanting;      /* who would take more */

    kmq_totals_t     totals;
    kmq_period_t     minute;     /* the current ones, see kmq_counts.c */
    kmq_period_t     hour;
    kmq_latency_t    latency;

    kmq_heap_t       heap[KMQ_HEAPS];
    kmq_ref_t        recent[KMQ_AHEAD];  /* the history's last ones, in turns */

    kmq_table_t      table[KMQ_TABLES];  /* by class, from KMQ_CLASS_TOPIC
                                    on */
    kmq_list_t       leaving;    /* clients that are nobody's any more and give
                                    back what they had, by client->peers */
    kmq_list_t       apart;      /* consumers that are nobody's, and keep what
                                    they have, by client->peers; */
    kmq_list_t       lapsed;     /* of these, whose time has come, by their
                                    timers */
    uint64_t         leases;     /* of those that are apart, */
    uint64_t         parked;     /* and the others */
    kmq_list_t       idle;       /* topics */
    uint64_t         topics;
    uint64_t         producers;
    uint64_t         consumers;
    uint64_t         resting;    /* of these */
    uint64_t         failures[KMQ_REASONS];  /* of messages, by reason */
    uint64_t         look_time;  /* mono: of the next look at all clients */
    kmq_walk_t       look_walk;  /* where the current one is; page 0: none */
    kmq_walk_t       check_walk; /* where the look for old messages is; page
                                    0: there is none now */

    kmq_wheel_t      wheel;
    kmq_duty_t       duty[KMQ_WORKERS];
    kmq_ref_t        id_bucket[KMQ_ID_BUCKETS];  /* consumers that settle, by
                                    their ids */
    kmq_ref_t        bucket[];   /* nbuckets: topics by their names */
};


/* ------------------------------------------------------------------- block */

/* The pace of all pushes.  The common lock guards it. */
typedef struct {
    uint64_t         end;        /* mono: when the next window may begin.
                                    Atomic */
    uint32_t         window;     /* its number, atomic */
    uint32_t         left;       /* for whoever asks first.  Atomic */
    uint64_t         wanting;    /* shards that would take more, as bits */
    uint32_t         part[KMQ_SHARDS];   /* of shards that did not take it
                                            yet */
} kmq_pace_t;

struct kmq_block_s {

    /* constant from kmq_block_init() on: read without a lock */
    uint64_t         magic;
    uint32_t         version;
    uint32_t         npages;     /* numbered from 1 */
    uint64_t         size;
    uint64_t         key[2];     /* of the MessageCodes; restoring sets them */
    uint32_t         nshards;
    uint32_t         shard_zero; /* offset of the first one, */
    uint32_t         shard_size; /* and of each to the next */
    uint32_t         chunk;      /* pages that change hands at once */
    uint16_t         class_size[KMQ_CLASSES];    /* bytes of an object, from
                                        KMQ_CLASS_RING on */

    /* written seldom: by whoever has the common lock, but read without it */
    KMQ_ALIGNED
    kmq_settings_t   settings;   /* without topic_own and topic_arg */
    uint64_t         configured; /* times they were set */
    uint32_t         keeper;     /* worker that turns the wheels, plus 1; 0:
                                    none.  Atomic */
    uint32_t         keepers;    /* times somebody became that.  Atomic */
    uint32_t         nstill;     /* workers that stand still.  Atomic */
    uint32_t         uncounted;  /* somebody has died: free_pages and room may
                                    be wrong.  Atomic */
    uint32_t         nworkers;   /* numbers from here on were never used.
                                    Atomic */
    uint32_t         epoch;      /* numbers of messages that were taken before
                                    are not given out any more.  Atomic */

    /* atomic */
    KMQ_ALIGNED
    uint64_t         sequence;   /* numbers from here on are nobody's */
    KMQ_ALIGNED
    uint64_t         lsn;        /* the last record number given out */
    KMQ_ALIGNED
    uint32_t         free_pages; /* of no shard; see kmq_page_sum() */
    uint32_t         next_page;  /* where one may be */
    uint32_t         spare_pages;    /* not for messages, so that consumers
                                        can always join and take */
    KMQ_ALIGNED
    int64_t          room;       /* so many more messages may wait than shards
                                    have room for; see kmq_room.c */
    KMQ_ALIGNED
    uint64_t         due[KMQ_SHARDS];    /* mono: when the keeper has to turn a
                                            shard's wheel */

    /* the common lock guards all that follows */
    KMQ_ALIGNED
    pthread_mutex_t  lock;
    uint32_t         holder;     /* atomic */
    uint64_t         waits;
    uint64_t         repairs;
    kmq_pace_t       pace;
    uint64_t         mono;       /* ms, as somebody told it lately */
    uint64_t         wall;
    int64_t          wall_ahead; /* ms, of mono, kmq_search.c.  Atomic */
    uint64_t         start_time; /* s: the first that somebody told */
    uint32_t         stills;     /* times a worker was found so */
    uint64_t         clients;    /* numbers given out.  Atomic */
    kmq_journals_t   journals;

    kmq_totals_t     before;     /* the totals, as restored */
    kmq_period_t     minute[KMQ_MINUTES];
    kmq_period_t     hour[KMQ_HOURS];

    kmq_worker_t     worker[KMQ_WORKERS];
};

/* The block that a shard is part of, and a shard of a block. */
#define KMQ_BLOCK(shard)                                                     \
    ((kmq_block_t *) ((unsigned char *) (shard)                              \
                      - (size_t) (shard)->place * 8))
#define KMQ_SHARD(block, n)                                                  \
    ((kmq_shard_t *) ((unsigned char *) (block) + (block)->shard_zero        \
                      + (size_t) (n) * (block)->shard_size))

/* All shards, and one, as bits. */
#define KMQ_ALL(block)  (UINT64_MAX >> (64 - (block)->nshards))
#define KMQ_BIT(shard)  (UINT64_C(1) << (shard)->number)

/*
 * Members that are atomic, which is enough for each of them alone; and those of
 * another shard that its worker may be changing, of which about is enough.
 */
#define KMQ_GET(member)         __atomic_load_n(&(member), __ATOMIC_RELAXED)
#define KMQ_PUT(member, value)                                               \
    __atomic_store_n(&(member), (value), __ATOMIC_RELAXED)

#ifdef __SANITIZE_THREAD__
#define KMQ_UNCHECKED  __attribute__((no_sanitize("thread")))
#else
#define KMQ_UNCHECKED
#endif

KMQ_UNCHECKED static inline uint64_t
kmq_peek(const uint64_t *member)
{
    return *(const volatile uint64_t *) member;
}


/* ----------------------------------------------------------------- handle */

/* The handle's own tables, kmq_queue.h. */
typedef struct kmq_own_client_s  kmq_own_client_t;
typedef struct kmq_own_route_s   kmq_own_route_t;

/* One thread uses it: no lock guards it. */
struct kmq_s {
    kmq_block_t         *block;
    kmq_shard_t         *shard;       /* whose lock it has, or had last; or
                                         where it works without one */
    unsigned             worker;
    unsigned             in_common;   /* times it has taken the common lock */
    uint64_t             mono;
    uint64_t             wall;
    uint64_t             random;
    kmq_settings_t       settings;    /* as this worker knows them */
    uint64_t             configured;  /* which ones of the block that is */
    uint64_t             changes[KMQ_SHARDS];    /* seen: local tables fit, */
    uint64_t             upheavals[KMQ_SHARDS];  /* and these */
    int                  repaired;    /* by this handle, and not told yet */
    unsigned             reaped;      /* dead workers, not told yet */
    kmq_waits_pt         waits;
    void                *waits_arg;
    uint64_t             wakes[KMQ_WORKERS / 64];
    int                  has_wakes;

    /* what it has to do; shards as bits */
    uint64_t             work;        /* to look at */
    unsigned             settled;     /* where something was settled last */
    unsigned             turn;        /* the one that is looked at next, */
    unsigned             turn_left;   /* and how many batches it has */
    uint64_t             closing;     /* own clients have to go */
    uint64_t             heard;       /* mono: nothing is overdue before; */
    uint64_t             unheard;     /* something may be then */
    uint64_t             check_time;  /* mono: when the keeper looks for old */
    uint64_t             check;       /* messages; it has not begun yet, */
    uint64_t             aging;       /* and some may be there */
    uint64_t             due_next;    /* mono: the keeper has to turn a wheel,
                                         but not before, */
    uint32_t             keepers;     /* as long as it is the same one */
    uint64_t             late_time;   /* mono: of the next look whether the
                                         keeper is late */
    int                  paced;       /* something waits for the next batch */
    int                  reaping;     /* dead workers held more */
    int                  blameless;   /* what ends now is no failure */

    uint64_t             batch;       /* the last one's number */

    kmq_own_client_t    *client;
    uint32_t             nclients;    /* allocated */
    uint32_t             free_client;
    kmq_own_route_t     *route;
    uint32_t             nroutes;
    uint32_t             free_route;
    uint32_t             run_stamp;
    kmq_journal_t        journal;

    /* what lower rooms ask of higher ones */
    void               (*repair)(kmq_t *kmq);     /* the shard's holder died */
    void               (*repair_common)(kmq_t *kmq);  /* the common lock's */
    void               (*resync)(kmq_t *kmq);     /* see changes */
    int                (*drop)(kmq_t *kmq, unsigned max);  /* of the history:
                                         at most max; 0: nothing is left */
};

#endif /* KMQ_BLOCK_H */
