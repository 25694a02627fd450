import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch

/// How pictures come to the size of a network's images.
public struct PictureSettings: InlineGroup, Hashable, Sendable {
  /// The size of the images; nil: as the network takes them, or as they are.
  public var imageSize: PictureSides?
  /// Pixels that the shorter side is resized to before the middle is cut out; nil: an eighth more than the image's.
  public var resize: Int?
  /// What is cut out of the resized picture; nil: the size of the images.
  public var crop: PictureSides?
  /// 1 for gray, 3 for color; nil: as the network takes them, or color.
  public var channels: Int?

  public init() {}

  /// - Throws: `InputError` for a value out of its range, or a part that does not lie in the resized picture.
  public func validate() throws(InputError) {
    try requireSetting((1...8192).contains(resize ?? 1), "resize", "from 1 to 8192", resize ?? 0)
    try requireSetting([1, 3].contains(channels ?? 1), "channels", "1 or 3", channels ?? 0)
    guard let crop else { return }
    try requireSetting(
      crop.shorter <= resize ?? crop.shorter, "crop", "at most `resize`, \(resize ?? 0)", crop.description)
    try requireSetting(
      resize != nil || imageSize == nil || imageSize == crop, "crop", "`resize` beside it", crop.description)
  }

  /// Whether anything is said.
  var isSaid: Bool { self != PictureSettings() }

  /// How pictures come to size; nil where nothing says it.
  func fit(for wanted: WantedPictures?, channels usual: Int) -> PictureFit? {
    let channels = channels ?? wanted?.channels ?? usual
    guard
      let size = imageSize ?? crop ?? wanted?.size ?? resize.map({ PictureSides(height: $0, width: $0) })
    else { return nil }
    var side = wanted?.resize
    if let resize {
      let cut = Double((crop ?? size).shorter)
      side = Int((Double(resize) * Double(size.shorter) / cut).rounded())
    }
    return PictureFit(channels: channels, height: size.height, width: size.width, shorterSide: side)
  }
}

/// What a network in a file of weights takes pictures for, known before the data are read.
public struct WantedPictures {
  public var channels: Int
  public var size: PictureSides
  /// As ``PictureFit/shorterSide``.
  public var resize: Int?
  /// Empty where nobody said.
  public var classNames: [String]
  public var classes: Int

  /// Nil where the data set has images of its own size and classes, or there are no weights.
  /// - Parameters:
  ///   - weights: The file; nil: none.
  ///   - model: What they belong to, where their file does not say.
  ///   - pixels: What is said of them.
  ///   - selection: The data set.
  /// - Throws: `InputError` if the file cannot be read.
  public init?(
    _ weights: String?, model: ModelName?, pixels: PixelNormalization, _ selection: DataSelection
  ) throws(InputError) {
    guard let weights, selection.data == .folder || pixels.classes != nil else { return nil }
    let size = selection.pictures.imageSize ?? selection.pictures.crop
    let named = try model.map { model throws(InputError) in
      try NamedNetwork(
        model, input: size.map { [selection.pictures.channels ?? 3, $0.height, $0.width] })
    }
    let file = try ModelFile(contentsOf: URL(filePath: weights), named: named, normalization: pixels.value)
    let input = file.network.architecture.inputShape
    guard input.count == 3, file.network.architecture.outputShape.count == 1 else { return nil }
    self.init(of: file, input: input)
    classNames = try pixels.labels(for: classes) ?? classNames
  }

  /// - Parameter input: `[channels, height, width]` of the network's images.
  init(of file: ModelFile, input: [Int]) {
    (channels, size, resize) = (input[0], PictureSides(height: input[1], width: input[2]), file.resize)
    (classNames, classes) = (file.classNames, file.network.architecture.outputShape.first ?? 0)
  }
}

extension ModelFile {
  /// Makes a network of images of any size take those that are asked for, and keeps what pictures are resized to.
  /// - Returns: How pictures come to the network's size.
  /// - Throws: `InputError` if the network takes no pictures, or other ones than are asked for.
  @discardableResult
  public mutating func fit(to pictures: PictureSettings, at location: String) throws(InputError) -> PictureFit {
    let input = network.architecture.inputShape
    guard input.count == 3, [1, 3].contains(input[0]) else {
      throw InputError(
        "the network takes no pictures", at: location, expected: "1 or 3 channels", found: "\(input)")
    }
    let wanted = WantedPictures(of: self, input: input)
    guard let fit = pictures.fit(for: wanted, channels: input[0]) else {
      return PictureFit(channels: input[0], height: input[1], width: input[2], shorterSide: resize)
    }
    let shape = [fit.channels, fit.height, fit.width]
    if shape != input {
      guard network.isImported, network.architecture.accepts(imageShape: shape) else {
        throw InputError(
          "the network takes images of one size alone", at: location, expected: network.architecture.inputText,
          found: ImageShape.text(shape),
          remedy: "leave `image-size` out: pictures are resized to the network's size")
      }
      try network.adapt(to: shape)
    }
    resize = fit.shorterSide
    return fit
  }
}
