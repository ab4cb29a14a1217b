/* Wrong keys by address. */

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../src/access/kmq_tries.h"
#include "tap.h"


#define START  UINT64_C(5000000000)     /* more than 32 bits of ms */
#define MANY   1000


static kmq_tries_t  *table;


static void
begin(void)
{
    if (kmq_tries_init(table) != 0) {
        abort();
    }
}


/* An address tries a wrong key, both of them by their number. */
static uint32_t
try_key(unsigned address, unsigned key, uint64_t now)
{
    kmq_digest_t      digest;
    kmq_tries_from_t  from;
    unsigned char     bytes[4];

    bytes[0] = 10;
    bytes[1] = (unsigned char) (address >> 16);
    bytes[2] = (unsigned char) (address >> 8);
    bytes[3] = (unsigned char) address;

    kmq_tries_from(&from, bytes, 4);
    kmq_digest(&digest, &key, sizeof(key));

    return kmq_tries_wrong(table, &from, &digest, now, KMQ_TRIES_LIMIT);
}


/* So many different ones; how many of them were allowed. */
static unsigned
try_keys(unsigned address, unsigned first, unsigned n, uint64_t now)
{
    unsigned  i, allowed;

    allowed = 0;

    for (i = 0; i < n; i++) {
        allowed += try_key(address, first + i, now) == 0;
    }

    return allowed;
}


static void
test_limit(void)
{
    begin();

    is_int(try_keys(1, 0, 20, START), 20, "20 different ones are allowed");
    is_int(try_key(1, 20, START), KMQ_TRIES_TIME, "the next one in a minute");
    is_int(try_key(1, 20, START + 59999), 1, "or a millisecond");
    is_int(try_key(1, 5, START), 0, "one of them again does not count");
    is_int(try_key(2, 20, START), 0, "another address");
    is_int(try_key(1, 20, START + 60000), 0, "a minute later");
    is_int(try_keys(1, 21, 50, START + 60000), 19, "and 19 more");
}


static void
test_same(void)
{
    unsigned  i, allowed;

    begin();
    allowed = 0;

    for (i = 0; i < 10000; i++) {
        allowed += try_key(1, 7, START + i) == 0;
    }

    is_int(allowed, 10000, "the same one for ever");
    is_int(try_keys(1, 100, 30, START + 10000), 19, "counts once");
}


/* Whoever looks for keys whose digests begin alike is counted as well. */
static void
test_alike(void)
{
    unsigned          i, allowed;
    kmq_digest_t      digest;
    kmq_tries_from_t  from;

    static const unsigned char  address[4] = { 10, 0, 0, 1 };

    begin();
    kmq_tries_from(&from, address, 4);
    memset(&digest, 7, sizeof(digest));
    allowed = 0;

    for (i = 0; i < 1000; i++) {
        memcpy(digest.bytes + KMQ_DIGEST_LEN - sizeof(i), &i, sizeof(i));
        allowed += kmq_tries_wrong(table, &from, &digest, START,
                                   KMQ_TRIES_LIMIT)
                   == 0;
    }

    is_int(allowed, KMQ_TRIES_LIMIT, "digests that differ at their end");
}


/* In any minute, not in those of a clock. */
static void
test_sliding(void)
{
    begin();

    is_int(try_keys(1, 0, 10, START), 10, "10 now");
    is_int(try_keys(1, 100, 20, START + 50000), 10, "10 after 50 s");
    is_int(try_keys(1, 200, 20, START + 60000), 10, "10 after 60 s");
    is_int(try_key(1, 300, START + 60000), 50000, "the next one in 50 s");
    is_int(try_keys(1, 400, 20, START + 110000), 10, "10 after 110 s");
}


static void
test_clock(void)
{
    begin();

    is_int(try_keys(1, 0, 20, START), 20, "20 in a worker");
    is_int(try_keys(1, 100, 20, START - 300), 0,
           "none in one that is late by 300 ms");
    is_int(try_keys(1, 200, 20, START + (UINT64_C(1) << 32)), 20,
           "20 after 49 days");
}


