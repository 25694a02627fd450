#include "ctorch.h"

#if !__has_include(<ATen/Version.h>)
#error Quench needs LibTorch 2.13: run make setup in its checkout, or build with LIBTORCH=/dir (include/ and lib/ in it)
#else

#include "door.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/ScalarOps.h>
#include <ATen/Version.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/headeronly/version.h>

#if defined(__linux__)
#include <dlfcn.h>
#endif
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

using c10::IValue;
using c10::TypeKind;
using torch::jit::Stack;

namespace {

using door::borrow;
using door::give;
using door::guarded;
using door::impl;
using door::load;

struct Parameter {
  TypeKind kind;           // of the type inside an optional
  TypeKind element;        // of a list's elements, inside an optional
  bool optional;           // may be absent
  bool optional_elements;  // a list whose elements may be absent
};

#if defined(__linux__)
// Opens `name` so that the calls in this file find what it defines. Ends the process where it can't be opened.
void open_library(const std::string &name) {
  if (dlopen(name.c_str(), RTLD_LAZY | RTLD_GLOBAL)) return;
  std::fprintf(stderr, "error: LibTorch cannot be loaded: %s; run make setup, or name its folder in LD_LIBRARY_PATH\n",
               dlerror());
  std::_Exit(70);
}

// Opens LibTorch, and its CUDA part where it lies beside it.
bool open_libtorch() {
  open_library("libtorch_cpu.so");
  Dl_info info;
  if (!dladdr(dlsym(RTLD_DEFAULT, "_ZN2at13globalContextEv"), &info)) return true;
  const std::string path(info.dli_fname);
  const std::string cuda = path.substr(0, path.rfind('/') + 1) + "libtorch_cuda.so";
  if (std::FILE *file = std::fopen(cuda.c_str(), "rb")) {
    std::fclose(file);
    open_library(cuda);
  }
  return true;
}
#endif

std::atomic<int64_t> live{0};

}  // namespace

namespace door {

int32_t fill(ct_error *error, int32_t status, const char *what) noexcept {
  const char *end = std::strchr(what, '\n');
  const size_t length = end ? static_cast<size_t>(end - what) : std::strlen(what);
  error->status = status;
  error->message = static_cast<char *>(std::malloc(length + 1));
  if (error->message) {
    std::memcpy(error->message, what, length);
    error->message[length] = '\0';
  }
  return status;
}

void load() {
#if defined(__linux__)
  static const bool loaded = open_libtorch();
  static_cast<void>(loaded);
#endif
}

ct_tensor give(at::Tensor tensor) {
  if (!tensor.defined()) return nullptr;
  live.fetch_add(1, std::memory_order_relaxed);
  return reinterpret_cast<ct_tensor>(tensor.unsafeReleaseTensorImpl());
}

}  // namespace door

namespace {

std::vector<at::Tensor> borrow(const ct_tensor *tensors, int64_t count) {
  std::vector<at::Tensor> list;
  list.reserve(count);
  for (int64_t i = 0; i < count; ++i) list.push_back(borrow(tensors[i]));
  return list;
}

c10::GeneratorImpl *impl(ct_generator generator) { return reinterpret_cast<c10::GeneratorImpl *>(generator); }

at::Generator borrow(ct_generator generator) {
  return at::Generator(c10::intrusive_ptr<c10::GeneratorImpl>::reclaim_copy(impl(generator)));
}

const char *tag_name(int32_t tag) {
  static const char *const names[] = {"nothing", "default", "a tensor",  "an integer", "a real",   "a boolean",
                                      "a string", "a device", "a generator", "tensors", "integers", "reals"};
  return tag >= CT_NONE && tag <= CT_REALS ? names[tag] : "an unknown value";
}

Parameter parameter(const c10::Argument &argument) {
  auto inner = [](c10::TypePtr type, bool &optional) {
    optional = type->kind() == TypeKind::OptionalType;
    return optional ? type->castRaw<c10::OptionalType>()->getElementType() : type;
  };
  Parameter p{};
  auto type = inner(argument.type(), p.optional);
  p.kind = type->kind();
  p.element = TypeKind::NoneType;
  if (p.kind == TypeKind::ListType) {
    p.element = inner(type->castRaw<c10::ListType>()->getElementType(), p.optional_elements)->kind();
  }
  return p;
}

}  // namespace

