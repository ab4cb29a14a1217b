/* What tests reach of the engine's inside, in builds with KMQ_FAULTS. */

#include "kmq_base.h"


#ifdef KMQ_FAULTS

void (*kmq_fault)(const char *point);

_Thread_local uint64_t  kmq_steps;
_Thread_local uint64_t  kmq_steps_max;

unsigned  kmq_slice = 512;
unsigned  kmq_shard_pages = 384;
uint32_t  kmq_position;

#endif
