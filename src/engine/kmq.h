/*
 * KapokMQ engine: a message broker in one block of shared memory.
 *
 * The block holds topics, messages, clients and counters.  Processes (nginx
 * workers) open it and work on it directly, each through a handle of its own
 * (kmq_t).  There is no broker process.  The engine opens no file, reads no
 * clock, and blocks on nothing but its own locks.  It takes memory from the
 * block alone, except for small tables of each handle.
 *
 * A block has shards, up to 64, as many as its size allows.  Each has a lock of
 * its own, and a topic is in one of them: so workers that use different topics
 * seldom meet.  Callers see nothing of that.
 *
 *
 * The life of a message
 *
 *     +----------+  kmq_reserve   +----------+  kmq_commit   +---------+
 *     |   FREE   |--------------->| RESERVED |-------------->|  READY  |
 *     +----------+                +----------+               +---------+
 *          ^  ^                        |                      |       ^
 *          |  +------------------------+ kmq_discard,         |       |
 *          |                             death of the worker  |       |
 *          |                                         kmq_take |       |
 *          |                                                  v       |
 *     +----------+   kmq_confirm_upto, kmq_confirm_codes +-----------+|
 *     | CONSUMED |<--------------------------------------| IN FLIGHT |+
 *     +----------+                                       +-----------+ what
 *       history, dropped oldest first                      |        |  ends
 *       when memory is needed                              | fails  |  unblamed
 *     +----------+       max_deliveries                    v        +--------->
 *     |   DEAD   |<----------------------- RETRYING, for its back-off
 *     +----------+                                         |
 *       until kmq_requeue(), kmq_delete() or its age       v
 *                                              READY again, in front;
 *                                              a suspect is ASIDE
 *
 * A delivery fails when it is not confirmed in retry_time since it was its
 * consumer's oldest, or something behind it was confirmed; when it is given
 * back; and when its consumer ends, which is charged to one message alone, its
 * oldest: that is a suspect then.  Point to point, a suspect waits ASIDE for a
 * consumer that has nothing else.  In publish/subscribe a message that fails
 * with a consumer stays in flight and is pushed to it again.
 *
 * A delayed message is DELAYED between RESERVED and READY, until its time has
 * come.  READY, CONSUMED and DEAD messages are deleted when they are older than
 * clean_time, and those that are to be pushed again when that is due.
 *
 *     producer's process                     consumer's process
 *     ------------------                     ------------------
 *     kmq_reserve   n messages               (woken up)
 *     kmq_write     bodies, no lock          kmq_take      a batch
 *     kmq_commit    granted to routes        kmq_read      bodies, no lock
 *     kmq_wakes     wake these workers       kmq_confirm_upto
 *
 * A route is where a topic meets a worker that has consumers of it.  Point to
 * point, a commit grants each message to a route drawn at random, weighted by
 * the route's ready consumers, so that every ready consumer has the same
 * chance.  In publish/subscribe all routes are told.  Which worker gets which
 * message is decided only when it takes.
 *
 *
 * Who may call what
 *
 *   * A handle belongs to one thread.  Any number of handles, in any number of
 *     processes, may use a block.
 *   * Nothing here may be called from a signal handler.
 *   * kmq_block_min(), _max(), _init() and _check(), kmq_code_write() and
 *     kmq_restore_begin() need no handle.
 *   * Functions take a shard's lock for a short, bounded time, however many
 *     messages, clients and topics there are; those that are about all topics
 *     take one after the other.  Those of which it says "No lock" take none and
 *     never wait.
 *   * A worker that dies while it holds a lock harms nobody: the next one to
 *     take it rebuilds all lists and counts of that shard from its messages,
 *     and goes on.
 *   * Callbacks (kmq_settings_t.topic_own, kmq_waits_pt) must not call the
 *     engine.
 *
 * Times are those of kmq_clock(), in milliseconds unless it says s.  Functions
 * return KMQ_OK or a negative code, a count, or a pointer.  None aborts.
 *
 *
 * In this file
 *
 *   A worker     the block, a handle, settings, turns, wake-ups, the end
 *   A client     joins, is ready, leaves, has to go
 *   A message    is published, taken, confirmed or given back
 *   Watching     counters, topics, clients, messages
 *   Changing     messages are deleted, purged, requeued; topics are paused
 *   The disk     the journal, checkpoints, restoring
 *   Testing      a check of the whole block, and what tests reach
 */

#ifndef KMQ_H
#define KMQ_H

#include <stddef.h>
#include <stdint.h>

#include "journal/kmq_record.h"


#define KMQ_OK          0
#define KMQ_ERROR      -1    /* wrong argument, or a block not of this kind */
#define KMQ_AGAIN      -2    /* not now */
#define KMQ_FULL       -3    /* as many messages wait as may */
#define KMQ_NOMEM      -4    /* the block is full; nothing can be dropped */
#define KMQ_GONE       -5    /* there is no such message, client or topic */

#define KMQ_WORKERS        1024    /* handles at a time */
#define KMQ_NAME_MAX        255    /* bytes of a topic's or client's name */
#define KMQ_ADDR_MAX         47    /* bytes of a client's address as text */
#define KMQ_USER_MAX          64
#define KMQ_PREFETCH_MAX  65535
#define KMQ_DELIVERIES_MAX 65535
#define KMQ_BATCH_MESSAGES 1024    /* messages in one kmq_take() */
#define KMQ_BATCH_RUNS     1024    /* consumers served by one kmq_take() */
#define KMQ_CODE_LEN         40    /* hex digits of a MessageCode */
#define KMQ_SEED_LEN         32

#define KMQ_PUSH_ONE          1    /* point to point */
#define KMQ_PUSH_ALL          2    /* publish/subscribe */

#define KMQ_PRODUCER          1
#define KMQ_CONSUMER          2

/* Behind a prototype: nobody else may know the block yet. */
#define KMQ_ALONE

typedef struct kmq_s  kmq_t;

/* A place in the block: an offset in units of 8 bytes; 0: none */
typedef uint32_t      kmq_ref_t;


/* ================================================================ A worker */

/* --------------------------------------------------------------- the block */

/* The smallest and the largest block, in bytes.  No lock. */
size_t kmq_block_min(void);
size_t kmq_block_max(void);

