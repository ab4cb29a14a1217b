/*
 * The way of a message without sockets: what one read brought of a producer is
 * parsed, published, pushed as frames, confirmed.  For callgrind, which counts
 * the instructions of each part; see instructions.t.
 *
 *   kmq-instructions MESSAGES [raw|json|fan-out]
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../../src/engine/kmq.h"
#include "../../src/protocol/kmq_json.h"
#include "../../src/protocol/kmq_websocket.h"


#define BLOCK     (4 * 1024 * 1024)
#define BATCH     64               /* messages that one read brings */
#define SIZE      100              /* bytes of a message */
#define FRAME     (SIZE + 32)
#define CONSUMERS 8
#define FAN_OUT   100

/* What callgrind finds by its name. */
#define PART      __attribute__((noinline))


static kmq_t           *kmq;
static kmq_ref_t        producer, consumer[FAN_OUT];
static kmq_batch_t      batch;
static kmq_ws_parser_t  parser;
static uint64_t         now;
static unsigned char    input[BATCH * FRAME];
static size_t           input_len;
static unsigned char    output[KMQ_BATCH_MESSAGES * (SIZE + 512)];
static kmq_push_tail_t  tail;


static void
die(const char *what)
{
    fprintf(stderr, "kmq-instructions: %s\n", what);
    exit(1);
}


/* ------------------------------------------------------------------ setup */

static void
open_queue(uint32_t push_type)
{
    void            *block;
    unsigned char    seed[KMQ_SEED_LEN];
    kmq_settings_t   settings;

    block = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memset(seed, 7, sizeof(seed));

    if (block == MAP_FAILED || kmq_block_init(block, BLOCK, seed) != KMQ_OK
        || (kmq = kmq_attach(block, BLOCK, 0)) == NULL)
    {
        die("no queue");
    }

    memset(&settings, 0, sizeof(settings));
    settings.waiting_max = 1000000;
    settings.batch_count = 100;
    settings.keep_consumed = 1;
    settings.check_interval = 1000;
    settings.topic.push_type = push_type;

    kmq_clock(kmq, 1000, UINT64_C(1640975470000));
    kmq_configure(kmq, &settings);
    kmq_ws_init(&parser, 1024 * 1024);
    kmq_push_topic(&tail, (const unsigned char *) "bench", 5);
}


static void
join(unsigned consumers)
{
    unsigned           i;
    kmq_client_info_t  info;

    memset(&info, 0, sizeof(info));
    info.role = KMQ_PRODUCER;
    info.topic_len = 5;
    memcpy(info.topic, "bench", 5);

    producer = kmq_join(kmq, &info, NULL);

    info.role = KMQ_CONSUMER;
    info.prefetch = 1000;

    for (i = 0; i < consumers; i++) {
        consumer[i] = kmq_join(kmq, &info, &consumer[i]);
        kmq_set_ready(kmq, consumer[i], 1);
    }
}


/* Masked text frames, as a client sends them. */
static void
receive(int json)
{
    unsigned        i, j;
    unsigned char  *p;
    char            text[SIZE + 1];

    for (p = input, i = 0; i < BATCH; i++) {
        memset(text, 'a' + i % 26, SIZE);

        if (json) {
            memcpy(text, "{\"MessageData\":\"", 16);
            memcpy(text + SIZE - 16, "\",\"DelayTime\":0}", 16);
        }

        *p++ = 0x81;
        *p++ = 0x80 | SIZE;
        memcpy(p, "mask", 4);
        p += 4;

        for (j = 0; j < SIZE; j++) {
            *p++ = text[j] ^ "mask"[j % 4];
        }
    }

    input_len = p - input;
}


/* ------------------------------------------------------------------ parts */

static PART void
part_publish(void)
{
    size_t         used;
    unsigned       n;
    kmq_data_t     data[BATCH];
    kmq_message_t  m[BATCH];

    used = 0;

    for (n = 0; n < BATCH; n++) {
        if (kmq_ws_parse(&parser, input, input_len, &used) != KMQ_WS_MESSAGE
            || kmq_data_frame(&data[n], parser.data, parser.size, 0) != NULL)
        {
            die("a frame");
        }
    }

    memset(m, 0, sizeof(m));

    for (n = 0; n < BATCH; n++) {
        m[n].size = data[n].escaped;
        m[n].delay_time = data[n].delay;
    }

    if (kmq_reserve(kmq, producer, m, BATCH, NULL) != BATCH) {
        die("reserve");
    }

    for (n = 0; n < BATCH; n++) {
        kmq_write(kmq, &m[n], data[n].bytes, data[n].size);
    }

    kmq_commit(kmq, m, BATCH);
}


/* A batch as frames, as ngx_kapokmq_push.c composes them. */
static void
compose(void)
{
    char            code[KMQ_CODE_LEN];
    size_t          len;
    uint32_t        left, n;
    unsigned        i;
    kmq_ref_t       piece;
    const char     *bytes;
    kmq_message_t  *m;
    unsigned char  *p;

    p = output;

    for (i = 0; i < batch.nmessages; i++) {
        m = &batch.messages[i];

        kmq_push_tail(&tail, m->create_time, m->delay);
        len = KMQ_PUSH_HEAD_LEN + m->size + tail.len;

        kmq_code(kmq, m, code);
        p += kmq_ws_header(p, KMQ_WS_TEXT, len);
        p = kmq_push_head(p, code);

        piece = m->body;
        left = m->size;

        while ((bytes = kmq_read(kmq, &piece, &left, &n)) != NULL) {
            memcpy(p, bytes, n);
            p += n;
        }

        memcpy(p, tail.text, tail.len);
        p += tail.len;
    }
}


static PART unsigned
part_push(void)
{
    batch.bytes_max = 256 * 1024;

    if (kmq_take(kmq, &batch) == 0) {
        return 0;
    }

    compose();

    return batch.nmessages;
}


static PART void
part_confirm(void)
{
    unsigned    i, last;
    kmq_run_t  *run;

    for (i = 0; i < batch.nruns; i++) {
        run = &batch.runs[i];
        last = run->first + run->count - 1;
        (void) kmq_confirm_upto(kmq, run->client,
                                batch.messages[last].position);
    }
}


/* The same where all of FAN_OUT consumers get each message. */
static PART unsigned
part_fan_out(void)
{
    unsigned  n;

    n = part_push();
    part_confirm();

    return n;
}


/* ------------------------------------------------------------------- runs */

static void
round_trip(int json)
{
    now++;
    kmq_clock(kmq, 1000 + now, UINT64_C(1640975470000) + now);

    receive(json);
    part_publish();

    while (part_push()) {
        part_confirm();
    }
}


int
main(int argc, char **argv)
{
    unsigned  i, rounds;

    rounds = argc > 1 ? (unsigned) atoi(argv[1]) / BATCH : 0;

    if (rounds == 0) {
        die("how many messages?");
    }

    if (argc > 2 && strcmp(argv[2], "fan-out") == 0) {
        open_queue(KMQ_PUSH_ALL);
        join(FAN_OUT);

        for (i = 0; i < rounds; i++) {
            receive(0);
            part_publish();

            while (part_fan_out()) {
                /* void */
            }
        }

        return 0;
    }

    open_queue(KMQ_PUSH_ONE);
    join(CONSUMERS);

    for (i = 0; i < rounds; i++) {
        round_trip(argc > 2 && strcmp(argv[2], "json") == 0);
    }

    return 0;
}
