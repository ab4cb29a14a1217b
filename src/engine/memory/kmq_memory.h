/*
 * Memory: pages, and the cells, rings and tables they are cut into; messages
 * and their bodies, which are made of cells; the index of all messages; lists.
 *
 * Nothing here knows topics or clients.  When memory is short, it asks for some
 * with kmq_t.drop.
 */

#ifndef KMQ_MEMORY_H
#define KMQ_MEMORY_H

#include "../kmq_base.h"


/* ------------------------------------------------------------------ layout */

#define KMQ_PAGE_SIZE    8192

/* What a page is used for. */
#define KMQ_CLASS_MESSAGE 1      /* cells; such pages are given back when all */
#define KMQ_CLASS_INDEX  2       /* of them are free, as are those */
#define KMQ_CLASS_RING   3       /* of rings */
#define KMQ_CLASS_TOPIC  4       /* the tables: their pages stay */
#define KMQ_CLASS_CLIENT 5
#define KMQ_CLASS_ROUTE  6
#define KMQ_CLASS_NAME   7       /* parts of topics, see kmq_part_t */
#define KMQ_CLASS_MINUTES 8
#define KMQ_CLASS_HOURS  9       /* given back, too: each is a page */
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

#define KMQ_WALK_SLOTS   32      /* slots that a walk meets at once */

/* One of the tables: objects of one size, in pages that are never given back,
 * but for those of KMQ_CLASS_HOURS. */
typedef struct {
    kmq_ref_t    free;
    uint32_t     first;          /* pages, linked by their next and prev */
    uint32_t     last;
    uint64_t     pages;          /* how many */
} kmq_table_t;

#define KMQ_TABLES  (KMQ_CLASSES - KMQ_CLASS_TOPIC)

/* A ring of deliveries (kmq_deliveries.c), as far as memory knows it: its first
 * word links it.  A new one begins with so many zeros. */
#define KMQ_RING_SIZE    512
#define KMQ_RING_HEAD    20

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

#define KMQ_FREE       0
#define KMQ_RESERVED   1         /* being written by worker owner */
#define KMQ_READY      2
#define KMQ_IN_FLIGHT  3         /* in the rings of pending consumers */
#define KMQ_CONSUMED   4         /* history */
#define KMQ_DELAYED    5         /* in the schedule */
#define KMQ_DEAD       6         /* given up */
#define KMQ_RETRYING   7         /* in the schedule, until its next try */
#define KMQ_ASIDE      8         /* a suspect, ready, and in the schedule: it
                                    waits for a consumer that has nothing else,
                                    but no longer than that */

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

/* flags of all that were pushed before: they last */
#define KMQ_PUSHED    16         /* it was in flight before now */
#define KMQ_SUSPECT   32         /* it was charged with a consumer's end */
#define KMQ_REASON    64         /* the last failure's, times this */
#define KMQ_LASTING   (KMQ_PUSHED | KMQ_SUSPECT | 3 * KMQ_REASON)

typedef struct {
    union {
        struct {
            kmq_ref_t    next;   /* ready, log, dead, history, reserved */
            kmq_ref_t    prev;
        };

        kmq_link_t       link;
        kmq_timer_t      timer;  /* due: when a message that is delayed, or
                                    retrying, becomes ready; 0: a reserved one
                                    is not delayed */
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

        uint64_t         batch;  /* reserved: of its worker; 0: of none.
                                    Truth */
        kmq_link_t       kept;   /* consumed: the topic's history; alone:
                                    the topic's suspects */
    };

    uint64_t     sequence;       /* tells two uses of the slot apart */
    uint32_t     create_time;    /* s */
    uint32_t     state_time;     /* s: when it was consumed, died or was
                                    requeued; else 0 */
    uint32_t     delay;          /* s */
    uint16_t     failures;       /* deliveries that failed; publish/subscribe:
                                    the most of one consumer.  Truth */
    uint8_t      state;
    uint8_t      flags;
} kmq_slot_t;

