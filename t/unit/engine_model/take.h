#ifndef KMQ_MODEL_TAKE_H
#define KMQ_MODEL_TAKE_H

#include "model.h"


topic_t *topic_by_name(const char *name, size_t len);
unsigned take(unsigned h);
int is_told(unsigned h);
void clients_close(unsigned h);
void op_take(void);

#endif /* KMQ_MODEL_TAKE_H */
