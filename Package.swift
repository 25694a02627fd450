// swift-tools-version: 6.2
import Foundation
import PackageDescription

// LibTorch lies in .libtorch/ (put there by scripts/setup) or where LIBTORCH says.
let libtorch = Context.environment["LIBTORCH"] ?? Context.packageDirectory + "/.libtorch"
let cuda = FileManager.default.fileExists(atPath: libtorch + "/lib/libtorch_cuda.so")
let linkLibTorch: [LinkerSetting] =
  [
    .unsafeFlags(["-L\(libtorch)/lib", "-Xlinker", "-rpath", "-Xlinker", "\(libtorch)/lib"]),
    .linkedLibrary("torch_cpu"), .linkedLibrary("c10")
  ]
  + (cuda
    ? [.unsafeFlags(["-Xlinker", "--no-as-needed", "-ltorch_cuda", "-lc10_cuda", "-Xlinker", "--as-needed"])] : [])

let package = Package(
  name: "Quench",
  platforms: [.macOS(.v15)],
  products: [
    .library(name: "Torch", targets: ["Torch"]),
    .library(name: "Vision", targets: ["Vision"]),
    .library(name: "Pruning", targets: ["Pruning"]),
    .library(name: "Attacks", targets: ["Attacks"]),
    .library(name: "Deception", targets: ["Deception"]),
    .library(name: "Export", targets: ["Export"]),
    .library(name: "Reporting", targets: ["Reporting"]),
    .executable(name: "quench", targets: ["quench"])
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0", traits: []),
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
    .executableTarget(
      name: "quench",
      dependencies: [
        "Torch", "Vision", "Pruning", "Attacks", "Deception", "Export", "Reporting", "Support", "Yams",
        .product(name: "ArgumentParser", package: "swift-argument-parser")
      ]),
    .target(name: "Fuzzing", dependencies: ["Torch", "Vision", "Reporting", "Support"]),
    .executableTarget(
      name: "quench-fuzz",
      dependencies: ["Fuzzing", "Support", .product(name: "ArgumentParser", package: "swift-argument-parser")]),
    .testTarget(name: "SupportTests", dependencies: ["Support"]),
    .testTarget(name: "TorchTests", dependencies: ["Torch", "Support"], exclude: ["Reference"]),
    .testTarget(name: "ReportingTests", dependencies: ["Reporting", "Support", "Yams"]),
    .testTarget(name: "VisionTests", dependencies: ["Vision", "Torch", "Support"]),
    .testTarget(name: "PruningTests", dependencies: ["Pruning", "Vision", "Torch", "Support"]),
    .target(name: "ReferenceModels", dependencies: ["Torch"], path: "Tests/ReferenceModels"),
    .testTarget(
      name: "AttacksTests",
      dependencies: ["Attacks", "ReferenceModels", "Vision", "Torch", "Reporting", "Support"]),
    .testTarget(
      name: "DeceptionTests",
      dependencies: [
        "Deception", "Attacks", "ReferenceModels", "Vision", "Torch", "Reporting", "Support"
      ]),
    .testTarget(
      name: "ExportTests",
      dependencies: [
        "Export", "Vision", "Torch", "Support", .product(name: "SwiftProtobuf", package: "swift-protobuf")
      ]),
    .testTarget(name: "FuzzingTests", dependencies: ["Fuzzing", "Support", "Vision"]),
    .testTarget(
      name: "QuenchTests",
      dependencies: ["quench", "quench-fuzz", "Pruning", "Reporting", "Support", "Torch", "Vision"])
  ],
  swiftLanguageModes: [.v6],
  cxxLanguageStandard: .cxx20
)
