import CTorch
import QuenchSupport

/// An operator that is found when a graph is read, with what its schema says of its arguments.
struct OperatorSchema {
  struct Parameter {
    var name: String
    /// The door's tag of what it takes.
    var tag: Int
    /// A list's length where the schema fixes one, else 0.
    var count: Int
    var isOptional: Bool
    var hasDefault: Bool
    /// Whether the operator writes to the tensor.
    var isWritten: Bool
  }

  let name: String
  let parameters: [Parameter]
  private let handle: OpaquePointer

  /// Nil where LibTorch has no such operator.
  init?(_ name: String) {
    guard let handle = ct_operator_find(name) else { return nil }
    self.handle = handle
    self.name = name
    parameters = (0..<ct_operator_arity(handle)).map { index in
      let parameter = ct_operator_parameter(handle, index)
      return Parameter(
        name: parameter.name.map { String(cString: $0) } ?? "", tag: Int(parameter.tag),
        count: Int(parameter.count), isOptional: parameter.optional, hasDefault: parameter.has_default,
        isWritten: parameter.is_written)
    }
  }

  /// Calls the operator; `body` receives its results, and owns the tensors among them.
  func call(
    _ arguments: inout ArgumentList, _ body: (UnsafeBufferPointer<ct_value>) -> Void
  ) throws(TorchFailure) {
    let failure = withUnsafeTemporaryAllocation(of: ct_value.self, capacity: 16) { results -> TorchFailure? in
      var produced: Int32 = 0
      var error = ct_error()
      let status = arguments.withValues { values in
        ct_call(handle, values.baseAddress, Int32(values.count), results.baseAddress, 16, &produced, &error)
      }
      guard status == CT_OK else { return TorchFailure(taking: error) }
      body(UnsafeBufferPointer(rebasing: results[..<Int(produced)]))
      return nil
    }
    if let failure { throw failure }
  }
}

extension OperatorSchema {
  /// Whether a program from outside may call the operator: it is one of PyTorch's own, its kernels check what they are
  /// given, and it reaches neither files nor foreign memory.
  static func isSafe(_ name: String) -> Bool {
    guard name.hasPrefix("aten::") else { return false }
    let parts = name.dropFirst(6).split(separator: ".", maxSplits: 1)
    guard let base = parts.first.map(String.init), parts.count < 2 || !parts[1].hasSuffix("out") else {
      return false
    }
    if base.hasPrefix("_") { return checkedInternals.contains(base) }
    return !unchecked.contains(base) && !uncheckedFamilies.contains { base.hasPrefix($0) }
  }

  /// Operators under internal names that decomposed programs have.
  private static let checkedInternals: Set = [
    "_adaptive_avg_pool2d", "_log_softmax", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training",
    "_scaled_dot_product_flash_attention_for_cpu", "_softmax", "_to_copy", "_unsafe_view",
    "_upsample_bicubic2d_aa", "_upsample_bilinear2d_aa", "_weight_norm"
  ]
  private static let unchecked: Set = [
    "as_strided_scatter", "data", "from_file", "record_stream", "rename", "resize", "resize_", "resize_as_",
    "resize_as_sparse_", "set", "set_", "set_data"
  ]
  private static let uncheckedFamilies = [
    "choose_qparams", "cudnn_", "fbgemm_", "int_repr", "miopen_", "mkldnn_", "q_", "qscheme", "quantize",
    "quantized", "segment_reduce", "sparse_", "sspaddmm", "to_mkldnn", "to_padded", "to_sparse"
  ]
}
