/*
 * Appends to a stream: kmq_nats_append.h.
 *
 * Entries are in a ring.  When one fails, or is not answered in time, those
 * behind it wait until all that are on their way were answered or given up;
 * then all of them are sent again, in their order.  An answer names the entry
 * and the try: what an older try was refused for no longer counts, that it was
 * stored does.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kmq_nats_append.h"
#include "kmq_nats_socket.h"


#define APPEND_RETRY      500
#define APPEND_SOON       2
#define APPEND_NOBODY     503      /* a status: the stream has no leader */
#define APPEND_QUESTION   512      /* bytes of a question about a subject */


typedef enum {
    APPEND_TO_SEND = 0,
    APPEND_SENT,
    APPEND_FAILED,        /* to be sent again */
    APPEND_DOUBTED,       /* refused, but an older try may be stored */
    APPEND_ANSWERED
} append_state_e;

typedef struct {
    append_state_e      state;
    unsigned            tries;
    kmq_nats_append_t  *append;
} append_entry_t;

struct kmq_nats_appender_s {
    kmq_nats_link_t              *link;
    kmq_nats_appender_options_t   options;
    uint64_t                      sid;
    char                          inbox[KMQ_NATS_INBOX_MAX];
    uint64_t                      last;     /* the stream's last sequence
                                               before the oldest entry */

    uint64_t                      times;    /* of the link's connections */
    uint64_t                      first;    /* number of the oldest entry */
    uint64_t                      next;     /* and behind the newest one */
    uint64_t                      since;    /* when the oldest that is on its
                                               way was sent, or answered */
    uint64_t                      pause;    /* nothing is sent again before */
    append_entry_t                entries[];
};


static append_entry_t *
append_entry(kmq_nats_appender_t *a, uint64_t number)
{
    return &a->entries[number % a->options.in_flight];
}


/* Is there any in that state? */
static int
append_any(kmq_nats_appender_t *a, append_state_e state)
{
    uint64_t  i;

    for (i = a->first; i < a->next; i++) {
        if (append_entry(a, i)->state == state) {
            return 1;
        }
    }

    return 0;
}


/* ---------------------------------------------------------------- answers */

static void
append_stored(append_entry_t *entry, uint64_t sequence)
{
    entry->state = APPEND_ANSWERED;
    entry->append->state = KMQ_NATS_STORED;
    entry->append->sequence = sequence;
    entry->append->duplicate = entry->tries > 1;
}


static void
append_refused(append_entry_t *entry)
{
    entry->state = APPEND_ANSWERED;
    entry->append->state = KMQ_NATS_REFUSED;
}


/* It is to be sent again, after a while. */
static void
append_again(kmq_nats_appender_t *a, append_entry_t *entry, unsigned pause)
{
    entry->state = APPEND_FAILED;
    a->pause = kmq_nats_now() + pause;
}


/* Whether an error may be gone after a while: there is no leader. */
static int
append_passes(const kmq_js_error_t *error)
{
    return error->code == 0 || error->err_code == KMQ_JS_UNAVAILABLE
           || (error->code == APPEND_NOBODY && error->err_code == 0);
}


/* An error came for an entry's last try. */
static void
append_failed(kmq_nats_appender_t *a, uint64_t number)
{
    append_entry_t        *entry;
    const kmq_js_error_t  *error;

    entry = append_entry(a, number);
    error = &entry->append->error;

    if (append_passes(error)) {
        append_again(a, entry, a->options.retry);

    } else if (error->err_code == KMQ_JS_IN_PROCESS) {
        append_again(a, entry, APPEND_SOON);

    } else if (error->err_code == KMQ_JS_WRONG_LAST && a->options.chained
               && number != a->first)
    {
        /* one before it is missing, and will be sent again */
        entry->state = APPEND_FAILED;

    } else if (error->err_code == KMQ_JS_WRONG_LAST && entry->tries > 1) {
        entry->state = APPEND_DOUBTED;

    } else {
        append_refused(entry);
    }
}


