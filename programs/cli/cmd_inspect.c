/* cmd_inspect.c - rusk inspect: what stands in a model file. The model need not be one we can run.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum { VALUE_CAP = 4096, VALUE_COLUMNS = 72 };

static const char ABOUT[] =
    "Metadata, every tensor with its role, shape, type or codec, size and entropy, and totals, of "
    "a\n"
    "GGUF or .rusk file. Entropy (order 0, bits per weight, of the quantized symbols) says how "
    "small\n"
    "an entropy coder can make a tensor as it is; it needs a pass over the data.";

static const char EXAMPLES[] =
    "  rusk inspect model.gguf\n"
    "  rusk inspect model.rusk --no-entropy\n"
    "  rusk inspect model.rusk --json | jq '.tensors[] | [.name, .entropy]'\n";

typedef struct inspect_options {
    const char *path;
    bool json, no_entropy;
} inspect_options;

typedef struct totals {
    uint64_t bytes;
    double entropy_bits; /* sum over tensors of entropy x weights */
    double n_weights;    /* of those */
} totals;

static int parse(int argc, char **argv, inspect_options *o) {
    const cli_option options[] = {
        {"--no-entropy", NULL, "do not read the tensors", CLI_FLAG, &o->no_entropy, 0, 0, NULL},
        {"--json", NULL, "everything as JSON", CLI_FLAG, &o->json, 0, 0, NULL},
    };
    const cli_usage usage = {"inspect", "FILE [options]",   ABOUT, EXAMPLES,
                             options,   CLI_COUNT(options), 1};
    const char *positional[1];
    size_t n;
    int status = cli_parse(&usage, argc, argv, positional, &n);
    if (status == CLI_CONTINUE && n == 0) {
        return cli_bad_usage("inspect", "expected a file");
    }
    o->path = positional[0];
    return status;
}

static double count_weights(const rusk_tensor_info *t) {
    double n = 1;
    for (uint32_t i = 0; i < t->n_dims; i++) {
        n *= (double)t->shape[i];
    }
    return n;
}

/* Entropies of all tensors, NAN where not asked for; for free(). *status says why NULL. */
static double *measure(const rusk_file *file, const inspect_options *o, const rusk_file_info *info,
                       int *status) {
    double *entropies = malloc((info->n_tensors + 1) * sizeof *entropies);
    cli_progress progress;
    rusk_error err = {0};
    *status = CLI_OK;
    if (entropies == NULL) {
        cli_message("out of memory for %zu tensors", info->n_tensors);
        *status = CLI_FAILURE;
        return NULL;
    }
    cli_progress_begin(&progress, false);
    for (size_t i = 0; i < info->n_tensors && *status == CLI_OK; i++) {
        entropies[i] = NAN;
        if (o->no_entropy) {
            continue;
        }
        if (!cli_progress_step(&progress, "measuring", i, info->n_tensors)) {
            *status = 128 + cli_interrupted();
        } else if (rusk_file_tensor_entropy(file, i, &entropies[i], &err) != RUSK_OK) {
            cli_progress_end(&progress);
            *status = cli_failed(&err);
        }
    }
    cli_progress_end(&progress);
    if (*status != CLI_OK) {
        free(entropies);
        return NULL;
    }
    return entropies;
}

static void add(totals *sum, const rusk_tensor_info *t, double entropy) {
    sum->bytes += t->bytes;
    if (isfinite(entropy)) {
        double n = count_weights(t);
        sum->entropy_bits += entropy * n;
        sum->n_weights += n;
    }
}

static double mean_entropy(const totals *sum) {
    return sum->n_weights > 0 ? sum->entropy_bits / sum->n_weights : NAN;
}

static json_t *tensor_json(const rusk_tensor_info *t, double entropy) {
    json_t *d = json_object(), *shape = json_array();
    for (uint32_t i = 0; i < t->n_dims; i++) {
        json_array_append_new(shape, json_integer((json_int_t)t->shape[i]));
    }
    json_object_set_new(d, "name", cli_json_text(t->name));
    json_object_set_new(d, "role", cli_json_text(t->role));
    json_object_set_new(d, "shape", shape);
    json_object_set_new(d, "type", cli_json_text(t->type));
    json_object_set_new(d, "codec", cli_json_text(t->codec));
    json_object_set_new(d, "bytes", json_integer((json_int_t)t->bytes));
    json_object_set_new(d, "bits_per_weight", cli_json_real(t->bits_per_weight));
    json_object_set_new(d, "entropy", cli_json_real(entropy));
    return d;
}

/* Metadata as a list of pairs would be exact; an object is handier, and keys are unique. A key that
 * is not UTF-8 is repaired. */
static int metadata_json(const rusk_file *file, size_t n, json_t *into) {
    rusk_error err = {0};
    char value[VALUE_CAP];
    for (size_t i = 0; i < n; i++) {
        const char *key;
        if (rusk_file_get_metadata(file, i, &key, value, sizeof value, &err) != RUSK_OK) {
            return cli_failed(&err);
        }
        json_t *name = cli_json_text(key);
        if (json_is_string(name)) {
            json_object_set_new(into, json_string_value(name), cli_json_text(value));
        }
        json_decref(name);
    }
    return CLI_OK;
}

