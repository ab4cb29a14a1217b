/*
 * kapokmq-dump: verifies the files of a queue, and prints their records, or the
 * messages that they leave, as JSON lines.  It opens them for reading only and
 * takes no lock, so the queue may be in use.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../disk/kmq_file.h"
#include "kmq_line.h"
#include "kmq_options.h"


typedef struct {
    kmq_options_t  options;
    int            status;
    uint64_t       base;         /* generation of the checkpoint that a start
                                    would take; 0: not known */

    /* the file at hand */
    kmq_reader_t   reader;
    unsigned       kind;
    int            live;         /* it may go at any time */
    uint64_t       records;
    uint64_t       messages;
    uint64_t       damaged;      /* places */
    uint64_t       torn;         /* bytes at the end */
    uint32_t       time;         /* s: of the last record; 0: none */
    uint64_t       lost;         /* bytes that are damaged behind it */
} dump_t;

/* One of a directory's. */
typedef struct {
    char     *name;
    uint64_t  generation;
    unsigned  kind;
} entry_t;

typedef struct {
    entry_t  *entry;
    size_t    n;
    int       failed;            /* an errno */
} listing_t;


static void
status_raise(dump_t *d, int status)
{
    if (d->status < status) {
        d->status = status;
    }
}


__attribute__((format(printf, 2, 3)))
static void
complain(dump_t *d, const char *format, ...)
{
    va_list  args;

    (void) fputs("kapokmq-dump: ", stderr);

    va_start(args, format);
    (void) vfprintf(stderr, format, args);
    va_end(args);

    (void) fputc('\n', stderr);
    status_raise(d, KMQ_DUMP_UNREADABLE);
}


/* ----------------------------------------------------------------- damage */

/* In local time. */
static const char *
time_text(time_t at, char text[32])
{
    struct tm  tm;

    if (localtime_r(&at, &tm) == NULL
        || strftime(text, 32, "%Y-%m-%d %H:%M:%S", &tm) == 0)
    {
        return "?";
    }

    return text;
}


/* NULL, or why nobody misses what a damaged file has lost. */
static const char *
lost_nothing(const dump_t *d)
{
    if (d->kind == KMQ_FILE_NEW) {
        return "this checkpoint was never complete";
    }

    if (d->reader.head.info.generation < d->base) {
        return "a newer checkpoint has all that it had";
    }

    return NULL;
}


/* What the damage behind the last record has taken; next: s, of the next
 * record, or 0. */
static void
lost_tell(dump_t *d, uint32_t next)
{
    char         from[32], to[32];
    const char  *nothing;

    nothing = lost_nothing(d);

    if (nothing) {
        (void) fprintf(stderr, "  lost: nothing, %s\n", nothing);

    } else if (d->kind == KMQ_FILE_CHECKPOINT) {
        (void) fprintf(stderr, "  lost: messages that were there when it was "
                       "made, at %s, or what had become of them; at most "
                       "%" PRIu64 " bytes\n",
                       time_text((time_t) (d->reader.head.created / 1000),
                                 from), d->lost);

    } else {
        (void) fprintf(stderr, "  lost: what happened from %s to %s.  Messages "
                       "that were accepted then are missing, and those that "
                       "were confirmed then are delivered again\n",
                       d->time ? time_text(d->time, from) : "its beginning",
                       next ? time_text(next, to) : "its end");
    }

    d->lost = 0;
}


/* How a file ends that is being written, or was, is no damage. */
static int
is_torn(const dump_t *d, uint64_t offset, uint64_t n, int torn)
{
    return torn || (d->kind == KMQ_FILE_NEW
                    && offset + n >= d->reader.size);
}


static void
damage(void *arg, const char *path, uint64_t offset, uint64_t n,
    const char *what, int torn)
{
    dump_t  *d = arg;

    torn = is_torn(d, offset, n, torn);

    if (torn) {
        d->torn += n;
        what = "a write that is not complete";

    } else {
        d->damaged++;
        status_raise(d, KMQ_DUMP_DAMAGED);
        (void) fprintf(stderr, "%s: damaged at %" PRIu64 ", %" PRIu64
                       " bytes: %s\n", path, offset, n, what);

        /* all but the codes is known without a head */

        if (offset) {
            d->lost += n ? n : 1;
        } else {
            (void) fputs("  lost: nothing, its records are read without\n",
                         stderr);
        }
    }

    if (d->options.quiet) {
        return;
    }

    kmq_line_begin(torn ? "torn" : "damage");
    kmq_line_text("file", path, strlen(path));
    kmq_line_number("offset", offset);
    kmq_line_number("bytes", n);
    kmq_line_word("what", what);
    kmq_line_end();
}


