/* The elements of an array, or of lines: see kmq_elements.h. */

#include <string.h>

#include "kmq_elements.h"
#include "kmq_vector.h"


enum {
    KMQ_ELEMENTS_START = 0,        /* nothing but white space has come */
    KMQ_ELEMENTS_FIRST,            /* behind the opening bracket */
    KMQ_ELEMENTS_NEXT,             /* behind a comma; on a new line */
    KMQ_ELEMENTS_INSIDE,
    KMQ_ELEMENTS_BEHIND,           /* behind an element */
    KMQ_ELEMENTS_CLOSED            /* behind the closing bracket */
};


void
kmq_elements_begin(kmq_elements_t *elements, int lines)
{
    memset(elements, 0, sizeof(kmq_elements_t));
    elements->lines = lines != 0;
}


/* Has a part of a byte order mark come, and not the rest? */
static int
kmq_elements_half_mark(const kmq_elements_t *elements)
{
    return elements->state == KMQ_ELEMENTS_START
           && (elements->mark == 1 || elements->mark == 2);
}


/* White space, and at the start a byte order mark. */
static const unsigned char *
kmq_elements_space(kmq_elements_t *elements, const unsigned char *p,
    const unsigned char *end)
{
    static const unsigned char  mark[] = "\xef\xbb\xbf";

    while (p < end && elements->state == KMQ_ELEMENTS_START
           && elements->mark < 3 && *p == mark[elements->mark])
    {
        elements->mark++;
        p++;
    }

    if (p == end || kmq_elements_half_mark(elements)) {
        return p;
    }

    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')) {
        elements->mark = 3;
        p++;
    }

    return p;
}


/* What a byte that is in no string does: brackets open and close. */
enum {
    KMQ_ELEMENTS_OPENS = 1,
    KMQ_ELEMENTS_CLOSES,
    KMQ_ELEMENTS_QUOTES
};

static const unsigned char  kmq_elements_does[256] = {
    ['{'] = KMQ_ELEMENTS_OPENS,
    ['['] = KMQ_ELEMENTS_OPENS,
    ['}'] = KMQ_ELEMENTS_CLOSES,
    [']'] = KMQ_ELEMENTS_CLOSES,
    ['"'] = KMQ_ELEMENTS_QUOTES
};


/* On through a string, and behind its last quote. */
static const unsigned char *
kmq_elements_string(kmq_elements_t *elements, const unsigned char *p,
    const unsigned char *end)
{
    while (p < end) {

        if (elements->escaped) {
            elements->escaped = 0;
            p++;
        }

        p = kmq_v16_find_special(p, end);

        if (p < end && *p == '"') {
            elements->quoted = 0;
            return p + 1;
        }

        if (p < end) {
            elements->escaped = (*p++ == '\\');
        }
    }

    return p;
}


/* The byte behind the element's last one; or NULL: it goes on behind end. */
static const unsigned char *
kmq_elements_inside(kmq_elements_t *elements, const unsigned char *p,
    const unsigned char *end)
{
    for ( ;; ) {

        if (elements->quoted) {
            p = kmq_elements_string(elements, p, end);
        }

        while (p < end && kmq_elements_does[*p] == 0) {
            p++;
        }

        if (p == end) {
            return NULL;
        }

        switch (kmq_elements_does[*p++]) {

        case KMQ_ELEMENTS_OPENS:
            elements->depth++;
            break;

        case KMQ_ELEMENTS_CLOSES:
            if (--elements->depth == 0) {
                return p;
            }

            break;

        default: /* KMQ_ELEMENTS_QUOTES */
            elements->quoted = 1;
            break;
        }
    }
}


/* An object begins, or what must not be there. */
static kmq_elements_found_t
kmq_elements_object(kmq_elements_t *elements, unsigned char c)
{
    if (c == '{') {
        elements->state = KMQ_ELEMENTS_INSIDE;
        return KMQ_ELEMENTS_BEGIN;
    }

    return c == ']' || c == ',' ? KMQ_ELEMENTS_BROKEN : KMQ_ELEMENTS_SCALAR;
}


/* A byte outside of elements that is no white space; AGAIN: it is passed
 * over. */
