/*
 * What lies in the block: the engine's own view.  Nothing outside
 * src/engine includes this.
 *
 * Everything here is guarded by kmq_block_t.lock, except where said.  There
 * is one other kind of lock, kmq_worker_t.alive, which a worker holds for its
 * whole life; it is only ever tried, never waited for, and may be tried with
 * or without the block's lock.
 *
 * The truth, from which kmq_repair() rebuilds all the rest, is: each page's
 * class; each slot's state and what stands in the slot; each client's and
 * topic's state, name and push type, and which parts a topic has; the delivery
 * rings of the consumers.  A change of the truth is made by one store, KMQ_SET,
 * that is ordered against the others.  Lists, counts, grants, timers, the index
 * and free lists are derived.
 */

#ifndef KMQ_BLOCK_H
#define KMQ_BLOCK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "kmq.h"
#include "journal/kmq_record.h"


#define KMQ_MAGIC     UINT64_C(0x314b514d6b6f7061)
#define KMQ_VERSION   6

/* Stores that another process relies on when this one dies in between. */
#define KMQ_SET(member, value)                                               \
    do {                                                                     \
        atomic_signal_fence(memory_order_seq_cst);                           \
        (member) = (value);                                                  \
        atomic_signal_fence(memory_order_seq_cst);                           \
    } while (0)

/* One step of a loop under the lock: tests hold the loops against the bounds
 * that they have. */
#ifdef KMQ_FAULTS
#define KMQ_POINT(name)  do { if (kmq_fault) { kmq_fault(name); } } while (0)
#define KMQ_STEP()       ((void) kmq_steps++)
#else
#define KMQ_POINT(name)
#define KMQ_STEP()       ((void) 0)
#endif

/* Times under the lock are bounded: whatever depends on how many messages,
 * clients or topics there are goes on in slices of about so many steps, each
 * some hundred nanoseconds. */
#ifdef KMQ_FAULTS
#define KMQ_SLICE     kmq_slice
#else
#define KMQ_SLICE     512
#endif

#define KMQ_AT(block, ref)                                                   \
    ((void *) ((unsigned char *) (block) + (size_t) (ref) * 8))
#define KMQ_REF(block, p)                                                    \
    ((kmq_ref_t) (((unsigned char *) (p) - (unsigned char *) (block)) / 8))


/* ---------------------------------------------------------------- memory */

#define KMQ_PAGE_SIZE    8192
#define KMQ_CLASS_MESSAGE 1      /* cells; such pages are given back when all */
#define KMQ_CLASS_INDEX  2       /* of them are free, as are those */
#define KMQ_CLASS_RING   3       /* of kmq_ring_t */
#define KMQ_CLASS_TOPIC  4       /* the tables: their pages stay */
#define KMQ_CLASS_CLIENT 5
#define KMQ_CLASS_ROUTE  6
#define KMQ_CLASS_NAME   7       /* parts of topics, see kmq_part_t */
#define KMQ_CLASS_MINUTES 8
#define KMQ_CLASS_DAYS   9
#define KMQ_CLASSES      10

#define KMQ_CELL         16
#define KMQ_LINE         64      /* of a cache */
#define KMQ_PAGE_CELLS   (KMQ_PAGE_SIZE / KMQ_CELL)
#define KMQ_BINS         64      /* lists of holes */

/* Bits for the cells of a page. */
typedef struct {
    uint64_t     slot[KMQ_PAGE_CELLS / 64];  /* a slot begins here.  Truth */
    uint64_t     edge[KMQ_PAGE_CELLS / 64];  /* a hole begins or ends here;
                                                in a repair: it is in use */
} kmq_cells_t;

typedef struct {
    uint8_t      class;          /* 0: free.  Truth */
    uint16_t     size;           /* of the class's objects; not of cells, as
                                    all but the links that follow */
    uint16_t     capacity;       /* how many of them fit */
    uint16_t     used;           /* objects that are allocated */
    uint16_t     fresh;          /* objects from this one on were never used */
    kmq_ref_t    free;           /* freed objects, linked by their 1st word */
    uint32_t     next;           /* pages of rings with room; a table's; free
                                    pages */
    uint32_t     prev;
} kmq_page_t;

/* The free cells of the pages of a class, which the first two are. */
#define KMQ_HEAP_MESSAGES  0
#define KMQ_HEAP_INDEX     1
#define KMQ_HEAPS          2

typedef struct {
    uint64_t     free_cells;
    uint64_t     holes;          /* a bit for each list that is not empty */
    kmq_ref_t    hole[KMQ_BINS]; /* by length */
    kmq_ref_t    cursor;         /* the hole that is cut up at present */
    uint32_t     cursor_cells;
} kmq_heap_t;

/* A walk over all objects of a class; zeroed at the start. */
typedef struct {
    uint32_t     page;
    uint32_t     index;
} kmq_walk_t;

#define KMQ_WALK_SLOTS   32      /* that are met at once */

/* What makes an object a member of a list.  A list refers to the links; that
 * is the object where the link is its first member. */
typedef struct {
    kmq_ref_t    next;
    kmq_ref_t    prev;
} kmq_link_t;

typedef struct {
    kmq_ref_t    head;
    kmq_ref_t    tail;
    uint64_t     count;
} kmq_list_t;

