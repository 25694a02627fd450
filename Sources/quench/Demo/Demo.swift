import Foundation
import Reporting
import Torch
import Vision

/// What the demo does and how its result is told, chapter by chapter.
enum Demo {
  static var chapters: [any DemoChapter.Type] {
    [PruningChapter.self, CryoChapter.self, DeceptionChapter.self, CertificationChapter.self]
  }

  static let parts = chapters.flatMap { $0.parts }

  /// The names of the folders of all runs, in order.
  static var names: [String] {
    chapters.flatMap { chapter in
      chapter.parts.map(\.name)
        + chapter.experiments(in: URL(filePath: "demo"), precision: .automatic).map(\.name)
    }
  }

  /// What each chapter does, as the record of the demo has it.
  private static func steps(_ precision: Precision) throws -> [Value] {
    try chapters.flatMap { chapter in
      try chapter.parts.map { .string($0.arguments.joined(separator: " ")) }
        + chapter.experiments(in: URL(filePath: "{run}"), precision: precision).map { part in
          try .string("\(part.name): \(Value.object(part.experiment.settings).json())")
        }
    }
  }

  static func record(precision: Precision, device: Device) throws -> RunRecord {
    try RunRecord(
      command: ["quench", "demo"],
      settings: [
        "steps": .array(steps(precision)),
        "precision": .string(precision.rawValue)
      ], versions: Version.record(device: device))
  }

  /// The chapters' figures under flat keys: `dense_accuracy`, `bip_0.02_accuracy`, `red_seen_pa_benign`, ...
  static func summary(of folder: RunFolder) throws -> Record {
    let parts = RunFiles.parts(of: folder)
    var summary = chapters.reduce(into: Record()) { $0.merge($1.summary(parts)) }
    summary["seconds"] = .double(parts.reduce(0) { $0 + ($1.run.number("seconds") ?? 0) })
    return summary
  }

  static func tables(_ parts: [RunFiles.Part]) -> [Table] { chapters.flatMap { $0.tables(parts) } }
}

/// One capability in little: the runs that show it, and what is told of them.
protocol DemoChapter {
  /// Commands, which are run first.
  static var parts: [RunPart] { get }
  /// Experiments that are done in this process, in the demo's folder.
  static func experiments(in folder: URL, precision: Precision) -> [StudyPart]
  /// Under flat keys; nothing of parts that are not done.
  static func summary(_ parts: [RunFiles.Part]) -> Record
  static func tables(_ parts: [RunFiles.Part]) -> [Table]
  static func keyFigures(_ parts: [RunFiles.Part]) -> [Report.KeyFigure]
  static func sections(_ parts: [RunFiles.Part]) -> [Report.Section]
}

extension DemoChapter {
  static var parts: [RunPart] { [] }
  static func experiments(in folder: URL, precision: Precision) -> [StudyPart] { [] }
}

extension [RunFiles.Part] {
  /// The part of this name, once it has a summary.
  subscript(name: String) -> RunFiles? {
    first { $0.name == name && !$0.run.summary.isEmpty }?.run
  }
}
