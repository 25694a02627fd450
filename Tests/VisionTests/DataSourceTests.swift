import Foundation
import QuenchSupport
import QuenchTorch
import Synchronization
import TestSupport
import Testing

@testable import QuenchVision

@Suite("Data sets by name") struct DataSourceTests {
  private let folder: TemporaryFolder
  private var locations: DataLocations

  init() throws {
    folder = try TemporaryFolder()
    locations = DataLocations(environment: ["XDG_DATA_HOME": folder.url.path])
    locations.working = folder.url.appendingPathComponent("nowhere")
    locations.debian = folder.url.appendingPathComponent("nowhere")
  }

  private func writeFashion(_ path: String) throws {
    try folder.write(
      Data([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 255]), path + "t10k-images-idx3-ubyte")
    try folder.write(Data([0, 0, 8, 1, 0, 0, 0, 2, 0, 9]), path + "t10k-labels-idx1-ubyte")
  }

  @Test("are known by their names only")
  func names() throws {
    #expect(try DataName("cifar10") == .cifar10)
    #expect(inputError { try DataName("cifar") }?.expected?.contains("fashion-mnist, mnist, cifar10") == true)
    #expect(Set(DataName.allCases.map(\.summary)).count == DataName.allCases.count)
    #expect(DataName.cifar100.classNames?.count == 100)
  }

  @Test("are found in the usual places and in folders that other tools make")
  func finds() throws {
    #expect(Datasets.find(.fashionMNIST, split: .test, locations: locations) == nil)
    try writeFashion("quench/fashion-mnist/")
    let data = try Datasets.load(.fashionMNIST, split: .test, locations: locations)
    #expect(data.images.shape == [2, 1, 1, 1] && data.labels.array(Int.self) == [0, 9])
    #expect(data.statistics == ChannelStatistics(mean: [0.2860], standardDeviation: [0.3530]))
    try writeFashion("other/FashionMNIST/raw/")
    let other = folder.url.appendingPathComponent("other")
    #expect(try Datasets.load(.fashionMNIST, directory: other, split: .test).fingerprint == data.fingerprint)
  }

  @Test("that are absent say where they were looked for and how to get them")
  func absent() {
    let error = inputError { try Datasets.load(.fashionMNIST, split: .train, locations: locations) }
    #expect(error?.location?.contains("quench/fashion-mnist") == true)
    #expect(error?.remedy?.contains("quench data fetch fashion-mnist") == true)
    #expect(error?.remedy?.contains("dataset-fashion-mnist") == true)
    #expect(error?.remedy?.contains("`data-dir`") == true)
    let tiny = inputError { try Datasets.load(.tinyImageNet, directory: folder.url, split: .train) }
    #expect(tiny?.remedy == "say where the files are with `data-dir`")
  }

  @Test("lacking one file name it")
  func incomplete() throws {
    try folder.write(Data(count: 3073), "cifar/data_batch_1.bin")
    let error = inputError {
      try Datasets.load(.cifar10, directory: folder.url.appendingPathComponent("cifar"), split: .train)
    }
    #expect(error?.location?.hasSuffix("data_batch_2.bin") == true)
  }

  @Test("Tiny-ImageNet is read in its own layout")
  func tinyImageNet() throws {
    let root = "tiny/tiny-imagenet-200/"
    try folder.write(Data("n02\nn01\n".utf8), root + "wnids.txt")
    try folder.write(Data("n01\tgoldfish, carp\nn09\tother\n".utf8), root + "words.txt")
    try folder.write(Sample.jpegRGB, root + "train/n01/images/n01_0.JPEG")
    try folder.write(Sample.jpegGrey, root + "train/n02/images/n02_0.JPEG")
    for k in 0..<4 { try folder.write(Sample.jpegRGB, root + "val/images/val_\(k).JPEG") }
    try folder.write(
      Data((0..<4).map { "val_\($0).JPEG\tn0\($0 / 2 + 1)\t0\t0\t1\t1\n" }.joined().utf8),
      root + "val/val_annotations.txt")
    var options = DataOptions(cacheDirectory: folder.url.appendingPathComponent("cache"))
    let directory = folder.url.appendingPathComponent("tiny")
    let train = try Datasets.load(.tinyImageNet, directory: directory, split: .train, options: options)
    #expect(train.classNames == ["goldfish", "n02"] && train.labels.array(Int.self) == [0, 1])
    #expect(train.statistics.mean == [0.485, 0.456, 0.406])
    let test = try Datasets.load(.tinyImageNet, directory: directory, split: .test, options: options)
    #expect(test.labels.array(Int.self) == [0, 0, 1, 1])
    options.tinyImageNetPerClass = 1
    let half = try Datasets.load(.tinyImageNet, directory: directory, split: .test, options: options)
    #expect(half.labels.array(Int.self) == [0, 1])
  }

