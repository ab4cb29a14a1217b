/* A node reads the stream: connecting, comparing, following, marks. */

#include <stdio.h>
#include <string.h>

#include "../nats/kmq_jetstream.h"
#include "kmq_node_inside.h"


#define READ_CONNECT   250         /* ms, of one try */
#define READ_ANSWER    500
#define READ_AGAIN     200         /* after a check that failed */
#define READ_LOOK      5000        /* between looks at the stream's state */
#define READ_QUESTION  1024


/* --------------------------------------------------------------- questions */

static int
read_ask(kmq_node_t *n, const char *verb, const void *question, size_t size,
    kmq_nats_msg_t *answer, uint64_t deadline)
{
    int   rc;
    char  subject[KMQ_JS_SUBJECT_MAX];

    if (kmq_js_subject(subject, verb, n->options.name, NULL) != 0) {
        return -1;
    }

    rc = kmq_nats_link_request(n->link, subject, NULL, 0, question, size,
                               answer, deadline);

    /* that may have taken a while */
    kmq_lease_time(&n->lease, kmq_nats_now());

    if (rc == KMQ_NATS_NOBODY) {
        (void) snprintf(n->reason, sizeof(n->reason),
                        "JetStream does not answer");
    }

    return rc == KMQ_NATS_DONE ? 0 : -1;
}


static void
read_state(kmq_node_t *n, const kmq_js_stream_info_t *info)
{
    unsigned       i;
    kmq_status_t  *status;

    status = &n->status;

    (void) snprintf(status->leader, sizeof(status->leader), "%.*s",
                    (int) sizeof(status->leader) - 1, info->leader);
    status->replicas = info->replicas;
    status->current = info->leader[0] != '\0' || info->replicas == 1;
    status->messages = info->messages;
    status->bytes = info->bytes;

    for (i = 0; i < info->n_peers; i++) {
        status->current += info->peers[i].current && !info->peers[i].offline;
    }

    n->looked = kmq_nats_now();
}


/* 1 and what the leader says of the stream; 0: there is none; -1: no
 * answer. */
static int
read_info(kmq_node_t *n, kmq_js_stream_info_t *info, uint64_t deadline)
{
    kmq_nats_msg_t  answer;
    kmq_js_error_t  error;

    if (read_ask(n, KMQ_JS_INFO, NULL, 0, &answer, deadline) != 0) {
        return -1;
    }

    if (kmq_js_read_stream(&answer.payload, info, &error) == 0) {
        read_state(n, info);
        return 1;
    }

    if (error.err_code == KMQ_JS_NO_STREAM) {
        return 0;
    }

    (void) snprintf(n->reason, sizeof(n->reason), "the stream: %s",
                    error.text);

    return -1;
}


uint64_t
kmq_node_look(kmq_node_t *n, uint64_t deadline)
{
    kmq_js_stream_info_t  info;

    if (read_info(n, &info, deadline) != 1) {
        return UINT64_MAX;
    }

    if (n->files.state.created && info.created
        && info.created != n->files.state.created)
    {
        /* it is another one: that is to be said */
        n->times = 0;
        return UINT64_MAX;
    }

    return info.last;
}


int
kmq_node_make(kmq_node_t *n, uint64_t *created)
{
    char              all[KMQ_PLACE_MAX], question[READ_QUESTION];
    size_t            size;
    const char       *subjects[1];
    kmq_nats_msg_t    answer;
    kmq_js_error_t    error;
    kmq_js_stream_t   stream;

    kmq_js_stream_info_t  info;

    memset(&stream, 0, sizeof(stream));
    kmq_place_all(all, n->options.name);
    subjects[0] = all;

    stream.name = n->options.name;
    stream.subjects = subjects;
    stream.n_subjects = 1;
    stream.replicas = n->options.replicas;

    size = kmq_js_write_stream(question, sizeof(question), &stream);

    if (size == 0
        || read_ask(n, KMQ_JS_CREATE, question, size, &answer,
                    kmq_nats_now() + 4 * READ_ANSWER)
           != 0)
    {
        return -1;
    }

    if (kmq_js_read_stream(&answer.payload, &info, &error) != 0) {
        (void) snprintf(n->reason, sizeof(n->reason), "the stream: %s",
                        error.text);
        return -1;
    }

    *created = info.created;
    kmq_node_log(n, KMQ_LOG_INFO, "stream \"%s\" was made, with %u replicas",
                 n->options.name, n->options.replicas);

    return 0;
}


