// The only door to LibTorch.
//
// Operators are found by schema name once and called boxed; beside that there is only what no operator offers:
// ownership of tensors, bytes, autograd, thread-local modes, generators and machine figures.
//
// No C++ exception crosses this header: whatever can fail takes a ct_error, returns CT_OK or the error's status, and
// writes its results through pointers.
#ifndef CTORCH_H
#define CTORCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// A retained c10::TensorImpl. Whoever receives one owns one reference and gives it back with ct_release.
typedef struct ct_tensor_impl *ct_tensor;
// An operator's handle; lives as long as the process.
typedef struct ct_operator_entry *ct_operator;
// A retained random number generator, given back with ct_generator_release.
typedef struct ct_generator_impl *ct_generator;

enum { CT_OK = 0, CT_INVALID = 1, CT_OUT_OF_MEMORY = 2, CT_OTHER = 3 };

typedef struct {
  int32_t status;
  char *message;  // malloc'ed when status is not CT_OK; the caller frees it
} ct_error;

enum {
  CT_NONE = 0,     // no value (an absent optional, an undefined tensor)
  CT_DEFAULT = 1,  // the schema's default
  CT_TENSOR = 2,
  CT_INTEGER = 3,
  CT_REAL = 4,
  CT_BOOLEAN = 5,
  CT_STRING = 6,
  CT_DEVICE = 7,  // integer: type; count: index
  CT_GENERATOR = 8,
  CT_TENSORS = 9,
  CT_INTEGERS = 10,
  CT_REALS = 11,
  CT_NUMBER = 12,  // only of a parameter
};

typedef struct {
  int32_t tag;
  int64_t count;  // elements of a list
  union {
    int64_t integer;
    double real;
    const char *string;
    ct_tensor tensor;
    ct_generator generator;
    const ct_tensor *tensors;  // null entries are absent tensors
    const int64_t *integers;
    const double *reals;
  } as;
} ct_value;

// Operators ----------------------------------------------------------------------------------------------------------

// The operator of that schema name ("aten::add.Tensor"), or null if LibTorch has none. A name has one handle.
ct_operator ct_operator_find(const char *name);
// How many arguments the schema has, and how often the operator was called through this door.
int32_t ct_operator_arity(ct_operator op);
// What argument `index` of the schema takes; no name beyond the last.
typedef struct {
  const char *name;  // lives as long as the process
  int32_t tag;       // of its value; CT_NUMBER for an integer, a real or a boolean; CT_NONE for what no value can be
  int32_t count;     // a list's length where the schema fixes one, else 0
  bool optional;     // may be absent
  bool has_default;
  bool is_written;   // a tensor that the operator writes to
} ct_parameter;
ct_parameter ct_operator_parameter(ct_operator op, int32_t index);
uint64_t ct_operator_calls(ct_operator op);
// Calls `op`. Arguments left out at the end take the schema's defaults; kinds are checked against the schema. Up to
// `capacity` results are written; a list result's array of handles is malloc'ed and owned by the caller.
int32_t ct_call(ct_operator op, const ct_value *arguments, int32_t count, ct_value *results, int32_t capacity,
                int32_t *produced, ct_error *error);

// Tensors ------------------------------------------------------------------------------------------------------------

void ct_release(ct_tensor tensor);
// One more reference on the tensor.
ct_tensor ct_retain(ct_tensor tensor);
int64_t ct_live_tensors(void);
int32_t ct_from_bytes(const void *bytes, size_t byte_count, const int64_t *shape, int32_t rank, int32_t dtype,
                      ct_tensor *out, ct_error *error);
// A number as Python's arithmetic gives it to an operator that takes a tensor: a 0-dimensional CPU tensor which the
// other operands' types prevail over.
int32_t ct_wrapped_number(const ct_value *number, ct_tensor *out, ct_error *error);
// The address of the first element of a CPU tensor; valid while the tensor is held.
int32_t ct_data(ct_tensor tensor, void **out, ct_error *error);
int32_t ct_rank(ct_tensor tensor);
int64_t ct_size(ct_tensor tensor, int32_t dimension);
int32_t ct_dtype(ct_tensor tensor);
int32_t ct_device_type(ct_tensor tensor);
int32_t ct_device_index(ct_tensor tensor);
bool ct_is_contiguous(ct_tensor tensor, bool channels_last);
bool ct_same_storage(ct_tensor a, ct_tensor b);
// Whether shapes are equal and the elements of both lie in memory in the same order with the same strides.
bool ct_same_layout(ct_tensor a, ct_tensor b);
int32_t ct_item(ct_tensor tensor, double *out, ct_error *error);
int32_t ct_item_integer(ct_tensor tensor, int64_t *out, ct_error *error);

// Autograd -----------------------------------------------------------------------------------------------------------

bool ct_requires_grad(ct_tensor tensor);
int32_t ct_set_requires_grad(ct_tensor tensor, bool value, ct_error *error);
// The accumulated gradient, retained, or null.
ct_tensor ct_gradient(ct_tensor tensor);
int32_t ct_set_gradient(ct_tensor tensor, ct_tensor gradient, ct_error *error);
int32_t ct_backward(ct_tensor tensor, ct_tensor seed, bool retain_graph, bool create_graph, ct_error *error);
// Gradients of `outputs` seeded with `seeds` (null: ones, for scalars); absent ones come back null.
int32_t ct_grad(const ct_tensor *outputs, const ct_tensor *seeds, int32_t output_count, const ct_tensor *inputs,
                int32_t input_count, bool retain_graph, bool create_graph, ct_tensor *out, ct_error *error);

// Has `hook` replace the derivative with respect to a tensor whenever it is computed: it owns the one that it gets and
// gives another up. `context` is handed to it, and to `release` when the tensor's graph is gone.
typedef ct_tensor (*ct_gradient_hook)(void *context, ct_tensor gradient);
int32_t ct_on_gradient(ct_tensor tensor, ct_gradient_hook hook, void *context, void (*release)(void *), ct_error *error);

// Thread-local modes -------------------------------------------------------------------------------------------------

bool ct_grad_mode(void);
void ct_set_grad_mode(bool enabled);
// The dtype that autocast uses on that device type, or -1 where it is off.
int32_t ct_autocast(int32_t device_type);
int32_t ct_set_autocast(int32_t device_type, int32_t dtype, ct_error *error);

// Generators ---------------------------------------------------------------------------------------------------------

int32_t ct_generator_make(int32_t device_type, int32_t device_index, uint64_t seed, ct_generator *out, ct_error *error);
void ct_generator_release(ct_generator generator);
int32_t ct_generator_state(ct_generator generator, ct_tensor *out, ct_error *error);
int32_t ct_generator_set_state(ct_generator generator, ct_tensor state, ct_error *error);
// Seeds the generators that operators draw from which are given none, on all devices.
int32_t ct_seed_defaults(uint64_t seed, ct_error *error);

// The machine --------------------------------------------------------------------------------------------------------

const char *ct_version(void);
const char *ct_cpu_capability(void);
bool ct_has_device(int32_t device_type);
int32_t ct_device_count(int32_t device_type);
int32_t ct_threads(void);
void ct_set_threads(int32_t count);
void ct_set_deterministic(bool enabled);
// Keeps freed blocks in the process: fresh pages from the kernel cost more than most elementwise operators.
void ct_keep_freed_memory(void);
// Gives what is free of the heap back to the kernel.
void ct_release_freed_memory(void);

#ifdef __cplusplus
}
#endif

#endif
