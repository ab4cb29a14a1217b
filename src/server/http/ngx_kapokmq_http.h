/*
 * HTTP requests and answers: what the endpoints have in common.
 */

#ifndef NGX_KAPOKMQ_HTTP_H
#define NGX_KAPOKMQ_HTTP_H

#include "../ngx_kapokmq.h"
#include "../../protocol/kmq_form.h"


/* ------------------------------------------------------------------- doors */

/*
 * What somebody was let in with.  Whatever gives or takes messages, or shows or
 * changes them, wants one, or the rights in it; and there is no other way to
 * have one than to ask for it here.
 */
typedef struct {
    kmq_access_t         access;    /* rights: NULL, it has not been let in */
    uint64_t             number;    /* of the keys by which that was so */
    ngx_str_t            user;      /* whose key it is, for people to read */
    unsigned             open:1;    /* kapokmq_auth off: there was no key */
    unsigned             fewer:1;   /* its rights have changed since */
} ngx_kapokmq_pass_t;

/* The content handler of each location with an endpoint: refuses foreign pages
 * where browsers send credentials by themselves, or calls the endpoint's. */
ngx_int_t ngx_kapokmq_door(ngx_http_request_t *r);

/*
 * Lets a request in by what it has for a key, and by the right that its
 * endpoint wants.  NGX_DECLINED: it is in, and pass is its own, which stays as
 * long as the request; NGX_BUSY: another worker may know its key; else it has
 * been answered.  login: one without a key is let in, and pass is NULL.
 */
ngx_int_t ngx_kapokmq_door_enter(ngx_http_request_t *r, ngx_uint_t login,
    ngx_kapokmq_pass_t **pass);

/* The same for who is in already, when the body is there, which may have taken
 * long.  NULL: not any more, the request has been answered and finalized. */
ngx_kapokmq_pass_t *ngx_kapokmq_door_still(ngx_http_request_t *r);

/* The same for a key that comes by another way.  pass is zeroed, and its rights
 * are to be given to free(). */
kmq_access_e ngx_kapokmq_key_ask(ngx_connection_t *c, ngx_uint_t limit,
    const u_char *key, size_t len, ngx_kapokmq_pass_t *pass, uint32_t *wait);

/* The same for a token that takes the place of another one; a key is as wrong
 * there as anything else, so that nobody with a token can look for keys. */
kmq_access_e ngx_kapokmq_key_renew(ngx_connection_t *c, ngx_uint_t limit,
    const u_char *token, size_t len, ngx_kapokmq_pass_t *pass);

/* What its key allows by the keys that are valid now.  0: it is not valid any
 * more. */
ngx_uint_t ngx_kapokmq_pass_still(ngx_kapokmq_pass_t *pass);

/* What a request has for a key; NGX_DECLINED: nothing; NGX_ERROR: no memory. */
ngx_int_t ngx_kapokmq_key_given(ngx_http_request_t *r, ngx_str_t *key);

/* May a page of the request's Origin, if it has one, open a WebSocket? */
ngx_uint_t ngx_kapokmq_door_origin(ngx_http_request_t *r);

#define NGX_KAPOKMQ_NO_TOPIC_RIGHT  "The key has no right to this topic"
#define NGX_KAPOKMQ_FOREIGN                                                   \
    "Pages of this origin are not allowed here"


/* ------------------------------------------------------------------- audit */

/*
 * Who changes something through the console notes it in the error log: what, of
 * what, and how many.  What takes several turns begins before it changes
 * anything (NULL: no memory), counts in n, and ends it when all is done; where
 * the request ends before, so much is noted as was changed.
 */
typedef struct {
    ngx_connection_t    *connection;    /* NULL: it has been noted */
    const char          *kind;          /* of the user: names may be alike */
    ngx_str_t            user;
    const char          *what;
    ngx_str_t            of;            /* its name stays with the request */
    uint64_t             n;
} ngx_kapokmq_audit_t;

