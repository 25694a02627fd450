import Foundation
import QuenchReporting
import TestSupport
import Testing

@Suite("quench study") struct StudyTests {
  @Test("plans runs, does them by several workers, and says what came of them") func workers() async throws {
    let folder = try TemporaryFolder()
    try Data(
      """
      runs:
        dense:
          kind: train
          settings: {data: synthetic, train-limit: 64, limit: 24, batch-size: 16, epochs: 1, model: small-cnn}
        omp:
          kind: prune-omp
          settings: {weights: '{study}/dense/model.safetensors', data: synthetic, train-limit: 64, limit: 24, epochs: 0}
          sweep: {keep: [0.5, 0.2]}
      """.utf8
    ).write(to: folder / "study.yaml")
    func tool(_ words: String...) async throws -> Tool.Outcome {
      try await Tool.run(["study"] + words, in: folder.url)
    }
    let planned = try await tool("plan", "study.yaml", "--out", "grid", "--json")
    #expect(planned.code == 0, "\(planned.errors)")
    #expect(try planned.json()["runs"] == 3)
    async let one = tool("next", "grid", "--all", "--threads", "1", "--json")
    async let other = tool("next", "grid", "--all", "--threads", "1", "--json")
    let outcomes = try await [one, other]
    #expect(outcomes.allSatisfy { $0.code == 0 }, "\(outcomes.map(\.errors))")
    let done = try outcomes.flatMap { try $0.json()["done"]?.array ?? [] }
    #expect(Set(done) == ["dense", "omp_keep-0.5", "omp_keep-0.2"] && done.count == 3)
    let shown = try await tool("show", "grid", "--figures", "accuracy,keep_ratio", "--json").json()
    #expect(shown["completed"] == 3)
    let ratios = shown["runs"]?.array?.compactMap { $0.record?["keep_ratio"]?.number }
    #expect(ratios == [0.2, 0.5])
    let last = try await tool("next", "grid")
    #expect(last.code == 0 && last.output.contains("all 3 runs are completed"))
    let nowhere = try await tool("next", "nowhere")
    #expect(nowhere.code == 1 && nowhere.errors.contains("nowhere"))
  }
}
