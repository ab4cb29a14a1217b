/* What /metrics shows: see ngx_kapokmq_metric_table.c. */

#ifndef NGX_KAPOKMQ_METRICS_INSIDE_H
#define NGX_KAPOKMQ_METRICS_INSIDE_H

#include "../ngx_kapokmq.h"
#include "../client/ngx_kapokmq_client.h"
#include "../../replica/kmq_status.h"


typedef enum {
    NGX_KAPOKMQ_COUNTER = 0,
    NGX_KAPOKMQ_GAUGE,
    NGX_KAPOKMQ_AGE,               /* a gauge; of several topics it is the
                                      greatest, not the sum */
    NGX_KAPOKMQ_TIME               /* a gauge, left out while it is 0 */
} ngx_kapokmq_kind_t;

/* A family of one sample, or of one for each topic; and where its value is. */
typedef struct {
    const char                    *name;   /* without _total */
    const char                    *unit;   /* that the name ends with */
    const char                    *help;
    ngx_kapokmq_kind_t             kind;
    size_t                         offset;
    size_t                         size;
} ngx_kapokmq_family_t;

/* What families of one sample show. */
typedef struct {
    kmq_counts_t                   counts;
    uint64_t                       waiting_max;
    uint64_t                       oldest;         /* s */
    uint64_t                       oldest_in_flight;       /* s */
    uint64_t                       workers;
    uint64_t                       retiring;
    uint64_t                       persistence;
    uint64_t                       failing;
    uint64_t                       summed;         /* topics */
    uint64_t                       by[NGX_KAPOKMQ_BYS];    /* consumers that
                                      are connected, by transport */
} ngx_kapokmq_metrics_t;

/* Counters that may be restored from files, one behind the other, and what
 * they were then, in the same order. */
typedef struct {
    size_t                         first;
    size_t                         before;
    size_t                         size;
} ngx_kapokmq_totals_t;

/* Families of one sample, whose values are in a ngx_kapokmq_metrics_t, */
#define NGX_KAPOKMQ_FAMILIES        44
extern const ngx_kapokmq_family_t
    ngx_kapokmq_families[NGX_KAPOKMQ_FAMILIES];
extern const ngx_kapokmq_totals_t  ngx_kapokmq_totals;

/* and of one for each topic, whose values are in its kmq_topic_info_t. */
#define NGX_KAPOKMQ_TOPIC_FAMILIES  18
extern const ngx_kapokmq_family_t
    ngx_kapokmq_topic_families[NGX_KAPOKMQ_TOPIC_FAMILIES];
extern const ngx_kapokmq_totals_t  ngx_kapokmq_topic_totals;


/* ------------------------------------------------------------------- lines */

/* A family's head, of a type; of the type that its kind has; a sample, with a
 * label or without (NULL). */
u_char *ngx_kapokmq_metrics_head(u_char *p, ngx_uint_t open,
    const ngx_kapokmq_family_t *family, const char *type);
u_char *ngx_kapokmq_metrics_family(u_char *p, ngx_uint_t open,
    const ngx_kapokmq_family_t *family);
u_char *ngx_kapokmq_metrics_sample(u_char *p,
    const ngx_kapokmq_family_t *family, const ngx_str_t *label,
    uint64_t value);


/* ----------------------------------------------------------------- cluster */

/* What families of a cluster show. */
typedef struct {
    kmq_status_t                   status;
    uint64_t                       primary;
    uint64_t                       paused;
    uint64_t                       known;          /* there is a primary */
    uint64_t                       blocked;
    uint64_t                       heard;          /* nodes, this one too */
    uint64_t                       lag;
    uint64_t                       lag_bytes;
    uint64_t                       differ;         /* nodes, in settings */
    uint64_t                       handed;
} ngx_kapokmq_metrics_cluster_t;

#define NGX_KAPOKMQ_CLUSTER_FAMILIES  18

/* Reads them; appends one of these families. */
void ngx_kapokmq_metrics_cluster_read(ngx_kapokmq_metrics_cluster_t *cluster);
u_char *ngx_kapokmq_metrics_cluster(u_char *p, ngx_uint_t open, ngx_uint_t n,
    const ngx_kapokmq_metrics_cluster_t *cluster);

#endif /* NGX_KAPOKMQ_METRICS_INSIDE_H */
