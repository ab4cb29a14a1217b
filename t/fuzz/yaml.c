/* Any bytes as application.yaml: no crash, and an error if and only if there
 * is a message that says so; what is accepted keeps its bounds. */

#include <stdlib.h>
#include <string.h>

#include "../../src/server/config/kmq_config.h"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static unsigned  errors;


static const char *
env(const char *name)
{
    return strcmp(name, "KEY") == 0 ? "a key" : NULL;
}


static void
log_message(void *arg, int fatal, const char *file, size_t line,
    size_t column, const char *text)
{
    (void) arg;

    if (*file == '\0' || *text == '\0' || (line == 0) != (column == 0)) {
        abort();
    }

    errors += fatal != 0;
}


static void
check_topic(const kmq_topic_config_t *topic)
{
    if (topic->push_type < 1 || topic->push_type > 2
        || topic->push_retry_time == 0 || topic->clean_time == 0
        || topic->confirm < KMQ_CONFIRM_SOCKET
        || topic->confirm > KMQ_CONFIRM_ACK
        || topic->prefetch < 1 || topic->prefetch > 65535)
    {
        abort();
    }
}


static void
check_key(void *arg, const char *key, double number, const char *text)
{
    (void) arg;

    if (*key == '\0' || number < 0 || (text && *text == '\0')) {
        abort();
    }
}


/* Every key has a value and rights, and none of them may do everything. */
static void
check_access(const kmq_config_t *config)
{
    size_t  i;

    for (i = 0; i < config->nkeys; i++) {
        if (config->keys[i].nvalues == 0 || config->keys[i].name_len == 0
            || kmq_rights_kind(config->keys[i].rights) != KMQ_WHO_KEY
            || !kmq_rights_check(config->keys[i].rights,
                                 kmq_rights_size(config->keys[i].rights)))
        {
            abort();
        }
    }

    if (config->tokens.algorithms
        && (config->tokens.nsecrets != 0) == (config->token_key_file[0] != 0))
    {
        abort();
    }
}


/* What is valid can be made, or there is a message. */
static void
check_seal(kmq_config_t *config)
{
    int  rc;

    rc = kmq_config_seal(config, config->token_key_file[0] ? "" : NULL, 0,
                         log_message, NULL);

    if ((rc == 0) != (errors == 0) || (rc == 0) != (config->valid != NULL)) {
        abort();
    }
}


static void
check(const kmq_config_t *config)
{
    size_t              i;
    kmq_topic_config_t  topic;

    if (config->secret_key_len == 0
        || strlen(config->secret_key) != config->secret_key_len
        || config->message_chan_buffer == 0 || config->send_count == 0
        || config->max_message_size == 0 || config->port > 65535)
    {
        abort();
    }

    check_access(config);
    check_topic(&config->topic);
    kmq_config_each(config, check_key, NULL);

    for (i = 0; i < config->ntopics; i++) {
        kmq_config_topic(config, config->topics[i].name,
                         config->topics[i].name_len, &topic);

        if (topic.name != config->topics[i].name) {
            abort();
        }

        check_topic(&topic);
        kmq_config_each_own(&config->topics[i], check_key, NULL);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int           rc;
    kmq_config_t  config;

    errors = 0;
    kmq_config_defaults(&config);

    rc = kmq_config_parse(&config, "fuzz.yaml", data, size, env, log_message,
                          NULL);

    if ((rc == 0) != (errors == 0)) {
        abort();
    }

    if (rc == 0) {
        check(&config);
        check_seal(&config);
    }

    kmq_config_free(&config);

    return 0;
}
