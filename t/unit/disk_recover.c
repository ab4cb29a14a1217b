/*
 * Recovery by example: a queue works, everything dies, and what starts again
 * in a fresh block has what was there.
 */

#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "disk_old.h"
#include "disk_util.h"


#define HOUR  UINT64_C(3600000)
#define CODE  (KMQ_CODE_LEN + 1)

static du_queue_t  q;


/* Kills and starts; all that was flushed has to be there again. */
static void
restart(unsigned nworkers, const char *what)
{
    char  *before, *after;

    before = du_picture(&q);
    du_kill(&q);
    du_start(&q, nworkers);
    after = du_picture(&q);

    (void) du_same(before, after, what);
    ok(eu_verify(q.worker[0].kmq, what), "the block is sound");
    is_int((long long) q.rc.damaged, 0, "nothing is damaged");
}


/* The files of a directory: "name size\n" each; the caller frees it. */
static char *
files(const char *dir)
{
    DIR            *d;
    char           *text, path[KMQ_PATH_SIZE];
    FILE           *to;
    size_t          size;
    struct stat     st;
    struct dirent  *e;

    to = open_memstream(&text, &size);
    d = opendir(dir);

    while (d && (e = readdir(d)) != NULL) {
        (void) snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);

        if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
            fprintf(to, "%s %lld\n", e->d_name, (long long) st.st_size);
        }
    }

    if (d) {
        (void) closedir(d);
    }

    fclose(to);

    return text;
}


/* ------------------------------------------------------------------ tests */

static void
test_empty(void)
{
    char  code[CODE];

    du_init(&q, "empty");
    du_start(&q, 1);

    is_int(q.rc.files, 0, "an empty directory has no files");
    is_int((long long) q.log_len, 0, "and there is nothing to say");
    is_int(du_names(q.dir, "j", ""), 0, "recovery makes none");

    is_int(du_publish(&q, 0, "t", "first", 0, code), KMQ_OK, "publish");
    is_int(du_flush(&q, 0), 0, "flush");
    restart(1, "one message");
    is_int(du_status(&q, code, NULL), KMQ_STATUS_WAITING, "it waits");

    du_kill(&q);
    rmdir(q.dir);
    q.rc.dir = "/nonexistent";
    strcpy(q.dir, "/nonexistent");
    is_int(du_recover(&q), -1, "no directory");
    ok(du_logged(&q, "E reading the directory \"/nonexistent\" failed"),
       "is told");
    (void) munmap(q.block, q.size);
}


/* Messages of all kinds, as several workers have them; from 0 to 8. */
static void
lives(char code[9][CODE])
{
    unsigned    i;
    kmq_t      *kmq;
    kmq_ref_t   c;
    static char name[9][8] = { "m0", "m1", "m2", "m3", "m4", "m5", "m6",
                               "m7", "m8" };

    for (i = 0; i < 9; i++) {
        is_int(du_publish(&q, i % 3, i < 6 ? "a" : "b", name[i],
                          i == 5 ? HOUR : 0, code[i]), KMQ_OK, "publish");
    }

    du_clock(&q, 5000);
    kmq = q.worker[1].kmq;
    c = eu_consumer(kmq, "a", 10, NULL);
    ok(eu_take(kmq) != NULL, "five are pushed");

    is_int(kmq_confirm_codes(kmq, c, code[0], 1), 1, "m0 is confirmed");
    is_int(kmq_return_codes(kmq, c, code[1], 1, KMQ_BACK_OFF), 1, "m1 is dead");
    is_int(kmq_return_codes(kmq, c, code[2], 1, KMQ_BACK_OFF), 1, "m2 is dead");
    is_int(kmq_requeue(q.worker[2].kmq, code[2]), KMQ_OK, "and requeued");
    is_int(kmq_delete(q.worker[2].kmq, code[6]), KMQ_OK, "m6 is deleted");
    is_int(kmq_delete(q.worker[2].kmq, code[3]), KMQ_OK,
           "m3 is deleted in flight");
}


static void
lives_check(char code[9][CODE])
{
    kmq_message_info_t  m;

    is_int(du_status(&q, code[0], &m), KMQ_STATUS_CONSUMED, "m0: consumed");
    is_int(m.consumed_time, (DU_WALL + 5000) / 1000, "at its time");
    is_int(m.create_time, DU_WALL / 1000, "and created at its");
    is_int(du_status(&q, code[1], &m), KMQ_STATUS_DEAD, "m1: dead");
    is_int(m.attempts, 1, "after one failure");
    is_int(m.failure, KMQ_FAILED_RETURN, "which was that it came back");
    is_int(du_status(&q, code[2], &m), KMQ_STATUS_WAITING, "m2: waits");
    is_int(m.attempts, 0, "as if it were new");
    is_int(du_status(&q, code[3], NULL), KMQ_STATUS_ANY, "m3: gone");
    is_int(du_status(&q, code[4], &m), KMQ_STATUS_WAITING, "m4: waits again");
    is_int(m.attempts, 0, "as nothing has failed");
    is_int(du_status(&q, code[5], &m), KMQ_STATUS_DELAYED, "m5: delayed");
    is_int(m.delay, 3600, "by an hour");
    is_int(du_status(&q, code[6], NULL), KMQ_STATUS_ANY, "m6: gone");
    is_int(du_status(&q, code[7], NULL), KMQ_STATUS_WAITING, "m7: waits");
}


/* The same in journals alone, in a checkpoint, and in both. */
static void
test_lives(int before, int after)
{
    char            code[9][CODE];
    char            name[32];
    kmq_counts_t    c;

    sprintf(name, "lives-%d%d", before, after);
    du_init(&q, name);
    q.settings.topic.max_deliveries = 1;
    du_start(&q, 3);

    if (before) {
        is_int(du_publish(&q, 0, "b", "old", 0, NULL), KMQ_OK, "an old one");
        du_flush_all(&q);
        is_int(du_checkpoint(&q, 1), 0, "a checkpoint before");
    }

    lives(code);
    du_flush_all(&q);

    if (after) {
        is_int(du_checkpoint(&q, 1), 0, "a checkpoint after");
        is_int(du_names(q.dir, "journal-", ""), 0, "journals are gone");
        is_int(du_names(q.dir, "checkpoint-", ""), 1, "there is one");
    }

    restart(4, name);
    lives_check(code);

    c = eu_count(q.worker[0].kmq);
    is_int((long long) c.totals.published, 9 + before, "published");
    is_int((long long) c.totals.delivered, 5, "delivered");
    is_int((long long) c.totals.confirmed, 1, "confirmed");
    is_int((long long) c.totals.died, 2, "died");
    is_int((long long) c.totals.requeued, 1, "requeued");
    is_int((long long) c.totals.deleted, 2, "deleted");

    restart(1, "once more");
    lives_check(code);

    ok(strcmp(du_drain(&q, 0, "a"), "m2 m4 ") == 0, "what waits, in order");
    ok(strcmp(du_drain(&q, 0, "b"), before ? "old m7 m8 " : "m7 m8 ") == 0,
       "of the other topic, too");

    du_flush_all(&q);
    restart(2, "and what was done since");
    is_int((long long) eu_count(q.worker[0].kmq).ready, 0, "nothing waits");
    du_kill(&q);
}


/* Statistics of hours, which lie in the past. */
static void
test_periods(void)
{
    char     *picture, line[128];
    unsigned  i;

    du_init(&q, "periods");
    du_start(&q, 2);

    for (i = 0; i < 60; i++) {
        (void) du_publish(&q, i % 2, "t", "x", 0, NULL);

        if (i % 3 == 0) {
            (void) du_drain(&q, 1, "t");
        }

        du_flush_all(&q);

        if (i == 30) {
            is_int(du_checkpoint(&q, 1), 0, "a checkpoint");
        }

        du_clock(&q, 7 * HOUR);
    }

    restart(2, "periods");

    /* the fourth message: there the hour has that one alone */

    picture = du_picture(&q);
    sprintf(line, "\n  in %llu: 1 0 0, -1\n",
            (unsigned long long) (DU_WALL / HOUR + 58 * 7));
    ok(strstr(picture, line) != NULL, "an hour of one message");
    free(picture);

    du_kill(&q);
}


/* Appends a period of that number in which so many were published, and so
 * on. */
static unsigned
period_add(uint64_t *number, unsigned n, uint64_t period)
{
    number[n] = period;
    number[n + 1] = 2;
    number[n + 2] = 3;
    number[n + 3] = UINT64_C(1) << 33;
    number[n + 4] = 7;

    return n + KMQ_PERIOD_NUMBERS;
}


/* How many of these periods are as they were added. */
static unsigned
periods_same(const kmq_period_t *period, unsigned n)
{
    unsigned  same;

    for (same = 0; n--; period++) {
        same += period->published == 2 && period->delivered == 3
                && period->confirmed == UINT64_C(1) << 33
                && period->backlog == 7;
    }

    return same;
}


/*
 * A topic's record of DU_WALL, with so many hours (or days of UTC, as up to
 * version 2 of the format) and minutes that were current then, and twice as
 * many that were not, as earlier versions wrote them, is put into a block.
 */
