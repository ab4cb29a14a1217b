/* Requests and their answers. */

#include <stdlib.h>
#include <string.h>

#include "client.h"


#define HEADERS_MAX  32


static stream_t *stream_of(int64_t id);
static void stream_submit(stream_t *s, const json_t *command);
static void nv(nghttp3_nv *field, const char *name, const char *value);
static void credit(stream_t *s, size_t n);

static int on_header(nghttp3_conn *http, int64_t id, int32_t token,
    nghttp3_rcbuf *name, nghttp3_rcbuf *value, uint8_t flags, void *user,
    void *stream);
static int on_head(nghttp3_conn *http, int64_t id, int fin, void *user,
    void *stream);
static int on_data(nghttp3_conn *http, int64_t id, const uint8_t *data,
    size_t len, void *user, void *stream);
static int on_consume(nghttp3_conn *http, int64_t id, size_t n, void *user,
    void *stream);
static int on_end(nghttp3_conn *http, int64_t id, void *user, void *stream);
static int on_gone(nghttp3_conn *http, int64_t id, uint64_t code, void *user,
    void *stream);
static int on_reset(nghttp3_conn *http, int64_t id, uint64_t code, void *user,
    void *stream);
static int on_stop(nghttp3_conn *http, int64_t id, uint64_t code, void *user,
    void *stream);
static int on_goaway(nghttp3_conn *http, int64_t id, void *user);
static nghttp3_ssize on_body(nghttp3_conn *http, int64_t id, nghttp3_vec *vec,
    size_t n, uint32_t *flags, void *user, void *stream);


/* The connection is there. */
void
http_start(void)
{
    int64_t            control, encoder, decoder;
    nghttp3_settings   settings;
    nghttp3_callbacks  callbacks;

    memset(&callbacks, 0, sizeof(callbacks));
    callbacks.recv_header = on_header;
    callbacks.end_headers = on_head;
    callbacks.recv_data = on_data;
    callbacks.deferred_consume = on_consume;
    callbacks.end_stream = on_end;
    callbacks.stream_close = on_gone;
    callbacks.reset_stream = on_reset;
    callbacks.stop_sending = on_stop;
    callbacks.shutdown = on_goaway;

    nghttp3_settings_default(&settings);

    if (nghttp3_conn_client_new(&client.http, &callbacks, &settings,
                                nghttp3_mem_default(), NULL)
        || ngtcp2_conn_open_uni_stream(client.quic, &control, NULL)
        || ngtcp2_conn_open_uni_stream(client.quic, &encoder, NULL)
        || ngtcp2_conn_open_uni_stream(client.quic, &decoder, NULL)
        || nghttp3_conn_bind_control_stream(client.http, control)
        || nghttp3_conn_bind_qpack_streams(client.http, encoder, decoder))
    {
        die("HTTP/3", "cannot be started");
    }

    tell("connected", "{}");
}


stream_t *
stream_find(const char *name)
{
    stream_t  *s;

    for (s = client.streams; s && name; s = s->next) {
        if (strcmp(s->name, name) == 0) {
            return s;
        }
    }

    return NULL;
}


static stream_t *
stream_of(int64_t id)
{
    stream_t  *s;

    for (s = client.streams; s && s->id != id; s = s->next) {
        /* void */
    }

    return s;
}


static void
stream_free(stream_t *s)
{
    part_t  *part;

    while (s->parts) {
        part = s->parts;
        s->parts = part->next;
        free(part);
    }

    json_decref(s->headers);
    free(s->name);
    free(s);
}


void
stream_free_all(void)
{
    stream_t  *s;

    while (client.streams) {
        s = client.streams;
        client.streams = s->next;
        stream_free(s);
    }
}


/* ---------------------------------------------------------------- requests */

void
stream_open(const json_t *command)
{
    stream_t    *s;
    const char  *name;

    name = json_string_value(json_object_get(command, "id"));
    s = calloc(1, sizeof(stream_t));

    if (name == NULL || s == NULL) {
        die("open", "no id, or no memory");
    }

    s->name = strdup(name);
    s->headers = json_object();
    s->last = &s->parts;
    s->paused = json_is_true(json_object_get(command, "paused"));

    if (ngtcp2_conn_open_bidi_stream(client.quic, &s->id, s)) {
        die("open", "no stream is to be had");
    }

    s->next = client.streams;
    client.streams = s;

    stream_body(s, command);
    stream_submit(s, command);
}


static void
stream_submit(stream_t *s, const json_t *command)
{
    size_t               n;
    json_t              *headers, *value;
    const char          *name;
    nghttp3_nv           fields[HEADERS_MAX];
    nghttp3_data_reader  body = { on_body };

    nv(&fields[0], ":method",
       json_string_value(json_object_get(command, "method")));
    nv(&fields[1], ":scheme", "https");
    nv(&fields[2], ":authority", "localhost");
    nv(&fields[3], ":path",
       json_string_value(json_object_get(command, "path")));

    n = 4;
    headers = json_object_get(command, "headers");

    json_object_foreach(headers, name, value) {
        if (n < HEADERS_MAX) {
            nv(&fields[n++], name, json_string_value(value));
        }
    }

    if (nghttp3_conn_submit_request(client.http, s->id, fields, n,
                                    s->parts || !s->whole ? &body : NULL, s))
    {
        die("open", "the request cannot be submitted");
    }
}


