// The page of a decision rule: of two classes every cut-off, of more the weights. Figures are per 1,000 cases.

if (document.getElementById("decision")) (() => {
  const DATA = JSON.parse(document.getElementById("decision").textContent);
  const $ = (id) => document.getElementById(id), { t } = language, { make } = charts;
  const element = (tag, attributes, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
    node.append(...children);
    return node;
  };
  const figure = (x) => (Math.abs(x) < 0.005 ? "0" : Math.abs(x) >= 100 ? x.toFixed(0) : Math.abs(x) >= 10 ? x.toFixed(1) : x.toFixed(2));
  const short = (x) => (x <= 0 ? "0" : x >= 1 ? "1" : x > 0.99 ? x.toFixed(6).replace(/0+$/, "") : Number(x.toPrecision(4)).toString());

  // A chart on the unit square or on axes of its own: lines, bands and named points.
  function chart(svg, { label, x, y, lines, dots = [], bands = [], xTicks, yTicks }) {
    const W = 460, H = 320, left = 52, right = 12, top = 28, low = H - 44;
    svg.replaceChildren();
    svg.setAttribute("viewBox", `0 0 ${W} ${H}`);
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", label);
    const at = (v, [from, to], a, b) => a + ((Math.min(Math.max(v, from), to) - from) / (to - from || 1)) * (b - a);
    const px = (v) => at(v, x.range, left, W - right), py = (v) => at(v, y.range, low, top);
    const words = (u, v, text, attributes) => {
      const node = make("text", { x: u, y: v, ...attributes });
      node.textContent = text;
      svg.append(node);
    };
    for (const v of yTicks) {
      svg.append(make("line", { x1: left, x2: W - right, y1: py(v), y2: py(v), class: v === y.range[0] ? "axis" : "grid" }));
      words(left - 6, py(v) + 4, y.text(v), { "text-anchor": "end", class: "tick" });
    }
    for (const v of xTicks) words(px(v), low + 16, x.text(v), { "text-anchor": "middle", class: "tick" });
    words((left + W - right) / 2, H - 6, x.name, { "text-anchor": "middle", class: "faint" });
    words(4, 12, y.name, { class: "faint" });
    for (const [u, a, b] of bands) svg.append(make("line", { x1: px(u), x2: px(u), y1: py(a), y2: py(b), class: "mark" }));
    for (const { points, kind } of lines) {
      const d = points.map(([u, v], i) => `${i ? "L" : "M"}${px(u).toFixed(1)} ${py(v).toFixed(1)}`).join("");
      svg.append(make("path", { d, class: `line ${kind}` }));
    }
    // points that lie together share one label, which stands inside the axes
    const groups = [];
    for (const [u, v, name, kind] of dots) {
      const near = groups.find((g) => Math.hypot(g.x - px(u), g.y - py(v)) < 13);
      if (near) near.names.push(name);
      else groups.push({ x: px(u), y: py(v), names: [name] });
      if (kind === "trained") svg.append(make("rect", { x: px(u) - 4.5, y: py(v) - 4.5, width: 9, height: 9, class: "ring trained" }));
      else svg.append(make("circle", { cx: px(u), cy: py(v), r: 5, class: name ? "ring" : "now" }));
    }
    for (const { x: u, y: v, names } of groups) {
      const end = u > W - 90;
      words(end ? u - 8 : u + 8, v < top + 12 ? v + 18 : v - 7, names.filter(Boolean).join(" "), { class: "small", "text-anchor": end ? "end" : "start" });
    }
  }
  const unit = [0, 0.2, 0.4, 0.6, 0.8, 1], fixed = (v) => v.toFixed(1);

  function table(head, rows) {
    const line = (cells, tag) => element("tr", {}, ...cells.map((c, i) => (c instanceof Node ? c : (i && tag === "td" ? element("td", {}, c) : element("th", i ? {} : { scope: "row" }, element("div", {}, c))))));
    $("confusion").tBodies[0].replaceChildren(line(head, "th"), ...rows.map((row) => line(row, "td")));
  }

  if (DATA.kind === "cutoffs" || DATA.kind === "labels") two();
  else several();

  function two() {
    // of several labels one at a time
    const parts = DATA.labels || [DATA];
    let { cutoff, caught, falseAlarms, positives, negatives, at, points: marked, calibration } = parts[0], m = cutoff.length;
    const state = { i: at, fn: DATA.fn, fp: DATA.fp, label: 0 };
    const take = (label) => {
      ({ cutoff, caught, falseAlarms, positives, negatives, at, points: marked, calibration } = parts[label]);
      m = cutoff.length;
      Object.assign(state, { i: at, label });
      $("cutoff").max = m - 1;
    };
    const cost = (i, fn = state.fn, fp = state.fp) => fn * (positives - caught[i]) + fp * falseAlarms[i];
    const cheapest = (fn, fp) => { let best = 0; for (let i = 1; i < m; i++) if (cost(i, fn, fp) < cost(best, fn, fp) - 1e-12) best = i; return best; };
    const counts = (i) => ({ caught: caught[i], missed: positives - caught[i], falseAlarms: falseAlarms[i], cleared: negatives - falseAlarms[i] });
    const trained = DATA.trained || [];
    const rates = ({ caught: tp, falseAlarms: fp }) => ({
      recall: tp / (positives || 1), precision: tp + fp ? tp / (tp + fp) : 1, fpr: fp / (negatives || 1), flagged: tp + fp, cost: state.fn * (positives - tp) + state.fp * fp,
    });
    // the highest cut-off that is not above p: what p > cut-off flags, as near as the kept ones tell
    const nearest = (p) => { let best = 0; for (let i = 1; i < m; i++) if (Math.abs(cutoff[i] - p) < Math.abs(cutoff[best] - p)) best = i; return best; };
    const said = () => [`cutoff=${state.i}`, `fn=${address.short(state.fn)}`, `fp=${address.short(state.fp)}`, ...(state.label ? [`label=${state.label}`] : [])];
    address.follow("decision", said, ["cutoff", "fn", "fp", "label"].some((name) => address.given().has(name)));
    const remember = () => address.later("decision");
    const left = {
      label: address.numeric("label", (k) => Number.isInteger(k) && k >= 0 && k < parts.length) ?? 0,
      fn: address.numeric("fn", (v) => v >= 0) ?? DATA.fn, fp: address.numeric("fp", (v) => v >= 0) ?? DATA.fp,
    };
    take(left.label);
    Object.assign(state, left, { i: address.numeric("cutoff", (i) => Number.isInteger(i) && i >= 0 && i < m) ?? at });
    $("reliability").closest("section").hidden = !calibration;
    if (DATA.labels) {
      $("of-label").hidden = false;
      DATA.classes.forEach((name, k) => $("label").append(element("option", { value: k }, name)));
      $("label").value = state.label;
      $("label").addEventListener("change", (event) => { take(Number(event.target.value)); draw(); remember(); });
    }

    function draw() {
      const now = counts(state.i), flagged = now.caught + now.falseAlarms;
      $("cutoff").value = state.i;
      $("cutoff-value").textContent = state.i === 0 || cutoff[state.i] < 0 ? cut(state.i) : `p > ${cut(state.i)}`;
      $("cutoff").setAttribute("aria-valuetext", $("cutoff-value").textContent);
      const name = DATA.classes[state.label], [no, yes] = DATA.labels ? [`${t("dNot")} ${name}`, name] : DATA.classes;
      table([t("dTruth"), yes, no], [[yes, figure(now.caught), figure(now.missed)], [no, figure(now.falseAlarms), figure(now.cleared)]]);
      const recall = (i) => caught[i] / (positives || 1), precision = (i) => (caught[i] + falseAlarms[i] ? caught[i] / (caught[i] + falseAlarms[i]) : 1);
      const percent = (share) => `${(100 * share).toFixed(1)}${t("percentSign")}`;
      const words = [["dCost", figure(cost(state.i))], ["dRecall", percent(recall(state.i))], ["dPrecision", flagged ? percent(precision(state.i)) : "–"], ["dAlerts", figure(flagged)]];
      $("cost-said").textContent = words.map(([key, value]) => `${t(key)} ${value}`.replaceAll(" ", "\u00a0")).join(" · ");
      const named = [...marked, { key: "d_cheapest", index: cheapest(state.fn, state.fp) }];
      const points = [...named.map(({ index }, n) => ({ name: String(n + 1), index })), { name: "", index: state.i }];
      drawPoints(named);
      const every = cutoff.map((_, i) => i);
      // other trained models: a point each, beside the curve
      const other = trained.map((point, n) => ({ ...rates(point), name: String(named.length + n + 1) }));
      chart($("pr"), { label: t("dPr"), x: { range: [0, 1], name: t("dRecall"), text: fixed }, y: { range: [0, 1], name: t("dPrecision"), text: fixed }, xTicks: unit, yTicks: unit,
        lines: [{ points: every.slice(1).map((i) => [recall(i), precision(i)]), kind: "after" }], dots: [...points.filter(({ index }) => index > 0).map(({ name, index }) => [recall(index), precision(index), name]), ...other.filter((o) => o.flagged > 0).map((o) => [o.recall, o.precision, o.name, "trained"])] });
      chart($("roc"), { label: t("dRoc"), x: { range: [0, 1], name: t("dFpr"), text: fixed }, y: { range: [0, 1], name: t("dRecall"), text: fixed }, xTicks: unit, yTicks: unit,
        lines: [{ points: [[0, 0], [1, 1]], kind: "before" }, { points: every.map((i) => [falseAlarms[i] / (negatives || 1), recall(i)]), kind: "after" }], dots: [...points.map(({ name, index }) => [falseAlarms[index] / (negatives || 1), recall(index), name]), ...other.map((o) => [o.fpr, o.recall, o.name, "trained"])] });
      // cost against the ratio of costs, each divided by what flagging nothing or everything would cost at best
      const ratios = Array.from({ length: 61 }, (_, i) => 10 ** (-1 + i / 15));
      const relative = (i, r) => cost(i, r, 1) / (Math.min(r * positives, negatives) || 1);
      const steps = [-1, 0, 1, 2, 3];
      chart($("ratio"), { label: t("dRatio"), x: { range: [-1, 3], name: t("dRatioAxis"), text: (v) => `${Number((10 ** v).toPrecision(1))}` }, y: { range: [0, 1.5], name: t("dRelative"), text: fixed }, xTicks: steps, yTicks: [0, 0.5, 1, 1.5],
        lines: [{ points: ratios.map((r) => [Math.log10(r), relative(state.i, r)]), kind: "before" }, { points: ratios.map((r) => [Math.log10(r), relative(cheapest(r, 1), r)]), kind: "after" }] });
      const grid = Array.from({ length: 60 }, (_, i) => (i + 1) / 61), top = (positives || 1) / 1000;
      const benefit = (c, p) => (c.caught - (c.falseAlarms * p) / (1 - p)) / 1000;
      chart($("benefit"), { label: t("dBenefit"), x: { range: [0, 1], name: t("dThreshold"), text: fixed }, y: { range: [-0.2 * top, 1.05 * top], name: t("dNet"), text: (v) => v.toPrecision(2) }, xTicks: unit, yTicks: [0, top / 2, top],
        lines: [{ points: grid.map((p) => [p, benefit({ caught: positives, falseAlarms: negatives }, p)]), kind: "before" }, { points: grid.map((p) => [p, benefit(counts(nearest(p)), p)]), kind: "after" }] });
      const c = calibration;
      if (!c) return;
      chart($("reliability"), { label: t("dReliability"), x: { range: [0, c.most], name: t("dPredicted"), text: (v) => Number(v.toPrecision(2)).toString() }, y: { range: [0, c.most], name: t("dObserved"), text: (v) => Number(v.toPrecision(2)).toString() },
        xTicks: unit.map((v) => v * c.most), yTicks: unit.map((v) => v * c.most), bands: c.predicted.map((p, i) => [p, c.low[i], c.high[i]]),
        lines: [{ points: [[0, 0], [c.most, c.most]], kind: "before" }, { points: c.predicted.map((p, i) => [p, c.observed[i]]), kind: "after" }] });
    }

    const cut = (i) => (i === 0 ? t("dNothing") : cutoff[i] < 0 ? t("dEverything") : short(cutoff[i]));

    // Every remedy by its number on the curves; the name of one that is a cut-off moves the slider there.
    function drawPoints(named) {
      const heads = ["", "dCutoff", "dRecall", "dPrecision", "dFpr", "dAlerts", "dCost"];
      const points = $("points"), held = document.activeElement?.closest("#points button")?.dataset.n;
      points.tHead.replaceChildren(element("tr", {}, ...heads.map((key) => (key ? element("th", { scope: "col" }, t(key)) : element("td")))));
      const row = (name, cutoff, point, chosen = false) => {
        const r = rates(point), percents = [r.recall, r.flagged ? r.precision : null, r.fpr].map((share) => (share === null ? "–" : (100 * share).toFixed(1)));
        const cells = [cutoff, ...percents, figure(r.flagged), figure(r.cost)];
        return element("tr", chosen ? { class: "chosen" } : {}, element("th", { scope: "row" }, element("div", {}, name)), ...cells.map((text) => element("td", {}, text)));
      };
      const rows = named.map(({ key, index }, n) => {
        const button = element("button", { type: "button", "data-n": n }, `${n + 1} ${t(key)}`);
        button.addEventListener("click", () => { state.i = index; draw(); remember(); });
        return row(button, cut(index), { caught: caught[index], falseAlarms: falseAlarms[index] }, index === state.i);
      });
      const other = trained.map((point, n) => row(`${named.length + n + 1} ${point.name[document.documentElement.lang]}`, "–", point));
      points.tBodies[0].replaceChildren(...rows, ...other);
      $("trained-note").hidden = !trained.length;
      if (held !== undefined) points.querySelector(`button[data-n="${held}"]`)?.focus();
    }

    $("cutoff").addEventListener("input", (event) => { state.i = Number(event.target.value); draw(); remember(); });
    for (const name of ["fn", "fp"]) {
      $(`cost-${name}`).value = state[name];
      $(`cost-${name}`).addEventListener("input", (event) => {
        const value = event.target.valueAsNumber;
        if (value >= 0 && Number.isFinite(value)) state[name] = value;
        draw();
        remember();
      });
    }
    $("cheapest").addEventListener("click", () => { state.i = cheapest(state.fn, state.fp); draw(); remember(); });
    $("back").addEventListener("click", () => { state.i = at; draw(); remember(); });
    language.whenChanged(draw);
    window.decision = { state, counts, cost, cheapest, nearest, trained, rates };
    draw();
  }

  function several() {
    const { classes: names, probabilities, targets, weight, matrix } = DATA, K = names.length;
    const start = DATA.weights.map((w) => Math.log10(w));
    const some = (address.given().get("weights") || "").split(",").map(Number);
    const left = some.length === K && some.every((w) => w > 0 && Number.isFinite(w)) ? some.map((w) => Math.log10(w)) : start;
    const state = { log: left.slice() };
    address.follow("decision", () => [`weights=${state.log.map((v) => address.short(10 ** v)).join(",")}`], left !== start);
    const remember = () => address.later("decision");

    function decide(row) {
      let best = 0, least = Infinity;
      for (let j = 0; j < K; j++) {
        let cost = matrix ? 0 : -row[j] * 10 ** state.log[j];
        if (matrix) for (let k = 0; k < K; k++) cost += row[k] * 10 ** state.log[k] * matrix[k][j];
        if (cost < least) { least = cost; best = j; }
      }
      return best;
    }

    function confusion() {
      const out = names.map(() => new Array(K).fill(0));
      probabilities.forEach((row, i) => { out[targets[i]][decide(row)] += weight[i]; });
      return out;
    }

    function draw() {
      const now = confusion(), most = now.map((row) => row.reduce((a, b) => a + b, 0));
      const cell = (v, k) => element("td", { class: `heat-${Math.round((20 * v) / (most[k] || 1))}` }, figure(v));
      table([t("dTruth"), ...names], now.map((row, k) => [names[k], ...row.map((v) => cell(v, k))]));
      const right = now.reduce((sum, row, k) => sum + row[k], 0);
      const cost = matrix ? now.reduce((sum, row, k) => sum + row.reduce((s, v, j) => s + v * matrix[k][j], 0), 0) : null;
      $("cost-said").textContent = `${t("dRight")} ${figure(right)}${cost === null ? "" : ` · ${t("dCost")} ${figure(cost)}`}`;
      const top = Math.max(...state.log);  // as the rule is written: the largest is 1
      state.log.forEach((v, k) => {
        $(`weight-${k}`).value = v;
        $(`weight-${k}-value`).textContent = `× ${Number((10 ** (v - top)).toPrecision(4))}`;
      });
    }

    names.forEach((name, k) => {
      const low = Math.min(-2, ...start, ...left), high = Math.max(2, ...start, ...left);
      const input = element("input", { type: "range", id: `weight-${k}`, min: low, max: high, step: "any" });
      input.addEventListener("input", () => { state.log[k] = Number(input.value); draw(); remember(); });
      $("weight-sliders").append(element("div", { class: "slider" }, element("label", { for: `weight-${k}` }, name), element("output", { id: `weight-${k}-value`, for: `weight-${k}` }), input));
    });
    $("back").addEventListener("click", () => { state.log = start.slice(); draw(); address.clear("decision"); });
    $("equal").addEventListener("click", () => { state.log = start.map(() => 0); draw(); remember(); });
    language.whenChanged(draw);
    window.decision = { state, confusion };
    draw();
  }
})();
