/// The dashboard's page: one document, its style and its script, nothing from elsewhere.
enum DashboardPage {
  static let html = """
    <!DOCTYPE html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>Cryo-EM session</title>
    <link rel="stylesheet" href="/dashboard.css">
    </head>
    <body>
    <header>
      <h1>Cryo-EM session</h1>
      <p id="status" role="status">Loading …</p>
    </header>
    <p id="notice" hidden></p>
    <dl class="key">
      <div><dt>Good micrographs</dt><dd id="good">–</dd><dd class="detail" id="good-detail"></dd></div>
      <div><dt>Exposed</dt><dd id="exposed">–</dd><dd class="detail" id="exposed-detail"></dd></div>
      <div><dt>Time</dt><dd id="time">–</dd><dd class="detail" id="time-detail"></dd></div>
      <div><dt>Expected at the end</dt><dd id="expected">–</dd><dd class="detail" id="expected-detail"></dd></div>
    </dl>
    <main>
      <section class="map" aria-labelledby="map-title">
        <h2 id="map-title">Tiles, squares and holes</h2>
        <div id="legend"></div>
        <div id="map"></div>
      </section>
      <div class="side">
        <section aria-labelledby="chart-title">
          <h2 id="chart-title">Good micrographs against time</h2>
          <div id="chart"></div>
        </section>
        <section aria-labelledby="next-title">
          <h2 id="next-title">Next holes</h2>
          <div class="scroll" tabindex="0"><table><thead><tr><th>hole</th><th class="n">done at</th><th class="n">good</th></tr>
          </thead><tbody id="next"></tbody></table></div>
        </section>
      </div>
    </main>
    <script src="/dashboard.js"></script>
    </body>
    </html>
    """

  static let style = """
    :root { --ink: #16181d; --soft: #59606b; --rule: #d9dce1; --page: #fff; --panel: #f6f6f3; --path: #c44e00;
      --measured: #0b5fa5; --oracle: #595f69; --greedy: #a8508b; }
    @media (prefers-color-scheme: dark) {
      :root { --ink: #eceef1; --soft: #a5acb8; --rule: #3a3f48; --page: #16181d; --measured: #6db3f2;
        --oracle: #b6bcc6; --greedy: #e39acb; }
    }
    * { box-sizing: border-box; }
    body { margin: 0 auto; padding: 20px 24px 40px; max-width: 1500px; background: var(--page); color: var(--ink);
      font: 15px/1.45 system-ui, sans-serif; }
    header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 2px 16px; }
    h1 { font-size: 24px; margin: 0; }
    h2 { font-size: 16px; margin: 0 0 8px; }
    #status { margin: 0; color: var(--soft); }
    #status.bad, #notice { color: #b3261e; font-weight: 600; }
    @media (prefers-color-scheme: dark) { #status.bad, #notice { color: #ffb4ab; } }
    .key { display: grid; grid-template-columns: repeat(4, 1fr); gap: 8px 24px; margin: 14px 0 20px; }
    .key div { border-top: 2px solid var(--ink); padding-top: 6px; min-width: 0; }
    .key dt, .detail { font-size: 13px; color: var(--soft); }
    .key dd { margin: 0; }
    .key dd:not(.detail) { font-size: 24px; font-weight: 700; font-variant-numeric: tabular-nums; }
    main { display: grid; grid-template-columns: minmax(0, 1.6fr) minmax(0, 1fr); gap: 28px; }
    .side { display: grid; grid-template-columns: minmax(0, 1fr); gap: 24px; align-content: start; }
    #map { background: var(--panel); border-radius: 6px; padding: 4px; }
    svg { display: block; width: 100%; height: auto; }
    svg text { font: 12px system-ui, sans-serif; fill: var(--ink); }
    #map svg text { fill: #3b4048; font-size: 11px; }
    .tile { fill: none; stroke: #b9bdb9; }
    .patch { fill: #fff; stroke: #dfe0dc; }
    .square { fill: #ebece8; }
    .path { fill: none; stroke: var(--path); stroke-width: 1.6; stroke-linejoin: round; opacity: .85; }
    .far { stroke-width: 1.2; opacity: .8; }
    circle.stop { fill: #fff; stroke: var(--path); }
    #map svg text.stop { font-weight: 700; font-size: 10px; fill: #16181d; }
    .here { fill: none; stroke: var(--path); stroke-width: 2.5; }
    .failed { stroke: #16181d; stroke-width: 1.4; }
    #legend { display: flex; flex-wrap: wrap; gap: 6px 18px; align-items: center; margin-bottom: 8px; font-size: 13px; }
    #legend .scale { display: flex; }
    #legend .scale span { display: block; width: 52px; text-align: center; }
    #legend .scale i { display: block; height: 14px; }
    #legend .scale .limit { border-right: 3px solid var(--path); }
    #legend .sign { display: flex; align-items: center; gap: 6px; }
    #legend .sign svg { width: 16px; height: 16px; }
    .grid { stroke: var(--rule); }
    .curve { fill: none; stroke-width: 2; }
    .scroll { overflow: auto; }
    table { border-collapse: collapse; width: 100%; font-size: 13px; font-variant-numeric: tabular-nums; }
    th { text-align: left; font-weight: 500; color: var(--soft); border-bottom: 1px solid var(--ink); }
    td, th { padding: 3px 8px 3px 0; white-space: nowrap; }
    td { border-bottom: 1px solid var(--rule); }
    .n { text-align: right; }
    @media (max-width: 900px) {
      body { padding: 14px 14px 30px; }
      .key { grid-template-columns: 1fr 1fr; gap: 10px 16px; }
      main { grid-template-columns: minmax(0, 1fr); }
      #legend .scale span { width: 46px; }
    }
    """
}
