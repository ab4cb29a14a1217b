/*
 * The files of a queue, in one directory:
 *
 *     lock                       locked by the master, as the directory is
 *     checkpoint-GGGG            all that was there when generation GGGG began
 *     checkpoint-GGGG.new        the same, not complete
 *     journal-GGGG-WWW-N         changes since, of worker WWW
 *     *.damaged                  kept for whoever wants to look into them
 *     aside-DATE/                what recoveryStrategy 0 did not want
 *
 * A file begins with a head of KMQ_FILE_HEAD bytes, then come records; see
 * docs/format.md.
 */

#ifndef KMQ_FILE_H
#define KMQ_FILE_H

#include "../engine/kmq.h"
#include "kmq_io.h"


#define KMQ_FILE_HEAD     64
#define KMQ_PATH_SIZE   2048     /* of a path with its zero byte */
#define KMQ_NAME_SIZE    256     /* of a name in a directory */

#define KMQ_FILE_NONE        0
#define KMQ_FILE_JOURNAL     1
#define KMQ_FILE_CHECKPOINT  2
#define KMQ_FILE_NEW         3   /* a checkpoint that is not complete */

/* What a file's head says. */
typedef struct {
    uint32_t             version;
    uint32_t             kind;   /* KMQ_FILE_JOURNAL or _CHECKPOINT */
    uint64_t             created;    /* ms */
    kmq_journal_info_t   info;
} kmq_file_head_t;

void kmq_file_head_write(unsigned char p[KMQ_FILE_HEAD],
    const kmq_file_head_t *head);

/* NULL, or what is wrong with it. */
const char *kmq_file_head_read(const unsigned char p[KMQ_FILE_HEAD],
    kmq_file_head_t *head);

/* The path of a file in dir; n tells journals of one worker apart. */
void kmq_file_path(char path[KMQ_PATH_SIZE], const char *dir, unsigned kind,
    uint64_t generation, unsigned worker, unsigned n);

/* KMQ_FILE_... of a name without its directory, and its generation. */
unsigned kmq_file_kind(const char *name, uint64_t *generation);

/* ms since 1970. */
uint64_t kmq_file_now(void);


/* ---------------------------------------------------------------- writing */

/* The journal of one worker.  All of it is the writing thread's. */
typedef struct {
    kmq_io_t    *io;
    const char  *dir;
    uint64_t     reserve;        /* bytes of the disk left to checkpoints, or
                                    less where the disk is small */
    int          fd;             /* -1: none is open */
    int          unsynced;
    uint64_t     size;           /* of what is good in it; 0: not begun */
    uint64_t     generation;
    char         path[KMQ_PATH_SIZE];
} kmq_segment_t;

void kmq_segment_init(kmq_segment_t *segment, kmq_io_t *io, const char *dir,
    uint64_t reserve);

/*
 * Appends sealed records, which belong to info's generation, and with sync sees
 * to it that these and all before survive the loss of power.  0, or a negated
 * errno: then these may be there or not, and the file that the next ones go to
 * is not one more for each failure.  *what: what was being done.
 */
int kmq_segment_write(kmq_segment_t *segment, const kmq_journal_info_t *info,
    const unsigned char *data, size_t len, int sync, const char **what);

void kmq_segment_close(kmq_segment_t *segment);

/*
 * A checkpoint has all that is in the file: it goes, if it is there still.  The
 * checkpoint has removed it, but when it was begun as that was finished.
 */
void kmq_segment_drop(kmq_segment_t *segment);

/* A checkpoint being written; the same. */
typedef struct {
    kmq_io_t            *io;
    const char          *dir;
    int                  fd;
    uint64_t             size;
    uint64_t             unsynced;
    uint64_t             older;      /* generations that may go */
    kmq_journal_info_t   info;
    char                 path[KMQ_PATH_SIZE];
} kmq_checkpoint_file_t;

/* 0 or a negated errno, as above.  complete: the generation of the last one
 * that was finished, whose older files may be left. */
int kmq_checkpoint_file_open(kmq_checkpoint_file_t *file, kmq_io_t *io,
    const char *dir, const kmq_journal_info_t *info, uint64_t complete);
int kmq_checkpoint_file_write(kmq_checkpoint_file_t *file,
    const unsigned char *data, size_t len);

/* All is written: it gets its name, which is safe then. */
int kmq_checkpoint_file_finish(kmq_checkpoint_file_t *file);

/* After kmq_checkpoint_end(): files that are older go.  What stays is passed
 * over by recovery, and tried again by the next checkpoint. */
int kmq_checkpoint_file_clean(kmq_checkpoint_file_t *file);

/* It will not be finished. */
void kmq_checkpoint_file_abort(kmq_checkpoint_file_t *file);


/* -------------------------------------------------------------- directory */

#define KMQ_LOG_INFO   0
#define KMQ_LOG_WARN   1
#define KMQ_LOG_ERROR  2

