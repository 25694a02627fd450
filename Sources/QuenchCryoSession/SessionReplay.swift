import Foundation
import QuenchCryoEM
import QuenchSupport

/// An earlier session's exposures and measurements at the times at which they happened.
public struct SessionReplay: Sendable {
  public static let source = "replay"

  /// An exposure, or what was measured.
  public struct Item: Hashable, Sendable {
    public var hole: Int
    /// Minutes since the first exposure.
    public var minutes: Double
    /// Nil for the exposure.
    public var fit: CTFFit?
  }

  /// In the order of time.
  public let items: [Item]

  /// Pairs a survey's measured holes with the time stamps of their images: the raw image `...en` is the exposure, its
  /// aligned sum `...en-a` the measurement.
  /// - Parameters:
  ///   - survey: With measurements.
  ///   - stamps: Of all images of the session.
  ///   - longestGap: Longer breaks, in minutes, are shortened to this.
  /// - Throws: `InputError` if no hole of the survey is in the list.
  public init(_ survey: Survey, stamps: TimestampFile, longestGap: Double = .infinity) throws(InputError) {
    var seconds: [String: Int] = [:]
    for entry in stamps.entries { seconds[entry.image] = entry.seconds }
    var items: [Item] = []
    for (index, hole) in survey.holes.enumerated() where hole.fit.isMeasured {
      let raw = hole.name.hasSuffix("-a") ? String(hole.name.dropLast(2)) : hole.name
      guard let measured = seconds[hole.name] ?? seconds[raw] else { continue }
      let exposed = seconds[raw] ?? measured
      items.append(Item(hole: index, minutes: Double(exposed) / 60, fit: nil))
      items.append(Item(hole: index, minutes: Double(max(measured, exposed)) / 60, fit: hole.fit))
    }
    guard !items.isEmpty else {
      throw InputError(
        "the list of time stamps has no hole of the survey", at: "replay", found: survey.holes.first?.name,
        remedy: "give the list of the session that the survey comes from")
    }
    items.sort { ($0.minutes, $0.fit == nil ? 0 : 1, $0.hole) < ($1.minutes, $1.fit == nil ? 0 : 1, $1.hole) }
    var (elapsed, last) = (0.0, items[0].minutes)
    for index in items.indices {
      elapsed += min(items[index].minutes - last, longestGap)
      last = items[index].minutes
      items[index].minutes = elapsed
    }
    self.items = items
  }

  /// Where the microscope stood first.
  public var start: Int { items[0].hole }
}
