#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"


/* An option with a number as its value; others are handled by name. */
typedef struct {
    const char  *name;
    double       min;
    double       max;
    const char  *help;
} load_number_t;


enum {
    OPT_PORT = 0, OPT_PRODUCERS, OPT_CONSUMERS, OPT_TOPICS, OPT_SIZE,
    OPT_WINDOW, OPT_RATE, OPT_MESSAGES, OPT_SECONDS, OPT_IDLE, OPT_DELAY,
    OPT_DEPTH, OPT_ROUNDS, OPT_CHURN, OPT_STAY, OPT_RETURN, OPT_WARMUP,
    OPT_DRAIN, OPT_TIMEOUT, OPT_PAUSE, OPT_PULL, OPT_WAIT, OPT_BATCH,
    OPT_SPREAD,

    OPT_HOST, OPT_TOPIC, OPT_KEY, OPT_CONFIRM, OPT_WATCH, OPT_SEARCH, OPT_TLS,
    OPT_JSON, OPT_FANOUT, OPT_INGEST, OPT_ANSWERS, OPT_REMOTE, OPT_EVENTS,
    OPT_APART, OPT_NDJSON, OPT_HELP
};

static const load_number_t  load_numbers[] = {
    { "port", 1, 65535, "port of the server (8011)" },
    { "producers", 1, 10000, "producers of each topic (1)" },
    { "consumers", 1, 60000, "consumers of each topic (1)" },
    { "topics", 1, 10000, "topics (1)" },
    { "size", LOAD_STAMP, 1000000, "bytes of message data (100)" },
    { "window", 1, 1000000, "unanswered messages of a producer (1000)" },
    { "rate", 1, 1e8, "messages a second of all producers, open loop" },
    { "messages", 1, 4e9, "stop after so many messages" },
    { "seconds", 0.1, 3600, "stop after so many seconds (5)" },
    { "idle", 1, 1e6, "open so many consumers, wait for end of input" },
    { "delay", 0, 3600, "JSON with a random DelayTime of 0 to N seconds" },
    { "depth", 1, 4e9, "let so many wait; push and publish --messages there" },
    { "rounds", 1, 100, "how often, there and at an empty queue (3)" },
    { "churn", 0.1, 1e5, "with --fanout: consumers that join, a second" },
    { "stay", 0, 3600, "seconds after which they leave (0.02)" },
    { "return", 0.1, 3600, "with --idle: they are sent away within N seconds, "
                           "and come back" },
    { "warmup", 0, 3600, "seconds that do not count (a fifth of the run)" },
    { "drain", 0.1, 3600, "seconds without progress that end a run (5)" },
    { "timeout", 1, 7200, "seconds after which the program ends (120)" },
    { "pause", 0, 3600, "with --search: seconds between two questions (0)" },
    { "pull", 1, 1000, "consumers pull by HTTP, so many at a time" },
    { "wait", 0, 60, "with --pull: seconds to wait for a message (5)" },
    { "batch", 1, 1000, "producers send by HTTP, so many in a request" },
    { "spread", 1, 100, "with --idle: by so many processes (1)" },
};

static const struct option  load_names[] = {
    { "port", 1, NULL, OPT_PORT },
    { "producers", 1, NULL, OPT_PRODUCERS },
    { "consumers", 1, NULL, OPT_CONSUMERS },
    { "topics", 1, NULL, OPT_TOPICS },
    { "size", 1, NULL, OPT_SIZE },
    { "window", 1, NULL, OPT_WINDOW },
    { "rate", 1, NULL, OPT_RATE },
    { "messages", 1, NULL, OPT_MESSAGES },
    { "seconds", 1, NULL, OPT_SECONDS },
    { "idle", 1, NULL, OPT_IDLE },
    { "delay", 1, NULL, OPT_DELAY },
    { "depth", 1, NULL, OPT_DEPTH },
    { "rounds", 1, NULL, OPT_ROUNDS },
    { "churn", 1, NULL, OPT_CHURN },
    { "stay", 1, NULL, OPT_STAY },
    { "return", 1, NULL, OPT_RETURN },
    { "warmup", 1, NULL, OPT_WARMUP },
    { "drain", 1, NULL, OPT_DRAIN },
    { "timeout", 1, NULL, OPT_TIMEOUT },
    { "pause", 1, NULL, OPT_PAUSE },
    { "pull", 1, NULL, OPT_PULL },
    { "wait", 1, NULL, OPT_WAIT },
    { "batch", 1, NULL, OPT_BATCH },
    { "spread", 1, NULL, OPT_SPREAD },
    { "host", 1, NULL, OPT_HOST },
    { "topic", 1, NULL, OPT_TOPIC },
    { "key", 1, NULL, OPT_KEY },
    { "confirm", 1, NULL, OPT_CONFIRM },
    { "watch", 1, NULL, OPT_WATCH },
    { "search", 1, NULL, OPT_SEARCH },
    { "json", 0, NULL, OPT_JSON },
    { "fanout", 0, NULL, OPT_FANOUT },
    { "ingest-only", 0, NULL, OPT_INGEST },
    { "answers", 0, NULL, OPT_ANSWERS },
    { "remote", 0, NULL, OPT_REMOTE },
    { "tls", 0, NULL, OPT_TLS },
    { "events", 0, NULL, OPT_EVENTS },
    { "apart", 0, NULL, OPT_APART },
    { "ndjson", 0, NULL, OPT_NDJSON },
    { "help", 0, NULL, OPT_HELP },
    { NULL, 0, NULL, 0 }
};

