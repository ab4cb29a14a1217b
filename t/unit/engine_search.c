/*
 * Lists of messages: newest first, filtered, in slices, while others come and
 * go.  See engine_cases.h for how these tests read.
 */

#include "engine_cases.h"


#define MANY  40000    /* more than 128 * 128: three levels of the index */


static kmq_query_t
any(void)
{
    kmq_query_t  query;

    memset(&query, 0, sizeof(query));
    query.status = KMQ_STATUS_ANY;
    query.to = UINT32_MAX;

    return query;
}


/* The number that is a found message's body. */
static unsigned
number_of(kmq_t *kmq, const kmq_message_info_t *info)
{
    int        n;
    char       text[KMQ_COPY_MIN + 1];
    uint32_t   left;
    kmq_ref_t  piece;

    piece = info->body;
    left = info->size;
    n = kmq_copy(kmq, info, &piece, &left, text, KMQ_COPY_MIN);

    if (n <= 0) {
        return (unsigned) -1;
    }

    text[n] = '\0';

    return (unsigned) strtoul(text, NULL, 10);
}


/* The numbers of the next n messages, or fewer at the end. */
static const char *
next(kmq_t *kmq, const kmq_query_t *query, uint64_t *cursor, unsigned n)
{
    size_t               len;
    unsigned             i, found, calls;
    kmq_message_info_t   info[EC_NUMBERS];

    static char  text[EC_TEXT];

    len = 0;
    text[0] = '\0';
    calls = 0;

    do {
        found = kmq_search(kmq, query, cursor, info, n);
        n -= found;

        for (i = 0; i < found; i++) {
            len += sprintf(text + len, "%s%u", len ? " " : "",
                           number_of(kmq, &info[i]));
        }
    } while (n && *cursor && ++calls < 1000);

    return text;
}


static void
finds(kmq_t *kmq, const kmq_query_t *query, const char *want,
    const char *what)
{
    uint64_t  cursor;

    cursor = 0;
    ec_text(next(kmq, query, &cursor, EC_NUMBERS), want, what);
}


/* One message in each state, of two topics, a second after the other. */
static void
queue_fill(ec_queue_t *q)
{
    kmq_ref_t  a, p;

    ec_open_retry(q, KMQ_PUSH_ONE, 0, 1);
    p = eu_producer(q->kmq, "other");
    a = eu_consumer(q->kmq, "t", 10, "a");

    ec_publish(q->kmq, q->p, 1, 3);
    ec_takes(q->kmq, "a1 a2 a3", "pushed");
    is_int(ec_confirm(q->kmq, a, "1"), 1, "1 is consumed");
    is_int(ec_return(q->kmq, a, "2"), 1, "2 is dead, 3 in flight");
    kmq_set_ready(q->kmq, a, 0);

    ec_clock(q->kmq, 2000);
    ec_publish(q->kmq, q->p, 4, 1);
    ec_clock(q->kmq, 3000);
    ec_delayed(q->kmq, q->p, 5, 60000);
    ec_clock(q->kmq, 4000);
    ec_publish(q->kmq, p, 6, 2);
    ec_clock(q->kmq, 5000);
}


static void
test_filters(void)
{
    ec_queue_t    q;
    kmq_query_t   query;

    queue_fill(&q);
    query = any();
    finds(q.kmq, &query, "7 6 5 4 3 2 1", "the newest first");

    query.status = KMQ_STATUS_WAITING;
    finds(q.kmq, &query, "7 6 4 3", "ready and in flight");
    query.status = KMQ_STATUS_DELAYED;
    finds(q.kmq, &query, "5", "delayed");
    query.status = KMQ_STATUS_CONSUMED;
    finds(q.kmq, &query, "1", "consumed");
    query.status = KMQ_STATUS_DEAD;
    finds(q.kmq, &query, "2", "dead");

    query = any();
    query.topic = "other";
    query.topic_len = 5;
    finds(q.kmq, &query, "7 6", "of a topic");
    query.topic_len = 4;
    finds(q.kmq, &query, "", "of a topic that is not there");

    query = any();
    query.from = (EC_WALL + 2000) / 1000;
    query.to = (EC_WALL + 3000) / 1000;
    finds(q.kmq, &query, "5 4", "between two times, both included");
    query.to = query.from - 1;
    finds(q.kmq, &query, "", "between none");
    query.from = (EC_WALL + 5000) / 1000;
    query.to = UINT32_MAX;
    finds(q.kmq, &query, "", "after all of them");

    query = any();
    query.to = (EC_WALL + 3000) / 1000;
    query.status = KMQ_STATUS_WAITING;
    query.topic = "t";
    query.topic_len = 1;
    finds(q.kmq, &query, "4 3", "all at once");

    is_int(kmq_delete(q.kmq, ec_code[3]), KMQ_OK, "deleted in flight");
    finds(q.kmq, &query, "4", "is not found");

    ec_close(&q, "filters");
}


