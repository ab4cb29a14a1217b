/*
 * What a client gives to be let in, from the bytes on.  The first byte says
 * where it gives that: in an Authorization header, in subprotocols, or in the
 * frames of a login and of what follows.  In what is behind, some bytes stand
 * for keys and tokens as they are, which nobody would find otherwise.
 *
 * What is let in is one of those, as a whole; and of the others no more are
 * wrong, instead of too many, than an address may try.
 */

#include "../../src/access/kmq_access.h"
#include "../../src/protocol/kmq_base64.h"
#include "../../src/protocol/kmq_key_header.h"
#include "../unit/access_sign.h"
#include "../unit/protocol_util.h"


#define NOW        UINT64_C(1700000000)
#define SECRET     "a secret of thirty-two bytes ...."
#define LOGIN_MAX  4096
#define RENEW      "Bearer "


/* What the bytes 1 to 6 stand for; the last one is a key in base64url. */
typedef struct {
    const char    *text;
    kmq_access_e   is;
} known_t;

static known_t  known[] = {
    { "the secret key", KMQ_ACCESS_GOOD },
    { "a key", KMQ_ACCESS_GOOD },
    { NULL, KMQ_ACCESS_GOOD },          /* a token */
    { NULL, KMQ_ACCESS_EXPIRED },       /* an old one */
    { "a key that was removed", KMQ_ACCESS_WRONG },
    { "kapokmq.key.YSBrZXk", KMQ_ACCESS_WRONG },
};

#define KNOWN  (sizeof(known) / sizeof(known[0]))


static kmq_gate_t        gate;
static kmq_tries_from_t  from;

/* Different wrong ones that were not too many. */
static unsigned          wrongs;
static kmq_digest_t      wrong[KMQ_TRIES_LIMIT];


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
check(int good, const char *what)
{
    if (!good) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}


static const char *
make_token(const char *claims)
{
    char  *token;

    token = sign_begin("{\"alg\":\"HS256\"}", 15, claims, strlen(claims));
    sign_secret(token, 256, SECRET, strlen(SECRET));

    return token;
}


static void
begin(void)
{
    size_t                n, size;
    uint64_t              number;
    kmq_keys_t           *keys;
    kmq_valid_t          *valid;
    kmq_rights_t         *rights;
    kmq_keys_one_t        one[3];
    static kmq_tokens_t   tokens;

    tokens.algorithms = 1u << KMQ_TOKEN_HS256;
    tokens.nsecrets = 1;
    tokens.secret[0].len = strlen(SECRET);
    memcpy(tokens.secret[0].bytes, SECRET, strlen(SECRET));
    check(kmq_tokens_seal(&tokens) == 0, "no settings");

    known[2].text = make_token("{\"exp\":1700000060,\"sub\":\"anna\"}");
    known[3].text = make_token("{\"exp\":1700000000}");

    rights = kmq_rights_all();
    one[0].rights = one[1].rights = one[2].rights = rights;
    kmq_digest(&one[0].digest, known[0].text, strlen(known[0].text));
    kmq_digest(&one[1].digest, known[1].text, strlen(known[1].text));
    kmq_digest(&one[2].digest, known[4].text, strlen(known[4].text));

    valid = malloc(kmq_valid_size());
    kmq_valid_init(valid);

    for (n = 3; n >= 2; n--) {
        keys = kmq_keys_make(one, n, tokens.settings, 1, &size);
        kmq_valid_write(valid, keys, NOW);
        free(keys);
    }

    gate.keys = kmq_valid_read(valid, &number);
    free(valid);
    free(rights);

    gate.tokens = &tokens;
    gate.memory = kmq_token_memory();
    gate.tries = malloc(kmq_tries_size());
    gate.used = malloc(kmq_used_size());
    gate.limit = KMQ_TRIES_LIMIT;
    kmq_used_init(gate.used);
}


/* ------------------------------------------------------------------ asking */

static kmq_access_e
expected(const void *text, size_t len)
{
    size_t  i;

    for (i = 0; i < KNOWN; i++) {
        if (strlen(known[i].text) == len
            && memcmp(known[i].text, text, len) == 0)
        {
            return i < 2 && gate.tokens_only ? KMQ_ACCESS_WRONG : known[i].is;
        }
    }

    return KMQ_ACCESS_WRONG;
}


/* It was wrong; a key that was removed does not count. */
static void
note(const void *text, size_t len)
{
    unsigned      i;
    kmq_digest_t  digest;

    if (strlen(known[4].text) == len && memcmp(known[4].text, text, len) == 0)
    {
        return;
    }

    kmq_digest(&digest, text, len);

    for (i = 0; i < wrongs; i++) {
        if (kmq_digest_same(&wrong[i], &digest)) {
            return;
        }
    }

    check(wrongs < KMQ_TRIES_LIMIT, "there were too many");
    wrong[wrongs++] = digest;
}


