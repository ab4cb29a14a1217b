#ifndef KMQ_MODEL_SETTLE_H
#define KMQ_MODEL_SETTLE_H

#include "model.h"


void op_settle(void);

#endif /* KMQ_MODEL_SETTLE_H */
