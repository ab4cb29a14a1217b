/*
 * The model that the engine is compared with: every message, and where it must
 * be, in plain arrays and lists.
 *
 * It predicts no choice of the engine; it checks that each was allowed.  What
 * a call must do is done here as well, and compared.  What time does (delayed
 * messages become ready, deliveries are overdue, old messages go) happens in
 * the engine when its workers get round to it: observe() looks how far that
 * has come, checks that none of it was early, and follows.
 *
 * Here is what is in it, and what all parts use; each part has a header.
 */

#ifndef KMQ_MODEL_H
#define KMQ_MODEL_H

#include <pthread.h>
#include <semaphore.h>

#include "../../../src/disk/kmq_file.h"
#include "../engine_util.h"


#define SIZE      (5 * EU_MB)
#define HANDLES   5
#define TOPICS    6
#define CLIENTS   64
#define MESSAGES  65536            /* more than fit into the block */
#define LIVE      4000             /* of these, not history */
#define NOBODY    HANDLES           /* whose consumers are set apart: dead */
#define SET_APART 3                 /* a role */
#define HELD      32
#define HELD_MAX  8
#define OLD       64
#define BODY_MAX  100004
#define NOISE     8192
#define NONE      UINT32_MAX
#define BROKEN    127     /* worker that dies inside the lock */
#define SHARDS    8                /* at most */
#define ANY_SHARD UINT32_MAX
#define NEVER     UINT64_MAX
#define WALL      UINT64_C(1640975470000)

/* RETRYING: it failed, and waits for its next try.  ASIDE: a suspect, which
 * waits for a consumer that has nothing else, point to point. */
enum {
    FREE, RESERVED, READY, IN_FLIGHT, DELAYED, CONSUMED, DEAD, RETRYING, ASIDE
};

/* what a run does beside the usual: it paces, it changes the push type, it
 * has bodies that fill the block, it has times, it manages messages, workers
 * die, also inside the lock, all ends and is recovered from disk, most messages
 * pass and a few stay, consumers are set apart */
enum {
    PACED = 1, MIXED = 2, LARGE = 4, TIMED = 8, MANAGED = 16, KILLS = 32,
    BREAKS = 64, JOURNALED = 128, SIEVES = 256, APART = 512
};

/* which list a message's link is for */
enum { PLACE, ALL, HISTORY, LINKS };

typedef struct {
    int         state;
    unsigned    topic;
    uint32_t    size;
    struct {
        uint32_t  next, prev;
    }           link[LINKS];
    uint64_t    todo;              /* consumers that shall still get it */
    uint64_t    flight;            /* consumers that have it */
    int         confirmed;
    int         doomed;            /* deleted while in flight */
    unsigned    failures, reason;
    int         pushed;            /* it was in flight before now */
    int         suspect;
    uint64_t    next;              /* mono: RETRYING: its next try; ASIDE: so
                                      long it waits for an empty consumer */
    int         aside;             /* it was taken as ASIDE; -1: or as ready */
    int         loose;             /* its next try was due: it may be anywhere
                                      in front of the fresh ones */
    uint64_t    logged[HANDLES];   /* mono, of each: when it was taken first */
    unsigned    configured;        /* and by which settings */
    uint32_t    position;
    uint32_t    group;             /* it came back: with which; NONE: fresh */
    uint32_t    stamp;             /* of the batch that it is in, */
    uint32_t    taken;             /* and its position there */
    uint64_t    entered;           /* mono: when it came into its list, */
    uint32_t    tie;               /* in any order with those of the same, but
                                      for 0 */
    int         wanted;            /* the running search has to find it */
    uint64_t    sequence;
    uint64_t    due;               /* ms; 0: it was not delayed */
    uint32_t    create_time;       /* s, like all of these */
    uint32_t    delay;
    uint32_t    consumed_time;
    uint32_t    dead_time;
    uint32_t    first_time;        /* of the first confirmation */
    uint32_t    since;             /* its age counts from here on */
    uint32_t    waits;             /* mono: for its first push, since then */
    kmq_ref_t   slot, body;
    char        code[KMQ_CODE_LEN];
} message_t;

typedef struct {
    uint32_t    head, tail, count;
    int         link;
} list_t;

/* Ready messages that came back together, in their order. */
typedef struct {
    list_t      list;
    uint32_t    epoch;             /* the later, the further in front */
    unsigned    from;              /* the consumer that was looked at, or 0 */
} group_t;

