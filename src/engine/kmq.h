/*
 * KapokMQ engine: the broker in one block of memory.
 *
 * The block is shared by processes (nginx workers).  It holds topics,
 * messages, clients and counters; every process works on it directly through
 * a handle of its own (kmq_t).  The engine never blocks on anything but its
 * own lock, opens no file, reads no clock and allocates from the block alone
 * (the handle's small local tables and a repair's scratch memory excepted).
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
 *     +----------+                                       +-----------+
 *       history, dropped oldest first                      |  kmq_leave,
 *       when memory is needed                              |  kmq_return_codes,
 *     +----------+   the same, after max_deliveries        |  no confirmation
 *     |   DEAD   |<----------------------------------------+  in retry_time:
 *     +----------+                                            READY again, in
 *       until kmq_requeue(), kmq_delete() or its age          front
 *
 * A delayed message is DELAYED between RESERVED and READY, until the keeper's
 * kmq_take() finds that its time has come.  Messages that are READY, CONSUMED
 * or DEAD are deleted when they are older than clean_time.
 *
 * How a message travels:
 *
 *   producer's process                     consumer's process
 *   ------------------                     ------------------
 *   kmq_reserve(n messages)                (eventfd, posted event)
 *   kmq_write   (no lock held)             kmq_take    -> batch
 *   kmq_commit  -> grants to routes        compose and send, no lock held
 *   kmq_wakes   -> signal workers          kmq_confirm_*
 *
 * A "route" is the meeting point of a topic and a worker that has consumers
 * of it.  A commit grants messages to routes: point to point each message
 * adds one to the grant of a route drawn at random, weighted by the route's
 * ready consumers, so that every ready consumer of every worker has the same
 * chance; in publish/subscribe every route is told.  Which worker takes
 * which message is decided only when it takes.
 *
 * Threads: a handle belongs to one thread.  Any number of handles, in any
 * number of processes, may use a block; the block's robust mutex serialises
 * them.  When a holder dies inside, the next one rebuilds all lists and
 * counters from the messages and goes on.
 *
 * Times are given by kmq_clock() and are milliseconds.
 * Results: KMQ_OK, or a negative code; no function aborts.
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
#define KMQ_GONE       -5    /* there is no such message */

#define KMQ_WORKERS        1024    /* handles at a time, see kmq_attach() */
#define KMQ_NAME_MAX        255    /* bytes of a topic's or client's name */
#define KMQ_ADDR_MAX         47    /* bytes of a client's address as text */
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

/* Where something is in the block: its offset in units of 8 bytes; 0: none */
typedef uint32_t      kmq_ref_t;


/* ---------------------------------------------------------------- block */

/* How a topic behaves. */
typedef struct {
    uint32_t    push_type;         /* KMQ_PUSH_ONE or KMQ_PUSH_ALL */
    uint32_t    retry_time;        /* ms without a confirmation before a
                                      re-push; 0: never */
    uint32_t    max_deliveries;    /* pushes before a message is dead, at most
                                      KMQ_DELIVERIES_MAX; 0: no limit */
    uint32_t    clean_time;        /* s: older messages are deleted; 0: none */
} kmq_topic_settings_t;

/* How the whole block behaves; see kmq_configure(). */
typedef struct {
    uint32_t    waiting_max;       /* messageChanBuffer, at least 1 */
    uint32_t    batch_interval;    /* ms between two batches, 0: no pacing */
    uint32_t    batch_count;       /* messages of a batch, at least 1 */
    uint32_t    retry_count;       /* how often a failed push is repeated
                                      without waiting for the next batch */
    uint32_t    keep_consumed;     /* 1: consumed messages stay as history */
    uint32_t    check_interval;    /* ms between two looks for messages that
                                      are too old, at least 1 */

    /* topics: what holds for all of them, and, where it is not NULL, a
     * function that changes a copy of it for one topic by its name.  It is
     * called under the lock, so it calls nothing of the engine. */
    kmq_topic_settings_t   topic;
    void                 (*topic_own)(void *arg, const char *name, size_t len,
                                      kmq_topic_settings_t *settings);
    void                  *topic_arg;
} kmq_settings_t;

