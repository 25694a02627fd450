import Foundation
import QuenchSupport
import QuenchTorch
import Testing

@Suite("Tensor")
struct TensorTests {
  @Test("slices, strides and new axes are views of the same memory")
  func indexing() {
    let x = Tensor.arange(to: 24, dtype: .float32).reshaped([2, 3, 4])
    #expect(x[1, 2, 3].item() == 23)
    #expect(x[-1, 0].array(Int.self) == [12, 13, 14, 15])
    #expect(x[0, 1..<3, TensorIndex.every(2)].array(Int.self) == [4, 6, 8, 10])
    #expect(x[TensorIndex.newAxis, 0].shape == [1, 3, 4])
    #expect(x[1...].shape == [1, 3, 4])
    let row = x[0, 0]
    row.fill(with: -1)
    #expect(x[0, 0, 3].item() == -1)
    x[1, 0] = Tensor([Float(1), 2, 3, 4])
    #expect(x[1, 0].array(Int.self) == [1, 2, 3, 4])
    #expect(row.sharesStorage(with: x))
  }

  @Test("a Hessian-vector product equals the closed form")
  func hessianVectorProduct() {
    let x = Tensor([1.0, 2.0, 3.0]).requiringGrad()
    let v = Tensor([1.0, 0.5, -2.0])
    let gradient = grad(of: x.pow(3).sum() + x.sum().square(), withRespectTo: [x], createGraph: true)[0]
    let product = grad(of: (gradient * v).sum(), withRespectTo: [x])[0]
    // H = diag(6x) + 2·11ᵀ
    #expect(product.array(Double.self) == [5, 5, -37])
  }

  @Test("a generator's state brings its numbers back exactly, and names give independent streams")
  func generatorState() {
    let generator = Generator(seed: 7, for: "noise")
    _ = Tensor.normal([5], using: generator)
    let state = generator.state
    let first = Tensor.normal([100], using: generator)
    generator.state = state
    #expect(Tensor.normal([100], using: generator).isEqual(to: first))
    #expect(!Tensor.normal([100], using: Generator(seed: 7, for: "init")).isEqual(to: first))
  }

  @Test("what is no generator state is refused, and the generator goes on as before")
  func badGeneratorState() throws {
    let (generator, twin) = (Generator(seed: 7), Generator(seed: 7))
    let state = generator.state
    for wrong in [Tensor.zeros([3]), state[..<16], state.zerosLike(), state.to(.int64)] {
      let error = #expect(throws: InputError.self) { try generator.restore(wrong, from: "state.safetensors") }
      #expect(error?.description.hasPrefix("state.safetensors: not a generator state") == true)
    }
    #expect(Tensor.uniform([4], using: generator).isEqual(to: .uniform([4], using: twin)))
    try generator.restore(state, from: "state.safetensors")
    #expect(Tensor.uniform([4], using: generator).isEqual(to: .uniform([4], using: Generator(seed: 7))))
  }

  @Test("every tensor is given back when its last copy goes")
  func noLeak() async {
    await #expect(processExitsWith: .success) {
      func work() {
        let w = Tensor.normal([8, 4], using: Generator(seed: 1)).requiringGrad()
        for _ in 0..<10 {
          Tensor.ones([3, 4]).linear(w).relu().sum().backward()
          _ = Tensor.arange(to: 6).reshaped([2, 3]).unbound()
        }
      }
      work()
      #expect(Tensor.liveCount == 0)
    }
  }

  @Test("mistakes between tensors end the process with exit code 70 and both shapes")
  func mistake() async {
    let result = await #expect(processExitsWith: .exitCode(70), observing: [\.standardErrorContent]) {
      _ = Tensor.ones([2, 3]).matmul(.ones([2, 3]))
    }
    let text = result.map { String(decoding: $0.standardErrorContent, as: UTF8.self) } ?? ""
    #expect(text.contains("aten::matmul: [2, 3] float32 × [2, 3] float32"))
    #expect(text.split(separator: "\n").count == 1)
  }
}
