import Foundation
import Support
import Synchronization

/// Decodes the pictures of a list on all cores into one block of pixels.
struct PictureReader {
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

  private struct State {
    var done = 0
    var failures: [Int: InputError] = [:]
    /// A failure ends the whole reading.
    var stopped = false
  }

  /// - Throws: ``InputError`` that names the file if a picture is corrupt and they are not to be skipped, if sizes
  ///   differ and none is asked for, if a class is left without pictures, or if memory would not do.
  func read(_ list: ImageList) throws(InputError) -> Result {
    try size.validate()
    let first = try firstSize(of: list)
    let (width, height) = size.result(width: first.width, height: first.height)
    let shape = [list.entries.count, channels, height, width]
    try checkMemory(for: shape, at: list.directory.path)
    guard let memory = malloc(shape.reduce(1, *)) else {
      throw InputError("the images do not fit into memory", at: list.directory.path)
    }
    let planes = UnsafeMutableRawBufferPointer(start: memory, count: shape.reduce(1, *))
    let failures: [Int: InputError]
    do {
      failures = try decode(list, into: planes, width: width, height: height, sizedLike: first.path)
    } catch {
      free(memory)
      throw error
    }
    return try Self.result(of: list, pixels: planes, shape: shape, without: failures)
  }

  /// The stored size of the first picture that has a header.
  private func firstSize(of list: ImageList) throws(InputError) -> (path: String, width: Int, height: Int) {
    for entry in list.entries {
      let url = list.directory.appendingPathComponent(entry.path)
      do {
        let size = try Data.read(url).withBytes { (bytes) throws(InputError) in
          try Picture.size(of: bytes, name: url.path)
        }
        return (url.path, size.width, size.height)
      } catch {
        guard skipCorrupt else { throw error }
      }
    }
    throw InputError("all \(list.entries.count) pictures are corrupt", at: list.directory.path)
  }

  /// Fills `planes`; gives the errors of the pictures that are to be skipped.
  private func decode(
    _ list: ImageList, into planes: UnsafeMutableRawBufferPointer, width: Int, height: Int, sizedLike model: String
  ) throws(InputError) -> [Int: InputError] {
    let state = Mutex(State())
    let total = list.entries.count
    let bytes = channels * height * width
    DispatchQueue.concurrentPerform(iterations: total) { index in
      guard !state.withLock({ $0.stopped }) else { return }
      let slot = UnsafeMutableRawBufferPointer(rebasing: planes[index * bytes..<(index + 1) * bytes])
      let url = list.directory.appendingPathComponent(list.entries[index].path)
      var failure: InputError?
      var skippable = skipCorrupt
      do throws(InputError) {
        try Data.read(url).withBytes { (file) throws(InputError) in
          let picture = try Picture(decoding: file, name: url.path, channels: channels, minSide: size.minSide)
          guard size.result(width: picture.width, height: picture.height) == (width, height) else {
            skippable = false
            throw InputError(
              "the pictures differ in size", at: url.path, expected: "\(width) x \(height) as \(model)",
              found: "\(picture.width) x \(picture.height)", remedy: "give a size to resize and crop them to")
          }
          try picture.write(size, into: slot)
        }
      } catch {
        failure = error
      }
      state.withLock { state in
        if let failure {
          state.failures[index] = failure
          state.stopped = state.stopped || !skippable
        }
        state.done += 1
        if state.done == total || state.done.isMultiple(of: max(1, total / 100)) { progress?(state.done, total) }
      }
    }
    return try state.withLock { (state) throws(InputError) in
      if state.stopped, let first = state.failures.min(by: { $0.key < $1.key }) { throw first.value }
      return state.failures
    }
  }

  /// Closes the gaps that skipped pictures leave. Takes over `pixels`.
  private static func result(
    of list: ImageList, pixels: UnsafeMutableRawBufferPointer, shape: [Int], without failures: [Int: InputError]
  ) throws(InputError) -> Result {
    var data = Data(bytesNoCopy: pixels.baseAddress!, count: pixels.count, deallocator: .free)
    let kept = list.entries.indices.filter { failures[$0] == nil }
    let labels = kept.map { list.entries[$0].label }
    let remaining = Set(labels)
    if let empty = Set(list.entries.map(\.label)).subtracting(remaining).min() {
      throw InputError(
        "all pictures of the class \"\(list.classNames[empty])\" are corrupt", at: list.directory.path)
    }
    let bytes = shape[1] * shape[2] * shape[3]
    if !failures.isEmpty {
      for (target, source) in kept.enumerated() where target != source {
        let from = UnsafeRawBufferPointer(rebasing: pixels[source * bytes..<(source + 1) * bytes])
        UnsafeMutableRawBufferPointer(rebasing: pixels[target * bytes..<(target + 1) * bytes]).copyMemory(
          from: from)
      }
      data = data.prefix(kept.count * bytes)
    }
    let block = PixelBlock(
      shape: [kept.count, shape[1], shape[2], shape[3]], pixels: data, labels: labels.map { Int64($0) })
    return Result(block: block, skipped: failures.keys.sorted().map { list.entries[$0].path })
  }
}
