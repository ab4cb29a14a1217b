#ifndef KMQ_MODEL_COUNT_H
#define KMQ_MODEL_COUNT_H

#include "model.h"


uint32_t seconds(unsigned h);
void count(topic_t *t, unsigned h, int published, unsigned delivered,
    unsigned confirmed);
int is_current(uint64_t number, unsigned n, uint64_t time);
void count_backlog(unsigned h);

#endif /* KMQ_MODEL_COUNT_H */
