// A CUDA device for machines that have none. Its memory and its kernels are the CPU's, but what a GPU refuses is refused:
// operators over tensors of two devices, a generator of the other device, and the host's reading of its memory, which
// lies at addresses that fault. A program into which this library is loaded first (LD_PRELOAD) has `cuda:0`.

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/DeviceAccelerator.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <c10/core/impl/alloc_cpu.h>
#include <torch/library.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace {

using c10::DeviceType;
using c10::IValue;
using c10::Stream;

const c10::Device device(DeviceType::CUDA, 0);

// Host and device addresses: the device's are not canonical.
constexpr uintptr_t far = uintptr_t{1} << 62;
void *to_device(void *host) { return host ? reinterpret_cast<void *>(reinterpret_cast<uintptr_t>(host) | far) : host; }
void *to_host(const void *there) { return reinterpret_cast<void *>(reinterpret_cast<uintptr_t>(there) & ~far); }

struct Memory final : c10::Allocator {
  c10::DataPtr allocate(size_t count) override {
    void *host = c10::alloc_cpu(count);
    return {to_device(host), host, &c10::free_cpu, device};
  }
  void copy_data(void *to, const void *from, size_t count) const override {
    std::memcpy(to_host(to), to_host(from), count);
  }
};

Memory memory;

struct Guard final : c10::impl::DeviceGuardImplInterface {
  DeviceType type() const override { return DeviceType::CUDA; }
  c10::Device exchangeDevice(c10::Device) const override { return device; }
  c10::Device getDevice() const override { return device; }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  Stream getStream(c10::Device) const override { return Stream(Stream::DEFAULT, device); }
  Stream getDefaultStream(c10::Device) const override { return getStream(device); }
  Stream exchangeStream(Stream) const override { return getStream(device); }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
  void record(void **, const Stream &, const c10::DeviceIndex, const c10::EventFlag) const override {}
  void block(void *, const Stream &) const override {}
  bool queryEvent(void *) const override { return true; }
  void destroyEvent(void *, const c10::DeviceIndex) const noexcept override {}
};

// A device's generator is told from the CPU's by its type.
struct DeviceGenerator final : at::CPUGeneratorImpl {
  using at::CPUGeneratorImpl::CPUGeneratorImpl;
};

struct CUDAHooks final : at::CUDAHooksInterface {
  explicit CUDAHooks(at::CUDAHooksArgs) {}
  void init() const override {}
  bool hasCUDA() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return 1; }
  c10::DeviceIndex current_device() const override { return 0; }
  c10::Device getDeviceFromPtr(void *) const override { return device; }
  at::Generator getNewGenerator(c10::DeviceIndex) const override { return at::make_generator<DeviceGenerator>(); }
  const at::Generator &getDefaultGenerator(c10::DeviceIndex) const override {
    static const at::Generator generator = at::make_generator<DeviceGenerator>();
    return generator;
  }
};

// What an operator is given, as the CPU's kernels can take it, and back.
class Call {
 public:
  Call(const c10::OperatorHandle &op) : op(op) {}

  IValue take(const IValue &value, bool may_mix) {
    if (value.isDevice()) return value.toDevice() == device ? IValue(c10::Device(c10::kCPU)) : value;
    if (value.isTensor()) return take(value.toTensor(), may_mix);
    if (value.isTensorList()) {
      c10::List<at::Tensor> list;
      for (const at::Tensor &tensor : value.toTensorVector()) list.push_back(take(tensor, may_mix));
      return list;
    }
    if (value.isOptionalTensorList()) {
      c10::List<std::optional<at::Tensor>> list;
      for (const std::optional<at::Tensor> &tensor : value.toOptionalTensorVector())
        list.push_back(tensor ? std::optional(take(*tensor, may_mix)) : std::nullopt);
      return list;
    }
    if (value.isGenerator())
      TORCH_CHECK(dynamic_cast<DeviceGenerator *>(value.toGenerator().unsafeGetGeneratorImpl()),
                  "Expected a 'cuda' device type for generator but found 'cpu' in ", op.schema());
    return value;
  }

  IValue give(const IValue &value) {
    if (value.isTensor()) return give(value.toTensor());
    if (!value.isTensorList()) return value;
    c10::List<at::Tensor> list;
    for (const at::Tensor &tensor : value.toTensorVector()) list.push_back(give(tensor));
    return list;
  }

  // What an operator changed about its arguments beside their elements.
  void update() {
    for (auto &[original, stand_in] : taken) {
      auto &mine = original.storage().unsafeGetStorageImpl()->mutable_data_ptr();
      const auto &now = stand_in.storage();
      if (now.data() != to_host(mine.get())) {
        original.storage().set_data_ptr_noswap(held(now));
        original.storage().set_nbytes(now.nbytes());
      }
      original.unsafeGetTensorImpl()->set_sizes_and_strides(stand_in.sizes(), stand_in.strides(),
                                                           stand_in.storage_offset());
    }
  }

 private:
  const c10::OperatorHandle &op;
  std::vector<std::pair<at::Tensor, at::Tensor>> taken;
  std::vector<at::Tensor> strangers;
  std::unordered_map<c10::StorageImpl *, c10::Storage> stand_ins;

