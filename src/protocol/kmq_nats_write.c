/* What a NATS client sends: kmq_nats.h. */

#include <stdio.h>
#include <string.h>

#include "kmq_json.h"
#include "kmq_nats.h"


/* What has been written; at is NULL when something was wrong. */
typedef struct {
    unsigned char  *at;
    unsigned char  *end;
} nats_out_t;


static void
nats_put(nats_out_t *out, const void *bytes, size_t len)
{
    if (out->at == NULL || (size_t) (out->end - out->at) < len) {
        out->at = NULL;
        return;
    }

    memcpy(out->at, bytes, len);
    out->at += len;
}


static void
nats_put_text(nats_out_t *out, const char *text)
{
    nats_put(out, text, strlen(text));
}


static void
nats_put_number(nats_out_t *out, uint64_t number)
{
    int   len;
    char  text[24];

    len = snprintf(text, sizeof(text), "%llu", (unsigned long long) number);
    nats_put(out, text, (size_t) len);
}


static size_t
nats_written(const nats_out_t *out, const unsigned char *start)
{
    return out->at ? (size_t) (out->at - start) : 0;
}


static size_t
nats_write_text(unsigned char *to, size_t room, const char *text)
{
    nats_out_t  out = { to, to + room };

    nats_put_text(&out, text);

    return nats_written(&out, to);
}


size_t
kmq_nats_write_ping(unsigned char *to, size_t room)
{
    return nats_write_text(to, room, "PING\r\n");
}


size_t
kmq_nats_write_pong(unsigned char *to, size_t room)
{
    return nats_write_text(to, room, "PONG\r\n");
}


/* ---------------------------------------------------------------- CONNECT */

/* ,"name":"value" */
static void
nats_put_member(nats_out_t *out, const char *name, const char *value)
{
    size_t                len, used, room;
    const unsigned char  *text;

    if (value == NULL) {
        return;
    }

    nats_put_text(out, ",\"");
    nats_put_text(out, name);
    nats_put_text(out, "\":\"");

    text = (const unsigned char *) value;
    len = strlen(value);
    room = kmq_json_escaped(text, len);

    if (out->at == NULL || (size_t) (out->end - out->at) < room + 6) {
        out->at = NULL;
        return;
    }

    used = 0;
    out->at += kmq_json_escape(out->at, room + 6, text, len, &used);

    nats_put_text(out, "\"");
}


size_t
kmq_nats_write_connect(unsigned char *to, size_t room,
    const kmq_nats_connect_t *connect)
{
    nats_out_t  out = { to, to + room };

    nats_put_text(&out, "CONNECT {\"verbose\":false,\"pedantic\":false,"
                        "\"lang\":\"C\",\"version\":\"1\",\"protocol\":1,"
                        "\"headers\":true,\"no_responders\":true,"
                        "\"echo\":true,\"tls_required\":");
    nats_put_text(&out, connect->tls ? "true" : "false");

    nats_put_member(&out, "name", connect->name);
    nats_put_member(&out, "user", connect->user);
    nats_put_member(&out, "pass", connect->password);
    nats_put_member(&out, "auth_token", connect->token);
    nats_put_member(&out, "jwt", connect->jwt);
    nats_put_member(&out, "nkey", connect->nkey);
    nats_put_member(&out, "sig", connect->signature);

    nats_put_text(&out, "}\r\n");

    return nats_written(&out, to);
}


/* --------------------------------------------------------------- subjects */

/* Puts it, with a blank before it, if it is a subject. */
static void
nats_put_subject(nats_out_t *out, const char *subject)
{
    char    before;
    size_t  i;

    before = '.';

    for (i = 0; subject[i]; i++) {
        if ((unsigned char) subject[i] <= ' ' || subject[i] == '\x7f'
            || (before == '.' && subject[i] == '.'))
        {
            out->at = NULL;
        }

        before = subject[i];
    }

    if (before == '.' || i > KMQ_NATS_SUBJECT_MAX) {
        out->at = NULL;
    }

    nats_put_text(out, " ");
    nats_put(out, subject, i);
}


size_t
kmq_nats_write_sub(unsigned char *to, size_t room, const char *subject,
    uint64_t sid)
{
    nats_out_t  out = { to, to + room };

    nats_put_text(&out, "SUB");
    nats_put_subject(&out, subject);
    nats_put_text(&out, " ");
    nats_put_number(&out, sid);
    nats_put_text(&out, "\r\n");

    return nats_written(&out, to);
}


size_t
kmq_nats_write_unsub(unsigned char *to, size_t room, uint64_t sid)
{
    nats_out_t  out = { to, to + room };

    nats_put_text(&out, "UNSUB ");
    nats_put_number(&out, sid);
    nats_put_text(&out, "\r\n");

    return nats_written(&out, to);
}


/* --------------------------------------------------------------- messages */

static const char  nats_version[] = "NATS/1.0\r\n";


/* 0: it would end early, or be another one. */
static int
nats_header_good(const kmq_nats_header_t *header)
{
    const unsigned char  *p;

    for (p = (const unsigned char *) header->name; *p; p++) {
        if (*p <= ' ' || *p == ':' || *p == 0x7f) {
            return 0;
        }
    }

    if (header->name[0] == '\0') {
        return 0;
    }

    for (p = (const unsigned char *) header->value; *p; p++) {
        if (*p < ' ' || *p == 0x7f) {
            return 0;
        }
    }

    return 1;
}


static size_t
nats_headers_size(const kmq_nats_header_t *headers, unsigned n)
{
    size_t  size;

    size = sizeof(nats_version) - 1 + sizeof("\r\n") - 1;

    while (n--) {
        size += strlen(headers[n].name) + strlen(headers[n].value)
                + sizeof(": \r\n") - 1;
    }

    return size;
}


static void
nats_put_headers(nats_out_t *out, const kmq_nats_header_t *headers,
    unsigned n)
{
    unsigned  i;

    nats_put_text(out, nats_version);

    for (i = 0; i < n; i++) {
        if (!nats_header_good(&headers[i])) {
            out->at = NULL;
            return;
        }

        nats_put_text(out, headers[i].name);
        nats_put_text(out, ": ");
        nats_put_text(out, headers[i].value);
        nats_put_text(out, "\r\n");
    }

    nats_put_text(out, "\r\n");
}


size_t
kmq_nats_write_pub(unsigned char *to, size_t room, const char *subject,
    const char *reply, const kmq_nats_header_t *headers, unsigned n,
    size_t size)
{
    size_t      of_headers;
    nats_out_t  out = { to, to + room };

    nats_put_text(&out, n ? "HPUB" : "PUB");
    nats_put_subject(&out, subject);

    if (reply) {
        nats_put_subject(&out, reply);
    }

    of_headers = n ? nats_headers_size(headers, n) : 0;

    if (n) {
        nats_put_text(&out, " ");
        nats_put_number(&out, of_headers);
    }

    nats_put_text(&out, " ");
    nats_put_number(&out, of_headers + size);
    nats_put_text(&out, "\r\n");

    if (n) {
        nats_put_headers(&out, headers, n);
    }

    return nats_written(&out, to);
}
