#ifndef KMQ_MODEL_SEARCH_H
#define KMQ_MODEL_SEARCH_H

#include "model.h"


int matches(const kmq_query_t *q, const message_t *m);
void random_query(kmq_query_t *q);
uint32_t walk_first(const kmq_query_t *q);
uint32_t walk_next(const kmq_query_t *q, uint32_t id);
void op_search(void);
void op_search_on(void);

#endif /* KMQ_MODEL_SEARCH_H */
