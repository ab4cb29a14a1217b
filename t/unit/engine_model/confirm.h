#ifndef KMQ_MODEL_CONFIRM_H
#define KMQ_MODEL_CONFIRM_H

#include "model.h"


void confirmed(client_t *c, delivery_t *d);
int confirmed_late(client_t *c, const char *code);
void op_confirm_upto(void);
void op_confirm_codes(void);
void op_extend(void);
void confirmed_all(client_t *c, unsigned n);
void returned(client_t *c, delivery_t *d, int64_t delay, place_t *place);
void returned_all(client_t *c, unsigned n, int64_t delay);
void op_return(void);

#endif /* KMQ_MODEL_CONFIRM_H */
