/* What a node tells: beats to the others, and its status. */

#include <stdio.h>
#include <string.h>

#include "kmq_node_inside.h"


#define TELL_STATUS  100       /* ms */
#define TELL_GONE    2         /* timeouts without a beat */

/*
 * A beat, numbers with their least byte first:
 *
 *     0  "KMQB"      4      32  known      8
 *     4  version     1, 1   40  successor  4
 *     5  flags       1      44  name       1, its bytes 63
 *     6  role        1     108  address    1, its bytes 255
 *     7  zero        1
 *     8  node        4
 *    12  start       4
 *    16  epoch       4
 *    20  zero        4
 *    24  seq         8
 *
 *   364  sum of the settings' names 4, how many 4, the sum of each 4
 */
#define BEAT_NAME      44
#define BEAT_ADDRESS   108
#define BEAT_SETTINGS  364
#define BEAT_SIZE(n)   (BEAT_SETTINGS + 8 + 4 * (size_t) (n))


static uint64_t
tell_wall(void)
{
    return kmq_file_now();
}


static kmq_role_e
tell_role(const kmq_node_t *n)
{
    switch (n->lease.role) {

    case KMQ_LEASE_STANDBY:
        return n->times ? KMQ_ROLE_STANDBY : KMQ_ROLE_STARTING;

    case KMQ_LEASE_PRIMARY:
        return KMQ_ROLE_PRIMARY;

    case KMQ_LEASE_PAUSED:
        return KMQ_ROLE_PAUSED;

    case KMQ_LEASE_DEPOSED:
        return KMQ_ROLE_DEPOSED;

    case KMQ_LEASE_CANDIDATE:
        return KMQ_ROLE_STANDBY;

    default:
        return KMQ_ROLE_TAKING;
    }
}


/* ------------------------------------------------------------------ beats */

static void
beat_text(unsigned char *p, const char *text, size_t room)
{
    size_t  n;

    n = strlen(text);
    n = n < room ? n : room;

    p[0] = (unsigned char) n;
    memcpy(p + 1, text, n);
}


/* Whoever knows other settings is of another version. */
static uint32_t
beat_names(const kmq_node_options_t *options)
{
    uint32_t     i, sum;
    const char  *p;

    sum = 2166136261u;

    for (i = 0; i < options->nsettings; i++) {
        for (p = options->settings[i].name; *p; p++) {
            sum = (sum ^ (unsigned char) *p) * 16777619u;
        }

        sum = (sum ^ ' ') * 16777619u;
    }

    return sum;
}


static void
beat_settings(unsigned char *p, const kmq_node_options_t *options)
{
    uint32_t  i;

    kmq_put32(p, beat_names(options));
    kmq_put32(p + 4, options->nsettings);

    for (i = 0; i < options->nsettings; i++) {
        kmq_put32(p + 8 + 4 * i, options->settings[i].sum);
    }
}


void
kmq_node_beat(kmq_node_t *n, const kmq_news_t *news)
{
    char           subject[KMQ_PLACE_MAX];
    unsigned char  p[BEAT_SIZE(KMQ_NODE_SETTINGS)];

    memset(p, 0, sizeof(p));
    memcpy(p, "KMQB", 4);

    p[4] = 1;
    p[5] = (unsigned char) (news->active | news->primary << 1
                            | news->owner << 2 | news->tail << 3
                            | news->lacks << 4 | kmq_node_seeds(n) << 5);
    p[6] = (unsigned char) tell_role(n);

    kmq_put32(p + 8, news->from.node);
    kmq_put32(p + 12, news->from.start);
    kmq_put32(p + 16, news->epoch);
    kmq_put64(p + 24, news->seq);
    kmq_put64(p + 32, news->known);
    kmq_put32(p + 40, news->successor);

    beat_text(p + BEAT_NAME, n->options.node_name, KMQ_STATUS_NAME - 1);
    beat_text(p + BEAT_ADDRESS, n->options.address, KMQ_STATUS_ADDRESS - 1);
    beat_settings(p + BEAT_SETTINGS, &n->options);

    kmq_place_beat(subject, n->options.name);

    /* one that is not sent is missed, as one that is lost */
    (void) kmq_nats_link_publish(n->link, subject, NULL, NULL, 0, p,
                                 BEAT_SIZE(n->options.nsettings));
}


