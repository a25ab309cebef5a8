#include "support/test.h"
#include "text/tokenizer.h"

static const char SMOLLM2[] =
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are helpful, named Smol<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
static const char ESCAPED[] =
    "{{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}"
    "{{- '<|im_start|>system\\nIt\\'s me.\\n<|im_end|>\\n' }}";
static const char PLAIN[] = "{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}"
                            "{{ '<|im_start|>system\\n' + x + '<|im_end|>\\n' }}";
static const char GEMMA[] = "{{ bos_token }}{{ '<start_of_turn>' + role }}";

static const rusk_chat_message HELLO[] = {{"user", "Hi", 2}};
static const rusk_chat_message FULL[] = {
    {"system", "Be brief.", 9}, {"user", " a\n", 3}, {"assistant", "b", 1}, {"user", "c\0d", 3}};

static void check(const char *chat_template, const rusk_chat_message *m, size_t n, bool add,
                  const char *expected, size_t n_expected) {
    rusk_alloc alloc;
    rusk_error err;
    rusk_strbuf out;
    rusk_alloc_init(&alloc, NULL);
    rusk_strbuf_init(&out, &alloc, RUSK_MEM_SCRATCH);
    CHECK_OK(rusk_chat_layout(chat_template, strlen(chat_template), m, n, add, &out, &err), &err);
    CHECK_EQ(out.len_bytes, n_expected);
    CHECK_MEM(out.data, expected, n_expected);
    rusk_strbuf_finish(&out);
}
#define CHECK_LAYOUT(t, m, n, add, expected) check(t, m, n, add, expected, sizeof expected - 1)

TEST(chatml) {
    CHECK_LAYOUT(SMOLLM2, HELLO, 1, true,
                 "<|im_start|>system\nYou are helpful, named Smol<|im_end|>\n"
                 "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
    CHECK_LAYOUT(SMOLLM2, FULL, 4, false,
                 "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n a\n<|im_end|>\n"
                 "<|im_start|>assistant\nb<|im_end|>\n<|im_start|>user\nc\0d<|im_end|>\n");
    CHECK_LAYOUT(SMOLLM2, FULL, 0, true, "<|im_start|>assistant\n");
}

TEST(default_system_message_of_a_template) {
    CHECK_LAYOUT(ESCAPED, HELLO, 1, false,
                 "<|im_start|>system\nIt's me.\n<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n");
    CHECK_LAYOUT(PLAIN, HELLO, 1, false, "<|im_start|>user\nHi<|im_end|>\n");
}

/* A megabyte of messages that begin and do not end takes a look at each byte, not at each pair. */
TEST(a_template_of_many_beginnings) {
    static const char BEGIN[] = "'<|im_start|>system\\n", END[] = "a<|im_end|>";
    enum { N = 50000 };
    static char text[N * (sizeof BEGIN - 1) + sizeof END];
    for (size_t i = 0; i < N; i++) {
        memcpy(text + i * (sizeof BEGIN - 1), BEGIN, sizeof BEGIN - 1);
    }
    memcpy(text + N * (sizeof BEGIN - 1), END, sizeof END);
    CHECK_LAYOUT(text, HELLO, 1, false,
                 "<|im_start|>system\na<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n");
}

TEST(gemma) {
    CHECK_LAYOUT(GEMMA, HELLO, 1, true,
                 "<start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n");
    CHECK_LAYOUT(GEMMA, FULL, 4, false,
                 "<start_of_turn>user\nBe brief.\n\na<end_of_turn>\n"
                 "<start_of_turn>model\nb<end_of_turn>\n<start_of_turn>user\nc\0d<end_of_turn>\n");
}

static rusk_status lay_out(const char *t, size_t n_t, const rusk_chat_message *m, size_t n,
                           rusk_error *err) {
    rusk_alloc alloc;
    rusk_strbuf out;
    rusk_alloc_init(&alloc, NULL);
    rusk_strbuf_init(&out, &alloc, RUSK_MEM_SCRATCH);
    rusk_status status = rusk_chat_layout(t, n_t, m, n, true, &out, err);
    rusk_strbuf_finish(&out);
    return status;
}

TEST(what_cannot_be_laid_out) {
    rusk_error err;
    const rusk_chat_message tool[] = {{"tool", "x", 1}}, nobody[] = {{NULL, "x", 1}};
    CHECK_FAILS(lay_out(NULL, 0, HELLO, 1, &err), RUSK_UNSUPPORTED, &err, "found none");
    CHECK_FAILS(lay_out("[INST]", 6, HELLO, 1, &err), RUSK_UNSUPPORTED, &err, "found '[INST]");
    CHECK_FAILS(lay_out("<|im_start|", 11, HELLO, 1, &err), RUSK_UNSUPPORTED, &err, "expected");
    CHECK_FAILS(lay_out(GEMMA, sizeof GEMMA - 1, tool, 1, &err), RUSK_INVALID_ARGUMENT, &err,
                "message 0: expected the role user or assistant");
    CHECK_FAILS(lay_out(GEMMA, sizeof GEMMA - 1, FULL, 1, &err), RUSK_INVALID_ARGUMENT, &err,
                "system before a user message");
    CHECK_FAILS(lay_out(SMOLLM2, sizeof SMOLLM2 - 1, nobody, 1, &err), RUSK_INVALID_ARGUMENT, &err,
                "found NULL");
}

TEST(no_memory) {
    test_failing_alloc f;
    rusk_alloc alloc;
    rusk_error err;
    rusk_strbuf out;
    test_failing_alloc_init(&f, 1);
    rusk_alloc_init(&alloc, &f.allocator);
    rusk_strbuf_init(&out, &alloc, RUSK_MEM_SCRATCH);
    CHECK_FAILS(rusk_chat_layout(GEMMA, sizeof GEMMA - 1, HELLO, 1, true, &out, &err),
                RUSK_NO_MEMORY, &err, "the conversation");
    CHECK_EQ(f.n_live, 0);
}

TEST_MAIN(CASE(chatml), CASE(default_system_message_of_a_template),
          CASE(a_template_of_many_beginnings), CASE(gemma), CASE(what_cannot_be_laid_out),
          CASE(no_memory))