/* The smallest block that kmq_block_init() takes, in bytes. */
size_t kmq_block_min(void);

/* The largest, in bytes. */
size_t kmq_block_max(void);

/*
 * Formats a block of size bytes at the page-aligned address block.  The
 * memory must read as zeros (a fresh anonymous mapping does).  seed: random
 * bytes from which the keys of the MessageCodes come; they must be secret.
 * KMQ_ERROR: size out of bounds, or address not aligned.
 */
int kmq_block_init(void *block, size_t size,
    const unsigned char seed[KMQ_SEED_LEN]) KMQ_ALONE;

/* KMQ_OK when block holds a formatted block of that size and version. */
int kmq_block_check(const void *block, size_t size);

/*
 * Opens the block as worker number worker (below KMQ_WORKERS), which no
 * other live handle may have.  What a dead predecessor of that number left
 * (clients, reserved messages) is given back first, or, where its consumers
 * had much, by kmq_take().  NULL: no memory for the
 * handle, worker out of bounds or in use, or not a block.
 */
kmq_t *kmq_attach(void *block, size_t size, unsigned worker);

/* The same as the worker with the lowest number that no live handle has. */
kmq_t *kmq_attach_any(void *block, size_t size);

/* Which worker a handle is. */
unsigned kmq_worker(const kmq_t *kmq);

/* Lets all clients of this handle leave and gives back what it reserved; see
 * kmq_wakes() for those who get what they had. */
void kmq_leave_all(kmq_t *kmq);

/* Does the same, and frees the handle.  NULL is allowed. */
void kmq_detach(kmq_t *kmq);

/*
 * Sets the block's and all topics' behaviour; every worker does so at its
 * start, the last one wins.  topic_own and topic_arg must stay valid as long
 * as the handle.
 *
 * All is in effect at once but push_type: consumers that join from now on
 * are of the new type, and wait until those of the other one have left.
 */
void kmq_configure(kmq_t *kmq, const kmq_settings_t *settings);

/*
 * This worker is about to end: that its consumers go is not their doing, and
 * no message is given up for it (max_deliveries).  It is not keeper any longer
 * than it has to be.
 */
void kmq_retire(kmq_t *kmq);

/* Tells the time: mono, which never jumps, paces; wall dates messages. */
void kmq_clock(kmq_t *kmq, uint64_t mono, uint64_t wall);

/*
 * This process has stood still, and so may have what its consumers have said
 * in its sockets: it is read in the next ms, before which nothing of theirs is
 * found to be overdue.
 */
void kmq_hear(kmq_t *kmq, uint64_t ms);

/*
 * Housekeeping, to be called about twice a second by each worker: gives back
 * what dead workers held, and others what was granted to those that have not
 * called for a second, looks at all clients now and then, and sees to it that
 * there is a keeper and that it looks.  What takes longer goes on in
 * kmq_take(), and kmq_has_work() says so.  Returns how many dead workers have
 * been done with since the last call.
 */
unsigned kmq_tick(kmq_t *kmq);

/*
 * Is called when this handle has waited for the lock for ms, and goes on to
 * wait: who has it, with its process's id as it was told at kmq_attach().  It
 * calls nothing of the engine.
 */
typedef void (*kmq_waits_pt)(void *arg, unsigned ms, unsigned worker,
    int pid);

void kmq_on_wait(kmq_t *kmq, kmq_waits_pt waits, void *arg);

/* 1, once, after this handle had to make all lists and counters anew because
 * a worker had died while it was changing them. */
int kmq_repaired(kmq_t *kmq);


/* -------------------------------------------------------------- wake-ups */

/*
 * After any call below, other workers may have to be told that there is work
 * for them.  The handle gathers whom; kmq_wakes() hands the set out and
 * empties it: worker i is meant where bit i % 64 of mask[i / 64] is set.  A
 * worker appears once, until it has called kmq_take() itself.  The own
 * worker never appears: kmq_has_work() tells.  Returns 0, and leaves mask as
 * it is, when the set is empty.
 */
