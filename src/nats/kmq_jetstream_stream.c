/* Streams: their configuration, their state, purging: kmq_jetstream.h. */

#include <string.h>

#include "kmq_jetstream_inside.h"


#define JS_NANOSECONDS  1000000    /* of a millisecond */


/* ----------------------------------------------------------- configuration */

static json_t *
js_subjects(const kmq_js_stream_t *stream)
{
    json_t    *list;
    unsigned   i;

    list = json_array();

    for (i = 0; list && i < stream->n_subjects; i++) {
        if (json_array_append_new(list, json_string(stream->subjects[i]))
            != 0)
        {
            json_decref(list);
            return NULL;
        }
    }

    return list;
}


static json_int_t
js_limit(uint64_t limit)
{
    return limit ? (json_int_t) limit : -1;
}


size_t
kmq_js_write_stream(char *to, size_t room, const kmq_js_stream_t *stream)
{
    json_t  *json, *subjects;

    subjects = js_subjects(stream);

    if (subjects == NULL) {
        return 0;
    }

    json = json_pack("{s:s, s:o, s:s, s:s, s:s, s:i, s:I, s:I, s:b}",
                     "name", stream->name,
                     "subjects", subjects,
                     "retention", "limits",
                     "storage", "file",
                     "discard", "new",
                     "num_replicas", (int) stream->replicas,
                     "max_bytes", js_limit(stream->max_bytes),
                     "max_msg_size", js_limit(stream->max_message),
                     "allow_direct", stream->direct);

    return kmq_js_dump(to, room, json);
}


/* ------------------------------------------------------------------- state */

static void
js_peers(kmq_js_stream_info_t *info, const json_t *cluster)
{
    size_t          i;
    const json_t   *list, *one;
    kmq_js_peer_t  *peer;

    list = json_object_get(cluster, "replicas");

    for (i = 0; i < json_array_size(list) && i < KMQ_JS_PEERS_MAX; i++) {
        one = json_array_get(list, i);
        peer = &info->peers[info->n_peers++];

        kmq_js_copy(peer->name, sizeof(peer->name), one, "name");
        peer->lag = kmq_js_number(one, "lag");
        peer->silent = kmq_js_number(one, "active") / JS_NANOSECONDS;
        peer->current = json_is_true(json_object_get(one, "current"));
        peer->offline = json_is_true(json_object_get(one, "offline"));
    }
}


int
kmq_js_read_stream(const kmq_nats_text_t *payload, kmq_js_stream_info_t *info,
    kmq_js_error_t *error)
{
    json_t        *json;
    const json_t  *state, *config, *cluster;

    memset(info, 0, sizeof(kmq_js_stream_info_t));
    json = kmq_js_load(payload, error);

    if (json == NULL) {
        return -1;
    }

    state = json_object_get(json, "state");
    config = json_object_get(json, "config");
    cluster = json_object_get(json, "cluster");

    if (!json_is_object(state) || !json_is_object(config)) {
        json_decref(json);
        return kmq_js_senseless(error, "a stream without its state");
    }

    info->messages = kmq_js_number(state, "messages");
    info->bytes = kmq_js_number(state, "bytes");
    info->first = kmq_js_number(state, "first_seq");
    info->last = kmq_js_number(state, "last_seq");
    info->max_bytes = kmq_js_number(config, "max_bytes");
    info->created = kmq_js_time(json, "created");
    info->replicas = (unsigned) kmq_js_number(config, "num_replicas");
    kmq_js_copy(info->leader, sizeof(info->leader), cluster, "leader");
    js_peers(info, cluster);

    json_decref(json);

    return 0;
}


/* ----------------------------------------------------------------- purging */

size_t
kmq_js_write_purge(char *to, size_t room, const char *subject,
    uint64_t before)
{
    /* a member that is NULL is left out */

    return kmq_js_dump(to, room,
               json_pack("{s:s*, s:o*}", "filter", subject, "seq",
                         before ? json_integer((json_int_t) before) : NULL));
}


int
kmq_js_read_purge(const kmq_nats_text_t *payload, uint64_t *purged,
    kmq_js_error_t *error)
{
    json_t  *json;

    if (kmq_js_read_success(payload, error) != 0) {
        return -1;
    }

    json = kmq_js_load(payload, error);
    *purged = kmq_js_number(json, "purged");
    json_decref(json);

    return 0;
}
