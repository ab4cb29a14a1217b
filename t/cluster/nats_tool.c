/*
 * A client of real nats-servers, for t/cluster/jetstream.t and by hand.  It
 * connects to 127.0.0.1 and the ports given; what it finds is one line of text.
 *
 *   nats_tool PORT,PORT,... COMMAND ARGUMENTS
 *
 *   create STREAM SUBJECT REPLICAS MAX_BYTES
 *   info STREAM
 *   purge STREAM BEFORE
 *   append STREAM EPOCH COUNT SIZE IN_FLIGHT
 *   read STREAM EPOCH COUNT
 *   race STREAM SUBJECT ROUNDS zero|last
 *
 * "append" does it as a worker of a cluster's primary does (kmq_appends.h), to
 * the slots of the first writer of that epoch, which nobody has used; "read"
 * says how many of these it found out of their order.
 *
 * NATS_USER, NATS_PASSWORD, NATS_TOKEN, NATS_SEED, NATS_CREDS (a file), NATS_CA
 * (a file: TLS) and NATS_TLS_NAME in the environment are what it logs in with;
 * NATS_PATIENCE is for how many ms it tries to connect.
 */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../src/nats/kmq_jetstream.h"
#include "../../src/nats/kmq_nats_follow.h"
#include "../../src/nats/kmq_nats_socket.h"
#include "../../src/replica/kmq_appends.h"


#define PATIENCE     60000        /* ms */

typedef struct {
    int                (*run)(kmq_nats_link_t *link, char **arguments);
    const char          *name;
    int                  arguments;
} command_t;


static const char  *ports;


static void
die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}


static uint64_t
number(const char *text)
{
    return strtoull(text, NULL, 10);
}


/* How long it is tried, in ms. */
static uint64_t
patience_ms(void)
{
    const char  *text;

    text = getenv("NATS_PATIENCE");

    return text ? number(text) : 10 * PATIENCE;
}


static uint64_t
microseconds(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}


/* The text of a file. */
static char *
file_text(const char *path)
{
    FILE    *file;
    char    *text;
    size_t   n;

    file = fopen(path, "r");
    text = calloc(1, 65536);

    if (file == NULL || text == NULL) {
        die(path, "cannot be read");
    }

    n = fread(text, 1, 65535, file);
    text[n] = '\0';
    (void) fclose(file);

    return text;
}


/* A seed, and a token if there is a file of credentials. */
static void
log_in_with_key(kmq_nats_options_t *options)
{
    char                   *text;
    size_t                  jwt_len, seed_len;
    const char             *jwt, *seed;
    static kmq_nats_key_t   key;

    seed = getenv("NATS_SEED");
    seed_len = seed ? strlen(seed) : 0;

    if (getenv("NATS_CREDS")) {
        text = file_text(getenv("NATS_CREDS"));

        if (kmq_nats_key_credentials(text, strlen(text), &jwt, &jwt_len,
                                     &seed, &seed_len) != 0)
        {
            die("NATS_CREDS", "no credentials");
        }

        options->jwt = strndup(jwt, jwt_len);
    }

    if (seed_len == 0) {
        return;
    }

    if (kmq_nats_key_read(&key, seed, seed_len) != 0) {
        die("NATS_SEED", "no seed of a user");
    }

    options->key = &key;
}


static void
log_in_with(kmq_nats_options_t *options)
{
    options->user = getenv("NATS_USER");
    options->password = getenv("NATS_PASSWORD");
    options->token = getenv("NATS_TOKEN");
    log_in_with_key(options);

    if (getenv("NATS_CA") == NULL) {
        return;
    }

    options->tls = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_verify(options->tls, SSL_VERIFY_PEER, NULL);

    if (SSL_CTX_load_verify_locations(options->tls, getenv("NATS_CA"), NULL)
        != 1)
    {
        die("NATS_CA", "cannot be read");
    }
}