static void
topic_record(unsigned hours, unsigned days, unsigned minutes)
{
    unsigned              i, n;
    uint64_t              now, number[KMQ_TOPIC_COUNTERS
                                      + 3 * 400 * KMQ_PERIOD_NUMBERS];
    kmq_buffer_t          buffer;
    kmq_record_t          r;
    kmq_restore_t        *rs;
    kmq_restored_t        found;
    kmq_restore_files_t   files;

    memset(number, 0, sizeof(number));
    memset(&buffer, 0, sizeof(buffer));
    memset(&files, 0, sizeof(files));

    number[KMQ_TOPIC_TOTALS] = 3 * hours * KMQ_TOPIC_HOUR + 3 * days;
    number[KMQ_TOPIC_TOTALS - 1] = 7;
    n = KMQ_TOPIC_COUNTERS;
    now = DU_WALL / HOUR;

    for (i = 0; i < 3 * hours; i++) {
        n = period_add(number, n,
                       now - (i < hours ? i : KMQ_TOPIC_HOURS - 1 + i));
    }

    for (i = 0; i < 3 * days; i++) {
        n = period_add(number, n, now / 24 - (i < days ? i : 14 + i));
    }

    now = DU_WALL / 60000;

    for (i = 0; i < 3 * minutes; i++) {
        n = period_add(number, n, now - (i < minutes ? i : 59 + i));
    }

    is_int(kmq_record_numbers(&buffer, 2, KMQ_RECORD_TOPIC, 0,
                              DU_WALL / 1000, "t", 1, number, n), 0,
           "a record of %u", n);
    kmq_records_seal(buffer.data, buffer.len);
    ok(kmq_record_read(buffer.data, buffer.len, &r, NULL) > 0, "is one");

    q.block = eu_block(EU_MB * 8);
    q.size = EU_MB * 8;
    rs = kmq_restore_begin(q.block, q.size, 1000, DU_WALL);
    is_int(kmq_restore_record(rs, &r), KMQ_OK, "it is restored");
    kmq_restore_end(rs, &files, &found);
    kmq_buffer_free(&buffer);
}


static void
test_topic_periods(unsigned hours, unsigned days, unsigned minutes)
{
    kmq_t               *kmq;
    unsigned             i, n;
    uint64_t             cursor, today;
    kmq_topic_info_t     info;
    kmq_topic_detail_t   t;

    topic_record(hours, days, minutes);
    kmq = eu_attach(q.block, q.size, 0);
    kmq_clock(kmq, 1000, DU_WALL);

    is_int(kmq_topic(kmq, "t", 1, &t), KMQ_OK, "a topic");
    is_int(periods_same(t.hour, KMQ_TOPIC_HOURS), hours + days, "its hours");

    for (i = 0, today = DU_WALL / HOUR / 24; i < days; i++) {
        n = (today - i) * 24 % KMQ_TOPIC_HOURS;
        is_int((long long) t.hour[n].number, (long long) (today - i) * 24,
               "a day is the hour in which it begins");
    }

    is_int(periods_same(t.minute, KMQ_TOPIC_MINUTES), minutes, "its minutes");
    is_int((long long) t.info.totals.refused, 7, "its totals");
    is_int((long long) t.info.before.refused, 7, "as restored");

    cursor = 0;
    is_int(kmq_topics(kmq, &cursor, &info, 1), 1, "in the walk");
    is_bytes((char *) &info.totals, sizeof(info.totals),
             (char *) &t.info.totals, sizeof(info.totals), "the same totals");

    kmq_clock(kmq, 1000, DU_WALL + HOUR);
    is_int(kmq_topic(kmq, "t", 1, &t), KMQ_OK, "an hour later");

    for (i = 0, n = 0; i < KMQ_TOPIC_MINUTES; i++) {
        n += t.minute[i].number != 0;
    }

    is_int(n, 0, "these minutes are over");
    eu_close(kmq, q.block, q.size, "periods of a topic");
}


static uint64_t
sum(const kmq_period_t *period, unsigned n)
{
    uint64_t  published;

    for (published = 0; n--; period++) {
        published += period->published;
    }

    return published;
}


/* How many messages the queue's last n units count as published. */
static uint64_t
published(unsigned n, unsigned unit)
{
    kmq_period_t  period[KMQ_MINUTES];

    kmq_growth(q.worker[0].kmq, unit, period, n);

    return sum(period, n);
}


/* What is accepted but not committed counts as there: it may be "ok". */
static void
test_accepted(void)
{
    char                 code[2][CODE];
    unsigned             i;
    kmq_t               *kmq;
    kmq_message_t        m[2];
    kmq_topic_detail_t   topic;

    du_init(&q, "accepted");
    du_start(&q, 1);
    kmq = q.worker[0].kmq;

    memset(m, 0, sizeof(m));
    m[0].size = m[1].size = 3;
    is_int(kmq_reserve_to(kmq, "t", 1, &m[0]), KMQ_OK, "reserve");
    is_int(kmq_reserve_to(kmq, "t", 1, &m[1]), KMQ_OK, "reserve");

    for (i = 0; i < 2; i++) {
        kmq_write(kmq, &m[i], i ? "two" : "one", 3);
        kmq_code(kmq, &m[i], code[i]);
    }

    is_int(kmq_accept(kmq, m, 2), KMQ_OK, "accept");
    is_int(du_flush(&q, 0), 0, "flush");
    kmq_discard(kmq, &m[1], 1);
    is_int(du_flush(&q, 0), 0, "flush that it was discarded");

    du_kill(&q);
    du_start(&q, 1);
    is_int(du_status(&q, code[0], NULL), KMQ_STATUS_WAITING, "accepted");
    is_int(du_status(&q, code[1], NULL), KMQ_STATUS_ANY, "discarded");
    is_int((long long) eu_count(q.worker[0].kmq).totals.published, 1,
           "counted");
    is_int((long long) published(KMQ_MINUTES, KMQ_UNIT_MINUTE), 1,
           "in its minute");
    is_int((long long) published(KMQ_HOURS, KMQ_UNIT_HOUR), 1, "and hour");

    (void) kmq_topic(q.worker[0].kmq, "t", 1, &topic);
    is_int((long long) sum(topic.minute, KMQ_TOPIC_MINUTES), 1,
           "in its topic's minute");
    is_int((long long) sum(topic.hour, KMQ_TOPIC_HOURS), 1, "and hour");
    du_kill(&q);
}


static void
delayed_check(const char *code, int early)
{
    kmq_ref_t      c;
    kmq_batch_t   *b;

    c = eu_consumer(q.worker[0].kmq, "t", 10, NULL);
    b = eu_take(q.worker[0].kmq);

    if (early) {
        ok(b == NULL, "it is not due yet");
        is_int(du_status(&q, code, NULL), KMQ_STATUS_DELAYED, "delayed");

    } else {
        ok(b && b->nmessages == 1, "it is pushed");
        is_int(eu_confirm(q.worker[0].kmq, b), 1, "and confirmed");
    }

    kmq_leave(q.worker[0].kmq, c, 0);
}


/* The machine is off while the time of a message comes. */
static void
test_delayed(int checkpoint)
{
    char  code[2][CODE];

    du_init(&q, checkpoint ? "delayed-checkpoint" : "delayed");
    q.mono = 500 * HOUR;
    du_start(&q, 1);

    is_int(du_publish(&q, 0, "t", "one", HOUR, code[0]), KMQ_OK, "an hour");
    is_int(du_publish(&q, 0, "t", "two", 2 * HOUR, code[1]), KMQ_OK, "two");
    is_int(du_flush(&q, 0), 0, "flush");

    if (checkpoint) {
        is_int(du_checkpoint(&q, 1), 0, "a checkpoint");
    }

    du_kill(&q);

    /* for half an hour; the monotonic clock begins anew */

    q.wall += HOUR / 2;
    q.mono = 7;
    du_start(&q, 1);
    delayed_check(code[0], 1);
    du_clock(&q, HOUR / 2 - 1);
    (void) kmq_tick(q.worker[0].kmq);
    delayed_check(code[0], 1);
    du_kill(&q);

    q.wall += 1;
    q.mono = 3;
    du_start(&q, 1);
    delayed_check(code[0], 0);
    is_int(du_status(&q, code[1], NULL), KMQ_STATUS_DELAYED, "the other one");
    du_flush_all(&q);
    du_kill(&q);

    q.wall += HOUR - 1;
    du_start(&q, 1);
    is_int(du_status(&q, code[0], NULL), KMQ_STATUS_CONSUMED, "once only");
    delayed_check(code[1], 1);
    du_clock(&q, 1);
    (void) kmq_tick(q.worker[0].kmq);
    delayed_check(code[1], 0);
    du_kill(&q);
}


/* The machine starts with a clock that has not been set yet: nobody waits
 * longer than at first. */
static void
test_clock_back(void)
{
    char  code[CODE];

    du_init(&q, "clock-back");
    du_start(&q, 1);
    is_int(du_publish(&q, 0, "t", "one", HOUR, code), KMQ_OK, "an hour");
    is_int(du_flush(&q, 0), 0, "flush");
    du_kill(&q);

    q.wall = 5000;
    du_start(&q, 1);
    du_clock(&q, HOUR - 1);
    (void) kmq_tick(q.worker[0].kmq);
    delayed_check(code, 1);
    du_clock(&q, 1);
    (void) kmq_tick(q.worker[0].kmq);
    delayed_check(code, 0);
    du_kill(&q);
}


