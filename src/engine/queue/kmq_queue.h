/*
 * The queue: topics and their messages, routes to the workers that have
 * consumers of them, who may take how many, who is ready, what is counted.
 */

#ifndef KMQ_QUEUE_H
#define KMQ_QUEUE_H

#include "../kmq_block.h"


/* ------------------------------------------------------- topics and routes */

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

/* What is counted of a topic in a minute or an hour: no more than 48 bits
 * hold. */
typedef struct {
    uint64_t     published:48;
    uint64_t     number_low:16;  /* as in kmq_period_t; 0: none */
    uint64_t     delivered:48;
    uint64_t     number_high:16;
    uint64_t     confirmed:48;
    uint64_t     backlog:16;     /* of a minute: when it began; 0: not known,
                                    else one more, of 11 bits, times 2 to the
                                    power of the upper 5 */
} kmq_topic_period_t;

#define KMQ_FEW          2       /* periods that each topic has room for */
#define KMQ_NAME_SHORT   40      /* bytes of a name, too */

#define KMQ_TOPIC_PARTS  3

typedef struct {
    kmq_ref_t    next;           /* free list; same hash */
    uint8_t      used;
    uint8_t      push_type;      /* of its consumers; changes when the last of
                                    them has gone.  Truth */
    uint8_t      name_len;
    uint8_t      active:1;       /* it has ready messages, */
    uint8_t      pushing:1;      /* and ready consumers, and is not paused */
    uint8_t      idle:1;         /* it may be forgotten */
    uint8_t      paused:1;       /* nothing is pushed.  Truth */
    uint32_t     hash;
    uint32_t     position;       /* the last one given out */

    kmq_topic_settings_t  settings;
    uint64_t     configured;     /* which settings these are */

    kmq_list_t   ready;
    kmq_list_t   log;            /* publish/subscribe: in flight, in order */
    kmq_list_t   history;        /* consumed, oldest first, by slot->kept */
    kmq_list_t   dead;           /* oldest first */
    kmq_list_t   suspects;       /* KMQ_ASIDE, by slot->kept */
    kmq_list_t   resting;        /* consumers, by client->rest */
    uint64_t     granted;        /* of ready: sum of the routes' grants */
    uint64_t     delayed;        /* in the schedule */
    uint64_t     in_flight;      /* without KMQ_DELETED ones */
    uint64_t     slots;          /* that name this topic */
    uint32_t     allotted;       /* publish/subscribe, paced: may go now, */
    uint32_t     window;         /* in that window alone */
    uint32_t     consumers;
    uint32_t     matching;       /* of these, of the topic's push_type: the
                                    others wait until these have gone; and
                                    those that are parked and keep a place */
    uint32_t     producers;
    uint32_t     ready_consumers;    /* sum of the routes', */
    uint32_t     ready_resting;  /* and of these, that rest */
    uint32_t     alone;          /* consumers that have a suspect alone */
    uint32_t     retrying;       /* messages; suspects, too */
    uint32_t     away;           /* consumers that leave, or are apart */
    kmq_ref_t    emptying;       /* the consumer that is run empty for one */
    kmq_ref_t    routes;

    /* what became ready again last after a wait, behind which the next one
     * belongs */
    kmq_ref_t    again;
    uint32_t     again_sequence; /* its lowest bits */

    kmq_ref_t    active_next;    /* topics with ready messages */
    kmq_ref_t    active_prev;
    kmq_ref_t    idle_next;      /* topics that may be forgotten */
    kmq_ref_t    idle_prev;

    kmq_ref_t    part[KMQ_TOPIC_PARTS];  /* by class, from KMQ_CLASS_NAME on:
                                    what does not fit here; 0: it does.
                                    Truth */
    uint32_t     unpaced;        /* of the ready consumers, those that pull */

    kmq_topic_totals_t  totals;

    union {
        kmq_topic_totals_t  before;      /* the same, as restored */
        uint64_t            restored;    /* while that goes on: totals count
                                            all up to this record */
    };

    kmq_topic_period_t  few[2][KMQ_FEW];     /* minutes, hours; where there is
                                    a part for them, the first one has the
                                    number when to look whether it is needed */
    char         name[KMQ_NAME_SHORT];
} kmq_topic_t;

_Static_assert(sizeof(kmq_topic_t) == 512, "16 topics are a page");

/*
 * A part of a topic that most have no need of: a long name, or all of its
 * minutes or hours.  It is in use when the topic that it names is, and has it.
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
 * KMQ_TOPIC_HOURS; in the topic itself, KMQ_FEW. */
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
    uint8_t      unpaced;        /* of those that pull.  Truth */
    uint32_t     lots;           /* while grants are drawn */
} kmq_route_t;


