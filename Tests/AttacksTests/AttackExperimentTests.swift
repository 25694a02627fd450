import Foundation
import Reporting
import Support
import TestSupport
import Testing
import Torch
import Vision

@testable import Attacks

@Suite("An attack as an experiment") struct AttackExperimentTests {
  /// A network with random weights, to be attacked on sixty images.
  private static func target(in folder: TemporaryFolder, seed: UInt64 = 3) throws -> AttackedNetwork {
    let network = Network(
      .smallCNN(input: [3, 32, 32], classes: 10).normalizing(
        mean: [0.5, 0.5, 0.5], standardDeviation: [0.25, 0.25, 0.25]), seed: seed)
    let url = folder / "model-\(seed).safetensors"
    try ModelFile(network).write(to: url)
    var target = AttackedNetwork()
    target.weights = url.path
    (target.selection.data, target.selection.limit) = (.synthetic, 60)
    return target
  }

  private static func rows(of folder: RunFolder) throws -> [[String]] {
    try String(contentsOf: folder.artefact("rows.csv"), encoding: .utf8).split(separator: "\n").dropFirst()
      .map { $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init) }
  }

  @Test("performed by a program, leaves rows, an outcome and a page, and is performed again from its settings")
  func performs() throws {
    let folder = try TemporaryFolder()
    var attack = RunAttack()
    attack.target = try Self.target(in: folder)
    attack.parameters.steps = 3
    let run = try Lab().perform(attack, in: folder / "run")
    let outcome = try #require(run.outcome)
    let robust = try #require(outcome.robustAccuracy)
    #expect(robust.value < outcome.cleanAccuracy)
    #expect(robust.low <= robust.value)
    #expect(robust.value < robust.high)
    #expect(try Self.rows(of: run.folder).count == 60 && outcome.n == 60)
    #expect(run.text.contains("robust accuracy") && run.text.contains("at linf 8/255"))
    #expect(run.report.html.contains("pgd on small-cnn"))
    let settings = run.record.settings
    #expect(settings["epsilon"] == "8/255" && settings["norm"] == "linf" && settings["steps"] == 3)
    #expect(settings["restarts"] == 1 && settings["all-steps"] == false && settings["queries"] == nil)
    #expect(outcome.parameters?.record?["step_size"]?.number == 2.0 / 255)

    let again = try Lab().perform(RunAttack(settings: settings, name: "config.yaml"), in: folder / "again")
    #expect(
      try Data(contentsOf: again.folder.artefact("rows.csv")) == Data(contentsOf: run.folder.artefact("rows.csv")))
  }

  @Test("that takes all steps, since it is made on another network, can aim") func transfer() throws {
    let folder = try TemporaryFolder()
    var attack = RunAttack()
    attack.target = try Self.target(in: folder)
    (attack.parameters.steps, attack.parameters.aim) = (4, .next)
    attack.parameters.from = try Self.target(in: folder, seed: 4).weights
    let run = try Lab().perform(attack, in: folder / "run")
    #expect(run.record.settings["all-steps"] == true && run.record.inputs["from"] != nil)
    // Every image that was attacked had four steps.
    #expect(Set(try Self.rows(of: run.folder).map { $0[12] }).isSubset(of: ["0", "4"]))
  }

  @Test("that searches in 8 bits loses nothing by rounding") func grid() throws {
    let folder = try TemporaryFolder()
    var attack = RunAttack()
    attack.target = try Self.target(in: folder)
    attack.target.eightBit = true
    let rounding = try #require(try Lab().perform(attack, in: folder / "run").outcome).rounding
    #expect(rounding.broken > 0 && rounding.broken == rounding.withinBudget)
  }

  @Test("AutoAttack with fewer steps bears another name, and says so") func reduced() throws {
    let folder = try TemporaryFolder()
    var attack = RunAutoAttack()
    attack.target = try Self.target(in: folder)
    attack.target.selection.limit = 8
    (attack.epsilon, attack.steps, attack.queries) = (PixelBudget(1.0 / 255), 2, 5)
    let run = try Lab().perform(attack, in: folder / "run")
    let outcome = try #require(run.outcome)
    #expect(outcome.attack == "autoattack-reduced" && outcome.findings.first?.kind == .reduced)
    #expect(outcome.attacks.map(\.attack) == ["apgd-ce", "apgd-t", "fab-t", "square"] && outcome.parameters == nil)
    #expect(run.report.html.contains("autoattack-reduced on small-cnn"))
    #expect(run.record.settings["norm"] == "linf" && run.record.settings["version"] == "standard")
  }

  @Test("refuses settings that make no sense, by their names") func refuses() throws {
    func error<Work: AttackExperiment>(_ work: Work.Type, _ settings: Record) -> InputError? {
      let needed: Record = ["weights": "x"]
      return inputError { try Work(settings: needed.merging(settings), name: "x").checked() }
    }
    #expect(error(RunAttack.self, ["steps": 0])?.location == "steps")
    #expect(error(RunAttack.self, ["queries": 3])?.description.contains("it takes --norm, --epsilon") == true)
    #expect(error(RunAttack.self, ["attack": "fab", "smallest": true, "epsilon": 0.1])?.location == "epsilon")
    #expect(error(RunAttack.self, ["train-limit": 5])?.location == "train-limit")
    #expect(error(RunAttack.self, ["weights": ""])?.location == "weights")
    #expect(error(SweepAttack.self, ["epsilon": "8/255"])?.remedy == "did you mean 'epsilons'?")
    #expect(error(SweepAttack.self, ["epsilons": "1/255,8"])?.remedy?.contains("8/255") == true)
    #expect(error(RunAutoAttack.self, ["norm": "l1"])?.location == "norm")
    #expect(error(RunAutoAttack.self, ["version": "rand", "queries": 9])?.location == "queries")
  }

  @Test("a folder of version 0.1 has its page") func earlier() throws {
    let folder = try TemporaryFolder()
    let record = RunRecord(
      command: ["quench", "attack", "sweep", "fgsm"],
      settings: [
        "attack": "fgsm", "norm": "linf", "epsilons": "0,8/255", "parameters": [:], "weights": "w.safetensors",
        "data": "synthetic", "batch-size": 250, "eight-bit": false, "probe": true, "precision": "float32", "seed": 1
      ])
    let run = try RunFolder(at: folder / "run", for: record)
    let point: Record = [
      "epsilon": .double(8.0 / 255), "robust_accuracy": 0.25, "interval": [0.15, 0.4], "broken": 30,
      "broken_8bit": 29,
      "broken_8bit_within_budget": 28
    ]
    try run.writeSummary([
      "attack": "sweep-fgsm", "model": "small-cnn", "norm": "linf", "clean_accuracy": 0.75, "robust_accuracy": 0.25,
      "n": 60, "interval": [0.15, 0.4], "undefined": 0, "seconds": 2.0, "epsilon": .double(8.0 / 255),
      "success_rate": 0.67,
      "broken": 30, "broken_8bit": 29, "broken_8bit_within_budget": 28, "median_linf": 0.02, "mean_queries": 1.0,
      "mean_gradients": 1.0,
      "attacks": [
        [
          "attack": "fgsm", "epsilon": .double(8.0 / 255), "tried": 45, "broken": 30, "robust_accuracy": 0.25,
          "queries": 45,
          "gradients": 45, "seconds": 1.0
        ]
      ],
      "probe": "apgd-dlr", "probe_robust_accuracy": 0.2, "probe_interval": [0.1, 0.3], "curve": [.object(point)],
      "findings": [["kind": "weak-attack", "message": "too weak"]]
    ])
    try run.finish(.completed)
    let read = try PerformedRun<SweepAttack>(RunFolder(existing: folder / "run"))
    let outcome = try #require(read.outcome)
    #expect(outcome.robustAccuracy?.low == 0.15 && outcome.probeRobustAccuracy?.high == 0.3)
    #expect(outcome.curve?.first?.robustAccuracy?.high == 0.4 && outcome.findings.first?.kind == .weakAttack)
    #expect(read.experiment.epsilons.map(\.value) == [0, 8.0 / 255])
    #expect(read.report.html.contains("fgsm on small-cnn") && read.report.html.contains("15.00 to 40.00"))
  }

  @Test(
    "a sweep keeps the pictures of every budget, under names that the network bears out, and the arrays as found")
  func pictures() throws {
    let folder = try TemporaryFolder()
    var sweep = SweepAttack()
    sweep.attack = .fabT
    sweep.epsilons = [0.0, 1, 4, 8].map { PixelBudget($0 / 255) }
    (sweep.parameters.steps, sweep.parameters.targets) = (5, 2)
    sweep.target = try Self.target(in: folder)
    (sweep.target.savePictures, sweep.target.saveArrays) = (true, true)
    let run = try Lab().perform(sweep, in: folder / "sweep")
    let outcome = try #require(run.outcome)
    #expect(!outcome.findings.contains { $0.kind == .emptyBudget })
    let plan = InferencePlan(
      try ModelFile(contentsOf: URL(filePath: sweep.target.weights)).network, dtype: .float32)
    func answer(_ pixels: Tensor) -> Int { plan(pixels.unsqueezed(0)).argmax(1)[0].integerItem() }
    let rows = try Self.rows(of: run.folder)
    var (seen, lost): (Set<String>, Int) = ([], 0)
    func files(_ name: String) -> [String] {
      (try? FileManager.default.contentsOfDirectory(atPath: run.folder.artefact(name).path)) ?? []
    }
    for budget in ["1/255", "4/255", "8/255"] {
      let name = "epsilon-" + budget.replacing("/", with: "_")
      let (pictures, arrays) = (files("pictures/\(name)"), files("arrays/\(name)"))
      let broken = Set(rows.filter { $0[2] == budget && $0[5] == "1" }.map { $0[0] })
      #expect(Set(pictures.map { $0.prefix { $0 != "-" } }.map(String.init)) == broken.subtracting(seen))
      #expect(arrays.count == pictures.count)
      seen = broken
      for picture in pictures {
        let data = try Data(contentsOf: run.folder.artefact("pictures/\(name)/\(picture)"))
        let planes: [UInt8] = try data.withUnsafeBytes { bytes in
          try Picture(decoding: bytes, name: picture, channels: 3).planes(.uniform)
        }
        let pixels = Tensor(planes, shape: [3, 32, 32]).to(.float32) * (1.0 / 255)
        let parts = picture.dropLast(4).split(separator: "-").map(String.init)
        let now = answer(pixels)
        let isLost = picture.hasSuffix("-lost-by-rounding.png")
        lost += isLost ? 1 : 0
        #expect(parts[isLost ? 1 : parts.count - 1].hasSuffix("\(now)"), "\(picture) \(now)")
      }
      for array in arrays.prefix(3) {
        let data = try Data(contentsOf: run.folder.artefact("arrays/\(name)/\(array)"))
        let header = String(decoding: data[10..<128], as: UTF8.self)
        #expect(header.contains("'descr': '<f4', 'fortran_order': False, 'shape': (3, 32, 32,)"))
        let pixels = Tensor(
          Array(data.suffix(3072 * 4)).withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }, shape: [3, 32, 32])
        #expect(array.dropLast(4).hasSuffix("\(answer(pixels))"))
      }
    }
    let last = try #require(outcome.curve?.last?.rounding)
    #expect(last.broken - last.deceiving == lost && !seen.isEmpty)
    #expect(run.report.html.contains("Accuracy by budget"))
  }
}
