#ifndef KMQ_MODEL_DISK_H
#define KMQ_MODEL_DISK_H

#include "model.h"


typedef struct {
    kmq_io_t                io;
    char                    dir[64];

    /* the checkpoint on its way */
    int                     active;
    unsigned                handle;
    unsigned                lost_before;
    size_t                  dropped_before;
    kmq_checkpoint_t        cp;
    kmq_checkpoint_file_t   file;
    kmq_buffer_t            slice;

    unsigned                lost;      /* times that records were lost, and
                                          are in no checkpoint */
    uint64_t                checkpoints, abandoned;
    uint64_t                refused_before, refused;
} model_disk_t;

extern model_disk_t  D;


void disk_open(void);
void disk_close(void);
void checkpoint_abandon(void);
void journal_open(unsigned h);
void pending_write(unsigned h);
void journal_take(unsigned h);
void journal_flush(unsigned h);
void journal_close(unsigned h, int dies);
void checkpoint_begin(unsigned h);
void checkpoint_slice(void);

#endif /* KMQ_MODEL_DISK_H */
