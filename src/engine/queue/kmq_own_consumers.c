/*
 * The handle's own tables: its clients with the caller's pointers, and for
 * each route the consumers that can take a message now, so that one can be
 * drawn at random.  They hold nothing that the block does not know, and are
 * made to fit it again after a repair.
 */

#include <stdlib.h>

#include "../kmq_block.h"
#include "kmq_queue_inside.h"


static void *
table_grow(void *table, uint32_t *n, size_t size)
{
    uint32_t  wanted;

    wanted = *n ? *n * 2 : 16;
    table = realloc(table, wanted * size);

    if (table) {
        *n = wanted;
    }

    return table;
}


/* A free entry in the table of clients, or KMQ_NOT_READY. */
static uint32_t
client_alloc(kmq_t *kmq)
{
    uint32_t             i, n;
    kmq_own_client_t  *table;

    if (kmq->free_client == KMQ_NOT_READY) {
        n = kmq->nclients;
        table = table_grow(kmq->client, &n, sizeof(kmq_own_client_t));

        if (table == NULL) {
            return KMQ_NOT_READY;
        }

        for (i = n; i-- > kmq->nclients; ) {
            table[i].client = 0;
            table[i].run_stamp = 0;
            table[i].route = kmq->free_client;
            kmq->free_client = i;
        }

        kmq->client = table;
        kmq->nclients = n;
    }

    i = kmq->free_client;
    kmq->free_client = kmq->client[i].route;

    return i;
}


static void
client_release(kmq_t *kmq, uint32_t i)
{
    kmq->client[i].client = 0;
    kmq->client[i].route = kmq->free_client;
    kmq->free_client = i;
}


/* The same for routes. */
static uint32_t
route_alloc(kmq_t *kmq)
{
    uint32_t            i, n;
    kmq_own_route_t  *table;

    if (kmq->free_route == KMQ_NOT_READY) {
        n = kmq->nroutes;
        table = table_grow(kmq->route, &n, sizeof(kmq_own_route_t));

        if (table == NULL) {
            return KMQ_NOT_READY;
        }

        for (i = n; i-- > kmq->nroutes; ) {
            memset(&table[i], 0, sizeof(kmq_own_route_t));
            table[i].next_free = kmq->free_route;
            kmq->free_route = i;
        }

        kmq->route = table;
        kmq->nroutes = n;
    }

    i = kmq->free_route;
    kmq->free_route = kmq->route[i].next_free;
    kmq->route[i].nready = 0;
    kmq->route[i].served = 0;

    return i;
}


static void
route_release(kmq_t *kmq, uint32_t i)
{
    free(kmq->route[i].ready);
    kmq->route[i].ready = NULL;
    kmq->route[i].allocated = 0;
    kmq->route[i].route = 0;
    kmq->route[i].next_free = kmq->free_route;
    kmq->free_route = i;
}


void
kmq_own_free(kmq_t *kmq)
{
    uint32_t  i;

    for (i = 0; i < kmq->nroutes; i++) {
        free(kmq->route[i].ready);
    }

    free(kmq->route);
    free(kmq->client);
}


/* Makes room in the route's table for one more, before it is promised. */
static int
route_reserve(kmq_own_route_t *route, uint32_t consumers)
{
    uint32_t  *table;

    while (route->allocated < consumers) {
        table = table_grow(route->ready, &route->allocated, sizeof(uint32_t));

        if (table == NULL) {
            return KMQ_NOMEM;
        }

        route->ready = table;
    }

    return KMQ_OK;
}


/* Is it a client of this handle, and not of a predecessor of its number? */
int
kmq_own_has(const kmq_t *kmq, const kmq_client_t *client)
{
    return client->worker == kmq->worker && client->local < kmq->nclients
           && kmq->client[client->local].shard == kmq->shard->number
           && kmq->client[client->local].client == KMQ_REF(kmq->shard, client);
}


int
kmq_own_client_add(kmq_t *kmq, kmq_client_t *client, void *user)
{
    uint32_t             i;
    kmq_own_client_t  *local;

    i = client_alloc(kmq);
    if (i == KMQ_NOT_READY) {
        return KMQ_NOMEM;
    }

    local = &kmq->client[i];
    local->client = KMQ_REF(kmq->shard, client);
    local->shard = kmq->shard->number;
    local->user = user;
    local->ready_index = KMQ_NOT_READY;

    client->local = i;

    return KMQ_OK;
}


void
kmq_own_client_remove(kmq_t *kmq, kmq_client_t *client)
{
    client_release(kmq, client->local);
}


static int
route_is_local(const kmq_t *kmq, const kmq_route_t *route)
{
    return route->worker == kmq->worker && route->local < kmq->nroutes
           && kmq->route[route->local].shard == kmq->shard->number
           && kmq->route[route->local].route == KMQ_REF(kmq->shard, route);
}


