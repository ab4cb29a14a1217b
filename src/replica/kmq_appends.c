/* The appends of one writer: kmq_appends.h. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../nats/kmq_jetstream.h"
#include "../nats/kmq_nats_socket.h"
#include "kmq_appends.h"
#include "kmq_pack.h"


#define APPENDS_RETRY     1000         /* ms without an answer */
#define APPENDS_PAUSE     100          /* after a refusal that may pass */
#define APPENDS_SOON      2
#define APPENDS_LOOK      500          /* for an answer about a place */
#define APPENDS_QUESTION  512


static kmq_appends_slot_t *
appends_slot(kmq_appends_t *a, uint64_t slot)
{
    return &a->slot[slot % KMQ_WRITER_WINDOW];
}


/* ---------------------------------------------------------------- sending */

static int
appends_send(kmq_appends_t *a, uint64_t number)
{
    int                  rc;
    char                 subject[KMQ_PLACE_MAX];
    char                 reply[KMQ_NATS_INBOX_MAX + 24];
    kmq_entry_t          entry;
    kmq_js_expect_t      expect;
    kmq_appends_slot_t  *slot;

    slot = appends_slot(a, number);

    entry.kind = KMQ_ENTRY_APPEND;
    entry.epoch = a->writer.epoch;
    entry.writer = a->writer.writer;
    entry.slot = number;

    kmq_place_subject(subject, a->name, &entry);
    (void) snprintf(reply, sizeof(reply), "%s.%llu", a->inbox,
                    (unsigned long long) number);
    kmq_js_expect(&expect, 0);

    rc = kmq_nats_link_publish(a->link, subject, reply, &expect.header, 1,
                               slot->bytes, slot->size);

    if (rc == KMQ_NATS_DONE) {
        slot->sent = kmq_nats_now();
    }

    return rc;
}


int
kmq_appends_add(kmq_appends_t *a, kmq_body_t *body)
{
    size_t               size;
    uint64_t             number;
    unsigned char       *bytes;
    kmq_appends_slot_t  *slot;

    slot = appends_slot(a, a->writer.next);
    size = KMQ_BODY_HEAD + body->size;

    if (a->writer.next - a->writer.done <= KMQ_WRITER_WINDOW
        && size > slot->room)
    {
        bytes = realloc(slot->bytes, size);
        if (bytes == NULL) {
            return -1;
        }

        slot->bytes = bytes;
        slot->room = size;
    }

    number = kmq_writer_append(&a->writer, kmq_nats_now());

    if (number == 0) {
        return 0;
    }

    body->entry.kind = KMQ_ENTRY_APPEND;
    body->entry.epoch = a->writer.epoch;
    body->entry.writer = a->writer.writer;
    body->entry.slot = number;

    slot->size = kmq_pack(slot->bytes, body);
    slot->sent = 0;
    slot->look = 0;

    /* what is not sent now is tried again */

    if (!a->fresh && a->times == kmq_nats_link_times(a->link)) {
        (void) appends_send(a, number);
    }

    return 1;
}


/* ---------------------------------------------------------------- answers */

static void
appends_refused(kmq_appends_t *a, uint64_t number,
    const kmq_js_error_t *error)
{
    kmq_appends_slot_t  *slot;

    slot = appends_slot(a, number);

    if (error->err_code == KMQ_JS_WRONG_LAST) {
        slot->look = kmq_writer_answer(&a->writer, number, KMQ_WRITER_TAKEN,
                                       0) == KMQ_WRITER_ASK;
        return;
    }

    (void) snprintf(a->reason, sizeof(a->reason), "%s",
                    error->text[0] ? error->text
                    : error->code == 503 ? "the stream has no leader"
                    : "the stream does not take it");

    slot->sent = 0;
    a->pause = kmq_nats_now()
               + (error->err_code == KMQ_JS_IN_PROCESS ? APPENDS_SOON
                                                       : APPENDS_PAUSE);
}


