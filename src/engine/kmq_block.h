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
 * topic's state and name; the delivery rings of the consumers.  A change of
 * the truth is made by one store, KMQ_SET, that is ordered against the
 * others.  Lists, counts, grants and free lists are derived.
 */

#ifndef KMQ_BLOCK_H
#define KMQ_BLOCK_H

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "kmq.h"


#define KMQ_MAGIC     UINT64_C(0x314b514d6b6f7061)
#define KMQ_VERSION   1

/* Stores that another process relies on when this one dies in between. */
#define KMQ_SET(member, value)                                               \
    do {                                                                     \
        atomic_signal_fence(memory_order_seq_cst);                           \
        (member) = (value);                                                  \
        atomic_signal_fence(memory_order_seq_cst);                           \
    } while (0)

#ifdef KMQ_FAULTS
#define KMQ_POINT(name)  do { if (kmq_fault) { kmq_fault(name); } } while (0)
#else
#define KMQ_POINT(name)
#endif

#define KMQ_AT(block, ref)                                                   \
    ((void *) ((unsigned char *) (block) + (size_t) (ref) * 8))
#define KMQ_REF(block, p)                                                    \
    ((kmq_ref_t) (((unsigned char *) (p) - (unsigned char *) (block)) / 8))


/* ---------------------------------------------------------------- memory */

#define KMQ_PAGE_SIZE    8192
#define KMQ_CLASS_SLOT   1       /* kmq_slot_t; such pages are given back */
#define KMQ_CLASS_TOPIC  2       /* the three tables: their pages stay */
#define KMQ_CLASS_CLIENT 3
#define KMQ_CLASS_ROUTE  4
#define KMQ_CLASS_DATA   5       /* first of the size classes */
#define KMQ_CLASS_MAX    64
#define KMQ_SMALL        1024    /* objects whose class a table tells */

/* The mark of kmq_repair() on a piece's link; readers mask it off. */
#define KMQ_MARK         UINT32_C(0x80000000)

typedef struct {
    uint8_t      class;          /* 0: free.  Truth */
    uint16_t     size;           /* of the class's objects */
    uint16_t     capacity;       /* how many of them fit */
    uint16_t     used;           /* objects that are allocated */
    uint16_t     fresh;          /* objects from this one on were never used */
    kmq_ref_t    free;           /* freed objects, linked by their 1st word */
    uint32_t     next;           /* pages of the class with room; free pages */
    uint32_t     prev;
} kmq_page_t;

/* A walk over all objects of a class; zeroed at the start. */
typedef struct {
    uint32_t     page;
    uint32_t     index;
} kmq_walk_t;

/* Every object's first word links it while it is free, a body's piece to the
 * next piece while it is not. */
typedef struct {
    kmq_ref_t      next;
    unsigned char  data[];
} kmq_piece_t;


/* --------------------------------------------------------------- messages */

#define KMQ_FREE       0
#define KMQ_RESERVED   1         /* being written by worker owner */
#define KMQ_READY      2
#define KMQ_IN_FLIGHT  3         /* in the rings of pending consumers */
#define KMQ_CONSUMED   4         /* history */
#define KMQ_DELAYED    5         /* in the schedule */
/* reserved for later work: 6 dead */

#define KMQ_AHEAD      16

#define KMQ_CONFIRMED  1         /* flag: somebody consumed it */
#define KMQ_SHARED     2         /* flag: in flight in the topic's log */

typedef struct {
    kmq_ref_t    next;           /* ready, log, history, worker's reserved */
    kmq_ref_t    prev;
    kmq_ref_t    topic;
    kmq_ref_t    body;           /* first piece */
    uint32_t     size;
    uint32_t     position;       /* of the last delivery */
    uint32_t     owner;          /* reserved: worker; point to point in
                                    flight: client; consumed: the slot that
                                    was consumed KMQ_AHEAD later, a hint */
    uint32_t     pending;        /* consumers that have not confirmed */
    uint64_t     sequence;       /* tells two uses of the slot apart */
    uint64_t     due;            /* ms, mono: when a delayed message becomes
                                    ready; 0: it was not delayed */
    uint32_t     create_time;    /* s */
    uint32_t     consumed_time;
    uint32_t     delay;          /* s */
    uint16_t     attempts;       /* deliveries begun */
    uint8_t      state;
    uint8_t      flags;
} kmq_slot_t;

_Static_assert(sizeof(kmq_slot_t) == 64, "a slot is a cache line");

typedef struct {
    kmq_ref_t    head;
    kmq_ref_t    tail;
    uint64_t     count;
} kmq_list_t;


/* ---------------------------------------------- topics, routes, deliveries */

