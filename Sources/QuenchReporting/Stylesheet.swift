/// How a report looks: in light, in the dark, on a telephone and on paper.
///
/// The series' colours are those of Okabe and Ito (2008), which people with any colour vision tell apart;
/// dashes, markers and hatching do without colour.
enum Stylesheet {
  /// The hatchings of bars, drawn once and used by all charts of the page.
  static let patterns: Markup = {
    let sizes = ["6", "6", "5", "7", "6", "6"]
    let lines = [
      "", "M-1,1L1,-1M0,6L6,0M5,7L7,5", "M0,2.5H5", "M-1,6L1,8M0,0L7,7M6,-1L8,1", "M3,0V6M0,3H6", "M3,0V6"
    ]
    let patterns = zip(sizes, lines).enumerated().map { index, pattern in
      Markup.element(
        "pattern",
        [
          "id": "h\(index)", "width": pattern.0, "height": pattern.0, "patternUnits": "userSpaceOnUse",
          "class": "hatch\(index)"
        ],
        .element("rect", ["width": pattern.0, "height": pattern.0]), .element("path", ["d": pattern.1]))
    }
    return .element(
      "svg", ["width": "0", "height": "0", "class": "patterns", "aria-hidden": "true"],
      .element("defs", [:], patterns.joined()))
  }()

