import Foundation
import QuenchReporting
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

  public let classNames: [String]
  public let size: PictureFit
  /// How many classes are told of each picture.
  public var top = 5
  /// Pictures that are classified at once.
  public var batchSize = 64
  private let plan: InferencePlan

  /// - Parameters:
  ///   - file: A classifier of grey or RGB images, with what its file says of its classes and pictures.
  ///   - labels: What its classes are called, given their number; nil: as the file says.
  ///   - pictures: How pictures come to its size, in place of what the file says: one that has just this size is taken as it
  ///     is unless a size to resize it to is given.
  ///   - dtype: What layers compute in.
  ///   - location: What errors call the network.
  /// - Throws: `InputError` if the network is none such, or takes no such images.
  public init(
    _ file: ModelFile, labels: (Int) throws(InputError) -> [String]? = { _ throws(InputError) in nil },
    pictures: PictureSettings = .init(), dtype: DType = .float32, at location: String
  ) throws(InputError) {
    var file = file
    let output = file.network.architecture.outputShape
    guard output.count == 1 else {
      throw InputError(
        "the network is not a classifier", at: location, found: file.network.architecture.name)
    }
    size = try file.fit(to: pictures, at: location)
    try size.validate()
    classNames = try labels(output[0]) ?? file.classNames
    guard classNames.isEmpty || classNames.count == output[0] else {
      throw InputError(
        "the network has another number of classes than there are labels", at: location, expected: "\(output[0])",
        found: "\(classNames.count)")
    }
    plan = InferencePlan(file.network, batchSize: 64, dtype: dtype)
  }

  /// A picture with its most probable classes, the most probable first, and what else was found of it.
  public struct Prediction {
    public var file: URL
    public var guesses: [Guess]
    public var findings: Record
  }

  /// Logits `[N, classes]` of pixels in [0, 1], `[N, C, H, W]`.
  public func logits(_ images: Tensor) -> Tensor { plan(images) }

  /// Tells the classes of pictures.
  /// - Parameters:
  ///   - files: The pictures.
  ///   - warn: Told of a picture that cannot be read; it is left out.
  ///   - inspect: Finds out more about images, pixels in [0, 1], `[N, C, H, W]`: a record for each; nil: nothing.
  /// - Returns: What is told of each picture that could be read, in the order of `files`.
  /// - Throws: `InputError` if no picture could be read, or the network answers NaN or infinity; what `inspect` throws.
  public func callAsFunction(
    _ files: [URL], warn: (InputError) -> Void = { _ in }, inspect: (Tensor) throws -> [Record]? = { _ in nil }
  ) throws -> [Prediction] {
    var results: [Prediction] = []
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
      let shape = [read.count, size.channels, size.height, size.width]
      let images = Tensor(pixels, shape: shape).to(plan.device).to(.float32) / 255
      let guesses = try guesses(for: images, read)
      let findings = try inspect(images)
      for (row, file) in read.enumerated() {
        results.append(Prediction(file: file, guesses: guesses[row], findings: findings?[row] ?? [:]))
      }
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

  /// The pictures that `paths` name, sorted by name: of a folder all pictures in it, however deep.
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
          "the folder holds no pictures", at: path, expected: "files that end in \(ImageList.endings)")
      }
      let root = path.hasSuffix("/") ? String(path.dropLast()) : path
      files += pictures.map { URL(filePath: "\(root)/\($0)") }
    }
    return files.sorted { $0.relativePath < $1.relativePath }
  }
}
