import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch

/// How the size of a perturbation is measured, over all values of one image.
public enum Norm: String, CaseIterable, Codable, Sendable {
  case linf
  case l2
  case l1

  /// The order that LibTorch takes.
  var order: Double {
    switch self {
    case .linf: .infinity
    case .l2: 2
    case .l1: 1
    }
  }

  /// The norm whose product with this one bounds an inner product (Hölder).
  var dual: Norm {
    switch self {
    case .linf: .l1
    case .l2: .l2
    case .l1: .linf
    }
  }

  /// How far a computed norm may lie above a budget: what rounding `x + δ` to float32 costs.
  public func tolerance(_ epsilon: Double) -> Double {
    switch self {
    case .linf: 1e-6
    case .l2, .l1: 1e-5 * epsilon + 1e-6
    }
  }

  /// `images` moved into the ball of `radius` around `centers`, then into [0, 1].
  /// - Parameters:
  ///   - images: `[N, C, H, W]`.
  ///   - centers: Of the same shape, pixels in [0, 1].
  ///   - radius: 0 or more, in pixel units.
  func projected(_ images: Tensor, around centers: Tensor, radius: Double) -> Tensor {
    switch self {
    case .linf:
      let delta = images - centers
      delta.clamp(to: -radius...radius)
      delta += centers
      delta.clamp(to: 0...1)
      return delta
    case .l2, .l1:
      let delta = images - centers
      let size = delta.perSample(self).clamped(to: 1e-12...)
      delta *= (radius / size).clamped(to: ...1).perPixel(delta)
      delta += centers
      delta.clamp(to: 0...1)
      return delta
    }
  }

  /// The steepest ascent direction of unit size: the gradient's sign, or the gradient over its length.
  ///
  /// The largest entry is brought to 1 first: the small number in the divisor, which keeps a zero gradient at zero, would
  /// else shorten the steps where a saturated loss leaves gradients as small as itself.
  func direction(_ gradient: Tensor) -> Tensor {
    switch self {
    case .linf: return gradient.sign()
    case .l2, .l1:
      let unit = gradient / gradient.perSample(.linf).clamped(to: 1e-37...).perPixel(gradient)
      return unit / (unit.perSample(.l2) + 1e-10).perPixel(unit)
    }
  }
}

extension Tensor {
  /// The norm of each sample of `[N, ...]`: `[N]`.
  func perSample(_ norm: Norm) -> Tensor { self.norm(norm.order, Array(1..<rank)) }

  /// The sum over each sample of `[N, ...]`: `[N]`.
  func sumPerSample() -> Tensor { sum(Array(1..<rank)) }

  /// One number a sample, `[N]`, in a shape that multiplies `images`.
  func perPixel(_ images: Tensor) -> Tensor { reshaped([-1] + [Int](repeating: 1, count: images.rank - 1)) }
}

/// A perturbation budget in units where a pixel goes from 0 to 1; written `8/255` or `0.5`.
public struct PixelBudget: Hashable, Codable, Sendable {
  public var value: Double

  public init(_ value: Double) { self.value = value }

  /// Reads a number or a fraction of two.
  /// - Throws: `InputError` unless it is finite and at least 0.
  public init(parsing text: String) throws(InputError) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false).map { Double($0) }
    let value: Double? =
      switch parts.count {
      case 1: parts[0]
      case 2: parts[0].flatMap { top in parts[1].flatMap { $0 == 0 ? nil : top / $0 } }
      default: nil
      }
    guard let value, value.isFinite, value >= 0 else {
      throw InputError(
        "not a perturbation budget", expected: "a number of 0 or more such as 8/255", found: "'\(text)'")
    }
    self.value = value
  }

  /// - Parameters:
  ///   - norm: In which it is measured.
  ///   - location: The flag or key that it was given with.
  ///   - pixels: Values of an image, where that is known.
  /// - Throws: `InputError` if the budget is larger than any that makes sense: most likely it was meant in 255ths.
  public func validate(for norm: Norm, at location: String, pixels: Int? = nil) throws(InputError) {
    let limit = norm.largest(pixels: pixels)
    guard !(value >= 0 && value <= limit) else { return }
    let example = value > 1 && value <= 255 ? value : 8
    let levels = PixelBudget(example / 255)
    throw InputError(
      "budgets and steps are in units in which a pixel goes from 0 to 1", at: location,
      expected: "0 to \(NumberText.plain(limit)) in \(norm.rawValue)", found: "\(self)",
      remedy: value > 1
        ? "did you mean \(NumberText.plain(example))/255, which is \(NumberText.plain(levels.value, digits: 3))?"
        : nil)
  }
}

extension Norm {
  /// The largest budget that makes sense: in L∞ the range of a pixel; in L2 and L1, for images of so many values, half of
  /// what lies between black and white, within which every image can be made the same grey. Where their size is not
  /// known, 16 in L2, several times what evaluations use.
  fileprivate func largest(pixels: Int?) -> Double {
    switch self {
    case .linf: 1
    case .l2: min(16, pixels.map { Double($0).squareRoot() / 2 } ?? 16)
    case .l1: pixels.map { Double($0) / 2 } ?? .greatestFiniteMagnitude
    }
  }
}

extension PixelBudget: CustomStringConvertible {
  /// `8/255` where the value is a whole number of grey levels, else the number.
  public var description: String {
    let levels = value * 255
    let isWhole = levels >= 1 && levels < 255 && abs(levels - levels.rounded()) < 1e-9
    return isWhole ? "\(Int(levels.rounded()))/255" : "\(value)"
  }
}

extension PixelBudget {
  public init(from decoder: any Decoder) throws {
    try self.init(parsing: decoder.singleValueContainer().decode(String.self))
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
