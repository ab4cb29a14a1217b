/* libyaml's events for the files that read application.yaml: kmq_yaml.h. */

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "kmq_yaml.h"


#define KMQ_YAML_DEPTH   16
#define KMQ_YAML_ERRORS  20
#define KMQ_YAML_TEXT    640        /* bytes of a message */


/* --------------------------------------------------------------- messages */

void
kmq_yaml_report(kmq_yaml_t *y, int fatal, size_t line, size_t column,
    const char *fmt, ...)
{
    char     text[KMQ_YAML_TEXT];
    va_list  args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);

    y->log(y->arg, fatal, y->file, line, column, text);

    if (fatal && ++y->errors == KMQ_YAML_ERRORS) {
        y->log(y->arg, 1, y->file, line, column,
               "too many errors, the rest of the file was not read");
        y->stopped = 1;
    }
}


const char *
kmq_yaml_what(const kmq_yaml_t *y, char to[KMQ_YAML_WHAT])
{
    char  shown[KMQ_UTF8_SHOWN];

    switch (y->event.type) {

    case YAML_SEQUENCE_START_EVENT:
        return "a list";

    case YAML_MAPPING_START_EVENT:
        return "a mapping";

    default:
        break;
    }

    if (y->event.data.scalar.length == 0) {
        return "empty";
    }

    kmq_utf8_show(shown, y->event.data.scalar.value,
                  y->event.data.scalar.length);

    snprintf(to, KMQ_YAML_WHAT, "%s\"%s\"",
             y->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE
             ? "" : "the quoted text ", shown);

    return to;
}


/* ----------------------------------------------------------------- events */

/* What libyaml does not like, in its own words. */
static void
kmq_yaml_syntax(kmq_yaml_t *y)
{
    int             alias;
    size_t          i, line, column;
    yaml_parser_t  *parser;

    parser = &y->parser;

    if (parser->error == YAML_MEMORY_ERROR) {
        kmq_yaml_report(y, 1, 0, 0, "not enough memory to read the file");
        return;
    }

    line = parser->problem_mark.line + 1;
    column = parser->problem_mark.column + 1;

    if (parser->error == YAML_READER_ERROR) {

        /* not a character: there is a place in bytes, and no mark */
        line = 1;
        column = 1;

        for (i = 0; i < parser->problem_offset && i < y->size; i++) {
            if (y->text[i] == '\n') {
                line++;
                column = 1;

            } else if ((y->text[i] & 0xc0) != 0x80) {
                column++;
            }
        }
    }

    /* topics have one often */
    alias = parser->context && strstr(parser->context, "an alias");

    kmq_yaml_report(y, 1, line, column, "%s%s%s%s%s",
                    parser->problem ? parser->problem : "not valid YAML",
                    parser->context ? " (" : "",
                    parser->context ? parser->context : "",
                    alias ? "; a text with a \"*\" at its beginning needs "
                            "quotes" : "",
                    parser->context ? ")" : "");
}


/* Looks at what this file has no use for, and keeps the depth. */
static int
kmq_yaml_allowed(kmq_yaml_t *y)
{
    char                shown[KMQ_UTF8_SHOWN];
    const yaml_char_t  *anchor, *tag;

    anchor = NULL;
    tag = NULL;

    switch (y->event.type) {

    case YAML_ALIAS_EVENT:
        anchor = y->event.data.alias.anchor;
        break;

    case YAML_SCALAR_EVENT:
        anchor = y->event.data.scalar.anchor;
        tag = y->event.data.scalar.tag;
        break;

    case YAML_SEQUENCE_START_EVENT:
        anchor = y->event.data.sequence_start.anchor;
        tag = y->event.data.sequence_start.tag;
        y->depth++;
        break;

    case YAML_MAPPING_START_EVENT:
        anchor = y->event.data.mapping_start.anchor;
        tag = y->event.data.mapping_start.tag;
        y->depth++;
        break;

    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        y->depth--;
        break;

    default:
        break;
    }

    if (anchor || tag) {
        kmq_utf8_show(shown, anchor ? anchor : tag,
                      strlen((const char *) (anchor ? anchor : tag)));

        kmq_yaml_report_here(y, 1, "%s is not allowed here: \"%s\"", anchor ?
                             "an anchor (&) or alias (*)" : "a tag (!)",
                             shown);
        return 0;
    }

    if (y->depth > KMQ_YAML_DEPTH) {
        kmq_yaml_report_here(y, 1, "nested more than %d levels deep",
                             KMQ_YAML_DEPTH);
        return 0;
    }

    return 1;
}


int
kmq_yaml_next(kmq_yaml_t *y)
{
    if (y->stopped) {
        return 0;
    }

    yaml_event_delete(&y->event);

    if (!yaml_parser_parse(&y->parser, &y->event)) {
        /* an event that could not be made must not be deleted */
        memset(&y->event, 0, sizeof(yaml_event_t));

        kmq_yaml_syntax(y);
        y->stopped = 1;

    } else if (!kmq_yaml_allowed(y)) {
        y->stopped = 1;
    }

    return !y->stopped;
}


void
kmq_yaml_skip(kmq_yaml_t *y)
{
    unsigned  outside;

    if (y->event.type != YAML_MAPPING_START_EVENT
        && y->event.type != YAML_SEQUENCE_START_EVENT)
    {
        return;
    }

    outside = y->depth - 1;

    while (y->depth > outside && kmq_yaml_next(y)) {
        /* void */
    }
}


int
kmq_yaml_is_null(const kmq_yaml_t *y)
{
    const char  *text;

    text = kmq_yaml_plain(y);

    return text && (*text == '\0' || strcmp(text, "~") == 0
                    || strcasecmp(text, "null") == 0);
}


const char *
kmq_yaml_plain(const kmq_yaml_t *y)
{
    if (y->event.type != YAML_SCALAR_EVENT
        || y->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
    {
        return NULL;
    }

    return (const char *) y->event.data.scalar.value;
}
