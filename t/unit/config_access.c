/* Keys and tokens in application.yaml: what is taken, and every error with its
 * place. */

#include "../../src/server/config/kmq_config.h"
#include "access_sign.h"
#include "tap.h"


#define NOW    UINT64_C(1700000000)
#define LONG   "0123456789abcdef0123456789abcdef"
#define TEXT(s)  ((kmq_text_t) { (s), strlen(s) })
#define NONE     ((kmq_text_t) { NULL, 0 })


static kmq_config_t  config;
static char          messages[4096];
static unsigned      nmessages;


static void
log_message(void *arg, int fatal, const char *file, size_t line,
    size_t column, const char *text)
{
    (void) arg;
    (void) file;

    snprintf(messages + strlen(messages), sizeof(messages) - strlen(messages),
             "%s%s%zu:%zu %s", nmessages++ ? "\n" : "", fatal ? "" : "remark ",
             line, column, text);
}


static const char *
env(const char *name)
{
    return strcmp(name, "SHOP") == 0 ? "from the environment" : NULL;
}


/* Parses and seals: 0 or -1. */
static int
parse(const char *text, const char *pem)
{
    kmq_config_free(&config);
    kmq_config_defaults(&config);
    nmessages = 0;
    messages[0] = '\0';

    if (kmq_config_parse(&config, "a.yaml", (const unsigned char *) text,
                         strlen(text), env, log_message, NULL)
        != 0)
    {
        return -1;
    }

    return kmq_config_seal(&config, pem, pem ? strlen(pem) : 0, log_message,
                           NULL);
}


#define SECRET  "mq:\n  secretKey: s\n"


static void
refuses(const char *text, const char *message, const char *name)
{
    char  all[2048];

    snprintf(all, sizeof(all), SECRET "%s", text);
    is_int(parse(all, NULL), -1, "%s: refused", name);
    is_bytes(messages, strlen(messages), message, strlen(message), "%s", name);
}


static int
takes(const char *text, const char *name)
{
    char  all[2048];

    snprintf(all, sizeof(all), SECRET "%s", text);

    return ok(parse(all, NULL) == 0 && nmessages == 0, "%s: %s", name,
              messages);
}


static const kmq_rights_t *
rights_of(const char *key)
{
    kmq_digest_t  digest;

    if (config.valid == NULL || kmq_digest(&digest, key, strlen(key)) != 0) {
        return NULL;
    }

    return kmq_keys_find(config.valid, &digest);
}


/* ------------------------------------------------------------------- keys */

static void
test_keys(void)
{
    kmq_text_t           name;
    const kmq_rights_t  *rights, *other;

    takes("  keys:\n"
          "    shop:\n"
          "      key: [old, new, \"${SHOP}\"]\n"
          "      produce: [orders.*, \"*\"]\n"
          "      consume:\n"
          "        - news\n"
          "      console: read\n"
          "      metrics: true\n"
          "    page:\n"
          "      key: p\n", "two keys");

    rights = rights_of("old");
    other = rights_of("from the environment");

    if (!ok(rights && other && rights == rights_of("new") && rights == other,
            "three values of one key"))
    {
        return;
    }

    name = kmq_rights_name(rights);
    is_bytes(name.data, name.len, "shop", 4, "its name");
    is_int(kmq_rights_kind(rights), KMQ_WHO_KEY, "it is a key");
    is_int(kmq_may_produce(rights, TEXT("orders.1"), NONE), 1, "produces");
    is_int(kmq_may_consume(rights, TEXT("news"), NONE), 1, "consumes");
    is_int(kmq_may_consume(rights, TEXT("orders.1"), NONE), 0,
           "and nothing else");
    is_int(kmq_rights_console(rights), KMQ_CONSOLE_READ, "reads");
    is_int(kmq_may_metrics(rights), 1, "metrics");

    rights = rights_of("p");
    ok(rights && !kmq_may_consume(rights, TEXT("news"), NONE)
       && !kmq_may_metrics(rights) && kmq_rights_console(rights) == 0,
       "a key that may do nothing");

    rights = rights_of("s");
    ok(rights && kmq_rights_kind(rights) == KMQ_WHO_SECRET
       && kmq_may_console_all(rights, 1), "the secret key may do everything");
    ok(rights_of("") == NULL && rights_of("shop") == NULL, "nobody else");
}


