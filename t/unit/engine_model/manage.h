#ifndef KMQ_MODEL_MANAGE_H
#define KMQ_MODEL_MANAGE_H

#include "model.h"


int status_of(const message_t *m);
int is_visible(const message_t *m);
void check_info(uint32_t id, const kmq_message_info_t *info);
void op_find(void);
void message_deleted(uint32_t id);
void delete(unsigned h, uint32_t id);
void op_delete(void);
void op_copy(void);
void op_requeue(void);
void op_make_due(void);
void op_requeue_topic(void);

#endif /* KMQ_MODEL_MANAGE_H */
