import ArgumentParser
import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// What this machine offers and what a run would use of it.
struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Report what this machine offers, what a run would use, and what is in the way.",
    discussion: """
      The exit code is 1 if LibTorch computes a wrong result here; warnings leave it
      at 0. What bfloat16 gains on this processor is measured again, and --precision
      auto goes by it from then on.

      Examples:
        quench doctor
        quench doctor --device cuda --json
      """)

  @OptionGroup var machine: MachineOptions
  @OptionGroup var output: OutputOptions

  func validate() throws { _ = try machine.layerPrecision }

  func run() throws {
    let device = try machine.prepare()
    let findings = MachineFindings(device: device, precision: try machine.layerPrecision)
    output.printResult(findings.record, findings.text)
    if let failure = findings.failure { throw failure }
  }
}

/// What was found on the machine, and what to do about it.
struct MachineFindings {
  let device: Device
  /// What layers compute in while training, and what frozen networks do.
  let training, inference: DType
  /// What bfloat16 gains on the processor.
  let gain: BFloat16Gain
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
    gain = .measured(keptIn: BFloat16Gain.cache, replacing: true)
    training = precision.autocast(on: device) ?? .float32
    inference = precision.inference ?? InferencePlan.fastest(on: device)
    dataSets = DataName.allCases.compactMap { name in Datasets.find(name).map { (name, $0) } }
    let folder = RunFolder.location(named: "x").deletingLastPathComponent()
    runs = (folder, Self.isWritable(folder))
    checks = SelfCheck.run(on: device, in: training)
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
    if device == .cpu, training == .bfloat16, gain.training < 1 {
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
    if let quota = Processor.quota, Double(threads) > quota.rounded(.up) {
      warnings.append(
        "\(threads) threads share \(NumberText.plain(quota, digits: 3)) cores, the limit of this control group: "
          + "lower --threads to \(Int(quota.rounded(.up)))")
    }
    if let load = Processor.load, load > Double(cores) + 0.5 {
      warnings.append(
        "other work keeps this machine busy (load \(NumberText.fixed(load, decimals: 1)) on \(cores) cores): "
          + "runs are slower, and what is measured here may be wrong")
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
    guard LibTorch.offersBFloat16 else { return "not offered" }
    func times(_ value: Double) -> String { NumberText.fixed(value, decimals: 2) }
    return
      "\(times(gain.training)) times as fast as float32 in training, \(times(gain.inference)) times in inference"
  }

  private var load: String {
    let mean = Processor.load.map { NumberText.fixed($0, decimals: 2) } ?? "unknown"
    let quota = Processor.quota.map { "limited to \(NumberText.plain($0, digits: 3)) cores" } ?? "no limit"
    return "\(mean) over the last minute; \(quota)"
  }

  var record: Record {
    [
      "quench": .string(Release.version), "swift": .string(Self.compiler), "libtorch": .string(LibTorch.version),
      "system": .string(ProcessInfo.processInfo.operatingSystemVersionString),
      "processor": .string(processor.model), "processor_features": .array(processor.features.map { .string($0) }),
      "libtorch_capability": .string(LibTorch.cpuCapability), "offers_bfloat16": .bool(LibTorch.offersBFloat16),
      "bfloat16_gain": ["training": .double(gain.training), "inference": .double(gain.inference)],
      "cores": .int(cores), "load": Processor.load.map { .double($0) } ?? .null,
      "quota": Processor.quota.map { .double($0) } ?? .null, "waiting": .string(LibTorch.waitPolicy),
      "memory_mb": .int(Int(memory / 1_000_000)),
      "devices": .array(Device.available.map { .string("\($0)") }),
      "data_sets": .object(dataSets.reduce(into: Record()) { $0[$1.name.rawValue] = .string($1.folder.path) }),
      "run": [
        "device": .string("\(device)"), "precision": .string("\(training)"),
        "inference_precision": .string("\(inference)"), "threads": .int(threads)
      ],
      "runs_folder": .string(runs.folder.path), "runs_folder_writable": .bool(runs.isWritable),
      "checks": .object(checks.reduce(into: Record()) { $0[$1.name] = .bool($1.holds) }),
      "warnings": .array(warnings.map { .string($0) })
    ]
  }

  var text: String {
    let sets = dataSets.map { "\($0.name.rawValue) in \($0.folder.path)" }
    let rows = [
      ("quench", "\(Release.version), built with Swift \(Self.compiler)"),
      ("LibTorch", "\(LibTorch.version), \(LibTorch.cpuCapability) kernels"),
      ("system", ProcessInfo.processInfo.operatingSystemVersionString),
      ("processor", processor.model), ("features", processor.features.joined(separator: " ")),
      ("bfloat16", bfloat16),
      ("cores", "\(cores)"), ("load", load), ("waiting", LibTorch.waitPolicy),
      ("memory", "\(NumberText.plain(Double(memory) / 1e9, digits: 3)) GB"),
      ("devices", Device.available.map { "\($0)" }.joined(separator: ", ")),
      ("data sets", sets.isEmpty ? "none found" : sets.joined(separator: "\n               ")),
      ("runs folder", runs.folder.path + (runs.isWritable ? "" : " (cannot be written)")),
      ("a run uses", "\(device), \(threads) threads, \(training) to train, \(inference) for frozen networks"),
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
