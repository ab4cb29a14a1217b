/* How a check of the block tells what is wrong. */

#include <stdarg.h>
#include <stdio.h>

#include "kmq_verify_inside.h"


void
kmq_wrong(kmq_verify_t *v, const char *format, ...)
{
    va_list  args;

    if (v->rc != KMQ_OK) {
        return;
    }

    v->rc = KMQ_ERROR;

    va_start(args, format);
    (void) vsnprintf(v->text, v->size, format, args);
    va_end(args);
}


void
kmq_same(kmq_verify_t *v, const char *what, uint64_t is, uint64_t should)
{
    if (is != should) {
        kmq_wrong(v, "%s is %llu, should be %llu", what,
                  (unsigned long long) is, (unsigned long long) should);
    }
}
