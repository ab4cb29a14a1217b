/* Keys and tokens in application.yaml: kmq_yaml.h. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "kmq_yaml.h"


#define ACCESS_KEYS_MAX    500      /* names */
#define ACCESS_TEXT        160      /* bytes of a message */


/* A key while it is read. */
typedef struct {
    kmq_text_t         produce[KMQ_RIGHTS_TOPICS_MAX];
    kmq_text_t         consume[KMQ_RIGHTS_TOPICS_MAX];
    kmq_claims_t       claims;
    kmq_key_config_t  *key;
} access_key_t;

/* Reads an element of a list, or what stands in the place of one. */
typedef void (*access_one_pt)(kmq_yaml_t *y, kmq_map_t *map,
    const kmq_key_t *key);


static void access_read_values(kmq_yaml_t *y, kmq_map_t *map,
    const kmq_key_t *key);
static void access_read_topics(kmq_yaml_t *y, kmq_map_t *map,
    const kmq_key_t *key);
static void access_read_console(kmq_yaml_t *y, kmq_map_t *map,
    const kmq_key_t *key);
static void access_read_metrics(kmq_yaml_t *y, kmq_map_t *map,
    const kmq_key_t *key);
static void access_read_algorithms(kmq_yaml_t *y, kmq_map_t *map,
    const kmq_key_t *key);
static void access_read_secrets(kmq_yaml_t *y, kmq_map_t *map,
    const kmq_key_t *key);
static void access_read_key_file(kmq_yaml_t *y, kmq_map_t *map,
    const kmq_key_t *key);
static void access_read_text(kmq_yaml_t *y, kmq_map_t *map,
    const kmq_key_t *key);


#define ACCESS_MEMBER(field)  offsetof(kmq_config_t, field)

static const kmq_key_t  access_key_keys[] = {
    { "key", access_read_values, 0, 0, 0, 0, 0 },
    { "produce", access_read_topics, 0, 0, 0, 0, 0 },
    { "consume", access_read_topics, 1, 0, 0, 0, 0 },
    { "console", access_read_console, 0, 0, 0, 0, 0 },
    { "metrics", access_read_metrics, 0, 0, 0, 0, 0 },
    { NULL, NULL, 0, 0, 0, 0, 0 }
};

static const kmq_key_t  access_token_keys[] = {
    { "algorithms", access_read_algorithms, 0, 0, 0, 0, 0 },
    { "secret", access_read_secrets, 0, 0, 0, 0, 0 },
    { "publicKeyFile", access_read_key_file, ACCESS_MEMBER(token_key_file),
      1, KMQ_PATH_MAX, 0, 0 },
    { "issuer", access_read_text, ACCESS_MEMBER(tokens.issuer), 0, 0, 0, 0 },
    { "audience", access_read_text, ACCESS_MEMBER(tokens.audience),
      0, 0, 0, 0 },
    { "leeway", kmq_value_whole, ACCESS_MEMBER(tokens.leeway),
      0, 3600, 0, 0 },
    { NULL, NULL, 0, 0, 0, 0, 0 }
};


/* As kmq_enter(); but a text may be a key in the wrong place, and is not shown
 * in a message. */
static int
access_enter(kmq_yaml_t *y, const char *where, const char *name)
{
    if (y->event.type == YAML_SCALAR_EVENT && !kmq_yaml_is_null(y)) {
        kmq_yaml_report_here(y, 1, "\"%s%s\" must be a mapping (\"key: "
                             "value\" lines), not a text", where, name);
        return 0;
    }

    return kmq_enter(y, where, name);
}


/* ------------------------------------------------------------------ lists */

/* Each element of a list; where alone, one that stands without a list, too. */
static void
access_list(kmq_yaml_t *y, kmq_map_t *map, const kmq_key_t *key, int alone,
    access_one_pt one)
{
    if (y->event.type == YAML_SEQUENCE_START_EVENT) {
        while (kmq_yaml_next(y) && y->event.type != YAML_SEQUENCE_END_EVENT) {
            one(y, map, key);
        }

    } else if (alone) {
        one(y, map, key);

    } else if (!kmq_yaml_is_null(y)) {
        kmq_value_wrong(y, map, key->name, "a list");
        kmq_yaml_skip(y);
    }
}


