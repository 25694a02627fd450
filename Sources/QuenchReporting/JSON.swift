import Foundation
import QuenchSupport

extension Value {
  /// The value as JSON on one line, or indented over several if `pretty`.
  ///
  /// Keys keep their order. NaN and infinity become `null`.
  public func json(pretty: Bool = false) -> String {
    var text = ""
    write(to: &text, indent: pretty ? "\n" : nil)
    return text
  }

  private func write(to text: inout String, indent: String?) {
    let inner = indent.map { $0 + "  " }
    switch self {
    case .null: text += "null"
    case .bool(let value): text += value ? "true" : "false"
    case .int(let value): text += "\(value)"
    case .double(let value): text += value.isFinite ? "\(value)" : "null"
    case .string(let value): value.writeJSON(to: &text)
    case .array(let values):
      text += "["
      for (index, value) in values.enumerated() {
        if index > 0 { text += indent == nil ? "," : ", " }
        value.write(to: &text, indent: inner)
      }
      text += "]"
    case .object(let record):
      text += "{"
      for (index, (key, value)) in record.enumerated() {
        if index > 0 { text += "," }
        text += inner ?? ""
        key.writeJSON(to: &text)
        text += indent == nil ? ":" : ": "
        value.write(to: &text, indent: inner)
      }
      if !record.isEmpty { text += indent ?? "" }
      text += "}"
    }
  }

  /// Reads one JSON value.
  /// - Parameters:
  ///   - data: UTF-8 text with nothing but space around the value.
  ///   - name: What the text is, for errors: usually the file's path.
  /// - Throws: `InputError` with the byte offset of the first mistake. Nesting over 100 levels and a key that
  ///   occurs twice are mistakes.
  public init(json data: Data, name: String) throws(InputError) {
    var reader = JSONReader(data, name: name)
    self = try reader.value()
    try reader.end()
  }
}

extension String {
  fileprivate func writeJSON(to text: inout String) {
    text += "\""
    for scalar in unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\r": text += "\\r"
      case "\t": text += "\\t"
      case "\0"..<" ":
        let digits = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: text.unicodeScalars.append(scalar)
      }
    }
    text += "\""
  }
}
