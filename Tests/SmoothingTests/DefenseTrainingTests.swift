import Foundation
import Support
import TestSupport
import Testing
import Torch
import Vision

@testable import Smoothing

/// A small black box for 28×28 images, a defence for it, and few images.
private enum Tiny {
  static func dataset() throws -> ImageDataset {
    var synthetic = Synthetic()
    (synthetic.trainCount, synthetic.side, synthetic.channels) = (16, 28, 1)
    let block = try synthetic.make(.train)
    return ImageDataset(
      name: "made", block: block, classNames: (0..<10).map { "\($0)" }, statistics: block.statistics(),
      fingerprint: "none")
  }

  static func defense(autoencoder: Bool = true) -> Defense {
    Defense(
      denoiser: Denoiser(depth: 3, width: 4).network(input: [1, 28, 28], seed: 1),
      autoencoder: autoencoder ? .init(.mnist192, seed: 2) : nil)
  }

  static func network() -> Network { Network(.smallCNN(input: [1, 28, 28], classes: 10), seed: 7) }

  static var recipe: DefenseRecipe {
    var recipe = DefenseRecipe()
    (recipe.epochs, recipe.adamEpochs, recipe.batchSize, recipe.augmentation) = (2, 1, 8, nil)
    return recipe
  }

  static func steps(_ learner: DefenseTraining, _ range: Range<Int>) throws {
    for step in range { _ = try learner.step(at: LoaderPosition(epoch: step / 2, batch: step % 2)) }
  }
}

private func equal(_ a: StateDictionary, _ b: StateDictionary) -> Bool {
  a.keys == b.keys && zip(a, b).allSatisfy { $0.tensor.isEqual(to: $1.tensor) }
}

/// Fails once, at the given request.
private final class FailingBox: BlackBox {
  private let model = LocalBlackBox(Tiny.network(), version: "tiny")
  private var requests = 0
  private let failing: Int

  init(failing: Int) { self.failing = failing }

  var feedback: Feedback { model.feedback }
  var classes: Int { model.classes }
  var version: String { model.version }
  var largestBatch: Int? { nil }

  func answer(_ images: Tensor) throws -> Tensor {
    requests += 1
    if requests == failing { throw InputError("the model is out of reach", at: "box") }
    return model.answer(images)
  }
}

