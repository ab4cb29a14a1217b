/*
 * The workers' user.  The directory and all in it belong to that user, who may
 * have put links, pipes or anything else in the place of files: so the master
 * does nothing there that the user could not do.  It takes the user's rights
 * for that long, as nginx's workers take them for good.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE                /* setgroups(), initgroups() */
#endif

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "kmq_file.h"


/* What the process was before. */
static struct {
    int     entered;
    uid_t   uid;
    gid_t   gid;
    gid_t  *group;
    int     ngroups;
    int     dumpable;
} before;


static int
groups_keep(void)
{
    before.ngroups = getgroups(0, NULL);

    if (before.ngroups == -1) {
        return -1;
    }

    before.group = malloc((before.ngroups + 1) * sizeof(gid_t));

    if (before.group == NULL) {
        return -1;
    }

    return getgroups(before.ngroups, before.group) == -1 ? -1 : 0;
}


static int
groups_restore(void)
{
    int  rc;

    rc = setgroups(before.ngroups, before.group);

    free(before.group);
    before.group = NULL;

    return rc;
}


int
kmq_user_enter(const kmq_user_t *user, kmq_log_t log, void *arg)
{
    if (user->name == NULL || (uid_t) user->uid == geteuid()) {
        return 0;
    }

    before.uid = geteuid();
    before.gid = getegid();
    before.dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);

    if (groups_keep() == 0 && initgroups(user->name, user->gid) == 0
        && setegid(user->gid) == 0 && seteuid(user->uid) == 0)
    {
        before.entered = 1;
        return 0;
    }

    kmq_log(log, arg, KMQ_LOG_ERROR, "taking the rights of user \"%s\" "
            "failed: %s", user->name, strerror(errno));

    if (setegid(before.gid) == -1 || groups_restore() == -1) {
        kmq_log(log, arg, KMQ_LOG_ERROR, "taking back the rights of user %d "
                "failed: %s", (int) before.uid, strerror(errno));
    }

    return -1;
}


int
kmq_user_leave(kmq_log_t log, void *arg)
{
    if (!before.entered) {
        return 0;
    }

    before.entered = 0;

    if (seteuid(before.uid) == -1 || setegid(before.gid) == -1
        || groups_restore() == -1)
    {
        kmq_log(log, arg, KMQ_LOG_ERROR, "taking back the rights of user %d "
                "failed: %s", (int) before.uid, strerror(errno));
        return -1;
    }

    /* the change has made that 0 */

    (void) prctl(PR_SET_DUMPABLE, before.dumpable == 1, 0, 0, 0);

    return 0;
}