/* ----------------------------------------------------------------- clients */

#define KMQ_LEAVING  3           /* a consumer that gives back its backlog */
#define KMQ_APART    4           /* one that is no worker's, and keeps it */

/* Why it is apart: kmq_apart.c. */
#define KMQ_LEASED   1           /* each of its deliveries has a lease */
#define KMQ_PARKED   2           /* it may come back */

#define KMQ_TOLD     3           /* closing */

/* Why a consumer gets nothing, or little: kmq_hold.c.  Those with a time end by
 * it. */
#define KMQ_HELD_ALONE      1    /* it has a suspect alone */
#define KMQ_HELD_EMPTYING   2    /* it runs empty for a suspect; with a time in
                                    publish/subscribe */
#define KMQ_HELD_PAUSED     4    /* it gave back what it had not begun */
#define KMQ_HELD_RESTING    8    /* it let a message become overdue; with a
                                    time where it confirms by codes */
#define KMQ_HELD_GIVING    16    /* all that it has goes back */
#define KMQ_HELD_ADMITTED  32    /* it rests, but so do all others, or none is
                                    ready: it may have one message */
#define KMQ_HELD_PROVING   64    /* it has rested, and may have one message
                                    until it confirms one */
#define KMQ_HELD_LATE     128    /* one was overdue, and none confirmed since */
#define KMQ_HELD_SPOKEN   256    /* it has confirmed one while it rested */

#define KMQ_HELD_TIMES      4    /* the first ones have times */

/* where a consumer's timer is */
#define KMQ_IDLE       0
#define KMQ_SCHEDULED  1         /* on the wheel */
#define KMQ_OVERDUE    2         /* in its worker's list */

typedef struct {
    union {
        kmq_ref_t    next;       /* free list */
        kmq_timer_t  timer;      /* when a confirmation may be overdue */
    };

    kmq_link_t   peers;          /* the worker's clients, the leaving, or those
                                    that are apart */
    kmq_link_t   to_close;       /* the worker's that have to go */
    kmq_link_t   changed;        /* the worker's whose readiness others have
                                    changed */

    uint8_t      timed;
    uint8_t      stalled;        /* something waits to be pushed again until
                                    the connection takes bytes */
    uint8_t      disordered;     /* the times in its ring do not just grow */
    uint8_t      push_type;      /* which it came for.  Truth */
    uint8_t      role;           /* 0, KMQ_PRODUCER, KMQ_CONSUMER, KMQ_LEAVING
                                    or KMQ_APART.  Truth */
    uint8_t      open;           /* its connection takes bytes; only its worker
                                    writes it, and reads it without the lock */
    uint8_t      ready;          /* counted in its route's ready */
    uint8_t      closing;        /* why it has to go: KMQ_TOO_SLOW, ..., or
                                    KMQ_TOLD: its worker knows */
    uint8_t      failed;         /* leaving, or parked: its end is a failure,
                                    and */
    uint8_t      charge;         /* still to be charged to one of its messages;
                                    leased: so is the next look.  Truth */
    uint8_t      by_code;        /* it confirms by codes alone */
    uint8_t      silent;         /* as its worker says, without the lock */
    uint8_t      told:1;         /* in its worker's list changed */
    uint8_t      pull:1;         /* it is not paced */
    uint8_t      settles:1;      /* it is found by its id */
    uint8_t      apart;          /* KMQ_LEASED or KMQ_PARKED.  Truth */
    uint16_t     held;           /* KMQ_HELD_... */
    uint32_t     worker;
    uint32_t     local;          /* index in the worker's handle */
    kmq_ref_t    topic;
    kmq_ref_t    route;
    uint32_t     prefetch;
    uint32_t     limit;          /* prefetch, or less while its ring cannot
                                    grow for want of memory */
    uint32_t     in_flight;      /* its worker reads it without the lock, too */
    uint32_t     suspects;       /* so many of these, or fewer: it counts them
                                    while something is in flight */
    uint32_t     started;        /* position up to which the clocks of its
                                    deliveries run */
    union {
        uint32_t     until[KMQ_HELD_TIMES];  /* ms, mono: when it is held no
                                    more */
        struct {                 /* apart */
            uint32_t     lease;  /* ms: how long each lease is, or it is
                                    parked, */
            uint32_t     since;  /* from that time on, mono */
        };
    };
    uint32_t     past;           /* publish/subscribe: position of the suspect
                                    for which it has waited long enough */
    kmq_link_t   rest;           /* the topic's consumers that rest */
    kmq_link_t   same_id;        /* those that settle, with the same hash */
    kmq_ref_t    ring;           /* oldest part.  Truth */
    kmq_ref_t    ring_tail;
    kmq_ref_t    found;          /* the part where a message was found last */
    kmq_ref_t    look;           /* and where a look for what is overdue goes
                                    on, or 0 */
    uint64_t     look_due;       /* mono: so far, when there is the next one */

    /* what it gave back last, behind which the next ones belong */
    kmq_ref_t    returned;
    uint64_t     returned_sequence;

    /* settles: of what it has confirmed by codes, the last one pushed */
    uint32_t     newest_position;
    uint32_t     newest_sequence;    /* its lowest bits; 0: there is none */

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
    uint8_t      id_len;
    uint8_t      addr_len;
    uint8_t      user_len;
    char         id[KMQ_NAME_MAX];
    char         addr[KMQ_ADDR_MAX];
    char         user[KMQ_USER_MAX];
} kmq_client_t;

