#ifndef KMQ_MODEL_PUBLISH_H
#define KMQ_MODEL_PUBLISH_H

#include "model.h"


void check_refusal(unsigned h, unsigned topic, unsigned n, unsigned got,
    int why, uint32_t size);
void message_reserved(held_t *held, unsigned i);
void commit(held_t *held, unsigned i, unsigned n);
void finish(held_t *held);
void op_publish(void);

#endif /* KMQ_MODEL_PUBLISH_H */
