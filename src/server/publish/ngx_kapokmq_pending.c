/*
 * Messages that wait for the disk, and who waits for them (isPersistent 2).
 *
 * What comes while the journal is written is gathered; when it is written in
 * its turn, the messages are committed and answered, or discarded and refused.
 * Answers that a session gets meanwhile for other reasons wait behind these,
 * since clients tell them by their order alone.
 */

#include "../session/ngx_kapokmq_session_internal.h"


/* Messages committed under one lock. */
#define NGX_KAPOKMQ_COMMIT     512

/* Room for more messages than that is given back when they are settled. */
#define NGX_KAPOKMQ_KEPT       16384

/* An exiting worker waits for the disk so long. */
#define NGX_KAPOKMQ_HOLD_TIME  60000        /* ms */

#define NGX_KAPOKMQ_REFUSAL    300


/* Who waits: a session or a request. */
typedef struct {
    ngx_queue_t              queue;
    ngx_kapokmq_session_t   *session;
    ngx_http_request_t      *request;
    ngx_uint_t               n;         /* messages */
    const char              *error;     /* what else the answer is */
    kmq_field_t              topic;     /* of the request */
    char                     code[KMQ_CODE_LEN];
} ngx_kapokmq_answer_t;

typedef struct {
    kmq_message_t           *messages;  /* reserved, and in the journal */
    ngx_uint_t               n;
    ngx_uint_t               allocated;
    ngx_queue_t              answers;
} ngx_kapokmq_held_t;


static void ngx_kapokmq_held_commit(ngx_kapokmq_held_t *held, ngx_int_t rc);
static void ngx_kapokmq_held_answer(ngx_kapokmq_answer_t *answer,
    ngx_int_t rc, const char *reason);
static ngx_int_t ngx_kapokmq_held_accept(kmq_message_t *m, ngx_uint_t n);
static ngx_kapokmq_answer_t *ngx_kapokmq_held_add(ngx_kapokmq_session_t *s);
static void ngx_kapokmq_held_append(ngx_kapokmq_answer_t *answer);
static void ngx_kapokmq_held_late(ngx_event_t *ev);


static ngx_kapokmq_held_t   ngx_kapokmq_held[2];
static ngx_kapokmq_held_t  *ngx_kapokmq_gathering;
static ngx_kapokmq_held_t  *ngx_kapokmq_writing;

/* A timer: an exiting worker that has nothing else to do waits for answers. */
static ngx_event_t          ngx_kapokmq_hold;


void
ngx_kapokmq_held_init(ngx_log_t *log)
{
    ngx_uint_t  i;

    for (i = 0; i < 2; i++) {
        ngx_memzero(&ngx_kapokmq_held[i], sizeof(ngx_kapokmq_held_t));
        ngx_queue_init(&ngx_kapokmq_held[i].answers);
    }

    ngx_kapokmq_gathering = &ngx_kapokmq_held[0];
    ngx_kapokmq_writing = &ngx_kapokmq_held[1];

    ngx_memzero(&ngx_kapokmq_hold, sizeof(ngx_event_t));

    ngx_kapokmq_hold.handler = ngx_kapokmq_held_late;
    ngx_kapokmq_hold.data = &ngx_kapokmq_worker;
    ngx_kapokmq_hold.log = log;
}


void
ngx_kapokmq_held_free(void)
{
    ngx_uint_t  i;

    for (i = 0; i < 2; i++) {
        free(ngx_kapokmq_held[i].messages);
        ngx_kapokmq_held[i].messages = NULL;
        ngx_kapokmq_held[i].allocated = 0;
    }
}


ngx_uint_t
ngx_kapokmq_held_waiting(void)
{
    return !ngx_queue_empty(&ngx_kapokmq_gathering->answers);
}


void
ngx_kapokmq_held_take(void)
{
    ngx_kapokmq_held_t  *held;

    held = ngx_kapokmq_gathering;
    ngx_kapokmq_gathering = ngx_kapokmq_writing;
    ngx_kapokmq_writing = held;
}