/* A link to the servers, skip of them later first. */
static kmq_nats_link_t *
link_to(unsigned skip)
{
    uint64_t             patience;
    char                *end;
    unsigned             n, i;
    const char          *p;
    kmq_nats_link_t     *link;
    kmq_nats_server_t    all[KMQ_NATS_SERVERS_MAX];
    kmq_nats_server_t    turned[KMQ_NATS_SERVERS_MAX];
    kmq_nats_options_t   options;

    memset(all, 0, sizeof(all));

    for (n = 0, p = ports; *p && n < KMQ_NATS_SERVERS_MAX; n++) {
        strcpy(all[n].host, "127.0.0.1");
        (void) snprintf(all[n].name, sizeof(all[n].name), "%s",
                        getenv("NATS_TLS_NAME") ? getenv("NATS_TLS_NAME")
                                                : "");
        all[n].port = (uint16_t) strtoul(p, &end, 10);
        p = *end ? end + 1 : end;
    }

    for (i = 0; i < n; i++) {
        turned[i] = all[(i + skip) % n];
    }

    memset(&options, 0, sizeof(options));
    options.servers = turned;
    options.n_servers = n;
    options.name = "nats_tool";
    log_in_with(&options);

    patience = getenv("NATS_PATIENCE") ? number(getenv("NATS_PATIENCE"))
                                       : PATIENCE;
    link = kmq_nats_link_open(&options);

    if (link == NULL || kmq_nats_link_connect(link, kmq_nats_now() + patience)
                        != KMQ_NATS_DONE)
    {
        die("no connection", link ? kmq_nats_link_reason(link) : "memory");
    }

    return link;
}


/* Asks JetStream until it answers. */
static kmq_nats_text_t
ask(kmq_nats_link_t *link, const char *verb, const char *stream,
    const char *question, size_t size)
{
    int              rc;
    char             subject[KMQ_JS_SUBJECT_MAX];
    uint64_t         deadline;
    kmq_nats_msg_t   answer;

    deadline = kmq_nats_now() + PATIENCE;
    (void) kmq_js_subject(subject, verb, stream, NULL);

    for ( ;; ) {
        (void) kmq_nats_link_connect(link, deadline);
        rc = kmq_nats_link_request(link, subject, NULL, 0, question, size,
                                   &answer, kmq_nats_now() + 5000);

        if (rc == KMQ_NATS_DONE) {
            return answer.payload;
        }

        if (kmq_nats_now() >= deadline) {
            die("no answer", subject);
        }
    }
}


/* --------------------------------------------------------------- streams */

static void
print_info(const kmq_js_stream_info_t *info)
{
    unsigned  i;

    printf("messages=%llu bytes=%llu first=%llu last=%llu replicas=%u"
           " leader=%s peers=", (unsigned long long) info->messages,
           (unsigned long long) info->bytes,
           (unsigned long long) info->first, (unsigned long long) info->last,
           info->replicas, info->leader);

    for (i = 0; i < info->n_peers; i++) {
        printf("%s%s:%s:%llu", i ? "," : "", info->peers[i].name,
               info->peers[i].offline ? "offline"
               : info->peers[i].current ? "current" : "behind",
               (unsigned long long) info->peers[i].lag);
    }

    printf("\n");
}


static int
stream_info(kmq_nats_link_t *link, const char *verb, const char *stream,
    const char *question, size_t n)
{
    kmq_nats_text_t        answer;
    kmq_js_error_t         error;
    kmq_js_stream_info_t   info;

    answer = ask(link, verb, stream, question, n);

    if (kmq_js_read_stream(&answer, &info, &error) != 0) {
        printf("error=%u err_code=%u %s\n", error.code, error.err_code,
               error.text);
        return 2;
    }

    print_info(&info);

    return 0;
}