/*
 * Makes a block of size bytes at the page-aligned address block.  The memory
 * must read as zeros, as a fresh anonymous mapping does.  The keys of the
 * MessageCodes come from seed: random bytes, which must stay secret.
 * KMQ_ERROR: the size is out of bounds, or the address is not aligned.
 */
int kmq_block_init(void *block, size_t size,
    const unsigned char seed[KMQ_SEED_LEN]) KMQ_ALONE;

/* KMQ_OK when block is a block of that size and of this version.  No lock. */
int kmq_block_check(const void *block, size_t size);


/* ---------------------------------------------------------------- a handle */

/*
 * Opens the block as worker number worker, below KMQ_WORKERS; kmq_attach_any()
 * takes the lowest number that is free.  What a predecessor of that number had
 * reserved when it died is given back, and its clients leave; what its
 * consumers had comes back in the first kmq_take() or kmq_tick(), when the time
 * has been told.  NULL: no memory, the number is out of bounds or in use, or
 * this is not a block.
 */
kmq_t *kmq_attach(void *block, size_t size, unsigned worker);
kmq_t *kmq_attach_any(void *block, size_t size);

/* The number of this worker.  No lock. */
unsigned kmq_worker(const kmq_t *kmq);


/* ---------------------------------------------------------------- settings */

/* How a topic behaves. */
typedef struct {
    uint32_t    push_type;         /* KMQ_PUSH_ONE or KMQ_PUSH_ALL */
    uint32_t    retry_time;        /* ms without a confirmation before a
                                      re-push; 0: never */
    uint32_t    max_deliveries;    /* failures before a message is dead, at most
                                      KMQ_DELIVERIES_MAX; 0: no limit */
    uint32_t    retry_delay;       /* ms: how long a message waits after a
                                      failure, doubled with each; 0: not */
    uint32_t    retry_delay_max;   /* ms: but no longer.  So long a suspect is
                                      alone with a consumer, and a consumer
                                      rests */
    uint32_t    clean_time;        /* s: older messages are deleted; 0: none */
} kmq_topic_settings_t;

/* How the whole queue behaves. */
typedef struct {
    uint32_t    waiting_max;       /* messageChanBuffer, at least 1 */
    uint32_t    batch_interval;    /* ms between two batches, 0: no pacing */
    uint32_t    batch_count;       /* messages of a batch, at least 1 */
    uint32_t    retry_count;       /* how often a failed push is repeated
                                      without waiting for the next batch */
    uint32_t    keep_consumed;     /* 1: consumed messages stay as history */
    uint32_t    check_interval;    /* ms between two looks for messages that
                                      are too old, at least 1 */

    /* Topics: what holds for all of them.  topic_own, where it is not NULL,
     * changes a copy of it for the topic of that name.  It is called under the
     * lock. */
    kmq_topic_settings_t   topic;
    void                 (*topic_own)(void *arg, const char *name, size_t len,
                                      kmq_topic_settings_t *settings);
    void                  *topic_arg;
} kmq_settings_t;

/*
 * Gives the queue and all topics new settings.  Every worker does so when it
 * starts, and the last one wins.  topic_own and topic_arg must stay valid as
 * long as the handle.
 *
 * All of it holds at once, except push_type: consumers that join from now on
 * are of the new type, and wait until those of the old one have left.
 */
void kmq_configure(kmq_t *kmq, const kmq_settings_t *settings);


/* ------------------------------------------------------------------- turns */

/* Tells the time.  mono never jumps and paces; wall dates messages.  To be
 * called before the engine is asked to do something.  No lock. */
void kmq_clock(kmq_t *kmq, uint64_t mono, uint64_t wall);

/*
 * Housekeeping, which each worker does about twice a second.  It gives back
 * what dead workers held, gives to others what was granted to workers that have
 * stood still for a second, looks at all clients now and then, and makes sure
 * that there is a keeper.  What takes longer goes on in kmq_take(), and
 * kmq_has_work() says so.  Returns how many dead workers have been dealt with
 * since the last call.
 */
unsigned kmq_tick(kmq_t *kmq);

/*
 * This process has stood still, and its sockets may hold what its consumers
 * have said meanwhile.  It reads that in the next ms; until then the engine
 * finds none of their messages overdue.  No lock.
 */
void kmq_hear(kmq_t *kmq, uint64_t ms);

/*
 * waits is called when this handle has waited for a lock for ms and goes on
 * waiting: it names the worker that has the lock, and its process.  No lock.
 */
typedef void (*kmq_waits_pt)(void *arg, unsigned ms, unsigned worker,
    int pid);

void kmq_on_wait(kmq_t *kmq, kmq_waits_pt waits, void *arg);

/* 1, once, after this handle has had to repair a shard because a worker died
 * while it held that one's lock.  No lock. */
int kmq_repaired(kmq_t *kmq);


/* ---------------------------------------------------------------- wake-ups */

/*
 * Any call may find work for other workers, which the caller has to wake.  The
 * handle gathers them; kmq_wakes() hands the set out and empties it: bit i % 64
 * of mask[i / 64] is worker i.  A worker appears once, until its kmq_take() has
 * found nothing left to do; the own one never does.  Returns 0, and leaves mask
 * as it is, when the set is empty.  No lock.
 */
int kmq_wakes(kmq_t *kmq, uint64_t mask[KMQ_WORKERS / 64]);

/*
 * 1 when this worker should call kmq_take(): the handle's own calls have found
 * that there is, or may be, something for it.  What others find for it, they
 * announce with their kmq_wakes().  No lock.
 */
int kmq_has_work(kmq_t *kmq);

/*
 * Milliseconds, at least 1, until this worker should call kmq_take() because
 * paced messages may go then; the call also starts that batch for all workers.
 * 0: nothing waits for a batch.  No lock.
 */
uint64_t kmq_next_batch(kmq_t *kmq);

/*
 * One worker, the keeper, looks after times for all: delayed messages, missing
 * confirmations, age.  It does so in kmq_take().  Milliseconds, at least 1,
 * until it should call that again; 0: nothing waits, or this worker is not the
 * keeper.  No lock.
 */
uint64_t kmq_next_due(kmq_t *kmq);


/* ----------------------------------------------------------------- the end */

/*
 * This worker is about to end.  That its consumers leave is not their fault, so
 * no message dies of it (max_deliveries).  The worker stays keeper no longer
 * than it has to.
 */
