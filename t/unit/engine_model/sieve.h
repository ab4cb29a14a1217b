#ifndef KMQ_MODEL_SIEVE_H
#define KMQ_MODEL_SIEVE_H

#include "model.h"


void op_sieve(void);

#endif /* KMQ_MODEL_SIEVE_H */
