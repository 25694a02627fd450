extension Table {
  /// The table for a terminal: columns under each other, numbers to the right, no caption.
  public var text: String {
    let head = columns.map { column in column.unit.map { "\(column.title), \($0)" } ?? column.title }
    let lines = [head] + rows.map { row in columns.indices.map { $0 < row.count ? row[$0].text : "" } }
    let widths = columns.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
    return lines.map { line in
      let cells = line.enumerated().map { index, text in
        let space = String(repeating: " ", count: widths[index] - text.count)
        return columns[index].alignment == .number ? space + text : text + space
      }
      return String(cells.joined(separator: "  ").reversed().drop { $0 == " " }.reversed())
    }.joined(separator: "\n")
  }
}