/* A limit that a reload has made smaller. */
static void
test_smaller(void)
{
    unsigned          key;
    kmq_digest_t      digest;
    kmq_tries_from_t  from;

    static const unsigned char  address[4] = { 10, 0, 0, 1 };

    begin();
    (void) try_keys(1, 0, 10, START);
    (void) try_keys(1, 10, 10, START + 10000);

    kmq_tries_from(&from, address, 4);
    key = 1000;
    kmq_digest(&digest, &key, sizeof(key));

    is_int(kmq_tries_wrong(table, &from, &digest, START + 10000, 3), 60000,
           "when but two are left");
    is_int(kmq_tries_wrong(table, &from, &digest, START + 10000, 15), 50000,
           "when but 14 are left");
}


/* ---------------------------------------------------------- many addresses */

static void
test_many(void)
{
    unsigned  i, round, allowed;

    begin();
    allowed = 0;

    for (round = 0; round < 40; round++) {
        for (i = 0; i < MANY; i++) {
            allowed += try_key(i, round * MANY + i, START) == 0;
        }
    }

    ok(allowed <= 112 * KMQ_TRIES_LIMIT, "%u addresses with 40 keys each: %u "
       "were allowed", MANY, allowed);

    is_int(try_keys(5000, 1 << 20, 1, START + 60000), 1,
           "a minute later all is well");
}


/* Whoever has tried most is not forgotten because of others. */
static void
test_kept(void)
{
    unsigned  i;

    begin();
    (void) try_keys(1, 0, 20, START);

    for (i = 100; i < 100 + MANY; i++) {
        (void) try_key(i, i, START + 1);
    }

    ok(try_key(1, 777777, START + 2) != 0, "the worst one is still known");
}


static int
same(const unsigned char *a, size_t a_len, const unsigned char *b,
    size_t b_len)
{
    kmq_tries_from_t  x, y;

    kmq_tries_from(&x, a, a_len);
    kmq_tries_from(&y, b, b_len);

    return memcmp(&x, &y, sizeof(x)) == 0;
}


static void
test_addresses(void)
{
    static const unsigned char  v4[] = { 10, 1, 2, 3 };
    static const unsigned char  other[] = { 10, 1, 2, 4 };
    static const unsigned char  mapped[] = {
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3
    };
    static const unsigned char  a[] = {
        0x20, 1, 0xd, 0xb8, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1
    };
    static const unsigned char  b[] = {
        0x20, 1, 0xd, 0xb8, 0, 1, 0, 2, 9, 9, 9, 9, 9, 9, 9, 9
    };
    static const unsigned char  c[] = {
        0x20, 1, 0xd, 0xb8, 0, 1, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1
    };
    static const unsigned char  like[] = {
        10, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1
    };

    ok(!same(v4, 4, other, 4), "two IPv4 addresses");
    ok(same(v4, 4, mapped, 16), "IPv4 in IPv6's notation");
    ok(same(a, 16, b, 16), "two of one network of IPv6");
    ok(!same(a, 16, c, 16), "two networks of IPv6");
    ok(!same(v4, 4, like, 16), "an IPv6 that begins like an IPv4");
    ok(same(NULL, 0, NULL, 0) && !same(NULL, 0, v4, 4), "no address");
}


/* ---------------------------------------------------------------- processes */

/* The child is killed while it counts, again and again. */
static void
test_death(void)
{
    pid_t     pid;
    unsigned  i, key, status;

    begin();
    key = 0;

    for (i = 0; i < 50; i++) {
        pid = fork();

        if (pid == 0) {
            for ( ;; ) {
                key++;
                (void) try_key(key % 300, key, START);
            }
        }

        usleep(1000);
        kill(pid, SIGKILL);
        waitpid(pid, (int *) &status, 0);

        if (try_keys(400 + i, 0, 30, START + (i + 1) * 100000) != 20) {
            break;
        }
    }

    is_int(i, 50, "it counts on after the death of whoever counted");
}


int
main(void)
{
    table = mmap(NULL, kmq_tries_size(), PROT_READ|PROT_WRITE,
                 MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    if (table == MAP_FAILED) {
        return 1;
    }

    diag("the table has %zu bytes", kmq_tries_size());

    test_limit();
    test_same();
    test_alike();
    test_sliding();
    test_clock();
    test_smaller();
    test_many();
    test_kept();
    test_addresses();
    test_death();

    munmap(table, kmq_tries_size());

    return done_testing();
}
