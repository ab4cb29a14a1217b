#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "load.h"


static uint64_t
load_cpu_self(void)
{
    struct rusage  ru;

    getrusage(RUSAGE_SELF, &ru);

    return (uint64_t) (ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000000000u
           + (uint64_t) (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) * 1000u;
}


/* CPU time of a thread, in nanoseconds; 0 when unknown. */
static uint64_t
load_cpu_of(int pid, int thread)
{
    char                 path[64];
    FILE                *file;
    unsigned long long   ns;

    ns = 0;
    snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", pid, thread);
    file = fopen(path, "r");

    if (file != NULL) {
        if (fscanf(file, "%llu", &ns) != 1) {
            ns = 0;
        }

        fclose(file);
    }

    return ns;
}


/* The same of all other threads of a process. */
static uint64_t
load_cpu_threads(int pid)
{
    int             thread;
    DIR            *dir;
    char            path[64];
    uint64_t        ns;
    struct dirent  *entry;

    ns = 0;
    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    dir = opendir(path);

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        thread = atoi(entry->d_name);

        if (thread != 0 && thread != pid) {
            ns += load_cpu_of(pid, thread);
        }
    }

    if (dir != NULL) {
        closedir(dir);
    }

    return ns;
}


/* CPU time that the machine has spent, in nanoseconds; 0 when unknown. */
static uint64_t
load_cpu_all(void)
{
    int                  n;
    FILE                *file;
    unsigned long long   user, nice, system, idle, wait, irq, soft, steal;

    file = fopen("/proc/stat", "r");
    n = 0;

    if (file != NULL) {
        n = fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user,
                   &nice, &system, &idle, &wait, &irq, &soft, &steal);
        fclose(file);
    }

    return n != 8 ? 0 : (user + nice + system + irq + soft + steal)
                        * 1000000000u / (unsigned long) sysconf(_SC_CLK_TCK);
}


void
load_mark(load_t *l, load_mark_t *mark)
{
    unsigned  i;

    mark->time = net_now();
    mark->accepted = l->answered - l->errors;
    mark->delivered = l->delivered;
    mark->cpu = load_cpu_self();
    mark->server_cpu = 0;
    mark->threads_cpu = 0;
    mark->all_cpu = load_cpu_all();
    mark->recvs = l->in.recvs;
    mark->sends = l->in.sends;

    for (i = 0; i < l->o.nwatch; i++) {
        mark->server_cpu += load_cpu_of(l->o.watch[i], l->o.watch[i]);
        mark->threads_cpu += load_cpu_threads(l->o.watch[i]);
    }

    mark->server_cpu += mark->threads_cpu;
}


void
load_fail(load_t *l, const char *fmt, ...)
{
    va_list  args;

    if (l->why[0] != '\0') {
        return;
    }

    va_start(args, fmt);
    vsnprintf(l->why, sizeof(l->why), fmt, args);
    va_end(args);

    fprintf(stderr, "kmq-load: %s\n", l->why);
}


uint64_t
load_memory(const load_t *l, const char *key)
{
    char                 line[128];
    FILE                *file;
    size_t               len;
    unsigned long long   kib;

    if (l->o.nwatch == 0) {
        return 0;
    }

    snprintf(line, sizeof(line), "/proc/%d/status", l->o.watch[0]);
    file = fopen(line, "r");
    len = strlen(key);
    kib = 0;

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, key, len) == 0) {
            kib = strtoull(line + len, NULL, 10);
        }
    }

    if (file != NULL) {
        fclose(file);
    }

    return kib * 1024;
}


/* Seconds of CPU time that neither this program nor the server had; the
 * kernel counts in steps of 10 ms. */
static double
load_others(const load_mark_t *from, const load_mark_t *to)
{
    double  others;

    others = (double) (to->all_cpu - from->all_cpu)
             - (double) (to->cpu - from->cpu)
             - (double) (to->server_cpu - from->server_cpu);

    return others < 0 ? 0 : others / 1e9;
}


