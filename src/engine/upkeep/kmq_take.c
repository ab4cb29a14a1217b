/*
 * A worker's turns.  kmq_take() does a slice of each kind of housekeeping that
 * is due, then takes a batch.  kmq_tick() looks, twice a second, for work that
 * nobody announces.
 */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "../time/kmq_time.h"
#include "../queue/kmq_queue.h"
#include "../delivery/kmq_delivery.h"
#include "../client/kmq_client.h"
#include "kmq_upkeep_inside.h"


/* Shards looked at in one kmq_take() that finds nothing, each once. */
#define TURNS_MAX  16

/* ms: who is not the keeper looks so often whether that is as late. */
#define LATE_TIME  200

/* kmq_tick() frees a part of so many chains, see kmq_trash_free(). */
#define TRASH_MAX  32


/* A timer is due, and in no list now. */
static void
timer_due(kmq_t *kmq, kmq_timer_t *timer)
{
    void  *object = timer;

    if (kmq_class_of(kmq->shard, KMQ_REF(kmq->shard, timer))
        == KMQ_CLASS_MESSAGE)
    {
        kmq_message_due(kmq, object);
        return;
    }

    /* a consumer: its own worker looks for what it has not confirmed; or one
     * that is apart */

    kmq_look_add(kmq, object);
}


/* May anything in that shard grow old: messages, or hours of topics? */
static int
is_aging(const kmq_block_t *b, unsigned shard)
{
    const kmq_shard_t  *s = KMQ_SHARD(b, shard);

    return kmq_peek(&s->waiting) || kmq_peek(&s->history.count)
           || kmq_peek(&s->dead)
           || kmq_peek(&s->table[KMQ_CLASS_HOURS - KMQ_CLASS_TOPIC].pages);
}


/* Finds the shards with anything that may. */
static void
aging_find(kmq_t *kmq)
{
    unsigned            i;
    const kmq_block_t  *b = kmq->block;

    kmq->aging = 0;

    for (i = 0; i < b->nshards; i++) {
        if (is_aging(b, i)) {
            kmq->aging |= UINT64_C(1) << i;
        }
    }
}


/* What is due in the shard; the keeper looks after that, unless it is late.  1:
 * there is more. */
static int
times_run(kmq_t *kmq)
{
    int  more;

    if (!kmq_is_keeper(kmq)) {
        return kmq_schedule_late(kmq) ? kmq_schedule_run(kmq, timer_due) : 0;
    }

    more = kmq_schedule_run(kmq, timer_due);
    more |= kmq_expire_run(kmq);

    return more;
}


/* May those be looked at that are apart and whose time has come?  What others
 * say of their messages may still be unheard. */
static int
lapse_wanted(const kmq_t *kmq)
{
    return kmq->shard->lapsed.head && kmq->mono >= kmq->heard;
}


static int
lapse_run(kmq_t *kmq)
{
    if (lapse_wanted(kmq)) {
        kmq_lapse_run(kmq, KMQ_SLICE);
    }

    return lapse_wanted(kmq) || kmq->shard->leaving.head;
}


/* A slice of whatever is due in the shard, except for batches.  1: there is
 * more. */
static int
upkeep_run(kmq_t *kmq, kmq_batch_t *batch)
{
    int           more;
    kmq_shard_t  *s = kmq->shard;

    /* one of these in each turn */

    if (s->leaving.head) {
        (void) kmq_leave_run(kmq, KMQ_SLICE);

    } else if (s->look_walk.page) {
        kmq_slow_look(kmq);
    }

    kmq_disconnect_check(kmq);

    more = s->leaving.head || s->look_walk.page;

    if (KMQ_GET(kmq->block->nstill)) {
        more |= kmq_still_run(kmq);
    }

    more |= times_run(kmq);
    more |= lapse_run(kmq);

    if (kmq_retry_wanted(kmq)) {
        kmq_retry_run(kmq, batch);
    }

    if (kmq->block->settings.batch_interval) {
        more |= kmq_pace_slice(kmq);
    }

    return more;
}


/* Finds the shards whose wheels should have been turned so many ms ago, and
 * when the next one should be. */
static void
due_find(kmq_t *kmq, unsigned ms)
{
    unsigned      i;
    uint64_t      due;
    kmq_block_t  *b = kmq->block;

    kmq->due_next = UINT64_MAX;

    for (i = 0; i < b->nshards; i++) {
        due = KMQ_GET(b->due[i]);

        if (due <= kmq->mono && kmq->mono - due >= ms) {
            kmq->work |= UINT64_C(1) << i;

        } else if (due < kmq->due_next) {
            kmq->due_next = due;
        }
    }
}


