/* cli_profile.h - a table of where the time of prefill and decode goes: bench --profile. */
#ifndef RUSK_CLI_PROFILE_H
#define RUSK_CLI_PROFILE_H

#include "cli.h"

/* One kind of pass: its stages, and sampling, which is no part of a pass. */
typedef struct cli_profile {
    rusk_profile stages;
    double sampling_seconds;
} cli_profile;

double cli_profile_seconds(const rusk_profile *profile);

/* Columns of milliseconds a pass and percent of the pass, for prefill and decode. */
void cli_profile_print(const cli_profile *prefill, const cli_profile *decode);
json_t *cli_profile_json(const cli_profile *profile);

#endif
