/*
 * Loops over long data that take more bytes at a time where the processor can,
 * which is found out when it runs: AVX2 on x86-64.  Each does as much from the
 * beginning on as it is good for, and the plain loop behind it does the rest,
 * or all.
 */

#ifndef KMQ_WIDE_H
#define KMQ_WIDE_H

#include <stddef.h>
#include <stdint.h>


/* Less than this is not worth a call. */
#define KMQ_WIDE_MIN  256

/*
 * Unmasks (RFC 6455, section 5.3), from the mask's first byte on.  Returns how
 * many bytes, a multiple of 64; sets *high when one of them is not ASCII.
 */
size_t kmq_wide_xor(unsigned char *data, size_t size, uint32_t mask,
    int *high);

/*
 * Looks for bytes that cannot stand in a JSON string as they are.  Returns how
 * many it has looked at, a multiple of 64; sets *special when there is one.
 */
size_t kmq_wide_special(const unsigned char *text, size_t size,
    int *special);

#endif /* KMQ_WIDE_H */
