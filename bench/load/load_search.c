#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "load.h"


#define SEARCH_CODES   100000
#define SEARCH_LIMIT   10000
#define SEARCH_HEAD    256     /* first bytes of an answer */
#define SEARCH_TAIL    192     /* and its last ones */
#define SEARCH_CURSOR  64


/*
 * --search: questions to the console, one after the other on a connection for
 * each kind, while the messages of the other clients tell how long the server
 * was busy with them.
 */

typedef enum {
    SEARCH_PAGE = 0,           /* everything, page by page */
    SEARCH_TOPIC,              /* these four find nothing: what is dead in a
                                  topic that there is, of years ago, */
    SEARCH_TIME,
    SEARCH_TEXT,               /* a text that nobody has sent, */
    SEARCH_STATUS,             /* dead */
    SEARCH_GET,
    SEARCH_DELETE,
    SEARCH_COUNT,
    SEARCH_OVERVIEW,           /* what the console page refreshes */
    SEARCH_TOPICS,
    SEARCH_TOPIC_DETAIL,
    SEARCH_GROWTH,
    SEARCH_CLIENTS,
    SEARCH_NEWEST,             /* with the beginning of their data */
    SEARCH_OLDEST,
    SEARCH_KINDS
} search_kind_t;

typedef struct {
    const char     *name;
    const char     *path;
    const char     *form;
} search_about_t;

static const search_about_t  search_about[SEARCH_KINDS] = {
    { "page", "GetMessageList", "status=3" },
    { "topic", "GetMessageList", "status=2&topic=" },
    { "time", "GetMessageList",
      "status=3&startTime=1000000000&endTime=1000003600" },
    { "text", "GetMessageList", "status=3&search=there+is+none" },
    { "status", "GetMessageList", "status=2" },
    { "get", "GetMessage", "" },
    { "delete", "DelMessage", "" },
    { "count", "CountMessage", "" },
    { "overview", "GetOverview", "" },
    { "topics", "GetTopics", "limit=10000" },
    { "detail", "GetTopic", "topic=" },
    { "growth", "GetGrowth", "unit=minute&count=60" },
    { "clients", "GetClientList", "limit=10000" },
    { "newest", "GetMessageList", "status=3&limit=100&preview=160" },
    { "oldest", "GetMessageList",
      "status=3&limit=100&preview=160&order=oldest" }
};

/* Which part of an answer comes next. */
typedef enum {
    SEARCH_HEADER = 0,
    SEARCH_BODY,
    SEARCH_CHUNK,              /* a chunk's size */
    SEARCH_DATA,
    SEARCH_DATA_END
} search_state_t;

typedef struct {
    load_t         *load;
    client_t       *client;
    search_kind_t   kind;
    search_state_t  state;
    unsigned        waits:1;   /* for an answer */
    unsigned        pauses:1;  /* --pause */
    uint64_t        begun;
    uint64_t        left;      /* of the body, or of a chunk */
    uint64_t        length;    /* of the body so far */
    uint64_t        objects;   /* in it */
    char            head[SEARCH_HEAD];
    char            tail[SEARCH_TAIL];
    char            cursor[SEARCH_CURSOR];
    unsigned        code;      /* the next one to ask for */
    uint64_t        walks;     /* of all pages */
    uint64_t        messages;
    uint64_t        bytes;
    histogram_t     times;
} searcher_t;

struct load_search_s {
    client_t        clients[LOAD_SEARCHES];
    searcher_t      searchers[LOAD_SEARCHES];
    unsigned        n;
    unsigned        gathering:1;
    unsigned        ncodes;
    char            codes[SEARCH_CODES][WIRE_CODE_LEN];
};


static size_t search_parse(void *arg, unsigned char *data, size_t size);
static void search_done(load_t *l, searcher_t *s);


/* ---------------------------------------------------------------- options */

int
load_search_options(load_options_t *o, const char *text)
{
    size_t    len;
    unsigned  kind;

    for ( ;; ) {
        len = strcspn(text, ",");

        for (kind = 0; kind < SEARCH_KINDS; kind++) {
            if (strlen(search_about[kind].name) == len
                && memcmp(search_about[kind].name, text, len) == 0)
            {
                break;
            }
        }

        if (kind == SEARCH_KINDS || o->nsearch == LOAD_SEARCHES) {
            fprintf(stderr, "kmq-load: --search takes up to %d kinds, not "
                    "\"%s\"\n", LOAD_SEARCHES, text);
            return -1;
        }

        o->search[o->nsearch++] = (uint8_t) kind;

        if (text[len] == '\0') {
            return 0;
        }

        text += len + 1;
    }
}


