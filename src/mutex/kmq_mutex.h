/* Mutexes in memory that processes share: when the holder has died, the next
 * one to lock it is told so (EOWNERDEAD). */

#ifndef KMQ_MUTEX_H
#define KMQ_MUTEX_H

#include <pthread.h>


/* Makes one, which nobody holds.  0, or an error number. */
static inline int
kmq_mutex_init(pthread_mutex_t *mutex)
{
    int                  rc;
    pthread_mutexattr_t  attr;

    rc = pthread_mutexattr_init(&attr);
    if (rc != 0) {
        return rc;
    }

    rc = pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);

    if (rc == 0) {
        rc = pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    }

    if (rc == 0) {
        rc = pthread_mutex_init(mutex, &attr);
    }

    (void) pthread_mutexattr_destroy(&attr);

    return rc;
}

#endif /* KMQ_MUTEX_H */
