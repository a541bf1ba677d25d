/* Plica's C interface: ONNX models on CPUs through oneDNN, batch normalization folded out of them first.
 *
 *     plica_model* model = NULL;
 *     plica_session* session = NULL;
 *     if (plica_model_load("net.onnx", &model) != PLICA_OK || plica_model_optimize(model, NULL, NULL) !=
 * PLICA_OK || plica_session_create(model, NULL, &session) != PLICA_OK) { fprintf(stderr, "%s\n",
 * plica_last_error());
 *     }
 *
 * Conventions, for all of it:
 * - Functions that can fail return a status and say why in plica_last_error(); what they were to make is NULL
 * then, and nothing has changed.
 * - Handles are opaque. Whoever makes one frees it, with the function of its type, which takes NULL too. What
 * a handle was made of may be freed before it: a session keeps its model alive, a run its session.
 * - Strings are UTF-8 and end with a zero. A pointer that a function returns belongs to the handle that was
 * asked, and is valid until that is freed or changed.
 * - Structs begin with their own size, by which libraries and programs of different versions understand each
 * other: initialize them with their _INIT.
 * - Sizes are in bytes, times in seconds unless a name says otherwise. Dimensions are row-major.
 * - Thread safety: const handles may be used from many threads at once, other handles by one at a time. A
 * session is always const: run it from as many threads as you like.
 */
#ifndef PLICA_H
#define PLICA_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PLICA_C_API __attribute__((visibility("default")))
#else
#define PLICA_C_API
#endif

/* ---- errors and versions */

typedef enum plica_status {
  PLICA_OK = 0,
  PLICA_INVALID_MODEL = 1,    /* the model breaks the ONNX specification */
  PLICA_UNSUPPORTED = 2,      /* valid, but Plica does not do it */
  PLICA_INVALID_ARGUMENT = 3, /* the caller's: a wrong name, shape, type, option */
  PLICA_IO = 4,               /* a file could not be read or written */
  PLICA_LIMIT = 5,            /* a limit of memory would be passed */
  PLICA_CANCELLED = 6,        /* the caller asked to stop, or the time was over */
  PLICA_INTERNAL = 7,         /* a bug of Plica */
  PLICA_OUT_OF_MEMORY = 8
} plica_status;

/* Of the last call of this thread that failed; "" when none has. One line. Valid until the thread's next
 * call. */
PLICA_C_API const char* plica_last_error(void);
PLICA_C_API const char* plica_status_name(plica_status status); /* "invalid_model" */
PLICA_C_API const char* plica_version(void);                    /* "0.1.0" */
PLICA_C_API const char* plica_onednn_version(void);

/* ---- tensors */

/* Element types, with ONNX's numbers (TensorProto.DataType). */
typedef enum plica_type {
  PLICA_UNDEFINED = 0,
  PLICA_FLOAT32 = 1,
  PLICA_UINT8 = 2,
  PLICA_INT8 = 3,
  PLICA_UINT16 = 4,
  PLICA_INT16 = 5,
  PLICA_INT32 = 6,
  PLICA_INT64 = 7,
  PLICA_STRING = 8,
  PLICA_BOOL = 9, /* one byte */
  PLICA_FLOAT16 = 10,
  PLICA_FLOAT64 = 11,
  PLICA_UINT32 = 12,
  PLICA_UINT64 = 13,
  PLICA_COMPLEX64 = 14,
  PLICA_COMPLEX128 = 15,
  PLICA_BFLOAT16 = 16,
  PLICA_FLOAT8E4M3FN = 17,
  PLICA_FLOAT8E4M3FNUZ = 18,
  PLICA_FLOAT8E5M2 = 19,
  PLICA_FLOAT8E5M2FNUZ = 20,
  PLICA_UINT4 = 21, /* packed, the first in the lowest bits */
  PLICA_INT4 = 22,
  PLICA_FLOAT4E2M1 = 23,
  PLICA_FLOAT8E8M0 = 24,
  PLICA_UINT2 = 25,
  PLICA_INT2 = 26
} plica_type;

typedef struct plica_tensor plica_tensor;

/* Memory of its own, aligned to 64 bytes, uninitialized. */
PLICA_C_API plica_status plica_tensor_create(plica_type type, const int64_t* dims, size_t rank,
                                             plica_tensor** tensor);
