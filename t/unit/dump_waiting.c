/*
 * kapokmq-dump -w and -c: what is there after replay, what damage takes, and
 * that nothing in the directory is changed.
 */

#include "dump_util.h"


#define DAY  UINT64_C(86400000)

static char  states[4096];


/* Runs the tool with options, up to a NULL, on a path. */
static int
waiting(const char *path, const char *const *option)
{
    unsigned     n;
    const char  *arg[16];

    n = 0;
    arg[n++] = tool;

    while (*option) {
        arg[n++] = *option++;
    }

    arg[n++] = path;
    arg[n] = NULL;

    return dump_args(arg);
}

#define OPTIONS(...)  (const char *const[]) { __VA_ARGS__, NULL }


/* All names of a directory, with the sizes of the files. */
static const char *
listing(const char *dir)
{
    char    command[256];
    FILE   *from;
    size_t  n;

    (void) sprintf(command, "cd %s && LC_ALL=C ls -lin && cat * | cksum", dir);

    from = popen(command, "r");
    n = fread(states, 1, sizeof(states) - 1, from);
    states[n] = '\0';
    (void) pclose(from);

    return states;
}


/* The data of all messages that were printed, with blanks between them. */
static const char *
data_of(const char *type)
{
    static char  text[4096];

    size_t    n;
    unsigned  i;

    text[0] = '\0';
    n = 0;

    for (i = 0; line_of(type, i) && n < sizeof(text) - 64; i++) {
        n += (size_t) sprintf(text + n, "%s%.50s", i ? " " : "",
                              str(line_of(type, i), "messageData"));
    }

    return text;
}


static void
is_data(const char *dir, const char *const *option, const char *want,
    const char *name)
{
    is_int(waiting(dir, option), 0, "%s: read", name);
    is_int((long long) run.bad, 0, "its lines are JSON");
    is_bytes(data_of("message"), strlen(data_of("message")), want,
             strlen(want), "what is there");
}


/* -------------------------------------------------------------- each state */

/* A clock of today: what is delayed stays so. */
static uint64_t
now(queue_t *q)
{
    uint64_t  wall;

    wall = kmq_file_now();
    kmq_clock(q->kmq, eu_ms(), wall);

    return wall / 1000;
}


/* Of topic a: one that is consumed, one that is dead, two that are in flight;
 * two that are not yet due, of which one is of topic b, and one that is
 * deleted. */
static void
states_make(queue_t *q, char code[8][KMQ_CODE_LEN + 1])
{
    kmq_ref_t  client;

    publish(q, "a", "consumed", 8, 0, code[0]);
    publish(q, "a", "dead", 4, 0, code[1]);
    publish(q, "a", "carried", 7, 0, code[2]);
    publish(q, "a", "flies", 5, 0, code[3]);
    publish(q, "b", "\\u00e9 \\\"late\\\"", 15, 10 * DAY, code[4]);
    publish(q, "b", "deleted", 7, 0, code[5]);
    publish(q, "a", "later", 5, 20 * DAY, code[6]);
    publish(q, "b", "ready", 5, 0, code[7]);

    client = eu_consumer(q->kmq, "a", 10, NULL);
    ok(eu_take(q->kmq) != NULL, "some are pushed");

    is_int(kmq_confirm_codes(q->kmq, client, code[0], 1), 1, "one confirmed");
    is_int(kmq_return_codes(q->kmq, client, code[1], 1, KMQ_BACK_OFF), 1,
           "one given up");
    is_int(kmq_delete(q->kmq, code[5]), KMQ_OK, "one deleted");
}


static void
late_check(const char *code, uint64_t from)
{
    json_t     *line;
    long long   delay;

    line = line_of("message", 0);
    delay = num(line, "delayTime");

    ok(strcmp(str(line, "topic"), "b") == 0, "its topic");
    ok(strcmp(str(line, "messageData"), "\xc3\xa9 \"late\"") == 0, "its data");
    ok(strcmp(str(line, "status"), "delayed") == 0, "its status");
    is_bytes(str(line, "code"), strlen(str(line, "code")), code, KMQ_CODE_LEN,
             "its code");
    is_int(num(line, "createTime"), (long long) from, "when it was made");
    ok(delay > 0 && delay <= (long long) (10 * DAY / 1000),
       "its delay is what is left of it");
    ok(num(line, "dueTime") >= (long long) (from + 10 * DAY / 1000), "due");
    ok(json_object_get(line, "reason") == NULL, "it has not failed");
}


