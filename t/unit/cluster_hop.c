/* Handing on: the header that carries a request, and its numbers. */

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../src/cluster/kmq_hop.h"
#include "tap.h"


#define NODES   3
#define SECRET  "a secret that all nodes have"


static kmq_hops_t  *hops;


static void
text(kmq_hop_t *hop, kmq_hop_text_e i, const void *data, size_t len)
{
    hop->text[i].data = data;
    hop->text[i].len = len;
}


static kmq_hop_t
sample(void)
{
    kmq_hop_t             hop;
    static unsigned char  rights[3000];

    memset(&hop, 0, sizeof(hop));

    hop.epoch = 7;
    hop.node = 2;
    hop.start = UINT64_C(0xfedcba9876543210);
    hop.number = UINT64_MAX;
    hop.expires = UINT64_C(1) << 40;
    hop.limit = UINT32_MAX;
    hop.kind = 1;
    hop.match = 2;
    hop.flags = 255;

    memset(rights, 0x5a, sizeof(rights));
    text(&hop, KMQ_HOP_METHOD, "GET", 3);
    text(&hop, KMQ_HOP_URI, "/a b\0c", 6);
    text(&hop, KMQ_HOP_RIGHTS, rights, sizeof(rights));

    return hop;
}


static int
same(const kmq_hop_t *a, const kmq_hop_t *b)
{
    unsigned  i;

    for (i = 0; i < KMQ_HOP_TEXTS; i++) {
        if (a->text[i].len != b->text[i].len
            || (a->text[i].len
                && memcmp(a->text[i].data, b->text[i].data, a->text[i].len)
                   != 0))
        {
            return 0;
        }
    }

    return a->epoch == b->epoch && a->node == b->node && a->start == b->start
           && a->number == b->number && a->expires == b->expires
           && a->limit == b->limit && a->kind == b->kind
           && a->match == b->match && a->flags == b->flags;
}


static int
reads(kmq_hop_t *hop, const char *header, size_t len, const char *secret)
{
    int                    rc;
    char                  *exact;
    static unsigned char  *bytes;

    /* sanitizers see what is read, or written, behind them */

    free(bytes);
    bytes = malloc(len + 1);
    exact = malloc(len + 1);
    memcpy(exact, header, len);

    rc = kmq_hop_read(hop, bytes, exact, len, secret, strlen(secret));
    free(exact);

    return rc;
}


static void
test_header(void)
{
    char       *header;
    size_t      i, len, wrong;
    kmq_hop_t   hop, got;

    hop = sample();
    header = malloc(kmq_hop_room(&hop));
    len = kmq_hop_write(header, &hop, SECRET, strlen(SECRET));

    ok(len > 4000 && len < kmq_hop_room(&hop), "a header is written");
    ok(reads(&got, header, len, SECRET), "and read");
    ok(same(&hop, &got), "all of it is there");
    ok(!reads(&got, header, len, SECRET "x"), "not with another secret");
    ok(!reads(&got, header, len, ""), "nor with none");

    wrong = 0;

    for (i = 0; i < len; i++) {
        wrong += (size_t) reads(&got, header, i, SECRET);
        header[i] ^= 1;
        wrong += (size_t) reads(&got, header, len, SECRET);
        header[i] ^= 1;
    }

    is_int((long long) wrong, 0, "no part of it, and no bit may be another");

    header[len] = 'A';
    ok(!reads(&got, header, len + 1, SECRET), "nor may more be there");
    ok(!reads(&got, "", 0, SECRET), "nor nothing");

    memset(&hop, 0, sizeof(hop));
    len = kmq_hop_write(header, &hop, SECRET, strlen(SECRET));
    ok(reads(&got, header, len, SECRET) && same(&hop, &got), "an empty one");

    free(header);
}


/* ------------------------------------------------------------ the numbers */

static void
begin(void)
{
    memset(hops, 0, kmq_hops_size(NODES));

    if (kmq_hops_init(hops, NODES) != 0) {
        abort();
    }
}


static int
take(uint32_t epoch, uint32_t node, uint64_t start, uint64_t number)
{
    kmq_hop_t  hop;

    memset(&hop, 0, sizeof(hop));
    hop.epoch = epoch;
    hop.node = node;
    hop.start = start;
    hop.number = number;

    return kmq_hops_take(hops, &hop);
}


