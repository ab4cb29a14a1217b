/*
 * What a client may do: the rights of a key, of a token, or of the secret key.
 *
 * Rights are one block of memory without a pointer, which is copied as it is:
 * into shared memory, and from there.  Nothing of it changes once it is made.
 */

#ifndef KMQ_RIGHTS_H
#define KMQ_RIGHTS_H

#include <stddef.h>
#include <stdint.h>


#define KMQ_RIGHTS_NAME_MAX    255      /* bytes of a name, id or topic */
#define KMQ_RIGHTS_TOPICS_MAX  1000     /* in a list */

/* Who has them. */
#define KMQ_WHO_SECRET  1               /* the secret key */
#define KMQ_WHO_KEY     2               /* one of mq.keys */
#define KMQ_WHO_TOKEN   3               /* the subject of a token */

#define KMQ_CONSOLE_NONE   0
#define KMQ_CONSOLE_READ   1
#define KMQ_CONSOLE_WRITE  2

typedef struct {
    const char  *data;                  /* NULL: there is none */
    size_t       len;
} kmq_text_t;

typedef struct kmq_rights_s  kmq_rights_t;

/*
 * What rights are made of.  A topic with a "*" at its end stands for all that
 * begin like it; anywhere else a "*" is a "*".
 *
 * Of a token, topics and the id may have {sub} in them, for which the subject
 * is put in as it is, and topics {id}, for which the id is.  A topic for which
 * there is no such text, or which becomes longer than a topic may be, gives no
 * right.
 */
typedef struct {
    unsigned           kind;            /* KMQ_WHO_... */
    unsigned           console;         /* KMQ_CONSOLE_... */
    unsigned           metrics;         /* 0 or 1 */
    kmq_text_t         name;            /* of the key; the subject of a token,
                                           an empty one is none */
    kmq_text_t         id;              /* the only one to connect with */
    const kmq_text_t  *produce;
    const kmq_text_t  *consume;
    size_t             nproduce;
    size_t             nconsume;
} kmq_claims_t;

/*
 * Rights, to be given to free().  NULL: there is no memory, or a name, an id or
 * a list is larger than the bounds above.
 */
kmq_rights_t *kmq_rights_make(const kmq_claims_t *claims);

/* The secret key's, to which everything is allowed; the same. */
kmq_rights_t *kmq_rights_all(void);

/* Bytes of the block, a multiple of 8. */
size_t kmq_rights_size(const kmq_rights_t *rights);

/* 1 when the room bytes at rights, which is aligned to 8, begin with such a
 * block, whole and sound. */
int kmq_rights_check(const void *rights, size_t room);

/* KMQ_WHO_... */
unsigned kmq_rights_kind(const kmq_rights_t *rights);

/* The key's name, or the token's subject, which may be any text, and is empty
 * where there is none. */
kmq_text_t kmq_rights_name(const kmq_rights_t *rights);

/* The only id that one may connect with.  Its data is NULL where any will do;
 * an empty one is void, so none will. */
kmq_text_t kmq_rights_id(const kmq_rights_t *rights);

/* KMQ_CONSOLE_... */
unsigned kmq_rights_console(const kmq_rights_t *rights);

/*
 * The next topic of a list, for whoever shows them; *at is 0 at first.  any: a
 * "*" follows it.  1, or 0: that was all.
 */
int kmq_rights_topic(const kmq_rights_t *rights, int consume, size_t *at,
    kmq_text_t *topic, int *any);


/* -------------------------------------------------------------- questions */

/* The answers are 1 or 0.  id is that of the connection, its data NULL where
 * there is none: then only the topic counts. */

int kmq_may_produce(const kmq_rights_t *rights, kmq_text_t topic,
    kmq_text_t id);
int kmq_may_consume(const kmq_rights_t *rights, kmq_text_t topic,
    kmq_text_t id);

/* May see, or with write change, what is about one topic: it may produce to it,
 * or consume from it. */
int kmq_may_console(const kmq_rights_t *rights, int write, kmq_text_t topic);

/* The same for what concerns the whole queue. */
int kmq_may_console_all(const kmq_rights_t *rights, int write);

int kmq_may_metrics(const kmq_rights_t *rights);

#endif /* KMQ_RIGHTS_H */
