/* The command line of kapokmq-dump. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE                /* strptime() */
#endif

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../disk/kmq_file.h"
#include "kmq_options.h"


static void
usage(FILE *to)
{
    (void) fputs(
        "Usage: kapokmq-dump [-q] [-v] PATH...\n"
        "       kapokmq-dump -w|-c [-t TOPIC] [-s STATUS] [-f TIME] [-u TIME] "
        "DIR...\n"
        "\n"
        "Verifies files of a KapokMQ queue, and prints their records as JSON "
        "lines.\n"
        "PATH is a file, or a directory (persistentFile) with all its files, "
        "oldest\n"
        "first.  Nothing is changed, and the queue may be in use.\n"
        "\n"
        "  -q, --quiet         no records: one line for each file\n"
        "  -v, --verbose       counters by the minute, the hour and the day, "
        "too\n"
        "  -w, --waiting       no records, but the messages that a start would "
        "find;\n"
        "                      POST /Producer/Send takes these lines\n"
        "  -c, --count         how many these are of each topic, and in all\n"
        "  -t, --topic NAME    of them, those of a topic\n"
        "  -s, --status NAMES  ready, retrying, delayed, dead, consumed, "
        "waiting (the\n"
        "                      first three: the default), all; commas between "
        "them\n"
        "  -f, --from TIME     created no earlier: Unix seconds, or "
        "\"2006-01-02 15:04:05\"\n"
        "  -u, --until TIME    created no later\n"
        "  -h, --help          this text\n"
        "\n"
        "Damage is told on stderr, too, and what is lost by it.  A last write "
        "that is\n"
        "not complete (\"torn\") is none: files end like that while they are "
        "written,\n"
        "and after a crash.\n"
        "\n"
        "Exit status: 0 all is sound, 1 damage was found, 2 something could "
        "not be\n"
        "read.\n", to);
}


static void
refuse(const char *what, const char *value)
{
    (void) fprintf(stderr, "kapokmq-dump: %s: \"%s\"\n", what, value);
    exit(KMQ_DUMP_UNREADABLE);
}


/* s since 1970 of either form. */
static uint32_t
time_read(const char *text)
{
    char               *end;
    time_t              at;
    struct tm           tm;
    unsigned long long  number;

    memset(&tm, 0, sizeof(tm));
    tm.tm_isdst = -1;

    end = strptime(text, "%Y-%m-%d %H:%M:%S", &tm);

    if (end && *end == '\0') {
        at = mktime(&tm);

        if (at >= 0 && at <= UINT32_MAX) {
            return (uint32_t) at;
        }
    }

    errno = 0;
    number = strtoull(text, &end, 10);

    if (errno || end == text || *end || *text == '-' || number > UINT32_MAX) {
        refuse("this is no time", text);
    }

    return (uint32_t) number;
}


static unsigned
statuses_read(const char *text)
{
    size_t       n;
    unsigned     all, one;
    const char  *p;

    all = 0;

    for (p = text; /* void */ ; p += n + 1) {
        n = strcspn(p, ",");
        one = kmq_waiting_status(p, n);

        if (one == 0) {
            refuse("there is no such status", text);
        }

        all |= one;

        if (p[n] == '\0') {
            return all;
        }
    }
}


/* An option of -w. */
static int
filter_read(kmq_waiting_t *filter, int option, const char *value)
{
    switch (option) {

    case 't':
        if (*value == '\0' || strlen(value) > KMQ_NAME_MAX) {
            refuse("this is no topic", value);
        }

        filter->topic = value;
        return 1;

    case 's':
        filter->statuses = statuses_read(value);
        return 1;

    case 'f':
        filter->from = time_read(value);
        return 1;

    case 'u':
        filter->to = time_read(value);
        return 1;

    default:
        return 0;
    }
}


/* Returns whether there are options of -w. */
static int
options_each(kmq_options_t *o, int argc, char **argv)
{
    static const struct option  options[] = {
        { "quiet", no_argument, NULL, 'q' },
        { "verbose", no_argument, NULL, 'v' },
        { "waiting", no_argument, NULL, 'w' },
        { "count", no_argument, NULL, 'c' },
        { "topic", required_argument, NULL, 't' },
        { "status", required_argument, NULL, 's' },
        { "from", required_argument, NULL, 'f' },
        { "until", required_argument, NULL, 'u' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 }
    };

    int  c, filters;

    filters = 0;

    while ((c = getopt_long(argc, argv, "qvwct:s:f:u:h", options, NULL))
           != -1)
    {
        switch (c) {

        case 'q':
            o->quiet = 1;
            break;

        case 'v':
            o->verbose = 1;
            break;

        case 'c':
            o->filter.count = 1;

            /* fall through */

        case 'w':
            o->waiting = 1;
            break;

        case 'h':
            usage(stdout);
            exit(KMQ_DUMP_SOUND);

        default:
            if (!filter_read(&o->filter, c, optarg)) {
                usage(stderr);
                exit(KMQ_DUMP_UNREADABLE);
            }

            filters = 1;
        }
    }

    return filters;
}


int
kmq_options_read(kmq_options_t *o, int argc, char **argv)
{
    int  filters;

    memset(o, 0, sizeof(kmq_options_t));
    o->filter.statuses = KMQ_WAITING_DEFAULT;
    o->filter.to = UINT32_MAX;

    filters = options_each(o, argc, argv);

    if (optind == argc || (filters && !o->waiting)
        || (o->waiting && (o->quiet || o->verbose)))
    {
        usage(stderr);
        exit(KMQ_DUMP_UNREADABLE);
    }

    return optind;
}
