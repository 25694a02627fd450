import Foundation
import QuenchSupport
import Testing

@testable import QuenchTorch
@testable import QuenchVision

@Suite("Distillation") struct DistillationTests {
  /// Logits are the two pixels, each times a factor.
  private func network(_ factors: [Float]) -> Network {
    var builder = ArchitectureBuilder(input: [2, 1, 1])
    _ = builder.linear("fc", builder.append("flatten", .flatten, builder.input), 2)
    let network = Network(builder.build("scaled"), seed: 1)
    withoutGradient {
      network.parameters[0].tensor.copy(from: Tensor([factors[0], 0, 0, factors[1]], shape: [2, 2]))
      network.parameters[1].tensor.fill(with: 0)
    }
    return network
  }

  @Test("adds T² times the divergence from the teacher's softened answers") func loss() {
    let images = Tensor([Float(0.5), 1], shape: [1, 2, 1, 1])
    let (teacher, student) = (network([4, 1]), network([1, 2]))
    let distillation = Distillation(teacher, share: 0.25, temperature: 2, batchSize: 1, precision: .float32)
    func probability(_ a: Double, _ b: Double) -> Double { 1 / (1 + exp((b - a) / 2)) }
    let (p, q) = (probability(2, 1), probability(0.5, 2))
    let divergence = p * log(p / q) + (1 - p) * log((1 - p) / (1 - q))
    let loss: Double = distillation.loss(Tensor([Float(3)]), student(images), images).item()
    #expect(abs(loss - (0.75 * 3 + 0.25 * 4 * divergence)) < 1e-5)
    let same: Double = distillation.loss(Tensor([Float(3)]), teacher(images), images).item()
    #expect(abs(same - 0.75 * 3) < 1e-5)
  }

  @Test("needs a teacher, and a share that is one", arguments: [("distillation", 0.5), ("temperature", 2.0)])
  func settings(name: String, value: Double) throws {
    let alone = try Train(settings: [name: .double(value)], name: "x")
    #expect(throws: InputError.self) { try alone.checked() }
    let taught = try Train(settings: [name: .double(value), "teacher": "net.safetensors"], name: "x").checked()
    #expect(taught.distillation.teacher == "net.safetensors")
    #expect(throws: InputError.self) {
      try Train(settings: ["teacher": "net.safetensors", "distillation": 1.5], name: "x").checked()
    }
  }
}
