/*
 * kapokmq-dump: files are made with the engine, the tool beside this program
 * is run on them, and each line that it prints is read as JSON.
 */

#include <fcntl.h>
#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../src/engine/journal/kmq_crc32c.h"
#include "disk_old.h"
#include "dump_util.h"
#include "engine_inside.h"


/* ------------------------------------------------------- all the records */

/* Publishes three, has one consumed, one dead and requeued, one deleted. */
static void
lives_make(queue_t *q, char code[4][KMQ_CODE_LEN + 1])
{
    kmq_ref_t       client;
    kmq_message_t   m;

    publish(q, "t", "one", 3, 0, code[0]);
    publish(q, "t", "two", 3, 0, code[1]);
    publish(q, "t", "three", 5, 90000, code[2]);

    client = eu_consumer(q->kmq, "t", 10, NULL);
    ok(eu_take(q->kmq) != NULL, "two are pushed");

    is_int(kmq_confirm_codes(q->kmq, client, code[0], 1), 1, "one confirmed");
    is_int(kmq_return_codes(q->kmq, client, code[1], 1, KMQ_BACK_OFF), 1,
           "one given up");
    is_int(kmq_requeue(q->kmq, code[1]), KMQ_OK, "and requeued");
    is_int(kmq_delete(q->kmq, code[2]), KMQ_OK, "one deleted");
    kmq_leave(q->kmq, client, 0);

    /* this one is never answered "ok" */

    memset(&m, 0, sizeof(m));
    m.size = 4;
    is_int(kmq_reserve_to(q->kmq, "t", 1, &m), KMQ_OK, "room");
    kmq_write(q->kmq, &m, "four", 4);
    kmq_code(q->kmq, &m, code[3]);
    is_int(kmq_accept(q->kmq, &m, 1), KMQ_OK, "accepted");
    kmq_discard(q->kmq, &m, 1);
}


static void
message_check(unsigned i, const char *code, const char *state,
    const char *data)
{
    json_t  *line;

    line = line_of("message", i);

    is_bytes(str(line, "code"), strlen(str(line, "code")), code, KMQ_CODE_LEN,
             "message %u: its code", i);
    ok(strcmp(str(line, "topic"), "t") == 0, "its topic");
    ok(strcmp(str(line, "state"), state) == 0, "its state");
    ok(strcmp(str(line, "data"), data) == 0, "its data");
    is_int(num(line, "body_size"), (long long) strlen(data), "and size");
    is_int(num(line, "time"), WALL / 1000, "when it was created");
}


static void
list_check(const char *type, unsigned i, const char *why, long long sequence)
{
    json_t  *line;

    line = line_of(type, i);

    is_int(num(line, "count"), 1, "%s: one message", type);
    is_int((long long) json_array_size(json_object_get(line, "sequences")), 1,
           "no more is listed");
    is_int(element(line, "sequences", 0), sequence, "that one");

    if (why) {
        ok(strcmp(str(line, "why"), why) == 0, "it is %s", why);
    }
}


static void
journal_check(const queue_t *q, char code[4][KMQ_CODE_LEN + 1])
{
    int        i;
    json_t    *line;
    long long  s[4];

    is_int(dump("-v", path_of(q, KMQ_FILE_JOURNAL, 0)), 0, "a journal");
    is_int((long long) run.bad, 0, "its lines are JSON");
    is_int(lines_of("message"), 4, "four messages");

    for (i = 0; i < 4; i++) {
        s[i] = num(line_of("message", (unsigned) i), "sequence");
    }

    message_check(0, code[0], "ready", "one");
    message_check(1, code[1], "ready", "two");
    message_check(2, code[2], "delayed", "three");
    message_check(3, code[3], "ready", "four");

    line = line_of("message", 2);
    is_int(num(line, "due"), WALL + 90000, "when the delayed one is due");
    is_int(num(line, "delay"), 90, "and its delay");

    line = line_of("delivered", 0);
    is_int(element(line, "sequences", 0), s[0], "pushed");
    is_int(element(line, "sequences", 1), s[1], "this one, too");
    is_int(element(line, "attempts", 1), 1, "once");

    list_check("consumed", 0, NULL, s[0]);
    list_check("dead", 0, NULL, s[1]);
    list_check("requeued", 0, NULL, s[1]);
    list_check("gone", 0, "deleted", s[2]);
    list_check("gone", 1, "discarded", s[3]);

    line = line_of("counts", 0);
    ok(strcmp(str(line, "topic"), "t") == 0, "counts of the topic");
    is_int(num(line, "delivered"), 2, "pushes");
}


