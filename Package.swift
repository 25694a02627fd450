// swift-tools-version: 6.2
import PackageDescription

// LibTorch lies in .libtorch/ (put there by scripts/setup) or where LIBTORCH says.
let libtorch = Context.environment["LIBTORCH"] ?? Context.packageDirectory + "/.libtorch"
#if os(Linux)
  let installed = "$ORIGIN/../lib/quench"
#else
  let installed = "@executable_path/../lib/quench"
#endif
// Beside an installed tool, or where it was built.
let rpath =
  ["-L\(libtorch)/lib"] + [installed, libtorch + "/lib"].flatMap { ["-Xlinker", "-rpath", "-Xlinker", $0] }
#if os(Linux)
  // CTorch loads libtorch_cpu.so, and libtorch_cuda.so where there is one, when they are first needed: what they define
  // is bound at the first call, not by the linker.
  let linkLibTorch: [LinkerSetting] = [
    .unsafeFlags(
      rpath + [
        "-use-ld=lld", "-Xlinker", "--unresolved-symbols=ignore-in-object-files", "-Xlinker", "-z", "-Xlinker",
        "lazy"
      ]),
    .linkedLibrary("c10"), .linkedLibrary("dl")
  ]
#else
  let linkLibTorch: [LinkerSetting] = [.unsafeFlags(rpath), .linkedLibrary("torch_cpu"), .linkedLibrary("c10")]
#endif