/*
 * Is it this node that makes the stream, where there is none?  Two who do so at
 * once may get a stream each, of the same name, and JetStream takes the later
 * one in the end, without what was in the other.  So the lowest one does; the
 * next ones after it had its time.  Who hears of somebody that has followed a
 * stream knows that it was lost; and of somebody that has the files of a queue,
 * that an operator is to say what becomes of them.
 */
static int
read_makes(const kmq_node_t *n)
{
    uint32_t                 i, before;
    uint64_t                 patience;
    const kmq_lease_peer_t  *peer;

    before = 0;

    for (i = 0; i < KMQ_LEASE_NODES; i++) {
        peer = &n->lease.peer[i];

        if (peer->at == 0) {
            continue;
        }

        if (peer->news.known || peer->news.epoch || peer->news.seeds) {
            return 0;
        }

        before += i < n->options.node;
    }

    /* time to hear the others */
    patience = n->options.timeout / 2 + before * 2 * n->options.timeout;

    return kmq_nats_now() - n->linked >= patience;
}


/* ---------------------------------------------------------------- checking */

/* Another stream: was it made from a node's files? */
static int
read_seeded(kmq_node_t *n, uint64_t created)
{
    char               question[READ_QUESTION];
    size_t             size;
    kmq_body_t         first;
    kmq_nats_msg_t     answer;
    kmq_js_error_t     error;
    kmq_js_message_t   message;

    size = kmq_js_write_get(question, sizeof(question), NULL, 1);

    if (read_ask(n, KMQ_JS_GET, question, size, &answer,
                 kmq_nats_now() + READ_ANSWER)
        != 0
        || kmq_js_read_get(&answer.payload, &message, &error) != 0)
    {
        return 0;
    }

    kmq_body_read(&first, n->options.name, 1, &message.subject,
                  &message.payload);
    kmq_js_message_free(&message);

    if (first.entry.kind != KMQ_ENTRY_CLAIM
        || first.entry.by != KMQ_CLAIM_SEEDS)
    {
        return 0;
    }

    kmq_node_seeded(n, created, &first);

    return 1;
}


static void
read_differs(kmq_node_t *n, const char *why)
{
    if (!n->files.state.differs) {
        kmq_node_log(n, KMQ_LOG_ERROR, "stream \"%s\" is not the one that this "
                     "node has followed: %s; nothing is read of it",
                     n->options.name, why);

        n->files.state.differs = 1;
        n->files.clean.differs = 1;
        (void) kmq_files_save(&n->files);
    }

    kmq_lease_differs(&n->lease);
}


/* The entry where reading left off is the same: 1; 0: no answer; -1: it is
 * another; -2: there is none. */
static int
read_entry_same(kmq_node_t *n)
{
    int                rc;
    char               question[READ_QUESTION];
    size_t             size;
    uint64_t           time;
    kmq_nats_msg_t     answer;
    kmq_js_error_t     error;
    kmq_js_message_t   message;

    size = kmq_js_write_get(question, sizeof(question), NULL,
                            n->lease.chain.seq);

    if (read_ask(n, KMQ_JS_GET, question, size, &answer,
                 kmq_nats_now() + READ_ANSWER)
        != 0)
    {
        return 0;
    }

    rc = kmq_js_read_get(&answer.payload, &message, &error);

    if (rc != 0) {
        return error.err_code == KMQ_JS_NO_MESSAGE ? -2 : 0;
    }

    time = message.time;
    kmq_js_message_free(&message);

    return time == n->time ? 1 : -1;
}


