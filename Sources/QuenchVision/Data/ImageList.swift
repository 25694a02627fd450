import Foundation
import QuenchSupport

/// The picture files of a split with their labels, in an order that does not depend on the file system.
public struct ImageList: Sendable {
  public struct Entry: Sendable {
    /// Relative to the data set's folder.
    public var path: String
    public var label: Int
  }

  public var directory: URL
  public var classNames: [String]
  public var entries: [Entry]
  /// Files passed over because they are not named like a picture.
  public var ignored = 0
  /// How the split was made, where the folder has none.
  public var note: String?

  static let extensions = ["jpg", "jpeg", "png", "webp", "tif", "tiff", "bmp"]
  /// `*.jpg, ... or *.bmp`
  static var endings: String {
    extensions.dropLast().map { "*.\($0)" }.joined(separator: ", ") + " or *.\(extensions[extensions.count - 1])"
  }

  /// What the folders of the splits are called.
  static func folders(of split: DataSplit) -> [String] {
    switch split {
    case .train: ["train", "training"]
    case .test: ["test", "validation", "valid", "val"]
    }
  }

  /// Lists `train/<class>/*` or `test/<class>/*`, by any of the names that such folders have. Where there is no folder
  /// of test pictures, or class folders alone, a fifth of each class is drawn by a fixed seed to be these.
  ///
  /// Labels number the class folders of `train` in sorted order, also for the test split.
  /// - Throws: `InputError` if the folders are missing, a class has no pictures, or the test split has a class
  ///   that `train` lacks.
  public static func classFolder(_ directory: URL, split: DataSplit) throws(InputError) -> ImageList {
    func folder(_ split: DataSplit) -> String? {
      folders(of: split).first { isDirectory(directory.appendingPathComponent($0)) }
    }
    let (train, test) = (folder(.train), folder(.test))
    if let test {
      guard split == .test || train != nil else {
        throw InputError(
          "the folder holds no training pictures", at: directory.path, expected: "train/<class>/*.jpg")
      }
      let root = directory.appendingPathComponent(train ?? test)
      return try listing(split == .train ? train ?? test : test, of: directory, classes: subfolders(of: root), root)
    }
    let root = train.map { directory.appendingPathComponent($0) } ?? directory
    guard isDirectory(root), try !subfolders(of: root).isEmpty else {
      throw InputError(
        "the folder holds no \(split == .train ? "training" : "test") pictures", at: directory.path,
        expected: folders(of: split).map { "\($0)/<class>/*.jpg" }.joined(separator: " or ")
          + ", or <class>/*.jpg")
    }
    return try listing(train, of: directory, classes: subfolders(of: root), root).dividing(split)
  }

  /// The pictures in the class folders of `folder`, or of the directory itself.
  private static func listing(
    _ folder: String?, of directory: URL, classes: [String], _ train: URL
  ) throws(InputError) -> ImageList {
    let root = folder.map { directory.appendingPathComponent($0) } ?? directory
    var list = ImageList(directory: directory, classNames: classes, entries: [])
    for name in try subfolders(of: root) {
      guard let label = classes.firstIndex(of: name) else {
        throw InputError(
          "a class of the test pictures is not among the training pictures",
          at: root.appendingPathComponent(name).path, expected: "a folder of the same name in \(train.path)")
      }
      try list.append(folder: folder.map { "\($0)/\(name)" } ?? name, label: label)
    }
    guard !list.entries.isEmpty else { throw InputError("the folder holds no class folders", at: root.path) }
    return list
  }

  /// One part of the list: of each class a fifth, one picture at least, drawn by a fixed seed, are for tests.
  private func dividing(_ split: DataSplit) -> ImageList {
    var random = SplitMix64(1)
    var drawn: Set<Int> = []
    for label in classNames.indices {
      var members = entries.indices.filter { entries[$0].label == label }
      members.shuffle(using: &random)
      drawn.formUnion(members.prefix(max(1, members.count / 5)))
    }
    var part = self
    part.entries = entries.indices.filter { drawn.contains($0) == (split == .test) }.map { entries[$0] }
    part.note =
      "there is no folder of test pictures (\(Self.folders(of: .test).joined(separator: ", "))): a fifth of each class is "
      + "drawn to be these, \(drawn.count) of \(entries.count), always the same"
    return part
  }