static int
command_create(kmq_nats_link_t *link, char **arguments)
{
    char             question[1024];
    const char      *subjects[] = { arguments[1] };
    kmq_js_stream_t  stream;

    memset(&stream, 0, sizeof(stream));
    stream.name = arguments[0];
    stream.subjects = subjects;
    stream.n_subjects = 1;
    stream.replicas = (unsigned) number(arguments[2]);
    stream.max_bytes = number(arguments[3]);
    stream.direct = 1;

    return stream_info(link, KMQ_JS_CREATE, stream.name, question,
                       kmq_js_write_stream(question, sizeof(question),
                                           &stream));
}


static int
command_info(kmq_nats_link_t *link, char **arguments)
{
    return stream_info(link, KMQ_JS_INFO, arguments[0], NULL, 0);
}


static int
command_purge(kmq_nats_link_t *link, char **arguments)
{
    char             question[256];
    size_t           n;
    uint64_t         purged;
    kmq_js_error_t   error;
    kmq_nats_text_t  answer;

    n = kmq_js_write_purge(question, sizeof(question), NULL,
                           number(arguments[1]));
    answer = ask(link, KMQ_JS_PURGE, arguments[0], question, n);

    if (kmq_js_read_purge(&answer, &purged, &error) != 0) {
        die("purge", error.text);
    }

    printf("purged=%llu\n", (unsigned long long) purged);

    return 0;
}


/* -------------------------------------------------------------- appending */

typedef struct {
    uint64_t   n;             /* done */
    uint64_t   again;         /* connections that were lost meanwhile */
    uint64_t  *begun;         /* microseconds, of each slot */
    uint32_t  *took;
} appended_t;


static int
compare(const void *a, const void *b)
{
    uint32_t  x = *(const uint32_t *) a, y = *(const uint32_t *) b;

    return x < y ? -1 : x > y;
}


static void
print_appended(appended_t *to, uint64_t count, uint64_t took)
{
    qsort(to->took, to->n, sizeof(uint32_t), compare);

    printf("stored=%llu open=%llu again=%llu seconds=%.3f per_second=%.0f",
           (unsigned long long) to->n, (unsigned long long) (count - to->n),
           (unsigned long long) to->again, (double) took / 1e6,
           (double) to->n * 1e6 / (double) took);

    if (to->n) {
        printf(" p50=%.2f p99=%.2f max=%.2f", to->took[to->n / 2] / 1e3,
               to->took[to->n * 99 / 100] / 1e3, to->took[to->n - 1] / 1e3);
    }

    printf("\n");
}


/* Those that are done now: from the oldest on, as they are told of. */
static void
appended(appended_t *to, uint64_t done)
{
    while (to->n < done) {
        to->took[to->n] = (uint32_t) (microseconds() - to->begun[to->n]);
        to->n++;

        if (to->n % 1000 == 0) {
            printf("acked=%llu\n", (unsigned long long) to->n);
            fflush(stdout);
        }
    }
}


static void
append_begin(kmq_appends_t *appends, appended_t *to, const void *data,
    size_t size)
{
    kmq_body_t  body;

    memset(&body, 0, sizeof(body));
    body.part = KMQ_PART_BATCH;
    body.first = 1;
    body.last = 1;
    body.data = data;
    body.size = size;

    to->begun[appends->writer.next - 1] = microseconds();

    if (kmq_appends_add(appends, &body) != 1) {
        die("append", "not begun");
    }
}


