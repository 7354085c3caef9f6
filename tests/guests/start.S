/* SPDX-License-Identifier: MIT */
/*
 * Exceptions of a bare-metal guest.
 *
 * An abort is recorded, and execution continues after the instruction, so that
 * a guest can try forbidden accesses.
 */

#include "head.S"

2:      wfi
        b       2b

        /* Entry of a second vCPU, with its stack in x0. */
        .globl  secondary
secondary:
        mov     sp, x0
        adr     x1, vectors
        msr     vbar_el1, x1
        isb
        bl      second_main

        /* Records syndrome and address, and skips the instruction. */
skip:
        stp     x0, x1, [sp, #-16]!
        adrp    x0, abort_seen
        add     x0, x0, :lo12:abort_seen
        mrs     x1, esr_el1
        str     x1, [x0]
        mrs     x1, far_el1
        str     x1, [x0, #8]
        mrs     x1, elr_el1
        add     x1, x1, #4
        msr     elr_el1, x1
        ldp     x0, x1, [sp], #16
        eret

        .macro  unexpected
        .balign 0x80
        b       .
        .endm

        .balign 0x800
vectors:
        .rept   4                       /* current EL with SP_EL0 */
        unexpected
        .endr
        .balign 0x80
        b       skip                    /* synchronous, current EL with SP_EL1 */
        .rept   11
        unexpected
        .endr