static void
test_empty(void)
{
    takes("  keys:\n", "no keys");
    takes("  keys: {}\n", "an empty mapping");
    takes("  keys:\n    a:\n      key: x\n      produce:\n      consume: []\n"
          "      console: none\n      metrics: 0\n", "no topics");
    takes("  tokens:\n", "no tokens");
    ok(config.tokens.nsettings == 0, "nothing is verified");

    kmq_config_free(&config);
    kmq_config_defaults(&config);
    is_int(kmq_config_seal(&config, NULL, 0, log_message, NULL), 0,
           "without a file");
    ok(rights_of("test") != NULL, "the published key");
}


static void
test_key_errors(void)
{
    refuses("  keys: x\n", "3:9 \"mq.keys\" must be a mapping (\"key: value\" "
            "lines), not a text", "no mapping");
    refuses("  keys: [x]\n", "3:9 \"mq.keys\" must be a mapping (\"key: "
            "value\" lines), not a list", "a list");
    refuses("  keys:\n    a: x\n", "4:8 \"mq.keys.a\" must be a mapping "
            "(\"key: value\" lines), not a text",
            "what may be a key is not shown");
    refuses("  keys:\n    a:\n      produce: [x]\n",
            "5:7 \"mq.keys.a\" has no \"key\"", "no key");
    refuses("  keys:\n    a:\n      key: []\n",
            "5:7 \"mq.keys.a\" has no \"key\"", "an empty list");
    refuses("  keys:\n    a:\n", "4:7 \"mq.keys.a\" has no \"key\"", "nothing");
    refuses("  keys:\n    a:\n      key:\n",
            "5:11 \"mq.keys.a.key\" must be a text, not empty", "null");
    refuses("  keys:\n    a:\n      key: [x, ~]\n",
            "5:16 \"mq.keys.a.key\" must be a text, not \"~\"",
            "null in a list");
    refuses("  keys:\n    a:\n      key: [[x]]\n",
            "5:13 \"mq.keys.a.key\" must be a text, not a list",
            "a list in a list");
    refuses("  keys:\n    a:\n      key: ${NOPE}\n",
            "5:12 \"mq.keys.a.key\" names the environment variable \"NOPE\", "
            "which has no value", "no such variable");
    refuses("  keys:\n    a:\n      key: \" x\"\n",
            "5:12 \"mq.keys.a.key\" must not have control characters, nor a "
            "space at its beginning or end", "a space");
    refuses("  keys:\n    a:\n      key: [1,2,3,4,5,6,7,8,9]\n",
            "5:29 \"mq.keys.a.key\" has more than 8 values", "too many");
    refuses("  keys:\n    a:\n      keys: x\n",
            "5:7 unknown key \"mq.keys.a.keys\"", "an unknown member");
    refuses("  keys:\n    a:\n      Key: x\n", "5:7 unknown key "
            "\"mq.keys.a.Key\", did you mean \"key\"?", "in another case");
    refuses("  keys:\n    a:\n      key: x\n      key: y\n",
            "6:7 \"mq.keys.a.key\" is given twice, first in line 5", "twice");
    refuses("  keys:\n    a:\n      key: x\n    a:\n      key: y\n",
            "6:5 \"mq.keys\": a key of this name is given twice",
            "a name twice");
    refuses("  keys:\n    secretKey:\n      key: x\n",
            "4:5 \"mq.keys\": \"secretKey\" is the name of the key that may do "
            "everything", "a reserved name");
    refuses("  keys:\n    \"a\\n\":\n      key: x\n",
            "4:5 \"mq.keys\": the name of a key must have 1 to 255 bytes "
            "without control characters", "a name with a line end");
    refuses("  keys:\n    a:\n      key: s\n",
            "5:12 this key is the same as \"mq.secretKey\"", "the secret key");
    refuses("  keys:\n    a:\n      key: x\n    b:\n      key: [y, x]\n",
            "7:16 this key is the same as another one before it",
            "another one's");
    refuses("  keys:\n    a:\n      key: [x, x]\n",
            "5:16 this key is the same as another one before it",
            "its own");
}


