/* SPDX-License-Identifier: MIT */
/* The part of libxl that toolstack/libxl_pl011_acpi.c and its header need. */
#ifndef LIBXL_INTERNAL_H
#define LIBXL_INTERNAL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define _hidden

/* From Xen's public/arch-arm.h. */
#define GUEST_PL011_BASE  0x22000000ULL
#define GUEST_PL011_SIZE  0x00001000ULL
#define GUEST_VPL011_SPI  32

enum {
    LIBXL_VUART_TYPE_UNKNOWN,
    LIBXL_VUART_TYPE_SBSA_UART,
    LIBXL_VUART_TYPE_PL011,
};

typedef struct {
    struct {
        int vuart;
    } arch_arm;
} libxl_domain_build_info;

typedef struct libxl__gc libxl__gc;
struct xc_dom_image;

#endif /* LIBXL_INTERNAL_H */
