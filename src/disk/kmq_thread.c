/* The writing thread. */

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "kmq_thread.h"


static void *
thread_main(void *arg)
{
    static const unsigned char  one[8] = { 1 };

    kmq_thread_t  *t = arg;

    (void) pthread_mutex_lock(&t->mutex);

    for ( ;; ) {

        while (t->job == NULL && !t->stop) {
            (void) pthread_cond_wait(&t->cond, &t->mutex);
        }

        if (t->job == NULL) {
            break;
        }

        (void) pthread_mutex_unlock(&t->mutex);

        t->job(t->arg);

        (void) pthread_mutex_lock(&t->mutex);

        t->job = NULL;
        (void) pthread_cond_broadcast(&t->cond);

        /* it fails only when so many are unread that it says nothing new */

        if (t->fd != -1 && write(t->fd, one, sizeof(one)) == -1) {
            continue;
        }
    }

    (void) pthread_mutex_unlock(&t->mutex);

    return NULL;
}


int
kmq_thread_start(kmq_thread_t *t, int fd)
{
    int       rc;
    sigset_t  all, before;

    memset(t, 0, sizeof(kmq_thread_t));

    t->fd = fd;
    (void) pthread_mutex_init(&t->mutex, NULL);
    (void) pthread_cond_init(&t->cond, NULL);

    /* signals are for the event loop */

    (void) sigfillset(&all);
    (void) pthread_sigmask(SIG_BLOCK, &all, &before);

    rc = pthread_create(&t->thread, NULL, thread_main, t);

    (void) pthread_sigmask(SIG_SETMASK, &before, NULL);

    t->started = rc == 0;

    return rc;
}


void
kmq_thread_run(kmq_thread_t *t, void (*job)(void *arg), void *arg)
{
    (void) pthread_mutex_lock(&t->mutex);

    t->job = job;
    t->arg = arg;

    (void) pthread_cond_broadcast(&t->cond);
    (void) pthread_mutex_unlock(&t->mutex);
}


int
kmq_thread_busy(kmq_thread_t *t)
{
    int  busy;

    (void) pthread_mutex_lock(&t->mutex);
    busy = t->job != NULL;
    (void) pthread_mutex_unlock(&t->mutex);

    return busy;
}


void
kmq_thread_wait(kmq_thread_t *t)
{
    (void) pthread_mutex_lock(&t->mutex);

    while (t->job) {
        (void) pthread_cond_wait(&t->cond, &t->mutex);
    }

    (void) pthread_mutex_unlock(&t->mutex);
}


void
kmq_thread_stop(kmq_thread_t *t)
{
    if (!t->started) {
        return;
    }

    (void) pthread_mutex_lock(&t->mutex);
    t->stop = 1;
    (void) pthread_cond_broadcast(&t->cond);
    (void) pthread_mutex_unlock(&t->mutex);

    (void) pthread_join(t->thread, NULL);
    (void) pthread_cond_destroy(&t->cond);
    (void) pthread_mutex_destroy(&t->mutex);

    t->started = 0;
}
