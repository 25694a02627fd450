// What the files behind the header's functions share.
#ifndef CTORCH_DOOR_H
#define CTORCH_DOOR_H

#include "ctorch.h"

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <cstring>
#include <new>

namespace door {

// Loads LibTorch unless it is loaded. On Linux that waits for the first call which needs it: registering LibTorch's
// operators takes longer than all that a command such as --help does, and its OpenMP library reads the environment
// while it is loaded. Every function that can be the first to need LibTorch calls this before anything else.
void load();

int32_t fill(ct_error *error, int32_t status, const char *what) noexcept;

// oneDNN and the system allocator report a lack of memory as a plain error; their texts are the only sign.
inline bool says_out_of_memory(const char *what) noexcept {
  return std::strstr(what, "not enough memory") || std::strstr(what, "can't allocate memory") ||
         std::strstr(what, "out of memory");
}

template <class Body>
int32_t guarded(ct_error *error, Body &&body) noexcept {
  try {
    body();
    error->status = CT_OK;
    return CT_OK;
  } catch (const c10::OutOfMemoryError &x) {
    return fill(error, CT_OUT_OF_MEMORY, x.what_without_backtrace());
  } catch (const c10::Error &x) {
    const char *what = x.what_without_backtrace();
    return fill(error, says_out_of_memory(what) ? CT_OUT_OF_MEMORY : CT_INVALID, what);
  } catch (const std::bad_alloc &x) {
    return fill(error, CT_OUT_OF_MEMORY, x.what());
  } catch (const std::exception &x) {
    return fill(error, says_out_of_memory(x.what()) ? CT_OUT_OF_MEMORY : CT_OTHER, x.what());
  } catch (...) {
    return fill(error, CT_OTHER, "unknown C++ exception");
  }
}

inline c10::TensorImpl *impl(ct_tensor tensor) { return reinterpret_cast<c10::TensorImpl *>(tensor); }

inline at::Tensor borrow(ct_tensor tensor) {
  if (!tensor) return {};
  return at::Tensor(c10::intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>::reclaim_copy(impl(tensor)));
}

ct_tensor give(at::Tensor tensor);

}  // namespace door

#endif