/*
 * The keeper looks at all shards' times no more often than it has to: who
 * brings something earlier has it look at that shard, see due_note().
 */
static void
due_look(kmq_t *kmq)
{
    uint32_t  keepers;

    keepers = KMQ_GET(kmq->block->keepers);

    if (kmq->mono >= kmq->due_next || kmq->keepers != keepers) {
        kmq->keepers = keepers;
        due_find(kmq, 0);
    }
}


/* The shard has been looked at. */
static void
due_note(kmq_t *kmq)
{
    uint64_t  due;

    due = KMQ_GET(kmq->block->due[kmq->shard->number]);

    if (due < kmq->due_next) {
        kmq->due_next = due;
    }
}


/*
 * A shard's turn: it has as many batches as it has routes with work now, so
 * that topics take turns over all shards.  It ends when there is nothing more
 * to do, or nothing for now.
 */
static void
shard_run(kmq_t *kmq, kmq_batch_t *batch, kmq_draws_t *draws)
{
    int                more;
    kmq_shard_t       *s;
    const kmq_duty_t  *duty;

    kmq_lock(kmq, KMQ_SHARD(kmq->block, kmq->turn));

    s = kmq->shard;
    duty = &s->duty[kmq->worker];

    if (kmq->turn_left == 0) {
        kmq->turn_left = duty->ndirty;
    }

    more = upkeep_run(kmq, batch);
    kmq_take_batch(kmq, batch, draws);
    due_note(kmq);

    if (!more && !duty->dirty && !kmq_retry_wanted(kmq)) {
        kmq->work &= ~KMQ_BIT(s);

        if (duty->overdue.head || s->lapsed.head) {
            kmq->unheard |= KMQ_BIT(s);
        }
    }

    kmq_unlock(kmq);
}


/* The next shard, of those with work, whose turn it is. */
static void
turn_next(kmq_t *kmq)
{
    uint64_t  work;

    if (kmq->turn_left && --kmq->turn_left
        && kmq->work >> kmq->turn & 1)
    {
        return;
    }

    kmq->turn_left = 0;
    work = kmq->turn < KMQ_SHARDS - 1 ? kmq->work >> (kmq->turn + 1) : 0;

    kmq->turn = work ? kmq->turn + 1 + __builtin_ctzll(work)
                     : (unsigned) __builtin_ctzll(kmq->work);
}


/* The keeper begins a look for old messages, when it is time. */
static void
check_begin(kmq_t *kmq)
{
    if (kmq->mono < kmq->check_time) {
        return;
    }

    kmq->check_time = kmq->mono + kmq->block->settings.check_interval;

    aging_find(kmq);
    kmq->check = kmq->aging;
    kmq->work |= kmq->check;
}


/* Finds out which shards are to be looked at. */
static void
work_find(kmq_t *kmq)
{
    kmq_block_t  *b = kmq->block;

    kmq_worker_look(kmq);
    kmq_still_seen(kmq);

    if (kmq->unheard && kmq->mono >= kmq->heard) {
        kmq->work |= kmq->unheard;
        kmq->unheard = 0;
    }

    if (kmq->reaping) {
        kmq_reap_dead(kmq);
    }

    if (kmq->paced && kmq->mono >= KMQ_GET(b->pace.end)) {
        kmq->paced = 0;

        if (b->settings.batch_interval) {
            kmq_pace_window(kmq);
        }
    }

    if (!kmq_is_keeper(kmq)) {
        if (kmq->mono >= kmq->late_time) {
            kmq->late_time = kmq->mono + LATE_TIME;
            due_find(kmq, LATE_TIME);
        }

        return;
    }

    due_look(kmq);
    check_begin(kmq);
}


unsigned
kmq_take(kmq_t *kmq, kmq_batch_t *batch)
{
    unsigned     n;
    uint64_t     seen;
    kmq_draws_t  draws;

    batch->again = 0;
    batch->nmessages = 0;
    batch->nruns = 0;
    draws.n = 0;

    work_find(kmq);

    for (n = 0, seen = 0; n < TURNS_MAX && kmq->work & ~seen && draws.n == 0
         && batch->nruns == 0; n++)
    {
        turn_next(kmq);

        if (seen >> kmq->turn & 1) {
            break;
        }

        seen |= UINT64_C(1) << kmq->turn;
        shard_run(kmq, batch, &draws);
    }

    if (draws.n) {
        kmq_take_sort(kmq, &draws, batch);

    } else if (batch->nruns == 0 && kmq->work == 0) {
        kmq_worker_rest(kmq);
    }

    return batch->nruns;
}


