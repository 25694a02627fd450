import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// What is timed: steps on one batch of random images and labels that stays in memory.
struct BenchWorkload {
  let architecture: Architecture
  /// Whose weights are taken; nil for drawn ones.
  private let trained: Network?
  let device: Device
  let dataset: ImageDataset

  var batchSize: Int { dataset.count }

  /// - Parameter trained: A network of the architecture.
  init(_ architecture: Architecture, trained: Network? = nil, batchSize: Int, device: Device) {
    self.architecture = architecture
    self.trained = trained
    self.device = device
    let random = Generator(seed: 0, for: "bench")
    let classes = architecture.outputShape[0]
    let shape = [batchSize] + architecture.inputShape
    let block = PixelBlock(
      shape: shape, pixels: Tensor.randint(shape, in: 0..<256, using: random).to(.uint8).data(),
      labels: Tensor.randint([batchSize], in: 0..<classes, using: random).array())
    dataset = ImageDataset(
      name: "random", block: block, classNames: (0..<classes).map { "\($0)" }, statistics: block.statistics(),
      fingerprint: ""
    ).to(device)
  }

  /// A step as `quench train` does it, but for augmentation: the batch is made, then forward pass, loss, backward
  /// pass, update.
  func training(_ precision: Precision) -> () -> Tensor {
    var recipe = TrainingRecipe()
    recipe.batchSize = batchSize
    recipe.nesterov = false
    (recipe.schedule, recipe.warmUp) = (.constant, 0)
    recipe.augmentation = false
    let training = ClassifierTraining(network, on: dataset, recipe: recipe, seed: 0, precision: precision)
    return { training.step(at: LoaderPosition()).loss }
  }

  /// The network layer by layer, in channels-last memory.
  func eager(_ dtype: DType) -> () -> Tensor {
    let network = network
    network.convert(to: dtype)
    let images = images.to(dtype)
    return { withoutGradient { network(images) } }
  }

  func plan(_ precision: Precision) -> () -> Tensor {
    let plan = InferencePlan(network, batchSize: batchSize, dtype: precision.inference)
    let images = images
    return { plan(images) }
  }

  /// In 8-bit integers, whose ranges are those of the batch.
  /// - Throws: `InputError` if the network can't be computed in them here.
  func integerPlan() throws(InputError) -> () -> Tensor {
    let plan = try InferencePlan(network, batchSize: batchSize, calibration: images)
    let images = images
    return { plan(images) }
  }

  private var network: Network { trained?.copy() ?? Network(architecture, seed: 0, device: device) }

  /// Pixels in [0, 1].
  private var images: Tensor { (dataset.images.to(.float32) * (1.0 / 255)).contiguous(.channelsLast) }
}

/// One side of Benchmarks/run: a network is built, warmed up and kept at its mode's first use.
struct BenchServer {
  let workload: BenchWorkload
  private var prepared: [[String]: () -> Tensor] = [:]

  init(workload: BenchWorkload) { self.workload = workload }

  mutating func answer(_ words: [String]) -> Record {
    let memory = (Double(ProcessMemory.peakBytes) / 1_048_576 * 10).rounded() / 10
    if words == ["memory"] {
      return [
        "peak_memory_mb": .double(memory), "version": .string("\(Release.version), LibTorch \(LibTorch.version)"),
        "offers_bfloat16": .bool(LibTorch.offersBFloat16)
      ]
    }
    guard words.count == 3, let count = Int(words[2]), count > 0, let step = step(words[0], words[1]) else {
      return ["error": .string("not a command: \(words.joined(separator: " "))")]
    }
    let speed = Double(workload.batchSize) / Throughput.time(count, step)
    return ["images_per_second": .double((speed * 100).rounded() / 100), "peak_memory_mb": .double(memory)]
  }

  private mutating func step(_ kind: String, _ mode: String) -> (() -> Tensor)? {
    if let step = prepared[[kind, mode]] { return step }
    let step: () -> Tensor
    switch (kind, mode) {
    case ("train", "best"): step = workload.training(.automatic)
    case ("train", "channels-last-float32"): step = workload.training(.float32)
    case ("train", "channels-last-bfloat16"): step = workload.training(.bfloat16)
    case ("infer", "best"): step = workload.plan(.automatic)
    case ("infer", "channels-last-float32"): step = workload.eager(.float32)
    case ("infer", "channels-last-bfloat16"): step = workload.eager(.bfloat16)
    case ("infer", "plan-float32"): step = workload.plan(.float32)
    case ("infer", "plan-bfloat16"): step = workload.plan(.bfloat16)
    case ("infer", "plan-int8"):
      guard let plan = try? workload.integerPlan() else { return nil }
      step = plan
    default: return nil
    }
    _ = Throughput.time(Throughput.warmUpSteps, step)
    prepared[[kind, mode]] = step
    return step
  }
}
