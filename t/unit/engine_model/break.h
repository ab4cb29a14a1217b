#ifndef KMQ_MODEL_BREAK_H
#define KMQ_MODEL_BREAK_H

#include "model.h"


#ifdef KMQ_FAULTS
#define CAN_BREAK  1
#else
#define CAN_BREAK  0
#endif

void op_break(void);
void op_break(void);

#endif /* KMQ_MODEL_BREAK_H */
