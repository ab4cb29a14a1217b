/*
 * Preloaded into the nginx that is fuzzed: at a signal a process writes how
 * many bytes it has allocated, as the sanitizer counts them, into a file named
 * by KMQ_HEAP and its pid.  What a process has from the system says less: the
 * sanitizer keeps what is freed.
 */

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


size_t __sanitizer_get_current_allocated_bytes(void);

static char  heap_path[4000];


static void
heap_tell(int signo)
{
    int   fd, n;
    char  path[4096], text[32];

    (void) signo;

    (void) snprintf(path, sizeof(path), "%s.%d", heap_path, (int) getpid());

    fd = open(path, O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC, 0600);
    if (fd == -1) {
        return;
    }

    n = snprintf(text, sizeof(text), "%zu\n",
                 __sanitizer_get_current_allocated_bytes());

    if (write(fd, text, n) != n) {
        (void) unlink(path);
    }

    (void) close(fd);
}


/* The module stays where it is to the end, so that reports of what it has lost
 * name its functions. */
int
dlclose(void *handle)
{
    (void) handle;

    return 0;
}


__attribute__((constructor))
static void
heap_init(void)
{
    const char        *path = getenv("KMQ_HEAP");
    struct sigaction   sa;

    if (path == NULL || strlen(path) >= sizeof(heap_path)) {
        return;
    }

    (void) strcpy(heap_path, path);

    memset(&sa, 0, sizeof(struct sigaction));
    sa.sa_handler = heap_tell;
    (void) sigaction(SIGPWR, &sa, NULL);
}
