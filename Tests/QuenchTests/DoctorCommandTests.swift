import Foundation
import QuenchReporting
import TestSupport
import Testing

@Suite("quench doctor") struct DoctorCommandTests {
  @Test("says what a run would use and finds nothing wrong with LibTorch") func healthy() async throws {
    let folder = try TemporaryFolder()
    let result = try await Tool.run(
      ["doctor", "--json", "--threads", "1", "--precision", "float32"], in: folder.url)
    #expect(result.code == 0, "\(result.errors)")
    let record = try result.json()
    #expect(
      record["run"]
        == ["device": "cpu", "precision": "float32", "inference_precision": "float32", "threads": 1])
    #expect(record["checks"] == ["matrix product": true, "convolution": true])
    #expect(record["libtorch"]?.string?.hasPrefix("2.") == true)
    #expect(record["devices"]?.array?.last == "cpu")
    #expect(record["runs_folder_writable"] == true)
    #expect((record["cores"]?.integer ?? 0) > 0)
  }

  @Test("warns of a runs folder that cannot be written", .disabled(if: getuid() == 0, "root may write anywhere"))
  func unwritable() async throws {
    let folder = try TemporaryFolder()
    let runs = folder.url.appending(path: "runs")
    try FileManager.default.createDirectory(
      at: runs, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o500])
    let text = try await Tool.run(["doctor"], in: folder.url).output
    #expect(text.contains("warning: \(runs.path) cannot be written"))
  }

  @Test("keeps what it measured of bfloat16 for later runs, and says how busy the machine is") func measures()
    async throws
  {
    let folder = try TemporaryFolder()
    let result = try await Tool.run(
      ["doctor", "--json", "--threads", "1"], environment: ["XDG_CACHE_HOME": folder.url.path])
    let record = try result.json()
    let gain = try #require(record["bfloat16_gain"]?.record)
    let kept = try Value(json: Data(contentsOf: folder.url.appending(path: "quench/bfloat16.json")), name: "kept")
    let entries = try #require(kept.record).map { $0 }
    #expect(entries.count == 1)
    #expect(entries.first?.value.record?["training"]?.number == gain["training"]?.number)
    #expect((gain["training"]?.number ?? -1 > 0) == (record["offers_bfloat16"] == true))
    #expect(record["load"]?.number != nil)
    #expect(record["waiting"]?.string?.hasPrefix("GOMP_SPINCOUNT=") == true)
  }

  @Test("leaves the user's way for threads to wait as it is") func userPolicy() async throws {
    let result = try await Tool.run(
      ["doctor", "--json", "--threads", "1"], environment: ["OMP_WAIT_POLICY": "passive"])
    #expect(try result.json()["waiting"] == "OMP_WAIT_POLICY=passive")
  }

  #if os(Linux)
    @Test(
      "help, the version and wrong usage do not load LibTorch",
      arguments: [["--version"], ["train", "--help"], ["train", "--epochs", "x"]])
    func startsAlone(arguments: [String]) async throws {
      let result = try await Tool.run(arguments, environment: ["LD_DEBUG": "files"])
      #expect(result.errors.contains("libc10.so"))
      #expect(!result.errors.contains("libtorch_cpu.so"))
    }
  #endif

  @Test("warns of more threads than cores, with what to do") func threads() async throws {
    let text = try await Tool.run(["doctor", "--threads", "4096"]).output
    #expect(text.contains("warning: 4096 threads share"))
    #expect(text.contains("lower --threads to"))
  }

  @Test("refuses a device that is not there") func noDevice() async throws {
    let result = try await Tool.run(["doctor", "--device", "cuda:99"])
    #expect(result.code != 0)
    #expect(result.errors.contains("no such device"))
  }
}
