import QuenchSupport
import QuenchTorch

extension ImageDataset {
  /// The images resized by a triangle filter that widens when it shrinks, and cropped, as `fit` says of pictures; grey ones
  /// repeated for three channels, color turned into luma for one.
  /// - Throws: `InputError` if memory would not do.
  func fitted(to fit: PictureFit) throws(InputError) -> ImageDataset {
    guard fit.shorterSide != nil || [fit.channels, fit.height, fit.width] != [channels, height, width] else {
      return self
    }
    try checkMemory(for: [count, fit.channels, fit.height, fit.width], at: name)
    var copy = self
    let bytes = images.to(.cpu)
    let parts = stride(from: 0, to: count, by: 256).map { bytes[$0..<min($0 + 256, count)].fitted(to: fit) }
    copy.images = Tensor.concatenated(parts, 0).to(images.device)
    if fit.channels != channels { copy.statistics = statistics.inChannels(fit.channels) }
    return copy
  }
}

extension Tensor {
  /// uint8 `[N, C, H, W]` as pictures come to a size.
  fileprivate func fitted(to fit: PictureFit) -> Tensor {
    var images = to(.float32)
    if size(1) == 3, fit.channels == 1 {
      let weights = Tensor([0.299, 0.587, 0.114] as [Float], shape: [1, 3, 1, 1])
      images = (images * weights).sum([1], keepDimensions: true)
    }
    let (height, width) = (size(2), size(3))
    if fit.shorterSide != nil || (fit.height, fit.width) != (height, width) {
      let full = fit.fullSize(height: height, width: width)
      let (top, left) = ((full.height - fit.height) / 2, (full.width - fit.width) / 2)
      images =
        images.resizedBilinear(height: full.height, width: full.width)[
          TensorIndex.all, TensorIndex.all, top..<top + fit.height, left..<left + fit.width]
    }
    if size(1) == 1, fit.channels == 3 { images = images.repeated([1, 3, 1, 1]) }
    return images.rounded().clamped(to: 0...255).to(.uint8)
  }
}

extension ChannelStatistics {
  fileprivate func inChannels(_ count: Int) -> ChannelStatistics {
    func spread(_ values: [Double]) -> [Double] {
      values.count == 1
        ? [Double](repeating: values[0], count: count) : [values.reduce(0, +) / Double(values.count)]
    }
    return ChannelStatistics(mean: spread(mean), standardDeviation: spread(standardDeviation))
  }
}