int kmq_wakes(kmq_t *kmq, uint64_t mask[KMQ_WORKERS / 64]);

/*
 * 1 when this handle's calls have found that kmq_take() would, or might, have
 * something for this worker.  What other workers find for it is announced by
 * their kmq_wakes().
 */
int kmq_has_work(kmq_t *kmq);

/*
 * When paced messages wait for the next batch: milliseconds (at least 1)
 * until kmq_take() should be called again, which also starts that batch for
 * all workers; 0 when there is nothing to wait for.
 */
uint64_t kmq_next_batch(kmq_t *kmq);

/*
 * The keeper is the one worker that looks after times for all: delayed
 * messages, confirmations that do not come, age.  It does so in kmq_take().
 * For it: milliseconds (at least 1) until it should call that again; 0 when
 * there is nothing to wait for, and for all other workers.
 */
uint64_t kmq_next_due(kmq_t *kmq);


/* --------------------------------------------------------------- clients */

typedef struct {
    uint32_t    role;              /* KMQ_PRODUCER or KMQ_CONSUMER */
    uint32_t    prefetch;          /* consumers: 1 to KMQ_PREFETCH_MAX */
    uint64_t    join_time;         /* ms, wall clock; set by kmq_join() */
    uint64_t    number;            /* unique for the block; set by kmq_join() */
    uint32_t    mode;              /* the caller's own */

    /* set by kmq_clients() */
    kmq_ref_t   ref;
    uint32_t    worker;
    uint32_t    in_flight;         /* unconfirmed messages */
    uint32_t    last_seen;         /* s, wall clock: it said something */
    uint64_t    messages;          /* a producer's that were accepted; or how
                                      many a consumer was pushed, without those
                                      that it had already */
    uint64_t    confirmed;         /* by a consumer */
    uint16_t    id_len;
    uint16_t    topic_len;
    uint16_t    addr_len;
    char        id[KMQ_NAME_MAX];
    char        topic[KMQ_NAME_MAX];
    char        addr[KMQ_ADDR_MAX];
} kmq_client_info_t;

/*
 * Registers a client.  user is handed back in batches; the engine never
 * follows it.  Returns the client, or 0 when the block has no memory.  A
 * consumer starts as not ready: see kmq_set_ready().
 */
kmq_ref_t kmq_join(kmq_t *kmq, const kmq_client_info_t *info, void *user);

/*
 * Tells whether a consumer's connection takes more bytes.  The engine pushes
 * to it while it is ready and has fewer than prefetch messages in flight.
 * Cheap when nothing changes.
 */
void kmq_set_ready(kmq_t *kmq, kmq_ref_t client, int ready);

/*
 * Unregisters a client; what a consumer did not confirm waits again, in
 * front of its topic and in its order, or is dead.  Where that is much, the
 * rest is for this worker's kmq_take(), and kmq_has_work() says so.  The
 * reference is void afterwards.
 */
void kmq_leave(kmq_t *kmq, kmq_ref_t client);

/* The client has said something; accepted: so many messages of it, which is a
 * producer then, were accepted.  Takes no lock. */
void kmq_seen(kmq_t *kmq, kmq_ref_t client, unsigned accepted);

/*
 * A client of any worker, by what kmq_clients() told of it, shall be gone: its
 * worker finds it with kmq_to_close().  KMQ_OK, or KMQ_GONE.
 */
int kmq_disconnect(kmq_t *kmq, kmq_ref_t client, uint64_t number);

#define KMQ_TOO_SLOW      1    /* publish/subscribe: it lags behind the others
                                  so far that its backlog would stop
                                  producers */
#define KMQ_DISCONNECTED  2    /* kmq_disconnect() */

/*
 * The user of a client of this worker that has to go, which the caller closes,
 * and why; or NULL.  To be called after kmq_tick() and kmq_take() until it
 * returns NULL.
 */
