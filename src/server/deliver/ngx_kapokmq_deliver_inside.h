/* Inside this room: what a delivery event does with consumers. */

#ifndef NGX_KAPOKMQ_DELIVER_INSIDE_H
#define NGX_KAPOKMQ_DELIVER_INSIDE_H

#include "ngx_kapokmq_deliver.h"


/* Those that want a turn get it.  1: some want another one. */
ngx_uint_t ngx_kapokmq_consumer_turns(void);

/* Forgets codes that were gathered: their consumer goes. */
void ngx_kapokmq_codes_drop(void);

#endif /* NGX_KAPOKMQ_DELIVER_INSIDE_H */
