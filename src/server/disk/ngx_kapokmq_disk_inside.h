/* Checkpoints, for the journal that they go with. */

#ifndef NGX_KAPOKMQ_DISK_INSIDE_H
#define NGX_KAPOKMQ_DISK_INSIDE_H

#include "ngx_kapokmq_disk.h"


void ngx_kapokmq_checkpoint_init(ngx_cycle_t *cycle,
    const ngx_kapokmq_main_conf_t *mcf);

/* One that is not complete is worth nothing, and goes. */
void ngx_kapokmq_checkpoint_exit(void);

#endif /* NGX_KAPOKMQ_DISK_INSIDE_H */