static void
summary_check(const char *kind, const char *path, unsigned messages)
{
    json_t  *line;

    line = line_of("summary", 0);

    ok(strcmp(str(line, "kind"), kind) == 0, "summary of a %s", kind);
    ok(strcmp(str(line, "file"), path) == 0, "of that file");
    is_int(num(line, "messages"), messages, "its messages");
    is_int(num(line, "bytes"), (long long) size_of(path), "its bytes");
    is_int(num(line, "damaged"), 0, "no damage");
    is_int(num(line, "torn"), 0, "nothing torn");
}


static void
checkpoint_check(const queue_t *q)
{
    json_t      *line;
    const char  *path;

    path = path_of(q, KMQ_FILE_CHECKPOINT, 1);

    is_int(dump("-v", path), 0, "a checkpoint");
    is_int((long long) run.bad, 0, "its lines are JSON");
    is_int(num(line_of("file", 0), "worker"), 3, "who has written it");
    summary_check("checkpoint", path, 2);

    line = line_of("queue", 0);
    is_int(num(line, "published"), 3, "published");
    is_int(num(line, "requeued"), 1, "requeued");
    is_int(num(json_array_get(json_object_get(line, "hours"), 0), "time"),
           WALL / 1000 / 3600 * 3600, "the hour");
    is_int(num(json_array_get(json_object_get(line, "minutes"), 0), "time"),
           WALL / 1000 / 60 * 60, "the minute");
    is_int(num(json_array_get(json_object_get(line, "minutes"), 0),
               "published"), 3, "published in it");

    line = line_of("topic", 0);
    is_int(num(line, "died"), 1, "the topic's dead");
    is_int(num(json_array_get(json_object_get(line, "hours"), 0),
               "confirmed"), 1, "its confirmations of the hour");
    is_int(num(json_array_get(json_object_get(line, "hours"), 0), "time"),
           WALL / 1000 / 3600 * 3600, "which that is");
    ok(json_object_get(line, "days") == NULL, "there are no days");
    is_int(num(json_array_get(json_object_get(line, "minutes"), 0),
               "confirmed"), 1, "and of the minute");

    ok(strcmp(str(line_of("message", 0), "state"), "consumed") == 0,
       "a consumed message");
    is_int(num(line_of("message", 0), "state_time"), WALL / 1000, "since");
    is_int(num(line_of("end", 0), "messages"), 2, "the end's count");

    is_int(dump("", path), 0, "without -v");
    ok(json_object_get(line_of("queue", 0), "hours") == NULL, "no hours");
}


static void
test_records(void)
{
    char             code[4][KMQ_CODE_LEN + 1];
    queue_t          q;
    const char      *path;
    kmq_settings_t   s;

    s = eu_settings(KMQ_PUSH_ONE);
    s.keep_consumed = 1;
    s.topic.max_deliveries = 1;

    queue_open(&q, "records", &s);
    lives_make(&q, code);
    is_int(queue_flush(&q), 0, "a journal is written");
    journal_check(&q, code);

    is_int(dump("-q", path_of(&q, KMQ_FILE_JOURNAL, 0)), 0, "the same, -q");
    is_int((long long) run.n, 1, "one line");
    summary_check("journal", path_of(&q, KMQ_FILE_JOURNAL, 0), 4);

    is_int(queue_checkpoint(&q, 1), 0, "a checkpoint is written");
    checkpoint_check(&q);

    path = path_of(&q, KMQ_FILE_JOURNAL, 0);
    ok(size_of(path) == -1, "the journal is gone");
    is_int(dump("", path), 2, "it cannot be read");
    ok(strstr(run.errors, "No such file") != NULL, "which is said");

    queue_close(&q);
}