int
load_search_init(load_t *l)
{
    unsigned        i;
    load_search_t  *search;

    if (l->o.nsearch == 0) {
        return 0;
    }

    search = calloc(1, sizeof(load_search_t));

    if (search == NULL) {
        return -1;
    }

    l->search = search;
    search->n = l->o.nsearch;

    for (i = 0; i < search->n; i++) {
        search->searchers[i].load = l;
        search->searchers[i].client = &search->clients[i];
        search->searchers[i].kind = l->o.search[i];
        search->clients[i].role = LOAD_SEARCHER;
        search->clients[i].number = i;
        search->clients[i].search = &search->searchers[i];
    }

    return 0;
}


/* -------------------------------------------------------------- questions */

static void
search_fail(load_t *l, searcher_t *s, const char *what)
{
    load_fail(l, "search \"%s\": %s, after: %.*s",
              search_about[s->kind].name, what, SEARCH_HEAD, s->head);
    l->closed++;
}


/* Takes the next code: those for get are the first half of all. */
static const char *
search_code(load_search_t *search, searcher_t *s)
{
    unsigned  half;

    half = search->ncodes / 2;

    if (s->kind == SEARCH_GET) {
        return half == 0 ? NULL : search->codes[s->code++ % half];
    }

    return s->code >= search->ncodes - half ? NULL
           : search->codes[half + s->code++];
}


static void
search_ask(load_t *l, searcher_t *s)
{
    int             n, len;
    char            form[512];
    client_t       *c;
    const char     *code;
    unsigned char  *p;

    c = s->client;
    s->waits = 0;

    if (s->kind == SEARCH_GET || s->kind == SEARCH_DELETE) {
        code = search_code(l->search, s);

        if (code == NULL) {
            return;    /* all are deleted */
        }

        len = snprintf(form, sizeof(form), "messageCode=%.*s", WIRE_CODE_LEN,
                       code);

    } else if (s->kind > SEARCH_STATUS) {
        len = snprintf(form, sizeof(form), "%s%s",
                       search_about[s->kind].form,
                       s->kind == SEARCH_TOPIC_DETAIL ? l->o.topic : "");

    } else {
        len = snprintf(form, sizeof(form), "%s%s&limit=%d%s%s",
                       search_about[s->kind].form,
                       s->kind == SEARCH_TOPIC ? l->o.topic : "", SEARCH_LIMIT,
                       s->cursor[0] == '\0' ? "" : "&cursor=", s->cursor);
    }

    p = net_room(&c->out, 1024);

    if (p == NULL) {
        load_fail(l, "no memory");
        return;
    }

    n = snprintf((char *) p, 1024,
                 "POST /Console/%s HTTP/1.1\r\n"
                 "Host: %s:%u\r\n"
                 "secretKey: %s\r\n"
                 "Content-Type: application/x-www-form-urlencoded\r\n"
                 "Content-Length: %d\r\n\r\n%s",
                 search_about[s->kind].path, l->o.host, l->o.port, l->o.key,
                 len, form);

    c->out.to += (size_t) n;
    s->waits = 1;
    s->state = SEARCH_HEADER;
    s->length = 0;
    s->objects = 0;
    s->begun = net_now();
    memset(s->head, 0, sizeof(s->head));
    memset(s->tail, 0, sizeof(s->tail));

    if (net_flush(&l->in, c->fd, &c->out) == -1) {
        search_fail(l, s, strerror(errno));
    }
}


/* Opens the connections; the first one looks for codes to ask for. */
int
load_search_open(load_t *l)
{
    unsigned        i;
    searcher_t     *s;
    load_search_t  *search;

    search = l->search;

    for (i = 0; i < search->n; i++) {
        search->clients[i].state = CLIENT_READY;

        if (load_connect(l, &search->clients[i]) == -1) {
            return -1;
        }

        if (search->searchers[i].kind == SEARCH_GET
            || search->searchers[i].kind == SEARCH_DELETE)
        {
            search->gathering = 1;
        }
    }

    if (search->gathering) {
        s = &search->searchers[0];
        s->kind = SEARCH_PAGE;
        search_ask(l, s);
    }

    return 0;
}


int
load_search_gathered(load_t *l)
{
    return !l->search->gathering;
}


static void
search_gather_end(load_t *l)
{
    searcher_t  *s;

    s = &l->search->searchers[0];
    l->search->gathering = 0;

    s->kind = l->o.search[0];
    s->waits = 0;
    s->cursor[0] = '\0';
    s->walks = 0;
    s->messages = 0;
    s->bytes = 0;
    memset(&s->times, 0, sizeof(s->times));
}


void
load_search_start(load_t *l)
{
    unsigned  i;

    for (i = 0; l->search != NULL && i < l->search->n; i++) {
        search_ask(l, &l->search->searchers[i]);
    }
}


