/* Names of topics and clients: what is none. */

#include <string.h>

#include "kmq_form.h"
#include "kmq_utf8.h"


#define KMQ_NAME_BYTES  255


/* The texts for what can be wrong. */
typedef struct {
    const char  *empty;
    const char  *longer;
    const char  *zero;
    const char  *utf8;
} kmq_name_texts_t;

static const kmq_name_texts_t  kmq_name_topic = {
    "topic is empty",
    "topic is longer than 255 bytes",
    "topic has a zero byte",
    "topic is not valid UTF-8"
};

static const kmq_name_texts_t  kmq_name_id = {
    "client id is empty",
    "client id is longer than 255 bytes",
    "client id has a zero byte",
    "client id is not valid UTF-8"
};


static const char *
kmq_name_error(const kmq_name_texts_t *texts, const unsigned char *name,
    size_t len)
{
    if (len == 0) {
        return texts->empty;
    }

    if (len > KMQ_NAME_BYTES) {
        return texts->longer;
    }

    if (memchr(name, '\0', len)) {
        return texts->zero;
    }

    return kmq_utf8_valid(name, len) ? NULL : texts->utf8;
}


const char *
kmq_topic_error(const unsigned char *name, size_t len)
{
    return kmq_name_error(&kmq_name_topic, name, len);
}


const char *
kmq_id_error(const unsigned char *name, size_t len)
{
    return kmq_name_error(&kmq_name_id, name, len);
}