struct ct_operator_entry {
  explicit ct_operator_entry(c10::OperatorHandle found) : handle(std::move(found)) {
    for (const auto &argument : handle.schema().arguments()) parameters.push_back(parameter(argument));
  }

  c10::OperatorHandle handle;
  std::vector<Parameter> parameters;
  std::atomic<uint64_t> calls{0};
};

namespace {

[[noreturn]] void reject(const ct_operator_entry &op, size_t index, const ct_value &value) {
  const auto &argument = op.handle.schema().arguments()[index];
  TORCH_CHECK_VALUE(false, "argument '", argument.name(), "' takes ", argument.type()->str(), ", not ",
                    tag_name(value.tag));
}

IValue list_value(const ct_operator_entry &op, size_t index, const ct_value &value) {
  const Parameter &p = op.parameters[index];
  if (p.kind != TypeKind::ListType) reject(op, index, value);
  switch (value.tag) {
    case CT_TENSORS: {
      if (p.element != TypeKind::TensorType) reject(op, index, value);
      if (!p.optional_elements) return IValue(c10::List<at::Tensor>(borrow(value.as.tensors, value.count)));
      c10::List<std::optional<at::Tensor>> list;
      for (int64_t i = 0; i < value.count; ++i) {
        const ct_tensor tensor = value.as.tensors[i];
        list.push_back(tensor ? std::optional<at::Tensor>(borrow(tensor)) : std::nullopt);
      }
      return IValue(std::move(list));
    }
    case CT_INTEGERS: {
      if (p.element == TypeKind::BoolType) {
        c10::List<bool> list;
        for (int64_t i = 0; i < value.count; ++i) list.push_back(value.as.integers[i] != 0);
        return IValue(std::move(list));
      }
      if (p.element == TypeKind::NumberType && value.count == 0) {
        if (p.optional_elements) return IValue(c10::List<std::optional<at::Scalar>>());
        return IValue(c10::List<at::Scalar>());
      }
      if (p.element != TypeKind::IntType && p.element != TypeKind::SymIntType) reject(op, index, value);
      c10::List<int64_t> list;
      list.reserve(value.count);
      for (int64_t i = 0; i < value.count; ++i) list.push_back(value.as.integers[i]);
      return IValue(std::move(list));
    }
    case CT_REALS: {
      if (p.element == TypeKind::NumberType && p.optional_elements) {
        c10::List<std::optional<at::Scalar>> list;
        for (int64_t i = 0; i < value.count; ++i) list.push_back(at::Scalar(value.as.reals[i]));
        return IValue(std::move(list));
      }
      if (p.element == TypeKind::NumberType) {
        c10::List<at::Scalar> list;
        for (int64_t i = 0; i < value.count; ++i) list.push_back(at::Scalar(value.as.reals[i]));
        return IValue(std::move(list));
      }
      if (p.element != TypeKind::FloatType) reject(op, index, value);
      c10::List<double> list;
      for (int64_t i = 0; i < value.count; ++i) list.push_back(value.as.reals[i]);
      return IValue(std::move(list));
    }
    default: reject(op, index, value);
  }
}

IValue scalar_value(const ct_operator_entry &op, size_t index, const ct_value &value) {
  const Parameter &p = op.parameters[index];
  const TypeKind kind = p.kind;
  switch (value.tag) {
    case CT_TENSOR:
      if (kind == TypeKind::TensorType) return IValue(borrow(value.as.tensor));
      break;
    case CT_INTEGER:
      if (kind == TypeKind::IntType || kind == TypeKind::SymIntType || kind == TypeKind::NumberType ||
          kind == TypeKind::ScalarTypeType || kind == TypeKind::LayoutType || kind == TypeKind::MemoryFormatType)
        return IValue(value.as.integer);
      break;
    case CT_REAL:
      if (kind == TypeKind::FloatType || kind == TypeKind::NumberType) return IValue(value.as.real);
      break;
    case CT_BOOLEAN:
      if (kind == TypeKind::BoolType || kind == TypeKind::NumberType) return IValue(value.as.integer != 0);
      break;
    case CT_STRING:
      if (kind == TypeKind::StringType) return IValue(std::string(value.as.string));
      break;
    case CT_DEVICE:
      if (kind == TypeKind::DeviceObjType)
        return IValue(c10::Device(static_cast<c10::DeviceType>(value.as.integer),
                                  static_cast<c10::DeviceIndex>(value.count)));
      break;
    case CT_GENERATOR:
      if (kind == TypeKind::GeneratorType) return IValue(borrow(value.as.generator));
      break;
    default: break;
  }
  reject(op, index, value);
}

IValue argument_value(const ct_operator_entry &op, size_t index, const ct_value &value) {
  switch (value.tag) {
    case CT_NONE:
      if (!op.parameters[index].optional) reject(op, index, value);
      return IValue();
    case CT_DEFAULT: {
      const auto &argument = op.handle.schema().arguments()[index];
      if (argument.default_value()) return *argument.default_value();
      TORCH_CHECK_VALUE(op.parameters[index].optional, "argument '", argument.name(), "' is missing");
      return IValue();
    }
    case CT_TENSORS:
    case CT_INTEGERS:
    case CT_REALS: return list_value(op, index, value);
    default: return scalar_value(op, index, value);
  }
}

// The tag of a value that a schema's type takes, CT_NONE where no value of the header can be.
int32_t value_tag(TypeKind kind) {
  switch (kind) {
    case TypeKind::TensorType: return CT_TENSOR;
    case TypeKind::IntType:
    case TypeKind::SymIntType:
    case TypeKind::ScalarTypeType:
    case TypeKind::LayoutType:
    case TypeKind::MemoryFormatType: return CT_INTEGER;
    case TypeKind::FloatType: return CT_REAL;
    case TypeKind::NumberType: return CT_NUMBER;
    case TypeKind::BoolType: return CT_BOOLEAN;
    case TypeKind::StringType: return CT_STRING;
    case TypeKind::DeviceObjType: return CT_DEVICE;
    case TypeKind::GeneratorType: return CT_GENERATOR;
    default: return CT_NONE;
  }
}

int32_t list_tag(TypeKind element) {
  switch (element) {
    case TypeKind::TensorType: return CT_TENSORS;
    case TypeKind::IntType:
    case TypeKind::SymIntType:
    case TypeKind::BoolType: return CT_INTEGERS;
    case TypeKind::FloatType:
    case TypeKind::NumberType: return CT_REALS;
    default: return CT_NONE;
  }
}

ct_value result_value(const IValue &value) {
  ct_value out{};
  if (value.isTensor()) {
    out.as.tensor = give(value.toTensor());
    out.tag = out.as.tensor ? CT_TENSOR : CT_NONE;
  } else if (value.isTensorList()) {
    const auto list = value.toTensorVector();
    auto *handles = static_cast<ct_tensor *>(std::malloc(sizeof(ct_tensor) * std::max<size_t>(list.size(), 1)));
    if (!handles) throw std::bad_alloc();
    for (size_t i = 0; i < list.size(); ++i) handles[i] = give(list[i]);
    out = {CT_TENSORS, static_cast<int64_t>(list.size()), {}};
    out.as.tensors = handles;
  } else if (value.isInt()) {
    out.tag = CT_INTEGER;
    out.as.integer = value.toInt();
  } else if (value.isDouble()) {
    out.tag = CT_REAL;
    out.as.real = value.toDouble();
  } else if (value.isBool()) {
    out.tag = CT_BOOLEAN;
    out.as.integer = value.toBool();
  } else {
    TORCH_CHECK_NOT_IMPLEMENTED(value.isNone(), "a result of type ", value.tagKind(), " has no counterpart");
  }
  return out;
}

}  // namespace

