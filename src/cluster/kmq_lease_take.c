/* From silence to the beginning of an epoch of one's own. */

#include <string.h>

#include "kmq_lease_inside.h"


/* So many answers at least have to say that the stream is too short. */
#define TAKE_SHORTS  8

/* Workers may go on without the node's thread for so many times as long as a
 * primary may be silent. */
#define TAKE_WORKED  2


/* Nodes stand one after the other, so that they seldom meet. */
static uint64_t
take_patience(const kmq_lease_t *lease)
{
    uint32_t  timeout;

    timeout = lease->config.timeout;

    return timeout + lease->config.who.node * (timeout / 8);
}


static int
take_retry(kmq_lease_t *lease)
{
    if (lease->tried && lease->now - lease->tried < lease->config.timeout / 4) {
        return 0;
    }

    lease->tried = lease->now;

    return 1;
}


/* When the primary was there last.  Its workers append as long as they have
 * something, also when the thread that decides for them stands still: that is
 * worth so much, and no more, since nothing is pushed then. */
static uint64_t
take_there(const kmq_lease_t *lease)
{
    uint64_t  most;

    most = lease->heard + TAKE_WORKED * take_patience(lease);

    return lease->worked <= lease->heard ? lease->heard
           : lease->worked < most ? lease->worked : most;
}


/*
 * After a start nobody knows whether the stream has lost something: then all
 * nodes have to say what they know of it.  Who has heard a primary since knows
 * that it had not.
 */
static int
take_may_stand(const kmq_lease_t *lease)
{
    if (lease->now < lease->rests
        && KMQ_RULE(REST)
        && !kmq_lease_alone(lease))
    {
        return 0;
    }

    return lease->called
           || lease->now - take_there(lease) >= take_patience(lease);
}


static void
take_stand(kmq_lease_t *lease)
{
    kmq_lease_action_t  *action;

    if (lease->role == KMQ_LEASE_STANDBY) {
        kmq_lease_role(lease, KMQ_LEASE_CANDIDATE);
        lease->short_at = 0;
    }

    if (!take_retry(lease)) {
        return;
    }

    lease->needed = kmq_lease_known(lease);
    action = kmq_lease_act(lease, KMQ_LEASE_ASK);

    if (action) {
        action->ask = ++lease->ask;
    }
}


/* An operator has to help, and is told which node has most: again when another
 * has more. */
static void
take_block(kmq_lease_t *lease)
{
    uint32_t             furthest;
    kmq_lease_action_t  *action;

    furthest = kmq_lease_furthest(lease);

    if (lease->blocked && lease->furthest == furthest) {
        return;
    }

    action = kmq_lease_act(lease, KMQ_LEASE_BLOCK);

    if (action) {
        action->node = furthest;
        lease->furthest = furthest;
        lease->blocked = 1;
        lease->warm = 0;
    }
}


/*
 * Whether the stream lacks something, as far as it is known here.  Whoever
 * answered may have become the stream's leader just now, and not know all of
 * it yet: so it is believed only when it stays so.
 */
static int
take_short(kmq_lease_t *lease, uint64_t seq)
{
    if (lease->differs) {
        return 1;
    }

    if (seq >= lease->needed || !KMQ_RULE(SHORT)) {
        lease->short_at = 0;
        lease->lost = 0;
        return 0;
    }

    if (lease->short_at == 0) {
        lease->short_at = lease->now;
        lease->shorts = 0;
    }

    if (++lease->shorts >= TAKE_SHORTS
        && lease->now - lease->short_at >= lease->config.stall)
    {
        lease->lost = 1;
    }

    return 1;
}


static void
take_claim(kmq_lease_t *lease)
{
    kmq_lease_action_t  *action;

    action = kmq_lease_act(lease, KMQ_LEASE_WRITE);

    if (action) {
        action->entry = (kmq_entry_t) {
            .kind = KMQ_ENTRY_CLAIM,
            .epoch = lease->chain.claimed + 1,
            .who = lease->config.who
        };
    }
}


void
kmq_lease_end(kmq_lease_t *lease, uint64_t ask, uint64_t seq)
{
    int  lacks;

    if (ask != lease->ask) {
        return;
    }

    lacks = take_short(lease, seq);

    if (lease->differs || lease->lost
        || (kmq_lease_others_lack(lease) && KMQ_RULE(OTHERS)))
    {
        take_block(lease);
        return;
    }

    lease->blocked = 0;

    /* more may have been heard since it was asked */
    if (lacks
        || (seq < kmq_lease_known(lease) && KMQ_RULE(SHORT))
        || lease->role != KMQ_LEASE_CANDIDATE
        || lease->chain.seq < seq
        || !take_may_stand(lease))
    {
        return;
    }

    if (!lease->warm) {

        if (!lease->told && !kmq_lease_all_heard(lease) && KMQ_RULE(OTHERS)) {
            return;
        }

        if (lease->tail && KMQ_RULE(TAIL)) {
            (void) kmq_lease_act(lease, KMQ_LEASE_TAIL);
            return;
        }
    }

    take_claim(lease);
}


