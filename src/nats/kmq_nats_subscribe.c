/* Subscriptions of a link: kmq_nats_link.h. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kmq_nats_link_inside.h"


#define LINK_SUB  512      /* bytes of SUB, at most */


static kmq_nats_subscription_t *
link_subscription(kmq_nats_link_t *link, uint64_t sid)
{
    unsigned  i;

    for (i = 0; i < link->n_subscriptions; i++) {
        if (link->subscriptions[i].sid == sid) {
            return &link->subscriptions[i];
        }
    }

    return NULL;
}


void
kmq_nats_link_hand_out(kmq_nats_link_t *link, const kmq_nats_msg_t *msg)
{
    kmq_nats_subscription_t  *subscription;

    subscription = link_subscription(link, msg->sid);

    /* none: it came before the server had read UNSUB */

    if (subscription) {
        subscription->take(subscription->arg, msg);
    }
}


int
kmq_nats_link_resubscribe(kmq_nats_link_t *link)
{
    unsigned                  i;
    kmq_nats_subscription_t  *subscription;

    for (i = 0; i < link->n_subscriptions; i++) {
        subscription = &link->subscriptions[i];

        if (!KMQ_NATS_LINK_WRITE(link, LINK_SUB, kmq_nats_write_sub,
                                 subscription->subject, subscription->sid))
        {
            return -1;
        }
    }

    return 0;
}


uint64_t
kmq_nats_link_subscribe(kmq_nats_link_t *link, const char *subject,
    kmq_nats_take_pt take, void *arg)
{
    unsigned char             line[LINK_SUB];
    kmq_nats_subscription_t  *all, *subscription;

    if (kmq_nats_write_sub(line, sizeof(line), subject, UINT64_MAX) == 0) {
        return 0;
    }

    all = realloc(link->subscriptions,
                  (link->n_subscriptions + 1) * sizeof(*all));

    if (all == NULL) {
        return 0;
    }

    link->subscriptions = all;
    subscription = &all[link->n_subscriptions];
    subscription->subject = strdup(subject);
    subscription->sid = link->last_sid + 1;
    subscription->take = take;
    subscription->arg = arg;

    if (subscription->subject == NULL
        || (link->connected
            && !KMQ_NATS_LINK_WRITE(link, LINK_SUB, kmq_nats_write_sub,
                                    subject, subscription->sid)))
    {
        free(subscription->subject);
        return 0;
    }

    link->n_subscriptions++;

    return ++link->last_sid;
}


void
kmq_nats_link_unsubscribe(kmq_nats_link_t *link, uint64_t sid)
{
    kmq_nats_subscription_t  *subscription;

    subscription = link_subscription(link, sid);

    if (subscription == NULL) {
        return;
    }

    free(subscription->subject);
    *subscription = link->subscriptions[--link->n_subscriptions];

    /* without memory for that, what comes is for nobody */

    if (link->connected) {
        (void) KMQ_NATS_LINK_WRITE(link, LINK_SUB, kmq_nats_write_unsub, sid);
    }
}


void
kmq_nats_link_inbox(kmq_nats_link_t *link, char inbox[KMQ_NATS_INBOX_MAX])
{
    (void) snprintf(inbox, KMQ_NATS_INBOX_MAX, "%s.%u", link->inbox,
                    link->inboxes++);
}