typedef struct {
    kmq_ref_t    next;           /* free list; same hash */
    uint8_t      used;
    uint8_t      push_type;      /* taken from the settings when the first
                                    consumer comes */
    uint16_t     name_len;
    uint32_t     hash;
    uint32_t     position;       /* the last one given out */

    kmq_list_t   ready;
    kmq_list_t   log;            /* publish/subscribe: in flight, in order */
    uint64_t     granted;        /* of ready: sum of the routes' grants */
    uint64_t     delayed;        /* in the schedule */
    uint64_t     held;           /* slots that name this topic */
    uint32_t     allotted;       /* publish/subscribe, paced: may go now */
    uint32_t     consumers;
    uint32_t     producers;
    uint32_t     ready_consumers;    /* sum of the routes' */
    kmq_ref_t    routes;

    kmq_ref_t    active_next;    /* topics with ready messages */
    kmq_ref_t    active_prev;
    kmq_ref_t    idle_next;      /* topics that may be forgotten */
    kmq_ref_t    idle_prev;
    uint8_t      active;
    uint8_t      idle;

    uint64_t     published;
    uint64_t     delivered;
    uint64_t     redelivered;
    uint64_t     confirmed;

    char         name[KMQ_NAME_MAX + 1];
} kmq_topic_t;

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
    uint32_t     time;           /* tenths of a second, for re-pushes */
} kmq_delivery_t;

#define KMQ_RING_SIZE    512
#define KMQ_RING_COUNT   ((KMQ_RING_SIZE - 8) / sizeof(kmq_delivery_t))

/* A consumer's deliveries, oldest first, in a chain of these. */
typedef struct {
    kmq_ref_t       next;
    uint16_t        first;       /* entries before it are done */
    uint16_t        count;       /* entries that were ever used.  Truth */
    kmq_delivery_t  entry[KMQ_RING_COUNT];
} kmq_ring_t;

#define KMQ_LEAVING  3           /* a consumer that gives back its backlog */

typedef struct {
    kmq_ref_t    next;           /* free list */
    uint8_t      role;           /* 0, KMQ_PRODUCER, KMQ_CONSUMER or
                                    KMQ_LEAVING.  Truth */
    uint8_t      open;           /* its connection takes bytes */
    uint8_t      ready;          /* counted in its route's ready */
    uint8_t      too_slow;
    uint32_t     worker;
    uint32_t     local;          /* index in the worker's handle */
    kmq_ref_t    topic;
    kmq_ref_t    route;
    kmq_ref_t    worker_next;    /* the worker's clients */
    kmq_ref_t    worker_prev;

    uint32_t     prefetch;
    uint32_t     limit;          /* prefetch, or less while its ring cannot
                                    grow for want of memory */
    uint32_t     in_flight;
    kmq_ref_t    ring;           /* oldest part.  Truth */
    kmq_ref_t    ring_tail;
    uint32_t     next_position;  /* publish/subscribe: what it has not been
                                    pushed yet begins here.  Truth */
    uint32_t     last_position;  /* leaving: and ends here.  Truth */
    kmq_ref_t    cursor;         /* slot of next_position, where known;
                                    leaving: of last_position */

    uint64_t     join_time;
    uint64_t     number;
    uint16_t     id_len;
    uint16_t     addr_len;
    char         id[KMQ_NAME_MAX];
    char         addr[KMQ_ADDR_MAX];
} kmq_client_t;


/* --------------------------------------------------------------- schedule */

#define KMQ_WHEEL_LEVELS  5
#define KMQ_WHEEL_SIZE    256
#define KMQ_WHEEL_SLICE   1024   /* messages moved under one lock */

/* See kmq_schedule.c. */
typedef struct {
    uint64_t     now;            /* mono: all before it is ready */
    uint64_t     next;           /* mono: what the keeper waits for */
    uint64_t     used[KMQ_WHEEL_LEVELS][KMQ_WHEEL_SIZE / 64];
    kmq_list_t   bucket[KMQ_WHEEL_LEVELS][KMQ_WHEEL_SIZE];
} kmq_wheel_t;


/* ------------------------------------------------------------------ block */

typedef struct {
    pthread_mutex_t  alive;      /* held by the worker while it lives */
    uint32_t         attached;   /* its handle has not been closed */
    uint32_t         signalled;  /* told to look at its dirty routes */
    kmq_ref_t        dirty;      /* routes with work, in turns */
    kmq_ref_t        dirty_tail;
    kmq_ref_t        clients;
    kmq_list_t       reserved;   /* its slots between reserve and commit */
} kmq_worker_t;

#define KMQ_TOPIC_BUCKETS  4096

/* One of the three tables of fixed records whose pages are never given
 * back. */
