/*
 * What the console does with one message: find, copy, delete, requeue.
 */

#include "body.h"
#include "client.h"
#include "handle.h"
#include "manage.h"
#include "message.h"


int
status_of(const message_t *m)
{
    switch (m->state) {

    case READY:
    case IN_FLIGHT:
    case RETRYING:
    case ASIDE:
        return KMQ_STATUS_WAITING;

    case DELAYED:
        return KMQ_STATUS_DELAYED;

    case CONSUMED:
        return KMQ_STATUS_CONSUMED;

    default:
        return KMQ_STATUS_DEAD;
    }
}


int
is_visible(const message_t *m)
{
    return m->state != FREE && m->state != RESERVED
           && !(m->state == IN_FLIGHT && m->doomed);
}


void
check_info(uint32_t id, const kmq_message_info_t *info)
{
    topic_t    *t;
    message_t  *m = &M.message[id];

    t = &M.topic[m->topic];

    CHECK(is_visible(m) && info->status == status_of(m)
          && info->size == m->size && info->create_time == m->create_time
          && info->delay == m->delay && info->sequence == m->sequence
          && info->slot == m->slot
          && memcmp(info->code, m->code, KMQ_CODE_LEN) == 0,
          "%u is found, but is not as it is (status %d)", id, info->status);
    CHECK(info->attempts == m->failures + (m->state == IN_FLIGHT
                                           || m->state == CONSUMED),
          "%u in state %d: %u attempts, after %u failures", id, m->state,
          info->attempts, m->failures);
    CHECK(info->failure == m->reason, "%u: it failed for %u, not %u", id,
          info->failure, m->reason);
    CHECK(info->suspect == (m->suspect && status_of(m) < 0),
          "%u: suspect", id);
    CHECK((info->due != 0) == (m->state == DELAYED || m->state == RETRYING)
          || (m->state == RETRYING && m->next <= M.mono),
          "%u in state %d: due %llu", id, m->state,
          (unsigned long long) info->due);
    CHECK(info->consumed_time == (m->state == CONSUMED ? m->consumed_time : 0),
          "%u: consumed_time %u", id, info->consumed_time);
    CHECK(info->in_flight == (m->state == IN_FLIGHT),
          "%u: in flight %u", id, info->in_flight);
    CHECK(info->dead_time == (m->state == DEAD ? m->dead_time : 0),
          "%u: dead_time %u, want %u", id, info->dead_time, m->dead_time);
    CHECK(info->topic_len == strlen(t->name)
          && memcmp(info->topic, t->name, info->topic_len) == 0,
          "%u: topic", id);
}


/* Some message, which may be gone. */
static uint32_t
some_message(void)
{
    unsigned   i;
    client_t  *c;
    topic_t   *t = &M.topic[below(TOPICS)];

    switch (below(7)) {

    case 6:
        if (M.retrying.count) {
            return one_in(2) ? M.retrying.head : M.retrying.tail;
        }

        break;

    case 0:
        c = some_consumer();

        if (c && c->n) {
            return c->flight[below(c->n)].id;
        }

        break;

    case 1:
        if (t->dead.count) {
            return one_in(2) ? t->dead.head : t->dead.tail;
        }

        break;

    case 2:
        if (t->fresh.count) {
            return one_in(2) ? t->fresh.head : t->fresh.tail;
        }

        break;

    case 3:
        if (M.delayed.count) {
            return one_in(2) ? M.delayed.head : M.delayed.tail;
        }

        break;

    default:
        break;
    }

    i = MESSAGES - M.nunused;

    return MESSAGES - 1 - below(i + 20 < MESSAGES ? i + 20 : MESSAGES);
}


void
op_find(void)
{
    int                  rc;
    uint32_t             id;
    kmq_message_info_t   info;

    id = some_message();
    rc = kmq_find(M.handle[some_handle()].kmq, M.message[id].code, &info);

    if (!is_visible(&M.message[id])) {
        CHECK(rc == KMQ_GONE, "%u: found %d, state %d", id, rc,
              M.message[id].state);
        return;
    }

    CHECK(rc == KMQ_OK, "%u: %d, state %d", id, rc, M.message[id].state);
    check_info(id, &info);
}


/* A message that could be seen is deleted. */
void
message_deleted(uint32_t id)
{
    message_t  *m = &M.message[id];

    M.deleted++;

    switch (m->state) {

    case IN_FLIGHT:
        m->doomed = 1;
        M.in_flight--;
        return;

    case READY:
        ready_remove(id);
        break;

    case DELAYED:
        list_remove(&M.delayed, id);
        break;

    case RETRYING:
    case ASIDE:
        list_remove(&M.retrying, id);
        break;

    case DEAD:
        list_remove(&M.topic[m->topic].dead, id);
        M.dead--;
        break;

    default:
        history_remove(id);
        return;
    }

    message_gone(id);
}


