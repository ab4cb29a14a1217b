/* TLS 1.3 below net_read() and net_flush(), for the rows of wss. */

#ifndef BENCH_TLS_H
#define BENCH_TLS_H

#include "net.h"


/*
 * For all connections of a process: a server with the certificate and the key
 * in the file, or a client, which trusts every server, with file NULL.  NULL,
 * and a word on stderr, when that cannot be, or was not compiled in.
 *
 * A connection begins with its first read or write.
 */
const net_layer_t *tls_init(const char *file);

#endif /* BENCH_TLS_H */
