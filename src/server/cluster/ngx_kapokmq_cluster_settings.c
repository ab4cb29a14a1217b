/*
 * Settings that all nodes should have alike, as sums of their values: what
 * differs can be named, and nobody learns a value who has not got the cluster's
 * secret.
 */

#include "ngx_kapokmq_cluster_inside.h"


#define NGX_KAPOKMQ_SUM_PIECE  256


static void ngx_kapokmq_sum_begin(kmq_digest_t *sum, const ngx_str_t *secret);
static void ngx_kapokmq_sum_add(kmq_digest_t *sum, const void *bytes,
    size_t len);
static void ngx_kapokmq_sum_entry(kmq_digest_t *sum,
    const kmq_config_entry_t *entry);
static void ngx_kapokmq_settings_add(const char *name,
    const kmq_digest_t *sum);
static void ngx_kapokmq_settings_number(const ngx_str_t *secret,
    const char *name, uint64_t number);
static void ngx_kapokmq_settings_keys(const kmq_config_t *config,
    const ngx_str_t *secret);
static void ngx_kapokmq_settings_topics(const kmq_config_t *config,
    const ngx_str_t *secret);
static void ngx_kapokmq_settings_access(const kmq_config_t *config,
    const ngx_str_t *secret);


static kmq_node_setting_t  ngx_kapokmq_settings_sums[KMQ_NODE_SETTINGS];
static ngx_uint_t          ngx_kapokmq_settings_n;


void
ngx_kapokmq_cluster_settings(kmq_node_options_t *options,
    const ngx_kapokmq_main_conf_t *mcf)
{
    const ngx_str_t                   *secret;
    const ngx_kapokmq_cluster_conf_t  *conf;

    conf = mcf->cluster;
    secret = &conf->secret;
    ngx_kapokmq_settings_n = 0;

    ngx_kapokmq_settings_number(secret, "secret", 0);
    ngx_kapokmq_settings_number(secret, "nodes", conf->nodes);
    ngx_kapokmq_settings_number(secret, "replicas", conf->replicas);
    ngx_kapokmq_settings_number(secret, "timeout", conf->timeout);
    ngx_kapokmq_settings_number(secret, "kapokmq_zone", mcf->block_size);
    ngx_kapokmq_settings_keys(mcf->config, secret);
    ngx_kapokmq_settings_topics(mcf->config, secret);
    ngx_kapokmq_settings_access(mcf->config, secret);

    options->settings = ngx_kapokmq_settings_sums;
    options->nsettings = ngx_kapokmq_settings_n;
}


/* -------------------------------------------------------------------- sums */

static void
ngx_kapokmq_sum_begin(kmq_digest_t *sum, const ngx_str_t *secret)
{
    ngx_memzero(sum, sizeof(kmq_digest_t));
    ngx_kapokmq_sum_add(sum, secret->data, secret->len);
}


static void
ngx_kapokmq_sum_add(kmq_digest_t *sum, const void *bytes, size_t len)
{
    size_t         n;
    u_char         piece[sizeof(kmq_digest_t) + NGX_KAPOKMQ_SUM_PIECE];
    const u_char  *p;

    p = bytes;

    do {
        n = ngx_min(len, NGX_KAPOKMQ_SUM_PIECE);

        ngx_memcpy(piece, sum, sizeof(kmq_digest_t));
        ngx_memcpy(piece + sizeof(kmq_digest_t), p, n);
        (void) kmq_digest(sum, piece, sizeof(kmq_digest_t) + n);

        p += n;
        len -= n;
    } while (len);
}


static void
ngx_kapokmq_sum_entry(kmq_digest_t *sum, const kmq_config_entry_t *entry)
{
    int64_t  number;

    ngx_kapokmq_sum_add(sum, entry->key, ngx_strlen(entry->key));

    if (entry->text) {
        ngx_kapokmq_sum_add(sum, entry->text, ngx_strlen(entry->text));
        return;
    }

    number = (int64_t) (entry->number * 1000 + 0.5);
    ngx_kapokmq_sum_add(sum, &number, sizeof(number));
}


/* ---------------------------------------------------------------- settings */

static void
ngx_kapokmq_settings_add(const char *name, const kmq_digest_t *sum)
{
    kmq_node_setting_t  *setting;

    if (ngx_kapokmq_settings_n == KMQ_NODE_SETTINGS) {
        return;
    }

    setting = &ngx_kapokmq_settings_sums[ngx_kapokmq_settings_n++];
    setting->name = name;
    ngx_memcpy(&setting->sum, sum, sizeof(setting->sum));
}


static void
ngx_kapokmq_settings_number(const ngx_str_t *secret, const char *name,
    uint64_t number)
{
    kmq_digest_t  sum;

    ngx_kapokmq_sum_begin(&sum, secret);
    ngx_kapokmq_sum_add(&sum, name, ngx_strlen(name));
    ngx_kapokmq_sum_add(&sum, &number, sizeof(number));
    ngx_kapokmq_settings_add(name, &sum);
}


/* Each key of application.yaml, but for where a node has its files. */
static void
ngx_kapokmq_settings_keys(const kmq_config_t *config, const ngx_str_t *secret)
{
    unsigned            n;
    kmq_digest_t        sum;
    kmq_config_entry_t  entry;

    for (n = 0; kmq_config_entry(config, &n, &entry); /* void */ ) {

        if (entry.alias || ngx_strcmp(entry.key, "persistentFile") == 0) {
            continue;
        }

        ngx_kapokmq_sum_begin(&sum, secret);
        ngx_kapokmq_sum_entry(&sum, &entry);

        if (entry.secret) {
            ngx_kapokmq_sum_add(&sum, config->secret_key,
                                config->secret_key_len);
        }

        ngx_kapokmq_settings_add(entry.key, &sum);
    }
}


static void
ngx_kapokmq_settings_topics(const kmq_config_t *config, const ngx_str_t *secret)
{
    size_t               i;
    unsigned             n;
    kmq_digest_t         sum;
    kmq_config_entry_t   entry;
    kmq_topic_config_t  *topic;

    ngx_kapokmq_sum_begin(&sum, secret);

    for (i = 0; i < config->ntopics; i++) {
        topic = &config->topics[i];
        ngx_kapokmq_sum_add(&sum, topic->name, topic->name_len);

        for (n = 0; kmq_config_own(topic, &n, &entry); /* void */ ) {
            ngx_kapokmq_sum_entry(&sum, &entry);
        }
    }

    ngx_kapokmq_settings_add("topics", &sum);
}


static void
ngx_kapokmq_settings_access(const kmq_config_t *config, const ngx_str_t *secret)
{
    size_t                   i, k;
    kmq_digest_t             sum;
    const kmq_key_config_t  *key;

    ngx_kapokmq_sum_begin(&sum, secret);

    for (i = 0; i < config->nkeys; i++) {
        key = &config->keys[i];
        ngx_kapokmq_sum_add(&sum, key->name, key->name_len);

        for (k = 0; k < key->nvalues; k++) {
            ngx_kapokmq_sum_add(&sum, &key->value[k].digest,
                                sizeof(kmq_digest_t));
        }
    }

    ngx_kapokmq_settings_add("keys", &sum);
    ngx_kapokmq_sum_begin(&sum, secret);

    for (i = 0; i < config->tokens.nsettings; i++) {
        ngx_kapokmq_sum_add(&sum, &config->tokens.settings[i],
                            sizeof(kmq_digest_t));
    }

    ngx_kapokmq_settings_add("tokens", &sum);
}
