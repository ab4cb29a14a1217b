/* What a server says of itself: kmq_nats_link.h. */

#include <arpa/inet.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "kmq_nats_link_inside.h"


/* Copies a text if there is one, and if it has room. */
static void
info_text(char *to, size_t room, const json_t *value)
{
    to[0] = '\0';

    if (json_is_string(value) && json_string_length(value) < room) {
        memcpy(to, json_string_value(value), json_string_length(value) + 1);
    }
}


/* "10.0.0.1:4222", "[::1]:4222": 0; -1: neither, a name maybe. */
static int
info_server(kmq_nats_server_t *server, const char *url)
{
    int             len;
    unsigned        port;
    const char     *colon;
    unsigned char   address[sizeof(struct in6_addr)];

    memset(server, 0, sizeof(kmq_nats_server_t));
    colon = strrchr(url, ':');

    if (colon == NULL || sscanf(colon, ":%5u", &port) != 1
        || port == 0 || port > 65535)
    {
        return -1;
    }

    len = (int) (colon - url);

    if (len > 2 && url[0] == '[' && url[len - 1] == ']') {
        url++;
        len -= 2;
    }

    if ((size_t) len >= sizeof(server->host)) {
        return -1;
    }

    memcpy(server->host, url, (size_t) len);
    server->port = (uint16_t) port;

    return inet_pton(AF_INET, server->host, address) == 1
           || inet_pton(AF_INET6, server->host, address) == 1 ? 0 : -1;
}


/* Adds a server that is not known yet, while there is room for it. */
static void
info_add(kmq_nats_link_t *link, const kmq_nats_server_t *server)
{
    unsigned  i;

    for (i = 0; i < link->n_servers; i++) {
        if (strcmp(link->servers[i].host, server->host) == 0
            && link->servers[i].port == server->port)
        {
            return;
        }
    }

    if (link->n_servers < KMQ_NATS_SERVERS_MAX) {
        link->servers[link->n_servers++] = *server;
    }
}


static void
info_learn(kmq_nats_link_t *link, const json_t *urls)
{
    size_t              i;
    const char         *url;
    kmq_nats_server_t   server;

    for (i = 0; i < json_array_size(urls); i++) {
        url = json_string_value(json_array_get(urls, i));

        if (url && info_server(&server, url) == 0) {
            info_add(link, &server);
        }
    }
}


int
kmq_nats_link_read_info(kmq_nats_link_t *link, const kmq_nats_text_t *text)
{
    json_t           *json;
    kmq_nats_info_t  *info;

    json = json_loadb((const char *) text->bytes, text->len, 0, NULL);

    if (!json_is_object(json)) {
        json_decref(json);
        return -1;
    }

    info = &link->info;
    memset(info, 0, sizeof(kmq_nats_info_t));

    info_text(info->server, sizeof(info->server),
              json_object_get(json, "server_name"));
    info_text(info->version, sizeof(info->version),
              json_object_get(json, "version"));
    info_text(info->nonce, sizeof(info->nonce),
              json_object_get(json, "nonce"));

    info->max_payload = (uint64_t) json_integer_value(
                                   json_object_get(json, "max_payload"));
    info->headers = json_is_true(json_object_get(json, "headers"));
    info->jetstream = json_is_true(json_object_get(json, "jetstream"));
    info->tls_required = json_is_true(json_object_get(json, "tls_required"));
    info->tls_available = json_is_true(json_object_get(json,
                                                       "tls_available"));
    info->leaving = json_is_true(json_object_get(json, "ldm"));

    if (link->options.learn) {
        info_learn(link, json_object_get(json, "connect_urls"));
    }

    json_decref(json);

    return 0;
}


int
kmq_nats_info_before(const kmq_nats_info_t *info, unsigned major,
    unsigned minor, unsigned patch)
{
    unsigned  have[3];

    if (sscanf(info->version, "%3u.%3u.%3u", &have[0], &have[1], &have[2])
        != 3)
    {
        return 0;
    }

    if (have[0] != major) {
        return have[0] < major;
    }

    return have[1] == minor ? have[2] < patch : have[1] < minor;
}
