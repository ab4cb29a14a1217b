/* What the files of the lease share. */

#ifndef KMQ_LEASE_INSIDE_H
#define KMQ_LEASE_INSIDE_H

#include "kmq_lease.h"


/* Another action; NULL: there is no room, and whoever wanted it tries again. */
kmq_lease_action_t *kmq_lease_act(kmq_lease_t *lease,
    kmq_lease_action_e kind);

void kmq_lease_role(kmq_lease_t *lease, kmq_lease_role_e role);

/* Somebody else is primary, or will be. */
void kmq_lease_depose(kmq_lease_t *lease);

/* Our epoch has begun. */
void kmq_lease_begun(kmq_lease_t *lease);

/* What is due in the roles from STANDBY to RECOVERING. */
void kmq_lease_take(kmq_lease_t *lease);

/* An entry was read, in one of those roles; or an own claim, in any. */
void kmq_lease_claimed(kmq_lease_t *lease);
void kmq_lease_taken(kmq_lease_t *lease);

/* News are sent now. */
void kmq_lease_tell(kmq_lease_t *lease, uint32_t successor);

/* Nobody else has been heard for a while. */
int kmq_lease_alone(const kmq_lease_t *lease);

/* All nodes have been heard since the start, or just now, and none has what the
 * stream lacks. */
int kmq_lease_all_heard(const kmq_lease_t *lease);

/* A node has said, and not taken back, that the stream lacks what it had. */
int kmq_lease_others_lack(const kmq_lease_t *lease);


static inline int
kmq_lease_me(const kmq_lease_t *lease, kmq_who_t who)
{
    return who.node == lease->config.who.node
           && who.start == lease->config.who.start;
}

#endif /* KMQ_LEASE_INSIDE_H */
