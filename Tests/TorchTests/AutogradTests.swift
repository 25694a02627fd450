import Foundation
import QuenchTorch
import Synchronization
import Testing

@Suite("Autograd")
struct AutogradTests {
  @Test("gradients of gradients through convolution, batch norm, ReLU and cross-entropy equal PyTorch's")
  func doubleBackward() throws {
    let figures = try TrainingReference.load()
    let images = try figures.images.tensor.requiringGrad()
    let leaves = [images] + (try figures.parameters()).map(\.tensor)
    let loss = TrainingReference.loss(images, try figures.labels.tensor, Array(leaves.dropFirst()))
    let first = grad(of: loss, withRespectTo: leaves, createGraph: true)
    let penalty = first.reduce(Tensor(0, dtype: .float64)) { $0 + $1.square().sum() }
    let second = grad(of: penalty, withRespectTo: leaves)
    #expect(abs(penalty.item() - figures.penalty) < 1e-12)
    for (gradient, figure) in zip(first, figures.gradients) { #expect(figure.matches(gradient)) }
    for (gradient, figure) in zip(second, figures.secondGradients) { #expect(figure.matches(gradient)) }
  }

  @Test("backward adds to the gradient until it is dropped")
  func accumulation() {
    let x = Tensor([1.0, 2.0]).requiringGrad()
    x.square().sum().backward()
    x.square().sum().backward()
    #expect(x.gradient?.array(Double.self) == [4, 8])
    x.gradient = nil
    x.square().backward(seed: Tensor([1.0, -1.0]))
    #expect(x.gradient?.array(Double.self) == [2, -4])
  }

  @Test("an input that the output does not depend on has no gradient, or zeros where asked for all")
  func unused() {
    let (x, y) = (Tensor([1.0]).requiringGrad(), Tensor([1.0, 2.0]).requiringGrad())
    #expect(gradients(of: [x.sum()], withRespectTo: [x, y]).map { $0 == nil } == [false, true])
    #expect(grad(of: x.sum(), withRespectTo: [y])[0].array(Double.self) == [0, 0])
  }

  @Test("a retained graph can be walked twice; createGraph alone retains it too")
  func retained() {
    let x = Tensor([3.0]).requiringGrad()
    let y = x.pow(3).sum()
    let kept = grad(of: y, withRespectTo: [x], retainGraph: true)[0]
    #expect(!kept.requiresGrad)
    let first = grad(of: y, withRespectTo: [x], createGraph: true)[0]
    #expect(first.requiresGrad)
    #expect(grad(of: first.sum(), withRespectTo: [x])[0].item() == 18)
  }

  @Test("nothing is recorded without gradient, unless turned on again inside, and errors leave the mode as it was")
  func withoutRecording() {
    struct Stop: Error {}
    let x = Tensor([1.0]).requiringGrad()
    withoutGradient {
      #expect(!(x * 2).requiresGrad)
      withGradient { #expect((x * 2).requiresGrad) }
      #expect(!(x * 2).requiresGrad)
    }
    #expect((x * 2).requiresGrad)
    #expect(throws: Stop.self) { try withoutGradient { throw Stop() } }
    #expect((x * 2).requiresGrad)
  }

  @Test("autocast computes products in bfloat16 inside and float32 outside, nests, and ends with an error")
  func autocast() {
    struct Stop: Error {}
    let a = Tensor.ones([2, 2])
    func product() -> DType { a.matmul(a).dtype }
    withAutocast(.bfloat16, on: .cpu) {
      #expect(product() == .bfloat16)
      #expect(Tensor.ones([1, 1, 3, 3]).conv2d(.ones([1, 1, 3, 3])).dtype == .bfloat16)
      #expect(a.exp().dtype == .float32)
      withAutocast(nil, on: .cpu) { #expect(product() == .float32) }
      #expect(product() == .bfloat16)
      withAutocast(.float16, on: .cpu) { #expect(product() == .float16) }
      #expect(product() == .bfloat16)
    }
    #expect(product() == .float32)
    #expect(throws: Stop.self) { try withAutocast(.bfloat16, on: .cpu) { throw Stop() } }
    #expect(product() == .float32)
  }

  @Test("modes belong to the thread that set them")
  func threads() {
    final class Seen: Sendable {
      let modes = Mutex<(dtype: DType, records: Bool)?>(nil)
    }
    let seen = Seen()
    let done = DispatchSemaphore(value: 0)
    withAutocast(.bfloat16, on: .cpu) {
      withoutGradient {
        Thread.detachNewThread {
          let a = Tensor.ones([2, 2]).requiringGrad()
          let product = a.matmul(a)
          seen.modes.withLock { $0 = (product.dtype, product.requiresGrad) }
          done.signal()
        }
        done.wait()
      }
    }
    seen.modes.withLock { modes in
      #expect(modes?.dtype == .float32)
      #expect(modes?.records == true)
    }
  }

  @Test("gradients under autocast come back in the parameter's type")
  func autocastGradient() {
    let w = Tensor.ones([2, 2]).requiringGrad()
    withAutocast(.bfloat16, on: .cpu) { Tensor.ones([3, 2]).linear(w).sum() }.backward()
    #expect(w.gradient?.dtype == .float32)
    #expect(w.gradient?.array(Float.self) == [3, 3, 3, 3])
  }

  @Test("training steps leave no tensor behind")
  func noLeak() async {
    await #expect(processExitsWith: .success) {
      func work() throws {
        let figures = try TrainingReference.load()
        for rule in Rule.allCases {
          let optimizer = rule.make(try figures.parameters())
          _ = try figures.train(optimizer, steps: 2)
          let before = Tensor.liveCount
          _ = try figures.train(optimizer, steps: 3)
          optimizer.clipGradients(maxNorm: 0.01)
          #expect(Tensor.liveCount == before)
        }
      }
      try work()
      #expect(Tensor.liveCount == 0)
    }
  }
}
