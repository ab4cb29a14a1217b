/* Sets of keys, and how workers of two generations share them. */

#include <pthread.h>
#include <stdatomic.h>

#include "../../src/access/kmq_keys.h"
#include "tap.h"


#define NOW  UINT64_C(1700000000)


static kmq_rights_t  *all, *some;


static kmq_digest_t
digest(const char *text)
{
    kmq_digest_t  d;

    if (kmq_digest(&d, text, strlen(text)) != 0) {
        abort();
    }

    return d;
}


/* A set of keys, each named by a letter of the text: capital ones have all
 * rights, the others some. */
static kmq_keys_t *
set_of(const char *letters)
{
    char            text[2] = "";
    size_t          n, size;
    kmq_keys_one_t  keys[32];

    for (n = 0; letters[n]; n++) {
        text[0] = letters[n];
        keys[n].digest = digest(text);
        keys[n].rights = letters[n] < 'a' ? all : some;
    }

    return kmq_keys_make(keys, n, NULL, 0, &size);
}


static int
valid(const kmq_keys_t *keys, const char *text)
{
    kmq_digest_t  d = digest(text);

    return kmq_keys_find(keys, &d) != NULL;
}


static int
removed(const kmq_keys_t *keys, const char *text, uint64_t now)
{
    kmq_digest_t  d = digest(text);

    return kmq_keys_removed(keys, &d, now);
}


static void
test_digest(void)
{
    kmq_digest_t  a, b;

    static const unsigned char  abc[] = {
        0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
        0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
        0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad
    };

    a = digest("abc");
    b = a;
    is_bytes(a.bytes, KMQ_DIGEST_LEN, abc, sizeof(abc), "SHA-256 of abc");
    ok(kmq_digest_same(&a, &b), "the same");
    b.bytes[31] ^= 1;
    ok(!kmq_digest_same(&a, &b), "the last bit is another");
    b = a;
    b.bytes[0] ^= 0x80;
    ok(!kmq_digest_same(&a, &b), "the first bit is another");
}


static void
test_find(void)
{
    size_t               size;
    kmq_keys_t          *set;
    kmq_digest_t         a, b, c;
    kmq_keys_one_t       keys[3];
    const kmq_rights_t  *found;

    a = digest("a");
    b = digest("b");
    c = digest("c");

    keys[0].digest = a;
    keys[0].rights = all;
    keys[1].digest = b;
    keys[1].rights = some;
    keys[2].digest = c;
    keys[2].rights = some;

    set = kmq_keys_make(keys, 3, &b, 1, &size);

    found = kmq_keys_find(set, &a);
    is_int(kmq_rights_kind(found), KMQ_WHO_SECRET, "the first key");
    found = kmq_keys_find(set, &c);
    is_int(kmq_rights_kind(found), KMQ_WHO_KEY, "the last key");
    ok(found == kmq_keys_find(set, &b), "keys of one name share their rights");
    ok(!valid(set, "d") && !valid(set, ""), "no other key");
    ok(kmq_keys_token(set, &b), "a token setting");
    ok(!kmq_keys_token(set, &a), "no other");
    ok(!removed(set, "d", 0), "nothing was removed");

    free(set);

    set = kmq_keys_make(NULL, 0, NULL, 0, &size);
    ok(!valid(set, "a"), "no key at all");
    free(set);
}


static void
test_too_many(void)
{
    size_t           i, size;
    kmq_keys_t      *set;
    kmq_keys_one_t  *keys;

    keys = calloc(1000, sizeof(kmq_keys_one_t));

    for (i = 0; i < 1000; i++) {
        keys[i].digest.bytes[0] = (unsigned char) i;
        keys[i].digest.bytes[1] = (unsigned char) (i >> 8);
        keys[i].rights = some;
    }

    set = kmq_keys_make(keys, 500, NULL, 0, &size);
    ok(set != NULL, "500 keys: %zu bytes", size);
    free(set);

    ok(kmq_keys_make(keys, 1000, NULL, 0, &size) == NULL
       && size > KMQ_KEYS_MAX, "1000 keys are too many: %zu bytes", size);

    free(keys);
}


/* ---------------------------------------------------------------- sharing */

/* Makes the keys valid; what a worker then reads. */
static kmq_keys_t *
reload(kmq_valid_t *shared, const char *letters, uint64_t now)
{
    uint64_t     number;
    kmq_keys_t  *set;

    set = set_of(letters);
    kmq_valid_write(shared, set, now);
    free(set);

    return kmq_valid_read(shared, &number);
}


