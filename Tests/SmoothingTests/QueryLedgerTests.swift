import Foundation
import QuenchSupport
import QuenchTorch
import TestSupport
import Testing

@testable import QuenchSmoothing

/// Answers the mean pixel; may be told to fail, or to answer wrongly.
final class CountingBox: BlackBox {
  var feedback = Feedback.logits
  var classes = 2
  var version = "counting"
  var largestBatch: Int?
  /// Images that were evaluated.
  var evaluated = 0
  /// Requests that are answered before one fails; nil: all.
  var answersBeforeFailure: Int?
  var answersWrongly = false
  /// What the next requests fail with, one after the other.
  var failures: [TemporaryFailure] = []
  /// The most images that it answers at once; it does not say so beforehand.
  var hiddenLimit: Int?
  /// Whether it names the limit when it refuses.
  var namesLimit = true
  /// How many of the next answers hold NaN in their first row.
  var nonNumbers = 0

  func answer(_ images: Tensor) throws -> Tensor {
    if let hiddenLimit, images.size(0) > hiddenLimit {
      throw TooManyImages("400 batch-size must be <= \(hiddenLimit)", limit: namesLimit ? hiddenLimit : nil)
    }
    if let left = answersBeforeFailure {
      guard left > 0 else { throw InputError("the model is out of reach", at: "counting") }
      answersBeforeFailure = left - 1
    }
    let failure = failures.isEmpty ? nil : failures.removeFirst()
    if failure?.wasSent ?? true { evaluated += images.size(0) }
    if let failure { throw failure }
    let mean = images.mean([1, 2, 3])
    guard !answersWrongly else { return mean }
    let answer = Tensor.stacked([mean, 1 - mean], 1)
    if nonNumbers > 0 {
      nonNumbers -= 1
      answer[0].fill(with: .nan)
    }
    return answer
  }
}

/// Works on several requests at once, each for a quarter of a second of a time that is made up.
final class SlowBox: BlackBox {
  let (feedback, classes, version) = (Feedback.logits, 2, "slow")
  let concurrency: Int
  var largestBatch: Int? { nil }
  var now = 0.0
  var (inFlight, mostInFlight, sizes) = (0, 0, [Int]())
  /// Requests, by their numbers from 0 on, that fail for a while.
  var failing: Set<Int> = []
  private let model: (Tensor) -> Tensor

  init(_ concurrency: Int, _ model: @escaping (Tensor) -> Tensor) {
    self.concurrency = concurrency
    self.model = model
  }

  func answer(_ images: Tensor) throws -> Tensor { try send(images)() }

  func send(_ images: Tensor) -> PendingAnswer {
    let (end, fails) = (now + 0.25, failing.contains(sizes.count))
    inFlight += 1
    mostInFlight = max(mostInFlight, inFlight)
    sizes.append(images.size(0))
    return { [self] in
      now = max(now, end)
      inFlight -= 1
      if fails { throw TemporaryFailure("busy") }
      return model(images)
    }
  }
}

