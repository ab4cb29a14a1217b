/*
 * A file system that remembers all that was done to it, and what was flushed,
 * so that it can be told what the loss of power at any moment may leave.
 *
 * A file keeps what was flushed; of what was appended after that, any part may
 * be there, in 512-byte sectors of which some read as zeros.  What was cut off
 * since may be there still.  What a flush
 * that failed was to keep may be lost whatever is flushed later.  Names made,
 * changed and removed since their directory was flushed may be as before,
 * each for itself; a rename happens or does not.
 */

#ifndef KMQ_DISK_CRASH_FS_H
#define KMQ_DISK_CRASH_FS_H

#include "../../../src/disk/kmq_file.h"


extern kmq_io_t  fs_io;
extern unsigned  fs_nops;          /* calls so far that changed something */
extern unsigned  fs_failures;      /* of a hundred calls fail */

/* Nothing has happened yet. */
void fs_reset(uint64_t seed);

/* Makes the files in a directory that may be there when the power is lost after
 * so many calls. */
void fs_cut(const char *dir, unsigned cut, uint64_t *r);

#endif /* KMQ_DISK_CRASH_FS_H */