extern "C" {

ct_operator ct_operator_find(const char *name) {
  // Never destroyed: other threads may call operators while the process exits.
  load();
  static auto &mutex = *new std::mutex;
  static auto &entries = *new std::unordered_map<std::string, ct_operator_entry>;
  try {
    const std::string full(name);
    const std::lock_guard lock(mutex);
    if (const auto known = entries.find(full); known != entries.end()) return &known->second;
    const size_t dot = full.find('.');
    const std::string base = full.substr(0, dot);
    const std::string overload = dot == std::string::npos ? "" : full.substr(dot + 1);
    auto handle = c10::Dispatcher::singleton().findSchema({base, overload});
    return handle ? &entries.try_emplace(full, *handle).first->second : nullptr;
  } catch (...) {
    return nullptr;
  }
}

int32_t ct_operator_arity(ct_operator op) { return static_cast<int32_t>(op->parameters.size()); }

ct_parameter ct_operator_parameter(ct_operator op, int32_t index) {
  if (index < 0 || static_cast<size_t>(index) >= op->parameters.size()) return {};
  const auto &argument = op->handle.schema().arguments()[index];
  const Parameter &p = op->parameters[index];
  const auto *alias = argument.alias_info();
  return {argument.name().c_str(),
          p.kind == TypeKind::ListType ? list_tag(p.element) : value_tag(p.kind),
          argument.N().value_or(0),
          p.optional,
          argument.default_value().has_value(),
          alias && alias->isWrite()};
}

uint64_t ct_operator_calls(ct_operator op) { return op->calls.load(std::memory_order_relaxed); }

int32_t ct_call(ct_operator op, const ct_value *arguments, int32_t count, ct_value *results, int32_t capacity,
                int32_t *produced, ct_error *error) {
  return guarded(error, [&] {
    const size_t arity = op->parameters.size();
    TORCH_CHECK_VALUE(static_cast<size_t>(count) <= arity, "takes ", arity, " arguments, not ", count);
    Stack stack;
    stack.reserve(arity);
    constexpr ct_value missing{CT_DEFAULT, 0, {}};
    for (size_t i = 0; i < arity; ++i) {
      stack.push_back(argument_value(*op, i, i < static_cast<size_t>(count) ? arguments[i] : missing));
    }
    op->calls.fetch_add(1, std::memory_order_relaxed);
    op->handle.callBoxed(stack);
    TORCH_CHECK_VALUE(stack.size() <= static_cast<size_t>(capacity), "returns ", stack.size(), " results");
    *produced = static_cast<int32_t>(stack.size());
    for (size_t i = 0; i < stack.size(); ++i) results[i] = result_value(stack[i]);
  });
}

void ct_release(ct_tensor tensor) {
  live.fetch_sub(1, std::memory_order_relaxed);
  c10::intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>::reclaim(impl(tensor)).reset();
}

ct_tensor ct_retain(ct_tensor tensor) { return give(borrow(tensor)); }

int64_t ct_live_tensors(void) { return live.load(std::memory_order_relaxed); }

int32_t ct_from_bytes(const void *bytes, size_t byte_count, const int64_t *shape, int32_t rank, int32_t dtype,
                      ct_tensor *out, ct_error *error) {
  load();
  return guarded(error, [&] {
    auto tensor = at::empty(at::IntArrayRef(shape, rank), at::TensorOptions(static_cast<at::ScalarType>(dtype)));
    TORCH_CHECK_VALUE(tensor.nbytes() == byte_count, "a tensor of ", tensor.nbytes(), " bytes cannot hold ", byte_count);
    if (byte_count) std::memcpy(tensor.mutable_data_ptr(), bytes, byte_count);
    *out = give(std::move(tensor));
  });
}

int32_t ct_wrapped_number(const ct_value *number, ct_tensor *out, ct_error *error) {
  load();
  return guarded(error, [&] {
    const auto scalar = number->tag == CT_BOOLEAN   ? at::Scalar(number->as.integer != 0)
                        : number->tag == CT_INTEGER ? at::Scalar(number->as.integer)
                                                    : at::Scalar(number->as.real);
    auto tensor = c10::scalar_to_tensor(scalar);
    tensor.unsafeGetTensorImpl()->set_wrapped_number(true);
    *out = give(std::move(tensor));
  });
}

int32_t ct_data(ct_tensor tensor, void **out, ct_error *error) {
  return guarded(error, [&] {
    const auto t = borrow(tensor);
    TORCH_CHECK_VALUE(t.is_cpu(), "only a CPU tensor's bytes can be read");
    *out = t.mutable_data_ptr();
  });
}

int32_t ct_rank(ct_tensor tensor) { return static_cast<int32_t>(impl(tensor)->dim()); }
int64_t ct_size(ct_tensor tensor, int32_t dimension) { return impl(tensor)->sizes()[dimension]; }
int32_t ct_dtype(ct_tensor tensor) { return static_cast<int32_t>(c10::typeMetaToScalarType(impl(tensor)->dtype())); }
int32_t ct_device_type(ct_tensor tensor) { return static_cast<int32_t>(impl(tensor)->device().type()); }
int32_t ct_device_index(ct_tensor tensor) { return impl(tensor)->device().index(); }

bool ct_is_contiguous(ct_tensor tensor, bool channels_last) {
  return impl(tensor)->is_contiguous(channels_last ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous);
}

bool ct_same_storage(ct_tensor a, ct_tensor b) { return impl(a)->storage().is_alias_of(impl(b)->storage()); }

bool ct_same_layout(ct_tensor a, ct_tensor b) {
  const auto sizes = impl(a)->sizes();
  if (sizes != impl(b)->sizes()) return false;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] > 1 && impl(a)->strides()[i] != impl(b)->strides()[i]) return false;
  }
  return true;
}

