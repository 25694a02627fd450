import Foundation
import QuenchSupport
import QuenchTorch
import QuenchVision

/// The spatial transformations of CDD-RED. Lengths scale with the image's height, from the paper's 224 pixels.
public enum Transformation: String, CaseIterable, Codable, Sendable {
  case flip
  case rotate
  case translate
  case cutout
  case cropAndPad = "crop-pad"
  case cutmix

  /// One draw for a whole batch, the same for clean and adversarial images.
  func draw(height: Int, width: Int, batch: Int, using random: inout SplitMix64) -> Move {
    func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }
    func scaled(_ length: Int) -> Int { max(1, Int((Double(length) * Double(height) / 224).rounded())) }
    switch self {
    case .flip: return .flip(vertical: Bool.random(using: &random))
    case .rotate: return .rotate(degrees: Double.random(in: -180...180, using: &random))
    case .translate:
      return .translate(
        down: number(-height / 4...height / 4), right: number(-width / 4...width / 4))
    case .cutout:
      let side = number(1...number(1...scaled(50)))
      return .cutout(Box(around: number(0...height - 1), number(0...width - 1), side: side, height, width))
    case .cropAndPad:
      let side = number(min(height, number(1...scaled(180)))...height)
      return .cropAndPad(Box(around: number(0...height - 1), number(0...width - 1), side: side, height, width))
    case .cutmix:
      // Beta(1, 1) is uniform.
      let share = (1 - Double.random(in: 0...1, using: &random)).squareRoot()
      let (row, column) = (
        Double.random(in: 0...Double(height), using: &random), Double.random(in: 0...Double(width), using: &random)
      )
      func range(_ centre: Double, _ length: Double, _ limit: Int) -> Range<Int> {
        let ends = [centre - length / 2, centre + length / 2].map { min(max(Int($0.rounded()), 0), limit) }
        return ends[0]..<ends[1]
      }
      let box = Box(
        rows: range(row, Double(height) * share, height), columns: range(column, Double(width) * share, width))
      return .cutmix(box, order: (0..<batch).shuffled(using: &random))
    }
  }

  /// A rectangle of pixels.
  struct Box: Hashable, Sendable {
    var rows: Range<Int>
    var columns: Range<Int>

    init(rows: Range<Int>, columns: Range<Int>) {
      self.rows = rows
      self.columns = columns
    }

    /// [c - ⌊side/2⌋, c + ⌊side/2⌋) each way, within the image.
    init(around row: Int, _ column: Int, side: Int, _ height: Int, _ width: Int) {
      func range(_ centre: Int, _ limit: Int) -> Range<Int> {
        max(0, centre - side / 2)..<min(limit, centre + side / 2)
      }
      rows = range(row, height)
      columns = range(column, width)
    }
  }

  /// A transformation with everything drawn.
  enum Move: Hashable, Sendable {
    case identity
    case flip(vertical: Bool)
    /// Counter-clockwise, nearest pixel, zeros outside.
    case rotate(degrees: Double)
    case translate(down: Int, right: Int)
    case cutout(Box)
    case cropAndPad(Box)
    /// Inside the box image i takes the pixels of image `order[i]`.
    case cutmix(Box, order: [Int])

    /// The transformed copy of `[N, C, H, W]`; the argument stays as it is.
    func callAsFunction(_ images: Tensor) -> Tensor {
      let (height, width) = (images.size(2), images.size(3))
      switch self {
      case .identity: return images
      case .flip(let vertical): return images.flipped([vertical ? 2 : 3])
      case .rotate(let degrees): return rotated(images, degrees * .pi / 180)
      case .translate(let down, let right):
        let (top, left) = (max(0, down), max(0, right))
        let kept = images[
          TensorIndex.all, TensorIndex.all, max(0, -down)..<height - top, max(0, -right)..<width - left]
        return kept.padded([left, max(0, -right), top, max(0, -down)])
      case .cutout(let box): return images * (1 - mask(box, images))
      case .cropAndPad(let box): return images * mask(box, images)
      case .cutmix(let box, let order):
        let inside = mask(box, images)
        return images * (1 - inside) + images.selecting(Tensor(order).to(images.device)) * inside
      }
    }

    private func mask(_ box: Box, _ images: Tensor) -> Tensor {
      let mask = Tensor.zeros([1, 1, images.size(2), images.size(3)], device: images.device)
      if !box.rows.isEmpty, !box.columns.isEmpty {
        mask[TensorIndex.all, TensorIndex.all, box.rows, box.columns].fill(with: 1)
      }
      return mask
    }

    private func rotated(_ images: Tensor, _ angle: Double) -> Tensor {
      let (height, width) = (images.size(2), images.size(3))
      let (middleRow, middleColumn) = (Double(height - 1) / 2, Double(width - 1) / 2)
      var places: [Int] = []
      for row in 0..<height {
        for column in 0..<width {
          let (y, x) = (Double(row) - middleRow, Double(column) - middleColumn)
          let sourceColumn = Int((cos(angle) * x - sin(angle) * y + middleColumn).rounded(.toNearestOrEven))
          let sourceRow = Int((sin(angle) * x + cos(angle) * y + middleRow).rounded(.toNearestOrEven))
          let isInside = (0..<height).contains(sourceRow) && (0..<width).contains(sourceColumn)
          places.append(isInside ? sourceRow * width + sourceColumn : height * width)
        }
      }
      let flat = images.contiguous().reshaped([images.size(0), images.size(1), height * width]).padded([0, 1])
      return flat.selecting(Tensor(places).to(images.device), 2).reshaped(images.shape)
    }
  }
}
