/*
 * What the tests of the disk share: a queue with several workers whose files
 * are in a directory, deaths and restarts, and a picture of all that is in a
 * block, to compare.
 */

#ifndef KMQ_DISK_UTIL_H
#define KMQ_DISK_UTIL_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../src/disk/kmq_file.h"
#include "engine_util.h"


#define DU_WORKERS  4
#define DU_WALL     UINT64_C(1640975470000)
#define DU_LOG      65536

typedef struct {
    kmq_t           *kmq;
    kmq_buffer_t     spare;
    kmq_segment_t    segment;
} du_worker_t;

/* size, mono, wall and settings may be set between two starts. */
typedef struct {
    void            *block;
    size_t           size;
    unsigned         nworkers;
    du_worker_t      worker[DU_WORKERS];
    uint64_t         mono;
    uint64_t         wall;
    unsigned         starts;
    kmq_settings_t   settings;
    kmq_recovery_t   rc;
    size_t           log_len;
    char             log[DU_LOG];    /* of the last start: "E text\n" */
    char             dir[128];
} du_queue_t;

static char  du_top[64];             /* all directories are in here */


/* ------------------------------------------------------------ directories */

EU_UNUSED static void
du_remove(const char *path)
{
    DIR            *dir;
    char            name[KMQ_PATH_SIZE];
    struct dirent  *entry;

    dir = opendir(path);

    while (dir && (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0
            || strcmp(entry->d_name, "..") == 0)
        {
            continue;
        }

        (void) snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);

        if (unlink(name) != 0) {
            du_remove(name);
        }
    }

    if (dir) {
        (void) closedir(dir);
    }

    (void) rmdir(path);
}


EU_UNUSED static void
du_end(void)
{
    if (du_top[0]) {
        du_remove(du_top);
    }
}


/* In memory where there is such a place: nothing here needs a disk. */
EU_UNUSED static void
du_begin(void)
{
    strcpy(du_top, access("/dev/shm", W_OK) == 0 ? "/dev/shm/kmq-disk-XXXXXX"
                                                 : "/tmp/kmq-disk-XXXXXX");

    if (mkdtemp(du_top) == NULL) {
        perror(du_top);
        exit(2);
    }

    (void) atexit(du_end);
}


EU_UNUSED static void
du_directory(char *dir, const char *name)
{
    (void) sprintf(dir, "%s/%s", du_top, name);

    if (mkdir(dir, 0700) != 0) {
        perror(dir);
        exit(2);
    }
}


/* How many names of dir begin and end so. */
EU_UNUSED static unsigned
du_names(const char *dir, const char *begin, const char *end)
{
    DIR            *d;
    size_t          len;
    unsigned        n;
    struct dirent  *entry;

    d = opendir(dir);
    n = 0;

    while (d && (entry = readdir(d)) != NULL) {
        len = strlen(entry->d_name);

        n += strncmp(entry->d_name, begin, strlen(begin)) == 0
             && len >= strlen(end)
             && strcmp(entry->d_name + len - strlen(end), end) == 0;
    }

    if (d) {
        (void) closedir(d);
    }

    return n;
}


/* A file's bytes, which the caller frees; NULL: it is not there. */
EU_UNUSED static unsigned char *
du_read(const char *path, size_t *n)
{
    int             fd;
    ssize_t         rc;
    struct stat     st;
    unsigned char  *data;

    fd = open(path, O_RDONLY);

    if (fd == -1 || fstat(fd, &st) != 0) {
        return NULL;
    }

    data = malloc((size_t) st.st_size + 1);
    rc = read(fd, data, (size_t) st.st_size);
    (void) close(fd);

    *n = rc < 0 ? 0 : (size_t) rc;

    return data;
}


EU_UNUSED static void
du_write(const char *path, const void *data, size_t n)
{
    int  fd;

    fd = open(path, O_WRONLY|O_CREAT|O_TRUNC, 0600);

    if (fd == -1 || write(fd, data, n) != (ssize_t) n || close(fd) != 0) {
        perror(path);
        exit(2);
    }
}


/* ------------------------------------------------------------- the log */

EU_UNUSED static void
du_log(void *arg, int level, const char *text)
{
    du_queue_t  *q = arg;

    int  n;

    n = snprintf(q->log + q->log_len, DU_LOG - q->log_len, "%c %s\n",
                 "IWE"[level], text);

    if (n > 0 && q->log_len + (size_t) n < DU_LOG) {
        q->log_len += (size_t) n;
    }
}


