import QuenchReporting
import QuenchSupport
import QuenchTorch

/// What a frozen network computes its answers in.
public enum InferencePrecision: String, CaseIterable, Codable, Sendable {
  /// What ``InferencePlan/fastest(on:)`` says; never int8.
  case automatic = "auto"
  case float32
  case bfloat16
  /// Layers in 8-bit integers, their ranges measured on training images.
  case int8

  /// What a training in `precision` answers in.
  public init(_ precision: Precision) {
    switch precision {
    case .automatic: self = .automatic
    case .float32: self = .float32
    case .bfloat16: self = .bfloat16
    }
  }

  /// What layers of other precisions than int8 compute in.
  private func dtype(on device: Device) -> DType? {
    switch self {
    case .automatic: InferencePlan.fastest(on: device)
    case .float32: .float32
    case .bfloat16: .bfloat16
    case .int8: nil
    }
  }

  /// A plan of a network.
  /// - Parameters:
  ///   - network: Copied; it stays as it is.
  ///   - batchSize: What weights are packed for.
  ///   - calibration: Pixels in [0, 1], `[N, C, H, W]`, that int8's ranges are measured on; called for int8 alone.
  /// - Throws: `InputError` if the network can't be computed in int8 here; what `calibration` throws.
  public func plan(
    of network: Network, batchSize: Int = 64, calibration: () throws(InputError) -> Tensor
  ) throws(InputError) -> InferencePlan {
    guard let dtype = dtype(on: network.device) else {
      return try InferencePlan(network, batchSize: batchSize, calibration: try calibration())
    }
    return InferencePlan(network, batchSize: batchSize, dtype: dtype)
  }

  /// What it is on a device, for a run's record: `auto` becomes what measurement says.
  public func versions(on device: Device) -> Record {
    RunRecord.precisions(training: dtype(on: device), inference: dtype(on: device) ?? .int8)
  }
}

/// What a plan answered in, for the summary of a run.
public struct PlanPrecision: InlineGroup, Hashable, Sendable {
  /// What layers computed in: `float32`, `bfloat16` or `int8`.
  public var planPrecision: String
  /// Convolutions and linear layers that multiplied 8-bit integers; the others computed in float32.
  public var int8Layers: Int
  /// Convolutions and linear layers, whatever they computed in.
  public var layers: Int

  public init(of plan: InferencePlan) {
    (planPrecision, int8Layers, layers) = ("\(plan.dtype)", plan.integerLayers, plan.layers)
  }

  /// `int8, 20 of 21 layers`
  public var text: String {
    int8Layers > 0 ? "\(planPrecision), \(int8Layers) of \(NumberText.count(layers, "layer"))" : planPrecision
  }
}