#define KMQ_SLOT_CELLS  (sizeof(kmq_slot_t) / KMQ_CELL)

_Static_assert(sizeof(kmq_slot_t) == 64, "a slot is four cells");

#define KMQ_KEPT_SLOT(link)                                                  \
    ((kmq_slot_t *) ((unsigned char *) (link) - offsetof(kmq_slot_t, kept)))

_Static_assert(offsetof(kmq_slot_t, kept) % 8 == 0, "a list can refer to it");

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


/* ------------------------------------------------------------------- pages */

/* Begins: all pages are free.  Sizes have been set. */
void kmq_page_init(kmq_block_t *b) KMQ_ALONE;

/* Counts the pages that are no shard's: what is counted on the way may be wrong
 * when somebody has died.  Needs the locks of all shards. */
void kmq_page_sum(kmq_block_t *b);

/* How many free pages the shard could have: its own, and those of no shard. */
uint32_t kmq_pages_free(const kmq_shard_t *s) KMQ_LOCKED;

/* Gives the shard's free pages back to the block.  0: it has none. */
int kmq_pages_release(kmq_shard_t *s) KMQ_LOCKED;

/* Bytes that messages may have without dropping history. */
uint64_t kmq_page_room(const kmq_shard_t *s) KMQ_LOCKED;

/* The class of the page at a place that may be wrong; 0: none, or another
 * shard's. */
unsigned kmq_class_of(const kmq_shard_t *s, kmq_ref_t ref) KMQ_LOCKED;

/* The shard that a place, as others name it, is in; the first one, where the
 * place is wrong.  Needs no lock as long as something is there. */
kmq_shard_t *kmq_shard_at(const kmq_t *kmq, kmq_ref_t ref);

/* The next page of the shard, from number n on; 0: there is none. */
uint32_t kmq_page_next(const kmq_shard_t *s, uint32_t n) KMQ_LOCKED;


/* ------------------------------------------------------------------ tables */

/* An object of zeros; NULL: no memory. */
void *kmq_table_alloc(kmq_t *kmq, unsigned class) KMQ_LOCKED;

/* Frees an object, whose own state reads as free already. */
void kmq_table_free(kmq_shard_t *s, unsigned class, void *object) KMQ_LOCKED;

/* The object at a place that may be wrong; NULL: there is none. */
void *kmq_table_at(kmq_shard_t *s, unsigned class, kmq_ref_t ref) KMQ_LOCKED;

/* The next object of a walk, used or free; NULL: the end.  kmq_table_scan()
 * looks at the classes of all pages, which are right even in the middle of a
 * repair; kmq_table_next() follows the table's own pages. */
void *kmq_table_scan(kmq_shard_t *s, unsigned class, kmq_walk_t *walk)
    KMQ_LOCKED;
void *kmq_table_next(kmq_shard_t *s, unsigned class, kmq_walk_t *walk)
    KMQ_LOCKED;

/* The n-th object of a table, used or free, from 0 on; NULL: it has fewer. */
void *kmq_table_nth(kmq_shard_t *s, unsigned class, uint32_t n) KMQ_LOCKED;

/* The first page of a table, where a walk can begin; 0: it has none. */
uint32_t kmq_table_first(kmq_shard_t *s, unsigned class) KMQ_LOCKED;

/* The first of the free objects, which are linked by their first words. */
kmq_ref_t kmq_table_free_list(const kmq_shard_t *s, unsigned class)
    KMQ_LOCKED;


/* ------------------------------------------------------------------- rings */

/* An empty ring; 0: no memory. */
kmq_ref_t kmq_ring_alloc(kmq_shard_t *s) KMQ_LOCKED;
void kmq_ring_free(kmq_shard_t *s, kmq_ref_t ring) KMQ_LOCKED;

/* Frees all rings of a chain. */
void kmq_rings_free(kmq_shard_t *s, kmq_ref_t chain) KMQ_LOCKED;


/* ------------------------------------------------------------------- cells */

