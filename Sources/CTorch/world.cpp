#include "cworld.h"

#if __has_include(<ATen/Version.h>)

#include "door.h"

// LibTorch's binaries bring gloo but not its headers, which c10d's own header includes. It names a few of their types and
// never looks into one: gloo/ beside this file declares as much of them as that takes. All of gloo is computed in
// LibTorch, by code that knows the whole types.
#define USE_C10D_GLOO
#include <c10/util/Logging.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>

namespace {

using Store = c10::intrusive_ptr<c10d::TCPStore>;
using Group = c10::intrusive_ptr<c10d::ProcessGroupGloo>;

Store borrow(ct_store store) { return Store::reclaim_copy(reinterpret_cast<c10d::TCPStore *>(store)); }
Group borrow(ct_group group) { return Group::reclaim_copy(reinterpret_cast<c10d::ProcessGroupGloo *>(group)); }

std::vector<uint8_t> bytes(const char *text) { return {text, text + std::strlen(text)}; }

char *text(const std::vector<uint8_t> &bytes) {
  auto *copy = static_cast<char *>(std::malloc(bytes.size() + 1));
  if (!copy) throw std::bad_alloc();
  std::memcpy(copy, bytes.data(), bytes.size());
  copy[bytes.size()] = '\0';
  return copy;
}

}  // namespace

extern "C" {

int32_t ct_store_open(const char *host, int32_t port, bool serves, int64_t milliseconds, ct_store *out, int32_t *bound,
                      ct_error *error) {
  door::load();
  return door::guarded(error, [&] {
    // c10d tells of a lost connection with a whole stack, at every call; here whoever called says what it means.
    FLAGS_caffe2_log_level = std::max(FLAGS_caffe2_log_level, static_cast<int>(c10::GLOG_ERROR));
    c10d::TCPStoreOptions options;
    options.port = static_cast<uint16_t>(port);
    options.isServer = serves;
    options.waitWorkers = false;
    options.timeout = std::chrono::milliseconds(milliseconds);
    auto store = c10::make_intrusive<c10d::TCPStore>(std::string(host), options);
    *bound = store->getPort();
    *out = reinterpret_cast<ct_store>(store.release());
  });
}

void ct_store_release(ct_store store) { Store::reclaim(reinterpret_cast<c10d::TCPStore *>(store)).reset(); }

int32_t ct_store_set(ct_store store, const char *key, const char *value, ct_error *error) {
  return door::guarded(error, [&] { borrow(store)->set(key, bytes(value)); });
}

int32_t ct_store_get(ct_store store, const char *key, char **value, ct_error *error) {
  return door::guarded(error, [&] {
    const auto held = borrow(store);
    *value = held->check({key}) ? text(held->get(key)) : nullptr;
  });
}

int32_t ct_store_set_first(ct_store store, const char *key, const char *wanted, char **value, ct_error *error) {
  return door::guarded(error, [&] { *value = text(borrow(store)->compareSet(key, {}, bytes(wanted))); });
}

int32_t ct_group_join(ct_store store, const char *prefix, int32_t rank, int32_t size, int64_t milliseconds,
                      ct_group *out, ct_error *error) {
  return door::guarded(error, [&] {
    const std::chrono::milliseconds timeout(milliseconds);
    const c10::intrusive_ptr<c10d::Store> place = c10::make_intrusive<c10d::PrefixStore>(prefix, borrow(store));
    place->setTimeout(timeout);
    auto group = c10::make_intrusive<c10d::ProcessGroupGloo>(place, rank, size,
                                                             c10d::ProcessGroupGloo::Options::create_default(timeout));
    *out = reinterpret_cast<ct_group>(group.release());
  });
}

void ct_group_release(ct_group group) { Group::reclaim(reinterpret_cast<c10d::ProcessGroupGloo *>(group)).reset(); }

int32_t ct_group_sum(ct_group group, ct_tensor tensor, ct_error *error) {
  return door::guarded(error, [&] {
    std::vector<at::Tensor> tensors{door::borrow(tensor)};
    borrow(group)->allreduce(tensors, c10d::AllreduceOptions())->wait();
  });
}

}  // extern "C"

#endif  // LibTorch
