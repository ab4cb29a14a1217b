/* Which media type an Accept header prefers. */

#include "../../src/protocol/kmq_media.h"
#include "protocol_util.h"
#include "tap.h"


static const kmq_media_t  metrics = {
    "application", "openmetrics-text", "1.0.0"
};

static const kmq_media_t  text = { "text", "plain", "0.0.4" };


static void
found(const char *accept, const kmq_media_t *media, unsigned exact,
    unsigned weight)
{
    char              *copy;
    size_t             len;
    kmq_media_range_t  range;

    /* of just that size, so that reading beyond it is seen */

    len = strlen(accept);
    copy = malloc(len ? len : 1);

    if (copy == NULL) {
        abort();
    }

    memcpy(copy, accept, len);

    range = kmq_media_find(copy, len, media);

    is_int(range.exact, exact, "%s in \"%s\": how exact", media->subtype,
           accept);
    is_int(range.weight, weight, "%s in \"%s\": weight", media->subtype,
           accept);

    free(copy);
}


static void
test_find(void)
{
    found("", &text, 0, 0);
    found(",;, ,", &text, 0, 0);
    found("text/html", &text, 0, 0);
    found("text/plain", &text, 3, 1000);
    found("TEXT/Plain", &text, 3, 1000);
    found("text/plainer, text/plai, xtext/plain, text", &text, 0, 0);
    found(" text/plain ; q=0.25 ", &text, 3, 250);
    found("text/*;q=0.3,*/*;q=0.9", &text, 2, 300);
    found("*/*;q=0.9, a/b", &text, 1, 900);
    found("text/plain;q=0, text/*", &text, 3, 0);
    found("text/plain;q=0.1, text/plain;q=0.7", &text, 3, 700);
    found("text/plain;version=0.0.4;q=0.2, text/plain", &text, 4, 200);
    found("text/plain;q=0.2;Version=\"0.0.4\"", &text, 4, 200);
    found("text/plain;version=1.0.0;q=0.9, */*;q=0.1", &text, 1, 100);
    found("text/plain;version=", &text, 0, 0);
    found("text/plain;charset=utf-8;q=1.000", &text, 3, 1000);

    /* separators in quoted strings are none */
    found("a/b;x=\",text/plain\", */*;q=0.5", &text, 1, 500);
    found("a/b;x=\"\\\",text/plain\", */*;q=0.5", &text, 1, 500);
    found("text/plain;x=\";q=0.5;\\\";\";q=0.25", &text, 3, 250);
    found("text/plain;x=\"never closed;q=0.5", &text, 3, 1000);
    found("a/b;x=\"\\", &text, 0, 0);
}


static void
test_weight(void)
{
    unsigned  i;
    char      accept[32];

    static const struct {
        const char  *q;
        int          weight;       /* -1: the range does not count */
    } weights[] = {
        { "0", 0 }, { "0.", 0 }, { "0.0", 0 }, { "0.000", 0 },
        { "0.001", 1 }, { "0.01", 10 }, { "0.1", 100 }, { "0.999", 999 },
        { "1", 1000 }, { "1.", 1000 }, { "1.0", 1000 },
        { "", -1 }, { "2", -1 }, { "1.1", -1 }, { "1.001", -1 },
        { "0.0001", -1 }, { "-1", -1 }, { ".5", -1 },
        { "0.5x", -1 }, { "nan", -1 }, { "00", -1 }, { "\"1\"", -1 }
    };

    for (i = 0; i < elements(weights); i++) {
        snprintf(accept, sizeof(accept), "text/plain;q=%s", weights[i].q);
        found(accept, &text, weights[i].weight < 0 ? 0 : 3,
              weights[i].weight < 0 ? 0 : (unsigned) weights[i].weight);
    }
}


static void
test_prefers(void)
{
    unsigned  i;

    static const struct {
        const char  *accept;
        int          metrics;
    } headers[] = {
        { "", 0 },
        { "*/*", 0 },
        { "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
          0 },
        { "application/openmetrics-text", 1 },
        { "application/*", 1 },
        { "application/openmetrics-text, */*", 1 },
        { "application/openmetrics-text, text/plain", 0 },
        { "application/openmetrics-text;version=1.0.0, text/plain", 1 },
        { "application/openmetrics-text;version=0.0.1, text/plain;q=0.1", 0 },
        { "application/openmetrics-text;q=0", 0 },
        { "application/openmetrics-text;q=0.4, text/plain;q=0.5", 0 },
        { "text/plain;q=0.5, application/openmetrics-text;q=0.6", 1 },

        /* Prometheus 2.42, and 3 */
        { "application/openmetrics-text;version=1.0.0,"
          "application/openmetrics-text;version=0.0.1;q=0.75,"
          "text/plain;version=0.0.4;q=0.5,*/*;q=0.1", 1 },
        { "application/openmetrics-text;version=1.0.0;"
          "escaping=allow-utf-8;q=0.5,"
          "application/openmetrics-text;version=0.0.1;q=0.4,"
          "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
          "text/plain;version=0.0.4;q=0.2,*/*;q=0.1", 1 }
    };

    for (i = 0; i < elements(headers); i++) {
        is_int(kmq_media_prefers(headers[i].accept,
                                 strlen(headers[i].accept), &metrics, &text),
               headers[i].metrics, "OpenMetrics for \"%s\"",
               headers[i].accept);
    }
}


/* No header, however odd, is read beyond its end. */
static void
test_noise(void)
{
    char      *accept;
    size_t     i, len;
    unsigned   n;

    static const char  bytes[] = "text/plain*;q=0.1, \t\"\\version\xff";

    for (n = 0; n < 100000; n++) {
        len = below(48);
        accept = malloc(len ? len : 1);

        if (accept == NULL) {
            abort();
        }

        for (i = 0; i < len; i++) {
            accept[i] = bytes[below(sizeof(bytes))];
        }

        (void) kmq_media_prefers(accept, len, &metrics, &text);
        free(accept);
    }

    ok(1, "noise is read to its end");
}


int
main(void)
{
    test_find();
    test_weight();
    test_prefers();
    test_noise();

    return done_testing();
}