static kmq_elements_found_t
kmq_elements_between(kmq_elements_t *elements, unsigned char c)
{
    switch (elements->state) {

    case KMQ_ELEMENTS_START:
        if (kmq_elements_half_mark(elements)) {
            return KMQ_ELEMENTS_OTHER;
        }

        elements->state = KMQ_ELEMENTS_FIRST;
        return c == '[' ? KMQ_ELEMENTS_AGAIN : KMQ_ELEMENTS_OTHER;

    case KMQ_ELEMENTS_FIRST:
        if (c == ']') {
            elements->state = KMQ_ELEMENTS_CLOSED;
            return KMQ_ELEMENTS_AGAIN;
        }

        return kmq_elements_object(elements, c);

    case KMQ_ELEMENTS_NEXT:
        return kmq_elements_object(elements, c);

    case KMQ_ELEMENTS_BEHIND:
        elements->state = c == ',' ? KMQ_ELEMENTS_NEXT : KMQ_ELEMENTS_CLOSED;
        return c == ',' || c == ']' ? KMQ_ELEMENTS_AGAIN
                                    : KMQ_ELEMENTS_BROKEN;

    default: /* KMQ_ELEMENTS_CLOSED */
        return KMQ_ELEMENTS_BROKEN;
    }
}


static kmq_elements_found_t
kmq_elements_array(kmq_elements_t *elements, const unsigned char **p,
    const unsigned char *end)
{
    const unsigned char   *q;
    kmq_elements_found_t   found;

    if (elements->state == KMQ_ELEMENTS_INSIDE) {
        q = kmq_elements_inside(elements, *p, end);
        *p = q ? q : end;

        if (q == NULL) {
            return KMQ_ELEMENTS_AGAIN;
        }

        elements->state = KMQ_ELEMENTS_BEHIND;
        return KMQ_ELEMENTS_END;
    }

    for ( ;; ) {
        *p = kmq_elements_space(elements, *p, end);

        if (*p == end) {
            return KMQ_ELEMENTS_AGAIN;
        }

        found = kmq_elements_between(elements, **p);

        if (found != KMQ_ELEMENTS_AGAIN) {
            return found;
        }

        (*p)++;
    }
}


static kmq_elements_found_t
kmq_elements_line(kmq_elements_t *elements, const unsigned char **p,
    const unsigned char *end)
{
    const unsigned char  *q;

    if (elements->state == KMQ_ELEMENTS_INSIDE) {
        q = *p < end ? memchr(*p, '\n', (size_t) (end - *p)) : NULL;
        *p = q ? q : end;

        if (q == NULL) {
            return KMQ_ELEMENTS_AGAIN;
        }

        elements->state = KMQ_ELEMENTS_NEXT;
        return KMQ_ELEMENTS_END;
    }

    *p = kmq_elements_space(elements, *p, end);

    if (*p == end) {
        return KMQ_ELEMENTS_AGAIN;
    }

    if (kmq_elements_half_mark(elements)) {
        return KMQ_ELEMENTS_BROKEN;
    }

    elements->state = KMQ_ELEMENTS_INSIDE;

    return KMQ_ELEMENTS_BEGIN;
}


kmq_elements_found_t
kmq_elements_next(kmq_elements_t *elements, const unsigned char **p,
    const unsigned char *end)
{
    return elements->lines ? kmq_elements_line(elements, p, end)
                           : kmq_elements_array(elements, p, end);
}


int
kmq_elements_pass(kmq_elements_t *elements, const unsigned char *p,
    const unsigned char *end)
{
    if (!elements->lines) {
        elements->state = KMQ_ELEMENTS_BEHIND;
        return 1;
    }

    if (p == end || *p != '\n') {
        return 0;
    }

    elements->state = KMQ_ELEMENTS_NEXT;

    return 1;
}


kmq_elements_found_t
kmq_elements_end(const kmq_elements_t *elements)
{
    if (elements->lines) {
        return elements->state == KMQ_ELEMENTS_INSIDE ? KMQ_ELEMENTS_END
                                                      : KMQ_ELEMENTS_AGAIN;
    }

    if (elements->state == KMQ_ELEMENTS_START) {
        return KMQ_ELEMENTS_OTHER;
    }

    return elements->state == KMQ_ELEMENTS_CLOSED ? KMQ_ELEMENTS_AGAIN
                                                  : KMQ_ELEMENTS_BROKEN;
}
