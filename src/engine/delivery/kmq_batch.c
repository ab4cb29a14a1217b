/* Messages go out: the next batch for this worker's consumers.  kmq_take(),
 * which does the housekeeping first, is in upkeep/kmq_take.c. */

#include "../kmq_block.h"
#include "../queue/kmq_queue.h"
#include "kmq_delivery_inside.h"


/* The next batch, as draws or, in publish/subscribe, as runs. */
void
kmq_take_batch(kmq_t *kmq, kmq_batch_t *batch, kmq_draws_t *draws)
{
    unsigned      n;
    kmq_route_t  *route;
    kmq_topic_t  *topic;

    draws->n = 0;
    draws->bytes = 0;

    for (n = KMQ_SLICE; n && draws->n == 0 && batch->nruns == 0; n--) {
        KMQ_STEP();

        route = kmq_route_next(kmq);
        if (route == NULL) {
            break;
        }

        topic = KMQ_AT(kmq->shard, route->topic);

        if (topic->paused) {
            continue;
        }

        batch->topic = kmq_topic_name(kmq->shard, topic);
        batch->topic_len = topic->name_len;
        batch->topic_ref = KMQ_OUT(kmq->shard, route->topic);

        if (topic->push_type == KMQ_PUSH_ONE) {
            kmq_take_one(kmq, topic, route, batch->bytes_max, draws);
        } else if (!kmq_take_all(kmq, topic, route, batch)) {
            break;
        }
    }

    kmq_room_settle(kmq);
}
