/* What the files of JetStream share: kmq_jetstream.h. */

#ifndef KMQ_JETSTREAM_INSIDE_H
#define KMQ_JETSTREAM_INSIDE_H

#include <jansson.h>

#include "kmq_jetstream.h"


/* Writes it, and lets go of it; NULL is no memory. */
size_t kmq_js_dump(char *to, size_t room, json_t *json);

/* Reads an answer; NULL: it is an error, or makes no sense, and *error says
 * which. */
json_t *kmq_js_load(const kmq_nats_text_t *payload, kmq_js_error_t *error);

/* Says that an answer makes no sense, and why: -1. */
int kmq_js_senseless(kmq_js_error_t *error, const char *why);

/* A member that is a number, not negative; else 0. */
uint64_t kmq_js_number(const json_t *object, const char *name);

/* A member that is a time, as ns since 1970; else 0. */
uint64_t kmq_js_time(const json_t *object, const char *name);

/* Copies a member that is a text, as far as there is room; else "". */
void kmq_js_copy(char *to, size_t room, const json_t *object,
    const char *name);

#endif /* KMQ_JETSTREAM_INSIDE_H */
