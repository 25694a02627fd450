import QuenchSupport
import QuenchTorch
import QuenchVision

/// Images to attack, handed out batch by batch as float32 pixels in [0, 1].
public struct AttackData {
  /// int64 `[N]`.
  public let labels: Tensor
  /// Where each image stands in the data set that it comes from.
  public let indices: [Int]
  /// uint8 or float32, `[N, C, H, W]`.
  private let images: Tensor

  public var count: Int { indices.count }
  public var shape: [Int] { Array(images.shape.dropFirst()) }
  /// How many classes the labels speak of at least.
  private let highestLabel: Int

  /// - Throws: `InputError` if a pixel lies outside [0, 1] or is no number, if a label is negative, or if there is not
  ///   one label an image.
  public init(images: Tensor, labels: Tensor, indices: [Int]? = nil) throws(InputError) {
    guard images.rank >= 2, labels.rank == 1, images.size(0) == labels.size(0), images.size(0) > 0,
      indices.map({ $0.count == labels.size(0) }) ?? true
    else {
      throw InputError(
        "the images and labels do not fit together", expected: "images [N, C, H, W] and labels [N], N > 0",
        found: "images \(images.shape) and labels \(labels.shape)")
    }
    if images.dtype != .uint8 {
      let (low, high) = (images.min().item(), images.max().item())
      guard images.isFinite().all(), low >= 0, high <= 1 else {
        throw InputError(
          "pixels lie outside [0, 1]", expected: "0 to 1", found: "\(Float(low)) to \(Float(high))",
          remedy: "give raw pixels: normalization belongs to the model")
      }
    }
    guard labels.min().integerItem() >= 0 else { throw InputError("a label is negative", at: "labels") }
    self.images = images
    self.labels = labels
    self.indices = indices ?? Array(0..<labels.size(0))
    highestLabel = labels.max().integerItem()
  }

  /// - Parameters:
  ///   - dataset: Images and labels.
  ///   - indices: Where they stand; by default in the file that they are from.
  public init(_ dataset: ImageDataset, indices: [Int]? = nil) throws(InputError) {
    try self.init(images: dataset.images, labels: dataset.labels, indices: indices ?? dataset.places)
  }

  /// float32 channels-last pixels of the images at `places`, int64 `[n]`.
  func pixels(at places: Tensor) -> Tensor {
    let chosen = images.selecting(places)
    let pixels = chosen.to(.float32).contiguous(images.rank == 4 ? .channelsLast : .contiguous)
    return images.dtype == .uint8 ? pixels * (1.0 / 255) : pixels
  }

  /// - Throws: `InputError` unless every pixel is a grey level of 8 bits.
  func requirePictures() throws(InputError) {
    guard images.dtype != .uint8, !GreyLevels.holds(images) else { return }
    throw InputError(
      "the images are no pictures of 8 bits", expected: "pixels k/255", found: "\(images.dtype) between them",
      remedy: "round them first, or search among all images")
  }

  /// - Throws: `InputError` if the model takes other images or knows fewer classes.
  func check(_ model: AttackedModel) throws(InputError) {
    guard shape == model.inputShape else {
      throw InputError(
        "the model takes other images", at: model.name, expected: "\(model.inputShape)", found: "\(shape)")
    }
    guard highestLabel < model.classes else {
      throw InputError(
        "a label is out of range", at: "labels", expected: "0 to \(model.classes - 1)", found: "\(highestLabel)")
    }
  }
}
