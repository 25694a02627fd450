import Foundation
import QuenchSupport

/// Where a process stands among those that a launcher started together, as its environment says: torchrun and
/// Kubernetes' PyTorchJob by `RANK`, `WORLD_SIZE`, `MASTER_ADDR` and `MASTER_PORT`, Slurm's srun by `SLURM_PROCID` and
/// `SLURM_NTASKS`.
public struct RankPlace: Hashable, Sendable {
  /// From 0.
  public var rank: Int
  /// How many processes there are, at least 2.
  public var size: Int
  /// From 0 among the processes of this machine.
  public var localRank = 0
  /// The machine on which the processes find each other.
  public var address: String
  public var port: Int
  /// Whether the launcher itself serves the store of keys there; otherwise rank 0 does.
  public var isServed = false
  /// How often the launcher has started the processes anew.
  public var attempt = 0

  public init(rank: Int, size: Int, address: String, port: Int) {
    (self.rank, self.size, self.address, self.port) = (rank, size, address, port)
  }

  /// What an environment says; nil for a process that is alone.
  /// - Throws: `InputError` that names the variable which is missing or cannot be.
  public init?(environment: [String: String]) throws(InputError) {
    let variables = Variables(values: environment)
    let names = environment["RANK"] != nil || environment["WORLD_SIZE"] != nil ? Names.torch : Names.slurm
    guard let size = try variables.integer(names.size, in: 1...1_000_000) else {
      guard environment[names.rank] == nil || names == .slurm else {
        throw InputError("the variable is missing", at: names.size, remedy: Self.remedy)
      }
      return nil
    }
    guard let rank = try variables.integer(names.rank, in: 0...size - 1, "0 or more and below \(names.size)") else {
      // A batch script that Slurm runs has the number of tasks too, and is none of them.
      if names == .slurm { return nil }
      throw InputError("the variable is missing", at: names.rank, remedy: Self.remedy)
    }
    guard size > 1 else { return nil }
    let nodes = environment["SLURM_STEP_NODELIST"] ?? environment["SLURM_JOB_NODELIST"]
    guard let address = variables["MASTER_ADDR"] ?? nodes.flatMap(Self.firstHost) else {
      throw InputError(
        "the variable is missing", at: "MASTER_ADDR", expected: "the machine that rank 0 runs on",
        remedy: Self.remedy)
    }
    let job = try names == .slurm ? variables.integer("SLURM_JOB_ID", in: 0...Int.max) : nil
    let port = try variables.integer("MASTER_PORT", in: 1...65535) ?? job.map { 20_000 + $0 % 20_000 } ?? 29500
    self.init(rank: rank, size: size, address: address, port: port)
    localRank = try variables.integer(names.localRank, in: 0...size - 1) ?? 0
    isServed = environment["TORCHELASTIC_USE_AGENT_STORE"] == "True"
    attempt = try variables.integer("TORCHELASTIC_RESTART_COUNT", in: 0...Int.max) ?? 0
  }

  private static let remedy = "start the processes with torchrun or srun, or give --standalone for one"

  private struct Names: Equatable {
    let rank: String
    let size: String
    let localRank: String

    static let torch = Names(rank: "RANK", size: "WORLD_SIZE", localRank: "LOCAL_RANK")
    static let slurm = Names(rank: "SLURM_PROCID", size: "SLURM_NTASKS", localRank: "SLURM_LOCALID")
  }

  private struct Variables {
    let values: [String: String]

    subscript(name: String) -> String? { values[name].flatMap { $0.isEmpty ? nil : $0 } }

    func integer(
      _ name: String, in range: ClosedRange<Int>, _ expected: String? = nil
    ) throws(InputError) -> Int? {
      guard let text = values[name] else { return nil }
      guard let value = Int(text), range.contains(value) else {
        let bounds =
          range.upperBound == .max ? "\(range.lowerBound) or more" : "\(range.lowerBound) to \(range.upperBound)"
        throw InputError(
          "the variable has no value that it can have", at: name, expected: expected ?? bounds,
          found: text.quoted, remedy: RankPlace.remedy)
      }
      return value
    }
  }

  /// The first machine of a list as Slurm writes it: `node[03-07,12],gpu1` begins with node03.
  static func firstHost(_ list: String) -> String? {
    let first = list.prefix { $0 != "," && $0 != "[" }
    let rest = list.dropFirst(first.count)
    guard rest.first == "[" else { return first.isEmpty ? nil : String(first) }
    let number = rest.dropFirst().prefix { $0.isNumber }
    return "\(first)\(String(number))"
  }
}
