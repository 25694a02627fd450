import Foundation

/// Files of networks that somebody has, for tests of as many as there are.
public struct NetworkFolder: Sendable {
  /// In the order of their paths; empty where the variable names no folder with such files.
  public let files: [URL]

  /// - Parameters:
  ///   - variable: The environment variable that names the folder.
  ///   - extensions: Of the files' names.
  public init(_ variable: String, _ extensions: String...) {
    let folder = ProcessInfo.processInfo.environment[variable].map { URL(filePath: $0) }
    let all = folder.flatMap {
      try? FileManager.default.contentsOfDirectory(at: $0, includingPropertiesForKeys: nil)
    }
    files = (all ?? []).filter { extensions.contains($0.pathExtension) }.sorted { $0.path < $1.path }
  }

  public var isPresent: Bool { !files.isEmpty }
}

extension NetworkFolder {
  /// What `scripts/reference_networks.py` wrote.
  public static let exported = NetworkFolder("QUENCH_EXPORTED_NETWORKS", "pt2")
  /// What `scripts/reference_onnx.py` wrote.
  public static let onnx = NetworkFolder("QUENCH_ONNX_NETWORKS", "onnx")
  /// For 3 x 32 x 32 images of 10 classes: `SIDE=32 scripts/reference_networks.py FOLDER NAME ...` exports such.
  public static let small = NetworkFolder("QUENCH_EVERY_NETWORK", "pt2", "onnx")
}