static const char  load_help[] =
    "  --host ADDRESS   of the server (127.0.0.1)\n"
    "  --remote         the address may be another machine's\n"
    "  --topic NAME     topic, or with --topics NAME-0, NAME-1 ... (bench)\n"
    "  --key KEY        secretKey (test)\n"
    "  --confirm MODE   consumers ask for socket, pong or ack\n"
    "  --json           producers send JSON objects\n"
    "  --fanout         publish/subscribe: each consumer gets each message\n"
    "  --ingest-only    no consumers\n"
    "  --answers        report the time from sending to the answer\n"
    "  --tls            wss: with TLS\n"
    "  --events         consumers have streams of server-sent events\n"
    "  --apart          with --pull: messages are confirmed before others are\n"
    "                   asked for, not by a request just before that one\n"
    "  --ndjson         with --batch: lines, not an array\n"
    "  --watch PID,...  report the CPU time of these processes, too\n"
    "  --search KIND,...  ask the console meanwhile, with a connection each:\n"
    "                   page, topic, time, status, get, delete or count\n";


static void
load_usage(void)
{
    unsigned  i;

    fprintf(stderr, "kmq-load: load for a KapokMQ server\n");

    for (i = 0; i < OPT_HOST; i++) {
        fprintf(stderr, "  --%-10s N   %s\n", load_numbers[i].name,
                load_numbers[i].help);
    }

    fputs(load_help, stderr);
}


static int
load_number(load_options_t *o, int opt, const char *text)
{
    char                 *end;
    double                value;
    const load_number_t  *n;

    n = &load_numbers[opt];
    value = strtod(text, &end);

    if (end == text || *end != '\0' || !(value >= n->min && value <= n->max)) {
        fprintf(stderr, "kmq-load: --%s \"%s\" is not a number from %g to "
                "%g\n", n->name, text, n->min, n->max);
        return -1;
    }

    switch (opt) {
    case OPT_PORT: o->port = (unsigned) value; break;
    case OPT_PRODUCERS: o->producers = (unsigned) value; break;
    case OPT_CONSUMERS: o->consumers = (unsigned) value; break;
    case OPT_TOPICS: o->topics = (unsigned) value; break;
    case OPT_SIZE: o->size = (unsigned) value; break;
    case OPT_WINDOW: o->window = (unsigned) value; break;
    case OPT_RATE: o->rate = value; break;
    case OPT_MESSAGES: o->messages = (uint64_t) value; break;
    case OPT_SECONDS: o->seconds = value; break;
    case OPT_IDLE: o->idle = (unsigned) value; break;
    case OPT_DELAY: o->delay = value; o->delayed = 1; break;
    case OPT_DEPTH: o->depth = (uint64_t) value; break;
    case OPT_ROUNDS: o->rounds = (unsigned) value; break;
    case OPT_CHURN: o->churn = value; break;
    case OPT_STAY: o->stay = value; break;
    case OPT_RETURN: o->back = value; break;
    case OPT_WARMUP: o->warmup = value; break;
    case OPT_DRAIN: o->drain = value; break;
    case OPT_PAUSE: o->pause = value; break;
    case OPT_PULL: o->pull = (unsigned) value; break;
    case OPT_WAIT: o->wait = value; break;
    case OPT_BATCH: o->batch = (unsigned) value; break;
    case OPT_SPREAD: o->spread = (unsigned) value; break;
    default: o->timeout = value; break;
    }

    return 0;
}


static int
load_watch(load_options_t *o, const char *text)
{
    long   pid;
    char  *end;

    for ( ;; ) {
        pid = strtol(text, &end, 10);

        if (end == text || pid <= 0 || (*end != '\0' && *end != ',')
            || o->nwatch == LOAD_WATCH)
        {
            fprintf(stderr, "kmq-load: --watch takes 1 to %d process ids, "
                    "not \"%s\"\n", LOAD_WATCH, text);
            return -1;
        }

        o->watch[o->nwatch++] = (int) pid;

        if (*end == '\0') {
            return 0;
        }

        text = end + 1;
    }
}