static int
beat_read(kmq_beat_t *beat, const kmq_nats_text_t *payload)
{
    kmq_news_t           *news;
    const unsigned char  *p;

    p = payload->bytes;

    if (payload->len < BEAT_SIZE(0) || memcmp(p, "KMQB", 4) != 0 || p[4] != 1
        || p[BEAT_NAME] >= KMQ_STATUS_NAME
        || (payload->len - BEAT_SIZE(0)) / 4
           != kmq_get32(p + BEAT_SETTINGS + 4))
    {
        return -1;
    }

    memset(beat, 0, sizeof(kmq_beat_t));
    news = &beat->news;

    news->active = p[5] & 1;
    news->primary = p[5] >> 1 & 1;
    news->owner = p[5] >> 2 & 1;
    news->tail = p[5] >> 3 & 1;
    news->lacks = p[5] >> 4 & 1;
    news->seeds = p[5] >> 5 & 1;
    news->from.node = kmq_get32(p + 8);
    news->from.start = kmq_get32(p + 12);
    news->epoch = kmq_get32(p + 16);
    news->seq = kmq_get64(p + 24);
    news->known = kmq_get64(p + 32);
    news->successor = kmq_get32(p + 40);

    beat->role = p[6];
    memcpy(beat->name, p + BEAT_NAME + 1, p[BEAT_NAME]);
    memcpy(beat->address, p + BEAT_ADDRESS + 1, p[BEAT_ADDRESS]);
    beat->settings = p + BEAT_SETTINGS;

    return 0;
}


/* Names what differs, for operators. */
static void
beat_differs(const kmq_node_options_t *options, const unsigned char *p,
    char differs[KMQ_STATUS_DIFFERS])
{
    size_t    used, len;
    uint32_t  i;

    differs[0] = '\0';

    if (kmq_get32(p) != beat_names(options)
        || kmq_get32(p + 4) != options->nsettings)
    {
        (void) snprintf(differs, KMQ_STATUS_DIFFERS, "version");
        return;
    }

    for (used = 0, i = 0; i < options->nsettings; i++) {

        if (kmq_get32(p + 8 + 4 * i) == options->settings[i].sum) {
            continue;
        }

        len = strlen(options->settings[i].name);

        if (used + len + 8 > KMQ_STATUS_DIFFERS) {
            (void) snprintf(differs + used, KMQ_STATUS_DIFFERS - used, ", ...");
            return;
        }

        used += (size_t) snprintf(differs + used, KMQ_STATUS_DIFFERS - used,
                                  "%s%s", used ? ", " : "",
                                  options->settings[i].name);

        if (i == 0) {
            /* it is in all sums */
            return;
        }
    }
}


static void
heard_settings(kmq_node_t *n, uint32_t node, const unsigned char *settings)
{
    char                differs[KMQ_STATUS_DIFFERS];
    kmq_status_node_t  *peer;

    peer = &n->status.peer[node];
    beat_differs(&n->options, settings, differs);

    if (strcmp(differs, peer->differs) == 0) {
        return;
    }

    memcpy(peer->differs, differs, sizeof(differs));

    if (differs[0]) {
        kmq_node_log(n, KMQ_LOG_WARN, "node %u (%s) has other settings than "
                     "this one: %s", node + 1, peer->name, differs);
    } else {
        kmq_node_log(n, KMQ_LOG_INFO, "node %u (%s) has the settings of this "
                     "one", node + 1, peer->name);
    }
}


void
kmq_node_heard(void *arg, const kmq_nats_msg_t *msg)
{
    kmq_node_t  *n = arg;

    kmq_beat_t          beat;
    kmq_status_node_t  *peer;

    if (beat_read(&beat, &msg->payload) != 0
        || beat.news.from.node >= KMQ_LEASE_NODES)
    {
        return;
    }

    peer = &n->status.peer[beat.news.from.node];

    if (beat.news.from.node == n->options.node) {

        if (strcmp(beat.address, n->options.address) != 0
            && tell_wall() - peer->heard > 60000)
        {
            peer->heard = tell_wall();
            kmq_node_log(n, KMQ_LOG_ERROR, "the node at %s has the number of "
                         "this one, too", beat.address);
        }

        return;
    }

    memcpy(peer->name, beat.name, sizeof(peer->name));
    memcpy(peer->address, beat.address, sizeof(peer->address));
    peer->role = beat.role <= KMQ_ROLE_DEPOSED ? beat.role
                                               : KMQ_ROLE_STARTING;
    peer->heard = tell_wall();
    heard_settings(n, beat.news.from.node, beat.settings);

    kmq_lease_time(&n->lease, kmq_nats_now());
    kmq_lease_news(&n->lease, &beat.news);
}


/* -------------------------------------------------------------- takeovers */

void
kmq_node_begun(kmq_node_t *n, const kmq_entry_t *entry)
{
    kmq_status_t           *status;
    kmq_status_takeover_t  *takeover;

    status = &n->status;

    memmove(&status->takeover[1], &status->takeover[0],
            (KMQ_STATUS_TAKEOVERS - 1) * sizeof(kmq_status_takeover_t));

    takeover = &status->takeover[0];
    memset(takeover, 0, sizeof(kmq_status_takeover_t));

    takeover->time = n->time / 1000000;
    takeover->epoch = entry->epoch;
    takeover->node = entry->who.node;

    if (entry->who.node == n->options.node && n->silent) {
        takeover->lasted = (uint32_t) (kmq_nats_now() - n->silent);
    }

    (void) snprintf(takeover->why, sizeof(takeover->why), "%s",
                    entry->epoch == 1 ? "the first"
                    : entry->who.node != n->options.node ? ""
                    : n->called ? "the one before stepped down"
                    : "the one before was not heard");

    status->ntakeovers++;
    n->called = 0;

    kmq_node_log(n, KMQ_LOG_INFO, "epoch %u: node %u is primary", entry->epoch,
                 entry->who.node + 1);
}


