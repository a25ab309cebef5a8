/* cpu.h - what the processor can do, and how many we may use. */
#ifndef RUSK_BASE_CPU_H
#define RUSK_BASE_CPU_H

#include <stdint.h>

#define RUSK_CPU_AVX2    1U  /* AVX2 with F16C (every AVX2 processor has it) */
#define RUSK_CPU_AVX512  2U  /* AVX-512 F, BW, VL, VNNI */
#define RUSK_CPU_VBMI    16U /* and besides these AVX-512 VBMI and VBMI2 */
#define RUSK_CPU_NEON    4U
#define RUSK_CPU_DOTPROD 8U /* SDOT and UDOT of ARMv8.2 */

/* Mask of RUSK_CPU_* that this processor and operating system support. */
uint32_t rusk_cpu_features(void);
/* From now on rusk_cpu_features() tells of nothing outside `mask` (UINT32_MAX: of all again), so
 * that what is opened later uses less. Tests and benchmarks only; not while other threads ask. */
void rusk_cpu_restrict(uint32_t mask);

/* CPUs this process may run on (its affinity mask); at least 1. */
unsigned rusk_cpu_count(void);

#endif
