/* The console's statistics by minute, hour and day. */

#include "ngx_kapokmq_console_inside.h"


#define NGX_KAPOKMQ_MINUTE      60
#define NGX_KAPOKMQ_HOUR        (60 * NGX_KAPOKMQ_MINUTE)

/* A period at its longest. */
#define NGX_KAPOKMQ_PERIOD_MAX  (5 * NGX_INT64_LEN + 80)


/* A unit of GetGrowth. */
typedef struct {
    unsigned              number;      /* KMQ_UNIT_... */
    uint32_t              seconds;
    ngx_int_t             count;       /* periods unless said otherwise */
    ngx_int_t             max;
} ngx_kapokmq_unit_t;

/* Where the answer stands. */
typedef struct {
    uint32_t              seconds;
    ngx_uint_t            next;
    ngx_uint_t            n;
    kmq_period_t          period[1];   /* n of them */
} ngx_kapokmq_growth_t;


static u_char *ngx_kapokmq_growth_fill(ngx_kapokmq_sliced_t *st, u_char *p,
    u_char *end);
static u_char *ngx_kapokmq_growth_period(u_char *p, const kmq_period_t *period,
    uint32_t seconds);
static u_char *ngx_kapokmq_growth_recent(u_char *p,
    const kmq_period_t *periods, ngx_uint_t n, uint32_t seconds);


static const char *const  ngx_kapokmq_unit_names[] = {
    "minute", "hour", NULL
};

static const ngx_kapokmq_unit_t  ngx_kapokmq_units[] = {
    { KMQ_UNIT_MINUTE, NGX_KAPOKMQ_MINUTE, 60, KMQ_MINUTES },
    { KMQ_UNIT_HOUR, NGX_KAPOKMQ_HOUR, 7 * 24, KMQ_HOURS }
};


void
ngx_kapokmq_growth_get(ngx_http_request_t *r, const kmq_rights_t *rights)
{
    ngx_int_t                  count;
    ngx_uint_t                 choice;
    ngx_kapokmq_growth_t      *growth;
    const ngx_kapokmq_unit_t  *unit;

    kmq_field_t  fields[] = {
        { "unit", NULL, 0 },
        { "count", NULL, 0 }
    };

    (void) rights;

    choice = 1;

    if (ngx_kapokmq_http_fields(r, fields, 2) != NGX_OK
        || ngx_kapokmq_field_choice(r, &fields[0], ngx_kapokmq_unit_names,
                                    "minute or hour", &choice)
           != NGX_OK)
    {
        return;
    }

    unit = &ngx_kapokmq_units[choice];
    count = unit->count;

    if (ngx_kapokmq_field_number(r, &fields[1], 1, unit->max, &count)
        != NGX_OK)
    {
        return;
    }

    growth = ngx_pcalloc(r->pool, sizeof(ngx_kapokmq_growth_t)
                                  + count * sizeof(kmq_period_t));
    if (growth == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    growth->seconds = unit->seconds;
    growth->n = count;

    kmq_growth(ngx_kapokmq_worker.kmq, unit->number, growth->period,
               (unsigned) count);

    ngx_kapokmq_sliced(r, ngx_kapokmq_growth_fill, growth,
                       NGX_KAPOKMQ_PERIOD_MAX);
}


static u_char *
ngx_kapokmq_growth_fill(ngx_kapokmq_sliced_t *st, u_char *p, u_char *end)
{
    kmq_period_t          *period;
    ngx_kapokmq_growth_t  *growth;

    growth = st->data;

    if (growth->next == 0) {
        p = ngx_sprintf(p, "{\"code\":0,\"data\":[");
    }

    while (p < end) {
        period = &growth->period[growth->next++];

        p = ngx_kapokmq_growth_period(p, period, growth->seconds);
        p = ngx_sprintf(p, ",\"Backlog\":");

        p = (period->backlog == KMQ_UNKNOWN)
            ? ngx_sprintf(p, "null")
            : ngx_sprintf(p, "%uL", period->backlog);

        *p++ = '}';

        if (growth->next == growth->n) {
            st->done = 1;
            return ngx_sprintf(p, "]}");
        }

        *p++ = ',';
    }

    return p;
}


/* A period, without the brace at its end. */
static u_char *
ngx_kapokmq_growth_period(u_char *p, const kmq_period_t *period,
    uint32_t seconds)
{
    return ngx_sprintf(p, "{\"Time\":%uL,\"Published\":%uL,"
                       "\"Delivered\":%uL,\"Confirmed\":%uL",
                       period->number * seconds, period->published,
                       period->delivered, period->confirmed);
}


u_char *
ngx_kapokmq_growth_topic(u_char *p, const kmq_topic_detail_t *detail)
{
    p = ngx_sprintf(p, ",\"Minutes\":[");
    p = ngx_kapokmq_growth_recent(p, detail->minute, KMQ_TOPIC_MINUTES,
                                  NGX_KAPOKMQ_MINUTE);

    p = ngx_sprintf(p, "],\"Hours\":[");
    p = ngx_kapokmq_growth_recent(p, detail->hour, KMQ_TOPIC_HOURS,
                                  NGX_KAPOKMQ_HOUR);

    *p++ = ']';

    return p;
}


/* A topic's last n periods, those in which something happened; the engine
 * gives some older ones and empty places among them. */
static u_char *
ngx_kapokmq_growth_recent(u_char *p, const kmq_period_t *periods,
    ngx_uint_t n, uint32_t seconds)
{
    uint64_t             number, now;
    ngx_uint_t           listed;
    const kmq_period_t  *period;

    now = ngx_time() / seconds;
    listed = 0;

    for (number = now + 1 - n; number <= now; number++) {
        period = &periods[number % n];

        if (period->number != number
            || (period->published | period->delivered | period->confirmed)
               == 0)
        {
            continue;
        }

        if (listed++) {
            *p++ = ',';
        }

        p = ngx_kapokmq_growth_period(p, period, seconds);

        if (seconds == NGX_KAPOKMQ_MINUTE) {
            p = (period->backlog == KMQ_UNKNOWN)
                ? ngx_sprintf(p, ",\"Before\":null")
                : ngx_sprintf(p, ",\"Before\":%uL", period->backlog);
        }

        *p++ = '}';
    }

    return p;
}