static void
count_check(unsigned i, const char *type, long long ready, long long delayed,
    long long dead)
{
    json_t  *line;

    line = line_of(type, i);

    is_int(num(line, "ready"), ready, "%s %u: ready", type, i);
    is_int(num(line, "delayed"), delayed, "delayed");
    is_int(num(line, "dead"), dead, "dead");
    ok(json_object_get(line, "consumed") == NULL, "no others");
}


/* The same whether it stands in a journal or in a checkpoint. */
static void
states_check(const queue_t *q, char code[8][KMQ_CODE_LEN + 1], uint64_t from)
{
    char        at[32], past[32], files[4096];
    json_t     *line;

    (void) strcpy(files, listing(q->dir));

    is_data(q->dir, OPTIONS("-w"),
            "carried flies \xc3\xa9 \"late\" later ready", "what waits");
    ok(json_object_get(line_of("message", 0), "delayTime") == NULL,
       "one that is ready has no delay");

    is_data(q->dir, OPTIONS("-w", "-s", "delayed", "--topic", "b"),
            "\xc3\xa9 \"late\"", "one topic, one status");
    late_check(code[4], from);

    is_data(q->dir, OPTIONS("-w", "-s", "dead,consumed"), "consumed dead",
            "two statuses");
    line = line_of("message", 1);
    ok(strcmp(str(line, "status"), "dead") == 0, "the dead one's status");
    ok(strcmp(str(line, "reason"), "return") == 0, "and reason");
    is_int(num(line, "failures"), 1, "its failures");

    is_data(q->dir, OPTIONS("-w", "--status", "all", "-t", "a"),
            "consumed dead carried flies later", "all of a topic");
    is_data(q->dir, OPTIONS("-w", "-t", "none"), "", "no such topic");

    (void) sprintf(at, "%llu", (unsigned long long) from);
    (void) sprintf(past, "%llu", (unsigned long long) from + 1);
    is_data(q->dir, OPTIONS("-w", "-s", "ready", "-f", at, "-u", at),
            "carried flies ready", "of that second");
    is_data(q->dir, OPTIONS("-w", "-f", past), "", "of later ones");
    is_data(q->dir, OPTIONS("-w", "-u", "2000-01-01 00:00:00"), "",
            "of another century");

    is_int(waiting(q->dir, OPTIONS("-c", "-s", "waiting,dead")), 0, "counts");
    is_int((long long) run.n, 3, "of two topics, and all");
    count_check(0, "topic", 2, 1, 1);
    count_check(1, "topic", 1, 1, 0);
    count_check(0, "all", 3, 2, 1);
    is_int(num(line_of("all", 0), "topics"), 2, "how many topics");
    is_int(num(line_of("all", 0), "oldest"), (long long) from, "since when");
    is_int(num(line_of("topic", 1), "bytes"), 20, "how much data");

    ok(strcmp(listing(q->dir), files) == 0, "nothing was changed");
}


static void
test_states(void)
{
    char             code[8][KMQ_CODE_LEN + 1];
    queue_t          q;
    uint64_t         from;
    kmq_settings_t   s;

    s = eu_settings(KMQ_PUSH_ONE);
    s.keep_consumed = 1;
    s.topic.max_deliveries = 1;

    queue_open(&q, "states", &s);
    from = now(&q);
    states_make(&q, code);

    is_int(queue_flush(&q), 0, "a journal is written");
    states_check(&q, code, from);

    is_int(queue_checkpoint(&q, 1), 0, "a checkpoint is written");
    states_check(&q, code, from);

    is_int(kmq_delete(q.kmq, code[3]), KMQ_OK, "one goes");
    publish(&q, "c", "new", 3, 0, code[0]);
    is_int(queue_flush(&q), 0, "a journal follows");
    is_data(q.dir, OPTIONS("-w", "-s", "ready"), "carried ready new",
            "both together");

    is_int(queue_checkpoint(&q, 0), 0, "a checkpoint is not finished");
    is_data(q.dir, OPTIONS("-w", "-s", "ready"), "carried ready new",
            "it stays so");

    queue_close(&q);
}


