/* What the client sees, as lines of JSON. */

#include <stdarg.h>
#include <stdlib.h>

#include "client.h"


void
tell(const char *on, const char *format, ...)
{
    json_t   *event;
    va_list   args;

    va_start(args, format);
    event = json_vpack_ex(NULL, 0, format, args);
    va_end(args);

    if (event == NULL || json_object_set_new(event, "on", json_string(on))) {
        die("an event", on);
    }

    json_dumpf(event, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(event);
}


/* A part of an answer may end inside a character. */
void
tell_data(const char *name, const uint8_t *data, size_t len)
{
    size_t  i;

    printf("{\"on\":\"data\",\"id\":\"%s\",\"data\":\"", name);

    for (i = 0; i < len; i++) {
        if (data[i] < 0x20 || data[i] > 0x7e || data[i] == '"'
            || data[i] == '\\')
        {
            printf("\\u%04x", data[i]);

        } else {
            putchar(data[i]);
        }
    }

    fputs("\"}\n", stdout);
}


void
tell_closed(uint64_t code, const char *why)
{
    client.over = 1;
    tell("closed", "{s:I,s:s}", "code", (json_int_t) code, "why", why);
}