#define KMQ_CLIENT_OF(link, member)                                          \
    ((kmq_client_t *) ((unsigned char *) (link)                              \
                       - offsetof(kmq_client_t, member)))

_Static_assert(offsetof(kmq_client_t, peers) % 8 == 0
               && offsetof(kmq_client_t, to_close) % 8 == 0
               && offsetof(kmq_client_t, changed) % 8 == 0
               && offsetof(kmq_client_t, rest) % 8 == 0,
               "lists can refer to them");


/* ------------------------------------------------------ the handle's tables */

/* No lock guards these: they are the handle's own.  A client of this handle. */
struct kmq_own_client_s {
    void        *user;
    kmq_ref_t    client;         /* 0: free */
    uint32_t     route;          /* index in kmq_t.route; free: next one */
    uint32_t     ready_index;    /* in the route's ready[], NOT_READY else */
    uint32_t     run;            /* kmq_take(): messages in this batch */
    uint32_t     run_stamp;
    uint8_t      shard;          /* where the client is */
};

/* A route of this handle with the consumers that can take a message. */
struct kmq_own_route_s {
    kmq_ref_t    route;          /* 0: free */
    uint32_t    *ready;          /* indices in kmq_t.client */
    uint32_t     nready;
    uint32_t     served;         /* publish/subscribe: so many, the first ones,
                                    have been pushed all up to */
    uint32_t     position;
    uint32_t     allocated;
    uint32_t     next_free;
    uint8_t      shard;
};

#define KMQ_NOT_READY  UINT32_MAX


/* ------------------------------------------------------------------ topics */

/* The shard of a topic of that name, whether it is there or not.  Needs no
 * lock. */
kmq_shard_t *kmq_topic_shard(const kmq_t *kmq, const char *name, size_t len);

/* Returns the topic of that name.  NULL: kmq_topic_get() knows none;
 * kmq_topic_find(), which makes one, has no memory. */
kmq_topic_t *kmq_topic_get(kmq_shard_t *s, const char *name, size_t len)
    KMQ_LOCKED;
kmq_topic_t *kmq_topic_find(kmq_t *kmq, const char *name, size_t len)
    KMQ_LOCKED;

/* Returns the name, of topic->name_len bytes.  Needs no lock as long as
 * something keeps the topic from being forgotten. */
const char *kmq_topic_name(kmq_shard_t *s, const kmq_topic_t *topic);

/* Gives a topic the settings that this worker has for it. */
void kmq_topic_configure(kmq_t *kmq, kmq_topic_t *topic) KMQ_LOCKED;

/* Enters a topic into the circle of those with ready messages, or removes it,
 * as it should be by now, and counts those that can be pushed. */
void kmq_topic_active(kmq_shard_t *s, kmq_topic_t *topic) KMQ_LOCKED;

/* Enters a topic into the list of those that may be forgotten, or removes it,
 * as it should be by now. */
void kmq_topic_idle(kmq_shard_t *s, kmq_topic_t *topic) KMQ_LOCKED;

/* Enters a used topic into the hash table and the count, for a repair. */
void kmq_topic_link(kmq_shard_t *s, kmq_topic_t *topic) KMQ_LOCKED;


/* ---------------------------------------------------------------- messages */

/* The numbers of new messages: *got of them, up to n, from the one on that it
 * returns. */
uint64_t kmq_sequence_take(kmq_t *kmq, unsigned n, unsigned *got) KMQ_LOCKED;

/* Has all numbers be larger, from now on, than what it returns, which is as
 * large as any that was given out.  Needs no lock. */
uint64_t kmq_sequence_epoch(kmq_t *kmq);

/* How many of n more messages may wait? */
uint64_t kmq_room_wanted(kmq_t *kmq, uint64_t n) KMQ_LOCKED;

/* Has the other shards give up what room they do not use, whoever is in them.
 * 1: there was some. */
int kmq_room_gather(kmq_t *kmq) KMQ_LOCKED_GAPS;