/* What waits, by what it does; and the oldest first. */
static void
test_waiting(void)
{
    kmq_ref_t     a;
    ec_queue_t    q;
    kmq_query_t   query;

    ec_open_retry(&q, KMQ_PUSH_ONE, 0, 9);
    a = eu_consumer(q.kmq, "t", 3, "a");
    ec_publish(q.kmq, q.p, 1, 5);
    ec_takes(q.kmq, "a1 a2 a3", "pushed");
    is_int(kmq_return_codes(q.kmq, a, ec_code[2], 1, 60000), 1, "2 retries");
    kmq_set_ready(q.kmq, a, 0);

    query = any();
    query.status = KMQ_STATUS_READY;
    finds(q.kmq, &query, "5 4", "ready");
    query.status = KMQ_STATUS_IN_FLIGHT;
    finds(q.kmq, &query, "3 1", "in flight");
    query.status = KMQ_STATUS_RETRYING;
    finds(q.kmq, &query, "2", "between two tries");

    query.oldest = 1;
    finds(q.kmq, &query, "2", "the same from the other end");
    query.status = KMQ_STATUS_WAITING;
    finds(q.kmq, &query, "1 2 3 4 5", "the oldest first");
    query.from = (EC_WALL + 2000) / 1000;
    finds(q.kmq, &query, "", "of no time");

    ec_close(&q, "waiting");
}


static void
test_oldest_slices(void)
{
    unsigned      i;
    uint64_t      cursor;
    ec_queue_t    q;
    kmq_query_t   query;

    ec_open(&q, KMQ_PUSH_ONE);
    query = any();
    query.oldest = 1;
    cursor = 0;

    ec_publish(q.kmq, q.p, 1, 20);
    ec_text(next(q.kmq, &query, &cursor, 3), "1 2 3", "three");
    ec_text(next(q.kmq, &query, &cursor, 3), "4 5 6", "three more");
    is_int(kmq_delete(q.kmq, ec_code[6]), KMQ_OK, "deleted: the last seen");
    is_int(kmq_delete(q.kmq, ec_code[7]), KMQ_OK, "and the next one");
    ec_text(next(q.kmq, &query, &cursor, 3), "8 9 10", "none is missed");

    for (i = 8; i <= 18; i++) {
        (void) kmq_delete(q.kmq, ec_code[i]);
    }

    ec_text(next(q.kmq, &query, &cursor, 10), "19 20", "to the end");
    is_int((long long) cursor, 0, "which is told");
    cursor = 1;
    ec_text(next(q.kmq, &query, &cursor, 10), "", "beyond it there is none");

    ec_close(&q, "oldest slices");
}


/* ------------------------------------------------------- topics, and data */

static int
with_o(void *arg, const char *name, size_t len)
{
    ++*(unsigned *) arg;

    return memchr(name, 'o', len) != NULL;
}


static void
test_topic_fits(void)
{
    unsigned      asked;
    ec_queue_t    q;
    kmq_query_t   query;

    queue_fill(&q);
    query = any();
    query.topic_fits = with_o;
    query.arg = &asked;
    asked = 0;
    finds(q.kmq, &query, "7 6", "of topics with an o");
    ok(asked > 0 && asked < 7, "asked %u times of 7 messages", asked);

    ec_close(&q, "topic fits");
}


/* What a search is told of data. */
typedef struct {
    unsigned    messages;
    uint64_t    bytes;
    uint64_t    most;              /* of one message */
    uint64_t    of_this;
    char        last;              /* what it looks for */
} look_t;


static int
look_at(void *arg, const char *part, size_t n)
{
    look_t  *look = arg;

    if (part == NULL) {
        look->messages++;
        look->of_this = 0;
        return 0;
    }

    look->bytes += n;
    look->of_this += n;

    if (look->of_this > look->most) {
        look->most = look->of_this;
    }

    return memchr(part, look->last, n) != NULL;
}