/* --------------------------------------------------------------- failures */

static const char *
reason_of(const json_t *line)
{
    return json_is_null(json_object_get(line, "reason"))
           ? "null" : str(line, "reason");
}


/* What is shown of a message's failures, in its line or a list's. */
static void
failure_check(const json_t *line, long long failures, int suspect,
    const char *reason, long long due)
{
    is_int(num(line, "failures"), failures, "its failures");
    ok(json_is_true(json_object_get(line, "pushed")), "it was pushed");
    is_int(json_is_true(json_object_get(line, "suspect")), suspect,
           "suspect, or not");
    ok(strcmp(reason_of(line), reason) == 0, "its reason: %s",
       reason_of(line));
    is_int(num(line, "due"), due, "its next try");
    ok(json_object_get(line, "attempts") == NULL, "no attempts");
}


/* Has one given back twice, and another one end its consumer. */
static void
failures_make(queue_t *q)
{
    char       code[2][KMQ_CODE_LEN + 1];
    kmq_ref_t  client;

    publish(q, "t", "one", 3, 0, code[0]);
    publish(q, "t", "two", 3, 0, code[1]);

    client = eu_consumer(q->kmq, "t", 10, NULL);
    ok(eu_take(q->kmq) != NULL, "two are pushed");
    is_int(kmq_return_codes(q->kmq, client, code[0], 1, KMQ_BACK_OFF), 1,
           "one is given back");
    ok(eu_take(q->kmq) != NULL, "and pushed");
    is_int(kmq_return_codes(q->kmq, client, code[0], 1, KMQ_BACK_OFF), 1,
           "and given back");
    kmq_leave(q->kmq, client, 1);
}


static void
test_failures(void)
{
    json_t          *line, *list;
    queue_t          q;
    kmq_settings_t   s;

    s = eu_settings(KMQ_PUSH_ONE);
    s.topic.retry_delay = 60000;
    s.topic.retry_delay_max = 600000;
    queue_open(&q, "failures", &s);
    failures_make(&q);
    is_int(queue_flush(&q), 0, "a journal is written");

    is_int(dump("", path_of(&q, KMQ_FILE_JOURNAL, 0)), 0, "and read");
    is_int((long long) run.bad, 0, "its lines are JSON");
    is_int(num(line_of("file", 0), "version"), KMQ_FORMAT_VERSION, "version");

    line = line_of("failed", 0);
    list = json_object_get(line, "failed");
    is_int(num(line, "count"), 1, "a failure");
    is_int(element(line, "sequences", 0), num(line_of("message", 0),
           "sequence"), "of the first one");
    failure_check(json_array_get(list, 0), 1, 0, "return", 0);

    line = line_of("failed", 1);
    list = json_object_get(line, "failed");
    is_int(num(line, "count"), 2, "two more");
    failure_check(json_array_get(list, 0), 2, 0, "return", WALL + 60000);
    is_int(element(line, "sequences", 1), num(line_of("message", 1),
           "sequence"), "the second one's");
    failure_check(json_array_get(list, 1), 1, 1, "end", 0);

    is_int(queue_checkpoint(&q, 1), 0, "a checkpoint is written");
    is_int(dump("", path_of(&q, KMQ_FILE_CHECKPOINT, 1)), 0, "and read");
    failure_check(line_of("message", 0), 2, 0, "return", WALL + 60000);
    failure_check(line_of("message", 1), 1, 1, "end", 0);

    queue_close(&q);
}


