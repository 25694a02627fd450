#if !HTTP
  import QuenchSmoothing
  import QuenchSupport
  import QuenchVision

  /// What a build of `quench` without its trait HTTP says where a command needs it.
  struct MissingHTTP: EndpointConnector {
    static func error(for purpose: String) -> InputError {
      InputError("this build of quench has no HTTP", at: purpose, remedy: "build the whole tool with 'make build'")
    }

    func connect(
      to endpoint: String, _ settings: BlackBoxSettings, for dataset: ImageDataset
    ) throws -> any BlackBox { throw Self.error(for: endpoint) }
  }
#endif
