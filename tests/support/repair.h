/* repair.h - makes the checksums of a damaged .rusk file right again, so that tests and fuzzing
 * reach the code behind them. */
#ifndef RUSK_TEST_REPAIR_H
#define RUSK_TEST_REPAIR_H

#include <stddef.h>
#include <stdint.h>

/* Recomputes every checksum of a .rusk file in memory that can still be found: blocks, sections,
 * section table, superblock. Any bytes are safe; what is no .rusk file is left alone. Returns len.
 */
size_t test_repair_container(uint8_t *buf, size_t len);

#endif
