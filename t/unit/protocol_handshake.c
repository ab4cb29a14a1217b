/* The headers of the opening handshake. */

#include "../../src/protocol/kmq_websocket.h"
#include "protocol_util.h"
#include "tap.h"


static void
test_token(void)
{
    unsigned  i;

    static const struct {
        const char  *value;
        int          found;
    } values[] = {
        { "Upgrade", 1 },
        { "upgrade", 1 },
        { "UPGRADE", 1 },
        { "keep-alive, Upgrade", 1 },
        { "keep-alive,Upgrade", 1 },
        { "Upgrade, keep-alive", 1 },
        { " \tUpgrade\t ,x", 1 },
        { ",,Upgrade,", 1 },
        { "", 0 },
        { ",", 0 },
        { " ", 0 },
        { "Upgrad", 0 },
        { "Upgraded", 0 },
        { "Up grade", 0 },
        { "keep-alive; Upgrade", 0 },
        { "xUpgrade", 0 }
    };

    for (i = 0; i < elements(values); i++) {
        is_int(kmq_ws_has_token(values[i].value, strlen(values[i].value),
                                "upgrade"),
               values[i].found, "token in \"%s\"", values[i].value);
    }

    is_int(kmq_ws_has_token("Upgrade", 6, "upgrade"), 0,
           "token beyond the value's length");
}


int
main(void)
{
    test_token();

    return done_testing();
}
