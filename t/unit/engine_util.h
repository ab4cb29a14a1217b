/*
 * What the engine's tests share: blocks, clients, publishing and reading in
 * one call each, a random number generator of their own.
 */

#ifndef KMQ_ENGINE_UTIL_H
#define KMQ_ENGINE_UTIL_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "../../src/engine/kmq.h"
#include "tap.h"


#define EU_MB      ((size_t) 1024 * 1024)
#define EU_UNUSED  __attribute__((unused))


/* splitmix64: small, and the same everywhere */
EU_UNUSED static uint64_t
eu_rand(uint64_t *state)
{
    uint64_t  z;

    z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;

    return z ^ (z >> 31);
}


EU_UNUSED static uint32_t
eu_below(uint64_t *state, uint32_t n)
{
    return (uint32_t) (((eu_rand(state) >> 32) * n) >> 32);
}


/* A number from the environment, for seeds, steps and rounds. */
EU_UNUSED static uint64_t
eu_env(const char *name, uint64_t value)
{
    const char  *text;

    text = getenv(name);

    return text ? strtoull(text, NULL, 0) : value;
}


EU_UNUSED static uint64_t
eu_ms(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000 + (uint64_t) ts.tv_nsec / 1000000;
}


/* Memory that forked children share. */
EU_UNUSED static void *
eu_map(size_t size)
{
    void  *p;

    p = mmap(NULL, size, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS,
             -1, 0);

    if (p == MAP_FAILED) {
        perror("mmap");
        exit(2);
    }

    return p;
}


/* A formatted block; the test ends when that fails. */
EU_UNUSED static void *
eu_block(size_t size)
{
    int            rc;
    void          *block;
    unsigned char  seed[KMQ_SEED_LEN];

    memset(seed, 0x5a, sizeof(seed));
    block = eu_map(size);

    rc = kmq_block_init(block, size, seed);

    if (rc != KMQ_OK) {
        printf("Bail out! kmq_block_init(%zu) returned %d\n", size, rc);
        exit(2);
    }

    return block;
}


EU_UNUSED static kmq_t *
eu_attach(void *block, size_t size, unsigned worker)
{
    kmq_t  *kmq;

    kmq = kmq_attach(block, size, worker);

    if (kmq == NULL) {
        printf("Bail out! kmq_attach(%zu, %u) returned NULL\n", size, worker);
        exit(2);
    }

    kmq_clock(kmq, 1000, 1640975470000);

    return kmq;
}


/* Settings without a bound in the way: no pacing, no history. */
EU_UNUSED static kmq_settings_t
eu_settings(uint32_t push_type)
{
    kmq_settings_t  s;

    memset(&s, 0, sizeof(s));

    s.topic.push_type = push_type;
    s.waiting_max = 100000000;
    s.batch_interval = 0;
    s.batch_count = 1;
    s.retry_count = 3;
    s.check_interval = 1000;
    s.keep_consumed = 0;

    return s;
}


/* A block with one handle, worker 0. */
EU_UNUSED static kmq_t *
eu_open(void **block, size_t size, uint32_t push_type)
{
    kmq_t           *kmq;
    kmq_settings_t   s;

    *block = eu_block(size);
    kmq = eu_attach(*block, size, 0);

    s = eu_settings(push_type);
    kmq_configure(kmq, &s);

    return kmq;
}


EU_UNUSED static int
eu_verify(kmq_t *kmq, const char *when)
{
    int   rc;
    char  text[512];

    text[0] = '\0';
    rc = kmq_verify(kmq, text, sizeof(text));

    if (rc != KMQ_OK) {
        diag("kmq_verify, %s: %s", when, text);
    }

    return rc == KMQ_OK;
}


EU_UNUSED static void
eu_close(kmq_t *kmq, void *block, size_t size, const char *what)
{
    ok(eu_verify(kmq, what), "%s: the block is sound", what);
    kmq_detach(kmq);
    munmap(block, size);
}


EU_UNUSED static kmq_ref_t
eu_join(kmq_t *kmq, uint32_t role, const char *topic, uint32_t prefetch,
    void *user)
{
    kmq_client_info_t  info;

    memset(&info, 0, sizeof(info));

    info.role = role;
    info.prefetch = prefetch;
    info.topic_len = (uint16_t) strlen(topic);
    memcpy(info.topic, topic, info.topic_len);
    info.id_len = (uint16_t) sprintf(info.id, "id of %s", "someone");
    info.addr_len = (uint16_t) sprintf(info.addr, "127.0.0.1");

    return kmq_join(kmq, &info, user);
}