/* The slot at a place that may be wrong; NULL: there is none. */
kmq_slot_t *kmq_slot_at(kmq_shard_t *s, kmq_ref_t ref) KMQ_LOCKED;

/* The next slot of a walk that is not free; NULL: the end.  Right even in the
 * middle of a repair. */
kmq_slot_t *kmq_slot_next(kmq_shard_t *s, kmq_walk_t *walk) KMQ_LOCKED;

/* The same for up to KMQ_WALK_SLOTS of them, which are prefetched together; 0:
 * the end. */
unsigned kmq_slots_next(kmq_shard_t *s, kmq_walk_t *walk,
    kmq_slot_t *slot[KMQ_WALK_SLOTS]) KMQ_LOCKED;

/* Prefetches a slot, which may lie in two cache lines, to be written. */
static inline void
kmq_slot_prefetch(const kmq_slot_t *slot)
{
    __builtin_prefetch(slot, 1);
    __builtin_prefetch((const char *) (slot + 1) - 1, 1);
}


/* Checks the lists, edges and counts of the holes.  NULL, or what is wrong. */
const char *kmq_heap_verify(kmq_shard_t *s, const kmq_heap_t *heap)
    KMQ_LOCKED;


/* ---------------------------------------------------- messages and bodies */

/*
 * Returns a slot with room for a body of that size, or for its end:
 * kmq_message_extend() makes room for the *left bytes that are still missing.
 * NULL: no memory.
 */
kmq_slot_t *kmq_message_alloc(kmq_t *kmq, uint32_t size, uint32_t *left)
    KMQ_LOCKED;

/* Makes a part of that room.  KMQ_OK: all of it is there; KMQ_AGAIN: there is
 * more to make; KMQ_NOMEM. */
int kmq_message_extend(kmq_t *kmq, kmq_slot_t *slot, uint32_t *left)
    KMQ_LOCKED;

/* Frees a slot, whose state reads as free already, and its body, if any. */
void kmq_message_memory_free(kmq_shard_t *s, kmq_slot_t *slot) KMQ_LOCKED;

/* Is there memory for a message of that size without dropping history? */
int kmq_message_room(const kmq_shard_t *s, uint32_t size) KMQ_LOCKED;

/* Does the body of a message have just the room that one of that size needs? */
int kmq_body_fits(kmq_shard_t *s, const kmq_slot_t *slot, uint32_t size)
    KMQ_LOCKED;

/* Frees a body of several pieces; when they are many, some of them later. */
void kmq_chain_free(kmq_shard_t *s, kmq_ref_t chain) KMQ_LOCKED;

/* Frees a part of what was left for later.  0: there is nothing. */
int kmq_trash_free(kmq_shard_t *s) KMQ_LOCKED;

/* The cells of a body, of a whole message, and of all that was left for
 * later. */
uint64_t kmq_chain_cells(kmq_shard_t *s, kmq_ref_t chain, uint32_t size)
    KMQ_LOCKED;
uint64_t kmq_message_cells(kmq_shard_t *s, const kmq_slot_t *slot)
    KMQ_LOCKED;
uint64_t kmq_trash_cells(kmq_shard_t *s) KMQ_LOCKED;


/* ------------------------------------------------------------------- index */

/* Enters a message by its sequence number: KMQ_OK or KMQ_NOMEM. */
int kmq_index_insert(kmq_shard_t *s, const kmq_slot_t *slot) KMQ_LOCKED;

/* Removes a message, if it is there. */
void kmq_index_remove(kmq_shard_t *s, const kmq_slot_t *slot) KMQ_LOCKED;

/* The message of that number; NULL: there is none. */
kmq_slot_t *kmq_index_find(kmq_shard_t *s, uint64_t sequence) KMQ_LOCKED;

/* The lowest node with the message *sequence, or with the next older, or newer,
 * one that was created between from and to.  *sequence becomes a number in that
 * node.  NULL: the end. */