/* ------------------------------------------------------------------- keys */

static void
access_read_value(kmq_yaml_t *y, kmq_map_t *map, const kmq_key_t *key)
{
    char               secret[KMQ_SECRET_MAX + 1];
    size_t             len;
    access_key_t      *k;
    kmq_key_value_t   *value;

    k = map->to;
    len = kmq_value_hidden(y, map, key->name, secret);

    if (len == 0) {
        return;
    }

    if (k->key->nvalues == KMQ_KEY_VALUES) {
        kmq_yaml_report_here(y, 1, "\"%s%s\" has more than %d values",
                             map->where, key->name, KMQ_KEY_VALUES);

    } else {
        value = &k->key->value[k->key->nvalues];
        value->line = (uint32_t) y->event.start_mark.line + 1;
        value->column = (uint32_t) y->event.start_mark.column + 1;

        if (kmq_digest(&value->digest, secret, len) == 0) {
            k->key->nvalues++;

        } else {
            kmq_yaml_report_here(y, 1, "\"%s%s\": OpenSSL cannot make a "
                                 "digest", map->where, key->name);
        }
    }

    OPENSSL_cleanse(secret, sizeof(secret));
}


static void
access_read_values(kmq_yaml_t *y, kmq_map_t *map, const kmq_key_t *key)
{
    access_list(y, map, key, 1, access_read_value);
}


/* What is wrong with a topic; NULL: nothing. */
static const char *
access_topic_error(const kmq_yaml_t *y)
{
    size_t       len;
    const char  *text;

    text = (const char *) y->event.data.scalar.value;
    len = y->event.type == YAML_SCALAR_EVENT && !kmq_yaml_is_null(y)
          ? y->event.data.scalar.length : 0;

    if (len == 0 || len - (text[len - 1] == '*') > KMQ_RIGHTS_NAME_MAX
        || memchr(text, '\0', len))
    {
        return "a list of topics, each of 1 to 255 bytes, with or without a "
               "\"*\" behind it";
    }

    if (strstr(text, "{sub}") || strstr(text, "{id}")) {
        return "a list of topics without \"{sub}\" and \"{id}\", which only "
               "tokens may have";
    }

    return NULL;
}


static void
access_read_topic(kmq_yaml_t *y, kmq_map_t *map, const kmq_key_t *key)
{
    char          *copy;
    size_t        *n;
    kmq_text_t    *list;
    const char    *error;
    access_key_t  *k;

    k = map->to;
    list = key->offset ? k->consume : k->produce;
    n = key->offset ? &k->claims.nconsume : &k->claims.nproduce;

    error = *n == KMQ_RIGHTS_TOPICS_MAX ? "a list of at most 1000 topics"
                                        : access_topic_error(y);
    if (error) {
        kmq_value_wrong(y, map, key->name, error);
        kmq_yaml_skip(y);
        return;
    }

    copy = strdup((const char *) y->event.data.scalar.value);

    if (copy == NULL) {
        kmq_yaml_report(y, 1, 0, 0, "not enough memory for the keys");
        y->stopped = 1;
        return;
    }

    list[*n].data = copy;
    list[*n].len = y->event.data.scalar.length;
    (*n)++;
}


static void
access_read_topics(kmq_yaml_t *y, kmq_map_t *map, const kmq_key_t *key)
{
    access_list(y, map, key, 0, access_read_topic);
}


/* Which of the words the current event is; n: none. */
static unsigned
access_word(const kmq_yaml_t *y, const char *const *words, unsigned n)
{
    unsigned  i;

    for (i = 0; y->event.type == YAML_SCALAR_EVENT && i < n; i++) {
        if (strcmp((const char *) y->event.data.scalar.value, words[i]) == 0) {
            return i;
        }
    }

    return n;
}