  @Test("XDG variables count where they are absolute")
  func locationsFollowEnvironment() {
    let relative = DataLocations(environment: ["XDG_CACHE_HOME": "relative"])
    #expect(relative.cache.path.hasSuffix("/.cache/quench"))
    #expect(DataLocations(environment: ["XDG_CACHE_HOME": "/c"]).cache.path == "/c/quench")
  }
}

@Suite("Fetching data") struct DataFetcherTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  @Test("installs the files of an archive")
  func archive() throws {
    let source = try #require(DataFetcher.sources[.cifar10]?.first)
    try DataFetcher.install(Sample.cifarArchive, of: source, in: folder.url)
    let batch = folder.url.appendingPathComponent("data_batch_2.bin")
    #expect(try Data(contentsOf: batch) == Data(repeating: 1, count: 603))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path).count == 6)
    let hundred = try #require(DataFetcher.sources[.cifar100]?.first)
    #expect(throws: InputError.self) { try DataFetcher.install(Sample.cifarArchive, of: hundred, in: folder.url) }
  }

  @Test("refuses bytes that are not the original file, and leaves nothing behind")
  func wrongBytes() async throws {
    let fetcher = DataFetcher { _ in (Data("<html>".utf8), 200) }
    let error = await inputError { try await fetcher.fetch(.mnist, to: folder.url) }
    #expect(error?.problem == "the download is not the original file")
    #expect(error?.expected == "SHA-256 440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609")
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path).isEmpty)
  }

  @Test("without network names the URL and the folder to put the file into")
  func offline() async {
    let fetcher = DataFetcher { _ in throw URLError(.notConnectedToInternet) }
    let error = await inputError { try await fetcher.fetch(.fashionMNIST, to: folder.url) }
    #expect(error?.location?.hasSuffix("train-images-idx3-ubyte.gz") == true)
    #expect(error?.remedy?.contains(folder.url.path) == true)
    let missing = DataFetcher { _ in (Data(), 404) }
    #expect(await inputError { try await missing.fetch(.cifar10, to: folder.url) }?.found == "HTTP status 404")
  }

  @Test("leaves files alone that are there already")
  func present() async throws {
    for name in CIFAR.ten.files(.train) + CIFAR.ten.files(.test) { try folder.write(Data("x".utf8), name) }
    try await DataFetcher { _ in throw URLError(.notConnectedToInternet) }.fetch(.cifar10, to: folder.url)
  }

  @Test("refuses data sets without a known source")
  func unknown() async {
    let error = await inputError { try await DataFetcher().fetch(.folder, to: folder.url) }
    #expect(error?.expected == "cifar10, cifar100, fashion-mnist, mnist")
  }

  private func inputError(_ body: () async throws -> Void) async -> InputError? {
    do {
      try await body()
      Issue.record("nothing was thrown")
      return nil
    } catch {
      return error as? InputError
    }
  }
}

/// Files that lie outside the package; a test is skipped where they are absent.
@Suite("Real data") struct RealDataTests {
  static let shared =
    ProcessInfo.processInfo.environment["QUENCH_SHARED_DATA"].map { URL(fileURLWithPath: $0) }
    ?? URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../../shared/data")
  static let jpegs = shared.appendingPathComponent("cifar10/cifar10-jpeg.tar.gz")

  @Test("Fashion-MNIST reads whole", .enabled(if: Datasets.find(.fashionMNIST) != nil, "Fashion-MNIST is absent"))
  func fashionMNIST() throws {
    let test = try Datasets.load(.fashionMNIST, split: .test)
    #expect(test.images.shape == [10_000, 1, 28, 28])
    #expect(test.labels.binCount().array(Int.self) == [Int](repeating: 1000, count: 10))
    #expect(test.classNames[test.labels[0].integerItem()] == "Ankle boot")
    let train = try Datasets.load(.fashionMNIST, split: .train)
    #expect(train.count == 60_000)
    let pixels = train.images.to(.float32) / 255
    #expect(abs(pixels.mean().item() - 0.2860) < 1e-4)
  }

  @Test(
    "JPEGs of CIFAR-10 decode to their known statistics", .enabled(if: isReadable(jpegs), "the JPEGs are absent"))
  func cifarJPEG() throws {
    // The archive's first pictures only: unpacking all of them is slow.
    let folder = try TemporaryFolder()
    let unpack = Process()
    unpack.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    unpack.arguments = ["tar", "-xzf", Self.jpegs.path, "-C", folder.url.path, "cifar10/test"]
    try unpack.run()
    unpack.waitUntilExit()
    try #require(unpack.terminationStatus == 0)
    let data = try Datasets.load(
      .folder, directory: folder.url.appendingPathComponent("cifar10"), split: .test,
      options: DataOptions(cacheDirectory: folder.url.appendingPathComponent("cache")))
    #expect(data.images.shape == [5000, 3, 32, 32] && data.classNames == DataName.cifar10.classNames)
    for (mean, known) in zip(data.statistics.mean, [0.4913, 0.4821, 0.4465]) {
      #expect(abs(mean - known) < 0.005)
    }
  }
}