/* Publish/subscribe: somebody has confirmed, others have not. */
static void
test_shared(int checkpoint)
{
    char        code[2][CODE];
    kmq_t      *kmq;
    kmq_ref_t   c[2];

    du_init(&q, checkpoint ? "shared-checkpoint" : "shared");
    q.settings.topic.push_type = KMQ_PUSH_ALL;
    du_start(&q, 1);
    kmq = q.worker[0].kmq;

    c[0] = eu_consumer(kmq, "t", 10, NULL);
    c[1] = eu_consumer(kmq, "t", 10, NULL);
    is_int(du_publish(&q, 0, "t", "one", 0, code[0]), KMQ_OK, "publish");
    is_int(du_publish(&q, 0, "t", "two", 0, code[1]), KMQ_OK, "publish");
    while (eu_take(kmq)) { /* void */ }

    is_int(kmq_confirm_codes(kmq, c[0], code[0], 1), 1, "one confirms");
    is_int(kmq_in_flight(kmq, c[1]), 2, "the other one has both");
    du_flush_all(&q);

    if (checkpoint) {
        is_int(du_checkpoint(&q, 1), 0, "a checkpoint");
    }

    restart(2, "publish/subscribe");
    is_int(du_status(&q, code[0], NULL), KMQ_STATUS_CONSUMED, "consumed");
    is_int(du_status(&q, code[1], NULL), KMQ_STATUS_WAITING, "waits");
    ok(strcmp(du_drain(&q, 1, "t"), "two ") == 0, "and is pushed");
    du_kill(&q);
}


/* A consumer of "t", which has got something. */
static kmq_ref_t
getter(const char *what)
{
    kmq_ref_t  c;

    c = eu_consumer(q.worker[0].kmq, "t", 10, NULL);
    ok(eu_take(q.worker[0].kmq) != NULL, "%s", what);

    return c;
}


static void
failure_check(const char *code, unsigned attempts, unsigned reason,
    int suspect)
{
    kmq_message_info_t  m;

    (void) du_status(&q, code, &m);
    is_int(m.attempts, attempts, "failed so often");
    is_int(m.failure, reason, "for that reason");
    is_int(m.suspect, suspect, "a suspect, or not");
}


/* Failures are counted over restarts; pushes that have not failed are not. */
static void
test_failures(void)
{
    char                 code[CODE];
    unsigned             i;
    kmq_ref_t            c;

    du_init(&q, "failures");
    q.settings.topic.max_deliveries = 3;
    du_start(&q, 1);
    is_int(du_publish(&q, 0, "t", "one", 0, code), KMQ_OK, "publish");

    for (i = 1; i <= 3; i++) {
        (void) getter("a push that goes on");
        du_flush_all(&q);
        restart(1, "in flight");
        failure_check(code, i - 1, i > 1 ? KMQ_FAILED_RETURN : 0, 0);

        c = getter("another one");
        is_int(kmq_return_codes(q.worker[0].kmq, c, code, 1, KMQ_BACK_OFF), 1,
               "comes back");
        du_flush_all(&q);

        if (i == 2) {
            is_int(du_checkpoint(&q, 1), 0, "a checkpoint");
        }

        restart(1, "given back");
        failure_check(code, i, KMQ_FAILED_RETURN, 0);
    }

    is_int(du_status(&q, code, NULL), KMQ_STATUS_DEAD, "then it is dead");
    is_int((long long) eu_count(q.worker[0].kmq).totals.redelivered, 5,
           "redelivered");
    is_int(kmq_requeue(q.worker[0].kmq, code), KMQ_OK, "requeue");
    du_flush_all(&q);
    restart(1, "requeued");
    is_int(du_status(&q, code, NULL), KMQ_STATUS_WAITING, "it waits");
    failure_check(code, 0, KMQ_FAILED_NOT, 0);
    du_kill(&q);
}


/* The message is there for a consumer, or not yet. */
static void
retry_check(const char *code, int there)
{
    kmq_ref_t      c;
    kmq_batch_t   *b;

    (void) kmq_tick(q.worker[0].kmq);
    c = eu_consumer(q.worker[0].kmq, "t", 10, NULL);
    b = eu_take(q.worker[0].kmq);
    is_int(du_status(&q, code, NULL), KMQ_STATUS_WAITING, "it waits");
    is_int(b != NULL, there, "is it pushed?");

    if (b) {
        is_int(b->messages[0].attempts, 3, "for the third time");
    }

    kmq_leave(q.worker[0].kmq, c, 0);
}


/* Has a message fail twice, and wait for an hour. */
static void
retry_make(const char *name, int checkpoint, char code[CODE])
{
    kmq_ref_t            c;
    kmq_counts_t         counts;
    kmq_message_info_t   m;

    du_init(&q, name);
    q.settings.topic.retry_delay = HOUR;
    q.settings.topic.retry_delay_max = 24 * HOUR;
    q.mono = 500 * HOUR;
    du_start(&q, 1);
    is_int(du_publish(&q, 0, "t", "one", 0, code), KMQ_OK, "publish");

    c = getter("pushed");
    is_int(kmq_return_codes(q.worker[0].kmq, c, code, 1, KMQ_BACK_OFF), 1,
           "a first failure");
    ok(eu_take(q.worker[0].kmq) != NULL, "has no back-off");
    is_int(kmq_return_codes(q.worker[0].kmq, c, code, 1, KMQ_BACK_OFF), 1,
           "a second one");
    ok(eu_take(q.worker[0].kmq) == NULL, "has one");
    du_flush_all(&q);

    if (checkpoint) {
        is_int(du_checkpoint(&q, 1), 0, "a checkpoint");
    }

    restart(1, name);
    kmq_count(q.worker[0].kmq, &counts);
    is_int((long long) counts.retrying, 1, "it waits for its next try");
    is_int((long long) counts.ready, 0, "and is not ready");
    (void) du_status(&q, code, &m);
    is_int((long long) m.due, (long long) ((DU_WALL + HOUR) / 1000),
           "at the same time");
}


/* A message whose time was made to come does not wait after a restart. */
static void
test_made_due(int checkpoint)
{
    char                 code[CODE], late[CODE];
    kmq_counts_t         counts;
    kmq_message_info_t   m;

    retry_make(checkpoint ? "made-due-checkpoint" : "made-due", checkpoint,
               code);
    is_int(du_publish(&q, 0, "t", "two", HOUR, late), KMQ_OK, "delayed");
    is_int(kmq_make_due(q.worker[0].kmq, code), KMQ_OK, "its next try");
    is_int(kmq_make_due(q.worker[0].kmq, late), KMQ_OK, "its time");
    du_flush_all(&q);

    if (checkpoint) {
        is_int(du_checkpoint(&q, 1), 0, "a checkpoint");
    }

    restart(1, "made due");
    kmq_count(q.worker[0].kmq, &counts);
    is_int((long long) counts.ready, 2, "both are ready");
    is_int((long long) counts.totals.requeued, 0, "which is no requeue");
    (void) du_status(&q, code, &m);
    is_int(m.attempts, 2, "with its failures");
    du_kill(&q);
}


static int
is_paused(const char *topic)
{
    kmq_topic_detail_t  detail;

    return kmq_topic(q.worker[0].kmq, topic, strlen(topic), &detail) == KMQ_OK
           ? (int) detail.info.paused : -1;
}


/* A topic that is paused stays so, whatever tells it. */
static void
test_paused(int checkpoint)
{
    char  code[CODE];

    du_init(&q, checkpoint ? "paused-checkpoint" : "paused");
    du_start(&q, 1);
    is_int(du_publish(&q, 0, "t", "one", 0, code), KMQ_OK, "publish");
    is_int(du_publish(&q, 0, "u", "one", 0, code), KMQ_OK, "to another one");
    is_int(kmq_pause(q.worker[0].kmq, "t", 1, 1), KMQ_OK, "paused");
    is_int(kmq_pause(q.worker[0].kmq, "u", 1, 1), KMQ_OK, "both");
    is_int(kmq_pause(q.worker[0].kmq, "u", 1, 0), KMQ_OK, "one is resumed");
    du_flush_all(&q);

    if (checkpoint) {
        is_int(du_checkpoint(&q, 1), 0, "a checkpoint");
    }

    restart(1, "paused");
    is_int(is_paused("t"), 1, "it is paused");
    is_int(is_paused("u"), 0, "the other one is not");
    is_int(kmq_pause(q.worker[0].kmq, "t", 1, 0), KMQ_OK, "resumed");
    is_int(kmq_pause(q.worker[0].kmq, "u", 1, 1), KMQ_OK, "and paused");
    du_flush_all(&q);

    if (checkpoint) {
        is_int(du_checkpoint(&q, 1), 0, "a checkpoint");
        restart(1, "once more");
    }

    restart(1, "resumed");
    is_int(is_paused("t"), 0, "it is resumed");
    is_int(is_paused("u"), 1, "the other one is paused");
    du_kill(&q);
}


/* Over a restart a message waits for the rest of its time. */
static void
test_retrying(int checkpoint)
{
    char  code[CODE];

    retry_make(checkpoint ? "retrying-checkpoint" : "retrying", checkpoint,
               code);
    du_kill(&q);

    /* for half an hour; the monotonic clock begins anew */

    q.wall += HOUR / 2;
    q.mono = 7;
    du_start(&q, 1);
    retry_check(code, 0);
    du_clock(&q, HOUR / 2 - 1);
    retry_check(code, 0);
    du_clock(&q, 1);
    retry_check(code, 1);
    du_kill(&q);

    q.wall += 1;
    du_start(&q, 1);
    retry_check(code, 1);

    /* it was pushed, which ended its wait, even if the clock is set back */

    du_flush_all(&q);
    du_kill(&q);
    q.wall = DU_WALL;
    du_start(&q, 1);
    retry_check(code, 1);
    failure_check(code, 2, KMQ_FAILED_RETURN, 0);
    du_kill(&q);
}


