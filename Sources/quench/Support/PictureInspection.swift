import ArgumentParser
import Foundation
import QuenchDeception
import QuenchReporting
import QuenchSmoothing
import QuenchSupport
import QuenchTorch
import QuenchVision

/// What is to be found of pictures beside their classes.
struct InspectionOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Also certify each answer under Gaussian noise of this standard deviation, for pixels in [0, 1].",
      valueName: "sigma"))
  var certify: Double?

  @Option(help: "With --certify: noisy copies that bound the probability of the class.")
  var n = 10_000

  @Option(help: "With --certify: failure probability of a certificate.")
  var alpha = 0.001

  @Option(
    help: ArgumentHelp("Also tell how suspicious each picture is to the denoiser of this run.", valueName: "dir"),
    completion: .directory)
  var red: String?

  func validate() throws { try requireUsage { _ = try certification } }

  /// Nil where nothing is to be certified.
  var certification: Certify? {
    get throws(InputError) {
      try certify.map { sigma throws(InputError) in
        try Certify(fixed: n, sigma: sigma, failureProbability: alpha)
      }
    }
  }
}

/// Certificates and suspicion of pictures.
struct PictureInspection {
  private let certify: Certify?
  private let red: Suspicion?
  private let classNames: [String]

  /// What tells how suspicious images are.
  private struct Suspicion {
    let denoiser: Network
    let calibration: SuspicionCalibration
  }

  /// - Parameters:
  ///   - options: What is to be found.
  ///   - size: The network's images.
  ///   - classNames: In label order; empty where nobody knows.
  ///   - device: Where the denoiser computes.
  /// - Throws: `InputError` if the run's denoiser cannot be read or takes other images.
  init(_ options: InspectionOptions, size: PictureFit, classNames: [String], on device: Device) throws(InputError) {
    certify = try options.certification
    self.classNames = classNames
    red = try options.red.map { path throws(InputError) in
      let run = DenoiserRun(URL(filePath: path, directoryHint: .isDirectory))
      let denoiser = try run.denoiser(on: device)
      let shape = [size.channels, size.height, size.width]
      guard denoiser.architecture.inputShape == shape else {
        throw InputError(
          "the denoiser takes other images than the network", at: path, expected: ImageShape.text(shape),
          found: ImageShape.text(denoiser.architecture.inputShape))
      }
      return Suspicion(denoiser: denoiser, calibration: try run.calibration())
    }
  }

  /// What is found of images, a record each; nil where nothing is to be.
  /// - Parameters:
  ///   - images: Pixels in [0, 1], `[N, C, H, W]`.
  ///   - logits: The network.
  func callAsFunction(_ images: Tensor, logits: (Tensor) -> Tensor) throws -> [Record]? {
    guard certify != nil || red != nil else { return nil }
    var records = [Record](repeating: [:], count: images.size(0))
    if let certify {
      var run = CertificationRun(certify, seed: 1)
      run.device = images.device
      let pixels = images.to(.cpu)
      func source(_ index: Int) -> NoiseStream.Source { NoiseStream.Source(pixels[index], index: index) }
      try run(0..<records.count, source: source, classify: logits) { result in
        records[result.index]["certificate"] = certificate(result.attempt.certificate)
      }
    }
    if let red {
      let denoised = withoutGradient { red.denoiser(images) }
      for (row, score) in red.calibration.score(images, denoised: denoised, logits: logits).enumerated() {
        records[row]["suspicion"] = .double(score)
        records[row]["clean_as_suspicious"] =
          red.calibration.falsePositives(score).map { .double($0.fraction) } ?? .null
      }
    }
    return records
  }

  /// Null where it abstained.
  private func certificate(_ certificate: Certificate) -> Value {
    guard let label = certificate.label else { return .null }
    return .object([
      "class": .int(label), "label": classNames.isEmpty ? .null : .string(classNames[label]),
      "radius": .double(certificate.radius)
    ])
  }

  /// Lines that tell of what was found.
  static func text(_ findings: Record) -> [String] {
    var lines: [String] = []
    if let certificate = findings["certificate"] {
      if let record = certificate.record, let radius = record["radius"]?.number {
        let name = record["label"]?.string ?? "class \(record["class"]?.integer ?? 0)"
        let distance = NumberText.fixed(radius, decimals: 3)
        lines.append("  certified: \(name), whatever changes by less than \(distance) (L2)")
      } else {
        lines.append("  not certified: no class is shown to be the answer under noise")
      }
    }
    if let suspicion = findings["suspicion"]?.number {
      let share = findings["clean_as_suspicious"]?.number.map {
        "; \(NumberText.percent($0)) of clean images have as much"
      }
      lines.append("  suspicion: \(NumberText.fixed(suspicion, decimals: 3))\(share ?? "")")
    }
    return lines
  }
}
