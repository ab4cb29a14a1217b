/* When keys were used last. */

#include <pthread.h>

#include "../../src/access/kmq_used.h"
#include "tap.h"


#define START    UINT64_C(1700000000)
#define THREADS  4
#define ROUNDS   20
#define MORE     (KMQ_USED_KEYS + 20)   /* keys than there is room for */


static kmq_used_t  *used;


static kmq_digest_t
digest_of(unsigned key)
{
    kmq_digest_t  digest;

    if (kmq_digest(&digest, &key, sizeof(key)) != 0) {
        abort();
    }

    return digest;
}


static void
use(unsigned key, uint64_t now)
{
    kmq_digest_t  digest = digest_of(key);

    kmq_used_now(used, &digest, now);
}


static uint64_t
last(unsigned key)
{
    kmq_digest_t  digest = digest_of(key);

    return kmq_used_last(used, &digest);
}


/* How many of n keys, the first one included, were used at their times. */
static unsigned
known(unsigned first, unsigned n)
{
    unsigned  i, found;

    found = 0;

    for (i = first; i < first + n; i++) {
        found += last(i) == START + i;
    }

    return found;
}


static void
test_few(void)
{
    kmq_used_init(used);

    is_int(last(1), 0, "it was never used");
    use(1, START);
    is_int(last(1), START, "it was");
    use(1, START + 7);
    use(2, START + 3);
    is_int(last(1), START + 7, "the last time counts");
    is_int(last(2), START + 3, "each has its own");
    is_int(last(3), 0, "and others have none");
}


static void
test_full(void)
{
    unsigned  i;

    kmq_used_init(used);

    for (i = 0; i < KMQ_USED_KEYS; i++) {
        use(i, START + i);
    }

    is_int(known(0, KMQ_USED_KEYS), KMQ_USED_KEYS, "all have a place");

    for (i = 0; i < 100; i++) {
        use(KMQ_USED_KEYS + i, START + KMQ_USED_KEYS + i);
    }

    is_int(known(KMQ_USED_KEYS, 100), 100, "a hundred more take places");
    is_int(known(0, 100), 0, "those of the hundred used longest ago");
    is_int(known(100, KMQ_USED_KEYS - 100), KMQ_USED_KEYS - 100,
           "and no others");
}


static void *
run(void *arg)
{
    unsigned  round, i, keys;

    keys = *(unsigned *) arg;

    for (round = 0; round < ROUNDS; round++) {
        for (i = 0; i < keys; i++) {
            use(i, START + round);
        }
    }

    return NULL;
}


/* How many of n keys have a time at which they were used, when several threads
 * have used all of them. */
static unsigned
run_threads(unsigned n)
{
    unsigned   i, found;
    pthread_t  thread[THREADS];

    kmq_used_init(used);

    for (i = 0; i < THREADS; i++) {
        if (pthread_create(&thread[i], NULL, run, &n) != 0) {
            abort();
        }
    }

    for (i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
    }

    found = 0;

    for (i = 0; i < n; i++) {
        found += last(i) >= START && last(i) < START + ROUNDS;
    }

    return found;
}


static void
test_threads(void)
{
    unsigned  found;

    is_int(run_threads(100), 100, "all keys, by several threads");

    found = run_threads(MORE);
    ok(found > KMQ_USED_KEYS / 2 && found <= KMQ_USED_KEYS,
       "as many as there is room for: %u", found);
}


int
main(void)
{
    used = malloc(kmq_used_size());

    test_few();
    test_full();
    test_threads();

    free(used);

    return done_testing();
}
