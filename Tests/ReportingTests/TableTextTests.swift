import QuenchReporting
import Testing

@Test("A table in a terminal has its numbers to the right and no trailing space")
func tableAsText() {
  let table = Table(
    "Sizes", columns: [.text("name"), .number("parameters", unit: "k"), .text("note")],
    rows: [["resnet20", "272", "small"], ["vgg16-bn", "15,000"]])
  #expect(
    table.text == """
      name      parameters, k  note
      resnet20            272  small
      vgg16-bn         15,000
      """)
}