/* Closes whatever is open: again after a while, and at once where the place has
 * become another. */
static void
take_close(kmq_lease_t *lease, int again)
{
    unsigned             i;
    uint64_t             place, *last;
    kmq_entry_t          entry;
    kmq_lease_action_t  *action;

    for (i = 0; kmq_chain_open(&lease->chain, i, &entry); i++) {

        /* a slot may be the same in another epoch */
        place = (uint64_t) entry.epoch << 40 | entry.slot;
        last = &lease->closing[entry.writer];

        if (!again && *last == place) {
            continue;
        }

        action = kmq_lease_act(lease, KMQ_LEASE_WRITE);

        if (action == NULL) {
            return;
        }

        action->entry = entry;
        action->entry.by = lease->epoch;
        *last = place;
    }
}


static void
take_recover(kmq_lease_t *lease)
{
    kmq_lease_action_t  *action;

    action = kmq_lease_act(lease, KMQ_LEASE_RECOVER);

    if (action) {
        kmq_lease_role(lease, KMQ_LEASE_RECOVERING);
        lease->recovered = 0;
    }
}


static void
take_closing(kmq_lease_t *lease, int again)
{
    kmq_entry_t  open;

    if (KMQ_RULE(CLOSE)) {
        take_close(lease, again);

        if (kmq_chain_open(&lease->chain, 0, &open) && KMQ_RULE(READ)) {
            return;
        }
    }

    take_recover(lease);
}


static void
take_begin(kmq_lease_t *lease)
{
    kmq_lease_action_t  *action;

    if (!lease->recovered || !take_retry(lease)) {
        return;
    }

    if (lease->now - lease->began >= lease->config.stall) {
        /* what was read may not be there any more */
        kmq_lease_depose(lease);
        return;
    }

    action = kmq_lease_act(lease, KMQ_LEASE_WRITE);

    if (action) {
        action->entry = (kmq_entry_t) {
            .kind = KMQ_ENTRY_BEGIN,
            .epoch = lease->epoch,
            .writers = lease->config.writers,
            .who = lease->config.who
        };
    }
}


void
kmq_lease_recovered(kmq_lease_t *lease, uint32_t epoch)
{
    if (lease->role != KMQ_LEASE_RECOVERING || lease->epoch != epoch) {
        return;
    }

    lease->recovered = 1;
    lease->began = lease->now;
    lease->tried = 0;

    if (!KMQ_RULE(BEGIN)) {
        kmq_lease_begun(lease);
        return;
    }

    take_begin(lease);
}


void
kmq_lease_take(kmq_lease_t *lease)
{
    switch (lease->role) {

    case KMQ_LEASE_STANDBY:
    case KMQ_LEASE_CANDIDATE:

        if (take_may_stand(lease)) {
            take_stand(lease);
        }

        break;

    case KMQ_LEASE_CLOSING:
        take_closing(lease, take_retry(lease));
        break;

    case KMQ_LEASE_RECOVERING:
        take_begin(lease);
        break;

    default:
        break;
    }
}


/* Our claim was the first, even if that was long ago: nobody else waits for
 * less than it. */
void
kmq_lease_claimed(kmq_lease_t *lease)
{
    if (lease->role != KMQ_LEASE_STANDBY
        && lease->role != KMQ_LEASE_CANDIDATE)
    {
        return;
    }

    if (lease->differs
        || lease->short_at
        || (kmq_lease_others_lack(lease) && KMQ_RULE(OTHERS)))
    {
        return;
    }

    lease->epoch = lease->chain.claimed;
    lease->called = 0;
    memset(lease->closing, 0, sizeof(lease->closing));

    kmq_lease_role(lease, KMQ_LEASE_CLOSING);
    (void) take_retry(lease);
    take_closing(lease, 1);
}


/* An epoch that was claimed before ours, and had not begun, may do so while we
 * recover: then it is too late for ours. */
void
kmq_lease_taken(kmq_lease_t *lease)
{
    kmq_entry_t  open;

    if (lease->role == KMQ_LEASE_CLOSING) {
        take_closing(lease, 0);

    } else if (lease->role == KMQ_LEASE_RECOVERING
               && kmq_chain_open(&lease->chain, 0, &open)
               && KMQ_RULE(CLOSE) && KMQ_RULE(READ))
    {
        kmq_lease_depose(lease);
    }
}