@Suite("A defence's training") struct DefenseTrainingTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func learner(
    _ estimator: GradientEstimator, ledger: URL? = nil,
    box: any BlackBox = LocalBlackBox(Tiny.network(), version: "tiny"), budget: Int? = nil
  ) throws -> (training: DefenseTraining, ledger: QueryLedger) {
    let ledger = try QueryLedger(
      at: ledger ?? folder / "\(UUID().uuidString).sqlite", model: "tiny", budget: budget)
    let training = DefenseTraining(
      Tiny.defense(), of: .queries(MeteredBlackBox(box, ledger: ledger, batchSize: 256), estimator),
      on: try Tiny.dataset(), recipe: Tiny.recipe, seed: 5, precision: .float32)
    return (training, ledger)
  }

  private let estimator = GradientEstimator(.random(directions: 3))

  @Test("Queries are those that the model evaluates: targets, points and differences")
  func queries() throws {
    let (training, ledger) = try learner(estimator)
    try Tiny.steps(training, 0..<2)
    #expect(training.queries == 16 * (1 + 1 + 2 * 3))
    #expect(try ledger.counts == [.target: 16, .base: 16, .perturbation: 96])
    #expect(training.mostQueries == 2 * training.queries)
  }

  @Test("It learns the denoiser and the encoder, never the decoder")
  func learns() throws {
    let (training, _) = try learner(estimator)
    let decoder = try #require(training.defense.autoencoder?.decoder)
    let before = training.defense.trained.map { $0.network.copy().state } + [decoder.copy().state]
    try Tiny.steps(training, 0..<2)
    let after = training.defense.trained.map(\.network.state) + [decoder.state]
    #expect(zip(before, after).map(equal) == [false, false, true])
  }

  @Test("Stopped anywhere and resumed from its state it ends the same, and asks no question twice")
  func resumes() throws {
    let (whole, ledger) = try learner(estimator)
    try Tiny.steps(whole, 0..<4)
    for stop in 1..<4 {
      let file = folder / "\(stop).sqlite"
      let first = try learner(estimator, ledger: file).training
      try Tiny.steps(first, 0..<stop - 1)
      let saved = StateDictionary(first.state.map { ($0.name, $0.tensor.cloned()) })
      // This step is lost with the process, but its answers are not.
      try Tiny.steps(first, stop - 1..<stop)
      let (second, book) = try learner(estimator, ledger: file)
      try second.restore(saved, from: "here")
      try Tiny.steps(second, stop - 1..<4)
      #expect(equal(second.state, whole.state))
      #expect(try book.total == ledger.total)
      #expect(second.queries == whole.queries)
    }
  }

  @Test("A step that fails changes nothing, so that a remote error costs no more than the batch in flight")
  func failure() throws {
    for failing in [1, 2, 3] {
      let training = try learner(estimator, box: FailingBox(failing: failing)).training
      let before = StateDictionary(training.state.map { ($0.name, $0.tensor.cloned()) })
      #expect(throws: InputError.self) { try Tiny.steps(training, 0..<1) }
      #expect(equal(training.state, before))
      try Tiny.steps(training, 0..<4)
      let undisturbed = try learner(estimator).training
      try Tiny.steps(undisturbed, 0..<4)
      #expect(equal(training.state, undisturbed.state))
    }
  }

  @Test("At the budget it stops before a query too many, and more budget goes on to the same end")
  func budget() throws {
    let file = folder / "q.sqlite"
    let (training, ledger) = try learner(estimator, ledger: file, budget: 200)
    #expect { try Tiny.steps(training, 0..<4) } throws: { "\($0)".contains("the query budget is spent") }
    #expect(try ledger.total <= 200)
    let (more, _) = try learner(estimator, ledger: file, budget: 10_000)
    try Tiny.steps(more, 0..<4)
    let (whole, book) = try learner(estimator)
    try Tiny.steps(whole, 0..<4)
    #expect(try equal(more.state, whole.state) && more.queries == book.total)
  }

  @Test("Skipping dead coordinates saves queries and changes no weight, bit for bit")
  func deadCoordinates() throws {
    let sparing = try learner(GradientEstimator()).training
    let whole = try learner(GradientEstimator(skipsDeadCoordinates: false)).training
    try Tiny.steps(sparing, 0..<1)
    try Tiny.steps(whole, 0..<1)
    #expect(sparing.queries < whole.queries)
    for (a, b) in zip(sparing.defense.trained, whole.defense.trained) {
      #expect(equal(a.network.state, b.network.state))
    }
  }

  @Test("Queries of every coordinate teach what a ResNet's own gradient teaches, to three per cent")
  func firstOrder() throws {
    func network() -> Network { Network(.cifarResNet(depth: 20, input: [1, 28, 28], classes: 10), seed: 7) }
    /// One step of plain descent: the change of the weights is the gradient.
    func change(_ slope: DefenseTraining.Slope) throws -> Tensor {
      var recipe = Tiny.recipe
      (recipe.adamEpochs, recipe.weightDecay, recipe.momentum, recipe.batchSize) = (0, 0, 0, 4)
      let training = DefenseTraining(
        Tiny.defense(), of: slope, on: try Tiny.dataset(), recipe: recipe, seed: 5, precision: .float32)
      func weights() -> Tensor {
        Tensor.concatenated(
          training.defense.trained.flatMap {
            $0.network.parameters.map { $0.tensor.detached().cloned().reshaped([-1]) }
          })
      }
      let before = weights()
      _ = try training.step(at: LoaderPosition())
      return weights() - before
    }
    let exact = try change(.network(network(), .logits))
    let ledger = try QueryLedger(at: folder / "q.sqlite", model: "tiny", budget: nil)
    let box = MeteredBlackBox(LocalBlackBox(network(), version: "tiny"), ledger: ledger)
    let estimated = try change(.queries(box, GradientEstimator()))
    #expect(exact.norm().item() > 0)
    #expect((estimated - exact).norm().item() / exact.norm().item() < 0.03)
  }

  @Test("Labels alone suffice to learn from")
  func labels() throws {
    let box = LocalBlackBox(Tiny.network(), feedback: .labels, version: "tiny")
    let training = try learner(.init(.smoothed(directions: 8, deviation: 0.5)), box: box).training
    let result = try training.step(at: LoaderPosition())
    #expect((0...1).contains(result.loss.item()) && training.queries == 8 * (1 + 1 + 8))
  }

  @Test("Pretraining brings an autoencoder's error down")
  func pretraining() throws {
    let (dataset, autoencoder) = (try Tiny.dataset(), Defense.Autoencoder(.mnist192, seed: 2))
    var recipe = Tiny.recipe
    (recipe.epochs, recipe.adamEpochs, recipe.learningRate) = (20, 20, 5e-3)
    let learner = Pretraining(
      [("encoder", autoencoder.encoder), ("decoder", autoencoder.decoder)], on: dataset, recipe: recipe, noise: 0,
      seed: 1, precision: .float32)
    let before = learner.error(on: dataset)
    for step in 0..<40 { _ = try learner.step(at: LoaderPosition(epoch: step / 2, batch: step % 2)) }
    #expect(learner.error(on: dataset) < 0.9 * before)
  }
}

