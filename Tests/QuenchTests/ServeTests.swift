import Foundation
import QuenchReporting
import QuenchSmoothing
import QuenchSupport
import QuenchTorch
import QuenchVision
import Synchronization
import TestSupport
import Testing

@Suite("quench serve") struct ServeTests {
  private func folder() async throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    try ModelFile(Network(.smallCNN(input: [3, 32, 32], classes: 10), seed: 1)).write(
      to: folder / "box.safetensors")
    try ModelFile(Network(.smallCNN(input: [3, 32, 32], classes: 7), seed: 1)).write(
      to: folder / "seven.safetensors")
    return folder
  }

  private func serve(_ arguments: [String], in folder: TemporaryFolder) async throws -> ServerProcess {
    try await ServerProcess(["serve", "--threads", "1"] + arguments, in: folder)
  }

  private func train(_ url: String, _ out: URL, _ more: [String] = []) -> [String] {
    [
      "defend", "train", "--endpoint", url, "--method", "zo-ds", "--directions", "2", "--denoiser-depth", "3",
      "--denoiser-width", "4", "--epochs", "1", "--batch-size", "16", "--checkpoint-interval", "0", "--out",
      out.path
    ] + Tool.tiny + more
  }

  @Test("A configuration file holds its flags; an unknown key and a missing token are told of")
  func configuration() async throws {
    let folder = try await folder()
    try Data("weights: \(folder.url.path)/box.safetensors\nname: from-file\nlog-level: error\n".utf8).write(
      to: folder / "serve.yaml")
    let server = try await serve(["--config", (folder / "serve.yaml").path], in: folder)
    #expect(server.url.hasSuffix("/v2/models/from-file"))
    #expect(try await server.end().code == 0)
    try Data("wieghts: a\n".utf8).write(to: folder / "wrong.yaml")
    let wrong = try await Tool.run(["serve", "--config", (folder / "wrong.yaml").path])
    #expect(wrong.code == 64 && wrong.errors.contains("did you mean 'weights'"), "\(wrong.errors)")
    let missing = try await Tool.run(
      ["serve", "--weights", (folder / "box.safetensors").path, "--token-file", (folder / "none").path])
    #expect(missing.code == 1 && missing.errors.contains("no such file"), "\(missing.errors)")
  }

  @Test(
    "A defense is trained, evaluated and served against a model that is served; the ledger's count is the server's")
  func wholeWay() async throws {
    let folder = try await folder()
    let server = try await serve(
      ["--weights", (folder / "box.safetensors").path, "--name", "box", "--batch-size", "16"], in: folder)
    #expect(server.url.hasSuffix("/v2/models/box"))
    let trained = try await Tool.run(
      train(server.url, folder / "defense", ["--price-per-1000", "2.5", "--json"]))
    #expect(trained.code == 0, "\(trained.errors)")
    let summary = try trained.json()
    // 64 images: the clean answer, the point, and two sides of two directions; before them the probe.
    let probe = try #require(summary["ledger_probe"]?.integer)
    let total = 64 * 6 + probe
    #expect(summary["queries"]?.integer == 64 * 6 && summary["ledger_queries"]?.integer == total)
    #expect(probe % 32 == 0 && (64...640).contains(probe) && summary["smoothing_step"]?.number == 0.005)
    #expect(
      summary["price"]?.number == 2.5 * Double(total) / 1000 && summary["retries"]?.integer == 0
        && summary["cached"]?.integer == 0)
    #expect(try server.get("/metrics").contains("quench_images_total \(total)\n"))

    let certification = [
      "--data", "synthetic", "--limit", "4", "--n", "60", "--n0", "10", "--threads", "1", "--precision", "float32"
    ]
    let evaluated = try await Tool.run(
      ["defend", "evaluate", "--endpoint", server.url, "--defense", (folder / "defense").path, "--json", "--out"]
        + [(folder / "evaluation").path] + certification)
    #expect(evaluated.code == 0, "\(evaluated.errors)")
    let asked = try #require(try evaluated.json()["ledger_queries"]?.integer)
    #expect(asked >= 4 * 10)
    #expect(try server.get("/metrics").contains("quench_images_total \(total + asked)\n"))

    let proxy = try await serve(
      ["--defend", (folder / "defense").path, "--endpoint", server.url, "--votes", "60", "--name", "safe"],
      in: folder)
    let metadata = try Value(json: Data(try proxy.get("/v2/models/safe").utf8), name: "metadata").record
    let outputs = try #require(metadata?["outputs"]?.array).compactMap { $0.record?["name"]?.string }
    #expect(outputs == ["votes", "label", "radius", "abstained"])
    #expect(try await proxy.end().code == 0)
    let end = try await server.end()
    #expect(end.code == 0 && end.errors.contains("images=\(total + asked)"), "\(end.errors)")
  }

  @Test("A server that is killed costs training nothing: it goes on with the next one to the undisturbed weights")
  func restart() async throws {
    let folder = try await folder()
    let flags = ["--weights", (folder / "box.safetensors").path, "--name", "box", "--batch-size", "16"]
    let first = try await serve(flags, in: folder)
    let whole = try await Tool.run(train(first.url, folder / "whole", ["--no-probe"]))
    #expect(whole.code == 0, "\(whole.errors)")
    let stopped = try await Tool.run(train(first.url, folder / "broken", ["--query-budget", "200", "--no-probe"]))
    #expect(stopped.code == 1 && stopped.errors.contains("the query budget is spent"), "\(stopped.errors)")
    #expect(try await first.end().code == 0)
    let alone = try await Tool.run(
      train(first.url, folder / "broken", ["--query-budget", "400", "--no-probe", "--resume", "--tries", "1"]))
    #expect(alone.code == 1 && alone.errors.contains("the endpoint is out of reach"), "\(alone.errors)")
    let second = try await serve(flags, in: folder)
    let resumed = try await Tool.run(
      train(second.url, folder / "broken", ["--query-budget", "400", "--no-probe", "--resume", "--json"]))
    #expect(resumed.code == 0, "\(resumed.errors)")
    #expect(try resumed.json()["ledger_queries"]?.integer == 384)
    let name = Defense.denoiserFileName
    #expect(try sameBytes((folder / "whole").appending(path: name), (folder / "broken").appending(path: name)))
    #expect(try await second.end().code == 0)
  }

  @Test("An endpoint of another class count, and the ledger of another model, are refused")
  func refusals() async throws {
    let folder = try await folder()
    let seven = try await serve(["--weights", (folder / "seven.safetensors").path], in: folder)
    let classes = try await Tool.run(train(seven.url, folder / "a"))
    #expect(
      classes.code == 1
        && classes.errors.contains("another number of classes than synthetic (expected 10, found 7)"),
      "\(classes.errors)")
    let box = try await serve(["--weights", (folder / "box.safetensors").path], in: folder)
    _ = try QueryLedger(at: folder / "other.sqlite", model: "model:other", budget: nil)
    let ledger = try await Tool.run(train(box.url, folder / "b", ["--ledger", (folder / "other.sqlite").path]))
    #expect(ledger.code == 1 && ledger.errors.contains("the ledger is that of another model"), "\(ledger.errors)")
    for server in [seven, box] { #expect(try await server.end().code == 0) }
  }

  @Test("Wrong usage and files that are not there are told at once")
  func usage() async throws {
    for (flags, code, words) in [
      (["--name", "box"], 64, "either --weights or --endpoint"),
      (["--endpoint", "http://localhost:9/v2/models/x"], 64, "--endpoint needs --defend"),
      (["--weights", "x", "--tls-key", "y"], 64, "belong together"),
      (["--weights", "x", "--defend", "y", "--votes", "5"], 64, "certify nothing"),
      (["--weights", "x", "--defend", "y", "--sigma", "0"], 64, "--sigma: out of range"),
      (["--weights", "x", "--ledger", "y"], 64, "--ledger needs --defend"),
      (["--weights", "x", "--keep-answers", "5"], 64, "--keep-answers needs --defend"),
      (["--weights", "x", "--defend", "y", "--query-budget", "5"], 64, "--query-budget needs --ledger"),
      (["--weights", "x", "--votes", "100"], 64, "--votes needs --defend"),
      (["--weights", "x", "--sigma", "0.5"], 64, "--sigma needs --defend"),
      (["--weights", "x", "--alpha", "0.01"], 64, "--alpha needs --defend"),
      (["--weights", "x", "--clip"], 64, "--clip needs --defend"),
      (["--weights", "x", "--feedback", "logits"], 64, "--feedback needs --endpoint"),
      (["--weights", "x", "--connections", "4"], 64, "--connections needs --endpoint"),
      (["--weights", "x", "--tries", "4"], 64, "--tries needs --endpoint"),
      (["--weights", "x", "--endpoint-token-file", "y"], 64, "--endpoint-token-file needs --endpoint"),
      (["--weights", "x", "--rate-limit", "0"], 64, "above 0"),
      (["--weights", "x", "--log-level", "infos"], 64, "error: --log-level: no such value"),
      (["--weights", "x", "--wieghts", "y"], 64, "error: there is no flag '--wieghts'; did you mean '--weights'?"),
      (["--weights", "/nowhere/x.safetensors"], 1, "/nowhere/x.safetensors"),
      (["--defend", "y", "--endpoint", "http://localhost:9/v2/models/x"], 1, "the endpoint is out of reach")
    ] as [([String], Int32, String)] {
      let outcome = try await Tool.run(["serve"] + flags + ["--port", "0"])
      #expect(outcome.code == code && outcome.errors.contains(words), "\(flags): \(outcome.errors)")
    }
  }

  /// A certificate for localhost that signed itself; nil where there is no openssl.
  private func certificate(in folder: TemporaryFolder) throws -> (chain: String, key: String)? {
    let (chain, key) = ((folder / "cert.pem").path, (folder / "key.pem").path)
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments =
      ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
      + ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", chain]
    process.standardError = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    return process.terminationStatus == 0 ? (chain, key) : nil
  }

  @Test("A server over TLS is asked with its certificate named by a flag or by SSL_CERT_FILE, and not without")
  func certificates() async throws {
    let folder = try await folder()
    guard let certificate = try certificate(in: folder) else { return }
    let server = try await serve(
      ["--weights", (folder / "box.safetensors").path, "--tls-certificate", certificate.chain]
        + ["--tls-key", certificate.key], in: folder)
    #expect(server.url.hasPrefix("https://"))
    let missing = (folder / "none").path
    for (flags, environment, words) in [
      (["--ca-file", certificate.chain], [:], missing), ([], ["SSL_CERT_FILE": certificate.chain], missing),
      ([], [:], "not signed by an authority that this machine trusts"),
      ([], ["SSL_CERT_FILE": certificate.key], "SSL_CERT_FILE: the certificates cannot be read")
    ] as [([String], [String: String], String)] {
      // Once the endpoint has told what it is, what is missing is the defense.
      let outcome = try await Tool.run(
        ["serve", "--defend", missing, "--endpoint", server.url] + flags, environment: environment)
      #expect(outcome.code == 1 && outcome.errors.contains(words), "\(outcome.errors)")
    }
    #expect(try await server.end().code == 0)
  }
}