void *kmq_to_close(kmq_t *kmq, int *why);

/*
 * Walks the registry in slices: fills at most n of role's clients into info,
 * from *cursor (0 to start) on, and moves *cursor.  Returns how many; 0: the
 * end.  Clients that come and go meanwhile are seen or not, none twice.
 */
unsigned kmq_clients(kmq_t *kmq, uint32_t role, uint64_t *cursor,
    kmq_client_info_t *info, unsigned n);


/* --------------------------------------------------------------- publish */

/*
 * A message on its way in (kmq_reserve) or out (kmq_take).  The body is the
 * message data in its JSON-escaped form, without quotes, in one or more
 * pieces of the block.
 */
typedef struct {
    uint32_t       size;           /* bytes of body */
    uint64_t       delay_time;     /* ms until it becomes ready, 0: at once */

    /* set by the engine */
    uint32_t       delay;          /* the same in seconds, rounded up */
    kmq_ref_t      slot;
    kmq_ref_t      body;
    kmq_ref_t      piece;          /* where kmq_write() goes on */
    uint32_t       offset;         /* bytes written in that piece */
    uint32_t       position;       /* order of delivery, see kmq_take() */
    uint32_t       create_time;    /* seconds */
    uint32_t       accepted;       /* kmq_accept() has written it */
    uint64_t       sequence;       /* unique for the block */
} kmq_message_t;

/*
 * Makes room for n messages of the sizes given in m[], which must have been
 * zeroed else, for producer's topic.  Returns how many of them, from the
 * first on, got it; *why (may be NULL) tells why not all: KMQ_FULL or
 * KMQ_NOMEM.  Consumed history is dropped to make room, nothing else ever
 * is.  A message of more than half the block never fits (KMQ_NOMEM too);
 * see kmq_body_max().
 *
 * Each reserved message must be written, then committed or discarded.
 */
unsigned kmq_reserve(kmq_t *kmq, kmq_ref_t producer, kmq_message_t *m,
    unsigned n, int *why);

/* The same for one message and a topic by its name (1 to KMQ_NAME_MAX
 * bytes).  KMQ_OK, KMQ_FULL or KMQ_NOMEM. */
int kmq_reserve_to(kmq_t *kmq, const char *topic, size_t len,
    kmq_message_t *m);

/* The largest body that can be stored at all, in bytes. */
size_t kmq_body_max(kmq_t *kmq);

/* Appends n bytes to the body of a reserved message; takes no lock.  What
 * goes beyond m->size is cut off. */
void kmq_write(kmq_t *kmq, kmq_message_t *m, const void *bytes, size_t n);

/*
 * Puts written messages into their topic's queue, in their order, or on the
 * schedule where they are delayed, under one lock.  Cannot fail.  Afterwards
 * see kmq_wakes() and kmq_has_work().
 */
void kmq_commit(kmq_t *kmq, kmq_message_t *m, unsigned n);

/* Gives reserved messages back without storing them. */
void kmq_discard(kmq_t *kmq, kmq_message_t *m, unsigned n);

/* Writes the MessageCode of a message, KMQ_CODE_LEN hex digits, no zero
 * byte.  Takes no lock. */
void kmq_code(kmq_t *kmq, const kmq_message_t *m, char code[KMQ_CODE_LEN]);

/* The same under a key that a file has, see kmq_journal_info_t.  Needs no
 * handle. */
void kmq_code_write(const uint64_t key[2], uint64_t sequence,
    uint32_t create_time, char code[KMQ_CODE_LEN]);


/* --------------------------------------------------------------- deliver */

/* One consumer's part of a batch: messages[first .. first + count - 1]. */
typedef struct {
    kmq_ref_t     client;
    uint32_t      first;
    uint32_t      count;
    void         *user;
} kmq_run_t;