static void
appends_take(void *arg, const kmq_nats_msg_t *msg)
{
    kmq_appends_t  *a = arg;

    size_t           prefix;
    uint64_t         number;
    kmq_js_ack_t     ack;
    kmq_js_error_t   error;
    kmq_nats_text_t  text;

    prefix = strlen(a->inbox) + 1;

    if (msg->subject.len <= prefix) {
        return;
    }

    text.bytes = msg->subject.bytes + prefix;
    text.len = msg->subject.len - prefix;

    if (!kmq_nats_number(&text, &number) || number <= a->writer.done
        || number >= a->writer.next)
    {
        return;
    }

    memset(&error, 0, sizeof(error));
    error.code = kmq_nats_status(&msg->headers, NULL);

    if (error.code == 0
        && kmq_js_read_ack(&msg->payload, &ack, &error) == 0)
    {
        a->reason[0] = '\0';
        (void) kmq_writer_answer(&a->writer, number, KMQ_WRITER_STORED,
                                 ack.sequence);
        return;
    }

    appends_refused(a, number, &error);
}


/* --------------------------------------------------------------- looking */

/* Asks the leader for a message: 1, and it is to be freed; 0: there is none;
 * -1: no answer. */
static int
appends_get(kmq_appends_t *a, const char *of, uint64_t sequence,
    kmq_js_message_t *message)
{
    char             subject[KMQ_JS_SUBJECT_MAX], question[APPENDS_QUESTION];
    size_t           n;
    kmq_js_error_t   error;
    kmq_nats_msg_t   answer;

    n = kmq_js_write_get(question, sizeof(question), of, sequence);

    if (n == 0
        || kmq_js_subject(subject, KMQ_JS_GET, a->name, NULL) != 0
        || kmq_nats_link_request(a->link, subject, NULL, 0, question, n,
                                 &answer, kmq_nats_now() + APPENDS_LOOK)
           != KMQ_NATS_DONE)
    {
        return -1;
    }

    if (kmq_js_read_get(&answer.payload, message, &error) == 0) {
        return 1;
    }

    return error.err_code == KMQ_JS_NO_MESSAGE ? 0 : -1;
}


/* What lies in a slot: our own, since nobody else appends to this writer, or a
 * closing. */
static void
appends_look(kmq_appends_t *a, uint64_t number)
{
    int                  rc;
    char                 subject[KMQ_PLACE_MAX];
    kmq_body_t           body;
    kmq_entry_t          entry;
    kmq_js_message_t     message;
    kmq_appends_slot_t  *slot;

    slot = appends_slot(a, number);

    entry.kind = KMQ_ENTRY_APPEND;
    entry.epoch = a->writer.epoch;
    entry.writer = a->writer.writer;
    entry.slot = number;
    kmq_place_subject(subject, a->name, &entry);

    rc = appends_get(a, subject, KMQ_JS_NONE, &message);

    if (rc < 0) {
        a->pause = kmq_nats_now() + APPENDS_PAUSE;
        return;
    }

    slot->look = 0;

    if (rc == 0) {
        slot->sent = 0;
        a->pause = kmq_nats_now() + APPENDS_PAUSE;
        return;
    }

    kmq_body_read(&body, a->name, message.sequence, &message.subject,
                  &message.payload);

    kmq_writer_found(&a->writer, number,
                     body.entry.kind == KMQ_ENTRY_APPEND, message.sequence);

    kmq_js_message_free(&message);
}


/* The stream's last sequence; 0: no answer. */
static uint64_t
appends_end(kmq_appends_t *a)
{
    char                   subject[KMQ_JS_SUBJECT_MAX];
    kmq_nats_msg_t         answer;
    kmq_js_error_t         error;
    kmq_js_stream_info_t   info;

    if (kmq_js_subject(subject, KMQ_JS_INFO, a->name, NULL) != 0
        || kmq_nats_link_request(a->link, subject, NULL, 0, NULL, 0, &answer,
                                 kmq_nats_now() + APPENDS_LOOK)
           != KMQ_NATS_DONE
        || kmq_js_read_stream(&answer.payload, &info, &error) != 0)
    {
        return 0;
    }

    return info.last;
}