static void
nv(nghttp3_nv *field, const char *name, const char *value)
{
    if (value == NULL) {
        die("open: no value", name);
    }

    field->name = (uint8_t *) name;
    field->namelen = strlen(name);
    field->value = (uint8_t *) value;
    field->valuelen = strlen(value);
    field->flags = NGHTTP3_NV_FLAG_NONE;
}


void
stream_body(stream_t *s, const json_t *command)
{
    part_t  *part;
    json_t  *body;
    size_t   len;

    s->whole = !json_is_true(json_object_get(command, "more"));

    body = json_object_get(command, "body");
    len = json_string_length(body);

    if (len == 0) {
        return;
    }

    part = malloc(sizeof(part_t) + len);
    if (part == NULL) {
        die("body", "no memory");
    }

    part->next = NULL;
    part->len = len;
    memcpy(part->bytes, json_string_value(body), len);

    *s->last = part;
    s->last = &part->next;

    if (s->unsent == NULL) {
        s->unsent = part;
    }
}


static nghttp3_ssize
on_body(nghttp3_conn *http, int64_t id, nghttp3_vec *vec, size_t n,
    uint32_t *flags, void *user, void *stream)
{
    stream_t  *s = stream;

    (void) http;
    (void) id;
    (void) n;
    (void) user;

    if (s->unsent == NULL && !s->whole) {
        return NGHTTP3_ERR_WOULDBLOCK;
    }

    n = 0;

    if (s->unsent) {
        vec[n].base = s->unsent->bytes;
        vec[n++].len = s->unsent->len;
        s->unsent = s->unsent->next;
    }

    if (s->unsent == NULL && s->whole) {
        *flags |= NGHTTP3_DATA_FLAG_EOF;
    }

    return (nghttp3_ssize) n;
}


/* ----------------------------------------------------------------- answers */

static int
on_header(nghttp3_conn *http, int64_t id, int32_t token, nghttp3_rcbuf *name,
    nghttp3_rcbuf *value, uint8_t flags, void *user, void *stream)
{
    char         key[256];
    stream_t    *s = stream;
    nghttp3_vec  k, v;

    (void) http;
    (void) id;
    (void) token;
    (void) flags;
    (void) user;

    k = nghttp3_rcbuf_get_buf(name);
    v = nghttp3_rcbuf_get_buf(value);

    snprintf(key, sizeof(key), "%.*s", (int) k.len, (char *) k.base);

    if (strcmp(key, ":status") == 0) {
        s->status = atoi((char *) v.base);

    } else {
        json_object_set_new(s->headers, key,
                            json_stringn((char *) v.base, v.len));
    }

    return 0;
}


static int
on_head(nghttp3_conn *http, int64_t id, int fin, void *user, void *stream)
{
    stream_t  *s = stream;

    (void) http;
    (void) id;
    (void) fin;
    (void) user;

    tell("head", "{s:s,s:i,s:O}", "id", s->name, "status", s->status,
         "headers", s->headers);
    return 0;
}


static int
on_data(nghttp3_conn *http, int64_t id, const uint8_t *data, size_t len,
    void *user, void *stream)
{
    stream_t  *s = stream;

    (void) http;
    (void) id;
    (void) user;

    tell_data(s->name, data, len);
    credit(s, len);

    return 0;
}


static int
on_consume(nghttp3_conn *http, int64_t id, size_t n, void *user, void *stream)
{
    (void) http;
    (void) id;
    (void) user;

    credit(stream, n);
    return 0;
}


/* The connection has room for all. */
static void
credit(stream_t *s, size_t n)
{
    ngtcp2_conn_extend_max_offset(client.quic, n);

    if (s->paused) {
        s->unread += n;

    } else {
        ngtcp2_conn_extend_max_stream_offset(client.quic, s->id, n);
    }
}


void
stream_resume(stream_t *s)
{
    s->paused = 0;
    ngtcp2_conn_extend_max_stream_offset(client.quic, s->id, s->unread);
    s->unread = 0;
}


static int
on_end(nghttp3_conn *http, int64_t id, void *user, void *stream)
{
    stream_t  *s = stream;

    (void) http;
    (void) id;
    (void) user;

    tell("end", "{s:s}", "id", s->name);
    return 0;
}


static int
on_gone(nghttp3_conn *http, int64_t id, uint64_t code, void *user,
    void *stream)
{
    stream_t  *s, **prev;

    (void) http;
    (void) user;
    (void) stream;

    s = stream_of(id);
    if (s == NULL) {
        return 0;
    }

    tell("gone", "{s:s,s:I}", "id", s->name, "code", (json_int_t) code);

    for (prev = &client.streams; *prev != s; prev = &(*prev)->next) {
        /* void */
    }

    *prev = s->next;
    stream_free(s);

    return 0;
}


/* The answer has an error in it. */
static int
on_reset(nghttp3_conn *http, int64_t id, uint64_t code, void *user,
    void *stream)
{
    (void) http;
    (void) user;
    (void) stream;

    ngtcp2_conn_shutdown_stream_write(client.quic, id, code);
    return 0;
}


static int
on_stop(nghttp3_conn *http, int64_t id, uint64_t code, void *user,
    void *stream)
{
    (void) http;
    (void) user;
    (void) stream;

    ngtcp2_conn_shutdown_stream_read(client.quic, id, code);
    return 0;
}


static int
on_goaway(nghttp3_conn *http, int64_t id, void *user)
{
    (void) http;
    (void) user;

    tell("goaway", "{s:I}", "from", (json_int_t) id);
    return 0;
}