void kmq_retire(kmq_t *kmq);

/* All clients of this handle leave, and what it reserved is given back.
 * kmq_wakes() names those who get it. */
void kmq_leave_all(kmq_t *kmq);

/* Does the same and frees the handle.  NULL is allowed. */
void kmq_detach(kmq_t *kmq);


/* ================================================================ A client */

/* What is known of a client. */
typedef struct {
    uint32_t    role;              /* KMQ_PRODUCER or KMQ_CONSUMER */
    uint32_t    prefetch;          /* consumers: 1 to KMQ_PREFETCH_MAX */
    uint64_t    join_time;         /* ms, wall clock; set by kmq_join() */
    uint64_t    number;            /* unique for the block; set by kmq_join() */
    uint32_t    mode;              /* the caller's own */
    uint32_t    by_code;           /* 1: it confirms by codes alone, so that a
                                      rest ends by time */
    uint32_t    pull;              /* 1: it waits for one run, which it leases:
                                      kmq_lease(); and it is not paced */
    uint32_t    settles;           /* 1: others may settle what it has by its
                                      id in publish/subscribe, too; it may be
                                      parked */

    /* set by kmq_clients() */
    kmq_ref_t   ref;
    uint32_t    worker;
    uint32_t    in_flight;         /* unconfirmed messages */
    uint32_t    last_seen;         /* s, wall clock: it said something */
    uint32_t    resting;           /* 1: it let a message become overdue, and
                                      gets none while others can */
    uint32_t    silent;            /* 1: kmq_silent() */
    uint32_t    leased;            /* 1: kmq_lease(); */
    uint32_t    parked;            /* 1: kmq_park(): it is no worker's now */
    uint64_t    left;              /* ms until the first of its leases ends, as
                                      they were when that was looked at last; or
                                      until it is parked no more */
    uint64_t    oldest;            /* ms: for so long its oldest unconfirmed
                                      message has been that; 0: it has none */
    uint64_t    messages;          /* a producer's that were accepted; or how
                                      many a consumer was pushed, without those
                                      that it had already */
    uint64_t    confirmed;         /* by a consumer */
    uint16_t    id_len;
    uint16_t    topic_len;
    uint16_t    addr_len;
    uint16_t    user_len;
    char        id[KMQ_NAME_MAX];
    char        topic[KMQ_NAME_MAX];
    char        addr[KMQ_ADDR_MAX];
    char        user[KMQ_USER_MAX];    /* by whose key it is here */
} kmq_client_info_t;

/*
 * Registers a client of this worker.  Batches hand user back; the engine never
 * follows it.  A consumer starts as not ready.  Returns the client; 0: no
 * memory, or info is not valid.
 */
kmq_ref_t kmq_join(kmq_t *kmq, const kmq_client_info_t *info, void *user);

/*
 * Says whether a consumer's connection takes bytes.  The engine pushes to it
 * while it does, and while it has fewer than prefetch messages in flight.  No
 * lock when nothing changes.
 */
void kmq_set_ready(kmq_t *kmq, kmq_ref_t client, int ready);

/* A client has said something; of a producer's messages, accepted more have
 * been accepted.  No lock. */
void kmq_seen(kmq_t *kmq, kmq_ref_t client, unsigned accepted);

/* A client has, or has not, missed a heartbeat: for kmq_clients().  No lock. */
void kmq_silent(kmq_t *kmq, kmq_ref_t client, int silent);

/*
 * A client leaves, and its reference is void.  What a consumer has not
 * confirmed waits again, in front of its topic and in its order.  Where that is
 * much, this worker's kmq_take() does the rest, and kmq_has_work() says so.
 *
 * failed: it ended by itself, or was ended for what it did.  Then one message
 * is charged with that: the oldest suspect that it has, else the oldest
 * message; in publish/subscribe only if nobody else has, or had, confirmed it.
 * 0: it was ended for reasons of ours, and no message is to blame.
 */
void kmq_leave(kmq_t *kmq, kmq_ref_t client, int failed);

/*
 * A client of any worker has to go; ref and number are those that kmq_clients()
 * told.  Its worker finds it with kmq_to_close(); one that is leased or parked
 * leaves in somebody's kmq_take().  KMQ_OK or KMQ_GONE.
 */
int kmq_disconnect(kmq_t *kmq, kmq_ref_t client, uint64_t number);

#define KMQ_TOO_SLOW      1    /* publish/subscribe: it is so far behind the
                                  others that its backlog would stop
                                  producers */
#define KMQ_DISCONNECTED  2    /* kmq_disconnect() */

/*
 * The user of a client of this worker that has to go, and why; the caller
 * closes it.  NULL: there is none.  To be called after kmq_tick() and
 * kmq_take(), until it returns NULL.
 */
void *kmq_to_close(kmq_t *kmq, int *why);


/* ------------------------------------------------------- leased and parked */

/*
 * A consumer can be set apart: it is no worker's any more, its reference is
 * void, it survives its worker, and gets nothing new.  Whatever it has stays in
 * flight with it until that is settled, or its time is over.  kmq_clients()
 * lists it as a consumer; kmq_topic_info_t.consumers is without it.  Nothing of
 * this is on disk: over a restart all goes back, and nothing is charged.
 */

#define KMQ_LEASE_MAX  UINT64_C(2592000000)    /* ms */

/*
 * A pull's run has come.  Each of its messages is leased for ms, up to
 * KMQ_LEASE_MAX, from now on, or since kmq_settle_extend().  Of the leases that
 * have ended when that is looked at, the oldest message's is charged as
 * overdue, the others go back uncharged, in front of their topic and in their
 * order.  It goes when nothing is in flight with it.  Returns its number; 0:
 * nothing has changed, since the topic is publish/subscribe.
 */
uint64_t kmq_lease(kmq_t *kmq, kmq_ref_t client, uint64_t ms);

/* The answer has not been written whole: all that is still leased goes back,
 * uncharged.  From any worker; nothing happens when that client has gone. */
void kmq_lease_cancel(kmq_t *kmq, kmq_ref_t client, uint64_t number);

/*
 * A consumer that settles has lost its stream, and may come back within ms, at
 * most KMQ_LEASE_MAX.  Until then nothing is overdue.  Then it leaves; failed
 * as in kmq_leave().  Point to point it goes when nothing is in flight with it;
 * in publish/subscribe it keeps its place, and what is published meanwhile
 * waits for it.
 */
