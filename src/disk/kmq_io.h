/*
 * The boundary to the file system: all that is ever done to files of the
 * queue but reading them at a start.  Tests put others in its place, which
 * fail, or record what was done.
 *
 * Each function returns 0, or a descriptor, or a negated errno.
 */

#ifndef KMQ_IO_H
#define KMQ_IO_H

#include <stddef.h>
#include <stdint.h>


typedef struct kmq_io_s  kmq_io_t;

struct kmq_io_s {
    /* A new file for appending, mode 0600; a descriptor.  -EEXIST. */
    int  (*create)(kmq_io_t *io, const char *path);

    /* Appends all of n bytes, or fails: then any part of them may be
     * there. */
    int  (*append)(kmq_io_t *io, int fd, const void *bytes, size_t n);

    /* Of a file there are n bytes from now on. */
    int  (*truncate)(kmq_io_t *io, int fd, uint64_t n);

    /* Bytes that the file system has in all, and that are free for us. */
    int  (*room)(kmq_io_t *io, const char *dir, uint64_t *all,
                 uint64_t *left);

    /* What was appended survives the loss of power. */
    int  (*sync)(kmq_io_t *io, int fd);

    int  (*close)(kmq_io_t *io, int fd);

    int  (*rename)(kmq_io_t *io, const char *from, const char *to);
    int  (*remove)(kmq_io_t *io, const char *path);

    /* So do the names in a directory. */
    int  (*sync_dir)(kmq_io_t *io, const char *dir);

    /* 0: path still names the file of that descriptor. */
    int  (*same)(kmq_io_t *io, int fd, const char *path);

    /* Calls entry for each name in a directory. */
    int  (*list)(kmq_io_t *io, const char *dir,
                 void (*entry)(void *arg, const char *name), void *arg);
};

/* The operating system's. */
extern kmq_io_t  kmq_io_system;


#ifdef KMQ_FAULTS

/* Builds for tests: where this is not NULL and *kmq_io_fault not 0, the
 * operating system's functions that a bit (1 << KMQ_IO_...) of its upper half
 * names fail with the errno in its lower half (16 bits); with KMQ_IO_STALL
 * there, they wait as long as that stands there. */
#define KMQ_IO_STALL     0xffff

#define KMQ_IO_CREATE    16
#define KMQ_IO_APPEND    17
#define KMQ_IO_SYNC      18
#define KMQ_IO_RENAME    19
#define KMQ_IO_REMOVE    20
#define KMQ_IO_SYNC_DIR  21

extern volatile uint32_t  *kmq_io_fault;

#endif

#endif /* KMQ_IO_H */
