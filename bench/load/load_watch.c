/* Moments of a run: the counters, and what the processes have used. */

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "load.h"
#include "../common/cpu.h"


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


/* What of a process's CPU time was in the kernel, in nanoseconds; 0 when
 * unknown. */
static uint64_t
load_cpu_kernel(int pid)
{
    char                 path[64];
    FILE                *file;
    unsigned long long   ticks;

    ticks = 0;
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    file = fopen(path, "r");

    if (file != NULL) {
        /* the second field is a name in parentheses, the 15th is wanted */
        if (fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u "
                   "%*u %*u %*u %llu", &ticks) != 1)
        {
            ticks = 0;
        }

        fclose(file);
    }

    return ticks * 1000000000u / (unsigned long) sysconf(_SC_CLK_TCK);
}


/* A number of /proc/PID/status by its name; 0 when unknown. */
static uint64_t
load_status(int pid, const char *key)
{
    char                 line[128];
    FILE                *file;
    size_t               len;
    unsigned long long   value;

    snprintf(line, sizeof(line), "/proc/%d/status", pid);
    file = fopen(line, "r");
    len = strlen(key);
    value = 0;

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, key, len) == 0) {
            value = strtoull(line + len, NULL, 10);
        }
    }

    if (file != NULL) {
        fclose(file);
    }

    return value;
}


void
load_mark(load_t *l, load_mark_t *mark)
{
    int       pid;
    unsigned  i;

    memset(mark, 0, sizeof(load_mark_t));
    mark->time = net_now();
    mark->accepted = l->answered - l->errors;
    mark->delivered = l->delivered;
    mark->cpu = cpu_of(RUSAGE_SELF);
    mark->all_cpu = cpu_all();
    mark->recvs = l->in.recvs;
    mark->sends = l->in.sends;

    for (i = 0; i < l->o.nwatch; i++) {
        pid = l->o.watch[i];
        mark->server_cpu += load_cpu_of(pid, pid);
        mark->threads_cpu += load_cpu_threads(pid);
        mark->kernel_cpu += load_cpu_kernel(pid);
        mark->sleeps += load_status(pid, "voluntary_ctxt_switches:");
        mark->preempted += load_status(pid, "nonvoluntary_ctxt_switches:");
    }

    mark->server_cpu += mark->threads_cpu;
}


uint64_t
load_memory(const load_t *l, const char *key)
{
    return l->o.nwatch != 0 ? load_status(l->o.watch[0], key) * 1024 : 0;
}