static void
test_data_fits(void)
{
    look_t        look;
    ec_queue_t    q;
    kmq_query_t   query;

    queue_fill(&q);
    query = any();
    query.data_fits = look_at;
    query.arg = &look;
    memset(&look, 0, sizeof(look));

    look.last = '6';
    finds(q.kmq, &query, "6", "by its data");
    is_int(look.messages, 7, "for which all were looked at");
    look.last = 'x';
    finds(q.kmq, &query, "", "none has it");
    query.status = KMQ_STATUS_DEAD;
    look.messages = 0;
    look.last = '2';
    finds(q.kmq, &query, "2", "a dead one");
    is_int(look.messages, 1, "no other was looked at");

    ec_close(&q, "data fits");
}


/* Publishes n messages with bodies of size, which end with a dot, to one topic
 * after the other. */
static void
publish_sized(kmq_t *kmq, unsigned n, size_t size)
{
    char           *body, name[8];
    unsigned        wrong;
    kmq_message_t   m;

    body = malloc(size);
    memset(body, 'x', size);
    body[size - 1] = '.';
    wrong = 0;

    while (n--) {
        memset(&m, 0, sizeof(m));
        m.size = (uint32_t) size;
        sprintf(name, "t%u", n % 40);
        wrong += kmq_reserve_to(kmq, name, strlen(name), &m) != KMQ_OK;
        kmq_write(kmq, &m, body, size);
        kmq_commit(kmq, &m, 1);
    }

    is_int(wrong, 0, "published: %zu bytes each", size);
    free(body);
}


/* A call looks at so much data, and one message more; and of that one at its
 * beginning alone. */
static void
test_data_bounds(unsigned pages, int oldest)
{
    kmq_t               *kmq;
    void                *block;
    look_t               look;
    unsigned             found, slices;
    uint64_t             cursor, most;
    kmq_query_t          query;
    kmq_message_info_t   info[16];

    diag("shards of %u pages, oldest %d", pages, oldest);
    kmq_shard_pages = pages;
    kmq = eu_open(&block, 32 << 20, KMQ_PUSH_ONE);

    publish_sized(kmq, 40, 20000);
    publish_sized(kmq, 2, KMQ_SEARCH_DATA);
    publish_sized(kmq, 2, KMQ_SEARCH_DATA + 1);
    publish_sized(kmq, 200, 100);
    publish_sized(kmq, 40, 20000);

    query = any();
    query.oldest = oldest;
    query.data_fits = look_at;
    query.arg = &look;
    found = slices = 0;
    cursor = most = 0;
    memset(&look, 0, sizeof(look));
    look.last = '.';

    do {
        look.bytes = 0;
        found += kmq_search(kmq, &query, &cursor, info, 16);
        most = look.bytes > most ? look.bytes : most;
        slices++;
    } while (cursor && slices < 1000);

    is_int(found, 282, "all but those with their ends too far away");
    is_int((long long) look.most, KMQ_SEARCH_DATA, "no further than that");
    ok(most <= KMQ_SEARCH_DATA + 524288, "%llu bytes in one call",
       (unsigned long long) most);
    ok(slices < 150, "in %u slices", slices);

    eu_close(kmq, block, 32 << 20, "data bounds");
    kmq_shard_pages = 384;
}


/* The beginning of a message's data. */
static void
test_head(void)
{
    int                  n;
    char                 body[20000], buf[20000];
    ec_queue_t           q;
    kmq_message_info_t   info;

    ec_open(&q, KMQ_PUSH_ONE);
    eu_fill(body, sizeof(body), 1);
    ec_publish_body(q.kmq, q.p, 1, body, sizeof(body), 0);
    is_int(kmq_find(q.kmq, ec_code[1], &info), KMQ_OK, "found");

    n = kmq_copy_head(q.kmq, &info, buf, 10);
    is_bytes(buf, n, body, 10, "ten bytes");
    n = kmq_copy_head(q.kmq, &info, buf, sizeof(buf));
    is_bytes(buf, n, body, sizeof(body), "all of them");
    is_int(kmq_copy_head(q.kmq, &info, buf, 0), 0, "none");

    is_int(kmq_delete(q.kmq, ec_code[1]), KMQ_OK, "deleted");
    is_int(kmq_copy_head(q.kmq, &info, buf, 10), KMQ_GONE, "gone");

    ec_close(&q, "head");
}


/* ------------------------------------------------------------------ slices */