/* The same, of a stream that goes on behind it: who is not there was purged. */
static int
read_same(kmq_node_t *n)
{
    int  rc;

    if (n->lease.chain.seq == 0 || n->time == 0) {
        return 1;
    }

    rc = read_entry_same(n);

    return rc == -2 ? 1 : rc;
}


/* The stream was made at another time: servers may disagree on that, so what
 * is in it decides. */
static void
read_made(kmq_node_t *n, uint64_t created)
{
    int  rc;

    if (n->lease.chain.seq == 0) {
        rc = n->lease.known == 0 ? 1 : -1;

    } else {
        rc = n->time ? read_entry_same(n) : -1;
    }

    if (rc < 0) {
        read_differs(n, "it was made later");

    } else if (rc == 1) {
        kmq_node_log(n, KMQ_LOG_WARN, "stream \"%s\" is said to have been "
                     "made at another time, and has what this node has read",
                     n->options.name);

        n->files.state.created = created;
        n->files.clean.created = created;
        (void) kmq_files_save(&n->files);
    }
}


/* The stream is there, and the one that was read before: 1. */
static int
read_check(kmq_node_t *n)
{
    int                    rc;
    uint64_t               created;
    kmq_js_stream_info_t   info;

    rc = read_info(n, &info, kmq_nats_now() + READ_ANSWER);

    if (rc == 0) {

        if (n->files.state.created) {
            (void) snprintf(n->reason, sizeof(n->reason),
                            "the stream is not there any more");
            return 0;
        }

        if (read_makes(n)) {
            (void) kmq_node_make(n, &created);
        }

        return 0;
    }

    if (rc < 0) {
        return 0;
    }

    if (n->files.state.created == 0) {
        n->files.state.created = info.created;
        n->files.clean.created = info.created;
        (void) kmq_files_save(&n->files);
        kmq_node_log(n, KMQ_LOG_INFO, "this node follows stream \"%s\"",
                     n->options.name);

    } else if (n->files.state.created != info.created) {

        if (!read_seeded(n, info.created)) {
            read_made(n, info.created);
        }

        return 0;
    }

    n->lagging = info.last < n->lease.chain.seq;

    if (n->lagging) {
        (void) snprintf(n->reason, sizeof(n->reason),
                        "the stream ends before what was read of it");
        return 0;
    }

    rc = read_same(n);

    if (rc < 0) {
        read_differs(n, "another entry is where this node left off");
    }

    return rc == 1;
}


/* ----------------------------------------------------------------- entries */

static void
read_mark(kmq_node_t *n, const kmq_body_t *body)
{
    uint64_t     bytes;
    kmq_chain_t  chain;

    if (kmq_files_mark(&chain, &bytes, body) != 0) {
        return;
    }

    n->covered = chain;
    n->purge = chain.seq;

    if (!__atomic_load_n(&n->shared->broken, __ATOMIC_ACQUIRE)) {
        n->frozen = 0;
    }
}


static void
read_entry(kmq_node_t *n, kmq_body_t *body)
{
    int          own;
    kmq_chain_e  what;

    what = kmq_lease_entry(&n->lease, &body->entry);

    if (what == KMQ_CHAIN_GAP) {
        n->gap = 1;
        return;
    }

    if (what == KMQ_CHAIN_KNOWN) {
        return;
    }

    /* what this node's workers append they write themselves */

    own = n->lease.chain.begun == n->lease.epoch
          && n->lease.epoch != 0
          && (kmq_node_serves(n) || n->lease.role == KMQ_LEASE_DEPOSED);

    kmq_files_entry(&n->files, &n->lease.chain, what, body, n->time, !own);

    if (what == KMQ_CHAIN_CLAIMED && body->entry.by == KMQ_CLAIM_SEEDS) {
        n->files.state.seeder = body->entry.who.node + 1;
        n->files.clean.seeder = n->files.state.seeder;

    } else if (what == KMQ_CHAIN_COUNTS && body->part == KMQ_PART_MARK) {
        n->files.clean.seeder = 0;
        n->files.state.seeder = 0;
    }

    if (what == KMQ_CHAIN_BEGUN) {
        kmq_node_begun(n, &body->entry);

    } else if (own && what == KMQ_CHAIN_COUNTS
               && body->part == KMQ_PART_MARK)
    {
        read_mark(n, body);
    }
}


