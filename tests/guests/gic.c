/* SPDX-License-Identifier: MIT */
/* Addresses as in Xen's public headers, registers as in Arm IHI 0069. */
#include "gic.h"

#include "machine.h"

#define GICD            0x03001000UL
#define GICD_CTLR       (GICD + 0x0)
/* Affinity routing, and interrupts of group 1. */
#define ARE_AND_GROUP_1 0x12

/* The second frame of each vCPU's redistributor. */
#define GICR(vcpu)      (0x03030000UL + (vcpu) * 0x20000UL)
#define ISENABLER       0x100
#define ICENABLER       0x180
#define IPRIORITYR      0x400

void gic_start(void)
{
    store32(GICD_CTLR, ARE_AND_GROUP_1);
    asm volatile ( "msr s3_0_c12_c12_5, %0\n\tisb\n\t"  /* ICC_SRE_EL1 */
                   "msr s3_0_c4_c6_0, %1\n\t"           /* ICC_PMR_EL1 */
                   "msr s3_0_c12_c12_7, %0\n\tisb"      /* ICC_IGRPEN1_EL1 */
                   :: "r" (1UL), "r" (0xffUL) );
}

void gic_enable(unsigned int vcpu, unsigned int irq, uint8_t priority)
{
    uint64_t word = GICR(vcpu) + IPRIORITYR + (irq & ~3U);
    unsigned int shift = irq % 4 * 8;
    uint32_t others = load32(word) & ~(0xffU << shift);

    store32(word, others | (uint32_t)priority << shift);
    store32(GICR(vcpu) + ISENABLER, 1U << irq);
}

void gic_disable(unsigned int vcpu, unsigned int irq)
{
    store32(GICR(vcpu) + ICENABLER, 1U << irq);
}