let package = Package(
  name: "Quench",
  platforms: [.macOS(.v15)],
  products: [
    .library(name: "Support", targets: ["Support"]),
    .library(name: "Torch", targets: ["Torch"]),
    .library(name: "Vision", targets: ["Vision"]),
    .library(name: "Pruning", targets: ["Pruning"]),
    .library(name: "Attacks", targets: ["Attacks"]),
    .library(name: "Deception", targets: ["Deception"]),
    .library(name: "Export", targets: ["Export"]),
    .library(name: "CryoEM", targets: ["CryoEM"]),
    .library(name: "CryoLearning", targets: ["CryoLearning"]),
    .library(name: "CryoSession", targets: ["CryoSession"]),
    .library(name: "Smoothing", targets: ["Smoothing"]),
    .library(name: "Reporting", targets: ["Reporting"]),
    .library(name: "QuenchServer", targets: ["QuenchServer"]),
    .executable(name: "quench", targets: ["quench"])
  ],
  traits: [
    .trait(name: "HTTP", description: "quench serves models and pages, and asks endpoints."),
    .default(enabledTraits: ["HTTP"])
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0", traits: []),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0"),
    .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
    .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
    .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.0"),
    .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.0")
  ],
  targets: [
    .target(
      name: "CTorch",
      cxxSettings: [.unsafeFlags(["-isystem", libtorch + "/include"])],
      linkerSettings: linkLibTorch),
    .target(
      name: "CImageIO",
      linkerSettings: [.linkedLibrary("jpeg"), .linkedLibrary("png"), .linkedLibrary("z")]),
    // Optimised in debug builds too: drawing noise would be most of what the tests do.
    .target(name: "CStatistics", cxxSettings: [.unsafeFlags(["-O2"])]),
    .target(name: "CDigest", linkerSettings: [.linkedLibrary("crypto", .when(platforms: [.linux]))]),
    .target(name: "Support", dependencies: ["CDigest"]),
    .target(name: "Torch", dependencies: ["CTorch", "Support"]),
    .target(name: "Reporting", dependencies: ["CImageIO", "Support", "Yams"]),
    .target(name: "Vision", dependencies: ["CImageIO", "Support", "Torch", "Reporting"]),
    .target(name: "Pruning", dependencies: ["Torch", "Vision", "Reporting", "Support"]),
    .target(name: "Attacks", dependencies: ["Torch", "Vision", "Reporting", "Support"]),
    .target(
      name: "Deception", dependencies: ["Attacks", "Torch", "Vision", "Reporting", "Support"]),
    .target(
      name: "Export",
      dependencies: ["Support", "Torch", .product(name: "SwiftProtobuf", package: "swift-protobuf")],
      exclude: ["ONNX/onnx.proto"]),
    .target(name: "CryoEM", dependencies: ["Reporting", "Support"]),
    .target(name: "CryoLearning", dependencies: ["CryoEM", "Torch", "Vision", "Reporting", "Support"]),
    .target(
      name: "Smoothing",
      dependencies: [
        "CStatistics", "Torch", "Vision", "Reporting", "Support", .product(name: "GRDB", package: "GRDB.swift")
      ]),
    .target(
      name: "CryoSession",
      dependencies: ["CryoEM", "Reporting", "Support", .product(name: "GRDB", package: "GRDB.swift")]),
    // HTTP lies behind a trait of quench: its libraries take minutes to build, and most work needs none of them.
    .target(
      name: "QuenchServer",
      dependencies: [
        "CryoSession", "Smoothing", "Torch", "Vision", "Reporting", "Support",
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "HummingbirdCore", package: "hummingbird"),
        .product(name: "HummingbirdTLS", package: "hummingbird"),
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "HTTPTypes", package: "swift-http-types"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
        .product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras"),
        .product(name: "NIOSSL", package: "swift-nio-ssl")
      ]),
    .executableTarget(
      name: "quench",
      dependencies: [
        "Torch", "Vision", "Pruning", "Attacks", "Deception", "Smoothing", "Export", "CryoEM", "CryoLearning",
        "CryoSession", "Reporting", "Support", .target(name: "QuenchServer", condition: .when(traits: ["HTTP"])),
        .product(name: "Logging", package: "swift-log", condition: .when(traits: ["HTTP"])),
        .product(name: "ArgumentParser", package: "swift-argument-parser")
      ]),
    .target(
      name: "Fuzzing", dependencies: ["Torch", "Vision", "CryoEM", "Smoothing", "Reporting", "Support"]),
    .executableTarget(
      name: "quench-fuzz",
      dependencies: ["Fuzzing", "Support", .product(name: "ArgumentParser", package: "swift-argument-parser")]),
    .target(name: "TestSupport", path: "Tests/TestSupport"),
    .testTarget(name: "SupportTests", dependencies: ["TestSupport", "Support"]),
    .testTarget(name: "TorchTests", dependencies: ["TestSupport", "Torch", "Support"], exclude: ["Reference"]),
    .testTarget(name: "ReportingTests", dependencies: ["TestSupport", "Reporting", "Support"]),
    .testTarget(
      name: "VisionTests", dependencies: ["TestSupport", "Vision", "Torch", "Reporting", "Support"]),
    .testTarget(
      name: "PruningTests", dependencies: ["TestSupport", "Pruning", "Vision", "Torch", "Reporting", "Support"]),
    .target(name: "ReferenceModels", dependencies: ["Torch"], path: "Tests/ReferenceModels"),
    .testTarget(
      name: "AttacksTests",
      dependencies: ["TestSupport", "Attacks", "ReferenceModels", "Vision", "Torch", "Reporting", "Support"]),
    .testTarget(
      name: "DeceptionTests",
      dependencies: [
        "TestSupport", "Deception", "Attacks", "ReferenceModels", "Vision", "Torch", "Reporting", "Support"
      ]),
    .testTarget(
      name: "ExportTests",
      dependencies: [
        "TestSupport", "Export", "Pruning", "Vision", "Torch", "Support",
        .product(name: "SwiftProtobuf", package: "swift-protobuf")
      ]),
    .target(
      name: "CryoFixtures", dependencies: ["TestSupport", "CryoEM", "Reporting", "Support"],
      path: "Tests/CryoFixtures"),
    .testTarget(
      name: "CryoEMTests", dependencies: ["TestSupport", "CryoFixtures", "CryoEM", "Reporting", "Support"]),
    .testTarget(
      name: "CryoLearningTests",
      dependencies: [
        "TestSupport", "CryoFixtures", "CryoLearning", "CryoEM", "Vision", "Torch", "Reporting", "Support"
      ]),
    .testTarget(
      name: "SmoothingTests",
      dependencies: ["TestSupport", "CStatistics", "Smoothing", "Vision", "Torch", "Reporting", "Support"]),
    .testTarget(
      name: "CryoSessionTests",
      dependencies: [
        "TestSupport", "CryoSession", "CryoEM", "Reporting", "Support",
        .product(name: "GRDB", package: "GRDB.swift")
      ]),
    .testTarget(
      name: "QuenchServerTests",
      dependencies: [
        "TestSupport", "QuenchServer", "Smoothing", "Torch", "Vision", "Reporting", "Support",
        .product(name: "AsyncHTTPClient", package: "async-http-client"),
        .product(name: "HTTPTypes", package: "swift-http-types"),
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "HummingbirdTLS", package: "hummingbird"),
        .product(name: "HummingbirdTesting", package: "hummingbird"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOSSL", package: "swift-nio-ssl")
      ]),
    .testTarget(
      name: "DocumentationTests",
      dependencies: [
        "TestSupport", "Attacks", "CryoEM", "CryoSession", "Deception", "Export", "Pruning", "QuenchServer",
        "Reporting",
        "Smoothing", "Support", "Torch", "Vision"
      ]),
    .testTarget(name: "FuzzingTests", dependencies: ["Fuzzing", "Support"]),
    .testTarget(
      name: "QuenchTests",
      dependencies: [
        "TestSupport", "quench", "quench-fuzz", "CryoEM", "CryoLearning", "CryoSession", "Fuzzing", "Pruning",
        "Reporting", "Smoothing", "Support", "Torch", "Vision",
        .product(name: "ArgumentParser", package: "swift-argument-parser")
      ])
  ],
  swiftLanguageModes: [.v6],
  cxxLanguageStandard: .cxx20
)
