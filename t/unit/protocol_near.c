/* Which names are slips of which. */

#include "../../src/protocol/kmq_near.h"
#include "protocol_util.h"
#include "tap.h"


static void
near_is(const char *known, const char *name, int want)
{
    unsigned char  *copy;

    copy = exact_copy(name, strlen(name));
    is_int(kmq_near(known, copy, strlen(name)), want, "\"%s\" %s \"%s\"",
           name, want ? "may mean" : "does not mean", known);
    free(copy);
}


/* What people write. */
static void
test_slips(void)
{
    unsigned  i;

    static const char *const  slips[][2] = {
        { "prefetch", "prefetc" }, { "prefetch", "prefecth" },
        { "prefetch", "pre_fetch" }, { "prefetch", "Pre-Fetch" },
        { "prefetch", "perfetch" }, { "prefetch", "prefetchCount" },
        { "prefetch", "prefetch_count" }, { "prefetch", "pref" },
        { "prefetch", "refetch" }, { "prefetch", "prefetchh" },
        { "confirm", "conform" }, { "confirm", "confirms" },
        { "confirm", "cnofirm" }, { "confirm", "comfirm" },
        { "heartbeat", "heart_beat" }, { "heartbeat", "heatbeat" },
        { "heartbeat", "heartbeats" }, { "heartbeat", "heart" },
        { "heartbeat", "heartbeatInterval" },
        { "delayTime", "delay" }, { "delayTime", "Delay" },
        { "delayTime", "delay_time" }, { "delayTime", "delay-time" },
        { "delayTime", "DELAY.TIME" }, { "delayTime", "delayTimes" },
        { "delayTime", "dealyTime" }, { "delayTime", "delaySeconds" },
        { "delayTime", "delay_ms" }, { "delayTime", "dlayTime" },
        { "messageData", "message" }, { "messageData", "message_data" },
        { "messageData", "mesageData" },
        { "topic", "topics" }, { "topic", "topci" }, { "topic", "topik" },
        { "topic", "otpic" }, { "topic", "topi" }
    };

    for (i = 0; i < elements(slips); i++) {
        near_is(slips[i][0], slips[i][1], 1);
    }
}


/* What stands in URIs and forms for others. */
static void
test_others(void)
{
    unsigned  i, j;

    static const char *const  known[] = {
        "topic", "messageData", "delayTime", "confirm", "prefetch", "heartbeat"
    };

    static const char *const  others[] = {
        "", "_", "t", "v", "id", "ts", "md5", "key", "ver", "sig", "top",
        "con", "del", "pre", "md5sum", "expires", "expire", "token", "nonce",
        "time", "date", "data", "text", "type", "name", "user", "auth",
        "secret", "secretKey", "signature", "access_token", "api_key", "apikey",
        "utm_source", "utm_medium", "fbclid", "gclid", "session", "sessionid",
        "client", "client_id", "clientId", "callback", "format", "lang",
        "limit", "offset", "count", "mode", "ack", "qos", "ping", "beat",
        "retry", "priority", "expiration", "timestamp", "content", "body",
        "action", "submit", "csrf", "csrf_token", "cache", "nocache", "x",
        "preferences", "prefix", "present", "config", "console", "context",
        "tonic chord", "a name that is much longer than any that is "
        "known here", "--------", "........................................"
    };

    for (i = 0; i < elements(known); i++) {
        for (j = 0; j < elements(others); j++) {
            near_is(known[i], others[j], 0);
        }
    }
}


/* One edit, by its definition. */
static int
plain_edit(const char *a, const char *b)
{
    char      text[64];
    size_t    i, n;
    unsigned  c;

    n = strlen(a);

    for (i = 0; i <= n; i++) {
        for (c = 'a'; c <= 'z'; c++) {
            snprintf(text, sizeof(text), "%.*s%c%s", (int) i, a, c, a + i);

            if (strcmp(text, b) == 0) {
                return 1;
            }

            if (i < n) {
                snprintf(text, sizeof(text), "%.*s%c%s", (int) i, a, c,
                         a + i + 1);

                if (strcmp(text, b) == 0) {
                    return 1;
                }
            }
        }

        if (i < n) {
            snprintf(text, sizeof(text), "%.*s%s", (int) i, a, a + i + 1);

            if (strcmp(text, b) == 0) {
                return 1;
            }
        }

        if (i + 1 < n) {
            snprintf(text, sizeof(text), "%.*s%c%c%s", (int) i, a, a[i + 1],
                     a[i], a + i + 2);

            if (strcmp(text, b) == 0) {
                return 1;
            }
        }
    }

    return 0;
}


static int
plain_near(const char *a, const char *b)
{
    size_t  alen, blen, least;

    alen = strlen(a);
    blen = strlen(b);
    least = alen < blen ? alen : blen;

    return least >= 4 && (memcmp(a, b, least) == 0 || plain_edit(a, b));
}


/* Short words of few letters, so that many are near. */
static void
test_random(void)
{
    char      a[8], b[8];
    size_t    i, n;
    unsigned  turn, wrong, found;

    wrong = 0;
    found = 0;

    for (turn = 0; turn < 200000; turn++) {

        for (i = 0, n = below(8); i < n; i++) {
            a[i] = (char) ('a' + below(3));
        }

        a[i] = '\0';

        for (i = 0, n = below(8); i < n; i++) {
            b[i] = (below(4) && i < strlen(a)) ? a[i]
                                                : (char) ('a' + below(3));
        }

        b[i] = '\0';

        found += (unsigned) plain_near(a, b);
        wrong += plain_near(a, b)
                 != kmq_near(a, (const unsigned char *) b, strlen(b));
    }

    is_int(wrong, 0, "as the definition says");
    ok(found > 1000, "which finds %u", found);
}


int
main(void)
{
    test_slips();
    test_others();
    test_random();

    return done_testing();
}
