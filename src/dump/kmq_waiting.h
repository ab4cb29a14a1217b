/*
 * What is there after replay: the messages that a start of nginx would find in
 * a directory, as JSON lines that POST /Producer/Send takes.
 */

#ifndef KMQ_WAITING_H
#define KMQ_WAITING_H

#include <stddef.h>
#include <stdint.h>


/* Of statuses: ready, retrying, delayed. */
#define KMQ_WAITING_DEFAULT  0x07

/* What is asked for. */
typedef struct {
    unsigned     statuses;       /* kmq_waiting_status() of each */
    const char  *topic;          /* NULL: any */
    uint32_t     from;           /* s: created no earlier */
    uint32_t     to;             /* s: and no later */
    int          count;          /* 1: counts of each topic, no messages */
} kmq_waiting_t;

/* A status by its name, as a bit, or several ("waiting", "all"); 0: there is no
 * such status. */
unsigned kmq_waiting_status(const char *name, size_t len);

/*
 * Prints what a directory has of it.  Nothing is changed there, and a queue may
 * be using it.  What is wrong is told on stderr.  Returns how many places are
 * damaged, or -1: it cannot be read.
 */
int64_t kmq_waiting_print(const char *dir, const kmq_waiting_t *w);

#endif /* KMQ_WAITING_H */
