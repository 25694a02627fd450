import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch

/// What pixels in [0, 1] are normalized by before a network's first layer: a mean and a standard deviation, a channel
/// each.
public struct Normalization: Hashable, Sendable {
  public var mean: [Double]
  public var standardDeviation: [Double]

  /// No normalization.
  public static let none = Normalization(mean: [], standardDeviation: [])

  init(mean: [Double], standardDeviation: [Double]) {
    (self.mean, self.standardDeviation) = (mean, standardDeviation)
  }

  /// By the statistics of a data set's pixels.
  public init(_ statistics: ChannelStatistics) {
    mean = statistics.mean.map { Double($0) }
    standardDeviation = statistics.standardDeviation.map { Double($0) }
  }

  /// - Parameters:
  ///   - mean: A number a channel, or one for all.
  ///   - standardDeviation: Likewise, each above 0. Of mean and deviation one may be left out: it is that of the preset that
  ///     the other names, or else 0 or 1.
  /// - Throws: `InputError` for numbers that normalize nothing.
  public init(mean: ChannelNumbers?, standardDeviation: ChannelNumbers?) throws(InputError) {
    let preset = (mean ?? standardDeviation).flatMap { $0.isPreset ? $0 : nil }
    let (mean, deviation) = ((mean ?? preset)?.mean, (standardDeviation ?? preset)?.standardDeviation)
    self.mean = mean ?? (deviation ?? []).map { _ in 0 }
    self.standardDeviation = deviation ?? (mean ?? []).map { _ in 1 }
    try requireSetting(
      self.standardDeviation.allSatisfy { $0 > 0 && $0.isFinite }, "std", "numbers above 0",
      standardDeviation.map { "\($0)" } ?? "")
    try requireSetting(
      self.mean.allSatisfy(\.isFinite), "mean", "finite numbers", mean.map { "\($0)" } ?? "")
  }
}

/// Numbers for each channel of an image: `0.485,0.456,0.406`, or the name of a data set's.
public struct ChannelNumbers: Hashable, Sendable, TextSetting {
  public static let meaning = "numbers for the channels"
  public static let expected = "numbers with commas (0.485,0.456,0.406), imagenet, cifar10 or none"

  public let description: String
  /// What the text means as a mean, and as a standard deviation.
  let mean: [Double]
  let standardDeviation: [Double]
  var isPreset: Bool { Self.presets.contains(description) }

  private static let presets = ["none", "imagenet", "cifar10"]

  public init?(_ description: String) {
    self.description = description
    switch description {
    case "none": (mean, standardDeviation) = ([], [])
    case "imagenet": (mean, standardDeviation) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    case "cifar10": (mean, standardDeviation) = ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616])
    default:
      let parts = description.split(separator: ",", omittingEmptySubsequences: false)
      let numbers = parts.compactMap { Double($0.trimmingPrefix(" ")) }
      guard numbers.count == parts.count, numbers.count <= 1024 else { return nil }
      (mean, standardDeviation) = (numbers, numbers)
    }
  }
}

/// What the pixels of a file of weights are normalized by, in place of what the file says.
public struct PixelNormalization: InlineGroup, Hashable, Sendable {
  /// The means; nil: as the file says.
  public var mean: ChannelNumbers?
  /// The standard deviations; nil: as the file says.
  public var std: ChannelNumbers?
  /// A file of the names of the network's classes, one a line; nil: as the file of weights says.
  public var classes: String?

  public init() {}

  /// A setting that is said; nil: none.
  public var said: String? { mean != nil ? "mean" : std != nil ? "std" : classes != nil ? "classes" : nil }

  /// Nil where nothing is said.
  /// - Throws: `InputError` for numbers that normalize nothing.
  public var value: Normalization? {
    get throws(InputError) {
      mean == nil && std == nil ? nil : try Normalization(mean: mean, standardDeviation: std)
    }
  }

  /// The names of `count` classes; nil where nothing is said.
  /// - Throws: `InputError` if the file cannot be read or has another number of names.
  public func labels(for count: Int) throws(InputError) -> [String]? {
    guard let classes else { return nil }
    let names = try ClassLabels(contentsOf: URL(filePath: classes)).names
    guard names.count == count else {
      throw InputError(
        "the network has another number of classes than there are labels", at: classes, expected: "\(count)",
        found: "\(names.count)")
    }
    return names
  }
}

extension Network {
  /// The same network, with these very tensors, for pixels that are normalized so.
  /// - Throws: `InputError` if the numbers are not as many as the channels.
  public func normalizing(by normalization: Normalization, at location: String) throws(InputError) -> Network {
    let channels = architecture.inputShape.first ?? 0
    func fitting(_ values: [Double]) throws(InputError) -> [Double] {
      if values.count == 1, architecture.inputShape.count == 3 {
        return [Double](repeating: values[0], count: channels)
      }
      guard values.isEmpty || values.count == channels else {
        throw InputError(
          "the numbers to normalize by are not as many as the channels", at: location, expected: "\(channels)",
          found: "\(values.count)", remedy: "give one for each channel, or one for all, in `mean` and `std`")
      }
      return values
    }
    var (mean, deviation) = (try fitting(normalization.mean), try fitting(normalization.standardDeviation))
    if mean.isEmpty, !deviation.isEmpty { mean = deviation.map { _ in 0 } }
    if deviation.isEmpty, !mean.isEmpty { deviation = mean.map { _ in 1 } }
    let twin = Network(
      architecture.normalizing(mean: mean, standardDeviation: deviation), seed: 0, device: device)
    withoutGradient {
      for (mine, theirs) in zip(parameters + buffers, twin.parameters + twin.buffers) {
        theirs.tensor.copy(from: mine.tensor)
      }
    }
    return twin
  }
}
