#ifndef KMQ_MODEL_WATCH_H
#define KMQ_MODEL_WATCH_H

#include "model.h"


void op_growth(void);
void op_latency(void);
void op_topics(void);
void op_refused(void);
void op_pause(void);
void resume_all(void);
void op_purge(void);
void check_client(const client_t *c, const kmq_client_info_t *info);
void op_seen(void);
void op_disconnect(void);
void check_closed(void);

#endif /* KMQ_MODEL_WATCH_H */