/* --pause: asks again where it is time. */
void
load_search_step(load_t *l, uint64_t now)
{
    unsigned     i;
    searcher_t  *s;

    for (i = 0; l->search != NULL && i < l->search->n; i++) {
        s = &l->search->searchers[i];

        if (s->pauses && now >= s->begun + (uint64_t) (l->o.pause * 1e9)) {
            s->pauses = 0;
            search_ask(l, s);
        }
    }
}


/* ---------------------------------------------------------------- answers */

void
load_search_event(load_t *l, client_t *c, unsigned events)
{
    (void) events;

    if (net_read(&l->in, c->fd, &c->rest, UINT_MAX, search_parse, c->search)
        == NET_CLOSED
        || net_flush(&l->in, c->fd, &c->out) == -1)
    {
        search_fail(l, c->search, "the connection has ended");
        net_close(&l->in, c->fd);
        c->fd = -1;
        c->state = CLIENT_CLOSED;
    }
}


/* Takes the MessageCodes that stand whole in this part of a page. */
static void
search_gather(load_search_t *search, const unsigned char *p, size_t n)
{
    static const char  name[] = "\"MessageCode\":\"";

    const unsigned char  *end, *found;

    end = p + n;

    while (search->ncodes < SEARCH_CODES) {
        found = memmem(p, (size_t) (end - p), name, sizeof(name) - 1);

        if (found == NULL) {
            return;
        }

        p = found + sizeof(name) - 1;

        if (end - p < WIRE_CODE_LEN) {
            return;
        }

        memcpy(search->codes[search->ncodes++], p, WIRE_CODE_LEN);
    }
}


/* A part of an answer's body. */
static void
search_body(searcher_t *s, const unsigned char *p, size_t n)
{
    size_t                len;
    const unsigned char  *brace, *end;

    if (s->length < SEARCH_HEAD - 1) {
        len = SEARCH_HEAD - 1 - s->length;
        len = len < n ? len : n;
        memcpy(s->head + s->length, p, len);
    }

    len = n < SEARCH_TAIL - 1 ? n : SEARCH_TAIL - 1;
    memmove(s->tail, s->tail + len, SEARCH_TAIL - 1 - len);
    memcpy(s->tail + SEARCH_TAIL - 1 - len, p + n - len, len);

    s->length += n;
    s->bytes += n;
    end = p + n;

    for (brace = p; brace < end; brace++) {
        brace = memchr(brace, '{', (size_t) (end - brace));

        if (brace == NULL) {
            break;
        }

        s->objects++;
    }

    if (s->load->search->gathering) {
        search_gather(s->load->search, p, n);
    }
}


/* Reads "next" at the end of a page: 0, or -1 when there is none. */
static int
search_cursor(searcher_t *s)
{
    size_t       i, n;
    const char  *p;

    /* what has not been filled yet is in front */

    p = memmem(s->tail, SEARCH_TAIL - 1, "\"next\":", 7);

    if (p == NULL) {
        return -1;
    }

    p += 7;
    p += *p == '"';
    n = strcspn(p, "\",}");

    if (n >= SEARCH_CURSOR) {
        return -1;
    }

    s->cursor[0] = '\0';

    if (n == 4 && memcmp(p, "null", 4) == 0) {
        s->walks++;
        return 0;
    }

    for (i = 0; i < n; i++) {
        if (strchr("+&=%# ", p[i]) != NULL) {
            return -1;    /* would have to be encoded */
        }
    }

    memcpy(s->cursor, p, n);
    s->cursor[n] = '\0';

    return 0;
}


/* Messages of an answer; whoever looks at data tells how much of it. */
static uint64_t
search_found(const searcher_t *s)
{
    unsigned  others;

    others = 1 + (memmem(s->tail, SEARCH_TAIL - 1, "\"looked\":", 9) != NULL);

    return s->objects < others ? 0 : s->objects - others;
}


/* Is the answer what it should be?  NULL, or what is wrong. */
static const char *
search_wrong(load_t *l, searcher_t *s)
{
    uint64_t     found;
    const char  *code;

    if (strncmp(s->head, "{\"code\":0", 9) != 0) {
        return "no success";
    }

    if (s->kind == SEARCH_GET) {
        code = l->search->codes[(s->code - 1) % (l->search->ncodes / 2)];

        return memmem(s->head, SEARCH_HEAD, code, WIRE_CODE_LEN) == NULL
               ? "another message" : NULL;
    }

    if (s->kind > SEARCH_STATUS) {
        return NULL;
    }

    found = search_found(s);

    if (s->kind != SEARCH_PAGE && found != 0) {
        return "something was found";
    }

    if (found > SEARCH_LIMIT) {
        return "too long a page";
    }

    s->messages += found;

    return search_cursor(s) == -1 ? "no \"next\"" : NULL;
}


