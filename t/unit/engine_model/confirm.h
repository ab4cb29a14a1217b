#ifndef KMQ_MODEL_CONFIRM_H
#define KMQ_MODEL_CONFIRM_H

#include "model.h"


void confirmed(client_t *c, delivery_t *d);
void op_confirm_upto(void);
void op_confirm_codes(void);
void op_extend(void);
void returned(client_t *c, delivery_t *d, place_t *place);
void op_return(void);

#endif /* KMQ_MODEL_CONFIRM_H */