/* n more messages wait, which is counted. */
void kmq_room_add(kmq_t *kmq, uint64_t n) KMQ_LOCKED;

/* Fewer wait, which has been counted: others may have the room. */
void kmq_room_settle(kmq_t *kmq) KMQ_LOCKED;

/* Counts how much room is no shard's: what is counted on the way may be wrong
 * when somebody has died.  Needs the locks of all shards, too. */
void kmq_room_sum(kmq_block_t *b) KMQ_COMMON;

/* Takes the first ready message of a topic, which is in flight then. */
kmq_slot_t *kmq_message_take(kmq_t *kmq, kmq_topic_t *topic) KMQ_LOCKED;

/* Fills in what kmq_take() tells of a message.  Needs no lock while the message
 * is in flight with a consumer of this handle. */
void kmq_message_fill(kmq_shard_t *s, const kmq_slot_t *slot,
    kmq_message_t *m);

/* The time of a message that was on the schedule has come. */
void kmq_message_due(kmq_t *kmq, kmq_slot_t *slot) KMQ_LOCKED;

/*
 * A consumer loses a message that was, or should have come, in flight with it.
 * When no other consumer has it either, the message is ready again, behind
 * after, or in front of its topic where after is NULL; or it has been consumed,
 * or is dead.  Returns the message when it is ready, else after.
 */
kmq_slot_t *kmq_message_release(kmq_t *kmq, kmq_slot_t *slot,
    kmq_slot_t *after) KMQ_LOCKED;

/*
 * The same, and it is charged with that: reason is KMQ_FAILED_...  It is ready
 * again after delay ms; KMQ_BACK_OFF: as long as its failures say.  Not while
 * nobody is to blame (kmq_t.blameless).
 */
kmq_slot_t *kmq_message_fail(kmq_t *kmq, kmq_slot_t *slot, kmq_slot_t *after,
    unsigned reason, int64_t delay) KMQ_LOCKED;

/* It is charged, with so many failures by now, but stays in flight. */
void kmq_message_charge(kmq_t *kmq, kmq_slot_t *slot, unsigned failures,
    unsigned reason, uint64_t due) KMQ_LOCKED;

/* How long, in ms, a message waits after so many failures. */
uint64_t kmq_back_off(const kmq_topic_t *topic, unsigned failures,
    unsigned reason) KMQ_LOCKED;

/* A message that waits again after it was pushed is confirmed.  0: it does
 * not. */
int kmq_message_confirm_late(kmq_t *kmq, kmq_slot_t *slot) KMQ_LOCKED;

/* Does it wait again after it was pushed? */
static inline int
kmq_message_waits_again(const kmq_slot_t *slot)
{
    return slot->flags & KMQ_PUSHED
           && (slot->state == KMQ_READY || slot->state == KMQ_RETRYING
               || slot->state == KMQ_ASIDE);
}


/* What a record tells of its failures: KMQ_ATTEMPTS_... */
static inline uint32_t
kmq_message_attempts(const kmq_slot_t *slot)
{
    uint32_t  attempts;

    attempts = KMQ_ATTEMPTS_NEW | slot->failures;
    attempts |= slot->flags & KMQ_PUSHED ? KMQ_ATTEMPTS_PUSHED : 0;
    attempts |= slot->flags & KMQ_SUSPECT ? KMQ_ATTEMPTS_SUSPECT : 0;
    attempts |= (slot->flags / KMQ_REASON & 3) * KMQ_ATTEMPTS_REASON;

    return attempts;
}


/* A message is in flight, and counted so, now: it was taken off its list. */
void kmq_message_begin(kmq_t *kmq, kmq_topic_t *topic, kmq_slot_t *slot)
    KMQ_LOCKED;


/* ---------------------------------------------------------------- suspects */

/* A suspect is ready: it waits for a consumer of its own.  1: that is over
 * already: kmq_message_due(). */
int kmq_suspect_add(kmq_t *kmq, kmq_topic_t *topic, kmq_slot_t *slot)
    KMQ_LOCKED;

/* For a repair: enters one into its topic's list. */
void kmq_suspect_link(kmq_shard_t *s, kmq_topic_t *topic, kmq_slot_t *slot)
    KMQ_LOCKED;

/* It is in flight, or goes. */
void kmq_suspect_remove(kmq_t *kmq, kmq_topic_t *topic, kmq_slot_t *slot)
    KMQ_LOCKED;

/* The topic is publish/subscribe by now: its suspects are put into its queue,
 * not all at once where there are many. */
void kmq_suspects_queue(kmq_t *kmq, kmq_topic_t *topic) KMQ_LOCKED;

/* A consumer is not to get a suspect, if it has been run empty for one: another
 * is. */
