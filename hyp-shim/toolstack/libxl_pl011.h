/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The emulated PL011 of an Arm guest (LIBXL_VUART_TYPE_PL011): what
 * libxl_arm.c calls. Every function does nothing for a guest without one.
 */

#ifndef LIBXL_PL011_H
#define LIBXL_PL011_H

#include "libxl_internal.h"

/* Adds /chosen/stdout-path; to be called inside /chosen. A libfdt error. */
_hidden int libxl__pl011_make_stdout(libxl__gc *gc, void *fdt,
                                     const libxl_domain_build_info *info);

/*
 * Adds the UART, its clock and its alias; to be called inside the root.
 * `pfdt` is the user's partial device tree or NULL. A libfdt error.
 */
_hidden int libxl__pl011_make_nodes(libxl__gc *gc, void *fdt,
                                    const void *pfdt,
                                    const libxl_domain_build_info *info);

/*
 * Gives the hypervisor ring page and port, which brings the device to life,
 * and tells the console daemon. ERROR_FAIL leaves the domain to be destroyed.
 */
_hidden int libxl__pl011_build(libxl__gc *gc,
                               const libxl_domain_build_info *info,
                               const struct xc_dom_image *dom);

#endif /* LIBXL_PL011_H */
