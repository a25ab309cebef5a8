/* cmd_pack.c - rusk pack: a model in, a smaller one out, and a report of what it costs. */
#include <string.h>

#include "cli_session.h"

static const char ABOUT[] =
    "Quantizes the weights of SOURCE (GGUF) and entropy-codes them. The size of the whole file is\n"
    "what --bits and --size set: tokenizer, scales and tables included. Sizes are decimal (60M is\n"
    "60,000,000 bytes); 64MiB is understood. Nothing is left behind where packing fails.";

static const char EXAMPLES[] = "  rusk pack model.gguf -o model.rusk\n"
                               "  rusk pack model.gguf -o model.rusk --size 60M\n"
                               "  rusk pack model.gguf -o model.rusk --bits 3.5 --json\n";

typedef struct pack_options {
    const char *source, *out, *quantizer, *codec;
    double bits;
    uint64_t size_bytes;
    uint32_t n_threads;
    bool json;
} pack_options;

static int parse(int argc, char **argv, pack_options *o) {
    const cli_option options[] = {
        {"-o --output", "FILE", "the packed model (an older file is replaced at the end)", CLI_TEXT,
         &o->out, 0, 0, NULL},
        {"-b --bits", "B", "bits per weight, everything included (default 4.5)", CLI_REAL, &o->bits,
         CLI_ABOVE_ZERO, 64, NULL},
        {"--size", "SIZE", "largest size of the file, instead of --bits", CLI_BYTES, &o->size_bytes,
         0, 0, NULL},
        {"--quantizer", "NAME", "uniform (default)", CLI_TEXT, &o->quantizer, 0, 0, NULL},
        {"--codec", "NAME", "rans (default), raw, a16, a16r or a16x2", CLI_TEXT, &o->codec, 0, 0,
         NULL},
        CLI_THREADS_OPTION(o->n_threads),
        {"--json", NULL, "the report as JSON", CLI_FLAG, &o->json, 0, 0, NULL},
    };
    const cli_usage usage = {
        "pack", "SOURCE -o OUT.rusk [options]", ABOUT, EXAMPLES, options, CLI_COUNT(options), 1};
    const char *positional[1];
    size_t n;
    int status = cli_parse(&usage, argc, argv, positional, &n);
    if (status != CLI_CONTINUE) {
        return status;
    }
    if (n == 0) {
        return cli_bad_usage("pack", "expected a model to pack");
    }
    if (o->out == NULL) {
        return cli_bad_usage("pack", "expected an output file (-o OUT.rusk)");
    }
    if (o->bits > 0 && o->size_bytes > 0) {
        return cli_bad_usage("pack", "expected --bits or --size, found both");
    }
    o->source = positional[0];
    return CLI_CONTINUE;
}

static int print_json(const rusk_pack_report *r, const pack_options *o) {
    json_t *d = json_object();
    json_object_set_new(d, "output", cli_json_text(o->out));
    json_object_set_new(d, "source_bytes", json_integer((json_int_t)r->source_bytes));
    json_object_set_new(d, "file_bytes", json_integer((json_int_t)r->file_bytes));
    json_object_set_new(d, "parameters", json_integer((json_int_t)r->n_parameters));
    json_object_set_new(d, "bits_per_weight", cli_json_real(r->bits_per_weight));
    json_object_set_new(d, "entropy_bits", cli_json_real(r->entropy_bits));
    json_object_set_new(d, "coded_bits", cli_json_real(r->coded_bits));
    json_object_set_new(d, "side_bits", cli_json_real(r->side_bits));
    json_object_set_new(d, "tokenizer_bytes", json_integer((json_int_t)r->tokenizer_bytes));
    json_object_set_new(d, "seconds", cli_json_real(r->seconds));
    json_object_set_new(d, "peak_bytes", json_integer((json_int_t)cli_peak_bytes()));
    return cli_print_json(d);
}

static int print_report(const rusk_pack_report *r, const pack_options *o) {
    char before[32], after[32], tokenizer[32], peak[32], time[32];
    double weights = r->n_parameters > 0 ? (double)r->n_parameters : 1;
    double share = r->source_bytes > 0 ? (double)r->file_bytes / (double)r->source_bytes : 0;
    printf("source     %10s  %6.3f bits/weight  ", cli_bytes_text(r->source_bytes, before),
           8 * (double)r->source_bytes / weights);
    cli_print_text(o->source, 0);
    printf("\npacked     %10s  %6.3f bits/weight  ", cli_bytes_text(r->file_bytes, after),
           r->bits_per_weight);
    cli_print_text(o->out, 0);
    printf("  (%.1f %% of the source)\n", 100 * share);
    printf("entropy    %10s  %6.3f bits per coded weight, coded in %.3f\n", "", r->entropy_bits,
           r->coded_bits);
    printf("side       %10s  %6.3f bits/weight: scales, norms, index, tokenizer\n", "",
           r->side_bits);
    printf("tokenizer  %10s\n", cli_bytes_text(r->tokenizer_bytes, tokenizer));
    printf("time       %10s  memory at most %s\n", cli_seconds_text(r->seconds, time),
           cli_bytes_text(cli_peak_bytes(), peak));
    return cli_flush();
}

int cli_cmd_pack(int argc, char **argv) {
    pack_options o = {.n_threads = cli_cpu_count()};
    rusk_pack_options pack;
    rusk_pack_report report;
    rusk_error err = {0};
    cli_progress progress;
    int status = parse(argc, argv, &o);
    if (status != CLI_CONTINUE) {
        return status;
    }
    if (cli_same_file(o.source, o.out)) {
        return CLI_FAILURE;
    }
    rusk_pack_options_default(&pack);
    pack.bits = o.bits;
    pack.size_bytes = o.size_bytes;
    if (o.quantizer != NULL) {
        pack.quantizer = o.quantizer;
    }
    if (o.codec != NULL) {
        pack.codec = o.codec;
    }
    pack.n_threads = o.n_threads;
    pack.progress = cli_progress_step;
    pack.user = &progress;
    cli_progress_begin(&progress, true);
    rusk_status result = rusk_pack(o.source, o.out, &pack, &report, &err);
    cli_progress_end(&progress);
    if (result != RUSK_OK) {
        return cli_failed(&err);
    }
    return o.json ? print_json(&report, &o) : print_report(&report, &o);
}