void kmq_park(kmq_t *kmq, kmq_ref_t client, uint64_t ms, int failed);

/*
 * It has come back, to any worker: info names its topic and id, and what else
 * has changed.  last: the code of the last message that it received, or NULL.
 * Of several of that id it is the one that has that message, or confirmed it
 * last; if none has, the one that was parked first.  What it was
 * pushed up to that one stays in flight with it, with its clock begun anew; the
 * rest is ready again, uncharged, in front of the topic and in its order, or,
 * in publish/subscribe, is pushed to it again.  A code that is neither in
 * flight with it nor the last that it confirmed goes by the order in which
 * messages came.
 *
 * Returns the client, which is not ready yet and has a new number; 0: there is
 * none, or no memory: kmq_join() then.
 */
kmq_ref_t kmq_resume(kmq_t *kmq, const kmq_client_info_t *info, void *user,
    const char *last);


/* =============================================================== A message */

/*
 * A message on its way in (kmq_reserve) or out (kmq_take).  Its body is the
 * message data as the inside of a JSON string, escaped and without quotes.  It
 * lies in one or more pieces of the block.
 */
typedef struct {
    uint32_t       size;           /* bytes of body */
    uint32_t       attempts;       /* set by kmq_take(): 0: it is pushed for the
                                      first time; else its failures and this
                                      push */
    uint64_t       delay_time;     /* ms until it becomes ready, 0: at once */

    /* set by the engine */
    uint32_t       delay;          /* the same in seconds, rounded up */
    kmq_ref_t      slot;
    kmq_ref_t      body;
    kmq_ref_t      piece;          /* where kmq_write() goes on */
    uint32_t       offset;         /* bytes written in that piece */
    uint32_t       position;       /* order of delivery, see kmq_take() */
    uint32_t       create_time;    /* s */
    uint16_t       accepted;       /* kmq_accept() has written it */
    uint16_t       shard;          /* the engine's: where it is */
    uint64_t       sequence;       /* unique for the block */
} kmq_message_t;


/* ------------------------------------------------------------ is published */

/*
 * Makes room for n messages of producer's topic.  m[] tells their sizes and
 * delays, and is zeroed otherwise.  Returns how many of them, from the first
 * on, got room; *why (may be NULL) tells why not all: KMQ_FULL or KMQ_NOMEM.
 * KMQ_FULL is exact but for room that others take meanwhile; who tries again
 * later finds what there is then.
 * Only consumed history is dropped to make room.  A message of more than
 * kmq_body_max() bytes never fits: KMQ_NOMEM, too.
 *
 * Each reserved message must be written, and then committed or discarded.
 */
unsigned kmq_reserve(kmq_t *kmq, kmq_ref_t producer, kmq_message_t *m,
    unsigned n, int *why);

/* The same for one message and a topic by its name of 1 to KMQ_NAME_MAX bytes.
 * KMQ_OK, KMQ_FULL, KMQ_NOMEM, or KMQ_ERROR: the length of the name. */
int kmq_reserve_to(kmq_t *kmq, const char *topic, size_t len,
    kmq_message_t *m);

/*
 * A batch: messages that come in all or none, of topics that may differ.  The
 * same for n of them, 1 or more, each with its topic; *batch is its number.
 * KMQ_OK; or, and nothing is reserved, KMQ_FULL, KMQ_NOMEM, or KMQ_ERROR: so
 * much never fits.
 *
 * Between kmq_batch_decide() and kmq_batch_end() the caller commits it, with
 * kmq_commit(), in as many calls as it likes, and so for all batches up to that
 * one that are still reserved.  If this worker dies meanwhile, the rest of them
 * is committed by who gives back what it had; if it dies before, none of them
 * is.  Neither takes a lock.
 */
typedef struct {
    const char    *bytes;
    size_t         len;            /* 1 to KMQ_NAME_MAX */
} kmq_topic_name_t;

int kmq_reserve_batch(kmq_t *kmq, const kmq_topic_name_t *topics,
    kmq_message_t *m, unsigned n, uint64_t *batch);
void kmq_batch_decide(kmq_t *kmq, uint64_t batch);
void kmq_batch_end(kmq_t *kmq);

/* The largest body that can be stored, in bytes: about half the block.  No
 * lock. */
size_t kmq_body_max(kmq_t *kmq);

/* Appends n bytes to the body of a reserved message; what goes beyond its size
 * is cut off.  No lock. */
void kmq_write(kmq_t *kmq, kmq_message_t *m, const void *bytes, size_t n);

/*
 * Puts written messages into their topics' queues, in their order, or on the
 * schedule where they are delayed.  It cannot fail.  See kmq_wakes() and
 * kmq_has_work() afterwards.
 */
void kmq_commit(kmq_t *kmq, kmq_message_t *m, unsigned n);

/* Gives reserved messages back without storing them. */
void kmq_discard(kmq_t *kmq, kmq_message_t *m, unsigned n);

/* Counts n messages that were refused for good: of a topic by its name, or of a
 * producer of this handle. */
void kmq_count_refused(kmq_t *kmq, const char *topic, size_t len, unsigned n);
void kmq_count_refused_by(kmq_t *kmq, kmq_ref_t producer, unsigned n);

/* Writes the MessageCode of a message: KMQ_CODE_LEN hex digits, no zero byte.
 * No lock. */
void kmq_code(kmq_t *kmq, const kmq_message_t *m, char code[KMQ_CODE_LEN]);

/* The same by the key that a file names, see kmq_journal_info_t.  No lock. */
void kmq_code_write(const uint64_t key[2], uint64_t sequence,
    uint32_t create_time, char code[KMQ_CODE_LEN]);


/* ---------------------------------------------------------------- is taken */

/* One consumer's part of a batch: messages[first .. first + count - 1]. */
typedef struct {
    kmq_ref_t     client;
    uint32_t      first;
    uint32_t      count;
    void         *user;
} kmq_run_t;

/*
 * What one kmq_take() hands out, all of one topic.  Point to point, runs do not
 * overlap and cover all messages; in publish/subscribe they share them.  The
 * messages of a run are to be sent in their order.
 */