/* Of what is scanned only marks matter. */
static void
read_scan(kmq_node_t *n, const kmq_body_t *body)
{
    uint64_t     bytes;
    kmq_chain_t  chain;

    n->scanned = body->entry.seq;

    if (body->entry.kind == KMQ_ENTRY_APPEND
        && body->part == KMQ_PART_MARK
        && kmq_files_mark(&chain, &bytes, body) == 0
        && chain.seq > n->lease.chain.seq
        && (!n->marked || chain.seq > n->mark.seq))
    {
        n->mark = chain;
        n->marked = 1;
    }
}


static void
read_take(void *arg, uint64_t sequence, const kmq_nats_msg_t *msg)
{
    kmq_node_t  *n = arg;

    kmq_body_t  body;

    if (n->gap || n->times != kmq_nats_link_times(n->link)) {
        /* it will come again */
        return;
    }

    kmq_body_read(&body, n->options.name, sequence, &msg->subject,
                  &msg->payload);

    if (n->scanning) {
        read_scan(n, &body);
        return;
    }

    n->time = kmq_nats_follower_time(n->follower);
    read_entry(n, &body);
}


void
kmq_node_reread(kmq_node_t *n)
{
    if (n->follower) {
        kmq_nats_follower_close(n->follower);
        n->follower = NULL;
    }

    n->times = 0;
    n->gap = 0;
    n->scanning = 0;
}


static int
read_follow(kmq_node_t *n)
{
    kmq_nats_follower_options_t  options;

    memset(&options, 0, sizeof(options));

    options.stream = n->options.name;
    options.from = n->lease.chain.seq + 1;
    options.heartbeat = n->options.timeout / 4;
    options.take = read_take;
    options.arg = n;

    n->follower = kmq_nats_follower_open(n->link, &options);

    return n->follower ? 0 : -1;
}


/* Something was purged: the mark that covers most is looked for. */
static void
read_gap(kmq_node_t *n)
{
    kmq_node_log(n, KMQ_LOG_INFO, "behind entry %llu some were purged; a "
                 "checkpoint in the stream is looked for",
                 (unsigned long long) n->lease.chain.seq);

    n->gap = 0;
    n->scanning = 1;
    n->marked = 0;
    n->scanned = 0;
    n->scan_end = kmq_node_look(n, kmq_nats_now() + READ_ANSWER);

    kmq_nats_follower_close(n->follower);

    if (read_follow(n) != 0) {
        kmq_node_reread(n);
    }
}


/* All of the stream was looked at, as it was when that began: where more comes
 * all the time there is always something behind what was read. */
static int
read_scan_done(const kmq_node_t *n)
{
    return n->scanned
           && (n->scanned >= n->scan_end
               || kmq_nats_follower_behind(n->follower) == 0);
}


static void
read_scanned(kmq_node_t *n)
{
    int  marked;

    marked = n->marked;
    n->marked = 0;
    kmq_node_reread(n);

    if (!marked) {
        n->check = kmq_nats_now() + READ_ANSWER;
        (void) snprintf(n->reason, sizeof(n->reason),
                        "no checkpoint was found in the stream");
        return;
    }

    kmq_node_log(n, KMQ_LOG_INFO, "reading goes on behind entry %llu, with a "
                 "checkpoint", (unsigned long long) n->mark.seq);

    kmq_files_jump(&n->files, &n->mark);
    kmq_lease_jump(&n->lease, &n->mark);

    /* what lies there was purged, too: it cannot be compared */
    n->time = 0;
}