/* The first member of what may lie on the schedule. */
typedef struct {
    kmq_link_t   link;
    uint64_t     due:56;         /* ms, mono, see kmq_due() */
    uint64_t     level:8;        /* of the wheel, where it lies */
} kmq_timer_t;

/* A piece of a body. */
typedef struct {
    kmq_ref_t    next;           /* of a chain, or one of these */
    uint16_t     size;           /* bytes of data; not there in a single one */
} kmq_piece_t;

#define KMQ_SINGLE       0       /* the only one, as large as the slot says */
#define KMQ_LAST         1       /* the last one of a chain */

#define KMQ_PIECE_HEAD   4       /* before the data of a single one; */
#define KMQ_CHAIN_HEAD   6       /* of one in a chain */


/* --------------------------------------------------------------- messages */

#define KMQ_FREE       0
#define KMQ_RESERVED   1         /* being written by worker owner */
#define KMQ_READY      2
#define KMQ_IN_FLIGHT  3         /* in the rings of pending consumers */
#define KMQ_CONSUMED   4         /* history */
#define KMQ_DELAYED    5         /* in the schedule */
#define KMQ_DEAD       6         /* given up */

/* Checkpoints take larger messages in parts of so many bytes. */
#define KMQ_PART       (128 * 1024)

/* Consumed messages are dropped so many at a time, and memory is asked for
 * when the one so many before is: several hundred nanoseconds earlier. */
#define KMQ_DROP       16
#define KMQ_AHEAD      64

/* flags of a message in flight */
#define KMQ_CONFIRMED  1         /* somebody consumed it */
#define KMQ_SHARED     2         /* it is in the topic's log */
#define KMQ_DELETED    4         /* it goes when its delivery ends */

/* and of a reserved one */
#define KMQ_WRITTEN    8         /* it is in the journal, and counted */

typedef struct {
    union {
        struct {
            kmq_ref_t    next;   /* ready, log, dead, history, reserved */
            kmq_ref_t    prev;
        };

        kmq_link_t       link;
        kmq_timer_t      timer;  /* due: when a delayed message becomes ready;
                                    0: it was not delayed */
    };

    kmq_ref_t    topic;
    kmq_ref_t    body;           /* first piece */
    uint32_t     size;
    uint32_t     owner;          /* reserved: worker; ready: ms, mono, when
                                    it became so, where it was never pushed;
                                    point to point in flight: client;
                                    consumed: the slot that was consumed
                                    KMQ_AHEAD later, a hint, or 0 */
    union {
        struct {                 /* in flight */
            uint32_t     position;   /* of the last delivery */
            uint32_t     pending;    /* consumers that have not confirmed */
        };

        kmq_link_t       kept;   /* consumed: the topic's history */
    };

    uint64_t     sequence;       /* tells two uses of the slot apart */
    uint32_t     create_time;    /* s */
    uint32_t     state_time;     /* s: when it was consumed, died or was
                                    requeued; else 0 */
    uint32_t     delay;          /* s */
    uint16_t     attempts;       /* deliveries begun */
    uint8_t      state;
    uint8_t      flags;
} kmq_slot_t;

#define KMQ_SLOT_CELLS  (sizeof(kmq_slot_t) / KMQ_CELL)

_Static_assert(sizeof(kmq_slot_t) == 64, "a slot is four cells");

#define KMQ_KEPT_SLOT(link)                                                  \
    ((kmq_slot_t *) ((unsigned char *) (link) - offsetof(kmq_slot_t, kept)))

_Static_assert(offsetof(kmq_slot_t, kept) % 8 == 0, "a list can refer to it");


/* ------------------------------------------------------------------ index */

#define KMQ_LEAF_BITS    4
#define KMQ_LEAF_SIZE    (1 << KMQ_LEAF_BITS)
#define KMQ_INDEX_BITS   3
#define KMQ_INDEX_SIZE   (1 << KMQ_INDEX_BITS)
#define KMQ_INDEX_LEVELS 21      /* of the tree: all of a sequence number */
#define KMQ_NODE_NUMBERS (KMQ_INDEX_SIZE * KMQ_LEAF_SIZE)

/* A node of the index of all messages by their sequence numbers. */
typedef struct {
    uint32_t     oldest;         /* bounds of create_time below; */
    uint32_t     newest;         /* they never shrink */
    kmq_ref_t    child[KMQ_INDEX_SIZE];     /* nodes; in the lowest, leaves */
    uint8_t      count[KMQ_INDEX_SIZE];     /* in the lowest: their messages */
} kmq_index_t;


/* ---------------------------------------------- topics, routes, deliveries */

/* The first of kmq_totals_t: those that a topic has. */
typedef struct {
    uint64_t     published;
    uint64_t     delivered;
    uint64_t     redelivered;
    uint64_t     confirmed;
    uint64_t     died;
    uint64_t     expired;
    uint64_t     refused;
} kmq_topic_totals_t;

_Static_assert(sizeof(kmq_topic_totals_t)
               == KMQ_TOPIC_TOTALS * sizeof(uint64_t)
               && offsetof(kmq_topic_totals_t, refused)
                  == offsetof(kmq_totals_t, refused),
               "totals are copied as they are");

/* What is counted of a topic in a minute or a day (UTC): no more than 48 bits
 * hold. */
typedef struct {
    uint64_t     published:48;
    uint64_t     number_low:16;  /* as in kmq_period_t; 0: none */
    uint64_t     delivered:48;
    uint64_t     number_high:16;
    uint64_t     confirmed:48;
    uint64_t     unused:16;
} kmq_topic_period_t;