void kmq_suspect_stay(kmq_t *kmq, kmq_client_t *client) KMQ_LOCKED;

/* The consumer, of this worker, that gets the topic's first suspect now, alone:
 * it is empty.  NULL: there is none yet. */
kmq_client_t *kmq_suspect_consumer(kmq_t *kmq, kmq_topic_t *topic,
    kmq_route_t *route) KMQ_LOCKED;

/* A message that was in flight, and is in no list now, has been consumed. */
void kmq_message_consumed(kmq_t *kmq, kmq_slot_t *slot) KMQ_LOCKED;

/* Takes a message that is neither reserved nor in flight out of its list and
 * out of the counts. */
void kmq_message_unlist(kmq_t *kmq, kmq_slot_t *slot) KMQ_LOCKED;

/* Since when a message grows old, in s. */
uint32_t kmq_age_start(const kmq_slot_t *slot) KMQ_LOCKED;

/* Is it older than its topic keeps messages? */
int kmq_message_old(const kmq_t *kmq, const kmq_topic_t *topic,
    const kmq_slot_t *slot) KMQ_LOCKED;

/* Deletes a message that is too old, and in no list. */
void kmq_message_expire(kmq_t *kmq, kmq_topic_t *topic, kmq_slot_t *slot)
    KMQ_LOCKED;

/* Frees a message that is in no list. */
void kmq_message_free(kmq_t *kmq, kmq_slot_t *slot) KMQ_LOCKED;

/* Frees one that was reserved, and is in no list. */
void kmq_message_discard(kmq_t *kmq, kmq_slot_t *slot) KMQ_LOCKED;

/* The message that client gave back last, if it is still ready: the next one
 * belongs behind it.  NULL: the next one belongs in front. */
kmq_slot_t *kmq_returned(kmq_shard_t *s, const kmq_client_t *client)
    KMQ_LOCKED;
void kmq_returned_set(kmq_shard_t *s, kmq_client_t *client,
    const kmq_slot_t *slot) KMQ_LOCKED;

/* Appends a consumed message to the history. */
void kmq_history_append(kmq_shard_t *s, kmq_slot_t *slot) KMQ_LOCKED;

/* Drops the oldest of the history, at most max.  0: there are none. */
int kmq_history_drop(kmq_t *kmq, unsigned max) KMQ_LOCKED;

/* Takes the oldest of the history, with its body, for a message of that size.
 * NULL: there is free memory, or no history, or its body does not fit. */
kmq_slot_t *kmq_history_reuse(kmq_t *kmq, uint32_t size) KMQ_LOCKED;

/* Pins a large message for this worker's checkpoint, the only one that is not
 * overtaken. */
void kmq_pin_begin(kmq_t *kmq, const kmq_slot_t *slot) KMQ_LOCKED;

/* The worker's checkpoint has read its pinned message. */
void kmq_pin_end(kmq_shard_t *s, kmq_duty_t *duty) KMQ_LOCKED;


/* ---------------------------------------------------- messages as records */

/* These need the lock, unless the message is reserved by this handle. */

/* Appends a message as a record of that kind: KMQ_OK or KMQ_NOMEM. */
int kmq_message_record(kmq_t *kmq, const kmq_slot_t *slot, unsigned kind,
    uint64_t lsn, kmq_buffer_t *buffer);

/* Writes all of that record in front of the body, except the sum.  Returns how
 * many bytes. */
size_t kmq_message_record_head(kmq_t *kmq, const kmq_slot_t *slot,
    unsigned kind, uint64_t lsn, unsigned char *p);

/* Copies a message's body. */
void kmq_message_copy(kmq_t *kmq, const kmq_slot_t *slot, unsigned char *to);


/* ------------------------------------------------------------ MessageCodes */

/* Writes the code of a message.  Needs no lock. */
void kmq_code_of(const kmq_shard_t *s, uint64_t sequence,
    uint32_t create_time, char code[KMQ_CODE_LEN]);

/* The message of a code; NULL: there is none. */
kmq_slot_t *kmq_code_find(kmq_shard_t *s, const char *code) KMQ_LOCKED;

/* Reads the number of the message that it is the code of.  KMQ_ERROR: it is no
 * such code.  Needs no lock. */
int kmq_code_sequence(const kmq_shard_t *s, const char *code,
    uint64_t *sequence);

/* Is it the code of a message that is there, or has been? */
int kmq_code_genuine(const kmq_shard_t *s, const char *code) KMQ_LOCKED;


/* ------------------------------------------------------- routes and grants */

/* The route of topic to this worker, or the one of those that pull, made when
 * there is none.  NULL: no memory. */
kmq_route_t *kmq_route_find(kmq_t *kmq, kmq_topic_t *topic, int unpaced)
    KMQ_LOCKED;

