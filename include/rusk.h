/* rusk.h - the public interface of librusk.
 *
 * rusk opens a language model (GGUF, or its own container .rusk), packs it (quantization followed
 * by entropy coding) and runs it. This header is the manual: every declaration states shapes,
 * units, ranges, ownership and errors.
 *
 * Rules that hold everywhere
 *   - The library never prints, exits, or reads the environment. Paths are the caller's.
 *   - A function that can fail returns rusk_status. `err` may be NULL; on success it is untouched,
 *     on failure it carries a message that says what was expected, what was found and where.
 *   - Out parameters of create/open functions are set to NULL before any failure.
 *   - Options structs come from `*_options_default`; their first field `struct_size` lets the
 *     library accept callers compiled against an older header.
 *   - destroy/close functions accept NULL.
 *   - A rusk_model is immutable once open and may be shared between threads. A rusk_context,
 *     rusk_sampler or rusk_file belongs to one thread at a time.
 *   - Text is UTF-8, given as pointer and length; a NUL byte in it is an ordinary character.
 */
#ifndef RUSK_H
#define RUSK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RUSK_VERSION_MAJOR 0
#define RUSK_VERSION_MINOR 1
#define RUSK_VERSION_PATCH 0

#if defined(_WIN32)
#define RUSK_API
#else
#define RUSK_API __attribute__((visibility("default")))
#endif

/* ---------------------------------------------------------------------------------------------
 * Status and errors
 * ------------------------------------------------------------------------------------------- */

/* X(name, pinned number, text). Numbers never change; new ones are appended. */
#define RUSK_STATUS_LIST(X)                                                                        \
    X(OK, 0, "success")                                                                            \
    X(INVALID_ARGUMENT, 1, "invalid argument")                                                     \
    X(NO_MEMORY, 2, "out of memory")                                                               \
    X(IO, 3, "input/output error")                                                                 \
    X(NOT_FOUND, 4, "not found")                                                                   \
    X(FORMAT, 5, "malformed file")                                                                 \
    X(UNSUPPORTED, 6, "not supported")                                                             \
    X(DAMAGED, 7, "checksum mismatch")                                                             \
    X(LIMIT, 8, "limit exceeded")                                                                  \
    X(IMPOSSIBLE, 9, "target cannot be reached")                                                   \
    X(CANCELLED, 10, "cancelled")                                                                  \
    X(INTERNAL, 11, "internal error")

typedef enum rusk_status {
#define X(name, number, text) RUSK_##name = number,
    RUSK_STATUS_LIST(X)
#undef X
} rusk_status;

#define RUSK_NO_OFFSET UINT64_MAX

typedef struct rusk_error {
    rusk_status status;
    uint64_t offset;   /* byte position in the input, RUSK_NO_OFFSET where none applies */
    char message[512]; /* NUL-terminated, no trailing newline, always filled on failure */
} rusk_error;

/* Short constant text of a status; "unknown status" for a number not in the list. */
RUSK_API const char *rusk_status_text(rusk_status status);

/* "MAJOR.MINOR.PATCH" of the library that is linked. */
RUSK_API const char *rusk_version(void);

/* ---------------------------------------------------------------------------------------------
 * Memory and progress
 * ------------------------------------------------------------------------------------------- */

/* Where the library gets memory. `alloc` returns at least `size` bytes aligned as malloc does, or
 * NULL; `free` accepts what alloc gave. Both must be thread-safe. A NULL rusk_allocator means
 * malloc/free. */
typedef struct rusk_allocator {
    void *(*alloc)(void *user, size_t size);
    void (*free)(void *user, void *ptr);
    void *user;
} rusk_allocator;

/* X(name, text): what memory is for. One counter each; see rusk_memory_usage. */
#define RUSK_MEM_LIST(X)                                                                           \
    X(WEIGHTS, "weights")                                                                          \
    X(KV, "kv")                                                                                    \
    X(ACTIVATION, "activation")                                                                    \
    X(SCRATCH, "scratch")                                                                          \
    X(TABLES, "tables")                                                                            \
    X(TOKENIZER, "tokenizer")                                                                      \
    X(METADATA, "metadata")                                                                        \
    X(SERVER, "server")