/* Nobody waits for ever, whatever becomes of the clock. */
static void
test_retry_clock_back(int checkpoint)
{
    char  code[CODE];

    retry_make(checkpoint ? "retry-back-checkpoint" : "retry-back",
               checkpoint, code);
    du_kill(&q);

    q.wall = 5000;
    du_start(&q, 1);
    retry_check(code, 0);
    du_clock(&q, 30 * 24 * HOUR);
    retry_check(code, 1);
    du_kill(&q);
}


/* One that may have ended its consumer is pushed alone, also after a
 * restart. */
static void
test_suspect(int checkpoint)
{
    char                 code[3][CODE];
    unsigned             i;
    kmq_ref_t            c;
    kmq_batch_t         *b;
    kmq_message_info_t   before;

    du_init(&q, checkpoint ? "suspect-checkpoint" : "suspect");
    q.settings.topic.retry_delay = 1000;
    q.settings.topic.retry_delay_max = HOUR;
    du_start(&q, 1);

    for (i = 0; i < 3; i++) {
        is_int(du_publish(&q, 0, "t", "x", 0, code[i]), KMQ_OK, "publish");
    }

    c = getter("three are pushed");
    kmq_leave(q.worker[0].kmq, c, 1);
    failure_check(code[0], 1, KMQ_FAILED_END, 1);
    failure_check(code[1], 0, KMQ_FAILED_NOT, 0);
    du_flush_all(&q);

    if (checkpoint) {
        is_int(du_checkpoint(&q, 1), 0, "a checkpoint");
    }

    du_kill(&q);
    du_start(&q, 1);
    failure_check(code[0], 1, KMQ_FAILED_END, 1);
    failure_check(code[1], 0, KMQ_FAILED_NOT, 0);

    du_clock(&q, 10);
    (void) kmq_tick(q.worker[0].kmq);
    c = eu_consumer(q.worker[0].kmq, "t", 10, NULL);
    b = eu_take(q.worker[0].kmq);
    is_int(b ? (long long) b->nmessages : 0, 1, "one is pushed alone");
    is_int(kmq_confirm_codes(q.worker[0].kmq, c, code[0], 1), 1,
           "the suspect");
    b = eu_take(q.worker[0].kmq);
    is_int(b ? (long long) b->nmessages : 0, 2, "then the others");

    (void) du_status(&q, code[0], &before);
    du_flush_all(&q);
    du_kill(&q);
    du_start(&q, 1);
    is_int(du_status(&q, code[0], NULL), KMQ_STATUS_CONSUMED, "consumed");
    failure_check(code[0], 2, KMQ_FAILED_END, (int) before.suspect);
    du_kill(&q);
}


/* Publish/subscribe: what fails with one consumer after another one has
 * confirmed it. */
static void
test_shared_failure(int checkpoint)
{
    char        code[CODE];
    kmq_t      *kmq;
    kmq_ref_t   c[2];

    du_init(&q, checkpoint ? "shared-failure-checkpoint" : "shared-failure");
    q.settings.topic.push_type = KMQ_PUSH_ALL;
    du_start(&q, 1);
    kmq = q.worker[0].kmq;

    c[0] = eu_consumer(kmq, "t", 10, NULL);
    c[1] = eu_consumer(kmq, "t", 10, NULL);
    is_int(du_publish(&q, 0, "t", "one", 0, code), KMQ_OK, "publish");
    while (eu_take(kmq)) { /* void */ }

    is_int(kmq_confirm_codes(kmq, c[0], code, 1), 1, "one confirms");
    is_int(kmq_return_codes(kmq, c[1], code, 1, KMQ_BACK_OFF), 1,
           "the other one gives it back");
    du_flush_all(&q);

    if (checkpoint) {
        is_int(du_checkpoint(&q, 1), 0, "a checkpoint");
    }

    restart(2, "publish/subscribe");
    is_int(du_status(&q, code, NULL), KMQ_STATUS_CONSUMED, "consumed");
    failure_check(code, 2, KMQ_FAILED_RETURN, 0);
    du_kill(&q);
}


/* ------------------------------------------------- what earlier ones wrote */

static do_file_t  old;


static void
old_write(unsigned kind, uint64_t generation)
{
    char  path[KMQ_PATH_SIZE];

    kmq_file_path(path, q.dir, kind, generation, 0, 0);
    du_write(path, old.data, old.len);
}


static void
old_code(uint64_t sequence, char code[CODE])
{
    static const uint64_t  key[2] = { 7, 9 };

    kmq_code_write(key, sequence, DU_WALL / 1000, code);
    code[KMQ_CODE_LEN] = '\0';
}


/* The status and attempts of a message, as "status attempts"; and its
 * failures' reason, which is not known. */
static void
old_check(uint64_t sequence, int status, unsigned attempts)
{
    char                 code[CODE];
    kmq_message_info_t   m;

    old_code(sequence, code);
    is_int(du_status(&q, code, &m), status, "message %u: its status",
           (unsigned) sequence);
    is_int(m.attempts, attempts, "and attempts");
    is_int(m.failure, KMQ_FAILED_NOT, "nobody knows why");
}


/* The same messages as a checkpoint and a journal have them. */
static void
old_checkpoint(void)
{
    do_begin(&old, 2, 1, 100, DU_WALL / 1000);
    do_message(&old, 1, 1, 0, 0, "new");
    do_message(&old, 1, 2, 0, 1, "pushed");
    do_message(&old, 1, 3, 0, 3, "again");
    do_message(&old, 2, 4, DU_WALL + HOUR, 0, "delayed");
    do_message(&old, 3, 5, 0, 2, "consumed");
    do_message(&old, 4, 6, 0, 3, "dead");
    do_end(&old, 6, 6);
    old_write(KMQ_FILE_CHECKPOINT, 1);
}


static void
old_journal(void)
{
    unsigned  i;

    do_begin(&old, 1, 0, 0, DU_WALL / 1000);

    for (i = 1; i <= 6; i++) {
        do_message(&old, i == 4 ? 2 : 1, i, i == 4 ? DU_WALL + HOUR : 0, 0,
                   "x");
    }

    do_change(&old, KMQ_RECORD_DELIVERED, 2, 1);

    for (i = 1; i <= 3; i++) {
        do_change(&old, KMQ_RECORD_DELIVERED, 3, i);
        do_change(&old, KMQ_RECORD_DELIVERED, 5, i < 3 ? i : 2);
        do_change(&old, KMQ_RECORD_DELIVERED, 6, i);
    }

    do_change(&old, KMQ_RECORD_CONSUMED, 5, 0);
    do_change(&old, KMQ_RECORD_DEAD, 6, 0);
    old_write(KMQ_FILE_JOURNAL, 0);
}


/* The last push of one that waits need not have failed. */
static void
old_check_all(void)
{
    old_check(1, KMQ_STATUS_WAITING, 0);
    old_check(2, KMQ_STATUS_WAITING, 0);
    old_check(3, KMQ_STATUS_WAITING, 2);
    old_check(4, KMQ_STATUS_DELAYED, 0);
    old_check(5, KMQ_STATUS_CONSUMED, 2);
    old_check(6, KMQ_STATUS_DEAD, 3);
}


/* How many files are of that version. */
static unsigned
versions(uint32_t version)
{
    DIR            *d;
    char            path[KMQ_PATH_SIZE];
    size_t          len;
    unsigned        n;
    unsigned char  *data;
    struct dirent  *e;

    d = opendir(q.dir);
    n = 0;

    while (d && (e = readdir(d)) != NULL) {
        (void) snprintf(path, sizeof(path), "%s/%s", q.dir, e->d_name);
        len = 0;
        data = du_read(path, &len);
        n += data && len >= KMQ_FILE_HEAD && kmq_get32(data + 8) == version;
        free(data);
    }

    if (d) {
        (void) closedir(d);
    }

    return n;
}


/* Files of version 1 are recovered, and the queue goes on behind them. */
static void
test_old(int checkpoint)
{
    char            code[CODE];
    kmq_ref_t       c;
    kmq_batch_t    *b;

    du_init(&q, checkpoint ? "old-checkpoint" : "old-journal");
    q.settings.topic.max_deliveries = 3;

    if (checkpoint) {
        old_checkpoint();
    } else {
        old_journal();
    }

    du_start(&q, 1);
    is_int((long long) q.log_len, 0, "nothing to say: %s", q.log);
    old_check_all();
    restart(1, "as they were");

    /* the next records go to a file of their own */

    is_int(du_publish(&q, 0, "t", "after", 0, code), KMQ_OK, "publish");
    du_flush_all(&q);
    is_int(versions(1), 1, "the old file stays");
    is_int(versions(KMQ_FORMAT_VERSION), 1, "beside one of this version");
    restart(1, "both");
    old_check_all();

    c = eu_consumer(q.worker[0].kmq, "t", 10, NULL);
    b = eu_take(q.worker[0].kmq);
    is_int(b ? (long long) b->nmessages : 0, 4, "all that wait are pushed");
    is_int(b ? (long long) b->messages[0].attempts : -1, 0, "for the first");
    is_int(b ? (long long) b->messages[1].attempts : -1, 1, "the second");
    is_int(b ? (long long) b->messages[2].attempts : -1, 3, "and third time");

    old_code(3, code);
    is_int(kmq_return_codes(q.worker[0].kmq, c, code, 1, KMQ_BACK_OFF), 1,
           "one fails once more");
    du_flush_all(&q);
    restart(1, "it is dead");
    is_int(du_status(&q, code, NULL), KMQ_STATUS_DEAD, "after three failures");
    failure_check(code, 3, KMQ_FAILED_RETURN, 0);

    is_int(du_checkpoint(&q, 1), 0, "a checkpoint");
    is_int(versions(1), 0, "writes all anew");
    is_int(versions(KMQ_FORMAT_VERSION), 1, "in this version");
    restart(1, "which has it all");
    old_check(6, KMQ_STATUS_DEAD, 3);
    du_kill(&q);
}