int32_t ct_item(ct_tensor tensor, double *out, ct_error *error) {
  return guarded(error, [&] { *out = borrow(tensor).item().toDouble(); });
}

int32_t ct_item_integer(ct_tensor tensor, int64_t *out, ct_error *error) {
  return guarded(error, [&] { *out = borrow(tensor).item().toLong(); });
}

bool ct_requires_grad(ct_tensor tensor) { return borrow(tensor).requires_grad(); }

int32_t ct_set_requires_grad(ct_tensor tensor, bool value, ct_error *error) {
  return guarded(error, [&] { borrow(tensor).set_requires_grad(value); });
}

ct_tensor ct_gradient(ct_tensor tensor) {
  try {
    return give(borrow(tensor).grad());
  } catch (...) {
    return nullptr;
  }
}

int32_t ct_set_gradient(ct_tensor tensor, ct_tensor gradient, ct_error *error) {
  return guarded(error, [&] { borrow(tensor).mutable_grad() = borrow(gradient); });
}

int32_t ct_backward(ct_tensor tensor, ct_tensor seed, bool retain_graph, bool create_graph, ct_error *error) {
  return guarded(error, [&] {
    torch::autograd::backward({borrow(tensor)}, {borrow(seed)}, retain_graph || create_graph, create_graph);
  });
}