#define KMQ_FEW          2       /* periods that each topic has room for */
#define KMQ_NAME_SHORT   48      /* bytes of a name, too */

#define KMQ_TOPIC_PARTS  3

typedef struct {
    kmq_ref_t    next;           /* free list; same hash */
    uint8_t      used;
    uint8_t      push_type;      /* of its consumers; changes when the last of
                                    them has gone.  Truth */
    uint8_t      name_len;
    uint8_t      active:1;       /* it has ready messages */
    uint8_t      idle:1;         /* it may be forgotten */
    uint32_t     hash;
    uint32_t     position;       /* the last one given out */

    kmq_topic_settings_t  settings;
    uint64_t     configured;     /* which settings these are */

    kmq_list_t   ready;
    kmq_list_t   log;            /* publish/subscribe: in flight, in order */
    kmq_list_t   history;        /* consumed, oldest first, by slot->kept */
    kmq_list_t   dead;           /* oldest first */
    uint64_t     granted;        /* of ready: sum of the routes' grants */
    uint64_t     delayed;        /* in the schedule */
    uint64_t     in_flight;      /* without KMQ_DELETED ones */
    uint64_t     held;           /* slots that name this topic */
    uint32_t     allotted;       /* publish/subscribe, paced: may go now, */
    uint32_t     window;         /* in that window alone */
    uint32_t     consumers;
    uint32_t     matching;       /* of these, of the topic's push_type: the
                                    others wait until these have gone */
    uint32_t     producers;
    uint32_t     ready_consumers;    /* sum of the routes' */
    kmq_ref_t    routes;

    kmq_ref_t    active_next;    /* topics with ready messages */
    kmq_ref_t    active_prev;
    kmq_ref_t    idle_next;      /* topics that may be forgotten */
    kmq_ref_t    idle_prev;

    kmq_ref_t    part[KMQ_TOPIC_PARTS];  /* by class, from KMQ_CLASS_NAME on:
                                    what does not fit here; 0: it does.
                                    Truth */

    kmq_topic_totals_t  totals;

    union {
        kmq_topic_totals_t  before;      /* the same, as restored */
        uint64_t            restored;    /* while that goes on: totals count
                                            all up to this record */
    };

    kmq_topic_period_t  few[2][KMQ_FEW];     /* minutes, days */
    char         name[KMQ_NAME_SHORT];
} kmq_topic_t;

_Static_assert(sizeof(kmq_topic_t) == 448, "18 topics are a page");

/*
 * A part of a topic that most have no need of: a long name, or all of its
 * minutes or days.  It is in use when the topic that it names is, and has it.
 */
typedef struct {
    kmq_ref_t    next;           /* free list */
    kmq_ref_t    topic;
} kmq_part_t;

typedef struct {
    kmq_part_t   part;
    char         name[KMQ_NAME_MAX];
} kmq_name_t;

/* A period is at its number modulo the number of them: KMQ_TOPIC_MINUTES or
 * KMQ_DAYS; in the topic itself, KMQ_FEW. */
typedef struct {
    kmq_part_t   part;
    kmq_topic_period_t  period[];
} kmq_periods_t;

typedef struct {
    kmq_ref_t    next;           /* free list */
    kmq_ref_t    topic;
    kmq_ref_t    topic_next;     /* the topic's routes */
    kmq_ref_t    dirty_next;     /* the worker's routes with work */
    uint32_t     worker;
    uint32_t     local;          /* index in the worker's handle */
    uint32_t     consumers;
    uint32_t     ready;          /* of these, can take a message now */
    uint64_t     grant;          /* messages that this route may take */
    uint8_t      used;
    uint8_t      dirty;
} kmq_route_t;

/* One message in flight with one consumer. */
typedef struct {
    kmq_ref_t    slot;           /* 0: confirmed.  Truth */
    uint32_t     position;
    uint32_t     time;           /* ms, mono: of the last push or extension */
    uint16_t     attempts;       /* pushes to this consumer */
    uint16_t     returned;       /* it wants to be pushed it again */
} kmq_delivery_t;

#define KMQ_RING_SIZE    512
#define KMQ_RING_COUNT   ((KMQ_RING_SIZE - 16) / sizeof(kmq_delivery_t))

/* A consumer's deliveries, oldest first, in a chain of these. */
typedef struct {
    kmq_ref_t       next;        /* Truth */
    kmq_ref_t       prev;
    uint16_t        first;       /* entries before it are done */
    uint16_t        count;       /* entries that were ever used.  Truth */
    uint16_t        open;        /* entries that are not confirmed */
    kmq_delivery_t  entry[KMQ_RING_COUNT];
} kmq_ring_t;

_Static_assert(sizeof(kmq_ring_t) <= KMQ_RING_SIZE, "a part of a ring");

#define KMQ_LEAVING  3           /* a consumer that gives back its backlog */

#define KMQ_TOLD     3           /* closing */

/* where a consumer's timer is */
#define KMQ_IDLE       0
#define KMQ_SCHEDULED  1         /* on the wheel */
#define KMQ_OVERDUE    2         /* in its worker's list */

