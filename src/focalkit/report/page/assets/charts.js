// Hand-written SVG. Everything is made by createElementNS and textContent: no markup out of data.

const charts = (() => {
  const NS = "http://www.w3.org/2000/svg";

  function make(tag, attributes, ...children) {
    const node = document.createElementNS(NS, tag);
    for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
    for (const child of children) node.append(child);
    return node;
  }
  const text = (x, y, words, attributes) => {
    const node = make("text", { x, y, ...attributes });
    node.textContent = words;
    return node;
  };

  function frame(svg, width, height, label) {
    svg.replaceChildren();
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", label);
  }

  const path = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

  // Figure 1 with the data's own p_t under it.
  function lossCurve(svg, { gamma, form, others, before, after, words, percent }) {
    const W = 560, H = 430, left = 46, right = 14, top = 30, split = 250, low = 396;
    frame(svg, W, H, words.curveLabel);
    const x = (p) => left + (W - left - right) * p;
    const y = (l) => top + (split - top) * (1 - l / 5);
    svg.append(make("rect", { x: x(0.5), y: top, width: x(1) - x(0.5), height: low - top, class: "easy" }));
    svg.append(text(x(0.75), top + 16, words.wellClassified, { class: "faint", "text-anchor": "middle" }));
    for (let v = 0; v <= 5; v++) {
      svg.append(make("line", { x1: x(0), x2: x(1), y1: y(v), y2: y(v), class: v ? "grid" : "axis" }));
      svg.append(text(left - 8, y(v) + 4, v, { "text-anchor": "end", class: "tick" }));
    }
    svg.append(text(left - 34, top - 12, words.lossAxis, { class: "faint" }));
    const lossAt = (f, p) => f(Math.log(p) - Math.log1p(-p)).loss;
    const curve = (g, kind, of = forms.FOCAL, negative = false) => {
      const points = [], f = forms.at(of, g, negative);
      for (let i = 1; i <= 400; i++) {
        const l = lossAt(f, i / 400);
        if (l <= 5) points.push([x(i / 400), y(Number.isFinite(l) ? l : 0)]);
      }
      svg.append(make("path", { d: path(points), class: `line ${kind}` }));
    };
    curve(0, "before");
    const sides = forms.CHOICES[form.name].sides ? [false, true] : [false];
    for (const negative of sides) {
      const own = (g) => forms.gammaOf(form, g, negative), ruled = own(-1) === -1;
      if (ruled) for (const g of others) curve(g, "other", form, negative);
      if (gamma !== null || !ruled) curve(own(gamma), "after", form, negative);
      if (sides.length > 1 && gamma !== null) {
        const p = negative ? 0.24 : 0.34, l = lossAt(forms.at(form, own(gamma), negative), p);
        svg.append(text(x(p) + (negative ? -8 : 8), Math.min(y(Math.min(l, 4.7)) + (negative ? 16 : -5), y(0.1)), negative ? words.negatives : words.positives,
          { class: "side", "text-anchor": negative ? "end" : "start" }));
      }
    }
    // histogram
    const n = before.samples.length, most = Math.max(...before.samples, ...before.loss, ...after.loss, 1e-9);
    const scale = (s) => low - (low - split - 26) * (s / most);
    before.samples.forEach((s, i) =>
      svg.append(make("rect", { x: x(i / n) + 0.7, width: (x(1) - x(0)) / n - 1.4, y: scale(s), height: Math.max(low - scale(s), 0), class: "bar samples" })));
    const steps = (values) => {
      const points = [[x(0), low]];
      values.forEach((s, i) => points.push([x(i / n), scale(s)], [x((i + 1) / n), scale(s)]));
      points.push([x(1), low]);
      return path(points);
    };
    svg.append(make("path", { d: steps(before.loss), class: "line before" }));
    svg.append(make("path", { d: steps(after.loss), class: "line after" }));
    svg.append(make("line", { x1: x(0), x2: x(1), y1: low, y2: low, class: "axis" }));
    for (let v = 0; v <= 10; v += 2) svg.append(text(x(v / 10), low + 16, (v / 10).toFixed(1), { "text-anchor": "middle", class: "tick" }));
    svg.append(text(left - 8, scale(most) + 4, percent(most, 0), { "text-anchor": "end", class: "tick" }));
    svg.append(text(left - 8, low + 2, "0", { "text-anchor": "end", class: "tick" }));
    svg.append(text(left + 2, split + 18, words.histogram, { class: "faint" }));
    svg.append(text((x(0) + x(1)) / 2, H - 2, words.pAxis, { "text-anchor": "middle", class: "faint" }));
  }

  // Figure 4.
  function cumulative(svg, { curves, words }) {
    const W = 560, H = 430, left = 46, right = 14, top = 30, low = 386;
    frame(svg, W, H, words.cumulativeLabel);
    const x = (s) => left + (W - left - right) * s;
    const y = (s) => low - (low - top) * s;
    for (let v = 0; v <= 10; v += 2) {
      svg.append(make("line", { x1: x(0), x2: x(1), y1: y(v / 10), y2: y(v / 10), class: v ? "grid" : "axis" }));
      svg.append(text(left - 8, y(v / 10) + 4, (v / 10).toFixed(1), { "text-anchor": "end", class: "tick" }));
      svg.append(text(x(v / 10), low + 16, (v / 10).toFixed(1), { "text-anchor": "middle", class: "tick" }));
    }
    svg.append(text(left - 34, top - 12, words.lossShare, { class: "faint" }));
    svg.append(text((x(0) + x(1)) / 2, low + 38, words.sampleShare, { "text-anchor": "middle", class: "faint" }));
    for (const { curve, kind } of curves)
      svg.append(make("path", { d: path(curve.samples.map((s, i) => [x(s), y(curve.loss[i])])), class: `line ${kind}` }));
  }

  // One class: a ring at what cross-entropy gives it, a bar to what it gets now, a tick at its share of the samples.
  // All in per cent of the strip's width, so it needs no redrawing when that changes.
  function strip(svg) {
    const parts = {
      grid: make("g"), bar: make("rect", { y: 6, height: 12, rx: 2, class: "bar after" }),
      tick: make("line", { y1: 3, y2: 21, class: "mark" }), ring: make("circle", { cy: 12, r: 4.5, class: "ring" }),
    };
    svg.setAttribute("role", "img");
    svg.replaceChildren(...Object.values(parts));
    const at = (share) => `${(96 * share + 1).toFixed(3)}%`;
    return ({ samples, before, after }, { most, ticks }, label) => {
      svg.setAttribute("aria-label", label);
      parts.grid.replaceChildren(...ticks.map((v) => make("line", { x1: at(v / most), x2: at(v / most), y1: 0, y2: 24, class: v ? "grid" : "axis" })));
      parts.bar.setAttribute("x", "1%");
      parts.bar.setAttribute("width", `${Math.max((96 * after) / most, 0.15).toFixed(3)}%`);
      for (const name of ["x1", "x2"]) parts.tick.setAttribute(name, at(samples / most));
      parts.ring.setAttribute("cx", at(before / most));
    };
  }

  // The largest share that the strips show, and where their grid is.
  function scale(shares, n) {
    const most = Math.max(...shares, 1e-9), step = niceStep(most, n), ticks = [];
    for (let v = 0; v <= most + 1e-12; v += step) ticks.push(v);
    return { most, ticks, digits: Math.min(Math.max(Math.ceil(-Math.log10(step * 100) - 1e-9), 0), 3) };
  }

  function axis(svg, { most, ticks, digits }, sign) {
    svg.replaceChildren(...ticks.map((v) => text(`${(96 * v) / most + 1}%`, 17, `${(100 * v).toFixed(digits)}${sign}`, { "text-anchor": v ? "middle" : "start", class: "tick" })));
  }

  function niceStep(most, n) {
    const raw = most / n, power = Math.pow(10, Math.floor(Math.log10(raw)));
    return [1, 2, 5, 10].find((s) => s * power >= raw) * power;
  }

  return { make, lossCurve, cumulative, strip, scale, axis };
})();
