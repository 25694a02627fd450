import Foundation
import QuenchReporting
import QuenchSupport
import QuenchVision
import TestSupport
import Testing

@testable import quench

@Suite("quench data") struct DataCommandTests {
  /// A folder of class folders with grey pictures: two classes, two pictures each for training, `test` for testing.
  private func pictures(test: Int = 1, side: Int = 4) throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    for (split, count) in [("train", 2), ("test", test)] {
      for (label, name) in ["cat", "dog"].enumerated() {
        let directory = folder.url.appending(path: "\(split)/\(name)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        for index in 0..<count {
          let pixels = [UInt8](repeating: UInt8(51 * (label + 1)), count: side * side)
          try PNG.encode(pixels: pixels, width: side, height: side, channels: 1)
            .write(to: directory.appending(path: "\(index).png"))
        }
      }
    }
    return folder
  }

  /// No cache and no data of the user.
  private func environment(_ folder: TemporaryFolder) -> [String: String] {
    ["XDG_CACHE_HOME": folder.url.path + "/cache", "XDG_DATA_HOME": folder.url.path + "/data"]
  }

  @Test("list names every data set, where it lies or how to get it") func list() async throws {
    let folder = try TemporaryFolder()
    let result = try await Tool.run(["data", "list", "--json"], in: folder.url, environment: environment(folder))
    #expect(result.code == 0, "\(result.errors)")
    let sets = try #require(try result.json()["data_sets"]?.array).compactMap(\.record)
    #expect(sets.count == 7)
    let cifar = try #require(sets.first { $0["name"] == "cifar10" })
    #expect(cifar["folder"] == .null)
    #expect(cifar["remedy"] == "quench data fetch cifar10")
    let text = try await Tool.run(["data", "list"], in: folder.url, environment: environment(folder)).output
    #expect(text.contains("cifar10        CIFAR-10, binary version"))
    #expect(text.contains("not found: quench data fetch cifar10"))
  }

  @Test("list counts the images of what it finds, from the files' sizes") func counts() async throws {
    let folder = try TemporaryFolder()
    let cifar = folder.url.appending(path: "data/cifar10")
    try FileManager.default.createDirectory(at: cifar, withIntermediateDirectories: true)
    for index in 1...5 {
      try Data(count: index == 1 ? 3 * 3073 : 3073).write(to: cifar.appending(path: "data_batch_\(index).bin"))
    }
    let result = try await Tool.run(["data", "list", "--json"], in: folder.url, environment: environment(folder))
    let sets = try #require(try result.json()["data_sets"]?.array).compactMap(\.record)
    let found = try #require(sets.first { $0["name"] == "cifar10" })
    #expect(found["folder"]?.string?.hasSuffix("data/cifar10") == true)
    #expect(found["train"] == 7)
    #expect(found["test"] == .null)
  }

  @Test("check counts images, classes and labels and measures the pixels") func check() async throws {
    let folder = try pictures()
    let result = try await Tool.run(
      ["data", "check", "folder", "--data-dir", ".", "--json"], in: folder.url, environment: environment(folder))
    #expect(result.code == 0, "\(result.errors)")
    let train = try #require(try result.json()["train"]?.record)
    #expect(train["n"] == 4)
    #expect([train["channels"], train["height"], train["width"]] == [3, 4, 4])
    #expect(train["class_counts"] == ["cat": 2, "dog": 2])
    #expect(train["label_range"] == [0, 1])
    let mean = try #require(train["mean"]?.array?.first?.number)
    #expect(abs(mean - 0.3) < 1e-6)
    let deviation = try #require(train["standard_deviation"]?.array?.first?.number)
    #expect(abs(deviation - 0.1) < 1e-6)
    #expect(train["fingerprint"]?.string?.count == 64)
  }

  @Test("check names corrupt pictures and fails, unless they are to be skipped") func corrupt() async throws {
    let folder = try pictures()
    try Data("no picture".utf8).write(to: folder.url.appending(path: "train/dog/1.png"))
    let command = ["data", "check", "folder", "--data-dir", "."]
    let result = try await Tool.run(command, in: folder.url, environment: environment(folder))
    #expect(result.code == 1)
    #expect(result.output.contains("corrupt      train/dog/1.png"))
    #expect(result.errors.contains("error: folder: the data set has 1 corrupt picture (found train/dog/1.png)"))
    let json = try await Tool.run(command + ["--json"], in: folder.url, environment: environment(folder)).json()
    #expect(json["exit_code"] == 1 && json["train"]?.record?["n"] == 3, "\(json)")
    let skipping = try await Tool.run(
      command + ["--skip-corrupt"], in: folder.url, environment: environment(folder))
    #expect(skipping.code == 0)
    #expect(skipping.output.contains("train: 3 images of 3 x 4 x 4"))
  }

  @Test("a limit takes images of every class, and says so; the first ones are to be had by name")
  func limits() async throws {
    let folder = try pictures(test: 6, side: 32)
    try ModelFixture.smallCNN(classes: 2).write(to: folder / "weights.safetensors")
    let command = [
      "evaluate", "--weights", "weights.safetensors", "--data", "folder", "--data-dir", ".", "--limit", "4"
    ]
    let balanced = try await Tool.run(command + ["--out", "run"], in: folder.url, environment: environment(folder))
    #expect(balanced.code == 0, "\(balanced.errors)")
    #expect(balanced.errors.contains("note: 4 of 12 test images, drawn evenly over the classes by the seed"))
    let run = RunPlace(folder / "run")
    #expect(try Evaluation(contentsOf: run.file("evaluation.json")).confusion.map { $0.reduce(0, +) } == [2, 2])
    #expect(try run.folder.record().settings["limit-order"] == "balanced")

    let first = try await Tool.run(
      command + ["--limit-order", "first", "--out", "first"], in: folder.url, environment: environment(folder))
    #expect(first.errors.contains("note: the first 4 of 12 test images"))
    #expect(first.errors.contains("all are of one class, 'cat'"))
    #expect(first.output.contains("1 of 2: the others have no test images"))
    let evaluation = try Evaluation(contentsOf: folder / "first/evaluation.json")
    #expect(evaluation.confusion.map { $0.reduce(0, +) } == [4, 0])

    try Data("no picture".utf8).write(to: folder.url.appending(path: "test/dog/0.png"))
    let rest = try await Tool.run(command + ["--out", "rest"], in: folder.url, environment: environment(folder))
    #expect(rest.code == 0 && rest.errors.contains("note: 1 corrupt picture left out, the first: test/dog/0.png"))
    let strict = try await Tool.run(
      command + ["--no-skip-corrupt", "--out", "strict"], in: folder.url, environment: environment(folder))
    #expect(strict.code == 1 && strict.errors.contains("test/dog/0.png"))
  }

  @Test("check says how to get what is not there") func missing() async throws {
    let folder = try TemporaryFolder()
    let result = try await Tool.run(["data", "check", "mnist"], in: folder.url, environment: environment(folder))
    #expect(result.code == 1)
    #expect(result.errors.contains("the data set mnist was not found"))
    #expect(result.errors.contains("quench data fetch mnist"))
  }

  @Test("preview draws a row of images for each class") func sheet() async throws {
    let folder = try pictures()
    let result = try await Tool.run(
      ["data", "preview", "folder", "--data-dir", ".", "--split", "train", "--out", "sheet.png"], in: folder.url,
      environment: environment(folder))
    #expect(result.code == 0, "\(result.errors)")
    let png = try Data(contentsOf: folder.url.appending(path: "sheet.png"))
    // Width and height in the header: two images of 4 pixels with gaps of 2, both ways.
    #expect(Array(png[16..<24]) == [0, 0, 0, 14, 0, 0, 0, 14])
  }

  @Test("preview writes a page with a section for each class") func page() async throws {
    let folder = try pictures()
    let result = try await Tool.run(
      ["data", "preview", "folder", "--data-dir", ".", "--per-class", "1", "--out", "page.html"], in: folder.url,
      environment: environment(folder))
    #expect(result.code == 0, "\(result.errors)")
    let html = try String(contentsOf: folder.url.appending(path: "page.html"), encoding: .utf8)
    #expect(html.contains("<h2>cat</h2>") && html.contains("<h2>dog</h2>"))
    #expect(html.components(separatedBy: "data:image/png;base64,").count == 3)
  }

  @Test("fetch leaves alone what is there, and refuses what cannot be fetched") func fetch() async throws {
    let folder = try TemporaryFolder()
    for name in (1...5).map({ "data_batch_\($0).bin" }) + ["test_batch.bin"] {
      try Data(count: 3073).write(to: folder.url.appending(path: name))
    }
    let done = try await Tool.run(["data", "fetch", "cifar10", "--data-dir", "."], in: folder.url)
    #expect(done.code == 0, "\(done.errors)")
    #expect(done.output.hasPrefix("cifar10 is in "))
    let refused = try await Tool.run(["data", "fetch", "tiny-imagenet", "--data-dir", "."], in: folder.url)
    #expect(refused.code == 1)
    #expect(refused.errors.contains("this data set cannot be fetched (expected cifar10, cifar100, "))
  }

  @Test(
    "wrong usage ends with exit code 64",
    arguments: [
      ["data", "check", "nothing"], ["data", "preview", "synthetic", "--out", "x.gif"],
      ["data", "preview", "synthetic", "--out", "x.png", "--per-class", "0"],
      ["data", "check", "folder", "--image-size", "0"], ["data", "fetch"]
    ])
  func usage(_ arguments: [String]) async throws {
    #expect(try await Tool.run(arguments).code == 64)
  }
}
