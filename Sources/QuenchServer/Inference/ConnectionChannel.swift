import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1

/// HTTP/1 connections under ``ConnectionRules``, whose requests see their ``Connection``.
struct ConnectionChannel: HTTPChannelHandler {
  struct Value: ServerChildChannelValue {
    let asyncChannel: NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>
    let connection: Connection

    var channel: any Channel { asyncChannel.channel }
  }

  let responder: Responder
  let connections: OpenConnections
  /// How long a connection on which nothing happens is kept.
  let idle: Duration
  /// How long one is kept when the server stops.
  let grace: TimeAmount

  func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
    channel.eventLoop.makeCompletedFuture {
      let connection = Connection(address: channel.remoteAddress?.ipAddress ?? "")
      let pipeline = channel.pipeline.syncOperations
      try pipeline.configureHTTPServerPipeline(withPipeliningAssistance: false, withErrorHandling: false)
      try pipeline.addHandler(ConnectionRules(connection, among: connections, grace: grace))
      try pipeline.addHandler(HTTP1ToHTTPServerCodec(secure: false))
      try pipeline.addHandler(HTTPConnectionStateHandler(idleTimeout: idle, logger: logger))
      let asyncChannel = try NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>(
        wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true))
      return Value(asyncChannel: asyncChannel, connection: connection)
    }
  }

  func handle(value: Value, logger: Logger) async {
    await Connection.$current.withValue(value.connection) {
      await handleHTTP(asyncChannel: value.asyncChannel, logger: logger)
    }
  }
}