/* Where the next message that comes back goes. */
typedef struct {
    uint32_t    group;             /* NONE: a new one, in front of all */
    uint32_t    after;             /* in the group, NONE: in front */
} place_t;

typedef struct {
    uint32_t    id;
    uint32_t    position;
    int         runs;              /* its clock does, */
    uint64_t    time;              /* from then on; again: then it is due */
    uint64_t    slack;             /* ms: so late was the worker's clock, by
                                      which another one may look later */
    unsigned    failures;
    int         again;             /* publish/subscribe: shall be repeated */
} delivery_t;

/* How a delivery ends that is not confirmed. */
typedef struct {
    unsigned    reason;            /* it is charged with that; 0: not */
    int64_t     delay;
    int         ours;              /* nobody is to blame */
} fate_t;

typedef struct {
    kmq_ref_t    ref;              /* 0: free */
    unsigned     role, handle, topic, serial, push_type;
    int          ready;
    uint32_t     prefetch;
    uint32_t     last;             /* position; valid when any */
    int          any;
    unsigned     n, pushed;
    int          by_code;
    int          late;             /* one was overdue, none confirmed since */
    int          giving;           /* so all that it has goes back */
    int          resting, spoken, proving, alone, paused;
    uint64_t     rest_until, alone_until, paused_until;
    uint64_t     messages, confirmed;
    uint32_t     mode, last_seen;
    int          settles;          /* it may be parked, else leased */
    unsigned     apart;            /* KMQ_LEASED or KMQ_PARKED; */
    int          leaving;          /* that is over, it is giving all back; */
    int          failed;           /* and that is charged */
    uint64_t     apart_for, since; /* ms, from each delivery's time, or then */
    uint64_t     number;
    int          closing;          /* it was disconnected, */
    int          told;             /* and its worker knows */
    delivery_t  *flight;
} client_t;

/* What is counted of a topic. */
typedef struct {
    uint64_t      published, delivered, redelivered, confirmed;
    uint64_t      died, expired, refused;
    kmq_period_t  minute[KMQ_TOPIC_MINUTES], hour[KMQ_TOPIC_HOURS];
    uint64_t      latest;          /* s: when something was counted last */
} counted_t;

typedef struct {
    char                  name[KMQ_NAME_MAX + 1];
    kmq_topic_settings_t  now;
    kmq_topic_settings_t  own;
    int                   has_own;
    unsigned              push_type;
    unsigned              shard;
    unsigned              consumers;
    unsigned              matching;    /* of these, of push_type */
    kmq_ref_t             ref;
    uint32_t              position;
    int                   any;
    list_t                fresh, log, history, dead, loose;
    int                   mingled;     /* some of the fresh ones came back */
    uint32_t              max_least;   /* of retry_delay_max, of late */
    group_t              *group;
    unsigned              ngroups, allocated;
    unsigned              nready;
    uint64_t              came_back;   /* messages, so far */
    uint64_t              switched;    /* step: when its type changed last */
    int                   paused;      /* nothing is pushed, or, */
    uint64_t              resumed;     /* mono: not any more since then */
    counted_t             count;
} topic_t;

typedef struct {
    unsigned       handle, topic, n;
    int            accepted;       /* written to the journal */
    uint32_t       id[HELD_MAX];
    kmq_message_t  m[HELD_MAX];
} held_t;

typedef struct {
    kmq_t      *kmq;
    unsigned    worker;
    int         woken, dead;
    int         follows;           /* a dead one, whose clients are leaving */
    uint64_t    mono, wall;
    uint64_t    timer;             /* mono; 0: not armed */

    kmq_segment_t       segment;   /* its journal; */
    kmq_buffer_t        pending;   /* taken, not written */
    kmq_journal_info_t  info;      /* of these */

    /* one that can be killed lives in a thread of its own */
    int         threaded, detaches;
    pthread_t   thread;
    sem_t       go, done;
} handle_t;

/* A search that goes on while other things happen. */
typedef struct {
    int            active;
    kmq_query_t    query;
    uint64_t       cursor, top, last;
} search_t;

/* What the topics of a shard have in common. */
typedef struct {
    list_t      history;
    uint64_t    last;              /* number that it gave to a message */
    uint64_t    floor;             /* the next ones are larger; */
    uint64_t    time;              /* s: as long as it is that; NEVER: the next
                                      one is larger than all */
    int         vague;             /* or it is another one */
} shard_t;

