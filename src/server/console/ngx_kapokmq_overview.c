/* GetOverview: the whole queue at a glance. */

#include "ngx_kapokmq_console_inside.h"


/* Topics looked at under one lock, and such looks in one turn. */
#define NGX_KAPOKMQ_OVERVIEW_SLICE  64
#define NGX_KAPOKMQ_OVERVIEW_TURN   4

/* The answer at its longest: the members, the oldest topic's name, workers. */
#define NGX_KAPOKMQ_OVERVIEW_MAX                                              \
    (4096 + 6 * KMQ_NAME_MAX + KMQ_WORKERS * 64)


/* Which topic has what waits for the longest time, as far as is known. */
typedef struct {
    uint64_t          cursor;
    uint64_t          oldest;      /* s, 0: nothing waits */
    size_t            name_len;
    char              name[KMQ_NAME_MAX];
    kmq_topic_info_t  slice[NGX_KAPOKMQ_OVERVIEW_SLICE];
} ngx_kapokmq_oldest_t;


static u_char *ngx_kapokmq_overview_fill(ngx_kapokmq_sliced_t *st, u_char *p,
    u_char *end);
static void ngx_kapokmq_overview_look(ngx_kapokmq_oldest_t *old,
    const kmq_topic_info_t *topic);
static u_char *ngx_kapokmq_overview_write(u_char *p,
    const ngx_kapokmq_oldest_t *old);
static u_char *ngx_kapokmq_overview_messages(u_char *p,
    const kmq_counts_t *n);
static u_char *ngx_kapokmq_overview_oldest(u_char *p,
    const ngx_kapokmq_oldest_t *old);
static u_char *ngx_kapokmq_overview_memory(u_char *p, const kmq_counts_t *n);
static u_char *ngx_kapokmq_overview_disk(u_char *p, const kmq_counts_t *n);
static u_char *ngx_kapokmq_overview_error(u_char *p, ngx_err_t err);
static u_char *ngx_kapokmq_overview_workers(u_char *p, const kmq_counts_t *n);