static void
damage_record(dump_t *d, const kmq_record_t *r, const char *what)
{
    kmq_reader_t  *reader = &d->reader;

    damage(d, reader->path,
           reader->offset + reader->used - KMQ_RECORD_SPAN(r->size), r->size,
           what, 0);
}


/* ---------------------------------------------------------------- records */

static const char *
type_word(const kmq_record_t *r)
{
    static const char  *word[] = {
        "?", "message", "delivered", "consumed", "dead", "requeued", "gone",
        "counts", "topic", "queue", "end", "messages", "failed", "place"
    };

    return word[r->type];
}


/* Members about what has failed of a message, and when it is tried again. */
static void
failures_print(uint32_t attempts)
{
    static const char  *word[KMQ_REASONS] = {
        "none", "end", "return", "overdue"
    };

    unsigned  reason;

    reason = attempts / KMQ_ATTEMPTS_REASON % KMQ_REASONS;

    kmq_line_number("failures", attempts & KMQ_ATTEMPTS_FAILURES);
    kmq_line_flag("pushed", (attempts & KMQ_ATTEMPTS_PUSHED) != 0);
    kmq_line_flag("suspect", (attempts & KMQ_ATTEMPTS_SUSPECT) != 0);

    if (reason == KMQ_FAILED_NOT) {
        kmq_line_null("reason");
    } else {
        kmq_line_word("reason", word[reason]);
    }
}


static void
message_print(const dump_t *d, const kmq_record_t *r)
{
    static const char  *state[] = {
        "?", "ready", "delayed", "consumed", "dead"
    };

    char  code[KMQ_CODE_LEN + 1];

    if (d->reader.head.version) {
        kmq_code_write(d->reader.head.info.key, r->sequence, r->time, code);
        code[KMQ_CODE_LEN] = '\0';
        kmq_line_word("code", code);

    } else {
        kmq_line_null("code");
    }

    kmq_line_text("topic", r->name, r->name_len);
    kmq_line_word("state", state[r->kind]);
    kmq_line_number("sequence", r->sequence);
    kmq_line_number("due", r->due);
    kmq_line_number("delay", r->delay);
    kmq_line_number("state_time", r->state_time);

    /* several messages in one record have no attempts */

    if (d->reader.head.version >= KMQ_FORMAT_FAILURES
        && (r->attempts == 0 || r->attempts & KMQ_ATTEMPTS_NEW))
    {
        failures_print(r->attempts);

    } else {
        kmq_line_number("attempts", r->attempts);
    }

    kmq_line_number("body_size", r->body_size);
    kmq_line_escaped("data", r->body, r->body_size);
}


/* What an element of a list shows of an entry. */
typedef void (*element_t)(const kmq_record_entry_t *entry);


static void
sequence_print(const kmq_record_entry_t *entry)
{
    kmq_line_element(entry->sequence);
}


static void
attempts_print(const kmq_record_entry_t *entry)
{
    kmq_line_element(entry->attempts & KMQ_ATTEMPTS_FAILURES);
}


static void
failure_print(const kmq_record_entry_t *entry)
{
    kmq_line_object();
    failures_print(entry->attempts);
    kmq_line_number("due", entry->due);
    kmq_line_object_end();
}


static void
list_print(const kmq_record_t *r, const char *name, element_t print)
{
    kmq_record_entry_t    entry;
    const unsigned char  *p;

    p = r->data;
    memset(&entry, 0, sizeof(entry));

    kmq_line_list(name);

    while (kmq_record_sequence(r, &p, &entry) == 1) {
        print(&entry);
    }

    kmq_line_list_end();
}