typedef struct {
    size_t         bytes_max;      /* in: stop after so many bytes of body */
    const char    *topic;          /* valid while a consumer of it is there */
    uint32_t       topic_len;
    kmq_ref_t      topic_ref;      /* stays the same for that time */
    unsigned       again;          /* 1: the consumer has these already */
    unsigned       nmessages;
    unsigned       nruns;
    kmq_message_t  messages[KMQ_BATCH_MESSAGES];
    kmq_run_t      runs[KMQ_BATCH_RUNS];
} kmq_batch_t;

/*
 * Does a slice of whatever housekeeping is due, then takes the next batch for
 * this worker's ready consumers.  Its messages are in flight then.  Their
 * bodies stay where they are until they are confirmed, given back, found
 * overdue in a later call, or their consumer leaves.
 *
 * Returns the number of runs.  0: there is nothing to do, or, when
 * kmq_has_work() says so, no more than that under one lock.  Topics take turns:
 * call it until it returns 0, and, while there is work, from a posted event.
 * Others do not wake this worker before it has returned 0.
 *
 * A message's position grows with every delivery of its topic; compare
 * positions by their difference as int32_t.  What is pushed again to the same
 * consumer in publish/subscribe comes in a run of its own and keeps its
 * position.
 */
unsigned kmq_take(kmq_t *kmq, kmq_batch_t *batch);

/* Where the body of a taken message begins, for prefetching.  No lock. */
const void *kmq_body(kmq_t *kmq, const kmq_message_t *m);

/*
 * Walks the body of a taken message.  *piece starts as m->body and *left as
 * m->size.  Returns the address of the next *n bytes; NULL: the end.  No lock.
 */
const char *kmq_read(kmq_t *kmq, kmq_ref_t *piece, uint32_t *left,
    uint32_t *n);


/* ----------------------------------------------- is confirmed or given back */

/* How many messages are in flight with client.  No lock. */
unsigned kmq_in_flight(kmq_t *kmq, kmq_ref_t client);

/* The client confirms all its messages in flight up to and including position.
 * Returns how many they were. */
unsigned kmq_confirm_upto(kmq_t *kmq, kmq_ref_t client, uint32_t position);

/*
 * The client names n messages by their codes, KMQ_CODE_LEN characters each, one
 * after the other in codes.  Each function returns how many of them were in
 * flight with it.
 *
 * confirm: it has consumed them.  One that waits again after it was pushed is
 * consumed as well, and counts.
 * extend: it still works on them; each has retry_time from now on.
 * return: it gives them back, which is a failure.  They wait, for delay ms, or
 * as long as their failures say (KMQ_BACK_OFF), and are ready again then, in
 * front of their topic; in publish/subscribe they are pushed to it again; or
 * they are dead.  delay 0: it had not begun them; that is no failure, they are
 * ready at once, and it gets nothing new for retry_delay.
 */
#define KMQ_BACK_OFF  (-1)

unsigned kmq_confirm_codes(kmq_t *kmq, kmq_ref_t client, const char *codes,
    unsigned n);
unsigned kmq_extend_codes(kmq_t *kmq, kmq_ref_t client, const char *codes,
    unsigned n);
unsigned kmq_return_codes(kmq_t *kmq, kmq_ref_t client, const char *codes,
    unsigned n, int64_t delay);

/*
 * 1 when it is an error that client names a message by that code: the message
 * is not in flight with it, nor is it consumed, deleted or gone; nor, where
 * late is set, does it wait again after it was pushed.
 */
int kmq_code_wrong(kmq_t *kmq, kmq_ref_t client,
    const char code[KMQ_CODE_LEN], int late);


/* ------------------------------------------------- is settled by anybody */

/* May whoever settles do so in that topic?  Called under the lock, once for
 * many messages. */
typedef int (*kmq_allow_pt)(void *arg, const char *topic, size_t len);

#define KMQ_SETTLE_NOT     0     /* not in flight, or not with that id */
#define KMQ_SETTLE_DONE    1
#define KMQ_SETTLE_DENIED  2     /* allow() said 0 */

typedef struct {
    const char    *codes;          /* n of them, KMQ_CODE_LEN characters each */
    unsigned       n;
    const char    *id;             /* of the consumer, */
    size_t         id_len;         /* 0: not told */
    kmq_allow_pt   allow;          /* NULL: all are */
    void          *arg;
    uint8_t       *result;         /* out: KMQ_SETTLE_..., n of them */
} kmq_settle_t;

/*
 * The same as kmq_confirm_codes() and so on, for messages in flight with
 * consumers of any worker, and with those that are leased or parked; from
 * anywhere.  Each returns how many were done.
 *
 * confirm: where an id is told, the message must be in flight with a consumer
 * of that id, or wait again; in publish/subscribe it has to be told.  return
 * and extend: it has to be told.  In publish/subscribe those are found that
 * settle (kmq_client_info_t); of several with an id, one that has the message.
 *
 * extend: a lease begins anew; one that is parked stays so no longer for it.
 */
unsigned kmq_settle_confirm(kmq_t *kmq, const kmq_settle_t *settle);
unsigned kmq_settle_return(kmq_t *kmq, const kmq_settle_t *settle,
    int64_t delay);
unsigned kmq_settle_extend(kmq_t *kmq, const kmq_settle_t *settle);


/* ================================================================ Watching */

/* ---------------------------------------------------------------- counters */

/* Counted since the queue began.  Records have them in this order, too. */
typedef struct {
    uint64_t    published;
    uint64_t    delivered;         /* pushes, one per consumer */
    uint64_t    redelivered;       /* of these, not a message's first */
    uint64_t    confirmed;         /* confirmations, one per consumer */
    uint64_t    died;              /* became dead */
    uint64_t    expired;           /* deleted for their age */
    uint64_t    refused;           /* kmq_count_refused() */

    /* of the queue, not of a topic */
    uint64_t    dropped;           /* history given up for memory */
    uint64_t    requeued;
    uint64_t    deleted;           /* by kmq_delete() */
} kmq_totals_t;

/* Why the delivery of a message has failed last. */
#define KMQ_FAILED_NOT      0
#define KMQ_FAILED_END      1      /* its consumer ended */
#define KMQ_FAILED_RETURN   2      /* it was given back */
#define KMQ_FAILED_OVERDUE  3      /* it was not confirmed in time */
#define KMQ_REASONS         4