/* Enters a used route into its topic. */
void kmq_route_link(kmq_shard_t *s, kmq_route_t *route) KMQ_LOCKED;

/* Makes sure that the route's worker looks at it. */
void kmq_route_dirty(kmq_t *kmq, kmq_route_t *route) KMQ_LOCKED;

/* Makes sure that all workers with ready consumers look at a topic, except the
 * one of that route (0: none). */
void kmq_routes_tell(kmq_t *kmq, kmq_topic_t *topic, kmq_ref_t except)
    KMQ_LOCKED;

/* The next route that this worker has to look at.  NULL: there is none, or none
 * for now. */
kmq_route_t *kmq_route_next(kmq_t *kmq) KMQ_LOCKED;

/* More messages of a route's topic are there: its worker looks again, at once
 * or with the next batch. */
void kmq_route_go_on(kmq_t *kmq, kmq_topic_t *topic, kmq_route_t *route,
    uint64_t more) KMQ_LOCKED;

/* Frees a route without consumers; a dirty one later, in its turn. */
void kmq_route_release(kmq_t *kmq, kmq_route_t *route) KMQ_LOCKED;

/* n more messages of topic are ready: grants them, or tells its routes. */
void kmq_grant(kmq_t *kmq, kmq_topic_t *topic, uint64_t n) KMQ_LOCKED;

/* Grants a route up to n messages of its topic's backlog. */
void kmq_grant_to(kmq_t *kmq, kmq_topic_t *topic, kmq_route_t *route,
    uint64_t n) KMQ_LOCKED;

/* Takes back what a route could not use, and grants it to others. */
void kmq_grant_return(kmq_t *kmq, kmq_topic_t *topic, kmq_route_t *route)
    KMQ_LOCKED;


/* ------------------------------------------------------------------ pacing */

/* How many of n messages of topic may go now.  They count as gone. */
uint64_t kmq_pace(kmq_t *kmq, kmq_topic_t *topic, uint64_t n) KMQ_LOCKED;

/* May any go now? */
int kmq_pace_open(const kmq_t *kmq, const kmq_topic_t *topic) KMQ_LOCKED;

/* n messages that could go were not pushed: others may. */
void kmq_pace_credit(kmq_t *kmq, uint64_t n) KMQ_LOCKED;

/* The same, but they stay the topic's. */
void kmq_pace_allot(const kmq_shard_t *s, kmq_topic_t *topic, uint32_t n)
    KMQ_LOCKED;

/* Begins the next window, when it is time.  Takes the common lock. */
void kmq_pace_window(kmq_t *kmq);

/* Gives the shard's part of the current window to its topics, a slice of it.
 * 1: there is more. */
int kmq_pace_slice(kmq_t *kmq) KMQ_LOCKED;

/* The topic's backlog: ready messages that are neither granted nor allotted. */
uint64_t kmq_pace_backlog(const kmq_shard_t *s, const kmq_topic_t *topic)
    KMQ_LOCKED;


/* --------------------------------------------------------- ready consumers */

/* Can a consumer be pushed something? */
int kmq_ready(kmq_shard_t *s, const kmq_client_t *client) KMQ_LOCKED;

/* Did it come for the push type that its topic has? */
int kmq_ready_matches(kmq_shard_t *s, const kmq_client_t *client) KMQ_LOCKED;

/* Counts a consumer as ready, or not, as it should be by now. */
void kmq_ready_update(kmq_t *kmq, kmq_client_t *client) KMQ_LOCKED;


/* -------------------------------------------------- a consumer's only timer */

/* Has the client's worker, or, where it is apart, anybody look at it in ms, or
 * earlier. */
void kmq_look_in(kmq_t *kmq, kmq_client_t *client, uint64_t ms) KMQ_LOCKED;

/* Has it look now.  add: its timer is in no list; now: wherever it is. */
void kmq_look_add(kmq_t *kmq, kmq_client_t *client) KMQ_LOCKED;
void kmq_look_now(kmq_t *kmq, kmq_client_t *client) KMQ_LOCKED;

/* Has nobody look. */
void kmq_look_cancel(kmq_shard_t *s, kmq_client_t *client) KMQ_LOCKED;


/* ------------------------------------------------- consumers that are held */

/* How many messages it may have in flight as long as memory is there. */
uint32_t kmq_hold_limit(const kmq_client_t *client);

/* It has a suspect alone; it runs empty for one; it gets nothing new for ms; it
 * has let one become overdue.  The caller updates its readiness. */
void kmq_hold_alone(kmq_t *kmq, kmq_client_t *client) KMQ_LOCKED;
void kmq_hold_emptying(kmq_t *kmq, kmq_client_t *client, uint64_t ms)
    KMQ_LOCKED;