  static let text = """
    :root{--paper:#fff;--ink:#16191d;--muted:#59636e;--rule:#dfe3e8;--soft:#f5f6f8;--link:#0b5cad;
    --c0:#0072b2;--c1:#d55e00;--c2:#00875f;--c3:#b8568f;--c4:#16191d;--c5:#b07900;
    --result:#00875f;--note:#0072b2;--caution:#b84a00}
    @media (prefers-color-scheme:dark){:root{--paper:#13161a;--ink:#e6e9ed;--muted:#9aa4af;--rule:#2b3138;
    --soft:#1b1f25;--link:#7cc0f5;--c0:#56b4e9;--c1:#f0813a;--c2:#22b98b;--c3:#dd93bd;--c4:#e6e9ed;--c5:#e6b422;
    --result:#22b98b;--note:#56b4e9;--caution:#f0a13a}}
    @media print{:root{--paper:#fff;--ink:#000;--muted:#444;--rule:#bbb;--soft:#fff;--link:#000;
    --c0:#0072b2;--c1:#d55e00;--c2:#00875f;--c3:#b8568f;--c4:#000;--c5:#b07900;
    --result:#00875f;--note:#0072b2;--caution:#b84a00}}
    *{box-sizing:border-box}
    html{background:var(--paper);color:var(--ink);-webkit-text-size-adjust:100%;color-scheme:light dark;
    font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,"Noto Sans",sans-serif}
    body{margin:0}
    main{max-width:67rem;margin:0 auto;padding:3.5rem 1.75rem 4rem}
    h1,h2,h3,p,dl,dd,ul,figure,table,pre{margin:0;padding:0}
    h1{font-size:clamp(1.6rem,1.2rem + 1.6vw,2.15rem);line-height:1.18;font-weight:660;letter-spacing:-.018em;
    text-wrap:balance}
    h2{font-size:1.22rem;line-height:1.3;font-weight:640;letter-spacing:-.008em;margin-bottom:.9rem}
    h3{font-size:.9375rem;line-height:1.4;font-weight:620}
    p{max-width:42.5rem;overflow-wrap:break-word}
    p+p{margin-top:.8rem}
    .lead{font-size:1.0625rem;margin-top:.9rem;color:var(--muted)}
    section,footer{border-top:1px solid var(--rule);margin-top:2.6rem;padding-top:1.6rem}
    section>*+*{margin-top:1.2rem}
    section>*+.figures,section>*+.scroll,section>.figures+*,section>.scroll+*{margin-top:2rem}
    section>h2+*,section>h2+.figures,section>h2+.scroll{margin-top:0}
    code,pre{font:.875em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace}
    a{color:var(--link);text-underline-offset:.18em;text-decoration-thickness:1px}
    nav{margin-top:1.6rem;font-size:.875rem}
    nav ul{display:flex;flex-wrap:wrap;gap:.3rem 1.4rem;list-style:none}
    .key{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:1.3rem 1.75rem;margin-top:2rem}
    .key div{border-top:2px solid var(--ink);padding-top:.6rem}
    .key dt{font-size:.8125rem;line-height:1.35;color:var(--muted)}
    .key dd{font-size:1.7rem;line-height:1.25;font-weight:620;letter-spacing:-.02em;
    font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
    .key .detail{font-size:.8125rem;line-height:1.4;font-weight:400;letter-spacing:0;color:var(--muted)}
    .callout{border-left:3px solid var(--tone);background:var(--soft);padding:.7rem 1rem;font-size:.9375rem;
    max-width:44rem}
    header .callout{margin-top:1.2rem}
    .callout strong{color:var(--tone);margin-right:.25em}
    .result{--tone:var(--result)}.note{--tone:var(--note)}.caution{--tone:var(--caution)}
    .scroll{overflow-x:auto;max-width:100%;width:fit-content}
    table{border-collapse:collapse;font-size:.875rem;line-height:1.4;font-variant-numeric:tabular-nums lining-nums}
    caption{text-align:left;font-size:.9375rem;font-weight:620;padding-bottom:.5rem}
    caption span{position:sticky;left:0;display:inline-block;max-width:calc(100vw - 3.5rem)}
    th,td{padding:.36rem 0 .36rem 1.9rem;text-align:right;white-space:nowrap;font-weight:400}
    th.text,td.text{text-align:left}
    th:first-child{padding-left:0}
    thead th{color:var(--muted);font-size:.8125rem;border-bottom:1px solid var(--ink);vertical-align:bottom}
    thead small{font-size:1em}
    tbody tr+tr>*{border-top:1px solid var(--rule)}
    tbody tr:last-child>*{border-bottom:1px solid var(--rule)}
    td strong,th strong{font-weight:680}
    .figures{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:2.2rem 2.75rem;align-items:start}
    .figures.alone{grid-template-columns:minmax(0,47.5rem)}
    figure{container-type:inline-size;min-width:0}
    figure h3{margin-bottom:.6rem}
    figcaption{font-size:.8125rem;line-height:1.5;color:var(--muted);margin-top:.5rem;max-width:40rem}
    .chart{display:block;width:100%;height:auto;font-size:12px;overflow:visible}
    .narrow{display:none}
    @container (max-width:480px){.wide{display:none}.narrow{display:block}}
    .images{display:flex;flex-wrap:wrap;gap:.75rem;list-style:none}
    .images li{width:var(--side);max-width:100%}
    .images img{display:block;width:100%;image-rendering:pixelated;background:var(--soft)}
    .images span{display:block;font-size:.75rem;line-height:1.3;color:var(--muted);margin-top:.25rem;
    overflow-wrap:anywhere}
    .t{fill:var(--ink);font-variant-numeric:tabular-nums}.t.m{fill:var(--muted)}
    .halo{paint-order:stroke;stroke:var(--paper);stroke-width:3px;stroke-linejoin:round}
    .grid{stroke:var(--rule);stroke-width:1}.axis{stroke:var(--muted);stroke-width:1}
    .reference{stroke:var(--muted);stroke-width:1;stroke-dasharray:2 3}
    .curve{fill:none;stroke:var(--c);stroke-width:1.75;stroke-linejoin:round;stroke-linecap:butt}
    .band{fill:var(--c);fill-opacity:.16}
    .mark{fill:var(--c);stroke:var(--paper);stroke-width:1}.mark.x{stroke:var(--c);stroke-width:1.75}
    .error{stroke:var(--c);stroke-width:1.25}.error.over{stroke:var(--ink)}
    .c0{--c:var(--c0)}.c1{--c:var(--c1)}.c2{--c:var(--c2)}.c3{--c:var(--c3)}.c4{--c:var(--c4)}.c5{--c:var(--c5)}
    .n0{fill:var(--c0)}.n1{fill:var(--c1)}.n2{fill:var(--c2)}.n3{fill:var(--c3)}.n4{fill:var(--c4)}
    .n5{fill:var(--c5)}
    .d1{stroke-dasharray:6 3}.d2{stroke-dasharray:2 2.5}.d3{stroke-dasharray:9 3 2 3}.d4{stroke-dasharray:12 4}
    .d5{stroke-dasharray:4 2 1 2 1 2}
    .patterns{position:absolute}
    .patterns rect{fill:var(--c);fill-opacity:.3}.patterns path{fill:none;stroke:var(--c);stroke-width:1.6}
    .hatch0{--c:var(--c0)}.hatch1{--c:var(--c1)}.hatch2{--c:var(--c2)}.hatch3{--c:var(--c3)}
    .hatch4{--c:var(--c4)}.hatch5{--c:var(--c5)}
    .hatch0 rect{fill-opacity:.9}
    .bar{stroke-width:1}
    .b0{fill:url(#h0);stroke:var(--c0)}.b1{fill:url(#h1);stroke:var(--c1)}.b2{fill:url(#h2);stroke:var(--c2)}
    .b3{fill:url(#h3);stroke:var(--c3)}.b4{fill:url(#h4);stroke:var(--c4)}.b5{fill:url(#h5);stroke:var(--c5)}
    footer{font-size:.8125rem;color:var(--muted)}
    footer h2{font-size:.9375rem;color:var(--ink);margin-bottom:.6rem}
    footer h3{font-size:.8125rem;color:var(--ink);margin-bottom:.3rem}
    footer pre{background:var(--soft);color:var(--ink);padding:.6rem .8rem;overflow-x:auto;margin-bottom:1.2rem;
    font-size:.8125rem}
    .provenance{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,18rem),1fr));gap:1.4rem 2.75rem}
    .provenance dl div{display:grid;grid-template-columns:minmax(7rem,2fr) 3fr;gap:1rem;padding:.14rem 0}
    .provenance>:last-child{grid-column:1/-1}
    .provenance>:last-child dl div{grid-template-columns:minmax(7rem,1fr) 3fr}
    .provenance dt{overflow-wrap:anywhere}
    .provenance dd{color:var(--ink);overflow-wrap:anywhere;font-variant-numeric:tabular-nums}
    @media (max-width:46rem){main{padding:2rem 1.125rem 3rem}.figures{grid-template-columns:minmax(0,1fr)}
    th,td{padding-left:1.3rem}.key{grid-template-columns:repeat(2,minmax(0,1fr));gap:1.1rem 1.125rem}
    .key dd{font-size:1.4rem}}
    @media print{@page{margin:16mm}html{font-size:10.5pt}main{max-width:none;padding:0}nav{display:none}
    figure,tr,.callout,.key div{break-inside:avoid}h1,h2,h3,caption{break-after:avoid}
    .scroll{overflow:visible}footer pre{white-space:pre-wrap;border:1px solid var(--rule)}
    *{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
    """
}