typedef enum rusk_mem_tag {
#define X(name, text) RUSK_MEM_##name,
    RUSK_MEM_LIST(X)
#undef X
        RUSK_MEM_TAGS
} rusk_mem_tag;

typedef struct rusk_memory_usage {
    uint64_t bytes[RUSK_MEM_TAGS]; /* held now, by tag */
    uint64_t bytes_total;          /* sum of the above */
    uint64_t bytes_peak;           /* highest bytes_total so far */
} rusk_memory_usage;

/* Called now and then from the calling thread of a long operation: `done` of `total` units (bytes,
 * weights or tokens; total is constant during one stage). Return false to cancel: the operation
 * then cleans up and returns RUSK_CANCELLED. */
typedef bool (*rusk_progress)(void *user, const char *stage, uint64_t done, uint64_t total);

/* ---------------------------------------------------------------------------------------------
 * Files: what stands in a GGUF or .rusk file, without running it
 * ------------------------------------------------------------------------------------------- */

typedef struct rusk_file rusk_file;

#define RUSK_MAX_DIMS 4

typedef struct rusk_file_info {
    const char *path;
    const char *format;       /* "gguf" or "rusk" */
    uint32_t format_version;  /* of that format */
    const char *architecture; /* general.architecture, "" where absent */
    uint64_t file_bytes;
    uint64_t n_parameters;  /* elements of all tensors; a tied tensor counts once */
    double bits_per_weight; /* 8 * file_bytes / n_parameters: everything included */
    size_t n_tensors;
    size_t n_metadata;
} rusk_file_info;

typedef struct rusk_tensor_info {
    const char *name;
    const char *role; /* "token_embedding", "attn_q", ...; "" where the file does not say */
    uint32_t n_dims;
    uint64_t shape[RUSK_MAX_DIMS]; /* outermost first: {rows, columns} for a matrix */
    const char *type;              /* element type as stored: "Q4_1", "F16", "I8" (symbols) ... */
    const char *codec;             /* "none" for GGUF; "raw", "rans" ... for a .rusk file */
    uint64_t bytes;                /* stored, side information (scales, tables, offsets) included */
    double bits_per_weight;        /* 8 * bytes / elements */
} rusk_tensor_info;

/* Opens a GGUF (version 2 or 3) or .rusk file and validates its structure; tensor data is not read.
 * Errors: IO, FORMAT, UNSUPPORTED, DAMAGED (header or index), NO_MEMORY. */
RUSK_API rusk_status rusk_file_open(rusk_file **out, const char *path, const rusk_allocator *alloc,
                                    rusk_error *err);
RUSK_API void rusk_file_close(rusk_file *file);

/* Pointers in the info structs live as long as the file is open. */
RUSK_API void rusk_file_get_info(const rusk_file *file, rusk_file_info *info);
RUSK_API rusk_status rusk_file_get_tensor(const rusk_file *file, size_t index,
                                          rusk_tensor_info *info, rusk_error *err);

/* Key and value of a metadata entry as text (arrays abbreviated, as "[str x 49152] a, b, ..."). The
 * value is written to `buf` (NUL-terminated, cut where cap_bytes is too small). */
RUSK_API rusk_status rusk_file_get_metadata(const rusk_file *file, size_t index, const char **key,
                                            char *buf, size_t cap_bytes, rusk_error *err);

/* Order-0 entropy of a tensor's symbols in bits per weight: of the quantized codes where the tensor
 * is quantized (GGUF block types, .rusk symbols), of the bytes, times bytes per element, for float
 * types. Reads the tensor. Errors: INVALID_ARGUMENT, IO, DAMAGED, FORMAT, LIMIT (a row longer than
 * 2^28 bytes), NO_MEMORY. */
RUSK_API rusk_status rusk_file_tensor_entropy(const rusk_file *file, size_t index, double *bits,
                                              rusk_error *err);

/* What coding a tensor takes. The entropy is what no coder gets below that knows each row's class
 * and codes symbols one by one; everything above it is overhead. Row scales are no part of this:
 * they belong to the quantizer. */
