#ifndef KMQ_MODEL_SETTINGS_H
#define KMQ_MODEL_SETTINGS_H

#include "model.h"


void topic_own(void *arg, const char *name, size_t len,
    kmq_topic_settings_t *settings);
void configure(void);
void op_configure(void);

#endif /* KMQ_MODEL_SETTINGS_H */
