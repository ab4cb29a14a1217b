/*
 * How long a look for a key takes tells nothing of the keys: the instructions
 * are counted, one by one, in a process that is traced, and are as many for
 * each right key, and as many for each wrong one, wherever that differs.
 */

#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../src/access/kmq_keys.h"
#include "tap.h"


#define KEYS  7


static kmq_keys_t    *keys;
static kmq_digest_t   valid[KEYS];


/* So many instructions does a look take, 0: they cannot be counted here. */
static long
count(const kmq_digest_t *digest)
{
    int   status;
    long  n;
    pid_t pid;

    fflush(stdout);
    pid = fork();

    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) {
            _exit(1);
        }

        /* the second one finds everything as the first one left it */
        (void) kmq_keys_find(keys, digest);
        raise(SIGSTOP);
        (void) kmq_keys_find(keys, digest);
        raise(SIGSTOP);
        _exit(0);
    }

    if (pid == -1 || waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) {
        return 0;
    }

    for (n = 0; ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0; n++) {

        if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)
            || WSTOPSIG(status) != SIGTRAP)
        {
            break;
        }
    }

    kill(pid, SIGKILL);
    (void) waitpid(pid, &status, 0);

    return n;
}


/* A digest that differs from a valid one in a byte. */
static kmq_digest_t
wrong(unsigned key, unsigned byte)
{
    kmq_digest_t  digest = valid[key];

    digest.bytes[byte] ^= 1;

    return digest;
}


static void
same(const kmq_digest_t *digest, long expected, const char *name)
{
    is_int(count(digest), expected, name);
}


int
main(void)
{
    long             expected;
    size_t           size;
    unsigned         i;
    kmq_digest_t     none, first, last;
    kmq_rights_t    *rights;
    kmq_keys_one_t   one[KEYS];

    rights = kmq_rights_all();

    for (i = 0; i < KEYS; i++) {
        if (kmq_digest(&valid[i], &i, sizeof(i)) != 0) {
            return 1;
        }

        one[i].digest = valid[i];
        one[i].rights = rights;
    }

    keys = kmq_keys_make(one, KEYS, NULL, 0, &size);
    memset(&none, 0, sizeof(none));

    expected = count(&none);

    if (expected == 0) {
        diag("instructions cannot be counted here");

    } else {
        diag("%ld instructions for %d keys", expected, KEYS);

        same(&none, expected, "the same twice");
        same(&valid[KEYS - 1], count(&valid[0]),
             "the last key, and the first one");

        for (i = 0; i < KEYS; i += KEYS - 1) {
            first = wrong(i, 0);
            last = wrong(i, KMQ_DIGEST_LEN - 1);
            same(&first, expected, "one that differs at its beginning");
            same(&last, expected, "one that differs at its end");
        }
    }

    ok(kmq_keys_find(keys, &valid[3]) != NULL, "a key is found");

    free(keys);
    free(rights);

    return done_testing();
}
