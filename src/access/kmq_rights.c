/* What a client may do: kmq_rights.h. */

#include <stdlib.h>
#include <string.h>

#include "kmq_rights.h"


#define RIGHTS_ALIGN(n)  (((n) + 7) & ~(size_t) 7)

/* A pattern in the block: its length, whether a "*" followed it, its bytes. */
#define PATTERN_HEAD  2


/* Behind it: the name, the id, the patterns of produce, those of consume. */
struct kmq_rights_s {
    uint32_t  size;
    uint32_t  produce_size;
    uint32_t  consume_size;
    uint8_t   kind;
    uint8_t   console;
    uint8_t   metrics;
    uint8_t   bound;            /* it has an id, which may be void: empty */
    uint8_t   name_len;
    uint8_t   id_len;
    uint8_t   unused[6];
};

_Static_assert(sizeof(kmq_rights_t) % 8 == 0, "rights are aligned to 8");


/* A text in the making, as long as a name may be. */
typedef struct {
    size_t  len;
    char    bytes[KMQ_RIGHTS_NAME_MAX];
} expanded_t;


/* ----------------------------------------------------------------- making */

static int
expand_add(expanded_t *to, const char *bytes, size_t len)
{
    if (len > sizeof(to->bytes) - to->len) {
        return 0;
    }

    memcpy(to->bytes + to->len, bytes, len);
    to->len += len;

    return 1;
}


/* Whether text has such a word at its beginning. */
static int
expand_word(const char *text, size_t len, const char *word)
{
    return len >= strlen(word) && memcmp(text, word, strlen(word)) == 0;
}


/*
 * Puts subject and id in where text names them.  What was put in is not read
 * again.  1, or 0 when one of them is not there, or it becomes too long.
 */
static int
expand(expanded_t *to, kmq_text_t text, kmq_text_t sub, kmq_text_t id)
{
    size_t      i, n;
    kmq_text_t  with;

    to->len = 0;

    for (i = 0; i < text.len; i += n) {

        with.data = text.data + i;
        with.len = 1;
        n = 1;

        if (expand_word(text.data + i, text.len - i, "{sub}")) {
            with = sub;
            n = sizeof("{sub}") - 1;

        } else if (expand_word(text.data + i, text.len - i, "{id}")) {
            with = id;
            n = sizeof("{id}") - 1;
        }

        if (with.len == 0 || !expand_add(to, with.data, with.len)) {
            return 0;
        }
    }

    return 1;
}


/* Writes a topic to end, where there is one: its bytes, 0 when it gives no
 * right. */
static size_t
write_topic(unsigned char *end, kmq_text_t topic, const kmq_claims_t *claims,
    kmq_text_t id)
{
    int         any;
    expanded_t  to;

    /* before anything is put in: a "*" of the subject is none */
    any = topic.len && topic.data[topic.len - 1] == '*';
    topic.len -= (size_t) any;

    if (claims->kind == KMQ_WHO_TOKEN) {
        if (!expand(&to, topic, claims->name, id)) {
            return 0;
        }

    } else {
        to.len = 0;

        if (!expand_add(&to, topic.data, topic.len)) {
            return 0;
        }
    }

    if (to.len == 0 && !any) {
        return 0;
    }

    if (end) {
        end[0] = (unsigned char) to.len;
        end[1] = (unsigned char) any;
        memcpy(end + PATTERN_HEAD, to.bytes, to.len);
    }

    return PATTERN_HEAD + to.len;
}


/* The same for a list. */
static size_t
write_list(unsigned char *end, const kmq_text_t *list, size_t n,
    const kmq_claims_t *claims, kmq_text_t id)
{
    size_t  i, size;

    size = 0;

    for (i = 0; i < n; i++) {
        size += write_topic(end ? end + size : NULL, list[i], claims, id);
    }

    return size;
}


