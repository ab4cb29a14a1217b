/* What nodes tell each other. */

#include "kmq_lease_inside.h"


/* A node that was not heard for so many timeouts is not there. */
#define NEWS_GONE  2


static int
news_active(const kmq_lease_t *lease)
{
    switch (lease->role) {

    case KMQ_LEASE_PRIMARY:
    case KMQ_LEASE_PAUSED:
        return lease->now - lease->acked < lease->config.stall;

    case KMQ_LEASE_CLOSING:
        return lease->now - lease->since < lease->config.stall;

    case KMQ_LEASE_RECOVERING:
        return 1;

    default:
        return 0;
    }
}


static void
news_write(const kmq_lease_t *lease, kmq_news_t *news)
{
    *news = (kmq_news_t) {
        .from = lease->config.who,
        .epoch = lease->chain.begun,
        .seq = lease->chain.seq,
        .known = lease->known,
        .successor = KMQ_NOBODY,
        .active = news_active(lease),
        .primary = lease->role == KMQ_LEASE_PRIMARY
                   || lease->role == KMQ_LEASE_PAUSED,
        .owner = lease->owner,
        .tail = lease->tail,
        .lacks = lease->differs || lease->lost
    };

    if (news->active) {
        news->epoch = lease->epoch;
    }
}


void
kmq_lease_tell(kmq_lease_t *lease, uint32_t successor)
{
    kmq_lease_action_t  *action;

    lease->beat = lease->now;
    lease->before[1] = lease->before[0];
    lease->before[0] = lease->known;

    action = kmq_lease_act(lease, KMQ_LEASE_NEWS);

    if (action) {
        news_write(lease, &action->news);
        action->news.successor = successor;
    }
}


/* A primary, or who is about to be one, of an epoch that is not over. */
static void
news_beat(kmq_lease_t *lease, const kmq_news_t *news)
{
    if (news->epoch < lease->chain.claimed) {
        return;
    }

    lease->heard = lease->now;

    if (news->primary) {
        lease->warm = 1;
    }

    if (lease->role == KMQ_LEASE_CANDIDATE) {
        kmq_lease_role(lease, KMQ_LEASE_STANDBY);
    }
}


void
kmq_lease_news(kmq_lease_t *lease, const kmq_news_t *news)
{
    kmq_lease_peer_t  *peer;

    if (news->from.node >= KMQ_LEASE_NODES
        || news->from.node == lease->config.who.node)
    {
        return;
    }

    peer = &lease->peer[news->from.node];
    peer->news = *news;
    peer->at = lease->now;

    if (news->active) {
        news_beat(lease, news);
    }

    if (news->successor == lease->config.who.node
        && news->epoch >= lease->chain.claimed)
    {
        lease->called = 1;
    }
}


static int
news_there(const kmq_lease_t *lease, uint32_t node)
{
    const kmq_lease_peer_t  *peer;

    peer = &lease->peer[node];

    return peer->at
           && lease->now - peer->at < NEWS_GONE * lease->config.timeout;
}


int
kmq_lease_alone(const kmq_lease_t *lease)
{
    uint32_t  i;

    for (i = 0; i < KMQ_LEASE_NODES; i++) {
        if (news_there(lease, i)) {
            return 0;
        }
    }

    return 1;
}


int
kmq_lease_all_heard(const kmq_lease_t *lease)
{
    uint32_t           i;
    const kmq_news_t  *news;

    for (i = 0; i < lease->config.nodes; i++) {

        if (i == lease->config.who.node) {
            continue;
        }

        news = &lease->peer[i].news;

        if (!news_there(lease, i)
            || news->lacks
            || (news->tail && KMQ_RULE(TAIL)))
        {
            return 0;
        }
    }

    return 1;
}


int
kmq_lease_others_lack(const kmq_lease_t *lease)
{
    uint32_t  i;

    for (i = 0; i < KMQ_LEASE_NODES; i++) {
        if (lease->peer[i].at && lease->peer[i].news.lacks) {
            return 1;
        }
    }

    return 0;
}


uint64_t
kmq_lease_known(const kmq_lease_t *lease)
{
    uint32_t  i;
    uint64_t  known;

    known = lease->known;

    for (i = 0; i < KMQ_LEASE_NODES && KMQ_RULE(OTHERS); i++) {
        if (lease->peer[i].at && lease->peer[i].news.known > known) {
            known = lease->peer[i].news.known;
        }
    }

    return known;
}


/* The last epoch counts most, then who was its primary: its files have all it
 * ever appended. */
static int
news_further(const kmq_news_t *a, const kmq_news_t *b)
{
    if (a->epoch != b->epoch) {
        return a->epoch > b->epoch;
    }

    if (a->owner != b->owner) {
        return a->owner;
    }

    return a->known > b->known;
}


uint32_t
kmq_lease_furthest(const kmq_lease_t *lease)
{
    uint32_t           i;
    kmq_news_t         best;
    const kmq_news_t  *news;

    news_write(lease, &best);

    for (i = 0; i < lease->config.nodes; i++) {
        news = &lease->peer[i].news;

        if (i == lease->config.who.node) {
            continue;
        }

        if (lease->peer[i].at == 0) {
            return KMQ_NOBODY;
        }

        if (news_further(news, &best)) {
            best = *news;
        }
    }

    return best.from.node;
}


/* The node to step down for: the one that has read furthest of those that have
 * caught up. */
uint32_t
kmq_lease_step_down(kmq_lease_t *lease)
{
    uint32_t           i, best;
    const kmq_news_t  *news;

    if (lease->role != KMQ_LEASE_PRIMARY) {
        return KMQ_NOBODY;
    }

    best = KMQ_NOBODY;

    for (i = 0; i < KMQ_LEASE_NODES; i++) {
        news = &lease->peer[i].news;

        if (news_there(lease, i)
            && !news->lacks
            && news->seq >= lease->before[1]
            && (best == KMQ_NOBODY || news->seq > lease->peer[best].news.seq))
        {
            best = i;
        }
    }

    if (best == KMQ_NOBODY) {
        return KMQ_NOBODY;
    }

    lease->rests = lease->now + lease->config.rest;

    kmq_lease_tell(lease, best);
    kmq_lease_depose(lease);

    return best;
}