typedef struct rusk_tensor_coding {
    double entropy_bits;    /* per weight, as rusk_file_tensor_entropy */
    uint64_t n_blocks;      /* 0: the tensor is not coded, and so are all of the following */
    uint64_t coded_bytes;   /* the sum of: */
    uint64_t payload_bytes; /* what the codec wrote for the blocks */
    uint64_t patch_bytes;   /* lists of symbols without a code, and outliers beyond +-127 */
    uint64_t table_bytes;   /* code tables; counted where they are used first */
    uint64_t class_bytes;   /* each row's class */
    uint64_t index_bytes;   /* offset and checksum of each block */
    uint64_t padding_bytes; /* between extents */
    double state_bytes; /* of payload_bytes: what blocks cost beside their symbols (coder states,
                           fill), by the codec's own account; what then is left above the entropy
                           is the excess of the codec's model */
    double overhead;    /* coded_bytes over the bytes of the entropy, less 1; 0 where that is 0 */
} rusk_tensor_coding;

/* Reads the tensor. Errors: as rusk_file_tensor_entropy. */
RUSK_API rusk_status rusk_file_tensor_coding(const rusk_file *file, size_t index,
                                             rusk_tensor_coding *coding, rusk_error *err);

/* ---------------------------------------------------------------------------------------------
 * Models
 * ------------------------------------------------------------------------------------------- */

typedef struct rusk_model rusk_model;

typedef struct rusk_model_options {
    size_t struct_size;
    const rusk_allocator *allocator; /* NULL: malloc/free; must outlive the model */
    /* Resident bytes that weights should take; 0: what `codec` says. Tensors of a .rusk file that
     * do not fit decoded stay coded and are decoded as they are used; what is coded or stored stays
     * in memory in any case (rusk_model_info.weights_bytes is what it came to). */
    uint64_t weights_bytes;
    uint32_t n_threads; /* for loading; 0: all CPUs this process may use */
    bool vocab_only;    /* tokenizer and metadata only; a context cannot be created */
    /* The form in memory of a .rusk file's tensors. Every form gives the same bits.
     *   NULL           as the file codes them, but "rans", which is for storage, transcoded to
     *                  "a16r"; decoded as far as weights_bytes (0: 1.3 x the file + 64 MB) allows
     *   "raw"          decoded, a byte a weight, as far as weights_bytes (0: all) allows
     *   another name   coded so (rusk_codec_name), transcoded where the file is not; decoded as far
     *                  as weights_bytes (0: none) allows
     * The tensors of a GGUF stay as they are stored. */
    const char *codec;
} rusk_model_options;

/* Name of a codec of this library, 0 ..; NULL at the end. */
RUSK_API const char *rusk_codec_name(size_t index);

typedef struct rusk_model_info {
    const char *architecture;
    const char *name; /* general.name, "" where absent */
    uint32_t n_layers, n_embd, n_heads, n_kv_heads, n_vocab;
    uint32_t n_ctx_train;
    uint64_t n_parameters; /* a tied tensor counts once */
    uint64_t file_bytes;
    uint64_t weights_bytes;        /* resident bytes of weights, the sum of the next four: */
    uint64_t weights_stored_bytes; /* as a GGUF has them */
    uint64_t weights_hot_bytes;    /* decoded, a byte a weight */
    uint64_t weights_warm_bytes;   /* coded, decoded as they are used */
    uint64_t weights_vector_bytes; /* norms and biases */
    const char *weights_codec;     /* of the coded ones; "" where there are none */
    bool has_chat_template;
} rusk_model_info;

RUSK_API void rusk_model_options_default(rusk_model_options *options);

/* Opens a model to run. Errors: as rusk_file_open; UNSUPPORTED (architecture, tensor type,
 * tokenizer), FORMAT (a tensor missing or of the wrong shape), DAMAGED (a block's checksum),
 * INVALID_ARGUMENT (an unknown codec). */
RUSK_API rusk_status rusk_model_open(rusk_model **out, const char *path,
                                     const rusk_model_options *options, rusk_error *err);
