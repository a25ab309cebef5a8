/* consumer.c - a program outside the tree: it has rusk.h and what pkg-config says, nothing else. */
#include <rusk.h>
#include <stdio.h>
#include <string.h>

int main(void) {
    rusk_file *file;
    rusk_error err;
    rusk_pack_options options;
    char expected[32];
    (void)snprintf(expected, sizeof expected, "%d.%d.%d", RUSK_VERSION_MAJOR, RUSK_VERSION_MINOR,
                   RUSK_VERSION_PATCH);
    rusk_pack_options_default(&options);
    if (strcmp(rusk_version(), expected) != 0 || options.struct_size != sizeof options) {
        fprintf(stderr, "header %s and library %s do not match\n", expected, rusk_version());
        return 1;
    }
    if (rusk_file_open(&file, "/nonexistent/model.gguf", NULL, &err) != RUSK_NOT_FOUND ||
        file != NULL) {
        fprintf(stderr, "expected 'not found' for a file that is not there\n");
        return 1;
    }
    printf("librusk %s: %s\n", rusk_version(), err.message);
    return 0;
}
