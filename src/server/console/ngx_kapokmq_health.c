/* GetHealth: what is wrong with any topic or client: of each kind how many, and
 * the worst of them; which nodes of a cluster have other settings; and what
 * counts on a cluster where there is none. */

#include "ngx_kapokmq_console_inside.h"
#include "../cluster/ngx_kapokmq_cluster.h"
#include "../worker/ngx_kapokmq_worker.h"


/* Topics or clients looked at under one lock, and such looks in one turn. */
#define NGX_KAPOKMQ_HEALTH_SLICE   64
#define NGX_KAPOKMQ_HEALTH_TURN    4

/* Of each kind, the worst ones that are named. */
#define NGX_KAPOKMQ_HEALTH_WORST   5

/* Seconds that a message may wait where nobody listens, and where somebody
 * does. */
#define NGX_KAPOKMQ_HEALTH_ALONE   5
#define NGX_KAPOKMQ_HEALTH_SLOW    30

/* ms with one message that are too long where none is ever overdue. */
#define NGX_KAPOKMQ_HEALTH_STUCK   300000

#define NGX_KAPOKMQ_HEALTH_MAX                                                \
    (1024 + NGX_KAPOKMQ_ILLS * (128 + NGX_KAPOKMQ_HEALTH_WORST                \
                                      * (256 + 12 * KMQ_NAME_MAX))            \
     + KMQ_LEASE_NODES * (64 + 6 * KMQ_STATUS_NAME + KMQ_STATUS_DIFFERS))


/* What may be wrong: with topics, */
#define NGX_KAPOKMQ_NO_CONSUMERS   0
#define NGX_KAPOKMQ_SLOW           1
#define NGX_KAPOKMQ_DEAD           2
#define NGX_KAPOKMQ_PAUSED         3
#define NGX_KAPOKMQ_OF_CLIENTS     4
/* and with clients. */
#define NGX_KAPOKMQ_STUCK          4
#define NGX_KAPOKMQ_RESTING        5
#define NGX_KAPOKMQ_SILENT         6
#define NGX_KAPOKMQ_ILLS           7

/* A topic, or a client with its topic. */
typedef struct {
    uint64_t              rank;       /* the higher the worse */
    uint64_t              messages;   /* of that kind, or in flight */
    uint64_t              oldest;     /* s, wall clock; of a client, ms for
                                         which it has had a message */
    uint64_t              number;     /* of a client's connection */
    kmq_ref_t             ref;
    uint32_t              role;
    uint32_t              consumers;  /* of a topic */
    size_t                topic_len;
    size_t                id_len;
    char                  topic[KMQ_NAME_MAX];
    char                  id[KMQ_NAME_MAX];
} ngx_kapokmq_patient_t;

typedef struct {
    uint64_t               count;
    uint64_t               messages;
    ngx_uint_t             n;
    ngx_kapokmq_patient_t  worst[NGX_KAPOKMQ_HEALTH_WORST];
} ngx_kapokmq_ill_t;

typedef union {
    kmq_topic_info_t       topic[NGX_KAPOKMQ_HEALTH_SLICE];
    kmq_client_info_t      client[NGX_KAPOKMQ_HEALTH_SLICE];
} ngx_kapokmq_looked_t;

/* Topics are looked at first, then producers, then consumers. */
typedef struct {
    uint64_t               cursor;
    unsigned               topics:1;  /* done */
    unsigned               producers:1;
    ngx_kapokmq_looked_t   slice;
    ngx_kapokmq_ill_t      ill[NGX_KAPOKMQ_ILLS];
} ngx_kapokmq_health_t;


static u_char *ngx_kapokmq_health_fill(ngx_kapokmq_sliced_t *st, u_char *p,
    u_char *end);
static ngx_uint_t ngx_kapokmq_health_step(ngx_kapokmq_health_t *health);
static void ngx_kapokmq_health_topic(ngx_kapokmq_health_t *health,
    const kmq_topic_info_t *topic);
static void ngx_kapokmq_health_client(ngx_kapokmq_health_t *health,
    const kmq_client_info_t *client);
