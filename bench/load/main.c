#include "load.h"


int
main(int argc, char **argv)
{
    return load_run(&load_websocket, argc, argv);
}
