/*
 * What the tests of kapokmq-dump share: files are made with the engine, the
 * tool beside the program is run on them, and each line that it prints is read
 * as JSON.
 */

#ifndef KMQ_DUMP_UTIL_H
#define KMQ_DUMP_UTIL_H

#include <fcntl.h>
#include <jansson.h>
#include <libgen.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../src/disk/kmq_file.h"
#include "engine_util.h"


#define BLOCK   (8 * EU_MB)
#define LINES   20000
#define WALL    UINT64_C(1640975470000)

static char  tool[4096];
static char  top[64];            /* everything is in here */


/* ------------------------------------------------------------ running it */

typedef struct {
    int      status;
    size_t   n;
    size_t   bad;                /* lines that are no JSON objects */
    json_t  *line[LINES];
    char     errors[4096];       /* stderr */
} run_t;

static run_t  run;


EU_UNUSED static void
run_clear(void)
{
    while (run.n) {
        json_decref(run.line[--run.n]);
    }

    memset(&run, 0, sizeof(run));
}


EU_UNUSED static void
lines_read(FILE *from)
{
    char     *text;
    size_t    size;
    ssize_t   len;
    json_t   *line;

    text = NULL;
    size = 0;

    while ((len = getline(&text, &size, from)) != -1) {
        line = json_loadb(text, (size_t) len, JSON_REJECT_DUPLICATES, NULL);

        if (!json_is_object(line) || run.n == LINES) {
            run.bad++;
            json_decref(line);
            continue;
        }

        run.line[run.n++] = line;
    }

    free(text);
}


/* Runs the tool with these arguments. */
EU_UNUSED static int
dump_args(const char *const *arg)
{
    int      fd[2], status;
    char     errors[128];
    pid_t    pid;
    FILE    *from;
    size_t   n;

    run_clear();

    (void) sprintf(errors, "%s/stderr", top);

    if (pipe(fd) != 0 || (pid = fork()) == -1) {
        perror("fork");
        exit(2);
    }

    if (pid == 0) {
        (void) dup2(fd[1], STDOUT_FILENO);
        (void) close(fd[0]);
        (void) close(fd[1]);

        if (freopen(errors, "w", stderr) == NULL) {
            _exit(99);
        }

        (void) execv(tool, (char *const *) (uintptr_t) arg);
        _exit(99);
    }

    (void) close(fd[1]);
    from = fdopen(fd[0], "r");
    lines_read(from);
    (void) fclose(from);

    (void) waitpid(pid, &status, 0);
    run.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;

    from = fopen(errors, "r");
    n = fread(run.errors, 1, sizeof(run.errors) - 1, from);
    run.errors[n] = '\0';
    (void) fclose(from);

    return run.status;
}


/* The same with an option (or "") on a path. */
EU_UNUSED static int
dump(const char *option, const char *path)
{
    const char  *arg[] = { tool, *option ? option : path,
                           *option ? path : NULL, NULL };

    return dump_args(arg);
}


EU_UNUSED static const char *
str(const json_t *line, const char *name)
{
    const char  *text;

    text = json_string_value(json_object_get(line, name));

    return text ? text : "(none)";
}


EU_UNUSED static long long
num(const json_t *line, const char *name)
{
    json_t  *value;

    value = json_object_get(line, name);

    return json_is_integer(value) ? json_integer_value(value) : -1;
}


/* The i-th line of a type, from 0 on; NULL: there is none. */
EU_UNUSED static json_t *
line_of(const char *type, unsigned i)
{
    size_t  at;

    for (at = 0; at < run.n; at++) {
        if (strcmp(str(run.line[at], "type"), type) == 0 && i-- == 0) {
            return run.line[at];
        }
    }

    return NULL;
}


EU_UNUSED static unsigned
lines_of(const char *type)
{
    unsigned  n;

    for (n = 0; line_of(type, n); n++) { /* void */ }

    return n;
}


