/* cmd_export.c - rusk export: a model's weights as F16 GGUF, so that any engine can check them. */
#include <sys/stat.h>

#include "cli_session.h"

static const char ABOUT[] = "Writes the weights of MODEL, dequantized, with its metadata and "
                            "tokenizer, as an F16 GGUF that\n"
                            "other programs can run. Nothing is left behind where it fails.";

static const char EXAMPLES[] = "  rusk export model.rusk -o model-f16.gguf\n";

int cli_cmd_export(int argc, char **argv) {
    const char *out = NULL, *positional[1];
    uint32_t n_threads = cli_cpu_count();
    bool json = false;
    const cli_option options[] = {
        {"-o --output", "FILE", "the GGUF file (an older one is replaced at the end)", CLI_TEXT,
         &out, 0, 0, NULL},
        CLI_THREADS_OPTION(n_threads),
        {"--json", NULL, "the report as JSON", CLI_FLAG, &json, 0, 0, NULL},
    };
    const cli_usage usage = {
        "export", "MODEL -o OUT.gguf [options]", ABOUT, EXAMPLES, options, CLI_COUNT(options), 1};
    size_t n;
    int status = cli_parse(&usage, argc, argv, positional, &n);
    if (status != CLI_CONTINUE) {
        return status;
    }
    if (n == 0) {
        return cli_bad_usage("export", "expected a model to export");
    }
    if (out == NULL) {
        return cli_bad_usage("export", "expected an output file (-o OUT.gguf)");
    }
    if (cli_same_file(positional[0], out)) {
        return CLI_FAILURE;
    }
    rusk_model *model;
    rusk_model_options options_model;
    rusk_error err = {0};
    cli_progress progress;
    double started = cli_now();
    rusk_model_options_default(&options_model);
    options_model.n_threads = n_threads;
    if (rusk_model_open(&model, positional[0], &options_model, &err) != RUSK_OK) {
        return cli_failed(&err);
    }
    cli_progress_begin(&progress, true);
    rusk_status result = rusk_model_export_gguf(model, out, cli_progress_step, &progress, &err);
    cli_progress_end(&progress);
    rusk_model_close(model);
    if (result != RUSK_OK) {
        return cli_failed(&err);
    }
    struct stat st = {0};
    (void)stat(out, &st);
    double seconds = cli_now() - started;
    if (json) {
        json_t *d = json_object();
        json_object_set_new(d, "output", cli_json_text(out));
        json_object_set_new(d, "file_bytes", json_integer((json_int_t)st.st_size));
        json_object_set_new(d, "seconds", cli_json_real(seconds));
        return cli_print_json(d);
    }
    char size[32], time[32];
    cli_print_text(out, 0);
    printf(": %s in %s\n", cli_bytes_text((uint64_t)st.st_size, size),
           cli_seconds_text(seconds, time));
    return cli_flush();
}
