/* Consumer messages: see kmq_consumer_message.h. */

#include "kmq_consumer_message.h"
#include "kmq_json.h"


static const char *
kmq_said_seconds(kmq_said_t *said, const unsigned char *text, size_t size)
{
    size_t    i;
    uint64_t  delay;

    static const char  error[] =
        "a number of seconds, at most 2592000, is expected behind the "
        "MessageCode";

    /* a sign is for what is before the code, and an exponent for nobody */

    for (i = 0; i < size; i++) {
        if ((text[i] < '0' || text[i] > '9') && (text[i] != '.' || i == 0)) {
            return error;
        }
    }

    if (size == 0 || text[size - 1] == '.'
        || kmq_data_delay((const char *) text, size, &delay) != 0
        || delay > KMQ_SAID_DELAY_MAX)
    {
        return error;
    }

    said->delay = (int64_t) delay;

    return NULL;
}


const char *
kmq_said_read(kmq_said_t *said, const unsigned char *text, size_t size)
{
    said->verb = KMQ_SAID_CONFIRM;
    said->delay = -1;

    if (size > 2 && text[0] == '"' && text[size - 1] == '"') {
        text++;
        size -= 2;
    }

    if (size && (text[0] == '+' || text[0] == '-')) {
        said->verb = (text[0] == '+') ? KMQ_SAID_EXTEND : KMQ_SAID_RETURN;
        text++;
        size--;
    }

    said->code = text;

    if (size == KMQ_SAID_CODE_LEN) {
        return NULL;
    }

    if (said->verb == KMQ_SAID_RETURN && size > KMQ_SAID_CODE_LEN
        && text[KMQ_SAID_CODE_LEN] == ' ')
    {
        return kmq_said_seconds(said, text + KMQ_SAID_CODE_LEN + 1,
                                size - KMQ_SAID_CODE_LEN - 1);
    }

    return "a MessageCode is expected";
}