/* The entry and the try that a subject "INBOX.NUMBER.TRY" names: 0; -1: none
 * that waits for an answer. */
static int
append_named(kmq_nats_appender_t *a, const kmq_nats_text_t *subject,
    uint64_t *number, uint64_t *try)
{
    size_t                prefix;
    kmq_nats_text_t       first, second;
    const unsigned char  *dot, *end;

    prefix = strlen(a->inbox) + 1;
    end = subject->bytes + subject->len;

    if (subject->len <= prefix) {
        return -1;
    }

    first.bytes = subject->bytes + prefix;
    dot = memchr(first.bytes, '.', (size_t) (end - first.bytes));

    if (dot == NULL) {
        return -1;
    }

    first.len = (size_t) (dot - first.bytes);
    second.bytes = dot + 1;
    second.len = (size_t) (end - second.bytes);

    return kmq_nats_number(&first, number) && kmq_nats_number(&second, try)
           && *number >= a->first && *number < a->next
           && append_entry(a, *number)->state != APPEND_ANSWERED ? 0 : -1;
}


/* Reads an answer: 0 and *ack, or -1 and *error. */
static int
append_answer(const kmq_nats_msg_t *msg, kmq_js_ack_t *ack,
    kmq_js_error_t *error)
{
    unsigned  status;

    status = kmq_nats_status(&msg->headers, NULL);

    if (status == 0) {
        return kmq_js_read_ack(&msg->payload, ack, error);
    }

    memset(error, 0, sizeof(kmq_js_error_t));
    error->code = status;
    (void) snprintf(error->text, sizeof(error->text), "status %u", status);

    return -1;
}


static void
append_take(void *arg, const kmq_nats_msg_t *msg)
{
    uint64_t              number, try;
    kmq_js_ack_t          ack;
    append_entry_t       *entry;
    kmq_js_error_t        error;
    kmq_nats_appender_t  *a = arg;

    if (append_named(a, &msg->subject, &number, &try) != 0) {
        return;
    }

    entry = append_entry(a, number);
    a->since = kmq_nats_now();

    if (append_answer(msg, &ack, &error) == 0) {
        append_stored(entry, ack.sequence);

    } else if (try == entry->tries && entry->state == APPEND_SENT) {
        entry->append->error = error;
        append_failed(a, number);
    }
}


/* ---------------------------------------------------------------- sending */

static int
append_publish(kmq_nats_appender_t *a, uint64_t number)
{
    char                  reply[KMQ_NATS_INBOX_MAX + 48];
    append_entry_t       *entry;
    kmq_js_headers_t      headers;
    kmq_nats_append_t    *append;
    kmq_js_conditions_t   conditions;

    entry = append_entry(a, number);
    append = entry->append;

    (void) snprintf(reply, sizeof(reply), "%s.%llu.%u", a->inbox,
                    (unsigned long long) number, entry->tries + 1);

    conditions.stream = a->options.stream;
    conditions.id = append->id;
    conditions.stream_last = a->options.chained
                             ? a->last + (number - a->first) : KMQ_JS_NONE;
    conditions.last = append->expected;
    kmq_js_conditions(&headers, &conditions);

    return kmq_nats_link_publish(a->link, append->subject, reply,
                                 headers.headers, headers.n, append->payload,
                                 append->size);
}


/* Sends one: 0; -1: not now, and none behind it. */
static int
append_send(kmq_nats_appender_t *a, uint64_t number)
{
    int              rc;
    append_entry_t  *entry;

    entry = append_entry(a, number);
    rc = append_publish(a, number);

    if (rc == KMQ_NATS_INVALID) {
        memset(&entry->append->error, 0, sizeof(kmq_js_error_t));
        (void) snprintf(entry->append->error.text,
                        sizeof(entry->append->error.text),
                        "no subject, or too large for the server");
        append_refused(entry);
        return 0;
    }

    if (rc != KMQ_NATS_DONE) {
        return -1;
    }

    if (!append_any(a, APPEND_SENT)) {
        a->since = kmq_nats_now();
    }

    entry->tries++;
    entry->state = APPEND_SENT;

    return 0;
}