/* From any cursor on, whatever happened since it was handed out. */
static void
test_slices(void)
{
    unsigned       i;
    uint64_t       cursor, again;
    ec_queue_t     q;
    kmq_query_t    query;
    kmq_message_t  m;

    ec_open(&q, KMQ_PUSH_ONE);
    query = any();
    cursor = 0;
    ec_text(next(q.kmq, &query, &cursor, 3), "", "nothing there");
    is_int((long long) cursor, 0, "which is the end");

    ec_publish(q.kmq, q.p, 1, 20);
    ec_text(next(q.kmq, &query, &cursor, 3), "20 19 18", "three");
    ec_publish(q.kmq, q.p, 21, 2);
    again = cursor;
    ec_text(next(q.kmq, &query, &cursor, 3), "17 16 15",
            "three more, not those that came after the start");
    ec_text(next(q.kmq, &query, &again, 2), "17 16", "a cursor stays good");

    is_int(kmq_delete(q.kmq, ec_code[15]), KMQ_OK, "deleted: the last seen");
    is_int(kmq_delete(q.kmq, ec_code[14]), KMQ_OK, "and the next one");
    is_int(kmq_delete(q.kmq, ec_code[12]), KMQ_OK, "and a later one");
    ec_text(next(q.kmq, &query, &cursor, 3), "13 11 10", "none is missed");

    for (i = 3; i <= 22; i++) {
        (void) kmq_delete(q.kmq, ec_code[i]);
    }

    ec_text(next(q.kmq, &query, &cursor, 1), "2", "the rest");
    ec_text(next(q.kmq, &query, &cursor, 10), "1", "to the end");
    is_int((long long) cursor, 0, "which is told");

    memset(&m, 0, sizeof(m));
    is_int(kmq_reserve(q.kmq, q.p, &m, 1, NULL), 1, "reserved");
    finds(q.kmq, &query, "2 1", "is not there yet");
    kmq_discard(q.kmq, &m, 1);

    ec_close(&q, "slices");
}


/* How many messages of that second are found, or 0 when others are, too. */
static unsigned
count_second(kmq_t *kmq, uint32_t second)
{
    unsigned             i, n, found, wrong;
    uint64_t             cursor;
    kmq_query_t          query;
    kmq_message_info_t   info[EC_NUMBERS];

    query = any();
    query.from = second;
    query.to = second;
    n = wrong = 0;
    cursor = 0;

    do {
        found = kmq_search(kmq, &query, &cursor, info, EC_NUMBERS);
        n += found;

        for (i = 0; i < found; i++) {
            wrong += info[i].create_time != second;
        }
    } while (cursor);

    return wrong ? 0 : n;
}


/* Somebody sets the wall clock back, and forth: the order is that in which
 * messages came, and times are found wherever they are. */
static void
test_clock_back(void)
{
    unsigned      i;
    ec_queue_t    q;
    kmq_query_t   query;

    static const unsigned  seconds[] = { 500, 100, 501, 499, 100, 900, 500 };

    ec_open(&q, KMQ_PUSH_ONE);

    for (i = 0; i < 7; i++) {
        kmq_clock(q.kmq, 1000, seconds[i] * 1000);
        ec_publish(q.kmq, q.p, i + 1, 1);
    }

    query = any();
    finds(q.kmq, &query, "7 6 5 4 3 2 1", "in the order of publication");
    query.from = 499;
    query.to = 500;
    finds(q.kmq, &query, "7 4 1", "from here and there");
    query.from = 501;
    query.to = UINT32_MAX;
    finds(q.kmq, &query, "6 3", "later ones in the middle");

    /* so many that each second has leaves of the index of its own */

    for (i = 0; i < 7; i++) {
        kmq_clock(q.kmq, 1000, seconds[i] * 1000);
        (void) eu_publish_numbers(q.kmq, q.p, 0, 300);
        kmq_clock(q.kmq, 1000, 1000000);
        (void) eu_publish_numbers(q.kmq, q.p, 0, 300);
    }

    is_int(count_second(q.kmq, 100), 602, "all of a second that came twice");
    is_int(count_second(q.kmq, 499), 301, "and of one that came once");
    is_int(count_second(q.kmq, 1000), 2100, "and of one in between");
    is_int(count_second(q.kmq, 700), 0, "none of one that never was");

    ec_close(&q, "clock back");
}


/* Publishes MANY messages, a millisecond after the other. */
static void
publish_many(ec_queue_t *q, uint64_t *sequence)
{
    unsigned       n;
    kmq_message_t  m;

    for (n = 0; n < MANY; n++) {
        ec_clock(q->kmq, 1000 + n);
        memset(&m, 0, sizeof(m));

        if (kmq_reserve(q->kmq, q->p, &m, 1, NULL) != 1) {
            break;
        }

        kmq_commit(q->kmq, &m, 1);
        sequence[n] = m.sequence;
    }

    is_int(n, MANY, "published");
}