/* There is another connection: is what was done last still there? */
static void
appends_same(kmq_appends_t *a)
{
    int                rc;
    char               subject[KMQ_PLACE_MAX];
    kmq_entry_t        entry;
    kmq_js_message_t   message;

    if (a->writer.done == 0) {
        a->fresh = 0;
        return;
    }

    rc = appends_get(a, NULL, a->writer.seq, &message);

    if (rc == 0 && appends_end(a) >= a->writer.seq) {
        /* purged */
        a->fresh = 0;
        return;
    }

    if (rc != 1) {
        a->pause = kmq_nats_now() + APPENDS_PAUSE;
        return;
    }

    entry.kind = KMQ_ENTRY_APPEND;
    entry.epoch = a->writer.epoch;
    entry.writer = a->writer.writer;
    entry.slot = 0;
    kmq_place_subject(subject, a->name, &entry);

    /* the highest sequence may be another slot's than the last one's */

    a->fresh = 0;

    if (message.subject.len < strlen(subject) - 1
        || memcmp(message.subject.bytes, subject, strlen(subject) - 1) != 0)
    {
        a->lost = 1;
        a->writer.closed = 1;
    }

    kmq_js_message_free(&message);
}


/* ---------------------------------------------------------------- running */

static void
appends_connected(kmq_appends_t *a)
{
    unsigned  i;

    a->times = kmq_nats_link_times(a->link);
    a->fresh = 1;
    a->pause = 0;

    kmq_writer_again(&a->writer);

    for (i = 0; i < KMQ_WRITER_WINDOW; i++) {
        a->slot[i].sent = 0;
        a->slot[i].look = 0;
    }
}


int
kmq_appends_tend(kmq_appends_t *a)
{
    int                  rc;
    uint64_t             number, now;
    kmq_appends_slot_t  *slot;

    if (!kmq_nats_link_connected(a->link)) {
        return KMQ_NATS_DOWN;
    }

    if (a->times != kmq_nats_link_times(a->link)) {
        appends_connected(a);
    }

    now = kmq_nats_now();

    if (a->writer.closed || now < a->pause) {
        return KMQ_NATS_DONE;
    }

    if (a->fresh) {
        appends_same(a);

        if (a->fresh) {
            return KMQ_NATS_DONE;
        }
    }

    for (number = a->writer.done + 1; number < a->writer.next; number++) {
        slot = appends_slot(a, number);

        if (a->writer.slot[number % KMQ_WRITER_WINDOW].seq) {
            continue;
        }

        if (slot->look) {
            appends_look(a, number);

        } else if (slot->sent == 0 || now - slot->sent >= APPENDS_RETRY) {
            rc = appends_send(a, number);

            if (rc != KMQ_NATS_DONE) {
                return rc == KMQ_NATS_FULL ? KMQ_NATS_DONE : rc;
            }
        }

        if (a->writer.closed) {
            break;
        }
    }

    return KMQ_NATS_DONE;
}


int
kmq_appends_run(kmq_appends_t *a, uint64_t deadline)
{
    int       rc;
    uint64_t  until;

    rc = kmq_nats_link_connect(a->link, deadline);

    if (rc == KMQ_NATS_DONE) {
        rc = kmq_appends_tend(a);
    }

    if (rc != KMQ_NATS_DONE) {
        return rc == KMQ_NATS_NOMEM ? rc : KMQ_NATS_DOWN;
    }

    if (a->writer.closed) {
        return KMQ_NATS_DONE;
    }

    until = kmq_nats_now() + APPENDS_PAUSE;
    rc = kmq_nats_link_run(a->link, until < deadline ? until : deadline);

    return rc >= 0 || rc == KMQ_NATS_LATE ? KMQ_NATS_DONE
           : rc == KMQ_NATS_NOMEM ? rc : KMQ_NATS_DOWN;
}


int
kmq_appends_open(kmq_appends_t *a, kmq_nats_link_t *link, const char *name,
    uint32_t epoch, unsigned writer)
{
    char  subject[KMQ_NATS_INBOX_MAX + 2];

    memset(a, 0, sizeof(kmq_appends_t));

    a->link = link;
    a->name = name;
    a->times = kmq_nats_link_times(link);

    kmq_writer_init(&a->writer, epoch, writer);
    kmq_nats_link_inbox(link, a->inbox);

    (void) snprintf(subject, sizeof(subject), "%s.*", a->inbox);
    a->sid = kmq_nats_link_subscribe(link, subject, appends_take, a);

    return a->sid ? 0 : -1;
}


void
kmq_appends_close(kmq_appends_t *a)
{
    unsigned  i;

    if (a->link && a->sid) {
        kmq_nats_link_unsubscribe(a->link, a->sid);
    }

    for (i = 0; i < KMQ_WRITER_WINDOW; i++) {
        free(a->slot[i].bytes);
    }

    memset(a, 0, sizeof(kmq_appends_t));
}
