/* net/net.c: the types of this room, in the order they need each other. */
#include "net/connect.h"
#include "net/pipe.h"
#include "net/process.h"
#include "net/tls.h"
#include "net/transport.h"

int
net_types_init(PyObject *module, fa_state *st)
{
    if (sockstream_type_init(module, st) < 0 ||
        datagram_type_init(module, st) < 0 ||
        tlstransport_type_init(module, st) < 0 ||
        tls_type_init(module, st) < 0 ||
        server_type_init(module, st) < 0 ||
        listener_type_init(module, st) < 0 ||
        pipe_types_init(module, st) < 0 ||
        connecting_type_init(module, st) < 0 ||
        process_type_init(module, st) < 0 ||
        race_type_init(module, st) < 0 ||
        accept_functions_init(module) < 0)
    {
        return -1;
    }
    return 0;
}
