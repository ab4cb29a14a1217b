/*
 * How fast is a queue recovered?  The engine and its files alone, without
 * nginx: one process fills a block and leaves its journal, or a checkpoint,
 * in a directory; another one recovers that into a fresh block.
 */

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../src/disk/kmq_file.h"
#include "../common/histogram.h"
#include "../common/net.h"


#define RECOVER_BATCH     64
#define RECOVER_SIZE_MAX  65536
#define RECOVER_FLUSH     (512 * 1024)   /* bytes of records, as in nginx */

typedef struct {
    const char  *dir;          /* must be there, and be empty */
    uint64_t     messages;
    unsigned     size;
    unsigned     checkpoint:1;
} recover_options_t;

/* What a checkpoint took; the two processes share it. */
typedef struct {
    uint64_t       time;       /* ns, with the writing */
    histogram_t    slices;     /* ns of CPU time, in the engine alone: so long
                                  an event loop does nothing else */
} recover_checkpoint_t;

static recover_options_t      o;
static recover_checkpoint_t  *made;
static void                  *block;
static size_t                 block_size;


__attribute__((noreturn)) static void
recover_stop(const char *what)
{
    fprintf(stderr, "kmq-recover: %s\n", what);
    exit(2);
}


/* A new block, without anything in it. */
static void
recover_block(void)
{
    unsigned char  seed[KMQ_SEED_LEN];

    block = mmap(NULL, block_size, PROT_READ|PROT_WRITE,
                 MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    memset(seed, 0x5a, sizeof(seed));

    if (block == MAP_FAILED
        || kmq_block_init(block, block_size, seed) != KMQ_OK)
    {
        recover_stop("no memory for the block");
    }
}


/* ---------------------------------------------------------------- writing */

static kmq_t *
recover_attach(void)
{
    kmq_t           *kmq;
    kmq_settings_t   settings;

    kmq = kmq_attach(block, block_size, 0);

    if (kmq == NULL) {
        recover_stop("cannot attach");
    }

    memset(&settings, 0, sizeof(kmq_settings_t));
    settings.waiting_max = UINT32_MAX;
    settings.batch_count = 1;
    settings.check_interval = 1000;
    settings.keep_consumed = 1;
    settings.topic.push_type = KMQ_PUSH_ONE;

    kmq_clock(kmq, net_now() / 1000000, kmq_file_now());
    kmq_configure(kmq, &settings);
    kmq_journal(kmq, 1);

    return kmq;
}


static kmq_ref_t
recover_join(kmq_t *kmq)
{
    kmq_ref_t          client;
    kmq_client_info_t  info;

    memset(&info, 0, sizeof(kmq_client_info_t));
    info.role = KMQ_PRODUCER;
    info.topic_len = 5;
    memcpy(info.topic, "bench", 5);
    info.id_len = 1;
    info.id[0] = 'x';

    client = kmq_join(kmq, &info, NULL);

    if (client == 0) {
        recover_stop("a producer cannot join");
    }

    return client;
}


static void
recover_publish(kmq_t *kmq, kmq_ref_t producer, unsigned n)
{
    unsigned        i;
    static char     body[RECOVER_SIZE_MAX];
    kmq_message_t   m[RECOVER_BATCH];

    memset(body, 'x', o.size);
    memset(m, 0, sizeof(m));

    for (i = 0; i < n; i++) {
        m[i].size = o.size;
    }

    if (kmq_reserve(kmq, producer, m, n, NULL) != n) {
        recover_stop("the block is too small");
    }

    for (i = 0; i < n; i++) {
        kmq_write(kmq, &m[i], body, o.size);
    }

    kmq_commit(kmq, m, n);
}


static void
recover_flush(kmq_t *kmq, kmq_segment_t *segment, int sync)
{
    const char             *what;
    kmq_journal_info_t      info;
    static kmq_buffer_t     records;

    (void) kmq_journal_take(kmq, &records, &info);
    kmq_records_seal(records.data, records.len);

    if (kmq_segment_write(segment, &info, records.data, records.len, sync,
                          &what)
        != 0)
    {
        recover_stop(what);
    }
}


/* Of this thread: others that use the core do not count. */
static uint64_t
recover_cpu(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + (uint64_t) ts.tv_nsec;
}


static void
recover_checkpoint(kmq_t *kmq)
{
    int                     rc, more;
    uint64_t                start, before;
    kmq_buffer_t            records;
    kmq_checkpoint_t        cp;
    kmq_checkpoint_file_t   file;

    memset(&records, 0, sizeof(kmq_buffer_t));
    start = net_now();

    if (kmq_checkpoint_begin(kmq, &cp, &records) != KMQ_OK
        || kmq_checkpoint_file_open(&file, &kmq_io_system, o.dir, &cp.info, 0)
           != 0)
    {
        recover_stop("a checkpoint cannot begin");
    }

    for (more = 1; /* void */ ; /* void */ ) {
        rc = kmq_checkpoint_file_write(&file, records.data, records.len);

        if (rc != 0 || more < 0) {
            recover_stop("a checkpoint cannot be written");
        }

        if (!more) {
            break;
        }

        records.len = 0;
        before = recover_cpu();
        more = kmq_checkpoint_next(kmq, &cp, &records);
        histogram_add(&made->slices, recover_cpu() - before);
    }

    if (kmq_checkpoint_file_finish(&file) != 0) {
        recover_stop("a checkpoint cannot be finished");
    }

    made->time = net_now() - start;

    kmq_checkpoint_end(kmq, &cp, file.size);

    if (kmq_checkpoint_file_clean(&file) != 0) {
        recover_stop("the journals cannot be removed");
    }
}


/* Leaves the files of a queue that ended without a word. */
__attribute__((noreturn)) static void
recover_write(void)
{
    kmq_t          *kmq;
    uint64_t        left;
    unsigned        n;
    kmq_ref_t       producer;
    kmq_segment_t   segment;

    recover_block();
    kmq = recover_attach();
    producer = recover_join(kmq);
    kmq_segment_init(&segment, &kmq_io_system, o.dir, 0);

    for (left = o.messages; left != 0; left -= n) {
        n = left < RECOVER_BATCH ? (unsigned) left : RECOVER_BATCH;
        recover_publish(kmq, producer, n);

        if (kmq_journal_len(kmq) > RECOVER_FLUSH) {
            recover_flush(kmq, &segment, 0);
        }
    }

    recover_flush(kmq, &segment, 1);
    kmq_segment_close(&segment);

    if (o.checkpoint) {
        recover_checkpoint(kmq);
    }

    exit(0);
}


/* ----------------------------------------------------------------- reading */

static void
recover_log(void *arg, int level, const char *text)
{
    (void) arg;

    if (level != KMQ_LOG_INFO) {
        fprintf(stderr, "kmq-recover: %s\n", text);
    }
}


/* 0 when everything is there again. */
static int
recover_read(void)
{
    int              bad;
    double           seconds;
    uint64_t         start;
    kmq_recovery_t   rc;

    recover_block();

    memset(&rc, 0, sizeof(kmq_recovery_t));
    rc.dir = o.dir;
    rc.block = block;
    rc.size = block_size;
    rc.mono = net_now() / 1000000;
    rc.wall = kmq_file_now();
    rc.log = recover_log;

    start = net_now();
    bad = kmq_recover(&rc) != 0;
    seconds = (double) (net_now() - start) / 1e9;

    bad = bad || rc.restored.ready != o.messages || rc.damaged != 0;

    printf("{\"messages\": %llu, \"recovered\": %llu, \"records\": %llu, "
           "\"files\": %u, \"bytes\": %llu, \"seconds\": %.4f, "
           "\"messages_per_s\": %.0f, \"bytes_per_message\": %.1f, "
           "\"checkpoint_ms\": %.1f, \"slice_us\": {\"count\": %llu, "
           "\"p50\": %.1f, \"p99\": %.1f, \"max\": %.1f}, "
           "\"failed\": %s}\n", (unsigned long long) o.messages,
           (unsigned long long) rc.restored.ready,
           (unsigned long long) rc.records, rc.files,
           (unsigned long long) rc.bytes, seconds,
           (double) rc.restored.ready / seconds,
           (double) rc.bytes / (double) o.messages,
           (double) made->time / 1e6, (unsigned long long) made->slices.count,
           histogram_quantile(&made->slices, 0.5) / 1e3,
           histogram_quantile(&made->slices, 0.99) / 1e3,
           (double) made->slices.max / 1e3, bad ? "true" : "false");

    return bad;
}


static int
recover_options(int argc, char **argv)
{
    static const struct option  names[] = {
        { "dir", 1, NULL, 'd' },
        { "messages", 1, NULL, 'm' },
        { "size", 1, NULL, 's' },
        { "checkpoint", 0, NULL, 'c' },
        { NULL, 0, NULL, 0 }
    };

    int  opt;

    o.messages = 1000000;
    o.size = 100;

    while ((opt = getopt_long(argc, argv, "", names, NULL)) != -1) {

        switch (opt) {
        case 'd': o.dir = optarg; break;
        case 'm': o.messages = strtoull(optarg, NULL, 10); break;
        case 's': o.size = (unsigned) strtoul(optarg, NULL, 10); break;
        case 'c': o.checkpoint = 1; break;
        default: o.size = 0;
        }
    }

    return optind != argc || o.dir == NULL || o.messages == 0 || o.size < 1
           || o.size > RECOVER_SIZE_MAX ? -1 : 0;
}


int
main(int argc, char **argv)
{
    int       status;
    pid_t     pid;
    uint64_t  n;

    if (recover_options(argc, argv) == -1) {
        fprintf(stderr, "kmq-recover: how fast a queue is recovered\n"
                "  --dir PATH     an empty directory for its files\n"
                "  --messages N   that wait (1000000)\n"
                "  --size N       bytes of each (100)\n"
                "  --checkpoint   from a checkpoint, else from a journal\n");
        return 2;
    }

    n = o.messages * (o.size + o.size / 4 + 128) + 32 * 1024 * 1024;
    block_size = n < kmq_block_max() ? (size_t) n & ~(size_t) 65535
                                     : kmq_block_max();

    made = mmap(NULL, sizeof(recover_checkpoint_t), PROT_READ|PROT_WRITE,
                MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    if (made == MAP_FAILED) {
        recover_stop("no memory");
    }

    pid = fork();

    if (pid == 0) {
        recover_write();
    }

    if (pid == -1 || waitpid(pid, &status, 0) != pid || status != 0) {
        fprintf(stderr, "kmq-recover: the files could not be written\n");
        return 2;
    }

    return recover_read();
}