typedef struct {
    kmq_ref_t    free;
} kmq_table_t;

typedef struct {
    uint64_t         magic;
    uint32_t         version;
    uint32_t         npages;     /* numbered from 1 */
    uint64_t         size;
    uint64_t         page_zero;  /* offset of page number 0, which is not
                                    there: page 1 follows the page table */
    uint64_t         key[2];     /* of the MessageCodes; constant */

    pthread_mutex_t  lock;
    kmq_settings_t   settings;
    uint64_t         repairs;

    uint8_t          fitting[KMQ_SMALL / 8 + 1];     /* data class for a size,
                                    in units of 8 bytes; constant */

    uint32_t         fresh_page; /* pages from here on were never used */
    uint32_t         free_page;  /* list of those given back */
    uint32_t         free_pages; /* both together */
    uint32_t         spare_pages;    /* not for messages, so that consumers
                                        can always join and take */
    uint32_t         partial[KMQ_CLASS_MAX];
    kmq_table_t      table[3];   /* topics, clients, routes */

    uint64_t         sequence;   /* the last one given out */
    uint64_t         clients;    /* numbers given out */
    uint64_t         waiting;    /* ready and reserved */
    uint64_t         reserved;
    uint64_t         delayed;
    uint64_t         in_flight;
    kmq_list_t       history;    /* consumed, oldest first */
    kmq_ref_t        recent[KMQ_AHEAD];  /* its last ones, in turns */
    uint32_t         recent_next;
    uint64_t         nomem_time; /* mono: when memory was short last */

    uint64_t         batch_end;  /* mono: when the next batch may start */
    uint32_t         batch_left;
    kmq_ref_t        active;     /* topics with ready messages: a circle */
    kmq_list_t       idle;

    uint64_t         published;
    uint64_t         delivered;
    uint64_t         redelivered;
    uint64_t         confirmed;
    uint64_t         dropped;
    uint64_t         topics;
    uint64_t         producers;
    uint64_t         consumers;

    uint32_t         keeper;     /* worker that turns the wheel, plus 1; 0:
                                    none */
    kmq_wheel_t      wheel;
    kmq_ref_t        bucket[KMQ_TOPIC_BUCKETS];
    kmq_worker_t     worker[KMQ_WORKERS];
    kmq_page_t       page[];     /* npages + 1 */
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
    uint32_t     allocated;
    uint32_t     next_free;
} kmq_local_route_t;

#define KMQ_NOT_READY  UINT32_MAX

struct kmq_s {
    kmq_block_t         *block;
    unsigned             worker;
    uint64_t             mono;
    uint64_t             wall;
    uint64_t             random;
    uint64_t             repairs;     /* seen: local tables fit it */
    int                  repaired;    /* by this handle, and not told yet */
    uint64_t             wakes[KMQ_WORKERS / 64];
    int                  has_wakes;
    int                  has_work;
    int                  paced;       /* something waits for the next batch */

    kmq_local_client_t  *client;
    uint32_t             nclients;    /* allocated */
    uint32_t             free_client;
    kmq_local_route_t   *route;
    uint32_t             nroutes;
    uint32_t             free_route;
    uint32_t             run_stamp;
    int                  leaving;     /* own clients in KMQ_LEAVING */
    uint32_t             too_slow;    /* own clients marked so */
};


/* kmq_block.c */

/* Takes and releases the block's lock; repairs first when its last holder
 * died. */
void kmq_lock(kmq_t *kmq);
void kmq_unlock(kmq_t *kmq);

uint64_t kmq_random(kmq_t *kmq);

/* All that follows expects the lock to be held. */

/* kmq_worker.c */
void kmq_worker_reap(kmq_t *kmq, unsigned worker);

/* kmq_keeper.c */
void kmq_worker_tell(kmq_t *kmq, unsigned worker);
void kmq_keeper_tell(kmq_t *kmq);
void kmq_keeper_set(kmq_t *kmq, unsigned worker);
void kmq_keeper_replace(kmq_t *kmq, unsigned worker);
void kmq_mark_too_slow(kmq_t *kmq);

