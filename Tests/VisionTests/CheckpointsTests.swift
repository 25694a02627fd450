import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import TestSupport
import Testing

@testable import QuenchVision

@Suite("Checkpoints") struct CheckpointsTests {
  private let folder: TemporaryFolder
  private let run: RunFolder
  private let checkpoints: Checkpoints

  init() throws {
    folder = try TemporaryFolder()
    run = try RunFolder(at: folder / "run", for: RunRecord(command: ["test"], settings: [:]))
    checkpoints = Checkpoints(in: run)
  }

  private func state(_ values: [Float]) -> StateDictionary { StateDictionary([("weight", Tensor(values))]) }

  private func write(_ steps: Int...) throws {
    for step in steps { try checkpoints.write(state([Float(step)]), metadata: ["step": "\(step)"]) }
  }

  /// What is read, and what is said of it.
  private func read() throws -> (step: String?, values: [Float]?, warnings: [String]) {
    var warnings: [String] = []
    let content = try checkpoints.read { warnings.append($0) }
    return (content?.metadata["step"], content?.state["weight"]?.array(Float.self), warnings)
  }

  private func flip(_ url: URL, byte: Int) throws {
    var data = try Data(contentsOf: url)
    data[byte < 0 ? data.count + byte : byte] ^= 0x10
    try data.write(to: url)
  }

  @Test("the last two are kept, and the last is read") func kept() throws {
    #expect(try read().step == nil)
    try write(1, 2, 3)
    let found = try read()
    #expect(found.step == "3" && found.values == [3] && found.warnings.isEmpty)
    let names = try FileManager.default.contentsOfDirectory(atPath: run.checkpoints.path).sorted()
    #expect(names == ["last.safetensors", "previous.safetensors"])
    for (url, step) in [(checkpoints.last, "3"), (checkpoints.previous, "2")] {
      #expect(try Safetensors(contentsOf: url).metadata["step"] == step)
    }
  }

  @Test("one flipped bit anywhere is noticed, and the one before is taken and said") func flipped() throws {
    try write(1, 2)
    let whole = try Data(contentsOf: checkpoints.last)
    for byte in whole.indices {
      try flip(checkpoints.last, byte: byte)
      let found = try read()
      #expect(found.step == "1" && found.values == [1] && found.warnings.count == 1, "byte \(byte)")
      #expect(found.warnings.first?.contains("going on from the checkpoint before it") == true)
      try whole.write(to: checkpoints.last)
    }
  }

  @Test("a truncated or missing last one gives way to the one before") func truncated() throws {
    try write(1, 2)
    #expect(truncate(checkpoints.last.path, 40) == 0)
    #expect(try read().step == "1")
    try FileManager.default.removeItem(at: checkpoints.last)
    let found = try read()
    #expect(
      found.step == "1"
        && found.warnings == [
          "note: \(checkpoints.last.path) is missing; going on from the checkpoint before it"
        ])
    try flip(checkpoints.previous, byte: -1)
    let error = inputError { try read() }
    #expect(error?.problem == "the file is damaged: its content is not what its checksum says")
    #expect(error?.remedy?.contains("no other checkpoint") == true)
  }

  @Test("NaN is called that") func diverged() throws {
    try checkpoints.write(state([1, .nan]), metadata: [:])
    let error = inputError { try read() }
    #expect(error?.problem == "the checkpoint holds NaN: the run diverged before it was written")
    #expect(error?.location?.hasSuffix("tensor 'weight'") == true)
  }

  @Test("a file without a checksum is none") func foreign() throws {
    try Safetensors.write(state([1]), metadata: ["step": "1"], to: checkpoints.last)
    #expect(inputError { try read() }?.problem == "the file has no checksum")
  }
}

@Suite("A training session's checkpoints") struct SessionCheckpointTests {
  private func dataset() throws -> ImageDataset {
    var options = DataOptions()
    options.synthetic.trainCount = 32
    return try Datasets.load(.synthetic, split: .train, options: options)
  }

  private func learner(_ data: ImageDataset) throws -> ClassifierTraining {
    var recipe = TrainingRecipe()
    (recipe.epochs, recipe.batchSize) = (4, 16)
    let network = Network(.smallCNN(input: [3, 32, 32], classes: 10), seed: 1)
    return ClassifierTraining(network, on: data, recipe: recipe, seed: 1, precision: .float32)
  }

  @Test("from the one before the last, a run ends with the same weights and rows") func previous() throws {
    struct Stop: Error {}
    let (folder, data) = (try TemporaryFolder(), try dataset())
    let record = RunRecord(command: ["test"], settings: [:])
    let whole = try learner(data)
    let wholeFolder = try RunFolder(at: folder / "whole", for: record)
    _ = try TrainingSession(folder: wholeFolder).run(whole)

    let run = try RunFolder(at: folder / "run", for: record)
    var session = TrainingSession(folder: run)
    session.atEpochEnd = { epoch, _ in if epoch == 4 { throw Stop() } else { [:] } }
    #expect(throws: Stop.self) { try session.run(try learner(data)) }
    let last = Checkpoints(in: run).last
    #expect(truncate(last.path, 1000) == 0)

    var warnings: [String] = []
    var resumed = TrainingSession(folder: run)
    (resumed.resumes, resumed.warn) = (true, { warnings.append($0) })
    let second = try learner(data)
    _ = try resumed.run(second)
    #expect(warnings.count == 1 && warnings[0].contains("going on from the checkpoint before it"))
    for (a, b) in zip(whole.state, second.state) { #expect(a.tensor.isEqual(to: b.tensor), "\(a.name)") }
    #expect(try Data(contentsOf: run.metrics) == Data(contentsOf: wholeFolder.metrics))
  }

  @Test("a run with rows and no checkpoint begins anew, and says so") func missing() throws {
    let (folder, data) = (try TemporaryFolder(), try dataset())
    let run = try RunFolder(at: folder / "run", for: RunRecord(command: ["test"], settings: [:]))
    _ = try TrainingSession(folder: run).run(try learner(data))
    let rows = try Data(contentsOf: run.metrics)
    try FileManager.default.removeItem(at: run.checkpoints)
    try FileManager.default.createDirectory(at: run.checkpoints, withIntermediateDirectories: false)
    var warnings: [String] = []
    var session = TrainingSession(folder: run)
    (session.resumes, session.warn) = (true, { warnings.append($0) })
    _ = try session.run(try learner(data))
    #expect(warnings == ["note: \(run.checkpoints.path) holds no checkpoint: the run starts from the beginning"])
    #expect(try Data(contentsOf: run.metrics) == rows)
  }
}
