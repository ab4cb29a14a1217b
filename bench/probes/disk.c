/*
 * What does the disk allow?  The pattern of a journal without a queue: bytes
 * are appended to a file and flushed with fdatasync, one batch after the
 * other, for some seconds.
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/histogram.h"
#include "../common/net.h"


#define DISK_BYTES_MAX  (64 * 1024 * 1024)

typedef struct {
    const char  *dir;
    size_t       bytes;        /* of a flush */
    double       seconds;
} disk_options_t;

static histogram_t  times;     /* of a batch, written and flushed */


static int
disk_append(int fd, const char *data, size_t size)
{
    ssize_t  n;

    for ( /* void */ ; size != 0; size -= (size_t) n) {
        n = write(fd, data, size);

        if (n == -1) {
            return -1;
        }

        data += n;
    }

    return fdatasync(fd);
}


/* The nanoseconds that it took, or 0. */
static uint64_t
disk_run(const disk_options_t *o, int fd)
{
    char      *data;
    uint64_t   start, before, now;

    data = malloc(o->bytes);

    if (data == NULL) {
        return 0;
    }

    memset(data, 'x', o->bytes);
    start = net_now();
    now = start;

    do {
        before = now;

        if (disk_append(fd, data, o->bytes) == -1) {
            free(data);
            return 0;
        }

        now = net_now();
        histogram_add(&times, now - before);
    } while ((double) (now - start) < o->seconds * 1e9);

    free(data);

    return now - start;
}


static int
disk_options(disk_options_t *o, int argc, char **argv)
{
    static const struct option  names[] = {
        { "dir", 1, NULL, 'd' },
        { "bytes", 1, NULL, 'b' },
        { "seconds", 1, NULL, 's' },
        { NULL, 0, NULL, 0 }
    };

    int  opt;

    o->dir = ".";
    o->bytes = 128;
    o->seconds = 1;

    while ((opt = getopt_long(argc, argv, "", names, NULL)) != -1) {

        switch (opt) {
        case 'd': o->dir = optarg; break;
        case 'b': o->bytes = strtoull(optarg, NULL, 10); break;
        case 's': o->seconds = strtod(optarg, NULL); break;
        default: o->bytes = 0;
        }
    }

    return optind != argc || o->bytes < 1 || o->bytes > DISK_BYTES_MAX
           || !(o->seconds > 0) ? -1 : 0;
}


int
main(int argc, char **argv)
{
    int              fd;
    char             path[4096];
    double           seconds;
    disk_options_t   o;

    if (disk_options(&o, argc, argv) == -1) {
        fprintf(stderr, "kmq-disk: how often a disk can flush\n"
                "  --dir PATH     where the file is made, and removed (.)\n"
                "  --bytes N      written before each flush (128)\n"
                "  --seconds N    how long (1)\n");
        return 2;
    }

    snprintf(path, sizeof(path), "%s/kmq-disk.%ld", o.dir, (long) getpid());
    fd = open(path, O_WRONLY|O_CREAT|O_EXCL|O_APPEND|O_CLOEXEC, 0600);

    if (fd == -1) {
        fprintf(stderr, "kmq-disk: %s: %s\n", path, strerror(errno));
        return 2;
    }

    seconds = (double) disk_run(&o, fd) / 1e9;

    if (seconds == 0) {
        fprintf(stderr, "kmq-disk: %s: %s\n", path, strerror(errno));
    }

    unlink(path);

    if (seconds == 0) {
        return 1;
    }

    printf("{\"bytes\": %zu, \"seconds\": %.3f, \"flushes_per_s\": %.1f, "
           "\"bytes_per_s\": %.0f, \"p50_us\": %.1f, \"p99_us\": %.1f, "
           "\"max_us\": %.1f, \"failed\": false}\n", o.bytes, seconds,
           (double) times.count / seconds,
           (double) times.count * (double) o.bytes / seconds,
           histogram_quantile(&times, 0.5) / 1e3,
           histogram_quantile(&times, 0.99) / 1e3, (double) times.max / 1e3);

    return 0;
}
