#ifndef KMQ_MODEL_HOLD_H
#define KMQ_MODEL_HOLD_H

#include "model.h"


void clock_first(client_t *c, uint64_t mono);
void clock_passed(client_t *c, const delivery_t *d, uint64_t mono);
int clock_over(const client_t *c, const delivery_t *d, uint64_t mono);
unsigned limit_of(const client_t *c);
int is_free(const client_t *c);
int is_ready(const client_t *c);
void hold_alone(client_t *c, uint64_t mono);
void hold_pause(client_t *c, uint64_t mono);
void hold_rest(client_t *c, uint64_t mono);
void hold_spoken(client_t *c);
void hold_confirmed(client_t *c);
void hold_emptied(client_t *c);
void observe_held(client_t *c);
void check_held(const client_t *c);
void check_holds(void);
#define ADMIT_TIME  100        /* ms */

client_t *to_admit(void);
unsigned resting_of(const topic_t *t);
unsigned alone_of(const topic_t *t);

#endif /* KMQ_MODEL_HOLD_H */
