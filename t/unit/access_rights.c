/* Rights: topics with a continuation, templates, the id, the console. */

#include "../../src/access/kmq_rights.h"
#include "tap.h"


#define TEXT(s)  ((kmq_text_t) { (s), sizeof(s) - 1 })
#define NONE     ((kmq_text_t) { NULL, 0 })


static kmq_text_t
text(const char *s)
{
    kmq_text_t  t = { s, s ? strlen(s) : 0 };

    return t;
}


/* Rights to produce and consume one topic each, NULL: none. */
static kmq_rights_t *
make(unsigned kind, const char *name, const char *id, const char *produce,
    const char *consume)
{
    kmq_text_t     p = text(produce), c = text(consume);
    kmq_claims_t   claims;
    kmq_rights_t  *rights;

    memset(&claims, 0, sizeof(claims));

    claims.kind = kind;
    claims.name = text(name);
    claims.id = text(id);
    claims.produce = &p;
    claims.consume = &c;
    claims.nproduce = produce != NULL;
    claims.nconsume = consume != NULL;

    rights = kmq_rights_make(&claims);

    if (rights == NULL
        || !kmq_rights_check(rights, kmq_rights_size(rights)))
    {
        printf("Bail out! no rights\n");
        exit(1);
    }

    return rights;
}


/* ----------------------------------------------------------------- topics */

/* Whether a key with this topic may produce to another one. */
static int
key_may(const char *pattern, const char *topic)
{
    int            may;
    kmq_rights_t  *rights;

    rights = make(KMQ_WHO_KEY, "k", NULL, pattern, NULL);
    may = kmq_may_produce(rights, text(topic), NONE);

    if (kmq_may_consume(rights, text(topic), NONE)) {
        may = -1;
    }

    free(rights);

    return may;
}


static void
test_topics(void)
{
    is_int(key_may("orders", "orders"), 1, "the topic itself");
    is_int(key_may("orders", "orders2"), 0, "one that begins like it");
    is_int(key_may("orders", "order"), 0, "the beginning of it");
    is_int(key_may("orders", "Orders"), 0, "another case");
    is_int(key_may("orders.*", "orders.new"), 1, "a continuation");
    is_int(key_may("orders.*", "orders."), 1, "an empty continuation");
    is_int(key_may("orders.*", "orders"), 0, "less than what is before \"*\"");
    is_int(key_may("orders.*", "news.orders.x"), 0, "in the middle");
    is_int(key_may("*", "anything"), 1, "every topic");
    is_int(key_may("a*b", "a*b"), 1, "a \"*\" in the middle is a \"*\"");
    is_int(key_may("a*b", "axb"), 0, "and nothing else");
    is_int(key_may("*a", "ba"), 0, "a \"*\" at the beginning is none");
    is_int(key_may("a**", "a*x"), 1, "the last of two \"*\" continues");
    is_int(key_may("a**", "ax"), 0, "and the first does not");
    is_int(key_may("", ""), 0, "an empty topic gives no right");
    is_int(key_may("news.{sub}", "news.k"), 0, "a key has no templates");
    is_int(key_may("news.{sub}", "news.{sub}"), 1, "but the letters");
}


static void
test_lists(void)
{
    kmq_text_t     list[] = { TEXT("a"), TEXT("b.*"), TEXT("c") };
    kmq_claims_t   claims;
    kmq_rights_t  *rights;

    memset(&claims, 0, sizeof(claims));
    claims.kind = KMQ_WHO_KEY;
    claims.produce = list;
    claims.nproduce = 2;
    claims.consume = list + 1;
    claims.nconsume = 2;

    rights = kmq_rights_make(&claims);

    is_int(kmq_may_produce(rights, TEXT("a"), NONE), 1, "the first to produce");
    is_int(kmq_may_produce(rights, TEXT("b.1"), NONE), 1, "the last");
    is_int(kmq_may_produce(rights, TEXT("c"), NONE), 0, "no other");
    is_int(kmq_may_consume(rights, TEXT("b.1"), NONE), 1,
           "the first to consume");
    is_int(kmq_may_consume(rights, TEXT("c"), NONE), 1, "the last");
    is_int(kmq_may_consume(rights, TEXT("a"), NONE), 0, "no other");
    is_int(kmq_may_metrics(rights), 0, "no metrics");
    is_int(kmq_may_console(rights, 0, TEXT("a")), 0, "no console");

    free(rights);

    claims.nproduce = KMQ_RIGHTS_TOPICS_MAX + 1;
    ok(kmq_rights_make(&claims) == NULL, "a list that is too long");
}


/* -------------------------------------------------------------- templates */

