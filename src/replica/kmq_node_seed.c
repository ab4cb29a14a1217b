/*
 * A new stream is made from the files of one node, because an operator wants
 * it: he makes a file "seed" beside them, with "force" in it where other nodes
 * know of more, or are not heard.
 *
 * The stream's first entry is a claim that says so.  Whoever has followed
 * another stream sets its files aside then, and nobody else becomes primary
 * before there is a checkpoint in the stream.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../nats/kmq_jetstream.h"
#include "kmq_node_inside.h"


#define SEED_LOOK      1000        /* ms */
#define SEED_ANSWER    2000
#define SEED_QUESTION  256


static void
seed_path(const kmq_node_t *n, char path[KMQ_PATH_SIZE])
{
    (void) snprintf(path, KMQ_PATH_SIZE, "%s/seed", n->options.dir);
}


/* 0: nobody wants it; 1: he does; 2: by force. */
static int
seed_wanted(const kmq_node_t *n)
{
    int      fd;
    char     path[KMQ_PATH_SIZE], text[8];
    ssize_t  size;

    seed_path(n, path);
    fd = open(path, O_RDONLY|O_NOFOLLOW|O_NONBLOCK|O_CLOEXEC);

    if (fd == -1) {
        return 0;
    }

    size = read(fd, text, sizeof(text));
    (void) close(fd);

    return size >= 5 && memcmp(text, "force", 5) == 0 ? 2 : 1;
}


/* A later epoch than any that is known of. */
static uint32_t
seed_epoch(const kmq_node_t *n)
{
    uint32_t  i, epoch;

    epoch = n->lease.chain.claimed;

    if (n->files.own_epoch > epoch) {
        epoch = n->files.own_epoch;
    }

    for (i = 0; i < KMQ_LEASE_NODES; i++) {
        if (n->lease.peer[i].news.epoch > epoch) {
            epoch = n->lease.peer[i].news.epoch;
        }
    }

    return epoch + 1;
}


/* Have others more?  Of an empty cluster all have been heard as well. */
static int
seed_allowed(kmq_node_t *n)
{
    uint32_t  furthest;

    furthest = kmq_lease_furthest(&n->lease);

    if (furthest == n->options.node) {
        return 1;
    }

    if (furthest == KMQ_NOBODY) {
        (void) snprintf(n->reason, sizeof(n->reason), "no stream is made from "
                        "this node's files before all nodes were heard");

    } else {
        (void) snprintf(n->reason, sizeof(n->reason), "no stream is made from "
                        "this node's files, since those of node %u reach "
                        "further", furthest + 1);
    }

    if (!n->seed_told) {
        n->seed_told = 1;
        kmq_node_log(n, KMQ_LOG_ERROR, "%s", n->reason);
    }

    return 0;
}


/* The stream that there is goes. */
static int
seed_delete(kmq_node_t *n)
{
    char             subject[KMQ_JS_SUBJECT_MAX];
    kmq_nats_msg_t   answer;
    kmq_js_error_t   error;

    if (kmq_js_subject(subject, KMQ_JS_DELETE, n->options.name, NULL) != 0
        || kmq_nats_link_request(n->link, subject, NULL, 0, NULL, 0, &answer,
                                 kmq_nats_now() + SEED_ANSWER)
           != KMQ_NATS_DONE)
    {
        return -1;
    }

    return kmq_js_read_success(&answer.payload, &error) == 0
           || error.err_code == KMQ_JS_NO_STREAM ? 0 : -1;
}


/* Its first entry; it is repeated until it was read, since a stream that was
 * made just now may have no leader yet. */
static void
seed_claim(kmq_node_t *n)
{
    char              subject[KMQ_PLACE_MAX];
    kmq_body_t        body;
    unsigned char     head[KMQ_BODY_HEAD];
    kmq_js_expect_t   expect;

    memset(&body, 0, sizeof(body));

    body.entry.kind = KMQ_ENTRY_CLAIM;
    body.entry.epoch = n->seed_epoch ? n->seed_epoch : seed_epoch(n);
    body.entry.by = KMQ_CLAIM_SEEDS;
    body.entry.who = n->lease.config.who;

    kmq_body_write(head, &body);
    kmq_place_subject(subject, n->options.name, &body.entry);
    kmq_js_expect(&expect, 0);

    (void) kmq_nats_link_publish(n->link, subject, NULL, &expect.header, 1,
                                 head, sizeof(head));
}