/* Sends what is to be sent, as far as there is room. */
static void
append_send_all(kmq_nats_appender_t *a)
{
    uint64_t        i;
    append_state_e  state;

    if (append_any(a, APPEND_DOUBTED)
        || (append_any(a, APPEND_FAILED)
            && (append_any(a, APPEND_SENT) || kmq_nats_now() < a->pause)))
    {
        return;
    }

    for (i = a->first; i < a->next; i++) {
        state = append_entry(a, i)->state;

        if ((state == APPEND_TO_SEND || state == APPEND_FAILED)
            && append_send(a, i) != 0)
        {
            return;
        }
    }
}


/* Those on their way are given up: there was no answer, or no connection. */
static void
append_give_up(kmq_nats_appender_t *a)
{
    uint64_t  i;

    for (i = a->first; i < a->next; i++) {
        if (append_entry(a, i)->state == APPEND_SENT) {
            append_entry(a, i)->state = APPEND_FAILED;
        }
    }
}


/* ------------------------------------------------------------------ doubts */

/* Is the message that the stream has last on its subject the append? */
static int
append_is(const append_entry_t *entry, const kmq_js_message_t *message)
{
    kmq_nats_text_t  id;

    return kmq_nats_header(&message->headers, "Nats-Msg-Id", &id)
           && id.len == strlen(entry->append->id)
           && memcmp(id.bytes, entry->append->id, id.len) == 0;
}


/*
 * It was refused since another message is the last one; but it was sent
 * before, and may be that message.  The leader knows.
 */
static void
append_settle_doubt(kmq_nats_appender_t *a, append_entry_t *entry,
    uint64_t deadline)
{
    int                rc;
    char               subject[KMQ_JS_SUBJECT_MAX];
    char               question[APPEND_QUESTION];
    size_t             n;
    kmq_nats_msg_t     answer;
    kmq_js_error_t     error;
    kmq_js_message_t   message;

    n = kmq_js_write_get(question, sizeof(question), entry->append->subject,
                         KMQ_JS_NONE);

    if (n == 0
        || kmq_js_subject(subject, KMQ_JS_GET, a->options.stream, NULL) != 0)
    {
        append_refused(entry);
        return;
    }

    rc = kmq_nats_link_request(a->link, subject, NULL, 0, question, n,
                               &answer, deadline);

    /* the answer to an older try may have come meanwhile */

    if (rc != KMQ_NATS_DONE || entry->state != APPEND_DOUBTED) {
        return;
    }

    if (kmq_js_read_get(&answer.payload, &message, &error) == 0) {
        if (append_is(entry, &message)) {
            append_stored(entry, message.sequence);

        } else {
            append_refused(entry);
        }

        kmq_js_message_free(&message);

    } else if (error.err_code == KMQ_JS_NO_MESSAGE) {
        append_refused(entry);
    }
}


static void
append_settle_doubts(kmq_nats_appender_t *a, uint64_t deadline)
{
    uint64_t  i, until;

    until = kmq_nats_now() + a->options.retry;
    until = until < deadline ? until : deadline;

    for (i = a->first; i < a->next; i++) {
        if (append_entry(a, i)->state == APPEND_DOUBTED) {
            append_settle_doubt(a, append_entry(a, i), until);
        }
    }
}


/* --------------------------------------------------------------- its work */

/* Is the oldest one done? */
static int
append_ready(kmq_nats_appender_t *a)
{
    return a->first < a->next
           && append_entry(a, a->first)->state == APPEND_ANSWERED;
}


/* How many were done, in their order. */
static int
append_finish(kmq_nats_appender_t *a)
{
    int                 n;
    kmq_nats_append_t  *append;

    for (n = 0; append_ready(a); n++) {
        append = append_entry(a, a->first)->append;
        a->first++;

        if (append->state == KMQ_NATS_STORED) {
            a->last = append->sequence;
        }

        a->options.done(a->options.arg, append);
    }

    return n;
}