void ngx_kapokmq_audit(ngx_http_request_t *r, const char *what,
    const u_char *name, size_t len, uint64_t n);
ngx_kapokmq_audit_t *ngx_kapokmq_audit_begin(ngx_http_request_t *r,
    const char *what, const u_char *name, size_t len);
void ngx_kapokmq_audit_end(ngx_kapokmq_audit_t *audit);


/* --------------------------------------------------------------- requests */

/*
 * Starts an HTTP request of the send and console handlers: OPTIONS, method,
 * key, what the body is; reads the body and calls handler when it is there.
 */
ngx_int_t ngx_kapokmq_http_start(ngx_http_request_t *r,
    ngx_http_client_body_handler_pt handler);

/* The same in two parts, for whoever reads a body as it comes: NGX_DECLINED,
 * nothing is wrong so far; and the rest. */
ngx_int_t ngx_kapokmq_http_check(ngx_http_request_t *r,
    ngx_kapokmq_pass_t **pass);
ngx_int_t ngx_kapokmq_http_read(ngx_http_request_t *r,
    ngx_http_client_body_handler_pt handler);

/* Of a worker that cannot serve: without the queue, or exiting. */
#define NGX_KAPOKMQ_UNAVAILABLE  "The queue is not available"

/* The bytes that a form, or a single message, may have; and what a larger one
 * is told. */
#define NGX_KAPOKMQ_TOO_LARGE  "The request is too large"

off_t ngx_kapokmq_http_body_max(void);

/*
 * Has a client gone, by what nginx knows of it?  A client of HTTP/3 that wants
 * no answer any more says nothing but that (STOP_SENDING): nginx calls the
 * request's write handler, which is to ask here, and not the read handler.
 */
ngx_uint_t ngx_kapokmq_http_gone(ngx_http_request_t *r);

/* The methods of the request's location, for headers. */
const char *ngx_kapokmq_http_methods(ngx_http_request_t *r);

/* Is it the console's Health, which is asked without a key, and by GET? */
ngx_uint_t ngx_kapokmq_http_health(ngx_http_request_t *r);

/* Or one that each node of a cluster answers for itself? */
ngx_uint_t ngx_kapokmq_http_local(ngx_http_request_t *r);

/* The first part of _start(): NGX_DECLINED, the method is its location's; else
 * the request has been answered, OPTIONS too. */
ngx_int_t ngx_kapokmq_http_method(ngx_http_request_t *r);

/*
 * Reads the body, which must be there, as a form: see kmq_form_read().
 * NGX_ERROR: it could not be, the request has been answered and finalized.
 */
ngx_int_t ngx_kapokmq_http_fields(ngx_http_request_t *r, kmq_field_t *fields,
    ngx_uint_t n);

/* The same, with the names that may be slips. */
ngx_int_t ngx_kapokmq_http_form(ngx_http_request_t *r, kmq_field_t *fields,
    ngx_uint_t n, kmq_misspelt_t *misspelt);

/* The same for a body that is here, and not nginx's. */
ngx_int_t ngx_kapokmq_http_form_of(ngx_http_request_t *r, ngx_str_t *body,
    kmq_field_t *fields, ngx_uint_t n, kmq_misspelt_t *misspelt);

/* The same with lists (see kmq_form_lists()) and with what the query says; who
 * names what is not wanted, or a field twice, gets 400. */
ngx_int_t ngx_kapokmq_http_strict(ngx_http_request_t *r, kmq_field_t *fields,
    ngx_uint_t n, ngx_uint_t lists);

/* Reads the query of the request's URI, without what the location's names are
 * made of: see kmq_form_query(), whose answer is error.  NGX_ERROR: no
 * memory. */
ngx_int_t ngx_kapokmq_http_query(ngx_http_request_t *r, kmq_field_t *fields,
    ngx_uint_t n, kmq_misspelt_t *misspelt, const char **error);

/* Adds a header to the answer; name and value must stay. */
ngx_int_t ngx_kapokmq_http_header(ngx_http_request_t *r, const char *name,
    const char *value);

