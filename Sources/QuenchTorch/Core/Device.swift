import CTorch
import QuenchSupport

/// Where a tensor lies and its operators run.
public enum Device: Hashable, Sendable {
  case cpu
  case cuda(Int)
  case mps

  /// LibTorch's `c10::DeviceType`.
  var type: Int32 {
    switch self {
    case .cpu: 0
    case .cuda: 1
    case .mps: 13
    }
  }

  var index: Int {
    if case .cuda(let index) = self { return index }
    return self == .cpu ? -1 : 0
  }

  init(type: Int32, index: Int32) {
    switch type {
    case 1: self = .cuda(Int(max(index, 0)))
    case 13: self = .mps
    default: self = .cpu
    }
  }

  /// Reads `auto`, `cpu`, `cuda`, `cuda:1` or `mps`, and checks that this machine has it.
  /// - Throws: `InputError` for another name or a device that is not there.
  public init(parsing name: String) throws(InputError) {
    let parts = name.split(separator: ":", omittingEmptySubsequences: false)
    switch (parts.first, parts.count) {
    case ("auto", 1): self = .preferred()
    case ("cpu", 1): self = .cpu
    case ("mps", 1): self = .mps
    case ("cuda", 1): self = .cuda(0)
    case ("cuda", 2):
      guard let index = Int(parts[1]), index >= 0 else { fallthrough }
      self = .cuda(index)
    default:
      throw InputError(
        "unknown device", at: "device", expected: "auto, cpu, cuda, cuda:N or mps", found: "'\(name)'")
    }
    guard isAvailable else {
      throw InputError(
        "this machine or this LibTorch has no such device", at: "device", found: "'\(name)'",
        remedy: "see 'quench doctor' for the devices at hand")
    }
  }

  public var isAvailable: Bool { index < Int(ct_device_count(type)) }

  /// A CUDA device where LibTorch finds one, and the CPU otherwise. MPS, which lacks 64-bit floating-point numbers, has to
  /// be named.
  /// - Parameter localRank: This process's place among those of the machine, which share its devices out.
  public static func preferred(localRank: Int = 0) -> Device {
    let count = Int(ct_device_count(Device.cuda(0).type))
    return count > 0 ? .cuda(localRank % count) : .cpu
  }

  /// The devices of this machine that LibTorch can use; the CPU comes last.
  public static var available: [Device] {
    (0..<Int(ct_device_count(1))).map(Device.cuda) + (Device.mps.isAvailable ? [.mps] : []) + [.cpu]
  }
}

extension Device: CustomStringConvertible {
  public var description: String {
    switch self {
    case .cpu: "cpu"
    case .cuda(let index): "cuda:\(index)"
    case .mps: "mps"
    }
  }
}