RUSK_API void rusk_model_close(rusk_model *model);
RUSK_API void rusk_model_get_info(const rusk_model *model, rusk_model_info *info);
RUSK_API void rusk_model_get_memory(const rusk_model *model, rusk_memory_usage *usage);

/* Writes the model's weights, dequantized, as an F16 GGUF with its metadata and tokenizer, so that
 * other engines can run it. Written under a temporary name and renamed: no partial file is left.
 * Errors: IO, UNSUPPORTED, NO_MEMORY, CANCELLED. */
RUSK_API rusk_status rusk_model_export_gguf(rusk_model *model, const char *path,
                                            rusk_progress progress, void *user, rusk_error *err);

/* ---------------------------------------------------------------------------------------------
 * Text
 * ------------------------------------------------------------------------------------------- */

#define RUSK_TOKEN_NONE (-1)

/* Flags of rusk_tokenize. */
#define RUSK_TOKENIZE_ADD_SPECIAL   1u /* BOS/EOS where the model asks for them */
#define RUSK_TOKENIZE_PARSE_SPECIAL 2u /* "<|im_start|>" in the text is the control token */

/* Text to token ids. Writes at most cap ids and sets *n to the number needed, also when cap is too
 * small (LIMIT). Text need not be valid UTF-8: an invalid byte is encoded as itself where the
 * vocabulary can (byte-level BPE, byte fallback), else as U+FFFD. Thread-safe. */
RUSK_API rusk_status rusk_tokenize(const rusk_model *model, const char *text, size_t len_bytes,
                                   uint32_t flags, int32_t *ids, size_t cap, size_t *n,
                                   rusk_error *err);

/* Bytes a token stands for, as a pointer into the model; *len_bytes is 0 for control tokens unless
 * `special`, which gives their written form. NULL for an id outside the vocabulary. */
RUSK_API const char *rusk_token_text(const rusk_model *model, int32_t id, bool special,
                                     size_t *len_bytes);

/* Whether a token ends generation (EOS, end of turn ...). */
RUSK_API bool rusk_token_is_end(const rusk_model *model, int32_t id);

/* Beginning-of-sequence token, RUSK_TOKEN_NONE where the model has none or does not ask for it. */
RUSK_API int32_t rusk_token_bos(const rusk_model *model);

/* Streaming detokenizer: holds bytes back until they make whole UTF-8 characters. */
typedef struct rusk_detokenizer {
    unsigned char pending[4];
    unsigned n_pending;
    bool any; /* something was pushed already (SentencePiece drops the first space) */
} rusk_detokenizer;

#define RUSK_DETOKENIZER_CAP 8 /* bytes that rusk_detokenizer_flush may write */

RUSK_API void rusk_detokenizer_init(rusk_detokenizer *d);

/* Appends token `id`; writes the text that is complete now to buf (valid UTF-8; bytes that can
 * never become a character come out as U+FFFD, three bytes) and its length to *len_bytes. LIMIT
 * where it does not fit (3 x the token's length + 3 always does): nothing is consumed then. */
RUSK_API rusk_status rusk_detokenizer_push(rusk_detokenizer *d, const rusk_model *model, int32_t id,
                                           char *buf, size_t cap_bytes, size_t *len_bytes,
                                           rusk_error *err);
/* What is left at the end (U+FFFD for an unfinished character). */
RUSK_API size_t rusk_detokenizer_flush(rusk_detokenizer *d, char buf[RUSK_DETOKENIZER_CAP]);

typedef struct rusk_chat_message {
    const char *role; /* "system", "user", "assistant" */
    const char *content;
    size_t content_bytes;
} rusk_chat_message;

/* Lays messages out in the model's chat format. `add_assistant` ends with the opening of the
 * assistant's turn. Writes at most cap_bytes (no NUL) and sets *len_bytes to what is needed (LIMIT
 * where it does not fit). Errors: UNSUPPORTED where the model's format is not known. */
RUSK_API rusk_status rusk_chat_format(const rusk_model *model, const rusk_chat_message *messages,
                                      size_t n_messages, bool add_assistant, char *buf,
                                      size_t cap_bytes, size_t *len_bytes, rusk_error *err);