static int print_json(const rusk_file *file, const rusk_file_info *info, const double *entropies) {
    json_t *d = json_object(), *metadata = json_object(), *tensors = json_array();
    rusk_error err = {0};
    totals sum = {0};
    json_object_set_new(d, "path", cli_json_text(info->path));
    json_object_set_new(d, "format", cli_json_text(info->format));
    json_object_set_new(d, "format_version", json_integer(info->format_version));
    json_object_set_new(d, "architecture", cli_json_text(info->architecture));
    json_object_set_new(d, "file_bytes", json_integer((json_int_t)info->file_bytes));
    json_object_set_new(d, "parameters", json_integer((json_int_t)info->n_parameters));
    json_object_set_new(d, "bits_per_weight", cli_json_real(info->bits_per_weight));
    json_object_set_new(d, "metadata", metadata);
    json_object_set_new(d, "tensors", tensors);
    int status = metadata_json(file, info->n_metadata, metadata);
    for (size_t i = 0; i < info->n_tensors && status == CLI_OK; i++) {
        rusk_tensor_info t;
        if (rusk_file_get_tensor(file, i, &t, &err) != RUSK_OK) {
            status = cli_failed(&err);
        } else {
            add(&sum, &t, entropies[i]);
            json_array_append_new(tensors, tensor_json(&t, entropies[i]));
        }
    }
    if (status != CLI_OK) {
        json_decref(d);
        return status;
    }
    json_object_set_new(d, "tensor_bytes", json_integer((json_int_t)sum.bytes));
    json_object_set_new(d, "entropy", cli_json_real(mean_entropy(&sum)));
    return cli_print_json(d);
}

static int print_head(const rusk_file *file, const rusk_file_info *info) {
    rusk_error err = {0};
    char value[VALUE_CAP], size[32];
    cli_print_text(info->path, 0);
    printf(": %s version %u, architecture ", info->format, info->format_version);
    cli_print_text(info->architecture[0] != '\0' ? info->architecture : "not stated", 0);
    printf("\n%s, %llu parameters, %.3f bits/weight, %zu tensors\n\n",
           cli_bytes_text(info->file_bytes, size), (unsigned long long)info->n_parameters,
           info->bits_per_weight, info->n_tensors);
    for (size_t i = 0; i < info->n_metadata; i++) {
        const char *key;
        if (rusk_file_get_metadata(file, i, &key, value, sizeof value, &err) != RUSK_OK) {
            return cli_failed(&err);
        }
        cli_print_text(key, strlen(key) < 40 ? 40 : 0);
        putchar(' ');
        cli_print_text(value, strlen(value) > VALUE_COLUMNS ? VALUE_COLUMNS : 0);
        printf("%s\n", strlen(value) > VALUE_COLUMNS ? " ..." : "");
    }
    return cli_flush();
}

static void print_entropy(double entropy) {
    if (isfinite(entropy)) {
        printf(" %7.3f\n", entropy);
    } else {
        printf(" %7s\n", "-");
    }
}

static int print_tensors(const rusk_file *file, const rusk_file_info *info,
                         const double *entropies) {
    rusk_error err = {0};
    totals sum = {0};
    printf("\n%-28s %-16s %-16s %-6s %-6s %12s %7s %7s\n", "tensor", "role", "shape", "type",
           "codec", "bytes", "bits/w", "entropy");
    for (size_t i = 0; i < info->n_tensors; i++) {
        rusk_tensor_info t;
        char shape[96] = "";
        if (rusk_file_get_tensor(file, i, &t, &err) != RUSK_OK) {
            return cli_failed(&err);
        }
        for (uint32_t k = 0; k < t.n_dims; k++) {
            size_t used = strlen(shape);
            (void)snprintf(shape + used, sizeof shape - used, "%s%llu", k == 0 ? "" : " x ",
                           (unsigned long long)t.shape[k]);
        }
        cli_print_text(t.name, strlen(t.name) < 28 ? 28 : 0);
        putchar(' ');
        cli_print_text(t.role, strlen(t.role) < 16 ? 16 : 0);
        printf(" %-16s %-6s %-6s %12llu %7.3f", shape, t.type, t.codec, (unsigned long long)t.bytes,
               t.bits_per_weight);
        print_entropy(entropies[i]);
        add(&sum, &t, entropies[i]);
    }
    double weights = info->n_parameters > 0 ? (double)info->n_parameters : 1;
    printf("%-76s %12llu %7.3f", "all tensors", (unsigned long long)sum.bytes,
           8 * (double)sum.bytes / weights);
    print_entropy(mean_entropy(&sum));
    printf("%-76s %12llu %7.3f\n", "file", (unsigned long long)info->file_bytes,
           info->bits_per_weight);
    return cli_flush();
}

int cli_cmd_inspect(int argc, char **argv) {
    inspect_options o = {0};
    rusk_file *file;
    rusk_file_info info;
    rusk_error err = {0};
    int status = parse(argc, argv, &o);
    if (status != CLI_CONTINUE) {
        return status;
    }
    if (rusk_file_open(&file, o.path, NULL, &err) != RUSK_OK) {
        return cli_failed(&err);
    }
    rusk_file_get_info(file, &info);
    double *entropies = measure(file, &o, &info, &status);
    if (entropies != NULL && o.json) {
        status = print_json(file, &info, entropies);
    } else if (entropies != NULL) {
        status = print_head(file, &info);
        if (status == CLI_OK) {
            status = print_tensors(file, &info, entropies);
        }
    }
    free(entropies);
    rusk_file_close(file);
    return status;
}