/* Files of version 1 are shown as they always were. */
static void
test_old(void)
{
    char              path[KMQ_PATH_SIZE];
    static do_file_t  f;

    (void) sprintf(path, "%s/old", top);
    do_begin(&f, 1, 0, 0, WALL / 1000);
    do_message(&f, 1, 1, 0, 0, "new");
    do_message(&f, 1, 2, 0, 3, "again");
    do_change(&f, KMQ_RECORD_DELIVERED, 2, 4);
    do_change(&f, KMQ_RECORD_DEAD, 2, 0);
    bytes_put(path, 0, f.data, f.len);

    is_int(dump("", path), 0, "a file of version 1");
    is_int(num(line_of("file", 0), "version"), 1, "it says so");
    is_int(num(line_of("message", 0), "attempts"), 0, "never pushed");
    is_int(num(line_of("message", 1), "attempts"), 3, "pushed so often");
    ok(json_object_get(line_of("message", 1), "failures") == NULL,
       "no failures");
    is_int(element(line_of("delivered", 0), "attempts", 0), 4, "again");
    is_int(element(line_of("dead", 0), "sequences", 0), 2, "dead");
    is_int(unlink(path), 0, "removed");
}


/* So are the days of a topic, which versions 1 and 2 have. */
static void
test_old_days(uint32_t version)
{
    char              path[KMQ_PATH_SIZE];
    json_t           *line, *day;
    uint64_t          number = WALL / 86400000;
    static do_file_t  f;

    (void) sprintf(path, "%s/old", top);
    do_begin(&f, 2, 1, 100, WALL / 1000);
    do_version(&f, version);
    do_topic(&f, &number, 1, WALL / 60000);
    do_end(&f, 0, 0);
    bytes_put(path, 0, f.data, f.len);

    is_int(dump("-v", path), 0, "a file of version %u", version);
    line = line_of("topic", 0);
    ok(json_object_get(line, "hours") == NULL, "there are no hours");
    is_int((long long) json_array_size(json_object_get(line, "days")), 1,
           "but a day");
    day = json_array_get(json_object_get(line, "days"), 0);
    is_int(num(day, "time"), (long long) number * 86400, "of UTC");
    is_int(num(day, "published"), 1, "with its numbers");
    is_int(num(json_array_get(json_object_get(line, "minutes"), 0), "time"),
           WALL / 60000 * 60, "and a minute");
    is_int(unlink(path), 0, "removed");
}


/* ------------------------------------------------- several in one record */

#define TOGETHER  100

static char  together[2][EI_NAME_LEN];


/* The fifth one is delayed; of the first half every tenth goes to another topic
 * of the same shard, which gives them their numbers. */
static const char *
together_topic(unsigned i)
{
    return together[i < TOGETHER / 2 && i % 10 == 9];
}


static void
together_publish(queue_t *q)
{
    char           body[100];
    unsigned       i;
    kmq_message_t  m[TOGETHER];

    memset(m, 0, sizeof(m));

    for (i = 0; i < TOGETHER; i++) {
        m[i].size = sizeof(body);
        m[i].delay_time = i == 4 ? 90000 : 0;

        is_int(kmq_reserve_to(q->kmq, together_topic(i),
                              strlen(together_topic(i)), &m[i]),
               KMQ_OK, "room");

        memset(body, 'a' + (int) (i % 26), sizeof(body));
        kmq_write(q->kmq, &m[i], body, sizeof(body));
    }

    kmq_commit(q->kmq, m, TOGETHER);
}


/* Each stands for a record of its own, and a record is not much larger than
 * 4 KiB. */
static void
test_together(void)
{
    json_t          *line;
    queue_t          q;
    unsigned         i, wrong, records;
    const char      *data;
    long long        sequence, offset, lsn;
    kmq_settings_t   s;

    s = eu_settings(KMQ_PUSH_ONE);
    queue_open(&q, "together", &s);
    (void) ei_name(q.kmq, 0, 0, together[0]);
    (void) ei_name(q.kmq, 0, 1, together[1]);
    together_publish(&q);
    is_int(queue_flush(&q), 0, "many at once are written");

    is_int(dump("", q.dir), 0, "and read");
    is_int(lines_of("message"), TOGETHER, "a line for each");

    sequence = num(line_of("message", 0), "sequence");
    lsn = num(line_of("message", 0), "lsn");
    offset = 0;
    records = 0;
    wrong = 0;

    for (i = 0; i < TOGETHER; i++) {
        line = line_of("message", i);
        data = str(line, "data");

        wrong += num(line, "lsn") != lsn + i
                 || num(line, "sequence") != sequence + i
                 || num(line, "size") > 4096 + 130
                 || strlen(data) != 100 || data[99] != 'a' + (int) (i % 26)
                 || strcmp(str(line, "topic"), together_topic(i)) != 0
                 || strcmp(str(line, "state"), i == 4 ? "delayed" : "ready")
                    != 0;

        records += num(line, "offset") != offset;
        offset = num(line, "offset");
    }

    is_int(wrong, 0, "their numbers, topics and data");
    is_int(records, 14, "one for as many as follow on another in a topic");

    queue_close(&q);
}