static void
changes_print(const kmq_record_t *r)
{
    static const char  *why[] = {
        "unknown", "deleted", "expired", "discarded", "cleaned"
    };

    if (r->type == KMQ_RECORD_GONE) {
        kmq_line_word("why", why[r->kind <= KMQ_KIND_CLEANED ? r->kind : 0]);

    } else if (r->type == KMQ_RECORD_REQUEUED && r->kind == KMQ_KIND_DUE) {
        kmq_line_word("why", "due");
    }

    kmq_line_number("count", r->count);
    list_print(r, "sequences", sequence_print);

    if (r->type == KMQ_RECORD_DELIVERED) {
        list_print(r, "attempts", attempts_print);

    } else if (r->type == KMQ_RECORD_FAILED) {
        list_print(r, "failed", failure_print);
    }
}


/* The periods that stand behind *count numbers, at most max; unit: seconds of
 * one. */
static void
periods_print(const kmq_record_t *r, const char *name, unsigned *count,
    uint64_t max, unsigned unit)
{
    uint64_t  number, backlog;

    kmq_line_list(name);

    while (max-- && (number = kmq_record_number(r, *count))) {
        kmq_line_object();
        kmq_line_number("time", number * unit);
        kmq_line_number("published", kmq_record_number(r, *count + 1));
        kmq_line_number("delivered", kmq_record_number(r, *count + 2));
        kmq_line_number("confirmed", kmq_record_number(r, *count + 3));

        backlog = kmq_record_number(r, *count + 4);

        if (backlog != KMQ_UNKNOWN) {
            kmq_line_number("backlog", backlog);
        }

        kmq_line_object_end();
        *count += KMQ_PERIOD_NUMBERS;
    }

    kmq_line_list_end();
}


static void
counters_print(const dump_t *d, const kmq_record_t *r)
{
    static const char  *name[KMQ_QUEUE_COUNTERS] = {
        "published", "delivered", "redelivered", "confirmed", "died",
        "expired", "refused", "dropped", "requeued", "deleted", "sequence"
    };

    int       topic;
    unsigned  i, n;
    uint64_t  hours;

    topic = r->type == KMQ_RECORD_TOPIC;
    n = topic ? KMQ_TOPIC_COUNTERS : KMQ_QUEUE_COUNTERS;

    if (topic) {
        kmq_line_text("topic", r->name, r->name_len);
    }

    /* the last of them tells how many of the longer periods follow */

    for (i = 0; i < n - 1; i++) {
        kmq_line_number(name[i], kmq_record_number(r, i));
    }

    if (d->options.verbose) {
        hours = kmq_record_number(r, i);

        if (topic && d->reader.head.version < KMQ_FORMAT_HOURS) {
            periods_print(r, "days", &n, hours, 86400);
        } else {
            periods_print(r, "hours", &n,
                          topic ? hours / KMQ_TOPIC_HOUR : hours, 3600);
        }

        periods_print(r, "minutes", &n, UINT64_MAX, 60);
    }
}


static void
place_print(const kmq_record_t *r)
{
    uint64_t  number;

    number = kmq_record_number(r, KMQ_PLACE_WRITER);
    kmq_line_number("epoch", number >> 32);
    kmq_line_number("writer", number & UINT32_MAX);

    kmq_line_number("slot", kmq_record_number(r, KMQ_PLACE_SLOT));
    number = kmq_record_number(r, KMQ_PLACE_SLOTS);
    kmq_line_number("slots", number >> 32);

    kmq_line_number("bytes", kmq_record_number(r, KMQ_PLACE_BYTES));
    kmq_line_number("known", kmq_record_number(r, KMQ_PLACE_KNOWN));
    number = kmq_record_number(r, KMQ_PLACE_WHO);
    kmq_line_number("node", number >> 32);
}


static void
record_print(const dump_t *d, const kmq_record_t *r)
{
    kmq_line_begin(type_word(r));
    kmq_line_number("offset", d->reader.offset + d->reader.used
                              - KMQ_RECORD_SPAN(r->size));
    kmq_line_number("size", r->size);
    kmq_line_number("lsn", r->lsn);
    kmq_line_number("time", r->time);

    switch (r->type) {

    case KMQ_RECORD_MESSAGE:
        message_print(d, r);
        break;

    case KMQ_RECORD_COUNTS:
        kmq_line_text("topic", r->name, r->name_len);
        kmq_line_number("delivered", r->delivered);
        kmq_line_number("confirmed", r->confirmed);
        break;

    case KMQ_RECORD_TOPIC:
    case KMQ_RECORD_QUEUE:
        counters_print(d, r);
        break;

    case KMQ_RECORD_END:
        kmq_line_number("records", kmq_record_number(r, 0));
        kmq_line_number("messages", kmq_record_number(r, 1));
        break;

    case KMQ_RECORD_PLACE:
        place_print(r);
        break;

    default:
        changes_print(r);
        break;
    }

    kmq_line_end();
}