int32_t ct_grad(const ct_tensor *outputs, const ct_tensor *seeds, int32_t output_count, const ct_tensor *inputs,
                int32_t input_count, bool retain_graph, bool create_graph, ct_tensor *out, ct_error *error) {
  return guarded(error, [&] {
    auto gradients =
        torch::autograd::grad(borrow(outputs, output_count), borrow(inputs, input_count), borrow(seeds, output_count),
                              retain_graph || create_graph, create_graph, /*allow_unused=*/true);
    for (int32_t i = 0; i < input_count; ++i) out[i] = give(std::move(gradients[i]));
  });
}

int32_t ct_on_gradient(ct_tensor tensor, ct_gradient_hook hook, void *context, void (*release)(void *),
                       ct_error *error) {
  return guarded(error, [&] {
    const std::shared_ptr<void> held(context, release);
    borrow(tensor).register_hook([hook, held](const at::Tensor &gradient) {
      const ct_tensor result = hook(held.get(), give(gradient));
      auto taken = borrow(result);
      ct_release(result);
      return taken;
    });
  });
}

bool ct_grad_mode(void) { return c10::GradMode::is_enabled(); }
void ct_set_grad_mode(bool enabled) { c10::GradMode::set_enabled(enabled); }

int32_t ct_autocast(int32_t device_type) {
  load();
  const auto type = static_cast<c10::DeviceType>(device_type);
  return at::autocast::is_autocast_enabled(type) ? static_cast<int32_t>(at::autocast::get_autocast_dtype(type)) : -1;
}

