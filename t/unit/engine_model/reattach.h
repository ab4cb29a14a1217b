#ifndef KMQ_MODEL_REATTACH_H
#define KMQ_MODEL_REATTACH_H

#include "model.h"


void op_reattach(void);

#endif /* KMQ_MODEL_REATTACH_H */