/* What happened between two moments. */
void
load_report_span(const load_t *l, const char *name, const load_mark_t *from,
    const load_mark_t *to)
{
    double  seconds, accepted, delivered, messages;

    seconds = (double) (to->time - from->time) / 1e9;

    if (seconds <= 0) {
        seconds = 1e-9;
    }

    accepted = (double) (to->accepted - from->accepted);
    delivered = (double) (to->delivered - from->delivered);
    messages = accepted > delivered ? accepted : delivered;

    if (messages < 1) {
        messages = 1;
    }

    printf(", \"%s\": {\"seconds\": %.6f, \"accepted_per_s\": %.0f, "
           "\"delivered_per_s\": %.0f, \"accepted_bytes_per_s\": %.0f, "
           "\"delivered_bytes_per_s\": %.0f", name, seconds,
           accepted / seconds, delivered / seconds,
           accepted * l->o.size / seconds, delivered * l->o.size / seconds);
    printf(", \"load_cpu\": %.3f, \"load_syscalls_per_message\": %.4f",
           (double) (to->cpu - from->cpu) / 1e9 / seconds,
           (double) (to->recvs - from->recvs + to->sends - from->sends)
           / messages);

    if (l->o.nwatch != 0) {
        printf(", \"server_cpu\": %.3f, \"server_ns_per_message\": %.1f, "
               "\"threads_ns_per_message\": %.1f, \"others_cpu\": %.3f",
               (double) (to->server_cpu - from->server_cpu) / 1e9 / seconds,
               (double) (to->server_cpu - from->server_cpu) / messages,
               (double) (to->threads_cpu - from->threads_cpu) / messages,
               load_others(from, to) / seconds);
    }

    printf("}");
}


void
load_report_times(const char *name, const histogram_t *h)
{
    printf(", \"%s\": {\"count\": %llu, \"p50\": %.1f, \"p90\": %.1f, "
           "\"p99\": %.1f, \"p999\": %.1f, \"max\": %.1f}", name,
           (unsigned long long) h->count,
           histogram_quantile(h, 0.5) / 1e3, histogram_quantile(h, 0.9) / 1e3,
           histogram_quantile(h, 0.99) / 1e3,
           histogram_quantile(h, 0.999) / 1e3, (double) h->max / 1e3);
}


static void
load_report_counts(const load_t *l, uint64_t lost)
{
    printf("{\"sent\": %llu, \"accepted\": %llu, \"errors\": %llu, "
           "\"unanswered\": %llu, \"delivered\": %llu, \"lost\": %llu, "
           "\"duplicate\": %llu, \"disorder\": %llu, \"corrupt\": %llu, "
           "\"closed\": %llu, \"early\": %llu",
           (unsigned long long) l->sent,
           (unsigned long long) (l->answered - l->errors),
           (unsigned long long) l->errors,
           (unsigned long long) (l->sent - l->answered),
           (unsigned long long) l->delivered, (unsigned long long) lost,
           (unsigned long long) l->check.duplicate,
           (unsigned long long) l->check.disorder,
           (unsigned long long) l->check.corrupt,
           (unsigned long long) l->closed,
           (unsigned long long) l->early);
}


static void
load_report_why(const load_t *l)
{
    const char  *p;

    printf(", \"why\": \"");

    for (p = l->why; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\') {
            putchar('\\');
        }

        putchar((unsigned char) *p < 0x20 ? ' ' : *p);
    }

    printf("\"");
}


int
load_report(load_t *l)
{
    int                 bad;
    uint64_t            lost;
    const load_mark_t  *from;

    lost = load_expected(l);
    lost = lost > l->check.unique ? lost - l->check.unique : 0;
    l->end.time = l->progress > l->start.time ? l->progress : l->end.time;

    /* a run too short to warm up counts from its start */
    from = l->warm.time != 0 && l->warm.time < l->stop.time ? &l->warm
                                                            : &l->start;

    load_report_counts(l, lost);
    load_report_span(l, "whole", &l->start, &l->end);
    load_report_span(l, "steady", from, &l->stop);

    if (l->o.delayed) {
        printf(", \"earliest_us\": %.1f", (double) l->earliest / 1e3);
    }

    if (!l->o.ingest) {
        load_report_times(l->o.delayed ? "lateness_us" : "latency_us",
                          &l->latency);
    }

    if (l->o.answers) {
        load_report_times("answer_us", &l->answer);
    }

    if (l->unread.count != 0) {
        load_report_times("read_lag_us", &l->unread);
    }

    if (l->o.rate != 0) {
        load_report_times("send_lag_us", &l->lag);
        load_report_times("gap_us", &l->gap);
    }

    load_deep_report(l);
    bad = load_churn_report(l);
    load_search_report(l);

    bad = bad || lost != 0 || l->check.duplicate != 0 || l->check.disorder != 0
          || l->check.corrupt != 0 || l->closed != 0 || l->errors != 0
          || l->sent != l->answered || l->early != 0;

    if (bad) {
        load_report_why(l);
    }

    printf(", \"failed\": %s}\n", bad ? "true" : "false");

    if (lost != 0) {
        load_check_explain(l);
    }

    return bad;
}
