import ArgumentParser
import QuenchSupport
import QuenchVision

/// What pixels are normalized by and classes called, where a file of weights does not say.
struct NormalizationOptions: ParsableArguments {
  @Option(
    help: """
      Means that pixels in [0, 1] are normalized by, in place of what the file of weights says: a number a channel \
      (0.485,0.456,0.406), or imagenet, cifar10 or none.
      """)
  var mean: ChannelNumbers?

  @Option(help: "Standard deviations, likewise.")
  var std: ChannelNumbers?

  @Option(
    help: ArgumentHelp("Names of the network's classes, one a line, in place of its own.", valueName: "file"),
    completion: .file())
  var classes: String?

  var settings: PixelNormalization {
    var pixels = PixelNormalization()
    (pixels.mean, pixels.std, pixels.classes) = (mean, std, classes)
    return pixels
  }

  /// Nil where nothing is said.
  var value: Normalization? { get throws(InputError) { try settings.value } }

  func validate() throws { try requireUsage { _ = try value } }
}

/// How pictures come to the size of a network's images.
struct PictureOptions: ParsableArguments {
  static let imageSizeHelp = ArgumentHelp(
    "Size of the images: 224, or height x width such as 240x320 (default: what the network takes, or as they are).",
    valueName: "n")
  static let resizeHelp = ArgumentHelp(
    "Resize the shorter side to n pixels before the middle is cut out (default: an eighth more than is cut out).",
    valueName: "n")
  static let cropHelp = ArgumentHelp(
    "Cut n pixels out of the resized picture (default: the image size).", valueName: "n")
  static let channelsHelp = ArgumentHelp(
    "1 for gray images, 3 for color (default: what the network takes).", valueName: "n")

  @Option(help: Self.imageSizeHelp) var imageSize: PictureSides?
  @Option(help: Self.resizeHelp) var resize: Int?
  @Option(help: Self.cropHelp) var crop: PictureSides?
  @Option(help: Self.channelsHelp) var channels: Int?

  var settings: PictureSettings {
    var pictures = PictureSettings()
    (pictures.imageSize, pictures.resize, pictures.crop, pictures.channels) = (imageSize, resize, crop, channels)
    return pictures
  }

  func validate() throws { try requireUsage { try settings.validate() } }
}

extension ChannelNumbers: ExpressibleByArgument {}
extension PictureSides: ExpressibleByArgument {}
