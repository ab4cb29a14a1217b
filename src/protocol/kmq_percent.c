/* What stands in a request line: percent-escapes, path. */

#include <string.h>

#include "kmq_ascii.h"
#include "kmq_form.h"
#include "kmq_utf8.h"


#define KMQ_PATH_NAME_MAX  255


ptrdiff_t
kmq_percent_decode(unsigned char *to, const unsigned char *text, size_t size,
    int plus)
{
    const unsigned char  *p, *end;
    unsigned char        *start;
    int                   high, low;

    start = to;
    end = text + size;

    for (p = text; p < end; p++) {

        if (*p == '%') {
            if (end - p < 3) {
                return -1;
            }

            high = kmq_hex_digit(p[1]);
            low = kmq_hex_digit(p[2]);

            if (high < 0 || low < 0) {
                return -1;
            }

            *to++ = (unsigned char) (high << 4 | low);
            p += 2;

        } else {
            *to++ = (plus && *p == '+') ? ' ' : *p;
        }
    }

    return to - start;
}


/* The texts for what can be wrong with a name in the path. */
typedef struct {
    const char  *empty;
    const char  *escape;
    const char  *longer;
    const char  *zero;
    const char  *utf8;
} kmq_path_texts_t;

static const kmq_path_texts_t  kmq_path_topic = {
    "topic in the path is empty",
    "topic in the path has a % without two hex digits",
    "topic in the path is longer than 255 bytes",
    "topic in the path has a zero byte",
    "topic in the path is not valid UTF-8"
};

static const kmq_path_texts_t  kmq_path_id = {
    "client id in the path is empty",
    "client id in the path has a % without two hex digits",
    "client id in the path is longer than 255 bytes",
    "client id in the path has a zero byte",
    "client id in the path is not valid UTF-8"
};


static const char *
kmq_path_name(const kmq_path_texts_t *texts, const unsigned char *segment,
    size_t size, unsigned char name[KMQ_PATH_NAME_MAX], size_t *len)
{
    unsigned char  decoded[3 * KMQ_PATH_NAME_MAX];
    ptrdiff_t      n;

    if (size == 0) {
        return texts->empty;
    }

    if (size > sizeof(decoded)) {
        return texts->longer;
    }

    n = kmq_percent_decode(decoded, segment, size, 0);

    if (n < 0) {
        return texts->escape;
    }

    if (n > KMQ_PATH_NAME_MAX) {
        return texts->longer;
    }

    if (memchr(decoded, '\0', (size_t) n)) {
        return texts->zero;
    }

    if (!kmq_utf8_valid(decoded, (size_t) n)) {
        return texts->utf8;
    }

    memcpy(name, decoded, (size_t) n);
    *len = (size_t) n;

    return NULL;
}


/* The last slash in [path, end), or NULL. */
static const unsigned char *
kmq_path_slash(const unsigned char *path, const unsigned char *end)
{
    while (end > path) {
        if (*--end == '/') {
            return end;
        }
    }

    return NULL;
}


const char *
kmq_path_names(const unsigned char *path, size_t size,
    unsigned char topic[255], size_t *topic_len,
    unsigned char id[255], size_t *id_len)
{
    const unsigned char  *end, *first, *second;
    const char           *error;

    end = size ? memchr(path, '?', size) : NULL;
    end = end ? end : path + size;

    second = kmq_path_slash(path, end);
    first = second ? kmq_path_slash(path, second) : NULL;

    if (first == NULL) {
        return "path does not end with /topic/id";
    }

    error = kmq_path_name(&kmq_path_topic, first + 1,
                          (size_t) (second - first - 1), topic, topic_len);
    if (error) {
        return error;
    }

    return kmq_path_name(&kmq_path_id, second + 1,
                         (size_t) (end - second - 1), id, id_len);
}