static int
command_append(kmq_nats_link_t *link, char **arguments)
{
    void           *data;
    size_t          size;
    uint64_t        count, start, deadline;
    unsigned        in_flight;
    appended_t      to;
    kmq_appends_t   appends;

    memset(&to, 0, sizeof(to));
    count = number(arguments[2]);
    size = (size_t) number(arguments[3]);
    in_flight = (unsigned) number(arguments[4]);
    to.took = calloc(count, sizeof(uint32_t));
    to.begun = calloc(count, sizeof(uint64_t));
    data = calloc(1, size + 1);

    if (!to.took || !to.begun || !data || in_flight > KMQ_WRITER_WINDOW
        || kmq_appends_open(&appends, link, arguments[0],
                            (uint32_t) number(arguments[1]), 0)
           != 0)
    {
        die("append", "memory, or too many in flight");
    }

    start = microseconds();
    deadline = kmq_nats_now() + patience_ms();

    while (to.n < count && kmq_nats_now() < deadline) {

        while (appends.writer.next <= count
               && kmq_appends_pending(&appends) < in_flight)
        {
            append_begin(&appends, &to, data, size);
        }

        if (kmq_appends_run(&appends, deadline) == KMQ_NATS_NOMEM
            || appends.writer.closed)
        {
            die("append", "closed");
        }

        appended(&to, appends.writer.done);
    }

    to.again = kmq_nats_link_times(link) - 1;
    print_appended(&to, count, microseconds() - start);
    kmq_appends_close(&appends);
    free(to.took);
    free(to.begun);
    free(data);

    return 0;
}


/* ---------------------------------------------------------------- reading */

typedef struct {
    const char     *stream;
    uint64_t        n;
    uint64_t        bytes;
    uint64_t        wrong;       /* not the one that was due */
    uint64_t        twice;
    uint64_t        due;
    uint64_t        last;        /* sequence */
    uint64_t        first_bytes;
    unsigned char  *seen;
    uint64_t        count;
} read_t;


static void
read_take(void *arg, uint64_t sequence, const kmq_nats_msg_t *msg)
{
    read_t      *r = arg;
    uint64_t     i;
    kmq_body_t   body;

    r->last = sequence;
    kmq_body_read(&body, r->stream, sequence, &msg->subject, &msg->payload);

    if (body.entry.kind != KMQ_ENTRY_APPEND) {
        return;
    }

    i = body.entry.slot - 1;

    r->n++;
    r->bytes += body.size;
    r->wrong += i != r->due;
    r->due = i + 1;

    if (i < r->count) {
        r->twice += r->seen[i];
        r->seen[i] = 1;
    }
}


/* The sequence of a subject's last message, as the leader knows it. */
static uint64_t
last_of(kmq_nats_link_t *link, const char *stream, const char *subject)
{
    char               question[512];
    size_t             n;
    uint64_t           sequence;
    kmq_nats_text_t    answer;
    kmq_js_error_t     error;
    kmq_js_message_t   message;

    n = kmq_js_write_get(question, sizeof(question), subject, KMQ_JS_NONE);
    answer = ask(link, KMQ_JS_GET, stream, question, n);

    if (kmq_js_read_get(&answer, &message, &error) != 0) {
        die("last", error.text);
    }

    sequence = message.sequence;
    kmq_js_message_free(&message);

    return sequence;
}


static int
command_read(kmq_nats_link_t *link, char **arguments)
{
    char                          subject[KMQ_PLACE_MAX];
    read_t                        r;
    uint64_t                      i, missing, last, start, end;
    kmq_nats_follower_t          *follower;
    kmq_nats_follower_options_t   options;

    memset(&r, 0, sizeof(r));
    memset(&options, 0, sizeof(options));
    r.stream = arguments[0];
    r.count = number(arguments[2]);
    r.seen = calloc(1, r.count + 1);
    kmq_place_epoch(subject, arguments[0], (uint32_t) number(arguments[1]));
    options.stream = arguments[0];
    options.subject = subject;
    options.from = 1;
    options.take = read_take;
    options.arg = &r;

    last = last_of(link, arguments[0], subject);
    follower = kmq_nats_follower_open(link, &options);
    start = microseconds();
    end = kmq_nats_now() + PATIENCE;

    while (r.last < last && kmq_nats_now() < end) {
        (void) kmq_nats_follow(follower, end);
    }

    start = microseconds() - start;
    kmq_nats_follower_close(follower);

    for (missing = 0, i = 0; i < r.count; i++) {
        missing += !r.seen[i];
    }

    printf("read=%llu missing=%llu twice=%llu disorder=%llu bytes=%llu"
           " seconds=%.3f\n", (unsigned long long) r.n,
           (unsigned long long) missing, (unsigned long long) r.twice,
           (unsigned long long) r.wrong, (unsigned long long) r.bytes,
           (double) start / 1e6);
    free(r.seen);

    return 0;
}