static void
test_numbers(void)
{
    unsigned   i, n;
    kmq_hop_t  a, b;

    begin();
    kmq_hops_number(hops, &a);
    kmq_hops_number(hops, &b);
    ok(a.start && a.start == b.start && a.number == 1 && b.number == 2,
       "a sender counts");

    is_int(take(1, 0, 5, 1), KMQ_HOPS_NEW, "the first one");
    is_int(take(1, 0, 5, 1), KMQ_HOPS_SEEN, "twice it does not count");
    is_int(take(1, 0, 5, 4000), KMQ_HOPS_NEW, "a later one");
    is_int(take(1, 0, 5, 2), KMQ_HOPS_NEW, "and one between them");
    is_int(take(1, 0, 5, 2), KMQ_HOPS_SEEN, "once");
    is_int(take(1, 0, 5, 3 + KMQ_HOP_PLACES), KMQ_HOPS_NEW, "much later");
    is_int(take(1, 0, 5, 3), KMQ_HOPS_SEEN, "one that was overtaken");
    is_int(take(1, 1, 6, 1), KMQ_HOPS_NEW, "another node counts by itself");
    is_int(take(1, NODES, 6, 1), KMQ_HOPS_GONE, "a node that there is not");
    is_int(take(1, 0, 0, 9), KMQ_HOPS_GONE, "a start that there is not");

    is_int(take(1, 0, 7, 1), KMQ_HOPS_NEW, "a sender that was started anew");
    is_int(take(1, 0, 7, 1), KMQ_HOPS_SEEN, "counts once, too");
    is_int(take(1, 0, 5, 9000), KMQ_HOPS_GONE, "what it was before does not");
    is_int(take(1, 0, 7, 2), KMQ_HOPS_NEW, "and does no harm");

    is_int(take(2, 0, 7, 1), KMQ_HOPS_NEW, "another epoch begins anew");
    is_int(take(2, 0, 5, 1), KMQ_HOPS_NEW, "with whoever there was");
    is_int(take(1, 0, 7, 3), KMQ_HOPS_GONE, "but not for the one before");

    n = 0;
    for (i = 0; i < KMQ_HOP_GONE; i++) {
        n += take(3, 0, 100 + i, 1) == KMQ_HOPS_NEW;
    }
    is_int(n, KMQ_HOP_GONE, "many starts");
    is_int(take(3, 0, 5000, 1), KMQ_HOPS_NEW, "one more");
    is_int(take(3, 0, 5001, 1), KMQ_HOPS_FULL, "and that was the last");
    is_int(take(3, 0, 5000, 2), KMQ_HOPS_NEW, "who is there is served");
    is_int(take(3, 0, 100, 2), KMQ_HOPS_GONE, "who was is not");
    is_int(take(4, 0, 5001, 1), KMQ_HOPS_NEW, "until another epoch");
}


/* Each number is taken once, whichever process it comes to, and whoever is
 * killed meanwhile. */
static void
test_processes(void)
{
    int        status;
    pid_t      pid[4];
    uint64_t  *taken;
    unsigned   i, n, round;

    begin();
    taken = mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_ANON|MAP_SHARED, -1, 0);

    for (i = 0; i < 4; i++) {
        pid[i] = fork();

        if (pid[i] == 0) {
            for (round = 1; round <= 20000; round++) {
                if (take(1, 0, 1, round) == KMQ_HOPS_NEW) {
                    __atomic_add_fetch(taken, 1, __ATOMIC_RELAXED);
                }
            }
            _exit(0);
        }
    }

    for (i = 0; i < 4; i++) {
        waitpid(pid[i], &status, 0);
    }

    ok(*taken > 0 && *taken <= 20000, "each number counts once at most");

    n = 0;

    for (round = 1; round <= 20; round++) {
        pid[0] = fork();

        if (pid[0] == 0) {
            for (i = 1; ; i++) {
                (void) take(round, 0, i, 1);
            }
        }

        usleep(500);
        kill(pid[0], SIGKILL);
        waitpid(pid[0], &status, 0);

        n += take(round + 1000, 0, 1, 1) == KMQ_HOPS_NEW
             && take(round + 1000, 0, 1, 1) == KMQ_HOPS_SEEN;
        begin();
    }

    is_int(n, 20, "whoever dies leaves a state that is good");
}


int
main(void)
{
    hops = mmap(NULL, kmq_hops_size(NODES), PROT_READ|PROT_WRITE,
                MAP_ANON|MAP_SHARED, -1, 0);

    test_header();
    test_numbers();
    test_processes();

    return done_testing();
}
