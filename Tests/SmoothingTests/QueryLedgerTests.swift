import Foundation
import Support
import TestSupport
import Testing
import Torch

@testable import Smoothing

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

  func answer(_ images: Tensor) throws -> Tensor {
    if let left = answersBeforeFailure {
      guard left > 0 else { throw InputError("the model is out of reach", at: "counting") }
      answersBeforeFailure = left - 1
    }
    let failure = failures.isEmpty ? nil : failures.removeFirst()
    if failure?.wasSent ?? true { evaluated += images.size(0) }
    if let failure { throw failure }
    let mean = images.mean([1, 2, 3])
    return answersWrongly ? mean : Tensor.stacked([mean, 1 - mean], 1)
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
      "\($0)".contains("raise --budget")
    }
  }

  @Test("The book of another model, or a file that is no book, is refused")
  func others() throws {
    let file = folder / "q.sqlite"
    _ = try QueryLedger(at: file, model: "a", budget: nil)
    #expect { _ = try QueryLedger(at: file, model: "b", budget: nil) } throws: { error in
      "\(error)" == "\(file.path): the ledger is that of another model (expected model b, found model a); "
        + "name another file with --ledger"
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

  @Test("Requests go out together, as many as the model takes at once, and each fails for itself")
  func concurrency() throws {
    final class Wide: BlackBox {
      let (feedback, classes, version, concurrency) = (Feedback.logits, 2, "wide", 3)
      var largestBatch: Int? { nil }
      var waves: [[Int]] = []
      func answer(_ images: Tensor) throws -> Tensor { try CountingBox().answer(images) }
      func answers(to requests: [Tensor]) -> [Result<Tensor, any Error>] {
        waves.append(requests.map { $0.size(0) })
        return requests.enumerated().map { index, images in
          waves.count == 1 && index == 1 ? .failure(TemporaryFailure("busy")) : Result { try answer(images) }
        }
      }
    }
    let box = Wide()
    let ledger = try QueryLedger(at: folder / "q.sqlite", model: "wide", budget: nil)
    let metered = MeteredBlackBox(box, ledger: ledger, batchSize: 3)
    metered.sleep = { _ in }
    #expect(try metered.answer(images, for: .base).isEqual(to: CountingBox().answer(images)))
    #expect(box.waves == [[3, 3, 3], [3, 1]])
    #expect(try ledger.counts == [.base: 10, .retry: 3])

    // A budget lets through what it allows of a wave, to the last request.
    let spent = try QueryLedger(at: folder / "spent.sqlite", model: "wide", budget: 7)
    #expect {
      _ = try MeteredBlackBox(box, ledger: spent, batchSize: 3).answer(images, for: .base)
    } throws: {
      "\($0)".contains("the query budget is spent (expected at most 7 images in all, found 6 asked for)")
    }
    #expect(try spent.total == 6 && box.waves.last == [3, 3])
  }
}
