/* What kapokmq-dump is asked for, by its command line. */

#ifndef KMQ_OPTIONS_H
#define KMQ_OPTIONS_H

#include "kmq_waiting.h"


/* Exit status: the highest that was met. */
#define KMQ_DUMP_SOUND       0
#define KMQ_DUMP_DAMAGED     1
#define KMQ_DUMP_UNREADABLE  2

typedef struct {
    int            quiet;        /* no records */
    int            verbose;      /* all counters */
    int            waiting;      /* messages that filter lets pass, no
                                    records */
    kmq_waiting_t  filter;       /* its text is the command line's own */
} kmq_options_t;

/* Returns the index in argv of the first path; there is one at least.  Ends the
 * program when something is wrong, which is told on stderr, or when only the
 * usage is asked for. */
int kmq_options_read(kmq_options_t *o, int argc, char **argv);

#endif /* KMQ_OPTIONS_H */
