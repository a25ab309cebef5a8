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
    "an entropy coder can make a tensor as it is; it needs a pass over the data. For coded tensors "
    "a\n"
    "second table has what coding takes above that, and for what.";

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

/* What inspecting a tensor's data gave; entropy_bits is NAN where it was not read. */
typedef rusk_tensor_coding coding;

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

/* Of all tensors; for free(). *status says why NULL. */
static coding *measure(const rusk_file *file, const inspect_options *o, const rusk_file_info *info,
                       int *status) {
    coding *codings = calloc(info->n_tensors + 1, sizeof *codings);
    cli_progress progress;
    rusk_error err = {0};
    *status = CLI_OK;
    if (codings == NULL) {
        cli_message("out of memory for %zu tensors", info->n_tensors);
        *status = CLI_FAILURE;
        return NULL;
    }
    cli_progress_begin(&progress, false);
    for (size_t i = 0; i < info->n_tensors && *status == CLI_OK; i++) {
        codings[i].entropy_bits = NAN;
        if (o->no_entropy) {
            continue;
        }
        if (!cli_progress_step(&progress, "measuring", i, info->n_tensors)) {
            *status = 128 + cli_interrupted();
        } else if (rusk_file_tensor_coding(file, i, &codings[i], &err) != RUSK_OK) {
            cli_progress_end(&progress);
            *status = cli_failed(&err);
        }
    }
    cli_progress_end(&progress);
    if (*status != CLI_OK) {
        free(codings);
        return NULL;
    }
    return codings;
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

/* Adds a coded tensor to the sum, whose entropy_bits are bits here, not bits per weight. */
static void add_coding(coding *sum, const rusk_tensor_info *t, const coding *c) {
    sum->entropy_bits += c->entropy_bits * count_weights(t);
    sum->n_blocks += c->n_blocks;
    sum->coded_bytes += c->coded_bytes;
    sum->payload_bytes += c->payload_bytes;
    sum->patch_bytes += c->patch_bytes;
    sum->table_bytes += c->table_bytes;
    sum->class_bytes += c->class_bytes;
    sum->index_bytes += c->index_bytes;
    sum->padding_bytes += c->padding_bytes;
    sum->state_bytes += c->state_bytes;
}

/* The sum, per weight again; n_blocks is 0 where nothing is coded. */
static coding sum_codings(const rusk_file *file, const rusk_file_info *info, const coding *codings,
                          double *n_weights) {
    coding sum = {.n_blocks = 0};
    *n_weights = 0;
    for (size_t i = 0; i < info->n_tensors; i++) {
        rusk_tensor_info t;
        if (codings[i].n_blocks > 0 && rusk_file_get_tensor(file, i, &t, NULL) == RUSK_OK) {
            add_coding(&sum, &t, &codings[i]);
            *n_weights += count_weights(&t);
        }
    }
    if (sum.entropy_bits > 0) {
        sum.overhead = 8 * (double)sum.coded_bytes / sum.entropy_bits - 1;
        sum.entropy_bits /= *n_weights;
    }
    return sum;
}

static json_t *coding_json(const coding *c, double n_weights) {
    if (c->n_blocks == 0) {
        return json_null();
    }
    json_t *d = json_object();
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {
        {"blocks", c->n_blocks},
        {"coded_bytes", c->coded_bytes},
        {"payload_bytes", c->payload_bytes},
        {"patch_bytes", c->patch_bytes},
        {"table_bytes", c->table_bytes},
        {"class_bytes", c->class_bytes},
        {"index_bytes", c->index_bytes},
        {"padding_bytes", c->padding_bytes},
    };
    json_object_set_new(d, "entropy_bytes", cli_json_real(c->entropy_bits * n_weights / 8));
    for (size_t i = 0; i < CLI_COUNT(counts); i++) {
        json_object_set_new(d, counts[i].name, json_integer((json_int_t)counts[i].value));
    }
    json_object_set_new(d, "state_bytes", cli_json_real(c->state_bytes));
    json_object_set_new(d, "overhead", cli_json_real(c->overhead));
    return d;
}

static json_t *tensor_json(const rusk_tensor_info *t, const coding *c) {
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
    json_object_set_new(d, "entropy", cli_json_real(c->entropy_bits));
    json_object_set_new(d, "coding", coding_json(c, count_weights(t)));
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

static int print_json(const rusk_file *file, const rusk_file_info *info, const coding *codings) {
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
            add(&sum, &t, codings[i].entropy_bits);
            json_array_append_new(tensors, tensor_json(&t, &codings[i]));
        }
    }
    if (status != CLI_OK) {
        json_decref(d);
        return status;
    }
    json_object_set_new(d, "tensor_bytes", json_integer((json_int_t)sum.bytes));
    double n_weights;
    const coding all = sum_codings(file, info, codings, &n_weights);
    json_object_set_new(d, "entropy", cli_json_real(mean_entropy(&sum)));
    json_object_set_new(d, "coding", coding_json(&all, n_weights));
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

static int print_tensors(const rusk_file *file, const rusk_file_info *info, const coding *codings) {
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
        print_entropy(codings[i].entropy_bits);
        add(&sum, &t, codings[i].entropy_bits);
    }
    double weights = info->n_parameters > 0 ? (double)info->n_parameters : 1;
    printf("%-76s %12llu %7.3f", "all tensors", (unsigned long long)sum.bytes,
           8 * (double)sum.bytes / weights);
    print_entropy(mean_entropy(&sum));
    printf("%-76s %12llu %7.3f\n", "file", (unsigned long long)info->file_bytes,
           info->bits_per_weight);
    return cli_flush();
}

