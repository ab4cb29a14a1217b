/* What sessions need of a worker. */

#include "ngx_kapokmq_session_inside.h"
#include "ngx_kapokmq_push.h"
#include "ngx_kapokmq_session.h"


void
ngx_kapokmq_session_init(ngx_cycle_t *cycle)
{
    ngx_kapokmq_output_init();
    ngx_kapokmq_staying_init();
    ngx_kapokmq_drain_listen(cycle);
}


void
ngx_kapokmq_session_exit(void)
{
    ngx_kapokmq_push_free();
}
