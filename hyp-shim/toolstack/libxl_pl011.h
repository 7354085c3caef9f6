/* SPDX-License-Identifier: LGPL-2.1-only */
/*
 * The emulated PL011 of an Arm guest (LIBXL_VUART_TYPE_PL011): what
 * libxl_arm.c and libxl_arm_acpi.c call. Every function does nothing for a
 * guest without one.
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
 * Passes ring page and port to the hypervisor, which creates the device, and
 * writes the console daemon's nodes. ERROR_FAIL leaves the domain to be
 * destroyed.
 */
_hidden int libxl__pl011_build(libxl__gc *gc,
                               const libxl_domain_build_info *info,
                               const struct xc_dom_image *dom);

/*
 * In the guest's ACPI tables: bytes of more entries in the XSDT, and of the
 * tables they point at, a multiple of 8.
 */
_hidden size_t libxl__pl011_acpi_entries(const libxl_domain_build_info *info);
_hidden size_t libxl__pl011_acpi_size(const libxl_domain_build_info *info);

/*
 * Writes the tables, which the guest finds at `address`, a multiple of 8, and
 * their entries of the XSDT.
 */
_hidden void libxl__pl011_make_acpi(const libxl_domain_build_info *info,
                                    uint64_t address, void *to,
                                    void *entries);

#endif /* LIBXL_PL011_H */