  /// Lists Tiny-ImageNet in its own layout: `wnids.txt`, `train/<wnid>/images/*.JPEG`, and for the test split the
  /// labelled validation pictures, `val/images/*.JPEG` with `val/val_annotations.txt`.
  ///
  /// Labels number the sorted WordNet ids; names come from `words.txt` where it lies there.
  /// - Throws: `InputError` if a file or folder is missing, or an annotation is malformed or of an unknown class.
  public static func tinyImageNet(_ directory: URL, split: DataSplit) throws(InputError) -> ImageList {
    let ids = try lines(of: directory.appendingPathComponent("wnids.txt")).map(String.init).sorted()
    let words = directory.appendingPathComponent("words.txt")
    let names = isReadable(words) ? Self.words(in: try lines(of: words), of: Set(ids)) : [:]
    var list = ImageList(directory: directory, classNames: ids.map { names[$0] ?? $0 }, entries: [])
    if split == .train {
      for (label, id) in ids.enumerated() { try list.append(folder: "train/\(id)/images", label: label) }
    } else {
      let url = directory.appendingPathComponent("val/val_annotations.txt")
      list.entries = try annotations(try InputFile.read(url), name: url.path, ids: ids)
    }
    guard !list.entries.isEmpty else { throw InputError("the folder holds no pictures", at: directory.path) }
    return list
  }

  /// Reads `val_annotations.txt`: a file's name, its WordNet id and a box on each line, separated by tabs.
  /// - Throws: `InputError` that names the line.
  public static func annotations(_ data: Data, name: String, ids: [String]) throws(InputError) -> [Entry] {
    let labels = Dictionary(zip(ids, 0...), uniquingKeysWith: { first, _ in first })
    var entries: [Entry] = []
    for (number, line) in zip(1..., String(decoding: data, as: UTF8.self).split(whereSeparator: \.isNewline)) {
      let fields = line.split(separator: "\t", maxSplits: 2)
      guard fields.count >= 2, let label = labels[String(fields[1])], isPlainName(fields[0]) else {
        throw InputError(
          "a malformed annotation", at: "\(name), line \(number)",
          expected: "a file name, a tab and one of the \(ids.count) ids of wnids.txt",
          found: "\"\(line.prefix(60))\"")
      }
      entries.append(Entry(path: "val/images/\(fields[0])", label: label))
    }
    return entries.sorted { $0.path < $1.path }
  }

  /// Keeps the first `count` entries of each class.
  func prefix(perClass count: Int) -> ImageList {
    var taken = [Int](repeating: 0, count: classNames.count)
    var list = self
    list.entries = entries.filter { entry in
      taken[entry.label] += 1
      return taken[entry.label] <= count
    }
    return list
  }

  private mutating func append(folder: String, label: Int) throws(InputError) {
    let url = directory.appendingPathComponent(folder)
    let before = entries.count
    for name in try Self.contents(of: url) {
      if Self.extensions.contains((name as NSString).pathExtension.lowercased()) {
        entries.append(Entry(path: "\(folder)/\(name)", label: label))
      } else {
        ignored += 1
      }
    }
    guard entries.count > before else {
      throw InputError(
        "the class \"\(classNames[label])\" has no pictures", at: url.path, expected: "\(Self.endings)",
        remedy: "add some or remove the folder")
    }
  }

  /// Sorted names, hidden ones left out.
  private static func contents(of url: URL) throws(InputError) -> [String] {
    do {
      return try FileManager.default.contentsOfDirectory(atPath: url.path).filter { !$0.hasPrefix(".") }.sorted()
    } catch {
      throw InputError("cannot list the folder", at: url.path, remedy: "check that it exists and may be read")
    }
  }

  private static func subfolders(of url: URL) throws(InputError) -> [String] {
    try contents(of: url).filter { isDirectory(url.appendingPathComponent($0)) }
  }

  private static func lines(of url: URL) throws(InputError) -> [Substring] {
    String(decoding: try InputFile.read(url), as: UTF8.self).split(whereSeparator: \.isNewline)
  }

  /// The first word of each line `id<tab>word, word, ...` whose id is among `ids`.
  private static func words(in lines: [Substring], of ids: Set<String>) -> [String: String] {
    var words: [String: String] = [:]
    for line in lines {
      let fields = line.split(separator: "\t", maxSplits: 1)
      guard fields.count == 2, ids.contains(String(fields[0])) else { continue }
      words[String(fields[0])] = fields[1].split(separator: ",").first.map(String.init)
    }
    return words
  }

  private static func isPlainName(_ name: Substring) -> Bool { !name.contains("/") && !name.hasPrefix(".") }
}

func isDirectory(_ url: URL) -> Bool {
  var directory: ObjCBool = false
  return FileManager.default.fileExists(atPath: url.path, isDirectory: &directory) && directory.boolValue
}

func isReadable(_ url: URL) -> Bool { FileManager.default.isReadableFile(atPath: url.path) }
