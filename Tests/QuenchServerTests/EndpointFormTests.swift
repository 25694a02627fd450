import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTLS
import HummingbirdTesting
import NIOCore
import NIOSSL
import QuenchReporting
import QuenchSmoothing
import QuenchSupport
import QuenchTorch
import Synchronization
import TestSupport
import Testing

@testable import QuenchServer

@Suite("What an endpoint says of itself") struct EndpointFormTests {
  /// An endpoint that describes itself as it is told to, keeps what it got, and answers the mean of what it got.
  private final class Endpoint: Sendable {
    private let metadata: String
    private let configuration: String?
    private let output: String
    private let refuses: String?
    let got = Mutex<[InferenceTensor]>([])

    init(_ metadata: String, configuration: String? = nil, output: String = "y", refuses: String? = nil) {
      self.metadata = metadata
      self.configuration = configuration
      self.output = output
      self.refuses = refuses
    }

    func router() -> Router<BasicRequestContext> {
      let router = Router(context: BasicRequestContext.self)
      router.get("v2") { _, _ in #"{"name": "fake", "extensions": ["binary_tensor_data"]}"# }
      router.get("v2/models/box") { [metadata] _, _ in metadata }
      if let configuration { router.get("v2/models/box/config") { _, _ in configuration } }
      router.post("v2/models/box/infer") { request, _ in
        let length = HTTPField.Name("Inference-Header-Content-Length").flatMap { request.headers[$0] }
        let body = Data(try await request.body.collect(upTo: 1 << 20).readableBytesView)
        let tensor = try InferenceMessage(body, headerLength: length.flatMap { Int($0) }, .request).tensors[0]
        self.got.withLock { $0.append(tensor) }
        if let text = self.refuses {
          return Response(
            status: .badRequest, body: ResponseBody(byteBuffer: ByteBuffer(string: #"{"error": "\#(text)"}"#)))
        }
        let count = tensor.shape.count == 3 ? 1 : tensor.shape[0]
        let mean = tensor.tensor.to(.float32).reshaped([count, -1]).mean([1])
        let scores = Tensor.stacked([mean, 1 - mean, mean], 1)
        let answer = InferenceMessage(
          tensors: [
            InferenceTensor(Tensor.zeros([count, 5]), named: "embedding"),
            InferenceTensor(scores, named: self.output)
          ]
        ).encoded(.response) { _ in false }
        return Response(status: .ok, body: ResponseBody(byteBuffer: ByteBuffer(bytes: answer.body)))
      }
      return router
    }
  }

  private static func tensor(_ name: String, _ type: String, _ shape: [Int]) -> String {
    #"{"name": "\#(name)", "datatype": "\#(type)", "shape": \#(shape)}"#
  }

  private static func metadata(inputs: [String], outputs: [String]) -> String {
    #"{"name": "box", "inputs": [\#(inputs.joined(separator: ","))], "outputs": [\#(outputs.joined(separator: ","))]}"#
  }

  private static let scores = tensor("y", "FP32", [-1, 3])

  /// Two images of 2×3 pixels with two channels, 0 to 0.23.
  private static let pixels = (0..<24).map { Float($0) / 100 }.withUnsafeBytes { Data($0) }

  private static func trusting(_ authorities: String) -> EndpointForm {
    var form = EndpointForm()
    form.caFile = authorities
    return form
  }

  /// What the endpoint gets when it is asked about ``pixels``, and what it answers.
  private func ask(
    _ endpoint: Endpoint, _ form: EndpointForm = EndpointForm(), likelyClasses: Int? = nil, count: Int = 2
  ) async throws -> (tensor: InferenceTensor, scores: [Float]) {
    try await Application(router: endpoint.router()).test(.live) { client in
      let model = try await RemoteModel(
        "http://localhost:\(try #require(client.port))/v2/models/box", timeout: 30, form: form,
        likelyClasses: likelyClasses)
      #expect(model.classes == 3)
      let answer = try await model.answer(Self.pixels.prefix(48 * count), shape: [count, 2, 2, 3])
      return (
        try #require(endpoint.got.withLock { $0.last }),
        answer.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
      )
    }
  }

  @Test("Types and orders that it declares are honoured: UINT8, FP16, FP64, NHWC")
  func declared() async throws {
    for (type, shape, datatype) in [
      ("UINT8", [-1, 2, 3, 2], InferenceTensor.DataType.uint8), ("FP16", [-1, 2, 2, 3], .float16),
      ("FP64", [-1, 2, 3, 2], .float64), ("FP32", [-1, 2, 3, 2], .float32)
    ] {
      let metadata = Self.metadata(inputs: [Self.tensor("x", type, shape)], outputs: [Self.scores])
      let tensor = try await ask(Endpoint(metadata)).tensor
      #expect(tensor.datatype == datatype && tensor.shape == [2] + shape.dropFirst() && tensor.name == "x")
      let isLast = shape[3] == 2
      let factor = type == "UINT8" ? 255.0 : 1
      let found = tensor.tensor.to(.float32).array(Float.self)
      for (image, channel, row, column) in [(0, 0, 0, 1), (0, 1, 0, 2), (1, 1, 1, 0)] {
        let place =
          isLast ? ((image * 2 + row) * 3 + column) * 2 + channel : ((image * 2 + channel) * 2 + row) * 3 + column
        let value = Double(((image * 2 + channel) * 2 + row) * 3 + column) / 100 * factor
        #expect(abs(Double(found[place]) - (type == "UINT8" ? value.rounded() : value)) < 1e-3)
      }
    }
  }

  @Test("Noise beyond 0 and 255 is cut off where whole numbers are wanted")
  func wholeNumbers() {
    let pixels = ([-0.5, 0, 1, 1.7] as [Float]).withUnsafeBytes { Data($0) }
    let tensor = PixelForm(datatype: .uint8).tensor(named: "x", pixels, shape: [1, 1, 2, 2])
    #expect(Array(tensor.data) == [0, 0, 255, 255])
  }

  @Test("Scale, mean and deviation are applied by channel: (scale · x - mean) / deviation")
  func units() async throws {
    var form = EndpointForm()
    (form.scale, form.mean, form.std) = (10, [1, 2], [2, 4])
    let metadata = Self.metadata(inputs: [Self.tensor("x", "FP32", [-1, 2, 2, 3])], outputs: [Self.scores])
    let found = try await ask(Endpoint(metadata), form).tensor.tensor.array(Float.self)
    #expect(abs(found[1] - (0.1 - 1) / 2) < 1e-6 && abs(found[8] - (0.8 - 2) / 4) < 1e-6)
    form.mean = [1, 2, 3]
    await #expect { _ = try await ask(Endpoint(metadata), form) } throws: {
      "\($0)".contains("mean: the images have another number of channels (expected 1 or 2 numbers, found 3)")
    }
  }

  @Test("Empty metadata are helped by flags, and say which are needed")
  func empty() async throws {
    let empty = Self.metadata(inputs: [], outputs: [])
    var form = EndpointForm()
    (form.input, form.classes, form.layout) = ("pixels", 3, .nhwc)
    let (tensor, scores) = try await ask(Endpoint(empty), form)
    #expect(tensor.name == "pixels" && tensor.shape == [2, 2, 3, 2] && scores.count == 6)
    form.input = nil
    await #expect { _ = try await ask(Endpoint(empty), form) } throws: { "\($0)".contains("with `input`") }
    form.classes = nil
    await #expect { _ = try await ask(Endpoint(empty), form) } throws: { "\($0)".contains("`classes`") }
  }

  @Test("The output for classes is found behind an embedding, and may be named")
  func outputs() async throws {
    let outputs = [Self.tensor("embedding", "FP32", [-1, 5]), Self.tensor("y", "FP32", [-1, 3])]
    let metadata = Self.metadata(inputs: [Self.tensor("x", "FP32", [-1, 2, 2, 3])], outputs: outputs)
    await #expect { _ = try await ask(Endpoint(metadata)) } throws: {
      "\($0)".contains("several outputs of the endpoint may be the classes") && "\($0)".contains("`output`")
    }
    for name in [nil, "y"] {
      var form = EndpointForm()
      form.output = name
      let scores = try await ask(Endpoint(metadata), form, likelyClasses: name == nil ? 3 : nil).scores
      #expect(abs(scores[0] - scores[2]) < 1e-6 && abs(scores[0] + scores[1] - 1) < 1e-6)
    }
    var form = EndpointForm()
    form.output = "z"
    await #expect { _ = try await ask(Endpoint(metadata), form) } throws: {
      "\($0)".contains("has no such output") && "\($0)".contains("'y'")
    }
  }

