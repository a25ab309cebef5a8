/* main.c - rusk: the command line over librusk. Finds the command and hands over. */
#include <string.h>

#include "cli.h"

static const cli_command COMMANDS[] = {
    {"pack", "compress a model: quantize it, then entropy-code it", cli_cmd_pack},
    {"run", "answer one prompt", cli_cmd_run},
    {"chat", "talk with a model", cli_cmd_chat},
    {"eval", "perplexity of a text, KL divergence from a reference model", cli_cmd_eval},
    {"inspect", "what stands in a model file, tensor by tensor", cli_cmd_inspect},
    {"bench", "speed of prefill, decode and the codecs", cli_cmd_bench},
    {"tokenize", "token ids of a text", cli_cmd_tokenize},
    {"export", "write a model as F16 GGUF, for other engines", cli_cmd_export},
};

static void print_usage(FILE *out) {
    fprintf(out, "rusk %s - language models, compressed twice\n\n", rusk_version());
    fprintf(out, "Usage: rusk COMMAND [arguments]\n\nCommands:\n");
    for (size_t i = 0; i < CLI_COUNT(COMMANDS); i++) {
        fprintf(out, "  %-10s %s\n", COMMANDS[i].name, COMMANDS[i].summary);
    }
    fprintf(out, "  %-10s this text, or that of a command: rusk help pack\n\n", "help");
    fprintf(out, "A model is a GGUF file or a .rusk file. To begin with:\n"
                 "  rusk pack model.gguf -o model.rusk\n"
                 "  rusk run model.rusk \"Why is the sky blue?\"\n");
}

static const cli_command *find_command(const char *name) {
    for (size_t i = 0; i < CLI_COUNT(COMMANDS); i++) {
        if (strcmp(name, COMMANDS[i].name) == 0) {
            return &COMMANDS[i];
        }
    }
    return NULL;
}

static int unknown_command(const char *name) {
    const char *names[CLI_COUNT(COMMANDS)];
    for (size_t i = 0; i < CLI_COUNT(COMMANDS); i++) {
        names[i] = COMMANDS[i].name;
    }
    const char *near = cli_nearest(name, names, CLI_COUNT(COMMANDS));
    cli_message("unknown command '%s'%s%s%s", name, near != NULL ? "; did you mean '" : "",
                near != NULL ? near : "", near != NULL ? "'?" : "");
    fprintf(stderr, "Try 'rusk help'.\n");
    return CLI_USAGE;
}

static int help(int argc, char **argv) {
    if (argc < 2) {
        print_usage(stdout);
        return CLI_OK;
    }
    const cli_command *command = find_command(argv[1]);
    if (command == NULL) {
        return unknown_command(argv[1]);
    }
    char *const arguments[] = {argv[1], "--help", NULL};
    return command->run(2, (char **)arguments);
}

static int dispatch(int argc, char **argv) {
    if (argc < 2) {
        print_usage(stderr);
        return CLI_USAGE;
    }
    const char *first = argv[1];
    if (strcmp(first, "help") == 0 || strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0) {
        return help(argc - 1, argv + 1);
    }
    if (strcmp(first, "--version") == 0 || strcmp(first, "version") == 0) {
        printf("rusk %s\n", rusk_version());
        return CLI_OK;
    }
    const cli_command *command = find_command(first);
    return command == NULL ? unknown_command(first) : command->run(argc - 1, argv + 1);
}

int main(int argc, char **argv) {
    cli_system_init();
    int status = dispatch(argc, argv);
    int flushed = cli_flush();
    return status == CLI_OK ? flushed : status;
}