typedef struct {
    /* messages that are there now */
    uint64_t    ready;             /* wait for a consumer */
    uint64_t    in_flight;         /* pushed, not consumed */
    uint64_t    retrying;          /* wait for the time of their next try */
    uint64_t    delayed;
    uint64_t    consumed;          /* the history */
    uint64_t    dead;
    uint64_t    resting;           /* consumers */

    uint64_t    failures[KMQ_REASONS];     /* of messages, by reason, since the
                                      block was made; [0]: taken back, but not
                                      charged */

    kmq_totals_t    totals;
    kmq_totals_t    before;        /* as they were restored from files; what was
                                      counted later may have been lost then */

    uint64_t    topics;
    uint64_t    producers;
    uint64_t    consumers;         /* without these: */
    uint64_t    leases;            /* pulls' runs that are leased */
    uint64_t    parked;            /* consumers */
    uint64_t    repairs;           /* times a holder of a lock had died */
    uint64_t    lock_waits;        /* times somebody had to wait for one */
    unsigned    shards;            /* parts of the block with such a lock */

    uint64_t    bytes_total;       /* of the block, for messages */
    uint64_t    bytes_free;        /* in whole pages */
    uint64_t    bytes_history;     /* about what consumed messages hold, which
                                      is given back when it is needed */

    /* times are seconds of the wall clock, 0: never */
    uint64_t    start_time;        /* of the block */
    uint64_t    flush_time;        /* some worker's journal last */
    uint64_t    checkpoint_time;   /* the last one */
    uint64_t    journal_bytes;     /* written since it began */
    uint64_t    checkpoint_bytes;
    int         disk_error;        /* errno of a worker whose last flush
                                      failed; 0: none */

    unsigned    keeper;            /* a worker; KMQ_WORKERS: none */
    uint64_t    workers[KMQ_WORKERS / 64];     /* bits as in kmq_wakes() */
    uint64_t    retiring[KMQ_WORKERS / 64];    /* of these, about to end */
} kmq_counts_t;

/* The state of the queue. */
void kmq_count(kmq_t *kmq, kmq_counts_t *counts);

#define KMQ_UNIT_MINUTE  1         /* KMQ_MINUTES of them are kept */
#define KMQ_UNIT_HOUR    2         /* KMQ_HOURS */

/* What was counted in the last n minutes or hours, oldest first; the current
 * one is the last.  In each the number is set. */
void kmq_growth(kmq_t *kmq, unsigned unit, kmq_period_t *period, unsigned n);

/* How long messages have waited for their first push, since the block was made:
 * how many of them no longer than each bound, and longer than the one before,
 * the last ones longer than all; and all their ms. */
#define KMQ_LATENCY_BOUNDS  16

extern const uint32_t  kmq_latency_bound[KMQ_LATENCY_BOUNDS];      /* ms */

typedef struct {
    uint64_t    count[KMQ_LATENCY_BOUNDS + 1];
    uint64_t    sum;
} kmq_latency_t;

void kmq_latency(kmq_t *kmq, kmq_latency_t *latency);


/* ------------------------------------------------------ topics and clients */

/*
 * Lists are walked in slices.  A call fills at most n entries into info, from
 * *cursor on, which is 0 at the start, and moves *cursor.  It returns how many;
 * 0: the end.  What comes or goes meanwhile is seen or not; nothing is seen
 * twice.
 */

/* A topic as it was when it was asked for. */
typedef struct {
    uint32_t    push_type;
    uint32_t    producers;
    uint32_t    consumers;
    uint16_t    name_len;
    char        name[KMQ_NAME_MAX];

    uint32_t    resting;           /* of these consumers */
    uint32_t    paused;            /* 1: kmq_pause() */
    uint64_t    ready;             /* messages, as in kmq_counts_t */
    uint64_t    in_flight;
    uint64_t    retrying;
    uint64_t    delayed;
    uint64_t    consumed;
    uint64_t    dead;
    uint64_t    oldest;            /* s, wall clock: since when the first of
                                      the ready ones could have been delivered;
                                      0: none is ready */
    kmq_totals_t    totals;
    kmq_totals_t    before;        /* the same, as restored */
} kmq_topic_info_t;

unsigned kmq_topics(kmq_t *kmq, uint64_t *cursor, kmq_topic_info_t *info,
    unsigned n);

/* The same of one topic, and more.  Each period is at its number modulo how
 * many there are; those without a number are none. */
typedef struct {
    kmq_topic_info_t       info;
    kmq_topic_settings_t   settings;
    kmq_period_t           minute[KMQ_TOPIC_MINUTES];
    kmq_period_t           hour[KMQ_TOPIC_HOURS];
} kmq_topic_detail_t;

/* KMQ_OK or KMQ_GONE. */
int kmq_topic(kmq_t *kmq, const char *name, size_t len,
    kmq_topic_detail_t *detail);

/* All producers, or all consumers, of all workers. */
unsigned kmq_clients(kmq_t *kmq, uint32_t role, uint64_t *cursor,
    kmq_client_info_t *info, unsigned n);

/* One of them, by what kmq_clients() told, or a client of this worker by its
 * reference (number 0).  KMQ_OK or KMQ_GONE. */
int kmq_client(kmq_t *kmq, kmq_ref_t client, uint64_t number,
    kmq_client_info_t *info);


/* ---------------------------------------------------------------- messages */

#define KMQ_STATUS_WAITING  -1     /* ready or in flight */
#define KMQ_STATUS_DELAYED   0
#define KMQ_STATUS_CONSUMED  1
#define KMQ_STATUS_DEAD      2
#define KMQ_STATUS_ANY       3

/* of those that wait, for queries alone */
#define KMQ_STATUS_READY     4
#define KMQ_STATUS_IN_FLIGHT 5
#define KMQ_STATUS_RETRYING  6     /* they failed, and are not ready yet */

