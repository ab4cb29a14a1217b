/* Audit: what people change through the console is in the error log. */

#include "ngx_kapokmq_http.h"


/* A name in the error log, quoted. */
#define NGX_KAPOKMQ_AUDIT_NAME  255
#define NGX_KAPOKMQ_AUDIT_ROOM  (6 * NGX_KAPOKMQ_AUDIT_NAME + 16)


static void ngx_kapokmq_audit_gone(void *data);
static void ngx_kapokmq_audit_note(const ngx_kapokmq_audit_t *audit);
static u_char *ngx_kapokmq_audit_quote(u_char *p, const ngx_str_t *text);


/* A token's subject may be the name of a key. */
static const char *
ngx_kapokmq_audit_kind(const ngx_kapokmq_pass_t *pass)
{
    if (pass->open || pass->access.rights == NULL) {
        return "user";
    }

    return kmq_rights_kind(pass->access.rights) == KMQ_WHO_TOKEN ? "token"
                                                                 : "key";
}


static void
ngx_kapokmq_audit_fill(ngx_kapokmq_audit_t *audit, ngx_http_request_t *r,
    const char *what, const u_char *name, size_t len)
{
    ngx_kapokmq_facts_t  *facts;

    ngx_memzero(audit, sizeof(ngx_kapokmq_audit_t));

    facts = ngx_kapokmq_facts(r);

    if (facts) {
        audit->user = facts->user;
        audit->kind = ngx_kapokmq_audit_kind(&facts->pass);
    }

    audit->connection = r->connection;
    audit->what = what;
    audit->of.data = (u_char *) name;
    audit->of.len = len;
}


void
ngx_kapokmq_audit(ngx_http_request_t *r, const char *what, const u_char *name,
    size_t len, uint64_t n)
{
    ngx_kapokmq_audit_t  audit;

    ngx_kapokmq_audit_fill(&audit, r, what, name, len);

    audit.n = n;

    ngx_kapokmq_audit_note(&audit);
}


/* ------------------------------------------------------- changes in slices */

ngx_kapokmq_audit_t *
ngx_kapokmq_audit_begin(ngx_http_request_t *r, const char *what,
    const u_char *name, size_t len)
{
    ngx_pool_cleanup_t   *cln;
    ngx_kapokmq_audit_t  *audit;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_kapokmq_audit_t));
    if (cln == NULL) {
        return NULL;
    }

    audit = cln->data;
    ngx_kapokmq_audit_fill(audit, r, what, name, len);

    cln->handler = ngx_kapokmq_audit_gone;

    return audit;
}


void
ngx_kapokmq_audit_end(ngx_kapokmq_audit_t *audit)
{
    ngx_kapokmq_audit_note(audit);

    audit->connection = NULL;
}


/* Whoever does not wait for the answer has changed something, too. */
static void
ngx_kapokmq_audit_gone(void *data)
{
    ngx_kapokmq_audit_t  *audit = data;

    if (audit->connection && audit->n) {
        ngx_kapokmq_audit_note(audit);
    }
}


/* ---------------------------------------------------------------- the line */

static void
ngx_kapokmq_audit_note(const ngx_kapokmq_audit_t *audit)
{
    u_char   user[NGX_KAPOKMQ_AUDIT_ROOM], of[NGX_KAPOKMQ_AUDIT_ROOM];
    u_char  *user_end, *of_end;

    if (audit->user.len == 0) {
        user_end = ngx_sprintf(user, "somebody");

    } else {
        user_end = ngx_sprintf(user, "%s ", audit->kind);
        user_end = ngx_kapokmq_audit_quote(user_end, &audit->user);
    }

    of_end = ngx_kapokmq_audit_quote(of, &audit->of);

    ngx_log_error(NGX_LOG_NOTICE, audit->connection->log, 0,
                  "%*s from %V: %s %*s: %uL",
                  (size_t) (user_end - user), user,
                  &audit->connection->addr_text, audit->what,
                  (size_t) (of_end - of), of, audit->n);
}


/* Names may be any text, so they are quoted: nobody writes lines of his own
 * into the log. */
static u_char *
ngx_kapokmq_audit_quote(u_char *p, const ngx_str_t *text)
{
    return ngx_kapokmq_http_quote(p, (char *) text->data,
                                  ngx_min(text->len, NGX_KAPOKMQ_AUDIT_NAME));
}