int32_t ct_set_autocast(int32_t device_type, int32_t dtype, ct_error *error) {
  load();
  return guarded(error, [&] {
    const auto type = static_cast<c10::DeviceType>(device_type);
    at::autocast::set_autocast_enabled(type, dtype >= 0);
    if (dtype >= 0) at::autocast::set_autocast_dtype(type, static_cast<at::ScalarType>(dtype));
    at::autocast::clear_cache();
  });
}

int32_t ct_generator_make(int32_t device_type, int32_t device_index, uint64_t seed, ct_generator *out,
                          ct_error *error) {
  load();
  return guarded(error, [&] {
    const auto type = static_cast<c10::DeviceType>(device_type);
    auto generator = type == c10::DeviceType::CPU
                         ? at::make_generator<at::CPUGeneratorImpl>(seed)
                         : at::globalContext().getAcceleratorHooksInterface(type).getNewGenerator(
                               static_cast<c10::DeviceIndex>(device_index));
    generator.set_current_seed(seed);
    *out = reinterpret_cast<ct_generator>(generator.unsafeReleaseGeneratorImpl());
  });
}

void ct_generator_release(ct_generator generator) {
  c10::intrusive_ptr<c10::GeneratorImpl>::reclaim(impl(generator)).reset();
}

int32_t ct_generator_state(ct_generator generator, ct_tensor *out, ct_error *error) {
  return guarded(error, [&] { *out = give(borrow(generator).get_state()); });
}

int32_t ct_generator_set_state(ct_generator generator, ct_tensor state, ct_error *error) {
  return guarded(error, [&] { borrow(generator).set_state(borrow(state)); });
}

int32_t ct_seed_defaults(uint64_t seed, ct_error *error) {
  load();
  return guarded(error, [&] { at::manual_seed(seed); });
}

const char *ct_version(void) { return TORCH_VERSION; }

const char *ct_cpu_capability(void) {
  load();
  static const std::string capability = at::get_cpu_capability();
  return capability.c_str();
}

bool ct_has_device(int32_t device_type) { return ct_device_count(device_type) > 0; }

int32_t ct_device_count(int32_t device_type) {
  try {
    const auto type = static_cast<c10::DeviceType>(device_type);
    if (type == c10::DeviceType::CPU) return 1;
    load();
    auto &context = at::globalContext();
    if (type == c10::DeviceType::CUDA && !context.hasCUDA()) return 0;
    if (type == c10::DeviceType::MPS && !context.hasMPS()) return 0;
    return context.getAcceleratorHooksInterface(type).deviceCount();
  } catch (...) {
    return 0;
  }
}

int32_t ct_threads(void) {
  load();
  return at::get_num_threads();
}

void ct_set_threads(int32_t count) {
  load();
  at::set_num_threads(count);
}

void ct_set_deterministic(bool enabled) {
  load();
  at::globalContext().setDeterministicAlgorithms(enabled, /*warn_only=*/true);
  at::globalContext().setDeterministicCuDNN(enabled);
}

void ct_keep_freed_memory(void) {
#if defined(__GLIBC__)
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, -1);
  // Fastbins are merged whenever a large block is freed, which every operator does.
  mallopt(M_MXFAST, 0);
#endif
}

void ct_release_freed_memory(void) {
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}

}  // extern "C"

#endif  // LibTorch
