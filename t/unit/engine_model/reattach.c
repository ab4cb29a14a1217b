/*
 * Workers come and go: they end, retire, die, and others take their numbers.
 */

#include "apart.h"
#include "client.h"
#include "handle.h"
#include "reattach.h"


static void
handle_ends(unsigned h)
{
    M.epoch++;
    handle_left(h, h);
    handle_close(&M.handle[h], 1);
    observe_leaving(h);
    M.lost_wakes = 1;
    attach(h, below(BROKEN));
}


/* Most of its clients go. */
static void
handle_retires(unsigned h)
{
    unsigned  i;

    kmq_retire(M.handle[h].kmq);
    wakes(h);

    for (i = 0; i < CLIENTS; i++) {
        if (M.client[i].ref && M.client[i].handle == h && !one_in(4)) {
            leave(&M.client[i]);
        }
    }
}


static void
handle_dies(unsigned h)
{
    handle_t  *handle = &M.handle[h];

    if (!handle->threaded || dead_handles() + 2 > HANDLES) {
        return;
    }

    M.kills++;
    handle_close(handle, 0);
    handle->dead = 1;

    if (one_in(2)) {
        handle_follows(h);
    }
}


void
op_reattach(void)
{
    unsigned  h;

    h = some_handle();

    switch (below(5)) {

    case 0:
        handle_retires(h);
        break;

    case 1:
        M.epoch++;
        handle_left(h, h);
        kmq_leave_all(M.handle[h].kmq);
        wakes(h);
        break;

    case 2:
    case 3:
        handle_dies(h);
        break;

    default:
        handle_ends(h);
        break;
    }
}
