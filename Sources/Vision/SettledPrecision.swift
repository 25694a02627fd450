import Support
import Synchronization
import Torch

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
