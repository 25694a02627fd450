import Foundation

/// The processor as the system describes it.
public struct Processor: Hashable, Sendable, CustomStringConvertible {
  /// Such as `AMD EPYC 9R14`.
  public private(set) var model = "unknown"
  /// Of the instructions that matter to tensors, those that it has.
  public private(set) var features: [String] = []

  private static let known = [
    "avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8", "asimd",
    "asimdhp", "asimddp", "sve", "sve2", "bf16", "i8mm"
  ]

  /// The processor in one line, for what is measured once for each kind.
  public var description: String { ([model] + features).joined(separator: " ") }

  public init() {
    #if os(Linux)
      let text = Self.contents("/proc/cpuinfo") ?? ""
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

  /// Processes that ran or waited to run, this one among them: the system's mean over the last minute.
  public static var load: Double? {
    var averages = [0.0]
    return getloadavg(&averages, 1) == 1 ? averages[0] : nil
  }

  /// Cores that the process may use on average by its control group; nil without such a limit.
  public static var quota: Double? {
    #if os(Linux)
      func number(_ text: (some StringProtocol)?) -> Double? {
        text.flatMap { Double($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
      }
      let limit: (quota: Double?, period: Double?)
      if let words = contents("/sys/fs/cgroup/cpu.max")?.split(separator: " "), words.count == 2 {
        limit = (number(words[0]), number(words[1]))
      } else {
        let folder = "/sys/fs/cgroup/cpu/cpu.cfs_"
        limit = (number(contents(folder + "quota_us")), number(contents(folder + "period_us")))
      }
      guard let quota = limit.quota, let period = limit.period, quota > 0, period > 0 else { return nil }
      return quota / period
    #else
      return nil
    #endif
  }

  #if os(Linux)
    private static func contents(_ path: String) -> String? { try? String(contentsOfFile: path, encoding: .utf8) }
  #endif

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