/* The id that rights are bound to: 1, 0 when it is void. */
static int
make_id(expanded_t *to, const kmq_claims_t *claims)
{
    static const kmq_text_t  none = { NULL, 0 };

    to->len = 0;

    if (claims->id.data == NULL) {
        return 0;
    }

    if (claims->kind == KMQ_WHO_TOKEN) {
        return expand(to, claims->id, claims->name, none);
    }

    return expand_add(to, claims->id.data, claims->id.len);
}


kmq_rights_t *
kmq_rights_make(const kmq_claims_t *claims)
{
    size_t          size, produce, consume;
    kmq_text_t      id;
    expanded_t      expanded;
    kmq_rights_t   *rights;
    unsigned char  *end;

    if (claims->nproduce > KMQ_RIGHTS_TOPICS_MAX
        || claims->nconsume > KMQ_RIGHTS_TOPICS_MAX
        || claims->name.len > KMQ_RIGHTS_NAME_MAX)
    {
        return NULL;
    }

    id.len = make_id(&expanded, claims) ? expanded.len : 0;
    id.data = id.len ? expanded.bytes : NULL;

    produce = write_list(NULL, claims->produce, claims->nproduce, claims, id);
    consume = write_list(NULL, claims->consume, claims->nconsume, claims, id);
    size = RIGHTS_ALIGN(sizeof(kmq_rights_t) + claims->name.len + id.len
                        + produce + consume);

    rights = calloc(1, size);
    if (rights == NULL) {
        return NULL;
    }

    rights->size = (uint32_t) size;
    rights->produce_size = (uint32_t) produce;
    rights->consume_size = (uint32_t) consume;
    rights->kind = (uint8_t) claims->kind;
    rights->console = (uint8_t) claims->console;
    rights->metrics = claims->metrics != 0;
    rights->bound = claims->id.data != NULL;
    rights->name_len = (uint8_t) claims->name.len;
    rights->id_len = (uint8_t) id.len;

    end = (unsigned char *) (rights + 1);

    if (claims->name.len) {
        memcpy(end, claims->name.data, claims->name.len);
        end += claims->name.len;
    }

    if (id.len) {
        memcpy(end, id.data, id.len);
        end += id.len;
    }

    end += write_list(end, claims->produce, claims->nproduce, claims, id);
    (void) write_list(end, claims->consume, claims->nconsume, claims, id);

    return rights;
}


kmq_rights_t *
kmq_rights_all(void)
{
    kmq_claims_t  claims;

    static const kmq_text_t  every = { "*", 1 };

    memset(&claims, 0, sizeof(kmq_claims_t));

    claims.kind = KMQ_WHO_SECRET;
    claims.console = KMQ_CONSOLE_WRITE;
    claims.metrics = 1;
    claims.name.data = "secretKey";
    claims.name.len = sizeof("secretKey") - 1;
    claims.produce = &every;
    claims.consume = &every;
    claims.nproduce = 1;
    claims.nconsume = 1;

    return kmq_rights_make(&claims);
}


/* ---------------------------------------------------------------- reading */

static const unsigned char *
rights_list(const kmq_rights_t *rights, int consume, size_t *size)
{
    const unsigned char  *list;

    list = (const unsigned char *) (rights + 1) + rights->name_len
           + rights->id_len;

    *size = consume ? rights->consume_size : rights->produce_size;

    return consume ? list + rights->produce_size : list;
}


int
kmq_rights_topic(const kmq_rights_t *rights, int consume, size_t *at,
    kmq_text_t *topic, int *any)
{
    size_t                size;
    const unsigned char  *list;

    list = rights_list(rights, consume, &size);

    if (*at == size) {
        return 0;
    }

    list += *at;

    topic->data = (const char *) list + PATTERN_HEAD;
    topic->len = list[0];
    *any = list[1];

    *at += PATTERN_HEAD + topic->len;

    return 1;
}


