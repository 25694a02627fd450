import Foundation

extension Tensor {
  /// A NumPy file (`.npy`, format 1.0) of the tensor as float32, row by row.
  public func npy() -> Data {
    let size = shape.map { "\($0)," }.joined(separator: " ")
    var header = "{'descr': '<f4', 'fortran_order': False, 'shape': (\(size)), }"
    // The data begin at a multiple of 64 bytes, after ten bytes before the header and a newline.
    header += String(repeating: " ", count: 63 - (10 + header.utf8.count) % 64) + "\n"
    let length = UInt16(header.utf8.count)
    let start = Data([0x93]) + Data("NUMPY".utf8) + Data([1, 0, UInt8(length % 256), UInt8(length / 256)])
    return start + Data(header.utf8) + detached().to(.float32).contiguous().data()
  }
}
