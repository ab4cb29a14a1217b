/* Consumers that are pushed all messages in order: kmq_jetstream.h. */

#include <string.h>

#include "kmq_jetstream_inside.h"


#define JS_NANOSECONDS  1000000
#define JS_HEARTBEATS   10         /* without anybody who listens: forgotten */
#define JS_CONTROL      100        /* status of what is no message */

/* $JS.ACK.STREAM.CONSUMER.DELIVERIES.SEQUENCE.PUSHED.TIME.PENDING, and two
 * tokens more, domain and account, where these have names. */
#define JS_ACK          "$JS.ACK."
#define JS_ACK_TOKENS   9
#define JS_ACK_MORE     2


size_t
kmq_js_write_consumer(char *to, size_t room,
    const kmq_js_consumer_t *consumer)
{
    json_int_t  heartbeat;

    heartbeat = (json_int_t) consumer->heartbeat * JS_NANOSECONDS;

    return kmq_js_dump(to, room,
        json_pack("{s:s, s:{s:s, s:s, s:I, s:s, s:i, s:b, s:I, s:I, s:i, s:b,"
                  " s:s, s:s*}}",
                  "stream_name", consumer->stream, "config",
                  "deliver_subject", consumer->deliver,
                  "deliver_policy", "by_start_sequence",
                  "opt_start_seq", (json_int_t) consumer->from,
                  "ack_policy", "none",
                  "max_deliver", 1,
                  "flow_control", 1,
                  "idle_heartbeat", heartbeat,
                  "inactive_threshold", JS_HEARTBEATS * heartbeat,
                  "num_replicas", 1,
                  "mem_storage", 1,
                  "replay_policy", "instant",
                  "filter_subject", consumer->subject));
}


int
kmq_js_read_consumer(const kmq_nats_text_t *payload,
    char name[KMQ_JS_NAME_MAX], kmq_js_error_t *error)
{
    json_t  *json;

    json = kmq_js_load(payload, error);

    if (json == NULL) {
        return -1;
    }

    kmq_js_copy(name, KMQ_JS_NAME_MAX, json, "name");
    json_decref(json);

    return name[0] ? 0 : kmq_js_senseless(error, "a consumer without name");
}


void
kmq_js_ordered_begin(kmq_js_ordered_t *ordered, uint64_t from)
{
    ordered->next = from;
    ordered->pushed = 0;
    ordered->pending = 0;
    ordered->time = 0;
}


/* Splits a subject at its dots into at most max tokens; how many. */
static unsigned
js_tokens(kmq_nats_text_t *tokens, unsigned max, const kmq_nats_text_t *text)
{
    unsigned              n;
    const unsigned char  *p, *end, *dot;

    p = text->bytes;
    end = p + text->len;

    for (n = 0; n < max && p < end; n++) {
        dot = memchr(p, '.', (size_t) (end - p));
        tokens[n].bytes = p;
        tokens[n].len = (size_t) ((dot ? dot : end) - p);
        p = dot ? dot + 1 : end;
    }

    return n;
}


/* A message of the stream, by what its reply subject says. */
static kmq_js_pushed_e
js_ordered_message(kmq_js_ordered_t *ordered, const kmq_nats_text_t *reply,
    uint64_t *sequence)
{
    unsigned         n;
    uint64_t         pushed, pending, time;
    kmq_nats_text_t  tokens[JS_ACK_TOKENS + JS_ACK_MORE + 1], *t;

    if (reply->len < sizeof(JS_ACK)
        || memcmp(reply->bytes, JS_ACK, sizeof(JS_ACK) - 1) != 0)
    {
        return KMQ_JS_OTHER;
    }

    n = js_tokens(tokens, JS_ACK_TOKENS + JS_ACK_MORE + 1, reply);
    t = tokens + (n > JS_ACK_TOKENS ? JS_ACK_MORE : 0);

    if (n < JS_ACK_TOKENS
        || (n > JS_ACK_TOKENS && n < JS_ACK_TOKENS + JS_ACK_MORE)
        || !kmq_nats_number(&t[5], sequence)
        || !kmq_nats_number(&t[6], &pushed)
        || !kmq_nats_number(&t[7], &time)
        || !kmq_nats_number(&t[8], &pending))
    {
        return KMQ_JS_OTHER;
    }

    if (pushed != ordered->pushed + 1 || *sequence < ordered->next) {
        return KMQ_JS_GAP;
    }

    ordered->pushed = pushed;
    ordered->next = *sequence + 1;
    ordered->pending = pending;
    ordered->time = time;

    return KMQ_JS_MESSAGE;
}


/* A heartbeat, or a question whether we keep up. */
static kmq_js_pushed_e
js_ordered_control(kmq_js_ordered_t *ordered, const kmq_nats_msg_t *msg,
    kmq_nats_text_t *answer)
{
    uint64_t         pushed;
    kmq_nats_text_t  last;

    if (msg->reply.len) {
        *answer = msg->reply;
        return KMQ_JS_FLOW;
    }

    if (!kmq_nats_header(&msg->headers, "Nats-Last-Consumer", &last)
        || !kmq_nats_number(&last, &pushed))
    {
        return KMQ_JS_OTHER;
    }

    if (pushed != ordered->pushed) {
        return KMQ_JS_GAP;
    }

    return kmq_nats_header(&msg->headers, "Nats-Consumer-Stalled", answer)
           ? KMQ_JS_FLOW : KMQ_JS_IDLE;
}


kmq_js_pushed_e
kmq_js_ordered_see(kmq_js_ordered_t *ordered, const kmq_nats_msg_t *msg,
    uint64_t *sequence, kmq_nats_text_t *answer)
{
    unsigned  status;

    status = kmq_nats_status(&msg->headers, NULL);

    return status == JS_CONTROL ? js_ordered_control(ordered, msg, answer)
           : status ? KMQ_JS_OTHER
           : js_ordered_message(ordered, &msg->reply, sequence);
}
