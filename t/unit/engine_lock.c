/*
 * A process that stands still with the lock: the others wait, whatever is done
 * to the wall clock, and tell whom they wait for.
 */

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine_util.h"


#define SIZE  (8 * EU_MB)


static void      *block;
static pid_t      child;
static unsigned   calls, waited, holder, wall;
static int        holder_pid;


/* In place of the C library's: who asks for the time that can be set? */
int
clock_gettime(clockid_t id, struct timespec *ts)
{
    wall += id == CLOCK_REALTIME;

    return (int) syscall(SYS_clock_gettime, id, ts);
}


static void
waits(void *arg, unsigned ms, unsigned worker, int pid)
{
    (void) arg;

    calls++;
    waited = ms;
    holder = worker;
    holder_pid = pid;

    /* longer, to see that nothing is told again */

    (void) usleep(100000);
    (void) kill(child, SIGCONT);
}


#ifdef KMQ_FAULTS
static void
stand_still(const char *point)
{
    if (strcmp(point, "join") == 0) {
        (void) raise(SIGSTOP);
    }
}
#endif


__attribute__((noreturn)) static void
child_main(void)
{
    kmq_t  *kmq;

    (void) alarm(60);

#ifdef KMQ_FAULTS
    kmq_fault = stand_still;
#endif

    kmq = kmq_attach(block, SIZE, 3);

    if (kmq) {
        kmq_clock(kmq, 1000, 1640975470000);
        (void) eu_producer(kmq, "t");
        kmq_detach(kmq);
    }

    _exit(kmq == NULL);
}


int
main(void)
{
    int       status;
    kmq_t    *kmq;
    uint64_t  start;

#ifndef KMQ_FAULTS
    skip_all("built without -DKMQ_FAULTS");
#endif

    (void) alarm(60);

    block = eu_block(SIZE);
    kmq = eu_attach(block, SIZE, 0);
    kmq_on_wait(kmq, waits, NULL);

    fflush(stdout);
    child = fork();

    if (child == 0) {
        child_main();
    }

    ok(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status),
       "a process stands still with the lock");

    wall = 0;
    start = eu_ms();
    (void) kmq_tick(kmq);

    ok(eu_ms() - start >= 1000, "another one waits");
    is_int(calls, 1, "and tells so once");
    ok(waited >= 1000, "after %u ms", waited);
    is_int(holder, 3, "for which worker");
    is_int(holder_pid, child, "and for which process");
    is_int(wall, 0, "it does not wait by the wall clock");

    ok(waitpid(child, &status, 0) == child && status == 0, "it goes on");

    eu_close(kmq, block, SIZE, "lock");

    return done_testing();
}
