import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import Testing

@testable import QuenchSmoothing

@Suite("The Open Inference Protocol") struct OpenInferenceTests {
  private let model = InferenceModel(
    name: "box", version: "7", inputShape: [1, 2, 2],
    outputs: [.init(name: "logits", datatype: .float32, shape: [3])], largestBatch: 4)

  private func request(_ json: String, _ raw: Data = Data()) throws -> InferenceMessage {
    let text = Data(json.utf8)
    return try InferenceMessage(text + raw, headerLength: raw.isEmpty ? nil : text.count, .request)
  }

  private func json(_ shape: String, _ data: String, type: String = "FP32", name: String = "input") -> String {
    #"{"id": "a", "inputs": [{"name": "\#(name)", "shape": \#(shape), "datatype": "\#(type)", "data": \#(data)}]}"#
  }

  @Test("Flat and nested JSON and binary data give the same pixels")
  func forms() throws {
    let flat = try model.pixels(of: request(json("[1, 1, 2, 2]", "[0, 0.25, 0.5, 1]")))
    let nested = try model.pixels(of: request(json("[1, 1, 2, 2]", "[[[[0, 0.25], [0.5, 1]]]]")))
    let bytes = Tensor([0, 0.25, 0.5, 1] as [Float]).data()
    let header =
      #"{"inputs": [{"name": "input", "shape": [1,1,2,2], "datatype": "FP32", "parameters": {"binary_data_size": 16}}]}"#
    let binary = try model.pixels(of: request(header, bytes))
    let half = Tensor([0, 0.25, 0.5, 1] as [Float]).to(.float16).data()
    let halves = try model.pixels(
      of: request(header.replacing("FP32", with: "FP16").replacing("16}}", with: "8}}"), half))
    #expect(flat.data == bytes && nested.data == bytes && binary.data == bytes && halves.data == bytes)
    #expect(flat.count == 1)
  }

  @Test("A message that is written reads back the same, numbers to the last bit", arguments: [false, true])
  func roundTrip(binary: Bool) throws {
    let values = Tensor([0.1, 1.0 / 3, -1e-30, 3.4e38] as [Float], shape: [2, 2])
    let message = InferenceMessage(
      tensors: [InferenceTensor(values, named: "logits"), InferenceTensor(Tensor([1, -7]), named: "labels")],
      id: "x", modelName: "box", modelVersion: "7")
    let encoded = message.encoded(.response) { _ in binary }
    #expect((encoded.headerLength != nil) == binary)
    #expect(try InferenceMessage(encoded.body, headerLength: encoded.headerLength, .response) == message)
  }

  @Test("Outputs come in the form that was asked for, and only those that were asked for")
  func requestedOutputs() throws {
    let outputs = [InferenceTensor(Tensor([1, 2, 3] as [Float], shape: [1, 3]), named: "logits")]
    var asking = try request(json("[1, 1, 2, 2]", "[0, 0, 0, 0]"))
    #expect(model.response(to: asking, outputs).headerLength == nil)
    asking.wantsBinary = true
    #expect(model.response(to: asking, outputs).headerLength != nil)
    asking.requested = [.init(name: "logits", isBinary: false)]
    #expect(model.response(to: asking, outputs).headerLength == nil)
    let answer = model.response(to: asking, outputs)
    let record = try #require(try Value(json: answer.body, name: "answer").record)
    #expect(record["model_version"] == "7" && record["id"] == "a" && record["model_name"] == "box")
  }

