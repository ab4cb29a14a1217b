#ifndef KMQ_MODEL_CHECK_H
#define KMQ_MODEL_CHECK_H

#include "model.h"


void op_count(void);
void op_walk(void);
void verify(void);
void op_quiesce(void);

#endif /* KMQ_MODEL_CHECK_H */
