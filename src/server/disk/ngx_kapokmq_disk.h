/*
 * The queue's files: the master recovers from them, workers write journals, and
 * the keeper makes checkpoints.
 */

#ifndef NGX_KAPOKMQ_DISK_H
#define NGX_KAPOKMQ_DISK_H

#include "../ngx_kapokmq.h"


/* In the master: makes and locks the directory, and fills a fresh block from
 * it.  At a reload: only what has become necessary.  _check: would it do?
 * Nothing is changed.  NGX_ERROR has been logged. */
ngx_int_t ngx_kapokmq_recovery_check(ngx_log_t *log,
    ngx_kapokmq_main_conf_t *mcf);
ngx_int_t ngx_kapokmq_recovery(ngx_log_t *log, ngx_kapokmq_main_conf_t *mcf);
ngx_int_t ngx_kapokmq_recovery_reload(ngx_log_t *log,
    ngx_kapokmq_main_conf_t *mcf, ngx_kapokmq_main_conf_t *old);

/* In a worker: its journal, from its beginning to its end, with which all
 * clients leave.  From then on the worker's journal is called. */
void ngx_kapokmq_journal_init(ngx_cycle_t *cycle, ngx_kapokmq_main_conf_t *mcf);
void ngx_kapokmq_journal_exit(void);

/* What is gathered is to be written soon, and that barrier of the cluster to be
 * passed then. */
void ngx_kapokmq_journal_barrier(uint32_t number);

/* Begins a checkpoint when it is time for one.  Part of the worker's
 * housekeeping. */
void ngx_kapokmq_checkpoint_tick(void);

#endif /* NGX_KAPOKMQ_DISK_H */