/* The i-th element of a list in a line. */
EU_UNUSED static long long
element(const json_t *line, const char *name, size_t i)
{
    json_t  *value;

    value = json_array_get(json_object_get(line, name), i);

    return json_is_integer(value) ? json_integer_value(value) : -1;
}


/* ---------------------------------------------------------- making files */

/* A queue with one worker, whose files are in dir. */
typedef struct {
    void           *block;
    kmq_t          *kmq;
    kmq_buffer_t    spare;
    kmq_segment_t   segment;
    char            dir[128];
} queue_t;


EU_UNUSED static void
queue_open(queue_t *q, const char *name, const kmq_settings_t *s)
{
    memset(q, 0, sizeof(queue_t));

    (void) sprintf(q->dir, "%s/%s", top, name);

    if (mkdir(q->dir, 0700) != 0) {
        perror(q->dir);
        exit(2);
    }

    q->block = eu_block(BLOCK);
    q->kmq = eu_attach(q->block, BLOCK, 3);

    kmq_configure(q->kmq, s);
    kmq_journal(q->kmq, 1);
    kmq_segment_init(&q->segment, &kmq_io_system, q->dir, 0);
}


/* Writes what the journal has gathered; 0 when that worked. */
EU_UNUSED static int
queue_flush(queue_t *q)
{
    size_t               len;
    const char          *what;
    kmq_journal_info_t   info;

    len = kmq_journal_take(q->kmq, &q->spare, &info);
    kmq_records_seal(q->spare.data, len);

    return kmq_segment_write(&q->segment, &info, q->spare.data, len, 1,
                             &what);
}


/* The same for a checkpoint; finish: gives it its name. */
EU_UNUSED static int
queue_checkpoint(queue_t *q, int finish)
{
    int                     more, rc;
    kmq_buffer_t            out;
    kmq_checkpoint_t        cp;
    kmq_checkpoint_file_t   file;

    memset(&out, 0, sizeof(out));

    more = kmq_checkpoint_begin(q->kmq, &cp, &out) == KMQ_OK;
    rc = kmq_checkpoint_file_open(&file, &kmq_io_system, q->dir, &cp.info,
                                  cp.complete);

    while (rc == 0) {
        rc = kmq_checkpoint_file_write(&file, out.data, out.len);
        out.len = 0;

        if (!more) {
            break;
        }

        more = kmq_checkpoint_next(q->kmq, &cp, &out);
    }

    if (rc == 0 && finish) {
        rc = kmq_checkpoint_file_finish(&file);
        kmq_checkpoint_end(q->kmq, &cp, file.size);
        rc = rc ? rc : kmq_checkpoint_file_clean(&file);

    } else if (rc == 0) {
        rc = kmq_io_system.close(&kmq_io_system, file.fd);
    }

    kmq_buffer_free(&out);

    return rc;
}


EU_UNUSED static void
queue_close(queue_t *q)
{
    kmq_segment_close(&q->segment);
    kmq_buffer_free(&q->spare);
    kmq_detach(q->kmq);
    munmap(q->block, BLOCK);
}


/* The path of a queue's file; in static memory. */
EU_UNUSED static const char *
path_of(const queue_t *q, unsigned kind, uint64_t generation)
{
    static char  path[KMQ_PATH_SIZE];

    kmq_file_path(path, q->dir, kind, generation, 3, 0);

    return path;
}


EU_UNUSED static off_t
size_of(const char *path)
{
    struct stat  st;

    return stat(path, &st) == 0 ? st.st_size : -1;
}


EU_UNUSED static void
bytes_put(const char *path, off_t offset, const void *bytes, size_t n)
{
    int  fd;

    fd = open(path, O_WRONLY|O_CREAT, 0600);
    ok(fd != -1 && pwrite(fd, bytes, n, offset) == (ssize_t) n,
       "%zu bytes changed", n);
    (void) close(fd);
}