/* Should this worker turn the shard's wheel? */
static int
is_due(const kmq_t *kmq, const kmq_shard_t *s)
{
    return kmq_is_keeper(kmq)
           ? KMQ_GET(kmq->block->due[s->number]) <= kmq->mono
           : kmq_schedule_late(kmq);
}


/* A worker's regular look at a shard.  Adds to *backlog what is there. */
static void
shard_tick(kmq_t *kmq, kmq_shard_t *s, uint64_t *backlog)
{
    unsigned           i;
    const kmq_duty_t  *duty = &s->duty[kmq->worker];

    kmq_lock(kmq, s);

    (void) kmq_leave_run(kmq, KMQ_SLICE);
    kmq_slow_look(kmq);
    kmq_disconnect_check(kmq);
    kmq_room_settle(kmq);

    for (i = 0; i < TRASH_MAX && kmq_trash_free(s); i++) { /* void */ }

    /* who was to signal this worker, or to start a batch, may have died */

    if (duty->dirty || duty->overdue.head || s->leaving.head
        || s->lapsed.head || s->look_walk.page || s->check_walk.page
        || kmq->check & KMQ_BIT(s) || is_due(kmq, s)
        || KMQ_GET(kmq->block->nstill))
    {
        kmq->work |= KMQ_BIT(s);

    } else if (kmq->block->settings.batch_interval == 0) {
        kmq->work &= ~KMQ_BIT(s);

    } else if (s->active && kmq->mono >= KMQ_GET(kmq->block->pace.end)) {
        kmq_pace_window(kmq);
    }

    *backlog += kmq_backlog(s);
    due_note(kmq);

    kmq_unlock(kmq);
}


/* Somebody has died, and what shards have in common may be counted wrong. */
static void
recount(kmq_t *kmq)
{
    kmq_lock_all(kmq);
    kmq_common_lock(kmq);

    kmq_page_sum(kmq->block);
    kmq_room_sum(kmq->block);
    KMQ_PUT(kmq->block->uncounted, 0);

    kmq_common_unlock(kmq);
    kmq_unlock_all(kmq);
}


unsigned
kmq_tick(kmq_t *kmq)
{
    unsigned      i, n;
    uint64_t      backlog;
    kmq_block_t  *b = kmq->block;

    kmq_clock_keep(kmq);
    kmq_worker_rest(kmq);
    kmq_still_seen(kmq);

    kmq_reap_dead(kmq);
    n = kmq->reaped;
    kmq->reaped = 0;

    kmq_still_find(kmq);

    if (kmq_keeper_wanted(kmq)) {
        kmq_keeper_set(kmq, kmq->worker);
    }

    if (kmq_is_keeper(kmq)) {
        check_begin(kmq);
    }

    backlog = 0;

    for (i = 0; i < b->nshards; i++) {
        shard_tick(kmq, KMQ_SHARD(b, i), &backlog);
    }

    kmq_count_backlog(kmq, backlog);

    if (kmq_is_keeper(kmq) && KMQ_GET(b->uncounted)) {
        recount(kmq);
    }

    return n;
}


uint64_t
kmq_next_batch(kmq_t *kmq)
{
    uint64_t  end;

    if (!kmq->paced) {
        return 0;
    }

    end = KMQ_GET(kmq->block->pace.end);

    return end > kmq->mono ? end - kmq->mono : 1;
}


/* When the first wheel has to be turned. */
static uint64_t
due_first(const kmq_t *kmq)
{
    unsigned      i;
    uint64_t      due, first;
    kmq_block_t  *b = kmq->block;

    if (kmq->mono < kmq->due_next && kmq->keepers == KMQ_GET(b->keepers)) {
        return kmq->due_next;
    }

    first = UINT64_MAX;

    for (i = 0; i < b->nshards; i++) {
        due = KMQ_GET(b->due[i]);
        first = due < first ? due : first;
    }

    return first;
}


uint64_t
kmq_next_due(kmq_t *kmq)
{
    uint64_t      next, due;
    kmq_block_t  *b = kmq->block;

    if (!kmq_is_keeper(kmq)) {
        return 0;
    }

    /* this may have changed since the last look */

    if (!kmq->aging
        || !is_aging(b, (unsigned) __builtin_ctzll(kmq->aging)))
    {
        aging_find(kmq);
    }

    next = kmq->aging ? kmq->check_time : UINT64_MAX;
    due = due_first(kmq);
    next = due < next ? due : next;

    if (next == UINT64_MAX) {
        return 0;
    }

    return next > kmq->mono ? next - kmq->mono : 1;
}