EU_UNUSED static int
du_logged(const du_queue_t *q, const char *text)
{
    return strstr(q->log, text) != NULL;
}


/* ------------------------------------------------------------- the queue */

EU_UNUSED static void
du_clock(du_queue_t *q, uint64_t ms)
{
    unsigned  i;

    q->mono += ms;
    q->wall += ms;

    for (i = 0; i < q->nworkers; i++) {
        kmq_clock(q->worker[i].kmq, q->mono, q->wall);
    }
}


/* What the queue is before its first start. */
EU_UNUSED static void
du_init(du_queue_t *q, const char *name)
{
    memset(q, 0, sizeof(du_queue_t));

    du_directory(q->dir, name);
    q->size = 4 * EU_MB;
    q->mono = 1000;
    q->wall = DU_WALL;
    q->settings = eu_settings(KMQ_PUSH_ONE);
    q->settings.keep_consumed = 1;
}


/* Recovers into a fresh block, whose keys nobody had before. */
EU_UNUSED static int
du_recover(du_queue_t *q)
{
    char  seed[KMQ_SEED_LEN];

    eu_fill(seed, sizeof(seed), ++q->starts);
    q->block = eu_map(q->size);

    if (kmq_block_init(q->block, q->size, (unsigned char *) seed) != KMQ_OK) {
        printf("Bail out! no block of %zu bytes\n", q->size);
        exit(2);
    }

    memset(&q->rc, 0, sizeof(q->rc));
    q->rc.dir = q->dir;
    q->rc.block = q->block;
    q->rc.size = q->size;
    q->rc.mono = q->mono;
    q->rc.wall = q->wall;
    q->rc.log = du_log;
    q->rc.arg = q;
    q->log_len = 0;
    q->log[0] = '\0';

    return kmq_recover(&q->rc);
}


EU_UNUSED static void
du_attach(du_queue_t *q, unsigned n)
{
    unsigned      i;
    du_worker_t  *w;

    q->nworkers = n;

    for (i = 0; i < n; i++) {
        w = &q->worker[i];
        w->kmq = eu_attach(q->block, q->size, i);
        kmq_clock(w->kmq, q->mono, q->wall);
        kmq_configure(w->kmq, &q->settings);
        kmq_journal(w->kmq, 1);
        kmq_segment_init(&w->segment, &kmq_io_system, q->dir, 0);
    }
}


/* Recovers, and starts n workers; the test ends when that fails. */
EU_UNUSED static void
du_start(du_queue_t *q, unsigned n)
{
    if (du_recover(q) != 0) {
        printf("Bail out! \"%s\" is not recovered: %s\n", q->dir, q->log);
        exit(2);
    }

    du_attach(q, n);
}


/* What is not flushed is lost. */
EU_UNUSED static void
du_kill(du_queue_t *q)
{
    unsigned  i;

    for (i = 0; i < q->nworkers; i++) {
        kmq_segment_close(&q->worker[i].segment);
        kmq_buffer_free(&q->worker[i].spare);
        kmq_detach(q->worker[i].kmq);
    }

    (void) munmap(q->block, q->size);
    q->nworkers = 0;
}


/* Writes what one worker's journal has gathered. */
EU_UNUSED static int
du_flush(du_queue_t *q, unsigned worker)
{
    size_t               len;
    const char          *what;
    du_worker_t         *w;
    kmq_journal_info_t   info;

    w = &q->worker[worker];
    len = kmq_journal_take(w->kmq, &w->spare, &info);
    kmq_records_seal(w->spare.data, len);

    return kmq_segment_write(&w->segment, &info, w->spare.data, len, 1,
                             &what);
}


EU_UNUSED static void
du_flush_all(du_queue_t *q)
{
    int       rc;
    unsigned  i;

    for (i = 0; i < q->nworkers; i++) {
        rc = du_flush(q, i);

        if (rc != 0) {
            printf("Bail out! a journal in \"%s\": %s\n", q->dir,
                   strerror(-rc));
            exit(2);
        }
    }
}


