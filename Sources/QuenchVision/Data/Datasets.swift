import Foundation
import QuenchReporting
import QuenchSupport

/// Finds and reads the data sets that ``DataName`` lists.
public enum Datasets {
  /// Reads a split of a data set into memory.
  ///
  /// - Parameters:
  ///   - name: Which data set.
  ///   - directory: Where its files lie; by default the first of the usual places that has them.
  ///   - split: Which of its images.
  ///   - options: How pictures are decoded, and the size of a made-up data set.
  ///   - locations: The usual places.
  /// - Throws: `InputError` that names the file and says what is wrong with it, or how to get an absent data set.
  public static func load(
    _ name: DataName, directory: URL? = nil, split: DataSplit, options: DataOptions = DataOptions(),
    locations: DataLocations = DataLocations()
  ) throws(InputError) -> ImageDataset {
    switch name {
    case .fashionMNIST, .mnist: try idx(name, try locate(name, directory, split, locations), split)
    case .cifar10: try cifar(.ten, name, try locate(name, directory, split, locations), split)
    case .cifar100: try cifar(.hundred, name, try locate(name, directory, split, locations), split)
    case .tinyImageNet: try tinyImageNet(try locate(name, directory, split, locations), split, options)
    case .folder: try folder(directory, split, options)
    case .synthetic: try synthetic(split, options.synthetic)
    }
  }

  /// The folder that holds the files of a split: `directory` or one of its usual subfolders, or without it the
  /// first of the usual places. `nil` if none does.
  public static func find(
    _ name: DataName, directory: URL? = nil, split: DataSplit = .train, locations: DataLocations = DataLocations()
  ) -> URL? {
    let bases = directory.map { [$0] } ?? locations.folders(of: name)
    let folders = bases.flatMap { base in
      name.subfolders.map { $0.isEmpty ? base : base.appendingPathComponent($0) }
    }
    return folders.first { folder in
      landmarks(name, split).contains { isReadable(folder.appendingPathComponent($0)) }
    }
  }

  private static func locate(
    _ name: DataName, _ directory: URL?, _ split: DataSplit, _ locations: DataLocations
  ) throws(InputError) -> URL {
    if let folder = find(name, directory: directory, split: split, locations: locations) { return folder }
    let places = directory.map { [$0] } ?? locations.folders(of: name)
    var ways = DataFetcher.sources[name] == nil ? [] : ["run `quench data fetch \(name.rawValue)`"]
    if name == .fashionMNIST { ways.append("install Debian's package dataset-fashion-mnist") }
    ways.append("say where the files are with `data-dir`")
    throw InputError(
      "the data set \(name.rawValue) was not found", at: places.map(\.path).joined(separator: ", "),
      expected: landmarks(name, split).first, remedy: ways.joined(separator: ", or "))
  }

  /// Files of which one shows that a folder holds the split.
  private static func landmarks(_ name: DataName, _ split: DataSplit) -> [String] {
    switch name {
    case .fashionMNIST, .mnist: idxNames("images-idx3", split)
    case .cifar10: CIFAR.ten.files(split)
    case .cifar100: CIFAR.hundred.files(split)
    case .tinyImageNet: ["wnids.txt"]
    case .folder, .synthetic: []
    }
  }

  // MARK: - One function a format

  private static func idx(_ name: DataName, _ folder: URL, _ split: DataSplit) throws(InputError) -> ImageDataset {
    let images = try read(anyOf: idxNames("images-idx3", split), in: folder)
    let labels = try read(anyOf: idxNames("labels-idx1", split), in: folder)
    let names = name.classNames ?? []
    let block = try IDX.parse(images: images, labels: labels, classes: names.count)
    return ImageDataset(
      name: name.rawValue, block: block, classNames: names, statistics: name.statistics ?? block.statistics(),
      fingerprint: fingerprint(of: [try images.sha256(), try labels.sha256()]))
  }

