/*
 * How much fits into a block when some messages have stayed while many others
 * passed: the worst over a set of patterns, against a fresh block with the same
 * survivors.  The engine alone; what is counted does not depend on the machine.
 *
 * And what a large message costs that comes into a history of small ones, and
 * how many topics fit.
 */

#include <getopt.h>
#include <unistd.h>

#include "../../t/unit/engine_capacity/capacity.h"


#define CAPACITY_PATTERNS  256
#define CAPACITY_TIMEOUT   3600       /* seconds */
#define CAPACITY_LIMIT     20000000   /* messages of a stream */

typedef struct {
    size_t      size;
    unsigned    all:1;
    unsigned    table:1;
} capacity_options_t;

static capacity_options_t   o;
static ec_pattern_t         patterns[CAPACITY_PATTERNS];
static unsigned             npatterns;


/* --------------------------------------------------------------- patterns */

static void
capacity_add(ec_state_t state, unsigned one_in, unsigned waves, unsigned keep,
    const unsigned sizes[3])
{
    ec_pattern_t  *p;

    p = &patterns[npatterns++];
    p->state = state;
    p->one_in = one_in;
    p->waves = waves;
    p->keep = keep;
    p->body = sizes[0];
    p->next = sizes[1];
    p->fill = sizes[2];
}


/* Those of one density: without --all not each with each. */
static void
capacity_patterns_of(unsigned one_in, unsigned turn)
{
    unsigned  i, state;

    static const unsigned  same[][3] = {
        { 100, 100, 100 }, { 16, 16, 16 }, { 1000, 1000, 1000 },
        { 4000, 4000, 4000 }, { EC_MIXED, EC_MIXED, EC_MIXED }
    };
    static const unsigned  others[][3] = {
        { 100, 1000, 100 }, { 1000, 100, 1000 }, { 100, 100, 1000 },
        { 1000, 1000, 100 }, { 16, 16, 4000 }, { 4000, 4000, 16 }
    };

    for (state = 0; state < EC_STATES; state++) {
        for (i = 0; i < 5; i++) {

            if (o.all || (state + turn) % 5 == i) {
                capacity_add(state, one_in, EC_STREAM, 1, same[i]);
                capacity_add(state, one_in, 3, 0, same[i]);
            }

            if (o.all) {
                capacity_add(state, one_in, 3, 1, same[i]);
            }
        }
    }

    for (i = 0; i < 6; i++) {
        if (o.all || i == turn) {
            capacity_add(EC_WAITING, one_in, 4, 0, others[i]);
            capacity_add(EC_WAITING, one_in, 4, 1, others[i]);
        }
    }
}


static void
capacity_patterns(void)
{
    unsigned  i;

    static const unsigned  densities[] = { 2, 8, 64, 128, 1000, 0 };

    for (i = 0; i < 6; i++) {
        capacity_patterns_of(densities[i], i);
    }
}


static int
capacity_compare(const void *a, const void *b)
{
    double  x = *(const double *) a, y = *(const double *) b;

    return x < y ? -1 : x > y;
}


/* Prints its part of the result; 1: a block is not what it should be. */
static int
capacity_measure(void)
{
    int           bad;
    char          name[128], worst[128];
    double        least, ratio[CAPACITY_PATTERNS];
    unsigned      i, below;
    ec_result_t   r;

    bad = 0;
    below = 0;
    least = 0;
    worst[0] = '\0';
    memset(ratio, 0, sizeof(ratio));

    for (i = 0; i < npatterns; i++) {
        ec_run(&patterns[i], o.size, CAPACITY_LIMIT, &r);
        ec_name(&patterns[i], o.size, name, sizeof(name));
        ratio[i] = r.refused ? 0 : r.ratio;
        below += ratio[i] < EC_REQUIRED;
        bad |= r.wrong[0] != '\0';

        if (i == 0 || ratio[i] < least) {
            least = ratio[i];
            memcpy(worst, name, sizeof(worst));
        }

        if (o.table || r.wrong[0]) {
            fprintf(stderr, "%.3f %s: %llu of %llu beside %llu, after %llu%s"
                    " %s\n", r.refused ? 0 : r.ratio, name,
                    (unsigned long long) r.fitted,
                    (unsigned long long) r.expected,
                    (unsigned long long) r.survivors,
                    (unsigned long long) r.passed,
                    r.refused ? ", a message was refused" : "", r.wrong);
        }
    }

    qsort(ratio, npatterns, sizeof(double), capacity_compare);

    printf("{\"zone\": %zu, \"patterns\": %u, \"worst\": %.4f, "
           "\"pattern\": \"%s\", \"median\": %.4f, \"below\": %u, ",
           o.size, npatterns, ratio[0], worst, ratio[npatterns / 2], below);

    return bad;
}