/* Publishes with all that can be told; the code is written to code. */
EU_UNUSED static void
publish(queue_t *q, const char *topic, const void *body, size_t n,
    uint64_t delay, char code[KMQ_CODE_LEN + 1])
{
    kmq_message_t  m;

    memset(&m, 0, sizeof(m));
    m.size = (uint32_t) n;
    m.delay_time = delay;

    if (kmq_reserve_to(q->kmq, topic, strlen(topic), &m) != KMQ_OK) {
        printf("Bail out! no room\n");
        exit(2);
    }

    kmq_write(q->kmq, &m, body, n);
    kmq_code(q->kmq, &m, code);
    code[KMQ_CODE_LEN] = '\0';
    kmq_commit(q->kmq, &m, 1);
}


/* ----------------------------------------------------- files that change */

/* What a queue that is in use is filled with. */
typedef struct {
    queue_t     *q;
    const char  *topic;
    unsigned     journals;       /* writes to them before each checkpoint */
    atomic_int   stop;
    atomic_int   checkpoints;
} writer_t;


EU_UNUSED static int
writer_round(writer_t *w)
{
    char      code[KMQ_CODE_LEN + 1];
    unsigned  i;

    for (i = 0; i < w->journals; i++) {
        publish(w->q, w->topic, "a message of some length", 24, 0, code);
        (void) eu_drain(w->q->kmq);

        if (queue_flush(w->q) != 0) {
            return -1;
        }
    }

    return queue_checkpoint(w->q, 1);
}


/* Until it is told to stop; NULL, or w: writing has failed. */
EU_UNUSED static void *
writer_run(void *arg)
{
    writer_t  *w = arg;

    while (!atomic_load(&w->stop)) {

        if (writer_round(w) != 0) {
            atomic_store(&w->stop, 1);
            return w;
        }

        atomic_fetch_add(&w->checkpoints, 1);
    }

    return NULL;
}


/* Messages of a topic come and go, and files are renewed all the time, while
 * read() reads them again and again and tells whether it found what it should.
 * It is overtaken by checkpoints some times at least. */
EU_UNUSED static void
live_read(queue_t *q, const char *topic, unsigned journals,
    int (*read)(const queue_t *q))
{
    int        before;
    void      *failed;
    unsigned   rounds, wrong, overtaken;
    writer_t   w;
    pthread_t  thread;

    memset(&w, 0, sizeof(w));
    w.q = q;
    w.topic = topic;
    w.journals = journals;

    (void) eu_consumer(q->kmq, topic, 10, NULL);
    ok(pthread_create(&thread, NULL, writer_run, &w) == 0, "a writer");

    wrong = 0;
    overtaken = 0;

    for (rounds = 0;
         !atomic_load(&w.stop) && (rounds < 20 || overtaken < 3);
         rounds++)
    {
        before = atomic_load(&w.checkpoints);

        if (!read(q)) {
            diag("status %d: %s", run.status, run.errors);
            wrong++;
        }

        overtaken += atomic_load(&w.checkpoints) != before;
    }

    atomic_store(&w.stop, 1);
    (void) pthread_join(thread, &failed);

    ok(failed == NULL, "the writer could write");
    is_int(wrong, 0, "a directory in use can be read at any time");
}


/* -------------------------------------------------------------- the tool */

EU_UNUSED static void
tool_find(void)
{
    char     self[3000];
    ssize_t  n;

    n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[n > 0 ? n : 0] = '\0';

    (void) snprintf(tool, sizeof(tool), "%s/kapokmq-dump", dirname(self));
}


EU_UNUSED static void
top_make(void)
{
    (void) strcpy(top, "/tmp/kmq-dump-XXXXXX");

    if (mkdtemp(top) == NULL) {
        perror(top);
        exit(2);
    }
}


EU_UNUSED static void
top_remove(void)
{
    char  command[128];

    (void) sprintf(command, "rm -rf %s", top);
    is_int(system(command), 0, "all is removed");
}

#endif /* KMQ_DUMP_UTIL_H */