static void
test_share(void)
{
    uint64_t      number, same;
    kmq_keys_t   *set;
    kmq_valid_t  *shared;

    shared = malloc(kmq_valid_size());
    kmq_valid_init(shared);

    number = 0;
    ok(!kmq_valid_changed(shared, 0), "nothing at first");
    ok(kmq_valid_read(shared, &number) == NULL, "nothing to read");

    free(reload(shared, "Aa", NOW));
    ok(kmq_valid_changed(shared, number), "there is something");
    set = kmq_valid_read(shared, &number);
    ok(set && valid(set, "A") && valid(set, "a") && !valid(set, "b"),
       "what was written");
    ok(!kmq_valid_changed(shared, number), "and nothing new");
    free(set);

    free(reload(shared, "Aa", NOW + 5));
    ok(!kmq_valid_changed(shared, number), "the same keys are no change");

    free(reload(shared, "AB", NOW + 10));
    ok(kmq_valid_changed(shared, number), "other keys of the same size are");

    set = kmq_valid_read(shared, &same);
    ok(same != number && !valid(set, "a") && valid(set, "B"),
       "a key less, a key more");
    ok(removed(set, "a", NOW + 10), "it is known as removed");
    ok(!removed(set, "A", NOW + 10) && !removed(set, "c", NOW + 10),
       "and no other");
    free(set);

    free(shared);
}


/* A key that is given other rights. */
static void
test_rights(void)
{
    kmq_keys_t          *set;
    kmq_valid_t         *shared;
    kmq_digest_t         d = digest("a");
    kmq_rights_t        *swap;
    const kmq_rights_t  *found;

    shared = malloc(kmq_valid_size());
    kmq_valid_init(shared);

    free(reload(shared, "a", NOW));
    swap = some;
    some = all;
    set = reload(shared, "a", NOW);
    some = swap;

    found = kmq_keys_find(set, &d);
    ok(found && kmq_may_console_all(found, 1), "other rights are a change");
    ok(!removed(set, "a", NOW), "but no removal");

    free(set);
    free(shared);
}


static void
test_removed(void)
{
    kmq_keys_t   *set;
    kmq_valid_t  *shared;

    shared = malloc(kmq_valid_size());
    kmq_valid_init(shared);

    free(reload(shared, "Sa", NOW));
    free(reload(shared, "S", NOW));
    set = reload(shared, "Sb", NOW + 3600);
    ok(removed(set, "a", NOW + 3600), "still known after another reload");
    ok(removed(set, "a", NOW + KMQ_REMOVED_TIME - 1), "for a day");
    ok(!removed(set, "a", NOW + KMQ_REMOVED_TIME), "and not longer");
    free(set);

    set = reload(shared, "Sba", NOW + 7200);
    ok(valid(set, "a") && !removed(set, "a", NOW + 7200),
       "back again: it is not removed");
    free(set);

    set = reload(shared, "S", NOW + 9000);
    ok(removed(set, "a", NOW + 9000) && removed(set, "b", NOW + 9000),
       "two were removed");
    free(set);

    free(shared);
}


/* More than there is room for: the newest are known. */
static void
test_removed_many(void)
{
    char             text[16];
    size_t           size;
    unsigned         i;
    uint64_t         number;
    kmq_keys_t      *set;
    kmq_valid_t     *shared;
    kmq_keys_one_t   key;

    shared = malloc(kmq_valid_size());
    kmq_valid_init(shared);

    for (i = 0; i < 2000; i++) {
        snprintf(text, sizeof(text), "%u", i);
        key.digest = digest(text);
        key.rights = some;
        set = kmq_keys_make(&key, 1, NULL, 0, &size);
        kmq_valid_write(shared, set, NOW + i);
        free(set);
    }

    set = kmq_valid_read(shared, &number);
    ok(set && removed(set, "1998", NOW + 2000), "the last one is known");
    ok(!removed(set, "2", NOW + 2000), "the first ones are forgotten");
    ok(valid(set, text), "and the valid one is valid");

    free(set);
    free(shared);
}


/* ------------------------------------------------------------ at one time */

static atomic_int  stop;


static void *
reader(void *arg)
{
    long          wrong;
    uint64_t      number;
    kmq_keys_t   *set;
    kmq_valid_t  *shared;

    shared = arg;
    wrong = 0;

    while (!stop) {
        set = kmq_valid_read(shared, &number);

        /* each set has two of three keys */
        if (set && valid(set, "A") + valid(set, "b") + valid(set, "c") != 2) {
            wrong++;
        }

        free(set);
    }

    return (void *) wrong;
}


static void
test_threads(void)
{
    void         *wrong;
    unsigned      i;
    pthread_t     thread;
    kmq_valid_t  *shared;

    static const char *const  sets[] = { "Ab", "bc", "Ac" };

    shared = malloc(kmq_valid_size());
    kmq_valid_init(shared);
    free(reload(shared, sets[0], NOW));

    if (pthread_create(&thread, NULL, reader, shared) != 0) {
        abort();
    }

    for (i = 0; i < 3000; i++) {
        free(reload(shared, sets[i % 3], NOW + i));
    }

    stop = 1;
    pthread_join(thread, &wrong);
    is_int((long) wrong, 0, "nobody reads half a set");

    free(shared);
}


int
main(void)
{
    kmq_text_t    topic = { "t", 1 };
    kmq_claims_t  claims;

    memset(&claims, 0, sizeof(claims));
    claims.kind = KMQ_WHO_KEY;
    claims.consume = &topic;
    claims.nconsume = 1;

    all = kmq_rights_all();
    some = kmq_rights_make(&claims);

    test_digest();
    test_find();
    test_too_many();
    test_share();
    test_rights();
    test_removed();
    test_removed_many();
    test_threads();

    free(all);
    free(some);

    return done_testing();
}