/* Are these attempts of a message that has failed? */
static int
is_failure(uint32_t attempts)
{
    return (attempts & KMQ_ATTEMPTS_NEW)
           && (attempts & KMQ_ATTEMPTS_FAILURES) != 0
           && attempts / KMQ_ATTEMPTS_REASON % KMQ_REASONS != KMQ_FAILED_NOT;
}


/* What a checksum does not tell: NULL, or what is wrong with a list. */
static const char *
list_verify(const kmq_record_t *r)
{
    int                   rc;
    uint32_t              n, wrong;
    kmq_record_entry_t    entry;
    const unsigned char  *p;

    p = r->data;
    n = 0;
    wrong = 0;
    memset(&entry, 0, sizeof(entry));

    while ((rc = kmq_record_sequence(r, &p, &entry)) == 1) {
        n++;
        wrong += r->type == KMQ_RECORD_FAILED && !is_failure(entry.attempts);
    }

    if (rc < 0) {
        return "a number in its list has no end, or is too high";
    }

    if (n != r->count) {
        return "its list is not as long as it says";
    }

    return wrong ? "it tells of a failure that is none" : NULL;
}


static const char *
record_verify(const dump_t *d, const kmq_record_t *r)
{
    switch (r->type) {

    case KMQ_RECORD_DELIVERED:
    case KMQ_RECORD_CONSUMED:
    case KMQ_RECORD_DEAD:
    case KMQ_RECORD_REQUEUED:
    case KMQ_RECORD_GONE:
    case KMQ_RECORD_FAILED:
        return list_verify(r);

    case KMQ_RECORD_END:

        return kmq_record_number(r, 0) == d->records
               && kmq_record_number(r, 1) == d->messages
               ? NULL : "the checkpoint had more records, or less";

    default:
        return NULL;
    }
}


static void
record_dump(dump_t *d, const kmq_record_t *r)
{
    const char  *wrong;

    if (d->lost) {
        lost_tell(d, r->time);
    }

    d->time = r->time;
    wrong = record_verify(d, r);

    if (r->type != KMQ_RECORD_END) {
        d->records++;
        d->messages += r->type == KMQ_RECORD_MESSAGE;
    }

    if (!d->options.quiet) {
        record_print(d, r);
    }

    if (wrong) {
        damage_record(d, r, wrong);
    }
}


/* -------------------------------------------------------------- one file */

/* The kind that its name tells; a file that recovery has kept has the name
 * that it had, and more. */
static unsigned
kind_of(const char *path, uint64_t *generation)
{
    char         name[KMQ_PATH_SIZE];
    size_t       n;
    const char  *slash;

    static const char  kept[] = ".damaged";

    slash = strrchr(path, '/');
    (void) snprintf(name, sizeof(name), "%s", slash ? slash + 1 : path);

    n = strlen(name);

    if (n >= sizeof(kept) && strcmp(name + n - sizeof(kept) + 1, kept) == 0) {
        name[n - sizeof(kept) + 1] = '\0';
    }

    *generation = 0;

    return kmq_file_kind(name, generation);
}


static const char *
kind_word(unsigned kind)
{
    switch (kind) {

    case KMQ_FILE_JOURNAL:
        return "journal";

    case KMQ_FILE_CHECKPOINT:
        return "checkpoint";

    case KMQ_FILE_NEW:
        return "new checkpoint";

    default:
        return "unknown";
    }
}


/* Begins the line of a file, or of its summary. */
static void
file_line(const dump_t *d, const char *type)
{
    kmq_line_begin(type);
    kmq_line_text("file", d->reader.path, strlen(d->reader.path));
    kmq_line_word("kind", kind_word(d->kind));
    kmq_line_number("generation", d->reader.head.info.generation);
}


static void
head_print(const dump_t *d)
{
    const kmq_file_head_t  *head = &d->reader.head;

    file_line(d, "file");
    kmq_line_number("version", head->version);
    kmq_line_number("start", head->info.start);
    kmq_line_number("worker", head->info.worker);
    kmq_line_number("created", head->created);
    kmq_line_end();
}


