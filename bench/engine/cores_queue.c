#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cores.h"


#define CORES_PREFETCH  1000
#define CORES_DATE      UINT64_C(1640975470000)


void
cores_die(const char *what)
{
    fprintf(stderr, "kmq-cores: %s\n", what);
    exit(1);
}


void *
cores_map(size_t size)
{
    void  *p;

    p = mmap(NULL, size, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1,
             0);

    if (p == MAP_FAILED) {
        cores_die("no memory");
    }

    return p;
}


void *
cores_block(size_t size)
{
    void           *block;
    unsigned char   seed[KMQ_SEED_LEN];

    memset(seed, 7, sizeof(seed));
    block = cores_map(size);

    if (kmq_block_init(block, size, seed) != KMQ_OK) {
        cores_die("the block is too small");
    }

    return block;
}


static kmq_ref_t
cores_join(kmq_t *kmq, uint32_t role, unsigned worker, unsigned topic)
{
    kmq_ref_t           client;
    kmq_client_info_t   info;

    memset(&info, 0, sizeof(info));
    info.role = role;
    info.prefetch = role == KMQ_CONSUMER ? CORES_PREFETCH : 0;
    info.topic_len = (uint16_t) sprintf(info.topic, "topic-%u", topic);
    info.id_len = (uint16_t) sprintf(info.id, "id-%u", worker);
    info.addr_len = (uint16_t) sprintf(info.addr, "127.0.0.1");

    client = kmq_join(kmq, &info, NULL);
    if (client == 0) {
        cores_die("cannot join");
    }

    if (role == KMQ_CONSUMER) {
        kmq_set_ready(kmq, client, 1);
    }

    return client;
}


void
cores_open(cores_client_t *c, void *block, size_t size, unsigned worker,
    unsigned topic)
{
    kmq_settings_t  s;

    memset(c, 0, sizeof(cores_client_t));
    c->batch.bytes_max = 1024 * 1024;

    c->kmq = kmq_attach(block, size, worker);
    if (c->kmq == NULL) {
        cores_die("cannot attach");
    }

    cores_clock(c, 0);

    memset(&s, 0, sizeof(s));
    s.topic.push_type = KMQ_PUSH_ONE;
    s.waiting_max = 100000000;
    s.batch_count = 1;
    s.retry_count = 3;
    s.check_interval = 1000;
    s.keep_consumed = 1;
    kmq_configure(c->kmq, &s);

    c->producer = cores_join(c->kmq, KMQ_PRODUCER, worker, topic);
    c->consumer = cores_join(c->kmq, KMQ_CONSUMER, worker, topic);
}


void
cores_clock(cores_client_t *c, uint64_t ms)
{
    kmq_clock(c->kmq, 1000 + ms, CORES_DATE + ms);
}


void
cores_reserve(cores_client_t *c, unsigned n)
{
    unsigned  i;

    for (i = 0; i < n; i++) {
        memset(&c->messages[i], 0, sizeof(kmq_message_t));
        c->messages[i].size = CORES_SIZE;
    }

    c->n = kmq_reserve(c->kmq, c->producer, c->messages, n, NULL);
}


void
cores_write(cores_client_t *c, const char body[CORES_SIZE])
{
    unsigned  i;

    for (i = 0; i < c->n; i++) {
        kmq_write(c->kmq, &c->messages[i], body, CORES_SIZE);
    }
}


unsigned
cores_confirm(cores_client_t *c)
{
    kmq_run_t  *last;

    last = &c->batch.runs[c->batch.nruns - 1];

    return kmq_confirm_upto(c->kmq, c->consumer,
                            c->batch.messages[last->first + last->count - 1]
                            .position);
}