/* ---------------------------------------------------------------------------------------------
 * Running: contexts, batches, logits
 * ------------------------------------------------------------------------------------------- */

typedef struct rusk_context rusk_context;

typedef enum rusk_activations {
    RUSK_ACTIVATIONS_INT8 = 0, /* inputs of quantized matrices as int8, a scale per 32 (default) */
    RUSK_ACTIVATIONS_F32 = 1,  /* float inputs everywhere: isolates the loss of the weights */
    RUSK_ACTIVATIONS_SAME = 2  /* of an evaluation's reference only: as the model's */
} rusk_activations;

typedef struct rusk_context_options {
    size_t struct_size;
    uint32_t n_ctx;   /* positions the KV cache holds, over all sequences; 0: min(trained, 4096) */
    uint32_t n_batch; /* most tokens in one rusk_decode; default 512 */
    uint32_t n_seq_max; /* sequences are 0 .. n_seq_max-1; default 1 */
    uint32_t n_logits;  /* most items of one batch that want logits; 0: n_seq_max */
    uint32_t n_threads; /* 0: all CPUs this process may use */
    rusk_activations activations;
    uint32_t cpu_mask; /* features the kernels may use; default all (UINT32_MAX); 0 is plain C */
} rusk_context_options;

typedef struct rusk_batch_item {
    int32_t token;
    int32_t position; /* 0-based in its sequence; extends the sequence by one */
    int32_t sequence;
    bool wants_logits;
} rusk_batch_item;

typedef struct rusk_stats {
    uint64_t n_prefill_tokens, n_decode_tokens; /* decode: batches of one token */
    double prefill_seconds, decode_seconds;
    uint64_t weights_hot_bytes, weights_warm_bytes; /* decoded / entropy-coded in memory */
} rusk_stats;

RUSK_API void rusk_context_options_default(rusk_context_options *options);

/* The model must outlive the context. Errors: INVALID_ARGUMENT (n_batch 0, n_seq_max 0 ...),
 * NO_MEMORY, UNSUPPORTED. */
RUSK_API rusk_status rusk_context_create(rusk_context **out, rusk_model *model,
                                         const rusk_context_options *options, rusk_error *err);
RUSK_API void rusk_context_destroy(rusk_context *ctx);

/* One forward pass over n items (1 .. n_batch). Items of one sequence must continue it: positions
 * ascending by one from its present length. Prefill, decoding, verification of drafts and several
 * sequences at once are all this call. The same tokens give the same bits for any number of threads
 * and any split into batches. No memory is allocated.
 * Errors: INVALID_ARGUMENT (token id, sequence or position out of range), LIMIT (KV cache full,
 * more wanted logits than n_logits): nothing is changed then; DAMAGED, FORMAT, IO: the sequences
 * of the batch are cut back to where they were. */
RUSK_API rusk_status rusk_decode(rusk_context *ctx, const rusk_batch_item *items, size_t n,
                                 rusk_error *err);

/* Logits (n_vocab floats) of item `index` of the last rusk_decode, NULL unless it wanted them.
 * Valid until the next rusk_decode. */
RUSK_API const float *rusk_logits(const rusk_context *ctx, size_t index);

/* Drops positions p0 and later of a sequence from the cache, so that it can be continued from
 * there; nothing happens where it is not that long. INVALID_ARGUMENT: no such sequence, p0 < 0. */
RUSK_API rusk_status rusk_kv_truncate(rusk_context *ctx, int32_t sequence, int32_t p0,
                                      rusk_error *err);
/* Number of positions a sequence holds now; 0 for one out of range. */
RUSK_API uint32_t rusk_kv_length(const rusk_context *ctx, int32_t sequence);
RUSK_API uint32_t rusk_context_size(const rusk_context *ctx);
RUSK_API void rusk_context_get_stats(const rusk_context *ctx, rusk_stats *stats);