static void
test_right_errors(void)
{
    static const char  topics[] = "must be a list of topics, each of 1 to 255 "
        "bytes, with or without a \"*\" behind it, not ";

    char  message[400], text[2048], name[258];

    refuses("  keys:\n    a:\n      key: x\n      produce: y\n",
            "6:16 \"mq.keys.a.produce\" must be a list, not \"y\"", "no list");

    snprintf(message, sizeof(message), "6:17 \"mq.keys.a.consume\" %sempty",
             topics);
    refuses("  keys:\n    a:\n      key: x\n      consume: [\"\"]\n", message,
            "an empty topic");
    snprintf(message, sizeof(message), "6:17 \"mq.keys.a.consume\" %sa mapping",
             topics);
    refuses("  keys:\n    a:\n      key: x\n      consume: [{a: b}]\n",
            message, "a mapping");

    refuses("  keys:\n    a:\n      key: x\n      consume: [\"n.{sub}\"]\n",
            "6:17 \"mq.keys.a.consume\" must be a list of topics without "
            "\"{sub}\" and \"{id}\", which only tokens may have, not the "
            "quoted text \"n.{sub}\"", "a template");
    refuses("  keys:\n    a:\n      key: x\n      console: all\n",
            "6:16 \"mq.keys.a.console\" must be none, read or write, not "
            "\"all\"", "console");
    refuses("  keys:\n    a:\n      key: x\n      console: [read]\n",
            "6:16 \"mq.keys.a.console\" must be none, read or write, not "
            "a list", "a list");
    refuses("  keys:\n    a:\n      key: x\n      metrics: maybe\n",
            "6:16 \"mq.keys.a.metrics\" must be true or false, not \"maybe\"",
            "metrics");

    memset(name, 'n', 257);
    name[255] = '*';
    name[256] = '\0';
    snprintf(text, sizeof(text), "  keys:\n    a:\n      key: x\n"
             "      consume: [%s]\n", name);
    takes(text, "255 bytes and a \"*\"");

    name[255] = 'n';
    snprintf(text, sizeof(text), SECRET "  keys:\n    a:\n      key: x\n"
             "      consume: [%s]\n", name);
    is_int(parse(text, NULL), -1, "256 bytes");

    refuses("  keys:\n    a:\n      key: x\n      consume: [*]\n",
            "6:18 did not find expected alphabetic or numeric character (while "
            "scanning an alias; a text with a \"*\" at its beginning needs "
            "quotes)", "a \"*\" without quotes");
}


/* More than the zone has room for. */
static void
test_too_large(void)
{
    char      *text;
    size_t     n;
    unsigned   i;

    text = malloc(1024 * 1024);
    n = (size_t) sprintf(text, SECRET "  keys:\n");

    for (i = 0; i < 400; i++) {
        n += (size_t) sprintf(text + n, "    k%u:\n      key: v%u\n", i, i);
    }

    is_int(parse(text, NULL), -1, "400 keys");
    ok(strstr(messages, "the keys and their topics take") != NULL, "%s",
       messages);

    n = (size_t) sprintf(text, SECRET "  keys:\n");

    for (i = 0; i < 200; i++) {
        n += (size_t) sprintf(text + n, "    k%u:\n      key: v%u\n", i, i);
    }

    is_int(parse(text, NULL), 0, "200 keys");
    free(text);
}


/* No message has a key in it. */
static void
test_hidden(void)
{
    static const char *const  texts[] = {
        "  keys:\n    a:\n      key: \" tresor\"\n",
        "  keys:\n    a:\n      key: [tresor, tresor]\n",
        "  keys:\n    a:\n      key: \"tresor\\x01\"\n",
        "  keys:\n    a:\n      key: tresor${NOPE}\n",
        "  tokens:\n    algorithms: HS256\n    secret: \"tresor \"\n",
        "  tokens:\n    algorithms: HS256\n    secret: tresor" LONG
        "\n    x: y\n"
    };

    char    all[512];
    size_t  i;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        snprintf(all, sizeof(all), SECRET "%s", texts[i]);
        ok(parse(all, NULL) == -1 && strstr(messages, "tresor") == NULL, "%s",
           messages);
    }
}


/* ----------------------------------------------------------------- tokens */

static void
test_tokens(void)
{
    char         *text;
    const char   *why;
    kmq_token_t   token;

    takes("  tokens:\n"
          "    algorithms: [HS256, HS512]\n"
          "    secret: [" LONG ", " LONG LONG "]\n"
          "    issuer: app\n"
          "    audience: mq\n"
          "    leeway: 5\n", "tokens with secrets");

    is_int((long long) config.tokens.nsettings, 4, "four settings");
    is_int(config.tokens.leeway, 5, "the leeway");
    ok(kmq_keys_token(config.valid, &config.tokens.settings[3]),
       "they are valid");

    text = sign_begin("{\"alg\":\"HS512\"}", 15, "{\"exp\":1700000060,"
                      "\"iss\":\"app\",\"aud\":\"mq\"}", 41);
    sign_secret(text, 512, LONG LONG, 64);
    is_int(kmq_token_verify(&config.tokens, text, strlen(text), NOW, &token,
                            &why), KMQ_TOKEN_GOOD, "a token is verified");
    free(token.rights);
    free(text);

    snprintf(messages, sizeof(messages), "%s", SECRET
             "  tokens:\n    algorithms: HS256\n    secret: short\n");
    text = strdup(messages);
    is_int(parse(text, NULL), 0, "a short secret");
    ok(strstr(messages, "remark 5:13 \"mq.tokens.secret\" has 5 bytes")
       == messages, "is remarked: %s", messages);
    free(text);
}


