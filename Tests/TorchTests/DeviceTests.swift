import Foundation
import QuenchSupport
import QuenchTorch
import Testing

@Suite("Devices and element types")
struct DeviceTests {
  @Test("the CPU is always there, last among the devices")
  func cpu() throws {
    #expect(try Device(parsing: "cpu") == .cpu)
    #expect(Device.available.last == .cpu)
    for device in Device.available { #expect(try Device(parsing: device.description) == device) }
  }

  @Test("auto is a CUDA device where there is one, another for each process of the machine, and the CPU elsewhere")
  func automatic() throws {
    let devices = Device.available.filter { $0 != .cpu && $0 != .mps }
    #expect(try Device(parsing: "auto") == devices.first ?? .cpu)
    #expect(Device.preferred(localRank: 5) == (devices.isEmpty ? .cpu : .cuda(5 % devices.count)))
  }

  @Test(
    "a name that is no device is refused with the names that are",
    arguments: [
      "", "gpu", "CPU", "cpu:0", "cuda:", "cuda:x", "cuda:-1", "cuda:0:1", "mps:0", "cuda:99999999999999999999"
    ])
  func unknown(_ name: String) {
    let error = #expect(throws: InputError.self) { try Device(parsing: name) }
    #expect(error?.description.contains("expected auto, cpu, cuda, cuda:N or mps, found '\(name)'") == true)
  }

  /// A Python with a CUDA build of torch, which needs no GPU.
  private static let python = ProcessInfo.processInfo.environment["QUENCH_TORCH_PYTHON"].flatMap { program in
    (try? ExportedNetworks.run(program, ["-c", "import torch; assert torch.version.cuda"])) == 0 ? program : nil
  }

  @Test(
    "every operator that the sources name has a kernel on CUDA, but for oneDNN's and MKL's",
    .enabled(if: python != nil, "QUENCH_TORCH_PYTHON names no Python with a CUDA build of torch"))
  func cuda() throws {
    let python = try #require(Self.python)
    let sources = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..").standardized
    #expect(try ExportedNetworks.run(python, [sources.appending(path: "scripts/cuda_operators.py").path]) == 0)
  }

  @Test("a device that this machine lacks is refused with advice")
  func missing() {
    let error = #expect(throws: InputError.self) { try Device(parsing: "cuda:4096") }
    #expect(error?.description.contains("see 'quench doctor'") == true)
  }

  @Test("every element type goes to LibTorch and comes back as itself", arguments: DType.allCases)
  func types(_ dtype: DType) {
    let tensor = Tensor.ones([2, 3], dtype: dtype)
    #expect(tensor.dtype == dtype)
    #expect(tensor.data().count == 6 * dtype.byteCount)
    #expect(tensor.array(Double.self) == Array(repeating: 1, count: 6))
    let converted = Tensor([0.0, 1.0]).to(dtype)
    #expect(converted.dtype == dtype)
    #expect(converted.array(Float.self) == [0, 1])
    let bytes = tensor.withUnsafeBytes { Tensor(bytes: $0, shape: [2, 3], dtype: dtype) }
    #expect(bytes.dtype == dtype)
    #expect(bytes.isEqual(to: tensor))
  }

  @Test("LibTorch divides exactly the floating-point types without changing them", arguments: DType.allCases)
  func floatingPoint(_ dtype: DType) {
    let half = Tensor.ones([1], dtype: dtype) / 2
    #expect((half.dtype == dtype) == dtype.isFloatingPoint)
    #expect(half.item() == 0.5)
  }

  @Test("Swift's numbers keep their values and types")
  func elements() {
    func check<Element: TensorElement & Equatable>(_ elements: [Element], _ dtype: DType) {
      let tensor = Tensor(elements)
      #expect(tensor.dtype == dtype)
      #expect(tensor.array(Element.self) == elements)
    }
    check([UInt8.min, .max], .uint8)
    check([Int8.min, .max], .int8)
    check([Int16.min, .max], .int16)
    check([Int32.min, .max], .int32)
    check([Int64.min, .max], .int64)
    check([Int.min, .max], .int64)
    check([Float.leastNonzeroMagnitude, .infinity], .float32)
    check([Double.leastNonzeroMagnitude, -.infinity], .float64)
    check([true, false], .bool)
  }

  @Test("single elements come out as they are")
  func items() {
    #expect(Tensor([Int.max]).integerItem() == .max)
    #expect(Tensor(0.1, dtype: .float64).item() == 0.1)
    #expect(Tensor([true]).item() == 1)
    #expect(Tensor([Float]()).array(Float.self) == [])
  }

  @Test("channels-last changes the order in memory and not the elements")
  func channelsLast() {
    let plain = Tensor.arange(to: 24, dtype: .float32).reshaped([1, 2, 3, 4])
    let last = plain.contiguous(.channelsLast)
    #expect(last.isContiguous(.channelsLast) && !last.isContiguous())
    #expect(!last.hasLayout(of: plain) && last.hasLayout(of: last.zerosLike()))
    #expect(last.array(Float.self) == plain.array(Float.self))
    #expect(last.isEqual(to: plain))
  }
}
