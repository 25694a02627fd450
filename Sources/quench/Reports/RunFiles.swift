import Foundation
import Pruning
import Reporting
import Support
import Torch
import Vision

/// What a run's folder tells: all that its report is made from.
struct RunFiles {
  /// A run within a run: its folder's name and what that tells.
  struct Part {
    var name: String
    var run: RunFiles
  }

  var record: RunRecord
  /// In the order of the steps; empty for a run that learns nothing.
  var metrics: [Record]
  /// Empty until the run is completed.
  var summary: Record
  var evaluation: Evaluation?
  /// Of a pruned network, in the order of its layers.
  var layers: [LayerCount]
  /// The runs that a demo is made of, by the names of their folders.
  var parts: [Part] = []
  /// Of a cryo-EM run: its curves and map.
  var cryo: CryoFigures?
  /// The folder that they are in, if they are read from one.
  var folder: RunFolder?
  /// What is amiss with the files, and does not stop a report.
  var warnings: [String] = []

  init(
    record: RunRecord, metrics: [Record] = [], summary: Record = [:], evaluation: Evaluation? = nil,
    layers: [LayerCount] = []
  ) {
    self.record = record
    self.metrics = metrics
    self.summary = summary
    self.evaluation = evaluation
    self.layers = layers
  }

  /// Reads the folder. Files that the run has not written yet are taken as empty.
  /// - Throws: `InputError` for a file that is damaged.
  init(_ folder: RunFolder) throws(InputError) {
    var warnings: [String] = []
    func exists(_ url: URL) -> Bool { FileManager.default.fileExists(atPath: url.path) }
    let evaluation = folder.artefact(Evaluation.fileName)
    let mask = folder.artefact(Mask.fileName)
    self.init(
      record: try folder.record(),
      metrics: exists(folder.metrics) ? try MetricStream.read(folder.metrics) { warnings.append($0) } : [],
      summary: exists(folder.summary) ? try folder.readSummary() : [:],
      evaluation: exists(evaluation) ? try Evaluation(contentsOf: evaluation) : nil,
      layers: exists(mask) ? try LayerCount.read(mask) : [])
    self.warnings = warnings
    let cryo = folder.artefact(CryoFigures.fileName)
    if exists(cryo) { self.cryo = try CryoFigures(contentsOf: cryo) }
    if record.command.dropFirst().first == "demo" { parts = RunFiles.parts(of: folder) }
  }

  /// The demo's runs that are there, in the order in which it makes them.
  static func parts(of folder: RunFolder) -> [Part] {
    Demo.names.compactMap { name in
      (try? RunFiles(RunFolder(existing: folder.artefact(name)))).map { Part(name: name, run: $0) }
    }
  }

  /// The report of the run's kind.
  /// - Throws: `InputError` if no command of this version writes such runs.
  func report() throws(InputError) -> Report {
    switch record.command.dropFirst().first {
    case "demo": return DemoReport.make(self)
    case "cryo": return CryoReport.make(self)
    case let other:
      throw InputError(
        "there is no report for this kind of run", at: "config.yaml, key 'command'",
        expected: "a run of train, evaluate, prune, slim, attack, red, certify, defend, cryo or demo",
        found: other.map { "'\($0)'" })
    }
  }

  /// A setting as text; a dash where the run has none.
  func setting(_ key: String) -> String { record.settings[key]?.description ?? "–" }

  func number(_ key: String) -> Double? { summary[key]?.number }
}