typedef struct {
    union {
        kmq_ref_t    next;       /* free list */
        kmq_timer_t  timer;      /* when a confirmation may be overdue */
    };

    kmq_link_t   peers;          /* the worker's clients, or the leaving */
    kmq_link_t   to_close;       /* the worker's that have to go */

    uint8_t      timed;
    uint8_t      stalled;        /* something waits to be pushed again until
                                    the connection takes bytes */
    uint8_t      disordered;     /* the times in its ring do not just grow */
    uint8_t      push_type;      /* which it came for.  Truth */
    uint8_t      role;           /* 0, KMQ_PRODUCER, KMQ_CONSUMER or
                                    KMQ_LEAVING.  Truth */
    uint8_t      open;           /* its connection takes bytes */
    uint8_t      ready;          /* counted in its route's ready */
    uint8_t      closing;        /* why it has to go: KMQ_TOO_SLOW, ..., or
                                    KMQ_TOLD: its worker knows */
    uint8_t      blameless;      /* leaving: it is not to blame */
    uint32_t     worker;
    uint32_t     local;          /* index in the worker's handle */
    kmq_ref_t    topic;
    kmq_ref_t    route;
    uint32_t     prefetch;
    uint32_t     limit;          /* prefetch, or less while its ring cannot
                                    grow for want of memory */
    uint32_t     in_flight;
    kmq_ref_t    ring;           /* oldest part.  Truth */
    kmq_ref_t    ring_tail;
    kmq_ref_t    found;          /* the part where a message was found last */
    kmq_ref_t    look;           /* and where a look for what is overdue goes
                                    on, or 0 */
    uint64_t     look_due;       /* mono: so far, when there is the next one */

    /* what it gave back last, behind which the next ones belong */
    kmq_ref_t    returned;
    uint64_t     returned_sequence;

    uint32_t     next_position;  /* publish/subscribe: what it has not been
                                    pushed yet begins here.  Truth */
    uint32_t     last_position;  /* leaving: and ends here.  Truth */
    kmq_ref_t    cursor;         /* slot of next_position, where known;
                                    leaving: of last_position */

    uint64_t     messages;       /* pushed to a consumer; a producer's are
                                    written by its worker alone, without the
                                    lock, as is */
    uint32_t     last_seen;      /* s */
    uint32_t     mode;
    uint64_t     confirmed;
    uint64_t     join_time;
    uint64_t     number;
    uint16_t     id_len;
    uint16_t     addr_len;
    char         id[KMQ_NAME_MAX];
    char         addr[KMQ_ADDR_MAX];
} kmq_client_t;

#define KMQ_CLIENT_OF(link, member)                                          \
    ((kmq_client_t *) ((unsigned char *) (link)                              \
                       - offsetof(kmq_client_t, member)))

_Static_assert(offsetof(kmq_client_t, peers) % 8 == 0
               && offsetof(kmq_client_t, to_close) % 8 == 0,
               "lists can refer to them");


/* --------------------------------------------------------------- schedule */

/* As many bytes as kmq_timer_t.due has. */
#define KMQ_WHEEL_LEVELS  7
#define KMQ_WHEEL_SIZE    256
#define KMQ_WHEEL_SLICE   1024   /* timers moved under one lock */

/* See kmq_schedule.c. */
typedef struct {
    uint64_t     now;            /* mono: all before it is ready */
    uint64_t     next;           /* mono: what the keeper waits for */
    uint64_t     count;          /* timers on it */
    uint64_t     used[KMQ_WHEEL_LEVELS][KMQ_WHEEL_SIZE / 64];
    kmq_list_t   bucket[KMQ_WHEEL_LEVELS][KMQ_WHEEL_SIZE];
} kmq_wheel_t;


/* ---------------------------------------------------------------- journal */

/* What all journals of the block have in common. */
typedef struct {
    uint64_t     lsn;            /* the last record number given out */
    uint64_t     generation;     /* of the files that are written now */
    uint64_t     start;          /* lsn when it began */
    uint64_t     bytes;          /* written to journals since */
    uint64_t     losses;         /* times records were lost on their way */
    uint64_t     complete;       /* generation of the last checkpoint */
    uint64_t     covered;        /* losses before it, which it made good */
    uint64_t     size;           /* its bytes */
    uint64_t     time;           /* s: when it was complete */
    uint64_t     untold;         /* no journal says which numbers recovery has
                                    passed over */
} kmq_journals_t;


/* ------------------------------------------------------------------ block */

typedef struct {
    pthread_mutex_t  alive;      /* held by the worker while it lives */
    int              pid;
    uint32_t         attached;   /* its handle has not been closed */
    uint32_t         retired;    /* it is about to end */
    uint32_t         signalled;  /* told to look at its dirty routes */
    uint64_t     seen;           /* mono: it did something; see kmq_still.c */
    uint32_t     still;          /* it has not since */
    kmq_ref_t    still_last;     /* up to this dirty route, others get what
                                    was granted to it; 0: they have it */
    int              disk_error; /* errno of its last flush */
    uint64_t         flush_time; /* s: of the last one that did not fail */
    kmq_ref_t        dirty;      /* routes with work, in turns */
    kmq_ref_t        dirty_tail;
    kmq_list_t       clients;    /* by client->peers */
    kmq_list_t       to_close;   /* of these, by client->to_close */
    kmq_list_t       overdue;    /* consumers whose time has come */
    kmq_list_t       reserved;   /* its slots between reserve and commit */
    kmq_ref_t        pinned;     /* a large message that its checkpoint reads in
                                    parts, or, when it is gone already, */
    kmq_ref_t        kept;       /* its body */
} kmq_worker_t;

