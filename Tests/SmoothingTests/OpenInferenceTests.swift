import Foundation
import Reporting
import Support
import Testing
import Torch

@testable import Smoothing

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
      (String(repeating: "[", count: 5000), "nested over 100 levels"),
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
        #"{"inputs": [{"name": "input", "shape": [1,1,2,2], "datatype": "UINT8", "data": [1, 0, 0, 0]}]}"#,
        "expected FP32, found UINT8"
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