/* ------------------------------------------------------ large, and topics */

static int
capacity_large(void)
{
    int          bad;
    double       ms, more, part;
    uint64_t     vain;
    unsigned     i;
    ec_large_t   r;

    static const struct { unsigned small, waiting, part; }  large[] = {
        { 100, 0, 8 }, { 100, 4, 4 }, { 100, 6, 2 }, { 1000, 1, 2 },
        { 16, 4, 4 }, { 100, 7, 2 }
    };

    bad = 0;
    ms = 0;
    more = 0;
    vain = 0;

    for (i = 0; i < sizeof(large) / sizeof(large[0]); i++) {
        ec_large(o.size, large[i].small, large[i].waiting,
                 o.size / 8 * 7 / large[i].part, &r);
        part = (double) r.dropped / (double) (r.needed + 1);

        if (o.table || r.wrong[0]) {
            fprintf(stderr, "%zu bytes into messages of %u, of which %u in 8 "
                    "wait: %s, dropped %llu of %llu history, %llu needed, "
                    "%.2f ms %s\n", o.size / 8 * 7 / large[i].part,
                    large[i].small, large[i].waiting,
                    r.fits ? "fits" : "does not fit",
                    (unsigned long long) r.dropped,
                    (unsigned long long) r.history,
                    (unsigned long long) r.needed, r.ms, r.wrong);
        }

        bad |= r.wrong[0] != '\0';
        ms = r.ms > ms ? r.ms : ms;
        more = r.fits && part > more ? part : more;
        vain += r.fits ? 0 : r.dropped;
    }

    printf("\"large_ms\": %.3f, \"large_dropped\": %.3f, "
           "\"large_vain\": %llu, ", ms, more, (unsigned long long) vain);

    return bad;
}


static int
capacity_topics(void)
{
    char      wrong[256];
    unsigned  n;

    n = ec_topics(8 * EU_MB, wrong, sizeof(wrong));
    printf("\"topics\": %u, ", n);

    return wrong[0] != '\0';
}


/* ------------------------------------------------------------------- main */

static int
capacity_options(int argc, char **argv)
{
    static const struct option  names[] = {
        { "zone", 1, NULL, 'z' },
        { "all", 0, NULL, 'a' },
        { "table", 0, NULL, 't' },
        { NULL, 0, NULL, 0 }
    };

    int  opt;

    o.size = 8 * EU_MB;

    while ((opt = getopt_long(argc, argv, "", names, NULL)) != -1) {

        switch (opt) {
        case 'z': o.size = strtoull(optarg, NULL, 10) * EU_MB; break;
        case 'a': o.all = 1; break;
        case 't': o.table = 1; break;
        default: o.size = 0;
        }
    }

    return optind != argc || o.size < kmq_block_min()
           || o.size > kmq_block_max() ? -1 : 0;
}


int
main(int argc, char **argv)
{
    int  bad;

    if (capacity_options(argc, argv) == -1) {
        fprintf(stderr, "kmq-capacity: how much fits beside messages that "
                "stay\n"
                "  --zone N  MiB (8)\n"
                "  --all  each pattern with each size\n"
                "  --table  a line for each of them on stderr\n");
        return 2;
    }

    (void) alarm(CAPACITY_TIMEOUT);

    capacity_patterns();

    bad = capacity_measure();
    bad |= capacity_large();
    bad |= capacity_topics();

    printf("\"failed\": %s}\n", bad ? "true" : "false");

    return bad;
}