static void print_coding(const char *name, const char *codec, const coding *c, double n_weights) {
    const double entropy = c->entropy_bits * n_weights / 8,
                 percent = entropy > 0 ? 100 / entropy : 0;
    const double payload = (double)c->payload_bytes;
    cli_print_text(name, strlen(name) < 28 ? 28 : 0);
    printf(" %-6s %12llu %8.4f %8.4f %7.2f %7.2f %7.2f %7.2f %7.2f %7.2f %7.2f %7.2f\n", codec,
           (unsigned long long)c->coded_bytes, c->entropy_bits,
           8 * (double)c->coded_bytes / n_weights, 100 * c->overhead,
           percent * (payload - c->state_bytes - entropy), percent * c->state_bytes,
           percent * (double)c->patch_bytes, percent * (double)c->table_bytes,
           percent * (double)c->class_bytes, percent * (double)c->index_bytes,
           percent * (double)c->padding_bytes);
}

/* Coded tensors: bits per weight, and above the entropy in percent of it. */
static int print_codings(const rusk_file *file, const rusk_file_info *info, const coding *codings) {
    double n_weights;
    const coding all = sum_codings(file, info, codings, &n_weights);
    if (all.n_blocks == 0) {
        return CLI_OK;
    }
    printf("\n%-28s %-6s %12s %8s %8s %7s %7s %7s %7s %7s %7s %7s %7s\n", "above the entropy, in %",
           "codec", "coded bytes", "entropy", "coded", "all", "model", "states", "patches",
           "tables", "classes", "index", "padding");
    for (size_t i = 0; i < info->n_tensors; i++) {
        rusk_tensor_info t;
        if (codings[i].n_blocks > 0 && rusk_file_get_tensor(file, i, &t, NULL) == RUSK_OK) {
            print_coding(t.name, t.codec, &codings[i], count_weights(&t));
        }
    }
    print_coding("all coded tensors", "", &all, n_weights);
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
    coding *codings = measure(file, &o, &info, &status);
    if (codings != NULL && o.json) {
        status = print_json(file, &info, codings);
    } else if (codings != NULL) {
        status = print_head(file, &info);
        if (status == CLI_OK) {
            status = print_tensors(file, &info, codings);
        }
        if (status == CLI_OK) {
            status = print_codings(file, &info, codings);
        }
    }
    free(codings);
    rusk_file_close(file);
    return status;
}