static void
access_read_console(kmq_yaml_t *y, kmq_map_t *map, const kmq_key_t *key)
{
    unsigned       i;
    access_key_t  *k;

    static const char *const  words[] = { "none", "read", "write" };

    k = map->to;
    i = access_word(y, words, 3);

    if (i == 3) {
        kmq_value_wrong(y, map, key->name, "none, read or write");
        kmq_yaml_skip(y);
        return;
    }

    k->claims.console = i;
}


static void
access_read_metrics(kmq_yaml_t *y, kmq_map_t *map, const kmq_key_t *key)
{
    unsigned       i;
    access_key_t  *k;

    static const char *const  words[] = { "false", "true", "0", "1" };

    k = map->to;
    i = access_word(y, words, 4);

    if (i == 4) {
        kmq_value_wrong(y, map, key->name, "true or false");
        kmq_yaml_skip(y);
        return;
    }

    k->claims.metrics = i % 2;
}


static const kmq_key_config_t *
access_find(const kmq_config_t *config, const char *name, size_t len)
{
    size_t  i;

    for (i = 0; i < config->nkeys; i++) {
        if (config->keys[i].name_len == len
            && memcmp(config->keys[i].name, name, len) == 0)
        {
            return &config->keys[i];
        }
    }

    return NULL;
}


/* What is wrong with the name that the current event gives; NULL: nothing. */
static const char *
access_name_error(const kmq_yaml_t *y)
{
    size_t                i, len;
    const unsigned char  *name;

    if (y->event.type != YAML_SCALAR_EVENT) {
        return "the name of a key must be a text";
    }

    name = y->event.data.scalar.value;
    len = y->event.data.scalar.length;

    for (i = 0; i < len && name[i] >= 0x20 && name[i] != 0x7f; i++) {
        /* void */
    }

    if (len == 0 || len > KMQ_RIGHTS_NAME_MAX || i < len) {
        return "the name of a key must have 1 to 255 bytes without control "
               "characters";
    }

    if (strcmp((const char *) name, "secretKey") == 0) {
        return "\"secretKey\" is the name of the key that may do everything";
    }

    if (access_find(y->config, (const char *) name, len)) {
        return "a key of this name is given twice";
    }

    if (y->config->nkeys == ACCESS_KEYS_MAX) {
        return "more than 500 keys, from this one on";
    }

    return NULL;
}


/* Adds the key that the current event names, NULL when that cannot be.  The
 * array grows by doubling, as that of topics. */
static kmq_key_config_t *
access_add(kmq_yaml_t *y)
{
    char              *copy;
    size_t             n;
    const char        *error;
    kmq_key_config_t  *keys;

    error = access_name_error(y);

    if (error) {
        kmq_yaml_report_here(y, 1, "\"mq.keys\": %s", error);
        kmq_yaml_skip(y);
        return NULL;
    }

    n = y->config->nkeys;

    if ((n & (n - 1)) == 0) {
        keys = realloc(y->config->keys,
                       (n ? 2 * n : 1) * sizeof(kmq_key_config_t));

        if (keys) {
            y->config->keys = keys;
        }

    } else {
        keys = y->config->keys;
    }

    copy = keys ? strdup((const char *) y->event.data.scalar.value) : NULL;

    if (copy == NULL) {
        kmq_yaml_report(y, 1, 0, 0, "not enough memory for the keys");
        y->stopped = 1;
        return NULL;
    }

    memset(&keys[n], 0, sizeof(kmq_key_config_t));
    keys[n].name = copy;
    keys[n].name_len = y->event.data.scalar.length;
    keys[n].line = (uint32_t) y->event.start_mark.line + 1;
    y->config->nkeys = n + 1;

    return &keys[n];
}


