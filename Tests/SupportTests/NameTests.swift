import Support
import Testing

@Suite("Names") struct NameTests {
  @Test("a glob's star stands for any characters, its question mark for one")
  func globs() {
    for (name, glob) in [("conv1", "conv?"), ("layer1.0.conv1", "layer1.*"), ("fc", "fc"), ("a", "*"), ("", "*")] {
      #expect(name.matches(glob: glob), "\(name) \(glob)")
    }
    for (name, glob) in [
      ("conv12", "conv?"), ("layer2.0", "layer1.*"), ("fc.weight", "fc"), ("", "?"), ("ab", "*c")
    ] {
      #expect(!name.matches(glob: glob), "\(name) \(glob)")
    }
  }

  @Test("the nearest name has the fewest differences, and the first of equals is taken")
  func nearest() {
    #expect(["epochs", "seed", "limit"].nearest(to: "epoch") == "epochs")
    #expect(["b", "a"].nearest(to: "c") == "a")
    #expect([String]().nearest(to: "x") == nil)
    #expect("kitten".distance(to: "sitting") == 3)
  }
}
