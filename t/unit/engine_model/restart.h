#ifndef KMQ_MODEL_RESTART_H
#define KMQ_MODEL_RESTART_H

#include "model.h"


void op_flush(void);
void op_checkpoint(void);
void op_restart(void);

#endif /* KMQ_MODEL_RESTART_H */
