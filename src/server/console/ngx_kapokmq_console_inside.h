/* The console's functions.  Each is called when the request's body is there,
 * and finalizes the request when it has been answered.  rights are those of
 * whoever asks, and stay as long as the request. */

#ifndef NGX_KAPOKMQ_CONSOLE_INSIDE_H
#define NGX_KAPOKMQ_CONSOLE_INSIDE_H

#include "../http/ngx_kapokmq_http.h"


void ngx_kapokmq_clients_producers(ngx_http_request_t *r,
    const kmq_rights_t *rights);
void ngx_kapokmq_clients_consumers(ngx_http_request_t *r,
    const kmq_rights_t *rights);
void ngx_kapokmq_clients_both(ngx_http_request_t *r,
    const kmq_rights_t *rights);
void ngx_kapokmq_clients_list(ngx_http_request_t *r,
    const kmq_rights_t *rights);
void ngx_kapokmq_clients_disconnect(ngx_http_request_t *r,
    const kmq_rights_t *rights);

void ngx_kapokmq_search_list(ngx_http_request_t *r,
    const kmq_rights_t *rights);
void ngx_kapokmq_messages_get(ngx_http_request_t *r,
    const kmq_rights_t *rights);
void ngx_kapokmq_change_delete(ngx_http_request_t *r,
    const kmq_rights_t *rights);
void ngx_kapokmq_change_requeue(ngx_http_request_t *r,
    const kmq_rights_t *rights);
void ngx_kapokmq_change_release(ngx_http_request_t *r,
    const kmq_rights_t *rights);

void ngx_kapokmq_topics_list(ngx_http_request_t *r,
    const kmq_rights_t *rights);
void ngx_kapokmq_topics_get(ngx_http_request_t *r,
    const kmq_rights_t *rights);
void ngx_kapokmq_topics_purge(ngx_http_request_t *r,
    const kmq_rights_t *rights);
void ngx_kapokmq_topics_pause(ngx_http_request_t *r,
    const kmq_rights_t *rights);
void ngx_kapokmq_topics_resume(ngx_http_request_t *r,
    const kmq_rights_t *rights);

void ngx_kapokmq_overview_get(ngx_http_request_t *r,
    const kmq_rights_t *rights);
void ngx_kapokmq_health_get(ngx_http_request_t *r,
    const kmq_rights_t *rights);
void ngx_kapokmq_growth_get(ngx_http_request_t *r,
    const kmq_rights_t *rights);
void ngx_kapokmq_config_view_get(ngx_http_request_t *r,
    const kmq_rights_t *rights);
void ngx_kapokmq_config_view_list(ngx_http_request_t *r,
    const kmq_rights_t *rights);

void ngx_kapokmq_access_get(ngx_http_request_t *r,
    const kmq_rights_t *rights);
void ngx_kapokmq_access_keys(ngx_http_request_t *r,
    const kmq_rights_t *rights);

void ngx_kapokmq_nodes_get(ngx_http_request_t *r,
    const kmq_rights_t *rights);
void ngx_kapokmq_nodes_step(ngx_http_request_t *r,
    const kmq_rights_t *rights);

/* Answers whether clients can be served, and no more: it is called at once, and
 * by anybody. */
ngx_int_t ngx_kapokmq_health(ngx_http_request_t *r);

/* May its owner see, or with write change, what is about that topic?  _topic:
 * NGX_ERROR, not, which has been answered. */
ngx_uint_t ngx_kapokmq_access_sees(const kmq_rights_t *rights,
    ngx_uint_t write, const char *topic, size_t len);
ngx_int_t ngx_kapokmq_access_topic(ngx_http_request_t *r,
    const kmq_rights_t *rights, ngx_uint_t write, const char *topic,
    size_t len);

/* A message at its longest: topic and consumer escaped, and the rest. */
#define NGX_KAPOKMQ_MESSAGE_MAX  (2 * 6 * KMQ_NAME_MAX + 680)

#define NGX_KAPOKMQ_NO_MESSAGE   "There is no such message"

/* Writes a message's code; then all that a list tells of it, without the brace
 * at the end; then who has it, and its times. */
u_char *ngx_kapokmq_messages_head(u_char *p, const kmq_message_info_t *m);
u_char *ngx_kapokmq_messages_tail(u_char *p, const kmq_message_info_t *m);
u_char *ngx_kapokmq_messages_whereabouts(u_char *p,
    const kmq_message_info_t *m);

/* Reads a field that must hold a MessageCode; NGX_ERROR: it has been answered
 * that it does not. */
ngx_int_t ngx_kapokmq_messages_code(ngx_http_request_t *r,
    const kmq_field_t *field);

#ifdef KMQ_FAULTS
void ngx_kapokmq_fault(ngx_http_request_t *r,
    const kmq_rights_t *rights);
#endif

/* Appends a topic's last minutes and hours, after other members. */
u_char *ngx_kapokmq_growth_topic(u_char *p,
    const kmq_topic_detail_t *detail);

#endif /* NGX_KAPOKMQ_CONSOLE_INSIDE_H */
