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
let libtorchHeaders = ["", "/torch/csrc/api/include"].flatMap { ["-isystem", libtorch + "/include" + $0] }
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
    .library(name: "QuenchSupport", targets: ["QuenchSupport"]),
    .library(name: "QuenchTorch", targets: ["QuenchTorch"]),
    .library(name: "QuenchVision", targets: ["QuenchVision"]),
    .library(name: "QuenchPruning", targets: ["QuenchPruning"]),
    .library(name: "QuenchAttacks", targets: ["QuenchAttacks"]),
    .library(name: "QuenchDeception", targets: ["QuenchDeception"]),
    .library(name: "QuenchExport", targets: ["QuenchExport"]),
    .library(name: "QuenchCryoEM", targets: ["QuenchCryoEM"]),
    .library(name: "QuenchCryoLearning", targets: ["QuenchCryoLearning"]),
    .library(name: "QuenchCryoSession", targets: ["QuenchCryoSession"]),
    .library(name: "QuenchSmoothing", targets: ["QuenchSmoothing"]),
    .library(name: "QuenchReporting", targets: ["QuenchReporting"]),
    .library(name: "QuenchServer", targets: ["QuenchServer"]),
    .library(name: "TestDevice", type: .dynamic, targets: ["TestDevice"]),
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
      exclude: ["gloo"],
      cxxSettings: [
        .unsafeFlags(libtorchHeaders + ["-I", Context.packageDirectory + "/Sources/CTorch"])
      ],
      linkerSettings: linkLibTorch),
    .target(
      name: "CImageIO",
      linkerSettings: ["jpeg", "png", "webp", "tiff", "z"].map { .linkedLibrary($0) }),
    // Optimised in debug builds too: drawing noise would be most of what the tests do.
    .target(name: "CStatistics", cxxSettings: [.unsafeFlags(["-O2"])]),
    .target(name: "CDigest", linkerSettings: [.linkedLibrary("crypto", .when(platforms: [.linux]))]),
    .target(name: "QuenchSupport", dependencies: ["CDigest"]),
    .target(name: "QuenchTorch", dependencies: ["CTorch", "QuenchSupport"]),
    .target(name: "QuenchReporting", dependencies: ["CImageIO", "QuenchSupport", "Yams"]),
    .target(name: "QuenchVision", dependencies: ["CImageIO", "QuenchSupport", "QuenchTorch", "QuenchReporting"]),
    .target(
      name: "QuenchPruning", dependencies: ["QuenchTorch", "QuenchVision", "QuenchReporting", "QuenchSupport"]),
    .target(
      name: "QuenchAttacks", dependencies: ["QuenchTorch", "QuenchVision", "QuenchReporting", "QuenchSupport"]),
    .target(
      name: "QuenchDeception",
      dependencies: ["QuenchAttacks", "QuenchTorch", "QuenchVision", "QuenchReporting", "QuenchSupport"]),
    .target(
      name: "QuenchExport",
      dependencies: ["QuenchSupport", "QuenchTorch", .product(name: "SwiftProtobuf", package: "swift-protobuf")],
      exclude: ["ONNX/onnx.proto"]),
    .target(name: "QuenchCryoEM", dependencies: ["QuenchReporting", "QuenchSupport"]),
    .target(
      name: "QuenchCryoLearning",
      dependencies: ["QuenchCryoEM", "QuenchTorch", "QuenchVision", "QuenchReporting", "QuenchSupport"]),
    .target(
      name: "QuenchSmoothing",
      dependencies: [
        "CStatistics", "QuenchTorch", "QuenchVision", "QuenchReporting", "QuenchSupport",
        .product(name: "GRDB", package: "GRDB.swift")
      ]),
    .target(
      name: "QuenchCryoSession",
      dependencies: [
        "QuenchCryoEM", "QuenchReporting", "QuenchSupport", .product(name: "GRDB", package: "GRDB.swift")
      ]),
    // HTTP lies behind a trait of quench: its libraries take minutes to build, and most work needs none of them.
    .target(
      name: "QuenchServer",
      dependencies: [
        "QuenchCryoSession", "QuenchSmoothing", "QuenchTorch", "QuenchVision", "QuenchReporting", "QuenchSupport",
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
        "QuenchTorch", "QuenchVision", "QuenchPruning", "QuenchAttacks", "QuenchDeception", "QuenchSmoothing",
        "QuenchExport", "QuenchCryoEM", "QuenchCryoLearning",
        "QuenchCryoSession", "QuenchReporting", "QuenchSupport",
        .target(name: "QuenchServer", condition: .when(traits: ["HTTP"])),
        .product(name: "Logging", package: "swift-log", condition: .when(traits: ["HTTP"])),
        .product(name: "ArgumentParser", package: "swift-argument-parser")
      ]),
    .target(
      name: "Fuzzing",
      dependencies: [
        "TestSupport", "QuenchTorch", "QuenchVision", "QuenchCryoEM", "QuenchSmoothing", "QuenchReporting",
        "QuenchSupport"
      ]),
    .executableTarget(
      name: "quench-fuzz",
      dependencies: ["Fuzzing", "QuenchSupport", .product(name: "ArgumentParser", package: "swift-argument-parser")]
    ),
    .target(name: "TestSupport", path: "Tests/TestSupport"),
    // A library of its own, which tests load into quench.
    .target(
      name: "TestDevice", path: "Tests/TestDevice", cxxSettings: [.unsafeFlags(libtorchHeaders)],
      linkerSettings: [.unsafeFlags(rpath), .linkedLibrary("torch_cpu"), .linkedLibrary("c10")]),
    .target(name: "TestRanks", dependencies: ["QuenchTorch", "QuenchSupport"], path: "Tests/TestRanks"),
    .testTarget(name: "SupportTests", dependencies: ["TestSupport", "QuenchSupport"]),
    .testTarget(
      name: "TorchTests", dependencies: ["TestSupport", "TestRanks", "QuenchTorch", "QuenchSupport"],
      exclude: ["Reference"]),
    .testTarget(name: "ReportingTests", dependencies: ["TestSupport", "QuenchReporting", "QuenchSupport"]),
    .testTarget(
      name: "VisionTests",
      dependencies: ["TestSupport", "QuenchVision", "QuenchTorch", "QuenchReporting", "QuenchSupport"]),
    .testTarget(
      name: "PruningTests",
      dependencies: [
        "TestSupport", "QuenchPruning", "QuenchVision", "QuenchTorch", "QuenchReporting", "QuenchSupport"
      ]),
    .target(name: "ReferenceModels", dependencies: ["QuenchTorch"], path: "Tests/ReferenceModels"),
    .testTarget(
      name: "AttacksTests",
      dependencies: [
        "TestSupport", "QuenchAttacks", "ReferenceModels", "QuenchVision", "QuenchTorch", "QuenchReporting",
        "QuenchSupport"
      ]),
    .testTarget(
      name: "DeceptionTests",
      dependencies: [
        "TestSupport", "TestRanks", "QuenchDeception", "QuenchAttacks", "ReferenceModels", "QuenchVision",
        "QuenchTorch",
        "QuenchReporting", "QuenchSupport"
      ]),
    .testTarget(
      name: "ExportTests",
      dependencies: [
        "TestSupport", "QuenchExport", "QuenchPruning", "QuenchVision", "QuenchTorch", "QuenchSupport",
        .product(name: "SwiftProtobuf", package: "swift-protobuf")
      ]),
    .target(
      name: "CryoFixtures", dependencies: ["TestSupport", "QuenchCryoEM", "QuenchReporting", "QuenchSupport"],
      path: "Tests/CryoFixtures"),
    .testTarget(
      name: "CryoEMTests",
      dependencies: ["TestSupport", "CryoFixtures", "QuenchCryoEM", "QuenchReporting", "QuenchSupport"]),
    .testTarget(
      name: "CryoLearningTests",
      dependencies: [
        "TestSupport", "CryoFixtures", "QuenchCryoLearning", "QuenchCryoEM", "QuenchVision", "QuenchTorch",
        "QuenchReporting", "QuenchSupport"
      ]),
    .testTarget(
      name: "SmoothingTests",
      dependencies: [
        "TestSupport", "TestRanks", "CStatistics", "QuenchSmoothing", "QuenchVision", "QuenchTorch",
        "QuenchReporting",
        "QuenchSupport"
      ]),
    .testTarget(
      name: "CryoSessionTests",
      dependencies: [
        "TestSupport", "QuenchCryoSession", "QuenchCryoEM", "QuenchReporting", "QuenchSupport",
        .product(name: "GRDB", package: "GRDB.swift")
      ]),
    .testTarget(
      name: "QuenchServerTests",
      dependencies: [
        "TestSupport", "QuenchServer", "QuenchSmoothing", "QuenchTorch", "QuenchVision", "QuenchReporting",
        "QuenchSupport",
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
        "TestSupport", "QuenchAttacks", "QuenchCryoEM", "QuenchCryoLearning", "QuenchCryoSession",
        "QuenchDeception", "QuenchExport",
        "QuenchPruning", "QuenchServer",
        "QuenchReporting",
        "QuenchSmoothing", "QuenchSupport", "QuenchTorch", "QuenchVision"
      ]),
    .testTarget(name: "FuzzingTests", dependencies: ["Fuzzing", "QuenchSupport"]),
    .testTarget(
      name: "QuenchTests",
      dependencies: [
        "TestSupport", "quench", "quench-fuzz", "QuenchCryoEM", "QuenchCryoLearning", "QuenchCryoSession",
        "Fuzzing", "QuenchPruning",
        "QuenchReporting", "QuenchSmoothing", "QuenchSupport", "QuenchTorch", "QuenchVision",
        .product(name: "ArgumentParser", package: "swift-argument-parser")
      ])
  ],
  swiftLanguageModes: [.v6],
  cxxLanguageStandard: .cxx20
)
