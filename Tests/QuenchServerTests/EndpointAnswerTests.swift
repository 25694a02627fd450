import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import NIOCore
import QuenchSmoothing
import QuenchSupport
import QuenchTorch
import Synchronization
import Testing

@testable import QuenchServer

@Suite("What an endpoint answers") struct EndpointAnswerTests {
  /// An endpoint that answers the n-th request, from 1 on, as it is told to, and keeps the requests' bodies.
  private final class Endpoint: Sendable {
    private let answer: @Sendable (Int, Request) -> Response
    private let output: String
    let bodies = Mutex<[Data]>([])

    init(
      output: String = #"{"name": "y", "datatype": "FP32", "shape": [-1, 3]}"#,
      answer: @escaping @Sendable (Int, Request) -> Response
    ) {
      self.output = output
      self.answer = answer
    }

    var requests: Int { bodies.withLock { $0.count } }

    func application() -> some ApplicationProtocol {
      let router = Router(context: BasicRequestContext.self)
      router.get("v2/models/box") { [output] _, _ in
        #"{"name": "box", "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 1, 2, 2]}], "outputs": [\#(output)]}"#
      }
      router.get("v2/models/moved") { _, _ in Self.text("", .permanentRedirect, to: "/v2/models/box") }
      for path in ["v2/models/box/infer", "elsewhere"] {
        router.post(RouterPath(path)) { request, _ in
          let body = Data(try await request.body.collect(upTo: 1 << 20).readableBytesView)
          let number = self.bodies.withLock { bodies in
            bodies.append(body)
            return bodies.count
          }
          return self.answer(number, request)
        }
      }
      return Application(router: router)
    }

    static func text(_ text: String, _ status: HTTPResponse.Status = .ok, to location: String? = nil) -> Response {
      var headers = HTTPFields()
      headers[.location] = location
      return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }
  }

  private static let scores =
    #"{"outputs": [{"name": "y", "datatype": "FP32", "shape": [2, 3], "data": [1, 2, 3, 4, 5, 6]}]}"#

  private func ask(
    _ endpoint: Endpoint, _ name: String = "box", feedback: Feedback = .logits
  ) async throws -> Data {
    try await endpoint.application().test(.live) { client in
      let model = try await RemoteModel(
        "http://localhost:\(try #require(client.port))/v2/models/\(name)", timeout: 30, feedback: feedback,
        likelyClasses: 3)
      return try await model.answer(Data(count: 32), shape: [2, 1, 2, 2])
    }
  }

  private func floats(_ data: Data) -> [Float] { data.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) } }

  @Test("A request is sent on, with its images, to where the same server says", arguments: [307, 308])
  func redirects(code: Int) async throws {
    let endpoint = Endpoint { _, request in
      request.uri.path == "/elsewhere"
        ? Endpoint.text(Self.scores) : Endpoint.text("", .init(code: code), to: "/elsewhere")
    }
    #expect(floats(try await ask(endpoint)) == [1, 2, 3, 4, 5, 6])
    let bodies = endpoint.bodies.withLock { $0 }
    #expect(bodies.count == 2 && bodies[0] == bodies[1])
  }

  @Test("Redirects to another server, without the images or in circles are told, and not followed")
  func otherRedirects() async throws {
    for (code, location, words, requests) in [
      (307, "http://example.invalid/v2/models/box/infer", "sends requests to another server: 307", 1),
      (308, "https://localhost/v2/models/box/infer", "sends requests to another server: 308", 1),
      (302, "/elsewhere", "sends requests elsewhere, without their images: 302", 1),
      (307, "/elsewhere", "sends requests in circles: 307", 6)
    ] {
      let endpoint = Endpoint { _, _ in Endpoint.text("", .init(code: code), to: location) }
      await #expect { _ = try await ask(endpoint) } throws: {
        $0 is InputError && "\($0)".contains(words) && "\($0)".contains("'\(location)'")
      }
      #expect(endpoint.requests == requests)
    }
    let endpoint = Endpoint { _, _ in Endpoint.text(Self.scores) }
    await #expect { _ = try await ask(endpoint, "moved") } throws: { "\($0)".contains("404") }
  }

  @Test(
    "An answer that cannot be read may be given better when it is asked for again",
    arguments: [#"{"outputs": [{"name": "y", "datatype": "FP"#, "<html>ok</html>", ""])
  func unreadable(text: String) async throws {
    let error = await #expect(throws: TemporaryFailure.self) {
      _ = try await ask(Endpoint { _, _ in Endpoint.text(text) })
    }
    #expect(error?.problem.contains("the answer cannot be read") == true && error?.wasSent == true)
  }

  @Test("A score alone is no classifier's answer, and no label either")
  func oneScore() async throws {
    let text = #"{"outputs": [{"name": "y", "datatype": "FP32", "shape": [2, 1], "data": [0.5, 0.25]}]}"#
    await #expect { _ = try await ask(Endpoint { _, _ in Endpoint.text(text) }) } throws: {
      "\($0)".contains("(expected [2, 3], found [[2, 1]])") && !"\($0)".contains("`feedback`")
    }
  }

  @Test("Outputs of types that nobody asked for stand in nobody's way")
  func otherOutputs() async throws {
    let other = #"{"name": "z", "datatype": "BF16", "shape": [1], "parameters": {"binary_data_size": 2}}"#
    let text = #"{"outputs": [{"name": "u", "datatype": "UINT32", "shape": [2], "data": [1, 2]}, \#(other), "#
    let scores = try await ask(Endpoint { _, _ in Endpoint.text(text + Self.scores.dropFirst(13)) })
    #expect(floats(scores) == [1, 2, 3, 4, 5, 6])
    await #expect { _ = try await ask(Endpoint { _, _ in Endpoint.text(text.dropLast(2) + "]}") }) } throws: {
      "\($0)".contains("another number of images or classes")
    }
  }

  @Test("A request carries an identifier of its own, without which some servers have no answer")
  func identifier() async throws {
    let endpoint = Endpoint { number, _ in
      number == 1 ? Endpoint.text("", .temporaryRedirect, to: "/elsewhere") : Endpoint.text(Self.scores)
    }
    _ = try await ask(endpoint)
    _ = try await ask(endpoint)
    let identifiers = try endpoint.bodies.withLock { bodies in
      try bodies.map { try InferenceMessage($0, headerLength: nil, .request).id }
    }
    #expect(identifiers.count == 3 && !identifiers.contains(nil) && Set(identifiers).count == 2)
  }

  @Test(
    "A model may tell the best class alone, as whole numbers of any type",
    arguments: [#""INT64", "shape": [2]"#, #""INT32", "shape": [2, 1]"#, #""FP32", "shape": [2]"#])
  func labels(head: String) async throws {
    func endpoint(_ labels: String) -> Endpoint {
      Endpoint(output: #"{"name": "y", "datatype": "INT64", "shape": [-1]}"#) { _, _ in
        Endpoint.text(#"{"outputs": [{"name": "y", "datatype": \#(head), "data": \#(labels)}]}"#)
      }
    }
    let labels = try await ask(endpoint("[2, 0]"), feedback: .labels)
    #expect(labels.withUnsafeBytes { Array($0.bindMemory(to: Int64.self)) } == [2, 0])
    await #expect { _ = try await ask(endpoint("[2, 3]"), feedback: .labels) } throws: {
      "\($0)".contains("something other than labels (expected whole numbers below 3")
    }
    await #expect { _ = try await ask(endpoint("[2, 0]")) } throws: { "\($0)".contains("say `feedback` labels") }
  }
}