static void
summary_print(const dump_t *d)
{
    file_line(d, "summary");
    kmq_line_number("records", d->records);
    kmq_line_number("messages", d->messages);
    kmq_line_number("bytes", d->reader.size);
    kmq_line_number("damaged", d->damaged);
    kmq_line_number("torn", d->torn);
    kmq_line_end();
}


/* Compares name and head; 0, or -1: it is no file of a queue. */
static int
head_verify(dump_t *d, uint64_t generation)
{
    unsigned          kind;
    kmq_file_head_t  *head = &d->reader.head;

    if (head->version == 0) {
        return d->kind == KMQ_FILE_NONE ? -1 : 0;
    }

    kind = head->kind == KMQ_FILE_JOURNAL ? KMQ_FILE_JOURNAL
                                          : KMQ_FILE_CHECKPOINT;

    if (d->kind == KMQ_FILE_NONE) {

        /* it has got another name */

        d->kind = kind;
        d->reader.kind = kind;
        return 0;
    }

    if (head->info.generation != generation
        || kind != (d->kind == KMQ_FILE_JOURNAL ? KMQ_FILE_JOURNAL
                                                : KMQ_FILE_CHECKPOINT))
    {
        damage(d, d->reader.path, 0, KMQ_FILE_HEAD,
               "its head is of a file with another name", 0);
    }

    return 0;
}


static int
file_open(dump_t *d, const char *path)
{
    int       rc;
    uint64_t  generation;

    d->kind = kind_of(path, &generation);
    d->records = 0;
    d->messages = 0;
    d->damaged = 0;
    d->torn = 0;
    d->time = 0;
    d->lost = 0;

    rc = kmq_reader_open(&d->reader, path, d->kind, generation, damage, d);

    if (rc == -ENOENT && d->live) {

        /* a checkpoint has made it superfluous meanwhile */
        return -1;
    }

    if (rc < 0) {
        complain(d, "reading \"%s\" failed: %s", path,
                 kmq_reader_error(&d->reader, rc));
        return -1;
    }

    if (head_verify(d, generation) != 0) {
        complain(d, "\"%s\" is no file of a queue", path);
        kmq_reader_close(&d->reader);
        return -1;
    }

    return 0;
}


static void
file_dump(dump_t *d, const char *path)
{
    int           rc;
    kmq_record_t  r;

    if (file_open(d, path) != 0) {
        return;
    }

    if (!d->options.quiet) {
        head_print(d);
    }

    while ((rc = kmq_reader_next(&d->reader, &r)) == 1) {
        record_dump(d, &r);
    }

    if (rc < 0) {
        complain(d, "reading \"%s\" failed: %s", path, strerror(-rc));

    } else if (d->kind == KMQ_FILE_CHECKPOINT
               && !kmq_reader_complete(&d->reader))
    {
        damage(d, path, d->reader.size, 0, "the last record is missing", 0);
    }

    if (d->lost) {
        lost_tell(d, 0);
    }

    summary_print(d);
    kmq_reader_close(&d->reader);
}


/* ----------------------------------------------------------- a directory */

static void
entry_add(void *arg, const char *name)
{
    listing_t  *l = arg;

    entry_t   *entry;
    unsigned   kind;
    uint64_t   generation;

    kind = kmq_file_kind(name, &generation);

    if (kind == KMQ_FILE_NONE || l->failed) {
        return;
    }

    entry = realloc(l->entry, (l->n + 1) * sizeof(entry_t));

    if (entry == NULL) {
        l->failed = ENOMEM;
        return;
    }

    l->entry = entry;
    entry += l->n;

    entry->name = strdup(name);
    entry->kind = kind;
    entry->generation = generation;

    if (entry->name == NULL) {
        l->failed = ENOMEM;
        return;
    }

    l->n++;
}


/* By generation, checkpoints first, then worker, then which one it is: the
 * only part of a name that is longer when it is higher. */
static int
entry_compare(const void *one, const void *two)
{
    size_t          na, nb;
    const entry_t  *a = one, *b = two;

    if (a->generation != b->generation) {
        return a->generation < b->generation ? -1 : 1;
    }

    if (a->kind != b->kind) {
        return a->kind > b->kind ? -1 : 1;
    }

    na = strlen(a->name);
    nb = strlen(b->name);

    if (na != nb) {
        return na < nb ? -1 : 1;
    }

    return strcmp(a->name, b->name);
}


