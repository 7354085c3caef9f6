/* SPDX-License-Identifier: MIT */
/*
 * A vCPU's private interrupts on the GICv3 that Xen gives its guests. They stay
 * masked: the guest polls for them, and needs no handler.
 */
#ifndef GIC_H
#define GIC_H

#include <stdint.h>

/* Numbers from here on are no interrupts. */
#define GIC_NONE 1020

/* Starts the calling vCPU's interface, for interrupts of any priority. */
void gic_start(void);

/* Enables an interrupt below 32 of a vCPU. */
void gic_enable(unsigned int vcpu, unsigned int irq, uint8_t priority);
void gic_disable(unsigned int vcpu, unsigned int irq);

/* Sends an interrupt below 16 to a vCPU below 16. */
static inline void gic_send(unsigned int irq, unsigned int vcpu)
{
    uint64_t value = (uint64_t)irq << 24 | 1UL << vcpu;

    /* ICC_SGI1R_EL1 */
    asm volatile ( "dsb sy\n\tmsr s3_0_c12_c11_5, %0\n\tisb"
                   :: "r" (value) : "memory" );
}

/* Acknowledges the first pending interrupt, which becomes active; or none. */
static inline uint32_t gic_acknowledge(void)
{
    uint64_t irq;

    /* ICC_IAR1_EL1 */
    asm volatile ( "mrs %0, s3_0_c12_c12_0\n\tdsb sy" : "=r" (irq) :: "memory" );
    return (uint32_t)irq;
}

/* The same, but sleeps until there is one. */
static inline uint32_t gic_wait(void)
{
    uint32_t irq;

    while ( (irq = gic_acknowledge()) >= GIC_NONE )
        asm volatile ( "wfi" ::: "memory" );
    return irq;
}

/* Ends an acknowledged interrupt. */
static inline void gic_end(uint32_t irq)
{
    /* ICC_EOIR1_EL1 */
    asm volatile ( "msr s3_0_c12_c12_1, %0\n\tisb"
                   :: "r" ((uint64_t)irq) : "memory" );
}

#endif
