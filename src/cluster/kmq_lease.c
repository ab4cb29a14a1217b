/* Who is primary: kmq_lease.h. */

#include <string.h>

#include "kmq_lease_inside.h"


kmq_lease_action_t *
kmq_lease_act(kmq_lease_t *lease, kmq_lease_action_e kind)
{
    kmq_lease_action_t  *action;

    if (lease->nactions == sizeof(lease->action) / sizeof(lease->action[0])) {
        return NULL;
    }

    action = &lease->action[lease->nactions++];

    memset(action, 0, sizeof(kmq_lease_action_t));
    action->kind = kind;

    return action;
}


int
kmq_lease_next(kmq_lease_t *lease, kmq_lease_action_t *action)
{
    if (lease->nactions == 0) {
        return 0;
    }

    *action = lease->action[0];
    lease->nactions--;

    memmove(&lease->action[0], &lease->action[1],
            lease->nactions * sizeof(lease->action[0]));

    return 1;
}


void
kmq_lease_role(kmq_lease_t *lease, kmq_lease_role_e role)
{
    lease->role = role;
    lease->since = lease->now;
    lease->tried = 0;
}


void
kmq_lease_start(kmq_lease_t *lease, const kmq_lease_config_t *config,
    const kmq_chain_t *chain, uint64_t reach, int owner, int tail,
    uint64_t now)
{
    memset(lease, 0, sizeof(kmq_lease_t));

    lease->config = *config;
    lease->chain = *chain;
    lease->known = reach > chain->seq ? reach : chain->seq;
    lease->owner = owner;
    lease->tail = tail;
    lease->now = now;
    lease->heard = now;

    kmq_lease_role(lease, KMQ_LEASE_STANDBY);
}


static void
lease_saw(kmq_lease_t *lease, uint64_t seq)
{
    if (seq > lease->known) {
        lease->known = seq;
    }
}


static int
lease_serving(const kmq_lease_t *lease)
{
    return lease->role == KMQ_LEASE_PRIMARY
           || lease->role == KMQ_LEASE_PAUSED;
}


void
kmq_lease_depose(kmq_lease_t *lease)
{
    kmq_lease_action_t  *action;

    lease->until = 0;
    lease->heard = lease->now;

    if (!lease_serving(lease) && lease->role != KMQ_LEASE_RECOVERING) {
        kmq_lease_role(lease, KMQ_LEASE_STANDBY);
        return;
    }

    kmq_lease_role(lease, KMQ_LEASE_DEPOSED);
    action = kmq_lease_act(lease, KMQ_LEASE_DEPOSE);

    if (action) {
        action->entry.epoch = lease->epoch;
    }
}


void
kmq_lease_let_go(kmq_lease_t *lease)
{
    if (lease->role == KMQ_LEASE_DEPOSED) {
        kmq_lease_role(lease, KMQ_LEASE_STANDBY);
    }
}


/* An acknowledgement tells how it was when the append was sent, at the
 * earliest: what came after that, nobody knows. */
static void
lease_extend(kmq_lease_t *lease, uint64_t sent)
{
    if (!KMQ_RULE(SENT)) {
        sent = lease->now;
    }

    if (sent > lease->acked) {
        lease->acked = sent;
        lease->until = sent + lease->config.timeout / 2;
    }

    if (lease->role == KMQ_LEASE_PAUSED && lease->now < lease->until) {
        kmq_lease_role(lease, KMQ_LEASE_PRIMARY);
        (void) kmq_lease_act(lease, KMQ_LEASE_RESUME);
    }
}


void
kmq_lease_acked(kmq_lease_t *lease, uint32_t epoch, uint64_t sent,
    uint64_t seq)
{
    lease_saw(lease, seq);

    if (lease_serving(lease) && epoch == lease->epoch) {
        lease_extend(lease, sent);
    }
}


void
kmq_lease_closed(kmq_lease_t *lease, uint32_t epoch)
{
    if (lease_serving(lease) && epoch == lease->epoch) {
        kmq_lease_depose(lease);
    }
}


uint64_t
kmq_lease_until(const kmq_lease_t *lease, uint32_t epoch)
{
    if (!lease_serving(lease) || epoch != lease->epoch) {
        return 0;
    }

    return KMQ_RULE(PAUSE) ? lease->until : UINT64_MAX;
}


int
kmq_lease_silent(const kmq_lease_t *lease)
{
    return lease->role == KMQ_LEASE_PAUSED
           && lease->now - lease->acked >= lease->config.timeout;
}