/* X(name, key, text, is a product with weights): where the time of a pass goes. */
#define RUSK_STAGE_LIST(X)                                                                         \
    X(EMBEDDING, "embedding", "embedding lookup", false)                                           \
    X(NORM, "norm", "norms", false)                                                                \
    X(QUANTIZE, "quantize", "quantize activations", false)                                         \
    X(QKV, "qkv", "product q, k, v", true)                                                         \
    X(ROPE, "rope", "rotary embedding", false)                                                     \
    X(STORE, "store", "keys and values to the cache", false)                                       \
    X(ATTENTION, "attention", "attention", false)                                                  \
    X(OUTPUT, "output", "product attention output", true)                                          \
    X(ADD, "add", "residuals and biases", false)                                                   \
    X(GATE_UP, "gate_up", "product gate, up", true)                                                \
    X(ACTIVATION, "activation", "activation function", false)                                      \
    X(DOWN, "down", "product down", true)                                                          \
    X(HEAD, "head", "product output head", true)                                                   \
    X(WAIT, "wait", "waiting for other threads", false)                                            \
    X(OTHER, "other", "everything else", false)

typedef enum rusk_stage {
#define X(name, key, text, product) RUSK_STAGE_##name,
    RUSK_STAGE_LIST(X)
#undef X
        RUSK_STAGES
} rusk_stage;

/* Time of the thread that calls rusk_decode: the stages' sum is how long the passes took. Decoding
 * of coded weights counts where they are multiplied. Work that other threads do at the same time
 * shows only as WAIT, which is the hand-over of work and the time until the last one is done. */
typedef struct rusk_profile {
    uint64_t n_passes, n_tokens;
    double seconds[RUSK_STAGES];
} rusk_profile;

/* From the next rusk_decode on, time is added to *profile, which the caller zeroes and keeps until
 * another one is set, or NULL: none (the default, which costs nothing). Successful passes count
 * in n_passes and n_tokens; failed ones only in the times. */
RUSK_API void rusk_context_set_profile(rusk_context *ctx, rusk_profile *profile);

/* ---------------------------------------------------------------------------------------------
 * Sampling
 * ------------------------------------------------------------------------------------------- */

typedef struct rusk_sampler rusk_sampler;

typedef struct rusk_sampler_options {
    size_t struct_size;
    uint64_t seed;          /* the same seed gives the same choices */
    float temperature;      /* default 0.8; <= 0: greedy */
    uint32_t top_k;         /* default 40; 0: off */
    float top_p;            /* default 0.95; 1: off */
    float min_p;            /* default 0.05; 0: off */
    float repeat_penalty;   /* default 1: off */
    uint32_t repeat_last_n; /* default 64 */
} rusk_sampler_options;

RUSK_API void rusk_sampler_options_default(rusk_sampler_options *options);
/* The sampler may outlive the model, but not its allocator. Errors: INVALID_ARGUMENT (top_p or
 * min_p outside 0..1, a repeat_penalty of 0 or less, repeat_last_n above 2^20), NO_MEMORY. */
RUSK_API rusk_status rusk_sampler_create(rusk_sampler **out, const rusk_model *model,
                                         const rusk_sampler_options *options, rusk_error *err);
RUSK_API void rusk_sampler_destroy(rusk_sampler *sampler);
/* Chooses a token from n_vocab logits. Order: repeat penalty, top-k, top-p, min-p, temperature. */
RUSK_API int32_t rusk_sampler_sample(rusk_sampler *sampler, const float *logits);
/* Tells the sampler of a token that is now part of the text (prompt tokens too). */
RUSK_API void rusk_sampler_accept(rusk_sampler *sampler, int32_t token);

/* ---------------------------------------------------------------------------------------------
 * Packing
 * ------------------------------------------------------------------------------------------- */

typedef struct rusk_pack_options {
    size_t struct_size;
    const rusk_allocator *allocator;
    double bits;           /* target bits per weight of the whole file; 0: 4.5 unless size_bytes */
    uint64_t size_bytes;   /* the file is never larger; 0: none. At most one of bits, size_bytes */
    const char *quantizer; /* NULL: "uniform" */
    const char *codec;     /* NULL: "rans" */
    uint32_t n_threads;
    rusk_progress progress;
    void *user;
} rusk_pack_options;