/* A whole checkpoint by worker 0; clean: older files go. */
EU_UNUSED static int
du_checkpoint(du_queue_t *q, int clean)
{
    int                     rc, more;
    kmq_t                  *kmq;
    kmq_buffer_t            out;
    kmq_checkpoint_t        cp;
    kmq_checkpoint_file_t   file;

    memset(&out, 0, sizeof(out));
    kmq = q->worker[0].kmq;

    if (kmq_checkpoint_begin(kmq, &cp, &out) != KMQ_OK) {
        return KMQ_NOMEM;
    }

    rc = kmq_checkpoint_file_open(&file, &kmq_io_system, q->dir, &cp.info,
                                  cp.complete);

    for (more = 1; rc == 0; more = kmq_checkpoint_next(kmq, &cp, &out)) {
        rc = kmq_checkpoint_file_write(&file, out.data, out.len);
        out.len = 0;

        if (more != 1) {
            break;
        }
    }

    kmq_buffer_free(&out);

    rc = rc ? rc : kmq_checkpoint_file_finish(&file);

    if (rc == 0) {
        kmq_checkpoint_end(kmq, &cp, file.size);
        rc = clean ? kmq_checkpoint_file_clean(&file) : 0;
    }

    return rc;
}


/* -------------------------------------------------------------- messages */

/* Publishes one message; its code goes to code, which may be NULL. */
EU_UNUSED static int
du_publish(du_queue_t *q, unsigned worker, const char *topic,
    const char *body, uint64_t delay, char code[KMQ_CODE_LEN + 1])
{
    int             rc;
    kmq_t          *kmq;
    kmq_message_t   m;

    kmq = q->worker[worker].kmq;
    memset(&m, 0, sizeof(m));
    m.size = (uint32_t) strlen(body);
    m.delay_time = delay;

    rc = kmq_reserve_to(kmq, topic, strlen(topic), &m);

    if (rc == KMQ_OK) {
        kmq_write(kmq, &m, body, m.size);
        kmq_commit(kmq, &m, 1);
    }

    if (rc == KMQ_OK && code) {
        kmq_code(kmq, &m, code);
        code[KMQ_CODE_LEN] = '\0';
    }

    return rc;
}


/* The status of a message, KMQ_STATUS_ANY when it is not there. */
EU_UNUSED static int
du_status(du_queue_t *q, const char *code, kmq_message_info_t *info)
{
    kmq_message_info_t  own;

    info = info ? info : &own;

    return kmq_find(q->worker[0].kmq, code, info) == KMQ_OK
           ? info->status : KMQ_STATUS_ANY;
}


/* What consumers of a topic get from now on, as text: "one two two ". */
EU_UNUSED static const char *
du_drain(du_queue_t *q, unsigned worker, const char *topic)
{
    char            body[256];
    size_t          len, n;
    kmq_t          *kmq;
    unsigned        i;
    kmq_ref_t       client;
    kmq_batch_t    *b;
    static char     text[65536];

    kmq = q->worker[worker].kmq;
    client = eu_consumer(kmq, topic, 1000, NULL);
    len = 0;
    text[0] = '\0';

    while ((b = eu_take(kmq)) != NULL) {

        for (i = 0; i < b->nmessages; i++) {
            n = eu_body(kmq, &b->messages[i], body, sizeof(body) - 1);
            body[n < sizeof(body) ? n : 0] = '\0';
            len += (size_t) snprintf(text + len, sizeof(text) - len, "%s ",
                                     body);
        }

        (void) eu_confirm(kmq, b);
    }

    kmq_leave(kmq, client, 0);

    return text;
}


/* ------------------------------------------------------------ the picture */

static int
du_compare(const void *one, const void *two)
{
    return strcmp(*(char *const *) one, *(char *const *) two);
}


#define DU_PERIODS  (KMQ_TOPIC_HOURS + KMQ_MINUTES)

/* Numbers of a record: counters, then periods, in the order of their time;
 * without a topic's backlogs, which no journal tells. */