/* ------------------------------------------------------------- any bytes */

static void
test_bytes(void)
{
    static const char  escaped[] = "a\\n\\\"\\u00e9\xc3\xa9\\ud83d\\ude00";
    static const char  raw[] = "\x01\xff\"\\";
    static const char  closed[] = "\",\"MessageData\":\"x";
    static const char  longer[] = "\",\"Other\":\"x";

    char             code[KMQ_CODE_LEN + 1];
    json_t          *line;
    queue_t          q;
    kmq_settings_t   s;

    s = eu_settings(KMQ_PUSH_ONE);
    queue_open(&q, "bytes", &s);

    publish(&q, "\"\\\n\xc3\xa9", escaped, sizeof(escaped) - 1, 0, code);
    publish(&q, "\xff\xfe", raw, sizeof(raw) - 1, 0, code);
    publish(&q, "t", "", 0, 0, code);
    publish(&q, "t", closed, sizeof(closed) - 1, 0, code);
    publish(&q, "t", longer, sizeof(longer) - 1, 0, code);
    publish(&q, "t", "\\", 1, 0, code);
    publish(&q, "t", "\\ud800", 6, 0, code);
    is_int(queue_flush(&q), 0, "written");

    is_int(dump("", q.dir), 0, "a directory, with any bytes");
    is_int((long long) run.bad, 0, "its lines are JSON");

    line = line_of("message", 0);
    ok(strcmp(str(line, "data"), "a\n\"\xc3\xa9\xc3\xa9\xf0\x9f\x98\x80")
       == 0, "escaped data");
    ok(strcmp(str(line, "topic"), "\"\\\n\xc3\xa9") == 0, "and topic");

    line = line_of("message", 1);
    ok(strcmp(str(line, "data_hex"), "01ff225c") == 0, "bytes that are none");
    ok(strcmp(str(line, "topic_hex"), "fffe") == 0, "and topic");

    ok(strcmp(str(line_of("message", 2), "data"), "") == 0, "no data");
    ok(strncmp(str(line_of("message", 3), "data_hex"), "222c", 4) == 0,
       "data that would end its string");
    ok(strncmp(str(line_of("message", 4), "data_hex"), "222c", 4) == 0,
       "and again");
    ok(strcmp(str(line_of("message", 5), "data_hex"), "5c") == 0,
       "half an escape");
    ok(strcmp(str(line_of("message", 6), "data_hex"), "5c7564383030") == 0,
       "half a pair");

    queue_close(&q);
}


/* ---------------------------------------------------------------- damage */

/* Has dump() find one place of damage, and go on behind it. */
static void
damage_check(const char *path, const char *what, unsigned messages)
{
    is_int(dump("", path), 1, "%s: the exit status", what);
    is_int((long long) run.bad, 0, "the lines are JSON");
    is_int(lines_of("damage"), 1, "it is told");
    is_int(num(line_of("summary", 0), "damaged"), 1, "and counted");
    is_int(num(line_of("summary", 0), "messages"), messages, "others stay");
    ok(strstr(run.errors, path) != NULL, "stderr tells it, too");

    is_int(dump("-q", path), 1, "-q has the same status");
    is_int((long long) run.n, 1, "and one line");
}


