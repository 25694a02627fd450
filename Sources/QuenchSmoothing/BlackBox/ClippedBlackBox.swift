import QuenchTorch

/// A model that takes pixels in [0, 1] alone, shown others cut off at 0 and 1: what is asked, learned and certified is
/// this classifier, whose version says so.
public final class ClippedBlackBox: BlackBox {
  private let model: any BlackBox

  public init(_ model: any BlackBox) { self.model = model }

  public var feedback: Feedback { model.feedback }
  public var classes: Int { model.classes }
  public var answerShape: [Int] { model.answerShape }
  public var version: String { "\(model.version) clipped" }
  public var largestBatch: Int? { model.largestBatch }
  public var concurrency: Int { model.concurrency }

  public func answer(_ images: Tensor) throws -> Tensor { try model.answer(images.clamped(to: 0...1)) }
  public func send(_ images: Tensor) -> PendingAnswer { model.send(images.clamped(to: 0...1)) }
}
