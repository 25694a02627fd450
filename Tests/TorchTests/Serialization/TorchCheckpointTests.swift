import Foundation
import QuenchSupport
import QuenchTorch
import TestSupport
import Testing

@Suite struct TorchCheckpointTests {
  @Test func readsTheWeightsOfATrainingCheckpoint() throws {
    let tensors = try TorchCheckpoint.load(data: Fixtures.checkpoint)
    #expect(
      tensors.keys == ["weight", "transposed", "row", "strided", "parameter", "steps", "mask", "empty"])
    let weight = try #require(tensors["weight"])
    #expect(weight.shape == [2, 3] && weight.array(Float.self) == [0, 1, 2, 3, 4, 5])
    let transposed = try #require(tensors["transposed"])
    #expect(transposed.shape == [3, 2] && transposed.array(Float.self) == [0, 3, 1, 4, 2, 5])
    #expect(tensors["row"]?.array(Float.self) == [3, 4, 5])
    #expect(tensors["strided"]?.dtype == .float16)
    #expect(tensors["strided"]?.data() == Data([0x00, 0x3C, 0x00, 0x44, 0x00, 0x47]))
    #expect(tensors["parameter"]?.dtype == .bfloat16)
    #expect(tensors["parameter"]?.data() == Data([0xC0, 0x3F, 0x00, 0xC0]))
    #expect(tensors["steps"]?.shape == [] && tensors["steps"]?.array(Int.self) == [7])
    #expect(tensors["mask"]?.data() == Data([1, 0]))
    #expect(tensors["empty"]?.shape == [0, 3])
  }

  @Test func readsAModuleInChannelsLastOrder() throws {
    let tensors = try TorchCheckpoint.load(data: Fixtures.module)
    #expect(
      tensors.keys == [
        "0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked"
      ])
    let weight = try #require(tensors["0.weight"])
    #expect(weight.shape == [2, 2, 1, 2] && weight.array(Float.self) == [0, 1, 2, 3, 4, 5, 6, 7])
    #expect(tensors["0.bias"]?.array(Float.self) == [0.5, -0.5])
  }

  @Test func joinsNestedNamesByDots() throws {
    let body = Pickled.dictionary(
      ("a", Pickled.tuple(Pickled.tensor(), Pickled.dictionary(("b", Pickled.tensor(shape: [2], strides: [5]))))))
    let tensors = try TorchCheckpoint.load(data: Pickled.checkpoint(body).data)
    #expect(tensors.keys == ["a.0", "a.1.b"])
    #expect(tensors["a.1.b"]?.array(Float.self) == [0, 5])
  }

  @Test(arguments: ["state_dict", "net", "module", "student", "teacher", "model_ema", "state_dict_ema", "ema"])
  func findsTheWeightsAmongOtherThings(_ wrapper: String) throws {
    let weights = Pickled.dictionary(("module.a", Pickled.tensor()))
    let body = Pickled.dictionary(
      ("epoch", Pickled.int(3)), ("optimizer", Pickled.dictionary(("b", Pickled.tensor()))),
      ("model", Pickled.dictionary()), (wrapper, Pickled.dictionary(("model", weights))))
    #expect(try TorchCheckpoint.load(data: Pickled.checkpoint(body).data).keys == ["module.a"])
  }

  @Test func prefersWhatIsTrainedToItsAverage() throws {
    let (one, other) = (
      Pickled.dictionary(("a", Pickled.tensor())), Pickled.dictionary(("a", Pickled.tensor(shape: [2])))
    )
    let body = Pickled.dictionary(("ema", other), ("teacher", other), ("student", one))
    #expect(try TorchCheckpoint.load(data: Pickled.checkpoint(body).data)["a"]?.shape == [6])
  }

  @Test func readsZip64Directories() throws {
    var zip = Pickled.checkpoint(Pickled.dictionary(("a", Pickled.tensor())))
    zip.zip64 = true
    #expect(try TorchCheckpoint.load(data: zip.data)["a"]?.array(Float.self) == [0, 1, 2, 3, 4, 5])
  }

  @Test func takesStridesOfSizeOneAsTheyCome() throws {
    let body = Pickled.dictionary(("a", Pickled.tensor(shape: [1, 6], strides: [.max, 1])))
    #expect(try TorchCheckpoint.load(data: Pickled.checkpoint(body).data)["a"]?.shape == [1, 6])
  }

  @Test func repeatsElementsOfExpandedViews() throws {
    let body = Pickled.dictionary(("a", Pickled.tensor(offset: 4, shape: [2, 2], strides: [0, 1])))
    #expect(try TorchCheckpoint.load(data: Pickled.checkpoint(body).data)["a"]?.array(Float.self) == [4, 5, 4, 5])
  }

  /// Pickles that must not load, and what the error must mention.
  static let faults: [(pickle: [UInt8], mention: String)] = [
    (Pickled.global("os", "system") + Pickled.tuple(Pickled.text("true")) + Array("R".utf8), "\"os.system\""),
    (Pickled.object("models", "Net"), "a Python object, \"models.Net\""),
    (Pickled.dictionary(("epoch", Pickled.int(1)), ("model", Pickled.object("models", "Net"))), "\"models.Net\""),
    (Pickled.global("torch", "load"), "\"torch.load\""),
    (Pickled.dictionary(("a", Pickled.tensor("ComplexFloatStorage"))), "unsupported dtype"),
    (Pickled.global("torch._utils", "_rebuild_tensor_v3"), "unsupported dtype"),
    (Pickled.dictionary(("a", Pickled.tensor(count: 7))), "wrong length"),
    (Pickled.dictionary(("a", Pickled.tensor(count: -1))), "wrong length"),
    (Pickled.dictionary(("a", Pickled.tensor(key: "1"))), "lacks an entry"),
    (Pickled.dictionary(("a", Pickled.tensor(offset: 1))), "beyond its storage"),
    (Pickled.dictionary(("a", Pickled.tensor(offset: -1))), "beyond its storage"),
    (Pickled.dictionary(("a", Pickled.tensor(offset: .max))), "beyond its storage"),
    (Pickled.dictionary(("a", Pickled.tensor(shape: [7]))), "beyond its storage"),
    (Pickled.dictionary(("a", Pickled.tensor(shape: [2], strides: [6]))), "beyond its storage"),
    (Pickled.dictionary(("a", Pickled.tensor(shape: [2], strides: [-1]))), "beyond its storage"),
    (Pickled.dictionary(("a", Pickled.tensor(shape: [3], strides: [.max]))), "beyond its storage"),
    (Pickled.dictionary(("a", Pickled.tensor(shape: [2, 3]))), "beyond its storage"),
    (Pickled.dictionary(("a", Pickled.tensor(shape: [-1]))), "impossible"),
    (Pickled.dictionary(("a", Pickled.tensor(shape: [.max, 0]))), "impossible"),
    (Pickled.dictionary(("a", Pickled.tensor(shape: Array(repeating: 1, count: 65)))), "too many dimensions"),
    (Pickled.dictionary(("a", Pickled.tensor(shape: [1 << 40], strides: [0]))), "far more than it holds"),
    (Pickled.dictionary(("a", Pickled.tensor()), ("a", Pickled.tensor())), "same name"),
    (
      Pickled.dictionary(("a.b", Pickled.tensor()), ("a", Pickled.dictionary(("b", Pickled.tensor())))), "same name"
    ),
    (Pickled.dictionary(("a", Pickled.int(1))), "no named tensor"),
    (Pickled.tensor(), "no named tensor"),
    (Array("}((t".utf8) + Pickled.tensor() + Array("u".utf8), "neither a text"),
    (Array("]q\u{0}h\u{0}a".utf8), "too deeply"),
    (Array("P".utf8), "instruction"),
    (Array("0".utf8), "there is none"),
    (Array("a".utf8), "there is none"),
    (Array("".utf8), "there is none"),
    (Array("N(t".utf8) + Array("RR".utf8), "no function"),
    (Array("h\u{5}".utf8), "recalls"),
    (Array("u".utf8), "did not begin"),
    (Array("}(Nu".utf8), "no dictionary"),
    (Array("NNa".utf8), "not a list"),
    (Array("NNb".utf8), "attributes of something"),
    (Array("NN".utf8) + [0x93], "otherwise than by texts"),
    (Array("NQ".utf8), "storage"),
    (
      Pickled.global("collections", "OrderedDict") + Pickled.tuple(Pickled.int(1)) + Array("R".utf8),
      "unknown arguments"
    ),
    ([0x58, 255, 255, 255, 255], "too early"),
    ([0x58, 1, 0, 0, 0, 0xFF], "UTF-8"),
    (Array(("c" + String(repeating: "x", count: 300)).utf8), "without an end")
  ]

  @Test(arguments: faults) func rejectsPickle(fault: (pickle: [UInt8], mention: String)) throws {
    let data = Pickled.checkpoint(fault.pickle).data
    let error = try #require(throws: InputError.self) { _ = try TorchCheckpoint.load(data: data, name: "file") }
    #expect(error.description.contains(fault.mention))
    #expect(error.description.hasPrefix("file"))
  }

  @Test func saysHowToSaveWhatHoldsAWholeModule() throws {
    let data = Pickled.checkpoint(Pickled.global("models", "Net")).data
    let error = try #require(throws: InputError.self) { _ = try TorchCheckpoint.load(data: data) }
    #expect(error.found == "a Python object, \"models.Net\"")
    #expect(error.remedy == "save the weights alone: torch.save(model.state_dict(), 'weights.pt')")
  }

  @Test func leavesOtherObjectsBesideTensors() throws {
    let scalar =
      Pickled.global("numpy.core.multiarray", "scalar")
      + Pickled.tuple(Pickled.global("numpy", "dtype") + Array(")R".utf8), [0x43, 2, 1, 2]) + Array("R".utf8)
    let size = Pickled.global("torch", "Size") + Pickled.tuple(Pickled.tuple(Pickled.int(3))) + Array("R".utf8)
    let factory = Pickled.global("collections", "defaultdict") + Pickled.tuple(Pickled.global("builtins", "int"))
    let body = Pickled.dictionary(
      ("args", Pickled.object("argparse", "Namespace") + Pickled.dictionary(("lr", scalar)) + Array("b".utf8)),
      ("best", scalar), ("size", size), ("dtype", Pickled.global("torch", "float32")),
      ("names", [0x8F] + Array("(".utf8) + Pickled.int(1) + [0x90]),
      ("model", factory + Array("R(".utf8) + Pickled.text("a") + Pickled.tensor() + Array("u".utf8)))
    #expect(try TorchCheckpoint.load(data: Pickled.checkpoint(body).data).keys == ["a"])
  }

  @Test func readsProtocol4() throws {
    func short(_ text: String) -> [UInt8] { [0x8C, UInt8(text.utf8.count)] + Array(text.utf8) + [0x94] }
    let dictionary = [UInt8](short("collections") + short("OrderedDict") + [0x93, 0x94])
    let body = dictionary + Array(")R(".utf8) + short("a") + Pickled.tensor() + Array("u".utf8)
    let frame: [UInt8] = [0x80, 4, 0x95, 9, 0, 0, 0, 0, 0, 0, 0]
    var zip = Pickled.checkpoint([])
    zip.entries[0].content = frame + body + Array(".".utf8)
    #expect(try TorchCheckpoint.load(data: zip.data)["a"]?.array(Float.self) == [0, 1, 2, 3, 4, 5])
  }

  @Test func readsStreamsOfBeforePyTorch16() throws {
    let view = Pickled.tensor(offset: 1, shape: [2, 2], strides: [1, 2], isStream: true)
    let body = Pickled.dictionary(("state_dict", Pickled.dictionary(("a", view))))
    let stream = Pickled.stream(body)
    #expect(try StateDictionary.load(data: stream)["a"]?.array(Float.self) == [1, 3, 2, 4])
    for count in 0..<stream.count {
      #expect(throws: InputError.self) { _ = try StateDictionary.load(data: stream.prefix(count)) }
    }
    for (count, mention) in [(Int.max, "end too early"), (-1, "end too early"), (5, "wrong length")] {
      let error = #expect(throws: InputError.self) {
        try StateDictionary.load(data: Pickled.stream(body, count: count))
      }
      #expect(error?.problem.contains(mention) == true, "\(count)")
    }
    for keys in [["1"], [], ["0", "0"]] {
      #expect(throws: InputError.self) { try StateDictionary.load(data: Pickled.stream(body, keys: keys)) }
    }
  }

  @Test func readsDeepNestingWithoutRecursion() {
    let deep = Array(")".utf8) + [UInt8](repeating: 0x85, count: 1_000_000)
    #expect(throws: InputError.self) { _ = try TorchCheckpoint.load(data: Pickled.checkpoint(deep).data) }
  }

  @Test func stopsAtSharedContainersThatMultiply() throws {
    // Thirty tuples, each of the one before twice: 2^30 paths to one tensor.
    var body = Pickled.dictionary(("a", Pickled.tensor(shape: [1])))
    for _ in 0..<30 { body += Array("q\u{0}h\u{0}".utf8) + [0x86] }
    let error = try #require(throws: InputError.self) {
      _ = try TorchCheckpoint.load(data: Pickled.checkpoint(body).data)
    }
    #expect(error.problem.contains("far more than it holds"))
  }

  @Test func rejectsOtherProtocols() throws {
    let zip = ZipBuilder(entries: [("archive/data.pkl", [0x80, 6, 0x4E, 0x2E])])
    let error = try #require(throws: InputError.self) { _ = try TorchCheckpoint.load(data: zip.data) }
    #expect(error.problem.contains("protocol") && error.found == "6")
  }

  @Test func rejectsBigEndianCheckpoints() throws {
    let zip = Pickled.checkpoint(
      Pickled.dictionary(("a", Pickled.tensor())), adding: [("archive/byteorder", Array("big".utf8))])
    let error = try #require(throws: InputError.self) { _ = try TorchCheckpoint.load(data: zip.data) }
    #expect(error.expected == "little" && error.found == "\"big\"")
  }

  @Test func rejectsTorchScript() throws {
    let zip = Pickled.checkpoint(
      Pickled.dictionary(("a", Pickled.tensor())), adding: [("archive/constants.pkl", [])])
    let error = try #require(throws: InputError.self) { _ = try TorchCheckpoint.load(data: zip.data) }
    #expect(error.problem.contains("TorchScript"))
  }

  @Test func boundsTheLengthOfANestedName() throws {
    let part = String(repeating: "k", count: 300)
    var body = Pickled.tensor()
    for _ in 0..<20 { body = Pickled.dictionary((part, body)) }
    let error = try #require(throws: InputError.self) {
      _ = try TorchCheckpoint.load(data: Pickled.checkpoint(body).data)
    }
    #expect(error.problem == "a tensor's name is too long")
  }

  @Test func aFileThatShrinksIsAnErrorAndAPipeIsRead() throws {
    let folder = try TemporaryFolder()
    let zip = Pickled.checkpoint(Pickled.dictionary(("a", Pickled.tensor()))).data
    let (url, pipe) = (folder / "model.pt", folder / "pipe")
    try zip.write(to: url)
    let source = try ByteSource(contentsOf: url)
    #expect(truncate(url.path, 30) == 0)
    #expect(throws: InputError.self) { _ = try StateDictionary.load(source) }
    try #require(mkfifo(pipe.path, 0o600) == 0)
    Thread.detachNewThread { try? zip.write(to: pipe) }
    #expect(try StateDictionary.load(pipe)["a"]?.array(Float.self) == [0, 1, 2, 3, 4, 5])
  }

  @Test func rejectsAZipFileThatIsNoCheckpoint() throws {
    let zip = ZipBuilder(entries: [("weights.npy", [1, 2, 3])], method: 8)
    let error = try #require(throws: InputError.self) { _ = try TorchCheckpoint.load(data: zip.data) }
    #expect(error.problem == "the zip file is not a PyTorch checkpoint" && error.remedy != nil)
  }

  @Test func rejectsCompressedAndEncryptedEntries() throws {
    for (method, flags) in [(8, 0), (0, 1)] as [(UInt16, UInt16)] {
      var zip = Pickled.checkpoint(Pickled.dictionary(("a", Pickled.tensor())))
      zip.method = method
      zip.flags = flags
      let error = try #require(throws: InputError.self) { _ = try TorchCheckpoint.load(data: zip.data) }
      #expect(error.problem.contains("compressed or encrypted"))
    }
  }

  @Test func rejectsDuplicateEntries() throws {
    let zip = Pickled.checkpoint(Pickled.dictionary(("a", Pickled.tensor())), adding: [("archive/data/0", [])])
    let error = try #require(throws: InputError.self) { _ = try TorchCheckpoint.load(data: zip.data) }
    #expect(error.problem.contains("same name") && error.found == "\"archive/data/0\"")
  }

  @Test(arguments: [1, 1 << 20, .max] as [UInt64]) func rejectsEntriesOutsideTheFile(shift: UInt64) {
    var zip = Pickled.checkpoint(Pickled.dictionary(("a", Pickled.tensor())))
    zip.zip64 = true
    zip.shift = shift
    #expect(throws: InputError.self) { _ = try TorchCheckpoint.load(data: zip.data) }
  }

  @Test func rejectsEveryTruncation() {
    for count in 0..<Fixtures.module.count {
      #expect(throws: InputError.self) { _ = try TorchCheckpoint.load(data: Fixtures.module.prefix(count)) }
    }
  }
}