  static at::Tensor make(c10::Storage storage, c10::DispatchKey key, const at::Tensor &like) {
    auto tensor = at::detail::make_tensor<c10::TensorImpl>(std::move(storage), c10::DispatchKeySet(key), like.dtype());
    tensor.unsafeGetTensorImpl()->set_sizes_and_strides(like.sizes(), like.strides(), like.storage_offset());
    return tensor;
  }

  static c10::DataPtr held(const c10::Storage &host) {
    return {to_device(host.mutable_data()), new c10::Storage(host),
            [](void *context) { delete static_cast<c10::Storage *>(context); }, device};
  }

  at::Tensor take(const at::Tensor &tensor, bool may_mix) {
    if (!tensor.defined()) return tensor;
    if (tensor.device() != device) {
      TORCH_CHECK(may_mix || tensor.dim() == 0,
                  "Expected all tensors to be on the same device, but found one on ", tensor.device(), " in ",
                  op.schema());
      strangers.push_back(tensor);
      return tensor;
    }
    for (auto &[original, stand_in] : taken)
      if (original.is_same(tensor)) return stand_in;
    const auto &storage = tensor.storage();
    auto &host = stand_ins[storage.unsafeGetStorageImpl()];
    if (!host)
      host = c10::Storage(c10::Storage::use_byte_size_t(), storage.nbytes(),
                          c10::DataPtr(to_host(storage.data()), c10::kCPU), c10::GetCPUAllocator(), true);
    taken.emplace_back(tensor, make(host, c10::DispatchKey::CPU, tensor));
    return taken.back().second;
  }

  at::Tensor give(const at::Tensor &tensor) {
    if (!tensor.defined()) return tensor;
    for (const at::Tensor &stranger : strangers)
      if (stranger.is_same(tensor)) return tensor;
    for (auto &[original, stand_in] : taken)
      if (stand_in.is_same(tensor)) return original;
    for (auto &[original, stand_in] : taken)
      if (stand_in.storage().is_alias_of(tensor.storage()))
        return make(original.storage(), c10::DispatchKey::CUDA, tensor);
    return make(c10::Storage(c10::Storage::use_byte_size_t(), tensor.storage().nbytes(), held(tensor.storage()),
                             &memory, true),
                c10::DispatchKey::CUDA, tensor);
  }
};

// Operators that take tensors of both devices: copies, and indices, which may lie on the CPU.
bool mixes(const c10::OperatorHandle &op) {
  static const std::unordered_set<std::string> names = {"aten::copy_", "aten::index", "aten::index_put",
                                                        "aten::index_put_", "aten::_index_put_impl_"};
  return names.count(op.schema().name()) > 0;
}

std::atomic<long> calls = 0;

void run(const c10::OperatorHandle &op, torch::jit::Stack *stack) {
  ++calls;
  const size_t count = op.schema().arguments().size();
  Call call(op);
  std::vector<IValue> host;
  for (const IValue &value : torch::jit::last(*stack, count)) host.push_back(call.take(value, mixes(op)));
  torch::jit::drop(*stack, count);
  {
    at::AutoDispatchBelowADInplaceOrView below;
    op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), &host);
  }
  call.update();
  for (const IValue &value : host) stack->push_back(call.give(value));
}

C10_REGISTER_GUARD_IMPL(CUDA, Guard)

TORCH_LIBRARY_IMPL(_, CUDA, library) { library.fallback(torch::CppFunction::makeFromBoxedFunction<&run>()); }

// Those of which LibTorch has a form of its own for any device, which would ask for kernels that are not there.
TORCH_LIBRARY_IMPL(aten, CUDA, library) {
  for (const char *name : {"copy_", "convolution", "convolution_backward"})
    library.impl(name, torch::CppFunction::makeFromBoxedFunction<&run>());
}

template <class Body>
bool refuses(Body &&body) {
  try {
    body();
  } catch (const c10::Error &) {
    return true;
  }
  return false;
}

// At the end of the program it says how much was done here; with TEST_DEVICE_CHECK the program only says whether what a
// GPU refuses is refused.
const bool is_ready = [] {
  c10::SetAllocator(DeviceType::CUDA, &memory);
  std::atexit([] { std::fprintf(stderr, "test device: %ld operators\n", calls.load()); });
  if (!std::getenv("TEST_DEVICE_CHECK")) return true;
  const auto here = at::ones({2}), there = at::ones({2}, device);
  const bool adds = at::equal((there + there).cpu(), here + here), views = there.view({1, 2}).data_ptr() == there.data_ptr();
  std::printf("adds %d, views %d, refuses a sum %d, a generator %d\n", adds, views, refuses([&] { there + here; }),
              refuses([&] { at::empty({2}, device).normal_(0, 1, at::make_generator<at::CPUGeneratorImpl>(1)); }));
  std::exit(0);
}();

}  // namespace

using at::CUDAHooksRegistry;
using at::RegistererCUDAHooksRegistry;
REGISTER_CUDA_HOOKS(CUDAHooks)

// A LibTorch built without CUDA has no accelerator whose streams a backward pass could follow. This one, loaded first, is
// called instead of its own.
namespace at::accelerator {
std::optional<c10::DeviceType> getAccelerator(bool) { return c10::DeviceType::CUDA; }
}