void
ngx_kapokmq_overview_get(ngx_http_request_t *r, const kmq_rights_t *rights)
{
    ngx_kapokmq_oldest_t  *old;

    (void) rights;

    old = ngx_pcalloc(r->pool, sizeof(ngx_kapokmq_oldest_t));
    if (old == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    ngx_kapokmq_sliced(r, ngx_kapokmq_overview_fill, old,
                       NGX_KAPOKMQ_OVERVIEW_MAX);
}


/* First all topics, then the answer, of one moment. */
static u_char *
ngx_kapokmq_overview_fill(ngx_kapokmq_sliced_t *st, u_char *p, u_char *end)
{
    unsigned               i, n;
    ngx_uint_t             turn;
    ngx_kapokmq_oldest_t  *old;

    (void) end;

    old = st->data;

    for (turn = 0; turn < NGX_KAPOKMQ_OVERVIEW_TURN; turn++) {

        n = kmq_topics(ngx_kapokmq_worker.kmq, &old->cursor, old->slice,
                       NGX_KAPOKMQ_OVERVIEW_SLICE);

        if (n == 0) {
            st->done = 1;
            return ngx_kapokmq_overview_write(p, old);
        }

        for (i = 0; i < n; i++) {
            ngx_kapokmq_overview_look(old, &old->slice[i]);
        }
    }

    return p;
}


static void
ngx_kapokmq_overview_look(ngx_kapokmq_oldest_t *old,
    const kmq_topic_info_t *topic)
{
    if (topic->oldest == 0 || (old->oldest && topic->oldest >= old->oldest)) {
        return;
    }

    old->oldest = topic->oldest;
    old->name_len = topic->name_len;
    ngx_memcpy(old->name, topic->name, topic->name_len);
}


static u_char *
ngx_kapokmq_overview_write(u_char *p, const ngx_kapokmq_oldest_t *old)
{
    ngx_time_t    *tp;
    kmq_counts_t   n;
    kmq_config_t  *config;

    kmq_count(ngx_kapokmq_worker.kmq, &n);

    tp = ngx_timeofday();
    config = ngx_kapokmq_worker.config;

    p = ngx_sprintf(p, "{\"code\":0,\"data\":{\"Time\":%T.%03M,"
                    "\"Version\":\"" NGX_KAPOKMQ_VERSION "\","
                    "\"StartTime\":%uL,", tp->sec, tp->msec, n.start_time);

    p = ngx_kapokmq_overview_messages(p, &n);
    p = ngx_kapokmq_overview_oldest(p, old);

    p = ngx_sprintf(p, "\"Topics\":%uL,\"Producers\":%uL,\"Consumers\":%uL,"
                    "\"Resting\":%uL,",
                    n.topics, n.producers, n.consumers, n.resting);

    p = ngx_kapokmq_overview_memory(p, &n);
    p = ngx_kapokmq_overview_disk(p, &n);
    p = ngx_kapokmq_overview_workers(p, &n);

    return ngx_sprintf(p, "\"Repairs\":%uL,\"PushType\":%uD,\"Paced\":%s}}",
                       n.repairs, config->topic.push_type,
                       config->push_messages_speed ? "true" : "false");
}


static u_char *
ngx_kapokmq_overview_messages(u_char *p, const kmq_counts_t *n)
{
    const kmq_totals_t  *t = &n->totals;

    p = ngx_sprintf(p, "\"Waiting\":%uL,\"InFlight\":%uL,\"Retrying\":%uL,"
                    "\"Delayed\":%uL,\"Consumed\":%uL,\"Dead\":%uL,",
                    n->ready, n->in_flight, n->retrying, n->delayed,
                    n->consumed, n->dead);

    p = ngx_sprintf(p, "\"Failures\":{\"end\":%uL,\"return\":%uL,"
                    "\"overdue\":%uL,\"uncharged\":%uL},",
                    n->failures[KMQ_FAILED_END],
                    n->failures[KMQ_FAILED_RETURN],
                    n->failures[KMQ_FAILED_OVERDUE],
                    n->failures[KMQ_FAILED_NOT]);

    p = ngx_sprintf(p, "\"Published\":%uL,\"Delivered\":%uL,"
                    "\"Redelivered\":%uL,\"Confirmed\":%uL,\"Died\":%uL,",
                    t->published, t->delivered, t->redelivered, t->confirmed,
                    t->died);

    return ngx_sprintf(p, "\"Expired\":%uL,\"Refused\":%uL,\"Deleted\":%uL,"
                       "\"Requeued\":%uL,\"Dropped\":%uL,",
                       t->expired, t->refused, t->deleted, t->requeued,
                       t->dropped);
}


static u_char *
ngx_kapokmq_overview_oldest(u_char *p, const ngx_kapokmq_oldest_t *old)
{
    if (old->oldest == 0) {
        return ngx_sprintf(p, "\"OldestWaiting\":null,\"OldestTopic\":null,");
    }

    p = ngx_sprintf(p, "\"OldestWaiting\":%uL,\"OldestTopic\":",
                    ngx_min(old->oldest, (uint64_t) ngx_time()));
    p = ngx_kapokmq_http_quote(p, old->name, old->name_len);
    *p++ = ',';

    return p;
}


static u_char *
ngx_kapokmq_overview_memory(u_char *p, const kmq_counts_t *n)
{
    return ngx_sprintf(p, "\"WaitingMax\":%uD,\"Zone\":{\"Size\":%uL,"
                       "\"Free\":%uL,\"History\":%uL},",
                       ngx_kapokmq_worker.config->message_chan_buffer,
                       n->bytes_total, n->bytes_free, n->bytes_history);
}


static u_char *
ngx_kapokmq_overview_disk(u_char *p, const kmq_counts_t *n)
{
    p = ngx_sprintf(p, "\"Disk\":{\"Mode\":%uD,\"Interval\":",
                    ngx_kapokmq_worker.config->is_persistent);
    p = ngx_kapokmq_http_decimal(p, ngx_kapokmq_worker.config->persistent_time
                                    / 1000.0);

    p = ngx_sprintf(p, ",\"LastFlush\":");
    p = ngx_kapokmq_http_or_null(p, n->flush_time);
    p = ngx_sprintf(p, ",\"LastCheckpoint\":");
    p = ngx_kapokmq_http_or_null(p, n->checkpoint_time);

    p = ngx_sprintf(p, ",\"JournalBytes\":%uL,\"CheckpointBytes\":%uL,"
                    "\"Error\":", n->journal_bytes, n->checkpoint_bytes);

    p = ngx_kapokmq_overview_error(p, n->disk_error);

    p = ngx_sprintf(p, ",\"ErrorCode\":");
    p = ngx_kapokmq_http_or_null(p, n->disk_error);

    return ngx_sprintf(p, "},");
}


static u_char *
ngx_kapokmq_overview_error(u_char *p, ngx_err_t err)
{
    u_char  text[NGX_MAX_ERROR_STR / 8], *last;

    if (err == 0) {
        return ngx_sprintf(p, "null");
    }

    last = ngx_strerror(err, text, sizeof(text));

    return ngx_kapokmq_http_quote(p, (char *) text, last - text);
}


static u_char *
ngx_kapokmq_overview_workers(u_char *p, const kmq_counts_t *n)
{
    uint64_t  bit;
    unsigned  i;

    p = ngx_sprintf(p, "\"Workers\":[");

    for (i = 0; i < KMQ_WORKERS; i++) {
        bit = (uint64_t) 1 << (i % 64);

        if ((n->workers[i / 64] & bit) == 0) {
            continue;
        }

        p = ngx_sprintf(p, "{\"Worker\":%uD,\"Keeper\":%s,\"Retiring\":%s},",
                        i, n->keeper == i ? "true" : "false",
                        n->retiring[i / 64] & bit ? "true" : "false");
    }

    /* the answering one is there at least */

    p -= (p[-1] == ',');

    return ngx_sprintf(p, "],");
}
