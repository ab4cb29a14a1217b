/* Which media type a client prefers: the Accept header, RFC 9110. */

#ifndef KMQ_MEDIA_H
#define KMQ_MEDIA_H

#include <stddef.h>


typedef struct {
    const char  *type;
    const char  *subtype;
    const char  *version;          /* its parameter of that name */
} kmq_media_t;

/* The range of an Accept header that says most exactly what holds for a media
 * type. */
typedef struct {
    unsigned     exact;            /* from 1, any type, to 4, the type with its
                                      version; 0: no range holds for it */
    unsigned     weight;           /* q, in thousandths; 0: not acceptable */
} kmq_media_range_t;

/* Among ranges that are equally exact the one of the greatest weight counts;
 * those with another version, or not well formed, do not. */
kmq_media_range_t kmq_media_find(const char *accept, size_t len,
    const kmq_media_t *media);

/* 1 when accept prefers media to other: by weight or, where that is the same,
 * since it names it more exactly. */
int kmq_media_prefers(const char *accept, size_t len,
    const kmq_media_t *media, const kmq_media_t *other);

#endif /* KMQ_MEDIA_H */
