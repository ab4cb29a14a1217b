/* What consumers say of single messages, which they name by their codes: see
 * kmq_consumer_message.h. */

#include "ngx_kapokmq_deliver_inside.h"
#include "../worker/ngx_kapokmq_worker.h"
#include "../../protocol/kmq_consumer_message.h"


#define NGX_KAPOKMQ_CODES  128    /* done at once */

/* The longest answer to one that is wrong. */
#define NGX_KAPOKMQ_CODES_ERROR  100


static unsigned ngx_kapokmq_codes_do(ngx_kapokmq_consumer_t *c, unsigned n);
static ngx_uint_t ngx_kapokmq_codes_strict(ngx_kapokmq_consumer_t *c,
    kmq_said_verb_t verb);
static ngx_int_t ngx_kapokmq_codes_check(ngx_kapokmq_consumer_t *c,
    ngx_uint_t n);
static ngx_int_t ngx_kapokmq_codes_error(ngx_kapokmq_consumer_t *c,
    const char *error, const char *code);


/* Codes of the consumer that is read at the moment, and what is to be done
 * with all of them; empty between two events. */
static char             ngx_kapokmq_code[NGX_KAPOKMQ_CODES * KMQ_CODE_LEN];
static ngx_uint_t       ngx_kapokmq_ncodes;
static kmq_said_verb_t  ngx_kapokmq_verb;
static int64_t          ngx_kapokmq_return_delay;


ngx_int_t
ngx_kapokmq_codes_add(ngx_kapokmq_consumer_t *c, const u_char *data,
    size_t size)
{
    kmq_said_t   said;
    const char  *error;

    error = kmq_said_read(&said, data, size);

    if (error) {
        return ngx_kapokmq_codes_strict(c, said.verb)
               ? ngx_kapokmq_codes_error(c, error, NULL) : NGX_OK;
    }

    if (said.verb != ngx_kapokmq_verb
        || said.delay != ngx_kapokmq_return_delay)
    {
        if (ngx_kapokmq_codes_flush(c) != NGX_OK) {
            return NGX_ERROR;
        }

        ngx_kapokmq_verb = said.verb;
        ngx_kapokmq_return_delay = said.delay;
    }

    ngx_memcpy(ngx_kapokmq_code + ngx_kapokmq_ncodes * KMQ_CODE_LEN, said.code,
               KMQ_CODE_LEN);
    ngx_kapokmq_ncodes++;

    if (ngx_kapokmq_ncodes == NGX_KAPOKMQ_CODES) {
        return ngx_kapokmq_codes_flush(c);
    }

    return NGX_OK;
}


ngx_int_t
ngx_kapokmq_codes_flush(ngx_kapokmq_consumer_t *c)
{
    ngx_int_t   rc;
    ngx_uint_t  n, ncodes;

    ncodes = ngx_kapokmq_ncodes;
    ngx_kapokmq_ncodes = 0;

    if (ncodes == 0) {
        return NGX_OK;
    }

    rc = NGX_OK;

    /* what is given back is not in flight any more, and may be in flight with
     * others at once */

    if (ngx_kapokmq_verb == KMQ_SAID_RETURN) {
        rc = ngx_kapokmq_codes_check(c, ncodes);
    }

    n = ngx_kapokmq_codes_do(c, ncodes);

    if (n) {
        ngx_kapokmq_wake_producers();
    }

    if (ngx_kapokmq_verb == KMQ_SAID_CONFIRM) {
        c->confirmed += n;
    }

    if (n < ncodes && ngx_kapokmq_verb != KMQ_SAID_RETURN
        && ngx_kapokmq_codes_strict(c, ngx_kapokmq_verb))
    {
        rc = ngx_kapokmq_codes_check(c, ncodes);
    }

    return rc;
}


/* Does what was said of the first n codes; returns how many were found. */
static unsigned
ngx_kapokmq_codes_do(ngx_kapokmq_consumer_t *c, unsigned n)
{
    kmq_t  *kmq;

    kmq = ngx_kapokmq_worker.kmq;

    switch (ngx_kapokmq_verb) {

    case KMQ_SAID_EXTEND:
        return kmq_extend_codes(kmq, c->client.ref, ngx_kapokmq_code, n);

    case KMQ_SAID_RETURN:
        return kmq_return_codes(kmq, c->client.ref, ngx_kapokmq_code, n,
                                ngx_kapokmq_return_delay < 0
                                ? KMQ_BACK_OFF : ngx_kapokmq_return_delay);

    default:
        return kmq_confirm_codes(kmq, c->client.ref, ngx_kapokmq_code, n);
    }
}


void
ngx_kapokmq_codes_drop(void)
{
    ngx_kapokmq_ncodes = 0;
}


/* Is it an error to name what is not in flight?  Clients of the original
 * confirm what a pong has confirmed already, without a sign. */
static ngx_uint_t
ngx_kapokmq_codes_strict(ngx_kapokmq_consumer_t *c, kmq_said_verb_t verb)
{
    return c->confirm == KMQ_CONFIRM_ACK || verb != KMQ_SAID_CONFIRM;
}


/* Answers those of the codes that are wrong. */
static ngx_int_t
ngx_kapokmq_codes_check(ngx_kapokmq_consumer_t *c, ngx_uint_t n)
{
    char        *code;
    ngx_uint_t   i;

    for (i = 0; i < n; i++) {
        code = ngx_kapokmq_code + i * KMQ_CODE_LEN;

        if (kmq_code_wrong(ngx_kapokmq_worker.kmq, c->client.ref, code,
                           ngx_kapokmq_verb == KMQ_SAID_CONFIRM)
            && ngx_kapokmq_codes_error(c, "not in flight with this "
                                       "consumer: ", code)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* The code comes from the client, and need not even be text. */
static ngx_int_t
ngx_kapokmq_codes_error(ngx_kapokmq_consumer_t *c, const char *error,
    const char *code)
{
    u_char      *p, text[NGX_KAPOKMQ_CODES_ERROR];
    ngx_uint_t   i;

    p = ngx_sprintf(text, "error: %s", error);

    for (i = 0; code && i < KMQ_CODE_LEN; i++) {
        *p++ = (code[i] >= 0x20 && code[i] < 0x7f) ? code[i] : '?';
    }

    return c->transport->refuse(c, text, p - text);
}
