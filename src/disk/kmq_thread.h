/*
 * A thread that does what may wait for a disk, one job at a time.
 *
 * It is our own rather than one of nginx's pool: so the module loads into an
 * nginx without threads, the journal never queues behind somebody's files, and
 * at the end we decide when it stops.
 */

#ifndef KMQ_THREAD_H
#define KMQ_THREAD_H

#include <pthread.h>


typedef struct {
    pthread_t         thread;
    pthread_mutex_t   mutex;     /* guards what follows */
    pthread_cond_t    cond;
    void            (*job)(void *arg);   /* NULL: none to do */
    void             *arg;
    int               stop;
    int               started;
    int               fd;        /* an eventfd, written when a job is done */
} kmq_thread_t;

/* fd: what to write to when a job is done, -1: nothing.  0, or an errno. */
int kmq_thread_start(kmq_thread_t *t, int fd);

/* Has it do a job; there must be none before it that is not done. */
void kmq_thread_run(kmq_thread_t *t, void (*job)(void *arg), void *arg);

/* 1 while it has a job. */
int kmq_thread_busy(kmq_thread_t *t);

/* Returns when it has none. */
void kmq_thread_wait(kmq_thread_t *t);

/* Ends it, after its job. */
void kmq_thread_stop(kmq_thread_t *t);

#endif /* KMQ_THREAD_H */
