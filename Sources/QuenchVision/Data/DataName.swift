import Foundation
import QuenchSupport

/// The data sets that Quench reads, by the names used on the command line.
public enum DataName: String, CaseIterable, Codable, Sendable {
  case fashionMNIST = "fashion-mnist"
  case mnist
  case cifar10
  case cifar100
  case tinyImageNet = "tiny-imagenet"
  /// Class folders of pictures.
  case folder
  /// Made-up images, see ``Synthetic``.
  case synthetic

  /// - Throws: `InputError` that lists the names if `text` is none of them.
  public init(_ text: String) throws(InputError) {
    guard let name = DataName(rawValue: text) else {
      throw InputError(
        "unknown data set", at: text, expected: DataName.allCases.map(\.rawValue).joined(separator: ", "))
    }
    self = name
  }

  /// One line that says what it is.
  public var summary: String {
    switch self {
    case .fashionMNIST: "Fashion-MNIST: 60 000 + 10 000 gray pictures of clothes, 28 x 28, 10 classes"
    case .mnist: "MNIST: 60 000 + 10 000 gray pictures of digits, 28 x 28, 10 classes"
    case .cifar10: "CIFAR-10, binary version: 50 000 + 10 000 color pictures, 32 x 32, 10 classes"
    case .cifar100: "CIFAR-100, binary version: 50 000 + 10 000 color pictures, 32 x 32, 100 fine classes"
    case .tinyImageNet: "Tiny-ImageNet: 100 000 + 10 000 color pictures, 64 x 64, 200 classes"
    case .folder: "your own pictures: train/<class>/ and test/<class>/ or val/<class>/, or <class>/ alone"
    case .synthetic: "made-up gratings, for tests and trials; needs no files"
    }
  }

  /// Mean and standard deviation of the training pixels as commonly published; `nil` where they are computed.
  public var statistics: ChannelStatistics? {
    switch self {
    case .fashionMNIST: ChannelStatistics(mean: [0.2860], standardDeviation: [0.3530])
    case .mnist: ChannelStatistics(mean: [0.1307], standardDeviation: [0.3081])
    case .cifar10:
      ChannelStatistics(mean: [0.4914, 0.4822, 0.4465], standardDeviation: [0.2470, 0.2435, 0.2616])
    case .cifar100:
      ChannelStatistics(mean: [0.5071, 0.4866, 0.4409], standardDeviation: [0.2673, 0.2564, 0.2762])
    case .tinyImageNet:
      ChannelStatistics(mean: [0.485, 0.456, 0.406], standardDeviation: [0.229, 0.224, 0.225])
    case .folder, .synthetic: nil
    }
  }

  /// Folders inside a data directory where the files lie as other tools leave them.
  var subfolders: [String] {
    switch self {
    case .fashionMNIST: ["", "FashionMNIST/raw"]
    case .mnist: ["", "MNIST/raw"]
    case .cifar10: ["", "cifar-10-batches-bin"]
    case .cifar100: ["", "cifar-100-binary"]
    case .tinyImageNet: ["", "tiny-imagenet-200"]
    case .folder, .synthetic: [""]
    }
  }

  /// Names of the classes, in label order; `nil` where the files tell.
  var classNames: [String]? {
    switch self {
    case .fashionMNIST:
      [
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"
      ]
    case .mnist: (0...9).map(String.init)
    case .cifar10:
      ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    case .cifar100: Self.cifar100Names
    case .tinyImageNet, .folder, .synthetic: nil
    }
  }

  private static let cifar100Names = """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can \
    castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin \
    elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster \
    man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck \
    pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk \
    skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger \
    tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
    """.split(separator: " ").map(String.init)
}

/// The part of a data set.
public enum DataSplit: String, CaseIterable, Codable, Sendable {
  case train
  case test
}

/// How a data set is read. Only class folders and Tiny-ImageNet look at the decoding options.
public struct DataOptions: Sendable {
  /// Colour channels that pictures are decoded to, 1 or 3.
  public var channels = 3
  /// How the pictures of a class folder come to one size.
  public var size = PictureSize.uniform
  /// Leave corrupt pictures out, and say so, instead of stopping at the first.
  public var skipCorrupt = false
  /// Where decoded pictures are kept.
  public var cacheDirectory: URL
  public var useCache = true
  /// Use only the first so many validation pictures of each class of Tiny-ImageNet; some papers use 25, the half.
  public var tinyImageNetPerClass: Int?
  public var synthetic = Synthetic()
  /// Pictures decoded and their number: called now and then, one call at a time, from any thread.
  public var progress: (@Sendable (Int, Int) -> Void)?

  public init(cacheDirectory: URL = DataLocations().cache) { self.cacheDirectory = cacheDirectory }
}

/// Where data sets and caches lie when nothing is said.
public struct DataLocations: Sendable {
  /// `$XDG_DATA_HOME/quench`, or `~/.local/share/quench`.
  public var data: URL
  /// `$XDG_CACHE_HOME/quench`, or `~/.cache/quench`.
  public var cache: URL
  /// Where Debian's package dataset-fashion-mnist puts its files.
  public var debian = URL(fileURLWithPath: "/usr/share/datasets")
  /// Where `data/<name>` is looked for.
  public var working = URL(fileURLWithPath: FileManager.default.currentDirectoryPath)

  public init(environment: [String: String] = ProcessInfo.processInfo.environment) {
    func folder(_ variable: String, _ fallback: String) -> URL {
      // XDG's base directory specification says to pass over relative paths.
      let base = environment[variable].flatMap { $0.hasPrefix("/") ? URL(fileURLWithPath: $0) : nil }
      let home = FileManager.default.homeDirectoryForCurrentUser
      return (base ?? home.appendingPathComponent(fallback)).appendingPathComponent("quench")
    }
    data = folder("XDG_DATA_HOME", ".local/share")
    cache = folder("XDG_CACHE_HOME", ".cache")
  }

  /// The folders to look for `name` in, first to last.
  func folders(of name: DataName) -> [URL] {
    let places = (name == .fashionMNIST ? [debian] : []) + [working.appendingPathComponent("data"), data]
    return places.map { $0.appendingPathComponent(name.rawValue) }
  }
}