static void
test_retrying(void)
{
    char             code[KMQ_CODE_LEN + 1];
    json_t          *line;
    queue_t          q;
    unsigned         i;
    kmq_ref_t        client;
    kmq_settings_t   s;

    s = eu_settings(KMQ_PUSH_ONE);
    s.topic.retry_delay = 3600000;
    s.topic.retry_delay_max = 3600000;

    queue_open(&q, "retrying", &s);
    (void) now(&q);
    publish(&q, "t", "fails", 5, 0, code);
    client = eu_consumer(q.kmq, "t", 10, NULL);

    /* the first failure is no reason to wait */

    for (i = 0; i < 2; i++) {
        ok(eu_take(q.kmq) != NULL, "it is pushed");
        is_int(kmq_return_codes(q.kmq, client, code, 1, KMQ_BACK_OFF), 1,
               "and given back");
    }

    is_int(queue_flush(&q), 0, "written");

    is_data(q.dir, OPTIONS("-w", "-s", "ready,delayed"), "", "neither ready");
    is_data(q.dir, OPTIONS("-w"), "fails", "nor away");
    line = line_of("message", 0);
    ok(strcmp(str(line, "status"), "retrying") == 0, "it is retried");
    is_int(num(line, "failures"), 2, "after two failures");
    ok(num(line, "delayTime") > 0 && num(line, "delayTime") <= 3600,
       "when its time has come");

    queue_close(&q);
}


/* More than one slice of a search, and of a body. */
static void
test_many(void)
{
    char             code[KMQ_CODE_LEN + 1], *large;
    queue_t          q;
    unsigned         i, n[2], wrong;
    const char      *topic;
    kmq_settings_t   s;

    large = malloc(EU_MB);
    eu_fill(large, EU_MB, 1);
    s = eu_settings(KMQ_PUSH_ONE);
    queue_open(&q, "many", &s);

    for (i = 0; i < 5000; i++) {
        publish(&q, i % 2 ? "odd" : "even", large, 20 + i / 2 % 50, 0, code);
    }

    publish(&q, "large", large, EU_MB, 0, code);
    is_int(queue_flush(&q), 0, "written");

    is_int(waiting(q.dir, OPTIONS("-w")), 0, "many messages");
    is_int((long long) run.n, 5001, "all are there");
    wrong = 0;
    memset(n, 0, sizeof(n));

    for (i = 0; i < run.n; i++) {
        topic = str(run.line[i], "topic");

        if (strcmp(topic, "large") == 0) {
            is_bytes(str(run.line[i], "messageData"),
                     strlen(str(run.line[i], "messageData")), large, EU_MB,
                     "a large one is whole");
            continue;
        }

        wrong += strlen(str(run.line[i], "messageData"))
                 != 20 + n[*topic == 'o']++ % 50;
    }

    is_int(wrong, 0, "each topic's in their order");
    is_int(n[1], 2500, "and all of one");

    free(large);
    queue_close(&q);
}


/* ----------------------------------------------------------------- damage */

/* What is said of damage at the i-th message of a file; status: of those who
 * read what is left. */
static void
damage_at(const queue_t *q, const char *path, unsigned i, const char *lost,
    int status)
{
    char  files[4096];

    is_int(dump("", path), 0, "%s: sound", path);
    bytes_put(path, (off_t) num(line_of("message", i), "offset") + 30, "?", 1);

    is_int(dump("-q", q->dir), 1, "a byte is changed");
    ok(strstr(run.errors, lost) != NULL, "what is lost by it: %s", lost);
    ok(strstr(run.errors, "Copy the directory") != NULL, "and what to do");

    (void) strcpy(files, listing(q->dir));
    is_int(waiting(q->dir, OPTIONS("-w")), status, "the rest can be had");
    is_int(strstr(run.errors, "is damaged in") != NULL, status,
           "it is said to be that");
    ok(strcmp(listing(q->dir), files) == 0, "nothing is changed, or kept");
}


