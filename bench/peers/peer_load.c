#include <stdio.h>
#include <string.h>

#include "peer.h"


static const peer_t  *const  peers[] = {
    &peer_nats, &peer_jetstream, &peer_redis_list, &peer_redis_stream,
    &peer_redis_pubsub, &peer_beanstalk, &peer_mqtt0, &peer_mqtt1,
    &peer_mqtt0_ws, &peer_nchan
};


static void
peer_usage(void)
{
    unsigned  i;

    fprintf(stderr, "kmq-peer: load for other servers\n"
            "Usage: kmq-peer PROTOCOL OPTION-OF-KMQ-LOAD...\n");

    for (i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
        fprintf(stderr, "  %-14s %s\n", peers[i]->name, peers[i]->help);
    }
}


int
main(int argc, char **argv)
{
    unsigned       i;
    const peer_t  *chosen;

    chosen = NULL;

    for (i = 0; argc > 1 && i < sizeof(peers) / sizeof(peers[0]); i++) {
        if (strcmp(argv[1], peers[i]->name) == 0) {
            chosen = peers[i];
        }
    }

    if (chosen == NULL) {
        peer_usage();
        return 2;
    }

    peer_choose(chosen);

    return load_run(&peer_protocol, argc - 1, argv + 1);
}