/*
 * What one kmq_take() hands out, all of one topic.  Point to point, runs do
 * not overlap and cover all messages; in publish/subscribe they share them.
 * Messages of a run are to be sent in their order.
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
 * Takes the next batch for this worker's ready consumers: the messages are in
 * flight with them, and their bodies stay where they are until they are
 * confirmed, given back, overdue in a later call, or their consumer leaves.
 * Returns the number of runs, 0: nothing to do, or, when kmq_has_work() says
 * so, no more than that under one lock.  Topics take turns; call it until it
 * returns 0, and, while there is work, from a posted event.  Each message's
 * position grows with every delivery of its topic (compare as int32_t
 * differences); but what is pushed again to a consumer in publish/subscribe, in
 * a run of its own, keeps the position that it had.
 */
unsigned kmq_take(kmq_t *kmq, kmq_batch_t *batch);

/* Where the body of a message that was taken begins: for asking for that memory
 * before it is read. */
const void *kmq_body(kmq_t *kmq, const kmq_message_t *m);

/*
 * Walks a body: *piece starts as m->body and *left as m->size; returns the
 * address of the next bytes and their number in *n, NULL at the end.
 */
const char *kmq_read(kmq_t *kmq, kmq_ref_t *piece, uint32_t *left,
    uint32_t *n);

/*
 * Confirms all messages in flight with client up to and including position.
 * Returns how many that were.
 */
unsigned kmq_confirm_upto(kmq_t *kmq, kmq_ref_t client, uint32_t position);

/*
 * Confirms n messages by their codes, each KMQ_CODE_LEN characters, one after
 * the other in codes.  Returns how many were in flight with client.
 */
unsigned kmq_confirm_codes(kmq_t *kmq, kmq_ref_t client, const char *codes,
    unsigned n);

/*
 * 1 when a consumer errs that names a message by code: it is not in flight with
 * client, nor consumed, deleted or gone; nor, where late is set, does it wait
 * again after it was pushed.  0 when it does not.
 */
int kmq_code_wrong(kmq_t *kmq, kmq_ref_t client,
    const char code[KMQ_CODE_LEN], int late);

/*
 * The consumer still works on n messages that it names as above: each has
 * retry_time from now on.  Returns how many were in flight with client.
 */
unsigned kmq_extend_codes(kmq_t *kmq, kmq_ref_t client, const char *codes,
    unsigned n);

/*
 * The consumer gives n messages back that it names as above: they wait again,
 * in front of their topic, or, in publish/subscribe, are pushed to it again;
 * or they are dead.  Returns how many were in flight with client.
 */
unsigned kmq_return_codes(kmq_t *kmq, kmq_ref_t client, const char *codes,
    unsigned n);

/* How many messages are in flight with client. */
unsigned kmq_in_flight(kmq_t *kmq, kmq_ref_t client);


/* ------------------------------------------------------------ management */

#define KMQ_STATUS_WAITING  -1     /* ready or in flight */
#define KMQ_STATUS_DELAYED   0
#define KMQ_STATUS_CONSUMED  1
#define KMQ_STATUS_DEAD      2
#define KMQ_STATUS_ANY       3

/* A message as it was when it was asked for. */
typedef struct {
    int         status;            /* not KMQ_STATUS_ANY */
    uint32_t    size;              /* bytes of body */
    uint32_t    attempts;          /* deliveries begun; publish/subscribe: the
                                      most of them to one consumer */
    uint32_t    create_time;       /* s */
    uint32_t    consumed_time;     /* s; 0: it was not consumed */
    uint32_t    dead_time;         /* s; 0: it is not dead */
    uint32_t    delay;             /* s, rounded up */
    uint32_t    in_flight;         /* 1: it is */
    uint64_t    due;               /* s, wall clock: when it will be ready; 0:
                                      it is not delayed */
    uint64_t    sequence;
    kmq_ref_t   slot;
    kmq_ref_t   body;
    uint16_t    topic_len;
    char        code[KMQ_CODE_LEN];
    char        topic[KMQ_NAME_MAX];
} kmq_message_info_t;