#define KMQ_TOPIC_BUCKETS  4096

/* One of the tables of fixed records whose pages are never given back. */
typedef struct {
    kmq_ref_t    free;
    uint32_t     first;          /* pages, linked by their next */
    uint32_t     last;
} kmq_table_t;

#define KMQ_TABLES  (KMQ_CLASSES - KMQ_CLASS_TOPIC)

typedef struct {
    uint64_t         magic;
    uint32_t         version;
    uint32_t         npages;     /* numbered from 1 */
    uint64_t         size;
    uint64_t         page_zero;  /* offset of page number 0, which is not
                                    there: page 1 follows the page table */
    uint64_t         key[2];     /* of the MessageCodes; constant */

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

    uint64_t         batch_end;  /* mono: when the next batch may start */
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
                                    none */
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
} kmq_block_t;


/* ----------------------------------------------------------------- handle */

/* A client of this handle. */
typedef struct {
    void        *user;
    kmq_ref_t    client;         /* 0: free */
    uint32_t     route;          /* index in kmq_t.route; free: next one */
    uint32_t     ready_index;    /* in the route's ready[], NOT_READY else */
    uint32_t     run;            /* kmq_take(): messages in this batch */
    uint32_t     run_stamp;
} kmq_local_client_t;

/* A route of this handle with the consumers that can take a message. */
typedef struct {
    kmq_ref_t    route;          /* 0: free */
    uint32_t    *ready;          /* indices in kmq_t.client */
    uint32_t     nready;
    uint32_t     served;         /* publish/subscribe: so many, the first ones,
                                    have been pushed all up to */
    uint32_t     position;
    uint32_t     allocated;
    uint32_t     next_free;
} kmq_local_route_t;

#define KMQ_NOT_READY  UINT32_MAX

/* The records that this handle has gathered. */
typedef struct {
    int                  on;
    kmq_buffer_t         buffer;
    uint64_t             lsn;         /* of its last record */
    size_t               last;        /* where that is; it grows as long as
                                         no other handle writes one */
    uint32_t             last_size;   /* 0: it does not */
    uint64_t             sequence;    /* the last one in it */
    kmq_ref_t            topic;       /* whose counts are in it */
} kmq_journal_t;

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

    kmq_local_client_t  *client;
    uint32_t             nclients;    /* allocated */
    uint32_t             free_client;
    kmq_local_route_t   *route;
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
};


/* kmq_block.c */

/* Takes and releases the block's lock; repairs first when its last holder
 * died. */
void kmq_lock(kmq_t *kmq);
void kmq_unlock(kmq_t *kmq);

uint64_t kmq_random(kmq_t *kmq);

/* All that follows expects the lock to be held. */

void kmq_clock_keep(kmq_t *kmq);

/* kmq_worker.c */
int  kmq_worker_lives(kmq_t *kmq, unsigned worker);
void kmq_worker_reap_dead(kmq_t *kmq);

/* kmq_keeper.c */
void kmq_worker_tell(kmq_t *kmq, unsigned worker);
void kmq_keeper_tell(kmq_t *kmq);
int  kmq_keeper_wanted(const kmq_t *kmq);
void kmq_keeper_set(kmq_t *kmq, unsigned worker);
void kmq_keeper_retire(kmq_t *kmq);
void kmq_keeper_replace(kmq_t *kmq, unsigned worker);

/* kmq_still.c */
void kmq_still_end(kmq_block_t *b, unsigned worker);
void kmq_still_seen(kmq_t *kmq);
int  kmq_still_find(kmq_t *kmq);
int  kmq_still_run(kmq_t *kmq);

/* kmq_memory.c */
void      kmq_memory_init(kmq_block_t *b);
void      kmq_memory_spare(kmq_block_t *b, int spare);
uint64_t  kmq_memory_free(const kmq_block_t *b);
uint32_t  kmq_page_of(const kmq_block_t *b, kmq_ref_t ref);
kmq_ref_t kmq_page_ref(const kmq_block_t *b, uint32_t page);
uint32_t  kmq_page_take(kmq_block_t *b, unsigned class, int spare);
void      kmq_page_give(kmq_block_t *b, uint32_t page);
unsigned  kmq_class_of(const kmq_block_t *b, kmq_ref_t object);
size_t    kmq_class_size(unsigned class);
void     *kmq_record_alloc(kmq_t *kmq, unsigned class);
void      kmq_record_free(kmq_block_t *b, unsigned class, void *record);
int       kmq_record_used(kmq_block_t *b, unsigned class, void *record);
kmq_ref_t kmq_record_free_list(const kmq_block_t *b, unsigned class);
void     *kmq_record_at(kmq_block_t *b, unsigned class, kmq_ref_t ref);
void     *kmq_record_next(kmq_block_t *b, unsigned class, kmq_walk_t *walk);
void     *kmq_table_next(kmq_block_t *b, unsigned class, kmq_walk_t *walk);
uint32_t  kmq_table_first(kmq_block_t *b, unsigned class);
kmq_ref_t kmq_ring_alloc(kmq_block_t *b);
void      kmq_ring_free(kmq_block_t *b, kmq_ref_t ring);
void      kmq_rings_free(kmq_block_t *b, kmq_ref_t chain);
void      kmq_ring_mark(kmq_block_t *b, kmq_ref_t chain);
void      kmq_memory_clear_marks(kmq_block_t *b);
void      kmq_memory_rebuild(kmq_block_t *b);

