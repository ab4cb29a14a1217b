#ifndef KMQ_MODEL_APART_H
#define KMQ_MODEL_APART_H

#include "model.h"


void op_lease(void);
void op_lease_cancel(void);
void op_park(void);
void op_resume(void);
client_t *some_apart(void);
void observe_apart(unsigned h);
void observe_leaving(unsigned h);
void check_apart(void);
void check_apart_client(const client_t *c, const kmq_client_info_t *info,
    unsigned h);
void apart_end(void);
unsigned apart_count(unsigned how);

#endif /* KMQ_MODEL_APART_H */