static int
load_option(load_options_t *o, int opt, const char *value)
{
    switch (opt) {

    case OPT_HOST:
        o->host = value;
        return 0;

    case OPT_TOPIC:
        o->topic = value;
        return 0;

    case OPT_KEY:
        o->key = value;
        return 0;

    case OPT_CONFIRM:
        o->confirm = value;
        return 0;

    case OPT_WATCH:
        return load_watch(o, value);

    case OPT_SEARCH:
        return load_search_options(o, value);

    case OPT_JSON:
        o->json = 1;
        return 0;

    case OPT_FANOUT:
        o->fanout = 1;
        return 0;

    case OPT_INGEST:
        o->ingest = 1;
        return 0;

    case OPT_ANSWERS:
        o->answers = 1;
        return 0;

    case OPT_REMOTE:
        o->remote = 1;
        return 0;

    case OPT_TLS:
        o->tls = 1;
        return 0;

    case OPT_EVENTS:
        o->events = 1;
        return 0;

    case OPT_APART:
        o->apart = 1;
        return 0;

    case OPT_NDJSON:
        o->ndjson = 1;
        return 0;

    default:
        load_usage();
        return -1;
    }
}


/* What clients that speak HTTP cannot do, or not yet. */
static int
load_options_doors(const load_options_t *o)
{
    if ((o->events || o->pull != 0)
        && ((o->events && o->pull != 0) || o->depth != 0 || o->back != 0))
    {
        fprintf(stderr, "kmq-load: --events and --pull exclude each other, "
                "--depth and --return\n");
        return -1;
    }

    if ((o->pull != 0 && (o->fanout || o->confirm != NULL))
        || (o->events && o->confirm != NULL && o->confirm[0] == 'p'))
    {
        fprintf(stderr, "kmq-load: --pull is for point to point, without "
                "--confirm, and --events without pong\n");
        return -1;
    }

    if (o->batch != 0
        && (o->batch > o->window || o->json || o->delayed || o->rate != 0
            || o->depth != 0))
    {
        fprintf(stderr, "kmq-load: --batch is at most the window, and "
                "excludes --json, --delay, --rate and --depth\n");
        return -1;
    }

    return 0;
}


static int
load_options_check(const load_options_t *o)
{
    if (!o->remote && !net_is_loopback(o->host)) {
        fprintf(stderr, "kmq-load: \"%s\" is not a loopback address; "
                "--remote if it is meant\n", o->host);
        return -1;
    }

    if (o->confirm != NULL && strcmp(o->confirm, "socket") != 0
        && strcmp(o->confirm, "pong") != 0 && strcmp(o->confirm, "ack") != 0)
    {
        fprintf(stderr, "kmq-load: --confirm \"%s\" is not socket, pong or "
                "ack\n", o->confirm);
        return -1;
    }

    if (o->ingest && o->fanout) {
        fprintf(stderr, "kmq-load: --ingest-only and --fanout exclude each "
                "other\n");
        return -1;
    }

    if (o->answers && o->rate != 0) {
        fprintf(stderr, "kmq-load: --answers needs a window, not --rate\n");
        return -1;
    }

    if (o->churn != 0 && (!o->fanout || o->rate == 0)) {
        fprintf(stderr, "kmq-load: --churn needs --fanout and --rate\n");
        return -1;
    }

    if ((o->back != 0 || o->spread > 1) && o->idle == 0) {
        fprintf(stderr, "kmq-load: --return and --spread need --idle\n");
        return -1;
    }

    if (o->idle != 0 && o->rate != 0
        && (o->back == 0 || o->fanout || o->delayed || o->topics != 1
            || o->rate * o->timeout > 1e8))
    {
        fprintf(stderr, "kmq-load: --idle with --rate needs --return, and is "
                "for point to point and one topic\n");
        return -1;
    }

    if (o->depth != 0
        && (o->ingest || o->fanout || o->delayed || o->rate != 0
            || o->messages == 0 || o->messages > o->depth))
    {
        fprintf(stderr, "kmq-load: --depth needs --messages, at most as many, "
                "and is for point to point without --rate or --delay\n");
        return -1;
    }

    return load_options_doors(o);
}


int
load_options(load_options_t *o, int argc, char **argv)
{
    int  opt, rc;

    memset(o, 0, sizeof(load_options_t));

    o->host = "127.0.0.1";
    o->topic = "bench";
    o->key = "test";
    o->port = 8011;
    o->producers = 1;
    o->consumers = 1;
    o->topics = 1;
    o->size = 100;
    o->window = 1000;
    o->seconds = 5;
    o->rounds = 3;
    o->stay = 0.02;
    o->wait = 5;
    o->warmup = -1;
    o->drain = 5;
    o->timeout = 120;

    while ((opt = getopt_long(argc, argv, "", load_names, NULL)) != -1) {

        if (opt < OPT_HOST) {
            rc = load_number(o, opt, optarg);

        } else {
            rc = load_option(o, opt, optarg);
        }

        if (rc == -1) {
            return -1;
        }
    }

    if (optind != argc) {
        fprintf(stderr, "kmq-load: \"%s\" is no option\n", argv[optind]);
        return -1;
    }

    return load_options_check(o);
}
