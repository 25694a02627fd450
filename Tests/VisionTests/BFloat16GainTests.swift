import Foundation
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@Suite("What bfloat16 gains") struct BFloat16GainTests {
  @Test("is kept for later processes; who measures at the same time takes the first one's figure") func kept()
    throws
  {
    let folder = try TemporaryFolder()
    let file = folder.url.appending(path: "cache/bfloat16.json")
    #expect(BFloat16Gain.kept(in: file) == nil)
    let first = BFloat16Gain.measured(keptIn: file)
    #expect(BFloat16Gain.kept(in: file) == first)
    #expect(BFloat16Gain.measured(keptIn: file) == first)
    #expect((first.training > 0) == LibTorch.offersBFloat16)
    #expect((first.inference > 0) == LibTorch.offersBFloat16)
  }

  @Test("a file that is damaged or cannot be written is as good as none") func damaged() throws {
    let folder = try TemporaryFolder()
    let file = folder.url.appending(path: "bfloat16.json")
    try Data("no JSON".utf8).write(to: file)
    #expect(BFloat16Gain.kept(in: file) == nil)
    let gain = BFloat16Gain.measured(keptIn: file)
    #expect(BFloat16Gain.kept(in: file) == gain)
    _ = BFloat16Gain.measured(keptIn: folder.url.appending(path: "bfloat16.json/below-a-file"))
  }

  @Test("decides what auto is, for training and frozen networks apart") func decides() {
    #expect(BFloat16Gain(training: 1.5, inference: 0.9).isWorthTraining)
    #expect(!BFloat16Gain(training: 1.5, inference: 0.9).isWorthInference)
    #expect(!BFloat16Gain(training: 1.02, inference: 2).isWorthTraining)
    let gain = BFloat16Gain.ofThisMachine
    #expect(Precision.automatic.autocast(on: .cpu) == (gain.isWorthTraining ? .bfloat16 : nil))
    #expect(InferencePlan.fastest(on: .cpu) == (gain.isWorthInference ? .bfloat16 : .float32))
  }
}
