import CTorch
import Foundation
import QuenchSupport

/// A connection to the keys and values that all ranks see. It serves one call at a time.
package final class RankStore: Sendable {
  private let address: UInt
  private let prefix: String
  /// Where it is served.
  package let port: Int

  /// - Parameters:
  ///   - host: The machine that serves it.
  ///   - port: There; 0 for any that is free, where this process serves.
  ///   - serves: Whether this process is the one to serve it, for as long as this lives.
  ///   - prefix: Before every key.
  ///   - seconds: How long connecting is tried.
  /// - Throws: `InputError` if nobody is there in time, or the port is taken.
  package init(host: String, port: Int, serves: Bool, prefix: String, seconds: Double) throws(InputError) {
    var (out, bound, error): (OpaquePointer?, Int32, ct_error) = (nil, 0, ct_error())
    let status = ct_store_open(host, Int32(port), serves, Int64(seconds * 1000), &out, &bound, &error)
    guard status == CT_OK, let out else {
      let reason = TorchFailure(taking: error).message.excerpt(200)
      throw InputError(
        serves
          ? "the port on which ranks find each other cannot be served (\(reason))"
          : "rank 0 was not found within \(Int(seconds)) s (\(reason))",
        at: "\(host):\(port)",
        remedy: serves ? "choose another MASTER_PORT" : "see whether it runs, and MASTER_ADDR and MASTER_PORT")
    }
    address = UInt(bitPattern: out)
    self.port = Int(bound)
    self.prefix = prefix
  }

  deinit { ct_store_release(handle) }

  private var handle: OpaquePointer? { OpaquePointer(bitPattern: address) }

  /// - Throws: `TorchFailure` where the connection is gone; so do the others.
  func set(_ key: String, _ value: String) throws(TorchFailure) {
    try call { ct_store_set(handle, prefix + key, value, &$0) }
  }

  /// Nil where no one has set it.
  subscript(key: String) -> String? {
    get throws(TorchFailure) {
      var value: UnsafeMutablePointer<CChar>?
      try call { ct_store_get(handle, prefix + key, &value, &$0) }
      return Self.taken(value)
    }
  }

  /// Sets what no one has set.
  /// - Returns: What stands there afterwards.
  @discardableResult
  func setFirst(_ key: String, _ wanted: String) throws(TorchFailure) -> String {
    var value: UnsafeMutablePointer<CChar>?
    try call { ct_store_set_first(handle, prefix + key, wanted, &value, &$0) }
    return Self.taken(value) ?? wanted
  }

  /// Joins the ranks that add up tensors.
  /// - Parameter seconds: How long each waits for the others, here and in every sum.
  /// - Returns: The group's handle, owned by the caller.
  func join(rank: Int, size: Int, seconds: Double) throws(TorchFailure) -> OpaquePointer? {
    var group: OpaquePointer?
    try call {
      ct_group_join(handle, prefix + "gloo", Int32(rank), Int32(size), Int64(seconds * 1000), &group, &$0)
    }
    return group
  }

  private func call(_ body: (inout ct_error) -> Int32) throws(TorchFailure) {
    var error = ct_error()
    guard body(&error) == CT_OK else { throw TorchFailure(taking: error) }
  }

  private static func taken(_ text: UnsafeMutablePointer<CChar>?) -> String? {
    defer { free(text) }
    return text.map { String(cString: $0) }
  }
}
