#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"


#define CHECK_EXPLAIN  5       /* losses named on stderr */


static int load_bitmap_grow(load_bitmap_t *map, uint32_t word);


void
load_fail(load_t *l, const char *fmt, ...)
{
    va_list  args;

    if (l->why[0] != '\0') {
        return;
    }

    va_start(args, fmt);
    vsnprintf(l->why, sizeof(l->why), fmt, args);
    va_end(args);

    fprintf(stderr, "kmq-load: %s\n", l->why);
}


int
load_check_init(load_t *l)
{
    size_t         maps, pairs;
    load_check_t  *check;

    check = &l->check;
    pairs = (size_t) l->nconsumers * l->o.producers;
    maps = l->o.fanout ? pairs : l->nproducers;

    check->seen = calloc(maps + 1, sizeof(load_bitmap_t));
    check->next = calloc(pairs + 1, sizeof(uint32_t));

    return check->seen == NULL || check->next == NULL ? -1 : 0;
}


/* The bitmap of what a consumer gets from a producer of its topic. */
static load_bitmap_t *
load_bitmap(load_t *l, uint32_t consumer, uint32_t producer)
{
    if (l->o.fanout) {
        return &l->check.seen[(size_t) consumer * l->o.producers
                              + producer % l->o.producers];
    }

    return &l->check.seen[producer];
}


void
load_check_message(load_t *l, client_t *consumer, uint32_t producer,
    uint32_t number)
{
    uint64_t        bit;
    uint32_t        word, *next;
    load_check_t   *check;
    load_bitmap_t  *map;

    check = &l->check;

    if (producer >= l->nproducers
        || producer / l->o.producers != consumer->topic
        || number >= l->clients[l->nconsumers + producer].sent)
    {
        check->corrupt++;
        load_fail(l, "message %u of producer %u, which did not send it",
                  number, producer);
        return;
    }

    map = load_bitmap(l, consumer->number, producer);
    word = number / 64;
    bit = UINT64_C(1) << number % 64;

    if (word >= map->words && load_bitmap_grow(map, word) == -1) {
        load_fail(l, "no memory");
        return;
    }

    if (map->word[word] & bit) {
        check->duplicate++;
        load_fail(l, "message %u of producer %u came twice", number,
                  producer);
        return;
    }

    map->word[word] |= bit;
    check->unique++;

    next = &check->next[(size_t) consumer->number * l->o.producers
                        + producer % l->o.producers];

    /* delays make an order of their own */

    if (number < *next && !l->o.delayed) {
        check->disorder++;
        load_fail(l, "message %u of producer %u came to consumer %u after "
                  "message %u", number, producer, consumer->number, *next - 1);
        return;
    }

    *next = number + 1;
}


static int
load_bitmap_grow(load_bitmap_t *map, uint32_t word)
{
    uint32_t   words;
    uint64_t  *p;

    words = word < 64 ? 128 : word * 2;
    p = realloc(map->word, words * sizeof(uint64_t));

    if (p == NULL) {
        return -1;
    }

    memset(p + map->words, 0, (words - map->words) * sizeof(uint64_t));
    map->word = p;
    map->words = words;

    return 0;
}


uint64_t
load_expected(const load_t *l)
{
    uint64_t  accepted;

    if (l->o.ingest) {
        return 0;
    }

    accepted = l->answered - l->errors;

    return l->o.fanout ? accepted * l->o.consumers : accepted;
}


/* Names losses in what a consumer got from a producer, up to a number. */
static unsigned
load_explain_map(load_t *l, uint32_t consumer, client_t *producer,
    unsigned named)
{
    uint32_t        i;
    load_bitmap_t  *map;

    map = load_bitmap(l, consumer, producer->number);

    for (i = 0; i < producer->answered && named < CHECK_EXPLAIN; i++) {

        if (i / 64 < map->words && map->word[i / 64] >> i % 64 & 1) {
            continue;
        }

        fprintf(stderr, "kmq-load: message %u of producer %u is lost", i,
                producer->number);

        if (l->o.fanout) {
            fprintf(stderr, " for consumer %u", consumer);
        }

        fputc('\n', stderr);
        named++;
    }

    return named;
}


void
load_check_explain(load_t *l)
{
    unsigned   i, consumer, last, named;
    client_t  *producer;

    named = 0;

    for (i = 0; i < l->nproducers && named < CHECK_EXPLAIN; i++) {
        producer = &l->clients[l->nconsumers + i];
        consumer = producer->topic * l->o.consumers;
        last = l->o.fanout ? consumer + l->o.consumers : consumer + 1;

        for ( /* void */ ; consumer < last; consumer++) {
            named = load_explain_map(l, consumer, producer, named);
        }
    }
}
