/*
 * The files of a node, as its follower keeps them: what counts of the stream is
 * written to journals and checkpoints, from which recovery (kmq_recover())
 * fills the block.  A primary's workers write theirs themselves.
 *
 * The file "stream" says up to which entry they have all that counts; it is
 * written after they were flushed.  What lies behind that is read again after a
 * start, and may be in files twice, which recovery does not mind.
 */

#ifndef KMQ_FILES_H
#define KMQ_FILES_H

#include "../disk/kmq_file.h"
#include "kmq_place.h"


#define KMQ_FILES_PAST  32

/* An epoch that is over: its slots may be purged up to that sequence, which is
 * that of its first closing. */
typedef struct {
    uint32_t  epoch;
    uint64_t  before;
} kmq_files_past_t;

/* What "stream" says. */
typedef struct {
    kmq_chain_t       chain;       /* the files have all up to chain.seq */
    uint64_t          time;        /* when that entry was stored, ns */
    uint64_t          created;     /* when the stream was made, ns; 0: nothing
                                      was read yet */
    uint64_t          known;       /* the highest sequence that was known */
    uint32_t          differs;     /* the stream is another one */
    uint32_t          seeder;      /* it was made from the files of that node,
                                      from 1 on, which alone may be primary
                                      until there is a checkpoint; 0: none */
    uint32_t          npast;
    kmq_files_past_t  past[KMQ_FILES_PAST];
} kmq_files_state_t;

typedef struct kmq_files_writer_s  kmq_files_writer_t;

typedef struct {
    kmq_io_t               *io;
    const char             *dir;
    uint64_t                reserve;
    uint32_t                node;
    kmq_log_t               log;
    void                   *arg;

    kmq_files_state_t       state;     /* as it is on disk */
    int                     fd;
    uint64_t                counter;

    kmq_files_state_t       clean;     /* the last moment at which nothing was
                                          half there */
    kmq_files_writer_t     *writer;    /* of the epoch */
    unsigned                half;      /* parts and held entries */
    unsigned                dirty:1;   /* something is not flushed */
    unsigned                failed:1;  /* something could not be written */
    unsigned                checkpointing:1;
    unsigned                jumped:1;  /* the mark has not been read yet */
    unsigned                foreign:1; /* there are files without "stream" */
    uint16_t                maker;     /* the checkpoint's writer */
    uint64_t                complete;  /* generation of the last one */
    kmq_checkpoint_file_t   checkpoint;
    kmq_buffer_t            plain;     /* of an entry that was packed */

    /* of this node's own appends, by what is in its files */
    uint64_t                reach;
    uint32_t                own_epoch;
    uint64_t                own_last[KMQ_CHAIN_WRITERS];
    unsigned                own_void:1;    /* some of them do not count */
} kmq_files_t;

/* Reads "stream" and, with scan, what the journals say of themselves: 0, or -1,
 * which was logged. */
int kmq_files_open(kmq_files_t *files, const char *dir, uint64_t reserve,
    uint32_t node, int scan, kmq_log_t log, void *arg);
void kmq_files_close(kmq_files_t *files);

/*
 * An entry was read, and that came of it; chain: as it is behind it; time: when
 * it was stored.  write: it is to be written, if it counts; else somebody else
 * has.  The body's data may be unpacked by it, until the next one.
 */
void kmq_files_entry(kmq_files_t *files, const kmq_chain_t *chain,
    kmq_chain_e what, kmq_body_t *body, uint64_t time, int write);

/* The reader goes on behind a mark. */
void kmq_files_jump(kmq_files_t *files, const kmq_chain_t *chain);

/* Flushes, and says so in "stream", if there is something new: 0 or -1. */
int kmq_files_flush(kmq_files_t *files, uint64_t known);

/* Others have flushed all up to there. */
int kmq_files_have(kmq_files_t *files, const kmq_files_state_t *state,
    uint64_t known);

/* Writes "stream" as it is: 0 or -1. */
int kmq_files_save(kmq_files_t *files);

/* What is open, and held, is given up: it will be read again. */
void kmq_files_drop(kmq_files_t *files);

/* Moves all files away, and begins with nothing: 0 or -1. */
int kmq_files_aside(kmq_files_t *files);

/* Of this node's own appends some do not count in that chain, and are not void
 * either. */
int kmq_files_tail(const kmq_files_t *files, const kmq_chain_t *chain);

/* The mark's chain, out of its body: 0; -1: it has none. */
int kmq_files_mark(kmq_chain_t *chain, uint64_t *bytes,
    const kmq_body_t *body);

#endif /* KMQ_FILES_H */