void
ngx_kapokmq_held_settle(ngx_int_t rc, const char *reason)
{
    ngx_queue_t           *q, *answers;
    ngx_kapokmq_answer_t  *answer;

    ngx_kapokmq_held_commit(ngx_kapokmq_writing, rc);

    answers = &ngx_kapokmq_writing->answers;

    while (!ngx_queue_empty(answers)) {
        q = ngx_queue_head(answers);
        ngx_queue_remove(q);

        answer = ngx_queue_data(q, ngx_kapokmq_answer_t, queue);
        ngx_kapokmq_held_answer(answer, rc, reason);
    }

    if (ngx_kapokmq_hold.timer_set && !ngx_kapokmq_held_waiting()) {
        ngx_del_timer(&ngx_kapokmq_hold);
    }
}


/* Now the messages are in the queue, or nowhere. */
static void
ngx_kapokmq_held_commit(ngx_kapokmq_held_t *held, ngx_int_t rc)
{
    ngx_uint_t      n;
    kmq_message_t  *m;

    for (m = held->messages; held->n; m += n) {
        n = ngx_min(held->n, NGX_KAPOKMQ_COMMIT);
        held->n -= n;

        if (rc == NGX_OK) {
            kmq_commit(ngx_kapokmq_worker.kmq, m, n);

        } else {
            kmq_discard(ngx_kapokmq_worker.kmq, m, n);
        }
    }

    if (held->allocated > NGX_KAPOKMQ_KEPT) {
        free(held->messages);
        held->messages = NULL;
        held->allocated = 0;
    }
}


/* ---------------------------------------------------------------- answers */