/* Nothing that is known of another stream matters any more. */
static void
seed_forget(kmq_node_t *n, uint64_t created, uint32_t seeder)
{
    memset(&n->files.state, 0, sizeof(kmq_files_state_t));

    n->files.state.created = created;
    n->files.state.seeder = seeder;
    n->files.clean = n->files.state;
    n->files.reach = 0;
    n->files.own_epoch = 0;
    n->files.own_void = 0;
    n->files.foreign = 0;
    (void) kmq_files_save(&n->files);

    memset(&n->lease, 0, sizeof(n->lease));
    __atomic_store_n(&n->shared->known, 0, __ATOMIC_RELAXED);

    kmq_node_begin(n);
}


/* A stream was made from this node's files, and its first entry is not there
 * yet. */
static int
seed_begins(const kmq_node_t *n)
{
    return n->files.state.seeder == n->options.node + 1
           && n->lease.chain.claimed == 0;
}


unsigned
kmq_node_seeds(const kmq_node_t *n)
{
    return n->files.foreign || seed_begins(n);
}


void
kmq_node_seed(kmq_node_t *n)
{
    int       wanted;
    char      path[KMQ_PATH_SIZE];
    uint64_t  now, created;

    now = kmq_nats_now();

    if (now - n->seeded < SEED_LOOK || n->recovering || n->letting
        || n->lease.role == KMQ_LEASE_PRIMARY
        || !kmq_nats_link_connected(n->link))
    {
        return;
    }

    n->seeded = now;

    if (seed_begins(n)) {
        seed_claim(n);
    }

    wanted = seed_wanted(n);

    if (wanted == 0 || (wanted == 1 && !seed_allowed(n))) {
        return;
    }

    if (kmq_node_serves(n)) {
        /* the stream that it is primary of has gone */
        kmq_lease_closed(&n->lease, n->lease.epoch);
        return;
    }

    n->seed_epoch = seed_epoch(n);

    if (seed_delete(n) != 0 || kmq_node_make(n, &created) != 0) {
        return;
    }

    seed_path(n, path);

    if (unlink(path) == -1) {
        kmq_node_log(n, KMQ_LOG_ERROR, "removing \"%s\" failed: %s", path,
                     strerror(errno));
        return;
    }

    kmq_node_log(n, KMQ_LOG_WARN, "stream \"%s\" is made anew, from the files "
                 "of this node", n->options.name);

    seed_forget(n, created, n->options.node + 1);
    n->lease.told = wanted == 2;
    seed_claim(n);
}


void
kmq_node_seeded(kmq_node_t *n, uint64_t created, const kmq_body_t *first)
{
    kmq_node_log(n, KMQ_LOG_WARN, "stream \"%s\" was made anew from the files "
                 "of node %u", n->options.name, first->entry.who.node + 1);

    if (kmq_files_aside(&n->files) == 0) {
        seed_forget(n, created, first->entry.who.node + 1);
    }
}


/* Files of a queue that was alone are more than nothing: where no epoch has
 * begun, nobody begins one before an operator has said what becomes of them. */
static void
seed_foreign(kmq_node_t *n)
{
    uint32_t  i;

    if (!n->files.foreign) {
        return;
    }

    n->lease.owner = 1;
    n->lease.differs = 1;

    for (i = 0; i < KMQ_LEASE_NODES; i++) {
        if (n->lease.peer[i].news.epoch) {
            n->lease.owner = 0;
            n->lease.differs = 0;
        }
    }
}


/* Nothing is in the stream yet, and another node is to have the first word. */
static int
seed_awaited(const kmq_node_t *n)
{
    uint32_t                 i;
    const kmq_lease_peer_t  *peer;

    for (i = 0; i < KMQ_LEASE_NODES; i++) {
        peer = &n->lease.peer[i];

        if (i != n->options.node && peer->at && peer->news.seeds
            && n->lease.now - peer->at < 2 * (uint64_t) n->options.timeout)
        {
            return n->lease.chain.claimed == 0;
        }
    }

    return 0;
}


/* Nobody else is primary of a stream in which nothing is yet. */
void
kmq_node_wait_for_seed(kmq_node_t *n)
{
    seed_foreign(n);

    if (n->files.foreign
        || (n->files.state.seeder
            && n->files.state.seeder != n->options.node + 1)
        || seed_awaited(n))
    {
        n->lease.heard = n->lease.now;
    }
}
