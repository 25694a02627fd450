import Reporting
import Support

/// The pages about `quench cryo ...`, by the subcommand that made the run.
enum CryoReport {
  static func make(_ run: RunFiles) throws(InputError) -> Report {
    switch run.record.command.dropFirst(2).first {
    case "calibrate": return CalibrationReport.make(run)
    case "predictor": return PredictorReport.make(run)
    case let other:
      throw InputError(
        "there is no report for this kind of run", at: "config.yaml, key 'command'",
        expected: "a run of cryo calibrate or cryo predictor train", found: other.map { "'cryo \($0)'" })
    }
  }
}
