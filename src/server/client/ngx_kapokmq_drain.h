/* Clients that are to be told when the worker is about to go. */

#ifndef NGX_KAPOKMQ_DRAIN_H
#define NGX_KAPOKMQ_DRAIN_H

#include "../ngx_kapokmq.h"


/* Part of what a transport knows of a connection. */
typedef struct ngx_kapokmq_stay_s  ngx_kapokmq_stay_t;

/* The worker is to go: the client has to come again.  It has been removed, and
 * may be freed. */
typedef void (*ngx_kapokmq_tell_pt)(ngx_kapokmq_stay_t *stay);

struct ngx_kapokmq_stay_s {
    ngx_queue_t          queue;
    ngx_kapokmq_tell_pt  tell;
};


void ngx_kapokmq_drain_init(ngx_kapokmq_stay_t *stay,
    ngx_kapokmq_tell_pt tell);

/* It is there, and has to be told; or it is not any more, if it was. */
void ngx_kapokmq_drain_add(ngx_kapokmq_stay_t *stay);
void ngx_kapokmq_drain_remove(ngx_kapokmq_stay_t *stay);

/* All have been told: one that comes now would not be.  Until then it may stay
 * for what is left of the time. */
ngx_uint_t ngx_kapokmq_drain_over(void);

/* Has all of them told then; in a worker, before its first client. */
void ngx_kapokmq_drain_listen(ngx_cycle_t *cycle);

#endif /* NGX_KAPOKMQ_DRAIN_H */