/* ------------------------------------------------------------------ racing */

typedef struct {
    int       answered;
    uint64_t  sequence;        /* 0: refused */
} answer_t;


static void
race_take(void *arg, const kmq_nats_msg_t *msg)
{
    answer_t        *answer = arg;
    kmq_js_ack_t     ack;
    kmq_js_error_t   error;

    answer->answered = 1;
    answer->sequence = kmq_js_read_ack(&msg->payload, &ack, &error) == 0
                       ? ack.sequence : 0;
}


/* Two clients, of different servers, write to one subject at one moment.  How
 * many of them were told that they did. */
static int
command_race(kmq_nats_link_t *link, char **arguments)
{
    char                  subject[256], inbox[2][KMQ_NATS_INBOX_MAX];
    answer_t              answers[2];
    uint64_t              last = 0, deadline;
    unsigned              i, w, rounds, winners[3] = { 0, 0, 0 };
    kmq_nats_link_t      *links[2];
    kmq_js_expect_t       expect;

    links[0] = link;
    links[1] = link_to(1);
    rounds = (unsigned) number(arguments[2]);

    for (w = 0; w < 2; w++) {
        kmq_nats_link_inbox(links[w], inbox[w]);
        (void) kmq_nats_link_subscribe(links[w], inbox[w], race_take,
                                       &answers[w]);
    }

    for (i = 0; i < rounds; i++) {
        (void) snprintf(subject, sizeof(subject), "%s.%u", arguments[1],
                        strcmp(arguments[3], "zero") == 0 ? i : 0);
        kmq_js_expect(&expect, strcmp(arguments[3], "zero") == 0 ? 0 : last);
        memset(answers, 0, sizeof(answers));

        for (w = 0; w < 2; w++) {
            (void) kmq_nats_link_publish(links[w], subject, inbox[w],
                                         &expect.header, 1, "x", 1);
        }

        deadline = kmq_nats_now() + PATIENCE;

        while (!(answers[0].answered && answers[1].answered)
               && kmq_nats_now() < deadline)
        {
            (void) kmq_nats_link_run(links[i & 1], 0);
            (void) kmq_nats_link_run(links[!(i & 1)], 0);
        }

        winners[(answers[0].sequence != 0) + (answers[1].sequence != 0)]++;
        last = answers[0].sequence > last ? answers[0].sequence : last;
        last = answers[1].sequence > last ? answers[1].sequence : last;
    }

    printf("none=%u one=%u two=%u\n", winners[0], winners[1], winners[2]);
    kmq_nats_link_close(links[1]);

    return 0;
}


static const command_t  commands[] = {
    { command_create, "create", 4 },
    { command_info,   "info",   1 },
    { command_purge,  "purge",  2 },
    { command_append, "append", 5 },
    { command_read,   "read",   3 },
    { command_race,   "race",   4 },
};


int
main(int argc, char **argv)
{
    int               rc;
    size_t            i;
    kmq_nats_link_t  *link;

    if (argc < 3) {
        die("usage", "nats_tool PORTS COMMAND ARGUMENTS");
    }

    (void) signal(SIGPIPE, SIG_IGN);
    ports = argv[1];

    for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(argv[2], commands[i].name) == 0
            && argc == 3 + commands[i].arguments)
        {
            link = link_to(0);
            rc = commands[i].run(link, argv + 3);
            kmq_nats_link_close(link);
            return rc;
        }
    }

    die("usage", "no such command, or not so many arguments");

    return 1;
}
