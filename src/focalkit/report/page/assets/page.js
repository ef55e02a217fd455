// The page itself: state, controls, table. Data come from the JSON block; all text goes through textContent.

if (document.getElementById("ledger")) (() => {
  const DATA = JSON.parse(document.getElementById("ledger").textContent);
  const book = model.prepare(DATA);
  const $ = (id) => document.getElementById(id);
  const { t } = language, { element, number } = classes;
  const K = book.rows.length, ones = new Array(K).fill(1), zeros = new Array(K).fill(0);
  // gamma and beta are for all classes; own has what single ones have for themselves, as [row, value]
  const state = { gamma: 0, beta: 0, form: "focal", numbers: [], own: { alpha: new Map(), gamma: new Map() }, metric: "grad", sort: "gradAfter", down: true, query: "", shown: 20, group: "all" };
  const BINS = 25;
  const plain = model.shares(book, zeros, ones), plainBins = model.histogram(book, BINS, plain, ones);
  const plainCurves = new Map();
  const rarest = book.rows.reduce((best, row) => (row.weight > 0 && (best < 0 || row.weight < book.rows[best].weight) ? row.k : best), -1);
  const offered = Object.entries(forms.CHOICES).filter(([, form]) => book.pairs || !form.pairs).map(([name]) => name);
  // of soft targets a table of log-odds does not know each one's value
  const refused = (name) => Boolean(DATA.soft && forms.CHOICES[name].soft);
  const asked = () => ({ name: state.form, numbers: state.numbers });
  let now, alpha, gammas, order = [], queued = null;

  const fill = (key, ...values) => values.reduce((words, value) => words.replace("{}", () => value), t(key));
  const percent = (share, digits = 1) => (share > 0 && share < 0.0005 && digits ? "<0.1" : (100 * share).toFixed(digits)) + t("percentSign");
  const cell = (share) => (share > 0 && share < 0.0005 ? "<0.1" : (100 * share).toFixed(1));
  const whole = (n) => n.toLocaleString("en-US");

  function begin(left = null) {
    if (left) return void Object.assign(state, left);
    Object.assign(state, { gamma: DATA.gamma, beta: DATA.beta, form: "focal", numbers: [] });
    const some = (values) => new Map((values || []).map((value, k) => [k, value]));
    state.own = { alpha: some(DATA.alpha && model.scaled(book, DATA.alpha)), gamma: some(DATA.gammas) };
  }

  function compute() {
    alpha = model.alphas(book, state.beta).map((a, k) => state.own.alpha.get(k) ?? a);
    gammas = book.rows.map((row, k) => forms.gammaOf(asked(), state.own.gamma.get(k) ?? state.gamma, row.negative));
    now = model.shares(book, gammas, alpha, asked());
  }

  // One class's own weight or gamma. Of a column, the other side's weight is what is left of 1, and gamma is shared;
  // the asymmetric loss has one gamma for all negatives.
  function set(what, k, value) {
    if (what === "gamma" && state.form === "asymmetric" && book.rows[k].negative) {
      state.numbers[0] = Math.min(value, forms.CHOICES.asymmetric.numbers[0][2]);
      later();
      remember();
      return;
    }
    state.own[what].set(k, value);
    if (book.pairs) state.own[what].set(k ^ 1, what === "alpha" ? 1 - value : value);
    later();
    remember();
  }

  function follow(k) {
    for (const own of Object.values(state.own)) {
      own.delete(k);
      if (book.pairs) own.delete(k ^ 1);
    }
    draw();
    remember();
  }

  function values(k) {
    return {
      name: book.rows[k].name, samples: book.rows[k].count, alpha: alpha[k], gamma: gammas[k],
      lossBefore: plain.loss[k], lossAfter: now.loss[k], gradBefore: plain.grad[k], gradAfter: now.grad[k],
      easyOf: plain.easyOf[k], veryEasyOf: plain.veryEasyOf[k],
      easyBefore: plain.easy[k], easyAfter: now.easy[k], veryEasyBefore: plain.veryEasy[k], veryEasyAfter: now.veryEasy[k],
    };
  }

  function chosen() {
    const query = state.query.trim().toLowerCase();
    const all = book.rows.filter((row) => row.name.toLowerCase().includes(query)).map((row) => row.k);
    const key = new Map(all.map((k) => [k, values(k)[state.sort]]));
    const sign = state.down ? -1 : 1;
    return all.sort((a, b) => {
      const x = key.get(a), y = key.get(b);
      return sign * (typeof x === "string" ? x.localeCompare(y, undefined, { numeric: true }) : x - y) || a - b;
    });
  }

  // While a slider is moved the rows stay where they are; ``sorted`` puts them in their new order.
  function draw(sorted = false) {
    queued = null;
    compute();
    drawControls();
    const others = [...new Set(state.own.gamma.values())].slice(0, 12);
    const after = model.histogram(book, BINS, now, alpha);
    const gamma = state.own.gamma.size < K ? state.gamma : null;
    charts.lossCurve($("curve"), { gamma, form: asked(), others, before: plainBins, after, words: language.words(), percent });
    drawCumulative();
    if (sorted) order = chosen();
    drawClasses(sorted);
    drawTable();
    drawTiles();
  }

  function drawControls() {
    const { alpha: ownAlpha, gamma: ownGamma } = state.own;
    const shown = (own, value) => (own.size < K ? value.toFixed(2) + (own.size ? " *" : "") : "*");
    if ($("form").lang !== document.documentElement.lang) {  // first, and in another language
      $("form").lang = document.documentElement.lang;
      $("form").replaceChildren(...offered.map((name) => {
        const option = element("option", { value: name }, t(`form_${name}`) + (refused(name) ? t("formRefused") : ""));
        option.disabled = refused(name);
        return option;
      }));
    }
    drawNumbers();
    const { gamma: ruled } = forms.CHOICES[state.form];
    $("form-hint").textContent = t(`formHint_${state.form}`) || t("formHint");
    $("gamma").disabled = !ruled;
    $("equalise-gamma").disabled = state.form !== "focal";
    const hint = (own, key) => (own.size ? fill("ownHint", own.size) : t(key));
    $("gamma-value").textContent = ruled ? shown(ownGamma, state.gamma) : "–";
    $("beta-value").textContent = shown(ownAlpha, state.beta);
    $("gamma-hint").textContent = ruled ? hint(ownGamma, "gammaHint") : t("gammaUnused");
    $("beta-hint").textContent = hint(ownAlpha, "betaHint");
    $("gamma").value = state.gamma;
    $("form").value = state.form;
    $("beta").value = state.beta;
    const weights = ownAlpha.size ? t("custom") : `β ${state.beta.toFixed(2)}`;
    $("gamma").setAttribute("aria-valuetext", `γ ${state.gamma.toFixed(2)}`);
    $("beta").setAttribute("aria-valuetext", weights);
    const rare = rarest < 0 ? 0 : now.grad[rarest];
    $("live").textContent = fill("live", state.gamma.toFixed(2), weights, percent(now.easyLoss), percent(rare));
  }

  // The form's own numbers: sliders that are made once for each form and language, and then stay in hand.
  function drawNumbers() {
    const { numbers } = forms.CHOICES[state.form], box = $("numbers"), made = `${state.form} ${document.documentElement.lang}`;
    if (box.dataset.made !== made) {
      box.dataset.made = made;
      box.replaceChildren(...numbers.map(([name, least, most, step], i) => {
        const range = element("input", { type: "range", id: `number-${name}`, min: least, max: most, step });
        range.addEventListener("input", () => { state.numbers[i] = Number(range.value); later(); remember(); });
        range.addEventListener("change", () => later(true));
        return element("div", { class: "slider" }, element("label", { for: range.id }, t(`number_${name}`)), element("output", { for: range.id }), range);
      }));
    }
    box.hidden = numbers.length === 0;
    [...box.children].forEach((node, i) => {
      node.querySelector("output").textContent = String(state.numbers[i]);
      node.querySelector("input").value = state.numbers[i];
    });
  }

  const rowsOf = (group) => (group === "all" ? book.rows : [book.rows[Number(group)]]);

  function drawCumulative() {
    const rows = rowsOf(state.group);
    if (!plainCurves.has(state.group)) plainCurves.set(state.group, model.cumulative(rows, zeros));
    const before = plainCurves.get(state.group), after = model.cumulative(rows, gammas, asked());
    charts.cumulative($("cumulative"), { curves: [{ curve: before, kind: "before" }, { curve: after, kind: "after" }], words: language.words() });
    $("half").textContent = fill("halfSaid", percent(model.hardestHalf(after)), percent(model.hardestHalf(before)));
  }

  const list = classes.make($("classes"), book, set, follow);

  function drawClasses(sorted) {
    const shown = order.slice(0, state.shown), before = plain[state.metric], after = now[state.metric];
    if (sorted) list.order(shown);
    const narrow = window.matchMedia("(max-width: 860px)").matches;
    const axis = charts.scale(shown.flatMap((k) => [before[k], after[k], plain.samples[k]]), narrow ? 3 : 4);
    charts.axis($("axis"), axis, t("percentSign"));
    const words = {
      percent, follow: t("follow"),
      label: (name, f) => `${name}: ${t("samples")} ${percent(f.samples)}, ${t("beforeShort")} ${percent(f.before)}, ${t("afterShort")} ${percent(f.after)}`,
    };
    for (const k of shown) {
      const own = { ownAlpha: state.own.alpha.has(k), ownGamma: state.own.gamma.has(k) };
      list.show(k, { samples: plain.samples[k], before: before[k], after: after[k], alpha: alpha[k], gamma: gammas[k], ...own }, axis, words);
    }
    for (const metric of ["loss", "grad"]) $(`metric-${metric}`).setAttribute("aria-pressed", String(metric === state.metric));
    $("metric-name").textContent = `${t("beforeShort")} → ${t("afterShort")}`;
    $("bars-note").textContent = t(book.pairs ? "barsNotePairs" : "barsNote");
    $("count").textContent = order.length ? `${Math.min(state.shown, order.length)} ${t("of")} ${order.length} ${t("classes")}` : t("none");
    for (const button of document.querySelectorAll(".more")) button.hidden = order.length <= state.shown;
  }

  const COLUMNS = ["name", "samples", "alpha", "gamma", "lossBefore", "lossAfter", "gradBefore", "gradAfter", "easyOf", "veryEasyOf", "easyBefore", "easyAfter", "veryEasyBefore", "veryEasyAfter"];

  function sortBy(column, down) {
    Object.assign(state, { sort: column, down });
    drawHead();
    draw(true);
  }

  function drawHead() {
    const head = element("tr");
    for (const column of COLUMNS) {
      const button = element("button", { type: "button", id: `sort-${column}` }, t(`${column}Column`) || t(column));
      if (/easy/i.test(column)) button.title = t(column.endsWith("Of") ? "easyOfHint" : "easyHint");
      button.addEventListener("click", () => {
        sortBy(column, state.sort === column ? !state.down : column !== "name");
        $(`sort-${column}`).focus();
      });
      const sorted = state.sort === column ? (state.down ? "descending" : "ascending") : "none";
      head.append(element("th", { scope: "col", "aria-sort": sorted }, button));
    }
    $("head").replaceChildren(head);
    $("sort").replaceChildren(...COLUMNS.map((column) => element("option", { value: column }, t(`${column}Column`) || t(column))));
    $("sort").value = state.sort;
  }

  function drawTable() {
    const body = order.slice(0, state.shown).map((k) => {
      const v = values(k), empty = book.rows[k].weight === 0;
      const figures = COLUMNS.slice(4).map((column) =>
        element("td", { class: column.endsWith("After") ? "after" : "" }, empty && /easy/i.test(column) ? "–" : cell(v[column])));
      return element("tr", { "data-row": k }, element("th", { scope: "row", title: v.name }, element("div", {}, v.name)), element("td", {}, whole(v.samples)),
        element("td", {}, number(v.alpha)), element("td", {}, v.gamma === null ? "–" : number(v.gamma)), ...figures);
    });
    $("rows").replaceChildren(...body);
  }

  function drawTiles() {
    const tile = (title, was, is, note) => element("div", { class: "tile" },
      element("h3", {}, title), element("p", { class: "figure" }, element("span", { class: "was" }, was), " → ", element("strong", {}, is)), element("p", { class: "soft" }, note));
    const tiles = [tile(t("easyTile"), percent(plain.easyLoss), percent(now.easyLoss), fill("easyNote", percent(plain.easySamples)))];
    if (rarest >= 0 && K > 1) {
      const row = book.rows[rarest];
      tiles.push(tile(fill("rareTile", row.name), percent(plain.grad[rarest]), percent(now.grad[rarest]), fill("rareNote", percent(row.weight / book.total))));
    }
    const k = plain.grad.reduce((best, g, i) => (g > plain.grad[best] ? i : best), 0);
    if (K > 2 && k !== rarest) {
      tiles.push(tile(fill("mostTile", book.rows[k].name), percent(plain.grad[k]), percent(now.grad[k]), fill("mostNote", percent(plain.samples[k]))));
    }
    $("tiles").replaceChildren(...tiles);
  }

  function drawGroups() {
    const option = (value, words) => element("option", { value }, words);
    $("group").replaceChildren(option("all", t("all")), ...book.rows.filter((row) => row.weight > 0).map((row) => option(row.k, row.name)));
    $("group").value = state.group;
  }

  function drawAll() {
    $("search").placeholder = t("search");
    $("equalise").title = $("equalise-gamma").title = t("equaliseHint");
    drawHead();
    drawGroups();
    draw(true);
  }

  const remember = () => address.later("ledger");
  const later = (sorted = false) => {
    if (queued === null) requestAnimationFrame(() => draw(queued));
    queued = Boolean(queued) || sorted;
  };
  for (const [id, what, own] of [["gamma", "gamma", "gamma"], ["beta", "beta", "alpha"]]) {
    $(id).addEventListener("input", (event) => { state[what] = Number(event.target.value); state.own[own].clear(); later(); remember(); });
    $(id).addEventListener("change", () => later(true));
  }
  $("form").addEventListener("change", (event) => {
    Object.assign(state, { form: event.target.value, numbers: forms.first(event.target.value) });
    draw(true);
    remember();
  });
  const own = (values) => new Map(values.map((value, k) => [k, value]));
  $("equalise").addEventListener("click", () => { state.own.alpha = own(model.equalising(book, gammas, asked())); draw(true); remember(); });
  $("equalise-gamma").addEventListener("click", () => { state.own.gamma = own(model.equalisingGamma(book, alpha)); draw(true); remember(); });
  $("reset").addEventListener("click", () => { begin(); draw(true); address.clear("ledger"); });
  $("search").addEventListener("input", (event) => { state.query = event.target.value; state.shown = 20; later(true); });
  $("sort").addEventListener("change", (event) => sortBy(event.target.value, event.target.value !== "name"));
  for (const button of document.querySelectorAll(".more")) button.addEventListener("click", () => { state.shown *= 5; draw(true); });
  $("group").addEventListener("change", (event) => { state.group = event.target.value; draw(); });
  for (const metric of ["loss", "grad"])
    $(`metric-${metric}`).addEventListener("click", () => {
      state.metric = metric;
      if (/^(loss|grad)/.test(state.sort)) sortBy(`${metric}After`, true);
      else draw();
    });
  language.whenChanged(drawAll);
  window.addEventListener("resize", () => later());
  window.addEventListener("beforeprint", () => { state.shown = Math.max(state.shown, 100); draw(true); });
  window.focalkit = { definition, model, book, state, get now() { return now; }, get plain() { return plain; }, get alpha() { return alpha; }, get gammas() { return gammas; } };
  const left = address.read(K, offered.filter((name) => !refused(name)));
  address.follow("ledger", () => address.write(state), left !== null);
  begin(left);
  drawAll();
})();