const kmq_index_t *kmq_index_older(kmq_shard_t *s, uint64_t *sequence,
    uint32_t from, uint32_t to) KMQ_LOCKED;
const kmq_index_t *kmq_index_newer(kmq_shard_t *s, uint64_t *sequence,
    uint32_t from, uint32_t to) KMQ_LOCKED;

/* Gathers the messages of a lowest node, from its number first to its number
 * last.  Returns how many they are. */
unsigned kmq_index_gather(kmq_shard_t *s, const kmq_index_t *node,
    unsigned first, unsigned last, kmq_slot_t *slot[KMQ_NODE_NUMBERS])
    KMQ_LOCKED;

/* How many messages a lowest node has. */
unsigned kmq_index_count(const kmq_index_t *node) KMQ_LOCKED;

/* The cells of all nodes and leaves. */
uint64_t kmq_index_cells(kmq_shard_t *s) KMQ_LOCKED;

/* Empties the index.  A repair with little memory then has it expect all
 * messages, and pack, which makes each node and leaf once. */
void kmq_index_reset(kmq_shard_t *s) KMQ_LOCKED;
int kmq_index_expect(kmq_shard_t *s, const kmq_slot_t *slot) KMQ_LOCKED;
void kmq_index_pack(kmq_shard_t *s) KMQ_LOCKED;


/* ------------------------------------------------------------------- lists */

void kmq_list_append(kmq_shard_t *s, kmq_list_t *list, kmq_link_t *link)
    KMQ_LOCKED;

/* Appends in a repair, where most links are as they were.  Whoever is the last
 * one has a next one until the list is ended. */
void kmq_list_relink(kmq_shard_t *s, kmq_list_t *list, kmq_link_t *link)
    KMQ_LOCKED;
void kmq_list_end(kmq_shard_t *s, kmq_list_t *list) KMQ_LOCKED;

/* Behind after; in front, when that is NULL. */
void kmq_list_insert(kmq_shard_t *s, kmq_list_t *list, kmq_link_t *after,
    kmq_link_t *link) KMQ_LOCKED;
void kmq_list_remove(kmq_shard_t *s, kmq_list_t *list, kmq_link_t *link)
    KMQ_LOCKED;

/* Takes the first one off a list, which must not be empty. */
kmq_link_t *kmq_list_shift(kmq_shard_t *s, kmq_list_t *list) KMQ_LOCKED;

/* Moves the n neighbours first .. last to the end of another list. */
void kmq_list_move(kmq_shard_t *s, kmq_list_t *from, kmq_list_t *to,
    kmq_link_t *first, kmq_link_t *last, uint64_t n) KMQ_LOCKED;

/* Sorts by key, the lowest in front. */
void kmq_list_sort(kmq_shard_t *s, kmq_list_t *list,
    uint64_t (*key)(kmq_shard_t *s, const kmq_link_t *link)) KMQ_LOCKED;


/* ------------------------------------------------------------------ repair */

/* Tells, by the truth alone, whether an object of a table is in use. */
typedef int (*kmq_used_pt)(kmq_shard_t *s, unsigned class, void *object);

/*
 * A repair of memory has three steps.  First nothing is in use, and whole pages
 * are free.  Then the caller marks what is in use: messages with their bodies,
 * and chains of rings.  Then all other free lists are made anew.
 *
 * Where index is set, and no body lies in pages of the index, those are free,
 * too: 1 is returned, and messages may be entered into an empty index while
 * they are marked, unless kmq_index_insert() says KMQ_NOMEM: then it has to
 * begin again, without.
 */
int kmq_rebuild_begin(kmq_shard_t *s, int index) KMQ_LOCKED;
void kmq_message_mark(kmq_shard_t *s, const kmq_slot_t *slot) KMQ_LOCKED;
void kmq_ring_mark(kmq_shard_t *s, kmq_ref_t chain) KMQ_LOCKED;
void kmq_rebuild(kmq_shard_t *s, kmq_used_pt used) KMQ_LOCKED;

#endif /* KMQ_MEMORY_H */
