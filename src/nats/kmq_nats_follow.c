/* Follows a stream: kmq_nats_follow.h. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kmq_nats_follow.h"
#include "kmq_nats_socket.h"


#define FOLLOW_HEARTBEAT  1000
#define FOLLOW_QUESTION   1024


struct kmq_nats_follower_s {
    kmq_nats_link_t              *link;
    kmq_nats_follower_options_t   options;
    kmq_js_ordered_t              ordered;
    uint64_t                      sid;      /* 0: no consumer */
    uint64_t                      times;    /* of the link's connections */
    uint64_t                      heard;
    int                           taken;    /* since it was asked */
    int                           gap;
    char                          name[KMQ_JS_NAME_MAX];
    char                          error[KMQ_JS_NAME_MAX];
};


/* Says that we keep up. */
static void
follow_answer(kmq_nats_follower_t *f, const kmq_nats_text_t *answer)
{
    char  subject[KMQ_NATS_SUBJECT_MAX + 1];

    if (answer->len >= sizeof(subject)) {
        return;
    }

    memcpy(subject, answer->bytes, answer->len);
    subject[answer->len] = '\0';

    /* what is not said now is asked for again */
    (void) kmq_nats_link_publish(f->link, subject, NULL, NULL, 0, NULL, 0);
}


static void
follow_take(void *arg, const kmq_nats_msg_t *msg)
{
    uint64_t              sequence;
    kmq_nats_text_t       answer;
    kmq_nats_follower_t  *f = arg;

    if (f->gap) {
        return;
    }

    f->heard = kmq_nats_now();

    switch (kmq_js_ordered_see(&f->ordered, msg, &sequence, &answer)) {

    case KMQ_JS_MESSAGE:
        f->taken++;
        f->options.take(f->options.arg, sequence, msg);
        break;

    case KMQ_JS_FLOW:
        follow_answer(f, &answer);
        break;

    case KMQ_JS_GAP:
        f->gap = 1;
        break;

    default:
        break;
    }
}


/* ---------------------------------------------------------------- consumer */

static void
follow_forget(kmq_nats_follower_t *f)
{
    if (f->sid) {
        kmq_nats_link_unsubscribe(f->link, f->sid);
        f->sid = 0;
    }
}


/* Asks for a consumer that pushes to a subject: _DONE, or an error. */
static int
follow_ask(kmq_nats_follower_t *f, const char *deliver, uint64_t deadline)
{
    int                 rc;
    char                subject[KMQ_JS_SUBJECT_MAX];
    char                question[FOLLOW_QUESTION];
    size_t              n;
    kmq_nats_msg_t      answer;
    kmq_js_error_t      error;
    kmq_js_consumer_t   consumer;

    consumer.stream = f->options.stream;
    consumer.subject = f->options.subject;
    consumer.deliver = deliver;
    consumer.from = f->ordered.next;
    consumer.heartbeat = f->options.heartbeat;

    n = kmq_js_write_consumer(question, sizeof(question), &consumer);

    if (n == 0
        || kmq_js_subject(subject, KMQ_JS_CONSUMER, f->options.stream, NULL)
           != 0)
    {
        return KMQ_NATS_NOMEM;
    }

    rc = kmq_nats_link_request(f->link, subject, NULL, 0, question, n,
                               &answer, deadline);

    if (rc != KMQ_NATS_DONE) {
        (void) snprintf(f->error, sizeof(f->error), "%s",
                        rc == KMQ_NATS_NOBODY ? "JetStream does not answer"
                        : "no answer about a consumer");
        return rc;
    }

    if (kmq_js_read_consumer(&answer.payload, f->name, &error) != 0) {
        (void) snprintf(f->error, sizeof(f->error), "%s", error.text);
        return KMQ_NATS_NOBODY;
    }

    f->error[0] = '\0';

    return KMQ_NATS_DONE;
}


