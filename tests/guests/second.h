/* SPDX-License-Identifier: MIT */
/* The second vCPU. */
#ifndef SECOND_H
#define SECOND_H

#include <stdint.h>

/* What it runs: each image has its own. */
void second_main(void);

/* Starts it. PSCI's answer: 0, or an error if there is none or it runs. */
int64_t start_second(void);

/* Ends it; called by itself. */
void __attribute__((noreturn)) end_second(void);

#endif