/* kmq_cell.c */
kmq_cells_t *kmq_cells_of(kmq_block_t *b, uint32_t page);
int       kmq_cells_room(const kmq_block_t *b, unsigned n);
kmq_ref_t kmq_cells_alloc(kmq_block_t *b, unsigned n);
kmq_ref_t kmq_cells_alloc_tight(kmq_block_t *b, unsigned n);
kmq_ref_t kmq_cells_alloc_index(kmq_block_t *b, unsigned n);
kmq_ref_t kmq_cells_alloc_apart(kmq_block_t *b, unsigned n);
kmq_ref_t kmq_cells_alloc_any(kmq_block_t *b, unsigned *n);
void      kmq_cells_free(kmq_block_t *b, kmq_ref_t ref, unsigned n);
void      kmq_cells_mark(kmq_block_t *b, kmq_ref_t ref, unsigned n);
void      kmq_cells_reset(kmq_block_t *b);
void      kmq_cells_rebuild(kmq_block_t *b, uint32_t page);
const char *kmq_heap_verify(kmq_block_t *b, const kmq_heap_t *heap);
void      kmq_slot_place(kmq_block_t *b, const kmq_slot_t *slot, int there);
kmq_slot_t *kmq_slot_at(kmq_block_t *b, kmq_ref_t ref);

/*
 * A walk over all slots: the next one that is not free, or NULL; or several,
 * which are asked for together, and 0 at the end.  They go by what is true even
 * in the middle of a repair.
 */
kmq_slot_t *kmq_slot_next(kmq_block_t *b, kmq_walk_t *walk);
unsigned  kmq_slots_next(kmq_block_t *b, kmq_walk_t *walk,
    kmq_slot_t *slot[KMQ_WALK_SLOTS]);

/* Asks for a slot that is in no cache. */
static inline void
kmq_slot_ahead(const kmq_slot_t *slot)
{
    __builtin_prefetch(slot, 1);
    __builtin_prefetch((const char *) (slot + 1) - 1, 1);
}


/* kmq_body.c */
kmq_slot_t *kmq_message_alloc(kmq_t *kmq, uint32_t size, uint32_t *left);
int       kmq_message_extend(kmq_t *kmq, kmq_slot_t *slot, uint32_t *left);
void      kmq_message_memory_free(kmq_block_t *b, kmq_slot_t *slot);
void      kmq_message_mark(kmq_block_t *b, const kmq_slot_t *slot);
int       kmq_message_room(const kmq_block_t *b, uint32_t size);
int       kmq_body_fits(kmq_block_t *b, const kmq_slot_t *slot,
    uint32_t size);
void      kmq_chain_free(kmq_block_t *b, kmq_ref_t chain);
int       kmq_trash_free(kmq_block_t *b);
uint64_t  kmq_chain_cells(kmq_block_t *b, kmq_ref_t chain, uint32_t size);
uint64_t  kmq_message_cells(kmq_block_t *b, const kmq_slot_t *slot);
uint64_t  kmq_trash_cells(kmq_block_t *b);

/* kmq_list.c */
void kmq_list_append(kmq_block_t *b, kmq_list_t *list, kmq_link_t *link);
void kmq_list_prepend(kmq_block_t *b, kmq_list_t *list, kmq_link_t *link);
void kmq_list_insert(kmq_block_t *b, kmq_list_t *list, kmq_link_t *after,
    kmq_link_t *link);
void kmq_list_remove(kmq_block_t *b, kmq_list_t *list, kmq_link_t *link);
kmq_link_t *kmq_list_shift(kmq_block_t *b, kmq_list_t *list);
void kmq_list_move(kmq_block_t *b, kmq_list_t *from, kmq_list_t *to,
    kmq_link_t *first, kmq_link_t *last, uint64_t n);
void kmq_list_sort(kmq_block_t *b, kmq_list_t *list,
    uint64_t (*key)(kmq_block_t *b, const kmq_link_t *link));

/* kmq_index.c */
int  kmq_index_insert(kmq_block_t *b, const kmq_slot_t *slot);
int  kmq_index_expect(kmq_block_t *b, const kmq_slot_t *slot);
void kmq_index_pack(kmq_block_t *b);
void kmq_index_remove(kmq_block_t *b, const kmq_slot_t *slot);
kmq_slot_t *kmq_index_find(kmq_block_t *b, uint64_t sequence);
const kmq_index_t *kmq_index_older(kmq_block_t *b, uint64_t *sequence,
    uint32_t from, uint32_t to);
const kmq_index_t *kmq_index_newer(kmq_block_t *b, uint64_t *sequence);
unsigned kmq_index_gather(kmq_block_t *b, const kmq_index_t *node,
    unsigned first, unsigned last, kmq_slot_t *slot[KMQ_NODE_NUMBERS]);
unsigned kmq_index_count(const kmq_index_t *node);
uint64_t kmq_index_cells(kmq_block_t *b);
void kmq_index_reset(kmq_block_t *b);