/* kmq_memory.c */
void      kmq_memory_init(kmq_block_t *b);
void     *kmq_record_alloc(kmq_block_t *b, unsigned class);
void      kmq_record_free(kmq_block_t *b, unsigned class, void *record);
kmq_ref_t kmq_ring_alloc(kmq_block_t *b);
void      kmq_object_free(kmq_block_t *b, kmq_ref_t object);
kmq_slot_t *kmq_slot_alloc(kmq_t *kmq);
void      kmq_slot_free(kmq_block_t *b, kmq_slot_t *slot);
kmq_slot_t *kmq_slot_at(kmq_block_t *b, kmq_ref_t ref);
kmq_ref_t kmq_body_alloc(kmq_t *kmq, uint32_t size);
void      kmq_body_free(kmq_block_t *b, kmq_ref_t body);
uint32_t  kmq_piece_room(const kmq_block_t *b, kmq_ref_t piece);
unsigned  kmq_class_of(const kmq_block_t *b, kmq_ref_t object);
size_t    kmq_class_size(unsigned class);
void      kmq_memory_mark(kmq_block_t *b, kmq_ref_t chain);
void      kmq_memory_rebuild(kmq_block_t *b);
kmq_slot_t *kmq_slot_next(kmq_block_t *b, kmq_walk_t *walk);
void      kmq_memory_clear_marks(kmq_block_t *b);
void     *kmq_record_next(kmq_block_t *b, unsigned class, kmq_walk_t *walk);

/* kmq_list.c */
void kmq_list_append(kmq_block_t *b, kmq_list_t *list, kmq_slot_t *slot);
void kmq_list_prepend(kmq_block_t *b, kmq_list_t *list, kmq_slot_t *slot);
void kmq_list_insert(kmq_block_t *b, kmq_list_t *list, kmq_slot_t *after,
    kmq_slot_t *slot);
void kmq_list_remove(kmq_block_t *b, kmq_list_t *list, kmq_slot_t *slot);
void kmq_list_sort(kmq_block_t *b, kmq_list_t *list,
    uint64_t (*key)(kmq_block_t *b, const kmq_slot_t *slot));

/* kmq_topic.c */
kmq_topic_t *kmq_topic_find(kmq_block_t *b, const char *name, size_t len);
void kmq_topic_link(kmq_block_t *b, kmq_topic_t *topic);
void kmq_topic_active(kmq_block_t *b, kmq_topic_t *topic);
void kmq_topic_idle(kmq_block_t *b, kmq_topic_t *topic);
uint64_t kmq_topic_backlog(const kmq_topic_t *topic);

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
uint64_t kmq_pace(kmq_t *kmq, kmq_topic_t *topic, uint64_t n);
void kmq_pace_window(kmq_t *kmq);
int  kmq_pace_open(const kmq_t *kmq, const kmq_topic_t *topic);

/* kmq_schedule.c */
void kmq_schedule(kmq_t *kmq, kmq_slot_t *slot);
int  kmq_schedule_run(kmq_t *kmq);
void kmq_schedule_reset(kmq_block_t *b);

/* kmq_client.c */
int  kmq_client_leave(kmq_t *kmq, kmq_client_t *client, uint32_t slice);
void kmq_client_update(kmq_t *kmq, kmq_client_t *client);
void kmq_client_link(kmq_block_t *b, kmq_client_t *client);
void kmq_leaving(kmq_t *kmq);

/* kmq_local.c */
int  kmq_local_has(const kmq_t *kmq, const kmq_client_t *client);
int  kmq_local_client_add(kmq_t *kmq, kmq_client_t *client, void *user);
void kmq_local_client_remove(kmq_t *kmq, kmq_client_t *client);
int  kmq_local_route_join(kmq_t *kmq, kmq_route_t *route, uint32_t i);
void kmq_local_route_remove(kmq_t *kmq, kmq_route_t *route);
void kmq_local_ready_add(kmq_t *kmq, uint32_t i);
void kmq_local_ready_remove(kmq_t *kmq, uint32_t i);
void kmq_local_resync(kmq_t *kmq);
void kmq_local_free(kmq_t *kmq);

/* kmq_message.c */
kmq_slot_t *kmq_message_release(kmq_t *kmq, kmq_slot_t *slot,
    kmq_slot_t *after);
void kmq_message_consumed(kmq_t *kmq, kmq_slot_t *slot);
void kmq_message_free(kmq_t *kmq, kmq_slot_t *slot);
int  kmq_history_drop(kmq_t *kmq);

/* kmq_ring.c */
int  kmq_ring_append(kmq_block_t *b, kmq_client_t *client, kmq_slot_t *slot,
    uint32_t time);
void kmq_ring_trim(kmq_block_t *b, kmq_client_t *client);
kmq_delivery_t *kmq_ring_find(kmq_block_t *b, kmq_client_t *client,
    const kmq_slot_t *slot);

/* kmq_code.c */
void kmq_code_of(const kmq_block_t *b, kmq_ref_t slot, uint64_t sequence,
    uint32_t create_time, char code[KMQ_CODE_LEN]);
kmq_slot_t *kmq_code_find(kmq_block_t *b, const char *code);

/* kmq_repair.c */
void kmq_repair(kmq_t *kmq);

#endif /* KMQ_BLOCK_H */
