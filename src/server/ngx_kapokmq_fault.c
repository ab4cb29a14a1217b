/*
 * Deaths on demand, in builds for tests (make FAULTS=1): POST /Console/Fault
 * names a fault point of the engine, and the worker that passes it for the
 * n-th time from then on is killed there.
 */

#include "ngx_kapokmq.h"

#ifdef KMQ_FAULTS

#include <sys/mman.h>


#define NGX_KAPOKMQ_FAULT_LEN  32


/* Seen by all workers, of later generations too. */
typedef struct {
    char          point[NGX_KAPOKMQ_FAULT_LEN];
    ngx_atomic_t  left;
} ngx_kapokmq_plan_t;

/* When the first has come true the second one counts, so that a worker can be
 * killed in the repair that follows another's death. */
static ngx_kapokmq_plan_t  *ngx_kapokmq_plans;


static void ngx_kapokmq_fault_pass(const char *point);
static ngx_int_t ngx_kapokmq_fault_plan(ngx_kapokmq_plan_t *plan,
    const kmq_field_t *point, const kmq_field_t *n);


void
ngx_kapokmq_fault_init(ngx_log_t *log)
{
    void  *p;

    if (ngx_kapokmq_plans) {
        return;
    }

    p = mmap(NULL, 2 * sizeof(ngx_kapokmq_plan_t), PROT_READ|PROT_WRITE,
             MAP_ANON|MAP_SHARED, -1, 0);

    if (p == MAP_FAILED) {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_errno, "mmap() failed");
        return;
    }

    ngx_kapokmq_plans = p;
    kmq_fault = ngx_kapokmq_fault_pass;
}


static void
ngx_kapokmq_fault_pass(const char *point)
{
    ngx_kapokmq_plan_t  *plan;

    plan = ngx_kapokmq_plans;

    if (plan->left == 0) {
        plan++;
    }

    if (plan->left == 0 || ngx_strcmp(plan->point, point) != 0) {
        return;
    }

    if (ngx_atomic_fetch_add(&plan->left, -1) == 1) {
        (void) kill(getpid(), SIGKILL);

        for ( ;; ) {
            (void) pause();
        }
    }
}


/* Takes point and n (1 unless given), and the same as point2 and n2. */
void
ngx_kapokmq_fault(ngx_http_request_t *r)
{
    ngx_str_t  json = ngx_string("{\"code\":0}");

    kmq_field_t  fields[] = {
        { "point", NULL, 0 },
        { "n", NULL, 0 },
        { "point2", NULL, 0 },
        { "n2", NULL, 0 }
    };

    if (ngx_kapokmq_http_fields(r, fields, 4) != NGX_OK) {
        return;
    }

    if (ngx_kapokmq_fault_plan(&ngx_kapokmq_plans[1], &fields[2], &fields[3])
        != NGX_OK
        || ngx_kapokmq_fault_plan(&ngx_kapokmq_plans[0], &fields[0],
                                  &fields[1])
           != NGX_OK)
    {
        ngx_kapokmq_http_error(r, NGX_HTTP_BAD_REQUEST, "a bad plan");
        return;
    }

    ngx_kapokmq_http_json(r, NGX_HTTP_OK, &json);
}


static ngx_int_t
ngx_kapokmq_fault_plan(ngx_kapokmq_plan_t *plan, const kmq_field_t *point,
    const kmq_field_t *n)
{
    ngx_int_t  left;

    left = n->len ? ngx_atoi(n->value, n->len) : 1;

    if (left < 1 || point->len >= NGX_KAPOKMQ_FAULT_LEN) {
        return NGX_ERROR;
    }

    plan->left = 0;

    ngx_memcpy(plan->point, point->value, point->len);
    plan->point[point->len] = '\0';

    plan->left = point->len ? left : 0;

    return NGX_OK;
}

#endif
