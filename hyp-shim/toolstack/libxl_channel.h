/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * Channels that the console daemon serves, without a device model: what
 * libxl_console.c and libxl_dm.c call.
 */

#ifndef LIBXL_CHANNEL_H
#define LIBXL_CHANNEL_H

#include "libxl_internal.h"

/* Whether a channel of that backend domain needs no QEMU. */
_hidden bool libxl__channel_without_qemu(libxl__gc *gc,
                                         libxl_domid backend_domid);

/* Adds to the backend's nodes `back` who serves the console. */
_hidden void libxl__channel_describe(libxl__gc *gc, flexarray_t *back,
                                     const libxl__device_console *console);

#endif /* LIBXL_CHANNEL_H */