/* Looks a message up by its code.  KMQ_OK or KMQ_GONE. */
int kmq_find(kmq_t *kmq, const char code[KMQ_CODE_LEN],
    kmq_message_info_t *info);

/* The id of the consumer with which a found message is in flight.  Returns its
 * bytes; 0: with none, or, in publish/subscribe, with whoever it may be. */
size_t kmq_consumer_of(kmq_t *kmq, const kmq_message_info_t *m,
    char id[KMQ_NAME_MAX]);

/*
 * Copies the next part of a found message's body to buf, which has n bytes,
 * KMQ_COPY_MIN or more: *piece starts as m->body and *left as m->size.
 * Returns how many bytes, 0: the end, or KMQ_GONE when the message has been
 * deleted meanwhile.
 */
#define KMQ_COPY_MIN  8192

int kmq_copy(kmq_t *kmq, const kmq_message_info_t *m, kmq_ref_t *piece,
    uint32_t *left, char *buf, size_t n);

/* What kmq_search() looks for. */
typedef struct {
    int          status;           /* KMQ_STATUS_... */
    const char  *topic;
    size_t       topic_len;        /* 0: any topic */
    uint32_t     from;             /* s: created no earlier */
    uint32_t     to;               /* s: and no later */
} kmq_query_t;

/*
 * Walks messages from the newest to the oldest, in slices of bounded time:
 * fills at most n (1 or more) into info and moves *cursor, which is 0 at the
 * start and 0 again when all were seen.  Returns how many were found in this
 * slice, which may be none although there are more.  A cursor stays good for
 * ever; messages that come after the start are not seen.
 */
unsigned kmq_search(kmq_t *kmq, const kmq_query_t *query, uint64_t *cursor,
    kmq_message_info_t *info, unsigned n);

/*
 * Deletes what kmq_search() would find, in such slices, and adds to *deleted;
 * to be called until *cursor is 0 again.  See kmq_delete().
 */
void kmq_purge(kmq_t *kmq, const kmq_query_t *query, uint64_t *cursor,
    uint64_t *deleted);

/*
 * Deletes a message, whatever its state: it is not pushed after that.  One in
 * flight is as if it were not there, and goes when its delivery ends.  KMQ_OK
 * or KMQ_GONE.
 */
int kmq_delete(kmq_t *kmq, const char code[KMQ_CODE_LEN]);

/* Makes a dead message ready again, as if it were new.  KMQ_OK, KMQ_GONE, or
 * KMQ_ERROR: it is not dead. */
int kmq_requeue(kmq_t *kmq, const char code[KMQ_CODE_LEN]);

/* The same for the max oldest dead messages of a topic; call it until it
 * returns less than that.  Returns how many. */
unsigned kmq_requeue_topic(kmq_t *kmq, const char *topic, size_t len,
    unsigned max);


/* ------------------------------------------------------------------ disk */

/*
 * The engine opens no file.  It gathers what changes as records (the
 * journal), tells what is there as records (a checkpoint), and is filled from
 * such (restoring); see kmq_record.h.  src/disk has the files.
 */

/* Consumed messages that are in a checkpoint: those among so many newest. */
#define KMQ_HISTORY_KEPT  200000

/* In which files records belong. */
typedef struct {
    uint64_t    generation;
    uint64_t    start;             /* its checkpoint shows all changes with
                                      numbers up to this one */
    uint64_t    key[2];            /* of the MessageCodes */
    uint32_t    worker;
} kmq_journal_info_t;

/* Whether this handle gathers what it changes; at first it does not. */
void kmq_journal(kmq_t *kmq, int on);

/*
 * Where nobody may see messages before they are on disk: puts reserved and
 * written ones into the journal, so that kmq_commit() does not do so.  They
 * stay reserved.  KMQ_OK, or KMQ_NOMEM, and they are as before.
 */
int kmq_accept(kmq_t *kmq, kmq_message_t *m, unsigned n);

/* Bytes of records gathered.  Takes no lock. */
size_t kmq_journal_len(const kmq_t *kmq);

