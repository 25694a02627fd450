import Foundation
import QuenchSupport

extension Datasets {
  /// How many images the splits of a data set hold as far as its files' sizes and lists tell; no picture is read.
  ///
  /// Takes what ``load(_:directory:split:options:locations:)`` takes.
  ///
  /// - Returns: `nil` for a split that is not there.
  /// - Throws: `InputError` if a file that tells the number is damaged.
  public static func count(
    _ name: DataName, directory: URL? = nil, split: DataSplit, locations: DataLocations = DataLocations()
  ) throws(InputError) -> Int? {
    switch name {
    case .folder:
      guard let directory else { return nil }
      return try ImageList.classFolder(directory, split: split).entries.count
    case .synthetic: return split == .train ? Synthetic().trainCount : Synthetic().testCount
    default: break
    }
    guard let folder = find(name, directory: directory, split: split, locations: locations) else { return nil }
    switch name {
    case .cifar10: return try records(of: .ten, split, in: folder)
    case .cifar100: return try records(of: .hundred, split, in: folder)
    case .tinyImageNet: return try ImageList.tinyImageNet(folder, split: split).entries.count
    default:
      let labels = try read(anyOf: idxNames("labels-idx1", split), in: folder)
      return try IDX.parse(labels, dimensions: 1).shape[0]
    }
  }

  private static func records(of format: CIFAR, _ split: DataSplit, in folder: URL) throws(InputError) -> Int {
    var bytes = 0
    for file in format.files(split) {
      let url = folder.appending(path: file)
      guard let size = try? FileManager.default.attributesOfItem(atPath: url.path)[.size] as? Int else {
        throw InputError("a file of the data set is missing", at: url.path)
      }
      bytes += size
    }
    return bytes / format.recordSize
  }
}
