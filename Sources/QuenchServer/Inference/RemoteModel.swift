import Foundation
import QuenchReporting
import QuenchSmoothing
import QuenchSupport

/// A model behind an endpoint that speaks the Open Inference Protocol, as KServe, Triton, TorchServe and MLServer do.
public struct RemoteModel: Sendable {
  private let connection: EndpointConnection
  private let base: String
  private let description: EndpointDescription
  private let isBinary: Bool
  private let modelVersion: String?
  /// The model's name and version, which must not change while it is asked, and what changes its pixels' values.
  public let version: String
  /// What it answers.
  public let feedback: Feedback
  /// The classes that its answers tell apart.
  public var classes: Int { description.classes }
  /// The shape of the answer to one image.
  public var answerShape: [Int] { feedback == .labels ? [] : [classes] }
  /// The most images in a request, where its metadata or its configuration say so.
  public var largestBatch: Int? { description.largestBatch }

  /// Asks the endpoint what it is.
  /// - Parameters:
  ///   - url: `http://host:port/v2/models/NAME`, with or without `/versions/VERSION`.
  ///   - timeout: Seconds in which a request must be answered.
  ///   - feedback: What it answers: no images.
  ///   - token: What every request carries, where the endpoint asks for it.
  ///   - form: What is told of it where its metadata do not say it.
  ///   - likelyClasses: How many classes it probably has, where nothing says so.
  /// - Throws: `InputError` if it cannot be reached, or does not describe a classifier of images.
  public init(
    _ url: String, timeout: Double, feedback: Feedback = .logits, token: BearerToken? = nil,
    form: EndpointForm = EndpointForm(), likelyClasses: Int? = nil
  ) async throws {
    let base = url.hasSuffix("/") ? String(url.dropLast()) : url
    guard let models = base.range(of: "/v2/models/") else {
      throw InputError(
        "this is no model of the Open Inference Protocol", at: url, expected: "http://host:port/v2/models/NAME")
    }
    connection = try EndpointConnection(timeout: timeout, token: token, authorities: form.caFile)
    self.base = base
    self.feedback = feedback
    let metadata = try await connection.get(base) ?? [:]
    // Triton alone has these, and many have no list of extensions.
    let configuration = try? await connection.get("\(base)/config")
    let server = try? await connection.get(base[..<models.lowerBound] + "/v2")
    description = try EndpointDescription(
      metadata, configuration: configuration ?? [:], form, likelyClasses: likelyClasses, at: base)
    modelVersion = metadata["versions"]?.array?.last?.string
    let modelName = metadata["name"]?.string ?? String(base[models.upperBound...])
    let units = description.units
    version = (modelVersion.map { "\(modelName):\($0)" } ?? modelName) + (units.isEmpty ? "" : " (\(units))")
    isBinary = server?["extensions"]?.array?.contains("binary_tensor_data") ?? false
  }

  /// - Throws: `InputError` if it takes no images `[C, H, W]`, where it says what it takes.
  public func check(images shape: [Int]) throws(InputError) { _ = try description.form(for: shape, at: base) }

  /// The answers to float32 pixels of shape `[N, C, H, W]`: bytes of `[N, classes]`, float32, or of labels `[N]`, int64.
  /// - Throws: `TemporaryFailure` where the endpoint may answer later, `TooManyImages` where it may answer less,
  ///   `InputError` where it refuses the request, answers what it must not, or has become another version.
  public func answer(_ pixels: Data, shape: [Int]) async throws -> Data {
    let form = try description.form(for: Array(shape.dropFirst()), at: base)
    guard form.isBatched || shape[0] == 1 else { throw TooManyImages("it takes one image at a time", limit: 1) }
    // Where a request has none, some servers have no answer either.
    var message = InferenceMessage(
      tensors: [form.tensor(named: description.input, pixels, shape: shape)], id: UUID().uuidString)
    if let output = description.output {
      message.requested = [.init(name: output, isBinary: isBinary ? true : nil)]
    } else {
      message.wantsBinary = isBinary
    }
    let encoded = message.encoded(.request) { _ in isBinary }
    let answer: EndpointConnection.Answer
    do {
      answer = try await connection.post(encoded.body, headerLength: encoded.headerLength, to: base + "/infer")
    } catch let refusal as InputError {
      throw Self.explained(refusal, pixels)
    } catch let excess as TooManyImages where shape[0] == 1 {
      throw Self.explained(InputError("the endpoint refuses a single image: \(excess)", at: base), pixels)
    }
    let reply: InferenceMessage
    do { reply = try InferenceMessage(response: answer.body, headerLength: answer.headerLength) } catch {
      // What stands between may cut an answer short, or put a page of its own in its place.
      throw TemporaryFailure("the answer cannot be read: \(error)")
    }
    return try numbers(reply, count: shape[0])
  }

  private func numbers(_ answer: InferenceMessage, count: Int) throws(InputError) -> Data {
    if let found = answer.modelVersion, let expected = modelVersion, found != expected {
      throw InputError(
        "the endpoint has become another version", at: base, expected: expected, found: found,
        remedy: "ask one version: \(base)/versions/\(expected)")
    }
    let shape = feedback == .labels ? [count] : [count, classes]
    func fits(_ tensor: InferenceTensor) -> Bool { tensor.shape.filter { $0 != 1 } == shape.filter { $0 != 1 } }
    let tensor =
      description.output.map { name in answer.tensors.first { $0.name == name && fits($0) } }
      ?? answer.tensors.first(where: fits)
    guard let tensor else {
      let isOfLabels = answer.tensors.contains { tensor in
        tensor.shape.filter { $0 != 1 } == [count].filter { $0 != 1 } && tensor.labels != nil
      }
      throw InputError(
        "the endpoint answers another number of images or classes", at: base, expected: "\(shape)",
        found: "\(answer.tensors.map(\.shape))",
        remedy: isOfLabels && feedback != .labels ? "if it tells the best class alone, say `feedback` labels" : nil)
    }
    guard feedback == .labels else {
      guard let numbers = tensor.floats else {
        throw InputError(
          "the endpoint answers whole numbers", at: base, expected: feedback.rawValue,
          remedy: "if they are classes, say `feedback` labels")
      }
      return numbers.withUnsafeBytes { Data($0) }
    }
    guard let labels = tensor.labels, labels.allSatisfy((0..<Int64(classes)).contains) else {
      throw InputError(
        "the endpoint answers something other than labels", at: base, expected: "whole numbers below \(classes)",
        found: tensor.datatype.rawValue)
    }
    return labels.withUnsafeBytes { Data($0) }
  }

  /// Why the endpoint could not answer now; nil: it says that it is ready.
  public func problem() async -> String? { await connection.problem(at: "\(base)/ready") }

  /// A refusal that names pixels outside [0, 1], where some are.
  private static func explained(_ refusal: InputError, _ pixels: Data) -> InputError {
    let isOutside = pixels.withUnsafeBytes { bytes in
      bytes.assumingMemoryBound(to: Float.self).contains { !(0...1).contains($0) }
    }
    guard refusal.remedy == nil, isOutside else { return refusal }
    var refusal = refusal
    refusal.remedy = "some pixels lie outside [0, 1], as noise makes them: `clip` cuts them off"
    return refusal
  }
}