/* ----------------------------------------------------------------- status */

static void
status_peer(kmq_node_t *n, uint32_t i)
{
    uint64_t                 now;
    kmq_status_node_t       *peer;
    const kmq_lease_peer_t  *known;

    peer = &n->status.peer[i];
    known = &n->lease.peer[i];
    now = kmq_nats_now();

    if (i == n->options.node) {
        (void) snprintf(peer->name, sizeof(peer->name), "%s",
                        n->options.node_name);
        (void) snprintf(peer->address, sizeof(peer->address), "%s",
                        n->options.address);
        peer->role = tell_role(n);
        peer->epoch = kmq_node_serves(n) ? n->lease.epoch
                                         : n->lease.chain.begun;
        peer->seq = n->lease.chain.seq;
        peer->heard = tell_wall();
        peer->there = 1;
        peer->lacks = n->lease.differs || n->lease.lost;

    } else {
        peer->epoch = known->news.epoch;
        peer->seq = known->news.seq;
        peer->there = known->at
                      && now - known->at < TELL_GONE * n->options.timeout;
        peer->lacks = known->news.lacks;
    }

    peer->lag = n->status.known > peer->seq ? n->status.known - peer->seq : 0;

    /* nobody counts them: entries are taken for those that are in the stream */
    peer->lag_bytes = 0;

    if (n->status.messages) {
        peer->lag_bytes = (uint64_t) ((double) n->status.bytes
                                      * (double) peer->lag
                                      / (double) n->status.messages);
    }
}


/* Whom clients are to be handed to: who says that it is primary, of the latest
 * epoch. */
static uint32_t
status_primary(const kmq_node_t *n)
{
    uint32_t                  i, best;
    const kmq_status_node_t  *peer;

    best = KMQ_NOBODY;

    for (i = 0; i < KMQ_LEASE_NODES; i++) {
        peer = &n->status.peer[i];

        if (!peer->there
            || (peer->role != KMQ_ROLE_PRIMARY
                && peer->role != KMQ_ROLE_PAUSED)
            || peer->epoch < n->lease.chain.begun)
        {
            continue;
        }

        if (best == KMQ_NOBODY || peer->epoch > n->status.peer[best].epoch) {
            best = i;
        }
    }

    return best;
}


static void
status_reason(kmq_node_t *n)
{
    char        *reason;
    size_t       room;
    const char  *link;

    reason = n->status.reason;
    room = sizeof(n->status.reason);
    reason[0] = '\0';

    if (kmq_node_serves(n) && n->lease.role == KMQ_LEASE_PRIMARY) {
        return;
    }

    if (!kmq_nats_link_connected(n->link)) {
        link = kmq_nats_link_reason(n->link);
        (void) snprintf(reason, room, "no connection to NATS%s%s",
                        link[0] ? ": " : "", link);

    } else if (n->lease.role == KMQ_LEASE_PAUSED) {
        (void) snprintf(reason, room, "the stream does not acknowledge%s%s",
                        n->keep.reason[0] ? ": " : "", n->keep.reason);

    } else if (n->reason[0]) {
        (void) snprintf(reason, room, "%s", n->reason);

    } else if (n->files.foreign) {
        (void) snprintf(reason, room, "its files are of a queue without a "
                        "cluster");

    } else if (n->lease.blocked) {
        (void) snprintf(reason, room, "the stream lacks what nodes had");

    } else if (n->status.primary == KMQ_NOBODY) {
        (void) snprintf(reason, room, "%s",
                        n->lease.warm || n->lease.told
                        ? "no primary is heard"
                        : "not all nodes have been heard since the start");
    }
}


void
kmq_node_status(kmq_node_t *n)
{
    uint32_t                  i;
    uint64_t                  now;
    kmq_role_e                role;
    kmq_status_t             *status;
    const kmq_nats_server_t  *server;

    now = kmq_nats_now();
    status = &n->status;
    role = tell_role(n);

    if (role == status->role && now - n->told < TELL_STATUS) {
        return;
    }

    n->told = now;

    if (role != status->role || status->since == 0) {
        status->since = tell_wall();
    }

    status->role = role;
    status->node = n->options.node;
    status->nodes = n->options.nodes;
    status->epoch = n->lease.chain.begun;
    status->known = kmq_lease_known(&n->lease);
    status->blocked = n->lease.blocked;
    status->furthest = n->lease.furthest;
    status->server[0] = '\0';

    if (kmq_nats_link_connected(n->link)) {
        server = kmq_nats_link_server(n->link);
        (void) snprintf(status->server, sizeof(status->server), "%s:%u",
                        server->host, server->port);
    }

    for (i = 0; i < KMQ_LEASE_NODES; i++) {
        status_peer(n, i);
    }

    status->primary = status_primary(n);
    status_reason(n);

    kmq_status_write(&n->shared->board, status);
}