/* Whoever has recovered is primary as soon as its beginning is in the stream,
 * which was so when it was written, at the earliest. */
void
kmq_lease_begun(kmq_lease_t *lease)
{
    kmq_lease_action_t  *action;

    if (lease->role != KMQ_LEASE_RECOVERING) {
        return;
    }

    kmq_lease_role(lease, KMQ_LEASE_PRIMARY);

    lease->warm = 1;
    lease->owner = 1;
    lease->acked = lease->began;
    lease->until = lease->began + lease->config.timeout / 2;

    action = kmq_lease_act(lease, KMQ_LEASE_SERVE);

    if (action) {
        action->entry.epoch = lease->epoch;
    }

    kmq_lease_tell(lease, KMQ_NOBODY);
}


/* Whoever was primary last, be it before its last start. */
static void
lease_owner(kmq_lease_t *lease)
{
    lease->owner = lease->chain.begun != 0
                   && lease->chain.primary.node == lease->config.who.node;
}


static void
lease_claim_read(kmq_lease_t *lease)
{
    lease->heard = lease->now;
    lease->called = 0;

    if (kmq_lease_me(lease, lease->chain.claimer)
        && lease->chain.claimed > lease->chain.begun)
    {
        kmq_lease_claimed(lease);
        return;
    }

    if (lease->role != KMQ_LEASE_DEPOSED) {
        kmq_lease_depose(lease);
    }
}


kmq_chain_e
kmq_lease_entry(kmq_lease_t *lease, const kmq_entry_t *entry)
{
    kmq_chain_e  what;

    what = kmq_chain_read(&lease->chain, entry);

    if (what == KMQ_CHAIN_GAP) {
        return what;
    }

    lease_saw(lease, lease->chain.seq);

    switch (what) {

    case KMQ_CHAIN_CLAIMED:
        lease_claim_read(lease);
        break;

    case KMQ_CHAIN_BEGUN:

        if (kmq_lease_me(lease, lease->chain.primary)
            && lease->chain.begun == lease->epoch)
        {
            kmq_lease_begun(lease);

        } else {
            lease_owner(lease);
            kmq_lease_taken(lease);
        }

        break;

    case KMQ_CHAIN_COUNTS:

        if (lease->chain.begun == lease->chain.claimed) {
            lease->worked = lease->now;
        }

        kmq_lease_taken(lease);
        break;

    case KMQ_CHAIN_CLOSED:
        kmq_lease_taken(lease);
        break;

    default:
        break;
    }

    return what;
}


/* Claims, and what became of them, may have been jumped over. */
void
kmq_lease_jump(kmq_lease_t *lease, const kmq_chain_t *chain)
{
    uint32_t  claimed;

    claimed = lease->chain.claimed;
    lease->chain = *chain;
    lease_saw(lease, chain->seq);
    lease_owner(lease);

    if (chain->claimed > claimed && KMQ_RULE(JUMP)) {
        lease_claim_read(lease);
    }
}


/* It is found out while a node connects, so it may be a primary. */
void
kmq_lease_differs(kmq_lease_t *lease)
{
    if (!KMQ_RULE(SAME)) {
        return;
    }

    lease->differs = 1;

    if (lease->role != KMQ_LEASE_DEPOSED
        && lease->role != KMQ_LEASE_STANDBY)
    {
        kmq_lease_depose(lease);
    }
}


void
kmq_lease_no_tail(kmq_lease_t *lease)
{
    lease->tail = 0;
}


void
kmq_lease_stand(kmq_lease_t *lease)
{
    lease->told = 1;
}


static void
lease_serve(kmq_lease_t *lease)
{
    if (lease->role == KMQ_LEASE_PRIMARY && lease->now >= lease->until) {
        kmq_lease_role(lease, KMQ_LEASE_PAUSED);
        (void) kmq_lease_act(lease, KMQ_LEASE_PAUSE);
    }

    if (lease->now - lease->kept >= lease->config.timeout / 4) {
        lease->kept = lease->now;
        (void) kmq_lease_act(lease, KMQ_LEASE_KEEP);
    }
}


void
kmq_lease_time(kmq_lease_t *lease, uint64_t now)
{
    if (now > lease->now) {
        lease->now = now;
    }

    if (lease->now - lease->beat >= lease->config.timeout / 8) {
        kmq_lease_tell(lease, KMQ_NOBODY);
    }

    if (lease_serving(lease)) {
        lease_serve(lease);

    } else {
        kmq_lease_take(lease);
    }
}
