/* JSON lines for kapokmq-dump: one object each, to stdout. */

#ifndef KMQ_LINE_H
#define KMQ_LINE_H

#include <stddef.h>
#include <stdint.h>


/* Begins a line with its type, and ends it. */
void kmq_line_begin(const char *type);
void kmq_line_end(void);

/* Members of it; names need no escape. */
void kmq_line_number(const char *name, uint64_t value);
void kmq_line_word(const char *name, const char *value);
void kmq_line_flag(const char *name, int value);
void kmq_line_null(const char *name);

/* Any bytes: a string, or, when they are no UTF-8, in hex as NAME_hex. */
void kmq_line_text(const char *name, const void *bytes, size_t n);

/* The same for what should be the inside of a JSON string already. */
void kmq_line_escaped(const char *name, const void *bytes, size_t n);

/* A member that is a list: its elements are numbers, or, between begin and
 * end, objects. */
void kmq_line_list(const char *name);
void kmq_line_element(uint64_t value);
void kmq_line_object(void);
void kmq_line_object_end(void);
void kmq_line_list_end(void);

#endif /* KMQ_LINE_H */