/* kmq_topic.c */
kmq_topic_t *kmq_topic_find(kmq_t *kmq, const char *name, size_t len);
kmq_topic_t *kmq_topic_get(kmq_block_t *b, const char *name, size_t len);
const char *kmq_topic_name(kmq_block_t *b, const kmq_topic_t *topic);
void *kmq_topic_part(kmq_t *kmq, kmq_topic_t *topic, unsigned class);
void kmq_topic_configure(kmq_t *kmq, kmq_topic_t *topic);
void kmq_topic_link(kmq_block_t *b, kmq_topic_t *topic);
void kmq_topic_active(kmq_block_t *b, kmq_topic_t *topic);
void kmq_topic_idle(kmq_block_t *b, kmq_topic_t *topic);
uint64_t kmq_topic_backlog(const kmq_block_t *b, const kmq_topic_t *topic);

/* kmq_type.c */
void kmq_type_join(kmq_t *kmq, kmq_topic_t *topic, kmq_client_t *client);
void kmq_type_settle(kmq_t *kmq, kmq_topic_t *topic);
int  kmq_type_matches(kmq_block_t *b, const kmq_client_t *client);

/* kmq_close.c */
void kmq_clients_look(kmq_t *kmq);
void kmq_closing(kmq_t *kmq);
void kmq_client_close(kmq_t *kmq, kmq_client_t *client, unsigned why);
void kmq_client_close_cancel(kmq_block_t *b, kmq_client_t *client);

/* kmq_route.c */
kmq_route_t *kmq_route_find(kmq_t *kmq, kmq_topic_t *topic);
void kmq_route_link(kmq_block_t *b, kmq_route_t *route);
void kmq_route_release(kmq_t *kmq, kmq_route_t *route);
void kmq_route_dirty(kmq_t *kmq, kmq_route_t *route);
kmq_route_t *kmq_route_next(kmq_t *kmq);

/* kmq_grant.c */
void kmq_grant(kmq_t *kmq, kmq_topic_t *topic, uint64_t n);
void kmq_grant_to(kmq_t *kmq, kmq_topic_t *topic, kmq_route_t *route,
    uint64_t n);
void kmq_routes_tell(kmq_t *kmq, kmq_topic_t *topic, kmq_ref_t except);
void kmq_grant_return(kmq_t *kmq, kmq_topic_t *topic, kmq_route_t *route);
void kmq_grant_trim(kmq_t *kmq, kmq_topic_t *topic);
uint64_t kmq_pace(kmq_t *kmq, kmq_topic_t *topic, uint64_t n);
void kmq_pace_window(kmq_t *kmq);
void kmq_pace_slice(kmq_t *kmq);
uint32_t kmq_pace_allotted(const kmq_block_t *b, const kmq_topic_t *topic);
void kmq_pace_allot(const kmq_block_t *b, kmq_topic_t *topic, uint32_t n);
void kmq_pace_credit(kmq_t *kmq, uint64_t n);
int  kmq_pace_open(const kmq_t *kmq, const kmq_topic_t *topic);

/* kmq_schedule.c */
uint64_t kmq_due(const kmq_t *kmq, uint64_t ms);
void kmq_schedule(kmq_t *kmq, kmq_timer_t *timer);
void kmq_unschedule(kmq_block_t *b, kmq_timer_t *timer);
int  kmq_schedule_run(kmq_t *kmq);
int  kmq_schedule_late(const kmq_t *kmq);
void kmq_schedule_reset(kmq_block_t *b);

/* kmq_client.c */
void kmq_client_leave(kmq_t *kmq, kmq_client_t *client);
int  kmq_client_ready(kmq_block_t *b, const kmq_client_t *client);
void kmq_client_update(kmq_t *kmq, kmq_client_t *client);
void kmq_client_link(kmq_block_t *b, kmq_client_t *client);
unsigned kmq_leaving(kmq_t *kmq, unsigned n);

/* kmq_local.c */
int  kmq_local_has(const kmq_t *kmq, const kmq_client_t *client);
int  kmq_local_client_add(kmq_t *kmq, kmq_client_t *client, void *user);
void kmq_local_client_remove(kmq_t *kmq, kmq_client_t *client);
int  kmq_local_route_join(kmq_t *kmq, kmq_route_t *route, uint32_t i);
void kmq_local_route_remove(kmq_t *kmq, kmq_route_t *route);
void kmq_local_ready_add(kmq_t *kmq, uint32_t i);
void kmq_local_ready_remove(kmq_t *kmq, uint32_t i);
void kmq_local_served(kmq_t *kmq, kmq_local_route_t *route, uint32_t place);
void kmq_local_resync(kmq_t *kmq);
void kmq_local_free(kmq_t *kmq);

/* kmq_message.c */
kmq_slot_t *kmq_message_release(kmq_t *kmq, kmq_slot_t *slot,
    kmq_slot_t *after);
void kmq_message_consumed(kmq_t *kmq, kmq_slot_t *slot);
void kmq_message_unlist(kmq_t *kmq, kmq_slot_t *slot);
void kmq_message_discard(kmq_t *kmq, kmq_slot_t *slot);
void kmq_message_free(kmq_t *kmq, kmq_slot_t *slot);
kmq_slot_t *kmq_returned(kmq_block_t *b, const kmq_client_t *client);
void kmq_returned_set(kmq_block_t *b, kmq_client_t *client,
    const kmq_slot_t *slot);
void kmq_history_append(kmq_block_t *b, kmq_slot_t *slot);
int  kmq_history_drop(kmq_t *kmq, unsigned max);
kmq_slot_t *kmq_history_reuse(kmq_t *kmq, uint32_t size);