/* Walks all that is found, which is every nth of the MANY messages from number
 * first down to last; returns in how many slices. */
static unsigned
walk(ec_queue_t *q, const kmq_query_t *query, const uint64_t *sequence,
    int first, int last, int nth)
{
    unsigned   i, found, wrong, slices;
    uint64_t   cursor;

    static kmq_message_info_t  info[1000];

    slices = wrong = 0;
    cursor = 0;

    do {
        found = kmq_search(q->kmq, query, &cursor, info, 1000);
        slices++;

        for (i = 0; i < found; i++, first -= nth) {
            wrong += first < 0 || info[i].sequence != sequence[first];
        }
    } while (cursor && slices < MANY);

    is_int(wrong, 0, "each one, the newest first");
    is_int(first, last - nth, "down to the last");

    return slices;
}


/* All but every 1,000th are consumed, without history. */
static void
consume_most(ec_queue_t *q, kmq_ref_t client)
{
    char           code[KMQ_CODE_LEN];
    unsigned       i, n;
    kmq_batch_t   *b;

    n = 0;

    while ((b = eu_take(q->kmq)) != NULL) {
        for (i = 0; i < b->nmessages; i++, n++) {
            kmq_code(q->kmq, &b->messages[i], code);

            if (n % 1000) {
                (void) kmq_confirm_codes(q->kmq, client, code, 1);
            }
        }
    }

    ec_counts(q->kmq, "40 in flight", "most are gone");
}


static void
test_many(void)
{
    unsigned      slices;
    kmq_ref_t     a;
    ec_queue_t    q;
    kmq_query_t   query;

    static uint64_t  sequence[MANY];

    ec_open(&q, KMQ_PUSH_ONE);
    q.s.keep_consumed = 0;
    kmq_configure(q.kmq, &q.s);
    publish_many(&q, sequence);

    query = any();
    slices = walk(&q, &query, sequence, MANY - 1, 0, 1);
    ok(slices >= MANY / 1024, "all messages, in %u slices", slices);

    query.from = (EC_WALL + 11000) / 1000;
    query.to = (EC_WALL + 12000) / 1000;
    slices = walk(&q, &query, sequence, 11999, 10000, 1);
    ok(slices <= 6, "two seconds of 40, in %u slices", slices);

    a = eu_consumer(q.kmq, "t", KMQ_PREFETCH_MAX, "a");
    consume_most(&q, a);

    query = any();
    slices = walk(&q, &query, sequence, MANY - 1000, 0, 1000);
    ok(slices <= 10, "what is left, in %u slices", slices);
    query.from = (EC_WALL + 11000) / 1000;
    query.to = (EC_WALL + 15000) / 1000;
    (void) walk(&q, &query, sequence, 14000, 10000, 1000);

    is_int(kmq_confirm_upto(q.kmq, a, EC_ALL), 40, "all go");
    query = any();
    finds(q.kmq, &query, "", "nothing is found");
    ec_publish(q.kmq, q.p, 1, 2);
    finds(q.kmq, &query, "2 1", "but what comes");

    ec_close(&q, "many");
}


/* Looking for what is not there takes bounded steps, too. */
static void
test_rare(void)
{
    unsigned             found, slices;
    uint64_t             cursor;
    ec_queue_t           q;
    kmq_query_t          query;
    kmq_message_info_t   info;

    ec_open(&q, KMQ_PUSH_ONE);
    (void) eu_publish_numbers(q.kmq, q.p, 0, MANY);
    query = any();
    query.status = KMQ_STATUS_DEAD;
    found = slices = 0;
    cursor = 0;

    do {
        found += kmq_search(q.kmq, &query, &cursor, &info, 1);
        slices++;
    } while (cursor && slices < MANY);

    is_int(found, 0, "none is dead");
    ok(slices > 10 && slices < MANY / 100, "seen in %u slices", slices);

    ec_close(&q, "rare");
}


int
main(void)
{
    test_filters();
    test_waiting();
    test_topic_fits();
    test_data_fits();
    test_data_bounds(384, 0);
    test_data_bounds(384, 1);
    test_data_bounds(64, 0);
    test_data_bounds(64, 1);
    test_head();
    test_slices();
    test_oldest_slices();
    test_clock_back();
    test_many();
    test_rare();

    return done_testing();
}