typedef struct rusk_pack_report {
    uint64_t source_bytes, file_bytes;
    uint64_t n_parameters;
    double bits_per_weight; /* 8 * file_bytes / n_parameters */
    double entropy_bits;    /* per coded weight: entropy of the symbols, by their tables' classes */
    double coded_bits; /* per coded weight: blocks with their tables and offsets, without scales */
    double side_bits;  /* per parameter: scales, norms, tokenizer, index, padding */
    uint64_t tokenizer_bytes;
    double seconds;
    uint64_t bytes_peak; /* allocator's peak */
} rusk_pack_report;

RUSK_API void rusk_pack_options_default(rusk_pack_options *options);

/* Packs the model at source_path to out_path, layer by layer. Deterministic: the same source and
 * options give the same bytes for any number of threads. Written under a temporary name in the same
 * directory, synced and renamed: on any failure no file is left and an old one at out_path stays.
 * Errors: IMPOSSIBLE (target below the least possible, which the message names), IO (message names
 * "disk full" where it is), UNSUPPORTED, FORMAT, CANCELLED, NO_MEMORY. report may be NULL. */
RUSK_API rusk_status rusk_pack(const char *source_path, const char *out_path,
                               const rusk_pack_options *options, rusk_pack_report *report,
                               rusk_error *err);

/* ---------------------------------------------------------------------------------------------
 * Judging
 * ------------------------------------------------------------------------------------------- */

typedef struct rusk_eval_options {
    size_t struct_size;
    uint32_t chunk_tokens; /* default 512; the second half is scored */
    uint32_t n_chunks;     /* 0: all whole chunks of the text */
    uint32_t n_threads;
    rusk_activations activations;
    rusk_progress progress;
    /* Called after each chunk with the running perplexity; may be NULL. */
    void (*on_chunk)(void *user, uint32_t chunk, double perplexity);
    void *user;
    /* What the reference computes with; default RUSK_ACTIVATIONS_SAME. */
    rusk_activations reference_activations;
} rusk_eval_options;

/* All means are over scored tokens; standard errors are those of the mean. KL fields are of the
 * reference's next-token distribution p from the model's q: sum p log(p/q), in nats. */
typedef struct rusk_eval_result {
    uint64_t n_tokens; /* scored predictions */
    uint32_t n_chunks;
    double perplexity, perplexity_se;
    bool has_reference;
    double ref_perplexity, ref_perplexity_se;
    double kl_mean, kl_se, kl_median, kl_p90, kl_p99, kl_max;
    double same_top, same_top_se; /* fraction 0..1 */
} rusk_eval_result;

RUSK_API void rusk_eval_options_default(rusk_eval_options *options);

/* Perplexity of `model` on a text and, where reference is not NULL, KL divergence from it. Exactly
 * as llama.cpp's perplexity tool counts: chunks of chunk_tokens, second half scored, BOS replaces a
 * chunk's first token only where the model asks for BOS. The two models must have the same
 * vocabulary; they may be one and the same, which tells what int8 activations cost where the
 * reference's are f32. Errors: INVALID_ARGUMENT (text shorter than a chunk; vocabularies differ),
 * as rusk_decode. */
RUSK_API rusk_status rusk_eval(rusk_model *model, rusk_model *reference, const char *text,
                               size_t len_bytes, const rusk_eval_options *options,
                               rusk_eval_result *result, rusk_error *err);

typedef struct rusk_bench_codec {
    const char *codec;
    double entropy;           /* of the sample's symbols, bits per weight */
    double bits;              /* coded bits per weight, tables included */
    double decode_gweights_s; /* 1e9 weights decoded to memory per second, one thread */
    double fused_gweights_s;  /* the same, decoded and multiplied */
} rusk_bench_codec;

/* Measures each codec of the library on symbols of a discretized Gaussian (seeded) of about
 * `bits` entropy, one thread, best of several runs of a few tens of milliseconds. Fills at most cap
 * entries and sets *n. */
RUSK_API rusk_status rusk_bench_codecs(double bits, rusk_bench_codec *out, size_t cap, size_t *n,
                                       rusk_error *err);

#ifdef __cplusplus
}
#endif

#endif
