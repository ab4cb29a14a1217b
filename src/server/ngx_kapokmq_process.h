/* The root of src/server, which knows all rooms: for ngx_kapokmq_module.c. */

#ifndef NGX_KAPOKMQ_PROCESS_H
#define NGX_KAPOKMQ_PROCESS_H

#include "ngx_kapokmq.h"


/* What nginx calls in the master and in each worker. */
ngx_int_t ngx_kapokmq_init_module(ngx_cycle_t *cycle);
ngx_int_t ngx_kapokmq_init_process(ngx_cycle_t *cycle);
void ngx_kapokmq_exit_process(ngx_cycle_t *cycle);


/* ---------------------------------------------------------- configuration */

/* Functions of directives and contexts; see ngx_kapokmq_module.c. */
char *ngx_kapokmq_conf_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_kapokmq_conf_config(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_kapokmq_conf_endpoint(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_kapokmq_conf_client(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_kapokmq_conf_console(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_kapokmq_conf_metrics(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_kapokmq_conf_auth(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_kapokmq_conf_cors(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_kapokmq_conf_primary(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
#ifdef KMQ_FAULTS
char *ngx_kapokmq_conf_node(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
#endif
void *ngx_kapokmq_conf_create_main(ngx_conf_t *cf);
char *ngx_kapokmq_conf_init_main(ngx_conf_t *cf, void *conf);
void *ngx_kapokmq_conf_create_loc(ngx_conf_t *cf);
char *ngx_kapokmq_conf_merge_loc(ngx_conf_t *cf, void *parent, void *child);
ngx_int_t ngx_kapokmq_conf_check(ngx_conf_t *cf);

/* Makes the queue in a new zone, or takes over what an old one has. */
ngx_int_t ngx_kapokmq_zone_init(ngx_shm_zone_t *zone, void *data);

#endif /* NGX_KAPOKMQ_PROCESS_H */