static ngx_int_t
ngx_kapokmq_held_refuse(ngx_kapokmq_session_t *s, ngx_uint_t n,
    const char *error)
{
    u_char  *p, text[NGX_KAPOKMQ_REFUSAL];

    p = ngx_snprintf(text, sizeof(text), "error: %s", error);

    while (n--) {
        if (ngx_kapokmq_output_frame(s, KMQ_WS_TEXT, text, p - text)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_kapokmq_held_answer_session(ngx_kapokmq_answer_t *answer, ngx_int_t rc,
    const char *reason)
{
    ngx_kapokmq_session_t  *s;

    s = answer->session;
    s->unanswered--;
    s->owed -= answer->n + (answer->error != NULL);

    if (rc != NGX_OK) {
        ngx_kapokmq_producer_refused(s, answer->n);
        rc = ngx_kapokmq_held_refuse(s, answer->n, reason);

    } else if (answer->n) {
        kmq_seen(ngx_kapokmq_worker.kmq, s->client, (unsigned) answer->n);
        s->messages += answer->n;
        rc = ngx_kapokmq_output_oks(s, answer->n);
    }

    if (rc == NGX_OK && answer->error) {
        rc = ngx_kapokmq_held_refuse(s, 1, answer->error);
    }

    if (rc != NGX_OK) {
        s->failed = 1;
        ngx_kapokmq_session_wake(s);
    }

    ngx_free(answer);
    ngx_kapokmq_session_answered(s);
}


static void
ngx_kapokmq_held_answer(ngx_kapokmq_answer_t *answer, ngx_int_t rc,
    const char *reason)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    if (answer->session) {
        ngx_kapokmq_held_answer_session(answer, rc, reason);
        return;
    }

    r = answer->request;
    c = r->connection;
    answer->request = NULL;

    if (rc == NGX_OK) {
        ngx_kapokmq_send_answer(r, answer->code);

    } else {
        ngx_kapokmq_send_refuse(r, &answer->topic,
                                NGX_HTTP_SERVICE_UNAVAILABLE, reason);
    }

    ngx_http_run_posted_requests(c);
}


/* ---------------------------------------------------------------- waiting */

/* The disk takes too long for a worker that is to exit. */
static void
ngx_kapokmq_held_late(ngx_event_t *ev)
{
    (void) ev;
}


/* An answer is added: the worker, if it is exiting, has something to wait
 * for. */
static void
ngx_kapokmq_held_append(ngx_kapokmq_answer_t *answer)
{
    ngx_queue_insert_tail(&ngx_kapokmq_gathering->answers, &answer->queue);

    if (!ngx_kapokmq_hold.timer_set) {
        ngx_add_timer(&ngx_kapokmq_hold, NGX_KAPOKMQ_HOLD_TIME);
    }
}


/* The messages' records are gathered, and they themselves. */
static ngx_int_t
ngx_kapokmq_held_accept(kmq_message_t *m, ngx_uint_t n)
{
    ngx_uint_t           wanted;
    kmq_message_t       *messages;
    ngx_kapokmq_held_t  *held;

    held = ngx_kapokmq_gathering;

    if (held->n + n > held->allocated) {
        wanted = ngx_max(2 * held->allocated, held->n + n);

        messages = realloc(held->messages, wanted * sizeof(kmq_message_t));
        if (messages == NULL) {
            return NGX_ERROR;
        }

        held->messages = messages;
        held->allocated = wanted;
    }

    if (kmq_accept(ngx_kapokmq_worker.kmq, m, n) != KMQ_OK) {
        return NGX_ERROR;
    }

    ngx_memcpy(held->messages + held->n, m, n * sizeof(kmq_message_t));
    held->n += n;

    return NGX_OK;
}


/* The session's next answer; NULL: no memory. */
static ngx_kapokmq_answer_t *
ngx_kapokmq_held_add(ngx_kapokmq_session_t *s)
{
    ngx_queue_t           *answers;
    ngx_kapokmq_answer_t  *answer;

    answers = &ngx_kapokmq_gathering->answers;

    if (!ngx_queue_empty(answers)) {
        answer = ngx_queue_data(ngx_queue_last(answers), ngx_kapokmq_answer_t,
                                queue);

        if (answer->session == s && answer->error == NULL) {
            return answer;
        }
    }

    answer = ngx_calloc(sizeof(ngx_kapokmq_answer_t), ngx_kapokmq_worker.log);

    if (answer) {
        answer->session = s;
        s->unanswered++;
        ngx_kapokmq_held_append(answer);
    }

    return answer;
}


ngx_int_t
ngx_kapokmq_held_session(ngx_kapokmq_session_t *s, kmq_message_t *m,
    ngx_uint_t n)
{
    ngx_kapokmq_answer_t  *answer;

    answer = ngx_kapokmq_held_add(s);

    if (answer == NULL || ngx_kapokmq_held_accept(m, n) != NGX_OK) {
        kmq_discard(ngx_kapokmq_worker.kmq, m, n);
        return NGX_ERROR;
    }

    answer->n += n;
    s->owed += n;

    return NGX_OK;
}


ngx_int_t
ngx_kapokmq_held_error(ngx_kapokmq_session_t *s, const char *error)
{
    ngx_kapokmq_answer_t  *answer;

    answer = ngx_kapokmq_held_add(s);
    if (answer == NULL) {
        return NGX_ERROR;
    }

    answer->error = error;
    s->owed++;

    return NGX_OK;
}


void
ngx_kapokmq_held_forget(ngx_kapokmq_session_t *s)
{
    ngx_uint_t             i;
    ngx_queue_t           *q, *next, *answers;
    ngx_kapokmq_answer_t  *answer;

    for (i = 0; i < 2; i++) {
        answers = &ngx_kapokmq_held[i].answers;

        for (q = ngx_queue_head(answers);
             q != ngx_queue_sentinel(answers);
             q = next)
        {
            next = ngx_queue_next(q);
            answer = ngx_queue_data(q, ngx_kapokmq_answer_t, queue);

            if (answer->session == s) {
                ngx_queue_remove(q);
                ngx_free(answer);
            }
        }
    }

    s->unanswered = 0;
    s->owed = 0;
}


/* The request goes before it is answered. */
static void
ngx_kapokmq_held_cleanup(void *data)
{
    ngx_kapokmq_answer_t  *answer = data;

    if (answer->request) {
        ngx_queue_remove(&answer->queue);
    }
}


ngx_int_t
ngx_kapokmq_held_request(ngx_http_request_t *r, const kmq_field_t *topic,
    kmq_message_t *m)
{
    ngx_pool_cleanup_t    *cln;
    ngx_kapokmq_answer_t  *answer;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_kapokmq_answer_t));

    if (cln == NULL || ngx_kapokmq_held_accept(m, 1) != NGX_OK) {
        kmq_discard(ngx_kapokmq_worker.kmq, m, 1);
        return NGX_ERROR;
    }

    answer = cln->data;
    ngx_memzero(answer, sizeof(ngx_kapokmq_answer_t));

    answer->request = r;
    answer->topic = *topic;
    kmq_code(ngx_kapokmq_worker.kmq, m, answer->code);

    cln->handler = ngx_kapokmq_held_cleanup;
    ngx_kapokmq_held_append(answer);

    return NGX_OK;
}
