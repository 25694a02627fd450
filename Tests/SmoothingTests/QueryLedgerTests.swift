import Foundation
import Support
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

  func answer(_ images: Tensor) throws -> Tensor {
    if let left = answersBeforeFailure {
      guard left > 0 else { throw InputError("the model is out of reach", at: "counting") }
      answersBeforeFailure = left - 1
    }
    evaluated += images.size(0)
    let mean = images.mean([1, 2, 3])
    return answersWrongly ? mean : Tensor.stacked([mean, 1 - mean], 1)
  }
}

func temporaryFile(_ name: String) throws -> URL {
  let folder = FileManager.default.temporaryDirectory.appending(path: "quench-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  return folder.appending(path: name)
}

@Suite("The query ledger") struct QueryLedgerTests {
  private let images = Tensor.uniform([10, 1, 2, 2], using: Generator(seed: 1))

  @Test("It counts what the model evaluates, by purpose, in requests that the model takes")
  func counts() throws {
    let box = CountingBox()
    box.largestBatch = 4
    let ledger = try QueryLedger(at: temporaryFile("q.sqlite"), model: "counting", budget: nil)
    let metered = MeteredBlackBox(box, ledger: ledger, batchSize: 100)
    let answers = try metered.answer(images, for: .base)
    #expect(answers.isEqual(to: try CountingBox().answer(images)))
    _ = try metered.answer(images + 1, for: .perturbation)
    #expect(try ledger.total == 20 && ledger.counts == [.base: 10, .perturbation: 10] && box.evaluated == 20)
  }

  @Test("A question that was answered is answered from the book, with the same numbers")
  func cache() throws {
    let (box, file) = (CountingBox(), try temporaryFile("q.sqlite"))
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
    let (box, file) = (CountingBox(), try temporaryFile("q.sqlite"))
    let metered = MeteredBlackBox(box, ledger: try QueryLedger(at: file, model: "counting", budget: 25))
    _ = try metered.answer(images, for: .base)
    _ = try metered.answer(images + 1, for: .base)
    #expect {
      try metered.answer(images + 2, for: .base)
    } throws: { error in
      "\(error)".contains("the query budget is spent (expected at most 25 images in all, found 20 asked for)")
    }
    #expect(try box.evaluated == 20 && metered.ledger.total == 20)
    // Five more are still allowed.
    _ = try metered.answer(images[0..<5] + 3, for: .base)
    #expect { _ = try QueryLedger(at: file, model: "counting", budget: 25) } throws: {
      "\($0)".contains("raise --budget")
    }
  }

  @Test("The book of another model, or a file that is no book, is refused")
  func others() throws {
    let file = try temporaryFile("q.sqlite")
    _ = try QueryLedger(at: file, model: "a", budget: nil)
    #expect { _ = try QueryLedger(at: file, model: "b", budget: nil) } throws: { error in
      "\(error)" == "\(file.path): the ledger is that of another model (expected model b, found model a); "
        + "name another file with --ledger"
    }
    let noBook = try temporaryFile("text")
    try Data(repeating: 65, count: 5000).write(to: noBook)
    #expect { _ = try QueryLedger(at: noBook, model: "a", budget: nil) } throws: {
      "\($0)".contains("no query ledger")
    }
  }

  @Test("A query that failed is counted: it may have been evaluated")
  func failure() throws {
    let box = CountingBox()
    box.answersBeforeFailure = 0
    let ledger = try QueryLedger(at: temporaryFile("q.sqlite"), model: "counting", budget: nil)
    #expect(throws: InputError.self) { try MeteredBlackBox(box, ledger: ledger).answer(images, for: .base) }
    #expect(try ledger.total == 10)
  }

  @Test("An answer of another shape is refused")
  func wrongAnswers() throws {
    let box = CountingBox()
    box.answersWrongly = true
    let ledger = try QueryLedger(at: temporaryFile("q.sqlite"), model: "counting", budget: nil)
    #expect { try MeteredBlackBox(box, ledger: ledger).answer(images, for: .base) } throws: {
      "\($0)".contains("another number of images or classes (expected [10, 2], found [10])")
    }
  }
}