  @Test(
    "What is wrong with a request is named",
    arguments: [
      (#"{"inputs": []}"#, "inputs: the message lacks its tensors (expected a list of 1 to 64)"), ("[]", "body"),
      ("{", "not valid JSON"),
      ("{\"x\": " + String(repeating: "[", count: 200), "nested over 100 levels"),
      (#"{"inputs": [{"name": "input", "shape": [1,1,2,2], "datatype": "FP99", "data": []}]}"#, "unknown datatype"),
      (#"{"inputs": [{"name": "input", "shape": [1,1,2,2], "datatype": "FP32"}]}"#, "has no data"),
      (#"{"inputs": [{"shape": [1]}]}"#, "has no name"),
      (
        #"{"inputs": [{"name": "input", "shape": [9223372036854775807, 2], "datatype": "FP32", "data": []}]}"#,
        "out of range"
      ),
      (#"{"inputs": [{"name": "input", "shape": [-1, 1, 2, 2], "datatype": "FP32", "data": []}]}"#, "out of range"),
      (
        #"{"inputs": [{"name": "input", "shape": [1,1,2,2], "datatype": "FP32", "data": [1, 2]}]}"#,
        "expected 4 numbers, found 2"
      ),
      (
        #"{"inputs": [{"name": "input", "shape": [1,1,2,2], "datatype": "FP32", "data": [1, 2, 3, 4, 5]}]}"#,
        "do not fit the shape"
      ),
      (
        #"{"inputs": [{"name": "input", "shape": [1,1,2,2], "datatype": "FP32", "data": ["a"]}]}"#,
        "other than numbers"
      ),
      (
        #"{"inputs": [{"name": "input", "shape": [1,1,2,2], "datatype": "FP32", "data": [NaN, 0, 0, 0]}]}"#,
        "not valid JSON"
      ),
      (
        #"{"inputs": [{"name": "input", "shape": [1,1,2,2], "datatype": "FP32", "data": [1e99, 0, 0, 0]}]}"#,
        "NaN or infinity"
      ),
      (
        #"{"inputs": [{"name": "input", "shape": [1,1,2,2], "datatype": "FP32", "data": [null, 0, 0, 0]}]}"#,
        "NaN or infinity"
      ),
      (
        #"{"inputs": [{"name": "input", "shape": [1,1,2,2], "datatype": "INT32", "data": [1, 0, 0, 0]}]}"#,
        "found INT32"
      ),
      (
        #"{"inputs": [{"name": "input", "shape": [1,1,2,2], "datatype": "UINT8", "data": [256, 0, 0, 0]}]}"#,
        "a number does not fit the type (expected UINT8, found '256')"
      ),
      (
        #"{"inputs": [{"name": "input", "shape": [1,1,2,2], "datatype": "FP32", "data": [0, 128, 255, 3]}]}"#,
        "look as if white were 255 (expected pixels in [0, 1], found 0.0 to 255.0); divide them by 255"
      ),
      (
        #"{"inputs": [{"name": "input", "shape": [1,1,2,2], "datatype": "FP32", "data": [1, 0, 0, 0]}], "outputs": [{"name": "logits", "parameters": {"classification": 0}}]}"#,
        "no whole number above 0 (found '0')"
      ),
      (
        #"{"inputs": [{"name": "x", "shape": [1,1,2,2], "datatype": "FP32", "data": [1, 0, 0, 0]}]}"#,
        "expected 'input', found 'x'"
      ),
      (
        #"{"inputs": [{"name": "input", "shape": [1,4], "datatype": "FP32", "data": [1, 0, 0, 0]}]}"#,
        "another shape"
      ),
      (#"{"inputs": [{"name": "input", "shape": [0,1,2,2], "datatype": "FP32", "data": []}]}"#, "another shape"),
      (
        #"{"inputs": [{"name": "input", "shape": [5,1,2,2], "datatype": "FP32", "data": [0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}]}"#,
        "too many images"
      ),
      (
        #"{"inputs": [{"name": "input", "shape": [1,1,2,2], "datatype": "FP32", "data": [1, 0, 0, 0]}], "outputs": [{"name": "y"}]}"#,
        "no such output"
      )
    ]) func mistakes(body: String, words: String) throws
  {
    #expect { _ = try model.pixels(of: request(body)) } throws: { "\($0)".contains(words) }
  }

  @Test("Bytes from 0 to 255 and the files of pictures give the pixels that they stand for", arguments: [1, 3])
  func pictures(channels: Int) throws {
    let model = InferenceModel(
      name: "box", version: "7", inputShape: [channels, 2, 3],
      outputs: [.init(name: "logits", datatype: .float32, shape: [3])], largestBatch: 4)
    let rows = (0..<6 * channels).map { UInt8(255 - 10 * $0) }
    let planes = (0..<channels).flatMap { channel in (0..<6).map { rows[$0 * channels + channel] } }
    let png = try PNG.encode(pixels: rows, width: 3, height: 2, channels: channels)
    let expected = planes.map { Float($0) / 255 }
    let tensors = [
      InferenceTensor(name: "input", shape: [1, channels, 2, 3], datatype: .uint8, data: Data(planes)),
      InferenceTensor([png], shape: [1], named: "input"), InferenceTensor([png], shape: [1, 1], named: "input"),
      InferenceTensor([Data(png.base64EncodedString().utf8)], shape: [1], named: "input")
    ]
    for (index, tensor) in tensors.enumerated() {
      for isBinary in [true, false] where isBinary || tensor.datatype == .uint8 || index == 3 {
        let encoded = InferenceMessage(tensors: [tensor]).encoded(.request) { _ in isBinary }
        let request = try InferenceMessage(
          encoded.body, headerLength: encoded.headerLength, .request, accept: model.accept)
        let (data, count) = try model.pixels(of: request)
        #expect(data == expected.withUnsafeBytes { Data($0) } && count == 1)
      }
    }
    func pixels(_ items: [Data], _ shape: [Int]) throws {
      _ = try model.pixels(of: InferenceMessage(tensors: [InferenceTensor(items, shape: shape, named: "input")]))
    }
    let large = try PNG.encode(pixels: rows, width: 2, height: 3, channels: channels)
    #expect { try pixels([png, large], [2]) } throws: {
      "\($0)".contains("picture 2: the picture has another size (expected 3 x 2, found 2 x 3)")
    }
    #expect { try pixels([Data("GIF89a".utf8)], [1]) } throws: { "\($0)".contains("picture 1") }
    #expect { try pixels([png, png], [1, 2]) } throws: { "\($0)".contains("expected [-1] files") }
  }

  @Test("Items of BYTES that do not fill their data are refused")
  func items() throws {
    for (size, raw) in [(7, [3, 0, 0, 0, 1, 2, 3]), (4, [9, 0, 0, 0]), (3, [1, 0, 0]), (4, [0, 0, 0, 0])] {
      let header =
        #"{"inputs": [{"name": "input", "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": \#(size)}}]}"#
      #expect { try request(header, Data(raw.map { UInt8($0) })) } throws: {
        "\($0)".contains("expected 2 elements, each behind its length")
      }
    }
  }

  @Test("The most likely classes are answered as Triton answers them", arguments: [false, true])
  func classification(binary: Bool) throws {
    let logits = InferenceTensor(Tensor([1, 3, 2, -1, 0.5, 0.5] as [Float], shape: [2, 3]), named: "logits")
    var asking = try request(json("[1, 1, 2, 2]", "[0, 0, 0, 0]"))
    for (count, expected) in [
      (2, ["3.0:1", "2.0:2", "0.5:1", "0.5:2"]),
      (9, ["3.0:1", "2.0:2", "1.0:0", "0.5:1", "0.5:2", "-1.0:0"])
    ] {
      asking.requested = [.init(name: "logits", isBinary: binary, classes: count)]
      let answer = model.response(to: asking, [logits])
      let tensor = try InferenceMessage(answer.body, headerLength: answer.headerLength, .response).tensors[0]
      #expect(tensor.datatype == .bytes && tensor.shape == [2, min(count, 3)])
      #expect(tensor.items?.map { String(decoding: $0, as: UTF8.self) } == expected)
    }
    let labels = InferenceModel(
      name: "safe", version: "7", inputShape: [1, 2, 2],
      outputs: [.init(name: "label", datatype: .int64, shape: [])], largestBatch: 4)
    asking.requested = [.init(name: "label", classes: 2)]
    #expect { _ = try labels.pixels(of: asking) } throws: { "\($0)".contains("the output has no classes") }
  }

  @Test("Of a tensor that the model does not take nothing is read, and of other values no more than a budget")
  func budget() throws {
    let body = Data(json("[4, 3, 2, 2]", "[\"never looked at\"]").utf8)
    #expect { try InferenceMessage(body, headerLength: nil, .request, accept: model.accept) } throws: {
      "\($0)".contains("another shape (expected [-1, 1, 2, 2], found [4, 3, 2, 2])")
    }
    let many = "[" + String(repeating: "[],", count: 30_000) + "[]]"
    for bomb in [
      #"{"parameters": \#(many), "inputs": []}"#,
      #"{"inputs": [{"name": "input", "shape": \#(many)}]}"#,
      "{\((0..<30_000).map { "\"\($0)\": 1" }.joined(separator: ","))}"
    ] {
      #expect { try request(bomb) } throws: { "\($0)".contains("the JSON has too many values") }
    }
    #expect { try request(json("[1, 1, 2, 2]", many)) } throws: { "\($0)".contains("expected 4 numbers, found 0") }
    let ignored = try request(#"{"extra": \#(many), \#(json("[1, 1, 2, 2]", "[0, 0, 0, 0]").dropFirst())"#)
    #expect(ignored.tensors.count == 1)
  }

  @Test("Binary data that are truncated, too long or of another size are refused")
  func truncated() throws {
    let header =
      #"{"inputs": [{"name": "input", "shape": [1,1,2,2], "datatype": "FP32", "parameters": {"binary_data_size": 16}}]}"#
    #expect { try request(header, Data(count: 15)) } throws: { "\($0)".contains("expected 16 bytes, found 15") }
    #expect { try request(header, Data(count: 17)) } throws: { "\($0)".contains("belong to no tensor") }
    #expect { try request(header.replacing("16}}", with: "12}}"), Data(count: 12)) } throws: {
      "\($0)".contains("expected 16 bytes, found 12")
    }
    #expect { try InferenceMessage(Data("{}".utf8), headerLength: 1 << 31, .request) } throws: {
      "\($0)".contains("longer than the message")
    }
    let nan = Tensor([.nan, 0, 0, 0] as [Float]).data()
    #expect { try model.pixels(of: request(header, nan)) } throws: { "\($0)".contains("NaN or infinity") }
  }

  @Test("Mutated messages are read or refused, never worse")
  func mutations() throws {
    let header =
      #"{"id":"a","inputs":[{"name":"input","shape":[1,1,2,2],"datatype":"FP32","parameters":{"binary_data_size":16}}],"outputs":[{"name":"logits"}]}"#
    let whole = Data(header.utf8) + Data(count: 16)
    var state: UInt64 = 99
    func random(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
    var read = 0
    for _ in 0..<3000 {
      var body = whole
      for _ in 0..<1 + random(4) {
        switch random(3) {
        case 0: body[body.startIndex + random(body.count)] = UInt8(random(256))
        case 1: body = body.prefix(1 + random(body.count))
        default: body.insert(UInt8(random(256)), at: body.startIndex + random(body.count))
        }
      }
      if (try? model.pixels(of: InferenceMessage(Data(body), headerLength: header.utf8.count, .request))) != nil {
        read += 1
      }
    }
    #expect(read < 3000)
  }

  @Test("The metadata name input and outputs with a free number of images")
  func metadata() {
    #expect(model.metadata["versions"] == ["7"])
    #expect(model.metadata["inputs"]?.array?.first?.record?["shape"] == [-1, 1, 2, 2])
    #expect(model.metadata["outputs"]?.array?.first?.record?["datatype"] == "FP32")
  }
}
