/* application.yaml's values as the engine wants them. */

#include "ngx_kapokmq_worker.h"


static void
ngx_kapokmq_settings_fill(const kmq_config_t *config,
    const kmq_topic_config_t *topic, kmq_topic_settings_t *settings)
{
    settings->push_type = topic->push_type;
    settings->retry_time = config->is_re_push ? topic->push_retry_time : 0;
    settings->max_deliveries = topic->max_deliveries;
    settings->retry_delay = topic->retry_delay;
    settings->retry_delay_max = topic->retry_delay_max;
    settings->clean_time = config->is_clean ? topic->clean_time : 0;
}


/* The engine asks for what a topic has of its own. */
static void
ngx_kapokmq_settings_own(void *arg, const char *name, size_t len,
    kmq_topic_settings_t *settings)
{
    kmq_config_t  *config = arg;

    kmq_topic_config_t  topic;

    kmq_config_topic(config, name, len, &topic);
    ngx_kapokmq_settings_fill(config, &topic, settings);
}


void
ngx_kapokmq_settings(void)
{
    kmq_config_t    *config;
    kmq_settings_t   settings;

    config = ngx_kapokmq_worker.config;

    settings.waiting_max = config->message_chan_buffer;
    settings.batch_interval = config->push_messages_speed;
    settings.batch_count = config->send_count;
    settings.retry_count = config->send_retry_count;
    settings.keep_consumed = !config->is_clean_consumed;
    settings.check_interval = config->check_speed;

    ngx_kapokmq_settings_fill(config, &config->topic, &settings.topic);

    settings.topic_own = config->ntopics ? ngx_kapokmq_settings_own : NULL;
    settings.topic_arg = config;

    kmq_configure(ngx_kapokmq_worker.kmq, &settings);
}