/* Reads a key's mapping; k is zeroed but for the key. */
static void
access_read_key(kmq_yaml_t *y, access_key_t *k)
{
    char         shown[KMQ_UTF8_SHOWN];
    unsigned     errors;
    kmq_map_t    map;
    yaml_mark_t  mark;

    kmq_utf8_show(shown, (unsigned char *) k->key->name, k->key->name_len);
    mark = y->event.start_mark;
    errors = y->errors;

    if (access_enter(y, "mq.keys.", shown)) {
        memset(&map, 0, sizeof(kmq_map_t));
        map.keys = access_key_keys;
        map.topic = &y->config->topic;
        map.to = k;
        snprintf(map.where, sizeof(map.where), "mq.keys.%s.", shown);

        kmq_read_map(y, &map);
    }

    if (errors != y->errors || y->stopped) {
        return;
    }

    if (k->key->nvalues == 0) {
        kmq_yaml_report(y, 1, mark.line + 1, mark.column + 1,
                        "\"mq.keys.%s\" has no \"key\"", shown);
        return;
    }

    k->claims.kind = KMQ_WHO_KEY;
    k->claims.name.data = k->key->name;
    k->claims.name.len = k->key->name_len;
    k->claims.produce = k->produce;
    k->claims.consume = k->consume;
    k->key->rights = kmq_rights_make(&k->claims);

    if (k->key->rights == NULL) {
        kmq_yaml_report(y, 1, 0, 0, "not enough memory for the keys");
        y->stopped = 1;
    }
}


static void
access_free_topics(access_key_t *k)
{
    size_t  i;

    for (i = 0; i < k->claims.nproduce; i++) {
        free((char *) k->produce[i].data);
    }

    for (i = 0; i < k->claims.nconsume; i++) {
        free((char *) k->consume[i].data);
    }
}


void
kmq_read_keys(kmq_yaml_t *y, kmq_map_t *map, const kmq_key_t *key)
{
    access_key_t  *k;

    if (!access_enter(y, map->where, key->name)) {
        return;
    }

    while (kmq_yaml_next(y) && y->event.type != YAML_MAPPING_END_EVENT) {

        k = calloc(1, sizeof(access_key_t));

        if (k == NULL) {
            kmq_yaml_report(y, 1, 0, 0, "not enough memory for the keys");
            y->stopped = 1;
            return;
        }

        k->key = access_add(y);

        if (kmq_yaml_next(y)) {
            if (k->key) {
                access_read_key(y, k);

            } else {
                kmq_yaml_skip(y);
            }
        }

        access_free_topics(k);
        free(k);
    }
}


/* ----------------------------------------------------------------- tokens */

static void
access_read_algorithm(kmq_yaml_t *y, kmq_map_t *map, const kmq_key_t *key)
{
    int  algorithm;

    algorithm = -1;

    if (y->event.type == YAML_SCALAR_EVENT) {
        algorithm = kmq_token_algorithm((char *) y->event.data.scalar.value,
                                        y->event.data.scalar.length);
    }

    if (algorithm < 0) {
        kmq_value_wrong(y, map, key->name, "one or more of HS256, HS384, "
                        "HS512, RS256, RS384, RS512, ES256, ES384, ES512");
        kmq_yaml_skip(y);
        return;
    }

    y->config->tokens.algorithms |= 1u << algorithm;
}


static void
access_read_algorithms(kmq_yaml_t *y, kmq_map_t *map, const kmq_key_t *key)
{
    access_list(y, map, key, 1, access_read_algorithm);
}


static void
access_read_secret(kmq_yaml_t *y, kmq_map_t *map, const kmq_key_t *key)
{
    size_t         len;
    kmq_tokens_t  *tokens;

    tokens = &y->config->tokens;

    if (tokens->nsecrets == KMQ_TOKEN_SECRETS) {
        kmq_yaml_report_here(y, 1, "\"%s%s\" has more than %d values",
                             map->where, key->name, KMQ_TOKEN_SECRETS);
        kmq_yaml_skip(y);
        return;
    }

    len = kmq_value_hidden(y, map, key->name,
                           tokens->secret[tokens->nsecrets].bytes);

    if (len == 0) {
        return;
    }

    tokens->secret[tokens->nsecrets++].len = len;

    if (len < KMQ_DIGEST_LEN) {
        kmq_yaml_report_here(y, 0, "\"%s%s\" has %zu bytes: whoever has a "
                             "token can try to guess it; take %d or more that "
                             "are random", map->where, key->name, len,
                             KMQ_DIGEST_LEN);
    }
}


