/* Lists of links, by reference; see kmq_link_t. */

#include "../kmq_block.h"
#include "kmq_memory.h"


void
kmq_list_append(kmq_shard_t *s, kmq_list_t *list, kmq_link_t *link)
{
    kmq_ref_t  ref = KMQ_REF(s, link);

    link->next = 0;
    link->prev = list->tail;

    if (list->tail) {
        ((kmq_link_t *) KMQ_AT(s, list->tail))->next = ref;
    } else {
        list->head = ref;
    }

    list->tail = ref;
    list->count++;
}


/*
 * The same for lists that are made anew, of members that mostly stand where
 * they stood before: nothing is written that is there already, so that what is
 * only read need not go back to memory.
 */
void
kmq_list_relink(kmq_shard_t *s, kmq_list_t *list, kmq_link_t *link)
{
    kmq_ref_t    ref = KMQ_REF(s, link);
    kmq_link_t  *tail;

    if (link->prev != list->tail) {
        link->prev = list->tail;
    }

    if (list->tail) {
        tail = KMQ_AT(s, list->tail);

        if (tail->next != ref) {
            KMQ_SET(tail->next, ref);
        }

    } else {
        list->head = ref;
    }

    list->tail = ref;
    list->count++;
}


void
kmq_list_end(kmq_shard_t *s, kmq_list_t *list)
{
    if (list->tail) {
        ((kmq_link_t *) KMQ_AT(s, list->tail))->next = 0;
    }
}


static void
list_prepend(kmq_shard_t *s, kmq_list_t *list, kmq_link_t *link)
{
    kmq_ref_t  ref = KMQ_REF(s, link);

    link->prev = 0;
    link->next = list->head;

    if (list->head) {
        ((kmq_link_t *) KMQ_AT(s, list->head))->prev = ref;
    } else {
        list->tail = ref;
    }

    list->head = ref;
    list->count++;
}


/* Behind after, or at the beginning where that is NULL. */
void
kmq_list_insert(kmq_shard_t *s, kmq_list_t *list, kmq_link_t *after,
    kmq_link_t *link)
{
    kmq_ref_t  ref = KMQ_REF(s, link);

    if (after == NULL) {
        list_prepend(s, list, link);
        return;
    }

    if (after->next == 0) {
        kmq_list_append(s, list, link);
        return;
    }

    link->prev = KMQ_REF(s, after);
    link->next = after->next;
    ((kmq_link_t *) KMQ_AT(s, after->next))->prev = ref;
    after->next = ref;
    list->count++;
}


void
kmq_list_remove(kmq_shard_t *s, kmq_list_t *list, kmq_link_t *link)
{
    if (link->prev) {
        ((kmq_link_t *) KMQ_AT(s, link->prev))->next = link->next;
    } else {
        list->head = link->next;
    }

    if (link->next) {
        ((kmq_link_t *) KMQ_AT(s, link->next))->prev = link->prev;
    } else {
        list->tail = link->prev;
    }

    link->next = 0;
    link->prev = 0;
    list->count--;
}


/* Takes the first one out of a list that has one. */
kmq_link_t *
kmq_list_shift(kmq_shard_t *s, kmq_list_t *list)
{
    kmq_link_t  *link = KMQ_AT(s, list->head);

    list->head = link->next;

    if (link->next) {
        ((kmq_link_t *) KMQ_AT(s, link->next))->prev = 0;
    } else {
        list->tail = 0;
    }

    link->next = 0;
    list->count--;

    return link;
}


/* Moves n neighbours, first to last, to the end of another list. */
void
kmq_list_move(kmq_shard_t *s, kmq_list_t *from, kmq_list_t *to,
    kmq_link_t *first, kmq_link_t *last, uint64_t n)
{
    *(first->prev ? &((kmq_link_t *) KMQ_AT(s, first->prev))->next
                  : &from->head) = last->next;
    *(last->next ? &((kmq_link_t *) KMQ_AT(s, last->next))->prev
                 : &from->tail) = first->prev;

    *(to->tail ? &((kmq_link_t *) KMQ_AT(s, to->tail))->next
               : &to->head) = KMQ_REF(s, first);

    first->prev = to->tail;
    last->next = 0;
    to->tail = KMQ_REF(s, last);

    from->count -= n;
    to->count += n;
}


/* Merges two chains that end with 0 and are linked by next alone. */
static kmq_ref_t
chain_merge(kmq_shard_t *s, kmq_ref_t one, kmq_ref_t two,
    uint64_t (*key)(kmq_shard_t *s, const kmq_link_t *link))
{
    kmq_ref_t    head, *link;
    kmq_link_t  *first, *second;

    head = 0;
    link = &head;

    while (one && two) {
        first = KMQ_AT(s, one);
        second = KMQ_AT(s, two);

        if (key(s, first) <= key(s, second)) {
            *link = one;
            link = &first->next;
            one = first->next;

        } else {
            *link = two;
            link = &second->next;
            two = second->next;
        }
    }

    *link = one ? one : two;

    return head;
}


/*
 * Sorts by key, stably and in place: a merge sort from the bottom up, in
 * which chain[i] holds 2^i links or none.
 */
void
kmq_list_sort(kmq_shard_t *s, kmq_list_t *list,
    uint64_t (*key)(kmq_shard_t *s, const kmq_link_t *link))
{
    unsigned     i;
    kmq_ref_t    chain[40], rest, ref, prev;
    kmq_link_t  *link;

    memset(chain, 0, sizeof(chain));

    for (rest = list->head; rest; /* void */) {
        ref = rest;
        link = KMQ_AT(s, ref);
        rest = link->next;
        link->next = 0;

        for (i = 0; chain[i]; i++) {
            ref = chain_merge(s, chain[i], ref, key);
            chain[i] = 0;
        }

        chain[i] = ref;
    }

    for (ref = 0, i = 0; i < sizeof(chain) / sizeof(chain[0]); i++) {
        ref = chain_merge(s, chain[i], ref, key);
    }

    list->head = ref;

    for (prev = 0; ref; prev = ref, ref = link->next) {
        link = KMQ_AT(s, ref);
        link->prev = prev;
    }

    list->tail = prev;
}
