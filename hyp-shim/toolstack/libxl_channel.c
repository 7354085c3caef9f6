/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Channels that the console daemon serves, without a device model.
 *
 * A daemon that serves channels writes a node to xenstore, once, and the node
 * stays until the host restarts: every part of libxl that reads it, now or
 * when a device is added to the guest later, must get the same answer. Where
 * no such daemon ever ran, channels go to QEMU as before.
 */

#include "libxl_osdeps.h" /* must come before any other headers */

#include "libxl_internal.h"
#include "libxl_channel.h"

/* Written by the daemon in the toolstack's domain. */
#define XS_CHANNELS "/tool/vconsoled/channels"

bool libxl__channel_without_qemu(libxl__gc *gc, libxl_domid backend_domid)
{
    const char *served;

    /* A backend in another domain never needed a QEMU here. */
    if (backend_domid != LIBXL_TOOLSTACK_DOMID)
        return false;

    served = libxl__xs_read(gc, XBT_NULL, XS_CHANNELS);
    return served && !strcmp(served, "1");
}

/*
 * The frontend's nodes have a `type` too, but the guest can remove those. The
 * domain's own console is described elsewhere.
 */
void libxl__channel_describe(libxl__gc *gc, flexarray_t *back,
                             const libxl__device_console *console)
{
    if (console->devid &&
        console->consback == LIBXL__CONSOLE_BACKEND_XENCONSOLED)
        flexarray_append_pair(back, "type", "xenconsoled");
}

/*
 * Local variables:
 * mode: C
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