@Suite("A program as a black box") struct ProgramBlackBoxTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private static let python = ["/usr/bin/python3", "/usr/local/bin/python3", "/opt/homebrew/bin/python3"]
    .first(where: FileManager.default.isExecutableFile)

  private func program(_ text: String) throws -> [String] {
    let file = folder / "\(UUID().uuidString).py"
    try Data(text.utf8).write(to: file)
    return [Self.python ?? "python3", file.path]
  }

  private static let mean = """
    import json, struct, sys
    inp, out = sys.stdin.buffer, sys.stdout.buffer
    out.write(b'{"classes": 2, "version": "7", "max_batch": 3}\\n'); out.flush()
    while line := inp.readline():
        n, *shape = json.loads(line)["shape"]
        size = 1
        for side in shape: size *= side
        values = [sum(struct.unpack(f"<{size}f", inp.read(4 * size))) / size for _ in range(n)]
        out.write(json.dumps({"shape": [n, 2], "datatype": "FP32"}).encode() + b"\\n")
        for value in values: out.write(struct.pack("<2f", value, 1 - value))
        out.flush()
    """

  @Test("It answers what the program computes", .enabled(if: python != nil, "there is no python3"))
  func answers() throws {
    let box = try ProgramBlackBox(try program(Self.mean))
    #expect(box.classes == 2 && box.version == "7" && box.largestBatch == 3 && box.feedback == .logits)
    let images = Tensor.uniform([3, 1, 4, 5], using: Generator(seed: 1))
    #expect(try box.answer(images).isClose(to: CountingBox().answer(images), relative: 1e-5, absolute: 1e-6))
    #expect(try box.answer(images[0..<1]).shape == [1, 2])
  }

  @Test(
    "A program that does not speak the protocol, ends or complains is told of",
    .enabled(if: python != nil, "there is no python3"),
    arguments: [
      ("print('hello')", "does not introduce itself"), ("pass", "ended before it answered"),
      ("print('{\"classes\": 2}', flush=True); input()", "ended before it answered"),
      ("print('{\"classes\": 2}'); print('{\"error\": \"busy\"}', flush=True); input()", "with an error: busy"),
      (
        "print('{\"classes\": 2}'); print('{\"shape\": [1, 3], \"datatype\": \"FP32\"}', flush=True); input()",
        "another number"
      )
    ]) func misbehaves(text: String, words: String) throws
  {
    #expect {
      _ = try ProgramBlackBox(try program(text)).answer(.zeros([1, 1, 2, 2]))
    } throws: { "\($0)".contains(words) }
  }

  @Test(
    "A program that takes several requests at once gets them so, and one may fail for a while",
    .enabled(if: python != nil, "there is no python3"))
  func several() throws {
    // It answers nothing before it has read two requests.
    let text = """
      import json, struct, sys
      inp, out = sys.stdin.buffer, sys.stdout.buffer
      out.write(b'{"classes": 1, "max_in_flight": 2}\\n'); out.flush()
      first, second = [(json.loads(inp.readline()), struct.unpack("<4f", inp.read(16))) for _ in range(2)]
      out.write(b'{"error": "busy", "temporary": true, "pause": 2.5, "sent": false}\\n')
      out.write(b'{"shape": [1, 1], "datatype": "FP32"}\\n' + struct.pack("<f", sum(second[1]))); out.flush()
      """
    let box = try ProgramBlackBox(try program(text))
    #expect(box.concurrency == 2)
    let answers = box.answers(to: [.zeros([1, 1, 2, 2]), .ones([1, 1, 2, 2])])
    #expect { _ = try answers[0].get() } throws: {
      $0 as? TemporaryFailure == TemporaryFailure("busy", pause: 2.5, wasSent: false)
    }
    #expect(try answers[1].get().array(Float.self) == [4])
  }

  @Test("What a program in Swift writes, a black box reads")
  func swiftProgram() throws {
    let (requests, answers) = (Pipe(), Pipe())
    let pipe = ProgramProtocol(input: requests.fileHandleForReading, output: answers.fileHandleForWriting)
    try requests.fileHandleForWriting.write(
      contentsOf: Data("{\"shape\": [1, 1, 1, 2], \"datatype\": \"FP32\"}\n".utf8) + Data(count: 8)
        + Data("{\"shape\": [1, 1, 1, -2]}\n".utf8))
    let request = try #require(try pipe.request())
    #expect(request.shape == [1, 1, 1, 2] && request.pixels == Data(count: 8))
    #expect { _ = try pipe.request() } throws: { "\($0)".contains("first line cannot be read") }
    try pipe.greet(classes: 3, feedback: .logits, version: "7", largestBatch: nil, concurrency: 2)
    try pipe.fail(TemporaryFailure("busy", pause: 1))
    try pipe.fail(InputError("no"))
    let greeting = try #require(try ProgramBlackBox.line(of: answers.fileHandleForReading))
    #expect(try JSONDecoder().decode(ProgramBlackBox.Greeting.self, from: greeting).concurrency == 2)
    for (isTemporary, error) in [(true, "busy"), (nil, "no")] {
      let line = try #require(try ProgramBlackBox.line(of: answers.fileHandleForReading))
      let header = try JSONDecoder().decode(ProgramBlackBox.Header.self, from: line)
      #expect(header.temporary == isTemporary && header.error == error)
    }
  }
}
