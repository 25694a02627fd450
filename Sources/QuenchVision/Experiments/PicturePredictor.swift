import Foundation
import QuenchSupport
import QuenchTorch
import Synchronization

/// Tells the classes of pictures of any size: each is resized and cropped to the size that a network takes.
public struct PicturePredictor {
  /// A class with the probability that the network gives it.
  public struct Guess: Hashable, Sendable {
    /// From 0.
    public var index: Int
    /// Nil where nobody said what the classes are called.
    public var label: String?
    public var probability: Double
  }

  /// A picture that is not like the network's is resized until it covers its size times this, then the middle is cut out.
  public static let margin = 8.0 / 7

  public let classNames: [String]
  public let size: PictureFit
  /// How many classes are told of each picture.
  public var top = 5
  /// Pictures that are classified at once.
  public var batchSize = 64
  private let plan: InferencePlan

  /// - Parameters:
  ///   - network: A classifier of grey or RGB images.
  ///   - classNames: In label order; empty where nobody knows.
  ///   - resize: What the shorter side is resized to before the middle is cut out; nil: by ``margin``, and pictures that
  ///     have the network's size are taken as they are.
  ///   - dtype: What layers compute in.
  ///   - location: What errors call the network.
  /// - Throws: `InputError` if the network is none such, or knows another number of classes.
  public init(
    _ network: Network, classNames: [String], resize: Int? = nil, dtype: DType = .float32, at location: String
  ) throws(InputError) {
    let (input, output) = (network.architecture.inputShape, network.architecture.outputShape)
    guard output.count == 1 else {
      throw InputError("the network is not a classifier", at: location, found: network.architecture.name)
    }
    guard input.count == 3, [1, 3].contains(input[0]) else {
      throw InputError(
        "the network takes no pictures", at: location, expected: "1 or 3 channels", found: "\(input)")
    }
    guard classNames.isEmpty || classNames.count == output[0] else {
      throw InputError(
        "the network has another number of classes than there are labels", at: location, expected: "\(output[0])",
        found: "\(classNames.count)")
    }
    self.classNames = classNames
    size = PictureFit(channels: input[0], height: input[1], width: input[2], shorterSide: resize)
    try size.validate()
    plan = InferencePlan(network, batchSize: 64, dtype: dtype)
  }

  /// The most probable classes of each picture, the most probable first.
  /// - Parameters:
  ///   - files: The pictures.
  ///   - warn: Told of a picture that cannot be read; it is left out.
  /// - Returns: For each picture that could be read its file and its classes, in the order of `files`.
  /// - Throws: `InputError` if no picture could be read, or the network answers NaN or infinity.
  public func callAsFunction(
    _ files: [URL], warn: (InputError) -> Void = { _ in }
  ) throws(InputError) -> [(file: URL, guesses: [Guess])] {
    var results: [(file: URL, guesses: [Guess])] = []
    var failure: InputError?
    for start in stride(from: 0, to: files.count, by: max(batchSize, 1)) {
      let batch = Array(files[start..<min(start + max(batchSize, 1), files.count)])
      var (read, pixels): ([URL], [UInt8]) = ([], [])
      for (file, planes) in zip(batch, decoded(batch)) {
        switch planes {
        case .success(let planes):
          read.append(file)
          pixels += planes
        case .failure(let error):
          failure = failure ?? error
          if files.count > 1 { warn(error) }
        }
      }
      guard !read.isEmpty else { continue }
      let images = Tensor(pixels, shape: [read.count, size.channels, size.height, size.width])
      let guesses = try guesses(for: images.to(plan.device).to(.float32) / 255, read)
      for (file, guesses) in zip(read, guesses) { results.append((file, guesses)) }
    }
    if results.isEmpty, let failure { throw failure }
    return results
  }

  private func decoded(_ files: [URL]) -> [Result<[UInt8], InputError>] {
    let size = size
    let results = Mutex<[Int: Result<[UInt8], InputError>]>([:])
    DispatchQueue.concurrentPerform(iterations: files.count) { index in
      let result = Result { () throws(InputError) in try size.planes(of: files[index]) }
      results.withLock { $0[index] = result }
    }
    return results.withLock { results in files.indices.compactMap { results[$0] } }
  }

  private func guesses(for images: Tensor, _ files: [URL]) throws(InputError) -> [[Guess]] {
    let logits = plan(images).to(.cpu)
    let broken = logits.isFinite().logicalNot().to(.float32).sum([1]).array(Float.self)
    if let index = broken.firstIndex(where: { $0 > 0 }) {
      throw InputError("the network answers NaN or infinity", at: files[index].path, remedy: "check the weights")
    }
    let count = min(max(top, 1), logits.size(1))
    let (values, indices) = logits.to(.float64).softmax(1).topK(count)
    let (probabilities, classes) = (values.array(Double.self), indices.array(Int64.self))
    return files.indices.map { row in
      (row * count..<(row + 1) * count).map { place in
        let index = Int(classes[place])
        return Guess(
          index: index, label: classNames.isEmpty ? nil : classNames[index], probability: probabilities[place])
      }
    }
  }

  /// The pictures that `paths` name, sorted by name: of a folder all JPEG and PNG files in it, however deep.
  /// - Throws: `InputError` if a path is not there or a folder holds no picture.
  public static func pictures(at paths: [String]) throws(InputError) -> [URL] {
    var files: [URL] = []
    for path in paths {
      var isFolder: ObjCBool = false
      guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
        throw InputError("there is no such file or folder", at: path)
      }
      guard isFolder.boolValue else {
        files.append(URL(filePath: path))
        continue
      }
      let names = (FileManager.default.enumerator(atPath: path)?.allObjects ?? []).compactMap { $0 as? String }
      let pictures = names.filter {
        ImageList.extensions.contains(($0 as NSString).pathExtension.lowercased())
      }
      guard !pictures.isEmpty else {
        throw InputError(
          "the folder holds no pictures", at: path, expected: "files that end in .jpg, .jpeg or .png")
      }
      let root = path.hasSuffix("/") ? String(path.dropLast()) : path
      files += pictures.map { URL(filePath: "\(root)/\($0)") }
    }
    return files.sorted { $0.relativePath < $1.relativePath }
  }
}

/// How a picture comes to a network's size.
public struct PictureFit: Hashable, Sendable {
  /// 1 or 3.
  public var channels: Int
  public var height: Int
  public var width: Int
  /// What the shorter side of the network's size stands for before the middle is cut out; nil: by
  /// ``PicturePredictor/margin``, and a picture of just the size stays as it is.
  public var shorterSide: Int?

  /// - Throws: `InputError` if the middle does not lie in the resized picture.
  func validate() throws(InputError) {
    guard let shorterSide else { return }
    try requireSetting(
      (min(height, width)...8192).contains(shorterSide), "resize",
      "from \(min(height, width)), the network's size, to 8192", shorterSide)
  }

  /// The pixels of the picture in a file, channel after channel.
  /// - Throws: `InputError` that names the file if it is no picture.
  func planes(of file: URL) throws(InputError) -> [UInt8] {
    let side = shorterSide ?? Int((Double(min(height, width)) * PicturePredictor.margin).rounded())
    return try Picture.content(of: file).parse { (bytes) throws(InputError) in
      let picture = try Picture(decoding: bytes, name: file.path, channels: channels)
      if shorterSide == nil, (picture.width, picture.height) == (width, height) {
        return try picture.planes(.uniform)
      }
      if height == width { return try picture.planes(.cropped(height, shorterSide: side)) }
      return try picture.planes(covering: (height, width), shorterSide: side)
    }
  }
}
