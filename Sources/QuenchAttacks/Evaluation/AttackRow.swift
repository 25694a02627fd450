import Foundation
import QuenchReporting
import QuenchSupport
import QuenchVision

/// What became of one sample at one budget: a line of `rows.csv`.
public struct AttackRow: Hashable, Sendable {
  /// In the data set.
  public var index: Int
  public var label: Int
  /// The budget in pixel units; nil: any distance.
  public var epsilon: Double?
  /// The answer to the clean image.
  public var before: Int
  /// The answer to the image that the attack returned; nil where it is no finite number.
  public var after: Int?
  /// Whether a sample that was right before is broken within the budget.
  public var isBroken: Bool
  /// The attack that broke it, or of `individual` the one that the row is about; empty where none did.
  public var attack: String
  /// Norms of the perturbation.
  public var linf: Double
  public var l2: Double
  public var l1: Double
  /// Values that differ.
  public var l0: Int
  /// Forward passes of the attacks.
  public var queries: Int
  /// Backward passes.
  public var gradients: Int
  /// Cross-entropy of the answer to the returned image; null in a file if it is infinite.
  public var loss: Double
  /// Of a broken sample: the answer to its image with pixels rounded to 8 bits.
  public var afterRounding: Int?
  /// Whether it still counts as broken then, at whatever distance.
  public var isBrokenRounded = false
  /// The norm of the rounded image's perturbation, the budget's.
  public var sizeRounded: Double?
  /// Whether the model answered the image, or another that the attack tried, with what is no finite number.
  public var isUndefined = false

  public var wasCorrect: Bool { before == label }
  /// Whether it counts for robust accuracy.
  public var isRobust: Bool { wasCorrect && !isBroken && !isUndefined }

  public static let header =
    "index,label,epsilon,prediction_before,prediction_after,success,attack,linf,l2,l1,l0,queries,gradients,loss,"
    + "prediction_8bit,success_8bit,norm_8bit"

  /// One line of `rows.csv`, without its end.
  public var csv: String {
    func text(_ value: Double) -> String { value.isFinite ? "\(Float(value))" : "" }
    return [
      "\(index)", "\(label)", epsilon.map { "\(PixelBudget($0))" } ?? "", "\(before)", after.map { "\($0)" } ?? "",
      isBroken ? "1" : "0", attack, text(linf), text(l2), text(l1), "\(l0)", "\(queries)", "\(gradients)",
      text(loss), afterRounding.map { "\($0)" } ?? "", isBrokenRounded ? "1" : "0", sizeRounded.map(text) ?? ""
    ].joined(separator: ",")
  }
}

extension AttackRow {
  /// A norm of the perturbation.
  public func size(_ norm: Norm) -> Double {
    switch norm {
    case .linf: linf
    case .l2: l2
    case .l1: l1
    }
  }
}

/// Rows as a file that is readable at any time: one is appended as soon as its sample is settled, and at the end all are
/// written again in the data set's order.
final class RowFile {
  private let url: URL
  private let handle: FileHandle

  init(at url: URL) throws(InputError) {
    self.url = url
    do {
      try Data((AttackRow.header + "\n").utf8).write(to: url)
      handle = try FileHandle(forWritingTo: url)
      try handle.seekToEnd()
    } catch { throw InputError.writing(url, error) }
  }

  func append(_ rows: [AttackRow]) throws(InputError) {
    guard !rows.isEmpty else { return }
    do { try handle.write(contentsOf: Data((rows.map(\.csv).joined(separator: "\n") + "\n").utf8)) } catch {
      throw InputError.writing(url, error)
    }
  }

  func finish(_ rows: [AttackRow]) throws(InputError) {
    let lines = [AttackRow.header] + rows.map(\.csv)
    try AtomicFile.write(Data((lines.joined(separator: "\n") + "\n").utf8), to: url)
  }
}
