/* Keys in the headers of a request. */

#include "../../src/protocol/kmq_key_header.h"
#include "protocol_util.h"
#include "tap.h"


typedef int (*find_pt)(const char *value, size_t len, kmq_key_header_t *key);

typedef struct {
    const char  *value;
    const char  *found;             /* NULL: nothing */
} value_t;


static void
test_values(find_pt find, const value_t *values, size_t n)
{
    int               found;
    size_t            i, len;
    char             *exact;
    kmq_key_header_t  key;

    for (i = 0; i < n; i++) {
        /* not terminated: nothing behind it is looked at */
        len = strlen(values[i].value);
        exact = malloc(len + 1);
        memcpy(exact, values[i].value, len);
        exact = realloc(exact, len ? len : 1);

        key.data = NULL;
        key.len = 0;
        found = find(exact, len, &key);

        ok(values[i].found == NULL
           ? !found
           : found && key.len == strlen(values[i].found)
             && memcmp(key.data, values[i].found, key.len) == 0,
           "\"%s\"", values[i].value);

        free(exact);
    }
}


int
main(void)
{
    static const value_t  bearers[] = {
        { "Bearer KEY", "KEY" },
        { "bearer KEY", "KEY" },
        { "BEARER   KEY", "KEY" },
        { "Bearer a key", "a key" },
        { "Bearer ", "" },
        { "Bearer    ", "" },
        { "Bearer", NULL },
        { "BearerKEY", NULL },
        { "Bearer\tKEY", NULL },
        { "Basic KEY", NULL },
        { " Bearer KEY", NULL },
        { "", NULL }
    };

    static const value_t  protocols[] = {
        { "kapokmq.key.S0VZ", "S0VZ" },
        { "kapokmq, kapokmq.key.S0VZ", "S0VZ" },
        { "kapokmq,kapokmq.key.S0VZ,x", "S0VZ" },
        { ",, \t kapokmq.key.S0VZ\t", "S0VZ" },
        { "kapokmq.key.a, kapokmq.key.b", "a" },
        { "kapokmq.key.", "" },
        { "kapokmq.key., x", "" },
        { "Kapokmq.key.S0VZ", NULL },
        { "xkapokmq.key.S0VZ", NULL },
        { "kapokmq.ke", NULL },
        { "kapokmq", NULL },
        { " ", NULL },
        { ",", NULL },
        { "", NULL }
    };

    test_values(kmq_key_bearer, bearers, elements(bearers));
    test_values(kmq_key_protocol, protocols, elements(protocols));

    return done_testing();
}
