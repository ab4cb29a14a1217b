/* What a node tells of the cluster: kmq_status.h. */

#include <string.h>

#include "kmq_status.h"


void
kmq_status_write(kmq_status_board_t *board, const kmq_status_t *status)
{
    uint64_t  version;

    /* odd already: whoever wrote last has died in the middle */

    version = __atomic_load_n(&board->version, __ATOMIC_RELAXED) | 1;

    __atomic_store_n(&board->version, version, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);

    memcpy(&board->status, status, sizeof(kmq_status_t));

    __atomic_store_n(&board->version, version + 1, __ATOMIC_RELEASE);
}


void
kmq_status_read(const kmq_status_board_t *board, kmq_status_t *status)
{
    unsigned  n;
    uint64_t  version;

    /* a writer that has died, or stands still, leaves something in between:
     * what is shown then may be of two moments */

    for (n = 0; n < 1000; n++) {
        version = __atomic_load_n(&board->version, __ATOMIC_ACQUIRE);
        memcpy(status, &board->status, sizeof(kmq_status_t));
        __atomic_thread_fence(__ATOMIC_ACQUIRE);

        if (!(version & 1)
            && __atomic_load_n(&board->version, __ATOMIC_RELAXED) == version)
        {
            break;
        }
    }
}


const char *
kmq_status_role(kmq_role_e role)
{
    static const char *const  names[] = {
        "starting", "standby", "taking over", "primary", "paused", "deposed"
    };

    return role <= KMQ_ROLE_DEPOSED ? names[role] : "unknown";
}
