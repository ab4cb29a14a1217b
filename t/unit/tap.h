/*
 * A mini TAP harness: no plan ahead, "1..N" comes last, the exit code of
 * done_testing() is 1 when a test failed.  For one thread at a time.
 */

#ifndef KMQ_TAP_H
#define KMQ_TAP_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define TAP_PRINTF(f, a)  __attribute__((unused, format(printf, f, a)))

static int  tap_count;
static int  tap_failed;


/* Prints one result line. */
static inline int
tap_result(int pass, const char *fmt, va_list args)
{
    tap_count++;

    if (!pass) {
        tap_failed++;
    }

    printf("%sok %d - ", pass ? "" : "not ", tap_count);
    vprintf(fmt, args);
    printf("\n");
    fflush(stdout);

    return pass;
}


/* A comment line, shown with the results. */
TAP_PRINTF(1, 2) static void
diag(const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    printf("# ");
    vprintf(fmt, args);
    printf("\n");
    va_end(args);

    fflush(stdout);
}


TAP_PRINTF(2, 3) static int
ok(int pass, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    pass = tap_result(pass, fmt, args);
    va_end(args);

    return pass;
}


TAP_PRINTF(3, 4) static int
is_int(long long got, long long want, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    tap_result(got == want, fmt, args);
    va_end(args);

    if (got != want) {
        diag("got %lld, want %lld", got, want);
    }

    return got == want;
}


/* Compares two strings of bytes; says where they differ first. */
TAP_PRINTF(5, 6) static int
is_bytes(const void *got, size_t got_len, const void *want, size_t want_len,
    const char *fmt, ...)
{
    int                   same;
    size_t                i, n;
    va_list               args;
    const unsigned char  *g, *w;

    g = got;
    w = want;
    n = got_len < want_len ? got_len : want_len;

    for (i = 0; i < n && g[i] == w[i]; i++) { /* void */ }

    same = (i == n && got_len == want_len);

    va_start(args, fmt);
    tap_result(same, fmt, args);
    va_end(args);

    if (!same) {
        diag("got %zu bytes, want %zu, first difference at %zu",
             got_len, want_len, i);
        diag("got  \"%.*s\"", (int) (got_len - i > 60 ? 60 : got_len - i),
             (const char *) g + i);
        diag("want \"%.*s\"", (int) (want_len - i > 60 ? 60 : want_len - i),
             (const char *) w + i);
    }

    return same;
}


/* Ends the program before its first test: all of them are skipped. */
__attribute__((unused, noreturn)) static void
skip_all(const char *reason)
{
    printf("1..0 # SKIP %s\n", reason);
    exit(0);
}


/* To be returned from main(). */
__attribute__((unused)) static int
done_testing(void)
{
    printf("1..%d\n", tap_count);

    if (tap_failed) {
        printf("# %d of %d failed\n", tap_failed, tap_count);
    }

    fflush(stdout);

    return tap_failed || tap_count == 0;
}

#endif /* KMQ_TAP_H */
