/*
 * The model itself, chance, and lists of messages.
 */

#include "model.h"


model_t  M;


void
fail(const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    fprintf(stderr, "# ");
    vfprintf(stderr, fmt, args);
    fprintf(stderr, "\n# KMQ_SEED=%llu KMQ_RUN=%u step %llu, %u shards\n",
            (unsigned long long) M.seed, M.run, (unsigned long long) M.step,
            M.shards);
    va_end(args);

    abort();
}


uint32_t
below(uint32_t n)
{
    return eu_below(&M.random, n);
}


int
one_in(uint32_t n)
{
    return below(n) == 0;
}


/* ------------------------------------------------------------------ lists */

void
list_init(list_t *list, int link)
{
    list->head = NONE;
    list->tail = NONE;
    list->count = 0;
    list->link = link;
}


/* Puts a message behind another one, NONE: in front. */
void
list_insert(list_t *list, uint32_t after, uint32_t id)
{
    uint32_t  next;

    next = after == NONE ? list->head : NEXT(list, after);

    NEXT(list, id) = next;
    PREV(list, id) = after;

    if (after == NONE) {
        list->head = id;
    } else {
        NEXT(list, after) = id;
    }

    if (next == NONE) {
        list->tail = id;
    } else {
        PREV(list, next) = id;
    }

    list->count++;
}


void
list_append(list_t *list, uint32_t id)
{
    list_insert(list, list->tail, id);
}


void
list_remove(list_t *list, uint32_t id)
{
    uint32_t  next, prev;

    next = NEXT(list, id);
    prev = PREV(list, id);

    if (prev == NONE) {
        list->head = next;
    } else {
        NEXT(list, prev) = next;
    }

    if (next == NONE) {
        list->tail = prev;
    } else {
        PREV(list, next) = prev;
    }

    list->count--;
}
