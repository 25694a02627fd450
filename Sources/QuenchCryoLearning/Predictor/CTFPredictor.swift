import Foundation
import QuenchCryoEM
import QuenchSupport
import QuenchTorch
import QuenchVision

/// A network that predicts a hole's resolution from its picture (cryoRL, Li et al. 2022): a ResNet whose last layer
/// answers one number (regression, ``ResolutionCode``) or a score for each class.
public struct CTFPredictor {
  public enum Task: Hashable, Codable, Sendable {
    case regression
    /// Classes between these resolutions in Å, ascending; the first class is the best, and reaches up to and including
    /// the first boundary.
    case classification([Double])

    public var outputs: Int {
      switch self {
      case .regression: 1
      case .classification(let boundaries): boundaries.count + 1
      }
    }

    /// What the outputs mean, as a model file keeps it.
    var outputNames: [String] {
      switch self {
      case .regression: ["resolution"]
      case .classification(let boundaries):
        boundaries.map { "CTF <= \($0)" } + [boundaries.last.map { "CTF > \($0)" } ?? "CTF"]
      }
    }

    fileprivate init?(outputNames names: [String]) {
      if names == ["resolution"] {
        self = .regression
        return
      }
      let boundaries = names.dropLast().compactMap { name in
        name.hasPrefix("CTF <= ") ? Double(name.dropFirst(7)) : nil
      }
      guard names.count > 1, boundaries.count == names.count - 1 else { return nil }
      self = .classification(boundaries)
    }

    /// - Throws: `InputError` unless boundaries are resolutions in ascending order.
    func validate() throws(InputError) {
      guard case .classification(let boundaries) = self else { return }
      guard !boundaries.isEmpty, boundaries.allSatisfy({ $0 > 0 && $0.isFinite }),
        zip(boundaries, boundaries.dropFirst()).allSatisfy({ $0 < $1 })
      else {
        throw InputError(
          "these are no boundaries of classes", at: "classes", expected: "resolutions in Å, ascending",
          found: boundaries.map { "\($0)" }.joined(separator: ","))
      }
    }

    /// The class of a fit; a failed one belongs to the last. Nil where nothing was measured.
    public func label(_ fit: CTFFit) -> Int? {
      guard case .classification(let boundaries) = self else { return nil }
      switch fit {
      case .unmeasured: return nil
      case .failed: return boundaries.count
      case .resolution(let value): return boundaries.firstIndex { value <= $0 } ?? boundaries.count
      }
    }
  }

  public let network: Network
  public let task: Task

  /// A new predictor.
  /// - Parameters:
  ///   - model: The published ones are ResNet-18 and ResNet-50 with the ImageNet stem.
  ///   - task: What it answers.
  ///   - side: Height and width that it sees, in pixels.
  ///   - seed: Of its first weights.
  ///   - device: Where it computes.
  /// - Throws: `InputError` if the model is no classifier, or classes are none.
  public init(
    _ model: ModelName = .resnet50ImageNet, task: Task = .regression, side: Int = 224, seed: UInt64,
    device: Device = .cpu
  ) throws(InputError) {
    try task.validate()
    guard model.isClassifier, side >= 8 else {
      throw InputError(
        "no predictor can be made so", expected: "a classifier's network and 8 pixels a side or more",
        found: "\(model.rawValue), \(side) pixels")
    }
    let architecture = model.architecture(input: [3, side, side], classes: task.outputs)
      .normalizing(mean: [0.485, 0.456, 0.406], standardDeviation: [0.229, 0.224, 0.225])
    self.init(Network(architecture, seed: seed, device: device), task: task)
  }

  init(_ network: Network, task: Task) {
    self.network = network
    self.task = task
  }

  /// Reads what ``write(to:)`` wrote.
  /// - Throws: `InputError` if the file is damaged, or holds another kind of network.
  public init(contentsOf url: URL, device: Device = .cpu) throws(InputError) {
    let file = try ModelFile(contentsOf: url, device: device)
    let shape = file.network.architecture.inputShape
    guard let task = Task(outputNames: file.classNames), shape.count == 3, shape[0] == 3, shape[1] == shape[2],
      file.network.architecture.outputShape == [task.outputs]
    else {
      throw InputError(
        "the network is no CTF predictor", at: url.path, expected: "one trained by 'quench cryo predictor train'",
        found: "outputs \(file.classNames.prefix(5).joined(separator: ", "))")
    }
    self.init(file.network, task: task)
  }

  /// Writes network, task and size in one file, whole or not at all.
  public func write(to url: URL) throws(InputError) {
    try ModelFile(network, classNames: task.outputNames).write(to: url)
  }

  /// Height and width that it sees, in pixels.
  public var side: Int { network.architecture.inputShape[1] }
  /// Height and width that pictures are kept at, of which the network sees the middle: 256 for 224.
  public var pictureSide: Int { side * 256 / 224 }

  /// Begins with weights learned elsewhere, such as torchvision's for ImageNet: all but those of the last layer.
  /// - Throws: `InputError` as `Network.load` does.
  public func begin(with weights: StateDictionary, from location: String) throws(InputError) {
    guard let last = network.parameters.last?.name.split(separator: ".").first else { return }
    let own = network.state
    var state = StateDictionary()
    for (name, tensor) in weights where !name.hasPrefix("\(last).") { state[name] = tensor }
    for (name, tensor) in own where name.hasPrefix("\(last).") { state[name] = tensor }
    try network.load(state, from: location)
  }

  /// Predicts from pictures, `[N, 1, S, S]` with S = ``pictureSide``.
  /// - Parameters:
  ///   - images: The pictures.
  ///   - batchSize: Pictures that are looked at once.
  ///   - precision: What it computes in.
  ///   - progress: Called with the pictures done.
  public func predict(
    _ images: HoleImages, batchSize: Int = 64, precision: Precision = .automatic, progress: (Int) -> Void = { _ in }
  ) -> [Prediction] {
    let plan = InferencePlan(network, dtype: precision.inference)
    var predictions: [Prediction] = []
    for start in stride(from: 0, to: images.count, by: batchSize) {
      let pixels = images.pixels[start..<min(images.count, start + batchSize)].to(network.device)
      let answers = plan(input(pixels.to(.float32) * (1.0 / 255)))
      switch task {
      case .regression:
        predictions += answers.array(Double.self).map { .resolution(ResolutionCode.decode($0)) }
      case .classification:
        predictions += answers.softmax().unbound().map { .classes($0.array(Double.self)) }
      }
      progress(predictions.count)
    }
    return predictions
  }

  /// The middle of pictures, grey repeated for three channels: `[N, 1, S, S]` to `[N, 3, side, side]`.
  func input(_ images: Tensor) -> Tensor {
    let edge = (images.size(2) - side) / 2
    let middle = images[0..., 0..., edge..<edge + side, edge..<edge + side]
    return middle.expanded([-1, 3, -1, -1])
  }
}
