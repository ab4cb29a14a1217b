/* The lines of the format. */

#include "ngx_kapokmq_metrics_inside.h"


/* HELP, TYPE and, in OpenMetrics, UNIT.  That knows a counter and an info by
 * the name without the suffix that their samples have. */
u_char *
ngx_kapokmq_metrics_head(u_char *p, ngx_uint_t open,
    const ngx_kapokmq_family_t *family, const char *type)
{
    const char  *suffix;

    suffix = "";

    if (!open && type[0] == 'c') {
        suffix = "_total";

    } else if (!open && type[0] == 'i') {
        suffix = "_info";
        type = "gauge";
    }

    p = ngx_sprintf(p, "# HELP kapokmq_%s%s %s\n", family->name, suffix,
                    family->help);
    p = ngx_sprintf(p, "# TYPE kapokmq_%s%s %s\n", family->name, suffix,
                    type);

    if (open && family->unit) {
        p = ngx_sprintf(p, "# UNIT kapokmq_%s %s\n", family->name,
                        family->unit);
    }

    return p;
}


u_char *
ngx_kapokmq_metrics_family(u_char *p, ngx_uint_t open,
    const ngx_kapokmq_family_t *family)
{
    return ngx_kapokmq_metrics_head(p, open, family,
                                    family->kind == NGX_KAPOKMQ_COUNTER
                                    ? "counter" : "gauge");
}


u_char *
ngx_kapokmq_metrics_sample(u_char *p, const ngx_kapokmq_family_t *family,
    const ngx_str_t *label, uint64_t value)
{
    p = ngx_sprintf(p, "kapokmq_%s%s", family->name,
                    family->kind == NGX_KAPOKMQ_COUNTER ? "_total" : "");

    if (label) {
        p = ngx_cpymem(p, label->data, label->len);
    }

    return ngx_sprintf(p, " %uL\n", value);
}