/* Connected, and what was lost with the connection before is known: _DONE, or
 * an error. */
static int
append_connected(kmq_nats_appender_t *a, uint64_t deadline)
{
    int  rc;

    rc = kmq_nats_link_connect(a->link, deadline);

    if (a->times != kmq_nats_link_times(a->link)) {
        a->times = kmq_nats_link_times(a->link);
        append_give_up(a);
    }

    return rc;
}


/* Until when to wait for an answer, and what is to be done when it does not
 * come. */
static uint64_t
append_watch(kmq_nats_appender_t *a, uint64_t deadline)
{
    uint64_t  now, until;

    now = kmq_nats_now();
    until = deadline;

    if (append_any(a, APPEND_SENT)) {
        until = a->since + a->options.retry;

        if (until <= now) {
            append_give_up(a);
            until = now;
        }

    } else if (append_any(a, APPEND_DOUBTED)) {
        until = now + a->options.retry;

    } else if (append_any(a, APPEND_FAILED)) {
        until = a->pause > now ? a->pause : now;
    }

    return until < deadline ? until : deadline;
}


int
kmq_nats_appender_run(kmq_nats_appender_t *a, uint64_t deadline)
{
    int  rc, n;

    for ( ;; ) {
        n = append_finish(a);

        if (n) {
            return n;
        }

        rc = append_connected(a, deadline);

        if (rc != KMQ_NATS_DONE) {
            return rc;
        }

        append_settle_doubts(a, deadline);
        append_send_all(a);

        if (append_ready(a)) {
            continue;
        }

        rc = kmq_nats_link_run(a->link, append_watch(a, deadline));

        if (rc == KMQ_NATS_NOMEM) {
            return rc;
        }

        if (rc == KMQ_NATS_LATE && kmq_nats_now() >= deadline) {
            return rc;
        }
    }
}


int
kmq_nats_append(kmq_nats_appender_t *a, kmq_nats_append_t *append)
{
    append_entry_t  *entry;

    if (a->next - a->first == a->options.in_flight) {
        return KMQ_NATS_FULL;
    }

    if (strlen(append->id) >= KMQ_NATS_ID_MAX) {
        return KMQ_NATS_INVALID;
    }

    append->state = KMQ_NATS_PENDING;
    append->duplicate = 0;

    entry = append_entry(a, a->next++);
    entry->state = APPEND_TO_SEND;
    entry->tries = 0;
    entry->append = append;

    return KMQ_NATS_DONE;
}


unsigned
kmq_nats_appender_pending(const kmq_nats_appender_t *a)
{
    return (unsigned) (a->next - a->first);
}


/* ------------------------------------------------------------------- life */

kmq_nats_appender_t *
kmq_nats_appender_open(kmq_nats_link_t *link,
    const kmq_nats_appender_options_t *options)
{
    char                  subject[KMQ_NATS_INBOX_MAX + 4];
    kmq_nats_appender_t  *a;

    a = calloc(1, sizeof(kmq_nats_appender_t)
                  + options->in_flight * sizeof(append_entry_t));

    if (a == NULL) {
        return NULL;
    }

    a->link = link;
    a->options = *options;
    a->options.retry = options->retry ? options->retry : APPEND_RETRY;
    a->last = options->last;
    a->times = kmq_nats_link_times(link);

    kmq_nats_link_inbox(link, a->inbox);
    (void) snprintf(subject, sizeof(subject), "%s.*.*", a->inbox);
    a->sid = kmq_nats_link_subscribe(link, subject, append_take, a);

    if (a->sid == 0) {
        free(a);
        return NULL;
    }

    return a;
}


void
kmq_nats_appender_close(kmq_nats_appender_t *a)
{
    kmq_nats_link_unsubscribe(a->link, a->sid);
    free(a);
}