typedef struct {
    void            *block;
    uint64_t         seed, random, step;
    uint64_t         mono, offset;     /* wall clock: WALL + mono + offset */
    uint64_t         wall;             /* that the block keeps */
    unsigned         run, options;
    unsigned         shards;
    int              sharded;          /* it has had several */
    int              strained;         /* messages have since a recovery what is
                                          kept for clients */
    handle_t         handle[HANDLES + 1];
    shard_t          shard[SHARDS];
    topic_t          topic[TOPICS];
    client_t         client[CLIENTS];
    message_t        message[MESSAGES];
    uint32_t         unused[MESSAGES];
    unsigned         nunused;
    uint32_t         of_slot[SIZE / 8];
    list_t           all;              /* by their numbers */
    list_t           delayed;          /* by their times */
    list_t           retrying;         /* and ASIDE, in no order */
    held_t           held[HELD];
    char             old[OLD][KMQ_CODE_LEN];
    unsigned         nold, serial;
    unsigned         broken;           /* worker BROKEN is dead; and had */
    unsigned         broken_reserved;  /* so many messages, */
    unsigned         broken_shard;     /* in that one */
    uint32_t         epoch, stamp, ties;
    uint32_t         tie;              /* for what happens now */
    unsigned         from;             /* the consumer that is looked at */
    uint64_t         sequence;         /* the largest */
    uint64_t         stored;           /* the last one of a stored message */
    kmq_settings_t   settings;
    search_t         search;
    int              lost_wakes, mood;

    /* sequence numbers of history that was dropped: no file tells that, but
     * the next checkpoint, so these may be there after a recovery */
    uint64_t        *forgotten;
    size_t           nforgotten, forgettable;

    /* pacing: since the last change of settings */
    uint64_t         pace_start, pace_before, pace_back, pace_used;
    unsigned         pace_settings;    /* times they were set */
    unsigned         pace_count;       /* messages in a batch */

    /* counts */
    uint64_t         ready, in_flight, reserved, bytes, dead, consumed;
    uint64_t         published, delivered, redelivered, confirmed;
    uint64_t         dropped, died, requeued, expired, deleted, repairs;
    uint64_t         failed[KMQ_REASONS];
    unsigned         configured;       /* times settings were changed */
    uint64_t         consumers, producers, refused;
    kmq_period_t     minute[KMQ_MINUTES], hour[KMQ_HOURS];
    uint64_t         pushed, waited;   /* for the first time; ms until then */
    int              vague;            /* whose the expired ones were */

    /* what a run has met */
    uint64_t         ended, nomems, due, overdue, repushed, kills, extended;
    uint64_t         returned, switched, searches, died_leaving;
    uint64_t         purged, disconnected, watched, sieved;
    uint64_t         set_apart, lapsed, cancelled, resumed, paused;
    uint64_t         retried, suspects, isolated, gave_all, rested, late;
    /* most bytes since the last checkpoint began; since the next one did */
    uint64_t         peak, peak_next;
    uint64_t         repaired, restarts, accepted, remembered, missing;
} model_t;

extern model_t  M;


#define CHECK(cond, ...)                                                      \
    do {                                                                      \
        if (!(cond)) {                                                        \
            fail(__FILE__ ":" EU_LINE ": " __VA_ARGS__);                      \
        }                                                                     \
    } while (0)

#define SAME(got, want)                                                       \
    CHECK((got) == (want), #got " is %llu, want %llu",                        \
          (unsigned long long) (got), (unsigned long long) (want))

#define EU_TEXT(x)   #x
#define EU_QUOTE(x)  EU_TEXT(x)
#define EU_LINE      EU_QUOTE(__LINE__)

#define PICK(array)  (array)[below(sizeof(array) / sizeof((array)[0]))]

#define NEXT(list, id)  M.message[id].link[(list)->link].next
#define PREV(list, id)  M.message[id].link[(list)->link].prev


/* Says what is wrong, and how to repeat it, and ends the process. */
void fail(const char *fmt, ...)
    __attribute__((noreturn, format(printf, 1, 2)));

uint32_t below(uint32_t n);
int one_in(uint32_t n);
void list_init(list_t *list, int link);
void list_insert(list_t *list, uint32_t after, uint32_t id);
void list_append(list_t *list, uint32_t id);
void list_remove(list_t *list, uint32_t id);

#endif /* KMQ_MODEL_H */