static int
check_list(const kmq_rights_t *rights, int consume)
{
    size_t                at, size;
    const unsigned char  *list;

    list = rights_list(rights, consume, &size);

    for (at = 0; at < size; at += PATTERN_HEAD + list[at]) {
        if (size - at < PATTERN_HEAD
            || size - at - PATTERN_HEAD < list[at] || list[at + 1] > 1)
        {
            return 0;
        }
    }

    return 1;
}


int
kmq_rights_check(const void *block, size_t room)
{
    const kmq_rights_t  *rights = block;

    if (room < sizeof(kmq_rights_t) || rights->size > room
        || rights->size
           != RIGHTS_ALIGN(sizeof(kmq_rights_t) + rights->name_len
                           + rights->id_len + (size_t) rights->produce_size
                           + rights->consume_size))
    {
        return 0;
    }

    return check_list(rights, 0) && check_list(rights, 1);
}


size_t
kmq_rights_size(const kmq_rights_t *rights)
{
    return rights->size;
}


unsigned
kmq_rights_kind(const kmq_rights_t *rights)
{
    return rights->kind;
}


kmq_text_t
kmq_rights_name(const kmq_rights_t *rights)
{
    kmq_text_t  name;

    name.data = (const char *) (rights + 1);
    name.len = rights->name_len;

    return name;
}


kmq_text_t
kmq_rights_id(const kmq_rights_t *rights)
{
    kmq_text_t  id;

    id.data = NULL;
    id.len = rights->id_len;

    if (rights->bound) {
        id.data = (const char *) (rights + 1) + rights->name_len;
    }

    return id;
}


unsigned
kmq_rights_console(const kmq_rights_t *rights)
{
    return rights->console;
}


/* -------------------------------------------------------------- questions */

static int
may_topic(const kmq_rights_t *rights, int consume, kmq_text_t topic)
{
    int         any;
    size_t      at;
    kmq_text_t  pattern;

    at = 0;

    while (kmq_rights_topic(rights, consume, &at, &pattern, &any)) {
        if ((any ? topic.len >= pattern.len : topic.len == pattern.len)
            && memcmp(topic.data, pattern.data, pattern.len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* A void id, which is empty, is nobody's. */
static int
may_id(const kmq_rights_t *rights, kmq_text_t id)
{
    const char  *own;

    if (id.data == NULL || !rights->bound) {
        return 1;
    }

    own = (const char *) (rights + 1) + rights->name_len;

    return rights->id_len && id.len == rights->id_len
           && memcmp(id.data, own, id.len) == 0;
}


int
kmq_may_produce(const kmq_rights_t *rights, kmq_text_t topic, kmq_text_t id)
{
    return may_id(rights, id) && may_topic(rights, 0, topic);
}


int
kmq_may_consume(const kmq_rights_t *rights, kmq_text_t topic, kmq_text_t id)
{
    return may_id(rights, id) && may_topic(rights, 1, topic);
}


static int
may_level(const kmq_rights_t *rights, int write)
{
    return rights->console
           >= (write ? KMQ_CONSOLE_WRITE : KMQ_CONSOLE_READ);
}


int
kmq_may_console(const kmq_rights_t *rights, int write, kmq_text_t topic)
{
    return may_level(rights, write)
           && (may_topic(rights, 0, topic) || may_topic(rights, 1, topic));
}


/* Whether a list has a "*" with nothing before it. */
static int
may_every(const kmq_rights_t *rights, int consume)
{
    int         any;
    size_t      at;
    kmq_text_t  pattern;

    at = 0;

    while (kmq_rights_topic(rights, consume, &at, &pattern, &any)) {
        if (any && pattern.len == 0) {
            return 1;
        }
    }

    return 0;
}


int
kmq_may_console_all(const kmq_rights_t *rights, int write)
{
    return may_level(rights, write)
           && (may_every(rights, 0) || may_every(rights, 1));
}


int
kmq_may_metrics(const kmq_rights_t *rights)
{
    return rights->metrics;
}