static void
test_damage_journal(const queue_t *q)
{
    char      path[KMQ_PATH_SIZE], kept[KMQ_PATH_SIZE + 16];
    off_t     at, size;

    (void) strcpy(path, path_of(q, KMQ_FILE_JOURNAL, 1));
    size = size_of(path);

    is_int(truncate(path, size - 3), 0, "the end is cut off");
    is_int(dump("", path), 0, "that is no damage");
    is_int(lines_of("torn"), 1, "but told");
    is_int(lines_of("message"), 9, "the others are there");
    ok(num(line_of("summary", 0), "torn") > 0, "torn bytes are counted");

    is_int(dump("", path), 0, "again");
    at = (off_t) num(line_of("message", 4), "offset");
    bytes_put(path, at + KMQ_RECORD_MESSAGES_HEAD, "?", 1);
    is_int(truncate(path, (off_t) num(line_of("torn", 0), "offset")), 0,
           "the torn record goes");

    damage_check(path, "a changed byte", 8);
    is_int(dump("", path), 1, "once more");
    is_int(num(line_of("damage", 0), "offset"), at, "where the damage is");

    (void) sprintf(kept, "%s.damaged", path);
    is_int(link(path, kept), 0, "kept under another name");
    damage_check(kept, "the kept one", 8);

    (void) sprintf(kept, "%s/file", q->dir);
    is_int(link(path, kept), 0, "under any name");
    damage_check(kept, "that one", 8);

    bytes_put(path, 20, "x", 1);
    is_int(dump("", path), 1, "a damaged head");
    is_int(lines_of("message"), 8, "messages are shown");
    ok(json_is_null(json_object_get(line_of("message", 0), "code")),
       "their codes are not known");

    is_int(dump("", kept), 2, "a name that says nothing, and no head");
}


static void
test_damage_checkpoint(const queue_t *q)
{
    char  path[KMQ_PATH_SIZE], other[KMQ_PATH_SIZE];

    (void) strcpy(path, path_of(q, KMQ_FILE_CHECKPOINT, 1));
    (void) strcpy(other, path_of(q, KMQ_FILE_CHECKPOINT, 7));

    is_int(rename(path, other), 0, "another name");
    damage_check(other, "the head does not fit its name", 3);
    is_int(rename(other, path), 0, "the name is back");

    is_int(truncate(path, size_of(path) - 40), 0, "no end");
    damage_check(path, "a checkpoint without its end", 3);

    is_int(truncate(path, size_of(path) - 5), 0, "it ends inside a record");
    is_int(dump("", path), 1, "which is damage");

    is_int(truncate(path, 10), 0, "not even a head");
    is_int(dump("", path), 1, "is damage");

    is_int(truncate(path, 0), 0, "nothing at all");
    is_int(dump("", path), 1, "is damage");
}


/* A record whose sum is right and whose list is not. */
static void
test_damage_list(const queue_t *q, uint32_t count, unsigned char last)
{
    char             path[KMQ_PATH_SIZE];
    unsigned char    p[KMQ_FILE_HEAD + 32];
    kmq_file_head_t  head;

    (void) strcpy(path, path_of(q, KMQ_FILE_JOURNAL, 9));

    memset(&head, 0, sizeof(head));
    memset(p, 0, sizeof(p));
    head.kind = KMQ_FILE_JOURNAL;
    head.info.generation = 9;
    kmq_file_head_write(p, &head);

    kmq_record_head(p + KMQ_FILE_HEAD, 30, 5, KMQ_RECORD_CONSUMED, 0, 0, 1);
    kmq_put32(p + KMQ_FILE_HEAD + KMQ_RECORD_HEAD, count);
    p[KMQ_FILE_HEAD + 28] = 2;
    p[KMQ_FILE_HEAD + 29] = last;
    kmq_records_seal(p + KMQ_FILE_HEAD, 32);

    bytes_put(path, 0, p, sizeof(p));
    damage_check(path, "a list that makes no sense", 0);
}


