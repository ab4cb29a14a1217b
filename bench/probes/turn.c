/*
 * How long the event loop of a program takes for a turn: from epoll_wait()'s
 * return to its next call: wall time, CPU time of the thread, and for how long
 * it slept; the rest is the time in which others had its core.  To be
 * preloaded; run.sh does that to nginx for the row "stall".
 *
 * KMQ_TURNS names a file.  A process that gets SIGRTMIN writes there what its
 * turns were since the last time, as JSON, and begins anew.
 */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "../common/histogram.h"


typedef int (*turn_wait_pt)(int epoll, struct epoll_event *events, int n,
    int timeout);

typedef struct {
    uint64_t  wall;
    uint64_t  cpu;
    uint64_t  queued;          /* ready to run, but for a core */
    long      slept;           /* how often */
} turn_time_t;


static turn_wait_pt           turn_wait;
static char                   turn_file[4000];
static turn_time_t            turn_begun;    /* wall 0: no turn has */
static histogram_t            turn_wall;
static histogram_t            turn_cpu;
static histogram_t            turn_asleep;
static int                    turn_schedule = -1;
static volatile sig_atomic_t  turn_asked;


static void
turn_signal(int signo)
{
    (void) signo;
    turn_asked = 1;
}


__attribute__((constructor))
static void
turn_start(void)
{
    void              *p;
    const char        *name;
    struct sigaction   sa;

    /* nginx empties its environment, and its workers are forked */

    name = getenv("KMQ_TURNS");
    snprintf(turn_file, sizeof(turn_file), "%s", name == NULL ? "" : name);

    p = dlsym(RTLD_NEXT, "epoll_wait");
    memcpy(&turn_wait, &p, sizeof(p));

    memset(&sa, 0, sizeof(sa));
    sa.sa_handler = turn_signal;
    sigaction(SIGRTMIN, &sa, NULL);
}


static uint64_t
turn_clock(clockid_t id)
{
    struct timespec  ts;

    clock_gettime(id, &ts);

    return (uint64_t) ts.tv_sec * 1000000000u + (uint64_t) ts.tv_nsec;
}


/* How long the thread has waited for a core in its life; 0: unknown. */
static uint64_t
turn_queued(void)
{
    char      text[128];
    char     *end;
    ssize_t   n;

    if (turn_schedule == -1) {
        turn_schedule = open("/proc/thread-self/schedstat",
                             O_RDONLY|O_CLOEXEC);
    }

    n = pread(turn_schedule, text, sizeof(text) - 1, 0);

    if (n < 1) {
        return 0;
    }

    text[n] = '\0';
    (void) strtoull(text, &end, 10);

    return strtoull(end, NULL, 10);
}


static turn_time_t
turn_now(void)
{
    turn_time_t    now;
    struct rusage  ru;

    getrusage(RUSAGE_THREAD, &ru);

    now.slept = ru.ru_nvcsw;
    now.queued = turn_queued();
    now.cpu = turn_clock(CLOCK_THREAD_CPUTIME_ID);
    now.wall = turn_clock(CLOCK_MONOTONIC);

    return now;
}


static void
turn_add(const turn_time_t *from, const turn_time_t *to)
{
    uint64_t  wall, awake;

    wall = to->wall - from->wall;
    awake = to->cpu - from->cpu + to->queued - from->queued;

    histogram_add(&turn_wall, wall);
    histogram_add(&turn_cpu, to->cpu - from->cpu);

    /* where it never slept the machine itself did not run */

    histogram_add(&turn_asleep, wall > awake && to->slept > from->slept
                                ? wall - awake : 0);
}


static void
turn_print(FILE *file, const char *name, const histogram_t *h)
{
    fprintf(file, "\"%s\": {\"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f, "
            "\"max\": %.1f}", name, histogram_quantile(h, 0.5) / 1e3,
            histogram_quantile(h, 0.99) / 1e3,
            histogram_quantile(h, 0.999) / 1e3, (double) h->max / 1e3);
}


/* Whoever waits for the file finds it whole. */
static void
turn_report(void)
{
    char   name[sizeof(turn_file) + 4];
    FILE  *file;

    turn_asked = 0;
    snprintf(name, sizeof(name), "%s.new", turn_file);
    file = fopen(name, "w");

    if (file != NULL) {
        fprintf(file, "{\"turns\": %llu, ",
                (unsigned long long) turn_wall.count);
        turn_print(file, "wall_us", &turn_wall);
        fprintf(file, ", ");
        turn_print(file, "cpu_us", &turn_cpu);
        fprintf(file, ", ");
        turn_print(file, "asleep_us", &turn_asleep);
        fprintf(file, "}\n");
        fclose(file);
        (void) rename(name, turn_file);
    }

    memset(&turn_wall, 0, sizeof(turn_wall));
    memset(&turn_cpu, 0, sizeof(turn_cpu));
    memset(&turn_asleep, 0, sizeof(turn_asleep));
}


int
epoll_wait(int epoll, struct epoll_event *events, int n, int timeout)
{
    int          rc, error;
    turn_time_t  now;

    /* the event loop is the process's first thread */

    if (gettid() != getpid()) {
        return turn_wait(epoll, events, n, timeout);
    }

    if (turn_begun.wall != 0) {
        now = turn_now();
        turn_add(&turn_begun, &now);
    }

    rc = turn_wait(epoll, events, n, timeout);
    error = errno;

    if (turn_asked) {
        turn_report();
    }

    turn_begun = turn_now();
    errno = error;

    return rc;
}
