import Foundation
import QuenchCryoEM
import QuenchReporting
import QuenchSupport

/// What a dashboard shows of a session, as JSON, out of its log alone.
public struct SessionState: Sendable {
  private let log: AcquisitionLog
  private let survey: Survey
  private let settings: SessionSettings
  private let revision: Int
  private let curves: [SessionCurve]

  /// - Throws: `InputError` if the log is damaged.
  public init(_ log: AcquisitionLog) throws(InputError) {
    self.log = log
    revision = try log.revision()
    survey = try log.survey()
    settings = try log.settings()
    curves = try log.curves()
  }

  /// What changes with the log's revision alone: holes with where they lie and what was predicted, curves to compare with,
  /// rules, and what was measured before the session.
  ///
  /// A hole is `[tile, square, patch, u, v, predicted Å or probability]`; u and v in [0, 1] say where it lies in its
  /// patch, v downward.
  public var fixed: Record {
    let isClassifier = survey.holes.contains { $0.prediction?.probabilityOfGood != nil }
    let all = survey.patches.flatMap { places(in: $0) }
    let holes = survey.holes.indices.map { index -> Value in
      let prediction = survey.holes[index].prediction
      let value = isClassifier ? prediction?.probabilityOfGood : prediction?.resolution
      return [
        .int(survey.region(of: index, .tile)), .int(survey.region(of: index, .square)),
        .int(survey.holes[index].patch),
        .double(all[index].u), .double(all[index].v), value.map { .double(round($0 * 1000) / 1000) } ?? .null
      ]
    }
    let isSynthetic = survey.holes.allSatisfy { $0.name.hasPrefix("synthetic") }
    return [
      "names": .array(survey.holes.map { .string($0.name) }), "holes": .array(holes),
      "tiles": .array(survey.tiles.map { .string($0.name) }),
      "classifier": .bool(isClassifier), "threshold": .double(settings.threshold),
      "budget": .double(settings.budget),
      "earlier": .array(
        settings.earlier(survey).sorted { $0.key < $1.key }.map { [.int($0.key), Self.value(of: $0.value)] }),
      "revision": .int(revision), "start": .int(settings.start), "replay": .bool(settings.isReplay),
      "synthetic": .bool(isSynthetic),
      "curves": .array(
        curves.map { curve in
          [
            "name": .string(curve.name),
            "points": .array(
              curve.points.map { [.double(round($0[0] * 100) / 100), .double(round($0[1] * 100) / 100)] })
          ]
        })
    ]
  }

  /// Where the holes of a patch lie: by their stage positions or their offsets in its image, else in rows.
  private func places(in patch: Region) -> [(u: Double, v: Double)] {
    let holes = patch.holes.map { survey.holes[$0] }
    let points = holes.compactMap { $0.stage ?? $0.offset }
    let isUseful = points.count == holes.count && Set(points).count > holes.count / 2
    guard isUseful, holes.count > 1 else {
      let columns = Int(Double(holes.count).squareRoot().rounded(.up))
      let size = Double(max(columns, 1))
      return holes.indices.map { ((Double($0 % columns) + 0.5) / size, (Double($0 / columns) + 0.5) / size) }
    }
    let (xs, ys) = (points.map(\.x), points.map(\.y))
    let (left, bottom) = (xs.min() ?? 0, ys.min() ?? 0)
    let span = max((xs.max() ?? 0) - left, (ys.max() ?? 0) - bottom, 1e-9)
    let (padX, padY) = ((span - (xs.max() ?? 0) + left) / 2, (span - (ys.max() ?? 0) + bottom) / 2)
    // Stage y runs upward, image y downward.
    let flips = holes.first?.stage != nil
    return points.map { point in
      let u = 0.08 + 0.84 * (point.x - left + padX) / span
      let v = 0.08 + 0.84 * (point.y - bottom + padY) / span
      return (round(u * 1000) / 1000, round((flips ? 1 - v : v) * 1000) / 1000)
    }
  }

  /// What happened after the event `id`, and the plan. An event is `[id, hole, minutes, Å]`, with null for an exposure
  /// whose measurement is not known yet and -1 for a failed fit.
  public func changes(after id: Int) throws(InputError) -> Record {
    let events = try log.events(after: id).map { event -> Value in
      [.int(event.id), .int(event.hole), .double(round(event.minutes * 100) / 100), Self.value(of: event.fit)]
    }
    var record: Record = ["events": .array(events)]
    record["revision"] = .int(try log.revision())
    record["now"] = settings.isReplay ? nil : .double(max(0, try log.minutes(at: Date())))
    if let plan = try log.plan() {
      record["plan"] = [
        "after": .int(plan.after), "holes": .array(plan.holes.map { .int($0) }),
        "minutes": .array(plan.minutes.map { .double(round($0 * 100) / 100) }),
        "p": .array(plan.probabilities.map { .double(round($0 * 1000) / 1000) })
      ]
    }
    return record
  }

  private static func value(of fit: CTFFit) -> Value {
    switch fit {
    case .unmeasured: .null
    case .failed: -1
    case .resolution(let value): .double(round(value * 100) / 100)
    }
  }
}
