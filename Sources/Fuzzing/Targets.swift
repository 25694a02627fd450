import Foundation
import QuenchCryoEM
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision

extension FuzzTarget {
  /// Every reader of files from outside.
  public static let all: [FuzzTarget] = [
    idx, cifar("cifar10", .ten, labelBytes: 1), cifar("cifar100", .hundred, labelBytes: 2), gzip, tar, annotations,
    picture("jpeg", Seeds.jpegs + [Seeds.turned[0]]),
    picture("png", Seeds.pngs + [Seeds.turned[1]], repair: Checksums.png), picture("webp", Seeds.webps),
    picture("tiff", Seeds.tiffs), picture("bmp", Seeds.bmps), pixelCache,
    weights("safetensors", Seeds.safetensors), weights("packed-safetensors", Seeds.packedSafetensors),
    weights("torch-zip", Seeds.torchZip), weights("torch-stream", Seeds.torchStreams[0]),
    weights("torch-stream-4", Seeds.torchStreams[1]), architecture, yaml, json, cryoSurvey, cryoPredictions,
    cryoTimestamps, navigator, imageMetadata, mrc, ctfResults, plan, inferenceRequest, inferenceAnswer,
    exportedProgram, onnxModel
  ]

  /// - Throws: `InputError` that lists the names.
  public static func named(_ name: String) throws(InputError) -> FuzzTarget {
    guard let target = all.first(where: { $0.name == name }) else {
      throw InputError(
        "unknown target", at: "--target", expected: all.map(\.name).joined(separator: ", "), found: "'\(name)'")
    }
    return target
  }

  /// A file of images beside good labels, and one of labels beside good images.
  private static let idx = FuzzTarget(
    name: "idx", seeds: [Seeds.idx([2, 2, 3]), Seeds.idx([2]), Seeds.gzipIDX]
  ) { data in
    let isLabels = data.count > 3 && data[3] == 1
    _ = try IDX.parse(
      images: ByteSource(isLabels ? Seeds.idx([2, 2, 3]) : data, name: "images"),
      labels: ByteSource(isLabels ? data : Seeds.idx([2]), name: "labels"), classes: 10
    ).statistics()
  }

  private static func cifar(_ name: String, _ format: CIFAR, labelBytes: Int) -> FuzzTarget {
    FuzzTarget(name: name, seeds: [Seeds.cifar(labelBytes: labelBytes)]) { data in
      _ = try format.parse(ByteSource(data, name: name)).statistics()
    }
  }

  private static let gzip = FuzzTarget(name: "gzip", seeds: [Seeds.gzipText, Seeds.gzipIDX]) { data in
    _ = try Gzip.unpack(data, name: "gzip", limit: 1 << 20)
  }

  private static let tar = FuzzTarget(name: "tar", seeds: [Seeds.tar], repair: Checksums.tar) { data in
    _ = try Tar.files(in: data, name: "tar", wanted: ["a.bin", "b.bin"])
  }

  private static let annotations = FuzzTarget(name: "annotations", seeds: [Seeds.annotations]) { data in
    _ = try ImageList.annotations(data, name: "annotations", ids: Seeds.wordNetIDs)
  }

  /// Decoded at full size and in one channel, and resized by way of a fraction of the size.
  private static func picture(
    _ name: String, _ seeds: [Data], repair: @escaping @Sendable (Data) -> Data = { $0 }
  ) -> FuzzTarget {
    FuzzTarget(name: name, seeds: seeds, repair: repair) { data in
      try data.withUnsafeBytes { bytes in
        _ = try Picture.size(of: bytes, name: name)
        _ = try Picture(decoding: bytes, name: name, channels: 1).data()
        _ = try Picture(decoding: bytes, name: name, channels: 3, minSide: 4)
          .planes(.cropped(2, shorterSide: 2))
      }
    }
  }

  private static let pixelCache = FuzzTarget(
    name: "pixel-cache", seeds: [Seeds.pixelCache], repair: Checksums.pixelCache
  ) { data in
    _ = try PixelCache.parse(data, name: "cache").block.statistics()
  }

  private static func weights(_ name: String, _ seed: Data) -> FuzzTarget {
    FuzzTarget(name: name, seeds: [seed]) { data in
      try StateDictionary.load(data: data, name: name).validateFinite(at: name)
    }
  }

  /// An architecture as a model file holds it; a small one also computes.
  private static let architecture = FuzzTarget(name: "architecture", seeds: Seeds.architectures) { data in
    let architecture = try Architecture(json: data, at: "architecture")
    try architecture.validate(at: "architecture")
    guard architecture.parameterCount <= 1 << 20, architecture.multiplyAdds <= 10_000_000,
      architecture.inputShape.reduce(1, *) <= 1 << 16
    else { return }
    let images = Tensor.zeros([1] + architecture.inputShape)
    let network = Network(architecture, seed: 0)
    try withoutGradient {
      _ = try network.evaluate(images)
      _ = InferencePlan(network, dtype: .float32)(images)
    }
  }

  private static let yaml = FuzzTarget(name: "yaml", seeds: [Seeds.yaml, Seeds.flowYAML]) { data in
    _ = try Value(yaml: data, name: "yaml")
  }

  private static let json = FuzzTarget(name: "json", seeds: [Seeds.json]) { data in
    _ = try Value(json: data, name: "json")
  }

  /// A table of holes; what is accepted comes back from its own text and can be planned on.
  private static let cryoSurvey = FuzzTarget(
    name: "cryo-survey", seeds: [Seeds.cryoSurvey, Seeds.cryoHeadedSurvey]
  ) { data in
    let survey = try SurveyFile(parsing: data, name: "survey").survey
    guard survey.count <= 1 << 12 else { return }
    let plan = TreePlanner(survey, minutes: .headMinutes).plan(
      values: survey.holes.map { $0.fit.isGood(threshold: 6) ? 0 : 1 }, from: 0,
      isVisited: survey.holes.map { _ in false }, budget: 30)
    guard plan.minutes <= 30 else { throw BrokenPromise("a plan that takes \(plan.minutes) of 30 minutes") }
  }

  private static let cryoPredictions = FuzzTarget(
    name: "cryo-predictions", seeds: [Seeds.cryoPredictions, Seeds.cryoScores]
  ) { data in
    let survey = try SurveyFile(parsing: Seeds.cryoSurvey, name: "survey").survey
    let predicted = try survey.predicting(PredictionFile(parsing: data, name: "predictions"))
    _ = Calibration.logistic(LogisticCalibration(assumingThreshold: 6)).probabilities(of: predicted, threshold: 6)
  }

  private static let cryoTimestamps = FuzzTarget(name: "cryo-timestamps", seeds: [Seeds.cryoTimestamps]) { data in
    _ = try TimeModel(TimestampFile(parsing: data, name: "timestamps"), from: "timestamps").minutes(
      includesStops: true)
  }
}

/// A reader let something through that breaks what follows.
struct BrokenPromise: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
