/// The objects that a pickle of plain tensors describes.
///
/// Containers live in arrays and refer to each other by index: neither a cycle nor deep nesting in the file can
/// leak memory or exhaust the call stack.
struct Pickle {
  enum Value {
    /// None, a truth value, a float or an integer beyond 64 bits: no tensor needs to know which.
    case scalar
    case integer(Int)
    case string(String)
    case function(Function)
    /// Indices into ``sequences``.
    case tuple(Int)
    case list(Int)
    /// An index into ``dictionaries``.
    case dictionary(Int)
    /// An index into ``storages``.
    case storage(Int)
    /// An index into ``tensors``.
    case tensor(Int)
    /// A Python object that is neither; an index into ``objects``.
    case object(Int)
  }

  enum Function {
    case dictionary, rebuildTensor, rebuildTypedTensor, rebuildParameter
    /// The class of a storage, which stands for its element type.
    case storage(DType)
    /// Whatever else the file names, an index into ``classes``: it is never looked up, let alone called.
    case foreign(Int)
  }

  /// The file's entry that holds elements, possibly of several tensors.
  struct Storage {
    var key: String
    var dtype: DType
    var elementCount: Int
  }

  /// A view of a storage, unchecked.
  struct View {
    /// An index into ``storages``.
    var storage: Int
    /// The first element's position in the storage.
    var offset: Int
    /// Indices into ``sequences``: the sizes, and the steps in elements along each dimension.
    var shape: Int
    var strides: Int
  }

  /// What the pickle as a whole describes.
  var root = Value.scalar
  var sequences: [[Value]] = []
  var dictionaries: [[(key: Value, value: Value)]] = []
  var storages: [Storage] = []
  var tensors: [View] = []
  /// What the file names that is not known here, as `module.name`.
  var classes: [String] = []
  /// For each object that belongs to nothing known an index into ``classes``.
  var objects: [Int] = []
}