static void
search_done(load_t *l, searcher_t *s)
{
    const char  *wrong;

    histogram_add(&s->times, net_now() - s->begun);
    wrong = search_wrong(l, s);

    if (wrong != NULL) {
        search_fail(l, s, wrong);
        return;
    }

    if (l->search->gathering) {
        if (l->search->ncodes == SEARCH_CODES || s->cursor[0] == '\0') {
            search_gather_end(l);
            return;
        }

    } else if (l->phase != LOAD_RUNNING || l->o.pause != 0) {
        s->pauses = l->phase == LOAD_RUNNING;
        s->waits = 0;
        return;
    }

    search_ask(l, s);
}


/* A header's value in an answer, or NULL. */
static const char *
search_header(const char *p, const char *end, const char *name)
{
    size_t  len;

    len = strlen(name);

    for ( /* void */ ; p + len < end; p++) {
        if (*p == '\n' && strncasecmp(p + 1, name, len) == 0) {
            return p + 1 + len;
        }
    }

    return NULL;
}


/* Returns the bytes of the answer's header, 0: not complete, or NET_CLOSE. */
static size_t
search_answer(searcher_t *s, unsigned char *data, size_t size)
{
    const char  *p, *end, *value;

    p = (const char *) data;
    end = memmem(data, size, "\r\n\r\n", 4);

    if (end == NULL) {
        return 0;
    }

    if (!s->waits || strncmp(p, "HTTP/1.1 200 ", 13) != 0) {
        load_fail(s->load, "search \"%s\": %.*s",
                  search_about[s->kind].name, (int) strcspn(p, "\r"), p);
        return NET_CLOSE;
    }

    value = search_header(p, end, "Content-Length:");

    if (value != NULL) {
        s->left = strtoull(value, NULL, 10);
        s->state = SEARCH_BODY;

    } else if (search_header(p, end, "Transfer-Encoding: chunked") != NULL) {
        s->state = SEARCH_CHUNK;

    } else {
        return NET_CLOSE;
    }

    return (size_t) (end + 4 - p);
}


/* Takes a part of the body or of a chunk; 1 when that was its last. */
static int
search_part(searcher_t *s, const unsigned char *data, size_t size,
    size_t *used)
{
    size_t  n;

    n = s->left < size ? s->left : size;
    search_body(s, data, n);
    s->left -= n;
    *used += n;

    return s->left == 0;
}


static size_t
search_parse(void *arg, unsigned char *data, size_t size)
{
    char        *end;
    size_t       n, used;
    searcher_t  *s;

    s = arg;

    for (used = 0; used < size; /* void */ ) {

        switch (s->state) {

        case SEARCH_HEADER:
            n = search_answer(s, data + used, size - used);

            if (n == 0 || n == NET_CLOSE) {
                return n == 0 ? used : NET_CLOSE;
            }

            used += n;
            break;

        case SEARCH_BODY:
            if (search_part(s, data + used, size - used, &used)) {
                search_done(s->load, s);
            }

            break;

        case SEARCH_CHUNK:
            end = memmem(data + used, size - used, "\r\n", 2);

            if (end == NULL) {
                return used;
            }

            s->left = strtoull((char *) data + used, NULL, 16);
            used = (size_t) ((unsigned char *) end + 2 - data);
            s->state = s->left == 0 ? SEARCH_DATA_END : SEARCH_DATA;
            break;

        case SEARCH_DATA:
            if (search_part(s, data + used, size - used, &used)) {
                s->left = 1;
                s->state = SEARCH_DATA_END;
            }

            break;

        default:
            if (size - used < 2) {
                return used;
            }

            used += 2;
            s->state = SEARCH_CHUNK;

            if (s->left == 0) {
                search_done(s->load, s);
            }

            break;
        }
    }

    return used;
}


/* ----------------------------------------------------------------- report */

void
load_search_report(const load_t *l)
{
    unsigned           i;
    const searcher_t  *s;

    if (l->search == NULL) {
        return;
    }

    printf(", \"search\": [");

    for (i = 0; i < l->search->n; i++) {
        s = &l->search->searchers[i];
        printf("%s{\"kind\": \"%s\", \"walks\": %llu, \"messages\": %llu, "
               "\"bytes\": %llu", i == 0 ? "" : ", ",
               search_about[s->kind].name, (unsigned long long) s->walks,
               (unsigned long long) s->messages,
               (unsigned long long) s->bytes);
        histogram_print("answer_us", &s->times);
        printf("}");
    }

    printf("]");
}