/* Days of UTC, which earlier versions have, are hours in the next one. */
static void
test_old_days(uint32_t version)
{
    unsigned             i, j;
    uint64_t             day[2], minute;
    kmq_topic_detail_t   t;
    const kmq_period_t  *p;

    du_init(&q, version == 1 ? "old-days-1" : "old-days-2");
    minute = DU_WALL / 60000;
    day[0] = DU_WALL / HOUR / 24;
    day[1] = day[0] - 13;

    do_begin(&old, 2, 1, 100, DU_WALL / 1000);
    do_version(&old, version);
    do_topic(&old, day, 2, minute);
    do_end(&old, 0, 6);
    old_write(KMQ_FILE_CHECKPOINT, 1);

    du_start(&q, 1);
    is_int((long long) q.log_len, 0, "nothing to say: %s", q.log);

    for (i = 0; i < 2; i++) {
        is_int(kmq_topic(q.worker[0].kmq, "t", 1, &t), KMQ_OK, "a topic");
        is_int((long long) t.info.totals.published, 9, "its totals");

        for (j = 0; j < 2; j++) {
            p = &t.hour[day[j] * 24 % KMQ_TOPIC_HOURS];
            ok(p->number == day[j] * 24 && p->published == 10 * j + 1
               && p->delivered == 10 * j + 2 && p->confirmed == 10 * j + 3,
               "day %u is the hour in which it begins", j);
        }

        p = &t.minute[minute % KMQ_TOPIC_MINUTES];
        ok(p->number == minute && p->published == 21, "a minute behind them");

        is_int(du_checkpoint(&q, 1), 0, "a checkpoint");
        is_int(versions(version), 0, "in this version");
        restart(1, "days");
    }

    du_kill(&q);
}


/* One failure of message 1: what it is afterwards. */
static const struct {
    uint64_t    attempts;
    uint64_t    due;
    int         status;            /* of what it is at first */
    unsigned    failures;
    unsigned    reason;
    unsigned    suspect;
    uint64_t    wait;              /* ms until its next try */
} odd[] = {

#define NEW     UINT64_C(0x80000000)
#define MONTH   (30 * 24 * HOUR)

    { NEW + 0xc0001, 0, KMQ_STATUS_WAITING, 1, KMQ_FAILED_OVERDUE, 0, 0 },
    { NEW + 0x60002, 0, KMQ_STATUS_WAITING, 2, KMQ_FAILED_END, 1, 1 },
    { NEW + 0x80003, DU_WALL + 1, KMQ_STATUS_WAITING, 3, KMQ_FAILED_RETURN, 0,
      1 },
    { NEW + 0x80003, DU_WALL, KMQ_STATUS_WAITING, 3, KMQ_FAILED_RETURN, 0, 0 },

    /* most that fits, and what may get a meaning */

    { NEW + 0xdffff, 0, KMQ_STATUS_WAITING, 65535, KMQ_FAILED_OVERDUE, 0, 0 },
    { UINT32_MAX, 0, KMQ_STATUS_WAITING, 65535, KMQ_FAILED_OVERDUE, 1, 1 },
    { UINT64_MAX, 0, KMQ_STATUS_WAITING, 65535, KMQ_FAILED_OVERDUE, 1, 1 },
    { NEW, 0, KMQ_STATUS_WAITING, 0, KMQ_FAILED_NOT, 0, 0 },

    /* without the bit of this version; failures behind the last that fits */

    { 0, 0, KMQ_STATUS_WAITING, 0, KMQ_FAILED_NOT, 0, 0 },
    { 0x80002, 0, KMQ_STATUS_WAITING, 2, KMQ_FAILED_RETURN, 0, 0 },
    { UINT64_C(1) << 28, 0, KMQ_STATUS_WAITING, 0, KMQ_FAILED_NOT, 0, 0 },

    /* far away, and for ever */

    { NEW + 0xc0001, DU_WALL + MONTH + 1, KMQ_STATUS_WAITING, 1,
      KMQ_FAILED_OVERDUE, 0, MONTH },
    { NEW + 0xc0001, UINT64_C(1) << 60, KMQ_STATUS_WAITING, 1,
      KMQ_FAILED_OVERDUE, 0, MONTH },
    { NEW + 0xc0001, UINT64_MAX, KMQ_STATUS_WAITING, 1, KMQ_FAILED_OVERDUE, 0,
      MONTH },

    /* what has another state keeps it */

    { NEW + 0xc0001, DU_WALL + HOUR, KMQ_STATUS_CONSUMED, 1,
      KMQ_FAILED_OVERDUE, 0, 0 },
    { NEW + 0xc0001, 0, KMQ_STATUS_DELAYED, 1, KMQ_FAILED_OVERDUE, 0, HOUR },
    { NEW + 0x60009, 0, KMQ_STATUS_DEAD, 3, KMQ_FAILED_NOT, 0, 0 }
};


static void
odd_check(unsigned i)
{
    char                 code[CODE];
    kmq_message_info_t   m;

    old_code(1, code);
    is_int(du_status(&q, code, &m), odd[i].status, "odd %u: its status", i);
    is_int(m.attempts, odd[i].failures + (m.status == KMQ_STATUS_CONSUMED),
           "its failures");
    is_int(m.failure, odd[i].reason, "the last one's reason");
    is_int(m.suspect, odd[i].suspect, "suspect, or not");
    is_int((long long) m.due, odd[i].wait
                              ? (long long) (DU_WALL + odd[i].wait) / 1000 : 0,
           "its next try");
    ok(eu_verify(q.worker[0].kmq, "odd"), "the block is sound");
}


/* Whatever a record of a failure says. */
static void
test_odd(unsigned i)
{
    char      name[32];
    unsigned  kind;

    (void) sprintf(name, "odd-%u", i);
    du_init(&q, name);

    kind = odd[i].status == KMQ_STATUS_CONSUMED ? KMQ_KIND_CONSUMED
           : odd[i].status == KMQ_STATUS_DELAYED ? KMQ_KIND_DELAYED
           : odd[i].status == KMQ_STATUS_DEAD ? KMQ_KIND_DEAD
                                              : KMQ_KIND_READY;

    do_begin(&old, 1, 0, 0, DU_WALL / 1000);
    do_version(&old, 2);
    do_message(&old, kind, 1, kind == KMQ_KIND_DELAYED ? DU_WALL + HOUR : 0,
               kind == KMQ_KIND_DEAD ? 3 : 0, "x");
    do_failed(&old, 1, odd[i].attempts, odd[i].due);
    do_failed(&old, 77, odd[i].attempts, odd[i].due);
    old_write(KMQ_FILE_JOURNAL, 0);

    du_start(&q, 1);
    is_int((long long) q.log_len, 0, "nothing to say: %s", q.log);
    odd_check(i);

    is_int(du_checkpoint(&q, 1), 0, "a checkpoint");
    du_kill(&q);
    du_start(&q, 1);
    odd_check(i);
    du_kill(&q);
}


/* Whatever is not known is not touched. */
static void
test_other_version(unsigned kind, uint32_t version)
{
    char   *before, text[128];

    (void) sprintf(text, "other-%u-%u", kind, version);
    du_init(&q, text);

    if (kind == KMQ_FILE_CHECKPOINT) {
        old_checkpoint();
    } else {
        old_journal();
    }

    do_version(&old, version);
    old_write(kind, kind == KMQ_FILE_CHECKPOINT);

    before = files(q.dir);
    is_int(du_recover(&q), -1, "version %u is refused", version);
    (void) munmap(q.block, q.size);

    (void) sprintf(text, "failed: it has version %u of the format, and "
                   "versions 1 to %u can be read\n", version,
                   KMQ_FORMAT_VERSION);
    ok(du_logged(&q, text), "which is told: %s", q.log);
    ok(!du_logged(&q, "damaged"), "as no damage");
    (void) du_same(before, files(q.dir), "no file has changed");
}


/* Topics without messages keep their counters. */
static void
test_topics(void)
{
    char      name[KMQ_NAME_MAX + 1];
    unsigned  i;

    du_init(&q, "topics");
    q.settings.keep_consumed = 0;
    du_start(&q, 2);

    /* of idle topics only so many are kept in a small block */

    for (i = 0; i < 20; i++) {
        memset(name, 'a' + (int) (i % 26), KMQ_NAME_MAX);
        name[1 + 12 * i] = '\0';
        (void) du_publish(&q, i % 2, name, "x", 0, NULL);

        if (i % 4) {
            (void) du_drain(&q, 0, name);
        }
    }

    du_flush_all(&q);
    restart(2, "topics from journals");
    is_int((long long) eu_count(q.worker[0].kmq).topics, 20, "all are there");

    is_int(du_checkpoint(&q, 1), 0, "a checkpoint");
    restart(2, "topics from a checkpoint");
    is_int((long long) eu_count(q.worker[0].kmq).topics, 20, "all are there");
    is_int((long long) eu_count(q.worker[0].kmq).ready, 5, "and messages");
    du_kill(&q);
}


