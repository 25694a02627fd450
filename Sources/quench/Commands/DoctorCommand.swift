import ArgumentParser
import Foundation
import Reporting
import Support
import Torch
import Vision

/// What this machine offers and what a run would use of it.
struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Say what this machine offers, what a run would use, and what is in the way.",
    discussion: """
      The exit code is 1 if LibTorch computes a wrong result here; warnings leave it
      at 0.

      Examples:
        quench doctor
        quench doctor --device cuda --json
      """)

  @OptionGroup var machine: MachineOptions
  @OptionGroup var output: OutputOptions

  func run() throws {
    let device = try machine.prepare()
    let findings = MachineFindings(device: device, precision: machine.precision)
    output.printResult(findings.record, findings.text)
    if let failure = findings.failure { throw failure }
  }
}

/// What was found on the machine, and what to do about it.
struct MachineFindings {
  let device: Device
  /// What layers compute in while training.
  let dtype: DType
  let threads = LibTorch.threads
  let cores = ProcessInfo.processInfo.activeProcessorCount
  let memory = ProcessInfo.processInfo.physicalMemory
  let processor = Processor()
  let dataSets: [(name: DataName, folder: URL)]
  /// Where runs go unless `--out` says otherwise, and whether they can.
  let runs: (folder: URL, isWritable: Bool)
  /// The self-checks by name, and whether they gave what they must.
  let checks: [(name: String, holds: Bool)]

  init(device: Device, precision: Precision) {
    self.device = device
    dtype = precision.autocast(on: device) ?? .float32
    dataSets = DataName.allCases.compactMap { name in Datasets.find(name).map { (name, $0) } }
    let folder = RunFolder.location(named: "x").deletingLastPathComponent()
    runs = (folder, Self.isWritable(folder))
    checks = SelfCheck.run(on: device, in: dtype)
  }

  /// A folder that is not there yet is as good as the one that it would be made in.
  private static func isWritable(_ folder: URL) -> Bool {
    let files = FileManager.default
    let exists = files.fileExists(atPath: folder.path)
    return files.isWritableFile(atPath: (exists ? folder : folder.absoluteURL.deletingLastPathComponent()).path)
  }

  var failure: InputError? {
    let failed = checks.filter { !$0.holds }.map(\.name)
    guard !failed.isEmpty else { return nil }
    return InputError(
      "LibTorch computes a wrong result on this machine", at: "\(device)", found: failed.joined(separator: ", "),
      remedy: "try --precision float32, or another LibTorch: LIBTORCH=/dir make build")
  }

  /// What a user should know, with what to do about it.
  var warnings: [String] {
    var warnings: [String] = []
    if device == .cpu, dtype == .bfloat16, !LibTorch.hasFastBFloat16 {
      warnings.append("bfloat16 is slower than float32 on this processor: leave --precision out")
    }
    if device == .cpu, LibTorch.cpuCapability == "DEFAULT" {
      warnings.append(
        "LibTorch uses no vector instructions here: use a processor with AVX2 or a build made for this one")
    }
    if device == .cpu, let better = Device.available.first, better != .cpu {
      warnings.append("runs use the CPU; pass --device \(better) to use that")
    }
    if threads > cores {
      warnings.append("\(threads) threads share \(cores) cores: lower --threads to \(cores)")
    }
    if memory < 4 << 30 {
      warnings.append("less than 4 GB of memory: lower --batch-size if a run ends for want of it")
    }
    if dataSets.isEmpty {
      warnings.append("no data set found: run 'quench data fetch fashion-mnist', or pass --data-dir to commands")
    }
    if !runs.isWritable {
      warnings.append("\(runs.folder.path) cannot be written: pass --out, or go to another folder")
    }
    return warnings
  }

  /// What bfloat16 is worth on the processor.
  private var bfloat16: String {
    if LibTorch.hasFastBFloat16 { return "fast" }
    return LibTorch.offersBFloat16 ? "offered, slower than float32" : "not offered"
  }

  var record: Record {
    [
      "quench": .string(Version.quench), "swift": .string(Self.compiler), "libtorch": .string(LibTorch.version),
      "system": .string(ProcessInfo.processInfo.operatingSystemVersionString),
      "processor": .string(processor.model), "processor_features": .array(processor.features.map { .string($0) }),
      "libtorch_capability": .string(LibTorch.cpuCapability), "fast_bfloat16": .bool(LibTorch.hasFastBFloat16),
      "cores": .int(cores), "memory_mb": .int(Int(memory / 1_000_000)),
      "devices": .array(Device.available.map { .string("\($0)") }),
      "data_sets": .object(dataSets.reduce(into: Record()) { $0[$1.name.rawValue] = .string($1.folder.path) }),
      "run": ["device": .string("\(device)"), "precision": .string("\(dtype)"), "threads": .int(threads)],
      "runs_folder": .string(runs.folder.path), "runs_folder_writable": .bool(runs.isWritable),
      "checks": .object(checks.reduce(into: Record()) { $0[$1.name] = .bool($1.holds) }),
      "warnings": .array(warnings.map { .string($0) })
    ]
  }

