#ifndef KMQ_MODEL_CLIENT_H
#define KMQ_MODEL_CLIENT_H

#include "model.h"


client_t *some_consumer(void);
void join(client_t *c, unsigned role, unsigned topic);
void op_join(void);
void leave(client_t *c);
void op_leave(void);
void op_set_ready(void);

#endif /* KMQ_MODEL_CLIENT_H */