/* A checkpoint in slices, with changes between them. */
static void
test_slices(void)
{
    int                     more;
    char                    body[32];
    unsigned                i;
    kmq_buffer_t            out;
    kmq_checkpoint_t        cp;
    kmq_checkpoint_file_t   file;

    du_init(&q, "slices");
    q.size = 32 * EU_MB;
    du_start(&q, 2);
    memset(&out, 0, sizeof(out));

    for (i = 0; i < 5000; i++) {
        sprintf(body, "message %u", i);
        (void) du_publish(&q, i % 2, i % 3 ? "a" : "b", body, 0, NULL);
    }

    du_flush_all(&q);

    more = kmq_checkpoint_begin(q.worker[0].kmq, &cp, &out) == KMQ_OK;
    is_int(kmq_checkpoint_file_open(&file, &kmq_io_system, q.dir, &cp.info,
                                    0),
           0, "a checkpoint begins");

    for (i = 0; more == 1; i++) {
        more = kmq_checkpoint_next(q.worker[0].kmq, &cp, &out);
        (void) kmq_checkpoint_file_write(&file, out.data, out.len);
        out.len = 0;

        /* worker 1 goes on meanwhile; du_drain() takes all of a topic */

        (void) du_publish(&q, 1, "a", "late", 0, NULL);
        (void) du_publish(&q, 1, "c", "late", 0, NULL);

        if (i == 2) {
            (void) du_drain(&q, 1, "b");
        }
    }

    ok(i > 5, "it had %u slices", i);
    is_int(kmq_checkpoint_file_finish(&file), 0, "it is finished");
    kmq_checkpoint_end(q.worker[0].kmq, &cp, file.size);
    is_int(kmq_checkpoint_file_clean(&file), 0, "older files go");
    du_flush_all(&q);
    kmq_buffer_free(&out);

    restart(2, "what happened between slices");
    du_kill(&q);
}


/* Slices until the checkpoint is in a large message, or over; at most 100. */
static int
slices(kmq_t *kmq, kmq_checkpoint_t *cp, kmq_buffer_t *out, int until_part)
{
    int       more;
    unsigned  i;

    for (more = 1, i = 0; more == 1 && i < 100; i++) {

        if (until_part && cp->part) {
            break;
        }

        out->len = 0;
        more = kmq_checkpoint_next(kmq, cp, out);
    }

    return more;
}


/* A worker that stands still amid a large message holds up no other one's
 * checkpoint, and gives up its own. */
static void
test_overtaken(void)
{
    char              *body;
    kmq_buffer_t       out;
    kmq_checkpoint_t   old, new;

    du_init(&q, "overtaken");
    q.size = 32 * EU_MB;
    du_start(&q, 2);
    memset(&out, 0, sizeof(out));

    body = calloc(1, EU_MB + 1);
    memset(body, 'x', EU_MB);
    (void) du_publish(&q, 0, "a", body, 0, NULL);

    is_int(kmq_checkpoint_begin(q.worker[0].kmq, &old, &out), KMQ_OK,
           "a checkpoint begins");
    is_int(slices(q.worker[0].kmq, &old, &out, 1), 1, "and is in a message");
    ok(!kmq_checkpoint_overtaken(q.worker[0].kmq, &old), "it is the last one");

    is_int(kmq_checkpoint_begin(q.worker[1].kmq, &new, &out), KMQ_OK,
           "another worker's begins");
    is_int(slices(q.worker[1].kmq, &new, &out, 0), 0, "and ends");
    ok(!kmq_checkpoint_overtaken(q.worker[1].kmq, &new), "it is the last");

    ok(kmq_checkpoint_overtaken(q.worker[0].kmq, &old), "not the first");
    is_int(slices(q.worker[0].kmq, &old, &out, 0), KMQ_AGAIN,
           "which is given up");
    ok(eu_verify(q.worker[0].kmq, "overtaken"), "all is sound");

    kmq_buffer_free(&out);
    free(body);
    du_kill(&q);
}


/* Publishes and confirms n messages. */
static void
consume(unsigned n)
{
    kmq_t       *kmq;
    kmq_ref_t    c, p;
    unsigned     i;

    kmq = q.worker[0].kmq;
    p = eu_producer(kmq, "t");
    c = eu_consumer(kmq, "t", 1000, NULL);

    for (i = 0; i < n; i += 1000) {
        (void) eu_publish_numbers(kmq, p, i, n - i < 1000 ? n - i : 1000);
        (void) eu_drain(kmq);
        du_flush_all(&q);
    }

    kmq_leave(kmq, c, 0);
    kmq_leave(kmq, p, 0);
}


/* The newest of the history are kept, up to a bound. */
static void
test_history(void)
{
    char  first[CODE], second[CODE], last[CODE];

    du_init(&q, "history");
    q.size = 64 * EU_MB;
    du_start(&q, 1);

    is_int(du_publish(&q, 0, "t", "0", 0, first), KMQ_OK, "the first");
    is_int(du_publish(&q, 0, "t", "1", 0, second), KMQ_OK, "the second");
    (void) du_drain(&q, 0, "t");
    consume(KMQ_HISTORY_KEPT - 2);
    restart(1, "as many as are kept");
    is_int((long long) q.rc.restored.consumed, KMQ_HISTORY_KEPT, "all of them");

    is_int(du_publish(&q, 0, "t", "n", 0, last), KMQ_OK, "one more");
    (void) du_drain(&q, 0, "t");
    du_flush_all(&q);
    du_kill(&q);
    du_start(&q, 1);

    is_int((long long) q.rc.restored.consumed, KMQ_HISTORY_KEPT, "no more");
    is_int(du_status(&q, first, NULL), KMQ_STATUS_ANY, "the first is gone");
    is_int(du_status(&q, second, NULL), KMQ_STATUS_CONSUMED,
           "the second is there");
    is_int(du_status(&q, last, NULL), KMQ_STATUS_CONSUMED, "and the last");

    consume(1000);
    is_int(du_checkpoint(&q, 1), 0, "a checkpoint");
    du_kill(&q);
    du_start(&q, 1);
    ok(q.rc.restored.consumed <= KMQ_HISTORY_KEPT
       && q.rc.restored.consumed >= KMQ_HISTORY_KEPT - 10,
       "a checkpoint has %llu", (unsigned long long) q.rc.restored.consumed);
    is_int(du_status(&q, second, NULL), KMQ_STATUS_ANY, "others are gone");
    is_int(du_status(&q, last, NULL), KMQ_STATUS_CONSUMED, "the last is not");
    du_kill(&q);
}


/* Work, death, start, many times over, with and without checkpoints. */
static void
test_again_and_again(void)
{
    char      body[32], lost[CODE], next[CODE];
    unsigned  i, k, n;

    du_init(&q, "again");
    du_start(&q, 2);

    for (i = 0, n = 0; i < 12; i++) {

        for (k = 0; k < 20; k++) {
            sprintf(body, "%u", n++);
            (void) du_publish(&q, k % q.nworkers, "t", body, 0, NULL);
        }

        if (i % 3 == 2) {
            (void) du_drain(&q, 1, "t");
        }

        du_flush_all(&q);

        if (i % 4 == 3) {
            is_int(du_checkpoint(&q, (int) (i % 8 == 3)), 0, "checkpoint");
        }

        du_clock(&q, 1000);
        restart(2, "again");
    }

    is_int((long long) eu_count(q.worker[0].kmq).totals.published, n,
           "published");

    /* what nobody flushed is lost, and its number is not given again, once a
     * flush has told which ones are */

    du_flush_all(&q);
    is_int(du_publish(&q, 0, "t", "lost", 0, lost), KMQ_OK, "publish");
    du_kill(&q);
    du_start(&q, 1);
    is_int((long long) eu_count(q.worker[0].kmq).totals.published, n,
           "one is lost");
    is_int(du_status(&q, lost, NULL), KMQ_STATUS_ANY, "that one");
    is_int(du_publish(&q, 0, "t", "next", 0, next), KMQ_OK, "the next one");
    ok(strncmp(next, lost, 16) > 0, "has a number of its own");
    du_kill(&q);
}


static void
test_too_small(void)
{
    char      *before, body[1001];
    unsigned   i;

    du_init(&q, "small");
    du_start(&q, 1);
    memset(body, 'x', 1000);
    body[1000] = '\0';

    for (i = 0; i < 2500; i++) {
        (void) du_publish(&q, 0, i % 2 ? "a" : "b", body, 0, NULL);
    }

    du_flush_all(&q);
    is_int(du_checkpoint(&q, 0), 0, "a checkpoint");
    is_int(du_publish(&q, 0, "a", "one", 0, NULL), KMQ_OK, "and a journal");
    du_flush_all(&q);
    du_kill(&q);

    before = files(q.dir);
    q.size = 2 * EU_MB;
    is_int(du_recover(&q), -1, "a smaller zone has no room");
    ok(du_logged(&q, "E \"") && du_logged(&q, "make it larger"), "is told");
    (void) munmap(q.block, q.size);
    (void) du_same(before, files(q.dir), "no file has changed");

    q.size = 4 * EU_MB;
    du_start(&q, 1);
    is_int((long long) q.rc.restored.ready, 2501, "a large one has");
    du_kill(&q);
}


/* -------------------------------------------------------------- directory */