/* A message as it was when it was asked for. */
typedef struct {
    int         status;            /* KMQ_STATUS_WAITING to _DEAD */
    uint32_t    size;              /* bytes of body */
    uint32_t    attempts;          /* deliveries that failed, and the one that
                                      goes on; publish/subscribe: the most of
                                      one consumer */
    uint32_t    failure;           /* KMQ_FAILED_...: the last one */
    uint32_t    suspect;           /* 1: it was charged with a consumer's end,
                                      and is pushed alone */
    uint32_t    create_time;       /* s */
    uint32_t    consumed_time;     /* s; 0: it was not consumed */
    uint32_t    dead_time;         /* s; 0: it is not dead */
    uint32_t    delay;             /* s, rounded up */
    uint32_t    in_flight;         /* 1: it is */
    uint64_t    due;               /* s, wall clock: when it will be ready, if
                                      it is delayed, or waits for its next try;
                                      else 0 */
    uint64_t    sequence;
    kmq_ref_t   slot;
    kmq_ref_t   body;
    uint16_t    topic_len;
    char        code[KMQ_CODE_LEN];
    char        topic[KMQ_NAME_MAX];
} kmq_message_info_t;

/* The message of that code.  KMQ_OK or KMQ_GONE. */
int kmq_find(kmq_t *kmq, const char code[KMQ_CODE_LEN],
    kmq_message_info_t *info);

/* What kmq_search() looks for. */
typedef struct {
    int          status;           /* KMQ_STATUS_... */
    const char  *topic;
    size_t       topic_len;        /* 0: any topic */
    uint32_t     from;             /* s: created no earlier */
    uint32_t     to;               /* s: and no later */
    int          oldest;           /* 1: the oldest first */

    /* Where they are not NULL: is it a topic that is looked for, and what is in
     * the message's data?  data_fits is called with a NULL part first, then
     * with one part of the data after the other, KMQ_SEARCH_DATA bytes at most,
     * until it returns 1.  Both are called under the lock. */
    int        (*topic_fits)(void *arg, const char *name, size_t len);
    int        (*data_fits)(void *arg, const char *part, size_t n);
    void        *arg;
} kmq_query_t;

#define KMQ_SEARCH_DATA  1048576

/*
 * Walks messages from the newest to the oldest, as above, or the other way
 * round, but in slices of bounded time: it may find none in a slice although
 * there are more.  *cursor is 0 again when all were seen.  A cursor stays good
 * for ever, with its query; messages that come after the start are not seen,
 * or, where the oldest come first, they are or not.
 */
unsigned kmq_search(kmq_t *kmq, const kmq_query_t *query, uint64_t *cursor,
    kmq_message_info_t *info, unsigned n);

/* The cursor with which that walk goes on behind a message that it found.  No
 * lock. */
uint64_t kmq_search_cursor(const kmq_query_t *query, uint64_t sequence);

/* The id of the consumer with which a found message is in flight.  Returns its
 * bytes; 0: with none, or, in publish/subscribe, with whoever it may be. */
size_t kmq_consumer_of(kmq_t *kmq, const kmq_message_info_t *m,
    char id[KMQ_NAME_MAX]);

/*
 * Copies the next part of a found message's body to buf, which has n bytes,
 * KMQ_COPY_MIN or more.  *piece starts as m->body and *left as m->size.
 * Returns how many bytes; 0: the end; KMQ_GONE: the message has been deleted
 * meanwhile.
 */
#define KMQ_COPY_MIN  8192

int kmq_copy(kmq_t *kmq, const kmq_message_info_t *m, kmq_ref_t *piece,
    uint32_t *left, char *buf, size_t n);

/* Copies the first n bytes of its body, or all that there are.  Returns how
 * many, or KMQ_GONE. */
int kmq_copy_head(kmq_t *kmq, const kmq_message_info_t *m, char *buf,
    size_t n);


/* ================================================================ Changing */

/*
 * Deletes a message, whatever its state, so that it is not pushed any more.
 * One in flight counts as gone, and goes when its delivery ends.  KMQ_OK or
 * KMQ_GONE.
 */
int kmq_delete(kmq_t *kmq, const char code[KMQ_CODE_LEN]);

/* Deletes what kmq_search() would find, in such slices, and adds to *deleted.
 * To be called until *cursor is 0 again. */
void kmq_purge(kmq_t *kmq, const kmq_query_t *query, uint64_t *cursor,
    uint64_t *deleted);

/* Makes a dead message ready again, as if it were new.  KMQ_OK, KMQ_GONE, or
 * KMQ_ERROR: it is not dead. */
int kmq_requeue(kmq_t *kmq, const char code[KMQ_CODE_LEN]);

/* The same for the max oldest dead messages of a topic.  Returns how many; to
 * be called until that is less than max. */
unsigned kmq_requeue_topic(kmq_t *kmq, const char *topic, size_t len,
    unsigned max);

/*
 * Pauses a topic, or resumes it: nothing is pushed meanwhile, to nobody.
 * Messages come as ever, and what is in flight is confirmed or comes back.  It
 * stays so over all workers and, where there is a journal, over restarts.
 * KMQ_OK, also when it was so before, or KMQ_GONE: there is no such topic.
 */
int kmq_pause(kmq_t *kmq, const char *topic, size_t len, int on);

/* Has the time of a delayed message come, or that of the next try of one that
 * failed; one that is too old goes then.  KMQ_OK, KMQ_GONE, or KMQ_ERROR: it
 * waits for no time. */
int kmq_make_due(kmq_t *kmq, const char code[KMQ_CODE_LEN]);


/* ================================================================ The disk */

/*
 * The engine opens no file.  It gathers what changes as records (the journal),
 * tells what is there as records (a checkpoint), and is filled from records
 * (restoring).  kmq_record.h has their form, src/disk the files.
 */

/* Consumed messages that are in a checkpoint: those among so many newest. */
#define KMQ_HISTORY_KEPT  200000

/* To which files records belong. */
typedef struct {
    uint64_t    generation;
    uint64_t    start;             /* its checkpoint shows all changes with
                                      numbers up to this one */
    uint64_t    key[2];            /* of the MessageCodes */
    uint32_t    worker;
} kmq_journal_info_t;


/* -------------------------------------------------------------- the journal */

/* Whether this handle gathers what it changes.  At first it does not. */
void kmq_journal(kmq_t *kmq, int on);

/*
 * Puts reserved and written messages into the journal, so that kmq_commit()
 * does not; for queues where nobody may see a message before it is on disk.
 * They stay reserved.  KMQ_OK; KMQ_NOMEM: nothing has changed.
 */
int kmq_accept(kmq_t *kmq, kmq_message_t *m, unsigned n);

/* Bytes of records gathered.  No lock. */
size_t kmq_journal_len(const kmq_t *kmq);

