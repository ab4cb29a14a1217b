/*
 * The load generator: one thread, one epoll, any number of producers and
 * consumers.
 *
 *   main.c             kmq-load: the generator with load_websocket.c
 *   load.c             phases and the event loop
 *   load_options.c     the command line
 *   load_websocket.c   the protocol: login, what producers and consumers send
 *                      and read
 *   load_door.c        clients that speak HTTP instead: their requests' answers
 *   load_events.c      --events: consumers with a stream of events
 *   load_pull.c        --pull: consumers that ask for messages
 *   load_batch.c       --batch: producers that send many at a time
 *   load_settle.c      how the latter two, and streams, confirm
 *   load_report.c      the result as JSON
 *
 * what a run may have besides:
 *
 *   load_deep.c        --depth: far from an empty queue
 *   load_churn.c       --churn: consumers that come and go
 *   load_search.c      --search: questions to the console meanwhile
 *   load_return.c      --return: idle consumers that are sent away come back
 *   load_meanwhile.c   --rate with --idle: messages that they get meanwhile
 *   load_spread.c      --spread: more idle consumers than a process can have
 *
 * and what all of these use:
 *
 *   load_connection.c  opening and closing
 *   load_message.c     messages' data and stamps, windows
 *   load_check.c       which message came where: losses, duplicates, disorder
 *   load_watch.c       moments of a run: counters, CPU time, memory
 *
 * Each uses those below it alone, and the protocol through load_protocol_t:
 * ../peers has another one.
 */

#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stddef.h>
#include <stdint.h>

#include "../common/histogram.h"
#include "../common/net.h"
#include "../common/wire.h"


#define LOAD_STAMP     32      /* bytes of data that carry the stamp */
#define LOAD_WATCH     8       /* processes of the server */

#define LOAD_PRODUCER  0
#define LOAD_CONSUMER  1
#define LOAD_VISITOR   2       /* a consumer of --churn */
#define LOAD_SEARCHER  3       /* a connection of --search */
#define LOAD_SETTLER   4       /* what a stream of --events confirms by */

#define LOAD_SEARCHES  16      /* connections of --search */
#define LOAD_TOPIC     300     /* bytes for a topic's name */


typedef struct {
    const char  *host;
    const char  *topic;
    const char  *key;
    const char  *confirm;      /* NULL: the server's own setting */
    unsigned     port;
    unsigned     producers;    /* of each topic */
    unsigned     consumers;
    unsigned     topics;
    unsigned     size;
    unsigned     window;
    unsigned     idle;
    unsigned     spread;       /* processes of idle clients */
    unsigned     pull;         /* messages that a pull asks for */
    unsigned     batch;        /* messages of a request */
    unsigned     rounds;       /* --depth */
    uint64_t     depth;        /* messages that wait, 0: none are kept so */
    double       delay;        /* the longest delay, in seconds */
    double       churn;        /* visitors a second */
    double       stay;         /* seconds that they stay on average */
    double       back;         /* --return: seconds until all are sent away */
    double       rate;         /* messages a second, 0: as the window allows */
    uint64_t     messages;     /* 0: for seconds */
    double       seconds;
    double       warmup;       /* negative: a fifth of the run */
    double       drain;
    double       timeout;
    int          watch[LOAD_WATCH];
    unsigned     nwatch;
    uint8_t      search[LOAD_SEARCHES];
    unsigned     nsearch;
    double       wait;         /* seconds that a pull may wait */
    double       pause;        /* seconds from one question to the next */
    unsigned     delayed:1;    /* --delay, also with 0 */
    unsigned     json:1;
    unsigned     fanout:1;
    unsigned     ingest:1;
    unsigned     remote:1;
    unsigned     answers:1;    /* --answers */
    unsigned     tls:1;
    unsigned     events:1;
    unsigned     apart:1;      /* --apart */
    unsigned     ndjson:1;
} load_options_t;


/* Which messages came, by their number; grows with the highest one. */
typedef struct {
    uint64_t  *word;
    uint32_t   words;
} load_bitmap_t;

typedef struct {
    /* point to point: one for each producer, since a message goes to one
     * consumer; fan-out: one for each pair of producer and consumer */
    load_bitmap_t  *seen;
    uint32_t       *next;      /* of each pair: the highest number + 1 */
    uint64_t        unique;
    uint64_t        duplicate;
    uint64_t        disorder;
    uint64_t        corrupt;
} load_check_t;


typedef enum {
    CLIENT_UPGRADE = 0,        /* the answer to the HTTP request is awaited */
    CLIENT_LOGIN,              /* "Secret key matching succeeded" is */
    CLIENT_READY,
    CLIENT_CLOSED
} client_state_t;