static void
access_read_secrets(kmq_yaml_t *y, kmq_map_t *map, const kmq_key_t *key)
{
    access_list(y, map, key, 1, access_read_secret);
}


static void
access_read_key_file(kmq_yaml_t *y, kmq_map_t *map, const kmq_key_t *key)
{
    y->config->token_line = (uint32_t) y->event.start_mark.line + 1;
    y->config->token_column = (uint32_t) y->event.start_mark.column + 1;

    kmq_value_path(y, map, key);
}


/* A name that tokens must have. */
static void
access_read_text(kmq_yaml_t *y, kmq_map_t *map, const kmq_key_t *key)
{
    size_t               len;
    const char          *text;
    kmq_token_secret_t  *to;

    to = (void *) ((char *) y->config + key->offset);
    text = (const char *) y->event.data.scalar.value;
    len = y->event.type == YAML_SCALAR_EVENT && !kmq_yaml_is_null(y)
          ? y->event.data.scalar.length : 0;

    if (len == 0 || len > KMQ_TOKEN_SECRET_MAX || memchr(text, '\0', len))
    {
        kmq_value_wrong(y, map, key->name, "a text of 1 to 255 bytes");
        kmq_yaml_skip(y);
        return;
    }

    memcpy(to->bytes, text, len);
    to->len = len;
}


/* What does not belong together; NULL: all does. */
static const char *
access_tokens_error(const kmq_config_t *config)
{
    uint32_t  all, hs;

    all = config->tokens.algorithms;
    hs = all & (7u << KMQ_TOKEN_HS256);

    if (!kmq_tokens_known()) {
        return "cannot be used: this module was built without libjwt "
               "(KAPOKMQ_JWT=NO)";
    }

    if (all == 0) {
        return "needs \"algorithms\"";
    }

    if (hs && hs != all) {
        return "has algorithms with a secret (HS...) beside such with a public "
               "key (RS..., ES...)";
    }

    if (hs) {
        return config->tokens.nsecrets == 0 ? "needs a \"secret\" for HS..."
               : config->token_key_file[0]
               ? "has a \"publicKeyFile\", which HS... does not use" : NULL;
    }

    return config->token_key_file[0] == '\0'
           ? "needs a \"publicKeyFile\" for RS... and ES..."
           : config->tokens.nsecrets
           ? "has a \"secret\", which RS... and ES... do not use" : NULL;
}


void
kmq_read_tokens(kmq_yaml_t *y, kmq_map_t *map, const kmq_key_t *key)
{
    unsigned      errors;
    kmq_map_t     tokens;
    const char   *error;
    yaml_mark_t   mark;

    mark = y->event.start_mark;
    errors = y->errors;

    if (!access_enter(y, map->where, key->name)) {
        return;
    }

    memset(&tokens, 0, sizeof(kmq_map_t));
    tokens.keys = access_token_keys;
    tokens.topic = &y->config->topic;
    snprintf(tokens.where, sizeof(tokens.where), "mq.tokens.");

    kmq_read_map(y, &tokens);

    if (errors != y->errors || y->stopped) {
        return;
    }

    error = access_tokens_error(y->config);

    if (error) {
        kmq_yaml_report(y, 1, mark.line + 1, mark.column + 1,
                        "\"mq.tokens\" %s", error);
    }
}


/* ------------------------------------------------------------ all of them */

