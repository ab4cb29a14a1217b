/*
 * The elements of a body that comes in parts: objects of a JSON array, or one
 * on each line.  Where each of them begins and ends is found; what is inside is
 * not looked at, so an element may turn out not to be valid JSON.
 */

#ifndef KMQ_ELEMENTS_H
#define KMQ_ELEMENTS_H


/* What has been found. */
typedef enum {
    KMQ_ELEMENTS_AGAIN,            /* nothing in what is there */
    KMQ_ELEMENTS_BEGIN,            /* an element begins here */
    KMQ_ELEMENTS_END,              /* it ends before this place */
    KMQ_ELEMENTS_OTHER,            /* the body is not an array: it is to be
                                      read as a whole */
    KMQ_ELEMENTS_SCALAR,           /* an element is not an object */
    KMQ_ELEMENTS_BROKEN            /* the body is not valid: the array is no
                                      JSON, or half a byte order mark is before
                                      the first line */
} kmq_elements_found_t;

typedef struct {
    unsigned        lines:1;
    unsigned        quoted:1;      /* inside a string, */
    unsigned        escaped:1;     /* behind a backslash */
    unsigned        state;
    unsigned        mark;          /* bytes of a byte order mark */
    unsigned long   depth;         /* what is open in the element */
} kmq_elements_t;

/* lines: an object a line; else an array, if it is one. */
void kmq_elements_begin(kmq_elements_t *elements, int lines);

/*
 * Goes on from *p to end, and moves *p to where something is found.  The caller
 * goes on from there; after KMQ_ELEMENTS_OTHER and later ones it does not.
 */
kmq_elements_found_t kmq_elements_next(kmq_elements_t *elements,
    const unsigned char **p, const unsigned char *end);

/*
 * After KMQ_ELEMENTS_BEGIN: whoever has read the element, and knows that it is
 * an object that ends before p, goes on there.  1; or 0: it may go on, which is
 * to be looked for as ever.
 */
int kmq_elements_pass(kmq_elements_t *elements, const unsigned char *p,
    const unsigned char *end);

/* The body has ended: KMQ_ELEMENTS_AGAIN, all elements had; _END, the last one
 * ends here; _OTHER, there was nothing but white space; or _BROKEN. */
kmq_elements_found_t kmq_elements_end(const kmq_elements_t *elements);

#endif /* KMQ_ELEMENTS_H */