/*
 * A raft leader before 2.9.15 that lost its place keeps what it alone has
 * (processAppendEntry in nats-server's raft.go does not truncate then): its
 * replica differs from the others from there on, and can be the one that counts
 * later.
 */
static void
read_tell_old(kmq_node_t *n)
{
    const kmq_nats_info_t  *info;

    info = kmq_nats_link_info(n->link);

    if (n->old_told || !kmq_nats_info_before(info, 2, 9, 15)) {
        return;
    }

    n->old_told = 1;
    kmq_node_log(n, KMQ_LOG_WARN, "nats-server %s (\"%s\") may lose what it "
                 "has acknowledged when a server that led the stream comes "
                 "back; 2.9.15 and later do not, use 2.10 or later",
                 info->version, info->server);
}


void
kmq_node_read(kmq_node_t *n, uint64_t deadline)
{
    uint64_t  now;

    now = kmq_nats_now();

    if (!kmq_nats_link_connected(n->link)) {
        (void) kmq_nats_link_connect(n->link, now + READ_CONNECT);
        return;
    }

    if (n->link_times != kmq_nats_link_times(n->link)) {
        n->link_times = kmq_nats_link_times(n->link);
        n->linked = now;
        read_tell_old(n);
    }

    if (n->lease.differs || n->files.foreign) {
        /* others are to hear that */
        (void) kmq_nats_link_run(n->link, deadline);

        if (now >= n->check && !n->files.foreign) {
            n->check = now + READ_ANSWER;
            (void) read_check(n);
        }

        return;
    }

    if (n->times != kmq_nats_link_times(n->link)) {

        if (now < n->check || !read_check(n)) {
            n->check = now < n->check ? n->check : now + READ_AGAIN;
            (void) kmq_nats_link_run(n->link, deadline);
            return;
        }

        n->reason[0] = '\0';
        kmq_node_reread(n);
        n->times = kmq_nats_link_times(n->link);
    }

    if (n->follower == NULL && read_follow(n) != 0) {
        kmq_nats_sleep(deadline);
        return;
    }

    (void) kmq_nats_follow(n->follower, deadline);

    if (n->gap) {
        read_gap(n);

    } else if (n->scanning && read_scan_done(n)) {
        read_scanned(n);
    }

    if (kmq_nats_now() - n->looked >= READ_LOOK) {
        n->looked = kmq_nats_now();
        (void) kmq_node_look(n, n->looked + READ_AGAIN);
    }
}


/* ------------------------------------------------------------------ purging */

static int
read_purge(kmq_node_t *n, uint32_t epoch, uint64_t before)
{
    char             filter[KMQ_PLACE_MAX], question[READ_QUESTION];
    size_t           size;
    uint64_t         purged;
    kmq_nats_msg_t   answer;
    kmq_js_error_t   error;

    kmq_place_epoch(filter, n->options.name, epoch);
    size = kmq_js_write_purge(question, sizeof(question), filter, before);

    return size
           && read_ask(n, KMQ_JS_PURGE, question, size, &answer,
                       kmq_nats_now() + READ_ANSWER) == 0
           && kmq_js_read_purge(&answer.payload, &purged, &error) == 0
           ? 0 : -1;
}


void
kmq_node_purge(kmq_node_t *n)
{
    unsigned           i, kept;
    kmq_files_past_t  *past;

    if (n->purge == 0 || n->times == 0) {
        return;
    }

    if (read_purge(n, n->covered.begun, n->purge + 1) != 0) {
        return;
    }

    n->purge = 0;
    kept = 0;

    for (i = 0; i < n->files.clean.npast; i++) {
        past = &n->files.clean.past[i];

        if (past->before > n->covered.seq
            || read_purge(n, past->epoch, past->before) != 0)
        {
            n->files.clean.past[kept++] = *past;
        }
    }

    n->files.clean.npast = kept;
}