static kmq_access_e
ask(const void *text, size_t len)
{
    uint32_t            wait = 0;
    const char         *why = NULL;
    kmq_access_e        rc, is;
    kmq_access_t        access;
    kmq_access_time_t   now = { NOW, 1000000 };

    memset(&access, 0, sizeof(access));

    rc = kmq_access(&gate, &from, text, len, &now, &access, &wait, &why);
    is = expected(text, len);

    if (rc == KMQ_ACCESS_LATER) {
        check(is == KMQ_ACCESS_WRONG, "a right one has to wait");
        check(wait > 0 && wait <= KMQ_TRIES_TIME, "for how long");
        check(wrongs == KMQ_TRIES_LIMIT, "there were not too many");
        return rc;
    }

    check(rc == is, "it is something else");

    if (rc == KMQ_ACCESS_GOOD) {
        check(access.rights
              && kmq_rights_check(access.rights,
                                  kmq_rights_size(access.rights)),
              "rights that are none");
        free(access.rights);

    } else {
        check(access.rights == NULL, "rights for nothing");
        check(why && *why, "nobody says why");

        if (rc == KMQ_ACCESS_WRONG) {
            note(text, len);
        }
    }

    return rc;
}


/* ---------------------------------------------------------------- headers */

static void
bearer(const char *value, size_t len)
{
    kmq_key_header_t  key;

    if (kmq_key_bearer(value, len, &key)) {
        check(key.data >= value && key.data + key.len == value + len,
              "it is not the end of the value");
        (void) ask(key.data, key.len);
    }
}


static void
protocol(const char *value, size_t len)
{
    long              n;
    unsigned char    *bytes;
    kmq_key_header_t  text;

    if (!kmq_key_protocol(value, len, &text)) {
        return;
    }

    check(text.data >= value + strlen("kapokmq.key.")
          && text.data + text.len <= value + len, "it is not in the value");
    check(text.len == 0 || memchr(text.data, ',', text.len) == NULL,
          "it is more than one");

    bytes = malloc(KMQ_BASE64_ROOM(text.len));
    n = kmq_base64url_decode(bytes, text.data, text.len);
    (void) ask(bytes, n < 0 ? 0 : (size_t) n);
    free(bytes);
}


/* ----------------------------------------------------------------- frames */

/* As a login does, and a consumer behind it.  1: it goes on. */
static int
message(const kmq_ws_parser_t *parser, unsigned *failed, int *in)
{
    size_t        n;
    kmq_access_e  rc;

    n = strlen(RENEW);

    if (*in) {
        if (parser->size > n && memcmp(parser->data, RENEW, n) == 0) {
            gate.tokens_only = 1;
            (void) ask(parser->data + n, parser->size - n);
            gate.tokens_only = 0;
        }

        return 1;
    }

    rc = ask(parser->data, parser->size);
    *in = (rc == KMQ_ACCESS_GOOD);

    return rc != KMQ_ACCESS_LATER && (*in || ++*failed < 5);
}


static void
frames(unsigned char *bytes, size_t size)
{
    int              in;
    size_t           used;
    unsigned         failed;
    kmq_ws_event_t   event;
    kmq_ws_parser_t  parser;

    kmq_ws_init(&parser, LOGIN_MAX);
    used = 0;
    in = 0;
    failed = 0;

    do {
        event = kmq_ws_parse(&parser, bytes, size, &used);

        if (event == KMQ_WS_MESSAGE && !message(&parser, &failed, &in)) {
            return;
        }

    } while (event == KMQ_WS_MESSAGE || event == KMQ_WS_CONTROL);
}


/* Each line is a frame, unless the bytes are frames already. */
static void
login(buffer_t *text, int raw)
{
    buffer_t     input = { NULL, 0, 0 };
    const char  *at, *end, *line;

    if (text->size == 0) {
        return;
    }

    if (raw) {
        frames((unsigned char *) text->bytes, text->size);
        return;
    }

    at = (const char *) text->bytes;
    end = at + text->size;

    while (at < end) {
        line = memchr(at, '\n', (size_t) (end - at));
        line = line ? line : end;
        client_frame(&input, 0x80 | KMQ_WS_BINARY, at, (size_t) (line - at));
        at = line + 1;
    }

    frames((unsigned char *) input.bytes, input.size);
    buffer_free(&input);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t    i;
    buffer_t  text = { NULL, 0, 0 };

    if (size == 0) {
        return 0;
    }

    if (gate.keys == NULL) {
        begin();
    }

    check(kmq_tries_init(gate.tries) == 0, "no table");
    kmq_tries_from(&from, (const unsigned char *) "\12\0\0\1", 4);
    random_state = 1;
    wrongs = 0;

    for (i = 1; i < size; i++) {
        if (data[i] >= 1 && data[i] <= KNOWN) {
            buffer_add(&text, known[data[i] - 1].text,
                       strlen(known[data[i] - 1].text));
        } else {
            buffer_add(&text, data + i, 1);
        }
    }

    switch (data[0] % 4) {

    case 0:
        bearer((const char *) text.bytes, text.size);
        break;

    case 1:
        protocol((const char *) text.bytes, text.size);
        break;

    default:
        login(&text, data[0] % 4 == 2);
    }

    buffer_free(&text);

    return 0;
}
