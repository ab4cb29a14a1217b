#ifndef KMQ_MODEL_CLOCK_H
#define KMQ_MODEL_CLOCK_H

#include "model.h"


void op_clock(void);
void op_tick(void);

#endif /* KMQ_MODEL_CLOCK_H */
