#ifndef KMQ_MODEL_BODY_H
#define KMQ_MODEL_BODY_H

#include "model.h"


void bodies_init(void);
const char *body_rest(uint32_t id);
uint32_t body_size(void);
int body_same(uint32_t id, uint32_t offset, const char *p, uint32_t n);
uint32_t body_check(kmq_t *kmq, const kmq_message_t *m);

#endif /* KMQ_MODEL_BODY_H */
