/*
 * A topic is paused: nothing is pushed to its consumers until it is resumed.
 * What is in flight stays so, and is confirmed, or comes back and waits.
 * Nothing is granted to its routes, so it has no part in the pace.
 */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "../journal/kmq_journal.h"
#include "../queue/kmq_queue.h"


static void
pause_topic(kmq_t *kmq, kmq_topic_t *topic)
{
    kmq_ref_t     ref;
    kmq_route_t  *route;

    topic->paused = 1;
    kmq_topic_active(kmq->shard, topic);

    for (ref = topic->routes; ref; ref = route->topic_next) {
        route = KMQ_AT(kmq->shard, ref);
        kmq_grant_return(kmq, topic, route);
    }
}


static void
resume_topic(kmq_t *kmq, kmq_topic_t *topic)
{
    topic->paused = 0;
    kmq_topic_active(kmq->shard, topic);

    /* there may be more than what is granted: suspects, or a log */

    kmq_grant(kmq, topic, kmq_pace_backlog(kmq->shard, topic));
    kmq_routes_tell(kmq, topic, 0);
}


int
kmq_pause(kmq_t *kmq, const char *name, size_t len, int on)
{
    kmq_shard_t  *s;
    kmq_topic_t  *topic;

    kmq_lock(kmq, kmq_topic_shard(kmq, name, len));

    s = kmq->shard;
    topic = kmq_topic_get(s, name, len);

    if (topic && topic->paused != (on != 0)) {
        kmq_journal_paused(kmq, name, len,
                           on ? KMQ_KIND_PAUSED : KMQ_KIND_RESUMED);

        if (on) {
            pause_topic(kmq, topic);
        } else {
            resume_topic(kmq, topic);
        }

        kmq_topic_idle(s, topic);
    }

    kmq_unlock(kmq);

    return topic ? KMQ_OK : KMQ_GONE;
}
