/* clock.h - time that has passed: for statistics and reports, never for what is computed. */
#ifndef RUSK_BASE_CLOCK_H
#define RUSK_BASE_CLOCK_H

/* Seconds since some point in the past; never goes back, whatever happens to the date. */
double rusk_clock_seconds(void);

#endif