/* Whether a token with this may consume a topic with that id. */
static int
token_may(const char *sub, const char *own, const char *pattern,
    const char *topic, const char *id)
{
    int            may;
    kmq_rights_t  *rights;

    rights = make(KMQ_WHO_TOKEN, sub, own, NULL, pattern);
    may = kmq_may_consume(rights, text(topic), text(id));
    free(rights);

    return may;
}


/* The only id of a token with this. */
static const char *
token_id(const char *sub, const char *own)
{
    static char  shown[64];

    kmq_text_t     id;
    kmq_rights_t  *rights;

    rights = make(KMQ_WHO_TOKEN, sub, own, NULL, "t");
    id = kmq_rights_id(rights);
    snprintf(shown, sizeof(shown), "%s%.*s", id.data ? "=" : "any",
             (int) id.len, id.data ? id.data : "");
    free(rights);

    return shown;
}


static void
test_own_id(void)
{
    ok(strcmp(token_id("anna", NULL), "any") == 0, "any id");
    ok(strcmp(token_id("anna", "{sub}.1"), "=anna.1") == 0, "one id alone");
    ok(strcmp(token_id(NULL, "{sub}"), "=") == 0, "one that is void");
}


static void
test_subject(void)
{
    is_int(token_may("anna", NULL, "news.{sub}", "news.anna", "1"), 1,
           "the subject is put in");
    is_int(token_may("anna", NULL, "news.{sub}", "news.otto", "1"), 0,
           "no other subject");
    is_int(token_may("anna", NULL, "{sub}.{sub}.*", "anna.anna.x", "1"), 1,
           "twice, and a continuation");
    is_int(token_may("*", NULL, "news.{sub}", "news.*", "1"), 1,
           "a subject \"*\" is a \"*\"");
    is_int(token_may("*", NULL, "news.{sub}", "news.otto", "1"), 0,
           "and no wildcard");
    is_int(token_may("*", NULL, "{sub}", "news", "1"), 0,
           "not even alone");
    is_int(token_may("a*", NULL, "{sub}", "ab", "1"), 0, "nor at an end");
    is_int(token_may("{id}", "x", "news.{sub}", "news.x", "x"), 0,
           "what is put in is not read again");
    is_int(token_may("{id}", "x", "news.{sub}", "news.{id}", "x"), 1,
           "but stays as it is");
    is_int(token_may("{sub}", NULL, "{sub}", "{sub}", "x"), 1,
           "a subject that looks like a template");
    is_int(token_may(NULL, NULL, "news.{sub}", "news.", "1"), 0,
           "without a subject: void");
    is_int(token_may(NULL, NULL, "news.{sub}", "news.{sub}", "1"), 0,
           "without a subject: not the letters either");
    is_int(token_may("", NULL, "{sub}*", "anything", "1"), 0,
           "an empty subject is none");
    is_int(token_may("anna", NULL, "{Sub}", "anna", "1"), 0,
           "another case is no template");
    is_int(token_may("anna", NULL, "{sub", "{sub", "1"), 1,
           "half a template is text");
}


static void
test_id(void)
{
    is_int(token_may("anna", NULL, "news", "news", "any"), 1,
           "without an id: anybody takes any");
    is_int(token_may("anna", NULL, "in.{id}", "in.7", "7"), 0,
           "{id} without an id: void");
    is_int(token_may("anna", NULL, "in.{id}", "in.{id}", "7"), 0,
           "not the letters either");
    is_int(token_may("anna", "7", "in.{id}", "in.7", "7"), 1,
           "{id} beside an id");
    is_int(token_may("anna", "7", "in.{id}", "in.8", "8"), 0,
           "not another one's");
    is_int(token_may("anna", "7", "news", "news", "8"), 0,
           "another id than its own");
    is_int(token_may("anna", "7", "news", "news", NULL), 1,
           "where there is no id, the topic counts");
    is_int(token_may("anna", "u-{sub}", "in.{id}", "in.u-anna", "u-anna"), 1,
           "an id with the subject");
    is_int(token_may(NULL, "u-{sub}", "news", "news", "u-"), 0,
           "an id without its subject is nobody's");
    is_int(token_may(NULL, "{sub}", "news", "news", ""), 0,
           "not even nobody's");
    is_int(token_may(NULL, "{sub}", "in.{id}", "in.", NULL), 0,
           "and makes {id} void");
    is_int(token_may("anna", "{id}", "news", "news", "{id}"), 0,
           "an id that names itself is void");
    is_int(token_may("{id}", "{sub}", "in.{id}", "in.{id}", "{id}"), 1,
           "an id that looks like a template");
}


