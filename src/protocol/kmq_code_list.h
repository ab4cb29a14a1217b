/* Lists of MessageCodes, as parameters have them. */

#ifndef KMQ_CODE_LIST_H
#define KMQ_CODE_LIST_H

#include <stddef.h>


#define KMQ_CODE_LIST_LEN  40      /* of a code */

/*
 * Reads such a list: a valid JSON array of strings, [ to ], or codes with
 * commas or white space between them.  Codes go to codes, one behind the other;
 * there is room for max of them.  They have the right length, and are of
 * characters that need no escape in JSON, no more is looked at.
 *
 * Returns how many they are.  -1: there is something else; *wrong and
 * *wrong_len are it.  -2: they are more than max.
 */
ptrdiff_t kmq_code_list(const unsigned char *text, size_t size, char *codes,
    size_t max, const unsigned char **wrong, size_t *wrong_len);

#endif /* KMQ_CODE_LIST_H */