  @Test("Triton's configuration tells the largest batch, none at all, and the order of pixels")
  func configuration() async throws {
    let batched = Self.metadata(inputs: [Self.tensor("x", "FP32", [-1, -1, -1, -1])], outputs: [Self.scores])
    let endpoint = Endpoint(
      batched, configuration: #"{"max_batch_size": 8, "input": [{"name": "x", "format": "FORMAT_NHWC"}]}"#)
    #expect(try await ask(endpoint).tensor.shape == [2, 2, 3, 2])
    try await Application(router: endpoint.router()).test(.live) { client in
      let model = try await RemoteModel("http://localhost:\(try #require(client.port))/v2/models/box", timeout: 30)
      #expect(model.largestBatch == 8)
    }
    let single = Self.metadata(
      inputs: [Self.tensor("x", "FP32", [2, 2, 3])], outputs: [Self.tensor("y", "FP32", [3])])
    let alone = Endpoint(single, configuration: #"{"max_batch_size": 0}"#)
    #expect(try await ask(alone, count: 1).tensor.shape == [2, 2, 3])
    await #expect(throws: TooManyImages.self) { _ = try await ask(alone) }
    // Without such a configuration the number of images is only left out of the description.
    #expect(try await ask(Endpoint(single)).tensor.shape == [2, 2, 2, 3])
  }

  @Test("Images of another shape, and types that are no pixels, are told")
  func unfit() async throws {
    for (tensor, words) in [
      (
        Self.tensor("x", "FP32", [-1, 3, 32, 32]), "images of another shape (expected [3, 32, 32], found [2, 2, 3])"
      ),
      (Self.tensor("x", "BYTES", [-1]), "is no image's (expected UINT8, FP16, FP32, FP64, found 'BYTES')")
    ] {
      let endpoint = Endpoint(Self.metadata(inputs: [tensor], outputs: [Self.scores]))
      await #expect { _ = try await ask(endpoint) } throws: { "\($0)".contains(words) }
      #expect(endpoint.got.withLock { $0.isEmpty })
    }
  }

  @Test("A refusal of pixels outside [0, 1] names the flag that cuts them off")
  func clipping() async throws {
    let metadata = Self.metadata(inputs: [Self.tensor("x", "FP32", [-1, 2, 2, 3])], outputs: [Self.scores])
    let endpoint = Endpoint(metadata, refuses: "pixel out of range")
    try await Application(router: endpoint.router()).test(.live) { client in
      let model = try await RemoteModel("http://localhost:\(try #require(client.port))/v2/models/box", timeout: 30)
      let noisy = [Float](repeating: -0.25, count: 12).withUnsafeBytes { Data($0) }
      await #expect { _ = try await model.answer(noisy, shape: [1, 2, 2, 3]) } throws: {
        "\($0)".contains("400 pixel out of range") && "\($0)".contains("`clip`")
      }
      await #expect { _ = try await model.answer(Self.pixels, shape: [2, 2, 2, 3]) } throws: {
        !"\($0)".contains("`clip`")
      }
    }
  }

