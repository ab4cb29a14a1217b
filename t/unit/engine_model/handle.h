#ifndef KMQ_MODEL_HANDLE_H
#define KMQ_MODEL_HANDLE_H

#include "model.h"


void wakes(unsigned h);
unsigned some_handle(void);
void clock_set(unsigned h);
void clock_all(void);
void bury(kmq_t *kmq);
void handle_close(handle_t *handle, int detaches);
void attach(unsigned h, unsigned w);
void handle_left(unsigned h, unsigned by);
void handle_follows(unsigned h);
unsigned dead_handles(void);
void tick(unsigned h);

#endif /* KMQ_MODEL_HANDLE_H */