/*
 * Hands the gathered records out: exchanges their buffer for spare, whose
 * content is given up.  Their sums are still to be written, with
 * kmq_records_seal().  They belong into a journal of info->generation, or of a
 * later one.  Returns their bytes.
 */
size_t kmq_journal_take(kmq_t *kmq, kmq_buffer_t *spare,
    kmq_journal_info_t *info);

/* What becomes of them.  So many bytes are in a file; they are as safe as the
 * disk makes them, or that failed with this errno; or they are lost, and only
 * the next checkpoint will be complete again. */
void kmq_journal_written(kmq_t *kmq, uint64_t bytes);
void kmq_journal_flushed(kmq_t *kmq, int error);
void kmq_journal_lost(kmq_t *kmq);

/* 1 when a checkpoint of a later generation is on disk, so that nobody needs
 * the journals of this one. */
int kmq_journal_covered(kmq_t *kmq, uint64_t generation);


/* ------------------------------------------------------------- checkpoints */

/* A checkpoint on its way. */
typedef struct {
    kmq_journal_info_t   info;
    uint64_t             complete;     /* generation of the last one */
    uint64_t             messages;     /* so far */
    uint64_t             records;

    /* the engine's */
    unsigned             phase;
    unsigned             shard;
    uint32_t             page;
    uint32_t             index;
    uint64_t             next;
    uint64_t             last;
    uint64_t             history;
    uint64_t             losses;
    size_t               full;         /* length of out: the slice's end */

    /* the large message that is taken in parts */
    unsigned             part;
    uint32_t             size;
    kmq_ref_t            piece;
    uint32_t             left;
    uint32_t             sum;
    uint32_t             head_len;
    unsigned char        head[KMQ_RECORD_MESSAGE_HEAD + KMQ_NAME_MAX];
} kmq_checkpoint_t;

/* 1 when this worker is the keeper and should make a checkpoint now: journals
 * have grown by more than the last one's size and by journal_min bytes, or
 * records were lost.  No lock. */
int kmq_checkpoint_due(kmq_t *kmq, uint64_t journal_min);

/*
 * Begins a generation and its checkpoint, and appends the first record to out.
 * Records of all handles that are taken from now on belong to this generation.
 * A checkpoint's records have their sums and can be written as they are.
 * KMQ_OK or KMQ_NOMEM.
 */
int kmq_checkpoint_begin(kmq_t *kmq, kmq_checkpoint_t *cp, kmq_buffer_t *out);

/*
 * The same after this worker's last one, cp, has failed: its generation begins
 * anew, unless somebody has begun another, so that journals need not.  Where
 * history is 0, consumed messages are left out.
 */
int kmq_checkpoint_again(kmq_t *kmq, kmq_checkpoint_t *cp, kmq_buffer_t *out,
    int history);

/*
 * Appends the next slice to out, about 128 KiB, at most twice that.  A larger
 * message comes in several slices.  1: there is more; 0: that was the last one;
 * KMQ_NOMEM; KMQ_AGAIN: a worker died, and the checkpoint has to begin anew, or
 * it is overtaken.
 */
int kmq_checkpoint_next(kmq_t *kmq, kmq_checkpoint_t *cp, kmq_buffer_t *out);

/* Has a worker that is keeper now begun a later one?  Then that has all of this
 * one, whose file may be gone.  No lock. */
int kmq_checkpoint_overtaken(const kmq_t *kmq, const kmq_checkpoint_t *cp);

/* The checkpoint is on disk, with size bytes, and older files are not needed
 * any more. */
void kmq_checkpoint_end(kmq_t *kmq, const kmq_checkpoint_t *cp,
    uint64_t size);


/* --------------------------------------------------------------- restoring */

/* What restoring has found. */
typedef struct {
    uint64_t    messages;          /* records of messages */
    uint64_t    ready;             /* there at the end */
    uint64_t    delayed;
    uint64_t    consumed;
    uint64_t    dead;
} kmq_restored_t;

typedef struct kmq_restore_s  kmq_restore_t;

/* Begins to fill a block that has just been made; times as in kmq_clock().
 * NULL: no memory, or not a block. */
kmq_restore_t *kmq_restore_begin(void *block, size_t size, uint64_t mono,
    uint64_t wall) KMQ_ALONE;

/*
 * Applies a record.  First come all records of a checkpoint, then those of
 * journals in the order of their numbers, without those that the checkpoint
 * shows.  KMQ_OK; KMQ_ERROR: the record makes no sense and is passed over;
 * KMQ_NOMEM: the block is full.
 */
int kmq_restore_record(kmq_restore_t *rs, const kmq_record_t *r);

/* The files that the block was filled from. */
typedef struct {
    uint64_t         generation;   /* the next records belong to that one */
    const uint64_t  *key;          /* of MessageCodes, NULL: none was there */
    uint64_t         journals;     /* bytes */
    uint64_t         checkpoint;   /* bytes */
    int              renew;        /* they are better replaced soon */
} kmq_restore_files_t;

/* Makes the block ready for use.  Frees rs. */
void kmq_restore_end(kmq_restore_t *rs, const kmq_restore_files_t *files,
    kmq_restored_t *found);

/* Gives up.  Frees rs; NULL is allowed. */
void kmq_restore_free(kmq_restore_t *rs);


/* ================================================================= Testing */

/*
 * Checks everything that must hold in a block: lists against states, counts
 * against lists, memory against owners.  It walks all messages with all locks
 * held: it is for tests and post-mortems.  KMQ_OK, or KMQ_ERROR and what is
 * wrong in text.
 */
int kmq_verify(kmq_t *kmq, char *text, size_t size);

#ifdef KMQ_FAULTS

/* Called at named points inside critical sections, where a test may end the
 * process. */
extern void (*kmq_fault)(const char *point);

/* Steps of loops that this thread has taken since it got the lock, and the most
 * that it ever took until it let go. */
extern _Thread_local uint64_t  kmq_steps;
extern _Thread_local uint64_t  kmq_steps_max;

/* The steps of a slice, which tests make smaller, or larger. */
extern unsigned  kmq_slice;

/* A new block has a shard for so many pages, which tests make fewer. */
extern unsigned  kmq_shard_pages;

/* Where the positions of new topics begin. */
extern uint32_t  kmq_position;

#endif

#endif /* KMQ_H */
