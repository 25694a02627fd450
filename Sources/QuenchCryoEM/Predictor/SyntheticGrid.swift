import Foundation
import QuenchReporting
import QuenchSupport

/// A made-up grid whose holes are drawn instead of imaged, so that a predictor can be tried without a microscope.
///
/// It is no model of any specimen. Ice gets its thickness from the tile, the square, the patch and the hole, so that good
/// holes cluster as they do on real grids; a hole's resolution follows from what its picture shows, with some noise.
/// Everything made of it carries the word "synthetic": the holes' names, the MRC files' labels, a note beside them.
public struct SyntheticGrid: Hashable, Codable, Sendable {
  public var tiles = 4
  public var squaresPerTile = 2
  public var patchesPerSquare = 4
  public var holesPerPatch = 20
  public var seed: UInt64 = 1

  /// What files and reports say.
  public static let notice = "SYNTHETIC hole picture drawn by Quench; no microscope was involved"

  public init() {}

  /// The holes, patch after patch.
  /// - Throws: `InputError` if a number is not positive, or there would be more than a million holes.
  public func holes() throws(InputError) -> [SyntheticHole] {
    let counts = [tiles, squaresPerTile, patchesPerSquare, holesPerPatch]
    guard counts.allSatisfy({ (1...10_000).contains($0) }), counts.reduce(1, *) <= 1_000_000 else {
      throw InputError(
        "no grid can be made so", expected: "1 or more of each, and at most 1000000 holes",
        found: counts.map(String.init).joined(separator: " x "))
    }
    var random = SplitMix64(seed, 0)
    func number(_ index: Int) -> String { String(format: "%05d", index + 1) }
    var holes: [SyntheticHole] = []
    for tile in 0..<tiles {
      let tileIce = 12 * random.normal()
      for square in 0..<squaresPerTile {
        let squareIce = 10 * random.normal()
        for patch in 0..<patchesPerSquare {
          let patchIce = 14 * random.normal()
          let prefix = "synthetic_grid1_\(number(tile))gr_\(number(square))sq_v01_\(number(patch))hl_v01_"
          for hole in 0..<holesPerPatch {
            let ice = 42 + tileIce + squareIce + patchIce + 8 * random.normal()
            holes.append(SyntheticHole(name: "\(prefix)\(number(hole))en-a", ice: ice, seed: random.next()))
          }
        }
      }
    }
    return holes
  }
}

/// One hole of a ``SyntheticGrid``.
public struct SyntheticHole: Hashable, Sendable {
  public enum State: String, Hashable, Codable, Sendable {
    case intact
    /// The ice or the support is torn.
    case broken
    /// There is no ice in it.
    case empty
  }

  public let name: String
  public let state: State
  /// Of the ice in the middle, in nm.
  public let thickness: Double
  /// How much thicker the ice is at one edge than at the other, in nm.
  public let slope: Double
  /// Ice crystals on it.
  public let contaminants: Int
  public let fit: CTFFit
  private let seed: UInt64

  init(name: String, ice: Double, seed: UInt64) {
    var random = SplitMix64(seed, 1)
    self.name = name
    self.seed = seed
    let fate = Double.random(in: 0..<1, using: &random)
    state = fate < 0.03 || ice < 8 ? .empty : fate < 0.07 ? .broken : .intact
    thickness = state == .empty ? 0 : max(ice, 10)
    slope = state == .empty ? 0 : abs(14 * random.normal())
    let dirt = Double.random(in: 0..<1, using: &random)
    contaminants = dirt < 0.6 ? 0 : dirt < 0.85 ? 1 : dirt < 0.95 ? 2 : 4
    fit = Self.fit(state, thickness, slope, contaminants, using: &random)
  }

  /// The resolution of a made-up CTF fit: best in ice of 20 to 35 nm that is even and clean.
  private static func fit(
    _ state: State, _ thickness: Double, _ slope: Double, _ contaminants: Int, using random: inout SplitMix64
  ) -> CTFFit {
    let luck = random.normal()
    let isLost = Double.random(in: 0..<1, using: &random) < 0.35
    guard state == .intact else { return isLost ? .failed : .resolution((1200 + 250 * abs(luck)).rounded() / 100) }
    let tooThick = max(thickness - 35, 0)
    let tooThin = max(20 - thickness, 0)
    let resolution = 3 + 0.085 * tooThick + 0.25 * tooThin + 0.03 * slope + 0.7 * Double(contaminants)
    return .resolution((resolution * exp(0.12 * luck) * 100).rounded() / 100)
  }

  /// The picture, grey values row by row: the hole in its support film, bright where the ice is thin.
  /// - Parameter side: Height and width in pixels; cryoRL's crops have 150.
  public func picture(side: Int = 150) -> [UInt8] {
    var random = SplitMix64(seed, 2)
    let scale = Double(side)
    let centre = (
      x: scale * (0.5 + 0.025 * random.normal()), y: scale * (0.5 + 0.025 * random.normal())
    )
    let radius = scale * Double.random(in: 0.33...0.38, using: &random)
    let direction = Double.random(in: 0..<2 * .pi, using: &random)
    let tear = state == .broken ? Tear(radius: radius, using: &random) : nil
    let spots = (0..<contaminants).map { _ in Spot(radius: radius, using: &random) }
    let grain = Grain(side: side, using: &random)

    var pixels = [UInt8](repeating: 0, count: side * side)
    for y in 0..<side {
      for x in 0..<side {
        let (dx, dy) = (Double(x) - centre.x, Double(y) - centre.y)
        let distance = (dx * dx + dy * dy).squareRoot()
        let along = (dx * cos(direction) + dy * sin(direction)) / radius
        // A meniscus: ice is thicker near the edge of a hole.
        let ice = max(thickness + slope / 2 * along + 6 * (distance / radius) * (distance / radius), 0)
        var brightness = state == .empty ? 0.96 : 0.96 * exp(-ice / 75)
        if tear?.covers(dx, dy) ?? false { brightness = 0.97 }
        let film = 0.34 * exp(-max(thickness, 5) / 150) + 0.03 * grain[x, y]
        let inside = 1 / (1 + exp((distance - radius) / (0.012 * scale)))
        brightness = inside * brightness + (1 - inside) * film
        for spot in spots { brightness *= spot.transmission(dx, dy) }
        let noisy = brightness + 0.025 * random.normal()
        pixels[y * side + x] = UInt8((min(max(noisy, 0), 1) * 255).rounded())
      }
    }
    return pixels
  }