static uint64_t ngx_kapokmq_health_patience(const kmq_client_info_t *client);
static void ngx_kapokmq_health_note(ngx_kapokmq_ill_t *ill,
    const ngx_kapokmq_patient_t *patient);
static u_char *ngx_kapokmq_health_write(u_char *p,
    const ngx_kapokmq_health_t *health);
static u_char *ngx_kapokmq_health_list(u_char *p, ngx_uint_t kind,
    const ngx_kapokmq_ill_t *ill);
static u_char *ngx_kapokmq_health_patient(u_char *p, ngx_uint_t kind,
    const ngx_kapokmq_patient_t *patient);
static u_char *ngx_kapokmq_health_paced(u_char *p);
static u_char *ngx_kapokmq_health_alone(u_char *p);
static u_char *ngx_kapokmq_health_nodes(u_char *p);


static const char *const  ngx_kapokmq_ill_names[NGX_KAPOKMQ_ILLS] = {
    "NoConsumers", "Slow", "Dead", "Paused", "Stuck", "Resting", "Silent"
};


void
ngx_kapokmq_health_get(ngx_http_request_t *r, const kmq_rights_t *rights)
{
    ngx_kapokmq_health_t  *health;

    (void) rights;

    health = ngx_pcalloc(r->pool, sizeof(ngx_kapokmq_health_t));
    if (health == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    ngx_kapokmq_sliced(r, ngx_kapokmq_health_fill, health,
                       NGX_KAPOKMQ_HEALTH_MAX);
}


static u_char *
ngx_kapokmq_health_fill(ngx_kapokmq_sliced_t *st, u_char *p, u_char *end)
{
    ngx_uint_t             turn;
    ngx_kapokmq_health_t  *health;

    (void) end;

    health = st->data;

    for (turn = 0; turn < NGX_KAPOKMQ_HEALTH_TURN; turn++) {

        if (!ngx_kapokmq_health_step(health)) {
            st->done = 1;
            return ngx_kapokmq_health_write(p, health);
        }
    }

    return p;
}


/* Looks at some more; 0: that was all. */
static ngx_uint_t
ngx_kapokmq_health_step(ngx_kapokmq_health_t *health)
{
    unsigned  i, n;

    if (!health->topics) {
        n = kmq_topics(ngx_kapokmq_worker.kmq, &health->cursor,
                       health->slice.topic, NGX_KAPOKMQ_HEALTH_SLICE);

        for (i = 0; i < n; i++) {
            ngx_kapokmq_health_topic(health, &health->slice.topic[i]);
        }

        if (n == 0) {
            health->topics = 1;
            health->cursor = 0;
        }

        return 1;
    }

    n = kmq_clients(ngx_kapokmq_worker.kmq,
                    health->producers ? KMQ_CONSUMER : KMQ_PRODUCER,
                    &health->cursor, health->slice.client,
                    NGX_KAPOKMQ_HEALTH_SLICE);

    for (i = 0; i < n; i++) {
        ngx_kapokmq_health_client(health, &health->slice.client[i]);
    }

    if (n == 0 && !health->producers) {
        health->producers = 1;
        health->cursor = 0;
        return 1;
    }

    return n != 0;
}


static void
ngx_kapokmq_health_topic(ngx_kapokmq_health_t *health,
    const kmq_topic_info_t *topic)
{
    uint64_t               age, now;
    ngx_kapokmq_patient_t  patient;

    now = (uint64_t) ngx_time();
    age = topic->oldest && topic->oldest < now ? now - topic->oldest : 0;

    ngx_memzero(&patient, sizeof(ngx_kapokmq_patient_t));

    patient.oldest = topic->oldest;
    patient.consumers = topic->consumers;
    patient.topic_len = topic->name_len;
    ngx_memcpy(patient.topic, topic->name, topic->name_len);

    patient.rank = age;
    patient.messages = topic->ready;

    /* of one that is paused, that is why they wait */

    if (topic->paused) {
        if (topic->ready) {
            ngx_kapokmq_health_note(&health->ill[NGX_KAPOKMQ_PAUSED],
                                    &patient);
        }

    } else if (topic->consumers == 0 && age >= NGX_KAPOKMQ_HEALTH_ALONE) {
        ngx_kapokmq_health_note(&health->ill[NGX_KAPOKMQ_NO_CONSUMERS],
                                &patient);

    } else if (topic->consumers && age >= NGX_KAPOKMQ_HEALTH_SLOW) {
        ngx_kapokmq_health_note(&health->ill[NGX_KAPOKMQ_SLOW], &patient);
    }

    if (topic->dead) {
        patient.rank = topic->dead;
        patient.messages = topic->dead;
        ngx_kapokmq_health_note(&health->ill[NGX_KAPOKMQ_DEAD], &patient);
    }
}


static void
ngx_kapokmq_health_client(ngx_kapokmq_health_t *health,
    const kmq_client_info_t *client)
{
    ngx_kapokmq_patient_t  patient;

    ngx_memzero(&patient, sizeof(ngx_kapokmq_patient_t));

    patient.rank = client->oldest;
    patient.messages = client->in_flight;
    patient.oldest = client->in_flight ? client->oldest : 0;
    patient.number = client->number;
    patient.ref = client->ref;
    patient.role = client->role;
    patient.topic_len = client->topic_len;
    patient.id_len = client->id_len;
    ngx_memcpy(patient.topic, client->topic, client->topic_len);
    ngx_memcpy(patient.id, client->id, client->id_len);

    if (client->role == KMQ_CONSUMER && client->in_flight && !client->leased
        && client->oldest >= ngx_kapokmq_health_patience(client))
    {
        ngx_kapokmq_health_note(&health->ill[NGX_KAPOKMQ_STUCK], &patient);
    }

    if (client->resting) {
        ngx_kapokmq_health_note(&health->ill[NGX_KAPOKMQ_RESTING], &patient);
    }

    if (client->silent) {
        ngx_kapokmq_health_note(&health->ill[NGX_KAPOKMQ_SILENT], &patient);
    }
}


/* After how many ms a message seems to be stuck with it: half of the time after
 * which it is overdue. */
static uint64_t
ngx_kapokmq_health_patience(const kmq_client_info_t *client)
{
    kmq_topic_config_t  topic;

    kmq_config_topic(ngx_kapokmq_worker.config, client->topic,
                     client->topic_len, &topic);

    if (!ngx_kapokmq_worker.config->is_re_push || topic.push_retry_time == 0) {
        return NGX_KAPOKMQ_HEALTH_STUCK;
    }

    return topic.push_retry_time / 2;
}


/* The worst are kept, in order. */
static void
ngx_kapokmq_health_note(ngx_kapokmq_ill_t *ill,
    const ngx_kapokmq_patient_t *patient)
{
    ngx_uint_t  i;

    ill->count++;
    ill->messages += patient->messages;

    i = ill->n;

    if (i == NGX_KAPOKMQ_HEALTH_WORST) {
        if (patient->rank <= ill->worst[--i].rank) {
            return;
        }

    } else {
        ill->n++;
    }

    for ( /* void */ ; i && ill->worst[i - 1].rank < patient->rank; i--) {
        ill->worst[i] = ill->worst[i - 1];
    }

    ill->worst[i] = *patient;
}


static u_char *
ngx_kapokmq_health_write(u_char *p, const ngx_kapokmq_health_t *health)
{
    ngx_uint_t   kind;
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    p = ngx_sprintf(p, "{\"code\":0,\"data\":{\"Time\":%T.%03M,\"Paced\":",
                    tp->sec, tp->msec);
    p = ngx_kapokmq_health_paced(p);

    for (kind = 0; kind < NGX_KAPOKMQ_ILLS; kind++) {
        p = ngx_kapokmq_health_list(p, kind, &health->ill[kind]);
    }

    p = ngx_kapokmq_cluster_on() ? ngx_kapokmq_health_nodes(p)
                                 : ngx_kapokmq_health_alone(p);

    return ngx_sprintf(p, "}}");
}


/* Settings that count on several machines, where there is one. */
static u_char *
ngx_kapokmq_health_alone(u_char *p)
{
    const kmq_config_t  *config;

    config = ngx_kapokmq_worker.config;

    return ngx_sprintf(p, ",\"Alone\":[%s%s%s]",
                       config->is_cluster ? "\"isCluster\"" : "",
                       config->is_cluster && config->is_sync ? "," : "",
                       config->is_sync ? "\"isSync\"" : "");
}


/* Nodes whose settings are not as this one's. */
static u_char *
ngx_kapokmq_health_nodes(u_char *p)
{
    uint32_t                  i;
    ngx_uint_t                n;
    kmq_status_t              status;
    const kmq_status_node_t  *node;

    ngx_kapokmq_cluster_status(&status);
    p = ngx_sprintf(p, ",\"Settings\":[");

    for (n = 0, i = 0; i < KMQ_LEASE_NODES && i < status.nodes; i++) {
        node = &status.peer[i];

        if (node->differs[0] == '\0') {
            continue;
        }

        p = ngx_sprintf(p, "%s{\"Node\":", n++ ? "," : "");
        p = ngx_kapokmq_http_quote(p, node->name, ngx_strlen(node->name));
        p = ngx_sprintf(p, ",\"Differs\":\"%s\"}", node->differs);
    }

    return ngx_sprintf(p, "]");
}


/* What holds deliveries back although consumers are ready. */
static u_char *
ngx_kapokmq_health_paced(u_char *p)
{
    const kmq_config_t  *config;

    config = ngx_kapokmq_worker.config;

    if (config->push_messages_speed == 0) {
        return ngx_sprintf(p, "null");
    }

    p = ngx_sprintf(p, "{\"PushMessagesSpeed\":");
    p = ngx_kapokmq_http_decimal(p, config->push_messages_speed / 1000.0);

    return ngx_sprintf(p, ",\"SendCount\":%uD}", config->send_count);
}


static u_char *
ngx_kapokmq_health_list(u_char *p, ngx_uint_t kind,
    const ngx_kapokmq_ill_t *ill)
{
    ngx_uint_t  i;

    p = ngx_sprintf(p, ",\"%s\":{\"Count\":%uL,\"Messages\":%uL,\"Worst\":[",
                    ngx_kapokmq_ill_names[kind], ill->count, ill->messages);

    for (i = 0; i < ill->n; i++) {
        if (i) {
            *p++ = ',';
        }

        p = ngx_kapokmq_health_patient(p, kind, &ill->worst[i]);
    }

    return ngx_sprintf(p, "]}");
}


static u_char *
ngx_kapokmq_health_patient(u_char *p, ngx_uint_t kind,
    const ngx_kapokmq_patient_t *patient)
{
    p = ngx_sprintf(p, "{\"Topic\":");
    p = ngx_kapokmq_http_quote(p, patient->topic, patient->topic_len);

    if (kind < NGX_KAPOKMQ_OF_CLIENTS) {
        p = ngx_sprintf(p, ",\"Messages\":%uL,\"Consumers\":%uD,"
                        "\"OldestWaiting\":", patient->messages,
                        patient->consumers);
        p = ngx_kapokmq_http_or_null(p, patient->oldest);
        *p++ = '}';

        return p;
    }

    p = ngx_sprintf(p, ",\"Id\":");
    p = ngx_kapokmq_http_quote(p, patient->id, patient->id_len);
    p = ngx_sprintf(p, ",\"Connection\":\"%uL-%uD\",\"Role\":\"%s\","
                    "\"InFlight\":%uL,\"OldestInFlight\":",
                    patient->number, patient->ref,
                    patient->role == KMQ_CONSUMER ? "consumer" : "producer",
                    patient->messages);
    p = patient->messages
        ? ngx_kapokmq_http_decimal(p, patient->oldest / 1000.0)
        : ngx_sprintf(p, "null");
    *p++ = '}';

    return p;
}