  var text: String {
    let sets = dataSets.map { "\($0.name.rawValue) in \($0.folder.path)" }
    let rows = [
      ("quench", "\(Version.quench), built with Swift \(Self.compiler)"),
      ("LibTorch", "\(LibTorch.version), \(LibTorch.cpuCapability) kernels"),
      ("system", ProcessInfo.processInfo.operatingSystemVersionString),
      ("processor", processor.model), ("features", processor.features.joined(separator: " ")),
      ("bfloat16", bfloat16),
      ("cores", "\(cores)"), ("memory", "\(NumberText.plain(Double(memory) / 1e9, digits: 3)) GB"),
      ("devices", Device.available.map { "\($0)" }.joined(separator: ", ")),
      ("data sets", sets.isEmpty ? "none found" : sets.joined(separator: "\n               ")),
      ("runs folder", runs.folder.path + (runs.isWritable ? "" : " (cannot be written)")),
      ("a run uses", "\(device), \(dtype), \(threads) threads"),
      ("self-check", checks.map { "\($0.name) \($0.holds ? "right" : "WRONG")" }.joined(separator: ", "))
    ]
    let lines = rows.filter { !$0.1.isEmpty }.map { $0.0.padding(toLength: 15, withPad: " ", startingAt: 0) + $0.1 }
    return (lines + warnings.map { "warning: \($0)" }).joined(separator: "\n")
  }

  /// The compiler that built this program; it tells itself no more than this.
  private static var compiler: String {
    #if compiler(>=6.4)
      "6.4 or later"
    #elseif compiler(>=6.3)
      "6.3"
    #else
      "6.2"
    #endif
  }
}

/// The processor as the system describes it.
struct Processor {
  var model = "unknown"
  /// Of the instructions that matter to tensors, those that it has.
  var features: [String] = []

  private static let known = [
    "avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8", "asimd",
    "asimdhp", "asimddp", "sve", "sve2", "bf16", "i8mm"
  ]

  init() {
    #if os(Linux)
      let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
      func field(_ names: String...) -> String? {
        for line in text.split(separator: "\n") {
          let parts = line.split(separator: ":", maxSplits: 1).map { $0.trimmingCharacters(in: .whitespaces) }
          if parts.count == 2, names.contains(parts[0]) { return parts[1] }
        }
        return nil
      }
      model = field("model name", "Model", "CPU part") ?? model
      let flags = Set((field("flags", "Features") ?? "").split(separator: " ").map(String.init))
      features = Self.known.filter(flags.contains)
    #elseif canImport(Darwin)
      model = Self.control("machdep.cpu.brand_string") ?? model
      features = Self.known.filter { name in
        var value: Int32 = 0
        var size = MemoryLayout<Int32>.size
        return sysctlbyname("hw.optional.arm.FEAT_\(name.uppercased())", &value, &size, nil, 0) == 0 && value == 1
      }
    #endif
  }

  #if canImport(Darwin)
    private static func control(_ name: String) -> String? {
      var size = 0
      guard sysctlbyname(name, nil, &size, nil, 0) == 0 else { return nil }
      var bytes = [UInt8](repeating: 0, count: size)
      guard sysctlbyname(name, &bytes, &size, nil, 0) == 0 else { return nil }
      return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
  #endif
}

/// Tiny computations with known results, exact in every element type.
enum SelfCheck {
  static func run(on device: Device, in dtype: DType) -> [(name: String, holds: Bool)] {
    func tensor(_ values: [Float], _ shape: [Int]) -> Tensor { Tensor(values, shape: shape).to(device).to(dtype) }
    func check(_ result: Tensor, _ expected: [Float]) -> Bool { result.array(Float.self) == expected }
    return withoutGradient {
      let product = tensor([1, 2, 3, 4], [2, 2]).matmul(tensor([5, 6, 7, 8], [2, 2]))
      let ones = tensor([Float](repeating: 1, count: 9), [1, 1, 3, 3])
      let convolution = ones.contiguous(.channelsLast).conv2d(ones, stride: 1, padding: 1)
      return [
        ("matrix product", check(product, [19, 22, 43, 50])),
        ("convolution", check(convolution, [4, 6, 4, 6, 9, 6, 4, 6, 4]))
      ]
    }
  }
}