/* The caller's memory, without a copy: `size` bytes that live as long as the tensor is used, exactly as many
 * as the elements take. Inputs are read in place, outputs written. */
PLICA_C_API plica_status plica_tensor_view(plica_type type, const int64_t* dims, size_t rank, void* data,
                                           size_t size, plica_tensor** tensor);
/* As above, and never written. */
PLICA_C_API plica_status plica_tensor_view_const(plica_type type, const int64_t* dims, size_t rank,
                                                 const void* data, size_t size, plica_tensor** tensor);
/* Of type PLICA_STRING; the strings, as many as the dimensions say, are copied. */
PLICA_C_API plica_status plica_tensor_of_strings(const int64_t* dims, size_t rank, const char* const* strings,
                                                 plica_tensor** tensor);
PLICA_C_API void plica_tensor_free(plica_tensor* tensor);

PLICA_C_API plica_type plica_tensor_type(const plica_tensor* tensor);
PLICA_C_API size_t plica_tensor_rank(const plica_tensor* tensor);
PLICA_C_API const int64_t* plica_tensor_dims(const plica_tensor* tensor);
PLICA_C_API int64_t plica_tensor_elements(const plica_tensor* tensor);
PLICA_C_API size_t plica_tensor_bytes(const plica_tensor* tensor);     /* 0 for strings */
PLICA_C_API const void* plica_tensor_data(const plica_tensor* tensor); /* NULL for strings */
PLICA_C_API void* plica_tensor_mutable_data(plica_tensor* tensor);     /* NULL for strings and const views */
/* NULL when there is no such string. `length`, unless NULL, receives its bytes: it may contain zeros. */
PLICA_C_API const char* plica_tensor_string(const plica_tensor* tensor, size_t index, size_t* length);

/* ---- models */

typedef struct plica_model plica_model;

/* Reads a file, ONNX or compiled by plica; external data must lie in its directory or below. */
PLICA_C_API plica_status plica_model_load(const char* path, plica_model** model);
/* From memory, which is not needed after the call. External data is refused. */
PLICA_C_API plica_status plica_model_parse(const void* bytes, size_t size, plica_model** model);
PLICA_C_API plica_status plica_model_copy(const plica_model* model, plica_model** copy);
PLICA_C_API void plica_model_free(plica_model* model);

typedef struct plica_optimize_options {
  size_t struct_size;
  const char* const* disable; /* names of rules or passes not to run; ends with NULL, or is NULL */
  const char* const* keep;    /* names of nodes that nothing may change or remove; likewise */
  int skip_measures; /* not 0: no error bounds, no health in the report: faster, when it is only to be run */
  void (*progress)(void* user, const char* pass, int done, int total);
  void* user;
} plica_optimize_options;
#define PLICA_OPTIMIZE_OPTIONS_INIT \
  { sizeof(plica_optimize_options), NULL, NULL, 0, NULL, NULL }

/* Folds batch norms and simplifies. `options` and `report` may be NULL; the report is one JSON object
 * ("schema": 1), freed by plica_string_free. */
PLICA_C_API plica_status plica_model_optimize(plica_model* model, const plica_optimize_options* options,
                                              char** report);
/* A reader of `path` sees the old file or the whole new one. Tensors of at least `external_threshold` bytes
 * go to a file beside it; 0: only when it would pass 2 GiB otherwise. */
PLICA_C_API plica_status plica_model_save(const plica_model* model, const char* path,
                                          size_t external_threshold);
PLICA_C_API void plica_string_free(char* string);

typedef struct plica_value_info {
  size_t struct_size;
  const char* name;
  plica_type type; /* PLICA_UNDEFINED: not known, or no tensor */
  int is_tensor;
  int has_default;            /* an input that may be left out */
  int rank;                   /* -1: not known */
  const int64_t* dims;        /* -1: not a number */
  const char* const* symbols; /* by dimension its name, "batch"; "" when it has none */
  const char* text;           /* "float32[batch, 3, 224, 224]" */
} plica_value_info;
#define PLICA_VALUE_INFO_INIT \
  { sizeof(plica_value_info), NULL, PLICA_UNDEFINED, 0, 0, -1, NULL, NULL, NULL }