/* Failures that are none, though their sum is right. */
static void
test_damage_failure(const queue_t *q, uint64_t attempts, int sound)
{
    char              path[KMQ_PATH_SIZE];
    static do_file_t  f;

    (void) strcpy(path, path_of(q, KMQ_FILE_JOURNAL, 10));
    do_begin(&f, 1, 10, 0, 1);
    do_version(&f, KMQ_FORMAT_VERSION);
    do_failed(&f, 1, attempts, UINT64_C(1) << 60);
    bytes_put(path, 0, f.data, f.len);

    if (sound) {
        is_int(dump("", path), 0, "the most that fits");
        is_int(num(json_array_get(json_object_get(line_of("failed", 0),
                                                  "failed"), 0),
                   "failures"), 65535, "is shown");

    } else {
        damage_check(path, "a failure that is none", 0);
    }

    is_int(unlink(path), 0, "removed");
}


/* The only thing that may be checked in it is its version. */
static void
test_version(const queue_t *q)
{
    char             path[KMQ_PATH_SIZE];
    unsigned char    p[KMQ_FILE_HEAD];
    kmq_file_head_t  head;

    (void) strcpy(path, path_of(q, KMQ_FILE_JOURNAL, 8));

    memset(&head, 0, sizeof(head));
    head.kind = KMQ_FILE_JOURNAL;
    head.info.generation = 8;
    kmq_file_head_write(p, &head);
    kmq_put32(p + 8, KMQ_FORMAT_VERSION + 1);
    kmq_put32(p + 60, kmq_crc32c(0, p, 60));

    bytes_put(path, 0, p, sizeof(p));
    is_int(dump("", path), 2, "another version of the format");
    ok(strstr(run.errors, "it has version 4 of the format, and versions 1 "
              "to 3 can be read") != NULL, "which is said");
}


static void
test_damage(void)
{
    char             code[KMQ_CODE_LEN + 1];
    queue_t          q;
    unsigned         i;
    kmq_settings_t   s;

    s = eu_settings(KMQ_PUSH_ONE);
    queue_open(&q, "damage", &s);

    for (i = 0; i < 3; i++) {
        publish(&q, "t", "before the checkpoint", 21, 0, code);
    }

    is_int(queue_flush(&q), 0, "written");
    is_int(queue_checkpoint(&q, 1), 0, "a checkpoint, too");

    for (i = 0; i < 10; i++) {
        publish(&q, "t", "behind it", 9, 0, code);
    }

    is_int(queue_flush(&q), 0, "more is written");
    is_int(dump("", q.dir), 0, "all is sound");
    is_int(lines_of("summary"), 2, "two files");
    is_int(lines_of("message"), 13, "all messages");
    ok(strcmp(str(line_of("summary", 0), "kind"), "checkpoint") == 0,
       "the checkpoint is the first one");

    test_damage_journal(&q);
    test_damage_checkpoint(&q);
    is_int(dump("", q.dir), 1, "the directory has damage");
    test_damage_list(&q, 1, 2);
    test_damage_list(&q, 2, 0x80);
    test_damage_failure(&q, UINT32_MAX, 1);
    test_damage_failure(&q, 0, 0);
    test_damage_failure(&q, 0x80000001, 0);
    test_damage_failure(&q, 0x80080000, 0);
    test_damage_failure(&q, 0x00080001, 0);
    test_damage_failure(&q, UINT64_C(1) << 28, 0);
    test_version(&q);
    is_int(dump("", q.dir), 2, "something in the directory is unreadable");

    queue_close(&q);
}


/* A journal begins in the middle of a queue's life, with a checkpoint. */
static void
test_first(void)
{
    char             code[KMQ_CODE_LEN + 1];
    queue_t          q;
    kmq_settings_t   s;

    s = eu_settings(KMQ_PUSH_ONE);
    queue_open(&q, "first", &s);
    kmq_journal(q.kmq, 0);
    publish(&q, "t", "x", 1, 0, code);
    kmq_journal(q.kmq, 1);
    is_int(queue_checkpoint(&q, 1), 0, "a checkpoint comes first");

    is_int(dump("", q.dir), 0, "it is sound");
    is_int(lines_of("message"), 1, "what was there before is in it");

    queue_close(&q);
}


