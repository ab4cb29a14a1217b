#ifndef KMQ_MODEL_SHARD_H
#define KMQ_MODEL_SHARD_H

#include "model.h"


void shards_begin(void);
void shards_again(void);
void shards_learn(unsigned h);
unsigned shard_of(unsigned h, const char *name);
uint64_t shards_holes(unsigned but);
int shards_strained(void);
void number_given(unsigned shard, uint64_t time, uint64_t number);
void number_maybe(unsigned shard, uint64_t time);
void numbers_anew(unsigned shard);
void numbers_anew_all(void);

#endif /* KMQ_MODEL_SHARD_H */
