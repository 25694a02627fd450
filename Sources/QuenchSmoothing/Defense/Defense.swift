import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

/// What stands in front of a black box: a denoiser, and where it works through a bottleneck an encoder and a decoder
/// behind it. `x + δ → denoiser → encoder → code → [decoder → black box]`; without them the code is the image itself.
public struct Defense {
  public let denoiser: Network
  public let autoencoder: Autoencoder?

  public struct Autoencoder {
    public let encoder: Network
    public let decoder: Network

    public init(encoder: Network, decoder: Network) {
      self.encoder = encoder
      self.decoder = decoder
    }

    /// A fresh one.
    public init(_ name: AutoencoderName, seed: UInt64, device: Device = .cpu) {
      encoder = Network(name.encoder, seed: Generator.derive(seed, "encoder"), device: device)
      decoder = Network(name.decoder, seed: Generator.derive(seed, "decoder"), device: device)
    }
  }

  public init(denoiser: Network, autoencoder: Autoencoder? = nil) {
    self.denoiser = denoiser
    self.autoencoder = autoencoder
  }

  /// `[channels, height, width]` of one image.
  public var inputShape: [Int] { denoiser.architecture.inputShape }
  /// Numbers in a code.
  public var codeSize: Int { codeShape.reduce(1, *) }
  private var codeShape: [Int] { autoencoder?.encoder.architecture.outputShape ?? inputShape }

  /// What training changes: the denoiser, and the encoder where there is one. The decoder belongs to the query.
  public var trained: [(name: String, network: Network)] {
    [("denoiser", denoiser)] + (autoencoder.map { [("encoder", $0.encoder)] } ?? [])
  }

  /// In the order in which an image passes them.
  public var networks: [Network] { [denoiser] + (autoencoder.map { [$0.encoder, $0.decoder] } ?? []) }

  /// The codes of noisy images, `[N, codeSize]`, float32.
  public func codes(_ noisy: Tensor) -> Tensor {
    let clean = denoiser(noisy)
    return (autoencoder?.encoder(clean) ?? clean).flattened(from: 1).to(.float32)
  }

  /// The images that the black box is shown for codes `[N, codeSize]`.
  public func images(_ codes: Tensor) -> Tensor {
    let codes = codes.reshaped([-1] + codeShape)
    return autoencoder?.decoder(codes) ?? codes
  }

  // MARK: - Files

  public static let denoiserFileName = "denoiser.safetensors"
  public static let encoderFileName = "encoder.safetensors"
  public static let decoderFileName = "decoder.safetensors"

  /// Writes the parts into `folder`.
  public func write(to folder: URL) throws(InputError) {
    try ModelFile(denoiser).write(to: folder.appending(path: Self.denoiserFileName))
    try autoencoder?.write(to: folder)
  }

  /// Reads the parts in `folder`.
  /// - Throws: `InputError` if a file is missing or damaged, or the parts do not fit together.
  public init(contentsOf folder: URL, device: Device = .cpu) throws(InputError) {
    let file = folder.appending(path: Self.denoiserFileName)
    denoiser = try ModelFile(contentsOf: file, device: device).network
    let isThere = FileManager.default.fileExists(atPath: folder.appending(path: Self.encoderFileName).path)
    autoencoder = try isThere ? Autoencoder(contentsOf: folder, device: device) : nil
    try check(at: folder.path)
  }

  /// What is wrong with asking the defense of the run in `folder` to work under noise of `sigma`; nil: nothing, or the
  /// folder does not say what noise it learned under.
  public static func finding(onSigma sigma: Double, in folder: URL) -> String? {
    guard let learned = (try? RunFolder(existing: folder).record())?.settings["sigma"]?.number,
      abs(learned - sigma) > 1e-6
    else { return nil }
    return "the defense learned under noise of \(learned), and works under \(sigma) now: "
      + "with sigma \(learned) it works as it learned"
  }

  /// - Throws: `InputError` if the parts do not fit together.
  public func check(at location: String) throws(InputError) {
    let shape = inputShape
    guard denoiser.architecture.outputShape == shape, autoencoder?.imageShape ?? shape == shape else {
      throw InputError(
        "the parts of the defense do not fit together", at: location,
        expected: "a denoiser and an autoencoder of images \(shape)",
        found: "\(denoiser.architecture.outputShape) and \(autoencoder?.imageShape ?? [])")
    }
  }
}

extension Defense.Autoencoder {
  public var imageShape: [Int] { encoder.architecture.inputShape }

  public func write(to folder: URL) throws(InputError) {
    try ModelFile(encoder).write(to: folder.appending(path: Defense.encoderFileName))
    try ModelFile(decoder).write(to: folder.appending(path: Defense.decoderFileName))
  }

  /// - Throws: `InputError` if a file is missing or damaged, or the halves do not fit each other.
  public init(contentsOf folder: URL, device: Device = .cpu) throws(InputError) {
    encoder = try ModelFile(contentsOf: folder.appending(path: Defense.encoderFileName), device: device).network
    decoder = try ModelFile(contentsOf: folder.appending(path: Defense.decoderFileName), device: device).network
    guard decoder.architecture.inputShape == encoder.architecture.outputShape,
      decoder.architecture.outputShape == encoder.architecture.inputShape
    else {
      throw InputError(
        "encoder and decoder do not fit each other", at: folder.path,
        expected: "codes \(encoder.architecture.outputShape) and images \(encoder.architecture.inputShape)",
        found: "\(decoder.architecture.inputShape) and \(decoder.architecture.outputShape)")
    }
  }
}

/// A finished defense made ready to run fast: pixels with noise in, the images that the black box is shown out.
public struct DefensePlan {
  private let plans: [InferencePlan]

  /// - Parameters:
  ///   - defense: Copied.
  ///   - batchSize: What it is made fast for.
  ///   - dtype: The element type that layers compute in; nil picks by the processor.
  public init(_ defense: Defense, batchSize: Int, dtype: DType? = nil) {
    plans = defense.networks.map { InferencePlan($0, batchSize: batchSize, dtype: dtype) }
  }

  public func callAsFunction(_ noisy: Tensor) -> Tensor { plans.reduce(noisy) { $1($0) } }
}
