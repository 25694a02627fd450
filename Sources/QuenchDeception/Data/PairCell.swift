import Foundation
import QuenchSupport
import QuenchTorch

/// Pairs of clean and adversarial images of one attack on one victim, as 8-bit pixels.
public struct PairCell {
  /// What the cell is of.
  public struct Key: Hashable, Codable, Sendable {
    public enum Part: String, Codable, Sendable { case train, test }

    public var part: Part
    public var victim: String
    public var attack: RedAttack
    public var level: RedLevel

    public init(part: Part, victim: String, attack: RedAttack, level: RedLevel) {
      self.part = part
      self.victim = victim
      self.attack = attack
      self.level = level
    }

    /// `test-v1-pgd-medium`
    public var name: String { "\(part.rawValue)-\(victim)-\(attack.rawValue)-\(level.rawValue)" }
  }

  public var key: Key
  /// uint8, `[N, C, H, W]`.
  public var clean: Tensor
  public var adversarial: Tensor
  /// int64 `[N]`: the data set's label and index, the victim's answers to both images of a pair.
  public var labels: Tensor
  public var indices: Tensor
  public var before: Tensor
  public var after: Tensor
  /// int64 `[N]`, 0 or 1: whether the attack succeeded before and after rounding to 8 bits.
  public var successUnrounded: Tensor
  public var success: Tensor

  public var count: Int { labels.size(0) }
  public var successRate: Double { Double(success.nonzeroCount()) / Double(max(1, count)) }

  /// Pixels in [0, 1] of whole 255ths: halves go to the even one.
  static func rounded(_ images: Tensor) -> Tensor { (images * 255).rounded().clamped(to: 0...255).to(.uint8) }

  /// float32 channels-last pixels in [0, 1].
  public static func pixels(_ bytes: Tensor) -> Tensor {
    bytes.to(.float32).contiguous(.channelsLast) * (1.0 / 255)
  }

  /// Those pairs at which `mask`, bool `[N]`, holds.
  func filtered(_ mask: Tensor) -> PairCell {
    let rows = mask.nonzero().reshaped([-1])
    var copy = self
    (copy.clean, copy.adversarial) = (clean.selecting(rows), adversarial.selecting(rows))
    (copy.labels, copy.indices) = (labels.selecting(rows), indices.selecting(rows))
    (copy.before, copy.after) = (before.selecting(rows), after.selecting(rows))
    (copy.success, copy.successUnrounded) = (success.selecting(rows), successUnrounded.selecting(rows))
    return copy
  }

  /// The pairs whose attack succeeded after rounding.
  public var successful: PairCell { filtered(success .!= 0) }
}

// MARK: - Files

extension PairCell {
  private static let metadataKey = "quench.cell"
  private static var tensors: [(String, WritableKeyPath<PairCell, Tensor>)] {
    [
      ("clean", \.clean), ("adversarial", \.adversarial), ("labels", \.labels), ("indices", \.indices),
      ("before", \.before), ("after", \.after), ("success_unrounded", \.successUnrounded), ("success", \.success)
    ]
  }

  /// Writes the file, whole or not at all.
  public func write(to url: URL) throws(InputError) {
    let state = StateDictionary(Self.tensors.map { ($0.0, self[keyPath: $0.1].contiguous()) })
    let description: String
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    do { description = String(decoding: try encoder.encode(key), as: UTF8.self) } catch {
      throw InputError.writing(url, error)
    }
    try Safetensors.write(state, metadata: [Self.metadataKey: description], to: url)
  }

  /// - Parameters:
  ///   - url: The file.
  ///   - device: Where its tensors go.
  /// - Throws: `InputError` if the file is damaged or is no cell.
  public init(contentsOf url: URL, on device: Device = .cpu) throws(InputError) {
    let file = try Safetensors(contentsOf: url)
    guard let text = file.metadata[Self.metadataKey],
      let key = try? JSONDecoder().decode(Key.self, from: Data(text.utf8))
    else { throw InputError("this is not a cell of an attack data set", at: url.path) }
    let state = try file.stateDictionary()
    let empty = Tensor.zeros([0])
    self.init(
      key: key, clean: empty, adversarial: empty, labels: empty, indices: empty, before: empty, after: empty,
      successUnrounded: empty, success: empty)
    for (name, path) in Self.tensors {
      guard let tensor = state[name] else { throw InputError("the cell lacks '\(name)'", at: url.path) }
      self[keyPath: path] = tensor.to(device)
    }
    let count = labels.rank == 1 ? labels.size(0) : -1
    let images = [clean, adversarial]
    guard
      images.allSatisfy({ $0.rank == 4 && $0.dtype == .uint8 && $0.shape == clean.shape && $0.size(0) == count }),
      [indices, before, after, success, successUnrounded].allSatisfy({ $0.shape == [count] && $0.dtype == .int64 })
    else { throw InputError("the cell's tensors do not fit together", at: url.path) }
  }
}
