import QuenchSupport
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
    #expect("trian".distance(to: "train") == 1)
  }

  @Test("capitals, hyphens and swapped letters make names no strangers, and a strange name has no nearest one")
  func near() {
    let models = ["small-cnn", "resnet20", "resnet32", "wrn-28-10"]
    #expect(models.nearest(to: "ResNet-20") == "resnet20")
    #expect(models.nearest(to: "wrn2810") == "wrn-28-10")
    #expect(models.nearest(to: "small") == "small-cnn")
    #expect(["train", "evaluate", "prune"].nearest(to: "trian") == "train")
    #expect(["cifar10", "cifar100"].nearest(to: "CIFAR_100") == "cifar100")
    #expect(["bip", "omp", "imp"].nearest(to: "foo") == nil)
    #expect(models.nearest(to: "transformer") == nil)
  }
}