typedef struct load_s       load_t;
typedef struct client_s     client_t;
typedef struct load_door_s  load_door_t;
typedef struct load_http_s  load_http_t;
typedef struct load_move_s  load_move_t;

struct client_s {
    int              fd;
    uint8_t          role;
    uint8_t          state;
    uint32_t         number;   /* among those of its role */
    uint32_t         topic;
    uint32_t         mask;

    net_rest_t       rest;
    net_out_t        out;

    /* a producer's */
    unsigned char   *frame;    /* a whole masked frame, but for the stamp */
    uint32_t         sent;
    uint32_t         answered;
    uint32_t         errors;   /* of these, not "ok" */
    size_t           frame_size;                /* --batch: of that */
    size_t           stamp_at;
    uint64_t        *asked;    /* --answers: when each that has no answer was
                                  sent; a ring of o.window */

    /* a consumer's */
    uint64_t         last;     /* when it got its last message */
    uint8_t          ping[WIRE_CONTROL_MAX];   /* --depth: not yet answered */
    uint8_t          ping_size;
    uint8_t          pinged;
    load_move_t     *move;     /* --return: it was sent away; else NULL */
    uint8_t          moved;    /* it ever was */

    /* a visitor's */
    uint64_t         leave;    /* when it goes */
    uint32_t        *next;     /* of each producer: the number to come + 1 */

    /* called when the server has ended the connection; NULL: nothing is */
    void           (*lost)(load_t *l, client_t *c);

    /* a searcher's */
    void            *search;

    /* NULL: it speaks WebSocket */
    const load_door_t  *door;
    load_http_t        *http;
};

/* A read whose bytes are parsed. */
typedef struct {
    load_t     *load;
    client_t   *client;
    uint64_t    now;
} load_read_t;

/* A send time, ready for the stamp. */
typedef struct {
    uint64_t    high;
    uint64_t    low;
} load_time_t;


/* What a client does that speaks HTTP. */
struct load_door_s {
    /* Composes what its connection begins with: 0, or -1. */
    int            (*request)(load_t *l, client_t *c);

    /* Takes what is there of an answer's body; whole: up to its end, or to a
     * chunk's.  Returns how much of it was used, or NET_CLOSE. */
    size_t         (*body)(load_read_t *r, const unsigned char *data,
        size_t size, int whole);

    /* An answer is complete: 0, or -1. */
    int            (*done)(load_t *l, client_t *c);

    /* All that has come was read, none of it may be answered yet: 0, or -1.
     * NULL: nothing is to be done. */
    int            (*rest)(load_t *l, client_t *c);

    /* It is ready when its first request has been written, not before an
     * answer. */
    unsigned         writes:1;
};

typedef enum {
    HTTP_HEAD = 0,
    HTTP_BODY,
    HTTP_CHUNK,                /* the line with its size is to come */
    HTTP_CHUNK_END             /* and that behind it */
} load_http_state_t;

struct load_http_s {
    load_http_state_t  state;
    uint64_t        left;      /* bytes of the body, or of its chunk */
    unsigned        chunked:1;
    unsigned        begun:1;   /* messages of this answer may follow */

    /* MessageCodes with commas, yet to be confirmed */
    net_out_t       codes;
    uint32_t        ncodes;
    uint32_t        settling;  /* so many were sent, and are not answered */

    /* a stream's: confirms what it gets; its own is the stream */
    client_t       *settler;
};


/* How clients speak with a server. */
typedef struct {
    /* Makes all clients: 0, or -1 when there is no memory. */
    int            (*init)(load_t *l);

    /* Composes what a connection begins with: 0, or -1. */
    int            (*request)(load_t *l, client_t *c);

    /* Reads and writes as far as the socket can. */
    void           (*event)(load_t *l, client_t *c, unsigned events);

    /* Sends what a producer's window allows. */
    void           (*fill)(load_t *l, client_t *c);

    /* --rate: sends what is due; NULL: there is none. */
    void           (*schedule)(load_t *l, uint64_t now);

    /* --depth: answers the ping that a consumer held back, if there is one;
     * NULL: there is none. */
    void           (*pong)(load_t *l, client_t *c);
} load_protocol_t;


typedef enum {
    LOAD_OPENING = 0,
    LOAD_IDLE,                 /* --idle: until stdin is closed */
    LOAD_GATHER,               /* --search: MessageCodes to ask for */
    LOAD_RUNNING,
    LOAD_DRAINING,             /* all is sent; answers, deliveries to come */
    LOAD_GRACE,                /* all has come; what comes now is too much */
    LOAD_DONE
} load_phase_t;

