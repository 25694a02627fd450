import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import Synchronization

/// What ``Precision/automatic`` is in this process: by measurement, unless it goes on with what was begun elsewhere or
/// at another time.
public enum SettledPrecision {
  private static let types = Mutex<(training: DType?, inference: DType?)>((nil, nil))

  /// Training steps are computed in this; nil: measurement says what in.
  public static var training: DType? { types.withLock(\.training) }
  /// So are inference plans.
  public static var inference: DType? { types.withLock(\.inference) }

  /// Goes by these, float32 or bfloat16, for as long as the process lasts.
  public static func settle(training: DType?, inference: DType?) {
    types.withLock { $0 = (training, inference) }
  }
}

extension SettledPrecision {
  /// Has all ranks go by what ``Precision/automatic`` is for rank 0: measurement might tell them different things.
  public static func agree(in world: World, on device: Device) {
    guard world.size > 1 else { return }
    func text(_ type: DType) -> String { "\(type)" }
    let own =
      world.rank == 0
      ? [Precision.automatic.autocast(on: device) ?? .float32, InferencePlan.fastest(on: device)] : []
    let told = String(decoding: world.broadcast(Data(own.map(text).joined(separator: " ").utf8)), as: UTF8.self)
    let types = told.split(separator: " ").map { name in [DType.float32, .bfloat16].first { text($0) == name } }
    guard types.count == 2 else { preconditionFailure("rank 0 tells two types") }
    settle(training: types[0], inference: types[1])
  }
}

extension Precision {
  /// What it is on a device, for a run's record: `auto` becomes what measurement says.
  public func versions(on device: Device) -> Record {
    RunRecord.precisions(
      training: autocast(on: device) ?? .float32, inference: inference ?? InferencePlan.fastest(on: device))
  }
}

extension RunRecord {
  fileprivate static let precisionKey = "precision"
  fileprivate static let inferenceKey = "inference-precision"

  /// What training and answers are computed in; nil: nothing is trained.
  static func precisions(training: DType?, inference: DType) -> Record {
    [precisionKey: .string("\(training ?? inference)"), inferenceKey: .string("\(inference)")]
  }

  /// Lets this process compute in what the run was begun in.
  public func settlePrecision() {
    func type(_ key: String) -> DType? {
      versions[key]?.string.flatMap { name in [DType.float32, .bfloat16].first { "\($0)" == name } }
    }
    SettledPrecision.settle(training: type(Self.precisionKey), inference: type(Self.inferenceKey))
  }
}
