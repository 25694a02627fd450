import Foundation
import QuenchReporting
import QuenchSupport
import QuenchTorch
import QuenchVision
import TestSupport
import Testing

@testable import QuenchPruning

@Suite("Pruning as an experiment") struct PruneExperimentTests {
  @Test("a network's zeros are counted, and a mask that was not kept is refused") func check() throws {
    let network = TinyRun.network(seed: 1)
    let mask = try OMP(keepRatio: KeepRatio(0.5)).mask(for: network)
    let kept = mask.keptCount
    #expect(throws: InputError.self) { try network.checkedZeros(of: mask, keeping: kept) }
    mask.apply(to: network)
    #expect(try network.checkedZeros(of: mask, keeping: kept) == mask.layout.count - kept)
    #expect(throws: InputError.self) { try network.checkedZeros(of: mask, keeping: kept - 1) }
  }

  @Test("a file that names no keep ratio is refused, unless its pattern says it") func keep() throws {
    let error = #expect(throws: InputError.self) { try Prune<BiP>(settings: ["epochs": 2], name: "x.yaml") }
    #expect(error?.location == "keep")
    let pattern = try Prune<BiP>(settings: ["granularity": "2:4"], name: "x.yaml").checked()
    #expect(pattern.method.target.keepRatio.value == 0.5)
    #expect(pattern.method.weightDecay == 1e-4)  // the published rates, as for everything but single weights
  }

  @Test(
    "an experiment is read back from its settings as it was written",
    arguments: ["bip", "hydra", "omp", "gmp", "imp", "snip", "grasp", "synflow", "prospr", "random"])
  func roundTrip(name: String) throws {
    func check<Work: Experiment>(_ type: Work.Type) throws {
      let experiment = try Work(settings: ["keep": 0.3, "seed": 7, "epochs": 3], name: "x")
      let settings = try experiment.settings
      #expect(settings["keep"] == 0.3 && settings["seed"] == 7 && settings["epochs"] == 3)
      let yaml = try Value.object(settings).yaml()
      let again = try Work(settings: #require(Value(yaml: Data(yaml.utf8), name: "x").record), name: "x")
      #expect(try again.settings == settings)
    }
    let type = try #require(PruneStudy.Method(text: name).experiment)
    try check(type)
  }

  @Test("weights to rewind to are asked for where the dense network is given") func rewind() throws {
    let given = try Prune<IMP>(settings: ["keep": 0.5, "weights": "net.safetensors"], name: "x")
    #expect(throws: InputError.self) { try given.checked() }
    let late = try Prune<IMP>(settings: ["keep": 0.5, "dense-epochs": 2, "rewind-epoch": 2], name: "x")
    #expect(throws: InputError.self) { try late.checked() }
    let new = try Prune<PruningAtInitialisation<SNIP>>(settings: ["keep": 0.5, "weights": "n.pt"], name: "x")
    #expect(throws: InputError.self) { try new.checked() }
  }
}

@Suite("A study of pruning methods") struct PruneStudyExperimentTests {
  private static let settings: Record = [
    "methods": ["bip", "bip:mode=repo-tied:gamma=10:no-learn-from-both", "imp", "snip"], "keep": [0.2, 0.5],
    "seeds": 2,
    "seed": 3, "model": "resnet20", "dense-epochs": 4, "epochs": 2, "rewind-epoch": 1, "data": "cifar10",
    "limit": 100,
    "skip-corrupt": false
  ]

  @Test("runs a dense network a seed, each method at each ratio, and one chain of imp a seed") func parts() throws {
    let study = try PruneStudy(settings: Self.settings, name: "x").checked()
    let parts = try study.parts(in: URL(filePath: "runs/s"))
    let tied = "bip-mode-repo-tied-gamma-10-no-learn-from-both"
    #expect(
      parts.map(\.name) == [
        "dense_3", "dense_4", "bip_0.5_3", "bip_0.2_3", "\(tied)_0.5_3", "\(tied)_0.2_3", "imp_3", "snip_0.5_3",
        "snip_0.2_3", "bip_0.5_4", "bip_0.2_4", "\(tied)_0.5_4", "\(tied)_0.2_4", "imp_4", "snip_0.5_4",
        "snip_0.2_4"
      ])
    let bip = try #require(parts[4].experiment as? Prune<BiP>)
    #expect(bip.method.mode == .repoTied && bip.method.gamma == 10 && !bip.method.learnsFromUpperBatch)
    #expect(bip.method.epochs == 2 && bip.method.target.keepRatio.value == 0.5 && bip.learning.seed == 3)
    #expect(bip.start.weights == "runs/s/dense_3/model.safetensors")
    #expect(bip.learning.selection.limit == 100 && !bip.learning.selection.skipCorrupt)
    let imp = try #require(parts[6].experiment as? Prune<IMP>)
    #expect(imp.method.rewindFile == "runs/s/dense_3/epoch-1.safetensors")
    #expect(imp.method.target.keepRatio.value == 0.2 && imp.method.stops.map(\.value) == [0.5])
    let snip = try #require(parts[7].experiment as? Prune<PruningAtInitialisation<SNIP>>)
    #expect(snip.start.model == .resnet20 && snip.method.recipe.epochs == 4)
  }

  @Test("performed by a program, compares methods, is not done again, and mends what was deleted") func performs()
    throws
  {
    let folder = try TemporaryFolder()
    var study = PruneStudy()
    (study.methods, study.keep, study.model) = (["bip", "imp"], [0.8, 0.64], .smallCNN)
    (study.denseEpochs, study.epochs) = (2, 1)
    (study.learning.selection.data, study.learning.precision) = (.synthetic, .float32)
    (study.learning.selection.limit, study.learning.selection.trainLimit) = (40, 128)
    let url = folder / "study"
    let run = try Lab().perform(study, in: url)
    let outcome = try #require(run.outcome)
    #expect(outcome.cells.map(\.method) == ["bip", "bip", "imp", "imp"])
    #expect(outcome.cells.map(\.keepRatio) == [0.8, 0.64, 0.8, 0.64])
    #expect(outcome.cells.allSatisfy { (0...1).contains($0.accuracy) && $0.seconds > 0 })
    #expect(run.report.html.contains("Winning tickets"))

    let dense = try Data(contentsOf: url.appending(path: "dense_1/config.yaml"))
    try FileManager.default.removeItem(at: url.appending(path: "bip_0.64_1"))
    let mended = try Lab().ensure(study, in: url)
    #expect(mended.outcome?.cells.map(\.accuracy) == outcome.cells.map(\.accuracy))
    #expect(try Data(contentsOf: url.appending(path: "dense_1/config.yaml")) == dense)

    study.keep = [0.8]
    #expect(throws: InputError.self) { try Lab().ensure(study, in: url) }
  }

  @Test("a winning ticket is the sparsest network whose mean is not below the dense networks'") func tickets() {
    func cell(_ keep: Double, _ accuracy: Double) -> PruneStudy.Cell {
      .init(method: "bip", keepRatio: keep, accuracy: accuracy, seconds: 1, accuracies: [accuracy])
    }
    let outcome = PruneStudy.Outcome(
      denseAccuracy: 0.9, denseSeconds: 1, denseAccuracies: [0.9], n: 100,
      cells: [cell(0.5, 0.92), cell(0.2, 0.9), cell(0.1, 0.89)])
    #expect(outcome.winningTicket(of: "bip")?.keepRatio == 0.2)
  }
}
