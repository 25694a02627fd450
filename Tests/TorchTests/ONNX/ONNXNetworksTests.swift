import Foundation
import QuenchTorch
import TestSupport
import Testing

@Suite("ONNX networks beside onnxruntime") struct ONNXNetworksTests {
  /// At least sixteen of many are equal to rounding; where a network magnifies that, its logits stay close.
  @Test(
    "compute the same logits, in a folder of many",
    .enabled(
      if: NetworkFolder.onnx.isPresent,
      "QUENCH_ONNX_NETWORKS names no folder that scripts/reference_onnx.py wrote"))
  func folder() throws {
    var equal = 0
    for url in NetworkFolder.onnx.files {
      let name = url.deletingPathExtension().lastPathComponent
      do {
        let figures = try StateDictionary.load(
          url.deletingPathExtension().appendingPathExtension("safetensors"), expecting: 1 << 20)
        let start = Date()
        let model = try ONNXModel(contentsOf: url)
        let seconds = Date().timeIntervalSince(start)
        let images = try #require(figures["images"]).requiringGrad()
        let logits = try model.network.evaluate(images)
        let gradient = try #require(gradients(of: [logits.square().sum()], withRespectTo: [images])[0])
        let (expected, found) = (try #require(figures["logits"]).to(.float64), logits.detached().to(.float64))
        let scale = expected.abs().max().item()
        func distance(_ a: Tensor, _ b: Tensor) -> Double { (a - b).abs().max().item() / scale }
        let far = distance(found, expected)
        var line = String(format: "%.1e", far)
        if let exact = figures["exact"] {
          line += String(format: ", from float64 %.1e", distance(found, exact))
          line += String(format: ", onnxruntime's %.1e", distance(expected, exact))
        }
        if far <= 1e-5 { equal += 1 }
        let nodes = model.network.graph.nodes.count
        print("onnx \(name): \(nodes) nodes, \(line), \(seconds) s", model.notes)
        #expect(found.shape == expected.shape && far <= 2e-4, "\(name)")
        #expect(gradient.isFinite().logicalNot().to(.float32).sum().item() == 0, "\(name)")
      } catch { Issue.record("\(name): \(error)") }
    }
    #expect(equal >= min(16, NetworkFolder.onnx.files.count), "\(equal) of \(NetworkFolder.onnx.files.count)")
  }
}
