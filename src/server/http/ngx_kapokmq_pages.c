/*
 * Lists that are answered page by page: the engine walks what there is, in
 * slices; of that, what is asked for is listed, and "next" tells where the
 * next page begins.
 */

#include "ngx_kapokmq_http.h"


/* Elements looked at in one turn. */
#define NGX_KAPOKMQ_PAGES_TURN  256


static u_char *ngx_kapokmq_pages_fill(ngx_kapokmq_sliced_t *st, u_char *p,
    u_char *end);
static ngx_uint_t ngx_kapokmq_pages_fetch(ngx_kapokmq_pages_t *pages);
static u_char *ngx_kapokmq_pages_end(u_char *p, uint64_t next);


ngx_int_t
ngx_kapokmq_pages_bounds(ngx_http_request_t *r, ngx_kapokmq_pages_t *pages,
    const kmq_field_t *limit, const kmq_field_t *cursor)
{
    ngx_int_t  n;

    n = NGX_KAPOKMQ_PAGES_DEFAULT;

    if (ngx_kapokmq_field_number(r, limit, 1, NGX_KAPOKMQ_PAGES_MAX, &n)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    pages->left = n;

    return ngx_kapokmq_field_cursor(r, cursor, &pages->cursor);
}


void
ngx_kapokmq_pages(ngx_http_request_t *r, ngx_kapokmq_pages_t *pages,
    size_t room)
{
    ngx_kapokmq_sliced(r, ngx_kapokmq_pages_fill, pages, room);
}


static u_char *
ngx_kapokmq_pages_fill(ngx_kapokmq_sliced_t *st, u_char *p, u_char *end)
{
    unsigned              i;
    ngx_uint_t            looked;
    ngx_kapokmq_pages_t  *pages;

    looked = 0;
    pages = st->data;

    if (!pages->opened) {
        pages->opened = 1;
        p = ngx_sprintf(p, "{\"code\":0,\"data\":[");
    }

    while (p < end) {

        if (pages->i == pages->n) {

            if (looked >= NGX_KAPOKMQ_PAGES_TURN) {
                return p;
            }

            looked += ngx_kapokmq_pages_fetch(pages);
        }

        if (pages->n == 0) {
            st->done = 1;
            return ngx_kapokmq_pages_end(p, 0);
        }

        i = pages->i++;

        if (!pages->fits(pages, i)) {
            continue;
        }

        if (pages->left == 0) {
            st->done = 1;
            return ngx_kapokmq_pages_end(p, pages->next);
        }

        if (pages->listed) {
            *p++ = ',';
        }

        p = pages->write(pages, i, p);
        pages->listed = 1;
        pages->left--;
    }

    return p;
}


/*
 * The next slice; n is 0 when there is none.  It has no more elements than may
 * be listed, so that a page is full only at a slice's end: there the next one
 * begins, if anything that fits is found behind it.
 */
static ngx_uint_t
ngx_kapokmq_pages_fetch(ngx_kapokmq_pages_t *pages)
{
    unsigned  max;

    max = NGX_KAPOKMQ_PAGES_SLICE;

    if (pages->left) {
        max = ngx_min(max, pages->left);

    } else if (pages->next == 0) {
        pages->next = pages->cursor;
    }

    pages->i = 0;
    pages->n = pages->fetch(pages, max);

    return pages->n;
}


static u_char *
ngx_kapokmq_pages_end(u_char *p, uint64_t next)
{
    if (next == 0) {
        return ngx_sprintf(p, "],\"next\":null}");
    }

    return ngx_sprintf(p, "],\"next\":\"%uL\"}", next);
}