/* A consumer that is ready. */
EU_UNUSED static kmq_ref_t
eu_consumer(kmq_t *kmq, const char *topic, uint32_t prefetch, void *user)
{
    kmq_ref_t  client;

    client = eu_join(kmq, KMQ_CONSUMER, topic, prefetch, user);

    if (client) {
        kmq_set_ready(kmq, client, 1);
    }

    return client;
}


EU_UNUSED static kmq_ref_t
eu_producer(kmq_t *kmq, const char *topic)
{
    return eu_join(kmq, KMQ_PRODUCER, topic, 0, NULL);
}


/* Publishes one message; KMQ_OK or why not. */
EU_UNUSED static int
eu_publish(kmq_t *kmq, kmq_ref_t producer, const void *data, size_t size)
{
    int            why;
    kmq_message_t  m;

    memset(&m, 0, sizeof(m));
    m.size = (uint32_t) size;
    why = KMQ_OK;

    if (kmq_reserve(kmq, producer, &m, 1, &why) != 1) {
        return why == KMQ_OK ? KMQ_ERROR : why;
    }

    kmq_write(kmq, &m, data, size);
    kmq_commit(kmq, &m, 1);

    return KMQ_OK;
}


/* Publishes n messages whose bodies are the numbers from first on. */
EU_UNUSED static unsigned
eu_publish_numbers(kmq_t *kmq, kmq_ref_t producer, unsigned first, unsigned n)
{
    int       len;
    char      text[16];
    unsigned  i;

    for (i = 0; i < n; i++) {
        len = sprintf(text, "%u", first + i);

        if (eu_publish(kmq, producer, text, (size_t) len) != KMQ_OK) {
            break;
        }
    }

    return i;
}


/* Copies a body of at most max bytes; returns its length as walked. */
EU_UNUSED static size_t
eu_body(kmq_t *kmq, const kmq_message_t *m, char *out, size_t max)
{
    size_t       len;
    uint32_t     left, n;
    kmq_ref_t    piece;
    const char  *p;

    len = 0;
    piece = m->body;
    left = m->size;

    while ((p = kmq_read(kmq, &piece, &left, &n)) != NULL) {

        if (len + n <= max) {
            memcpy(out + len, p, n);
        }

        len += n;
    }

    return len;
}


EU_UNUSED static unsigned
eu_number(kmq_t *kmq, const kmq_message_t *m)
{
    char    text[16];
    size_t  len;

    len = eu_body(kmq, m, text, sizeof(text) - 1);

    if (len == 0 || len > sizeof(text) - 1) {
        return (unsigned) -1;
    }

    text[len] = '\0';

    return (unsigned) strtoul(text, NULL, 10);
}


/* One batch into static memory, without a bound of bytes. */
EU_UNUSED static kmq_batch_t *
eu_take(kmq_t *kmq)
{
    static kmq_batch_t  batch;

    memset(&batch, 0, sizeof(batch));
    batch.bytes_max = 64 * EU_MB;

    return kmq_take(kmq, &batch) ? &batch : NULL;
}


/* Confirms everything that a batch handed out; returns how many. */
EU_UNUSED static unsigned
eu_confirm(kmq_t *kmq, kmq_batch_t *batch)
{
    unsigned    i, n;
    kmq_run_t  *run;

    n = 0;

    for (i = 0; i < batch->nruns; i++) {
        run = &batch->runs[i];

        if (run->count) {
            n += kmq_confirm_upto(kmq, run->client,
                        batch->messages[run->first + run->count - 1].position);
        }
    }

    return n;
}


/* Takes and confirms until nothing comes; returns the confirmations. */
EU_UNUSED static unsigned
eu_drain(kmq_t *kmq)
{
    unsigned      n;
    kmq_batch_t  *batch;

    n = 0;

    while ((batch = eu_take(kmq)) != NULL) {
        n += eu_confirm(kmq, batch);
    }

    return n;
}


EU_UNUSED static kmq_counts_t
eu_count(kmq_t *kmq)
{
    kmq_counts_t  c;

    memset(&c, 0, sizeof(c));
    kmq_count(kmq, &c);

    return c;
}


/* Bytes that tell where they belong. */
EU_UNUSED static void
eu_fill(char *p, size_t n, uint64_t seed)
{
    size_t    i;
    uint64_t  r;

    r = 0;

    for (i = 0; i < n; i++) {
        if (i % 8 == 0) {
            r = eu_rand(&seed);
        }

        p[i] = (char) ('a' + (r & 0xff) % 26);
        r >>= 8;
    }
}

#endif /* KMQ_ENGINE_UTIL_H */
