import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// What a model's answers are like, found out on a few labelled images that it is asked about twice: their rounding,
/// their noise, their range, and whether the classes are in the data set's order.
public struct BlackBoxProbe: Hashable, Codable, Sendable {
  /// Images that it was asked about, and that got their own class.
  public var images: Int
  public var right: Int
  /// What the answers are whole multiples of; nil: nothing that shows.
  public var resolution: Double?
  /// The root mean square of the noise in an answer: 0 where the same image always gets the same.
  public var noise: Double
  /// The root mean square of the answers.
  public var size: Double
  /// Whether each answer's numbers lie in [0, 1] and add up to 1.
  public var areProbabilities: Bool
  /// The class that the images of each class get, where they get one and the same and it is another; else empty.
  public var order: [Int]

  /// The images that are asked about: as many of each class, as far as they go.
  public static func sample(of dataset: ImageDataset, count: Int = 32) -> ImageDataset {
    var left: [Int: [Int]] = [:]
    for (index, label) in dataset.labels.array(Int64.self).enumerated().reversed() {
      left[Int(label), default: []].append(index)
    }
    var indices: [Int] = []
    while indices.count < min(count, dataset.count) {
      for label in left.keys.sorted() where indices.count < count {
        if let index = left[label]?.popLast() { indices.append(index) }
      }
    }
    return dataset.subset(indices.sorted())
  }

  /// - Parameters:
  ///   - model: Is asked about every image twice, for ``QueryLedger/Purpose/probe``.
  ///   - sample: Labelled images of the kind that the model was made for.
  /// - Throws: `InputError` if it tells probabilities that are none, or cannot be asked.
  public init(_ model: MeteredBlackBox, on sample: ImageDataset) throws {
    let pixels = BatchLoader.evaluation(sample, batchSize: sample.count).batch(at: LoaderPosition()).images
    let first = try model.answer(pixels, for: .probe)
    let second = try model.answer(pixels, for: .probe)
    self.init(first, second, labels: sample.labels, model.model.feedback, classes: model.model.classes)
    guard model.model.feedback != .probabilities || areProbabilities else {
      throw InputError(
        "the model's answers are no probabilities", at: model.model.version,
        expected: "numbers in [0, 1] that add up to 1",
        found: "\(first[0].to(.float32).array(Float.self).prefix(4))",
        remedy: "if they are logits, set feedback to logits")
    }
  }

  /// - Parameters:
  ///   - first: Answers to images.
  ///   - second: Answers to the same images.
  ///   - labels: The images' classes, `[N]`, int64.
  init(_ first: Tensor, _ second: Tensor, labels: Tensor, _ feedback: Feedback, classes: Int) {
    let (answers, again) = (first.to(.float32), second.to(.float32))
    images = first.size(0)
    let given = feedback.targets(first)
    right = (given .== labels).nonzeroCount()
    let isFinite = (answers - again).isFinite()
    noise = feedback == .labels ? Double((first .!= second).nonzeroCount()) / Double(images) : 0
    size = 1
    areProbabilities = false
    if feedback != .labels {
      let numbers = Double(max(isFinite.nonzeroCount(), 1))
      let difference = (answers - again).filled(with: 0, where: isFinite .== 0)
      noise = (difference.square().sum().item() / numbers / 2).squareRoot()
      size = (answers.filled(with: 0, where: isFinite .== 0).square().sum().item() / numbers).squareRoot()
      let sums = answers.sum([1])
      areProbabilities =
        answers.min([]).item() >= 0 && answers.max([]).item() <= 1
        && ((sums - 1).abs() .> 0.02 + 0.005 * Double(classes)).nonzeroCount() == 0
      resolution = Self.resolution(answers.array(Float.self).filter(\.isFinite))
    }
    order = Self.order(labels.array(Int64.self), given.array(Int64.self), classes: classes)
  }

  /// What `values` are whole multiples of: a power of ten, or what 8 and 16 bits leave.
  static func resolution(_ values: [Float]) -> Double? {
    let largest = Double(values.map(\.magnitude).max() ?? 0)
    guard largest > 0 else { return nil }
    let steps = [1, 0.1, 0.01, 1e-3, 1e-4, 1e-5, 1e-6, 1.0 / 255, 1.0 / 256]
    for step in steps where largest / step * 6e-8 < 0.01 {
      let isMultiple = values.allSatisfy { value in
        let multiple = Double(value) / step
        return abs(multiple - multiple.rounded()) < 0.02
      }
      if isMultiple { return step }
    }
    if values.allSatisfy({ $0.bitPattern & 0xFFFF == 0 }) { return largest / 256 }  // bfloat16
    return values.allSatisfy { Float(Float16($0)) == $0 } ? largest / 2048 : nil
  }

  /// The class that the images of each class get, where nearly all of them get one, different for each, and it is not
  /// theirs.
  private static func order(_ labels: [Int64], _ given: [Int64], classes: Int) -> [Int] {
    let groups = Dictionary(grouping: zip(labels, given), by: \.0).mapValues { $0.map { Int($0.1) } }
    guard groups.count == classes, groups.values.allSatisfy({ $0.count > 1 }) else { return [] }
    let most = groups.mapValues { answers in
      Dictionary(grouping: answers) { $0 }.mapValues(\.count).max { ($0.value, $1.key) < ($1.value, $0.key) }
    }
    let kept = most.values.reduce(0) { $0 + ($1?.value ?? 0) }
    let order = (0..<classes).map { most[Int64($0)]??.key ?? 0 }
    let isOrder = Set(order).count == classes && order != Array(0..<classes)
    return isOrder && Double(kept) >= 0.8 * Double(labels.count) ? order : []
  }

  /// What the user is to know of it.
  public func findings(_ feedback: Feedback, classes: [String]) -> [String] {
    var findings: [String] = []
    if feedback == .labels, noise > 0 {
      findings.append("the model gives \(Int((100 * noise).rounded())) % of images another class when asked again")
    } else if noise > 1e-4 * size {
      findings.append(
        "the model answers the same image differently each time: by \(NumberText.plain(noise)), where answers are of the size "
          + "\(NumberText.plain(size))")
    }
    if let resolution, resolution > 1e-6 * size {
      findings.append("the model's answers are rounded to steps of \(NumberText.plain(resolution))")
    }
    if feedback == .logits, areProbabilities {
      findings.append("the model's answers look like probabilities: if they are, set feedback to probabilities")
    }
    if let index = order.indices.first(where: { order[$0] != $0 }) {
      findings.append(
        "the model has the classes in another order than the data set: it answers class \(order[index]) for "
          + "'\(classes[index])', which is class \(index); certified accuracies will be wrong")
    } else if Double(right) <= 2 * Double(images) / Double(classes.count) {
      findings.append(
        "the model gives \(right) of \(images) images their class, no more than chance may: see that it was made for "
          + "such images, and for pixels in [0, 1]")
    }
    return findings
  }
}