  /// A wedge of ice that is gone.
  private struct Tear {
    let x, y, directionX, directionY, width: Double

    init(radius: Double, using random: inout SplitMix64) {
      let angle = Double.random(in: 0..<2 * .pi, using: &random)
      (x, y) = (0.4 * radius * random.normal(), 0.4 * radius * random.normal())
      (directionX, directionY) = (cos(angle), sin(angle))
      width = Double.random(in: 0.25...0.9, using: &random)
    }

    func covers(_ dx: Double, _ dy: Double) -> Bool {
      let along = (dx - x) * directionX + (dy - y) * directionY
      let across = (dy - y) * directionX - (dx - x) * directionY
      return along > 0 && abs(across) < width * along + 0.15 * sin(along / 3)
    }
  }

  /// An ice crystal, dark with a soft edge.
  private struct Spot {
    let x, y, radius, darkness: Double

    init(radius hole: Double, using random: inout SplitMix64) {
      let angle = Double.random(in: 0..<2 * .pi, using: &random)
      let distance = hole * Double.random(in: 0..<0.95, using: &random)
      (x, y) = (distance * cos(angle), distance * sin(angle))
      radius = hole * Double.random(in: 0.07...0.22, using: &random)
      darkness = Double.random(in: 0.5...0.9, using: &random)
    }

    func transmission(_ dx: Double, _ dy: Double) -> Double {
      let distance = ((dx - x) * (dx - x) + (dy - y) * (dy - y)).squareRoot()
      return 1 - darkness / (1 + exp((distance - radius) / (0.12 * radius)))
    }
  }

  /// The support film's texture: values between points of a coarse lattice.
  private struct Grain {
    private let lattice: [Double]
    private let columns: Int
    private let step: Double

    init(side: Int, using random: inout SplitMix64) {
      step = max(Double(side) / 24, 1)
      columns = Int(Double(side) / step) + 2
      lattice = (0..<columns * columns).map { _ in random.normal() }
    }

    subscript(x: Int, y: Int) -> Double {
      let (column, row) = (Double(x) / step, Double(y) / step)
      let (i, j) = (Int(column), Int(row))
      let (u, v) = (column - Double(i), row - Double(j))
      let upper = lattice[j * columns + i] * (1 - u) + lattice[j * columns + i + 1] * u
      let lower = lattice[(j + 1) * columns + i] * (1 - u) + lattice[(j + 1) * columns + i + 1] * u
      return upper * (1 - v) + lower * v
    }
  }
}

extension SplitMix64 {
  /// A standard normal number (Box and Muller).
  fileprivate mutating func normal() -> Double {
    let radius = (-2 * log(1 - Double.random(in: 0..<1, using: &self))).squareRoot()
    return radius * cos(2 * .pi * Double.random(in: 0..<1, using: &self))
  }
}

// MARK: - Files

extension SyntheticGrid {
  public enum PictureFormat: String, Hashable, Codable, Sendable, CaseIterable {
    case png, mrc
  }

  /// Writes `survey.csv`, the holes with their made-up CTF, `images/`, a picture a hole, and `SYNTHETIC.txt`, which
  /// says so.
  /// - Parameters:
  ///   - folder: Made if it is missing.
  ///   - format: Of the pictures.
  ///   - side: Of the pictures, in pixels.
  ///   - progress: Called with the pictures written and their number.
  /// - Throws: `InputError` if the grid is impossible, or a file cannot be written.
  public func write(
    to folder: URL, format: PictureFormat = .png, side: Int = 150, progress: (Int, Int) -> Void = { _, _ in }
  ) throws(InputError) {
    guard (16...1024).contains(side) else {
      throw InputError("no picture can be drawn so", expected: "16 to 1024 pixels a side", found: "\(side)")
    }
    let holes = try holes()
    let images = folder.appending(path: "images", directoryHint: .isDirectory)
    do { try FileManager.default.createDirectory(at: images, withIntermediateDirectories: true) } catch {
      throw InputError.writing(images, error)
    }
    try AtomicFile.write(Data((Self.notice + "\n").utf8), to: folder.appending(path: "SYNTHETIC.txt"))
    for (index, hole) in holes.enumerated() {
      let pixels = hole.picture(side: side)
      let data =
        switch format {
        case .png: try PNG.encode(pixels: pixels, width: side, height: side, channels: 1)
        case .mrc:
          MRCImage(width: side, height: side, pixels: pixels.map { Float($0) * 4 }).encoded(label: Self.notice)
        }
      try AtomicFile.write(data, to: images.appending(path: "\(hole.name).\(format.rawValue)"))
      progress(index + 1, holes.count)
    }
    let lines = holes.map { "\($0.name),0,0,\($0.fit.fileValue),\($0.fit.isMeasured ? 1 : -1)\n" }.joined()
    try AtomicFile.write(Data(lines.utf8), to: folder.appending(path: "survey.csv"))
  }
}