/* The counters at a moment of the run. */
typedef struct {
    uint64_t  time;
    uint64_t  accepted;
    uint64_t  delivered;
    uint64_t  cpu;             /* ns, of this process */
    uint64_t  server_cpu;      /* ns, of those that are watched */
    uint64_t  threads_cpu;     /* ns, of that beside their main threads */
    uint64_t  kernel_cpu;      /* ns, of that in the kernel */
    uint64_t  sleeps;          /* how often their main threads gave up a core */
    uint64_t  preempted;       /* and how often one was taken from them */
    uint64_t  all_cpu;         /* ns, of the machine */
    uint64_t  recvs;
    uint64_t  sends;
} load_mark_t;

/* load_deep.c, load_churn.c, load_search.c, load_return.c, load_meanwhile.c */
typedef struct load_deep_s    load_deep_t;
typedef struct load_churn_s   load_churn_t;
typedef struct load_search_s  load_search_t;
typedef struct load_return_s  load_return_t;
typedef struct load_meanwhile_s  load_meanwhile_t;

/* What the processes of idle clients have in common, be it one or more. */
typedef struct {
    unsigned           clients;    /* of all */
    _Atomic unsigned   ready;
    _Atomic unsigned   failed;     /* 1: one has, so that all end */
} load_spread_t;

struct load_s {
    load_options_t  o;
    const load_protocol_t  *protocol;
    load_phase_t    phase;
    int             epoll;
    net_input_t     in;

    client_t       *clients;   /* the consumers, then the producers */
    unsigned        nclients;
    unsigned        nproducers;
    unsigned        nconsumers;
    unsigned        started;   /* clients[0 .. started) are open, or were */
    unsigned        ready;

    unsigned char  *data;      /* what every message holds, but for the stamp */
    size_t          frame_size;
    size_t          stamp_at;  /* in the frame */
    size_t          delay_at;
    unsigned        delay_turn;    /* where in the mask that is */
    uint64_t        random;

    uint64_t        sent;
    uint64_t        answered;
    uint64_t        errors;
    uint64_t        delivered; /* all that came, twice or not */
    uint64_t        closed;    /* connections that the server ended */
    char            why[256];  /* the first thing that went wrong */

    load_check_t    check;
    histogram_t     latency;
    histogram_t     answer;    /* --answers: from sending to the answer */
    histogram_t     lag;       /* --rate: how late this program itself was */
    histogram_t     unread;    /* while it spins: how long a message may have
                                  been in the socket before it was read */
    histogram_t     gap;       /* --rate: between two messages of a consumer */
    uint64_t        early;     /* --delay: messages before their time */
    uint64_t        earliest;  /* the most, in ns */
    uint64_t        looked;    /* when sockets were looked at last */
    uint64_t        looked_before;
    unsigned        spin:1;

    load_deep_t    *deep;
    load_churn_t   *churn;
    load_search_t  *search;
    load_return_t  *back;
    load_meanwhile_t  *meanwhile;
    load_spread_t  *spread;
    unsigned        process;   /* --spread: which one this is, from 0 */
    unsigned        told:1;    /* that idle clients are ready */

    uint64_t        deadline;
    uint64_t        measure;   /* stamps from here on count for latencies */
    uint64_t        progress;  /* the last answer or delivery */
    load_mark_t     start;
    load_mark_t     warm;
    load_mark_t     stop;
    load_mark_t     end;
};


/* load.c: all of it; returns the exit status. */
int load_run(const load_protocol_t *protocol, int argc, char **argv);

/* load_websocket.c */
extern const load_protocol_t  load_websocket;

/* load_door.c: the client's door, if it is to have one: 0, or -1. */
int load_door_init(load_t *l, client_t *c);
void load_door_event(load_t *l, client_t *c, unsigned events);

/* Appends a POST to what the client sends: 0, or -1. */
int load_post(load_t *l, client_t *c, const char *path, const char *type,
    const void *body, size_t size);

/* The length of the pushed message at p, 0 while it is not all there. */
size_t load_door_message(const load_t *l, const unsigned char *p, size_t size);

extern const load_door_t  load_events;
extern const load_door_t  load_pull;
extern const load_door_t  load_batch;
extern const load_door_t  load_settler;

/* load_batch.c: sends what the window allows. */
void load_batch_fill(load_t *l, client_t *c);

/* load_settle.c: keeps a message's code; asks, on another connection or the
 * client's own, to confirm those kept; takes the answer, as a door's body. */
int load_settle_keep(client_t *c, const unsigned char *message);
int load_settle(load_t *l, client_t *on, client_t *c);
size_t load_settled(load_read_t *r, client_t *c, const unsigned char *data,
    size_t size, int whole);

