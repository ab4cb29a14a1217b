/* Which media type a client prefers. */

#include <string.h>

#include "kmq_ascii.h"
#include "kmq_media.h"


#define KMQ_MEDIA_ANY      1
#define KMQ_MEDIA_TYPE     2
#define KMQ_MEDIA_SUBTYPE  3
#define KMQ_MEDIA_VERSION  4

#define KMQ_MEDIA_BAD  ((unsigned) -1)


/* A part of a header. */
typedef struct {
    const unsigned char  *p;
    const unsigned char  *end;
} kmq_span_t;


static kmq_span_t
kmq_media_trim(kmq_span_t s)
{
    while (s.p < s.end && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
    }

    while (s.p < s.end && (s.end[-1] == ' ' || s.end[-1] == '\t')) {
        s.end--;
    }

    return s;
}


/* Cuts off what is before the next separator that is in no quoted string. */
static kmq_span_t
kmq_media_cut(kmq_span_t *rest, unsigned char separator)
{
    unsigned              quoted;
    kmq_span_t            part;
    const unsigned char  *p;

    quoted = 0;

    for (p = rest->p; p < rest->end; p++) {

        if (*p == '"') {
            quoted = !quoted;

        } else if (*p == '\\' && quoted && p + 1 < rest->end) {
            p++;

        } else if (*p == separator && !quoted) {
            break;
        }
    }

    part.p = rest->p;
    part.end = p;

    rest->p = (p < rest->end) ? p + 1 : p;

    return kmq_media_trim(part);
}


static int
kmq_media_is(kmq_span_t s, const char *text)
{
    return kmq_same_name(s.p, (size_t) (s.end - s.p), text);
}


/* 0 to 1 with three decimals at most. */
static unsigned
kmq_media_weight(kmq_span_t q)
{
    size_t    i, len;
    unsigned  weight, unit;

    len = (size_t) (q.end - q.p);

    if (len == 0 || len > 5 || (q.p[0] != '0' && q.p[0] != '1')
        || (len > 1 && q.p[1] != '.'))
    {
        return KMQ_MEDIA_BAD;
    }

    weight = (unsigned) (q.p[0] - '0') * 1000;

    for (i = 2, unit = 100; i < len; i++, unit /= 10) {

        if (q.p[i] < '0' || q.p[i] > '9') {
            return KMQ_MEDIA_BAD;
        }

        weight += (unsigned) (q.p[i] - '0') * unit;
    }

    return weight <= 1000 ? weight : KMQ_MEDIA_BAD;
}


static kmq_span_t
kmq_media_unquote(kmq_span_t s)
{
    if (s.end - s.p >= 2 && s.p[0] == '"' && s.end[-1] == '"') {
        s.p++;
        s.end--;
    }

    return s;
}


/* How exactly a range names the type; 0: it does not. */
static unsigned
kmq_media_names(kmq_span_t range, const kmq_media_t *media)
{
    kmq_span_t  type;

    if (kmq_media_is(range, "*/*")) {
        return KMQ_MEDIA_ANY;
    }

    type = kmq_media_cut(&range, '/');

    if (!kmq_media_is(type, media->type)) {
        return 0;
    }

    if (kmq_media_is(range, "*")) {
        return KMQ_MEDIA_TYPE;
    }

    return kmq_media_is(range, media->subtype) ? KMQ_MEDIA_SUBTYPE : 0;
}


/* One element of the header: a range and its parameters. */
static kmq_media_range_t
kmq_media_element(kmq_span_t rest, const kmq_media_t *media)
{
    kmq_span_t         name, value;
    kmq_media_range_t  range;

    range.weight = 1000;
    range.exact = kmq_media_names(kmq_media_cut(&rest, ';'), media);

    while (range.exact && rest.p < rest.end) {
        value = kmq_media_cut(&rest, ';');
        name = kmq_media_cut(&value, '=');

        if (kmq_media_is(name, "q")) {
            range.weight = kmq_media_weight(value);

            if (range.weight == KMQ_MEDIA_BAD) {
                range.exact = 0;
            }

        } else if (kmq_media_is(name, "version")) {
            value = kmq_media_unquote(value);
            range.exact = kmq_media_is(value, media->version)
                          ? KMQ_MEDIA_VERSION : 0;
        }
    }

    return range;
}


kmq_media_range_t
kmq_media_find(const char *accept, size_t len, const kmq_media_t *media)
{
    kmq_span_t         rest;
    kmq_media_range_t  range, best;

    rest.p = (const unsigned char *) accept;
    rest.end = rest.p + len;

    memset(&best, 0, sizeof(kmq_media_range_t));

    while (rest.p < rest.end) {
        range = kmq_media_element(kmq_media_cut(&rest, ','), media);

        if (range.exact > best.exact
            || (range.exact == best.exact && range.weight > best.weight))
        {
            best = range;
        }
    }

    if (best.exact == 0) {
        best.weight = 0;
    }

    return best;
}


int
kmq_media_prefers(const char *accept, size_t len, const kmq_media_t *media,
    const kmq_media_t *other)
{
    kmq_media_range_t  a, b;

    a = kmq_media_find(accept, len, media);
    b = kmq_media_find(accept, len, other);

    return a.weight > b.weight
           || (a.weight && a.weight == b.weight && a.exact > b.exact);
}
