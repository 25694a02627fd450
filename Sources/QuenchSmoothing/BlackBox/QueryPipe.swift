import QuenchSupport
import QuenchTorch
import QuenchVision

/// Questions on their way to a ``MeteredBlackBox``: requests go out as soon as one is answered, and answers are handed
/// over in the order of the questions.
///
/// Where a request fails for a while, nothing is sent until those on their way are answered; then comes the pause, and
/// what failed goes first.
final class QueryPipe {
  private let box: MeteredBlackBox
  /// Questions that were taken and not yet handed over, and requests that are to be sent.
  private var open: [Request] = []
  private var waiting: [Request] = []
  /// In the order of sending.
  private var flying: [(request: Request, answer: PendingAnswer)] = []
  private var failed: [(request: Request, failure: TemporaryFailure)] = []
  /// Why nothing is sent any more.
  private var refusal: (any Error)?

  /// A question, or a part of one.
  private final class Request {
    let images: Tensor
    let purpose: QueryLedger.Purpose
    /// What its answer is kept under.
    var hash: String?
    var answer: Tensor?
    /// Where the model takes fewer images at once.
    var parts: [Request] = []
    /// Tries that failed, and those that the model may have got.
    var failures = 0
    var sent = 0
    /// It was answered with something other than numbers, and asked again.
    var isDoubted = false

    init(_ images: Tensor, _ purpose: QueryLedger.Purpose) {
      self.images = images
      self.purpose = purpose
    }

    var count: Int { images.size(0) }
    /// Sent again it counts as that: the owner of the model counts it too.
    var entry: QueryLedger.Purpose { sent == 0 ? purpose : .retry }

    /// The whole answer, once it is there.
    var whole: Tensor? {
      guard !parts.isEmpty else { return answer }
      let answers = parts.compactMap(\.whole)
      return answers.count == parts.count ? Tensor.concatenated(answers) : nil
    }
  }

  init(_ box: MeteredBlackBox) { self.box = box }

  func run(
    _ questions: some IteratorProtocol<MeteredBlackBox.Question>, each: (Tensor) throws -> Void
  ) throws {
    var questions = questions
    while true {
      while refusal == nil, let first = open.first, let answer = first.whole {
        open.removeFirst()
        do { try each(answer) } catch { refusal = error }
      }
      if refusal == nil, Interruption.isRequested { refusal = Interrupted(folder: nil) }
      if refusal == nil, failed.isEmpty, flying.count < box.model.concurrency {
        do {
          if !waiting.isEmpty {
            try send(waiting.removeFirst())
            continue
          }
          if let question = questions.next() {
            try take(question)
            continue
          }
        } catch { refusal = error }
      }
      if !flying.isEmpty {
        receive()
      } else if let refusal {
        throw refusal
      } else if !failed.isEmpty {
        try pause()
      } else {
        return
      }
    }
  }

  private func take(_ question: MeteredBlackBox.Question) throws {
    let request = Request(question.images, question.purpose)
    if request.count > box.batchSize { split(request) }
    for part in request.parts.isEmpty ? [request] : request.parts {
      if !MeteredBlackBox.isFresh(part.purpose), box.ledger != nil {
        let hash = box.hash(of: part.images)
        part.hash = hash
        part.answer = try box.recall(part.images, hash, for: part.purpose)
      }
      if part.answer == nil { waiting.append(part) }
    }
    open.append(request)
  }

  private func send(_ request: Request) throws {
    if request.count > box.batchSize {  // it was taken before the model's limit was known
      split(request)
      waiting = request.parts + waiting
      return
    }
    box.takeTurn(images: request.count)
    try box.ledger?.enter(request.count, for: request.entry)
    flying.append((request, box.model.send(request.images)))
  }

  private func split(_ request: Request) {
    request.parts = request.images.split(box.batchSize).map { Request($0, request.purpose) }
    guard box.ledger != nil, !MeteredBlackBox.isFresh(request.purpose) else { return }
    for part in request.parts { part.hash = box.hash(of: part.images) }
  }

  /// Waits for the oldest request's answer.
  private func receive() {
    let (request, pending) = flying.removeFirst()
    let start = ContinuousClock.now
    let result = Result { try pending() }
    box.secondsWaited += (ContinuousClock.now - start) / .seconds(1)
    do { try accept(result.get(), for: request) } catch let failure as TemporaryFailure {
      failed.append((request, failure))
      request.failures += box.patience.waitsForQuota && box.patience.isQuota(failure) ? 0 : 1
      do { try countFailure(of: request, wasSent: failure.wasSent) } catch { refusal = refusal ?? error }
    } catch let excess as TooManyImages where request.count > 1 {
      // A request that is refused is evaluated by nobody.
      do { try box.ledger?.retract(request.count, for: request.entry) } catch { refusal = refusal ?? error }
      let limit = excess.limit.flatMap { (1..<request.count).contains($0) ? $0 : nil }
      box.batchSize = min(box.batchSize, limit ?? (request.count + 1) / 2)
      waiting.insert(request, at: 0)
    } catch let excess as TooManyImages {
      refusal = refusal ?? InputError("the model refuses a single image: \(excess)", at: box.model.version)
    } catch { refusal = refusal ?? error }
  }

  private func countFailure(of request: Request, wasSent: Bool) throws {
    if !wasSent { try box.ledger?.retract(request.count, for: request.entry) }
    request.sent += wasSent ? 1 : 0
  }

  private func accept(_ answer: Tensor, for request: Request) throws {
    let feedback = box.model.feedback
    try feedback.check(answer, count: request.count, shape: box.model.answerShape, from: box.model.version)
    let isDoubtful = request.purpose != .certification && !feedback.areFinite(answer).all()
    if isDoubtful, !request.isDoubted {
      request.isDoubted = true
      request.sent += 1
      waiting.insert(request, at: 0)
      return
    }
    if let hash = request.hash { try box.keep(answer, hash) }
    request.answer = answer
  }

  /// Waits after failures, and has what failed sent first.
  private func pause() throws {
    let most = failed.map(\.request.failures).max() ?? 1
    guard most < box.patience.tries else {
      let asked = failed.map(\.failure).first(where: box.patience.isQuota)?.pause
      throw InputError(
        "the model stays out of reach: \(failed.last?.failure.problem ?? "")", at: box.model.version,
        found: "\(most) tries",
        remedy: asked.map { "it asks for a pause of \(Int($0)) seconds: wait-quota waits so long" }
          ?? "see that it runs; what it answered is kept")
    }
    box.sleep(
      box.patience.pause(afterFailures: max(most, 1), asked: failed.compactMap(\.failure.pause).max()))
    waiting = failed.map(\.request) + waiting
    failed = []
  }
}
