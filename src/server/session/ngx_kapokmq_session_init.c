/* What sessions need of a worker. */

#include "ngx_kapokmq_session_inside.h"
#include "ngx_kapokmq_push.h"
#include "ngx_kapokmq_session.h"


void
ngx_kapokmq_session_init(void)
{
    ngx_kapokmq_output_init();
}

