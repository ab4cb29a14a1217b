/* The parameters of the console's functions. */

#include "ngx_kapokmq_http.h"
#include "../../protocol/kmq_json.h"
#include "../../protocol/kmq_utf8.h"


/* Room for what is wanted, and what came. */
#define NGX_KAPOKMQ_FIELD_ERROR  (200 + KMQ_UTF8_SHOWN)


void
ngx_kapokmq_field_error(ngx_http_request_t *r, const kmq_field_t *field,
    const char *wanted)
{
    char    shown[KMQ_UTF8_SHOWN];
    u_char  text[NGX_KAPOKMQ_FIELD_ERROR];

    if (kmq_utf8_valid(field->value, field->len)) {
        kmq_utf8_show(shown, field->value, field->len);
        ngx_snprintf(text, sizeof(text), "%s must be %s, not \"%s\"%Z",
                     field->name, wanted, shown);

    } else {
        ngx_snprintf(text, sizeof(text), "%s must be %s, and is no valid "
                     "UTF-8%Z", field->name, wanted);
    }

    ngx_kapokmq_http_error(r, NGX_HTTP_BAD_REQUEST, (char *) text);
}


/* A name that came as it can be shown. */
static void
ngx_kapokmq_field_show(char shown[KMQ_UTF8_SHOWN], const u_char *name,
    size_t len)
{
    if (kmq_utf8_valid(name, len)) {
        kmq_utf8_show(shown, name, len);

    } else {
        ngx_memcpy(shown, "?", sizeof("?"));
    }
}


const char *
ngx_kapokmq_field_misspelt(ngx_http_request_t *r, const kmq_field_t *fields,
    ngx_uint_t n, const kmq_misspelt_t *misspelt)
{
    char         shown[KMQ_UTF8_SHOWN];
    u_char      *text;
    ngx_uint_t   i;

    i = kmq_form_misspelt(fields, n, misspelt);

    if (i == n) {
        return NULL;
    }

    text = ngx_pnalloc(r->pool, NGX_KAPOKMQ_FIELD_ERROR);
    if (text == NULL) {
        return "a parameter is misspelt";
    }

    ngx_kapokmq_field_show(shown, misspelt->name[i], misspelt->len[i]);

    ngx_snprintf(text, NGX_KAPOKMQ_FIELD_ERROR, "unknown parameter \"%s\", "
                 "did you mean \"%s\"?%Z", shown, fields[i].name);

    return (char *) text;
}


const char *
ngx_kapokmq_field_strict(ngx_http_request_t *r, const kmq_field_t *fields,
    ngx_uint_t n, const kmq_misspelt_t *misspelt)
{
    char         shown[KMQ_UTF8_SHOWN];
    u_char      *text;
    ngx_uint_t   i;
    const char  *error;

    error = ngx_kapokmq_field_misspelt(r, fields, n, misspelt);

    if (error || (misspelt->unknown == NULL && misspelt->repeated == 0)) {
        return error;
    }

    text = ngx_pnalloc(r->pool, NGX_KAPOKMQ_FIELD_ERROR);
    if (text == NULL) {
        return "a parameter is unknown, or given more than once";
    }

    if (misspelt->unknown) {
        ngx_kapokmq_field_show(shown, misspelt->unknown,
                               misspelt->unknown_len);
        ngx_snprintf(text, NGX_KAPOKMQ_FIELD_ERROR,
                     "unknown parameter \"%s\"%Z", shown);

        return (char *) text;
    }

    for (i = 0; !(misspelt->repeated >> i & 1); i++) { /* void */ }

    ngx_snprintf(text, NGX_KAPOKMQ_FIELD_ERROR,
                 "%s is given more than once%Z", fields[i].name);

    return (char *) text;
}


