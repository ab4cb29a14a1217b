#ifndef KMQ_MODEL_OBSERVE_H
#define KMQ_MODEL_OBSERVE_H

#include "model.h"


int is_old(uint32_t id, uint32_t now);
void observe(unsigned h, kmq_counts_t *now);
void observe_take(unsigned h, kmq_counts_t *now);
void observe_failed(unsigned h);
void compare(const kmq_counts_t *now);

#endif /* KMQ_MODEL_OBSERVE_H */
