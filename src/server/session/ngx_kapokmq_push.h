/*
 * The transport of WebSocket consumers: a batch is laid out as frames in one
 * chunk, and each consumer gets its part of it, which may be the same for a
 * thousand of them, in one write.
 *
 *   | message | message | ping | message | message | message | ping |
 *    \___ run of one consumer _/ \________ of another _____________/
 */

#ifndef NGX_KAPOKMQ_PUSH_H
#define NGX_KAPOKMQ_PUSH_H

#include "ngx_kapokmq_session_inside.h"


extern const ngx_kapokmq_transport_t  ngx_kapokmq_websocket;


/* ----------------------------------------------------------------- frames */

/* Consumers of a batch that get the same bytes of it. */
#define NGX_KAPOKMQ_QUICK  0
#define NGX_KAPOKMQ_SLOW   1               /* ngx_kapokmq_ping_slow() */
#define NGX_KAPOKMQ_ALL    2

/* A batch as frames: what each message needs, and where it stands. */
typedef struct {
    const kmq_batch_t        *batch;
    ngx_uint_t                group;
    ngx_kapokmq_chunk_t      *chunk;           /* NULL: no memory */
    size_t                    len[KMQ_BATCH_MESSAGES];     /* of the payload */
    size_t                    start[KMQ_BATCH_MESSAGES];   /* in the chunk */
    u_char                    ping[KMQ_BATCH_MESSAGES];    /* follows it */
} ngx_kapokmq_frames_t;

/* Measures messages; pings are set by the caller.  Returns the bytes of it
 * all at most. */
size_t ngx_kapokmq_frames_measure(ngx_kapokmq_frames_t *f);

/* Gives each frame its place in the chunk. */
void ngx_kapokmq_frames_layout(ngx_kapokmq_frames_t *f);

/* Writes n frames, from that one on, to their places. */
void ngx_kapokmq_frames_compose(ngx_kapokmq_frames_t *f, ngx_uint_t first,
    ngx_uint_t n);

/* What stands before a message's data, and behind it.  Return the byte behind
 * what they wrote. */
u_char *ngx_kapokmq_frames_head(ngx_kapokmq_frames_t *f, u_char *p,
    ngx_uint_t i);
u_char *ngx_kapokmq_frames_tail(ngx_kapokmq_frames_t *f, u_char *p,
    ngx_uint_t i);


/* ----------------------------------------------------------------- writev */

/*
 * Sends a run without copying its data, as long as the connection takes it.
 * Returns the offset in the chunk up to which it has, as if it had been sent
 * from there, or NGX_ERROR.
 */
ssize_t ngx_kapokmq_writev_send(ngx_kapokmq_session_t *s,
    ngx_kapokmq_frames_t *f, const kmq_run_t *run);


/* ------------------------------------------------------------------ pings */

/* A ping carries the position of the last message before it. */
#define NGX_KAPOKMQ_PING_LEN    8          /* hex digits */
#define NGX_KAPOKMQ_PING_FRAME  (2 + NGX_KAPOKMQ_PING_LEN)

/* Behind so many messages there is a ping, at least. */
#define NGX_KAPOKMQ_PING_STEP   64

/* 1: the client's pongs take long, so that there is one behind each message. */
ngx_uint_t ngx_kapokmq_ping_slow(ngx_kapokmq_session_t *s);

#define ngx_kapokmq_ping_step(s)                                              \
    (ngx_kapokmq_ping_slow(s) ? 1 : NGX_KAPOKMQ_PING_STEP)

/* Writes a ping's frame; returns the byte behind. */
u_char *ngx_kapokmq_ping_write(u_char *p, uint32_t position);

/* A ping with that position is on its way. */
void ngx_kapokmq_ping_sent(ngx_kapokmq_session_t *s, uint32_t position);

/* Asks how far the client has read, beside the pushes. */
ngx_int_t ngx_kapokmq_ping_send(ngx_kapokmq_session_t *s);

/* The transport's turn: a ping for one that no batch has brought one. */
void ngx_kapokmq_ping_turn(ngx_kapokmq_consumer_t *c);

/* Takes the pong in s->parser; and confirms what pongs have said. */
void ngx_kapokmq_ping_pong(ngx_kapokmq_session_t *s);
void ngx_kapokmq_ping_flush(ngx_kapokmq_session_t *s);

#endif /* NGX_KAPOKMQ_PUSH_H */
