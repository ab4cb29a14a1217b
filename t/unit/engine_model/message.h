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
uint64_t back_off(const topic_t *t, unsigned failures, unsigned reason);
void message_charged(uint32_t id, unsigned failures, unsigned reason);
void let_go(uint32_t id, uint64_t bits, unsigned h, fate_t fate,
    place_t *place);
void delivery_failed(client_t *c, delivery_t *d, unsigned reason,
    int64_t delay);
void message_consumed_late(uint32_t id, unsigned h);
void retry_over(uint32_t id);
delivery_t *delivery_of(client_t *c, uint32_t id);
void delivery_remove(client_t *c, delivery_t *d);
uint64_t bit_of(const client_t *c);
int is_active(const client_t *c);
uint64_t topic_consumers(unsigned topic);
void left(client_t *c, unsigned h, int failed);
void delayed_insert(uint32_t id);
void lists_sort(unsigned shard);
void waits_anew(unsigned shard, uint64_t mono);
void waits_repaired(unsigned shard, uint64_t mono);
uint32_t ready_first(const topic_t *t);

#endif /* KMQ_MODEL_MESSAGE_H */