/*
 * Hands the records gathered out: their buffer is exchanged for spare, whose
 * content is given up.  The sums are still to be written: kmq_records_seal().
 * They belong into a journal of info->generation, or of a later one.  Returns
 * their bytes.
 */
size_t kmq_journal_take(kmq_t *kmq, kmq_buffer_t *spare,
    kmq_journal_info_t *info);

/* So many of them have been written to a file. */
void kmq_journal_written(kmq_t *kmq, uint64_t bytes);

/* They are as safe as the disk makes them; or that failed, with this errno. */
void kmq_journal_flushed(kmq_t *kmq, int error);

/* Or they have not: only the next checkpoint is complete again. */
void kmq_journal_lost(kmq_t *kmq);

/* 1 when a checkpoint of a later generation is on disk: what was written to
 * journals of this one is in it. */
int kmq_journal_covered(kmq_t *kmq, uint64_t generation);

/* A checkpoint on its way. */
typedef struct {
    kmq_journal_info_t   info;
    uint64_t             complete;     /* generation of the last one */
    uint64_t             messages;     /* so far */
    uint64_t             records;

    /* the engine's */
    unsigned             phase;
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

/* 1: this worker is the keeper, and should make one now, since journals have
 * grown by more than the last checkpoint's size and by journal_min bytes, or
 * records were lost. */
int kmq_checkpoint_due(kmq_t *kmq, uint64_t journal_min);

/*
 * Begins a generation and its checkpoint; out gets the first record.  This one
 * and those that follow have their sums, as they are to be written.  Records
 * of this handle and all others that are taken from now on belong to this
 * generation.  KMQ_OK or KMQ_NOMEM.
 */
int kmq_checkpoint_begin(kmq_t *kmq, kmq_checkpoint_t *cp, kmq_buffer_t *out);

/*
 * The same after this worker's last one, cp, has failed: its generation is
 * begun anew, if nobody has begun another, so that journals are not.  Without
 * history: no consumed messages.
 */
int kmq_checkpoint_again(kmq_t *kmq, kmq_checkpoint_t *cp, kmq_buffer_t *out,
    int history);

/*
 * Appends the next slice of it to out, about 128 KiB at most, or twice that.  A
 * message that is larger comes in several slices.  1, 0: that was the last one,
 * KMQ_NOMEM, or KMQ_AGAIN: a worker died, and it has to begin anew.
 */
int kmq_checkpoint_next(kmq_t *kmq, kmq_checkpoint_t *cp, kmq_buffer_t *out);

/* It is on disk, with that many bytes, and older files are not needed. */
void kmq_checkpoint_end(kmq_t *kmq, const kmq_checkpoint_t *cp,
    uint64_t size);

/* What restoring has found. */
typedef struct {
    uint64_t    messages;          /* records of messages */
    uint64_t    ready;             /* there at the end */
    uint64_t    delayed;
    uint64_t    consumed;
    uint64_t    dead;
} kmq_restored_t;

typedef struct kmq_restore_s  kmq_restore_t;

/* Begins to fill a block that has just been made and that nobody uses; times
 * as in kmq_clock().  NULL: no memory, or not a block. */
kmq_restore_t *kmq_restore_begin(void *block, size_t size, uint64_t mono,
    uint64_t wall) KMQ_ALONE;

/*
 * Applies a record: all of a checkpoint, then those of journals in the order
 * of their numbers, without those that the checkpoint shows.  KMQ_OK;
 * KMQ_ERROR: it makes no sense and is passed over; KMQ_NOMEM: the block is
 * full.
 */
int kmq_restore_record(kmq_restore_t *rs, const kmq_record_t *r);

/* The files that it was filled from. */
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

/* Gives up. */
void kmq_restore_free(kmq_restore_t *rs);


/* -------------------------------------------------------------- counters */

/* Counted since the queue began; in a record, too, in this order. */
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

typedef struct {
    /* messages that are there now */
    uint64_t    ready;             /* wait for a consumer */
    uint64_t    in_flight;         /* pushed, not consumed */
    uint64_t    delayed;
    uint64_t    consumed;          /* the history */
    uint64_t    dead;

    kmq_totals_t    totals;
    kmq_totals_t    before;        /* as they were restored from files; what was
                                      counted later may have been lost then */

    uint64_t    topics;
    uint64_t    producers;
    uint64_t    consumers;
    uint64_t    repairs;           /* times a holder of the lock had died */

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

void kmq_count(kmq_t *kmq, kmq_counts_t *counts);

/* n messages for a topic were refused for good. */
void kmq_count_refused(kmq_t *kmq, const char *topic, size_t len, unsigned n);

/* The same for messages of a producer of this handle. */
void kmq_count_refused_by(kmq_t *kmq, kmq_ref_t producer, unsigned n);

#define KMQ_UNIT_MINUTE  1         /* KMQ_MINUTES of them are kept */
#define KMQ_UNIT_HOUR    2         /* KMQ_HOURS */

/* What was counted in the last n of these, oldest first, the current one
 * last; in each the number is set. */
void kmq_growth(kmq_t *kmq, unsigned unit, kmq_period_t *period, unsigned n);

/* A topic as it was when it was asked for. */
typedef struct {
    uint32_t    push_type;
    uint32_t    producers;
    uint32_t    consumers;
    uint16_t    name_len;
    char        name[KMQ_NAME_MAX];

    uint64_t    ready;             /* messages, as in kmq_counts_t */
    uint64_t    in_flight;
    uint64_t    delayed;
    uint64_t    consumed;
    uint64_t    dead;
    uint64_t    oldest;            /* s, wall clock: since when the first of
                                      the ready ones could have been delivered;
                                      0: none is ready */
    kmq_totals_t    totals;
    kmq_totals_t    before;        /* the same, as restored */
} kmq_topic_info_t;

/* Walks all topics, as kmq_clients() does clients. */
unsigned kmq_topics(kmq_t *kmq, uint64_t *cursor, kmq_topic_info_t *info,
    unsigned n);

/* The same of one, and more; periods in any order, those without a number are
 * none. */
typedef struct {
    kmq_topic_info_t       info;
    kmq_topic_settings_t   settings;
    kmq_period_t           minute[KMQ_TOPIC_MINUTES];
    kmq_period_t           day[KMQ_DAYS];      /* UTC */
} kmq_topic_detail_t;

/* KMQ_OK or KMQ_GONE. */
int kmq_topic(kmq_t *kmq, const char *name, size_t len,
    kmq_topic_detail_t *detail);

/* How long messages waited for their first push, since the block was made:
 * how many no longer than each bound (and longer than the one before; the last:
 * than all), and all their ms. */
#define KMQ_LATENCY_BOUNDS  16

extern const uint32_t  kmq_latency_bound[KMQ_LATENCY_BOUNDS];      /* ms */

typedef struct {
    uint64_t    count[KMQ_LATENCY_BOUNDS + 1];
    uint64_t    sum;
} kmq_latency_t;

void kmq_latency(kmq_t *kmq, kmq_latency_t *latency);

/*
 * Checks everything that must hold in a block (lists against states, counts
 * against lists, memory against owners) under the lock.  Walks all messages:
 * for tests and for post-mortems.  KMQ_OK, or KMQ_ERROR and what is wrong in
 * text.
 */
int kmq_verify(kmq_t *kmq, char *text, size_t size);


#ifdef KMQ_FAULTS
/* Called at named points inside critical sections of a debug build; a test
 * may end the process there. */
extern void (*kmq_fault)(const char *point);

/* Steps of loops that this thread has taken since it got the lock, and the
 * most that it ever took until it let go. */
extern _Thread_local uint64_t  kmq_steps;
extern _Thread_local uint64_t  kmq_steps_max;

/* The steps of a slice, which tests make smaller, or larger. */
extern unsigned  kmq_slice;

/* Where the positions of new topics begin. */
extern uint32_t  kmq_position;
#endif

#endif /* KMQ_H */
