import Foundation
import Pruning
import Reporting
import Smoothing
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
  /// Of a certification: a row for each image so far.
  var certified: [CertifiedRow] = []
  /// The runs that a demo is made of, by the names of their folders.
  var parts: [Part] = []
  /// Where the run lies.
  var folder: RunFolder?
  /// Of a denoiser's evaluation: pairs to look at.
  var examples: [PictureStrip] = []
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
    self.folder = folder
    let examples = folder.artefact(PictureStrip.fileName)
    if exists(examples) { self.examples = try PictureStrip.read(examples) }
    let table = folder.artefact(CertifiedTable.fileName)
    if exists(table) { certified = try CertifiedTable.read(table) }
    if record.command.dropFirst().first == "demo" { parts = RunFiles.parts(of: folder) }
  }

  /// The demo's runs that are there, in the order in which it makes them.
  static func parts(of folder: RunFolder) -> [Part] {
    Demo.parts.compactMap { part in
      (try? RunFiles(RunFolder(existing: folder.artefact(part.name)))).map { Part(name: part.name, run: $0) }
    }
  }

  /// The report of the run's kind.
  /// - Throws: `InputError` if no command of this version writes such runs.
  func report() throws(InputError) -> Report {
    switch record.command.dropFirst().first {
    case "certify": return CertifyReport.make(self)
    case "defend":
      if record.settings["epsilons"] != nil { return ReconstructionReport.make(self) }
      return certified.isEmpty ? DefendReport.make(self) : CertifyReport.make(self)
    case "demo": return DemoReport.make(self)
    case "attack": return AttackReportPage.make(self)
    case "red": return RedReportPage.make(self)
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
