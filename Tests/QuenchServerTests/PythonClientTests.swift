import Foundation
import HummingbirdTesting
import QuenchReporting
import QuenchSmoothing
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@testable import QuenchServer

@Suite("A client in Python") struct PythonClientTests {
  private static let python = ["/usr/bin/python3", "/usr/local/bin/python3", "/opt/homebrew/bin/python3"]
    .first(where: FileManager.default.isExecutableFile)

  /// Sends a file of float32 pixels in both forms, with the standard library alone, and prints the logits.
  private static let client = """
    import json, struct, sys, urllib.request
    url, path, shape = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    pixels = open(path, "rb").read()
    model = json.load(urllib.request.urlopen(url))
    tensor = {"name": model["inputs"][0]["name"], "shape": shape, "datatype": "FP32"}

    def post(body, headers):
        return urllib.request.urlopen(urllib.request.Request(url + "/infer", body, headers))

    data = list(struct.unpack(f"<{len(pixels) // 4}f", pixels))
    body = json.dumps({"id": "1", "inputs": [tensor | {"data": data}]}).encode()
    by_json = json.load(post(body, {"Content-Type": "application/json"}))
    header = json.dumps({
        "inputs": [tensor | {"parameters": {"binary_data_size": len(pixels)}}],
        "outputs": [{"name": "logits", "parameters": {"binary_data": True}}],
    }).encode()
    response = post(header + pixels, {"Inference-Header-Content-Length": str(len(header))})
    length = int(response.headers["Inference-Header-Content-Length"])
    raw = response.read()
    output = json.loads(raw[:length])["outputs"][0]
    values = struct.unpack(f"<{output['parameters']['binary_data_size'] // 4}f", raw[length:])
    print(json.dumps({"json": by_json["outputs"][0]["data"], "binary": values, "shape": output["shape"],
                      "id": by_json["id"]}))
    """

  @Test(
    "gets the plan's logits to the last bit, in JSON and in binary",
    .enabled(if: python != nil, "there is no python3"))
  func logits() async throws {
    let folder = try TemporaryFolder()
    let weights = folder / "model.safetensors"
    try ModelFile(Network(.smallCNN(input: [1, 8, 8], classes: 4), seed: 3)).write(to: weights)
    let images = Tensor.uniform([3, 1, 8, 8], using: Generator(seed: 1))
    try images.data().write(to: folder / "pixels")
    try Data(Self.client.utf8).write(to: folder / "client.py")
    let plan = InferencePlan(try ModelFile(contentsOf: weights).network, batchSize: 16, dtype: .float32)
    let expected = withoutGradient { plan(images) }.array(Double.self)

    let served = ServedModel(name: "box", source: .weights(weights.path), batchSize: 16)
    let thread = try ModelThread(metrics: ServerMetrics()) { try served.load() }
    let app = try InferenceServer(thread, metrics: ServerMetrics()).application()
    try await app.test(.live) { client in
      let port = try #require(client.port)
      let output = try await Self.run([
        (folder / "client.py").path, "http://localhost:\(port)/v2/models/box",
        (folder / "pixels").path, "[3, 1, 8, 8]"
      ])
      let answer = try #require(try Value(json: output, name: "client").record)
      #expect(answer["shape"] == [3, 4] && answer["id"] == "1")
      for form in ["json", "binary"] {
        #expect(try #require(answer[form]?.array).compactMap(\.number) == expected, "\(form)")
      }
    }
  }

  /// The standard output of Python with `arguments`.
  private static func run(_ arguments: [String]) async throws -> Data {
    let process = Process()
    process.executableURL = URL(filePath: try #require(python))
    process.arguments = arguments
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    return await withCheckedContinuation { continuation in
      Thread.detachNewThread {
        continuation.resume(returning: output.fileHandleForReading.readDataToEndOfFile())
        process.waitUntilExit()
      }
    }
  }
}