static unsigned
mode_of(const char *dir, const char *name)
{
    char         path[KMQ_PATH_SIZE];
    struct stat  st;

    (void) snprintf(path, sizeof(path), "%s/%s", dir, name);

    return stat(path, &st) == 0 ? st.st_mode & 07777 : 0;
}


static const kmq_user_t  self = { NULL, 0, 0 };


/* Opens, for whoever runs this; what was logged before is forgotten. */
static int
opens(kmq_directory_t *d, const char *dir, const kmq_user_t *user)
{
    q.log_len = 0;
    q.log[0] = '\0';

    return kmq_directory_open(d, dir, user, du_log, &q);
}


/* A process that has the directory, and one that it forks, until go is
 * closed. */
static pid_t
holders(int go, int *other)
{
    int              ready[2];
    pid_t            pid;
    kmq_directory_t  d;

    if (pipe(ready) != 0 || (pid = fork()) == -1) {
        perror("fork");
        exit(2);
    }

    if (pid == 0) {
        *other = opens(&d, q.dir, &self) == 0 ? (int) fork() : 0;
        (void) !(*other ? write(ready[1], other, sizeof(int)) : 0);
        (void) !read(go, other, 1);
        _exit(0);
    }

    ok(read(ready[0], other, sizeof(int)) == sizeof(int) && *other > 0,
       "another process has it");

    (void) close(ready[0]);
    (void) close(ready[1]);

    return pid;
}


static void
test_lock(void)
{
    int              go[2], other;
    char             text[64], path[KMQ_PATH_SIZE];
    pid_t            pid;
    kmq_directory_t  d;

    du_init(&q, "lock");
    rmdir(q.dir);

    if (pipe(go) != 0) {
        perror("pipe");
        exit(2);
    }

    /* the child has its own end of it, which goes with it */

    (void) fcntl(go[1], F_SETFD, FD_CLOEXEC);
    pid = holders(go[0], &other);
    is_int(mode_of(q.dir, ""), 0700, "the directory's mode");
    is_int(mode_of(q.dir, "lock"), 0600, "the lock's");

    is_int(opens(&d, q.dir, &self), -1, "it is locked");
    sprintf(text, "is in use by process %ld\n", (long) pid);
    ok(du_logged(&q, text), "by that process, not its child: %s", q.log);

    (void) snprintf(path, sizeof(path), "%s/lock", q.dir);
    is_int(unlink(path), 0, "its file is removed");
    is_int(opens(&d, q.dir, &self), -1, "it is locked");
    ok(du_logged(&q, text), "still: %s", q.log);

    (void) kill(pid, SIGKILL);
    (void) waitpid(pid, NULL, 0);
    is_int(opens(&d, q.dir, &self), -1, "it dies, its child has the lock");
    sprintf(text, "is in use by process %d\n", other);
    ok(du_logged(&q, text), "which is named: %s", q.log);

    (void) kill(other, SIGKILL);
    is_int(opens(&d, q.dir, &self), 0, "that dies, too: now it is free");
    kmq_directory_close(&d);

    (void) close(go[0]);
    (void) close(go[1]);
}


/* As earlier versions lock. */
static void
test_lock_old(void)
{
    int              fd;
    char             path[KMQ_PATH_SIZE];
    pid_t            pid;
    kmq_directory_t  d;

    du_init(&q, "lock-old");
    (void) snprintf(path, sizeof(path), "%s/lock", q.dir);
    du_write(path, "4711                \n", 21);

    pid = fork();

    if (pid == 0) {
        fd = open(path, O_RDWR);
        (void) flock(fd, LOCK_EX);
        (void) pause();
        _exit(0);
    }

    while (kmq_holder(fd = open(path, O_RDONLY)) != (long) pid) {
        (void) close(fd);
        (void) usleep(1000);
    }

    (void) close(fd);

    is_int(opens(&d, q.dir, &self), -1, "an earlier version has it");
    (void) snprintf(path, sizeof(path), "is in use by process %ld\n",
                    (long) pid);
    ok(du_logged(&q, path), "it is named: %s", q.log);

    (void) kill(pid, SIGKILL);
    (void) waitpid(pid, NULL, 0);
    is_int(opens(&d, q.dir, &self), 0, "not any more");
    kmq_directory_close(&d);
}


static void
test_directory(void)
{
    char             path[KMQ_PATH_SIZE];
    kmq_directory_t  d;

    du_init(&q, "directory");
    (void) chmod(q.dir, 0755);
    is_int(opens(&d, q.dir, &self), 0, "a directory that is there already");
    is_int(mode_of(q.dir, ""), 0755, "keeps its mode");
    is_int(kmq_directory_same(&d, q.dir), 1, "it is itself");
    is_int(kmq_directory_check(q.dir, &self, du_log, &q), 0, "it would do");
    kmq_directory_close(&d);

    (void) chmod(q.dir, 0775);
    is_int(opens(&d, q.dir, &self), 0, "one that a group may change");
    ok(du_logged(&q, "W the directory \""), "is warned of: %s", q.log);
    kmq_directory_close(&d);

    (void) snprintf(path, sizeof(path), "%s/file", q.dir);
    du_write(path, "", 0);
    is_int(opens(&d, path, &self), -1, "a file");
    ok(du_logged(&q, "is not a directory"), "is none");
    is_int(kmq_directory_check(path, &self, du_log, &q), -1, "nor checked");

    is_int(opens(&d, q.dir, &self), -1, "one with something else in it");
    ok(du_logged(&q, "has \"file\" in it, and no files of a queue"),
       "is somebody else's: %s", q.log);
    is_int(kmq_directory_check(q.dir, &self, du_log, &q), -1, "as checked");

    (void) snprintf(path, sizeof(path), "%s/checkpoint-0000000000000001",
                    q.dir);
    du_write(path, "", 0);
    is_int(opens(&d, q.dir, &self), 0, "unless a queue's are there, too");
    kmq_directory_close(&d);

    (void) snprintf(path, sizeof(path), "%s/no/no", q.dir);
    is_int(opens(&d, path, &self), -1, "no parent");
    ok(du_logged(&q, "E making the directory"), "is told");
    q.log_len = 0;
    is_int(kmq_directory_check(path, &self, du_log, &q), -1, "so it is when "
           "checked");
    ok(du_logged(&q, "E making the directory"), "with the same text");

    (void) snprintf(path, sizeof(path), "%s/new", q.dir);
    is_int(kmq_directory_check(path, &self, du_log, &q), 0, "it would be made");
    is_int(mode_of(path, ""), 0, "but is not");
}


/* Somebody who may not be trusted has the directory. */
static const kmq_user_t  nobody = { "nobody", 65534, 65534 };


static uid_t
owner_of(const char *path)
{
    struct stat  st;

    return stat(path, &st) == 0 ? st.st_uid : (uid_t) -1;
}


static void
test_user(void)
{
    char             path[KMQ_PATH_SIZE], victim[KMQ_PATH_SIZE];
    size_t           n = 0;
    unsigned char   *data;
    kmq_directory_t  d;

    if (geteuid() != 0) {
        ok(1, "# SKIP another user needs root");
        return;
    }

    (void) chmod(du_top, 0755);
    du_init(&q, "user");
    rmdir(q.dir);

    is_int(opens(&d, q.dir, &nobody), 0, "made for a user: %s", q.log);
    is_int(owner_of(q.dir), 65534, "it is the user's");
    is_int(mode_of(q.dir, ""), 0700, "alone");
    (void) snprintf(path, sizeof(path), "%s/lock", q.dir);
    is_int(owner_of(path), 65534, "the lock, too");
    is_int((long long) geteuid(), 0, "root is root again");
    kmq_directory_close(&d);

    (void) snprintf(victim, sizeof(victim), "%s/victim", du_top);
    du_write(victim, "root's own", 10);
    (void) unlink(path);
    is_int(symlink(victim, path), 0, "a link in the place of the lock");
    is_int(opens(&d, q.dir, &nobody), -1, "is refused");
    ok(du_logged(&q, "/lock\" is not a regular file"), "by name: %s", q.log);
    is_int(kmq_directory_check(q.dir, &nobody, du_log, &q), -1,
           "and found by the check");
    (void) unlink(path);
    is_int(link(victim, path), 0, "root's file in the place of the lock");
    is_int(opens(&d, q.dir, &nobody), -1, "is refused");
    data = du_read(victim, &n);
    ok(n == 10 && memcmp(data, "root's own", 10) == 0, "it is as it was");
    is_int(owner_of(victim), 0, "and root's");
    free(data);
    (void) unlink(path);
    is_int(mkfifo(path, 0666), 0, "a pipe");
    is_int(opens(&d, q.dir, &nobody), -1, "is refused");
    (void) unlink(path);

    du_directory(path, "user-root");
    is_int(opens(&d, path, &nobody), -1, "root's directory");
    ok(du_logged(&q, "user \"nobody\" cannot use the directory \""),
       "is refused: %s", q.log);
    ok(du_logged(&q, "which belongs to user \"root\" (0)"), "with its owner");
    is_int(owner_of(path), 0, "and stays root's");
    (void) chmod(path, 0777);
    is_int(opens(&d, path, &nobody), 0, "unless anybody may use it");
    is_int(owner_of(path), 0, "which it stays, too");
    kmq_directory_close(&d);
}