EU_UNUSED static void
du_numbers(FILE *to, const kmq_record_t *r, unsigned count)
{
    char      *line[DU_PERIODS];
    unsigned   i, j, n;
    uint64_t   v[KMQ_PERIOD_NUMBERS];

    for (i = 0; i < count; i++) {

        /* some sequence numbers are skipped */

        if (r->type == KMQ_RECORD_TOPIC || i != KMQ_QUEUE_COUNTERS - 2) {
            fprintf(to, " %llu",
                    (unsigned long long) kmq_record_number(r, i));
        }
    }

    for (n = 0; n < DU_PERIODS && kmq_record_number(r, i) != 0; n++) {

        for (j = 0; j < KMQ_PERIOD_NUMBERS; j++) {
            v[j] = kmq_record_number(r, i++);
        }

        if (asprintf(&line[n], "\n  in %llu: %llu %llu %llu, %lld",
                     (unsigned long long) v[0], (unsigned long long) v[1],
                     (unsigned long long) v[2], (unsigned long long) v[3],
                     r->type == KMQ_RECORD_TOPIC ? -1 : (long long) v[4])
            == -1)
        {
            exit(2);
        }
    }

    qsort(line, n, sizeof(line[0]), du_compare);

    for (i = 0; i < n; i++) {
        fputs(line[i], to);
        free(line[i]);
    }
}


/* One line, or with periods more, of a checkpoint's record. */
EU_UNUSED static char *
du_line(const kmq_record_t *r, const kmq_journal_info_t *info)
{
    char    *text, code[KMQ_CODE_LEN];
    FILE    *to;
    size_t   size;

    to = open_memstream(&text, &size);

    if (r->type == KMQ_RECORD_MESSAGE) {
        kmq_code_write(info->key, r->sequence, r->time, code);
        fprintf(to, "message %.*s %.*s kind %u due %llu delay %u state %u "
                "attempts %u \"%.*s\"", KMQ_CODE_LEN, code,
                (int) r->name_len, r->name, r->kind,
                (unsigned long long) r->due, r->delay, r->state_time,
                r->attempts, (int) r->body_size, (const char *) r->body);
    }

    if (r->type == KMQ_RECORD_TOPIC) {
        fprintf(to, "topic %.*s", (int) r->name_len, r->name);
        du_numbers(to, r, KMQ_TOPIC_COUNTERS);
    }

    if (r->type == KMQ_RECORD_QUEUE) {
        fprintf(to, "queue");
        du_numbers(to, r, KMQ_QUEUE_COUNTERS);
    }

    fclose(to);

    return text;
}


typedef struct {
    char  **line;
    size_t  n;
} du_lines_t;


/* Adds the lines of a buffer's records. */
EU_UNUSED static void
du_lines_add(du_lines_t *lines, kmq_buffer_t *buffer,
    const kmq_journal_info_t *info)
{
    long           rc;
    size_t         at;
    kmq_record_t   r;

    kmq_records_seal(buffer->data, buffer->len);

    for (at = 0; at < buffer->len; at += (size_t) rc) {
        rc = kmq_record_read(buffer->data + at, buffer->len - at, &r, NULL);

        if (rc <= 0) {
            printf("Bail out! no record\n");
            exit(2);
        }

        if (lines->n % 1024 == 0) {
            lines->line = realloc(lines->line,
                                  (lines->n + 1024) * sizeof(char *));
        }

        lines->line[lines->n++] = du_line(&r, info);
    }
}


/*
 * All that is in the block as text, which the caller frees: what a checkpoint
 * that is begun now has, but for numbers that change at a restart.
 */
EU_UNUSED static char *
du_picture(du_queue_t *q)
{
    int                more;
    char              *text;
    FILE              *to;
    size_t             i, size;
    kmq_t             *kmq;
    du_lines_t         lines;
    kmq_buffer_t       out;
    kmq_checkpoint_t   cp;

    memset(&out, 0, sizeof(out));
    memset(&lines, 0, sizeof(lines));
    kmq = q->worker[0].kmq;
    more = kmq_checkpoint_begin(kmq, &cp, &out) == KMQ_OK;

    while (more == 1) {

        /* the same counters come again at the end */

        out.len = 0;
        more = kmq_checkpoint_next(kmq, &cp, &out);
        du_lines_add(&lines, &out, &cp.info);
    }

    qsort(lines.line, lines.n, sizeof(char *), du_compare);

    to = open_memstream(&text, &size);

    for (i = 0; i < lines.n; i++) {
        fprintf(to, "%s\n", lines.line[i]);
        free(lines.line[i]);
    }

    fclose(to);
    free(lines.line);
    kmq_buffer_free(&out);

    return text;
}


/* Frees both. */
EU_UNUSED static int
du_same(char *before, char *after, const char *what)
{
    int  same;

    same = is_bytes(after, strlen(after), before, strlen(before), "%s", what);
    free(before);
    free(after);

    return same;
}

#endif /* KMQ_DISK_UTIL_H */
