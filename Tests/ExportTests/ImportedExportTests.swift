import Foundation
import QuenchSupport
import QuenchVision
import TestSupport
import Testing

@testable import QuenchExport

@Suite("Exporting a network imported from PyTorch") struct ImportedExportTests {
  @Test("as ONNX is refused in a line") func refused() throws {
    let folder = try TemporaryFolder()
    try folder.write(ExportedSample.rooms(), "network.pt2")
    let network = try ModelFile(contentsOf: folder / "network.pt2").network
    let error = #expect(throws: InputError.self) { try ONNXExport().write(network, to: folder / "network.onnx") }
    #expect("\(try #require(error))".contains("an imported network cannot be written as ONNX yet"))
  }
}
