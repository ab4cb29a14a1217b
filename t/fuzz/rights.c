/*
 * Topics, templates and ids against a second reading of the contract.  Lines:
 * whether it is a token's, the subject, the id, a topic of the rights, and a
 * topic and an id that are asked for.
 */

#include <stdlib.h>
#include <string.h>

#include "../../src/access/kmq_rights.h"


#define LINES  6
#define ROOM   (64 * 1024)

enum { KIND, SUBJECT, ID, PATTERN, TOPIC, ASKED };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* A text that may not be: -1 is the length of such. */
typedef struct {
    long  len;
    char  bytes[ROOM];
} made_t;


static void
replace(made_t *to, const kmq_text_t *from, const char *word,
    const made_t *with)
{
    size_t  i, n;

    n = strlen(word);
    to->len = 0;

    for (i = 0; i < from->len; i++) {

        if (i + n > from->len || memcmp(from->data + i, word, n) != 0) {
            to->bytes[to->len++] = from->data[i];
            continue;
        }

        if (with->len < 1) {
            to->len = -1;
            return;
        }

        memcpy(to->bytes + to->len, with->bytes, (size_t) with->len);
        to->len += with->len;
        i += n - 1;
    }
}


static void
plain(made_t *to, const kmq_text_t *from)
{
    to->len = from->data ? (long) from->len : -1;

    if (from->len) {
        memcpy(to->bytes, from->data, from->len);
    }
}


/* {sub} and {id} at one time: the parts between {sub} have their {id} put in
 * before they are joined. */
static void
both(made_t *to, kmq_text_t from, const made_t *sub, const made_t *id)
{
    size_t         n;
    kmq_text_t     part;
    static made_t  piece;

    to->len = 0;

    for ( ;; ) {
        for (n = 0; n < from.len; n++) {
            if (from.len - n >= 5 && memcmp(from.data + n, "{sub}", 5) == 0) {
                break;
            }
        }

        part.data = from.data;
        part.len = n;
        replace(&piece, &part, "{id}", id);

        if (piece.len < 0) {
            to->len = -1;
            return;
        }

        memcpy(to->bytes + to->len, piece.bytes, (size_t) piece.len);
        to->len += piece.len;

        if (n == from.len) {
            return;
        }

        if (sub->len < 1) {
            to->len = -1;
            return;
        }

        memcpy(to->bytes + to->len, sub->bytes, (size_t) sub->len);
        to->len += sub->len;
        from.data += n + 5;
        from.len -= n + 5;
    }
}


/* What the contract says, read a second time. */
static int
expected(const kmq_text_t line[LINES])
{
    int            any, token;
    kmq_text_t     pattern;
    static made_t  sub, id, topic, none = { .len = -1 };

    token = line[KIND].len % 2;
    plain(&sub, &line[SUBJECT]);

    if (token && line[ID].data) {
        both(&id, line[ID], &sub, &none);

    } else {
        plain(&id, &line[ID]);
    }

    if (id.len > 255) {
        id.len = -1;
    }

    if (line[ID].data && line[ASKED].data
        && (id.len < 1 || (size_t) id.len != line[ASKED].len
            || memcmp(id.bytes, line[ASKED].data, (size_t) id.len) != 0))
    {
        return 0;
    }

    pattern = line[PATTERN];
    any = pattern.len && pattern.data[pattern.len - 1] == '*';
    pattern.len -= (size_t) any;

    if (token) {
        both(&topic, pattern, &sub, &id);

    } else {
        plain(&topic, &pattern);
    }

    if (topic.len < 0 || topic.len > 255 || (topic.len == 0 && !any)) {
        return 0;
    }

    return (any ? line[TOPIC].len >= (size_t) topic.len
                : line[TOPIC].len == (size_t) topic.len)
           && (topic.len == 0 || memcmp(line[TOPIC].data, topic.bytes,
                                        (size_t) topic.len) == 0);
}


/* An empty line is no text. */
static size_t
split(kmq_text_t line[LINES], const uint8_t *data, size_t size)
{
    size_t          n;
    const uint8_t  *end;

    memset(line, 0, LINES * sizeof(kmq_text_t));

    for (n = 0; n < LINES && size; n++) {
        end = memchr(data, '\n', size);
        line[n].len = end ? (size_t) (end - data) : size;
        line[n].data = line[n].len ? (const char *) data : NULL;

        size -= line[n].len + (end != NULL);
        data += line[n].len + (end != NULL);
    }

    return n;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    kmq_text_t     line[LINES];
    kmq_claims_t   claims;
    kmq_rights_t  *rights;

    if (size > 2048 || split(line, data, size) < TOPIC + 1
        || line[TOPIC].len == 0 || line[TOPIC].len > 255
        || line[PATTERN].len == 0 || line[SUBJECT].len > 255)
    {
        return 0;
    }

    memset(&claims, 0, sizeof(claims));
    claims.kind = line[KIND].len % 2 ? KMQ_WHO_TOKEN : KMQ_WHO_KEY;
    claims.name = line[SUBJECT];
    claims.id = line[ID];
    claims.consume = &line[PATTERN];
    claims.nconsume = 1;

    rights = kmq_rights_make(&claims);

    if (rights == NULL || !kmq_rights_check(rights, kmq_rights_size(rights))
        || kmq_may_consume(rights, line[TOPIC], line[ASKED])
           != expected(line)
        || kmq_may_produce(rights, line[TOPIC], line[ASKED]))
    {
        abort();
    }

    free(rights);

    return 0;
}
