/*
 * A node of a cluster that there is not, in builds for tests (make FAULTS=1):
 *
 *     kapokmq_node number=N epoch=E secret=TEXT [primary=ADDRESS];
 *
 * With an epoch of 0 there is no primary, and without primary= it is this node.
 * A reload changes all of it.
 */

#ifdef KMQ_FAULTS

#include "ngx_kapokmq_process.h"
#include "http/ngx_kapokmq_hop.h"


typedef struct {
    ngx_kapokmq_hop_conf_t  hop;    /* first */
    ngx_uint_t              epoch;
    ngx_str_t               primary;
} ngx_kapokmq_node_test_t;


static ngx_kapokmq_node_test_t  ngx_kapokmq_node_test;


static ngx_uint_t
ngx_kapokmq_node_serves(void)
{
    return ngx_kapokmq_node_test.epoch
           && ngx_kapokmq_node_test.primary.len == 0;
}


static uint32_t
ngx_kapokmq_node_primary(u_char address[NGX_KAPOKMQ_ADDRESS])
{
    ngx_cpystrn(address, ngx_kapokmq_node_test.primary.len
                         ? ngx_kapokmq_node_test.primary.data
                         : (u_char *) "", NGX_KAPOKMQ_ADDRESS);

    return (uint32_t) ngx_kapokmq_node_test.epoch;
}


char *
ngx_kapokmq_conf_node(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_kapokmq_main_conf_t  *mcf = conf;

    ngx_str_t                *value;
    ngx_uint_t                i;
    ngx_kapokmq_node_test_t  *test;

    (void) cmd;

    test = &ngx_kapokmq_node_test;
    ngx_memzero(test, sizeof(ngx_kapokmq_node_test_t));

    test->hop.serves = ngx_kapokmq_node_serves;
    test->hop.primary = ngx_kapokmq_node_primary;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "number=", 7) == 0) {
            test->hop.number = (uint32_t) ngx_atoi(value[i].data + 7,
                                                    value[i].len - 7);

        } else if (ngx_strncmp(value[i].data, "epoch=", 6) == 0) {
            test->epoch = (ngx_uint_t) ngx_atoi(value[i].data + 6,
                                                value[i].len - 6);

        } else if (ngx_strncmp(value[i].data, "secret=", 7) == 0) {
            test->hop.secret.data = value[i].data + 7;
            test->hop.secret.len = value[i].len - 7;

        } else if (ngx_strncmp(value[i].data, "primary=", 8) == 0) {
            test->primary.data = value[i].data + 8;
            test->primary.len = value[i].len - 8;

        } else {
            return "has a wrong parameter";
        }
    }

    mcf->hop = &test->hop;

    return NGX_CONF_OK;
}

#endif
