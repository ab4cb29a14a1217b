/* When the heartbeats of clients are due. */

#ifndef NGX_KAPOKMQ_BEAT_H
#define NGX_KAPOKMQ_BEAT_H

#include "../ngx_kapokmq.h"


/* How far apart the times of heartbeats are, at most, in ms. */
#define NGX_KAPOKMQ_BEAT_STEP_MAX  250

/* ms as a client's timer is to be set: to the end of a step that many clients
 * share. */
ngx_msec_t ngx_kapokmq_beat_step(ngx_msec_t heartbeat, ngx_msec_t ms);

/* 0: this turn has time for another beat; else how many ms later one has. */
ngx_msec_t ngx_kapokmq_beat_later(void);

#endif /* NGX_KAPOKMQ_BEAT_H */
