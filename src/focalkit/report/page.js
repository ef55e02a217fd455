// The page itself: state, controls, table. Data come from the JSON block; all text goes through textContent.

(() => {
  const DATA = JSON.parse(document.getElementById("ledger").textContent);
  const book = model.prepare(DATA);
  const $ = (id) => document.getElementById(id);
  const K = book.rows.length;
  const state = { gamma: DATA.gamma, beta: DATA.beta, own: null, metric: "grad", sort: "gradAfter", down: true, query: "", shown: 20, lang: "en", group: "all" };
  if (DATA.alpha) state.own = model.toMeanOne(DATA.alpha);
  const plain = model.shares(book, 0, book.rows.map(() => 1));
  const plainCurves = new Map();
  const rarest = book.rows.reduce((best, row) => (row.weight > 0 && (best < 0 || row.weight < book.rows[best].weight) ? row.k : best), -1);
  let now, alpha, queued = false;

  const t = (key) => SPEECH[state.lang][key];
  const fill = (key, ...values) => values.reduce((words, value) => words.replace("{}", () => value), t(key));
  const percent = (share, digits = 1) => (share > 0 && share < 0.0005 && digits ? "<0.1 %" : `${(100 * share).toFixed(digits)} %`);
  const cell = (share) => (share > 0 && share < 0.0005 ? "<0.1" : (100 * share).toFixed(1));
  const number = (value) => (value === 0 ? "0" : value >= 1000 || value < 0.001 ? value.toExponential(1) : String(Number(value.toPrecision(3))));
  const whole = (n) => n.toLocaleString("en-US");
  const element = (tag, attributes, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
    node.append(...children);
    return node;
  };

  function compute() {
    alpha = state.own || model.alphas(book, state.beta);
    now = model.shares(book, state.gamma, alpha);
  }

  function values(k) {
    return {
      name: book.rows[k].name, samples: book.rows[k].count, alpha: alpha[k],
      lossBefore: plain.loss[k], lossAfter: now.loss[k], gradBefore: plain.grad[k], gradAfter: now.grad[k],
      easyBefore: plain.easy[k], easyAfter: now.easy[k],
    };
  }

  function chosen() {
    const query = state.query.trim().toLowerCase();
    const all = book.rows.filter((row) => row.name.toLowerCase().includes(query)).map((row) => row.k);
    const key = (k) => values(k)[state.sort];
    const sign = state.down ? -1 : 1;
    return all.sort((a, b) => {
      const x = key(a), y = key(b);
      return sign * (typeof x === "string" ? x.localeCompare(y, undefined, { numeric: true }) : x - y) || a - b;
    });
  }

  function draw() {
    queued = false;
    compute();
    const weights = state.own ? t("custom") : `β ${state.beta.toFixed(2)}`;
    $("gamma-value").textContent = state.gamma.toFixed(2);
    $("beta-value").textContent = state.own ? "–" : state.beta.toFixed(2);
    $("gamma").value = state.gamma;
    $("beta").value = state.beta;
    $("gamma").setAttribute("aria-valuetext", `γ ${state.gamma.toFixed(2)}`);
    $("beta").setAttribute("aria-valuetext", weights);
    const bins = 25;
    const before = model.histogram(book, bins, plain, book.rows.map(() => 1));
    const after = model.histogram(book, bins, now, alpha);
    charts.lossCurve($("curve"), { gamma: state.gamma, before, after, words: SPEECH[state.lang], percent });
    drawCumulative();
    const order = chosen();
    drawBars(order);
    drawTable(order);
    drawTiles();
    const rare = rarest < 0 ? 0 : now.grad[rarest];
    $("live").textContent = fill("live", state.gamma.toFixed(2), weights, percent(now.easyLoss), percent(rare));
  }

  const rowsOf = (group) => (group === "all" ? book.rows : [book.rows[Number(group)]]);

  function drawCumulative() {
    const rows = rowsOf(state.group);
    if (!plainCurves.has(state.group)) plainCurves.set(state.group, model.cumulative(rows, 0));
    const curve = model.cumulative(rows, state.gamma);
    charts.cumulative($("cumulative"), {
      curves: [{ curve: plainCurves.get(state.group), kind: "before" }, { curve, kind: "after" }], words: SPEECH[state.lang],
    });
    $("half").textContent = `${t("halfTile")} ${fill("halfNote", percent(model.hardestHalf(curve)))} (${fill("tiny", percent(model.hardestHalf(plainCurves.get(state.group)))).replace(" → ", "")})`;
  }

  function drawBars(order) {
    const rows = order.slice(0, Math.min(state.shown, 20)).map((k) => ({
      name: book.rows[k].name, samples: book.total > 0 ? book.rows[k].weight / book.total : 0, before: plain[state.metric][k], after: now[state.metric][k],
    }));
    charts.bars($("bars"), { rows, words: SPEECH[state.lang], percent, narrow: window.matchMedia("(max-width: 640px)").matches });
    for (const metric of ["loss", "grad"]) $(`metric-${metric}`).setAttribute("aria-pressed", String(metric === state.metric));
  }

  const COLUMNS = ["name", "samples", "alpha", "lossBefore", "lossAfter", "gradBefore", "gradAfter", "easyBefore", "easyAfter"];

  function drawHead() {
    const head = element("tr");
    for (const column of COLUMNS) {
      const button = element("button", { type: "button", id: `sort-${column}` }, t(column));
      if (column.startsWith("easy")) button.title = t("easyHint");
      button.addEventListener("click", () => {
        state.down = state.sort === column ? !state.down : column !== "name";
        state.sort = column;
        drawHead();
        draw();
        $(`sort-${column}`).focus();
      });
      const sorted = state.sort === column ? (state.down ? "descending" : "ascending") : "none";
      head.append(element("th", { scope: "col", "aria-sort": sorted }, button));
    }
    $("head").replaceChildren(head);
  }

  function drawTable(order) {
    const active = document.activeElement, editing = active && active.dataset ? active.dataset.k : undefined;
    const body = order.slice(0, state.shown).map((k) => {
      const v = values(k);
      const input = element("input", { type: "number", min: "0", step: "any", "data-k": k, "aria-label": `α ${v.name}`, value: number(v.alpha) });
      input.addEventListener("change", () => {
        const value = Number(input.value);
        if (!(value >= 0 && Number.isFinite(value))) return draw();
        state.own = Array.from(alpha);
        state.own[k] = value;
        draw();
      });
      const empty = book.rows[k].weight === 0;
      const figures = ["lossBefore", "lossAfter", "gradBefore", "gradAfter", "easyBefore", "easyAfter"].map((column) =>
        element("td", { class: column.endsWith("After") ? "after" : "" }, empty && column.startsWith("easy") ? "–" : cell(v[column])));
      return element("tr", { "data-row": k }, element("th", { scope: "row" }, v.name), element("td", {}, whole(v.samples)), element("td", {}, input), ...figures);
    });
    $("rows").replaceChildren(...body);
    $("count").textContent = order.length ? `${Math.min(state.shown, order.length)} ${t("of")} ${order.length} ${t("classes")}` : t("none");
    $("more").hidden = order.length <= state.shown;
    if (editing !== undefined) document.querySelector(`input[data-k="${editing}"]`)?.focus();
  }

  function drawTiles() {
    const tile = (title, was, is, note) => element("div", { class: "tile" },
      element("h3", {}, title), element("p", { class: "figure" }, element("span", { class: "was" }, was), " → ", element("strong", {}, is)), element("p", { class: "soft" }, note));
    const tiles = [tile(t("easyTile"), percent(plain.easyLoss), percent(now.easyLoss), fill("easyNote", percent(plain.easySamples)))];
    if (rarest >= 0 && K > 1) {
      const row = book.rows[rarest];
      tiles.push(tile(fill("rareTile", row.name), percent(plain.grad[rarest]), percent(now.grad[rarest]), fill("rareNote", percent(row.weight / book.total))));
    }
    $("tiles").replaceChildren(...tiles);
  }

  function drawGroups() {
    const option = (value, words) => element("option", { value }, words);
    $("group").replaceChildren(option("all", t("all")), ...book.rows.filter((row) => row.weight > 0).map((row) => option(row.k, row.name)));
    $("group").value = state.group;
  }

  function drawSaid() {
    const said = DATA.findings ? DATA.findings[state.lang] : [];
    $("findings").replaceChildren(...said.map((sentence) => element("li", {}, sentence)));
    $("findings-section").hidden = !said.length;
    const free = DATA.remedies ? DATA.remedies[state.lang] : null;
    $("remedies-section").hidden = !free;
    if (free) {
      $("remedies-said").replaceChildren(...free.said.map((sentence) => element("p", {}, sentence)));
      const line = (tag, cells) => element("tr", {}, ...cells.map((words, i) => element(tag, i && tag === "td" ? {} : { scope: tag === "th" ? "col" : "row" }, words)));
      $("remedies").replaceChildren(element("thead", {}, line("th", free.head)), element("tbody", {}, ...free.rows.map((cells) => line("td", cells))));
    }
    $("hardest-section").hidden = !(DATA.hardest && DATA.hardest.length);
    if (DATA.hardest && DATA.hardest.length) {
      const head = element("tr", {}, ...["name", "file", "row", "pt"].map((key) => element("th", { scope: "col" }, t(key))));
      const rows = DATA.hardest.map((h) => element("tr", {}, element("th", { scope: "row" }, DATA.names[h[0]]), element("td", {}, h[1]), element("td", {}, whole(h[2])), element("td", {}, h[3])));
      $("hardest").replaceChildren(element("thead", {}, head), element("tbody", {}, ...rows));
    }
  }

  function speak(lang) {
    state.lang = lang;
    document.documentElement.lang = lang;
    for (const node of document.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
    $("search").placeholder = t("search");
    $("equalise").title = t("equaliseHint");
    $("language").setAttribute("lang", t("otherCode"));
    drawHead();
    drawGroups();
    drawSaid();
    draw();
  }

  const later = () => {
    if (!queued) {
      queued = true;
      requestAnimationFrame(draw);
    }
  };
  $("gamma").addEventListener("input", (event) => { state.gamma = Number(event.target.value); later(); });
  $("beta").addEventListener("input", (event) => { state.beta = Number(event.target.value); state.own = null; later(); });
  $("equalise").addEventListener("click", () => { state.own = model.equalising(book, state.gamma); draw(); });
  $("reset").addEventListener("click", () => {
    Object.assign(state, { gamma: DATA.gamma, beta: DATA.beta, own: DATA.alpha ? model.toMeanOne(DATA.alpha) : null });
    draw();
  });
  $("search").addEventListener("input", (event) => { state.query = event.target.value; state.shown = 20; later(); });
  $("more").addEventListener("click", () => { state.shown = state.shown * 5; draw(); });
  $("group").addEventListener("change", (event) => { state.group = event.target.value; draw(); });
  for (const metric of ["loss", "grad"]) $(`metric-${metric}`).addEventListener("click", () => { state.metric = metric; draw(); });
  $("language").addEventListener("click", () => speak(t("otherCode")));
  window.addEventListener("resize", later);
  window.addEventListener("beforeprint", () => { state.shown = Math.max(state.shown, 100); draw(); });
  window.focalkit = { definition, model, book, state, get now() { return now; }, get plain() { return plain; }, get alpha() { return alpha; } };
  document.documentElement.classList.add("alive");
  speak(DATA.language);
})();