  // MARK: - TLS

  /// A certificate for localhost that signed itself, as `openssl req -x509` makes one; nil where there is no openssl.
  private func certificate(in folder: TemporaryFolder, _ more: [String]) throws -> ServerCertificate? {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    let (chain, key) = (folder / "cert.pem", folder / "key.pem")
    process.arguments =
      [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key.path, "-out",
        chain.path
      ]
      + more
    process.standardError = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    return process.terminationStatus == 0 ? .init(chain: chain.path, key: key.path) : nil
  }

  @Test(
    "Our own certificate serves our own client, once it is named; else a sentence says what to do",
    arguments: [
      ["-subj", "/CN=localhost"], ["-subj", "/CN=box", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    ])
  func ownCertificate(subject: [String]) async throws {
    let folder = try TemporaryFolder()
    guard let certificate = try certificate(in: folder, subject) else { return }
    let metadata = Self.metadata(inputs: [Self.tensor("x", "FP32", [-1, 2, 2, 3])], outputs: [Self.scores])
    let application = Application(
      router: Endpoint(metadata).router(), server: try .tls(.http1(), tlsConfiguration: certificate.configuration())
    )
    try await application.test(.live) { client in
      let port = try #require(client.port)
      let url = "https://localhost:\(port)/v2/models/box"
      #expect(try await RemoteModel(url, timeout: 30, form: Self.trusting(certificate.chain)).classes == 3)
      await #expect { _ = try await RemoteModel(url, timeout: 30) } throws: {
        "\($0)".contains("not signed by an authority that this machine trusts") && "\($0)".contains("`ca-file`")
          && !"\($0)".contains("Error")
      }
      let address = "https://127.0.0.1:\(port)/v2/models/box"
      if subject.count > 2 {
        #expect(try await RemoteModel(address, timeout: 30, form: Self.trusting(certificate.chain)).classes == 3)
      } else {
        await #expect {
          _ = try await RemoteModel(address, timeout: 30, form: Self.trusting(certificate.chain))
        } throws: {
          "\($0)".contains("the endpoint's certificate is for another host")
        }
      }
      await #expect { _ = try await RemoteModel(url, timeout: 30, form: Self.trusting(certificate.key)) } throws: {
        "\($0)".contains("ca-file: the certificates cannot be read")
      }
    }
    try await Application(router: Endpoint(metadata).router()).test(.live) { client in
      let url = "https://localhost:\(try #require(client.port))/v2/models/box"
      await #expect { _ = try await RemoteModel(url, timeout: 30) } throws: {
        "\($0)".contains("does not speak TLS there")
      }
    }
  }
}