/* Deletes a message; what must follow. */
void
delete(unsigned h, uint32_t id)
{
    int         rc, visible;
    message_t  *m = &M.message[id];

    visible = is_visible(m);
    rc = kmq_delete(M.handle[h].kmq, m->code);
    CHECK(rc == (visible ? KMQ_OK : KMQ_GONE), "delete: %d, state %d", rc,
          m->state);
    wakes(h);

    if (visible) {
        message_deleted(id);
    }
}


void
op_delete(void)
{
    delete(some_handle(), some_message());
}


/* Reads a body in parts; it may be deleted on the way. */
void
op_copy(void)
{
    int                  n;
    unsigned             h;
    uint32_t             id, left, offset;
    kmq_ref_t            piece;
    static char          buf[3 * KMQ_COPY_MIN];
    kmq_message_info_t   info;

    id = some_message();
    h = some_handle();

    if (!is_visible(&M.message[id])
        || kmq_find(M.handle[h].kmq, M.message[id].code, &info) != KMQ_OK)
    {
        return;
    }

    piece = info.body;
    left = info.size;
    offset = 0;

    for ( ;; ) {
        if (one_in(16)) {
            delete(h, id);
            CHECK(kmq_copy(M.handle[h].kmq, &info, &piece, &left, buf,
                           sizeof(buf)) == KMQ_GONE, "copy of the deleted");
            return;
        }

        n = kmq_copy(M.handle[h].kmq, &info, &piece, &left, buf,
                     KMQ_COPY_MIN + below(2 * KMQ_COPY_MIN));
        CHECK(n >= 0 && (uint32_t) n <= info.size - offset, "copy: %d", n);

        if (n == 0) {
            break;
        }

        CHECK(body_same(id, offset, buf, (uint32_t) n), "copy of %u", id);
        offset += (uint32_t) n;
    }

    CHECK(offset == info.size, "copy of %u ends at %u", id, offset);
}


void
op_requeue(void)
{
    int         rc;
    unsigned    h;
    uint32_t    id;
    message_t  *m;

    id = some_message();
    h = some_handle();
    m = &M.message[id];
    rc = kmq_requeue(M.handle[h].kmq, m->code);

    if (!is_visible(m)) {
        CHECK(rc == KMQ_GONE, "requeue of none: %d", rc);

    } else if (m->state != DEAD) {
        CHECK(rc == KMQ_ERROR, "requeue in state %d: %d", m->state, rc);

    } else {
        CHECK(rc == KMQ_OK, "requeue: %d", rc);
        message_requeued(id, h);
    }

    wakes(h);
}


/* A delayed message is made due. */
void
op_make_due(void)
{
    int         rc;
    unsigned    h;
    uint32_t    id;
    message_t  *m;

    id = some_message();
    h = some_handle();
    m = &M.message[id];

    if (m->state == RETRYING || m->state == ASIDE) {
        return;
    }

    rc = kmq_make_due(M.handle[h].kmq, m->code);

    if (m->state == DELAYED) {
        CHECK(rc == KMQ_OK, "make due: %d", rc);
        list_remove(&M.delayed, id);
        m->waits = (uint32_t) M.handle[h].mono;
        ready_append(id);

    } else {
        CHECK(rc == (is_visible(m) ? KMQ_ERROR : KMQ_GONE),
              "make due in state %d: %d", m->state, rc);
    }

    wakes(h);
}


/* n dead messages of a topic were requeued, the oldest: which? */
static void
topic_requeued(topic_t *t, unsigned n, unsigned h)
{
    uint32_t             id, next, tie;
    kmq_message_info_t   info;

    for (id = t->dead.head, tie = 0; n; id = next) {
        CHECK(id != NONE, "requeued is what was not the oldest");
        next = NEXT(&t->dead, id);

        if (M.message[id].tie != tie) {
            tie = M.message[id].tie;
            M.tie = tie ? ++M.ties : 0;
        }

        CHECK(kmq_find(M.handle[h].kmq, M.message[id].code, &info) == KMQ_OK,
              "a dead message is gone");

        if (info.status == KMQ_STATUS_WAITING) {
            message_requeued(id, h);
            n--;

        } else {
            CHECK(tie && (next == NONE || M.message[next].tie == tie),
                  "requeued is what was not the oldest");
        }
    }

    M.tie = 0;
}


void
op_requeue_topic(void)
{
    topic_t   *t = &M.topic[below(TOPICS)];
    unsigned   h, n, max, want;

    h = some_handle();

    if (one_in(10)) {
        CHECK(kmq_requeue_topic(M.handle[h].kmq, "nowhere", 7, 5) == 0,
              "requeue of a topic that is not there");
        return;
    }

    max = below(one_in(2) ? 4 : 1000);
    want = max < t->dead.count ? max : t->dead.count;
    n = kmq_requeue_topic(M.handle[h].kmq, t->name, strlen(t->name), max);
    CHECK(n == want, "requeue_topic: %u, want %u", n, want);
    topic_requeued(t, n, h);
    wakes(h);
}
