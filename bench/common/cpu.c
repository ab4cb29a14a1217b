#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cpu.h"


uint64_t
cpu_of(int who)
{
    struct rusage  ru;

    getrusage(who, &ru);

    return (uint64_t) (ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000000000u
           + (uint64_t) (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) * 1000u;
}


uint64_t
cpu_all(void)
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