/* 0, or -1: it is too long. */
static int
entry_path(const char *dir, const entry_t *entry, char path[KMQ_PATH_SIZE])
{
    return snprintf(path, KMQ_PATH_SIZE, "%s/%s", dir, entry->name)
           < KMQ_PATH_SIZE ? 0 : -1;
}


/* The generation of the newest checkpoint that is complete; 0: there is
 * none. */
static uint64_t
entries_base(const char *dir, const listing_t *l)
{
    int           complete;
    char          path[KMQ_PATH_SIZE];
    size_t        i;
    kmq_reader_t  reader;

    for (i = l->n; i-- > 0; /* void */) {

        if (l->entry[i].kind != KMQ_FILE_CHECKPOINT
            || entry_path(dir, &l->entry[i], path) != 0
            || kmq_reader_open(&reader, path, KMQ_FILE_CHECKPOINT,
                               l->entry[i].generation, NULL, NULL)
               < 0)
        {
            continue;
        }

        complete = kmq_reader_complete(&reader);
        kmq_reader_close(&reader);

        if (complete) {
            return l->entry[i].generation;
        }
    }

    return 0;
}


static void
entries_dump(dump_t *d, const char *dir, listing_t *l)
{
    char    path[KMQ_PATH_SIZE];
    size_t  i;

    qsort(l->entry, l->n, sizeof(entry_t), entry_compare);

    d->live = 1;
    d->base = entries_base(dir, l);

    for (i = 0; i < l->n; i++) {

        if (entry_path(dir, &l->entry[i], path) != 0) {
            complain(d, "the path \"%s\" is too long", dir);
            break;
        }

        file_dump(d, path);
    }
}


static void
path_dump(dump_t *d, const char *path)
{
    int        rc;
    listing_t  l;

    memset(&l, 0, sizeof(l));

    rc = kmq_io_system.list(&kmq_io_system, path, entry_add, &l);

    if (rc == -ENOTDIR) {
        d->live = 0;
        d->base = 0;
        file_dump(d, path);
        return;
    }

    if (rc < 0 || l.failed) {
        complain(d, "reading \"%s\" failed: %s", path,
                 strerror(rc < 0 ? -rc : l.failed));

    } else if (l.n == 0) {
        (void) fprintf(stderr, "kapokmq-dump: \"%s\" has no files of a "
                       "queue\n", path);

    } else {
        entries_dump(d, path, &l);
    }

    while (l.n) {
        free(l.entry[--l.n].name);
    }

    free(l.entry);
}


/* -------------------------------------------------------- what is waiting */

static void
waiting_print(dump_t *d, const char *dir)
{
    int64_t  damaged;

    damaged = kmq_waiting_print(dir, &d->options.filter);

    if (damaged < 0) {
        status_raise(d, KMQ_DUMP_UNREADABLE);

    } else if (damaged) {
        (void) fprintf(stderr, "kapokmq-dump: \"%s\" is damaged in %" PRId64
                       " place(s), and this is what is left: kapokmq-dump -q "
                       "says what is lost\n", dir, damaged);
        status_raise(d, KMQ_DUMP_DAMAGED);
    }
}


/* -------------------------------------------------------------------- main */

int
main(int argc, char **argv)
{
    int            i;
    static dump_t  d;

    i = kmq_options_read(&d.options, argc, argv);

    for ( /* void */ ; i < argc; i++) {
        if (d.options.waiting) {
            waiting_print(&d, argv[i]);
        } else {
            path_dump(&d, argv[i]);
        }
    }

    if (!d.options.waiting && d.status == KMQ_DUMP_DAMAGED) {
        (void) fputs(
            "kapokmq-dump: nginx starts with damaged files: it passes over "
            "what is damaged,\n"
            "and keeps such a file as *.damaged.  Copy the directory before, "
            "and see whether\n"
            "the disk fails.  kapokmq-dump -w prints the messages that are "
            "left, here or in a\n"
            "backup, and POST /Producer/Send takes them.\n", stderr);
    }

    if (fflush(stdout) != 0 || ferror(stdout)) {
        complain(&d, "writing failed: %s", strerror(errno));
    }

    return d.status;
}