/* Two keys of one value: nobody could say which of them somebody has. */
static int
access_same(const kmq_config_t *config, const kmq_keys_one_t *all, size_t n,
    const kmq_key_value_t *value, kmq_config_log_t log, void *arg)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        if (kmq_digest_same(&all[i].digest, &value->digest)) {
            log(arg, 1, config->file, value->line, value->column,
                i == 0 ? "this key is the same as \"mq.secretKey\""
                       : "this key is the same as another one before it");
            return 1;
        }
    }

    return 0;
}


/* All values of all keys, the secret key first; their number, 0 after an
 * error. */
static size_t
access_all(const kmq_config_t *config, const kmq_rights_t *rights,
    kmq_keys_one_t *all, kmq_config_log_t log, void *arg)
{
    size_t                   i, k, n;
    const kmq_key_config_t  *key;

    if (kmq_digest(&all[0].digest, config->secret_key, config->secret_key_len)
        != 0)
    {
        log(arg, 1, config->file ? config->file : "", 0, 0,
            "OpenSSL cannot make a digest");
        return 0;
    }

    all[0].rights = rights;
    n = 1;

    for (k = 0; k < config->nkeys; k++) {
        key = &config->keys[k];

        for (i = 0; i < key->nvalues; i++) {
            if (access_same(config, all, n, &key->value[i], log, arg)) {
                return 0;
            }

            all[n].digest = key->value[i].digest;
            all[n].rights = key->rights;
            n++;
        }
    }

    return n;
}


static int
access_make(kmq_config_t *config, const kmq_rights_t *rights,
    kmq_keys_one_t *all, kmq_config_log_t log, void *arg)
{
    char    text[ACCESS_TEXT];
    size_t  n, size;

    n = access_all(config, rights, all, log, arg);

    if (n == 0) {
        return -1;
    }

    config->valid = kmq_keys_make(all, n, config->tokens.settings,
                                  config->tokens.nsettings, &size);

    if (config->valid == NULL) {
        snprintf(text, sizeof(text), size > KMQ_KEYS_MAX
                 ? "the keys and their topics take %zu bytes, more than %d"
                 : "not enough memory for the keys", size, KMQ_KEYS_MAX);
        log(arg, 1, config->file ? config->file : "", 0, 0, text);
        return -1;
    }

    return 0;
}


/* The public key, and the digests of the settings. */
static int
access_seal_tokens(kmq_config_t *config, const char *pem, size_t len,
    kmq_config_log_t log, void *arg)
{
    char         text[ACCESS_TEXT];
    const char  *error;

    error = pem ? kmq_tokens_public_key(&config->tokens, pem, len) : NULL;

    if (error) {
        snprintf(text, sizeof(text), "\"mq.tokens.publicKeyFile\" %s", error);
        log(arg, 1, config->file, config->token_line, config->token_column,
            text);
        return -1;
    }

    if (kmq_tokens_seal(&config->tokens) != 0) {
        log(arg, 1, config->file ? config->file : "", 0, 0,
            "OpenSSL cannot make a digest");
        return -1;
    }

    return 0;
}


int
kmq_config_seal(kmq_config_t *config, const char *pem, size_t len,
    kmq_config_log_t log, void *arg)
{
    int              rc;
    kmq_rights_t    *rights;
    kmq_keys_one_t  *all;

    if (access_seal_tokens(config, pem, len, log, arg) != 0) {
        return -1;
    }

    rights = kmq_rights_all();
    all = calloc(1 + config->nkeys * KMQ_KEY_VALUES, sizeof(kmq_keys_one_t));

    if (rights && all) {
        rc = access_make(config, rights, all, log, arg);

    } else {
        log(arg, 1, config->file ? config->file : "", 0, 0,
            "not enough memory for the keys");
        rc = -1;
    }

    free(rights);
    free(all);

    return rc;
}


void
kmq_config_access_free(kmq_config_t *config)
{
    size_t  i;

    for (i = 0; i < config->nkeys; i++) {
        free(config->keys[i].name);
        free(config->keys[i].rights);
    }

    free(config->keys);
    free(config->valid);
    kmq_tokens_free(&config->tokens);

    config->keys = NULL;
    config->nkeys = 0;
    config->valid = NULL;
}
