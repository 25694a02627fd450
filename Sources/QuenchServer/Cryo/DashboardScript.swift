extension DashboardPage {
  static let script = #"""
    "use strict";
    const colours = ["#00306f", "#3b496c", "#6c6e72", "#958f78", "#c9b869", "#eed52f"];  // cividis, dark is good
    const $ = id => document.getElementById(id);
    const svgElement = (name, attributes, parent) => {
      const element = document.createElementNS("http://www.w3.org/2000/svg", name);
      for (const key in attributes) element.setAttribute(key, attributes[key]);
      if (parent) parent.appendChild(element);
      return element;
    };
    let survey, edges, last = 0, plan = null, now = null, marks = [], overlay, centre = [], middle = [], width = 0;
    const outcome = new Map(), earlier = new Map(), exposures = [], history = [];   // Å by hole; holes in order; [minutes, good]

    const bin = value => { const i = edges.findIndex(edge => value <= edge); return i < 0 ? edges.length : i; };
    const predictedBin = value => survey.classifier
      ? [0.9, 0.7, 0.5, 0.3, 0.1].filter(edge => value < edge).length : bin(value);
    const isGood = value => value > 0 && value <= survey.threshold;
    const clock = minutes => minutes < 90 ? `${minutes.toFixed(0)} min`
      : `${Math.floor(minutes / 60)} h ${String(Math.floor(minutes % 60)).padStart(2, "0")} min`;

    function legend() {
      const names = ["≤ " + edges[0], ...edges.slice(1).map(edge => "≤ " + edge), "> " + edges[4]];
      const steps = names.map((name, i) => `<span${i === 2 ? ' class="limit"' : ""}><i style="background:${colours[i]}"></i>${name}</span>`);
      const sign = (body, text) => `<span class="sign"><svg viewBox="0 0 16 16">${body}</svg>${text}</span>`;
      $("legend").innerHTML = `<span class="scale" role="img" aria-label="Colours by resolution in Ångström; good up to ${survey.threshold}">`
        + steps.join("") + "</span><span>Å, good left of the bar</span>"
        + sign('<circle cx="8" cy="8" r="6" fill="#00306f"/>', "measured")
        + sign('<circle cx="8" cy="8" r="3.2" fill="none" stroke="#6c6e72" stroke-width="1.8"/>',
          survey.classifier ? "predicted (dark: likely good)" : "predicted")
        + sign('<path d="M3 3L13 13M13 3L3 13" stroke="currentColor" stroke-width="2"/>', "fit failed")
        + sign('<path d="M0 8H16" stroke="#c44e00" stroke-width="2"/>', "planned path, patches in order");
    }

    // Boxes side by side in rows about as wide as the page: patches in squares, squares in tiles, tiles on the page.
    function shelve(boxes, limit, gap) {
      let x = 0, y = 0, row = 0, right = 0;
      for (const box of boxes) {
        if (x > 0 && x + box.w > limit) { x = 0; y += row + gap; row = 0; }
        box.x = x; box.y = y; x += box.w + gap; row = Math.max(row, box.h); right = Math.max(right, x - gap);
      }
      return { w: right, h: y + row };
    }

    function layout() {
      width = $("map").clientWidth - 8;
      const side = width < 600 ? 44 : 52, tiles = new Map();
      survey.holes.forEach(([tile, square, patch], hole) => {
        if (!tiles.has(tile)) tiles.set(tile, new Map());
        const squares = tiles.get(tile);
        if (!squares.has(square)) squares.set(square, new Map());
        const patches = squares.get(square);
        if (!patches.has(patch)) patches.set(patch, { w: side, h: side, holes: [] });
        patches.get(patch).holes.push(hole);
      });
      const boxes = [...tiles].map(([tile, squares]) => {
        const inner = [...squares].map(([, patches]) => {
          const list = [...patches.values()];
          const columns = Math.min(Math.ceil(Math.sqrt(list.length)), Math.max(1, Math.floor((width - 40) / (side + 3))));
          const size = shelve(list, columns * (side + 3), 3);
          return { w: size.w + 8, h: size.h + 8, list };
        });
        const size = shelve(inner, Math.max(width / 2.1, ...inner.map(box => box.w)), 6);
        const label = survey.tiles[tile];
        return { w: Math.max(size.w + 12, 70), h: size.h + 30, inner, label };
      });
      const size = shelve(boxes, width, 10);
      draw(boxes, size);
    }

    function draw(boxes, size) {
      const svg = svgElement("svg", { viewBox: `0 0 ${size.w} ${size.h}`, role: "img", id: "map-svg" });
      marks = []; centre = []; middle = [];
      for (const tile of boxes) {
        svgElement("rect", { x: tile.x + .5, y: tile.y + .5, width: tile.w - 1, height: tile.h - 1, rx: 4, class: "tile" }, svg);
        const label = svgElement("text", { x: tile.x + 6, y: tile.y + 15 }, svg);
        const room = Math.floor((tile.w - 12) / 6.4);
        label.textContent = tile.label.length > room ? "…" + tile.label.slice(1 - room) : tile.label;
        for (const square of tile.inner) {
          const left = tile.x + 6 + square.x, top = tile.y + 22 + square.y;
          svgElement("rect", { x: left, y: top, width: square.w, height: square.h, rx: 3, class: "square" }, svg);
          for (const patch of square.list) {
            const px = left + 4 + patch.x, py = top + 4 + patch.y;
            svgElement("rect", { x: px, y: py, width: patch.w, height: patch.h, class: "patch" }, svg);
            middle[survey.holes[patch.holes[0]][2]] = [px + patch.w / 2, py + patch.h / 2];
            for (const hole of patch.holes) {
              const x = px + survey.holes[hole][3] * patch.w, y = py + survey.holes[hole][4] * patch.h;
              centre[hole] = [x, y, patch.w];
              const group = svgElement("g", {}, svg);
              marks[hole] = { group, title: svgElement("title", {}, group) };
              mark(hole);
            }
          }
        }
      }
      overlay = svgElement("g", { "pointer-events": "none" }, svg);
      $("map").replaceChildren(svg);
      drawPath();
    }

    function mark(hole) {
      const { group, title } = marks[hole], [x, y, patch] = centre[hole];
      const value = outcome.has(hole) ? outcome.get(hole) : earlier.get(hole);
      const predicted = survey.holes[hole][5], radius = patch * 0.075;
      group.replaceChildren(title);
      if (value === undefined) {
        const colour = predicted === null ? "#9aa0a6" : colours[predictedBin(predicted)];
        svgElement("circle", { cx: x, cy: y, r: radius * .62, fill: "#fff", stroke: colour, "stroke-width": radius * .5 }, group);
      } else if (value === null) {
        svgElement("circle", { cx: x, cy: y, r: radius, fill: "#fff", stroke: "#16181d", "stroke-width": 1 }, group);
      } else if (value < 0) {
        const d = radius * .8;
        svgElement("path", { d: `M${x - d} ${y - d}L${x + d} ${y + d}M${x + d} ${y - d}L${x - d} ${y + d}`, class: "failed" }, group);
      } else {
        svgElement("circle", { cx: x, cy: y, r: radius, fill: colours[bin(value)], stroke: "#3b4048", "stroke-width": .4 }, group);
      }
      const said = predicted === null ? "" : survey.classifier ? `, predicted ${Math.round(predicted * 100)} % good` : `, predicted ${predicted} Å`;
      title.textContent = survey.names[hole]
        + (value === undefined ? "" : value === null ? ": exposed" : value < 0 ? ": fit failed" : `: ${value} Å`) + said;
    }

    function drawPath() {
      if (!overlay) return;
      overlay.replaceChildren();
      const here = exposures.length ? exposures[exposures.length - 1] : survey.start;
      const stops = [here, ...(plan ? plan.holes : [])], patchOf = hole => survey.holes[hole][2];
      // Hole by hole in the patch that is worked on, then patch by patch.
      let i = 1, order = 0;
      for (; i < stops.length && patchOf(stops[i]) === patchOf(stops[1]); i++) line(centre[stops[i - 1]], centre[stops[i]], "path");
      let from = centre[stops[i - 1]];
      for (let patch = stops.length > 1 ? patchOf(stops[1]) : -1; i < stops.length && order < 12; i++) {
        if (patchOf(stops[i]) === patch) continue;
        patch = patchOf(stops[i]);
        const to = middle[patch];
        line(from, to, "path far");
        svgElement("circle", { cx: to[0], cy: to[1], r: 8, class: "stop" }, overlay);
        svgElement("text", { x: to[0], y: to[1] + 4, "text-anchor": "middle", class: "stop" }, overlay).textContent = ++order;
        from = to;
      }
      const [x, y, size] = centre[here];
      svgElement("circle", { cx: x, cy: y, r: size * .13, class: "here" }, overlay);
      const svg = $("map-svg");
      if (svg) svg.setAttribute("aria-label", `Map: ${exposures.length} of ${survey.holes.length} holes exposed`
        + (plan && plan.holes.length ? `, next ${survey.names[plan.holes[0]]}` : ""));
    }

    function line(a, b, kind) {
      svgElement("path", { d: `M${a[0]} ${a[1]}L${b[0]} ${b[1]}`, class: kind }, overlay);
    }

    function chart() {
      const w = Math.max(260, $("chart").clientWidth), h = w < 420 ? 290 : 340, left = 40, bottom = h - 34;
      const right = w - 12, planned = [], columns = w < 420 ? 1 : 2, top = 12 + 17 * Math.ceil(4 / columns);
      const good = history.length ? history[history.length - 1][1] : 0;
      if (plan && plan.holes.length) {
        const since = history.length ? history[history.length - 1][0] : 0;
        planned.push([Math.min(since, plan.minutes[0]), good]);
        plan.p.reduce((sum, p, i) => { planned.push([plan.minutes[i], sum + p]); return sum + p; }, good);
      }
      const curves = survey.curves.map((curve, i) => ({ name: curve.name, points: curve.points,
        colour: i === 0 ? "var(--oracle)" : "var(--greedy)", dash: i === 0 ? "7 4" : "2 3" }));
      curves.push({ name: "plan (expected)", points: planned, colour: "var(--path)", dash: "8 3 2 3" });
      curves.push({ name: "this session", points: [[0, 0], ...history], colour: "var(--measured)", dash: "" });
      const all = curves.flatMap(curve => curve.points);
      const maxX = Math.max(1, ...all.map(point => point[0])), maxY = Math.max(1, ...all.map(point => point[1]));
      const step = (max, count) => { const rough = max / count, power = 10 ** Math.floor(Math.log10(rough));
        return [1, 2, 5, 10].map(f => f * power).find(s => s >= rough); };
      const hours = maxX > 180, unit = hours ? 60 : 1, sx = step(maxX / unit, w < 420 ? 4 : 6) * unit, sy = step(maxY, 5);
      const px = x => left + x / maxX * (right - left), py = y => bottom - y / (Math.ceil(maxY / sy) * sy) * (bottom - top);
      const svg = svgElement("svg", { viewBox: `0 0 ${w} ${h}`, role: "img" });
      for (let y = 0; y <= maxY + sy * .999; y += sy) {
        svgElement("line", { x1: left, x2: right, y1: py(y), y2: py(y), class: "grid" }, svg);
        svgElement("text", { x: left - 6, y: py(y) + 4, "text-anchor": "end" }, svg).textContent = Math.round(y);
      }
      for (let x = 0; x <= maxX; x += sx)
        svgElement("text", { x: px(x), y: bottom + 16, "text-anchor": "middle" }, svg).textContent = +(x / unit).toFixed(1);
      svgElement("text", { x: (left + right) / 2, y: h - 3, "text-anchor": "middle" }, svg).textContent = hours ? "Time (h)" : "Time (min)";
      curves.forEach((curve, i) => {
        if (!curve.points.length) return;
        const thin = curve.points.length > 600 ? curve.points.filter((_, k) => k % Math.ceil(curve.points.length / 600) === 0 || k === curve.points.length - 1) : curve.points;
        svgElement("polyline", { points: thin.map(([x, y]) => `${px(x).toFixed(1)},${py(y).toFixed(1)}`).join(" "),
          class: "curve", style: `stroke:${curve.colour}`, "stroke-dasharray": curve.dash, "stroke-width": curve.name === "this session" ? 3 : 2 }, svg);
        const x = left + (i % columns) * (right - left) / columns, y = 8 + 17 * Math.floor(i / columns);
        svgElement("line", { x1: x, x2: x + 26, y1: y, y2: y, class: "curve", style: `stroke:${curve.colour}`, "stroke-dasharray": curve.dash }, svg);
        svgElement("text", { x: x + 32, y: y + 4 }, svg).textContent = `${curve.name}: ${Math.round(curve.points[curve.points.length - 1][1])}`;
      });
      svg.setAttribute("aria-label", curves.map(curve => curve.points.length
        ? `${curve.name}: ${Math.round(curve.points[curve.points.length - 1][1])} good` : "").join("; "));
      $("chart").replaceChildren(svg);
    }

    function figures() {
      const measured = [...outcome.entries()].filter(([hole, value]) => value !== null && hole !== survey.start);
      const good = measured.filter(([, value]) => isGood(value)).length;
      const elapsed = exposures.length ? lastMinutes : 0, seen = exposures.filter(hole => hole !== survey.start).length;
      $("good").textContent = good;
      $("good-detail").textContent = measured.length ? `${(100 * good / measured.length).toFixed(0)} % of ${measured.length} measured` : "none measured yet";
      $("exposed").textContent = seen;
      $("exposed-detail").textContent = `of ${survey.holes.length} holes`;
      $("time").textContent = clock(now === null ? elapsed : now);
      $("time-detail").textContent = `of ${clock(survey.budget)}`;
      const more = plan ? plan.p.reduce((a, b) => a + b, 0) : 0;
      $("expected").textContent = `${Math.round(good + more)} good`;
      $("expected-detail").textContent = plan && plan.holes.length
        ? `finish at ${clock(plan.minutes[plan.minutes.length - 1])}, ${plan.holes.length} holes more` : "nothing left in the plan";
      const room = innerWidth < 600 ? 22 : 34;
      const rows = plan ? plan.holes.slice(0, 10).map((hole, i) => {
        const row = document.createElement("tr");
        [survey.names[hole], clock(plan.minutes[i]), `${Math.round(plan.p[i] * 100)} %`].forEach((text, k) => {
          const cell = document.createElement("td");
          cell.textContent = k === 0 && text.length > room ? "…" + text.slice(1 - room) : text;
          if (k === 0) cell.title = text; else cell.className = "n";
          row.appendChild(cell);
        });
        return row;
      }) : [];
      $("next").replaceChildren(...rows);
    }

    let lastMinutes = 0, good = 0;
    async function refresh() {
      try {
        const response = await fetch(`/state.json?after=${last}`), state = await response.json();
        if (state.error) throw new Error(state.error);
        // Something was taken back or changed: what is shown is made anew.
        if (state.revision !== survey.revision) return location.reload();
        for (const [id, hole, minutes, value] of state.events) {
          last = id;
          lastMinutes = Math.max(lastMinutes, minutes);
          if (!outcome.has(hole)) { outcome.set(hole, null); exposures.push(hole); }
          if (value !== null) {
            const before = outcome.get(hole);
            outcome.set(hole, value);
            if (hole !== survey.start) good += (isGood(value) ? 1 : 0) - (before !== null && isGood(before) ? 1 : 0);
            history.push([minutes, good]);
          }
          mark(hole);
        }
        now = state.now ?? null;
        const isNew = state.events.length || (state.plan && (!plan || state.plan.after !== plan.after));
        plan = state.plan ?? null;
        if (isNew) { drawPath(); chart(); }
        figures();
        $("status").className = "";
        $("status").textContent = (survey.replay ? "Replay of an earlier session" : "Session under way")
          + `, good up to ${survey.threshold} Å`;
      } catch (error) {
        $("status").className = "bad";
        $("status").textContent = error instanceof TypeError ? "The server does not answer; what is shown may be old." : `${error.message}`;
      }
      setTimeout(refresh, 1000);
    }

    (async () => {
      try { survey = await (await fetch("/survey.json")).json(); } catch {
        $("status").textContent = "The server does not answer."; setTimeout(() => location.reload(), 3000); return;
      }
      const t = survey.threshold;
      edges = [0.6 * t, 0.8 * t, t, 1.35 * t, 2 * t].map((edge, i) => i === 2 ? t : Math.round(edge * 2) / 2);
      if (survey.synthetic) { $("notice").hidden = false; $("notice").textContent = "SYNTHETIC holes: no microscope was involved."; }
      for (const [hole, value] of survey.earlier) earlier.set(hole, value);
      legend();
      layout();
      let waiting;
      addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(() => { layout(); chart(); }, 150); });
      await refresh();
    })();
    """#
}