/* A field as a number from min to max. */
static ngx_int_t
ngx_kapokmq_field_read(const kmq_field_t *field, ngx_int_t min, ngx_int_t max,
    ngx_int_t *value)
{
    ngx_int_t   n;
    ngx_uint_t  negative;

    negative = (field->value[0] == '-');
    n = ngx_atoi(field->value + negative, field->len - negative);

    if (n == NGX_ERROR) {
        return NGX_ERROR;
    }

    n = negative ? -n : n;

    if (n < min || n > max) {
        return NGX_ERROR;
    }

    *value = n;

    return NGX_OK;
}


ngx_int_t
ngx_kapokmq_field_number(ngx_http_request_t *r, const kmq_field_t *field,
    ngx_int_t min, ngx_int_t max, ngx_int_t *value)
{
    u_char  wanted[64];

    if (field->len == 0
        || ngx_kapokmq_field_read(field, min, max, value) == NGX_OK)
    {
        return NGX_OK;
    }

    ngx_sprintf(wanted, "a number from %i to %i%Z", min, max);
    ngx_kapokmq_field_error(r, field, (char *) wanted);

    return NGX_ERROR;
}


ngx_int_t
ngx_kapokmq_field_seconds(ngx_http_request_t *r, const kmq_field_t *field,
    uint64_t min, uint64_t max, uint64_t *ms)
{
    u_char  *p, wanted[96];

    if (field->len == 0
        || (field->value[0] != '-'
            && kmq_data_delay((char *) field->value, field->len, ms) == 0
            && *ms >= min && *ms <= max))
    {
        return NGX_OK;
    }

    p = ngx_sprintf(wanted, "a number of seconds from ");
    p = ngx_kapokmq_http_decimal(p, min / 1000.0);
    ngx_sprintf(p, " to %uL%Z", max / 1000);

    ngx_kapokmq_field_error(r, field, (char *) wanted);

    return NGX_ERROR;
}


ngx_int_t
ngx_kapokmq_field_cursor(ngx_http_request_t *r, const kmq_field_t *field,
    uint64_t *cursor)
{
    ngx_int_t  n;

    n = 0;

    if (field->len
        && ngx_kapokmq_field_read(field, 1, NGX_MAX_INT_T_VALUE, &n) != NGX_OK)
    {
        ngx_kapokmq_field_error(r, field, "\"next\" of an earlier answer");
        return NGX_ERROR;
    }

    *cursor = (uint64_t) n;

    return NGX_OK;
}


ngx_int_t
ngx_kapokmq_field_choice(ngx_http_request_t *r, const kmq_field_t *field,
    const char *const *names, const char *wanted, ngx_uint_t *choice)
{
    ngx_uint_t  i;

    if (field->len == 0) {
        return NGX_OK;
    }

    for (i = 0; names[i]; i++) {
        if (ngx_strlen(names[i]) == field->len
            && ngx_memcmp(names[i], field->value, field->len) == 0)
        {
            *choice = i;
            return NGX_OK;
        }
    }

    ngx_kapokmq_field_error(r, field, wanted);

    return NGX_ERROR;
}


ngx_int_t
ngx_kapokmq_field_name(ngx_http_request_t *r, const kmq_field_t *field)
{
    if (field->len > KMQ_NAME_MAX) {
        ngx_kapokmq_field_error(r, field, "of at most 255 bytes");
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_kapokmq_field_required(ngx_http_request_t *r, const kmq_field_t *field)
{
    u_char  text[64];

    if (field->len) {
        return NGX_OK;
    }

    ngx_snprintf(text, sizeof(text), "%s is required%Z", field->name);
    ngx_kapokmq_http_error(r, NGX_HTTP_BAD_REQUEST, (char *) text);

    return NGX_ERROR;
}


ngx_uint_t
ngx_kapokmq_field_found(const ngx_str_t *part, const char *text, size_t len)
{
    if (part->len == 0) {
        return 1;
    }

    return part->len <= len
           && ngx_strlcasestrn((u_char *) text, (u_char *) text + len,
                               part->data, part->len - 1)
              != NULL;
}