void kmq_hold_pause(kmq_t *kmq, kmq_client_t *client, uint64_t ms)
    KMQ_LOCKED;
void kmq_hold_rest(kmq_t *kmq, kmq_client_t *client) KMQ_LOCKED;

/* It has confirmed something; it has said so even though nothing was in flight;
 * it may have nothing in flight any more. */
void kmq_hold_confirmed(kmq_t *kmq, kmq_client_t *client) KMQ_LOCKED;
void kmq_hold_spoken(kmq_t *kmq, kmq_client_t *client) KMQ_LOCKED;
void kmq_hold_emptied(kmq_t *kmq, kmq_client_t *client) KMQ_LOCKED;

/* Ends what is over by now.  Returns in how many ms the next one is; 0: none
 * is. */
uint32_t kmq_hold_look(kmq_t *kmq, kmq_client_t *client) KMQ_LOCKED;

/* It leaves. */
void kmq_hold_leave(kmq_t *kmq, kmq_client_t *client) KMQ_LOCKED;

/* For a repair: enters a consumer as it is held. */
void kmq_hold_link(kmq_shard_t *s, kmq_client_t *client) KMQ_LOCKED;

/* Consumers that rest look whether others are ready; and, when one is none of
 * the topic's any more, whether they are the only ones. */
void kmq_hold_review(kmq_t *kmq, kmq_topic_t *topic) KMQ_LOCKED;
void kmq_hold_fewer(kmq_t *kmq, kmq_topic_t *topic) KMQ_LOCKED;


/* ------------------------------------------------- consumers that are apart */

/* Does it keep its place in a log, so that it is owed what comes? */
static inline int kmq_apart_owed(kmq_shard_t *s, const kmq_client_t *client)
    KMQ_LOCKED;

static inline int
kmq_apart_owed(kmq_shard_t *s, const kmq_client_t *client)
{
    return client->apart == KMQ_PARKED && client->push_type == KMQ_PUSH_ALL
           && kmq_ready_matches(s, client);
}


/*
 * For how many ms a time has passed, of 32 bits, up to 48 days.  Another
 * worker's clock may be ahead, by less than a day: what is to come is now.
 * Needs no lock.
 */
static inline uint32_t
kmq_age(const kmq_t *kmq, uint32_t time)
{
    uint32_t  age;

    age = (uint32_t) kmq->mono - time;

    return age > UINT32_MAX - 86400000 ? 0 : age;
}


/* In how many ms a lease that began then ends, or it is parked no more; 0: that
 * is over. */
static inline uint32_t kmq_apart_left(const kmq_t *kmq,
    const kmq_client_t *client, uint32_t time) KMQ_LOCKED;

static inline uint32_t
kmq_apart_left(const kmq_t *kmq, const kmq_client_t *client, uint32_t time)
{
    uint32_t  age;

    age = kmq_age(kmq, time);

    return age < client->lease ? client->lease - age : 0;
}


/* -------------------------------------------------- consumers by their ids */

/* Enters one that settles, and removes it. */
void kmq_id_link(kmq_shard_t *s, kmq_client_t *client) KMQ_LOCKED;
void kmq_id_unlink(kmq_shard_t *s, kmq_client_t *client) KMQ_LOCKED;

/* The first, or the next one behind another, of a topic and an id.  *left says
 * how many may be looked at, and counts down.  NULL: there is none. */
kmq_client_t *kmq_id_next(kmq_shard_t *s, kmq_ref_t topic, const char *id,
    size_t len, const kmq_client_t *before, unsigned *left) KMQ_LOCKED;


/* ------------------------------------------------- the handle's own tables */

/* Is it a client of this handle, and not of a predecessor of its number? */
int kmq_own_has(const kmq_t *kmq, const kmq_client_t *client) KMQ_LOCKED;

/* Enters a client of this handle: KMQ_OK or KMQ_NOMEM. */
int kmq_own_client_add(kmq_t *kmq, kmq_client_t *client, void *user)
    KMQ_LOCKED;
void kmq_own_client_remove(kmq_t *kmq, kmq_client_t *client) KMQ_LOCKED;

/* Enters client number i, a consumer, into its route: KMQ_OK or KMQ_NOMEM. */
int kmq_own_route_join(kmq_t *kmq, kmq_route_t *route, uint32_t i)
    KMQ_LOCKED;

/* Publish/subscribe: the consumer at that place of a route has been pushed all
 * there is. */
void kmq_own_served(kmq_t *kmq, kmq_own_route_t *route, uint32_t place)
    KMQ_LOCKED;

/* A client of another handle is ready, or is not any more: that one's tables
 * follow when it has the lock next.  It goes, so they need not. */