/* The values of a request's header by its name in lower case, one a call, from
 * *part and *i on, which are NULL and 0 at first; NULL: that was all. */
ngx_str_t *ngx_kapokmq_http_each(ngx_http_request_t *r, const char *name,
    size_t len, ngx_list_part_t **part, ngx_uint_t *i);

/* A request's header by its name in lower case, NULL when there is none. */
ngx_str_t *ngx_kapokmq_http_find(ngx_http_request_t *r, const char *name,
    size_t len);

/* Does it offer our WebSocket subprotocol? */
ngx_uint_t ngx_kapokmq_http_offers(ngx_http_request_t *r);


/* ---------------------------------------------------------------- the path */

/* A producer's, or consumer's: they lie where the URI, or variables, do. */
typedef struct {
    ngx_str_t            topic;
    ngx_str_t            id;
} ngx_kapokmq_names_t;

/*
 * What an endpoint takes from its URI.  It is what nginx has matched, so that
 * what an access rule sees is what is served.
 *
 * _names: what the location's topic= and id= say, or else the two segments
 * behind its prefix.  NGX_OK, or a status and an error to answer with.  It may
 * be asked for at any time, by variables.
 *
 * _reads: is an argument of the query, as it stands there, named by them as
 * $arg_NAME?  Then it is nobody's unknown parameter.
 *
 * _function: the one segment behind the prefix; of an exact location its own
 * last one.  NGX_OK, or NGX_DECLINED.
 *
 * _behind: is there nothing behind the prefix, or that one segment (NULL: only
 * nothing)?  A location without a prefix has nothing behind it.
 */
ngx_int_t ngx_kapokmq_path_names(ngx_http_request_t *r,
    ngx_kapokmq_names_t *names, const char **error);
ngx_uint_t ngx_kapokmq_path_reads(ngx_http_request_t *r, const u_char *name,
    size_t len);
ngx_int_t ngx_kapokmq_path_function(ngx_http_request_t *r, ngx_str_t *name);
ngx_uint_t ngx_kapokmq_path_behind(ngx_http_request_t *r, const char *name);

/* Notes in the error log why a request is refused for its path. */
void ngx_kapokmq_path_log(ngx_http_request_t *r, ngx_uint_t status,
    const char *error);


/* ---------------------------------------------------------------- answers */

/*
 * Answers {"code":-1,"msg":"text"} with that status.  _refuse is for content
 * handlers, before the body was read: "return ngx_kapokmq_http_refuse(...)".
 * _error is for what is called later (body handlers, which own a reference
 * of the request): it finalizes the request.
 */
ngx_int_t ngx_kapokmq_http_refuse(ngx_http_request_t *r, ngx_uint_t status,
    const char *text);
void ngx_kapokmq_http_error(ngx_http_request_t *r, ngx_uint_t status,
    const char *text);

/* Refuses, before the body was read, what cannot be served here; _later, as its
 * location does that. */
ngx_int_t ngx_kapokmq_http_unavailable(ngx_http_request_t *r);
ngx_int_t ngx_kapokmq_http_later(ngx_http_request_t *r);

/* A JSON body of the request's pool with that status: the same two ways. */
ngx_int_t ngx_kapokmq_http_answer(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *json);
void ngx_kapokmq_http_json(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *json);

/* The head of a JSON answer whose body follows; size -1: not known.  It is of
 * another type where the request has got one. */
ngx_int_t ngx_kapokmq_http_json_header(ngx_http_request_t *r,
    ngx_uint_t status, off_t size);


/* Each of these appends to JSON at p, and returns the byte behind. */

/* Text as a string; p has room for 6 * len + 8 bytes. */
u_char *ngx_kapokmq_http_quote(u_char *p, const char *text, size_t len);

/* A number, with three decimals at most and no zeros at its end. */
u_char *ngx_kapokmq_http_decimal(u_char *p, double number);

