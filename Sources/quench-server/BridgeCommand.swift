import ArgumentParser
import Foundation
import QuenchServer
import Smoothing
import Support

struct BridgeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bridge",
    abstract: "Answer on standard output what an Open Inference Protocol endpoint answers.",
    discussion: """
      Example:
        quench-server bridge http://host:8000/v2/models/box

      'quench defend train --endpoint' starts this program, tells it images and reads
      answers by the protocol of its --program. It sends every request once; whether
      to send it again is decided, and entered in the ledger, on the other side.
      """)

  @ArgumentParser.Argument(help: "http://host:port/v2/models/NAME")
  var url: String

  @Option(help: "What the model answers: logits, probabilities or labels.")
  var feedback = Feedback.logits

  @Option(help: "Requests at once.")
  var connections = 1

  @Option(help: "Seconds in which a request must be answered.")
  var timeout = 60.0

  @Option(help: ArgumentHelp("Holds the token that the endpoint asks for.", valueName: "file"), completion: .file())
  var tokenFile: String?

  @OptionGroup var endpoint: EndpointOptions

  @Option(help: ArgumentHelp("How many classes the model probably has.", valueName: "n"))
  var likelyClasses: Int?

  @Option(help: ArgumentHelp("Sides of the images that it will be asked about.", valueName: "c,h,w"))
  var images: NumberList?

  func validate() throws {
    guard connections > 0, timeout > 0 else {
      throw ValidationError("--connections and --timeout must be above 0.")
    }
  }

  func run() async throws {
    signal(SIGINT, SIG_IGN)  // Ctrl-C is for the program that asks; this one ends with its input
    signal(SIGPIPE, SIG_IGN)
    var hints = endpoint.hints
    hints.likelyClasses = likelyClasses
    let model = try await RemoteModel(
      url, timeout: timeout, feedback: feedback, token: try tokenFile.map { try BearerToken(contentsOf: $0) },
      authorities: endpoint.caFile, hints: hints)
    if let images { try model.check(images: images.values.map { Int($0) }) }
    let pipe = ProgramProtocol(input: .standardInput, output: .standardOutput)
    try pipe.greet(
      classes: model.classes, feedback: model.feedback, version: model.version, largestBatch: model.largestBatch,
      concurrency: connections)
    for try await (shape, answer) in Self.requests(pipe, model) {
      do { try pipe.answer(try await answer.value, shape: [shape[0]] + model.answerShape) } catch {
        try pipe.fail(error)
      }
    }
  }

  /// The requests in their order, each on its way to the model as soon as it is read.
  private static func requests(
    _ pipe: ProgramProtocol, _ model: RemoteModel
  ) -> AsyncThrowingStream<(shape: [Int], answer: Task<Data, any Error>), any Error> {
    AsyncThrowingStream { stream in
      Thread.detachNewThread {
        do {
          while let (shape, pixels) = try pipe.request() {
            stream.yield((shape, Task { try await model.answer(pixels, shape: shape) }))
          }
          stream.finish()
        } catch { stream.finish(throwing: error) }
      }
    }
  }
}

extension Feedback: ExpressibleByArgument {
  public init?(argument: String) {
    guard let feedback = Self.ofClassifiers.first(where: { $0.rawValue == argument }) else { return nil }
    self = feedback
  }

  public static var allValueStrings: [String] { ofClassifiers.map(\.rawValue) }
}