/* What is no file is no file of ours; it keeps nobody waiting. */
static void
test_no_files(void)
{
    char  path[KMQ_PATH_SIZE];

    du_init(&q, "no-files");
    du_start(&q, 1);
    (void) du_publish(&q, 0, "t", "one", 0, NULL);
    du_flush_all(&q);
    du_kill(&q);

    (void) snprintf(path, sizeof(path), "%s/journal-0000000000000000-001-0",
                    q.dir);
    is_int(mkfifo(path, 0600), 0, "a pipe among the files");
    (void) snprintf(path, sizeof(path), "%s/checkpoint-0000000000000007",
                    q.dir);
    is_int(symlink("/dev/zero", path), 0, "a link to a device");

    du_start(&q, 1);
    is_int((long long) q.rc.restored.ready, 1, "what is there is there");
    ok(du_logged(&q, "-001-0\" is not a regular file, it is passed over"),
       "the pipe is named: %s", q.log);
    ok(du_logged(&q, "07\" is not a regular file, it is passed over"),
       "the link, too");
    du_kill(&q);
}


/* Earlier versions began a file with each attempt, when a disk failed; there
 * may be more than can be open at once. */
static void
test_many_files(void)
{
    unsigned       i;
    struct rlimit  before, few;
    char           body[32];

    du_init(&q, "many");
    du_start(&q, 2);

    for (i = 0; i < 600; i++) {
        sprintf(body, "m%u", i);
        (void) du_publish(&q, i % 2, "t", body, 0, NULL);
        (void) du_flush(&q, i % 2);

        if (i % 3) {
            kmq_segment_close(&q.worker[i % 2].segment);
        }
    }

    ok(du_names(q.dir, "journal-", "") > 300, "many files");
    is_int(getrlimit(RLIMIT_NOFILE, &before), 0, "few may be open");
    few = before;
    few.rlim_cur = 32;
    (void) setrlimit(RLIMIT_NOFILE, &few);
    restart(2, "many files");
    (void) setrlimit(RLIMIT_NOFILE, &before);
    is_int((long long) q.rc.restored.ready, 600, "all of it is there");
    ok(strncmp(du_drain(&q, 0, "t"), "m0 m1 m2 m3 ", 12) == 0, "in order");
    du_kill(&q);
}


/* What a complete checkpoint has made superfluous goes at the next start. */
static void
test_leftovers(void)
{
    char  path[KMQ_PATH_SIZE];

    du_init(&q, "leftovers");
    du_start(&q, 1);
    (void) du_publish(&q, 0, "t", "one", 0, NULL);
    du_flush_all(&q);
    is_int(du_checkpoint(&q, 0), 0, "a checkpoint; what is older stays");
    is_int(du_names(q.dir, "journal-0000000000000000", ""), 1, "a journal");
    (void) snprintf(path, sizeof(path), "%s/checkpoint-0000000000000001.new",
                    q.dir);
    du_write(path, "", 0);
    restart(1, "leftovers");
    is_int(du_names(q.dir, "journal-0000000000000000", ""), 0, "goes");
    is_int(du_names(q.dir, "checkpoint-", ".new"), 0, "and what has no end");
    du_kill(&q);
}


/* After a failure the same generation is begun again, so that journals are not;
 * and errors end with the checkpoint that makes them good. */
static void
test_checkpoint_again(void)
{
    kmq_buffer_t      out;
    kmq_counts_t      counts;
    kmq_checkpoint_t  cp, other;

    du_init(&q, "begun-again");
    du_start(&q, 2);
    memset(&out, 0, sizeof(out));

    kmq_journal_flushed(q.worker[1].kmq, ENOSPC);
    kmq_journal_lost(q.worker[1].kmq);
    kmq_count(q.worker[0].kmq, &counts);
    is_int(counts.disk_error, ENOSPC, "an error");

    is_int(kmq_checkpoint_begin(q.worker[0].kmq, &cp, &out), KMQ_OK, "begun");
    is_int((long long) cp.info.generation, 1, "of generation 1");
    is_int(kmq_checkpoint_again(q.worker[0].kmq, &cp, &out, 0), KMQ_OK,
           "it fails, and is begun again");
    is_int((long long) cp.info.generation, 1, "of the same generation");
    is_int(kmq_checkpoint_begin(q.worker[1].kmq, &other, &out), KMQ_OK,
           "somebody else's");
    is_int((long long) other.info.generation, 2, "is of another");
    is_int(kmq_checkpoint_again(q.worker[0].kmq, &cp, &out, 1), KMQ_OK,
           "then, once more");
    is_int((long long) cp.info.generation, 3, "it has to be a new one");

    kmq_checkpoint_end(q.worker[0].kmq, &cp, 100);
    kmq_count(q.worker[0].kmq, &counts);
    is_int(counts.disk_error, 0, "complete: no error any more");

    kmq_buffer_free(&out);
    du_kill(&q);
}


static void
test_aside(void)
{
    int              i;
    char             name[64], path[KMQ_PATH_SIZE];
    char            *p;
    kmq_directory_t  d;

    du_init(&q, "aside");
    is_int(opens(&d, q.dir, &self), 0, "it is opened");
    is_int(kmq_directory_set_aside(q.dir, du_log, &q), 0, "no files");
    is_int((long long) q.log_len, 0, "nothing to say");
    is_int(du_names(q.dir, "aside-", ""), 0, "no directory for them");

    du_start(&q, 2);
    (void) du_publish(&q, 0, "t", "one", 0, NULL);
    (void) du_publish(&q, 1, "t", "two", 0, NULL);
    du_flush_all(&q);
    is_int(du_checkpoint(&q, 0), 0, "a checkpoint");
    is_int(mode_of(q.dir, "journal-0000000000000000-000-0"), 0600,
           "a journal's mode");
    is_int(mode_of(q.dir, "checkpoint-0000000000000001"), 0600,
           "a checkpoint's");
    du_kill(&q);

    is_int(kmq_directory_set_aside(q.dir, du_log, &q), 0, "aside");
    ok(du_logged(&q, "W 3 file(s) of an older queue were set aside in \""),
       "three files: %s", q.log);
    is_int(du_names(q.dir, "aside-", ""), 1, "into a directory");
    is_int(du_names(q.dir, "lock", ""), 1, "but not the lock");
    is_int(du_names(q.dir, "journal-", ""), 0, "no journal is left");

    p = strstr(q.log, "/aside-");
    (void) snprintf(name, sizeof(name), "%.*s", (int) strcspn(p, "\""), p);
    is_int(mode_of(q.dir, name), 0700, "its mode");
    (void) snprintf(q.dir + strlen(q.dir), 64, "%s", name);
    is_int(du_names(q.dir, "", "-0"), 2, "they are in it");

    du_start(&q, 1);
    is_int((long long) q.rc.restored.ready, 2, "and whole");
    du_kill(&q);

    *strstr(q.dir, "/aside-") = '\0';
    du_start(&q, 1);
    is_int(q.rc.files, 0, "recovery does not see them");
    du_kill(&q);

    for (i = 0; i < 12; i++) {
        (void) snprintf(path, sizeof(path), "%s/journal-0000000000000000-000"
                        "-0", q.dir);
        du_write(path, "", 0);
        q.log_len = 0;
        is_int(kmq_directory_set_aside(q.dir, du_log, &q), 0, "once more");
        p = strstr(q.log, "/aside-");
        (void) snprintf(path, sizeof(path), "%s%.*s", q.dir,
                        (int) strcspn(p, "\""), p);
        is_int(du_names(path, "journal-", ""), 1, "the newest is there");
    }

    is_int(du_names(q.dir, "aside-", ""), 3, "the newest three are kept");
    ok(du_logged(&q, "I \""), "which is said: %s", q.log);
    kmq_directory_close(&d);
}


int
main(void)
{
    unsigned  i;

    du_begin();

    test_empty();
    test_lives(0, 0);
    test_lives(1, 0);
    test_lives(0, 1);
    test_lives(1, 1);
    test_periods();
    test_topic_periods(0, 0, 0);
    test_topic_periods(1, 0, 2);
    test_topic_periods(2, 0, 2);
    test_topic_periods(KMQ_TOPIC_HOURS, 0, KMQ_TOPIC_MINUTES);
    test_topic_periods(0, 1, 2);
    test_topic_periods(0, 2, 2);
    test_topic_periods(0, 14, KMQ_TOPIC_MINUTES);
    test_accepted();
    test_delayed(0);
    test_delayed(1);
    test_clock_back();
    test_shared(0);
    test_shared(1);
    test_failures();
    test_retrying(0);
    test_retrying(1);
    test_paused(0);
    test_paused(1);
    test_made_due(0);
    test_made_due(1);
    test_retry_clock_back(0);
    test_retry_clock_back(1);
    test_suspect(0);
    test_suspect(1);
    test_shared_failure(0);
    test_shared_failure(1);
    test_old(0);
    test_old(1);
    test_old_days(1);
    test_old_days(2);

    for (i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        test_odd(i);
    }

    test_other_version(KMQ_FILE_JOURNAL, KMQ_FORMAT_VERSION + 1);
    test_other_version(KMQ_FILE_JOURNAL, 0);
    test_other_version(KMQ_FILE_CHECKPOINT, KMQ_FORMAT_VERSION + 1);
    test_topics();
    test_slices();
    test_overtaken();
    test_history();
    test_again_and_again();
    test_too_small();
    test_lock();
    test_lock_old();
    test_directory();
    test_user();
    test_no_files();
    test_many_files();
    test_leftovers();
    test_checkpoint_again();
    test_aside();

    return done_testing();
}