  /// `train-images-idx3-ubyte.gz` and the other ways to write it.
  static func idxNames(_ kind: String, _ split: DataSplit) -> [String] {
    let base = (split == .train ? "train-" : "t10k-") + kind + "-ubyte"
    return [base + ".gz", base, base.replacing("-idx", with: ".idx")]
  }

  static func read(anyOf names: [String], in folder: URL) throws(InputError) -> ByteSource {
    let urls = names.map { folder.appendingPathComponent($0) }
    guard let url = urls.first(where: isReadable) else {
      throw InputError(
        "a file of the data set is missing", at: folder.path, expected: names.joined(separator: " or "))
    }
    return try ByteSource(contentsOf: url)
  }

  private static func cifar(
    _ format: CIFAR, _ name: DataName, _ folder: URL, _ split: DataSplit
  ) throws(InputError) -> ImageDataset {
    var pixels = Data()
    var labels: [Int64] = []
    var digests: [String] = []
    for file in format.files(split) {
      let source = try ByteSource(contentsOf: folder.appendingPathComponent(file))
      try format.parse(source, pixels: &pixels, labels: &labels)
      digests.append(try source.sha256())
    }
    let block = PixelBlock(shape: [labels.count, 3, 32, 32], pixels: pixels, labels: labels)
    return ImageDataset(
      name: name.rawValue, block: block, classNames: name.classNames ?? [],
      statistics: name.statistics ?? block.statistics(), fingerprint: fingerprint(of: digests))
  }

  private static func tinyImageNet(
    _ folder: URL, _ split: DataSplit, _ options: DataOptions
  ) throws(InputError) -> ImageDataset {
    var list = try ImageList.tinyImageNet(folder, split: split)
    if split == .test, let count = options.tinyImageNetPerClass { list = list.prefix(perClass: count) }
    return try pictures(of: list, .tinyImageNet, split, options)
  }

  private static func folder(
    _ directory: URL?, _ split: DataSplit, _ options: DataOptions
  ) throws(InputError) -> ImageDataset {
    guard let directory else {
      throw InputError(
        "class folders of pictures have no usual place", remedy: "say where they are with `data-dir`")
    }
    var dataset = try pictures(
      of: try ImageList.classFolder(directory, split: split), .folder, split, options)
    if split == .test, (try? ImageList.classFolder(directory, split: .train)) != nil {
      // A model sees test images as it saw training images, so the training pixels' statistics hold.
      let train = try ImageList.classFolder(directory, split: .train)
      var notes: [String] = []
      dataset.statistics = try PictureFolder(list: train, options: options).read(split: .train, notes: &notes)
        .header.statistics
    }
    return dataset
  }

  private static func pictures(
    of list: ImageList, _ name: DataName, _ split: DataSplit, _ options: DataOptions
  ) throws(InputError) -> ImageDataset {
    var notes =
      list.ignored == 0
      ? [] : ["ignored: \(NumberText.count(list.ignored, "file")) not named \(ImageList.endings)"]
    if let note = list.note { notes.append(note) }
    let content = try PictureFolder(list: list, options: options).read(split: split, notes: &notes)
    let published = name.statistics.flatMap { $0.mean.count == options.channels ? $0 : nil }
    var dataset = ImageDataset(
      name: name.rawValue, block: content.block, classNames: list.classNames,
      statistics: published ?? content.header.statistics, fingerprint: content.header.fingerprint)
    dataset.skipped = content.header.skipped
    dataset.notes = notes
    return dataset
  }

  private static func synthetic(_ split: DataSplit, _ synthetic: Synthetic) throws(InputError) -> ImageDataset {
    let block = try synthetic.make(split)
    let train = split == .train ? block : try synthetic.make(.train)
    return ImageDataset(
      name: DataName.synthetic.rawValue, block: block, classNames: (0..<synthetic.classes).map { "grating \($0)" },
      statistics: train.statistics(), fingerprint: fingerprint(of: [Fingerprint.sha256(block.pixels)]))
  }

  private static func fingerprint(of digests: [String]) -> String {
    Fingerprint.sha256(Data(digests.joined().utf8))
  }
}