/* A number, and null for 0. */
u_char *ngx_kapokmq_http_or_null(u_char *p, uint64_t n);


/* ------------------------------------------------- answers made in slices */

/*
 * An answer that is made piece by piece: a JSON body.  fill appends at p what
 * comes next and returns the byte behind it.  Before each element it checks
 * that it is below end, behind which there is room for one element.  It returns
 * when it is not, when it has worked long enough to let others have their
 * turn, or with done (that was all) or error (with status) set.
 */
typedef struct ngx_kapokmq_sliced_s  ngx_kapokmq_sliced_t;

typedef u_char *(*ngx_kapokmq_fill_pt)(ngx_kapokmq_sliced_t *sl, u_char *p,
    u_char *end);

struct ngx_kapokmq_sliced_s {
    ngx_kapokmq_fill_pt  fill;
    void                *data;      /* fill's own */
    const char          *error;
    ngx_uint_t           status;

    ngx_buf_t           *buf;
    u_char              *end;
    unsigned             done:1;
    unsigned             started:1; /* the answer's head has been sent */
    unsigned             sending:1; /* buf is on its way */
};

/* Starts such an answer, with room bytes for an element; finalizes the request
 * when it has been sent. */
void ngx_kapokmq_sliced(ngx_http_request_t *r, ngx_kapokmq_fill_pt fill,
    void *data, size_t room);


/* ------------------------------------------------------------- parameters */

/*
 * Parameters.  An absent or empty one leaves its value as it is.  NGX_ERROR:
 * it is wrong, the request has been answered with 400 and finalized.
 */
ngx_int_t ngx_kapokmq_field_number(ngx_http_request_t *r,
    const kmq_field_t *field, ngx_int_t min, ngx_int_t max, ngx_int_t *value);
ngx_int_t ngx_kapokmq_field_cursor(ngx_http_request_t *r,
    const kmq_field_t *field, uint64_t *cursor);

/* Which of names, up to a NULL, it is; wanted says that in a message. */
ngx_int_t ngx_kapokmq_field_choice(ngx_http_request_t *r,
    const kmq_field_t *field, const char *const *names, const char *wanted,
    ngx_uint_t *choice);

/* It is short enough for a name; it is there at all. */
ngx_int_t ngx_kapokmq_field_name(ngx_http_request_t *r,
    const kmq_field_t *field);
ngx_int_t ngx_kapokmq_field_required(ngx_http_request_t *r,
    const kmq_field_t *field);

/* What is to be said of a field that came under a misspelt name alone, or
 * NULL. */
const char *ngx_kapokmq_field_misspelt(ngx_http_request_t *r,
    const kmq_field_t *fields, ngx_uint_t n, const kmq_misspelt_t *misspelt);

/* The same of any name that is no field's, and of a field that came twice. */
const char *ngx_kapokmq_field_strict(ngx_http_request_t *r,
    const kmq_field_t *fields, ngx_uint_t n, const kmq_misspelt_t *misspelt);

/* A number of seconds with decimals, from min to max ms. */
ngx_int_t ngx_kapokmq_field_seconds(ngx_http_request_t *r,
    const kmq_field_t *field, uint64_t min, uint64_t max, uint64_t *ms);

/* Answers that the field must be what is wanted, not what it is. */
void ngx_kapokmq_field_error(ngx_http_request_t *r, const kmq_field_t *field,
    const char *wanted);

/* Is part, which may be empty, somewhere in text, in any case of letters? */
ngx_uint_t ngx_kapokmq_field_found(const ngx_str_t *part, const char *text,
    size_t len);


/* ----------------------------------------------------- answers page by page */

/*
 * A list that is answered page by page.  Its owner begins with one of these,
 * zeroed, and has room for a slice of elements.
 */
#define NGX_KAPOKMQ_PAGES_SLICE    64
#define NGX_KAPOKMQ_PAGES_DEFAULT  1000
#define NGX_KAPOKMQ_PAGES_MAX      10000

