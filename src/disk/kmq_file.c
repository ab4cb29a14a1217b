/* Names and heads of files. */

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../engine/journal/kmq_crc32c.h"
#include "kmq_file.h"


static const unsigned char  magic[8] = { 'K', 'a', 'p', 'o', 'k', 'M', 'Q',
                                         '\n' };


void
kmq_file_head_write(unsigned char p[KMQ_FILE_HEAD],
    const kmq_file_head_t *head)
{
    memcpy(p, magic, 8);
    kmq_put32(p + 8, KMQ_FORMAT_VERSION);
    kmq_put32(p + 12, head->kind);
    kmq_put64(p + 16, head->info.generation);
    kmq_put64(p + 24, head->info.start);
    kmq_put64(p + 32, head->created);
    kmq_put64(p + 40, head->info.key[0]);
    kmq_put64(p + 48, head->info.key[1]);
    kmq_put32(p + 56, head->info.worker);
    kmq_put32(p + 60, kmq_crc32c(0, p, 60));
}


const char *
kmq_file_head_read(const unsigned char p[KMQ_FILE_HEAD],
    kmq_file_head_t *head)
{
    if (memcmp(p, magic, 8) != 0) {
        return "it does not begin as a file of KapokMQ";
    }

    if (kmq_crc32c(0, p, 60) != kmq_get32(p + 60)) {
        return "the checksum of its head is wrong";
    }

    head->version = kmq_get32(p + 8);
    head->kind = kmq_get32(p + 12);
    head->info.generation = kmq_get64(p + 16);
    head->info.start = kmq_get64(p + 24);
    head->created = kmq_get64(p + 32);
    head->info.key[0] = kmq_get64(p + 40);
    head->info.key[1] = kmq_get64(p + 48);
    head->info.worker = kmq_get32(p + 56);

    return NULL;
}


void
kmq_file_path(char path[KMQ_PATH_SIZE], const char *dir, unsigned kind,
    uint64_t generation, unsigned worker, unsigned n)
{
    unsigned long long  g = generation;

    switch (kind) {

    case KMQ_FILE_JOURNAL:
        (void) snprintf(path, KMQ_PATH_SIZE, "%s/journal-%016llx-%03u-%u",
                        dir, g, worker, n);
        break;

    case KMQ_FILE_CHECKPOINT:
        (void) snprintf(path, KMQ_PATH_SIZE, "%s/checkpoint-%016llx", dir, g);
        break;

    default:
        (void) snprintf(path, KMQ_PATH_SIZE, "%s/checkpoint-%016llx.new", dir,
                        g);
        break;
    }
}


unsigned
kmq_file_kind(const char *name, uint64_t *generation)
{
    int                 end;
    unsigned            worker, n;
    unsigned long long  g;

    end = 0;

    if (sscanf(name, "journal-%16llx-%4u-%u%n", &g, &worker, &n, &end) == 3
        && name[end] == '\0')
    {
        *generation = g;
        return KMQ_FILE_JOURNAL;
    }

    end = 0;

    if (sscanf(name, "checkpoint-%16llx%n", &g, &end) != 1 || end == 0) {
        return KMQ_FILE_NONE;
    }

    *generation = g;

    if (name[end] == '\0') {
        return KMQ_FILE_CHECKPOINT;
    }

    return strcmp(name + end, ".new") == 0 ? KMQ_FILE_NEW : KMQ_FILE_NONE;
}


uint64_t
kmq_file_now(void)
{
    struct timespec  now;

    (void) clock_gettime(CLOCK_REALTIME, &now);

    return (uint64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}


void
kmq_log(kmq_log_t log, void *arg, int level, const char *format, ...)
{
    char     text[2 * KMQ_PATH_SIZE];
    va_list  args;

    va_start(args, format);
    (void) vsnprintf(text, sizeof(text), format, args);
    va_end(args);

    log(arg, level, text);
}