static void
test_damage(void)
{
    char             code[KMQ_CODE_LEN + 1], old[KMQ_PATH_SIZE], copy[128];
    char             command[2 * KMQ_PATH_SIZE];
    queue_t          q;
    kmq_settings_t   s;

    s = eu_settings(KMQ_PUSH_ONE);
    queue_open(&q, "damage", &s);
    (void) putenv("TZ=UTC");

    publish(&q, "t", "one", 3, 0, code);
    publish(&q, "u", "two", 3, 0, code);
    kmq_clock(q.kmq, 61000, WALL + 60000);
    publish(&q, "t", "three", 5, 0, code);
    is_int(queue_flush(&q), 0, "a journal");

    /* one that a checkpoint has replaced, and that is still there */

    (void) strcpy(old, path_of(&q, KMQ_FILE_JOURNAL, 0));
    (void) sprintf(copy, "%s/copy", top);
    (void) sprintf(command, "cp %s %s", old, copy);
    is_int(system(command), 0, "a copy of it");

    damage_at(&q, old, 1, "lost: what happened from 2021-12-31 18:31:10 to "
              "2021-12-31 18:32:10.", 1);

    is_int(queue_checkpoint(&q, 1), 0, "a checkpoint");
    publish(&q, "t", "four", 4, 0, code);
    publish(&q, "u", "five", 4, 0, code);
    is_int(queue_flush(&q), 0, "a journal");
    is_int(waiting(q.dir, OPTIONS("-w")), 0, "sound again");
    is_int((long long) run.n, 5, "all are there");

    (void) sprintf(command, "cp %s %s", copy, old);
    is_int(system(command), 0, "the older journal is back");
    damage_at(&q, old, 1, "lost: nothing, a newer checkpoint has all", 0);
    is_int(unlink(old), 0, "it goes");

    damage_at(&q, path_of(&q, KMQ_FILE_JOURNAL, 1), 0, "lost: what happened "
              "from its beginning to 2021-12-31 18:32:10.", 1);
    is_int((long long) run.n, 4, "four are left");

    damage_at(&q, path_of(&q, KMQ_FILE_CHECKPOINT, 1), 1, "lost: messages "
              "that were there when it was made, at ", 1);
    is_int((long long) run.n, 3, "three are left");

    queue_close(&q);
}


/* ---------------------------------------------------------------- options */

static void
test_options(void)
{
    char             code[KMQ_CODE_LEN + 1];
    queue_t          q;
    unsigned         i;
    kmq_settings_t   s;

    static const char *const  wrong[][5] = {
        { "-t", "x" }, { "-w", "-q" }, { "-w", "-v" }, { "-w", "-s", "bad" },
        { "-w", "-s", "" }, { "-w", "-s", "ready," }, { "-w", "-t", "" },
        { "-w", "-f", "" }, { "-w", "-f", "yesterday" }, { "-w", "-u", "-1" },
        { "-w", "-u", "99999999999" }, { "-w", "-f", "2006-01-02 15:04:05x" }
    };

    s = eu_settings(KMQ_PUSH_ONE);
    queue_open(&q, "options", &s);

    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        is_int(waiting(q.dir, wrong[i]), 2, "refused: %s %s", wrong[i][0],
               wrong[i][2] ? wrong[i][2] : wrong[i][1]);
        ok(run.n == 0 && run.errors[0], "and said so");
    }

    is_int(waiting(q.dir, OPTIONS("-w")), 0, "an empty directory");
    ok(strstr(run.errors, "has no files of a queue") != NULL, "is said to be");
    is_int(waiting(q.dir, OPTIONS("-c")), 0, "its counts");
    is_int(num(line_of("all", 0), "ready"), 0, "are none");

    publish(&q, "t", "x", 1, 0, code);
    is_int(queue_flush(&q), 0, "a journal");
    is_int(waiting(path_of(&q, KMQ_FILE_JOURNAL, 0), OPTIONS("-w")), 2,
           "a file is no directory");
    is_int(waiting("/no/such/path", OPTIONS("-w")), 2, "no such path");

    queue_close(&q);
}


/* -------------------------------------------------------- live directory */

/* One message stays while others come and go. */
static int
one_stays(const queue_t *q)
{
    return waiting(q->dir, OPTIONS("-w", "-t", "stays")) == 0 && run.bad == 0
           && strcmp(data_of("message"), "kept") == 0;
}


static void
test_live(void)
{
    char            code[KMQ_CODE_LEN + 1];
    queue_t         q;
    kmq_settings_t  s;

    s = eu_settings(KMQ_PUSH_ONE);
    queue_open(&q, "live", &s);
    publish(&q, "stays", "kept", 4, 0, code);
    is_int(queue_flush(&q), 0, "one stays");
    live_read(&q, "flow", 20, one_stays);

    queue_close(&q);
}


/* ------------------------------------------------------------------- all */

int
main(void)
{
    tool_find();
    top_make();

    test_states();
    test_retrying();
    test_many();
    test_damage();
    test_options();
    test_live();

    run_clear();
    top_remove();

    return done_testing();
}
