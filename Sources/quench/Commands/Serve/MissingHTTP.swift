#if !HTTP
  import Support

  /// What a build of `quench` without its trait HTTP says where a command needs it.
  enum MissingHTTP {
    static func error(for purpose: String) -> InputError {
      InputError("this build of quench has no HTTP", at: purpose, remedy: "build the whole tool with 'make build'")
    }
  }
#endif
