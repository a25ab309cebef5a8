#include "base/io.h"

#include <sys/stat.h>

#include "support/test.h"

TEST(same_file) {
    const char *a = test_path("a"), *b = test_path("b");
    test_write_file(a, "1", 1);
    CHECK(rusk_same_file(a, a));
    CHECK(!rusk_same_file(a, b));
    test_write_file(b, "1", 1);
    CHECK(!rusk_same_file(a, b));
}

/* A pipe that nobody writes to is refused, not waited for. */
TEST(only_files_open) {
    const char *pipe = test_path("pipe"), *dir = test_path("dir");
    rusk_alloc alloc;
    rusk_input in;
    rusk_output out;
    rusk_error err;
    rusk_alloc_init(&alloc, NULL);
    CHECK_EQ(mkfifo(pipe, 0600), 0);
    CHECK_EQ(mkdir(dir, 0700), 0);
    CHECK_FAILS(rusk_input_open(&in, &alloc, pipe, &err), RUSK_IO, &err, "a device or pipe");
    CHECK_FAILS(rusk_input_open(&in, &alloc, dir, &err), RUSK_IO, &err, "a directory");
    CHECK_FAILS(rusk_input_open(&in, &alloc, test_path("none"), &err), RUSK_NOT_FOUND, &err,
                "cannot open");
    CHECK_FAILS(rusk_output_open(&out, &alloc, pipe, &err), RUSK_IO, &err, "a device or pipe");
    CHECK_EQ(alloc.bytes_total, 0);
    test_write_file(test_path("file"), "abc", 3);
    char text[3];
    CHECK_OK(rusk_input_open(&in, &alloc, test_path("file"), &err), &err);
    CHECK_OK(rusk_input_read(&in, 1, text, 2, &err), &err);
    CHECK_MEM(text, "bc", 2);
    CHECK_FAILS(rusk_input_read(&in, 2, text, 2, &err), RUSK_FORMAT, &err, "ends at 3");
    rusk_input_close(&in);
    CHECK_EQ(alloc.bytes_total, 0);
}

TEST_MAIN(CASE(same_file), CASE(only_files_open))
