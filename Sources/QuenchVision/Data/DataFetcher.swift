import Foundation
import QuenchSupport

#if canImport(FoundationNetworking)
  import FoundationNetworking
#endif

/// Downloads the original files of a data set, checks them, and puts them in place.
public struct DataFetcher: Sendable {
  /// A file to download.
  public struct Source: Hashable, Sendable {
    public var url: URL
    public var sha256: String
    /// Files to take out of it if it is a tar archive; empty if it is kept as it is.
    var members: [String] = []
  }

  /// Gives the bytes behind a URL and the HTTP status.
  public typealias Transport = @Sendable (URL) async throws -> (Data, Int)

  /// What can be fetched. The checksums are those that TensorFlow Datasets keeps for the same files.
  public static let sources: [DataName: [Source]] = [
    .fashionMNIST: idx(
      "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
      [
        "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"
      ]),
    .mnist: idx(
      "https://storage.googleapis.com/cvdf-datasets/mnist/",
      [
        "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
      ]),
    .cifar10: cifar(
      .ten, "cifar-10-binary.tar.gz", "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"),
    .cifar100: cifar(
      .hundred, "cifar-100-binary.tar.gz", "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec")
  ]

  /// The most bytes an archive may unpack to.
  private static let unpackedLimit = 1 << 30

  private let transport: Transport

  /// - Parameter transport: How files are fetched; by default over the network.
  public init(transport: @escaping Transport = DataFetcher.network) { self.transport = transport }

  /// Fetches what is missing of a data set into `directory`, which is made if need be. Files appear whole.
  ///
  /// - Parameters:
  ///   - name: One of the data sets with a source.
  ///   - directory: Where the files go.
  ///   - progress: Told each file's name before it is fetched.
  /// - Throws: `InputError` if the data set cannot be fetched, a URL cannot be reached or gives other bytes than
  ///   it should, or a file cannot be written.
  public func fetch(
    _ name: DataName, to directory: URL, progress: @Sendable (String) -> Void = { _ in }
  ) async throws(InputError) {
    guard let sources = Self.sources[name] else {
      let names = Self.sources.keys.map(\.rawValue).sorted().joined(separator: ", ")
      throw InputError("this data set cannot be fetched", at: name.rawValue, expected: names)
    }
    do {
      try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    } catch {
      throw InputError.writing(directory, error)
    }
    AtomicFile.sweep(directory)
    for source in sources where !Self.isPresent(source, in: directory) {
      progress(source.url.lastPathComponent)
      try await fetch(source, to: directory)
    }
  }

  private func fetch(_ source: Source, to directory: URL) async throws(InputError) {
    let data: Data
    let status: Int
    do { (data, status) = try await transport(source.url) } catch {
      throw Self.unreachable(source, directory, found: error.localizedDescription)
    }
    guard status == 200 else { throw Self.unreachable(source, directory, found: "HTTP status \(status)") }
    let sum = Fingerprint.sha256(data)
    guard sum == source.sha256 else {
      throw InputError(
        "the download is not the original file", at: source.url.absoluteString,
        expected: "SHA-256 \(source.sha256)",
        found: "\(data.count) bytes with \(sum)", remedy: "try again later, or get the file from elsewhere")
    }
    try Self.install(data, of: source, in: directory)
  }

  /// Writes a source's bytes, or the files it is an archive of.
  static func install(_ data: Data, of source: Source, in directory: URL) throws(InputError) {
    let name = source.url.lastPathComponent
    guard !source.members.isEmpty else {
      return try AtomicFile.write(data, to: directory.appendingPathComponent(name))
    }
    let archive = try Gzip.unpack(data, name: name, limit: unpackedLimit)
    let files = try Tar.files(in: archive, name: name, wanted: Set(source.members))
    for member in source.members {
      guard let content = files[member] else { throw InputError("the archive lacks \(member)", at: name) }
      try AtomicFile.write(content, to: directory.appendingPathComponent(member))
    }
  }

  private static func isPresent(_ source: Source, in directory: URL) -> Bool {
    guard source.members.isEmpty else {
      return source.members.allSatisfy { isReadable(directory.appendingPathComponent($0)) }
    }
    let url = directory.appendingPathComponent(source.url.lastPathComponent)
    return (try? Fingerprint.sha256(ofFile: url)) == source.sha256
  }

  private static func unreachable(_ source: Source, _ directory: URL, found: String) -> InputError {
    let action = source.members.isEmpty ? "put it" : "unpack its .bin files"
    return InputError(
      "cannot download the file", at: source.url.absoluteString, found: found,
      remedy: "check the network, or fetch it by hand and \(action) into \(directory.path)")
  }

  /// Fetches over the network.
  public static let network: Transport = { url in
    let (data, response) = try await URLSession.shared.data(from: url)
    return (data, (response as? HTTPURLResponse)?.statusCode ?? 0)
  }

  private static func idx(_ base: String, _ files: KeyValuePairs<String, String>) -> [Source] {
    files.compactMap { file, sum in URL(string: base + file).map { Source(url: $0, sha256: sum) } }
  }

  private static func cifar(_ format: CIFAR, _ file: String, _ sum: String) -> [Source] {
    let url = URL(string: "https://www.cs.toronto.edu/~kriz/" + file)
    let members = format.files(.train) + format.files(.test)
    return url.map { [Source(url: $0, sha256: sum, members: members)] } ?? []
  }
}
