import NIOCore
import NIOHTTP1
import QuenchReporting
import QuenchSupport
import Synchronization

/// A client's connection, as who answers its requests sees it.
final class Connection: Sendable {
  /// The one that the request came on; nil in tests without a network.
  @TaskLocal static var current: Connection?

  /// The client's address, without the port.
  let address: String
  private let state = Mutex(State())

  private struct State {
    /// The client sends no more.
    var isHalfClosed = false
    var isClosed = false
    var watcher: AsyncStream<Void>.Continuation?
  }

  init(address: String) { self.address = address }

  /// The client sends no more and, if `isClosed`, can be sent nothing either.
  func end(isClosed: Bool) {
    let watcher = state.withLock { state in
      state.isHalfClosed = true
      state.isClosed = state.isClosed || isClosed
      return state.watcher
    }
    watcher?.finish()
  }

  /// Waits until the client can be thought to have hung up, or the task is cancelled. One that only sends no more may
  /// still wait for its answer, and gets a second for it.
  func abandoned() async {
    let (ends, end) = AsyncStream<Void>.makeStream()
    let isOver = state.withLock { state in
      state.watcher = end
      return state.isHalfClosed
    }
    if isOver { end.finish() }
    for await _ in ends {}
    if !state.withLock({ $0.isClosed }) { try? await Task.sleep(for: .seconds(1)) }
  }
}

/// Keeps a connection to the rules of HTTP/1 that the layers behind it no longer see: the version, the Host header, who
/// closes when, and an end for connections that outstay a server that stops.
final class ConnectionRules: ChannelDuplexHandler, RemovableChannelHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias InboundOut = HTTPServerRequestPart
  typealias OutboundIn = HTTPServerResponsePart
  typealias OutboundOut = HTTPServerResponsePart

  /// Seconds in which a client may still read its answer, once it is told that the connection ends.
  private static let lingering = TimeAmount.seconds(2)

  private let connection: Connection
  private let others: OpenConnections
  /// How long a connection may live on when the server stops.
  private let grace: TimeAmount
  /// The `Connection` header of the answers that are due, in the order of the requests.
  private var due: [String?] = []
  /// A request's head is here and its end is not.
  private var isReading = false
  /// What follows is no more looked at.
  private var isEnding = false
  private var closing: Scheduled<Void>?

  init(_ connection: Connection, among others: OpenConnections, grace: TimeAmount) {
    self.connection = connection
    self.others = others
    self.grace = grace
  }

  func handlerAdded(context: ChannelHandlerContext) { others.note(context.channel, awaits: .request) }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard !isEnding else { return }
    switch unwrapInboundIn(data) {
    case .head(var head):
      let hosts = head.headers["Host"].count
      let isOld = (head.version.major, head.version.minor) < (1, 1)
      guard hosts == 1 || (hosts == 0 && isOld) else {
        return refuse(context, "the request has \(hosts == 0 ? "no Host header" : "several Host headers")")
      }
      isReading = true
      others.note(context.channel, awaits: .body)
      due.append(head.isKeepAlive ? (isOld ? "keep-alive" : nil) : "close")
      // The layers behind know the header in this form alone.
      if !head.isKeepAlive { head.headers.replaceOrAdd(name: "Connection", value: "close") }
      context.fireChannelRead(wrapInboundOut(.head(head)))
    case .body: context.fireChannelRead(data)
    case .end:
      isReading = false
      others.note(context.channel, awaits: nil)
      context.fireChannelRead(data)
    }
  }

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    switch unwrapOutboundIn(data) {
    case .head(var head) where head.status.code >= 200:
      // An answer that does not wait for its request's end is the last one: the rest would have to be read.
      if isReading && due.count == 1 { due[0] = "close" }
      if let persistence = due.first ?? "close" {
        head.headers.replaceOrAdd(name: "Connection", value: persistence)
      }
      context.write(wrapOutboundOut(.head(head)), promise: promise)
    case .end:
      let isLast = (due.isEmpty ? "close" : due.removeFirst()) == "close"
      if due.isEmpty { others.note(context.channel, awaits: .request) }
      context.writeAndFlush(data, promise: promise)
      if isLast { end(context, after: Self.lingering) }
    default: context.write(data, promise: promise)
    }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    guard let error = error as? HTTPParserError, due.isEmpty else { return context.fireErrorCaught(error) }
    refuse(context, error.problem)
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    switch event {
    case ChannelEvent.inputClosed: connection.end(isClosed: false)
    case is ChannelShouldQuiesceEvent: close(context, after: grace)
    default: break
    }
    context.fireUserInboundEventTriggered(event)
  }

  func channelInactive(context: ChannelHandlerContext) {
    connection.end(isClosed: true)
    others.note(context.channel, awaits: nil)
    closing?.cancel()
    context.fireChannelInactive()
  }

  func handlerRemoved(context: ChannelHandlerContext) { closing?.cancel() }

  /// Answers what never becomes a request for the layers behind.
  private func refuse(_ context: ChannelHandlerContext, _ problem: String) {
    guard !isEnding else { return }
    let text = Value.object(["error": .string(problem)]).json()
    let head = HTTPResponseHead(
      version: .http1_1, status: .badRequest,
      headers: [
        "Content-Type": "application/json", "Content-Length": "\(text.utf8.count)", "Connection": "close"
      ])
    context.write(wrapOutboundOut(.head(head)), promise: nil)
    context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: text)))), promise: nil)
    context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    end(context, after: Self.lingering)
  }

  /// Sends no more. Closed at once, with bytes of the client unread, its answer could be lost on the way.
  private func end(_ context: ChannelHandlerContext, after delay: TimeAmount) {
    isEnding = true
    context.close(mode: .output, promise: nil)
    close(context, after: delay)
  }

  private func close(_ context: ChannelHandlerContext, after delay: TimeAmount) {
    closing?.cancel()
    closing = context.eventLoop.assumeIsolated().scheduleTask(in: delay) { context.close(promise: nil) }
  }
}
