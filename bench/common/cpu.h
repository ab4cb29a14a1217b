/* CPU time, in nanoseconds. */

#ifndef BENCH_CPU_H
#define BENCH_CPU_H

#include <stdint.h>


/* What this process, or its children that have ended, have used: RUSAGE_SELF,
 * RUSAGE_CHILDREN. */
uint64_t cpu_of(int who);

/* What the machine has spent, in steps of 10 ms; 0 when unknown. */
uint64_t cpu_all(void);

#endif /* BENCH_CPU_H */