/* What is done after a checkpoint has begun is in no record from before. */
static void
test_begin(void)
{
    char               code[2][KMQ_CODE_LEN + 1];
    queue_t            q;
    kmq_buffer_t       out;
    kmq_settings_t     s;
    kmq_checkpoint_t   cp;

    s = eu_settings(KMQ_PUSH_ONE);
    queue_open(&q, "begin", &s);
    publish(&q, "t", "x", 1, 0, code[0]);
    publish(&q, "t", "y", 1, 0, code[1]);
    is_int(kmq_delete(q.kmq, code[0]), KMQ_OK, "one is deleted");

    memset(&out, 0, sizeof(out));
    is_int(kmq_checkpoint_begin(q.kmq, &cp, &out), KMQ_OK, "a beginning");
    is_int(kmq_delete(q.kmq, code[1]), KMQ_OK, "the other is deleted");
    is_int(queue_flush(&q), 0, "written");

    is_int(dump("", q.dir), 0, "the journal");
    is_int(lines_of("gone"), 2, "two records tell it");
    ok(num(line_of("gone", 0), "lsn") < (long long) cp.info.start,
       "one of them from before");
    ok(num(line_of("gone", 1), "lsn") > (long long) cp.info.start,
       "and one from after the beginning");

    kmq_buffer_free(&out);
    queue_close(&q);
}


static void
test_names(void)
{
    char             code[KMQ_CODE_LEN + 1];
    queue_t          q;
    kmq_settings_t   s;

    s = eu_settings(KMQ_PUSH_ONE);
    queue_open(&q, "names", &s);
    is_int(dump("", q.dir), 0, "an empty directory");
    is_int((long long) run.n, 0, "has nothing");

    publish(&q, "t", "x", 1, 0, code);
    is_int(queue_checkpoint(&q, 0), 0, "a checkpoint is not finished");
    publish(&q, "t", "x", 1, 0, code);
    is_int(queue_flush(&q), 0, "a journal goes on");

    is_int(truncate(path_of(&q, KMQ_FILE_NEW, 1), 100), 0, "half of it");
    is_int(dump("", q.dir), 0, "that is no damage");
    is_int(lines_of("summary"), 2, "two files");
    is_int(lines_of("torn"), 1, "one of them is torn");
    ok(strcmp(str(line_of("summary", 0), "kind"), "new checkpoint") == 0,
       "the unfinished checkpoint");

    is_int(symlink("/no/such/file", path_of(&q, KMQ_FILE_JOURNAL, 7)), 0,
           "a link");
    is_int(dump("", q.dir), 2, "is not followed");
    ok(strstr(run.errors, "it is not a regular file") != NULL,
       "which is said");
    is_int(dump("", path_of(&q, KMQ_FILE_JOURNAL, 7)), 2,
           "nor when it is asked for");

    is_int(dump("", "/dev/null"), 2, "an empty file of any name");
    is_int(dump("--help", ""), 0, "--help");
    is_int(dump("--no-such", ""), 2, "an unknown option");
    is_int(dump("", "/no/such/path"), 2, "no such path");

    queue_close(&q);
}


/* -------------------------------------------------------- live directory */

static int
all_sound(const queue_t *q)
{
    return dump("", q->dir) == 0 && run.bad == 0;
}


static void
test_live(void)
{
    queue_t         q;
    kmq_settings_t  s;

    s = eu_settings(KMQ_PUSH_ONE);
    queue_open(&q, "live", &s);
    live_read(&q, "t", 50, all_sound);
    is_int(dump("-q", q.dir), 0, "it is sound afterwards");

    queue_close(&q);
}


/* ------------------------------------------------------------------- all */

int
main(void)
{
    tool_find();
    top_make();

    test_records();
    test_failures();
    test_old();
    test_old_days(1);
    test_old_days(2);
    test_together();
    test_bytes();
    test_damage();
    test_first();
    test_begin();
    test_names();
    test_live();

    run_clear();
    top_remove();

    return done_testing();
}