static void
test_long(void)
{
    char  sub[256], topic[256];

    memset(sub, 's', 255);
    sub[255] = '\0';

    is_int(token_may(sub, sub, "{sub}", sub, sub), 1, "255 bytes");

    memcpy(topic, sub, 255);
    topic[255] = '\0';
    is_int(token_may(sub, NULL, "{sub}*", topic, "1"), 1, "and a \"*\"");
    is_int(token_may(sub, NULL, "s{sub}", topic, "1"), 0,
           "longer than a topic: void");
    is_int(token_may(sub, NULL, "s{sub}*", topic, "1"), 0,
           "with a \"*\", too");
    is_int(token_may(sub, "s{sub}", "news", "news", topic), 0,
           "an id that is too long is nobody's");
}


/* ---------------------------------------------------------------- console */

static kmq_rights_t *
console(unsigned level, const char *produce, const char *consume)
{
    kmq_text_t    p = text(produce), c = text(consume);
    kmq_claims_t  claims;

    memset(&claims, 0, sizeof(claims));
    claims.kind = KMQ_WHO_KEY;
    claims.console = level;
    claims.produce = &p;
    claims.consume = &c;
    claims.nproduce = produce != NULL;
    claims.nconsume = consume != NULL;

    return kmq_rights_make(&claims);
}


static void
test_console(void)
{
    unsigned       level;
    kmq_rights_t  *rights;

    for (level = KMQ_CONSOLE_NONE; level <= KMQ_CONSOLE_WRITE; level++) {
        rights = console(level, "p.*", "c");

        is_int(kmq_may_console(rights, 0, TEXT("p.1")), level > 0,
               "%u: reads what it produces to", level);
        is_int(kmq_may_console(rights, 1, TEXT("c")), level == 2,
               "%u: writes what it consumes", level);
        is_int(kmq_may_console(rights, 0, TEXT("x")), 0,
               "%u: reads nothing else", level);
        is_int(kmq_may_console(rights, 1, TEXT("x")), 0,
               "%u: writes nothing else", level);
        is_int(kmq_may_console_all(rights, 0), 0,
               "%u: not the whole queue", level);
        free(rights);

        rights = console(level, NULL, "*");
        is_int(kmq_may_console_all(rights, 0), level > 0,
               "%u: reads the whole queue with \"*\"", level);
        is_int(kmq_may_console_all(rights, 1), level == 2,
               "%u: writes it", level);
        free(rights);

        rights = console(level, "*", NULL);
        is_int(kmq_may_console_all(rights, 0), level > 0,
               "%u: \"*\" to produce is as good", level);
        free(rights);
    }

    rights = console(KMQ_CONSOLE_WRITE, "**", "*x");
    is_int(kmq_may_console_all(rights, 0), 0, "nothing but \"*\" is \"*\"");
    free(rights);
}


static void
test_secret(void)
{
    kmq_text_t     name;
    kmq_rights_t  *rights;

    rights = kmq_rights_all();
    name = kmq_rights_name(rights);

    is_int(kmq_may_produce(rights, TEXT("t"), TEXT("i")), 1, "produces");
    is_int(kmq_may_consume(rights, TEXT("t"), TEXT("i")), 1, "consumes");
    is_int(kmq_may_console(rights, 1, TEXT("t")), 1, "writes");
    is_int(kmq_may_console_all(rights, 1), 1, "writes the whole queue");
    is_int(kmq_may_metrics(rights), 1, "metrics");
    is_int(kmq_rights_kind(rights), KMQ_WHO_SECRET, "who it is");
    is_bytes(name.data, name.len, "secretKey", 9, "by what name");

    free(rights);
}


/* A block with a length that points out of it is none. */
static void
test_check(void)
{
    size_t          i, size, refused;
    kmq_rights_t   *rights;
    unsigned char  *bytes;

    rights = make(KMQ_WHO_TOKEN, "anna", "7", "a.*", "b.{id}");
    size = kmq_rights_size(rights);
    bytes = (unsigned char *) rights;
    refused = 0;

    ok(size % 8 == 0, "a multiple of 8");
    ok(!kmq_rights_check(rights, size - 1), "not whole");
    ok(!kmq_rights_check(rights, 3), "not even its beginning");

    for (i = 0; i < size; i++) {
        bytes[i] ^= 0x80;
        refused += !kmq_rights_check(rights, size);
        bytes[i] ^= 0x80;
    }

    /* three sizes of four bytes, two lengths, two patterns with two each */
    is_int((long long) refused, 3 * 4 + 2 + 4, "wrong lengths are found");
    ok(kmq_rights_check(rights, size), "and it is whole again");

    free(rights);
}


int
main(void)
{
    test_topics();
    test_lists();
    test_own_id();
    test_subject();
    test_id();
    test_long();
    test_console();
    test_secret();
    test_check();

    return done_testing();
}