/* Enters client number i into route, which may be new. */
int
kmq_own_route_join(kmq_t *kmq, kmq_route_t *route, uint32_t i)
{
    uint32_t  n;

    if (!route_is_local(kmq, route)) {
        n = route_alloc(kmq);
        if (n == KMQ_NOT_READY) {
            return KMQ_NOMEM;
        }

        kmq->route[n].route = KMQ_REF(kmq->shard, route);
        kmq->route[n].shard = kmq->shard->number;
        route->local = n;
    }

    if (route_reserve(&kmq->route[route->local], route->consumers + 1)
        != KMQ_OK)
    {
        return KMQ_NOMEM;
    }

    kmq->client[i].route = route->local;

    return KMQ_OK;
}


void
kmq_own_route_remove(kmq_t *kmq, kmq_route_t *route)
{
    if (route_is_local(kmq, route)) {
        route_release(kmq, route->local);
    }
}


void
kmq_own_ready_add(kmq_t *kmq, uint32_t i)
{
    kmq_own_client_t  *client = &kmq->client[i];
    kmq_own_route_t   *route = &kmq->route[client->route];

    client->ready_index = route->nready;
    route->ready[route->nready++] = i;
}


static void
ready_move(kmq_t *kmq, kmq_own_route_t *route, uint32_t from, uint32_t to)
{
    uint32_t  i;

    i = route->ready[from];
    route->ready[to] = i;
    kmq->client[i].ready_index = to;
}


void
kmq_own_ready_remove(kmq_t *kmq, uint32_t i)
{
    uint32_t             place;
    kmq_own_client_t  *client = &kmq->client[i];
    kmq_own_route_t   *route = &kmq->route[client->route];

    place = client->ready_index;

    if (place < route->served) {
        ready_move(kmq, route, --route->served, place);
        place = route->served;
    }

    if (--route->nready != place) {
        ready_move(kmq, route, route->nready, place);
    }

    client->ready_index = KMQ_NOT_READY;
}


/* The consumer at that place in the route's table has been pushed all. */
void
kmq_own_served(kmq_t *kmq, kmq_own_route_t *route, uint32_t place)
{
    uint32_t  i;

    i = route->ready[place];

    ready_move(kmq, route, route->served, place);
    route->ready[route->served] = i;
    kmq->client[i].ready_index = route->served;
    route->served++;
}


void
kmq_own_tell(kmq_t *kmq, kmq_client_t *client)
{
    kmq_shard_t  *s = kmq->shard;

    if (!client->told) {
        client->told = 1;
        kmq_list_append(s, &s->duty[client->worker].changed,
                        &client->changed);
    }

    s->changes++;
    kmq->changes[s->number] = s->changes;
}


void
kmq_own_tell_cancel(kmq_shard_t *s, kmq_client_t *client)
{
    if (client->told) {
        client->told = 0;
        kmq_list_remove(s, &s->duty[client->worker].changed,
                        &client->changed);
    }
}


/* Enters those whose readiness others have changed. */
static void
changed_enter(kmq_t *kmq)
{
    uint32_t       i;
    kmq_list_t    *list = &kmq->shard->duty[kmq->worker].changed;
    kmq_client_t  *client;

    while (list->head) {
        KMQ_STEP();
        client = KMQ_CLIENT_OF(KMQ_AT(kmq->shard, list->head), changed);
        kmq_own_tell_cancel(kmq->shard, client);

        if (!kmq_own_has(kmq, client)) {
            continue;
        }

        i = client->local;

        if (client->ready == (kmq->client[i].ready_index != KMQ_NOT_READY)) {
            continue;
        }

        if (client->ready) {
            kmq_own_ready_add(kmq, i);
        } else {
            kmq_own_ready_remove(kmq, i);
        }
    }
}


/* Makes the tables anew. */
static void
tables_make(kmq_t *kmq)
{
    uint8_t        shard;
    uint32_t       i;
    kmq_route_t   *route;
    kmq_client_t  *client;

    shard = kmq->shard->number;
    kmq->upheavals[shard] = kmq->shard->upheavals;

    for (i = 0; i < kmq->nroutes; i++) {

        if (kmq->route[i].route == 0 || kmq->route[i].shard != shard) {
            continue;
        }

        kmq->route[i].nready = 0;
        kmq->route[i].served = 0;
        route = KMQ_AT(kmq->shard, kmq->route[i].route);

        if (!route->used || !route_is_local(kmq, route)
            || route->local != i)
        {
            route_release(kmq, i);
        }
    }

    for (i = 0; i < kmq->nclients; i++) {
        KMQ_STEP();

        if (kmq->client[i].client == 0 || kmq->client[i].shard != shard) {
            continue;
        }

        kmq->client[i].ready_index = KMQ_NOT_READY;
        client = KMQ_AT(kmq->shard, kmq->client[i].client);

        if (client->ready) {
            kmq_own_ready_add(kmq, i);
        }
    }

    kmq->work |= KMQ_BIT(kmq->shard);
}


/* Makes the tables fit what a repair, or another worker, has left in the
 * shard. */
void
kmq_own_resync(kmq_t *kmq)
{
    if (kmq->upheavals[kmq->shard->number] != kmq->shard->upheavals) {
        tables_make(kmq);
    }

    changed_enter(kmq);
}


void
kmq_own_upheave(kmq_t *kmq)
{
    kmq_shard_t  *s = kmq->shard;

    s->upheavals++;
    s->changes++;
    kmq->changes[s->number] = s->changes;
    kmq_own_resync(kmq);
}