PLICA_C_API size_t plica_model_num_inputs(const plica_model* model); /* those with a default too */
PLICA_C_API size_t plica_model_num_outputs(const plica_model* model);
PLICA_C_API plica_status plica_model_input(const plica_model* model, size_t index, plica_value_info* info);
PLICA_C_API plica_status plica_model_output(const plica_model* model, size_t index, plica_value_info* info);
/* A value of the model's metadata; NULL when the key is not there. */
PLICA_C_API const char* plica_model_metadata(const plica_model* model, const char* key);

/* ---- sessions */

typedef struct plica_session plica_session;

typedef enum plica_log_level {
  PLICA_LOG_DEBUG = 0,
  PLICA_LOG_INFO = 1,
  PLICA_LOG_WARNING = 2
} plica_log_level;

typedef struct plica_session_options {
  size_t struct_size;
  int threads;         /* 0: the CPUs that this process may use (affinity, cgroup quota) */
  int exact;           /* not 0: no method with larger rounding errors than direct sums (Winograd) */
  size_t cached_plans; /* sets of input shapes whose plans are kept; 0: 64 */
  const char* tuning;  /* a file of choices by measurement; NULL: none */
  /* Called from the threads that make and run the session, possibly at once. */
  void (*log)(void* user, plica_log_level level, const char* message);
  void* user;
} plica_session_options;
#define PLICA_SESSION_OPTIONS_INIT \
  { sizeof(plica_session_options), 0, 0, 0, NULL, NULL, NULL }

/* `options` may be NULL. Later changes of the model do not reach the session. */
PLICA_C_API plica_status plica_session_create(const plica_model* model, const plica_session_options* options,
                                              plica_session** session);
/* Runs that are under way in other threads go on to their end; none may begin. */
PLICA_C_API void plica_session_free(plica_session* session);

/* Ends runs from another thread. */
typedef struct plica_cancel plica_cancel;
PLICA_C_API plica_status plica_cancel_create(plica_cancel** cancel);
PLICA_C_API void plica_cancel_set(plica_cancel* cancel); /* from any thread, or a signal handler */
PLICA_C_API void plica_cancel_reset(plica_cancel* cancel);
PLICA_C_API void plica_cancel_free(plica_cancel* cancel); /* after the runs that were given it */

typedef struct plica_run_options {
  size_t struct_size;
  const plica_cancel* cancel; /* NULL: none. The run ends between two steps */
  double timeout;             /* seconds; 0: none. Likewise */
  size_t max_memory;          /* bytes that the run may allocate; 0: no bound */
  /* Memory for an output that was given none, of `size` bytes; NULL: of Plica's own. It must live as long as
   * the tensor that comes out, and is never freed by Plica. */
  void* (*allocate)(void* user, const char* output, plica_type type, const int64_t* dims, size_t rank,
                    size_t size);
  /* After each step, in the thread that runs; times in milliseconds since the beginning of the run. */
  void (*on_step)(void* user, const char* kind, const char* nodes, double start, double duration);
  void* user;
} plica_run_options;
#define PLICA_RUN_OPTIONS_INIT \
  { sizeof(plica_run_options), NULL, 0, 0, NULL, NULL, NULL }

/* Inputs by name: all that have no default. Outputs by name: each element of `outputs` is a tensor of the
 * caller's to write into, of the type and dimensions that come out, or NULL, and is then a new tensor. When
 * the run fails, those that were NULL are NULL, and what the others hold is undefined. `options` may be NULL.
 */
PLICA_C_API plica_status plica_session_run(const plica_session* session, const plica_run_options* options,
                                           const char* const* input_names, const plica_tensor* const* inputs,
                                           size_t num_inputs, const char* const* output_names,
                                           plica_tensor** outputs, size_t num_outputs);

typedef struct plica_memory {
  size_t struct_size;
  size_t plans;      /* how many are kept */
  size_t weights;    /* bytes packed for the plans; those of the model itself are not counted */
  size_t workspaces; /* bytes that wait for a next run */
  size_t results;    /* bytes of results that were freed, and wait for a next run */
} plica_memory;
#define PLICA_MEMORY_INIT \
  { sizeof(plica_memory), 0, 0, 0, 0 }

PLICA_C_API plica_status plica_session_memory(const plica_session* session, plica_memory* memory);
/* Gives back to the system what waits for a next run. Plans and weights stay. */
PLICA_C_API void plica_session_trim(const plica_session* session);

PLICA_C_API int plica_default_threads(void); /* what 0 threads means here and now */

#ifdef __cplusplus
}
#endif

#endif
