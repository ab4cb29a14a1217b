#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "load.h"


#define SPREAD_LOOK  10        /* ms between two looks at the processes */


/*
 * --spread: a process has descriptors for some thousand clients only, so idle
 * ones are those of several.  What they see is in memory that they share; the
 * first one has forked them, and has no clients itself.
 */


void *
load_shared(size_t size)
{
    void  *p;

    p = mmap(NULL, size, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}


int
load_spread_init(load_t *l)
{
    load_spread_t  *spread;

    if (l->o.idle == 0) {
        return 0;
    }

    spread = load_shared(sizeof(load_spread_t));

    if (spread == NULL) {
        return -1;
    }

    l->spread = spread;
    spread->clients = l->o.idle + (l->o.rate != 0);

    return load_return_share(l) == -1 || load_meanwhile_share(l) == -1 ? -1
                                                                        : 0;
}


/* A process that ends: what went wrong is wrong for all. */
static void
spread_ended(load_t *l, int status, int *rc)
{
    if (status == 0) {
        return;
    }

    l->spread->failed = 1;
    *rc = WIFEXITED(status) && WEXITSTATUS(status) > *rc ? WEXITSTATUS(status)
                                                         : *rc;
    *rc = *rc == 0 ? 2 : *rc;
}


/* Tells when all are ready, and waits for the end of all. */
static int
spread_wait(load_t *l, unsigned processes)
{
    int    rc, status;
    pid_t  pid;

    rc = 0;

    while (processes != 0) {
        pid = waitpid(-1, &status, WNOHANG);

        if (pid > 0) {
            processes--;
            spread_ended(l, status, &rc);
            continue;
        }

        load_spread_tell(l);
        (void) poll(NULL, 0, SPREAD_LOOK);
    }

    load_spread_tell(l);

    return rc;
}


int
load_spread_fork(load_t *l, int *rc)
{
    pid_t     pid;
    unsigned  i, n, all;

    n = l->o.spread;

    if (l->spread == NULL || n < 2) {
        return 0;
    }

    all = l->o.idle;

    for (i = 0; i < n; i++) {
        pid = fork();

        if (pid == -1) {
            perror("kmq-load: fork");
            l->spread->failed = 1;
            break;
        }

        if (pid == 0) {
            l->process = i;
            l->o.idle = all / n + (i < all % n);
            return 0;
        }
    }

    *rc = spread_wait(l, i);

    if (*rc == 0) {
        *rc = i == n ? load_return_report(l) : 2;
    }

    return 1;
}


void
load_spread_ready(load_t *l)
{
    l->spread->ready += l->nclients;

    if (l->o.spread < 2) {
        load_spread_tell(l);
    }
}


void
load_spread_tell(load_t *l)
{
    if (!l->told && l->spread->ready == l->spread->clients) {
        printf("{\"idle\": %u}\n", l->o.idle);
        fflush(stdout);
        l->told = 1;
    }
}


int
load_spread_failed(load_t *l)
{
    if (l->closed != 0) {
        l->spread->failed = 1;
    }

    return l->spread->failed;
}