/* Makes a consumer for what was not taken yet. */
static int
follow_consume(kmq_nats_follower_t *f, uint64_t deadline)
{
    int       rc;
    char      deliver[KMQ_NATS_INBOX_MAX];
    uint64_t  until;

    follow_forget(f);
    kmq_js_ordered_begin(&f->ordered, f->ordered.next);
    kmq_nats_link_inbox(f->link, deliver);

    f->gap = 0;
    f->times = kmq_nats_link_times(f->link);
    f->sid = kmq_nats_link_subscribe(f->link, deliver, follow_take, f);

    if (f->sid == 0) {
        return KMQ_NATS_NOMEM;
    }

    until = kmq_nats_now() + 2 * f->options.heartbeat;
    rc = follow_ask(f, deliver, until < deadline ? until : deadline);

    if (rc != KMQ_NATS_DONE) {
        follow_forget(f);
    }

    f->heard = kmq_nats_now();

    return rc;
}


/* Is there a consumer, and none too many?  Its heartbeats tell. */
static int
follow_lost(const kmq_nats_follower_t *f)
{
    return f->sid == 0 || f->gap || f->times != kmq_nats_link_times(f->link)
           || kmq_nats_now() - f->heard > 2 * f->options.heartbeat;
}


/* Waits a little where there is no consumer to be had. */
static void
follow_rest(kmq_nats_follower_t *f, uint64_t deadline)
{
    uint64_t  until;

    until = kmq_nats_now() + f->options.heartbeat / 4;
    (void) kmq_nats_link_run(f->link, until < deadline ? until : deadline);
}


int
kmq_nats_follow(kmq_nats_follower_t *f, uint64_t deadline)
{
    int       rc;
    uint64_t  until;

    for (f->taken = 0; f->taken == 0; /* void */) {

        rc = kmq_nats_link_connect(f->link, deadline);

        if (rc == KMQ_NATS_DONE && follow_lost(f)) {
            rc = follow_consume(f, deadline);

            if (rc != KMQ_NATS_DONE && rc != KMQ_NATS_NOMEM) {
                follow_rest(f, deadline);
                rc = KMQ_NATS_DONE;
            }
        }

        if (rc != KMQ_NATS_DONE) {
            return rc;
        }

        if (f->sid && f->taken == 0) {
            until = f->heard + 2 * f->options.heartbeat + 1;
            rc = kmq_nats_link_run(f->link,
                                   until < deadline ? until : deadline);
        }

        if (rc == KMQ_NATS_NOMEM) {
            return rc;
        }

        if (f->taken == 0 && kmq_nats_now() >= deadline) {
            return KMQ_NATS_LATE;
        }
    }

    return f->taken;
}


uint64_t
kmq_nats_follower_next(const kmq_nats_follower_t *f)
{
    return f->ordered.next;
}


uint64_t
kmq_nats_follower_behind(const kmq_nats_follower_t *f)
{
    return f->ordered.pending;
}


uint64_t
kmq_nats_follower_time(const kmq_nats_follower_t *f)
{
    return f->ordered.time;
}


const char *
kmq_nats_follower_error(const kmq_nats_follower_t *f)
{
    return f->error;
}


/* ------------------------------------------------------------------- life */

kmq_nats_follower_t *
kmq_nats_follower_open(kmq_nats_link_t *link,
    const kmq_nats_follower_options_t *options)
{
    kmq_nats_follower_t  *f;

    f = calloc(1, sizeof(kmq_nats_follower_t));

    if (f == NULL) {
        return NULL;
    }

    f->link = link;
    f->options = *options;
    f->options.heartbeat = options->heartbeat ? options->heartbeat
                                              : FOLLOW_HEARTBEAT;
    kmq_js_ordered_begin(&f->ordered, options->from);

    return f;
}


void
kmq_nats_follower_close(kmq_nats_follower_t *f)
{
    follow_forget(f);
    free(f);
}
