/*
 * The transport of streams of events: what its consumers get of a batch is laid
 * out as events in one chunk, and each consumer gets its part of that.
 *
 *   id: MessageCode
 *   data: {"MessageCode":...}
 *
 * The data of messages has no line in it that ends: it is the inside of a JSON
 * string.
 */

#include "ngx_kapokmq_events_inside.h"
#include "../../protocol/kmq_json.h"


/* Around a message as JSON: its code again, and what an event is made of. */
#define NGX_KAPOKMQ_EVENT_LEN                                                 \
    (sizeof("id: \ndata: \n\n") - 1 + KMQ_CODE_LEN)


/* A batch as events: where each message stands in the chunk, and which of the
 * chunk's frames it is. */
typedef struct {
    ngx_kapokmq_chunk_t  *chunk;
    u_char                wanted[KMQ_BATCH_MESSAGES];
    size_t                start[KMQ_BATCH_MESSAGES];
    uint32_t              frame[KMQ_BATCH_MESSAGES];
} ngx_kapokmq_layout_t;


static size_t ngx_kapokmq_events_push(const kmq_batch_t *batch,
    const kmq_run_t *run, ngx_uint_t n, size_t *sent);
static size_t ngx_kapokmq_events_measure(ngx_kapokmq_layout_t *l,
    const kmq_batch_t *batch, const kmq_run_t *run, ngx_uint_t n);
static void ngx_kapokmq_events_compose(ngx_kapokmq_layout_t *l,
    const kmq_batch_t *batch);
static u_char *ngx_kapokmq_events_event(u_char *p, const kmq_message_t *m);
static size_t ngx_kapokmq_events_push_run(ngx_kapokmq_layout_t *l,
    const kmq_run_t *run);


const ngx_kapokmq_transport_t  ngx_kapokmq_events_transport = {
    ngx_kapokmq_events_push,
    NULL,
    NULL
};


/* The batch that is being pushed. */
static ngx_kapokmq_layout_t  ngx_kapokmq_layout;


static size_t
ngx_kapokmq_events_push(const kmq_batch_t *batch, const kmq_run_t *run,
    ngx_uint_t n, size_t *sent)
{
    size_t                 size;
    ngx_uint_t             i;
    ngx_kapokmq_layout_t  *l;
    ngx_kapokmq_stream_t  *s;

    l = &ngx_kapokmq_layout;

    ngx_kapokmq_compose_begin(batch);

    size = ngx_kapokmq_events_measure(l, batch, run, n);
    l->chunk = ngx_kapokmq_chunk_batch(size);

    if (l->chunk) {
        ngx_kapokmq_events_compose(l, batch);
    }

    for (i = 0; i < n; i++) {

        if (l->chunk) {
            *sent += ngx_kapokmq_events_push_run(l, &run[i]);
            continue;
        }

        /* no memory: its messages go to others */

        s = run[i].user;
        s->ours = 1;
        ngx_kapokmq_stream_pushed(s, NGX_ERROR);
    }

    ngx_kapokmq_chunk_batch_done();

    return size;
}


/* Which messages these consumers get, and how long they all are. */
static size_t
ngx_kapokmq_events_measure(ngx_kapokmq_layout_t *l, const kmq_batch_t *batch,
    const kmq_run_t *run, ngx_uint_t n)
{
    size_t      total;
    ngx_uint_t  i;

    ngx_memzero(l->wanted, batch->nmessages);

    for (i = 0; i < n; i++) {
        ngx_memset(l->wanted + run[i].first, 1, run[i].count);
    }

    total = 0;

    for (i = 0; i < batch->nmessages; i++) {

        if (l->wanted[i]) {
            l->start[i] = total;
            total += NGX_KAPOKMQ_EVENT_LEN
                     + ngx_kapokmq_compose_len(&batch->messages[i]);
        }
    }

    return total;
}


static void
ngx_kapokmq_events_compose(ngx_kapokmq_layout_t *l, const kmq_batch_t *batch)
{
    u_char               *p;
    ngx_uint_t            i, n;
    ngx_kapokmq_chunk_t  *chunk;

    chunk = l->chunk;
    n = 0;

    for (i = 0; i < batch->nmessages; i++) {

        if (!l->wanted[i]) {
            continue;
        }

        p = ngx_kapokmq_events_event(chunk->bytes + l->start[i],
                                     &batch->messages[i]);

        l->frame[i] = (uint32_t) n;
        chunk->frames[n].end = p - chunk->bytes;
        chunk->frames[n].position = batch->messages[i].position;
        n++;
    }

    chunk->nframes = n;
}


/* The code stands in the JSON, too, and is taken from there. */
static u_char *
ngx_kapokmq_events_event(u_char *p, const kmq_message_t *m)
{
    u_char  *code, *json;

    code = ngx_cpymem(p, "id: ", sizeof("id: ") - 1);
    json = ngx_cpymem(code + KMQ_CODE_LEN, "\ndata: ",
                      sizeof("\ndata: ") - 1);

    p = ngx_kapokmq_compose(json, m);
    ngx_memcpy(code, json + KMQ_PUSH_CODE_AT, KMQ_CODE_LEN);

    *p++ = '\n';
    *p++ = '\n';

    return p;
}


/* Returns the bytes that the consumer gets. */
static size_t
ngx_kapokmq_events_push_run(ngx_kapokmq_layout_t *l, const kmq_run_t *run)
{
    size_t                 start, end;
    ngx_uint_t             first;
    ngx_kapokmq_stream_t  *s;

    s = run->user;
    s->consumer.client.messages += run->count;

    first = l->frame[run->first];
    start = l->start[run->first];
    end = l->chunk->frames[first + run->count - 1].end;

    ngx_kapokmq_stream_pushed(s, ngx_kapokmq_events_send(s, l->chunk, first,
                                                         start, end));

    return end - start;
}
