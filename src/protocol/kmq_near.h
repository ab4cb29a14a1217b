/* Names of parameters that are nearly, but not quite, those that are known. */

#ifndef KMQ_NEAR_H
#define KMQ_NEAR_H

#include <stddef.h>


/*
 * 1 when somebody who wrote name, which is not known, is likely to have meant
 * known, a word of letters; else 0.  Letter case, "_", "-" and "." aside,
 *
 *   - they are the same, or one edit apart: a letter is missing, is too many,
 *     is another one, or has changed places with the next;
 *   - or one of them, of four letters at least, begins the other;
 *   - or known is "delayTime", and name begins with "delay".
 */
int kmq_near(const char *known, const unsigned char *name, size_t len);

#endif /* KMQ_NEAR_H */
