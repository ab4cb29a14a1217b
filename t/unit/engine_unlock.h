/*
 * What a test does at the moment when the engine has given back a lock.  It
 * stands before the C library's pthread_mutex_unlock().
 */

#ifndef KMQ_ENGINE_UNLOCK_H
#define KMQ_ENGINE_UNLOCK_H

#include <dlfcn.h>
#include <pthread.h>

#include "engine_inside.h"


/* Called once, when somebody has given back this lock; it may set both
 * anew. */
static void             (*eo_unlocked)(void);
static pthread_mutex_t   *eo_mutex;


/* The engine calls this one. */
int
pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    int           rc;
    void        (*then)(void);
    static int  (*unlock)(pthread_mutex_t *mutex);

    if (unlock == NULL) {
        *(void **) &unlock = dlsym(RTLD_NEXT, "pthread_mutex_unlock");
    }

    rc = unlock(mutex);
    then = eo_unlocked;

    if (then && mutex == eo_mutex) {
        eo_unlocked = NULL;
        then();
    }

    return rc;
}


EU_UNUSED static void
eo_when_unlocked(pthread_mutex_t *mutex, void (*then)(void))
{
    eo_mutex = mutex;
    eo_unlocked = then;
}

#endif /* KMQ_ENGINE_UNLOCK_H */