/* Takes a line for the error log. */
typedef void (*kmq_log_t)(void *arg, int level, const char *text);

/* Logs a line. */
__attribute__((format(printf, 4, 5)))
void kmq_log(kmq_log_t log, void *arg, int level, const char *format, ...);

/* Whose the files are: the workers' user.  name NULL: whoever runs this. */
typedef struct {
    const char  *name;
    int          uid;
    int          gid;
} kmq_user_t;

/* Until kmq_user_leave() this process has the rights of that user alone, so
 * that whatever the user puts in the way of a file is no way to somebody
 * else's.  Both: 0, or -1, which has been logged. */
int kmq_user_enter(const kmq_user_t *user, kmq_log_t log, void *arg);
int kmq_user_leave(kmq_log_t log, void *arg);

/* The directory, as long as nobody else may have it. */
typedef struct {
    int          fd;             /* -1: it is not open */
    int          lock;           /* of its file "lock" */
} kmq_directory_t;

/*
 * Makes the directory for that user, where there is none, and locks it for this
 * process and those that it forks.  0; or -1: it cannot be had, or used by the
 * user, or is full of other things, or in use, which has been logged with the
 * process that has it.
 */
int kmq_directory_open(kmq_directory_t *d, const char *dir,
    const kmq_user_t *user, kmq_log_t log, void *arg);

void kmq_directory_close(kmq_directory_t *d);

/* Would that do, but for the lock?  Changes nothing.  0, or -1, the same. */
int kmq_directory_check(const char *dir, const kmq_user_t *user,
    kmq_log_t log, void *arg);

/* 1 when dir is still that directory. */
int kmq_directory_same(const kmq_directory_t *d, const char *dir);

/* A living process, other than this one, that has a lock (flock) on the file of
 * that descriptor; 0: none that can be seen. */
long kmq_holder(int fd);

/* Moves all data files into a directory "aside-..." in dir, of which the newest
 * few are kept.  By the files' user, as is recovery. */
int kmq_directory_set_aside(const char *dir, kmq_log_t log, void *arg);


/* --------------------------------------------------------------- recovery */

typedef struct {
    const char        *dir;
    void              *block;    /* fresh */
    size_t             size;
    uint64_t           mono;     /* ms */
    uint64_t           wall;
    kmq_log_t          log;
    void              *arg;
    int                look;     /* 1: nothing is changed in the directory,
                                    which may be in use */

    /* found */
    kmq_restored_t     restored;
    unsigned           files;
    uint64_t           bytes;
    uint64_t           records;
    uint64_t           damaged;  /* places */
    int                overtaken;    /* it failed, since a newer checkpoint has
                                        replaced files: the next try may do */
} kmq_recovery_t;

/*
 * Fills the block with what the directory's files have.  0; or -1: the block
 * has no room for it, or a file cannot be read, which has been logged.  Damage
 * is logged, and passed over.  After a failure the block is of no use.
 */
int kmq_recover(kmq_recovery_t *rc);


/* ---------------------------------------------------------------- reading */

/* Somebody wants to know of damage: n bytes (0: to the end) at offset. */
typedef void (*kmq_damage_t)(void *arg, const char *path, uint64_t offset,
    uint64_t n, const char *what, int torn);

/* One file, record by record. */
typedef struct {
    int              fd;
    unsigned         kind;       /* by its name; generation, too, where the
                                    head is damaged */
    kmq_file_head_t  head;
    uint64_t         size;
    uint64_t         offset;     /* in the file: of data */
    unsigned char   *data;
    size_t           used;       /* of it, read already */
    size_t           len;
    size_t           room;
    uint64_t         lsn;        /* of the last record */
    kmq_record_t     messages;   /* a record of several that is being handed
                                    out; type 0: none */
    const unsigned char  *next;  /* of them: the next one */
    kmq_record_t     message;    /* the last one */
    kmq_damage_t     damage;
    void            *arg;
    char             path[KMQ_PATH_SIZE];
    char             error[80];  /* kmq_reader_error()'s */
} kmq_reader_t;

/* 0, or a negated errno; damage may be NULL. */
int kmq_reader_open(kmq_reader_t *reader, const char *path, unsigned kind,
    uint64_t generation, kmq_damage_t damage, void *arg);

/* What it means that kmq_reader_open() has returned rc; valid as long as the
 * reader is. */
const char *kmq_reader_error(kmq_reader_t *reader, int rc);

/* 1 and the next record, valid until the next call, 0: the end, or a negated
 * errno.  KMQ_RECORD_MESSAGES comes as the records that it stands for. */
int kmq_reader_next(kmq_reader_t *reader, kmq_record_t *r);

void kmq_reader_close(kmq_reader_t *reader);

/* 1 when the last record of a checkpoint is there. */
int kmq_reader_complete(kmq_reader_t *reader);

#endif /* KMQ_FILE_H */
