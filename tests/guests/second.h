/* SPDX-License-Identifier: MIT */
/* The second vCPU. */
#ifndef SECOND_H
#define SECOND_H

#include <stdint.h>

/* Its function: each image has its own. */
void second_main(void);

/* Starts it. PSCI's result: 0, or an error if it is missing or running. */
int64_t start_second(void);

/* Ends it; called on the second vCPU. */
void __attribute__((noreturn)) end_second(void);

#endif