static void
test_token_errors(void)
{
    refuses("  tokens: x\n", "3:11 \"mq.tokens\" must be a mapping (\"key: "
            "value\" lines), not a text", "no mapping");
    refuses("  tokens:\n    secret: " LONG "\n",
            "4:5 \"mq.tokens\" needs \"algorithms\"", "no algorithms");
    refuses("  tokens:\n    algorithms: []\n    secret: " LONG "\n",
            "4:5 \"mq.tokens\" needs \"algorithms\"", "an empty list");
    refuses("  tokens:\n    algorithms: [HS256, none]\n    secret: " LONG "\n",
            "4:25 \"mq.tokens.algorithms\" must be one or more of HS256, "
            "HS384, HS512, RS256, RS384, RS512, ES256, ES384, ES512, not "
            "\"none\"", "none");
    refuses("  tokens:\n    algorithms: HS256\n",
            "4:5 \"mq.tokens\" needs a \"secret\" for HS...", "no secret");
    refuses("  tokens:\n    algorithms: HS256\n    publicKeyFile: x\n",
            "4:5 \"mq.tokens\" needs a \"secret\" for HS...", "a key file");
    refuses("  tokens:\n    algorithms: HS256\n    secret: " LONG "\n"
            "    publicKeyFile: x\n", "4:5 \"mq.tokens\" has a "
            "\"publicKeyFile\", which HS... does not use", "both");
    refuses("  tokens:\n    algorithms: RS256\n",
            "4:5 \"mq.tokens\" needs a \"publicKeyFile\" for RS... and ES...",
            "no key file");
    refuses("  tokens:\n    algorithms: RS256\n    publicKeyFile: x\n"
            "    secret: " LONG "\n", "4:5 \"mq.tokens\" has a \"secret\", "
            "which RS... and ES... do not use", "both, the other way");
    refuses("  tokens:\n    algorithms: [HS256, RS256]\n    secret: " LONG "\n",
            "4:5 \"mq.tokens\" has algorithms with a secret (HS...) beside "
            "such with a public key (RS..., ES...)", "both kinds");
    refuses("  tokens:\n    algorithms: HS256\n    secret: " LONG "\n"
            "    leeway: -1\n", "6:13 \"mq.tokens.leeway\" must be a whole "
            "number from 0 to 3600, not \"-1\"", "the leeway");
    refuses("  tokens:\n    algorithms: HS256\n    secret: " LONG "\n"
            "    issuer: [a]\n", "6:13 \"mq.tokens.issuer\" must be a text of "
            "1 to 255 bytes, not a list", "the issuer");
    refuses("  tokens:\n    algorithms: HS256\n    secret: " LONG "\n"
            "    audience:\n", "6:14 \"mq.tokens.audience\" must be a text of "
            "1 to 255 bytes, not empty", "the audience");
    refuses("  tokens:\n    algorithms: HS256\n    Secret: x\n",
            "5:5 unknown key \"mq.tokens.Secret\", did you mean \"secret\"?",
            "an unknown member");
}


static void
test_public_key(void)
{
    char      *pem, all[512];
    size_t     len;
    EVP_PKEY  *key;

    static const char  yaml[] = SECRET "  tokens:\n"
                                "    algorithms: ES256\n"
                                "    publicKeyFile: keys/app.pem\n";

    key = EVP_EC_gen("P-256");
    pem = sign_public(key, &len);
    memcpy(all, pem, len);
    all[len] = '\0';

    is_int(parse(yaml, all), 0, "a public key: %s", messages);
    is_bytes(config.token_key_file, strlen(config.token_key_file),
             "keys/app.pem", 12, "the name of its file");
    ok(kmq_keys_token(config.valid, &config.tokens.settings[0]), "is valid");
    EVP_PKEY_free(key);
    free(pem);

    is_int(parse(yaml, "no key"), -1, "a file without one");
    ok(strcmp(messages, "5:20 \"mq.tokens.publicKeyFile\" is no public key "
              "(\"-----BEGIN PUBLIC KEY-----\")") == 0, "%s", messages);
}


int
main(void)
{
    kmq_config_defaults(&config);

    test_keys();
    test_empty();
    test_key_errors();
    test_right_errors();
    test_too_large();
    test_hidden();
    test_tokens();
    test_token_errors();
    test_public_key();

    kmq_config_free(&config);

    return done_testing();
}