void kmq_own_tell(kmq_t *kmq, kmq_client_t *client) KMQ_LOCKED;
void kmq_own_tell_cancel(kmq_shard_t *s, kmq_client_t *client) KMQ_LOCKED;

/* Makes the tables fit what a repair, or another worker, has left. */
void kmq_own_resync(kmq_t *kmq) KMQ_LOCKED;

/* All handles' tables are to be made anew, this one's at once. */
void kmq_own_upheave(kmq_t *kmq) KMQ_LOCKED;

/* Frees them.  Needs no lock. */
void kmq_own_free(kmq_t *kmq);


/* ------------------------------------------------------------------ counts */

/* So many messages of topic were published, pushed, confirmed just now. */
void kmq_count_published(kmq_t *kmq, kmq_topic_t *topic, uint64_t n)
    KMQ_LOCKED;
void kmq_count_delivered(kmq_t *kmq, kmq_topic_t *topic, uint64_t n)
    KMQ_LOCKED;
void kmq_count_confirmed(kmq_t *kmq, kmq_topic_t *topic, uint64_t n)
    KMQ_LOCKED;

/* A message that was counted as published has not been stored. */
void kmq_count_unpublished(kmq_t *kmq, kmq_topic_t *topic) KMQ_LOCKED;

/* A delivery that is counted was not its message's first. */
void kmq_count_redelivered(kmq_t *kmq, kmq_topic_t *topic) KMQ_LOCKED;

/* A message is pushed for the first time that has been ready since then. */
void kmq_count_latency(kmq_t *kmq, uint32_t since) KMQ_LOCKED;

/* Notes how many messages there are now, n in all shards, for the current
 * minute and hour.  Takes the common lock. */
void kmq_count_backlog(kmq_t *kmq, uint64_t n);

/* How many messages wait, are in flight, or delayed. */
uint64_t kmq_backlog(const kmq_shard_t *s) KMQ_LOCKED;

/* So much happened at that time, in s: in the queue, or in a topic. */
void kmq_count_queue(kmq_t *kmq, uint64_t time, int64_t published,
    uint64_t delivered, uint64_t confirmed) KMQ_LOCKED;
void kmq_count_topic(kmq_t *kmq, kmq_topic_t *topic, uint64_t time,
    int64_t published, uint64_t delivered, uint64_t confirmed) KMQ_LOCKED;

/* Copies the periods of the queue, KMQ_MINUTES and KMQ_HOURS of them, each at
 * its number modulo how many there are; either may be NULL.  locked: the caller
 * has all locks; the other takes them. */
void kmq_periods_sum(kmq_t *kmq, kmq_period_t *minute, kmq_period_t *hour);
void kmq_periods_sum_locked(kmq_t *kmq, kmq_period_t *minute,
    kmq_period_t *hour) KMQ_LOCKED;

/* The period of that number, in a table of the last n ones.  The caller has
 * the lock that guards it. */
kmq_period_t *kmq_period(kmq_period_t *period, unsigned n, uint64_t number);

/* How many periods of that class a topic can have.  Needs no lock. */
unsigned kmq_periods_kept(unsigned class);

/* Is a period of that number kept at that time, in s?  Needs no lock. */
int kmq_period_current(unsigned class, uint64_t number, uint64_t time);

/* A topic's period of that number. */
kmq_topic_period_t *kmq_topic_period(kmq_t *kmq, kmq_topic_t *topic,
    unsigned class, uint32_t number) KMQ_LOCKED;

/* The same, of a period out of files, which were all kept at the same time. */
kmq_topic_period_t *kmq_topic_period_restore(kmq_t *kmq, kmq_topic_t *topic,
    unsigned class, uint32_t number) KMQ_LOCKED;

/* Begins this minute of a topic with its backlog, unless it has begun. */
void kmq_topic_minute(kmq_t *kmq, kmq_topic_t *topic, uint32_t number)
    KMQ_LOCKED;

/* A period's backlog from what is kept of it, and back: KMQ_UNKNOWN, or right
 * to a 1000th.  Need no lock. */
uint64_t kmq_backlog_read(unsigned kept);
unsigned kmq_backlog_keep(uint64_t backlog);

/* Gives back the room for all of a topic's periods where at most one is kept
 * any longer. */
void kmq_topic_periods_trim(kmq_t *kmq, kmq_topic_t *topic) KMQ_LOCKED;

/* Copies a topic's current periods to period, which has room for as many as
 * are kept, each at its number modulo that. */
void kmq_topic_periods(kmq_t *kmq, kmq_topic_t *topic, unsigned class,
    kmq_period_t *period) KMQ_LOCKED;

#endif /* KMQ_QUEUE_H */
