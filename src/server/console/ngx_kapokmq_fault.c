/*
 * Deaths and failing disks on demand, in builds for tests (make FAULTS=1).
 * POST /Console/Fault names a fault point of the engine, and the worker that
 * passes it for the n-th time from then on is killed there; or what the disk
 * does not do any more.
 */

#ifdef KMQ_FAULTS

#include "ngx_kapokmq_console.h"
#include "ngx_kapokmq_console_inside.h"
#include "../../disk/kmq_io.h"

#include <sys/mman.h>


#define NGX_KAPOKMQ_FAULT_LEN  32


/* Seen by all workers, of later generations too. */
typedef struct {
    char          point[NGX_KAPOKMQ_FAULT_LEN];
    ngx_atomic_t  left;
} ngx_kapokmq_plan_t;

/* When the first plan has come true the second one counts, so that a worker can
 * be killed in the repair that follows another's death. */
typedef struct {
    ngx_kapokmq_plan_t  plan[2];
    volatile uint32_t   io;        /* see kmq_io_fault */
} ngx_kapokmq_faults_t;

static ngx_kapokmq_faults_t  *ngx_kapokmq_faults;

static const struct {
    ngx_str_t           name;
    uint32_t            call;
} ngx_kapokmq_calls[] = {
    { ngx_string("create"),   KMQ_IO_CREATE },
    { ngx_string("append"),   KMQ_IO_APPEND },
    { ngx_string("sync"),     KMQ_IO_SYNC },
    { ngx_string("rename"),   KMQ_IO_RENAME },
    { ngx_string("remove"),   KMQ_IO_REMOVE },
    { ngx_string("sync_dir"), KMQ_IO_SYNC_DIR }
};


static void ngx_kapokmq_fault_pass(const char *point);
static ngx_int_t ngx_kapokmq_fault_io(const kmq_field_t *io,
    const kmq_field_t *err);
static ngx_int_t ngx_kapokmq_fault_plan(ngx_kapokmq_plan_t *plan,
    const kmq_field_t *point, const kmq_field_t *n);


void
ngx_kapokmq_fault_init(ngx_log_t *log)
{
    void  *p;

    if (ngx_kapokmq_faults) {
        return;
    }

    p = mmap(NULL, sizeof(ngx_kapokmq_faults_t), PROT_READ|PROT_WRITE,
             MAP_ANON|MAP_SHARED, -1, 0);

    if (p == MAP_FAILED) {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_errno, "mmap() failed");
        return;
    }

    ngx_kapokmq_faults = p;
    kmq_io_fault = &ngx_kapokmq_faults->io;
    kmq_fault = ngx_kapokmq_fault_pass;
}


static void
ngx_kapokmq_fault_pass(const char *point)
{
    ngx_kapokmq_plan_t  *plan;

    plan = ngx_kapokmq_faults->plan;

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


/*
 * Takes point and n (1 unless given), and the same as point2 and n2; and io:
 * what fails from now on, with commas in between, with errno (EIO unless
 * given), or, empty, that all works again.
 */
void
ngx_kapokmq_fault(ngx_http_request_t *r, const kmq_rights_t *rights)
{
    ngx_str_t            json = ngx_string("{\"code\":0}");
    ngx_kapokmq_plan_t  *plan;

    kmq_field_t  fields[] = {
        { "point", NULL, 0 },
        { "n", NULL, 0 },
        { "point2", NULL, 0 },
        { "n2", NULL, 0 },
        { "io", NULL, 0 },
        { "errno", NULL, 0 }
    };

    (void) rights;

    if (ngx_kapokmq_http_fields(r, fields, 6) != NGX_OK) {
        return;
    }

    plan = ngx_kapokmq_faults->plan;

    if (ngx_kapokmq_fault_plan(&plan[1], &fields[2], &fields[3]) != NGX_OK
        || ngx_kapokmq_fault_plan(&plan[0], &fields[0], &fields[1]) != NGX_OK
        || (fields[4].value
            && ngx_kapokmq_fault_io(&fields[4], &fields[5]) != NGX_OK))
    {
        ngx_kapokmq_http_error(r, NGX_HTTP_BAD_REQUEST, "a bad plan");
        return;
    }

    ngx_kapokmq_http_json(r, NGX_HTTP_OK, &json);
}


/* The bit of a call by its name, 0: there is none of that name. */
static uint32_t
ngx_kapokmq_fault_call(const u_char *name, size_t len)
{
    ngx_uint_t  i;

    for (i = 0; i < sizeof(ngx_kapokmq_calls)
                    / sizeof(ngx_kapokmq_calls[0]); i++)
    {
        if (len == ngx_kapokmq_calls[i].name.len
            && ngx_strncmp(name, ngx_kapokmq_calls[i].name.data, len) == 0)
        {
            return (uint32_t) 1 << ngx_kapokmq_calls[i].call;
        }
    }

    return 0;
}


static ngx_int_t
ngx_kapokmq_fault_io(const kmq_field_t *io, const kmq_field_t *err)
{
    u_char     *p, *last, *comma;
    uint32_t    fault, call;
    ngx_int_t   number;

    number = err->len ? ngx_atoi(err->value, err->len) : EIO;

    if (number < 1 || number > 0xffff) {
        return NGX_ERROR;
    }

    fault = 0;
    last = io->value + io->len;

    for (p = io->value; p < last; p = comma + 1) {
        comma = ngx_strlchr(p, last, ',');
        comma = comma ? comma : last;

        call = ngx_kapokmq_fault_call(p, comma - p);

        if (call == 0) {
            return NGX_ERROR;
        }

        fault |= call | (uint32_t) number;
    }

    ngx_kapokmq_faults->io = fault;

    return NGX_OK;
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
