/*
 * Settings, of the queue and of topics.
 */

#include "handle.h"
#include "settings.h"


/* What the engine asks for a topic's own settings. */
void
topic_own(void *arg, const char *name, size_t len,
    kmq_topic_settings_t *settings)
{
    unsigned  i;

    CHECK(arg == &M, "topic_arg");

    for (i = 0; i < TOPICS; i++) {
        if (M.topic[i].has_own && strlen(M.topic[i].name) == len
            && memcmp(M.topic[i].name, name, len) == 0)
        {
            *settings = M.topic[i].own;
        }
    }
}


/* --------------------------------------------------------------- settings */

static void
topic_settings(kmq_topic_settings_t *s)
{
    static const uint32_t  retry[] = { 0, 1, 20, 100, 1000, 30000 };
    static const uint32_t  most[] = { 0, 0, 1, 2, 3, 6 };
    static const uint32_t  delay[] = { 0, 1, 10, 50, 1000 };
    static const uint32_t  delay_max[] = { 0, 1, 30, 300, 1000, 60000 };
    static const uint32_t  clean[] = { 0, 0, 1, 10, 100, 1000 };

    if (M.options & MIXED) {
        s->push_type = 1 + below(2);
    }

    if (M.options & TIMED) {
        s->retry_time = PICK(retry);
        s->max_deliveries = PICK(most);
        s->retry_delay = PICK(delay);
        s->retry_delay_max = PICK(delay_max);
        s->clean_time = PICK(clean);
    }
}


/* Tells all workers the settings, as a reload would. */
void
configure(void)
{
    unsigned   h;
    topic_t   *t;

    M.configured++;

    for (t = M.topic; t < M.topic + TOPICS; t++) {
        t->max_least = t->now.retry_delay_max;
        t->now = t->has_own ? t->own : M.settings.topic;

        if (t->now.retry_delay_max < t->max_least) {
            t->max_least = t->now.retry_delay_max;
        }
    }

    /* the current batch goes on */

    M.pace_before = M.ready + M.pace_count;
    M.pace_count = M.settings.batch_interval ? M.settings.batch_count : 0;
    M.pace_start = M.mono;
    M.pace_settings = 0;
    M.pace_back = 0;
    M.pace_used = 0;

    for (h = 0; h < HANDLES; h++) {
        if (!M.handle[h].dead) {
            kmq_configure(M.handle[h].kmq, &M.settings);
            M.wall = M.handle[h].wall;
            wakes(h);

            /* by its clock, the current batch may end sooner */

            M.pace_settings++;
            M.pace_start = M.handle[h].mono < M.pace_start
                           ? M.handle[h].mono : M.pace_start;
        }
    }

    M.lost_wakes = 1;
}


void
op_configure(void)
{
    topic_t  *t;

    static const uint32_t  bounds[] = { 40, 300, 3000, 100000, 100000 };
    static const uint32_t  checks[] = { 1, 10, 1000, 5000 };

    M.settings.waiting_max = PICK(bounds);
    M.settings.keep_consumed = !one_in(3);
    M.settings.retry_count = below(4);
    M.settings.check_interval = PICK(checks);

    if (M.options & PACED) {
        M.settings.batch_interval = one_in(3) ? 0 : 1 + below(100);
        M.settings.batch_count = 1 + below(200);
    }

    topic_settings(&M.settings.topic);

    for (t = M.topic; t < M.topic + TOPICS; t++) {
        t->has_own = M.options & (MIXED|TIMED) && one_in(3);
        t->own = M.settings.topic;
        topic_settings(&t->own);
    }

    configure();
}