/* kmq_deliver.c */
void kmq_message_fill(kmq_block_t *b, const kmq_slot_t *slot,
    kmq_message_t *m);

/* kmq_counts.c */
void kmq_count_published(kmq_t *kmq, kmq_topic_t *topic, uint64_t n);
void kmq_count_unpublished(kmq_t *kmq, kmq_topic_t *topic);
void kmq_count_delivered(kmq_t *kmq, kmq_topic_t *topic, uint64_t n);
void kmq_count_redelivered(kmq_t *kmq, kmq_topic_t *topic);
void kmq_count_confirmed(kmq_t *kmq, kmq_topic_t *topic, uint64_t n);
void kmq_count_backlog(kmq_t *kmq);
void kmq_count_queue(kmq_block_t *b, uint64_t time, int64_t published,
    uint64_t delivered, uint64_t confirmed);
void kmq_count_topic(kmq_t *kmq, kmq_topic_t *topic, uint64_t time,
    int64_t published, uint64_t delivered, uint64_t confirmed);
void kmq_count_latency(kmq_t *kmq, uint32_t since);
kmq_period_t *kmq_period(kmq_period_t *period, unsigned n, uint64_t number);
unsigned kmq_periods_kept(unsigned class);
int  kmq_period_current(unsigned class, uint64_t number, uint64_t time);
kmq_topic_period_t *kmq_topic_period(kmq_t *kmq, kmq_topic_t *topic,
    unsigned class, uint32_t number);
void kmq_topic_periods(kmq_t *kmq, kmq_topic_t *topic, unsigned class,
    kmq_period_t *period);

/* kmq_checkpoint.c */
int  kmq_checkpoint_queue(kmq_t *kmq, kmq_buffer_t *out, uint64_t lsn);
int  kmq_checkpoint_keep(kmq_block_t *b, const kmq_slot_t *slot);
void kmq_checkpoint_unpin(kmq_block_t *b, kmq_worker_t *worker);

/* kmq_journal.c */
int  kmq_journal_full(const kmq_t *kmq);
int  kmq_journal_messages(kmq_t *kmq, const kmq_message_t *m, unsigned n,
    size_t *first);
void kmq_journal_stamp(kmq_t *kmq, const kmq_message_t *m, unsigned n,
    size_t first);
void kmq_journal_sequence(kmq_t *kmq, unsigned type, unsigned kind,
    uint64_t sequence, uint32_t attempts);
void kmq_journal_counts(kmq_t *kmq, const kmq_topic_t *topic,
    uint32_t delivered, uint32_t confirmed);
size_t kmq_journal_head(kmq_t *kmq, const kmq_slot_t *slot, unsigned kind,
    uint64_t lsn, unsigned char *p);
int  kmq_journal_slot(kmq_t *kmq, const kmq_slot_t *slot, unsigned kind,
    uint64_t lsn, kmq_buffer_t *buffer);
void kmq_journal_loss(kmq_t *kmq);

/* kmq_overdue.c */
void kmq_overdue_arm(kmq_t *kmq, kmq_client_t *client);
void kmq_overdue_cancel(kmq_block_t *b, kmq_client_t *client);
void kmq_overdue_add(kmq_t *kmq, kmq_client_t *client);
void kmq_overdue_now(kmq_t *kmq, kmq_client_t *client);
int  kmq_overdue_wanted(const kmq_t *kmq);
void kmq_overdue_run(kmq_t *kmq, kmq_batch_t *batch);
void kmq_overdue_outrun(kmq_t *kmq, kmq_client_t *client, unsigned *n);

/* kmq_expire.c */
int  kmq_expire_run(kmq_t *kmq);
uint32_t kmq_age_start(const kmq_slot_t *slot);

/* kmq_ring.c */
int  kmq_ring_append(kmq_block_t *b, kmq_client_t *client, kmq_slot_t *slot,
    uint32_t time);
void kmq_ring_unlink(kmq_block_t *b, kmq_client_t *client, kmq_ring_t *ring);
void kmq_ring_trim(kmq_block_t *b, kmq_client_t *client);
void kmq_ring_settle(kmq_block_t *b, kmq_client_t *client);
kmq_delivery_t *kmq_ring_find(kmq_block_t *b, kmq_client_t *client,
    const kmq_slot_t *slot, kmq_ring_t **part);

/* A delivery in that part, whose slot is 0 now, has ended.  1: it was the last
 * one there, and the part is gone, or nothing in it is left to be looked at. */
static inline int
kmq_ring_end(kmq_block_t *b, kmq_client_t *client, kmq_ring_t *ring)
{
    client->in_flight--;

    if (--ring->open) {
        return 0;
    }

    if (ring->next) {
        kmq_ring_unlink(b, client, ring);
    }

    return 1;
}


/* kmq_delete.c */
void kmq_message_delete(kmq_t *kmq, kmq_slot_t *slot);

/* kmq_code.c */
void kmq_code_of(const kmq_block_t *b, uint64_t sequence,
    uint32_t create_time, char code[KMQ_CODE_LEN]);
kmq_slot_t *kmq_code_find(kmq_block_t *b, const char *code);
int kmq_code_genuine(const kmq_block_t *b, const char *code);

/* kmq_repair.c */
void kmq_repair(kmq_t *kmq);

#endif /* KMQ_BLOCK_H */
