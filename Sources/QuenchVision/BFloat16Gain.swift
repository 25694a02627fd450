import Foundation
import QuenchSupport
import QuenchTorch

/// How many times as fast bfloat16 is as float32 on this machine's processor, measured on ResNet-20.
///
/// No list of instructions tells it: of two processors with the same bfloat16 products one gains half of the time and
/// the other loses some, by what the conversions cost. So it is measured, in less than a second, and kept for each kind
/// of processor and LibTorch in the user's cache folder.
public struct BFloat16Gain: Codable, Hashable, Sendable {
  /// Of a training step, under autocast.
  public var training: Double
  /// Of an ``InferencePlan``.
  public var inference: Double

  public init(training: Double, inference: Double) {
    self.training = training
    self.inference = inference
  }

  /// What this process goes by: what was measured earlier on such a processor, or else now.
  public static let ofThisMachine = kept(in: cache) ?? measured(keptIn: cache)

  /// Whether a training step gains enough for the digits that it loses.
  public var isWorthTraining: Bool { training >= BFloat16Gain.worthwhile }
  /// Whether an inference plan gains enough for the digits that it loses.
  public var isWorthInference: Bool { inference >= BFloat16Gain.worthwhile }

  private static let worthwhile = 1.1

  /// Measures, where nothing is kept. 0 where LibTorch would imitate bfloat16, many times slower than float32.
  /// - Parameters:
  ///   - file: Where the figure is kept for later processes; a file that cannot be written is left out. Of several
  ///     processes that measure at once all take the first one's figures.
  ///   - replacing: Measure again, whatever is kept.
  public static func measured(keptIn file: URL?, replacing: Bool = false) -> BFloat16Gain {
    let gain = measure()
    guard let file else { return gain }
    if !replacing, let earlier = kept(in: file) { return earlier }
    var all = entries(of: file)
    all[key] = gain
    try? FileManager.default.createDirectory(
      at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    if let data = try? encoder.encode(all) { try? AtomicFile.write(data, to: file) }
    return gain
  }

  /// What `file` holds for this processor and LibTorch.
  public static func kept(in file: URL?) -> BFloat16Gain? { file.flatMap { entries(of: $0)[key] } }

  /// The file that gains are kept in between processes.
  public static var cache: URL? {
    FileManager.default.urls(for: .cachesDirectory, in: .userDomainMask).first?
      .appending(path: "quench/bfloat16.json")
  }

  private static func entries(of file: URL) -> [String: BFloat16Gain] {
    (try? Data(contentsOf: file)).flatMap { try? JSONDecoder().decode([String: BFloat16Gain].self, from: $0) }
      ?? [:]
  }

  private static var key: String { "\(Processor()), LibTorch \(LibTorch.version)" }

  private static func measure() -> BFloat16Gain {
    guard LibTorch.offersBFloat16 else { return BFloat16Gain(training: 0, inference: 0) }
    // Threads that wait for one another would put the scheduler's part into the figure.
    let threads = LibTorch.threads
    LibTorch.threads = 1
    defer { LibTorch.threads = threads }
    let network = Network(ModelName.resnet20.architecture(input: [3, 32, 32], classes: 10), seed: 0)
    let random = Generator(seed: 0, for: "bfloat16-gain")
    let images = Tensor.uniform([16, 3, 32, 32], using: random).contiguous(.channelsLast)
    let labels = Tensor.randint([16], in: 0..<10, using: random)

    func training(_ dtype: DType?) -> () -> Tensor {
      {
        withGradient {
          network.isTraining = true
          let logits = withAutocast(dtype, on: .cpu) { network(images) }
          let loss = logits.inFullPrecision().crossEntropy(labels)
          loss.backward()
          return loss.detached()
        }
      }
    }
    func inference(_ dtype: DType) -> () -> Tensor {
      let plan = InferencePlan(network, batchSize: 16, dtype: dtype)
      return { plan(images) }
    }
    return BFloat16Gain(
      training: ratio(training(nil), training(.bfloat16)),
      inference: ratio(inference(.float32), inference(.bfloat16)))
  }

  /// The time of `plain` over that of `other`, each one's shortest of four in turns.
  private static func ratio(_ plain: () -> Tensor, _ other: () -> Tensor) -> Double {
    _ = (seconds(plain), seconds(other))
    let rounds = (0..<4).map { _ in (seconds(plain), seconds(other)) }
    return (rounds.map(\.0).min() ?? 1) / (rounds.map(\.1).min() ?? 1)
  }

  /// What a step takes of this thread's processor time, in which other programs have no part.
  private static func seconds(_ step: () -> Tensor) -> Double {
    func now() -> Double {
      var time = timespec()
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
      return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
    let start = now()
    step().withUnsafeBytes { _ in }
    return now() - start
  }
}
