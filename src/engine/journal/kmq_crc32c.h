/* CRC-32C (Castagnoli), as in RFC 3720, appendix B.4. */

#ifndef KMQ_CRC32C_H
#define KMQ_CRC32C_H

#include <stddef.h>
#include <stdint.h>


/* The sum of n bytes; crc is 0, or the sum of what came before them. */
uint32_t kmq_crc32c(uint32_t crc, const void *bytes, size_t n);

/* The same without the processor's own instruction, for tests. */
uint32_t kmq_crc32c_plain(uint32_t crc, const void *bytes, size_t n);

#endif /* KMQ_CRC32C_H */
