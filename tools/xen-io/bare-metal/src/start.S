/* SPDX-License-Identifier: MIT */
/*
 * Exceptions of an image, after head.S.
 *
 * A data abort is recorded, and execution continues after the instruction, so that
 * an image can try forbidden accesses. bare_metal_interrupt records an interrupt,
 * which then stays masked.
 */

        /* Power off by PSCI, which Xen and QEMU support. */
        .globl  bare_metal_off
bare_metal_off:
        mov     w0, #0x0008
        movk    w0, #0x8400, lsl #16
        hvc     #0
2:      wfi
        b       2b

synchronous:
        stp     x0, x1, [sp, #-16]!
        mrs     x0, esr_el1
        lsr     x0, x0, #26
        cmp     x0, #0x25               /* a data abort of this level */
        b.ne    bare_metal_off
        adrp    x0, bare_metal_aborted
        add     x0, x0, :lo12:bare_metal_aborted
        mov     w1, #1
        str     w1, [x0]
        mrs     x1, elr_el1
        add     x1, x1, #4
        msr     elr_el1, x1
        ldp     x0, x1, [sp], #16
        eret

interrupt:
        sub     sp, sp, #176
        stp     x0, x1, [sp]
        stp     x2, x3, [sp, #16]
        stp     x4, x5, [sp, #32]
        stp     x6, x7, [sp, #48]
        stp     x8, x9, [sp, #64]
        stp     x10, x11, [sp, #80]
        stp     x12, x13, [sp, #96]
        stp     x14, x15, [sp, #112]
        stp     x16, x17, [sp, #128]
        stp     x18, x29, [sp, #144]
        str     x30, [sp, #160]
        bl      bare_metal_interrupt
        mrs     x0, spsr_el1
        orr     x0, x0, #0x80           /* PSTATE.I */
        msr     spsr_el1, x0
        ldp     x0, x1, [sp]
        ldp     x2, x3, [sp, #16]
        ldp     x4, x5, [sp, #32]
        ldp     x6, x7, [sp, #48]
        ldp     x8, x9, [sp, #64]
        ldp     x10, x11, [sp, #80]
        ldp     x12, x13, [sp, #96]
        ldp     x14, x15, [sp, #112]
        ldp     x16, x17, [sp, #128]
        ldp     x18, x29, [sp, #144]
        ldr     x30, [sp, #160]
        add     sp, sp, #176
        eret

        .macro  vector to
        .balign 0x80
        b       \to
        .endm

        .balign 0x800
vectors:
        .rept   4                       /* current EL with SP_EL0 */
        vector  bare_metal_off
        .endr
        vector  synchronous             /* current EL with SP_EL1 */
        vector  interrupt
        .rept   10
        vector  bare_metal_off
        .endr
