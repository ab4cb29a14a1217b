#ifndef KMQ_MODEL_MESSAGE_H
#define KMQ_MODEL_MESSAGE_H

#include "model.h"


uint32_t later(uint32_t one, uint32_t two);
void message_gone(uint32_t id);
void ready_remove(uint32_t id);
void ready_append(uint32_t id);
list_t *history_of(const message_t *m);
void history_remove(uint32_t id);
void history_drop(uint32_t id);
void message_requeued(uint32_t id, unsigned h);
int gives_up(const topic_t *t, unsigned attempts);
void let_go(uint32_t id, uint64_t bits, unsigned h, int blame, place_t *place);
delivery_t *delivery_of(client_t *c, uint32_t id);
void delivery_remove(client_t *c, delivery_t *d);
uint64_t bit_of(const client_t *c);
int overdue(const client_t *c, const delivery_t *d);
int is_active(const client_t *c);
uint64_t topic_consumers(unsigned topic);
void left(client_t *c, unsigned h, int blame);
void delayed_insert(uint32_t id);
void lists_sort(unsigned shard);
void waits_anew(unsigned shard, uint64_t mono);
uint32_t ready_first(const topic_t *t);

#endif /* KMQ_MODEL_MESSAGE_H */
