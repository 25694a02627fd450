import Foundation
import QuenchReporting
import QuenchSupport
import Synchronization

/// Decodes the pictures of a list on all cores into one block of pixels.
struct PictureReader: Sendable {
  /// 1 or 3.
  var channels: Int
  var size: PictureSize
  var skipCorrupt: Bool
  /// Called now and then, from any thread but one call at a time, with the pictures done and their total number.
  var progress: (@Sendable (Int, Int) -> Void)?

  struct Result {
    var block: PixelBlock
    /// Paths of the corrupt pictures that were left out.
    var skipped: [String]
  }

  /// The size that all pictures must have, and the file that set it.
  private struct Model {
    var path: String
    var width: Int
    var height: Int
  }

  /// What the cores share. A decoded picture is copied in under the lock, which takes next to no time.
  private struct State {
    var pixels: Data
    var done = 0
    var corrupt: [Int: InputError] = [:]
    /// What ends the whole reading.
    var failure: InputError?
  }

  /// - Throws: `InputError` that names the file if a picture is corrupt and they are not to be skipped, if sizes
  ///   differ and none is asked for, if a class is left without pictures, or if memory would not do.
  func read(_ list: ImageList) throws(InputError) -> Result {
    try size.validate()
    let model = try model(of: list)
    let (width, height) = size.result(width: model.width, height: model.height)
    let shape = [list.entries.count, channels, height, width]
    try checkMemory(for: shape, at: list.directory.path)
    let state = Mutex(State(pixels: Data(count: shape.reduce(1, *))))
    DispatchQueue.concurrentPerform(iterations: list.entries.count) { index in
      guard state.withLock({ $0.failure == nil }) else { return }
      decode(index, of: list, like: model, into: state)
    }
    let (pixels, corrupt) = try state.withLock { (state) throws(InputError) in
      if let failure = state.failure { throw failure }
      defer { state.pixels = Data() }
      return (state.pixels, state.corrupt)
    }
    return try Self.result(of: list, pixels: pixels, shape: shape, without: corrupt)
  }

  /// The stored size of the first picture that has a header.
  private func model(of list: ImageList) throws(InputError) -> Model {
    for entry in list.entries {
      let url = list.directory.appendingPathComponent(entry.path)
      do {
        let size = try Picture.content(of: url).parse { (bytes) throws(InputError) in
          try Picture.size(of: bytes, name: url.path)
        }
        return Model(path: url.path, width: size.width, height: size.height)
      } catch {
        guard skipCorrupt else { throw error }
      }
    }
    throw InputError(
      "every picture is corrupt", at: list.directory.path, found: NumberText.count(list.entries.count, "picture"))
  }

  private func decode(_ index: Int, of list: ImageList, like model: Model, into state: borrowing Mutex<State>) {
    let url = list.directory.appendingPathComponent(list.entries[index].path)
    var planes: [UInt8] = []
    var corruption: InputError?
    var mismatch: InputError?
    do throws(InputError) {
      try Picture.content(of: url).parse { (bytes) throws(InputError) in
        let picture = try Picture(decoding: bytes, name: url.path, channels: channels, minSide: size.minSide)
        if size == .uniform, (picture.width, picture.height) != (model.width, model.height) {
          mismatch = InputError(
            "the pictures differ in size", at: url.path,
            expected: "\(model.width) x \(model.height) as \(model.path)",
            found: "\(picture.width) x \(picture.height)",
            remedy: "give a size to resize and crop them to with `image-size`")
        } else {
          planes = try picture.planes(size)
        }
      }
    } catch {
      corruption = error
    }
    state.withLock { state in
      if let mismatch { state.failure = mismatch }
      if let corruption {
        state.corrupt[index] = corruption
        if !skipCorrupt { state.failure = corruption }
      }
      state.pixels.replaceSubrange(index * planes.count..<(index + 1) * planes.count, with: planes)
      state.done += 1
      let total = list.entries.count
      if state.done == total || state.done.isMultiple(of: max(1, total / 100)) { progress?(state.done, total) }
    }
  }

  /// Closes the gaps that corrupt pictures leave.
  private static func result(
    of list: ImageList, pixels: consuming Data, shape: [Int], without corrupt: [Int: InputError]
  ) throws(InputError) -> Result {
    let kept = list.entries.indices.filter { corrupt[$0] == nil }
    let labels = kept.map { list.entries[$0].label }
    if let empty = Set(list.entries.map(\.label)).subtracting(labels).min() {
      throw InputError(
        "all pictures of the class \"\(list.classNames[empty])\" are corrupt", at: list.directory.path)
    }
    if !corrupt.isEmpty {
      let bytes = shape[1] * shape[2] * shape[3]
      pixels.withUnsafeMutableBytes { pixels in
        for (target, source) in kept.enumerated() where target != source {
          let picture = UnsafeRawBufferPointer(rebasing: pixels[source * bytes..<(source + 1) * bytes])
          UnsafeMutableRawBufferPointer(rebasing: pixels[target * bytes..<(target + 1) * bytes])
            .copyMemory(from: picture)
        }
      }
      pixels = pixels.prefix(kept.count * bytes)
    }
    let block = PixelBlock(
      shape: [kept.count, shape[1], shape[2], shape[3]], pixels: pixels, labels: labels.map { Int64($0) })
    return Result(block: block, skipped: corrupt.keys.sorted().map { list.entries[$0].path })
  }
}
