/* chat.c - conversations as the model saw them in training.
 *
 * A template is a Jinja program; the two formats most models use are told apart by their markers
 * and laid out here:
 *     ChatML   <|im_start|>ROLE\nCONTENT<|im_end|>\n ...
 *     Gemma    <start_of_turn>user|model\nCONTENT<end_of_turn>\n ...  (content trimmed) */
#include <ctype.h>
#include <string.h>

#include "text/tokenizer.h"

typedef struct span {
    const char *data;
    size_t len_bytes;
} span;

static span find(span in, const char *text) {
    size_t n = strlen(text);
    for (size_t at = 0; at + n <= in.len_bytes; at++) {
        if (memcmp(in.data + at, text, n) == 0) {
            return (span){in.data + at, in.len_bytes - at};
        }
    }
    return (span){NULL, 0};
}

/* --- ChatML ---------------------------------------------------------------------------------- */

/* Bytes of a literal's text from `in` up to <|im_end|>; 0 where the quote ends it before. Goes no
 * further than that quote: the next message to look at begins behind it. */
static size_t literal_bytes(span in, char quote) {
    static const char END[] = "<|im_end|>";
    for (size_t i = 0; i + sizeof END - 1 <= in.len_bytes; i++) {
        if (memcmp(in.data + i, END, sizeof END - 1) == 0) {
            return i;
        }
        if (in.data[i] == quote && (i == 0 || in.data[i - 1] != '\\')) {
            break;
        }
    }
    return 0;
}

/* A system message that a template brings along stands there as one literal,
 *     '<|im_start|>system\nYou are ...<|im_end|>\n'
 * with its line breaks as they are or escaped. Returns what is between, or NULL: the literal ends
 * before <|im_end|> where the message is an expression. */
static span default_system(span template) {
    static const char START[] = "<|im_start|>system";
    span at = template;
    while ((at = find(at, START)).data != NULL) {
        char quote = at.data > template.data ? at.data[-1] : '\0';
        at.data += sizeof START - 1;
        at.len_bytes -= sizeof START - 1;
        size_t skip = at.len_bytes >= 2 && memcmp(at.data, "\\n", 2) == 0 ? 2
                      : at.len_bytes >= 1 && at.data[0] == '\n'           ? 1
                                                                          : 0;
        if (skip > 0 && (quote == '\'' || quote == '"')) {
            span text = {at.data + skip, at.len_bytes - skip};
            text.len_bytes = literal_bytes(text, quote);
            if (text.len_bytes > 0) {
                return text;
            }
        }
    }
    return (span){NULL, 0};
}

/* Jinja's string escapes. */
static void add_unescaped(rusk_strbuf *out, span text) {
    for (size_t i = 0; i < text.len_bytes; i++) {
        char c = text.data[i];
        if (c == '\\' && i + 1 < text.len_bytes) {
            c = text.data[++i];
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c;
        }
        rusk_strbuf_add(out, &c, 1);
    }
}

static void lay_out_chatml(span template, const rusk_chat_message *messages, size_t n_messages,
                           bool add_assistant, rusk_strbuf *out) {
    span system = default_system(template);
    if (system.data != NULL && n_messages > 0 && strcmp(messages[0].role, "system") != 0) {
        rusk_strbuf_add_text(out, "<|im_start|>system\n");
        add_unescaped(out, system);
        rusk_strbuf_add_text(out, "<|im_end|>\n");
    }
    for (size_t i = 0; i < n_messages; i++) {
        rusk_strbuf_add_text(out, "<|im_start|>");
        rusk_strbuf_add_text(out, messages[i].role);
        rusk_strbuf_add_text(out, "\n");
        rusk_strbuf_add(out, messages[i].content, messages[i].content_bytes);
        rusk_strbuf_add_text(out, "<|im_end|>\n");
    }
    if (add_assistant) {
        rusk_strbuf_add_text(out, "<|im_start|>assistant\n");
    }
}

/* --- Gemma ----------------------------------------------------------------------------------- */

static span trim(const rusk_chat_message *m) {
    span s = {m->content, m->content_bytes};
    while (s.len_bytes > 0 && isspace((unsigned char)s.data[0])) {
        s.data++;
        s.len_bytes--;
    }
    while (s.len_bytes > 0 && isspace((unsigned char)s.data[s.len_bytes - 1])) {
        s.len_bytes--;
    }
    return s;
}

static rusk_status lay_out_gemma(const rusk_chat_message *messages, size_t n_messages,
                                 bool add_assistant, rusk_strbuf *out, rusk_error *err) {
    const rusk_chat_message *system = NULL;
    for (size_t i = 0; i < n_messages; i++) {
        const rusk_chat_message *m = &messages[i];
        bool user = strcmp(m->role, "user") == 0, model = strcmp(m->role, "assistant") == 0;
        if (strcmp(m->role, "system") == 0 && i + 1 < n_messages &&
            strcmp(m[1].role, "user") == 0) {
            system = m;
            continue;
        }
        if (!user && !model) {
            return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                             "message %zu: expected the role user or assistant, or system before a "
                             "user message, found '%.40s'",
                             i, m->role);
        }
        rusk_strbuf_add_text(out, user ? "<start_of_turn>user\n" : "<start_of_turn>model\n");
        if (system != NULL) {
            rusk_strbuf_add(out, system->content, system->content_bytes);
            rusk_strbuf_add_text(out, "\n\n");
            system = NULL;
        }
        span text = trim(m);
        rusk_strbuf_add(out, text.data, text.len_bytes);
        rusk_strbuf_add_text(out, "<end_of_turn>\n");
    }
    if (add_assistant) {
        rusk_strbuf_add_text(out, "<start_of_turn>model\n");
    }
    return RUSK_OK;
}

rusk_status rusk_chat_layout(const char *chat_template, size_t template_bytes,
                             const rusk_chat_message *messages, size_t n_messages,
                             bool add_assistant, rusk_strbuf *out, rusk_error *err) {
    span template = {chat_template, template_bytes};
    if (chat_template == NULL || template_bytes == 0) {
        return rusk_fail(err, RUSK_UNSUPPORTED, RUSK_NO_OFFSET,
                         "chat: expected a model with a chat template, found none");
    }
    for (size_t i = 0; i < n_messages; i++) {
        if (messages[i].role == NULL ||
            (messages[i].content == NULL && messages[i].content_bytes > 0)) {
            return rusk_fail(err, RUSK_INVALID_ARGUMENT, RUSK_NO_OFFSET,
                             "message %zu: expected a role and content, found NULL", i);
        }
    }
    if (find(template, "<|im_start|>").data != NULL) {
        lay_out_chatml(template, messages, n_messages, add_assistant, out);
    } else if (find(template, "<start_of_turn>").data != NULL) {
        RUSK_TRY(lay_out_gemma(messages, n_messages, add_assistant, out, err));
    } else {
        return rusk_fail(err, RUSK_UNSUPPORTED, RUSK_NO_OFFSET,
                         "chat template: expected ChatML (<|im_start|>) or Gemma's "
                         "(<start_of_turn>), found '%.*s...'",
                         (int)(template_bytes < 60 ? template_bytes : 60), chat_template);
    }
    return out->failed ? rusk_fail_memory(err, out->len_bytes, "the conversation") : RUSK_OK;
}
