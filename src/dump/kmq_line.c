/* JSON lines. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../protocol/kmq_json.h"
#include "../protocol/kmq_scan.h"
#include "../protocol/kmq_utf8.h"
#include "kmq_line.h"


/* What comes before the next member or element. */
static const char  *separator = "";


static void
member(const char *name)
{
    (void) printf("%s\"%s\":", separator, name);
    separator = ",";
}


void
kmq_line_begin(const char *type)
{
    (void) putchar('{');
    separator = "";
    kmq_line_word("type", type);
}


void
kmq_line_end(void)
{
    (void) puts("}");
}


void
kmq_line_number(const char *name, uint64_t value)
{
    member(name);
    (void) printf("%llu", (unsigned long long) value);
}


void
kmq_line_word(const char *name, const char *value)
{
    member(name);
    (void) printf("\"%s\"", value);
}


void
kmq_line_flag(const char *name, int value)
{
    member(name);
    (void) fputs(value ? "true" : "false", stdout);
}


void
kmq_line_null(const char *name)
{
    member(name);
    (void) fputs("null", stdout);
}


/* ------------------------------------------------------------------ lists */

void
kmq_line_list(const char *name)
{
    member(name);
    (void) putchar('[');
    separator = "";
}


void
kmq_line_element(uint64_t value)
{
    (void) printf("%s%llu", separator, (unsigned long long) value);
    separator = ",";
}


void
kmq_line_object(void)
{
    (void) printf("%s{", separator);
    separator = "";
}


void
kmq_line_object_end(void)
{
    (void) putchar('}');
    separator = ",";
}


void
kmq_line_list_end(void)
{
    (void) putchar(']');
    separator = ",";
}


/* ------------------------------------------------------------------- text */

static void
hex(const char *name, const unsigned char *p, size_t n)
{
    (void) printf("%s\"%s_hex\":\"", separator, name);
    separator = ",";

    while (n--) {
        (void) printf("%02x", *p++);
    }

    (void) putchar('"');
}


void
kmq_line_text(const char *name, const void *bytes, size_t n)
{
    size_t         len, used;
    unsigned char  piece[1024];

    if (!kmq_utf8_valid(bytes, n)) {
        hex(name, bytes, n);
        return;
    }

    member(name);
    (void) putchar('"');

    for (used = 0; used < n; /* void */) {
        len = kmq_json_escape(piece, sizeof(piece), bytes, n, &used);
        (void) fwrite(piece, 1, len, stdout);
    }

    (void) putchar('"');
}


/* Are the bytes the inside of one JSON string?  (No, where there is no memory
 * to tell.) */
static int
inside(const unsigned char *bytes, size_t n)
{
    static const char  head[] = "{\"MessageData\":\"";
    static const char  tail[] = "\"}";

    int                 rc;
    unsigned char      *p, *data;
    kmq_scan_object_t   object;

    if (!kmq_utf8_valid(bytes, n)) {
        return 0;
    }

    p = malloc(sizeof(head) + n + sizeof(tail));
    if (p == NULL) {
        return 0;
    }

    data = p + sizeof(head) - 1;

    memcpy(p, head, sizeof(head) - 1);
    memcpy(data, bytes, n);
    memcpy(data + n, tail, sizeof(tail) - 1);

    rc = kmq_scan_object(&object, p, data + n + sizeof(tail) - 1) == 0
         && object.data.kind == KMQ_SCAN_STRING && !object.data.broken_pair
         && object.data.start == data && object.data.end == data + n;

    free(p);

    return rc;
}


void
kmq_line_escaped(const char *name, const void *bytes, size_t n)
{
    if (!inside(bytes, n)) {
        hex(name, bytes, n);
        return;
    }

    member(name);
    (void) putchar('"');
    (void) fwrite(bytes, 1, n, stdout);
    (void) putchar('"');
}
