/* SPDX-License-Identifier: MIT */
/*
 * Entry of an image at EL1, MMU off. The file that follows this one has the vectors,
 * and runs when bare_metal_main returns. The linker script defines the load offset
 * (text_offset) and the size (image_size).
 */
        .section .text.head, "ax"
        .globl  _start
_start:
        b       boot                    /* the header of a Linux image */
        .long   0
        .quad   text_offset             /* from a 2 MiB boundary */
        .quad   image_size
        .quad   0xa                     /* little endian, 4 KiB, anywhere */
        .quad   0, 0, 0
        .ascii  "ARM\x64"
        .long   0

boot:
        adrp    x1, stack_top
        add     x1, x1, :lo12:stack_top
        mov     sp, x1
        adr     x1, vectors
        msr     vbar_el1, x1
        isb
        adrp    x1, bss_start
        add     x1, x1, :lo12:bss_start
        adrp    x2, bss_end
        add     x2, x2, :lo12:bss_end
0:      cmp     x1, x2
        b.hs    1f
        stp     xzr, xzr, [x1], #16
        b       0b
1:      bl      bare_metal_main         /* x0 is still the device tree */