/* load_message.c */
int load_data_init(load_t *l);
/* topic: LOAD_TOPIC bytes */
void load_topic(const load_t *l, const client_t *c, char *topic);
load_time_t load_time(uint64_t time);

/* How many messages a producer may send now. */
uint64_t load_credit(const load_t *l, const client_t *c);

/* A producer's messages were answered, in the order in which they were sent. */
void load_answered(load_read_t *r, uint32_t n);

/* A pushed message has come. */
void load_message(load_read_t *r, const unsigned char *p, size_t size);

/* load_options.c: 0, or -1 when the command line makes no sense. */
int load_options(load_options_t *o, int argc, char **argv);

/* load_report.c: 0, or 1 when a message was lost, came twice or out of
 * order. */
int load_report(load_t *l);

/* load_deep.c; without --depth nothing happens in these */
int load_deep_init(load_t *l);
void load_deep_step(load_t *l, uint64_t now);
uint64_t load_deep_credit(const load_t *l);
int load_deep_paused(const load_t *l);
int load_deep_over(const load_t *l);
void load_deep_report(const load_t *l);

/* load_churn.c; without --churn nothing happens in these */
int load_churn_init(load_t *l);
void load_churn_step(load_t *l, uint64_t now);
void load_churn_ready(load_t *l, client_t *visitor);
void load_churn_message(load_t *l, client_t *visitor, uint32_t producer,
    uint32_t number);
void load_churn_end(load_t *l);
/* 1 when something was wrong. */
int load_churn_report(const load_t *l);

/* load_search.c; without --search nothing happens in these */
int load_search_options(load_options_t *o, const char *text);
int load_search_init(load_t *l);
int load_search_open(load_t *l);
int load_search_gathered(load_t *l);
void load_search_start(load_t *l);
void load_search_step(load_t *l, uint64_t now);
void load_search_event(load_t *l, client_t *c, unsigned events);
void load_search_report(const load_t *l);

/* load_spread.c; without --idle nothing happens in these.  First of all the
 * memory is made that processes share, by this and the next two. */
int load_spread_init(load_t *l);
void *load_shared(size_t size);
/* 1: this process has waited for those that it has forked, rc is its exit
 * status; 0: it has idle clients itself. */
int load_spread_fork(load_t *l, int *rc);
/* This process's clients are ready. */
void load_spread_ready(load_t *l);
/* Says so, once, when all are. */
void load_spread_tell(load_t *l);
/* A process has lost a client. */
int load_spread_failed(load_t *l);

/* load_meanwhile.c; without --idle and --rate nothing happens in these */
int load_meanwhile_share(load_t *l);
/* Sends what is due. */
void load_meanwhile_step(load_t *l, uint64_t now);
/* The producer connects again. */
void load_meanwhile_again(load_t *l, client_t *c);
void load_meanwhile_message(load_t *l, uint32_t number, uint64_t now);
/* All that was accepted has come, or has not for too long. */
int load_meanwhile_over(const load_t *l, uint64_t now);
/* first: the first was sent away; last: the last was back.  1 when something
 * was wrong. */
int load_meanwhile_report(load_t *l, uint64_t first, uint64_t last);

/* load_return.c; without --return nothing happens in these */
int load_return_share(load_t *l);
/* A close frame with that code has come: 1 when the client comes back. */
int load_return_away(load_t *l, client_t *c, unsigned code);
/* Its connection has ended: 1 when it has begun another one. */
int load_return_again(load_t *l, client_t *c);
void load_return_ready(load_t *l, client_t *c);
/* All have been sent away, and are back. */
int load_return_over(const load_t *l);
/* 1 when something was wrong. */
int load_return_report(load_t *l);

/* load_connection.c: 0, or -1, which has been told */
int load_connect(load_t *l, client_t *c);
int load_open_next(load_t *l);

/* The answer to the request for a WebSocket: its bytes, 0 while it is not all
 * there, NET_CLOSE when it is another one. */
size_t load_upgraded(client_t *c, unsigned char *data, size_t size);

/* It has ended, which is a failure; why: the reason as text. */
void load_close(load_t *l, client_t *c, const char *why);

/* load_check.c */
int load_check_init(load_t *l);
void load_check_message(load_t *l, client_t *consumer, uint32_t producer,
    uint32_t number);
uint64_t load_expected(const load_t *l);

/* Names the first losses on stderr. */
void load_check_explain(load_t *l);

/* Something is wrong with the run; keeps the first reason. */
void load_fail(load_t *l, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* load_watch.c */
void load_mark(load_t *l, load_mark_t *mark);

/* Bytes of the first watched process: "RssAnon:", "RssShmem:"; 0: unknown. */
uint64_t load_memory(const load_t *l, const char *key);

#endif /* BENCH_LOAD_H */
