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

  static func record(precision: Precision, device: Device) -> RunRecord {
    RunRecord(
      command: ["quench", "demo"],
      settings: [
        "steps": .array(parts.map { .string($0.step) }),
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

/// One capability in little: the commands that show it, and what is told of their runs.
protocol DemoChapter {
  static var parts: [RunPart] { get }
  /// Under flat keys; nothing of parts that are not done.
  static func summary(_ parts: [RunFiles.Part]) -> Record
  static func tables(_ parts: [RunFiles.Part]) -> [Table]
  static func keyFigures(_ parts: [RunFiles.Part]) -> [Report.KeyFigure]
  static func sections(_ parts: [RunFiles.Part]) -> [Report.Section]
}

extension [RunFiles.Part] {
  /// The part of this name, once it has a summary.
  subscript(name: String) -> RunFiles? {
    first { $0.name == name && !$0.run.summary.isEmpty }?.run
  }
}