typedef struct ngx_kapokmq_pages_s  ngx_kapokmq_pages_t;

struct ngx_kapokmq_pages_s {
    /* Gets at most n elements from cursor on, and moves that; 0: the end. */
    unsigned   (*fetch)(ngx_kapokmq_pages_t *pages, unsigned n);
    /* Is element i of the slice asked for? */
    ngx_uint_t (*fits)(ngx_kapokmq_pages_t *pages, unsigned i);
    /* Appends it. */
    u_char    *(*write)(ngx_kapokmq_pages_t *pages, unsigned i, u_char *p);

    uint64_t     cursor;
    uint64_t     next;          /* where the next page begins, if there is */
    ngx_uint_t   left;          /* of limit */
    unsigned     i;             /* the next one of the slice */
    unsigned     n;
    unsigned     opened:1;
    unsigned     listed:1;
};

/* Reads limit and cursor: as the functions above. */
ngx_int_t ngx_kapokmq_pages_bounds(ngx_http_request_t *r,
    ngx_kapokmq_pages_t *pages, const kmq_field_t *limit,
    const kmq_field_t *cursor);

/* Answers with the page: elements need room bytes at most.  Finalizes. */
void ngx_kapokmq_pages(ngx_http_request_t *r, ngx_kapokmq_pages_t *pages,
    size_t room);


/* -------------------------------------------------------------- access log */

/* A request that was handed on: ngx_kapokmq_hop.h. */
typedef struct ngx_kapokmq_handed_s  ngx_kapokmq_handed_t;

/* What a request's access log line tells of it, beside its URI, and what else
 * has to outlast an internal redirect. */
typedef struct {
    ngx_kapokmq_pass_t   pass;
    ngx_kapokmq_handed_t *handed;   /* NULL: it is served here */
    unsigned             hop:1;     /* it was handed on by another node, */
    unsigned             protocol:1;    /* and offers our subprotocol */
    ngx_str_t            user;      /* of that, or of the session */
    ngx_kapokmq_names_t  names;     /* of a client; a sent message's topic */
    void               **location;  /* r->loc_conf where these were noted */
    ngx_uint_t           served;    /* 1: what is told here has been done */
    ngx_uint_t           messages;  /* accepted from, or pushed to, it */
    ngx_uint_t           confirmed;
    ngx_uint_t           confirm;   /* KMQ_CONFIRM_...; 0: no consumer */
    ngx_uint_t           status;    /* of the session's end; 0: no session */
    char                 code[KMQ_CODE_LEN];    /* sent by HTTP */
} ngx_kapokmq_facts_t;

/* The request's facts, which are made when there are none yet; NULL: no
 * memory.  They stay until it has been logged. */
ngx_kapokmq_facts_t *ngx_kapokmq_facts(ngx_http_request_t *r);

/* NULL: there are none yet. */
ngx_kapokmq_facts_t *ngx_kapokmq_facts_find(ngx_http_request_t *r);

/* Notes the names by which it is served.  NGX_ERROR: no memory. */
ngx_int_t ngx_kapokmq_facts_names(ngx_http_request_t *r,
    const ngx_kapokmq_names_t *names);

/* The handler of the facts' cleanup in the request's pool. */
void ngx_kapokmq_facts_cleanup(void *data);

/* $kapokmq_...; a preconfiguration. */
ngx_int_t ngx_kapokmq_variables(ngx_conf_t *cf);

/* Does the configuration, as far as it has been read, use one of those that
 * only mean something when a session has ended? */
ngx_uint_t ngx_kapokmq_variables_of_end(ngx_conf_t *cf);


/* ---------------------------------------------------------- configuration */

/* Put the filter of all answers, and the handler of all paths, in place; a
 * postconfiguration. */
void ngx_kapokmq_filter_init(void);
ngx_int_t ngx_kapokmq_path_init(ngx_conf_t *cf);

#endif /* NGX_KAPOKMQ_HTTP_H */