@Suite("The query ledger") struct QueryLedgerTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private let images = Tensor.uniform([10, 1, 2, 2], using: Generator(seed: 1))

  @Test("It counts what the model evaluates, by purpose, in requests that the model takes")
  func counts() throws {
    let box = CountingBox()
    box.largestBatch = 4
    let ledger = try QueryLedger(at: folder / "q.sqlite", model: "counting", budget: nil)
    let metered = MeteredBlackBox(box, ledger: ledger, batchSize: 100)
    let answers = try metered.answer(images, for: .base)
    #expect(answers.isEqual(to: try CountingBox().answer(images)))
    _ = try metered.answer(images + 1, for: .perturbation)
    #expect(try ledger.total == 20 && ledger.counts == [.base: 10, .perturbation: 10] && box.evaluated == 20)
  }

  @Test("A question that was answered is answered from the book, with the same numbers")
  func cache() throws {
    let (box, file) = (CountingBox(), folder / "q.sqlite")
    let first = try MeteredBlackBox(box, ledger: QueryLedger(at: file, model: "counting", budget: nil))
      .answer(images, for: .target)
    let ledger = try QueryLedger(at: file, model: "counting", budget: nil)
    let again = try MeteredBlackBox(box, ledger: ledger).answer(images, for: .target)
    #expect(first.isEqual(to: again) && box.evaluated == 10)
    #expect(try ledger.total == 10 && ledger.cached == [.target: 10])
    // Samples of a certificate are always fresh.
    _ = try MeteredBlackBox(box, ledger: ledger).answer(images, for: .certification)
    _ = try MeteredBlackBox(box, ledger: ledger).answer(images, for: .certification)
    #expect(try box.evaluated == 30 && ledger.total == 30)
  }

  @Test("The budget is never exceeded, over all runs with the same book")
  func budget() throws {
    let (box, file) = (CountingBox(), folder / "q.sqlite")
    let ledger = try QueryLedger(at: file, model: "counting", budget: 25)
    let metered = MeteredBlackBox(box, ledger: ledger)
    _ = try metered.answer(images, for: .base)
    _ = try metered.answer(images + 1, for: .base)
    #expect {
      try metered.answer(images + 2, for: .base)
    } throws: { error in
      "\(error)".contains("the query budget is spent (expected at most 25 images in all, found 20 asked for)")
    }
    #expect(try box.evaluated == 20 && ledger.total == 20)
    // Five more are still allowed.
    _ = try metered.answer(images[0..<5] + 3, for: .base)
    #expect { _ = try QueryLedger(at: file, model: "counting", budget: 25) } throws: {
      "\($0)".contains("raise query-budget")
    }
  }

  @Test("The book of another model, or a file that is no book, is refused")
  func others() throws {
    let file = folder / "q.sqlite"
    _ = try QueryLedger(at: file, model: "a", budget: nil)
    #expect { _ = try QueryLedger(at: file, model: "b", budget: nil) } throws: { error in
      "\(error)" == "\(file.path): the ledger is that of another model (expected model b, found model a); "
        + "name another file for the ledger"
    }
    let noBook = folder / "text"
    try Data(repeating: 65, count: 5000).write(to: noBook)
    #expect { _ = try QueryLedger(at: noBook, model: "a", budget: nil) } throws: {
      "\($0)".contains("no query ledger")
    }
  }

  @Test("A query that failed is counted: it may have been evaluated")
  func failure() throws {
    let box = CountingBox()
    box.answersBeforeFailure = 0
    let ledger = try QueryLedger(at: folder / "q.sqlite", model: "counting", budget: nil)
    #expect(throws: InputError.self) { try MeteredBlackBox(box, ledger: ledger).answer(images, for: .base) }
    #expect(try ledger.total == 10)
  }

  @Test("An answer of another shape is refused")
  func wrongAnswers() throws {
    let box = CountingBox()
    box.answersWrongly = true
    let ledger = try QueryLedger(at: folder / "q.sqlite", model: "counting", budget: nil)
    #expect { try MeteredBlackBox(box, ledger: ledger).answer(images, for: .base) } throws: {
      "\($0)".contains("another number of images or classes (expected [10, 2], found [10])")
    }
  }

  @Test("A failure that may pass is met by the same images again, entered as such and only if they were sent")
  func retries() throws {
    let box = CountingBox()
    box.failures = [
      TemporaryFailure("busy", pause: 3), TemporaryFailure("no connection", wasSent: false),
      TemporaryFailure("slow")
    ]
    let ledger = try QueryLedger(at: folder / "q.sqlite", model: "counting", budget: nil)
    let metered = MeteredBlackBox(box, ledger: ledger)
    var pauses: [Double] = []
    metered.sleep = { pauses.append($0) }
    #expect(try metered.answer(images, for: .base).isEqual(to: CountingBox().answer(images)))
    #expect(try ledger.counts == [.base: 10, .retry: 20] && ledger.total == box.evaluated)
    #expect(pauses.count == 3 && pauses[0] == 3 && (0...1).contains(pauses[1]) && (0...2).contains(pauses[2]))
  }

  @Test("A model that stays out of reach is given up after so many tries")
  func givesUp() throws {
    let box = CountingBox()
    box.failures = (0..<9).map { _ in TemporaryFailure("busy") }
    let ledger = try QueryLedger(at: folder / "q.sqlite", model: "counting", budget: nil)
    let metered = MeteredBlackBox(box, ledger: ledger)
    metered.sleep = { _ in }
    #expect { _ = try metered.answer(images, for: .base) } throws: {
      "\($0)".contains("the model stays out of reach: busy (found 8 tries)")
    }
    #expect(try ledger.total == 80 && box.evaluated == 80)
  }

  @Test("Pauses double up to the longest, whatever the server asks for")
  func pauses() {
    let patience = MeteredBlackBox.Patience()
    for failures in 1...100 {
      let longest = min(60, 0.5 * pow(2, Double(failures - 1)))
      let drawn = (0..<200).map { _ in patience.pause(afterFailures: failures, asked: nil) }
      #expect(drawn.allSatisfy { (0...longest).contains($0) } && drawn.contains { $0 > longest / 2 })
    }
    #expect(patience.pause(afterFailures: 1, asked: 1e9) == 60 && patience.pause(afterFailures: 1, asked: -1) == 0)
  }

  @Test("Images are sent no faster than the rate allows")
  func rate() throws {
    var patience = MeteredBlackBox.Patience()
    patience.rate = 0.1
    let metered = MeteredBlackBox(CountingBox(), ledger: nil, batchSize: 5, patience: patience)
    var waited = 0.0
    metered.sleep = { waited += $0 }
    _ = try metered.answer(images, for: .base)
    // Five images take fifty seconds; the first five go at once.
    #expect(waited > 45 && waited <= 50)
  }

  @Test("The copies of one image are spread over all requests that the model takes, each prepared when it is sent")
  func spread() throws {
    for (count, concurrency, sizes) in [
      (220, 8, [28, 28, 28, 28, 28, 28, 28, 24]), (220, 1, [100, 100, 20]), (20, 8, [8, 8, 4]),
      (1000, 8, Array(repeating: 100, count: 10))
    ] {
      let box = SlowBox(concurrency) { $0.mean([1, 2, 3]).reshaped([-1, 1]) * Tensor([1, 2] as [Float]) }
      let metered = MeteredBlackBox(box, ledger: nil, batchSize: 100)
      let copies = Tensor.uniform([count, 1, 2, 2], using: Generator(seed: 1))
      var prepared: [Int] = []
      let answers = try metered.answer(spread: copies, for: .certification) { part in
        prepared.append(box.sizes.count)
        return part + 1
      }
      #expect(box.sizes == sizes && prepared == Array(0..<sizes.count))
      #expect(answers[TensorIndex.all, 0].isClose(to: copies.mean([1, 2, 3]) + 1, relative: 1e-5, absolute: 0))
    }
  }

  @Test("As many requests as the model takes are always on their way, and each fails for itself")
  func concurrency() throws {
    func box(_ concurrency: Int) -> SlowBox {
      SlowBox(concurrency) { images in
        let mean = images.mean([1, 2, 3])
        return Tensor.stacked([mean, 1 - mean], 1)
      }
    }
    let wide = box(3)
    wide.failing = [1]
    let ledger = try QueryLedger(at: folder / "q.sqlite", model: "slow", budget: nil)
    let metered = MeteredBlackBox(wide, ledger: ledger, batchSize: 3)
    metered.sleep = { _ in }
    #expect(try metered.answer(images, for: .base).isEqual(to: CountingBox().answer(images)))
    // The fourth is sent when the first is answered; what failed follows once all are.
    #expect(wide.sizes == [3, 3, 3, 1, 3] && wide.mostInFlight == 3)
    #expect(try ledger.counts == [.base: 10, .retry: 3])

    // A budget lets through what it allows, to the last request, whose answers are kept.
    let (spent, narrow) = (try QueryLedger(at: folder / "spent.sqlite", model: "slow", budget: 7), box(3))
    #expect {
      _ = try MeteredBlackBox(narrow, ledger: spent, batchSize: 3).answer(images, for: .base)
    } throws: {
      "\($0)".contains("the query budget is spent (expected at most 7 images in all, found 6 asked for)")
    }
    #expect(try spent.total == 6 && narrow.sizes == [3, 3] && narrow.inFlight == 0)
    _ = try MeteredBlackBox(narrow, ledger: spent, batchSize: 3).answer(images[0..<6], for: .base)
    #expect(try spent.cached == [.base: 6])

    // Questions are taken when there is room for them, not before.
    let lazy = box(2)
    var taken = 0
    let questions = (0..<9).lazy.map { [images] _ in
      taken += 1
      return MeteredBlackBox.Question(images, for: .base)
    }
    var answered = 0
    try MeteredBlackBox(lazy, ledger: nil).answer(questions) { _ in
      answered += 1
      #expect(taken <= answered + 2)
    }
    #expect(answered == 9 && lazy.now == 0.25 * 5)
  }

  @Test(
    "A limit that shows when it is met is learned, named or not; refused images are not counted",
    arguments: [true, false])
  func limits(namesLimit: Bool) throws {
    let box = CountingBox()
    (box.hiddenLimit, box.namesLimit) = (3, namesLimit)
    let ledger = try QueryLedger(at: folder / "q.sqlite", model: "counting", budget: nil)
    let metered = MeteredBlackBox(box, ledger: ledger)
    #expect(try metered.answer(images, for: .base).isEqual(to: CountingBox().answer(images)))
    #expect(metered.batchSize == 3 && box.evaluated == 10)
    #expect(try ledger.counts == [.base: 10])
    box.hiddenLimit = 0
    #expect { _ = try metered.answer(images + 1, for: .base) } throws: {
      "\($0)".contains("the model refuses a single image: 400 batch-size must be <= 0")
    }
  }

  @Test("NaN is asked for once more, and then handed over; a certificate's copies are not asked for again")
  func nonNumbers() throws {
    let box = CountingBox()
    box.nonNumbers = 1
    let ledger = try QueryLedger(at: folder / "q.sqlite", model: "counting", budget: nil)
    let metered = MeteredBlackBox(box, ledger: ledger)
    #expect(try metered.answer(images, for: .base).isFinite().all())
    #expect(try ledger.counts == [.base: 10, .retry: 10] && box.evaluated == 20)
    box.nonNumbers = 2
    let answer = try metered.answer(images + 1, for: .base)
    #expect(!answer[0].isFinite().all() && answer[1..<10].isFinite().all())
    box.nonNumbers = 1
    #expect(try !metered.answer(images, for: .certification).isFinite().all())
    #expect(try ledger.counts[.certification] == 10 && ledger.counts[.retry] == 20)
  }

  @Test("A pause that a quota asks for is kept and counts as no try where that is wanted, and is named where not")
  func quota() throws {
    let hour = TemporaryFailure("429 quota exceeded", pause: 3600)
    var patience = MeteredBlackBox.Patience()
    (patience.tries, patience.waitsForQuota) = (2, true)
    let box = CountingBox()
    box.failures = [hour, hour, hour]
    let metered = MeteredBlackBox(box, ledger: nil, patience: patience)
    var pauses: [Double] = []
    metered.sleep = { pauses.append($0) }
    _ = try metered.answer(images, for: .base)
    #expect(pauses == [3600, 3600, 3600])

    patience.waitsForQuota = false
    box.failures = [hour, hour]
    let hasty = MeteredBlackBox(box, ledger: nil, patience: patience)
    hasty.sleep = { _ in }
    #expect { _ = try hasty.answer(images, for: .base) } throws: {
      "\($0)".contains("it asks for a pause of 3600 seconds: wait-quota waits so long")
    }
  }

  @Test("A full disk stops the queries and says what to do, and what was answered is kept")
  func fullDisk() throws {
    let file = folder / "q.sqlite"
    let ledger = try QueryLedger(at: file, model: "counting", budget: nil, mostPages: 12)
    let box = CountingBox()
    let metered = MeteredBlackBox(box, ledger: ledger, batchSize: 1000)
    var problem = ""
    for step in 0..<100 where problem.isEmpty {
      let images = Tensor.full([1000, 1, 2, 2], Double(step))
      do { _ = try metered.answer(images, for: .base) } catch { problem = "\(error)" }
    }
    #expect(problem.hasPrefix("\(file.path): the disk is full"), "\(problem)")
    #expect(problem.contains("make room, then resume the run"))
    #expect(try ledger.counts[.base] ?? 0 <= box.evaluated)
  }
}
