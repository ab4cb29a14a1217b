/*
 * By what a client was let in, for as long as it stays: it has to go when its
 * token expires, or a reload has made what it has worth less.
 */

#ifndef NGX_KAPOKMQ_GUEST_H
#define NGX_KAPOKMQ_GUEST_H

#include "../ngx_kapokmq.h"
#include "../http/ngx_kapokmq_http.h"


/* Part of a client.  Zeroed, it has not been let in. */
typedef struct {
    ngx_queue_t           queue;
    kmq_access_t          access;   /* rights: a token's alone */
    ngx_event_t          *expiry;   /* a token's */
} ngx_kapokmq_guest_t;


/* May a client, with these rights, be what info says? */
ngx_uint_t ngx_kapokmq_guest_may(const kmq_client_info_t *info,
    const kmq_rights_t *rights);

/* It is in, by pass, whose rights it may have taken over afterwards.
 * NGX_ERROR: no memory. */
ngx_int_t ngx_kapokmq_guest_in(ngx_kapokmq_guest_t *guest,
    ngx_kapokmq_pass_t *pass);

/* It goes, if it was in. */
void ngx_kapokmq_guest_out(ngx_kapokmq_guest_t *guest);

/* One that came by a token has another one, of the same subject; it may still
 * do what it does.  NULL, or what is wrong with that. */
const char *ngx_kapokmq_guest_renew(ngx_kapokmq_guest_t *guest,
    ngx_connection_t *c, ngx_uint_t limit, const u_char *token, size_t len);

/* Closes those who may not do any more what they do, if other keys are valid
 * than at the last time: some now, and the rest turn by turn, until _checked()
 * is 1. */
void ngx_kapokmq_guests_check(void);
ngx_uint_t ngx_kapokmq_guests_checked(void);

void ngx_kapokmq_guests_init(ngx_log_t *log);

#endif /* NGX_KAPOKMQ_GUEST_H */
